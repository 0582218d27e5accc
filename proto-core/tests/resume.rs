//! A transfer that goes on over another connection: what is there is not sent
//! again, what differs is found and sent, and both sides agree on the end
//! (`spec/13-resume.md`).

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)] // a test that fails says so

mod support;

use std::collections::BTreeMap;
use std::time::Duration;

use passel_proto::connection::{Completion, Event, Progress};
use passel_proto::error::{Error, ErrorCode};
use passel_proto::ids::{Channel, FileIndex, Token, TransferId};
use passel_proto::storage::{Have, HaveState, StorageErrorKind, WrittenChunk};

use support::{Fault, Pair, config, content};

const CHUNK: usize = 65_536;

/// Everything that a receiver's journal gives back.
fn have(pair: &Pair) -> Vec<Have> {
    let disk = &pair.receiver.disk;
    let partial = disk.journal.iter().map(|(&file, state)| Have {
        file: FileIndex(file),
        state: HaveState::Partial(state.clone()),
    });
    let stored =
        disk.stored.keys().map(|&file| Have { file: FileIndex(file), state: HaveState::Stored });
    partial.chain(stored).collect()
}

/// Cuts the connection, and connects the same two disks anew.
fn reconnect(pair: &mut Pair, seed: u64) {
    for side in [&mut pair.sender, &mut pair.receiver] {
        side.connection.handle_transport_closed(None);
        while side.connection.poll_event().is_some() {}
        side.disk.waiting.clear();
        while let Some(request) = side.connection.poll_storage() {
            side.disk.carry_out(request, pair.manifest.as_ref().unwrap());
        }
        side.events.clear();
        side.inbox.clear();
        side.sent.clear();
        side.disk.unsynced.clear();
    }
    let fresh = Pair::with(seed, config(), config());
    pair.sender.connection = fresh.sender.connection;
    pair.receiver.connection = fresh.receiver.connection;
    pair.now = fresh.now;
    pair.run();
}

/// Offers the same transfer again, and goes on with what the journal has.
fn go_on(pair: &mut Pair, token: Token) -> TransferId {
    let manifest = pair.manifest.clone().unwrap();
    let id = pair.sender.connection.offer_again(pair.now, manifest, "", token).unwrap();
    pair.run();
    assert_eq!(pair.receiver.connection.token(id), Some(token));
    let have = have(pair);
    pair.receiver.connection.accept_having(pair.now, id, None, &have).unwrap();
    id
}

/// One step that takes its time, so that what is written is soon made durable.
fn slow_step(pair: &mut Pair) {
    pair.step();
    pair.now += Duration::from_millis(100);
    pair.sender.connection.handle_timeout(pair.now);
    pair.receiver.connection.handle_timeout(pair.now);
}

/// A transfer that is cut once `done` says so; its token.
fn begin(pair: &mut Pair, files: &[(&str, Vec<u8>)], done: impl Fn(Progress) -> bool) -> Token {
    let id = pair.offer(files);
    pair.run();
    pair.receiver.connection.accept(pair.now, id, None).unwrap();
    let token = pair.sender.connection.token(id).unwrap();
    for _ in 0..100_000 {
        let before = pair.receiver.connection.progress(id).unwrap();
        if done(before) {
            return token;
        }
        slow_step(pair);
    }
    panic!("the transfer never came so far");
}

fn completion(pair: &Pair) -> Completion {
    let of = |events: &[Event]| {
        events.iter().find_map(|event| match event {
            Event::Completed { completion, .. } => Some(*completion),
            _ => None,
        })
    };
    let (one, other) = (of(&pair.sender.events), of(&pair.receiver.events));
    assert_eq!(one, other, "{:?} {:?}", pair.sender.error(), pair.receiver.error());
    one.unwrap()
}

fn arrived(pair: &Pair, files: &[(&str, Vec<u8>)]) {
    for (place, (name, content)) in files.iter().enumerate() {
        let there = pair.receiver.disk.committed.get(&u32::try_from(place).unwrap());
        assert!(name.ends_with('/') || there == Some(content), "{name}");
    }
}

/// Bytes of DATA that the sender sealed since the last connection began.
fn sent(pair: &Pair) -> usize {
    let data = pair.sender.sent.iter().filter(|(channel, _)| *channel == Channel::File);
    data.map(|(_, record)| record.len()).sum()
}

/// RS-HAVE, RS-NOT-SENT, RS-JOURNAL: of 20 MB, what was durable is not sent again,
/// wherever the cut comes.
#[test]
fn what_is_durable_is_not_sent_again() {
    let files = [("a", content(CHUNK * 150 + 77, 1)), ("b", content(CHUNK * 150, 2))];
    let all = files.iter().map(|(_, content)| content.len()).sum::<usize>();
    for part in [0, 1, 30, 50, 70, 99] {
        let mut pair = Pair::established(part as u64);
        pair.shuffle = part % 2 == 0;
        let least = (all * part / 100) as u64;
        let token = begin(&mut pair, &files, |progress| progress.bytes_durable >= least);
        reconnect(&mut pair, 100 + part as u64);
        pair.record = true;
        let id = go_on(&mut pair, token);
        let resumed = pair.receiver.connection.progress(id).unwrap().bytes_resumed;
        assert!(resumed >= least, "{resumed} of {least}");
        pair.finish();
        assert_eq!(completion(&pair).delivered, 2);
        arrived(&pair, &files);
        let rest = all - usize::try_from(resumed).unwrap();
        assert!(sent(&pair) < rest + rest / 50 + 4096, "{} for {rest}", sent(&pair));
    }
}

/// Everything that was written, be it in the journal or not.
fn have_written(pair: &Pair) -> Vec<Have> {
    let disk = &pair.receiver.disk;
    let of_file = |&file: &u32| {
        let of_it = disk.leaves.range((file, 0)..=(file, u64::MAX));
        let chunk = |(&(_, offset), &(len, leaf))| WrittenChunk { offset, len, leaf };
        let state = disk.journal.get(&file).cloned().unwrap_or_default();
        let state = HaveState::Written { state, chunks: of_it.map(chunk).collect() };
        Have { file: FileIndex(file), state }
    };
    disk.parts.keys().map(of_file).collect()
}

/// RS-WRITTEN: what was written and not made durable is not sent again; it is
/// durable and noted before its file gets its name, and is never acknowledged.
#[test]
fn what_was_written_is_not_sent_again_and_is_synced_first() {
    let files = [("a", content(CHUNK * 60 + 77, 1)), ("b", content(CHUNK * 20, 2))];
    for all_is_there in [false, true] {
        let mut pair = Pair::established(5);
        pair.shuffle = true;
        let id = pair.offer(&files);
        pair.run();
        pair.receiver.connection.accept(pair.now, id, None).unwrap();
        let token = pair.sender.connection.token(id).unwrap();
        // Time stands still, so nothing is made durable; and so nothing would end.
        let most = if all_is_there { 81 } else { 50 };
        while pair.receiver.disk.writes < most {
            pair.step();
            let is_durable = pair.receiver.connection.progress(id).unwrap().bytes_durable > 0;
            assert!(!is_durable || all_is_there);
            if is_durable {
                break;
            }
        }
        assert!(pair.receiver.disk.committed.is_empty());
        reconnect(&mut pair, 9);
        pair.receiver.disk.journal.clear(); // as if no sync had been done in time
        let there: BTreeMap<u32, u64> = pair.receiver.disk.leaves.iter().fold(
            BTreeMap::new(),
            |mut sum, (&(file, _), &(len, _))| {
                *sum.entry(file).or_default() += u64::from(len);
                sum
            },
        );
        // The executor may lose it until the next sync, and must not be asked to commit.
        pair.receiver.disk.unsynced = there.clone();
        let resumed: u64 = there.values().sum();
        assert!(resumed > 0);
        pair.record = true;
        let manifest = pair.manifest.clone().unwrap();
        let id = pair.sender.connection.offer_again(pair.now, manifest, "", token).unwrap();
        pair.run();
        let have = have_written(&pair);
        pair.receiver.connection.accept_having(pair.now, id, None, &have).unwrap();
        let progress = pair.receiver.connection.progress(id).unwrap();
        assert_eq!((progress.bytes_resumed, progress.bytes_durable), (resumed, 0));
        pair.finish();
        assert_eq!(completion(&pair).delivered, 2);
        arrived(&pair, &files);
        let all = files.iter().map(|(_, content)| content.len()).sum::<usize>();
        let rest = all - usize::try_from(resumed).unwrap();
        assert!(sent(&pair) < rest + rest / 50 + 4096, "{} for {rest}", sent(&pair));
    }
}

/// RS-WRITTEN, RS-HAVE-BOUND: what is no chunk of the file, or of no use, is ignored.
#[test]
fn written_chunks_that_cannot_be_are_ignored() {
    let files = [("a", content(CHUNK * 3 + 77, 1))];
    let mut pair = Pair::established(6);
    let id = pair.offer(&files);
    pair.run();
    let chunk = |offset: u64, len: usize| {
        let len = u32::try_from(len).unwrap();
        WrittenChunk { offset, len, leaf: [1; 32] }
    };
    let chunks = vec![
        chunk(1, CHUNK),
        chunk(0, CHUNK - 1),
        chunk(CHUNK as u64 * 3, CHUNK),
        chunk(CHUNK as u64 * 4, 77),
        chunk(u64::MAX, 1),
    ];
    let state = HaveState::Written { state: vec![9; 7], chunks };
    let have = [Have { file: FileIndex(0), state }];
    pair.receiver.connection.accept_having(pair.now, id, None, &have).unwrap();
    assert_eq!(pair.receiver.connection.progress(id).unwrap().bytes_resumed, 0);
    pair.finish();
    arrived(&pair, &files);
}

/// RS-DATA-FIRST: the first byte that is missing is under way before any chunk
/// that is there has been read.
#[test]
fn data_flows_before_what_is_there_is_read() {
    let files = [("a", content(CHUNK * 300, 1))];
    let mut pair = Pair::established(1);
    let token = begin(&mut pair, &files, |progress| progress.bytes_durable > 10_000_000);
    reconnect(&mut pair, 2);
    let id = go_on(&mut pair, token);
    let resumed = pair.receiver.connection.progress(id).unwrap().bytes_resumed;
    pair.sender.disk.read_offsets.clear();
    pair.finish();
    let is_there: Vec<bool> =
        pair.sender.disk.read_offsets.iter().map(|&offset| offset < resumed).collect();
    assert!(is_there.contains(&true) && is_there.contains(&false));
    assert!(is_there.is_sorted(), "what is missing comes first");
    arrived(&pair, &files);
}

/// RS-STORED, RS-STORED-CHECK, RS-COMPLETE-AGAIN: a receipt that was lost is given
/// again, and nothing is sent or stored twice.
#[test]
fn a_lost_receipt_is_given_again() {
    let files = [("a", content(CHUNK * 3, 1)), ("b", vec![]), ("c/", vec![]), ("c/d", vec![1])];
    let mut pair = Pair::established(3);
    let id = pair.offer(&files);
    pair.run();
    pair.receiver.connection.accept(pair.now, id, None).unwrap();
    let token = pair.sender.connection.token(id).unwrap();
    // The receiver ends, and nothing that it says of it arrives.
    while !pair.sender.events.iter().any(|event| matches!(event, Event::Accepted { .. })) {
        pair.step();
    }
    pair.meddle = Some(Box::new(|from, _, _| from == "sender"));
    pair.run_until(Duration::from_secs(1), |pair| pair.receiver.ended().is_some());
    assert!(pair.sender.ended().is_none());
    assert_eq!(pair.receiver.disk.released, Some(true), "the journal stays");
    pair.meddle = None;
    reconnect(&mut pair, 4);
    pair.record = true;
    pair.receiver.disk.directories.clear();
    go_on(&mut pair, token);
    pair.finish();
    assert_eq!(completion(&pair).delivered, 3);
    assert!(sent(&pair) < 600, "three ends of files: {}", sent(&pair));
    arrived(&pair, &files);
}

/// RS-STORED-CHECK: a file that was stored and is another one now, though its
/// entry is the same, fails; what is stored stays.
#[test]
fn a_stored_file_that_is_another_now_fails() {
    let files = [("a", content(CHUNK, 1)), ("b", content(CHUNK * 700, 2))];
    let mut pair = Pair::established(5);
    let token = begin(&mut pair, &files, |progress| progress.files_done == 1);
    reconnect(&mut pair, 6);
    pair.sender.disk.source.insert(0, content(CHUNK, 9));
    go_on(&mut pair, token);
    pair.finish();
    assert_eq!((completion(&pair).delivered, completion(&pair).failed), (1, 1));
    assert_eq!(pair.receiver.failed_files(), [(FileIndex(0), ErrorCode::SourceChanged)]);
    assert_eq!(pair.receiver.disk.committed[&0], files[0].1);
}

/// RS-REPAIR, RS-LEAVES, RS-REPAIR-END: the source was changed in some places
/// within what the receiver has: these are sent, and no more.
#[test]
fn chunks_that_differ_are_found_and_sent() {
    let old = content(CHUNK * 200 + 5, 1);
    let files = [("a", old.clone())];
    for (seed, places) in [(7, vec![3]), (8, vec![0, 1, 50, 199]), (9, vec![150])] {
        let mut pair = Pair::established(seed);
        let token = begin(&mut pair, &files, |progress| progress.bytes_durable > 11_000_000);
        let mut new = old.clone();
        for place in &places {
            new[place * CHUNK + 9] ^= 1;
        }
        reconnect(&mut pair, seed + 100);
        pair.record = true;
        pair.shuffle = true;
        pair.sender.disk.source.insert(0, new.clone());
        let id = go_on(&mut pair, token);
        let resumed = pair.receiver.connection.progress(id).unwrap().bytes_resumed;
        pair.finish();
        assert_eq!(completion(&pair).delivered, 1, "{:?}", pair.receiver.failed_files());
        assert!(pair.receiver.disk.committed[&0] == new);
        let rest = new.len() - usize::try_from(resumed).unwrap() + places.len() * CHUNK;
        assert!(sent(&pair) < rest + rest / 50 + 4096, "{} for {rest}", sent(&pair));
    }
}

/// TR-FAILED-CODE: the peer is not told that its source is at fault when the receiver
/// cannot read back what it stored.
#[test]
fn what_cannot_be_read_back_is_a_failure_of_the_receivers_storage() {
    for kind in [StorageErrorKind::Unreadable, StorageErrorKind::Changed, StorageErrorKind::Other] {
        let files = [("a", content(CHUNK * 200, 1)), ("b", content(CHUNK * 600, 2))];
        let mut pair = Pair::established(12);
        let token = begin(&mut pair, &files, |progress| progress.bytes_durable > 10_000_000);
        reconnect(&mut pair, 13);
        // It asks for leaves, for which the receiver reads back what it has.
        pair.sender.disk.source.get_mut(&0).unwrap()[0] ^= 1;
        let next = pair.receiver.disk.reads;
        pair.receiver.disk.faults.push(Fault::Read(next, kind));
        go_on(&mut pair, token);
        pair.finish();
        let expected = [(FileIndex(0), ErrorCode::StorageFailed)];
        assert_eq!(pair.receiver.failed_files(), expected, "{kind:?}");
        assert_eq!(pair.sender.failed_files(), expected, "{kind:?}");
        assert_eq!((completion(&pair).delivered, completion(&pair).failed), (1, 1));
    }
}

/// RS-REPAIR-JOURNAL, RS-LEAVES: bytes that the receiver's storage lost after it
/// had noted them are found by a second cut in the middle of a repair too.
#[test]
fn a_repair_that_is_cut_is_taken_up_again() {
    let old = content(CHUNK * 200, 1);
    let mut new = old.clone();
    for place in 0..120 {
        new[place * CHUNK] ^= 1;
    }
    let mut pair = Pair::established(10);
    let token = begin(&mut pair, &[("a", old)], |progress| progress.bytes_durable > 10_000_000);
    reconnect(&mut pair, 11);
    pair.sender.disk.source.insert(0, new.clone());
    go_on(&mut pair, token);
    let writes = pair.receiver.disk.writes;
    // Some of the chunks that differ are there by now, and some are not.
    while pair.receiver.disk.writes < writes + 100 {
        assert!(pair.receiver.ended().is_none(), "{:?}", pair.receiver.events);
        slow_step(&mut pair);
    }
    reconnect(&mut pair, 12);
    go_on(&mut pair, token);
    pair.finish();
    assert_eq!(completion(&pair).delivered, 1);
    assert!(pair.receiver.disk.committed[&0] == new);
}

/// RS-KEEP, RS-KEEP-FULL, RS-FORGET: what is kept, and what is not.
#[test]
fn what_ends_a_transfer_decides_whether_it_is_kept() {
    let files = [("a", content(CHUNK * 100, 1))];
    let begun = |seed| {
        let mut pair = Pair::established(seed);
        begin(&mut pair, &files, |progress| progress.bytes_durable > 1_000_000);
        pair
    };
    let kept = |pair: &Pair| {
        pair.receiver.events.iter().find_map(|event| match event {
            Event::Ended { kept, .. } => Some(*kept),
            _ => None,
        })
    };
    let cancelled =
        || Error::new(passel_proto::error::Blame::Circumstance, ErrorCode::Cancelled, "no");

    let mut pair = begun(20);
    pair.receiver.connection.handle_transport_closed(None);
    pair.run();
    assert_eq!((kept(&pair), pair.receiver.disk.released), (Some(true), Some(false)));

    let mut pair = begun(21);
    pair.sender.connection.close(pair.now, None);
    pair.run();
    assert_eq!((kept(&pair), pair.receiver.disk.discarded), (Some(false), true));

    for by_receiver in [true, false] {
        let mut pair = begun(22);
        let (now, id) = (pair.now, TransferId(1));
        let side = if by_receiver { &mut pair.receiver } else { &mut pair.sender };
        side.connection.cancel(now, id, cancelled()).unwrap();
        pair.run();
        assert_eq!((kept(&pair), pair.receiver.disk.discarded), (Some(false), true));
    }

    let mut pair = begun(23);
    let next = pair.receiver.disk.writes + 3;
    pair.receiver.disk.faults = vec![Fault::Write(next, StorageErrorKind::NoSpace)];
    pair.finish();
    assert_eq!((kept(&pair), pair.receiver.disk.released), (Some(true), Some(false)));
    assert!(!pair.receiver.disk.parts.is_empty() && !pair.receiver.disk.journal.is_empty());
    let of_sender =
        pair.sender.events.iter().any(|event| matches!(event, Event::Ended { kept: true, .. }));
    assert!(of_sender, "the sender knows that it may go on");
}

/// RS-KEEP-FULL: the disk fills at one place after the other; each time the
/// transfer goes on.
#[test]
fn a_disk_that_fills_loses_nothing() {
    let files = [("a", content(CHUNK * 100, 1)), ("b", content(CHUNK * 30, 2))];
    let mut pair = Pair::established(30);
    let id = pair.offer(&files);
    let token = pair.sender.connection.token(id).unwrap();
    pair.run();
    pair.receiver.connection.accept(pair.now, id, None).unwrap();
    for fill in [1, 40, 5, 60] {
        let next = pair.receiver.disk.writes + fill;
        pair.receiver.disk.faults = vec![Fault::Write(next, StorageErrorKind::NoSpace)];
        let durable = pair.receiver.disk.journal.clone();
        pair.finish();
        assert_eq!(pair.sender.error().unwrap().code, ErrorCode::NoSpace);
        assert_eq!(pair.receiver.error().unwrap().code, ErrorCode::NoSpace);
        assert!(pair.receiver.disk.journal.len() >= durable.len());
        pair.receiver.disk.faults.clear();
        reconnect(&mut pair, 31 + fill as u64);
        go_on(&mut pair, token);
    }
    pair.finish();
    assert_eq!(completion(&pair).delivered, 2);
    arrived(&pair, &files);
    assert!(pair.receiver.disk.writes <= 130 + 4 * 64, "{}", pair.receiver.disk.writes);
}
