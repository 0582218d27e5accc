//! Endpoints with several lanes (`spec/15-lanes.md`): that they come up, carry data,
//! and that a transfer survives the loss of any of them.

#![allow(clippy::unwrap_used, clippy::panic)] // a test that fails says so

#[path = "../../proto-core/tests/support/mod.rs"]
mod support;
mod world;

use std::time::Duration;

use passel_sans_io::endpoint::EndpointEvent;
use support::content;
use world::{Peer, World, laned};

const MINUTE: Duration = Duration::from_secs(60);

fn is_done(world: &World) -> bool {
    world.peers.iter().all(Peer::is_completed)
}

fn lanes_wanted(peer: &Peer) -> usize {
    peer.events.iter().filter(|event| matches!(event, EndpointEvent::LaneWanted { .. })).count()
}

fn lanes_over(peer: &Peer) -> usize {
    peer.events.iter().filter(|event| matches!(event, EndpointEvent::LaneOver { .. })).count()
}

fn expect_whole(world: &World, files: &[(&str, Vec<u8>)]) {
    assert!(is_done(world), "{:?}", world.peers[1].closed());
    for (place, (_, content)) in (0u32..).zip(files) {
        assert!(world.peers[1].disk.committed.get(&place) == Some(content), "file {place}");
    }
}

// LN-TRANSPORT, LN-FILE-ONLY, LN-COUNT
#[test]
fn lanes_come_up_and_carry_data() {
    let mut world = laned(32);
    world.delay = Duration::from_millis(25);
    world.connect();
    let files = [("a", content(16 << 20, 1)), ("b", vec![])];
    world.send(&files);
    world.run(MINUTE, is_done);
    expect_whole(&world, &files);
    let carried = world.by_port.iter().filter(|(_, sent)| **sent > 100).count();
    assert!(carried >= 8, "{:?}", world.by_port);
    assert!(world.peers[0].endpoint.lanes().0 >= 8);
    world.peers[0].endpoint.close(world.now, None);
    world.run(MINUTE, |world| world.peers.iter().all(|peer| peer.endpoint.is_done()));
    for peer in &world.peers {
        assert_eq!(peer.closed(), Some(Ok(())));
        assert!(lanes_over(peer) >= 7);
    }
}

/// What drives the transports of lanes is the caller's choice; the peer sees none of it.
#[test]
fn lanes_driven_apart_carry_data_fail_and_end_as_any() {
    fn can_be_sent<T: Send>() {}
    can_be_sent::<passel_sans_io::carrier::Carrier>();
    let mut world = laned(8);
    world.apart = true;
    world.delay = Duration::from_millis(25);
    world.connect();
    let files = [("a", content(32 << 20, 1))];
    world.send(&files);
    world.run(MINUTE, |world| world.by_port.values().filter(|sent| **sent > 200).count() > 5);
    let apart = world.peers.iter().map(|peer| peer.carriers.len());
    assert!(apart.min() >= Some(7), "all but lane 0");
    let used: Vec<u16> = world.by_port.keys().copied().filter(|lane| *lane > 0).collect();
    world.dead.extend(&used[1..3]);
    world.run(2 * MINUTE, is_done);
    expect_whole(&world, &files);
    assert!(lanes_over(&world.peers[0]) >= 2, "what fell silent is over");
    world.peers[0].endpoint.close(world.now, None);
    world.run(MINUTE, |world| world.peers.iter().all(|peer| peer.endpoint.is_done()));
    for peer in &world.peers {
        assert_eq!(peer.closed(), Some(Ok(())));
        assert!(peer.carriers.is_empty(), "the end of each was told");
    }
}

// LN-OFFER
#[test]
fn a_peer_that_takes_one_lane_gets_one() {
    let mut world = laned(1);
    world.connect();
    let files = [("a", content(4 << 20, 1))];
    world.send(&files);
    world.run(MINUTE, is_done);
    expect_whole(&world, &files);
    assert_eq!(world.by_port.len(), 1);
}

// LN-END, LN-AGAIN
#[test]
fn lanes_that_fall_silent_delay_nobody_for_ever() {
    let mut world = laned(8);
    world.delay = Duration::from_millis(25);
    world.connect();
    let files = [("a", content(64 << 20, 1))];
    world.send(&files);
    world.run(MINUTE, |world| world.by_port.iter().filter(|(_, sent)| **sent > 200).count() > 5);
    assert!(!is_done(&world));
    let used: Vec<u16> = world.by_port.keys().copied().filter(|lane| *lane > 0).collect();
    world.dead.extend(&used[1..4]);
    world.run(2 * MINUTE, is_done);
    expect_whole(&world, &files);
    assert!(lanes_over(&world.peers[0]) >= 3);
}

// LN-TRANSPORT
#[test]
fn lanes_that_never_come_up_end_nothing() {
    let mut world = laned(8);
    world.delay = Duration::from_millis(25);
    world.dead.extend(1..100);
    world.connect();
    let files = [("a", content(4 << 20, 1))];
    world.send(&files);
    world.run(2 * MINUTE, is_done);
    expect_whole(&world, &files);
    world.run(MINUTE, |_| false);
    assert!(world.peers.iter().all(|peer| peer.closed().is_none()));
    assert!(lanes_over(&world.peers[0]) > 0);
}

/// A system may have no socket left: what is no lane yet never was one for the peer.
// LN-NUMBERS, LN-PATIENCE
#[test]
fn lanes_without_a_socket_are_asked_for_again_later() {
    for (apart, without) in [(false, 0), (true, 0), (false, 1)] {
        let mut world = laned(8);
        world.apart = apart;
        world.delay = Duration::from_millis(25);
        world.connect();
        let from = world.now + Duration::from_secs(5);
        world.sockets_from[without] = Some(from);
        let files = [("a", content(64 << 20, 1))];
        world.send(&files);
        world.run(MINUTE, |world| world.now >= from || is_done(world));
        assert!(!is_done(&world));
        let asked = lanes_wanted(&world.peers[without]);
        // The lanes of a sender end together, and count as one attempt.
        let most = if without == 0 { 10 } else { 40 };
        assert!((1..most).contains(&asked), "{asked}");
        let over = lanes_over(&world.peers[without]);
        assert!(over >= asked, "{over}: a socket that is of no use is told");
        world.run(2 * MINUTE, is_done);
        expect_whole(&world, &files);
        assert!(world.peers[0].endpoint.lanes().0 > 1);
    }
}

// LN-PATIENCE
#[test]
fn a_caller_that_never_binds_a_socket_is_not_waited_for_for_ever() {
    let mut world = laned(8);
    world.is_deaf = true;
    world.connect();
    let files = [("a", content(4 << 20, 1))];
    world.send(&files);
    world.run(2 * MINUTE, is_done);
    expect_whole(&world, &files);
    world.run(MINUTE, |_| false);
    let sender = &world.peers[0];
    let wanted = lanes_wanted(sender);
    assert!((2..10).contains(&wanted), "{wanted}");
    let is_told = (wanted - 1..=wanted).contains(&lanes_over(sender));
    assert!(is_told, "of each that it is given up, but maybe of the last");
    assert_eq!((sender.endpoint.lanes().0, sender.closed()), (1, None));
}

/// Whoever asks when to wake is not told a moment that is past for ever.
#[test]
fn a_connection_that_ends_while_lanes_are_sought_lets_its_caller_sleep() {
    let mut world = laned(8);
    world.delay = Duration::from_millis(25);
    world.connect();
    world.send(&[("a", content(4 << 20, 1))]);
    world.run(MINUTE, |world| world.peers[0].endpoint.lanes().0 > 1);
    world.peers[0].endpoint.close(world.now, None);
    let mut wakes = 0;
    world.run(MINUTE, |world| {
        wakes += 1;
        assert!(wakes < 10_000, "{:?}", world.peers[0].endpoint.poll_timeout());
        false
    });
    assert!(world.peers.iter().all(|peer| peer.endpoint.is_done()));
}

#[test]
fn a_network_that_loses_datagrams_loses_no_data() {
    let mut world = laned(8);
    world.lossy = 50;
    world.connect();
    let files = [("a", content(4 << 20, 1)), ("b", content(100, 2))];
    world.send(&files);
    world.run(2 * MINUTE, is_done);
    expect_whole(&world, &files);
}

fn longest(world: &World) -> usize {
    world.longest.values().copied().max().unwrap()
}

// TB-DATAGRAM
#[test]
fn datagrams_grow_where_the_path_takes_them() {
    let mut world = laned(8);
    world.delay = Duration::from_millis(1);
    world.connect();
    let files = [("a", content(16 << 20, 1))];
    world.send(&files);
    world.run(MINUTE, is_done);
    expect_whole(&world, &files);
    assert!(world.longest[&0] <= 1_200, "{:?}", world.longest);
    // What the handshake fills, the other side sends; with data it is less.
    let large = world.longest.values().filter(|longest| **longest > 1_452).count();
    assert!(large >= 5 && longest(&world) <= 1_500, "{:?}", world.longest);
    assert_eq!(lanes_over(&world.peers[0]), 0);
}

// TB-DATAGRAM
#[test]
fn a_path_that_takes_no_larger_datagrams_gets_none_for_long() {
    for (takes, far) in [(1_200, false), (1_200, true), (1_460, false)] {
        let mut world = laned(8);
        world.delay = Duration::from_millis(if far { 30 } else { 1 });
        world.takes = takes;
        world.connect();
        let files = [("a", content(64 << 20, 1))];
        world.send(&files);
        world.run(MINUTE, is_done);
        expect_whole(&world, &files);
        let most = if takes < 1_452 { 1_200 } else { 1_452 };
        let large = world.longest.values().filter(|longest| **longest > most).count();
        assert!(large <= 1, "only one tries: {takes}: {:?}", world.longest);
        assert_eq!(lanes_over(&world.peers[0]), 1, "{takes}: {:?}", world.longest);
        let now = world.peers[0].endpoint.lanes();
        assert!(now.0 >= 7, "{takes} {far}: {now:?} {:?}", world.longest);
    }
}
