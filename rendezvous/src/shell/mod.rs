//! The server behind HTTP and WebSocket, with tokio and axum: it brings the
//! clock, the entropy and the sockets. No decision of the protocol is made
//! here. `http` has the requests, `socket` the WebSockets, `origin` says whose
//! request it is, `listen` accepts connections, `crowd` counts those of each client.
//! Their log lines name kinds of failures and codes alone (`RV-LOG`).

mod crowd;
mod http;
mod listen;
mod origin;
mod socket;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use axum::Router;
use tokio::sync::{Notify, mpsc};

pub use self::listen::{Listener, serve, serve_router};
use crate::server::{Action, Config, ConnId, Refusal, Server};

/// Actions that wait for one socket; more, and it is given up (`RV-SLOW`).
const SOCKET_BACKLOG: usize = 128;

/// Limits of the shell and of the server in it.
#[derive(Clone, Debug)]
pub struct ShellConfig {
    /// The server's limits.
    pub server: Config,
    /// Reverse proxies whose `X-Forwarded-For` is believed. Everybody else's is
    /// ignored, since anybody can send one.
    pub trusted_proxies: Vec<IpAddr>,
    /// TCP connections at once; more wait to be accepted. One that has become a
    /// socket counts no longer, as the server counts it.
    pub max_connections: usize,
    /// Of these, connections of one client; more are closed at once. Trusted proxies
    /// stand for many clients and have as many as they like (`RV-CONNECTIONS`).
    pub max_connections_per_client: usize,
    /// Time for a client to send a request's head, and again for its body
    /// (`RV-BODY-TIME`).
    pub request_timeout: Duration,
    /// Time between two pings on a socket, at most 30 s (`RV-PING`).
    pub ping_interval: Duration,
    /// Silence after which a socket counts as lost (`RV-PING`).
    pub silence: Duration,
}

impl Default for ShellConfig {
    fn default() -> Self {
        Self {
            server: Config::default(),
            trusted_proxies: Vec::new(),
            max_connections: 5_000,
            // All sockets of one client may be opened at the same time.
            max_connections_per_client: 80,
            request_timeout: Duration::from_secs(10),
            ping_interval: Duration::from_secs(25),
            silence: Duration::from_secs(90),
        }
    }
}

/// A running rendezvous server: cheap to clone, ends with its last clone.
#[derive(Clone)]
pub struct Rendezvous {
    inner: Arc<Inner>,
}

struct Inner {
    shared: Mutex<Shared>,
    config: ShellConfig,
    /// Tells the timer task that the next timeout may be another one.
    changed: Arc<Notify>,
}

struct Shared {
    server: Server,
    sockets: BTreeMap<ConnId, mpsc::Sender<Action>>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.changed.notify_one();
    }
}

/// The routes of a rendezvous server, to be served or merged with others. The
/// service needs `ConnectInfo<SocketAddr>` in each request's extensions, as
/// [`serve_router`] puts it there; without it all requests count as one client's.
pub fn router(rendezvous: &Rendezvous) -> Router {
    http::router(rendezvous.clone())
}

/// The runtime's clock, which may be simulated.
fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

impl Rendezvous {
    /// Starts a server, with entropy from the system (`SC-ENTROPY`). Needs a tokio runtime, on
    /// which a task is spawned that drives the server's timers.
    ///
    /// # Errors
    /// When the system gives no entropy.
    pub fn start(config: ShellConfig) -> std::io::Result<Self> {
        let mut seed = [0; 32];
        #[expect(clippy::disallowed_methods, reason = "the shell is where entropy comes from")]
        getrandom::fill(&mut seed).map_err(std::io::Error::other)?;
        let changed = Arc::new(Notify::new());
        let server = Server::new(config.server.clone(), seed);
        let shared = Mutex::new(Shared { server, sockets: BTreeMap::new() });
        let inner = Arc::new(Inner { shared, config, changed: Arc::clone(&changed) });
        tokio::spawn(drive_timers(Arc::downgrade(&inner), changed));
        Ok(Self { inner })
    }

    /// Closes all sockets. Sessions without one live on until they expire.
    pub fn close_sockets(&self) {
        self.lock().sockets.clear();
    }

    fn config(&self) -> &ShellConfig {
        &self.inner.config
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.inner.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One input to the server, and everything that follows from it.
    fn with<T>(&self, input: impl FnOnce(&mut Server, Instant) -> T) -> T {
        let mut shared = self.lock();
        let now = now();
        let result = input(&mut shared.server, now);
        shared.drain(now);
        drop(shared);
        self.inner.changed.notify_one();
        result
    }

    /// A socket was opened: its number, and what to do with it from now on.
    fn connect(&self, ip: IpAddr) -> Result<(ConnId, mpsc::Receiver<Action>), Refusal> {
        let (sender, receiver) = mpsc::channel(SOCKET_BACKLOG);
        let mut shared = self.lock();
        let now = now();
        let result = shared.server.connect(now, ip);
        if let Ok(conn) = result {
            shared.sockets.insert(conn, sender);
        }
        shared.drain(now);
        drop(shared);
        self.inner.changed.notify_one();
        result.map(|conn| (conn, receiver))
    }

    fn detach(&self, conn: ConnId) {
        self.with(|server, now| server.detach(now, conn));
        self.lock().sockets.remove(&conn);
    }
}

impl Shared {
    /// Hands the server's outputs to the tasks of their sockets.
    fn drain(&mut self, now: Instant) {
        while let Some(output) = self.server.poll_output() {
            let is_last = output.action == Action::Close;
            let Some(socket) = self.sockets.get(&output.conn) else { continue };
            // RV-SLOW: dropping the sender makes the socket's task close it.
            let is_stuck = socket.try_send(output.action).is_err();
            if is_last || is_stuck {
                self.sockets.remove(&output.conn);
            }
            if is_stuck {
                self.server.detach(now, output.conn);
            }
        }
    }
}

/// Wakes the server when its time has come, as long as somebody has it.
async fn drive_timers(inner: Weak<Inner>, changed: Arc<Notify>) {
    loop {
        let Some(inner) = inner.upgrade() else { return };
        let rendezvous = Rendezvous { inner };
        let due = rendezvous.lock().server.poll_timeout().map(|(due, _)| due);
        if due.is_some_and(|due| due <= now()) {
            rendezvous.with(Server::handle_timeout);
            continue;
        }
        drop(rendezvous);
        match due {
            Some(due) => {
                let wake = tokio::time::sleep_until(due.into());
                tokio::select! { biased; () = wake => {} () = changed.notified() => {} }
            }
            None => changed.notified().await,
        }
    }
}

#[cfg(test)]
mod tests;
