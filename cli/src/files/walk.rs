//! From the arguments of `passel send` to a manifest: walks the directories,
//! checks that everything can be read, and remembers where it lies. What does
//! not live here: reading contents ([`super::source`]).

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use cap_fs_ext::{DirExt, FollowSymlinks, OpenOptionsFollowExt};
use cap_std::ambient_authority;
use cap_std::fs::{Dir, OpenOptions};
use passel_proto::escape::for_terminal;
use passel_proto::ids::FileIndex;
use passel_proto::manifest::{
    Entry, EntryKind, Manifest, ManifestBuilder, ManifestError, Timestamp,
};
use passel_proto::path::{PathError, SafePath};
use unicode_normalization::UnicodeNormalization;

use crate::exit::{Exit, Failure};

/// Most warnings that are kept word by word; the rest is counted.
const MAX_WARNINGS: usize = 100;

/// Everything that is offered: the manifest, and where its entries lie.
///
/// It takes no path of its own for an entry: the way to it is its root's local
/// path and the rest of its path in the manifest, but for names that had to be
/// normalised.
#[derive(Debug)]
pub struct Sources {
    manifest: Arc<Manifest>,
    /// By the names of the top level.
    roots: BTreeMap<String, PathBuf>,
    /// Entries with a local path, relative to their root's, that is not the
    /// manifest's.
    renamed: BTreeMap<FileIndex, PathBuf>,
    warnings: Vec<String>,
}

/// Why an offer can't be made. Nothing was sent.
#[derive(Debug, thiserror::Error)]
pub enum WalkError {
    /// A file or directory is missing or can't be read.
    #[error("{path} {why}")]
    Unreadable {
        /// Its local path, escaped.
        path: String,
        /// What is wrong.
        why: String,
    },
    /// A name that receivers refuse.
    #[error("{path} cannot be sent: {error} ({})", .error.rule())]
    Name {
        /// Its local path, escaped.
        path: String,
        /// The rule that it breaks.
        error: PathError,
    },
    /// A name that is not Unicode.
    #[error("{path} cannot be sent: its name is not valid Unicode")]
    NotUnicode {
        /// Its local path, escaped.
        path: String,
    },
    /// Two names that are one, on this or another system.
    #[error("{first} and {second} would have the same name at the receiver")]
    Same {
        /// A local path, escaped.
        first: String,
        /// Another one.
        second: String,
    },
    /// The list breaks a rule for lists, such as the limit of entries.
    #[error("the files cannot be offered: {0}")]
    Manifest(#[from] ManifestError),
}

impl WalkError {
    /// The failure that ends the program.
    pub fn to_failure(&self) -> Failure {
        let (exit, advice) = match self {
            Self::Unreadable { .. } => (Exit::Source, "Check the name and its permissions."),
            Self::Name { .. } | Self::NotUnicode { .. } | Self::Same { .. } => {
                (Exit::Refused, "Rename it and send again.")
            }
            Self::Manifest(_) => {
                (Exit::Refused, "Send fewer files at once, or put them into an archive first.")
            }
        };
        // It may begin with a name, which must not get a capital letter.
        Failure { text: format!("{self}."), ..Failure::new(exit, "", advice) }
    }
}

impl Sources {
    /// The list to offer.
    pub fn manifest(&self) -> &Arc<Manifest> {
        &self.manifest
    }

    /// What was left out, one escaped sentence each without a full stop.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Where an entry lies: a directory, and the path below it. None if there
    /// is no such entry.
    pub(super) fn locate(&self, index: FileIndex) -> Option<(PathBuf, PathBuf)> {
        let entry = self.manifest.entry(index)?;
        let (top, rest) = match entry.path.as_str().split_once('/') {
            Some((top, rest)) => (top, Some(rest)),
            None => (entry.path.as_str(), None),
        };
        let root = self.roots.get(top)?;
        match rest {
            Some(rest) => {
                let below = self.renamed.get(&index).cloned();
                Some((root.clone(), below.unwrap_or_else(|| PathBuf::from(rest))))
            }
            None => Some((root.parent()?.to_owned(), PathBuf::from(root.file_name()?))),
        }
    }
}

/// Walks the `paths` of a command line. A path that is a symbolic link is
/// followed; links further down are left out with a warning, as is whatever is
/// neither a file nor a directory.
pub fn walk(paths: &[PathBuf]) -> Result<Sources, WalkError> {
    let mut roots = BTreeMap::new();
    for path in paths {
        let local = path.canonicalize().map_err(|error| unreadable(path, &error))?;
        let name = root_name(path, &local)?;
        let safe = check_name(&name, path)?;
        if let Some((_, first)) = roots.insert(safe.collision_key(), (name, local.clone())) {
            return Err(same(&first, &local));
        }
    }
    let by_name: BTreeMap<String, PathBuf> = roots.into_values().collect();
    let mut walker = Walker::default();
    for (name, local) in &by_name {
        walker.root(name, local)?;
    }
    walker.finish(by_name)
}

/// The options that open a file to send: no link is followed, and a pipe that
/// took the file's place blocks nobody.
pub(super) fn read_options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).follow(FollowSymlinks::No);
    #[cfg(unix)]
    cap_fs_ext::OpenOptionsSyncExt::nonblock(&mut options, true);
    options
}

/// The last component of the path that was typed; where that is `.` or `..`,
/// the last one of the path that it stands for.
fn root_name(typed: &Path, local: &Path) -> Result<String, WalkError> {
    let last = match typed.components().next_back() {
        Some(Component::Normal(name)) => Some(name),
        _ => local.file_name(),
    };
    let Some(last) = last else {
        let path = show(local);
        return Err(WalkError::Unreadable { path, why: "has no name to send it under".into() });
    };
    normalise(last).ok_or_else(|| WalkError::NotUnicode { path: show(typed) })
}

fn normalise(name: &OsStr) -> Option<String> {
    Some(name.to_str()?.nfc().collect())
}

fn check_name(name: &str, local: &Path) -> Result<SafePath, WalkError> {
    // A local name never holds a slash, which would make two components of it.
    SafePath::parse(name).map_err(|error| WalkError::Name { path: show(local), error })
}

fn show(path: &Path) -> String {
    for_terminal(&path.to_string_lossy())
}

fn same(first: &Path, second: &Path) -> WalkError {
    WalkError::Same { first: show(first), second: show(second) }
}

fn unreadable(path: &Path, error: &io::Error) -> WalkError {
    let why = match error.kind() {
        io::ErrorKind::NotFound => "does not exist".to_owned(),
        io::ErrorKind::PermissionDenied => "must not be read by you".to_owned(),
        _ => format!("cannot be read: {error}"),
    };
    WalkError::Unreadable { path: show(path), why }
}

#[derive(Default)]
struct Walker {
    builder: ManifestBuilder,
    renamed: BTreeMap<FileIndex, PathBuf>,
    warnings: Vec<String>,
    more_warnings: u64,
}

/// A directory while it is walked.
struct Place<'a> {
    dir: &'a Dir,
    /// Its path in the manifest.
    path: &'a str,
    /// Its local path, for messages.
    local: &'a Path,
    /// Its local path below the root if that differs from the manifest's.
    below: Option<&'a Path>,
}

struct Child {
    name: String,
    local: OsString,
    is_directory: bool,
}

impl Walker {
    fn root(&mut self, name: &str, local: &Path) -> Result<(), WalkError> {
        let fail = |error: io::Error| unreadable(local, &error);
        let metadata = fs::metadata(local).map_err(fail)?;
        let path = check_name(name, local)?;
        if metadata.is_dir() {
            let dir = Dir::open_ambient_dir(local, ambient_authority()).map_err(fail)?;
            self.push(path, EntryKind::Directory, &metadata)?;
            return self.directory(&Place { dir: &dir, path: name, local, below: None });
        }
        if !metadata.is_file() {
            let why = "is neither a file nor a directory".to_owned();
            return Err(WalkError::Unreadable { path: show(local), why });
        }
        let file = File::open(local).map_err(fail)?;
        let metadata = file.metadata().map_err(fail)?;
        self.push(path, file_kind(name, &metadata), &metadata)?;
        Ok(())
    }

    fn directory(&mut self, place: &Place<'_>) -> Result<(), WalkError> {
        for child in self.children(place)? {
            let local = place.local.join(&child.local);
            let fail = |error: io::Error| unreadable(&local, &error);
            let path = format!("{}/{}", place.path, child.name);
            let safe = check_name(&path, &local)?;
            // Once a name had to be changed, all below it is remembered.
            let renamed = place.below.is_some() || *child.local != *child.name;
            let below = renamed.then(|| {
                let above = place.below.map(Path::to_owned);
                let above = above.unwrap_or_else(|| {
                    PathBuf::from(place.path.split_once('/').map_or("", |(_, rest)| rest))
                });
                above.join(&child.local)
            });
            if child.is_directory {
                let dir = place.dir.open_dir_nofollow(&child.local).map_err(fail)?;
                let metadata = place.dir.symlink_metadata(&child.local).map_err(fail)?;
                let modified = metadata.modified().ok().map(cap_std::time::SystemTime::into_std);
                let modified = modified.map(Timestamp::from_system_time);
                self.builder.push(&Entry { path: safe, kind: EntryKind::Directory, modified })?;
                let below = below.as_deref();
                self.directory(&Place { dir: &dir, path: &path, local: &local, below })?;
            } else {
                let file = place.dir.open_with(&child.local, &read_options()).map_err(fail)?;
                let metadata = file.into_std().metadata().map_err(fail)?;
                let index = self.push(safe, file_kind(&child.name, &metadata), &metadata)?;
                if let Some(below) = below {
                    self.renamed.insert(index, below);
                }
            }
        }
        Ok(())
    }

    /// What lies in a directory, in the manifest's order.
    fn children(&mut self, place: &Place<'_>) -> Result<Vec<Child>, WalkError> {
        let fail = |error: io::Error| unreadable(place.local, &error);
        let mut children = Vec::new();
        for entry in place.dir.entries().map_err(fail)? {
            let entry = entry.map_err(fail)?;
            let (local, kind) = (entry.file_name(), entry.file_type().map_err(fail)?);
            let shown = || show(&place.local.join(&local));
            if kind.is_symlink() {
                self.warn(|| format!("{} is a symbolic link and was left out", shown()));
            } else if !kind.is_file() && !kind.is_dir() {
                self.warn(|| format!("{} is a special file and was left out", shown()));
            } else {
                let name =
                    normalise(&local).ok_or_else(|| WalkError::NotUnicode { path: shown() })?;
                children.push(Child { name, local, is_directory: kind.is_dir() });
            }
        }
        children.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        let mut keys = BTreeMap::new();
        for child in &children {
            let key = check_name(&child.name, &place.local.join(&child.local))?.collision_key();
            if let Some(first) = keys.insert(key, &child.local) {
                return Err(same(&place.local.join(first), &place.local.join(&child.local)));
            }
        }
        Ok(children)
    }

    fn push(
        &mut self,
        path: SafePath,
        kind: EntryKind,
        metadata: &fs::Metadata,
    ) -> Result<FileIndex, WalkError> {
        let modified = metadata.modified().ok().map(Timestamp::from_system_time);
        Ok(self.builder.push(&Entry { path, kind, modified })?)
    }

    fn warn(&mut self, text: impl FnOnce() -> String) {
        if self.warnings.len() < MAX_WARNINGS {
            self.warnings.push(text());
        } else {
            self.more_warnings += 1;
        }
    }

    fn finish(mut self, roots: BTreeMap<String, PathBuf>) -> Result<Sources, WalkError> {
        if self.more_warnings > 0 {
            self.warnings.push(format!("{} more were left out", self.more_warnings));
        }
        let manifest = Arc::new(self.builder.finish()?);
        Ok(Sources { manifest, roots, renamed: self.renamed, warnings: self.warnings })
    }
}

fn file_kind(name: &str, metadata: &fs::Metadata) -> EntryKind {
    #[cfg(unix)]
    let executable = std::os::unix::fs::MetadataExt::mode(metadata) & 0o100 != 0;
    #[cfg(not(unix))]
    let executable = false;
    let mime = mime_guess::from_path(name).first_raw().map(str::to_owned);
    EntryKind::File { size: Some(metadata.len()), executable, mime, root: None }
}

#[cfg(test)]
mod tests;
