//! The receiver's side of the storage contract: writes into a temporary
//! directory, makes it durable, and gives finished entries their names. Nothing
//! that exists is ever replaced (`SC-NO-OVERWRITE`), no link is followed below the
//! output directory (`SC-NO-FOLLOW`), and bytes are stored as they came: nothing is
//! unpacked (`SC-NO-UNPACK`). What does not live here: the temporary files themselves
//! (`temporary`) and the choice of names (`places`).

mod resume;

use std::collections::BTreeMap;
use std::fs::FileTimes;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use passel_proto::ids::FileIndex;
use passel_proto::manifest::{Entry, EntryKind, Manifest, Timestamp};
use passel_proto::storage::{JournalEntry, StorageError};

use super::ledger::{self, Ledger};
use super::places::{Places, move_new};
use super::screen::{Reached, Screen};
use super::temporary::{Temporary, Unsynced};
use super::written::Written;
use super::{other, read_exact_at, real_handle, writing};
use crate::journal::received::{FileRecord, Inode};

/// Takes the entries of one manifest into one directory.
#[derive(Debug)]
pub struct Sink {
    manifest: Arc<Manifest>,
    /// The entry that was asked for last.
    last: Option<(FileIndex, Arc<Entry>)>,
    out: Dir,
    out_path: PathBuf,
    places: Places,
    /// None once the transfer is over.
    temporary: Option<Temporary>,
    unsynced: Unsynced,
    /// None for a transfer that cannot go on later.
    ledger: Option<Ledger>,
    /// What was written since the journal was. None where nothing can be noted.
    written: Option<Written>,
    /// Whether an earlier session wrote some of it, so that a name may be taken
    /// by the very file that should get it.
    is_resumed: bool,
    /// The first failed sync. What it lost is unknown, so none may succeed after it.
    lost: Option<StorageError>,
    screen: Screen,
    /// What the screen compares with its limits.
    reached: Reached,
}

impl Sink {
    /// Opens the directory `out`, which is made if it is missing, chooses names
    /// for entries of the top level whose own are taken, and makes the temporary
    /// directory.
    pub fn create(out: &Path, manifest: Arc<Manifest>) -> Result<Self, StorageError> {
        let fail = |error: io::Error| writing(&error, &out.to_string_lossy());
        std::fs::create_dir_all(out).map_err(fail)?;
        let dir = Dir::open_ambient_dir(out, ambient_authority()).map_err(fail)?;
        let places = Places::choose(dir.try_clone().map_err(fail)?, &manifest).map_err(fail)?;
        let temporary = Some(Temporary::create(&dir).map_err(fail)?);
        Ok(Self {
            manifest,
            last: None,
            out: dir,
            out_path: out.to_owned(),
            places,
            temporary,
            unsynced: Unsynced::default(),
            ledger: None,
            written: None,
            is_resumed: false,
            lost: None,
            screen: Screen::default(),
            reached: Reached::default(),
        })
    }

    /// The same sink, which checks contents too (`TR-POLICY-CONTENT`).
    #[must_use]
    pub fn screened(self, screen: Screen) -> Self {
        Self { screen, ..self }
    }

    /// Names of the top level that were taken, with those used in their place.
    pub fn renamed(&self) -> &BTreeMap<String, String> {
        self.places.renamed()
    }

    /// Where an entry lies once it is committed; none if there is no such entry.
    pub fn final_path(&self, file: FileIndex) -> Option<PathBuf> {
        let entry = self.manifest.entry(file)?;
        Some(self.out_path.join(self.places.final_path(&entry.path)))
    }

    /// Writes `data` at `offset` of an entry's temporary file.
    pub fn write(&mut self, file: FileIndex, offset: u64, data: &[u8]) -> Result<(), StorageError> {
        let entry = self.entry(file)?;
        // MF-MIME-HINT: the media type decides nothing here.
        let EntryKind::File { size, executable, .. } = entry.kind else {
            return Err(other("a directory cannot be written to"));
        };
        let end = offset.checked_add(data.len() as u64);
        let end = end.filter(|&end| size.is_none_or(|size| end <= size));
        let end = end.ok_or_else(|| other("the write lies beyond the end of the file"))?;
        if size.is_none() {
            self.screen.on_growth(&entry, end, self.reached.with(file, end))?;
            self.reached.reach(file, end);
        }
        self.screen.on_write(&entry, offset, data)?;
        let temporary = self.temporary.as_mut().ok_or_else(over)?;
        let written = temporary.write(file.0, executable, offset, data, &mut self.unsynced);
        written.map_err(|error| self.fail(&error, &entry))
    }

    /// Puts the `len` bytes at `offset` of an entry's temporary file into `buf`,
    /// in place of what it held.
    pub fn read(
        &mut self,
        file: FileIndex,
        offset: u64,
        len: u32,
        buf: &mut Vec<u8>,
    ) -> Result<(), StorageError> {
        let entry = self.entry(file)?;
        let temporary = self.temporary.as_mut().ok_or_else(over)?;
        let read = temporary.existing(file.0).and_then(|found| {
            let found = found.ok_or(io::ErrorKind::NotFound)?;
            buf.clear();
            buf.resize(usize::try_from(len).unwrap_or(usize::MAX), 0);
            read_exact_at(&found, buf, offset)
        });
        read.map_err(|error| self.fail(&error, &entry))
    }

    /// Makes everything durable that was written and committed so far, and then
    /// what the journal says of it (`RS-JOURNAL`).
    pub fn sync(&mut self, journal: Vec<JournalEntry>) -> Result<(), StorageError> {
        self.make_durable(journal)?;
        self.forget_written();
        Ok(())
    }

    fn make_durable(&mut self, journal: Vec<JournalEntry>) -> Result<(), StorageError> {
        if let Some(lost) = &self.lost {
            return Err(lost.clone());
        }
        let synced = self
            .unsynced
            .sync(&self.out)
            .map_err(|error| writing(&error, &self.out_path.to_string_lossy()))
            .and_then(|()| self.write_journal(journal));
        synced.inspect_err(|error| self.lost = Some(error.clone()))
    }

    fn write_journal(&mut self, entries: Vec<JournalEntry>) -> Result<(), StorageError> {
        let Some(ledger) = &mut self.ledger else { return Ok(()) };
        let temporary = self.temporary.as_mut().ok_or_else(over)?;
        for JournalEntry { file, state } in entries {
            let found = temporary
                .existing(file.0)
                .and_then(|found| found.map(|found| found.metadata()).transpose());
            // Without a file there is nothing that could be there later.
            match found {
                Ok(Some(data)) => ledger.partial(file, state, Inode::of(&data)),
                Ok(None) => {}
                Err(error) => return Err(writing(&error, &self.out_path.to_string_lossy())),
            }
        }
        ledger.write()
    }

    /// Gives an entry its final name, time and mode. A file must have exactly
    /// `size` bytes; its `root` is noted.
    pub fn commit(
        &mut self,
        file: FileIndex,
        size: u64,
        root: Option<[u8; 32]>,
    ) -> Result<(), StorageError> {
        let entry = self.entry(file)?;
        let done = match entry.kind {
            EntryKind::Directory => self.commit_directory(&entry),
            EntryKind::File { executable, .. } => {
                self.commit_file(file, &entry, executable, size, root)
            }
        };
        done.map_err(|error| match error {
            CommitError::Io(error) => self.fail(&error, &entry),
            CommitError::Storage(error) => error,
        })
    }

    /// Whether [`Sink::commit`] looks into files: has them scanned, or compared with what an
    /// earlier session left.
    pub(super) fn looks_into_files(&self) -> bool {
        self.is_resumed || self.screen.scan.is_some()
    }

    /// Whether a file that was stored in an earlier session is still there, and
    /// has this size and root (`RS-STORED-CHECK`).
    pub fn check(&self, file: FileIndex, size: u64, root: &[u8; 32]) -> Result<(), StorageError> {
        match &self.ledger {
            Some(ledger) => ledger.check(file, size, root, &self.out),
            None => Err(other("no journal is kept of this transfer")),
        }
    }

    /// Removes the temporary file of an entry, or everything temporary, after
    /// which the transfer is over.
    pub fn discard(&mut self, file: Option<FileIndex>) -> Result<(), StorageError> {
        if file.is_none() {
            self.forget_transfer();
        }
        let result = match (file, &mut self.temporary) {
            (_, None) => Ok(()),
            (Some(file), Some(temporary)) => {
                self.unsynced.forget(file.0);
                self.reached.forget(file);
                // What an earlier session stored of a stream lies there still, and counts.
                if let Some(ledger) = &mut self.ledger
                    && !self.reached.has_stored(file)
                {
                    ledger.forget(file);
                }
                temporary.remove(file.0)
            }
            (None, Some(temporary)) => {
                let removed = temporary.remove_all();
                self.temporary = None;
                removed
            }
        };
        result.map_err(|error| writing(&error, &self.out_path.to_string_lossy()))
    }

    fn commit_file(
        &mut self,
        index: FileIndex,
        entry: &Entry,
        executable: bool,
        size: u64,
        root: Option<[u8; 32]>,
    ) -> Result<(), CommitError> {
        let temporary = self.temporary.as_mut().ok_or_else(over)?;
        let file = match temporary.take(index.0)? {
            Some(file) => file,
            None if size > 0 => return Err(wrong_length(0, size).into()),
            None => temporary.file(index.0, executable, &mut self.unsynced)?,
        };
        temporary.close(index.0);
        let part = temporary.file_name(index.0);
        let data = file.metadata()?;
        if data.len() != size {
            return Err(wrong_length(data.len(), size).into());
        }
        let path = self.out_path.join(temporary.name()).join(&part);
        self.screen.on_commit(entry, &file, &path)?;
        set_times(&file, entry);
        // Its length and times are part of what the next sync has to make durable.
        self.unsynced.file(index.0, &file)?;
        let name = self.places.name(&entry.path).to_owned();
        let parent = entry.path.parent();
        let target = self.places.directory(parent, &mut self.unsynced)?;
        let mut inode = Inode::of(&data);
        match move_new(temporary.dir(), &part, target, &name) {
            // A crash came between the name and the journal.
            Err(error) if self.is_resumed && error.kind() == io::ErrorKind::AlreadyExists => {
                inode = resume::same_content(target, &name, &file, size)?.ok_or(error)?;
                temporary.remove(index.0)?;
            }
            moved => moved?,
        }
        self.unsynced.directory(parent.unwrap_or(""), target)?;
        if let (Some(ledger), Some(root)) = (&mut self.ledger, root) {
            let name = self.places.final_path(&entry.path);
            ledger.stored(index, FileRecord::Stored { root, size, name, inode });
        }
        Ok(())
    }

    fn commit_directory(&mut self, entry: &Entry) -> Result<(), CommitError> {
        let path = entry.path.as_str();
        let dir = self.places.directory(Some(path), &mut self.unsynced)?;
        if let Some(handle) = real_handle(dir)? {
            set_times(&handle, entry);
        }
        self.unsynced.directory(path, dir)?;
        Ok(())
    }

    /// An entry, which is kept at hand: most requests are for the one before.
    fn entry(&mut self, file: FileIndex) -> Result<Arc<Entry>, StorageError> {
        if let Some((last, entry)) = &self.last
            && *last == file
        {
            return Ok(Arc::clone(entry));
        }
        let missing = || other(format!("there is no entry {} in the offer", file.0));
        let entry = Arc::new(self.manifest.entry(file).ok_or_else(missing)?);
        self.last = Some((file, Arc::clone(&entry)));
        Ok(entry)
    }

    fn fail(&self, error: &io::Error, entry: &Entry) -> StorageError {
        let path = self.out_path.join(self.places.final_path(&entry.path));
        writing(error, &path.to_string_lossy())
    }
}

/// Sets the modification time that was offered. Where the file system can't keep
/// it, the file is still whole, so that is no failure (`MF-TIME-RANGE`).
fn set_times(file: &std::fs::File, entry: &Entry) {
    let Some(time) = entry.modified.and_then(Timestamp::to_system_time) else { return };
    if let Err(error) = file.set_times(FileTimes::new().set_modified(time)) {
        tracing::debug!(%error, path = ?entry.path, "the modification time was not kept");
    }
}

fn wrong_length(written: u64, size: u64) -> StorageError {
    other(format!("{written} bytes were written of {size}"))
}

fn over() -> StorageError {
    other("the transfer is over")
}

enum CommitError {
    Io(io::Error),
    Storage(StorageError),
}

impl From<io::Error> for CommitError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<StorageError> for CommitError {
    fn from(error: StorageError) -> Self {
        Self::Storage(error)
    }
}

#[cfg(test)]
mod tests;
