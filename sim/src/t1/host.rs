//! One host of T1: an endpoint with its sockets and its storage.

use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use passel_proto::crypto::{Entropy, Secret32};
use passel_proto::error::Error;
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
use crate::oracle::{Broken, broken};
use crate::plan::Side;
use crate::world::World;

/// Where the rendezvous would keep the blobs; both sides must name the same.
const ROUTE: &[u8] = b"route of the simulation";

/// The port of each side's first lane. Further lanes have those that follow.
const FIRST_PORTS: [u16; 2] = [40_000, 50_000];

/// The lane of a socket of this side.
pub(super) fn lane_of(side: Side, socket: SocketAddr) -> u16 {
    socket.port().saturating_sub(FIRST_PORTS[side.place()])
}

#[derive(Debug)]
pub(super) struct Host {
    pub(super) endpoint: Box<Endpoint>,
    pub(super) disk: Disk,
    pub(super) clock: Clock,
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
        let first = |socket: &&SocketAddr| FIRST_PORTS.contains(&socket.port());
        let further = |socket: &SocketAddr| SocketAddr::new(socket.ip(), socket.port() + lane);
        let bound: Vec<_> = self.sockets.iter().filter(first).map(further).collect();
        self.endpoint.bind_lane(now, lane, &bound);
        self.sockets.extend(bound);
    }

    /// All datagrams have gone out: further lanes that are over need no sockets.
    pub(super) fn close_lanes(&mut self) {
        for lane in self.over.drain(..) {
            let is_its = |port: u16| FIRST_PORTS.iter().any(|first| first + lane == port);
            self.sockets.retain(|socket| !is_its(socket.port()));
        }
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
        let port = self.sockets.first().map_or(0, SocketAddr::port);
        let sockets: Vec<_> = addresses.iter().map(|ip| SocketAddr::new(*ip, port)).collect();
        let gone = std::mem::replace(&mut self.sockets, sockets.clone());
        self.left.extend(&gone);
        (gone, sockets)
    }
}

/// Both hosts of a plan, which know the same link.
pub(super) fn both<T>(plan: &Plan, world: &World<T>) -> Result<[Host; 2], Broken> {
    let mut seed = [0; 32];
    seed[..8].copy_from_slice(&plan.seed.to_le_bytes());
    let mut entropy = Entropy::from_seed(seed);
    let secret = Secret32::new(entropy.array());
    let mut made = |side: Side| {
        let now = world.instant_by(plan.hosts[side.place()].clock);
        match host(plan, side, &secret, &mut entropy, now) {
            Ok(host) => Ok(host),
            Err(error) => broken("the plan can be run", format!("{side:?}: {error}")),
        }
    };
    Ok([made(Side::Inviter)?, made(Side::Joiner)?])
}

fn host(
    plan: &Plan,
    side: Side,
    secret: &Secret32,
    entropy: &mut Entropy,
    now: Instant,
) -> Result<Host, Error> {
    let (role, signal) = match side {
        Side::Inviter => {
            let signal = SignalSession::creator(Some(secret.clone()), None, ROUTE, entropy)?;
            (Role::Responder, signal)
        }
        Side::Joiner => (Role::Initiator, SignalSession::joiner_link(secret, ROUTE, entropy)?),
    };
    let mut lane = LaneConfig::new(role, 0, IceCredentials::from_seed(&entropy.array()));
    lane.dtls = DtlsVersion::Dtls13;
    lane.certificate = Some(crypto::certificate(side));
    lane.crypto = Some(crypto::provider());
    let mut config = EndpointConfig::new(role, signal, lane, entropy.array());
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
    let mut endpoint = Endpoint::new(config, now)?;
    let mut sockets = Vec::new();
    for address in &plan.hosts[side.place()].addresses {
        let socket = SocketAddr::new(*address, FIRST_PORTS[side.place()]);
        endpoint.add_local_candidate(socket);
        sockets.push(socket);
    }
    Ok(Host {
        endpoint: Box::new(endpoint),
        disk: Disk::new(plan.planted),
        clock: plan.hosts[side.place()].clock,
        sockets,
        over: Vec::new(),
        left: Vec::new(),
        timer: None,
        generation: 0,
        wakes_at_now: (0, 0),
        done: false,
    })
}
