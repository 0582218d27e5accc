//! Limits of speed in virtual time: kept to the byte, changed on the way, and
//! without a wake-up that finds nothing to do (FC-RATE).

#![allow(clippy::unwrap_used, clippy::panic)] // a test that fails says so

mod support;

use std::time::Duration;

use passel_proto::connection::TimerKind;
use passel_proto::error::Blame;
use passel_proto::ids::{Channel, TransferId};
use support::{Pair, content};

/// Longest record of data in these tests.
const RECORD: u64 = 17_000;

/// A pair with an accepted transfer of so many bytes, and what was sent of it.
fn sending(seed: u64, bytes: usize, set: impl Fn(&mut Pair, TransferId)) -> (Pair, TransferId) {
    let mut pair = Pair::established(seed);
    let id = pair.offer(&[("a", content(bytes, 1))]);
    pair.run();
    pair.record = true;
    set(&mut pair, id);
    pair.receiver.connection.accept(pair.now, id, None).unwrap();
    (pair, id)
}

fn data_sent(pair: &Pair) -> u64 {
    let data = pair.sender.sent.iter().filter(|(channel, _)| *channel == Channel::File);
    data.map(|(_, record)| record.len() as u64).sum()
}

fn limit(pair: &mut Pair, id: Option<TransferId>, rate: impl Into<Option<u64>>) {
    pair.sender.connection.set_rate_limit(pair.now, id, rate.into()).unwrap();
}

/// FC-RATE
#[test]
fn what_goes_out_keeps_to_the_limit_at_every_moment() {
    for rate in [10_000u64, 333_333, 5_000_000] {
        let set = |pair: &mut Pair, _| limit(pair, None, rate);
        let (mut pair, _) = sending(rate, 600_000, set);
        let start = pair.now;
        pair.run_until(Duration::from_secs(120), |pair| {
            let nanos = (pair.now - start).as_nanos();
            let allowed = u64::try_from(nanos * u128::from(rate) / 1_000_000_000).unwrap();
            let most = allowed + rate / 50 + RECORD;
            assert!(data_sent(pair) <= most, "{} of {most}", data_sent(pair));
            pair.receiver.ended().is_some()
        });
        assert_eq!(pair.receiver.disk.committed[&0].len(), 600_000);
        let time = pair.now - start;
        let ideal = Duration::from_millis(600_000 * 1000 / rate);
        assert!(time < ideal * 21 / 20 + Duration::from_secs(1), "{time:?} instead of {ideal:?}");
    }
}

/// FC-RATE: of two limits the narrower holds, and one is of its transfer alone.
#[test]
fn limits_of_a_transfer_and_of_all_hold_together() {
    for (all, one) in [(20_000u64, 50_000u64), (50_000, 20_000)] {
        let (mut pair, id) = sending(3, 200_000, |pair, id| {
            limit(pair, None, all);
            limit(pair, Some(id), one);
        });
        assert_eq!(pair.sender.connection.rate_limit(None), Some(all));
        assert_eq!(pair.sender.connection.rate_limit(Some(id)), Some(one));
        let start = pair.now;
        pair.run_until(Duration::from_secs(60), |pair| pair.receiver.ended().is_some());
        let time = pair.now - start;
        assert!((Duration::from_secs(9)..Duration::from_secs(12)).contains(&time), "{time:?}");
        assert_eq!(pair.sender.connection.rate_limit(Some(id)), None, "forgotten with it");
    }
}

/// FC-RATE: a change holds at once, and owes what was sent before.
#[test]
fn a_limit_changes_while_data_flows() {
    let (mut pair, id) = sending(4, 400_000, |pair, id| limit(pair, Some(id), 1));
    let start = pair.now;
    pair.run_until(Duration::from_secs(20), |_| false);
    assert!(data_sent(&pair) <= RECORD, "the first record of many hours");
    limit(&mut pair, Some(id), 100_000);
    pair.run_until(Duration::from_secs(2), |_| false);
    let sent = data_sent(&pair);
    assert!((150_000..=230_000).contains(&sent), "{sent}");
    limit(&mut pair, Some(id), None);
    pair.run_until(Duration::from_secs(1), |pair| pair.receiver.ended().is_some());
    assert!(pair.receiver.ended().is_some());
    assert!(pair.now - start < Duration::from_secs(23));
}

/// FC-RATE: each wake-up for the limit lets a record go, and none is due twice.
#[test]
fn no_wake_up_finds_nothing_to_do() {
    let (mut pair, _) = sending(5, 300_000, |pair, _| limit(pair, None, 100_000));
    pair.run();
    let mut wakes = 0;
    while pair.receiver.ended().is_none() {
        let (at, kind) = pair.sender.connection.poll_timeout().unwrap();
        let theirs = pair.receiver.connection.poll_timeout().unwrap().0;
        let before = data_sent(&pair);
        let ours = at <= theirs;
        pair.now = pair.now.max(at.min(theirs));
        pair.sender.connection.handle_timeout(pair.now);
        pair.receiver.connection.handle_timeout(pair.now);
        let next = pair.sender.connection.poll_timeout();
        assert!(next.is_none_or(|(at, _)| at > pair.now), "it is due again: {next:?}");
        pair.run();
        if ours && kind == TimerKind::Rate {
            wakes += 1;
            assert!(data_sent(&pair) > before, "woken for nothing");
        }
    }
    assert!((15..=25).contains(&wakes), "{wakes} for 19 pieces");
}

/// FC-RATE
#[test]
fn what_is_no_limit_is_refused() {
    let (mut pair, id) = sending(6, 1000, |_, _| {});
    let now = pair.now;
    for (transfer, rate) in [(None, Some(0)), (Some(id), Some(0)), (Some(TransferId(77)), None)] {
        let refused = pair.sender.connection.set_rate_limit(now, transfer, rate);
        assert_eq!(refused.unwrap_err().blame, Blame::Misuse);
    }
    let refused = pair.receiver.connection.set_rate_limit(now, Some(id), Some(1));
    assert!(refused.is_err(), "a receiver has its credit");
    pair.finish();
    assert!(pair.receiver.ended().is_some());
}
