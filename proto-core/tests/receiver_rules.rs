//! A receiver against a sender that breaks the rules: each refusal of chapters 3
//! and 7 that a receiver owes.

#![allow(clippy::unwrap_used, clippy::panic)] // a test that fails says so

mod forger;
mod support;

use std::time::Duration;

use forger::{CHUNK, Forger, OURS, PIECE, statements};
use passel_proto::connection::{Config, Event};
use passel_proto::error::ErrorCode;
use passel_proto::frame::{
    Cancel, Complete, FileEnd, FileFailed, Frame, ManifestPage, Offer, Ping, Resumable,
};
use passel_proto::ids::{Channel, FileIndex, TransferId};
use passel_proto::limits::{MAX_OPEN_FILES_COUNT, TRANSFER_CREDIT};
use passel_proto::manifest::{Entry, EntryKind, ManifestBuilder};
use passel_proto::path::SafePath;
use passel_proto::tree::leaf_hash;
use support::{config, content, manifest};

const VIOLATION: Option<ErrorCode> = Some(ErrorCode::ProtocolViolation);

/// A forger that offers one file, accepted, and the file's content.
fn one_file(size: usize) -> (Forger, Vec<u8>) {
    let bytes = content(size, 1);
    let mut forger = Forger::new(manifest(&[("a", bytes.clone())]));
    forger.accepted();
    (forger, bytes)
}

/// TR-OFFER, TR-DATA, TR-RECEIPT, TR-STATEMENTS, TR-RECEIPT-ORDER, WF-DATA-LAST: what an honest sender gets.
#[test]
fn a_peer_made_by_hand_can_complete_a_transfer() {
    let (mut forger, bytes) = one_file(CHUNK * 2 + 5);
    forger.end(0, &bytes);
    for (place, chunk) in bytes.chunks(CHUNK).enumerate() {
        forger.chunk(0, place as u64, chunk, chunk);
    }
    let digest = statements(&[(0, &bytes)]);
    forger.send(Complete { transfer: OURS, statements: digest });
    forger.wait(Duration::from_millis(200));
    assert_eq!(forger.refused(), None);
    assert_eq!(forger.disk.committed.get(&0), Some(&bytes));
    let place = |pick: fn(&Frame) -> bool| forger.got.iter().rposition(|(frame, _)| pick(frame));
    let (ack, receipt) = (
        place(|frame| matches!(frame, Frame::Ack(_))),
        place(|frame| matches!(frame, Frame::Receipt(_))),
    );
    assert!(ack.is_some() && ack < receipt, "{ack:?} {receipt:?}");
    // TR-OVER: what is still under way to it is harmless.
    forger.data(0, 0, None, &[0; PIECE]);
    forger.send(Cancel { transfer: OURS, code: 0x20, text: String::new() });
    assert_eq!(forger.refused(), None);
}

/// OV-NO-PANIC, WF-REFUSE, WF-REFUSE-CODE: the record is left where it breaks, and the connection ends.
#[test]
fn bytes_that_are_no_frames_end_the_connection() {
    for (plaintext, code) in [
        (&[251][..], ErrorCode::Malformed),            // half a number
        (&[0x1c], ErrorCode::Malformed),               // no length
        (&[0x1c, 2, 1], ErrorCode::Malformed),         // half a body
        (&[0x1c, 2, 1, 1], ErrorCode::Malformed),      // WF-TRAILING
        (&[0x1c, 3, 251, 1, 0], ErrorCode::Malformed), // WF-CANONICAL: overlong
        (&[251, 0x1c, 0, 1, 1], ErrorCode::Malformed), // WF-CANONICAL: overlong type
        (&[0x7f, 251, 1, 192], ErrorCode::Malformed),  // WF-FRAME-LENGTH: 49153
        (&[0x7e, 0], ErrorCode::UnknownCriticalFrame), // WF-FRAME-UNKNOWN
        (&[0x0a, 0], ErrorCode::ProtocolViolation),    // WF-FRAME-CHANNEL
        (&[0x14, 4, 0, 0x20, 1, 0xff], ErrorCode::Malformed), // WF-UTF8
        (&[0x04, 8, 0, 0, 1, 252, 255, 255, 255, 255], ErrorCode::Malformed), // WF-BOUNDED, OV-CLAIMS
    ] {
        let (mut forger, _) = one_file(10);
        forger.raw(Channel::Control, plaintext);
        assert_eq!(forger.refused(), Some(code), "{plaintext:?}");
    }
}

/// FC-PING, WF-FRAME-UNKNOWN
#[test]
fn a_ping_behind_an_unknown_odd_frame_is_answered() {
    let (mut forger, _) = one_file(10);
    forger.raw(Channel::Control, &[0x7f, 2, 9, 9, 0x1c, 1, 42]);
    assert!(forger.count(|frame| matches!(frame, Frame::Pong(pong) if pong.token == 42)) == 1);
    forger.send(Ping { token: u64::MAX });
    assert_eq!(forger.refused(), None);
}

/// WF-FRAME, WF-FRAME-ORDER: the second frame is the one that is ignored.
#[test]
fn frames_of_a_record_are_acted_upon_in_their_order() {
    let (cancel, complete) = ([0x14, 3, 0, 0x20, 0], [&[0x16, 33, 0][..], &[0; 32]].concat());
    let (mut forger, _) = one_file(10);
    forger.raw(Channel::Control, &[&cancel[..], &complete, &complete].concat());
    assert_eq!(forger.refused(), None);
    let (mut forger, _) = one_file(10);
    forger.raw(Channel::Control, &[&complete[..], &complete, &cancel].concat());
    assert_eq!(forger.refused(), VIOLATION, "two COMPLETEs");
}

/// OV-ERROR-UNKNOWN, OV-ERROR-TEXT
#[test]
fn a_code_that_nobody_knows_is_a_failure_all_the_same() {
    let (mut forger, _) = one_file(10);
    forger.send(Cancel { transfer: OURS, code: 0xfff0, text: "\u{1b}[2J".into() });
    let error = forger.events.iter().find_map(|event| match event {
        Event::Ended { error, .. } => Some(error.clone()),
        _ => None,
    });
    let error = error.unwrap();
    assert_eq!(error.code, ErrorCode::Unknown(0xfff0));
    assert!(!error.text.contains('\u{1b}'), "{}", error.text);
    assert_eq!(forger.refused(), None);
}

/// SC-HAVE-JOURNAL: a disk that holds the very bytes is not asked about them.
#[test]
fn a_chunk_counts_only_after_it_came_and_was_written() {
    let bytes = content(CHUNK * 3, 1);
    let mut forger = Forger::new(manifest(&[("a", bytes.clone())]));
    forger.disk.parts.insert(0, bytes.clone());
    forger.disk.source.insert(0, bytes.clone());
    forger.accepted();
    forger.end(0, &bytes);
    forger.chunk(0, 1, &bytes[CHUNK..CHUNK * 2], &bytes[CHUNK..CHUNK * 2]);
    forger.wait(Duration::from_millis(200));
    let acked = |forger: &Forger| -> Vec<(u64, u64)> {
        let acks = forger.got.iter().filter_map(|(frame, _)| match frame {
            Frame::Ack(ack) => Some(&ack.ranges),
            _ => None,
        });
        acks.flatten().map(|range| (range.first, range.count)).collect()
    };
    assert_eq!(acked(&forger), [(1, 1)]);
    assert!(forger.disk.committed.is_empty());
    assert_eq!((forger.disk.reads, forger.disk.writes), (0, 1));
}

/// TR-ACK-DURABLE, TR-COMMIT-VISIBLE: written is not durable.
#[test]
fn nothing_is_acknowledged_or_named_before_the_sync_is_answered() {
    let (mut forger, bytes) = one_file(CHUNK);
    forger.chunk(0, 0, &bytes, &bytes);
    forger.end(0, &bytes);
    assert_eq!((forger.disk.writes, forger.disk.syncs), (1, 0));
    forger.stalled = true;
    forger.wait(Duration::from_millis(200));
    assert_eq!(forger.count(|frame| matches!(frame, Frame::Ack(_))), 0);
    assert!(forger.disk.committed.is_empty());
    forger.stalled = false;
    forger.wait(Duration::from_millis(1));
    assert_eq!(forger.count(|frame| matches!(frame, Frame::Ack(_))), 1);
    assert_eq!(forger.disk.committed.get(&0), Some(&bytes));
}

/// TR-ID-PARITY, TR-ROLE, TR-OVER, TR-UNKNOWN
#[test]
fn transfers_are_numbered_without_gaps_by_their_offerer() {
    for id in [1, 2, u32::MAX] {
        let mut forger = Forger::new(manifest(&[("a", vec![])]));
        forger.send(Offer { transfer: TransferId(id), ..forger.offer_frame() });
        assert_eq!(forger.refused(), VIOLATION, "{id}");
    }
    let (mut forger, _) = one_file(10);
    forger.send(Complete { transfer: TransferId(2), statements: [0; 32] });
    assert_eq!(forger.refused(), VIOLATION, "never offered");
    let (mut forger, _) = one_file(10);
    forger.send(passel_proto::frame::Nack { transfer: OURS, file: FileIndex(0), chunk: 0 });
    assert_eq!(forger.refused(), VIOLATION, "only a receiver says NACK");
}

/// TR-TOO-MANY, TR-HASH: the offer is refused, and nothing else ends.
#[test]
fn offers_that_cannot_be_taken_are_rejected_one_by_one() {
    let mut forger = Forger::new(manifest(&[("a", vec![])]));
    for id in 0..6 {
        forger.send(Offer { transfer: TransferId(id * 2), ..forger.offer_frame() });
    }
    let rejected = |forger: &Forger, id, code: ErrorCode| {
        forger.count(|frame| {
            matches!(frame, Frame::Reject(reject)
                if reject.transfer == TransferId(id) && reject.code == code.to_wire())
        }) == 1
    };
    assert!(rejected(&forger, 10, ErrorCode::TooManyTransfers));
    let mut forger = Forger::new(manifest(&[("a", vec![])]));
    forger.send(Offer { hash: 2, ..forger.offer_frame() });
    assert!(rejected(&forger, 0, ErrorCode::UnsupportedSuite));
    forger.send(Offer { transfer: TransferId(2), ..forger.offer_frame() });
    assert_eq!(forger.refused(), None);
}

/// TR-LIST-FIRST
#[test]
fn an_offer_is_shown_and_can_be_accepted_only_when_its_list_is_whole() {
    let mut forger = Forger::new(manifest(&[("a", content(10, 1)), ("b", vec![]), ("d/", vec![])]));
    let shown = |forger: &Forger| forger.events.contains(&Event::Offered { transfer: OURS });
    let accepts = |forger: &Forger| forger.count(|frame| matches!(frame, Frame::Accept(_)));
    forger.send(forger.offer_frame());
    let (whole, first) = (forger.page_frame(), forger.manifest.page(0, 1).unwrap());
    assert!(first.count < whole.count);
    let (count, entries) = (first.count, first.bytes.clone());
    forger.send(ManifestPage { transfer: OURS, first: 0, count, entries: entries.clone() });
    assert!(!shown(&forger) && forger.victim.manifest(OURS).is_none());
    forger.victim.accept(forger.now, OURS, None).unwrap_err();
    let rest = whole.entries[entries.len()..].to_vec();
    let (first, count) = (count, whole.count - count);
    forger.send(ManifestPage { transfer: OURS, first, count, entries: rest });
    assert!(shown(&forger));
    let listed = forger.victim.manifest(OURS).unwrap().iter();
    assert!(listed.eq(forger.manifest.iter()), "every entry, with its size");
    assert_eq!(accepts(&forger), 0);
    forger.victim.accept(forger.now, OURS, None).unwrap();
    forger.drain();
    assert_eq!((accepts(&forger), forger.refused()), (1, None));
}

/// TR-MANIFEST-PAGE, TR-OFFER-TRUE
#[test]
fn a_manifest_that_is_not_the_offered_one_is_refused() {
    let files = [("a", content(10, 1)), ("b", vec![])];
    let altered = |alter: fn(&mut Offer, &mut ManifestPage)| {
        let mut forger = Forger::new(manifest(&files));
        let (mut offer, mut page) = (forger.offer_frame(), forger.page_frame());
        alter(&mut offer, &mut page);
        forger.send(offer);
        forger.send(page);
        assert!(!forger.events.iter().any(|event| matches!(event, Event::Offered { .. })));
        forger.refused()
    };
    let invalid = Some(ErrorCode::ManifestInvalid);
    assert_eq!(altered(|_, page| page.first = 1), invalid);
    assert_eq!(altered(|offer, _| offer.entries = 1), invalid);
    assert_eq!(altered(|offer, _| offer.bytes += 1), invalid);
    assert_eq!(altered(|offer, _| offer.digest[0] ^= 1), invalid);
    assert_eq!(altered(|_, page| page.count = 1), Some(ErrorCode::Malformed));
    let mut forger = Forger::new(manifest(&files));
    forger.offer();
    forger.send(forger.page_frame());
    assert_eq!(forger.refused(), invalid, "a page after the last");
}

/// TR-SELECTION-ONLY: nothing is taken before the answer, or outside of it.
#[test]
fn data_that_was_not_accepted_is_refused() {
    let bytes = content(CHUNK, 1);
    let files = [("a", bytes.clone()), ("b", bytes.clone()), ("d/", vec![])];
    let mut forger = Forger::new(manifest(&files));
    forger.offer();
    forger.chunk(0, 0, &bytes, &bytes);
    assert_eq!(forger.refused(), VIOLATION, "not answered");
    for file in [1, 2, 3] {
        let mut forger = Forger::new(manifest(&files));
        forger.offer();
        let some = passel_proto::frame::EntryRange { first: 0, count: 1 };
        forger.victim.accept(forger.now, OURS, Some(vec![some])).unwrap();
        forger.chunk(file, 0, &bytes, &bytes);
        assert_eq!(forger.refused(), VIOLATION, "entry {file}");
        assert!(forger.disk.parts.is_empty());
    }
    let mut forger = Forger::new(manifest(&files));
    forger.accepted();
    forger.end(2, &[]);
    assert_eq!(forger.refused(), VIOLATION, "a directory has no end");
}

/// TR-PIECE, TR-PIECE-PLACE, TR-LEAF, TR-PIECE-ONCE
#[test]
fn pieces_are_where_they_belong_and_come_once() {
    let leaf = Some([0; 32]);
    let size = CHUNK as u64 * 2 + 5;
    for (offset, leaf, len, why) in [
        (1, None, PIECE, "not at a multiple"),
        (0, None, PIECE - 1, "short"),
        (0, None, PIECE + 1, "long"),
        (0, None, 0, "empty"),
        (0, leaf, PIECE, "a leaf before the chunk's end"),
        ((CHUNK - PIECE) as u64, None, PIECE, "no leaf at the chunk's end"),
        (size - 5, None, 5, "no leaf at the file's end"),
        (size - 5, leaf, 6, "behind the file's end"),
        (size - 5, leaf, 4, "a leaf before the file's end"),
        (u64::MAX - PIECE as u64 + 1, None, PIECE, "at the end of the world"),
    ] {
        let (mut forger, _) = one_file(CHUNK * 2 + 5);
        forger.data(0, offset, leaf, &vec![0; len]);
        assert_eq!(forger.refused(), VIOLATION, "{why}");
    }
    let (mut forger, _) = one_file(CHUNK * 2);
    forger.data(0, 0, None, &[0; PIECE]);
    assert_eq!(forger.refused(), None);
    forger.data(0, 0, None, &[0; PIECE]);
    assert_eq!(forger.refused(), VIOLATION, "a piece twice");
    let (mut forger, bytes) = one_file(CHUNK * 2);
    forger.chunk(0, 1, &bytes[CHUNK..], &bytes[CHUNK..]);
    forger.data(0, CHUNK as u64, None, &bytes[..PIECE]);
    assert_eq!(forger.refused(), VIOLATION, "a chunk twice");
}

/// TR-NACK, TR-NACK-LIMIT, TR-FAILED-DATA, TR-RECEIPT-FIELDS: three more tries, then the file fails and no other.
#[test]
fn a_chunk_that_does_not_match_is_asked_for_three_times() {
    for storage_checks_leaves in [false, true] {
        a_chunk_does_not_match(Config { storage_checks_leaves, ..config() });
    }
}

fn a_chunk_does_not_match(config: Config) {
    let bytes = content(CHUNK, 1);
    let files = manifest(&[("a", bytes.clone()), ("b", bytes.clone())]);
    let mut forger = Forger::with(config, files);
    forger.accepted();
    let wrong = content(CHUNK, 2);
    for tries in 1..=4 {
        assert!(forger.failed().is_empty());
        forger.chunk(0, 0, &wrong, &bytes);
        assert_eq!(forger.count(|frame| matches!(frame, Frame::Nack(_))), tries.min(3));
    }
    assert_eq!(forger.failed(), [(0, ErrorCode::HashMismatch)]);
    forger.data(0, 0, None, &bytes[..PIECE]);
    forger.end(0, &bytes); // under way when the file was given up
    forger.chunk(1, 0, &bytes, &bytes);
    forger.end(1, &bytes);
    let digest = statements(&[(0, &bytes), (1, &bytes)]);
    forger.send(Complete { transfer: OURS, statements: digest });
    forger.wait(Duration::from_millis(200));
    assert_eq!(forger.refused(), None);
    let arrived: Vec<u32> = forger.disk.committed.keys().copied().collect();
    assert_eq!(arrived, [1]);
    let listed = forger.got.iter().find_map(|(frame, _)| match frame {
        Frame::Receipt(receipt) => Some((receipt.delivered, receipt.failed, receipt.listed.len())),
        _ => None,
    });
    assert_eq!(listed, Some((1, 1, 1)));
}

/// TR-NACK: what storage refuses to write counts for nothing, and what was there
/// stays.
#[test]
fn a_chunk_that_storage_found_wrong_comes_again() {
    let bytes = content(CHUNK * 2, 1);
    let checks = Config { storage_checks_leaves: true, ..config() };
    let mut forger = Forger::with(checks, manifest(&[("a", bytes.clone())]));
    forger.accepted();
    let [first, second] = [&bytes[..CHUNK], &bytes[CHUNK..]];
    forger.stalled = true;
    forger.chunk(0, 0, second, first);
    assert_eq!(forger.victim.progress(OURS).unwrap().bytes_moved, CHUNK as u64);
    forger.stalled = false;
    forger.drain();
    assert!(forger.disk.parts.is_empty(), "nothing was written");
    assert_eq!(forger.victim.progress(OURS).unwrap().bytes_moved, 0);
    assert_eq!(forger.count(|frame| matches!(frame, Frame::Nack(_))), 1);
    forger.chunk(0, 0, first, first);
    forger.chunk(0, 1, second, second);
    forger.end(0, &bytes);
    forger.wait(Duration::from_millis(200));
    assert_eq!(forger.refused(), None);
    assert_eq!(forger.disk.committed[&0], bytes);
}

/// TR-ROOT: a file is complete only if its root agrees.
#[test]
fn a_root_that_does_not_match_fails_the_file() {
    let (mut forger, bytes) = one_file(CHUNK * 2);
    forger.chunk(0, 0, &bytes[..CHUNK], &bytes[..CHUNK]);
    forger.chunk(0, 1, &bytes[CHUNK..], &bytes[CHUNK..]);
    forger.end(0, &content(CHUNK * 2, 2));
    forger.wait(Duration::from_millis(200));
    assert_eq!(forger.failed(), [(0, ErrorCode::HashMismatch)]);
    assert!(forger.disk.committed.is_empty());
}

/// TR-ROOT-PROMISED: what the user saw in the list is what must come.
#[test]
fn a_root_that_is_not_the_manifests_fails_the_file() {
    let bytes = content(CHUNK, 1);
    for (promised, fails) in [(forger::root_of(&bytes), false), ([7; 32], true)] {
        let mut builder = ManifestBuilder::new();
        let size = Some(bytes.len() as u64);
        let kind = EntryKind::File { size, executable: false, mime: None, root: Some(promised) };
        let path = SafePath::parse("a").unwrap();
        builder.push(&Entry { path, kind, modified: None }).unwrap();
        let mut forger = Forger::new(builder.finish().unwrap());
        forger.accepted();
        forger.chunk(0, 0, &bytes, &bytes);
        forger.end(0, &bytes);
        forger.wait(Duration::from_millis(200));
        assert_eq!(!forger.failed().is_empty(), fails);
        assert_eq!(forger.disk.committed.is_empty(), fails);
    }
}

/// TR-STATE-ONCE, TR-FILE-END
#[test]
fn one_statement_is_made_on_a_file_and_it_is_true() {
    let (mut forger, bytes) = one_file(CHUNK);
    forger.end(0, &bytes);
    forger.end(0, &bytes);
    assert_eq!(forger.refused(), VIOLATION, "FILE_END twice");
    let (mut forger, bytes) = one_file(CHUNK);
    forger.end(0, &bytes);
    let text = String::new();
    forger.send(FileFailed { transfer: OURS, file: FileIndex(0), code: 0x26, text });
    assert_eq!(forger.refused(), VIOLATION, "FILE_END and FILE_FAILED");
    let (mut forger, _) = one_file(CHUNK);
    forger.send(FileEnd { transfer: OURS, file: FileIndex(0), size: 1, root: [0; 32] });
    assert_eq!(forger.refused(), VIOLATION, "another size than the manifest's");
}

/// TR-COMPLETE, TR-STATEMENTS, TR-STATEMENTS-CHECK
#[test]
fn complete_is_said_once_and_over_what_was_stated() {
    let mut forger = Forger::new(manifest(&[("a", vec![])]));
    forger.offer();
    forger.send(Complete { transfer: OURS, statements: [0; 32] });
    assert_eq!(forger.refused(), VIOLATION, "before the answer");
    let (mut forger, _) = one_file(CHUNK);
    forger.send(Complete { transfer: OURS, statements: [0; 32] });
    assert_eq!(forger.refused(), None, "it may overtake data");
    forger.send(Complete { transfer: OURS, statements: [0; 32] });
    assert_eq!(forger.refused(), VIOLATION, "twice");
    let (mut forger, _) = one_file(0);
    forger.end(0, &[]);
    forger.send(Complete { transfer: OURS, statements: [0; 32] });
    assert_eq!(forger.refused(), VIOLATION, "a digest of something else");
    assert_eq!(forger.count(|frame| matches!(frame, Frame::Receipt(_))), 0);
}

/// FC-CREDIT-EXCEEDED, FC-CREDIT-INITIAL
#[test]
fn more_than_was_granted_is_refused() {
    let (mut forger, bytes) = one_file(TRANSFER_CREDIT + CHUNK);
    forger.stalled = true;
    let chunks = TRANSFER_CREDIT / CHUNK;
    for (place, chunk) in bytes.chunks(CHUNK).enumerate().take(chunks) {
        forger.chunk(0, place as u64, chunk, chunk);
    }
    assert_eq!(forger.refused(), None);
    assert_eq!(forger.count(|frame| matches!(frame, Frame::Credit(_))), 0, "nothing was released");
    forger.data(0, TRANSFER_CREDIT as u64, None, &[0; PIECE]);
    assert_eq!(forger.refused(), Some(ErrorCode::CreditExceeded));
}

/// FC-COUNT-OVER: data of a transfer that is over counts for the connection.
#[test]
fn data_of_a_transfer_that_is_over_is_bounded_too() {
    let (mut forger, bytes) = one_file(CHUNK);
    forger.chunk(0, 0, &bytes, &bytes);
    forger.send(Cancel { transfer: OURS, code: 0x20, text: String::new() });
    let (mut credits, piece) = (0, vec![0; 32768]);
    for _ in 0..2000 {
        forger.data(0, 0, None, &piece);
        credits = forger.count(|frame| matches!(frame, Frame::Credit(_)));
    }
    assert_eq!(forger.refused(), None);
    assert!(credits > 5, "what is thrown away is granted anew: {credits}");
}

/// TR-OPEN-FILES
#[test]
fn files_that_are_begun_and_not_ended_are_bounded() {
    let names: Vec<String> = (0..=MAX_OPEN_FILES_COUNT).map(|n| format!("{n:05}")).collect();
    let files: Vec<(&str, Vec<u8>)> =
        names.iter().map(|name| (name.as_str(), vec![0; CHUNK + 1])).collect();
    let mut forger = Forger::new(manifest(&files));
    forger.send(forger.offer_frame());
    let mut first = 0;
    while first < forger.manifest.len() {
        let page = forger.manifest.page(first, 16384).unwrap();
        let (count, entries) = (page.count, page.bytes);
        forger.send(ManifestPage { transfer: OURS, first, count, entries });
        first += count;
    }
    forger.victim.accept(forger.now, OURS, None).unwrap();
    let leaf = Some(leaf_hash(&[0]));
    for file in 0..names.len() {
        assert_eq!(forger.victim.is_established(), file <= MAX_OPEN_FILES_COUNT);
        forger.data(u32::try_from(file).unwrap(), CHUNK as u64, leaf, &[0]);
    }
    assert_eq!(forger.refused(), Some(ErrorCode::LimitExceeded));
}

/// HS-RESUMABLE
#[test]
fn only_this_sessions_secret_can_be_said_to_be_stored_and_once() {
    let forger = || Forger::new(manifest(&[("a", vec![1])]));
    let mut honest = forger();
    let id = honest.victim.resumption().unwrap().id;
    honest.send(Resumable { id });
    assert_eq!(honest.refused(), None);
    assert!(honest.events.contains(&Event::ResumptionStored));
    honest.send(Resumable { id });
    assert_eq!(honest.refused(), VIOLATION);
    let mut wrong = forger();
    wrong.send(Resumable { id: [0; 16] });
    assert_eq!(wrong.refused(), VIOLATION);
    assert!(!wrong.events.contains(&Event::ResumptionStored));
}
