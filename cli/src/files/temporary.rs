//! The receiver's temporary directory: files by the number of their entry, a
//! bounded number of them open, and the record of what is not durable yet. What
//! does not live here: final names ([`super::places`]).

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::sync::Arc;

use cap_fs_ext::{FollowSymlinks, OpenOptionsFollowExt};
use cap_std::fs::{Dir, DirBuilder, OpenOptions};

use super::{real_handle, write_all_at};

/// Most temporary files that are open at one time.
const MAX_OPEN: usize = 64;
/// Most files, and most directories, that are synced one by one. Above it the
/// whole file system is, where the system can do that.
const MAX_SINGLE_SYNCS: usize = 16;

/// A directory of temporary files within the output directory, which only this
/// user can enter. It is removed when dropped.
#[derive(Debug)]
pub(super) struct Temporary {
    out: Dir,
    name: String,
    dir: Dir,
    open: Vec<Slot>,
    uses: u64,
}

#[derive(Debug)]
struct Slot {
    index: u32,
    file: Arc<File>,
    last_use: u64,
}

impl Temporary {
    /// Makes a new directory `.passel-<random>.part` in `out`.
    pub(super) fn create(out: &Dir) -> io::Result<Self> {
        let mut random = [0; 8];
        getrandom::fill(&mut random).map_err(io::Error::other)?;
        let name = format!(".passel-{:016x}.part", u64::from_ne_bytes(random));
        #[cfg_attr(not(unix), allow(unused_mut, reason = "only Unix has modes"))]
        let mut builder = DirBuilder::new();
        #[cfg(unix)]
        cap_std::fs::DirBuilderExt::mode(&mut builder, 0o700);
        out.create_dir_with(&name, &builder)?;
        let dir = cap_fs_ext::DirExt::open_dir_nofollow(out, &name)?;
        Ok(Self { out: out.try_clone()?, name, dir, open: Vec::new(), uses: 0 })
    }

    /// The directory itself.
    pub(super) fn dir(&self) -> &Dir {
        &self.dir
    }

    /// The name of an entry's file within the directory.
    pub(super) fn file_name(index: u32) -> String {
        index.to_string()
    }

    /// The file of an entry, which is created if this is the first time. Then
    /// it gets its final mode, less the umask, since nobody else can enter. Of
    /// the entry nothing but the execution bit goes into it (`MF-ENTRY-MODE`).
    pub(super) fn file(
        &mut self,
        index: u32,
        executable: bool,
        unsynced: &mut Unsynced,
    ) -> io::Result<Arc<File>> {
        self.uses += 1;
        if let Some(slot) = self.open.iter_mut().find(|slot| slot.index == index) {
            slot.last_use = self.uses;
            return Ok(Arc::clone(&slot.file));
        }
        let name = Self::file_name(index);
        let mut options = OpenOptions::new();
        options.read(true).write(true).follow(FollowSymlinks::No); // SC-NO-FOLLOW
        let file = match self.dir.open_with(&name, &options) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                options.create_new(true);
                #[cfg(unix)]
                cap_std::fs::OpenOptionsExt::mode(
                    &mut options,
                    if executable { 0o777 } else { 0o666 },
                );
                let _ = executable;
                let file = self.dir.open_with(&name, &options)?;
                unsynced.directory(&self.name, &self.dir)?;
                file
            }
            found => found?,
        };
        let file = Arc::new(file.into_std());
        if self.open.len() >= MAX_OPEN {
            let oldest = self.open.iter().enumerate().min_by_key(|(_, slot)| slot.last_use);
            if let Some((place, _)) = oldest {
                self.open.swap_remove(place);
            }
        }
        self.open.push(Slot { index, file: Arc::clone(&file), last_use: self.uses });
        Ok(file)
    }

    /// Writes into an entry's file.
    pub(super) fn write(
        &mut self,
        index: u32,
        executable: bool,
        offset: u64,
        data: &[u8],
        unsynced: &mut Unsynced,
    ) -> io::Result<()> {
        let file = self.file(index, executable, unsynced)?;
        write_all_at(&file, data, offset)?;
        unsynced.file(index, &file)
    }

    /// Closes an entry's file.
    pub(super) fn close(&mut self, index: u32) {
        self.open.retain(|slot| slot.index != index);
    }

    /// Closes and removes an entry's file, if it exists.
    pub(super) fn remove(&mut self, index: u32) -> io::Result<()> {
        self.close(index);
        match self.dir.remove_file(Self::file_name(index)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Removes the directory with all that is in it; again if need be.
    pub(super) fn remove_all(&mut self) -> io::Result<()> {
        self.open.clear();
        match self.out.remove_dir_all(&self.name) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if let Err(error) = self.remove_all() {
            tracing::warn!(%error, directory = self.name, "temporary files were left behind");
        }
    }
}

/// What was written, created or renamed since the last sync.
#[derive(Debug, Default)]
pub(super) struct Unsynced {
    files: BTreeMap<u32, Arc<File>>,
    directories: BTreeMap<String, File>,
    /// More than single syncs are worth: the file system is synced as a whole.
    everything: bool,
}

impl Unsynced {
    /// Notes that an entry's file was written to.
    pub(super) fn file(&mut self, index: u32, file: &Arc<File>) -> io::Result<()> {
        if self.everything || self.files.contains_key(&index) {
            return Ok(());
        }
        if self.files.len() >= MAX_SINGLE_SYNCS {
            return self.overflow(file);
        }
        self.files.insert(index, Arc::clone(file));
        Ok(())
    }

    /// Notes that the names in `dir` changed; `key` stands for it.
    pub(super) fn directory(&mut self, key: &str, dir: &Dir) -> io::Result<()> {
        if self.everything || self.directories.contains_key(key) {
            return Ok(());
        }
        let Some(handle) = real_handle(dir)? else { return Ok(()) };
        if self.directories.len() >= MAX_SINGLE_SYNCS {
            return self.overflow(&handle);
        }
        self.directories.insert(key.to_owned(), handle);
        Ok(())
    }

    /// Forgets a file that was removed.
    pub(super) fn forget(&mut self, index: u32) {
        self.files.remove(&index);
    }

    /// Makes everything durable that was noted. `anchor` lies on the file system.
    pub(super) fn sync(&mut self, anchor: &Dir) -> io::Result<()> {
        if std::mem::take(&mut self.everything) {
            sync_file_system(anchor)?;
        }
        for file in std::mem::take(&mut self.files).into_values() {
            file.sync_all()?;
        }
        for directory in std::mem::take(&mut self.directories).into_values() {
            directory.sync_all()?;
        }
        Ok(())
    }

    /// There are too many: on Linux the next sync takes the whole file system,
    /// elsewhere the one at hand is made durable at once.
    fn overflow(&mut self, handle: &File) -> io::Result<()> {
        if cfg!(target_os = "linux") {
            self.everything = true;
            self.files.clear();
            self.directories.clear();
            Ok(())
        } else {
            handle.sync_all()
        }
    }
}

#[cfg(target_os = "linux")]
fn sync_file_system(anchor: &Dir) -> io::Result<()> {
    match real_handle(anchor)? {
        Some(handle) => Ok(rustix::fs::syncfs(&handle)?),
        None => Ok(()),
    }
}

#[cfg(not(target_os = "linux"))]
fn sync_file_system(_: &Dir) -> io::Result<()> {
    Ok(())
}
