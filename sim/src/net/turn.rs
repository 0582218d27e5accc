//! A TURN server (RFC 8656) as a host of the network: what comes to one of its
//! addresses, and what it sends. The protocol is that of `turn-server-proto`,
//! which nobody here has written. What does not live here: its line, and who may
//! use it.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use turn_server_proto::api::{SocketAllocateError, TurnServerApi, TurnServerPollRet};
use turn_server_proto::server::TurnServer;
use turn_server_proto::stun::agent::Transmit;
use turn_server_proto::types::transmit::TransmitBuild;
use turn_server_proto::types::{Instant, TransportType};

use super::nat::Header;

/// The port of servers.
pub const PORT: u16 = 3478;
/// The one user of a server, and the password.
pub const USER: (&str, &str) = ("user of the relay", "password of the relay");
/// The first port of relayed addresses.
const FIRST_PORT: u16 = 49_152;
/// Relayed addresses at one moment.
const MAX_OPEN: usize = 64;
/// Things done at once before it has gone wild.
const MAX_TURNS: usize = 1000;

/// A server, on each of its addresses.
#[derive(Debug)]
pub struct Relay {
    servers: Vec<TurnServer>,
    next_port: u16,
    open: BTreeSet<SocketAddr>,
}

/// A datagram that it sends.
pub type Sent = (Header, Vec<u8>);

impl Relay {
    /// One that listens at `addresses`.
    pub fn new(addresses: &[IpAddr]) -> Self {
        let server = |ip: &IpAddr| {
            let listens = SocketAddr::new(*ip, PORT);
            let mut server = TurnServer::new(TransportType::Udp, listens, "simulation".to_owned());
            server.add_user(USER.0.to_owned(), USER.1.to_owned());
            server
        };
        let servers = addresses.iter().map(server).collect();
        Self { servers, next_port: FIRST_PORT, open: BTreeSet::new() }
    }

    /// How many relayed addresses are in use.
    pub fn open(&self) -> usize {
        self.open.len()
    }

    /// Takes a datagram at `now`, in microseconds: what it sends then.
    pub fn take(&mut self, now: u64, header: Header, contents: &[u8]) -> Vec<Sent> {
        let now = Instant::from_nanos(i64::try_from(now.saturating_mul(1000)).unwrap_or(i64::MAX));
        let at = header.destination.ip();
        let server = self.servers.iter_mut().find(|one| one.listen_address().ip() == at);
        let Some(server) = server else { return Vec::new() };
        let transmit =
            Transmit::new(contents, TransportType::Udp, header.source, header.destination);
        let mut sent: Vec<_> =
            server.recv(transmit, now).map(TransmitBuild::build).into_iter().collect();
        for _ in 0..MAX_TURNS {
            match server.poll(now) {
                TurnServerPollRet::AllocateSocket {
                    transport,
                    listen_addr,
                    client_addr,
                    allocation_transport,
                    family,
                } => {
                    let relayed = SocketAddr::new(at, self.next_port);
                    let given = if self.open.len() < MAX_OPEN && self.next_port < u16::MAX {
                        self.next_port += 1;
                        self.open.insert(relayed);
                        Ok(relayed)
                    } else {
                        Err(SocketAllocateError::InsufficientCapacity)
                    };
                    server.allocated_socket(
                        transport,
                        listen_addr,
                        client_addr,
                        allocation_transport,
                        family,
                        given,
                        now,
                    );
                }
                TurnServerPollRet::SocketClose { listen_addr, .. } => {
                    self.open.remove(&listen_addr);
                }
                _ => break,
            }
        }
        sent.extend(std::iter::from_fn(|| server.poll_transmit(now)));
        let header = |one: &Transmit<Vec<u8>>| Header { source: one.from, destination: one.to };
        sent.into_iter().map(|one| (header(&one), one.data)).collect()
    }
}

#[cfg(test)]
mod tests {
    use passel_proto::crypto::Entropy;
    use passel_sans_io::datagram::{Datagram, DatagramRef};
    use passel_sans_io::ice::turn::{HEAD_START, Relays, Taken, TurnServer as Named};

    use super::*;
    use crate::world::World;

    fn end(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    fn client(world: &World<()>, base: &str, password: &str) -> Relays {
        let (user, password) = (USER.0.to_owned(), password.to_owned().into());
        let ip = if base.starts_with('[') { "[2001:db8::20]" } else { "198.51.100.20" };
        let servers = [Named { address: end(&format!("{ip}:{PORT}")), user, password }];
        let mut client = Relays::new(&servers, false, Entropy::from_seed([1; 32]));
        client.add_base(end(base));
        client.on_told(world.instant());
        client.start(world.instant());
        client
    }

    fn relay() -> Relay {
        Relay::new(&["198.51.100.20".parse().unwrap(), "2001:db8::20".parse().unwrap()])
    }

    /// Carries everything between a client and the server; what goes elsewhere.
    fn carry(world: &World<()>, client: &mut Relays, relay: &mut Relay) -> Vec<Sent> {
        let mut elsewhere = Vec::new();
        while let Some(datagram) = client.poll_datagram() {
            let Datagram { source, destination, contents } = datagram;
            for (header, contents) in relay.take(0, Header { source, destination }, &contents) {
                if header.destination == source {
                    let Header { source, destination } = header;
                    let datagram = DatagramRef { source, destination, contents: &contents };
                    client.handle_datagram(world.instant(), datagram);
                } else {
                    elsewhere.push((header, contents));
                }
            }
        }
        elsewhere
    }

    #[test]
    fn it_relays_for_its_user_in_both_families_and_for_nobody_else() {
        let world = World::new();
        for (base, peer) in
            [("203.0.113.1:5000", "203.0.113.2:6000"), ("[2001:db8::1]:5000", "[2001:db8::2]:6000")]
        {
            let (mut client, mut relay) = (client(&world, base, USER.1), relay());
            carry(&world, &mut client, &mut relay);
            let found = client.poll_found().unwrap();
            assert_eq!((relay.open(), found.address.port()), (1, FIRST_PORT));
            assert_eq!(found.address.is_ipv4(), found.base.is_ipv4());

            let (source, destination) = (found.address, end(peer));
            let datagram = Datagram { source, destination, contents: b"out".to_vec() };
            let later = world.instant() + HEAD_START;
            assert_eq!(client.carry(later, datagram.clone()).map(|_| ()), Some(()));
            carry(&world, &mut client, &mut relay);
            let wrapped = client.carry(later, datagram).unwrap();
            let header = Header { source: wrapped.source, destination: wrapped.destination };
            let sent = relay.take(0, header, &wrapped.contents);
            assert_eq!(sent, [(Header { source, destination }, b"out".to_vec())]);

            let back = Header { source: destination, destination: source };
            let (header, contents) = relay.take(0, back, b"back").pop().unwrap();
            let Header { source, destination } = header;
            let datagram = DatagramRef { source, destination, contents: &contents };
            let Taken::Peer(inner) = client.handle_datagram(later, datagram) else {
                panic!("not taken")
            };
            assert_eq!((inner.source, inner.contents), (end(peer), &b"back"[..]));
            // A stranger is not let in.
            let stranger = if base.starts_with('[') { "[2001:db8::9]:1" } else { "203.0.113.9:1" };
            let header = Header { source: end(stranger), destination: found.address };
            assert_eq!(relay.take(0, header, b"stranger"), []);
            client.release();
            carry(&world, &mut client, &mut relay);
            assert_eq!(relay.open(), 0);
        }
        let (mut client, mut relay) =
            (client(&world, "203.0.113.1:5000", "another password"), relay());
        carry(&world, &mut client, &mut relay);
        assert_eq!((client.poll_found(), relay.open()), (None, 0));
    }
}
