//! One relayed address: asked for at one server from one of this side's own
//! addresses, kept, and released. What does not live here: which are asked for
//! (`super`), and how messages are written (`message`).

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::ops::Range;
use std::time::{Duration, Instant};

use passel_proto::crypto::Entropy;
use stun_types::attribute::ErrorCode;

use super::TurnServer;
use super::message::{self, Answer, Ask, From, Login};
use crate::datagram::{Datagram, DatagramRef};
use crate::description::is_usable_address;
use crate::ice::{FIRST_WAIT, LAST_WAIT, MAX_TRIES};

/// Peers of one allocation, each with a channel; what is for others is dropped.
pub(super) const MAX_PEERS: usize = 64;
/// Answers in a row that ask for other credentials, after which a request has failed.
const MAX_CHALLENGES: u32 = 3;
/// How often what stands at this side's address is released, in case an answer was lost.
const MAX_RELEASES: u32 = 4;
/// The first channel there is.
const FIRST_CHANNEL: u16 = 0x4000;
/// When a channel is bound again. The peer is let in for 300 s (RFC 8656, 9).
const RENEW_CHANNEL: Duration = Duration::from_secs(240);
/// Bounds of the time until an allocation is refreshed.
const RENEW: Range<u32> = 10..1800;

/// Where an allocation is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Nothing was sent yet.
    New,
    /// An answer is awaited.
    Asked,
    /// The address is there.
    Held { since: Instant },
    /// Refused, lost or released.
    Over,
}

/// A request that awaits its answer.
struct Request {
    ask: Ask,
    id: u128,
    contents: Vec<u8>,
    /// Times that it was sent.
    tries: u32,
    due: Instant,
    /// Answers in a row that asked for credentials.
    challenges: u32,
}

/// What became of a peer's channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Binding {
    Asked,
    Bound { renew: Instant },
    Refused,
}

struct Channel {
    number: u16,
    binding: Binding,
}

/// What an allocation draws from and writes to.
pub(super) struct Out<'a> {
    pub(super) entropy: &'a mut Entropy,
    pub(super) datagrams: &'a mut VecDeque<Datagram>,
}

impl Out<'_> {
    /// TB-TURN-ANSWER: 96 bits that nobody can guess.
    fn id(&mut self) -> u128 {
        u128::from_le_bytes(self.entropy.array()) >> 32
    }
}

/// A relayed address and how it came to be.
pub(super) struct Allocation {
    pub(super) base: SocketAddr,
    pub(super) server: TurnServer,
    /// When to ask for it, once asking has begun.
    pub(super) begin: Option<Instant>,
    pub(super) relayed: Option<SocketAddr>,
    state: State,
    login: Option<Login>,
    requests: Vec<Request>,
    peers: BTreeMap<SocketAddr, Channel>,
    renew: Option<Instant>,
    /// How often what stood at this side's address was released.
    releases: u32,
    /// A peer's datagram came.
    heard: bool,
}

impl Allocation {
    pub(super) fn new(base: SocketAddr, server: TurnServer) -> Self {
        Self {
            base,
            server,
            begin: None,
            relayed: None,
            state: State::New,
            login: None,
            requests: Vec::new(),
            peers: BTreeMap::new(),
            renew: None,
            releases: 0,
            heard: false,
        }
    }

    /// When something is to be done.
    pub(super) fn timeout(&self) -> Option<Instant> {
        let begin = self.begin.filter(|_| self.state == State::New);
        let requests = self.requests.iter().map(|request| request.due);
        let channels = self.peers.values().filter_map(|channel| match channel.binding {
            Binding::Bound { renew } => Some(renew),
            Binding::Asked | Binding::Refused => None,
        });
        begin.into_iter().chain(self.renew).chain(requests).chain(channels).min()
    }

    pub(super) fn handle_timeout(&mut self, now: Instant, out: &mut Out<'_>) {
        if self.state == State::New && self.begin.is_some_and(|begin| begin <= now) {
            self.state = State::Asked;
            self.allocate(now, out);
        }
        if self.renew.is_some_and(|renew| renew <= now) {
            self.renew = None;
            // TB-TURN-REFRESH
            self.ask(now, Ask::Refresh { seconds: super::LIFETIME }, 0, out);
        }
        let is_due =
            |channel: &Channel| matches!(channel.binding, Binding::Bound { renew } if renew <= now);
        let due = self.peers.iter().filter(|(_, channel)| is_due(channel));
        let due: Vec<Ask> =
            due.map(|(peer, it)| Ask::Bind { channel: it.number, peer: *peer }).collect();
        for ask in due {
            if let Ask::Bind { peer, .. } = ask
                && let Some(channel) = self.peers.get_mut(&peer)
            {
                // In use until the server refuses it.
                channel.binding = Binding::Bound { renew: now + RENEW_CHANNEL };
            }
            self.ask(now, ask, 0, out);
        }
        let mut given_up = Vec::new();
        self.requests.retain_mut(|request| {
            if request.due > now {
                return true;
            }
            if request.tries == MAX_TRIES {
                given_up.push(request.ask);
                return false;
            }
            request.tries += 1;
            request.due = now + wait(request.tries);
            out.datagrams.push_back(Datagram {
                source: self.base,
                destination: self.server.address,
                contents: request.contents.clone(),
            });
            true
        });
        for ask in given_up {
            self.refused(now, ask, 0, out);
        }
    }

    fn allocate(&mut self, now: Instant, out: &mut Out<'_>) {
        self.ask(now, Ask::Allocate { v4: self.base.is_ipv4() }, 0, out);
    }

    /// Sends a request, until it is answered or was sent often enough.
    fn ask(&mut self, now: Instant, ask: Ask, challenges: u32, out: &mut Out<'_>) {
        let id = out.id();
        let Some(contents) = message::request(id, ask, self.login.as_ref()) else {
            return self.refused(now, ask, 0, out);
        };
        out.datagrams.push_back(Datagram {
            source: self.base,
            destination: self.server.address,
            contents: contents.clone(),
        });
        let due = now + wait(1);
        self.requests.push(Request { ask, id, contents, tries: 1, due, challenges });
    }

    /// Takes an answer to a request that awaits one. The second result is the
    /// relayed address, if it is there by this.
    pub(super) fn take_answer(
        &mut self,
        now: Instant,
        contents: &[u8],
        out: &mut Out<'_>,
    ) -> (bool, Option<SocketAddr>) {
        let login = self.login.as_ref();
        let answers = self.requests.iter().enumerate().find_map(|(place, request)| {
            Some((place, message::answer(contents, request.id, request.ask, login)?))
        });
        let Some((place, answer)) = answers else { return (false, None) };
        let Request { ask, challenges, .. } = self.requests.swap_remove(place);
        match (ask, answer) {
            (_, Answer::Challenge { realm, nonce }) => {
                let login = Login::new(&self.server, &realm, &nonce);
                // TB-TURN-BOUND
                if login.is_none() || challenges + 1 >= MAX_CHALLENGES {
                    self.refused(now, ask, 0, out);
                } else {
                    self.login = login;
                    self.ask(now, ask, challenges + 1, out);
                }
            }
            (Ask::Allocate { .. }, Answer::Allocated { relayed, seconds }) => {
                // TB-TURN-ADDRESS
                let is_fit =
                    is_usable_address(&relayed) && relayed.is_ipv4() == self.base.is_ipv4();
                if !is_fit || seconds == 0 {
                    self.release(out);
                    return (true, None);
                }
                self.state = State::Held { since: now };
                self.relayed = Some(relayed);
                self.renew_after(now, seconds);
                return (true, Some(relayed));
            }
            (Ask::Refresh { .. }, Answer::Refreshed { seconds }) => match self.state {
                // What was in the way is gone.
                State::Asked => self.allocate(now, out),
                State::Held { .. } if seconds > 0 => self.renew_after(now, seconds),
                _ => self.end(),
            },
            (Ask::Bind { peer, .. }, Answer::Bound) => {
                if let Some(channel) = self.peers.get_mut(&peer) {
                    channel.binding = Binding::Bound { renew: now + RENEW_CHANNEL };
                }
            }
            (_, Answer::Refused { code }) => self.refused(now, ask, code, out),
            _ => {}
        }
        (true, None)
    }

    fn renew_after(&mut self, now: Instant, seconds: u32) {
        let half = (seconds / 2).clamp(RENEW.start, RENEW.end);
        self.renew = Some(now + Duration::from_secs(half.into()));
    }

    /// A request failed; with code 0 since nobody answered, or it makes no sense.
    fn refused(&mut self, now: Instant, ask: Ask, code: u16, out: &mut Out<'_>) {
        match (ask, self.state) {
            (Ask::Bind { peer, .. }, _) => {
                if let Some(channel) = self.peers.get_mut(&peer) {
                    channel.binding = Binding::Refused;
                }
            }
            // TB-TURN-BOUND: an answer was lost, or somebody had this address before: the
            // server thinks that there is an allocation.
            (Ask::Allocate { .. }, State::Asked)
                if code == ErrorCode::ALLOCATION_MISMATCH && self.releases < MAX_RELEASES =>
            {
                self.releases += 1;
                self.ask(now, Ask::Refresh { seconds: 0 }, 0, out);
            }
            (Ask::Refresh { .. }, State::Asked) if code != 0 => self.allocate(now, out),
            _ => self.end(),
        }
    }

    fn end(&mut self) {
        self.state = State::Over;
        self.requests.clear();
        self.peers.clear();
        self.renew = None;
    }

    /// Whether the address is there.
    pub(super) fn is_held(&self) -> bool {
        matches!(self.state, State::Held { .. })
    }

    /// Since when the peer can have been told of it.
    pub(super) fn held_since(&self) -> Option<Instant> {
        match self.state {
            State::Held { since } => Some(since),
            _ => None,
        }
    }

    /// Whether a datagram has come to the relayed address.
    pub(super) fn is_heard(&self) -> bool {
        self.heard
    }

    /// TB-TURN-REFRESH: tells the server that this is over, if it can know of it. The
    /// answer is not awaited; what is not released ends by itself.
    pub(super) fn release(&mut self, out: &mut Out<'_>) {
        let may_be_held = self.is_held() || self.state == State::Asked;
        if may_be_held && self.login.is_some() {
            let id = out.id();
            let login = self.login.as_ref();
            if let Some(contents) = message::request(id, Ask::Refresh { seconds: 0 }, login) {
                let (source, destination) = (self.base, self.server.address);
                out.datagrams.push_back(Datagram { source, destination, contents });
            }
        }
        self.end();
    }

    /// Sees to it that the peer has a channel, and wraps a datagram for it.
    pub(super) fn wrap(
        &mut self,
        now: Instant,
        peer: SocketAddr,
        contents: &[u8],
        may_send: bool,
        out: &mut Out<'_>,
    ) -> Option<Datagram> {
        let relayed = self.relayed.filter(|relayed| relayed.is_ipv4() == peer.is_ipv4())?;
        if !self.is_held() || peer == relayed {
            return None;
        }
        if !self.peers.contains_key(&peer) {
            // TB-TURN-BOUND; numbers are not used again.
            if self.peers.len() >= MAX_PEERS {
                return None;
            }
            let number = FIRST_CHANNEL + u16::try_from(self.peers.len()).ok()?;
            self.peers.insert(peer, Channel { number, binding: Binding::Asked });
            self.ask(now, Ask::Bind { channel: number, peer }, 0, out);
        }
        let channel = self.peers.get(&peer)?;
        // TB-TURN-DATA, TB-TURN-LATER
        let contents = match channel.binding {
            _ if !may_send => return None,
            Binding::Bound { .. } => message::send_on(channel.number, contents)?,
            Binding::Asked => message::send(out.id(), peer, contents)?,
            Binding::Refused => return None,
        };
        Some(Datagram { source: self.base, destination: self.server.address, contents })
    }

    /// The datagram of a peer that the server has wrapped, if it is one.
    pub(super) fn unwrap<'a>(&mut self, datagram: DatagramRef<'a>) -> Option<DatagramRef<'a>> {
        let relayed = self.relayed.filter(|_| self.is_held())?;
        let (from, range) = message::data(datagram.contents)?;
        let source = match from {
            From::Peer(peer) if peer.is_ipv4() == relayed.is_ipv4() => peer,
            From::Peer(_) => return None,
            From::Channel(number) => {
                *self.peers.iter().find(|(_, channel)| channel.number == number)?.0
            }
        };
        self.heard = true;
        Some(DatagramRef { source, destination: relayed, contents: datagram.contents.get(range)? })
    }
}

/// Until a request is sent again, after so many times.
fn wait(tries: u32) -> Duration {
    if tries >= MAX_TRIES { LAST_WAIT } else { FIRST_WAIT * (1 << (tries - 1)) }
}
