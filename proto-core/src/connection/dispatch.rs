//! Records in: opens them and gives each frame to its subject.

use std::time::Instant;

use super::Event;
use super::established::{Closing, Established, Slot, Transfer};
use crate::error::{Blame, Error, ErrorCode};
use crate::frame::{Data, Frame, FrameReader, Message, Offer, Reject};
use crate::handshake::parse_alert;
use crate::ids::{Channel, TransferId};
use crate::limits::{MAX_MANIFEST_BYTES, MAX_TRANSFERS_COUNT};
use crate::record::OpenError;
use crate::transfer::incoming::Incoming;
use crate::transfer::outgoing::Outgoing;
use crate::transfer::{Outbox, told_by_peer, wire_text};

/// What a transfer's number stands for.
enum Found<'a> {
    Out(&'a mut Outgoing, &'a mut Outbox),
    In(&'a mut Incoming, &'a mut Outbox),
    /// It was there and is over: frames under way to it are harmless.
    Over,
}

impl Established {
    /// Frames come from nowhere but an opened record (`OV-CONFIRMED-ONLY`).
    /// `place` is the lane and the channel on which the record came.
    pub(super) fn handle_record(&mut self, now: Instant, place: (u16, Channel), record: &mut [u8]) {
        let (lane, channel) = place;
        if matches!(self.closing, Closing::Done) || !self.takes_lane(lane, channel) {
            return;
        }
        if let Some(error) = self.late_alert(channel, record) {
            return self.finish(Some(error), false);
        }
        let plaintext = match self.keys.open(now, place, record) {
            Ok(plaintext) => plaintext,
            // RL-UNRELIABLE-DROP and RL-REPLAY-DROP
            Err(_) if channel == Channel::Unreliable => return,
            Err(OpenError::Replay) if !channel.is_ordered() => return,
            Err(_) if lane != 0 => return self.spoil_lane(lane),
            Err(error) => {
                let text = format!("a record on {} was refused: {error}", channel.name());
                return self.fail(now, Error::peer(ErrorCode::RecordRejected, text));
            }
        };
        self.last_heard = now;
        self.peer_is_done = true;
        let mut reader = FrameReader::new(plaintext, channel);
        loop {
            let handled = match reader.next() {
                Ok(None) => break,
                Ok(Some(Frame::Data(data))) => self.on_data(lane, &data, reader.payload(), now),
                Ok(Some(Frame::Message(message))) => self.on_message(channel, message),
                Ok(Some(frame)) => self.on_frame(lane, frame, now),
                Err(error) => Err(error),
            };
            if let Err(error) = handled {
                // WF-REFUSE: nothing behind it is looked at.
                return self.fail(now, error);
            }
            if matches!(self.closing, Closing::Done) {
                return;
            }
        }
        self.tidy(now);
    }

    /// The ALERT of a responder that gave up before it had CONFIRM, while the
    /// initiator's part was done (`HS-ALERT-LATE`).
    fn late_alert(&self, channel: Channel, record: &[u8]) -> Option<Error> {
        if self.peer_is_done || channel != Channel::Control {
            return None;
        }
        parse_alert(record)
    }

    fn on_frame(&mut self, lane: u16, frame: Frame, now: Instant) -> Result<(), Error> {
        if let Frame::Close(close) = &frame {
            let error = (close.code != 0).then(|| told_by_peer(close.code, &close.text));
            self.finish(error, false);
            return Ok(());
        }
        if self.is_closing() {
            return Ok(());
        }
        match frame {
            Frame::Ping(ping) => self.pong = Some(ping.token),
            // Anything that is heard proves that the peer is there.
            Frame::Pong(_) | Frame::Close(_) | Frame::Data(_) | Frame::Message(_) => {}
            Frame::Resumable(resumable) => self.on_resumable(&resumable)?,
            Frame::KeyUpdate(update) => {
                let answer = self.keys.on_update(now, update)?;
                self.out.control.extend(answer.map(Frame::from));
            }
            Frame::KeyUpdateAnswer(answer) => self.keys.on_answer(now, &answer)?,
            Frame::Offer(offer) => self.on_offer(offer, now)?,
            Frame::ManifestPage(page) => {
                // TR-MANIFEST-BUDGET
                let held: usize = self.transfers.values().map(Slot::manifest_bytes).sum();
                let too_large = held + page.entries.len() > MAX_MANIFEST_BYTES;
                if let Some((incoming, out)) = self.receiving(page.transfer)? {
                    // A page behind the last is another thing: TR-MANIFEST-PAGE.
                    if too_large && incoming.manifest().is_none() {
                        let text = "the lists of all offers together are too long";
                        let error = Error::new(Blame::Circumstance, ErrorCode::TooLarge, text);
                        incoming.reject(error, false, out)?;
                    } else {
                        incoming.on_page(&page, out)?;
                    }
                }
            }
            Frame::Accept(accept) => {
                if let Some((outgoing, out)) = self.sending(accept.transfer)? {
                    outgoing.on_accept(&accept, out)?;
                }
            }
            Frame::Reject(reject) => {
                if let Some((outgoing, out)) = self.sending(reject.transfer)? {
                    outgoing.on_reject(told_by_peer(reject.code, &reject.text), false, out)?;
                }
            }
            Frame::FileEnd(end) => {
                let cost = Incoming::end_cost();
                self.count(lane, end.transfer, cost)?;
                let may_repeat = self.lanes.are_possible();
                if let Some((incoming, out)) = self.receiving(end.transfer)? {
                    incoming.on_file_end(&end, may_repeat, now, out)?;
                }
            }
            Frame::LaneSignal(signal) => self.on_lane_signal(signal)?,
            Frame::LaneEnd(end) => self.on_lane_end(&end)?,
            Frame::Ack(ack) => {
                if let Some((outgoing, out)) = self.sending(ack.transfer)? {
                    outgoing.on_ack(&ack, out)?;
                }
            }
            Frame::Nack(nack) => {
                if let Some((outgoing, out)) = self.sending(nack.transfer)? {
                    outgoing.on_nack(&nack, out)?;
                }
            }
            Frame::Credit(credit) => match credit.transfer {
                None => self.send_credit.raise(credit.limit),
                Some(transfer) => {
                    if let Some((outgoing, _)) = self.sending(transfer)? {
                        outgoing.on_credit(credit.limit);
                    }
                }
            },
            Frame::Cancel(cancel) => match self.find(cancel.transfer)? {
                Found::Out(outgoing, out) => outgoing.on_cancel(&cancel, out)?,
                Found::In(incoming, out) => incoming.on_cancel(&cancel, out)?,
                Found::Over => {}
            },
            Frame::Pause(pause) => match self.find(pause.transfer)? {
                Found::Out(outgoing, out) => outgoing.pause(true, out)?,
                Found::In(incoming, out) => incoming.pause(true, out)?,
                Found::Over => {}
            },
            Frame::Resume(resume) => match self.find(resume.transfer)? {
                Found::Out(outgoing, out) => outgoing.resume(true, out)?,
                Found::In(incoming, out) => incoming.resume(true, out)?,
                Found::Over => {}
            },
            Frame::Have(have) => {
                if let Some((outgoing, _)) = self.sending(have.transfer)? {
                    outgoing.on_have(&have)?;
                }
            }
            Frame::Stored(stored) => {
                if let Some((outgoing, _)) = self.sending(stored.transfer)? {
                    outgoing.on_stored(&stored)?;
                }
            }
            Frame::LeavesWanted(wanted) => {
                if let Some((incoming, out)) = self.receiving(wanted.transfer)? {
                    incoming.on_leaves_wanted(&wanted, now, out)?;
                }
            }
            Frame::Leaves(leaves) => {
                if let Some((outgoing, out)) = self.sending(leaves.transfer)? {
                    outgoing.on_leaves(&leaves, out)?;
                }
            }
            Frame::Complete(complete) => {
                if let Some((incoming, out)) = self.receiving(complete.transfer)? {
                    incoming.on_complete(&complete, now, out)?;
                }
            }
            Frame::Receipt(receipt) => {
                let key = self.receipt_key.clone();
                if let Some((outgoing, out)) = self.sending(receipt.transfer)? {
                    outgoing.on_receipt(&receipt, &key, out)?;
                }
            }
            Frame::FileFailed(failed) => match self.find(failed.transfer)? {
                Found::Out(outgoing, out) => outgoing.on_file_failed(&failed, out)?,
                Found::In(incoming, out) => incoming.on_file_failed(&failed, now, out)?,
                Found::Over => {}
            },
        }
        Ok(())
    }

    /// FC-MESSAGE-RECEIVED: it is the caller's at once, so what waits here is
    /// never more than one record holds, but for what a comparison holds back.
    fn on_message(&mut self, channel: Channel, message: Message) -> Result<(), Error> {
        if self.is_closing() {
            return Ok(());
        }
        if !self.comparison.is_settled() {
            // FC-MESSAGE-HELD
            if channel == Channel::Unreliable {
                return Ok(());
            }
            if !self.messages.hold_back(&message) {
                let text = "too many messages came before the comparison";
                return Err(Error::peer(ErrorCode::LimitExceeded, text));
            }
        }
        self.out.events.push_back(Event::Message { channel, message });
        Ok(())
    }

    fn on_data(
        &mut self,
        lane: u16,
        data: &Data,
        payload: &[u8],
        now: Instant,
    ) -> Result<(), Error> {
        if self.is_closing() {
            return Ok(());
        }
        self.count(lane, data.transfer, Incoming::data_cost(payload))?;
        let may_repeat = self.lanes.are_possible();
        if let Some((incoming, out)) = self.receiving(data.transfer)? {
            incoming.on_data(data, payload, may_repeat, now, out)?;
        }
        Ok(())
    }

    /// Counts what came against what was granted (`FC-CREDIT-EXCEEDED`). Data of
    /// a transfer that is over counts for the connection all the same (`FC-COUNT-OVER`).
    fn count(&mut self, lane: u16, transfer: TransferId, cost: u64) -> Result<(), Error> {
        self.lanes.received(lane, transfer, cost);
        let mut granted = self.receive_credit.receive(cost);
        if let Found::In(incoming, _) = self.find(transfer)? {
            granted &= incoming.credit().receive(cost);
        }
        if granted {
            Ok(())
        } else {
            Err(Error::peer(ErrorCode::CreditExceeded, "the peer sent more than it was granted"))
        }
    }

    /// A new offer of the peer (`TR-OFFER`, `TR-ID-PARITY`).
    fn on_offer(&mut self, offer: Offer, now: Instant) -> Result<(), Error> {
        let id = offer.transfer;
        if id.0 != self.next_peer {
            return Err(Error::peer(
                ErrorCode::ProtocolViolation,
                "an offer does not have the next transfer number",
            ));
        }
        self.next_peer = self
            .next_peer
            .checked_add(2)
            .ok_or_else(|| Error::peer(ErrorCode::LimitExceeded, "no transfer number is left"))?;
        if self.transfers.len() >= MAX_TRANSFERS_COUNT {
            // TR-TOO-MANY: refused without an end to the connection.
            let code = ErrorCode::TooManyTransfers.to_wire();
            self.out.control.push_back(Reject { transfer: id, code, text: String::new() }.into());
            return Ok(());
        }
        let checks = self.config.storage_checks_leaves;
        let transfer = match Incoming::new(offer, self.config.max_stream_bytes, checks) {
            Ok(incoming) => Transfer::In(incoming),
            Err(error) => {
                // TR-HASH: the offer is refused, and the connection goes on.
                let (code, text) = (error.code.to_wire(), wire_text(&error));
                self.out.control.push_back(Reject { transfer: id, code, text }.into());
                return Ok(());
            }
        };
        let expires = now + self.config.timers.offer_expiry;
        self.transfers.insert(id, Slot { transfer, expires });
        Ok(())
    }

    /// A transfer of this side's own, for a frame that only a receiver sends;
    /// `None` if it is over (`TR-ROLE`).
    fn sending(&mut self, id: TransferId) -> Result<Option<(&mut Outgoing, &mut Outbox)>, Error> {
        self.check_offerer(id, true)?;
        match self.find(id)? {
            Found::Out(outgoing, out) => Ok(Some((outgoing, out))),
            Found::In(..) | Found::Over => Ok(None),
        }
    }

    /// A transfer of the peer's, for a frame that only a sender sends; `None` if
    /// it is over (`TR-ROLE`).
    fn receiving(&mut self, id: TransferId) -> Result<Option<(&mut Incoming, &mut Outbox)>, Error> {
        self.check_offerer(id, false)?;
        match self.find(id)? {
            Found::In(incoming, out) => Ok(Some((incoming, out))),
            Found::Out(..) | Found::Over => Ok(None),
        }
    }

    fn check_offerer(&self, id: TransferId, own: bool) -> Result<(), Error> {
        if (id.0 % 2 == self.next_own % 2) == own {
            return Ok(());
        }
        let text = "a frame is not for its sender's side of the transfer";
        Err(Error::peer(ErrorCode::ProtocolViolation, text))
    }

    /// TR-OVER: what names a transfer that is over is ignored, and what names one
    /// that never was is refused (`TR-UNKNOWN`).
    fn find(&mut self, id: TransferId) -> Result<Found<'_>, Error> {
        let known = self.was_offered(id);
        match self.transfers.get_mut(&id).map(|slot| &mut slot.transfer) {
            // Over since an earlier frame of the same record.
            Some(Transfer::Out(outgoing)) if outgoing.state().is_terminal() => Ok(Found::Over),
            Some(Transfer::In(incoming)) if incoming.state().is_terminal() => Ok(Found::Over),
            Some(Transfer::Out(outgoing)) => Ok(Found::Out(outgoing, &mut self.out)),
            Some(Transfer::In(incoming)) => Ok(Found::In(incoming, &mut self.out)),
            None if known => Ok(Found::Over),
            None => {
                Err(Error::peer(ErrorCode::ProtocolViolation, "a frame names an unknown transfer"))
            }
        }
    }
}
