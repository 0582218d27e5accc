//! What a plan's gateways let one expect of a run: whether there can be a direct
//! path, and what has been shown once it is found.

use super::plan::Plan;
use super::sometimes::Condition;
use crate::net::HostPlan;
use crate::net::nat::{Dependence, NatPlan};
use crate::net::reach::{Servers, is_direct};

/// What is to be expected of a run.
#[derive(Debug)]
pub(super) struct Prospect {
    /// There can be a direct path, so there must be one.
    pub(super) direct: bool,
    /// What a path shows.
    pub(super) shows: Vec<Condition>,
}

impl Prospect {
    pub(super) fn of(plan: &Plan) -> Self {
        let has = |v4: bool| {
            let mut addresses = plan.servers.iter().flat_map(|server| &server.addresses);
            addresses.any(|address| address.is_ipv4() == v4)
        };
        let servers = Servers { v4: has(true), v6: has(false) };
        let direct = |change: &dyn Fn(&mut NatPlan)| {
            let mut gateways = plan.gateways.clone();
            for gateway in &mut gateways {
                for rules in [&mut gateway.v4, &mut gateway.v6].into_iter().flatten() {
                    change(rules);
                }
            }
            is_direct(&plan.hosts, &gateways, servers)
        };
        let mut shows = Vec::new();
        if !is_direct(&plan.hosts, &plan.gateways, Servers::default()) {
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
        if shows.contains(&Condition::PathByServer) && plan.hosts.iter().all(guarded) {
            shows.push(Condition::PathByPunching);
        }
        Self { direct: direct(&|_| ()), shows }
    }
}
