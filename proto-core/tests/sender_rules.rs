//! A sender against a receiver that breaks the rules: each refusal of chapter 7
//! that a sender owes.

#![allow(clippy::unwrap_used, clippy::panic)] // a test that fails says so

mod forger;
mod support;

use std::time::Duration;

use forger::Forger;
use passel_proto::connection::Event;
use passel_proto::error::{Blame, Error, ErrorCode};
use passel_proto::frame::{
    Accept, Ack, AckRange, Close, Credit, EntryRange, FileFailed, Frame, Nack, Pause, Receipt,
    Reject, Resume, Selection,
};
use passel_proto::ids::{Channel, FileIndex, TransferId};
use passel_proto::limits::TRANSFER_CREDIT;
use support::{content, manifest};

const VIOLATION: Option<ErrorCode> = Some(ErrorCode::ProtocolViolation);
const CHUNK: usize = 65536;
/// The other end is the responder, so its first offer has this number.
const THEIRS: TransferId = TransferId(1);

/// A forger to which files were offered.
fn offered(files: &[(&str, Vec<u8>)]) -> Forger {
    let mut forger = Forger::new(manifest(files));
    for (place, (_, content)) in files.iter().enumerate() {
        forger.disk.source.insert(u32::try_from(place).unwrap(), content.clone());
    }
    let id = forger.victim.offer(forger.now, forger.manifest.clone(), "").unwrap();
    assert_eq!(id, THEIRS);
    forger.drain();
    forger
}

/// The same, and the forger has accepted all.
fn sending(files: &[(&str, Vec<u8>)]) -> Forger {
    let mut forger = offered(files);
    forger.send(Accept { transfer: THEIRS, more: false, selection: Selection::All });
    forger
}

fn ack(first: u64, count: u64) -> Ack {
    Ack { transfer: THEIRS, ranges: vec![AckRange { file: FileIndex(0), first, count }] }
}

fn some(ranges: &[(u32, u32)], more: bool) -> Accept {
    let ranges = ranges.iter().map(|&(first, count)| EntryRange { first, count }).collect();
    Accept { transfer: THEIRS, more, selection: Selection::Ranges(ranges) }
}

fn complete(forger: &Forger) -> Option<[u8; 32]> {
    forger.got.iter().find_map(|(frame, _)| match frame {
        Frame::Complete(complete) => Some(complete.statements),
        _ => None,
    })
}

/// TR-ACCEPT, TR-ACCEPT-MORE, TR-ACCEPT-SOME
#[test]
fn an_accept_selects_something_that_was_offered_once() {
    let files = [("a", vec![1]), ("b", vec![2]), ("c", vec![3])];
    for (accepts, why) in [
        (vec![some(&[], false)], "nothing"),
        (vec![some(&[(2, 2)], false)], "beyond the manifest"),
        (vec![some(&[(1, 1)], true), some(&[(0, 1)], false)], "not ascending"),
        (
            vec![
                some(&[(0, 1)], true),
                Accept { transfer: THEIRS, more: false, selection: Selection::All },
            ],
            "all after some",
        ),
        (vec![some(&[(0, 1)], false), some(&[(1, 1)], false)], "answered twice"),
    ] {
        let mut forger = offered(&files);
        for accept in accepts {
            assert_eq!(forger.refused(), None, "{why}");
            forger.send(accept);
        }
        assert_eq!(forger.refused(), VIOLATION, "{why}");
    }
    let mut forger = offered(&files);
    forger.send(some(&[(0, 1)], true));
    forger.send(some(&[(1, 1)], false));
    let files = forger.events.iter().find_map(|event| match event {
        Event::Accepted { files, .. } => Some(*files),
        _ => None,
    });
    assert_eq!((forger.refused(), files), (None, Some(2)));
}

/// TR-ACCEPT: a selection of this side's own is held to the same rule.
#[test]
fn a_selection_that_could_not_be_sent_is_misuse() {
    let mut pair = support::Pair::established(1);
    let id = pair.offer(&[("a", vec![1]), ("b", vec![2])]);
    pair.run();
    for ranges in [&[(0, 1), (1, 1)][..], &[(0, 0)], &[(1, 1), (0, 1)], &[(0, 3)], &[]] {
        let ranges = ranges.iter().map(|&(first, count)| EntryRange { first, count }).collect();
        let error = pair.receiver.connection.accept(pair.now, id, Some(ranges)).unwrap_err();
        assert_eq!(error.blame, Blame::Misuse);
    }
    pair.receiver.connection.accept(pair.now, id, None).unwrap();
}

/// TR-REJECT
#[test]
fn a_reject_after_the_accept_is_refused() {
    let mut forger = sending(&[("a", vec![1])]);
    forger.send(Reject { transfer: THEIRS, code: 0x21, text: String::new() });
    assert_eq!(forger.refused(), VIOLATION);
}

/// TR-ACK-SENT, TR-NACK-SENT
#[test]
fn a_chunk_that_was_not_sent_cannot_be_acknowledged_or_asked_for() {
    let files = [("a", content(TRANSFER_CREDIT + CHUNK, 1))];
    let sent = (TRANSFER_CREDIT / CHUNK) as u64; // more was read, and waits for credit
    let mut forger = sending(&files);
    assert_eq!(forger.count(|frame| matches!(frame, Frame::Data(_))) as u64, sent * 4);
    forger.send(ack(0, sent));
    assert_eq!(forger.refused(), None);
    forger.send(ack(sent, 1));
    assert_eq!(forger.refused(), VIOLATION);
    let nack = |chunk| Nack { transfer: THEIRS, file: FileIndex(0), chunk };
    let mut forger = sending(&files);
    forger.send(nack(sent));
    assert_eq!(forger.refused(), VIOLATION);
    let mut forger = sending(&files);
    forger.send(ack(0, 1));
    forger.send(nack(0));
    assert_eq!(forger.refused(), VIOLATION, "acknowledged before");
}

/// TR-NACK-LIMIT, TR-NACK-BOUND
#[test]
fn nothing_is_sent_more_often_than_four_times() {
    let mut forger = sending(&[("a", content(CHUNK, 1))]);
    forger.send(Credit { transfer: Some(THEIRS), limit: u64::MAX });
    forger.send(Credit { transfer: None, limit: u64::MAX });
    for _ in 0..10 {
        forger.send(Nack { transfer: THEIRS, file: FileIndex(0), chunk: 0 });
    }
    assert_eq!(forger.count(|frame| matches!(frame, Frame::Data(_))), 4 * 4);
    assert_eq!(forger.refused(), None);

    let chunks = 1025;
    let mut forger = sending(&[("a", content(CHUNK * chunks, 1))]);
    forger.send(Credit { transfer: Some(THEIRS), limit: u64::MAX });
    forger.send(Credit { transfer: None, limit: u64::MAX });
    for chunk in 0..chunks as u64 {
        assert_eq!(forger.refused(), None);
        forger.send(Nack { transfer: THEIRS, file: FileIndex(0), chunk });
        forger.got.retain(|(frame, _)| !matches!(frame, Frame::Data(_)));
    }
    assert_eq!(forger.refused(), Some(ErrorCode::LimitExceeded));
}

/// TR-PIECE-ORDER, FC-PRIORITY: chunk after chunk, and what steers comes before.
#[test]
fn answers_come_before_data_and_data_comes_chunk_by_chunk() {
    let mut forger = offered(&[("a", content(CHUNK * 3, 1)), ("b", content(CHUNK + 1, 2))]);
    let before = forger.got.len();
    forger.raw(Channel::Control, &[0x06, 3, 1, 0, 0, 0x1c, 1, 7]);
    assert!(matches!(forger.got[before].0, Frame::Pong(pong) if pong.token == 7));
    let mut open = None;
    for (frame, _) in &forger.got {
        if let Frame::Data(data) = frame {
            let chunk = (data.file, data.offset / CHUNK as u64);
            assert_eq!(*open.get_or_insert(chunk), chunk);
            open = if data.leaf.is_some() { None } else { open };
        }
    }
    assert_eq!(forger.count(|frame| matches!(frame, Frame::Data(_))), 3 * 4 + 5);
}

/// FC-KEEP-ALIVE, FC-IDLE
#[test]
fn silence_is_asked_about_and_then_given_up() {
    let mut forger = Forger::new(manifest(&[("a", vec![])]));
    let pings = |forger: &Forger| forger.count(|frame| matches!(frame, Frame::Ping(_)));
    forger.wait(Duration::from_millis(9_999));
    assert_eq!(pings(&forger), 0);
    forger.wait(Duration::from_millis(1));
    assert_eq!(pings(&forger), 1);
    forger.wait(Duration::from_millis(19_999));
    assert_eq!(forger.refused(), None);
    forger.wait(Duration::from_millis(1));
    assert_eq!(forger.refused(), Some(ErrorCode::IdleTimeout));
}

/// FC-IDLE-LIMIT
#[test]
fn silence_on_a_path_that_works_is_borne_longer() {
    let second = Duration::from_secs(1);
    // Checks are answered for so long; then so much silence more is borne.
    for (alive, borne) in [(0, 30), (1, 30), (29, 30), (89, 30), (100, 20), (119, 1)] {
        let mut forger = Forger::new(manifest(&[("a", vec![])]));
        for _ in 0..alive {
            forger.wait(second);
            forger.victim.handle_path_alive(forger.now);
        }
        forger.wait(Duration::from_millis(borne * 1000 - 1));
        assert_eq!(forger.refused(), None, "{alive}");
        forger.wait(Duration::from_millis(1));
        assert_eq!(forger.refused(), Some(ErrorCode::IdleTimeout), "{alive}");
    }
}

/// FC-CREDIT, FC-COST, FC-CREDIT-INITIAL, FC-CREDIT-MONOTONIC
#[test]
fn no_more_is_sent_than_was_granted() {
    let mut forger = sending(&[("a", content(TRANSFER_CREDIT * 2, 1))]);
    forger.send(Credit { transfer: None, limit: u64::MAX });
    let bytes =
        |forger: &Forger| -> usize { forger.got.iter().map(|(_, payload)| payload.len()).sum() };
    assert_eq!(bytes(&forger), TRANSFER_CREDIT);
    forger.send(Credit { transfer: Some(THEIRS), limit: 0 });
    forger.send(Credit { transfer: Some(THEIRS), limit: TRANSFER_CREDIT as u64 + 16384 });
    assert_eq!(bytes(&forger), TRANSFER_CREDIT + 16384);
    // One byte short of the last piece and its FILE_END.
    forger.send(Credit { transfer: Some(THEIRS), limit: TRANSFER_CREDIT as u64 * 2 + 1023 });
    assert_eq!(bytes(&forger), TRANSFER_CREDIT * 2 - 16384);
    forger.send(Credit { transfer: Some(THEIRS), limit: TRANSFER_CREDIT as u64 * 2 + 1024 });
    assert_eq!(bytes(&forger), TRANSFER_CREDIT * 2);
}

/// TR-RECEIPT, TR-RECEIPT-MAC, TR-RECEIPT-CHECK, TR-STATEMENTS, TR-DONE
#[test]
fn a_receipt_counts_only_if_it_is_signed_and_for_what_was_sent() {
    let bytes = content(100, 1);
    let fresh = || sending(&[("a", bytes.clone())]);
    let expected = {
        let mut message = b"passel v1 statements\0\0\0\0\x01".to_vec();
        message.extend(100u64.to_le_bytes());
        message.extend(forger::root_in_chunks(&bytes, CHUNK));
        <sha2::Sha256 as sha2::Digest>::digest(message).into()
    };
    assert_eq!(complete(&fresh()), Some(expected));
    assert!(!fresh().events.iter().any(|event| matches!(event, Event::Completed { .. })));
    let mut forger = fresh();
    forger.send(ack(0, 1));
    forger.send(forger.receipt(1, 1, expected));
    assert_eq!(forger.refused(), None);
    assert!(forger.events.iter().any(|event| matches!(event, Event::Completed { .. })));
    for (alter, why) in [
        ((|receipt| receipt.mac[31] ^= 1) as fn(&mut Receipt), "forged"),
        (|receipt| receipt.delivered = 2, "altered"),
    ] {
        let mut forger = fresh();
        let mut receipt = forger.receipt(1, 1, expected);
        alter(&mut receipt);
        forger.send(receipt);
        assert_eq!(forger.refused(), VIOLATION, "{why}");
    }
    for (delivered, statements) in [(1, [9; 32]), (0, expected), (2, expected)] {
        let mut forger = fresh();
        forger.send(forger.receipt(1, delivered, statements));
        assert_eq!(forger.refused(), VIOLATION, "signed, but not what was sent");
    }
}

/// TR-FILE-FAILED, TR-FILE-FAILED-STATED, TR-FAIL-ONCE
#[test]
fn a_file_that_the_receiver_gives_up_fails_once() {
    let files = [("a", content(TRANSFER_CREDIT * 2, 1)), ("b", vec![]), ("d/", vec![])];
    let failed = |file| FileFailed {
        transfer: THEIRS,
        file: FileIndex(file),
        code: 0x25,
        text: String::new(),
    };
    let mut forger = sending(&files);
    for _ in 0..3 {
        forger.send(failed(0));
    }
    forger.send(failed(2)); // a directory has no statement
    forger.send(Credit { transfer: Some(THEIRS), limit: u64::MAX });
    assert_eq!(forger.refused(), None);
    assert_eq!(forger.failed(), [(0, ErrorCode::StorageFailed)], "stated, once");
    let told = forger.events.iter().filter(|event| matches!(event, Event::FileFailed { .. }));
    assert_eq!(told.count(), 2);
    assert!(complete(&forger).is_some(), "the other file goes on");
    forger.send(failed(3));
    assert_eq!(forger.refused(), VIOLATION, "not an entry");
}

/// TR-FILE-FAILED-STATED: of a file that the receiver gives up before it was begun,
/// nothing is sent.
#[test]
fn a_file_that_the_receiver_gives_up_early_is_not_begun() {
    let (long, short) = (content(TRANSFER_CREDIT * 2, 1), content(1000, 2));
    let mut forger = sending(&[("a", long), ("b", short.clone()), ("c", short)]);
    let failed = |file| FileFailed {
        transfer: THEIRS,
        file: FileIndex(file),
        code: 0x25,
        text: String::new(),
    };
    forger.send(failed(1));
    forger.send(failed(0));
    forger.send(Credit { transfer: Some(THEIRS), limit: u64::MAX });
    assert_eq!(forger.refused(), None);
    let begun = |file| {
        forger.got.iter().any(|(frame, _)| match frame {
            Frame::Data(data) => data.file == FileIndex(file),
            Frame::FileEnd(end) => end.file == FileIndex(file),
            _ => false,
        })
    };
    assert!(!begun(1), "it was given up");
    assert!(begun(2) && complete(&forger).is_some(), "what comes behind it goes on");
    let failed = [(1, ErrorCode::StorageFailed), (0, ErrorCode::StorageFailed)];
    assert_eq!(forger.failed(), failed, "each is stated once");
}

/// TR-PAUSE-ONCE
#[test]
fn a_pause_is_begun_and_ended_once_by_each_side() {
    let files = [("a", content(TRANSFER_CREDIT * 2, 1))];
    let pause = || Pause { transfer: THEIRS };
    let resume = || Resume { transfer: THEIRS };
    let mut forger = offered(&files);
    forger.send(pause());
    assert_eq!(forger.refused(), VIOLATION, "before the ACCEPT");
    let mut forger = sending(&files);
    forger.send(pause());
    forger.send(resume());
    assert_eq!(forger.refused(), None);
    forger.send(resume());
    assert_eq!(forger.refused(), VIOLATION, "it was not paused");
    let mut forger = sending(&files);
    forger.send(pause());
    forger.send(pause());
    assert_eq!(forger.refused(), VIOLATION, "it was paused");
}

/// FC-CLOSE: CLOSE ends everything, is not answered, and nothing follows it.
#[test]
fn close_is_the_last_frame() {
    let mut forger = sending(&[("a", content(TRANSFER_CREDIT * 2, 1))]);
    let before = forger.got.len();
    forger.send(Close { code: 0x20, text: "bye".into() });
    forger.wait(Duration::from_secs(100));
    assert_eq!(forger.got.len(), before);
    let last = forger.events.last();
    assert!(
        matches!(last, Some(Event::Closed { error: Some(error) }) if error.code == ErrorCode::Cancelled),
        "{last:?}"
    );

    let names: Vec<String> = (0..3000).map(|n| format!("{n:05}")).collect();
    let files: Vec<(&str, Vec<u8>)> = names.iter().map(|name| (name.as_str(), vec![])).collect();
    let mut forger = Forger::new(manifest(&files));
    forger.victim.offer(forger.now, forger.manifest.clone(), "").unwrap();
    let error = Error::new(Blame::Circumstance, ErrorCode::Cancelled, "bye");
    forger.victim.close(forger.now, Some(error));
    forger.drain();
    assert!(matches!(forger.got.last(), Some((Frame::Close(_), _))), "no page behind it");
    assert_eq!(forger.count(|frame| matches!(frame, Frame::Close(_))), 1);

    // A wake-up so late that everything is due at once.
    let mut forger = offered(&files);
    forger.wait(Duration::from_hours(24));
    assert_eq!(forger.refused(), Some(ErrorCode::IdleTimeout));
    assert!(matches!(forger.got.last(), Some((Frame::Close(_), _))), "{:?}", forger.got.last());
}

/// FC-CLOSE-LINGER: a peer that takes nothing more cannot hold the end up.
#[test]
fn closing_does_not_wait_for_long() {
    let mut forger = Forger::new(manifest(&[("a", vec![])]));
    for channel in Channel::ALL {
        forger.victim.handle_writable(channel, 0);
    }
    forger.victim.close(forger.now, None);
    let (at, _) = forger.victim.poll_timeout().unwrap();
    assert_eq!(at - forger.now, Duration::from_secs(2));
    forger.victim.handle_timeout(at);
    assert!(
        std::iter::from_fn(|| forger.victim.poll_event())
            .any(|event| event == Event::Closed { error: None })
    );
    assert_eq!(forger.victim.poll_timeout(), None);
}
