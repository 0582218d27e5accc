//! Which connectivity checks were answered. The stack tells now and then how many were,
//! on the pair in use; what follows from that for the path lives here. The checks
//! themselves are the stack's.

use std::time::{Duration, Instant};

/// Begins a check (RFC 8489, 5): a Binding request.
const REQUEST: [u8; 2] = [0x00, 0x01];
/// Begins an answer to a check: a Binding success response.
const ANSWER: [u8; 2] = [0x01, 0x01];

/// Whether a datagram of the peer's is a check.
pub(super) fn is_request(contents: &[u8]) -> bool {
    contents.starts_with(&REQUEST)
}

/// What the stack said of the pair in use, and what was not told yet of it.
#[derive(Debug, Default)]
pub(super) struct Checks {
    answers: u64,
    /// When something came, since the stack was heard last, that may be an answer.
    came: Option<Instant>,
    round_trip: Option<Duration>,
    alive: Option<Instant>,
}

impl Checks {
    /// A datagram of the peer's was taken in.
    pub(super) fn on_datagram(&mut self, now: Instant, contents: &[u8]) {
        if contents.starts_with(&ANSWER) {
            self.came = Some(now);
        }
    }

    /// The stack says how many checks were answered on the pair in use. As that changes,
    /// so may the count, so that more of them are news only if something came.
    pub(super) fn on_stats(&mut self, answers: u64, round_trip: Option<Duration>) {
        let came = self.came.take();
        if answers > self.answers {
            self.alive = came.or(self.alive);
        }
        if answers != self.answers {
            self.answers = answers;
            self.round_trip = round_trip;
        }
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

    const TIME: Duration = Duration::from_millis(7);

    fn start() -> Instant {
        #[allow(clippy::disallowed_methods)] // where the test's time begins
        Instant::now()
    }

    #[test]
    fn an_answer_is_news_once_it_came_and_was_counted() {
        let (now, mut checks) = (start(), Checks::default());
        // What came, how many answers the stack counts, and whether that is news.
        for (second, (contents, answers, is_news)) in (0..).zip([
            (&ANSWER[..], 1, true),
            (&ANSWER, 1, false),
            (&[], 1, false),
            (&ANSWER, 2, true),
            // Pairs come and go, and nothing was answered.
            (&[], 40, false),
            (&[0, 1], 41, false),
            (&[], 0, false),
            (&ANSWER, 0, false),
            (&ANSWER, 1, true),
        ]) {
            let at = now + Duration::from_secs(second);
            checks.on_datagram(at, contents);
            checks.on_stats(answers, Some(TIME));
            assert_eq!(checks.poll_alive(), is_news.then_some(at), "{second}");
            assert_eq!(checks.poll_alive(), None);
        }
    }

    #[test]
    fn each_round_trip_is_told_once() {
        let mut checks = Checks::default();
        for answers in 1..3 {
            checks.on_stats(answers, Some(TIME));
            assert_eq!([checks.poll_round_trip(), checks.poll_round_trip()], [Some(TIME), None]);
            checks.on_stats(answers, Some(TIME));
            assert_eq!(checks.poll_round_trip(), None);
        }
    }
}
