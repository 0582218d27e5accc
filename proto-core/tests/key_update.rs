//! Key updates between two connections (`spec/05-records.md`, 5.5): when they come,
//! that data goes on, what becomes of late records, and what a peer must not do.

#![allow(clippy::unwrap_used, clippy::expect_used)] // helpers of tests

mod forger;
mod support;

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Duration;

use forger::Forger;
use passel_proto::connection::{Config, Connection, Event};
use passel_proto::crypto::kem::{KeyPair, encapsulate};
use passel_proto::error::ErrorCode;
use passel_proto::frame::{Frame, KeyUpdate, KeyUpdateAnswer, Ping};
use passel_proto::ids::Channel;
use passel_proto::limits::{self, timers};
use support::{Pair, config, content, manifest};

const SECOND: Duration = Duration::from_secs(1);

fn epochs(pair: &Pair) -> [Option<u16>; 2] {
    [&pair.sender, &pair.receiver].map(|side| side.connection.key_epoch())
}

fn epoch_of(record: &[u8]) -> u16 {
    u16::from_le_bytes([record[2], record[3]])
}

fn with(change: impl Fn(&mut Config)) -> Pair {
    let mut config = config();
    change(&mut config);
    let mut pair = Pair::with(1, config.clone(), config);
    pair.record = true;
    pair.run();
    pair
}

/// So many seconds less.
fn less(time: Duration, seconds: u32) -> Duration {
    time.saturating_sub(SECOND * seconds)
}

/// Lets time pass, timers and all.
fn pass(pair: &mut Pair, time: Duration) {
    let end = pair.now + time;
    pair.run_until(time, |_| false);
    pair.now = end;
    pair.sender.connection.handle_timeout(end);
    pair.receiver.connection.handle_timeout(end);
    pair.run();
}

/// Holds back what `which` picks, until it is put into an inbox again.
type Held = Rc<RefCell<Vec<(Channel, Vec<u8>)>>>;

fn hold(pair: &mut Pair, which: impl Fn(&str, Channel) -> bool + 'static) -> Held {
    let held = Held::default();
    let kept = held.clone();
    pair.meddle = Some(Box::new(move |name, channel, message| {
        let keep = !which(name, channel);
        if !keep {
            kept.borrow_mut().push((channel, message.clone()));
        }
        keep
    }));
    held
}

fn whole(pair: &Pair, contents: &[Vec<u8>]) {
    for (place, content) in (0u32..).zip(contents) {
        assert!(pair.receiver.disk.committed.get(&place) == Some(content), "file {place}");
    }
}

fn alive(pair: &Pair) -> bool {
    [&pair.sender, &pair.receiver].iter().all(|side| side.connection.is_established())
}

// RL-UPDATE-SWITCH, RL-UPDATE-GRACE, RL-NONCE-ONCE
#[test]
fn keys_change_in_the_middle_of_a_transfer_whose_records_are_reordered() {
    let mut pair = with(|config| config.key_update_bytes = 200_000);
    pair.shuffle = true;
    let contents = vec![content(3_000_000, 1), content(100, 2)];
    pair.transfer(&[("a", contents[0].clone()), ("b", contents[1].clone())]);
    whole(&pair, &contents);
    assert_eq!(epochs(&pair), [Some(1); 2]);
    for side in [&pair.sender, &pair.receiver] {
        let mut counters = BTreeSet::new();
        let sealed = side.sent.iter().filter(|(_, record)| record[0] == 1);
        let sealed: Vec<_> = sealed.collect();
        for (channel, record) in &sealed {
            assert!(counters.insert((*channel, record[4..12].to_vec())), "a counter twice");
        }
        let of = |epoch| sealed.iter().filter(|(_, record)| epoch_of(record) == epoch).count();
        assert!(of(0) > 0 && of(1) > 0);
        assert_eq!(of(0) + of(1), sealed.len());
    }
}

// RL-UPDATE-SWITCH: nothing waits for the answer.
#[test]
fn data_flows_while_the_answer_is_on_its_way() {
    let mut pair = with(|_| {});
    let contents = vec![content(2_000_000, 1)];
    let id = pair.offer(&[("a", contents[0].clone())]);
    pair.run();
    pair.receiver.connection.accept(pair.now, id, None).unwrap();
    pair.step();
    pair.sender.connection.update_keys(pair.now).unwrap();
    let held = hold(&mut pair, |name, channel| name == "receiver" && channel == Channel::Control);
    pair.run();
    // All of it came, under the old keys; the sender has not heard so yet.
    whole(&pair, &contents);
    assert!(pair.sender.ended().is_none());
    assert_eq!(epochs(&pair), [Some(0); 2]);
    pair.meddle = None;
    pair.sender.inbox = held.take();
    pair.finish();
    whole(&pair, &contents);
    assert_eq!(epochs(&pair), [Some(1); 2]);
}

// RL-UPDATE-DUE
#[test]
fn an_update_comes_by_time() {
    let mut pair = with(|_| {});
    pass(&mut pair, less(timers::KEY_UPDATE, 1));
    assert_eq!(epochs(&pair), [Some(0); 2]);
    pass(&mut pair, 2 * SECOND);
    assert_eq!(epochs(&pair), [Some(1); 2]);
    pass(&mut pair, timers::KEY_UPDATE);
    assert_eq!(epochs(&pair), [Some(2); 2]);
    assert!(alive(&pair));
}

// RL-UPDATE-DUE
#[test]
fn an_update_comes_by_bytes_and_by_records() {
    for (bytes, records) in [(100_000, u64::MAX), (u64::MAX, 20)] {
        let mut pair = with(|config| {
            config.key_update_bytes = bytes.min(limits::KEY_UPDATE_BYTES as u64);
            config.key_update_records = records.min(limits::KEY_UPDATE_RECORDS as u64);
        });
        assert_eq!(epochs(&pair), [Some(0); 2]);
        pair.transfer(&[("a", content(1_000_000, 1))]);
        let sent = pair.sender.sent.iter();
        let old: Vec<_> = sent.filter(|(_, r)| r[0] == 1 && epoch_of(r) == 0).collect();
        let size: usize = old.iter().map(|(_, record)| record.len()).sum();
        assert!(size as u64 >= bytes || old.len() as u64 >= records);
        assert_eq!(epochs(&pair), [Some(1); 2]);
        let mut pair = with(|_| {});
        pair.transfer(&[("a", content(1_000_000, 1))]);
        assert_eq!(epochs(&pair), [Some(0); 2]);
    }
}

// RL-UPDATE-DUE: never later than the registry says.
#[test]
fn thresholds_are_only_lowered() {
    let refused = |change: fn(&mut Config)| {
        let mut config = config();
        change(&mut config);
        Connection::initiator(config, [1; 32], support::epoch()).is_err()
    };
    assert!(refused(|config| config.timers.key_update = timers::KEY_UPDATE + SECOND));
    assert!(refused(|config| config.timers.key_update = Duration::ZERO));
    assert!(refused(|config| config.timers.key_grace = timers::KEY_GRACE + SECOND));
    assert!(refused(|config| config.key_update_bytes = limits::KEY_UPDATE_BYTES as u64 + 1));
    assert!(refused(|config| config.key_update_bytes = 0));
    assert!(refused(|config| config.key_update_records = limits::KEY_UPDATE_RECORDS as u64 + 1));
    assert!(refused(|config| config.key_update_records = 0));
    assert!(!refused(|config| config.timers.key_grace = Duration::ZERO));
}

// RL-UPDATE-CROSSED, RL-UPDATE-ANNOUNCE: both switch though nobody has anything to say.
#[test]
fn of_two_updates_that_cross_the_initiators_counts() {
    for round in 0..3 {
        let mut pair = with(|_| {});
        let answers = Rc::new(Cell::new([0, 0]));
        let counted = answers.clone();
        pair.meddle = Some(Box::new(move |name, _, message| {
            // An answer is the only record of this length.
            if (1120..1200).contains(&message.len()) {
                let mut count = counted.get();
                count[usize::from(name == "receiver")] += 1;
                counted.set(count);
            }
            true
        }));
        if round != 1 {
            pair.sender.connection.update_keys(pair.now).unwrap();
        }
        if round != 2 {
            pair.receiver.connection.update_keys(pair.now).unwrap();
        }
        pair.run();
        assert_eq!(epochs(&pair), [Some(1); 2]);
        // The receiver is the initiator: the sender answers it, if it asked.
        assert_eq!(answers.get(), if round == 2 { [0, 1] } else { [1, 0] });
        pair.transfer(&[("a", content(100_000, 1))]);
        assert!(pair.sender.failed_files().is_empty() && alive(&pair));
        pass(&mut pair, timers::KEY_GRACE);
        pair.sender.connection.update_keys(pair.now).unwrap();
        pair.run();
        assert_eq!(epochs(&pair), [Some(2); 2]);
    }
}

/// A transfer of which one record is held back, and then the keys change.
fn held_back() -> (Pair, (Channel, Vec<u8>)) {
    let mut pair = with(|_| {});
    let id = pair.offer(&[("a", content(500_000, 1))]);
    pair.run();
    pair.receiver.connection.accept(pair.now, id, None).unwrap();
    let nth = Cell::new(0);
    let held = hold(&mut pair, move |_, channel| {
        nth.set(nth.get() + usize::from(channel == Channel::File));
        channel == Channel::File && nth.get() == 5
    });
    pair.run();
    pair.sender.connection.update_keys(pair.now).unwrap();
    pair.run();
    assert_eq!(epochs(&pair), [Some(1); 2]);
    let mut held = held.take();
    (pair, held.pop().unwrap())
}

// RL-UPDATE-GRACE, RL-REPLAY-DROP
#[test]
fn a_late_record_is_taken_once_within_the_grace() {
    let (mut pair, late) = held_back();
    pass(&mut pair, less(timers::KEY_GRACE, 1));
    assert!(pair.receiver.ended().is_none());
    pair.receiver.inbox.push(late.clone());
    pair.run();
    pair.finish();
    whole(&pair, &[content(500_000, 1)]);
    pair.receiver.inbox.push(late.clone());
    pair.run();
    assert!(alive(&pair), "a replay is dropped");
    // It has prolonged the grace, as others may be behind it.
    pass(&mut pair, less(timers::KEY_GRACE, 1));
    pair.receiver.inbox.push(late);
    pair.run();
    assert!(alive(&pair));
}

// RL-UPDATE-GRACE, FC-IDLE-LIMIT
#[test]
fn a_silence_that_is_borne_is_shorter_than_the_grace() {
    let (mut pair, late) = held_back();
    let end = pair.now + less(timers::IDLE_LIMIT, 1);
    while pair.now < end {
        pair.now += SECOND;
        for side in [&mut pair.sender, &mut pair.receiver] {
            side.connection.handle_path_alive(pair.now);
            side.connection.handle_timeout(pair.now);
        }
    }
    assert!(alive(&pair));
    pair.receiver.inbox.push(late);
    pair.run();
    pair.finish();
    whole(&pair, &[content(500_000, 1)]);
}

// RL-UPDATE-GRACE, RL-EPOCH
#[test]
fn a_record_that_comes_after_the_grace_ends_the_connection() {
    let (mut pair, late) = held_back();
    pass(&mut pair, timers::KEY_GRACE + SECOND);
    assert!(alive(&pair));
    pair.receiver.inbox.push(late);
    pair.run();
    assert_eq!(pair.receiver.error().unwrap().code, ErrorCode::RecordRejected);
}

// RL-UPDATE-DEFER
#[test]
fn who_still_waits_for_late_records_answers_when_it_does_no_more() {
    let mut quick = config();
    quick.timers.key_grace = SECOND;
    let mut pair = Pair::with(1, quick, config());
    pair.run();
    pair.sender.connection.update_keys(pair.now).unwrap();
    pair.run();
    pass(&mut pair, 2 * SECOND);
    pair.sender.connection.update_keys(pair.now).unwrap();
    pass(&mut pair, less(timers::KEY_GRACE, 4));
    assert_eq!(epochs(&pair), [Some(1); 2]);
    pass(&mut pair, 4 * SECOND);
    assert_eq!(epochs(&pair), [Some(2); 2]);
    // And what a caller wants in its own grace is done behind it.
    pair.receiver.connection.update_keys(pair.now).unwrap();
    pass(&mut pair, less(timers::KEY_GRACE, 4));
    assert_eq!(epochs(&pair), [Some(2); 2]);
    pass(&mut pair, 8 * SECOND);
    assert_eq!(epochs(&pair), [Some(3); 2]);
    assert!(alive(&pair));
}

// RL-NONCE-ONCE, RL-ORDERED: the last record of an epoch is missing.
#[test]
fn a_gap_between_two_epochs_is_seen() {
    for lose in [false, true] {
        let mut pair = with(|_| {});
        let now = pair.now;
        pair.manifest = Some(manifest(&[("a", vec![1])]));
        pair.sender.connection.update_keys(now).unwrap();
        let mut asked = said(&mut pair.sender.connection, now);
        pair.receiver.connection.handle_message(now, Channel::Control, &mut asked);
        // Sealed in the old epoch, as the answer is still on its way.
        pair.sender.connection.offer(now, manifest(&[("a", vec![1])]), "").unwrap();
        let mut offer = said(&mut pair.sender.connection, now);
        assert_eq!(epoch_of(&offer), 0);
        if !lose {
            pair.receiver.connection.handle_message(now, Channel::Control, &mut offer);
        }
        let mut answer = said(&mut pair.receiver.connection, now);
        pair.sender.connection.handle_message(now, Channel::Control, &mut answer);
        let mut first = said(&mut pair.sender.connection, now);
        assert_eq!(epoch_of(&first), 1);
        pair.receiver.connection.handle_message(now, Channel::Control, &mut first);
        pair.run();
        let error = pair.receiver.error().map(|error| error.code);
        assert_eq!(error, lose.then_some(ErrorCode::RecordRejected));
    }
}

/// The one record that a side has to send.
fn said(connection: &mut Connection, now: std::time::Instant) -> Vec<u8> {
    let mut record = Vec::new();
    connection.handle_writable(Channel::Control, 1 << 17);
    connection.poll_transmit(now, &mut record).unwrap();
    record
}

fn update(epoch: u16) -> KeyUpdate {
    let encapsulation_key = Box::new(*KeyPair::from_seed(&[5; 32]).encapsulation_key());
    KeyUpdate { epoch, encapsulation_key }
}

fn forger() -> Forger {
    Forger::new(manifest(&[("a", vec![1])]))
}

fn refused(frames: Vec<Frame>) -> Option<ErrorCode> {
    let mut forger = forger();
    for frame in frames {
        forger.send(frame);
    }
    forger.refused()
}

// RL-UPDATE-STATES, RL-UPDATE-FRAMES
#[test]
fn frames_that_are_not_due_are_refused() {
    let answer = |epoch| KeyUpdateAnswer { epoch, ciphertext: Box::new([1; 1120]) };
    let violation = Some(ErrorCode::ProtocolViolation);
    assert_eq!(refused(vec![update(1).into()]), None);
    assert_eq!(refused(vec![update(0).into()]), violation);
    assert_eq!(refused(vec![update(2).into()]), violation);
    assert_eq!(refused(vec![update(u16::MAX).into()]), violation);
    assert_eq!(refused(vec![update(1).into(), update(1).into()]), violation);
    assert_eq!(refused(vec![update(1).into(), update(2).into()]), violation);
    assert_eq!(refused(vec![answer(1).into()]), violation);
    assert_eq!(refused(vec![update(1).into(), answer(1).into()]), violation);
    for epoch in [0, 2] {
        let mut forger = forger();
        forger.victim.update_keys(forger.now).unwrap();
        forger.drain();
        forger.send(answer(epoch));
        assert_eq!(forger.refused(), violation);
    }
}

// RL-UPDATE-KEM
#[test]
fn keys_and_ciphertexts_are_checked_as_in_the_handshake() {
    let spoiled = |place: usize, bytes: &[u8]| {
        let mut update = update(1);
        update.encapsulation_key[place..place + bytes.len()].copy_from_slice(bytes);
        refused(vec![update.into()])
    };
    assert_eq!(spoiled(1184, &[0; 32]), Some(ErrorCode::Malformed), "low order");
    assert_eq!(spoiled(1184, &[0xff; 32]), Some(ErrorCode::Malformed), "not reduced");
    assert_eq!(spoiled(0, &[0xff; 2]), Some(ErrorCode::Malformed), "a coefficient above q");
    for spoiled in [[0; 32], [0xff; 32]] {
        let mut forger = forger();
        let mut answer = asked(&mut forger);
        answer.ciphertext[1088..].copy_from_slice(&spoiled);
        forger.send(answer);
        assert_eq!(forger.refused(), Some(ErrorCode::Malformed));
    }
}

/// Has the forger's victim ask; gives an honest answer.
fn asked(forger: &mut Forger) -> KeyUpdateAnswer {
    forger.victim.update_keys(forger.now).unwrap();
    forger.drain();
    let asked = forger.got.iter().find_map(|(frame, _)| match frame {
        Frame::KeyUpdate(update) => Some(update.clone()),
        _ => None,
    });
    let update = asked.unwrap();
    let (ciphertext, _) = encapsulate(&update.encapsulation_key[..], &[9; 64]).unwrap();
    KeyUpdateAnswer { epoch: update.epoch, ciphertext }
}

// RL-UPDATE-LIMIT
#[test]
fn a_peer_that_does_not_finish_an_update_is_left() {
    for answered in [false, true] {
        let mut forger = forger();
        if answered {
            forger.send(update(1));
        } else {
            asked(&mut forger);
        }
        for _ in 0..timers::KEY_UPDATE_LIMIT.as_secs() / 10 - 1 {
            forger.wait(10 * SECOND);
            forger.send(Ping { token: 1 });
        }
        assert_eq!(forger.refused(), None);
        assert_eq!(forger.victim.key_epoch(), Some(0), "it cannot open the new epoch");
        forger.wait(10 * SECOND);
        assert_eq!(forger.refused(), Some(ErrorCode::ProtocolViolation));
    }
}

#[test]
fn an_update_needs_a_connection() {
    let mut fresh = Connection::initiator(config(), [1; 32], support::epoch()).unwrap();
    assert!(fresh.update_keys(support::epoch()).is_err());
    assert_eq!(fresh.key_epoch(), None);
    let mut pair = with(|_| {});
    pair.sender.connection.close(pair.now, None);
    assert!(pair.sender.connection.update_keys(pair.now).is_err());
    pair.run();
    assert!(matches!(pair.receiver.closed(), Some(Event::Closed { error: None })));
}
