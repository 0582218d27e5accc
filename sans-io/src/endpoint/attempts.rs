//! When further lanes may be opened again after some that came to nothing
//! (`LN-PATIENCE`). Where no second path is let through, each attempt costs sockets
//! and mappings of translators, of which lane 0 needs one. How many lanes there shall
//! be is decided in `growth`.

use std::time::{Duration, Instant};

/// The wait after the first attempt that came to nothing. It doubles with each one.
const FIRST_WAIT: Duration = Duration::from_secs(2);
/// The longest wait.
const LONGEST_WAIT: Duration = Duration::from_secs(300);
/// Doublings up to it.
const MAX_DOUBLINGS: u32 = 8;

/// What came of the lanes that this side opened.
#[derive(Debug, Default)]
pub(super) struct Attempts {
    in_vain: u32,
    not_before: Option<Instant>,
}

impl Attempts {
    /// Whether a lane may be opened.
    pub(super) fn may_open(&self, now: Instant) -> bool {
        self.not_before.is_none_or(|at| at <= now)
    }

    /// A lane is over that never delivered anything. Lanes of one attempt end side by
    /// side and count as one.
    pub(super) fn came_to_nothing(&mut self, now: Instant) {
        if self.may_open(now) {
            let wait = FIRST_WAIT * (1 << self.in_vain.min(MAX_DOUBLINGS));
            self.in_vain = self.in_vain.saturating_add(1);
            self.not_before = Some(now + wait.min(LONGEST_WAIT));
        }
    }

    /// A lane delivered something.
    pub(super) fn delivered(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // LN-PATIENCE
    #[test]
    fn waits_double_up_to_the_longest_and_end_with_success() {
        #[allow(clippy::disallowed_methods)] // only differences from it matter
        let mut now = Instant::now();
        let mut attempts = Attempts::default();
        let mut waits = Vec::new();
        for _ in 0..12 {
            assert!(attempts.may_open(now));
            attempts.came_to_nothing(now);
            attempts.came_to_nothing(now); // side by side
            let begun = now;
            while !attempts.may_open(now) {
                now += Duration::from_secs(1);
            }
            waits.push((now - begun).as_secs());
        }
        assert_eq!(waits, [2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300, 300]);
        attempts.came_to_nothing(now);
        attempts.delivered();
        assert!(attempts.may_open(now));
        attempts.came_to_nothing(now);
        assert!(attempts.may_open(now + FIRST_WAIT));
    }
}
