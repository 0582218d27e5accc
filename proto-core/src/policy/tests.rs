//! What is chosen of small offers, rule by rule.

use super::*;
use crate::manifest::ManifestBuilder;
use crate::path::SafePath;

/// Directories end with `/`; sizes are in bytes.
fn manifest(entries: &[(&str, u64)]) -> Manifest {
    let mut builder = ManifestBuilder::new();
    for (path, size) in entries {
        let mime = path.contains(".png").then(|| "image/png".to_owned());
        let kind = match path.strip_suffix('/') {
            Some(_) => EntryKind::Directory,
            None => EntryKind::File { size: Some(*size), executable: false, mime, root: None },
        };
        let path = SafePath::parse(path.trim_end_matches('/')).unwrap();
        builder.push(&Entry { path, kind, modified: None }).unwrap();
    }
    builder.finish().unwrap()
}

fn names(manifest: &Manifest, choice: &Choice) -> Vec<String> {
    let taken = manifest.iter().filter(|(index, _)| choice.contains(*index));
    taken.map(|(_, entry)| entry.path.as_str().to_owned()).collect()
}

fn tree() -> Manifest {
    manifest(&[
        ("a.png", 10),
        ("d/", 0),
        ("d/big", 1_000),
        ("d/sub/", 0),
        ("d/sub/b.png", 20),
        ("e/", 0),
        ("f/", 0),
        ("f/big", 2_000),
    ])
}

// TR-POLICY
#[test]
fn without_rules_all_is_taken() {
    let tree = tree();
    let choice = Policy::unlimited().choose(&tree, |_, _| true);
    assert_eq!(choice.selection(), None);
    assert_eq!((choice.files(), choice.bytes()), (4, 3_030));
    assert!(Policy::unlimited().check(&choice).is_ok());
}

// TR-POLICY
#[test]
fn a_file_above_the_limit_is_left_out_with_its_reason_and_the_rest_is_taken() {
    let (tree, policy) = (tree(), Policy { max_file: Some(999), ..Policy::unlimited() });
    let choice = policy.choose(&tree, |_, _| true);
    assert_eq!(names(&tree, &choice), ["a.png", "d", "d/sub", "d/sub/b.png", "e"]);
    let why = Objection::TooLarge;
    assert_eq!(choice.objections(), [(FileIndex(2), why), (FileIndex(7), why)]);
    let range = |first, count| EntryRange { first, count };
    assert_eq!(choice.selection(), Some(vec![range(0, 2), range(3, 3)]));
    assert!(policy.check(&choice).is_ok());
}

#[test]
fn what_is_not_wanted_is_left_out_without_a_reason() {
    let tree = tree();
    let choice = Policy::default().choose(&tree, |_, entry| entry.path.as_str().contains("png"));
    assert_eq!(names(&tree, &choice), ["a.png", "d", "d/sub", "d/sub/b.png"]);
    assert!(choice.objections().is_empty());
    let only = Policy::default().choose(&tree, |_, entry| entry.path.as_str() == "e");
    assert_eq!((names(&tree, &only), only.files()), (vec!["e".to_owned()], 0));
}

#[test]
fn limits_on_the_whole_choose_nothing_and_refuse_it() {
    let tree = tree();
    for policy in [
        Policy { max_total: Some(3_029), ..Policy::unlimited() },
        Policy { max_files: Some(3), ..Policy::unlimited() },
    ] {
        let choice = policy.choose(&tree, |_, _| true);
        assert_eq!(choice.selection(), None);
        assert_eq!(policy.check(&choice).unwrap_err().code, ErrorCode::TooLarge);
        let fewer = policy.choose(&tree, |index, _| index.0 < 5);
        assert!(policy.check(&fewer).is_ok());
    }
}

#[test]
fn when_nothing_is_left_the_code_says_why() {
    let (tree, everything) = (tree(), |_: FileIndex, _: &Entry| true);
    let code = |policy: &Policy, choice: &Choice| policy.check(choice).unwrap_err().code;
    let small = Policy { max_file: Some(1), ..Policy::unlimited() };
    let choice = small.choose(&manifest(&[("a", 2)]), everything);
    assert_eq!(code(&small, &choice), ErrorCode::TooLarge);
    let mut typed = Policy::unlimited();
    typed.types.deny.push("image/*".parse().unwrap());
    let choice = typed.choose(&manifest(&[("a.png", 2)]), everything);
    assert_eq!(code(&typed, &choice), ErrorCode::PolicyRefused);
    assert_eq!(choice.objections(), [(FileIndex(0), Objection::Type)]);
    let choice = typed.choose(&tree, |_, _| false);
    assert_eq!(code(&typed, &choice), ErrorCode::Declined);
}

#[test]
fn the_default_is_the_registrys_limit_for_one_file() {
    let sizes = [("a", DEFAULT_MAX_FILE), ("b", DEFAULT_MAX_FILE + 1)];
    let manifest = manifest(&sizes);
    let choice = Policy::default().choose(&manifest, |_, _| true);
    assert_eq!(names(&manifest, &choice), ["a"]);
}
