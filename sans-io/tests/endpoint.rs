//! Two whole endpoints in virtual time: signaling, ICE, DTLS, SCTP, handshake
//! and transfers, with a network of queues between them.

#![allow(clippy::unwrap_used, clippy::panic)] // a test that fails says so

#[path = "../../proto-core/tests/support/mod.rs"]
mod support;
mod world;

use std::time::Duration;

use passel_proto::connection::Event;
use passel_proto::error::ErrorCode;
use passel_proto::frame::Message;
use passel_proto::ids::Channel;
use passel_proto::signal::{SignalSecret, SignalSession};
use passel_sans_io::endpoint::EndpointEvent;
use passel_sans_io::lane::Dtls;
use support::content;
use world::{Cut, Peer, ROUTE, World, coded, linked, world};

fn both_closed(world: &World) -> bool {
    world.peers.iter().all(|peer| peer.closed().is_some())
}

#[test]
fn a_file_goes_over_dtls_1_3_and_both_sides_close_without_waiting() {
    let mut world = linked();
    world.connect();
    let dtls = world.peers[0].events.iter().find_map(|event| match event {
        EndpointEvent::Connected { dtls, .. } => Some(*dtls),
        _ => None,
    });
    assert_eq!(dtls, Some(Dtls::V1_3));
    let files = [("a", content(2_000_000, 1)), ("b", vec![])];
    world.send(&files);
    world.run(Duration::from_secs(60), |world| world.peers.iter().all(Peer::is_completed));
    assert_eq!(world.peers[1].disk.committed.get(&0), Some(&files[0].1));
    assert_eq!(world.peers[1].disk.committed.get(&1), Some(&files[1].1));

    let before = world.now;
    world.peers[0].endpoint.close(world.now, None);
    world.run(Duration::from_secs(10), |world| {
        world.peers.iter().all(|peer| peer.endpoint.is_done())
    });
    assert!(world.peers.iter().all(|peer| peer.closed() == Some(Ok(()))));
    assert!(world.now - before < Duration::from_secs(1), "closing took {:?}", world.now - before);
}

#[test]
fn a_code_connects_as_well_as_a_link() {
    let mut world = coded("able-zebra", "able-zebra");
    world.connect();
    let events = &world.peers[1].events;
    assert!(events.iter().any(|event| {
        matches!(event, EndpointEvent::Connection(Event::Established { auth: 2, .. }))
    }));
}

#[test]
fn a_wrong_code_is_refused_on_both_sides_and_reveals_no_address() {
    let mut world = coded("able-zebra", "able-zebro");
    world.run(Duration::from_secs(5), both_closed);
    for peer in &world.peers {
        let error = peer.closed().unwrap().unwrap_err();
        assert_eq!(error.code, ErrorCode::AuthenticationFailed);
    }
    assert!(world.datagrams.is_empty(), "nothing was sent to any address");
}

/// SG-SECRECY: what the rendezvous carries holds no address, no fingerprint and
/// no ICE credential.
#[test]
fn the_signaling_shows_nothing_to_whoever_carries_it() {
    let mut world = linked();
    world.connect();
    assert!(world.blobs.len() >= 2);
    for (n, ip) in [[10u8, 0, 0, 1], [10, 0, 0, 2]].iter().enumerate() {
        let text = world.peers[n].address.to_string();
        for blob in &world.blobs {
            assert!(!blob.windows(4).any(|window| window == ip), "an address in bytes");
            assert!(!blob.windows(text.len()).any(|window| window == text.as_bytes()));
        }
    }
}

#[test]
fn a_blob_that_was_altered_is_refused() {
    let mut world = linked();
    world.meddle = |from, blob| {
        if from == 1 {
            let last = blob.len() - 1;
            blob[last] ^= 1;
        }
    };
    world.run(Duration::from_secs(5), |world| world.peers[0].closed().is_some());
    let error = world.peers[0].closed().unwrap().unwrap_err();
    assert_eq!(error.code, ErrorCode::AuthenticationFailed);
}

#[test]
fn a_path_that_is_never_found_ends_in_time() {
    let mut world = linked();
    world.cut = Cut::All;
    let start = world.now;
    world.run(Duration::from_secs(60), both_closed);
    for peer in &world.peers {
        assert_eq!(peer.closed().unwrap().unwrap_err().code, ErrorCode::HandshakeTimeout);
    }
    assert!(world.now - start <= Duration::from_secs(31));
}

#[test]
fn a_path_that_dies_is_an_error_on_both_sides() {
    let mut world = linked();
    world.connect();
    world.send(&[("a", content(1_000_000, 1))]);
    world.cut = Cut::All;
    let start = world.now;
    world.run(Duration::from_secs(120), both_closed);
    let after = world.now - start;
    assert!((29..33).contains(&after.as_secs()), "{after:?}"); // FC-IDLE
    for peer in &world.peers {
        let error = peer.closed().unwrap().unwrap_err();
        assert!(
            matches!(error.code, ErrorCode::IdleTimeout | ErrorCode::TransportFailed),
            "{error:?}"
        );
        assert!(
            peer.events
                .iter()
                .any(|event| { matches!(event, EndpointEvent::Connection(Event::Ended { .. })) })
        );
    }
}

/// FC-IDLE-LIMIT: data is lost, and its repetitions with it, on a path that works.
#[test]
fn a_path_whose_checks_are_answered_is_waited_for() {
    let mut world = linked();
    world.connect();
    let files = [("a", content(1_000_000, 1))];
    world.send(&files);
    world.cut = Cut::Data;
    world.run(Duration::from_secs(60), both_closed);
    assert!(!both_closed(&world));
    world.cut = Cut::Nothing;
    world.run(Duration::from_secs(60), |world| world.peers.iter().all(Peer::is_completed));
    assert_eq!(world.peers[1].disk.committed.get(&0), Some(&files[0].1));

    world.cut = Cut::Data;
    let start = world.now;
    world.run(Duration::from_secs(200), both_closed);
    let after = world.now - start;
    assert!((90..=122).contains(&after.as_secs()), "{after:?}");
    for peer in &world.peers {
        let error = peer.closed().unwrap().unwrap_err();
        assert_eq!(error.code, ErrorCode::IdleTimeout, "{error:?}");
    }
}

#[test]
fn a_joiner_that_leaves_before_there_is_a_path_says_so() {
    let mut world = linked();
    world.cut = Cut::All;
    world.drain();
    world.peers[1].endpoint.close(world.now, None);
    world.run(Duration::from_secs(5), both_closed);
    assert_eq!(world.peers[0].closed().unwrap().unwrap_err().code, ErrorCode::Cancelled);
}

/// Numbers of the messages that the joiner heard over a channel.
fn numbers(world: &World, over: Channel) -> Vec<u32> {
    world.peers[1]
        .events
        .iter()
        .filter_map(|event| match event {
            EndpointEvent::Connection(Event::Message { channel, message }) if *channel == over => {
                let Message::Binary(bytes) = message else { return None };
                Some(u32::from_le_bytes(bytes[..4].try_into().unwrap()))
            }
            _ => None,
        })
        .collect()
}

/// FC-MESSAGE, TB-PRIORITY: what is lost on `unreliable` stays lost, nothing is on
/// `reliable`, and a transfer goes on beside both.
#[test]
fn messages_go_over_a_network_that_loses_datagrams() {
    let mut world = linked();
    world.connect();
    world.lossy = 9;
    let files = [("a", content(300_000, 1))];
    world.send(&files);
    for number in 0..300u32 {
        for channel in [Channel::Reliable, Channel::Unreliable] {
            let mut bytes = number.to_le_bytes().to_vec();
            bytes.resize(700, 0);
            let (now, message) = (world.now, Message::Binary(bytes));
            world.peers[0].endpoint.send_message(now, channel, message).unwrap();
        }
        world.run(Duration::from_millis(2), |_| false);
    }
    world.run(Duration::from_secs(60), |world| {
        world.peers.iter().all(Peer::is_completed) && numbers(world, Channel::Reliable).len() == 300
    });
    assert!(world.peers.iter().all(Peer::is_completed));
    assert_eq!(numbers(&world, Channel::Reliable), (0..300).collect::<Vec<_>>());
    let mut heard = numbers(&world, Channel::Unreliable);
    let dropped = world.peers[0].endpoint.queued_messages(Channel::Unreliable).dropped;
    assert_eq!(dropped, 0);
    assert!((150..300).contains(&heard.len()), "{} of 300", heard.len());
    heard.sort_unstable();
    heard.dedup();
    assert!((150..300).contains(&heard.len()), "one was heard twice");
}

/// TB-PRIORITY, FC-MESSAGE-NEWEST: a flood of live data fills its own queue and
/// nothing else.
#[test]
fn a_flood_of_unreliable_messages_does_not_starve_control() {
    let mut world = linked();
    world.connect();
    let files = [("a", content(300_000, 1))];
    world.send(&files);
    let flood = Message::Binary(vec![7; 30_000]);
    let start = world.now;
    while !world.peers.iter().all(Peer::is_completed) {
        for _ in 0..40 {
            let now = world.now;
            let sent =
                world.peers[0].endpoint.send_message(now, Channel::Unreliable, flood.clone());
            sent.unwrap();
        }
        world.run(Duration::from_millis(5), |_| false);
        assert!(world.now - start < Duration::from_secs(60), "the transfer starves");
    }
    assert!(world.peers[0].endpoint.queued_messages(Channel::Unreliable).dropped > 0);
}

// HS-SAS-GATE, HS-RESUMABLE, HS-RESUME-MEETING
#[test]
fn strangers_compare_and_meet_again_by_what_they_kept() {
    let mut world = world(
        |entropy| SignalSession::creator_sas(ROUTE, entropy).unwrap(),
        |entropy| SignalSession::joiner_sas(ROUTE, entropy).unwrap(),
    );
    let shown = |peer: &Peer| {
        peer.events.iter().find_map(|event| match event {
            EndpointEvent::Connection(Event::Sas { sas }) => Some(*sas),
            _ => None,
        })
    };
    world.run(Duration::from_secs(10), |world| world.peers.iter().all(|p| shown(p).is_some()));
    assert_eq!(shown(&world.peers[0]), shown(&world.peers[1]));
    let now = world.now;
    for peer in &mut world.peers {
        assert!(peer.endpoint.resumption().is_none());
        peer.endpoint.confirm_sas(now, true).unwrap();
        peer.endpoint.confirm_resumption_stored(now).unwrap();
    }
    world.run(Duration::from_secs(10), |world| {
        world.peers.iter().all(|peer| peer.endpoint.is_resumption_settled())
    });
    let kept = world.peers[0].endpoint.resumption().unwrap();
    assert_eq!(world.peers[1].endpoint.resumption().as_ref(), Some(&kept));

    let secret =
        || SignalSecret::Resume { link: kept.meeting_link(), key: kept.key(), other: None };
    let route = kept.meeting_id();
    let mut again = self::world(
        |entropy| SignalSession::creator_secret(secret(), &route, entropy).unwrap(),
        |entropy| SignalSession::joiner_secret(&secret(), &route, entropy).unwrap(),
    );
    again.connect();
    for peer in &again.peers {
        assert_eq!(peer.endpoint.resumed_from(), Some(kept.id));
        assert_ne!(peer.endpoint.resumption().unwrap().id, kept.id);
    }
    again.send(&[("a", content(100_000, 1))]);
    again.run(Duration::from_secs(10), |world| world.peers.iter().all(Peer::is_completed));
    assert!(again.peers.iter().all(Peer::is_completed));
}
