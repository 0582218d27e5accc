//! A file under way at its receiver: which chunks are verified, written and
//! durable, and what they must add up to.

use crate::error::{Error, ErrorCode};
use crate::limits::{MAX_EARLY_CHUNKS_COUNT, MAX_NACKED_CHUNKS_COUNT};
use crate::ranges::RangeSet;
use crate::tree::OutOfOrderTree;

/// Leaves that may wait for an earlier chunk. Credit bounds what can be out of
/// order; this is the belt to it, at the smallest chunk size.
const MAX_EARLY_LEAVES: usize = MAX_EARLY_CHUNKS_COUNT;

/// How far a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Chunks are still coming, or are being written.
    Receiving,
    /// All is durable; the final name was asked for.
    Committing,
}

#[derive(Debug)]
pub(super) struct ReceiveFile {
    /// The size that the manifest promised.
    size: u64,
    chunk_size: u64,
    pub(super) stage: Stage,
    tree: OutOfOrderTree,
    /// Chunks that matched their leaf.
    verified: RangeSet,
    /// Chunks that storage has written and made durable.
    pub(super) durable: RangeSet,
    /// The root that the manifest promised, if it did.
    promised: Option<[u8; 32]>,
    /// The root that the sender stated.
    root: Option<[u8; 32]>,
    /// How often chunks were asked for again.
    nacks: std::collections::BTreeMap<u64, usize>,
}

impl ReceiveFile {
    pub(super) fn new(size: u64, chunk_size: u64, promised: Option<[u8; 32]>) -> Self {
        Self {
            size,
            chunk_size,
            stage: Stage::Receiving,
            tree: OutOfOrderTree::new(MAX_EARLY_LEAVES),
            verified: RangeSet::new(),
            durable: RangeSet::new(),
            promised,
            root: None,
            nacks: std::collections::BTreeMap::new(),
        }
    }

    pub(super) fn size(&self) -> u64 {
        self.size
    }

    fn chunks(&self) -> u64 {
        self.size.div_ceil(self.chunk_size)
    }

    /// Refuses a piece that lies outside the file or in a chunk that is here
    /// (`TR-PIECE-PLACE`, `TR-LEAF`).
    pub(super) fn check_piece(&self, offset: u64, len: u64, ends_chunk: bool) -> Result<(), Error> {
        let end = offset.checked_add(len);
        let end = end.filter(|&end| end <= self.size).ok_or_else(|| {
            Error::peer(ErrorCode::ProtocolViolation, "a piece lies outside its file")
        })?;
        if ends_chunk != (end == self.size || end.is_multiple_of(self.chunk_size)) {
            return Err(Error::peer(
                ErrorCode::ProtocolViolation,
                "a leaf is not where its chunk ends",
            ));
        }
        if self.verified.contains(offset / self.chunk_size) {
            return Err(Error::peer(ErrorCode::ProtocolViolation, "a chunk came twice"));
        }
        Ok(())
    }

    /// Takes the leaf of a chunk that matched it (`TR-EARLY`).
    pub(super) fn verify(&mut self, chunk: u64, leaf: [u8; 32]) -> Result<(), Error> {
        self.tree
            .insert(chunk, leaf)
            .map_err(|error| Error::peer(ErrorCode::LimitExceeded, error.to_string()))?;
        self.verified.insert(chunk..chunk.saturating_add(1));
        Ok(())
    }

    /// Counts that a chunk did not match; `false` when it may not be asked for
    /// again (`TR-NACK-LIMIT`, `TR-NACK-BOUND`).
    pub(super) fn may_ask_again(&mut self, chunk: u64, limit: usize) -> bool {
        if self.nacks.len() >= MAX_NACKED_CHUNKS_COUNT && !self.nacks.contains_key(&chunk) {
            return false;
        }
        let asked = self.nacks.entry(chunk).or_insert(0);
        *asked += 1;
        *asked < limit
    }

    /// Takes the sender's statement of length and root.
    pub(super) fn state_end(&mut self, size: u64, root: [u8; 32]) -> Result<(), Error> {
        if size != self.size {
            return Err(Error::peer(
                ErrorCode::ProtocolViolation,
                "a file's end is not where the manifest says",
            ));
        }
        self.root = Some(root);
        Ok(())
    }

    /// Whether the root is right, as soon as that can be known: when it is not
    /// the manifest's (`TR-ROOT-PROMISED`), or when all chunks are verified.
    pub(super) fn root_matches(&self) -> Option<bool> {
        let root = self.root?;
        if self.promised.is_some_and(|promised| promised != root) {
            return Some(false);
        }
        if self.verified.len() < self.chunks() {
            return None;
        }
        Some(self.tree.root() == Some(root))
    }

    /// Whether the sender has stated its length and root.
    pub(super) fn has_ended(&self) -> bool {
        self.root.is_some()
    }

    /// Whether every chunk is durable and the file may get its final name.
    pub(super) fn is_durable(&self) -> bool {
        self.root.is_some() && self.durable.len() == self.chunks()
    }

    /// The length of one chunk of this file.
    pub(super) fn chunk_len(&self, chunk: u64) -> u64 {
        self.size.saturating_sub(chunk.saturating_mul(self.chunk_size)).min(self.chunk_size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // TR-EARLY
    #[test]
    fn chunks_that_wait_for_an_earlier_one_are_bounded() {
        let mut file = ReceiveFile::new(u64::MAX, 16384, None);
        for chunk in 1..=MAX_EARLY_CHUNKS_COUNT as u64 {
            file.verify(chunk, [0; 32]).unwrap();
        }
        let error = file.verify(MAX_EARLY_CHUNKS_COUNT as u64 + 1, [0; 32]).unwrap_err();
        assert_eq!(error.code, ErrorCode::LimitExceeded);
        file.verify(0, [0; 32]).unwrap();
    }

    // TR-NACK-BOUND
    #[test]
    fn different_chunks_that_are_asked_for_again_are_bounded() {
        let mut file = ReceiveFile::new(u64::MAX, 16384, None);
        for chunk in 0..MAX_NACKED_CHUNKS_COUNT as u64 {
            assert!(file.may_ask_again(chunk, 4));
        }
        assert!(!file.may_ask_again(MAX_NACKED_CHUNKS_COUNT as u64, 4));
        assert!(file.may_ask_again(0, 4), "one of those, for the second time");
    }
}
