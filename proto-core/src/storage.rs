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
//! * A file without a size in the manifest is a stream: it is read from its
//!   beginning to its end, in order and once, and a read of it is answered with
//!   fewer bytes than were asked for only if the stream ended behind them, and
//!   then with none. It may be silent for long: reads of other files may be
//!   answered before it is.
//! * Buffers go round: a reply brings back the `Vec` that the request carried,
//!   with its capacity, so that the steady state allocates nothing.
//! * Nothing becomes visible under its final name before
//!   [`StorageRequest::Commit`] (`TR-COMMIT-VISIBLE`).
//! * Writes that were answered before a [`StorageRequest::Sync`] was carried
//!   out survive a loss of power once that is answered (`TR-ACK-DURABLE`).
//!
//! # The journal
//!
//! A receiver that wants to go on after a lost connection or a crash keeps a
//! journal: for each transfer, by its [`Token`](crate::ids::Token), and in it for
//! each file, by the digest of its entry
//! ([`Manifest::entry_digest`](crate::manifest::Manifest::entry_digest)), the
//! newest [`JournalEntry::state`], or that the file was committed and with which
//! root. It is written with [`StorageRequest::Sync`], after the data that it
//! speaks of (`RS-JOURNAL`), and given back as [`Have`] when the transfer is
//! offered again ([`Connection::accept_having`]). An executor that keeps none
//! ignores entries, and answers `Check` with an error.
//!
//! What was written since the newest journal entry is lost with the process, unless
//! the executor notes it too: a note of each [`StorageRequest::Write`] that need not
//! be durable, since nothing is believed of it before the bytes were read back and
//! hashed ([`HaveState::Written`]). A note is needed until two more syncs are done:
//! a sync covers the writes that were answered before it was asked for.
//!
//! [`Connection::accept_having`]: crate::connection::Connection::accept_having

use crate::ids::{FileIndex, TransferId};

/// Something that the caller shall do with files. See the module's contract.
#[derive(Debug)]
pub enum StorageRequest {
    /// Read `len` bytes at `offset` into `buf`, which is empty: at a sender from
    /// the source, at a receiver from the file's temporary place.
    Read {
        /// The transfer.
        transfer: TransferId,
        /// The entry, which is a file.
        file: FileIndex,
        /// Where to begin, in bytes.
        offset: u64,
        /// How many bytes to read: at most one chunk, never 0 unless `last`. Of
        /// a stream, one whole chunk, or as much as there is to its end.
        len: u32,
        /// Sender: whether this is the last read of the file, wherever it lies,
        /// which nobody knows of a stream. The executor then also checks that the
        /// file has the size and the time with which it was offered, and answers
        /// [`StorageErrorKind::Changed`] if it has not.
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
        /// The chunk's leaf, which `data` has. With
        /// [`Config::storage_checks_leaves`] that is still to be seen: the executor
        /// compares it with [`leaf_hash`](crate::tree::leaf_hash) of `data`, and if
        /// they differ writes nothing and answers [`StorageErrorKind::WrongLeaf`].
        ///
        /// [`Config::storage_checks_leaves`]: crate::connection::Config::storage_checks_leaves
        leaf: [u8; 32],
    },
    /// Receiver: make everything durable that was written and committed so far,
    /// and then, as one, the journal's entries. Of a file named in `journal` that
    /// is also what an earlier connection or process wrote.
    Sync {
        /// The transfer.
        transfer: TransferId,
        /// News for the journal; each replaces what it held of that file.
        journal: Vec<JournalEntry>,
    },
    /// Receiver: give an entry its final name, times and mode. A file that was
    /// never written is created empty; a directory is created if it is missing.
    /// The journal notes a file as stored with this size and root, durably with
    /// the next [`StorageRequest::Sync`] at the latest; a crash in between must
    /// not leave a file that has its final name and is not known to have it.
    Commit {
        /// The transfer.
        transfer: TransferId,
        /// The entry.
        file: FileIndex,
        /// The file's exact length; 0 for a directory.
        size: u64,
        /// The file's root; absent for a directory.
        root: Option<[u8; 32]>,
    },
    /// Receiver: was this file, which was named in [`Have`] as stored, stored
    /// with this size and root? [`StorageErrorKind::Changed`] if not.
    Check {
        /// The transfer.
        transfer: TransferId,
        /// The entry, which is a file.
        file: FileIndex,
        /// The length that the sender states.
        size: u64,
        /// The root that the sender states.
        root: [u8; 32],
    },
    /// Receiver: the transfer is over on this connection. Keep its journal; if
    /// it is not `completed`, keep what was written too, for the transfer may go
    /// on later (`RS-KEEP`, `RS-COMPLETE-AGAIN`). The executor may forget the rest.
    Release {
        /// The transfer.
        transfer: TransferId,
        /// Whether every file was settled and the receipt issued.
        completed: bool,
    },
    /// Receiver: remove what was written and not committed, and what the journal
    /// holds, of one file or of the whole transfer. Either side: with `file`
    /// absent the transfer is over and the executor may forget it.
    Discard {
        /// The transfer.
        transfer: TransferId,
        /// The entry, or all of the transfer.
        file: Option<FileIndex>,
    },
}

impl StorageRequest {
    /// The transfer that this is of.
    pub fn transfer(&self) -> TransferId {
        match self {
            StorageRequest::Read { transfer, .. }
            | StorageRequest::Write { transfer, .. }
            | StorageRequest::Sync { transfer, .. }
            | StorageRequest::Commit { transfer, .. }
            | StorageRequest::Check { transfer, .. }
            | StorageRequest::Release { transfer, .. }
            | StorageRequest::Discard { transfer, .. } => *transfer,
        }
    }
}

/// What the journal shall hold of a file that is under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JournalEntry {
    /// The entry, which is a file.
    pub file: FileIndex,
    /// What the core wants to be given back; of no meaning to the executor. A
    /// few hundred bytes as a rule, at most some hundred KiB.
    pub state: Vec<u8>,
}

/// What a journal held of a file whose entry is the same as then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Have {
    /// The entry in the new manifest, which is a file.
    pub file: FileIndex,
    /// What there is of it.
    pub state: HaveState,
}

/// How much of a file is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HaveState {
    /// The newest [`JournalEntry::state`]; the temporary place is still there.
    Partial(Vec<u8>),
    /// The same, or an empty state if there was none, and chunks that were written
    /// and are not part of it, each of which was read from the temporary place and
    /// has its leaf (`RS-WRITTEN`). The next [`StorageRequest::Sync`] must make
    /// them durable too, although nothing wrote to them since.
    Written {
        /// The newest [`JournalEntry::state`], or nothing.
        state: Vec<u8>,
        /// Chunks in any order; what is no chunk of the file is ignored.
        chunks: Vec<WrittenChunk>,
    },
    /// It was committed.
    Stored,
}

/// A chunk that an earlier [`StorageRequest::Write`] left in the temporary place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WrittenChunk {
    /// Where it begins in the file, in bytes.
    pub offset: u64,
    /// Its length in bytes, at most that of a chunk.
    pub len: u32,
    /// The leaf with which it was written, and which it still has.
    pub leaf: [u8; 32],
}

/// The outcome of a [`StorageRequest`].
#[derive(Debug)]
pub enum StorageReply {
    /// Answers [`StorageRequest::Read`]. On success `buf` holds exactly the
    /// bytes that were asked for; fewer are an error of the kind `Changed`, but
    /// for the end of a stream.
    Read {
        /// The request's transfer.
        transfer: TransferId,
        /// The request's entry.
        file: FileIndex,
        /// The request's offset.
        offset: u64,
        /// The request's buffer.
        buf: Vec<u8>,
        /// [`leaf_hash`](crate::tree::leaf_hash) of what was read, if the executor
        /// computed it, on a thread of its own; the core does it otherwise.
        leaf: Option<[u8; 32]>,
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
    /// Answers [`StorageRequest::Check`].
    Checked {
        /// The request's transfer.
        transfer: TransferId,
        /// The request's entry.
        file: FileIndex,
        /// Whether it is as was asked.
        result: Result<(), StorageError>,
    },
    /// Answers [`StorageRequest::Release`].
    Released {
        /// The request's transfer.
        transfer: TransferId,
        /// How it went. A failure is only shown: nothing depends on it.
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
            | StorageReply::Checked { transfer, .. }
            | StorageReply::Released { transfer, .. }
            | StorageReply::Discarded { transfer, .. } => *transfer,
        }
    }
}

/// What kind of failure it was; decides the code that the peer is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StorageErrorKind {
    /// The disk, or a quota, is full.
    NoSpace,
    /// The source, or what was stored, is gone or may not be read.
    Unreadable,
    /// The source is not what it was when it was offered, or what was stored is not what
    /// it was then.
    Changed,
    /// The final name is taken, or became a link.
    NameConflict,
    /// A rule of the receiver's refuses what is in the file.
    Refused,
    /// A chunk that was to be written does not have its leaf; it was not written.
    WrongLeaf,
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
