//! What a person, or a program in their place, is asked: for the invitation, and
//! whether to take what is offered. Nothing is written before a yes.

use std::path::Path;
use std::process::{Command, Stdio};

use super::pair::{Room, receiving, send};
use super::process::{Process, passel};
use super::terminal::Terminal;

fn asking(link: &str, out: &Path) -> Process {
    let mut command = receiving(passel(), link, out);
    command.stdin(Stdio::piped());
    Process::start("receiver", command)
}

/// A receiver for people, which finds its invitation by itself.
fn plain(out: &Path) -> Command {
    let mut command = passel();
    command.args(["recv", "--bind", "127.0.0.1", "--out"]).arg(out);
    command
}

#[test]
fn yes_on_standard_input_takes_the_offer() {
    let room = Room::new();
    let path = room.file("f", b"content");
    let (sender, link) = send(&[&path]);
    let mut receiver = asking(&link, &room.out());
    receiver.event("offer");
    assert!(room.arrived().is_empty(), "something was written before the answer");
    receiver.type_in("y\n");
    receiver.end().expect(0);
    sender.end().expect(0);
    assert_eq!(room.arrived(), ["f"]);
}

#[test]
fn no_or_an_end_of_input_declines_at_both_sides() {
    for close in [false, true] {
        let room = Room::new();
        let path = room.file("f", b"content");
        let (sender, link) = send(&[&path]);
        let received = if close {
            Process::start("receiver", receiving(passel(), &link, &room.out())).end()
        } else {
            let mut receiver = asking(&link, &room.out());
            receiver.event("offer");
            receiver.type_in("n\n");
            receiver.end()
        };
        let failure = received.expect(6).failure();
        assert!(failure.contains("You declined"), "{failure}");
        let failure = sender.end().expect(6).failure();
        assert!(failure.contains("The receiver declined"), "{failure}");
        assert!(room.arrived().is_empty());
    }
}

#[test]
fn invitation_and_answer_are_both_read_from_standard_input() {
    let room = Room::new();
    let path = room.file("f", b"content");
    let (sender, link) = send(&[&path]);
    let mut command = plain(&room.out());
    command.stdin(Stdio::piped());
    let mut receiver = Process::start("receiver", command);
    receiver.type_in(&format!("{link}\ny\n"));
    let received = receiver.end().expect(0);
    sender.end().expect(0);
    assert!(received.errors.contains("1 file"), "{}", received.errors);
    assert!(received.lines.is_empty(), "{:?}", received.lines);
    assert_eq!(room.arrived(), ["f"]);
}

#[test]
fn at_a_terminal_the_invitation_is_asked_for() {
    let room = Room::new();
    let path = room.file("f", b"content");
    let (sender, link) = send(&[&path]);
    let (mut terminal, input) = Terminal::open();
    let mut command = plain(&room.out());
    command.arg("--yes").stdin(input);
    let receiver = Process::start("receiver", command);
    terminal.type_in(&link);
    let received = receiver.end().expect(0);
    sender.end().expect(0);
    assert!(received.errors.to_lowercase().contains("code or link"), "{}", received.errors);
    assert_eq!(room.arrived(), ["f"]);
}

#[test]
fn the_invitation_may_be_an_argument() {
    let room = Room::new();
    let path = room.file("f", b"content");
    let (sender, link) = send(&[&path]);
    let mut command = plain(&room.out());
    command.args(["--yes", &link]);
    Process::start("receiver", command).end().expect(0);
    sender.end().expect(0);
    assert_eq!(room.arrived(), ["f"]);
}
