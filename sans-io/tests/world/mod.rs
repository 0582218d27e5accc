//! Two endpoints and what lies between them. What lives here is the world; what it
//! must show is in the tests that use it.

#![allow(dead_code, unreachable_pub)] // each test uses a part of it
#![allow(clippy::unwrap_used)] // a test that fails says so

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use passel_proto::connection::Event;
use passel_proto::crypto::{Entropy, Secret32, SecretBytes};
use passel_proto::error::Error;
use passel_proto::ids::Role;
use passel_proto::manifest::Manifest;
use passel_proto::signal::SignalSession;
use passel_sans_io::carrier::{Carrier, Command};
use passel_sans_io::datagram::Datagram;
use passel_sans_io::endpoint::{Endpoint, EndpointConfig, EndpointEvent};
use passel_sans_io::lane::{IceCredentials, LaneConfig};

use crate::support::{Disk, epoch, manifest};

pub const ROUTE: &[u8] = b"route";
pub const DELAY: Duration = Duration::from_millis(5);

pub struct Peer {
    pub endpoint: Endpoint,
    pub address: SocketAddr,
    pub disk: Disk,
    pub events: Vec<EndpointEvent>,
    /// Transports of further lanes that are driven apart from the endpoint.
    pub carriers: BTreeMap<u16, Carrier>,
}

/// Datagrams that do not arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    Nothing,
    /// All but connectivity checks.
    Data,
    All,
}

pub struct World {
    pub now: Instant,
    /// The creator, who sends, and the joiner.
    pub peers: Vec<Peer>,
    pub datagrams: VecDeque<(Instant, usize, Datagram)>,
    pub blobs: Vec<Vec<u8>>,
    /// Changes a blob on its way from the peer with this number.
    pub meddle: fn(usize, &mut Vec<u8>),
    pub manifest: Option<Manifest>,
    /// What is lost from now on.
    pub cut: Cut,
    /// One of so many datagrams is lost; none if it is 0.
    pub lossy: u32,
    pub sent: u32,
    /// One way.
    pub delay: Duration,
    /// Whether further lanes are driven apart.
    pub apart: bool,
    /// Before this moment a peer has no sockets for further lanes.
    pub sockets_from: [Option<Instant>; 2],
    /// The caller of the sender never says anything of further lanes.
    pub is_deaf: bool,
    /// Ports of further lanes, counted up from that of lane 0, that reach nobody.
    pub dead: BTreeSet<u16>,
    /// Longer datagrams than this are lost, in bytes of UDP payload.
    pub takes: usize,
    /// The longest datagram of the sender for each lane.
    pub longest: BTreeMap<u16, usize>,
    /// Datagrams that each port of the sender sent.
    pub by_port: BTreeMap<u16, u32>,
}

pub fn lane(entropy: &mut Entropy) -> LaneConfig {
    LaneConfig::new(Role::Initiator, 0, IceCredentials::from_seed(&entropy.array()))
}

pub fn world(
    creator: impl Fn(&mut Entropy) -> SignalSession,
    joiner: impl Fn(&mut Entropy) -> SignalSession,
) -> World {
    world_of(creator, joiner, 1)
}

/// The same with so many lanes that both take.
pub fn laned(lanes: u16) -> World {
    let secret = || Secret32::new([9; 32]);
    world_of(
        move |entropy| SignalSession::creator(Some(secret()), None, ROUTE, entropy).unwrap(),
        move |entropy| SignalSession::joiner_link(&secret(), ROUTE, entropy).unwrap(),
        lanes,
    )
}

fn world_of(
    creator: impl Fn(&mut Entropy) -> SignalSession,
    joiner: impl Fn(&mut Entropy) -> SignalSession,
    lanes: u16,
) -> World {
    let now = epoch();
    let mut entropy = Entropy::from_seed([5; 32]);
    let mut peer = |role, signal, address: &str| {
        let lane = lane(&mut entropy);
        let mut config = EndpointConfig::new(role, signal, lane, entropy.array());
        config.lanes = lanes;
        let address: SocketAddr = address.parse().unwrap();
        let mut endpoint = Endpoint::new(config, now).unwrap();
        assert!(endpoint.add_local_candidate(address));
        Peer {
            endpoint,
            address,
            disk: Disk::default(),
            events: Vec::new(),
            carriers: BTreeMap::new(),
        }
    };
    let mut signals = Entropy::from_seed([6; 32]);
    let creator = peer(Role::Responder, creator(&mut signals), "10.0.0.1:1000");
    let joiner = peer(Role::Initiator, joiner(&mut signals), "10.0.0.2:2000");
    let mut world = World {
        now,
        peers: vec![creator, joiner],
        datagrams: VecDeque::new(),
        blobs: Vec::new(),
        meddle: |_, _| {},
        manifest: None,
        cut: Cut::Nothing,
        lossy: 0,
        sent: 0,
        delay: DELAY,
        apart: false,
        sockets_from: [None; 2],
        is_deaf: false,
        dead: BTreeSet::new(),
        takes: usize::MAX,
        longest: BTreeMap::new(),
        by_port: BTreeMap::new(),
    };
    for peer in &mut world.peers {
        peer.endpoint.start(now);
    }
    world
}

pub fn linked() -> World {
    let secret = || Secret32::new([9; 32]);
    world(
        move |entropy| SignalSession::creator(Some(secret()), None, ROUTE, entropy).unwrap(),
        move |entropy| SignalSession::joiner_link(&secret(), ROUTE, entropy).unwrap(),
    )
}

pub fn coded(creator: &'static str, joiner: &'static str) -> World {
    let words = |words: &str| SecretBytes::new(words.as_bytes().to_vec());
    world(
        move |entropy| SignalSession::creator(None, Some(&words(creator)), ROUTE, entropy).unwrap(),
        move |entropy| SignalSession::joiner_code(&words(joiner), ROUTE, entropy).unwrap(),
    )
}

impl World {
    /// Drains both peers at this moment.
    pub fn drain(&mut self) {
        let mut busy = true;
        while busy {
            busy = false;
            for n in 0..2 {
                let peer = &mut self.peers[n];
                while let Some(event) = peer.endpoint.poll_event() {
                    if let EndpointEvent::LaneWanted { lane } = event
                        && !(self.is_deaf && n == 0)
                    {
                        let mut address = peer.address;
                        address.set_port(address.port() + lane);
                        let has_socket = self.sockets_from[n].is_none_or(|from| from <= self.now);
                        let bound = if has_socket { &[address][..] } else { &[] };
                        if self.apart {
                            let carrier = peer.endpoint.bind_lane_apart(self.now, lane, bound);
                            peer.carriers.extend(carrier.map(|carrier| (lane, carrier)));
                        } else {
                            peer.endpoint.bind_lane(self.now, lane, bound);
                        }
                    }
                    peer.events.push(event);
                    busy = true;
                }
                while let Some(request) = peer.endpoint.poll_storage() {
                    let reply = peer.disk.carry_out(request, self.manifest.as_ref().unwrap());
                    peer.endpoint.handle_storage(self.now, reply).unwrap();
                    busy = true;
                }
                let mut datagrams = Vec::new();
                while let Some(datagram) = peer.endpoint.poll_datagram() {
                    datagrams.push(datagram);
                }
                busy |= peer.drive_carriers(self.now, &mut datagrams);
                for datagram in datagrams {
                    self.carry(n, datagram);
                }
                let peer = &mut self.peers[n];
                let mut blobs = Vec::new();
                while let Some(blob) = peer.endpoint.poll_signal() {
                    blobs.push(blob);
                }
                for mut blob in blobs {
                    (self.meddle)(n, &mut blob);
                    self.blobs.push(blob.clone());
                    self.peers[1 - n].endpoint.handle_signal(self.now, &blob);
                    busy = true;
                }
            }
        }
    }

    /// Takes a datagram from one of the peers to the other, if it does not get lost.
    fn carry(&mut self, from: usize, datagram: Datagram) {
        let address = self.peers[from].address;
        assert_eq!(datagram.source.ip(), address.ip());
        self.sent += 1;
        let lane = datagram.source.port() - address.port();
        if from == 0 {
            *self.by_port.entry(lane).or_default() += 1;
            let longest = self.longest.entry(lane).or_default();
            *longest = datagram.contents.len().max(*longest);
        }
        let is_cut = match self.cut {
            Cut::Nothing => false,
            Cut::Data => matches!(datagram.contents.first(), Some(20..)),
            Cut::All => true,
        };
        let lost = is_cut
            || self.lossy > 0 && self.sent.is_multiple_of(self.lossy)
            || self.dead.contains(&lane)
            || datagram.contents.len() > self.takes;
        if !lost {
            self.datagrams.push_back((self.now + self.delay, 1 - from, datagram));
        }
    }

    /// Lets time pass until `done` or for `limit`.
    pub fn run(&mut self, limit: Duration, mut done: impl FnMut(&World) -> bool) {
        let end = self.now + limit;
        loop {
            self.drain();
            if done(self) {
                return;
            }
            let timers = self.peers.iter().filter_map(Peer::timeout);
            let arrival = self.datagrams.front().map(|(at, _, _)| *at);
            let Some(next) = timers.chain(arrival).min().filter(|at| *at <= end) else {
                self.now = end;
                return;
            };
            self.now = self.now.max(next);
            for peer in &mut self.peers {
                peer.endpoint.handle_timeout(self.now);
                peer.wake_carriers(self.now);
            }
            while let Some((at, to, _)) = self.datagrams.front()
                && *at <= self.now
            {
                let to = *to;
                let Some((_, _, datagram)) = self.datagrams.pop_front() else { return };
                self.peers[to].take(self.now, &datagram);
            }
        }
    }

    pub fn connect(&mut self) {
        self.run(Duration::from_secs(10), |world| world.peers.iter().all(Peer::is_established));
        assert!(
            self.peers.iter().all(Peer::is_established),
            "{:?}",
            self.peers.iter().map(|p| &p.events).collect::<Vec<_>>()
        );
    }

    pub fn send(&mut self, files: &[(&str, Vec<u8>)]) {
        for (place, (_, content)) in files.iter().enumerate() {
            self.peers[0].disk.source.insert(u32::try_from(place).unwrap(), content.clone());
        }
        let manifest = manifest(files);
        self.manifest = Some(manifest.clone());
        let id = self.peers[0].endpoint.offer(self.now, manifest, "").unwrap();
        self.run(Duration::from_secs(10), |world| world.peers[1].endpoint.manifest(id).is_some());
        self.peers[1].endpoint.accept(self.now, id, None).unwrap();
    }
}

impl Peer {
    fn timeout(&self) -> Option<Instant> {
        let carriers = self.carriers.values().filter_map(Carrier::poll_timeout);
        self.endpoint.poll_timeout().map(|(at, _)| at).into_iter().chain(carriers).min()
    }

    fn wake_carriers(&mut self, now: Instant) {
        for carrier in self.carriers.values_mut() {
            if carrier.poll_timeout().is_some_and(|at| at <= now) {
                carrier.handle_timeout(now);
            }
        }
    }

    fn take(&mut self, now: Instant, datagram: &Datagram) {
        let lane = datagram.destination.port().wrapping_sub(self.address.port());
        match self.carriers.get_mut(&lane) {
            Some(carrier) => carrier.handle_datagrams(now, std::iter::once(datagram.as_ref())),
            None => self.endpoint.handle_datagram(now, datagram.as_ref()),
        }
    }

    /// Moves what goes between the endpoint and its carriers. Whether there was any.
    fn drive_carriers(&mut self, now: Instant, out: &mut Vec<Datagram>) -> bool {
        let mut busy = false;
        while let Some((lane, command)) = self.endpoint.poll_command() {
            busy = true;
            let is_over = matches!(command, Command::Close);
            let Some(carrier) = self.carriers.get_mut(&lane) else { continue };
            carrier.handle_command(now, command);
            if is_over {
                assert!(carrier.poll_report().is_none(), "nothing is reported after the end");
                out.extend(std::iter::from_fn(|| carrier.poll_datagram()));
                self.carriers.remove(&lane);
            }
        }
        let mut reports = Vec::new();
        for (lane, carrier) in &mut self.carriers {
            reports
                .extend(std::iter::from_fn(|| carrier.poll_report()).map(|report| (*lane, report)));
            out.extend(std::iter::from_fn(|| carrier.poll_datagram()));
        }
        busy |= !reports.is_empty();
        self.endpoint.handle_reports(now, reports.into_iter());
        busy
    }

    pub fn is_established(&self) -> bool {
        self.events
            .iter()
            .any(|event| matches!(event, EndpointEvent::Connection(Event::Established { .. })))
    }

    pub fn is_completed(&self) -> bool {
        self.events
            .iter()
            .any(|event| matches!(event, EndpointEvent::Connection(Event::Completed { .. })))
    }

    /// How the connection ended, if it did.
    pub fn closed(&self) -> Option<Result<(), Error>> {
        self.events.iter().find_map(|event| match event {
            EndpointEvent::Connection(Event::Closed { error }) => {
                Some(error.clone().map_or(Ok(()), Err))
            }
            _ => None,
        })
    }
}
