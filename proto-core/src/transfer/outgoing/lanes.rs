//! What is under way on which lane. A chunk goes over one lane as a whole
//! (`LN-CHUNK`); when a lane ends, the chunks that went over it and are not
//! acknowledged go again over others (`LN-AGAIN`). Lane 0 ends with the
//! connection, so that nothing is noted of what went over it.

use std::collections::{BTreeMap, VecDeque};

use super::reading::{Purpose, Reading};
use super::{LoadedChunk, Outgoing};
use crate::error::Error;
use crate::ids::FileIndex;
use crate::limits::{CONNECTION_CREDIT, TRANSFER_CREDIT};
use crate::transfer::Outbox;

/// Most chunks of one lane that are noted (`LN-NOTES`).
const MOST_NOTED: usize = 4096;

/// A chunk that was handed to a lane as a whole.
#[derive(Clone, Copy, Debug)]
struct Handed {
    file: FileIndex,
    chunk: u64,
    /// Whether the end of the file went with it.
    end: bool,
}

#[derive(Debug, Default)]
pub(super) struct OnLanes {
    /// The chunk of each lane that is partly sent.
    midway: BTreeMap<u16, LoadedChunk>,
    /// What went over each further lane, the oldest first.
    handed: BTreeMap<u16, VecDeque<Handed>>,
    /// Transfers that send side by side.
    beside: u64,
}

impl OnLanes {
    /// Whether a chunk is partly sent on some lane.
    pub(super) fn are_midway(&self) -> bool {
        !self.midway.is_empty()
    }

    /// Whether one more chunk may be begun (`LN-BEGUN`). A receiver holds what has come
    /// of a chunk until it is whole, and that must leave credit for the rest of each.
    pub(super) fn may_begin(&self, chunk_size: u64) -> bool {
        let all = (self.midway.len() as u64 + 1).saturating_mul(chunk_size);
        let shared = CONNECTION_CREDIT as u64 / self.beside.max(1);
        self.midway.is_empty() || all <= shared.min(TRANSFER_CREDIT as u64) / 2
    }

    pub(super) fn midway(&self, lane: u16) -> Option<&LoadedChunk> {
        self.midway.get(&lane)
    }

    pub(super) fn take_midway(&mut self, lane: u16) -> Option<LoadedChunk> {
        self.midway.remove(&lane)
    }

    pub(super) fn put_midway(&mut self, lane: u16, chunk: LoadedChunk) {
        self.midway.insert(lane, chunk);
    }

    /// Whether another chunk can be noted (`LN-NOTES`).
    fn can_note(&self, lane: u16) -> bool {
        lane == 0 || self.handed.get(&lane).is_none_or(|handed| handed.len() < MOST_NOTED)
    }

    /// Drops what is partly sent of a file that is given up.
    pub(super) fn forget(&mut self, file: FileIndex) -> Vec<LoadedChunk> {
        let lanes = self.midway.iter().filter(|(_, chunk)| chunk.file == file);
        let lanes: Vec<u16> = lanes.map(|(lane, _)| *lane).collect();
        lanes.iter().filter_map(|lane| self.midway.remove(lane)).collect()
    }

    pub(super) fn clear(&mut self) {
        self.midway.clear();
        self.handed.clear();
    }
}

impl Outgoing {
    /// How many lanes there are to send over, and how many transfers do so.
    pub(crate) fn set_lanes(&mut self, count: usize, transfers: usize) {
        self.read_ahead.lanes = count;
        self.lanes.beside = transfers as u64;
    }

    /// The place in `loaded` of what goes next over the lane. The end of a file
    /// alone goes over lane 0, where it cannot be lost (`LN-END-ALONE`).
    pub(super) fn next_for(&self, lane: u16) -> Option<usize> {
        if !self.lanes.can_note(lane) {
            return None;
        }
        self.loaded.iter().position(|chunk| lane == 0 || !chunk.data.is_empty())
    }

    /// Whether a chunk is in memory and will be sent, or is being sent.
    pub(super) fn is_loaded(&self, file: FileIndex, chunk: u64) -> bool {
        let is_it = |loaded: &LoadedChunk| (loaded.file, loaded.chunk) == (file, chunk);
        self.loaded.iter().any(is_it) || self.lanes.midway.values().any(is_it)
    }

    /// Notes that a chunk was handed to a lane.
    pub(super) fn note_handed(&mut self, lane: u16, file: FileIndex, chunk: u64, end: bool) {
        if lane != 0 {
            self.lanes.handed.entry(lane).or_default().push_back(Handed { file, chunk, end });
        }
    }

    /// Forgets the oldest notes as far as they are not needed any more: so there are
    /// never many more than chunks that are not acknowledged.
    pub(super) fn forget_acked(&mut self) {
        let files = &self.files;
        let is_needed = |handed: &Handed| {
            files.get(&handed.file).is_some_and(|file| !file.is_acked(handed.chunk))
        };
        for handed in self.lanes.handed.values_mut() {
            while handed.front().is_some_and(|oldest| !is_needed(oldest)) {
                handed.pop_front();
            }
        }
    }

    /// LN-AGAIN: the lane is over, and nobody knows what of it arrived.
    pub(crate) fn lose_lane(&mut self, lane: u16, out: &mut Outbox) -> Result<(), Error> {
        if let Some(mut chunk) = self.lanes.take_midway(lane) {
            chunk.sent = 0;
            self.loaded.push_front(chunk);
        }
        for Handed { file, chunk, end } in self.lanes.handed.remove(&lane).unwrap_or_default() {
            let chunk_size = self.chunk_size();
            let Some(state) = self.files.get_mut(&file) else { continue };
            if state.is_acked(chunk) {
                continue;
            }
            self.progress.chunks_resent += 1;
            if let Some(kept) = &mut state.kept {
                let data = kept.take(chunk);
                let end = if end { self.end_again(file) } else { None };
                self.send_kept(file, chunk, (data, end), out)?;
                continue;
            }
            let offset = chunk.saturating_mul(chunk_size);
            let len = state.size.unwrap_or(0).saturating_sub(offset).min(chunk_size);
            // LN-AGAIN-END
            let purpose = if end { Purpose::AgainWithEnd } else { Purpose::Again };
            let again = Reading::again(file, offset, len, purpose);
            self.read_ahead.again.push_back(again);
        }
        self.advance(out);
        Ok(())
    }

    /// The end of a file that was stated before, to go once more with the chunk that
    /// it went with (`LN-AGAIN-END`).
    pub(super) fn end_again(&self, file: FileIndex) -> Option<(u64, [u8; 32])> {
        let state = self.files.get(&file).filter(|state| state.ended)?;
        state.end(self.chunk_size())
    }
}
