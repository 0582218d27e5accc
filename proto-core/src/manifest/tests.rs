//! Tests of entries, of manifests' rules and of their pages.

use proptest::prelude::*;

use super::*;
use crate::codec;
use crate::limits::{MAX_ENTRIES_COUNT, MAX_FRAME_BODY, MAX_MANIFEST_BYTES, MAX_MIME, MAX_PATH};
use crate::path::SafePath;

fn directory(path: &str) -> Entry {
    Entry { path: SafePath::parse(path).unwrap(), kind: EntryKind::Directory, modified: None }
}

fn file(path: &str, size: Option<u64>) -> Entry {
    let kind = EntryKind::File { size, executable: false, mime: None, root: None };
    Entry { path: SafePath::parse(path).unwrap(), kind, modified: None }
}

fn build(entries: &[Entry]) -> Result<Manifest, ManifestError> {
    let mut builder = ManifestBuilder::new();
    for entry in entries {
        builder.push(entry)?;
    }
    builder.finish()
}

/// The longest entry that there can be.
fn longest() -> Entry {
    let path = [vec!["x".repeat(255); 3].join("/"), "y".repeat(253), "zz".into()].join("/");
    assert_eq!(path.len(), MAX_PATH);
    let mime = format!("a/{}", "b".repeat(MAX_MIME - 2));
    let kind = EntryKind::File {
        size: Some(u64::MAX),
        executable: true,
        mime: Some(mime),
        root: Some([7; 32]),
    };
    let modified = Timestamp::new(i64::MIN, 999_999_999);
    Entry { path: SafePath::parse(&path).unwrap(), kind, modified }
}

// MF-ENTRY-LAYOUT
#[test]
fn bytes_of_entries_are_those_of_the_spec() {
    assert_eq!(codec::encode(&directory("d")).unwrap(), [1, b'd', 0, 0]);
    let mut entry = file("d/f", Some(300));
    entry.modified = Timestamp::new(-1, 5);
    let bytes = [3, b'd', b'/', b'f', 1, 1, 251, 44, 1, 0, 0, 0, 1, 1, 5];
    assert_eq!(codec::encode(&entry).unwrap(), bytes);
    assert_eq!(codec::decode::<Entry>(&bytes), Ok(entry));
}

#[test]
fn no_entry_is_longer_than_its_bound() {
    let bytes = codec::encode(&longest()).unwrap();
    assert_eq!(bytes.len(), MAX_ENTRY);
    assert_eq!(codec::decode::<Entry>(&bytes), Ok(longest()));
}

#[test]
fn broken_entries_are_refused() {
    let page = |bytes: &[u8]| ManifestBuilder::new().push_page(bytes, 1);
    assert_eq!(page(&[1, b'd', 0, 0]), Ok(()));
    // MF-PAGE-EXACT
    assert_eq!(page(&[1, b'd', 0, 0, 0]), Err(CodecError::Trailing.into()));
    assert_eq!(page(&[1, b'd', 0]), Err(CodecError::Truncated.into()));
    // MF-ENTRY-KIND
    assert_eq!(page(&[1, b'd', 2, 0]), Err(CodecError::Invalid.into()));
    // MF-ENTRY-LAYOUT: not UTF-8, an option or boolean above 1, an overlong varint
    assert_eq!(page(&[1, 0xff, 0, 0]), Err(CodecError::Invalid.into()));
    assert_eq!(page(&[1, b'd', 0, 2]), Err(CodecError::Invalid.into()));
    assert_eq!(page(&[1, b'd', 1, 0, 2, 0, 0, 0]), Err(CodecError::Invalid.into()));
    assert_eq!(page(&[251, 1, 0, b'd', 0, 0]), Err(CodecError::NotCanonical.into()));
    // A name is parsed, whatever brings it.
    assert_eq!(page(&[2, b'.', b'.', 0, 0]), Err(PathError::Dots.into()));
    // MF-PATH-LONG: refused by the length alone.
    assert_eq!(page(&[251, 1, 4]), Err(CodecError::TooLong.into()));
    // MF-MIME
    for mime in [&b""[..], b"text", b"a/\x1b"] {
        let length = u8::try_from(mime.len()).unwrap();
        let bytes = [&[1, b'd', 1, 0, 0, 1, length], mime, &[0, 0]].concat();
        assert_eq!(page(&bytes), Err(CodecError::Invalid.into()));
    }
    // MF-TIME-NANOS
    let time = [&[1, b'd', 0, 1, 0, 252][..], &1_000_000_000u32.to_le_bytes()].concat();
    assert_eq!(page(&time), Err(CodecError::Invalid.into()));
}

// MF-MIME
#[test]
fn a_callers_media_type_is_checked_too() {
    for mime in [String::new(), "text".into(), "a/\u{e9}".into(), format!("a/{}", "b".repeat(126))]
    {
        let mut entry = file("f", None);
        entry.kind =
            EntryKind::File { size: None, executable: false, mime: Some(mime), root: None };
        assert_eq!(build(&[entry]), Err(ManifestError::Mime));
    }
}

// MF-ORDER
#[test]
fn duplicates_and_disorder_are_refused() {
    let order = |index| Err(ManifestError::Order(FileIndex(index)));
    assert_eq!(build(&[file("a", None), file("a", None)]), order(1));
    assert_eq!(build(&[directory("a"), file("a", None)]), order(1));
    assert_eq!(build(&[file("b", None), file("a", None)]), order(1));
    assert_eq!(build(&[directory("a"), file("a.b", None), file("a/b", None)]), order(2));
    assert!(build(&[directory("a"), file("a/b", None), file("a.b", None)]).is_ok());
}

// MF-PARENT
#[test]
fn the_directory_of_each_entry_is_listed() {
    let parent = |index| Err(ManifestError::Parent(FileIndex(index)));
    assert_eq!(build(&[file("a/b", None)]), parent(0));
    assert_eq!(build(&[file("a", None), file("a/b", None)]), parent(1));
    assert_eq!(build(&[directory("a"), file("ab/c", None)]), parent(1));
    assert_eq!(build(&[directory("a"), file("a/b", None), file("a/c/d", None)]), parent(2));
    assert_eq!(build(&[directory("a"), file("a/b", None), file("a/b/c", None)]), parent(2));
    let good = [
        directory("a"),
        directory("a/b"),
        file("a/b/c", None),
        file("a/d", None),
        directory("ab"),
        file("ab/c", None),
    ];
    assert!(build(&good).is_ok());
}

// MF-FOLD
#[test]
fn names_that_differ_only_in_case_are_refused() {
    let fold = |a, b| Err(ManifestError::Fold(FileIndex(a), FileIndex(b)));
    assert_eq!(build(&[file("A", None), file("B", None), file("a", None)]), fold(0, 2));
    assert_eq!(build(&[directory("D"), file("D/x", None), directory("d")]), fold(0, 2));
    let apart = [directory("D"), file("D/x", None), directory("E"), file("E/X", None)];
    assert!(build(&apart).is_ok());
}

// MF-NOT-EMPTY
#[test]
fn nothing_is_no_manifest_and_no_page() {
    assert_eq!(build(&[]), Err(ManifestError::Empty));
    assert_eq!(ManifestBuilder::new().push_page(&[], 0), Err(ManifestError::Empty));
}

#[test]
fn counts_and_sums() {
    let entries =
        [directory("a"), file("a/b", Some(u64::MAX)), file("a/c", Some(2)), file("d", None)];
    let manifest = build(&entries).unwrap();
    assert_eq!((manifest.len(), manifest.files(), manifest.directories()), (4, 3, 1));
    assert_eq!(manifest.total_bytes(), u64::MAX);
    assert_eq!(manifest.entry(FileIndex(2)).as_ref(), Some(&entries[2]));
    assert_eq!(manifest.entry(FileIndex(4)), None);
    for (index, entry) in (0..).map(FileIndex).zip(&entries) {
        assert_eq!(manifest.kind(index).as_ref(), Some(&entry.kind));
    }
    assert_eq!(manifest.kind(FileIndex(4)), None);
    assert!(manifest.iter().map(|(_, entry)| entry).eq(entries));
    assert!(!format!("{manifest:?}").contains("path"));
}

// MF-DIGEST
#[test]
fn the_digest_covers_label_and_entries() {
    let manifest = build(&[directory("d")]).unwrap();
    let input = b"passel v1 manifest\0\x01d\0\0";
    assert_eq!(manifest.digest(), <[u8; 32]>::from(Sha256::digest(input)));
    assert_ne!(manifest.digest(), build(&[directory("e")]).unwrap().digest());
}

// MF-ERROR-CODES
#[test]
fn each_refusal_has_the_code_of_the_spec() {
    let cases = [
        (ManifestError::Codec(CodecError::Trailing), ErrorCode::Malformed),
        (ManifestError::Codec(CodecError::TooLong), ErrorCode::LimitExceeded),
        (ManifestError::Mime, ErrorCode::Malformed),
        (ManifestError::Path(PathError::Dots), ErrorCode::UnsafeName),
        (ManifestError::Path(PathError::Long), ErrorCode::LimitExceeded),
        (ManifestError::Order(FileIndex(1)), ErrorCode::ManifestInvalid),
        (ManifestError::Parent(FileIndex(1)), ErrorCode::ManifestInvalid),
        (ManifestError::Fold(FileIndex(0), FileIndex(1)), ErrorCode::ManifestInvalid),
        (ManifestError::Empty, ErrorCode::ManifestInvalid),
        (ManifestError::TooManyEntries, ErrorCode::LimitExceeded),
        (ManifestError::TooManyBytes, ErrorCode::LimitExceeded),
    ];
    for (error, code) in cases {
        assert_eq!(error.of_peer().code, code, "{error}");
    }
}

// MF-LIMIT-ENTRIES
#[test]
fn a_million_entries_are_taken_and_stay_compact() {
    // Encoded by hand: the test is of the reader, and this is quicker.
    let page = |first: usize, count: usize| -> Vec<u8> {
        (first..first + count)
            .flat_map(|i| [b"\x07".to_vec(), format!("{i:07}").into_bytes(), vec![0, 0]].concat())
            .collect()
    };
    let mut builder = ManifestBuilder::new();
    for first in (0..MAX_ENTRIES_COUNT).step_by(1000) {
        builder.push_page(&page(first, 1000), 1000).unwrap();
    }
    let over = builder.push_page(&page(MAX_ENTRIES_COUNT, 1), 1);
    assert_eq!(over, Err(ManifestError::TooManyEntries));
    let manifest = builder.finish().unwrap();
    assert_eq!(manifest.len() as usize, MAX_ENTRIES_COUNT);
    assert_eq!(manifest.encoded_len(), 10 * MAX_ENTRIES_COUNT);
    let held = manifest.packed.held();
    assert!(held <= 8 << 20, "{held} bytes");
}

// MF-LIMIT-ENTRIES: what both sides of an offer hold, beside what each needs for itself.
#[test]
fn a_million_files_with_all_that_is_told_of_them_fit_into_little_memory() {
    let mut builder = ManifestBuilder::new();
    for place in 0..1000_u32 {
        let directory = format!("photos/{place:03}");
        let mut page = if place == 0 { b"\x06photos\0\0".to_vec() } else { Vec::new() };
        page.push(10);
        page.extend_from_slice(directory.as_bytes());
        page.extend([0, 0]);
        let files = if place == 0 { 998 } else { 999 };
        for file in 0..files {
            let path = format!("{directory}/photo-{file:06}.jpg");
            page.push(u8::try_from(path.len()).unwrap());
            page.extend_from_slice(path.as_bytes());
            // Size, not executable, media type, no root, and a time of its own.
            page.extend([1, 1, 252]);
            page.extend((65_536 + file * 31 + place).to_le_bytes());
            page.extend(b"\0\x01\x0aimage/jpeg\0\x01\xfc");
            page.extend((3_400_000_000 + file * 17).to_le_bytes());
            page.push(252);
            page.extend((500_000_000 + file * 7).to_le_bytes());
        }
        builder.push_page(&page, files + 1 + u32::from(place == 0)).unwrap();
    }
    let manifest = builder.finish().unwrap();
    assert_eq!(manifest.len() as usize, MAX_ENTRIES_COUNT);
    assert!(manifest.encoded_len() > 59_000_000, "{}", manifest.encoded_len());
    let held = manifest.packed.held();
    assert!(held < 32 << 20, "{held} bytes");
}

// MF-LIMIT-BYTES
#[test]
fn bytes_up_to_the_limit_are_taken_and_no_more() {
    let entry = [1, b'd', 0, 0];
    for (room, result) in [(4, Ok(())), (3, Err(ManifestError::TooManyBytes))] {
        let mut builder = ManifestBuilder::new();
        builder.packed.encoded_len = MAX_MANIFEST_BYTES - room;
        assert_eq!(builder.push_page(&entry, 1), result);
    }
}

#[test]
fn times_go_to_the_system_and_back() {
    for (secs, nanos) in [(0, 0), (1, 999_999_999), (-1, 0), (-1, 1), (-2, 700_000_000)] {
        let time = Timestamp::new(secs, nanos).unwrap();
        let system = time.to_system_time().unwrap();
        assert_eq!(Timestamp::from_system_time(system), time);
    }
    assert_eq!(Timestamp::new(0, 1_000_000_000), None);
    // MF-TIME-RANGE: the far ends of the range are told or not, without a panic.
    for secs in [i64::MIN, i64::MIN + 1, i64::MAX] {
        if let Some(system) = Timestamp::new(secs, 999_999_999).unwrap().to_system_time() {
            assert_eq!(Timestamp::from_system_time(system).secs(), secs);
        }
    }
}

fn entries() -> impl Strategy<Value = Vec<Entry>> {
    let name = "[a-c]{1,2}(/[a-c]{1,2}){0,3}";
    let optional_size = prop::option::of(any::<u64>());
    let time = prop::option::of((any::<i64>(), 0u32..1_000_000_000));
    let one = (name, optional_size, any::<bool>(), prop::option::of("[a-z]{1,5}/[a-z]{1,5}"), time);
    prop::collection::vec(one, 1..40).prop_map(|raw| {
        let mut all = std::collections::BTreeMap::new();
        for (path, size, executable, mime, time) in raw {
            let root = executable.then_some([9; 32]);
            let mut entry = file(&path, size);
            entry.kind = EntryKind::File { size, executable, mime, root };
            entry.modified = time.and_then(|(secs, nanos)| Timestamp::new(secs, nanos));
            all.entry(entry.path.clone()).or_insert(entry);
            for (at, _) in path.match_indices('/') {
                let parent = directory(&path[..at]);
                all.insert(parent.path.clone(), parent);
            }
        }
        all.into_values().collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    // MF-PAGE-JOIN
    #[test]
    fn pages_of_any_size_carry_the_whole(entries in entries(), max in 1usize..300) {
        let sent = build(&entries).unwrap();
        let mut builder = ManifestBuilder::new();
        loop {
            let page = sent.page(builder.len(), max).unwrap();
            prop_assert_eq!(page.first, builder.len());
            prop_assert!(page.bytes.len() <= max || page.count == 1);
            builder.push_page(&page.bytes, page.count).unwrap();
            if page.last {
                break;
            }
            // One entry more would not have fitted.
            let next = sent.entry(FileIndex(builder.len())).unwrap();
            prop_assert!(page.bytes.len() + codec::encode(&next).unwrap().len() > max);
        }
        prop_assert_eq!(sent.page(builder.len(), max), None);
        let received = builder.finish().unwrap();
        prop_assert_eq!(received.digest(), sent.digest());
        prop_assert!(received.iter().map(|(_, entry)| entry).eq(entries));
    }

    // MF-ORDER, MF-PARENT: against a naive model, with an entry taken out or two swapped.
    #[test]
    fn rules_between_entries_agree_with_a_naive_check(
        entries in entries(), out in any::<prop::sample::Index>(), swap in any::<bool>()
    ) {
        let mut entries = entries;
        let at = out.index(entries.len());
        if swap {
            entries.swap(at, 0);
        } else {
            entries.remove(at);
        }
        let sorted = entries.windows(2).all(|pair| pair[0].path < pair[1].path);
        let parents = entries.iter().enumerate().all(|(i, entry)| {
            entry.path.parent().is_none_or(|parent| {
                entries[..i].iter().any(|e| e.is_directory() && e.path.as_str() == parent)
            })
        });
        let good = sorted && parents && !entries.is_empty();
        prop_assert_eq!(build(&entries).is_ok(), good);
    }

    // MF-BOUNDED
    #[test]
    fn random_bytes_never_panic_and_hold_no_more_than_they_are(
        bytes in prop::collection::vec(any::<u8>(), 0..600), count in any::<u32>()
    ) {
        let mut builder = ManifestBuilder::new();
        let _ = builder.push_page(&bytes, count);
        prop_assert!(builder.encoded_len() <= bytes.len());
        prop_assert!(builder.packed.held() <= 64 + 4 * bytes.len());
    }

    #[test]
    fn a_changed_byte_never_panics(
        entries in entries(), at in any::<prop::sample::Index>(), value in any::<u8>()
    ) {
        let manifest = build(&entries).unwrap();
        let page = manifest.page(0, MAX_FRAME_BODY).unwrap();
        let mut bytes = page.bytes;
        let at = at.index(bytes.len());
        bytes[at] = value;
        let mut builder = ManifestBuilder::new();
        if builder.push_page(&bytes, page.count).is_ok() && let Ok(read) = builder.finish() {
            // What was taken is the same bytes again.
            prop_assert_eq!(read.page(0, usize::MAX).unwrap().bytes, bytes);
        }
    }
}
