//! Connecting again after a loss: how long to wait, how often to try, and the way
//! to the meeting place. Whether a transfer can go on is the commands' to know;
//! what goes on, the protocol's.

use std::time::{Duration, Instant};

use passel_proto::crypto::Entropy;
use passel_proto::error::ErrorCode;
use passel_proto::ids::Role;
use passel_proto::signal::{SignalSecret, SignalSession};
use passel_rendezvous::ids::MeetingId;
use url::Url;

use super::entropy;
use super::interrupt::Interrupt;
use super::report::Report;
use crate::args::NetArgs;
use crate::clock;
use crate::events::Event;
use crate::exit::{Exit, Failure};
use crate::journal::secrets::Kept;
use crate::machine::Machine;
use crate::node::{Node, signal_failure};
use crate::signaling::{self, Socket};

/// The first wait, which doubles from attempt to attempt.
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// The longest wait.
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// How long an attempt waits at the meeting place for the other side.
const MEETING: Duration = Duration::from_secs(30);
/// The same for the only attempt where the other side is not needed any more.
const SHORT_MEETING: Duration = Duration::from_secs(5);

/// How long to go on trying.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Patience {
    /// So many attempts.
    Few(u32),
    /// Until then, in seconds since 1970.
    Until(u64),
    /// No attempt but the first, and a short one.
    Once,
}

/// The waits between attempts.
#[derive(Debug)]
struct Backoff {
    patience: Patience,
    /// Attempts since the last success.
    attempts: u32,
}

impl Backoff {
    /// The next attempt's number and the wait before it; none if it was enough.
    /// `random` spreads the waits of two sides that lost each other by up to 1 s.
    fn next(&mut self, now: u64, random: u16) -> Option<(u32, Duration)> {
        let goes_on = match self.patience {
            Patience::Few(most) => self.attempts < most,
            Patience::Until(end) => now < end,
            Patience::Once => false,
        };
        if !goes_on {
            return None;
        }
        let doubled = FIRST_WAIT.saturating_mul(1_u32 << self.attempts.min(16));
        self.attempts = self.attempts.saturating_add(1);
        let jitter = Duration::from_millis(u64::from(random) * 1_000 / 65_536);
        Some((self.attempts, doubled.min(LONGEST_WAIT) + jitter))
    }
}

/// Who goes where to find the other side again.
pub(super) struct Again<M: Machine> {
    machine: M,
    server: Url,
    role: Role,
    net: NetArgs,
    backoff: Backoff,
    /// Whether the other side did not know the newest secret.
    use_previous: bool,
    /// Whether there was no loss that would have to be waited out.
    is_first: bool,
    entropy: Entropy,
}

impl<M: Machine> Again<M> {
    /// `role` is that of the transfer's first session (`HS-RESUME-MEETING`). With
    /// `until`, in seconds since 1970, attempts are not counted.
    pub(super) fn new(
        machine: &M,
        server: Url,
        role: Role,
        net: NetArgs,
        until: Option<u64>,
    ) -> Result<Self, Failure> {
        let patience = until.map_or(Patience::Few(net.attempts), Patience::Until);
        let backoff = Backoff { patience, attempts: 0 };
        let entropy = entropy(machine)?;
        Ok(Self {
            machine: machine.clone(),
            server,
            role,
            net,
            backoff,
            use_previous: false,
            is_first: false,
            entropy,
        })
    }

    /// The first attempt comes at once: nobody has just lost anybody.
    pub(super) fn at_once(mut self) -> Self {
        self.is_first = true;
        self
    }

    /// There is one attempt, and a short one: the other side is not needed, it only
    /// may have a use for this one.
    pub(super) fn briefly(mut self) -> Self {
        self.backoff.patience = Patience::Once;
        self
    }

    /// The other side is there and goes on: whatever comes next is a new loss.
    pub(super) fn succeeded(&mut self) {
        self.backoff.attempts = 0;
        self.use_previous = false;
    }

    /// Until when an attempt may wait for the other side; none for one that keeps
    /// on waiting.
    pub(super) fn waits_until(&self) -> Option<Instant> {
        match self.backoff.patience {
            Patience::Few(_) => Some(clock::now() + MEETING),
            Patience::Until(_) => None,
            Patience::Once => Some(clock::now() + SHORT_MEETING),
        }
    }

    /// A node that waits for the other side at the meeting place, or meets it
    /// there. `why` is what ended the connection before.
    pub(super) async fn node(
        &mut self,
        kept: &Kept,
        why: Failure,
        report: &mut Report,
        interrupt: &Interrupt,
    ) -> Result<Node<M>, Failure> {
        if why.code == Some(ErrorCode::ResumptionUnknown.name()) {
            // HS-RESUME-UNKNOWN
            self.use_previous = !self.use_previous;
        }
        let mut last = why;
        loop {
            if !std::mem::take(&mut self.is_first) {
                let random = u16::from_le_bytes(self.entropy.array());
                let now = crate::journal::now();
                let Some((attempt, wait)) = self.backoff.next(now, random) else {
                    return Err(last);
                };
                self.say(report, attempt, wait);
                interrupt.or(sleep(wait)).await?;
            }
            match Box::pin(interrupt.or(self.attempt(kept))).await {
                Ok(node) => return Ok(node),
                Err(failure) if failure.exit == Exit::Cancelled => return Err(failure),
                Err(failure) => {
                    tracing::info!(%failure, "an attempt to connect again failed");
                    last = failure;
                }
            }
        }
    }

    async fn attempt(&mut self, kept: &Kept) -> Result<Node<M>, Failure> {
        let route = kept.meeting_id();
        let meeting = MeetingId::from_bytes(route);
        let met = signaling::meet(&self.machine, &self.server, meeting).await;
        let met = met.map_err(|error| signal_failure(&error))?;
        let socket = Socket::connect(&self.machine, &self.server, met.token).await;
        let socket = socket.map_err(|error| signal_failure(&error))?;
        let link = kept.meeting_link();
        let session = match self.role {
            Role::Initiator => {
                let older = kept.previous.as_ref().filter(|_| self.use_previous);
                let key = older.unwrap_or(&kept.current).clone();
                let secret = SignalSecret::Resume { link, key, other: None };
                SignalSession::joiner_secret(&secret, &route, &mut self.entropy)
            }
            Role::Responder => {
                let (key, other) = (kept.current.clone(), kept.previous.clone());
                let secret = SignalSecret::Resume { link, key, other };
                SignalSession::creator_secret(secret, &route, &mut self.entropy)
            }
        };
        let session = session.map_err(|error| Failure::of_error(&error))?;
        Node::start(&self.machine, self.role, session, socket, self.net, &mut self.entropy)
    }

    fn say(&self, report: &mut Report, attempt: u32, wait: Duration) {
        let of = match self.backoff.patience {
            Patience::Few(most) => Some(most),
            Patience::Until(_) | Patience::Once => None,
        };
        let in_s = wait.as_secs();
        report.event(&Event::Reconnecting { attempt, of, in_s });
        let of = of.map_or(String::new(), |of| format!(" of {of}"));
        report.say(&format!("Connection lost. Trying again in {in_s} s ({attempt}{of})."));
    }
}

async fn sleep(time: Duration) -> Result<(), Failure> {
    tokio::time::sleep(time).await;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_half_a_minute_and_end_after_the_attempts() {
        let mut backoff = Backoff { patience: Patience::Few(5), attempts: 0 };
        let waits: Vec<_> = std::iter::from_fn(|| backoff.next(0, 0)).collect();
        let expected = [1, 2, 4, 8, 16].map(Duration::from_secs);
        assert_eq!(waits, (1..=5).zip(expected).collect::<Vec<_>>());
        let mut patient = Backoff { patience: Patience::Until(100), attempts: 40 };
        assert_eq!(patient.next(99, 0), Some((41, LONGEST_WAIT)));
        assert_eq!(patient.next(100, 0), None);
    }

    #[test]
    fn two_sides_do_not_come_in_step() {
        let wait = |random| {
            let mut backoff = Backoff { patience: Patience::Few(5), attempts: 0 };
            backoff.next(0, random).unwrap().1
        };
        assert_eq!(wait(0), FIRST_WAIT);
        assert_eq!(wait(0x8000), FIRST_WAIT + Duration::from_millis(500));
        assert!(wait(u16::MAX) < FIRST_WAIT * 2);
    }
}
