//! Ctrl-C and the polite signals: the first asks for an orderly end, so that
//! the other side is told; the second ends at once.

use tokio::sync::watch;

use crate::exit::{Exit, Failure};

/// Whether the program was asked to end.
#[derive(Clone)]
pub(super) struct Interrupt(watch::Receiver<bool>);

impl Interrupt {
    /// Listens from now on, so that no request is lost however busy the program is.
    pub(super) fn listen() -> Self {
        let (ask, asked) = watch::channel(false);
        let mut requests = Requests::new();
        tokio::spawn(async move {
            requests.next().await;
            ask.send_replace(true);
            requests.next().await;
            super::controls::restore_terminal();
            std::process::exit(Exit::Cancelled.code().into());
        });
        Self(asked)
    }

    /// Completes once the user, or the system, has asked the program to end.
    pub(super) async fn asked(&self) {
        if self.0.clone().wait_for(|asked| *asked).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Does `work`, which an interrupt ends.
    pub(super) async fn or<T>(
        &self,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        tokio::select! {
            done = work => done,
            () = self.asked() => {
                Err(Failure::new(Exit::Cancelled, "you cancelled", "Start again if you want to."))
            }
        }
    }
}

#[cfg(unix)]
struct Requests(Vec<tokio::signal::unix::Signal>);

#[cfg(unix)]
impl Requests {
    fn new() -> Self {
        use tokio::signal::unix::{SignalKind, signal};
        let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
        Self(kinds.into_iter().filter_map(|kind| signal(kind).ok()).collect())
    }

    async fn next(&mut self) {
        std::future::poll_fn(|context| {
            let mut signals = self.0.iter_mut();
            if signals.any(|signal| signal.poll_recv(context).is_ready()) {
                return std::task::Poll::Ready(());
            }
            std::task::Poll::Pending
        })
        .await;
    }
}

#[cfg(not(unix))]
struct Requests;

#[cfg(not(unix))]
impl Requests {
    fn new() -> Self {
        Self
    }

    async fn next(&mut self) {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
