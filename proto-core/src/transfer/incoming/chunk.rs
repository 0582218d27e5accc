//! Chunks that are partly here.
//!
//! Pieces of a chunk may come in any order, for the channel is unordered. Each
//! begins at a multiple of the piece size and is as long as that, but for the
//! one that ends the chunk, which carries the leaf (`TR-PIECE`). A bitmap says
//! which are here. Memory is bounded by `MAX_OPEN_BYTES` and one chunk, each
//! chunk counted whole from its first piece on. What nobody knows the length of, a
//! stream's chunk, counts as far as its pieces reach: that much was paid for.

use std::collections::BTreeMap;

use crate::error::{Error, ErrorCode};
use crate::ids::FileIndex;
use crate::limits::MAX_OPEN_BYTES;

/// Buffers kept for the next chunks.
const SPARE_BUFFERS: usize = 32;

/// A chunk whose pieces are all here; not yet verified.
#[derive(Debug)]
pub(super) struct WholeChunk {
    pub(super) data: Vec<u8>,
    pub(super) leaf: [u8; 32],
}

#[derive(Debug)]
struct OpenChunk {
    /// As long as the chunk will be, or, as long as that is not known, as far as its
    /// pieces reach.
    data: Vec<u8>,
    have: u64,
    /// The chunk's leaf and length, once the piece that ends it is here.
    end: Option<([u8; 32], usize)>,
}

/// All chunks of a transfer that are partly here.
#[derive(Debug)]
pub(super) struct OpenChunks {
    chunk_size: usize,
    piece_size: usize,
    open: BTreeMap<(FileIndex, u64), OpenChunk>,
    held: u64,
    spare: Vec<Vec<u8>>,
}

impl OpenChunks {
    pub(super) fn new(chunk_log2: u8, piece_log2: u8) -> Self {
        Self {
            chunk_size: 1 << chunk_log2,
            piece_size: 1 << piece_log2,
            open: BTreeMap::new(),
            held: 0,
            spare: Vec::new(),
        }
    }

    /// Bytes of memory that open chunks take.
    pub(super) fn held(&self) -> u64 {
        self.held
    }

    /// Puts one piece into its place. Returns the chunk once it is whole.
    /// `chunk_len` is how long the chunk will be, or at most if that is not known; a
    /// piece that is here already is ignored if it `may_repeat`.
    pub(super) fn insert(
        &mut self,
        file: FileIndex,
        offset: u64,
        (chunk_len, is_known): (u64, bool),
        leaf: Option<[u8; 32]>,
        (piece, may_repeat): (&[u8], bool),
    ) -> Result<Option<WholeChunk>, Error> {
        let violation = |text: &'static str| Error::peer(ErrorCode::ProtocolViolation, text);
        let chunk = offset / self.chunk_size as u64;
        let within = usize::try_from(offset % self.chunk_size as u64).unwrap_or(usize::MAX);
        let until = within.saturating_add(piece.len());
        let chunk_len = usize::try_from(chunk_len).unwrap_or(usize::MAX).min(self.chunk_size);
        if !within.is_multiple_of(self.piece_size) || piece.is_empty() || until > chunk_len {
            return Err(violation("a piece is not in its place"));
        }
        if piece.len() > self.piece_size || (leaf.is_none() && piece.len() < self.piece_size) {
            return Err(violation("a piece is not of the piece size"));
        }
        if !self.open.contains_key(&(file, chunk)) {
            if self.held > MAX_OPEN_BYTES as u64 {
                // TR-OPEN-CHUNKS
                return Err(Error::peer(
                    ErrorCode::LimitExceeded,
                    "too many chunks are partly sent",
                ));
            }
            // Credit counts what a chunk takes, so a short one, or one that may be short,
            // gets no buffer that is long.
            let is_long = is_known && chunk_len == self.chunk_size;
            let spare = if is_long { self.spare.pop() } else { None };
            let mut data = spare.unwrap_or_default();
            data.resize(if is_known { chunk_len } else { 0 }, 0);
            self.held += data.len() as u64;
            self.open.insert((file, chunk), OpenChunk { data, have: 0, end: None });
        }
        let Some(open) = self.open.get_mut(&(file, chunk)) else { return Ok(None) };
        let bit = 1u64 << (within / self.piece_size);
        if open.have & bit != 0 && may_repeat {
            return Ok(None); // LN-REPEATED
        }
        if open.have & bit != 0 {
            return Err(violation("a piece came twice")); // TR-PIECE-ONCE
        }
        if let Some(leaf) = leaf {
            // No piece may lie behind the one that ends the chunk.
            if open.end.is_some() || open.have >= bit {
                return Err(violation("a chunk ends twice"));
            }
            open.end = Some((leaf, until));
        } else if open.end.is_some_and(|(_, len)| until > len) {
            return Err(violation("a piece lies behind its chunk's end"));
        }
        open.have |= bit;
        if until > open.data.len() {
            self.held += (until - open.data.len()) as u64;
            open.data.reserve_exact(until - open.data.len());
            open.data.resize(until, 0);
        }
        if let Some(place) = open.data.get_mut(within..until) {
            place.copy_from_slice(piece);
        }
        let Some((leaf, len)) = open.end else { return Ok(None) };
        let pieces = len.div_ceil(self.piece_size);
        let all = u64::MAX >> (64 - pieces);
        if open.have != all {
            return Ok(None);
        }
        let Some(open) = self.open.remove(&(file, chunk)) else { return Ok(None) };
        let mut data = open.data;
        self.held = self.held.saturating_sub(data.len() as u64);
        data.truncate(len);
        Ok(Some(WholeChunk { data, leaf }))
    }

    /// An empty buffer.
    pub(super) fn spare_buffer(&mut self) -> Vec<u8> {
        let mut buf = self.spare.pop().unwrap_or_default();
        buf.clear();
        buf
    }

    /// Takes a buffer back for a later chunk.
    pub(super) fn recycle(&mut self, buf: Vec<u8>) {
        if self.spare.len() < SPARE_BUFFERS && buf.capacity() >= self.chunk_size {
            self.spare.push(buf);
        }
    }

    /// Drops the open chunks of a file that is given up.
    pub(super) fn forget(&mut self, file: FileIndex) {
        let held = &mut self.held;
        self.open.retain(|(of, _), open| {
            let stays = *of != file;
            *held = held.saturating_sub(if stays { 0 } else { open.data.len() as u64 });
            stays
        });
    }

    pub(super) fn clear(&mut self) {
        self.open.clear();
        self.held = 0;
        self.spare.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: FileIndex = FileIndex(1);
    const LEN: u64 = 16384;
    const LEAF: Option<[u8; 32]> = Some([1; 32]);

    fn chunks() -> OpenChunks {
        OpenChunks::new(14, 12) // 16 KiB in pieces of 4 KiB
    }

    #[test]
    fn pieces_join_in_any_order() {
        let pieces: Vec<Vec<u8>> =
            (0..4u8).map(|n| vec![n; if n == 3 { 100 } else { 4096 }]).collect();
        for order in [[0, 1, 2, 3], [3, 2, 1, 0], [1, 3, 0, 2]] {
            let mut open = chunks();
            let len = 3 * 4096 + 100;
            let mut whole = None;
            for &n in &order {
                assert!(whole.is_none());
                let leaf = if n == 3 { LEAF } else { None };
                whole = open
                    .insert(FILE, 16384 + n as u64 * 4096, (len, true), leaf, (&pieces[n], false))
                    .unwrap();
            }
            assert_eq!(whole.unwrap().data, pieces.concat());
            assert_eq!(open.held(), 0);
        }
    }

    #[test]
    fn misplaced_pieces_are_refused() {
        let full = vec![0; 4096];
        assert!(
            chunks().insert(FILE, 1, (LEN, true), None, (&full, false)).is_err(),
            "not at a multiple"
        );
        assert!(
            chunks().insert(FILE, 0, (LEN, true), None, (&full[1..], false)).is_err(),
            "short and not the last"
        );
        assert!(chunks().insert(FILE, 0, (LEN, true), LEAF, (&[], false)).is_err(), "empty");
        assert!(
            chunks().insert(FILE, 0, (LEN, true), LEAF, (&[0; 4097], false)).is_err(),
            "longer than a piece"
        );
        let mut open = chunks();
        assert!(open.insert(FILE, 4096, (LEN, true), LEAF, (&full, false)).unwrap().is_none());
        assert!(
            open.insert(FILE, 8192, (LEN, true), None, (&full, false)).is_err(),
            "behind the end"
        );
        assert!(open.insert(FILE, 4096, (LEN, true), None, (&full, false)).is_err(), "twice");
        let mut open = chunks();
        assert!(open.insert(FILE, 8192, (LEN, true), None, (&full, false)).unwrap().is_none());
        assert!(
            open.insert(FILE, 4096, (LEN, true), LEAF, (&full, false)).is_err(),
            "an end before a piece"
        );
    }

    // LN-REPEATED
    #[test]
    fn a_piece_that_may_repeat_is_ignored_where_it_is_here() {
        let mut open = chunks();
        let (first, again) = (vec![1; 4096], vec![2; 4096]);
        assert!(open.insert(FILE, 0, (8192, true), None, (&first, true)).unwrap().is_none());
        assert!(open.insert(FILE, 0, (8192, true), None, (&again, true)).unwrap().is_none());
        let whole = open.insert(FILE, 4096, (8192, true), LEAF, (&again, true)).unwrap().unwrap();
        assert_eq!(whole.data, [first, again].concat());
    }

    #[test]
    fn offsets_near_the_end_of_the_world_do_not_overflow() {
        let full = vec![0; 4096];
        let offset = u64::MAX - 4095;
        assert!(
            chunks().insert(FILE, offset, (LEN, true), LEAF, (&full, false)).unwrap().is_none()
        );
    }

    // TR-OPEN-CHUNKS
    #[test]
    fn open_chunks_are_bounded_by_their_bytes() {
        let mut open = chunks();
        let full = vec![0; 4096];
        let limit = (MAX_OPEN_BYTES / 16384) as u64;
        for chunk in 0..=limit {
            assert!(
                open.insert(FILE, chunk * 16384, (LEN, true), None, (&full, false))
                    .unwrap()
                    .is_none()
            );
        }
        assert_eq!(open.held(), MAX_OPEN_BYTES as u64 + LEN);
        let error =
            open.insert(FILE, (limit + 1) * 16384, (LEN, true), None, (&full, false)).unwrap_err();
        assert_eq!(error.code, ErrorCode::LimitExceeded);
        open.forget(FILE);
        assert_eq!(open.held(), 0);
    }

    // TR-OPEN-CHUNKS
    #[test]
    fn a_chunk_of_unknown_length_counts_as_far_as_its_pieces_reach() {
        let mut open = chunks();
        let full = vec![7; 4096];
        let unknown = (LEN, false);
        assert!(open.insert(FILE, 4096, unknown, None, (&full, false)).unwrap().is_none());
        assert_eq!(open.held(), 8192);
        assert!(open.insert(FILE, 0, unknown, None, (&full, false)).unwrap().is_none());
        assert_eq!(open.held(), 8192);
        let whole = open.insert(FILE, 8192, (8300, true), LEAF, (&[7; 108], false)).unwrap();
        assert_eq!((whole.unwrap().data, open.held()), (vec![7; 8300], 0));
        assert!(open.insert(FILE, 0, unknown, None, (&full, false)).unwrap().is_none());
        open.forget(FILE);
        assert_eq!(open.held(), 0);
    }

    // TR-OPEN-CHUNKS: a chunk that was whole leaves a buffer behind, which no piece gets.
    #[test]
    fn a_chunk_of_unknown_length_takes_no_more_memory_than_it_counts() {
        let mut open = chunks();
        let full = vec![7; 4096];
        for _ in 0..4 {
            open.recycle(Vec::with_capacity(16384));
        }
        for (chunk, pieces) in [(0, 1), (1, 2), (2, 3)] {
            for piece in 0..pieces {
                let offset = chunk * LEN + piece * 4096;
                open.insert(FILE, offset, (LEN, false), None, (&full, false)).unwrap();
            }
        }
        let taken: usize = open.open.values().map(|open| open.data.capacity()).sum();
        assert_eq!((taken as u64, open.held()), (6 * 4096, 6 * 4096));
    }

    #[test]
    fn a_short_chunk_takes_no_more_memory_than_it_is_long() {
        let mut open = chunks();
        open.recycle(Vec::with_capacity(16384));
        let whole = open.insert(FILE, 0, (1, true), LEAF, (&[7], false)).unwrap().unwrap();
        assert_eq!(whole.data, [7]);
        assert!(whole.data.capacity() < 64, "{}", whole.data.capacity());
    }
}
