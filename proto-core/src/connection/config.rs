//! What a connection is told at its beginning.

use std::time::Duration;

use crate::error::Error;
use crate::frame::sizes_allowed;
use crate::handshake::{Auth, HandshakeConfig, TransportBinding};
use crate::limits::{self, timers};
use crate::suite::{self, Suite};

/// How long a connection waits for things. Defaults are the registry's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timers {
    /// For the handshake, from the first channel open to confirmation.
    pub handshake: Duration,
    /// Silence of this side after which a PING goes out.
    pub keep_alive: Duration,
    /// Silence of the peer after which the connection is given up.
    pub idle: Duration,
    /// The same, while the caller says that the path to the peer works
    /// ([`handle_path_alive`](super::Connection::handle_path_alive)). Less than `idle`
    /// counts as `idle`.
    pub idle_limit: Duration,
    /// For an offer to be answered.
    pub offer_expiry: Duration,
    /// From new keys to the next ones: more than nothing, and at most
    /// [`KEY_UPDATE`](timers::KEY_UPDATE).
    pub key_update: Duration,
    /// How long keys of the epoch before are kept for records that come late: at
    /// most [`KEY_GRACE`](timers::KEY_GRACE).
    pub key_grace: Duration,
}

impl Default for Timers {
    fn default() -> Self {
        Self {
            handshake: timers::HANDSHAKE,
            keep_alive: timers::KEEP_ALIVE,
            idle: timers::IDLE,
            idle_limit: timers::IDLE_LIMIT,
            offer_expiry: timers::OFFER_EXPIRY,
            key_update: timers::KEY_UPDATE,
            key_grace: timers::KEY_GRACE,
        }
    }
}

/// What a connection needs to know before its first message.
#[derive(Clone, Debug)]
pub struct Config {
    /// How the peers know each other.
    pub auth: Auth,
    /// What ties the handshake to the transport below, such as both DTLS
    /// fingerprints.
    pub binding: TransportBinding,
    /// Cipher suites that this side offers or chooses from, the best first. One of
    /// them is [`Suite::ChaCha20Poly1305`] (`HS-SUITE-MUST`).
    pub suites: Vec<Suite>,
    /// Chunk size of this side's offers, as a power of two: 14 to 20.
    pub chunk_log2: u8,
    /// Piece size of this side's offers, as a power of two: 10 to 15.
    pub piece_log2: u8,
    /// Most bytes that this side takes of a file whose size its offer does not
    /// tell; it gives a longer one up (`TR-STREAM-LIMIT`).
    pub max_stream_bytes: u64,
    /// Bytes of records that this side sends under the same keys before it asks
    /// for new ones: 1 to [`KEY_UPDATE_BYTES`](limits::KEY_UPDATE_BYTES).
    pub key_update_bytes: u64,
    /// The same for the number of records: 1 to
    /// [`KEY_UPDATE_RECORDS`](limits::KEY_UPDATE_RECORDS).
    pub key_update_records: u64,
    /// Whether storage compares each chunk with its leaf before it writes it, on a
    /// thread of its own, as [`StorageRequest::Write`] says; the core does it otherwise.
    /// Whoever sets this and does not compare stores what nobody has verified.
    ///
    /// [`StorageRequest::Write`]: crate::storage::StorageRequest::Write
    pub storage_checks_leaves: bool,
    /// Lanes that this side takes, lane 0 among them: 1 to
    /// [`MAX_LANES_COUNT`](limits::MAX_LANES_COUNT). With 1, the peer is told of none.
    pub lanes: u16,
    /// Times to wait.
    pub timers: Timers,
}

impl Config {
    /// Defaults for everything but who the peer is.
    pub fn new(auth: Auth, binding: TransportBinding) -> Self {
        Self {
            auth,
            binding,
            suites: Suite::preference(false),
            chunk_log2: log2(limits::DEFAULT_CHUNK),
            piece_log2: log2(limits::DEFAULT_PIECE),
            // No file system has longer files.
            max_stream_bytes: i64::MAX.unsigned_abs(),
            key_update_bytes: limits::KEY_UPDATE_BYTES as u64,
            key_update_records: limits::KEY_UPDATE_RECORDS as u64,
            storage_checks_leaves: false,
            lanes: 1,
            timers: Timers::default(),
        }
    }

    pub(super) fn check(&self) -> Result<(), Error> {
        suite::check(&self.suites)?;
        if !sizes_allowed(self.chunk_log2, self.piece_log2) {
            return Err(Error::misuse("chunk and piece sizes are outside their limits"));
        }
        if !(1..=limits::MAX_LANES_COUNT).contains(&usize::from(self.lanes)) {
            return Err(Error::misuse("the number of lanes is outside its limits"));
        }
        // RL-UPDATE-DUE: sooner than the registry says, and never later.
        let Timers { key_update, key_grace, .. } = self.timers;
        let times = !key_update.is_zero()
            && key_update <= timers::KEY_UPDATE
            && key_grace <= timers::KEY_GRACE;
        let amounts = (1..=limits::KEY_UPDATE_BYTES as u64).contains(&self.key_update_bytes)
            && (1..=limits::KEY_UPDATE_RECORDS as u64).contains(&self.key_update_records);
        if times && amounts {
            Ok(())
        } else {
            Err(Error::misuse("the thresholds of key updates are outside their limits"))
        }
    }

    pub(super) fn handshake(&self) -> HandshakeConfig {
        let mut config = HandshakeConfig::new(self.auth.clone(), self.binding.clone());
        config.suites.clone_from(&self.suites);
        config.extensions.extend(super::lanes::offer(self.lanes));
        config
    }
}

/// The exponent of a power of two.
const fn log2(size: usize) -> u8 {
    // No size of this protocol has more than 64 bits.
    #[allow(clippy::cast_possible_truncation)]
    let exponent = size.trailing_zeros() as u8;
    exponent
}
