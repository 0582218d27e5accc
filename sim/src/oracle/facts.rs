//! What is true of one transfer: its sources, what was accepted of them, which
//! chunks are durable since when, and how it ended at each side.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use passel_proto::connection::Completion;
use passel_proto::error::ErrorCode;
use passel_proto::ids::{FileIndex, TransferId};
use passel_proto::manifest::Manifest;

use super::cause::Of;
use super::{Broken, broken};
use crate::disk::Disk;
use crate::plan::Side;

/// How a transfer ended at one side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// With a receipt.
    Completed(Completion),
    /// Without one.
    Ended(ErrorCode),
}

/// The truth about one transfer.
#[derive(Debug)]
pub struct Facts {
    /// Its place in the plan.
    pub planned: usize,
    /// Who offered it.
    pub from: Side,
    /// What was offered.
    pub manifest: Manifest,
    /// Whether that does not tell how long the files are.
    pub streams: bool,
    /// Whether the receiver was told of it.
    pub seen: bool,
    /// Files that had their names before this connection, as they were then.
    pub taken: BTreeMap<FileIndex, Vec<u8>>,
    /// Those of them that the transfer failed to send again; they stay.
    pub lapsed: BTreeSet<FileIndex>,
    /// Chunks that an earlier process wrote, and that the receiver names although they
    /// may not be durable (`RS-WRITTEN`). Its sender takes them for done.
    pub found: BTreeSet<(FileIndex, u64)>,
    /// Whether the receiver said that it keeps what there is.
    pub kept: bool,
    /// Credit used so far, as the receiver counts it.
    pub received: u64,
    /// The most that each side has called durable.
    pub durable_bytes: [u64; 2],
    /// The steps of the sender's newest pause and of its end.
    pub paused: Option<(u64, u64)>,
    sources: Vec<Option<Rc<[u8]>>>,
    chunk_size: u64,
    accepted: Option<Vec<bool>>,
    /// Durable chunks, and the step since which they are.
    durable: BTreeMap<(FileIndex, u64), u64>,
    endings: [Option<Ending>; 2],
}

impl Facts {
    /// A transfer that was just offered. Directories have no source.
    pub fn new(
        planned: usize,
        from: Side,
        manifest: Manifest,
        sources: Vec<Option<Rc<[u8]>>>,
        chunk_log2: u8,
    ) -> Self {
        Self {
            planned,
            from,
            manifest,
            streams: false,
            seen: false,
            taken: BTreeMap::new(),
            lapsed: BTreeSet::new(),
            found: BTreeSet::new(),
            kept: false,
            received: 0,
            durable_bytes: [0; 2],
            paused: None,
            sources,
            chunk_size: 1 << chunk_log2,
            accepted: None,
            durable: BTreeMap::new(),
            endings: [None; 2],
        }
    }

    /// The receiver accepts the entries that `wanted` names.
    pub fn accept(&mut self, wanted: Vec<bool>) {
        self.accepted = Some(wanted);
    }

    /// Whether the receiver has accepted.
    pub fn is_accepted(&self) -> bool {
        self.accepted.is_some()
    }

    /// Whose faults explain what fails of it.
    pub(super) fn of(&self) -> Of {
        Of { planned: self.planned, from: self.from }
    }

    /// What a file holds; nothing for a directory.
    pub fn source(&self, file: FileIndex) -> Option<&[u8]> {
        self.sources.get(file.0 as usize)?.as_deref()
    }

    /// How the transfer ended at the side.
    pub fn ending(&self, side: Side) -> Option<&Ending> {
        self.endings[side.place()].as_ref()
    }

    /// Whether the receiver takes the file.
    pub fn wants(&self, file: FileIndex) -> bool {
        let wanted = self.accepted.as_ref().and_then(|wanted| wanted.get(file.0 as usize));
        wanted.copied().unwrap_or(false)
    }

    /// Files that were accepted, and bytes of which it was known.
    pub fn wanted_totals(&self) -> (u32, u64) {
        let mut totals = (0, 0);
        for (place, source) in self.sources.iter().enumerate() {
            let file = FileIndex(u32::try_from(place).unwrap_or(u32::MAX));
            if let Some(source) = source.as_ref().filter(|_| self.wants(file)) {
                let known = if self.streams { 0 } else { source.len() as u64 };
                totals = (totals.0 + 1, totals.1 + known);
            }
        }
        totals
    }

    /// Only receivers store, and only what was accepted (`TR-SELECTION-ONLY`).
    pub(super) fn check_wanted(&self, side: Side, file: FileIndex) -> Result<(), Broken> {
        if side == self.from || !self.wants(file) {
            return broken("only what was accepted is stored", format!("{side:?}: {file:?}"));
        }
        Ok(())
    }

    pub(super) fn is_of_source(&self, file: FileIndex, offset: u64, data: &[u8]) -> bool {
        let Ok(from) = usize::try_from(offset) else { return false };
        let source = self.source(file);
        source.and_then(|source| source.get(from..from.checked_add(data.len())?)) == Some(data)
    }

    /// A file under its final name is its source.
    pub(super) fn check_named(&self, file: FileIndex, bytes: &[u8]) -> Result<(), Broken> {
        let is_as_before = self.taken.get(&file).is_some_and(|before| before == bytes);
        if self.source(file).unwrap_or_default() != bytes && !is_as_before {
            return broken("what has its name is its source", format!("{file:?}"));
        }
        Ok(())
    }

    /// A file of an earlier connection was compared, and is done.
    pub(super) fn check_same(&self, file: FileIndex) -> Result<(), Broken> {
        let before = self.taken.get(&file).map(Vec::as_slice);
        if before.unwrap_or_default() != self.source(file).unwrap_or_default() {
            return broken("what was stored before is its source", format!("{file:?}"));
        }
        Ok(())
    }

    /// A chunk is durable since `step`.
    pub fn note_durable(&mut self, file: FileIndex, offset: u64, step: u64) {
        self.durable.entry((file, offset / self.chunk_size)).or_insert(step);
    }

    pub(super) fn was_durable(&self, file: FileIndex, chunk: u64, step: u64) -> bool {
        self.durable.get(&(file, chunk)).is_some_and(|&since| since <= step)
    }

    pub(super) fn is_durable(&self, file: FileIndex) -> bool {
        let chunks = (self.source(file).unwrap_or_default().len() as u64).div_ceil(self.chunk_size);
        let is_there = |chunk| {
            self.durable.contains_key(&(file, chunk)) || self.found.contains(&(file, chunk))
        };
        (0..chunks).all(is_there)
    }

    pub(super) fn end(&mut self, side: Side, ending: Ending) -> Result<(), Broken> {
        match self.endings[side.place()].replace(ending) {
            None => Ok(()),
            Some(before) => {
                let detail = format!("{side:?}: {ending:?} after {before:?}");
                broken("a transfer ends once", detail)
            }
        }
    }

    /// Whether the side has the same completion.
    pub(super) fn agrees(&self, side: Side, completion: &Completion) -> bool {
        let Some(Ending::Completed(other)) = self.ending(side) else { return false };
        other == completion
    }

    /// Everything that a receipt counts has its name, for good.
    pub(super) fn check_completed(
        &self,
        id: TransferId,
        completion: &Completion,
        disk: &Disk,
    ) -> Result<(), Broken> {
        let of = (id, FileIndex(0))..=(id, FileIndex(u32::MAX));
        let counts = |file| self.source(file).is_some() && !self.lapsed.contains(&file);
        let files = disk.finals.range(of).filter(|((_, file), _)| counts(*file));
        let (mut delivered, mut lasting) = (0, 0);
        for (&(_, file), named) in files {
            if self.source(file) != Some(&named.bytes[..]) {
                return broken("what has its name is its source", format!("{file:?} of {id:?}"));
            }
            delivered += 1;
            lasting += u32::from(named.durable);
        }
        if completion.delivered != delivered || lasting != delivered {
            let detail = format!("{completion:?}: {delivered} named, {lasting} of them for good");
            return broken("a receipt counts what is stored", detail);
        }
        if delivered + completion.failed < self.wanted_totals().0 {
            return broken("a receipt counts every file", format!("{completion:?}"));
        }
        Ok(())
    }
}
