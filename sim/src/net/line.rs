//! One direction of a line: what it does to a datagram. It may lose it, one by
//! one or in bursts, hold it up behind others or drop it when too many wait,
//! deliver it late, twice, or with bits turned, and it takes none that is too
//! long.

use serde::{Deserialize, Serialize};

use crate::rng::Draw;

/// How a line loses datagrams.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Loss {
    /// Never.
    None,
    /// Each with the same probability.
    Uniform {
        /// How many of a thousand.
        permille: u64,
    },
    /// In bursts (Gilbert and Elliott): the line is good or bad, and may change
    /// with each datagram. However few come, it is not bad for more than a second.
    Bursts {
        /// How often of a thousand times a good line becomes bad.
        enter_permille: u64,
        /// How often of a thousand times a bad line becomes good.
        leave_permille: u64,
        /// How many of a thousand a good line loses.
        good_permille: u64,
        /// How many of a thousand a bad line loses.
        bad_permille: u64,
    },
}

/// How long a burst takes at most.
const LONGEST_BURST_US: u64 = 1_000_000;

/// One direction of a line as data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LinePlan {
    /// Delay.
    pub delay_us: u64,
    /// Most that is added to the delay of a datagram, which may overtake others
    /// by it.
    pub jitter_us: u64,
    /// Bytes a second; 0 for no limit.
    pub rate: u64,
    /// Bytes that may wait for the line when it has a rate; what comes above
    /// that is dropped.
    pub queue: u64,
    /// What is lost.
    pub loss: Loss,
    /// How many of a thousand are held back for [`LinePlan::reorder_us`].
    pub reorder_permille: u64,
    /// For how long.
    pub reorder_us: u64,
    /// How many of a thousand arrive twice.
    pub duplicate_permille: u64,
    /// How many of a thousand arrive with a bit turned.
    pub corrupt_permille: u64,
    /// Longest packet, IP and UDP headers included.
    pub mtu: usize,
}

impl LinePlan {
    /// A line that does nothing but take `delay_us`.
    pub fn ideal(delay_us: u64) -> Self {
        Self {
            delay_us,
            jitter_us: 0,
            rate: 0,
            queue: 0,
            loss: Loss::None,
            reorder_permille: 0,
            reorder_us: 0,
            duplicate_permille: 0,
            corrupt_permille: 0,
            mtu: 1500,
        }
    }
}

/// What befell a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fate {
    /// Lost at random.
    Lost,
    /// Lost while the line was bad.
    LostInBurst,
    /// Dropped since too many waited.
    QueueFull,
    /// Longer than the line takes.
    TooLong,
    /// The line was out.
    Outage,
    /// Had to wait for others.
    Queued,
    /// Held back.
    Reordered,
    /// Delivered twice.
    Duplicated,
    /// Delivered with a bit turned.
    Corrupted,
}

/// What a line makes of a datagram.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Carried {
    /// When each copy arrives, and its bytes.
    pub copies: Vec<(u64, Vec<u8>)>,
    /// What befell it.
    pub fates: Vec<Fate>,
}

impl Carried {
    pub(super) fn lost(fate: Fate) -> Self {
        Self { copies: Vec::new(), fates: vec![fate] }
    }
}

/// One direction of a line in a run.
#[derive(Debug)]
pub struct Line {
    plan: LinePlan,
    draw: Draw,
    /// Since when the line is bad, if it is.
    bad: Option<u64>,
    /// When the line has carried what it took.
    free_at: u64,
}

impl Line {
    /// The line of a plan; `purpose` names it among the others.
    pub fn new(plan: &LinePlan, seed: u64, purpose: &str) -> Self {
        Self { plan: plan.clone(), draw: Draw::new(seed, purpose), bad: None, free_at: 0 }
    }

    /// From now on it takes its time, and does nothing else.
    pub(super) fn heal(&mut self) {
        let LinePlan { delay_us, rate, queue, mtu, .. } = self.plan;
        self.plan = LinePlan { rate, queue, mtu, ..LinePlan::ideal(delay_us) };
    }

    /// Takes a datagram at `now`, which must not go back.
    pub fn carry(&mut self, now: u64, contents: &[u8], v6: bool) -> Carried {
        let length = contents.len() + if v6 { 48 } else { 28 };
        if length > self.plan.mtu {
            return Carried::lost(Fate::TooLong);
        }
        let mut fates = Vec::new();
        let length = length as u64;
        if self.plan.rate > 0 {
            let waiting_us = self.free_at.saturating_sub(now);
            let waiting = waiting_us.saturating_mul(self.plan.rate) / 1_000_000;
            if waiting > 0 {
                fates.push(Fate::Queued);
            }
            if waiting + length > self.plan.queue {
                return Carried::lost(Fate::QueueFull);
            }
            self.free_at = self.free_at.max(now) + (length * 1_000_000).div_ceil(self.plan.rate);
        } else {
            self.free_at = now;
        }
        if let Some(fate) = self.loses(now) {
            return Carried::lost(fate);
        }
        let mut at = self.free_at + self.plan.delay_us;
        at += self.draw.between(0, self.plan.jitter_us);
        if self.draw.chance(self.plan.reorder_permille) {
            at += self.plan.reorder_us;
            fates.push(Fate::Reordered);
        }
        let mut contents = contents.to_vec();
        if self.draw.chance(self.plan.corrupt_permille) {
            let bit = self.draw.below(contents.len() as u64 * 8);
            let place = usize::try_from(bit / 8).unwrap_or(0);
            if let Some(byte) = contents.get_mut(place) {
                *byte ^= 1 << (bit % 8);
            }
            fates.push(Fate::Corrupted);
        }
        let mut copies = vec![(at, contents)];
        if self.draw.chance(self.plan.duplicate_permille) {
            let later = at + self.draw.between(0, self.plan.jitter_us + 1000);
            copies.push((later, copies[0].1.clone()));
            fates.push(Fate::Duplicated);
        }
        Carried { copies, fates }
    }

    fn loses(&mut self, now: u64) -> Option<Fate> {
        match self.plan.loss {
            Loss::None => None,
            Loss::Uniform { permille } => self.draw.chance(permille).then_some(Fate::Lost),
            Loss::Bursts { enter_permille, leave_permille, good_permille, bad_permille } => {
                self.bad = self.bad.filter(|since| now < since + LONGEST_BURST_US);
                let change = if self.bad.is_some() { leave_permille } else { enter_permille };
                if self.draw.chance(change) {
                    self.bad = self.bad.is_none().then_some(now);
                }
                let (permille, fate) = if self.bad.is_some() {
                    (bad_permille, Fate::LostInBurst)
                } else {
                    (good_permille, Fate::Lost)
                };
                self.draw.chance(permille).then_some(fate)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(change: impl FnOnce(&mut LinePlan)) -> Line {
        let mut plan = LinePlan::ideal(20_000);
        change(&mut plan);
        Line::new(&plan, 7, "test")
    }

    fn fates(line: &mut Line, count: u64) -> Vec<Fate> {
        (0..count).flat_map(|n| line.carry(n * 1000, &[0; 100], false).fates).collect()
    }

    #[test]
    fn an_ideal_line_takes_its_delay_and_no_more() {
        let carried = line(|_| ()).carry(5, b"abc", true);
        assert_eq!(carried, Carried { copies: vec![(20_005, b"abc".to_vec())], fates: vec![] });
    }

    #[test]
    fn uniform_loss_is_as_frequent_as_planned() {
        let lost = fates(&mut line(|plan| plan.loss = Loss::Uniform { permille: 200 }), 1000);
        assert!((150..250).contains(&lost.len()), "{}", lost.len());
    }

    #[test]
    fn bursts_are_longer_than_chance_would_make_them() {
        let (enter_permille, leave_permille) = (20, 200);
        let (good_permille, bad_permille) = (0, 1000);
        let loss = Loss::Bursts { enter_permille, leave_permille, good_permille, bad_permille };
        let mut line = line(|plan| plan.loss = loss);
        let lost: Vec<bool> =
            (0..2000).map(|n| line.carry(n, b"x", false).copies.is_empty()).collect();
        let count = lost.iter().filter(|lost| **lost).count();
        let pairs = lost.windows(2).filter(|pair| pair[0] && pair[1]).count();
        // A tenth is lost; after a lost one, four in five are lost again.
        assert!((100..300).contains(&count), "{count}");
        assert!(pairs * 10 > count * 7, "{pairs} of {count}");
    }

    #[test]
    fn a_burst_ends_though_nothing_is_sent() {
        let (enter_permille, leave_permille) = (1000, 0);
        let (good_permille, bad_permille) = (0, 1000);
        let loss = Loss::Bursts { enter_permille, leave_permille, good_permille, bad_permille };
        let mut line = line(|plan| plan.loss = loss);
        let mut is_lost = |at| line.carry(at, b"x", false).copies.is_empty();
        assert_eq!([0, LONGEST_BURST_US - 1].map(&mut is_lost), [true, true]);
        line.plan.loss =
            Loss::Bursts { enter_permille: 0, leave_permille, good_permille, bad_permille };
        assert!(!line.carry(LONGEST_BURST_US, b"x", false).copies.is_empty());
    }

    #[test]
    fn a_rate_spreads_datagrams_and_a_full_queue_drops_the_last() {
        let mut line = line(|plan| (plan.rate, plan.queue) = (1_000_000, 300));
        let arrivals: Vec<Option<u64>> = (0..4)
            .map(|_| line.carry(0, &[0; 72], false).copies.first().map(|copy| copy.0))
            .collect();
        assert_eq!(arrivals, [Some(20_100), Some(20_200), Some(20_300), None]);
        assert_eq!(line.carry(300, &[0; 72], false).copies[0].0, 20_400, "there is room again");
    }

    #[test]
    fn what_is_too_long_is_dropped_and_headers_count() {
        let mut line = line(|plan| plan.mtu = 1280);
        let mut taken = |len, v6| !line.carry(0, &vec![0; len], v6).copies.is_empty();
        assert_eq!((taken(1252, false), taken(1253, false)), (true, false));
        assert_eq!((taken(1232, true), taken(1233, true)), (true, false));
    }

    #[test]
    fn copies_late_ones_and_turned_bits_come_as_often_as_planned() {
        let mut line = line(|plan| {
            plan.duplicate_permille = 100;
            plan.corrupt_permille = 100;
            (plan.reorder_permille, plan.reorder_us) = (100, 50_000);
        });
        let fates = fates(&mut line, 1000);
        for fate in [Fate::Duplicated, Fate::Corrupted, Fate::Reordered] {
            let count = fates.iter().filter(|one| **one == fate).count();
            assert!((60..140).contains(&count), "{fate:?}: {count}");
        }
        let turned: u32 = (0..200)
            .map(|n| {
                let carried = line.carry(10_000_000 + n, &[0; 8], false);
                let ones: u32 = carried.copies[0].1.iter().map(|byte| byte.count_ones()).sum();
                assert_eq!(ones, u32::from(carried.fates.contains(&Fate::Corrupted)));
                ones
            })
            .sum();
        assert!(turned > 0);
    }
}
