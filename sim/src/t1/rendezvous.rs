//! The rendezvous as a host: blobs go to it over the line of the side that sends them,
//! and from it over the line of the other, each on a stream that sends again what is
//! lost, as TCP does. Gateways let such streams pass. What does not live here: what
//! somebody inside does to blobs (`adversary`), and how programs find the rendezvous and
//! come back to it, which is T2's.

use std::collections::VecDeque;
use std::net::{Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};

use super::draw;
use super::plan::Plan;
use super::{Happening, Run};
use crate::net::{HostPlan, Outage};
use crate::plan::Side;
use crate::rng::Draw;

const SECOND: u64 = 1_000_000;
/// How long a stream waits before it sends again, at first; twice as long each time.
const AGAIN_US: u64 = SECOND;
/// It waits no longer than this often the first wait.
const LONGEST_WAIT: u64 = 16;
/// How long after it was handed over a letter is late: a good part of the time that
/// there is for a handshake.
const LATE_US: u64 = 10 * SECOND;
/// A segment of a stream.
const SEGMENT: usize = 1200;

/// A rendezvous that is a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RendezvousPlan {
    /// Where it stands, in the open.
    pub host: HostPlan,
    /// When it cannot be reached.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub away: Vec<Away>,
}

/// A time in which a rendezvous cannot be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Away {
    /// When it begins.
    pub at_us: u64,
    /// How long it lasts.
    pub for_us: u64,
}

/// A blob on its way, the number under which it is drawn, and since when it is.
#[derive(Clone, Debug)]
pub(super) struct Letter {
    pub(super) blob: Vec<u8>,
    pub(super) number: Option<usize>,
    /// When its side handed it over.
    pub(super) since: u64,
}

impl Letter {
    /// What stands for all of it on a line.
    fn segment(&self) -> &[u8] {
        &self.blob[..self.blob.len().min(SEGMENT)]
    }
}

/// Which way a stream goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// From a side to the rendezvous.
    From(Side),
    /// From there to a side.
    To(Side),
}

/// How far the first letter of a stream has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// It has left the line of the one that sends it.
    Crosses,
    /// It is there.
    Arrives,
    /// If it is not there by now, it is sent again.
    IsDue,
}

/// One stream: a letter goes when the one before it has come.
#[derive(Debug, Default)]
struct Stream {
    letters: VecDeque<Letter>,
    /// Letters that have come.
    come: u64,
    tries: u32,
}

/// All streams of a connection.
#[derive(Debug, Default)]
pub(super) struct Post {
    from: [Stream; 2],
    to: [Stream; 2],
}

impl Post {
    /// Whether a letter was lost so often that who waits for it may give up.
    fn is_late(&self, now: u64) -> bool {
        let mut letters = self.streams().flat_map(|stream| &stream.letters);
        letters.any(|letter| letter.since + LATE_US < now)
    }

    /// Whether any letter has come anywhere.
    fn has_carried(&self) -> bool {
        self.streams().any(|stream| stream.come > 0)
    }

    fn streams(&self) -> impl Iterator<Item = &Stream> {
        self.from.iter().chain(&self.to)
    }

    fn stream(&mut self, way: Way) -> &mut Stream {
        match way {
            Way::From(side) => &mut self.from[side.place()],
            Way::To(side) => &mut self.to[side.place()],
        }
    }
}

/// Makes the rendezvous of a plan a host, or leaves it as it is.
pub(super) fn draw(plan: &mut Plan) {
    let mut draw = Draw::new(plan.seed, "rendezvous of t1");
    if draw.chance(300) {
        return;
    }
    let v4 = Ipv4Addr::new(198, 51, 100, 60).into();
    let v6 = Ipv6Addr::new(0x2001, 0xdb8, 9, 0, 0, 0, 0, 0x60).into();
    let host = HostPlan::in_the_open(vec![v4, v6], draw::server_line(&mut draw));
    let away = |draw: &mut Draw| Away {
        at_us: draw.below(SECOND),
        for_us: draw.between(SECOND / 10, 3 * SECOND),
    };
    let away = (0..draw.pick(&[0, 0, 0, 1])).map(|_| away(&mut draw)).collect();
    plan.rendezvous = Some(RendezvousPlan { host, away });
}

impl Plan {
    /// Where the rendezvous stands among the hosts: behind all others.
    fn place_of_rendezvous(&self) -> usize {
        self.hosts.len() + self.servers.len() + self.relays.len()
    }

    /// All times in which a line carries nothing, that of the rendezvous with them.
    pub(super) fn all_outages(&self) -> Vec<Outage> {
        let host = self.place_of_rendezvous();
        let away = self.rendezvous.iter().flat_map(|rendezvous| &rendezvous.away);
        let away = away.map(|away| Outage { host, at_us: away.at_us, for_us: away.for_us });
        self.outages.iter().copied().chain(away).collect()
    }
}

impl Run<'_> {
    /// Whether a letter is late. Of a rendezvous that was never there, that is no excuse.
    pub(super) fn is_letter_late(&self) -> bool {
        let now = self.world.now();
        let is_away = || self.network.is_out(now, self.plan.place_of_rendezvous());
        self.post.is_late(now) && (self.post.has_carried() || !is_away())
    }

    /// A side hands over a blob for the other.
    pub(super) fn post(&mut self, side: Side, blob: Vec<u8>) {
        let number = self.watch.on_signal(self.world.now(), side, &blob);
        let letter = Letter { blob, number, since: self.world.now() };
        match self.plan.rendezvous {
            Some(_) => self.put(Way::From(side), letter),
            None => self.at_rendezvous(side, letter),
        }
    }

    /// The rendezvous hands over a letter to a side.
    pub(super) fn hand_over(&mut self, to: Side, letter: Letter) {
        match self.plan.rendezvous {
            Some(_) => self.put(Way::To(to), letter),
            None => self.schedule(self.world.now(), Happening::Signal { to, letter }),
        }
    }

    fn put(&mut self, way: Way, letter: Letter) {
        let stream = self.post.stream(way);
        stream.letters.push_back(letter);
        if stream.letters.len() == 1 {
            self.send_first(way);
        }
    }

    /// The hosts from which and to which a stream goes.
    fn ends(&self, way: Way) -> (usize, usize) {
        let there = self.plan.place_of_rendezvous();
        match way {
            Way::From(side) => (side.place(), there),
            Way::To(side) => (there, side.place()),
        }
    }

    fn send_first(&mut self, way: Way) {
        let now = self.world.now();
        let (from, _) = self.ends(way);
        let stream = self.post.stream(way);
        let Some(letter) = stream.letters.front() else { return };
        let nth = stream.come;
        let wait = AGAIN_US * (1 << stream.tries.min(10)).min(LONGEST_WAIT);
        stream.tries += 1;
        let carried = self.network.up(now, from, letter.segment(), true);
        self.oracle.on_letter(carried.copies.is_empty());
        for (at, _) in carried.copies {
            self.schedule(at, Happening::Mail { way, nth, progress: Progress::Crosses });
        }
        self.schedule(now + wait, Happening::Mail { way, nth, progress: Progress::IsDue });
    }

    /// The `nth` letter of a stream has come so far.
    pub(super) fn mail(&mut self, way: Way, nth: u64, progress: Progress) {
        let now = self.world.now();
        let (_, to) = self.ends(way);
        let stream = self.post.stream(way);
        if stream.come != nth {
            return; // It is there.
        }
        let Some(letter) = stream.letters.front() else { return };
        match progress {
            Progress::IsDue => self.send_first(way),
            Progress::Crosses => {
                let carried = self.network.down(now, to, letter.segment(), true);
                self.oracle.on_letter(carried.copies.is_empty());
                for (at, _) in carried.copies {
                    self.schedule(at, Happening::Mail { way, nth, progress: Progress::Arrives });
                }
            }
            Progress::Arrives => {
                let letter = letter.clone();
                stream.letters.pop_front();
                (stream.come, stream.tries) = (nth + 1, 0);
                self.send_first(way);
                match way {
                    Way::From(side) => self.at_rendezvous(side, letter),
                    Way::To(to) => self.schedule(now, Happening::Signal { to, letter }),
                }
            }
        }
    }
}
