//! How fast it goes and how long it will take, over the last seconds.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// How far back a rate looks.
const SPAN: Duration = Duration::from_secs(5);

/// Measures a rate from readings of a counter.
#[derive(Debug, Default)]
pub(super) struct Meter {
    readings: VecDeque<(Instant, u64)>,
}

impl Meter {
    /// Takes a reading.
    pub(super) fn read(&mut self, now: Instant, bytes: u64) {
        self.readings.push_back((now, bytes));
        while self.readings.len() > 2
            && self.readings.get(1).is_some_and(|(at, _)| now.duration_since(*at) >= SPAN)
        {
            self.readings.pop_front();
        }
    }

    /// Bytes a second over the last seconds; 0 before there are two readings.
    pub(super) fn rate(&self) -> u64 {
        let (Some((from, before)), Some((to, after))) =
            (self.readings.front(), self.readings.back())
        else {
            return 0;
        };
        crate::ui::format::average(after.saturating_sub(*before), to.duration_since(*from))
    }

    /// Estimate of the time that `bytes` more will take.
    pub(super) fn left(&self, bytes: u64) -> Option<Duration> {
        match self.rate() {
            0 => None,
            rate => Some(Duration::from_secs(bytes.div_ceil(rate))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_readings_do_not_count() {
        let start = crate::clock::now();
        let mut meter = Meter::default();
        assert_eq!((meter.rate(), meter.left(10)), (0, None));
        for second in 0..=10 {
            let bytes = if second < 5 { 0 } else { (second - 5) * 1000 };
            meter.read(start + Duration::from_secs(second), bytes);
        }
        assert_eq!(meter.rate(), 1000);
        assert_eq!(meter.left(1500), Some(Duration::from_secs(2)));
    }
}
