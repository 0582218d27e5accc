//! The record layer (`spec/05-records.md`): what was sealed opens once, in order
//! where order is promised, and nothing else opens.

#![allow(clippy::unwrap_used, clippy::expect_used)] // helpers of tests

use passel_proto::crypto::{Entropy, Secret32};
use passel_proto::error::{Error, ErrorCode};
use passel_proto::ids::{Channel, Role};
use passel_proto::limits::{MAX_RECORD, RECORD_HEADER, RECORD_TAG, REPLAY_WINDOW_RECORDS};
use passel_proto::record::{OpenError, Opener, RecordKeys, Sealer};
use passel_proto::suite::Suite;

fn keys(channel: Channel) -> RecordKeys {
    RecordKeys::derive(Suite::default(), &Secret32::new([7; 32]), 0, Role::Initiator, 0, channel)
}

fn pair(channel: Channel) -> (Sealer, Opener) {
    (Sealer::new(keys(channel)), Opener::new(keys(channel)))
}

fn seal(sealer: &mut Sealer, plaintext: &[u8]) -> Vec<u8> {
    let mut record = vec![0xee; RECORD_HEADER];
    record.extend_from_slice(plaintext);
    sealer.seal(&mut record).unwrap();
    record
}

fn open(opener: &mut Opener, record: &[u8]) -> Result<Vec<u8>, OpenError> {
    opener.open(&mut record.to_vec()).map(|plaintext| plaintext.to_vec())
}

#[test]
fn what_was_sealed_opens_on_every_channel() {
    for channel in Channel::ALL {
        let (mut sealer, mut opener) = pair(channel);
        for text in [&b"one"[..], b"two", &vec![9; 40_000]] {
            let record = seal(&mut sealer, text);
            assert_eq!(record.len(), RECORD_HEADER + text.len() + RECORD_TAG);
            assert_eq!(open(&mut opener, &record).unwrap(), text);
        }
        assert_eq!(sealer.records(), 3);
    }
}

// RL-HEADER
#[test]
fn the_header_has_kind_epoch_and_counter() {
    let secret = Secret32::new([7; 32]);
    let keys =
        RecordKeys::derive(Suite::default(), &secret, 0x0102, Role::Responder, 3, Channel::File);
    let mut sealer = Sealer::new(keys);
    seal(&mut sealer, b"x");
    let record = seal(&mut sealer, b"x");
    assert_eq!(record[..RECORD_HEADER], [1, 0, 2, 1, 1, 0, 0, 0, 0, 0, 0, 0]);
}

// RL-AUTHENTIC: every position, header, ciphertext and tag.
#[test]
fn a_record_with_any_byte_changed_is_refused_and_leaves_no_trace() {
    for channel in Channel::ALL {
        let (mut sealer, mut opener) = pair(channel);
        let record = seal(&mut sealer, b"some frames of a record");
        for place in 0..record.len() {
            for change in [0x01, 0x80, 0xff] {
                let mut changed = record.clone();
                changed[place] ^= change;
                assert!(open(&mut opener, &changed).is_err(), "byte {place}");
            }
        }
        // RL-STATE-AFTER-TAG
        assert_eq!(open(&mut opener, &record).unwrap(), b"some frames of a record");
    }
}

// RL-AUTHENTIC
#[test]
fn truncated_and_extended_records_are_refused() {
    let (mut sealer, mut opener) = pair(Channel::Control);
    let record = seal(&mut sealer, b"some frames of a record");
    for length in 0..record.len() {
        assert!(open(&mut opener, &record[..length]).is_err());
    }
    for more in [1, 16, 1000] {
        let mut long = record.clone();
        long.resize(record.len() + more, 0);
        assert_eq!(open(&mut opener, &long), Err(OpenError::BadTag));
    }
    assert_eq!(open(&mut opener, &vec![1; MAX_RECORD + 1]), Err(OpenError::Malformed));
    assert!(open(&mut opener, &record).is_ok());
}

// RL-ORDERED
#[test]
fn ordered_channels_take_exactly_the_next_record() {
    for channel in [Channel::Control, Channel::Reliable] {
        let (mut sealer, mut opener) = pair(channel);
        let records: Vec<_> = (0..4).map(|n| seal(&mut sealer, &[n])).collect();
        assert_eq!(open(&mut opener, &records[1]), Err(OpenError::OutOfOrder));
        assert!(open(&mut opener, &records[0]).is_ok());
        assert_eq!(open(&mut opener, &records[0]), Err(OpenError::OutOfOrder));
        assert_eq!(open(&mut opener, &records[2]), Err(OpenError::OutOfOrder));
        assert!(open(&mut opener, &records[1]).is_ok());
        assert!(OpenError::OutOfOrder.is_fatal(channel));
    }
}

// RL-WINDOW, RL-REPLAY-DROP
#[test]
fn unordered_channels_take_every_record_once_in_any_order() {
    for channel in [Channel::Unreliable, Channel::File] {
        let (mut sealer, mut opener) = pair(channel);
        let records: Vec<_> = (0..50).map(|n| seal(&mut sealer, &[n])).collect();
        let order = (0..50).rev().step_by(2).chain((0..50).step_by(2));
        for place in order {
            assert!(open(&mut opener, &records[place]).is_ok());
        }
        for record in &records {
            assert_eq!(open(&mut opener, record), Err(OpenError::Replay));
        }
        assert_eq!(opener.replays(), 50);
        assert!(!OpenError::Replay.is_fatal(channel));
    }
}

// RL-WINDOW
#[test]
fn a_record_older_than_the_window_is_taken_for_a_replay() {
    let (mut sealer, mut opener) = pair(Channel::File);
    let oldest = seal(&mut sealer, b"0");
    let second = seal(&mut sealer, b"1");
    for _ in 2..REPLAY_WINDOW_RECORDS {
        seal(&mut sealer, b"passed over");
    }
    let newest = seal(&mut sealer, b"newest");
    assert!(open(&mut opener, &newest).is_ok());
    assert_eq!(open(&mut opener, &oldest), Err(OpenError::Replay));
    assert!(open(&mut opener, &second).is_ok());
}

// RL-UPDATE-ORDERED, RL-ORDERED
#[test]
fn an_ordered_channel_goes_from_epoch_to_epoch_and_never_back() {
    let of = |epoch, channel| {
        RecordKeys::derive(
            Suite::default(),
            &Secret32::new([epoch; 32]),
            epoch.into(),
            Role::Initiator,
            0,
            channel,
        )
    };
    for channel in [Channel::Control, Channel::Reliable] {
        let mut sealer = Sealer::new(of(0, channel));
        let mut other = Sealer::new(of(0, channel));
        let mut opener = Opener::new(of(0, channel));
        opener.extend(of(1, channel));
        let first = seal(&mut sealer, b"old");
        assert!(open(&mut opener, &first).is_ok());
        let skipped = seal(&mut sealer, b"old");
        sealer.switch(of(1, channel));
        let second = seal(&mut sealer, b"new");
        assert_eq!(second[2..5], [1, 0, 2], "the counter goes on");
        assert_eq!(open(&mut opener, &second), Err(OpenError::OutOfOrder));
        assert!(open(&mut opener, &skipped).is_ok());
        assert!(open(&mut opener, &second).is_ok());
        // One that an honest sender does not seal: the old epoch goes on.
        for _ in 0..3 {
            seal(&mut other, b"old");
        }
        assert_eq!(open(&mut opener, &seal(&mut other, b"old")), Err(OpenError::WrongEpoch));
        assert!(open(&mut opener, &seal(&mut sealer, b"new")).is_ok());
    }
}

// RL-WINDOW
#[test]
fn an_unordered_channel_takes_records_of_two_epochs_once_in_any_order() {
    let of = |epoch, channel| {
        RecordKeys::derive(
            Suite::default(),
            &Secret32::new([epoch; 32]),
            epoch.into(),
            Role::Initiator,
            0,
            channel,
        )
    };
    for channel in [Channel::Unreliable, Channel::File] {
        let mut sealer = Sealer::new(of(0, channel));
        let mut records: Vec<_> = (0..20).map(|n| seal(&mut sealer, &[n])).collect();
        sealer.switch(of(1, channel));
        records.extend((20..40).map(|n| seal(&mut sealer, &[n])));
        let mut opener = Opener::new(of(0, channel));
        assert_eq!(open(&mut opener, &records[39]), Err(OpenError::WrongEpoch));
        opener.extend(of(1, channel));
        for record in records.iter().rev().step_by(3).chain(records.iter().step_by(2)) {
            let _ = open(&mut opener, record);
        }
        let taken = |place: usize| place.is_multiple_of(2) || (39 - place).is_multiple_of(3);
        for (place, record) in records.iter().enumerate() {
            assert_eq!(open(&mut opener, record).is_err(), taken(place), "{place}");
        }
        sealer.switch(of(2, channel));
        assert_eq!(open(&mut opener, &seal(&mut sealer, b"x")), Err(OpenError::WrongEpoch));
    }
}

// RL-STATE-AFTER-TAG
#[test]
fn a_forged_counter_does_not_move_the_window() {
    let (mut sealer, mut opener) = pair(Channel::File);
    let record = seal(&mut sealer, b"real");
    let mut forged = record.clone();
    forged[8] = 1; // counter 2^32
    assert_eq!(open(&mut opener, &forged), Err(OpenError::BadTag));
    assert!(open(&mut opener, &record).is_ok());
}

// RL-KEYS
#[test]
fn each_direction_lane_channel_epoch_and_secret_has_keys_of_its_own() {
    let secret = Secret32::new([7; 32]);
    let mut seen = Vec::new();
    for role in [Role::Initiator, Role::Responder] {
        for lane in [0, 1, 256] {
            for channel in Channel::ALL {
                for epoch in [0, 1, 256] {
                    let keys =
                        RecordKeys::derive(Suite::default(), &secret, epoch, role, lane, channel);
                    let (key, iv) = keys.expose();
                    seen.push((key.to_vec(), iv.to_vec()));
                }
            }
        }
    }
    let (total, mut unique) = (seen.len(), seen.clone());
    unique.sort();
    unique.dedup();
    assert_eq!(unique.len(), total);

    let record = seal(&mut Sealer::new(keys(Channel::File)), b"x");
    let other = |secret: u8, role, lane, channel| {
        let secret = Secret32::new([secret; 32]);
        open(
            &mut Opener::new(RecordKeys::derive(Suite::default(), &secret, 0, role, lane, channel)),
            &record,
        )
    };
    assert!(other(7, Role::Initiator, 0, Channel::File).is_ok());
    assert_eq!(other(8, Role::Initiator, 0, Channel::File), Err(OpenError::BadTag));
    assert_eq!(other(7, Role::Responder, 0, Channel::File), Err(OpenError::BadTag));
    assert_eq!(other(7, Role::Initiator, 1, Channel::File), Err(OpenError::BadTag));
    assert_eq!(other(7, Role::Initiator, 0, Channel::Unreliable), Err(OpenError::BadTag));
}

// RL-HEADER, RL-EPOCH, RL-COUNTER-LIMIT
#[test]
fn each_field_of_the_header_is_checked() {
    let (mut sealer, mut opener) = pair(Channel::File);
    let record = seal(&mut sealer, b"x");
    for (place, value, error) in [
        (0, 0, OpenError::Malformed),
        (0, 2, OpenError::Malformed),
        (1, 1, OpenError::Malformed),
        (2, 1, OpenError::WrongEpoch),
        (3, 1, OpenError::WrongEpoch),
        (10, 1, OpenError::Malformed),
        (11, 0x80, OpenError::Malformed),
    ] {
        let mut changed = record.clone();
        changed[place] = value;
        assert_eq!(open(&mut opener, &changed), Err(error), "byte {place}");
        assert!(error.is_fatal(Channel::File));
    }
}

// RL-NOT-EMPTY
#[test]
fn an_empty_record_is_malformed() {
    let (_, mut opener) = pair(Channel::Control);
    let mut empty = vec![0; RECORD_HEADER + RECORD_TAG];
    empty[0] = 1;
    assert_eq!(open(&mut opener, &empty), Err(OpenError::Malformed));
}

// RL-NONCE-ONCE
#[test]
fn equal_plaintexts_never_give_equal_records() {
    let (mut sealer, _) = pair(Channel::Control);
    let one = seal(&mut sealer, &[0; 64]);
    let other = seal(&mut sealer, &[0; 64]);
    assert_ne!(one[RECORD_HEADER..], other[RECORD_HEADER..]);
}

// RL-FATAL, RL-REPLAY-DROP, RL-UNRELIABLE-DROP
#[test]
fn a_refused_record_ends_the_connection_but_for_replays_and_on_unreliable() {
    for error in [OpenError::BadTag, OpenError::Malformed, OpenError::WrongEpoch] {
        assert!(error.is_fatal(Channel::Control) && error.is_fatal(Channel::Reliable));
        assert!(error.is_fatal(Channel::File));
        assert!(!error.is_fatal(Channel::Unreliable));
    }
    assert_eq!(Error::from(OpenError::BadTag).code, ErrorCode::RecordRejected);
}

// RL-NO-PANIC
#[test]
fn random_and_mutated_records_never_panic_and_never_open() {
    let mut random = Entropy::from_seed([3; 32]);
    for channel in Channel::ALL {
        let (mut sealer, mut opener) = pair(channel);
        let real = seal(&mut sealer, &[1; 80]);
        for round in 0..30_000 {
            let mut record = if round % 2 == 0 {
                let mut bytes = vec![0; usize::from(random.array::<1>()[0])];
                random.fill(&mut bytes);
                bytes
            } else {
                let mut bytes = real.clone();
                let place = usize::from(random.array::<1>()[0]) % bytes.len();
                bytes[place] ^= random.array::<1>()[0] | 1;
                bytes
            };
            if round % 3 == 0 && record.len() > 2 {
                record[..2].copy_from_slice(&[1, 0]);
                let length = record.len() - usize::from(random.array::<1>()[0] % 2);
                record.truncate(length);
            }
            if record != real {
                assert!(opener.open(&mut record).is_err());
            }
        }
        assert!(open(&mut opener, &real).is_ok());
    }
}
