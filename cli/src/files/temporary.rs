//! The receiver's temporary directory: files by the number of their entry, and the
//! record of what is not durable yet. What does not live here: which of them stay open
//! ([`super::opened`]), and final names ([`super::places`]).

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::sync::Arc;

use passel_proto::ids::FileIndex;
use passel_proto::manifest::Manifest;

use cap_fs_ext::{FollowSymlinks, OpenOptionsFollowExt};
use cap_std::fs::{Dir, DirBuilder, OpenOptions};

use super::opened::{Opened, is_too_many};
use super::{real_handle, write_all_at};
use crate::hex::hex;

/// Most files, and most directories, that are synced one by one. Above it the
/// whole file system is, where the system can do that.
const MAX_SINGLE_SYNCS: usize = 16;

/// How the directory's name begins; 16 hexadecimal digits follow.
const PREFIX: &str = ".passel-";
/// How it ends.
const SUFFIX: &str = ".part";

/// Whether a name has the form of those that [`Temporary::create`] makes.
pub(super) fn is_temporary(name: &str) -> bool {
    let digits = name.strip_prefix(PREFIX).and_then(|rest| rest.strip_suffix(SUFFIX));
    digits.is_some_and(|digits| {
        digits.len() == 16 && digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    })
}

/// Locks an open directory until it is closed, or says that somebody else has. On
/// a file system without locks this fails or tells nothing.
pub(super) fn try_lock(directory: &File) -> io::Result<bool> {
    #[cfg(unix)]
    return match rustix::fs::flock(directory, rustix::fs::FlockOperation::NonBlockingLockExclusive)
    {
        Ok(()) => Ok(true),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(false),
        Err(error) => Err(error.into()),
    };
    #[cfg(not(unix))]
    return {
        let _ = directory;
        Err(io::ErrorKind::Unsupported.into())
    };
}

/// A directory of temporary files within the output directory, which only this
/// user can enter. It is removed when dropped, unless it is to be kept.
#[derive(Debug)]
pub(super) struct Temporary {
    out: Dir,
    name: String,
    dir: Dir,
    /// Says to other processes that the directory is in use, while it is open.
    _lock: Option<File>,
    naming: Naming,
    is_kept: bool,
    open: Opened,
}

/// How an entry's file is called within the directory.
#[derive(Debug)]
enum Naming {
    /// By its number.
    Number,
    /// By the digest of the entry, which is the same in a later offer.
    Digest(Arc<Manifest>),
}

impl Temporary {
    /// Makes a new directory `.passel-<random>.part` in `out`.
    pub(super) fn create(out: &Dir) -> io::Result<Self> {
        let mut random = [0; 8];
        getrandom::fill(&mut random).map_err(io::Error::other)?;
        let name = format!("{PREFIX}{:016x}{SUFFIX}", u64::from_ne_bytes(random));
        Self::make(out, name, Naming::Number)
    }

    /// Makes the directory `name` in `out` for a transfer that may go on later.
    pub(super) fn create_named(
        out: &Dir,
        name: String,
        manifest: Arc<Manifest>,
    ) -> io::Result<Self> {
        Self::make(out, name, Naming::Digest(manifest))
    }

    /// Opens the directory of an earlier session, or makes it again.
    pub(super) fn open_named(out: &Dir, name: String, manifest: Arc<Manifest>) -> io::Result<Self> {
        match cap_fs_ext::DirExt::open_dir_nofollow(out, &name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Self::create_named(out, name, manifest)
            }
            found => Self::new(out, name, found?, Naming::Digest(manifest)),
        }
    }

    fn make(out: &Dir, name: String, naming: Naming) -> io::Result<Self> {
        #[cfg_attr(not(unix), allow(unused_mut, reason = "only Unix has modes"))]
        let mut builder = DirBuilder::new();
        #[cfg(unix)]
        cap_std::fs::DirBuilderExt::mode(&mut builder, 0o700);
        out.create_dir_with(&name, &builder)?;
        let dir = cap_fs_ext::DirExt::open_dir_nofollow(out, &name)?;
        Self::new(out, name, dir, naming)
    }

    fn new(out: &Dir, name: String, dir: Dir, naming: Naming) -> io::Result<Self> {
        let lock = real_handle(&dir)?;
        if let Some(lock) = &lock {
            // Where nothing can be locked, nothing is ever taken for left behind.
            let _ = try_lock(lock);
        }
        let out = out.try_clone()?;
        let open = Opened::new();
        Ok(Self { out, name, dir, _lock: lock, naming, is_kept: false, open })
    }

    /// From now on what is here outlives this value, until it is removed.
    pub(super) fn keep(&mut self) {
        self.is_kept = true;
    }

    /// The directory itself.
    pub(super) fn dir(&self) -> &Dir {
        &self.dir
    }

    /// Its name in the output directory.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The name of an entry's file within the directory.
    pub(super) fn file_name(&self, index: u32) -> String {
        let digest = match &self.naming {
            Naming::Number => None,
            Naming::Digest(manifest) => manifest.entry_digest(FileIndex(index)),
        };
        match digest {
            Some(digest) => hex(&digest[..16]),
            None => index.to_string(),
        }
    }

    /// The file of an entry if it exists.
    pub(super) fn existing(&mut self, index: u32) -> io::Result<Option<Arc<File>>> {
        if_any(self.open(index))
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
        if let Some(file) = self.open.get(index) {
            return Ok(file);
        }
        let mut create = options();
        create.create_new(true);
        #[cfg(unix)]
        cap_std::fs::OpenOptionsExt::mode(&mut create, if executable { 0o777 } else { 0o666 });
        let _ = executable;
        // Most files are opened once, to be created.
        let name = self.file_name(index);
        let file = match self.open_with(&name, &create) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                self.open_with(&name, &options())?
            }
            created => {
                let created = created?;
                unsynced.directory(&self.name, &self.dir)?;
                created
            }
        };
        Ok(self.open.insert(index, file))
    }

    /// The file of an entry if it exists, for the last time: it stays open no longer.
    pub(super) fn take(&mut self, index: u32) -> io::Result<Option<Arc<File>>> {
        if let Some(file) = self.open.take(index) {
            return Ok(Some(file));
        }
        if_any(self.open_with(&self.file_name(index), &options()).map(Arc::new))
    }

    fn open(&mut self, index: u32) -> io::Result<Arc<File>> {
        if let Some(file) = self.open.get(index) {
            return Ok(file);
        }
        let file = self.open_with(&self.file_name(index), &options())?;
        Ok(self.open.insert(index, file))
    }

    /// Opens a file. Where this process may have no more open, those are closed that were
    /// only kept.
    fn open_with(&mut self, name: &str, options: &OpenOptions) -> io::Result<File> {
        let opened = match self.dir.open_with(name, options) {
            Err(error) if is_too_many(&error) => {
                self.open.clear();
                self.dir.open_with(name, options)
            }
            opened => opened,
        };
        opened.map(cap_std::fs::File::into_std)
    }

    /// Writes into an entry's file. Zeros become a hole, behind all that is in it and,
    /// where the system can make one, further in: chunks come in no order.
    pub(super) fn write(
        &mut self,
        index: u32,
        executable: bool,
        offset: u64,
        data: &[u8],
        unsynced: &mut Unsynced,
    ) -> io::Result<()> {
        let file = self.file(index, executable, unsynced)?;
        if !is_zero(data) || !leave_out(&file, offset, data.len() as u64)? {
            write_all_at(&file, data, offset)?;
        }
        unsynced.file(index, &file)
    }

    /// Keeps an entry's file open no longer.
    pub(super) fn close(&mut self, index: u32) {
        self.open.take(index);
    }

    /// Keeps fewer files open than the system allows.
    #[cfg(test)]
    pub(super) fn keep_open(&mut self, most: usize) {
        self.open = Opened::bounded(most);
    }

    /// Closes and removes an entry's file, if it exists.
    pub(super) fn remove(&mut self, index: u32) -> io::Result<()> {
        self.close(index);
        match self.dir.remove_file(self.file_name(index)) {
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
        if self.is_kept {
            return;
        }
        if let Err(error) = self.remove_all() {
            tracing::warn!(%error, directory = self.name, "temporary files were left behind");
        }
    }
}

/// Nothing where there is no such file.
fn if_any(opened: io::Result<Arc<File>>) -> io::Result<Option<Arc<File>>> {
    match opened {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        opened => opened.map(Some),
    }
}

/// Has zeros at a place without writing them. `false` if they must be written.
fn leave_out(file: &File, offset: u64, count: u64) -> io::Result<bool> {
    let (len, end) = (file.metadata()?.len(), offset.saturating_add(count));
    if offset < len && !punch(file, offset, count) {
        return Ok(false);
    }
    if end > len {
        file.set_len(end)?;
    }
    Ok(true)
}

/// Makes a hole, whatever lies there. `false` if it cannot be made.
#[cfg(target_os = "linux")]
fn punch(file: &File, offset: u64, len: u64) -> bool {
    use rustix::fs::{FallocateFlags, fallocate};
    let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
    fallocate(file, flags, offset, len).is_ok()
}

/// Makes a hole, whatever lies there. `false` if it cannot be made.
#[cfg(not(target_os = "linux"))]
fn punch(_: &File, _: u64, _: u64) -> bool {
    false
}

/// Whether there is nothing but zeros, which are compared with one another.
fn is_zero(data: &[u8]) -> bool {
    match (data.split_first(), data.split_last()) {
        (Some((0, behind)), Some((_, before))) => behind == before,
        _ => false,
    }
}

/// SC-NO-FOLLOW
fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).follow(FollowSymlinks::No);
    options
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
            spare_cache(&file);
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

/// Length from which on a file's bytes leave the system's cache once they are durable.
/// Nobody reads so much at once right after it came, and what others have in the cache
/// is worth more.
#[cfg(target_os = "linux")]
const LARGE: u64 = 1 << 30;

/// Lets what is durable of a large file go from the system's cache.
#[cfg(target_os = "linux")]
fn spare_cache(file: &File) {
    use rustix::fs::{Advice, fadvise};
    if file.metadata().is_ok_and(|metadata| metadata.len() >= LARGE) {
        // It is advice, and not taken everywhere.
        let _ = fadvise(file, 0, None, Advice::DontNeed);
    }
}

#[cfg(not(target_os = "linux"))]
fn spare_cache(_: &File) {}

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
