//! The sender's notes on a transfer that it keeps: what it takes to listen at the
//! same place, meet the receiver and offer the same again. One file for each, whose
//! name comes from the paths that are sent, with a lock beside it that tells
//! whether a process is at it.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use bincode::{Decode, Encode};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::place::{StateDir, private};
use super::received::{Inode, path_bytes, path_of};
use super::secrets::{Kept, Stored as StoredSecrets};
use super::{JournalError, MAX_KEPT, seconds};
use crate::hex::hex;

/// Most bytes that a note may claim while it is read.
const CLAIM: usize = 1 << 20;
/// The layout. Others are of a later program, and not read.
const VERSION: u8 = 1;
/// How files of notes begin and end.
const NAME: (&str, &str) = ("send-", ".keep");
/// Sends of the same paths at one time.
const MAX_SAME: u32 = 16;

/// Where a sender's rendezvous is.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Place {
    /// Somebody's server, as a URL.
    Server(String),
    /// Within the sender's own process, at this address and port.
    Embedded(String),
}

/// A transfer that was offered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sending {
    /// What names it.
    pub token: [u8; 16],
    /// Where the two meet.
    pub place: Place,
    /// By what they know each other.
    pub kept: Kept,
    /// What is sent: absolute paths, in the order in which they were given.
    pub paths: Vec<PathBuf>,
    /// The note for the receiver.
    pub note: String,
    /// Until when the sender waits for its receiver, in seconds since 1970.
    pub until: u64,
}

/// [`Sending`] as it is stored.
#[derive(Encode, Decode)]
struct Stored {
    version: u8,
    token: [u8; 16],
    place: Place,
    kept: StoredSecrets,
    paths: Vec<Vec<u8>>,
    note: String,
    until: u64,
}

/// A place for the notes of one send, which is this process's as long as it
/// lives.
#[derive(Debug)]
pub struct Keeper {
    state: StateDir,
    name: String,
    lock: File,
}

impl Keeper {
    /// Finds the notes of an earlier send of these paths that nobody is at, or a
    /// place for new ones. Notes whose time is over are removed.
    ///
    /// # Errors
    ///
    /// [`JournalError::Full`] if too much is kept, or the disk.
    pub fn find(
        state: &StateDir,
        paths: &[PathBuf],
        now: SystemTime,
    ) -> Result<(Self, Option<Sending>), JournalError> {
        let mut free = None;
        for number in 0..MAX_SAME {
            let name = file_name(paths, number);
            let Some(keeper) = Self::at(state, name)? else { continue };
            match keeper.read() {
                Ok(Some(sending)) if sending.until > seconds(now) && sending.paths == paths => {
                    return Ok((keeper, Some(sending)));
                }
                Ok(Some(_)) => keeper.state.remove(&keeper.name)?,
                Ok(None) => {}
                Err(JournalError::Damaged) => keeper.state.set_aside(&keeper.name),
                Err(error) => return Err(error),
            }
            free = free.or(Some(keeper));
        }
        match free {
            Some(keeper) if state.names(NAME.0, NAME.1)?.len() < MAX_KEPT => Ok((keeper, None)),
            _ => Err(JournalError::Full),
        }
    }

    /// The place of that name, unless another process is at it.
    fn at(state: &StateDir, name: String) -> Result<Option<Self>, JournalError> {
        let path = state.file(&format!("{name}.lock"));
        let mut options = OpenOptions::new();
        let lock = private(&path, options.write(true).create(true).truncate(false))?;
        match lock.try_lock() {
            // Whoever had it may have removed it before this process got the lock.
            Ok(()) => match File::open(&path) {
                Ok(named) if Inode::of(&named.metadata()?) == Inode::of(&lock.metadata()?) => {
                    Ok(Some(Self { state: state.clone(), name, lock }))
                }
                _ => Ok(None),
            },
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error.into()),
        }
    }

    fn read(&self) -> Result<Option<Sending>, JournalError> {
        let Some(bytes) = self.state.read(&self.name)? else { return Ok(None) };
        Sending::decode(&bytes).map(Some)
    }

    /// Replaces the notes; durable on return.
    pub fn write(&self, sending: &Sending) -> Result<(), JournalError> {
        Ok(self.state.write(&self.name, &sending.encode()?)?)
    }

    /// Removes the notes: the transfer is over.
    pub fn remove(&self) -> Result<(), JournalError> {
        Ok(self.state.remove(&self.name)?)
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        // Whoever waits for the lock of a place without notes finds another.
        if !self.state.file(&self.name).exists() {
            let _ = self.state.remove(&format!("{}.lock", self.name));
        }
        let _ = self.lock.unlock();
    }
}

/// Removes notes whose time is over and that nobody is at.
pub fn clean(state: &StateDir, now: SystemTime) -> Result<(), JournalError> {
    for name in state.names(NAME.0, NAME.1)? {
        let Some(keeper) = Keeper::at(state, name)? else { continue };
        match keeper.read() {
            Ok(Some(sending)) if sending.until > seconds(now) => {}
            Ok(_) => keeper.remove()?,
            Err(JournalError::Damaged) => state.set_aside(&keeper.name),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

impl Sending {
    fn encode(&self) -> Result<Zeroizing<Vec<u8>>, JournalError> {
        let stored = Stored {
            version: VERSION,
            token: self.token,
            place: self.place.clone(),
            kept: StoredSecrets::from(&self.kept),
            paths: self.paths.iter().map(|path| path_bytes(path)).collect(),
            note: self.note.clone(),
            until: self.until,
        };
        let bytes = bincode::encode_to_vec(&stored, bincode::config::standard());
        bytes.map(Zeroizing::new).map_err(|_| JournalError::Full)
    }

    fn decode(bytes: &[u8]) -> Result<Self, JournalError> {
        let config = bincode::config::standard().with_limit::<CLAIM>();
        let stored: Stored = match bincode::decode_from_slice(bytes, config) {
            Ok((stored, read)) if read == bytes.len() => stored,
            _ => return Err(JournalError::Damaged),
        };
        if stored.version != VERSION {
            return Err(JournalError::Damaged);
        }
        Ok(Self {
            token: stored.token,
            place: stored.place.clone(),
            kept: Kept::from(&stored.kept),
            paths: stored.paths.iter().map(|path| path_of(path)).collect(),
            note: stored.note.clone(),
            until: stored.until,
        })
    }
}

fn file_name(paths: &[PathBuf], number: u32) -> String {
    let mut hash = Sha256::new();
    for path in paths {
        let bytes = path_bytes(Path::new(path));
        hash.update((bytes.len() as u64).to_le_bytes());
        hash.update(bytes);
    }
    let digest: [u8; 32] = hash.finalize().into();
    let digest = hex(&digest[..16]);
    format!("{}{digest}-{number}{}", NAME.0, NAME.1)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;
    use crate::journal::secrets::tests::session;

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn sending(paths: &[PathBuf]) -> Sending {
        Sending {
            token: [1; 16],
            place: Place::Embedded("0.0.0.0:41000".to_owned()),
            kept: Kept::first(&session(1)),
            paths: paths.to_vec(),
            note: "as promised".to_owned(),
            until: 1_000,
        }
    }

    #[test]
    fn a_send_of_the_same_paths_finds_its_notes_and_another_does_not() {
        let temp = tempfile::tempdir().unwrap();
        let state = StateDir::at(temp.path()).unwrap();
        let paths = [PathBuf::from("/a"), PathBuf::from("/b/c")];
        let (keeper, none) = Keeper::find(&state, &paths, at(1)).unwrap();
        assert_eq!(none, None);
        keeper.write(&sending(&paths)).unwrap();
        drop(keeper);
        let (keeper, found) = Keeper::find(&state, &paths, at(999)).unwrap();
        assert_eq!(found, Some(sending(&paths)));
        // It is this process's now, so the same paths are sent a second time.
        let (second, none) = Keeper::find(&state, &paths, at(999)).unwrap();
        assert!(none.is_none() && second.name != keeper.name);
        for other in [&paths[..1], &[PathBuf::from("/b/c"), PathBuf::from("/a")]] {
            assert_eq!(Keeper::find(&state, other, at(999)).unwrap().1, None);
        }
        keeper.remove().unwrap();
        drop((keeper, second));
        assert_eq!(Keeper::find(&state, &paths, at(999)).unwrap().1, None);
        assert_eq!(state.names("", "").unwrap(), [""; 0], "nothing is left");
    }

    #[test]
    fn notes_end_with_their_time_and_damaged_ones_are_set_aside() {
        let temp = tempfile::tempdir().unwrap();
        let state = StateDir::at(temp.path()).unwrap();
        let paths = [PathBuf::from("/a")];
        let (keeper, _) = Keeper::find(&state, &paths, at(1)).unwrap();
        keeper.write(&sending(&paths)).unwrap();
        let name = keeper.name.clone();
        clean(&state, at(5_000)).unwrap();
        assert!(state.file(&name).exists(), "a process is at it");
        drop(keeper);
        clean(&state, at(1_000)).unwrap();
        assert!(!state.file(&name).exists());
        state.write(&name, b"\x01nonsense").unwrap();
        assert_eq!(Keeper::find(&state, &paths, at(1)).unwrap().1, None);
        assert_eq!(state.names("", ".damaged").unwrap().len(), 1);
    }
}
