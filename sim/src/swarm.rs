//! Many seeds: runs them on as many threads as are asked for, runs some twice
//! and compares, and adds up what was met. The result does not depend on the
//! number of threads.

use std::ops::Range;

use serde::Serialize;

use crate::outcome::{COMMIT, Outcome, Violation, divergence};
use crate::plan::{Plan, Planted};
use crate::sometimes::{Met, missed};
use crate::t0::run;

/// One seed of so many is run twice: 2 %.
const TWICE_EVERY: u64 = 50;
/// Seeds from which on a condition that was never met is a failure.
pub const SEEDS_TO_MEET_ALL: u64 = 1000;

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
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SwarmOutcome {
    /// Seeds that were run.
    pub seeds: u64,
    /// Seeds that were run twice.
    pub twice: u64,
    /// Those that failed, by seed.
    pub failures: Vec<Failure>,
    /// Conditions that were met.
    pub met: Met,
    /// Virtual time of all runs together, in microseconds.
    pub virtual_us: u64,
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
    /// Conditions that no run met.
    pub sometimes_missed: Vec<&'static str>,
    /// Seconds of virtual time.
    pub virtual_s: f64,
    /// Seconds that it took.
    pub real_s: f64,
}

impl SwarmOutcome {
    /// Whether nothing failed and, if there were enough seeds, every condition
    /// was met.
    pub fn passed(&self) -> bool {
        let expected = self.drawn && self.seeds >= SEEDS_TO_MEET_ALL;
        let met = !expected || missed(&self.met).is_empty();
        self.failures.is_empty() && met
    }

    /// The report of a swarm that took `real_s` seconds.
    pub fn report(&self, real_s: f64) -> SwarmReport {
        #[expect(clippy::cast_precision_loss, reason = "shown, never compared")]
        let virtual_s = self.virtual_us as f64 / 1e6;
        SwarmReport {
            tier: "t0",
            commit: COMMIT,
            verdict: if self.passed() { "pass" } else { "fail" },
            seeds: self.seeds,
            twice: self.twice,
            failed: self.failures.len(),
            failures: self.failures.iter().take(20).cloned().collect(),
            sometimes_missed: missed(&self.met),
            virtual_s,
            real_s,
        }
    }

    fn add(&mut self, plan: &Plan) {
        let outcome = run(plan, false);
        self.seeds += 1;
        self.virtual_us = self.virtual_us.saturating_add(outcome.virtual_us);
        if plan.seed.is_multiple_of(TWICE_EVERY) {
            self.twice += 1;
            self.failures.extend(differs(plan, &outcome));
        }
        if let Some(Violation { broken, .. }) = outcome.violation {
            let failure =
                Failure { seed: plan.seed, invariant: broken.invariant, detail: broken.detail };
            self.failures.push(failure);
        }
        self.met.extend(outcome.met);
    }

    fn join(&mut self, other: SwarmOutcome) {
        self.seeds += other.seeds;
        self.twice += other.twice;
        self.failures.extend(other.failures);
        self.met.extend(other.met);
        self.virtual_us = self.virtual_us.saturating_add(other.virtual_us);
    }
}

/// Runs a plan again and names the first event that differs from that of `first`,
/// if one does.
pub fn differs(plan: &Plan, first: &Outcome) -> Option<Failure> {
    if run(plan, false) == *first {
        return None;
    }
    let (one, other) = (run(plan, true), run(plan, true));
    let detail = divergence(&one.trace, &other.trace).map_or_else(
        || "the hashes differ and the traces do not".to_owned(),
        |(place, one, other)| format!("event {place}: {one} | {other}"),
    );
    Some(Failure { seed: plan.seed, invariant: "equal plans have equal runs", detail })
}

/// What a swarm runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Choice {
    /// The smallest plan for each seed in place of a drawn one.
    pub smallest: bool,
    /// A bug to plant in every run.
    pub planted: Option<Planted>,
}

impl Choice {
    /// The plan for a seed.
    pub fn plan(self, seed: u64) -> Plan {
        let plan = if self.smallest { Plan::smallest(seed) } else { Plan::from_seed(seed) };
        Plan { planted: self.planted, ..plan }
    }
}

/// Runs the plans of all `seeds` on `threads` threads, at least one.
pub fn swarm(seeds: Range<u64>, threads: u64, choice: Choice) -> SwarmOutcome {
    let threads = threads.max(1);
    let part = |number: u64| {
        let mut outcome = SwarmOutcome::default();
        let mut seed = seeds.start + number;
        while seed < seeds.end {
            outcome.add(&choice.plan(seed));
            seed += threads;
        }
        outcome
    };
    let mut all = SwarmOutcome { drawn: !choice.smallest, ..SwarmOutcome::default() };
    std::thread::scope(|scope| {
        let parts: Vec<_> = (0..threads).map(|number| scope.spawn(move || part(number))).collect();
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
