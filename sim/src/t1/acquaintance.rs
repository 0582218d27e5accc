//! By what the two of a run know each other: the link at first, and then the secrets that
//! they keep of their connections, of which one may have one that the other has not.

use passel_proto::crypto::{Entropy, Secret32};
use passel_proto::error::Error;
use passel_proto::handshake::{Resumption, ResumptionId};
use passel_proto::signal::{SignalSecret, SignalSession};

use super::Run;
use super::host::{Host, Start};
use super::plan::Plan;
use super::sometimes::Condition;
use crate::net::HostPlan;
use crate::oracle::{Broken, broken};
use crate::plan::Side;
use crate::world::World;

/// Where the rendezvous would keep the blobs; both sides must name the same.
const ROUTE: &[u8] = b"route of the simulation";

/// What both sides know of each other before they meet, and what keys are made of.
#[derive(Debug)]
pub(super) struct Acquaintance {
    link: Secret32,
    pub(super) entropy: Entropy,
    /// Which of its secrets the joiner names next.
    pub(super) named: usize,
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
    /// Whether the joiner names a secret that the inviter does not have.
    pub(super) fn names_unknown(&self) -> bool {
        let [inviter, joiner] = &self.hosts;
        let named = joiner.kept.get(self.acquaintance.named);
        named.is_some_and(|named| inviter.kept.iter().all(|kept| kept.id != named.id))
    }

    /// By what a side finds the other: a secret that it kept, or the link.
    fn secret(&self, side: Side) -> SignalSecret {
        let kept = &self.hosts[side.place()].kept;
        let (named, other) = match side {
            Side::Inviter => (kept.first(), kept.get(1)),
            Side::Joiner => (kept.get(self.acquaintance.named), None),
        };
        match named {
            None => SignalSecret::Link(self.acquaintance.link.clone()),
            Some(named) => SignalSecret::Resume {
                link: named.meeting_link(),
                key: named.key(),
                other: other.map(Resumption::key),
            },
        }
    }

    /// Begins another connection at a side.
    pub(super) fn begin(&mut self, side: Side) -> Result<(), Error> {
        let secret = self.secret(side);
        let HostPlan { addresses, clock, .. } = &self.stands[side.place()];
        let now = self.world.instant_by(*clock);
        let entropy = &mut self.acquaintance.entropy;
        let signal = signal(side, secret, entropy)?;
        let start = Start { connection: self.connection, addresses, signal, now };
        self.hosts[side.place()].begin(self.plan, side, start, entropy)
    }

    /// A side stores the secret of the session (`HS-RESUME-KEEP`), and says so.
    pub(super) fn store_secret(&mut self, side: Side) -> Result<(), Broken> {
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
    pub(super) fn forget_older(&mut self, side: Side) {
        let host = &mut self.hosts[side.place()];
        if host.endpoint.is_resumption_settled() {
            host.kept.truncate(1);
        }
    }
}
