//! Steps and their outcomes: a [`Ledger`] runs steps one after another, goes on
//! after a failure, and counts. What a step does lives in the chores.

use std::fmt;
use std::time::{Duration, Instant};

/// How many checks passed and how many failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Checks that passed.
    pub(crate) passed: usize,
    /// Checks that failed, or that ended without a verdict.
    pub(crate) failed: usize,
}

impl Tally {
    /// Whether something was checked and nothing failed.
    pub(crate) fn is_green(self) -> bool {
        self.failed == 0 && self.passed > 0
    }

    /// Adds another count to this one.
    pub(crate) fn add(&mut self, other: Tally) {
        self.passed += other.passed;
        self.failed += other.failed;
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed", self.passed, self.failed)
    }
}

/// What a step says when it passed or failed.
pub(crate) type StepResult = Result<String, String>;

/// Runs steps and remembers how they went.
#[derive(Default)]
pub(crate) struct Ledger {
    tally: Tally,
    lines: Vec<String>,
    notes: Vec<String>,
}

impl Ledger {
    /// Runs one step, prints its name, time and outcome, counts it as one check
    /// and returns whether it passed.
    pub(crate) fn step(&mut self, name: &str, run: impl FnOnce() -> StepResult) -> bool {
        println!("── {name}");
        let begin = Instant::now();
        let result = run();
        let took = seconds(begin.elapsed());
        let (word, text) = match &result {
            Ok(text) => ("passed", text),
            Err(text) => ("FAILED", text),
        };
        let text = if text.is_empty() { String::new() } else { format!(": {text}") };
        let line = format!("{word}  {took:>7}  {name}{text}");
        println!("── {line}\n");
        self.lines.push(line);
        self.tally.add(Tally {
            passed: usize::from(result.is_ok()),
            failed: usize::from(result.is_err()),
        });
        result.is_ok()
    }

    /// Adds checks that were counted elsewhere, such as single tests.
    pub(crate) fn add(&mut self, tally: Tally) {
        self.tally.add(tally);
    }

    /// Keeps a sentence that must not be missed; it is printed at the very end.
    pub(crate) fn note(&mut self, text: String) {
        self.notes.push(text);
    }

    /// Takes over the steps, counts and notes of another chore.
    pub(crate) fn absorb(&mut self, other: Ledger) {
        self.tally.add(other.tally);
        self.lines.extend(other.lines);
        self.notes.extend(other.notes);
    }

    /// One line for each step: outcome, time, name.
    pub(crate) fn lines(&self) -> &[String] {
        &self.lines
    }

    /// The sentences that were kept for the end.
    pub(crate) fn notes(&self) -> &[String] {
        &self.notes
    }

    /// The count so far.
    pub(crate) fn tally(&self) -> Tally {
        self.tally
    }
}

/// A duration as people read it.
pub(crate) fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_step_is_counted_and_the_next_one_runs() {
        let mut ledger = Ledger::default();
        assert!(!ledger.step("breaks", || Err("broken".into())));
        assert!(ledger.step("holds", || Ok(String::new())));
        assert_eq!(ledger.tally().to_string(), "1 passed, 1 failed");
        assert!(!ledger.tally().is_green());
    }

    #[test]
    fn nothing_checked_is_not_green() {
        assert!(!Tally::default().is_green());
        assert!(Tally { passed: 1, failed: 0 }.is_green());
    }

    #[test]
    fn absorbing_adds_counts_and_keeps_notes() {
        let mut one = Ledger::default();
        one.add(Tally { passed: 2, failed: 1 });
        let mut other = Ledger::default();
        other.add(Tally { passed: 3, failed: 0 });
        other.note("remember".into());
        one.absorb(other);
        assert_eq!(one.tally(), Tally { passed: 5, failed: 1 });
        assert_eq!(one.notes(), ["remember"]);
    }
}
