//! What people say to each other beside transfers (`FC-MESSAGE`), and what must be true of
//! it: what is reliable comes once and in order as long as there is a connection, and what
//! is not comes at most once. When they talk is in each tier.

use std::collections::{BTreeMap, VecDeque};

use passel_proto::frame::Message;
use passel_proto::ids::Channel;

use crate::oracle::{Broken, broken};
use crate::plan::Side;
use crate::readable;

/// The `nth` of some things to say, of so many bytes and a few, unlike all others.
pub(crate) fn message(of: usize, nth: u64, bytes: u64) -> Message {
    let mut content = vec![0; usize::try_from(bytes).unwrap_or(0)];
    readable::stamp(&mut content);
    content.extend(((of as u64) << 32 | nth).to_le_bytes());
    Message::Binary(content)
}

/// What was said in a connection and has not been heard, by who said it.
#[derive(Debug, Default)]
pub(crate) struct Said(BTreeMap<(Side, Channel), VecDeque<Message>>);

impl Said {
    /// A side says something.
    pub(crate) fn say(&mut self, side: Side, channel: Channel, message: Message) {
        self.0.entry((side, channel)).or_default().push_back(message);
    }

    /// Whether all that is reliable was heard.
    pub(crate) fn is_heard(&self) -> bool {
        self.0.iter().all(|((_, channel), said)| *channel != Channel::Reliable || said.is_empty())
    }

    /// A message has come to `side`.
    pub(crate) fn hear(
        &mut self,
        side: Side,
        channel: Channel,
        message: &Message,
    ) -> Result<(), Broken> {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn say(said: &mut Said, channel: Channel, numbers: &[u8]) {
        for number in numbers {
            said.say(Side::Inviter, channel, Message::Binary(vec![*number]));
        }
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
        assert!(!said.is_heard());
        assert!(hears(&mut said, reliable, 2) && hears(&mut said, reliable, 3));
        assert!(said.is_heard(), "but for what may be lost");
        assert!(hears(&mut said, other, 3) && hears(&mut said, other, 1));
        assert!(!hears(&mut said, other, 3), "it was heard");
        assert!(!hears(&mut said, other, 9), "nobody said it");
    }
}
