//! The sender's side of the storage contract: reads what was offered, and
//! notices when it is not what it was. What does not live here: which files
//! there are ([`super::walk`]).

use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use passel_proto::escape::for_terminal;
use passel_proto::ids::FileIndex;
use passel_proto::manifest::Timestamp;
use passel_proto::storage::{StorageError, StorageErrorKind};

use super::walk::{Sources, read_options};
use super::{other, read_exact_at, reading};

/// Reads the files of an offer. It keeps one file and one directory open.
#[derive(Debug)]
pub struct Source {
    sources: Arc<Sources>,
    root: Option<(PathBuf, Dir)>,
    open: Option<OpenFile>,
}

#[derive(Debug)]
struct OpenFile {
    index: FileIndex,
    file: File,
    /// What was offered.
    size: u64,
    modified: Option<Timestamp>,
    shown: String,
}

impl Source {
    /// A reader for `sources`; nothing is opened yet.
    pub fn new(sources: Arc<Sources>) -> Self {
        Self { sources, root: None, open: None }
    }

    /// Puts the `len` bytes of `file` at `offset` into `buf`, in place of what it
    /// held. The file must still have the size and the modification time that
    /// were offered.
    pub fn read(
        &mut self,
        file: FileIndex,
        offset: u64,
        len: u32,
        buf: &mut Vec<u8>,
    ) -> Result<(), StorageError> {
        let result = self.try_read(file, offset, len, buf);
        if result.is_err() {
            self.open = None;
            buf.clear();
        }
        result
    }

    /// Closes what is open.
    pub fn close(&mut self) {
        self.open = None;
        self.root = None;
    }

    fn try_read(
        &mut self,
        index: FileIndex,
        offset: u64,
        len: u32,
        buf: &mut Vec<u8>,
    ) -> Result<(), StorageError> {
        if self.open.as_ref().is_none_or(|open| open.index != index) {
            self.open = None;
            self.open = Some(self.open_file(index)?);
        }
        let Some(open) = &self.open else { return Err(other("no file is open")) };
        let len = usize::try_from(len).map_err(|_| other("the read is too long"))?;
        buf.resize(len, 0);
        read_exact_at(&open.file, buf, offset).map_err(|error| match error.kind() {
            std::io::ErrorKind::UnexpectedEof => open.changed("is shorter than it was"),
            _ => reading(&error, &open.shown),
        })?;
        // After each read, so that a long file that changes is not sent for nothing.
        open.check()?;
        Ok(())
    }

    fn open_file(&mut self, index: FileIndex) -> Result<OpenFile, StorageError> {
        let missing = || other(format!("there is no file {} in the offer", index.0));
        let entry = self.sources.manifest().entry(index).ok_or_else(missing)?;
        let size = entry.size().ok_or_else(missing)?;
        let (root, below) = self.sources.locate(index).ok_or_else(missing)?;
        let shown = root.join(&below).to_string_lossy().into_owned();
        if self.root.as_ref().is_none_or(|(open, _)| *open != root) {
            let dir = Dir::open_ambient_dir(&root, ambient_authority())
                .map_err(|error| reading(&error, &shown))?;
            self.root = Some((root, dir));
        }
        let Some((_, dir)) = &self.root else { return Err(missing()) };
        let file = dir
            .open_with(&below, &read_options())
            .map_err(|error| reading(&error, &shown))?
            .into_std();
        // Only a hint, so its failure is of no importance.
        #[cfg(target_os = "linux")]
        let _ = rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::Sequential);
        let open = OpenFile { index, file, size, modified: entry.modified, shown };
        open.check()?;
        // While it is open it stays the file that it is, whatever happens to its name.
        let metadata = open.file.metadata().map_err(|error| reading(&error, &open.shown))?;
        if !self.sources.is_same_file(index, &metadata) {
            return Err(open.changed("was replaced"));
        }
        Ok(open)
    }
}

impl OpenFile {
    /// Whether the file still is what was offered, as far as its size and time tell.
    fn check(&self) -> Result<(), StorageError> {
        let metadata = self.file.metadata().map_err(|error| reading(&error, &self.shown))?;
        if !metadata.is_file() {
            return Err(self.changed("is no longer a file"));
        }
        if metadata.len() != self.size {
            return Err(self.changed("has another size now"));
        }
        let modified = metadata.modified().ok().map(Timestamp::from_system_time);
        if self.modified.is_some() && modified != self.modified {
            return Err(self.changed("was written to"));
        }
        Ok(())
    }

    fn changed(&self, how: &str) -> StorageError {
        let text = format!(
            "{} {how}; wait until nobody changes it and send it again",
            for_terminal(&self.shown)
        );
        StorageError { kind: StorageErrorKind::Changed, text }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::walk::walk;
    use std::fs;
    use std::path::Path;

    fn source(paths: &[&Path]) -> Source {
        let paths: Vec<PathBuf> = paths.iter().map(|path| (*path).to_owned()).collect();
        Source::new(Arc::new(walk(&paths).unwrap()))
    }

    fn kind(result: Result<(), StorageError>) -> StorageErrorKind {
        result.unwrap_err().kind
    }

    #[test]
    fn reads_are_exact_and_keep_the_buffer() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("-f");
        fs::write(&path, b"0123456789").unwrap();
        let mut source = source(&[&path]);
        let mut buf = Vec::with_capacity(64);
        let address = buf.as_ptr();
        source.read(FileIndex(0), 2, 3, &mut buf).unwrap();
        assert_eq!(buf, b"234");
        source.read(FileIndex(0), 5, 5, &mut buf).unwrap();
        assert_eq!(buf, b"56789");
        assert_eq!(buf.as_ptr(), address);
        let short = source.read(FileIndex(0), 8, 3, &mut buf);
        assert_eq!(kind(short), StorageErrorKind::Changed);
        assert!(buf.is_empty());
    }

    #[test]
    fn an_empty_file_is_read_with_one_empty_last_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("empty");
        fs::write(&path, b"").unwrap();
        source(&[&path]).read(FileIndex(0), 0, 0, &mut Vec::new()).unwrap();
    }

    #[test]
    fn growth_is_noticed_at_the_next_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        fs::write(&path, b"0123").unwrap();
        let mut source = source(&[&path]);
        let mut buf = Vec::new();
        source.read(FileIndex(0), 0, 2, &mut buf).unwrap();
        fs::write(&path, b"01234").unwrap();
        let grown = source.read(FileIndex(0), 2, 1, &mut buf);
        assert_eq!(kind(grown), StorageErrorKind::Changed);
    }

    #[test]
    fn a_file_that_is_cut_in_mid_read_has_changed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        fs::write(&path, b"0123").unwrap();
        let mut source = source(&[&path]);
        let mut buf = Vec::new();
        source.read(FileIndex(0), 0, 2, &mut buf).unwrap();
        File::options().write(true).open(&path).unwrap().set_len(3).unwrap();
        assert_eq!(kind(source.read(FileIndex(0), 2, 2, &mut buf)), StorageErrorKind::Changed);
    }

    #[test]
    fn a_file_that_is_written_over_in_mid_read_has_changed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        fs::write(&path, b"0123").unwrap();
        let file = File::options().write(true).open(&path).unwrap();
        file.set_modified(std::time::UNIX_EPOCH).unwrap();
        let mut source = source(&[&path]);
        let mut buf = Vec::new();
        source.read(FileIndex(0), 0, 2, &mut buf).unwrap();
        fs::write(&path, b"4567").unwrap();
        assert_eq!(kind(source.read(FileIndex(0), 2, 2, &mut buf)), StorageErrorKind::Changed);
    }

    #[test]
    fn a_file_that_grew_since_it_was_offered_has_changed_already_when_it_is_opened() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        fs::write(&path, b"0123").unwrap();
        let mut source = source(&[&path]);
        fs::write(&path, b"01234").unwrap();
        let read = source.read(FileIndex(0), 0, 2, &mut Vec::new());
        assert_eq!(kind(read), StorageErrorKind::Changed);
    }

    #[cfg(unix)]
    #[test]
    fn another_file_of_the_same_name_size_and_time_is_a_change() {
        let dir = tempfile::tempdir().unwrap();
        let (path, other) = (dir.path().join("f"), dir.path().join("g"));
        fs::write(&path, b"0123").unwrap();
        fs::write(&other, b"4567").unwrap();
        for path in [&path, &other] {
            let file = File::options().write(true).open(path).unwrap();
            file.set_modified(std::time::UNIX_EPOCH).unwrap();
        }
        let mut changed = source(&[&path]);
        let mut open = source(&[&path]);
        let mut buf = Vec::new();
        open.read(FileIndex(0), 0, 2, &mut buf).unwrap();
        fs::rename(&other, &path).unwrap();
        let read = changed.read(FileIndex(0), 0, 2, &mut Vec::new());
        assert_eq!(kind(read), StorageErrorKind::Changed);
        // What was open is still the file that was offered.
        open.read(FileIndex(0), 2, 2, &mut buf).unwrap();
        assert_eq!(buf, b"23");
    }

    #[test]
    fn a_new_time_with_the_same_size_is_a_change_already_when_it_is_opened() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        fs::write(&path, b"0123").unwrap();
        let mut source = source(&[&path]);
        let file = File::options().write(true).open(&path).unwrap();
        file.set_modified(std::time::UNIX_EPOCH).unwrap();
        let read = source.read(FileIndex(0), 0, 2, &mut Vec::new());
        assert_eq!(kind(read), StorageErrorKind::Changed);
    }

    #[test]
    fn a_file_that_is_gone_or_became_a_link_is_unreadable() {
        let dir = tempfile::tempdir().unwrap();
        let top = dir.path().join("top");
        fs::create_dir(&top).unwrap();
        fs::write(top.join("f"), b"0123").unwrap();
        fs::write(dir.path().join("elsewhere"), b"0123").unwrap();
        let mut source = source(&[&top]);
        fs::remove_file(top.join("f")).unwrap();
        let mut read = || source.read(FileIndex(1), 0, 2, &mut Vec::new());
        assert_eq!(kind(read()), StorageErrorKind::Unreadable);
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink("../elsewhere", top.join("f")).unwrap();
            assert_eq!(kind(read()), StorageErrorKind::Unreadable);
        }
    }

    #[test]
    fn directories_and_unknown_entries_cannot_be_read() {
        let dir = tempfile::tempdir().unwrap();
        let mut source = source(&[dir.path()]);
        for index in [0, 1] {
            let read = source.read(FileIndex(index), 0, 0, &mut Vec::new());
            assert_eq!(kind(read), StorageErrorKind::Other);
        }
    }
}
