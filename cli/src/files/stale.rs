//! Temporary directories that a process left behind which was killed: they are
//! removed once they are old, nobody uses them, and nobody needs them to go on
//! later. Nothing else is ever touched: only directories of exactly our name, of
//! our user, and in them only regular files of exactly our name; no link is
//! followed. What does not live here: the end of a transfer, after which its own
//! directory is removed at once.

use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime};

use cap_fs_ext::DirExt;
use cap_std::ambient_authority;
use cap_std::fs::Dir;

use super::temporary::{is_temporary, try_lock};
use super::{real_handle, written};

/// Age of its last change from which on a directory may be removed.
pub const STALE_AFTER: Duration = Duration::from_secs(3_600);
/// Most names that are looked at in the output directory, and in each of ours.
const MAX_LOOKED_AT: usize = 100_000;

/// Removes what is stale in the directory `out`, and returns how many temporary
/// directories that were. `is_needed` says of a directory's name whether it must
/// stay whatever its age. What cannot be looked at or removed stays.
pub fn remove_stale(out: &Path, now: SystemTime, is_needed: &dyn Fn(&str) -> bool) -> usize {
    let Ok(out) = Dir::open_ambient_dir(out, ambient_authority()) else { return 0 };
    let Ok(entries) = out.entries() else { return 0 };
    let names =
        entries.take(MAX_LOOKED_AT).filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    // Names first: what is removed while a directory is read may confuse the reading.
    let ours: Vec<String> = names.filter(|name| is_temporary(name) && !is_needed(name)).collect();
    let mut removed = 0;
    for name in ours {
        match remove_if_stale(&out, &name, now) {
            Ok(true) => removed += 1,
            Ok(false) => {}
            Err(error) => tracing::debug!(%error, name, "an old temporary directory stays"),
        }
    }
    removed
}

fn remove_if_stale(out: &Dir, name: &str, now: SystemTime) -> io::Result<bool> {
    let dir = out.open_dir_nofollow(name)?;
    let Some(handle) = real_handle(&dir)? else { return Ok(false) };
    let metadata = handle.metadata()?;
    // Whoever uses it holds the lock; where there are no locks, it stays.
    if !is_own(&metadata) || !is_old(metadata.modified()?, now) || !try_lock(&handle)? {
        return Ok(false);
    }
    let mut files = Vec::new();
    for entry in dir.entries()?.take(MAX_LOOKED_AT) {
        let entry = entry?;
        let metadata = entry.metadata()?;
        let file = entry.file_name();
        let is_ours = file.to_str().is_some_and(is_file_name);
        if !metadata.is_file() || !is_ours || !is_old(metadata.modified()?.into_std(), now) {
            return Ok(false);
        }
        files.push(file);
    }
    for file in files {
        dir.remove_file(file)?;
    }
    // A name that came meanwhile keeps the directory.
    out.remove_dir(name)?;
    Ok(true)
}

/// Whether it is a name that a file in a temporary directory of ours has: that of an
/// entry, which is its number, or that of notes.
fn is_file_name(name: &str) -> bool {
    let is_number = name.parse::<u32>().is_ok_and(|number| number.to_string() == name);
    // Of a transfer that was to go on, and of which nothing else is left.
    let is_digest = name.len() == 32 && name.bytes().all(|b| b.is_ascii_hexdigit());
    is_number || is_digest || written::NAMES.contains(&name)
}

/// A time in the future is not old.
fn is_old(modified: SystemTime, now: SystemTime) -> bool {
    now.duration_since(modified).is_ok_and(|age| age >= STALE_AFTER)
}

#[cfg(unix)]
fn is_own(metadata: &std::fs::Metadata) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    metadata.uid() == rustix::process::geteuid().as_raw()
}

#[cfg(not(unix))]
fn is_own(_: &std::fs::Metadata) -> bool {
    true
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::temporary::Temporary;
    use std::fs::{self, File};
    use std::os::unix::fs::symlink;

    const NAME: &str = ".passel-0123456789abcdef.part";

    fn later() -> SystemTime {
        SystemTime::now() + STALE_AFTER + Duration::from_secs(60)
    }

    fn left_behind(out: &Path) {
        fs::create_dir(out.join(NAME)).unwrap();
        fs::write(out.join(NAME).join("17"), b"half").unwrap();
    }

    #[test]
    fn what_a_killed_process_left_is_removed_once_it_is_old_and_not_needed() {
        let out = tempfile::tempdir().unwrap();
        left_behind(out.path());
        assert_eq!(remove_stale(out.path(), SystemTime::now(), &|_| false), 0);
        assert_eq!(remove_stale(out.path(), later(), &|name| name == NAME), 0);
        assert!(out.path().join(NAME).join("17").exists());
        assert_eq!(remove_stale(out.path(), later(), &|_| false), 1);
        assert_eq!(fs::read_dir(out.path()).unwrap().count(), 0);
    }

    // RS-FORGET
    #[test]
    fn what_is_left_of_a_transfer_that_was_to_go_on_is_removed_with_its_notes() {
        let out = tempfile::tempdir().unwrap();
        let kept = out.path().join(NAME);
        fs::create_dir(&kept).unwrap();
        for name in ["0123456789abcdef0123456789abcdef", "written-0", "written-1"] {
            fs::write(kept.join(name), b"half").unwrap();
        }
        assert_eq!(remove_stale(out.path(), SystemTime::now(), &|_| false), 0);
        assert_eq!(remove_stale(out.path(), later(), &|name| name == NAME), 0);
        assert_eq!(fs::read_dir(&kept).unwrap().count(), 3);
        assert_eq!(remove_stale(out.path(), later(), &|_| false), 1);
        assert_eq!(fs::read_dir(out.path()).unwrap().count(), 0);
    }

    #[test]
    fn what_a_process_uses_stays_however_old_it_is() {
        let out = tempfile::tempdir().unwrap();
        let dir = Dir::open_ambient_dir(out.path(), ambient_authority()).unwrap();
        let temporary = Temporary::create(&dir).unwrap();
        assert_eq!(remove_stale(out.path(), later(), &|_| false), 0);
        assert_eq!(fs::read_dir(out.path()).unwrap().count(), 1);
        drop(temporary);
        assert_eq!(fs::read_dir(out.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_file_that_is_still_written_to_keeps_its_directory() {
        let out = tempfile::tempdir().unwrap();
        left_behind(out.path());
        let file = File::options().write(true).open(out.path().join(NAME).join("17")).unwrap();
        file.set_modified(later()).unwrap();
        assert_eq!(remove_stale(out.path(), later(), &|_| false), 0);
    }

    #[test]
    fn links_other_names_and_what_somebody_else_put_there_stay() {
        let out = tempfile::tempdir().unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        fs::write(elsewhere.path().join("1"), b"mine").unwrap();
        symlink(elsewhere.path(), out.path().join(NAME)).unwrap();
        let near = [".passel-0123456789abcde.part", ".passel-0123456789ABCDEF.part", "passel.part"];
        for name in near {
            fs::create_dir(out.path().join(name)).unwrap();
        }
        fs::write(out.path().join(".passel-1111111111111111.part"), b"a file").unwrap();
        for (name, file) in [("2", "notes"), ("3", "01"), ("4", "+1"), ("6", "written-2")] {
            let dir = out.path().join(format!(".passel-{}.part", name.repeat(16)));
            fs::create_dir(&dir).unwrap();
            fs::write(dir.join(file), b"mine").unwrap();
        }
        let linked = out.path().join(".passel-5555555555555555.part");
        fs::create_dir(&linked).unwrap();
        symlink(elsewhere.path().join("1"), linked.join("1")).unwrap();
        let before = fs::read_dir(out.path()).unwrap().count();
        assert_eq!(remove_stale(out.path(), later(), &|_| false), 0);
        assert_eq!(fs::read_dir(out.path()).unwrap().count(), before);
        assert_eq!(fs::read(elsewhere.path().join("1")).unwrap(), b"mine");
    }
}
