//! Further lanes between two connections (`spec/15-lanes.md`): how many there are,
//! that data goes over all of them, and that nothing is lost with one that ends,
//! at whatever moment.

#![allow(clippy::unwrap_used, clippy::expect_used)] // helpers of tests

mod forger;
mod support;

use std::time::Duration;

use forger::Forger;
use passel_proto::connection::{Config, Event};
use passel_proto::error::ErrorCode;
use passel_proto::frame::{Frame, LaneEnd, LaneSignal, LaneTally};
use passel_proto::ids::{Channel, TransferId};
use passel_proto::limits::{MAX_LANE_SIGNAL, MAX_LANES_COUNT};
use support::{Pair, Side, config, content, manifest};

fn taking(lanes: u16) -> Config {
    Config { lanes, ..config() }
}

fn pair(sender: u16, receiver: u16) -> Pair {
    let mut pair = Pair::with(1, taking(sender), taking(receiver));
    pair.run();
    pair
}

/// Opens so many lanes of the sender's, each with this room.
fn open(pair: &mut Pair, count: usize, room: usize) -> Vec<u16> {
    let lanes: Vec<u16> = (0..count)
        .map(|_| {
            let lane = pair.sender.connection.open_lane(vec![7]).unwrap();
            pair.sender.lanes.insert(lane, room);
            lane
        })
        .collect();
    pair.run();
    lanes
}

fn signals(side: &Side) -> Vec<u16> {
    let of = |event: &Event| match event {
        Event::LaneSignal { lane, .. } => Some(*lane),
        _ => None,
    };
    side.events.iter().filter_map(of).collect()
}

fn ended_lanes(side: &Side) -> Vec<u16> {
    let of = |event: &Event| match event {
        Event::LaneEnded { lane } => Some(*lane),
        _ => None,
    };
    side.events.iter().filter_map(of).collect()
}

fn expect_whole(pair: &Pair, files: &[(&str, Vec<u8>)]) {
    for side in [&pair.sender, &pair.receiver] {
        assert!(matches!(side.ended(), Some(Event::Completed { .. })), "{:?}", side.error());
        assert!(side.closed().is_none(), "{:?}", side.error());
    }
    for (place, (_, content)) in (0u32..).zip(files) {
        assert!(pair.receiver.disk.committed.get(&place) == Some(content), "file {place}");
    }
}

// LN-OFFER
#[test]
fn the_smaller_number_is_agreed_on_and_none_is_one() {
    for (one, other, agreed) in [(1, 32, 1), (32, 1, 1), (8, 3, 3), (2, 32, 2)] {
        let mut pair = pair(one, other);
        assert_eq!(pair.sender.connection.most_lanes(), agreed);
        assert_eq!(pair.receiver.connection.most_lanes(), agreed);
        for _ in 1..agreed {
            pair.sender.connection.open_lane(vec![7]).unwrap();
        }
        assert!(pair.sender.connection.open_lane(vec![7]).is_err(), "LN-MOST");
        assert_eq!(pair.sender.connection.next_lane(), None);
    }
    for wrong in [0, MAX_LANES_COUNT + 1] {
        let wrong = u16::try_from(wrong).unwrap();
        assert!(std::panic::catch_unwind(|| Pair::with(1, taking(wrong), config())).is_err());
    }
}

// LN-NUMBERS, LN-SIGNAL
#[test]
fn numbers_are_those_of_the_role_and_never_come_again() {
    let mut pair = pair(3, 3);
    assert_eq!(open(&mut pair, 2, 0), [2, 4]);
    let receiver = &mut pair.receiver.connection;
    assert!(receiver.open_lane(vec![0; MAX_LANE_SIGNAL + 1]).is_err());
    assert_eq!((receiver.next_lane(), receiver.open_lane(vec![7]).unwrap()), (Some(1), 1));
    pair.receiver.connection.send_lane_signal(2, vec![8]).unwrap();
    assert!(pair.receiver.connection.send_lane_signal(6, vec![8]).is_err());
    pair.run();
    assert_eq!((signals(&pair.receiver), signals(&pair.sender)), (vec![2, 4], vec![1, 2]));
    pair.sender.connection.end_lane(pair.now, 2);
    pair.run();
    assert_eq!(ended_lanes(&pair.receiver), [2]);
    assert!(ended_lanes(&pair.sender).is_empty());
    assert_eq!(open(&mut pair, 1, 0), [6]);
}

// LN-FILE-ONLY, LN-CHUNK
#[test]
fn data_goes_over_all_lanes() {
    let mut pair = pair(8, 8);
    let lanes = open(&mut pair, 5, 40_000);
    let files = [("a", content(3 << 20, 1)), ("b", content(0, 0)), ("c", content(70_000, 2))];
    let id = pair.offer(&files);
    pair.run();
    pair.receiver.connection.accept(pair.now, id, None).unwrap();
    let mut used = std::collections::BTreeSet::new();
    while pair.step() {
        used.extend(pair.receiver.lane_inbox.iter().map(|(lane, _)| *lane));
        let mut buf = Vec::new();
        pair.sender.connection.handle_lane_writable(2, 40_000, true);
        if let Some(transmit) = pair.sender.connection.poll_transmit(pair.now, &mut buf) {
            used.insert(transmit.lane);
            match transmit.lane {
                0 => pair.receiver.inbox.push((transmit.channel, buf)),
                lane => pair.receiver.lane_inbox.push((lane, buf)),
            }
        }
    }
    pair.finish();
    expect_whole(&pair, &files);
    assert!(lanes.iter().any(|lane| used.contains(lane)), "{used:?}");
}

/// Loses lanes one after another in the middle, with all that is under way on them.
fn lose(pair: &mut Pair, files: &[(&str, Vec<u8>)], steps: usize) -> u64 {
    let lanes = open(pair, 6, 70_000);
    let id = pair.offer(files);
    pair.run();
    pair.receiver.connection.accept(pair.now, id, None).unwrap();
    for lane in lanes {
        for _ in 0..steps {
            // Everything that this lane carries is lost.
            pair.receiver.lane_inbox.retain(|(number, _)| *number != lane);
            step_losing(pair, lane);
        }
        pair.sender.lanes.remove(&lane);
        if lane % 4 == 0 {
            pair.sender.connection.end_lane(pair.now, lane);
        } else {
            pair.receiver.connection.end_lane(pair.now, lane);
        }
    }
    for _ in 0..3 {
        pair.step();
    }
    let resent = pair.sender.connection.progress(id).map_or(0, |progress| progress.chunks_resent);
    pair.finish();
    resent
}

/// One step in which nothing that goes over a lane arrives.
fn step_losing(pair: &mut Pair, lane: u16) {
    let mut buf = Vec::new();
    let room = pair.sender.lanes.get(&lane).copied().unwrap_or(0);
    pair.sender.connection.handle_lane_writable(lane, room, true);
    while let Some(transmit) = pair.sender.connection.poll_transmit(pair.now, &mut buf) {
        match transmit.lane {
            0 => pair.receiver.inbox.push((transmit.channel, buf.clone())),
            number if number == lane => {}
            number => pair.receiver.lane_inbox.push((number, buf.clone())),
        }
    }
    pair.sender.lanes.insert(lane, 0);
    pair.step();
    pair.sender.lanes.insert(lane, room);
}

// LN-AGAIN, LN-AGAIN-END, LN-REPEATED, LN-END-COUNT
#[test]
fn nothing_is_lost_with_a_lane() {
    let mut resent = 0;
    for steps in 1..6 {
        let mut pair = pair(32, 32);
        let many: Vec<(String, Vec<u8>)> = (0..60u64)
            .map(|n| (format!("s{n:02}"), content(100 + 50 * usize::try_from(n).unwrap(), n)))
            .collect();
        let mut files = vec![("a", content(2 << 20, 1)), ("b|", content(1 << 20, 2))];
        files.extend(many.iter().map(|(name, content)| (name.as_str(), content.clone())));
        resent += lose(&mut pair, &files, steps);
        expect_whole(&pair, &files);
    }
    assert!(resent > 10, "{resent} chunks went again");
}

// LN-END-COUNT: what is lost with lanes is not lost of the credit.
#[test]
fn credit_survives_any_number_of_lost_lanes() {
    // Some hundred kilobytes each: together more than the window.
    lose_one_after_another(&[("a", content(8 << 20, 1))], 300_000);
}

// TR-STREAM-KEEP, LN-AGAIN: a stream cannot be read again, and is longer than what is kept.
#[test]
fn a_stream_survives_any_number_of_lost_lanes() {
    // All that there is credit for, before anything is durable.
    lose_one_after_another(&[("a|", content(16 << 20, 1)), ("b", content(70_000, 2))], 4 << 20);
}

/// Each lane takes with it whatever went over it.
fn lose_one_after_another(files: &[(&str, Vec<u8>)], room: usize) {
    let mut pair = pair(2, 2);
    let id = pair.offer(files);
    pair.run();
    pair.receiver.connection.accept(pair.now, id, None).unwrap();
    let mut lost = 0;
    for _ in 0..100 {
        let lane = pair.sender.connection.open_lane(vec![7]).unwrap();
        pair.sender.connection.handle_lane_writable(lane, room, true);
        let mut buf = Vec::new();
        while let Some(transmit) = pair.sender.connection.poll_transmit(pair.now, &mut buf) {
            if transmit.lane == 0 {
                pair.receiver.inbox.push((transmit.channel, buf.clone()));
            } else {
                lost += buf.len();
            }
        }
        pair.sender.connection.end_lane(pair.now, lane);
        for _ in 0..3 {
            pair.step();
        }
        if pair.sender.ended().is_some() {
            break;
        }
    }
    pair.finish();
    expect_whole(&pair, files);
    assert!(lost > 1 << 20, "{lost}");
}

/// What is begun on lanes leaves credit for the rest of each, whatever their number and
/// the size of chunks.
// LN-BEGUN
#[test]
fn chunks_begun_on_many_lanes_never_use_up_the_credit() {
    for chunk_log2 in [17, 18, 20] {
        let taking = |lanes| Config { chunk_log2, ..taking(lanes) };
        let mut pair = Pair::with(1, taking(32), taking(32));
        pair.run();
        // Each has room for one piece at a time.
        open(&mut pair, 31, 17_000);
        let files = [("a", content(12 << 20, 1))];
        pair.transfer(&files);
        expect_whole(&pair, &files);
    }
}

/// A lane that is not to be used any more finishes what it began.
// LN-CHUNK
#[test]
fn a_lane_that_rests_keeps_nothing_back() {
    let mut pair = pair(8, 8);
    let lane = open(&mut pair, 1, 0)[0];
    let files = [("a", content(1 << 20, 1))];
    let id = pair.offer(&files);
    pair.run();
    pair.receiver.connection.accept(pair.now, id, None).unwrap();
    let (mut over, mut buf) = (0, Vec::new());
    pair.sender.lanes.clear();
    while pair.step() {
        // It has room for a piece at a time, and nothing begins after the first.
        pair.sender.connection.handle_writable(Channel::File, 0);
        pair.sender.connection.handle_lane_writable(lane, 17_000, over == 0);
        while let Some(transmit) = pair.sender.connection.poll_transmit(pair.now, &mut buf) {
            if transmit.lane == lane {
                over += 1;
                pair.receiver.lane_inbox.push((lane, buf.clone()));
            } else {
                pair.receiver.inbox.push((transmit.channel, buf.clone()));
            }
        }
    }
    pair.finish();
    expect_whole(&pair, &files);
    assert!((1..=4).contains(&over), "{over} pieces of one chunk");
}

// LN-END-ALONE
#[test]
fn the_end_of_a_file_without_data_goes_over_the_first_lane() {
    let mut pair = pair(8, 8);
    open(&mut pair, 1, 70_000);
    let files = [("a", vec![]), ("b", vec![])];
    let id = pair.offer(&files);
    pair.run();
    pair.receiver.connection.accept(pair.now, id, None).unwrap();
    pair.finish();
    expect_whole(&pair, &files);
    assert_eq!(pair.receiver.over_lanes, 0);
}

/// A record of a lane, altered or late, ends that lane or nothing.
// LN-RECORD
#[test]
fn a_record_that_does_not_open_ends_its_lane_alone() {
    let mut pair = pair(8, 8);
    let [one, two] = open(&mut pair, 2, 70_000)[..] else { panic!() };
    let files = [("a", content(1 << 20, 1))];
    pair.receiver.connection.handle_lane_message(pair.now, one, &mut [0; 90]);
    pair.receiver.connection.handle_lane_message(pair.now, one, &mut [0; 90]);
    // There never was such a lane.
    pair.receiver.connection.handle_lane_message(pair.now, 40, &mut [0; 90]);
    pair.run();
    assert_eq!((ended_lanes(&pair.receiver), ended_lanes(&pair.sender)), (vec![one], vec![one]));
    pair.sender.lanes.remove(&one);
    pair.transfer(&files);
    expect_whole(&pair, &files);
    assert!(pair.sender.lanes.contains_key(&two));
}

/// Keys are updated while lanes are there.
#[test]
fn lanes_follow_the_epochs() {
    let mut pair = pair(8, 8);
    open(&mut pair, 3, 70_000);
    let files = [("a", content(1 << 20, 1))];
    pair.sender.connection.update_keys(pair.now).unwrap();
    pair.transfer(&files);
    expect_whole(&pair, &files);
    let late = pair.sender.connection.open_lane(vec![7]).unwrap();
    pair.sender.lanes.insert(late, 70_000);
    pair.run_until(Duration::from_secs(1), |_| false);
    for side in [&pair.sender, &pair.receiver] {
        assert!(side.closed().is_none() && ended_lanes(side).is_empty());
    }
}

fn refused(frames: impl FnOnce(&mut Forger)) -> Option<ErrorCode> {
    let mut forger = Forger::with(taking(3), manifest(&[("a", vec![1])]));
    frames(&mut forger);
    forger.events.iter().find_map(|event| match event {
        Event::Closed { error } => error.as_ref().map(|error| error.code),
        _ => None,
    })
}

// LN-SIGNAL, LN-NUMBERS, LN-MOST, LN-END, LN-END-COUNT
#[test]
fn what_a_peer_must_not_do_with_lanes() {
    let signal = |lane| LaneSignal { lane, payload: vec![1] };
    let end = |lane, cost, transfers| -> Frame { LaneEnd { lane, cost, transfers }.into() };
    let [first, second, third] = [1, 3, 5]; // the forger is the initiator
    let violation = Some(ErrorCode::ProtocolViolation);
    assert_eq!(refused(|forger| forger.send(signal(second))), violation, "not the next one");
    assert_eq!(refused(|forger| forger.send(signal(first ^ 3))), violation, "not its own");
    let three = |forger: &mut Forger| {
        for lane in [first, second, third] {
            forger.send(signal(lane));
        }
    };
    assert_eq!(refused(three), Some(ErrorCode::LimitExceeded));
    assert_eq!(refused(|forger| forger.send(end(first, 0, vec![]))), violation, "no such lane");
    let twice = |forger: &mut Forger| {
        forger.send(signal(first));
        forger.send(end(first, 0, vec![]));
        forger.send(end(first, 0, vec![]));
    };
    assert_eq!(refused(twice), violation);
    let more = |forger: &mut Forger| {
        forger.send(signal(first));
        forger.send(end(first, 1 << 40, vec![]));
    };
    assert_eq!(refused(more), Some(ErrorCode::CreditExceeded));
    let fine = |forger: &mut Forger| {
        forger.send(signal(first));
        forger.send(signal(first));
        let part = LaneTally { transfer: TransferId(99), cost: 5 };
        forger.send(end(first, 1 << 20, vec![part]));
        forger.send(signal(first)); // late, and ignored
        forger.send(signal(second));
    };
    assert_eq!(refused(fine), None);
}
