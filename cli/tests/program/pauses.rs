//! Pauses while a transfer runs, as a program asks for them with `--json`.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use super::pair::{Room, recv_command, send_command, with_link};
use super::process::Process;

const SIZE: u64 = 256 << 20;

/// Bytes that lie in the receiver's temporary directory.
fn under_way(out: &Path) -> u64 {
    let mut bytes = 0;
    for entry in std::fs::read_dir(out).unwrap() {
        let entry = entry.unwrap();
        let data = entry.metadata().unwrap();
        bytes += if data.is_dir() { under_way(&entry.path()) } else { data.len() };
    }
    bytes
}

#[test]
fn either_side_can_pause_and_resume_by_json_lines() {
    for by_sender in [true, false] {
        let room = Room::new();
        let path = room.hole("f", SIZE);
        let mut send = send_command(&[&path]);
        send.stdin(Stdio::piped());
        let (mut sender, link) = with_link(Process::start("sender", send));
        let mut recv = recv_command(&link, &room.out());
        recv.stdin(Stdio::piped());
        let mut receiver = Process::start("receiver", recv);
        receiver.event_where("progress", |event| event["bytes"].as_u64() > Some(0));

        let (one, other) =
            if by_sender { (&mut sender, &mut receiver) } else { (&mut receiver, &mut sender) };
        one.type_in("not a command\n{\"command\":\"pause\"}\n");
        assert_eq!(one.event("paused")["by_peer"], false);
        assert_eq!(other.event("paused")["by_peer"], true);
        std::thread::sleep(Duration::from_secs(1)); // what was under way is taken
        let held = under_way(&room.out());
        std::thread::sleep(Duration::from_secs(1));
        assert_eq!(under_way(&room.out()), held, "data flows in a pause");
        assert!(held > 0 && held < SIZE, "{held} bytes");

        one.type_in("{\"command\":\"resume\"}\n");
        assert_eq!(one.event("resumed")["by_peer"], false);
        assert_eq!(other.event("resumed")["by_peer"], true);
        receiver.end().expect(0);
        sender.end().expect(0);
        assert_eq!(std::fs::metadata(room.out().join("f")).unwrap().len(), SIZE);
    }
}

#[test]
fn a_cancel_by_a_json_line_ends_both_sides() {
    let room = Room::new();
    let path = room.hole("f", SIZE);
    let mut send = send_command(&[&path]);
    send.stdin(Stdio::piped());
    let (mut sender, link) = with_link(Process::start("sender", send));
    let receiver = Process::start("receiver", recv_command(&link, &room.out()));
    sender.event("accepted");
    sender.type_in("{\"command\":\"cancel\"}\n");
    sender.end().expect(7);
    receiver.end().expect(7);
    assert!(room.arrived().is_empty(), "nothing is left behind");
}
