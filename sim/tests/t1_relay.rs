//! Whole endpoints and relays: one is used exactly where there is no direct path,
//! by whoever was given it, for every pair of kinds of translators.

#![allow(clippy::unwrap_used)] // a test that fails says so

mod homes;

use passel_sim::Side;
use passel_sim::net::nat::Dependence;
use passel_sim::net::{GatewayPlan, Loss, Upset};
use passel_sim::t1::{Condition, Plan, RelayPlan, UpsetPlan};

use homes::{home, homes, in_the_open, kinds, passed};

/// Two homes and a relay, in the open, that these sides use.
fn relayed_homes(seed: u64, gateways: Vec<GatewayPlan>, users: &[Side]) -> Plan {
    let relays = vec![RelayPlan { host: in_the_open("198.51.100.20"), users: users.to_vec() }];
    Plan { relays, ..homes(seed, gateways) }
}

/// Two homes between which there is no direct path.
fn apart(seed: u64, users: &[Side]) -> Plan {
    use Dependence::AddressAndPort;
    let symmetric = |outside| home(outside, AddressAndPort, AddressAndPort);
    let mut plan =
        relayed_homes(seed, vec![symmetric("203.0.113.1"), symmetric("203.0.113.2")], users);
    plan.servers = vec![in_the_open("198.51.100.1")];
    plan
}

#[test]
fn for_all_pairs_of_translators_a_relay_is_used_exactly_where_nothing_else_is_possible() {
    let (mut relayed, mut direct, mut without) = (0, 0, 0);
    let pairs = kinds().flat_map(|one| kinds().map(move |other| (one, other)));
    for (seed, (one, other)) in pairs.enumerate() {
        for server in [true, false] {
            let gateways =
                vec![home("203.0.113.1", one.0, one.1), home("203.0.113.2", other.0, other.1)];
            // Whose relay it is changes from pair to pair.
            let users = [&Side::BOTH[..], &[Side::Inviter], &[Side::Joiner]][seed % 3];
            let mut plan = relayed_homes(seed as u64, gateways, users);
            plan.servers.extend(server.then(|| in_the_open("198.51.100.1")));
            let met = passed(&plan).met;
            assert!(met.contains(&Condition::RelayReleased), "{met:?}");
            relayed += usize::from(met.contains(&Condition::RelayFallback));
            direct += usize::from(met.contains(&Condition::RelaySpared));
            without += usize::from(met.contains(&Condition::NoPath));
        }
    }
    assert_eq!(relayed + direct + without, 2 * 81);
    // Without a server only two relays meet.
    assert_eq!(without, 2 * 81 / 3);
    assert!((40..60).contains(&direct), "{direct}");
}

#[test]
fn whoever_hides_behind_relays_is_reached_there_only() {
    for only in [&[Side::Inviter][..], &[Side::Joiner], &Side::BOTH] {
        let mut plan = Plan::smallest(3);
        let host = in_the_open("198.51.100.20");
        plan.relays = vec![RelayPlan { host, users: Side::BOTH.to_vec() }];
        assert!(passed(&plan).met.contains(&Condition::RelaySpared));
        plan.relay_only = only.to_vec();
        assert!(passed(&plan).met.contains(&Condition::RelayFallback));
        plan.relays[0].users.retain(|side| !only.contains(side));
        let met = passed(&plan).met;
        let other_has_one = !plan.relays[0].users.is_empty();
        assert!(met.contains(&Condition::NoPath), "{other_has_one}: {met:?}");
    }
}

#[test]
fn a_relay_is_of_no_use_where_udp_is_blocked() {
    let mut plan = apart(4, &Side::BOTH);
    plan.gateways[1].blocks_udp = true;
    assert!(passed(&plan).met.contains(&Condition::NoPath));
}

#[test]
fn losses_on_the_way_to_the_relay_are_got_over() {
    for seed in 0..10 {
        let mut plan = apart(seed, &Side::BOTH);
        plan.transfers[0].files = vec![200_000, 0, 1];
        for host in &mut plan.hosts {
            host.up.loss = Loss::Uniform { permille: 50 };
            host.down.loss = Loss::Uniform { permille: 50 };
        }
        let met = passed(&plan).met;
        assert!(met.contains(&Condition::RelayFallback));
        assert!(met.contains(&Condition::LossInTransfer));
    }
}

#[test]
fn a_relayed_connection_is_lost_when_its_own_gateway_gives_it_another_end() {
    let mut plan = apart(5, &[Side::Inviter]);
    plan.transfers[0].files = vec![300_000];
    (plan.hosts[0].up.rate, plan.hosts[0].up.queue) = (50_000, 64_000);
    plan.upsets.push(UpsetPlan {
        connection: 0,
        gateway: 0,
        at_us: 5_000_000,
        upset: Upset::Rebind,
    });
    let outcome = passed(&plan);
    assert!(outcome.met.contains(&Condition::LostByUpset));
    assert!(outcome.virtual_us < 70_000_000, "{}", outcome.virtual_us);
}
