//! The receiver's side of the storage contract: writes into a temporary
//! directory, makes it durable, and gives finished entries their names. Nothing
//! that exists is ever replaced (`SC-NO-OVERWRITE`), no link is followed below the
//! output directory (`SC-NO-FOLLOW`), and bytes are stored as they came: nothing is
//! unpacked (`SC-NO-UNPACK`). What does not live here: the temporary files themselves
//! (`temporary`) and the choice of names (`places`).

use std::collections::BTreeMap;
use std::fs::FileTimes;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use passel_proto::ids::FileIndex;
use passel_proto::manifest::{Entry, EntryKind, Manifest, Timestamp};
use passel_proto::storage::StorageError;

use super::places::{Places, move_new};
use super::temporary::{Temporary, Unsynced};
use super::{other, real_handle, writing};

/// Takes the entries of one manifest into one directory.
#[derive(Debug)]
pub struct Sink {
    manifest: Arc<Manifest>,
    out: Dir,
    out_path: PathBuf,
    places: Places,
    /// None once the transfer is over.
    temporary: Option<Temporary>,
    unsynced: Unsynced,
    /// The first failed sync. What it lost is unknown, so none may succeed after it.
    lost: Option<StorageError>,
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
            out: dir,
            out_path: out.to_owned(),
            places,
            temporary,
            unsynced: Unsynced::default(),
            lost: None,
        })
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
        if end.is_none_or(|end| size.is_some_and(|size| end > size)) {
            return Err(other("the write lies beyond the end of the file"));
        }
        let temporary = self.temporary.as_mut().ok_or_else(over)?;
        let written = temporary.write(file.0, executable, offset, data, &mut self.unsynced);
        written.map_err(|error| self.fail(&error, &entry))
    }

    /// Makes everything durable that was written and committed so far.
    pub fn sync(&mut self) -> Result<(), StorageError> {
        if let Some(lost) = &self.lost {
            return Err(lost.clone());
        }
        self.unsynced.sync(&self.out).map_err(|error| {
            let error = writing(&error, &self.out_path.to_string_lossy());
            self.lost = Some(error.clone());
            error
        })
    }

    /// Gives an entry its final name, time and mode. A file must have exactly
    /// `size` bytes.
    pub fn commit(&mut self, file: FileIndex, size: u64) -> Result<(), StorageError> {
        let entry = self.entry(file)?;
        let done = match entry.kind {
            EntryKind::Directory => self.commit_directory(&entry),
            EntryKind::File { executable, .. } => self.commit_file(file, &entry, executable, size),
        };
        done.map_err(|error| match error {
            CommitError::Io(error) => self.fail(&error, &entry),
            CommitError::Storage(error) => error,
        })
    }

    /// Removes the temporary file of an entry, or everything temporary, after
    /// which the transfer is over.
    pub fn discard(&mut self, file: Option<FileIndex>) -> Result<(), StorageError> {
        let result = match (file, &mut self.temporary) {
            (_, None) => Ok(()),
            (Some(file), Some(temporary)) => {
                self.unsynced.forget(file.0);
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
    ) -> Result<(), CommitError> {
        let temporary = self.temporary.as_mut().ok_or_else(over)?;
        let file = temporary.file(index.0, executable, &mut self.unsynced)?;
        let length = file.metadata()?.len();
        if length != size {
            return Err(other(format!("{length} bytes were written of {size}")).into());
        }
        set_times(&file, entry);
        // Its length and times are part of what the next sync has to make durable.
        self.unsynced.file(index.0, &file)?;
        temporary.close(index.0);
        let name = self.places.name(&entry.path).to_owned();
        let parent = entry.path.parent();
        let target = self.places.directory(parent, &mut self.unsynced)?;
        move_new(temporary.dir(), &Temporary::file_name(index.0), target, &name)?;
        self.unsynced.directory(parent.unwrap_or(""), target)?;
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

    fn entry(&self, file: FileIndex) -> Result<Entry, StorageError> {
        let missing = || other(format!("there is no entry {} in the offer", file.0));
        self.manifest.entry(file).ok_or_else(missing)
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
