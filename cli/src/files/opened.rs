//! Temporary files that are open, by the number of their entry: as many as the
//! system lets this process have, so that a small file is opened once and not again for
//! each of its steps. What does not live here: how a file is opened
//! ([`super::temporary`]).

use std::collections::BTreeMap;
use std::fs::File;
use std::sync::Arc;

/// Fewest that stay open, whatever the system says.
const FEWEST: usize = 64;
/// Most that stay open: more small files than arrive between two syncs.
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

impl Default for Opened {
    fn default() -> Self {
        Self::bounded((handles() / 2).clamp(FEWEST, MOST))
    }
}

impl Opened {
    fn bounded(most: usize) -> Self {
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

    /// Closes an entry's file, if it is open.
    pub(super) fn close(&mut self, index: u32) {
        self.slots.remove(&index);
    }

    /// Closes all.
    pub(super) fn clear(&mut self) {
        self.slots.clear();
    }
}

/// How many files and sockets this process may have open, after it asked for as many as
/// it needs here. Nothing here waits with `select`, which only knows the first 1,024.
#[cfg(unix)]
fn handles() -> usize {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let wanted = 2 * MOST as u64;
    let given = getrlimit(Resource::Nofile);
    let more = wanted.min(given.maximum.unwrap_or(wanted));
    let now = match given.current {
        Some(now) if now < more => {
            let asked = Rlimit { current: Some(more), maximum: given.maximum };
            // Who may not have more goes on with what there is.
            setrlimit(Resource::Nofile, asked).map_or(now, |()| more)
        }
        now => now.unwrap_or(wanted),
    };
    usize::try_from(now).unwrap_or(usize::MAX)
}

#[cfg(not(unix))]
fn handles() -> usize {
    2 * FEWEST
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
        opened.close(7);
        assert!(opened.get(7).is_none());
        opened.clear();
        assert!(opened.get(9).is_none());
    }

    #[test]
    fn at_least_some_stay_open_and_never_more_than_half_of_what_may_be() {
        let most = Opened::default().most;
        assert!((FEWEST..=MOST).contains(&most), "{most}");
        assert!(most == FEWEST || most <= handles() / 2);
    }
}
