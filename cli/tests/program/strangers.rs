//! Two sides that share no secret and compare words, and two that have a key of
//! their own: through real processes.

use std::path::Path;

use super::codes::serve;
use super::pair::{Room, receiving};
use super::process::{Process, passel};

const SAME: &str = "{\"command\":\"sas\",\"matches\":true}\n";
const DIFFERENT: &str = "{\"command\":\"sas\",\"matches\":false}\n";

/// Starts a sender that shares nothing; its invitation, a code or a link.
fn send(url: Option<&str>, path: &Path) -> (Process, String) {
    let mut command = passel();
    command.stdin(std::process::Stdio::piped());
    command.args(["send", "--json", "--sas", "--bind", "127.0.0.1"]);
    match url {
        Some(url) => command.args(["--server", url]),
        None => command.args(["--listen", "127.0.0.1:0"]),
    };
    command.arg(path);
    let mut sender = Process::start("sender", command);
    let invite = sender.event("invite");
    let field = if url.is_some() { "code" } else { "link" };
    let invitation = invite[field].as_str().unwrap().to_owned();
    (sender, invitation)
}

/// Starts a receiver that accepts everything, and is asked all the same.
fn recv(url: Option<&str>, invitation: &str, out: &Path) -> Process {
    let mut command = receiving(passel(), invitation, out);
    command.stdin(std::process::Stdio::piped()).arg("--yes");
    if let Some(url) = url {
        command.args(["--server", url]);
    }
    Process::start("receiver", command)
}

// HS-SAS-GATE, HS-SAS-SHOWN
#[test]
fn both_sides_show_the_same_words_and_nothing_is_offered_before_both_have_compared() {
    let (_server, url) = serve();
    let room = Room::new();
    let path = room.file("f", b"content");
    let (mut sender, code) = send(Some(&url), &path);
    assert!(code.ends_with("-sas"), "{code}");
    let mut receiver = recv(Some(&url), &code, &room.out());
    let (ours, theirs) = (sender.event("sas"), receiver.event("sas"));
    assert_eq!(ours, theirs);
    assert_eq!(ours["words"].as_array().unwrap().len(), 3);
    assert_eq!(ours["digits"].as_str().unwrap().len(), 4);

    // The sender's user is quicker; its offer is out before the receiver's has spoken.
    sender.type_in(SAME);
    sender.event("offer");
    receiver.type_in("y\n");
    receiver.type_in(SAME);
    receiver.event("offer");
    let received = receiver.end().expect(0);
    let sent = sender.end().expect(0);
    assert_eq!(sent.last()["receipt"], received.last()["receipt"]);
    let names: Vec<String> =
        received.events().iter().map(|event| event["event"].as_str().unwrap().to_owned()).collect();
    assert_eq!(names[..5], ["waiting", "connecting", "connected", "sas", "offer"]);
    let auth = |event: &serde_json::Value| event["auth"] == "SAS";
    assert!(sent.events().iter().any(auth) && received.events().iter().any(auth));
    assert_eq!(std::fs::read(room.out().join("f")).unwrap(), b"content");
}

// HS-SAS-MISMATCH
#[test]
fn a_difference_on_one_screen_ends_both_sides_as_a_failed_authentication() {
    let room = Room::new();
    let path = room.file("f", b"content");
    let (mut sender, link) = send(None, &path);
    assert!(link.ends_with("#sas"), "{link}");
    let mut receiver = recv(None, &link, &room.out());
    sender.event("sas");
    receiver.event("sas");
    sender.type_in(SAME);
    receiver.type_in(DIFFERENT);
    for ended in [receiver.end().expect(5), sender.end().expect(5)] {
        assert!(ended.failure().contains("somebody is in between"), "{}", ended.all());
        assert_eq!(ended.last()["code"], "SAS_MISMATCH");
        assert!(!ended.lines.iter().any(|line| line.contains("\"accepted\"")));
    }
    assert!(room.arrived().is_empty());
}

/// Makes a key with the program itself.
fn key(room: &Room, name: &str) -> std::path::PathBuf {
    let path = room.path(name);
    let mut command = passel();
    command.arg("psk").arg(&path);
    Process::start("psk", command).end().expect(0);
    path
}

/// Sends with one key and receives with another file, or none.
fn with_keys(room: &Room, of_sender: &Path, of_receiver: Option<&Path>) -> (Process, Process) {
    let path = room.file("f", b"content");
    let mut command = passel();
    command.args(["send", "--json", "--listen", "127.0.0.1:0", "--bind", "127.0.0.1"]);
    command.arg("--psk-file").arg(of_sender).arg(path);
    let mut sender = Process::start("sender", command);
    let link = sender.event("invite")["link"].as_str().unwrap().to_owned();
    assert!(link.ends_with("#psk"), "{link}");
    let mut command = receiving(passel(), &link, &room.out());
    command.arg("--yes");
    if let Some(key) = of_receiver {
        command.arg("--psk-file").arg(key);
    }
    (sender, Process::start("receiver", command))
}

#[test]
fn the_same_key_on_both_sides_is_enough_and_shows_nowhere() {
    let room = Room::new();
    let key = key(&room, "key");
    let (sender, receiver) = with_keys(&room, &key, Some(&key));
    let received = receiver.end().expect(0);
    let sent = sender.end().expect(0);
    let auth = |event: &serde_json::Value| event["auth"] == "PSK";
    assert!(sent.events().iter().any(auth) && received.events().iter().any(auth));
    assert_eq!(std::fs::read(room.out().join("f")).unwrap(), b"content");
    let secret = std::fs::read_to_string(&key).unwrap();
    assert_eq!(secret.trim().len(), 64);
    for ended in [sent, received] {
        assert!(!ended.all().contains(secret.trim()));
        assert!(!ended.lines.iter().any(|line| line.contains("warning")), "{}", ended.all());
    }
}

#[test]
fn another_key_is_a_failed_authentication_and_none_is_a_mistake_that_costs_nothing() {
    let room = Room::new();
    let (one, other) = (key(&room, "one"), key(&room, "other"));
    let (sender, receiver) = with_keys(&room, &one, None);
    let mistake = receiver.end().expect(2);
    assert!(mistake.failure().contains("--psk-file"), "{}", mistake.all());
    drop(sender);
    let (sender, receiver) = with_keys(&room, &one, Some(&other));
    receiver.end().expect(5);
    sender.end().expect(5);
    assert!(room.arrived().is_empty());
}

#[test]
fn standard_input_cannot_be_sent_and_asked_at_once() {
    let mut command = passel();
    command.args(["send", "--json", "--sas", "-"]);
    let mistake = Process::start("sender", command).end().expect(2);
    assert!(mistake.failure().contains("standard input"), "{}", mistake.all());
}
