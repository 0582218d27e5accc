//! Ctrl-C and the polite signals: the first asks for an orderly end, so that
//! the other side is told; the second ends at once.

use crate::exit::Exit;

/// Completes when the user, or the system, asks the program to end. Once it has
/// completed, another request ends the process at once.
pub(super) async fn asked() {
    wait().await;
    tokio::spawn(async {
        wait().await;
        std::process::exit(Exit::Cancelled.code().into());
    });
}

#[cfg(unix)]
async fn wait() {
    use tokio::signal::unix::{SignalKind, signal};
    let mut streams = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()]
        .into_iter()
        .filter_map(|kind| signal(kind).ok());
    match (streams.next(), streams.next(), streams.next()) {
        (Some(mut interrupt), Some(mut terminate), Some(mut hangup)) => {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
                _ = hangup.recv() => {}
            }
        }
        _ => std::future::pending().await,
    }
}

#[cfg(not(unix))]
async fn wait() {
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}
