//! A receiver that goes on with a transfer, against a sender that breaks the rules
//! of chapter 13, and in what order it tells its journal and its peer.

#![allow(clippy::unwrap_used, clippy::panic)] // a test that fails says so

mod forger;
mod support;

use std::collections::BTreeSet;
use std::time::Duration;

use forger::{CHUNK, Forger, OURS, PIECE};
use passel_proto::codec;
use passel_proto::error::ErrorCode;
use passel_proto::frame::{ChunkRange, FileEnd, Frame, Have as HaveFrame, LeavesWanted};
use passel_proto::ids::FileIndex;
use passel_proto::limits::{MAX_CLAIMED_RANGES_COUNT, MAX_HAVE_RANGES_COUNT, MAX_OPEN_FILES_COUNT};
use passel_proto::storage::{Have, HaveState, StorageRequest};
use passel_proto::subtrees::Subtrees;
use passel_proto::tree::leaf_hash;
use support::{content, manifest, sized};

const VIOLATION: Option<ErrorCode> = Some(ErrorCode::ProtocolViolation);
/// How long a receiver may wait before it makes durable what was written.
const SYNC: Duration = Duration::from_millis(200);

fn chunk_of(bytes: &[u8], chunk: u64) -> &[u8] {
    bytes.chunks(CHUNK).nth(usize::try_from(chunk).unwrap()).unwrap()
}

/// Offers the same file over a new connection to a receiver with the same disk.
fn again(before: Forger, bytes: &[u8]) -> Forger {
    let mut forger = Forger::new(manifest(&[("a", bytes.to_vec())]));
    forger.disk = before.disk;
    forger.offer();
    let have: Vec<Have> = forger
        .disk
        .journal
        .iter()
        .map(|(&file, state)| Have {
            file: FileIndex(file),
            state: HaveState::Partial(state.clone()),
        })
        .collect();
    forger.victim.accept_having(forger.now, OURS, None, &have).unwrap();
    forger.drain();
    forger
}

/// A receiver that goes on with one file, of which it has `chunks`.
fn going_on(bytes: &[u8], chunks: &[u64]) -> Forger {
    let mut before = Forger::new(manifest(&[("a", bytes.to_vec())]));
    before.accepted();
    for &chunk in chunks {
        before.chunk(0, chunk, chunk_of(bytes, chunk), chunk_of(bytes, chunk));
    }
    before.wait(SYNC);
    again(before, bytes)
}

fn wanted(first: u64, count: u32) -> LeavesWanted {
    LeavesWanted { transfer: OURS, file: FileIndex(0), first, count }
}

fn told(forger: &Forger) -> Vec<(u64, Vec<[u8; 32]>)> {
    let of = |frame: &Frame| match frame {
        Frame::Leaves(leaves) => Some((leaves.first, leaves.leaves.clone())),
        _ => None,
    };
    forger.got.iter().filter_map(|(frame, _)| of(frame)).collect()
}

fn haves(forger: &Forger) -> Vec<HaveFrame> {
    let of = |frame: &Frame| match frame {
        Frame::Have(have) => Some(have.clone()),
        _ => None,
    };
    forger.got.iter().filter_map(|(frame, _)| of(frame)).collect()
}

/// Chunks of the first file that were acknowledged.
fn acked(forger: &Forger) -> BTreeSet<u64> {
    let ranges = forger.got.iter().filter_map(|(frame, _)| match frame {
        Frame::Ack(ack) => Some(ack.ranges.clone()),
        _ => None,
    });
    ranges.flatten().flat_map(|range| range.first..range.first + range.count).collect()
}

/// The chunks, with their subtrees' roots, that a state of the journal holds.
fn noted(state: &[u8]) -> (BTreeSet<u64>, Subtrees) {
    let (sure, parts): (u32, Vec<(u64, u8, [u8; 32])>) = codec::decode(state).unwrap();
    assert_eq!(sure, 0, "nothing is in doubt");
    let mut there = Subtrees::new(usize::MAX);
    for (first, level, hash) in parts {
        there.insert_subtree(passel_proto::subtrees::Subtree { first, level, hash }).unwrap();
    }
    (there.ranges().flatten().collect(), there)
}

/// RS-HAVE, RS-DIGEST, RS-NOT-SENT
#[test]
fn what_the_journal_holds_is_told_before_the_accept() {
    let bytes = content(CHUNK * 6 + 5, 1);
    let forger = going_on(&bytes, &[0, 1, 3, 6]);
    let mut there = Subtrees::new(usize::MAX);
    for chunk in [0, 1, 3, 6] {
        there.insert(chunk, leaf_hash(chunk_of(&bytes, chunk))).unwrap();
    }
    let range = |first, count| ChunkRange { first, count };
    let expected = HaveFrame {
        transfer: OURS,
        file: FileIndex(0),
        ranges: vec![range(0, 2), range(3, 1), range(6, 1)],
        digest: Some(there.digest()),
    };
    assert_eq!(haves(&forger), [expected]);
    let place = |pick: fn(&Frame) -> bool| forger.got.iter().position(|(frame, _)| pick(frame));
    let have = place(|frame| matches!(frame, Frame::Have(_)));
    assert!(have.is_some() && have < place(|frame| matches!(frame, Frame::Accept(_))));

    let mut forger = going_on(&bytes, &[0, 1]);
    forger.chunk(0, 2, chunk_of(&bytes, 2), chunk_of(&bytes, 2));
    assert_eq!(forger.refused(), None);
    forger.data(0, CHUNK as u64, None, &[0; PIECE]);
    assert_eq!(forger.refused(), VIOLATION, "a chunk that was named in HAVE");

    let mut forger = Forger::new(manifest(&[("a", bytes.clone())]));
    forger.offer();
    let stored = Have { file: FileIndex(0), state: HaveState::Stored };
    forger.victim.accept_having(forger.now, OURS, None, &[stored]).unwrap();
    forger.data(0, 0, None, &[0; PIECE]);
    assert_eq!(forger.refused(), VIOLATION, "a file that was named in STORED");
}

/// RS-JOURNAL: the journal says nothing of a chunk that is not written, and no
/// chunk is acknowledged that the journal does not hold.
#[test]
fn the_journal_comes_behind_the_bytes_and_before_the_acknowledgement() {
    let bytes = content(CHUNK * 40 + 7, 1);
    let mut forger = Forger::new(manifest(&[("a", bytes.clone())]));
    forger.accepted();
    forger.stalled = true;
    let (mut written, mut seen) = (BTreeSet::new(), 0);
    let places = (0..41u64).map(|n| n * 7 % 41).collect::<Vec<_>>();
    for (place, chunk) in places.into_iter().enumerate() {
        forger.chunk(0, chunk, chunk_of(&bytes, chunk), chunk_of(&bytes, chunk));
        forger.wait(SYNC);
        // Storage is slow, and answers now one request, now three.
        for _ in 0..=place % 3 {
            let Some(request) = forger.disk.next() else { break };
            match &request {
                StorageRequest::Write { offset, .. } => {
                    written.insert(offset / CHUNK as u64);
                }
                StorageRequest::Sync { journal, .. } => {
                    for entry in journal {
                        let (chunks, there) = noted(&entry.state);
                        assert!(chunks.is_subset(&written), "noted before it was written");
                        let mut right = Subtrees::new(usize::MAX);
                        for &chunk in &chunks {
                            right.insert(chunk, leaf_hash(chunk_of(&bytes, chunk))).unwrap();
                        }
                        assert_eq!(right, there);
                    }
                }
                _ => {}
            }
            let is_sync = matches!(request, StorageRequest::Sync { .. });
            let reply = forger.disk.carry_out(request, &forger.manifest);
            forger.victim.handle_storage(forger.now, reply).unwrap();
            let before = acked(&forger).len();
            forger.drain();
            let acked = acked(&forger);
            assert!(is_sync || acked.len() == before, "only a sync brings news");
            if let Some(state) = forger.disk.journal.get(&0) {
                assert!(acked.is_subset(&noted(state).0), "acknowledged and not noted");
            } else {
                assert!(acked.is_empty());
            }
            seen = acked.len();
        }
    }
    assert!(seen > 10, "{seen}");
}

/// RS-LEAVES: what storage holds now, and only for what was named, once, one
/// after the other, before the file's end.
#[test]
fn leaves_are_told_once_of_what_was_named() {
    let bytes = content(CHUNK * 6, 1);
    let begun = || going_on(&bytes, &[0, 1, 2, 3]);
    let leaf = |chunk| leaf_hash(chunk_of(&bytes, chunk));
    let mut forger = begun();
    forger.disk.parts.get_mut(&0).unwrap()[CHUNK] ^= 1;
    forger.send(wanted(0, 2));
    forger.send(wanted(3, 1));
    let mut altered = chunk_of(&bytes, 1).to_vec();
    altered[0] ^= 1;
    assert_eq!(told(&forger), [(0, vec![leaf(0), leaf_hash(&altered)]), (3, vec![leaf(3)])]);
    assert_eq!(forger.refused(), None);

    for (asked, why) in [
        (&[wanted(4, 1)][..], "not named"),
        (&[wanted(3, 2)], "partly not named"),
        (&[wanted(1 << 40, 1)], "far beyond the end"),
        (&[wanted(u64::MAX - 1, 1)], "at the end of numbers"),
        (&[wanted(0, 2), wanted(0, 2)], "asked for before"),
        (&[wanted(0, 2), wanted(1, 2)], "partly asked for before"),
        (&[LeavesWanted { file: FileIndex(1), ..wanted(0, 1) }], "of no entry"),
    ] {
        let mut forger = begun();
        for (place, asked) in asked.iter().enumerate() {
            assert_eq!(forger.refused(), None, "{why}");
            forger.send(*asked);
            assert!(told(&forger).len() <= place + 1);
        }
        assert_eq!(forger.refused(), VIOLATION, "{why}");
    }
    let mut forger = begun();
    forger.stalled = true;
    forger.send(wanted(0, 1));
    assert_eq!(forger.refused(), None);
    forger.send(wanted(1, 1));
    assert_eq!(forger.refused(), VIOLATION, "another is unanswered");

    let mut forger = begun();
    forger.end(0, &bytes);
    forger.send(wanted(0, 1));
    assert_eq!(forger.refused(), VIOLATION, "behind FILE_END");

    let mut forger = Forger::new(manifest(&[("a", bytes.clone())]));
    forger.accepted();
    forger.chunk(0, 0, chunk_of(&bytes, 0), chunk_of(&bytes, 0));
    forger.wait(SYNC);
    forger.send(wanted(0, 1));
    assert_eq!(forger.refused(), VIOLATION, "came over this connection");
}

/// RS-REPAIR-JOURNAL: the doubt is durable before the first leaf is told, and
/// stays.
#[test]
fn a_doubt_is_noted_before_leaves_are_told() {
    let bytes = content(CHUNK * 6, 1);
    let mut forger = going_on(&bytes, &[0, 1, 2, 3]);
    let sure = forger.disk.journal[&0].clone();
    forger.stalled = true;
    forger.send(wanted(0, 2));
    let request = forger.disk.next().unwrap();
    let StorageRequest::Sync { journal, .. } = &request else { panic!("{request:?}") };
    let entry = journal.first().unwrap();
    assert!(entry.file == FileIndex(0) && entry.state != sure);
    assert!(forger.disk.next().is_none(), "nothing is read before that is durable");
    let reply = forger.disk.carry_out(request, &forger.manifest);
    forger.victim.handle_storage(forger.now, reply).unwrap();
    assert!(told(&forger).is_empty());
    forger.stalled = false;
    forger.drain();
    assert_eq!(told(&forger).len(), 1);

    let forger = again(forger, &bytes);
    let [have] = &haves(&forger)[..] else { panic!("one HAVE") };
    assert_eq!((&have.ranges[..], have.digest), (&[ChunkRange { first: 0, count: 4 }][..], None));
    // Chunks that come now leave the doubt.
    let mut forger = forger;
    forger.chunk(0, 4, chunk_of(&bytes, 4), chunk_of(&bytes, 4));
    forger.wait(SYNC);
    let forger = again(forger, &bytes);
    let [have] = &haves(&forger)[..] else { panic!("one HAVE") };
    assert_eq!((have.ranges[0].count, have.digest), (5, None));
}

/// RS-REPAIR-TAKEN
#[test]
fn a_chunk_whose_leaf_was_told_comes_again_once() {
    let old = content(CHUNK * 4, 1);
    let new = content(CHUNK * 4, 2);
    let begun = || {
        let mut forger = going_on(&old, &[0, 1, 2, 3]);
        forger.send(wanted(0, 2));
        forger
    };
    let send = |forger: &mut Forger, chunk| {
        forger.chunk(0, chunk, chunk_of(&new, chunk), chunk_of(&new, chunk));
    };
    let mut forger = begun();
    send(&mut forger, 1);
    forger.wait(SYNC);
    assert_eq!((forger.refused(), acked(&forger)), (None, BTreeSet::from([1])));
    assert_eq!(forger.disk.parts[&0][CHUNK..CHUNK * 2], new[CHUNK..CHUNK * 2]);
    send(&mut forger, 1);
    assert_eq!(forger.refused(), VIOLATION, "twice");
    let mut forger = begun();
    send(&mut forger, 2);
    assert_eq!(forger.refused(), VIOLATION, "its leaf was not told");
    let mut forger = begun();
    forger.stalled = true; // the file is not settled meanwhile
    forger.end(0, &old);
    assert_eq!(forger.refused(), None);
    send(&mut forger, 0);
    assert_eq!(forger.refused(), VIOLATION, "behind FILE_END");
}

/// RS-REPAIR-END: an end that comes early is refused, and the root is that of what
/// storage holds.
#[test]
fn a_repaired_file_ends_when_all_is_acknowledged() {
    let old = content(CHUNK * 4, 1);
    let mut new = old.clone();
    new[CHUNK] ^= 1;
    let begun = |chunks: &[u64]| {
        let mut forger = going_on(&old, chunks);
        forger.send(wanted(0, 2));
        forger
    };
    let all = [0, 1, 2, 3];
    let repair = |forger: &mut Forger| {
        forger.chunk(0, 1, chunk_of(&new, 1), chunk_of(&new, 1));
    };
    let mut forger = begun(&all[..3]);
    forger.end(0, &old);
    assert_eq!(forger.refused(), VIOLATION, "the last chunk has not come");
    for stalled in [true, false] {
        let mut forger = begun(&all);
        forger.stalled = stalled;
        repair(&mut forger);
        assert!(acked(&forger).is_empty());
        forger.end(0, &new);
        assert_eq!(forger.refused(), VIOLATION, "written at most, and not durable");
    }
    let mut forger = begun(&all);
    repair(&mut forger);
    forger.wait(SYNC);
    forger.end(0, &new);
    assert_eq!((forger.refused(), forger.failed()), (None, vec![]));
    assert!(forger.disk.committed[&0] == new);

    let mut forger = begun(&all);
    repair(&mut forger);
    forger.wait(SYNC);
    forger.disk.parts.get_mut(&0).unwrap()[0] ^= 1;
    forger.end(0, &new);
    assert_eq!(forger.failed(), [(0, ErrorCode::HashMismatch)]);
    assert!(forger.disk.committed.is_empty());

    let mut forger = begun(&all);
    let size = new.len() as u64;
    forger.send(FileEnd { transfer: OURS, file: FileIndex(0), size, root: [7; 32] });
    assert_eq!(forger.failed(), [(0, ErrorCode::HashMismatch)]);
}

/// RS-HAVE-BOUND: what is over the bound is sent again.
#[test]
fn files_that_are_told_of_are_bounded() {
    let names: Vec<String> = (0..=MAX_OPEN_FILES_COUNT).map(|n| format!("{n:06}")).collect();
    let files: Vec<(&str, Vec<u8>)> =
        names.iter().map(|name| (name.as_str(), vec![1; CHUNK + 1])).collect();
    let mut forger = Forger::new(manifest(&files));
    forger.send(forger.offer_frame());
    let mut first = 0;
    while let Some(page) = forger.manifest.page(first, 40_000) {
        let frame = passel_proto::frame::ManifestPage {
            transfer: OURS,
            first,
            count: page.count,
            entries: page.bytes,
        };
        first += page.count;
        forger.send(frame);
    }
    let leaf = leaf_hash(&[1; CHUNK]);
    let state = codec::encode(&(0u32, vec![(0u64, 0u8, leaf)])).unwrap();
    let have: Vec<Have> = (0..first)
        .map(|file| Have { file: FileIndex(file), state: HaveState::Partial(state.clone()) })
        .collect();
    forger.victim.accept_having(forger.now, OURS, None, &have).unwrap();
    forger.drain();
    let count = haves(&forger).len();
    assert!(count > 1000 && count <= MAX_OPEN_FILES_COUNT, "{count}");
}

/// RS-HAVE-BOUND: ranges are bounded for each file, and over all of them.
#[test]
fn ranges_that_are_told_of_are_bounded() {
    let full = u32::try_from(MAX_CLAIMED_RANGES_COUNT / MAX_HAVE_RANGES_COUNT).unwrap();
    let mut forger = Forger::new(sized(full + 2, 1 << 40));
    forger.offer();
    let state = |count: u64| {
        let ranges: Vec<(u64, u64)> = (0..count).map(|place| (place * 2, 1)).collect();
        codec::encode(&(1u32, ranges)).unwrap()
    };
    // One file has more than may be told, and one has a single range.
    let mut have: Vec<Have> = (0..full + 2)
        .map(|file| Have {
            file: FileIndex(file),
            state: HaveState::Partial(state(MAX_HAVE_RANGES_COUNT as u64 + 9)),
        })
        .collect();
    have[0].state = HaveState::Partial(state(1));
    forger.victim.accept_having(forger.now, OURS, None, &have).unwrap();
    forger.drain();
    let counts: Vec<usize> = haves(&forger).iter().map(|have| have.ranges.len()).collect();
    assert_eq!(counts.iter().sum::<usize>(), MAX_CLAIMED_RANGES_COUNT);
    assert_eq!(counts.iter().max(), Some(&MAX_HAVE_RANGES_COUNT));
    assert_eq!((counts[0], counts.len()), (1, full as usize + 1));
}

/// RS-SAME-ENTRY: a file is known again by its entry, wherever that stands, and a
/// stream never is.
#[test]
fn a_file_is_known_again_by_all_of_its_entry() {
    let digest =
        |files: &[(&str, Vec<u8>)], place| manifest(files).entry_digest(FileIndex(place)).unwrap();
    let one = digest(&[("b", vec![1])], 0);
    assert_eq!(digest(&[("a", vec![]), ("b", vec![2])], 1), one);
    for (other, why) in [
        (digest(&[("c", vec![1])], 0), "the name"),
        (digest(&[("b", vec![1, 1])], 0), "the size"),
        (digest(&[("b|", vec![1])], 0), "a stream"),
        (digest(&[("b/", vec![])], 0), "a directory"),
    ] {
        assert_ne!(other, one, "{why}");
    }
    let state = codec::encode(&(0u32, vec![(0u64, 0u8, [7u8; 32])])).unwrap();
    for state in [HaveState::Partial(state), HaveState::Stored] {
        let mut forger = Forger::new(manifest(&[("a|", content(CHUNK * 2, 1))]));
        forger.offer();
        let have = Have { file: FileIndex(0), state };
        forger.victim.accept_having(forger.now, OURS, None, &[have]).unwrap();
        forger.drain();
        assert_eq!(forger.count(|frame| matches!(frame, Frame::Have(_) | Frame::Stored(_))), 0);
        assert_eq!(forger.count(|frame| matches!(frame, Frame::Accept(_))), 1);
    }
}
