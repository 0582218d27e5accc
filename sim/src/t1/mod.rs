//! Tier T1: two whole endpoints (ICE, DTLS, SCTP, handshake, transfers) over a
//! simulated network. What lives here is the run: it lets things happen, drains
//! both endpoints after each, hands what it sees to the oracle, and stops at the
//! first invariant that does not hold. Virtual time is the only clock, and a
//! thread with a seed for the system's random numbers the only world.

mod acquaintance;
mod adversary;
mod again;
mod checks;
pub(crate) mod crypto;
mod disk;
mod draw;
mod gateways;
mod host;
mod lanes;
mod losses;
mod oracle;
mod people;
mod picture;
mod plan;
mod planted;
mod prospect;
mod relays;
mod rendezvous;
mod roam;
mod servers;
mod sometimes;
pub mod stage;
mod starving;
mod storage;
mod tap;
mod tier;
mod watch;
mod wires;
mod wishes;
mod wrap;

use std::time::Instant;

use passel_proto::connection::Event;
use passel_proto::ids::TransferId;
use passel_proto::storage::StorageRequest;
use passel_sans_io::datagram::Datagram;
use passel_sans_io::endpoint::EndpointEvent;

pub use self::adversary::{MeddlePlan, Meddling, Seat};
pub use self::plan::{
    DeadLane, DeathPlan, Plan, RelayPlan, RoamPlan, Tier, TransferPlan, UpsetPlan,
};
pub use self::planted::Planted;
pub use self::rendezvous::{Away, RendezvousPlan};
pub use self::sometimes::Condition;
pub use self::wishes::{Wish, WishPlan};
pub use self::wrap::{plans as wrapping_plans, search as wraps};
pub use crate::tier::{record, run};

use self::acquaintance::Acquaintance;
use self::adversary::Adversary;
use self::again::Story;
use self::checks::Checks;
use self::host::Host;
use self::oracle::{Excuse, Oracle};
use self::prospect::Prospect;
use self::rendezvous::{Letter, Post, Progress, Way};
use self::watch::Watch;
use crate::net::server::Server;
use crate::net::{HostPlan, Network};
use crate::oracle::{Broken, broken};
use crate::outcome::{self, Violation};
use crate::plan::Side;
use crate::readable::{self};
use crate::said::Said;
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
    /// A letter on a stream to or from the rendezvous has come so far.
    Mail { way: Way, nth: u64, progress: Progress },
    /// The rendezvous has done with a blob.
    HandOver { to: Side, letter: Letter },
    /// A blob reaches `to`.
    Signal { to: Side, letter: Letter },
    /// A timer is due, unless another was set since.
    Timer { side: Side, generation: u64 },
    /// A disk gets to a request.
    Storage { side: Side, request: StorageRequest },
    /// Somebody wishes something of the plan.
    Wishes { planned: usize },
    /// Somebody ends a pause.
    Resumes { side: Side, transfer: TransferId },
    /// A program of the plan dies.
    Dies { planned: usize },
    /// A transfer of the plan is offered.
    Offer { planned: usize },
    /// The best path must have been found.
    Settled,
    /// Both endpoints have been done for a while.
    Quiet,
}

impl Happening {
    /// Whether it is of the connection that it was planned in, and nothing afterwards.
    fn is_of_connection(&self) -> bool {
        matches!(
            self,
            Happening::Mail { .. }
                | Happening::HandOver { .. }
                | Happening::Signal { .. }
                | Happening::Timer { .. }
                | Happening::Storage { .. }
                | Happening::Dies { .. }
                | Happening::Wishes { .. }
                | Happening::Resumes { .. }
                | Happening::Upset(_)
                | Happening::Roams { .. }
                | Happening::Settled
                | Happening::Quiet
        )
    }
}

/// A run in progress.
#[derive(Debug)]
struct Run<'p> {
    plan: &'p Plan,
    /// What will happen, and in which connection that was planned.
    world: World<(u32, Happening)>,
    network: Network,
    servers: Vec<Server>,
    /// An address at a relay was given to somebody.
    has_relayed: bool,
    post: Post,
    adversary: Adversary,
    checks: Checks,
    /// What was said and not heard in the connection under way.
    said: Said,
    hosts: [Host; 2],
    /// Where the hosts are now.
    stands: [HostPlan; 2],
    /// What is true of each transfer of the plan, over connections.
    stories: Vec<Story>,
    acquaintance: Acquaintance,
    /// The number of the connection, from 0.
    connection: u32,
    /// Nothing goes wrong any more.
    healed: bool,
    /// What is true of the connection under way.
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
    fn new(plan: &'p Plan, watch: Watch) -> Result<Self, Broken> {
        let world = World::new();
        let (hosts, acquaintance) = acquaintance::meet(plan, &world)?;
        let relays = plan.relays.iter().map(|relay| &relay.host);
        let rendezvous = plan.rendezvous.iter().map(|rendezvous| &rendezvous.host);
        let standing = plan.hosts.iter().chain(&plan.servers).chain(relays).chain(rendezvous);
        let standing: Vec<_> = standing.cloned().collect();
        let prospect = Prospect::of(plan, &plan.hosts);
        Ok(Self {
            plan,
            world,
            network: Network::new(plan.seed, &standing, &plan.gateways, &plan.all_outages()),
            servers: servers::of(plan),
            has_relayed: false,
            post: Post::default(),
            adversary: Adversary::default(),
            checks: Checks::default(),
            said: Said::default(),
            hosts,
            stands: plan.hosts.clone(),
            stories: plan.transfers.iter().map(|_| Story::default()).collect(),
            acquaintance,
            connection: 0,
            healed: false,
            oracle: Oracle::new(
                prospect.has_path(),
                plan.hosts.each_ref().map(|host| host.clock),
                false,
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
            self.schedule(transfer.at_us, Happening::Offer { planned });
        }
        self.start()?;
        self.connection_to_its_end()?;
        while self.goes_on() {
            self.connect_again()?;
            self.connection_to_its_end()?;
        }
        if self.stories.iter().all(|story| story.over) { self.check_disks() } else { Ok(()) }
    }

    fn connection_to_its_end(&mut self) -> Result<(), Broken> {
        let bound = self.plan.bound_us();
        loop {
            let Some((connection, happening)) = self.world.advance() else {
                return broken("everything ends", "nothing will happen any more");
            };
            if self.world.now() > bound {
                // Liveness: all has healed long ago.
                let detail = format!("not within {} s of virtual time", bound / 1_000_000);
                return broken("everything ends", detail);
            }
            if connection != self.connection && happening.is_of_connection() {
                continue; // What it was meant for is gone.
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
            let host = &mut self.hosts[side.place()];
            if !host.dead {
                host.endpoint.handle_timeout(now);
                self.drain(side)?;
            }
        }
        Ok(())
    }

    /// Plans something in the connection under way.
    fn schedule(&mut self, at: u64, happening: Happening) {
        self.world.schedule(at, (self.connection, happening));
    }

    /// The time by a side's own clock.
    fn instant(&self, side: Side) -> Instant {
        self.world.instant_by(self.hosts[side.place()].clock)
    }

    fn listen_if_done(&mut self) {
        if self.done_at.is_none() && self.hosts.iter().all(|host| host.done) {
            let possible = self.prospect.has_path();
            let has_died = self.oracle.has_died();
            if !possible && !self.oracle.found_by_chance() && !has_died {
                self.watch.meet(Condition::NoPath);
            }
            let befallen = &self.watch.befallen;
            let met = match self.oracle.lost_by.filter(|_| !has_died) {
                Some(Excuse::Meddled) => Some(Condition::EndedByMeddling),
                Some(Excuse::Upset) if befallen.roamed => Some(Condition::LostByRoam),
                Some(Excuse::Upset) if befallen.upset => Some(Condition::LostByUpset),
                Some(Excuse::Crowded) => Some(Condition::NoRoom),
                _ => None,
            };
            if let Some(condition) = met {
                self.watch.meet(condition);
            }
            self.done_at = Some(self.world.now());
            self.schedule(self.world.now() + QUIET_US, Happening::Quiet);
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
            Happening::Upset(_) if self.healed => Ok(()),
            Happening::Wishes { planned } => self.wish(planned),
            Happening::Resumes { side, transfer } => self.resume(side, transfer),
            Happening::Dies { planned } => {
                self.die(planned);
                Ok(())
            }
            Happening::Storage { side, request } => self.carry_out(side, request),
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
                let host = &mut self.hosts[to.place()];
                if host.dead {
                    return Ok(());
                }
                host.endpoint.handle_datagram(now, datagram.as_ref());
                self.drain(to)
            }
            Happening::Mail { way, nth, progress } => {
                self.mail(way, nth, progress);
                Ok(())
            }
            Happening::HandOver { to, letter } => {
                self.hand_over(to, letter);
                Ok(())
            }
            Happening::Signal { to, letter } => {
                self.watch.on_delivered(self.world.now(), to, &letter);
                let now = self.instant(to);
                let host = &mut self.hosts[to.place()];
                if host.dead {
                    return Ok(());
                }
                host.endpoint.handle_signal(now, &letter.blob);
                self.drain(to)
            }
            Happening::Timer { side, generation } => self.wake(side, generation),
            Happening::Offer { planned } => {
                self.stories[planned].due = true;
                if !self.oracle.established.contains(&false) {
                    return self.offer(planned);
                }
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
        if host.generation != generation || host.dead {
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
        if self.hosts[side.place()].dead {
            return Ok(());
        }
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
                self.request(side, request)?;
            }
            while let Some(blob) = self.hosts[side.place()].endpoint.poll_signal() {
                busy = true;
                let Some(blob) = self.spoil_blob(blob) else { continue };
                readable::check(side, &blob)?;
                oracle::check_no_address(side, &blob, self.plan)?;
                self.post(side, blob);
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
                self.schedule(at, Happening::Timer { side, generation });
            }
        }
        Ok(())
    }

    fn on_event(&mut self, side: Side, event: &EndpointEvent) -> Result<(), Broken> {
        self.watch.on_event(self.world.now(), side, event);
        self.oracle.is_letter_late = self.is_letter_late();
        if self.oracle.on_event(self.world.now(), side, event)? {
            self.watch.meet(Condition::CloseLost);
        }
        if self.plan.planted == Some(Planted::DoneEarly)
            && matches!(event, EndpointEvent::Connection(Event::Closed { .. }))
        {
            self.hosts[side.place()].done = true;
        }
        if let EndpointEvent::Connection(event) = event {
            self.on_event_again(side, event)?;
            self.on_cancelled(side, event);
        }
        match event {
            EndpointEvent::Connected { path, .. } => self.check_new_path(side, *path),
            EndpointEvent::Connection(Event::Established { .. })
                if !self.oracle.established.contains(&false) =>
            {
                self.watch.in_transfer = true;
                self.settle_later();
                for planned in std::mem::take(&mut self.waiting) {
                    self.schedule(self.world.now(), Happening::Offer { planned });
                }
                Ok(())
            }
            EndpointEvent::Connection(Event::Offered { transfer }) => self.accept(side, *transfer),
            EndpointEvent::Connection(Event::Message { channel, message }) => {
                self.hear(side, *channel, message)
            }
            lane => {
                self.on_lane(side, lane);
                Ok(())
            }
        }
    }
}
