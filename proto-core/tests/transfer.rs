//! Whole transfers between two connections: what must arrive, and how failures
//! of one file, of a disk or of a person end.

#![allow(clippy::unwrap_used, clippy::panic)] // a test that fails says so

mod support;

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use passel_proto::connection::{Event, Progress};
use passel_proto::error::{Blame, Error, ErrorCode};
use passel_proto::frame::EntryRange;
use passel_proto::ids::{Channel, FileIndex, TransferId};
use passel_proto::storage::StorageErrorKind;
use support::{Fault, Pair, content, manifest};

const CHUNK: usize = 65536;

fn completion(pair: &Pair) -> [passel_proto::connection::Completion; 2] {
    [&pair.sender, &pair.receiver].map(|side| match side.ended() {
        Some(Event::Completed { completion, .. }) => *completion,
        other => panic!("not completed: {other:?}"),
    })
}

fn assert_arrived(pair: &Pair, files: &[(&str, Vec<u8>)]) {
    for (place, (path, content)) in files.iter().enumerate() {
        let place = u32::try_from(place).unwrap();
        if path.ends_with('/') {
            assert!(pair.receiver.disk.directories.contains(&place), "{path}");
        } else {
            assert!(pair.receiver.disk.committed.get(&place) == Some(content), "{path} differs");
        }
    }
}

#[test]
fn files_of_every_awkward_size_arrive() {
    let sizes =
        [0, 1, 1024, 16383, 16384, 16385, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK + 17, 5_000_000];
    let names: Vec<String> = (0..sizes.len()).map(|n| format!("file{n:02}")).collect();
    let files: Vec<(&str, Vec<u8>)> = names
        .iter()
        .zip(sizes)
        .map(|(name, size)| (name.as_str(), content(size, size as u64)))
        .collect();
    for shuffle in [false, true] {
        let mut pair = Pair::established(1);
        pair.shuffle = shuffle;
        pair.transfer(&files);
        assert_arrived(&pair, &files);
        let [sender, receiver] = completion(&pair);
        assert_eq!(sender, receiver, "both sides agree");
        assert_eq!(sender.delivered as usize, files.len());
        assert_eq!(sender.bytes, sizes.iter().sum::<usize>() as u64);
        assert!(pair.receiver.disk.parts.is_empty());
        assert_eq!(pair.receiver.disk.released, Some(true));
    }
}

#[test]
fn directories_come_with_their_content_and_are_finished_deepest_first() {
    let files = [
        ("album/", vec![]),
        ("album/empty/", vec![]),
        ("album/one.jpg", content(70_000, 1)),
        ("album/sub/", vec![]),
        ("album/sub/two.jpg", content(10, 2)),
    ];
    let mut pair = Pair::established(2);
    pair.transfer(&files);
    assert_arrived(&pair, &files);
    assert_eq!(pair.receiver.disk.directories, [3, 1, 0]);
}

#[test]
fn thousands_of_small_files_need_no_round_trip_each() {
    let names: Vec<String> = (0..3000).map(|n| format!("{n:05}")).collect();
    let files: Vec<(&str, Vec<u8>)> =
        names.iter().map(|name| (name.as_str(), content(name.len() * 13, 3))).collect();
    let mut pair = Pair::established(3);
    let start = pair.now;
    pair.transfer(&files);
    assert_arrived(&pair, &files);
    assert!(pair.now - start < Duration::from_secs(3), "took {:?}", pair.now - start);
    assert!(pair.receiver.disk.syncs < 40, "{} syncs", pair.receiver.disk.syncs);
}

/// TR-SELECTION-ONLY: nothing outside the selection is sent or written.
#[test]
fn only_what_is_selected_is_sent() {
    let files =
        [("a", content(10, 1)), ("b", content(CHUNK * 2, 2)), ("c", content(20, 3)), ("d", vec![])];
    let mut pair = Pair::established(4);
    let id = pair.offer(&files);
    pair.run();
    let some = vec![EntryRange { first: 0, count: 1 }, EntryRange { first: 2, count: 1 }];
    pair.receiver.connection.accept(pair.now, id, Some(some)).unwrap();
    pair.finish();
    let arrived: Vec<u32> = pair.receiver.disk.committed.keys().copied().collect();
    assert_eq!(arrived, [0, 2]);
    assert_eq!(completion(&pair)[0].bytes, 30);
    assert_eq!(pair.sender.disk.reads, 2);
}

#[test]
fn a_rejected_offer_ends_on_both_sides_with_the_reason() {
    let mut pair = Pair::established(5);
    let id = pair.offer(&[("a", content(10, 1))]);
    pair.run();
    let error = Error::new(Blame::Circumstance, ErrorCode::Declined, "not today");
    pair.receiver.connection.reject(pair.now, id, error).unwrap();
    pair.run();
    assert_eq!(pair.sender.error().unwrap().code, ErrorCode::Declined);
    assert!(pair.sender.error().unwrap().text.contains("not today"));
    assert!(pair.receiver.disk.committed.is_empty());
}

#[test]
fn either_side_can_cancel_in_the_middle() {
    for by_sender in [true, false] {
        let mut pair = Pair::established(6);
        let id = pair.offer(&[("a", content(20_000_000, 1))]);
        pair.run();
        pair.receiver.connection.accept(pair.now, id, None).unwrap();
        pair.receiver.disk.stalled = true;
        pair.run();
        let side = if by_sender { &mut pair.sender } else { &mut pair.receiver };
        let error = Error::new(Blame::Circumstance, ErrorCode::Cancelled, "enough");
        side.connection.cancel(pair.now, id, error).unwrap();
        pair.receiver.disk.stalled = false;
        pair.run();
        for side in [&pair.sender, &pair.receiver] {
            assert_eq!(side.error().unwrap().code, ErrorCode::Cancelled);
        }
        assert!(pair.receiver.disk.discarded && pair.receiver.disk.committed.is_empty());
        assert!(pair.sender.connection.is_established(), "the connection goes on");
    }
}

/// FC-COST: files without a byte are read no further ahead than others.
#[test]
fn a_stalled_disk_bounds_how_many_empty_files_are_read() {
    let names: Vec<String> = (0..12_000).map(|n| format!("{n:05}")).collect();
    let files: Vec<(&str, Vec<u8>)> = names.iter().map(|name| (name.as_str(), vec![])).collect();
    let mut pair = Pair::established(7);
    let id = pair.offer(&files);
    pair.run();
    pair.receiver.connection.accept(pair.now, id, None).unwrap();
    pair.receiver.disk.stalled = true;
    pair.run();
    let granted = passel_proto::limits::TRANSFER_CREDIT / passel_proto::limits::FILE_END_COST;
    let read = pair.sender.disk.reads;
    assert!(read <= granted + 2048, "{read} files were read");
    pair.receiver.disk.stalled = false;
    pair.finish();
    assert_eq!(completion(&pair)[0].delivered, 12_000);
}

/// FC-CREDIT, FC-WINDOW: a receiver whose disk stalls holds its sender back.
#[test]
fn a_stalled_disk_bounds_what_is_on_its_way() {
    let mut pair = Pair::established(7);
    let id = pair.offer(&[("a", content(40_000_000, 1))]);
    pair.run();
    pair.receiver.connection.accept(pair.now, id, None).unwrap();
    pair.receiver.disk.stalled = true;
    pair.run();
    let waiting: usize = pair.receiver.disk.waiting.len();
    assert!(waiting * CHUNK <= passel_proto::limits::TRANSFER_CREDIT, "{waiting} chunks wait");
    let read = pair.sender.disk.reads * CHUNK;
    assert!(read <= passel_proto::limits::TRANSFER_CREDIT + (2 << 20), "{read} bytes were read");
    pair.receiver.disk.stalled = false;
    pair.finish();
    assert_eq!(completion(&pair)[0].bytes, 40_000_000);
}

/// TR-NO-SPACE, OV-ERROR-TEXT
#[test]
fn a_full_disk_ends_the_transfer_with_its_code_at_both_ends() {
    for fault in [
        Fault::Write(3, StorageErrorKind::NoSpace),
        Fault::Commit(0, StorageErrorKind::NoSpace),
        Fault::Sync(0, StorageErrorKind::NoSpace),
    ] {
        let mut pair = Pair::established(8);
        pair.receiver.disk.faults.push(fault);
        pair.transfer(&[("a", content(CHUNK * 10, 1)), ("b", content(10, 2))]);
        for side in [&pair.sender, &pair.receiver] {
            assert_eq!(side.error().unwrap().code, ErrorCode::NoSpace, "{fault:?}");
        }
        assert_eq!(pair.receiver.error().unwrap().blame, Blame::Local);
        assert!(!pair.sender.error().unwrap().text.contains("planted"), "local texts stay local");
        // RS-KEEP-FULL
        assert_eq!(pair.receiver.disk.released, Some(false));
    }
}

/// TR-POLICY-CONTENT
#[test]
fn a_file_that_fails_leaves_the_others_alone() {
    let files = [("a", content(CHUNK * 3, 1)), ("b", content(CHUNK * 3, 2)), ("c", content(10, 3))];
    let cases = [
        (true, Fault::Read(4, StorageErrorKind::Changed), ErrorCode::SourceChanged),
        (true, Fault::Read(3, StorageErrorKind::Unreadable), ErrorCode::SourceUnreadable),
        (false, Fault::Write(4, StorageErrorKind::Other), ErrorCode::StorageFailed),
        (false, Fault::Commit(1, StorageErrorKind::NameConflict), ErrorCode::NameConflict),
        (false, Fault::Write(3, StorageErrorKind::Refused), ErrorCode::PolicyRefused),
        (false, Fault::Commit(1, StorageErrorKind::Refused), ErrorCode::PolicyRefused),
    ];
    for (at_sender, fault, code) in cases {
        let mut pair = Pair::established(9);
        let disk = if at_sender { &mut pair.sender.disk } else { &mut pair.receiver.disk };
        disk.faults.push(fault);
        pair.transfer(&files);
        let [sender, receiver] = completion(&pair);
        assert_eq!((sender.delivered, sender.failed), (2, 1), "{fault:?}");
        assert_eq!(sender.receipt, receiver.receipt);
        for side in [&pair.sender, &pair.receiver] {
            assert_eq!(side.failed_files().len(), 1, "{fault:?}: {:?}", side.failed_files());
            assert_eq!(side.failed_files()[0].1, code);
        }
        let arrived = &pair.receiver.disk.committed;
        assert_eq!(arrived.len(), 2);
        assert!(arrived.iter().all(|(place, bytes)| *bytes == files[*place as usize].1));
    }
}

/// TR-OFFER-EXPIRY
#[test]
fn an_offer_that_nobody_answers_expires_at_both_ends() {
    let mut pair = Pair::established(10);
    let start = pair.now;
    pair.offer(&[("a", content(10, 1))]);
    pair.run_until(Duration::from_secs(7200), |pair| {
        pair.sender.ended().is_some() && pair.receiver.ended().is_some()
    });
    assert_eq!(pair.now - start, Duration::from_secs(3600));
    assert_eq!(pair.sender.error().unwrap().code, ErrorCode::OfferExpired);
    assert_eq!(pair.receiver.error().unwrap().code, ErrorCode::OfferExpired);
    assert!(pair.sender.connection.is_established());
}

#[test]
fn several_transfers_in_both_directions_share_a_connection() {
    let mut pair = Pair::established(11);
    let files = [("a", content(3_000_000, 1))];
    let first = pair.offer(&files);
    let second = pair.sender.connection.offer(pair.now, manifest(&files), "").unwrap();
    pair.receiver.disk.source.insert(0, content(3_000_000, 1));
    let back = pair.receiver.connection.offer(pair.now, manifest(&files), "back").unwrap();
    assert!(first != second && back.0 % 2 != first.0 % 2);
    pair.run();
    assert_eq!(pair.sender.connection.note(back), Some("back"));
    pair.receiver.connection.accept(pair.now, first, None).unwrap();
    pair.sender.connection.accept(pair.now, back, None).unwrap();
    let done = |side: &support::Side, id| {
        side.events
            .iter()
            .any(|event| matches!(event, Event::Completed { transfer, .. } if *transfer == id))
    };
    pair.run_until(Duration::from_secs(60), |pair| {
        done(&pair.sender, first) && done(&pair.receiver, back) && done(&pair.sender, back)
    });
    assert_eq!(pair.receiver.disk.committed.get(&0), Some(&files[0].1));
    assert_eq!(pair.sender.disk.committed.get(&0), Some(&files[0].1));
    let error = Error::new(Blame::Circumstance, ErrorCode::Cancelled, "");
    pair.sender.connection.cancel(pair.now, second, error).unwrap();
}

#[test]
fn the_sixth_transfer_is_refused_by_the_one_who_offers_it() {
    let mut pair = Pair::established(12);
    for _ in 0..5 {
        pair.offer(&[("a", vec![])]);
    }
    let sixth = pair.sender.connection.offer(pair.now, manifest(&[("a", vec![])]), "");
    assert_eq!(sixth.unwrap_err().blame, Blame::Misuse);
}

#[test]
fn progress_ends_at_its_total_on_both_sides() {
    let files = [("a", content(CHUNK * 4 + 5, 1)), ("b", vec![])];
    let mut pair = Pair::established(13);
    let id = pair.offer(&files);
    pair.run();
    pair.receiver.connection.accept(pair.now, id, None).unwrap();
    let mut last = [Progress::default(); 2];
    while pair.sender.ended().is_none() {
        if !pair.step() {
            pair.run_until(Duration::from_millis(300), |_| false);
        }
        for (seen, side) in last.iter_mut().zip([&pair.sender, &pair.receiver]) {
            if let Some(progress) = side.connection.progress(id) {
                assert!(progress.bytes_durable >= seen.bytes_durable, "durable never goes back");
                *seen = progress;
            }
        }
    }
    assert_eq!(last[0].bytes_total, (CHUNK * 4 + 5) as u64);
    assert_eq!(last[0].bytes_moved, last[0].bytes_total);
    assert_eq!(last[1].files_total, 2);
}

#[test]
fn closing_when_the_work_is_done_is_no_error() {
    let mut pair = Pair::established(14);
    pair.transfer(&[("a", content(10, 1))]);
    pair.sender.connection.close(pair.now, None);
    pair.run();
    for side in [&pair.sender, &pair.receiver] {
        assert_eq!(side.closed(), Some(&Event::Closed { error: None }));
        assert!(side.connection.is_closed() || side.connection.poll_timeout().is_none());
    }
}

#[test]
fn silence_is_noticed_and_keep_alive_prevents_it() {
    let mut pair = Pair::established(15);
    pair.run_until(Duration::from_secs(300), |_| false);
    assert!(pair.sender.connection.is_established(), "pings keep an idle connection");
    pair.meddle = Some(Box::new(|_, _, _| false));
    pair.run_until(Duration::from_secs(40), |pair| pair.sender.closed().is_some());
    assert_eq!(pair.sender.error().unwrap().code, ErrorCode::IdleTimeout);
}

/// TR-COMPLETE: it is on another channel, and may overtake a statement.
#[test]
fn a_file_end_behind_complete_settles_a_file_that_failed() {
    let mut pair = Pair::established(19);
    pair.receiver.disk.faults.push(Fault::Write(0, StorageErrorKind::Other));
    let (late, mut count) = (Rc::new(RefCell::new(Vec::new())), 0);
    let withheld = Rc::clone(&late);
    pair.meddle = Some(Box::new(move |from, channel, message| {
        count += usize::from(from == "sender" && channel == Channel::File);
        let is_last = count == 5; // The first chunk's four pieces, and the second chunk.
        if is_last && channel == Channel::File {
            withheld.borrow_mut().push(message.clone());
        }
        !is_last || channel != Channel::File
    }));
    let id = pair.offer(&[("a", content(CHUNK + 100, 1))]);
    pair.run();
    pair.receiver.connection.accept(pair.now, id, None).unwrap();
    pair.run();
    assert_eq!(pair.receiver.failed_files(), [(FileIndex(0), ErrorCode::StorageFailed)]);
    assert_eq!((late.borrow().len(), pair.receiver.ended()), (1, None));
    for message in late.borrow_mut().iter_mut() {
        pair.receiver.connection.handle_message(pair.now, Channel::File, message);
    }
    pair.finish();
    let [at_sender, at_receiver] = completion(&pair);
    assert_eq!((at_sender, at_receiver.delivered, at_receiver.failed), (at_receiver, 0, 1));
}

#[test]
fn files_are_named_by_their_place() {
    let mut pair = Pair::established(16);
    let id = pair.transfer(&[("a", content(10, 1)), ("b", content(10, 2))]);
    let done: Vec<&Event> = pair
        .receiver
        .events
        .iter()
        .filter(|event| matches!(event, Event::FileDone { .. }))
        .collect();
    assert_eq!(
        done,
        [
            &Event::FileDone { transfer: id, file: FileIndex(0) },
            &Event::FileDone { transfer: id, file: FileIndex(1) },
        ]
    );
}

/// TR-MANIFEST-BUDGET: five offers do not take five times the memory of one.
#[test]
fn an_offer_whose_list_is_too_long_beside_the_others_is_rejected_alone() {
    let long = "n".repeat(200);
    let parents: Vec<String> = (1..=4).map(|n| vec![long.as_str(); n].join("/")).collect();
    let mut builder = passel_proto::manifest::ManifestBuilder::new();
    let mut push = |path: &str, kind| {
        let path = passel_proto::path::SafePath::parse(path).unwrap();
        builder.push(&passel_proto::manifest::Entry { path, kind, modified: None }).unwrap();
    };
    for parent in &parents {
        push(parent, passel_proto::manifest::EntryKind::Directory);
    }
    for number in 0..85_000 {
        let path = format!("{}/{number:08}", parents[3]);
        push(&path, passel_proto::manifest::EntryKind::Directory);
    }
    let manifest = std::sync::Arc::new(builder.finish().unwrap());
    assert!(manifest.encoded_len() < passel_proto::limits::MAX_MANIFEST_BYTES);
    assert!(manifest.encoded_len() * 2 > passel_proto::limits::MAX_MANIFEST_BYTES);
    let mut pair = Pair::established(17);
    pair.manifest = Some(manifest.as_ref().clone());
    let first = pair.sender.connection.offer(pair.now, manifest.clone(), "").unwrap();
    let second = pair.sender.connection.offer(pair.now, manifest, "").unwrap();
    pair.run();
    assert_eq!(pair.sender.error().unwrap().code, ErrorCode::TooLarge);
    let ended =
        |transfer| Event::Ended { transfer, error: pair.sender.error().unwrap(), kept: false };
    assert!(pair.sender.events.contains(&ended(second)));
    assert!(pair.receiver.events.contains(&Event::Offered { transfer: first }));
    assert!(pair.receiver.connection.manifest(second).is_none());
}

/// TR-PAUSE, TR-PAUSE-EACH, TR-PAUSE-TAKEN: no time-out ends a pause, and
/// nothing is lost by it.
#[test]
fn either_side_can_pause_for_as_long_as_it_likes() {
    let files = [("a", content(CHUNK * 200, 1)), ("b", content(10, 2))];
    for by_sender in [true, false] {
        let mut pair = Pair::established(18);
        let id = pair.offer(&files);
        pair.run();
        pair.receiver.connection.accept(pair.now, id, None).unwrap();
        for _ in 0..4 {
            pair.step();
        }
        let side = if by_sender { &mut pair.sender } else { &mut pair.receiver };
        side.connection.pause(pair.now, id).unwrap();
        assert!(side.connection.pause(pair.now, id).is_err(), "once");
        pair.run_until(Duration::from_secs(1), |_| false);
        let moved = |pair: &Pair| {
            [&pair.sender, &pair.receiver]
                .map(|side| side.connection.progress(id).unwrap().bytes_moved)
        };
        let paused = moved(&pair);
        assert!(paused[0] > 0 && paused[0] < (CHUNK * 200) as u64, "{paused:?}");
        assert_eq!(paused[0] - paused[0] % CHUNK as u64, paused[1], "what was under way is taken");
        pair.run_until(Duration::from_secs(300), |_| false);
        assert_eq!(moved(&pair), paused, "nothing flows");
        for (place, side) in [&pair.sender, &pair.receiver].into_iter().enumerate() {
            let by_peer = (place == 0) != by_sender;
            assert!(side.events.contains(&Event::Paused { transfer: id, by_peer }), "{by_sender}");
        }
        let side = if by_sender { &mut pair.sender } else { &mut pair.receiver };
        side.connection.resume(pair.now, id).unwrap();
        pair.finish();
        assert_arrived(&pair, &files);
    }
}

/// A caller that acts on an event cannot know what came behind it: that is no misuse.
#[test]
fn what_the_peer_has_ended_meanwhile_is_nobody_s_fault() {
    let mut pair = Pair::established(21);
    let id = pair.offer(&[("a", content(10, 1))]);
    pair.run();
    let declined = Error::new(Blame::Circumstance, ErrorCode::Cancelled, "");
    pair.sender.connection.cancel(pair.now, id, declined).unwrap();
    pair.run();
    let receiver = &mut pair.receiver.connection;
    let late = receiver.accept(pair.now, id, None).unwrap_err();
    assert_eq!((late.blame, late.code), (Blame::Circumstance, ErrorCode::Cancelled));
    let unknown = receiver.accept(pair.now, TransferId(id.0 + 2), None).unwrap_err();
    assert_eq!(unknown.blame, Blame::Misuse);
    pair.receiver.connection.close(pair.now, None);
    for _ in 0..2 {
        pair.step();
        let late = pair.sender.connection.offer(pair.now, manifest(&[("a", vec![])]), "");
        assert_eq!(late.unwrap_err().blame, Blame::Circumstance);
        pair.run();
    }
    let closed = pair.sender.events.iter().filter(|event| matches!(event, Event::Closed { .. }));
    assert_eq!(closed.count(), 1);
}
