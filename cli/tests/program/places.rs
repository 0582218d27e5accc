//! Where what arrives is put: never over what is there, and never through a link
//! that somebody planted.

use std::fs;
use std::os::unix::fs::symlink;

use super::pair::{Room, transfer};

#[test]
fn a_file_that_exists_is_never_overwritten() {
    let room = Room::new();
    let path = room.file("note.txt", b"new");
    room.file("out/note.txt", b"old");
    let (_, received) = transfer(&room, &[&path]);
    assert_eq!(fs::read(room.out().join("note.txt")).unwrap(), b"old");
    assert_eq!(fs::read(room.out().join("note (1).txt")).unwrap(), b"new");
    assert_eq!(room.arrived(), ["note (1).txt", "note.txt"]);
    let told = room.out().join("note (1).txt");
    let events = received.events();
    let event = events.iter().find(|event| event["event"] == "received").unwrap();
    assert_eq!(event["path"].as_str().unwrap(), told.to_str().unwrap());
}

#[test]
fn a_directory_that_exists_is_not_mixed_with_the_new_one() {
    let room = Room::new();
    room.file("d/f", b"new");
    room.file("out/d/g", b"old");
    transfer(&room, &[&room.path("d")]);
    assert_eq!(fs::read(room.out().join("d (1)/f")).unwrap(), b"new");
    assert_eq!(fs::read_dir(room.out().join("d")).unwrap().count(), 1);
}

#[test]
fn a_planted_link_is_not_followed() {
    let room = Room::new();
    let file = room.file("f", b"new");
    let dangling = room.file("g", b"new");
    room.file("d/inside", b"new");
    let victim = room.file("elsewhere/victim", b"old");
    symlink(&victim, room.out().join("f")).unwrap();
    symlink(room.path("elsewhere/made"), room.out().join("g")).unwrap();
    symlink(room.path("elsewhere"), room.out().join("d")).unwrap();
    transfer(&room, &[&file, &dangling, &room.path("d")]);
    assert_eq!(fs::read(&victim).unwrap(), b"old");
    assert_eq!(fs::read_dir(room.path("elsewhere")).unwrap().count(), 1);
    for name in ["f (1)", "g (1)", "d (1)/inside"] {
        let path = room.out().join(name);
        assert!(fs::symlink_metadata(&path).unwrap().is_file(), "{name}");
        assert_eq!(fs::read(path).unwrap(), b"new");
    }
}

#[test]
fn the_directory_for_what_arrives_is_made_if_it_is_missing() {
    let room = Room::new();
    let path = room.file("f", b"content");
    let (sender, link) = super::pair::send(&[&path]);
    super::pair::recv(&link, &room.out().join("new/deep")).end().expect(0);
    sender.end().expect(0);
    assert_eq!(fs::read(room.out().join("new/deep/f")).unwrap(), b"content");
}
