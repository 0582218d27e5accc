//! Files of every shape: what they are called, how long they are, what is known
//! of them beside their content.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use super::content::{age, listing};
use super::pair::{Room, receiving, send, send_command, transfer, with_link};
use super::process::{Process, binary, clean};

/// The default length of a chunk, in bytes.
const CHUNK: usize = 64 * 1024;

fn bytes(length: usize) -> Vec<u8> {
    (0..length).map(|i| u8::try_from((i * 31 + i / 256) % 251).unwrap()).collect()
}

#[test]
fn an_empty_file_arrives_empty() {
    let room = Room::new();
    let path = room.file("empty", b"");
    let (sent, _) = transfer(&room, &[&path]);
    assert_eq!((sent.last()["files"].as_u64(), sent.last()["bytes"].as_u64()), (Some(1), Some(0)));
    assert_eq!(fs::read(room.out().join("empty")).unwrap(), b"");
}

#[test]
fn an_empty_directory_arrives() {
    let room = Room::new();
    fs::create_dir(room.path("nothing")).unwrap();
    transfer(&room, &[&room.path("nothing")]);
    assert!(room.out().join("nothing").is_dir());
    assert_eq!(fs::read_dir(room.out().join("nothing")).unwrap().count(), 0);
}

#[test]
fn lengths_around_a_chunk_arrive_whole() {
    let room = Room::new();
    let lengths = [1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 7 * CHUNK + 5];
    for length in lengths {
        room.file(&format!("d/{length}"), bytes(length));
    }
    transfer(&room, &[&room.path("d")]);
    for length in lengths {
        let copy = fs::read(room.out().join(format!("d/{length}"))).unwrap();
        assert!(copy == bytes(length), "{length}");
    }
}

#[test]
fn a_japanese_name_arrives_as_it_is() {
    let room = Room::new();
    let path = room.file("写真/休みの日 が.jpg", b"photo");
    transfer(&room, &[&path, &room.path("写真")]);
    assert_eq!(room.arrived(), ["休みの日 が.jpg", "写真"]);
    assert_eq!(fs::read(room.out().join("写真/休みの日 が.jpg")).unwrap(), b"photo");
}

#[test]
fn a_name_that_begins_with_a_dash_is_a_name_after_two_dashes() {
    let room = Room::new();
    room.file("--json", b"not an option");
    let mut command = send_command(&[Path::new("--json")]);
    command.current_dir(room.path(""));
    let (sender, link) = with_link(Process::start("sender", command));
    super::pair::recv(&link, &room.out()).end().expect(0);
    sender.end().expect(0);
    assert_eq!(fs::read(room.out().join("--json")).unwrap(), b"not an option");
}

#[test]
fn executable_bits_and_times_of_files_and_directories_are_kept() {
    let room = Room::new();
    let tool = room.file("top/sub/tool", b"#!/bin/sh\n");
    fs::set_permissions(&tool, fs::Permissions::from_mode(0o755)).unwrap();
    room.file("top/sub/text", b"text");
    fs::create_dir(room.path("top/empty")).unwrap();
    // The time of a directory last, since its entries move it.
    for (number, name) in
        (0_u64..).zip(["top/sub/tool", "top/sub/text", "top/empty", "top/sub", "top"])
    {
        age(&room.path(name), 1_000_000_000 + number * 1_000);
    }
    let original = listing(&room.path("top"));
    transfer(&room, &[&room.path("top")]);
    assert_eq!(listing(&room.out().join("top")), original);
}

#[test]
fn the_umask_is_respected_and_no_other_mode_bits_are_taken_over() {
    for (umask, plain, executable, directory) in
        [("077", 0o600, 0o700, 0o700), ("022", 0o644, 0o755, 0o755)]
    {
        let room = Room::new();
        let tool = room.file("top/tool", b"tool");
        fs::set_permissions(&tool, fs::Permissions::from_mode(0o6777)).unwrap();
        let text = room.file("top/text", b"text");
        fs::set_permissions(&text, fs::Permissions::from_mode(0o666)).unwrap();
        let (sender, link) = send(&[&room.path("top")]);
        let mut shell = clean(Command::new("sh"));
        shell.args(["-c", &format!("umask {umask}; exec \"$@\""), "sh"]).arg(binary());
        let mut command = receiving(shell, &link, &room.out());
        command.arg("--yes");
        Process::start("receiver", command).end().expect(0);
        sender.end().expect(0);
        let mode =
            |name: &str| fs::metadata(room.out().join(name)).unwrap().permissions().mode() & 0o7777;
        assert_eq!(mode("top/text"), plain, "umask {umask}");
        assert_eq!(mode("top/tool"), executable, "umask {umask}");
        assert_eq!(mode("top"), directory, "umask {umask}");
    }
}

#[test]
fn a_file_with_holes_arrives_equal_and_takes_little_disk() {
    let room = Room::new();
    let path = room.hole("sparse", 64 << 20);
    let file = fs::File::options().write(true).open(&path).unwrap();
    for place in [1 << 20, (32 << 20) + 1, (64 << 20) - 7] {
        std::os::unix::fs::FileExt::write_all_at(&file, b"content", place).unwrap();
    }
    transfer(&room, &[&path]);
    let copy = room.out().join("sparse");
    assert!(fs::read(&copy).unwrap() == fs::read(&path).unwrap());
    let bytes = std::os::unix::fs::MetadataExt::blocks(&fs::metadata(&copy).unwrap()) * 512;
    assert!(bytes < 8 << 20, "{bytes} bytes of disk");
}
