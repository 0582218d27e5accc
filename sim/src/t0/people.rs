//! What the people at both ends do, and what befalls them: offers, answers, and
//! the faults of the plan that happen at a moment.

use std::rc::Rc;

use passel_proto::connection::Event;
use passel_proto::error::{Blame, Error, ErrorCode};
use passel_proto::frame::EntryRange;
use passel_proto::ids::{FileIndex, TransferId};
use passel_proto::manifest::{Entry, EntryKind, Manifest, ManifestBuilder, ManifestError};
use passel_proto::path::SafePath;
use passel_proto::storage::{Have, HaveState};
use passel_proto::tree::{TreeBuilder, leaf_hash};

use super::{Happening, Run};
use crate::model::Story;
use crate::oracle::{Broken, Facts, broken};
use crate::plan::{Answer, Change, Fault, Plan, Side, TransferPlan};
use crate::readable::{self, IN_NAME, IN_NOTE};
use crate::rng::Draw;
use crate::sometimes::Sometimes;

type Sources = Vec<Option<Rc<[u8]>>>;

impl Run<'_> {
    pub(super) fn offer(&mut self, planned: usize) -> Result<(), Broken> {
        let transfer = &self.plan.transfers[planned];
        let (side, chunk_log2) = (transfer.from, self.plan.knobs.chunk_log2);
        let now = self.instant(side);
        self.due.insert(planned);
        let host = &mut self.hosts[side.place()];
        let Some(connection) = &mut host.connection else { return Ok(()) };
        if !host.established {
            host.waiting.push_back(planned);
            return Ok(());
        }
        if !connection.is_established() {
            return Ok(()); // Over before it was this transfer's turn.
        }
        let story = &mut self.stories[planned];
        if story.over {
            return Ok(()); // It has ended since this was due.
        }
        let sources = match story.versions.last() {
            Some(sources) => sources.clone(),
            None => sources(self.plan.seed, planned, transfer),
        };
        if story.versions.is_empty() && self.plan.again > 0 {
            story.versions.push(sources.clone());
        }
        let Ok(manifest) = manifest(&sources, transfer, 1 << chunk_log2) else {
            return broken("the plan can be run", "its manifest is refused");
        };
        let offered = match story.token {
            None => connection.offer(now, manifest.clone(), IN_NOTE),
            Some(token) => connection.offer_again(now, manifest.clone(), IN_NOTE, token),
        };
        let id = match offered {
            Ok(id) => id,
            Err(error) => return broken("an offer can be made", error.to_string()),
        };
        if let Some(token) = connection.token(id).filter(|_| self.plan.again > 0) {
            let entries =
                (0..manifest.len()).filter_map(|place| manifest.entry_digest(FileIndex(place)));
            let entries: Vec<_> = entries.collect();
            if !story.entries.is_empty() && story.entries != entries {
                self.watch.meet(Sometimes::EntryChanged);
            }
            story.offer(token, entries, 1 << chunk_log2);
        }
        for (place, source) in sources.iter().enumerate() {
            if let Some(source) = source {
                host.disk.sources.insert((id, index(place)), Rc::clone(source));
                if transfer.streams {
                    host.disk.streams.insert((id, index(place)));
                }
            }
        }
        let mut facts = Facts::new(planned, side, manifest, sources, chunk_log2);
        facts.streams = transfer.streams;
        self.oracle.transfers.insert(id, facts);
        self.drain(side)
    }

    /// An offer has reached its receiver, who will answer it.
    pub(super) fn offered(&mut self, side: Side, id: TransferId) -> Result<(), Broken> {
        let manifest =
            self.connection(side).and_then(|connection| connection.manifest(id).cloned());
        let Some(facts) = self.oracle.transfers.get_mut(&id).filter(|facts| facts.from != side)
        else {
            return broken("transfers are offered first", format!("{id:?} is not known"));
        };
        facts.seen = true;
        if manifest.is_none() && self.plan.compare_us.is_some() {
            return Ok(()); // Withdrawn while the two compared, which is told next.
        }
        if manifest.as_deref() != Some(&facts.manifest) {
            return broken("the manifest is the one that was offered", format!("{id:?}"));
        }
        let transfer = &self.plan.transfers[facts.planned];
        if transfer.answer != Answer::Silence {
            let at = self.world.now() + transfer.answer_after_us;
            self.schedule(at, Happening::Answer { side, transfer: id });
        }
        Ok(())
    }

    pub(super) fn answer(&mut self, side: Side, id: TransferId) -> Result<(), Broken> {
        let now = self.instant(side);
        let Some(facts) = self.oracle.transfers.get_mut(&id) else { return Ok(()) };
        let planned = facts.planned;
        let answer = &self.plan.transfers[planned].answer;
        let host = &mut self.hosts[side.place()];
        let Some(connection) = &mut host.connection else { return Ok(()) };
        if !connection.is_established() || connection.manifest(id).is_none() {
            return Ok(()); // The offer is over.
        }
        let entries = facts.manifest.len();
        let answered = match answer {
            Answer::Reject => {
                let declined = ErrorCode::Declined;
                let error = Error::new(Blame::Circumstance, declined, "not wanted");
                connection.reject(now, id, error)
            }
            Answer::EverySecond => {
                facts.accept((0..entries).map(|entry| entry % 2 == 0).collect());
                let wanted = (0..entries).step_by(2).map(|first| EntryRange { first, count: 1 });
                let wanted = wanted.collect();
                if self.plan.again > 0 {
                    return self.go_on(side, id, planned, Some(wanted));
                }
                connection.accept(now, id, Some(wanted))
            }
            Answer::All | Answer::Silence => {
                facts.accept(vec![true; entries as usize]);
                if self.plan.again > 0 {
                    return self.go_on(side, id, planned, None);
                }
                connection.accept(now, id, None)
            }
        };
        if let Err(error) = answered {
            return broken("an offer can be answered", error.to_string());
        }
        self.drain(side)
    }

    /// Accepts an offer with what there is of the transfer.
    fn go_on(
        &mut self,
        side: Side,
        id: TransferId,
        planned: usize,
        wanted: Option<Vec<EntryRange>>,
    ) -> Result<(), Broken> {
        let now = self.instant(side);
        let story = &mut self.stories[planned];
        let Some(connection) = &mut self.hosts[side.place()].connection else { return Ok(()) };
        let token = connection.token(id);
        let Some(token) = token.filter(|token| Some(*token) == story.token) else {
            return broken("a transfer has one token", format!("{token:?}"));
        };
        let disk = &mut self.hosts[side.place()].disk;
        let Some(facts) = self.oracle.transfers.get(&id) else { return Ok(()) };
        let have = disk.begin(id, token, story.entries.clone(), |file| facts.wants(file));
        let facts = self.oracle.on_taken(side, id, disk)?;
        let chunk_size = 1 << self.plan.knobs.chunk_log2;
        for Have { file, state } in &have {
            if let HaveState::Written { chunks, .. } = state {
                let bytes = disk.parts.get(&(id, *file)).map(|part| &part.bytes[..]);
                for chunk in story.on_found(*file, chunks, bytes.unwrap_or_default()) {
                    facts.found.insert((*file, *chunk));
                }
                self.after.insert(Sometimes::ResumedFromNotes);
            }
            let chunks = match state {
                HaveState::Partial(_) | HaveState::Written { .. } => story.durable(*file).clone(),
                HaveState::Stored => {
                    let size = facts.source(*file).unwrap_or_default().len() as u64;
                    (0..size.div_ceil(chunk_size)).collect()
                }
            };
            for chunk in chunks {
                facts.note_durable(*file, chunk * chunk_size, 0);
            }
        }
        if !have.is_empty() {
            self.watch.met().append(&mut self.after);
        }
        let Some(connection) = &mut self.hosts[side.place()].connection else { return Ok(()) };
        if let Err(error) = connection.accept_having(now, id, wanted, &have) {
            return broken("an offer can be answered", error.to_string());
        }
        self.drain(side)
    }

    /// What a file holds is another thing from now on.
    pub(super) fn change_source(&mut self, planned: usize, entry: usize, how: Change) {
        let Some(story) = self.stories.get_mut(planned).filter(|story| !story.over) else { return };
        let Some(mut sources) = story.versions.last().cloned() else { return };
        let Some(Some(source)) = sources.get_mut(entry) else { return };
        let purpose = format!("change {planned} {entry} {}", story.versions.len());
        let mut draw = Draw::new(self.plan.seed, &purpose);
        let mut bytes = source.to_vec();
        if how == Change::Entry {
            bytes.push(0);
        }
        let last = bytes.len().saturating_sub(1) as u64;
        for _ in 0..draw.pick(&[1, 3, 20]) {
            let place = usize::try_from(draw.between(0, last)).unwrap_or(0);
            if let Some(byte) = bytes.get_mut(place) {
                *byte ^= 0x55;
            }
        }
        *source = bytes.into();
        story.versions.push(sources);
    }

    pub(super) fn fault(&mut self, place: usize) -> Result<(), Broken> {
        let plan = self.plan;
        if self.healed {
            return Ok(());
        }
        self.watch.on_fault(self.world.now(), &plan.faults[place], &self.oracle);
        match plan.faults[place] {
            Fault::Cut { .. } | Fault::CutAgain { .. } => {
                self.cut = true;
                self.transport_closed(Side::Inviter)?;
                self.transport_closed(Side::Joiner)
            }
            Fault::Crash { side, notice_us, killed, .. } => self.crash(side, notice_us, killed),
            Fault::Update { side, .. } => {
                let now = self.instant(side);
                let has_compared = self.has_compared(side);
                let Some(connection) = self.connection(side) else { return Ok(()) };
                if !connection.is_established() || !has_compared {
                    return Ok(());
                }
                if let Err(error) = connection.update_keys(now) {
                    return broken("keys can be updated", error.to_string());
                }
                self.drain(side)
            }
            Fault::Cancel { side, transfer, .. } => {
                let now = self.instant(side);
                let Some(id) = self.oracle.planned(transfer) else { return Ok(()) };
                let Some(connection) = self.connection(side) else { return Ok(()) };
                if !connection.is_established() || connection.progress(id).is_none() {
                    return Ok(());
                }
                let cancelled = ErrorCode::Cancelled;
                let error = Error::new(Blame::Circumstance, cancelled, "not wanted any more");
                if let Err(error) = connection.cancel(now, id, error) {
                    return broken("a transfer can be cancelled", error.to_string());
                }
                self.drain(side)
            }
            Fault::Pause { side, transfer, for_us, .. } => self.pause(side, transfer, for_us),
            Fault::Close { side, .. } => {
                let now = self.instant(side);
                self.oracle.on_close();
                if let Some(connection) = self.connection(side) {
                    connection.close(now, None);
                }
                self.drain(side)
            }
            Fault::Partition { .. }
            | Fault::CrashAt { .. }
            | Fault::Replay { .. }
            | Fault::Change { .. }
            | Fault::DiskFull { .. }
            | Fault::DiskError { .. }
            | Fault::SlowDisk { .. } => Ok(()),
        }
    }

    fn pause(&mut self, side: Side, planned: usize, for_us: u64) -> Result<(), Broken> {
        let now = self.instant(side);
        let Some(id) = self.oracle.planned(planned) else { return Ok(()) };
        let Some(connection) = self.connection(side) else { return Ok(()) };
        if connection.pause(now, id).is_err() {
            return Ok(()); // Over, not accepted yet, or paused already.
        }
        let step = self.step;
        if let Some(facts) = self.oracle.transfers.get_mut(&id).filter(|facts| facts.from == side) {
            facts.paused = Some((step, u64::MAX));
        }
        self.watch.meet(Sometimes::Paused);
        let at = self.world.now() + for_us;
        self.schedule(at, Happening::Resume { side, transfer: id });
        self.drain(side)
    }

    pub(super) fn resume(&mut self, side: Side, id: TransferId) -> Result<(), Broken> {
        let (now, step) = (self.instant(side), self.step);
        let Some(connection) = self.connection(side) else { return Ok(()) };
        if !connection.is_established() || connection.progress(id).is_none() {
            return Ok(());
        }
        if let Err(error) = connection.resume(now, id) {
            return broken("a pause can be ended", error.to_string());
        }
        if let Some(facts) = self.oracle.transfers.get_mut(&id).filter(|facts| facts.from == side) {
            facts.paused = facts.paused.map(|(from, _)| (from, step));
        }
        self.drain(side)
    }

    pub(super) fn crash(
        &mut self,
        side: Side,
        notice_us: Option<u64>,
        killed: bool,
    ) -> Result<(), Broken> {
        let host = &mut self.hosts[side.place()];
        if host.connection.take().is_none() {
            return Ok(());
        }
        if side == Side::Joiner {
            self.joiner_named = 0;
        }
        self.watch.on_crash(self.world.now(), side, killed, &host.disk);
        let purpose = match self.connection {
            0 => "crash".to_owned(),
            nth => format!("crash {nth}"),
        };
        if killed {
            host.disk.kill();
        } else {
            host.disk.crash(&mut Draw::new(self.plan.seed, &purpose));
        }
        self.oracle.on_crash(side, &host.disk)?;
        if self.plan.again > 0 {
            host.disk.park();
            self.check_kept(side)?;
        }
        if let Some(after) = notice_us {
            let at = self.world.now() + after;
            self.schedule(at, Happening::Noticed { side: side.peer() });
        }
        Ok(())
    }

    pub(super) fn transport_closed(&mut self, side: Side) -> Result<(), Broken> {
        self.oracle.on_close();
        if let Some(connection) = self.connection(side) {
            connection.handle_transport_closed(None);
        }
        self.drain(side)
    }
}

/// A story for each transfer of a plan.
pub(super) fn stories(plan: &Plan) -> Vec<Story> {
    plan.transfers.iter().map(|_| Story::default()).collect()
}

fn index(place: usize) -> FileIndex {
    FileIndex(u32::try_from(place).unwrap_or(u32::MAX))
}

/// The content of every file, which depends on the seed and its place alone.
fn sources(seed: u64, planned: usize, transfer: &TransferPlan) -> Sources {
    let source = |(place, size): (usize, &Option<u64>)| {
        let mut bytes = vec![0; usize::try_from((*size)?).unwrap_or(0)];
        Draw::new(seed, &format!("content {planned} {place}")).fill(&mut bytes);
        readable::stamp(&mut bytes);
        Some(bytes.into())
    };
    transfer.entries.iter().enumerate().map(source).collect()
}

fn manifest(
    sources: &Sources,
    transfer: &TransferPlan,
    chunk: usize,
) -> Result<Manifest, ManifestError> {
    let mut builder = ManifestBuilder::new();
    let mut directory = String::new();
    for (place, source) in sources.iter().enumerate() {
        let (path, kind) = match source {
            None => {
                directory = format!("{IN_NAME}-{place:04}/");
                (format!("{IN_NAME}-{place:04}"), EntryKind::Directory)
            }
            Some(source) => {
                let size = (!transfer.streams).then_some(source.len() as u64);
                let root = transfer.roots.then(|| root(source, chunk));
                let kind = EntryKind::File { size, executable: false, mime: None, root };
                (format!("{directory}{IN_NAME}-{place:04}"), kind)
            }
        };
        let path = SafePath::parse(&path)?;
        builder.push(&Entry { path, kind, modified: None })?;
    }
    builder.finish()
}

fn root(source: &[u8], chunk: usize) -> [u8; 32] {
    let mut tree = TreeBuilder::new();
    source.chunks(chunk).for_each(|chunk| tree.push(leaf_hash(chunk)));
    tree.root()
}

/// Whether the event ends a transfer.
pub(super) fn ends(event: &Event) -> Option<TransferId> {
    match event {
        Event::Completed { transfer, .. } | Event::Ended { transfer, .. } => Some(*transfer),
        _ => None,
    }
}
