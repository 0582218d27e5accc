//! Contents that are cheap to make and to compare: a pattern for large files,
//! and a listing of a tree with all that a transfer has to keep.

use std::collections::BTreeMap;
use std::fs::{File, FileTimes};
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

/// Bytes of a block of the pattern.
const BLOCK: usize = 1 << 20;

/// Fills `block` with the pattern of block number `index`: a counter through
/// SplitMix64's mixing function, so that no two blocks are the same.
fn fill(index: u64, block: &mut [u8]) {
    let words = (BLOCK / 8) as u64;
    for (word, bytes) in (index * words..).zip(block.chunks_exact_mut(8)) {
        let mut x = word.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bytes.copy_from_slice(&(x ^ (x >> 31)).to_le_bytes());
    }
}

/// Writes a file of so many blocks.
pub(crate) fn write_pattern(path: &Path, blocks: u64) {
    let mut file = File::create(path).unwrap();
    let mut block = vec![0; BLOCK];
    for index in 0..blocks {
        fill(index, &mut block);
        file.write_all(&block).unwrap();
    }
}

/// Fails the test unless the file holds exactly the pattern of so many blocks.
pub(crate) fn expect_pattern(path: &Path, blocks: u64) {
    let mut file = File::open(path).unwrap();
    assert_eq!(file.metadata().unwrap().len(), blocks * BLOCK as u64);
    let (mut found, mut wanted) = (vec![0; BLOCK], vec![0; BLOCK]);
    for index in 0..blocks {
        file.read_exact(&mut found).unwrap();
        fill(index, &mut wanted);
        assert!(found == wanted, "block {index} differs");
    }
}

/// What is known of a file or directory, if it is a file with its content.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Facts {
    content: Option<Vec<u8>>,
    executable: bool,
    modified: SystemTime,
}

/// All entries of a tree by their path from its root, which is "".
pub(crate) fn listing(root: &Path) -> BTreeMap<String, Facts> {
    let mut entries = BTreeMap::new();
    let mut left = vec![(root.to_owned(), String::new())];
    while let Some((path, name)) = left.pop() {
        let metadata = std::fs::symlink_metadata(&path).unwrap();
        let is_directory = metadata.is_dir();
        if is_directory {
            for entry in std::fs::read_dir(&path).unwrap() {
                let entry = entry.unwrap();
                left.push((entry.path(), format!("{name}/{}", entry.file_name().display())));
            }
        }
        let facts = Facts {
            content: (!is_directory).then(|| std::fs::read(&path).unwrap()),
            executable: metadata.permissions().mode() & 0o100 != 0,
            modified: metadata.modified().unwrap(),
        };
        entries.insert(name, facts);
    }
    entries
}

/// Gives a file or directory a modification time with all nine digits.
pub(crate) fn age(path: &Path, seconds: u64) {
    let time = SystemTime::UNIX_EPOCH + Duration::new(seconds, 123_456_789);
    File::open(path).unwrap().set_times(FileTimes::new().set_modified(time)).unwrap();
}
