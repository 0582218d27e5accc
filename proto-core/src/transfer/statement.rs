//! What a sender states about each selected file, and the digest over all of
//! it that COMPLETE and RECEIPT carry (`TR-STATEMENTS`).
//!
//! Both sides compute the digest on their own, in the order of the manifest;
//! statements that come early wait. How many can wait is bounded by the files
//! that are under way, which credit bounds.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use super::selection::Selected;
use crate::error::ErrorCode;
use crate::ids::FileIndex;
use crate::manifest::Manifest;

/// What the sender says of a file, once and finally.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Statement {
    /// It was sent in full.
    Sent {
        /// Its length in bytes.
        size: u64,
        /// The root of its tree.
        root: [u8; 32],
    },
    /// It cannot be sent, or is not wanted any more.
    Failed {
        /// Why.
        code: ErrorCode,
    },
}

/// Folds statements, given in any order, in the order of the manifest.
#[derive(Debug)]
pub(crate) struct Statements {
    hasher: Sha256,
    /// The file whose statement is folded next; `None` when all have been.
    next: Option<u32>,
    early: BTreeMap<u32, Statement>,
}

impl Statements {
    pub(crate) fn new(manifest: &Manifest, selected: &Selected) -> Self {
        let mut hasher = Sha256::new();
        hasher.update(b"passel v1 statements");
        Self { hasher, next: next_file(manifest, selected, 0), early: BTreeMap::new() }
    }

    /// Whether a statement on this file is already there, or never expected.
    pub(crate) fn is_made(&self, file: FileIndex) -> bool {
        self.next.is_none_or(|next| file.0 < next) || self.early.contains_key(&file.0)
    }

    /// Takes the statement on a selected file that has none yet.
    pub(crate) fn make(
        &mut self,
        manifest: &Manifest,
        selected: &Selected,
        file: FileIndex,
        statement: Statement,
    ) {
        self.early.insert(file.0, statement);
        while let Some(next) = self.next
            && let Some(statement) = self.early.remove(&next)
        {
            self.fold(next, statement);
            self.next = next_file(manifest, selected, next.saturating_add(1));
        }
    }

    fn fold(&mut self, index: u32, statement: Statement) {
        self.hasher.update(index.to_le_bytes());
        match statement {
            Statement::Sent { size, root } => {
                self.hasher.update([1]);
                self.hasher.update(size.to_le_bytes());
                self.hasher.update(root);
            }
            Statement::Failed { code } => {
                self.hasher.update([0]);
                self.hasher.update(code.to_wire().to_le_bytes());
            }
        }
    }

    /// Whether there is a statement on every selected file.
    pub(crate) fn is_complete(&self) -> bool {
        self.next.is_none()
    }

    /// The digest, once there is a statement on every selected file.
    pub(crate) fn digest(&self) -> Option<[u8; 32]> {
        self.is_complete().then(|| self.hasher.clone().finalize().into())
    }
}

/// The first selected entry at or behind `from` that is a file.
pub(crate) fn next_file(manifest: &Manifest, selected: &Selected, from: u32) -> Option<u32> {
    let mut place = selected.next_from(from)?;
    loop {
        if !manifest.kind(FileIndex(place))?.is_directory() {
            return Some(place);
        }
        place = selected.next_from(place.checked_add(1)?)?;
    }
}
