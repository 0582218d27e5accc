//! The JSON lines of both sides, as `docs/json.md` promises them.

use serde_json::Value;

use super::pair::{Room, transfer};
use super::process::Ended;

/// Names of the events in their order, each run of the same once.
fn order(ended: &Ended) -> Vec<String> {
    let mut names: Vec<String> =
        ended.events().iter().map(|event| event["event"].as_str().unwrap().to_owned()).collect();
    names.dedup();
    names
}

/// Fails the test unless the events begin and end in the order that is promised.
fn expect_order(ended: &Ended, first: &[&str], last: &[&str]) {
    let names = order(ended);
    assert!(names.starts_with(&first.map_owned()), "{names:?}");
    assert!(names.ends_with(&last.map_owned()), "{names:?}");
    let middle = &names[first.len()..names.len() - last.len()];
    assert!(middle.iter().all(|name| name == "progress" || name == "file"), "{names:?}");
    assert!(ended.errors.is_empty(), "beside the JSON: {}", ended.errors);
}

trait MapOwned {
    fn map_owned(&self) -> Vec<String>;
}

impl MapOwned for [&str] {
    fn map_owned(&self) -> Vec<String> {
        self.iter().map(|&word| word.to_owned()).collect()
    }
}

fn of<'a>(events: &'a [Value], name: &str) -> Vec<&'a Value> {
    events.iter().filter(|event| event["event"] == name).collect()
}

#[test]
fn both_sides_tell_the_same_story_in_order() {
    let room = Room::new();
    room.file("d/a", vec![7; 5_000_000]);
    room.file("d/b", b"");
    let note = room.file("n", b"n");
    let (sent, received) = transfer(&room, &[&room.path("d"), &note]);
    expect_order(
        &sent,
        &["invite", "waiting", "connecting", "connected", "offer", "accepted"],
        &["completed"],
    );
    expect_order(
        &received,
        &["waiting", "connecting", "connected", "offer", "accepted"],
        &["received", "completed"],
    );

    let (ours, theirs) = (sent.events(), received.events());
    assert_eq!(of(&ours, "offer"), of(&theirs, "offer"));
    let paths = |events| {
        let mut paths: Vec<String> =
            of(events, "file").iter().map(|event| event["path"].to_string()).collect();
        paths.sort();
        paths
    };
    assert_eq!(paths(&ours), ["\"d/a\"", "\"d/b\"", "\"n\""]);
    assert_eq!(paths(&ours), paths(&theirs));
    let (ours, theirs) = (sent.last(), received.last());
    for field in ["files", "bytes", "receipt"] {
        assert_eq!(ours[field], theirs[field], "{field}");
    }
    assert_eq!((ours["files"].as_u64(), ours["bytes"].as_u64()), (Some(3), Some(5_000_001)));
    assert_eq!(ours["receipt"].as_str().unwrap().len(), 64);
}

#[test]
fn paths_mirror_each_other_and_the_connection_is_described() {
    let room = Room::new();
    let path = room.file("f", b"content");
    let (sent, received) = transfer(&room, &[&path]);
    let (ours, theirs) = (sent.events(), received.events());
    let (ours, theirs) = (of(&ours, "connected")[0], of(&theirs, "connected")[0]);
    assert_eq!(ours["path"]["local"], theirs["path"]["remote"]);
    assert_eq!(ours["path"]["remote"], theirs["path"]["local"]);
    // Which it is depends on the processor.
    let suites = ["XWING_AES256GCM_SHA256", "XWING_CHACHA20POLY1305_SHA256"];
    assert_eq!(ours["suite"], theirs["suite"]);
    for event in [ours, theirs] {
        assert_eq!(event["path"]["kind"], "direct");
        assert!(suites.iter().any(|suite| event["suite"] == *suite), "{event}");
        assert_eq!((&event["auth"], &event["dtls"]), (&Value::from("LINK"), &Value::from("1.3")));
    }
}

#[test]
fn progress_never_goes_back_and_never_above_the_total() {
    let room = Room::new();
    let path = room.hole("f", 256 << 20);
    let (sent, received) = transfer(&room, &[&path]);
    for ended in [sent, received] {
        let events = ended.events();
        let bytes: Vec<u64> =
            of(&events, "progress").iter().map(|event| event["bytes"].as_u64().unwrap()).collect();
        assert!(bytes.len() >= 2, "{}", ended.all());
        assert!(bytes.is_sorted() && bytes.iter().all(|&bytes| bytes <= 256 << 20), "{bytes:?}");
    }
}
