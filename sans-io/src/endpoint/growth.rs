//! How many lanes, and how much on each: found by what arrives, not by hope
//! (`LN-POLITE`, `LN-COUNT`). It sees sums over all lanes and knows nothing of any
//! single one.

use std::time::{Duration, Instant};

use crate::lane::DEFAULT_WINDOW;

/// What a lane may have in flight at least: two records; and at most: more is slow.
const LEAST_WINDOW: usize = 32 << 10;
const MOST_WINDOW: usize = 128 << 10;
/// Lanes up to which nobody has to show a need (`LN-COUNT`).
const USUAL: u16 = 8;
/// Round trips that new lanes have to come up to speed, and over which is measured.
const SETTLE: u32 = 8;
const MEASURE: u32 = 8;
/// The least time for either.
const LEAST: Duration = Duration::from_millis(60);
/// How much more has to arrive for twice the lanes to stay, in percent.
const GAIN: u64 = 115;
/// How much has to arrive still for half of the lanes to do, in percent.
const ENOUGH: u64 = 95;
/// After how many round trips, and at least how much time, a count is questioned again.
const REST: u32 = 100;
const LEAST_REST: Duration = Duration::from_secs(5);
/// Windows hold so much of what the rate and the round trip ask for, in percent:
/// while the count is sought, and in between.
const SEEKING_WINDOW: u64 = 150;
const RESTING_WINDOW: u64 = 125;
/// A round trip has grown if it is longer than the least one by half, and by this.
const QUEUE: Duration = Duration::from_millis(10);
/// How often it is waited for lanes to come up.
const MAX_WAITS: u32 = 5;
/// How long the least round trip is believed.
const MEMORY: Duration = Duration::from_secs(30);

/// What is being done about the count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Nothing: nobody sends.
    Idle,
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
    /// How often it was waited for lanes that did not come up.
    waits: u32,
    plan: Plan,
    /// The count before the last change, and what arrived with it, in bytes a second.
    before: (u16, u64),
    /// What arrived with the count of now.
    rate: u64,
    /// The least round trip, and when it was seen.
    least: Option<(Duration, Instant)>,
    /// The least round trip since the last look.
    recent: Option<Duration>,
}

impl Growth {
    pub(super) fn new() -> Self {
        Self {
            phase: Phase::Idle,
            trial: Trial::First,
            waits: 0,
            plan: Plan { lanes: 1, window: DEFAULT_WINDOW },
            before: (1, 0),
            rate: 0,
            least: None,
            recent: None,
        }
    }

    pub(super) fn plan(&self) -> Plan {
        self.plan
    }

    /// When to look again.
    pub(super) fn wake(&self) -> Option<Instant> {
        match self.phase {
            Phase::Idle => None,
            Phase::Settling { until }
            | Phase::Measuring { until, .. }
            | Phase::Resting { until } => Some(until),
        }
    }

    /// A message was on its way for so long.
    pub(super) fn round_trip(&mut self, now: Instant, time: Duration) {
        self.recent = Some(self.recent.map_or(time, |least| least.min(time)));
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

    /// Looks at what arrived, and makes a plan.
    pub(super) fn look(&mut self, now: Instant, seen: Seen) -> Plan {
        if !seen.is_backlogged {
            // What arrives then says nothing of the path.
            if !matches!(self.phase, Phase::Idle) && self.wake().is_some_and(|at| now >= at) {
                self.rest(now);
            }
            return self.plan;
        }
        match self.phase {
            // The first round trip says how long to wait for the next.
            Phase::Idle => {
                if self.least.is_some() {
                    self.change(now, Trial::First, USUAL.min(seen.most));
                }
            }
            Phase::Settling { until } if now >= until => {
                let until = now + self.trips(MEASURE);
                self.phase = Phase::Measuring { since: now, until, from: seen.delivered };
                self.recent = None;
            }
            Phase::Measuring { since, until, from } if now >= until => {
                let time = now.saturating_duration_since(since);
                let bytes = seen.delivered.saturating_sub(from);
                self.rate = rate(bytes, time);
                self.judge(now, seen);
            }
            Phase::Resting { until } if now >= until => {
                let up = seen.up >= self.plan.lanes && self.plan.lanes < seen.most;
                self.before = (self.plan.lanes, self.rate);
                if up && self.trial != Trial::Up {
                    self.change(now, Trial::Up, self.plan.lanes.saturating_mul(2).min(seen.most));
                } else if self.plan.lanes > 1 {
                    self.change(now, Trial::Down, self.plan.lanes / 2);
                } else {
                    self.rest(now);
                }
            }
            _ => {}
        }
        self.plan
    }

    /// Whether the last change stays.
    fn judge(&mut self, now: Instant, seen: Seen) {
        let (lanes, rate) = self.before;
        self.set_window(SEEKING_WINDOW);
        if seen.up < self.plan.lanes {
            if self.waits < MAX_WAITS {
                self.waits += 1;
                return self.settle(now);
            }
            // They do not come.
            self.plan.lanes = seen.up;
            return self.rest(now);
        }
        match self.trial {
            Trial::First if self.plan.lanes < seen.most => {
                self.before = (self.plan.lanes, self.rate);
                self.change(now, Trial::Up, self.plan.lanes.saturating_mul(2).min(seen.most));
            }
            Trial::Up if self.rate.saturating_mul(100) >= rate.saturating_mul(GAIN) => {
                if self.plan.lanes < seen.most {
                    self.before = (self.plan.lanes, self.rate);
                    self.change(now, Trial::Up, self.plan.lanes.saturating_mul(2).min(seen.most));
                } else {
                    self.rest(now);
                }
            }
            Trial::Up => {
                self.plan.lanes = lanes;
                self.rate = rate;
                self.rest(now);
            }
            Trial::Down if self.rate.saturating_mul(100) < rate.saturating_mul(ENOUGH) => {
                self.plan.lanes = lanes;
                self.rate = rate;
                self.rest(now);
            }
            Trial::Down | Trial::First => self.rest(now),
        }
    }

    fn change(&mut self, now: Instant, trial: Trial, lanes: u16) {
        self.trial = trial;
        self.plan.lanes = lanes.max(1);
        self.waits = 0;
        self.set_window(SEEKING_WINDOW);
        self.settle(now);
    }

    fn settle(&mut self, now: Instant) {
        self.phase = Phase::Settling { until: now + self.trips(SETTLE) };
    }

    fn rest(&mut self, now: Instant) {
        self.set_window(RESTING_WINDOW);
        self.phase = Phase::Resting { until: now + self.trips(REST).max(LEAST_REST) };
    }

    /// The window for the rate of now, shared by the lanes.
    fn set_window(&mut self, percent: u64) {
        let Some((least, _)) = self.least else { return };
        let queue = self.recent.map_or(Duration::ZERO, |recent| recent.saturating_sub(least));
        let is_queued = queue > QUEUE && queue > least / 2;
        let percent = if is_queued { RESTING_WINDOW.min(percent) } else { percent };
        let micros = u64::try_from(least.as_micros()).unwrap_or(u64::MAX);
        let product = self.rate.saturating_mul(micros) / 1_000_000;
        let all = product.saturating_mul(percent) / 100;
        let each = usize::try_from(all / u64::from(self.plan.lanes)).unwrap_or(MOST_WINDOW);
        // Before anything was measured there is nothing to go by.
        let each = if self.rate == 0 { self.plan.window } else { each };
        self.plan.window = each.clamp(LEAST_WINDOW, MOST_WINDOW);
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
        assert_eq!(counts[..4], [8, 16, 32, 16], "{counts:?}");
        assert_eq!(counts[4], 32, "half of them were not enough: {counts:?}");
    }

    #[test]
    fn a_near_path_is_given_what_raises_the_rate() {
        let path = |lanes: u16| [100, 150, 200, 295][lanes.ilog2().min(3) as usize] << 20;
        let (_, counts) = find(Duration::from_micros(200), 16, path);
        assert_eq!(counts[..4], [8, 16, 8, 4], "{counts:?}");
        assert_eq!(counts[4], 8, "half of them were not enough: {counts:?}");
    }

    #[test]
    fn windows_follow_the_rate_and_stay_in_their_bounds() {
        #[allow(clippy::disallowed_methods)] // only differences from it matter
        let now = Instant::now();
        let mut growth = Growth::new();
        growth.round_trip(now, Duration::from_millis(50));
        growth.plan.lanes = 8;
        for (rate, window) in [(1, LEAST_WINDOW), (12_500_000, 117_187), (1 << 40, MOST_WINDOW)] {
            growth.rate = rate;
            growth.set_window(SEEKING_WINDOW);
            assert_eq!(growth.plan.window, window);
        }
        growth.rate = 12_500_000;
        growth.recent = Some(Duration::from_millis(90));
        growth.set_window(SEEKING_WINDOW);
        assert_eq!(growth.plan.window, 97_656, "the path has a queue");
    }
}
