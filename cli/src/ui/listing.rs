//! The list of what is offered (`SC-SHOW-LIST`, `TR-LIST-FIRST`). What does not live
//! here: the question that is put after it ([`super::question`]), and rules for offers.

use std::fmt::Write as _;
use std::io::{self, Write};

use passel_proto::escape::for_terminal;
use passel_proto::manifest::{Entry, Manifest};

use super::format::{contents, size};

/// Most entries of the top level that are listed at first.
pub const MAX_SHOWN: usize = 20;

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
    let open_end = manifest.streams() > 0;
    let mut out = format!(
        "Offered: {}, {}\n",
        contents(manifest.files(), manifest.directories()),
        shown_size(manifest.total_bytes(), open_end)
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

/// Writes a line for every entry, with its number, from 1 on.
pub fn list_all(manifest: &Manifest, out: &mut dyn Write) -> io::Result<()> {
    let width = manifest.len().to_string().len();
    for (number, (_, entry)) in (1_u32..).zip(manifest.iter()) {
        let path = for_terminal(entry.path.as_str());
        if entry.is_directory() {
            writeln!(out, "{number:>width$}  {path}/")?;
        } else {
            let size = entry.size();
            let size = shown_size(size.unwrap_or(0), size.is_none());
            writeln!(out, "{number:>width$}  {path}  ({size})")?;
        }
    }
    Ok(())
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
}
