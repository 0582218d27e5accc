//! Journals on a real disk: written, found, damaged, cleaned.

use std::fs;
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use super::*;
use crate::journal::secrets::{Kept, tests::session};

fn transfer(token: u8, out: &Path) -> Transfer {
    Transfer {
        token: [token; 16],
        server: "http://192.0.2.1:4000/".to_owned(),
        kept: Kept::first(&session(1)),
        out: out.to_owned(),
        invitation: [5; 32],
        note: "as promised".to_owned(),
        selection: Some(vec![(0, 2), (4, 1)]),
        manifest: [6; 32],
        tops: vec![("d".to_owned(), "d (1)".to_owned())],
        title: "d".to_owned(),
        files: 3,
        bytes: 4_000,
        created: 1_000,
        completed: None,
    }
}

fn partial(number: u8) -> FileRecord {
    let temp = tempfile::tempfile().unwrap();
    FileRecord::Partial { state: vec![number; 300], inode: Inode::of(&temp.metadata().unwrap()) }
}

fn state() -> (tempfile::TempDir, StateDir) {
    let temp = tempfile::tempdir().unwrap();
    let state = StateDir::at(temp.path().join("state")).unwrap();
    (temp, state)
}

#[test]
fn what_was_written_is_there_after_the_process() {
    // RS-JOURNAL
    let (temp, state) = state();
    let mut written = transfer(1, temp.path());
    let journal = Journal::create(&state, &written).unwrap();
    assert_eq!(journal.files().unwrap(), []);
    let (one, other) = (partial(1), partial(2));
    journal.write_files([(&[1; 32], Some(&one)), (&[2; 32], Some(&other))]).unwrap();
    journal.write_files([(&[1; 32], None), (&[2; 32], Some(&one))]).unwrap();
    written.kept = written.kept.succeed(&session(2), &session(1).id);
    journal.write_transfer(&written).unwrap();
    drop(journal);

    let (journal, found) = Journal::open(&state, [1; 16]).unwrap().unwrap();
    assert_eq!(found, written);
    assert_eq!(journal.files().unwrap(), [([2; 32], one.clone())]);
    assert_eq!(journal.file(&[2; 32]).unwrap(), Some(one));
    assert_eq!(journal.file(&[1; 32]).unwrap(), None);
    journal.remove().unwrap();
    assert!(Journal::open(&state, [1; 16]).unwrap().is_none());
    assert_eq!(state.names("", "").unwrap(), [""; 0]);
}

#[test]
fn two_transfers_are_open_at_once_and_one_is_not_open_twice() {
    let (temp, state) = state();
    let one = Journal::create(&state, &transfer(1, temp.path())).unwrap();
    let other = Journal::create(&state, &transfer(2, temp.path())).unwrap();
    assert!(matches!(Journal::create(&state, &transfer(1, temp.path())), Err(JournalError::Busy)));
    assert!(matches!(Journal::open(&state, [1; 16]), Err(JournalError::Busy)));
    assert_eq!(interrupted(&state).unwrap(), [], "both are being worked at");
    drop(other);
    assert_eq!(interrupted(&state).unwrap(), [transfer(2, temp.path())]);
    one.complete(UNIX_EPOCH + Duration::from_secs(2_000)).unwrap();
    drop(one);
    assert_eq!(interrupted(&state).unwrap().len(), 1, "what is complete is not interrupted");
}

#[test]
fn a_journal_is_bounded() {
    let (temp, state) = state();
    let journal = Journal::create(&state, &transfer(1, temp.path())).unwrap();
    let FileRecord::Partial { inode, .. } = partial(1) else { panic!() };
    let large = FileRecord::Partial { state: vec![0; (1 << 20) + 1], inode };
    let refused = journal.write_files([(&[1; 32], Some(&large))]);
    assert!(matches!(refused, Err(JournalError::Full)));
    for number in 1..MAX_KEPT {
        fs::write(state.file(&format!("receive-{number}.redb")), b"").unwrap();
    }
    assert!(matches!(Journal::create(&state, &transfer(2, temp.path())), Err(JournalError::Full)));
}

#[cfg(unix)]
#[test]
fn nobody_else_can_read_a_journal() {
    use std::os::unix::fs::PermissionsExt;
    let (temp, state) = state();
    let journal = Journal::create(&state, &transfer(1, temp.path())).unwrap();
    for file in [database(&journal.name), record(&journal.name)] {
        let mode = fs::metadata(state.file(&file)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
}

/// Contents that were cut, emptied, and altered everywhere, where they are not all zeros.
fn damaged(good: &[u8]) -> Vec<Vec<u8>> {
    let cuts = [0, 1, good.len() / 2, good.len() - 1].map(|length| good[..length].to_vec());
    let used = (0..good.len()).filter(|&at| good[at] != 0).collect::<Vec<_>>();
    let altered = used.iter().step_by(used.len() / 120 + 1).map(|&at| {
        let mut bad = good.to_vec();
        bad[at] ^= 0x55;
        bad
    });
    cuts.into_iter().chain(altered).collect()
}

#[test]
fn a_damaged_journal_is_set_aside_and_ends_nothing() {
    let (temp, state) = state();
    let journal = Journal::create(&state, &transfer(1, temp.path())).unwrap();
    let records: Vec<_> = (0..200).map(|number| ([number; 32], partial(number))).collect();
    journal.write_files(records.iter().map(|(entry, record)| (entry, Some(record)))).unwrap();
    drop(journal);
    let path = state.file(&database(&name([1; 16])));
    let kept = state.file(&record(&name([1; 16])));
    let (good, good_record) = (fs::read(&path).unwrap(), fs::read(&kept).unwrap());
    let mut set_aside = 0;
    for bad in damaged(&good) {
        fs::write(&path, &bad).unwrap();
        fs::write(&kept, &good_record).unwrap();
        match Journal::open(&state, [1; 16]) {
            Ok(None) => {
                assert!(!path.exists() && !kept.exists());
                set_aside += 1;
            }
            Ok(Some((journal, found))) => {
                // What was altered did not matter: a free page, the older root.
                assert_eq!(found, transfer(1, temp.path()));
                let files = journal.files().unwrap();
                assert!(files.is_empty() || files == records);
            }
            Err(error) => panic!("{error}"),
        }
    }
    assert!(set_aside > 40, "{set_aside}");
    assert_eq!(interrupted(&state).unwrap().len(), usize::from(path.exists()));
}

#[test]
fn a_damaged_record_is_set_aside_and_ends_nothing() {
    let (temp, state) = state();
    drop(Journal::create(&state, &transfer(1, temp.path())).unwrap());
    let path = state.file(&record(&name([1; 16])));
    let good = fs::read(&path).unwrap();
    for bad in damaged(&good) {
        fs::write(&path, &bad).unwrap();
        assert!(Journal::open(&state, [1; 16]).unwrap().is_none());
        assert!(!path.exists());
        fs::write(&path, &bad).unwrap();
        assert_eq!(interrupted(&state).unwrap(), []);
        assert_eq!(find(&state, &[5; 32]), None);
    }
    fs::write(&path, &good).unwrap();
    assert_eq!(find(&state, &[5; 32]), Some([1; 16]));
}

#[test]
fn a_process_that_ended_between_two_steps_leaves_nothing_for_ever() {
    let (temp, state) = state();
    let files = [database(&name([1; 16])), record(&name([1; 16]))].map(|file| state.file(&file));
    for lost in &files {
        drop(Journal::create(&state, &transfer(1, temp.path())).unwrap());
        fs::remove_file(lost).unwrap();
        assert!(Journal::open(&state, [1; 16]).unwrap().is_none());
        clean(&state, SystemTime::now()).unwrap();
        clean(&state, SystemTime::now() + MAX_AGE + Duration::from_secs(5)).unwrap();
        assert_eq!(files.each_ref().map(|file| file.exists()), [false; 2]);
    }
}

#[test]
fn what_is_complete_is_found_without_its_database() {
    // A start must not cost more for each file that was received earlier.
    let (temp, state) = state();
    let journal = Journal::create(&state, &transfer(1, temp.path())).unwrap();
    journal.complete(SystemTime::now()).unwrap();
    // Who has it open would make it busy for whoever opens it too.
    assert_eq!(find(&state, &[5; 32]), Some([1; 16]));
    assert_eq!(interrupted(&state).unwrap(), []);
    clean(&state, SystemTime::now()).unwrap();
    assert!(state.file(&database(&journal.name)).exists());
}

#[test]
fn what_is_too_old_is_removed_with_what_it_kept() {
    // RS-FORGET, RS-COMPLETE-AGAIN
    let (temp, state) = state();
    let day = 24 * 3_600;
    let at = |seconds: u64| UNIX_EPOCH + Duration::from_secs(seconds);
    for (token, created) in [(1, 0), (2, 29 * day), (3, 0)] {
        let transfer = Transfer { created, ..transfer(token, temp.path()) };
        let journal = Journal::create(&state, &transfer).unwrap();
        if token == 3 {
            journal.complete(at(29 * day + 10)).unwrap();
        }
        fs::create_dir(temp.path().join(temporary_name([token; 16]))).unwrap();
    }
    let left = |token| state.file(&database(&name([token; 16]))).exists();
    clean(&state, at(30 * day)).unwrap();
    assert_eq!([1, 2, 3].map(left), [true; 3]);
    clean(&state, at(30 * day + 5)).unwrap();
    assert_eq!([1, 2, 3].map(left), [false, true, true]);
    assert!(!temp.path().join(temporary_name([1; 16])).exists());
    assert!(temp.path().join(temporary_name([2; 16])).exists());
    clean(&state, at(30 * day + 11)).unwrap();
    assert_eq!([2, 3].map(left), [true, false], "a completed one is remembered for a day");
}

#[test]
fn a_temporary_directory_is_needed_as_long_as_its_journal_is_there() {
    let (temp, state) = state();
    let journal = Journal::create(&state, &transfer(1, temp.path())).unwrap();
    assert!(is_needed(&state, &temporary_name([1; 16])), "also while it is open");
    assert!(!is_needed(&state, &temporary_name([2; 16])));
    for odd in ["", ".passel-.part", ".passel-01.part", ".passel-../../x.part"] {
        assert!(!is_needed(&state, odd), "{odd}");
    }
    journal.remove().unwrap();
    assert!(!is_needed(&state, &temporary_name([1; 16])));
}
