//! A path with delay, loss and a bottleneck, to measure on: pairs of whole
//! endpoints (ICE, DTLS, SCTP, handshake, transfer) that share it, one file for
//! each pair, in virtual time. What lives here is the run. What a path is and
//! what comes of a run are in `plan`, the two peers of a pair in `peer`.
//!
//! Nothing is checked here but that transfers complete: that is T1's business.

mod peer;
mod plan;

use std::net::IpAddr;
use std::time::Instant;

use passel_proto::connection::Event;
use passel_proto::ids::TransferId;
use passel_sans_io::datagram::Datagram;
use passel_sans_io::endpoint::EndpointEvent;

pub use self::plan::{Mark, Measured, PathPlan, SMALLEST_QUEUE};

use self::peer::Peer;
use crate::net::{Fate, Line};
use crate::world::World;

/// Wake-ups of all endpoints at one moment before that counts as spinning.
const WAKES_AT_ONCE: u32 = 10_000;

/// Something that will happen to a peer, who is named by its place.
enum Happening {
    Arrives { to: usize, datagram: Datagram },
    Signal { to: usize, blob: Vec<u8> },
    Timer { of: usize, generation: u64 },
}

/// A run in progress. Peers at even places send, each to the one behind it.
struct Run<'p> {
    plan: &'p PathPlan,
    world: World<Happening>,
    /// From senders to receivers, and back.
    lines: [Line; 2],
    peers: Vec<Peer>,
    measured: Vec<Measured>,
}

/// Sends one file for each pair of the plan, on a thread of its own, and returns
/// what came of each. Equal plans give equal results.
///
/// # Errors
///
/// What an endpoint fails with, in words.
pub fn run(plan: &PathPlan) -> Result<Vec<Measured>, String> {
    std::thread::scope(|scope| {
        let seeded = || {
            passel_sim_entropy::with_seed(plan.seed, || {
                // Whoever draws from here took its first seed from the system.
                fastrand::seed(plan.seed);
                Run::new(plan)?.complete()
            })
        };
        match scope.spawn(seeded).join() {
            Ok(measured) => measured,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

impl<'p> Run<'p> {
    fn new(plan: &'p PathPlan) -> Result<Self, String> {
        let world = World::new();
        let lanes = plan.pairs.iter().flat_map(|lanes| [*lanes, *lanes]).enumerate();
        let peer = |(place, lanes)| Peer::new(plan.seed, place, lanes, world.instant());
        let peers = lanes.map(peer).collect::<Result<_, _>>().map_err(|error| error.to_string())?;
        let line = plan.line();
        Ok(Self {
            plan,
            world,
            lines: ["forth", "back"].map(|way| Line::new(&line, plan.seed, way)),
            peers,
            measured: vec![Measured::default(); plan.pairs.len()],
        })
    }

    fn complete(mut self) -> Result<Vec<Measured>, String> {
        for place in 0..self.peers.len() {
            let now = self.world.instant();
            self.peers[place].endpoint.start(now);
            self.drain(place)?;
        }
        let mut at_once = (0, 0);
        while self.measured.iter().any(|one| one.at(Mark::Completed).is_none()) {
            let Some(happening) = self.world.advance() else {
                return Err("nothing will happen any more".to_owned());
            };
            let at = self.world.now();
            if at > self.plan.until_us {
                break;
            }
            let now = self.world.instant();
            let place = match happening {
                Happening::Arrives { to, datagram } => {
                    self.peers[to].endpoint.handle_datagram(now, datagram.as_ref());
                    to
                }
                Happening::Signal { to, blob } => {
                    self.peers[to].endpoint.handle_signal(now, &blob);
                    to
                }
                Happening::Timer { of, generation } => {
                    if self.peers[of].generation != generation {
                        continue;
                    }
                    at_once = if at_once.0 == at { (at, at_once.1 + 1) } else { (at, 1) };
                    if at_once.1 > WAKES_AT_ONCE {
                        return Err("a timer spins".to_owned());
                    }
                    self.peers[of].timer = None;
                    self.peers[of].endpoint.handle_timeout(now);
                    of
                }
            };
            self.drain(place)?;
        }
        for pair in 0..self.plan.pairs.len() {
            let verified = self.verified(pair);
            let measured = &mut self.measured[pair];
            measured.bytes = verified;
            measured.ended_us = measured.at(Mark::Completed).unwrap_or(self.plan.until_us);
        }
        Ok(self.measured)
    }

    /// Bytes that the receiver of a pair has and found right.
    fn verified(&self, pair: usize) -> u64 {
        if self.measured[pair].at(Mark::Completed).is_some() {
            return self.plan.bytes;
        }
        let receiver = &self.peers[2 * pair + 1];
        let progress = receiver.transfer.and_then(|transfer| receiver.endpoint.progress(transfer));
        progress.map_or(0, |progress| progress.bytes_moved)
    }

    /// Drains an endpoint in the order that its contract names, and plans its
    /// next wake-up.
    fn drain(&mut self, place: usize) -> Result<(), String> {
        let now = self.world.instant();
        let mut busy = true;
        while busy {
            busy = false;
            while let Some(event) = self.peers[place].endpoint.poll_event() {
                busy = true;
                self.on_event(place, now, event)?;
            }
            while let Some(request) = self.peers[place].endpoint.poll_storage() {
                busy = true;
                if let Some(mark) = peer::mark_of(&request) {
                    self.mark(place, mark);
                }
                let reply = peer::carry_out(request);
                let taken = self.peers[place].endpoint.handle_storage(now, reply);
                taken.map_err(|error| error.to_string())?;
            }
            while let Some(blob) = self.peers[place].endpoint.poll_signal() {
                busy = true;
                let at = self.world.now() + self.plan.signaling_us;
                self.world.schedule(at, Happening::Signal { to: place ^ 1, blob });
            }
            while let Some(datagram) = self.peers[place].endpoint.poll_datagram() {
                busy = true;
                self.send(place, &datagram);
            }
        }
        if place.is_multiple_of(2) {
            let lanes = &mut self.measured[place / 2].lanes;
            *lanes = self.peers[place].endpoint.lanes().0.max(*lanes);
        }
        let peer = &mut self.peers[place];
        let due = peer.endpoint.poll_timeout().map(|(at, _)| self.world.micros(at));
        if due != peer.timer {
            peer.timer = due;
            peer.generation += 1;
            if let Some(at) = due {
                let generation = peer.generation;
                self.world.schedule(at, Happening::Timer { of: place, generation });
            }
        }
        Ok(())
    }

    /// Puts a datagram on the line, and plans its arrival.
    fn send(&mut self, place: usize, datagram: &Datagram) {
        let carried = self.lines[place % 2].carry(self.world.now(), &datagram.contents, false);
        let measured = &mut self.measured[place / 2];
        measured.datagrams += 1;
        for fate in carried.fates {
            match fate {
                Fate::QueueFull => measured.dropped += 1,
                Fate::Lost => measured.lost += 1,
                _ => {}
            }
        }
        let to = place ^ 1;
        if datagram.destination.ip() != address(to) {
            return;
        }
        for (at, contents) in carried.copies {
            let datagram = Datagram { contents, ..*datagram };
            self.world.schedule(at, Happening::Arrives { to, datagram });
        }
    }

    fn on_event(&mut self, place: usize, now: Instant, event: EndpointEvent) -> Result<(), String> {
        match event {
            EndpointEvent::Connecting => self.mark(place, Mark::Answered),
            EndpointEvent::Connected { .. } => self.mark(place, Mark::Connected),
            EndpointEvent::LaneWanted { lane } => {
                self.peers[place].endpoint.bind_lane(now, lane, &[peer::socket(place, lane)]);
            }
            EndpointEvent::LaneOver { .. } => {}
            EndpointEvent::Connection(event) => match event {
                Event::Established { .. } => {
                    self.mark(place, Mark::Established);
                    if place.is_multiple_of(2) {
                        let manifest = peer::manifest(self.plan.bytes)?;
                        let endpoint = &mut self.peers[place].endpoint;
                        if let Some(limit) = self.plan.limit {
                            let limited = endpoint.set_rate_limit(now, None, Some(limit));
                            limited.map_err(|error| error.to_string())?;
                        }
                        let offered = endpoint.offer(now, manifest, "");
                        self.begun(place, offered.map_err(|error| error.to_string())?);
                    }
                }
                Event::Offered { transfer } => {
                    self.mark(place, Mark::Offered);
                    let accepted = self.peers[place].endpoint.accept(now, transfer, None);
                    accepted.map_err(|error| error.to_string())?;
                    self.begun(place, transfer);
                }
                Event::Completed { .. } => self.mark(place, Mark::Completed),
                Event::Ended { error, .. }
                | Event::FileFailed { error, .. }
                | Event::Closed { error: Some(error) } => return Err(error.to_string()),
                _ => {}
            },
        }
        Ok(())
    }

    fn begun(&mut self, place: usize, transfer: TransferId) {
        self.peers[place].transfer = Some(transfer);
    }

    /// Notes when something happened first, at the receiver.
    fn mark(&mut self, place: usize, mark: Mark) {
        if !place.is_multiple_of(2) {
            self.measured[place / 2].marks.entry(mark).or_insert(self.world.now());
        }
    }
}

/// The address of the peer at this place.
fn address(place: usize) -> IpAddr {
    let last = u8::try_from(place + 1).unwrap_or(u8::MAX);
    [192, 0, 2, last].into()
}
