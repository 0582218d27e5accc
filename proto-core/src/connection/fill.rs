//! Records out: what goes into the next one, and over which channel.
//!
//! `control` comes before everything else, so that acknowledgements and credit
//! never wait behind data; pages of manifests come after all other control
//! frames; data comes last, each transfer in turn (`FC-PRIORITY`).

use std::time::Instant;

use super::established::{Closing, Established, Transfer};
use crate::error::{Error, ErrorCode};
use crate::frame::{Frame, FrameWriter, Pong};
use crate::ids::Channel;
use crate::limits::{MAX_FRAME_BODY, MAX_RECORD, RECORD_HEADER, RECORD_TAG};

/// Plaintext at which a control record is full enough.
const CONTROL_FILL: usize = 16 * 1024;
/// Bytes that a record takes beyond the piece that it carries: header, tag,
/// FILE_END and the DATA frame's own header, rounded up.
const DATA_OVERHEAD: usize = 256;

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
    ) -> Option<Channel> {
        if matches!(self.closing, Closing::Done) {
            return None;
        }
        let channel = match self.fill_plaintext(room, buf) {
            Ok(channel) => channel?,
            Err(error) => {
                self.fail(now, error);
                return None;
            }
        };
        let sealer = self.sealers.get_mut(&channel)?;
        if sealer.seal(buf).is_err() {
            let error =
                Error::local(ErrorCode::Internal, "the keys of this connection are used up");
            self.transport_closed(Some(error));
            return None;
        }
        self.last_sent = now;
        if self.out.control.is_empty()
            && let Closing::Queued { error, .. } = &mut self.closing
        {
            let error = error.take();
            self.close_sent = true;
            self.finish(error);
        }
        Some(channel)
    }

    fn fill_plaintext(
        &mut self,
        room: &[usize; 4],
        buf: &mut Vec<u8>,
    ) -> Result<Option<Channel>, Error> {
        buf.resize(RECORD_HEADER, 0);
        let room_for = |channel: Channel| room.get(usize::from(channel.id())).copied().unwrap_or(0);
        if room_for(Channel::Control) > 0 && self.fill_control(buf)? {
            return Ok(Some(Channel::Control));
        }
        let piece = (1usize << self.config.piece_log2) + DATA_OVERHEAD;
        if !self.is_closing() && room_for(Channel::File) >= piece && self.fill_data(buf)? {
            return Ok(Some(Channel::File));
        }
        Ok(None)
    }

    fn fill_control(&mut self, buf: &mut Vec<u8>) -> Result<bool, Error> {
        let mut writer = FrameWriter::new(buf, RECORD_HEADER);
        let encoding = |_| Error::local(ErrorCode::Internal, "a frame cannot be encoded");
        if let Some(token) = self.pong.take() {
            writer.frame(&Pong { token }.into()).map_err(encoding)?;
        }
        while writer.len() < CONTROL_FILL
            && let Some(frame) = self.out.control.pop_front().or_else(|| self.next_page())
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

    /// One piece of the transfer whose turn it is.
    fn fill_data(&mut self, buf: &mut Vec<u8>) -> Result<bool, Error> {
        let ready = |id: &crate::ids::TransferId, transfer: &Transfer| match transfer {
            Transfer::Out(outgoing) if outgoing.can_send(self.send_credit) => Some(*id),
            _ => None,
        };
        let behind = self.transfers.range(self.turn..);
        let before = self.transfers.range(..self.turn);
        let Some(id) = behind.chain(before).find_map(|(id, slot)| ready(id, &slot.transfer)) else {
            return Ok(false);
        };
        self.turn = crate::ids::TransferId(id.0.saturating_add(1));
        let Some(Transfer::Out(outgoing)) =
            self.transfers.get_mut(&id).map(|slot| &mut slot.transfer)
        else {
            return Ok(false);
        };
        let mut writer = FrameWriter::new(buf, RECORD_HEADER);
        outgoing.fill(&mut writer, &mut self.send_credit, &mut self.out)
    }
}

/// Header and tag are part of what `DATA_OVERHEAD` covers.
const _: () = assert!(RECORD_HEADER + RECORD_TAG + 128 < DATA_OVERHEAD);
