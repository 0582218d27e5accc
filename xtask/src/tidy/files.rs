//! Rules about files as a whole: how long they are and how they begin.

use super::{hold, sample};
use crate::repo::SourceFile;

const MAX_LINES: usize = 800;
const MAX_MEDIAN: usize = 300;

fn lengths(files: &[SourceFile]) -> Vec<(usize, &str)> {
    let rust = files.iter().filter(|file| file.is_rust());
    let mut lengths: Vec<_> = rust.map(|file| (file.text.lines().count(), &*file.path)).collect();
    lengths.sort_unstable();
    lengths
}

fn too_long(files: &[SourceFile]) -> Vec<String> {
    let long = lengths(files).into_iter().filter(|(lines, _)| *lines >= MAX_LINES);
    long.map(|(lines, path)| format!("{path}: {lines} lines")).collect()
}

fn median_too_high(files: &[SourceFile]) -> Vec<String> {
    let lengths = lengths(files);
    match lengths.get(lengths.len() / 2) {
        None => vec!["there is no source file".to_owned()],
        Some((median, _)) if *median > MAX_MEDIAN => vec![format!("the median is {median} lines")],
        Some(_) => Vec::new(),
    }
}

fn headless(files: &[SourceFile]) -> Vec<String> {
    let rust = files.iter().filter(|file| file.is_rust());
    rust.filter(|file| !file.text.starts_with("//! ")).map(|file| file.path.clone()).collect()
}

#[test]
fn no_file_has_800_lines() {
    hold("files of 800 lines or more; split them by idea", too_long);
}

#[test]
fn the_median_file_has_at_most_300_lines() {
    hold("half of the files are longer than 300 lines", median_too_high);
}

#[test]
fn every_file_says_at_its_head_what_lives_in_it() {
    hold("files that do not begin with a `//!` paragraph", headless);
}

#[test]
fn the_rules_about_files_find_what_they_look_for() {
    let long = "//! Head.\n".repeat(MAX_LINES);
    let files = [sample("a/src/a.rs", &long), sample("a/src/b.rs", "fn main() {}\n")];
    assert_eq!(too_long(&files), ["a/src/a.rs: 800 lines"]);
    assert_eq!(median_too_high(&files).len(), 1);
    assert!(median_too_high(&files[1..]).is_empty());
    assert_eq!(headless(&files), ["a/src/b.rs"]);
}
