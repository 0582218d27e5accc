//! The servers of a run: hosts in the open that answer at once. What does not live
//! here: what they answer (`net::stun`, `net::turn`).

use passel_sans_io::datagram::Datagram;

use super::plan::Plan;
use super::{Happening, Run};
use crate::net::nat::Header;
use crate::net::stun;
use crate::net::turn::Relay;

/// The relays of a plan.
pub(super) fn relays(plan: &Plan) -> Vec<Relay> {
    plan.relays.iter().map(|relay| Relay::new(&relay.host.addresses)).collect()
}

impl Run<'_> {
    /// A datagram has reached the server at `place`.
    pub(super) fn serve(&mut self, place: usize, datagram: &Datagram) {
        let first = self.hosts.len() + self.plan.servers.len();
        if let Some(relay) = place.checked_sub(first) {
            let (source, destination) = (datagram.source, datagram.destination);
            let header = Header { source, destination };
            let Some(relay) = self.relays.get_mut(relay) else { return };
            for (header, contents) in relay.take(self.world.now(), header, &datagram.contents) {
                let Header { source, destination } = header;
                self.carry_relayed(place, &Datagram { source, destination, contents });
            }
        } else if datagram.destination.port() == stun::PORT
            && let Some(answer) = stun::answer(&datagram.contents, datagram.source)
        {
            let (source, destination) = (datagram.destination, datagram.source);
            let datagram = Datagram { source, destination, contents: answer };
            self.send_from_server(place, &datagram);
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
