//! Watches a run without a say in it: hashes, the trace, and which of the
//! conditions were met that a swarm must meet.

use std::collections::BTreeMap;

use passel_proto::connection::Event;
use passel_proto::error::ErrorCode;
use passel_proto::frame::Frame;
use passel_proto::ids::Channel;
use passel_proto::storage::StorageReply;

use super::people::ends;
use super::picture;
use crate::clock::Clock;
use crate::disk::{Disk, Effect};
use crate::hash::RunHash;
use crate::log::Log;
use crate::oracle::{Ending, Oracle};
use crate::outcome::{Outcome, Violation};
use crate::plan::{Fault, Plan, Side};
use crate::sometimes::{Met, Sometimes};
use crate::trace::{Recording, Sort, words};

#[derive(Debug)]
pub(super) struct Watch {
    log: Log<Plan>,
    recording: Option<Recording>,
    /// The newest record of each side's file channel.
    newest: BTreeMap<Side, u64>,
    partitioned: bool,
    /// Whose wish for new keys has come to the other side, and has no answer yet.
    asked: [bool; 2],
    /// Who asks for new keys and has no answer yet.
    updating: [bool; 2],
}

impl Watch {
    pub(super) fn new(traced: bool) -> Self {
        Self {
            log: Log::new(traced),
            recording: None,
            newest: BTreeMap::new(),
            partitioned: false,
            asked: [false; 2],
            updating: [false; 2],
        }
    }

    /// One that takes down what a person may want to see.
    pub(super) fn recording(plan: &Plan) -> Self {
        Self { recording: Some(picture::begun(plan)), ..Self::new(false) }
    }

    pub(super) fn outcome(
        self,
        seed: u64,
        violation: Option<Violation>,
        virtual_us: u64,
        steps: u64,
    ) -> (Outcome<Plan>, Recording) {
        let outcome = self.log.outcome(seed, violation, virtual_us, steps);
        (outcome, self.recording.unwrap_or_default())
    }

    pub(super) fn meet(&mut self, condition: Sometimes) {
        self.log.meet(condition);
    }

    pub(super) fn met(&mut self) -> &mut Met {
        &mut self.log.met
    }

    /// Another connection begins.
    pub(super) fn on_connect(&mut self, now: u64, nth: u32, healed: bool) {
        self.newest.clear();
        (self.asked, self.updating) = ([false; 2], [false; 2]);
        if let Some(recording) = &mut self.recording {
            picture::on_connect(recording, now, nth, healed);
        }
    }

    /// A message goes out. The number by which it is known again.
    pub(super) fn on_transmit(
        &mut self,
        now: u64,
        side: Side,
        channel: Channel,
        message: &[u8],
    ) -> usize {
        self.log.wire.number(now << 3 | u64::from(channel.id()) << 1 | side.place() as u64);
        self.log.wire.bytes(message);
        let (name, len) = (channel.name(), message.len());
        self.log.line(now, || {
            format!("{side:?} sends {len} bytes on {name}: {}", RunHash::of(message))
        });
        let Some(recording) = &mut self.recording else { return 0 };
        let (from, to) = (side.place(), side.peer().place());
        recording.sent(now, from, to, &words::message(channel, message), message.len())
    }

    /// A message reaches its reader.
    pub(super) fn on_arrival(&mut self, now: u64, number: usize) {
        if let Some(message) = self.recording.as_mut().and_then(|all| all.messages.get_mut(number))
        {
            message.arrived_us = Some(now);
        }
    }

    /// The wire has lost a message.
    pub(super) fn on_wire_loss(&mut self) {
        self.meet(Sometimes::MessageLost);
        if self.updating.contains(&true) {
            self.meet(Sometimes::UpdateWithLoss);
        }
    }

    /// A message does not reach its reader.
    pub(super) fn on_lost(&mut self, number: usize, why: &'static str) {
        if let Some(message) = self.recording.as_mut().and_then(|all| all.messages.get_mut(number))
        {
            message.lost = true;
            message.fates.push(why);
        }
    }

    /// A disk answers.
    pub(super) fn on_reply(&mut self, now: u64, side: Side, reply: &StorageReply) {
        if let Some(recording) = &mut self.recording {
            picture::on_reply(recording, now, side, reply);
        }
    }

    pub(super) fn on_record(&mut self, to: Side, channel: Channel, (epoch, counter): (u16, u64)) {
        if epoch > 0 {
            self.meet(Sometimes::KeysUpdated);
        }
        if channel == Channel::File {
            let newest = self.newest.entry(to).or_default();
            if counter < *newest {
                self.log.meet(Sometimes::OutOfOrder);
            }
            *newest = counter.max(*newest);
        }
    }

    /// What a message had in it.
    pub(super) fn name(&mut self, frame: &Frame, number: usize) {
        if let Some(message) = self.recording.as_mut().and_then(|all| all.messages.get_mut(number))
        {
            picture::on_frame(message, frame);
        }
    }

    /// An old record is about to come again.
    pub(super) fn on_replay(&mut self, now: u64, to: Side) {
        self.meet(Sometimes::ReplayDropped);
        if let Some(recording) = &mut self.recording {
            let text = "an old record comes again";
            recording.mark(now, Some(to.place()), Sort::Fault, text);
        }
    }

    pub(super) fn on_frame(&mut self, to: Side, frame: &Frame, number: usize) {
        self.name(frame, number);
        match frame {
            Frame::Credit(_) => self.meet(Sometimes::CreditRaised),
            Frame::Ping(_) => self.meet(Sometimes::Ping),
            Frame::KeyUpdate(_) => {
                self.asked[to.peer().place()] = true;
                if self.asked == [true; 2] {
                    self.meet(Sometimes::UpdatesCrossed);
                }
            }
            Frame::KeyUpdateAnswer(_) => {
                (self.asked, self.updating) = ([false; 2], [false; 2]);
            }
            _ => {}
        }
    }

    pub(super) fn on_wake(&mut self, now: u64, side: Side) {
        self.log.note(now, if side == Side::Inviter { "inviter wakes" } else { "joiner wakes" });
    }

    pub(super) fn on_effect(&mut self, now: u64, side: Side, effect: &Effect, oracle: &Oracle) {
        if *effect == Effect::None {
            return;
        }
        self.log.note(now, &format!("{side:?} {effect:?}"));
        if let Some(recording) = &mut self.recording {
            picture::on_effect(recording, now, side, effect);
        }
        if let Effect::Committed { place, size, .. } = effect {
            match (oracle.is_directory(*place), size) {
                (true, _) => self.meet(Sometimes::Directory),
                (false, 0) => self.meet(Sometimes::EmptyFile),
                (false, _) => {}
            }
            let facts = oracle.transfers.get(&place.0);
            let kind = facts.and_then(|f| f.manifest.entry(place.1)).map(|entry| entry.kind);
            if let Some(passel_proto::manifest::EntryKind::File { root: Some(_), .. }) = kind {
                self.meet(Sometimes::PromisedRoot);
            }
        }
    }

    /// A fault that happens at a moment.
    pub(super) fn on_fault(&mut self, now: u64, fault: &Fault, oracle: &Oracle) {
        self.log.note(now, &format!("{fault:?}"));
        if let Some(recording) = &mut self.recording {
            picture::on_fault(recording, now, fault);
        }
        let active = |side| oracle.active(side).count() > 0;
        match fault {
            Fault::Cut { .. } | Fault::CutAgain { .. } if active(Side::Inviter) => {
                self.meet(Sometimes::CutInTransfer);
            }
            Fault::Update { side, .. } => self.updating[side.place()] = true,
            Fault::Close { side, .. } if active(*side) => self.meet(Sometimes::ClosedInTransfer),
            Fault::Crash { side, .. } => {
                for facts in oracle.active(*side) {
                    let sender = facts.from == *side;
                    self.meet(if sender {
                        Sometimes::CrashOfSender
                    } else {
                        Sometimes::CrashOfReceiver
                    });
                }
            }
            Fault::Cancel { side, transfer, .. } => {
                let planned = |facts: &&crate::oracle::Facts| facts.planned == *transfer;
                if let Some(facts) = oracle.active(*side).find(planned) {
                    let sender = facts.from == *side;
                    self.meet(if sender {
                        Sometimes::CancelledBySender
                    } else {
                        Sometimes::CancelledByReceiver
                    });
                }
            }
            _ => {}
        }
    }

    /// What a side offers is another thing from now on.
    pub(super) fn on_change(&mut self, now: u64, from: Option<Side>, entry: usize) {
        if let Some(recording) = &mut self.recording {
            let text = format!("entry {entry} is another thing now");
            recording.mark(now, from.map(Side::place), Sort::Fault, text);
        }
    }

    /// A process is about to die.
    pub(super) fn on_crash(&mut self, now: u64, side: Side, killed: bool, disk: &Disk) {
        if let Some(recording) = &mut self.recording {
            picture::on_crash(recording, now, side, killed);
        }
        if killed {
            return;
        }
        if disk.parts.values().any(|part| !part.unsynced.is_empty()) {
            self.meet(Sometimes::CrashLostWrites);
        }
        if disk.finals.values().any(|named| !named.durable) {
            self.meet(Sometimes::CrashAfterCommit);
        }
    }

    pub(super) fn on_event(
        &mut self,
        now: u64,
        side: Side,
        event: &Event,
        oracle: &Oracle,
        plan: &Plan,
    ) {
        self.log.note(now, &format!("{side:?} {event:?}"));
        if let Some(recording) = &mut self.recording {
            words::event(recording, now, side.place(), event);
        }
        let from = |transfer| oracle.transfers.get(transfer).map(|facts| facts.from);
        match event {
            Event::Accepted { .. } => {
                let active: Vec<Side> = oracle.active(side).map(|facts| facts.from).collect();
                if active.len() > 1 {
                    let one = active.iter().all(|from| *from == active[0]);
                    self.meet(if one {
                        Sometimes::SeveralAtOnce
                    } else {
                        Sometimes::BothDirections
                    });
                }
            }
            Event::FileFailed { error, .. } if !error.from_peer => self.on_file_failed(error.code),
            Event::Ended { transfer, error, .. } => match error.code {
                ErrorCode::NoSpace if from(transfer) != Some(side) => {
                    self.meet(Sometimes::DiskFull);
                }
                ErrorCode::StorageFailed => self.meet(Sometimes::SyncFailed),
                ErrorCode::OfferExpired => self.meet(Sometimes::OfferExpired),
                ErrorCode::Declined => self.meet(Sometimes::Rejected),
                _ => {}
            },
            Event::Closed { error: Some(error) } => self.on_closed(error.code, plan),
            _ => {}
        }
        if ends(event).is_some() {
            let over = |fault: &Fault| match fault {
                Fault::Partition { at_us, for_us } => (at_us + for_us) <= now && *for_us > 100_000,
                _ => false,
            };
            let completed = matches!(event, Event::Completed { .. });
            if completed && plan.faults.iter().any(over) {
                self.partitioned = true;
            }
        }
    }

    fn on_file_failed(&mut self, code: ErrorCode) {
        match code {
            ErrorCode::SourceUnreadable | ErrorCode::SourceChanged => {
                self.meet(Sometimes::FileFailedAtSender);
            }
            _ => self.meet(Sometimes::FileFailedAtReceiver),
        }
    }

    fn on_closed(&mut self, code: ErrorCode, plan: &Plan) {
        let crashes = plan.faults.iter().any(|fault| matches!(fault, Fault::Crash { .. }));
        match code {
            ErrorCode::HandshakeTimeout => self.meet(Sometimes::HandshakeTimeout),
            ErrorCode::IdleTimeout if crashes => self.meet(Sometimes::CrashThenIdle),
            ErrorCode::IdleTimeout => self.meet(Sometimes::PartitionThenIdle),
            _ => {}
        }
    }

    /// The run has passed.
    pub(super) fn on_end(&mut self, oracle: &Oracle, clocks: [Clock; 2]) {
        for facts in oracle.transfers.values() {
            if let Some(Ending::Completed(completion)) = facts.ending(facts.from) {
                self.meet(if completion.failed == 0 {
                    Sometimes::CompletedWhole
                } else {
                    Sometimes::CompletedInPart
                });
                if facts.streams && completion.delivered > 0 && completion.failed == 0 {
                    self.meet(Sometimes::Streams);
                }
                if facts.wanted_totals().0 < facts.manifest.files() {
                    self.meet(Sometimes::AcceptedInPart);
                }
                if clocks[0] != clocks[1] {
                    self.meet(Sometimes::ClocksApart);
                }
                if self.partitioned {
                    self.meet(Sometimes::PartitionOutlived);
                }
            }
        }
    }
}
