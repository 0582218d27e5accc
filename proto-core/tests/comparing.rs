//! The mode without a secret (`spec/04-handshake.md`, 4.8): honest sides show the
//! same, somebody in between makes them differ and cannot choose how, and nothing
//! of a transfer happens before two people have compared.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a test that fails says so

mod forger;
mod support;

use std::collections::BTreeSet;
use std::time::Duration;

use forger::{Forger, OURS};
use passel_proto::connection::{Config, Connection, Event};
use passel_proto::crypto::{Entropy, Secret32};
use passel_proto::error::{Blame, Error, ErrorCode};
use passel_proto::frame::{Cancel, Frame, Ping};
use passel_proto::handshake::{
    Auth, EXTENSION_SAS_COMMIT, Extension, HandshakeConfig, Sas, TransportBinding, initiator,
    responder,
};
use passel_proto::ids::{Channel, TransferId};
use passel_proto::signal::SignalSession;
use support::{Pair, manifest};

/// What ties a handshake to the transport between `one` and `other`.
fn between(one: u8, other: u8) -> TransportBinding {
    TransportBinding { initiator: vec![one; 32], responder: vec![other; 32] }
}

fn handshake_config(binding: TransportBinding) -> HandshakeConfig {
    HandshakeConfig::new(Auth::Sas, binding)
}

fn entropy(seed: u64) -> Entropy {
    let mut seeds = [7; 32];
    seeds[..8].copy_from_slice(&seed.to_le_bytes());
    Entropy::from_seed(seeds)
}

fn config() -> Config {
    Config::new(Auth::Sas, between(1, 2))
}

fn shown(events: &[Event]) -> Option<Sas> {
    events.iter().find_map(|event| match event {
        Event::Sas { sas } => Some(*sas),
        _ => None,
    })
}

/// A pair that waits for its two people.
fn waiting(seed: u64) -> Pair {
    let mut pair = Pair::with(seed, config(), config());
    pair.run();
    pair
}

// HS-SAS-ZERO, HS-SAS-VALUE
#[test]
fn both_sides_show_the_same_and_each_session_shows_another() {
    let mut seen = BTreeSet::new();
    for seed in 0..20 {
        let pair = waiting(seed);
        let (one, other) = (shown(&pair.sender.events), shown(&pair.receiver.events));
        assert_eq!(one, other);
        let sas = one.expect("shown");
        assert!(sas.words().iter().all(|word| *word < 2048) && sas.digits() < 10_000);
        assert!(matches!(
            &pair.sender.events[..],
            [Event::Established { auth: 3, .. }, Event::Sas { .. }]
        ));
        seen.insert((sas.words(), sas.digits()));
    }
    assert_eq!(seen.len(), 20);
}

/// Somebody in the rendezvous who takes each side's part towards the other: what
/// the two real sides show, and what it read of their descriptions.
fn man_in_the_middle(seed: u64) -> ((Sas, Sas), Vec<Vec<u8>>) {
    let mut random = entropy(seed);
    let route = b"route";
    let mut creator = SignalSession::creator_sas(route, &mut random).unwrap();
    let mut joiner = SignalSession::joiner_sas(route, &mut random).unwrap();
    let mut to_creator = SignalSession::joiner_sas(route, &mut random).unwrap();
    let mut to_joiner = SignalSession::creator_sas(route, &mut random).unwrap();
    joiner.seal(b"the joiner's addresses").unwrap();
    creator.seal(b"the creator's addresses").unwrap();
    to_creator.seal(b"other addresses").unwrap();
    to_joiner.seal(b"other addresses").unwrap();
    let mut read = Vec::new();
    for _ in 0..4 {
        for (honest, other) in [(&mut creator, &mut to_creator), (&mut joiner, &mut to_joiner)] {
            while let Some(blob) = honest.poll_blob() {
                read.extend(other.handle_blob(&blob).unwrap());
            }
            while let Some(blob) = other.poll_blob() {
                honest.handle_blob(&blob).unwrap();
            }
        }
    }
    assert_eq!((creator.auth().unwrap().mode(), joiner.auth().unwrap().mode()), (3, 3));

    // Two transports, so two bindings; the one in between knows both.
    let (joined, hello) = initiator::start(handshake_config(between(1, 9)), &mut random).unwrap();
    let middle = responder::ExpectHello::new(handshake_config(between(1, 9))).unwrap();
    let (middle, answer) = middle.handle(&hello, &mut random).unwrap();
    let (joined, confirm) = joined.handle(&answer).unwrap();
    middle.handle(&confirm).unwrap();
    let (middle, hello) = initiator::start(handshake_config(between(9, 2)), &mut random).unwrap();
    let created = responder::ExpectHello::new(handshake_config(between(9, 2))).unwrap();
    let (created, answer) = created.handle(&hello, &mut random).unwrap();
    let (_, confirm) = middle.handle(&answer).unwrap();
    let created = created.handle(&confirm).unwrap();
    ((*joined.sas().unwrap(), *created.sas().unwrap()), read)
}

// HS-SAS-VALUE, SG-SAS: it reads the addresses, and is found out.
#[test]
fn somebody_in_the_rendezvous_makes_the_two_screens_differ() {
    for seed in 0..20 {
        let ((one, other), read) = man_in_the_middle(seed);
        let shown = |sas: &Sas| (sas.words(), sas.digits());
        assert_ne!(shown(&one), shown(&other));
        assert_eq!(read.len(), 2, "both descriptions were read");
    }
}

// HS-SAS-COMMIT, HS-SAS-REVEAL: towards a responder the nonce is the one free word
// left after HELLO_R, and none but the one committed to is taken.
#[test]
fn an_initiator_cannot_search_for_a_nonce_after_it_has_heard_the_responder() {
    let (attacker, hello) =
        initiator::start(handshake_config(between(1, 2)), &mut entropy(1)).unwrap();
    let answer = || {
        let waiting = responder::ExpectHello::new(handshake_config(between(1, 2))).unwrap();
        waiting.handle(&hello, &mut entropy(2)).unwrap()
    };
    let (_, honest) = attacker.handle(&answer().1).unwrap();
    let (tag, nonce) = honest[2..].split_at(32);
    assert!(answer().0.handle(&honest).is_ok());
    let mut random = entropy(3);
    for round in 0..200 {
        // Bits of the right one, and others.
        let mut other: [u8; 32] =
            if round < 100 { nonce.try_into().unwrap() } else { random.array() };
        other[round % 32] ^= 1;
        let message = [&[0, 3][..], tag, &other].concat();
        let refused = answer().0.handle(&message).unwrap_err();
        assert_eq!((refused.code, refused.blame), (ErrorCode::AuthenticationFailed, Blame::Peer));
    }
    // Nor is it let off revealing.
    let bare = [&[0, 3][..], tag].concat();
    assert_eq!(answer().0.handle(&bare).unwrap_err().code, ErrorCode::Malformed);
}

// HS-SAS-COMMIT: towards an initiator HELLO_R is the last free word, and what has
// been said until then does not tell the nonce.
#[test]
fn a_responder_fixes_its_hello_before_it_can_know_what_will_be_shown() {
    let (joiner, hello) =
        initiator::start(handshake_config(between(1, 2)), &mut entropy(1)).unwrap();
    let waiting = responder::ExpectHello::new(handshake_config(between(1, 2))).unwrap();
    let (state, answer) = waiting.handle(&hello, &mut entropy(2)).unwrap();
    let (shown, confirm) = joiner.handle(&answer).unwrap();
    let nonce = &confirm[34..66];
    for part in nonce.windows(4) {
        assert!(!hello.windows(4).any(|said| said == part));
    }
    let session = state.handle(&confirm).unwrap();
    assert_eq!(session.sas(), shown.sas());
    // The nonce decides: of the same secret each gives another string.
    let mut all = BTreeSet::new();
    let secret = Secret32::new([9; 32]);
    for byte in 0..=255 {
        let nonce = Secret32::new([byte; 32]);
        all.insert(*Sas::derive(&secret, &nonce).bytes());
    }
    assert_eq!(all.len(), 256);
    // And a second HELLO_R is not heard: the state is used up, the connection refuses.
    let mut pair = waiting_pair_with_second_hello();
    pair.run();
    let error = pair.receiver.error().expect("refused");
    assert_eq!(error.code, ErrorCode::RecordRejected);
}

/// A pair whose initiator hears HELLO_R twice.
fn waiting_pair_with_second_hello() -> Pair {
    let mut pair = Pair::with(1, config(), config());
    pair.record = true;
    pair.run();
    let (channel, hello_r) = pair.sender.sent[0].clone();
    pair.receiver.inbox.push((channel, hello_r));
    pair
}

// HS-SAS-COMMIT
#[test]
fn the_commitments_extension_is_not_the_embedders() {
    let mut config = handshake_config(between(1, 2));
    config.extensions = vec![Extension { id: EXTENSION_SAS_COMMIT, body: vec![0; 32] }];
    let refused = initiator::start(config, &mut entropy(1)).unwrap_err();
    assert_eq!(refused.blame, Blame::Misuse);
}

fn files() -> Vec<(&'static str, Vec<u8>)> {
    vec![("a", vec![1; 100])]
}

// HS-SAS-GATE
#[test]
fn nothing_can_be_offered_or_kept_before_the_two_were_compared() {
    let mut pair = waiting(1);
    let now = pair.now;
    for side in [&mut pair.sender, &mut pair.receiver] {
        let connection = &mut side.connection;
        assert!(connection.is_established());
        assert_eq!(connection.offer(now, manifest(&files()), "").unwrap_err().blame, Blame::Misuse);
        assert_eq!(connection.confirm_resumption_stored(now).unwrap_err().blame, Blame::Misuse);
        assert!(connection.resumption().is_none());
    }
    pair.sender.connection.confirm_sas(now, true).unwrap();
    let twice = pair.sender.connection.confirm_sas(now, false).unwrap_err();
    assert_eq!(twice.blame, Blame::Misuse);
    assert!(pair.sender.connection.resumption().is_some());

    // The sender's user was quicker.
    let id = pair.offer(&files());
    pair.run();
    assert_eq!(pair.receiver.events.len(), 2, "{:?}", pair.receiver.events);
    assert!(pair.receiver.connection.manifest(id).is_none());
    assert!(pair.receiver.connection.note(id).is_none());
    let refused = pair.receiver.connection.accept(pair.now, id, None).unwrap_err();
    assert_eq!(refused.blame, Blame::Misuse);

    pair.receiver.connection.confirm_sas(pair.now, true).unwrap();
    pair.run();
    assert!(pair.receiver.events.contains(&Event::Offered { transfer: id }));
    pair.receiver.connection.accept(pair.now, id, None).unwrap();
    pair.finish();
    assert!(matches!(pair.receiver.ended(), Some(Event::Completed { .. })));
    assert!(matches!(pair.sender.ended(), Some(Event::Completed { .. })));
}

// HS-SAS-GATE: whatever the peer sends, it hears PING, PONG and CLOSE alone.
#[test]
fn a_side_that_waits_says_nothing_of_a_transfer() {
    let mut forger = Forger::with(config(), manifest(&files()));
    forger.offer();
    for _ in 0..6 {
        forger.wait(Duration::from_secs(9));
        forger.send(Ping { token: 6 });
    }
    assert!(forger.count(|frame| matches!(frame, Frame::Pong(_))) > 0);
    let said = |frame: &Frame| !matches!(frame, Frame::Ping(_) | Frame::Pong(_));
    assert_eq!(forger.count(said), 0);
    assert_eq!(forger.events.len(), 2, "{:?}", forger.events);
    // Six offers: the sixth is rejected, and that is told once the user has spoken.
    for number in 1..6 {
        let mut offer = forger.offer_frame();
        offer.transfer.0 = OURS.0 + 2 * number;
        forger.send(offer);
    }
    assert_eq!(forger.count(said), 0);
    forger.victim.confirm_sas(forger.now, true).unwrap();
    forger.drain();
    assert_eq!(forger.count(|frame| matches!(frame, Frame::Reject(_))), 1);
    assert!(forger.events.contains(&Event::Offered { transfer: OURS }));
}

// HS-SAS-GATE, RL-UPDATE-DUE: people may take longer than keys last.
#[test]
fn keys_are_updated_while_people_compare() {
    let mut pair = waiting(1);
    pair.run_until(Duration::from_mins(20), |_| false);
    pair.sender.connection.confirm_sas(pair.now, true).unwrap();
    pair.run_until(Duration::from_mins(20), |_| false);
    for side in [&pair.sender, &pair.receiver] {
        assert_eq!(side.error(), None);
        assert!(side.connection.key_epoch() > Some(2), "{:?}", side.connection.key_epoch());
    }
    pair.receiver.connection.confirm_sas(pair.now, true).unwrap();
    pair.transfer(&files());
    assert!(matches!(pair.sender.ended(), Some(Event::Completed { .. })));
}

// HS-SAS-MISMATCH
#[test]
fn a_difference_ends_the_connection_for_both_and_nothing_was_told() {
    let mut pair = waiting(1);
    pair.sender.connection.confirm_sas(pair.now, true).unwrap();
    pair.offer(&files());
    pair.run();
    pair.receiver.connection.confirm_sas(pair.now, false).unwrap();
    pair.run();
    let closed = |side: &support::Side| match side.closed() {
        Some(Event::Closed { error: Some(error) }) => error.clone(),
        other => panic!("{other:?}"),
    };
    let own: Error = closed(&pair.receiver);
    assert_eq!((own.code, own.blame), (ErrorCode::SasMismatch, Blame::Peer));
    assert_eq!(closed(&pair.sender).code, ErrorCode::SasMismatch);
    assert_eq!(pair.receiver.events.len(), 3, "{:?}", pair.receiver.events);
}

// HS-SAS-GATE: the end of a connection while its user is being asked.
#[test]
fn who_leaves_while_the_question_stands_is_heard_and_nothing_else_is() {
    let mut forger = Forger::with(config(), manifest(&files()));
    forger.offer();
    forger.victim.close(forger.now, None);
    forger.drain();
    let frames: Vec<&Frame> = forger.got.iter().map(|(frame, _)| frame).collect();
    assert!(matches!(frames[..], [Frame::Close(_)]), "{frames:?}");
    assert!(matches!(
        forger.events[..],
        [Event::Established { .. }, Event::Sas { .. }, Event::Closed { error: None }]
    ));
    let mut pair = waiting(2);
    pair.sender.connection.close(pair.now, None);
    pair.run();
    assert!(pair.receiver.closed().is_some());
    let late = pair.receiver.connection.confirm_sas(pair.now, true).unwrap_err();
    assert_eq!(late.blame, Blame::Misuse);
    assert!(pair.receiver.connection.offer(pair.now, manifest(&files()), "").is_err());
}

// HS-SAS-ONE: who was not lucky gets no second try under the same invitation.
#[test]
fn a_handshake_that_failed_is_not_followed_by_another() {
    let now = support::epoch();
    let mut creator = Connection::responder(config(), [1; 32], now).unwrap();
    let hello = |seed| {
        let (state, hello) =
            initiator::start(handshake_config(between(1, 2)), &mut entropy(seed)).unwrap();
        (state, hello)
    };
    let mut buf = Vec::new();
    let (state, mut first) = hello(1);
    creator.handle_message(now, Channel::Control, &mut first);
    creator.poll_transmit(now, &mut buf).unwrap();
    let (_, mut confirm) = state.handle(&buf).unwrap();
    *confirm.last_mut().unwrap() ^= 1;
    creator.handle_message(now, Channel::Control, &mut confirm);
    while creator.poll_transmit(now, &mut buf).is_some() {}
    assert!(creator.is_closed());
    creator.handle_message(now, Channel::Control, &mut hello(2).1);
    assert_eq!(creator.poll_transmit(now, &mut buf), None);
    assert!(!creator.is_established());
    // Nor does the side that made the invitation take a second joiner's share.
    let mut random = entropy(1);
    let mut waits = SignalSession::creator_sas(b"route", &mut random).unwrap();
    let share = |random: &mut Entropy| {
        SignalSession::joiner_sas(b"route", random).unwrap().poll_blob().unwrap()
    };
    assert!(waits.handle_blob(&share(&mut random)).is_ok());
    assert!(waits.handle_blob(&share(&mut random)).is_err());
}

// HS-SAS-HELD
#[test]
fn a_peer_that_offers_and_cancels_while_people_look_is_stopped() {
    let mut forger = Forger::with(config(), manifest(&files()));
    let mut number = OURS.0;
    while forger.refused().is_none() {
        let transfer = TransferId(number);
        let (mut offer, mut page) = (forger.offer_frame(), forger.page_frame());
        (offer.transfer, page.transfer) = (transfer, transfer);
        forger.send(offer);
        forger.send(page);
        forger.send(Cancel { transfer, code: 0x20, text: String::new() });
        number += 2;
        assert!(number < 20_000, "nothing stops it");
    }
    assert_eq!(forger.refused(), Some(ErrorCode::LimitExceeded));
    assert_eq!(forger.events.len(), 3, "and nothing was told");
}
