//! Over connections: a connection is lost, or a program dies; the two connect again by
//! what they kept, in the world as it is, and go on with what is not complete. After
//! as many connections as the plan has, the world heals, and all must be completed
//! within a few more.

use std::rc::Rc;

use passel_proto::connection::Event;
use passel_proto::error::ErrorCode;
use passel_proto::ids::Token;
use passel_proto::manifest::Manifest;

use super::disk::Digest;
use super::oracle::Oracle;
use super::plan::{DeathPlan, Plan};
use super::prospect::Prospect;
use super::rendezvous::Post;
use super::sometimes::Condition;
use super::{Happening, Run};
use crate::oracle::{Broken, broken};
use crate::plan::Side;
use crate::rng::Draw;
use crate::said::Said;

const MS: u64 = 1000;
const SECOND: u64 = 1_000_000;

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
    /// Whether somebody wished it to end.
    pub(super) cancel: Cancel,
}

/// How far the wish that a transfer ends has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Cancel {
    /// There is none.
    #[default]
    Never,
    /// Somebody has it.
    Wished,
    /// The transfer's receiver has seen the end.
    Told,
}

/// A transfer that was offered, and what names it and its entries for ever.
#[derive(Debug)]
pub(super) struct Offered {
    pub(super) token: Token,
    pub(super) entries: Vec<Digest>,
    pub(super) manifest: Manifest,
    pub(super) sources: Vec<Rc<[u8]>>,
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
    let upsets = plan.upsets.iter_mut().map(|upset| &mut upset.connection);
    for connection in upsets.chain(plan.roams.iter_mut().map(|roam| &mut roam.connection)) {
        *connection = draw.pick(&[0, 0, 0, 1]);
    }
    for connection in 0..draw.pick(&[0, 0, 1, 1, 2]) {
        let longest = draw.pick(&[2 * SECOND, 2 * SECOND, 8 * SECOND, 50 * SECOND]);
        let (side, at_us) = (draw.pick(&Side::BOTH), draw.below(longest));
        plan.deaths.push(DeathPlan { side, connection, at_us, power: draw.chance(500) });
    }
}

impl Run<'_> {
    /// Whether what is not complete can go on in another connection.
    pub(super) fn goes_on(&self) -> bool {
        if self.plan.again == 0 || self.stories.iter().all(|story| story.over) {
            return false;
        }
        self.prospect_now().has_path()
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
        self.oracle = Oracle::new(self.prospect.has_path(), clocks, self.healed);
        let anew = self.hosts.iter().any(|host| host.kept.is_empty());
        if anew {
            // Only one of the two knows that they have met, or neither does.
            self.hosts.iter_mut().for_each(|host| host.kept.clear());
            self.acquaintance.named = 0;
        }
        self.oracle.unknown = self.names_unknown();
        for side in Side::BOTH {
            if let Err(error) = self.begin(side) {
                return broken("they can connect again", format!("{side:?}: {error}"));
            }
        }
        (self.settled, self.done_at) = (true, None);
        self.post = Post::default();
        self.adversary.forget_held();
        self.said = Said::default();
        self.waiting =
            (0..self.stories.len()).filter(|nth| self.stories[*nth].is_waiting()).collect();
        self.watch.on_connect(self.world.now(), self.connection, self.healed);
        self.start()
    }

    /// Starts both endpoints of the connection, and plans what befalls it.
    pub(super) fn start(&mut self) -> Result<(), Broken> {
        let (plan, now) = (self.plan, self.world.now());
        for upset in &plan.upsets {
            if upset.connection == self.connection {
                self.schedule(now + upset.at_us, Happening::Upset(*upset));
            }
        }
        for (planned, roam) in plan.roams.iter().enumerate() {
            if roam.connection == self.connection {
                self.schedule(now + roam.at_us, Happening::Roams { planned });
            }
        }
        for (planned, death) in plan.deaths.iter().enumerate() {
            if death.connection == self.connection {
                self.schedule(now + death.at_us, Happening::Dies { planned });
            }
        }
        for (planned, wish) in plan.wishes.iter().enumerate() {
            if wish.connection == self.connection {
                self.schedule(now + wish.at_us, Happening::Wishes { planned });
            }
        }
        for side in Side::BOTH {
            let now = self.instant(side);
            self.hosts[side.place()].endpoint.start(now);
            self.drain(side)?;
        }
        Ok(())
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
}

impl Story {
    fn is_waiting(&self) -> bool {
        self.due && !self.over
    }
}
