//! Rules about what must not leak into the project: where a developer's machine
//! keeps its files, and which package registry it uses.
//!
//! The words that are looked for are put together from parts, so that this file
//! does not hold them.

use super::{bad_lines, hold, sample};
use crate::repo::SourceFile;

const HOSTS: &[&str] = &[
    concat!("index.", "crates.io"),
    concat!("static.", "crates.io"),
    concat!("://", "crates.io"),
    concat!("registry.", "npmjs"),
    concat!("registry.", "yarnpkg"),
    concat!("proxy.", "golang"),
    concat!("files.", "pythonhosted"),
    concat!("pypi", ".org"),
    concat!("arti", "factory"),
    concat!("sparse", "+http"),
    concat!("replace", "-with"),
];

/// What cargo writes into its lock file for the default registry.
const LOCK_SOURCE: &str = "registry+https://github.com/rust-lang/crates.io-index";

const PLACES: &[&str] = &[concat!("/ro", "ot/"), concat!("/ho", "me/"), concat!("/wo", "rk/")];
const OUTSIDE: &str = concat!("../sh", "ared");

fn hosts(files: &[SourceFile]) -> Vec<String> {
    let names_host = |line: &str| HOSTS.iter().any(|host| line.contains(host));
    let mut found = Vec::new();
    for file in files {
        found.extend(bad_lines(&file.path, &file.text, names_host));
        if file.path.ends_with("Cargo.lock") {
            let other = |line: &str| {
                let source = line.strip_prefix("source = \"");
                source.is_some_and(|source| source.trim_end_matches('"') != LOCK_SOURCE)
            };
            found.extend(bad_lines(&file.path, &file.text, other));
        }
    }
    found
}

/// An absolute path begins a word; within a longer path it means nothing.
fn has_absolute(line: &str) -> bool {
    PLACES.iter().any(|place| {
        line.match_indices(place).any(|(at, _)| {
            let before = line[..at].chars().next_back();
            !before.is_some_and(|found| found.is_alphanumeric() || "._-~/}".contains(found))
        })
    })
}

fn paths(files: &[SourceFile]) -> Vec<String> {
    let bad = |line: &str| has_absolute(line) || line.contains(OUTSIDE);
    files.iter().flat_map(|file| bad_lines(&file.path, &file.text, bad)).collect()
}

#[test]
fn no_file_names_a_package_registry_s_host() {
    hold("names of package registries' hosts", hosts);
}

#[test]
fn no_file_names_a_place_on_somebody_s_machine() {
    hold("paths of a developer's machine", paths);
}

#[test]
fn the_rules_about_leaks_find_what_they_look_for() {
    let lock = |source: &str| [sample("Cargo.lock", &format!("source = \"{source}\"\n"))];
    assert!(hosts(&lock(LOCK_SOURCE)).is_empty());
    assert_eq!(hosts(&lock("git+https://example.org/x")).len(), 1);
    assert_eq!(hosts(&[sample("a.toml", HOSTS[0])]).len(), 1);
    let line = |text: String| paths(&[sample("a.md", &text)]).len();
    assert_eq!(line(format!("see \"{}me\"", PLACES[0])), 1);
    assert_eq!(line(format!("{}x", PLACES[1])), 1);
    assert_eq!(line(format!("target{}x", PLACES[2])), 0);
    assert_eq!(line(OUTSIDE.to_owned()), 1);
}
