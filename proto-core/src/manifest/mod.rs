//! The list of what is offered, in a form in which a million entries fit into
//! memory, and the checks that make it safe to act on
//! (`spec/06-manifest.md#manifests`). What does not live here: the offer around
//! it and the frames that carry its pages, which come in any size (`MF-PAGE-JOIN`).

mod builder;
mod entry;
mod packed;

pub use builder::ManifestBuilder;
pub use entry::{Entry, EntryKind, Timestamp};

use sha2::{Digest, Sha256};

use self::packed::Packed;
use crate::codec::{self, CodecError};
use crate::error::{Error, ErrorCode};
use crate::ids::FileIndex;
use crate::path::PathError;
use crate::tree::Hash;

/// Domain of a manifest's digest (`MF-DIGEST`).
const DIGEST_LABEL: &[u8] = b"passel v1 manifest\0";

/// Longest encoding of one entry, in bytes: every field present and as long as
/// it can be. A page of this many bytes holds at least one entry.
pub const MAX_ENTRY: usize = 3 + crate::limits::MAX_PATH // path
    + 1 // kind
    + 1 + 9 // size
    + 1 // executable
    + 1 + 1 + crate::limits::MAX_MIME // media type
    + 1 + 32 // root
    + 1 + 9 + 5; // time

/// Why a manifest was refused. A builder that returned one is of no more use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// The bytes of a page are not the entries that it claims.
    #[error("a page of the manifest does not decode: {0}")]
    Codec(#[from] CodecError),
    /// A name that must not be written.
    #[error("unsafe name: {0}")]
    Path(#[from] PathError),
    /// `MF-MIME`: a media type that is too long or not printable ASCII.
    #[error("a media type is too long or not printable")]
    Mime,
    /// `MF-ORDER`: a path that does not come after the one before it.
    #[error("entry {} is a duplicate or out of order", .0.0)]
    Order(FileIndex),
    /// `MF-PARENT`: an entry whose directory is not listed before it.
    #[error("the directory of entry {} is not listed", .0.0)]
    Parent(FileIndex),
    /// `MF-FOLD`: two paths that some file systems take for one.
    #[error("the names of entries {} and {} differ only in case", .0.0, .1.0)]
    Fold(FileIndex, FileIndex),
    /// `MF-NOT-EMPTY`: a manifest or a page without an entry.
    #[error("a manifest or a page of it is empty")]
    Empty,
    /// `MF-LIMIT-ENTRIES`
    #[error("the manifest has too many entries")]
    TooManyEntries,
    /// `MF-LIMIT-BYTES`
    #[error("the manifest has too many bytes")]
    TooManyBytes,
}

impl ManifestError {
    /// The registry's code for it (`MF-ERROR-CODES`).
    pub fn code(self) -> ErrorCode {
        match self {
            ManifestError::Codec(CodecError::TooLong)
            | ManifestError::Path(PathError::Long)
            | ManifestError::TooManyEntries
            | ManifestError::TooManyBytes => ErrorCode::LimitExceeded,
            ManifestError::Codec(_) | ManifestError::Mime => ErrorCode::Malformed,
            ManifestError::Path(_) => ErrorCode::UnsafeName,
            ManifestError::Order(_)
            | ManifestError::Parent(_)
            | ManifestError::Fold(..)
            | ManifestError::Empty => ErrorCode::ManifestInvalid,
        }
    }

    /// The failure that it is when the peer's manifest caused it.
    pub fn of_peer(self) -> Error {
        Error::peer(self.code(), self.to_string())
    }
}

/// A whole manifest that has passed every check.
///
/// It keeps the entries in their encoded form, without what one has in common
/// with the one before it, and decodes on demand: about 30 bytes of memory for a
/// file in a directory of many.
#[derive(Clone, PartialEq, Eq)]
pub struct Manifest {
    /// The canonical encodings of all entries.
    packed: Packed,
    files: u32,
    streams: u32,
    total_bytes: u64,
}

/// Some entries in a row as they go over the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// Index of the first entry.
    pub first: u32,
    /// Number of entries; at least 1.
    pub count: u32,
    /// Their encodings, one after the other.
    pub bytes: Vec<u8>,
    /// Whether the manifest ends with this page.
    pub last: bool,
}

impl Manifest {
    /// Number of entries; at least 1.
    #[allow(clippy::len_without_is_empty, reason = "no manifest is empty (MF-NOT-EMPTY)")]
    pub fn len(&self) -> u32 {
        self.packed.len()
    }

    /// The entry at `index`; none if there is no such entry.
    pub fn entry(&self, index: FileIndex) -> Option<Entry> {
        let mut bytes = Vec::new();
        self.packed.from(index.0)?.next(&mut bytes)?;
        Entry::decode_prefix(&bytes).ok().map(|(entry, _)| entry)
    }

    /// What the entry at `index` is, for less than [`Manifest::entry`] costs; none if
    /// there is no such entry.
    pub fn kind(&self, index: FileIndex) -> Option<EntryKind> {
        let mut tail = Vec::new();
        self.packed.from(index.0)?.next_tail(&mut tail)?;
        codec::decode_prefix::<EntryKind>(&tail).ok().map(|(kind, _)| kind)
    }

    /// All entries in the manifest's order.
    pub fn iter(&self) -> impl Iterator<Item = (FileIndex, Entry)> + '_ {
        let (mut cursor, mut bytes) = (self.packed.from(0), Vec::new());
        std::iter::from_fn(move || {
            let cursor = cursor.as_mut()?;
            let index = FileIndex(cursor.index());
            bytes.clear();
            cursor.next(&mut bytes)?;
            Entry::decode_prefix(&bytes).ok().map(|(entry, _)| (index, entry))
        })
    }

    /// Number of entries that are files.
    pub fn files(&self) -> u32 {
        self.files
    }

    /// Number of files whose size is not known.
    pub fn streams(&self) -> u32 {
        self.streams
    }

    /// Number of entries that are directories.
    pub fn directories(&self) -> u32 {
        self.len() - self.files
    }

    /// Sum of the sizes that are known, in bytes; stops at `u64::MAX`.
    pub fn total_bytes(&self) -> u64 {
        self.total_bytes
    }

    /// Length of all entries' encodings together, in bytes.
    pub fn encoded_len(&self) -> usize {
        self.packed.encoded_len
    }

    /// SHA-256 over a label and all entries' encodings (`MF-DIGEST`).
    pub fn digest(&self) -> Hash {
        let mut hasher = Sha256::new().chain_update(DIGEST_LABEL);
        let mut bytes = Vec::new();
        if let Some(mut cursor) = self.packed.from(0) {
            while cursor.next(&mut bytes).is_some() {
                hasher.update(&bytes);
                bytes.clear();
            }
        }
        hasher.finalize().into()
    }

    /// SHA-256 over one entry's encoding: by this a journal knows whether a file
    /// is offered again as it was (`RS-SAME-ENTRY`). None if there is no such
    /// entry.
    pub fn entry_digest(&self, index: FileIndex) -> Option<Hash> {
        let mut bytes = Vec::new();
        self.packed.from(index.0)?.next(&mut bytes)?;
        Some(Sha256::digest(&bytes).into())
    }

    /// As many entries from `first` on as fit into `max_bytes`, but at least
    /// one, which takes up to [`MAX_ENTRY`] bytes. None if there is no entry
    /// `first`.
    pub fn page(&self, first: u32, max_bytes: usize) -> Option<Page> {
        let mut cursor = self.packed.from(first)?;
        let mut bytes = Vec::new();
        cursor.next(&mut bytes)?;
        let mut count = 1;
        loop {
            let fits = bytes.len();
            if cursor.next(&mut bytes).is_none() {
                return Some(Page { first, count, bytes, last: true });
            }
            if bytes.len() > max_bytes {
                bytes.truncate(fits);
                return Some(Page { first, count, bytes, last: false });
            }
            count += 1;
        }
    }
}

impl std::fmt::Debug for Manifest {
    /// Only the counts: a manifest may have a million names.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Manifest")
            .field("files", &self.files())
            .field("directories", &self.directories())
            .field("total_bytes", &self.total_bytes)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
