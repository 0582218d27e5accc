//! Transfers that are interrupted and go on: by lost connections, killed
//! processes, and both.

use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::Signal;
use serde_json::Value;

use super::pair::{Room, recv_command, with_link};
use super::process::{Ended, Process, passel};

/// Options that make a loss be noticed soon, so that tests need not wait long.
const IMPATIENT: [&str; 2] = ["--silence", "3"];

/// A sender that a killed one's successor can be.
pub(crate) fn kept_send(room: &Room, path: &Path, more: &[&str]) -> Command {
    let mut command = passel();
    command.env("PASSEL_STATE", room.path("sender-state"));
    command.args(["send", "--json", "--keep", "--listen", "127.0.0.1:0", "--bind", "127.0.0.1"]);
    command.args(IMPATIENT).args(more).arg("--").arg(path);
    command
}

/// A receiver that has a code.
fn first_recv(room: &Room, link: &str) -> Process {
    let mut command = recv_command(link, &room.out());
    command.args(IMPATIENT);
    Process::start("receiver", command)
}

/// A receiver that has none, and continues.
pub(crate) fn again_recv(room: &Room) -> Command {
    let mut command = passel();
    command.env("PASSEL_STATE", room.path("state"));
    command.args(["recv", "--json", "--yes", "--bind", "127.0.0.1", "--out"]).arg(room.out());
    command.args(IMPATIENT);
    command
}

/// Waits until so many bytes have arrived, by the progress of either side.
fn progress(process: &mut Process, bytes: u64) {
    process.event_where("progress", |event: &Value| event["bytes"].as_u64() >= Some(bytes));
}

/// Content in which no chunk is like another, and none of zeros.
pub(crate) fn content(size: usize, seed: u64) -> Vec<u8> {
    let mut state = seed | 1;
    let words = (0..size / 8).flat_map(|_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    });
    words.collect()
}

pub(crate) fn expect_same(room: &Room, path: &Path) {
    let name = path.file_name().unwrap();
    let (ours, theirs) = (std::fs::read(path).unwrap(), std::fs::read(room.out().join(name)));
    assert!(theirs.unwrap() == ours, "the copy differs");
    assert_eq!(room.arrived(), [name.to_str().unwrap()], "nothing else is left");
}

fn names(ended: &Ended) -> Vec<String> {
    ended.events().iter().map(|event| event["event"].as_str().unwrap().to_owned()).collect()
}

fn big(room: &Room, megabytes: usize) -> PathBuf {
    room.file("big", content(megabytes << 20, 7))
}

#[test]
fn a_receiver_that_is_killed_continues_without_a_code() {
    let room = Room::new();
    let path = big(&room, 24);
    let (mut sender, link) = plain_send(&path);
    let mut receiver = first_recv(&room, &link);
    progress(&mut receiver, 8 << 20);
    receiver.kill();
    sender.event("lost");
    sender.event("reconnecting");
    let received = Process::start("receiver", again_recv(&room)).end().expect(0);
    let sent = sender.end().expect(0);
    for ended in [&sent, &received] {
        let told = names(ended);
        assert!(told.contains(&"continued".to_owned()), "{told:?}");
    }
    let events = received.events();
    let continued = events.iter().find(|event| event["event"] == "continued").unwrap();
    assert!(continued["bytes"].as_u64() >= Some(4 << 20), "{continued}");
    expect_same(&room, &path);
}

#[test]
fn a_sender_that_is_killed_continues_when_it_is_run_again() {
    let room = Room::new();
    let path = big(&room, 24);
    let limit = ["--limit", "8MB"];
    let (sender, link) = with_link(Process::start("sender", kept_send(&room, &path, &limit)));
    let mut receiver = first_recv(&room, &link);
    progress(&mut receiver, 8 << 20);
    sender.kill();
    let sender = Process::start("sender", kept_send(&room, &path, &limit));
    let received = receiver.end().expect(0);
    let sent = sender.end().expect(0);
    assert!(!names(&sent).contains(&"invite".to_owned()), "{}", sent.all());
    assert!(names(&received).contains(&"lost".to_owned()), "{}", received.all());
    expect_same(&room, &path);
    let notes = std::fs::read_dir(room.path("sender-state")).unwrap().count();
    assert_eq!(notes, 0, "nothing is kept of what is done");
}

/// As at a restart of the computer: the system asks the programs to end.
#[test]
fn sides_that_their_system_ends_continue_when_they_are_run_again() {
    let room = Room::new();
    let path = big(&room, 24);
    let limit = ["--limit", "8MB"];
    let (sender, link) = with_link(Process::start("sender", kept_send(&room, &path, &limit)));
    let mut receiver = first_recv(&room, &link);
    progress(&mut receiver, 6 << 20);
    sender.signal(Signal::TERM);
    let failure = sender.end().expect(15).failure();
    assert!(failure.contains("The system ended this program."), "{failure}");
    receiver.event("lost");
    let mut sender = Process::start("sender", kept_send(&room, &path, &limit));
    receiver.event("continued");
    progress(&mut receiver, 14 << 20);
    receiver.signal(Signal::TERM);
    receiver.end().expect(15);
    sender.event("lost");
    let received = Process::start("receiver", again_recv(&room)).end().expect(0);
    let events = received.events();
    let continued = events.iter().find(|event| event["event"] == "continued").unwrap();
    assert!(continued["bytes"].as_u64() >= Some(10 << 20), "{continued}");
    sender.end().expect(0);
    expect_same(&room, &path);
}

const KILLS: u64 = 20;
const SIZE: u64 = 256 << 20;

/// Numbers for tests, the same for the same seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % end
    }
}

/// Waits until the receiver has written so far into its one unfinished file: events
/// come too seldom to choose a moment at full speed.
fn reached(room: &Room, bytes: u64) {
    let begun = std::time::Instant::now();
    let files_in = |path: PathBuf| std::fs::read_dir(path).into_iter().flatten().flatten();
    while !files_in(room.out())
        .flat_map(|hidden| files_in(hidden.path()))
        .any(|file| file.metadata().is_ok_and(|data| data.len() >= bytes))
    {
        assert!(begun.elapsed() < super::process::PATIENCE, "{bytes} bytes were never reached");
        std::thread::yield_now();
    }
}

#[test]
#[allow(clippy::print_stderr, reason = "what was measured is worth seeing")]
fn slow_twenty_kills_of_either_side_cost_little_and_spoil_nothing() {
    let room = Room::new();
    let path = big(&room, 256);
    let mut dice = Dice(0x5eed_0f20);
    let start_sender = || Process::start("sender", kept_send(&room, &path, &[]));
    let (mut sender, link) = with_link(start_sender());
    let mut receiver = first_recv(&room, &link);
    let (mut moved, mut there) = (0, 0);
    for kill in 0..KILLS {
        let part = SIZE / (KILLS + 1);
        reached(&room, (kill * part + dice.below(part)).max(there + 1));
        let survivor = if dice.below(2) == 0 {
            sender.kill();
            sender = start_sender();
            &mut receiver
        } else {
            receiver.kill();
            receiver = Process::start("receiver", again_recv(&room));
            &mut sender
        };
        let lost = survivor.event("lost")["moved"].as_u64().unwrap();
        let before = there;
        there = survivor.event("continued")["bytes"].as_u64().unwrap();
        eprintln!("kill {kill}: {lost} moved, {before} there, then {there}");
        moved += lost;
    }
    receiver.end().expect(0);
    sender.end().expect(0);
    moved += SIZE - there;
    expect_same(&room, &path);
    let twice = moved.saturating_sub(SIZE);
    eprintln!("{twice} bytes of {SIZE} went twice");
    assert!(twice <= SIZE / 20, "{twice} bytes of {SIZE} went twice");
}

/// A sender that keeps nothing, but is patient enough.
fn plain_send(path: &Path) -> (Process, String) {
    let mut send = passel();
    send.args(["send", "--json", "--listen", "127.0.0.1:0", "--bind", "127.0.0.1"]);
    send.args(IMPATIENT).args(["--limit", "8MB", "--"]).arg(path);
    with_link(Process::start("sender", send))
}

#[test]
fn two_that_lose_each_other_find_each_other_again() {
    let room = Room::new();
    let path = big(&room, 24);
    let (mut sender, link) = plain_send(&path);
    let mut receiver = first_recv(&room, &link);
    progress(&mut receiver, 8 << 20);
    // A computer that sleeps; when it wakes up it finds the other one silent too.
    receiver.signal(Signal::STOP);
    sender.event("lost");
    receiver.signal(Signal::CONT);
    for ended in [receiver.end().expect(0), sender.end().expect(0)] {
        let told = names(&ended);
        assert!(told.contains(&"continued".to_owned()), "{told:?}");
    }
    expect_same(&room, &path);
}

#[test]
fn the_same_code_continues_and_a_cancel_leaves_nothing_to_continue() {
    let room = Room::new();
    let path = big(&room, 24);
    let (mut sender, link) = plain_send(&path);
    let mut receiver = first_recv(&room, &link);
    progress(&mut receiver, 4 << 20);
    receiver.kill();
    sender.event("lost");
    let mut receiver = first_recv(&room, &link);
    receiver.event("continued");
    receiver.signal(Signal::INT);
    receiver.end().expect(7);
    sender.end().expect(7);
    assert!(room.arrived().is_empty(), "{:?}", room.arrived());
    // With nothing left, it asks for a code, of which there is none.
    Process::start("receiver", again_recv(&room)).end().expect(2);
}
