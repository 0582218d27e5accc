//! Limits of a sender's own on how fast it sends (`FC-RATE`): one for the
//! connection, one for each transfer. Integers and the caller's clock only, so
//! that equal runs are equal.

use std::collections::BTreeMap;
use std::num::NonZeroU64;
use std::time::{Duration, Instant};

use crate::ids::TransferId;

/// What may be made up for after a pause or a late wake-up: so much time's worth.
const SLACK: Duration = Duration::from_millis(20);

/// A bucket that is paid after use: a record goes when all before it are paid for.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    bytes_per_second: NonZeroU64,
    /// When all that was sent is paid for.
    paid: Instant,
}

/// How long so many bytes take, rounded up.
fn time_of(bytes: u128, bytes_per_second: NonZeroU64) -> Duration {
    let nanos = bytes.saturating_mul(1_000_000_000).div_ceil(bytes_per_second.get().into());
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

impl Bucket {
    /// What is not paid for yet stays so many bytes at the new rate.
    fn change(before: Option<Self>, bytes_per_second: NonZeroU64, now: Instant) -> Self {
        let owed = before.map_or(0, |bucket| {
            let left = bucket.paid.saturating_duration_since(now).as_nanos();
            left.saturating_mul(bucket.bytes_per_second.get().into()) / 1_000_000_000
        });
        let wait = time_of(owed, bytes_per_second);
        Self { bytes_per_second, paid: now.checked_add(wait).unwrap_or(now) }
    }

    fn pay(&mut self, now: Instant, bytes: usize) {
        let from = now.checked_sub(SLACK).map_or(self.paid, |earliest| self.paid.max(earliest));
        let wait = time_of(bytes as u128, self.bytes_per_second);
        self.paid = from.checked_add(wait).unwrap_or(from);
    }
}

/// All limits of a connection, and when the first that holds data back lets go.
#[derive(Debug, Default)]
pub(super) struct Rates {
    connection: Option<Bucket>,
    transfers: BTreeMap<TransferId, Bucket>,
    wake: Option<Instant>,
}

impl Rates {
    /// Sets or removes the limit of a transfer, or of the connection.
    pub(super) fn set(
        &mut self,
        now: Instant,
        transfer: Option<TransferId>,
        bytes_per_second: Option<NonZeroU64>,
    ) {
        self.wake = None;
        match (transfer, bytes_per_second) {
            (None, rate) => {
                self.connection = rate.map(|rate| Bucket::change(self.connection, rate, now));
            }
            (Some(id), None) => drop(self.transfers.remove(&id)),
            (Some(id), Some(rate)) => {
                let before = self.transfers.get(&id).copied();
                self.transfers.insert(id, Bucket::change(before, rate, now));
            }
        }
    }

    /// The limits that are set: of the connection, and of the transfer.
    pub(super) fn get(&self, transfer: Option<TransferId>) -> Option<u64> {
        let bucket = match transfer {
            None => self.connection.as_ref(),
            Some(id) => self.transfers.get(&id),
        };
        bucket.map(|bucket| bucket.bytes_per_second.get())
    }

    /// Forgets the limits of transfers that are over.
    pub(super) fn retain(&mut self, under_way: impl Fn(&TransferId) -> bool) {
        self.transfers.retain(|id, _| under_way(id));
    }

    /// Whether data of a transfer may go now. If not, the wake-up is set for it.
    pub(super) fn admits(&mut self, id: TransferId, now: Instant) -> bool {
        let paid = [self.connection.as_ref(), self.transfers.get(&id)]
            .into_iter()
            .flatten()
            .map(|bucket| bucket.paid)
            .max();
        let Some(paid) = paid.filter(|paid| *paid > now) else { return true };
        self.wake = Some(self.wake.map_or(paid, |wake| wake.min(paid)));
        false
    }

    /// Counts a record that goes out.
    pub(super) fn pay(&mut self, id: TransferId, now: Instant, bytes: usize) {
        let buckets = [self.connection.as_mut(), self.transfers.get_mut(&id)];
        for bucket in buckets.into_iter().flatten() {
            bucket.pay(now, bytes);
        }
    }

    /// When data that was held back may go.
    pub(super) fn wake(&self) -> Option<Instant> {
        self.wake
    }

    /// Nothing is held back until a record is refused again.
    pub(super) fn clear_wake(&mut self) {
        self.wake = None;
    }
}
