//! The entries of a manifest that a receiver wants. Nothing outside it is ever
//! sent or written (`TR-SELECTION-ONLY`).

use crate::error::{Error, ErrorCode};
use crate::frame::{EntryRange, Selection};
use crate::ids::FileIndex;

/// A set of entries, ascending and bounded by the manifest's length.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Selected {
    ranges: Vec<EntryRange>,
}

impl Selected {
    /// All entries of a manifest of the given length.
    pub(crate) fn all(entries: u32) -> Self {
        let whole = EntryRange { first: 0, count: entries };
        Self { ranges: if entries == 0 { Vec::new() } else { vec![whole] } }
    }

    /// Adds what one ACCEPT selects. `entries` is the manifest's length.
    pub(crate) fn extend(&mut self, selection: &Selection, entries: u32) -> Result<(), Error> {
        let invalid = |text: &'static str| Error::peer(ErrorCode::ProtocolViolation, text);
        match selection {
            Selection::All if self.ranges.is_empty() => *self = Self::all(entries),
            Selection::All => return Err(invalid("an ACCEPT of all follows an ACCEPT of some")),
            Selection::Ranges(ranges) => {
                for range in ranges {
                    let last_end = self.ranges.last().map_or(0, |last| last.first + last.count);
                    let end = range.first.checked_add(range.count);
                    if range.first < last_end || end.is_none_or(|end| end > entries) {
                        return Err(invalid("an ACCEPT selects what was not offered"));
                    }
                    self.ranges.push(*range);
                }
            }
        }
        Ok(())
    }

    /// Whether the entry is wanted.
    pub(crate) fn contains(&self, file: FileIndex) -> bool {
        self.next_from(file.0) == Some(file.0)
    }

    /// The first wanted entry at or behind `from`.
    pub(crate) fn next_from(&self, from: u32) -> Option<u32> {
        let place = self.ranges.partition_point(|range| range.first + range.count <= from);
        self.ranges.get(place).map(|range| range.first.max(from))
    }

    /// The last wanted entry before `end`.
    pub(crate) fn last_before(&self, end: u32) -> Option<u32> {
        let place = self.ranges.partition_point(|range| range.first < end);
        let range = self.ranges.get(place.checked_sub(1)?)?;
        Some((range.first + range.count).min(end) - 1)
    }

    /// Whether nothing is wanted.
    pub(crate) fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selected(ranges: &[(u32, u32)], entries: u32) -> Result<Selected, Error> {
        let ranges = ranges.iter().map(|&(first, count)| EntryRange { first, count }).collect();
        let mut selected = Selected::default();
        selected.extend(&Selection::Ranges(ranges), entries)?;
        Ok(selected)
    }

    #[test]
    fn walks_forwards_and_backwards_over_what_is_wanted() {
        let some = selected(&[(1, 2), (5, 1)], 6).unwrap();
        let mut forwards = Vec::new();
        let mut from = 0;
        while let Some(entry) = some.next_from(from) {
            forwards.push(entry);
            from = entry + 1;
        }
        assert_eq!(forwards, [1, 2, 5]);
        let mut backwards = Vec::new();
        let mut end = 6;
        while let Some(entry) = some.last_before(end) {
            backwards.push(entry);
            end = entry;
        }
        assert_eq!(backwards, [5, 2, 1]);
        assert!(some.contains(FileIndex(5)) && !some.contains(FileIndex(3)));
    }

    #[test]
    fn what_was_not_offered_cannot_be_selected() {
        assert!(selected(&[(5, 2)], 6).is_err());
        assert!(selected(&[(6, 1)], 6).is_err());
    }
}
