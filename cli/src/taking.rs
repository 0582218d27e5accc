//! What a receiver takes of one offer: the rules of its command line, and what a
//! person or program picks. The rules themselves are `passel_proto::policy`; the
//! question is put by `ui::question`.

mod pick;

pub use pick::{Patterns, Pick, pattern};

use std::sync::Arc;

use passel_proto::error::Error;
use passel_proto::escape::for_terminal;
use passel_proto::manifest::{Entry, EntryKind, Manifest};
use passel_proto::policy::{Choice, DEFAULT_MAX_FILE, Objection, Policy};

use crate::ui::format::{count, size};

/// Most files that a remark is made on.
const MAX_REMARKS: usize = 10;

/// An offer, and the rules for it.
#[derive(Clone, Debug)]
pub struct Taking {
    /// What is offered.
    pub manifest: Arc<Manifest>,
    /// Limits and types.
    pub policy: Policy,
    /// What `--only` and `--skip` say.
    pub patterns: Patterns,
}

impl Taking {
    /// What is taken of the part that is picked.
    pub fn choose(&self, pick: &Pick) -> Choice {
        let mut picked = pick.picker();
        let patterns = &self.patterns;
        self.policy.choose(&self.manifest, |index, entry| {
            // Both are asked, since a picker remembers the directory it is in.
            picked(index, entry) && patterns.want(entry.path.as_str())
        })
    }

    /// Whether it may be taken; if not, what to reject the offer with.
    pub fn check(&self, choice: &Choice) -> Result<(), Error> {
        self.policy.check(choice)
    }

    /// What somebody should know before saying yes: clauses without full stops, with
    /// escaped names. `free` is the room on the disk in bytes, if that is known.
    pub fn remarks(&self, choice: &Choice, free: Option<u64>) -> Vec<String> {
        let mut remarks = Vec::new();
        for (index, objection) in choice.objections().iter().take(MAX_REMARKS) {
            let Some(entry) = self.manifest.entry(*index) else { continue };
            let path = for_terminal(entry.path.as_str());
            remarks.push(match (objection, entry.kind) {
                (Objection::Type, EntryKind::File { mime: Some(mime), .. }) => {
                    format!("{path} is left out: its type is {}", for_terminal(&mime))
                }
                (_, EntryKind::File { size: Some(bytes), .. }) => format!(
                    "{path} is left out: too large ({}); allow it with --max-file",
                    size(bytes)
                ),
                _ => format!("{path} is left out"),
            });
        }
        let more = choice.objections().len().saturating_sub(MAX_REMARKS);
        if more > 0 {
            remarks.push(format!("{} more left out", count(more as u64, "file is", "files are")));
        }
        remarks.extend(self.large());
        let is_open = |(index, entry): (_, Entry)| {
            choice.contains(index) && !entry.is_directory() && entry.size().is_none()
        };
        if let Some(limit) = self.policy.max_file
            && self.manifest.iter().any(is_open)
        {
            let limit = size(limit);
            remarks.push(format!(
                "what has no known size is stopped above {limit}; allow more with --max-file"
            ));
        }
        if !self.patterns.is_empty() {
            let taken = format!("{} of {}", choice.files(), self.manifest.files());
            remarks.push(format!("--only and --skip leave {taken} files to be taken"));
        }
        if let Err(error) = self.check(choice)
            && !choice.is_empty()
        {
            remarks.push(format!("{}; select less of it", error.text));
        }
        if let Some(free) = free.filter(|free| choice.bytes() > *free) {
            let (free, needed) = (size(free), size(choice.bytes()));
            remarks.push(format!("only {free} of the disk are free, and {needed} are needed"));
        }
        remarks
    }

    /// Where no limit applies because somebody is asked: the files that the default
    /// would keep out.
    fn large(&self) -> Option<String> {
        if self.policy.max_file.is_some() {
            return None;
        }
        let is_large = |size: &u64| *size > DEFAULT_MAX_FILE;
        let large = self.manifest.iter().filter_map(|(_, entry)| {
            entry.size().filter(is_large).map(|bytes| (entry.path, bytes))
        });
        let mut names = Vec::new();
        let mut number = 0;
        for (path, bytes) in large {
            if names.len() < MAX_REMARKS {
                names.push(format!("{} ({})", for_terminal(path.as_str()), size(bytes)));
            }
            number += 1;
        }
        if names.len() < number {
            names.push(format!("and {} more", number - names.len()));
        }
        (number > 0).then(|| format!("above {} are {}", size(DEFAULT_MAX_FILE), names.join(", ")))
    }
}
