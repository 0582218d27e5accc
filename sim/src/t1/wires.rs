//! The way of a datagram in a run: onto the line of the host that sends it, through
//! gateways, and over the line of the one that it gets to. What does not live here: what
//! lines and gateways do (`net`), and who sits on them (`adversary`).

use passel_sans_io::datagram::Datagram;

use super::{Happening, Run};
use crate::net::{Blocked, Fate, Header};
use crate::oracle::{Broken, broken};
use crate::plan::Side;
use crate::readable;

impl Run<'_> {
    /// Puts a datagram on its host's line.
    pub(super) fn send(&mut self, side: Side, datagram: &Datagram) -> Result<(), Broken> {
        let (now, place) = (self.world.now(), side.place());
        self.watch.on_datagram(now, side, datagram);
        readable::check(side, &datagram.contents)?;
        self.oracle.on_sent(now, side, &datagram.contents);
        self.checks.on_datagram(now, side, datagram, self.plan)?;
        if self.hosts[place].has_left(datagram.source) {
            return Ok(()); // Its socket is of no use any more.
        }
        let v6 = datagram.source.is_ipv6();
        if !self.hosts[place].owns(datagram.source) || v6 != datagram.destination.is_ipv6() {
            let (from, to) = (datagram.source, datagram.destination);
            return broken("datagrams leave from where they may", format!("{from} to {to}"));
        }
        if !self.carries(side, datagram) {
            self.watch.on_stopped();
            return Ok(());
        }
        self.carry_on_line(side, datagram);
        Ok(())
    }

    /// Puts on its line what has got past whoever sits there.
    pub(super) fn put_on_line(&mut self, side: Side, datagram: &Datagram) {
        let (now, from) = (self.world.now(), side.place());
        let v6 = datagram.source.is_ipv6();
        let carried = self.network.up(now, from, &datagram.contents, v6);
        self.befell(from, &datagram.contents, &carried.fates);
        for (at, contents) in carried.copies {
            let datagram = Datagram { contents, ..*datagram };
            self.schedule(at, Happening::Crosses { from, datagram });
        }
    }

    /// Puts a datagram on the line of the host that it gets to, if any.
    pub(super) fn crosses(&mut self, from: usize, datagram: Datagram) {
        let now = self.world.now();
        let Datagram { source, destination, contents } = datagram;
        let crossed = self.network.cross(now, from, Header { source, destination });
        self.watch.on_crossing(&contents);
        let (to, Header { source, destination }) = match crossed {
            Ok(crossed) => crossed,
            Err(blocked) => {
                self.oracle.is_crowded |= blocked == Blocked::TableFull;
                self.watch.on_blocked(now, from, destination, blocked);
                self.watch.on_stopped();
                return;
            }
        };
        let carried = self.network.down(now, to, &contents, source.is_ipv6());
        let side = Side::BOTH.into_iter().find(|side| side.place() == to);
        self.befell(to, &contents, &carried.fates);
        for (at, contents) in carried.copies {
            let datagram = Datagram { source, destination, contents };
            match side {
                None => self.schedule(at, Happening::Serves { at: to, datagram }),
                Some(side) if self.hosts[to].owns(destination) => {
                    self.schedule(at, Happening::Arrives { to: side, datagram });
                }
                Some(_) => {}
            }
        }
    }

    /// What happened to a datagram on the line of the host at `place`.
    pub(super) fn befell(&mut self, place: usize, contents: &[u8], fates: &[Fate]) {
        self.watch.on_fates(self.world.now(), place, fates);
        if fates.contains(&Fate::Corrupted) {
            self.oracle.on_meddled();
        }
        self.oracle.on_fates(self.world.now(), contents, fates);
    }
}
