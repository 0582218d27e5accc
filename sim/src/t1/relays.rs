//! Relays in a plan of T1, drawn from a stream of their own, and what a run must
//! show of them: one is used exactly where there is no direct path, and let go at
//! the end. What does not live here: where they stand in the network (`net::turn`).

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use passel_sans_io::lane::Path;

use super::plan::{Plan, RelayPlan};
use super::sometimes::Condition;
use super::{Happening, Run, draw};
use crate::net::HostPlan;
use crate::oracle::{Broken, broken};
use crate::plan::Side;
use crate::rng::Draw;

/// How long after the handshake the best path must have been found, where there may
/// be several.
const SETTLES_US: u64 = 20_000_000;

/// Puts relays into a plan, or leaves it as it is.
pub(super) fn draw(plan: &mut Plan) {
    let mut draw = Draw::new(plan.seed, "relays of t1");
    // Where there are no gateways there is a direct path, and a relay is of no use.
    let permille = if plan.gateways.is_empty() { 100 } else { 600 };
    if !draw.chance(permille) {
        return;
    }
    for last in 0..draw.pick(&[1, 1, 1, 2]) {
        let line = draw::server_line(&mut draw);
        let v4 = Ipv4Addr::new(198, 51, 100, 20 + last).into();
        let v6 = Ipv6Addr::new(0x2001, 0xdb8, 9, 0, 0, 0, 0, 0x20 + u16::from(last)).into();
        let addresses = vec![v4, v6];
        let host = HostPlan::in_the_open(addresses, line);
        let users = match draw.below(4) {
            0 => vec![Side::Inviter],
            1 => vec![Side::Joiner],
            _ => Side::BOTH.to_vec(),
        };
        plan.relays.push(RelayPlan { host, users });
    }
    plan.relay_only.extend(Side::BOTH.into_iter().filter(|_| draw.chance(100)));
}

impl Run<'_> {
    /// Both sides have shaken hands: where there are relays, the run waits until
    /// the best path must have been found.
    pub(super) fn settle_later(&mut self) {
        if !self.plan.relays.is_empty() {
            self.settled = false;
            self.schedule(self.world.now() + SETTLES_US, Happening::Settled);
        }
    }

    fn is_relayed(&self, side: Side, path: Path) -> bool {
        let is_relay = |end: SocketAddr| {
            self.plan.relays.iter().any(|relay| relay.host.addresses.contains(&end.ip()))
        };
        is_relay(path.local) || is_relay(path.remote) || !self.hosts[side.place()].owns(path.local)
    }

    fn may_be_lucky(&self) -> bool {
        self.prospect.relayed && self.plan.relay_only.is_empty()
    }

    /// Whether a server's answer or the word of an address may have come too late: a
    /// peer that is connected through a relay by then does not listen to the rendezvous.
    fn may_be_late(&self) -> bool {
        self.oracle.is_lost_early || !self.plan.meddlings.is_empty()
    }

    /// A side has found a path.
    pub(super) fn check_new_path(&mut self, side: Side, path: Path) -> Result<(), Broken> {
        match (self.is_relayed(side, path), self.prospect.direct) {
            // What arrives at a relay tells an end that nobody could have guessed, so
            // that now and then there is a path which gateways alone do not explain.
            // So does a gateway that has forgotten everything.
            (false, false) if self.may_be_lucky() || !self.oracle.is_path_sure() => Ok(()),
            (false, false) => {
                broken("there is a path only if there can be one", format!("{side:?}: {path:?}"))
            }
            (true, false) => {
                self.watch.meet(Condition::RelayFallback);
                Ok(())
            }
            (true, true) => {
                self.watch.meet(Condition::RelayFirst);
                Ok(())
            }
            (false, true) => {
                for condition in std::mem::take(&mut self.prospect.shows) {
                    self.watch.meet(condition);
                }
                Ok(())
            }
        }
    }

    /// Before the connection is closed: each side uses a relay exactly if there is no
    /// direct path, or, where the network loses or delays, none that was known in time.
    pub(super) fn check_settled_paths(&mut self) -> Result<(), Broken> {
        if self.plan.relays.is_empty() || !self.oracle.is_path_sure() {
            return Ok(());
        }
        for side in Side::BOTH {
            let path = self.hosts[side.place()].endpoint.metrics().path;
            let Some(path) = path else {
                return broken("whoever is connected knows its path", format!("{side:?}"));
            };
            let is_relayed = self.is_relayed(side, path);
            if is_relayed && self.prospect.direct && self.may_be_late() {
                continue;
            }
            if is_relayed == self.prospect.direct && (is_relayed || !self.may_be_lucky()) {
                let detail = format!("{side:?}: {path:?}");
                return broken("a relay is used only where nothing else is possible", detail);
            }
            if self.prospect.direct {
                self.watch.meet(Condition::RelaySpared);
            }
        }
        Ok(())
    }

    /// At the end of a run.
    pub(super) fn note_released(&mut self) {
        if self.has_relayed && self.servers.iter().all(|server| server.open() == 0) {
            self.watch.meet(Condition::RelayReleased);
        }
    }
}
