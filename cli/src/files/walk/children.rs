//! The names in one directory while it is walked. What does not live here: which
//! of them are left out, and why a name is refused.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::hash::{Hash, Hasher};

use passel_proto::limits::MAX_ENTRIES_COUNT;

/// What lies in a directory, in little memory, since there may be a million.
#[derive(Default)]
pub(super) struct Children {
    /// All names, one after the other, as the manifest has them.
    names: String,
    pub(super) places: Vec<Child>,
    /// Local names that are not the manifest's, by where those begin in `names`.
    locals: BTreeMap<u32, OsString>,
}

#[derive(Clone, Copy)]
pub(super) struct Child {
    start: u32,
    len: u16,
    pub(super) is_directory: bool,
}

impl Children {
    /// Adds a child; none if there are more than any offer may have.
    pub(super) fn add(&mut self, name: &str, local: OsString, is_directory: bool) -> Option<()> {
        let (start, len) = (self.names.len().try_into().ok()?, name.len().try_into().ok()?);
        if self.places.len() >= MAX_ENTRIES_COUNT {
            return None;
        }
        if *local != *name {
            self.locals.insert(start, local);
        }
        self.names.push_str(name);
        self.places.push(Child { start, len, is_directory });
        Some(())
    }

    /// Puts the children into the manifest's order.
    pub(super) fn sort(&mut self) {
        let names = &self.names;
        self.places.sort_unstable_by_key(|child| name_in(names, *child));
    }

    /// A child's name in the manifest.
    pub(super) fn name(&self, child: Child) -> &str {
        name_in(&self.names, child)
    }

    /// A child's name on this computer.
    pub(super) fn local(&self, child: Child) -> &OsStr {
        self.locals.get(&child.start).map_or_else(|| self.name(child).as_ref(), OsString::as_os_str)
    }
}

fn name_in(names: &str, child: Child) -> &str {
    let start = usize::try_from(child.start).unwrap_or(usize::MAX);
    names.get(start..).and_then(|rest| rest.get(..child.len.into())).unwrap_or_default()
}

/// Equal keys have equal hashes; others are compared if theirs are equal too.
pub(super) fn short_hash(key: &str) -> u64 {
    let mut hasher = std::hash::DefaultHasher::new();
    key.hash(&mut hasher);
    hasher.finish()
}
