//! Sessions that are resumed (`spec/04-handshake.md`, 4.7): by the right secret
//! alone, and in such a way that no crash between two stores locks the peers out.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a test that fails says so

mod support;

use passel_proto::connection::{Config, Connection, Event};
use passel_proto::crypto::{Entropy, Secret32};
use passel_proto::error::{Blame, Error, ErrorCode};
use passel_proto::handshake::{
    Auth, EXTENSION_RESUMPTION, Extension, HandshakeConfig, Resumption, ResumptionKey, Session,
    TransportBinding, initiator, responder,
};
use support::Pair;

fn binding() -> TransportBinding {
    TransportBinding { initiator: vec![1; 32], responder: vec![2; 32] }
}

fn key(byte: u8) -> ResumptionKey {
    ResumptionKey { id: [byte; 16], secret: Secret32::new([byte; 32]) }
}

fn resume(key: ResumptionKey, other: Option<ResumptionKey>) -> Auth {
    Auth::Resume { key, other }
}

fn handshake(of_initiator: Auth, of_responder: Auth) -> Result<(Session, Session), Error> {
    handshake_with(of_initiator, of_responder, |_| {})
}

fn handshake_with(
    of_initiator: Auth,
    of_responder: Auth,
    alter: impl FnOnce(&mut Vec<u8>),
) -> Result<(Session, Session), Error> {
    let mut entropy = Entropy::from_seed([3; 32]);
    let config = HandshakeConfig::new(of_initiator, binding());
    let (joiner, mut hello) = initiator::start(config, &mut entropy)?;
    alter(&mut hello);
    let config = HandshakeConfig::new(of_responder, binding());
    let (creator, answer) = responder::ExpectHello::new(config)?.handle(&hello, &mut entropy)?;
    let (of_joiner, confirm) = joiner.handle(&answer)?;
    Ok((of_joiner, creator.handle(&confirm)?))
}

// HS-RESUMPTION, HS-RESUME-OFFER, HS-RESUME-PICK
#[test]
fn a_session_is_resumed_by_what_both_kept_and_has_new_keys() {
    let link = || Auth::Link(Secret32::new([5; 32]));
    let (first, other) = handshake(link(), link()).unwrap();
    let kept = first.resumption();
    assert_eq!(kept, other.resumption());
    assert_eq!(first.resumed(), None);
    for (newest, older) in
        [(kept.key(), None), (key(9), Some(kept.key())), (kept.key(), Some(key(9)))]
    {
        let (again, at_responder) =
            handshake(resume(kept.key(), None), resume(newest, older)).unwrap();
        assert_eq!(again.resumed(), Some(&kept.id));
        assert_eq!(at_responder.resumed(), Some(&kept.id));
        assert_eq!((again.auth_mode(), at_responder.auth_mode()), (5, 5));
        assert_eq!(again.epoch_secret(), at_responder.epoch_secret());
        let next = again.resumption();
        assert_eq!(next, at_responder.resumption());
        assert_ne!(again.epoch_secret(), first.epoch_secret());
        assert_ne!(again.receipt_key(), first.receipt_key());
        assert_ne!(next.id, kept.id);
        assert_ne!(next.secret, kept.secret);
        assert_ne!(next.meeting_id(), kept.meeting_id());
        assert_ne!(next.meeting_link(), kept.meeting_link());
    }
}

// HS-RESUME-PICK, HS-CONFIRM-CHECK, HS-AUTH-MODE
#[test]
fn another_secret_another_name_and_another_mode_do_not_resume() {
    let code = |of_initiator, of_responder| {
        handshake(of_initiator, of_responder).expect_err("must fail").code
    };
    let other_secret = ResumptionKey { id: [1; 16], secret: Secret32::new([2; 32]) };
    let failed = ErrorCode::AuthenticationFailed;
    assert_eq!(code(resume(key(1), None), resume(other_secret.clone(), None)), failed);
    assert_eq!(code(resume(key(1), None), resume(key(9), Some(other_secret))), failed);
    let unknown = ErrorCode::ResumptionUnknown;
    assert_eq!(code(resume(key(1), None), resume(key(2), None)), unknown);
    assert_eq!(code(resume(key(1), None), resume(key(2), Some(key(3)))), unknown);
    let psk = || Auth::Psk(Secret32::new([1; 32]));
    assert_eq!(code(resume(key(1), None), psk()), ErrorCode::UnsupportedAuth);
    assert_eq!(code(psk(), resume(key(1), None)), ErrorCode::UnsupportedAuth);
}

// HS-RESUME-OFFER, HS-PSK-ZERO
#[test]
fn an_initiator_names_one_secret_and_none_is_zero() {
    let zero = || ResumptionKey { id: [1; 16], secret: Secret32::new([0; 32]) };
    let blame = |of_initiator, of_responder| {
        handshake(of_initiator, of_responder).expect_err("must fail").blame
    };
    let one = || resume(key(1), None);
    assert_eq!(blame(resume(key(1), Some(key(2))), one()), Blame::Misuse);
    assert_eq!(blame(resume(zero(), None), one()), Blame::Misuse);
    assert_eq!(blame(one(), resume(key(1), Some(zero()))), Blame::Misuse);
    let mut config = HandshakeConfig::new(one(), binding());
    config.extensions = vec![Extension { id: EXTENSION_RESUMPTION, body: vec![1; 16] }];
    let error = initiator::start(config, &mut Entropy::from_seed([3; 32])).unwrap_err();
    assert_eq!(error.blame, Blame::Misuse);
}

// HS-DOWNGRADE, HS-RESUME-PICK: the name is changed on its way to the other one that
// the responder has, under the same secret, so that only the transcript can show it.
#[test]
fn a_tampered_name_breaks_confirmation() {
    let twin = ResumptionKey { id: [2; 16], secret: key(1).secret };
    let rename = |hello: &mut Vec<u8>| {
        let at = hello.windows(16).rposition(|part| part == [1; 16]).unwrap();
        hello[at..at + 16].fill(2);
    };
    let error = handshake_with(resume(key(1), None), resume(key(1), Some(twin)), rename)
        .expect_err("must fail");
    assert_eq!(error.code, ErrorCode::AuthenticationFailed);
}

/// Runs a connection in mode RESUME to the end of its handshake.
fn connect(of_initiator: Auth, of_responder: Auth, seed: u64) -> Pair {
    let config = |auth| Config::new(auth, binding());
    let mut pair = Pair::with(seed, config(of_responder), config(of_initiator));
    pair.run();
    pair
}

// HS-RESUME-UNKNOWN, HS-ALERT
#[test]
fn an_initiator_learns_that_its_secret_is_unknown_and_tries_the_other() {
    let held = || resume(key(1), None);
    let refused = connect(resume(key(2), None), held(), 1);
    let error = refused.receiver.error().expect("the alert");
    assert_eq!((error.code, error.blame), (ErrorCode::ResumptionUnknown, Blame::Circumstance));
    assert!(error.from_peer);
    assert_eq!(refused.sender.error().unwrap().code, ErrorCode::ResumptionUnknown);
    let again = connect(resume(key(1), None), held(), 2);
    assert!(again.receiver.connection.is_established());
    assert_eq!(again.sender.connection.resumed_from(), Some([1; 16]));
}

// HS-RESUMABLE, HS-RESUME-ONCE
#[test]
fn a_secret_is_settled_once_both_sides_have_stored_it() {
    let mut pair = Pair::established(1);
    let now = pair.now;
    let stored =
        |events: &[Event]| events.iter().filter(|event| **event == Event::ResumptionStored).count();
    assert_eq!(pair.sender.connection.resumption(), pair.receiver.connection.resumption());
    pair.sender.connection.confirm_resumption_stored(now).unwrap();
    pair.run();
    assert_eq!((stored(&pair.sender.events), stored(&pair.receiver.events)), (0, 1));
    for side in [&pair.sender, &pair.receiver] {
        assert!(!side.connection.is_resumption_settled());
    }
    pair.receiver.connection.confirm_resumption_stored(now).unwrap();
    pair.run();
    assert_eq!((stored(&pair.sender.events), stored(&pair.receiver.events)), (1, 1));
    for side in [&mut pair.sender, &mut pair.receiver] {
        assert!(side.connection.is_resumption_settled());
        let twice = side.connection.confirm_resumption_stored(now).unwrap_err();
        assert_eq!(twice.blame, Blame::Misuse);
    }
}

// HS-CONFIRM-FIRST
#[test]
fn there_is_nothing_to_keep_before_confirmation() {
    let now = support::epoch();
    let mut waiting = Connection::initiator(support::config(), [1; 32], now).unwrap();
    assert_eq!(waiting.resumption(), None);
    assert_eq!(waiting.confirm_resumption_stored(now).unwrap_err().blame, Blame::Misuse);
}

/// What a side has on its disk, the newest first.
#[derive(Clone, Debug)]
struct Kept(Vec<Resumption>);

/// How far a side comes in storing a session's values before it crashes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Reached {
    Nothing,
    Stored,
    Said,
}

const ALL: [Reached; 3] = [Reached::Nothing, Reached::Stored, Reached::Said];

impl Kept {
    /// HS-RESUME-KEEP: the new one, and the one that it came from.
    fn store(&mut self, connection: &Connection) {
        let from = connection.resumed_from();
        self.0.retain(|kept| Some(kept.id) == from);
        self.0.insert(0, connection.resumption().unwrap());
        assert!(self.0.len() <= 2);
    }

    /// HS-RESUME-ONCE
    fn forget_older(&mut self, connection: &Connection) {
        if connection.is_resumption_settled() {
            self.0.truncate(1);
        }
    }

    fn as_responder(&self) -> Auth {
        resume(self.0[0].key(), self.0.get(1).map(Resumption::key))
    }
}

/// The initiator names each of its secrets in turn, each in another connection.
fn meet(initiator: &Kept, responder: &Kept, seed: u64) -> Pair {
    for (nth, kept) in initiator.0.iter().enumerate() {
        let pair = connect(resume(kept.key(), None), responder.as_responder(), seed + nth as u64);
        if pair.receiver.connection.is_established() {
            return pair;
        }
        let error = pair.receiver.error().unwrap();
        assert_eq!(error.code, ErrorCode::ResumptionUnknown);
    }
    panic!("locked out: {initiator:?} and {responder:?}");
}

/// One session with a crash of both sides at some point of storing. What is said
/// by a side may be lost with the crash, or come through.
fn session(
    initiator: &mut Kept,
    responder: &mut Kept,
    reached: (Reached, Reached),
    heard: (bool, bool),
    seed: u64,
) {
    let mut pair = meet(initiator, responder, seed);
    let now = pair.now;
    if reached.0 >= Reached::Stored {
        initiator.store(&pair.receiver.connection);
    }
    if reached.1 >= Reached::Stored {
        responder.store(&pair.sender.connection);
    }
    if reached.0 == Reached::Said {
        pair.receiver.connection.confirm_resumption_stored(now).unwrap();
    }
    if reached.1 == Reached::Said {
        pair.sender.connection.confirm_resumption_stored(now).unwrap();
    }
    pair.meddle = Some(Box::new(move |from, _, _| match from {
        "receiver" => heard.0,
        _ => heard.1,
    }));
    pair.run();
    initiator.forget_older(&pair.receiver.connection);
    responder.forget_older(&pair.sender.connection);
}

// HS-RESUME-KEEP, HS-RESUME-ONCE, HS-RESUME-UNKNOWN: 3 x 3 places to crash, 4 ways
// for the two frames to be lost, twice in a row, and then the peers meet again.
#[test]
fn no_crash_between_two_stores_locks_the_peers_out() {
    let first = Resumption::derive(&Secret32::new([8; 32]));
    let windows: Vec<_> = ALL
        .into_iter()
        .flat_map(|one| ALL.map(|other| (one, other)))
        .flat_map(|reached| {
            [(false, false), (false, true), (true, false), (true, true)]
                .map(|heard| (reached, heard))
        })
        .collect();
    assert_eq!(windows.len(), 36);
    let mut settled = 0;
    for (nth, &(reached, heard)) in windows.iter().enumerate() {
        let mut once = (Kept(vec![first.clone()]), Kept(vec![first.clone()]));
        session(&mut once.0, &mut once.1, reached, heard, 100 * nth as u64);
        settled += usize::from(once.0.0.len() == 1 && once.1.0.len() == 1);
        for (other, &(reached, heard)) in windows.iter().enumerate().step_by(5) {
            let (mut initiator, mut responder) = once.clone();
            let seed = 10_000 + 1000 * nth as u64 + 10 * other as u64;
            session(&mut initiator, &mut responder, reached, heard, seed);
            // They may also change roles.
            meet(&responder, &initiator, seed + 5);
        }
    }
    // Both crash before storing (4 ways), or both say so and both hear it.
    assert_eq!(settled, 4 + 1);
}
