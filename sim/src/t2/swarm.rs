//! Many seeds of T2, on as many threads as are asked for. The result does not
//! depend on their number.

use std::ops::Range;

use super::sometimes::{Met, missed};
use super::{Plan, run};
use crate::outcome::{COMMIT, divergence};
use crate::swarm::{Failure, SwarmReport};

/// One seed of so many is run twice: 5 %.
const TWICE_EVERY: u64 = 20;
/// Seeds from which on a condition that was never met is a failure.
pub const SEEDS_TO_MEET_ALL: u64 = 400;

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

impl SwarmOutcome {
    /// Whether nothing failed and, if there were enough seeds, every condition
    /// was met.
    pub fn passed(&self) -> bool {
        let expected = self.drawn && self.seeds >= SEEDS_TO_MEET_ALL;
        self.failures.is_empty() && (!expected || missed(&self.met).is_empty())
    }

    /// The report of a swarm that took `real_s` seconds.
    pub fn report(&self, real_s: f64) -> SwarmReport {
        #[expect(clippy::cast_precision_loss, reason = "shown, never compared")]
        let virtual_s = self.virtual_us as f64 / 1e6;
        SwarmReport {
            tier: "t2",
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
        if plan.stage.seed.is_multiple_of(TWICE_EVERY) {
            self.twice += 1;
            if run(plan, false) != outcome {
                self.failures.push(differs(plan));
            }
        }
        if let Some(violation) = outcome.violation {
            let (invariant, detail) = (violation.broken.invariant, violation.broken.detail);
            self.failures.push(Failure { seed: plan.stage.seed, invariant, detail });
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

/// Runs a plan twice more and names the first event that differs, if one does.
fn differs(plan: &Plan) -> Failure {
    let (one, other) = (run(plan, true), run(plan, true));
    let detail = divergence(&one.trace, &other.trace).map_or_else(
        || "the hashes differ and the traces do not".to_owned(),
        |(place, one, other)| format!("event {place}: {one} | {other}"),
    );
    Failure { seed: plan.stage.seed, invariant: "equal plans have equal runs", detail }
}

/// Runs the plans of all `seeds` on `threads` threads, at least one; with
/// `smallest`, the smallest plan for each seed in place of a drawn one.
pub fn swarm(seeds: Range<u64>, threads: u64, smallest: bool) -> SwarmOutcome {
    let threads = threads.max(1);
    let part = |number: u64| {
        let mut outcome = SwarmOutcome::default();
        let mut seed = seeds.start + number;
        while seed < seeds.end {
            let plan = if smallest { Plan::smallest(seed) } else { Plan::from_seed(seed) };
            outcome.add(&plan);
            seed += threads;
        }
        outcome
    };
    let mut all = SwarmOutcome { drawn: !smallest, ..SwarmOutcome::default() };
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
