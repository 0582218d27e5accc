//! The receiver's journal of one transfer: a `redb` database of its own, since a
//! database is open in one process at a time and transfers run side by side. It
//! holds what the transfer is, and for each file, by the digest of its entry, what
//! is durable of it. When what is written is the storage thread's business.

mod record;

use std::fs::OpenOptions;
use std::io;
use std::time::SystemTime;

use redb::backends::FileBackend;
use redb::{Builder, Database, DatabaseError, ReadableDatabase, ReadableTable, TableDefinition};

pub use self::record::{FileRecord, Inode, Transfer};
pub(super) use self::record::{path_bytes, path_of};
use super::place::{StateDir, private};
use super::{COMPLETED_AGE, JournalError, MAX_AGE, MAX_KEPT, is_older};

/// The transfer's own record, under the empty key.
const TRANSFER: TableDefinition<'_, (), &[u8]> = TableDefinition::new("transfer");
/// The files, by the digest of their entry.
const FILES: TableDefinition<'_, &[u8; 32], &[u8]> = TableDefinition::new("files");
/// How the files of journals begin and end.
const NAME: (&str, &str) = ("receive-", ".redb");
/// Digits of a token that name its temporary directory.
const HALF: usize = 16;
/// Memory that the database may use, in bytes.
const CACHE: usize = 4 << 20;

/// Digest of a file's entry in the manifest.
pub type EntryDigest = [u8; 32];

/// An open journal. Nobody else can open it meanwhile.
#[derive(Debug)]
pub struct Journal {
    database: Database,
    state: StateDir,
    name: String,
}

impl Journal {
    /// Begins the journal of a transfer; durable on return.
    ///
    /// # Errors
    ///
    /// [`JournalError::Busy`] if this transfer has one, [`JournalError::Full`] if
    /// [`MAX_KEPT`] others do, or the disk.
    pub fn create(state: &StateDir, transfer: &Transfer) -> Result<Self, JournalError> {
        if state.names(NAME.0, NAME.1)?.len() >= MAX_KEPT {
            return Err(JournalError::Full);
        }
        let name = file_name(transfer.token);
        let mut options = OpenOptions::new();
        let file = private(&state.file(&name), options.read(true).write(true).create_new(true));
        let file = file.map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => JournalError::Busy,
            _ => error.into(),
        })?;
        let backend = FileBackend::new(file).map_err(of_open)?;
        let mut builder = Builder::new();
        builder.set_cache_size(CACHE);
        let database = builder.create_with_backend(backend).map_err(of_open)?;
        let journal = Self { database, state: state.clone(), name };
        journal.write_transfer(transfer)?;
        state.sync()?;
        Ok(journal)
    }

    /// Opens the journal of the transfer `token`, if there is one.
    ///
    /// # Errors
    ///
    /// [`JournalError::Busy`] if another process has it open; one that is damaged
    /// is set aside, and then there is none.
    pub fn open(
        state: &StateDir,
        token: [u8; 16],
    ) -> Result<Option<(Self, Transfer)>, JournalError> {
        Self::open_named(state, &file_name(token))
    }

    fn open_named(state: &StateDir, name: &str) -> Result<Option<(Self, Transfer)>, JournalError> {
        let path = state.file(name);
        if !path.exists() {
            return Ok(None);
        }
        // What was altered from outside must be found out here: later it may panic.
        let mut builder = Builder::new();
        builder.set_cache_size(CACHE).set_check_integrity_on_open(true);
        let opened = builder.open(&path).map_err(of_open).and_then(|database| {
            let journal = Self { database, state: state.clone(), name: name.to_owned() };
            let transfer = journal.read_transfer()?;
            Ok((journal, transfer))
        });
        match opened {
            Ok(opened) => Ok(Some(opened)),
            Err(JournalError::Damaged | JournalError::Database(_)) => {
                state.set_aside(name);
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Replaces the transfer's own record; durable on return.
    pub fn write_transfer(&self, transfer: &Transfer) -> Result<(), JournalError> {
        let bytes = transfer.encode()?;
        let write = self.database.begin_write().map_err(of_other)?;
        {
            let mut table = write.open_table(TRANSFER).map_err(of_other)?;
            table.insert((), bytes.as_slice()).map_err(of_other)?;
            write.open_table(FILES).map_err(of_other)?;
        }
        write.commit().map_err(of_other)
    }

    /// The transfer's own record.
    pub fn read_transfer(&self) -> Result<Transfer, JournalError> {
        let read = self.database.begin_read().map_err(of_other)?;
        let table = read.open_table(TRANSFER).map_err(of_other)?;
        let value = table.get(()).map_err(of_other)?.ok_or(JournalError::Damaged)?;
        Transfer::decode(value.value())
    }

    /// What is known of one file.
    pub fn file(&self, entry: &EntryDigest) -> Result<Option<FileRecord>, JournalError> {
        let read = self.database.begin_read().map_err(of_other)?;
        let table = read.open_table(FILES).map_err(of_other)?;
        let value = table.get(entry).map_err(of_other)?;
        value.map(|value| FileRecord::decode(value.value())).transpose()
    }

    /// What is known of all files, in the order of their digests.
    pub fn files(&self) -> Result<Vec<(EntryDigest, FileRecord)>, JournalError> {
        let read = self.database.begin_read().map_err(of_other)?;
        let table = read.open_table(FILES).map_err(of_other)?;
        let mut files = Vec::new();
        for row in table.iter().map_err(of_other)? {
            let (entry, value) = row.map_err(of_other)?;
            files.push((*entry.value(), FileRecord::decode(value.value())?));
        }
        Ok(files)
    }

    /// Replaces what is known of these files, or removes it, all at once; durable
    /// on return.
    pub fn write_files<'a>(
        &self,
        files: impl IntoIterator<Item = (&'a EntryDigest, Option<&'a FileRecord>)>,
    ) -> Result<(), JournalError> {
        let write = self.database.begin_write().map_err(of_other)?;
        {
            let mut table = write.open_table(FILES).map_err(of_other)?;
            for (entry, record) in files {
                match record {
                    Some(record) => {
                        let bytes = record.encode()?;
                        table.insert(entry, bytes.as_slice()).map_err(of_other)?;
                    }
                    None => {
                        table.remove(entry).map_err(of_other)?;
                    }
                }
            }
        }
        write.commit().map_err(of_other)
    }

    /// Notes that the transfer is complete, so that the sender can be told again.
    pub fn complete(&self, now: SystemTime) -> Result<(), JournalError> {
        let mut transfer = self.read_transfer()?;
        transfer.completed = Some(super::seconds(now));
        self.write_transfer(&transfer)
    }

    /// Removes the journal. Where an open file cannot be removed, it stays until
    /// the next [`clean`].
    pub fn remove(&self) -> Result<(), JournalError> {
        let removed = self.state.remove(&self.name);
        if removed.is_err() {
            self.complete(SystemTime::UNIX_EPOCH)?;
        }
        Ok(removed?)
    }
}

/// The transfers that could go on, those that began first coming first. What
/// another process has open is left out.
pub fn interrupted(state: &StateDir) -> Result<Vec<Transfer>, JournalError> {
    let mut found = Vec::new();
    for name in state.names(NAME.0, NAME.1)? {
        match Journal::open_named(state, &name) {
            Ok(Some((_, transfer))) if transfer.completed.is_none() => found.push(transfer),
            Ok(_) | Err(JournalError::Busy) => {}
            Err(error) => tracing::warn!(%error, "a journal cannot be read"),
        }
    }
    found.sort_by_key(|transfer| transfer.created);
    Ok(found)
}

/// The transfer that began with an invitation of this hash: an interrupted one, or
/// one that is complete and whose sender may not know it (`RS-COMPLETE-AGAIN`).
pub fn find(state: &StateDir, invitation: &[u8; 32]) -> Option<[u8; 16]> {
    let names = state.names(NAME.0, NAME.1).unwrap_or_default();
    names.iter().find_map(|name| {
        let (_, transfer) = Journal::open_named(state, name).ok()??;
        (transfer.invitation == *invitation).then_some(transfer.token)
    })
}

/// Removes journals that are too old, with what they kept (`RS-FORGET`).
pub fn clean(state: &StateDir, now: SystemTime) -> Result<(), JournalError> {
    for name in state.names(NAME.0, NAME.1)? {
        let Ok(Some((journal, transfer))) = Journal::open_named(state, &name) else { continue };
        let is_over = match transfer.completed {
            Some(then) => is_older(then, now, COMPLETED_AGE),
            None => is_older(transfer.created, now, MAX_AGE),
        };
        if is_over {
            remove_temporary(&transfer);
            journal.remove()?;
        }
    }
    for name in state.names(NAME.0, ".damaged")? {
        let path = state.file(&name);
        let modified = path.metadata().and_then(|data| data.modified());
        if modified.is_ok_and(|then| is_older(super::seconds(then), now, MAX_AGE)) {
            state.remove(&name)?;
        }
    }
    Ok(())
}

/// The name of the directory in which a transfer's unfinished files lie: of the
/// form of all such names, and found by the token's first half.
pub fn temporary_name(token: [u8; 16]) -> String {
    format!(".passel-{}.part", &hex(token)[..HALF])
}

/// Whether a directory of that name belongs to a transfer that can go on.
pub fn is_needed(state: &StateDir, name: &str) -> bool {
    let token = name.strip_prefix(".passel-").and_then(|rest| rest.strip_suffix(".part"));
    // A name from outside must not lead anywhere else.
    let is_half = |half: &&str| half.len() == HALF && half.bytes().all(|b| b.is_ascii_hexdigit());
    token.filter(is_half).is_some_and(|half| {
        // One that cannot be asked may hold it.
        let names = state.names(&format!("{}{half}", NAME.0), NAME.1);
        names.map_or(true, |names| !names.is_empty())
    })
}

/// Removes what a transfer left in its output directory.
pub fn remove_temporary(transfer: &Transfer) {
    let removed = cap_std::fs::Dir::open_ambient_dir(&transfer.out, cap_std::ambient_authority())
        .and_then(|out| out.remove_dir_all(temporary_name(transfer.token)));
    if let Err(error) = removed
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::warn!(%error, "temporary files were left behind");
    }
}

fn file_name(token: [u8; 16]) -> String {
    format!("{}{}{}", NAME.0, hex(token), NAME.1)
}

fn hex(token: [u8; 16]) -> String {
    format!("{:032x}", u128::from_be_bytes(token))
}

fn of_open(error: DatabaseError) -> JournalError {
    match error {
        DatabaseError::DatabaseAlreadyOpen | DatabaseError::LockProtocolMismatch => {
            JournalError::Busy
        }
        DatabaseError::Storage(redb::StorageError::Io(error))
            if error.kind() != io::ErrorKind::InvalidData
                && error.kind() != io::ErrorKind::UnexpectedEof =>
        {
            error.into()
        }
        _ => JournalError::Damaged,
    }
}

fn of_other(error: impl Into<redb::Error>) -> JournalError {
    match error.into() {
        redb::Error::Io(error) => error.into(),
        redb::Error::Corrupted(_) | redb::Error::TableDoesNotExist(_) => JournalError::Damaged,
        error => JournalError::Database(error.to_string()),
    }
}

#[cfg(test)]
mod tests;
