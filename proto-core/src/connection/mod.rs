//! A connection: one peer, one session, any number of transfers.
//!
//! [`Connection`] joins the handshake, the sealed channels, the transfers and
//! the timers. It knows ordered messages on four channels and nothing of what
//! carries them. The files of this folder: `config` and `event` are what goes in
//! and out, `established` holds the state behind the handshake, `dispatch`
//! takes frames in, `fill` writes records out, `messages` is what waits of the
//! embedder's own, `rate` slows data down, `keys` and `update` hold the keys and
//! their updates, `lanes` the further lanes, `timer` says when to wake.

mod comparing;
mod config;
mod dispatch;
mod established;
mod event;
mod fill;
mod keys;
mod lanes;
mod messages;
mod rate;
mod resuming;
mod timer;
mod update;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

pub use self::config::{Config, Timers};
pub use self::event::Event;
pub use self::messages::MessageQueue;
pub use self::timer::TimerKind;
pub use self::update::{UpdateEvent, UpdateState};
pub use crate::transfer::{Completion, Progress, TransferEvent, TransferState};

use self::established::Established;
use self::timer::earliest;
use crate::crypto::Entropy;
use crate::error::{Blame, Error, ErrorCode};
use crate::frame::{EntryRange, Message};
use crate::handshake::{self, Resumption, ResumptionId, initiator, responder};
use crate::ids::{Channel, Role, Token, TransferId};
use crate::manifest::Manifest;
use crate::storage::{Have, StorageReply, StorageRequest};

/// A record that is ready to go: send the buffer as one message over `channel` of
/// `lane`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transmit {
    /// The lane: 0, unless the caller opened others.
    pub lane: u16,
    /// The channel.
    pub channel: Channel,
}

/// One end of a connection.
///
/// # Driving it
///
/// Time and entropy come in as arguments; nothing is done behind the caller's
/// back. Call any one of the mutating methods (`handle_*`, [`offer`](Self::offer),
/// [`accept`](Self::accept), …), then drain, in this order, each until it gives
/// nothing more:
///
/// 1. [`poll_event`](Self::poll_event)
/// 2. [`poll_storage`](Self::poll_storage)
/// 3. [`poll_transmit`](Self::poll_transmit)
///
/// and then ask [`poll_timeout`](Self::poll_timeout) when to call
/// [`handle_timeout`](Self::handle_timeout) at the latest. `poll_transmit` may
/// make further events and requests, so drain those again if it gave anything.
///
/// Each channel sends only while [`handle_writable`](Self::handle_writable) said
/// that there is room: on `file` for the whole record, on `control` for its
/// beginning, so that what steers a transfer is never stuck for want of a byte. The
/// caller owns every buffer: the one that `poll_transmit` fills, the messages given to
/// `handle_message` (opened in place), and those that travel with storage requests.
///
/// Errors that end the connection are told by [`Event::Closed`], not by the
/// methods' results; those report misuse by the caller. One case is nobody's fault: the
/// peer may have ended the connection or the transfer that a call is about, and the event
/// that says so waits to be polled. Then, and when the caller goes on after that event, the
/// error's blame is [`Blame::Circumstance`], and nothing has happened.
///
/// No input from the peer makes any method panic (`OV-NO-PANIC`).
///
/// # Example
///
/// Two connections and a loop are all that a handshake needs:
///
/// ```
/// use std::time::Instant;
/// use passel_proto::connection::{Config, Connection};
/// use passel_proto::crypto::Secret32;
/// use passel_proto::handshake::{Auth, TransportBinding};
/// use passel_proto::ids::Channel;
///
/// # fn main() -> Result<(), passel_proto::error::Error> {
/// let binding = TransportBinding { initiator: vec![1; 32], responder: vec![2; 32] };
/// let config = || Config::new(Auth::Psk(Secret32::new([7; 32])), binding.clone());
/// # #[allow(clippy::disallowed_methods)]
/// let now = Instant::now();
/// // In earnest, seeds come from the system's CSPRNG.
/// let mut joiner = Connection::initiator(config(), [1; 32], now)?;
/// let mut creator = Connection::responder(config(), [2; 32], now)?;
/// let mut record = Vec::new();
/// while !(joiner.is_established() && creator.is_established()) {
///     for side in [&mut joiner, &mut creator] {
///         side.handle_writable(Channel::Control, 64 * 1024);
///     }
///     while let Some(transmit) = joiner.poll_transmit(now, &mut record) {
///         creator.handle_message(now, transmit.channel, &mut record);
///     }
///     while let Some(transmit) = creator.poll_transmit(now, &mut record) {
///         joiner.handle_message(now, transmit.channel, &mut record);
///     }
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Connection {
    role: Role,
    config: Config,
    entropy: Entropy,
    phase: Phase,
    /// Plain handshake messages on their way out; at most two.
    handshake_out: VecDeque<Vec<u8>>,
    /// Events from outside an established session.
    events: VecDeque<Event>,
    room: [usize; 4],
    started: Instant,
    /// Whether a handshake alert was this side's last word.
    alerted: bool,
}

#[derive(Debug)]
#[allow(clippy::large_enum_variant)] // one per connection, and it is replaced
enum Phase {
    AwaitHelloR(initiator::ExpectHello),
    AwaitHelloI(responder::ExpectHello),
    AwaitConfirm(responder::ExpectConfirm),
    Established(Box<Established>),
    Closed,
}

impl Connection {
    /// The side that sends the first hello: the peer that joined the invitation.
    /// `seed` is 32 bytes from a CSPRNG, never used twice.
    ///
    /// # Errors
    ///
    /// Misuse only: a configuration outside its limits.
    pub fn initiator(config: Config, seed: [u8; 32], now: Instant) -> Result<Self, Error> {
        config.check()?;
        let mut entropy = Entropy::from_seed(seed);
        let (expect, hello) = initiator::start(config.handshake(), &mut entropy)?;
        let phase = Phase::AwaitHelloR(expect);
        Ok(Self::new(Role::Initiator, config, entropy, phase, Some(hello), now))
    }

    /// The side that answers the first hello: the peer that made the invitation.
    /// `seed` is 32 bytes from a CSPRNG, never used twice.
    ///
    /// # Errors
    ///
    /// Misuse only: a configuration outside its limits.
    pub fn responder(config: Config, seed: [u8; 32], now: Instant) -> Result<Self, Error> {
        config.check()?;
        let entropy = Entropy::from_seed(seed);
        let phase = Phase::AwaitHelloI(responder::ExpectHello::new(config.handshake())?);
        Ok(Self::new(Role::Responder, config, entropy, phase, None, now))
    }

    fn new(
        role: Role,
        config: Config,
        entropy: Entropy,
        phase: Phase,
        hello: Option<Vec<u8>>,
        now: Instant,
    ) -> Self {
        Self {
            role,
            config,
            entropy,
            phase,
            handshake_out: hello.into_iter().collect(),
            events: VecDeque::new(),
            room: [0; 4],
            started: now,
            alerted: false,
        }
    }

    /// This side's role in the handshake.
    pub fn role(&self) -> Role {
        self.role
    }

    /// Whether the handshake is confirmed and the connection open.
    pub fn is_established(&self) -> bool {
        matches!(&self.phase, Phase::Established(session) if !session.is_closing())
    }

    /// Whether the connection is over and has nothing more to send.
    pub fn is_closed(&self) -> bool {
        let is_over = match &self.phase {
            Phase::Established(session) => session.is_over(),
            Phase::Closed => true,
            _ => false,
        };
        is_over && self.handshake_out.is_empty()
    }

    /// Whether this side had the last word, so that the transport should stay
    /// until the peer has heard it.
    pub fn said_last_word(&self) -> bool {
        match &self.phase {
            Phase::Established(session) => session.close_sent,
            _ => self.alerted,
        }
    }

    /// The transport can take `room` bytes of further messages on `channel`.
    /// Replaces what was said before.
    pub fn handle_writable(&mut self, channel: Channel, room: usize) {
        self.room[usize::from(channel.id())] = room;
    }

    /// The transport below heard the peer, then, by means of its own, such as an
    /// answered connectivity check. The idle timer then waits longer for records, which
    /// may be lost time and again, up to [`Timers::idle_limit`] (`FC-IDLE-LIMIT`).
    pub fn handle_path_alive(&mut self, at: Instant) {
        if let Phase::Established(session) = &mut self.phase {
            session.path_alive = session.path_alive.max(at);
        }
    }

    /// Takes one message of the peer. A sealed record is opened in place, so
    /// `message` holds its plaintext, or nothing of use, afterwards.
    pub fn handle_message(&mut self, now: Instant, channel: Channel, message: &mut [u8]) {
        if let Phase::Established(session) = &mut self.phase {
            session.handle_record(now, (0, channel), message);
            return;
        }
        if matches!(self.phase, Phase::Closed) {
            return;
        }
        let result = if channel == Channel::Control {
            self.handle_handshake(now, message)
        } else {
            // HS-FIRST, OV-CONFIRMED-ONLY: nothing is released before confirmation.
            Err(Error::peer(ErrorCode::ProtocolViolation, "data came before the handshake"))
        };
        if let Err(error) = result {
            self.abort_handshake(error);
        }
    }

    fn handle_handshake(&mut self, now: Instant, message: &[u8]) -> Result<(), Error> {
        if let Some(error) = handshake::parse_alert(message) {
            self.close_with(Some(error));
            return Ok(());
        }
        // HS-SAS-ONE: a state is used up, so that a failure leaves no second try.
        match std::mem::replace(&mut self.phase, Phase::Closed) {
            Phase::AwaitHelloR(expect) => {
                let (session, confirm) = expect.handle(message)?;
                self.handshake_out.push_back(confirm);
                self.establish(&session, now);
                Ok(())
            }
            Phase::AwaitHelloI(expect) => {
                let (expect, hello) = expect.handle(message, &mut self.entropy)?;
                self.handshake_out.push_back(hello);
                self.phase = Phase::AwaitConfirm(expect);
                Ok(())
            }
            Phase::AwaitConfirm(expect) => {
                let session = expect.handle(message)?;
                self.establish(&session, now);
                Ok(())
            }
            Phase::Established(_) | Phase::Closed => Ok(()),
        }
    }

    fn establish(&mut self, session: &handshake::Session, now: Instant) {
        let entropy = self.entropy.fork();
        let mut established =
            Established::new(self.role, self.config.clone(), session, entropy, now);
        let agreed = established.agree_on_lanes(session);
        self.phase = Phase::Established(Box::new(established));
        self.events
            .push_back(Event::Established { auth: session.auth_mode(), suite: session.suite() });
        // HS-SAS-GATE: shown first of all.
        self.events.extend(session.sas().map(|sas| Event::Sas { sas: *sas }));
        if let (Err(error), Phase::Established(session)) = (agreed, &mut self.phase) {
            session.fail(now, error);
        }
    }

    /// The handshake failed on this side: says so to the peer, and ends.
    fn abort_handshake(&mut self, error: Error) {
        self.handshake_out.push_back(handshake::alert(&error));
        self.alerted = true;
        self.close_with(Some(error));
    }

    fn close_with(&mut self, error: Option<Error>) {
        self.phase = Phase::Closed;
        self.events.push_back(Event::Closed { error });
    }

    /// Takes an answer of the caller's storage. One for a transfer that is over
    /// is ignored.
    ///
    /// # Errors
    ///
    /// Misuse: an answer to a request that was not made.
    pub fn handle_storage(&mut self, now: Instant, reply: StorageReply) -> Result<(), Error> {
        match &mut self.phase {
            Phase::Established(session) => session.handle_storage(now, reply),
            _ => Ok(()),
        }
    }

    /// Does what has become due. Calling it early is harmless.
    pub fn handle_timeout(&mut self, now: Instant) {
        let deadline = self.handshake_deadline();
        match &mut self.phase {
            Phase::Established(session) => session.handle_timeout(now),
            Phase::Closed => {}
            _ if now >= deadline => {
                // HS-TIMEOUT
                let error = Error::new(
                    Blame::Circumstance,
                    ErrorCode::HandshakeTimeout,
                    "the peer did not finish the handshake in time",
                );
                self.abort_handshake(error);
            }
            _ => {}
        }
    }

    fn handshake_deadline(&self) -> Instant {
        self.started + self.config.timers.handshake
    }

    /// The transport below ended: closes the connection without a word to the
    /// peer, who cannot hear it any more.
    pub fn handle_transport_closed(&mut self, error: Option<Error>) {
        match &mut self.phase {
            Phase::Closed => {}
            Phase::Established(session) => session.transport_closed(error),
            _ => {
                let error = error.unwrap_or_else(|| {
                    Error::new(
                        Blame::Circumstance,
                        ErrorCode::TransportFailed,
                        "the peer went away during the handshake",
                    )
                });
                self.close_with(Some(error));
            }
        }
        self.handshake_out.clear();
    }

    /// Says whether both screens show the same ([`Event::Sas`]): only a person who
    /// has seen both can know. Until it was said that they do, nothing can be
    /// offered, accepted or kept, and an offer of the peer is not told
    /// (`HS-SAS-GATE`). If they do not, the connection ends with `SAS_MISMATCH`.
    ///
    /// # Errors
    ///
    /// Misuse: no comparison is awaited.
    pub fn confirm_sas(&mut self, now: Instant, matches: bool) -> Result<(), Error> {
        match &mut self.phase {
            Phase::Established(session) => session.confirm_sas(now, matches),
            _ => Err(Error::misuse("no comparison is awaited")),
        }
    }

    /// Offers files. The manifest is sent whole, page by page, before the peer
    /// can answer. `note` is shown to the peer's user, at most
    /// [`MAX_NOTE`](crate::limits::MAX_NOTE) bytes.
    ///
    /// # Errors
    ///
    /// Misuse: the connection is not established, or nobody has compared what the
    /// two sides show ([`confirm_sas`](Self::confirm_sas)), the note is too long, the
    /// manifest is empty, or too many transfers are under way.
    pub fn offer(
        &mut self,
        now: Instant,
        manifest: impl Into<Arc<Manifest>>,
        note: &str,
    ) -> Result<TransferId, Error> {
        let token = Token(self.entropy.array());
        self.offer_again(now, manifest, note, token)
    }

    /// Offers a transfer that was offered before, over an earlier connection, so
    /// that it can go on: `token` is what [`token`](Self::token) said of it then.
    /// The files may have changed meanwhile (`RS-SAME-ENTRY`).
    ///
    /// # Errors
    ///
    /// As for [`offer`](Self::offer).
    pub fn offer_again(
        &mut self,
        now: Instant,
        manifest: impl Into<Arc<Manifest>>,
        note: &str,
        token: Token,
    ) -> Result<TransferId, Error> {
        self.session()?.offer(now, manifest.into(), note, token)
    }

    /// Accepts an offer whose manifest is whole ([`Event::Offered`]): all of it,
    /// or the entries in `selection`, ascending and apart.
    ///
    /// # Errors
    ///
    /// Misuse: no such offer, or a selection that is not of its entries.
    pub fn accept(
        &mut self,
        now: Instant,
        transfer: TransferId,
        selection: Option<Vec<EntryRange>>,
    ) -> Result<(), Error> {
        self.session()?.accept(now, transfer, selection, &[])
    }

    /// Like [`accept`](Self::accept), with what the caller's journal holds of
    /// this transfer (`RS-HAVE`), which it knows by its [`token`](Self::token).
    /// Only for files whose entries are what they were
    /// ([`Manifest::entry_digest`]). What is not selected, is damaged, or is too
    /// much is left out and sent again.
    ///
    /// # Errors
    ///
    /// As for [`accept`](Self::accept), and for two states of one file.
    pub fn accept_having(
        &mut self,
        now: Instant,
        transfer: TransferId,
        selection: Option<Vec<EntryRange>>,
        have: &[Have],
    ) -> Result<(), Error> {
        self.session()?.accept(now, transfer, selection, have)
    }

    /// Rejects an offer. The peer is told the error's code, and its text unless
    /// the blame is local.
    ///
    /// # Errors
    ///
    /// Misuse: no such offer, or it is answered.
    pub fn reject(
        &mut self,
        now: Instant,
        transfer: TransferId,
        error: Error,
    ) -> Result<(), Error> {
        self.session()?.reject(now, transfer, error)
    }

    /// Pauses a transfer of either direction: no more data is sent until both
    /// sides want it. What is under way is still taken.
    ///
    /// # Errors
    ///
    /// Misuse: no such transfer, not accepted yet, or paused by this side.
    pub fn pause(&mut self, now: Instant, transfer: TransferId) -> Result<(), Error> {
        self.session()?.set_paused(now, transfer, true)
    }

    /// Ends this side's pause.
    ///
    /// # Errors
    ///
    /// Misuse: no such transfer, or not paused by this side.
    pub fn resume(&mut self, now: Instant, transfer: TransferId) -> Result<(), Error> {
        self.session()?.set_paused(now, transfer, false)
    }

    /// Ends a transfer of either direction, for the peer too.
    ///
    /// # Errors
    ///
    /// Misuse: no such transfer.
    pub fn cancel(
        &mut self,
        now: Instant,
        transfer: TransferId,
        error: Error,
    ) -> Result<(), Error> {
        self.session()?.cancel(now, transfer, error)
    }

    /// Limits how fast this side sends data, in bytes of records a second: of one
    /// transfer that it offered, or of all together. Both limits hold; `None`
    /// removes one. It may be changed at any time (`FC-RATE`).
    ///
    /// Over any span of time no more goes out than the rate allows for it and 20
    /// ms more, and one record. When data is held back,
    /// [`TimerKind::Rate`] tells when it may go.
    ///
    /// # Errors
    ///
    /// Misuse: the connection is not established, this side does not send such a
    /// transfer, or the limit is 0, for which there is [`pause`](Self::pause).
    pub fn set_rate_limit(
        &mut self,
        now: Instant,
        transfer: Option<TransferId>,
        bytes_per_second: Option<u64>,
    ) -> Result<(), Error> {
        self.session()?.set_rate_limit(now, transfer, bytes_per_second)
    }

    /// The limit of a transfer, or of all together, in bytes a second.
    pub fn rate_limit(&self, transfer: Option<TransferId>) -> Option<u64> {
        self.session_ref()?.rates.get(transfer)
    }

    /// Queues a message for the peer's embedder, on `reliable` or `unreliable`
    /// (`FC-MESSAGE`). How much waits is told by
    /// [`queued_messages`](Self::queued_messages).
    ///
    /// On `reliable` messages arrive whole, in order and once, or the connection
    /// ends. The queue holds at most
    /// [`MESSAGES_HIGH`](crate::limits::MESSAGES_HIGH) bytes: a message above that
    /// is refused, [`Event::Backpressure`] follows, and [`Event::Drained`] once
    /// [`MESSAGES_LOW`](crate::limits::MESSAGES_LOW) bytes or fewer wait. On
    /// `unreliable` they may be lost and come in any order; there the oldest
    /// are dropped to make room for the newest. Those of an initiator wait for a first
    /// record of the responder (`HS-AFTER-CONFIRM`).
    ///
    /// A close drops what waits here, and may overtake what was sent: who wants
    /// to know that a message arrived has it answered.
    ///
    /// # Errors
    ///
    /// Misuse: the connection is not established, the channel is neither of the
    /// two, the message is longer than [`MAX_MESSAGE`](crate::limits::MAX_MESSAGE),
    /// or the queue is full.
    pub fn send_message(
        &mut self,
        now: Instant,
        channel: Channel,
        message: Message,
    ) -> Result<(), Error> {
        self.session()?.send_message(now, channel, message)
    }

    /// What waits of messages for `channel`; nothing for the other channels, or
    /// before the connection is established.
    pub fn queued_messages(&self, channel: Channel) -> MessageQueue {
        self.session_ref().map(|session| session.messages.queued(channel)).unwrap_or_default()
    }

    /// Closes the connection. What is queued on `control` is sent first, then
    /// CLOSE; [`Event::Closed`] follows. `error` is what the peer is told;
    /// `None` means that the work is done.
    pub fn close(&mut self, now: Instant, error: Option<Error>) {
        match &mut self.phase {
            Phase::Established(session) => session.close(now, error),
            Phase::Closed => {}
            _ => {
                let told = error.unwrap_or_else(|| {
                    Error::new(
                        Blame::Circumstance,
                        ErrorCode::Cancelled,
                        "the peer left before the handshake was done",
                    )
                });
                self.abort_handshake(told);
            }
        }
    }

    /// What to keep for a later session with this peer, once the connection is
    /// established: see [`Auth::Resume`](handshake::Auth::Resume). A side that
    /// stores it keeps beside it the secret that this session was resumed by
    /// ([`resumed_from`](Self::resumed_from)), and no other, until
    /// [`is_resumption_settled`](Self::is_resumption_settled) (`HS-RESUME-KEEP`).
    pub fn resumption(&self) -> Option<Resumption> {
        Some(self.session_ref()?.resuming.kept().clone())
    }

    /// The name of the secret that this session was resumed by, if it was.
    pub fn resumed_from(&self) -> Option<ResumptionId> {
        self.session_ref()?.resuming.from()
    }

    /// This side has made the secret of [`resumption`](Self::resumption) durable;
    /// tells the peer.
    ///
    /// # Errors
    ///
    /// Misuse: the connection is not established, or this was said before.
    pub fn confirm_resumption_stored(&mut self, now: Instant) -> Result<(), Error> {
        let session = self.session()?;
        session.confirm_resumption_stored()?;
        session.tidy(now);
        Ok(())
    }

    /// Whether both sides have said that they stored the new secret, so that
    /// every older one of theirs is to be forgotten (`HS-RESUME-ONCE`).
    pub fn is_resumption_settled(&self) -> bool {
        self.session_ref().is_some_and(|session| session.resuming.is_settled())
    }

    /// The manifest of a transfer that is under way; of an incoming one, once
    /// all of it is here.
    pub fn manifest(&self, transfer: TransferId) -> Option<&Arc<Manifest>> {
        self.session_ref()?.manifest(transfer)
    }

    /// What names a transfer that is under way beyond this connection
    /// (`RS-TOKEN`).
    pub fn token(&self, transfer: TransferId) -> Option<Token> {
        self.session_ref()?.token(transfer)
    }

    /// The note of an incoming offer. Untrusted text: escape it before showing.
    pub fn note(&self, transfer: TransferId) -> Option<&str> {
        self.session_ref()?.note(transfer)
    }

    /// How far a transfer is that is under way.
    pub fn progress(&self, transfer: TransferId) -> Option<Progress> {
        self.session_ref()?.progress(transfer)
    }

    /// Asks the peer for new keys, as the connection does by itself every few
    /// minutes (`RL-UPDATE-DUE`). If the keys before these are still kept for late
    /// records, it is done when they are gone; if an update is under way, that
    /// one will do. Data is not held up.
    ///
    /// # Errors
    ///
    /// Misuse: the connection is not established, or has had its last epoch.
    pub fn update_keys(&mut self, now: Instant) -> Result<(), Error> {
        self.session()?.update_keys(now)
    }

    /// The epoch in which this side sends: 0 at first, one more after each update
    /// of the keys. Nothing before the connection is established.
    pub fn key_epoch(&self) -> Option<u16> {
        match &self.phase {
            Phase::Established(session) => Some(session.keys.epoch()),
            _ => None,
        }
    }

    fn session(&mut self) -> Result<&mut Established, Error> {
        let closing = || {
            let code = ErrorCode::TransportFailed;
            Error::new(Blame::Circumstance, code, "the connection is closing or closed")
        };
        match &mut self.phase {
            Phase::Closed => Err(closing()),
            Phase::Established(session) if session.is_closing() => Err(closing()),
            Phase::Established(session) if !session.comparison.is_settled() => {
                // HS-SAS-GATE
                Err(Error::misuse("nobody has compared yet what the two sides show"))
            }
            Phase::Established(session) => Ok(session),
            _ => Err(Error::misuse("the connection is not established")),
        }
    }

    fn session_ref(&self) -> Option<&Established> {
        match &self.phase {
            Phase::Established(session) if session.comparison.is_settled() => Some(session),
            _ => None,
        }
    }

    /// The next piece of news.
    pub fn poll_event(&mut self) -> Option<Event> {
        if let Some(event) = self.events.pop_front() {
            return Some(event);
        }
        match &mut self.phase {
            Phase::Established(session) if session.may_tell() => session.out.events.pop_front(),
            _ => None,
        }
    }

    /// The next request to the caller's storage.
    pub fn poll_storage(&mut self) -> Option<StorageRequest> {
        match &mut self.phase {
            Phase::Established(session) => session.out.storage.pop_front(),
            _ => None,
        }
    }

    /// Writes the next record into `buf`, whose content is replaced and whose
    /// capacity is used again and again. `None` if there is nothing to send or
    /// no room for it.
    pub fn poll_transmit(&mut self, now: Instant, buf: &mut Vec<u8>) -> Option<Transmit> {
        buf.clear();
        if let Some(message) = self.handshake_out.pop_front() {
            buf.extend_from_slice(&message);
            return Some(Transmit { lane: 0, channel: Channel::Control });
        }
        let Phase::Established(session) = &mut self.phase else { return None };
        let transmit = session.fill(now, &self.room, buf)?;
        if transmit.lane == 0 {
            let room = &mut self.room[usize::from(transmit.channel.id())];
            *room = room.saturating_sub(buf.len());
        }
        Some(transmit)
    }

    /// When to call [`handle_timeout`](Self::handle_timeout) at the latest, and
    /// what for.
    pub fn poll_timeout(&self) -> Option<(Instant, TimerKind)> {
        match &self.phase {
            Phase::Established(session) => earliest(session.timers()),
            Phase::Closed => None,
            _ => Some((self.handshake_deadline(), TimerKind::Handshake)),
        }
    }
}
