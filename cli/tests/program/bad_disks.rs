//! Disks that are slow, or full after some bytes: the program runs on a library that
//! stands between it and its writes (`bad_disk.c`).

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;

use super::again::{again_recv, content, expect_same, kept_send};
use super::pair::{Room, recv_command, send, with_link};
use super::process::Process;

/// Longer than a receiver that has everything waits for a sender that does not come.
const LONGER_THAN_A_SHORT_MEETING: Duration = Duration::from_secs(6);

/// The library, built for this test. The compiler is one that every machine has
/// on which this program can be linked.
fn library(room: &Room) -> PathBuf {
    let library = room.path("bad_disk.so");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/program/bad_disk.c");
    let mut compiler = Command::new("cc");
    compiler.args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(source).arg("-ldl");
    assert!(compiler.status().unwrap().success(), "the C compiler failed");
    library
}

fn on_bad_disk(mut command: Command, library: &Path, name: &str, value: u64) -> Command {
    command.env("LD_PRELOAD", library).env(name, value.to_string());
    command
}

/// A receiver whose storage takes a second for each write does not make the sender
/// of a large file hold more of it.
#[test]
fn a_receiver_with_slow_storage_holds_its_sender_back() {
    let room = Room::new();
    // Far more than can arrive here before a hole comes, which needs no write.
    let path = room.file("big", content(64 << 20, 5));
    std::fs::File::options().write(true).open(&path).unwrap().set_len(512 << 20).unwrap();
    let library = library(&room);
    let (sender, link) = send(&[&path]);
    let command = recv_command(&link, &room.out());
    let mut receiver =
        Process::start("receiver", on_bad_disk(command, &library, "BAD_DISK_DELAY_MS", 1000));
    // Its window is full of chunks that wait for the disk.
    receiver.event_where("progress", |event| event["bytes"].as_u64() >= Some(3 << 20));
    for _ in 0..10 {
        receiver.event("progress");
    }
    receiver.signal(Signal::KILL);
    sender.signal(Signal::INT);
    receiver.end().expect_small();
    sender.end().expect_small();
}

/// The disk fills at bytes drawn from a fixed seed: both sides say so, nothing is lost,
/// and once there is room the transfer goes on.
#[test]
fn a_disk_that_fills_anywhere_loses_nothing() {
    let mut random = 0x2545_f491_4f6c_dd1d_u64;
    for _ in 0..4 {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let room = Room::new();
        let path = room.file("big", content(12 << 20, 3));
        let library = library(&room);
        let full_at = random % (12 << 20);
        let (mut sender, link) = with_link(Process::start("sender", kept_send(&room, &path, &[])));
        let command = recv_command(&link, &room.out());
        let command = on_bad_disk(command, &library, "BAD_DISK_ROOM", full_at);
        let failure = Process::start("receiver", command).end().expect(9).failure();
        assert!(failure.contains("The disk of this computer is full."), "{failure}");
        let lost = sender.event("lost");
        assert!(lost.to_string().contains("full"), "{lost}");
        assert!(!room.out().join("big").exists(), "nothing has its final name");
        Process::start("receiver", again_recv(&room)).end().expect(0);
        sender.end().expect(0);
        expect_same(&room, &path);
    }
}

/// The receiver has everything and says so, but its sender goes down before it hears it.
/// With the same code the receiver tells it again, and nothing is stored twice; it takes
/// little time for that, but all of it where the sender is there and slow.
#[test]
fn a_receipt_that_was_not_heard_is_given_again() {
    let room = Room::new();
    let path = room.file("big", content(200_000, 9));
    let library = library(&room);
    let (sender, link) = with_link(Process::start("sender", kept_send(&room, &path, &[])));
    let command = recv_command(&link, &room.out());
    let mut receiver =
        Process::start("receiver", on_bad_disk(command, &library, "BAD_DISK_DELAY_MS", 3000));
    // All has left the sender while the disk is busy with the first of four chunks.
    receiver.event_where("progress", |event| event["bytes"].as_u64() == Some(200_000));
    sender.signal(Signal::STOP);
    receiver.event("completed");
    sender.kill();
    receiver.end().expect(0);
    let mut sender = Process::start("sender", kept_send(&room, &path, &[]));
    // A receiver that needs nothing tries once, so the sender's server must listen by then.
    sender.event("waiting");
    let mut receiver = Process::start("receiver", recv_command(&link, &room.out()));
    receiver.event("connecting");
    sender.signal(Signal::STOP);
    std::thread::sleep(LONGER_THAN_A_SHORT_MEETING);
    sender.signal(Signal::CONT);
    let received = receiver.end().expect(0);
    let sent = sender.end().expect(0);
    for ended in [&received, &sent] {
        let last = ended.last();
        assert_eq!((&last["event"], &last["files"]), (&"completed".into(), &1.into()), "{last}");
    }
    expect_same(&room, &path);
}
