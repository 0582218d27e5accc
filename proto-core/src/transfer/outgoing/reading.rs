//! Reading ahead of what is sent, a bounded way.

use std::collections::VecDeque;

use super::super::source_failure;
use super::super::statement::{Statement, next_file};
use super::stream::Kept;
use super::{LoadedChunk, Outgoing, SendFile};
use crate::error::Error;
use crate::ids::FileIndex;
use crate::storage::{StorageError, StorageRequest};
use crate::subtrees::Subtrees;
use crate::transfer::Outbox;
use crate::tree::{Hash, leaf_hash};

/// Bytes that may be read and not yet sent, unless one chunk is more.
const AHEAD_BYTES: u64 = 1 << 20;
/// The same further for each lane, which sends a chunk of its own.
const AHEAD_LANE_BYTES: u64 = 128 << 10;
/// Reads that may be under way, so that many tiny files do not wait in turn.
const AHEAD_READS: usize = 64;
/// Chunks that may be read and not yet sent: those of empty files have no bytes.
const AHEAD_CHUNKS: usize = 1024;
/// Reads of a stream that may be under way.
const STREAM_READS: usize = 8;
/// Frames waiting on `control` at which reading pauses.
const CONTROL_PAUSE: usize = 1024;
/// Buffers kept for the next reads.
const SPARE_BUFFERS: usize = 32;

/// A read that is wanted or under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reading {
    pub(super) file: FileIndex,
    pub(super) offset: u64,
    pub(super) len: u64,
    pub(super) purpose: Purpose,
    /// Whether the file may end before `len` bytes, or before `offset`.
    pub(super) stream: bool,
    /// Whether the file was given up: nothing waits for this read any more.
    abandoned: bool,
}

/// What a chunk is read for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// To be sent, for the first time.
    Send,
    /// To be compared with what the receiver says it has (`RS-COMPARE`).
    Compare,
    /// To be sent once more (`TR-NACK`, `LN-AGAIN`).
    Again,
    /// The same, with the end of the file, which may be lost too (`LN-AGAIN-END`).
    AgainWithEnd,
    /// To be sent if its leaf is not this one, which is the receiver's (`RS-REPAIR`).
    Repair(Hash),
}

impl Purpose {
    /// Whether the chunk is read for the first time, and so goes into the tree.
    fn is_first(self) -> bool {
        matches!(self, Self::Send | Self::Compare)
    }
}

impl Reading {
    /// A chunk that is read once more.
    pub(super) fn again(file: FileIndex, offset: u64, len: u64, purpose: Purpose) -> Self {
        Self { file, offset, len, purpose, stream: false, abandoned: false }
    }
}

/// Where reading stands in a file: chunks that are missing at the receiver come
/// first, those that it has last (`RS-DATA-FIRST`).
#[derive(Clone, Copy, Debug)]
struct Cursor {
    file: FileIndex,
    next: u64,
    purpose: Purpose,
}

/// Where reading stands.
#[derive(Debug, Default)]
pub(super) struct ReadAhead {
    /// The next file to open.
    pub(super) next_file: Option<u32>,
    /// The file being read.
    current: Option<Cursor>,
    /// Chunks to read once more.
    pub(super) again: VecDeque<Reading>,
    /// Reads that storage has not answered, in order.
    pending: VecDeque<Reading>,
    /// Bytes of these, but for streams and what is abandoned.
    pending_bytes: u64,
    /// How many of these are of a stream, and not abandoned.
    pending_streams: usize,
    pub(super) loaded_bytes: u64,
    /// Whether as much is read as there is room for. Once there is none left, half of it
    /// has to come free first, so that storage is woken seldom and has several reads then.
    is_filling: bool,
    /// Lanes to send over: each has a chunk of its own under way.
    pub(super) lanes: usize,
    spare: Vec<Vec<u8>>,
}

impl ReadAhead {
    /// Reads no further in a file that is given up, whose loaded chunks come back.
    pub(super) fn forget(&mut self, file: FileIndex, dropped: VecDeque<LoadedChunk>) {
        for chunk in dropped {
            self.recycle(chunk.data);
        }
        self.again.retain(|reading| reading.file != file);
        let mut pending = std::mem::take(&mut self.pending);
        for reading in pending.iter_mut().filter(|reading| reading.file == file) {
            // The others must not wait for a stream that is silent.
            self.end(reading);
            reading.abandoned = true;
        }
        self.pending = pending;
        if self.current.is_some_and(|cursor| cursor.file == file) {
            self.current = None;
        }
    }

    /// Takes a sent chunk's buffer back.
    pub(super) fn recycle(&mut self, buf: Vec<u8>) {
        self.loaded_bytes = self.loaded_bytes.saturating_sub(buf.len() as u64);
        self.spare(buf);
    }

    /// Takes a buffer back that no loaded chunk had.
    pub(super) fn spare(&mut self, mut buf: Vec<u8>) {
        if self.spare.len() < SPARE_BUFFERS {
            buf.clear();
            self.spare.push(buf);
        }
    }

    /// Bytes that may be read and not yet sent.
    fn most_bytes(&self) -> u64 {
        AHEAD_BYTES.saturating_add((self.lanes as u64).saturating_mul(AHEAD_LANE_BYTES))
    }

    /// Whether one more read may be under way. A stream may be silent for long,
    /// so its reads are counted apart.
    fn has_room(&mut self) -> bool {
        let reads = self.pending.len().saturating_sub(self.pending_streams);
        let bytes = self.pending_bytes.saturating_add(self.loaded_bytes);
        let most = self.most_bytes();
        self.is_filling = if self.is_filling {
            reads < AHEAD_READS && bytes < most
        } else {
            reads <= AHEAD_READS / 2 && bytes <= most / 2
        };
        self.is_filling
    }

    /// Whether a stream may be read further ahead.
    fn has_room_for_stream(&self, chunk_size: u64) -> bool {
        let bytes = chunk_size.saturating_mul(self.pending_streams as u64);
        self.pending_streams < STREAM_READS && bytes + self.loaded_bytes < self.most_bytes()
    }

    fn begin(&mut self, reading: Reading) {
        if reading.stream {
            self.pending_streams += 1;
        } else {
            self.pending_bytes += reading.len;
        }
        self.pending.push_back(reading);
    }

    fn end(&mut self, reading: &Reading) {
        if reading.abandoned {
            return;
        }
        if reading.stream {
            self.pending_streams = self.pending_streams.saturating_sub(1);
        } else {
            self.pending_bytes = self.pending_bytes.saturating_sub(reading.len);
        }
    }
}

impl SendFile {
    /// Where reading goes on from `next`, if anything is left for this purpose
    /// or the one behind it.
    fn cursor(
        &self,
        file: FileIndex,
        purpose: Purpose,
        next: u64,
        chunk_size: u64,
    ) -> Option<Cursor> {
        let there = &self.claimed.chunks;
        if purpose == Purpose::Send {
            let next = there.first_missing(next);
            let chunks = self.size.map(|size| size.div_ceil(chunk_size));
            if chunks.is_none_or(|chunks| next < chunks) {
                return Some(Cursor { file, next, purpose });
            }
            return self.cursor(file, Purpose::Compare, 0, chunk_size);
        }
        let next = there.first_present(next)?;
        Some(Cursor { file, next, purpose })
    }
}

impl Outgoing {
    /// Asks storage for as much as may be read ahead.
    pub(super) fn read_on(&mut self, out: &mut Outbox) {
        // A file that fails makes a frame; a peer that reads slowly holds it back.
        while self.read_ahead.has_room()
            && self.loaded.len() < AHEAD_CHUNKS
            && out.control.len() < CONTROL_PAUSE
        {
            let Some(reading) = self.next_reading() else { return };
            let Some(file) = self.files.get(&reading.file) else { continue };
            let goes_on = self.read_ahead.current.is_some_and(|next| next.file == reading.file);
            let last = reading.purpose.is_first() && file.kept.is_none() && !goes_on;
            let buf = self.read_ahead.spare.pop().unwrap_or_default();
            self.read_ahead.begin(reading);
            out.storage.push_back(StorageRequest::Read {
                transfer: self.id,
                file: reading.file,
                offset: reading.offset,
                len: u32::try_from(reading.len).unwrap_or(u32::MAX),
                last,
                buf,
            });
        }
    }

    fn next_reading(&mut self) -> Option<Reading> {
        if let Some(again) = self.read_ahead.again.pop_front() {
            return Some(again);
        }
        if self.read_ahead.current.is_none() {
            self.open_next()?;
        }
        let cursor = self.read_ahead.current?;
        let Cursor { file, next: chunk, purpose } = cursor;
        let chunk_size = self.chunk_size();
        let offset = chunk.saturating_mul(chunk_size);
        let state = self.files.get(&file)?;
        let stream = state.kept.is_some();
        if stream && !self.read_ahead.has_room_for_stream(chunk_size) {
            return None;
        }
        let len = state.size.map_or(chunk_size, |size| size.saturating_sub(offset).min(chunk_size));
        self.read_ahead.current = state.cursor(file, purpose, chunk + 1, chunk_size);
        Some(Reading { file, offset, len, purpose, stream, abandoned: false })
    }

    /// Begins with the next selected file that was not given up.
    fn open_next(&mut self) -> Option<()> {
        let file = loop {
            let place = self.read_ahead.next_file?;
            self.read_ahead.next_file = next_file(&self.manifest, &self.selected, place + 1);
            if !self.failed.contains(place.into()) {
                break FileIndex(place);
            }
        };
        let size = self.manifest.kind(file)?.size();
        let chunk_size = self.chunk_size();
        let claimed = self.claim_of(file, size.unwrap_or(0).div_ceil(chunk_size));
        let begun = SendFile {
            size,
            kept: size.is_none().then(Kept::default),
            ended: false,
            tree: Subtrees::new(usize::MAX),
            sent: claimed.chunks.clone(),
            acked: claimed.chunks.clone(),
            claimed,
            sends: std::collections::BTreeMap::new(),
        };
        // An empty file has no chunk, and is read all the same.
        let empty = Cursor { file, next: 0, purpose: Purpose::Send };
        let cursor = begun.cursor(file, Purpose::Send, 0, chunk_size);
        self.read_ahead.current = cursor.or(Some(empty));
        self.files.insert(file, begun);
        Some(())
    }

    /// Storage answered the oldest read of a file.
    pub(crate) fn on_read(
        &mut self,
        file: FileIndex,
        offset: u64,
        (buf, leaf): (Vec<u8>, Option<Hash>),
        result: Result<(), StorageError>,
        out: &mut Outbox,
    ) -> Result<(), Error> {
        if !self.state.is_open() {
            return Ok(()); // An answer to a transfer that ended meanwhile.
        }
        let oldest = self.read_ahead.pending.iter().position(|reading| reading.file == file);
        let Some(reading) = oldest.and_then(|place| self.read_ahead.pending.remove(place)) else {
            return Err(Error::misuse("storage answered a read that was not asked for"));
        };
        if reading.offset != offset {
            return Err(Error::misuse("storage answered reads out of order"));
        }
        self.read_ahead.end(&reading);
        let read = buf.len() as u64;
        match result {
            Ok(()) if read > reading.len || (read < reading.len && !reading.stream) => {
                return Err(Error::misuse("storage answered a read with the wrong length"));
            }
            Ok(()) => self.load(reading, (buf, leaf), out),
            // A file that was given up meanwhile has nothing left to fail.
            Err(error) if self.files.contains_key(&file) => {
                self.fail_reading(file, source_failure(&error), out)?;
            }
            Err(_) => {}
        }
        self.advance(out);
        Ok(())
    }

    /// Takes a chunk that was read: hashes it, unless storage did, and queues it if it
    /// is to be sent.
    fn load(&mut self, reading: Reading, (data, leaf): (Vec<u8>, Option<Hash>), out: &mut Outbox) {
        let chunk_size = self.chunk_size();
        let index = reading.file;
        let Some(file) = self.files.get_mut(&index) else { return };
        if reading.purpose.is_first() && file.size.is_some_and(|size| reading.offset > size) {
            // Asked for before the end of the stream was known.
            return self.read_ahead.spare(data);
        }
        let chunk = reading.offset / chunk_size;
        let leaf = leaf.unwrap_or_else(|| leaf_hash(&data));
        let until = reading.offset.saturating_add(data.len() as u64);
        if reading.stream && (data.len() as u64) < reading.len {
            // TR-STREAM: only its end makes a chunk short.
            file.size = Some(until);
            self.read_ahead.current = None;
        }
        let mut end = None;
        if reading.purpose.is_first() {
            if !data.is_empty() {
                // Each chunk is read once for one of the two purposes.
                let _ = file.tree.insert(chunk, leaf);
            }
            if reading.purpose == Purpose::Compare {
                file.claimed.compare(chunk, leaf);
            }
            end = file.end(chunk_size);
        } else if reading.purpose == Purpose::AgainWithEnd {
            end = file.end(chunk_size);
        }
        let is_sent = match reading.purpose {
            Purpose::Send | Purpose::Again | Purpose::AgainWithEnd => true,
            Purpose::Compare => false,
            Purpose::Repair(there) => file.claimed.differs(chunk, leaf, there),
        };
        if is_sent {
            self.read_ahead.loaded_bytes += data.len() as u64;
            let loaded = LoadedChunk { file: index, chunk, data, sent: 0, leaf, end };
            match reading.purpose {
                // The receiver may hold a part of it.
                Purpose::Again | Purpose::AgainWithEnd => self.loaded.push_front(loaded),
                _ => self.loaded.push_back(loaded),
            }
        } else {
            self.read_ahead.spare(data);
            if end.is_some() && file.claimed.holds() {
                self.end_file(index);
            }
        }
        self.repair(index, out);
    }

    /// Queues the statement of a file's end alone, for nothing else of it is left
    /// to be sent.
    pub(super) fn end_file(&mut self, file: FileIndex) {
        let end = self.files.get(&file).and_then(|state| state.end(self.chunk_size()));
        let (data, leaf) = (Vec::new(), [0; 32]);
        self.loaded.push_back(LoadedChunk { file, chunk: 0, data, sent: 0, leaf, end });
    }

    /// States that a file was sent in full.
    pub(super) fn state_sent(&mut self, file: FileIndex, size: u64, root: [u8; 32]) {
        if let Some(state) = self.files.get_mut(&file) {
            if std::mem::replace(&mut state.ended, true) {
                return; // The same statement goes over another lane.
            }
            if state.kept.is_some() {
                self.streamed.insert(file, size);
                self.progress.end_stream(size);
            }
        }
        if let Some(statements) = &mut self.statements {
            let statement = Statement::Sent { size, root };
            statements.make(&self.manifest, &self.selected, file, statement);
        }
    }

    /// What an offer may hold.
    pub(crate) fn check_offer(manifest: &crate::manifest::Manifest) -> Result<(), Error> {
        if manifest.len() == 0 {
            return Err(Error::misuse("an offer needs at least one entry"));
        }
        Ok(())
    }
}
