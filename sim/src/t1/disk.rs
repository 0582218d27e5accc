//! Storage that does everything at once and never fails: what a host sends and
//! what it receives. Faults of disks are T0's business.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use passel_proto::ids::{FileIndex, TransferId};
use passel_proto::storage::{StorageError, StorageErrorKind, StorageReply, StorageRequest};

use super::planted::Planted;

/// An entry of a transfer.
pub(super) type Place = (TransferId, FileIndex);

/// A host's storage.
#[derive(Debug, Default)]
pub(super) struct Disk {
    /// What this host offers.
    pub(super) sources: BTreeMap<Place, Rc<[u8]>>,
    /// Files without a final name.
    parts: BTreeMap<Place, Vec<u8>>,
    /// Files with their final names.
    pub(super) finals: BTreeMap<Place, Vec<u8>>,
    /// Places of sources that were read.
    read: BTreeSet<(Place, u64)>,
    planted: Option<Planted>,
}

fn refused<T>(kind: StorageErrorKind, text: &str) -> Result<T, StorageError> {
    Err(StorageError { kind, text: text.to_owned() })
}

impl Disk {
    /// An empty one.
    pub(super) fn new(planted: Option<Planted>) -> Self {
        Self { planted, ..Self::default() }
    }

    /// Whether this asks for a place of a source that was read before.
    pub(super) fn is_read_again(&mut self, request: &StorageRequest) -> bool {
        let StorageRequest::Read { transfer, file, offset, .. } = request else { return false };
        let place = (*transfer, *file);
        self.sources.contains_key(&place) && !self.read.insert((place, *offset))
    }

    /// Does what is asked. With the reply comes the entry that got its name, if
    /// one did.
    pub(super) fn carry_out(&mut self, request: StorageRequest) -> (StorageReply, Option<Place>) {
        let mut named = None;
        let reply = match request {
            StorageRequest::Read { transfer, file, offset, len, mut buf, .. } => {
                let from = usize::try_from(offset).unwrap_or(usize::MAX);
                let source = self.sources.get(&(transfer, file)).map(|source| &source[..]);
                let source = source.or_else(|| Some(self.parts.get(&(transfer, file))?));
                let until = from.saturating_add(len as usize);
                let result = match source.and_then(|source| source.get(from..until)) {
                    Some(bytes) => {
                        buf.extend_from_slice(bytes);
                        Ok(())
                    }
                    None => refused(StorageErrorKind::Changed, "the source is short"),
                };
                StorageReply::Read { transfer, file, offset, buf, leaf: None, result }
            }
            StorageRequest::Write { transfer, file, offset, data, .. } => {
                let part = self.parts.entry((transfer, file)).or_default();
                let mut from = usize::try_from(offset).unwrap_or(0);
                if self.planted == Some(Planted::WriteMisplaced) && from >= data.len() {
                    from -= data.len();
                }
                part.resize(part.len().max(from + data.len()), 0);
                part[from..from + data.len()].copy_from_slice(&data);
                if self.planted == Some(Planted::WriteFlipped) {
                    part[from] ^= 1;
                }
                StorageReply::Written { transfer, file, offset, buf: data, result: Ok(()) }
            }
            StorageRequest::Sync { transfer, .. } => {
                StorageReply::Synced { transfer, result: Ok(()) }
            }
            StorageRequest::Commit { transfer, file, .. } => {
                let place = (transfer, file);
                let mut part = self.parts.remove(&place).unwrap_or_default();
                match self.planted {
                    Some(Planted::PartKept) => {
                        self.parts.insert(place, part.clone());
                    }
                    Some(Planted::CutShort) => {
                        part.pop();
                    }
                    _ => {}
                }
                let result = if self.finals.insert(place, part).is_some() {
                    refused(StorageErrorKind::NameConflict, "the name is taken")
                } else {
                    named = Some(place);
                    Ok(())
                };
                StorageReply::Committed { transfer, file, result }
            }
            // This disk keeps no journal.
            StorageRequest::Check { transfer, file, .. } => {
                let result = refused(StorageErrorKind::Changed, "nothing was stored before");
                StorageReply::Checked { transfer, file, result }
            }
            StorageRequest::Release { transfer, .. } => {
                if self.planted != Some(Planted::PartKept) {
                    self.parts.retain(|(of, _), _| *of != transfer);
                }
                StorageReply::Released { transfer, result: Ok(()) }
            }
            StorageRequest::Discard { transfer, file } => {
                self.parts.retain(|place, _| match file {
                    Some(file) => *place != (transfer, file),
                    None => place.0 != transfer,
                });
                StorageReply::Discarded { transfer, result: Ok(()) }
            }
        };
        (reply, named)
    }

    /// Files that were begun and have neither a name nor been discarded.
    pub(super) fn parts_left(&self) -> usize {
        self.parts.len()
    }
}
