//! Sources that are not what they were when they were offered: the file fails,
//! its half is nowhere to be seen, and the others arrive.

use std::fs;
use std::io::Write;
use std::process::Stdio;

use super::pair::{Room, receiving, recv, send};
use super::process::{Ended, Process, passel};

/// Offers `d`, lets `change` happen, then accepts.
fn changing(room: &Room, change: impl FnOnce()) -> (Ended, Ended) {
    let (sender, link) = send(&[&room.path("d")]);
    let mut command = receiving(passel(), &link, &room.out());
    command.stdin(Stdio::piped());
    let mut receiver = Process::start("receiver", command);
    receiver.event("offer");
    change();
    receiver.type_in("y\n");
    let received = receiver.end();
    (sender.end(), received)
}

/// Status of each file, as a side reports it.
fn statuses(ended: &Ended) -> Vec<String> {
    let events = ended.events();
    let files = events.iter().filter(|event| event["event"] == "file");
    let mut lines: Vec<String> = files
        .map(|event| {
            format!("{} {}", event["path"].as_str().unwrap(), event["status"].as_str().unwrap())
        })
        .collect();
    lines.sort();
    lines
}

#[test]
fn a_file_that_shrinks_after_the_offer_fails_and_the_others_arrive() {
    let room = Room::new();
    room.file("d/a", b"first");
    let path = room.file("d/b", vec![7; 300_000]);
    room.file("d/c", b"third");
    let (sent, received) = changing(&room, || fs::write(&path, vec![7; 200_000]).unwrap());
    let (sent, received) = (sent.expect(10), received.expect(10));
    for ended in [&sent, &received] {
        assert_eq!(statuses(ended), ["d/a done", "d/b failed", "d/c done"], "{}", ended.all());
        let text = ended.events().iter().find(|event| event["event"] == "warning").cloned();
        let text = text.unwrap_or_else(|| panic!("no warning: {}", ended.all()));
        assert!(text["text"].as_str().unwrap().contains("d/b"), "{text}");
        assert!(text["text"].as_str().unwrap().contains("changed"), "{text}");
    }
    assert_eq!(fs::read(room.out().join("d/a")).unwrap(), b"first");
    assert_eq!(fs::read(room.out().join("d/c")).unwrap(), b"third");
    assert!(!room.out().join("d/b").exists());
    assert_eq!(room.arrived(), ["d"]);
}

#[test]
fn a_file_that_grows_while_it_is_sent_fails_and_the_others_arrive() {
    let room = Room::new();
    room.file("d/a", b"first");
    let path = room.hole("d/b", 256 << 20);
    room.file("d/c", b"third");
    let (sender, link) = send(&[&room.path("d")]);
    let mut receiver = recv(&link, &room.out());
    receiver.event_where("progress", |event| event["bytes"].as_u64() > Some(5));
    fs::File::options().append(true).open(&path).unwrap().write_all(b"more").unwrap();
    for ended in [sender.end().expect(10), receiver.end().expect(10)] {
        assert_eq!(statuses(&ended), ["d/a done", "d/b failed", "d/c done"], "{}", ended.all());
    }
    assert_eq!(fs::read(room.out().join("d/c")).unwrap(), b"third");
    assert!(!room.out().join("d/b").exists());
}

#[test]
fn a_file_that_is_removed_after_the_offer_fails_and_the_others_arrive() {
    let room = Room::new();
    let path = room.file("d/a", b"first");
    room.file("d/b", b"second");
    let (sent, received) = changing(&room, || fs::remove_file(&path).unwrap());
    for ended in [sent.expect(10), received.expect(10)] {
        assert_eq!(statuses(&ended), ["d/a failed", "d/b done"], "{}", ended.all());
    }
    assert_eq!(fs::read(room.out().join("d/b")).unwrap(), b"second");
}

#[test]
fn if_the_only_file_changes_both_sides_say_that_it_did() {
    let room = Room::new();
    let path = room.file("d/a", b"first");
    let (sent, received) = changing(&room, || fs::write(&path, b"another length").unwrap());
    for ended in [sent.expect(13), received.expect(13)] {
        assert!(ended.failure().contains("changed"), "{}", ended.all());
    }
    assert!(!room.out().join("d/a").exists());
}
