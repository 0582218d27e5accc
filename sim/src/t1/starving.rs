//! Whether a side hears nothing for so long because each datagram with something in it
//! was lost, or the answer to it, as often as it was sent: SCTP sends again ever later, and
//! nothing else comes before that has arrived (`FC-IDLE-LIMIT`). What does not live here:
//! what the handshakes lose (`losses`).

use std::collections::VecDeque;

use super::losses::{APART_US, is_dtls};
use crate::plan::Side;

/// Datagrams of DTLS up to this length carry no more than an acknowledgement.
const BARE: usize = 70;
/// How often something is sent at least before a connection is given up.
const SENDINGS: u32 = 3;
/// An acknowledgement waits no longer than this, by any clock. What is said later by itself is
/// no answer.
const ANSWER_US: u64 = 300_000;
/// Most answers that are remembered.
const ANSWERS: usize = 16;
/// What tells datagrams apart, through relays too: the end of a record is that of its seal.
const TAIL: usize = 16;

/// What has come to one side.
#[derive(Debug, Default)]
struct Fed {
    /// How often something was sent to it since an answer arrived.
    sendings: u32,
    sent_at: u64,
    /// When something arrived last to which no answer has.
    arrived_at: Option<u64>,
    answers: VecDeque<[u8; TAIL]>,
}

/// The same of both.
#[derive(Debug, Default)]
pub(super) struct Starving {
    sides: [Fed; 2],
}

impl Starving {
    /// A side sends this.
    pub(super) fn on_sent(&mut self, now: u64, side: Side, contents: &[u8]) {
        if !is_dtls(contents) {
            return;
        }
        let fed = &mut self.sides[side.peer().place()];
        if contents.len() > BARE && (fed.sendings == 0 || now >= fed.sent_at + APART_US) {
            (fed.sendings, fed.sent_at) = (fed.sendings + 1, now);
        }
        let own = &mut self.sides[side.place()];
        if own.arrived_at.is_some_and(|at| now < at + ANSWER_US)
            && let Some(tail) = contents.last_chunk()
        {
            own.answers.truncate(ANSWERS - 1);
            own.answers.push_front(*tail);
        }
    }

    /// This arrives at a side.
    pub(super) fn on_arrival(&mut self, now: u64, to: Side, contents: &[u8]) {
        if !is_dtls(contents) {
            return;
        }
        if contents.len() > BARE {
            self.sides[to.place()].arrived_at = Some(now);
        }
        let other = &mut self.sides[to.peer().place()];
        if contents.last_chunk().is_some_and(|tail| other.answers.contains(tail)) {
            *other = Fed::default();
        }
    }

    /// Whether that is why a side has heard nothing.
    pub(super) fn explains(&self, side: Side) -> bool {
        self.sides[side.place()].sendings >= SENDINGS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIDE: Side = Side::Joiner;

    /// A record of DTLS of this length, which no other is like.
    fn record(number: u8, len: usize) -> Vec<u8> {
        let mut contents = vec![number; len];
        contents[0] = 0x2e;
        contents
    }

    /// The peer has sent so often.
    fn starving(sendings: u8) -> Starving {
        let mut starving = Starving::default();
        for number in 0..sendings {
            starving.on_sent(u64::from(number) * APART_US, SIDE.peer(), &record(number, 100));
        }
        starving
    }

    #[test]
    fn what_was_sent_often_enough_and_never_answered_explains_silence() {
        assert!(!starving(2).explains(SIDE));
        assert!(starving(3).explains(SIDE));
        assert!(!starving(3).explains(SIDE.peer()));
        // An acknowledgement says nothing, and what leaves at once counts once.
        let mut starving = starving(2);
        starving.on_sent(10 * APART_US, SIDE.peer(), &record(9, BARE));
        starving.on_sent(APART_US + 1, SIDE.peer(), &record(9, 100));
        assert!(!starving.explains(SIDE));
    }

    #[test]
    fn only_an_answer_that_arrives_counts_as_one() {
        let mut starving = starving(3);
        starving.on_sent(0, SIDE, &record(20, 50));
        starving.on_arrival(0, SIDE.peer(), &record(20, 50));
        assert!(starving.explains(SIDE), "said before anything had arrived");
        starving.on_arrival(0, SIDE, &record(2, 100));
        starving.on_sent(ANSWER_US, SIDE, &record(22, 100));
        starving.on_arrival(0, SIDE.peer(), &record(22, 100));
        assert!(starving.explains(SIDE), "said by itself");
        starving.on_sent(0, SIDE, &record(21, 50));
        assert!(starving.explains(SIDE), "not arrived yet");
        // In a channel of a relay.
        let mut relayed = vec![0x40, 0, 0, 50];
        relayed.extend(record(21, 50));
        starving.on_arrival(0, SIDE.peer(), &relayed);
        assert!(!starving.explains(SIDE));
    }
}
