//! One WebRTC association: ICE, DTLS, SCTP and its data channels, without I/O.
//!
//! A [`Lane`] wraps str0m's `Rtc` and holds it to this protocol: fixed roles
//! (`TB-ROLES`), fixed channels (`TB-CHANNELS`), a certificate that must be the
//! described one (`TB-FINGERPRINT`), and small windows. What does not live
//! here: sockets, the sealing of signaling, and what a message means.

mod channels;
mod checks;
mod config;
mod drive;
mod dtls;
mod early;
mod init;
mod output;
mod reflexive;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use passel_proto::error::{Error, ErrorCode};
use passel_proto::ids::{Channel, Role};
use passel_proto::limits::{MAX_CANDIDATES_COUNT, MAX_RECORD};
use str0m::channel::SctpInitData;
use str0m::config::Fingerprint;
use str0m::net::{DatagramRecv, Protocol, Receive};
use str0m::{IceCreds, Input, Rtc, RtcConfig, RtcError};

use crate::datagram::DatagramRef;
use crate::description::{Candidate, CandidateKind, Description, is_usable_address};
use channels::Channels;
use checks::Checks;
use early::EarlyDtls;
use reflexive::Reflexive;

pub use config::{
    DEFAULT_WINDOW, ICE_SEED, IceCredentials, LaneConfig, MAX_DATAGRAM, MAX_WINDOW, MIN_WINDOW,
    ORDERED_WINDOW,
};
pub use dtls::PatientDtls;
pub use output::{Dtls, IceState, LaneEvent, LaneMetrics, LaneOutput, Path};
pub use reflexive::{MAX_REFLEXIVE_AT_ONCE, REFLEXIVE_INTERVAL};
pub use str0m::config::{CryptoProvider, DtlsCert, DtlsVersion};

/// Datagrams taken in before the stack is drained. It refuses more than some
/// 30; fewer turns of the drain make a lane about a third faster.
const DATAGRAMS_PER_DRAIN: usize = 24;
/// Outputs kept for a caller that does not poll.
const MAX_QUEUED_OUTPUTS: usize = 1_024;
/// Bytes of messages kept for a caller that does not poll.
const MAX_QUEUED_BYTES: usize = 4 << 20;
/// Datagrams on which DTLS may fail, over the life of a lane. One or two may be
/// forged before DTLS knows its peer; a lane that is dead fails on every one.
const MAX_DTLS_FAILURES: u32 = 8;
/// How often the stack says what its checks measured; of further lanes more often, as
/// it is by their checks, too, that a queue is noticed.
const STATS_INTERVAL: Duration = Duration::from_secs(1);
const FURTHER_STATS_INTERVAL: Duration = Duration::from_millis(250);
/// How stale the stack's clock may be when a message is written. A message sent
/// at a time long past would be held for lost at once.
const CLOCK_SLACK: Duration = Duration::from_millis(5);

/// Where a lane is in its life; there is no way back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// The peer's description is awaited.
    AwaitRemote,
    /// Connecting, or connected.
    Live,
    /// Closed by either side, with output left to drain.
    Closing,
    /// Closed or failed: inert.
    Dead,
}

/// One WebRTC association with its data channels.
///
/// # Driving contract
///
/// 1. After **every** call that takes `&mut self` and a time, call
///    [`Lane::poll`] until it says [`LaneOutput::Timeout`]. Up to 24
///    datagrams may be given to [`Lane::handle_datagram`] before that.
/// 2. Call [`Lane::handle_timeout`] at the time that the last `Timeout` named,
///    or earlier.
/// 3. Time never goes back; an earlier time than the last is taken for the last.
///
/// A failure of the peer or of the stack is a [`LaneEvent::Failed`], once, and
/// leaves the lane inert: all inputs are then ignored. Errors are returned only
/// for the caller's own mistakes, and for a peer's description that is refused.
///
/// Memory is bounded: by the windows on the way out, and on the way in by
/// refusing datagrams while the caller does not poll.
pub struct Lane {
    role: Role,
    number: u16,
    phase: Phase,
    rtc: Rtc,
    now: Instant,
    channels: Channels,
    /// Kept until the peer's description says whether it is wanted.
    snap: Option<SctpInitData>,
    local: Description,
    expected: Option<[u8; 32]>,
    connected: bool,
    dtls_started: bool,
    /// Channels that opened before DTLS was up.
    opened_early: VecDeque<Channel>,
    /// Candidates that came before the description (`TB-CAND-EARLY`).
    early: Vec<Candidate>,
    early_dtls: EarlyDtls,
    /// What the peer named, and the stack was told of.
    remote: Vec<Candidate>,
    reflexive: Reflexive,
    ice: IceState,
    outputs: VecDeque<LaneOutput>,
    queued_bytes: usize,
    undrained: usize,
    /// Datagrams sent since the stack last said when it is to be woken.
    at_once: u32,
    dtls_failures: u32,
    metrics: LaneMetrics,
    checks: Checks,
}

impl Lane {
    /// A lane that awaits its peer's description.
    pub fn new(config: LaneConfig, now: Instant) -> Result<Self, Error> {
        let channels = Channels::new(config.channels(), config.window_bytes);
        let mut builder = RtcConfig::new()
            .clear_codecs()
            .set_local_ice_credentials(IceCreds {
                ufrag: config.credentials.ufrag.clone(),
                pass: config.credentials.pwd.to_string(),
            })
            .set_dtls_version(config.dtls)
            .set_mtu(config.clamped_mtu())
            // TB-MESSAGE-SIZE
            .set_sctp_max_message_size(u32::try_from(MAX_RECORD).unwrap_or(u32::MAX))
            .set_sctp_max_buffered_amount(config::MAX_BUFFERED)
            .set_stats_interval(Some(if config.lane == 0 {
                STATS_INTERVAL
            } else {
                FURTHER_STATS_INTERVAL
            }));
        if let Some(certificate) = config.certificate {
            builder = builder.set_dtls_cert(certificate);
        }
        builder = builder.set_crypto_provider(config.crypto.unwrap_or_else(dtls::provider));
        let mut rtc = builder.build(now);

        // TB-ROLES
        rtc.direct_api().set_ice_controlling(config.role == Role::Initiator);
        let fingerprint = <[u8; 32]>::try_from(&*rtc.direct_api().local_dtls_fingerprint().bytes)
            .map_err(|_| {
            Error::local(ErrorCode::Internal, "the certificate's digest is not SHA-256")
        })?;
        let mut snap = config.snap.then(SctpInitData::new);
        // Without a chunk the lane works all the same, one round trip later.
        let mut sctp_init = snap.as_mut().and_then(|snap| snap.local_init_chunk().ok());
        let first_sequence = sctp_init.as_deref().and_then(init::first_sequence);
        if config.lane != 0 {
            // LN-INIT
            sctp_init = sctp_init.map(|chunk| init::reliable_only(&chunk).unwrap_or(chunk));
        }
        if sctp_init.is_none() {
            snap = None;
        }
        Ok(Self {
            role: config.role,
            number: config.lane,
            phase: Phase::AwaitRemote,
            rtc,
            now,
            channels,
            snap,
            local: Description {
                ufrag: config.credentials.ufrag,
                pwd: config.credentials.pwd.to_string(),
                fingerprint,
                sctp_init,
                max_message_size: u32::try_from(MAX_RECORD).unwrap_or(u32::MAX),
                candidates: Vec::new(),
            },
            expected: None,
            connected: false,
            dtls_started: false,
            opened_early: VecDeque::new(),
            early: Vec::new(),
            early_dtls: EarlyDtls::default(),
            remote: Vec::new(),
            reflexive: Reflexive::default(),
            ice: IceState::New,
            outputs: VecDeque::new(),
            queued_bytes: 0,
            undrained: 0,
            at_once: 0,
            dtls_failures: 0,
            metrics: LaneMetrics { first_sequence, ..LaneMetrics::default() },
            checks: Checks::default(),
        })
    }

    /// Adds one of this side's own addresses, and returns what the peer is to be
    /// told of it; `None` if it is of no use or known, or above the limit.
    pub fn add_local_candidate(&mut self, address: SocketAddr) -> Option<Candidate> {
        let host = str0m::Candidate::host(address, "udp").ok()?;
        self.add_local(CandidateKind::Host, address, host)
    }

    /// Takes one of this side's own addresses back that is gone. If it was in use and
    /// this side is the initiator, another path is taken at once, as far as there is
    /// one. Whether it was there is the result.
    pub fn remove_local_candidate(&mut self, address: SocketAddr) -> bool {
        let Ok(host) = str0m::Candidate::host(address, "udp") else { return false };
        let is_it = |one: &Candidate| (one.kind, one.address) == (CandidateKind::Host, address);
        self.local.candidates.retain(|one| !is_it(one));
        self.is_up() && self.rtc.direct_api().invalidate_candidate(&host)
    }

    /// Adds an address at which a server saw `base`, one of this side's own. As
    /// with [`Self::add_local_candidate`], what comes out is for the peer.
    pub fn add_reflexive_candidate(
        &mut self,
        address: SocketAddr,
        base: SocketAddr,
    ) -> Option<Candidate> {
        let reflexive = str0m::Candidate::server_reflexive(address, base, "udp").ok()?;
        self.add_local(CandidateKind::ServerReflexive, address, reflexive)
    }

    /// Adds an address at which a TURN server takes datagrams for `base`, one of this
    /// side's own. What the lane sends from it has the relayed address as its source.
    /// What comes out is for the peer.
    pub fn add_relayed_candidate(
        &mut self,
        address: SocketAddr,
        base: SocketAddr,
    ) -> Option<Candidate> {
        let relayed = str0m::Candidate::relayed(address, base, "udp").ok()?;
        self.add_local(CandidateKind::Relayed, address, relayed)
    }

    fn add_local(
        &mut self,
        kind: CandidateKind,
        address: SocketAddr,
        candidate: str0m::Candidate,
    ) -> Option<Candidate> {
        let full = self.local.candidates.len() >= MAX_CANDIDATES_COUNT;
        if full || !self.is_up() || !is_usable_address(&address) {
            return None;
        }
        if self.local.candidates.iter().any(|known| known.address == address) {
            return None;
        }
        let priority = self.rtc.add_local_candidate(candidate)?.prio();
        let candidate = Candidate { kind, priority, address };
        self.local.candidates.push(candidate);
        Some(candidate)
    }

    /// Whether what the lane sends goes over a relay of either side.
    pub fn is_relayed(&self) -> bool {
        let Some(path) = self.metrics.path else { return false };
        let is_relay = |candidates: &[Candidate], address| {
            let is_it =
                |one: &Candidate| (one.kind, one.address) == (CandidateKind::Relayed, address);
            candidates.iter().any(is_it)
        };
        is_relay(&self.local.candidates, path.local) || is_relay(&self.remote, path.remote)
    }

    /// The round trip of the latest connectivity check that was answered, if it was not
    /// told yet.
    pub fn poll_round_trip(&mut self) -> Option<Duration> {
        self.checks.poll_round_trip()
    }

    /// When a connectivity check was answered on the path in use, if that was not told yet.
    pub fn poll_alive(&mut self) -> Option<Instant> {
        self.checks.poll_alive()
    }

    /// What the peer must know, with the local candidates added so far.
    pub fn local_description(&self) -> Description {
        self.local.clone()
    }

    /// Takes the peer's description and begins to connect. It may be given once.
    pub fn set_remote(&mut self, remote: Description, now: Instant) -> Result<(), Error> {
        match self.phase {
            Phase::AwaitRemote => {}
            // TB-DESC-ONCE
            Phase::Live => {
                return Err(Error::peer(ErrorCode::ProtocolViolation, "a second description"));
            }
            Phase::Closing | Phase::Dead => return Ok(()),
        }
        remote.check()?;
        self.phase = Phase::Live;
        self.expected = Some(remote.fingerprint);

        let client = self.role == Role::Initiator;
        let configs = self.channels.configs();
        let mut api = self.rtc.direct_api();
        api.set_remote_fingerprint(Fingerprint {
            hash_func: "sha-256".to_owned(),
            bytes: remote.fingerprint.to_vec(),
        });
        api.set_remote_ice_credentials(IceCreds { ufrag: remote.ufrag, pass: remote.pwd });
        // TB-SNAP: only if both sides offered it.
        let started = if let (Some(mut snap), Some(init)) = (self.snap.take(), remote.sctp_init) {
            snap.set_remote_init_chunk(init);
            api.start_sctp_with_snap(client, snap)
        } else {
            api.start_sctp(client);
            Ok(())
        };
        if let Err(error) = started {
            self.fail_with(&error);
            return Ok(());
        }
        // TB-CHANNELS: before any datagram, so that no message of an eager
        // peer finds its channel undeclared.
        for (channel, config) in configs {
            let id = api.create_data_channel(config);
            self.channels.set_id(channel, id);
        }
        self.handle_timeout(now);
        for candidate in remote.candidates.into_iter().chain(std::mem::take(&mut self.early)) {
            self.add_to_ice(candidate);
        }
        Ok(())
    }

    /// Adds one of the peer's addresses, before or after [`Self::set_remote`].
    /// One that is of no use, or above the limit, is ignored and counted.
    pub fn add_remote_candidate(&mut self, candidate: Candidate) {
        match self.phase {
            Phase::AwaitRemote if self.early.len() < MAX_CANDIDATES_COUNT => {
                self.early.push(candidate);
            }
            Phase::Live => self.add_to_ice(candidate),
            _ => self.metrics.candidates_refused += 1,
        }
    }

    fn add_to_ice(&mut self, candidate: Candidate) {
        // TB-CAND-LOOPBACK: a peer elsewhere has no business on this loopback.
        let loopback = candidate.address.ip().is_loopback()
            && !self.local.candidates.iter().any(|own| own.address.ip().is_loopback());
        // TB-CAND-COUNT, also over several messages.
        let full = self.remote.len() >= MAX_CANDIDATES_COUNT;
        if loopback || full || candidate.check().is_err() {
            self.metrics.candidates_refused += 1;
            return;
        }
        self.remote.push(candidate);
        let kind = match candidate.kind {
            CandidateKind::Host => str0m::CandidateKind::Host,
            CandidateKind::ServerReflexive => str0m::CandidateKind::ServerReflexive,
            CandidateKind::Relayed => str0m::CandidateKind::Relayed,
        };
        self.rtc.add_remote_candidate(str0m::Candidate::from_parts(
            self.remote.len().to_string(),
            1,
            Protocol::Udp,
            candidate.priority,
            candidate.address,
            kind,
            None,
            None,
            None,
        ));
    }

    /// Whether a datagram that came to a socket shared by several lanes is this
    /// one's: it bears this lane's ICE credentials, or comes from its peer.
    pub fn accepts(&self, datagram: DatagramRef<'_>) -> bool {
        self.is_up() && receive(self.now, datagram).is_some_and(|input| self.rtc.accepts(&input))
    }

    /// Takes in a datagram. One that is not of this lane is ignored and counted.
    pub fn handle_datagram(&mut self, now: Instant, datagram: DatagramRef<'_>) {
        if !self.is_up() {
            return;
        }
        self.advance(now);
        let full =
            self.outputs.len() >= MAX_QUEUED_OUTPUTS || self.queued_bytes >= MAX_QUEUED_BYTES;
        let input = receive(self.now, datagram);
        let (Some(input), false) = (input, full) else {
            self.metrics.datagrams_refused += 1;
            return;
        };
        if !self.rtc.accepts(&input) {
            return self.refuse(datagram);
        }
        if !self.may_come_from(datagram) {
            self.metrics.candidates_refused += 1;
            return;
        }
        match self.take_in(input, datagram.contents) {
            Err(error) => self.fail_with(&error),
            Ok(false) => {}
            Ok(true) => {
                self.undrained += 1;
                if self.undrained >= DATAGRAMS_PER_DRAIN {
                    self.drain();
                }
            }
        }
    }

    /// Whether a datagram that is genuine may pass by where it comes from: all but a check
    /// that would make one more candidate (`TB-CAND-REFLEXIVE`).
    fn may_come_from(&mut self, datagram: DatagramRef<'_>) -> bool {
        let DatagramRef { source, contents, .. } = datagram;
        !checks::is_request(contents)
            || self.remote.iter().any(|one| one.address == source)
            || self.reflexive.admits(self.now, source)
    }

    /// Hands a datagram to the stack. `false` if it was of no use; an error ends the lane.
    fn take_in(&mut self, input: Input<'_>, contents: &[u8]) -> Result<bool, RtcError> {
        self.metrics.datagrams_in += 1;
        self.metrics.bytes_in += contents.len() as u64;
        self.checks.on_datagram(self.now, contents);
        let awaits_dtls = self.role == Role::Responder && self.phase == Phase::Live;
        if awaits_dtls && is_dtls(contents) {
            self.start_dtls()?;
        }
        match self.rtc.handle_input(input) {
            Ok(()) => Ok(true),
            Err(error) => {
                self.dtls_failures += 1;
                if self.dtls_failures >= MAX_DTLS_FAILURES { Err(error) } else { Ok(false) }
            }
        }
    }

    /// A datagram from an address that no check has proved. It may be the initiator's
    /// first flight, ahead of the answer to this side's check (`TB-DTLS-EARLY`).
    fn refuse(&mut self, datagram: DatagramRef<'_>) {
        let may_be_early = self.role == Role::Responder
            && self.phase == Phase::Live
            && !self.dtls_started
            && is_dtls(datagram.contents)
            && datagram.contents.len() <= MAX_DATAGRAM;
        self.metrics.datagrams_refused +=
            if may_be_early { self.early_dtls.keep(datagram) } else { 1 };
    }

    /// Takes in the datagram that was early, once an answer to a check has proved its
    /// address. Whether there was one.
    fn take_early(&mut self) -> Result<bool, RtcError> {
        if self.ice != IceState::Connected || self.dtls_started {
            return Ok(false);
        }
        let (now, rtc) = (self.now, &self.rtc);
        let is_proved = |datagram: DatagramRef<'_>| {
            receive(now, datagram).is_some_and(|input| rtc.accepts(&input))
        };
        let Some(datagram) = self.early_dtls.take(is_proved) else { return Ok(false) };
        if let Some(input) = receive(now, datagram.as_ref()) {
            self.take_in(input, &datagram.contents)?;
        }
        Ok(true)
    }

    /// Lets time pass.
    pub fn handle_timeout(&mut self, now: Instant) {
        if !self.is_up() {
            return;
        }
        self.advance(now);
        if let Err(error) = self.rtc.handle_input(Input::Timeout(self.now)) {
            self.fail_with(&error);
        }
    }

    /// Sends a message of at most [`MAX_RECORD`] bytes on `channel`. `false`
    /// means that there is no room, or that the channel is not open yet: see
    /// [`Self::room`]. It is an error to name a channel that this lane does not
    /// carry or that was closed, or to write too long a message.
    pub fn write(&mut self, now: Instant, channel: Channel, data: &[u8]) -> Result<bool, Error> {
        if data.len() > MAX_RECORD {
            return Err(Error::misuse("a message longer than a record"));
        }
        if !self.is_up() || !self.channels.is_usable(channel)? {
            return Ok(false);
        }
        if now > self.now + CLOCK_SLACK {
            self.handle_timeout(now);
        }
        // A message longer than its window still passes, alone.
        let empty = self.channels.buffered(&mut self.rtc, channel) == 0;
        let blocked = !empty || self.channels.is_held(channel);
        if blocked && self.room(channel) < data.len() {
            self.channels.set_starved(channel);
            return Ok(false);
        }
        if channel.is_ordered() && self.channels.unordered(&mut self.rtc) > 0 {
            return Ok(self.write_before_unordered(channel, data));
        }
        Ok(self.write_now(channel, data))
    }

    fn write_now(&mut self, channel: Channel, data: &[u8]) -> bool {
        match self.channels.write(&mut self.rtc, channel, data) {
            Ok(true) => {
                self.metrics.message_bytes_out += data.len() as u64;
                true
            }
            Ok(false) => {
                self.channels.set_starved(channel);
                false
            }
            Err(error) => {
                self.fail_with(&error);
                false
            }
        }
    }

    /// SCTP sends unordered messages before ordered ones. An unordered channel that
    /// is filled again as soon as it has room would keep control waiting for ever
    /// (`TB-PRIORITY`). So if a message did not leave at once, nothing more that
    /// is not ordered is taken until it did.
    fn write_before_unordered(&mut self, channel: Channel, data: &[u8]) -> bool {
        self.drain();
        let before = self.metrics.bytes_out;
        let written = self.write_now(channel, data);
        if written {
            self.drain();
            if self.metrics.bytes_out - before < data.len() as u64 {
                self.channels.hold_unordered();
            }
        }
        written
    }

    /// Bytes that [`Self::write`] will take on `channel` now: what is free of
    /// its window, and 0 if it is not open. Where it is less than half of the
    /// window, a [`LaneEvent::Writable`] will follow.
    pub fn room(&mut self, channel: Channel) -> usize {
        if self.is_up() { self.channels.room(&mut self.rtc, channel) } else { 0 }
    }

    /// Bytes written to `channel` that the peer has not acknowledged.
    pub fn buffered(&mut self, channel: Channel) -> usize {
        if self.is_up() { self.channels.buffered(&mut self.rtc, channel) } else { 0 }
    }

    /// Sets the window of `file`, clamped as [`LaneConfig::window_bytes`] is.
    pub fn set_window(&mut self, bytes: usize) {
        self.channels.set_file_window(bytes);
    }

    /// Closes the lane. What was written and not acknowledged may be lost: wait
    /// for [`Self::buffered`] to be 0 first. The stack tells the peer by DTLS
    /// (`TB-CLOSE`), and [`LaneEvent::Closed`] follows.
    pub fn close(&mut self) {
        match self.phase {
            Phase::AwaitRemote => {
                self.phase = Phase::Closing;
                self.rtc.disconnect();
            }
            Phase::Live => {
                self.phase = Phase::Closing;
                if let Err(error) = self.rtc.close() {
                    self.fail_with(&error);
                }
            }
            Phase::Closing | Phase::Dead => {}
        }
    }

    /// The lane's number within its connection.
    pub fn number(&self) -> u16 {
        self.number
    }

    /// Whether DTLS is up and the lane neither closed nor failed.
    pub fn is_connected(&self) -> bool {
        self.connected && self.phase == Phase::Live
    }

    /// Whether the lane was closed or failed, and its last event handed out.
    pub fn is_over(&self) -> bool {
        self.phase == Phase::Dead && self.outputs.is_empty()
    }

    /// The counters so far.
    pub fn metrics(&self) -> LaneMetrics {
        self.metrics
    }

    /// Starts DTLS, once. Its clock must not run while the addresses are still
    /// on their way, so the active side starts it when there is a path, and the
    /// passive side when the first datagram of it comes.
    fn start_dtls(&mut self) -> Result<(), RtcError> {
        if std::mem::replace(&mut self.dtls_started, true) {
            return Ok(());
        }
        self.metrics.datagrams_refused += self.early_dtls.give_up();
        // TB-ROLES
        self.rtc.direct_api().start_dtls(self.role == Role::Initiator)
    }

    fn is_up(&self) -> bool {
        matches!(self.phase, Phase::AwaitRemote | Phase::Live)
    }

    fn advance(&mut self, now: Instant) {
        self.now = self.now.max(now);
    }
}

/// Whether the datagram is DTLS, by its first byte (`TB-DEMUX`, RFC 7983).
fn is_dtls(contents: &[u8]) -> bool {
    matches!(contents.first(), Some(20..=63))
}

/// A datagram as the stack wants it, if it is STUN or DTLS (`TB-DEMUX`).
fn receive(now: Instant, datagram: DatagramRef<'_>) -> Option<Input<'_>> {
    if !is_dtls(datagram.contents) && !matches!(datagram.contents.first(), Some(0..=3)) {
        return None;
    }
    let contents = DatagramRecv::try_from(datagram.contents).ok()?;
    let DatagramRef { source, destination, .. } = datagram;
    Some(Input::Receive(now, Receive { proto: Protocol::Udp, source, destination, contents }))
}
