//! Records out: what goes into the next one, and over which channel.
//!
//! `control` comes before everything else, so that acknowledgements and credit
//! never wait behind data; pages of manifests come after all other control
//! frames; then come messages, reliable ones first, and data last, each transfer
//! in turn, but for one record of it after some of messages (`FC-PRIORITY`).

use std::time::Instant;

use super::Transmit;
use super::established::{Closing, Established, Slot, Transfer};
use crate::error::{Error, ErrorCode};
use crate::frame::{Frame, FrameWriter, Pong};
use crate::ids::{Channel, TransferId};
use crate::limits::{MAX_FRAME_BODY, MAX_MESSAGE, MAX_RECORD, RECORD_HEADER, RECORD_TAG};

/// Plaintext at which a control record is full enough.
const CONTROL_FILL: usize = 16 * 1024;
/// Bytes that a record takes beyond the piece that it carries: header, tag,
/// FILE_END and the DATA frame's own header, rounded up.
const DATA_OVERHEAD: usize = 256;

/// Plaintext at which a record of messages is full enough.
const MESSAGE_FILL: usize = 16 * 1024;
/// Bytes that a record takes beyond the messages' own: header and tag, and for
/// each message its frame's head, rounded up.
const MESSAGE_OVERHEAD: usize = 64;
/// Records of messages that go before one of data.
const MESSAGE_RUN: u32 = 16;

/// A record of messages never outgrows its limit.
const _: () = assert!(MESSAGE_FILL + MAX_MESSAGE + MESSAGE_OVERHEAD < MAX_RECORD);

/// A control record never outgrows its limit: it is filled to at least one
/// frame, and to less than `CONTROL_FILL` before the last one is added.
const _: () = assert!(CONTROL_FILL + MAX_FRAME_BODY - 1024 < MAX_RECORD);

impl Established {
    /// Fills `buf` with the next sealed record. `None` leaves it unspecified.
    pub(super) fn fill(
        &mut self,
        now: Instant,
        room: &[usize; 4],
        buf: &mut Vec<u8>,
    ) -> Option<Transmit> {
        if matches!(self.closing, Closing::Done) {
            return None;
        }
        self.start_update(now);
        if self.keys.must_announce() && self.out.control.is_empty() && self.pong.is_none() {
            self.ping(now); // RL-UPDATE-ANNOUNCE
        }
        let Transmit { lane, channel } = match self.fill_plaintext(now, room, buf) {
            Ok(place) => place?,
            Err(error) => {
                self.fail(now, error);
                return None;
            }
        };
        if self.keys.seal(lane, channel, buf).is_err() {
            let error =
                Error::local(ErrorCode::Internal, "the keys of this connection are used up");
            self.transport_closed(Some(error));
            return None;
        }
        self.lanes.use_room(lane, buf.len());
        self.last_sent = now;
        if self.out.control.is_empty()
            && let Closing::Queued { error, .. } = &mut self.closing
        {
            let error = error.take();
            self.close_sent = true;
            self.finish(error, false);
        }
        Some(Transmit { lane, channel })
    }

    fn fill_plaintext(
        &mut self,
        now: Instant,
        room: &[usize; 4],
        buf: &mut Vec<u8>,
    ) -> Result<Option<Transmit>, Error> {
        buf.resize(RECORD_HEADER, 0);
        let room_for = |channel: Channel| room.get(usize::from(channel.id())).copied().unwrap_or(0);
        if room_for(Channel::Control) > 0 && self.fill_control(buf)? {
            return Ok(Some(on_lane_0(Channel::Control)));
        }
        if self.is_closing() {
            return Ok(None);
        }
        let piece = (1usize << self.config.piece_log2) + DATA_OVERHEAD;
        let zero = room_for(Channel::File);
        // FC-PRIORITY: messages go before data, but not for ever.
        if self.message_run >= MESSAGE_RUN
            && let Some(lane) = self.fill_data(now, (zero, piece), buf)?
        {
            self.message_run = 0;
            return Ok(Some(Transmit { lane, channel: Channel::File }));
        }
        for channel in [Channel::Reliable, Channel::Unreliable] {
            // HS-AFTER-CONFIRM
            if self.peer_is_done && self.fill_messages(channel, room_for(channel), buf)? {
                self.message_run = self.message_run.saturating_add(1);
                return Ok(Some(on_lane_0(channel)));
            }
        }
        let lane = self.fill_data(now, (zero, piece), buf)?;
        if lane.is_some() {
            self.message_run = 0;
        }
        Ok(lane.map(|lane| Transmit { lane, channel: Channel::File }))
    }

    /// Messages that wait, as far as there is room: several in a record of
    /// `reliable`, one in a record of `unreliable`, so that one loss loses one.
    fn fill_messages(
        &mut self,
        channel: Channel,
        room: usize,
        buf: &mut Vec<u8>,
    ) -> Result<bool, Error> {
        let mut writer = FrameWriter::new(buf, RECORD_HEADER);
        let fill = if channel == Channel::Reliable { MESSAGE_FILL } else { 1 };
        let mut count = 0;
        while writer.len() < fill
            && let Some(len) = self.messages.next_len(channel)
            && writer.len() + len + MESSAGE_OVERHEAD <= room
            && let Some(message) = self.messages.pop(channel)
        {
            let encoding = |_| Error::local(ErrorCode::Internal, "a frame cannot be encoded");
            writer.frame(&message.into()).map_err(encoding)?;
            count += 1;
        }
        if count > 0 {
            self.messages.sent(channel, count, &mut self.out.events);
        }
        Ok(count > 0)
    }

    fn fill_control(&mut self, buf: &mut Vec<u8>) -> Result<bool, Error> {
        let mut writer = FrameWriter::new(buf, RECORD_HEADER);
        let encoding = |_| Error::local(ErrorCode::Internal, "a frame cannot be encoded");
        if let Some(token) = self.pong.take() {
            writer.frame(&Pong { token }.into()).map_err(encoding)?;
        }
        while writer.len() < CONTROL_FILL
            && let Some(frame) = self.next_control().or_else(|| self.next_page())
        {
            writer.frame(&frame).map_err(encoding)?;
        }
        let filled = !writer.is_empty();
        if filled {
            self.read_on();
        }
        Ok(filled)
    }

    /// Reading pauses while many control frames wait, and goes on here.
    fn read_on(&mut self) {
        for slot in self.transfers.values_mut() {
            if let Transfer::Out(outgoing) = &mut slot.transfer {
                outgoing.advance(&mut self.out);
            }
        }
    }

    fn next_page(&mut self) -> Option<Frame> {
        if self.is_closing() {
            return None; // FC-CLOSE: nothing follows it.
        }
        self.transfers.values_mut().find_map(|slot| match &mut slot.transfer {
            Transfer::Out(outgoing) => outgoing.next_page(),
            Transfer::In(_) => None,
        })
    }

    /// One piece of the transfer whose turn it is, for the lane whose turn it is.
    /// `zero` is the room of lane 0, `least` what a lane must have.
    fn fill_data(
        &mut self,
        now: Instant,
        (zero, least): (usize, usize),
        buf: &mut Vec<u8>,
    ) -> Result<Option<u16>, Error> {
        self.rates.clear_wake();
        let mut lane = self.lanes.turn();
        for _ in 0..self.lanes.count() {
            lane = self.lanes.behind(lane);
            let room = if lane == 0 { zero } else { self.lanes.room(lane) };
            if room >= least && self.fill_data_for(now, lane, buf)? {
                return Ok(Some(lane));
            }
        }
        Ok(None)
    }

    fn fill_data_for(&mut self, now: Instant, lane: u16, buf: &mut Vec<u8>) -> Result<bool, Error> {
        let behind = self.transfers.range(self.turn..);
        let before = self.transfers.range(..self.turn);
        let (rates, credit) = (&mut self.rates, self.send_credit);
        let begins = self.lanes.begins(lane);
        let ready = |(id, slot): (&TransferId, &Slot)| match &slot.transfer {
            Transfer::Out(outgoing) if outgoing.can_send((lane, begins), credit) => {
                rates.admits(*id, now).then_some(*id)
            }
            _ => None,
        };
        let Some(id) = behind.chain(before).find_map(ready) else {
            return Ok(false);
        };
        self.turn = TransferId(id.0.saturating_add(1));
        let Some(Transfer::Out(outgoing)) =
            self.transfers.get_mut(&id).map(|slot| &mut slot.transfer)
        else {
            return Ok(false);
        };
        let mut writer = FrameWriter::new(buf, RECORD_HEADER);
        let cost =
            outgoing.fill((lane, begins), &mut writer, &mut self.send_credit, &mut self.out)?;
        if let Some(cost) = cost {
            self.lanes.sent(lane, id, cost);
            self.rates.pay(id, now, buf.len() + RECORD_TAG);
        }
        Ok(cost.is_some())
    }
}

fn on_lane_0(channel: Channel) -> Transmit {
    Transmit { lane: 0, channel }
}

/// Header and tag are part of what `DATA_OVERHEAD` covers.
const _: () = assert!(RECORD_HEADER + RECORD_TAG + 128 < DATA_OVERHEAD);
