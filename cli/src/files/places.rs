//! Final names at the receiver: which name an entry of the top level gets if its
//! own is taken, the directories on the way, and the step that gives a finished
//! file its name without replacing anything. What does not live here: contents
//! ([`super::temporary`]).

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use cap_fs_ext::DirExt;
use cap_std::fs::{Dir, OpenOptions};
use passel_proto::limits::MAX_PATH_COMPONENT;
use passel_proto::manifest::Manifest;
use passel_proto::path::SafePath;

use super::temporary::Unsynced;

/// How many numbers are tried for a name that is taken.
const MAX_NUMBER: u32 = 9_999;

/// What an earlier session of a transfer chose.
pub(super) struct Earlier<'a> {
    /// From [`Places::tops`].
    pub(super) tops: &'a [(String, String)],
    /// Whether the offer is the same as then.
    pub(super) is_same: bool,
}

/// Where the entries of one transfer go.
#[derive(Debug)]
pub(super) struct Places {
    out: Dir,
    /// Names of the top level that were taken, with those used in their place.
    renamed: BTreeMap<String, String>,
    /// Directories of the top level that this transfer made.
    made: BTreeSet<String>,
    /// The directory that was used last.
    last: Option<(String, Dir)>,
}

impl Places {
    /// Chooses the names of the top level in `out`.
    pub(super) fn choose(out: Dir, manifest: &Manifest) -> io::Result<Self> {
        let mut used = BTreeSet::new();
        let mut taken = Vec::new();
        for (_, entry) in manifest.iter().filter(|(_, entry)| entry.path.parent().is_none()) {
            used.insert(entry.path.collision_key());
            if exists(&out, entry.path.as_str())? {
                taken.push(entry);
            }
        }
        let mut renamed = BTreeMap::new();
        for entry in taken {
            let name = entry.path.as_str();
            let free = free_name(&out, name, entry.is_directory(), &mut used)?;
            renamed.insert(name.to_owned(), free);
        }
        Ok(Self { out, renamed, made: BTreeSet::new(), last: None })
    }

    /// The names that an earlier session chose for the same offer, or one that was
    /// changed since. What has the name of one of its directories is taken for that
    /// directory; nothing in it is replaced all the same.
    pub(super) fn choose_again(
        out: Dir,
        manifest: &Manifest,
        earlier: &Earlier<'_>,
    ) -> io::Result<Self> {
        let chosen: BTreeMap<&str, &str> =
            earlier.tops.iter().map(|(name, used)| (name.as_str(), used.as_str())).collect();
        let mut used: BTreeSet<String> = chosen
            .values()
            .filter_map(|name| SafePath::parse(name).ok())
            .map(|n| n.collision_key())
            .collect();
        let tops = || manifest.iter().filter(|(_, entry)| entry.path.parent().is_none());
        used.extend(tops().map(|(_, entry)| entry.path.collision_key()));
        let mut places = Self { out, renamed: BTreeMap::new(), made: BTreeSet::new(), last: None };
        for (_, entry) in tops() {
            let name = entry.path.as_str();
            let again = chosen.get(name).copied();
            if let Some(again) = again {
                if again != name {
                    places.renamed.insert(name.to_owned(), again.to_owned());
                }
                if entry.is_directory() && is_directory(&places.out, again)? {
                    places.made.insert(name.to_owned());
                }
            } else if !earlier.is_same && exists(&places.out, name)? {
                let free = free_name(&places.out, name, entry.is_directory(), &mut used)?;
                places.renamed.insert(name.to_owned(), free);
            }
        }
        Ok(places)
    }

    /// What a later session needs to choose the same names: directories, and
    /// files whose own name was taken.
    pub(super) fn tops(&self, manifest: &Manifest) -> Vec<(String, String)> {
        let tops = manifest.iter().filter(|(_, entry)| entry.path.parent().is_none());
        let chosen = tops.map(|(_, entry)| {
            let name = entry.path.as_str();
            (entry.is_directory(), name.to_owned(), self.top(name).to_owned())
        });
        chosen
            .filter(|(is_directory, name, used)| *is_directory || name != used)
            .map(|(_, name, used)| (name, used))
            .collect()
    }

    /// Names of the top level that were taken, with those used in their place.
    pub(super) fn renamed(&self) -> &BTreeMap<String, String> {
        &self.renamed
    }

    /// The path of an entry below the output directory.
    pub(super) fn final_path(&self, path: &SafePath) -> String {
        let (top, rest) = split(path.as_str());
        let top = self.top(top);
        rest.map_or_else(|| top.to_owned(), |rest| format!("{top}/{rest}"))
    }

    /// The open directory at `path` of the manifest, or the output directory.
    /// What is missing on the way is made; no link is followed (`SC-NO-FOLLOW`).
    pub(super) fn directory(
        &mut self,
        path: Option<&str>,
        unsynced: &mut Unsynced,
    ) -> io::Result<&Dir> {
        let Some(path) = path else { return Ok(&self.out) };
        if self.last.as_ref().is_none_or(|(last, _)| last != path) {
            let dir = self.walk_to(path, unsynced)?;
            self.last = Some((path.to_owned(), dir));
        }
        Ok(self.last.as_ref().map_or(&self.out, |(_, dir)| dir))
    }

    /// The name of an entry within its directory.
    pub(super) fn name<'a>(&'a self, path: &'a SafePath) -> &'a str {
        if path.parent().is_none() { self.top(path.as_str()) } else { path.file_name() }
    }

    fn top<'a>(&'a self, name: &'a str) -> &'a str {
        self.renamed.get(name).map_or(name, String::as_str)
    }

    fn walk_to(&mut self, path: &str, unsynced: &mut Unsynced) -> io::Result<Dir> {
        let (top, rest) = split(path);
        let name = self.top(top).to_owned();
        if !self.made.contains(top) {
            // Not ours yet, so it must not exist: the name was free a while ago.
            self.out.create_dir(&name)?;
            unsynced.directory("", &self.out)?;
            self.made.insert(top.to_owned());
        }
        let mut dir = self.out.open_dir_nofollow(&name)?;
        let mut key = top.to_owned();
        for component in rest.into_iter().flat_map(|rest| rest.split('/')) {
            dir = match dir.open_dir_nofollow(component) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    dir.create_dir(component)?;
                    unsynced.directory(&key, &dir)?;
                    dir.open_dir_nofollow(component)?
                }
                found => found?,
            };
            key = format!("{key}/{component}");
        }
        Ok(dir)
    }
}

fn split(path: &str) -> (&str, Option<&str>) {
    path.split_once('/').map_or((path, None), |(top, rest)| (top, Some(rest)))
}

/// Whether a name is taken, be it by a link that leads nowhere.
fn exists(dir: &Dir, name: &str) -> io::Result<bool> {
    match dir.symlink_metadata(name) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Whether a name is a directory's, and no link's.
fn is_directory(dir: &Dir, name: &str) -> io::Result<bool> {
    match dir.symlink_metadata(name) {
        Ok(data) => Ok(data.is_dir()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// `name (1).ext`, or the next number that is free here and in the offer.
fn free_name(
    out: &Dir,
    name: &str,
    is_directory: bool,
    used: &mut BTreeSet<String>,
) -> io::Result<String> {
    for number in 1..=MAX_NUMBER {
        let candidate = numbered(name, is_directory, number);
        let Ok(safe) = SafePath::parse(&candidate) else { continue };
        if !used.contains(&safe.collision_key()) && !exists(out, &candidate)? {
            used.insert(safe.collision_key());
            return Ok(candidate);
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

/// `name` with a number before its extension, cut so that it is not too long.
fn numbered(name: &str, is_directory: bool, number: u32) -> String {
    let dot = if is_directory { None } else { name.rfind('.').filter(|&dot| dot > 0) };
    let dot = dot.map(|dot| match name[..dot].rfind('.') {
        Some(inner) if inner > 0 && &name[inner..dot] == ".tar" => inner,
        _ => dot,
    });
    let (stem, extension) = name.split_at(dot.unwrap_or(name.len()));
    let middle = format!(" ({number})");
    let room = MAX_PATH_COMPONENT.saturating_sub(middle.len() + extension.len());
    let mut cut = stem.len().min(room);
    while !stem.is_char_boundary(cut) {
        cut -= 1;
    }
    format!("{}{middle}{extension}", &stem[..cut])
}

/// Gives `from` in `source` the name `to` in `target`, and fails with
/// `AlreadyExists` if anything has that name, even a link (`SC-NO-OVERWRITE`).
pub(super) fn move_new(source: &Dir, from: &str, target: &Dir, to: &str) -> io::Result<()> {
    match rename_exclusively(source, from, target, to) {
        Err(error) if is_unsupported(&error) => {}
        done => return done,
    }
    match link_new(source, from, target, to) {
        // Any other failure may be a file system without hard links.
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {}
        done => return done,
    }
    claim_new(source, from, target, to)
}

/// The second way: a hard link, which never replaces.
fn link_new(source: &Dir, from: &str, target: &Dir, to: &str) -> io::Result<()> {
    source.hard_link(from, target, to)?;
    source.remove_file(from)
}

/// The last way: the name is claimed with an empty file of our own, which is
/// then replaced.
fn claim_new(source: &Dir, from: &str, target: &Dir, to: &str) -> io::Result<()> {
    target.open_with(to, OpenOptions::new().write(true).create_new(true))?;
    source.rename(from, target, to).inspect_err(|_| {
        let _ = target.remove_file(to);
    })
}

/// Whether the system or the file system lacks an exclusive rename.
fn is_unsupported(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::Unsupported | io::ErrorKind::InvalidInput)
}

#[cfg(any(target_os = "linux", target_vendor = "apple"))]
fn rename_exclusively(source: &Dir, from: &str, target: &Dir, to: &str) -> io::Result<()> {
    let flags = rustix::fs::RenameFlags::NOREPLACE;
    Ok(rustix::fs::renameat_with(source, from, target, to, flags)?)
}

#[cfg(not(any(target_os = "linux", target_vendor = "apple")))]
fn rename_exclusively(_: &Dir, _: &str, _: &Dir, _: &str) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_before_the_extension() {
        assert_eq!(numbered("a.txt", false, 1), "a (1).txt");
        assert_eq!(numbered("a.tar.gz", false, 2), "a (2).tar.gz");
        assert_eq!(numbered("a.b.gz", false, 2), "a.b (2).gz");
        assert_eq!(numbered(".bashrc", false, 1), ".bashrc (1)");
        assert_eq!(numbered(".tar.gz", false, 1), ".tar (1).gz");
        assert_eq!(numbered("v1.2", true, 10), "v1.2 (10)");
    }

    #[test]
    fn long_names_are_cut_between_characters() {
        let name = format!("{}.txt", "写".repeat(83));
        assert_eq!(name.len(), 253);
        let cut = numbered(&name, false, 1);
        assert_eq!(cut, format!("{} (1).txt", "写".repeat(82)));
        SafePath::parse(&cut).unwrap();
    }

    // SC-NO-OVERWRITE
    #[test]
    fn moving_never_replaces_by_any_of_its_ways() {
        let temp = tempfile::tempdir().unwrap();
        let dir = Dir::open_ambient_dir(temp.path(), cap_std::ambient_authority()).unwrap();
        for way in [move_new, link_new, claim_new] {
            for name in ["from", "taken"] {
                dir.write(name, name).unwrap();
            }
            let error = way(&dir, "from", &dir, "taken").unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
            assert_eq!(dir.read_to_string("taken").unwrap(), "taken");
            way(&dir, "from", &dir, "free").unwrap();
            assert_eq!(dir.read_to_string("free").unwrap(), "from");
            assert!(!dir.exists("from"));
            dir.remove_file("free").unwrap();
        }
    }
}
