//! What a receiver keeps of a file over connections and crashes: the states that
//! go to the journal with each sync (`RS-JOURNAL`), and what is made of them when
//! the transfer is offered again (`RS-HAVE`, `RS-STORED`).

use std::ops::Range;

use bincode::{Decode, Encode};

use super::Incoming;
use super::file::{Chunks, ReceiveFile, Trust};
use crate::codec;
use crate::error::Error;
use crate::frame::{ChunkRange, EntryRange, Frame, MAX_ACCEPT_RANGES};
use crate::ids::FileIndex;
use crate::limits::{MAX_CLAIMED_RANGES_COUNT, MAX_HAVE_RANGES_COUNT, MAX_OPEN_FILES_COUNT};
use crate::manifest::EntryKind;
use crate::ranges::RangeSet;
use crate::storage::{Have, HaveState, JournalEntry};
use crate::subtrees::Subtree;

/// What the journal holds of a file.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(super) enum FileState {
    /// Chunks that are durable, with their hashes.
    Sure(Vec<Subtree>),
    /// Chunks that are durable and not what the sender has (`RS-REPAIR-JOURNAL`).
    Doubted(Vec<ChunkRange>),
}

impl FileState {
    /// The state of a file once `more` is durable too.
    fn of(file: &ReceiveFile, more: [Option<&Chunks>; 2]) -> Self {
        let more = more.into_iter().flatten();
        if file.trust == Trust::Sure {
            let mut tree = file.durable.tree.clone();
            more.for_each(|chunks| {
                let _ = tree.absorb(&chunks.tree);
            });
            return Self::Sure(tree.iter().collect());
        }
        let mut ranges = file.durable.ranges.clone();
        more.flat_map(|chunks| chunks.ranges.iter()).for_each(|range| {
            ranges.insert(range);
        });
        Self::Doubted(chunk_ranges(&ranges))
    }

    /// Reads a state that a journal gave back. Damaged ones are none; what is in
    /// more than `most` pieces is cut, and sent again (`RS-HAVE-BOUND`).
    fn read(bytes: &[u8], chunks: u64, most: usize) -> Option<Self> {
        let mut state = codec::decode(bytes).ok()?;
        let (mut end, mut runs, mut kept) = (0, 0, 0);
        let mut goes_on = |range: Range<u64>| {
            if range.is_empty() || range.start < end || range.end > chunks {
                return false;
            }
            runs += usize::from(runs == 0 || range.start > end);
            kept += usize::from(runs <= most);
            end = range.end;
            true
        };
        let right = match &state {
            Self::Sure(parts) => parts.iter().all(|part| part.leaves().is_some_and(&mut goes_on)),
            Self::Doubted(ranges) => ranges.iter().all(|range| {
                let end = range.first.checked_add(range.count);
                end.is_some_and(|end| goes_on(range.first..end))
            }),
        };
        match &mut state {
            Self::Sure(subtrees) => subtrees.truncate(kept),
            Self::Doubted(ranges) => ranges.truncate(kept),
        }
        (right && kept > 0).then_some(state)
    }
}

fn chunk_ranges(ranges: &RangeSet) -> Vec<ChunkRange> {
    let range =
        |run: Range<u64>| ChunkRange { first: run.start, count: run.end.saturating_sub(run.start) };
    ranges.iter().map(range).collect()
}

impl Incoming {
    /// What the journal shall hold of a file once `more` is durable.
    pub(super) fn journal_entry(
        &self,
        file: FileIndex,
        more: [Option<&Chunks>; 2],
    ) -> Option<JournalEntry> {
        let begun = self.files.get(&file)?;
        // A stream cannot be read again, so there is no going on with it.
        begun.size()?;
        let state = FileState::of(begun, more);
        Some(JournalEntry { file, state: codec::encode(&state).ok()? })
    }

    /// Takes what a journal held and gives the frames that tell the sender.
    /// What is not selected, or cannot be used, is left out.
    pub(super) fn take_up(&mut self, have: &[Have]) -> Result<Vec<Frame>, Error> {
        let mut frames = Vec::new();
        let mut stored = RangeSet::new();
        let mut room = MAX_CLAIMED_RANGES_COUNT;
        let mut not_durable: u64 = 0;
        for Have { file, state } in have {
            let kind = self.kind(*file).filter(|_| self.selected.contains(*file));
            let Some(EntryKind::File { size: Some(size), root, .. }) = kind else {
                continue;
            };
            if stored.contains(file.0.into()) || self.files.contains_key(file) {
                return Err(Error::misuse("two states were given for the same file"));
            }
            let (state, written) = match state {
                HaveState::Stored => {
                    stored.insert(file.0.into()..u64::from(file.0) + 1);
                    self.progress.bytes_resumed = self.progress.bytes_resumed.saturating_add(size);
                    continue;
                }
                HaveState::Partial(state) => (state, &[][..]),
                HaveState::Written { state, chunks } => (state, chunks.as_slice()),
            };
            let begun = ReceiveFile::new(Some(size), self.offer.chunk_size().into(), root);
            if self.files.len() >= MAX_OPEN_FILES_COUNT / 2 {
                continue;
            }
            let most = room.min(MAX_HAVE_RANGES_COUNT);
            let chunks = begun.chunks().unwrap_or(0);
            let begun = match FileState::read(state, chunks, most) {
                Some(state) => begun.with_state(&state),
                None => begun,
            };
            // RS-WRITTEN: named at once, but not durable before the first sync.
            let durable = begun.chunks_len(&begun.durable.ranges);
            let (begun, found) = begun.with_found(written, most);
            if begun.had.is_empty() {
                continue;
            }
            let mut tree = begun.durable.tree.clone();
            let _ = tree.absorb(&found.tree);
            room = room.saturating_sub(begun.had.runs());
            frames.push(
                crate::frame::Have {
                    transfer: self.id,
                    file: *file,
                    ranges: chunk_ranges(&begun.had),
                    digest: (begun.trust == Trust::Sure).then(|| tree.digest()),
                }
                .into(),
            );
            let bytes = begun.chunks_len(&begun.had);
            self.progress.bytes_resumed = self.progress.bytes_resumed.saturating_add(bytes);
            not_durable = not_durable.saturating_add(bytes.saturating_sub(durable));
            if !found.ranges.is_empty() {
                self.storing.found.insert(*file, found);
            }
            self.files.insert(*file, begun);
        }
        self.progress.bytes_durable = self.progress.bytes_resumed.saturating_sub(not_durable);
        let of_run = |run: Range<u64>| EntryRange {
            first: u32::try_from(run.start).unwrap_or(u32::MAX),
            count: u32::try_from(run.end.saturating_sub(run.start)).unwrap_or(u32::MAX),
        };
        let runs: Vec<EntryRange> = stored.iter().map(of_run).collect();
        for some in runs.chunks(MAX_ACCEPT_RANGES) {
            frames.push(crate::frame::Stored { transfer: self.id, files: some.to_vec() }.into());
        }
        self.stored = stored;
        Ok(frames)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::subtrees::Subtrees;

    fn read(bytes: &[u8], chunks: u64) -> Option<FileState> {
        FileState::read(bytes, chunks, MAX_HAVE_RANGES_COUNT)
    }

    fn state(subtrees: Vec<Subtree>) -> Vec<u8> {
        codec::encode(&FileState::Sure(subtrees)).unwrap()
    }

    #[test]
    fn a_damaged_state_is_none() {
        let tree = |first, level| Subtree { first, level, hash: [1; 32] };
        assert!(read(&state(vec![tree(0, 2), tree(4, 0)]), 5).is_some());
        assert!(read(&state(vec![tree(0, 2), tree(4, 0)]), 4).is_none(), "too long");
        assert!(read(&state(vec![tree(0, 2), tree(2, 0)]), 5).is_none(), "overlap");
        assert!(read(&state(vec![tree(1, 1)]), 5).is_none(), "not aligned");
        assert!(read(&state(Vec::new()), 5).is_none(), "nothing");
        assert!(read(&[], 5).is_none());
        assert!(read(&[7; 40], 5).is_none());
        let odd = FileState::Doubted(vec![ChunkRange { first: u64::MAX, count: 2 }]);
        assert!(read(&codec::encode(&odd).unwrap(), 5).is_none());
    }

    // RS-HAVE-BOUND
    #[test]
    fn what_is_in_too_many_runs_is_cut() {
        let mut tree = Subtrees::new(usize::MAX);
        for chunk in 0..=MAX_HAVE_RANGES_COUNT as u64 {
            tree.insert(chunk * 2, [0; 32]).unwrap();
        }
        let Some(FileState::Sure(kept)) = read(&state(tree.iter().collect()), u64::MAX) else {
            panic!("the state is right");
        };
        assert_eq!(kept.len(), MAX_HAVE_RANGES_COUNT);
    }
}
