//! Many seeds of a tier: runs them on as many threads as are asked for, runs some
//! twice and compares, and adds up what was met. For equal seeds the result does not
//! depend on the number of threads.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;

use crate::hash::RunHash;
use crate::outcome::{COMMIT, Outcome, Violation, divergence};
use crate::tier::{MetBy, Tier, run};

/// One seed of so many is run twice: 2 %.
const TWICE_EVERY: u64 = 50;

/// A seed whose run broke an invariant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// The seed.
    pub seed: u64,
    /// The invariant.
    pub invariant: &'static str,
    /// What was seen.
    pub detail: String,
}

/// What a swarm came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SwarmOutcome<T: Tier> {
    /// Seeds that were run.
    pub seeds: u64,
    /// Seeds that were run twice.
    pub twice: u64,
    /// Those that failed, by seed.
    pub failures: Vec<Failure>,
    /// Conditions that were met.
    pub met: MetBy<T>,
    /// Virtual time of all runs together, in microseconds.
    pub virtual_us: u64,
    /// Both hashes of every run, in a sum: equal swarms have equal ones, on any machine.
    pub digest: u64,
    /// Whether plans were drawn, so that every condition should be met in time.
    pub drawn: bool,
}

/// The line of JSON with which a swarm ends.
#[derive(Clone, Debug, Serialize)]
pub struct SwarmReport {
    /// The tier.
    pub tier: &'static str,
    /// What the program was built from.
    pub commit: &'static str,
    /// `pass` or `fail`.
    pub verdict: &'static str,
    /// Seeds that were run.
    pub seeds: u64,
    /// Seeds that were run twice and compared.
    pub twice: u64,
    /// Number of those that failed.
    pub failed: usize,
    /// The first of those that failed.
    pub failures: Vec<Failure>,
    /// The sum of the hashes of all runs, as 16 hexadecimal digits.
    pub digest: String,
    /// Conditions that no run met.
    pub sometimes_missed: Vec<&'static str>,
    /// Seconds of virtual time.
    pub virtual_s: f64,
    /// Seconds that it took.
    pub real_s: f64,
}

impl<T: Tier> Default for SwarmOutcome<T> {
    fn default() -> Self {
        Self {
            seeds: 0,
            twice: 0,
            failures: Vec::new(),
            met: MetBy::<T>::new(),
            virtual_us: 0,
            digest: 0,
            drawn: false,
        }
    }
}

impl<T: Tier> SwarmOutcome<T> {
    /// Whether nothing failed and, if there were enough seeds, every condition
    /// was met.
    pub fn passed(&self) -> bool {
        let expected = self.drawn && self.seeds >= T::SEEDS_TO_MEET_ALL;
        self.failures.is_empty() && (!expected || self.missed().is_empty())
    }

    /// The names of the conditions that were not met.
    pub fn missed(&self) -> Vec<&'static str> {
        let all = T::CONDITIONS.iter().filter(|one| !self.met.contains(one));
        all.map(|one| T::name(*one)).collect()
    }

    /// The report of a swarm that took `real_s` seconds.
    pub fn report(&self, real_s: f64) -> SwarmReport {
        #[expect(clippy::cast_precision_loss, reason = "shown, never compared")]
        let virtual_s = self.virtual_us as f64 / 1e6;
        SwarmReport {
            tier: T::NAME,
            commit: COMMIT,
            verdict: if self.passed() { "pass" } else { "fail" },
            seeds: self.seeds,
            twice: self.twice,
            failed: self.failures.len(),
            failures: self.failures.iter().take(20).cloned().collect(),
            digest: format!("{:016x}", self.digest),
            sometimes_missed: self.missed(),
            virtual_s,
            real_s,
        }
    }

    fn add(&mut self, plan: &T) {
        let outcome = run(plan, false);
        let twice = is_run_twice(plan);
        self.seeds += 1;
        self.twice += u64::from(twice);
        self.virtual_us = self.virtual_us.saturating_add(outcome.virtual_us);
        self.digest = self.digest.wrapping_add(digest(&outcome));
        self.failures.extend(failures(plan, &outcome));
        self.met.extend(outcome.met);
    }

    fn join(&mut self, other: Self) {
        self.seeds += other.seeds;
        self.twice += other.twice;
        self.failures.extend(other.failures);
        self.met.extend(other.met);
        self.virtual_us = self.virtual_us.saturating_add(other.virtual_us);
        self.digest = self.digest.wrapping_add(other.digest);
    }
}

/// One number for both hashes of a run.
fn digest<T: Tier>(outcome: &Outcome<T>) -> u64 {
    let mut hash = RunHash::default();
    hash.number(outcome.seed);
    hash.bytes(outcome.semantic_hash.as_bytes());
    hash.bytes(outcome.wire_hash.as_bytes());
    hash.sum()
}

fn is_run_twice(plan: &impl Tier) -> bool {
    plan.seed().is_multiple_of(TWICE_EVERY)
}

/// What a swarm finds at a plan whose run came to `outcome`: a broken invariant,
/// or another run where the plan is one of those that are run twice.
pub(crate) fn failures<T: Tier>(plan: &T, outcome: &Outcome<T>) -> Vec<Failure> {
    let violation = outcome.violation.as_ref().map(|Violation { broken, .. }| Failure {
        seed: plan.seed(),
        invariant: broken.invariant,
        detail: broken.detail.clone(),
    });
    let differs = if is_run_twice(plan) { differs(plan, outcome) } else { None };
    violation.into_iter().chain(differs).collect()
}

/// Runs a plan again and names the first event that differs from that of `first`,
/// if one does.
fn differs<T: Tier>(plan: &T, first: &Outcome<T>) -> Option<Failure> {
    if run(plan, false) == *first {
        return None;
    }
    let (one, other) = (run(plan, true), run(plan, true));
    let detail = divergence(&one.trace, &other.trace).map_or_else(
        || "the hashes differ and the traces do not".to_owned(),
        |(place, one, other)| format!("event {place}: {one} | {other}"),
    );
    Some(Failure { seed: plan.seed(), invariant: "equal plans have equal runs", detail })
}

/// Runs the plans of all `seeds` on `threads` threads, at least one; with
/// `smallest`, the smallest plan for each seed in place of a drawn one.
pub fn swarm<T: Tier>(seeds: Range<u64>, threads: u64, smallest: bool) -> SwarmOutcome<T> {
    let plan = if smallest { T::smallest } else { T::from_seed };
    swarm_of(seeds.start, |seed| seed < seeds.end, threads, !smallest, plan)
}

/// As [`swarm`], of other plans, for seeds from `first` on as long as `goes_on` says
/// so of the next one. `drawn` says that every condition should be met in time.
pub fn swarm_of<T: Tier>(
    first: u64,
    goes_on: impl Fn(u64) -> bool + Sync,
    threads: u64,
    drawn: bool,
    plan: impl Fn(u64) -> T + Sync,
) -> SwarmOutcome<T> {
    let next = AtomicU64::new(first);
    let part = || {
        let mut outcome = SwarmOutcome::default();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if !goes_on(seed) {
                return outcome;
            }
            outcome.add(&plan(seed));
        }
    };
    let mut all = SwarmOutcome { drawn, ..SwarmOutcome::default() };
    std::thread::scope(|scope| {
        let parts: Vec<_> = (0..threads.max(1)).map(|_| scope.spawn(part)).collect();
        for part in parts {
            match part.join() {
                Ok(outcome) => all.join(outcome),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
    });
    all.failures.sort_by_key(|failure| failure.seed);
    all
}
