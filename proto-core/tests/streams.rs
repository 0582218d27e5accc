//! Files whose length nobody knows before their end: they arrive whole, their
//! chunks can be sent again, and what a peer may not do with them.

#![allow(clippy::unwrap_used, clippy::panic)] // a test that fails says so

mod forger;
mod support;

use forger::{CHUNK, Forger, OURS, PIECE, root_of, statements};
use passel_proto::connection::{Completion, Event};
use passel_proto::error::ErrorCode;
use passel_proto::frame::{
    Accept, Ack, AckRange, Complete, Credit, FileEnd, FileFailed, Frame, Nack, Selection,
};
use passel_proto::ids::{FileIndex, TransferId};
use passel_proto::limits::TRANSFER_CREDIT;
use passel_proto::storage::StorageErrorKind;
use passel_proto::tree::leaf_hash;
use std::time::Duration;
use support::{Fault, Pair, config, content, manifest};

const VIOLATION: Option<ErrorCode> = Some(ErrorCode::ProtocolViolation);
/// Chunk size of honest offers.
const HONEST: usize = 65536;
/// The first offer of a forger's victim.
const THEIRS: TransferId = TransferId(1);

fn completion(side: &support::Side) -> Completion {
    match side.ended() {
        Some(Event::Completed { completion, .. }) => *completion,
        other => panic!("not completed: {other:?}"),
    }
}

/// TR-STREAM, TR-STREAM-END
#[test]
fn streams_of_every_awkward_length_arrive_between_other_files() {
    for (len, shuffle) in [0, 1, HONEST - 1, HONEST, HONEST + 1, 3 * HONEST, 3_000_001]
        .into_iter()
        .flat_map(|len| [(len, false), (len, true)])
    {
        let files = [("a", content(70_000, 1)), ("b|", content(len, 2)), ("c", vec![7])];
        let mut pair = Pair::established(1);
        pair.shuffle = shuffle;
        let id = pair.offer(&files);
        pair.run();
        pair.receiver.connection.accept(pair.now, id, None).unwrap();
        let progress = pair.receiver.connection.progress(id).unwrap();
        assert_eq!((progress.bytes_total, progress.streams), (70_001, 1));
        pair.finish();
        for (place, (_, content)) in (0..).zip(&files) {
            assert!(pair.receiver.disk.committed.get(&place) == Some(content), "{len}: {place}");
        }
        let (sender, receiver) = (completion(&pair.sender), completion(&pair.receiver));
        assert_eq!(sender, receiver);
        assert_eq!((sender.delivered, sender.bytes), (3, 70_001 + len as u64));
    }
}

#[test]
fn a_stream_that_is_all_there_is_of_an_offer_may_be_empty() {
    let mut pair = Pair::established(2);
    pair.transfer(&[("a|", vec![])]);
    assert_eq!(pair.receiver.disk.committed.get(&0), Some(&vec![]));
}

#[test]
fn a_stream_that_fails_leaves_the_others_alone_and_both_sides_count_alike() {
    let files = [("a|", content(HONEST * 3, 1)), ("b|", content(HONEST * 3, 2)), ("c", vec![1])];
    for (at_sender, fault) in [
        (true, Fault::Read(2, StorageErrorKind::Unreadable)),
        (true, Fault::Read(0, StorageErrorKind::Unreadable)),
        (false, Fault::Write(1, StorageErrorKind::Other)),
        (false, Fault::Commit(0, StorageErrorKind::NameConflict)),
    ] {
        let mut pair = Pair::established(3);
        let disk = if at_sender { &mut pair.sender.disk } else { &mut pair.receiver.disk };
        disk.faults.push(fault);
        pair.transfer(&files);
        let (sender, receiver) = (completion(&pair.sender), completion(&pair.receiver));
        assert_eq!(sender, receiver, "{fault:?}");
        assert_eq!((sender.delivered, sender.failed), (2, 1), "{fault:?}");
        assert_eq!(sender.bytes, HONEST as u64 * 3 + 1, "{fault:?}");
    }
}

/// A forger that has accepted what was offered to it.
fn sending(files: &[(&str, Vec<u8>)]) -> Forger {
    let mut forger = Forger::new(manifest(files));
    for (place, (_, content)) in (0..).zip(files) {
        forger.disk.source.insert(place, content.clone());
    }
    forger.victim.offer(forger.now, forger.manifest.clone(), "").unwrap();
    forger.drain();
    forger.send(Accept { transfer: THEIRS, more: false, selection: Selection::All });
    forger
}

fn nack(file: u32, chunk: u64) -> Nack {
    Nack { transfer: THEIRS, file: FileIndex(file), chunk }
}

fn ack(file: u32, first: u64, count: u64) -> Ack {
    Ack { transfer: THEIRS, ranges: vec![AckRange { file: FileIndex(file), first, count }] }
}

fn credit(forger: &mut Forger, limit: u64) {
    forger.send(Credit { transfer: None, limit });
    forger.send(Credit { transfer: Some(THEIRS), limit });
}

/// The bytes that came for one file, in the order in which they came.
fn bytes_of(forger: &Forger, file: u32) -> Vec<u8> {
    let data = forger
        .got
        .iter()
        .filter(|(frame, _)| matches!(frame, Frame::Data(data) if data.file == FileIndex(file)));
    data.flat_map(|(_, payload)| payload.clone()).collect()
}

fn cancelled(forger: &Forger) -> Option<u16> {
    forger.got.iter().find_map(|(frame, _)| match frame {
        Frame::Cancel(cancel) => Some(cancel.code),
        _ => None,
    })
}

/// TR-STREAM-KEEP: nothing is read again.
#[test]
fn chunks_of_a_stream_are_sent_again_from_memory() {
    let bytes = content(HONEST * 3 + 5, 1);
    let mut forger = sending(&[("a|", bytes.clone())]);
    assert_eq!(bytes_of(&forger, 0), bytes);
    let reads = forger.disk.reads;
    for (chunk, again) in (0..).zip(bytes.chunks(HONEST)) {
        for _ in 0..3 {
            forger.got.clear();
            forger.send(nack(0, chunk));
            assert!(bytes_of(&forger, 0) == again, "chunk {chunk}");
        }
    }
    assert_eq!((forger.refused(), forger.disk.reads), (None, reads));
    forger.send(ack(0, 0, 4));
    let done = Event::FileDone { transfer: THEIRS, file: FileIndex(0) };
    assert!(forger.events.contains(&done));
}

/// TR-FILE-END-FIRST: the last ACK may come before the end was found.
#[test]
fn a_stream_that_is_acknowledged_before_its_end_is_found_is_done_at_its_end() {
    let mut forger = sending(&[("a|", content(TRANSFER_CREDIT, 1))]);
    let ends = |forger: &Forger| forger.count(|frame| matches!(frame, Frame::FileEnd(_)));
    forger.send(ack(0, 0, (TRANSFER_CREDIT / HONEST) as u64));
    let done = Event::FileDone { transfer: THEIRS, file: FileIndex(0) };
    assert_eq!((ends(&forger), forger.events.contains(&done)), (0, false), "no credit for it");
    credit(&mut forger, TRANSFER_CREDIT as u64 * 2);
    assert_eq!((ends(&forger), forger.events.contains(&done)), (1, true));
    assert_eq!(forger.refused(), None);
}

/// TR-STREAM-KEEP, TR-RESEND-FAILED
#[test]
fn what_is_no_longer_there_fails_the_stream_or_after_its_end_the_transfer() {
    let files = [("a|", content(TRANSFER_CREDIT * 4, 1)), ("b", vec![1])];
    let mut forger = sending(&files);
    credit(&mut forger, TRANSFER_CREDIT as u64 * 7 / 2);
    forger.send(nack(0, 0));
    assert_eq!(forger.failed(), [(0, ErrorCode::SourceUnreadable)]);
    credit(&mut forger, u64::MAX);
    assert_eq!((bytes_of(&forger, 1), cancelled(&forger)), (vec![1], None), "the other goes on");

    let mut forger = sending(&files);
    credit(&mut forger, u64::MAX);
    forger.send(nack(0, 0));
    assert_eq!((forger.failed(), forger.refused()), (vec![], None));
    assert_eq!(cancelled(&forger), Some(ErrorCode::SourceUnreadable.to_wire()));
}

/// TR-RESEND-FAILED: a file that changed after it was sent once.
#[test]
fn a_file_that_cannot_be_read_again_ends_the_transfer() {
    let mut forger = sending(&[("a", content(HONEST + 1, 1))]);
    forger.disk.faults.push(Fault::Read(2, StorageErrorKind::Changed));
    forger.send(nack(0, 0));
    assert_eq!((forger.failed(), forger.refused()), (vec![], None));
    assert_eq!(cancelled(&forger), Some(ErrorCode::SourceChanged.to_wire()));
}

#[test]
fn a_silent_stream_holds_up_neither_what_is_sent_again_nor_what_follows_it() {
    let files = [("a", content(HONEST, 1)), ("b|", vec![]), ("c", content(HONEST, 3))];
    let mut forger = Forger::new(manifest(&files));
    forger.disk.silent.insert(1);
    for (place, (_, content)) in (0..).zip(&files) {
        forger.disk.source.insert(place, content.clone());
    }
    forger.victim.offer(forger.now, forger.manifest.clone(), "").unwrap();
    forger.drain();
    forger.send(Accept { transfer: THEIRS, more: false, selection: Selection::All });
    let waiting = forger.disk.waiting.len();
    assert!((1..=8).contains(&waiting), "{waiting} reads wait");
    forger.send(nack(0, 0));
    assert_eq!(bytes_of(&forger, 0).len(), HONEST * 2);
    assert_eq!(bytes_of(&forger, 2).len(), 0, "file after file");
    let text = String::new();
    forger.send(FileFailed { transfer: THEIRS, file: FileIndex(1), code: 0x26, text });
    assert_eq!(bytes_of(&forger, 2), files[2].1);
    assert_eq!(forger.disk.waiting.len(), waiting);
    forger.disk.silent.clear();
    forger.drain();
    assert_eq!((forger.refused(), cancelled(&forger)), (None, None));
    assert_eq!(forger.count(|frame| matches!(frame, Frame::Complete(_))), 1);
}

/// A forger whose stream was accepted.
fn stream() -> Forger {
    let mut forger = Forger::new(manifest(&[("a|", vec![])]));
    forger.accepted();
    forger
}

fn end(forger: &mut Forger, size: u64) {
    forger.send(FileEnd { transfer: OURS, file: FileIndex(0), size, root: [0; 32] });
}

/// TR-STREAM-SHORT, TR-LEAF, TR-PIECE-PLACE
#[test]
fn only_the_last_chunk_of_a_stream_is_short() {
    let whole = content(CHUNK, 1);
    let at = |chunk: usize| (chunk * CHUNK) as u64;
    let leaf = Some(leaf_hash(&whole[..5]));
    for (pieces, why) in [
        (vec![(at(1), leaf, 5), (at(2), None, PIECE)], "a piece behind the end"),
        (vec![(at(2), None, PIECE), (at(1), leaf, 5)], "an end before a piece"),
        (vec![(at(1), leaf, 5), (at(1) + PIECE as u64, leaf, 5)], "a second end, in the chunk"),
        (vec![(at(3), leaf, 5), (at(1), leaf, 5)], "a second end, before it"),
        (vec![(at(1), leaf, 5), (at(3), leaf, 5)], "a second end, behind it"),
        (vec![(at(0), None, 5)], "short, and no leaf"),
        (vec![(at(1) - PIECE as u64, None, PIECE)], "no leaf at a chunk's end"),
    ] {
        let mut forger = stream();
        let (last, first) = pieces.split_last().unwrap();
        for (offset, leaf, len) in first {
            forger.data(0, *offset, *leaf, &whole[..*len]);
            assert_eq!(forger.refused(), None, "{why}");
        }
        forger.data(0, last.0, last.1, &whole[..last.2]);
        assert_eq!(forger.refused(), VIOLATION, "{why}");
    }
}

/// TR-STREAM-END, TR-FILE-END
#[test]
fn the_end_of_a_stream_is_where_its_pieces_say() {
    let bytes = content(CHUNK + 5, 1);
    let (first, short) = bytes.split_at(CHUNK);
    for size in [CHUNK as u64, CHUNK as u64 + 4, CHUNK as u64 + 6, 0, u64::MAX] {
        let mut forger = stream();
        forger.chunk(0, 1, short, short);
        end(&mut forger, size);
        assert_eq!(forger.refused(), VIOLATION, "{size}, and there is a short chunk");
    }
    let mut forger = stream();
    forger.chunk(0, 0, first, first);
    end(&mut forger, CHUNK as u64 - 1);
    assert_eq!(forger.refused(), VIOLATION, "less than came");
    for (offset, leaf, len) in [
        (CHUNK, Some([0; 32]), 6),
        (CHUNK, None, PIECE),
        (CHUNK, Some([0; 32]), 4),
        (0, Some(leaf_hash(b"x")), PIECE),
    ] {
        let mut forger = stream();
        end(&mut forger, CHUNK as u64 + 5);
        forger.data(0, offset as u64, leaf, &first[..len]);
        assert_eq!(forger.refused(), VIOLATION, "after the end, {offset}");
    }
}

/// TR-ROOT, TR-STATEMENTS
#[test]
fn a_stream_whose_chunks_and_end_come_in_any_order_arrives() {
    let bytes = content(CHUNK * 2 + 5, 1);
    for order in [[0, 1, 2, 3], [3, 2, 1, 0], [2, 3, 0, 1], [1, 0, 3, 2]] {
        let mut forger = stream();
        for step in order {
            match bytes.chunks(CHUNK).nth(step) {
                Some(chunk) => forger.chunk(0, step as u64, chunk, chunk),
                None => forger.end(0, &bytes),
            }
        }
        let digest = statements(&[(0, &bytes)]);
        forger.send(Complete { transfer: OURS, statements: digest });
        forger.wait(Duration::from_millis(200));
        assert_eq!(forger.refused(), None, "{order:?}");
        assert!(forger.disk.committed.get(&0) == Some(&bytes), "{order:?}");
    }
}

/// TR-STREAM-LIMIT, TR-PIECE-PLACE: whatever the limit, no offset overflows.
#[test]
fn a_stream_has_no_piece_at_the_end_of_the_world() {
    let mut forger = stream();
    forger.data(0, u64::MAX - PIECE as u64 + 1, None, &[0; PIECE]);
    assert_eq!((forger.refused(), forger.failed()), (None, vec![(0, ErrorCode::TooLarge)]));
    let mut config = config();
    config.max_stream_bytes = u64::MAX;
    let mut forger = Forger::with(config, manifest(&[("a|", vec![])]));
    forger.accepted();
    forger.data(0, u64::MAX - PIECE as u64 + 1, None, &[0; PIECE]);
    assert_eq!(forger.refused(), VIOLATION);
}

/// TR-STREAM-LIMIT
#[test]
fn a_stream_longer_than_the_receiver_takes_is_given_up_alone() {
    let bytes = content(CHUNK * 2, 1);
    for by_end in [false, true] {
        let mut config = config();
        config.max_stream_bytes = CHUNK as u64 + 5;
        let mut forger = Forger::with(config, manifest(&[("a|", vec![]), ("b", bytes.clone())]));
        forger.accepted();
        forger.chunk(0, 0, &bytes[..CHUNK], &bytes[..CHUNK]);
        assert_eq!(forger.failed(), []);
        if !by_end {
            forger.data(0, CHUNK as u64, None, &bytes[..PIECE]);
            assert_eq!(forger.failed(), [(0, ErrorCode::TooLarge)]);
        }
        let (size, root) = (bytes.len() as u64, root_of(&bytes));
        forger.send(FileEnd { transfer: OURS, file: FileIndex(0), size, root });
        assert_eq!(forger.failed(), [(0, ErrorCode::TooLarge)]);
        for (place, chunk) in (0..).zip(bytes.chunks(CHUNK)) {
            forger.chunk(1, place, chunk, chunk);
        }
        forger.end(1, &bytes);
        let digest = statements(&[(0, &bytes), (1, &bytes)]);
        forger.send(Complete { transfer: OURS, statements: digest });
        forger.wait(Duration::from_millis(200));
        assert_eq!(forger.refused(), None);
        let arrived: Vec<u32> = forger.disk.committed.keys().copied().collect();
        assert_eq!(arrived, [1]);
    }
}
