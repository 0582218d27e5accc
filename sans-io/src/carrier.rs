//! The transport of one further lane (`spec/15-lanes.md`): what carries its records,
//! apart from the connection that makes and reads them. So it can be driven on another
//! thread than its endpoint: the two know each other by [`Command`]s and [`Report`]s
//! alone. What does not live here: which lanes there are and what goes over them, which
//! is the endpoint's.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use passel_proto::crypto::Entropy;
use passel_proto::error::Error;
use passel_proto::ids::Channel;

use crate::datagram::{Datagram, DatagramRef};
use crate::description::{Description, SignalMessage};
use crate::ice::Gatherer;
use crate::lane::{IceState, Lane, LaneConfig, LaneEvent, LaneOutput, MAX_WINDOW};

/// Datagrams kept for a caller that does not poll. UDP may lose the rest.
const MAX_DATAGRAMS: usize = 4096;

/// What an endpoint wants of a lane's transport.
#[derive(Debug)]
pub enum Command {
    /// A record is to be delivered.
    Record(Vec<u8>),
    /// The peer said this of the lane.
    Signal(SignalMessage),
    /// The lane is over: its other end is told, and nothing more is reported.
    Close,
}

/// What a lane's transport tells its endpoint.
#[derive(Debug)]
pub enum Report {
    /// The peer is to be told this of the lane.
    Signal(SignalMessage),
    /// Records can be delivered.
    Up,
    /// A record of the peer's.
    Message(Vec<u8>),
    /// So many bytes of records were delivered since the beginning.
    Delivered(u64),
    /// A connectivity check and its answer took so long.
    RoundTrip(Duration),
    /// The lane failed, or the peer closed it.
    Over,
}

/// The transport of a further lane.
///
/// # Driving it
///
/// After any of the `handle_*` methods, poll in this order, each until it gives nothing
/// more: [`poll_report`](Self::poll_report), [`poll_datagram`](Self::poll_datagram); then
/// ask [`poll_timeout`](Self::poll_timeout) when to call
/// [`handle_timeout`](Self::handle_timeout) at the latest. Reports go to
/// [`Endpoint::handle_reports`](crate::endpoint::Endpoint::handle_reports), in their order,
/// and what its [`poll_command`](crate::endpoint::Endpoint::poll_command) gives for this
/// lane comes to [`handle_command`](Self::handle_command).
///
/// After [`Command::Close`], and once nothing is left to poll, it can be dropped. No
/// datagram and no signal makes any method panic.
pub struct Carrier {
    lane: Lane,
    /// Whether the peer has this side's description when its own comes, so that it answers
    /// checks, and the first need not wait for the stack's pace.
    asked_first: bool,
    /// How it is seen from outside, until it is connected.
    gatherer: Gatherer,
    timeout: Option<Instant>,
    /// Whether the lane has been polled since something was done to it.
    is_drained: bool,
    /// Records that the lane has not taken yet.
    blocked: VecDeque<Vec<u8>>,
    /// Bytes of records that the lane took, and of which it was told that they arrived.
    written: u64,
    delivered: u64,
    is_over: bool,
    reports: VecDeque<Report>,
    datagrams: VecDeque<Datagram>,
}

impl std::fmt::Debug for Carrier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Carrier").field("lane", &self.lane.number()).finish_non_exhaustive()
    }
}

impl Carrier {
    /// A transport that listens at `addresses`, asks `servers` how it is seen from
    /// outside, and waits for the peer's description. `asked_first` says that the peer's
    /// is an answer to this side's.
    ///
    /// # Errors
    ///
    /// Local: the transport cannot be set up, or none of the addresses can be reached.
    pub(crate) fn new(
        config: LaneConfig,
        (addresses, servers): (&[SocketAddr], &[SocketAddr]),
        asked_first: bool,
        entropy: Entropy,
        now: Instant,
    ) -> Result<Self, Error> {
        let mut lane = Lane::new(config, now)?;
        lane.set_window(MAX_WINDOW); // The endpoint's is what bounds it.
        let mut gatherer = Gatherer::new(servers, entropy);
        let mut is_reachable = false;
        for address in addresses {
            is_reachable |= lane.add_local_candidate(*address).is_some();
            gatherer.add_base(*address);
        }
        if !is_reachable {
            return Err(Error::misuse("a further lane has no address"));
        }
        gatherer.start(now);
        Ok(Self {
            lane,
            asked_first,
            gatherer,
            timeout: None,
            is_drained: false,
            blocked: VecDeque::new(),
            written: 0,
            delivered: 0,
            is_over: false,
            reports: VecDeque::new(),
            datagrams: VecDeque::new(),
        })
    }

    /// The lane's number.
    pub fn number(&self) -> u16 {
        self.lane.number()
    }

    /// What the peer must know of this end.
    pub(crate) fn description(&self) -> Description {
        self.lane.local_description()
    }

    /// Whether a datagram that came to a socket shared by several lanes is this one's.
    pub fn accepts(&self, datagram: DatagramRef<'_>) -> bool {
        self.lane.accepts(datagram)
    }

    /// Takes datagrams that came to the lane's addresses.
    pub fn handle_datagrams<'a>(
        &mut self,
        now: Instant,
        datagrams: impl Iterator<Item = DatagramRef<'a>>,
    ) {
        for datagram in datagrams {
            if !self.gatherer.handle_datagram(now, datagram) {
                self.lane.handle_datagram(now, datagram);
            }
        }
        self.is_drained = false;
        self.unblock(now);
    }

    /// Does what has become due. Calling it early is harmless.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.gatherer.handle_timeout(now);
        self.lane.handle_timeout(now);
        self.is_drained = false;
        self.unblock(now);
    }

    /// Does what the endpoint wants.
    pub fn handle_command(&mut self, now: Instant, command: Command) {
        match command {
            Command::Record(record) => {
                if !self.write(now, &record) {
                    self.blocked.push_back(record);
                }
            }
            Command::Signal(signal) => self.take(now, signal),
            Command::Close => self.close(),
        }
    }

    /// Ends the transport, telling its other end.
    pub(crate) fn close(&mut self) {
        self.end();
        self.gatherer.stop();
        self.lane.close();
        self.is_drained = false;
    }

    /// Hands a record to the lane, which keeps it until it is delivered. `false` if it
    /// does not take it now.
    pub(crate) fn write(&mut self, now: Instant, record: &[u8]) -> bool {
        if self.is_over {
            return true;
        }
        if !self.blocked.is_empty() {
            return false;
        }
        self.is_drained = false;
        // For a channel that is closed the lane's own event says what happened.
        let taken = self.lane.write(now, Channel::File, record);
        if let Ok(true) = taken {
            self.written += record.len() as u64;
        }
        taken.unwrap_or(true)
    }

    fn take(&mut self, now: Instant, signal: SignalMessage) {
        self.is_drained = false;
        match signal {
            SignalMessage::Description(description) => {
                if self.lane.set_remote(description, now).is_err() {
                    self.fail();
                } else if self.asked_first {
                    self.lane.handle_timeout(now);
                }
            }
            SignalMessage::Candidates(candidates) => {
                for candidate in candidates {
                    self.lane.add_remote_candidate(candidate);
                }
            }
            SignalMessage::EndOfCandidates => {}
            SignalMessage::Abort { .. } => self.fail(),
        }
    }

    /// Nothing is reported any more.
    fn end(&mut self) {
        self.is_over = true;
        self.blocked.clear();
        self.reports.clear();
    }

    fn fail(&mut self) {
        if !self.is_over {
            self.end();
            self.reports.push_back(Report::Over);
        }
    }

    /// The next piece of news for the endpoint.
    pub fn poll_report(&mut self) -> Option<Report> {
        loop {
            if let Some(report) = self.reports.pop_front() {
                return Some(report);
            }
            if self.is_drained {
                return None;
            }
            match self.lane.poll() {
                LaneOutput::Transmit(datagram) => self.keep(datagram),
                LaneOutput::Event(event) => self.on_event(event),
                LaneOutput::Timeout(at) => {
                    self.timeout = at;
                    self.is_drained = true;
                    self.tell();
                }
            }
        }
    }

    fn on_event(&mut self, event: LaneEvent) {
        match event {
            _ if self.is_over => {}
            LaneEvent::Message { data, .. } => self.reports.push_back(Report::Message(data)),
            LaneEvent::ChannelOpen(Channel::File) => {
                self.gatherer.stop(); // TB-STUN-REFRESH
                self.reports.push_back(Report::Up);
            }
            LaneEvent::Failed(_)
            | LaneEvent::Closed
            | LaneEvent::ChannelClosed(_)
            | LaneEvent::IceState(IceState::Disconnected) => self.fail(),
            _ => {}
        }
    }

    /// The lane has nothing more to say: says what is new of it.
    fn tell(&mut self) {
        while let Some(datagram) = self.gatherer.poll_datagram() {
            self.keep(datagram);
        }
        if self.is_over {
            return;
        }
        while let Some(found) = self.gatherer.poll_found() {
            // LN-STUN
            let candidate = self.lane.add_reflexive_candidate(found.address, found.base);
            let signal = candidate.map(|candidate| SignalMessage::Candidates(vec![candidate]));
            self.reports.extend(signal.map(Report::Signal));
        }
        self.reports.extend(self.lane.poll_round_trip().map(Report::RoundTrip));
        let held = self.lane.buffered(Channel::File) as u64;
        let delivered = self.written.saturating_sub(held);
        if delivered > self.delivered {
            self.delivered = delivered;
            self.reports.push_back(Report::Delivered(delivered));
        }
    }

    /// Hands on records that had to wait.
    fn unblock(&mut self, now: Instant) {
        let mut blocked = std::mem::take(&mut self.blocked);
        while let Some(record) = blocked.pop_front() {
            if !self.write(now, &record) {
                blocked.push_front(record);
                break;
            }
        }
        self.blocked = blocked;
    }

    fn keep(&mut self, datagram: Datagram) {
        if self.datagrams.len() < MAX_DATAGRAMS {
            self.datagrams.push_back(datagram);
        }
    }

    /// The next datagram to send. It may be lost.
    pub fn poll_datagram(&mut self) -> Option<Datagram> {
        self.datagrams.pop_front()
    }

    /// When to call [`handle_timeout`](Self::handle_timeout) at the latest.
    pub fn poll_timeout(&self) -> Option<Instant> {
        [self.timeout, self.gatherer.poll_timeout()].into_iter().flatten().min()
    }
}
