//! Two lanes in one process over a network made of two queues, in virtual time.

#![allow(unreachable_pub, clippy::unwrap_used)] // shared by tests

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use passel_proto::ids::{Channel, Role};
use passel_sans_io::datagram::{Datagram, DatagramRef};
use passel_sans_io::lane::{ICE_SEED, IceCredentials, Lane, LaneConfig, LaneEvent, LaneOutput};

/// A small generator with a fixed seed (xorshift64).
pub struct Noise(pub u64);

impl Noise {
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}

/// One end, with what it said and what came to it.
pub struct End {
    pub lane: Lane,
    pub address: SocketAddr,
    pub events: Vec<LaneEvent>,
    pub messages: VecDeque<(Channel, Vec<u8>)>,
    pub wake: Option<Instant>,
    /// Datagrams under way to this end, with the time of arrival.
    pub inbox: VecDeque<(Instant, Datagram)>,
}

impl End {
    pub fn new(config: &LaneConfig, address: &str, now: Instant) -> Self {
        let mut lane = Lane::new(config.clone(), now).unwrap();
        let address = address.parse().unwrap();
        lane.add_local_candidate(address).unwrap();
        Self {
            lane,
            address,
            events: Vec::new(),
            messages: VecDeque::new(),
            wake: None,
            inbox: VecDeque::new(),
        }
    }

    pub fn saw(&self, wanted: impl Fn(&LaneEvent) -> bool) -> bool {
        self.events.iter().any(wanted)
    }
}

/// The two ends: 0 is the initiator.
pub struct Pair {
    pub ends: [End; 2],
    pub now: Instant,
    pub delay: Duration,
    /// Datagrams lost, in a thousand.
    pub loss: u64,
    /// Which others are lost.
    pub is_lost: fn(&Datagram) -> bool,
    /// How often each datagram that is not lost arrives.
    pub copies: usize,
    pub noise: Noise,
    /// Where datagrams went that were for neither end.
    pub elsewhere: Vec<SocketAddr>,
}

pub fn config(role: Role) -> LaneConfig {
    let seed = if role == Role::Initiator { [1; ICE_SEED] } else { [200; ICE_SEED] };
    LaneConfig::new(role, 0, IceCredentials::from_seed(&seed))
}

impl Pair {
    pub fn new(initiator: &LaneConfig, responder: &LaneConfig) -> Self {
        #[allow(clippy::disallowed_methods)] // the base of the virtual time
        let now = Instant::now();
        let ends = [
            End::new(initiator, "192.0.2.1:1000", now),
            End::new(responder, "192.0.2.2:2000", now),
        ];
        let delay = Duration::from_millis(5);
        Self {
            ends,
            now,
            delay,
            loss: 0,
            is_lost: |_| false,
            copies: 1,
            noise: Noise(0x9e37_79b9_7f4a_7c15),
            elsewhere: Vec::new(),
        }
    }

    pub fn describe(&mut self) {
        for (to, from) in [(0, 1), (1, 0)] {
            let description = self.ends[from].lane.local_description();
            self.ends[to].lane.set_remote(description, self.now).unwrap();
        }
    }

    pub fn connected() -> Self {
        let mut pair = Self::new(&config(Role::Initiator), &config(Role::Responder));
        pair.describe();
        assert!(
            pair.run_until(Duration::from_secs(5), Pair::all_open),
            "{:?}",
            pair.ends[0].events
        );
        pair
    }

    pub fn all_open(pair: &mut Pair) -> bool {
        let open = |end: &End| {
            Channel::ALL.iter().all(|channel| end.saw(|e| *e == LaneEvent::ChannelOpen(*channel)))
        };
        pair.ends.iter().all(open)
    }

    /// Drains end `i` and puts its datagrams under way.
    pub fn drain(&mut self, i: usize) {
        loop {
            match self.ends[i].lane.poll() {
                LaneOutput::Transmit(datagram) => {
                    let lost = self.noise.below(1_000) < self.loss || (self.is_lost)(&datagram);
                    let peer = &mut self.ends[1 - i];
                    if datagram.destination != peer.address {
                        self.elsewhere.push(datagram.destination);
                    } else if !lost {
                        let arrival = (self.now + self.delay, datagram);
                        peer.inbox.extend(std::iter::repeat_n(arrival, self.copies));
                    }
                }
                LaneOutput::Event(LaneEvent::Message { channel, data }) => {
                    self.ends[i].messages.push_back((channel, data));
                }
                LaneOutput::Event(event) => self.ends[i].events.push(event),
                LaneOutput::Timeout(at) => {
                    self.ends[i].wake = at;
                    return;
                }
            }
        }
    }

    /// Goes to the next arrival or wake-up, at most to `until`.
    pub fn step(&mut self, until: Instant) {
        for i in 0..2 {
            self.drain(i);
        }
        let next = self
            .ends
            .iter()
            .flat_map(|end| end.wake.into_iter().chain(end.inbox.front().map(|(at, _)| *at)))
            .min();
        self.now = next.map_or(until, |at| at.clamp(self.now, until));
        for i in 0..2 {
            while self.ends[i].inbox.front().is_some_and(|(at, _)| *at <= self.now) {
                let (_, datagram) = self.ends[i].inbox.pop_front().unwrap();
                self.ends[i].lane.handle_datagram(self.now, datagram.as_ref());
                self.drain(i);
            }
            if self.ends[i].wake.is_some_and(|at| at <= self.now) {
                self.ends[i].lane.handle_timeout(self.now);
                self.drain(i);
            }
        }
    }

    /// Runs until `done`, or for `limit` of virtual time: then `false`.
    pub fn run_until(&mut self, limit: Duration, done: impl Fn(&mut Pair) -> bool) -> bool {
        let until = self.now + limit;
        while self.now < until {
            self.step(until);
            if done(self) {
                return true;
            }
        }
        false
    }

    pub fn run(&mut self, time: Duration) {
        self.run_until(time, |_| false);
    }

    /// Gives raw bytes to end `i`, as if its peer had sent them.
    pub fn inject(&mut self, i: usize, contents: &[u8]) {
        let (source, destination) = (self.ends[1 - i].address, self.ends[i].address);
        let datagram = DatagramRef { source, destination, contents };
        self.ends[i].lane.handle_datagram(self.now, datagram);
        self.drain(i);
    }
}
