//! The rules of the house that a compiler does not know, each a test of its
//! own. A rule is a function from files to complaints, so that it can be shown
//! to find what it looks for; [`hold`] runs it over the whole project.

mod arrows;
mod files;
mod leaks;
mod marks;
mod rust_text;
mod sans_io;

use crate::repo::{self, SourceFile};

/// Runs a rule over all tracked files and fails with its complaints.
fn hold(rule: &str, check: impl Fn(&[SourceFile]) -> Vec<String>) {
    let files = repo::tracked().unwrap();
    assert!(files.len() > 10, "git lists too few files for this to prove anything");
    let complaints = check(&files);
    assert!(complaints.is_empty(), "{rule}:\n  {}", complaints.join("\n  "));
}

/// A file that a rule is tried on.
fn sample(path: &str, text: &str) -> SourceFile {
    SourceFile { path: path.to_owned(), text: text.to_owned() }
}

/// `path:line: text` for each line that `is_bad`.
fn bad_lines(path: &str, text: &str, is_bad: impl Fn(&str) -> bool) -> Vec<String> {
    text.lines()
        .enumerate()
        .filter(|(_, line)| is_bad(line))
        .map(|(index, line)| format!("{path}:{}: {}", index + 1, line.trim()))
        .collect()
}

/// Whether `text` holds `word` with no letter, digit or underscore beside it.
fn has_word(text: &str, word: &str) -> bool {
    let inside =
        |found: Option<char>| found.is_some_and(|found| found.is_alphanumeric() || found == '_');
    text.match_indices(word).any(|(at, _)| {
        !inside(text[..at].chars().next_back()) && !inside(text[at + word.len()..].chars().next())
    })
}

#[test]
fn words_are_found_whole() {
    assert!(has_word("a cat.", "cat") && has_word("cat", "cat"));
    assert!(!has_word("concat cats cat_1", "cat"));
}
