//! Ctrl-C and the polite signals: the first asks for an orderly end, so that
//! the other side is told; the second ends at once. The system's signals, at a
//! restart or when a terminal is closed, say nothing about the transfer.

use tokio::sync::watch;

use crate::exit::{Exit, Failure};
use crate::machine::{Asker, Machine};

/// Turns the signal for a file above the system's limit into the error of the write,
/// so that one file fails and not the process.
#[cfg(unix)]
pub(super) fn survive_large_files() {
    use rustix::process::Signal;
    use tokio::signal::unix::{SignalKind, signal};
    // Once there is a handler the signal does nothing else, for as long as we run.
    if let Err(error) = signal(SignalKind::from_raw(Signal::XFSZ.as_raw())) {
        tracing::debug!(%error, "a file that is too large will end the process");
    }
}

#[cfg(not(unix))]
pub(super) fn survive_large_files() {}

/// Whether the program was asked to end.
#[derive(Clone)]
pub(super) struct Interrupt(watch::Receiver<Option<Asker>>);

impl Interrupt {
    /// Listens from now on, so that no request is lost however busy the program is.
    pub(super) fn listen(machine: &impl Machine) -> Self {
        let (ask, asked) = watch::channel(None);
        let mut requests = machine.requests();
        tokio::spawn(async move {
            if let Some(asker) = requests.recv().await {
                ask.send_replace(Some(asker));
            }
        });
        Self(asked)
    }

    /// Completes once the user, or the system, has asked the program to end.
    pub(super) async fn asked(&self) {
        if self.0.clone().wait_for(Option::is_some).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Whether it was the system that asked first, and not a person.
    pub(super) fn is_of_system(&self) -> bool {
        *self.0.borrow() == Some(Asker::System)
    }

    /// Does `work`, which an interrupt ends.
    pub(super) async fn or<T>(
        &self,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        tokio::select! {
            biased;
            () = self.asked() => {
                Err(Failure::new(Exit::Cancelled, "you cancelled", "Start again if you want to."))
            }
            done = work => done,
        }
    }
}
