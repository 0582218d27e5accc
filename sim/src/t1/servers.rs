//! The servers of a run: hosts in the open that answer at once. What does not live
//! here: what they answer (`net::server`).

use passel_sans_io::datagram::Datagram;

use super::plan::Plan;
use super::{Happening, Run, Seat};
use crate::net::nat::Header;
use crate::net::server::Server;

/// The servers of a plan, in the order of their places.
pub(super) fn of(plan: &Plan) -> Vec<Server> {
    Server::all(plan.servers.len(), plan.relays.iter().map(|relay| &relay.host.addresses))
}

impl Run<'_> {
    /// A datagram has reached the server at `place`.
    pub(super) fn serve(&mut self, place: usize, datagram: &Datagram) {
        let Datagram { source, destination, ref contents } = *datagram;
        let server = place.checked_sub(self.hosts.len()).and_then(|nth| self.servers.get_mut(nth));
        let Some(server) = server else { return };
        let seat = if matches!(server, Server::Turn(_)) { Seat::Relay } else { Seat::Server };
        let sent = server.take(self.world.now(), Header { source, destination }, contents);
        self.has_relayed |= server.open() > 0;
        for (header, contents) in sent {
            let Header { source, destination } = header;
            self.carry_from_server(place, seat, &Datagram { source, destination, contents });
        }
    }

    pub(super) fn send_from_server(&mut self, place: usize, datagram: &Datagram) {
        let Datagram { source, destination, .. } = *datagram;
        let now = self.world.now();
        let carried = self.network.up(now, place, &datagram.contents, source.is_ipv6());
        self.befell(place, &datagram.contents, &carried.fates);
        for (at, contents) in carried.copies {
            let datagram = Datagram { source, destination, contents };
            self.schedule(at, Happening::Crosses { from: place, datagram });
        }
    }
}
