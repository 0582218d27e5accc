//! Relayed addresses, asked of a server that somebody else wrote: how they are
//! got, kept and let go, and what goes over them.

#![allow(clippy::panic, clippy::unwrap_used)] // a test that fails says so

#[path = "turn/server.rs"]
mod server;

use std::time::{Duration, Instant};

use passel_proto::crypto::Entropy;
use passel_sans_io::datagram::Datagram;
use passel_sans_io::ice::turn::{HEAD_START, Relayed, Relays, Taken, TurnServer};
use server::{LISTENS, PASSWORD, Server, USER, end};
use turn_server_proto::api::TurnServerApi;

const BASE: &str = "203.0.113.7:5000";
const PEER: &str = "203.0.113.8:6000";
const FIRST: &str = "198.51.100.9:49152";

#[allow(clippy::disallowed_methods)] // the one moment that a test begins at
fn epoch() -> Instant {
    Instant::now()
}

/// A client and its server, with nothing between them.
struct World {
    now: Instant,
    relays: Relays,
    server: Server,
    /// What the server sent to somebody else.
    elsewhere: Vec<Datagram>,
    /// Requests of the client so far.
    sent: Vec<Datagram>,
    /// Answers that are lost from now on.
    lost: usize,
    /// Answers so far, and the numbers of those that are lost.
    answers: usize,
    losses: &'static [usize],
}

fn relays(password: &str, only: bool) -> Relays {
    let password = password.to_owned().into();
    let server = TurnServer { address: end(LISTENS), user: USER.to_owned(), password };
    Relays::new(&[server], only, Entropy::from_seed([3; 32]))
}

impl World {
    fn new(password: &str) -> Self {
        let now = epoch();
        let mut relays = relays(password, false);
        relays.add_base(end(BASE));
        relays.on_told(now);
        let (server, elsewhere, sent) = (Server::new(now), Vec::new(), Vec::new());
        Self { now, relays, server, elsewhere, sent, lost: 0, answers: 0, losses: &[] }
    }

    /// One that has its address.
    fn held() -> Self {
        let mut world = Self::new(PASSWORD);
        world.relays.start(world.now);
        world.settle();
        assert_eq!(world.relays.poll_found(), Some(found(FIRST)));
        world
    }

    /// Carries everything to and fro until nobody says anything more.
    fn settle(&mut self) {
        while let Some(datagram) = self.relays.poll_datagram() {
            assert_eq!((datagram.source, datagram.destination), (end(BASE), end(LISTENS)));
            self.give(&datagram);
            self.sent.push(datagram);
        }
    }

    /// The server gets a datagram.
    fn give(&mut self, datagram: &Datagram) {
        for answer in self.server.take(self.now, datagram) {
            if answer.destination != end(BASE) {
                self.elsewhere.push(answer);
                continue;
            }
            self.answers += 1;
            if self.lost > 0 {
                self.lost -= 1;
            } else if !self.losses.contains(&self.answers) {
                let taken = self.relays.handle_datagram(self.now, answer.as_ref());
                assert!(!matches!(taken, Taken::Peer(_)), "{taken:?}");
            }
        }
    }

    /// Lets time pass until `until` after now, doing what is due.
    fn pass(&mut self, time: Duration) {
        let until = self.now + time;
        while let Some(due) = self.relays.poll_timeout().filter(|due| *due <= until) {
            assert!(due >= self.now);
            self.now = due;
            self.relays.handle_timeout(due);
            self.settle();
        }
        self.now = until;
    }

    /// The lane sends something to the peer over the relay; what the peer gets.
    fn send(&mut self, contents: &[u8]) -> Vec<Datagram> {
        let (source, destination) = (end(FIRST), end(PEER));
        let carried = self
            .relays
            .carry(self.now, Datagram { source, destination, contents: contents.into() });
        self.settle();
        if let Some(datagram) = carried {
            assert_eq!((datagram.source, datagram.destination), (end(BASE), end(LISTENS)));
            self.give(&datagram);
        }
        std::mem::take(&mut self.elsewhere)
    }

    /// The peer sends something to the relayed address: what the client gets.
    fn receive(&mut self, contents: &[u8]) -> Option<Datagram> {
        let (source, destination) = (end(PEER), end(FIRST));
        let datagram = Datagram { source, destination, contents: contents.into() };
        let wrapped = self.server.take(self.now, &datagram).pop()?;
        match self.relays.handle_datagram(self.now, wrapped.as_ref()) {
            Taken::Peer(inner) => Some(Datagram {
                source: inner.source,
                destination: inner.destination,
                contents: inner.contents.to_vec(),
            }),
            other => panic!("{other:?}"),
        }
    }
}

fn found(address: &str) -> Relayed {
    Relayed { base: end(BASE), address: end(address) }
}

// TB-TURN-ASK, TB-TURN-DATA
#[test]
fn an_address_is_allocated_and_data_goes_over_it_in_both_directions() {
    let mut world = World::held();
    world.pass(HEAD_START);
    let out = Datagram { source: end(FIRST), destination: end(PEER), contents: b"one".into() };
    assert_eq!(world.send(b"one"), [out], "on the channel that was just bound");
    let back = Datagram { source: end(PEER), destination: end(FIRST), contents: b"two".into() };
    assert_eq!(world.receive(b"two"), Some(back));
    // What does not leave from the relayed address is none of its business.
    let direct = Datagram { source: end(BASE), destination: end(PEER), contents: vec![1] };
    assert_eq!(world.relays.carry(world.now, direct.clone()), Some(direct));
}

// TB-TURN-DATA
#[test]
fn before_a_channel_is_bound_data_goes_in_indications_and_both_kinds_are_read() {
    let mut world = World::held();
    world.pass(HEAD_START);
    world.lost = 1; // The answer to the binding.
    let sent = world.send(b"one");
    assert_eq!(sent[0].contents, b"one", "in an indication");
    assert_eq!(
        world.receive(b"on a channel that is not known to be bound").unwrap().source,
        end(PEER)
    );
    // Another port of a peer that is let in has no channel.
    let datagram =
        Datagram { source: end("203.0.113.8:6001"), destination: end(FIRST), contents: vec![7; 9] };
    let wrapped = world.server.take(world.now, &datagram).pop().unwrap();
    let Taken::Peer(inner) = world.relays.handle_datagram(world.now, wrapped.as_ref()) else {
        panic!("not taken")
    };
    assert_eq!((inner.source, inner.contents), (end("203.0.113.8:6001"), &[7; 9][..]));
    // Whoever else sends such bytes, or to elsewhere, is not the server.
    for (source, destination) in [(PEER, BASE), (LISTENS, "203.0.113.7:5001")] {
        let other = Datagram {
            source: end(source),
            destination: end(destination),
            contents: wrapped.contents.clone(),
        };
        assert_eq!(world.relays.handle_datagram(world.now, other.as_ref()), Taken::Not);
    }
}

// TB-TURN-ANSWER
#[test]
fn only_the_server_can_answer_and_only_with_its_signature() {
    let mut world = World::new(PASSWORD);
    world.relays.start(world.now);
    let first = world.relays.poll_datagram().unwrap();
    let challenge = world.server.take(world.now, &first).pop().unwrap();
    for (source, destination) in [("198.51.100.9:3479", BASE), (LISTENS, "203.0.113.7:5001")] {
        let (source, destination) = (end(source), end(destination));
        let other = Datagram { source, destination, contents: challenge.contents.clone() };
        assert_eq!(world.relays.handle_datagram(world.now, other.as_ref()), Taken::Not);
    }
    assert_eq!(world.relays.handle_datagram(world.now, challenge.as_ref()), Taken::Own);
    let again = world.relays.poll_datagram().unwrap();
    assert_ne!(first.contents[8..20], again.contents[8..20], "another transaction");
    let right = world.server.take(world.now, &again).pop().unwrap();
    for place in 0..right.contents.len() {
        let mut wrong = right.clone();
        wrong.contents[place] ^= 1;
        assert_eq!(world.relays.handle_datagram(world.now, wrong.as_ref()), Taken::Not, "{place}");
    }
    assert_eq!(world.relays.poll_found(), None);
    assert_eq!(world.relays.handle_datagram(world.now, right.as_ref()), Taken::Own);
    assert_eq!(world.relays.handle_datagram(world.now, right.as_ref()), Taken::Not, "once");
    assert_eq!(world.relays.poll_found(), Some(found(FIRST)));
}

// TB-TURN-ADDRESS
#[test]
fn relayed_addresses_of_no_use_are_let_go() {
    for given in ["0.0.0.0:5", "224.0.0.1:5", "203.0.113.1:0", "[2001:db8::9]:5"] {
        let mut world = World::new(PASSWORD);
        world.server.gives = Some(end(given));
        world.relays.start(world.now);
        world.settle();
        assert_eq!(world.relays.poll_found(), None, "{given}");
        assert_eq!(world.server.open, [], "{given}");
        assert_eq!(world.relays.poll_timeout(), None);
    }
}

// TB-TURN-BOUND
#[test]
fn a_wrong_password_and_a_silent_server_are_tried_so_often_and_no_more() {
    let mut world = World::new("another password");
    world.relays.start(world.now);
    world.settle();
    assert_eq!(world.sent.len(), 3);
    assert_eq!((world.relays.poll_found(), world.relays.poll_timeout()), (None, None));

    let mut silent = World::new(PASSWORD);
    silent.lost = usize::MAX;
    silent.relays.start(silent.now);
    silent.settle();
    silent.pass(Duration::from_secs(600));
    assert_eq!(silent.sent.len(), 7);
    assert!(silent.sent.iter().all(|one| one.contents == silent.sent[0].contents));
    assert_eq!(silent.relays.poll_timeout(), None);
}

// TB-TURN-BOUND
#[test]
fn an_allocation_whose_answer_was_lost_is_cleared_away_a_few_times() {
    // After the challenge each attempt takes three: it is there, 437, it is gone.
    let cases: [(&[usize], _); 3] = [
        (&[2], Some("198.51.100.9:49153")),
        (&[2, 5, 8, 11], Some("198.51.100.9:49156")),
        (&[2, 5, 8, 11, 14], None),
    ];
    for (losses, address) in cases {
        let mut world = World::new(PASSWORD);
        world.losses = losses;
        world.relays.start(world.now);
        world.settle();
        assert_eq!((world.server.open.len(), world.relays.poll_found()), (1, None));
        world.pass(Duration::from_secs(10));
        assert_eq!(world.relays.poll_found(), address.map(found));
        assert!(address.is_none_or(|address| world.server.open == [end(address)]));
        let is_over = world.relays.poll_timeout().is_none();
        assert_eq!(is_over, address.is_none(), "{losses:?}");
    }
}

// TB-TURN-BOUND
#[test]
fn so_many_peers_have_channels_and_others_are_dropped() {
    let mut world = World::held();
    world.pass(HEAD_START);
    let mut carried = 0;
    for port in 1..200 {
        let (source, destination) = (end(FIRST), end(&format!("203.0.113.9:{port}")));
        let datagram = Datagram { source, destination, contents: vec![1] };
        carried += usize::from(world.relays.carry(world.now, datagram).is_some());
        world.settle();
    }
    assert_eq!(carried, 64);
}

// TB-TURN-LATER
#[test]
fn a_direct_path_has_a_head_start_unless_the_peer_knows_the_relay() {
    let mut world = World::held();
    assert_eq!(world.send(b"one"), [], "too early");
    assert_eq!(world.sent.len(), 3, "but the peer is let in");
    world.pass(HEAD_START / 2);
    assert_eq!(world.send(b"two"), []);
    world.receive(b"here I am").unwrap();
    assert_eq!(world.send(b"three").len(), 1);

    let mut world = World::held();
    world.pass(HEAD_START);
    assert_eq!(world.send(b"one").len(), 1);
}

// TB-TURN-LATER
#[test]
fn once_connected_only_what_the_peer_uses_is_used() {
    let mut world = World::held();
    world.send(b"one"); // Lets the peer in.
    world.relays.settle();
    world.pass(HEAD_START);
    assert_eq!(world.send(b"two"), []);
    world.receive(b"here I am").unwrap();
    assert_eq!(world.send(b"three").len(), 1);
}

// TB-TURN-REFRESH
#[test]
fn allocation_and_channels_outlive_their_times_also_with_other_nonces() {
    let mut world = World::held();
    world.server.turn.set_nonce_expiry_duration(Duration::from_secs(100));
    world.pass(HEAD_START);
    assert_eq!(world.send(b"one").len(), 1);
    for _ in 0..20 {
        world.pass(Duration::from_secs(200));
        assert_eq!(world.send(b"more").len(), 1);
        assert_eq!(world.receive(b"back").unwrap().contents, b"back");
    }
    assert_eq!(world.server.open, [end(FIRST)]);
}

// TB-TURN-REFRESH
#[test]
fn what_is_released_is_gone_at_the_server_and_nothing_more_comes() {
    let mut world = World::held();
    world.relays.release();
    while let Some(datagram) = world.relays.poll_datagram() {
        world.server.take(world.now, &datagram);
    }
    assert_eq!(world.server.open, []);
    world.relays.add_base(end("203.0.113.7:5002"));
    assert_eq!((world.relays.poll_datagram(), world.relays.poll_timeout()), (None, None));
    assert_eq!(world.send(b"late"), [], "nor does anything leave from there");
}

#[test]
fn the_password_is_not_shown() {
    assert!(!format!("{:?}", relays(PASSWORD, true)).contains(PASSWORD));
}
