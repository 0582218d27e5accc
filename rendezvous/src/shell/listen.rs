//! Accepts connections and serves one request of HTTP/1.1 on each, with bounds on
//! their number and on the time that a request may take to arrive. They are TCP's, or
//! those of a simulation.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::ConnectInfo;
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::map_response;
use axum::response::Response;
use axum::{Extension, Router};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::crowd::Crowd;
use super::{Rendezvous, ShellConfig, router};

/// Pause after a failed accept, such as for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Where connections come from.
pub trait Listener: Send + Sync + 'static {
    /// A connection.
    type Stream: AsyncRead + AsyncWrite + Send + Unpin + 'static;

    /// The next connection and who made it. Dropping the future loses none.
    fn accept(&self) -> impl Future<Output = io::Result<(Self::Stream, SocketAddr)>> + Send;

    /// The address that is listened at.
    ///
    /// # Errors
    /// The system's.
    fn local_addr(&self) -> io::Result<SocketAddr>;
}

impl Listener for TcpListener {
    type Stream = tokio::net::TcpStream;

    async fn accept(&self) -> io::Result<(Self::Stream, SocketAddr)> {
        TcpListener::accept(self).await
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        TcpListener::local_addr(self)
    }
}

/// Runs a rendezvous server on `listener` until `shutdown` is done, then closes
/// all its connections.
///
/// # Errors
/// When the system gives no entropy. Failures of single connections only show
/// in the log.
pub async fn serve(
    listener: impl Listener,
    config: ShellConfig,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    let rendezvous = Rendezvous::start(config.clone())?;
    serve_router(listener, router(&rendezvous), &config, shutdown).await;
    rendezvous.close_sockets();
    Ok(())
}

/// Serves `router`, which may hold other routes next to [`router`]'s, until
/// `shutdown` is done. A connection ends with its first answer, unless it becomes a
/// WebSocket. These outlive it: see [`Rendezvous::close_sockets`].
pub async fn serve_router(
    listener: impl Listener,
    router: Router,
    config: &ShellConfig,
    shutdown: impl Future<Output = ()>,
) {
    let permits = Arc::new(Semaphore::new(config.max_connections.clamp(1, Semaphore::MAX_PERMITS)));
    let crowd = Crowd::new(config);
    let router = router.layer(map_response(only_answer));
    let mut connections = JoinSet::new();
    let mut http = http1::Builder::new();
    // RV-BODY-TIME
    http.timer(TokioTimer::new()).header_read_timeout(config.request_timeout);
    tokio::pin!(shutdown);
    loop {
        let accepted = async {
            let permit = Arc::clone(&permits).acquire_owned().await;
            (permit, listener.accept().await)
        };
        let (permit, accepted) = tokio::select! {
            biased;
            () = &mut shutdown => return,
            Some(_) = connections.join_next() => continue,
            accepted = accepted => accepted,
        };
        let (stream, remote) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(kind = ?error.kind(), "no connection accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        // RV-CONNECTIONS
        let Some(room) = crowd.enter(remote.ip()) else {
            tracing::debug!("connection closed: its client has too many");
            continue;
        };
        let service = router.clone().layer(Extension(ConnectInfo(remote)));
        let connection = http
            .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service))
            .with_upgrades();
        connections.spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(timed_out = error.is_timeout(), "connection failed");
            }
            drop((permit, room));
        });
    }
}

/// Has a connection end with its answer, so that nobody holds one by asking again and
/// again (`RV-CONNECTIONS`). Clients ask once on each.
async fn only_answer(mut response: Response) -> Response {
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}
