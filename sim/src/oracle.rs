//! What is true, known from the plan and the disks alone, and the invariants
//! that both connections are held against after every step. What the people at the
//! hosts do, and the run itself, are in `t0`.

mod cause;
mod facts;

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use passel_proto::connection::{Event, Progress};
use passel_proto::frame::Frame;
use passel_proto::ids::{Channel, FileIndex, TransferId};
use passel_proto::limits::{
    CONNECTION_CREDIT, FILE_END_COST, MAX_CHUNK, MAX_RECORD, TRANSFER_CREDIT,
};
use passel_proto::storage::StorageRequest;

pub use self::facts::{Ending, Facts};

use crate::disk::{Disk, Effect, Place};
use crate::plan::{Plan, Side};
use crate::readable;
use crate::wire;

/// An invariant that did not hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{invariant}: {detail}")]
pub struct Broken {
    /// Its name.
    pub invariant: &'static str,
    /// What was seen.
    pub detail: String,
}

pub(crate) fn broken<T>(invariant: &'static str, detail: impl Into<String>) -> Result<T, Broken> {
    Err(Broken { invariant, detail: detail.into() })
}

/// Bytes that a sender may have asked to be read, for one transfer.
const READS_AT_ONCE: u64 = (1 << 20) + MAX_CHUNK as u64;

/// The truth about one run.
#[derive(Debug)]
pub struct Oracle {
    plan: Rc<Plan>,
    /// Every transfer that was offered.
    pub transfers: BTreeMap<TransferId, Facts>,
    /// The next counter of each side and channel, which goes on over the epochs.
    counters: BTreeMap<(Side, Channel), u64>,
    /// Credit that each side has used of its peer's.
    received: [u64; 2],
    /// Entries that have been given their names, by side.
    named: [BTreeSet<Place>; 2],
    /// Bytes and reads that storage has not answered.
    writing: [BTreeMap<TransferId, u64>; 2],
    reading: [BTreeMap<Place, u64>; 2],
    established: [bool; 2],
    closed: [bool; 2],
    /// Somebody was told to close the connection, or that its transport is gone.
    closing: bool,
}

impl Oracle {
    /// The truth about a plan before its run.
    pub fn new(plan: &Plan) -> Self {
        Self {
            plan: Rc::new(plan.clone()),
            transfers: BTreeMap::new(),
            counters: BTreeMap::new(),
            received: [0; 2],
            named: [BTreeSet::new(), BTreeSet::new()],
            writing: [BTreeMap::new(), BTreeMap::new()],
            reading: [BTreeMap::new(), BTreeMap::new()],
            established: [false; 2],
            closed: [false; 2],
            closing: false,
        }
    }

    /// Somebody is told to close the connection, or that its transport is gone.
    pub fn on_close(&mut self) {
        self.closing = true;
    }

    /// Whether the side's connection has said that it is over.
    pub fn is_closed(&self, side: Side) -> bool {
        self.closed[side.place()]
    }

    fn facts(&mut self, id: TransferId) -> Result<&mut Facts, Broken> {
        match self.transfers.get_mut(&id) {
            Some(facts) => Ok(facts),
            None => broken("transfers are offered first", format!("{id:?} is not known")),
        }
    }

    /// A side handed a message to its transport, which had said `room`.
    pub fn on_transmit(
        &mut self,
        side: Side,
        channel: Channel,
        record: &[u8],
        room: usize,
    ) -> Result<(), Broken> {
        readable::check(side, record)?;
        let Some((epoch, counter)) = wire::header(record) else {
            return Ok(());
        };
        if record.len() > MAX_RECORD {
            return broken("records are bounded", format!("{} bytes", record.len()));
        }
        if self.closed[side.place()] {
            return broken("nothing follows the end", format!("{side:?} sent on {channel:?}"));
        }
        if channel == Channel::File && record.len() > room {
            return broken("room is kept", format!("{} bytes for {room}", record.len()));
        }
        // RL-NONCE-ONCE: each by one more than the last, so no nonce comes twice.
        let next = self.counters.entry((side, channel)).or_default();
        if counter != *next {
            let detail = format!("{side:?} {channel:?} epoch {epoch}: {counter}, not {next}");
            return broken("a nonce is used once", detail);
        }
        *next += 1;
        Ok(())
    }

    /// A frame has reached `to`; it left its sender at `sent_step`.
    pub fn on_frame(
        &mut self,
        to: Side,
        frame: &Frame,
        payload: usize,
        sent_step: u64,
    ) -> Result<(), Broken> {
        match frame {
            Frame::Data(data) => {
                self.on_cost(to, data.transfer, payload as u64)?;
                let paused = self.facts(data.transfer)?.paused;
                if paused.is_some_and(|(from, until)| (from..until).contains(&sent_step)) {
                    return broken("a paused sender sends no data", format!("{data:?}"));
                }
            }
            Frame::FileEnd(end) => self.on_cost(to, end.transfer, FILE_END_COST as u64)?,
            Frame::Credit(credit) => {
                let (received, window) = match credit.transfer {
                    None => (self.received[to.peer().place()], CONNECTION_CREDIT),
                    Some(id) => (self.facts(id)?.received, TRANSFER_CREDIT),
                };
                if credit.limit > received + window as u64 {
                    let detail = format!("{} after {received} bytes", credit.limit);
                    return broken("credit is bounded", detail);
                }
            }
            Frame::Ack(ack) => {
                let facts = self.facts(ack.transfer)?;
                for range in &ack.ranges {
                    for chunk in range.first..range.first.saturating_add(range.count) {
                        // TR-ACK-DURABLE
                        if !facts.was_durable(range.file, chunk, sent_step) {
                            let detail = format!("chunk {chunk} of {:?} was not", range.file);
                            return broken("what is acknowledged is durable", detail);
                        }
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn on_cost(&mut self, to: Side, id: TransferId, cost: u64) -> Result<(), Broken> {
        self.received[to.place()] += cost;
        self.facts(id)?.received += cost;
        Ok(())
    }

    /// A connection asks its storage for something.
    pub fn on_request(&mut self, side: Side, request: &StorageRequest) -> Result<(), Broken> {
        match request {
            StorageRequest::Read { transfer, file, len, .. } => {
                let reading = &mut self.reading[side.place()];
                *reading.entry((*transfer, *file)).or_default() += u64::from(*len);
                let of_one = (*transfer, FileIndex(0))..=(*transfer, FileIndex(u32::MAX));
                let reading: u64 = reading.range(of_one).map(|(_, bytes)| bytes).sum();
                if reading > READS_AT_ONCE {
                    return broken("reads are bounded", format!("{reading} bytes"));
                }
            }
            StorageRequest::Write { transfer, file, offset, data, .. } => {
                let writing = &mut self.writing[side.place()];
                *writing.entry(*transfer).or_default() += data.len() as u64;
                let (of_one, of_all) = (writing[transfer], writing.values().sum::<u64>());
                if of_one > TRANSFER_CREDIT as u64 || of_all > CONNECTION_CREDIT as u64 {
                    return broken("writes are bounded", format!("{of_one} of {of_all} bytes"));
                }
                let facts = self.facts(*transfer)?;
                facts.check_wanted(side, *file)?;
                if !facts.is_of_source(*file, *offset, data) {
                    let detail = format!("{} bytes at {offset} of {file:?}", data.len());
                    return broken("what is written is of the source", detail);
                }
            }
            StorageRequest::Commit { transfer, file, .. }
            | StorageRequest::Check { transfer, file, .. } => {
                self.facts(*transfer)?.check_wanted(side, *file)?;
            }
            StorageRequest::Sync { .. }
            | StorageRequest::Release { .. }
            | StorageRequest::Discard { .. } => {}
        }
        Ok(())
    }

    /// Storage is done with a read of so many bytes.
    pub fn on_read(&mut self, side: Side, place: Place, bytes: u64) {
        let reading = &mut self.reading[side.place()];
        if let Some(open) = reading.get_mut(&place) {
            *open = open.saturating_sub(bytes);
            if *open == 0 {
                reading.remove(&place);
            }
        }
    }

    /// Storage is done with a write of so many bytes.
    pub fn on_written(&mut self, side: Side, transfer: TransferId, bytes: u64) {
        if let Some(open) = self.writing[side.place()].get_mut(&transfer) {
            *open = open.saturating_sub(bytes);
        }
    }

    /// The receiver takes up what its disk has of a transfer.
    pub fn on_taken(
        &mut self,
        side: Side,
        id: TransferId,
        disk: &Disk,
    ) -> Result<&mut Facts, Broken> {
        let of = (id, FileIndex(0))..=(id, FileIndex(u32::MAX));
        for (&place, named) in disk.finals.range(of) {
            self.named[side.place()].insert(place);
            self.facts(id)?.taken.insert(place.1, named.bytes.clone());
        }
        self.facts(id)
    }

    /// A disk has done something.
    pub fn on_effect(
        &mut self,
        side: Side,
        effect: &Effect,
        disk: &Disk,
        step: u64,
    ) -> Result<(), Broken> {
        match effect {
            Effect::None | Effect::Discarded(..) => {}
            Effect::Checked { place, same: true } => self.facts(place.0)?.check_same(place.1)?,
            Effect::Checked { place, same: false } => {
                self.named[side.place()].remove(place);
            }
            Effect::Synced(ranges) => {
                for &((transfer, file), offset, _) in ranges {
                    self.facts(transfer)?.note_durable(file, offset as u64, step);
                }
            }
            Effect::Committed { place, size, unsynced, again } => {
                if *again {
                    return broken("a name is given once", format!("{place:?}"));
                }
                if *unsynced {
                    return broken("what has its name is durable", format!("{place:?}"));
                }
                let (id, file) = *place;
                let bytes = disk.finals.get(place).map_or(&[][..], |named| &named.bytes);
                self.facts(id)?.check_named(file, bytes)?;
                if bytes.len() as u64 != *size {
                    return broken("a commit names the length", format!("{place:?}: {size}"));
                }
                self.named[side.place()].insert(*place);
            }
        }
        if disk.finals.len() != self.named[side.place()].len() {
            // TR-COMMIT-VISIBLE
            let detail = format!("{side:?} shows {} entries", disk.finals.len());
            return broken("only what is committed is visible", detail);
        }
        Ok(())
    }

    /// A host died and its disk lost what it lost.
    pub fn on_crash(&mut self, side: Side, disk: &Disk) -> Result<(), Broken> {
        self.named[side.place()].retain(|place| disk.finals.contains_key(place));
        self.check_disk(side, disk)
    }

    /// A connection has told its caller something.
    pub fn on_event(&mut self, side: Side, event: &Event, disk: &Disk) -> Result<(), Broken> {
        if self.closed[side.place()] {
            return broken("nothing follows the end", format!("{side:?}: {event:?}"));
        }
        if let Event::Established { .. } = event
            && std::mem::replace(&mut self.established[side.place()], true)
        {
            return broken("a handshake ends once", format!("{side:?}"));
        }
        match event {
            Event::Accepted { transfer, files, bytes } => {
                let facts = self.facts(*transfer)?;
                let wanted = facts.wanted_totals();
                if wanted != (*files, *bytes) {
                    let detail = format!("{files} files of {bytes} bytes, not {wanted:?}");
                    return broken("both sides know what was accepted", detail);
                }
            }
            Event::FileDone { transfer, file } => {
                let facts = self.facts(*transfer)?;
                let done = if side == facts.from {
                    facts.is_durable(*file)
                } else {
                    disk.finals.contains_key(&(*transfer, *file))
                };
                if !done {
                    let detail = format!("{side:?}: {file:?} of {transfer:?}");
                    return broken("a file that is done is stored", detail);
                }
            }
            Event::FileFailed { transfer, file, error } => {
                let plan = Rc::clone(&self.plan);
                let facts = self.facts(*transfer)?;
                cause::check_transfer(&plan, facts.of(), error)?;
                if side != facts.from && facts.taken.contains_key(file) {
                    facts.lapsed.insert(*file);
                }
                if side == facts.from && facts.streams {
                    // Others do not wait for a stream that is silent.
                    self.reading[side.place()].remove(&(*transfer, *file));
                }
            }
            Event::Completed { transfer, completion } => {
                let plan = Rc::clone(&self.plan);
                let facts = self.facts(*transfer)?;
                facts.end(side, Ending::Completed(*completion))?;
                if side != facts.from {
                    facts.check_completed(*transfer, completion, disk)?;
                } else if !facts.agrees(side.peer(), completion) {
                    let detail = format!("{completion:?}, {:?}", facts.ending(side.peer()));
                    return broken("receipts agree", detail);
                }
                if cause::is_calm(&plan, facts.planned) && completion.failed > 0 {
                    return broken("nothing fails without a cause", format!("{completion:?}"));
                }
            }
            Event::Ended { transfer, error, kept } => {
                let plan = Rc::clone(&self.plan);
                let facts = self.facts(*transfer)?;
                cause::check_transfer(&plan, facts.of(), error)?;
                facts.kept = if side == facts.from { facts.kept } else { *kept };
                let planned = self.facts(*transfer)?.planned;
                if cause::is_calm(&self.plan, planned) {
                    let detail = format!("{side:?}: {transfer:?}: {error}");
                    return broken("nothing fails without a cause", detail);
                }
                self.facts(*transfer)?.end(side, Ending::Ended(error.code))?;
            }
            Event::Closed { error } => {
                self.closed[side.place()] = true;
                match error {
                    Some(error) => cause::check_connection(&self.plan, error)?,
                    None if self.closing => {}
                    None => {
                        let detail = format!("{side:?}: nobody closed it");
                        return broken("nothing fails without a cause", detail);
                    }
                }
            }
            _ => {} // News that nothing has to be true of.
        }
        Ok(())
    }

    /// How far a transfer is, after a step.
    pub fn on_progress(
        &mut self,
        side: Side,
        id: TransferId,
        progress: Progress,
    ) -> Result<(), Broken> {
        let facts = self.facts(id)?;
        // What a stream adds to the total is known at its end.
        let is_more = progress.bytes_durable > progress.bytes_total && !facts.streams;
        let best = &mut facts.durable_bytes[side.place()];
        if progress.bytes_durable < *best || is_more {
            let detail = format!("{side:?}: {} after {best}", progress.bytes_durable);
            return broken("what is durable stays so", detail);
        }
        *best = progress.bytes_durable;
        Ok(())
    }

    /// What a disk shows is whole, and of what was accepted.
    pub fn check_disk(&mut self, side: Side, disk: &Disk) -> Result<(), Broken> {
        for (&(id, file), named) in &disk.finals {
            let facts = self.facts(id)?;
            facts.check_wanted(side, file)?;
            facts.check_named(file, &named.bytes)?;
        }
        for (id, facts) in &self.transfers {
            if let Some(Ending::Completed(completion)) = facts.ending(side)
                && side != facts.from
            {
                facts.check_completed(*id, completion, disk)?;
            }
        }
        Ok(())
    }

    /// The connection is over, and the side's process has not died.
    pub fn check_end(&mut self, side: Side, disk: &Disk) -> Result<(), Broken> {
        self.check_disk(side, disk)?;
        let is_left = |&&(id, _): &&Place| self.transfers.get(&id).is_none_or(|facts| !facts.kept);
        if let Some(place) = disk.parts.keys().find(is_left) {
            return broken("no part is left behind", format!("{side:?}: {place:?}"));
        }
        for (id, facts) in &self.transfers {
            let known = side == facts.from || facts.seen;
            if known && facts.ending(side).is_none() {
                return broken("every transfer ends", format!("{side:?}: {id:?}"));
            }
        }
        Ok(())
    }

    /// A transfer that the side has accepted.
    pub fn stored_at(&self, side: Side, id: TransferId) -> Option<&Facts> {
        self.transfers.get(&id).filter(|facts| facts.from != side && facts.is_accepted())
    }

    /// Whether every offered transfer has ended on both sides.
    pub fn all_ended(&self) -> bool {
        let ended = |facts: &Facts| Side::BOTH.iter().all(|&side| facts.ending(side).is_some());
        self.transfers.values().all(ended)
    }

    /// Transfers that are accepted and not ended at the side.
    pub fn active(&self, side: Side) -> impl Iterator<Item = &Facts> {
        self.transfers
            .values()
            .filter(move |facts| facts.is_accepted() && facts.ending(side).is_none())
    }

    /// The transfer at a place of the plan, if it was offered.
    pub fn planned(&self, place: usize) -> Option<TransferId> {
        self.transfers.iter().find(|(_, facts)| facts.planned == place).map(|(id, _)| *id)
    }

    /// Whether the entry is a directory.
    pub fn is_directory(&self, (id, file): (TransferId, FileIndex)) -> bool {
        self.transfers.get(&id).is_some_and(|facts| facts.source(file).is_none())
    }
}
