//! The data channels of one lane: their parameters, their ids in the stack, and
//! how much may be queued on each. What does not live here: when the stack is
//! driven (`drive`).

use passel_proto::error::Error;
use passel_proto::ids::Channel;
use passel_proto::limits::MAX_RECORD;
use str0m::channel::{ChannelConfig, ChannelId, Reliability};
use str0m::{Rtc, RtcError};

use super::config::{MAX_WINDOW, MIN_WINDOW, ORDERED_WINDOW};

/// The data channels' protocol string (`TB-CHANNELS`).
const PROTOCOL: &str = "passel.v1";
/// Queued unordered bytes at or below which a held-back ordered message has
/// gone ahead: the smallest congestion window is one datagram.
const HOLD_RELEASE: usize = 2 * 1_024;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Not open yet.
    Pending,
    Open,
    Closed,
}

struct Entry {
    channel: Channel,
    id: Option<ChannelId>,
    state: State,
    window: usize,
    /// Somebody wanted more room than there was.
    starved: bool,
}

/// The channels that a lane carries.
pub(super) struct Channels {
    entries: Vec<Entry>,
    /// An ordered message waits behind unordered ones: see `Lane::write`.
    hold: bool,
}

impl Channels {
    pub(super) fn new(channels: &[Channel], file_window: usize) -> Self {
        let entries = channels
            .iter()
            .map(|&channel| Entry {
                channel,
                id: None,
                state: State::Pending,
                window: if channel.is_ordered() {
                    ORDERED_WINDOW
                } else {
                    file_window.clamp(MIN_WINDOW, MAX_WINDOW)
                },
                starved: false,
            })
            .collect();
        Self { entries, hold: false }
    }

    /// What the stack must know of each channel (`TB-CHANNELS`).
    pub(super) fn configs(&self) -> Vec<(Channel, ChannelConfig)> {
        self.entries
            .iter()
            .map(|entry| {
                let channel = entry.channel;
                let config = ChannelConfig {
                    label: channel.name().to_owned(),
                    ordered: channel.is_ordered(),
                    reliability: if channel == Channel::Unreliable {
                        Reliability::MaxRetransmits { retransmits: 0 }
                    } else {
                        Reliability::Reliable
                    },
                    negotiated: Some(u16::from(channel.id())),
                    protocol: PROTOCOL.to_owned(),
                };
                (channel, config)
            })
            .collect()
    }

    pub(super) fn set_id(&mut self, channel: Channel, id: ChannelId) {
        if let Some(entry) = self.entry_mut(channel) {
            entry.id = Some(id);
        }
    }

    fn entry(&self, channel: Channel) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.channel == channel)
    }

    fn entry_mut(&mut self, channel: Channel) -> Option<&mut Entry> {
        self.entries.iter_mut().find(|entry| entry.channel == channel)
    }

    /// The channel with the stack's `id`, if it is one of the protocol's.
    pub(super) fn by_id(&self, id: ChannelId) -> Option<Channel> {
        self.entries.iter().find(|entry| entry.id == Some(id)).map(|entry| entry.channel)
    }

    pub(super) fn opened(&mut self, channel: Channel) {
        if let Some(entry) = self.entry_mut(channel) {
            entry.state = State::Open;
        }
    }

    pub(super) fn closed(&mut self, channel: Channel) {
        if let Some(entry) = self.entry_mut(channel) {
            entry.state = State::Closed;
        }
    }

    /// Whether the channel is open; an error if it never will be.
    pub(super) fn is_usable(&self, channel: Channel) -> Result<bool, Error> {
        match self.entry(channel).map(|entry| entry.state) {
            None => Err(Error::misuse("the lane does not carry this channel")),
            Some(State::Closed) => Err(Error::misuse("the channel is closed")),
            Some(State::Pending) => Ok(false),
            Some(State::Open) => Ok(true),
        }
    }

    pub(super) fn set_file_window(&mut self, bytes: usize) {
        if let Some(entry) = self.entry_mut(Channel::File) {
            entry.window = bytes.clamp(MIN_WINDOW, MAX_WINDOW);
        }
    }

    pub(super) fn set_starved(&mut self, channel: Channel) {
        if let Some(entry) = self.entry_mut(channel) {
            entry.starved = true;
        }
    }

    pub(super) fn hold_unordered(&mut self) {
        self.hold = true;
    }

    pub(super) fn is_held(&self, channel: Channel) -> bool {
        self.hold && !channel.is_ordered()
    }

    /// Bytes queued and not acknowledged.
    pub(super) fn buffered(&self, rtc: &mut Rtc, channel: Channel) -> usize {
        self.entry(channel)
            .and_then(|entry| entry.id)
            .and_then(|id| rtc.channel(id))
            .map_or(0, |mut handle| handle.buffered_amount())
    }

    /// Bytes queued and not acknowledged of what the stack sends first.
    pub(super) fn unordered(&self, rtc: &mut Rtc) -> usize {
        self.buffered(rtc, Channel::File) + self.buffered(rtc, Channel::Unreliable)
    }

    /// What is free of the window; notes that somebody wanted more.
    pub(super) fn room(&mut self, rtc: &mut Rtc, channel: Channel) -> usize {
        let Some(Entry { state: State::Open, window, .. }) = self.entry(channel) else {
            return 0;
        };
        let window = *window;
        let room = if self.is_held(channel) {
            0
        } else {
            window.saturating_sub(self.buffered(rtc, channel))
        };
        if room < window.min(2 * MAX_RECORD) / 2 {
            self.set_starved(channel);
        }
        room
    }

    /// The first channel that was starved and is not any more, once. To be asked
    /// when the stack is drained, until it answers `None`.
    pub(super) fn relieved(&mut self, rtc: &mut Rtc) -> Option<Channel> {
        if self.hold {
            let ordered =
                self.buffered(rtc, Channel::Control) + self.buffered(rtc, Channel::Reliable);
            self.hold = ordered > 0 && self.unordered(rtc) > HOLD_RELEASE;
        }
        for index in 0..self.entries.len() {
            let Entry { channel, starved, state, .. } = self.entries[index];
            if !starved || state != State::Open {
                continue;
            }
            // `room` notes it again if there still is too little.
            self.entries[index].starved = false;
            self.room(rtc, channel);
            if !self.entries[index].starved {
                return Some(channel);
            }
        }
        None
    }

    /// Writes without regard to windows. `false` if the stack refuses.
    pub(super) fn write(
        &self,
        rtc: &mut Rtc,
        channel: Channel,
        data: &[u8],
    ) -> Result<bool, RtcError> {
        let id = self.entry(channel).and_then(|entry| entry.id);
        match id.and_then(|id| rtc.channel(id)) {
            Some(mut handle) => handle.write(true, data),
            None => Ok(false),
        }
    }
}
