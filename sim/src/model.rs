//! The truth about transfers over connections, small enough to be read at once:
//! what of each file is durable, acknowledged and stored, by the digest of its
//! entry, and how each transfer ended. What a connection says when it goes on is
//! held against this; what is true within one connection is in `oracle`.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use passel_proto::connection::Completion;
use passel_proto::frame::Frame;
use passel_proto::ids::{FileIndex, Token};
use passel_proto::storage::WrittenChunk;

use crate::disk::Digest;
use crate::oracle::{Broken, broken};
use crate::plan::Side;
use crate::sometimes::{Met, Sometimes};

/// What is true of a file under one entry.
#[derive(Debug, Default)]
struct File {
    /// Chunks that storage has made durable.
    durable: BTreeSet<u64>,
    /// Chunks that were found as they had been written, and may not be durable.
    found: BTreeSet<u64>,
    /// Chunks that the sender was told of.
    acked: BTreeSet<u64>,
    /// Chunks of which the sender was told that they may be others.
    doubted: bool,
    /// It has its final name.
    stored: bool,
    /// It is to be removed; what was acknowledged of it counts no more.
    given_up: bool,
}

/// What the receiver says in a connection that it has of a file.
#[derive(Debug, Default)]
struct Claim {
    had: BTreeSet<u64>,
    /// Chunks whose leaves were told.
    told: BTreeSet<u64>,
    stored: bool,
}

/// A transfer over all connections.
#[derive(Debug, Default)]
pub struct Story {
    /// What names it, once it was offered.
    pub token: Option<Token>,
    /// Whether it is settled: complete at both sides, or ended by somebody.
    pub over: bool,
    /// The contents of its files, the newest last.
    pub versions: Vec<Vec<Option<Rc<[u8]>>>>,
    /// The digests of its entries as they are offered now.
    pub entries: Vec<Digest>,
    chunk_size: u64,
    files: BTreeMap<Digest, File>,
    claims: BTreeMap<FileIndex, Claim>,
    /// Chunks of which some pieces have come.
    begun: BTreeSet<(Digest, u64)>,
    /// Whether the receiver removed all of it in this connection, so that what it
    /// claimed before, and what is still under way to a sender, holds no more.
    removed: bool,
    completed: [Option<Completion>; 2],
    /// Files that the sender said it could not send, or vouch for, in this connection.
    refused: BTreeSet<FileIndex>,
}

impl Story {
    /// A connection begins in which it is offered; `entries` are its digests.
    pub fn offer(&mut self, token: Token, entries: Vec<Digest>, chunk_size: u64) {
        (self.token, self.entries, self.chunk_size) = (Some(token), entries, chunk_size);
        self.claims.clear();
        self.refused.clear();
        self.removed = false;
        for file in self.files.values_mut() {
            file.given_up = false;
            file.found.clear();
        }
    }

    fn file(&mut self, file: FileIndex) -> &mut File {
        let entry = self.entries.get(file.0 as usize).copied().unwrap_or_default();
        self.files.entry(entry).or_default()
    }

    /// Whether the receiver says that it has the chunk.
    pub fn is_claimed(&self, file: FileIndex, chunk: u64) -> bool {
        self.claims.get(&file).is_some_and(|claim| claim.had.contains(&chunk))
    }

    /// The chunks of a file that are durable.
    pub fn durable(&mut self, file: FileIndex) -> &BTreeSet<u64> {
        &self.file(file).durable
    }

    /// Storage made a chunk durable.
    pub fn on_synced(&mut self, file: FileIndex, offset: u64) {
        let chunk = offset / self.chunk_size.max(1);
        self.file(file).durable.insert(chunk);
    }

    /// Chunks were found in a file that goes on, whose bytes are these. Those of them
    /// count that are of a source (`RS-WRITTEN`).
    pub fn on_found(
        &mut self,
        file: FileIndex,
        chunks: &[WrittenChunk],
        bytes: &[u8],
    ) -> &BTreeSet<u64> {
        let chunk_size = self.chunk_size.max(1);
        let is_there = |chunk: &&WrittenChunk| {
            let from = usize::try_from(chunk.offset).unwrap_or(usize::MAX);
            let until = from.saturating_add(chunk.len as usize);
            let there = bytes.get(from..until);
            let versions = self.versions.iter().filter_map(|all| all.get(file.0 as usize));
            there.is_some() && versions.flatten().any(|source| source.get(from..until) == there)
        };
        let found = chunks.iter().filter(is_there).map(|chunk| chunk.offset / chunk_size);
        let found: BTreeSet<u64> = found.collect();
        let file = self.file(file);
        file.found = found;
        &file.found
    }

    /// A file got its final name.
    pub fn on_stored(&mut self, file: FileIndex) {
        self.file(file).stored = true;
    }

    /// What there is of a file, or of all, is to be removed.
    pub fn on_discard(&mut self, file: Option<FileIndex>) {
        let give_up = |file: &mut File| {
            file.acked.clear();
            file.given_up = true;
        };
        match file {
            Some(file) => give_up(self.file(file)),
            None => self.files.values_mut().for_each(give_up),
        }
    }

    /// What there was of a file, or of all, is gone.
    pub fn on_discarded(&mut self, file: Option<FileIndex>) {
        if let Some(file) = file {
            *self.file(file) = File::default();
        } else {
            self.files.clear();
            self.removed = true;
        }
    }

    /// A stored file turned out to be another one.
    pub fn on_other(&mut self, file: FileIndex) {
        *self.file(file) = File::default();
    }

    /// What a file holds at its receiver is what it held at its sender at some
    /// time, wherever it was acknowledged: after a crash, and when it goes on.
    pub fn check_bytes(&self, entry: &Digest, bytes: &[u8]) -> Result<(), Broken> {
        let Some(file) = self.files.get(entry).filter(|file| !file.doubted) else {
            return Ok(());
        };
        let chunk_size = usize::try_from(self.chunk_size).unwrap_or(usize::MAX);
        for &chunk in &file.acked {
            let from = usize::try_from(chunk).unwrap_or(0).saturating_mul(chunk_size);
            let there = bytes.get(from..).unwrap_or_default();
            let there = &there[..there.len().min(chunk_size)];
            let mut sources = self.versions.iter().flatten().flatten();
            let is_of = |source: &Rc<[u8]>| {
                let of = source.get(from..).unwrap_or_default();
                &of[..of.len().min(chunk_size)] == there
            };
            if there.is_empty() || !sources.any(is_of) {
                let detail = format!("chunk {chunk} of {:02x?}", &entry[..4]);
                return broken("what was acknowledged is still there", detail);
            }
        }
        Ok(())
    }

    /// Entries of which something was acknowledged.
    pub fn acknowledged(&self) -> impl Iterator<Item = &Digest> {
        let is_acked = |(_, file): &(&Digest, &File)| !file.acked.is_empty();
        self.files.iter().filter(is_acked).map(|(entry, _)| entry)
    }

    /// A frame of the transfer has reached its reader. `wanted` are the files that
    /// the receiver takes.
    pub fn on_frame(
        &mut self,
        frame: &Frame,
        wanted: impl Fn(FileIndex) -> bool,
        met: &mut Met,
    ) -> Result<(), Broken> {
        let chunk_size = self.chunk_size.max(1);
        match frame {
            Frame::Have(_) | Frame::Stored(_) if self.removed => {}
            Frame::Have(have) => {
                let had: BTreeSet<u64> =
                    have.ranges.iter().flat_map(|run| run.first..run.first + run.count).collect();
                let entry = self.entries.get(have.file.0 as usize).copied().unwrap_or_default();
                let begun = self.begun.len();
                self.begun.retain(|(of, _)| *of != entry);
                if self.begun.len() < begun {
                    met.insert(Sometimes::ResumedInMidChunk);
                }
                let file = self.file(have.file);
                let is_lost =
                    |chunk: &&u64| !file.durable.contains(chunk) && !file.found.contains(chunk);
                if let Some(chunk) = had.iter().find(is_lost) {
                    let detail = format!("chunk {chunk} of {:?}", have.file);
                    return broken("what is claimed is durable", detail);
                }
                if file.doubted {
                    met.insert(Sometimes::RepairTakenUp);
                    if have.digest.is_some() {
                        // RS-REPAIR-JOURNAL
                        return broken("a doubt is not forgotten", format!("{:?}", have.file));
                    }
                }
                self.claims.insert(have.file, Claim { had, ..Claim::default() });
            }
            Frame::Stored(stored) => {
                for place in stored.files.iter().flat_map(|run| run.first..run.first + run.count) {
                    if !self.file(FileIndex(place)).stored {
                        return broken("what is claimed is durable", format!("entry {place}"));
                    }
                    self.claims.entry(FileIndex(place)).or_default().stored = true;
                }
            }
            Frame::Accept(accept) if !accept.more => return self.check_claims(wanted),
            Frame::Leaves(leaves) => {
                self.file(leaves.file).doubted = true;
                let claim = self.claims.entry(leaves.file).or_default();
                claim.told.extend(leaves.first..leaves.first + leaves.leaves.len() as u64);
            }
            Frame::Data(data) => {
                let chunk = data.offset / chunk_size;
                let entry = self.entries.get(data.file.0 as usize).copied().unwrap_or_default();
                match data.leaf {
                    None => self.begun.insert((entry, chunk)),
                    Some(_) => self.begun.remove(&(entry, chunk)),
                };
                let Some(claim) = self.claims.get(&data.file) else { return Ok(()) };
                if claim.told.contains(&chunk) {
                    met.insert(Sometimes::Repaired);
                } else if claim.stored || claim.had.contains(&chunk) {
                    // RS-NOT-SENT
                    let detail = format!("chunk {chunk} of {:?}", data.file);
                    return broken("what is there is not sent again", detail);
                }
            }
            Frame::Ack(ack) => {
                for range in &ack.ranges {
                    let file = self.file(range.file);
                    // What was given up meanwhile is gone, or will be.
                    let is_there = |chunk: &u64| file.durable.contains(chunk) && !file.given_up;
                    let chunks = (range.first..range.first + range.count).filter(is_there);
                    file.acked.extend(chunks.collect::<Vec<_>>());
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// All that the receiver has to say is said: nothing that was acknowledged is
    /// missing.
    fn check_claims(&mut self, wanted: impl Fn(FileIndex) -> bool) -> Result<(), Broken> {
        for (place, entry) in self.entries.iter().enumerate() {
            let index = FileIndex(u32::try_from(place).unwrap_or(u32::MAX));
            let Some(file) = self.files.get(entry).filter(|_| wanted(index)) else { continue };
            let claim = self.claims.get(&index);
            let is_there =
                |chunk: &u64| claim.is_some_and(|claim| claim.stored || claim.had.contains(chunk));
            if let Some(chunk) = file.acked.iter().find(|chunk| !is_there(chunk)) {
                let detail = format!("chunk {chunk} of {index:?}");
                return broken("what was acknowledged is still known", detail);
            }
        }
        Ok(())
    }

    /// The receiver learns that its sender cannot send a file, or vouch for what there
    /// is of it.
    pub fn on_refused(&mut self, file: FileIndex) {
        self.refused.insert(file);
    }

    /// A side says that the transfer is complete. Only a receiver may say so again,
    /// and what failed before may go well then, but not the reverse, unless the sender
    /// could not read its source again (`RS-COMPLETE-AGAIN`).
    pub fn complete(
        &mut self,
        side: Side,
        is_sender: bool,
        completion: Completion,
        met: &mut Met,
    ) -> Result<(), Broken> {
        let before = self.completed[side.place()].replace(completion);
        self.over |= is_sender;
        let Some(before) = before else { return Ok(()) };
        met.insert(Sometimes::ReceiptAgain);
        let is_same_source = self.versions.len() <= 1;
        let refused = u32::try_from(self.refused.len()).unwrap_or(u32::MAX);
        let delivered = completion.delivered.saturating_add(refused);
        if is_sender || (is_same_source && delivered < before.delivered) {
            let detail = format!("{side:?}: {completion:?} after {before:?}");
            return broken("a transfer is complete once", detail);
        }
        Ok(())
    }
}
