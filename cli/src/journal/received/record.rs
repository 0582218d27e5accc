//! What a journal says of a transfer and of a file, and how that is written down.

use std::path::{Path, PathBuf};

use bincode::{Decode, Encode};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use crate::journal::JournalError;
use crate::journal::place::MAX_WHOLE;
use crate::journal::secrets::{Kept, Stored as StoredSecrets};

/// Most bytes that a record may claim while it is read.
const CLAIM: usize = MAX_WHOLE;
/// Longest state of one file, in bytes.
const MAX_STATE: usize = 1 << 20;
/// The layout of records. Others are of another program, and not read.
const VERSION: u8 = 2;

/// A transfer that was accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transfer {
    /// What names it.
    pub token: [u8; 16],
    /// The rendezvous at which the two meet again, as a URL.
    pub server: String,
    /// By what they know each other.
    pub kept: Kept,
    /// Where the files go: absolute.
    pub out: PathBuf,
    /// SHA-256 of the invitation, so that it finds the transfer again.
    pub invitation: [u8; 32],
    /// The sender's note.
    pub note: String,
    /// The entries that were accepted as first and count; all if absent.
    pub selection: Option<Vec<(u32, u32)>>,
    /// Digest of the manifest.
    pub manifest: [u8; 32],
    /// Names of the top level that were chosen, each after the name in the
    /// manifest: those of all directories, and of files whose own was taken.
    pub tops: Vec<(String, String)>,
    /// One line for a list: the name of the first entry.
    pub title: String,
    /// How many files there are.
    pub files: u32,
    /// How many bytes they have together.
    pub bytes: u64,
    /// When it was accepted, in seconds since 1970.
    pub created: u64,
    /// When it was complete, in seconds since 1970.
    pub completed: Option<u64>,
}

/// [`Transfer`] as it is stored.
#[derive(Encode, Decode)]
struct Stored {
    version: u8,
    token: [u8; 16],
    server: String,
    kept: StoredSecrets,
    out: Vec<u8>,
    invitation: [u8; 32],
    note: String,
    selection: Option<Vec<(u32, u32)>>,
    manifest: [u8; 32],
    tops: Vec<(String, String)>,
    title: String,
    files: u32,
    bytes: u64,
    created: u64,
    completed: Option<u64>,
}

impl Transfer {
    pub(super) fn encode(&self) -> Result<Zeroizing<Vec<u8>>, JournalError> {
        let stored = Stored {
            version: VERSION,
            token: self.token,
            server: self.server.clone(),
            kept: StoredSecrets::from(&self.kept),
            out: path_bytes(&self.out),
            invitation: self.invitation,
            note: self.note.clone(),
            selection: self.selection.clone(),
            manifest: self.manifest,
            tops: self.tops.clone(),
            title: self.title.clone(),
            files: self.files,
            bytes: self.bytes,
            created: self.created,
            completed: self.completed,
        };
        let mut bytes = encode(&stored).map(Zeroizing::new)?;
        let check = Sha256::digest(&bytes);
        bytes.extend_from_slice(&check);
        if bytes.len() > MAX_WHOLE { Err(JournalError::Full) } else { Ok(bytes) }
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, JournalError> {
        let (bytes, check) = bytes.split_last_chunk::<32>().ok_or(JournalError::Damaged)?;
        if Sha256::digest(bytes)[..] != check[..] {
            return Err(JournalError::Damaged);
        }
        let stored: Stored = decode(bytes)?;
        if stored.version != VERSION {
            return Err(JournalError::Damaged);
        }
        Ok(Self {
            token: stored.token,
            server: stored.server,
            kept: Kept::from(&stored.kept),
            out: path_of(&stored.out),
            invitation: stored.invitation,
            note: stored.note,
            selection: stored.selection,
            manifest: stored.manifest,
            tops: stored.tops,
            title: stored.title,
            files: stored.files,
            bytes: stored.bytes,
            created: stored.created,
            completed: stored.completed,
        })
    }
}

/// What tells one file from another that has the same name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Inode {
    device: u64,
    number: u64,
}

impl Inode {
    /// That of an open file, by its metadata. Where the system tells none, all are
    /// the same.
    pub fn of(data: &std::fs::Metadata) -> Self {
        #[cfg(unix)]
        {
            use std::os::unix::fs::MetadataExt;
            Self { device: data.dev(), number: data.ino() }
        }
        #[cfg(not(unix))]
        {
            let _ = data;
            Self { device: 0, number: 0 }
        }
    }

    /// That of what `data` describes.
    pub fn of_cap(data: &cap_std::fs::Metadata) -> Self {
        #[cfg(unix)]
        {
            use cap_std::fs::MetadataExt;
            Self { device: data.dev(), number: data.ino() }
        }
        #[cfg(not(unix))]
        {
            let _ = data;
            Self { device: 0, number: 0 }
        }
    }
}

/// What is known of one file.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum FileRecord {
    /// It is under way.
    Partial {
        /// What the protocol wants to be given back.
        state: Vec<u8>,
        /// The file in which its bytes lie.
        inode: Inode,
    },
    /// It has its final name.
    Stored {
        /// Its root.
        root: [u8; 32],
        /// Its length in bytes.
        size: u64,
        /// Its path below the output directory.
        name: String,
        /// The file itself.
        inode: Inode,
    },
}

impl FileRecord {
    pub(super) fn encode(&self) -> Result<Vec<u8>, JournalError> {
        if matches!(self, Self::Partial { state, .. } if state.len() > MAX_STATE) {
            return Err(JournalError::Full);
        }
        encode(self)
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, JournalError> {
        decode(bytes)
    }
}

fn encode<T: Encode>(value: &T) -> Result<Vec<u8>, JournalError> {
    // Nothing here has a value that cannot be written.
    bincode::encode_to_vec(value, bincode::config::standard()).map_err(|_| JournalError::Damaged)
}

fn decode<T: Decode<()>>(bytes: &[u8]) -> Result<T, JournalError> {
    let config = bincode::config::standard().with_limit::<CLAIM>();
    match bincode::decode_from_slice(bytes, config) {
        Ok((value, read)) if read == bytes.len() => Ok(value),
        _ => Err(JournalError::Damaged),
    }
}

/// A path as bytes, whatever is in it.
pub(in super::super) fn path_bytes(path: &Path) -> Vec<u8> {
    #[cfg(unix)]
    return std::os::unix::ffi::OsStrExt::as_bytes(path.as_os_str()).to_vec();
    #[cfg(not(unix))]
    return path.to_string_lossy().into_owned().into_bytes();
}

/// The path of [`path_bytes`].
pub(in super::super) fn path_of(bytes: &[u8]) -> PathBuf {
    #[cfg(unix)]
    return PathBuf::from(<std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(bytes));
    #[cfg(not(unix))]
    return PathBuf::from(String::from_utf8_lossy(bytes).into_owned());
}
