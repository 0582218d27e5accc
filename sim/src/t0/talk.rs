//! When the people at both ends say something to each other beside transfers. What must be
//! true of it is in `said`.

use passel_proto::frame::Message;
use passel_proto::ids::Channel;

use super::{Happening, Run};
use crate::oracle::{Broken, broken};
use crate::plan::{Fault, Plan, Side, TalkPlan};
use crate::rng::Draw;
use crate::said;
use crate::sometimes::Sometimes;

const MS: u64 = 1000;
const SECOND: u64 = 1_000_000;

/// Lets the people of a plan talk, or not. Where keys are updated, they talk meanwhile,
/// over a wire that loses.
pub(crate) fn draw(plan: &mut Plan) {
    let mut draw = Draw::new(plan.seed, "talks");
    let update = plan.faults.iter().find_map(|fault| match fault {
        Fault::Update { at_us, .. } => Some(*at_us),
        _ => None,
    });
    if let Some(at_us) = update.filter(|_| draw.chance(500)) {
        plan.knobs.loss_permille = draw.pick(&[50, 200]);
        plan.talks.extend(Side::BOTH.map(|from| {
            let (at_us, every_us) = (at_us.saturating_sub(5 * MS), MS);
            TalkPlan { from, at_us, every_us, count: 60, reliable: false, bytes: 100 }
        }));
    }
    if draw.chance(250) {
        plan.talks.push(TalkPlan {
            from: draw.pick(&Side::BOTH),
            at_us: draw.below(SECOND),
            every_us: draw.pick(&[0, MS, 100 * MS]),
            count: draw.pick(&[1, 5, 20]),
            reliable: draw.chance(500),
            bytes: draw.pick(&[0, 10, 1000, 30_000]),
        });
    }
}

impl Run<'_> {
    /// Somebody says the `nth` message of a talk, if there is a connection.
    pub(super) fn say(&mut self, talk: usize, nth: u64) -> Result<(), Broken> {
        let plan = self.plan;
        let Some(TalkPlan { from, every_us, count, reliable, bytes, .. }) = plan.talks.get(talk)
        else {
            return Ok(());
        };
        if nth + 1 < *count {
            let at = self.world.now() + every_us;
            self.schedule(at, Happening::Say { talk, nth: nth + 1 });
        }
        let now = self.instant(*from);
        let is_over = self.closing || self.cut || self.oracle.is_closed(*from);
        // FC-MESSAGE-HELD: a peer that has not compared takes only so much.
        let is_much = *reliable && *bytes > 1000 && !self.has_compared(from.peer());
        let may_speak = !is_over && !is_much && self.has_compared(*from);
        let Some(connection) = self.connection(*from).filter(|one| one.is_established()) else {
            return Ok(());
        };
        if !may_speak {
            return Ok(());
        }
        let channel = if *reliable { Channel::Reliable } else { Channel::Unreliable };
        let message = said::message(talk, nth, *bytes);
        if let Err(error) = connection.send_message(now, channel, message.clone()) {
            return broken("something can be said", format!("{from:?}: {error}"));
        }
        self.said.say(*from, channel, message);
        self.drain(*from)
    }

    /// Something that was said is heard.
    pub(super) fn hear(
        &mut self,
        side: Side,
        channel: Channel,
        message: &Message,
    ) -> Result<(), Broken> {
        self.watch.meet(match channel {
            Channel::Unreliable => Sometimes::HeardUnreliable,
            _ => Sometimes::HeardReliable,
        });
        self.said.hear(side, channel, message)
    }
}
