//! A set of numbers kept as ranges: which chunks are there, which are
//! acknowledged. How ranges are encoded in frames does not live here.

use std::collections::BTreeMap;
use std::ops::Range;

/// A set of `u64`, kept as disjoint half-open ranges that do not touch. Memory
/// is in proportion to [`RangeSet::runs`], which the caller bounds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RangeSet {
    /// Start to end of each run.
    runs: BTreeMap<u64, u64>,
}

impl RangeSet {
    /// The empty set.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds all numbers of `range`; an empty or reversed range adds nothing.
    /// Returns how many were not in the set before.
    pub fn insert(&mut self, range: Range<u64>) -> u64 {
        if range.start >= range.end {
            return 0;
        }
        let Range { mut start, mut end } = range;
        let mut known = 0;
        // Runs that overlap or touch begin at or before `end`; from the last
        // backwards, the first one that ends before `start` ends the search.
        while let Some((&run_start, &run_end)) = self.runs.range(..=end).next_back() {
            if run_end < start {
                break;
            }
            self.runs.remove(&run_start);
            known += run_end - run_start;
            start = start.min(run_start);
            end = end.max(run_end);
        }
        self.runs.insert(start, end);
        end - start - known
    }

    /// Whether `number` is in the set.
    pub fn contains(&self, number: u64) -> bool {
        self.runs.range(..=number).next_back().is_some_and(|(_, &end)| number < end)
    }

    /// How many numbers are in the set.
    pub fn len(&self) -> u64 {
        self.runs.iter().map(|(start, end)| end - start).sum()
    }

    /// Whether no number is in the set.
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// How many ranges the set consists of.
    pub fn runs(&self) -> usize {
        self.runs.len()
    }

    /// The ranges in ascending order; neither empty nor touching.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = Range<u64>> + '_ {
        self.runs.iter().map(|(&start, &end)| start..end)
    }

    /// The smallest number from `from` on that is not in the set. `u64::MAX`
    /// can never be in it.
    pub fn first_missing(&self, from: u64) -> u64 {
        match self.runs.range(..=from).next_back() {
            Some((_, &end)) if from < end => end,
            _ => from,
        }
    }

    /// Whether the set is exactly the numbers below `n`.
    pub fn is_contiguous_from_zero(&self, n: u64) -> bool {
        match self.runs.first_key_value() {
            None => n == 0,
            Some((&start, &end)) => start == 0 && end == n && self.runs.len() == 1,
        }
    }
}
