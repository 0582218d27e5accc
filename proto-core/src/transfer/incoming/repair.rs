//! Reading back what storage holds: to answer LEAVES_WANTED (`RS-LEAVES`), and to
//! compute the root of a file of which some chunks came again (`RS-REPAIR-END`).
//! One chunk is read at a time, one file after the other.

use std::collections::VecDeque;

use super::file::{Stage, Trust};
use super::{Incoming, Outbox};
use crate::error::{Blame, Error, ErrorCode};
use crate::frame::{Leaves, LeavesWanted};
use crate::ids::FileIndex;
use crate::storage::{StorageError, StorageRequest};
use crate::tree::{Hash, TreeBuilder, leaf_hash};

/// What is read back, and what for.
#[derive(Debug)]
struct Reading {
    file: FileIndex,
    /// The next chunk, and the one behind the last.
    next: u64,
    end: u64,
    purpose: Purpose,
}

#[derive(Debug)]
enum Purpose {
    /// The sender asked for the hashes, the first of which is `first`'s.
    Leaves { first: u64, leaves: Vec<Hash> },
    /// The file's root is wanted.
    Root(TreeBuilder),
}

/// All that is to be read back.
#[derive(Debug, Default)]
pub(super) struct Rereads {
    queue: VecDeque<Reading>,
    /// Whether a request of the first one is under way.
    asked: bool,
}

impl Rereads {
    /// Whether nothing is to be read back.
    pub(super) fn is_idle(&self) -> bool {
        self.queue.is_empty()
    }

    fn has_leaves_to_send(&self) -> bool {
        self.queue.iter().any(|reading| matches!(reading.purpose, Purpose::Leaves { .. }))
    }

    /// Drops what was to be read of a file that is given up. An answer that is
    /// under way finds its reading gone.
    pub(super) fn forget(&mut self, file: FileIndex) {
        self.queue.retain(|reading| reading.file != file);
    }
}

impl Incoming {
    /// The sender's chunks differ from those named in HAVE, and it asks for their
    /// hashes (`RS-LEAVES`).
    pub(crate) fn on_leaves_wanted(
        &mut self,
        wanted: &LeavesWanted,
        now: std::time::Instant,
        out: &mut Outbox,
    ) -> Result<(), Error> {
        if self.failed.contains_key(&wanted.file) {
            return Ok(()); // Given up while this was under way.
        }
        let refused = || {
            let text = "leaves were asked for that are not to be had";
            Error::peer(ErrorCode::ProtocolViolation, text)
        };
        let range = wanted.first..wanted.first.saturating_add(wanted.count.into());
        let is_open = self.state.is_open() && !self.rereads.has_leaves_to_send();
        let file = self.files.get_mut(&wanted.file).filter(|_| is_open).ok_or_else(refused)?;
        let is_had = file.had.contains_all(&range);
        if !is_had
            || file.has_ended()
            || file.asked.insert(range.clone()) != range.end - range.start
        {
            return Err(refused());
        }
        if file.trust == Trust::Sure {
            file.trust = Trust::Doubted;
        }
        self.rereads.queue.push_back(Reading {
            file: wanted.file,
            next: range.start,
            end: range.end,
            purpose: Purpose::Leaves { first: wanted.first, leaves: Vec::new() },
        });
        self.settle(now, out);
        Ok(())
    }

    /// All of a file that was in doubt is durable: reads it for its root.
    pub(super) fn reread_for_root(&mut self, index: FileIndex) {
        let Some(file) = self.files.get_mut(&index) else { return };
        file.stage = Stage::Rereading;
        self.rereads.queue.push_back(Reading {
            file: index,
            next: 0,
            end: file.chunks().unwrap_or(0),
            purpose: Purpose::Root(TreeBuilder::new()),
        });
    }

    /// Asks storage for the next chunk that is to be read back.
    pub(super) fn reread(&mut self, out: &mut Outbox) {
        let (false, Some(reading)) = (self.rereads.asked, self.rereads.queue.front()) else {
            return;
        };
        let Some(file) = self.files.get(&reading.file) else { return };
        if file.trust == Trust::Doubted {
            return; // RS-REPAIR-JOURNAL: the journal comes first.
        }
        self.rereads.asked = true;
        out.storage.push_back(StorageRequest::Read {
            transfer: self.id,
            file: reading.file,
            offset: reading.next.saturating_mul(self.offer.chunk_size().into()),
            len: u32::try_from(file.chunk_len(reading.next)).unwrap_or(u32::MAX),
            last: false,
            buf: self.open.spare_buffer(),
        });
    }

    /// Storage answered with a chunk that it holds.
    pub(super) fn on_reread(
        &mut self,
        index: FileIndex,
        offset: u64,
        (buf, leaf): (Vec<u8>, Option<Hash>),
        result: Result<(), StorageError>,
        out: &mut Outbox,
    ) -> Result<(), Error> {
        if !std::mem::take(&mut self.rereads.asked) {
            return Err(Error::misuse("storage answered a read that was not asked for"));
        }
        let leaf = leaf.unwrap_or_else(|| leaf_hash(&buf));
        let len = buf.len() as u64;
        self.open.recycle(buf);
        let chunk_size = u64::from(self.offer.chunk_size());
        let Some(reading) = self
            .rereads
            .queue
            .front_mut()
            .filter(|reading| reading.file == index && reading.next * chunk_size == offset)
        else {
            return Ok(()); // The file was given up meanwhile.
        };
        if let Err(error) = result {
            // TR-FAILED-CODE: what cannot be read back is no source.
            let failure = Error::new(Blame::Local, ErrorCode::StorageFailed, error.text);
            self.fail_file(index, failure, out);
            return Ok(());
        }
        if self.files.get(&index).is_none_or(|file| file.chunk_len(reading.next) != len) {
            return Err(Error::misuse("storage answered a read with the wrong length"));
        }
        reading.next += 1;
        let done = reading.next >= reading.end;
        match &mut reading.purpose {
            Purpose::Leaves { leaves, .. } => leaves.push(leaf),
            Purpose::Root(tree) => tree.push(leaf),
        }
        if done && let Some(reading) = self.rereads.queue.pop_front() {
            self.was_reread(reading, out);
        }
        Ok(())
    }

    fn was_reread(&mut self, reading: Reading, out: &mut Outbox) {
        let file = reading.file;
        match reading.purpose {
            Purpose::Leaves { first, leaves } => {
                out.control.push_back(Leaves { transfer: self.id, file, first, leaves }.into());
            }
            Purpose::Root(tree) => self.commit_if_right(file, Some(tree.root()), out),
        }
    }
}
