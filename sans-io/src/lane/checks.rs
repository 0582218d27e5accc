//! Which connectivity checks were answered. The stack tells now and then how many were,
//! on the pair in use; what follows from that for the path lives here. The checks
//! themselves are the stack's.

use std::time::{Duration, Instant};

use super::output::Path;

/// What the stack said of the pair in use, and what was not told yet of it.
#[derive(Debug, Default)]
pub(super) struct Checks {
    said: Option<Said>,
    round_trip: Option<Duration>,
    alive: Option<Instant>,
}

#[derive(Clone, Copy, Debug)]
struct Said {
    path: Path,
    answers: u64,
    /// When so many answers were told first.
    at: Instant,
    /// Whether they show that the path works: not before they are told again, and not
    /// if they may have come before the path was taken.
    is_news: bool,
}

impl Checks {
    /// The stack says that so many checks were answered on the pair in use. As it gives up
    /// one pair for another, it may name the path of the old one and the answers of the
    /// new one; without any, it says 0.
    pub(super) fn on_stats(
        &mut self,
        now: Instant,
        path: Path,
        (answers, round_trip): (u64, Option<Duration>),
    ) {
        if answers == 0 {
            return;
        }
        let mut is_news = true;
        if let Some(said) = self.said {
            let is_same = said.path == path && answers >= said.answers;
            if is_same && said.is_news {
                self.alive = Some(said.at);
            }
            if is_same && answers == said.answers {
                self.said = Some(Said { is_news: false, ..said });
                return;
            }
            is_news = is_same;
        }
        self.round_trip = round_trip;
        self.said = Some(Said { path, answers, at: now, is_news });
    }

    /// The round trip of the latest check that was answered, if it was not told yet.
    pub(super) fn poll_round_trip(&mut self) -> Option<Duration> {
        self.round_trip.take()
    }

    /// When a check was answered, if that was not told yet.
    pub(super) fn poll_alive(&mut self) -> Option<Instant> {
        self.alive.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(port: u16) -> Path {
        Path { local: ([192, 0, 2, 1], port).into(), remote: ([192, 0, 2, 2], 7).into() }
    }

    /// Second by second: the port and the answers that are told, and the second of which
    /// becomes known that a check was answered in it.
    fn expect(told: &[(u16, u64, Option<u64>)]) {
        #[allow(clippy::disallowed_methods)] // where the test's time begins
        let start = Instant::now();
        let second = |n| start + Duration::from_secs(n);
        let mut checks = Checks::default();
        for (n, (port, answers, alive)) in (0..).zip(told) {
            checks.on_stats(second(n), path(*port), (*answers, None));
            assert_eq!(checks.poll_alive(), alive.map(second), "{n}");
        }
    }

    #[test]
    fn answers_are_news_once_they_are_told_again() {
        expect(&[(1, 0, None), (1, 1, None), (1, 1, Some(1)), (1, 1, None), (1, 2, None)]);
        expect(&[(1, 1, None), (1, 2, Some(0)), (1, 3, Some(1)), (1, 3, Some(2)), (1, 3, None)]);
    }

    #[test]
    fn what_was_answered_on_another_pair_is_no_news() {
        // Given up for none, and found again.
        expect(&[(1, 5, None), (1, 5, Some(0)), (1, 0, None), (1, 5, None), (1, 5, None)]);
        // Given up for one with more answers, whose count is told before its path.
        expect(&[(1, 5, None), (1, 5, Some(0)), (1, 40, None), (2, 40, None), (2, 40, None)]);
        // The new one is answered.
        expect(&[(1, 5, None), (2, 40, None), (2, 41, None), (2, 41, Some(2)), (2, 41, None)]);
        // A new pair of the same addresses.
        expect(&[(1, 5, None), (1, 5, Some(0)), (1, 1, None), (1, 2, None), (1, 2, Some(3))]);
    }

    #[test]
    fn each_round_trip_is_told_once() {
        #[allow(clippy::disallowed_methods)] // where the test's time begins
        let now = Instant::now();
        let mut checks = Checks::default();
        let time = Duration::from_millis(7);
        for answers in 1..3 {
            checks.on_stats(now, path(1), (answers, Some(time)));
            assert_eq!([checks.poll_round_trip(), checks.poll_round_trip()], [Some(time), None]);
            checks.on_stats(now, path(1), (answers, Some(time)));
            assert_eq!(checks.poll_round_trip(), None);
        }
    }
}
