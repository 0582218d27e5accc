//! The sliding window that lets each counter of an unordered channel through
//! once (`RL-WINDOW`). Ordered channels need no window: [`super::Opener`] expects
//! the very next counter there.

use crate::limits::REPLAY_WINDOW_RECORDS;

const WORDS: usize = REPLAY_WINDOW_RECORDS / 64;

/// Remembers the last [`REPLAY_WINDOW_RECORDS`] counters, 512 bytes.
pub(crate) struct Window {
    /// One more than the highest counter marked; 0 before the first.
    next: u64,
    /// Bit `counter % REPLAY_WINDOW_RECORDS` for every counter in the window.
    seen: Box<[u64; WORDS]>,
}

impl Window {
    pub(crate) fn new() -> Self {
        Self { next: 0, seen: Box::new([0; WORDS]) }
    }

    /// Whether `counter` is neither seen nor too old to tell. Changes nothing,
    /// as the record has not been authenticated yet (`RL-STATE-AFTER-TAG`).
    pub(crate) fn is_fresh(&self, counter: u64) -> bool {
        if counter >= self.next {
            return true;
        }
        let in_window = self.next - counter <= REPLAY_WINDOW_RECORDS as u64;
        let (word, bit) = place(counter);
        in_window && self.seen[word] & bit == 0
    }

    /// Marks the counter of an authenticated record, which must be fresh.
    pub(crate) fn mark(&mut self, counter: u64) {
        if counter >= self.next {
            if counter - self.next >= REPLAY_WINDOW_RECORDS as u64 {
                self.seen.fill(0);
            } else {
                // The places of counters passed over held older ones.
                for passed in self.next..counter {
                    let (word, bit) = place(passed);
                    self.seen[word] &= !bit;
                }
            }
            self.next = counter + 1;
        }
        let (word, bit) = place(counter);
        self.seen[word] |= bit;
    }
}

#[allow(clippy::cast_possible_truncation)] // reduced below the window first
fn place(counter: u64) -> (usize, u64) {
    let index = counter % REPLAY_WINDOW_RECORDS as u64;
    ((index / 64) as usize, 1 << (index % 64))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    const WIDTH: u64 = REPLAY_WINDOW_RECORDS as u64;

    #[test]
    fn the_oldest_counter_of_the_window_is_let_through_and_the_one_before_is_not() {
        let mut window = Window::new();
        window.mark(WIDTH);
        assert!(window.is_fresh(1));
        assert!(!window.is_fresh(0));
        assert!(!window.is_fresh(WIDTH));
    }

    // RL-WINDOW: against a set that remembers everything.
    proptest! {
        #[test]
        fn the_window_agrees_with_a_model(
            steps in prop::collection::vec((0u64..3, 0u64..10_000), 1..400)
        ) {
            let mut window = Window::new();
            let mut seen = BTreeSet::new();
            let mut highest: u64 = 0;
            for (kind, amount) in steps {
                let counter = match kind {
                    0 => highest + amount % 3,
                    1 => highest.saturating_sub(amount % (WIDTH + 100)),
                    _ => highest + amount,
                };
                let fresh = !seen.contains(&counter)
                    && (seen.is_empty() || highest < counter + WIDTH);
                prop_assert_eq!(window.is_fresh(counter), fresh);
                if fresh {
                    window.mark(counter);
                    seen.insert(counter);
                    highest = highest.max(counter);
                }
            }
        }
    }
}
