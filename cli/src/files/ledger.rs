//! The sink's side of a transfer's journal: what is new since the last sync, and
//! what an earlier session left. The journal itself is [`crate::journal`]'s.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::SystemTime;

use cap_std::fs::Dir;
use passel_proto::ids::FileIndex;
use passel_proto::manifest::Manifest;
use passel_proto::storage::{StorageError, StorageErrorKind};

use super::other;
use crate::journal::JournalError;
use crate::journal::received::{EntryDigest, FileRecord, Inode, Journal};

/// A journal with what is to be written to it next.
#[derive(Debug)]
pub(super) struct Ledger {
    journal: Arc<Journal>,
    manifest: Arc<Manifest>,
    /// None for a file that is to be forgotten.
    news: BTreeMap<EntryDigest, Option<FileRecord>>,
}

impl Ledger {
    pub(super) fn new(journal: Arc<Journal>, manifest: Arc<Manifest>) -> Self {
        Self { journal, manifest, news: BTreeMap::new() }
    }

    /// Notes what the protocol wants back of a file that is under way.
    pub(super) fn partial(&mut self, file: FileIndex, state: Vec<u8>, inode: Inode) {
        if let Some(entry) = self.manifest.entry_digest(file)
            // What was given its name meanwhile stays so.
            && !matches!(self.news.get(&entry), Some(Some(FileRecord::Stored { .. })))
        {
            self.news.insert(entry, Some(FileRecord::Partial { state, inode }));
        }
    }

    /// Notes that a file has its final name.
    pub(super) fn stored(&mut self, file: FileIndex, record: FileRecord) {
        if let Some(entry) = self.manifest.entry_digest(file) {
            self.news.insert(entry, Some(record));
        }
    }

    /// Notes that nothing is known of a file any more.
    pub(super) fn forget(&mut self, file: FileIndex) {
        if let Some(entry) = self.manifest.entry_digest(file) {
            self.news.insert(entry, None);
        }
    }

    /// Writes down what is new; durable on return (`RS-JOURNAL`).
    pub(super) fn write(&mut self) -> Result<(), StorageError> {
        if self.news.is_empty() {
            return Ok(());
        }
        let news = std::mem::take(&mut self.news);
        let written = self.journal.write_files(news.iter().map(|(e, record)| (e, record.as_ref())));
        written.map_err(|error| of_journal(&error))
    }

    /// Whether a file is there that was stored with this size and root, and is
    /// the one that was stored (`RS-STORED-CHECK`).
    pub(super) fn check(
        &self,
        file: FileIndex,
        size: u64,
        root: &[u8; 32],
        out: &Dir,
    ) -> Result<(), StorageError> {
        let changed = |text: &str| StorageError {
            kind: StorageErrorKind::Changed,
            text: format!("a file that was received earlier {text}"),
        };
        match self.record(file)? {
            Some(FileRecord::Stored { root: stored, size: length, name, inode }) => {
                if (stored, length) != (*root, size) {
                    Err(changed("is not what is offered now"))
                } else if is_there(out, &name, length, inode) {
                    Ok(())
                } else {
                    Err(changed("is gone, or was changed"))
                }
            }
            _ => Err(changed("is not known any more")),
        }
    }

    /// The length of a file that was stored and is still there.
    pub(super) fn stored_size(
        &self,
        file: FileIndex,
        out: &Dir,
    ) -> Result<Option<u64>, StorageError> {
        let Some(FileRecord::Stored { size, name, inode, .. }) = self.record(file)? else {
            return Ok(None);
        };
        Ok(is_there(out, &name, size, inode).then_some(size))
    }

    /// Nothing more comes on this connection; a `completed` transfer is remembered
    /// as such (`RS-COMPLETE-AGAIN`).
    pub(super) fn release(&mut self, completed: bool) -> Result<(), StorageError> {
        self.write()?;
        if completed {
            self.journal.complete(SystemTime::now()).map_err(|error| of_journal(&error))?;
        }
        Ok(())
    }

    /// Removes the journal.
    pub(super) fn remove(self) {
        if let Err(error) = self.journal.remove() {
            tracing::warn!(%error, "the journal of a transfer that is over was left behind");
        }
    }

    /// What is known of a file, by what was written or will be.
    pub(super) fn record(&self, file: FileIndex) -> Result<Option<FileRecord>, StorageError> {
        let Some(entry) = self.manifest.entry_digest(file) else { return Ok(None) };
        match self.news.get(&entry) {
            Some(new) => Ok(new.clone()),
            None => self.journal.file(&entry).map_err(|error| of_journal(&error)),
        }
    }

    /// Forgets files of which the offer has no entry any more.
    pub(super) fn forget_others(&mut self) -> Result<(), StorageError> {
        let known = self.journal.files().map_err(|error| of_journal(&error))?;
        let mut others: BTreeMap<EntryDigest, Option<FileRecord>> =
            known.into_iter().map(|(entry, _)| (entry, None)).collect();
        for (file, _) in self.manifest.iter() {
            if let Some(entry) = self.manifest.entry_digest(file) {
                others.remove(&entry);
            }
        }
        self.news.extend(others);
        Ok(())
    }
}

/// Whether this file is still where it was stored, as far as can be told without
/// reading it.
pub(super) fn is_there(out: &Dir, name: &str, size: u64, inode: Inode) -> bool {
    out.symlink_metadata(name)
        .is_ok_and(|data| data.is_file() && data.len() == size && Inode::of_cap(&data) == inode)
}

pub(super) fn of_journal(error: &JournalError) -> StorageError {
    match error {
        JournalError::Io(error) if error.kind() == io::ErrorKind::StorageFull => StorageError {
            kind: StorageErrorKind::NoSpace,
            text: "no space is left to note what was received; make room for it".to_owned(),
        },
        error => other(format!("what was received cannot be noted: {error}")),
    }
}
