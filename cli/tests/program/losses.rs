//! A side that is gone without a word, which the other one can only tell from
//! silence.

use std::time::Duration;

use rustix::process::Signal;

use super::interrupts::in_the_middle;
use super::pair::Room;

/// The protocol gives up after 30 s of silence.
const SILENCE: Duration = Duration::from_secs(45);

#[test]
fn slow_when_a_side_is_killed_the_other_ends_with_a_lost_connection() {
    let (one, other) = (Room::new(), Room::new());
    let (sender, deserted_receiver) = in_the_middle(&one);
    sender.signal(Signal::KILL);
    let (deserted_sender, receiver) = in_the_middle(&other);
    receiver.signal(Signal::KILL);

    let received = deserted_receiver.end_within(SILENCE).expect(8);
    let sent = deserted_sender.end_within(SILENCE).expect(8);
    for failure in [received.failure(), sent.failure()] {
        assert!(failure.contains("Check the network of both computers"), "{failure}");
    }
    assert!(one.arrived().is_empty(), "{:?}", one.arrived());
    // Nobody could clean up after a receiver that was killed, but what it leaves
    // has no final name.
    let left = other.arrived();
    assert!(left.iter().all(|name| name.starts_with(".passel-")));
}
