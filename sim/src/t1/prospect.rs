//! What a plan's gateways and relays let one expect of a run: whether there can be
//! a direct path, or one over a relay, and what has been shown once it is found.

use super::plan::Plan;
use super::sometimes::Condition;
use crate::net::HostPlan;
use crate::net::nat::{Dependence, NatPlan};
use crate::net::reach::{Relaying, Servers, is_direct, is_relayed};
use crate::plan::Side;

/// What is to be expected of a run.
#[derive(Debug)]
pub(super) struct Prospect {
    /// There can be a direct path, so there must be one.
    pub(super) direct: bool,
    /// There can be a path over a relay, which must be taken if there is no other.
    pub(super) relayed: bool,
    /// What a path shows.
    pub(super) shows: Vec<Condition>,
}

impl Prospect {
    /// What is to be expected while the hosts of a plan stand there.
    pub(super) fn of(plan: &Plan, hosts: &[HostPlan; 2]) -> Self {
        let stun: Vec<&HostPlan> = plan.servers.iter().collect();
        let servers = families(&stun);
        let relaying = Side::BOTH.map(|side| {
            let known = plan.relays.iter().filter(|relay| relay.users.contains(&side));
            let known: Vec<&HostPlan> = known.map(|relay| &relay.host).collect();
            Relaying { by: families(&known), only: plan.relay_only.contains(&side) }
        });
        let relayed = is_relayed(hosts, &plan.gateways, servers, relaying);
        let direct = |change: &dyn Fn(&mut NatPlan)| {
            let mut gateways = plan.gateways.clone();
            for gateway in &mut gateways {
                for rules in [&mut gateway.v4, &mut gateway.v6].into_iter().flatten() {
                    change(rules);
                }
            }
            plan.relay_only.is_empty() && is_direct(hosts, &gateways, servers)
        };
        let mut shows = Vec::new();
        if !is_direct(hosts, &plan.gateways, Servers::default()) {
            shows.push(Condition::PathByServer);
        }
        if !direct(&|rules| rules.hairpin = false) {
            shows.push(Condition::PathByHairpin);
        }
        let learned = |rules: &mut NatPlan| rules.filtering = Dependence::AddressAndPort;
        if !direct(&learned) {
            shows.push(Condition::PathToLearnedEnd);
        }
        let guarded = |host: &HostPlan| {
            let gateway = host.behind.and_then(|place| plan.gateways.get(place));
            gateway.and_then(|gateway| gateway.rules(true)).is_some_and(|rules| {
                rules.outside.is_some() && rules.filtering == Dependence::AddressAndPort
            })
        };
        if shows.contains(&Condition::PathByServer) && hosts.iter().all(guarded) {
            shows.push(Condition::PathByPunching);
        }
        let direct = direct(&|_| ());
        if !direct {
            // A path over a relay shows nothing of gateways.
            shows.clear();
        }
        Self { direct, relayed, shows }
    }

    /// Whether there can be any path.
    pub(super) fn has_path(&self) -> bool {
        self.direct || self.relayed
    }
}

/// The families of addresses that hosts have.
pub(super) fn families(hosts: &[&HostPlan]) -> Servers {
    let has = |v4: bool| {
        let mut addresses = hosts.iter().flat_map(|host| &host.addresses);
        addresses.any(|address| address.is_ipv4() == v4)
    };
    Servers { v4: has(true), v6: has(false) }
}
