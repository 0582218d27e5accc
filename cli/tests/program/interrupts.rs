//! Ctrl-C at any time: the program ends at once, tells the other side, and leaves
//! nothing half done behind.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;

use super::pair::{Room, long_send, recv, send, with_link};
use super::process::{Ended, Process};

/// Longest that a person at a terminal should wait after Ctrl-C.
const PROMPT: Duration = Duration::from_secs(5);

/// A transfer in its middle.
pub(crate) fn in_the_middle(room: &Room) -> (Process, Process) {
    let (sender, link) = with_link(Process::start("sender", long_send(room, &[])));
    let mut receiver = recv(&link, &room.out());
    receiver.event_where("progress", |event: &Value| event["bytes"].as_u64() > Some(0));
    (sender, receiver)
}

fn expect_cancelled(ended: Ended, sentence: &str) {
    let failure = ended.expect(7).failure();
    assert!(failure.contains(sentence), "{failure}");
}

#[test]
fn the_sender_interrupts_and_nothing_is_left_at_the_receiver() {
    let room = Room::new();
    let (sender, receiver) = in_the_middle(&room);
    sender.signal(Signal::INT);
    expect_cancelled(sender.end_within(PROMPT), "You cancelled.");
    expect_cancelled(receiver.end_within(PROMPT), "The other side cancelled.");
    assert!(room.arrived().is_empty(), "{:?}", room.arrived());
}

#[test]
fn the_receiver_interrupts_and_leaves_nothing_behind() {
    let room = Room::new();
    let (sender, receiver) = in_the_middle(&room);
    receiver.signal(Signal::INT);
    expect_cancelled(receiver.end_within(PROMPT), "You cancelled.");
    expect_cancelled(sender.end_within(PROMPT), "The other side cancelled.");
    assert!(room.arrived().is_empty(), "{:?}", room.arrived());
}

#[test]
fn a_polite_kill_of_a_sender_that_keeps_nothing_is_as_good_as_an_interrupt() {
    let room = Room::new();
    let (sender, receiver) = in_the_middle(&room);
    sender.signal(Signal::TERM);
    sender.end_within(PROMPT).expect(7);
    receiver.end_within(PROMPT).expect(7);
    assert!(room.arrived().is_empty(), "{:?}", room.arrived());
}

#[test]
fn an_interrupt_while_nobody_has_come_ends_at_once() {
    let room = Room::new();
    let path = room.file("f", b"content");
    let (mut sender, _) = send(&[&path]);
    sender.event("waiting");
    let begin = Instant::now();
    sender.signal(Signal::INT);
    expect_cancelled(sender.end_within(PROMPT), "You cancelled.");
    assert!(begin.elapsed() < Duration::from_secs(2), "{:?}", begin.elapsed());
}

#[test]
fn the_demo_can_be_interrupted_and_removes_its_files() {
    let room = Room::new();
    let mut command = super::process::passel();
    command.arg("demo").env("TMPDIR", room.out());
    let demo = Process::start("demo", command);
    let begin = Instant::now();
    while room.arrived().is_empty() {
        assert!(begin.elapsed() < super::process::PATIENCE, "it makes no file");
        std::thread::sleep(Duration::from_millis(5));
    }
    demo.signal(Signal::INT);
    let told = demo.end_within(PROMPT).expect(7).errors;
    assert!(told.contains("You cancelled."), "{told}");
    assert!(room.arrived().is_empty(), "{:?}", room.arrived());
}

#[test]
fn an_interrupt_at_the_question_ends_both_sides() {
    let room = Room::new();
    let path = room.file("f", b"content");
    let (sender, link) = send(&[&path]);
    let mut command = super::pair::receiving(super::process::passel(), &link, &room.out());
    command.stdin(std::process::Stdio::piped());
    let mut receiver = Process::start("receiver", command);
    receiver.event("offer");
    receiver.signal(Signal::INT);
    expect_cancelled(receiver.end_within(PROMPT), "You cancelled.");
    expect_cancelled(sender.end_within(PROMPT), "The other side cancelled.");
    assert!(room.arrived().is_empty());
}
