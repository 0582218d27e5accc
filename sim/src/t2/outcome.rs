//! What a run of T2 came to, and its line of JSON, which has the fields of T0's.

use super::sometimes::Met;
use crate::outcome::{self, RunReport, Violation};

/// What a run came to. Equal plans have equal outcomes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// The plan's seed.
    pub seed: u64,
    /// The first invariant that did not hold, if any.
    pub violation: Option<Violation>,
    /// Over all events and what programs print, with their times.
    pub semantic_hash: String,
    /// Over all datagrams, with the times at which they were sent.
    pub wire_hash: String,
    /// How long it took, in microseconds of virtual time.
    pub virtual_us: u64,
    /// Things that happened.
    pub steps: u64,
    /// Conditions that it met.
    pub met: Met,
    /// A line for every event and datagram, if that was asked for.
    pub trace: Vec<String>,
}

impl Outcome {
    /// Whether every invariant held.
    pub fn passed(&self) -> bool {
        self.violation.is_none()
    }

    /// The report of a run that took `real_s` seconds.
    pub fn report(&self, real_s: f64) -> RunReport {
        let same = outcome::Outcome {
            seed: self.seed,
            violation: self.violation.clone(),
            semantic_hash: self.semantic_hash.clone(),
            wire_hash: self.wire_hash.clone(),
            virtual_us: self.virtual_us,
            steps: self.steps,
            ..outcome::Outcome::default()
        };
        let met = self.met.iter().map(|one| one.name()).collect();
        RunReport { tier: "t2", met, ..same.report(real_s) }
    }
}
