//! What a sink writes, and above all what it never touches, in real directories.

use super::*;
use passel_proto::manifest::ManifestBuilder;
use passel_proto::path::SafePath;
use passel_proto::storage::StorageErrorKind;
use std::fs;
use tempfile::TempDir;

pub(super) fn file(path: &str, size: usize) -> Entry {
    let kind =
        EntryKind::File { size: Some(size as u64), executable: false, mime: None, root: None };
    Entry { path: SafePath::parse(path).unwrap(), kind, modified: None }
}

/// A file whose size is not known.
pub(super) fn stream(path: &str) -> Entry {
    let kind = EntryKind::File { size: None, executable: false, mime: None, root: None };
    Entry { kind, ..file(path, 0) }
}

pub(super) fn directory(path: &str) -> Entry {
    let path = SafePath::parse(path).unwrap();
    Entry { path, kind: EntryKind::Directory, modified: None }
}

pub(super) fn manifest(entries: &[Entry]) -> Arc<Manifest> {
    let mut builder = ManifestBuilder::new();
    for entry in entries {
        builder.push(entry).unwrap();
    }
    Arc::new(builder.finish().unwrap())
}

fn sink(out: &TempDir, entries: &[Entry]) -> Sink {
    Sink::create(out.path(), manifest(entries)).unwrap()
}

/// Writes and commits a file.
fn put(sink: &mut Sink, index: u32, data: &[u8]) -> Result<(), StorageError> {
    sink.write(FileIndex(index), 0, data)?;
    sink.commit(FileIndex(index), data.len() as u64, None)
}

pub(super) fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn nothing_is_visible_before_its_commit_and_nothing_temporary_after_the_end() {
    let out = tempfile::tempdir().unwrap();
    let mut sink = sink(&out, &[file("a", 4), file("b", 4)]);
    sink.write(FileIndex(0), 2, b"cd").unwrap();
    sink.write(FileIndex(0), 0, b"ab").unwrap();
    sink.write(FileIndex(1), 0, b"ab").unwrap();
    sink.sync(Vec::new()).unwrap();
    let during = names(out.path());
    assert!(during.len() == 1 && during[0].starts_with(".passel-"), "{during:?}");
    sink.commit(FileIndex(0), 4, None).unwrap();
    sink.discard(None).unwrap();
    assert_eq!(names(out.path()), ["a"]);
    assert_eq!(fs::read(out.path().join("a")).unwrap(), b"abcd");
    assert!(sink.write(FileIndex(1), 0, b"ab").is_err());
}

#[cfg(target_os = "linux")]
#[test]
fn zeros_take_no_disk() {
    use std::os::unix::fs::{FileExt, MetadataExt};
    const CHUNK: usize = 1 << 20;
    const CHUNKS: u64 = 1 << 10;
    let out = tempfile::tempdir().unwrap();
    let size = CHUNK as u64 * CHUNKS + 5;
    let mut sink = sink(&out, &[file("a", usize::try_from(size).unwrap())]);
    let (zeros, mut last_byte) = (vec![0; CHUNK], vec![0; CHUNK]);
    last_byte[CHUNK - 1] = 1;
    // In no order.
    for chunk in (0..CHUNKS).map(|place| place ^ 5) {
        let data = if chunk % 256 == 7 { &last_byte } else { &zeros };
        sink.write(FileIndex(0), chunk * CHUNK as u64, data).unwrap();
    }
    sink.write(FileIndex(0), CHUNK as u64 * CHUNKS, &zeros[..5]).unwrap();
    sink.sync(Vec::new()).unwrap();
    sink.commit(FileIndex(0), size, None).unwrap();
    let file = fs::File::open(out.path().join("a")).unwrap();
    let metadata = file.metadata().unwrap();
    assert_eq!(metadata.len(), size);
    assert!(metadata.blocks() * 512 <= 8 << 20, "{} blocks", metadata.blocks());
    let mut found = vec![1; CHUNK];
    for chunk in (0..CHUNKS).filter(|chunk| chunk % 64 < 8) {
        file.read_exact_at(&mut found, chunk * CHUNK as u64).unwrap();
        assert!(found == if chunk % 256 == 7 { &*last_byte } else { &*zeros }, "{chunk}");
    }
}

/// SC-HAVE-JOURNAL: what was in the file before is not taken for what came.
#[test]
fn zeros_within_what_is_written_replace_it() {
    let out = tempfile::tempdir().unwrap();
    let mut sink = sink(&out, &[file("a", 12)]);
    sink.write(FileIndex(0), 0, b"old old ").unwrap();
    sink.write(FileIndex(0), 4, &[0; 8]).unwrap();
    sink.write(FileIndex(0), 0, &[0; 2]).unwrap();
    sink.commit(FileIndex(0), 12, None).unwrap();
    assert_eq!(fs::read(out.path().join("a")).unwrap(), b"\0\0d \0\0\0\0\0\0\0\0");
}

#[test]
fn dropping_a_sink_leaves_nothing_temporary() {
    let out = tempfile::tempdir().unwrap();
    let mut sink = sink(&out, &[file("a", 4)]);
    sink.write(FileIndex(0), 0, b"ab").unwrap();
    drop(sink);
    assert!(names(out.path()).is_empty());
}

#[test]
fn one_file_can_be_discarded_and_begun_again() {
    let out = tempfile::tempdir().unwrap();
    let mut sink = sink(&out, &[file("a", 4)]);
    sink.write(FileIndex(0), 0, b"xxxx").unwrap();
    sink.discard(Some(FileIndex(0))).unwrap();
    sink.discard(Some(FileIndex(0))).unwrap();
    sink.sync(Vec::new()).unwrap();
    put(&mut sink, 0, b"ab").unwrap();
    assert_eq!(fs::read(out.path().join("a")).unwrap(), b"ab");
}

#[test]
fn a_short_file_is_not_committed() {
    let out = tempfile::tempdir().unwrap();
    let mut sink = sink(&out, &[file("a", 4)]);
    sink.write(FileIndex(0), 0, b"ab").unwrap();
    assert_eq!(sink.commit(FileIndex(0), 4, None).unwrap_err().kind, StorageErrorKind::Other);
    assert!(!out.path().join("a").exists());
    sink.discard(Some(FileIndex(0))).unwrap();
    let error = sink.commit(FileIndex(0), 4, None).unwrap_err();
    assert_eq!(error.text, "0 bytes were written of 4");
    assert!(names(&out.path().join(&names(out.path())[0])).is_empty());
}

#[test]
fn a_write_beyond_the_end_is_refused() {
    let out = tempfile::tempdir().unwrap();
    let mut sink = sink(&out, &[file("a", 4)]);
    assert!(sink.write(FileIndex(0), 3, b"xx").is_err());
    assert!(sink.write(FileIndex(0), u64::MAX, b"xx").is_err());
    assert!(sink.write(FileIndex(1), 0, b"xx").is_err());
}

#[test]
fn streams_are_refused_where_they_grow_above_the_total_together() {
    let out = tempfile::tempdir().unwrap();
    let screen = Screen { max_unknown: Some(10), ..Screen::default() };
    let entries = [file("a", 100), stream("b"), stream("c")];
    let mut sink = sink(&out, &entries).screened(screen);
    sink.write(FileIndex(1), 0, b"abcdef").unwrap();
    sink.write(FileIndex(1), 2, b"cd").unwrap(); // again, and counts once
    sink.write(FileIndex(2), 0, b"abcd").unwrap();
    let error = sink.write(FileIndex(2), 4, b"e").unwrap_err();
    assert_eq!(error.kind, StorageErrorKind::Refused);
    // Those of known size were counted before.
    put(&mut sink, 0, &[b'x'; 100]).unwrap();
    // What is given up makes room.
    sink.discard(Some(FileIndex(2))).unwrap();
    sink.write(FileIndex(1), 6, b"ghij").unwrap();
    let error = sink.write(FileIndex(1), 10, b"k").unwrap_err();
    assert_eq!(error.kind, StorageErrorKind::Refused);
}

// SC-NO-OVERWRITE
#[test]
fn names_that_are_taken_get_a_number_for_the_whole_entry() {
    let out = tempfile::tempdir().unwrap();
    fs::create_dir(out.path().join("d")).unwrap();
    fs::write(out.path().join("d/old"), b"old").unwrap();
    fs::write(out.path().join("f.txt"), b"old").unwrap();
    let entries = [
        directory("d"),
        file("d/new", 1),
        file("d/old", 1),
        file("f (1).txt", 1),
        file("f.txt", 1),
    ];
    let mut sink = sink(&out, &entries);
    let renamed: Vec<_> = sink.renamed().iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
    assert_eq!(renamed, [("d", "d (1)"), ("f.txt", "f (2).txt")]);
    assert_eq!(sink.final_path(FileIndex(2)).unwrap(), out.path().join("d (1)/old"));
    for index in 1..5 {
        put(&mut sink, index, b"n").unwrap();
    }
    sink.commit(FileIndex(0), 0, None).unwrap();
    sink.discard(None).unwrap();
    assert_eq!(names(out.path()), ["d", "d (1)", "f (1).txt", "f (2).txt", "f.txt"]);
    assert_eq!(names(&out.path().join("d (1)")), ["new", "old"]);
    assert_eq!(fs::read(out.path().join("d/old")).unwrap(), b"old");
    assert_eq!(fs::read(out.path().join("f.txt")).unwrap(), b"old");
}

// SC-NO-OVERWRITE
#[test]
fn a_name_taken_during_the_transfer_is_a_conflict_and_stays_untouched() {
    let out = tempfile::tempdir().unwrap();
    let mut sink = sink(&out, &[directory("d"), file("d/x", 1), file("f", 1)]);
    fs::write(out.path().join("f"), b"theirs").unwrap();
    fs::create_dir(out.path().join("d")).unwrap();
    for index in [1, 2] {
        let error = put(&mut sink, index, b"n").unwrap_err();
        assert_eq!(error.kind, StorageErrorKind::NameConflict, "{error}");
    }
    assert_eq!(
        sink.commit(FileIndex(0), 0, None).unwrap_err().kind,
        StorageErrorKind::NameConflict
    );
    assert_eq!(fs::read(out.path().join("f")).unwrap(), b"theirs");
    assert!(names(&out.path().join("d")).is_empty());
}

// SC-NO-FOLLOW
#[cfg(unix)]
#[test]
fn links_planted_in_the_way_are_not_followed() {
    use std::os::unix::fs::symlink;
    let (out, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    // Before the transfer: even a dangling link counts as a name that is taken.
    symlink(elsewhere.path().join("missing"), out.path().join("f")).unwrap();
    symlink(elsewhere.path(), out.path().join("d")).unwrap();
    let entries =
        [directory("d"), directory("d/sub"), file("d/sub/x", 1), file("f", 1), file("g", 1)];
    let mut sink = sink(&out, &entries);
    assert_eq!(sink.renamed().len(), 2);
    put(&mut sink, 3, b"n").unwrap();
    // During it: at the top, and in a directory that the transfer has made.
    symlink(elsewhere.path().join("missing"), out.path().join("g")).unwrap();
    assert_eq!(put(&mut sink, 4, b"n").unwrap_err().kind, StorageErrorKind::NameConflict);
    sink.commit(FileIndex(0), 0, None).unwrap();
    symlink(elsewhere.path(), out.path().join("d (1)/sub")).unwrap();
    let error = put(&mut sink, 2, b"n").unwrap_err();
    assert_eq!(error.kind, StorageErrorKind::NameConflict, "{error}");
    assert!(sink.commit(FileIndex(1), 0, None).is_err());
    assert!(names(elsewhere.path()).is_empty());
}

// MF-ENTRY-MODE
#[cfg(unix)]
#[test]
fn time_and_executable_bit_are_kept_and_no_other_bit() {
    use std::os::unix::fs::PermissionsExt;
    let out = tempfile::tempdir().unwrap();
    let time = Timestamp::new(-86_400, 500_000_000);
    let kind = |executable| EntryKind::File { size: Some(1), executable, mime: None, root: None };
    let entries = [
        Entry { modified: time, ..directory("d") },
        Entry { modified: time, kind: kind(false), ..file("d/plain", 1) },
        Entry { modified: time, kind: kind(true), ..file("d/tool", 1) },
        Entry { modified: Timestamp::new(i64::MAX, 0), ..file("z", 1) },
    ];
    let mut sink = sink(&out, &entries);
    for index in 1..4 {
        put(&mut sink, index, b"n").unwrap();
    }
    sink.commit(FileIndex(0), 0, None).unwrap();
    sink.sync(Vec::new()).unwrap();
    // What the umask of this process leaves of a new file and a new program.
    let probe = out.path().join("probe");
    fs::write(&probe, b"").unwrap();
    let plain = fs::metadata(&probe).unwrap().permissions().mode();
    let metadata = |name: &str| fs::metadata(out.path().join(name)).unwrap();
    assert_eq!(metadata("d/plain").permissions().mode(), plain);
    let tool = metadata("d/tool").permissions().mode();
    assert_eq!(tool & 0o7666, plain & 0o7666);
    assert_eq!(tool & 0o7100, 0o100);
    // The umask of a directory is that of a program.
    fs::create_dir(out.path().join("probe-directory")).unwrap();
    assert_eq!(tool & 0o777, metadata("probe-directory").permissions().mode() & 0o777);
    for name in ["d", "d/plain", "d/tool"] {
        let modified = Timestamp::from_system_time(metadata(name).modified().unwrap());
        assert_eq!(Some(modified), time, "{name}");
    }
}

#[cfg(unix)]
#[test]
fn others_cannot_enter_the_temporary_directory() {
    use std::os::unix::fs::PermissionsExt;
    let out = tempfile::tempdir().unwrap();
    let _sink = sink(&out, &[file("a", 4)]);
    let name = &names(out.path())[0];
    let mode = fs::metadata(out.path().join(name)).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o700);
}

#[test]
fn more_files_than_stay_open_or_are_synced_singly_are_all_written() {
    let out = tempfile::tempdir().unwrap();
    let entries: Vec<Entry> = (0..200).map(|i| file(&format!("f{i:03}"), 8)).collect();
    let mut sink = sink(&out, &entries);
    sink.temporary.as_mut().unwrap().keep_open(4);
    for half in [0, 4] {
        for index in 0..200 {
            sink.write(FileIndex(index), half, &index.to_le_bytes()).unwrap();
        }
        sink.sync(Vec::new()).unwrap();
    }
    for index in 0..200 {
        sink.commit(FileIndex(index), 8, None).unwrap();
    }
    sink.sync(Vec::new()).unwrap();
    sink.discard(None).unwrap();
    for index in 0..200_u32 {
        let expected = [index.to_le_bytes(), index.to_le_bytes()].concat();
        assert_eq!(fs::read(out.path().join(format!("f{index:03}"))).unwrap(), expected);
    }
}

#[test]
fn the_output_directory_is_made_and_must_be_a_directory() {
    let out = tempfile::tempdir().unwrap();
    let entries = manifest(&[file("a", 1)]);
    let new = out.path().join("x/y");
    let mut made = Sink::create(&new, Arc::clone(&entries)).unwrap();
    put(&mut made, 0, b"n").unwrap();
    assert!(new.join("a").is_file());
    let error = Sink::create(&new.join("a"), entries).unwrap_err();
    assert_eq!(error.kind, StorageErrorKind::NameConflict, "{error}");
}

/// A tar archive of one small file, made by hand after POSIX ustar.
fn tar(name: &str, content: &[u8]) -> Vec<u8> {
    let mut archive = vec![0; 1_536];
    archive[..name.len()].copy_from_slice(name.as_bytes());
    archive[100..107].copy_from_slice(b"0000755");
    archive[124..135].copy_from_slice(format!("{:011o}", content.len()).as_bytes());
    archive[148..156].fill(b' ');
    archive[156] = b'0';
    archive[257..265].copy_from_slice(b"ustar\x0000");
    let sum: u32 = archive[..512].iter().copied().map(u32::from).sum();
    archive[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
    archive[512..512 + content.len()].copy_from_slice(content);
    archive
}

// SC-NO-UNPACK, MF-MIME-HINT
#[test]
fn an_archive_or_program_is_stored_as_it_came_whatever_its_media_type() {
    let out = tempfile::tempdir().unwrap();
    let marker = out.path().join("marker");
    let script = format!("#!/bin/sh\n: > '{}'\n", marker.display()).into_bytes();
    let archive = tar("inner", b"unpacked");
    let typed = |path: &str, data: &[u8], mime: &str| {
        let (size, mime) = (Some(data.len() as u64), Some(mime.to_owned()));
        let kind = EntryKind::File { size, executable: false, mime, root: None };
        Entry { kind, ..file(path, 0) }
    };
    let entries = [
        typed("a.tar", &archive, "application/x-tar"),
        typed("run.sh", &script, "application/x-executable"),
    ];
    let mut sink = sink(&out, &entries);
    put(&mut sink, 0, &archive).unwrap();
    put(&mut sink, 1, &script).unwrap();
    sink.sync(Vec::new()).unwrap();
    sink.discard(None).unwrap();
    drop(sink);
    assert_eq!(names(out.path()), ["a.tar", "run.sh"]);
    assert_eq!(fs::read(out.path().join("a.tar")).unwrap(), archive);
    assert_eq!(fs::read(out.path().join("run.sh")).unwrap(), script);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = fs::metadata(out.path().join("run.sh")).unwrap().permissions().mode();
        assert_eq!(mode & 0o111, 0, "{mode:o}");
    }
}

// SC-HAVE-JOURNAL
#[test]
fn what_lies_in_the_directory_already_is_no_part_of_what_came() {
    let out = tempfile::tempdir().unwrap();
    fs::write(out.path().join("a"), b"abcd").unwrap();
    let mut sink = sink(&out, &[file("a", 4)]);
    sink.write(FileIndex(0), 0, b"ab").unwrap();
    assert!(sink.commit(FileIndex(0), 4, None).is_err(), "two bytes have come");
    put(&mut sink, 0, b"abcd").unwrap();
    assert_eq!(names(out.path()).len(), 3, "the old file, the new one, the temporary directory");
}
