//! Somebody's own sans-IO state machines in T1's world, in the place of our
//! endpoints: one hands numbers over, one at a time, and says each again until it
//! is acknowledged; the other keeps them. Their lines lose, delay, repeat and
//! reorder what they send; in the end every number must be there once and in order.
//!
//! ```text
//! cargo run -p passel-sim --example own_machine -- 7
//! ```
//!
//! What a machine needs for this is [`Machine`]: time comes in as an argument,
//! datagrams and moments come out when they are asked for.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use passel_sans_io::datagram::Datagram;
use passel_sim::clock::Clock;
use passel_sim::net::{HostPlan, LinePlan, Loss, Outage};
use passel_sim::t1::stage::{Machine, Played, Stage, play};

/// How many numbers there are.
const NUMBERS: u32 = 30;
/// How long to wait for an acknowledgement.
const PATIENCE: Duration = Duration::from_millis(400);

/// Either of the two: it sends if it has a peer.
struct Counter {
    own: SocketAddr,
    peer: Option<SocketAddr>,
    /// Numbers that were kept, or acknowledged.
    done: Vec<u32>,
    again_at: Option<Instant>,
    out: VecDeque<Datagram>,
    events: VecDeque<String>,
}

impl Counter {
    fn new(own: SocketAddr, peer: Option<SocketAddr>) -> Self {
        let (out, events) = (VecDeque::new(), VecDeque::new());
        Self { own, peer, done: Vec::new(), again_at: None, out, events }
    }

    fn next(&self) -> u32 {
        u32::try_from(self.done.len()).unwrap_or(u32::MAX)
    }

    fn say(&mut self, to: SocketAddr, number: u32) {
        let contents = number.to_be_bytes().to_vec();
        self.out.push_back(Datagram { source: self.own, destination: to, contents });
    }

    fn say_next(&mut self, now: Instant) {
        self.again_at = None;
        if let (Some(peer), true) = (self.peer, self.next() < NUMBERS) {
            self.say(peer, self.next());
            self.again_at = Some(now + PATIENCE);
        }
    }
}

impl Machine for Counter {
    fn handle_datagram(&mut self, now: Instant, datagram: &Datagram) {
        let Ok(bytes) = datagram.contents.as_slice().try_into() else { return };
        let number = u32::from_be_bytes(bytes);
        let is_next = number == self.next();
        if is_next {
            self.done.push(number);
            self.events.push_back(format!("has {number}"));
        }
        if self.peer.is_none() {
            self.say(datagram.source, number);
        } else if is_next {
            self.say_next(now);
        }
    }

    fn handle_timeout(&mut self, now: Instant) {
        if self.again_at.is_none_or(|at| now >= at) {
            self.say_next(now);
        }
    }

    fn poll_datagram(&mut self) -> Option<Datagram> {
        self.out.pop_front()
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.again_at
    }

    fn poll_event(&mut self) -> Option<String> {
        self.events.pop_front()
    }

    fn is_done(&self) -> bool {
        self.next() == NUMBERS
    }
}

/// Plays it once, with a seed and a loss. What came of it, and the numbers that
/// were kept.
pub(crate) fn play_once(seed: u64, loss: Loss) -> (Played, Vec<u32>) {
    let line = || LinePlan {
        loss,
        jitter_us: 5000,
        reorder_permille: 50,
        reorder_us: 100_000,
        duplicate_permille: 50,
        ..LinePlan::ideal(20_000)
    };
    let sockets = [1, 2].map(|last| SocketAddr::from(([198, 51, 100, last], 7000)));
    // One clock gains on the other, which nobody is to mind.
    let host = |(socket, ppm): (&SocketAddr, i32)| HostPlan {
        clock: Clock::gaining(ppm),
        ..HostPlan::in_the_open(vec![socket.ip()], line())
    };
    let hosts = sockets.iter().zip([0, 100]).map(host).collect();
    let outages = vec![Outage { host: 1, at_us: 1_000_000, for_us: 2_000_000 }];
    let stage = Stage { outages, bound_us: 120_000_000, ..Stage::new(seed, hosts) };
    let [sender, keeper] = sockets;
    let mut machines = [Counter::new(sender, Some(keeper)), Counter::new(keeper, None)];
    let played = play(&stage, &mut machines);
    let [_, keeper] = machines;
    (played, keeper.done)
}

#[allow(dead_code, reason = "a test takes this file in as a module")]
fn main() -> io::Result<()> {
    let seed = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(0);
    let (played, kept) = play_once(seed, Loss::Uniform { permille: 100 });
    let mut out = io::stdout().lock();
    for line in &played.trace {
        writeln!(out, "{line}")?;
    }
    match &played.broken {
        None => writeln!(out, "{} numbers; the run's hash is {}", kept.len(), played.wire_hash),
        Some(broken) => writeln!(out, "seed {seed}: {broken}"),
    }
}
