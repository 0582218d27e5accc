//! The rendezvous socket in a task of its own, so that waiting for the server
//! never holds up the network. What a blob means does not live here.

use std::time::Duration;

use passel_proto::ids::Role;
use passel_rendezvous::messages::{CloseReason, ErrorCode};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::exit::{Exit, Failure};
use crate::signaling::{Event, SignalError, Socket};

/// Time for the last blobs to leave.
const FINISH: Duration = Duration::from_secs(3);
/// Events that may wait for the node. The server's own bound is lower.
const EVENTS: usize = 64;

/// What came from the rendezvous.
#[derive(Debug)]
pub(super) enum Signaled {
    /// A sealed blob of the peer.
    Blob(Vec<u8>),
    /// The peer's socket is gone.
    PeerLeft,
    /// The rendezvous is of no use any more.
    Failed(Failure),
}

/// The task's handle. Dropped, it lets the task end once the queued blobs are
/// out, without waiting for it.
pub(super) struct SignalTask {
    blobs: mpsc::UnboundedSender<Vec<u8>>,
    events: mpsc::Receiver<Signaled>,
    task: JoinHandle<()>,
}

impl SignalTask {
    /// `role` says whose socket it is: that of the side which invited, or of the one
    /// that joined.
    pub(super) fn spawn(socket: Socket, role: Role) -> Self {
        // The signaling session bounds how many blobs there are.
        let (blobs, outgoing) = mpsc::unbounded_channel();
        let (to_node, events) = mpsc::channel(EVENTS);
        let task = tokio::spawn(run(socket, role, outgoing, to_node));
        Self { blobs, events, task }
    }

    /// Queues a blob for the peer.
    pub(super) fn send(&self, blob: Vec<u8>) {
        // A task that has ended has said why.
        let _ = self.blobs.send(blob);
    }

    /// The next event; waits for ever after the last.
    pub(super) async fn next(&mut self) -> Signaled {
        match self.events.recv().await {
            Some(signaled) => signaled,
            None => std::future::pending().await,
        }
    }

    /// Ends the task and waits until the queued blobs are out.
    pub(super) async fn finish_and_wait(self) {
        drop(self.blobs);
        drop(self.events);
        let _ = tokio::time::timeout(FINISH, self.task).await;
    }
}

async fn run(
    mut socket: Socket,
    role: Role,
    mut outgoing: mpsc::UnboundedReceiver<Vec<u8>>,
    to_node: mpsc::Sender<Signaled>,
) {
    loop {
        let event = tokio::select! {
            biased;
            blob = outgoing.recv() => match blob {
                Some(blob) => match socket.send_blob(blob).await {
                    Ok(()) => continue,
                    Err(error) => Err(error),
                },
                None => return socket.close(CloseReason::Done).await,
            },
            event = socket.recv() => event,
        };
        let signaled = match event {
            Ok(Event::Blob(blob)) => Signaled::Blob(blob),
            Ok(Event::PeerJoined) => continue,
            Ok(Event::PeerLeft | Event::Closed(_)) => Signaled::PeerLeft,
            Ok(Event::Error { code: ErrorCode::Expired, .. }) => {
                Signaled::Failed(nobody_came(role))
            }
            Ok(Event::Error { code, .. }) => failed(&SignalError::of_code(code, None)),
            Err(error) => failed(&error),
        };
        let over = matches!(signaled, Signaled::Failed(_));
        // A node that has what it needs no longer listens.
        if to_node.send(signaled).await.is_err() && !over {
            continue;
        }
        if over {
            return;
        }
    }
}

fn failed(error: &SignalError) -> Signaled {
    Signaled::Failed(failure(error))
}

/// The failure of a side whose session expired while its socket was open. What it came
/// with was good, and it is the other side that is missing.
fn nobody_came(role: Role) -> Failure {
    match role {
        Role::Responder => Failure::new(
            Exit::Declined,
            "nobody came in time, and the server waits no longer",
            "Run 'passel send' again and pass on the new code or link: the old one has expired.",
        ),
        Role::Initiator => Failure::new(
            Exit::Lost,
            "the other side did not answer in time, and the server waits no longer",
            "Ask the other side to start again.",
        ),
    }
}

/// The failure that ends the program when the rendezvous fails.
pub(crate) fn failure(error: &SignalError) -> Failure {
    let (exit, advice) = match error {
        SignalError::NotFound | SignalError::AlreadyJoined | SignalError::Expired => (
            Exit::Authentication,
            "Check it for mistakes, or ask for a new one: each can be used only once.",
        ),
        SignalError::Closed => (Exit::Cancelled, "Ask the other side to start again."),
        SignalError::RateLimited { .. } | SignalError::Full => {
            (Exit::Server, "Wait a little and try again.")
        }
        SignalError::BadUrl
        | SignalError::Unreachable { .. }
        | SignalError::Untrusted { .. }
        | SignalError::TimedOut { .. }
        | SignalError::Lost
        | SignalError::TooLarge
        | SignalError::ServerMisbehaved { .. } => (
            Exit::Server,
            "Check the address, the network, and that 'passel send' or the server still runs.",
        ),
    };
    Failure::new(exit, error, advice)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The same word of the server means two things: that a code or link is of no use, to
    /// whoever comes with it too late, and that nobody came, to whoever waits.
    #[test]
    fn an_invitation_that_nobody_took_is_no_wrong_code() {
        let told = nobody_came(Role::Responder);
        assert_eq!(told.exit, Exit::Declined);
        assert!(told.text.starts_with("Nobody came in time"), "{told}");
        assert!(told.advice.contains("new code or link"), "{told}");
        assert_eq!(nobody_came(Role::Initiator).exit, Exit::Lost);
        assert_eq!(failure(&SignalError::Expired).exit, Exit::Authentication);
    }
}
