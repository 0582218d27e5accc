//! Disks that are full or must not be written to: both sides say so, and nothing
//! is left behind.

use super::namespace;
use super::pair::{Room, send};
use super::process::Ended;

/// Sends a file of so many bytes onto such a disk.
fn onto(options: &str, size: u64) -> (Ended, Ended, String) {
    let room = Room::new();
    let path = room.hole("big", size);
    let (sender, link) = send(&[&path]);
    let list = room.path("list");
    let received = namespace::recv(options, &link, &room.out(), &list).end();
    let left = std::fs::read_to_string(&list).unwrap_or_else(|_| panic!("{}", received.all()));
    (sender.end(), received, left)
}

#[test]
fn a_full_disk_ends_both_sides_with_what_to_do() {
    if !namespace::available() {
        return;
    }
    let (sent, received, left) = onto("size=4m", 32 << 20);
    let failure = received.expect(9).failure();
    assert!(failure.contains("The disk of this computer is full."), "{failure}");
    assert!(failure.contains("--out"), "{failure}");
    let failure = sent.expect(9).failure();
    assert!(failure.contains("The receiver's disk is full."), "{failure}");
    assert_eq!(left, "");
}

#[test]
fn a_disk_without_room_for_names_is_full_too() {
    if !namespace::available() {
        return;
    }
    // The root alone takes the only one.
    let (sent, received, left) = onto("nr_inodes=1", 100);
    received.expect(9);
    sent.expect(9);
    assert_eq!(left, "");
}

#[test]
fn a_directory_that_must_not_be_written_ends_both_sides() {
    if !namespace::available() {
        return;
    }
    let (sent, received, left) = onto("ro", 100);
    let failure = received.expect(9).failure();
    assert!(failure.contains("read-only") && failure.contains("--out"), "{failure}");
    let failure = sent.expect(9).failure();
    assert!(failure.contains("The receiver could not write the files."), "{failure}");
    assert_eq!(left, "");
}
