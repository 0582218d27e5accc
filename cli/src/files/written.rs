//! Notes of the chunks that were written and that the journal may not know yet
//! (`RS-WRITTEN`). They are never made durable and nothing in them is believed:
//! what they say is read back and hashed by whoever goes on ([`super::sink`]).
//!
//! There are two files, of which one takes the notes. With each sync of the protocol
//! the other one is emptied and takes the next: a write that was carried out before a
//! sync, but whose reply the protocol had not seen by then, is in the journal only
//! with the sync after that.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};

use cap_fs_ext::{FollowSymlinks, OpenOptionsFollowExt};
use cap_std::fs::{Dir, OpenOptions};
use sha2::{Digest as _, Sha256};

use crate::journal::received::EntryDigest;

/// How the files are called; those of entries have hexadecimal digits only.
pub(super) const NAMES: [&str; 2] = ["written-0", "written-1"];
/// A note: entry, offset, length, leaf and check.
const NOTE: usize = 32 + 8 + 4 + 32 + CHECK;
const CHECK: usize = 4;
/// Most notes that are read from one file, of those that came last.
const MAX_NOTES: usize = 1 << 14;

/// One chunk that was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Note {
    pub(super) entry: EntryDigest,
    pub(super) offset: u64,
    pub(super) len: u32,
    pub(super) leaf: [u8; 32],
}

impl Note {
    fn encode(&self) -> [u8; NOTE] {
        let mut bytes = [0; NOTE];
        bytes[..32].copy_from_slice(&self.entry);
        bytes[32..40].copy_from_slice(&self.offset.to_le_bytes());
        bytes[40..44].copy_from_slice(&self.len.to_le_bytes());
        bytes[44..76].copy_from_slice(&self.leaf);
        let check = Sha256::digest(&bytes[..NOTE - CHECK]);
        bytes[NOTE - CHECK..].copy_from_slice(&check[..CHECK]);
        bytes
    }

    /// None if it is torn or altered.
    fn decode(bytes: &[u8]) -> Option<Self> {
        let (entry, rest) = bytes.split_first_chunk()?;
        let (offset, rest) = rest.split_first_chunk()?;
        let (len, rest) = rest.split_first_chunk()?;
        let leaf = *rest.first_chunk()?;
        let (offset, len) = (u64::from_le_bytes(*offset), u32::from_le_bytes(*len));
        let note = Self { entry: *entry, offset, len, leaf };
        (note.encode() == bytes).then_some(note)
    }
}

/// The two files, open.
#[derive(Debug)]
pub(super) struct Written {
    files: [File; 2],
    /// Which takes the notes.
    current: usize,
}

impl Written {
    /// Opens the files in `dir`, which are made if they are missing.
    pub(super) fn open(dir: &Dir) -> io::Result<Self> {
        let [one, other] = NAMES.map(|name| {
            let mut options = OpenOptions::new();
            // SC-NO-FOLLOW
            options.read(true).append(true).create(true).follow(FollowSymlinks::No);
            dir.open_with(name, &options).map(cap_std::fs::File::into_std)
        });
        Ok(Self { files: [one?, other?], current: 0 })
    }

    /// Notes a chunk whose bytes are written.
    pub(super) fn note(&mut self, note: &Note) -> io::Result<()> {
        self.files[self.current].write_all(&note.encode())
    }

    /// A sync is done: what was noted before the sync before it is in the journal.
    pub(super) fn synced(&mut self) -> io::Result<()> {
        let other = 1 - self.current;
        self.files[other].set_len(0)?;
        self.current = other;
        Ok(())
    }

    /// What the files hold, in no order. A note that is damaged is left out.
    pub(super) fn read(&mut self) -> io::Result<Vec<Note>> {
        let mut notes = Vec::new();
        for file in &mut self.files {
            let whole = file.metadata()?.len() / NOTE as u64;
            let first = whole.saturating_sub(MAX_NOTES as u64);
            file.seek(SeekFrom::Start(first * NOTE as u64))?;
            let mut bytes = Vec::new();
            file.take((MAX_NOTES * NOTE) as u64).read_to_end(&mut bytes)?;
            notes.extend(bytes.chunks_exact(NOTE).filter_map(Note::decode));
            // A torn note must not shift those that follow it.
            file.set_len(whole * NOTE as u64)?;
        }
        Ok(notes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cap_std::ambient_authority;

    fn note(offset: u64) -> Note {
        Note { entry: [3; 32], offset, len: 7, leaf: [9; 32] }
    }

    fn offsets(dir: &Dir) -> Vec<u64> {
        let notes = Written::open(dir).unwrap().read().unwrap();
        let mut offsets: Vec<u64> = notes.iter().map(|note| note.offset).collect();
        offsets.sort_unstable();
        offsets
    }

    #[test]
    fn notes_stay_until_the_second_sync() {
        let temp = tempfile::tempdir().unwrap();
        let dir = Dir::open_ambient_dir(temp.path(), ambient_authority()).unwrap();
        let mut written = Written::open(&dir).unwrap();
        written.note(&note(1)).unwrap();
        written.synced().unwrap();
        written.note(&note(2)).unwrap();
        assert_eq!(offsets(&dir), [1, 2]);
        written.synced().unwrap();
        assert_eq!(offsets(&dir), [2]);
        written.synced().unwrap();
        assert!(offsets(&dir).is_empty());
    }

    #[test]
    fn what_is_torn_or_altered_is_left_out_and_shifts_nothing() {
        let temp = tempfile::tempdir().unwrap();
        let dir = Dir::open_ambient_dir(temp.path(), ambient_authority()).unwrap();
        let mut written = Written::open(&dir).unwrap();
        for offset in 1..=3 {
            written.note(&note(offset)).unwrap();
        }
        drop(written);
        let path = temp.path().join(NAMES[0]);
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[NOTE + 33] ^= 1;
        bytes.truncate(3 * NOTE - 1);
        std::fs::write(&path, bytes).unwrap();
        let mut written = Written::open(&dir).unwrap();
        assert_eq!(written.read().unwrap(), [note(1)]);
        written.note(&note(4)).unwrap();
        assert_eq!(offsets(&dir), [1, 4]);
    }
}
