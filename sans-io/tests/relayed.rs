//! Whole endpoints of which one is to be reached through relays only, or that have
//! no other way: which addresses are told and sent to. Networks that lose things
//! are the simulator's.

#![allow(clippy::unwrap_used)] // a test that fails says so

#[path = "turn/server.rs"]
mod server;

use std::collections::{BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use passel_proto::connection::Event;
use passel_proto::crypto::{Entropy, Secret32};
use passel_proto::ids::Role;
use passel_proto::signal::SignalSession;
use passel_sans_io::datagram::Datagram;
use passel_sans_io::endpoint::{Endpoint, EndpointConfig, EndpointEvent};
use passel_sans_io::ice::turn::TurnServer;
use passel_sans_io::lane::{IceCredentials, LaneConfig, Path};
use server::{LISTENS, PASSWORD, Server, USER, end};

const ENDS: [&str; 2] = ["203.0.113.7:5000", "203.0.113.8:6000"];
const DELAY: Duration = Duration::from_millis(5);

/// Two endpoints and a server between them.
struct World {
    now: Instant,
    endpoints: Vec<Endpoint>,
    server: Server,
    queue: VecDeque<(Instant, Datagram)>,
    paths: [Option<Path>; 2],
    established: [bool; 2],
    /// To whom each side sent.
    sent_to: [BTreeSet<SocketAddr>; 2],
    /// Nothing gets from one end to the other but through the server.
    apart: bool,
}

impl World {
    /// The configuration of both sides goes through `change`.
    fn new(apart: bool, change: impl Fn(usize, &mut EndpointConfig)) -> Self {
        #[allow(clippy::disallowed_methods)] // the one moment that a test begins at
        let now = Instant::now();
        let mut entropy = Entropy::from_seed([5; 32]);
        let secret = Secret32::new([9; 32]);
        let password = || PASSWORD.to_owned().into();
        let mut endpoints = Vec::new();
        for (place, address) in ENDS.map(end).into_iter().enumerate() {
            let (role, signal) = if place == 0 {
                let secret = Some(secret.clone());
                (Role::Responder, SignalSession::creator(secret, None, b"route", &mut entropy))
            } else {
                (Role::Initiator, SignalSession::joiner_link(&secret, b"route", &mut entropy))
            };
            let lane = LaneConfig::new(role, 0, IceCredentials::from_seed(&entropy.array()));
            let mut config = EndpointConfig::new(role, signal.unwrap(), lane, entropy.array());
            let (server, user) = (end(LISTENS), USER.to_owned());
            config.turn_servers = vec![TurnServer { address: server, user, password: password() }];
            change(place, &mut config);
            let mut endpoint = Endpoint::new(config, now).unwrap();
            assert!(endpoint.add_local_candidate(address));
            endpoints.push(endpoint);
        }
        for endpoint in &mut endpoints {
            endpoint.start(now);
        }
        Self {
            now,
            endpoints,
            server: Server::new(now),
            queue: VecDeque::new(),
            paths: [None; 2],
            established: [false; 2],
            sent_to: [BTreeSet::new(), BTreeSet::new()],
            apart,
        }
    }

    fn drain(&mut self) {
        for (place, address) in ENDS.map(end).into_iter().enumerate() {
            while let Some(event) = self.endpoints[place].poll_event() {
                match event {
                    EndpointEvent::Connected { path, .. } => self.paths[place] = Some(path),
                    EndpointEvent::Connection(Event::Established { .. }) => {
                        self.established[place] = true;
                    }
                    _ => {}
                }
            }
            while let Some(blob) = self.endpoints[place].poll_signal() {
                self.endpoints[1 - place].handle_signal(self.now, &blob);
            }
            while let Some(datagram) = self.endpoints[place].poll_datagram() {
                assert_eq!(datagram.source, address);
                self.sent_to[place].insert(datagram.destination);
                self.queue.push_back((self.now + DELAY, datagram));
            }
        }
    }

    fn deliver(&mut self, datagram: &Datagram) {
        if datagram.destination.ip() == end(LISTENS).ip() {
            for sent in self.server.take(self.now, datagram) {
                self.queue.push_back((self.now + DELAY, sent));
            }
            return;
        }
        let direct = datagram.source.ip() != end(LISTENS).ip();
        let to = ENDS.iter().position(|address| end(address) == datagram.destination);
        if let Some(to) = to.filter(|_| !(direct && self.apart)) {
            self.endpoints[to].handle_datagram(self.now, datagram.as_ref());
        }
    }

    /// Until both have shaken hands, or for so long.
    fn run(&mut self, longest: Duration, until: impl Fn(&Self) -> bool) {
        let end = self.now + longest;
        self.drain();
        while self.now < end && !until(self) {
            let arrival = self.queue.front().map(|(at, _)| *at);
            let timers = self.endpoints.iter().filter_map(|one| Some(one.poll_timeout()?.0));
            let Some(next) = timers.chain(arrival).min() else { break };
            self.now = self.now.max(next);
            while self.queue.front().is_some_and(|(at, _)| *at <= self.now) {
                if let Some((_, datagram)) = self.queue.pop_front() {
                    self.deliver(&datagram);
                }
            }
            for endpoint in &mut self.endpoints {
                if endpoint.poll_timeout().is_some_and(|(at, _)| at <= self.now) {
                    endpoint.handle_timeout(self.now);
                }
            }
            self.drain();
        }
    }
}

fn is_relayed(address: SocketAddr) -> bool {
    address.ip() == end(LISTENS).ip()
}

const BOTH: fn(&World) -> bool = |world| world.established == [true, true];

// TB-TURN-ASK
#[test]
fn where_there_is_no_direct_path_the_relay_is_used_and_let_go_at_the_end() {
    let mut world = World::new(true, |_, _| ());
    world.run(Duration::from_secs(20), BOTH);
    assert!(BOTH(&world));
    for path in world.paths.map(Option::unwrap) {
        assert!(is_relayed(path.local) || is_relayed(path.remote), "{path:?}");
    }
    assert_eq!(world.server.open.len(), 2);
    let now = world.now;
    world.endpoints[0].close(now, None);
    world.run(Duration::from_secs(20), |world| world.endpoints.iter().all(Endpoint::is_done));
    while let Some((_, datagram)) = world.queue.pop_front() {
        world.deliver(&datagram);
    }
    assert_eq!(world.server.open, []);
}

#[test]
fn where_there_is_a_direct_path_it_is_used() {
    let mut world = World::new(false, |_, _| ());
    world.run(Duration::from_secs(20), BOTH);
    for (place, path) in world.paths.map(Option::unwrap).into_iter().enumerate() {
        assert_eq!((path.local, path.remote), (end(ENDS[place]), end(ENDS[1 - place])));
    }
}

// TB-TURN-ONLY
#[test]
fn a_side_that_is_reached_through_relays_only_hides_its_addresses() {
    let mut world = World::new(false, |place, config| {
        config.relay_only = place == 0;
        config.lanes = 4;
        config.stun_servers = vec![end("198.51.100.3:3478")];
    });
    world.run(Duration::from_secs(20), BOTH);
    assert!(BOTH(&world));
    assert_eq!(world.sent_to[0], BTreeSet::from([end(LISTENS)]), "nobody else hears of it");
    assert!(!world.sent_to[1].contains(&end(ENDS[0])), "the other side was not told");
    assert!(is_relayed(world.paths[0].unwrap().local));
    assert!(
        is_relayed(world.paths[1].unwrap().remote) || is_relayed(world.paths[1].unwrap().local)
    );
    assert_eq!(world.endpoints[0].lanes().0, 1);

    // Two of them meet as well; without any relay there is nothing to meet at.
    let mut world = World::new(false, |_, config| config.relay_only = true);
    world.run(Duration::from_secs(20), BOTH);
    assert!(BOTH(&world));
    assert_eq!(world.sent_to, [(); 2].map(|()| BTreeSet::from([end(LISTENS)])));
    let mut world = World::new(false, |_, config| {
        config.relay_only = true;
        config.turn_servers.clear();
    });
    world.run(Duration::from_secs(40), BOTH);
    assert_eq!(
        (world.established, &world.sent_to),
        ([false; 2], &[BTreeSet::new(), BTreeSet::new()])
    );
}
