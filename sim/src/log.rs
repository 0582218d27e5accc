//! What a run says of itself, of a tier that sees every event: two hashes, lines
//! if they are wanted, and the conditions that it met.

use crate::hash::RunHash;
use crate::outcome::{Outcome, Violation};
use crate::tier::{MetBy, Tier};

#[derive(Debug)]
pub(crate) struct Log<T: Tier> {
    semantic: RunHash,
    pub(crate) wire: RunHash,
    pub(crate) met: MetBy<T>,
    trace: Option<Vec<String>>,
}

impl<T: Tier> Log<T> {
    pub(crate) fn new(traced: bool) -> Self {
        Self {
            semantic: RunHash::default(),
            wire: RunHash::default(),
            met: MetBy::<T>::new(),
            trace: traced.then(Vec::new),
        }
    }

    pub(crate) fn meet(&mut self, condition: T::Condition) {
        self.met.insert(condition);
    }

    /// An event, which counts.
    pub(crate) fn note(&mut self, now: u64, what: &str) {
        self.semantic.number(now);
        self.semantic.bytes(what.as_bytes());
        self.line(now, || what.to_owned());
    }

    /// A line that tells of something, which does not.
    pub(crate) fn line(&mut self, now: u64, what: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.trace {
            trace.push(format!("{now:>12} {}", what()));
        }
    }

    pub(crate) fn outcome(
        self,
        seed: u64,
        violation: Option<Violation>,
        virtual_us: u64,
        steps: u64,
    ) -> Outcome<T> {
        Outcome {
            seed,
            violation,
            semantic_hash: self.semantic.hex(),
            wire_hash: self.wire.hex(),
            virtual_us,
            steps,
            met: self.met,
            trace: self.trace.unwrap_or_default(),
        }
    }
}
