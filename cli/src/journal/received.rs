//! The receiver's journal of one transfer, in two files: a record of what the
//! transfer is, which is read as a whole, and a `redb` database of its own, since a
//! database is open in one process at a time and transfers run side by side. It
//! holds for each file, by the digest of its entry, what is durable of it, and is
//! opened only by who goes on with the transfer: to check it costs time that grows
//! with the files. When what is written is the storage thread's business.

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
use crate::hex::hex;

/// The files, by the digest of their entry.
const FILES: TableDefinition<'_, &[u8; 32], &[u8]> = TableDefinition::new("files");
/// How the databases of journals begin and end.
const NAME: (&str, &str) = ("receive-", ".redb");
/// How the records of the transfers themselves end, which begin so too.
const RECORD: &str = ".keep";
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
        let name = name(transfer.token);
        let mut options = OpenOptions::new();
        let path = state.file(&database(&name));
        let file = private(&path, options.read(true).write(true).create_new(true));
        let file = file.map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => JournalError::Busy,
            _ => error.into(),
        })?;
        let backend = FileBackend::new(file).map_err(of_open)?;
        let mut builder = Builder::new();
        builder.set_cache_size(CACHE);
        let database = builder.create_with_backend(backend).map_err(of_open)?;
        let journal = Self { database, state: state.clone(), name };
        journal.write_files([])?;
        journal.write_transfer(transfer)?;
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
        let name = name(token);
        let Some(transfer) = read(state, &name)? else { return Ok(None) };
        Ok(Self::open_database(state, name)?.map(|journal| (journal, transfer)))
    }

    fn open_database(state: &StateDir, name: String) -> Result<Option<Self>, JournalError> {
        // What was altered from outside must be found out here: later it may panic.
        let mut builder = Builder::new();
        builder.set_cache_size(CACHE).set_check_integrity_on_open(true);
        match builder.open(state.file(&database(&name))).map_err(of_open) {
            Ok(database) => Ok(Some(Self { database, state: state.clone(), name })),
            Err(JournalError::Damaged | JournalError::Database(_)) => {
                state.set_aside(&database(&name));
                state.remove(&record(&name))?;
                Ok(None)
            }
            Err(JournalError::Io(error)) if error.kind() == io::ErrorKind::NotFound => {
                state.remove(&record(&name))?;
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Replaces the transfer's own record; durable on return.
    pub fn write_transfer(&self, transfer: &Transfer) -> Result<(), JournalError> {
        Ok(self.state.write(&record(&self.name), &transfer.encode()?)?)
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
        let mut transfer = read(&self.state, &self.name)?.ok_or(JournalError::Damaged)?;
        transfer.completed = Some(super::seconds(now));
        self.write_transfer(&transfer)
    }

    /// Removes the journal. Where an open file cannot be removed, that of its
    /// database stays until a later [`clean`].
    pub fn remove(&self) -> Result<(), JournalError> {
        self.state.remove(&record(&self.name))?;
        if let Err(error) = self.state.remove(&database(&self.name)) {
            tracing::debug!(%error, "the database of a journal is removed later");
        }
        Ok(())
    }
}

/// The transfers that could go on, those that began first coming first. What
/// another process has open is left out.
pub fn interrupted(state: &StateDir) -> Result<Vec<Transfer>, JournalError> {
    let mut found = records(state)?;
    found.retain(|transfer| {
        transfer.completed.is_none()
            && match Journal::open_database(state, name(transfer.token)) {
                Ok(journal) => journal.is_some(),
                Err(JournalError::Busy) => false,
                Err(error) => {
                    tracing::warn!(%error, "a journal cannot be read");
                    false
                }
            }
    });
    found.sort_by_key(|transfer| transfer.created);
    Ok(found)
}

/// The transfer that began with an invitation of this hash: an interrupted one, or
/// one that is complete and whose sender may not know it (`RS-COMPLETE-AGAIN`).
pub fn find(state: &StateDir, invitation: &[u8; 32]) -> Option<[u8; 16]> {
    let records = records(state).unwrap_or_default();
    records.iter().find(|transfer| transfer.invitation == *invitation).map(|found| found.token)
}

/// Removes journals that are too old, with what they kept (`RS-FORGET`).
pub fn clean(state: &StateDir, now: SystemTime) -> Result<(), JournalError> {
    for transfer in records(state)? {
        let is_over = match transfer.completed {
            Some(then) => is_older(then, now, COMPLETED_AGE),
            None => is_older(transfer.created, now, MAX_AGE),
        };
        if is_over && let Ok(Some(journal)) = Journal::open_database(state, name(transfer.token)) {
            remove_temporary(&transfer);
            journal.remove()?;
        }
    }
    // What has no record is of a process that ended between two steps.
    let is_lone = |database: &String| {
        let name = database.strip_suffix(NAME.1).unwrap_or(database);
        !state.file(&record(name)).exists()
    };
    let lone = state.names(NAME.0, NAME.1)?.into_iter().filter(is_lone);
    for name in lone.chain(state.names(NAME.0, ".damaged")?) {
        let path = state.file(&name);
        let modified = path.metadata().and_then(|data| data.modified());
        if modified.is_ok_and(|then| is_older(super::seconds(then), now, MAX_AGE)) {
            state.remove(&name)?;
        }
    }
    Ok(())
}

/// The records of all transfers, in no order. Those that are damaged are set aside.
fn records(state: &StateDir) -> Result<Vec<Transfer>, JournalError> {
    let mut found = Vec::new();
    for file in state.names(NAME.0, RECORD)? {
        match read(state, file.strip_suffix(RECORD).unwrap_or(&file)) {
            Ok(transfer) => found.extend(transfer),
            Err(error) => tracing::warn!(%error, "a journal cannot be read"),
        }
    }
    Ok(found)
}

/// The record of one transfer. One that is damaged is set aside.
fn read(state: &StateDir, name: &str) -> Result<Option<Transfer>, JournalError> {
    let Some(bytes) = state.read(&record(name))? else { return Ok(None) };
    match Transfer::decode(&bytes) {
        Err(JournalError::Damaged) => {
            state.set_aside(&record(name));
            Ok(None)
        }
        read => read.map(Some),
    }
}

/// The name of the directory in which a transfer's unfinished files lie: of the
/// form of all such names, and found by the token's first half.
pub fn temporary_name(token: [u8; 16]) -> String {
    format!(".passel-{}.part", &hex(&token)[..HALF])
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

/// What the names of a transfer's files begin with.
fn name(token: [u8; 16]) -> String {
    format!("{}{}", NAME.0, hex(&token))
}

fn database(name: &str) -> String {
    format!("{name}{}", NAME.1)
}

fn record(name: &str) -> String {
    format!("{name}{RECORD}")
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
