//! What the people of T1 wish while there is a connection, beside offering and taking: that
//! a transfer waits, that it ends, other keys, and to say something. What must be true of
//! what they say is in `said`.

use passel_proto::connection::Event;
use passel_proto::error::{Blame, Error, ErrorCode};
use passel_proto::frame::Message;
use passel_proto::ids::{Channel, TransferId};
use serde::{Deserialize, Serialize};

use super::again::Cancel;
use super::plan::Plan;
use super::sometimes::Condition;
use super::{Happening, Run};
use crate::oracle::{Broken, broken};
use crate::plan::{Side, is_zero};
use crate::rng::Draw;
use crate::said;

const MS: u64 = 1000;
const SECOND: u64 = 1_000_000;

/// When somebody wishes something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WishPlan {
    /// Who.
    pub side: Side,
    /// In which connection, from 0.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub connection: u32,
    /// When, in microseconds after that began.
    pub at_us: u64,
    /// What.
    pub wish: Wish,
}

/// What somebody wishes. It comes to nothing while it makes no sense: before the handshake,
/// of a transfer that is not under way, after the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Wish {
    /// Other keys.
    UpdateKeys,
    /// That a transfer waits.
    Pause {
        /// Its place in the plan.
        transfer: usize,
        /// How long, in microseconds.
        for_us: u64,
    },
    /// That a transfer ends.
    Cancel {
        /// Its place in the plan.
        transfer: usize,
    },
    /// To say something.
    Say {
        /// So many things at once.
        count: u32,
        /// Each of so many bytes, and a few.
        bytes: u64,
        /// Over the channel that loses nothing.
        reliable: bool,
    },
}

/// Lets the people of some plans wish something, mostly of those with further lanes, and
/// while files are on their way.
pub(super) fn draw(plan: &mut Plan) {
    let mut draw = Draw::new(plan.seed, "wishes of t1");
    if draw.chance(if plan.lanes > 1 { 250 } else { 700 }) {
        return;
    }
    for _ in 0..draw.pick(&[1, 1, 2, 4]) {
        let last = plan.transfers.len().saturating_sub(1) as u64;
        let transfer = usize::try_from(draw.between(0, last)).unwrap_or(0);
        let begins = plan.transfers.get(transfer).map_or(0, |transfer| transfer.at_us);
        let longest = draw.pick(&[SECOND, 4 * SECOND, 4 * SECOND, 12 * SECOND]);
        let wish = match draw.below(8) {
            0..3 => Wish::UpdateKeys,
            3 | 4 => Wish::Pause { transfer, for_us: draw.below(10 * SECOND) },
            5 => Wish::Cancel { transfer },
            _ => Wish::Say {
                count: draw.pick(&[1, 5, 20]),
                bytes: draw.pick(&[0, 10, 1000, 30_000]),
                reliable: draw.chance(500),
            },
        };
        plan.wishes.push(WishPlan {
            side: draw.pick(&Side::BOTH),
            connection: draw.pick(&[0, 0, 0, 1]).min(plan.again),
            at_us: begins + draw.between(100 * MS, longest),
            wish,
        });
    }
}

impl Run<'_> {
    /// Somebody wishes something.
    pub(super) fn wish(&mut self, planned: usize) -> Result<(), Broken> {
        let Some(WishPlan { side, wish, .. }) = self.plan.wishes.get(planned).copied() else {
            return Ok(());
        };
        if self.healed || !self.may_wish(side) {
            return Ok(());
        }
        match wish {
            Wish::UpdateKeys => self.update_keys(side),
            Wish::Pause { transfer, for_us } => self.pause(side, transfer, for_us),
            Wish::Cancel { transfer } => self.cancel(side, transfer),
            Wish::Say { count, bytes, reliable } => (0..count.into())
                .try_for_each(|nth| self.say(side, said::message(planned, nth, bytes), reliable)),
        }
    }

    fn may_wish(&self, side: Side) -> bool {
        let host = &self.hosts[side.place()];
        let is_up = self.oracle.established[side.place()] && !self.oracle.is_closed(side);
        is_up && !host.dead && !self.oracle.closing
    }

    /// That a wish came true, with further lanes up or without.
    fn granted(&mut self, side: Side, alone: Condition, with_lanes: Condition, text: &str) {
        let has_lanes = self.hosts[side.place()].endpoint.lanes().0 > 1;
        self.watch.meet(if has_lanes { with_lanes } else { alone });
        self.watch.on_wish(self.world.now(), side, text);
    }

    fn update_keys(&mut self, side: Side) -> Result<(), Broken> {
        let now = self.instant(side);
        if let Err(error) = self.hosts[side.place()].endpoint.update_keys(now) {
            return broken("keys can be updated", format!("{side:?}: {error}"));
        }
        self.granted(side, Condition::Updated, Condition::UpdatedWithLanes, "asks for other keys");
        self.drain(side)
    }

    fn pause(&mut self, side: Side, planned: usize, for_us: u64) -> Result<(), Broken> {
        let now = self.instant(side);
        let Some(id) = self.oracle.id_of(planned) else { return Ok(()) };
        if self.hosts[side.place()].endpoint.pause(now, id).is_err() {
            return Ok(()); // Over, not accepted yet, or paused already.
        }
        self.granted(side, Condition::Paused, Condition::PausedWithLanes, "pauses");
        let at = self.world.now() + for_us;
        self.schedule(at, Happening::Resumes { side, transfer: id });
        self.drain(side)
    }

    /// A pause is over.
    pub(super) fn resume(&mut self, side: Side, id: TransferId) -> Result<(), Broken> {
        let now = self.instant(side);
        let host = &mut self.hosts[side.place()];
        if host.dead || self.oracle.is_closed(side) || host.endpoint.progress(id).is_none() {
            return Ok(());
        }
        if let Err(error) = host.endpoint.resume(now, id) {
            return broken("a pause can be ended", format!("{side:?}: {error}"));
        }
        self.watch.on_wish(self.world.now(), side, "goes on");
        self.drain(side)
    }

    fn cancel(&mut self, side: Side, planned: usize) -> Result<(), Broken> {
        let now = self.instant(side);
        let Some(id) = self.oracle.id_of(planned).filter(|id| self.oracle.is_seen(*id)) else {
            return Ok(());
        };
        let endpoint = &mut self.hosts[side.place()].endpoint;
        if endpoint.progress(id).is_none() {
            return Ok(());
        }
        let error = Error::new(Blame::Circumstance, ErrorCode::Cancelled, "not wanted any more");
        self.oracle.on_cancel(id);
        self.stories[planned].cancel = Cancel::Wished;
        if let Err(error) = endpoint.cancel(now, id, error) {
            return broken("a transfer can be cancelled", format!("{side:?}: {error}"));
        }
        self.granted(side, Condition::Cancelled, Condition::CancelledWithLanes, "cancels");
        self.drain(side)
    }

    /// Somebody does not want what was cancelled before.
    pub(super) fn decline(&mut self, side: Side, id: TransferId) -> Result<(), Broken> {
        let now = self.instant(side);
        let error = Error::new(Blame::Circumstance, ErrorCode::Declined, "not wanted any more");
        self.oracle.on_cancel(id);
        if let Err(error) = self.hosts[side.place()].endpoint.reject(now, id, error) {
            return broken("an offer can be answered", format!("{side:?}: {error}"));
        }
        self.drain(side)
    }

    fn say(&mut self, side: Side, message: Message, reliable: bool) -> Result<(), Broken> {
        let now = self.instant(side);
        let channel = if reliable { Channel::Reliable } else { Channel::Unreliable };
        self.said.say(side, channel, message.clone());
        if let Err(error) = self.hosts[side.place()].endpoint.send_message(now, channel, message) {
            return broken("something can be said", format!("{side:?}: {error}"));
        }
        self.drain(side)
    }

    /// Something that was said is heard.
    pub(super) fn hear(
        &mut self,
        side: Side,
        channel: Channel,
        message: &Message,
    ) -> Result<(), Broken> {
        let has_lanes = self.hosts[side.place()].endpoint.lanes().0 > 1;
        self.watch.meet(if has_lanes { Condition::HeardWithLanes } else { Condition::Heard });
        self.said.hear(side, channel, message)
    }

    /// A transfer has ended for a side as somebody wished.
    pub(super) fn on_cancelled(&mut self, side: Side, event: &Event) {
        let Event::Ended { transfer, .. } = event else { return };
        let Some(facts) = self.oracle.transfers.get(transfer) else { return };
        if facts.is_cancelled(side) {
            let story = &mut self.stories[facts.planned];
            if facts.from == side {
                story.over = true;
            } else {
                story.cancel = Cancel::Told;
            }
        }
    }
}
