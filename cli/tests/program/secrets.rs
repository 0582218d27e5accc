//! The secret of an invitation, which only the sender prints, and only once.

use std::process::Stdio;

use super::pair::{Room, receiving, send_command, with_link};
use super::process::{Process, passel};

fn command_line(process: &Process) -> String {
    let bytes = std::fs::read(format!("/proc/{}/cmdline", process.id())).unwrap();
    String::from_utf8(bytes).unwrap()
}

#[test]
fn the_secret_is_in_no_command_line_and_in_no_log() {
    let room = Room::new();
    let path = room.file("f", b"content");
    let mut command = send_command(&[&path]);
    command.env("PASSEL_LOG", "trace");
    let (sender, link) = with_link(Process::start("sender", command));
    let secret = link.split_once('#').unwrap().1;
    assert_eq!(secret.len(), 43);

    let mut command = receiving(passel(), &link, &room.out());
    command.env("PASSEL_LOG", "trace").stdin(Stdio::piped());
    let mut receiver = Process::start("receiver", command);
    receiver.event("offer");
    for process in [&sender, &receiver] {
        let line = command_line(process);
        assert!(line.contains("--json") && !line.contains(secret), "{line}");
    }
    receiver.type_in("y\n");
    let (received, sent) = (receiver.end().expect(0), sender.end().expect(0));
    assert!(!received.all().contains(secret), "{}", received.all());
    assert!(!sent.errors.contains(secret), "{}", sent.errors);
    assert_eq!(sent.lines.iter().filter(|line| line.contains(secret)).count(), 1);
    // The log was there to be searched.
    assert!(received.errors.contains("TRACE") && sent.errors.contains("TRACE"));
}

#[test]
fn a_receiver_for_people_does_not_repeat_the_secret() {
    let room = Room::new();
    let path = room.file("f", b"content");
    let (sender, link) = super::pair::send(&[&path]);
    let mut command = passel();
    command.args(["recv", "-vv", "--yes", "--bind", "127.0.0.1", "--out"]).arg(room.out());
    command.env("PASSEL_CODE", &link);
    let received = Process::start("receiver", command).end().expect(0);
    sender.end().expect(0);
    assert!(received.errors.contains("Connected to"), "{}", received.errors);
    assert!(!received.all().contains(link.split_once('#').unwrap().1), "{}", received.all());
}
