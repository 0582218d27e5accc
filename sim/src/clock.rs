//! A host's clock, which may run faster or slower than virtual time. Nothing of
//! the protocol compares two clocks; that it goes on when they part is what
//! plans with such clocks show.

use serde::{Deserialize, Serialize};

use crate::rng::Draw;

/// Fastest and slowest, in millionths.
const MOST: i32 = 500_000;

/// How a clock runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Clock {
    /// How much it gains on virtual time, in millionths; it loses if this is negative.
    ppm: i32,
}

impl Clock {
    /// One that gains `ppm` millionths; at most half of the time, either way.
    pub fn gaining(ppm: i32) -> Self {
        Self { ppm }
    }

    /// Whether it shows virtual time.
    pub fn is_true(&self) -> bool {
        self.ppm == 0
    }

    /// Nanoseconds that it has counted by a virtual time, which is in microseconds.
    pub fn shows(self, at_us: u64) -> u64 {
        let rate = i128::from(1_000_000 + self.ppm.clamp(-MOST, MOST));
        u64::try_from(i128::from(at_us) * rate / 1000).unwrap_or(u64::MAX)
    }

    /// The first virtual time, in microseconds, by which it has counted so many
    /// nanoseconds.
    pub fn until(self, nanos: u64) -> u64 {
        let rate = i128::from(1_000_000 + self.ppm.clamp(-MOST, MOST));
        // No less than `nanos` after the division in `shows`.
        let at = (i128::from(nanos) * 1000 + rate - 1) / rate;
        u64::try_from(at).unwrap_or(u64::MAX)
    }

    /// As plans have them: mostly true, at times as bad as a cheap crystal, at times
    /// as only a virtual machine's is.
    pub(crate) fn drawn(draw: &mut Draw) -> Self {
        let most = draw.pick(&[0, 0, 100, 1000, 20_000]);
        let ppm = i32::try_from(draw.between(0, most)).unwrap_or(0);
        Self { ppm: if draw.chance(500) { ppm } else { -ppm } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_gains_and_loses_and_a_timer_is_never_early() {
        assert_eq!(Clock::default().shows(7), 7000);
        assert_eq!(Clock::gaining(100).shows(1_000_000), 1_000_100_000);
        assert_eq!(Clock::gaining(-100).shows(1_000_000), 999_900_000);
        for ppm in [0, 1, -1, 77, -100, 20_000, -20_000, MOST, i32::MIN, i32::MAX] {
            let clock = Clock::gaining(ppm);
            for nanos in [0, 1, 999, 1000, 1001, 29_999_999_999, 86_400_000_000_000] {
                let at = clock.until(nanos);
                assert!(clock.shows(at) >= nanos, "{ppm} {nanos}");
                assert!(at == 0 || clock.shows(at - 1) < nanos, "{ppm} {nanos}: later than needed");
            }
        }
    }
}
