//! From the arguments of `passel send` to a manifest: walks the directories,
//! checks that everything can be read, and remembers where it lies. What does
//! not live here: reading contents ([`super::source`]).

mod children;

use std::collections::BTreeMap;
use std::ffi::OsStr;
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

use self::children::{Children, short_hash};
use super::stream::{Stream, is_pipe};
use crate::exit::{Exit, Failure};

/// Most warnings that are kept word by word; the rest is counted.
const MAX_WARNINGS: usize = 100;

/// The argument that stands for standard input.
pub const STANDARD_INPUT: &str = "-";
/// The name under which standard input is sent, unless another is given.
pub const STANDARD_INPUT_NAME: &str = "stdin";

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
    streams: BTreeMap<FileIndex, Stream>,
    /// Of each entry, in their order: what its file is told by, whatever its name.
    identities: Vec<u32>,
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

    /// Whether a file is the very one that was offered, as far as the system
    /// tells files from one another.
    pub(super) fn is_same_file(&self, index: FileIndex, metadata: &fs::Metadata) -> bool {
        let place = usize::try_from(index.0).unwrap_or(usize::MAX);
        self.identities.get(place) == Some(&identity(metadata))
    }

    /// Where an entry comes from that has no place and no size.
    pub(super) fn stream(&self, index: FileIndex) -> Option<&Stream> {
        self.streams.get(&index)
    }

    /// Whether standard input is offered, and so must be left alone.
    pub fn take_standard_input(&self) -> bool {
        self.streams.values().any(|stream| *stream == Stream::StandardInput)
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

/// Walks the `paths` of a command line, where [`STANDARD_INPUT`] stands for
/// standard input, to be sent as [`STANDARD_INPUT_NAME`].
pub fn walk(paths: &[PathBuf]) -> Result<Sources, WalkError> {
    walk_named(paths, STANDARD_INPUT_NAME)
}

/// Walks the `paths` of a command line, and sends standard input as `input_name`.
/// A path that is a symbolic link is followed; links further down are left out
/// with a warning, as is whatever is neither a file nor a directory. A pipe is a
/// stream if it was named, and is left out further down.
pub fn walk_named(paths: &[PathBuf], input_name: &str) -> Result<Sources, WalkError> {
    let mut roots = BTreeMap::new();
    for path in paths {
        let (name, root) = root(path, input_name)?;
        let safe = check_name(&name, path)?;
        if let Some((_, first)) = roots.insert(safe.collision_key(), (name, root.clone())) {
            return Err(same(first.path(), root.path()));
        }
    }
    let by_name: BTreeMap<String, Root> = roots.into_values().collect();
    let mut walker = Walker::default();
    let mut places = BTreeMap::new();
    for (name, root) in by_name {
        match root {
            Root::Place(local) => {
                walker.root(&name, &local)?;
                places.insert(name, local);
            }
            Root::Stream(stream) => walker.stream(&name, stream)?,
        }
    }
    walker.finish(places)
}

/// What an argument names.
#[derive(Clone)]
enum Root {
    /// A file or directory.
    Place(PathBuf),
    /// Something that is read as it comes.
    Stream(Stream),
}

impl Root {
    /// For messages.
    fn path(&self) -> &Path {
        match self {
            Self::Place(path) | Self::Stream(Stream::Pipe(path)) => path,
            Self::Stream(Stream::StandardInput) => Path::new("standard input"),
        }
    }
}

/// The name of an argument, and what it names. Nothing of a stream is opened.
fn root(path: &Path, input_name: &str) -> Result<(String, Root), WalkError> {
    if path == Path::new(STANDARD_INPUT) {
        let name = normalise(OsStr::new(input_name)).unwrap_or_default();
        return Ok((name, Root::Stream(Stream::StandardInput)));
    }
    let fail = |error: io::Error| unreadable(path, &error);
    if is_pipe(&fs::metadata(path).map_err(fail)?) {
        // What a shell puts in place of `<(…)` has no path but this one.
        return Ok((root_name(path, path)?, Root::Stream(Stream::Pipe(path.to_owned()))));
    }
    let local = path.canonicalize().map_err(fail)?;
    Ok((root_name(path, &local)?, Root::Place(local)))
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
    streams: BTreeMap<FileIndex, Stream>,
    identities: Vec<u32>,
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

    fn stream(&mut self, name: &str, stream: Stream) -> Result<(), WalkError> {
        let path = check_name(name, Path::new(name))?;
        let kind = EntryKind::File { size: None, executable: false, mime: mime(name), root: None };
        let index = self.builder.push(&Entry { path, kind, modified: None })?;
        self.streams.insert(index, stream);
        Ok(())
    }

    fn directory(&mut self, place: &Place<'_>) -> Result<(), WalkError> {
        let children = self.children(place)?;
        for child in &children.places {
            let (name, own) = (children.name(*child), children.local(*child));
            let local = place.local.join(own);
            let fail = |error: io::Error| unreadable(&local, &error);
            let path = format!("{}/{name}", place.path);
            let safe = check_name(&path, &local)?;
            // Once a name had to be changed, all below it is remembered.
            let renamed = place.below.is_some() || *own != *name;
            let below = renamed.then(|| {
                let above = place.below.map(Path::to_owned);
                let above = above.unwrap_or_else(|| {
                    PathBuf::from(place.path.split_once('/').map_or("", |(_, rest)| rest))
                });
                above.join(own)
            });
            if child.is_directory {
                let dir = place.dir.open_dir_nofollow(own).map_err(fail)?;
                let metadata = place.dir.symlink_metadata(own).map_err(fail)?;
                let modified = metadata.modified().ok().map(cap_std::time::SystemTime::into_std);
                let modified = modified.map(Timestamp::from_system_time);
                self.builder.push(&Entry { path: safe, kind: EntryKind::Directory, modified })?;
                let below = below.as_deref();
                self.directory(&Place { dir: &dir, path: &path, local: &local, below })?;
            } else {
                let file = place.dir.open_with(own, &read_options()).map_err(fail)?;
                let metadata = file.into_std().metadata().map_err(fail)?;
                let index = self.push(safe, file_kind(name, &metadata), &metadata)?;
                if let Some(below) = below {
                    self.renamed.insert(index, below);
                }
            }
        }
        Ok(())
    }

    /// What lies in a directory, in the manifest's order.
    fn children(&mut self, place: &Place<'_>) -> Result<Children, WalkError> {
        let fail = |error: io::Error| unreadable(place.local, &error);
        let mut children = Children::default();
        let mut keys = Vec::new();
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
                let key = check_name(&name, &place.local.join(&local))?.collision_key();
                keys.push(short_hash(&key));
                children
                    .add(&name, local, kind.is_dir())
                    .ok_or(WalkError::Manifest(ManifestError::TooManyEntries))?;
            }
        }
        children.sort();
        keys.sort_unstable();
        if keys.is_sorted_by(|a, b| a < b) {
            return Ok(children);
        }
        drop(keys);
        let mut keys = BTreeMap::new();
        for child in &children.places {
            let local = place.local.join(children.local(*child));
            let key = check_name(children.name(*child), &local)?.collision_key();
            if let Some(first) = keys.insert(key, *child) {
                return Err(same(&place.local.join(children.local(first)), &local));
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
        let index = self.builder.push(&Entry { path, kind, modified })?;
        self.identify(index, identity(metadata));
        Ok(index)
    }

    fn identify(&mut self, index: FileIndex, identity: u32) {
        let place = usize::try_from(index.0).unwrap_or(usize::MAX);
        self.identities.resize(place, 0);
        self.identities.push(identity);
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
        let Self { renamed, streams, mut identities, warnings, .. } = self;
        identities.shrink_to_fit();
        Ok(Sources { manifest, roots, renamed, streams, identities, warnings })
    }
}

fn file_kind(name: &str, metadata: &fs::Metadata) -> EntryKind {
    #[cfg(unix)]
    let executable = std::os::unix::fs::MetadataExt::mode(metadata) & 0o100 != 0;
    #[cfg(not(unix))]
    let executable = false;
    EntryKind::File { size: Some(metadata.len()), executable, mime: mime(name), root: None }
}

/// The device and the number of a file there, in few bits: a million files are
/// remembered at once, and a change may go unseen once in billions of times.
fn identity(metadata: &fs::Metadata) -> u32 {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        // Any odd factor spreads numbers that follow one another.
        let mixed =
            (metadata.dev() ^ metadata.ino().rotate_left(32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        u32::try_from(mixed >> 32).unwrap_or(0)
    }
    #[cfg(not(unix))]
    {
        let _ = metadata;
        0
    }
}

fn mime(name: &str) -> Option<String> {
    mime_guess::from_path(name).first_raw().map(str::to_owned)
}

#[cfg(test)]
mod tests;
