//! What answers on a host that is a server: a STUN server says from where it is asked, a
//! TURN server relays as well. What does not live here: their lines, and who knows them.

use std::net::IpAddr;

use super::nat::Header;
use super::stun;
use super::turn::{Relay, Sent};

/// A server.
#[derive(Debug)]
pub enum Server {
    /// One for STUN, at [`stun::PORT`] of whatever address it is asked at.
    Stun,
    /// One for TURN.
    Turn(Box<Relay>),
}

impl Server {
    /// So many STUN servers, and behind them TURN servers that listen at `relays`.
    pub fn all<'a>(stun: usize, relays: impl Iterator<Item = &'a Vec<IpAddr>>) -> Vec<Self> {
        let relays = relays.map(|addresses| Self::Turn(Box::new(Relay::new(addresses))));
        (0..stun).map(|_| Self::Stun).chain(relays).collect()
    }

    /// Takes a datagram at `now`, in microseconds: what it sends then.
    pub fn take(&mut self, now: u64, header: Header, contents: &[u8]) -> Vec<Sent> {
        match self {
            Server::Turn(relay) => relay.take(now, header, contents),
            Server::Stun if header.destination.port() == stun::PORT => {
                let answer = stun::answer(contents, header.source);
                let back = Header { source: header.destination, destination: header.source };
                answer.map(|answer| (back, answer)).into_iter().collect()
            }
            Server::Stun => Vec::new(),
        }
    }

    /// How many relayed addresses are in use there.
    pub fn open(&self) -> usize {
        match self {
            Server::Stun => 0,
            Server::Turn(relay) => relay.open(),
        }
    }
}
