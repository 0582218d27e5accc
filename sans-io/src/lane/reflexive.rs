//! Addresses from which the peer checks this lane and which it never named: each becomes a
//! peer-reflexive candidate of the stack's, which then checks it in turn. Two sides behind one
//! translator that gives each pair of addresses another port find one more of them by each
//! such check, without an end; a hostile peer names whom it likes. How many are let through
//! (`TB-CAND-REFLEXIVE`) lives here; what is a check, and genuine, is the lane's to know.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Addresses let through at once.
pub const MAX_REFLEXIVE_AT_ONCE: usize = 16;
/// Time until one more may be.
pub const REFLEXIVE_INTERVAL: Duration = Duration::from_secs(10);
/// Addresses remembered. One that was forgotten is a new one again.
const MAX_REMEMBERED: usize = 64;

/// The addresses let through, the latest last.
#[derive(Debug)]
pub(super) struct Reflexive {
    known: VecDeque<SocketAddr>,
    left: usize,
    /// When the next one is added to those left, if they are not all there.
    more_at: Option<Instant>,
}

impl Default for Reflexive {
    fn default() -> Self {
        Self { known: VecDeque::new(), left: MAX_REFLEXIVE_AT_ONCE, more_at: None }
    }
}

impl Reflexive {
    /// Whether a check from this address may pass.
    pub(super) fn admits(&mut self, now: Instant, source: SocketAddr) -> bool {
        if self.known.contains(&source) {
            return true;
        }
        self.refill(now);
        if self.left == 0 {
            return false;
        }
        self.left -= 1;
        self.more_at.get_or_insert(now + REFLEXIVE_INTERVAL);
        if self.known.len() == MAX_REMEMBERED {
            self.known.pop_front();
        }
        self.known.push_back(source);
        true
    }

    fn refill(&mut self, now: Instant) {
        while let Some(at) = self.more_at.filter(|at| *at <= now) {
            self.left += 1;
            let is_full = self.left >= MAX_REFLEXIVE_AT_ONCE;
            self.more_at = (!is_full).then_some(at + REFLEXIVE_INTERVAL);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(port: u16) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, 1], port))
    }

    fn start() -> Instant {
        #[allow(clippy::disallowed_methods)] // where the test's time begins
        Instant::now()
    }

    /// How many of these addresses pass, each seen for the first time.
    fn passing(reflexive: &mut Reflexive, now: Instant, ports: std::ops::Range<u16>) -> usize {
        ports.filter(|port| reflexive.admits(now, address(*port))).count()
    }

    #[test]
    fn a_few_pass_at_once_and_then_one_in_each_interval() {
        let (mut now, mut reflexive) = (start(), Reflexive::default());
        assert_eq!(passing(&mut reflexive, now, 0..1000), MAX_REFLEXIVE_AT_ONCE);
        assert!(reflexive.admits(now, address(0)), "what passed once passes again");
        let before = now + REFLEXIVE_INTERVAL.saturating_sub(Duration::from_nanos(1));
        assert_eq!(passing(&mut reflexive, before, 1000..2000), 0);
        now += REFLEXIVE_INTERVAL;
        assert_eq!(passing(&mut reflexive, now, 1000..2000), 1);
        assert_eq!(passing(&mut reflexive, now + REFLEXIVE_INTERVAL * 3, 2000..3000), 3);
    }

    #[test]
    fn what_is_left_and_remembered_is_bounded_however_long_it_takes() {
        let (mut now, mut reflexive) = (start(), Reflexive::default());
        for round in 0..100 {
            now += REFLEXIVE_INTERVAL * 1000;
            let ports = round * 100..(round + 1) * 100;
            assert_eq!(passing(&mut reflexive, now, ports), MAX_REFLEXIVE_AT_ONCE);
            assert!(reflexive.known.len() <= MAX_REMEMBERED);
        }
    }
}
