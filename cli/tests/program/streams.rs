//! Standard input and pipes, whose length nobody knows before their end.

use std::io::Write;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::Signal;

use super::pair::{Room, recv, send_command, with_link};
use super::process::{Process, passel};

/// Starts a sender of standard input, and what else is named.
fn send_input(paths: &[&Path], more: &[&str]) -> (Process, String) {
    let mut all = vec![Path::new("-")];
    all.extend(paths);
    let mut command = passel();
    command.args(["send", "--json", "--listen", "127.0.0.1:0", "--bind", "127.0.0.1"]);
    command.args(more).arg("--").args(all).stdin(Stdio::piped());
    with_link(Process::start("sender", command))
}

#[test]
fn what_is_piped_in_arrives_under_its_name_beside_other_files() {
    let room = Room::new();
    let other = room.file("other", b"of known length");
    let (mut sender, link) = send_input(&[&other], &["--name", "dump.bin"]);
    let bytes: Vec<u8> =
        (0..5_000_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let mut input = sender.take_input();
    let content = bytes.clone();
    let writer = std::thread::spawn(move || input.write_all(&content).unwrap());
    let received = recv(&link, &room.out()).end().expect(0);
    let sent = sender.end().expect(0);
    writer.join().unwrap();
    assert_eq!(room.arrived(), ["dump.bin", "other"]);
    assert!(std::fs::read(room.out().join("dump.bin")).unwrap() == bytes);
    for ended in [&sent, &received] {
        let events = ended.events();
        let offer = events.iter().find(|event| event["event"] == "offer").unwrap();
        assert_eq!(offer["bytes"], 15, "{}", ended.all());
        assert!(offer["entries"][0]["size"].is_null(), "{}", ended.all());
        let last = ended.last();
        assert_eq!((&last["files"], &last["bytes"]), (&2.into(), &5_000_015.into()));
        let stream = |event: &&serde_json::Value| event["event"] == "progress";
        for progress in events.iter().filter(stream) {
            let total = &progress["total"];
            assert!(total.is_null() || *total == 5_000_015, "{progress}");
        }
    }
}

#[test]
fn an_empty_standard_input_is_an_empty_file() {
    let room = Room::new();
    let (mut sender, link) = send_input(&[], &[]);
    drop(sender.take_input());
    recv(&link, &room.out()).end().expect(0);
    sender.end().expect(0);
    assert_eq!(std::fs::read(room.out().join("stdin")).unwrap(), b"");
}

#[test]
fn a_writer_that_dawdles_is_waited_for_and_delays_no_other_file() {
    let room = Room::new();
    let other = room.file("other", b"0123");
    let (mut sender, link) = send_input(&[&other], &[]);
    let mut input = sender.take_input();
    input.write_all(b"first\n").unwrap();
    let mut receiver = recv(&link, &room.out());
    let done = receiver.event("file");
    assert_eq!((&done["path"], &done["status"]), (&"other".into(), &"done".into()));
    assert_eq!(std::fs::read(room.out().join("other")).unwrap(), b"0123");
    input.write_all(b"second\n").unwrap();
    drop(input);
    receiver.end().expect(0);
    sender.end().expect(0);
    assert_eq!(std::fs::read(room.out().join("stdin")).unwrap(), b"first\nsecond\n");
}

#[test]
fn a_silent_standard_input_holds_up_no_interrupt() {
    let room = Room::new();
    let other = room.file("other", b"0123");
    let (mut sender, link) = send_input(&[&other], &[]);
    let _input = sender.take_input();
    let mut receiver = recv(&link, &room.out());
    receiver.event("file");
    sender.signal(Signal::INT);
    sender.end_within(Duration::from_secs(5)).expect(7);
    receiver.end_within(Duration::from_secs(5)).expect(7);
    assert_eq!(room.arrived(), ["other"]);
}

#[test]
fn a_pipe_that_is_named_is_sent_as_it_is_written() {
    let room = Room::new();
    let pipe = room.path("pipe");
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    let (sender, link) = with_link(Process::start("sender", send_command(&[&pipe])));
    let receiver = recv(&link, &room.out());
    let mut writer = std::fs::File::options().write(true).open(&pipe).unwrap();
    let content = vec![7; 70_000];
    writer.write_all(&content).unwrap();
    drop(writer);
    receiver.end().expect(0);
    sender.end().expect(0);
    assert!(std::fs::read(room.out().join("pipe")).unwrap() == content);
}
