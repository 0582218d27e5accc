//! A connection before its handshake is confirmed: it acts upon nothing, and it
//! does not wait for ever. The handshake's own messages are tested beside it.

#![allow(clippy::unwrap_used)] // a test that fails says so

mod support;

use std::time::Duration;

use passel_proto::connection::{Connection, Event, TimerKind};
use passel_proto::error::{Blame, Error, ErrorCode};
use passel_proto::handshake::alert;
use passel_proto::ids::{Channel, Role};
use passel_proto::limits::timers;
use support::{Pair, config, epoch, manifest};

/// Everything that a connection wants done.
fn wants(connection: &mut Connection) -> (Vec<Event>, usize) {
    let events = std::iter::from_fn(|| connection.poll_event()).collect();
    (events, std::iter::from_fn(|| connection.poll_storage()).count())
}

fn closed_with(events: &[Event]) -> Option<(Blame, ErrorCode)> {
    match events {
        [Event::Closed { error: Some(error) }] => Some((error.blame, error.code)),
        _ => None,
    }
}

/// HS-TIMEOUT: a minute, for a peer that says nothing and for one that stops.
#[test]
fn a_handshake_that_does_not_end_is_given_up_after_its_time() {
    let now = epoch();
    for (role, answered) in
        [(Role::Initiator, false), (Role::Responder, false), (Role::Responder, true)]
    {
        let mut initiator = Connection::initiator(config(), [1; 32], now).unwrap();
        let mut responder = Connection::responder(config(), [2; 32], now).unwrap();
        let mut buf = Vec::new();
        if answered {
            initiator.poll_transmit(now, &mut buf).unwrap();
            let later = now + Duration::from_secs(59);
            responder.handle_message(later, Channel::Control, &mut buf);
        }
        let one = if role == Role::Initiator { &mut initiator } else { &mut responder };
        while one.poll_transmit(now, &mut buf).is_some() {}
        let end = now + Duration::from_secs(60);
        assert_eq!(timers::HANDSHAKE, Duration::from_secs(60));
        assert_eq!(one.poll_timeout(), Some((end, TimerKind::Handshake)));
        one.handle_timeout(end.checked_sub(Duration::from_millis(1)).unwrap());
        assert_eq!(wants(one), (vec![], 0));
        one.handle_timeout(end);
        let (events, _) = wants(one);
        let expected = Some((Blame::Circumstance, ErrorCode::HandshakeTimeout));
        assert_eq!(closed_with(&events), expected, "{role:?}: {events:?}");
        assert!(one.poll_transmit(end, &mut buf).is_some(), "the peer is told");
        assert!(one.is_closed() && one.poll_timeout().is_none());
    }
}

/// OV-CONFIRMED-ONLY: the records are honest ones, and CONFIRM was lost.
#[test]
fn a_record_before_the_confirmation_is_not_acted_upon() {
    let mut pair = Pair::unconfirmed(1);
    pair.receiver.connection.offer(pair.now, manifest(&[("a", vec![1])]), "").unwrap();
    pair.run();
    let (_, offer) = pair.receiver.sent.last().unwrap().clone();
    for channel in Channel::ALL {
        let mut sender = Connection::responder(config(), [9; 32], pair.now).unwrap();
        let one =
            if channel == Channel::Control { &mut pair.sender.connection } else { &mut sender };
        one.handle_message(pair.now, channel, &mut offer.clone());
        let (events, storage) = wants(one);
        let blame = closed_with(&events).map(|(blame, _)| blame);
        assert_eq!((blame, storage), (Some(Blame::Peer), 0), "{channel:?}: {events:?}");
        one.handle_message(pair.now, channel, &mut offer.clone());
        assert_eq!(wants(one), (vec![], 0), "it is over");
    }
}

/// OV-CONFIRMED-ONLY: frames as they are, and in a record under other keys.
#[test]
fn a_frame_outside_an_opened_record_is_not_acted_upon() {
    let mut other = Pair::established(2);
    other.record = true;
    other.offer(&[("a", vec![1])]);
    other.run();
    let (_, foreign) = other.sender.sent.last().unwrap().clone();
    for mut message in [vec![0x06, 3, 1, 0, 0], foreign] {
        let mut pair = Pair::established(1);
        let one = &mut pair.receiver.connection;
        one.handle_message(pair.now, Channel::Control, &mut message);
        let (events, storage) = wants(one);
        let expected = Some((Blame::Peer, ErrorCode::RecordRejected));
        while one.poll_transmit(pair.now, &mut Vec::new()).is_some() {}
        let events: Vec<Event> =
            events.into_iter().chain(std::iter::from_fn(|| one.poll_event())).collect();
        assert_eq!((closed_with(&events), storage), (expected, 0), "{events:?}");
    }
}

/// HS-ALERT-LATE: the responder gives up while CONFIRM is on its way.
#[test]
fn an_alert_that_crosses_confirm_ends_the_initiator_with_its_reason() {
    let mut pair = Pair::new(1);
    pair.meddle = Some(Box::new(move |from, _, message| {
        from != "receiver" || message[1] == 1 // HELLO_I, and no CONFIRM yet
    }));
    pair.run();
    let (inviter, joiner) = (&mut pair.sender.connection, &mut pair.receiver.connection);
    assert!(joiner.is_established() && !inviter.is_established());
    inviter.close(pair.now, None);
    let mut alert = Vec::new();
    inviter.poll_transmit(pair.now, &mut alert).unwrap();
    joiner.handle_message(pair.now, Channel::Control, &mut alert);
    let (events, _) = wants(joiner);
    let expected = Some((Blame::Circumstance, ErrorCode::Cancelled));
    assert_eq!(closed_with(&events), expected, "{events:?}");
    assert!(joiner.poll_transmit(pair.now, &mut Vec::new()).is_none(), "it is not answered");
}

/// HS-ALERT-LATE: once the responder has sent a record, nothing but records counts.
#[test]
fn an_alert_behind_a_record_is_refused() {
    for (role, heard) in [(Role::Initiator, true), (Role::Responder, false)] {
        let mut pair = Pair::established(1);
        if heard {
            pair.offer(&[("a", vec![1])]);
            pair.run();
        }
        let side = if role == Role::Initiator { &mut pair.receiver } else { &mut pair.sender };
        let error = Error::new(Blame::Circumstance, ErrorCode::Cancelled, "too late");
        side.connection.handle_message(pair.now, Channel::Control, &mut alert(&error));
        while side.connection.poll_transmit(pair.now, &mut Vec::new()).is_some() {}
        let (events, _) = wants(&mut side.connection);
        let expected = Some((Blame::Peer, ErrorCode::RecordRejected));
        let closed = closed_with(&events[events.len() - 1..]);
        assert_eq!(closed, expected, "{role:?}: {events:?}");
    }
}
