//! What a run came to, of whichever tier: its verdict, two hashes by which it is
//! compared with another, and what it met.

use serde::Serialize;

use crate::oracle::Broken;
use crate::tier::{MetBy, Tier};

/// An invariant that did not hold, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// What did not hold.
    pub broken: Broken,
    /// The virtual time, in microseconds.
    pub at_us: u64,
}

/// What a run came to. Equal plans have equal outcomes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome<T: Tier> {
    /// The plan's seed.
    pub seed: u64,
    /// The first invariant that did not hold, if any.
    pub violation: Option<Violation>,
    /// Over all events and what became of files, with their times.
    pub semantic_hash: String,
    /// Over all bytes on the wire, with the times at which they were sent.
    pub wire_hash: String,
    /// How long it took, in microseconds of virtual time.
    pub virtual_us: u64,
    /// Things that happened.
    pub steps: u64,
    /// Conditions that it met.
    pub met: MetBy<T>,
    /// A line for every event and message, if that was asked for.
    pub trace: Vec<String>,
}

impl<T: Tier> Default for Outcome<T> {
    fn default() -> Self {
        Self {
            seed: 0,
            violation: None,
            semantic_hash: String::new(),
            wire_hash: String::new(),
            virtual_us: 0,
            steps: 0,
            met: MetBy::<T>::new(),
            trace: Vec::new(),
        }
    }
}

/// The line of JSON with which a run ends.
#[derive(Clone, Debug, Serialize)]
pub struct RunReport {
    /// The tier.
    pub tier: &'static str,
    /// The plan's seed.
    pub seed: u64,
    /// What the program was built from.
    pub commit: &'static str,
    /// `pass` or `fail`.
    pub verdict: &'static str,
    /// The invariant that did not hold.
    pub invariant: Option<&'static str>,
    /// What was seen of it.
    pub detail: Option<String>,
    /// See [`Outcome::semantic_hash`].
    pub semantic_hash: String,
    /// See [`Outcome::wire_hash`].
    pub wire_hash: String,
    /// Seconds of virtual time.
    pub virtual_s: f64,
    /// Seconds that it took.
    pub real_s: f64,
    /// Things that happened.
    pub steps: u64,
    /// Names of the conditions that were met.
    pub met: Vec<&'static str>,
}

/// What this was built from: a name that git gave, or `unknown`.
pub const COMMIT: &str = env!("PASSEL_SIM_COMMIT");

impl<T: Tier> Outcome<T> {
    /// Whether every invariant held.
    pub fn passed(&self) -> bool {
        self.violation.is_none()
    }

    /// The report of a run that took `real_s` seconds.
    pub fn report(&self, real_s: f64) -> RunReport {
        let broken = self.violation.as_ref().map(|violation| &violation.broken);
        #[expect(clippy::cast_precision_loss, reason = "a run is shorter than 2^52 microseconds")]
        let virtual_s = self.virtual_us as f64 / 1e6;
        RunReport {
            tier: T::NAME,
            seed: self.seed,
            commit: COMMIT,
            verdict: if self.passed() { "pass" } else { "fail" },
            invariant: broken.map(|broken| broken.invariant),
            detail: broken.map(|broken| broken.detail.clone()),
            semantic_hash: self.semantic_hash.clone(),
            wire_hash: self.wire_hash.clone(),
            virtual_s,
            real_s,
            steps: self.steps,
            met: self.met.iter().map(|one| T::name(*one)).collect(),
        }
    }
}

/// The first line in which two traces differ, and its place.
pub fn divergence(one: &[String], other: &[String]) -> Option<(usize, String, String)> {
    let line = |trace: &[String], place| trace.get(place).cloned().unwrap_or_default();
    (0..one.len().max(other.len()))
        .find(|&place| one.get(place) != other.get(place))
        .map(|place| (place, line(one, place), line(other, place)))
}
