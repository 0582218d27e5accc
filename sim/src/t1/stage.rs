//! T1's world without our endpoints: anybody's sans-IO state machines stand on its
//! hosts, behind its gateways and on its lines, with its servers, in virtual time. What
//! does not live here: what must be true of them, which whoever puts them there says;
//! see `sim/examples/own_machine.rs`.

use std::time::Instant;

use passel_sans_io::datagram::Datagram;
use serde::{Deserialize, Serialize};

use super::plan::UpsetPlan;
use crate::hash::RunHash;
use crate::net::server::Server;
use crate::net::{GatewayPlan, Header, HostPlan, Network, Outage};
use crate::oracle::{Broken, broken};
use crate::world::World;

/// Wake-ups of one machine at one moment before that counts as spinning.
const WAKES_AT_ONCE: u32 = 100;

/// A sans-IO state machine: it is told what happens, and asked what follows.
pub trait Machine {
    /// A datagram has come for it.
    fn handle_datagram(&mut self, now: Instant, datagram: &Datagram);
    /// The moment that it asked for has come, or the world begins.
    fn handle_timeout(&mut self, now: Instant);
    /// The next datagram to be sent, from an address of its host.
    fn poll_datagram(&mut self) -> Option<Datagram>;
    /// When it wants to be woken.
    fn poll_timeout(&self) -> Option<Instant>;
    /// The next thing that it has to tell.
    fn poll_event(&mut self) -> Option<String>;
    /// Whether nothing more is needed of it.
    fn is_done(&self) -> bool;
}

/// The world that the machines stand in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stage {
    /// Seeds every draw of the network.
    pub seed: u64,
    /// The hosts, as many as machines.
    pub hosts: Vec<HostPlan>,
    /// What stands between them.
    pub gateways: Vec<GatewayPlan>,
    /// STUN servers in the open, at [`stun::PORT`](crate::net::stun::PORT).
    pub servers: Vec<HostPlan>,
    /// TURN servers in the open, at [`turn::PORT`](crate::net::turn::PORT), for
    /// [`turn::USER`](crate::net::turn::USER).
    pub relays: Vec<HostPlan>,
    /// When lines carry nothing. Servers have the places after the hosts', relays those
    /// after the servers'.
    pub outages: Vec<Outage>,
    /// What happens to gateways, from the world's beginning on. There is but one
    /// connection as far as the stage knows, so that of each is ignored.
    pub upsets: Vec<UpsetPlan>,
    /// The virtual time by which all must be done.
    pub bound_us: u64,
}

impl Stage {
    /// Hosts and nothing else, for a minute of virtual time.
    ///
    /// ```
    /// use passel_sim::net::{HostPlan, LinePlan};
    /// use passel_sim::t1::stage::Stage;
    ///
    /// let host = |ip: &str| HostPlan::in_the_open(vec![ip.parse().unwrap()], LinePlan::ideal(1000));
    /// let stage = Stage::new(7, vec![host("192.0.2.1"), host("192.0.2.2")]);
    /// assert!(stage.gateways.is_empty());
    /// ```
    pub fn new(seed: u64, hosts: Vec<HostPlan>) -> Self {
        Self {
            seed,
            hosts,
            gateways: Vec::new(),
            servers: Vec::new(),
            relays: Vec::new(),
            outages: Vec::new(),
            upsets: Vec::new(),
            bound_us: 60_000_000,
        }
    }
}

/// What came of it. Equal stages with equal machines have equal ones.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Played {
    /// What did not hold, if anything.
    pub broken: Option<Broken>,
    /// Over what the machines told, and when.
    pub semantic_hash: String,
    /// Over all datagrams, and when they were sent.
    pub wire_hash: String,
    /// Microseconds of virtual time that it took.
    pub virtual_us: u64,
    /// A line for each thing that was told, each datagram, and what befell it.
    pub trace: Vec<String>,
}

enum Happening {
    Crosses { from: usize, datagram: Datagram },
    Arrives { to: usize, datagram: Datagram },
    Timer { place: usize, generation: u64 },
    Upset(UpsetPlan),
}

struct Run<'m, M> {
    world: World<Happening>,
    network: Network,
    hosts: &'m [HostPlan],
    machines: &'m mut [M],
    servers: Vec<Server>,
    /// The timer of each machine, and how many it has set.
    timers: Vec<(Option<u64>, u64)>,
    /// When each machine was woken last, and how often then.
    wakes: Vec<(u64, u32)>,
    semantic: RunHash,
    wire: RunHash,
    trace: Vec<String>,
}

/// Has the machines, by the places of their hosts, play until all are done, on the
/// current thread. What they draw must not come from the system, or equal stages have
/// unequal runs. A stage with more or fewer hosts than machines is broken.
pub fn play<M: Machine>(stage: &Stage, machines: &mut [M]) -> Played {
    let count = machines.len();
    let standing = [&stage.hosts[..], &stage.servers, &stage.relays].concat();
    let relays = stage.relays.iter().map(|host| &host.addresses);
    let mut world = World::new();
    for upset in &stage.upsets {
        world.schedule(upset.at_us, Happening::Upset(*upset));
    }
    let mut run = Run {
        world,
        network: Network::new(stage.seed, &standing, &stage.gateways, &stage.outages),
        hosts: &stage.hosts,
        machines,
        servers: Server::all(stage.servers.len(), relays),
        timers: vec![(None, 0); count],
        wakes: vec![(0, 0); count],
        semantic: RunHash::default(),
        wire: RunHash::default(),
        trace: Vec::new(),
    };
    let result = if count == stage.hosts.len() {
        run.complete(stage.bound_us)
    } else {
        broken("the stage can be played", format!("{count} machines for its hosts"))
    };
    Played {
        broken: result.err(),
        semantic_hash: run.semantic.hex(),
        wire_hash: run.wire.hex(),
        virtual_us: run.world.now(),
        trace: run.trace,
    }
}

impl<M: Machine> Run<'_, M> {
    fn complete(&mut self, bound_us: u64) -> Result<(), Broken> {
        for place in 0..self.machines.len() {
            let now = self.instant(place);
            self.machines[place].handle_timeout(now);
            self.drain(place)?;
        }
        while !self.machines.iter().all(Machine::is_done) {
            let Some(happening) = self.world.advance() else {
                return broken("everything ends", "nothing will happen any more");
            };
            if self.world.now() > bound_us {
                return broken("everything ends", format!("not within {} s", bound_us / 1_000_000));
            }
            match happening {
                Happening::Crosses { from, datagram } => self.cross(from, datagram),
                Happening::Upset(UpsetPlan { gateway, upset, .. }) => {
                    self.trace
                        .push(format!("{:>12} gateway {gateway}: {upset:?}", self.world.now()));
                    self.network.upset(gateway, upset);
                }
                Happening::Arrives { to, datagram } if to >= self.hosts.len() => {
                    self.serve(to, &datagram);
                }
                Happening::Arrives { to, datagram } => {
                    let now = self.instant(to);
                    self.machines[to].handle_datagram(now, &datagram);
                    self.drain(to)?;
                }
                Happening::Timer { place, generation } if self.timers[place].1 == generation => {
                    self.timers[place].0 = None;
                    self.count_wake(place)?;
                    let now = self.instant(place);
                    self.machines[place].handle_timeout(now);
                    self.drain(place)?;
                }
                Happening::Timer { .. } => {}
            }
        }
        Ok(())
    }

    /// The time by the clock of a machine's host.
    fn instant(&self, place: usize) -> Instant {
        self.world.instant_by(self.hosts[place].clock)
    }

    fn count_wake(&mut self, place: usize) -> Result<(), Broken> {
        let (now, (at, count)) = (self.world.now(), self.wakes[place]);
        self.wakes[place] = if at == now { (at, count + 1) } else { (now, 1) };
        if self.wakes[place].1 > WAKES_AT_ONCE {
            return broken("a timer does not spin", format!("machine {place}"));
        }
        Ok(())
    }

    fn tell(&mut self, place: usize, what: &str) {
        self.trace.push(format!("{:>12} {place}: {what}", self.world.now()));
    }

    /// Asks a machine for all that it has, and plans its next wake-up.
    fn drain(&mut self, place: usize) -> Result<(), Broken> {
        let now = self.world.now();
        while let Some(event) = self.machines[place].poll_event() {
            self.semantic.number(now << 8 | place as u64);
            self.semantic.bytes(event.as_bytes());
            self.tell(place, &event);
        }
        while let Some(datagram) = self.machines[place].poll_datagram() {
            self.send(place, &datagram)?;
        }
        let clock = self.hosts[place].clock;
        let due = self.machines[place].poll_timeout();
        let due = due.map(|at| self.world.micros_by(clock, at));
        let (timer, generation) = &mut self.timers[place];
        if due != *timer {
            (*timer, *generation) = (due, *generation + 1);
            let generation = *generation;
            if let Some(at) = due {
                self.world.schedule(at, Happening::Timer { place, generation });
            }
        }
        Ok(())
    }

    fn send(&mut self, place: usize, datagram: &Datagram) -> Result<(), Broken> {
        let (now, Datagram { source, destination, contents }) = (self.world.now(), datagram);
        self.wire.number(now << 8 | place as u64);
        self.wire.bytes(format!("{source} {destination}").as_bytes());
        self.wire.bytes(contents);
        if !self.hosts[place].addresses.contains(&source.ip()) {
            return broken("datagrams leave from where they may", format!("{source}"));
        }
        self.put_on_line(place, datagram);
        Ok(())
    }

    fn put_on_line(&mut self, place: usize, datagram: &Datagram) {
        let (now, Datagram { source, destination, contents }) = (self.world.now(), datagram);
        let carried = self.network.up(now, place, contents, source.is_ipv6());
        let (len, fates) = (contents.len(), &carried.fates);
        self.tell(place, &format!("sends {len} bytes to {destination} {fates:?}"));
        for (at, contents) in carried.copies {
            let datagram = Datagram { contents, ..*datagram };
            self.world.schedule(at, Happening::Crosses { from: place, datagram });
        }
    }

    /// A datagram has reached the server at `place`.
    fn serve(&mut self, place: usize, datagram: &Datagram) {
        let Datagram { source, destination, ref contents } = *datagram;
        let Some(server) = self.servers.get_mut(place - self.hosts.len()) else { return };
        let header = Header { source, destination };
        for (Header { source, destination }, contents) in
            server.take(self.world.now(), header, contents)
        {
            self.put_on_line(place, &Datagram { source, destination, contents });
        }
    }

    fn cross(&mut self, from: usize, datagram: Datagram) {
        let now = self.world.now();
        let Datagram { source, destination, contents } = datagram;
        match self.network.cross(now, from, Header { source, destination }) {
            Err(blocked) => self.tell(from, &format!("to {destination}: {blocked:?}")),
            Ok((to, Header { source, destination })) => {
                let carried = self.network.down(now, to, &contents, source.is_ipv6());
                if !carried.fates.is_empty() {
                    self.tell(to, &format!("from {source}: {:?}", carried.fates));
                }
                for (at, contents) in carried.copies {
                    let datagram = Datagram { source, destination, contents };
                    self.world.schedule(at, Happening::Arrives { to, datagram });
                }
            }
        }
    }
}
