//! Relayed addresses: TURN servers (RFC 8656) are asked for them, over UDP, and
//! carry what is sent from there and comes there. Without I/O, like everything
//! here. What does not live here: whether a relayed path is used, which is the
//! lane's.

mod allocation;
mod message;

use std::collections::VecDeque;
use std::fmt;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use passel_proto::crypto::Entropy;
use zeroize::Zeroizing;

use self::allocation::{Allocation, Out};
use super::PACE;
use crate::datagram::{Datagram, DatagramRef};

/// TURN servers that are asked; more are left out.
pub const MAX_TURN_SERVERS: usize = 4;
/// Relayed addresses that are asked for in all.
pub const MAX_ALLOCATIONS: usize = 8;
/// How long a direct path is given before anything is sent over a relay
/// (`TB-TURN-LATER`).
pub const HEAD_START: Duration = Duration::from_secs(1);
/// How long an allocation is asked to last each time, in seconds.
const LIFETIME: u32 = 600;

/// A TURN server and what it wants to know of its user.
#[derive(Clone)]
pub struct TurnServer {
    /// Where it listens for UDP.
    pub address: SocketAddr,
    /// The user's name there.
    pub user: String,
    /// The user's password.
    pub password: Zeroizing<String>,
}

impl fmt::Debug for TurnServer {
    /// Leaves out the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("TurnServer");
        shown.field("address", &self.address).field("user", &self.user).finish_non_exhaustive()
    }
}

/// A relayed address that was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Relayed {
    /// This side's own address.
    pub base: SocketAddr,
    /// Where others reach it through the server.
    pub address: SocketAddr,
}

/// What a datagram was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken<'a> {
    /// Nothing of a relay.
    Not,
    /// Something between this side and the server.
    Own,
    /// A peer's, which came to a relayed address.
    Peer(DatagramRef<'a>),
}

/// Asks TURN servers for relayed addresses and keeps them.
///
/// Silent until [`start`](Self::start) and after [`release`](Self::release). In
/// between, after each call: [`poll_datagram`](Self::poll_datagram) and
/// [`poll_found`](Self::poll_found) until they give nothing more, then
/// [`poll_timeout`](Self::poll_timeout). What the lane sends goes through
/// [`carry`](Self::carry), what comes in through
/// [`handle_datagram`](Self::handle_datagram).
pub struct Relays {
    servers: Vec<TurnServer>,
    allocations: Vec<Allocation>,
    entropy: Entropy,
    /// When the next allocation may be asked for; nothing before the start.
    next: Option<Instant>,
    /// Since when the peer can know what was found before; nothing if it does not.
    told: Option<Instant>,
    /// Nothing is sent but through relays.
    only: bool,
    /// The lane is connected, and the peer hears of no candidate any more.
    settled: bool,
    over: bool,
    datagrams: VecDeque<Datagram>,
    found: VecDeque<Relayed>,
}

impl fmt::Debug for Relays {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Relays").field("servers", &self.servers).finish_non_exhaustive()
    }
}

impl Relays {
    /// Will ask the first [`MAX_TURN_SERVERS`] of `servers`, with transaction ids
    /// from `entropy`. With `only`, nothing is sent directly, so that relays need not
    /// wait for that.
    pub fn new(servers: &[TurnServer], only: bool, entropy: Entropy) -> Self {
        Self {
            servers: servers.iter().take(MAX_TURN_SERVERS).cloned().collect(),
            allocations: Vec::new(),
            entropy,
            next: None,
            told: None,
            only,
            settled: false,
            over: false,
            datagrams: VecDeque::new(),
            found: VecDeque::new(),
        }
    }

    /// Adds an address to ask from, before the start or after.
    pub fn add_base(&mut self, base: SocketAddr) {
        if self.over || self.allocations.iter().any(|one| one.base == base) {
            return;
        }
        for server in &self.servers {
            let reachable = server.address.is_ipv4() == base.is_ipv4()
                && server.address.ip().is_loopback() == base.ip().is_loopback();
            if reachable && self.allocations.len() < MAX_ALLOCATIONS {
                let mut allocation = Allocation::new(base, server.clone());
                allocation.begin = begin(&mut self.next);
                self.allocations.push(allocation);
            }
        }
    }

    /// Begins to ask.
    pub fn start(&mut self, now: Instant) {
        if self.next.is_none() {
            self.next = Some(now);
            for allocation in &mut self.allocations {
                allocation.begin = begin(&mut self.next);
            }
            self.handle_timeout(now);
        }
    }

    /// The peer is told from now on what has been and will be found.
    pub fn on_told(&mut self, now: Instant) {
        self.told.get_or_insert(now);
    }

    /// The lane is connected. Gives up what is not there yet, and what the peer does
    /// not use stays silent: the peer would not hear any more what it is.
    pub fn settle(&mut self) {
        self.settled = true;
        let mut out = Out { entropy: &mut self.entropy, datagrams: &mut self.datagrams };
        for allocation in self.allocations.iter_mut().filter(|one| !one.is_held()) {
            allocation.release(&mut out);
        }
        self.over = true;
    }

    /// Releases everything. Once what is to be sent has gone out, nothing more
    /// comes.
    pub fn release(&mut self) {
        let mut out = Out { entropy: &mut self.entropy, datagrams: &mut self.datagrams };
        for allocation in &mut self.allocations {
            allocation.release(&mut out);
        }
        self.over = true;
        self.found.clear();
    }

    /// Whether nothing is to be sent to a server now.
    pub fn is_quiet(&self) -> bool {
        self.datagrams.is_empty()
    }

    /// Says what a datagram is to the relays, and takes it if it is for them.
    pub fn handle_datagram<'a>(&mut self, now: Instant, datagram: DatagramRef<'a>) -> Taken<'a> {
        let Self { allocations, entropy, datagrams, found, .. } = self;
        // TB-TURN-ANSWER, TB-TURN-DATA: from whom and to where it was asked.
        let ends = (datagram.source, datagram.destination);
        for allocation in allocations {
            if (allocation.server.address, allocation.base) != ends {
                continue;
            }
            if let Some(peers) = allocation.unwrap(datagram) {
                return Taken::Peer(peers);
            }
            let mut out = Out { entropy: &mut *entropy, datagrams: &mut *datagrams };
            let (taken, address) = allocation.take_answer(now, datagram.contents, &mut out);
            if let Some(address) = address {
                found.push_back(Relayed { base: allocation.base, address });
            }
            if taken {
                return Taken::Own;
            }
        }
        Taken::Not
    }

    /// Takes what the lane sends: as it is, wrapped for a relay, or not at all.
    pub fn carry(&mut self, now: Instant, datagram: Datagram) -> Option<Datagram> {
        let Self { allocations, entropy, datagrams, told, only, settled, .. } = self;
        let is_source = |one: &&mut Allocation| one.relayed == Some(datagram.source);
        let Some(allocation) = allocations.iter_mut().find(is_source) else {
            return Some(datagram);
        };
        // TB-TURN-LATER
        let since = allocation.held_since().max(*told);
        let is_late = told.is_some() && since.is_some_and(|since| now >= since + HEAD_START);
        let may_send = allocation.is_heard() || (!*settled && (*only || is_late));
        let mut out = Out { entropy, datagrams };
        allocation.wrap(now, datagram.destination, &datagram.contents, may_send, &mut out)
    }

    /// Sends what is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        if let Some(next) = &mut self.next {
            *next = now.max(*next);
        }
        let mut out = Out { entropy: &mut self.entropy, datagrams: &mut self.datagrams };
        for allocation in &mut self.allocations {
            allocation.handle_timeout(now, &mut out);
        }
    }

    /// When [`handle_timeout`](Self::handle_timeout) is wanted.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.allocations.iter().filter_map(Allocation::timeout).min()
    }

    /// The next datagram for a server.
    pub fn poll_datagram(&mut self) -> Option<Datagram> {
        self.datagrams.pop_front()
    }

    /// The next relayed address that was found.
    pub fn poll_found(&mut self) -> Option<Relayed> {
        self.found.pop_front()
    }
}

/// When the next may begin that is due now.
fn begin(next: &mut Option<Instant>) -> Option<Instant> {
    let at = (*next)?;
    *next = Some(at + PACE);
    Some(at)
}
