//! What a walk finds, leaves out and refuses, in real directories.

use super::*;

fn paths(sources: &Sources) -> Vec<String> {
    sources.manifest().iter().map(|(_, entry)| entry.path.as_str().to_owned()).collect()
}

fn touch(path: &Path) {
    fs::write(path, b"x").unwrap();
}

#[test]
fn names_are_kept_sorted_with_directories_before_their_content() {
    let dir = tempfile::tempdir().unwrap();
    let top = dir.path().join("top");
    fs::create_dir_all(top.join("写真/空")).unwrap();
    fs::create_dir(top.join("a")).unwrap();
    for name in ["-name", "写真/日本語.jpg", "a/z", "a-b", ".hidden", "Z"] {
        touch(&top.join(name));
    }
    let sources = walk(&[top]).unwrap();
    assert_eq!(
        paths(&sources),
        [
            "top",
            "top/-name",
            "top/.hidden",
            "top/Z",
            "top/a",
            "top/a/z",
            "top/a-b",
            "top/写真",
            "top/写真/日本語.jpg",
            "top/写真/空",
        ]
    );
    assert_eq!(sources.manifest().directories(), 4);
    assert_eq!(sources.manifest().total_bytes(), 6);
    assert!(sources.warnings().is_empty());
    let jpg = sources.manifest().entry(FileIndex(8)).unwrap();
    let EntryKind::File { size, executable, mime, .. } = jpg.kind else { panic!("{jpg:?}") };
    assert_eq!((size, executable, mime.as_deref()), (Some(1), false, Some("image/jpeg")));
    assert!(jpg.modified.is_some());
}

#[test]
fn a_path_is_named_by_its_last_component_whatever_its_form() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("outer/inner")).unwrap();
    let name = |end: &str| paths(&walk(&[dir.path().join(end)]).unwrap())[0].clone();
    assert_eq!(name("outer/inner"), "inner");
    assert_eq!(name("outer/inner/"), "inner");
    assert_eq!(name("outer/inner/."), "inner");
    assert_eq!(name("outer/inner/.."), "outer");
    assert_eq!(name("outer/inner/../inner"), "inner");
    let root = walk(&[PathBuf::from("/")]).unwrap_err();
    assert!(matches!(root, WalkError::Unreadable { .. }), "{root}");
}

#[test]
fn two_paths_with_one_name_are_an_error_that_names_both() {
    let dir = tempfile::tempdir().unwrap();
    for (parent, name) in [("1", "same"), ("2", "same"), ("3", "SAME")] {
        fs::create_dir(dir.path().join(parent)).unwrap();
        touch(&dir.path().join(parent).join(name));
    }
    for other in ["2/same", "3/SAME"] {
        let error = walk(&[dir.path().join("1/same"), dir.path().join(other)]).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("1/same") && text.contains(other), "{text}");
        assert_eq!(error.to_failure().exit, Exit::Refused);
    }
    let both = dir.path().join("1");
    touch(&both.join("Same"));
    assert!(matches!(walk(&[both]), Err(WalkError::Same { .. })));
}

#[test]
fn missing_files_are_an_error() {
    let error = walk(&[PathBuf::from("/nonexistent/x\u{1b}y")]).unwrap_err();
    assert_eq!(error.to_string(), "/nonexistent/x\\u{1b}y does not exist");
    assert_eq!(error.to_failure().exit, Exit::Source);
}

#[test]
fn a_name_that_receivers_refuse_is_an_error_that_names_the_rule() {
    let dir = tempfile::tempdir().unwrap();
    touch(&dir.path().join("good"));
    touch(&dir.path().join("aux.txt"));
    let error = walk(&[dir.path().to_owned()]).unwrap_err();
    let text = error.to_string();
    // The directory's own name may be refused first, but it never is.
    assert!(text.contains("aux.txt") && text.contains("MF-PATH-DEVICE"), "{text}");
}

#[cfg(unix)]
#[test]
fn a_name_that_is_not_unicode_is_an_error() {
    use std::os::unix::ffi::OsStrExt;
    let dir = tempfile::tempdir().unwrap();
    touch(&dir.path().join(OsStr::from_bytes(b"a\xffb")));
    assert!(matches!(walk(&[dir.path().to_owned()]), Err(WalkError::NotUnicode { .. })));
}

#[cfg(unix)]
#[test]
fn links_inside_are_left_out_and_a_link_as_argument_is_followed() {
    use std::os::unix::fs::symlink;
    let dir = tempfile::tempdir().unwrap();
    let top = dir.path().join("top");
    fs::create_dir(&top).unwrap();
    touch(&top.join("file"));
    symlink("file", top.join("link")).unwrap();
    symlink("/etc", top.join("etc")).unwrap();
    symlink("nowhere", top.join("dangling")).unwrap();
    symlink("top", dir.path().join("alias")).unwrap();
    let sources = walk(&[dir.path().join("alias")]).unwrap();
    assert_eq!(paths(&sources), ["alias", "alias/file"]);
    assert_eq!(sources.warnings().len(), 3);
    assert!(sources.warnings().iter().all(|text| text.contains("symbolic link")));
    let (root, below) = sources.locate(FileIndex(1)).unwrap();
    assert_eq!(root.join(below), top.canonicalize().unwrap().join("file"));
}

#[cfg(unix)]
#[test]
fn pipes_and_sockets_are_left_out_without_blocking() {
    let dir = tempfile::tempdir().unwrap();
    touch(&dir.path().join("file"));
    let _socket = std::os::unix::net::UnixListener::bind(dir.path().join("socket")).unwrap();
    let mode = rustix::fs::Mode::RUSR;
    rustix::fs::mknodat(
        rustix::fs::CWD,
        dir.path().join("pipe"),
        rustix::fs::FileType::Fifo,
        mode,
        0,
    )
    .unwrap();
    let sources = walk(&[dir.path().to_owned()]).unwrap();
    assert_eq!(sources.manifest().files(), 1);
    assert_eq!(sources.warnings().len(), 2);
    let argument = walk(&[dir.path().join("socket")]).unwrap_err();
    assert!(argument.to_string().contains("neither a file nor a directory"), "{argument}");
}

#[cfg(unix)]
#[test]
fn the_executable_bit_is_told() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let tool = dir.path().join("tool");
    touch(&tool);
    fs::set_permissions(&tool, fs::Permissions::from_mode(0o4755)).unwrap();
    let entry = walk(&[tool]).unwrap().manifest().entry(FileIndex(0)).unwrap();
    assert!(matches!(entry.kind, EntryKind::File { executable: true, .. }));
}

#[cfg(target_os = "linux")]
#[test]
fn a_name_that_is_not_normalised_is_offered_normalised_and_still_found() {
    let dir = tempfile::tempdir().unwrap();
    let (decomposed, composed) = ("u\u{308}ber", "\u{fc}ber");
    let top = dir.path().join("top");
    fs::create_dir_all(top.join("x").join(decomposed)).unwrap();
    touch(&top.join("x").join(decomposed).join("file"));
    touch(&dir.path().join(decomposed));
    let sources = walk(&[top.clone(), dir.path().join(decomposed)]).unwrap();
    let inner = format!("top/x/{composed}");
    let file = format!("{inner}/file");
    assert_eq!(paths(&sources), ["top", "top/x", &inner, &file, composed]);
    for index in [3, 4] {
        let (root, below) = sources.locate(FileIndex(index)).unwrap();
        assert!(root.join(below).is_file(), "{index}");
    }
}

#[test]
fn only_a_hundred_warnings_are_kept() {
    let mut walker = Walker::default();
    for number in 0..105 {
        walker.warn(|| number.to_string());
    }
    let entry =
        Entry { path: SafePath::parse("x").unwrap(), kind: EntryKind::Directory, modified: None };
    walker.builder.push(&entry).unwrap();
    let sources = walker.finish(BTreeMap::new()).unwrap();
    assert_eq!(sources.warnings().len(), 101);
    assert_eq!(sources.warnings()[100], "5 more were left out");
}

#[test]
fn ten_thousand_files_take_a_few_seconds_at_most() {
    let dir = tempfile::tempdir().unwrap();
    for group in 0..100 {
        let sub = dir.path().join(format!("d{group}"));
        fs::create_dir(&sub).unwrap();
        for file in 0..100 {
            touch(&sub.join(format!("f{file}")));
        }
    }
    let start = crate::clock::now();
    let sources = walk(&[dir.path().to_owned()]).unwrap();
    assert_eq!(sources.manifest().files(), 10_000);
    assert!(start.elapsed().as_secs() < 5, "{:?}", start.elapsed());
}

#[cfg(unix)]
#[test]
fn pipes_are_streams_where_they_are_named_and_left_out_further_down() {
    let dir = tempfile::tempdir().unwrap();
    let top = dir.path().join("top");
    fs::create_dir(&top).unwrap();
    let make = |path: &Path| {
        let mode = rustix::fs::Mode::from_raw_mode(0o600);
        rustix::fs::mknodat(rustix::fs::CWD, path, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    };
    make(&top.join("inner"));
    make(&dir.path().join("log.txt"));
    std::os::unix::fs::symlink("log.txt", dir.path().join("link")).unwrap();
    let named = ["top", "log.txt", "link"].map(|name| dir.path().join(name));
    let sources = walk(&named).unwrap();
    assert_eq!(paths(&sources), ["link", "log.txt", "top"]);
    assert_eq!(sources.warnings().len(), 1, "{:?}", sources.warnings());
    for (index, name) in [(0, "link"), (1, "log.txt")] {
        let path = dir.path().join(name);
        assert_eq!(sources.stream(FileIndex(index)), Some(&Stream::Pipe(path)));
        assert_eq!(sources.manifest().entry(FileIndex(index)).unwrap().size(), None);
    }
    assert!(!sources.take_standard_input());
}

#[test]
fn a_dash_is_standard_input_under_the_name_that_was_given() {
    let dir = tempfile::tempdir().unwrap();
    touch(&dir.path().join("-"));
    let dash = PathBuf::from(STANDARD_INPUT);
    let sources = walk_named(&[dash.clone(), dir.path().join("-")], "dump.sql").unwrap();
    assert_eq!(paths(&sources), ["-", "dump.sql"]);
    let entry = sources.manifest().entry(FileIndex(1)).unwrap();
    assert_eq!((entry.size(), entry.modified), (None, None));
    assert_eq!(sources.stream(FileIndex(0)), None);
    assert!(sources.take_standard_input());
    assert!(matches!(walk(&[dash.clone(), dash.clone()]), Err(WalkError::Same { .. })));
    for name in ["", "..", "a\u{202e}b", "a:b"] {
        let refused = walk_named(std::slice::from_ref(&dash), name);
        assert!(matches!(refused, Err(WalkError::Name { .. })), "{name:?}");
    }
}
