//! What a receiver takes of an offer, by rules that its user gave: limits on sizes
//! and number, and media types. A pure function from a manifest to a selection with
//! reasons, for every shell alike (`TR-POLICY`). What does not live here: the
//! question to a person, and looking into contents.

mod types;

pub use types::{TypeRule, TypeRuleError, TypeRules, UNKNOWN_TYPE};

use crate::error::{Blame, Error, ErrorCode};
use crate::frame::EntryRange;
use crate::ids::FileIndex;
use crate::manifest::{Entry, EntryKind, Manifest};

/// The largest file that is taken when nobody is asked and nothing else is said, in
/// bytes. It is the receiver's own affair, and so no limit of the registry.
pub const DEFAULT_MAX_FILE: u64 = 500_000_000;

/// The rules of one receiver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Largest file that is taken, in bytes; none for no limit. A file whose size
    /// is not known passes here, and is stopped where it grows above the limit.
    pub max_file: Option<u64>,
    /// Most bytes that are taken of one offer; none for no limit.
    pub max_total: Option<u64>,
    /// Most files that are taken of one offer; none for no limit.
    pub max_files: Option<u32>,
    /// Media types that are taken.
    pub types: TypeRules,
}

impl Default for Policy {
    /// Files up to [`DEFAULT_MAX_FILE`], and no other rule.
    fn default() -> Self {
        Self { max_file: Some(DEFAULT_MAX_FILE), ..Self::unlimited() }
    }
}

/// Why a rule keeps one file out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Objection {
    /// It is larger than [`Policy::max_file`].
    TooLarge,
    /// Its declared media type is not among those that are taken.
    Type,
}

/// What is taken of an offer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Choice {
    ranges: Vec<EntryRange>,
    entries: u32,
    files: u32,
    bytes: u64,
    objections: Vec<(FileIndex, Objection)>,
}

impl Policy {
    /// No rule at all.
    #[must_use]
    pub fn unlimited() -> Self {
        Self { max_file: None, max_total: None, max_files: None, types: TypeRules::default() }
    }

    /// What is wrong with one entry; nothing ever is with a directory.
    pub fn objection(&self, entry: &Entry) -> Option<Objection> {
        let EntryKind::File { size, mime, .. } = &entry.kind else { return None };
        if let (Some(size), Some(limit)) = (size, self.max_file)
            && *size > limit
        {
            return Some(Objection::TooLarge);
        }
        // MF-MIME-HINT: what is declared can only keep a file out.
        let refused = mime.as_deref().is_some_and(|mime| !self.types.permits_declared(mime));
        refused.then_some(Objection::Type)
    }

    /// What is taken of `manifest`: the files that `wanted` names and no rule keeps
    /// out, and the directories that belong to them. A directory without any file
    /// that was left out is taken if it is wanted itself; one whose files were all
    /// left out is not.
    ///
    /// Memory is in proportion to the number of entries at worst.
    pub fn choose(
        &self,
        manifest: &Manifest,
        mut wanted: impl FnMut(FileIndex, &Entry) -> bool,
    ) -> Choice {
        let mut choice = Choice::default();
        let mut taken = vec![false; manifest.len() as usize];
        let mut open: Vec<Open> = Vec::new();
        for (index, entry) in manifest.iter() {
            let parent = entry.path.parent();
            while open.last().is_some_and(|last| Some(last.path.as_str()) != parent) {
                close(&mut open, &mut taken);
            }
            let is_wanted = wanted(index, &entry);
            if entry.is_directory() {
                let path = entry.path.as_str().to_owned();
                open.push(Open { index, path, is_wanted, taken: false, left_out: false });
                continue;
            }
            let objection = if is_wanted { self.objection(&entry) } else { None };
            choice.objections.extend(objection.map(|objection| (index, objection)));
            let is_taken = is_wanted && objection.is_none();
            if is_taken {
                mark(&mut taken, index);
                choice.files += 1;
                choice.bytes = choice.bytes.saturating_add(entry.size().unwrap_or(0));
            }
            if let Some(last) = open.last_mut() {
                last.note(is_taken);
            }
        }
        while !open.is_empty() {
            close(&mut open, &mut taken);
        }
        choice.take(&taken);
        choice
    }

    /// Whether what was chosen may be taken as a whole. A limit on the whole does
    /// not choose which part of it to leave out; that is for people.
    ///
    /// # Errors
    ///
    /// What to reject the offer with: `TOO_LARGE` if something is too large or too
    /// many, `POLICY_REFUSED` if only types kept files out, `DECLINED` if nothing
    /// was wanted.
    pub fn check(&self, choice: &Choice) -> Result<(), Error> {
        let refuse = |code, text: &'static str| Err(Error::new(Blame::Circumstance, code, text));
        if choice.is_empty() {
            let by_size = choice.objections.iter().any(|(_, why)| *why == Objection::TooLarge);
            return match (by_size, choice.objections.is_empty()) {
                (true, _) => refuse(ErrorCode::TooLarge, "every file is above the limit of size"),
                (_, false) => {
                    refuse(ErrorCode::PolicyRefused, "no file is of a type that is taken")
                }
                (_, true) => refuse(ErrorCode::Declined, "nothing of it is wanted"),
            };
        }
        if self.max_total.is_some_and(|limit| choice.bytes > limit) {
            return refuse(ErrorCode::TooLarge, "the files together are above the limit of size");
        }
        if self.max_files.is_some_and(|limit| choice.files > limit) {
            return refuse(ErrorCode::TooLarge, "there are more files than the limit allows");
        }
        Ok(())
    }
}

impl Choice {
    /// The entries that are taken, for an ACCEPT: none if that is all of them.
    pub fn selection(&self) -> Option<Vec<EntryRange>> {
        let all =
            matches!(&self.ranges[..], [only] if only.first == 0 && only.count == self.entries);
        (!all).then(|| self.ranges.clone())
    }

    /// Whether nothing is taken.
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// Whether this entry is taken.
    pub fn contains(&self, index: FileIndex) -> bool {
        let place = self.ranges.partition_point(|range| range.first <= index.0);
        let before = place.checked_sub(1).and_then(|place| self.ranges.get(place));
        before.is_some_and(|range| index.0 - range.first < range.count)
    }

    /// Number of files that are taken.
    pub fn files(&self) -> u32 {
        self.files
    }

    /// Sum of their known sizes, in bytes; stops at `u64::MAX`.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Files that were wanted and that a rule kept out, in the manifest's order.
    pub fn objections(&self) -> &[(FileIndex, Objection)] {
        &self.objections
    }

    fn take(&mut self, taken: &[bool]) {
        for (index, _) in (0_u32..).zip(taken).filter(|(_, taken)| **taken) {
            match self.ranges.last_mut() {
                Some(last) if last.first + last.count == index => last.count += 1,
                _ => self.ranges.push(EntryRange { first: index, count: 1 }),
            }
        }
        self.entries = u32::try_from(taken.len()).unwrap_or(u32::MAX);
    }
}

/// A directory whose contents are being gone through.
struct Open {
    index: FileIndex,
    path: String,
    is_wanted: bool,
    /// Whether something in it is taken.
    taken: bool,
    /// Whether something in it was left out.
    left_out: bool,
}

impl Open {
    fn note(&mut self, taken: bool) {
        self.taken |= taken;
        self.left_out |= !taken;
    }
}

/// Decides on the innermost directory, of which everything has been seen.
fn close(open: &mut Vec<Open>, taken: &mut [bool]) {
    let Some(last) = open.pop() else { return };
    let is_taken = last.taken || (last.is_wanted && !last.left_out);
    if is_taken {
        mark(taken, last.index);
    }
    if let Some(parent) = open.last_mut() {
        parent.taken |= is_taken;
        parent.left_out |= last.left_out || !is_taken;
    }
}

fn mark(taken: &mut [bool], index: FileIndex) {
    if let Some(entry) = taken.get_mut(index.0 as usize) {
        *entry = true;
    }
}

#[cfg(test)]
mod tests;
