//! The handshake as a whole (`spec/04-handshake.md`): two honest sides agree, and
//! every change on the way, to what they know or to what they say, ends it.

#![allow(clippy::unwrap_used, clippy::expect_used)] // helpers of tests

use passel_proto::crypto::{Entropy, Secret32};
use passel_proto::error::{Blame, Error, ErrorCode};
use passel_proto::handshake::{
    Auth, Extension, HandshakeConfig, Session, TransportBinding, alert, initiator, is_grease,
    parse_alert, responder,
};
use passel_proto::ids::Role;
use passel_proto::suite::Suite;
use proptest::prelude::*;

fn binding() -> TransportBinding {
    TransportBinding { initiator: vec![0x11; 32], responder: vec![0x22; 32] }
}

fn config() -> HandshakeConfig {
    HandshakeConfig::new(Auth::Link(Secret32::new([5; 32])), binding())
}

fn entropy(seed: u8) -> Entropy {
    Entropy::from_seed([seed; 32])
}

/// Runs both sides; `alter_i` and `alter_r` are somebody in between.
fn run_with(
    config_i: HandshakeConfig,
    config_r: HandshakeConfig,
    alter_i: impl FnOnce(&mut Vec<u8>),
    alter_r: impl FnOnce(&mut Vec<u8>),
) -> Result<(Session, Session), Error> {
    let (state_i, mut hello_i) = initiator::start(config_i, &mut entropy(1))?;
    alter_i(&mut hello_i);
    let (state_r, mut hello_r) =
        responder::ExpectHello::new(config_r)?.handle(&hello_i, &mut entropy(2))?;
    alter_r(&mut hello_r);
    let (session_i, confirm) = state_i.handle(&hello_r)?;
    Ok((session_i, state_r.handle(&confirm)?))
}

fn run(config_i: HandshakeConfig, config_r: HandshakeConfig) -> Result<(Session, Session), Error> {
    run_with(config_i, config_r, |_| {}, |_| {})
}

fn code_of(result: Result<(Session, Session), Error>) -> ErrorCode {
    result.expect_err("the handshake must fail").code
}

// HS-SCHEDULE, HS-CONFIRM-FIRST
#[test]
fn two_honest_sides_have_the_same_session() {
    let (one, other) = run(config(), config()).unwrap();
    assert_eq!(one.role(), Role::Initiator);
    assert_eq!(other.role(), Role::Responder);
    assert_eq!(one.id(), other.id());
    assert_eq!(one.transcript(), other.transcript());
    assert_eq!(one.epoch_secret(), other.epoch_secret());
    assert_eq!(one.receipt_key(), other.receipt_key());
    assert_eq!(one.resumption_secret(), other.resumption_secret());
    assert_eq!(one.lane_signaling_secret(), other.lane_signaling_secret());
    assert_eq!((one.auth_mode(), other.auth_mode()), (1, 1));
}

#[test]
fn every_mode_of_authentication_works() {
    let secret = || Secret32::new([9; 32]);
    for auth in [
        Auth::Link(secret()),
        Auth::Code { secret: secret(), context: [1; 32] },
        Auth::Psk(secret()),
    ] {
        let make = || HandshakeConfig::new(auth.clone(), binding());
        assert!(run(make(), make()).is_ok());
    }
}

// HS-EXPORTER
#[test]
fn exported_secrets_agree_and_depend_on_label_and_context() {
    let (one, other) = run(config(), config()).unwrap();
    let exported = one.export("app", b"x").unwrap();
    assert_eq!(exported, other.export("app", b"x").unwrap());
    assert_ne!(exported, one.export("app", b"y").unwrap());
    assert_ne!(exported, one.export("apq", b"x").unwrap());
    assert!(one.export("", b"").is_err());
    assert!(one.export(&"x".repeat(129), b"").is_err());
    assert!(one.export("app", &[0; 256]).is_err());
}

// SC-ENTROPY: other seeds give other keys and ids.
#[test]
fn two_handshakes_of_the_same_secret_share_no_key() {
    let again = |seed: u8| {
        let (state, hello) = initiator::start(config(), &mut entropy(seed)).unwrap();
        let waiting = responder::ExpectHello::new(config()).unwrap();
        let (_, answer) = waiting.handle(&hello, &mut entropy(seed + 1)).unwrap();
        state.handle(&answer).unwrap().0
    };
    let (one, other) = (again(10), again(20));
    assert_ne!(one.epoch_secret(), other.epoch_secret());
    assert_ne!(one.resumption_secret(), other.resumption_secret());
    assert_ne!(one.id(), other.id());
}

// HS-CONFIRM-CHECK
#[test]
fn another_secret_fails_key_confirmation() {
    let mut other = config();
    other.auth = Auth::Link(Secret32::new([6; 32]));
    assert_eq!(code_of(run(config(), other)), ErrorCode::AuthenticationFailed);
}

// HS-TRANSCRIPT
#[test]
fn another_context_of_the_code_fails_key_confirmation() {
    let with = |context| {
        HandshakeConfig::new(Auth::Code { secret: Secret32::new([9; 32]), context }, binding())
    };
    assert_eq!(code_of(run(with([1; 32]), with([2; 32]))), ErrorCode::AuthenticationFailed);
}

// HS-BINDING
#[test]
fn another_transport_at_either_end_fails_key_confirmation() {
    let changes: [fn(&mut TransportBinding); 5] = [
        |b| b.initiator[0] ^= 1,
        |b| b.responder[31] ^= 0x80,
        |b| std::mem::swap(&mut b.initiator, &mut b.responder),
        |b| b.initiator.push(0),
        |b| {
            let moved = b.responder.remove(0);
            b.initiator.push(moved);
        },
    ];
    for change in changes {
        let mut other = config();
        change(&mut other.binding);
        assert_eq!(code_of(run(config(), other)), ErrorCode::AuthenticationFailed);
    }
}

// HS-AUTH-MODE
#[test]
fn another_mode_of_authentication_is_incompatible() {
    let mut other = config();
    other.auth = Auth::Psk(Secret32::new([5; 32]));
    let error = run(config(), other).unwrap_err();
    assert_eq!((error.code, error.blame), (ErrorCode::UnsupportedAuth, Blame::Incompatible));
}

// HS-PSK-ZERO, HS-BINDING-LENGTH
#[test]
fn a_configuration_against_its_contract_is_misuse() {
    let misuse = |change: fn(&mut HandshakeConfig)| {
        let mut config = config();
        change(&mut config);
        let error = initiator::start(config.clone(), &mut entropy(1)).unwrap_err();
        assert_eq!(error.blame, Blame::Misuse);
        assert_eq!(responder::ExpectHello::new(config).unwrap_err().blame, Blame::Misuse);
    };
    misuse(|c| c.auth = Auth::Link(Secret32::new([0; 32])));
    misuse(|c| c.binding.initiator.clear());
    misuse(|c| c.binding.responder.clear());
    misuse(|c| c.binding.initiator = vec![1; 65]);
    misuse(|c| c.extensions = vec![Extension { id: 1, body: vec![0; 1025] }]);
    misuse(|c| c.extensions = vec![Extension { id: 0x1a2a, body: vec![] }]);
    misuse(|c| c.extensions = vec![Extension { id: 7, body: vec![] }; 2]);
    misuse(|c| c.extensions = (0..32).map(|id| Extension { id, body: vec![] }).collect());
}

// HS-EXT-ANSWER, HS-EXT-UNKNOWN
#[test]
fn extensions_reach_the_peer_if_they_were_offered() {
    let extension = |id, body: &[u8]| Extension { id, body: body.to_vec() };
    let (mut config_i, mut config_r) = (config(), config());
    config_i.extensions = vec![extension(1, b"one"), extension(2, b"two")];
    config_r.extensions = vec![extension(2, b"TWO"), extension(3, b"THREE")];
    let (one, other) = run(config_i, config_r).unwrap();
    assert_eq!(one.peer_extensions(), [extension(2, b"TWO")]);
    assert_eq!(other.peer_extensions(), [extension(1, b"one"), extension(2, b"two")]);
}

// HS-DOWNGRADE: every byte of both hellos.
#[test]
fn a_changed_byte_anywhere_in_a_hello_breaks_the_handshake() {
    let (_, hello_i) = initiator::start(config(), &mut entropy(1)).unwrap();
    let waiting = responder::ExpectHello::new(config()).unwrap();
    let (_, hello_r) = waiting.handle(&hello_i, &mut entropy(2)).unwrap();
    for place in 0..hello_i.len() {
        let flip = |m: &mut Vec<u8>| m[place] ^= 1 << (place % 8);
        assert!(run_with(config(), config(), flip, |_| {}).is_err(), "HELLO_I, byte {place}");
    }
    for place in 0..hello_r.len() {
        let flip = |m: &mut Vec<u8>| m[place] ^= 1 << (place % 8);
        assert!(run_with(config(), config(), |_| {}, flip).is_err(), "HELLO_R, byte {place}");
    }
}

// HS-CONFIRM-CHECK
#[test]
fn a_changed_byte_anywhere_in_confirm_leaves_the_responder_without_a_session() {
    let (state_i, hello_i) = initiator::start(config(), &mut entropy(1)).unwrap();
    let answer = || {
        let waiting = responder::ExpectHello::new(config()).unwrap();
        waiting.handle(&hello_i, &mut entropy(2)).unwrap()
    };
    let (_, confirm) = state_i.handle(&answer().1).unwrap();
    assert!(answer().0.handle(&confirm).is_ok());
    for place in 2..confirm.len() {
        let mut changed = confirm.clone();
        changed[place] ^= 1;
        let error = answer().0.handle(&changed).unwrap_err();
        assert_eq!(error.code, ErrorCode::AuthenticationFailed);
    }
}

/// A change to the lists of versions and suites.
type Edit = fn(&mut Vec<u16>, &mut Vec<u16>);

/// Rebuilds `HELLO_I`'s lists, which begin the message: `[0, 1, n, versions…, m,
/// suites…, auth…]`, numbers as varints.
fn edit_lists(message: &mut Vec<u8>, edit: impl FnOnce(&mut Vec<u16>, &mut Vec<u16>)) {
    fn list(bytes: &mut &[u8]) -> Vec<u16> {
        let count = take(bytes);
        (0..count).map(|_| take(bytes)).collect()
    }
    fn take(bytes: &mut &[u8]) -> u16 {
        let (value, used) = match bytes[0] {
            251 => (u16::from_le_bytes([bytes[1], bytes[2]]), 3),
            small => (u16::from(small), 1),
        };
        *bytes = &bytes[used..];
        value
    }
    fn put(out: &mut Vec<u8>, value: u16) {
        match u8::try_from(value) {
            Ok(small) if small < 251 => out.push(small),
            _ => {
                out.push(251);
                out.extend_from_slice(&value.to_le_bytes());
            }
        }
    }
    let mut rest = &message[2..];
    let mut versions = list(&mut rest);
    let mut suites = list(&mut rest);
    edit(&mut versions, &mut suites);
    let mut out = vec![0, 1];
    for list in [versions, suites] {
        put(&mut out, u16::try_from(list.len()).unwrap());
        for value in list {
            put(&mut out, value);
        }
    }
    out.extend_from_slice(rest);
    *message = out;
}

// HS-GREASE
#[test]
fn hellos_are_greased_and_other_numbers_do_not_disturb() {
    let (_, mut hello) = initiator::start(config(), &mut entropy(1)).unwrap();
    edit_lists(&mut hello, |versions, suites| {
        for list in [versions, suites] {
            assert!(list.contains(&1));
            assert_eq!(list.iter().filter(|number| is_grease(**number)).count(), 1);
        }
    });
}

// HS-DOWNGRADE: what was offered is taken away, or something is added.
#[test]
fn stripping_or_adding_an_offer_breaks_the_handshake() {
    let edits: [Edit; 6] = [
        |versions, _| versions.retain(|version| !is_grease(*version)),
        |_, suites| suites.retain(|suite| !is_grease(*suite)),
        |versions, _| versions.push(2),
        |_, suites| suites.push(2),
        |versions, _| versions.reverse(),
        |_, suites| suites.reverse(),
    ];
    for edit in edits {
        let result = run_with(config(), config(), |m| edit_lists(m, edit), |_| {});
        assert_eq!(code_of(result), ErrorCode::AuthenticationFailed);
    }
    let none = |edit: Edit| {
        let error =
            run_with(config(), config(), |m| edit_lists(m, edit), |_| {}).expect_err("must fail");
        assert_eq!(error.blame, Blame::Incompatible);
        error.code
    };
    assert_eq!(none(|versions, _| versions.retain(|v| *v != 1)), ErrorCode::UnsupportedVersion);
    assert_eq!(none(|_, suites| suites.clear()), ErrorCode::UnsupportedSuite);
    // HS-LIST-LIMITS
    let result = run_with(
        config(),
        config(),
        |m| edit_lists(m, |versions, _| versions.extend([9; 31])),
        |_| {},
    );
    assert_eq!(code_of(result), ErrorCode::Malformed);
}

/// The end of `HELLO_I` is its extensions: a count, then id, length and body each.
fn replace_extensions(message: &mut Vec<u8>, extensions: &[u8]) {
    let (_, plain) = initiator::start(config(), &mut entropy(1)).unwrap();
    let mut head = plain.clone();
    edit_lists(&mut head, |_, _| {});
    // Lists, auth, session id, random and key have known lengths.
    let lists = {
        let mut probe = plain.clone();
        edit_lists(&mut probe, |v, s| {
            v.clear();
            s.clear();
        });
        plain.len() - probe.len() + 4
    };
    message.truncate(lists + 1 + 16 + 32 + 1216);
    message.extend_from_slice(extensions);
}

// HS-DOWNGRADE, HS-EXT-ONCE
#[test]
fn stripping_or_doubling_an_extension_breaks_the_handshake() {
    let stripped = run_with(config(), config(), |m| replace_extensions(m, &[0]), |_| {});
    assert_eq!(code_of(stripped), ErrorCode::AuthenticationFailed);
    let twice = |m: &mut Vec<u8>| replace_extensions(m, &[2, 7, 0, 7, 1, 0xff]);
    assert_eq!(code_of(run_with(config(), config(), twice, |_| {})), ErrorCode::ProtocolViolation);
}

// HS-EXT-ANSWER: checked before the tag, so a bare edit shows it.
#[test]
fn an_answer_that_was_not_offered_is_refused() {
    let foreign = |m: &mut Vec<u8>| {
        m.truncate(2 + 3 + 32 + 1120);
        m.extend_from_slice(&[1, 99, 0]);
        m.extend_from_slice(&[0; 32]);
    };
    let result = run_with(config(), config(), |_| {}, foreign);
    assert_eq!(code_of(result), ErrorCode::ProtocolViolation);
}

// OV-VERSION: whatever else is offered, the version that comes out is this crate's.
#[test]
fn only_the_version_that_is_implemented_is_ever_chosen() {
    for others in [&[][..], &[2], &[2, 3, 0], &[u16::MAX]] {
        let (_, mut hello) = initiator::start(config(), &mut entropy(1)).unwrap();
        edit_lists(&mut hello, |versions, _| {
            versions.splice(0..0, others.iter().copied());
        });
        let waiting = responder::ExpectHello::new(config()).unwrap();
        let (_, answer) = waiting.handle(&hello, &mut entropy(2)).unwrap();
        assert_eq!(answer[2], 1, "{others:?}");
        edit_lists(&mut hello, |versions, _| versions.retain(|version| *version != 1));
        let waiting = responder::ExpectHello::new(config()).unwrap();
        let error = waiting.handle(&hello, &mut entropy(2)).unwrap_err();
        assert_eq!(error.code, ErrorCode::UnsupportedVersion, "{others:?}");
    }
}

// HS-CHOICE
#[test]
fn a_choice_that_was_not_offered_is_refused() {
    for (place, code) in [
        (2, ErrorCode::UnsupportedVersion),
        (3, ErrorCode::UnsupportedSuite),
        (4, ErrorCode::UnsupportedAuth),
    ] {
        let result = run_with(config(), config(), |_| {}, |m| m[place] = 9);
        assert_eq!(code_of(result), code);
    }
}

// HS-CHOICE, HS-SUITE-MUST, HS-SUITE-AES
#[test]
fn aes_is_used_if_both_sides_want_it_and_never_otherwise() {
    let with = |has_aes| HandshakeConfig { suites: Suite::preference(has_aes), ..config() };
    for (here, there) in [(false, false), (false, true), (true, false), (true, true)] {
        let (one, other) = run(with(here), with(there)).unwrap();
        let wanted = if here && there { Suite::Aes256Gcm } else { Suite::ChaCha20Poly1305 };
        assert_eq!((one.suite(), other.suite()), (wanted, wanted));
    }
    // The responder's preference counts, and what an initiator knows and did not offer is
    // none of its choice.
    let reversed = HandshakeConfig { suites: Suite::ALL.to_vec(), ..config() };
    let (one, _) = run(with(true), reversed).unwrap();
    assert_eq!(one.suite(), Suite::ChaCha20Poly1305);
    let chosen = |answer: &mut Vec<u8>| answer[3] = 2;
    let result = run_with(with(false), with(true), |_| {}, chosen);
    assert_eq!(code_of(result), ErrorCode::UnsupportedSuite);
    for suites in [vec![], vec![Suite::Aes256Gcm]] {
        let wrong = HandshakeConfig { suites, ..config() };
        assert!(initiator::start(wrong.clone(), &mut entropy(1)).is_err());
        assert!(responder::ExpectHello::new(wrong).is_err());
    }
}

// HS-DOWNGRADE
#[test]
fn a_suite_that_is_taken_away_or_changed_on_the_way_ends_the_handshake() {
    let with_aes = || HandshakeConfig { suites: Suite::preference(true), ..config() };
    let take_away = |hello: &mut Vec<u8>| {
        edit_lists(hello, |_, suites| suites.retain(|suite| *suite != 2));
    };
    let result = run_with(with_aes(), with_aes(), take_away, |_| {});
    assert_eq!(code_of(result), ErrorCode::AuthenticationFailed);
    let result = run_with(with_aes(), with_aes(), |_| {}, |answer| answer[3] = 1);
    assert_eq!(code_of(result), ErrorCode::AuthenticationFailed);
}

// HS-ORDER
#[test]
fn a_message_that_is_not_due_ends_the_handshake() {
    let (state_i, hello_i) = initiator::start(config(), &mut entropy(1)).unwrap();
    assert_eq!(state_i.handle(&hello_i).unwrap_err().code, ErrorCode::ProtocolViolation);
    let waiting = responder::ExpectHello::new(config()).unwrap();
    let (state_r, hello_r) = waiting.handle(&hello_i, &mut entropy(2)).unwrap();
    assert_eq!(state_r.handle(&hello_i).unwrap_err().code, ErrorCode::ProtocolViolation);
    let waiting = responder::ExpectHello::new(config()).unwrap();
    let error = waiting.handle(&hello_r, &mut entropy(2)).unwrap_err();
    assert_eq!(error.code, ErrorCode::ProtocolViolation);
}

// HS-ALERT-ENDS
#[test]
fn an_alert_in_any_state_ends_the_handshake_with_its_reason() {
    let reason = Error::peer(ErrorCode::UnsupportedVersion, "too old");
    let message = alert(&reason);
    let expect = |error: Error| {
        assert_eq!(error.code, ErrorCode::UnsupportedVersion);
        assert_eq!(error.blame, Blame::Incompatible);
        assert!(error.text.contains("too old"));
    };
    let (state_i, hello_i) = initiator::start(config(), &mut entropy(1)).unwrap();
    expect(state_i.handle(&message).unwrap_err());
    let waiting = || responder::ExpectHello::new(config()).unwrap();
    let (state_r, _) = waiting().handle(&hello_i, &mut entropy(2)).unwrap();
    expect(state_r.handle(&message).unwrap_err());
    expect(waiting().handle(&message, &mut entropy(2)).unwrap_err());
    assert!(parse_alert(&hello_i).is_none());
}

// HS-KEM-LENGTH, HS-MESSAGE-LIMIT, HS-ENCODING
#[test]
fn truncated_and_extended_messages_are_refused() {
    let (_, hello_i) = initiator::start(config(), &mut entropy(1)).unwrap();
    let waiting = || responder::ExpectHello::new(config()).unwrap();
    for length in 0..hello_i.len() {
        assert!(waiting().handle(&hello_i[..length], &mut entropy(2)).is_err());
    }
    let mut long = hello_i.clone();
    long.push(0);
    let error = waiting().handle(&long, &mut entropy(2)).unwrap_err();
    assert_eq!(error.code, ErrorCode::Malformed);
    long.resize(8193, 0);
    let error = waiting().handle(&long, &mut entropy(2)).unwrap_err();
    assert_eq!(error.code, ErrorCode::LimitExceeded);
}

// HS-KEM-CONTRIBUTORY, HS-KEM-CANONICAL
#[test]
fn unusable_public_values_are_refused_by_both_sides() {
    let end_of_key = |m: &mut Vec<u8>| {
        let end = m.len() - tail(m);
        m[end - 32..end].fill(0);
    };
    assert_eq!(code_of(run_with(config(), config(), end_of_key, |_| {})), ErrorCode::Malformed);
    let ciphertext = |m: &mut Vec<u8>| m[2 + 3 + 32 + 1088..][..32].fill(0);
    assert_eq!(code_of(run_with(config(), config(), |_| {}, ciphertext)), ErrorCode::Malformed);
}

/// Length of `HELLO_I`'s extensions in the message of seed 1.
fn tail(message: &[u8]) -> usize {
    let mut bare = message.to_vec();
    replace_extensions(&mut bare, &[]);
    message.len() - bare.len()
}

// HS-NO-SECRETS-SHOWN
#[test]
fn debug_of_every_state_shows_no_secret() {
    let config = config();
    assert!(!format!("{config:?}").contains("5, 5"));
    let (state_i, hello_i) = initiator::start(config.clone(), &mut entropy(1)).unwrap();
    let (state_r, hello_r) =
        responder::ExpectHello::new(config).unwrap().handle(&hello_i, &mut entropy(2)).unwrap();
    assert_eq!(format!("{state_i:?}"), "initiator::ExpectHello(..)");
    let shown = format!("{state_r:?}");
    assert!(shown.contains("epoch: Secret32(..)"), "{shown}");
    let (session, _) = state_i.handle(&hello_r).unwrap();
    assert_eq!(format!("{session:?}"), "Session { role: Initiator, auth_mode: 1, .. }");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(50_000))]

    // HS-NO-PANIC
    #[test]
    fn random_bytes_never_panic_a_decoder(
        kind in 0u8..6,
        body in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let mut message = vec![0, kind];
        message.extend_from_slice(&body);
        let waiting = responder::ExpectHello::new(config()).unwrap();
        prop_assert!(waiting.handle(&message, &mut entropy(2)).is_err());
        let _ = parse_alert(&message);
        let _ = parse_alert(&body);
    }
}

// HS-NO-PANIC: damaged real messages, without the cost of a key pair for each.
#[test]
fn mutated_messages_never_panic() {
    let (_, hello_i) = initiator::start(config(), &mut entropy(1)).unwrap();
    let alerted = alert(&Error::peer(ErrorCode::Malformed, "some text"));
    let mut random = entropy(9);
    let mut refused = 0;
    for round in 0..50_000 {
        let mut message = if round % 2 == 0 { hello_i.clone() } else { alerted.clone() };
        for _ in 0..=random.array::<1>()[0] % 4 {
            // Mostly at the front, where lengths and numbers are.
            let wide = usize::from(u16::from_le_bytes(random.array()));
            let place = if round % 4 == 0 { wide } else { wide % 24 } % message.len();
            message[place] = random.array::<1>()[0];
        }
        if round % 5 == 0 {
            message.truncate(usize::from(u16::from_le_bytes(random.array())) % message.len());
        }
        let _ = parse_alert(&message);
        if round % 16 == 0 || message.len() < 1280 {
            let waiting = responder::ExpectHello::new(config()).unwrap();
            refused += usize::from(waiting.handle(&message, &mut entropy(2)).is_err());
        }
    }
    assert!(refused > 10_000);
}
