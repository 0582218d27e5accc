//! Sinks that go on where an earlier one ended, in real directories: what is
//! found again, what is not, and what is never touched. An end of the process is
//! played by dropping a sink without a word.

use std::fs;

use passel_proto::ids::FileIndex;
use passel_proto::storage::{JournalEntry, StorageErrorKind};
use tempfile::TempDir;

use super::*;
use crate::files::sink::tests::{directory, file, manifest, names, stream};
use crate::journal::StateDir;
use crate::journal::secrets::{Kept, tests::session};

const TOKEN: [u8; 16] = [7; 16];

struct Disk {
    _temp: TempDir,
    state: StateDir,
    out: std::path::PathBuf,
}

impl Disk {
    fn new() -> Self {
        let temp = tempfile::tempdir().unwrap();
        let state = StateDir::at(temp.path().join("state")).unwrap();
        let out = temp.path().join("out");
        fs::create_dir(&out).unwrap();
        Self { _temp: temp, state, out }
    }

    /// The first session.
    fn begin(&self, manifest: &Arc<Manifest>) -> Sink {
        let mut sink = Sink::create_for(&self.out, Arc::clone(manifest), TOKEN).unwrap();
        let transfer = Transfer {
            token: TOKEN,
            server: String::new(),
            kept: Kept::first(&session(1)),
            out: self.out.clone(),
            invitation: [0; 32],
            note: String::new(),
            selection: None,
            manifest: manifest.digest(),
            tops: sink.tops(),
            title: String::new(),
            files: manifest.files(),
            bytes: manifest.total_bytes(),
            created: 0,
            completed: None,
        };
        sink.keep(Arc::new(Journal::create(&self.state, &transfer).unwrap()));
        sink
    }

    /// A later one, with what it finds.
    fn again(&self, manifest: &Arc<Manifest>) -> (Sink, Vec<Have>) {
        let (journal, transfer) = Journal::open(&self.state, TOKEN).unwrap().unwrap();
        Sink::resume(Arc::clone(manifest), Arc::new(journal), &transfer).unwrap()
    }

    fn names(&self) -> Vec<String> {
        names(&self.out)
    }

    fn hidden(&self) -> std::path::PathBuf {
        self.out.join(temporary_name(TOKEN))
    }
}

fn entry(index: u32, state: &[u8]) -> JournalEntry {
    JournalEntry { file: FileIndex(index), state: state.to_vec() }
}

fn partial(index: u32, state: &[u8]) -> Have {
    Have { file: FileIndex(index), state: HaveState::Partial(state.to_vec()) }
}

fn stored(index: u32) -> Have {
    Have { file: FileIndex(index), state: HaveState::Stored }
}

#[test]
fn what_was_durable_is_found_and_finished() {
    // RS-JOURNAL, RS-KEEP, RS-STORED-CHECK
    let disk = Disk::new();
    let offer = manifest(&[file("a", 4), file("b", 4), file("c", 4)]);
    let mut sink = disk.begin(&offer);
    sink.write(FileIndex(0), 0, b"aaaa").unwrap();
    sink.write(FileIndex(1), 0, b"bb").unwrap();
    sink.sync(vec![entry(0, b"old"), entry(1, b"half")]).unwrap();
    sink.commit(FileIndex(0), 4, Some([1; 32])).unwrap();
    sink.sync(vec![]).unwrap();
    sink.write(FileIndex(2), 0, b"cc").unwrap(); // never synced
    drop(sink);

    let (mut sink, have) = disk.again(&offer);
    assert_eq!(have, [stored(0), partial(1, b"half")]);
    assert!(sink.check(FileIndex(0), 4, &[1; 32]).is_ok());
    for (size, root) in [(5, [1; 32]), (4, [2; 32])] {
        let error = sink.check(FileIndex(0), size, &root).unwrap_err();
        assert_eq!(error.kind, StorageErrorKind::Changed);
    }
    assert!(sink.check(FileIndex(1), 4, &[1; 32]).is_err());
    let mut buf = Vec::new();
    sink.read(FileIndex(1), 1, 1, &mut buf).unwrap();
    assert_eq!(buf, b"b");
    sink.write(FileIndex(1), 2, b"bb").unwrap();
    sink.write(FileIndex(2), 0, b"cccc").unwrap();
    sink.sync(vec![entry(1, b"whole"), entry(2, b"whole")]).unwrap();
    sink.commit(FileIndex(1), 4, Some([2; 32])).unwrap();
    sink.commit(FileIndex(2), 4, Some([3; 32])).unwrap();
    sink.sync(vec![]).unwrap();
    sink.release(true).unwrap();
    drop(sink);
    assert_eq!(disk.names(), ["a", "b", "c"]);
    assert_eq!(fs::read(disk.out.join("b")).unwrap(), b"bbbb");

    // RS-COMPLETE-AGAIN: the sender may not have heard of it.
    let (_, transfer) = Journal::open(&disk.state, TOKEN).unwrap().unwrap();
    assert!(transfer.completed.is_some());
    let (_, have) = disk.again(&offer);
    assert_eq!(have, [stored(0), stored(1), stored(2)]);
}

#[test]
fn a_lost_connection_keeps_and_a_cancel_removes() {
    // RS-KEEP
    let disk = Disk::new();
    let offer = manifest(&[file("a", 4)]);
    let mut sink = disk.begin(&offer);
    sink.write(FileIndex(0), 0, b"aa").unwrap();
    sink.sync(vec![entry(0, b"half")]).unwrap();
    sink.release(false).unwrap();
    drop(sink);
    let (mut sink, have) = disk.again(&offer);
    assert_eq!(have, [partial(0, b"half")]);
    sink.discard(Some(FileIndex(0))).unwrap();
    sink.sync(vec![]).unwrap();
    sink.release(false).unwrap();
    drop(sink);
    let (mut sink, have) = disk.again(&offer);
    assert_eq!(have, []);
    sink.discard(None).unwrap();
    drop(sink);
    assert!(disk.names().is_empty(), "{:?}", disk.names());
    assert!(Journal::open(&disk.state, TOKEN).unwrap().is_none());
}

#[test]
fn a_crash_between_the_name_and_the_journal_costs_nothing() {
    let disk = Disk::new();
    let offer = manifest(&[directory("d"), file("d/a", 4)]);
    let mut sink = disk.begin(&offer);
    sink.write(FileIndex(1), 0, b"aaaa").unwrap();
    sink.sync(vec![entry(1, b"whole")]).unwrap();
    sink.commit(FileIndex(1), 4, Some([1; 32])).unwrap();
    assert!(disk.out.join("d/a").exists());
    drop(sink);
    let (mut sink, have) = disk.again(&offer);
    assert_eq!(have, [partial(1, b"whole")]);
    sink.commit(FileIndex(1), 4, Some([1; 32])).unwrap();
    sink.commit(FileIndex(0), 0, None).unwrap();
    sink.sync(vec![]).unwrap();
    sink.release(true).unwrap();
    drop(sink);
    assert_eq!(disk.names(), ["d"], "it is the directory of the first session");
    assert_eq!(fs::read(disk.out.join("d/a")).unwrap(), b"aaaa");
}

#[test]
fn a_name_that_is_taken_by_the_same_content_is_no_conflict_and_by_another_it_is() {
    // SC-NO-OVERWRITE
    let disk = Disk::new();
    let offer = manifest(&[file("a", 4), file("empty", 0), file("other", 4)]);
    let mut sink = disk.begin(&offer);
    sink.write(FileIndex(0), 0, b"aaaa").unwrap();
    sink.commit(FileIndex(0), 4, Some([1; 32])).unwrap();
    sink.commit(FileIndex(1), 0, Some([2; 32])).unwrap();
    drop(sink); // neither is known to the journal
    fs::write(disk.out.join("other"), b"mine").unwrap();
    let (mut sink, have) = disk.again(&offer);
    assert_eq!(have, []);
    sink.write(FileIndex(0), 0, b"aaaa").unwrap();
    sink.write(FileIndex(2), 0, b"else").unwrap();
    sink.commit(FileIndex(0), 4, Some([1; 32])).unwrap();
    sink.commit(FileIndex(1), 0, Some([2; 32])).unwrap();
    let conflict = sink.commit(FileIndex(2), 4, Some([3; 32])).unwrap_err();
    assert_eq!(conflict.kind, StorageErrorKind::NameConflict);
    sink.sync(vec![]).unwrap();
    assert!(sink.check(FileIndex(0), 4, &[1; 32]).is_ok());
    sink.release(true).unwrap();
    assert_eq!(fs::read(disk.out.join("other")).unwrap(), b"mine");
    assert_eq!(disk.names(), ["a", "empty", "other"]);
}

#[cfg(unix)]
#[test]
fn files_that_are_gone_or_were_replaced_are_not_there() {
    let disk = Disk::new();
    let offer = manifest(&[file("done", 4), file("gone", 4), file("kept", 4), file("new", 4)]);
    let mut sink = disk.begin(&offer);
    for index in 0..4 {
        sink.write(FileIndex(index), 0, b"abcd").unwrap();
    }
    sink.sync((0..4).map(|index| entry(index, b"whole")).collect()).unwrap();
    for index in [0, 2] {
        sink.commit(FileIndex(index), 4, Some([1; 32])).unwrap();
    }
    sink.sync(vec![]).unwrap();
    drop(sink);
    let place = |name: &str| {
        let index = offer.iter().find(|(_, e)| e.path.as_str() == name).unwrap().0;
        let digest = offer.entry_digest(index).unwrap();
        let digits: String = digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        disk.hidden().join(digits)
    };
    fs::remove_file(place("gone")).unwrap();
    for path in [place("new"), disk.out.join("done")] {
        fs::write(path.with_extension("x"), b"abcd").unwrap();
        fs::rename(path.with_extension("x"), path).unwrap();
    }
    let (sink, have) = disk.again(&offer);
    assert_eq!(have, [stored(2)]);
    drop(sink);
    assert_eq!(disk.again(&offer).1, [stored(2)], "the others are forgotten for good");

    fs::remove_dir_all(disk.hidden()).unwrap();
    std::os::unix::fs::symlink("/tmp", disk.hidden()).unwrap();
    let (journal, transfer) = Journal::open(&disk.state, TOKEN).unwrap().unwrap();
    let resumed = Sink::resume(offer, Arc::new(journal), &transfer);
    assert!(resumed.is_err(), "no link is followed");
}

#[test]
fn an_offer_that_changed_goes_on_with_the_entries_that_did_not() {
    // RS-SAME-ENTRY
    let disk = Disk::new();
    fs::create_dir(disk.out.join("d")).unwrap(); // somebody else's
    let first = manifest(&[directory("d"), file("d/a", 4), file("d/b", 4), file("top", 4)]);
    let mut sink = disk.begin(&first);
    for index in 1..4 {
        sink.write(FileIndex(index), 0, b"ab").unwrap();
    }
    sink.sync((1..4).map(|index| entry(index, &[u8::try_from(index).unwrap()])).collect()).unwrap();
    sink.write(FileIndex(1), 2, b"ab").unwrap();
    sink.sync(vec![entry(1, b"whole")]).unwrap();
    sink.commit(FileIndex(1), 4, Some([1; 32])).unwrap();
    sink.sync(vec![]).unwrap();
    assert_eq!(sink.renamed().get("d").map(String::as_str), Some("d (1)"));
    drop(sink);
    // `d/b` grew, `c` came, and the numbers are others.
    let second =
        manifest(&[file("c", 4), directory("d"), file("d/a", 4), file("d/b", 5), file("top", 4)]);
    let (mut sink, have) = disk.again(&second);
    assert_eq!(have, [stored(2), partial(4, &[3])]);
    sink.write(FileIndex(4), 2, b"ab").unwrap();
    sink.commit(FileIndex(4), 4, Some([4; 32])).unwrap();
    sink.write(FileIndex(3), 0, b"abcde").unwrap();
    sink.commit(FileIndex(3), 5, Some([5; 32])).unwrap();
    sink.commit(FileIndex(1), 0, None).unwrap();
    sink.release(true).unwrap();
    drop(sink);
    assert_eq!(disk.names(), ["d", "d (1)", "top"]);
    assert_eq!(names(&disk.out.join("d (1)")), ["a", "b"]);
    assert!(names(&disk.out.join("d")).is_empty());
    assert_eq!(fs::read(disk.out.join("top")).unwrap(), b"abab");
}

#[test]
fn a_stream_that_an_earlier_session_stored_counts_in_all_that_follow() {
    let disk = Disk::new();
    let offer = manifest(&[stream("a"), stream("b")]);
    let mut sink = disk.begin(&offer);
    sink.write(FileIndex(0), 0, b"abcdef").unwrap();
    sink.commit(FileIndex(0), 6, Some([1; 32])).unwrap();
    sink.write(FileIndex(1), 0, b"gone with its session").unwrap();
    sink.release(false).unwrap();
    drop(sink);
    for _ in 0..2 {
        let (sink, have) = disk.again(&offer);
        assert_eq!(have, [], "a stream comes again");
        let mut sink = sink.screened(Screen { max_unknown: Some(10), ..Screen::default() });
        sink.write(FileIndex(0), 0, b"abcdef").unwrap();
        sink.write(FileIndex(1), 0, b"abcd").unwrap();
        let error = sink.write(FileIndex(1), 4, b"e").unwrap_err();
        assert_eq!(error.kind, StorageErrorKind::Refused);
        sink.discard(Some(FileIndex(0))).unwrap();
        assert!(sink.write(FileIndex(1), 4, b"e").is_err(), "what has its name stays");
        sink.release(false).unwrap();
    }
    assert_eq!(fs::read(disk.out.join("a")).unwrap(), b"abcdef");
}

fn written(index: u32, state: &[u8], places: &[u64]) -> Have {
    let chunk = |&place: &u64| WrittenChunk {
        offset: place * NOTED as u64,
        len: u32::try_from(NOTED).unwrap(),
        leaf: leaf_hash(&chunk()),
    };
    let chunks = places.iter().map(chunk).collect();
    Have { file: FileIndex(index), state: HaveState::Written { state: state.to_vec(), chunks } }
}

fn chunk() -> Vec<u8> {
    b"ab".repeat(NOTED / 2)
}

fn write(sink: &mut Sink, index: u32, place: u64) {
    sink.write(FileIndex(index), place * NOTED as u64, &chunk()).unwrap();
    sink.note_written(FileIndex(index), place * NOTED as u64, NOTED, leaf_hash(&chunk()));
}

#[test]
fn what_was_written_and_not_made_durable_is_found_if_it_is_what_was_noted() {
    // RS-WRITTEN
    let disk = Disk::new();
    let offer = manifest(&[file("a", 4 * NOTED), file("b", 2 * NOTED), file("c", 2 * NOTED)]);
    let mut sink = disk.begin(&offer);
    write(&mut sink, 0, 0);
    sink.sync(vec![]).unwrap(); // asked for before the write was known
    write(&mut sink, 0, 1);
    write(&mut sink, 1, 0);
    write(&mut sink, 2, 0);
    drop(sink);
    let (mut sink, have) = disk.again(&offer);
    assert_eq!(have, [written(0, b"", &[0, 1]), written(1, b"", &[0]), written(2, b"", &[0])]);
    sink.release(false).unwrap(); // which makes it durable, and the journal says nothing
    drop(sink);

    // Bytes that are altered, or cut off, count for nothing.
    let path = |index: u32| {
        let digest = offer.entry_digest(FileIndex(index)).unwrap();
        let name: String = digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        disk.hidden().join(name)
    };
    fs::write(path(1), [b"x", &chunk()[1..]].concat()).unwrap();
    fs::write(path(2), b"a").unwrap();
    let (mut sink, have) = disk.again(&offer);
    assert_eq!(have, [written(0, b"", &[0, 1])]);
    sink.sync(vec![entry(0, b"two")]).unwrap();
    drop(sink);
    let (mut sink, have) = disk.again(&offer);
    assert_eq!(have, [written(0, b"two", &[0])], "notes stay until the second sync");
    for _ in 0..2 {
        sink.sync(vec![entry(0, b"two")]).unwrap();
    }
    drop(sink);
    assert_eq!(disk.again(&offer).1, [partial(0, b"two")]);
}

#[test]
fn notes_of_an_entry_that_changed_are_of_no_use() {
    // RS-SAME-ENTRY
    let disk = Disk::new();
    let mut sink = disk.begin(&manifest(&[file("a", 2 * NOTED), file("b", 2 * NOTED)]));
    write(&mut sink, 0, 0);
    write(&mut sink, 1, 0);
    drop(sink);
    let (_, have) = disk.again(&manifest(&[file("a", 3 * NOTED), file("b", 2 * NOTED)]));
    assert_eq!(have, [written(1, b"", &[0])]);
}

#[test]
fn a_short_chunk_is_not_noted() {
    let disk = Disk::new();
    let offer = manifest(&[file("a", 2)]);
    let mut sink = disk.begin(&offer);
    sink.write(FileIndex(0), 0, b"ab").unwrap();
    sink.note_written(FileIndex(0), 0, 2, leaf_hash(b"ab"));
    drop(sink);
    assert_eq!(disk.again(&offer).1, []);
}
