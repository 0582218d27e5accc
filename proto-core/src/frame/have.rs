//! HAVE, STORED, LEAVES_WANTED and LEAVES: what is already at the receiver when
//! a transfer goes on after an interruption, and how the two sides find what
//! differs.

use bincode::{Decode, Encode};

use super::{Body, EntryRange, FrameType, MAX_ACCEPT_RANGES};
use crate::codec::CodecError;
use crate::ids::{FileIndex, TransferId};
use crate::limits::{MAX_HAVE_RANGES_COUNT, MAX_LEAVES_COUNT};

/// Consecutive chunks of one file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct ChunkRange {
    /// The first chunk.
    pub first: u64,
    /// How many chunks, at least 1.
    pub count: u64,
}

/// HAVE (`RS-HAVE`): chunks of a file that are durable at the receiver since an
/// earlier connection.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Have {
    /// The transfer.
    pub transfer: TransferId,
    /// The file.
    pub file: FileIndex,
    /// The chunks, ascending and apart.
    pub ranges: Vec<ChunkRange>,
    /// The digest over their leaf hashes (`RS-DIGEST`), if they are known.
    pub digest: Option<[u8; 32]>,
}

impl Body for Have {
    const TYPE: FrameType = FrameType::Have;

    fn check(&self) -> Result<(), CodecError> {
        if self.ranges.is_empty() || self.ranges.len() > MAX_HAVE_RANGES_COUNT {
            return Err(CodecError::TooLong);
        }
        let mut last_end = None;
        for range in &self.ranges {
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

/// STORED (`RS-STORED`): files that have their final names at the receiver since
/// an earlier connection.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Stored {
    /// The transfer.
    pub transfer: TransferId,
    /// The files, ascending and apart, also from one STORED to the next.
    pub files: Vec<EntryRange>,
}

impl Body for Stored {
    const TYPE: FrameType = FrameType::Stored;

    fn check(&self) -> Result<(), CodecError> {
        if self.files.is_empty() || self.files.len() > MAX_ACCEPT_RANGES {
            return Err(CodecError::TooLong);
        }
        EntryRange::check(&self.files)
    }
}

/// LEAVES_WANTED (`RS-REPAIR`): the sender asks for the leaf hashes of chunks
/// that the receiver has and that may not be those of the source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct LeavesWanted {
    /// The transfer.
    pub transfer: TransferId,
    /// The file.
    pub file: FileIndex,
    /// The first chunk.
    pub first: u64,
    /// How many chunks, at least 1.
    pub count: u32,
}

impl Body for LeavesWanted {
    const TYPE: FrameType = FrameType::LeavesWanted;

    fn check(&self) -> Result<(), CodecError> {
        let fits = self.first.checked_add(self.count.into()).is_some();
        if self.count == 0 || self.count as usize > MAX_LEAVES_COUNT || !fits {
            return Err(CodecError::Invalid);
        }
        Ok(())
    }
}

/// LEAVES (`RS-REPAIR`): the leaf hashes of the chunks that were asked for, as
/// they stand in the receiver's storage.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Leaves {
    /// The transfer.
    pub transfer: TransferId,
    /// The file.
    pub file: FileIndex,
    /// The first chunk.
    pub first: u64,
    /// One hash for each chunk.
    pub leaves: Vec<[u8; 32]>,
}

impl Body for Leaves {
    const TYPE: FrameType = FrameType::Leaves;

    fn check(&self) -> Result<(), CodecError> {
        if self.leaves.is_empty() || self.leaves.len() > MAX_LEAVES_COUNT {
            return Err(CodecError::TooLong);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn have(ranges: &[(u64, u64)]) -> Result<(), CodecError> {
        let ranges = ranges.iter().map(|&(first, count)| ChunkRange { first, count }).collect();
        Have { transfer: TransferId(0), file: FileIndex(0), ranges, digest: None }.check()
    }

    #[test]
    fn ranges_of_chunks_are_ascending_apart_and_bounded() {
        assert_eq!(have(&[(0, 1), (2, 5)]), Ok(()));
        assert_eq!(have(&[]), Err(CodecError::TooLong));
        assert_eq!(have(&[(0, 0)]), Err(CodecError::Invalid));
        assert_eq!(have(&[(0, 2), (2, 1)]), Err(CodecError::Invalid), "they touch");
        assert_eq!(have(&[(3, 1), (0, 1)]), Err(CodecError::Invalid));
        assert_eq!(have(&[(u64::MAX, 1)]), Err(CodecError::Invalid));
        let many: Vec<_> = (0..=MAX_HAVE_RANGES_COUNT as u64).map(|n| (n * 2, 1)).collect();
        assert_eq!(have(&many), Err(CodecError::TooLong));
        assert_eq!(have(&many[1..]), Ok(()));
    }

    #[test]
    fn leaves_are_asked_for_in_bounded_numbers() {
        let asked = |first, count| {
            LeavesWanted { transfer: TransferId(0), file: FileIndex(0), first, count }.check()
        };
        let most = u32::try_from(MAX_LEAVES_COUNT).unwrap();
        assert_eq!(asked(0, most), Ok(()));
        assert_eq!(asked(0, most + 1), Err(CodecError::Invalid));
        assert_eq!(asked(0, 0), Err(CodecError::Invalid));
        assert_eq!(asked(u64::MAX, 1), Err(CodecError::Invalid));
    }
}
