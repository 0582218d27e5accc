//! Tier T0: two connections of the core over simulated channels and disks. What
//! lives here is the run: it lets things happen, drains both connections after
//! each, hands what it sees to the oracle, and stops at the first invariant
//! that does not hold. Virtual time is the only clock.

mod again;
pub(crate) mod compare;
mod people;
mod picture;
pub(crate) mod talk;
mod tier;
mod watch;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Instant;

use passel_proto::connection::{Connection, Event, TimerKind};
use passel_proto::crypto::Entropy;
use passel_proto::handshake::{Auth, Resumption};
use passel_proto::ids::{Channel, TransferId};
use passel_proto::storage::StorageRequest;

use self::compare::Screens;
use self::watch::Watch;
use crate::channel::Link;
use crate::disk::Disk;
use crate::messages::Messages;
use crate::model::Story;
use crate::oracle::{Broken, Oracle, broken};
use crate::outcome::{Outcome, Violation};
use crate::plan::{Fault, Plan, Planted, Request, Side};
use crate::readable::IN_CONTENT;
use crate::rng::Draw;
use crate::said::Said;
use crate::sometimes::{Met, Sometimes};
use crate::trace::Recording;
use crate::wire;
use crate::world::World;

/// Timers that may go off at one moment before that counts as spinning.
const TIMERS_AT_ONCE: u32 = 16;
/// Only for a planted bug.
static SHARED: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);

/// How often a connection is woken before its time, in a thousand messages.
const EARLY_PERMILLE: u64 = 20;

/// Something that will happen.
#[derive(Debug)]
enum Happening {
    /// A message reaches `to`.
    Deliver { to: Side, channel: Channel, message: Vec<u8>, sent_step: u64, number: usize },
    /// A record that `to` has opened comes to it again.
    Again { to: Side, channel: Channel, message: Vec<u8> },
    /// A disk gets to a request.
    Storage { side: Side, request: StorageRequest },
    /// A timer is due, unless another was set since.
    Timer { side: Side, generation: u64 },
    /// A transfer of the plan is offered.
    Offer { planned: usize },
    /// An offer is answered.
    Answer { side: Side, transfer: TransferId },
    /// A fault of the plan begins.
    Fault { place: usize },
    /// A pause of the plan ends.
    Resume { side: Side, transfer: TransferId },
    /// A transport notices that the peer is gone.
    Noticed { side: Side },
    /// A side stores what it keeps of the session.
    Secret { side: Side },
    /// A person has compared what both screens show.
    Compared { side: Side },
    /// Something is said beside transfers.
    Say { talk: usize, nth: u64 },
    /// The two sides connect again.
    Connect,
}

#[derive(Debug)]
struct Host {
    side: Side,
    /// Nothing once the process has died.
    connection: Option<Connection>,
    disk: Disk,
    established: bool,
    /// Transfers to offer once the handshake is done.
    waiting: VecDeque<usize>,
    timer: Option<u64>,
    generation: u64,
    /// Requests that the disk has not got to.
    requests: usize,
    /// Messages sent, for planted bugs.
    sent: u64,
    /// Records of unordered channels that it has opened.
    opened: u64,
    /// Requests that its disk got to, over all connections.
    served: BTreeMap<Request, u64>,
    /// By what it knows the peer again, the newest first.
    kept: Vec<Resumption>,
}

/// A run in progress.
#[derive(Debug)]
struct Run<'p> {
    plan: &'p Plan,
    /// What will happen, and in which connection.
    world: World<(u32, Happening)>,
    hosts: [Host; 2],
    /// By the side that sends.
    links: [Link; 2],
    /// What is true of the connection under way.
    oracle: Oracle,
    /// What is true of each transfer of the plan, over connections.
    stories: Vec<Story>,
    messages: Messages,
    /// What was said and not heard in the connection under way.
    said: Said,
    /// Of two people without a secret.
    screens: Screens,
    watch: Watch,
    draw: Draw,
    entropy: Entropy,
    /// The number of the connection, from 0.
    connection: u32,
    /// Nothing goes wrong any more.
    healed: bool,
    /// Which of its secrets the joiner names next.
    joiner_named: usize,
    /// Transfers whose time to be offered has come.
    due: BTreeSet<usize>,
    /// What is met if a transfer now goes on.
    after: Met,
    step: u64,
    steps_at_now: (u64, u32),
    /// The transport is gone.
    cut: bool,
    /// The run has asked for the connection's end.
    closing: bool,
    /// Which message a planted bug hits.
    planted_at: u64,
    buf: Vec<u8>,
}

fn carried_out(plan: &Plan, watch: Watch) -> (Outcome<Plan>, Recording) {
    let mut run = match Run::new(plan, watch) {
        Ok(run) => run,
        Err(broken) => {
            let violation = Some(Violation { broken, at_us: 0 });
            return (Outcome { violation, ..Outcome::default() }, Recording::default());
        }
    };
    let result = run.complete();
    let at_us = run.world.now();
    let violation = result.err().map(|broken| Violation { broken, at_us });
    run.watch.outcome(plan.seed, violation, at_us, run.step)
}

impl<'p> Run<'p> {
    fn new(plan: &'p Plan, watch: Watch) -> Result<Self, Broken> {
        let world = World::new();
        let mut entropy = again::entropy(plan);
        let secret = again::first_secret(plan);
        let auth = || match plan.compare_us {
            Some(_) => Auth::Sas,
            None => again::auth(&secret, 0),
        };
        let [inviter, joiner] = again::connect(plan, [auth(), auth()], &mut entropy, &world)?;
        let host = |side, connection| Host {
            side,
            connection: Some(connection),
            disk: Disk::new(plan.disk(side)),
            established: false,
            waiting: VecDeque::new(),
            timer: None,
            generation: 0,
            requests: 0,
            sent: 0,
            opened: 0,
            served: BTreeMap::new(),
            kept: secret.clone(),
        };
        Ok(Self {
            plan,
            world,
            hosts: [host(Side::Inviter, inviter), host(Side::Joiner, joiner)],
            links: [Link::new(plan, "link of inviter"), Link::new(plan, "link of joiner")],
            oracle: Oracle::new(plan),
            stories: people::stories(plan),
            messages: Messages::default(),
            said: Said::default(),
            screens: Screens::default(),
            watch,
            draw: Draw::new(plan.seed, "run"),
            entropy,
            connection: 0,
            healed: false,
            joiner_named: 0,
            due: BTreeSet::new(),
            after: Met::new(),
            step: 0,
            steps_at_now: (0, 0),
            cut: false,
            closing: false,
            planted_at: Draw::new(plan.seed, "planted").between(2, 12),
            buf: Vec::new(),
        })
    }

    fn complete(&mut self) -> Result<(), Broken> {
        for planned in 0..self.plan.transfers.len() {
            let at = self.plan.transfers[planned].at_us;
            self.schedule(at, Happening::Offer { planned });
        }
        for talk in 0..self.plan.talks.len() {
            self.schedule(self.plan.talks[talk].at_us, Happening::Say { talk, nth: 0 });
        }
        for (place, fault) in self.plan.faults.iter().enumerate() {
            if let Fault::Cut { at_us }
            | Fault::Crash { at_us, .. }
            | Fault::Cancel { at_us, .. }
            | Fault::Pause { at_us, .. }
            | Fault::Update { at_us, .. }
            | Fault::Close { at_us, .. } = fault
            {
                self.schedule(*at_us, Happening::Fault { place });
            }
        }
        for side in Side::BOTH {
            self.drain(side)?;
        }
        self.connection_to_its_end()?;
        while self.goes_on() {
            self.connect_again()?;
            self.connection_to_its_end()?;
        }
        self.watch.on_end(&self.oracle, self.plan.clocks);
        Ok(())
    }

    fn connection_to_its_end(&mut self) -> Result<(), Broken> {
        let bound = self.plan.bound_us();
        while !self.is_over() {
            let Some((connection, happening)) = self.world.advance() else {
                return broken("everything ends", "nothing will happen any more");
            };
            if self.world.now() > bound {
                // Liveness: all has healed long ago.
                let detail = format!("not within {} s of virtual time", bound / 1_000_000);
                return broken("everything ends", detail);
            }
            let is_of_plan = match happening {
                Happening::Offer { .. } | Happening::Say { .. } => true,
                Happening::Fault { place } => {
                    !matches!(self.plan.faults[place], Fault::CutAgain { .. })
                }
                _ => false,
            };
            if connection != self.connection && !is_of_plan {
                if let Happening::Deliver { number, .. } = happening {
                    self.watch.on_lost(number, "connection gone");
                }
                continue; // What it was meant for is gone.
            }
            self.step += 1;
            self.happen(happening)?;
            self.close_if_done()?;
        }
        for host in self.hosts.iter().filter(|host| host.connection.is_some()) {
            self.oracle.check_end(host.side, &host.disk)?;
        }
        Ok(())
    }

    /// The time by a side's own clock.
    fn instant(&self, side: Side) -> Instant {
        self.world.instant_by(self.plan.clocks[side.place()])
    }

    /// Plans something for the connection under way.
    fn schedule(&mut self, at: u64, happening: Happening) {
        self.world.schedule(at, (self.connection, happening));
    }

    /// Whether both connections are over and both disks have done their work.
    fn is_over(&self) -> bool {
        self.hosts.iter().all(|host| {
            host.connection.is_none() || (self.oracle.is_closed(host.side) && host.requests == 0)
        })
    }

    /// Closes the connection once all that was planned has ended.
    fn close_if_done(&mut self) -> Result<(), Broken> {
        // Those that were over before are not offered again.
        let is_offered = |planned| {
            let story: &Story = &self.stories[planned];
            self.oracle.planned(planned).is_some() || (story.over && self.connection > 0)
        };
        let all_offered = (0..self.stories.len()).all(is_offered);
        if self.closing || !all_offered || !self.oracle.all_ended() {
            return Ok(());
        }
        self.closing = true;
        self.oracle.on_close();
        let now = self.instant(Side::Inviter);
        if let Some(connection) = &mut self.hosts[0].connection {
            connection.close(now, None);
        }
        self.drain(Side::Inviter)
    }

    fn happen(&mut self, happening: Happening) -> Result<(), Broken> {
        match happening {
            Happening::Deliver { to, channel, message, sent_step, number } => {
                self.deliver(to, channel, message, (sent_step, number))
            }
            Happening::Again { to, channel, message } => self.replay(to, channel, message),
            Happening::Storage { side, request } => self.carry_out(side, request),
            Happening::Timer { side, generation } => self.wake(side, generation),
            Happening::Offer { planned } => self.offer(planned),
            Happening::Answer { side, transfer } => self.answer(side, transfer),
            Happening::Fault { place } => self.fault(place),
            Happening::Resume { side, transfer } => self.resume(side, transfer),
            Happening::Noticed { side } => self.transport_closed(side),
            Happening::Secret { side } => self.store_secret(side),
            Happening::Compared { side } => self.compared(side),
            Happening::Say { talk, nth } => self.say(talk, nth),
            Happening::Connect => Ok(()),
        }
    }

    fn deliver(
        &mut self,
        to: Side,
        channel: Channel,
        mut message: Vec<u8>,
        (sent_step, number): (u64, usize),
    ) -> Result<(), Broken> {
        let now = self.instant(to);
        let Some(connection) = self.hosts[to.place()].connection.as_mut().filter(|_| !self.cut)
        else {
            self.watch.on_lost(number, "nobody there");
            return Ok(());
        };
        self.watch.on_arrival(self.world.now(), number);
        self.links[to.peer().place()].arrived(channel, message.len());
        let header = wire::header(&message).filter(|_| connection.is_established());
        let is_replayed =
            |fault: &Fault| matches!(fault, Fault::Replay { side, .. } if *side == to);
        let sealed = (header.is_some() && !channel.is_ordered())
            .then(|| self.plan.faults.iter().any(is_replayed).then(|| message.clone()))
            .flatten();
        connection.handle_message(now, channel, &mut message);
        if self.draw.chance(EARLY_PERMILLE) {
            connection.handle_timeout(now); // Calling it early is harmless.
        }
        if let Some((epoch, counter)) = header.filter(|_| connection.is_established()) {
            self.watch.on_record(to, channel, (epoch, counter));
            let (oracle, watch) = (&mut self.oracle, &mut self.watch);
            let (stories, goes_on) = (&mut self.stories, self.plan.again > 0);
            wire::frames(&message, channel, |frame, payload| {
                watch.on_frame(to, frame, number);
                oracle.on_frame(to, frame, payload, sent_step)?;
                let facts = wire::transfer(frame).and_then(|id| oracle.transfers.get(&id));
                match facts.filter(|_| goes_on) {
                    None => Ok(()),
                    Some(facts) => {
                        let story = &mut stories[facts.planned];
                        story.on_frame(frame, |file| facts.wants(file), watch.met())
                    }
                }
            })?;
        } else if header.is_some() {
            let watch = &mut self.watch; // The last word is to be seen too.
            wire::frames(&message, channel, |frame, _| {
                watch.name(frame, number);
                Ok::<(), Broken>(())
            })?;
        }
        if let Some(sealed) = sealed.filter(|sealed| *sealed != message) {
            self.plan_replay(to, channel, &sealed);
        }
        self.drain(to)?;
        // There is room again.
        self.drain(to.peer())
    }

    /// A record was opened that may have to come again.
    fn plan_replay(&mut self, to: Side, channel: Channel, sealed: &[u8]) {
        let opened = &mut self.hosts[to.place()].opened;
        let place = *opened;
        *opened += 1;
        for fault in self.plan.faults.iter().filter(|_| !self.healed) {
            let Fault::Replay { side, nth, after_us } = fault else { continue };
            if (*side, *nth) == (to, place) {
                let message = sealed.to_vec();
                let at = self.world.now() + after_us;
                self.world
                    .schedule(at, (self.connection, Happening::Again { to, channel, message }));
            }
        }
    }

    /// RL-WINDOW: what was opened once is not opened again.
    fn replay(&mut self, to: Side, channel: Channel, mut message: Vec<u8>) -> Result<(), Broken> {
        let (at, now) = (self.world.now(), self.instant(to));
        let Some(connection) = self.hosts[to.place()].connection.as_mut().filter(|_| !self.cut)
        else {
            return Ok(());
        };
        if !connection.is_established() {
            return Ok(());
        }
        self.watch.on_replay(at, to);
        let sealed = message.clone();
        connection.handle_message(now, channel, &mut message);
        if message != sealed {
            return broken("a record is taken once", format!("{to:?} opened one again"));
        }
        self.drain(to)
    }

    fn carry_out(&mut self, side: Side, request: StorageRequest) -> Result<(), Broken> {
        let now = self.instant(side);
        let host = &mut self.hosts[side.place()];
        host.requests -= 1;
        if host.connection.is_none() {
            return Ok(());
        }
        let Some(request) = self.die_at_request(side, request)? else { return Ok(()) };
        match &request {
            StorageRequest::Read { transfer, file, len, .. } => {
                self.oracle.on_read(side, (*transfer, *file), u64::from(*len));
            }
            StorageRequest::Write { transfer, data, .. } => {
                self.oracle.on_written(side, *transfer, data.len() as u64);
            }
            _ => {}
        }
        let (reply, effect) = self.hosts[side.place()].disk.carry_out(request);
        self.on_effect(side, &effect)?;
        let Some(mut reply) = reply else { return Ok(()) };
        self.watch.on_reply(self.world.now(), side, &reply);
        if self.plan.planted == Some(Planted::CompareSkipped) {
            self.skip_compare(&mut reply);
        }
        let Some(connection) = self.connection(side) else { return Ok(()) };
        if let Err(error) = connection.handle_storage(now, reply) {
            return broken("answers are to what was asked", format!("{side:?}: {error}"));
        }
        self.drain(side)
    }

    fn wake(&mut self, side: Side, generation: u64) -> Result<(), Broken> {
        let mut now = self.instant(side);
        if self.plan.planted == Some(Planted::ClockBehind) {
            now -= std::time::Duration::from_millis(1);
        }
        let host = &mut self.hosts[side.place()];
        let Some(connection) = &mut host.connection else { return Ok(()) };
        if host.generation != generation {
            return Ok(());
        }
        host.timer = None;
        let before = connection.poll_timeout();
        connection.handle_timeout(now);
        self.watch.on_wake(self.world.now(), side);
        self.drain(side)?;
        let host = &self.hosts[side.place()];
        let after = host.connection.as_ref().and_then(Connection::poll_timeout);
        self.check_spin(side, before, after)
    }

    /// A wake-up at the time that a timer named must change the timer.
    fn check_spin(
        &mut self,
        side: Side,
        before: Option<(Instant, TimerKind)>,
        after: Option<(Instant, TimerKind)>,
    ) -> Result<(), Broken> {
        let now = self.world.now();
        self.steps_at_now = match self.steps_at_now {
            (at, count) if at == now => (at, count + 1),
            _ => (now, 1),
        };
        if (after.is_some() && before == after) || self.steps_at_now.1 > TIMERS_AT_ONCE {
            let kind = after.map(|(_, kind)| kind);
            return broken("a timer does not spin", format!("{side:?}: {kind:?}"));
        }
        Ok(())
    }

    /// Drains a connection in the order that its contract names, and plans its
    /// next wake-up.
    fn drain(&mut self, side: Side) -> Result<(), Broken> {
        loop {
            let mut busy = false;
            while let Some(event) = self.connection(side).and_then(Connection::poll_event) {
                busy = true;
                self.on_event(side, &event)?;
            }
            while let Some(request) = self.connection(side).and_then(Connection::poll_storage) {
                busy = true;
                self.request(side, request)?;
            }
            while self.transmit(side)? {
                busy = true;
            }
            if !busy {
                break;
            }
        }
        let host = &mut self.hosts[side.place()];
        let Some(connection) = &host.connection else { return Ok(()) };
        for facts in self.oracle.transfers.keys().copied().collect::<Vec<_>>() {
            if let Some(progress) = connection.progress(facts) {
                self.oracle.on_progress(side, facts, progress)?;
            }
        }
        let clock = self.plan.clocks[side.place()];
        let due = connection.poll_timeout();
        let due = due.map(|(at, _)| self.world.micros_by(clock, at));
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

    fn connection(&mut self, side: Side) -> Option<&mut Connection> {
        self.hosts[side.place()].connection.as_mut()
    }

    fn on_event(&mut self, side: Side, event: &Event) -> Result<(), Broken> {
        self.watch.on_event(self.world.now(), side, event, &self.oracle, self.plan);
        let host = &mut self.hosts[side.place()];
        self.oracle.on_event(side, event, &host.disk)?;
        if self.plan.again > 0 {
            self.on_event_again(side, event)?;
        }
        self.on_event_compare(side, event)?;
        match event {
            Event::Established { .. } if self.has_compared(side) => {
                self.begin(side);
                Ok(())
            }
            Event::Offered { transfer } => self.offered(side, *transfer),
            Event::Message { channel, message } => self.hear(side, *channel, message),
            _ => Ok(()),
        }
    }

    fn request(&mut self, side: Side, request: StorageRequest) -> Result<(), Broken> {
        self.oracle.on_request(side, &request)?;
        let host = &mut self.hosts[side.place()];
        host.requests += 1;
        let at = host.disk.done_at(self.world.now(), request.transfer());
        host.disk.on_asked(&request);
        if let StorageRequest::Discard { transfer, file } = &request
            && let Some(facts) = self.oracle.stored_at(side, *transfer)
        {
            self.stories[facts.planned].on_discard(*file);
        }
        self.schedule(at, Happening::Storage { side, request });
        Ok(())
    }

    /// Hands one message over to the link. Returns whether there was one.
    fn transmit(&mut self, side: Side) -> Result<bool, Broken> {
        let now = self.instant(side);
        let link = &mut self.links[side.place()];
        let host = &mut self.hosts[side.place()];
        let Some(connection) = &mut host.connection else { return Ok(false) };
        let mut room = [0; 4];
        for channel in Channel::ALL {
            room[usize::from(channel.id())] = link.room(channel);
            connection.handle_writable(channel, link.room(channel));
        }
        let Some(transmit) = connection.poll_transmit(now, &mut self.buf) else {
            return Ok(false);
        };
        let (channel, room) = (transmit.channel, room[usize::from(transmit.channel.id())]);
        if room < 32 * 1024 {
            self.watch.meet(Sometimes::ChannelFull);
        }
        host.sent += 1;
        let nth = host.sent;
        let mut message = std::mem::take(&mut self.buf);
        self.send(side, channel, &message, room, nth)?;
        message.clear();
        self.buf = message;
        Ok(true)
    }

    fn send(
        &mut self,
        side: Side,
        channel: Channel,
        message: &[u8],
        room: usize,
        nth: u64,
    ) -> Result<(), Broken> {
        let mut copies = vec![0];
        let mut message = message.to_vec();
        if nth >= self.planted_at {
            match self.plan.planted {
                Some(Planted::MessageReadable) => message.extend(IN_CONTENT),
                Some(Planted::MessageFlipped) => message.iter_mut().last().map_or((), |b| *b ^= 1),
                Some(Planted::MessageLost) if channel == Channel::File => copies.clear(),
                Some(Planted::MessageTwice) if channel.is_ordered() => copies.push(0),
                Some(Planted::MessageOvertaken)
                    if channel.is_ordered() && nth.is_multiple_of(2) =>
                {
                    copies = vec![400_000];
                }
                Some(Planted::CounterRepeated) => {
                    self.oracle.on_transmit(side, channel, &message, room)?;
                }
                _ => {}
            }
        }
        if self.plan.planted == Some(Planted::DrawShared) && !channel.is_ordered() {
            // What an earlier run drew is seen in this one.
            let drawn = SHARED.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            for later in &mut copies {
                *later += drawn % 7;
            }
        }
        let now = self.world.now();
        let number = self.watch.on_transmit(now, side, channel, &message);
        self.oracle.on_transmit(side, channel, &message, room)?;
        if self.plan.again > 0 {
            self.messages.add(side, channel.id(), &message)?;
        }
        let Some(at) = self.links[side.place()].send(now, channel, message.len()) else {
            self.watch.on_wire_loss();
            self.watch.on_lost(number, "lost");
            return Ok(());
        };
        for later in copies {
            let (to, message, sent_step) = (side.peer(), message.clone(), self.step);
            let happening = Happening::Deliver { to, channel, message, sent_step, number };
            self.schedule(at + later, happening);
        }
        Ok(())
    }
}
