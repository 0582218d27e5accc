//! When a connection wants to be woken, and why.

use std::time::Instant;

use crate::ids::TransferId;

/// What a wake-up is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TimerKind {
    /// The handshake's time is over.
    Handshake,
    /// A PING is due.
    KeepAlive,
    /// The peer has been silent for too long.
    Idle,
    /// An offer's time is over.
    OfferExpiry(TransferId),
    /// Written chunks are to be made durable.
    Sync(TransferId),
    /// Data that a rate limit held back may go: poll for records.
    Rate,
    /// A CLOSE could not be sent in time.
    Linger,
    /// New keys are due.
    KeyUpdate,
    /// Keys of the epoch before are to be wiped.
    KeyGrace,
    /// The peer did not finish a key update in time.
    KeyUpdateLimit,
}

/// The first of several timers; of two at the same time, the first in order of
/// kind, so that equal runs are equal.
pub(super) fn earliest(
    timers: impl Iterator<Item = (Instant, TimerKind)>,
) -> Option<(Instant, TimerKind)> {
    timers.min()
}
