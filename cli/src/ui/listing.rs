//! The list of what is offered, and the question whether to take it, which is put
//! after it (`SC-SHOW-LIST`, `TR-LIST-FIRST`). What does
//! not live here: limits and rules for offers, which the protocol checks.

use std::fmt::Write as _;
use std::io::{self, BufRead, Read, Write};

use passel_proto::escape::for_terminal;
use passel_proto::manifest::{Entry, Manifest};

use super::format::{contents, size};

/// Most entries of the top level that are listed at first.
pub const MAX_SHOWN: usize = 20;
/// Longest answer that is read, in bytes.
const MAX_ANSWER: u64 = 256;

/// An entry of the top level with all that is in it.
struct Top {
    path: String,
    is_directory: bool,
    files: u64,
    bytes: u64,
    /// Whether the length of a file in it is unknown.
    open_end: bool,
}

/// The heading and up to [`MAX_SHOWN`] entries of the top level.
pub fn listing(manifest: &Manifest, note: Option<&str>) -> String {
    let mut out = format!(
        "Offered: {}, {}\n",
        contents(manifest.files(), manifest.directories()),
        size(manifest.total_bytes())
    );
    if let Some(note) = note.filter(|note| !note.is_empty()) {
        let _ = writeln!(out, "Note: {}", for_terminal(note));
    }
    let (shown, more) = top_level(manifest);
    for top in shown {
        let path = for_terminal(&top.path);
        let size = shown_size(top.bytes, top.open_end);
        let _ = if top.is_directory {
            writeln!(
                out,
                "  {path}/  ({}, {size})",
                super::format::count(top.files, "file", "files")
            )
        } else {
            writeln!(out, "  {path}  ({size})")
        };
    }
    if more > 0 {
        let _ = writeln!(out, "  … and {more} more");
    }
    out
}

/// Writes a line for every entry.
pub fn list_all(manifest: &Manifest, out: &mut dyn Write) -> io::Result<()> {
    for (_, entry) in manifest.iter() {
        let path = for_terminal(entry.path.as_str());
        if entry.is_directory() {
            writeln!(out, "  {path}/")?;
        } else {
            let size = entry.size();
            writeln!(out, "  {path}  ({})", shown_size(size.unwrap_or(0), size.is_none()))?;
        }
    }
    Ok(())
}

/// Shows the offer and asks until there is an answer. The end of the input, and
/// an answer that never gets clear, mean no.
pub fn ask(
    manifest: &Manifest,
    note: Option<&str>,
    input: &mut dyn BufRead,
    out: &mut dyn Write,
) -> io::Result<bool> {
    out.write_all(listing(manifest, note).as_bytes())?;
    for _ in 0..10 {
        write!(out, "Accept? [Y/n/l = list all] ")?;
        out.flush()?;
        let mut line = Vec::new();
        if (&mut *input).take(MAX_ANSWER).read_until(b'\n', &mut line)? == 0 {
            return Ok(false);
        }
        match String::from_utf8_lossy(&line).trim().to_lowercase().as_str() {
            "" | "y" | "yes" => return Ok(true),
            "n" | "no" => return Ok(false),
            "l" | "list" => list_all(manifest, out)?,
            _ => writeln!(out, "Please answer y, n or l.")?,
        }
    }
    Ok(false)
}

fn shown_size(bytes: u64, open_end: bool) -> String {
    match (bytes, open_end) {
        (0, true) => "size unknown".to_owned(),
        (_, true) => format!("{} or more", size(bytes)),
        (_, false) => size(bytes),
    }
}

/// The first entries of the top level, and the number of the others.
fn top_level(manifest: &Manifest) -> (Vec<Top>, u64) {
    let (mut shown, mut more) = (Vec::<Top>::new(), 0);
    for (_, entry) in manifest.iter() {
        if entry.path.parent().is_some() {
            // In the manifest's order it belongs to the last of the top level.
            if more == 0
                && let Some(top) = shown.last_mut()
            {
                top.add(&entry);
            }
        } else if shown.len() < MAX_SHOWN {
            let path = entry.path.as_str().to_owned();
            let is_directory = entry.is_directory();
            let mut top = Top { path, is_directory, files: 0, bytes: 0, open_end: false };
            top.add(&entry);
            shown.push(top);
        } else {
            more += 1;
        }
    }
    (shown, more)
}

impl Top {
    fn add(&mut self, entry: &Entry) {
        if !entry.is_directory() {
            self.files += 1;
            self.bytes = self.bytes.saturating_add(entry.size().unwrap_or(0));
            self.open_end |= entry.size().is_none();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use passel_proto::manifest::{EntryKind, ManifestBuilder};
    use passel_proto::path::SafePath;

    fn manifest(entries: &[(&str, Option<u64>)]) -> Manifest {
        let mut builder = ManifestBuilder::new();
        for (path, size) in entries {
            let kind = match path.strip_suffix('/') {
                Some(_) => EntryKind::Directory,
                None => EntryKind::File { size: *size, executable: false, mime: None, root: None },
            };
            let path = SafePath::parse(path.trim_end_matches('/')).unwrap();
            builder.push(&Entry { path, kind, modified: None }).unwrap();
        }
        builder.finish().unwrap()
    }

    fn sample() -> Manifest {
        manifest(&[
            ("live", None),
            ("notes.txt", Some(1_500)),
            ("写真/", None),
            ("写真/a.jpg", Some(2_000_000)),
            ("写真/b/", None),
            ("写真/b/c.jpg", Some(500_000)),
        ])
    }

    #[test]
    fn directories_are_shown_with_what_is_in_them() {
        insta::assert_snapshot!(listing(&sample(), Some("for\u{1b}[2J you")));
    }

    #[test]
    fn a_long_list_is_cut_and_counted() {
        let names: Vec<String> = (0..25).map(|i| format!("f{i:02}")).collect();
        let entries: Vec<_> = names.iter().map(|name| (name.as_str(), Some(1))).collect();
        let text = listing(&manifest(&entries), None);
        assert!(text.contains("f19") && !text.contains("f20"), "{text}");
        assert!(text.ends_with("  … and 5 more\n"), "{text}");
    }

    fn answer(mut input: &[u8]) -> (bool, String) {
        let mut out = Vec::new();
        let accepted = ask(&sample(), None, &mut input, &mut out).unwrap();
        (accepted, String::from_utf8(out).unwrap())
    }

    #[test]
    fn enter_and_yes_accept_no_and_the_end_of_input_decline() {
        for input in ["\n", "y\n", "YES\n", "Y"] {
            assert!(answer(input.as_bytes()).0, "{input:?}");
        }
        for input in ["", "n\n", "No\n", "maybe\nn\n", "\u{fffd}\n", &"x\n".repeat(99)] {
            assert!(!answer(input.as_bytes()).0, "{input:?}");
        }
    }

    // SC-SHOW-LIST, TR-LIST-FIRST
    #[test]
    fn l_lists_every_entry_and_asks_again() {
        let (accepted, text) = answer(b"l\ny\n");
        let (before, after) = text.split_once("Accept?").unwrap();
        assert!(before.starts_with("Offered: 4 files in 2 directories, "), "{before}");
        for (_, entry) in sample().iter() {
            let path = entry.path.as_str();
            let line = after.lines().find(|line| line.contains(&format!("  {path}")));
            let size = entry.size().map(size).unwrap_or_default();
            assert!(line.is_some_and(|line| line.contains(&size)), "{path}: {after}");
        }
        assert!(accepted);
        assert!(text.contains("  写真/b/c.jpg  (500 kB)\n"), "{text}");
        assert_eq!(text.matches("Accept?").count(), 2);
    }
}
