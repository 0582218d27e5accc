//! What goes wrong before two sides meet: each mistake has its exit code and a
//! sentence that names it and says what to do.

use std::fs;
use std::path::Path;

use super::pair::{Room, recv, send_command};
use super::process::{Process, passel};

#[test]
fn a_missing_source_is_named() {
    let room = Room::new();
    let sender = Process::start("sender", send_command(&[&room.path("no such file")]));
    let sent = sender.end().expect(3);
    let failure = sent.failure();
    assert!(failure.contains("no such file does not exist"), "{failure}");
    assert_eq!(sent.lines.len(), 1, "nothing was offered: {}", sent.all());
}

#[test]
fn a_server_that_cannot_be_reached_is_named() {
    // A port that was free a moment ago.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = format!("http://127.0.0.1:{port}/");
    let room = Room::new();
    let path = room.file("f", b"content");
    let mut command = passel();
    command.args(["send", "--json", "--bind", "127.0.0.1", "--server", &url]).arg(&path);
    let failure = Process::start("sender", command).end().expect(4).failure();
    assert!(failure.contains(&format!("127.0.0.1:{port}")), "{failure}");

    let secret = "A".repeat(43);
    let link = format!("{url}t/{}#{secret}", "0".repeat(26));
    let failure = recv(&link, &room.out()).end().expect(4).failure();
    assert!(failure.contains(&format!("127.0.0.1:{port}")), "{failure}");
}

#[test]
fn a_link_that_nobody_waits_at_is_refused() {
    let (_server, url) = super::codes::serve();
    let room = Room::new();
    let link = format!("{url}t/{}#{}", "0".repeat(26), "A".repeat(43));
    let failure = recv(&link, &room.out()).end().expect(5).failure();
    assert!(failure.contains("expired") || failure.contains("used"), "{failure}");
    assert!(room.arrived().is_empty());
}

#[test]
fn a_file_in_place_of_a_directory_is_noticed_before_the_invitation_is_spent() {
    let room = Room::new();
    let path = room.file("f", b"content");
    let (sender, link) = super::pair::send(&[&path]);
    let failure = recv(&link, &path).end().expect(9).failure();
    assert!(failure.contains("is not a directory") && failure.contains("--out"), "{failure}");
    recv(&link, &room.out()).end().expect(0);
    sender.end().expect(0);
}

#[test]
fn a_relative_name_is_shown_as_it_was_typed() {
    let room = Room::new();
    let mut command = send_command(&[Path::new("nonexistent")]);
    command.current_dir(room.path(""));
    let failure = Process::start("sender", command).end().expect(3).failure();
    assert!(failure.starts_with("nonexistent does not exist. "), "{failure}");
}

#[test]
fn what_is_no_invitation_at_all_is_a_mistake() {
    let room = Room::new();
    let failure = recv("not an invitation", &room.out()).end().expect(2).failure();
    assert!(failure.contains("Ask the sender for the code or link."), "{failure}");
}

#[test]
fn an_address_that_is_taken_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let room = Room::new();
    let path = room.file("f", b"content");
    let mut command = passel();
    command.args(["send", "--json", "--listen", &address]).arg(&path);
    let failure = Process::start("sender", command).end().expect(4).failure();
    assert!(failure.contains(&address) && failure.contains("--listen"), "{failure}");
    let mut command = passel();
    command.args(["serve", "--json", "--listen", &address]);
    let failure = Process::start("server", command).end().expect(4).failure();
    assert!(failure.contains(&address), "{failure}");
}

#[test]
fn links_and_special_files_are_left_out_with_a_warning() {
    let room = Room::new();
    room.file("d/f", b"content");
    std::os::unix::fs::symlink("/etc/passwd", room.path("d/link")).unwrap();
    let (sent, _) = super::pair::transfer(&room, &[&room.path("d")]);
    let warned = |event: &serde_json::Value| {
        event["event"] == "warning" && event["text"].as_str().unwrap().contains("d/link")
    };
    assert!(sent.events().iter().any(warned), "{}", sent.all());
    assert_eq!(fs::read_dir(room.out().join("d")).unwrap().count(), 1);
}
