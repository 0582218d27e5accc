//! What a receiver looks for in files before they get their final names: their type
//! by their first bytes, the size of those whose size was not known, and what the
//! user's scanner says (`TR-POLICY-CONTENT`). What does not live here: rules that the
//! list alone decides (`passel_proto::policy`).

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::Path;

use passel_proto::escape::for_terminal;
use passel_proto::ids::FileIndex;
use passel_proto::manifest::{Entry, EntryKind};
use passel_proto::policy::{TypeRules, UNKNOWN_TYPE};
use passel_proto::storage::{StorageError, StorageErrorKind};

use super::read_exact_at;
use super::scan::Scan;

/// How many bytes of the beginning are looked at.
pub const LOOKED_AT: usize = 8_192;

/// The checks of one transfer. The default checks nothing.
#[derive(Debug, Default)]
pub struct Screen {
    /// Media types that are taken.
    pub types: TypeRules,
    /// Most bytes of a file whose size was not offered; none for no limit.
    pub max_file: Option<u64>,
    /// Most bytes of all such files together; none for no limit.
    pub max_unknown: Option<u64>,
    /// The user's scanner, if there is one.
    pub scan: Option<Scan>,
}

/// How far the files reach whose size was not offered, and how long they are together.
#[derive(Debug, Default)]
pub(super) struct Reached {
    files: BTreeMap<FileIndex, Reach>,
    together: u64,
}

/// How far one file reaches.
#[derive(Clone, Copy, Debug, Default)]
struct Reach {
    end: u64,
    /// What an earlier session stored of it, in bytes: that stays whatever becomes of it now.
    stored: u64,
}

impl Reached {
    /// How long all of them are together once this one reaches to `end`.
    pub(super) fn with(&self, file: FileIndex, end: u64) -> u64 {
        let before = self.files.get(&file).map_or(0, |reach| reach.end);
        self.together.saturating_add(end.saturating_sub(before))
    }

    /// This file reaches to `end`, if it did not before.
    pub(super) fn reach(&mut self, file: FileIndex, end: u64) {
        self.together = self.with(file, end);
        let reach = self.files.entry(file).or_default();
        reach.end = reach.end.max(end);
    }

    /// An earlier session stored this file, which has `size` bytes. It comes again, and
    /// counts once.
    pub(super) fn store(&mut self, file: FileIndex, size: u64) {
        self.reach(file, size);
        self.files.entry(file).or_default().stored = size;
    }

    /// Whether an earlier session stored this file.
    pub(super) fn has_stored(&self, file: FileIndex) -> bool {
        self.files.get(&file).is_some_and(|reach| reach.stored > 0)
    }

    /// What came of this file is gone.
    pub(super) fn forget(&mut self, file: FileIndex) {
        if let Some(reach) = self.files.get_mut(&file) {
            let gone = reach.end.saturating_sub(reach.stored);
            reach.end = reach.stored;
            self.together = self.together.saturating_sub(gone);
        }
    }
}

impl Screen {
    /// Looks at how far a file grows whose size was not offered: to `end`, and all such
    /// files to `together`.
    pub fn on_growth(&self, entry: &Entry, end: u64, together: u64) -> Result<(), StorageError> {
        let is_above = |limit: Option<u64>, bytes: u64| limit.is_some_and(|limit| bytes > limit);
        if is_above(self.max_file, end) || is_above(self.max_unknown, together) {
            return Err(refused(
                entry,
                "it grew above the limit of size (--max-file, --max-total)",
            ));
        }
        Ok(())
    }

    /// Looks at what is written at `offset`, so that what is refused stops early.
    pub fn on_write(&self, entry: &Entry, offset: u64, data: &[u8]) -> Result<(), StorageError> {
        if offset == 0 {
            return self.check_type(entry, data.get(..LOOKED_AT).unwrap_or(data));
        }
        Ok(())
    }

    /// The last look at a whole file at `path`, before it gets its name.
    pub fn on_commit(&self, entry: &Entry, file: &File, path: &Path) -> Result<(), StorageError> {
        // Again, for the beginning may have been written by an earlier process.
        if !self.types.is_empty() {
            let begin =
                beginning(file).map_err(|error| super::writing(&error, entry.path.as_str()))?;
            self.check_type(entry, &begin)?;
        }
        let Some(scan) = &self.scan else { return Ok(()) };
        scan.check(path, entry.path.as_str()).map_err(|why| refused(entry, &why))
    }

    fn check_type(&self, entry: &Entry, begin: &[u8]) -> Result<(), StorageError> {
        if self.types.is_empty() || begin.is_empty() {
            return Ok(());
        }
        let declared = match &entry.kind {
            EntryKind::File { mime: Some(mime), .. } => Some(mime.as_str()),
            _ => None,
        };
        let found = media_type(begin, declared);
        if self.types.permits(&found) {
            return Ok(());
        }
        Err(refused(entry, &format!("its content is {found}, which is not taken")))
    }
}

/// The media type of a file that begins so. Text has no mark of its own: it is of
/// the type that was declared, if that is one of text, or else `text/plain`. What is
/// neither known nor text is `application/octet-stream`, whatever was declared.
fn media_type(begin: &[u8], declared: Option<&str>) -> String {
    if let Some(kind) = infer::get(begin) {
        return kind.mime_type().to_owned();
    }
    if !is_text(begin) {
        return UNKNOWN_TYPE.to_owned();
    }
    declared.filter(|declared| is_text_type(declared)).unwrap_or("text/plain").to_owned()
}

/// Valid UTF-8 without a zero byte, but for a character that the end cuts.
fn is_text(begin: &[u8]) -> bool {
    let is_whole = match std::str::from_utf8(begin) {
        Ok(_) => true,
        Err(error) => error.error_len().is_none() && begin.len() >= LOOKED_AT,
    };
    is_whole && !begin.contains(&0)
}

fn is_text_type(mime: &str) -> bool {
    let essence = mime.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence.starts_with("text/")
        || essence.ends_with("+json")
        || essence.ends_with("+xml")
        || [
            "application/json",
            "application/xml",
            "application/javascript",
            "application/toml",
            "application/yaml",
            "application/x-yaml",
            "application/sql",
            "application/rtf",
        ]
        .contains(&essence.as_str())
}

fn beginning(file: &File) -> io::Result<Vec<u8>> {
    let len = usize::try_from(file.metadata()?.len()).unwrap_or(usize::MAX).min(LOOKED_AT);
    let mut begin = vec![0; len];
    read_exact_at(file, &mut begin, 0)?;
    Ok(begin)
}

fn refused(entry: &Entry, why: &str) -> StorageError {
    let text = format!("{} is refused: {why}", for_terminal(entry.path.as_str()));
    StorageError { kind: StorageErrorKind::Refused, text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use passel_proto::path::SafePath;

    const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR";
    const ELF: &[u8] = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x03\0\x3e\0\x01\0\0\0\
        \0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";

    fn entry(mime: Option<&str>) -> Entry {
        let mime = mime.map(str::to_owned);
        let kind = EntryKind::File { size: None, executable: false, mime, root: None };
        Entry { path: SafePath::parse("a").unwrap(), kind, modified: None }
    }

    fn screen(allow: &[&str], deny: &[&str]) -> Screen {
        let parse = |rules: &[&str]| rules.iter().map(|rule| rule.parse().unwrap()).collect();
        let types = TypeRules { allow: parse(allow), deny: parse(deny) };
        Screen { types, ..Screen::default() }
    }

    #[test]
    fn types_are_told_by_first_bytes_and_text_by_what_it_is_not() {
        assert_eq!(media_type(PNG, Some("text/plain")), "image/png");
        assert_eq!(media_type(ELF, None), "application/x-executable");
        assert_eq!(media_type("grüße".as_bytes(), None), "text/plain");
        assert_eq!(
            media_type(b"a,b\n", Some("text/csv; header=present")),
            "text/csv; header=present"
        );
        assert_eq!(media_type(b"a,b\n", Some("image/png")), "text/plain");
        assert_eq!(media_type(b"a\0b", Some("text/plain")), UNKNOWN_TYPE);
        assert_eq!(media_type(b"\xff\xfe\xfd", Some("image/png")), UNKNOWN_TYPE);
    }

    #[test]
    fn a_character_that_the_look_cuts_is_still_text() {
        let mut text = vec![b'x'; LOOKED_AT - 1];
        text.push("é".as_bytes()[0]);
        assert!(is_text(&text));
        assert!(!is_text(&text[1..]), "a file that ends so is not");
    }

    // TR-POLICY-CONTENT
    #[test]
    fn what_is_denied_or_not_allowed_is_refused_by_its_first_bytes() {
        let liar = entry(Some("image/png"));
        let refuse = |screen: &Screen, data: &[u8]| {
            screen
                .on_write(&liar, 0, data)
                .is_err_and(|error| error.kind == StorageErrorKind::Refused)
        };
        let images = screen(&["image/*"], &[]);
        assert!(!refuse(&images, PNG) && refuse(&images, ELF) && refuse(&images, b"text"));
        let no_programs = screen(&[], &["application/x-executable"]);
        assert!(!refuse(&no_programs, PNG) && refuse(&no_programs, ELF));
        assert!(!refuse(&Screen::default(), ELF));
        assert!(images.on_write(&liar, 8_192, ELF).is_ok(), "only a beginning has a type");
    }

    #[test]
    fn a_file_of_unknown_size_is_stopped_where_it_grows_too_large() {
        let screen = Screen { max_file: Some(10), ..Screen::default() };
        assert!(screen.on_growth(&entry(None), 10, 100).is_ok());
        assert!(screen.on_growth(&entry(None), 11, 11).is_err());
    }

    #[test]
    fn files_of_unknown_size_are_stopped_where_they_grow_too_large_together() {
        let screen = Screen { max_file: Some(8), max_unknown: Some(10), ..Screen::default() };
        let grow = |reached: &mut Reached, file: u32, end: u64| {
            let (entry, file) = (entry(None), FileIndex(file));
            let is_ok = screen.on_growth(&entry, end, reached.with(file, end)).is_ok();
            if is_ok {
                reached.reach(file, end);
            }
            is_ok
        };
        let mut reached = Reached::default();
        assert!(grow(&mut reached, 0, 6) && grow(&mut reached, 0, 3), "one end, the highest");
        assert!(grow(&mut reached, 1, 4) && !grow(&mut reached, 1, 5));
        reached.forget(FileIndex(0));
        assert!(grow(&mut reached, 1, 8) && !grow(&mut reached, 1, 9), "each has its limit too");
        assert!(grow(&mut reached, 2, 2) && !grow(&mut reached, 2, 3));
    }

    #[test]
    fn what_an_earlier_session_stored_counts_once_and_for_good() {
        let mut reached = Reached::default();
        reached.store(FileIndex(0), 6);
        assert!(reached.has_stored(FileIndex(0)) && !reached.has_stored(FileIndex(1)));
        assert_eq!((reached.with(FileIndex(0), 4), reached.with(FileIndex(1), 4)), (6, 10));
        reached.reach(FileIndex(0), 7);
        reached.forget(FileIndex(0));
        assert_eq!(reached.with(FileIndex(1), 4), 10);
    }
}
