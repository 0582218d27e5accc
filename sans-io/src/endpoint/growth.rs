//! How many lanes, and how much on each: found by what arrives, not by hope
//! (`LN-POLITE`, `LN-COUNT`). It sees sums over all lanes and knows nothing of any
//! single one.

use std::time::{Duration, Instant};

use passel_proto::limits::DEFAULT_PIECE;

use crate::lane::DEFAULT_WINDOW;

/// What a piece of a chunk comes to as a record, with header and tag.
const RECORD: usize = DEFAULT_PIECE + 128;
/// What a lane may have in flight at least: two records, or some more where they take
/// longer than `NEAR`; and at most: more is slow.
const LEAST_WINDOW: usize = 2 * RECORD;
/// The same nearby: what a round trip takes there is what the two programs take, who
/// must not wait for each other.
const LEAST_NEAR_WINDOW: usize = 4 * RECORD;
const NEAR: Duration = Duration::from_millis(5);
const MOST_WINDOW: usize = 128 << 10;
/// What the only lane may have, where the peer takes no more of them.
const SOLE_WINDOW: usize = 256 << 10;
/// What all lanes together have before anything was measured.
const FREE_WINDOWS: usize = 3 << 19;
/// Lanes that are kept where there is a queue: who gives way to all others starves.
const MODEST: u16 = 4;
/// A round trip from which on lanes have the largest window as long as they do not
/// fill it: what is lost holds up a window for a long time.
const FAR: Duration = Duration::from_millis(30);
/// Lanes up to which nobody has to show a need (`LN-COUNT`), and with a round trip of
/// `LONG`, in which so many windows carry no more than 100 Mbit/s.
const USUAL: u16 = 8;
const LONG_USUAL: u16 = 16;
const LONG: Duration = Duration::from_millis(80);
/// Round trips that lanes have to connect, then to come up to speed, and over which is
/// measured.
const CONNECT: u32 = 20;
const SETTLE: u32 = 12;
const MEASURE: u32 = 8;
/// Round trips without anything that waits after which what arrives says nothing.
const PAUSE: u32 = 4;
/// The least time for any of these.
const LEAST: Duration = Duration::from_millis(60);
const LEAST_MEASURE: Duration = Duration::from_millis(300);
const LEAST_CONNECT: Duration = Duration::from_secs(1);
/// How long a lane stands still that lost one of its first datagrams, and some more.
const STALL: Duration = Duration::from_millis(700);
/// How much more has to arrive for twice the lanes to stay, in percent.
const GAIN: u64 = 115;
/// How much has to arrive still for half of the lanes to do, in percent.
const ENOUGH: u64 = 95;
/// How little has to arrive for a count that gave way to a queue to come back, in percent.
const MISSED: u64 = 75;
/// How often it has to be so little.
const MAX_MISSED: u32 = 3;
/// After how many round trips, and at least how much time, a count is questioned again.
const REST: u32 = 200;
const LEAST_REST: Duration = Duration::from_secs(10);
/// How often that time doubles while trials change nothing.
const MAX_DOUBLINGS: u32 = 2;
/// What is sent within this time needs no further lanes.
const SHORT: Duration = Duration::from_millis(10);
/// Windows hold so much of what the rate and the round trip ask for, in percent:
/// while the count is sought, in between, and where there is a queue (`LN-POLITE`).
const SEEKING_WINDOW: u64 = 175;
const RESTING_WINDOW: u64 = 125;
const QUEUED_WINDOW: u64 = 125;
/// A round trip has grown if it is longer than the least one by a quarter, and by this.
const QUEUE: Duration = Duration::from_millis(5);
/// What it may be longer by on a path without a queue, beside a twentieth.
const JITTER: Duration = Duration::from_millis(2);
/// How often it is waited for lanes to come up.
const MAX_WAITS: u32 = 5;
/// How long the least round trip is believed.
const MEMORY: Duration = Duration::from_secs(30);

/// What is being done about the count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Nothing: nobody sends, or only since then.
    Idle { since: Option<Instant> },
    /// Lanes are connecting.
    Waiting { until: Instant },
    /// Lanes are coming up to speed.
    Settling { until: Instant },
    /// What arrives is measured.
    Measuring { since: Instant, until: Instant, from: u64 },
    /// The count stays.
    Resting { until: Instant },
}

/// Which way the count was changed last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trial {
    First,
    Up,
    Down,
}

/// What the endpoint knows at some moment, over all lanes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    /// Bytes that were delivered since the beginning.
    pub(super) delivered: u64,
    /// Whether there is more to send than there is room for.
    pub(super) is_backlogged: bool,
    /// Lanes over which records can go.
    pub(super) up: u16,
    /// Lanes that both sides agreed on.
    pub(super) most: u16,
}

/// What shall be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Plan {
    /// Lanes that are wanted and used, lane 0 among them.
    pub(super) lanes: u16,
    /// Bytes that each may have in flight.
    pub(super) window: usize,
}

/// The search for the count of lanes that brings the most.
#[derive(Debug)]
pub(super) struct Growth {
    phase: Phase,
    trial: Trial,
    /// Whether both sides agreed on one lane, so that only its window can grow.
    is_sole: bool,
    /// Lanes over which records can go.
    up: u16,
    /// How often it was waited for lanes that did not come up.
    waits: u32,
    plan: Plan,
    /// The count before the last change, and what arrived with it, in bytes a second.
    before: (u16, u64),
    /// What arrived with the count of now.
    rate: u64,
    /// The least round trip, and when it was seen.
    least: Option<(Duration, Instant)>,
    /// The round trip of the last connectivity check.
    recent: Option<Duration>,
    /// Since when there is less to send than there is room for.
    idle_since: Option<Instant>,
    /// Whether lanes had most of their windows in flight: then these are what bounds
    /// the rate, and else it is congestion control.
    is_filled: bool,
    /// Since when what arrives is measured while the count stays, and how much had then.
    followed: Option<(Instant, u64)>,
    /// That the path was full: the count of lanes when there was a queue, and the most
    /// that arrived since.
    full: Option<Full>,
    /// How many trials in a row have changed nothing.
    vain: u32,
}

/// What is remembered of a full path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Full {
    /// Lanes that there were before any gave way.
    lanes: u16,
    /// The most that arrived, in bytes a second.
    rate: u64,
    /// How often in a row much less arrived without a queue.
    missed: u32,
}

impl Growth {
    pub(super) fn new() -> Self {
        Self {
            phase: Phase::Idle { since: None },
            trial: Trial::First,
            is_sole: false,
            up: 1,
            waits: 0,
            plan: Plan { lanes: 1, window: DEFAULT_WINDOW },
            before: (1, 0),
            rate: 0,
            least: None,
            recent: None,
            idle_since: None,
            is_filled: false,
            followed: None,
            full: None,
            vain: 0,
        }
    }

    pub(super) fn plan(&self) -> Plan {
        self.plan
    }

    /// When to look again.
    pub(super) fn wake(&self) -> Option<Instant> {
        match self.phase {
            Phase::Idle { since } => {
                self.least?;
                since.map(|since| since + SHORT)
            }
            Phase::Waiting { until }
            | Phase::Settling { until }
            | Phase::Measuring { until, .. }
            | Phase::Resting { until } => Some(until),
        }
    }

    /// A connectivity check and its answer took so long: the path, with its queue.
    pub(super) fn checked(&mut self, now: Instant, time: Duration) {
        self.recent = Some(time);
        self.round_trip(now, time);
    }

    /// A message was delivered after so long, of which it may have waited at this side.
    pub(super) fn round_trip(&mut self, now: Instant, time: Duration) {
        let is_old = self.least.is_none_or(|(least, at)| time <= least || at + MEMORY < now);
        if is_old {
            self.least = Some((time, now));
        }
    }

    /// The least round trip; none before there was any.
    pub(super) fn least_trip(&self) -> Duration {
        self.least.map_or(Duration::ZERO, |(least, _)| least)
    }

    fn trips(&self, count: u32) -> Duration {
        self.least.map_or(LEAST, |(least, _)| least.saturating_mul(count).max(LEAST))
    }

    /// How long is measured. Where datagrams are lost, a tenth of a second with or
    /// without luck is no rate by which to choose a count.
    fn measure(&self) -> Duration {
        let least = if self.least_trip() < NEAR || self.is_sole { LEAST } else { LEAST_MEASURE };
        self.trips(MEASURE).max(least)
    }

    /// Looks at what arrived, and makes a plan.
    pub(super) fn look(&mut self, now: Instant, seen: Seen) -> Plan {
        self.is_sole = seen.most == 1;
        self.up = seen.up;
        self.idle_since = self.idle_since.filter(|_| !seen.is_backlogged);
        if !seen.is_backlogged {
            self.idle_since.get_or_insert(now);
        }
        let is_idle = self.idle_since.is_some_and(|since| now >= since + self.trips(PAUSE));
        if is_idle || (!seen.is_backlogged && matches!(self.phase, Phase::Idle { .. })) {
            self.followed = None;
            // What arrives then says nothing of the path.
            match self.phase {
                Phase::Idle { .. } => self.phase = Phase::Idle { since: None },
                _ if self.wake().is_some_and(|at| now >= at) => {
                    if self.trial == Trial::Up && !matches!(self.phase, Phase::Resting { .. }) {
                        self.plan.lanes = self.before.0; // It showed nothing.
                    }
                    self.rest(now);
                }
                _ => {}
            }
            return self.plan;
        }
        match self.phase {
            Phase::Idle { since: None } => self.phase = Phase::Idle { since: Some(now) },
            // How long to wait for anything, a first round trip must say.
            Phase::Idle { .. } if self.wake().is_some_and(|at| now >= at) => {
                let usual = if self.least_trip() < LONG { USUAL } else { LONG_USUAL };
                self.change(now, Trial::First, usual.min(seen.most));
            }
            Phase::Waiting { until } if seen.up >= self.plan.lanes || now >= until => {
                self.set_window(SEEKING_WINDOW);
                // Where datagrams are lost, a new lane may have to wait for SCTP's timer.
                let lost = if self.trial == Trial::Up && !self.is_filled { STALL } else { LEAST };
                let settled = now + self.trips(SETTLE).max(lost);
                self.phase = Phase::Settling { until: settled };
            }
            Phase::Settling { until } if now >= until => {
                let until = now + self.measure();
                self.phase = Phase::Measuring { since: now, until, from: seen.delivered };
            }
            Phase::Measuring { since, until, from } if now >= until => {
                let time = now.saturating_duration_since(since);
                let bytes = seen.delivered.saturating_sub(from);
                self.rate = rate(bytes, time);
                self.is_filled = self.fills_windows();
                self.judge(now, seen);
            }
            Phase::Resting { until } if now >= until => {
                let up = seen.up >= self.enough() && self.plan.lanes < seen.most;
                let up = up && !self.is_queued() && (self.is_filled || self.is_clear());
                self.before = (self.plan.lanes, self.rate);
                if up && self.trial != Trial::Up {
                    self.change(now, Trial::Up, self.plan.lanes.saturating_mul(2).min(seen.most));
                } else if self.plan.lanes > 1 {
                    self.change(now, Trial::Down, self.plan.lanes / 2);
                } else {
                    self.change(now, Trial::First, 1);
                }
            }
            Phase::Resting { .. } => self.follow(now, seen),
            _ => {}
        }
        self.plan
    }

    /// The count stays, and the windows follow what arrives.
    fn follow(&mut self, now: Instant, seen: Seen) {
        let (delivered, most) = (seen.delivered, seen.most);
        let (since, from) = *self.followed.get_or_insert((now, delivered));
        let time = now.saturating_duration_since(since);
        if time >= self.measure() {
            self.rate = rate(delivered.saturating_sub(from), time);
            self.followed = Some((now, delivered));
            self.is_filled = self.fills_windows();
            self.note_full(now, most);
        }
        self.set_window(RESTING_WINDOW);
    }

    /// Where there is a queue, the path is full, and lanes give way that only add to it;
    /// and no more once much less arrives and the queue is gone all the same: then
    /// datagrams are lost on it all the time, or somebody else has left it.
    fn note_full(&mut self, now: Instant, most: u16) {
        let lanes = self.plan.lanes;
        if !self.is_clear() {
            let known = self.rate.max(self.before.1);
            let full = self.full.get_or_insert(Full { lanes, rate: 0, missed: 0 });
            full.rate = full.rate.max(known);
            if self.is_queued() {
                self.plan.lanes = lanes.min(self.fit().max(lanes / 2));
            }
        }
        let is_clear = self.is_clear();
        let Some(full) = &mut self.full else { return };
        let is_missed =
            is_clear && self.rate.saturating_mul(100) < full.rate.saturating_mul(MISSED);
        full.missed = if is_missed { full.missed + 1 } else { 0 };
        if full.missed >= MAX_MISSED {
            let more = lanes.max(full.lanes).max(lanes.saturating_mul(2).min(most));
            self.full = None;
            self.before = (lanes, self.rate);
            self.change(now, Trial::Up, more);
        }
    }

    /// Whether what is in flight comes to half of the windows.
    fn fills_windows(&self) -> bool {
        let windows = self.plan.window as u64 * u64::from(self.up.min(self.plan.lanes));
        self.product().saturating_mul(2) >= windows
    }

    /// Lanes whose windows, the least that there are, hold what a full path does.
    fn fit(&self) -> u16 {
        let fit = self.product().saturating_mul(QUEUED_WINDOW) / 100 / LEAST_WINDOW as u64;
        u16::try_from(fit).unwrap_or(u16::MAX).max(MODEST)
    }

    /// Whether the last change stays.
    fn judge(&mut self, now: Instant, seen: Seen) {
        let (lanes, rate) = self.before;
        if seen.up < self.enough() {
            if self.waits < MAX_WAITS {
                self.waits += 1;
                self.set_window(SEEKING_WINDOW);
                return self.wait(now);
            }
            // They do not come.
            self.plan.lanes = seen.up;
            return self.rest(now);
        }
        if !self.is_clear() && self.trial != Trial::Down {
            // With more lanes there would be more in the queue, of which others have
            // their part.
            self.note_full(now, seen.most);
            return self.rest(now);
        }
        let has_gained = self.rate.saturating_mul(100) >= rate.saturating_mul(GAIN);
        match self.trial {
            // The window alone is sought.
            Trial::First if self.is_sole && has_gained => {
                self.before = (1, self.rate);
                self.change(now, Trial::First, 1);
            }
            Trial::First if self.plan.lanes < seen.most => {
                self.before = (self.plan.lanes, self.rate);
                self.change(now, Trial::Up, self.plan.lanes.saturating_mul(2).min(seen.most));
            }
            Trial::Up if has_gained => {
                self.vain = 0;
                if self.plan.lanes < seen.most {
                    self.before = (self.plan.lanes, self.rate);
                    self.change(now, Trial::Up, self.plan.lanes.saturating_mul(2).min(seen.most));
                } else {
                    self.rest(now);
                }
            }
            Trial::Up => {
                self.vain += 1;
                self.plan.lanes = lanes;
                self.rate = rate;
                self.rest(now);
            }
            Trial::Down if self.rate.saturating_mul(100) < rate.saturating_mul(ENOUGH) => {
                self.vain += 1;
                self.plan.lanes = lanes;
                self.rate = rate;
                self.rest(now);
            }
            Trial::Down | Trial::First => {
                self.vain = 0;
                self.rest(now);
            }
        }
    }

    fn change(&mut self, now: Instant, trial: Trial, lanes: u16) {
        self.trial = trial;
        self.plan.lanes = lanes.max(1);
        self.waits = 0;
        self.set_window(SEEKING_WINDOW);
        self.wait(now);
    }

    fn wait(&mut self, now: Instant) {
        self.phase = Phase::Waiting { until: now + self.trips(CONNECT).max(LEAST_CONNECT) };
    }

    fn rest(&mut self, now: Instant) {
        self.followed = None;
        self.set_window(RESTING_WINDOW);
        let rest = self.trips(REST).max(LEAST_REST);
        let longer = 1 << self.vain.min(MAX_DOUBLINGS);
        self.phase = Phase::Resting { until: now + rest.saturating_mul(longer) };
    }

    /// What is in flight on an empty path with the rate of now, in bytes.
    fn product(&self) -> u64 {
        self.in_flight(self.rate)
    }

    /// The same with another rate.
    fn in_flight(&self, rate: u64) -> u64 {
        let micros = u64::try_from(self.least_trip().as_micros()).unwrap_or(u64::MAX);
        rate.saturating_mul(micros) / 1_000_000
    }

    /// Lanes that must be up for the count to be judged: not all, since one that lost a
    /// datagram of its handshake takes long.
    fn enough(&self) -> u16 {
        self.plan.lanes - self.plan.lanes / 8
    }

    /// Whether nothing waits in a queue.
    fn is_clear(&self) -> bool {
        let least = self.least_trip();
        self.recent.is_none_or(|recent| recent <= least + least / 20 + JITTER)
    }

    /// Whether what is in flight waits in a queue.
    fn is_queued(&self) -> bool {
        let least = self.least_trip();
        let queue = self.recent.map_or(Duration::ZERO, |recent| recent.saturating_sub(least));
        queue > QUEUE && queue > least / 4
    }

    /// The window for the rate of now, shared by the lanes.
    fn set_window(&mut self, percent: u64) {
        let Some((least, _)) = self.least else { return };
        let is_queued = self.is_queued();
        let percent = if is_queued { QUEUED_WINDOW } else { percent };
        let most = if self.is_sole { SOLE_WINDOW } else { MOST_WINDOW };
        // Where nobody waits in a queue there is room for what arrived when the path was full.
        let known = self.full.filter(|_| !is_queued).map_or(0, |full| full.rate);
        let all = self.in_flight(self.rate.max(known)).saturating_mul(percent) / 100;
        let each =
            usize::try_from(all / u64::from(self.up.min(self.plan.lanes).max(1))).unwrap_or(most);
        let is_free = !is_queued && !self.is_filled && self.full.is_none();
        let each = if least >= FAR && is_free {
            (FREE_WINDOWS / usize::from(self.plan.lanes)).min(MOST_WINDOW).max(each)
        } else if self.rate == 0 {
            // Before anything was measured there is nothing else to go by.
            DEFAULT_WINDOW
        } else if least >= NEAR && self.is_sole {
            // Who gave way with its only lane would get nothing from those with more.
            MOST_WINDOW.max(each)
        } else if least >= NEAR && is_free {
            DEFAULT_WINDOW.max(each)
        } else {
            each
        };
        // Only whole records go out, so that on the average half of one less is in flight
        // than there may be.
        let records =
            if is_queued { (each + RECORD / 2).div_ceil(RECORD) } else { each / RECORD + 1 };
        let each = records.saturating_mul(RECORD);
        let is_near = self.rate > 0 && least < NEAR && !is_queued;
        let fewest = if is_near { LEAST_NEAR_WINDOW } else { LEAST_WINDOW };
        self.plan.window = each.clamp(fewest, most);
    }
}

fn rate(bytes: u64, time: Duration) -> u64 {
    let micros = time.as_micros().max(1);
    u64::try_from(u128::from(bytes).saturating_mul(1_000_000) / micros).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A path that brings so much, given a count of lanes.
    fn find(rtt: Duration, most: u16, path: impl Fn(u16) -> u64) -> (u16, Vec<u16>) {
        #[allow(clippy::disallowed_methods)] // only differences from it matter
        let mut now = Instant::now();
        let end = now + Duration::from_secs(60);
        let mut growth = Growth::new();
        growth.round_trip(now, rtt);
        let (mut delivered, mut counts) = (0, Vec::new());
        while now < end {
            let up = growth.plan().lanes;
            let seen = Seen { delivered, is_backlogged: true, up, most };
            let plan = growth.look(now, seen);
            if counts.last() != Some(&plan.lanes) {
                counts.push(plan.lanes);
            }
            let next = growth.wake().unwrap();
            let time = next.saturating_duration_since(now).max(Duration::from_millis(1));
            let micros = u64::try_from(time.as_micros()).unwrap();
            delivered += path(plan.lanes) * micros / 1_000_000;
            now += time;
        }
        (growth.before.0.max(1), counts)
    }

    // LN-COUNT, LN-POLITE
    #[test]
    fn a_clean_narrow_path_needs_few_lanes() {
        let (_, counts) = find(Duration::from_millis(50), 32, |_| 1_000_000);
        assert!(counts.iter().all(|count| *count <= 16), "{counts:?}");
        assert_eq!(counts.iter().min(), Some(&1), "{counts:?}");
    }

    #[test]
    fn a_lossy_path_is_given_all() {
        let (_, counts) = find(Duration::from_millis(50), 32, |lanes| u64::from(lanes) * 250_000);
        assert_eq!(counts[..5], [1, 8, 16, 32, 16], "{counts:?}");
        assert_eq!(counts[5], 32, "half of them were not enough: {counts:?}");
    }

    #[test]
    fn a_near_path_is_given_what_raises_the_rate() {
        let path = |lanes: u16| [100, 150, 200, 295][lanes.ilog2().min(3) as usize] << 20;
        let (_, counts) = find(Duration::from_micros(200), 16, path);
        assert_eq!(counts[..5], [1, 8, 16, 8, 4], "{counts:?}");
        assert_eq!(counts[5], 8, "half of them were not enough: {counts:?}");
    }

    #[test]
    fn windows_follow_the_rate_and_stay_in_their_bounds() {
        #[allow(clippy::disallowed_methods)] // only differences from it matter
        let now = Instant::now();
        let mut growth = Growth::new();
        growth.round_trip(now, Duration::from_millis(4));
        (growth.plan.lanes, growth.up) = (8, 8);
        for (rate, window) in
            [(1, LEAST_NEAR_WINDOW), (90_000_000, 5 * RECORD), (1 << 40, MOST_WINDOW)]
        {
            growth.rate = rate;
            growth.set_window(SEEKING_WINDOW);
            assert_eq!(growth.plan.window, window);
        }
        let mut growth = Growth::new();
        growth.checked(now, Duration::from_millis(50));
        (growth.plan.lanes, growth.up) = (8, 8);
        growth.rate = 12_500_000;
        growth.set_window(SEEKING_WINDOW);
        assert_eq!(growth.plan.window, MOST_WINDOW, "as far as it is");
        growth.checked(now, Duration::from_millis(90));
        growth.set_window(SEEKING_WINDOW);
        assert_eq!(growth.plan.window, 7 * RECORD, "the path has a queue");
        (growth.rate, growth.is_sole) = (100_000, true);
        growth.set_window(SEEKING_WINDOW);
        assert_eq!(growth.plan.window, 9 * RECORD, "the only lane does not give way");
    }

    // LN-POLITE
    #[test]
    fn windows_follow_what_arrives_while_the_count_stays() {
        #[allow(clippy::disallowed_methods)] // only differences from it matter
        let mut now = Instant::now();
        let mut growth = Growth::new();
        growth.checked(now, Duration::from_millis(20));
        (growth.plan.lanes, growth.up) = (4, 4);
        growth.rate = 1_000_000;
        growth.rest(now);
        growth.checked(now, Duration::from_millis(40));
        let mut seen = Seen { delivered: 0, is_backlogged: true, up: 4, most: 4 };
        assert_eq!(growth.look(now, seen).window, LEAST_WINDOW);
        for _ in 0..2 {
            now += Duration::from_millis(160);
            seen.delivered += 1_600_000;
            growth.look(now, seen);
        }
        assert_eq!(growth.plan.window, 5 * RECORD, "1.25 times 10 MB/s and 20 ms, over 4 lanes");
    }
    // LN-POLITE
    #[test]
    fn a_count_that_gave_way_comes_back_where_only_loss_is_left() {
        #[allow(clippy::disallowed_methods)] // only differences from it matter
        let mut now = Instant::now();
        for (after, comes_back) in [(2_000_000, true), (9_000_000, false)] {
            let mut growth = Growth::new();
            growth.checked(now, Duration::from_millis(20));
            (growth.plan.lanes, growth.up, growth.rate) = (16, 16, 10_000_000);
            growth.checked(now, Duration::from_millis(40));
            let mut seen = Seen { delivered: 0, is_backlogged: true, up: 16, most: 16 };
            growth.judge(now, seen);
            assert_eq!(growth.plan.lanes, 8, "the path has a queue");
            growth.checked(now, Duration::from_millis(20));
            growth.look(now, seen);
            for _ in 0..MAX_MISSED {
                now += Duration::from_millis(400);
                seen.delivered += after / 5 * 2;
                growth.look(now, seen);
            }
            assert_eq!(growth.plan.lanes, if comes_back { 16 } else { 8 });
        }
    }

    // LN-POLITE
    #[test]
    fn a_window_of_whole_records_holds_what_the_path_does() {
        #[allow(clippy::disallowed_methods)] // only differences from it matter
        let now = Instant::now();
        let mut growth = Growth::new();
        growth.checked(now, Duration::from_millis(20));
        (growth.plan.lanes, growth.up, growth.rate) = (8, 8, 11_600_000);
        growth.checked(now, Duration::from_millis(31));
        growth.set_window(RESTING_WINDOW);
        // Half a record is on its way into the window all the time.
        let in_flight = 8 * (growth.plan.window - RECORD / 2) as u64;
        assert!((230_000..400_000).contains(&in_flight), "{in_flight}");
    }
}
