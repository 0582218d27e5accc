//! What the people at both ends say to each other beside transfers (`FC-MESSAGE`), and
//! what must be true of it: what is reliable comes once and in order as long as there is a
//! connection, and what is not comes at most once.

use std::collections::{BTreeMap, VecDeque};

use passel_proto::frame::Message;
use passel_proto::ids::Channel;

use super::{Happening, Run};
use crate::oracle::{Broken, broken};
use crate::plan::{Fault, Plan, Side, TalkPlan};
use crate::readable;
use crate::rng::Draw;
use crate::sometimes::Sometimes;

const MS: u64 = 1000;
const SECOND: u64 = 1_000_000;

/// What was said in a connection and has not been heard, by who said it.
#[derive(Debug, Default)]
pub(super) struct Said(BTreeMap<(Side, Channel), VecDeque<Message>>);

impl Said {
    /// A message has come to `side`.
    fn hear(&mut self, side: Side, channel: Channel, message: &Message) -> Result<(), Broken> {
        let said = self.0.entry((side.peer(), channel)).or_default();
        let place = said.iter().position(|one| one == message);
        match place {
            Some(0) => said.pop_front(),
            Some(place) if channel == Channel::Unreliable => said.remove(place),
            _ => {
                let detail = format!("{side:?} hears {} bytes on {channel:?}", message.len());
                return broken("what is said is heard once, and in order", detail);
            }
        };
        Ok(())
    }
}

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
        let mut content = vec![0; usize::try_from(*bytes).unwrap_or(0)];
        readable::stamp(&mut content);
        content.extend(((talk as u64) << 32 | nth).to_le_bytes());
        let channel = if *reliable { Channel::Reliable } else { Channel::Unreliable };
        let message = Message::Binary(content);
        if let Err(error) = connection.send_message(now, channel, message.clone()) {
            return broken("something can be said", format!("{from:?}: {error}"));
        }
        self.said.0.entry((*from, channel)).or_default().push_back(message);
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

#[cfg(test)]
mod tests {
    use super::*;

    fn say(said: &mut Said, channel: Channel, numbers: &[u8]) {
        let queue = said.0.entry((Side::Inviter, channel)).or_default();
        queue.extend(numbers.iter().map(|number| Message::Binary(vec![*number])));
    }

    fn hears(said: &mut Said, channel: Channel, number: u8) -> bool {
        said.hear(Side::Joiner, channel, &Message::Binary(vec![number])).is_ok()
    }

    #[test]
    fn what_is_reliable_is_heard_in_order_and_the_rest_once_at_most() {
        let (mut said, reliable, other) = (Said::default(), Channel::Reliable, Channel::Unreliable);
        for channel in [reliable, other] {
            say(&mut said, channel, &[1, 2, 3]);
        }
        assert!(!hears(&mut said, reliable, 2) && hears(&mut said, reliable, 1));
        assert!(!hears(&mut said, reliable, 1), "it was heard");
        assert!(hears(&mut said, other, 3) && hears(&mut said, other, 1));
        assert!(!hears(&mut said, other, 3), "it was heard");
        assert!(!hears(&mut said, other, 9), "nobody said it");
    }
}
