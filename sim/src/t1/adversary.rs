//! Somebody inside the rendezvous or a server, or on the lines of the hosts, who does
//! to what goes through there whatever can be done without a key. What must hold: no
//! wrong data and nothing readable, ever; what UDP does anyway is got over; and where
//! the signaling was forged, both sides end with an error that says whose fault it may
//! be.

use passel_sans_io::datagram::Datagram;
use serde::{Deserialize, Serialize};

use super::plan::Plan;
use super::rendezvous::Letter;
use super::{Happening, Run};
use crate::net::Fate;
use crate::plan::Side;
use crate::rng::Draw;

const SECOND: u64 = 1_000_000;

/// Where somebody sits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Seat {
    /// Carries the blobs of the signaling.
    Rendezvous,
    /// Is the TURN server, or between it and the peers.
    Relay,
    /// Is the STUN server, or between it and the hosts.
    Server,
    /// Is where the lines of both hosts begin: what they send to each other and to
    /// servers goes through there.
    Lines,
}

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Meddling {
    /// It is delivered again.
    Replay,
    /// It lacks its last byte.
    Truncate,
    /// One bit is turned.
    Flip,
    /// Something of the same length comes before it.
    Inject,
    /// It comes after what follows it.
    Reorder,
    /// It comes late; of blobs, everything after it as well.
    Delay,
}

impl Meddling {
    const ALL: &'static [Meddling] = &[
        Meddling::Replay,
        Meddling::Truncate,
        Meddling::Flip,
        Meddling::Inject,
        Meddling::Reorder,
        Meddling::Delay,
    ];

    /// Whether bytes come out of it that nobody with a key has made. Of those, a STUN server's
    /// first answer counts, as nothing in it proves that it is the right one; and DTLS may
    /// take them for a part of a flight.
    fn forges(self) -> bool {
        matches!(self, Meddling::Truncate | Meddling::Flip | Meddling::Inject)
    }

    /// How late a datagram comes to which this is done, in microseconds, if it does.
    fn holds_up(self) -> Option<u64> {
        match self {
            Meddling::Reorder => Some(SECOND / 10),
            Meddling::Delay => Some(SECOND),
            Meddling::Replay | Meddling::Truncate | Meddling::Flip | Meddling::Inject => None,
        }
    }
}

/// One thing that is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MeddlePlan {
    /// By whom.
    pub seat: Seat,
    /// To which blob or datagram, of all that go through there, from 0.
    pub nth: u64,
    /// What.
    pub how: Meddling,
}

/// Puts somebody into a plan, or leaves it as it is.
pub(super) fn draw(plan: &mut Plan) {
    inside(plan);
    let mut draw = Draw::new(plan.seed, "adversary on the lines of t1");
    if draw.chance(150) {
        sit(plan, &mut draw, Seat::Lines, 5, 300);
    }
    let mut draw = Draw::new(plan.seed, "adversary at the servers of t1");
    if !plan.servers.is_empty() && draw.chance(150) {
        sit(plan, &mut draw, Seat::Server, 3, 8);
    }
}

/// Somebody who does up to `most` things to the first `of` that go through there.
fn sit(plan: &mut Plan, draw: &mut Draw, seat: Seat, most: u64, of: u64) {
    for _ in 0..draw.between(1, most) {
        let nth = draw.below(of);
        plan.meddlings.push(MeddlePlan { seat, nth, how: draw.pick(Meddling::ALL) });
    }
}

/// Somebody in the rendezvous or a relay.
fn inside(plan: &mut Plan) {
    let mut draw = Draw::new(plan.seed, "adversary of t1");
    if !draw.chance(150) {
        return;
    }
    for _ in 0..draw.between(1, 3) {
        let seat = if plan.relays.is_empty() {
            Seat::Rendezvous
        } else {
            draw.pick(&[Seat::Rendezvous, Seat::Relay])
        };
        let nth = draw.below(if seat == Seat::Rendezvous { 4 } else { 80 });
        plan.meddlings.push(MeddlePlan { seat, nth, how: draw.pick(Meddling::ALL) });
    }
}

/// How many of each went through.
#[derive(Debug, Default)]
pub(super) struct Adversary {
    blobs: u64,
    relayed: u64,
    answers: u64,
    sent: u64,
    /// Until when nothing of a side is delivered.
    held: [u64; 2],
}

impl Adversary {
    /// What was held up was of a connection that is over.
    pub(super) fn forget_held(&mut self) {
        self.held = [0; 2];
    }
}

impl Run<'_> {
    fn meddling(&self, seat: Seat, nth: u64) -> Option<Meddling> {
        let mut plans = self.plan.meddlings.iter().filter(|_| !self.healed);
        Some(plans.find(|plan| (plan.seat, plan.nth) == (seat, nth))?.how)
    }

    /// What becomes of bytes: what comes before them, and what comes in their place.
    fn meddle(&self, how: Meddling, nth: u64, bytes: &[u8]) -> (Option<Vec<u8>>, Vec<u8>) {
        let mut draw = Draw::new(self.plan.seed, &format!("meddling {nth}"));
        let mut bytes = bytes.to_vec();
        match how {
            Meddling::Replay => return (Some(bytes.clone()), bytes),
            Meddling::Truncate => {
                bytes.pop();
            }
            Meddling::Flip => {
                let bit = draw.below(bytes.len() as u64 * 8);
                if let Some(byte) = bytes.get_mut(usize::try_from(bit / 8).unwrap_or(0)) {
                    *byte ^= 1 << (bit % 8);
                }
            }
            Meddling::Inject => {
                // It begins as the right one does, so that it gets as far as it can.
                let mut forged = bytes.clone();
                let head = forged.len().min(28);
                draw.fill(&mut forged[head..]);
                return (Some(forged), bytes);
            }
            Meddling::Reorder | Meddling::Delay => {}
        }
        (None, bytes)
    }

    /// A blob of a side has come to the rendezvous, where somebody may sit.
    pub(super) fn at_rendezvous(&mut self, side: Side, letter: Letter) {
        let nth = self.adversary.blobs;
        self.adversary.blobs += 1;
        let to = side.peer();
        let mut at = self.world.now() + self.plan.signaling_us;
        let mut letters = vec![letter];
        if let Some(how) = self.meddling(Seat::Rendezvous, nth) {
            let Letter { ref blob, number, since } = letters[0];
            let (before, blob) = self.meddle(how, nth, blob);
            let before = before.map(|blob| Letter { blob, number: None, since });
            letters = before.into_iter().chain([Letter { blob, number, since }]).collect();
            match how {
                Meddling::Reorder => at += 2 * self.plan.signaling_us + SECOND,
                Meddling::Delay => self.adversary.held[to.place()] = at + 4 * SECOND,
                _ => {}
            }
            if how != Meddling::Delay {
                self.oracle.on_forged();
            }
            self.watch.on_meddled(self.world.now(), Some(side), Seat::Rendezvous, how);
        }
        at = at.max(self.adversary.held[to.place()]);
        for letter in letters {
            self.schedule(at, Happening::HandOver { to, letter });
        }
    }

    /// Sends a datagram of the server at `place`, by way of whoever sits there.
    pub(super) fn carry_from_server(&mut self, place: usize, seat: Seat, datagram: &Datagram) {
        let through = match seat {
            Seat::Relay => &mut self.adversary.relayed,
            _ => &mut self.adversary.answers,
        };
        let nth = *through;
        *through += 1;
        let Some(how) = self.meddling(seat, nth) else {
            return self.send_from_server(place, datagram);
        };
        if how.forges() {
            self.oracle.on_meddled();
        }
        self.watch.on_meddled(self.world.now(), None, seat, how);
        let (before, contents) = self.meddle(how, nth, &datagram.contents);
        if let Some(contents) = before {
            self.send_from_server(place, &Datagram { contents, ..*datagram });
        }
        let datagram = Datagram { contents, ..*datagram };
        let Some(late) = how.holds_up() else { return self.send_from_server(place, &datagram) };
        self.schedule(self.world.now() + late, Happening::Leaves { at: place, datagram });
    }

    /// Puts a datagram of a side on its line, by way of whoever sits there.
    pub(super) fn carry_on_line(&mut self, side: Side, datagram: &Datagram) {
        let nth = self.adversary.sent;
        self.adversary.sent += 1;
        let Some(how) = self.meddling(Seat::Lines, nth) else {
            return self.put_on_line(side, datagram);
        };
        let now = self.world.now();
        if how.forges() {
            self.oracle.on_meddled();
        }
        self.watch.on_meddled(now, Some(side), Seat::Lines, how);
        let (before, contents) = self.meddle(how, nth, &datagram.contents);
        if let Some(contents) = before {
            self.put_on_line(side, &Datagram { contents, ..*datagram });
        }
        if matches!(how, Meddling::Truncate | Meddling::Flip) {
            self.befell(side.place(), &datagram.contents, &[Fate::Corrupted]);
        }
        let datagram = Datagram { contents, ..*datagram };
        let Some(late) = how.holds_up() else { return self.put_on_line(side, &datagram) };
        self.befell(side.place(), &datagram.contents, &[Fate::Reordered]);
        self.schedule(now + late, Happening::Enters { side, datagram });
    }
}
