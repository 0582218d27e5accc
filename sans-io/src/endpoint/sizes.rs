//! How large the datagrams of a lane are (`TB-DATAGRAM`). Lanes begin with a size
//! that every path takes; a further lane that this side opens may try the next
//! larger one, and what it delivers is the proof, as in RFC 8899. A size is the
//! stack's for the life of a lane, so that what is proved counts for later lanes.

use std::time::{Duration, Instant};

use crate::lane::MAX_DATAGRAM;

/// Sizes above the first that are tried, in bytes of UDP payload: what Ethernet
/// takes with IPv6, and the most that the stack makes. It fills the handshake's
/// datagrams to the last byte, those with data to some 40 bytes less.
const LADDER: [usize; 2] = [1_452, MAX_DATAGRAM];
/// Bytes whose delivery proves a size: several datagrams.
const PROOF: u64 = 16 << 10;
/// How long a lane that tries a size may take to connect and to deliver something,
/// beside some round trips. One lost datagram takes SCTP a second.
const TRIAL_CONNECT: Duration = Duration::from_secs(3);
const TRIAL_SILENCE: Duration = Duration::from_secs(1);
const TRIAL_TRIPS: u32 = 16;
/// How long other lanes wait for the one that tries, and the longest round trip with
/// which they do: one lane does for a near path meanwhile.
const HOLD: Duration = Duration::from_millis(300);
const NEAR: Duration = Duration::from_millis(20);

/// What is known of the sizes that the path takes.
#[derive(Debug)]
pub(super) struct Sizes {
    first: usize,
    proven: usize,
    /// Nothing above this is tried any more.
    top: usize,
    trial: Option<Trial>,
}

/// A lane that tries a size.
#[derive(Clone, Copy, Debug)]
struct Trial {
    lane: u16,
    size: usize,
    since: Instant,
}

impl Sizes {
    /// `first` is what every path takes.
    pub(super) fn new(first: usize) -> Self {
        Self { first, proven: first, top: MAX_DATAGRAM.max(first), trial: None }
    }

    /// The size for a lane that this side opens: a larger one than is proven, if no
    /// other lane tries one just now.
    pub(super) fn next(&mut self, now: Instant, lane: u16) -> usize {
        let larger = LADDER.into_iter().find(|size| *size > self.proven && *size <= self.top);
        match larger {
            Some(size) if self.trial.is_none() => {
                self.trial = Some(Trial { lane, size, since: now });
                size
            }
            _ => self.proven,
        }
    }

    /// Whether other lanes are to wait for the one that tries.
    pub(super) fn holds(&self, now: Instant, trip: Duration) -> bool {
        self.trial.is_some_and(|trial| trip < NEAR && now < trial.since + HOLD)
    }

    /// Whether a lane tries a size.
    pub(super) fn is_trial(&self, lane: u16) -> bool {
        self.trial.is_some_and(|trial| trial.lane == lane)
    }

    /// How long a lane that tries a size may take to connect and to deliver
    /// something; `None` for one that does not.
    pub(super) fn patience(&self, lane: u16, trip: Duration) -> Option<(Duration, Duration)> {
        let trips = trip.saturating_mul(TRIAL_TRIPS);
        self.is_trial(lane).then_some((TRIAL_CONNECT + trips, TRIAL_SILENCE + trips))
    }

    /// A lane has delivered so many bytes since its beginning. Whether that is the
    /// proof of what it tries.
    pub(super) fn delivered(&mut self, lane: u16, bytes: u64) -> bool {
        let tried = self.trial.filter(|trial| trial.lane == lane && bytes >= PROOF);
        if let Some(trial) = tried {
            self.proven = trial.size;
            self.trial = None;
        }
        tried.is_some()
    }

    /// A lane whose datagrams were this large, if it ever came to that, is over. It may be
    /// the path that takes no such datagrams, now or any more.
    pub(super) fn lost(&mut self, lane: u16, size: Option<usize>) {
        if self.trial.is_some_and(|trial| trial.lane == lane) {
            self.trial = None;
            self.top = size.map_or(self.top, |_| self.proven);
        } else if size.is_some_and(|size| size > self.first) {
            self.proven = self.first;
            self.top = self.first;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRIP: Duration = Duration::from_millis(1);

    #[allow(clippy::disallowed_methods)] // only differences from it matter
    fn epoch() -> Instant {
        Instant::now()
    }

    // TB-DATAGRAM
    #[test]
    fn one_lane_tries_and_what_it_delivers_counts_for_the_next() {
        let mut sizes = Sizes::new(1_200);
        assert_eq!(
            [sizes.next(epoch(), 2), sizes.next(epoch(), 4)],
            [1_452, 1_200],
            "one at a time"
        );
        assert!(sizes.patience(2, Duration::ZERO).is_some());
        assert!(sizes.patience(4, Duration::ZERO).is_none());
        sizes.delivered(4, PROOF);
        sizes.delivered(2, PROOF - 1);
        let now = epoch();
        assert!(sizes.holds(now, TRIP) && !sizes.holds(now, NEAR));
        assert!(!sizes.holds(now + HOLD, TRIP));
        sizes.delivered(2, PROOF);
        assert_eq!([sizes.next(epoch(), 6), sizes.next(epoch(), 8)], [1_500, 1_452]);
        sizes.delivered(6, PROOF);
        assert_eq!([sizes.next(epoch(), 10), sizes.next(epoch(), 12)], [1_500, 1_500]);
        assert!(!sizes.holds(epoch(), TRIP));
    }

    // TB-DATAGRAM
    #[test]
    fn a_size_that_fails_is_not_tried_again() {
        let mut sizes = Sizes::new(1_200);
        sizes.next(epoch(), 2);
        sizes.delivered(2, PROOF);
        assert_eq!(sizes.next(epoch(), 4), 1_500);
        sizes.lost(4, Some(1_500));
        assert_eq!([sizes.next(epoch(), 6), sizes.next(epoch(), 8)], [1_452, 1_452]);
        // The path is another one now, or something else is wrong.
        sizes.lost(6, Some(1_452));
        assert_eq!([sizes.next(epoch(), 10), sizes.next(epoch(), 12)], [1_200, 1_200]);
    }

    #[test]
    fn a_lane_of_the_first_size_says_nothing_of_sizes() {
        let mut sizes = Sizes::new(1_200);
        sizes.next(epoch(), 2);
        sizes.lost(4, Some(1_200));
        sizes.delivered(2, PROOF);
        assert_eq!(sizes.next(epoch(), 6), 1_500);
    }
}
