//! A TURN server that somebody else wrote, at one address, without a network: what
//! comes to it, and what it sends. No test lives here.

#![allow(dead_code, unreachable_pub)] // each test uses a part of it
#![allow(clippy::unwrap_used)] // a test that fails says so

use std::net::SocketAddr;
use std::time::Instant;

use passel_sans_io::datagram::Datagram;
use turn_server_proto::api::{SocketAllocateError, TurnServerApi, TurnServerPollRet};
use turn_server_proto::server::TurnServer;
use turn_server_proto::stun::agent::Transmit;
use turn_server_proto::types::{Instant as Moment, TransportType};

pub const LISTENS: &str = "198.51.100.9:3478";
pub const USER: &str = "somebody";
pub const PASSWORD: &str = "a password";

pub struct Server {
    pub turn: TurnServer,
    epoch: Instant,
    next_port: u16,
    /// What is given out in place of an address of the server's.
    pub gives: Option<SocketAddr>,
    /// Relayed addresses that are in use.
    pub open: Vec<SocketAddr>,
}

pub fn end(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

impl Server {
    pub fn new(epoch: Instant) -> Self {
        let mut turn = TurnServer::new(TransportType::Udp, end(LISTENS), "a realm".to_owned());
        turn.add_user(USER.to_owned(), PASSWORD.to_owned());
        Self { turn, epoch, next_port: 49_152, gives: None, open: Vec::new() }
    }

    pub fn moment(&self, now: Instant) -> Moment {
        let nanos = now.saturating_duration_since(self.epoch).as_nanos();
        Moment::from_nanos(i64::try_from(nanos).unwrap())
    }

    /// A datagram comes to one of the server's addresses.
    pub fn take(&mut self, now: Instant, datagram: &Datagram) -> Vec<Datagram> {
        let at = self.moment(now);
        let (from, to) = (datagram.source, datagram.destination);
        let transmit = Transmit::new(&datagram.contents[..], TransportType::Udp, from, to);
        let answer = self
            .turn
            .recv(transmit, at)
            .map(turn_server_proto::types::transmit::TransmitBuild::build);
        let mut sent: Vec<_> = answer.into_iter().collect();
        loop {
            match self.turn.poll(at) {
                TurnServerPollRet::AllocateSocket {
                    transport,
                    listen_addr,
                    client_addr,
                    allocation_transport,
                    family,
                } => {
                    let own = SocketAddr::new(listen_addr.ip(), self.next_port);
                    self.next_port += 1;
                    let given: Result<_, SocketAllocateError> = Ok(self.gives.unwrap_or(own));
                    self.open.extend(given);
                    self.turn.allocated_socket(
                        transport,
                        listen_addr,
                        client_addr,
                        allocation_transport,
                        family,
                        given,
                        at,
                    );
                }
                TurnServerPollRet::SocketClose { listen_addr, .. } => {
                    self.open.retain(|one| *one != listen_addr);
                }
                _ => break,
            }
        }
        sent.extend(std::iter::from_fn(|| self.turn.poll_transmit(at)));
        let datagram = |one: Transmit<Vec<u8>>| Datagram {
            source: one.from,
            destination: one.to,
            contents: one.data,
        };
        sent.into_iter().map(datagram).collect()
    }
}
