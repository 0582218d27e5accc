//! From a piece to a durable file: verify, write, sync, acknowledge, commit.
//!
//! Writes gather until a sync makes them durable; only then are they
//! acknowledged (`TR-ACK-DURABLE`), and only a file that is durable in all its
//! chunks gets its final name (`TR-COMMIT-VISIBLE`). A chunk counts because it was
//! written here; what else a disk holds is never asked (`SC-HAVE-JOURNAL`). One
//! sync is under way at most. When every file is settled and COMPLETE is there, directories are
//! committed, deepest first, and after one more sync the receipt is due.

use std::collections::BTreeMap;
use std::time::Instant;

use super::super::statement::{Statement, Statements};
use super::super::storage_failure;
use super::file::{ReceiveFile, Stage};
use super::{Incoming, Outbox};
use crate::connection::Event;
use crate::error::{Error, ErrorCode};
use crate::frame::{Ack, AckRange, Data, FileEnd, MAX_ACK_RANGES, Nack};
use crate::ids::FileIndex;
use crate::limits::{FILE_END_COST, MAX_CHUNK_SENDS_COUNT, MAX_OPEN_FILES_COUNT, timers};
use crate::manifest::{Entry, EntryKind};
use crate::ranges::RangeSet;
use crate::storage::{StorageError, StorageErrorKind, StorageReply, StorageRequest};
use crate::tree::leaf_hash;

/// Written bytes after which a sync does not wait for its timer.
const SYNC_BYTES: u64 = 32 << 20;
/// Files that may wait for a sync before one is due without its timer.
const SYNC_FILES: usize = 512;
/// Directories whose commit may be under way at one time.
const COMMITS_AT_ONCE: usize = 64;

/// What is on its way to the disk.
#[derive(Debug, Default)]
pub(super) struct Storing {
    /// Writes that storage has not answered.
    writes: usize,
    /// Chunks written, and not part of a sync yet.
    written: BTreeMap<FileIndex, RangeSet>,
    written_bytes: u64,
    written_since: Option<Instant>,
    /// Chunks that the sync under way will make durable.
    syncing: Option<BTreeMap<FileIndex, RangeSet>>,
    /// Files that have their final names; more data for them is a violation.
    settled: RangeSet,
    end: EndStage,
    /// Directories whose commit storage has not answered.
    directories: usize,
}

/// The steps between the last file and the receipt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum EndStage {
    /// Files are still under way.
    #[default]
    Files,
    /// Directories before this place are still to be committed.
    Directories(u32),
    /// The last sync is under way.
    LastSync,
    /// The receipt is due.
    Due,
}

impl Incoming {
    /// When written chunks must be synced at the latest.
    pub(crate) fn sync_due(&self) -> Option<Instant> {
        if self.storing.syncing.is_some() {
            return None;
        }
        self.storing.written_since.map(|since| since + timers::SYNC_DELAY)
    }

    /// Whether the receipt is due.
    pub(crate) fn receipt_due(&self) -> bool {
        self.state.is_open() && self.storing.end == EndStage::Due
    }

    /// What a DATA frame costs in credit (`FC-COST`).
    pub(crate) fn data_cost(payload: &[u8]) -> u64 {
        payload.len() as u64
    }

    /// What a FILE_END costs in credit (`FC-COST`).
    pub(crate) fn end_cost() -> u64 {
        FILE_END_COST as u64
    }

    /// Takes one piece (`TR-DATA`).
    pub(crate) fn on_data(
        &mut self,
        data: &Data,
        payload: &[u8],
        now: Instant,
        out: &mut Outbox,
    ) -> Result<(), Error> {
        if self.failed.contains_key(&data.file) {
            return Ok(()); // TR-FAILED-DATA: was under way when the file was given up.
        }
        let chunk_size = u64::from(self.offer.chunk_size());
        let file = self.open_file(data.file)?;
        file.check_piece(data.offset, payload.len() as u64, data.leaf.is_some())?;
        let chunk_len = file.chunk_len(data.offset / chunk_size);
        let held = self.open.held();
        let whole = self.open.insert(data.file, data.offset, chunk_len, data.leaf, payload)?;
        match self.open.held().cmp(&held) {
            std::cmp::Ordering::Greater => self.credit.hold(self.open.held() - held),
            std::cmp::Ordering::Less => self.credit.release(held - self.open.held()),
            std::cmp::Ordering::Equal => {}
        }
        let Some(whole) = whole else { return Ok(()) };
        let chunk = data.offset / chunk_size;
        if leaf_hash(&whole.data) != whole.leaf {
            self.open.recycle(whole.data);
            self.ask_again(data.file, chunk, now, out);
            return Ok(());
        }
        let Some(file) = self.files.get_mut(&data.file) else { return Ok(()) };
        file.verify(chunk, whole.leaf)?;
        let bytes = whole.data.len() as u64;
        self.progress.bytes_moved += bytes;
        self.storing.writes += 1;
        self.credit.hold(bytes);
        out.storage.push_back(StorageRequest::Write {
            transfer: self.id,
            file: data.file,
            offset: chunk * chunk_size,
            data: whole.data,
        });
        self.check_root(data.file, out);
        self.settle(now, out);
        Ok(())
    }

    /// Takes a file's length and root (`TR-FILE-END`).
    pub(crate) fn on_file_end(
        &mut self,
        end: &FileEnd,
        now: Instant,
        out: &mut Outbox,
    ) -> Result<(), Error> {
        self.state_once(end.file, Statement::Sent { size: end.size, root: end.root })?;
        if self.failed.contains_key(&end.file) {
            // COMPLETE may have overtaken it on the other channel, and waits for it.
            self.settle(now, out);
            return Ok(());
        }
        // FC-COST: held until the file is settled, so that files that bring no
        // data cannot pile up either.
        self.credit.hold(Self::end_cost());
        self.open_file(end.file)?.state_end(end.size, end.root)?;
        self.check_root(end.file, out);
        self.commit_if_durable(end.file, out);
        self.settle(now, out);
        Ok(())
    }

    /// The state of a file that data came for, begun if need be.
    fn open_file(&mut self, file: FileIndex) -> Result<&mut ReceiveFile, Error> {
        let violation = |text: &'static str| Error::peer(ErrorCode::ProtocolViolation, text);
        if !self.state.is_open() {
            return Err(violation("data came for a transfer that is not active"));
        }
        if !self.files.contains_key(&file) {
            let entry = self.entry(file).filter(|_| self.selected.contains(file));
            let Some(EntryKind::File { size: Some(size), root, .. }) =
                entry.map(|entry| entry.kind)
            else {
                return Err(violation("data came for an entry that was not accepted"));
            };
            if self.storing.settled.contains(file.0.into()) {
                return Err(violation("data came for a file that was settled"));
            }
            if self.files.len() >= MAX_OPEN_FILES_COUNT {
                // TR-OPEN-FILES
                return Err(Error::peer(ErrorCode::LimitExceeded, "too many files are open"));
            }
            let chunk_size = u64::from(self.offer.chunk_size());
            self.files.insert(file, ReceiveFile::new(size, chunk_size, root));
        }
        self.files.get_mut(&file).ok_or_else(|| violation("data came for an unknown file"))
    }

    fn entry(&self, file: FileIndex) -> Option<Entry> {
        self.manifest.as_ref()?.entry(file)
    }

    /// A chunk did not match: asks for it again, or gives the file up.
    fn ask_again(&mut self, file: FileIndex, chunk: u64, now: Instant, out: &mut Outbox) {
        let Some(state) = self.files.get_mut(&file) else { return };
        self.progress.chunks_resent += 1;
        if state.may_ask_again(chunk, MAX_CHUNK_SENDS_COUNT) {
            out.control.push_back(Nack { transfer: self.id, file, chunk }.into());
        } else {
            let error = Error::peer(
                ErrorCode::HashMismatch,
                "a chunk did not match its hash, time and again",
            );
            self.fail_file(file, error, out);
            self.settle(now, out);
        }
    }

    /// Gives a file up whose chunks do not add up to its root (`TR-ROOT`).
    fn check_root(&mut self, file: FileIndex, out: &mut Outbox) {
        if self.files.get(&file).and_then(ReceiveFile::root_matches) == Some(false) {
            let error = Error::peer(ErrorCode::HashMismatch, "the file does not match its hash");
            self.fail_file(file, error, out);
        }
    }

    /// Forgets a file that is given up, and has storage remove what there is.
    pub(super) fn forget_file(&mut self, file: FileIndex, out: &mut Outbox) {
        let held = self.open.held();
        self.open.forget(file);
        self.credit.release(held - self.open.held());
        self.storing.written.remove(&file);
        if self.storing.written.is_empty() {
            // Nothing is left for the sync that was due, and its timer ends.
            self.storing.written_since = None;
            self.storing.written_bytes = 0;
        }
        if let Some(syncing) = &mut self.storing.syncing {
            syncing.remove(&file);
        }
        if let Some(forgotten) = self.files.remove(&file) {
            if forgotten.has_ended() {
                self.credit.release(Self::end_cost());
            }
            out.storage.push_back(StorageRequest::Discard { transfer: self.id, file: Some(file) });
        }
    }

    /// Storage answered a request of this transfer.
    pub(crate) fn on_storage(
        &mut self,
        reply: StorageReply,
        now: Instant,
        out: &mut Outbox,
    ) -> Result<(), Error> {
        if !self.state.is_open() {
            return Ok(());
        }
        match reply {
            StorageReply::Written { file, offset, buf, result, .. } => {
                self.on_written(file, offset, buf, result, now, out)?;
            }
            StorageReply::Synced { result, .. } => self.on_synced(result, now, out)?,
            StorageReply::Committed { file, result, .. } => self.on_committed(file, result, out)?,
            StorageReply::Discarded { .. } => {}
            StorageReply::Read { .. } => {
                return Err(Error::misuse("storage answered a read that was not asked for"));
            }
        }
        self.settle(now, out);
        Ok(())
    }

    fn on_written(
        &mut self,
        file: FileIndex,
        offset: u64,
        buf: Vec<u8>,
        result: Result<(), StorageError>,
        now: Instant,
        out: &mut Outbox,
    ) -> Result<(), Error> {
        let chunk_size = u64::from(self.offer.chunk_size());
        let bytes = buf.len() as u64;
        self.storing.writes = self.storing.writes.saturating_sub(1);
        self.credit.release(bytes);
        self.open.recycle(buf);
        if let Err(error) = result {
            return self.on_storage_error(file, &error, out);
        }
        if self.files.contains_key(&file) {
            let chunk = offset / chunk_size;
            self.storing.written.entry(file).or_default().insert(chunk..chunk + 1);
            self.storing.written_bytes += bytes;
            self.storing.written_since.get_or_insert(now);
        }
        Ok(())
    }

    /// A full disk ends the transfer (`TR-NO-SPACE`); anything else ends the file.
    fn on_storage_error(
        &mut self,
        file: FileIndex,
        error: &StorageError,
        out: &mut Outbox,
    ) -> Result<(), Error> {
        let failure = storage_failure(error);
        if error.kind == StorageErrorKind::NoSpace {
            return self.fail(failure, out);
        }
        self.fail_file(file, failure, out);
        Ok(())
    }

    fn on_synced(
        &mut self,
        result: Result<(), StorageError>,
        now: Instant,
        out: &mut Outbox,
    ) -> Result<(), Error> {
        if let Err(error) = result {
            return self.fail(storage_failure(&error), out);
        }
        if self.storing.end == EndStage::LastSync {
            self.storing.end = EndStage::Due;
            return Ok(());
        }
        let Some(synced) = self.storing.syncing.take() else {
            return Err(Error::misuse("storage answered a sync that was not asked for"));
        };
        let (mut ranges, mut durable) = (Vec::new(), Vec::new());
        for (index, chunks) in synced {
            let Some(file) = self.files.get_mut(&index) else { continue };
            for range in chunks.iter() {
                file.durable.insert(range.clone());
                let bytes: u64 = range.clone().map(|chunk| file.chunk_len(chunk)).sum();
                self.progress.bytes_durable += bytes;
                ranges.push(AckRange {
                    file: index,
                    first: range.start,
                    count: range.end - range.start,
                });
            }
            durable.push(index);
        }
        for index in durable {
            self.commit_if_durable(index, out);
        }
        for some in ranges.chunks(MAX_ACK_RANGES) {
            out.control.push_back(Ack { transfer: self.id, ranges: some.to_vec() }.into());
        }
        if !self.storing.written.is_empty() {
            self.storing.written_since = Some(now);
        }
        Ok(())
    }

    fn on_committed(
        &mut self,
        entry: FileIndex,
        result: Result<(), StorageError>,
        out: &mut Outbox,
    ) -> Result<(), Error> {
        if matches!(self.storing.end, EndStage::Directories(_)) {
            self.storing.directories = self.storing.directories.saturating_sub(1);
            if let Err(error) = result {
                self.fail_file(entry, storage_failure(&error), out);
            }
            return Ok(());
        }
        match result {
            Ok(()) => {
                if self.files.remove(&entry).is_some() {
                    self.storing.settled.insert(entry.0.into()..u64::from(entry.0) + 1);
                    self.credit.release(Self::end_cost());
                    self.progress.files_done += 1;
                    out.events.push_back(Event::FileDone { transfer: self.id, file: entry });
                }
                Ok(())
            }
            Err(error) => self.on_storage_error(entry, &error, out),
        }
    }

    /// Asks storage for whatever has become due, be it by news or by the clock.
    pub(crate) fn settle(&mut self, now: Instant, out: &mut Outbox) {
        if !self.state.is_open() {
            return;
        }
        let idle = self.complete.is_some() && self.storing.writes == 0;
        self.sync_if(now, idle, out);
        self.finish(out);
    }

    /// Asks for a file's final name once all of it is durable.
    fn commit_if_durable(&mut self, index: FileIndex, out: &mut Outbox) {
        if let Some(file) = self.files.get_mut(&index)
            && file.stage == Stage::Receiving
            && file.is_durable()
        {
            file.stage = Stage::Committing;
            let size = file.size();
            out.storage.push_back(StorageRequest::Commit { transfer: self.id, file: index, size });
        }
    }

    fn sync_if(&mut self, now: Instant, idle: bool, out: &mut Outbox) {
        let storing = &mut self.storing;
        if storing.syncing.is_some() || storing.written.is_empty() {
            return;
        }
        let waited = storing
            .written_since
            .is_some_and(|since| now.saturating_duration_since(since) >= timers::SYNC_DELAY);
        let much = storing.written_bytes >= SYNC_BYTES || storing.written.len() >= SYNC_FILES;
        if waited || much || idle {
            storing.syncing = Some(std::mem::take(&mut storing.written));
            storing.written_bytes = 0;
            storing.written_since = None;
            out.storage.push_back(StorageRequest::Sync { transfer: self.id });
        }
    }

    /// Walks the last steps once all files are settled.
    fn finish(&mut self, out: &mut Outbox) {
        let all_stated = self.statements.as_ref().is_some_and(Statements::is_complete);
        if self.storing.end == EndStage::Files
            && self.complete.is_some()
            && all_stated
            && self.files.is_empty()
            && self.storing.syncing.is_none()
        {
            self.storing.end = EndStage::Directories(self.offer.entries);
        }
        while let EndStage::Directories(end) = self.storing.end
            && self.storing.directories < COMMITS_AT_ONCE
        {
            let Some(place) = self.selected.last_before(end) else {
                if self.storing.directories == 0 {
                    self.storing.end = EndStage::LastSync;
                    out.storage.push_back(StorageRequest::Sync { transfer: self.id });
                }
                return;
            };
            self.storing.end = EndStage::Directories(place);
            let file = FileIndex(place);
            if self.entry(file).is_some_and(|entry| entry.is_directory()) {
                self.storing.directories += 1;
                out.storage.push_back(StorageRequest::Commit { transfer: self.id, file, size: 0 });
            }
        }
    }
}
