//! What lets a sink go on where an earlier one ended: the journal that it keeps,
//! and what it finds of an earlier session. The journal is written in the parent.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;
use std::sync::Arc;

use cap_fs_ext::{FollowSymlinks, OpenOptionsFollowExt};
use cap_std::ambient_authority;
use cap_std::fs::{Dir, OpenOptions};
use passel_proto::ids::FileIndex;
use passel_proto::limits::MAX_CHUNK;
use passel_proto::manifest::{EntryKind, Manifest};
use passel_proto::storage::{Have, HaveState, StorageError, WrittenChunk};
use passel_proto::tree::leaf_hash;

use super::{Ledger, Sink, ledger, move_new, over, writing};
use crate::files::places::{Earlier, Places};
use crate::files::read_exact_at;
use crate::files::screen::{Reached, Screen};
use crate::files::temporary::{Temporary, Unsynced};
use crate::files::written::{Note, Written};
use crate::journal::received::{EntryDigest, FileRecord, Inode, Journal, Transfer, temporary_name};

/// How much of two files is compared at a time, in bytes.
const COMPARED: usize = 64 * 1024;
/// Most that is read back of what was noted as written, in bytes: several times
/// what is written between two syncs.
const READ_BACK: u64 = 256 << 20;
/// Least length of a chunk that is noted as written, in bytes.
const NOTED: usize = 4_096;

impl Sink {
    /// Like [`Sink::create`], for a transfer that may go on in a later session
    /// once [`Sink::keep`] was called.
    pub fn create_for(
        out: &Path,
        manifest: Arc<Manifest>,
        token: [u8; 16],
    ) -> Result<Self, StorageError> {
        let fail = |error: io::Error| writing(&error, &out.to_string_lossy());
        let mut sink = Self::create(out, Arc::clone(&manifest))?;
        // In place of the one that was made, which goes.
        let temporary = Temporary::create_named(&sink.out, temporary_name(token), manifest);
        sink.temporary = Some(temporary.map_err(fail)?);
        Ok(sink)
    }

    /// Keeps a journal from now on, and with it what is temporary, until the
    /// transfer is discarded or complete.
    pub fn keep(&mut self, journal: Arc<Journal>) {
        if let Some(temporary) = &mut self.temporary {
            temporary.keep();
            self.written = match Written::open(temporary.dir()) {
                Ok(written) => Some(written),
                Err(error) => {
                    tracing::debug!(%error, "what is written cannot be noted");
                    None
                }
            };
        }
        self.ledger = Some(Ledger::new(journal, Arc::clone(&self.manifest)));
    }

    /// The names of the top level, for [`Transfer::tops`].
    pub fn tops(&self) -> Vec<(String, String)> {
        self.places.tops(&self.manifest)
    }

    /// Goes on with what an earlier session left, and tells what that is. The offer
    /// may have changed since.
    pub fn resume(
        manifest: Arc<Manifest>,
        journal: Arc<Journal>,
        transfer: &Transfer,
    ) -> Result<(Self, Vec<Have>), StorageError> {
        let fail = |error: io::Error| writing(&error, &transfer.out.to_string_lossy());
        std::fs::create_dir_all(&transfer.out).map_err(fail)?;
        let out = Dir::open_ambient_dir(&transfer.out, ambient_authority()).map_err(fail)?;
        let is_same = manifest.digest() == transfer.manifest;
        let earlier = Earlier { tops: &transfer.tops, is_same };
        let places = Places::choose_again(out.try_clone().map_err(fail)?, &manifest, &earlier);
        let name = temporary_name(transfer.token);
        let temporary = Temporary::open_named(&out, name, Arc::clone(&manifest)).map_err(fail)?;
        let mut sink = Self {
            places: places.map_err(fail)?,
            last: None,
            temporary: Some(temporary),
            out,
            out_path: transfer.out.clone(),
            unsynced: Unsynced::default(),
            ledger: None,
            written: None,
            is_resumed: true,
            lost: None,
            screen: Screen::default(),
            reached: Reached::default(),
            manifest,
        };
        sink.keep(journal);
        let have = sink.find()?;
        Ok((sink, have))
    }

    /// What there is of the offer's files. What the journal says and the disk does
    /// not is forgotten.
    fn find(&mut self) -> Result<Vec<Have>, StorageError> {
        let manifest = Arc::clone(&self.manifest);
        let mut have = Vec::new();
        let mut notes = self.notes();
        let mut room = READ_BACK;
        for (file, entry) in manifest.iter() {
            let (Some(ledger), EntryKind::File { size, .. }) = (&self.ledger, &entry.kind) else {
                continue;
            };
            // A stream that was stored is of no use to the protocol, and takes its room.
            if size.is_none()
                && let Some(stored) = ledger.stored_size(file, &self.out)?
            {
                self.reached.store(file, stored);
            }
            let record = match size {
                Some(size) => ledger.record(file)?.map(|record| (*size, record)),
                None => None,
            };
            let was_known = record.is_some();
            let noted = manifest.entry_digest(file).and_then(|digest| notes.remove(&digest));
            let noted = noted.filter(|_| size.is_some()).unwrap_or_default();
            let state = match record {
                None => {
                    let chunks = self.read_back(file.0, noted, &mut room)?;
                    let state = Vec::new();
                    (!chunks.is_empty()).then_some(HaveState::Written { state, chunks })
                }
                Some((size, FileRecord::Partial { state, inode })) => {
                    let name = self.places.final_path(&entry.path);
                    let is_here = self.has_temporary(file.0, inode)?
                        || self.take_back(file.0, &name, size, inode)?;
                    let noted = if is_here { noted } else { Vec::new() };
                    let chunks = self.read_back(file.0, noted, &mut room)?;
                    is_here.then_some(if chunks.is_empty() {
                        HaveState::Partial(state)
                    } else {
                        HaveState::Written { state, chunks }
                    })
                }
                Some((_, FileRecord::Stored { size: length, name, inode, .. })) => {
                    let is_there = ledger::is_there(&self.out, &name, length, inode);
                    is_there.then_some(HaveState::Stored)
                }
            };
            if let Some(state) = state {
                have.push(Have { file, state });
                continue;
            }
            if let Some(ledger) = self.ledger.as_mut().filter(|_| was_known) {
                ledger.forget(file);
            }
            if let Some(temporary) = &mut self.temporary {
                temporary.remove(file.0).map_err(|error| self.fail(&error, &entry))?;
            }
        }
        if let Some(ledger) = &mut self.ledger {
            ledger.forget_others()?;
            ledger.write()?;
        }
        Ok(have)
    }

    /// Notes a chunk that was written (`RS-WRITTEN`). Where that fails, a killed
    /// process only costs more.
    pub fn note_written(&mut self, file: FileIndex, offset: u64, len: usize, leaf: [u8; 32]) {
        // To send little again costs less than to note it.
        if len < NOTED {
            return;
        }
        let (Some(written), Some(entry)) = (&mut self.written, self.manifest.entry_digest(file))
        else {
            return;
        };
        let len = u32::try_from(len).unwrap_or(u32::MAX);
        if let Err(error) = written.note(&Note { entry, offset, len, leaf }) {
            tracing::debug!(%error, "what is written cannot be noted any more");
            self.written = None;
        }
    }

    /// A sync that the protocol asked for is done, and the journal written.
    pub(super) fn forget_written(&mut self) {
        if let Some(written) = &mut self.written
            && let Err(error) = written.synced()
        {
            tracing::debug!(%error, "what is written cannot be noted any more");
            self.written = None;
        }
    }

    /// What an earlier session noted as written, by entry.
    fn notes(&mut self) -> BTreeMap<EntryDigest, Vec<Note>> {
        let mut notes: BTreeMap<EntryDigest, Vec<Note>> = BTreeMap::new();
        let read = self.written.as_mut().map(Written::read);
        for note in read.and_then(Result::ok).unwrap_or_default() {
            notes.entry(note.entry).or_default().push(note);
        }
        notes
    }

    /// The chunks among `noted` that an entry's temporary file holds: their bytes
    /// decide, not the notes. The next sync makes them durable.
    fn read_back(
        &mut self,
        index: u32,
        noted: Vec<Note>,
        room: &mut u64,
    ) -> Result<Vec<WrittenChunk>, StorageError> {
        let fail = |error: io::Error| writing(&error, &self.out_path.to_string_lossy());
        let temporary = self.temporary.as_mut().ok_or_else(over)?;
        if noted.is_empty() {
            return Ok(Vec::new());
        }
        let Some(file) = temporary.existing(index).map_err(fail)? else { return Ok(Vec::new()) };
        let (mut chunks, mut buffer) = (Vec::new(), Vec::new());
        for Note { offset, len, leaf, .. } in noted {
            let length = usize::try_from(len).unwrap_or(usize::MAX);
            if length > MAX_CHUNK || *room < u64::from(len) {
                continue;
            }
            *room -= u64::from(len);
            buffer.resize(length, 0);
            if read_exact_at(&file, &mut buffer, offset).is_ok() && leaf_hash(&buffer) == leaf {
                chunks.push(WrittenChunk { offset, len, leaf });
            }
        }
        if !chunks.is_empty() {
            self.unsynced.file(index, &file).map_err(fail)?;
            self.unsynced.directory(temporary.name(), temporary.dir()).map_err(fail)?;
        }
        Ok(chunks)
    }

    /// Whether an entry's temporary file is the one that the journal knows.
    fn has_temporary(&mut self, index: u32, inode: Inode) -> Result<bool, StorageError> {
        let temporary = self.temporary.as_mut().ok_or_else(over)?;
        let found = temporary.existing(index).and_then(|found| match found {
            Some(file) => Ok(Inode::of(&file.metadata()?) == inode),
            None => Ok(false),
        });
        found.map_err(|error| writing(&error, &self.out_path.to_string_lossy()))
    }

    /// A crash came between a file's final name and the journal: it is made a
    /// temporary one again, which the protocol then finishes once more.
    fn take_back(
        &mut self,
        index: u32,
        name: &str,
        size: u64,
        inode: Inode,
    ) -> Result<bool, StorageError> {
        if !ledger::is_there(&self.out, name, size, inode) {
            return Ok(false);
        }
        let temporary = self.temporary.as_mut().ok_or_else(over)?;
        let back = move_new(&self.out, name, temporary.dir(), &temporary.file_name(index));
        if let Err(error) = &back {
            tracing::debug!(%error, "a finished file could not be taken back");
        }
        Ok(back.is_ok())
    }

    /// The transfer is over on this connection. If it can go on, or was completed,
    /// its journal stays, else all of it goes (`RS-KEEP`, `RS-COMPLETE-AGAIN`).
    pub fn release(&mut self, completed: bool) -> Result<(), StorageError> {
        if self.ledger.is_none() {
            return self.discard(None);
        }
        if !completed {
            // What was given its name is worth noting; if it fails, it is sent again.
            // The notes stay: the protocol did not say what this makes durable.
            let _ = self.make_durable(Vec::new());
            self.temporary = None;
        } else if let Some(mut temporary) = self.temporary.take() {
            let removed = temporary.remove_all();
            removed.map_err(|error| writing(&error, &self.out_path.to_string_lossy()))?;
        }
        match &mut self.ledger {
            Some(ledger) => ledger.release(completed),
            None => Ok(()),
        }
    }

    /// Nothing of the transfer is to be known any more.
    pub(super) fn forget_transfer(&mut self) {
        if let Some(ledger) = self.ledger.take() {
            ledger.remove();
        }
    }
}

/// The file `name` in `dir`, if it has the same content as `file`. It is only
/// read, and no link is followed (`SC-NO-FOLLOW`).
pub(super) fn same_content(
    dir: &Dir,
    name: &str,
    file: &File,
    size: u64,
) -> io::Result<Option<Inode>> {
    let mut options = OpenOptions::new();
    options.read(true).follow(FollowSymlinks::No);
    let Ok(other) = dir.open_with(name, &options) else { return Ok(None) };
    let mut other = other.into_std();
    let metadata = other.metadata()?;
    if !metadata.is_file() || metadata.len() != size {
        return Ok(None);
    }
    let (mut one, mut two) = (vec![0; COMPARED], vec![0; COMPARED]);
    let mut offset = 0;
    while offset < size {
        let length = usize::try_from(size - offset).map_or(COMPARED, |left| left.min(COMPARED));
        read_exact_at(file, &mut one[..length], offset)?;
        other.read_exact(&mut two[..length])?;
        if one[..length] != two[..length] {
            return Ok(None);
        }
        offset += length as u64;
    }
    Ok(Some(Inode::of(&other.metadata()?)))
}

#[cfg(test)]
mod tests;
