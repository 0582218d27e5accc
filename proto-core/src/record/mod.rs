//! The record layer: every message on every channel is sealed under a key of its
//! direction, lane, channel and epoch (`spec/05-records.md`). What lies inside a
//! record is the frames' business, when it is sent the connection's, and so is when
//! one epoch follows the other.

mod cipher;
mod epoch;
mod keyring;
mod open;
mod replay;
mod seal;

use zeroize::{Zeroize, ZeroizeOnDrop};

pub use epoch::next_secret;
pub use keyring::Keyring;
pub use open::{OpenError, Opener};
pub use seal::Sealer;

use crate::crypto::schedule::expand_label_into;
use crate::crypto::{Secret32, nonce};
use crate::ids::{Channel, Role};
use crate::limits::RECORD_HEADER;
use crate::suite::Suite;
use cipher::Cipher;

/// First byte of a sealed record (registry, `record`).
pub const RECORD_SEALED: u8 = 1;
/// Most records of a channel; the counter stays below it (`RL-COUNTER-LIMIT`).
pub const MAX_RECORDS: u64 = 1 << 48;

/// Key and IV of one direction, lane, channel and epoch; wiped when dropped.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct RecordKeys {
    key: [u8; 32],
    iv: [u8; 12],
    #[zeroize(skip)]
    suite: Suite,
    #[zeroize(skip)]
    epoch: u16,
    #[zeroize(skip)]
    channel: Channel,
}

impl RecordKeys {
    /// Derives the keys for what `sender` sends over `channel` of `lane` in
    /// `epoch`, from that epoch's traffic secret (`RL-KEYS`), for the cipher of `suite`.
    pub fn derive(
        suite: Suite,
        epoch_secret: &Secret32,
        epoch: u16,
        sender: Role,
        lane: u16,
        channel: Channel,
    ) -> Self {
        let [lane_low, lane_high] = lane.to_le_bytes();
        let [epoch_low, epoch_high] = epoch.to_le_bytes();
        let sender = match sender {
            Role::Initiator => 0,
            Role::Responder => 1,
        };
        let context = [sender, channel.id(), lane_low, lane_high, epoch_low, epoch_high];
        let mut keys = Self { key: [0; 32], iv: [0; 12], suite, epoch, channel };
        expand_label_into(epoch_secret, "key", &context, &mut keys.key);
        expand_label_into(epoch_secret, "iv", &context, &mut keys.iv);
        keys
    }

    /// Key and IV, for comparing with test vectors. They must not be logged.
    pub fn expose(&self) -> (&[u8; 32], &[u8; 12]) {
        (&self.key, &self.iv)
    }

    fn cipher(&self) -> Cipher {
        Cipher::new(self.suite, &self.key)
    }

    fn nonce(&self, counter: u64) -> [u8; 12] {
        nonce(&self.iv, counter)
    }
}

impl std::fmt::Debug for RecordKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RecordKeys")
            .field("epoch", &self.epoch)
            .field("channel", &self.channel)
            .finish_non_exhaustive()
    }
}

/// The header of a sealed record (`RL-HEADER`).
fn header(epoch: u16, counter: u64) -> [u8; RECORD_HEADER] {
    let mut header = [0; RECORD_HEADER];
    header[0] = RECORD_SEALED;
    header[2..4].copy_from_slice(&epoch.to_le_bytes());
    header[4..].copy_from_slice(&counter.to_le_bytes());
    header
}
