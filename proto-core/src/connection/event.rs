//! What a connection tells its caller.

use crate::error::Error;
use crate::frame::Message;
use crate::handshake::Sas;
use crate::ids::{Channel, FileIndex, TransferId};
use crate::suite::Suite;
use crate::transfer::Completion;

/// A piece of news, in the order in which things happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The handshake is confirmed on this side: the peer is who it should be.
    Established {
        /// How the peers knew each other: a mode of the registry's `auth` table.
        auth: u16,
        /// The cipher suite.
        suite: Suite,
    },
    /// Comes right after [`Established`](Self::Established) where the peers had no
    /// secret: two people compare what both sides show, and
    /// [`confirm_sas`](super::Connection::confirm_sas) is told the outcome before
    /// anything else can happen.
    Sas {
        /// What is to be shown.
        sas: Sas,
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
        /// Whether the transfer may go on over another connection: at the
        /// receiver, what is durable is kept (`RS-KEEP`); at the sender, it may be.
        kept: bool,
    },
    /// The peer has stored the secret of [`Connection::resumption`](super::Connection::resumption).
    /// Ask [`is_resumption_settled`](super::Connection::is_resumption_settled) whether
    /// the one before it may be forgotten.
    ResumptionStored,
    /// The peer's embedder said something (`FC-MESSAGE`).
    Message {
        /// Over which channel: `reliable` or `unreliable`.
        channel: Channel,
        /// What it said.
        message: Message,
    },
    /// The transport at the other end says something of a further lane; the first
    /// signal of a lane that this side did not open begins it.
    LaneSignal {
        /// The lane.
        lane: u16,
        /// What it says.
        payload: Vec<u8>,
    },
    /// A further lane is over for both sides; its transport can be closed.
    LaneEnded {
        /// The lane.
        lane: u16,
    },
    /// Messages of this side were handed to the transport, in order.
    MessagesSent {
        /// The channel.
        channel: Channel,
        /// How many.
        count: u32,
    },
    /// A message was refused, or on `unreliable` the oldest one dropped, because
    /// too many wait. It is told once until [`Drained`](Self::Drained).
    Backpressure {
        /// The channel whose queue is full.
        channel: Channel,
    },
    /// There is room again in a queue that was full: at most the low mark waits.
    Drained {
        /// The channel.
        channel: Channel,
    },
    /// The connection is over. Nothing follows.
    Closed {
        /// Why, or nothing when the work was done.
        error: Option<Error>,
    },
}
