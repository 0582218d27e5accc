//! Disks that are full or must not be written to: both sides say so, and nothing
//! is left behind.

use super::namespace;
use super::pair::{Room, receiving, send};
use super::process::{Ended, Process, binary, clean};

/// Sends a file of so many bytes onto such a disk; somebody says yes to it, or it is
/// taken without a question.
fn onto(options: &str, size: usize, asked: bool) -> (Ended, Ended, String) {
    let room = Room::new();
    // No zeros, for which a disk needs no room.
    let path = room.file("big", vec![b'x'; size]);
    let (sender, link) = send(&[&path]);
    let list = room.path("list");
    let mut receiver = namespace::recv(options, &link, &room.out(), &list, !asked);
    if asked {
        let warning = receiver.event("warning")["text"].to_string();
        assert!(warning.contains("of the disk are free"), "{warning}");
        receiver.type_in("y\n");
    }
    let received = receiver.end();
    let left = std::fs::read_to_string(&list).unwrap_or_else(|_| panic!("{}", received.all()));
    (sender.end(), received, left)
}

#[test]
fn a_full_disk_ends_both_sides_with_what_to_do() {
    if !namespace::available() {
        return;
    }
    // Known before, and found out in the middle by who said yes all the same.
    for asked in [false, true] {
        let (sent, received, left) = onto("size=4m", 32 << 20, asked);
        let received = received.expect(9);
        let is_begun = received.events().iter().any(|event| event["event"] == "accepted");
        assert_eq!(is_begun, asked, "{}", received.all());
        let failure = received.failure();
        assert!(failure.contains("The disk of this computer is full."), "{failure}");
        assert!(failure.contains("--out"), "{failure}");
        let failure = sent.expect(9).failure();
        assert!(failure.contains("The receiver's disk is full."), "{failure}");
        // What came is kept for when there is room (RS-KEEP-FULL).
        assert_eq!(left.contains("/.passel-"), asked, "{left}");
        assert!(!left.contains("/big"), "{left}");
    }
}

/// Starts a receiver under this limit of the shell's.
fn receive_within(limit: &str, link: &str, room: &Room) -> Process {
    let mut command = clean(std::process::Command::new("sh"));
    command.args(["-c", &format!("ulimit {limit}; exec \"$@\""), "sh"]).arg(binary());
    let mut command = receiving(command, link, &room.out());
    command.arg("--yes");
    Process::start("receiver", command)
}

#[test]
fn a_file_above_what_the_disk_can_hold_in_one_fails_alone() {
    let room = Room::new();
    let (big, small) = (room.file("big", vec![b'x'; 8 << 20]), room.file("small", b"content"));
    let (sender, link) = send(&[&big, &small]);
    // In blocks of 512 bytes.
    let received = receive_within("-f 4096", &link, &room).end().expect(10);
    sender.end().expect(10);
    assert!(received.all().contains("too large for its disk"), "{}", received.all());
    assert_eq!(room.arrived(), ["small"]);
}

#[test]
fn files_arrive_where_few_may_be_open() {
    const FILES: usize = 600;
    let room = Room::new();
    for number in 0..FILES {
        room.file(&format!("many/{number}"), number.to_string());
    }
    let directory = room.path("many");
    let (sender, link) = send(&[&directory]);
    let received = receive_within("-n 100", &link, &room).end().expect(0);
    sender.end().expect(0);
    let arrived = room.out().join("many");
    assert_eq!(std::fs::read_dir(&arrived).unwrap().count(), FILES, "{}", received.all());
    assert_eq!(std::fs::read(arrived.join("599")).unwrap(), b"599");
}

#[test]
fn a_disk_without_room_for_names_is_full_too() {
    if !namespace::available() {
        return;
    }
    // The root alone takes the only one.
    let (sent, received, left) = onto("nr_inodes=1", 100, false);
    received.expect(9);
    sent.expect(9);
    assert_eq!(left, "");
}

#[test]
fn a_directory_that_must_not_be_written_ends_both_sides() {
    if !namespace::available() {
        return;
    }
    let (sent, received, left) = onto("ro", 100, false);
    let failure = received.expect(9).failure();
    assert!(failure.contains("read-only") && failure.contains("--out"), "{failure}");
    let failure = sent.expect(9).failure();
    assert!(failure.contains("The receiver could not write the files."), "{failure}");
    assert_eq!(left, "");
}
