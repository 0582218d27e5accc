//! What an endpoint is told at its beginning, and what it tells its caller.

use std::net::SocketAddr;
use std::time::Duration;

use passel_proto::connection::{self, Timers};
use passel_proto::error::Error;
use passel_proto::handshake::{Auth, TransportBinding};
use passel_proto::ids::Role;
use passel_proto::signal::SignalSession;
use passel_proto::suite::Suite;

use crate::ice::turn::TurnServer;
use crate::lane::{Dtls, LaneConfig, Path};

/// Time to find a path, from the peer's description to an open channel
/// (`TB-CONNECT-TIMEOUT`).
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);

/// What an endpoint needs to know.
pub struct EndpointConfig {
    /// The initiator joined the other's invitation.
    pub role: Role,
    /// Seals what goes through the rendezvous, and brings the secret that the
    /// handshake rests on.
    pub signal: SignalSession,
    /// The lane; its role and number are set by the endpoint.
    pub lane: LaneConfig,
    /// 32 bytes from a CSPRNG, never used twice.
    pub seed: [u8; 32],
    /// Chunk size of this side's offers, as a power of two; the default if none.
    pub chunk_log2: Option<u8>,
    /// Cipher suites that this side offers or chooses from; see
    /// [`Config::suites`](connection::Config::suites) and [`Suite::preference`].
    pub suites: Vec<Suite>,
    /// Who compares chunks with their leaves; see
    /// [`Config::storage_checks_leaves`](connection::Config::storage_checks_leaves).
    pub storage_checks_leaves: bool,
    /// How long the connection waits for things.
    pub timers: Timers,
    /// STUN servers that tell this side how it is seen from outside; none unless
    /// set, and no more than [`MAX_STUN_SERVERS`](crate::ice::MAX_STUN_SERVERS).
    pub stun_servers: Vec<SocketAddr>,
    /// TURN servers that carry what finds no direct path; none unless set, and no more
    /// than [`MAX_TURN_SERVERS`](crate::ice::turn::MAX_TURN_SERVERS).
    pub turn_servers: Vec<TurnServer>,
    /// The peer is to learn no address of this side but relayed ones, and nothing is
    /// sent to it but through relays (`TB-TURN-ONLY`). There is one lane then.
    pub relay_only: bool,
    /// Time to find a path; [`CONNECT_TIMEOUT`] unless changed.
    pub connect_timeout: Duration,
    /// Lanes that this side takes, lane 0 among them: 1 to
    /// [`MAX_LANES_COUNT`](passel_proto::limits::MAX_LANES_COUNT). With more than 1,
    /// the caller must answer [`EndpointEvent::LaneWanted`].
    pub lanes: u16,
}

impl EndpointConfig {
    /// Defaults for everything but who the peer is and what is random.
    pub fn new(role: Role, signal: SignalSession, lane: LaneConfig, seed: [u8; 32]) -> Self {
        Self {
            role,
            signal,
            lane,
            seed,
            chunk_log2: None,
            suites: Suite::preference(false),
            storage_checks_leaves: false,
            timers: Timers::default(),
            stun_servers: Vec::new(),
            turn_servers: Vec::new(),
            relay_only: false,
            connect_timeout: CONNECT_TIMEOUT,
            lanes: 1,
        }
    }
}

/// What an endpoint keeps for its connection until there is one.
pub(super) struct ForConnection {
    chunk_log2: Option<u8>,
    suites: Vec<Suite>,
    storage_checks_leaves: bool,
    timers: Timers,
    lanes: u16,
}

impl ForConnection {
    pub(super) fn of(config: &mut EndpointConfig) -> Self {
        Self {
            chunk_log2: config.chunk_log2,
            suites: std::mem::take(&mut config.suites),
            storage_checks_leaves: config.storage_checks_leaves,
            timers: config.timers,
            lanes: if config.relay_only { 1 } else { config.lanes },
        }
    }

    pub(super) fn config(&self, auth: Auth, binding: TransportBinding) -> connection::Config {
        let mut config = connection::Config::new(auth, binding);
        config.suites.clone_from(&self.suites);
        config.storage_checks_leaves = self.storage_checks_leaves;
        config.timers = self.timers;
        config.lanes = self.lanes;
        config.chunk_log2 = self.chunk_log2.unwrap_or(config.chunk_log2);
        config
    }
}

/// A piece of news from an endpoint, in the order in which things happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EndpointEvent {
    /// The peer's description is here and proved that it knows the secret; a
    /// path is being looked for.
    Connecting,
    /// The transport is up. The rendezvous is not needed any more.
    Connected {
        /// The path that ICE chose.
        path: Path,
        /// The DTLS version agreed upon.
        dtls: Dtls,
    },
    /// A further lane needs a socket of its own: bind one, and say where it listens
    /// with [`Endpoint::bind_lane`](super::Endpoint::bind_lane). Of the lanes that this
    /// side opens, one is wanted at a time: the next once this one has a socket.
    LaneWanted {
        /// The lane. If it is given up before it had a socket, the number comes again.
        lane: u16,
    },
    /// A further lane is over: once the datagrams that wait have gone out, its socket
    /// is of no more use.
    LaneOver {
        /// The lane.
        lane: u16,
    },
    /// News of the connection above. `Closed` comes exactly once, also when the
    /// connection never came to be.
    Connection(connection::Event),
}

impl EndpointEvent {
    pub(super) fn closed(error: Option<Error>) -> Self {
        EndpointEvent::Connection(connection::Event::Closed { error })
    }
}
