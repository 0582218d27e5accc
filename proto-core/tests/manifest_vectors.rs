//! The manifests' vectors (`spec/vectors/manifest.json`): whole manifests in
//! bytes, those that are taken and those that are not. Names have a corpus of
//! their own (`names.rs`).
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod vector_file;

use passel_proto::ids::FileIndex;
use passel_proto::manifest::{
    Entry, EntryKind, Manifest, ManifestBuilder, ManifestError, Timestamp,
};
use passel_proto::path::{PathError, SafePath};
use serde::Serialize;

#[derive(Serialize)]
struct Vectors {
    about: &'static str,
    spec: &'static str,
    cases: Vec<Case>,
}

#[derive(Serialize)]
struct Case {
    why: &'static str,
    pages: Vec<Page>,
    #[serde(flatten)]
    outcome: Outcome,
}

#[derive(Serialize)]
struct Page {
    count: u32,
    /// The entries' encodings in hexadecimal.
    bytes: String,
}

#[derive(Serialize)]
#[serde(tag = "verdict", rename_all = "lowercase")]
enum Outcome {
    Accept { files: u32, directories: u32, total_bytes: u64, digest: String },
    Refuse { rule: &'static str, code: &'static str },
}

/// Bytes of an entry that is written by hand: a path and what follows it.
fn raw(path: &str, rest: &[u8]) -> Vec<u8> {
    let length = u8::try_from(path.len()).unwrap();
    [&[length], path.as_bytes(), rest].concat()
}

fn directory(path: &str) -> Vec<u8> {
    raw(path, &[0, 0])
}

/// A file without size, execution bit, media type, root and time.
fn file(path: &str) -> Vec<u8> {
    raw(path, &[1, 0, 0, 0, 0, 0])
}

fn read(pages: &[(u32, Vec<u8>)]) -> Result<Manifest, ManifestError> {
    let mut builder = ManifestBuilder::new();
    for (count, bytes) in pages {
        builder.push_page(bytes, *count)?;
    }
    builder.finish()
}

fn listed(pages: Vec<(u32, Vec<u8>)>) -> Vec<Page> {
    let page = |(count, bytes): (u32, Vec<u8>)| Page { count, bytes: vector_file::hex(&bytes) };
    pages.into_iter().map(page).collect()
}

fn accept(why: &'static str, pages: Vec<(u32, Vec<u8>)>) -> Case {
    let manifest = read(&pages).unwrap_or_else(|error| panic!("{why}: {error}"));
    let outcome = Outcome::Accept {
        files: manifest.files(),
        directories: manifest.directories(),
        total_bytes: manifest.total_bytes(),
        digest: vector_file::hex(&manifest.digest()),
    };
    Case { why, pages: listed(pages), outcome }
}

fn refuse(
    rule: &'static str,
    code: &'static str,
    why: &'static str,
    pages: Vec<(u32, Vec<u8>)>,
) -> Case {
    let error = read(&pages).err().unwrap_or_else(|| panic!("{why}: accepted"));
    assert_eq!(error.code().name(), code, "{why}"); // MF-ERROR-CODES
    let told = match error {
        ManifestError::Path(error) => Some(error.rule()),
        ManifestError::Order(_) => Some("MF-ORDER"),
        ManifestError::Parent(_) => Some("MF-PARENT"),
        ManifestError::Fold(..) => Some("MF-FOLD"),
        ManifestError::Empty => Some("MF-NOT-EMPTY"),
        // The codec does not tell by which rule the bytes are none.
        _ => None,
    };
    assert!(told.is_none_or(|told| told == rule), "{why}: {told:?}");
    Case { why, pages: listed(pages), outcome: Outcome::Refuse { rule, code } }
}

fn one(entries: &[Vec<u8>]) -> Vec<(u32, Vec<u8>)> {
    vec![(u32::try_from(entries.len()).unwrap(), entries.concat())]
}

fn accepted() -> Vec<Case> {
    let full =
        [&[1, 1, 251, 44, 1, 1, 1, 10][..], b"text/plain", &[1], &[0xab; 32], &[1, 1, 5]].concat();
    let long_ago =
        [&[0, 1, 253][..], &u64::MAX.to_le_bytes(), &[252, 0xff, 0xc9, 0x9a, 0x3b]].concat();
    vec![
        accept("an empty directory", one(&[directory("d")])),
        accept("a stream of unknown length", one(&[file("f")])),
        accept("an empty file", one(&[raw("f", &[1, 1, 0, 0, 0, 0, 0])])),
        accept("a file with every field", one(&[raw("f", &full)])),
        accept("the earliest time that there is", one(&[raw("d", &long_ago)])),
        accept(
            "a tree in its order",
            one(&[directory("a"), directory("a/b"), file("a/b/c"), file("a/d"), file("a.txt")]),
        ),
        accept(
            "the same tree in two pages, with the same digest",
            vec![
                (2, [directory("a"), directory("a/b")].concat()),
                (3, [file("a/b/c"), file("a/d"), file("a.txt")].concat()),
            ],
        ),
        accept(
            "names that would collide in one directory, in two",
            one(&[directory("a"), file("a/X"), directory("b"), file("b/x")]),
        ),
    ]
}

fn refused_bytes() -> Vec<Case> {
    let bad = |rule, why, bytes: Vec<u8>| refuse(rule, "MALFORMED", why, vec![(1, bytes)]);
    vec![
        bad("MF-PAGE-EXACT", "a byte behind the last entry", [directory("d"), vec![0]].concat()),
        bad("MF-PAGE-EXACT", "an entry more than was said", [directory("d"), file("e")].concat()),
        bad("MF-PAGE-EXACT", "the page ends in an entry", vec![1, b'd', 0]),
        bad("MF-PAGE-EXACT", "the page ends before its first entry", vec![]),
        bad("MF-PAGE-EXACT", "a path that is longer than the page", vec![200, b'd', 0, 0]),
        bad("MF-ENTRY-KIND", "a kind that does not exist", raw("d", &[2, 0])),
        bad("MF-ENTRY-LAYOUT", "a path that is not UTF-8", vec![1, 0xff, 0, 0]),
        bad("MF-ENTRY-LAYOUT", "a path in CESU-8", vec![3, 0xed, 0xa0, 0x80, 0, 0]),
        bad("MF-ENTRY-LAYOUT", "an overlong length", vec![251, 1, 0, b'd', 0, 0]),
        bad("MF-ENTRY-LAYOUT", "an overlong kind", raw("d", &[251, 0, 0, 0])),
        bad("MF-ENTRY-LAYOUT", "an overlong size", raw("f", &[1, 1, 251, 7, 0, 0, 0, 0, 0])),
        bad("MF-ENTRY-LAYOUT", "an option that is neither 0 nor 1", raw("d", &[0, 2])),
        bad("MF-ENTRY-LAYOUT", "a boolean that is neither 0 nor 1", raw("f", &[1, 0, 2, 0, 0, 0])),
        bad("MF-MIME", "an empty media type", raw("f", &[1, 0, 0, 1, 0, 0, 0])),
        bad("MF-MIME", "a media type without a slash", raw("f", &[1, 0, 0, 1, 1, b'a', 0, 0])),
        bad("MF-MIME", "an escape in a media type", raw("f", &[1, 0, 0, 1, 2, b'/', 27, 0, 0])),
        bad(
            "MF-TIME-NANOS",
            "a whole second of nanoseconds",
            raw("d", &[0, 1, 0, 252, 0, 0xca, 0x9a, 0x3b]),
        ),
        refuse(
            "MF-PATH-LONG",
            "LIMIT_EXCEEDED",
            "the length of the path is refused before its bytes are looked for",
            vec![(1, vec![251, 1, 4])],
        ),
        refuse(
            "MF-PATH-LONG",
            "LIMIT_EXCEEDED",
            "a path that claims 2^64-1 bytes",
            vec![(1, vec![253, 255, 255, 255, 255, 255, 255, 255, 255])],
        ),
        refuse(
            "MF-MIME",
            "LIMIT_EXCEEDED",
            "a media type of 128 bytes",
            one(&[raw("f", &[&[1, 0, 0, 1, 128][..], &[b'/'; 128], &[0, 0]].concat())]),
        ),
    ]
}

fn refused_entries() -> Vec<Case> {
    let bad = |rule, why, entries: &[Vec<u8>]| refuse(rule, "MANIFEST_INVALID", why, one(entries));
    let name = |rule, why, entries: &[Vec<u8>]| refuse(rule, "UNSAFE_NAME", why, one(entries));
    vec![
        name("MF-PATH-DOTS", "a way up", &[directory("a"), file("a/../b")]),
        name("MF-PATH-ABSOLUTE", "a root", &[file("/etc/passwd")]),
        bad("MF-NOT-EMPTY", "a page without an entry", &[]),
        refuse("MF-NOT-EMPTY", "MANIFEST_INVALID", "no page at all", vec![]),
        bad("MF-ORDER", "a file twice", &[file("a"), file("a")]),
        bad("MF-ORDER", "a file and a directory of one name", &[directory("a"), file("a")]),
        bad("MF-ORDER", "disorder", &[file("b"), file("a")]),
        bad("MF-ORDER", "in the order of bytes only", &[directory("a"), file("a!"), file("a/b")]),
        refuse(
            "MF-ORDER",
            "MANIFEST_INVALID",
            "disorder over the border of a page",
            vec![(1, file("b")), (1, file("a"))],
        ),
        bad("MF-PARENT", "no directory", &[file("a/b")]),
        bad("MF-PARENT", "the directory is a file", &[file("a"), file("a/b")]),
        bad("MF-PARENT", "another directory begins like it", &[directory("a"), file("ab/c")]),
        bad("MF-PARENT", "a directory is left out", &[directory("a"), file("a/b"), file("a/c/d")]),
        bad("MF-FOLD", "names that differ in case", &[file("A"), file("B"), file("a")]),
        bad(
            "MF-FOLD",
            "directories that differ in case",
            &[directory("D"), file("D/x"), directory("d")],
        ),
        bad("MF-FOLD", "names that differ in a joiner", &[file("\u{e9}"), file("\u{e9}\u{200d}")]),
    ]
}

#[test]
fn the_reader_agrees_with_the_vectors() {
    let cases = accepted().into_iter().chain(refused_bytes()).chain(refused_entries()).collect();
    let vectors = Vectors {
        about: "Manifests page by page, bytes in hexadecimal. A refused one breaks `rule` and is answered \
                with `code`.",
        spec: "spec/06-manifest.md#manifests",
        cases,
    };
    vector_file::check("manifest.json", &vectors);
}

/// The bytes above are written by hand; what the crate writes is the same.
#[test]
fn the_writer_agrees_with_the_bytes() {
    let entry = Entry {
        path: SafePath::parse("f").unwrap(),
        kind: EntryKind::File {
            size: Some(300),
            executable: true,
            mime: Some("text/plain".into()),
            root: Some([0xab; 32]),
        },
        modified: Timestamp::new(-1, 5),
    };
    let mut builder = ManifestBuilder::new();
    assert_eq!(builder.push(&entry), Ok(FileIndex(0)));
    let written = builder.finish().unwrap();
    let bytes =
        [&[1, b'f', 1, 1, 251, 44, 1, 1, 1, 10][..], b"text/plain", &[1], &[0xab; 32], &[1, 1, 5]]
            .concat();
    assert_eq!(written.page(0, 100).unwrap().bytes, bytes);
    assert_eq!(read(&[(1, bytes)]), Ok(written));
}

// MF-PATH-PARSE
#[test]
fn a_name_is_refused_and_never_repaired() {
    for (bytes, error) in [
        (directory("a/"), PathError::ComponentEmpty),
        (directory("./a"), PathError::Dots),
        (directory("a\\b"), PathError::Backslash),
        (directory("e\u{301}"), PathError::NotNormalized),
    ] {
        assert_eq!(read(&[(1, bytes)]), Err(ManifestError::Path(error)));
    }
}
