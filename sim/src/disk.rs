//! A disk in memory: the sources of what a host sends and the places of what it
//! receives. It does what it is asked, fails as the plan says, and knows what
//! is durable and what a crash would lose; what it keeps beyond a connection is in
//! `journal`. Whether what it was asked is right is the oracle's business.

mod journal;

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use passel_proto::ids::{FileIndex, TransferId};
use passel_proto::storage::{StorageError, StorageErrorKind, StorageReply, StorageRequest};
use passel_proto::tree::leaf_hash;

pub use self::journal::{Digest, Kept, Record};
use crate::plan::{DiskError, Fault, Planted, Side};
use crate::rng::Draw;

/// An entry of a transfer.
pub type Place = (TransferId, FileIndex);

/// A file that has no final name yet.
#[derive(Debug, Default)]
pub struct Part {
    /// Its content, as a reader would see it.
    pub bytes: Vec<u8>,
    /// Offset and length of what a crash would lose.
    pub unsynced: Vec<(usize, usize)>,
    /// The same of what it would not, as far as that was written here.
    pub synced: BTreeSet<(usize, usize)>,
    /// What syncs leave out, for a planted bug.
    pub left_out: BTreeSet<(usize, usize)>,
    /// What tells it from another file in its place.
    pub inode: u64,
}

/// A file under its final name.
#[derive(Debug)]
pub struct Final {
    /// Its content.
    pub bytes: Vec<u8>,
    /// Whether the name survives a crash.
    pub durable: bool,
    /// That of the part which it was.
    pub inode: u64,
}

/// What a request did, for whoever watches.
#[derive(Debug, PartialEq, Eq)]
pub enum Effect {
    /// Nothing that matters, or it failed.
    None,
    /// A file that was stored in an earlier connection was compared.
    Checked {
        /// The entry.
        place: Place,
        /// Whether it is the one that was stored.
        same: bool,
    },
    /// What there was of an entry, or of all of the transfer, is gone.
    Discarded(TransferId, Option<FileIndex>),
    /// These ranges became durable: entry, offset, length.
    Synced(Vec<(Place, usize, usize)>),
    /// An entry got its final name.
    Committed {
        /// The entry.
        place: Place,
        /// The size that the request named.
        size: u64,
        /// Whether it had bytes that were not durable.
        unsynced: bool,
        /// Whether it had that name before.
        again: bool,
    },
}

/// A disk as data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiskPlan {
    /// Whose it is.
    pub side: Side,
    /// What goes wrong; what is not a disk's, or another side's, is left out of account.
    pub faults: Vec<Fault>,
    /// A bug of its own; none but when the invariants are tested.
    pub planted: Option<Planted>,
    /// How long a request takes.
    pub request_us: u64,
    /// Whether leaves are its business.
    pub hashes: bool,
}

/// A host's disk.
#[derive(Debug)]
pub struct Disk {
    side: Side,
    faults: Vec<Fault>,
    planted: Option<Planted>,
    /// What this host offers.
    pub sources: BTreeMap<Place, Rc<[u8]>>,
    /// Those of them whose length nobody knows before they are read to their end.
    pub streams: BTreeSet<Place>,
    /// Files without a final name.
    pub parts: BTreeMap<Place, Part>,
    /// Files with their final names.
    pub finals: BTreeMap<Place, Final>,
    /// What is there of transfers beyond this connection.
    pub kept: Kept,
    inodes: u64,
    /// Bytes written so far.
    written: u64,
    reads: u64,
    writes: u64,
    syncs: u64,
    commits: u64,
    /// Syncs that were answered and not done.
    late: Vec<TransferId>,
    /// When the last request of each transfer is done.
    free_at: BTreeMap<TransferId, u64>,
    request_us: u64,
    /// Whether leaves are its business.
    hashes: bool,
}

impl Disk {
    /// An empty one.
    pub fn new(plan: DiskPlan) -> Self {
        let DiskPlan { side, faults, planted, request_us, hashes } = plan;
        Self {
            side,
            faults,
            planted,
            sources: BTreeMap::new(),
            streams: BTreeSet::new(),
            parts: BTreeMap::new(),
            finals: BTreeMap::new(),
            kept: Kept::default(),
            inodes: 0,
            written: 0,
            reads: 0,
            writes: 0,
            syncs: 0,
            commits: 0,
            late: Vec::new(),
            free_at: BTreeMap::new(),
            request_us,
            hashes,
        }
    }

    /// When a request of the transfer that is made at `now` will be done: those
    /// of one transfer one after the other, those of several side by side.
    pub fn done_at(&mut self, now: u64, transfer: TransferId) -> u64 {
        let slow = |fault: &Fault| match fault {
            Fault::SlowDisk { side, at_us, for_us, request_us }
                if *side == self.side && (*at_us..at_us + for_us).contains(&now) =>
            {
                Some(*request_us)
            }
            _ => None,
        };
        let takes = self.faults.iter().filter_map(slow).max().unwrap_or(0).max(self.request_us);
        let free_at = self.free_at.entry(transfer).or_default();
        *free_at = now.max(*free_at) + takes;
        *free_at
    }

    /// Nothing fails from now on.
    pub fn heal(&mut self) {
        self.faults.clear();
    }

    /// Somebody makes room on a disk that was full. Whether it was.
    pub fn make_room(&mut self) -> bool {
        let was_full = self.full(1).is_err();
        if was_full {
            let of_room =
                |fault: &Fault| matches!(fault, Fault::DiskFull { side, .. } if *side == self.side);
            self.faults.retain(|fault| !of_room(fault));
        }
        was_full
    }

    fn is_planted(&self, bug: Planted) -> bool {
        self.planted == Some(bug)
    }

    fn fails(&self, kinds: &[(DiskError, StorageErrorKind)], nth: u64) -> Result<(), StorageError> {
        for fault in &self.faults {
            let Fault::DiskError { side, error, nth: at } = fault else { continue };
            let kind = kinds.iter().find(|(kind, _)| kind == error);
            if let Some((_, kind)) = kind.filter(|_| *side == self.side && *at == nth) {
                return Err(StorageError { kind: *kind, text: "the plan says so".to_owned() });
            }
        }
        Ok(())
    }

    fn right(&self, data: &[u8], leaf: [u8; 32]) -> Result<(), StorageError> {
        if self.hashes && leaf_hash(data) != leaf {
            let text = "a chunk does not have its leaf".to_owned();
            return Err(StorageError { kind: StorageErrorKind::WrongLeaf, text });
        }
        Ok(())
    }

    fn full(&self, len: usize) -> Result<(), StorageError> {
        let room = self.faults.iter().filter_map(|fault| match fault {
            Fault::DiskFull { side, after_bytes } if *side == self.side => Some(*after_bytes),
            _ => None,
        });
        if self.written + len as u64 > room.min().unwrap_or(u64::MAX) {
            let text = "the disk is full".to_owned();
            return Err(StorageError { kind: StorageErrorKind::NoSpace, text });
        }
        Ok(())
    }

    /// Does what is asked. No reply means that it was lost, which only a
    /// planted bug does.
    pub fn carry_out(&mut self, request: StorageRequest) -> (Option<StorageReply>, Effect) {
        for transfer in std::mem::take(&mut self.late) {
            self.sync(transfer);
        }
        match request {
            StorageRequest::Read { transfer, file, offset, len, mut buf, .. } => {
                let kinds = [
                    (DiskError::ReadUnreadable, StorageErrorKind::Unreadable),
                    (DiskError::ReadChanged, StorageErrorKind::Changed),
                ];
                let mut result = self.fails(&kinds, self.reads);
                self.reads += 1;
                let mut from = usize::try_from(offset).unwrap_or(usize::MAX);
                let place = (transfer, file);
                let source = self.sources.get(&place).map(|source| &source[..]);
                let source = source.or_else(|| self.parts.get(&place).map(|part| &part.bytes[..]));
                let mut until = from.saturating_add(len as usize);
                if self.streams.contains(&place) {
                    let end = source.map_or(0, <[u8]>::len);
                    (from, until) = (from.min(end), until.min(end));
                }
                if let Some(bytes) = source.and_then(|source| source.get(from..until)) {
                    buf.extend_from_slice(bytes);
                } else {
                    let text = "the source is short".to_owned();
                    result = Err(StorageError { kind: StorageErrorKind::Changed, text });
                }
                if self.is_planted(Planted::ReadFlipped) {
                    flip(&mut buf);
                }
                let leaf = self.hashes.then(|| leaf_hash(&buf));
                let reply = StorageReply::Read { transfer, file, offset, buf, leaf, result };
                (Some(reply), Effect::None)
            }
            StorageRequest::Write { transfer, file, offset, data, leaf } => {
                let result = self
                    .right(&data, leaf)
                    .and_then(|()| self.full(data.len()))
                    .and_then(|()| self.fails(&[(DiskError::Write, OTHER)], self.writes));
                self.writes += 1;
                if result.is_ok() {
                    self.write((transfer, file), offset, &data);
                    self.note_written((transfer, file), offset, data.len(), leaf);
                }
                if self.is_planted(Planted::ReplyLost) {
                    return (None, Effect::None);
                }
                let reply = StorageReply::Written { transfer, file, offset, buf: data, result };
                (Some(reply), Effect::None)
            }
            StorageRequest::Sync { transfer, journal } => {
                let result = self.fails(&[(DiskError::Sync, OTHER)], self.syncs);
                self.syncs += 1;
                let mut effect = Effect::None;
                match self.planted {
                    Some(Planted::SyncForgotten) => {}
                    Some(Planted::SyncLate) => self.late.push(transfer),
                    _ if result.is_ok() => {
                        effect = Effect::Synced(self.sync(transfer));
                        self.note_entries(transfer, journal);
                    }
                    _ => {}
                }
                (Some(StorageReply::Synced { transfer, result }), effect)
            }
            StorageRequest::Commit { transfer, file, size, root } => {
                let kinds = [
                    (DiskError::Commit, OTHER),
                    (DiskError::CommitConflict, StorageErrorKind::NameConflict),
                ];
                let result = self.fails(&kinds, self.commits);
                self.commits += 1;
                let effect = match result {
                    Ok(()) => self.commit((transfer, file), size, root),
                    Err(_) => Effect::None,
                };
                (Some(StorageReply::Committed { transfer, file, result }), effect)
            }
            StorageRequest::Check { transfer, file, size, root } => {
                let place = (transfer, file);
                let same = self.check(place, size, root);
                let text = "another file was stored".to_owned();
                let changed = StorageError { kind: StorageErrorKind::Changed, text };
                let result = if same { Ok(()) } else { Err(changed) };
                let reply = StorageReply::Checked { transfer, file, result };
                (Some(reply), Effect::Checked { place, same })
            }
            // What has its name needs nothing beside it; all else is kept.
            StorageRequest::Release { transfer, .. } => {
                (Some(StorageReply::Released { transfer, result: Ok(()) }), Effect::None)
            }
            StorageRequest::Discard { transfer, file } => {
                if !self.is_planted(Planted::DiscardIgnored) {
                    self.forget(transfer, file);
                    self.parts.retain(|place, _| match file {
                        Some(file) => *place != (transfer, file),
                        None => place.0 != transfer,
                    });
                }
                let reply = StorageReply::Discarded { transfer, result: Ok(()) };
                (Some(reply), Effect::Discarded(transfer, file))
            }
        }
    }

    /// Does a part of what is asked, at which the process dies.
    pub fn begin_request(&mut self, request: StorageRequest, draw: &mut Draw) -> Effect {
        match request {
            StorageRequest::Write { transfer, file, offset, mut data, .. } => {
                let part = draw.below(data.len() as u64);
                data.truncate(usize::try_from(part).unwrap_or(0));
                if self.full(data.len()).is_ok() {
                    self.write((transfer, file), offset, &data);
                }
                Effect::None
            }
            StorageRequest::Sync { transfer, journal } => {
                if self.is_planted(Planted::JournalFirst) {
                    self.note_entries(transfer, journal);
                    return Effect::None;
                }
                Effect::Synced(self.sync(transfer))
            }
            StorageRequest::Commit { transfer, file, size, root } => {
                if let Some(root) = root {
                    self.note_stored((transfer, file), size, root);
                }
                Effect::None
            }
            StorageRequest::Discard { transfer, file } => {
                self.forget(transfer, file);
                Effect::None
            }
            StorageRequest::Read { .. }
            | StorageRequest::Check { .. }
            | StorageRequest::Release { .. } => Effect::None,
        }
    }

    /// A request is made that waits for its turn.
    pub fn on_asked(&mut self, request: &StorageRequest) {
        if let StorageRequest::Sync { transfer, journal } = request
            && self.is_planted(Planted::JournalEarly)
        {
            for entry in journal {
                self.part((*transfer, entry.file));
            }
            self.note_entries(*transfer, journal.clone());
        }
    }

    fn part(&mut self, place: Place) -> &mut Part {
        let inodes = &mut self.inodes;
        self.parts.entry(place).or_insert_with(|| {
            *inodes += 1;
            Part { inode: *inodes, ..Part::default() }
        })
    }

    fn write(&mut self, place: Place, offset: u64, data: &[u8]) {
        let mut from = usize::try_from(offset).unwrap_or(0);
        if self.is_planted(Planted::WriteMisplaced) && from > 0 {
            from -= 1;
        }
        let part = self.part(place);
        let until = from + data.len();
        part.bytes.resize(part.bytes.len().max(until), 0);
        part.bytes[from..until].copy_from_slice(data);
        part.unsynced.push((from, data.len()));
        part.synced.remove(&(from, data.len()));
        self.written += data.len() as u64;
        if self.planted == Some(Planted::WriteFlipped) {
            flip(&mut self.part(place).bytes);
        }
        if self.planted == Some(Planted::VisibleEarly) {
            let bytes = self.part(place).bytes.clone();
            self.finals.insert(place, Final { bytes, durable: false, inode: 0 });
        }
    }

    fn sync(&mut self, transfer: TransferId) -> Vec<(Place, usize, usize)> {
        let of = (transfer, FileIndex(0))..=(transfer, FileIndex(u32::MAX));
        for (_, named) in self.finals.range_mut(of.clone()) {
            named.durable = true;
        }
        let in_part = self.planted == Some(Planted::SyncInPart);
        let parts = self.parts.range_mut(of);
        let synced = parts.flat_map(|(&place, part)| {
            let all = if in_part { 1 } else { part.unsynced.len() };
            let some = part.unsynced.drain(..all.min(part.unsynced.len()));
            let (left, done): (Vec<_>, Vec<_>) =
                some.partition(|range| part.left_out.contains(range));
            part.unsynced.extend(left);
            part.synced.extend(&done);
            done.into_iter().map(move |(from, len)| (place, from, len))
        });
        synced.collect()
    }

    fn commit(&mut self, place: Place, size: u64, root: Option<[u8; 32]>) -> Effect {
        if let Some(root) = root {
            self.note_stored(place, size, root);
        }
        let part = self.parts.remove(&place).unwrap_or_default();
        let unsynced = !part.unsynced.is_empty();
        let named = Final { bytes: part.bytes, durable: false, inode: part.inode };
        // A directory that is there is as good as one that is made.
        let again = self.finals.insert(place, named).is_some() && root.is_some();
        let again = again && self.planted != Some(Planted::VisibleEarly);
        Effect::Committed { place, size, unsynced, again }
    }

    /// The process alone dies: what it wrote is there, and may not be durable. Of a
    /// write that was under way nobody knows.
    pub fn kill(&mut self) {
        self.late.clear();
        let noted = |place: Place, kept: &Kept, range: &(usize, usize)| {
            kept.is_noted(place, range.0 as u64, range.1)
        };
        for (place, part) in &mut self.parts {
            part.unsynced.retain(|range| noted(*place, &self.kept, range));
        }
    }

    /// Loses what was not synced. Of a write that was under way, a part may
    /// have reached the disk; a name that was just given may be gone.
    pub fn crash(&mut self, draw: &mut Draw) {
        for part in self.parts.values_mut() {
            for (from, len) in std::mem::take(&mut part.unsynced) {
                let kept = usize::try_from(draw.between(0, len as u64)).unwrap_or(0);
                part.bytes[from + kept..from + len].fill(0);
            }
        }
        for (place, mut named) in std::mem::take(&mut self.finals) {
            if named.durable || draw.chance(500) {
                named.durable = true;
                self.finals.insert(place, named);
            } else {
                // The name is lost, and not the file.
                let Final { bytes, inode, .. } = named;
                self.parts.insert(place, Part { bytes, inode, ..Part::default() });
            }
        }
        if self.is_planted(Planted::JournalLost) {
            self.kept.lose_newest();
        }
    }
}

const OTHER: StorageErrorKind = StorageErrorKind::Other;

fn flip(bytes: &mut [u8]) {
    if let Some(byte) = bytes.last_mut() {
        *byte ^= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Plan;

    const PLACE: Place = (TransferId(1), FileIndex(0));

    fn write(disk: &mut Disk, offset: u64, data: &[u8]) -> bool {
        let data = data.to_vec();
        let request =
            StorageRequest::Write { transfer: PLACE.0, file: PLACE.1, offset, data, leaf: [0; 32] };
        matches!(disk.carry_out(request).0, Some(StorageReply::Written { result: Ok(()), .. }))
    }

    #[test]
    fn a_crash_loses_what_was_not_synced_and_nothing_else() {
        let mut disk = Disk::new(Plan::smallest(1).disk(Side::Joiner));
        assert!(write(&mut disk, 0, &[1; 64]));
        let synced =
            disk.carry_out(StorageRequest::Sync { transfer: PLACE.0, journal: Vec::new() }).1;
        assert_eq!(synced, Effect::Synced(vec![(PLACE, 0, 64)]));
        assert!(write(&mut disk, 64, &[2; 64]));
        disk.crash(&mut Draw::new(1, "crash"));
        let bytes = &disk.parts[&PLACE].bytes;
        assert_eq!(bytes[..64], [1; 64]);
        assert!(bytes[64..].contains(&0));
    }

    #[test]
    fn a_full_disk_takes_what_fits_and_no_more() {
        let mut plan = Plan::smallest(1);
        plan.faults.push(Fault::DiskFull { side: Side::Joiner, after_bytes: 100 });
        let mut disk = Disk::new(plan.disk(Side::Joiner));
        assert!(write(&mut disk, 0, &[1; 100]));
        assert!(!write(&mut disk, 100, &[1]));
        let mut other = Disk::new(plan.disk(Side::Inviter));
        assert!(write(&mut other, 0, &[1; 101]), "it is the other side's disk that is full");
    }

    #[test]
    fn the_request_that_the_plan_names_fails() {
        let mut plan = Plan::smallest(1);
        plan.faults.push(Fault::DiskError { side: Side::Joiner, error: DiskError::Write, nth: 1 });
        let mut disk = Disk::new(plan.disk(Side::Joiner));
        let results: Vec<bool> = (0..3).map(|n| write(&mut disk, n * 8, &[1; 8])).collect();
        assert_eq!(results, [true, false, true]);
    }
}
