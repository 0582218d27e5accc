//! The directory in which state is kept, and files in it: found by name, written
//! as a whole or not at all, readable by their owner alone.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

/// Environment variable that names the directory.
pub const STATE_VARIABLE: &str = "PASSEL_STATE";
/// What follows the name of a file that could not be read.
const DAMAGED: &str = "damaged";
/// Longest file that is read as a whole, in bytes.
pub(super) const MAX_WHOLE: usize = 16 << 20;

/// A directory of this user's alone.
#[derive(Clone, Debug)]
pub struct StateDir {
    path: PathBuf,
}

impl StateDir {
    /// The user's: `PASSEL_STATE`, else `passel` in `XDG_STATE_HOME`, else in
    /// `~/.local/state` (`%LOCALAPPDATA%` on Windows). It is made if it is missing.
    ///
    /// # Errors
    ///
    /// There is no such place, or it cannot be made.
    pub fn of_user() -> io::Result<Self> {
        let path = choose(|name| std::env::var_os(name).filter(|value| !value.is_empty()));
        Self::at(path.ok_or(io::ErrorKind::NotFound)?)
    }

    /// The directory at `path`, which is made if it is missing.
    pub fn at(path: impl Into<PathBuf>) -> io::Result<Self> {
        let path = path.into();
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(&path)?;
        #[cfg(unix)]
        {
            // It may have been there before, open to others.
            use std::os::unix::fs::PermissionsExt;
            let found = fs::metadata(&path)?.permissions().mode();
            if found & 0o077 != 0 {
                fs::set_permissions(&path, fs::Permissions::from_mode(found & 0o700))?;
            }
        }
        Ok(Self { path })
    }

    /// The path of the file `name`.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Names of files that begin and end like this, in order.
    pub fn names(&self, begin: &str, end: &str) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            if let Ok(name) = entry?.file_name().into_string()
                && name.starts_with(begin)
                && name.ends_with(end)
            {
                names.push(name);
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    /// Writes a file so that it has either its old content or the new one,
    /// whatever happens; durable on return.
    pub fn write(&self, name: &str, content: &[u8]) -> io::Result<()> {
        let half = self.file(&format!("{name}.new"));
        let mut file = private(&half, OpenOptions::new().write(true).create(true).truncate(true))?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&half, self.file(name))?;
        self.sync()
    }

    /// A file's content, if it exists.
    pub fn read(&self, name: &str) -> io::Result<Option<Zeroizing<Vec<u8>>>> {
        let file = match File::open(self.file(name)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened?,
        };
        let mut content = Zeroizing::new(Vec::new());
        file.take(MAX_WHOLE as u64).read_to_end(&mut content)?;
        Ok(Some(content))
    }

    /// Removes a file if it exists; durable on return.
    pub fn remove(&self, name: &str) -> io::Result<()> {
        match fs::remove_file(self.file(name)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
            Ok(()) => self.sync(),
        }
    }

    /// Puts a file out of the way that cannot be read, and says so in the log.
    /// One such file is kept for each name, for whoever wants to look into it.
    pub fn set_aside(&self, name: &str) {
        let aside = format!("{name}.{DAMAGED}");
        match fs::rename(self.file(name), self.file(&aside)) {
            Ok(()) => tracing::warn!(aside, "a record of an interrupted transfer is damaged"),
            Err(error) => tracing::warn!(%error, "a damaged record cannot be set aside"),
        }
    }

    /// Makes names durable, where directories can do that.
    pub(super) fn sync(&self) -> io::Result<()> {
        if cfg!(unix) { File::open(&self.path)?.sync_all() } else { Ok(()) }
    }
}

/// Opens a file as `options` say, which only this user can read.
pub(super) fn private(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    options.open(path)
}

fn choose(variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    if let Some(path) = variable(STATE_VARIABLE) {
        return Some(path.into());
    }
    let absolute = |path: OsString| Some(PathBuf::from(path)).filter(|path| path.is_absolute());
    if cfg!(windows) {
        return variable("LOCALAPPDATA").and_then(absolute).map(|base| base.join("passel"));
    }
    let base = variable("XDG_STATE_HOME").and_then(absolute);
    let home = || variable("HOME").and_then(absolute).map(|home| home.join(".local/state"));
    base.or_else(home).map(|base| base.join("passel"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_directory_is_the_one_that_is_named() {
        let of = |set: &[(&str, &str)]| {
            let set = set.to_vec();
            choose(move |name| set.iter().find(|(n, _)| *n == name).map(|(_, v)| v.into()))
        };
        assert_eq!(of(&[("PASSEL_STATE", "here"), ("HOME", "/h")]), Some("here".into()));
        #[cfg(unix)]
        {
            let both = of(&[("XDG_STATE_HOME", "/x"), ("HOME", "/h")]);
            assert_eq!(both, Some("/x/passel".into()));
            let relative = of(&[("XDG_STATE_HOME", "x"), ("HOME", "/h")]);
            assert_eq!(relative, Some("/h/.local/state/passel".into()));
        }
        assert_eq!(of(&[]), None);
    }

    #[test]
    fn files_are_replaced_whole_found_by_name_and_removed() {
        let temp = tempfile::tempdir().unwrap();
        let state = StateDir::at(temp.path().join("a/b")).unwrap();
        assert_eq!(state.read("one.x").unwrap(), None);
        state.write("one.x", b"first").unwrap();
        state.write("one.x", b"second").unwrap();
        state.write("two.y", b"").unwrap();
        assert_eq!(state.read("one.x").unwrap().unwrap().as_slice(), b"second");
        assert_eq!(state.names("", ".x").unwrap(), ["one.x"]);
        state.remove("one.x").unwrap();
        state.remove("one.x").unwrap();
        state.set_aside("two.y");
        assert_eq!(state.names("", "").unwrap(), ["two.y.damaged"]);
    }

    #[cfg(unix)]
    #[test]
    fn nobody_else_can_read_any_of_it() {
        use std::os::unix::fs::PermissionsExt;
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("state");
        fs::create_dir(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        let state = StateDir::at(&path).unwrap();
        state.write("one", b"secret").unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(&state.file("one"))), (0o700, 0o600));
    }
}
