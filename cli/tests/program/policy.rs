//! What a receiver takes: limits, a part that is selected, types by content, and a
//! scanner. What is not taken is never written, and both sides read why.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant, SystemTime};

use rustix::process::Signal;
use serde_json::Value;

use super::pair::{Room, attempt_with, receiving, recv, send, transfer};
use super::process::{Ended, PATIENCE, Process, passel};

/// A program's first bytes, as no text has them.
const ELF: &[u8] = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x03\0\x3e\0\x01\0\0\0\0\0\0\0\
    \0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";

fn warnings(ended: &Ended) -> String {
    let events = ended.events();
    let texts = events.iter().filter(|event| event["event"] == "warning");
    texts.map(|event| event["text"].as_str().unwrap()).collect::<Vec<_>>().join("\n")
}

fn status_of(ended: &Ended, path: &str) -> Value {
    let events = ended.events();
    let event = events.iter().find(|event| event["event"] == "file" && event["path"] == path);
    event.unwrap_or_else(|| panic!("nothing on {path}: {}", ended.all()))["status"].clone()
}

#[test]
fn a_file_above_the_limit_is_left_out_and_the_rest_arrives() {
    let room = Room::new();
    let (small, large) = (room.file("small", b"content"), room.file("large", vec![b'x'; 2_001]));
    let (sent, received) = attempt_with(&room, &[&small, &large], &["--max-file", "2kB"]);
    let received = received.expect(0);
    assert_eq!(sent.expect(0).last()["files"], 1);
    assert_eq!(room.arrived(), ["small"]);
    assert_eq!(status_of(&received, "large"), "skipped");
    let warnings = warnings(&received);
    assert!(warnings.contains("large is left out: too large (2.00 kB)"), "{warnings}");
    assert!(warnings.contains("--max-file"), "{warnings}");
}

// TR-POLICY
#[test]
fn when_all_is_above_the_limit_both_sides_read_so_and_nothing_is_written() {
    let room = Room::new();
    let large = room.hole("large", 500_000_001);
    let (sent, received) = attempt_with(&room, &[&large], &[]);
    let received = received.expect(11);
    assert_eq!(received.last()["code"], "TOO_LARGE");
    let failure = received.failure();
    assert!(
        failure.contains("above this side's limit") && failure.contains("--max-file"),
        "{failure}"
    );
    let failure = sent.expect(11).failure();
    assert!(failure.contains("above the receiver's limit"), "{failure}");
    assert!(room.arrived().is_empty());
}

// TR-SELECTION-ONLY
#[test]
fn a_program_selects_places_of_the_offer_and_nothing_else_is_ever_written() {
    let room = Room::new();
    for name in ["d/a", "d/b", "d/e/c", "f"] {
        room.file(name, name);
    }
    let (sender, link) = send(&[&room.path("d"), &room.path("f")]);
    let mut command = receiving(passel(), &link, &room.out());
    command.stdin(Stdio::piped());
    let mut receiver = Process::start("receiver", command);
    let offer = receiver.event("offer");
    let place = |path| {
        let entries = offer["entries"].as_array().unwrap();
        entries.iter().position(|entry| entry["path"] == path).unwrap()
    };
    let files = format!("[{},{}]", place("d/b"), place("d/e"));
    receiver.type_in(&format!("{{\"command\":\"accept\",\"files\":{files}}}\n"));
    let received = receiver.end().expect(0);
    assert_eq!(sender.end().expect(0).last()["files"], 2);
    assert_eq!(room.arrived(), ["d"]);
    assert!(!room.out().join("d/a").exists());
    assert_eq!(fs::read(room.out().join("d/b")).unwrap(), b"d/b");
    assert_eq!(fs::read(room.out().join("d/e/c")).unwrap(), b"d/e/c");
    assert_eq!(
        (status_of(&received, "f"), status_of(&received, "d/b")),
        ("skipped".into(), "done".into())
    );
}

#[test]
fn patterns_select_without_anybody_who_is_asked() {
    let room = Room::new();
    for name in ["d/a.jpg", "d/raw/b.jpg", "d/c.txt"] {
        room.file(name, name);
    }
    let arguments = ["--only", "*.jpg", "--skip", "raw"];
    let (sent, received) = attempt_with(&room, &[&room.path("d")], &arguments);
    received.expect(0);
    sent.expect(0);
    let names: Vec<_> = fs::read_dir(room.out().join("d")).unwrap().collect();
    assert_eq!(names.len(), 1, "{names:?}");
    assert!(room.out().join("d/a.jpg").exists());
}

// TR-POLICY-CONTENT
#[test]
fn what_a_file_is_counts_and_not_what_it_is_called() {
    let room = Room::new();
    let (good, liar) = (room.file("good.txt", b"text"), room.file("liar.txt", ELF));
    let (sent, received) = attempt_with(&room, &[&good, &liar], &["--allow-type", "text/*"]);
    let received = received.expect(10);
    assert_eq!(room.arrived(), ["good.txt"]);
    assert_eq!(status_of(&received, "liar.txt"), "failed");
    let told = warnings(&received);
    assert!(told.contains("its content is application/x-executable"), "{told}");
    let told = warnings(&sent.expect(10));
    assert!(told.contains("A rule of the receiver refused it"), "{told}");
}

/// A scanner from this script.
fn scanner(room: &Room, script: &str) -> PathBuf {
    let path = room.file("scanner", format!("#!/bin/sh\n{script}\n"));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
    path
}

// TR-POLICY-CONTENT
#[test]
fn what_the_scanner_refuses_never_gets_its_name() {
    let room = Room::new();
    let (good, bad) = (room.file("good", b"content"), room.file("bad", b"a virus"));
    let scanner = scanner(&room, "! grep -q virus \"$1\"");
    let arguments = ["--scan", scanner.to_str().unwrap()];
    let (sent, received) = attempt_with(&room, &[&good, &bad], &arguments);
    let told = warnings(&received.expect(10));
    assert!(told.contains("the scanner refused it with exit code 1"), "{told}");
    sent.expect(10);
    assert_eq!(room.arrived(), ["good"]);
}

#[test]
fn a_scanner_that_is_not_there_is_said_before_the_invitation_is_spent() {
    let room = Room::new();
    let path = room.file("f", b"content");
    let (sender, link) = send(&[&path]);
    let mut command = receiving(passel(), &link, &room.out());
    command.args(["--yes", "--scan", "/nonexistent/scanner --fast"]);
    let failure = Process::start("receiver", command).end().expect(2).failure();
    assert!(failure.contains("no program '/nonexistent/scanner'"), "{failure}");
    recv(&link, &room.out()).end().expect(0);
    sender.end().expect(0);
}

#[test]
fn an_interrupt_ends_a_scanner_that_hangs() {
    let room = Room::new();
    let path = room.file("f", b"content");
    let scanner =
        scanner(&room, &format!("echo $$ > '{}'; sleep 1000", room.path("pid").display()));
    let (sender, link) = send(&[&path]);
    let mut command = receiving(passel(), &link, &room.out());
    command.args(["--yes", "--scan"]).arg(scanner);
    let receiver = Process::start("receiver", command);
    let begin = Instant::now();
    let pid = loop {
        let pid = fs::read_to_string(room.path("pid")).unwrap_or_default();
        if pid.ends_with('\n') {
            break pid.trim().to_owned();
        }
        assert!(begin.elapsed() < PATIENCE, "no scanner runs");
        std::thread::sleep(Duration::from_millis(5));
    };
    receiver.signal(Signal::INT);
    receiver.end_within(Duration::from_secs(5)).expect(7);
    sender.end().expect(7);
    assert!(!PathBuf::from(format!("/proc/{pid}")).exists(), "the scanner still runs");
    assert!(room.arrived().is_empty());
}

#[test]
fn what_a_killed_receiver_left_is_removed_by_a_later_one_once_it_is_old() {
    let room = Room::new();
    let path = room.file("f", b"content");
    let old = room.out().join(".passel-0123456789abcdef.part");
    let recent = room.out().join(".passel-fedcba9876543210.part");
    for (directory, age) in [(&old, 3_700), (&recent, 3_500)] {
        fs::create_dir(directory).unwrap();
        fs::write(directory.join("0"), b"half").unwrap();
        for path in [directory.join("0"), directory.clone()] {
            let then = SystemTime::now() - Duration::from_secs(age);
            fs::File::open(path).unwrap().set_modified(then).unwrap();
        }
    }
    transfer(&room, &[&path]);
    assert!(!old.exists() && recent.exists());
}
