//! What outlives the process, so that an interrupted transfer can go on: the
//! receiver's journals ([`received`]), the sender's notes ([`sent`]), the
//! directory that both lie in ([`place`]), and the secrets by which two peers know
//! each other again ([`secrets`]). What does not live here: what is durable of a
//! file, which the protocol decides, and how to connect again.
//!
//! Everything lies in files of mode 0600 in a directory of mode 0700. A file that
//! cannot be read is set aside with a warning and never ends the program.

pub mod place;
pub mod received;
pub mod secrets;
pub mod sent;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

pub use self::place::StateDir;

/// How long an interrupted transfer is kept that nobody takes up again (`RS-FORGET`).
pub const MAX_AGE: Duration = Duration::from_secs(30 * 24 * 3_600);
/// How long a completed transfer is remembered, for a sender whose receipt was
/// lost (`RS-COMPLETE-AGAIN`).
pub const COMPLETED_AGE: Duration = Duration::from_secs(24 * 3_600);
/// Most transfers that are kept at one time; further ones are not.
pub const MAX_KEPT: usize = 256;

/// Why something could not be kept, found or read. The texts hold no secret.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The file system.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// Another process of this program has it open.
    #[error("another passel is at it")]
    Busy,
    /// It is there, and not what was written.
    #[error("the record is damaged")]
    Damaged,
    /// No room, by this program's own rules.
    #[error("too much is kept already")]
    Full,
    /// The database, in another way.
    #[error("{0}")]
    Database(String),
}

/// Now, in seconds since 1970.
pub fn now() -> u64 {
    seconds(SystemTime::now())
}

/// Seconds since 1970, the resolution in which ages are kept.
fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// Whether `age` has passed since `then`. A clock that went back says no.
fn is_older(then: u64, now: SystemTime, age: Duration) -> bool {
    seconds(now).saturating_sub(then) > age.as_secs()
}
