//! Rules about marks that are left behind in code: reminders without an id,
//! debugging macros, tests that do not run, unsafe blocks.
//!
//! The words that are looked for are put together from parts, so that this file
//! does not hold them.

use super::rust_text::code_only;
use super::{bad_lines, has_word, hold, sample};
use crate::repo::SourceFile;

const REMINDERS: &[&str] = &[concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X")];

/// Paths below which `unsafe` may be used: a function of the C library is
/// replaced there, so that simulations can be repeated.
const UNSAFE_ALLOWED: &[&str] = &["sim/entropy/"];

/// A reminder is fine with an id in parentheses: `WORD(TR-SOMETHING)`.
fn is_bare_reminder(line: &str) -> bool {
    REMINDERS.iter().any(|word| {
        has_word(line, word)
            && !line.split(word).skip(1).all(|rest| {
                let id = rest.strip_prefix('(').and_then(|rest| rest.split_once(')'));
                id.is_some_and(|(id, _)| {
                    id.contains(|found: char| found.is_ascii_digit() || found == '-')
                })
            })
    })
}

fn reminders(files: &[SourceFile]) -> Vec<String> {
    let texts = files.iter().filter(|file| !file.has_extension("lock"));
    texts.flat_map(|file| bad_lines(&file.path, &file.text, is_bare_reminder)).collect()
}

fn in_code(files: &[SourceFile], is_bad: impl Fn(&str) -> bool + Copy) -> Vec<String> {
    let rust = files.iter().filter(|file| file.is_rust());
    rust.flat_map(|file| bad_lines(&file.path, &code_only(&file.text), is_bad)).collect()
}

fn debugging(files: &[SourceFile]) -> Vec<String> {
    in_code(files, |line| line.contains(concat!("db", "g!")))
}

fn ignored(files: &[SourceFile]) -> Vec<String> {
    in_code(files, |line| {
        let attribute = line.trim_start();
        attribute.starts_with(concat!("#[ig", "nore")) || line.contains(concat!(", ig", "nore)]"))
    })
}

fn unsafe_code(files: &[SourceFile]) -> Vec<String> {
    let mut found = in_code(files, |line| has_word(line, concat!("un", "safe")));
    found.retain(|place| !UNSAFE_ALLOWED.iter().any(|path| place.starts_with(path)));
    found
}

#[test]
fn no_reminder_is_without_an_id() {
    hold("reminders without an id in parentheses", reminders);
}

#[test]
fn no_debugging_macro_is_left() {
    hold("debugging macros", debugging);
}

#[test]
fn no_test_is_ignored() {
    hold("tests that do not run", ignored);
}

#[test]
fn no_unsafe_code_outside_the_allowed_paths() {
    hold("unsafe code outside the allowed paths", unsafe_code);
}

#[test]
fn the_rules_about_marks_find_what_they_look_for() {
    let todo = REMINDERS[0];
    let file = |text: &str| [sample("a/src/a.rs", text)];
    assert_eq!(reminders(&file(&format!("//! A.\n// {todo}: later\n"))).len(), 1);
    assert_eq!(reminders(&file(&format!("// {todo}(soon) later\n"))).len(), 1);
    assert!(reminders(&file(&format!("// {todo}(TR-LATER) later\n// {todo}S\n"))).is_empty());
    assert_eq!(debugging(&file(concat!("db", "g!(x);"))).len(), 1);
    assert_eq!(ignored(&file(concat!("    #[ig", "nore = \"slow\"]"))).len(), 1);
    assert_eq!(unsafe_code(&file(concat!("un", "safe { x() }"))).len(), 1);
    assert!(unsafe_code(&file(concat!("#![forbid(un", "safe_code)] // un", "safe"))).is_empty());
}
