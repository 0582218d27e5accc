//! The transfer layer: offers, their answers, and the bytes that follow.
//!
//! [`Outgoing`](outgoing::Outgoing) is a transfer as its sender sees it,
//! [`Incoming`](incoming::Incoming) as its receiver does. Both are driven by the
//! connection, which owns sealing, channels and timers; what they want done
//! they leave in an [`Outbox`]. Nothing here knows of records or keys, but for
//! the key that signs receipts.

mod credit;
pub(crate) mod incoming;
pub(crate) mod outgoing;
mod pause;
mod receipt;
mod selection;
mod state;
mod statement;

use std::collections::VecDeque;

pub(crate) use self::credit::{ReceiveCredit, SendCredit};
pub use self::state::{TransferEvent, TransferState};

use crate::connection::Event;
use crate::crypto::Secret32;
use crate::error::{Blame, Error, ErrorCode};
use crate::frame::{Cancel, Frame, Receipt};
use crate::ids::{Role, TransferId};
use crate::storage::{StorageError, StorageErrorKind, StorageRequest};

/// What a transfer wants the connection, and through it the caller, to do.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    /// Frames for the control channel, in order.
    pub(crate) control: VecDeque<Frame>,
    /// Requests for the caller's storage, in order.
    pub(crate) storage: VecDeque<StorageRequest>,
    /// News for the caller, in order.
    pub(crate) events: VecDeque<Event>,
}

/// Signs and checks receipts: the session's key and who this side is.
#[derive(Clone, Debug)]
pub(crate) struct ReceiptKey {
    /// The session's receipt key.
    pub(crate) key: Secret32,
    /// This side.
    pub(crate) role: Role,
}

/// How far a transfer is, as this side knows it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Bytes of the selected files, but for those that `streams` counts.
    pub bytes_total: u64,
    /// Selected files whose length is not known yet, and that have not failed.
    /// While there are any, more bytes may move than `bytes_total`.
    pub streams: u32,
    /// Bytes handed to the transport (sender) or verified (receiver).
    pub bytes_moved: u64,
    /// Bytes that are verified and durable at the receiver, those of an earlier
    /// connection included.
    pub bytes_durable: u64,
    /// Bytes that the receiver had since an earlier connection.
    pub bytes_resumed: u64,
    /// Selected files.
    pub files_total: u32,
    /// Files that are done: stored under their final names (receiver), or
    /// durable in all their chunks as the receiver says (sender).
    pub files_done: u32,
    /// Entries that failed.
    pub files_failed: u32,
    /// Bytes of the files that failed, whether or not some of them came, and
    /// that are part of `bytes_total`.
    pub bytes_failed: u64,
    /// Chunks that were sent, or asked for, more than once.
    pub chunks_resent: u64,
}

/// How a transfer ended well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Completion {
    /// Files that arrived.
    pub delivered: u32,
    /// Files that did not.
    pub failed: u32,
    /// Bytes of the files that arrived.
    pub bytes: u64,
    /// The receipt's MAC: the same at both sides, fit to be shown and logged.
    pub receipt: [u8; 32],
}

impl Progress {
    /// Counts an entry that failed. `size` is a file's promised length.
    fn fail(&mut self, size: Option<u64>) {
        self.files_failed = self.files_failed.saturating_add(1);
        self.bytes_failed = self.bytes_failed.saturating_add(size.unwrap_or(0));
    }

    /// Counts a stream that failed. `size` is its length, if FILE_END told it.
    fn fail_stream(&mut self, size: Option<u64>) {
        self.fail(size);
        self.streams = self.streams.saturating_sub(u32::from(size.is_none()));
    }

    /// Takes the length that FILE_END tells of a stream.
    fn end_stream(&mut self, size: u64) {
        self.bytes_total = self.bytes_total.saturating_add(size);
        self.streams = self.streams.saturating_sub(1);
    }
}

impl Completion {
    fn of(receipt: &Receipt, progress: Progress) -> Self {
        Self {
            delivered: receipt.delivered,
            failed: receipt.failed,
            bytes: progress.bytes_total.saturating_sub(progress.bytes_failed),
            receipt: receipt.mac,
        }
    }
}

/// The CANCEL that tells the peer of `error`.
fn cancel_frame(transfer: TransferId, error: &Error) -> Cancel {
    Cancel { transfer, code: error.code.to_wire(), text: wire_text(error) }
}

/// What it is called on the wire that a sender cannot read its source (`TR-FAILED-CODE`).
/// The local text stays here: it may name paths of this machine.
pub(crate) fn source_failure(error: &StorageError) -> Error {
    let code = match error.kind {
        StorageErrorKind::Changed => ErrorCode::SourceChanged,
        _ => ErrorCode::SourceUnreadable,
    };
    Error::new(Blame::Local, code, error.text.clone())
}

/// What a failure of the receiver's storage is called on the wire (`TR-FAILED-CODE`).
/// The local text stays here, as above.
pub(crate) fn storage_failure(error: &StorageError) -> Error {
    let code = match error.kind {
        StorageErrorKind::NoSpace => ErrorCode::NoSpace,
        StorageErrorKind::Changed => ErrorCode::SourceChanged, // RS-STORED-CHECK
        StorageErrorKind::NameConflict => ErrorCode::NameConflict,
        StorageErrorKind::Refused => ErrorCode::PolicyRefused, // TR-POLICY-CONTENT
        StorageErrorKind::WrongLeaf => ErrorCode::HashMismatch,
        StorageErrorKind::Unreadable | StorageErrorKind::Other => ErrorCode::StorageFailed,
    };
    Error::new(Blame::Local, code, error.text.clone())
}

/// What a peer said about a failure, as an error of this side. Its text is
/// untrusted: it is escaped and clipped before anybody sees it (`OV-ERROR-TEXT`).
pub(crate) fn told_by_peer(code: u16, text: &str) -> Error {
    let code = ErrorCode::from_wire(code);
    let blame = match code {
        ErrorCode::Cancelled | ErrorCode::Declined | ErrorCode::OfferExpired => Blame::Circumstance,
        _ => Blame::Peer,
    };
    Error::new(blame, code, crate::escape::reason(text)).told()
}

/// The text that goes to the peer with a code. Only texts of this crate's own
/// leave this side; those of storage and embedders stay (`OV-ERROR-TEXT`).
pub(crate) fn wire_text(error: &Error) -> String {
    if error.blame == Blame::Local { String::new() } else { crate::escape::reason(&error.text) }
}
