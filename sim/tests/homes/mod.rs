//! Worlds of T1 that several tests share: hosts in the open and at home, behind
//! translators of all kinds.

#![allow(dead_code, unreachable_pub)] // each test uses a part of it

use std::net::IpAddr;

use passel_sim::net::nat::{Dependence, NatPlan, PortChoice};
use passel_sim::net::{GatewayPlan, HostPlan, LinePlan};
use passel_sim::t1::{Outcome, Plan, run};

pub fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

pub fn home(outside: &str, mapping: Dependence, filtering: Dependence) -> GatewayPlan {
    let ports = PortChoice::Random;
    let open = NatPlan::open(ip(outside));
    let v4 = Some(NatPlan { mapping, filtering, ports, hairpin: false, ..open });
    GatewayPlan { v4, ..GatewayPlan::default() }
}

pub fn in_the_open(address: &str) -> HostPlan {
    HostPlan::in_the_open(vec![ip(address)], LinePlan::ideal(1000))
}

/// Two homes.
pub fn homes(seed: u64, gateways: Vec<GatewayPlan>) -> Plan {
    let mut plan = Plan::smallest(seed);
    for (place, host) in plan.hosts.iter_mut().enumerate() {
        host.addresses = vec![ip(["192.168.1.1", "192.168.1.2"][place])];
        host.behind = Some(place);
    }
    plan.gateways = gateways;
    plan
}

/// All kinds of translators: mapping and filtering.
pub fn kinds() -> impl Iterator<Item = (Dependence, Dependence)> {
    let filters = |mapping| Dependence::ALL.map(|filtering| (mapping, filtering));
    Dependence::ALL.into_iter().flat_map(filters)
}

pub fn passed(plan: &Plan) -> Outcome {
    let outcome = run(plan, false);
    assert_eq!(outcome.violation, None, "{}", plan.to_json().unwrap());
    outcome
}
