//! Messages of the embedder that wait to be sent: bounded queues, and which
//! messages go into a record. What a record is and when its turn comes does not
//! live here.

use std::collections::VecDeque;

use super::Event;
use crate::error::Error;
use crate::frame::Message;
use crate::ids::Channel;
use crate::limits::{
    MAX_MESSAGE, MAX_MESSAGES_COUNT, MESSAGES_HIGH, MESSAGES_LOW, MESSAGES_UNRELIABLE,
};

/// What a message that is held back counts beside its own bytes.
const HELD_COST: usize = 64;

/// How much waits on one channel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MessageQueue {
    /// Messages that wait.
    pub messages: usize,
    /// Bytes of text or payload in them.
    pub bytes: usize,
    /// Messages that were dropped since the connection began, to make room for
    /// newer ones. Always 0 on `reliable`.
    pub dropped: u64,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<Message>,
    bytes: usize,
    dropped: u64,
    /// Whether the caller was told that it is full.
    full: bool,
}

impl Queue {
    /// FC-MESSAGE-QUEUE
    fn has_room(&self, len: usize, high: usize) -> bool {
        self.bytes + len <= high && self.waiting.len() < MAX_MESSAGES_COUNT
    }

    fn push(&mut self, message: Message) {
        self.bytes += message.len();
        self.waiting.push_back(message);
    }

    fn pop(&mut self) -> Option<Message> {
        let message = self.waiting.pop_front()?;
        self.bytes = self.bytes.saturating_sub(message.len());
        Some(message)
    }

    /// Whether a queue that was full may be filled again.
    fn has_drained(&mut self, low: usize) -> bool {
        let drained =
            self.full && self.bytes <= low && self.waiting.len() <= MAX_MESSAGES_COUNT / 2;
        self.full &= !drained;
        drained
    }
}

/// What waits on both channels.
#[derive(Debug, Default)]
pub(super) struct Messages {
    reliable: Queue,
    unreliable: Queue,
    /// Bytes that came and wait for this side's user, each message's own share
    /// of memory among them.
    held_back: usize,
}

impl Messages {
    fn queue(&mut self, channel: Channel) -> Option<&mut Queue> {
        match channel {
            Channel::Reliable => Some(&mut self.reliable),
            Channel::Unreliable => Some(&mut self.unreliable),
            Channel::Control | Channel::File => None,
        }
    }

    /// Takes a message, if the channel is one for messages and there is room.
    pub(super) fn push(
        &mut self,
        channel: Channel,
        message: Message,
        events: &mut VecDeque<Event>,
    ) -> Result<(), Error> {
        let len = message.len();
        let Some(queue) = self.queue(channel) else {
            return Err(Error::misuse("messages go over `reliable` and `unreliable` only"));
        };
        if len > MAX_MESSAGE {
            return Err(Error::misuse("the message is too long"));
        }
        let keeps_all = channel == Channel::Reliable;
        let high = if keeps_all { MESSAGES_HIGH } else { MESSAGES_UNRELIABLE };
        if !queue.has_room(len, high) {
            if !std::mem::replace(&mut queue.full, true) {
                events.push_back(Event::Backpressure { channel });
            }
            if keeps_all {
                return Err(Error::misuse("too many messages wait to be sent"));
            }
            // FC-MESSAGE-NEWEST
            while !queue.has_room(len, high) && queue.pop().is_some() {
                queue.dropped += 1;
            }
        }
        queue.push(message);
        Ok(())
    }

    pub(super) fn queued(&self, channel: Channel) -> MessageQueue {
        let queue = match channel {
            Channel::Reliable => &self.reliable,
            Channel::Unreliable => &self.unreliable,
            Channel::Control | Channel::File => return MessageQueue::default(),
        };
        let Queue { waiting, bytes, dropped, .. } = queue;
        MessageQueue { messages: waiting.len(), bytes: *bytes, dropped: *dropped }
    }

    /// Counts a message that waits for this side's user; `false` if it is too
    /// much (`FC-MESSAGE-HELD`).
    pub(super) fn hold_back(&mut self, message: &Message) -> bool {
        self.held_back += message.len() + HELD_COST;
        self.held_back <= MESSAGES_UNRELIABLE
    }

    /// Length of the next message, if one waits.
    pub(super) fn next_len(&self, channel: Channel) -> Option<usize> {
        let queue = if channel == Channel::Reliable { &self.reliable } else { &self.unreliable };
        queue.waiting.front().map(Message::len)
    }

    /// Takes the next message out.
    pub(super) fn pop(&mut self, channel: Channel) -> Option<Message> {
        self.queue(channel)?.pop()
    }

    /// Tells the caller what went into a record.
    pub(super) fn sent(&mut self, channel: Channel, count: u32, events: &mut VecDeque<Event>) {
        events.push_back(Event::MessagesSent { channel, count });
        let low = if channel == Channel::Reliable { MESSAGES_LOW } else { 0 };
        if self.queue(channel).is_some_and(|queue| queue.has_drained(low)) {
            events.push_back(Event::Drained { channel });
        }
    }

    /// Drops all that waits: the connection closes.
    pub(super) fn clear(&mut self) {
        for queue in [&mut self.reliable, &mut self.unreliable] {
            queue.waiting = VecDeque::new();
            queue.bytes = 0;
        }
    }
}
