//! ACCEPT and REJECT: what a receiver says to an offer.

use bincode::{Decode, Encode};

use super::{Body, FrameType, check_text};
use crate::codec::CodecError;
use crate::ids::TransferId;
use crate::limits::MAX_REASON_TEXT;

/// Most ranges in one ACCEPT; a longer selection takes several (`TR-ACCEPT-MORE`).
pub(crate) const MAX_ACCEPT_RANGES: usize = 2048;

/// Consecutive entries of a manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct EntryRange {
    /// Place of the first entry.
    pub first: u32,
    /// How many entries, at least 1.
    pub count: u32,
}

impl EntryRange {
    /// Whether ranges are ascending, apart and not empty.
    pub(super) fn check(ranges: &[Self]) -> Result<(), CodecError> {
        let mut last_end = None;
        for range in ranges {
            let apart = last_end.is_none_or(|end| range.first > end);
            let end = range.first.checked_add(range.count).ok_or(CodecError::Invalid)?;
            if range.count == 0 || !apart {
                return Err(CodecError::Invalid);
            }
            last_end = Some(end);
        }
        Ok(())
    }
}

/// Which entries of an offer are wanted.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Selection {
    /// Every entry.
    All,
    /// The entries in these ranges, ascending and apart from each other.
    Ranges(Vec<EntryRange>),
}

/// ACCEPT (`TR-ACCEPT`): the offer is wanted, in whole or in part.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Accept {
    /// The offer's transfer.
    pub transfer: TransferId,
    /// Whether another ACCEPT with further ranges follows.
    pub more: bool,
    /// The entries wanted.
    pub selection: Selection,
}

impl Body for Accept {
    const TYPE: FrameType = FrameType::Accept;

    fn check(&self) -> Result<(), CodecError> {
        match &self.selection {
            Selection::All if self.more => Err(CodecError::Invalid),
            Selection::All => Ok(()),
            Selection::Ranges(ranges) if ranges.len() > MAX_ACCEPT_RANGES => {
                Err(CodecError::TooLong)
            }
            Selection::Ranges(ranges) => EntryRange::check(ranges),
        }
    }
}

/// REJECT (`TR-REJECT`): the offer is not wanted.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Reject {
    /// The offer's transfer.
    pub transfer: TransferId,
    /// Why, from the registry.
    pub code: u16,
    /// Why, for a person; may be empty.
    pub text: String,
}

impl Body for Reject {
    const TYPE: FrameType = FrameType::Reject;

    fn check(&self) -> Result<(), CodecError> {
        check_text(&self.text, MAX_REASON_TEXT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accept(ranges: &[(u32, u32)]) -> Result<(), CodecError> {
        let ranges = ranges.iter().map(|&(first, count)| EntryRange { first, count }).collect();
        Accept { transfer: TransferId(0), more: false, selection: Selection::Ranges(ranges) }
            .check()
    }

    #[test]
    fn ranges_are_ascending_apart_and_not_empty() {
        assert_eq!(accept(&[(0, 1), (2, 5)]), Ok(()));
        assert_eq!(accept(&[]), Ok(()), "nothing wanted of this page");
        assert!(accept(&[(0, 0)]).is_err(), "empty range");
        assert!(accept(&[(0, 2), (1, 1)]).is_err(), "overlap");
        assert!(accept(&[(0, 2), (2, 1)]).is_err(), "ranges that touch have a shorter form");
        assert!(accept(&[(u32::MAX, 2)]).is_err(), "overflow");
    }
}
