//! What a connection tells its caller.

use crate::error::Error;
use crate::ids::{FileIndex, TransferId};
use crate::transfer::Completion;

/// A piece of news, in the order in which things happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The handshake is confirmed on this side: the peer is who it should be.
    Established {
        /// How the peers knew each other: a mode of the registry's `auth` table.
        auth: u16,
        /// The cipher suite, from the registry.
        suite: u16,
    },
    /// The peer offers files, and the whole list is here to be looked at.
    Offered {
        /// The new transfer.
        transfer: TransferId,
    },
    /// An offer was accepted, by this side or by the peer.
    Accepted {
        /// The transfer.
        transfer: TransferId,
        /// Files that were selected.
        files: u32,
        /// Bytes that they have together.
        bytes: u64,
    },
    /// A side paused the transfer.
    Paused {
        /// The transfer.
        transfer: TransferId,
        /// Whether it was the peer.
        by_peer: bool,
    },
    /// A side ended its pause. Data flows once neither side has one.
    Resumed {
        /// The transfer.
        transfer: TransferId,
        /// Whether it was the peer.
        by_peer: bool,
    },
    /// A file is done. At the receiver it has its final name; at the sender all
    /// its chunks are acknowledged as durable.
    FileDone {
        /// The transfer.
        transfer: TransferId,
        /// The file.
        file: FileIndex,
    },
    /// An entry failed; the others go on.
    FileFailed {
        /// The transfer.
        transfer: TransferId,
        /// The entry.
        file: FileIndex,
        /// Why, and through whose fault.
        error: Error,
    },
    /// The transfer is complete, and both sides agree on it.
    Completed {
        /// The transfer.
        transfer: TransferId,
        /// What arrived.
        completion: Completion,
    },
    /// The transfer ended without being completed.
    Ended {
        /// The transfer.
        transfer: TransferId,
        /// Why: rejected, cancelled or failed.
        error: Error,
    },
    /// The connection is over. Nothing follows.
    Closed {
        /// Why, or nothing when the work was done.
        error: Option<Error>,
    },
}
