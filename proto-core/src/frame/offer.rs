//! OFFER and MANIFEST: what a sender could send. The entries themselves are
//! `crate::manifest`'s; here they are opaque bytes of a bounded length.

use bincode::{Decode, Encode};

use super::{Body, FrameType, check_text};
use crate::codec::CodecError;
use crate::ids::{Token, TransferId};
use crate::limits::{
    MAX_CHUNK, MAX_ENTRIES_COUNT, MAX_FRAME_BODY, MAX_NOTE, MAX_PIECES_PER_CHUNK_COUNT, MIN_CHUNK,
    MIN_PIECE,
};

/// OFFER (`TR-OFFER`): opens a transfer. Its manifest follows in pages.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Offer {
    /// The new transfer's number, of the offerer's parity.
    pub transfer: TransferId,
    /// How many entries the manifest has, at least 1.
    pub entries: u32,
    /// Sum of all sizes that are known.
    pub bytes: u64,
    /// Digest of the whole manifest (`MF-DIGEST`).
    pub digest: [u8; 32],
    /// Chunk size as a power of two.
    pub chunk_log2: u8,
    /// Piece size as a power of two.
    pub piece_log2: u8,
    /// Hash of the tree, from the registry.
    pub hash: u8,
    /// What names the transfer beyond this connection (`RS-TOKEN`).
    pub token: Token,
    /// Free-form note to the receiver's user; may be empty.
    pub note: String,
}

impl Offer {
    /// Chunk size in bytes.
    pub fn chunk_size(&self) -> u32 {
        1 << self.chunk_log2
    }

    /// Piece size in bytes.
    pub fn piece_size(&self) -> u32 {
        1 << self.piece_log2
    }
}

/// Whether two sizes, as powers of two, are allowed together (`TR-CHUNK-SIZE`,
/// `TR-PIECE-SIZE`).
pub(crate) fn sizes_allowed(chunk_log2: u8, piece_log2: u8) -> bool {
    let allowed = |log2: u8, low: usize, high: usize| {
        1usize.checked_shl(log2.into()).is_some_and(|size| (low..=high).contains(&size))
    };
    allowed(chunk_log2, MIN_CHUNK, MAX_CHUNK)
        && allowed(piece_log2, MIN_PIECE, MAX_CHUNK)
        && piece_log2 <= chunk_log2
        && (1usize << (chunk_log2 - piece_log2)) <= MAX_PIECES_PER_CHUNK_COUNT
        // A piece, its frame header and a FILE_END must fit in a record.
        && (1usize << piece_log2) < MAX_FRAME_BODY
}

impl Body for Offer {
    const TYPE: FrameType = FrameType::Offer;

    fn check(&self) -> Result<(), CodecError> {
        check_text(&self.note, MAX_NOTE)?;
        if self.entries == 0 || !sizes_allowed(self.chunk_log2, self.piece_log2) {
            return Err(CodecError::Invalid);
        }
        if self.entries as usize > MAX_ENTRIES_COUNT {
            return Err(CodecError::TooLong);
        }
        Ok(())
    }
}

/// MANIFEST (`TR-MANIFEST-PAGE`): consecutive entries of an offer.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct ManifestPage {
    /// The offer's transfer.
    pub transfer: TransferId,
    /// Place of the page's first entry.
    pub first: u32,
    /// How many entries the page has, at least 1.
    pub count: u32,
    /// The entries' encodings, one after the other.
    pub entries: Vec<u8>,
}

impl Body for ManifestPage {
    const TYPE: FrameType = FrameType::ManifestPage;

    fn check(&self) -> Result<(), CodecError> {
        if self.entries.len() > MAX_FRAME_BODY {
            return Err(CodecError::TooLong);
        }
        // An entry is never empty, so more entries than bytes is nonsense.
        if self.count == 0 || self.count as usize > self.entries.len() {
            return Err(CodecError::Invalid);
        }
        Ok(())
    }
}

#[cfg(test)]
pub(crate) fn sample() -> Offer {
    Offer {
        transfer: TransferId(2),
        entries: 3,
        bytes: 70_000,
        digest: [7; 32],
        chunk_log2: 16,
        piece_log2: 14,
        hash: 1,
        token: Token([6; 16]),
        note: "the photos".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // TR-CHUNK-SIZE, TR-PIECE-SIZE
    #[test]
    fn sizes_outside_their_limits_are_refused() {
        for (chunk, piece, ok) in
            [(16, 14, true), (14, 10, true), (20, 14, true), (13, 10, false), (21, 15, false)]
        {
            assert_eq!(sizes_allowed(chunk, piece), ok, "{chunk} {piece}");
        }
        assert!(!sizes_allowed(16, 17), "a piece above its chunk");
        assert!(!sizes_allowed(16, 9), "a piece below the smallest");
        assert!(!sizes_allowed(20, 13), "more pieces than the bitmap holds");
        assert!(!sizes_allowed(255, 255), "a shift beyond the width");
        assert!(!sizes_allowed(20, 16), "a piece that fits in no record");
    }

    #[test]
    fn an_offer_of_nothing_is_refused() {
        let offer = Offer { entries: 0, ..sample() };
        assert_eq!(offer.check(), Err(CodecError::Invalid));
        let offer = Offer { entries: 1_000_001, ..sample() };
        assert_eq!(offer.check(), Err(CodecError::TooLong));
    }
}
