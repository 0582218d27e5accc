//! Going on with what the receiver has: HAVE and STORED are taken at their word
//! for what need not be sent, and compared with the source before the file's root
//! is stated (`RS-COMPARE`). Where the two differ, leaves tell which chunks
//! (`RS-REPAIR`).

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use super::reading::Purpose;
use super::{Outgoing, Reading};
use crate::error::{Error, ErrorCode};
use crate::frame::{Have, Leaves, LeavesWanted, Stored};
use crate::ids::FileIndex;
use crate::limits::{MAX_CLAIMED_RANGES_COUNT, MAX_LEAVES_COUNT, MAX_OPEN_FILES_COUNT};
use crate::manifest::EntryKind;
use crate::ranges::RangeSet;
use crate::subtrees::Subtrees;
use crate::transfer::{Outbox, TransferState};
use crate::tree::Hash;

/// What the receiver says it has.
#[derive(Debug, Default)]
pub(super) struct Claims {
    /// Chunks of files under way.
    chunks: BTreeMap<FileIndex, (RangeSet, Option<Hash>)>,
    /// How many ranges named these.
    ranges: usize,
    /// Files that have their final names.
    stored: RangeSet,
}

/// What the receiver says it has of one file, and what came of it.
#[derive(Debug)]
pub(super) struct Claimed {
    /// The chunks.
    pub(super) chunks: RangeSet,
    /// The digest over their leaves, as the receiver knows them.
    digest: Option<Hash>,
    /// Whether the whole file is stored, so that the receiver compares.
    is_stored: bool,
    /// The same chunks at the source, as far as they have been read.
    read: Subtrees,
    repair: Option<Repair>,
}

/// Whose leaves are asked for. One LEAVES_WANTED is under way at a time in a
/// transfer, whatever the number of files that differ (`RS-LEAVES-BOUND`).
#[derive(Debug, Default)]
pub(super) struct Asking {
    /// The file and the chunks that are asked for and not answered.
    asked: Option<(FileIndex, Range<u64>)>,
    /// Files that would ask.
    waiting: BTreeSet<FileIndex>,
}

impl Asking {
    fn is_of(&self, file: FileIndex) -> bool {
        self.asked.as_ref().is_some_and(|(of, _)| *of == file)
    }

    /// No answer is awaited for a file that was given up.
    fn forget(&mut self, file: FileIndex) {
        self.waiting.remove(&file);
        if self.is_of(file) {
            self.asked = None;
        }
    }
}

/// Finding out which chunks differ.
#[derive(Debug, Default)]
struct Repair {
    /// Leaves of chunks below this have been asked for.
    asked_until: u64,
    /// Chunks that are to be compared with a leaf that was told.
    comparing: usize,
    /// Chunks that differ and are not acknowledged.
    sending: BTreeSet<u64>,
    /// Whether all is asked for, compared, and acknowledged.
    is_done: bool,
}

impl Claimed {
    /// Nothing: a file that is sent for the first time.
    pub(super) fn nothing() -> Self {
        Self {
            chunks: RangeSet::new(),
            digest: None,
            is_stored: false,
            read: Subtrees::new(usize::MAX),
            repair: None,
        }
    }

    /// Takes the leaf of a claimed chunk, as it was read at the source.
    pub(super) fn compare(&mut self, chunk: u64, leaf: Hash) {
        // No chunk is read twice for this.
        let _ = self.read.insert(chunk, leaf);
    }

    /// Whether a claim that has been compared in full holds. The receiver itself
    /// compares what it has stored.
    pub(super) fn holds(&self) -> bool {
        self.chunks.is_empty() || self.is_stored || self.digest == Some(self.read.digest())
    }

    /// A chunk was read whose leaf at the receiver is known: whether it differs,
    /// and so must be sent.
    pub(super) fn differs(&mut self, chunk: u64, here: Hash, there: Hash) -> bool {
        let Some(repair) = &mut self.repair else { return false };
        repair.comparing = repair.comparing.saturating_sub(1);
        if here != there {
            repair.sending.insert(chunk);
        }
        here != there
    }

    /// Whether chunks are still to be compared or acknowledged for a repair, so
    /// that the file's end must not be stated (`RS-REPAIR-END`).
    pub(super) fn is_in_repair(&self) -> bool {
        self.repair.as_ref().is_some_and(|repair| !repair.is_done)
    }

    /// Whether a chunk is being sent although the receiver had one in its place.
    pub(super) fn sends_again(&self, chunk: u64) -> bool {
        self.repair.as_ref().is_some_and(|repair| repair.sending.contains(&chunk))
    }

    /// The receiver stored some chunks.
    pub(super) fn acknowledged(&mut self, chunks: &Range<u64>) {
        if let Some(repair) = &mut self.repair {
            repair.sending.retain(|chunk| !chunks.contains(chunk));
        }
    }
}

impl Outgoing {
    /// The receiver has chunks of a file (`RS-HAVE`).
    pub(crate) fn on_have(&mut self, have: &Have) -> Result<(), Error> {
        let size = self.may_claim(have.file)?;
        self.claims.ranges = self.claims.ranges.saturating_add(have.ranges.len());
        if self.claims.chunks.len() >= MAX_OPEN_FILES_COUNT
            || self.claims.ranges > MAX_CLAIMED_RANGES_COUNT
        {
            // RS-HAVE-BOUND
            return Err(Error::peer(ErrorCode::LimitExceeded, "too many HAVEs"));
        }
        let chunks = size.div_ceil(self.chunk_size());
        let mut set = RangeSet::new();
        for range in &have.ranges {
            set.insert(range.first..range.first.saturating_add(range.count));
        }
        if set.iter().next_back().is_none_or(|last| last.end > chunks) {
            return Err(out_of_place());
        }
        self.claims.chunks.insert(have.file, (set, have.digest));
        Ok(())
    }

    /// The receiver has stored files (`RS-STORED`).
    pub(crate) fn on_stored(&mut self, stored: &Stored) -> Result<(), Error> {
        for range in &stored.files {
            let end = range.first.saturating_add(range.count);
            if end > self.manifest.len() {
                return Err(out_of_place());
            }
            for place in range.first..end {
                self.may_claim(FileIndex(place))?;
            }
            self.claims.stored.insert(range.first.into()..end.into());
        }
        Ok(())
    }

    /// The size of a file of which a first claim comes in time.
    fn may_claim(&self, file: FileIndex) -> Result<u64, Error> {
        let is_time = self.state == TransferState::Pending && self.next_page.is_none();
        let is_first =
            !self.claims.chunks.contains_key(&file) && !self.claims.stored.contains(file.0.into());
        match self.manifest.kind(file) {
            Some(EntryKind::File { size: Some(size), .. }) if is_time && is_first => Ok(size),
            _ => Err(out_of_place()),
        }
    }

    /// All is selected: everything claimed must be.
    pub(super) fn check_claims(&mut self) -> Result<(), Error> {
        let chunk_size = self.chunk_size();
        for (file, (chunks, _)) in &self.claims.chunks {
            if !self.selected.contains(*file) {
                return Err(out_of_place());
            }
            let size = self.manifest.kind(*file).and_then(|kind| kind.size()).unwrap_or(0);
            let bytes: u64 = chunks
                .iter()
                .map(|run| {
                    let end = run.end.saturating_mul(chunk_size).min(size);
                    end.saturating_sub(run.start.saturating_mul(chunk_size))
                })
                .sum();
            self.progress.bytes_resumed = self.progress.bytes_resumed.saturating_add(bytes);
        }
        for run in self.claims.stored.iter() {
            for place in run {
                let file = FileIndex(u32::try_from(place).unwrap_or(u32::MAX));
                if !self.selected.contains(file) {
                    return Err(out_of_place());
                }
                let size = self.manifest.kind(file).and_then(|kind| kind.size()).unwrap_or(0);
                self.progress.bytes_resumed = self.progress.bytes_resumed.saturating_add(size);
            }
        }
        self.progress.bytes_durable = self.progress.bytes_resumed;
        Ok(())
    }

    /// What the receiver claims to have of a file that is now begun.
    pub(super) fn claim_of(&mut self, file: FileIndex, chunks: u64) -> Claimed {
        let mut claimed = Claimed::nothing();
        if self.claims.stored.contains(file.0.into()) {
            claimed.is_stored = true;
            claimed.chunks.insert(0..chunks);
        } else if let Some((chunks, digest)) = self.claims.chunks.remove(&file) {
            (claimed.chunks, claimed.digest) = (chunks, digest);
        }
        claimed
    }

    /// Asks for the next leaves of a file that has been read and whose claim does
    /// not hold, or ends the repair.
    pub(super) fn repair(&mut self, index: FileIndex, out: &mut Outbox) {
        let chunk_size = self.chunk_size();
        let Some(file) = self.files.get_mut(&index) else { return };
        if file.end(chunk_size).is_none() || file.claimed.holds() {
            return; // Not all is read, or nothing differs.
        }
        let repair = file.claimed.repair.get_or_insert_default();
        if repair.is_done || self.asking.is_of(index) || repair.comparing > 0 {
            return;
        }
        if let Some(first) = file.claimed.chunks.first_present(repair.asked_until) {
            if self.asking.asked.is_some() {
                self.asking.waiting.insert(index);
                return;
            }
            let most = first.saturating_add(MAX_LEAVES_COUNT as u64);
            let end = file.claimed.chunks.first_missing(first).min(most);
            // RS-LEAVES-BOUND
            repair.asked_until = end;
            self.asking.asked = Some((index, first..end));
            let count = u32::try_from(end - first).unwrap_or(u32::MAX);
            let transfer = self.id;
            out.control.push_back(LeavesWanted { transfer, file: index, first, count }.into());
            return;
        }
        let chunks = file.size.map(|size| size.div_ceil(chunk_size));
        if repair.sending.is_empty() && Some(file.acked.len()) == chunks {
            repair.is_done = true;
            self.end_file(index);
        }
    }

    /// The receiver's leaves of chunks that were asked for (`RS-LEAVES`).
    pub(crate) fn on_leaves(&mut self, told: &Leaves, out: &mut Outbox) -> Result<(), Error> {
        if self.failed.contains(told.file.0.into()) {
            return Ok(()); // Given up while this was under way.
        }
        let chunk_size = self.chunk_size();
        let file = self.files.get_mut(&told.file).ok_or_else(out_of_place)?;
        let size = file.size.unwrap_or(0);
        let repair = file.claimed.repair.as_mut().ok_or_else(out_of_place)?;
        let asked = self.asking.asked.take();
        let (_, asked) = asked.filter(|(of, _)| *of == told.file).ok_or_else(out_of_place)?;
        if asked.start != told.first || asked.end - asked.start != told.leaves.len() as u64 {
            return Err(out_of_place());
        }
        for (chunk, leaf) in asked.zip(&told.leaves) {
            repair.comparing += 1;
            let offset = chunk * chunk_size;
            let len = size.saturating_sub(offset).min(chunk_size);
            let again = Reading::again(told.file, offset, len, Purpose::Repair(*leaf));
            self.read_ahead.again.push_back(again);
        }
        self.ask_next(out);
        self.advance(out);
        Ok(())
    }

    /// A file is given up, so nothing of it is repaired any more.
    pub(super) fn end_repair(&mut self, file: FileIndex, out: &mut Outbox) {
        self.asking.forget(file);
        self.ask_next(out);
    }

    /// No answer is awaited: the next file asks, if one waits.
    fn ask_next(&mut self, out: &mut Outbox) {
        while self.asking.asked.is_none()
            && let Some(file) = self.asking.waiting.pop_first()
        {
            self.repair(file, out);
        }
    }
}

fn out_of_place() -> Error {
    let text = "a claim of what is there came out of place";
    Error::peer(ErrorCode::ProtocolViolation, text)
}
