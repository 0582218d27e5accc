//! Codes, through a rendezvous that is a third process: the right one works, and
//! a wrong guess is the only one that anybody gets.

use std::path::Path;

use super::pair::{Room, recv_command};
use super::process::{Process, passel};

/// Starts a rendezvous; returns its address too.
pub(crate) fn serve() -> (Process, String) {
    let mut command = passel();
    command.args(["serve", "--json", "--listen", "127.0.0.1:0"]);
    let mut server = Process::start("server", command);
    let url = server.event("listening")["url"].as_str().unwrap().to_owned();
    (server, url)
}

/// Starts a sender through the rendezvous; returns its code too.
fn send(url: &str, path: &Path) -> (Process, String) {
    let mut command = passel();
    command.args(["send", "--json", "--bind", "127.0.0.1", "--server", url]).arg(path);
    let mut sender = Process::start("sender", command);
    let code = sender.event("invite")["code"].as_str().unwrap().to_owned();
    (sender, code)
}

fn recv(url: &str, code: &str, out: &Path) -> Process {
    let mut command = recv_command(code, out);
    command.args(["--server", url]);
    Process::start("receiver", command)
}

#[test]
fn the_right_code_works_and_only_once() {
    let (_server, url) = serve();
    let room = Room::new();
    let path = room.file("f", b"content");
    let (sender, code) = send(&url, &path);
    let received = recv(&url, &code, &room.out()).end().expect(0);
    let sent = sender.end().expect(0);
    assert_eq!(sent.last()["receipt"], received.last()["receipt"]);
    let auth = |event: &serde_json::Value| event["auth"] == "CODE";
    assert!(sent.events().iter().any(auth) && received.events().iter().any(auth));
    assert_eq!(std::fs::read(room.out().join("f")).unwrap(), b"content");
    let failure = recv(&url, &code, &room.out()).end().expect(5).failure();
    assert!(failure.contains("'f' was received completely"), "{failure}");
    // Somebody else is not told as much.
    let other = Room::new();
    let failure = recv(&url, &code, &other.out()).end().expect(5).failure();
    assert!(!failure.contains("received completely"), "{failure}");
    assert_eq!(room.arrived(), ["f"]);
}

#[test]
fn a_wrong_code_ends_both_sides_and_burns_the_right_one() {
    let (_server, url) = serve();
    let room = Room::new();
    let path = room.file("f", b"content");
    let (sender, code) = send(&url, &path);
    let nameplate = code.split('-').next().unwrap();
    let wrong = ["crystal-clock", "acid-zoo"].map(|words| format!("{nameplate}-{words}"));
    let wrong = wrong.iter().find(|wrong| **wrong != code).unwrap();
    let received = recv(&url, wrong, &room.out()).end().expect(5);
    let sent = sender.end().expect(5);
    for failure in [sent.failure(), received.failure()] {
        assert!(failure.contains("code or link is wrong"), "{failure}");
        assert!(failure.contains("Run 'passel send' again"), "{failure}");
    }
    let again = recv(&url, &code, &room.out()).end().expect(5);
    assert!(!again.failure().is_empty());
    assert!(room.arrived().is_empty());
}

#[test]
fn a_code_without_a_server_is_a_mistake_that_names_the_option() {
    let room = Room::new();
    let mistake = Process::start("receiver", recv_command("7-crystal-clock", &room.out()));
    let failure = mistake.end().expect(2).failure();
    assert!(failure.contains("--server"), "{failure}");
}
