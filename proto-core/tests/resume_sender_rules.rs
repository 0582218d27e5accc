//! A sender that goes on with a transfer, against a receiver that breaks the rules
//! of chapter 13 or lies about what it has.

#![allow(clippy::unwrap_used, clippy::panic)] // a test that fails says so

mod forger;
mod support;

use std::collections::BTreeSet;

use forger::{Forger, root_in_chunks};
use passel_proto::connection::Event;
use passel_proto::error::ErrorCode;
use passel_proto::frame::{
    Accept, Ack, AckRange, ChunkRange, EntryRange, FileEnd, FileFailed, Frame, Have, Leaves,
    LeavesWanted, Selection, Stored,
};
use passel_proto::ids::{FileIndex, Token, TransferId};
use passel_proto::limits::{
    MAX_CLAIMED_RANGES_COUNT, MAX_HAVE_RANGES_COUNT, MAX_LEAVES_COUNT, MAX_OPEN_FILES_COUNT,
};
use passel_proto::subtrees::Subtrees;
use passel_proto::tree::leaf_hash;
use support::{config, content, manifest, sized};

const VIOLATION: Option<ErrorCode> = Some(ErrorCode::ProtocolViolation);
const CHUNK: usize = 65536;
/// The other end is the responder, so its first offer has this number.
const THEIRS: TransferId = TransferId(1);
const DIGEST: Option<[u8; 32]> = Some([9; 32]);

/// A forger to which files were offered.
fn offered(files: &[(&str, Vec<u8>)]) -> Forger {
    let mut forger = Forger::new(manifest(files));
    for (place, (_, content)) in files.iter().enumerate() {
        forger.disk.source.insert(u32::try_from(place).unwrap(), content.clone());
    }
    forger.victim.offer(forger.now, forger.manifest.clone(), "").unwrap();
    forger.drain();
    forger
}

fn have(file: u32, ranges: &[(u64, u64)], digest: Option<[u8; 32]>) -> Frame {
    let ranges = ranges.iter().map(|&(first, count)| ChunkRange { first, count }).collect();
    Have { transfer: THEIRS, file: FileIndex(file), ranges, digest }.into()
}

fn stored(first: u32, count: u32) -> Frame {
    Stored { transfer: THEIRS, files: vec![EntryRange { first, count }] }.into()
}

fn all() -> Frame {
    Accept { transfer: THEIRS, more: false, selection: Selection::All }.into()
}

fn some(first: u32, count: u32, more: bool) -> Frame {
    let selection = Selection::Ranges(vec![EntryRange { first, count }]);
    Accept { transfer: THEIRS, more, selection }.into()
}

fn leaves(first: u64, leaves: &[[u8; 32]]) -> Leaves {
    Leaves { transfer: THEIRS, file: FileIndex(0), first, leaves: leaves.to_vec() }
}

fn ack(chunk: u64) -> Ack {
    let range = AckRange { file: FileIndex(0), first: chunk, count: 1 };
    Ack { transfer: THEIRS, ranges: vec![range] }
}

/// The leaves of a file's chunks.
fn leaves_of(content: &[u8], chunk: usize) -> Vec<[u8; 32]> {
    content.chunks(chunk).map(leaf_hash).collect()
}

/// RS-DIGEST over some chunks of a file.
fn digest(content: &[u8], chunks: &[u64]) -> [u8; 32] {
    let of_all = leaves_of(content, CHUNK);
    let mut there = Subtrees::new(usize::MAX);
    for &chunk in chunks {
        there.insert(chunk, of_all[usize::try_from(chunk).unwrap()]).unwrap();
    }
    there.digest()
}

/// The chunks of which DATA came.
fn sent(forger: &Forger) -> BTreeSet<u64> {
    let chunk = |frame: &Frame| match frame {
        Frame::Data(data) => Some(data.offset / CHUNK as u64),
        _ => None,
    };
    forger.got.iter().filter_map(|(frame, _)| chunk(frame)).collect()
}

fn end(forger: &Forger) -> Option<FileEnd> {
    forger.got.iter().find_map(|(frame, _)| match frame {
        Frame::FileEnd(end) => Some(*end),
        _ => None,
    })
}

fn wanted(forger: &Forger) -> Vec<LeavesWanted> {
    let of = |frame: &Frame| match frame {
        Frame::LeavesWanted(wanted) => Some(*wanted),
        _ => None,
    };
    forger.got.iter().filter_map(|(frame, _)| of(frame)).collect()
}

fn is_done(forger: &Forger) -> bool {
    forger.events.iter().any(|event| matches!(event, Event::FileDone { .. }))
}

/// RS-HAVE, RS-STORED
#[test]
fn claims_come_in_time_once_and_of_chunks_that_there_can_be() {
    let files = [
        ("a", content(CHUNK * 3, 1)),
        ("b/", vec![]),
        ("c", vec![]),
        ("d", content(CHUNK * 2, 2)),
        ("e|", vec![5]),
    ];
    let one = || have(0, &[(0, 1)], DIGEST);
    for (frames, why) in [
        (vec![one(), have(0, &[(2, 1)], DIGEST)], "two HAVEs of a file"),
        (vec![have(0, &[(2, 2)], DIGEST)], "beyond the file's end"),
        (vec![have(2, &[(0, 1)], DIGEST)], "a chunk of an empty file"),
        (vec![have(1, &[(0, 1)], DIGEST)], "of a directory"),
        (vec![have(4, &[(0, 1)], DIGEST)], "of a stream"),
        (vec![have(5, &[(0, 1)], DIGEST)], "of no entry"),
        (vec![stored(0, 1), one()], "STORED and HAVE"),
        (vec![one(), stored(0, 1)], "HAVE and STORED"),
        (vec![stored(0, 1), stored(0, 1)], "stored twice"),
        (vec![stored(0, 2)], "a directory that is stored"),
        (vec![stored(4, 1)], "a stream that is stored"),
        (vec![stored(3, 9)], "stored beyond the manifest"),
        (vec![all(), one()], "HAVE behind the ACCEPT"),
        (vec![all(), stored(3, 1)], "STORED behind the ACCEPT"),
        (vec![have(3, &[(0, 1)], DIGEST), some(0, 1, false)], "HAVE of what is not selected"),
        (vec![stored(3, 1), some(0, 1, false)], "STORED of what is not selected"),
    ] {
        let mut forger = offered(&files);
        for frame in frames {
            assert_eq!(forger.refused(), None, "{why}");
            forger.send(frame);
        }
        assert_eq!(forger.refused(), VIOLATION, "{why}");
    }
    let mut forger = offered(&files);
    let late = have(3, &[(0, 2)], DIGEST);
    for frame in [stored(0, 1), some(0, 1, true), late, some(3, 1, false)] {
        forger.send(frame);
    }
    assert_eq!(forger.refused(), None, "before the last ACCEPT");
}

/// RS-HAVE-BOUND
#[test]
fn claims_are_bounded() {
    let names: Vec<String> = (0..=MAX_OPEN_FILES_COUNT).map(|n| format!("{n:06}")).collect();
    let files: Vec<(&str, Vec<u8>)> = names.iter().map(|name| (name.as_str(), vec![1])).collect();
    let mut forger = offered(&files);
    let last = u32::try_from(MAX_OPEN_FILES_COUNT).unwrap();
    for file in 0..last {
        forger.send(have(file, &[(0, 1)], None));
    }
    assert_eq!(forger.refused(), None);
    forger.send(have(last, &[(0, 1)], None));
    assert_eq!(forger.refused(), Some(ErrorCode::LimitExceeded));
    // Ranges are counted over all HAVEs.
    let count = u32::try_from(MAX_CLAIMED_RANGES_COUNT / MAX_HAVE_RANGES_COUNT).unwrap();
    let mut forger = Forger::new(sized(count + 1, 1 << 40));
    forger.victim.offer(forger.now, forger.manifest.clone(), "").unwrap();
    forger.drain();
    let most: Vec<_> = (0..MAX_HAVE_RANGES_COUNT as u64).map(|place| (place * 2, 1)).collect();
    for file in 0..count {
        forger.send(have(file, &most, None));
    }
    assert_eq!(forger.refused(), None);
    forger.send(have(count, &most[..1], None));
    assert_eq!(forger.refused(), Some(ErrorCode::LimitExceeded));
}

/// RS-NOT-SENT, RS-COMPARE: what is there is not sent, and not called delivered
/// before it was read.
#[test]
fn what_is_there_is_compared_and_not_sent() {
    let bytes = content(CHUNK * 4 + 9, 1);
    let mut forger = offered(&[("a", bytes.clone())]);
    forger.send(have(0, &[(0, 5)], Some(digest(&bytes, &[0, 1, 2, 3, 4]))));
    forger.stalled = true;
    forger.send(all());
    assert!(!is_done(&forger) && end(&forger).is_none(), "nothing has been read");
    forger.stalled = false;
    forger.drain();
    assert_eq!((sent(&forger).len(), forger.disk.reads), (0, 5));
    assert_eq!(end(&forger).unwrap().root, root_in_chunks(&bytes, CHUNK));
    assert!(is_done(&forger));

    let mut forger = offered(&[("a", bytes.clone())]);
    forger.send(have(0, &[(1, 1), (3, 1)], Some(digest(&bytes, &[1, 3]))));
    forger.send(all());
    assert_eq!(sent(&forger), BTreeSet::from([0, 2, 4]));
    assert!(wanted(&forger).is_empty() && end(&forger).is_some());

    let mut forger = offered(&[("a", bytes.clone())]);
    forger.send(stored(0, 1));
    forger.send(all());
    assert_eq!((sent(&forger).len(), forger.disk.reads), (0, 5));
    assert_eq!(end(&forger).unwrap().root, root_in_chunks(&bytes, CHUNK));
}

/// RS-REPAIR, RS-COMPARE, RS-REPAIR-END: chunks that differ are sent, and only
/// they; FILE_END comes last, with the source's root.
#[test]
fn what_differs_is_asked_for_and_sent() {
    let bytes = content(CHUNK * 4, 1);
    let right = leaves_of(&bytes, CHUNK);
    let other = leaf_hash(b"other");
    for digest in [None, DIGEST, Some(digest(&bytes, &[0, 1]))] {
        let mut forger = offered(&[("a", bytes.clone())]);
        forger.send(have(0, &[(0, 2), (3, 1)], digest));
        forger.send(all());
        let asked: Vec<_> =
            wanted(&forger).iter().map(|asked| (asked.first, asked.count)).collect();
        assert_eq!(asked, [(0, 2)]);
        assert_eq!(sent(&forger), BTreeSet::from([2]), "what is missing");
        forger.send(leaves(0, &[right[0], other]));
        let asked: Vec<_> =
            wanted(&forger).iter().map(|asked| (asked.first, asked.count)).collect();
        assert_eq!(asked, [(0, 2), (3, 1)]);
        forger.send(leaves(3, &right[3..]));
        assert_eq!(sent(&forger), BTreeSet::from([1, 2]));
        forger.send(ack(2));
        assert!(end(&forger).is_none() && !is_done(&forger), "chunk 1 is not acknowledged");
        forger.send(ack(1));
        assert_eq!(end(&forger).unwrap().root, root_in_chunks(&bytes, CHUNK));
        assert!(is_done(&forger));
        assert_eq!(forger.refused(), None);
        assert_eq!(forger.count(|frame| matches!(frame, Frame::Data(_))), 2 * 4, "each once");
    }
}

/// RS-LEAVES, RS-COMPARE: leaves that were not asked for, and not as many; and a
/// receiver that tells the source's leaves has them believed, and not its digest.
#[test]
fn leaves_are_those_that_were_asked_for() {
    let bytes = content(CHUNK * 4, 1);
    let right = leaves_of(&bytes, CHUNK);
    let asked = || {
        let mut forger = offered(&[("a", bytes.clone())]);
        forger.send(have(0, &[(0, 4)], None));
        forger.send(all());
        assert_eq!(wanted(&forger).len(), 1);
        forger
    };
    for (told, why) in [
        (leaves(0, &right[..3]), "too few"),
        (leaves(0, &[&right[..], &right[..1]].concat()), "too many"),
        (leaves(1, &right), "from another place"),
        (leaves(u64::MAX, &right), "from the end of numbers"),
        (Leaves { file: FileIndex(1), ..leaves(0, &right) }, "of another file"),
    ] {
        let mut forger = asked();
        forger.send(told);
        assert_eq!(forger.refused(), VIOLATION, "{why}");
    }
    let mut forger = asked();
    forger.stalled = true;
    forger.send(leaves(0, &right));
    forger.send(leaves(0, &right));
    assert_eq!(forger.refused(), VIOLATION, "told twice");
    let mut forger = offered(&[("a", bytes.clone())]);
    forger.send(all());
    forger.send(leaves(0, &right));
    assert_eq!(forger.refused(), VIOLATION, "never asked for");
    let mut forger = asked();
    forger.send(leaves(0, &right));
    assert!(sent(&forger).is_empty());
    assert_eq!(end(&forger).unwrap().root, root_in_chunks(&bytes, CHUNK));
}

/// RS-LEAVES-BOUND
#[test]
fn leaves_are_asked_for_in_bounded_numbers() {
    const SMALL: usize = 16384;
    let bytes = vec![0; SMALL * (MAX_LEAVES_COUNT + 1)];
    let mut small = config();
    (small.chunk_log2, small.piece_log2) = (14, 12);
    let mut forger = Forger::with(small, manifest(&[("a", bytes.clone())]));
    forger.disk.source.insert(0, bytes);
    forger.victim.offer(forger.now, forger.manifest.clone(), "").unwrap();
    forger.drain();
    forger.send(have(0, &[(0, MAX_LEAVES_COUNT as u64 + 1)], None));
    forger.send(all());
    forger.send(leaves(0, &vec![leaf_hash(&[0; SMALL]); MAX_LEAVES_COUNT]));
    let asked: Vec<_> = wanted(&forger).iter().map(|asked| (asked.first, asked.count)).collect();
    let most = u32::try_from(MAX_LEAVES_COUNT).unwrap();
    assert_eq!(asked, [(0, most), (most.into(), 1)]);
}

/// RS-LEAVES-BOUND: of several files that differ, one is asked for after the other,
/// also if one is given up meanwhile.
#[test]
fn leaves_of_one_file_are_asked_for_at_a_time() {
    let bytes = content(CHUNK, 1);
    let right = leaves_of(&bytes, CHUNK);
    let files: Vec<_> = ["a", "b", "c"].iter().map(|name| (*name, bytes.clone())).collect();
    let of = |file: u32| Leaves { file: FileIndex(file), ..leaves(0, &right) };
    let asked =
        |forger: &Forger| -> Vec<_> { wanted(forger).iter().map(|wanted| wanted.file.0).collect() };
    let mut forger = offered(&files);
    for file in 0..3 {
        forger.send(have(file, &[(0, 1)], None));
    }
    forger.send(all());
    assert_eq!(asked(&forger), [0]);
    let code = ErrorCode::NameConflict.to_wire();
    for (file, now_asked) in [(1, &[0][..]), (0, &[0, 2])] {
        let text = String::new();
        forger.send(FileFailed { transfer: THEIRS, file: FileIndex(file), code, text });
        assert_eq!(asked(&forger), now_asked);
    }
    forger.send(of(2));
    assert!(is_done(&forger) && forger.refused().is_none());

    let mut forger = offered(&files[..2]);
    for file in 0..2 {
        forger.send(have(file, &[(0, 1)], None));
    }
    forger.send(all());
    forger.send(of(0));
    assert_eq!(asked(&forger), [0, 1]);
    let mut early = offered(&files[..2]);
    early.send(have(0, &[(0, 1)], None));
    early.send(have(1, &[(0, 1)], None));
    early.send(all());
    early.send(of(1));
    assert_eq!(early.refused(), VIOLATION, "of a file that was not asked for yet");
}

/// RS-TOKEN
#[test]
fn a_transfer_has_a_token_of_its_own_whenever_it_is_offered() {
    let files = [("a", vec![1])];
    let mut forger = offered(&files);
    let again = Token([7; 16]);
    let ids = [
        forger.victim.offer(forger.now, forger.manifest.clone(), "").unwrap(),
        forger.victim.offer_again(forger.now, forger.manifest.clone(), "", again).unwrap(),
    ];
    forger.drain();
    let of = |frame: &Frame| match frame {
        Frame::Offer(offer) => Some((offer.transfer, offer.token)),
        _ => None,
    };
    let told: Vec<_> = forger.got.iter().filter_map(|(frame, _)| of(frame)).collect();
    assert_eq!(told.len(), 3);
    assert_eq!(told[2], (ids[1], again), "offered as before");
    let tokens: BTreeSet<_> = told.iter().map(|(_, token)| token.0).collect();
    assert_eq!(tokens.len(), 3, "drawn for each");
    assert!(!tokens.contains(&[0; 16]));
    for (id, token) in told {
        assert_eq!(forger.victim.token(id), Some(token));
    }
}
