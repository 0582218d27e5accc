//! Opening: form, epoch, order or replay, tag, in this order; nothing is
//! remembered of a record whose tag is wrong, and no bytes make it panic
//! (`RL-NO-PANIC`).

use super::cipher::Cipher;
use super::replay::Window;
use super::{MAX_RECORDS, RECORD_SEALED, RecordKeys};
use crate::error::{Error, ErrorCode};
use crate::ids::Channel;
use crate::limits::{MAX_RECORD, RECORD_HEADER, RECORD_TAG};

/// Why a record was not opened. All are the doing of the peer, of somebody
/// between, or of a transport that broke its promise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// Not the form of a sealed record.
    #[error("a record is malformed")]
    Malformed,
    /// Sealed in an epoch whose keys are not held here.
    #[error("a record is of another epoch")]
    WrongEpoch,
    /// On an ordered channel: not the very next counter.
    #[error("a record is out of order")]
    OutOfOrder,
    /// On an unordered channel: seen before, or older than the window.
    #[error("a record came twice, or too late")]
    Replay,
    /// The tag does not match: altered, or sealed under another key.
    #[error("a record is not authentic")]
    BadTag,
}

impl OpenError {
    /// Whether the connection must end if this happens on `channel` (`RL-FATAL`).
    /// Replays on unordered channels, and whatever is refused on `unreliable`,
    /// are dropped instead (`RL-REPLAY-DROP`, `RL-UNRELIABLE-DROP`).
    pub fn is_fatal(self, channel: Channel) -> bool {
        channel != Channel::Unreliable && (channel.is_ordered() || self != OpenError::Replay)
    }
}

impl From<OpenError> for Error {
    fn from(error: OpenError) -> Self {
        Error::peer(ErrorCode::RecordRejected, error.to_string())
    }
}

enum Order {
    /// The one counter that may come next.
    Exact(u64),
    Window(Window),
}

/// The keys of an epoch, ready for use.
struct Epoch {
    keys: RecordKeys,
    cipher: Cipher,
}

impl Epoch {
    fn new(keys: RecordKeys) -> Self {
        Self { cipher: keys.cipher(), keys }
    }
}

/// Opens the records of one direction, lane and channel, of at most two epochs.
/// Order and window go over both, as the counter does (`RL-NONCE-ONCE`).
pub struct Opener {
    newest: Epoch,
    /// The epoch before, while records of it may still come.
    older: Option<Epoch>,
    channel: Channel,
    order: Order,
    replays: u64,
}

impl Opener {
    /// An opener that has seen nothing yet.
    pub fn new(keys: RecordKeys) -> Self {
        let order =
            if keys.channel.is_ordered() { Order::Exact(0) } else { Order::Window(Window::new()) };
        Self { channel: keys.channel, newest: Epoch::new(keys), older: None, order, replays: 0 }
    }

    /// Opens records of a further epoch from now on, and still those of the one
    /// that was the newest; one that is older than that is forgotten.
    pub fn extend(&mut self, keys: RecordKeys) {
        self.older = Some(std::mem::replace(&mut self.newest, Epoch::new(keys)));
    }

    /// Wipes the keys of all epochs but the newest (`RL-UPDATE-GRACE`).
    pub fn forget(&mut self) {
        self.older = None;
    }

    /// How many replays were dropped, authentic or not.
    pub fn replays(&self) -> u64 {
        self.replays
    }

    /// Decrypts `record` in place and gives the plaintext within it, which is
    /// never empty. On an error `record` holds nothing of use and no state has
    /// changed but the count of replays.
    pub fn open<'a>(&mut self, record: &'a mut [u8]) -> Result<&'a mut [u8], OpenError> {
        if record.len() > MAX_RECORD || record.len() <= RECORD_HEADER + RECORD_TAG {
            return Err(OpenError::Malformed); // RL-HEADER, RL-NOT-EMPTY
        }
        let (header, rest) =
            record.split_first_chunk_mut::<RECORD_HEADER>().ok_or(OpenError::Malformed)?;
        let [kind, reserved, epoch_low, epoch_high, counter @ ..] = *header;
        let counter = u64::from_le_bytes(counter);
        if kind != RECORD_SEALED || reserved != 0 || counter >= MAX_RECORDS {
            return Err(OpenError::Malformed); // RL-HEADER, RL-COUNTER-LIMIT
        }
        let number = u16::from_le_bytes([epoch_low, epoch_high]);
        let mut held = std::iter::once(&self.newest).chain(&self.older);
        let epoch = held.find(|epoch| epoch.keys.epoch == number).ok_or(OpenError::WrongEpoch)?; // RL-EPOCH
        match &self.order {
            Order::Exact(next) if counter != *next => return Err(OpenError::OutOfOrder), // RL-ORDERED
            Order::Window(window) if !window.is_fresh(counter) => {
                // RL-WINDOW
                self.replays = self.replays.saturating_add(1);
                return Err(OpenError::Replay);
            }
            Order::Exact(_) | Order::Window(_) => {}
        }
        // RL-AUTHENTIC
        epoch
            .cipher
            .open(epoch.keys.nonce(counter), header, rest)
            .map_err(|_| OpenError::BadTag)?;
        // RL-STATE-AFTER-TAG
        match &mut self.order {
            Order::Exact(next) => *next += 1,
            Order::Window(window) => window.mark(counter),
        }
        if self.channel.is_ordered() && number == self.newest.keys.epoch {
            self.older = None; // RL-UPDATE-ORDERED
        }
        let (plaintext, _) =
            rest.split_last_chunk_mut::<RECORD_TAG>().ok_or(OpenError::Malformed)?;
        Ok(plaintext)
    }
}

impl std::fmt::Debug for Opener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Opener").field("newest", &self.newest.keys).finish_non_exhaustive()
    }
}
