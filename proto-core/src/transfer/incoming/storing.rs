//! From a piece to a durable file: verify, write, sync, acknowledge, commit.
//!
//! Writes gather until a sync makes them durable; only then are they
//! acknowledged (`TR-ACK-DURABLE`), and only a file that is durable in all its
//! chunks gets its final name (`TR-COMMIT-VISIBLE`). A chunk counts because it was
//! written here; what else a disk holds is never asked (`SC-HAVE-JOURNAL`). One
//! sync is under way at most. When every file is settled and COMPLETE is there, directories are
//! committed, deepest first, and after one more sync the receipt is due.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use super::super::statement::{Statement, Statements};
use super::super::storage_failure;
use super::file::{Chunks, ReceiveFile, Stage, Trust};
use super::{Incoming, Outbox};
use crate::connection::Event;
use crate::error::{Blame, Error, ErrorCode};
use crate::frame::{Ack, AckRange, Data, FileEnd, MAX_ACK_RANGES, Nack};
use crate::ids::FileIndex;
use crate::limits::{FILE_END_COST, MAX_CHUNK_SENDS_COUNT, MAX_OPEN_FILES_COUNT, timers};
use crate::manifest::EntryKind;
use crate::ranges::RangeSet;
use crate::storage::{StorageError, StorageErrorKind, StorageReply, StorageRequest};
use crate::tree::{Hash, leaf_hash};

/// Written bytes after which a sync does not wait for its timer.
const SYNC_BYTES: u64 = 32 << 20;
/// The same for a stream, whose sender keeps in memory what is not acknowledged.
const STREAM_SYNC_BYTES: u64 = 4 << 20;
/// Files that may wait for a sync before one is due without its timer.
const SYNC_FILES: usize = 512;
/// What a file whose end is stated takes of memory until it is settled, in bytes: its
/// ranges, its leaves and its journal entry. More than FILE_END cost, so that small
/// files are held back before they are many.
const FILE_HELD: u64 = 4 << 10;
/// Directories whose commit may be under way at one time.
const COMMITS_AT_ONCE: usize = 64;

/// What is on its way to the disk.
#[derive(Debug, Default)]
pub(super) struct Storing {
    /// Chunks whose write storage has not answered, with their leaves.
    writing: BTreeMap<(FileIndex, u64), Hash>,
    /// Chunks written, and not part of a sync yet.
    written: BTreeMap<FileIndex, Chunks>,
    written_bytes: u64,
    /// Whether some of them are of a stream.
    has_stream: bool,
    written_since: Option<Instant>,
    /// Chunks of an earlier connection that may not be durable, and are not part
    /// of a sync yet (`RS-WRITTEN`).
    pub(super) found: BTreeMap<FileIndex, Chunks>,
    /// The sync under way.
    syncing: Option<Syncing>,
    /// Files that have their final names; more data for them is a violation.
    settled: RangeSet,
    end: EndStage,
    /// Directories whose commit storage has not answered.
    directories: usize,
}

/// What a sync under way will make durable.
#[derive(Debug)]
struct Syncing {
    /// Chunks.
    written: BTreeMap<FileIndex, Chunks>,
    /// Chunks that were named in HAVE, and so are not acknowledged.
    found: BTreeMap<FileIndex, Chunks>,
    /// Files whose hashes are in doubt, for the journal.
    doubted: Vec<FileIndex>,
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
        may_repeat: bool,
        now: Instant,
        out: &mut Outbox,
    ) -> Result<(), Error> {
        if may_repeat && self.storing.settled.contains(data.file.0.into()) {
            return Ok(()); // LN-REPEATED
        }
        if self.failed.contains_key(&data.file) {
            return Ok(()); // TR-FAILED-DATA: was under way when the file was given up.
        }
        let chunk_size = u64::from(self.offer.chunk_size());
        let max_stream = self.max_stream;
        let file = self.open_file(data.file)?;
        let until = data.offset.saturating_add(payload.len() as u64);
        if file.size().is_none() && until > max_stream {
            self.stream_too_long(data.file, out);
            self.settle(now, out);
            return Ok(());
        }
        if file.check_piece(data.offset, payload.len() as u64, data.leaf.is_some())? {
            if may_repeat {
                return Ok(()); // LN-REPEATED
            }
            return Err(Error::peer(ErrorCode::ProtocolViolation, "a chunk came twice"));
        }
        let chunk_len = (file.chunk_len(data.offset / chunk_size), file.size().is_some());
        let held = self.open.held();
        let whole = {
            let piece = (payload, may_repeat);
            self.open.insert(data.file, data.offset, chunk_len, data.leaf, piece)?
        };
        match self.open.held().cmp(&held) {
            std::cmp::Ordering::Greater => self.credit.hold(self.open.held() - held),
            std::cmp::Ordering::Less => self.credit.release(held - self.open.held()),
            std::cmp::Ordering::Equal => {}
        }
        let Some(whole) = whole else { return Ok(()) };
        let chunk = data.offset / chunk_size;
        if !self.storage_checks && leaf_hash(&whole.data) != whole.leaf {
            self.open.recycle(whole.data);
            self.ask_again(data.file, chunk, now, out);
            return Ok(());
        }
        let Some(file) = self.files.get_mut(&data.file) else { return Ok(()) };
        file.verify(chunk)?;
        let bytes = whole.data.len() as u64;
        self.progress.bytes_moved += bytes;
        self.storing.writing.insert((data.file, chunk), whole.leaf);
        self.credit.hold(bytes);
        out.storage.push_back(StorageRequest::Write {
            transfer: self.id,
            file: data.file,
            offset: chunk * chunk_size,
            data: whole.data,
            leaf: whole.leaf,
        });
        self.settle(now, out);
        Ok(())
    }

    /// Takes a file's length and root (`TR-FILE-END`).
    pub(crate) fn on_file_end(
        &mut self,
        end: &FileEnd,
        may_repeat: bool,
        now: Instant,
        out: &mut Outbox,
    ) -> Result<(), Error> {
        if may_repeat && self.is_repeated(end)? {
            return Ok(()); // LN-REPEATED
        }
        self.state_once(end.file, Statement::Sent { size: end.size, root: end.root })?;
        if self.failed.contains_key(&end.file) {
            // COMPLETE may have overtaken it on the other channel, and waits for it.
            self.settle(now, out);
            return Ok(());
        }
        // FC-COST: held until the file is settled, so that files that bring no
        // data cannot pile up either.
        self.credit.hold(FILE_HELD);
        let max_stream = self.max_stream;
        let stored = self.stored.contains(end.file.0.into());
        let file = self.begin_file(end.file)?;
        let is_stream = file.size().is_none();
        file.state_end(end.size, end.root)?;
        if file.is_in_repair() && !file.is_acknowledged() {
            // RS-REPAIR-END
            let text = "a file that is repaired ends before all of it was acknowledged";
            return Err(Error::peer(ErrorCode::ProtocolViolation, text));
        }
        if stored {
            // RS-STORED-CHECK
            file.stage = Stage::Checking;
            let (transfer, file, size, root) = (self.id, end.file, end.size, end.root);
            out.storage.push_back(StorageRequest::Check { transfer, file, size, root });
        } else if file.breaks_promise() {
            self.fail_root(end.file, out);
        } else if is_stream && end.size > max_stream {
            self.progress.end_stream(end.size);
            self.stream_too_long(end.file, out);
        } else {
            if is_stream {
                self.progress.end_stream(end.size);
            }
            self.commit_if_durable(end.file, out);
        }
        self.settle(now, out);
        Ok(())
    }

    /// Whether the end of a file came again. It must say the same as before, as far
    /// as that is still known.
    fn is_repeated(&self, end: &FileEnd) -> Result<bool, Error> {
        if !self.statements.as_ref().is_some_and(|statements| statements.is_made(end.file)) {
            return Ok(false);
        }
        match self.files.get(&end.file) {
            Some(file) if !file.has_stated(end.size, end.root) => {
                let text = "a second statement on the same file says something else";
                Err(Error::peer(ErrorCode::ProtocolViolation, text))
            }
            Some(_) => Ok(true),
            None => Ok(self.storing.settled.contains(end.file.0.into())
                || self.failed.contains_key(&end.file)),
        }
    }

    /// The state of a file that data came for, begun if need be.
    fn open_file(&mut self, file: FileIndex) -> Result<&mut ReceiveFile, Error> {
        if self.stored.contains(file.0.into()) {
            // RS-NOT-SENT
            let text = "data came for a file that was stored before";
            return Err(Error::peer(ErrorCode::ProtocolViolation, text));
        }
        self.begin_file(file)
    }

    /// The state of a file that something came for, begun if need be.
    fn begin_file(&mut self, file: FileIndex) -> Result<&mut ReceiveFile, Error> {
        let violation = |text: &'static str| Error::peer(ErrorCode::ProtocolViolation, text);
        if !self.state.is_open() {
            return Err(violation("data came for a transfer that is not active"));
        }
        if !self.files.contains_key(&file) {
            let kind = self.kind(file).filter(|_| self.selected.contains(file));
            let Some(EntryKind::File { size, root, .. }) = kind else {
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

    /// Gives up a file that promised no length and grew too long (`TR-STREAM-LIMIT`).
    fn stream_too_long(&mut self, file: FileIndex, out: &mut Outbox) {
        let text = "a file without a stated size is longer than is taken";
        self.fail_file(file, Error::new(Blame::Circumstance, ErrorCode::TooLarge, text), out);
    }

    pub(super) fn kind(&self, file: FileIndex) -> Option<EntryKind> {
        self.manifest.as_ref()?.kind(file)
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
    fn fail_root(&mut self, file: FileIndex, out: &mut Outbox) {
        let error = Error::peer(ErrorCode::HashMismatch, "the file does not match its hash");
        self.fail_file(file, error, out);
    }

    /// Forgets a file that is given up, and has storage remove what there is.
    pub(super) fn forget_file(&mut self, file: FileIndex, out: &mut Outbox) {
        let held = self.open.held();
        self.open.forget(file);
        self.credit.release(held - self.open.held());
        self.storing.written.remove(&file);
        self.storing.found.remove(&file);
        if self.storing.written.is_empty() {
            // Nothing is left for the sync that was due, and its timer ends.
            self.storing.written_since = None;
            self.storing.written_bytes = 0;
            self.storing.has_stream = false;
        }
        if let Some(syncing) = &mut self.storing.syncing {
            syncing.written.remove(&file);
            syncing.found.remove(&file);
        }
        self.storing.writing.retain(|(of, _), _| *of != file);
        self.rereads.forget(file);
        if let Some(forgotten) = self.files.remove(&file) {
            if forgotten.has_ended() {
                self.credit.release(FILE_HELD);
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
            StorageReply::Discarded { .. } | StorageReply::Released { .. } => {}
            StorageReply::Checked { file, result, .. } => self.on_checked(file, result, out)?,
            StorageReply::Read { file, offset, buf, leaf, result, .. } => {
                self.on_reread(file, offset, (buf, leaf), result, out)?;
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
        let chunk = offset / chunk_size;
        let leaf = self.storing.writing.remove(&(file, chunk));
        self.credit.release(bytes);
        self.open.recycle(buf);
        match result {
            Err(error) if error.kind == StorageErrorKind::WrongLeaf => {
                if leaf.is_some()
                    && let Some(state) = self.files.get_mut(&file)
                {
                    state.take_back(chunk);
                    self.progress.bytes_moved = self.progress.bytes_moved.saturating_sub(bytes);
                    self.ask_again(file, chunk, now, out);
                }
                return Ok(());
            }
            Err(error) => return self.on_storage_error(file, &error, out),
            Ok(()) => {}
        }
        // Without a leaf the file was given up meanwhile.
        if let Some(leaf) = leaf {
            self.storing.written.entry(file).or_default().insert(chunk, leaf);
            self.storing.written_bytes += bytes;
            let size = self.files.get(&file).and_then(ReceiveFile::size);
            self.storing.has_stream |= size.is_none();
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
        for index in synced.doubted {
            if let Some(file) = self.files.get_mut(&index) {
                file.trust = Trust::DoubtNoted;
            }
        }
        // RS-WRITTEN: only now do they count for a commit.
        for (index, chunks) in synced.found {
            if self.absorb(index, &chunks) {
                durable.push(index);
            }
        }
        for (index, chunks) in synced.written {
            if !self.absorb(index, &chunks) {
                continue;
            }
            let Some(file) = self.files.get_mut(&index) else { continue };
            file.acknowledge_again(&chunks.ranges);
            ranges.extend(chunks.ranges.iter().map(|range| AckRange {
                file: index,
                first: range.start,
                count: range.end.saturating_sub(range.start),
            }));
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

    /// Chunks became durable; `false` if their file was given up.
    fn absorb(&mut self, index: FileIndex, chunks: &Chunks) -> bool {
        let Some(file) = self.files.get_mut(&index) else { return false };
        let before = file.chunks_len(&file.durable.ranges);
        file.durable.absorb(chunks);
        let bytes = file.chunks_len(&file.durable.ranges).saturating_sub(before);
        self.progress.bytes_durable = self.progress.bytes_durable.saturating_add(bytes);
        true
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
                self.settle_file(entry, out);
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
        let idle = self.complete.is_some() && self.storing.writing.is_empty();
        self.sync_if(now, idle, out);
        self.reread(out);
        self.finish(out);
    }

    /// Sees to a file's end once all of it is durable.
    fn commit_if_durable(&mut self, index: FileIndex, out: &mut Outbox) {
        let Some(file) = self.files.get(&index) else { return };
        if file.stage != Stage::Receiving || !file.is_durable() {
            return;
        }
        if file.trust == Trust::Sure {
            let root = file.durable_root();
            self.commit_if_right(index, root, out);
        } else {
            self.reread_for_root(index);
        }
    }

    /// Asks for a file's final name if `root`, which is that of what is durable,
    /// is the one that the sender stated; gives the file up otherwise (`TR-ROOT`).
    pub(super) fn commit_if_right(
        &mut self,
        index: FileIndex,
        root: Option<Hash>,
        out: &mut Outbox,
    ) {
        let Some(file) = self.files.get_mut(&index) else { return };
        if root.is_none() || root != file.root() {
            return self.fail_root(index, out);
        }
        let Some(size) = file.size() else { return };
        file.stage = Stage::Committing;
        out.storage.push_back(StorageRequest::Commit {
            transfer: self.id,
            file: index,
            size,
            root,
        });
    }

    /// The journal knows a file that was stored in an earlier connection, or not.
    fn on_checked(
        &mut self,
        file: FileIndex,
        result: Result<(), StorageError>,
        out: &mut Outbox,
    ) -> Result<(), Error> {
        if self.files.get(&file).is_none_or(|file| file.stage != Stage::Checking) {
            return Err(Error::misuse("storage answered a check that was not asked for"));
        }
        match result {
            Ok(()) => self.settle_file(file, out),
            Err(error) => self.fail_file(file, storage_failure(&error), out),
        }
        Ok(())
    }

    /// A file has its final name.
    fn settle_file(&mut self, file: FileIndex, out: &mut Outbox) {
        if self.files.remove(&file).is_some() {
            self.storing.settled.insert(file.0.into()..u64::from(file.0) + 1);
            self.credit.release(FILE_HELD);
            self.progress.files_done += 1;
            out.events.push_back(Event::FileDone { transfer: self.id, file });
        }
    }

    fn sync_if(&mut self, now: Instant, idle: bool, out: &mut Outbox) {
        let of_doubt = |(&index, file): (&FileIndex, &ReceiveFile)| {
            (file.trust == Trust::Doubted).then_some(index)
        };
        if self.storing.syncing.is_some() {
            return;
        }
        let doubted: Vec<FileIndex> = if self.rereads.is_idle() {
            Vec::new()
        } else {
            self.files.iter().filter_map(of_doubt).collect()
        };
        let storing = &self.storing;
        let waited = storing
            .written_since
            .is_some_and(|since| now.saturating_duration_since(since) >= timers::SYNC_DELAY);
        let most = if storing.has_stream { STREAM_SYNC_BYTES } else { SYNC_BYTES };
        let much = storing.written_bytes >= most || storing.written.len() >= SYNC_FILES;
        let of_data = !storing.written.is_empty() && (waited || much || idle);
        if !of_data && doubted.is_empty() && storing.found.is_empty() {
            return;
        }
        let written = std::mem::take(&mut self.storing.written);
        let found = std::mem::take(&mut self.storing.found);
        // RS-JOURNAL: what is noted is durable by then, or is made so before.
        let told: BTreeSet<FileIndex> =
            written.keys().chain(found.keys()).chain(&doubted).copied().collect();
        let journal = told
            .into_iter()
            .filter_map(|file| self.journal_entry(file, [written.get(&file), found.get(&file)]));
        let journal = journal.collect();
        self.storing.syncing = Some(Syncing { written, found, doubted });
        self.storing.written_bytes = 0;
        self.storing.has_stream = false;
        self.storing.written_since = None;
        out.storage.push_back(StorageRequest::Sync { transfer: self.id, journal });
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
                    let (transfer, journal) = (self.id, Vec::new());
                    out.storage.push_back(StorageRequest::Sync { transfer, journal });
                }
                return;
            };
            self.storing.end = EndStage::Directories(place);
            let file = FileIndex(place);
            if self.kind(file).is_some_and(|kind| kind.is_directory()) {
                self.storing.directories += 1;
                let (transfer, size, root) = (self.id, 0, None);
                out.storage.push_back(StorageRequest::Commit { transfer, file, size, root });
            }
        }
    }
}
