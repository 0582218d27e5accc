//! What a disk keeps of a transfer beyond one connection: the journal, files
//! without a final name, and files with one, all by the transfer's token and the
//! digest of their entry. A record of a file that has its name is written before
//! the name is given, with the inode, so that a crash in between is seen.

use std::collections::BTreeMap;

use passel_proto::ids::{FileIndex, Token, TransferId};
use passel_proto::storage::{Have, HaveState, JournalEntry, WrittenChunk};
use passel_proto::tree::leaf_hash;

use super::{Disk, Final, Part, Place};
use crate::plan::Planted;

/// Digest of an entry.
pub type Digest = [u8; 32];
/// An entry of a transfer, beyond one connection.
pub(super) type Key = (Token, Digest);

/// What a journal says of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// It is under way.
    Partial {
        /// What the protocol wants to be given back.
        state: Vec<u8>,
        /// The file in which its bytes lie.
        inode: u64,
    },
    /// It has its final name, or is about to get it.
    Stored {
        /// Its length.
        size: u64,
        /// Its root.
        root: [u8; 32],
        /// The file itself.
        inode: u64,
    },
}

/// That a chunk was written.
#[derive(Clone, Copy, Debug)]
struct Note {
    len: u32,
    leaf: [u8; 32],
    /// Syncs of its transfer that were carried out since.
    syncs: u8,
}

/// What is kept while no connection asks for it.
#[derive(Debug, Default)]
pub struct Kept {
    /// The journal; what is in it is durable.
    pub journal: BTreeMap<Key, Record>,
    /// Files without a final name.
    pub parts: BTreeMap<Key, Part>,
    /// Files with their final names.
    pub finals: BTreeMap<Key, Final>,
    /// Files that had their names under an entry that is another one now, or whose
    /// source is. They stay, and nothing more is said of them.
    pub former: u64,
    /// Chunks that were written, by where they begin; no more than notes, which may be
    /// there after a loss of power or not.
    notes: BTreeMap<Key, BTreeMap<u64, Note>>,
    /// What the journal held before its newest entries, for a planted bug.
    before: BTreeMap<Key, Option<Record>>,
    /// The newest entries of each transfer, for a planted bug.
    last: BTreeMap<Token, Vec<Digest>>,
    /// What each transfer of the connection is.
    open: BTreeMap<TransferId, (Token, Vec<Digest>)>,
}

impl Kept {
    fn key(&self, (id, file): Place) -> Option<Key> {
        let (token, entries) = self.open.get(&id)?;
        Some((*token, *entries.get(file.0 as usize)?))
    }

    /// Whether a note says that so much was written there.
    pub(super) fn is_noted(&self, place: Place, offset: u64, len: usize) -> bool {
        let notes = self.key(place).and_then(|key| self.notes.get(&key));
        let note = notes.and_then(|notes| notes.get(&offset));
        note.is_some_and(|note| note.len as usize == len)
    }

    fn note(&mut self, key: Key, record: Option<Record>) {
        let before = match record {
            Some(record) => self.journal.insert(key, record),
            None => self.journal.remove(&key),
        };
        self.before.insert(key, before);
    }

    /// A planted bug: what there is of other entries in the same places is taken for
    /// that of these.
    fn take_for_same(&mut self, token: Token, entries: &[Digest]) {
        let before = self.last.insert(token, entries.to_vec()).unwrap_or_default();
        for (was, is) in before.into_iter().zip(entries).filter(|(was, is)| was != *is) {
            let (was, is) = ((token, was), (token, *is));
            self.journal.remove(&was).map(|record| self.journal.insert(is, record));
            self.parts.remove(&was).map(|part| self.parts.insert(is, part));
            self.finals.remove(&was).map(|named| self.finals.insert(is, named));
        }
    }

    /// The newest entries never were.
    pub(super) fn lose_newest(&mut self) {
        for (key, before) in std::mem::take(&mut self.before) {
            match before {
                Some(record) => self.journal.insert(key, record),
                None => self.journal.remove(&key),
            };
        }
    }

    /// Brings journal and files into line after whatever happened: a name that was
    /// about to be given is given, and what nobody knows of is removed.
    fn recover(&mut self) {
        let Self { journal, parts, finals, notes, .. } = self;
        journal.retain(|key, record| match record {
            Record::Partial { inode, .. } => {
                parts.get(key).is_some_and(|part| part.inode == *inode)
            }
            Record::Stored { inode, .. } => {
                if finals.get(key).is_some_and(|named| named.inode == *inode) {
                    return true;
                }
                let Some(part) = parts.remove(key).filter(|part| part.inode == *inode) else {
                    return false;
                };
                let named = Final { bytes: part.bytes, durable: true, inode: *inode };
                finals.insert(*key, named);
                true
            }
        });
        notes.retain(|key, notes| parts.contains_key(key) && !notes.is_empty());
        parts.retain(|key, _| journal.contains_key(key) || notes.contains_key(key));
    }
}

impl Disk {
    /// A transfer is accepted whose entries have these digests: what there is of
    /// it belongs to `id` from now on.
    pub fn begin(
        &mut self,
        id: TransferId,
        token: Token,
        entries: Vec<Digest>,
        is_wanted: impl Fn(FileIndex) -> bool,
    ) -> Vec<Have> {
        if self.is_planted(Planted::JournalStale) {
            self.kept.take_for_same(token, &entries);
        }
        let mut have = Vec::new();
        for (place, entry) in entries.iter().enumerate() {
            let (key, file) = ((token, *entry), FileIndex(u32::try_from(place).unwrap_or(0)));
            if !is_wanted(file) {
                continue;
            }
            if let Some(part) = self.kept.parts.remove(&key) {
                self.parts.insert((id, file), part);
            }
            if let Some(named) = self.kept.finals.remove(&key) {
                self.finals.insert((id, file), named);
            }
            let chunks = self.found(key, (id, file));
            let state = match (self.kept.journal.get(&key), chunks) {
                (Some(Record::Stored { .. }), _) => HaveState::Stored,
                (None, chunks) if chunks.is_empty() => {
                    self.parts.remove(&(id, file)); // Nothing in it is known.
                    continue;
                }
                (None, chunks) => HaveState::Written { state: Vec::new(), chunks },
                (Some(Record::Partial { state, .. }), chunks) if chunks.is_empty() => {
                    HaveState::Partial(state.clone())
                }
                (Some(Record::Partial { state, .. }), chunks) => {
                    HaveState::Written { state: state.clone(), chunks }
                }
            };
            have.push(Have { file, state });
        }
        self.kept.open.insert(id, (token, entries));
        have
    }

    /// Chunks of a file that are noted as written and have their leaves. The next sync
    /// sees to them (`RS-WRITTEN`).
    fn found(&mut self, key: Key, place: Place) -> Vec<WrittenChunk> {
        let believed = self.is_planted(Planted::NotesBelieved);
        let forgotten = self.is_planted(Planted::WrittenNotSynced);
        let Some(notes) = self.kept.notes.get_mut(&key) else { return Vec::new() };
        let Some(part) = self.parts.get_mut(&place) else { return Vec::new() };
        let is_there = |offset: u64, note: &Note| {
            let from = usize::try_from(offset).unwrap_or(usize::MAX);
            let bytes = part.bytes.get(from..from.saturating_add(note.len as usize));
            bytes.is_some_and(|bytes| believed || leaf_hash(bytes) == note.leaf)
        };
        notes.retain(|offset, note| is_there(*offset, note));
        let mut chunks = Vec::new();
        for (&offset, &Note { len, leaf, .. }) in notes.iter() {
            chunks.push(WrittenChunk { offset, len, leaf });
            let range = (usize::try_from(offset).unwrap_or(0), len as usize);
            let is_known = part.unsynced.contains(&range) || part.synced.contains(&range);
            if !is_known {
                part.unsynced.push(range);
            }
            if forgotten {
                part.left_out.insert(range);
            }
        }
        chunks
    }

    pub(super) fn note_written(&mut self, place: Place, offset: u64, len: usize, leaf: [u8; 32]) {
        let note = Note { len: u32::try_from(len).unwrap_or(0), leaf, syncs: 0 };
        if let Some(key) = self.kept.key(place) {
            self.kept.notes.entry(key).or_default().insert(offset, note);
        }
    }

    /// The connection is over and nothing more is asked.
    pub fn park(&mut self) {
        for (place, part) in std::mem::take(&mut self.parts) {
            if let Some(key) = self.kept.key(place) {
                self.kept.parts.insert(key, part);
            }
        }
        for (place, named) in std::mem::take(&mut self.finals) {
            if let Some(key) = self.kept.key(place) {
                self.kept.finals.insert(key, named);
            }
        }
        self.kept.open.clear();
        self.sources.clear();
        self.free_at.clear();
        self.kept.recover();
    }

    /// What there is of a file, with its final name or without, while no connection
    /// asks for it.
    pub fn kept_bytes(&self, key: Key) -> Option<&[u8]> {
        let part = self.kept.parts.get(&key).map(|part| &part.bytes[..]);
        part.or_else(|| self.kept.finals.get(&key).map(|named| &named.bytes[..]))
    }

    pub(super) fn note_entries(&mut self, id: TransferId, entries: Vec<JournalEntry>) {
        self.kept.before.clear();
        // What was written two syncs ago is in the journal.
        let token = self.kept.open.get(&id).map(|(token, _)| *token);
        let of = self.kept.notes.iter_mut().filter(|((of, _), _)| Some(*of) == token);
        for (_, notes) in of {
            for note in notes.values_mut() {
                note.syncs += 1;
            }
            notes.retain(|_, note| note.syncs < 2);
        }
        for JournalEntry { file, state } in entries {
            let Some(key) = self.kept.key((id, file)) else { continue };
            let Some(part) = self.parts.get(&(id, file)) else { continue };
            self.kept.note(key, Some(Record::Partial { state, inode: part.inode }));
        }
    }

    /// Notes that a file is about to get its name. Its inode.
    pub(super) fn note_stored(&mut self, place: Place, size: u64, root: [u8; 32]) {
        let inode = self.part(place).inode;
        if let Some(key) = self.kept.key(place) {
            self.kept.before.clear();
            self.kept.note(key, Some(Record::Stored { size, root, inode }));
        }
    }

    /// Whether a file was stored with this size and root. One that was not is none
    /// of the transfer's any more, and stays.
    pub(super) fn check(&mut self, place: Place, size: u64, root: [u8; 32]) -> bool {
        let key = self.kept.key(place);
        let record = key.and_then(|key| self.kept.journal.get(&key));
        let is_same = match record {
            Some(Record::Stored { size: there, root: of, .. }) => (*there, *of) == (size, root),
            _ => false,
        };
        if is_same || self.is_planted(Planted::CheckAlways) {
            return true;
        }
        if self.finals.remove(&place).is_some() {
            self.kept.former += 1;
        }
        if let Some(key) = key {
            self.kept.journal.remove(&key);
        }
        false
    }

    /// Forgets what the journal says of a file, or of a whole transfer.
    pub(super) fn forget(&mut self, id: TransferId, file: Option<FileIndex>) {
        self.kept.before.clear();
        match (file, self.kept.open.get(&id)) {
            (Some(file), _) => {
                if let Some(key) = self.kept.key((id, file)) {
                    self.kept.journal.remove(&key);
                    self.kept.notes.remove(&key);
                }
            }
            (None, Some((token, _))) => {
                let token = *token;
                self.kept.journal.retain(|(of, _), _| *of != token);
                self.kept.parts.retain(|(of, _), _| *of != token);
                self.kept.notes.retain(|(of, _), _| *of != token);
            }
            (None, None) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use passel_proto::storage::{StorageReply, StorageRequest};

    use super::*;
    use crate::plan::{Plan, Side};
    use crate::rng::Draw;

    const ID: TransferId = TransferId(1);
    const FILE: FileIndex = FileIndex(0);
    const TOKEN: Token = Token([7; 16]);
    const SIZE: u64 = 8;

    fn begun() -> Disk {
        let mut disk = Disk::new(Plan::smallest(1).disk(Side::Joiner));
        assert_eq!(take_up(&mut disk, 1), []);
        disk
    }

    fn take_up(disk: &mut Disk, entry: u8) -> Vec<Have> {
        disk.begin(ID, TOKEN, vec![[entry; 32]], |_| true)
    }

    fn write() -> StorageRequest {
        StorageRequest::Write {
            transfer: ID,
            file: FILE,
            offset: 0,
            data: vec![9; 8],
            leaf: [0; 32],
        }
    }

    fn sync() -> StorageRequest {
        let journal = vec![JournalEntry { file: FILE, state: vec![5] }];
        StorageRequest::Sync { transfer: ID, journal }
    }

    fn commit() -> StorageRequest {
        StorageRequest::Commit { transfer: ID, file: FILE, size: SIZE, root: Some([3; 32]) }
    }

    fn discard() -> StorageRequest {
        StorageRequest::Discard { transfer: ID, file: None }
    }

    fn is_as_stored(disk: &mut Disk, root: u8) -> bool {
        let request =
            StorageRequest::Check { transfer: ID, file: FILE, size: SIZE, root: [root; 32] };
        matches!(disk.carry_out(request).0, Some(StorageReply::Checked { result: Ok(()), .. }))
    }

    /// The process dies in the midst of `last`, after it did all of `done`.
    fn crashed(done: Vec<StorageRequest>, last: StorageRequest, seed: u64) -> Disk {
        let mut disk = begun();
        for request in done {
            disk.carry_out(request);
        }
        disk.begin_request(last, &mut Draw::new(seed, "midst"));
        disk.crash(&mut Draw::new(seed, "crash"));
        disk.park();
        disk
    }

    #[test]
    fn what_was_synced_is_given_back_for_the_same_entry_alone() {
        let partial = [Have { file: FILE, state: HaveState::Partial(vec![5]) }];
        let disk = || crashed(vec![write(), sync()], write(), 1);
        assert_eq!(take_up(&mut disk(), 1), partial);
        assert_eq!(take_up(&mut disk(), 2), []);
    }

    #[test]
    fn a_journal_speaks_of_nothing_that_a_crash_lost() {
        for seed in 0..20 {
            assert_eq!(take_up(&mut crashed(vec![], write(), seed), 1), []);
            assert_eq!(take_up(&mut crashed(vec![write()], sync(), seed), 1), []);
            assert_eq!(take_up(&mut crashed(vec![write(), sync()], discard(), seed), 1), []);
        }
    }

    #[test]
    fn a_file_that_was_about_to_get_its_name_has_it_after_a_crash() {
        let stored = [Have { file: FILE, state: HaveState::Stored }];
        for seed in 0..20 {
            for done in [vec![write(), sync()], vec![write(), sync(), commit()]] {
                let last = if done.len() == 2 { commit() } else { write() };
                let mut disk = crashed(done, last, seed);
                assert_eq!(take_up(&mut disk, 1), stored);
                assert_eq!(disk.finals[&(ID, FILE)].bytes, [9; 8]);
                assert!(is_as_stored(&mut disk, 3));
            }
        }
    }

    #[test]
    fn a_file_that_is_another_one_stays_and_is_none_of_the_transfers() {
        let mut disk = crashed(vec![write(), sync(), commit(), sync()], write(), 1);
        take_up(&mut disk, 1);
        assert!(!is_as_stored(&mut disk, 4));
        assert_eq!((disk.finals.len(), disk.kept.former), (0, 1));
        assert!(!is_as_stored(&mut disk, 3), "nothing is known of it any more");
    }
}
