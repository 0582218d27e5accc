//! Over connections: a connection is lost, or a program dies; the two connect again by
//! what they kept, in the world as it is, and go on with what is not complete. After
//! as many connections as the plan has, the world heals, and all must be completed
//! within a few more.

use std::collections::BTreeMap;
use std::rc::Rc;

use passel_proto::connection::Event;
use passel_proto::crypto::{Entropy, Secret32};
use passel_proto::error::{Error, ErrorCode};
use passel_proto::handshake::{Resumption, ResumptionId};
use passel_proto::ids::{Token, TransferId};
use passel_proto::manifest::Manifest;
use passel_proto::signal::{SignalSecret, SignalSession};

use super::disk::Digest;
use super::host::{Host, Start};
use super::oracle::Oracle;
use super::plan::{DeathPlan, Plan};
use super::prospect::Prospect;
use super::rendezvous::Post;
use super::sometimes::Condition;
use super::{Happening, Run};
use crate::net::HostPlan;
use crate::oracle::{Broken, broken};
use crate::plan::Side;
use crate::rng::Draw;
use crate::world::World;

const MS: u64 = 1000;
const SECOND: u64 = 1_000_000;

/// Where the rendezvous would keep the blobs; both sides must name the same.
const ROUTE: &[u8] = b"route of the simulation";
/// Connections after the world has healed in which all must be completed. Some may only
/// tell the joiner that its newer secret is not known.
pub(super) const HEALED: u32 = 3;
/// How long nobody connects before the world is taken for healed: no gateway and no
/// relay remembers anything by then.
const FORGOTTEN_US: u64 = 700 * SECOND;

/// A transfer of the plan over all connections.
#[derive(Debug, Default)]
pub(super) struct Story {
    /// What it is, once it was offered.
    pub(super) offered: Option<Offered>,
    /// Its time to be offered has come.
    pub(super) due: bool,
    /// Its sender knows that it is complete.
    pub(super) over: bool,
}

/// A transfer that was offered, and what names it and its entries for ever.
#[derive(Debug)]
pub(super) struct Offered {
    pub(super) token: Token,
    pub(super) entries: Vec<Digest>,
    pub(super) manifest: Manifest,
    pub(super) sources: Vec<Rc<[u8]>>,
}

/// What both sides know of each other before they meet, and what keys are made of.
#[derive(Debug)]
pub(super) struct Acquaintance {
    link: Secret32,
    pub(super) entropy: Entropy,
    /// Which of its secrets the joiner names next.
    named: usize,
}

/// Lets the two of a plan connect again, or not; disks that take their time; and
/// programs that die.
pub(super) fn draw(plan: &mut Plan) {
    let mut draw = Draw::new(plan.seed, "connections of t1");
    plan.disks_us = [0, 0].map(|_: u64| draw.pick(&[0, 0, MS, 20 * MS]));
    if draw.chance(400) {
        return;
    }
    plan.again = draw.pick(&[1, 1, 2]);
    for connection in 0..draw.pick(&[0, 0, 1, 1, 2]) {
        let longest = draw.pick(&[2 * SECOND, 2 * SECOND, 8 * SECOND, 50 * SECOND]);
        let (side, at_us) = (draw.pick(&Side::BOTH), draw.below(longest));
        plan.deaths.push(DeathPlan { side, connection, at_us, power: draw.chance(500) });
    }
}

/// Both hosts of a plan, which know the same link, and what they go on with.
pub(super) fn meet<T>(plan: &Plan, world: &World<T>) -> Result<([Host; 2], Acquaintance), Broken> {
    let mut seed = [0; 32];
    seed[..8].copy_from_slice(&plan.seed.to_le_bytes());
    let mut entropy = Entropy::from_seed(seed);
    let link = Secret32::new(entropy.array());
    let mut acquaintance = Acquaintance { link, entropy, named: 0 };
    let mut made = |side: Side| {
        let host = &plan.hosts[side.place()];
        let link = SignalSecret::Link(acquaintance.link.clone());
        let entropy = &mut acquaintance.entropy;
        let signal = signal(side, link, entropy)?;
        let now = world.instant_by(host.clock);
        let start = Start { connection: 0, addresses: &host.addresses, signal, now };
        Host::new(plan, side, start, entropy)
    };
    let hosts = made(Side::Inviter).and_then(|inviter| Ok([inviter, made(Side::Joiner)?]));
    match hosts {
        Ok(hosts) => Ok((hosts, acquaintance)),
        Err(error) => broken("the plan can be run", error.to_string()),
    }
}

fn signal(side: Side, secret: SignalSecret, entropy: &mut Entropy) -> Result<SignalSession, Error> {
    match side {
        Side::Inviter => SignalSession::creator_secret(secret, ROUTE, entropy),
        Side::Joiner => SignalSession::joiner_secret(&secret, ROUTE, entropy),
    }
}

impl Run<'_> {
    /// Whether what is not complete can go on in another connection.
    pub(super) fn goes_on(&self) -> bool {
        let is_over = self.stories.iter().all(|story| story.over);
        let prospect = self.prospect_now();
        self.plan.again > 0 && !is_over && (prospect.direct || prospect.relayed)
    }

    fn prospect_now(&self) -> Prospect {
        Prospect::of(self.plan, &self.stands)
    }

    /// Connects the two sides again.
    pub(super) fn connect_again(&mut self) -> Result<(), Broken> {
        self.connection += 1;
        if self.connection > self.plan.again + HEALED {
            return broken("everything ends", "not after everything has healed");
        }
        if self.connection > self.plan.again && !self.healed {
            self.healed = true;
            self.network.heal();
            self.wait(FORGOTTEN_US)?;
        }
        self.prospect = self.prospect_now();
        let clocks = self.plan.hosts.each_ref().map(|host| host.clock);
        self.oracle = Oracle::new(self.prospect.direct || self.prospect.relayed, clocks);
        let anew = self.hosts.iter().any(|host| host.kept.is_empty());
        if anew {
            // Only one of the two knows that they have met, or neither does.
            self.hosts.iter_mut().for_each(|host| host.kept.clear());
            self.acquaintance.named = 0;
        }
        for side in Side::BOTH {
            if let Err(error) = self.begin(side) {
                return broken("they can connect again", format!("{side:?}: {error}"));
            }
        }
        (self.settled, self.done_at) = (true, None);
        self.post = Post::default();
        self.waiting =
            (0..self.stories.len()).filter(|nth| self.stories[*nth].is_waiting()).collect();
        self.watch.on_connect(self.world.now(), self.connection, self.healed);
        self.start()
    }

    /// Starts both endpoints of the connection, and plans who dies in it.
    pub(super) fn start(&mut self) -> Result<(), Broken> {
        let plan = self.plan;
        for (planned, death) in plan.deaths.iter().enumerate() {
            if death.connection == self.connection {
                self.schedule(self.world.now() + death.at_us, Happening::Dies { planned });
            }
        }
        for side in Side::BOTH {
            let now = self.instant(side);
            self.hosts[side.place()].endpoint.start(now);
            self.drain(side)?;
        }
        Ok(())
    }

    fn begin(&mut self, side: Side) -> Result<(), Error> {
        let HostPlan { addresses, clock, .. } = &self.stands[side.place()];
        let now = self.world.instant_by(*clock);
        let entropy = &mut self.acquaintance.entropy;
        let named = self.acquaintance.named;
        let inviter = self.hosts[0].kept.iter().map(|kept| kept.id).collect::<Vec<_>>();
        let host = &mut self.hosts[side.place()];
        let secret = match side {
            Side::Inviter => host.kept.first().map(|kept| (kept, host.kept.get(1))),
            Side::Joiner => host.kept.get(named).map(|kept| (kept, None)),
        };
        let secret = match secret {
            None => SignalSecret::Link(self.acquaintance.link.clone()),
            Some((kept, other)) => {
                if side == Side::Joiner {
                    self.oracle.unknown = !inviter.contains(&kept.id);
                }
                let other = other.map(Resumption::key);
                SignalSecret::Resume { link: kept.meeting_link(), key: kept.key(), other }
            }
        };
        let signal = signal(side, secret, entropy)?;
        let start = Start { connection: self.connection, addresses, signal, now };
        host.begin(self.plan, side, start, entropy)
    }

    /// Lets pass what happens while there is no connection.
    fn wait(&mut self, for_us: u64) -> Result<(), Broken> {
        let until = self.world.now() + for_us;
        self.schedule(until, Happening::Quiet);
        while let Some((connection, happening)) = self.world.advance() {
            match happening {
                Happening::Quiet if connection == self.connection => return Ok(()),
                Happening::Offer { planned } => self.stories[planned].due = true,
                _ => {}
            }
        }
        broken("everything ends", "nobody connects")
    }

    /// A program dies.
    pub(super) fn die(&mut self, planned: usize) {
        let death = self.plan.deaths.get(planned).filter(|_| !self.healed).copied();
        let Some(DeathPlan { side, power, .. }) = death else { return };
        let purpose = format!("death {planned}");
        let host = &mut self.hosts[side.place()];
        if host.dead || host.done {
            return;
        }
        (host.dead, host.done) = (true, true);
        host.disk.die(power, &mut Draw::new(self.plan.seed, &purpose));
        if side == Side::Joiner {
            self.acquaintance.named = 0;
        }
        self.oracle.on_death(side);
        self.watch.on_death(self.world.now(), side, power);
    }

    /// Whatever a side was told, as far as it matters over connections.
    pub(super) fn on_event_again(&mut self, side: Side, event: &Event) -> Result<(), Broken> {
        match event {
            Event::Established { .. } => self.store_secret(side),
            Event::ResumptionStored => {
                self.forget_older(side);
                Ok(())
            }
            Event::Completed { transfer, .. } => {
                let planned = self.oracle.transfers.get(transfer).filter(|of| of.from == side);
                if let Some(planned) = planned.map(|facts| facts.planned) {
                    self.stories[planned].over = true;
                }
                Ok(())
            }
            Event::Closed { error: Some(error) }
                if error.code == ErrorCode::ResumptionUnknown && side == Side::Joiner =>
            {
                self.acquaintance.named += 1;
                if self.acquaintance.named >= self.hosts[side.place()].kept.len() {
                    return broken("the peers know each other again", "all secrets were refused");
                }
                self.watch.meet(Condition::SecretUnknown);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// A side stores the secret of the session (`HS-RESUME-KEEP`), and says so.
    fn store_secret(&mut self, side: Side) -> Result<(), Broken> {
        let now = self.instant(side);
        let host = &mut self.hosts[side.place()];
        let Some(mut newest) = host.endpoint.resumption() else { return Ok(()) };
        let from = host.endpoint.resumed_from();
        let is_older = |id: ResumptionId| Some(id) == from;
        if host.kept.get(1).is_some_and(|kept| is_older(kept.id)) {
            self.watch.meet(Condition::OlderSecret);
        }
        // HS-RESUME-MEETING: they meet where they met before.
        if let Some(kept) = host.kept.first() {
            newest.meeting = kept.meeting.clone();
        }
        host.kept.retain(|kept| is_older(kept.id));
        host.kept.insert(0, newest);
        if side == Side::Joiner {
            self.acquaintance.named = 0;
        }
        if let Err(error) = host.endpoint.confirm_resumption_stored(now) {
            return broken("a secret is stored once", format!("{side:?}: {error}"));
        }
        self.forget_older(side);
        Ok(())
    }

    /// `HS-RESUME-ONCE`
    fn forget_older(&mut self, side: Side) {
        let host = &mut self.hosts[side.place()];
        if host.endpoint.is_resumption_settled() {
            host.kept.truncate(1);
        }
    }

    /// The receiver takes everything, at once, and says what it has of it.
    pub(super) fn accept(&mut self, side: Side, id: TransferId) -> Result<(), Broken> {
        let now = self.instant(side);
        let host = &mut self.hosts[side.place()];
        let manifest = host.endpoint.manifest(id).map(AsRef::as_ref);
        let planned = self.oracle.on_offered(side, id, manifest, host.endpoint.note(id))?;
        let token = host.endpoint.token(id);
        let offered = self.stories[planned].offered.as_ref();
        let Some(offered) = offered.filter(|offered| Some(offered.token) == token) else {
            return broken("a transfer has one token", format!("{side:?}: {token:?}"));
        };
        let have = host.disk.begin(id, offered.token, offered.entries.clone());
        if !have.is_empty() {
            self.watch.meet(Condition::Resumed);
            if self.healed {
                self.watch.meet(Condition::ResumedWhenHealed);
            }
        }
        match host.endpoint.accept_having(now, id, None, &have) {
            Ok(()) => Ok(()),
            Err(error) => broken("an offer can be answered", error.to_string()),
        }
    }

    /// At the end of all connections, if everything is complete: every file is where it
    /// belongs, and nothing else is.
    pub(super) fn check_disks(&mut self) -> Result<(), Broken> {
        for side in Side::BOTH {
            let host = &mut self.hosts[side.place()];
            let left = if host.dead { 0 } else { host.disk.parts_left() };
            host.disk.park();
            if left + host.disk.parts_left() > 0 {
                return broken("no part is left behind", format!("{side:?}"));
            }
            let stored: BTreeMap<_, _> = host.disk.stored().collect();
            let mut wanted = 0;
            for (story, transfer) in self.stories.iter().zip(&self.plan.transfers) {
                let Some(offered) = story.offered.as_ref().filter(|_| transfer.from != side) else {
                    continue;
                };
                wanted += offered.sources.len();
                for (entry, source) in offered.entries.iter().zip(&offered.sources) {
                    if stored.get(&(offered.token, *entry)) != Some(&&source[..]) {
                        let detail = format!("{side:?} lacks some");
                        return broken("all that was accepted arrives", detail);
                    }
                }
            }
            if stored.len() != wanted {
                return broken("all that was accepted arrives", format!("{side:?} has others"));
            }
        }
        Ok(())
    }
}

impl Story {
    fn is_waiting(&self) -> bool {
        self.due && !self.over
    }
}
