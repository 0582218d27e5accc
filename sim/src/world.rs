//! Virtual time: what will happen, ordered by when and, at the same moment, by
//! what was planned first. What happens is the tier's business.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::clock::Clock;

/// A queue of happenings on (virtual time, sequence). Times are microseconds
/// since the world began.
#[derive(Debug)]
pub struct World<T> {
    epoch: Instant,
    now: u64,
    sequence: u64,
    queue: BTreeMap<(u64, u64), T>,
}

impl<T> Default for World<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> World<T> {
    /// A world at time 0 in which nothing will happen yet.
    pub fn new() -> Self {
        // `Instant` has no other beginning; only differences from it are used.
        #[expect(clippy::disallowed_methods, reason = "the one moment that a world begins at")]
        let epoch = Instant::now();
        Self { epoch, now: 0, sequence: 0, queue: BTreeMap::new() }
    }

    /// The virtual time, in microseconds.
    pub fn now(&self) -> u64 {
        self.now
    }

    /// The virtual time as the state machines want it, by a clock that is true.
    pub fn instant(&self) -> Instant {
        self.instant_by(Clock::default())
    }

    /// The same by the clock of a host.
    pub fn instant_by(&self, clock: Clock) -> Instant {
        self.epoch + Duration::from_nanos(clock.shows(self.now))
    }

    /// Microseconds from the world's beginning to `instant`, by a clock that is true.
    pub fn micros(&self, instant: Instant) -> u64 {
        self.micros_by(Clock::default(), instant)
    }

    /// Microseconds of virtual time from the world's beginning until this clock
    /// shows `instant`, rounded up, so that a timer is never early.
    pub fn micros_by(&self, clock: Clock, instant: Instant) -> u64 {
        let nanos = instant.saturating_duration_since(self.epoch).as_nanos();
        clock.until(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    /// Plans `what` for `at`, or for now if that is past.
    pub fn schedule(&mut self, at: u64, what: T) {
        self.queue.insert((at.max(self.now), self.sequence), what);
        self.sequence += 1;
    }

    /// Moves time on to the next happening and hands it out.
    pub fn advance(&mut self) -> Option<T> {
        let ((at, _), what) = self.queue.pop_first()?;
        self.now = at;
        Some(what)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn things_happen_in_order_of_time_and_then_of_planning() {
        let mut world = World::new();
        for (at, what) in [(5, 'c'), (1, 'a'), (5, 'd'), (2, 'b')] {
            world.schedule(at, what);
        }
        let order: String = std::iter::from_fn(|| world.advance()).collect();
        assert_eq!(order, "abcd");
        assert_eq!(world.now(), 5);
        world.schedule(1, 'e');
        assert_eq!(world.advance(), Some('e'));
        assert_eq!(world.now(), 5, "time never goes back");
    }
}
