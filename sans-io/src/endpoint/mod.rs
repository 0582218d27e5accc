//! One peer: sealed signaling, a lane and the connection above it, as one state
//! machine without I/O.
//!
//! [`Endpoint`] does the wiring and nothing else: descriptions go through the
//! signaling session, datagrams to the lane, messages to the connection. What a
//! frame means is `passel-proto`'s; what a datagram means is the lane's. The
//! files: `attempts` says when lanes may be opened, `config` is what goes in and out, `drive` is the drain, `further` the
//! transports of further lanes, `growth` how many there shall be, `sizes` how
//! large their datagrams are, `lanes` what joins these to the connection,
//! `relaying` what joins servers to lane 0.

mod attempts;
mod config;
mod drive;
mod further;
mod growth;
mod lanes;
mod relaying;
mod sizes;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub use self::config::{CONNECT_TIMEOUT, EndpointConfig, EndpointEvent};

use self::attempts::Attempts;
use self::config::ForConnection;
use self::further::Further;
use self::growth::Growth;
use self::sizes::Sizes;
use passel_proto::connection::{Connection, MessageQueue, Progress, TimerKind};
use passel_proto::crypto::Entropy;
use passel_proto::error::{Blame, Error, ErrorCode};
use passel_proto::escape;
use passel_proto::frame::{EntryRange, Message};
use passel_proto::handshake::{Resumption, ResumptionId, TransportBinding};
use passel_proto::ids::{Channel, Role, Token, TransferId};
use passel_proto::limits::timers::CLOSE_LINGER;
use passel_proto::manifest::Manifest;
use passel_proto::signal::SignalSession;
use passel_proto::storage::{Have, StorageReply, StorageRequest};

use crate::datagram::{Datagram, DatagramRef};
use crate::description::{Candidate, SignalMessage, is_usable_address};
use crate::ice::Gatherer;
use crate::ice::turn::Relays;
use crate::lane::{Lane, LaneMetrics};

/// What a wake-up is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum EndpointTimer {
    /// The transport: retransmission, connectivity checks, consent.
    Transport,
    /// STUN and TURN servers: a request is to be sent, again or anew.
    Stun,
    /// No path was found in time.
    Connect,
    /// A timer of the connection.
    Connection(TimerKind),
    /// The transport closes, whether or not the last word arrived.
    Close,
}

/// One peer of a connection over WebRTC.
///
/// # Driving it
///
/// Call any one of the mutating methods, then drain, each until it gives nothing
/// more: [`poll_event`](Self::poll_event), [`poll_storage`](Self::poll_storage),
/// [`poll_signal`](Self::poll_signal), [`poll_datagram`](Self::poll_datagram).
/// Then ask [`poll_timeout`](Self::poll_timeout) when to call
/// [`handle_timeout`](Self::handle_timeout) at the latest.
///
/// Sealed blobs from [`poll_signal`](Self::poll_signal) go to the peer through
/// the rendezvous, in order; the peer gives them to
/// [`handle_signal`](Self::handle_signal). Before that, local addresses are made
/// known with [`add_local_candidate`](Self::add_local_candidate) and
/// [`start`](Self::start) is called once.
///
/// When [`is_done`](Self::is_done) says so, nothing more will come and the
/// endpoint can be dropped.
///
/// # Example
///
/// The joiner's side, up to the point where its blobs and datagrams would go out:
///
/// ```
/// use std::time::Instant;
/// use passel_proto::crypto::{Entropy, Secret32};
/// use passel_proto::ids::Role;
/// use passel_proto::signal::SignalSession;
/// use passel_sans_io::endpoint::{Endpoint, EndpointConfig};
/// use passel_sans_io::lane::{IceCredentials, LaneConfig};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// // In earnest, the seed comes from the system's CSPRNG.
/// let mut entropy = Entropy::from_seed([1; 32]);
/// let secret = Secret32::new([9; 32]);
/// let signal = SignalSession::joiner_link(&secret, b"routing id", &mut entropy)?;
/// let credentials = IceCredentials::from_seed(&entropy.array());
/// let lane = LaneConfig::new(Role::Initiator, 0, credentials);
/// let config = EndpointConfig::new(Role::Initiator, signal, lane, entropy.array());
/// # #[allow(clippy::disallowed_methods)]
/// let now = Instant::now();
/// let mut endpoint = Endpoint::new(config, now)?;
/// endpoint.add_local_candidate("192.0.2.1:5000".parse()?);
/// endpoint.start(now);
/// while let Some(blob) = endpoint.poll_signal() {
///     // Give it to the rendezvous; it is sealed and padded.
///     assert_eq!(blob.len() % 4, 0);
/// }
/// assert!(endpoint.poll_timeout().is_some());
/// # Ok(())
/// # }
/// ```
///
/// No datagram and no blob makes any method panic; a transport that dies is
/// [`Closed`](passel_proto::connection::Event::Closed) with an error.
pub struct Endpoint {
    role: Role,
    signal: SignalSession,
    lane: Lane,
    gatherer: Gatherer,
    relays: Relays,
    relay_only: bool,
    connection: Option<Connection>,
    seed: [u8; 32],
    for_connection: ForConnection,
    further: Further,
    growth: Growth,
    sizes: Sizes,
    attempts: Attempts,
    /// When this side's first word of the handshake went out. Its answer is the last
    /// that the handshake needs.
    asked: Option<Instant>,
    /// Bytes of data that were handed to lane 0, and that were delivered there.
    written: u64,
    delivered: u64,
    /// Bytes of data that were delivered over all lanes since the beginning.
    delivered_in_all: u64,
    /// A record whose delivery is awaited: its lane, the bytes written up to its
    /// end, and when.
    sample: Option<(u16, u64, Instant)>,
    local_fingerprint: [u8; 32],
    remote_fingerprint: Option<[u8; 32]>,
    description_sent: bool,
    connect_timeout: Duration,
    connect_by: Option<Instant>,
    /// Until when this side waits for its last word to arrive.
    close_by: Option<Instant>,
    closed: bool,
    events: VecDeque<EndpointEvent>,
    datagrams: VecDeque<Datagram>,
    lane_timeout: Option<Instant>,
    /// A record that the lane had no room for; it goes before any other.
    blocked: Option<(Channel, Vec<u8>)>,
    record: Vec<u8>,
}

impl std::fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Endpoint")
            .field("role", &self.role)
            .field("connection", &self.connection)
            .field("closed", &self.closed)
            .finish_non_exhaustive()
    }
}

impl Endpoint {
    /// A new endpoint, silent until [`start`](Self::start).
    ///
    /// # Errors
    ///
    /// Local: the transport cannot be set up.
    pub fn new(mut config: EndpointConfig, now: Instant) -> Result<Self, Error> {
        let for_connection = ForConnection::of(&mut config);
        let mut lane_config = config.lane;
        lane_config.role = config.role;
        lane_config.lane = 0;
        let mut entropy = Entropy::from_seed(config.seed);
        let further = Further::new(lane_config.clone(), entropy.fork(), config.connect_timeout);
        let first_size = *lane_config.mtu.start();
        let lane = Lane::new(lane_config, now)?;
        // With a generator of its own for each part that draws.
        let asks = !config.stun_servers.is_empty() || !config.turn_servers.is_empty();
        let takes_apart = config.lanes > 1 || asks;
        // TB-TURN-ONLY: nobody but relays is asked, and only lane 0 goes over them.
        let (only, stun) = (config.relay_only, &config.stun_servers[..]);
        let gatherer = Gatherer::new(if only { &[] } else { stun }, entropy.fork());
        let seed = if takes_apart { entropy.array() } else { config.seed };
        Ok(Self {
            role: config.role,
            signal: config.signal,
            local_fingerprint: lane.local_description().fingerprint,
            lane,
            gatherer,
            relays: Relays::new(&config.turn_servers, only, entropy.fork()),
            relay_only: only,
            connection: None,
            seed,
            for_connection,
            further,
            growth: Growth::new(),
            sizes: Sizes::new(first_size),
            attempts: Attempts::default(),
            asked: None,
            written: 0,
            delivered: 0,
            delivered_in_all: 0,
            sample: None,
            remote_fingerprint: None,
            description_sent: false,
            connect_timeout: config.connect_timeout,
            connect_by: None,
            close_by: None,
            closed: false,
            events: VecDeque::new(),
            datagrams: VecDeque::new(),
            lane_timeout: None,
            blocked: None,
            record: Vec::new(),
        })
    }

    /// Adds one of this side's addresses. Before [`start`](Self::start) it goes
    /// into the description, later it is sent on its own (trickle ICE). One that
    /// nobody could send to is left out; whether it was taken is the result.
    pub fn add_local_candidate(&mut self, address: SocketAddr) -> bool {
        if self.relay_only {
            // TB-TURN-ONLY: it is where servers are asked from, and no candidate.
            self.relays.add_base(address);
            return is_usable_address(&address);
        }
        let Some(candidate) = self.lane.add_local_candidate(address) else { return false };
        self.gatherer.add_base(address);
        self.relays.add_base(address);
        self.tell(candidate);
        true
    }

    /// What is not in the description goes on its own.
    fn tell(&mut self, candidate: Candidate) {
        if self.description_sent {
            self.send_signal(&SignalMessage::Candidates(vec![candidate]));
        }
    }

    /// Begins. The initiator describes itself at once; the responder waits for
    /// that, so that it answers only a peer that knows the secret.
    pub fn start(&mut self, now: Instant) {
        self.gatherer.start(now);
        self.relays.start(now);
        if self.role == Role::Initiator {
            self.connect_by = Some(now + self.connect_timeout);
            self.describe(now);
        }
    }

    fn describe(&mut self, now: Instant) {
        if !self.description_sent {
            self.description_sent = true;
            self.relays.on_told(now);
            let description = self.lane.local_description();
            self.send_signal(&SignalMessage::Description(description));
        }
    }

    fn send_signal(&mut self, message: &SignalMessage) {
        let sealed = message.encode().and_then(|bytes| self.signal.seal(&bytes));
        if let Err(error) = sealed {
            self.fail(error);
        }
    }

    /// Takes a blob that the peer sent through the rendezvous.
    pub fn handle_signal(&mut self, now: Instant, blob: &[u8]) {
        if self.closed || self.lane.is_connected() {
            return; // With a transport there is no use for more.
        }
        let taken = match self.signal.handle_blob(blob) {
            Ok(None) => return,
            Ok(Some(payload)) => SignalMessage::decode(&payload),
            Err(error) => Err(error),
        };
        let result = taken.and_then(|message| self.take_signal(now, message));
        match result {
            Ok(()) => self.drive(now),
            Err(error) => self.fail(error),
        }
    }

    fn take_signal(&mut self, now: Instant, message: SignalMessage) -> Result<(), Error> {
        match message {
            SignalMessage::Description(description) => {
                let fingerprint = description.fingerprint;
                self.lane.set_remote(description, now)?;
                self.remote_fingerprint = Some(fingerprint);
                self.events.push_back(EndpointEvent::Connecting);
                if self.role == Role::Initiator {
                    // The peer has this side's description, so it answers checks, and
                    // the first need not wait for the stack's pace.
                    self.lane.handle_timeout(now);
                }
                if self.role == Role::Responder {
                    self.connect_by = Some(now + self.connect_timeout);
                    self.describe(now);
                }
            }
            SignalMessage::Candidates(candidates) => {
                for candidate in candidates {
                    self.lane.add_remote_candidate(candidate);
                }
            }
            SignalMessage::EndOfCandidates => {}
            SignalMessage::Abort { code, text } => {
                let text = escape::reason(&text);
                return Err(
                    Error::new(Blame::Circumstance, ErrorCode::from_wire(code), text).told()
                );
            }
        }
        Ok(())
    }

    /// The next sealed blob for the peer.
    pub fn poll_signal(&mut self) -> Option<Vec<u8>> {
        self.signal.poll_blob()
    }

    /// Takes a datagram that came to one of the local addresses.
    pub fn handle_datagram(&mut self, now: Instant, datagram: DatagramRef<'_>) {
        self.handle_datagrams(now, std::iter::once(datagram));
    }

    /// Takes datagrams that came together. It is cheaper than one at a time.
    pub fn handle_datagrams<'a>(
        &mut self,
        now: Instant,
        datagrams: impl Iterator<Item = DatagramRef<'a>>,
    ) {
        for datagram in datagrams {
            if self.take_from_server(now, datagram) {
                continue;
            }
            let lane = &self.lane;
            match self.further.lane_for(datagram, || lane.accepts(datagram)) {
                Some(carrier) => carrier.handle_datagrams(now, std::iter::once(datagram)),
                None => self.lane.handle_datagram(now, datagram),
            }
        }
        self.drive(now);
    }

    /// Does what has become due. Calling it early is harmless.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.gatherer.handle_timeout(now);
        self.relays.handle_timeout(now);
        self.lane.handle_timeout(now);
        if let Some(connection) = &mut self.connection {
            connection.handle_timeout(now);
        }
        for number in self.further.handle_timeout(now) {
            self.end_lane(now, number);
        }
        if self.connect_by.is_some_and(|by| now >= by) {
            // TB-CONNECT-TIMEOUT
            self.connect_by = None;
            let text = match &self.remote_fingerprint {
                Some(_) => "no path to the peer was found in time",
                None => "the peer's answer did not come in time",
            };
            let code = ErrorCode::HandshakeTimeout;
            self.fail(Error::new(Blame::Circumstance, code, text));
        }
        if self.close_by.is_some_and(|by| now >= by) {
            self.close_by = None;
            self.lane.close();
        }
        self.drive(now);
    }

    /// Takes an answer of the caller's storage.
    ///
    /// # Errors
    ///
    /// Misuse: an answer to a request that was not made.
    pub fn handle_storage(&mut self, now: Instant, reply: StorageReply) -> Result<(), Error> {
        let result = match &mut self.connection {
            Some(connection) => connection.handle_storage(now, reply),
            None => Ok(()),
        };
        self.drive(now);
        result
    }

    /// Says whether both screens show the same; see [`Connection::confirm_sas`].
    ///
    /// # Errors
    ///
    /// Misuse, as there.
    pub fn confirm_sas(&mut self, now: Instant, matches: bool) -> Result<(), Error> {
        self.connection_mut()?.confirm_sas(now, matches)?;
        self.drive(now);
        Ok(())
    }

    /// Offers files; see [`Connection::offer`].
    ///
    /// # Errors
    ///
    /// Misuse, as there.
    pub fn offer(
        &mut self,
        now: Instant,
        manifest: impl Into<Arc<Manifest>>,
        note: &str,
    ) -> Result<TransferId, Error> {
        let id = self.connection_mut()?.offer(now, manifest, note)?;
        self.drive(now);
        Ok(id)
    }

    /// Accepts an offer; see [`Connection::accept`].
    ///
    /// # Errors
    ///
    /// Misuse, as there.
    pub fn accept(
        &mut self,
        now: Instant,
        transfer: TransferId,
        selection: Option<Vec<EntryRange>>,
    ) -> Result<(), Error> {
        self.connection_mut()?.accept(now, transfer, selection)?;
        self.drive(now);
        Ok(())
    }

    /// Offers a transfer of an earlier connection again; see [`Connection::offer_again`].
    ///
    /// # Errors
    ///
    /// Misuse, as there.
    pub fn offer_again(
        &mut self,
        now: Instant,
        manifest: impl Into<Arc<Manifest>>,
        note: &str,
        token: Token,
    ) -> Result<TransferId, Error> {
        let id = self.connection_mut()?.offer_again(now, manifest, note, token)?;
        self.drive(now);
        Ok(id)
    }

    /// Accepts an offer of which a part is there already; see
    /// [`Connection::accept_having`].
    ///
    /// # Errors
    ///
    /// Misuse, as there.
    pub fn accept_having(
        &mut self,
        now: Instant,
        transfer: TransferId,
        selection: Option<Vec<EntryRange>>,
        have: &[Have],
    ) -> Result<(), Error> {
        self.connection_mut()?.accept_having(now, transfer, selection, have)?;
        self.drive(now);
        Ok(())
    }

    /// What names a transfer beyond this connection; see [`Connection::token`].
    pub fn token(&self, transfer: TransferId) -> Option<Token> {
        self.connection.as_ref()?.token(transfer)
    }

    /// Rejects an offer; see [`Connection::reject`].
    ///
    /// # Errors
    ///
    /// Misuse, as there.
    pub fn reject(
        &mut self,
        now: Instant,
        transfer: TransferId,
        error: Error,
    ) -> Result<(), Error> {
        self.connection_mut()?.reject(now, transfer, error)?;
        self.drive(now);
        Ok(())
    }

    /// Pauses a transfer; see [`Connection::pause`].
    ///
    /// # Errors
    ///
    /// Misuse, as there.
    pub fn pause(&mut self, now: Instant, transfer: TransferId) -> Result<(), Error> {
        self.connection_mut()?.pause(now, transfer)?;
        self.drive(now);
        Ok(())
    }

    /// Ends this side's pause; see [`Connection::resume`].
    ///
    /// # Errors
    ///
    /// Misuse, as there.
    pub fn resume(&mut self, now: Instant, transfer: TransferId) -> Result<(), Error> {
        self.connection_mut()?.resume(now, transfer)?;
        self.drive(now);
        Ok(())
    }

    /// Ends a transfer for both sides; see [`Connection::cancel`].
    ///
    /// # Errors
    ///
    /// Misuse, as there.
    pub fn cancel(
        &mut self,
        now: Instant,
        transfer: TransferId,
        error: Error,
    ) -> Result<(), Error> {
        self.connection_mut()?.cancel(now, transfer, error)?;
        self.drive(now);
        Ok(())
    }

    /// Asks the peer for new keys, as the connection does by itself now and then; see
    /// [`Connection::update_keys`].
    ///
    /// # Errors
    ///
    /// Misuse, as there.
    pub fn update_keys(&mut self, now: Instant) -> Result<(), Error> {
        self.connection_mut()?.update_keys(now)?;
        self.drive(now);
        Ok(())
    }

    /// Limits how fast this side sends; see [`Connection::set_rate_limit`].
    ///
    /// # Errors
    ///
    /// Misuse, as there.
    pub fn set_rate_limit(
        &mut self,
        now: Instant,
        transfer: Option<TransferId>,
        bytes_per_second: Option<u64>,
    ) -> Result<(), Error> {
        self.connection_mut()?.set_rate_limit(now, transfer, bytes_per_second)?;
        self.drive(now);
        Ok(())
    }

    /// A limit that is set; see [`Connection::rate_limit`].
    pub fn rate_limit(&self, transfer: Option<TransferId>) -> Option<u64> {
        self.connection.as_ref()?.rate_limit(transfer)
    }

    /// Queues a message for the peer's embedder; see [`Connection::send_message`].
    ///
    /// # Errors
    ///
    /// Misuse, as there.
    pub fn send_message(
        &mut self,
        now: Instant,
        channel: Channel,
        message: Message,
    ) -> Result<(), Error> {
        let queued = self.connection_mut()?.send_message(now, channel, message);
        self.drive(now);
        queued
    }

    /// What waits of messages; see [`Connection::queued_messages`].
    pub fn queued_messages(&self, channel: Channel) -> MessageQueue {
        self.connection.as_ref().map(|open| open.queued_messages(channel)).unwrap_or_default()
    }

    /// Closes the connection, telling the peer why, and then the transport.
    /// Before there is a connection the peer is told through the signaling.
    pub fn close(&mut self, now: Instant, error: Option<Error>) {
        match &mut self.connection {
            Some(connection) => connection.close(now, error),
            None if !self.closed => {
                let error = error.unwrap_or_else(|| {
                    Error::new(Blame::Circumstance, ErrorCode::Cancelled, "the peer left")
                });
                self.abort(&error);
                self.fail(error);
            }
            None => {}
        }
        self.drive(now);
    }

    /// Tells the peer through the signaling that there will be no connection.
    fn abort(&mut self, error: &Error) {
        let text =
            if error.blame == Blame::Local { String::new() } else { escape::reason(&error.text) };
        let message = SignalMessage::Abort { code: error.code.to_wire(), text };
        if let Ok(bytes) = message.encode() {
            // Without keys there is nobody yet who could be told.
            let _ = self.signal.seal(&bytes);
        }
    }

    /// The peer left the rendezvous before a path was found.
    pub fn handle_signal_closed(&mut self, now: Instant, error: Error) {
        if self.connection.is_none() && !self.lane.is_connected() {
            self.fail(error);
        }
        self.drive(now);
    }

    fn connection_mut(&mut self) -> Result<&mut Connection, Error> {
        self.connection.as_mut().ok_or_else(|| Error::misuse("there is no connection yet"))
    }

    /// What to keep for a later session; see [`Connection::resumption`].
    pub fn resumption(&self) -> Option<Resumption> {
        self.connection.as_ref()?.resumption()
    }

    /// By which secret this session was resumed; see [`Connection::resumed_from`].
    pub fn resumed_from(&self) -> Option<ResumptionId> {
        self.connection.as_ref()?.resumed_from()
    }

    /// The secret of [`resumption`](Self::resumption) is durable here; see
    /// [`Connection::confirm_resumption_stored`].
    ///
    /// # Errors
    ///
    /// Misuse, as there.
    pub fn confirm_resumption_stored(&mut self, now: Instant) -> Result<(), Error> {
        self.connection_mut()?.confirm_resumption_stored(now)?;
        self.drive(now);
        Ok(())
    }

    /// Whether older secrets are to be forgotten; see
    /// [`Connection::is_resumption_settled`].
    pub fn is_resumption_settled(&self) -> bool {
        self.connection.as_ref().is_some_and(Connection::is_resumption_settled)
    }

    /// The manifest of a transfer; see [`Connection::manifest`].
    pub fn manifest(&self, transfer: TransferId) -> Option<&Arc<Manifest>> {
        self.connection.as_ref()?.manifest(transfer)
    }

    /// The note of an incoming offer; see [`Connection::note`].
    pub fn note(&self, transfer: TransferId) -> Option<&str> {
        self.connection.as_ref()?.note(transfer)
    }

    /// How far a transfer is; see [`Connection::progress`].
    pub fn progress(&self, transfer: TransferId) -> Option<Progress> {
        self.connection.as_ref()?.progress(transfer)
    }

    /// Counters of the transport.
    pub fn metrics(&self) -> LaneMetrics {
        self.lane.metrics()
    }

    /// The next piece of news.
    pub fn poll_event(&mut self) -> Option<EndpointEvent> {
        self.events.pop_front()
    }

    /// The next request to the caller's storage.
    pub fn poll_storage(&mut self) -> Option<StorageRequest> {
        self.connection.as_mut()?.poll_storage()
    }

    /// The next datagram to send. It may be lost, and if the socket has no room
    /// it may be dropped.
    pub fn poll_datagram(&mut self) -> Option<Datagram> {
        let waiting = self.datagrams.pop_front().or_else(|| self.gatherer.poll_datagram());
        waiting.or_else(|| self.relays.poll_datagram())
    }

    /// When to call [`handle_timeout`](Self::handle_timeout) at the latest, and
    /// what for.
    pub fn poll_timeout(&self) -> Option<(Instant, EndpointTimer)> {
        let growth = self.most_lanes().and_then(|_| self.growth.wake());
        let transport = [self.lane_timeout, self.further.timeout(), growth];
        let lane = transport.into_iter().flatten().min().map(|at| (at, EndpointTimer::Transport));
        let servers = [self.gatherer.poll_timeout(), self.relays.poll_timeout()];
        let stun = servers.into_iter().flatten().min().map(|at| (at, EndpointTimer::Stun));
        let connect = self.connect_by.map(|at| (at, EndpointTimer::Connect));
        let close = self.close_by.map(|at| (at, EndpointTimer::Close));
        let connection = self.connection.as_ref().and_then(Connection::poll_timeout);
        let connection = connection.map(|(at, kind)| (at, EndpointTimer::Connection(kind)));
        [lane, stun, connect, close, connection].into_iter().flatten().min()
    }

    /// Whether everything is over: events, blobs and datagrams are drained and
    /// nothing more will come.
    pub fn is_done(&self) -> bool {
        self.closed
            && self.events.is_empty()
            && self.datagrams.is_empty()
            && self.relays.is_quiet()
            && (self.lane.is_over() || self.remote_fingerprint.is_none())
    }

    /// Ends without a connection, or because the transport died.
    fn fail(&mut self, error: Error) {
        self.connect_by = None;
        self.gatherer.stop();
        if self.remote_fingerprint.is_none() {
            self.relays.release();
        }
        if let Some(connection) = &mut self.connection {
            connection.handle_transport_closed(Some(error));
        } else if !self.closed {
            self.closed = true;
            self.events.push_back(EndpointEvent::closed(Some(error)));
        }
        self.close_lanes();
        self.lane.close();
    }

    /// Both fingerprints, in the order of roles (`HS-BINDING`).
    fn binding(&self, remote: [u8; 32]) -> TransportBinding {
        let (local, remote) = (self.local_fingerprint.to_vec(), remote.to_vec());
        match self.role {
            Role::Initiator => TransportBinding { initiator: local, responder: remote },
            Role::Responder => TransportBinding { initiator: remote, responder: local },
        }
    }

    fn open_connection(&mut self, now: Instant) -> Result<(), Error> {
        if self.connection.is_some() {
            return Ok(());
        }
        let (Some(remote), Some(auth)) = (self.remote_fingerprint, self.signal.auth()) else {
            return Err(Error::misuse("a channel opened before the peer was described"));
        };
        let config = self.for_connection.config(auth.clone(), self.binding(remote));
        let connection = match self.role {
            Role::Initiator => {
                self.asked = Some(now);
                Connection::initiator(config, self.seed, now)?
            }
            Role::Responder => Connection::responder(config, self.seed, now)?,
        };
        self.seed = [0; 32];
        self.connect_by = None;
        self.connection = Some(connection);
        Ok(())
    }

    /// The connection is over. Whoever heard the last word ends the transport,
    /// which tells the other side that it was heard; whoever said it waits
    /// (`TB-CLOSE-AFTER`).
    fn on_closed(&mut self, now: Instant) {
        self.closed = true;
        self.close_lanes();
        if self.connection.as_ref().is_some_and(Connection::said_last_word) {
            self.close_by = Some(now + CLOSE_LINGER);
        } else {
            self.lane.close();
        }
    }
}

/// The transport went away and nobody is to blame.
fn lost(text: &'static str) -> Error {
    Error::new(Blame::Circumstance, ErrorCode::TransportFailed, text)
}
