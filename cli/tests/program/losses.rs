//! A side that is gone without a word, which the other one can only tell from
//! silence.

use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;

use super::pair::{Room, long_send, recv_command, with_link};
use super::process::Process;

/// The protocol gives up after 30 s of silence.
const SILENCE: Duration = Duration::from_secs(45);

/// A transfer in its middle, neither side of which tries again.
fn in_the_middle(room: &Room) -> (Process, Process) {
    let command = long_send(room, &["--attempts", "0"]);
    let (sender, link) = with_link(Process::start("sender", command));
    let mut recv = recv_command(&link, &room.out());
    recv.args(["--attempts", "0"]);
    let mut receiver = Process::start("receiver", recv);
    receiver.event_where("progress", |event: &Value| event["bytes"].as_u64() > Some(0));
    (sender, receiver)
}

#[test]
fn slow_when_a_side_is_killed_the_other_ends_with_a_lost_connection() {
    let (one, other) = (Room::new(), Room::new());
    let (sender, deserted_receiver) = in_the_middle(&one);
    sender.signal(Signal::KILL);
    let (deserted_sender, receiver) = in_the_middle(&other);
    receiver.signal(Signal::KILL);

    // The receiver can go on later, should the sender come back.
    let received = deserted_receiver.end_within(SILENCE).expect(15);
    assert!(received.failure().contains("What arrived is kept"), "{}", received.failure());
    let sent = deserted_sender.end_within(SILENCE).expect(8);
    let failure = sent.failure();
    assert!(failure.contains("Check the network of both computers"), "{failure}");
    // Nobody could clean up after a receiver that was killed, and what it or the
    // other one keeps has no final name.
    for room in [one, other] {
        let left = room.arrived();
        assert!(left.iter().all(|name| name.starts_with(".passel-")), "{left:?}");
    }
}
