//! A connection behind its handshake: keys, transfers, credit and clocks.

use std::collections::BTreeMap;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Instant;

use super::comparing::Comparison;
use super::keys::Keys;
use super::lanes::Lanes;
use super::messages::Messages;
use super::rate::Rates;
use super::resuming::Resuming;
use super::timer::TimerKind;
use super::{Config, Event, Progress, Timers};
use crate::crypto::Entropy;
use crate::error::{Blame, Error, ErrorCode};
use crate::frame::{Cancel, Close, EntryRange, Frame, Message, Pause, Ping, Resume};
use crate::handshake::Session;
use crate::ids::{Channel, Role, Token, TransferId};
use crate::limits::{CONNECTION_CREDIT, MAX_NOTE, MAX_TRANSFERS_COUNT, timers};
use crate::manifest::Manifest;
use crate::storage::{Have, StorageReply};
use crate::transfer::incoming::Incoming;
use crate::transfer::outgoing::{Outgoing, Sizes};
use crate::transfer::{Outbox, ReceiptKey, ReceiveCredit, SendCredit, TransferState, wire_text};

/// Frames that may wait for a peer that does not read them (`FC-CONTROL-BACKLOG`).
const CONTROL_BACKLOG: usize = 8192;

/// A transfer of either direction.
#[derive(Debug)]
#[allow(clippy::large_enum_variant)] // at most MAX_TRANSFERS_COUNT of them
pub(super) enum Transfer {
    Out(Outgoing),
    In(Incoming),
}

impl Transfer {
    fn state(&self) -> TransferState {
        match self {
            Transfer::Out(out) => out.state(),
            Transfer::In(incoming) => incoming.state(),
        }
    }
}

/// A transfer under way, and when its offer expires.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) transfer: Transfer,
    pub(super) expires: Instant,
}

impl Slot {
    /// Bytes that an incoming manifest takes so far.
    pub(super) fn manifest_bytes(&self) -> usize {
        match &self.transfer {
            Transfer::In(incoming) => incoming.manifest_bytes(),
            Transfer::Out(_) => 0,
        }
    }
}

/// How far closing is.
#[derive(Debug)]
pub(super) enum Closing {
    /// Not closing.
    Open,
    /// A CLOSE waits to be sent, until the given time at most.
    Queued { until: Instant, error: Option<Error> },
    /// Over.
    Done,
}

pub(super) struct Established {
    pub(super) role: Role,
    pub(super) config: Config,
    pub(super) keys: Keys,
    pub(super) lanes: Lanes,
    pub(super) receipt_key: ReceiptKey,
    pub(super) resuming: Resuming,
    pub(super) comparison: Comparison,
    pub(super) transfers: BTreeMap<TransferId, Slot>,
    /// The next number for an offer of this side, and of the peer.
    pub(super) next_own: u32,
    pub(super) next_peer: u32,
    pub(super) send_credit: SendCredit,
    pub(super) receive_credit: ReceiveCredit,
    pub(super) out: Outbox,
    /// The newest PING to be answered.
    pub(super) pong: Option<u64>,
    pub(super) last_heard: Instant,
    /// When the path to the peer last showed that it works.
    pub(super) path_alive: Instant,
    /// Whether the peer's handshake is known to be done: a responder is here
    /// only then, an initiator learns it by the first record that opens.
    pub(super) peer_is_done: bool,
    pub(super) last_sent: Instant,
    pings: u64,
    pub(super) closing: Closing,
    /// Whether CLOSE went out.
    pub(super) close_sent: bool,
    /// Whose turn it is on the file channel.
    pub(super) turn: TransferId,
    pub(super) messages: Messages,
    pub(super) rates: Rates,
    /// Records of messages since the last one of data.
    pub(super) message_run: u32,
}

impl std::fmt::Debug for Established {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Established")
            .field("role", &self.role)
            .field("transfers", &self.transfers)
            .field("closing", &self.closing)
            .finish_non_exhaustive()
    }
}

impl Established {
    pub(super) fn new(
        role: Role,
        config: Config,
        session: &Session,
        entropy: Entropy,
        now: Instant,
    ) -> Self {
        let secret = (session.suite(), session.epoch_secret().clone());
        let keys = Keys::new(role, &config, secret, entropy, now);
        let window = CONNECTION_CREDIT as u64;
        // TR-ID-PARITY
        let first = |role| u32::from(role == Role::Responder);
        Self {
            role,
            config,
            keys,
            lanes: Lanes::one(role),
            resuming: Resuming::new(session),
            comparison: match session.sas() {
                Some(_) => Comparison::Awaited,
                None => Comparison::NotNeeded,
            },
            receipt_key: ReceiptKey { key: session.receipt_key().clone(), role },
            transfers: BTreeMap::new(),
            next_own: first(role),
            next_peer: first(role.peer()),
            send_credit: SendCredit::new(window),
            receive_credit: ReceiveCredit::new(window, window),
            out: Outbox::default(),
            pong: None,
            last_heard: now,
            path_alive: now,
            peer_is_done: role == Role::Responder,
            last_sent: now,
            pings: 0,
            closing: Closing::Open,
            close_sent: false,
            turn: TransferId(0),
            messages: Messages::default(),
            rates: Rates::default(),
            message_run: 0,
        }
    }

    pub(super) fn is_closing(&self) -> bool {
        !matches!(self.closing, Closing::Open)
    }

    /// Whether nothing more is sent or heard.
    pub(super) fn is_over(&self) -> bool {
        matches!(self.closing, Closing::Done)
    }

    pub(super) fn offer(
        &mut self,
        now: Instant,
        manifest: Arc<Manifest>,
        note: &str,
        token: Token,
    ) -> Result<TransferId, Error> {
        Outgoing::check_offer(&manifest)?;
        if note.len() > MAX_NOTE {
            return Err(Error::misuse("the note is too long"));
        }
        if self.transfers.len() >= MAX_TRANSFERS_COUNT {
            return Err(Error::misuse("too many transfers are under way"));
        }
        let id = TransferId(self.next_own);
        self.next_own = self
            .next_own
            .checked_add(2)
            .ok_or_else(|| Error::misuse("no transfer number is left"))?;
        let sizes =
            Sizes { chunk_log2: self.config.chunk_log2, piece_log2: self.config.piece_log2 };
        let note = note.to_owned();
        let transfer = Outgoing::offer(id, manifest, sizes, note, token, &mut self.out);
        let expires = now + self.config.timers.offer_expiry;
        self.transfers.insert(id, Slot { transfer: Transfer::Out(transfer), expires });
        self.lanes_changed();
        Ok(id)
    }

    pub(super) fn accept(
        &mut self,
        now: Instant,
        transfer: TransferId,
        selection: Option<Vec<EntryRange>>,
        have: &[Have],
    ) -> Result<(), Error> {
        let (incoming, out) = self.incoming(transfer)?;
        incoming.accept(selection, have, out)?;
        self.tidy(now);
        Ok(())
    }

    pub(super) fn reject(
        &mut self,
        now: Instant,
        transfer: TransferId,
        error: Error,
    ) -> Result<(), Error> {
        let (incoming, out) = self.incoming(transfer)?;
        incoming.reject(error, false, out)?;
        self.tidy(now);
        Ok(())
    }

    /// Pauses a transfer, or ends this side's pause (`TR-PAUSE`).
    pub(super) fn set_paused(
        &mut self,
        now: Instant,
        transfer: TransferId,
        paused: bool,
    ) -> Result<(), Error> {
        let (slot, out) = self.slot(transfer)?;
        let changed = match (&mut slot.transfer, paused) {
            (Transfer::Out(outgoing), true) => outgoing.pause(false, out),
            (Transfer::Out(outgoing), false) => outgoing.resume(false, out),
            (Transfer::In(incoming), true) => incoming.pause(false, out),
            (Transfer::In(incoming), false) => incoming.resume(false, out),
        };
        changed.map_err(|error| Error::misuse(error.text))?;
        out.control.push_back(if paused {
            Pause { transfer }.into()
        } else {
            Resume { transfer }.into()
        });
        self.tidy(now);
        Ok(())
    }

    /// FC-RATE
    pub(super) fn set_rate_limit(
        &mut self,
        now: Instant,
        transfer: Option<TransferId>,
        bytes_per_second: Option<u64>,
    ) -> Result<(), Error> {
        if let Some(id) = transfer
            && !matches!(self.transfers.get(&id), Some(Slot { transfer: Transfer::Out(_), .. }))
        {
            return Err(Error::misuse("this side does not send such a transfer"));
        }
        let bytes_per_second = bytes_per_second
            .map(|rate| {
                NonZeroU64::new(rate)
                    .ok_or_else(|| Error::misuse("a limit of nothing is a pause: use that"))
            })
            .transpose()?;
        self.rates.set(now, transfer, bytes_per_second);
        Ok(())
    }

    /// FC-MESSAGE
    pub(super) fn send_message(
        &mut self,
        now: Instant,
        channel: Channel,
        message: Message,
    ) -> Result<(), Error> {
        let queued = self.messages.push(channel, message, &mut self.out.events);
        if !self.peer_is_done && self.pings == 0 {
            self.ping(now); // HS-AFTER-CONFIRM: the answer lets messages go.
        }
        self.tidy(now);
        queued
    }

    pub(super) fn cancel(
        &mut self,
        now: Instant,
        transfer: TransferId,
        error: Error,
    ) -> Result<(), Error> {
        let (slot, out) = self.slot(transfer)?;
        match &mut slot.transfer {
            Transfer::Out(outgoing) => outgoing.cancel(error, out)?,
            Transfer::In(incoming) => incoming.cancel(error, out)?,
        }
        self.tidy(now);
        Ok(())
    }

    fn incoming(&mut self, transfer: TransferId) -> Result<(&mut Incoming, &mut Outbox), Error> {
        let missing = self.missing(transfer);
        match self.slot(transfer)? {
            (Slot { transfer: Transfer::In(incoming), .. }, out) => Ok((incoming, out)),
            _ => Err(missing),
        }
    }

    fn slot(&mut self, transfer: TransferId) -> Result<(&mut Slot, &mut Outbox), Error> {
        let missing = self.missing(transfer);
        let slot = self.transfers.get_mut(&transfer).ok_or(missing)?;
        Ok((slot, &mut self.out))
    }

    /// Whether there is or was such a transfer.
    pub(super) fn was_offered(&self, id: TransferId) -> bool {
        let is_own = id.0 % 2 == self.next_own % 2;
        id.0 < if is_own { self.next_own } else { self.next_peer }
    }

    /// Why nothing can be done with a transfer that is not there: a caller cannot know
    /// what the peer has ended before the event that says so is polled.
    fn missing(&self, id: TransferId) -> Error {
        if self.was_offered(id) {
            Error::new(Blame::Circumstance, ErrorCode::Cancelled, "the transfer is over")
        } else {
            Error::misuse("there is no such transfer")
        }
    }

    pub(super) fn manifest(&self, transfer: TransferId) -> Option<&Arc<Manifest>> {
        match &self.transfers.get(&transfer)?.transfer {
            Transfer::Out(outgoing) => Some(outgoing.manifest()),
            Transfer::In(incoming) => incoming.manifest(),
        }
    }

    pub(super) fn note(&self, transfer: TransferId) -> Option<&str> {
        match &self.transfers.get(&transfer)?.transfer {
            Transfer::Out(_) => None,
            Transfer::In(incoming) => Some(&incoming.offer().note),
        }
    }

    pub(super) fn token(&self, transfer: TransferId) -> Option<Token> {
        Some(match &self.transfers.get(&transfer)?.transfer {
            Transfer::Out(outgoing) => outgoing.token(),
            Transfer::In(incoming) => incoming.offer().token,
        })
    }

    pub(super) fn progress(&self, transfer: TransferId) -> Option<Progress> {
        Some(match &self.transfers.get(&transfer)?.transfer {
            Transfer::Out(outgoing) => outgoing.progress(),
            Transfer::In(incoming) => incoming.progress(),
        })
    }

    pub(super) fn handle_storage(
        &mut self,
        now: Instant,
        reply: StorageReply,
    ) -> Result<(), Error> {
        let Some(slot) = self.transfers.get_mut(&reply.transfer()) else {
            return Ok(()); // The transfer is over.
        };
        match (&mut slot.transfer, reply) {
            (
                Transfer::Out(outgoing),
                StorageReply::Read { file, offset, buf, leaf, result, .. },
            ) => {
                outgoing.on_read(file, offset, (buf, leaf), result, &mut self.out)?;
            }
            (Transfer::Out(_), StorageReply::Discarded { .. } | StorageReply::Released { .. }) => {}
            (Transfer::Out(_), _) => {
                return Err(Error::misuse("storage answered what a sender never asks for"));
            }
            (Transfer::In(incoming), reply) => incoming.on_storage(reply, now, &mut self.out)?,
        }
        self.tidy(now);
        Ok(())
    }

    /// Brings everything in line after a change: receipts that are due, credit
    /// worth announcing, transfers that are over, bounds.
    pub(super) fn tidy(&mut self, now: Instant) {
        if self.is_closing() {
            return;
        }
        if let Err(error) = self.issue_receipts() {
            return self.fail(now, error);
        }
        let before = self.transfers.len();
        self.transfers.retain(|_, slot| !slot.transfer.state().is_terminal());
        if self.transfers.len() < before {
            self.lanes_changed();
        }
        self.rates.retain(|id| self.transfers.contains_key(id));
        self.lanes.retain(|id| self.transfers.contains_key(id));
        self.announce_credit();
        if self.holds_too_much() {
            let text = "the peer did too much before the comparison";
            return self.fail(now, Error::peer(ErrorCode::LimitExceeded, text));
        }
        if self.out.control.len() > CONTROL_BACKLOG {
            self.fail(
                now,
                Error::peer(ErrorCode::LimitExceeded, "the peer does not read what it is sent"),
            );
        }
    }

    fn issue_receipts(&mut self) -> Result<(), Error> {
        for slot in self.transfers.values_mut() {
            if let Transfer::In(incoming) = &mut slot.transfer
                && incoming.receipt_due()
            {
                incoming.issue_receipt(&self.receipt_key, &mut self.out)?;
            }
        }
        Ok(())
    }

    fn announce_credit(&mut self) {
        let mut held = 0;
        for (id, slot) in &mut self.transfers {
            if let Transfer::In(incoming) = &mut slot.transfer {
                held += incoming.credit().held();
                if let Some(limit) = incoming.credit().announce() {
                    let credit = crate::frame::Credit { transfer: Some(*id), limit };
                    self.out.control.push_back(credit.into());
                }
            }
        }
        self.receive_credit.set_held(held);
        if let Some(limit) = self.receive_credit.announce() {
            self.out.control.push_back(crate::frame::Credit { transfer: None, limit }.into());
        }
    }

    /// Ends the connection because of `error`, and tells the peer.
    pub(super) fn fail(&mut self, now: Instant, error: Error) {
        if !self.is_closing() {
            // What was queued is worth nothing to a peer that misbehaved.
            self.out.control.clear();
            self.close(now, Some(error));
        }
    }

    pub(super) fn close(&mut self, now: Instant, error: Option<Error>) {
        if self.is_closing() {
            return;
        }
        if !self.comparison.is_settled() {
            self.out.control.clear(); // HS-SAS-GATE: CLOSE alone goes.
        }
        self.messages.clear(); // FC-MESSAGE-CLOSING
        let code = error.as_ref().map_or(ErrorCode::NoError, |error| error.code);
        let text = error.as_ref().map(wire_text).unwrap_or_default();
        self.out.control.push_back(Close { code: code.to_wire(), text }.into());
        // FC-CLOSE-LINGER
        self.closing = Closing::Queued { until: now + timers::CLOSE_LINGER, error };
    }

    /// The peer's CLOSE, or the end of the transport: nothing more can be said.
    pub(super) fn transport_closed(&mut self, error: Option<Error>) {
        if !matches!(self.closing, Closing::Done) {
            self.finish(error, true);
        }
    }

    /// Emits the last events. A transfer may go on over another connection if this
    /// one was `lost`, or ended with an error that is nobody's wish (`RS-KEEP`).
    pub(super) fn finish(&mut self, error: Option<Error>, lost: bool) {
        let told = self.may_tell();
        self.closing = Closing::Done;
        self.messages.clear();
        self.out.control.clear();
        if !told {
            // HS-SAS-GATE: of a transfer that was never told there is no end either.
            self.transfers.clear();
            self.out.events.clear();
        }
        let cause = error.clone().unwrap_or_else(|| {
            Error::new(Blame::Circumstance, ErrorCode::TransportFailed, "the connection was closed")
        });
        let keep = match &error {
            None => lost,
            Some(error) => !matches!(error.code, ErrorCode::NoError | ErrorCode::Cancelled),
        };
        for (_, slot) in std::mem::take(&mut self.transfers) {
            let cause = cause.clone();
            match slot.transfer {
                Transfer::Out(mut outgoing) => outgoing.abandon(cause, keep, &mut self.out),
                Transfer::In(mut incoming) => incoming.abandon(cause, keep, &mut self.out),
            }
        }
        self.out.events.push_back(Event::Closed { error });
    }

    pub(super) fn timers(&self) -> impl Iterator<Item = (Instant, TimerKind)> + '_ {
        let (linger, open) = match &self.closing {
            Closing::Open => (None, true),
            Closing::Queued { until, .. } => (Some((*until, TimerKind::Linger)), false),
            Closing::Done => (None, false),
        };
        let always = [
            (self.last_sent + self.config.timers.keep_alive, TimerKind::KeepAlive),
            (self.silent_by(), TimerKind::Idle),
            self.keys.timer(),
        ];
        let transfers = self.transfers.iter().filter_map(|(id, slot)| match &slot.transfer {
            transfer if transfer.state() == TransferState::Pending => {
                Some((slot.expires, TimerKind::OfferExpiry(*id)))
            }
            Transfer::In(incoming) => incoming.sync_due().map(|due| (due, TimerKind::Sync(*id))),
            Transfer::Out(_) => None,
        });
        let rate = self.rates.wake().map(|at| (at, TimerKind::Rate));
        let others = transfers.chain(rate);
        linger.into_iter().chain(always.into_iter().chain(others).filter(move |_| open))
    }

    /// FC-IDLE, FC-IDLE-LIMIT: by when something must be heard.
    fn silent_by(&self) -> Instant {
        let Timers { idle, idle_limit, .. } = self.config.timers;
        let limit = self.last_heard + idle_limit.max(idle);
        limit.min(self.last_heard.max(self.path_alive) + idle)
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        let due: Vec<TimerKind> =
            self.timers().filter(|(at, _)| *at <= now).map(|(_, kind)| kind).collect();
        for kind in due {
            if self.is_closing() && kind != TimerKind::Linger {
                continue; // FC-CLOSE: nothing comes behind what one of them has queued.
            }
            match kind {
                TimerKind::Handshake => {}
                TimerKind::KeepAlive => self.ping(now),
                TimerKind::Idle => {
                    // FC-IDLE
                    let silent = "the peer has not been heard for too long";
                    let error = Error::new(Blame::Circumstance, ErrorCode::IdleTimeout, silent);
                    self.fail(now, error);
                }
                TimerKind::OfferExpiry(id) => self.expire(id),
                TimerKind::Sync(id) => {
                    if let Ok((incoming, out)) = self.incoming(id) {
                        incoming.settle(now, out);
                    }
                }
                TimerKind::Rate => self.rates.clear_wake(),
                TimerKind::KeyUpdate => self.start_update(now),
                TimerKind::KeyGrace => match self.keys.settled(now) {
                    Ok(answer) => self.out.control.extend(answer.map(Frame::from)),
                    Err(error) => self.fail(now, error),
                },
                TimerKind::KeyUpdateLimit => {
                    // RL-UPDATE-LIMIT
                    let text = "the peer did not finish a key update in time";
                    self.fail(now, Error::peer(ErrorCode::ProtocolViolation, text));
                }
                TimerKind::Linger => {
                    if let Closing::Queued { error, .. } =
                        std::mem::replace(&mut self.closing, Closing::Done)
                    {
                        self.finish(error, false);
                    }
                }
            }
        }
        self.tidy(now);
    }

    /// The caller wants new keys.
    pub(super) fn update_keys(&mut self, now: Instant) -> Result<(), Error> {
        self.keys.want()?;
        self.start_update(now);
        Ok(())
    }

    /// Asks for new keys if it is time.
    pub(super) fn start_update(&mut self, now: Instant) {
        if self.is_closing() {
            return;
        }
        match self.keys.start(now) {
            Ok(update) => self.out.control.extend(update.map(Frame::from)),
            // RL-LAST-EPOCH
            Err(error) => self.fail(now, error),
        }
    }

    /// FC-PING, FC-KEEP-ALIVE: asks once; the timer starts anew when the PING is sent.
    pub(super) fn ping(&mut self, now: Instant) {
        self.last_sent = now;
        self.pings += 1;
        self.out.control.push_back(Ping { token: self.pings }.into());
    }

    /// TR-OFFER-EXPIRY
    fn expire(&mut self, id: TransferId) {
        let expired = || {
            Error::new(
                Blame::Circumstance,
                ErrorCode::OfferExpired,
                "the offer was not answered in time",
            )
        };
        let Some(slot) = self.transfers.get_mut(&id) else { return };
        match &mut slot.transfer {
            Transfer::Out(outgoing) => {
                if outgoing.on_reject(expired(), true, &mut self.out).is_ok() {
                    let code = ErrorCode::OfferExpired.to_wire();
                    self.out
                        .control
                        .push_back(Cancel { transfer: id, code, text: String::new() }.into());
                }
            }
            Transfer::In(incoming) => {
                // It is pending, so it can be rejected.
                let _ = incoming.reject(expired(), true, &mut self.out);
            }
        }
    }
}
