//! Joins the search for addresses and the relays to lane 0: what was found becomes
//! a candidate and is told to the peer, and what the lane sends from a relayed
//! address goes to its server. How that is done is `ice`'s.

use std::net::SocketAddr;
use std::time::Instant;

use super::Endpoint;
use super::lanes::keep;
use crate::datagram::{Datagram, DatagramRef};
use crate::ice::turn::Taken;

impl Endpoint {
    /// Takes back one of this side's addresses that is gone, as when a host moves to
    /// another network; name the new one first, with
    /// [`add_local_candidate`](Self::add_local_candidate). The connection goes on from
    /// there if this side is the initiator and the peer lets that in. Relays are not
    /// asked anew. Whether it was known is the result.
    pub fn remove_local_candidate(&mut self, now: Instant, address: SocketAddr) -> bool {
        let was_known = self.lane.remove_local_candidate(address);
        self.lane.handle_timeout(now);
        self.drive(now);
        was_known
    }

    /// Makes candidates of what was found, and tells the peer.
    pub(super) fn tell_found(&mut self) {
        while let Some(found) = self.gatherer.poll_found() {
            let candidate = self.lane.add_reflexive_candidate(found.address, found.base);
            if let Some(candidate) = candidate {
                self.tell(candidate);
            }
        }
        while let Some(found) = self.relays.poll_found() {
            let candidate = self.lane.add_relayed_candidate(found.address, found.base);
            if let Some(candidate) = candidate {
                self.tell(candidate);
            }
        }
    }

    /// Puts what lane 0 sends to what waits for the caller, by the server if it
    /// leaves from a relayed address.
    pub(super) fn carry(&mut self, now: Instant, datagram: Datagram) {
        let carried = self.relays.carry(now, datagram);
        // A peer's channel is asked for before anything is sent to the peer.
        self.keep_for_relays();
        if let Some(datagram) = carried {
            keep(&mut self.datagrams, datagram);
        }
    }

    /// Whether a datagram has to do with servers; a peer's that came through a relay
    /// is lane 0's.
    pub(super) fn take_from_server(&mut self, now: Instant, datagram: DatagramRef<'_>) -> bool {
        if self.gatherer.handle_datagram(now, datagram) {
            return true;
        }
        match self.relays.handle_datagram(now, datagram) {
            Taken::Not => false,
            Taken::Own => true,
            Taken::Peer(datagram) => {
                self.lane.handle_datagram(now, datagram);
                true
            }
        }
    }

    /// TB-TURN-REFRESH: once the lane has said its last word the relays are let go.
    pub(super) fn release_relays_in_time(&mut self) {
        if self.lane.is_over() {
            self.relays.release();
        }
        self.keep_for_relays();
    }

    fn keep_for_relays(&mut self) {
        while let Some(datagram) = self.relays.poll_datagram() {
            keep(&mut self.datagrams, datagram);
        }
    }
}
