//! Tier T1: two whole endpoints (ICE, DTLS, SCTP, handshake, transfers) over a
//! simulated network. What lives here is the run: it lets things happen, drains
//! both endpoints after each, hands what it sees to the oracle, and stops at the
//! first invariant that does not hold. Virtual time is the only clock, and a
//! thread with a seed for the system's random numbers the only world.

mod adversary;
pub(crate) mod crypto;
mod disk;
mod draw;
mod gateways;
mod host;
mod lanes;
mod losses;
mod oracle;
mod picture;
mod plan;
mod planted;
mod prospect;
mod relays;
mod roam;
mod servers;
mod sometimes;
pub mod stage;
mod tap;
mod tier;
mod watch;
mod wrap;

use std::rc::Rc;
use std::time::Instant;

use passel_proto::connection::Event;
use passel_proto::ids::{FileIndex, TransferId};
use passel_proto::storage::StorageReply;
use passel_sans_io::datagram::Datagram;
use passel_sans_io::endpoint::EndpointEvent;

pub use self::adversary::{MeddlePlan, Meddling, Seat};
pub use self::plan::{DeadLane, Plan, RelayPlan, RoamPlan, Tier, TransferPlan, UpsetPlan};
pub use self::planted::Planted;
pub use self::sometimes::Condition;
pub use self::wrap::{plans as wrapping_plans, search as wraps};
pub use crate::tier::{record, run};

use self::adversary::Adversary;
use self::host::Host;
use self::oracle::{Facts, IN_NOTE, Oracle};
use self::prospect::Prospect;
use self::watch::Watch;
use crate::net::turn::Relay;
use crate::net::{Fate, Header, Network};
use crate::oracle::{Broken, broken};
use crate::outcome::{self, Violation};
use crate::plan::Side;
use crate::trace::Recording;
use crate::world::World;

/// Wake-ups of one endpoint at one moment before that counts as spinning.
const WAKES_AT_ONCE: u32 = 100;
/// How long endpoints that are done are listened to.
const QUIET_US: u64 = 10_000_000;

/// What a run came to.
pub type Outcome = outcome::Outcome<Plan>;

/// Something that will happen.
#[derive(Debug)]
enum Happening {
    /// A datagram has left the line of the host at `from`.
    Crosses { from: usize, datagram: Datagram },
    /// A datagram reaches the server at this place.
    Serves { at: usize, datagram: Datagram },
    /// A datagram leaves the server at this place late.
    Leaves { at: usize, datagram: Datagram },
    /// A datagram that was held up enters the line of its host.
    Enters { side: Side, datagram: Datagram },
    /// A host of the plan gets other addresses.
    Roams { planned: usize },
    /// Something of the plan happens to a gateway.
    Upset(UpsetPlan),
    /// A datagram reaches `to`.
    Arrives { to: Side, datagram: Datagram },
    /// The signaling delivers a blob.
    Signal { to: Side, blob: Vec<u8> },
    /// A timer is due, unless another was set since.
    Timer { side: Side, generation: u64 },
    /// A transfer of the plan is offered.
    Offer { planned: usize },
    /// The best path must have been found.
    Settled,
    /// Both endpoints have been done for a while.
    Quiet,
}

/// A run in progress.
#[derive(Debug)]
struct Run<'p> {
    plan: &'p Plan,
    world: World<Happening>,
    network: Network,
    relays: Vec<Relay>,
    adversary: Adversary,
    hosts: [Host; 2],
    oracle: Oracle,
    prospect: Prospect,
    watch: Watch,
    step: u64,
    /// Offers that wait for the handshake.
    waiting: Vec<usize>,
    /// The path that is used is the best one.
    settled: bool,
    /// When both endpoints were done.
    done_at: Option<u64>,
    /// Blobs and datagrams so far, for planted bugs.
    blobs: u64,
    datagrams: u64,
}

fn on_own_thread(plan: &Plan, watch: impl FnOnce() -> Watch + Send) -> (Outcome, Recording) {
    std::thread::scope(|scope| {
        let seeded = || {
            passel_sim_entropy::with_seed(plan.entropy.unwrap_or(plan.seed), || {
                // Whoever draws from here took its first seed from the system.
                fastrand::seed(plan.seed);
                on_this_thread(plan, watch())
            })
        };
        match scope.spawn(seeded).join() {
            Ok(outcome) => outcome,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

fn on_this_thread(plan: &Plan, watch: Watch) -> (Outcome, Recording) {
    let mut run = match Run::new(plan, watch) {
        Ok(run) => run,
        Err(broken) => {
            let violation = Some(Violation { broken, at_us: 0 });
            let outcome = Outcome { seed: plan.seed, violation, ..Outcome::default() };
            return (outcome, Recording::default());
        }
    };
    let result = run.complete();
    if wrap::has_wrapped() {
        run.watch.meet(Condition::SequenceWrapped);
    }
    let at_us = run.world.now();
    let violation = result.err().map(|broken| Violation { broken, at_us });
    let ended = run.done_at.filter(|_| violation.is_none()).unwrap_or(at_us);
    run.watch.outcome(plan.seed, violation, ended, run.step)
}

impl<'p> Run<'p> {
    fn new(plan: &'p Plan, mut watch: Watch) -> Result<Self, Broken> {
        let world = World::new();
        let hosts = host::both(plan, &world)?;
        let both = |host: &crate::net::HostPlan| {
            [true, false].iter().all(|v4| host.addresses.iter().any(|one| one.is_ipv4() == *v4))
        };
        if plan.hosts.iter().all(both) {
            watch.meet(Condition::BothFamilies);
        }
        if Side::BOTH.iter().all(|side| plan.transfers.iter().any(|one| one.from == *side)) {
            watch.meet(Condition::BothDirections);
        }
        let relays = plan.relays.iter().map(|relay| &relay.host);
        let standing = plan.hosts.iter().chain(&plan.servers).chain(relays);
        let standing: Vec<_> = standing.cloned().collect();
        let prospect = Prospect::of(plan);
        Ok(Self {
            plan,
            world,
            network: Network::new(plan.seed, &standing, &plan.gateways, &plan.outages),
            relays: servers::relays(plan),
            adversary: Adversary::default(),
            hosts,
            oracle: Oracle::new(
                prospect.direct || prospect.relayed,
                plan.hosts.each_ref().map(|host| host.clock),
            ),
            prospect,
            watch,
            step: 0,
            waiting: Vec::new(),
            settled: true,
            done_at: None,
            blobs: 0,
            datagrams: 0,
        })
    }

    fn complete(&mut self) -> Result<(), Broken> {
        for (planned, transfer) in self.plan.transfers.iter().enumerate() {
            self.world.schedule(transfer.at_us, Happening::Offer { planned });
        }
        for upset in &self.plan.upsets {
            self.world.schedule(upset.at_us, Happening::Upset(*upset));
        }
        for (planned, roam) in self.plan.roams.iter().enumerate() {
            self.world.schedule(roam.at_us, Happening::Roams { planned });
        }
        for side in Side::BOTH {
            let now = self.instant(side);
            self.hosts[side.place()].endpoint.start(now);
            self.drain(side)?;
        }
        let bound = self.plan.bound_us();
        loop {
            let Some(happening) = self.world.advance() else {
                return broken("everything ends", "nothing will happen any more");
            };
            if self.world.now() > bound {
                // Liveness: all has healed long ago.
                let detail = format!("not within {} s of virtual time", bound / 1_000_000);
                return broken("everything ends", detail);
            }
            self.step += 1;
            if matches!(happening, Happening::Quiet) {
                break;
            }
            self.happen(happening)?;
            self.close_if_completed()?;
            self.listen_if_done();
        }
        self.note_released();
        for side in Side::BOTH {
            let now = self.instant(side);
            self.hosts[side.place()].endpoint.handle_timeout(now);
            self.drain(side)?;
            if !self.oracle.is_lost() {
                self.oracle.check_end(side, &self.hosts[side.place()].disk)?;
            }
        }
        Ok(())
    }

    /// The time by a side's own clock.
    fn instant(&self, side: Side) -> Instant {
        self.world.instant_by(self.hosts[side.place()].clock)
    }

    /// Has the connection closed once all that was planned is completed.
    fn close_if_completed(&mut self) -> Result<(), Broken> {
        let completed = self.oracle.all_completed(self.plan.transfers.len());
        if self.oracle.closing || !completed {
            return Ok(());
        }
        self.watch.in_transfer = false;
        if !self.settled {
            return Ok(());
        }
        self.check_settled_paths()?;
        self.oracle.close(self.world.now());
        if self.hosts[0].clock != self.hosts[1].clock {
            self.watch.meet(Condition::ClocksApart);
        }
        if self.watch.upset_in_transfer {
            self.watch.meet(Condition::UpsetGotOver);
        }
        if self.watch.roamed_in_transfer {
            self.watch.meet(Condition::RoamGotOver);
        }
        if self.oracle.meddled {
            self.watch.meet(Condition::MeddlingGotOver);
        }
        let closer = self.plan.closer;
        let now = self.instant(closer);
        self.hosts[closer.place()].endpoint.close(now, None);
        self.drain(closer)
    }

    fn listen_if_done(&mut self) {
        if self.done_at.is_none() && self.hosts.iter().all(|host| host.done) {
            let possible = self.prospect.direct || self.prospect.relayed;
            if !possible && !self.oracle.found_by_chance() {
                self.watch.meet(Condition::NoPath);
            }
            if self.oracle.is_lost() {
                self.watch.meet(match (self.oracle.meddled, self.watch.roamed_in_transfer) {
                    (true, _) => Condition::EndedByMeddling,
                    (false, true) => Condition::LostByRoam,
                    (false, false) => Condition::LostByUpset,
                });
            }
            self.done_at = Some(self.world.now());
            self.world.schedule(self.world.now() + QUIET_US, Happening::Quiet);
        }
    }

    fn happen(&mut self, happening: Happening) -> Result<(), Broken> {
        match happening {
            Happening::Crosses { from, datagram } => {
                self.crosses(from, datagram);
                Ok(())
            }
            Happening::Serves { at, datagram } => {
                self.serve(at, &datagram);
                Ok(())
            }
            Happening::Leaves { at, datagram } => {
                self.send_from_server(at, &datagram);
                Ok(())
            }
            Happening::Enters { side, datagram } => {
                self.put_on_line(side, &datagram);
                Ok(())
            }
            Happening::Roams { planned } => self.roam(planned),
            Happening::Upset(UpsetPlan { gateway, upset, .. }) => {
                self.network.upset(gateway, upset);
                self.oracle.on_upset();
                self.watch.on_upset(self.world.now(), gateway, upset);
                Ok(())
            }
            Happening::Arrives { to, datagram } => {
                self.watch.on_arrival(self.world.now(), to, &datagram);
                self.oracle.on_arrival(self.world.now(), to, &datagram.contents);
                let now = self.instant(to);
                self.hosts[to.place()].endpoint.handle_datagram(now, datagram.as_ref());
                self.drain(to)
            }
            Happening::Signal { to, blob } => {
                let now = self.instant(to);
                self.hosts[to.place()].endpoint.handle_signal(now, &blob);
                self.drain(to)
            }
            Happening::Timer { side, generation } => self.wake(side, generation),
            Happening::Offer { planned } if !self.oracle.established.contains(&false) => {
                self.offer(planned)
            }
            Happening::Offer { planned } => {
                self.waiting.push(planned);
                Ok(())
            }
            Happening::Settled => {
                self.settled = true;
                Ok(())
            }
            Happening::Quiet => Ok(()),
        }
    }

    fn wake(&mut self, side: Side, generation: u64) -> Result<(), Broken> {
        let (at, now) = (self.world.now(), self.instant(side));
        let host = &mut self.hosts[side.place()];
        if host.generation != generation {
            return Ok(());
        }
        host.timer = None;
        host.wakes_at_now = match host.wakes_at_now {
            (before, count) if before == at => (at, count + 1),
            _ => (at, 1),
        };
        if host.wakes_at_now.1 > WAKES_AT_ONCE {
            let timer = host.endpoint.poll_timeout().map(|(_, timer)| timer);
            return broken("a timer does not spin", format!("{side:?}: {timer:?}"));
        }
        host.endpoint.handle_timeout(now);
        self.drain(side)
    }

    /// Drains an endpoint in the order that its contract names, and plans its
    /// next wake-up.
    fn drain(&mut self, side: Side) -> Result<(), Broken> {
        let now = self.instant(side);
        let was_done = self.hosts[side.place()].done;
        let mut busy = true;
        let mut said = false;
        while busy {
            busy = false;
            while let Some(event) = self.hosts[side.place()].endpoint.poll_event() {
                busy = true;
                self.on_event(side, &event)?;
            }
            while let Some(request) = self.hosts[side.place()].endpoint.poll_storage() {
                busy = true;
                if !self.is_served(side, &request) {
                    continue;
                }
                let host = &mut self.hosts[side.place()];
                let (reply, named) = host.disk.carry_out(request);
                if let Some(place) = named {
                    let size = host.disk.finals.get(&place).map_or(0, Vec::len);
                    self.watch.on_named(self.world.now(), side, place, size);
                    self.oracle.on_named(side, place, &host.disk)?;
                }
                let again = match (&reply, self.plan.planted) {
                    (StorageReply::Synced { transfer, .. }, Some(Planted::ReplyTwice)) => {
                        Some(StorageReply::Synced { transfer: *transfer, result: Ok(()) })
                    }
                    _ => None,
                };
                for reply in [Some(reply), again].into_iter().flatten() {
                    if let Err(error) = host.endpoint.handle_storage(now, reply) {
                        let detail = format!("{side:?}: {error}");
                        return broken("answers are to what was asked", detail);
                    }
                }
            }
            while let Some(blob) = self.hosts[side.place()].endpoint.poll_signal() {
                busy = true;
                let Some(blob) = self.spoil_blob(blob) else { continue };
                oracle::check_unreadable(side, &blob)?;
                oracle::check_no_address(side, &blob, self.plan)?;
                self.carry_blob(side, blob);
            }
            while let Some(mut datagram) = self.hosts[side.place()].endpoint.poll_datagram() {
                busy = true;
                if self.spoil_datagram(&mut datagram) {
                    self.send(side, &datagram)?;
                }
            }
            said |= busy;
        }
        if was_done && said {
            return broken("what is done is silent", format!("{side:?}"));
        }
        let host = &mut self.hosts[side.place()];
        host.close_lanes();
        host.done |= host.endpoint.is_done();
        let due = host.endpoint.poll_timeout();
        let mut due = due.map(|(at, _)| self.world.micros_by(host.clock, at));
        if self.plan.planted == Some(Planted::TimerSpins) {
            due = due.map(|_| self.world.now());
        }
        if due != host.timer {
            host.timer = due;
            host.generation += 1;
            if let Some(at) = due {
                let generation = host.generation;
                self.world.schedule(at, Happening::Timer { side, generation });
            }
        }
        Ok(())
    }

    fn on_event(&mut self, side: Side, event: &EndpointEvent) -> Result<(), Broken> {
        self.watch.on_event(self.world.now(), side, event);
        if self.oracle.on_event(self.world.now(), side, event)? {
            self.watch.meet(Condition::CloseLost);
        }
        if self.plan.planted == Some(Planted::DoneEarly)
            && matches!(event, EndpointEvent::Connection(Event::Closed { .. }))
        {
            self.hosts[side.place()].done = true;
        }
        match event {
            EndpointEvent::Connected { path, .. } => {
                self.check_new_path(side, *path)?;
                for condition in std::mem::take(&mut self.prospect.shows) {
                    self.watch.meet(condition);
                }
                Ok(())
            }
            EndpointEvent::Connection(Event::Established { .. })
                if !self.oracle.established.contains(&false) =>
            {
                self.watch.in_transfer = true;
                self.settle_later();
                for planned in std::mem::take(&mut self.waiting) {
                    self.world.schedule(self.world.now(), Happening::Offer { planned });
                }
                Ok(())
            }
            EndpointEvent::Connection(Event::Offered { transfer }) => self.accept(side, *transfer),
            lane => {
                self.on_lane(side, lane);
                Ok(())
            }
        }
    }

    fn offer(&mut self, planned: usize) -> Result<(), Broken> {
        let transfer = &self.plan.transfers[planned];
        let side = transfer.from;
        let Ok(facts) = Facts::new(self.plan.seed, planned, transfer) else {
            return broken("the plan can be run", "its manifest is refused");
        };
        let now = self.instant(side);
        let host = &mut self.hosts[side.place()];
        let id = match host.endpoint.offer(now, facts.manifest.clone(), IN_NOTE) {
            Ok(id) => id,
            Err(error) => return broken("an offer can be made", error.to_string()),
        };
        for (file, source) in (0..).zip(&facts.sources) {
            host.disk.sources.insert((id, FileIndex(file)), Rc::clone(source));
        }
        self.oracle.transfers.insert(id, facts);
        self.drain(side)
    }

    /// The receiver takes everything, at once.
    fn accept(&mut self, side: Side, id: TransferId) -> Result<(), Broken> {
        let now = self.instant(side);
        let endpoint = &mut self.hosts[side.place()].endpoint;
        let manifest = endpoint.manifest(id).map(AsRef::as_ref);
        self.oracle.on_offered(side, id, manifest, endpoint.note(id))?;
        match endpoint.accept(now, id, None) {
            Ok(()) => Ok(()),
            Err(error) => broken("an offer can be answered", error.to_string()),
        }
    }

    /// Puts a datagram on its host's line.
    fn send(&mut self, side: Side, datagram: &Datagram) -> Result<(), Broken> {
        let (now, place) = (self.world.now(), side.place());
        self.watch.on_datagram(now, side, datagram);
        oracle::check_unreadable(side, &datagram.contents)?;
        if self.hosts[place].has_left(datagram.source) {
            return Ok(()); // Its socket is of no use any more.
        }
        let v6 = datagram.source.is_ipv6();
        if !self.hosts[place].owns(datagram.source) || v6 != datagram.destination.is_ipv6() {
            let (from, to) = (datagram.source, datagram.destination);
            return broken("datagrams leave from where they may", format!("{from} to {to}"));
        }
        if !self.carries(side, datagram) {
            self.watch.on_stopped();
            return Ok(());
        }
        self.carry_on_line(side, datagram);
        Ok(())
    }

    /// Puts on its line what has got past whoever sits there.
    fn put_on_line(&mut self, side: Side, datagram: &Datagram) {
        let (now, from) = (self.world.now(), side.place());
        let v6 = datagram.source.is_ipv6();
        let carried = self.network.up(now, from, &datagram.contents, v6);
        self.befell(side, &datagram.contents, &carried.fates);
        for (at, contents) in carried.copies {
            let datagram = Datagram { contents, ..*datagram };
            self.world.schedule(at, Happening::Crosses { from, datagram });
        }
    }

    /// Puts a datagram on the line of the host that it gets to, if any.
    fn crosses(&mut self, from: usize, datagram: Datagram) {
        let now = self.world.now();
        let Datagram { source, destination, contents } = datagram;
        let crossed = self.network.cross(now, from, Header { source, destination });
        self.watch.on_crossing(&contents);
        let (to, Header { source, destination }) = match crossed {
            Ok(crossed) => crossed,
            Err(blocked) => {
                self.watch.on_blocked(now, from, destination, blocked);
                self.watch.on_stopped();
                return;
            }
        };
        let carried = self.network.down(now, to, &contents, source.is_ipv6());
        let side = Side::BOTH.into_iter().find(|side| side.place() == to);
        if let Some(side) = side {
            self.befell(side, &contents, &carried.fates);
        }
        for (at, contents) in carried.copies {
            let datagram = Datagram { source, destination, contents };
            match side {
                None => self.world.schedule(at, Happening::Serves { at: to, datagram }),
                Some(side) if self.hosts[to].owns(destination) => {
                    self.world.schedule(at, Happening::Arrives { to: side, datagram });
                }
                Some(_) => {}
            }
        }
    }

    /// What happened to a datagram on the line of `side`.
    fn befell(&mut self, side: Side, contents: &[u8], fates: &[Fate]) {
        self.watch.on_fates(self.world.now(), side, fates);
        self.oracle.on_fates(self.world.now(), contents, fates);
    }
}
