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
    /// How many numbers are in the runs together.
    len: u64,
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
        let new = end - start - known;
        self.len += new;
        new
    }

    /// Takes `range` out. How many of its numbers were in the set is the result.
    pub fn remove(&mut self, range: Range<u64>) -> u64 {
        if range.is_empty() {
            return 0;
        }
        let overlapping: Vec<Range<u64>> = self
            .iter()
            .rev()
            .skip_while(|run| run.start >= range.end)
            .take_while(|run| run.end > range.start)
            .collect();
        let mut gone = 0;
        for run in overlapping {
            self.runs.remove(&run.start);
            if run.start < range.start {
                self.runs.insert(run.start, range.start);
            }
            if run.end > range.end {
                self.runs.insert(range.end, run.end);
            }
            gone += run.end.min(range.end) - run.start.max(range.start);
        }
        self.len -= gone;
        gone
    }

    /// Whether `number` is in the set.
    pub fn contains(&self, number: u64) -> bool {
        self.runs.range(..=number).next_back().is_some_and(|(_, &end)| number < end)
    }

    /// Whether all numbers of `range` are in the set.
    pub fn contains_all(&self, range: &Range<u64>) -> bool {
        range.is_empty() || self.first_missing(range.start) >= range.end
    }

    /// The smallest number from `from` on that is in the set.
    pub fn first_present(&self, from: u64) -> Option<u64> {
        if self.contains(from) {
            return Some(from);
        }
        self.runs.range(from..).next().map(|(&start, _)| start)
    }

    /// How many numbers are in the set.
    pub fn len(&self) -> u64 {
        self.len
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn touching_ranges_become_one() {
        let mut set = RangeSet::new();
        assert_eq!(set.insert(0..2), 2);
        assert_eq!(set.insert(4..6), 2);
        assert_eq!(set.runs(), 2);
        assert_eq!(set.insert(2..4), 2);
        assert_eq!(set.iter().collect::<Vec<_>>(), [Range { start: 0, end: 6 }]);
        assert!(set.is_contiguous_from_zero(6));
    }

    #[test]
    fn the_largest_numbers_do_not_overflow() {
        let mut set = RangeSet::new();
        assert_eq!(set.insert(0..u64::MAX), u64::MAX);
        assert_eq!(set.insert(5..u64::MAX), 0);
        assert_eq!((set.len(), set.first_missing(0)), (u64::MAX, u64::MAX));
        assert!(!set.contains(u64::MAX));
    }

    proptest! {
        #[test]
        fn agrees_with_a_set_of_numbers(
            ranges in prop::collection::vec((0u64..60, 0u64..12, 0u8..3), 0..20),
        ) {
            let (mut set, mut model) = (RangeSet::new(), BTreeSet::new());
            for (start, len, what) in ranges {
                let (before, range) = (model.len(), start..start + len);
                if what == 0 {
                    model.retain(|number| !range.contains(number));
                    prop_assert_eq!(set.remove(range), (before - model.len()) as u64);
                } else {
                    model.extend(range.clone());
                    prop_assert_eq!(set.insert(range), (model.len() - before) as u64);
                }
                prop_assert_eq!(set.len(), model.len() as u64);
                prop_assert_eq!(set.is_empty(), model.is_empty());
                prop_assert_eq!(set.iter().count(), set.runs());
                let listed: Vec<u64> = set.iter().flatten().collect();
                prop_assert_eq!(&listed, &model.iter().copied().collect::<Vec<_>>());
                let runs: Vec<_> = set.iter().collect();
                prop_assert!(runs.windows(2).all(|pair| pair[0].end < pair[1].start));
                for number in 0..80 {
                    prop_assert_eq!(set.contains(number), model.contains(&number));
                    let missing = (number..=80).find(|n| !model.contains(n)).unwrap();
                    prop_assert_eq!(set.first_missing(number), missing);
                    let below = model.iter().copied().eq(0..number);
                    prop_assert_eq!(set.is_contiguous_from_zero(number), below);
                }
            }
        }

        #[test]
        fn a_reversed_range_adds_nothing_and_takes_nothing_out(a in 1u64.., b in any::<u64>()) {
            let mut set = RangeSet::new();
            prop_assert_eq!(set.insert(a..a.min(b)), 0);
            prop_assert!(set.is_empty());
            set.insert(0..u64::MAX);
            prop_assert_eq!(set.remove(a..a.min(b)), 0);
            prop_assert_eq!(set.len(), u64::MAX);
        }
    }
}
