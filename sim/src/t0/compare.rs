//! Two people without a secret: each looks at what the screen shows, and says after a
//! while that it is what the other one sees. What must hold: both screens show the same,
//! and nothing of a transfer is told to somebody who has not said so.

use passel_proto::connection::Event;
use passel_proto::handshake::Sas;

use super::{Happening, Run};
use crate::oracle::{Broken, broken};
use crate::plan::{Plan, Side};
use crate::rng::Draw;
use crate::sometimes::Sometimes;

const MS: u64 = 1000;
const SECOND: u64 = 1_000_000;

/// Has the people of a plan compare, or not.
pub(crate) fn draw(plan: &mut Plan) {
    let mut draw = Draw::new(plan.seed, "comparing");
    if plan.again == 0 && draw.chance(150) {
        let time = |draw: &mut Draw| draw.pick(&[0, 100 * MS, 2 * SECOND, 20 * SECOND]);
        plan.compare_us = Some([time(&mut draw), time(&mut draw)]);
    }
}

/// What each screen shows, and who has said that it is right.
#[derive(Debug, Default)]
pub(super) struct Screens {
    shown: [Option<Sas>; 2],
    compared: [bool; 2],
}

impl Run<'_> {
    /// Whether the person at a side may use the connection, as soon as it is there.
    pub(super) fn has_compared(&self, side: Side) -> bool {
        self.plan.compare_us.is_none() || self.screens.compared[side.place()]
    }

    /// Something is told to a side, which may have to compare first.
    pub(super) fn on_event_compare(&mut self, side: Side, event: &Event) -> Result<(), Broken> {
        match event {
            Event::Sas { sas } => {
                self.screens.shown[side.place()] = Some(*sas);
                let other = self.screens.shown[side.peer().place()];
                if other.is_some_and(|other| other != *sas) {
                    return broken("both screens show the same", format!("{sas:?}, {other:?}"));
                }
                let takes = self.plan.compare_us.map_or(0, |takes| takes[side.place()]);
                self.schedule(self.world.now() + takes, Happening::Compared { side });
                Ok(())
            }
            Event::Offered { .. } | Event::Message { .. } if !self.has_compared(side) => {
                broken("nothing is told before the two were compared", format!("{event:?}"))
            }
            _ => Ok(()),
        }
    }

    /// The person at a side says that both screens show the same.
    pub(super) fn compared(&mut self, side: Side) -> Result<(), Broken> {
        let now = self.instant(side);
        let is_over = self.closing || self.cut || self.oracle.is_closed(side);
        let Some(connection) = self.connection(side).filter(|one| one.is_established() && !is_over)
        else {
            return Ok(());
        };
        if let Err(error) = connection.confirm_sas(now, true) {
            return broken("what is shown can be compared", format!("{side:?}: {error}"));
        }
        self.screens.compared[side.place()] = true;
        if self.screens.compared == [true; 2] {
            self.watch.meet(Sometimes::Compared);
        }
        self.begin(side);
        self.drain(side)
    }

    /// From now on a side may use the connection.
    pub(super) fn begin(&mut self, side: Side) {
        let host = &mut self.hosts[side.place()];
        host.established = true;
        for planned in std::mem::take(&mut host.waiting) {
            self.schedule(self.world.now(), Happening::Offer { planned });
        }
    }
}
