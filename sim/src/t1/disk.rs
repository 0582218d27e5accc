//! What a host sends and what it receives: the disk that T0 has too, and around it
//! the bugs that are planted in this tier. It may be slow and lose what was not synced;
//! that a request fails is T0's business.

use std::collections::BTreeSet;
use std::rc::Rc;

use passel_proto::ids::{FileIndex, Token, TransferId};
use passel_proto::manifest::Manifest;
use passel_proto::storage::{Have, StorageReply, StorageRequest};

use super::plan::Plan;
use super::planted::Planted;
use crate::disk::{self, DiskPlan, Effect, Part};
pub(super) use crate::disk::{Digest, Place};
use crate::oracle::{Broken, broken};
use crate::plan::Side;
use crate::rng::Draw;

/// A host's storage.
#[derive(Debug)]
pub(super) struct Disk {
    inner: disk::Disk,
    /// Places of sources that were read.
    read: BTreeSet<(Place, u64)>,
    planted: Option<Planted>,
}

impl Disk {
    /// The empty one of a side.
    pub(super) fn new(plan: &Plan, side: Side) -> Self {
        let planted = match plan.planted {
            Some(Planted::WriteFlipped) => Some(crate::plan::Planted::WriteFlipped),
            Some(Planted::WriteMisplaced) => Some(crate::plan::Planted::WriteMisplaced),
            _ => None,
        };
        let request_us = plan.disks_us[side.place()];
        let disk = DiskPlan { side, faults: Vec::new(), planted, request_us, hashes: false };
        Self { inner: disk::Disk::new(disk), read: BTreeSet::new(), planted: plan.planted }
    }

    /// Puts a file there that is to be sent, and may be a stream.
    pub(super) fn put(&mut self, place: Place, source: Rc<[u8]>, is_stream: bool) {
        self.inner.sources.insert(place, source);
        if is_stream {
            self.inner.streams.insert(place);
        }
    }

    /// Whether this asks for a place of a file whose end nobody knows before it is read.
    pub(super) fn is_of_stream(&self, request: &StorageRequest) -> bool {
        let StorageRequest::Read { transfer, file, .. } = request else { return false };
        self.inner.streams.contains(&(*transfer, *file))
    }

    /// Takes up a transfer: what there is of it from connections before.
    pub(super) fn begin(
        &mut self,
        id: TransferId,
        token: Token,
        entries: Vec<Digest>,
    ) -> Vec<Have> {
        self.inner.begin(id, token, entries, |_| true)
    }

    /// Whether this asks for a place of a source that was read before.
    pub(super) fn is_read_again(&mut self, request: &StorageRequest) -> bool {
        let StorageRequest::Read { transfer, file, offset, .. } = request else { return false };
        let place = (*transfer, *file);
        self.inner.sources.contains_key(&place) && !self.read.insert((place, *offset))
    }

    /// When a request that is made at `now` will be done.
    pub(super) fn done_at(&mut self, now: u64, transfer: TransferId) -> u64 {
        self.inner.done_at(now, transfer)
    }

    /// Does what is asked. With the reply comes the entry that got its name, if
    /// one did.
    pub(super) fn carry_out(
        &mut self,
        request: StorageRequest,
    ) -> Result<(Option<StorageReply>, Option<Place>), Broken> {
        let mut spared = None;
        if let StorageRequest::Commit { transfer, file, .. } = request {
            spared = self.spoil_part((transfer, file));
        }
        let (reply, effect) = self.inner.carry_out(request);
        match effect {
            Effect::Committed { place, again, .. } => {
                if again {
                    return broken("a file gets its name once", format!("{place:?}"));
                }
                if let Some(bytes) = spared {
                    self.inner.parts.insert(place, Part { bytes, ..Part::default() });
                }
                Ok((reply, Some(place)))
            }
            Effect::Checked { place, same: false } => {
                broken("what was stored is known again", format!("{place:?}"))
            }
            _ => Ok((reply, None)),
        }
    }

    /// What a planted bug does to a file that is about to get its name. What stays
    /// beside it, if anything does.
    fn spoil_part(&mut self, place: Place) -> Option<Vec<u8>> {
        let part = self.inner.parts.get_mut(&place);
        match self.planted {
            Some(Planted::PartKept) => {
                Some(part.map(|part| part.bytes.clone()).unwrap_or_default())
            }
            Some(Planted::CutShort) => {
                part.and_then(|part| part.bytes.pop());
                None
            }
            _ => None,
        }
    }

    /// What has its final name in this connection.
    pub(super) fn named(&self, place: Place) -> Option<&[u8]> {
        self.inner.finals.get(&place).map(|named| &named.bytes[..])
    }

    /// The program dies, and with `power` its machine.
    pub(super) fn die(&mut self, power: bool, draw: &mut Draw) {
        if power { self.inner.crash(draw) } else { self.inner.kill() }
    }

    /// The connection is over and nothing more is asked.
    pub(super) fn park(&mut self) {
        self.inner.park();
        self.read.clear();
    }

    /// Files that were begun and have neither a name nor been discarded.
    pub(super) fn parts_left(&self) -> usize {
        self.inner.parts.len() + self.inner.kept.parts.len()
    }

    /// Files with their final names, once it is parked.
    pub(super) fn stored(&self) -> impl Iterator<Item = ((Token, Digest), &[u8])> {
        self.inner.kept.finals.iter().map(|(key, named)| (*key, &named.bytes[..]))
    }
}

/// The digests of all entries of a manifest.
pub(super) fn digests(manifest: &Manifest) -> Vec<Digest> {
    (0..manifest.len()).filter_map(|entry| manifest.entry_digest(FileIndex(entry))).collect()
}
