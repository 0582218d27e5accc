//! One host of T1: an endpoint with its sockets and its storage.

use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use passel_proto::crypto::Entropy;
use passel_proto::error::Error;
use passel_proto::handshake::Resumption;
use passel_proto::ids::Role;
use passel_proto::signal::SignalSession;
use passel_proto::suite::Suite;
use passel_sans_io::endpoint::{Endpoint, EndpointConfig};
use passel_sans_io::ice::turn::TurnServer;
use passel_sans_io::lane::{DtlsVersion, IceCredentials, LaneConfig};

use super::crypto;
use super::disk::Disk;
use super::plan::Plan;
use crate::clock::Clock;
use crate::net::{stun, turn};
use crate::plan::Side;

/// The port of each side's first lane in the first connection. Further lanes have those
/// that follow, and each connection has others.
const FIRST_PORTS: [u16; 2] = [40_000, 50_000];
/// Ports from one connection to the next; more than there are lanes.
const PORTS: u16 = 64;

#[derive(Debug)]
pub(super) struct Host {
    pub(super) endpoint: Box<Endpoint>,
    pub(super) disk: Disk,
    pub(super) clock: Clock,
    /// By what it knows the peer again, the newest first.
    pub(super) kept: Vec<Resumption>,
    /// The program has died.
    pub(super) dead: bool,
    /// Where its addresses are from now on.
    first_port: u16,
    /// One for each address.
    sockets: Vec<SocketAddr>,
    /// Further lanes that are over.
    pub(super) over: Vec<u16>,
    /// Those of addresses that it had before.
    left: Vec<SocketAddr>,
    /// When the endpoint wants to be woken.
    pub(super) timer: Option<u64>,
    /// Counts the timers that were set.
    pub(super) generation: u64,
    /// Wake-ups at the moment of the last one.
    pub(super) wakes_at_now: (u64, u32),
    /// The endpoint has said that it is done.
    pub(super) done: bool,
}

impl Host {
    /// Binds sockets of its own for a further lane.
    pub(super) fn bind_lane(&mut self, now: Instant, lane: u16) {
        let first = |socket: &&SocketAddr| socket.port() == self.first_port;
        let further = |socket: &SocketAddr| SocketAddr::new(socket.ip(), socket.port() + lane);
        let bound: Vec<_> = self.sockets.iter().filter(first).map(further).collect();
        self.endpoint.bind_lane(now, lane, &bound);
        self.sockets.extend(bound);
    }

    /// All datagrams have gone out: further lanes that are over need no sockets.
    pub(super) fn close_lanes(&mut self) {
        for lane in self.over.drain(..) {
            let its = self.first_port + lane;
            self.sockets.retain(|socket| socket.port() != its);
        }
    }

    /// The lane of a socket of this host.
    pub(super) fn lane_of(&self, socket: SocketAddr) -> u16 {
        socket.port().saturating_sub(self.first_port)
    }

    /// Whether one of its sockets has this address.
    pub(super) fn owns(&self, address: SocketAddr) -> bool {
        self.sockets.contains(&address)
    }

    /// Whether one of its sockets had this address; nothing gets out there.
    pub(super) fn has_left(&self, address: SocketAddr) -> bool {
        self.left.contains(&address)
    }

    /// Gives it other addresses, and a socket for each: those that are gone, and the
    /// new ones.
    pub(super) fn roam(&mut self, addresses: &[IpAddr]) -> (Vec<SocketAddr>, Vec<SocketAddr>) {
        let port = self.first_port;
        let sockets: Vec<_> = addresses.iter().map(|ip| SocketAddr::new(*ip, port)).collect();
        let gone = std::mem::replace(&mut self.sockets, sockets.clone());
        self.left.extend(&gone);
        (gone, sockets)
    }
}

/// What is needed for a connection, beside the plan.
#[derive(Debug)]
pub(super) struct Start<'a> {
    /// The number of the connection.
    pub(super) connection: u32,
    /// The addresses of the host.
    pub(super) addresses: &'a [IpAddr],
    /// How it finds the other.
    pub(super) signal: SignalSession,
    /// The time by its clock.
    pub(super) now: Instant,
}

impl Host {
    /// A host with an empty disk that has met nobody.
    pub(super) fn new(
        plan: &Plan,
        side: Side,
        start: Start<'_>,
        entropy: &mut Entropy,
    ) -> Result<Self, Error> {
        let (first_port, sockets) = sockets(side, &start);
        Ok(Self {
            endpoint: endpoint(plan, side, start, &sockets, entropy)?,
            disk: Disk::new(plan, side),
            clock: plan.hosts[side.place()].clock,
            kept: Vec::new(),
            dead: false,
            first_port,
            sockets,
            over: Vec::new(),
            left: Vec::new(),
            timer: None,
            generation: 0,
            wakes_at_now: (0, 0),
            done: false,
        })
    }

    /// Begins another connection, with what it kept and what is on its disk.
    pub(super) fn begin(
        &mut self,
        plan: &Plan,
        side: Side,
        start: Start<'_>,
        entropy: &mut Entropy,
    ) -> Result<(), Error> {
        (self.first_port, self.sockets) = sockets(side, &start);
        self.endpoint = endpoint(plan, side, start, &self.sockets, entropy)?;
        self.disk.park();
        self.over.clear();
        self.timer = None;
        (self.dead, self.done) = (false, false);
        Ok(())
    }
}

/// The sockets of the first lane, and their port.
fn sockets(side: Side, start: &Start<'_>) -> (u16, Vec<SocketAddr>) {
    let nth = u16::try_from(start.connection).unwrap_or(0);
    let port = FIRST_PORTS[side.place()] + nth * PORTS;
    (port, start.addresses.iter().map(|ip| SocketAddr::new(*ip, port)).collect())
}

fn endpoint(
    plan: &Plan,
    side: Side,
    start: Start<'_>,
    sockets: &[SocketAddr],
    entropy: &mut Entropy,
) -> Result<Box<Endpoint>, Error> {
    let role = match side {
        Side::Inviter => Role::Responder,
        Side::Joiner => Role::Initiator,
    };
    let mut lane = LaneConfig::new(role, 0, IceCredentials::from_seed(&entropy.array()));
    lane.dtls = DtlsVersion::Dtls13;
    lane.certificate = Some(crypto::certificate(side));
    lane.crypto = Some(crypto::provider());
    let mut config = EndpointConfig::new(role, start.signal, lane, entropy.array());
    let servers = plan.servers.iter().flat_map(|server| &server.addresses);
    config.stun_servers = servers.map(|ip| SocketAddr::new(*ip, stun::PORT)).collect();
    let relays = plan.relays.iter().filter(|relay| relay.users.contains(&side));
    let relays = relays.flat_map(|relay| &relay.host.addresses).map(|ip| TurnServer {
        address: SocketAddr::new(*ip, turn::PORT),
        user: turn::USER.0.to_owned(),
        password: turn::USER.1.to_owned().into(),
    });
    config.turn_servers = relays.collect();
    config.relay_only = plan.relay_only.contains(&side);
    config.lanes = plan.lanes;
    config.suites = Suite::preference(plan.aes.contains(&side));
    let mut endpoint = Endpoint::new(config, start.now)?;
    for socket in sockets {
        endpoint.add_local_candidate(*socket);
    }
    Ok(Box::new(endpoint))
}
