//! The registry's limits and timers as constants (`spec/registry.toml`,
//! compared with it by `tests/registry.rs`). Sizes are bytes unless a name ends
//! in `COUNT` or `RECORDS`; times are durations.

use std::time::Duration;

/// Longest record, header and tag included; every transport must carry this much.
pub const MAX_RECORD: usize = 65_536;
/// Length of a sealed record's header.
pub const RECORD_HEADER: usize = 12;
/// Length of the authentication tag.
pub const RECORD_TAG: usize = 16;
/// Longest body of one frame.
pub const MAX_FRAME_BODY: usize = 49_152;
/// Longest handshake message.
pub const MAX_HELLO: usize = 8_192;
/// Most extensions in one hello.
pub const MAX_EXTENSIONS_COUNT: usize = 32;
/// Longest body of one extension.
pub const MAX_EXTENSION_BODY: usize = 1_024;
/// Longest free-form note of an offer, in bytes of UTF-8.
pub const MAX_NOTE: usize = 1_024;
/// Longest reason text of any frame, in bytes of UTF-8.
pub const MAX_REASON_TEXT: usize = 512;
/// Smallest chunk size.
pub const MIN_CHUNK: usize = 16_384;
/// Chunk size that a sender takes when nothing else is asked for.
pub const DEFAULT_CHUNK: usize = 65_536;
/// Largest chunk size.
pub const MAX_CHUNK: usize = 1_048_576;
/// Piece size that a sender takes when nothing else is asked for.
pub const DEFAULT_PIECE: usize = 16_384;
/// Smallest piece size.
pub const MIN_PIECE: usize = 1_024;
/// Most pieces that a chunk may be sent in.
pub const MAX_PIECES_PER_CHUNK_COUNT: usize = 64;
/// Most bytes of a transfer, in whole chunks, that may be partly sent at one time.
pub const MAX_OPEN_BYTES: usize = 4_194_304;
/// Most files of a transfer that a receiver may have begun and not settled.
pub const MAX_OPEN_FILES_COUNT: usize = 8_192;
/// Most separate runs in which the chunks of a file that are there may lie.
pub const MAX_CHUNK_RUNS_COUNT: usize = 4_096;
/// Most runs of chunks that one HAVE names.
pub const MAX_HAVE_RANGES_COUNT: usize = 1_024;
/// Most runs of chunks that all HAVEs for one offer name.
pub const MAX_CLAIMED_RANGES_COUNT: usize = 65_536;
/// Most leaf hashes that are asked for at once.
pub const MAX_LEAVES_COUNT: usize = 1_024;
/// Most chunks of a file that may be asked for again.
pub const MAX_NACKED_CHUNKS_COUNT: usize = 1_024;
/// How often one chunk is sent at most: once, and three times more after a NACK.
pub const MAX_CHUNK_SENDS_COUNT: usize = 4;
/// Transfers at once on one connection, both directions together.
pub const MAX_TRANSFERS_COUNT: usize = 5;
/// Most runs of acknowledged chunks that a file may have at one time.
pub const MAX_ACK_GAPS_COUNT: usize = 8_192;
/// Most entries of one manifest.
pub const MAX_ENTRIES_COUNT: usize = 1_000_000;
/// Most bytes of one manifest, over all its pages.
pub const MAX_MANIFEST_BYTES: usize = 134_217_728;
/// Longest text or bytes of one MESSAGE.
pub const MAX_MESSAGE: usize = 32_768;
/// Bytes of messages for `reliable` that a sender lets wait at most.
pub const MESSAGES_HIGH: usize = 16_777_216;
/// Bytes of waiting messages down to which a full queue drains before it takes more.
pub const MESSAGES_LOW: usize = 1_048_576;
/// Bytes of messages for `unreliable` that a sender lets wait at most.
pub const MESSAGES_UNRELIABLE: usize = 262_144;
/// Messages that a sender lets wait at most, for each of the two channels.
pub const MAX_MESSAGES_COUNT: usize = 16_384;
/// Longest path, in bytes of UTF-8.
pub const MAX_PATH: usize = 1_024;
/// Longest component of a path, in bytes of UTF-8.
pub const MAX_PATH_COMPONENT: usize = 255;
/// Most components of a path.
pub const MAX_PATH_DEPTH_COUNT: usize = 64;
/// Longest media type of an entry.
pub const MAX_MIME: usize = 127;
/// Credit that a FILE_END costs, so that empty files are not free.
pub const FILE_END_COST: usize = 1_024;
/// Credit of a connection, over all its transfers, that a receiver keeps granted.
pub const CONNECTION_CREDIT: usize = 8_388_608;
/// Credit of a transfer that a receiver keeps granted.
pub const TRANSFER_CREDIT: usize = 4_194_304;
/// Width of the replay window on unordered channels.
pub const REPLAY_WINDOW_RECORDS: usize = 4_096;
/// Bytes of records under the same keys after which new ones are asked for.
pub const KEY_UPDATE_BYTES: usize = 1_073_741_824;
/// Records under the same keys after which new ones are asked for.
pub const KEY_UPDATE_RECORDS: usize = 16_777_216;
/// Longest sealed signaling blob.
pub const MAX_SIGNAL_BLOB: usize = 16_384;
/// Longest payload of a LANE_SIGNAL.
pub const MAX_LANE_SIGNAL: usize = 16_128;
/// Most lanes that a side may say it takes, lane 0 among them.
pub const MAX_LANES_COUNT: usize = 32;
/// Most candidates that a peer may name for one lane.
pub const MAX_CANDIDATES_COUNT: usize = 64;

/// Timers of the registry's `timers` table.
pub mod timers {
    use super::Duration;

    /// Time for the handshake, from the first channel open to confirmation.
    pub const HANDSHAKE: Duration = Duration::from_millis(60_000);
    /// Silence after which a PING goes out.
    pub const KEEP_ALIVE: Duration = Duration::from_millis(10_000);
    /// Silence of the peer after which the connection is given up.
    pub const IDLE: Duration = Duration::from_millis(30_000);
    /// The same, while the path to the peer shows that it works.
    pub const IDLE_LIMIT: Duration = Duration::from_millis(120_000);
    /// Time for an offer to be answered.
    pub const OFFER_EXPIRY: Duration = Duration::from_millis(3_600_000);
    /// Longest time that written chunks wait before they are made durable and acknowledged.
    pub const SYNC_DELAY: Duration = Duration::from_millis(200);
    /// Time under the same keys after which new ones are asked for.
    pub const KEY_UPDATE: Duration = Duration::from_millis(300_000);
    /// Time for a key update, from its first frame to the first record under the new keys.
    pub const KEY_UPDATE_LIMIT: Duration = Duration::from_millis(600_000);
    /// Time without a record of the epoch before, after which its keys are wiped.
    pub const KEY_GRACE: Duration = Duration::from_millis(120_000);
    /// Longest time that keys of the epoch before are kept beside new ones.
    pub const KEY_GRACE_LIMIT: Duration = Duration::from_millis(300_000);
    /// Time that a closing side waits for its last records to leave.
    pub const CLOSE_LINGER: Duration = Duration::from_millis(2_000);
}
