//! How much room a disk has. What does not live here: what follows from it.

use std::path::Path;

/// Bytes that this user may still write where `out` lies, or will lie once it is made.
/// None if the system does not tell.
pub fn free(out: &Path) -> Option<u64> {
    let out = std::path::absolute(out).ok()?;
    let existing = out.ancestors().find(|path| path.exists())?;
    free_at(existing)
}

#[cfg(unix)]
fn free_at(path: &Path) -> Option<u64> {
    let disk = rustix::fs::statvfs(path).ok()?;
    // A file system that counts nothing says 0 of 0.
    (disk.f_blocks > 0).then(|| disk.f_bavail.saturating_mul(disk.f_frsize))
}

#[cfg(not(unix))]
fn free_at(_: &Path) -> Option<u64> {
    None
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_that_is_not_there_yet_has_the_room_of_the_one_it_will_lie_in() {
        let temp = tempfile::tempdir().unwrap();
        let there = free(temp.path());
        assert!(there.is_some());
        assert!(free(&temp.path().join("not/yet")).is_some());
        assert_eq!(free(Path::new("/proc")), None);
    }
}
