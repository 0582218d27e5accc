//! A file under way at its receiver: which chunks are verified and durable, and
//! what they must add up to. What it has since an earlier connection, and what
//! the journal shall hold of it, is in `journal`; how doubts about that are
//! settled, in `repair`.

use super::journal::FileState;
use crate::error::{Error, ErrorCode};
use crate::limits::{MAX_CHUNK_RUNS_COUNT, MAX_NACKED_CHUNKS_COUNT};
use crate::ranges::RangeSet;
use crate::storage::WrittenChunk;
use crate::subtrees::Subtrees;
use crate::tree::Hash;

/// How far a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Chunks are still coming, or are being written.
    Receiving,
    /// It was stored in an earlier connection; the journal is being asked.
    Checking,
    /// All is durable; its root is being computed from storage.
    Rereading,
    /// All is durable and right; the final name was asked for.
    Committing,
}

/// Whether the hashes of what is durable are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trust {
    /// They are.
    Sure,
    /// The sender has other bytes; the journal is still to be told, in this
    /// connection.
    Doubted,
    /// So it is, and the journal says so.
    DoubtNoted,
}

/// Chunks in storage, by number and by hash.
#[derive(Debug)]
pub(super) struct Chunks {
    pub(super) ranges: RangeSet,
    pub(super) tree: Subtrees,
}

impl Default for Chunks {
    fn default() -> Self {
        // Runs are bounded where chunks are verified.
        Self { ranges: RangeSet::new(), tree: Subtrees::new(usize::MAX) }
    }
}

impl Chunks {
    pub(super) fn insert(&mut self, chunk: u64, leaf: Hash) {
        self.ranges.insert(chunk..chunk.saturating_add(1));
        // A chunk that is there twice is one of a file in doubt, whose tree
        // nobody asks for.
        let _ = self.tree.insert(chunk, leaf);
    }

    pub(super) fn absorb(&mut self, other: &Self) {
        for range in other.ranges.iter() {
            self.ranges.insert(range);
        }
        let _ = self.tree.absorb(&other.tree);
    }
}

#[derive(Debug)]
pub(super) struct ReceiveFile {
    /// Its length: of the manifest, or of FILE_END. `None` while a stream has
    /// not ended.
    size: Option<u64>,
    /// Where a short chunk of a stream ended, and so the stream itself.
    short: Option<u64>,
    /// How far the pieces of a stream have reached.
    reached: u64,
    chunk_size: u64,
    pub(super) stage: Stage,
    pub(super) trust: Trust,
    /// Chunks that matched their leaf, or are being compared with it by storage.
    pub(super) verified: RangeSet,
    /// Chunks that storage has written and made durable.
    pub(super) durable: Chunks,
    /// Chunks that were there when the transfer was accepted.
    pub(super) had: RangeSet,
    /// Those of them whose leaves were asked for.
    pub(super) asked: RangeSet,
    /// Those of them that came again.
    again: RangeSet,
    /// How many of these are durable.
    again_durable: u64,
    /// The root that the manifest promised, if it did.
    promised: Option<Hash>,
    /// The root that the sender stated.
    root: Option<Hash>,
    /// How often chunks were asked for again.
    nacks: std::collections::BTreeMap<u64, usize>,
}

impl ReceiveFile {
    /// `size` is the manifest's.
    pub(super) fn new(size: Option<u64>, chunk_size: u64, promised: Option<Hash>) -> Self {
        Self {
            size,
            short: None,
            reached: 0,
            chunk_size,
            stage: Stage::Receiving,
            trust: Trust::Sure,
            verified: RangeSet::new(),
            durable: Chunks::default(),
            had: RangeSet::new(),
            asked: RangeSet::new(),
            again: RangeSet::new(),
            again_durable: 0,
            promised,
            root: None,
            nacks: std::collections::BTreeMap::new(),
        }
    }

    /// Begins with what the journal held.
    pub(super) fn with_state(mut self, state: &FileState) -> Self {
        let (trust, chunks) = match state {
            FileState::Sure(subtrees) => {
                let mut chunks = Chunks::default();
                for subtree in subtrees {
                    let _ = chunks.tree.insert_subtree(*subtree);
                    chunks.ranges.insert(subtree.leaves().unwrap_or_default());
                }
                (Trust::Sure, chunks)
            }
            FileState::Doubted(ranges) => {
                let mut chunks = Chunks::default();
                for range in ranges {
                    chunks.ranges.insert(range.first..range.first.saturating_add(range.count));
                }
                // RS-REPAIR-JOURNAL: chunks that came again last time may be written
                // and not durable, so a sync comes before they are read.
                (Trust::Doubted, chunks)
            }
        };
        self.trust = trust;
        self.had = chunks.ranges.clone();
        self.verified = chunks.ranges.clone();
        self.durable = chunks;
        self
    }

    /// Adds chunks that lie in storage with these leaves and may not be durable
    /// (`RS-WRITTEN`), and gives those that are news. What would make more than
    /// `most` runs is left out, and sent again (`RS-HAVE-BOUND`).
    pub(super) fn with_found(mut self, written: &[WrittenChunk], most: usize) -> (Self, Chunks) {
        let mut found = Chunks::default();
        // The hashes of a file in doubt are not kept, so there is nothing to add.
        let is_sure = self.trust == Trust::Sure;
        let by_chunk: std::collections::BTreeMap<u64, &WrittenChunk> = written
            .iter()
            .filter(|_| is_sure)
            .map(|written| (written.offset / self.chunk_size, written))
            .collect();
        for (chunk, WrittenChunk { offset, len, leaf }) in by_chunk {
            let has = |chunk: Option<u64>| chunk.is_some_and(|chunk| self.had.contains(chunk));
            let is_chunk = self.chunks().is_some_and(|chunks| chunk < chunks)
                && offset.is_multiple_of(self.chunk_size)
                && self.chunk_len(chunk) == u64::from(*len);
            let joins = has(chunk.checked_sub(1)) || has(chunk.checked_add(1));
            if is_chunk && !has(Some(chunk)) && (joins || self.had.runs() < most) {
                self.had.insert(chunk..chunk.saturating_add(1));
                found.insert(chunk, *leaf);
            }
        }
        self.verified = self.had.clone();
        (self, found)
    }

    /// The file's length, once it is known.
    pub(super) fn size(&self) -> Option<u64> {
        self.size
    }

    /// How many chunks it has, once its length is known.
    pub(super) fn chunks(&self) -> Option<u64> {
        self.size.map(|size| size.div_ceil(self.chunk_size))
    }

    /// Refuses a piece that lies outside the file (`TR-PIECE-PLACE`, `TR-LEAF`), and
    /// tells whether its chunk is here already.
    pub(super) fn check_piece(
        &mut self,
        offset: u64,
        len: u64,
        ends_chunk: bool,
    ) -> Result<bool, Error> {
        let end = offset.checked_add(len);
        let known = self.size.or(self.short);
        let end = end.filter(|&end| known.is_none_or(|size| end <= size)).ok_or_else(|| {
            Error::peer(ErrorCode::ProtocolViolation, "a piece lies outside its file")
        })?;
        let whole = end.is_multiple_of(self.chunk_size);
        if known.is_none() && ends_chunk && !whole {
            // TR-STREAM-SHORT
            if end < self.reached {
                return Err(Error::peer(
                    ErrorCode::ProtocolViolation,
                    "a stream ends before what came of it",
                ));
            }
            self.short = Some(end);
        } else if ends_chunk != (known == Some(end) || whole) {
            return Err(Error::peer(
                ErrorCode::ProtocolViolation,
                "a leaf is not where its chunk ends",
            ));
        }
        self.reached = self.reached.max(end);
        let chunk = offset / self.chunk_size;
        // RS-REPAIR-TAKEN, RS-REPAIR-END: nothing comes behind the end of a repaired file.
        let may_come_again =
            self.asked.contains(chunk) && !self.again.contains(chunk) && !self.has_ended();
        Ok(self.verified.contains(chunk) && !may_come_again)
    }

    /// Takes note of a chunk that matched its leaf (`TR-EARLY`).
    pub(super) fn verify(&mut self, chunk: u64) -> Result<(), Error> {
        let range = chunk..chunk.saturating_add(1);
        if self.verified.insert(range.clone()) == 0 {
            self.again.insert(range);
        }
        if self.verified.runs() > MAX_CHUNK_RUNS_COUNT {
            let text = "the chunks of a file have too many gaps";
            return Err(Error::peer(ErrorCode::LimitExceeded, text));
        }
        Ok(())
    }

    /// A chunk that was taken for verified does not have its leaf: it must come again.
    pub(super) fn take_back(&mut self, chunk: u64) {
        let range = chunk..chunk.saturating_add(1);
        // What came in place of a chunk that is there leaves that one as it is.
        if self.again.remove(range.clone()) == 0 {
            self.verified.remove(range);
        }
    }

    /// Takes note of chunks that are durable: of those among them that came again.
    pub(super) fn acknowledge_again(&mut self, chunks: &RangeSet) {
        let came_again = |range: std::ops::Range<u64>| {
            range.filter(|&chunk| self.again.contains(chunk)).count() as u64
        };
        self.again_durable += chunks.iter().map(came_again).sum::<u64>();
    }

    /// Whether the sender has asked for hashes of what was there.
    pub(super) fn is_in_repair(&self) -> bool {
        !self.asked.is_empty()
    }

    /// Whether every chunk is durable, also each that came again.
    pub(super) fn is_acknowledged(&self) -> bool {
        self.again_durable == self.again.len() && Some(self.durable.ranges.len()) == self.chunks()
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
    pub(super) fn state_end(&mut self, size: u64, root: Hash) -> Result<(), Error> {
        // TR-STREAM-END: where no size was promised, what came decides.
        let known = self.size.or(self.short);
        if known.is_some_and(|known| known != size) || size < self.reached {
            return Err(Error::peer(
                ErrorCode::ProtocolViolation,
                "a file's end is not where it must be",
            ));
        }
        self.size = Some(size);
        self.root = Some(root);
        Ok(())
    }

    /// The root that the sender stated, if it has.
    pub(super) fn root(&self) -> Option<Hash> {
        self.root
    }

    /// Whether the sender stated another root than the manifest (`TR-ROOT-PROMISED`).
    pub(super) fn breaks_promise(&self) -> bool {
        self.root.is_some() && self.promised.is_some() && self.root != self.promised
    }

    /// Whether the sender has stated just this of its length and root.
    pub(super) fn has_stated(&self, size: u64, root: Hash) -> bool {
        self.size == Some(size) && self.root == Some(root)
    }

    /// Whether the sender has stated its length and root.
    pub(super) fn has_ended(&self) -> bool {
        self.root.is_some()
    }

    /// Whether every chunk is durable and the end is stated.
    pub(super) fn is_durable(&self) -> bool {
        self.root.is_some() && Some(self.durable.ranges.len()) == self.chunks()
    }

    /// The root over what is durable, once that is every chunk and their hashes
    /// are known.
    pub(super) fn durable_root(&self) -> Option<Hash> {
        if self.trust == Trust::Sure { self.durable.tree.root(self.chunks()?) } else { None }
    }

    /// The length of one chunk of this file, at most.
    pub(super) fn chunk_len(&self, chunk: u64) -> u64 {
        let size = self.size.or(self.short).unwrap_or(u64::MAX);
        size.saturating_sub(chunk.saturating_mul(self.chunk_size)).min(self.chunk_size)
    }

    /// The length of some chunks together.
    pub(super) fn chunks_len(&self, ranges: &RangeSet) -> u64 {
        let size = self.size.or(self.short).unwrap_or(u64::MAX);
        ranges
            .iter()
            .map(|range| {
                let end = range.end.saturating_mul(self.chunk_size).min(size);
                end.saturating_sub(range.start.saturating_mul(self.chunk_size))
            })
            .sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // TR-EARLY
    #[test]
    fn chunks_with_gaps_between_them_are_bounded() {
        let mut file = ReceiveFile::new(Some(u64::MAX), 16384, None);
        for run in 1..=MAX_CHUNK_RUNS_COUNT as u64 {
            file.verify(run * 2).unwrap();
        }
        file.verify(3).unwrap();
        let error = file.verify(0).and_then(|()| file.verify(1 << 20)).unwrap_err();
        assert_eq!(error.code, ErrorCode::LimitExceeded);
    }

    // TR-NACK-BOUND
    #[test]
    fn different_chunks_that_are_asked_for_again_are_bounded() {
        let mut file = ReceiveFile::new(Some(u64::MAX), 16384, None);
        for chunk in 0..MAX_NACKED_CHUNKS_COUNT as u64 {
            assert!(file.may_ask_again(chunk, 4));
        }
        assert!(!file.may_ask_again(MAX_NACKED_CHUNKS_COUNT as u64, 4));
        assert!(file.may_ask_again(0, 4), "one of those, for the second time");
    }
}
