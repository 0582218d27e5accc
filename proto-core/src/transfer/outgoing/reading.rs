//! Reading ahead of what is sent, a bounded way.

use std::collections::VecDeque;

use super::super::statement::{Statement, next_file};
use super::super::storage_failure;
use super::{LoadedChunk, Outgoing, SendFile};
use crate::error::{Error, ErrorCode};
use crate::ids::FileIndex;
use crate::manifest::EntryKind;
use crate::ranges::RangeSet;
use crate::storage::{StorageError, StorageRequest};
use crate::transfer::Outbox;
use crate::tree::{TreeBuilder, leaf_hash};

/// Bytes that may be read and not yet sent, unless one chunk is more.
const AHEAD_BYTES: u64 = 1 << 20;
/// Reads that may be under way, so that many tiny files do not wait in turn.
const AHEAD_READS: usize = 64;
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
    /// Whether the chunk is read for the first time, and so goes into the tree.
    pub(super) first: bool,
}

/// Where reading stands.
#[derive(Debug, Default)]
pub(super) struct ReadAhead {
    /// The next file to open.
    pub(super) next_file: Option<u32>,
    /// The file being read and the offset of its next read.
    current: Option<(FileIndex, u64)>,
    /// Chunks to read once more.
    pub(super) again: VecDeque<Reading>,
    /// Reads that storage has not answered, in order.
    pending: VecDeque<Reading>,
    pending_bytes: u64,
    loaded_bytes: u64,
    spare: Vec<Vec<u8>>,
}

impl ReadAhead {
    /// Reads no further in a file that is given up, whose loaded chunks come back.
    pub(super) fn forget(&mut self, file: FileIndex, dropped: VecDeque<LoadedChunk>) {
        for chunk in dropped {
            self.recycle(chunk.data);
        }
        self.again.retain(|reading| reading.file != file);
        if self.current.is_some_and(|(current, _)| current == file) {
            self.current = None;
        }
    }

    /// Takes a sent chunk's buffer back.
    pub(super) fn recycle(&mut self, mut buf: Vec<u8>) {
        self.loaded_bytes = self.loaded_bytes.saturating_sub(buf.len() as u64);
        if self.spare.len() < SPARE_BUFFERS {
            buf.clear();
            self.spare.push(buf);
        }
    }

    fn has_room(&self) -> bool {
        self.pending.len() < AHEAD_READS && self.pending_bytes + self.loaded_bytes < AHEAD_BYTES
    }
}

impl Outgoing {
    /// Asks storage for as much as may be read ahead.
    pub(super) fn read_on(&mut self, out: &mut Outbox) {
        // A file that fails makes a frame; a peer that reads slowly holds it back.
        while self.read_ahead.has_room() && out.control.len() < CONTROL_PAUSE {
            let Some(reading) = self.next_reading() else { return };
            let Some(size) = self.files.get(&reading.file).map(|file| file.size) else { continue };
            let buf = self.read_ahead.spare.pop().unwrap_or_default();
            self.read_ahead.pending_bytes += reading.len;
            self.read_ahead.pending.push_back(reading);
            out.storage.push_back(StorageRequest::Read {
                transfer: self.id,
                file: reading.file,
                offset: reading.offset,
                len: u32::try_from(reading.len).unwrap_or(u32::MAX),
                last: reading.first && reading.offset + reading.len == size,
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
        let (file, offset) = self.read_ahead.current?;
        let size = self.files.get(&file)?.size;
        let len = (size - offset).min(self.chunk_size());
        let next = offset + len;
        self.read_ahead.current = (next < size).then_some((file, next));
        Some(Reading { file, offset, len, first: true })
    }

    /// Begins with the next selected file.
    fn open_next(&mut self) -> Option<()> {
        let place = self.read_ahead.next_file?;
        self.read_ahead.next_file = next_file(&self.manifest, &self.selected, place + 1);
        let file = FileIndex(place);
        let EntryKind::File { size: Some(size), .. } = self.manifest.entry(file)?.kind else {
            return None;
        };
        self.files.insert(
            file,
            SendFile {
                size,
                chunks: size.div_ceil(self.chunk_size()),
                tree: TreeBuilder::new(),
                sent: 0,
                acked: RangeSet::default(),
                sends: std::collections::BTreeMap::new(),
            },
        );
        self.read_ahead.current = Some((file, 0));
        Some(())
    }

    /// Storage answered the oldest read.
    pub(crate) fn on_read(
        &mut self,
        file: FileIndex,
        offset: u64,
        buf: Vec<u8>,
        result: Result<(), StorageError>,
        out: &mut Outbox,
    ) -> Result<(), Error> {
        if !self.state.is_open() {
            return Ok(()); // An answer to a transfer that ended meanwhile.
        }
        let Some(reading) = self.read_ahead.pending.pop_front() else {
            return Err(Error::misuse("storage answered a read that was not asked for"));
        };
        if (reading.file, reading.offset) != (file, offset) {
            return Err(Error::misuse("storage answered reads out of order"));
        }
        self.read_ahead.pending_bytes -= reading.len;
        match result {
            Ok(()) if buf.len() as u64 != reading.len => {
                return Err(Error::misuse("storage answered a read with the wrong length"));
            }
            Ok(()) => self.load(reading, buf),
            // A file that was given up meanwhile has nothing left to fail.
            Err(error) if self.files.contains_key(&file) => {
                let error = storage_failure(&error);
                self.fail_file(file, &error, out);
            }
            Err(_) => {}
        }
        self.advance(out);
        Ok(())
    }

    /// Takes a chunk that was read: hashes it and queues it for sending.
    fn load(&mut self, reading: Reading, data: Vec<u8>) {
        let chunk_size = self.chunk_size();
        let Some(file) = self.files.get_mut(&reading.file) else { return };
        let chunk = reading.offset / chunk_size;
        let leaf = leaf_hash(&data);
        let mut end = None;
        if reading.first {
            if !data.is_empty() {
                file.tree.push(leaf);
            }
            if reading.offset + reading.len == file.size {
                end = Some((file.size, file.tree.root()));
            }
        }
        self.read_ahead.loaded_bytes += data.len() as u64;
        self.loaded.push_back(LoadedChunk { file: reading.file, chunk, data, sent: 0, leaf, end });
    }

    /// States that a file was sent in full.
    pub(super) fn state_sent(&mut self, file: FileIndex, size: u64, root: [u8; 32]) {
        if let Some(statements) = &mut self.statements {
            let statement = Statement::Sent { size, root };
            statements.make(&self.manifest, &self.selected, file, statement);
        }
    }

    /// What an offer may hold in this version: files whose size is known.
    pub(crate) fn check_offer(manifest: &crate::manifest::Manifest) -> Result<(), Error> {
        if manifest.len() == 0 {
            return Err(Error::misuse("an offer needs at least one entry"));
        }
        let unknown = manifest
            .iter()
            .any(|(_, entry)| matches!(entry.kind, EntryKind::File { size: None, .. }));
        if unknown {
            return Err(Error::new(
                crate::error::Blame::Misuse,
                ErrorCode::Internal,
                "a file of unknown size cannot be offered yet",
            ));
        }
        Ok(())
    }
}
