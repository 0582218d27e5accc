//! The servers of a run: hosts in the open that answer at once and remember
//! nothing. What does not live here: what they answer (`net::stun`).

use passel_sans_io::datagram::Datagram;

use super::{Happening, Run};
use crate::net::stun;

impl Run<'_> {
    /// A datagram has reached the server at `place`.
    pub(super) fn serve(&mut self, place: usize, datagram: &Datagram) {
        if datagram.destination.port() != stun::PORT {
            return;
        }
        let Some(answer) = stun::answer(&datagram.contents, datagram.source) else { return };
        let (source, destination) = (datagram.destination, datagram.source);
        let now = self.world.now();
        let carried = self.network.up(now, place, &answer, source.is_ipv6());
        for (at, contents) in carried.copies {
            let datagram = Datagram { source, destination, contents };
            self.world.schedule(at, Happening::Crosses { from: place, datagram });
        }
    }
}
