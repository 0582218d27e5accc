//! How this side learns at which addresses others see it: STUN servers are asked,
//! from each of its own addresses, and their answers become server-reflexive
//! candidates; relays are in `turn`. Without I/O, like everything here. What does
//! not live here: the checks between the peers, which are the lane's.

mod stun;
pub mod turn;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use passel_proto::crypto::Entropy;
use passel_proto::limits::MAX_CANDIDATES_COUNT;

use crate::datagram::{Datagram, DatagramRef};
use crate::description::is_usable_address;

/// STUN servers that are asked; more are left out.
pub const MAX_STUN_SERVERS: usize = 8;
/// Time between the beginnings of two transactions (RFC 8445, 14.2).
const PACE: Duration = Duration::from_millis(50);
/// Time until a request is sent again; it doubles each time (RFC 8489, 6.2.1).
const FIRST_WAIT: Duration = Duration::from_millis(500);
/// Times that a request is sent.
const MAX_TRIES: u32 = 7;
/// How long the last of them is waited for.
const LAST_WAIT: Duration = Duration::from_secs(8);
/// Time until a server is asked again, so that translators keep the outside end
/// and a change of it is seen (`TB-STUN-REFRESH`).
pub const REFRESH: Duration = Duration::from_secs(15);

/// An address at which a server saw one of this side's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reflexive {
    /// This side's own address.
    pub base: SocketAddr,
    /// How it is seen outside.
    pub address: SocketAddr,
}

/// One server asked from one address.
#[derive(Debug)]
struct Probe {
    base: SocketAddr,
    server: SocketAddr,
    id: u128,
    /// Times that the current request was sent.
    tries: u32,
    /// When there is something to do, once the search has started.
    due: Option<Instant>,
    told: Option<SocketAddr>,
}

/// Asks STUN servers.
///
/// Silent until [`start`](Self::start) and after [`stop`](Self::stop). In between,
/// after each call: [`poll_datagram`](Self::poll_datagram) and
/// [`poll_found`](Self::poll_found) until they give nothing more, then
/// [`poll_timeout`](Self::poll_timeout).
#[derive(Debug)]
pub struct Gatherer {
    servers: Vec<SocketAddr>,
    probes: Vec<Probe>,
    entropy: Entropy,
    /// When the next transaction may begin; nothing before the start.
    next: Option<Instant>,
    stopped: bool,
    /// Servers that have seen this side at another address than its own, one for each
    /// family.
    useful: Vec<SocketAddr>,
    datagrams: VecDeque<Datagram>,
    found: VecDeque<Reflexive>,
}

impl Gatherer {
    /// Will ask the first [`MAX_STUN_SERVERS`] of `servers`, with transaction ids
    /// from `entropy`.
    pub fn new(servers: &[SocketAddr], entropy: Entropy) -> Self {
        Self {
            servers: servers.iter().take(MAX_STUN_SERVERS).copied().collect(),
            probes: Vec::new(),
            entropy,
            next: None,
            stopped: false,
            useful: Vec::new(),
            datagrams: VecDeque::new(),
            found: VecDeque::new(),
        }
    }

    /// Adds an address to ask from, before the start or after.
    pub fn add_base(&mut self, base: SocketAddr) {
        let full = self.probes.len() >= MAX_CANDIDATES_COUNT;
        if self.stopped || full || self.probes.iter().any(|probe| probe.base == base) {
            return;
        }
        for place in 0..self.servers.len() {
            let server = self.servers[place];
            let reachable = server.is_ipv4() == base.is_ipv4()
                && server.ip().is_loopback() == base.ip().is_loopback();
            if reachable {
                let due = self.begin();
                self.probes.push(Probe { base, server, id: 0, tries: 0, due, told: None });
            }
        }
    }

    /// When a transaction may begin that is due now.
    fn begin(&mut self) -> Option<Instant> {
        let at = self.next?;
        self.next = Some(at + PACE);
        Some(at)
    }

    /// Begins to ask.
    pub fn start(&mut self, now: Instant) {
        if self.next.is_none() {
            self.next = Some(now);
            for place in 0..self.probes.len() {
                self.probes[place].due = self.begin();
            }
            self.handle_timeout(now);
        }
    }

    /// Ends the search; nothing is sent or found any more.
    pub fn stop(&mut self) {
        self.stopped = true;
        self.probes.clear();
        self.datagrams.clear();
        self.found.clear();
    }

    /// Servers to ask from other addresses of this side: one for each family in which
    /// something was found, before the stop too.
    pub fn useful_servers(&self) -> &[SocketAddr] {
        &self.useful
    }

    /// Takes a datagram if it answers a request, and says whether it did.
    pub fn handle_datagram(&mut self, now: Instant, datagram: DatagramRef<'_>) -> bool {
        // TB-STUN-ANSWER: from whom and to where it was asked, and the same id.
        let asked = |probe: &&mut Probe| {
            probe.tries > 0 && (probe.server, probe.base) == (datagram.source, datagram.destination)
        };
        let Some(probe) = self.probes.iter_mut().find(asked) else { return false };
        let Some(answer) = stun::answer(datagram.contents, probe.id) else { return false };
        probe.tries = 0;
        probe.due = Some(now + REFRESH);
        let base = probe.base;
        // TB-STUN-ADDRESS
        let useful = |address: &SocketAddr| {
            is_usable_address(address) && address.is_ipv4() == base.is_ipv4() && *address != base
        };
        if let stun::Answer::Seen(address) = answer
            && useful(&address)
            && probe.told.replace(address) != Some(address)
        {
            if self.useful.iter().all(|server| server.is_ipv4() != base.is_ipv4()) {
                self.useful.push(probe.server);
            }
            self.found.push_back(Reflexive { base, address });
        }
        true
    }

    /// Sends what is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        if let Some(next) = &mut self.next {
            *next = now.max(*next);
        }
        for probe in &mut self.probes {
            if probe.due.is_none_or(|due| due > now) {
                continue;
            }
            if probe.tries == MAX_TRIES {
                probe.tries = 0;
                probe.due = Some(now + REFRESH);
                continue;
            }
            if probe.tries == 0 {
                // TB-STUN-ID: 96 bits that nobody can guess, for each request.
                probe.id = u128::from_le_bytes(self.entropy.array()) >> 32;
            }
            probe.tries += 1;
            let last = probe.tries == MAX_TRIES;
            let wait = if last { LAST_WAIT } else { FIRST_WAIT * (1 << (probe.tries - 1)) };
            probe.due = Some(now + wait);
            self.datagrams.push_back(Datagram {
                source: probe.base,
                destination: probe.server,
                contents: stun::request(probe.id),
            });
        }
    }

    /// When [`handle_timeout`](Self::handle_timeout) is wanted.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.probes.iter().filter_map(|probe| probe.due).min()
    }

    /// The next request to send.
    pub fn poll_datagram(&mut self) -> Option<Datagram> {
        self.datagrams.pop_front()
    }

    /// The next address that was found.
    pub fn poll_found(&mut self) -> Option<Reflexive> {
        self.found.pop_front()
    }
}

#[cfg(test)]
mod tests;
