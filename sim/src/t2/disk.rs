//! What a killed program leaves on a real disk. A simulated crash drops the
//! program's values, which may tidy up behind themselves; a killed process does
//! not. So a directory is frozen before, and put back after.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// A directory as it was.
pub(super) struct Frozen {
    root: PathBuf,
    copy: PathBuf,
}

/// Keeps what is in `root`. Files stay the same ones, by which a journal knows
/// them; databases, which are written to when they are closed, are copied.
pub(super) fn freeze(root: &Path) -> io::Result<Frozen> {
    let copy = root.with_extension("frozen");
    keep(root, &copy)?;
    Ok(Frozen { root: root.to_owned(), copy })
}

impl Frozen {
    /// Puts it back.
    pub(super) fn thaw(self) -> io::Result<()> {
        fs::remove_dir_all(&self.root)?;
        fs::rename(&self.copy, &self.root)
    }
}

fn keep(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        if entry.file_type()?.is_dir() {
            keep(&source, &target)?;
        } else if source.extension().is_some_and(|extension| extension == "redb") {
            fs::copy(&source, &target)?;
        } else {
            fs::hard_link(&source, &target)?;
        }
    }
    fs::set_permissions(to, fs::metadata(from)?.permissions())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt;

    #[test]
    fn what_was_removed_or_closed_after_freezing_is_there_again() {
        let temp = std::env::temp_dir().join(format!("passel-sim-disk-{}", std::process::id()));
        let root = temp.join("root");
        fs::create_dir_all(root.join("sub")).unwrap();
        fs::write(root.join("sub/data"), b"part").unwrap();
        fs::write(root.join("a.redb"), b"open").unwrap();
        let number = fs::metadata(root.join("sub/data")).unwrap().ino();
        let frozen = freeze(&root).unwrap();
        fs::write(root.join("a.redb"), b"closed").unwrap();
        fs::remove_dir_all(root.join("sub")).unwrap();
        frozen.thaw().unwrap();
        assert_eq!(fs::read(root.join("a.redb")).unwrap(), b"open");
        assert_eq!(fs::metadata(root.join("sub/data")).unwrap().ino(), number);
        fs::remove_dir_all(&temp).unwrap();
    }
}
