//! Temporary files that are open, by the number of their entry: many, so that a small
//! file is opened once and not again for each of its steps, but no more than half of
//! what this process may have open. What does not live here: how a file is opened
//! ([`super::temporary`]).

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::sync::Arc;

/// Fewest that stay open, whatever the system says.
const FEWEST: usize = 64;
/// Most that stay open: twice as many files as the core lets come before it asks for a
/// sync, since others come while those get their names.
const MOST: usize = 1_024;

/// Open files, of which the one that was used least lately is closed for a new one.
#[derive(Debug)]
pub(super) struct Opened {
    slots: BTreeMap<u32, Slot>,
    most: usize,
    uses: u64,
}

#[derive(Debug)]
struct Slot {
    file: Arc<File>,
    last_use: u64,
}

impl Opened {
    /// None yet, and as many as this process may have.
    pub(super) fn new() -> Self {
        Self::bounded(most(handles()))
    }

    /// None yet, and never more than these.
    pub(super) fn bounded(most: usize) -> Self {
        Self { slots: BTreeMap::new(), most, uses: 0 }
    }

    /// The file of an entry if it is open.
    pub(super) fn get(&mut self, index: u32) -> Option<Arc<File>> {
        self.uses += 1;
        let slot = self.slots.get_mut(&index)?;
        slot.last_use = self.uses;
        Some(Arc::clone(&slot.file))
    }

    /// Keeps a file open.
    pub(super) fn insert(&mut self, index: u32, file: File) -> Arc<File> {
        let file = Arc::new(file);
        if self.slots.len() >= self.most {
            let oldest = self.slots.iter().min_by_key(|(_, slot)| slot.last_use);
            if let Some((&oldest, _)) = oldest {
                self.slots.remove(&oldest);
            }
        }
        self.uses += 1;
        self.slots.insert(index, Slot { file: Arc::clone(&file), last_use: self.uses });
        file
    }

    /// Keeps an entry's file open no longer, and returns it if it was.
    pub(super) fn take(&mut self, index: u32) -> Option<Arc<File>> {
        self.slots.remove(&index).map(|slot| slot.file)
    }

    /// Keeps none of them open.
    pub(super) fn clear(&mut self) {
        self.slots.clear();
    }
}

/// How many of these a process may keep open that may have as many `handles` in all.
fn most(handles: usize) -> usize {
    (handles / 2).clamp(FEWEST, MOST)
}

/// How many files and sockets this process may have open.
fn handles() -> usize {
    #[cfg(unix)]
    {
        let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
        limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX)
    }
    #[cfg(not(unix))]
    {
        2 * FEWEST
    }
}

/// Has the system let this process have as many files open as are of use to a receiver, if
/// it can. Nothing in it waits with `select`, which knows the first 1,024 only; what it starts
/// has the same limit, and only what opens so many itself could see it.
pub(crate) fn allow_many() {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
        let given = getrlimit(Resource::Nofile);
        let wanted = (2 * MOST as u64).min(given.maximum.unwrap_or(u64::MAX));
        if given.current.is_some_and(|now| now < wanted) {
            let asked = Rlimit { current: Some(wanted), maximum: given.maximum };
            if let Err(error) = setrlimit(Resource::Nofile, asked) {
                tracing::debug!(%error, "no more files may be open");
            }
        }
    }
}

/// Whether something was not opened since too much is open already.
pub(super) fn is_too_many(error: &io::Error) -> bool {
    #[cfg(unix)]
    {
        use rustix::io::Errno;
        matches!(Errno::from_io_error(error), Some(Errno::MFILE | Errno::NFILE))
    }
    #[cfg(not(unix))]
    {
        let _ = error;
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_one_that_was_used_least_lately_is_closed_for_a_new_one() {
        let mut opened = Opened::bounded(2);
        let new = || tempfile::tempfile().unwrap();
        opened.insert(7, new());
        opened.insert(8, new());
        assert!(opened.get(7).is_some());
        opened.insert(9, new());
        assert!(opened.get(8).is_none());
        assert!(opened.get(7).is_some() && opened.get(9).is_some());
        assert!(opened.take(7).is_some());
        assert!(opened.get(7).is_none());
        opened.clear();
        assert!(opened.get(9).is_none());
    }

    #[test]
    fn half_of_what_may_be_open_is_kept_within_bounds() {
        let kept = [0, 100, 128, 256, 1_024, 2_048, usize::MAX].map(most);
        assert_eq!(kept, [64, 64, 64, 128, 512, 1_024, 1_024]);
    }

    #[cfg(unix)]
    #[test]
    fn what_the_system_would_give_is_taken() {
        let limit = || rustix::process::getrlimit(rustix::process::Resource::Nofile);
        allow_many();
        let wanted = limit().maximum.map_or(2_048, |hard| hard.min(2_048));
        assert!(limit().current.is_none_or(|now| now >= wanted), "{:?}", limit());
    }
}
