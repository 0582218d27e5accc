//! Files as requests and replies: storage is I/O, so it is the caller's, as
//! sockets are.
//!
//! The core never opens a file. It hands out [`StorageRequest`]s, which name a
//! file by its transfer and its place in the manifest, and is told the outcome
//! with a [`StorageReply`]. This is what lets a simulator fill a disk or tear a
//! write, and a browser use its own file system.
//!
//! # Contract of an executor
//!
//! * Requests of one transfer are carried out in the order in which they were
//!   handed out, or as if they had been. Requests of different transfers are
//!   independent.
//! * Every request is answered by exactly one reply of the same kind.
//! * Buffers go round: a reply brings back the `Vec` that the request carried,
//!   with its capacity, so that the steady state allocates nothing.
//! * Nothing becomes visible under its final name before
//!   [`StorageRequest::Commit`] (`TR-COMMIT-VISIBLE`).
//! * Writes that were answered before a [`StorageRequest::Sync`] was carried
//!   out survive a loss of power once that is answered (`TR-ACK-DURABLE`).

use crate::ids::{FileIndex, TransferId};

/// Something that the caller shall do with files. See the module's contract.
#[derive(Debug)]
pub enum StorageRequest {
    /// Sender: read `len` bytes at `offset` into `buf`, which is empty.
    Read {
        /// The transfer.
        transfer: TransferId,
        /// The entry, which is a file.
        file: FileIndex,
        /// Where to begin, in bytes.
        offset: u64,
        /// How many bytes to read: at most one chunk, never 0 unless `last`.
        len: u32,
        /// Whether this is the file's last read. The executor then also checks
        /// that the file ends here and was not modified since it was offered,
        /// and answers [`StorageErrorKind::Changed`] if it was.
        last: bool,
        /// An empty buffer to read into.
        buf: Vec<u8>,
    },
    /// Receiver: write `data` at `offset` of the file's temporary place, which
    /// is created by its first write.
    Write {
        /// The transfer.
        transfer: TransferId,
        /// The entry, which is a file.
        file: FileIndex,
        /// Where to begin, in bytes.
        offset: u64,
        /// What to write: one whole chunk.
        data: Vec<u8>,
    },
    /// Receiver: make everything durable that was written and committed so far.
    Sync {
        /// The transfer.
        transfer: TransferId,
    },
    /// Receiver: give an entry its final name, times and mode. A file that was
    /// never written is created empty; a directory is created if it is missing.
    Commit {
        /// The transfer.
        transfer: TransferId,
        /// The entry.
        file: FileIndex,
        /// The file's exact length; 0 for a directory.
        size: u64,
    },
    /// Receiver: remove what was written and not committed, of one file or of
    /// the whole transfer. Either side: with `file` absent the transfer is over
    /// and the executor may forget it.
    Discard {
        /// The transfer.
        transfer: TransferId,
        /// The entry, or all of the transfer.
        file: Option<FileIndex>,
    },
}

/// The outcome of a [`StorageRequest`].
#[derive(Debug)]
pub enum StorageReply {
    /// Answers [`StorageRequest::Read`]. On success `buf` holds exactly the
    /// bytes that were asked for; fewer are an error of the kind `Changed`.
    Read {
        /// The request's transfer.
        transfer: TransferId,
        /// The request's entry.
        file: FileIndex,
        /// The request's offset.
        offset: u64,
        /// The request's buffer.
        buf: Vec<u8>,
        /// How it went.
        result: Result<(), StorageError>,
    },
    /// Answers [`StorageRequest::Write`].
    Written {
        /// The request's transfer.
        transfer: TransferId,
        /// The request's entry.
        file: FileIndex,
        /// The request's offset.
        offset: u64,
        /// The request's buffer, of the same length; its content no longer matters.
        buf: Vec<u8>,
        /// How it went.
        result: Result<(), StorageError>,
    },
    /// Answers [`StorageRequest::Sync`].
    Synced {
        /// The request's transfer.
        transfer: TransferId,
        /// How it went.
        result: Result<(), StorageError>,
    },
    /// Answers [`StorageRequest::Commit`].
    Committed {
        /// The request's transfer.
        transfer: TransferId,
        /// The request's entry.
        file: FileIndex,
        /// How it went.
        result: Result<(), StorageError>,
    },
    /// Answers [`StorageRequest::Discard`].
    Discarded {
        /// The request's transfer.
        transfer: TransferId,
        /// How it went. A failure is only shown: nothing depends on it.
        result: Result<(), StorageError>,
    },
}

impl StorageReply {
    /// The transfer whose request this answers.
    pub fn transfer(&self) -> TransferId {
        match self {
            StorageReply::Read { transfer, .. }
            | StorageReply::Written { transfer, .. }
            | StorageReply::Synced { transfer, .. }
            | StorageReply::Committed { transfer, .. }
            | StorageReply::Discarded { transfer, .. } => *transfer,
        }
    }
}

/// What kind of failure it was; decides the code that the peer is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StorageErrorKind {
    /// The disk, or a quota, is full.
    NoSpace,
    /// The source is gone or may not be read.
    Unreadable,
    /// The source is not what it was when it was offered.
    Changed,
    /// The final name is taken, or became a link.
    NameConflict,
    /// Anything else.
    Other,
}

/// A failure of the caller's storage.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct StorageError {
    /// What kind of failure it was.
    pub kind: StorageErrorKind,
    /// One sentence for this side's user. It may name local paths and so never
    /// goes to the peer.
    pub text: String,
}
