//! Translators and firewalls one by one: each axis of RFC 4787 does what its
//! name says, and over random traffic a translator agrees with a model that keeps
//! nothing but the list of what passed.

#![allow(clippy::unwrap_used, clippy::panic)] // a test that fails says so

use std::collections::BTreeMap;
use std::net::SocketAddr;

use passel_sim::net::nat::{Dependence, FIRST_PORT, Nat, NatPlan, Passed, PortChoice};
use passel_sim::net::{Blocked, Header};
use proptest::prelude::*;

const OUTSIDE: &str = "203.0.113.1";
const INSIDE: &str = "192.168.0.2:5000";
/// Two remote hosts, one of them with two ports.
const REMOTE: [&str; 3] = ["198.51.100.1:80", "198.51.100.1:81", "198.51.100.2:80"];

fn end(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn nat(change: impl FnOnce(&mut NatPlan)) -> Nat {
    let mut plan = NatPlan::open(OUTSIDE.parse().unwrap());
    change(&mut plan);
    Nat::new(&plan, 7, "test")
}

fn send(nat: &mut Nat, now: u64, inside: &str, remote: &str) -> Result<SocketAddr, Blocked> {
    let header = Header { source: end(inside), destination: end(remote) };
    match nat.outbound(now, header)? {
        Passed::Out(out) => {
            assert_eq!(out.destination, header.destination);
            Ok(out.source)
        }
        Passed::Back(back) => panic!("{back:?} went back"),
    }
}

fn receive(
    nat: &mut Nat,
    now: u64,
    remote: &str,
    outside: SocketAddr,
) -> Result<SocketAddr, Blocked> {
    let header = Header { source: end(remote), destination: outside };
    let header_in = nat.inbound(now, header)?;
    assert_eq!(header_in.source, header.source);
    Ok(header_in.destination)
}

#[test]
fn mapping_depends_on_as_much_of_the_remote_end_as_planned() {
    use Dependence::{Address, AddressAndPort, EndpointIndependent};
    for (mapping, same) in [
        (EndpointIndependent, [true, true]),
        (Address, [true, false]),
        (AddressAndPort, [false, false]),
    ] {
        let mut nat = nat(|plan| plan.mapping = mapping);
        let [first, port, host] = REMOTE.map(|remote| send(&mut nat, 0, INSIDE, remote).unwrap());
        assert_eq!([first == port, first == host], same, "{mapping:?}");
        assert_eq!(send(&mut nat, 1, INSIDE, REMOTE[0]), Ok(first), "it stays");
        assert!(
            [first, port, host].iter().all(|outside| outside.ip() == end("203.0.113.1:1").ip())
        );
    }
}

#[test]
fn filtering_depends_on_as_much_of_the_remote_end_as_planned() {
    use Dependence::{Address, AddressAndPort, EndpointIndependent};
    for (filtering, open) in [
        (EndpointIndependent, [true, true, true]),
        (Address, [true, true, false]),
        (AddressAndPort, [true, false, false]),
    ] {
        let mut nat = nat(|plan| plan.filtering = filtering);
        let outside = send(&mut nat, 0, INSIDE, REMOTE[0]).unwrap();
        let got = REMOTE.map(|remote| receive(&mut nat, 1, remote, outside));
        let expected = open.map(|open| if open { Ok(end(INSIDE)) } else { Err(Blocked::Filtered) });
        assert_eq!(got, expected, "{filtering:?}");
        let nobodys = SocketAddr::new(outside.ip(), outside.port() + 1);
        assert_eq!(receive(&mut nat, 1, REMOTE[0], nobodys), Err(Blocked::NoMapping));
    }
}

#[test]
fn ports_are_chosen_as_planned() {
    let ports = |choice, inside: &[&str]| -> Vec<u16> {
        let mut nat = nat(|plan| plan.ports = choice);
        inside.iter().map(|it| send(&mut nat, 0, it, REMOTE[0]).unwrap().port()).collect()
    };
    let inside = ["192.168.0.2:5000", "192.168.0.3:5000", "192.168.0.2:5002", "192.168.0.2:80"];
    assert_eq!(ports(PortChoice::Preserving, &inside), [5000, 5001, 5002, FIRST_PORT]);
    let sequential = ports(PortChoice::Sequential, &inside);
    assert!(sequential.windows(2).all(|pair| pair[1] == pair[0] + 1), "{sequential:?}");
    let contiguous = ports(PortChoice::Contiguous, &inside);
    assert_eq!(contiguous[2], contiguous[0] + 2);
    assert_ne!(contiguous[0], 5000);
    let random = ports(PortChoice::Random, &inside);
    assert!(random.windows(2).all(|pair| pair[0].abs_diff(pair[1]) > 4), "{random:?}");
}

#[test]
fn a_session_lasts_as_long_as_it_is_used() {
    for inbound_refresh in [false, true] {
        let mut nat = nat(|plan| (plan.idle_us, plan.inbound_refresh) = (100, inbound_refresh));
        let outside = send(&mut nat, 0, INSIDE, REMOTE[0]).unwrap();
        assert_eq!(send(&mut nat, 90, INSIDE, REMOTE[0]), Ok(outside), "going out refreshes");
        assert_eq!(receive(&mut nat, 190, REMOTE[0], outside), Ok(end(INSIDE)));
        let expected = if inbound_refresh { Ok(end(INSIDE)) } else { Err(Blocked::NoMapping) };
        assert_eq!(receive(&mut nat, 280, REMOTE[0], outside), expected);
        assert_eq!(receive(&mut nat, 500, REMOTE[0], outside), Err(Blocked::NoMapping));
        assert_eq!(nat.sessions(), 0, "what has run out is forgotten");
    }
}

#[test]
fn sessions_of_one_mapping_run_out_one_by_one() {
    let mut nat = nat(|plan| (plan.idle_us, plan.filtering) = (100, Dependence::Address));
    let outside = send(&mut nat, 0, INSIDE, REMOTE[0]).unwrap();
    assert_eq!(send(&mut nat, 80, INSIDE, REMOTE[2]), Ok(outside));
    assert_eq!(receive(&mut nat, 120, REMOTE[0], outside), Err(Blocked::Filtered));
    assert_eq!(receive(&mut nat, 120, REMOTE[2], outside), Ok(end(INSIDE)));
}

#[test]
fn inside_ends_reach_each_other_from_outside_only_by_hairpinning() {
    let other = "192.168.0.3:6000";
    for hairpin in [true, false] {
        let mut nat = nat(|plan| {
            (plan.hairpin, plan.filtering) = (hairpin, Dependence::AddressAndPort);
        });
        let outside = send(&mut nat, 0, INSIDE, REMOTE[0]).unwrap();
        let others = send(&mut nat, 0, other, REMOTE[0]).unwrap();
        let mut back = |source: &str, destination| {
            nat.outbound(1, Header { source: end(source), destination })
        };
        if hairpin {
            // The filter holds for them as for anybody.
            assert_eq!(back(INSIDE, others), Err(Blocked::Filtered));
            let header = Header { source: others, destination: end(INSIDE) };
            assert_eq!(back(other, outside), Ok(Passed::Back(header)));
        } else {
            assert_eq!(back(other, outside), Err(Blocked::NoHairpin));
        }
    }
}

#[test]
fn a_full_table_takes_nothing_new_and_keeps_what_it_has() {
    let mut nat = nat(|plan| {
        (plan.sessions, plan.idle_us) = (2, 100);
        plan.filtering = Dependence::AddressAndPort;
    });
    let outside = send(&mut nat, 0, INSIDE, REMOTE[0]).unwrap();
    assert_eq!(send(&mut nat, 50, INSIDE, REMOTE[1]), Ok(outside));
    assert_eq!(send(&mut nat, 60, INSIDE, REMOTE[2]), Err(Blocked::TableFull));
    assert_eq!(send(&mut nat, 60, "192.168.0.9:1", REMOTE[0]), Err(Blocked::TableFull));
    assert_eq!(send(&mut nat, 60, INSIDE, REMOTE[1]), Ok(outside));
    assert_eq!(receive(&mut nat, 60, REMOTE[0], outside), Ok(end(INSIDE)));
    assert_eq!(send(&mut nat, 400, INSIDE, REMOTE[2]), Ok(outside), "there is room again");
}

#[test]
fn all_ports_can_be_given_out_and_not_one_twice() {
    for ports in [PortChoice::Preserving, PortChoice::Random] {
        let all = 65_536 - usize::from(FIRST_PORT);
        let mut nat = nat(|plan| {
            (plan.ports, plan.sessions, plan.idle_us) = (ports, 100_000, u64::MAX);
        });
        let mut given = std::collections::BTreeSet::new();
        // Many inside ends at the same port would take a quadratic search.
        for port in FIRST_PORT..=u16::MAX {
            let inside = format!("192.168.0.2:{port}");
            given.insert(send(&mut nat, 0, &inside, REMOTE[0]).unwrap().port());
            if ports == PortChoice::Random && given.len() == 2000 {
                break;
            }
        }
        if ports == PortChoice::Preserving {
            assert_eq!(given.len(), all);
            assert_eq!(send(&mut nat, 0, "192.168.0.3:5000", REMOTE[0]), Err(Blocked::NoPort));
        } else {
            assert_eq!(given.len(), 2000);
        }
    }
}

#[test]
fn a_rebinding_gives_new_ports_and_a_reboot_forgets() {
    for ports in
        [PortChoice::Preserving, PortChoice::Sequential, PortChoice::Random, PortChoice::Contiguous]
    {
        let mut nat = nat(|plan| plan.ports = ports);
        let before = send(&mut nat, 0, INSIDE, REMOTE[0]).unwrap();
        nat.rebind();
        assert_eq!(receive(&mut nat, 1, REMOTE[0], before), Err(Blocked::NoMapping));
        let after = send(&mut nat, 1, INSIDE, REMOTE[0]).unwrap();
        assert_ne!(before, after, "{ports:?}");
        nat.reboot();
        assert_eq!(receive(&mut nat, 2, REMOTE[0], after), Err(Blocked::NoMapping));
    }
    let mut nat = nat(|_| ());
    let before = send(&mut nat, 0, INSIDE, REMOTE[0]);
    nat.reboot();
    assert_eq!(send(&mut nat, 1, INSIDE, REMOTE[0]), before, "the port is free again");
}

#[test]
fn a_firewall_translates_nothing_and_lets_in_what_answers() {
    let mut wall = Nat::new(&NatPlan::firewall(), 1, "wall");
    let (inside, remote) = ("[2001:db8:1::2]:5000", "[2001:db8:2::2]:6000");
    assert_eq!(receive(&mut wall, 0, remote, end(inside)), Err(Blocked::NoMapping));
    assert_eq!(send(&mut wall, 0, inside, remote), Ok(end(inside)));
    assert_eq!(receive(&mut wall, 1, remote, end(inside)), Ok(end(inside)));
    let elsewhere = "[2001:db8:2::2]:6001";
    assert_eq!(receive(&mut wall, 1, elsewhere, end(inside)), Err(Blocked::Filtered));
}

/// What happens in a random run.
#[derive(Clone, Copy, Debug)]
enum Act {
    Wait(u64),
    Out { inside: usize, remote: usize },
    In { remote: usize, outside: usize },
    Rebind,
    Reboot,
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        2 => (0..60_u64).prop_map(Act::Wait),
        4 => (0..4_usize, 0..3_usize).prop_map(|(inside, remote)| Act::Out { inside, remote }),
        5 => (0..3_usize, 0..12_usize).prop_map(|(remote, outside)| Act::In { remote, outside }),
        1 => prop_oneof![Just(Act::Rebind), Just(Act::Reboot)],
    ];
    prop::collection::vec(act, 1..120)
}

fn plans() -> impl Strategy<Value = NatPlan> {
    let dependence = || prop::sample::select(&Dependence::ALL[..]);
    let ports = prop_oneof![
        Just(PortChoice::Preserving),
        Just(PortChoice::Sequential),
        Just(PortChoice::Random),
        Just(PortChoice::Contiguous),
    ];
    (dependence(), dependence(), ports, any::<bool>()).prop_map(
        |(mapping, filtering, ports, inbound_refresh)| NatPlan {
            mapping,
            filtering,
            ports,
            inbound_refresh,
            idle_us: 100,
            ..NatPlan::open(OUTSIDE.parse().unwrap())
        },
    )
}

/// Whether `dependence` holds two remote ends for the same.
fn alike(dependence: Dependence, one: SocketAddr, other: SocketAddr) -> bool {
    match dependence {
        Dependence::EndpointIndependent => true,
        Dependence::Address => one.ip() == other.ip(),
        Dependence::AddressAndPort => one == other,
    }
}

/// A datagram that passed, in either direction.
#[derive(Clone, Copy, Debug)]
struct Seen {
    at: u64,
    inside: SocketAddr,
    remote: SocketAddr,
    /// Which mapping it used: the remote end that it was made for.
    made_for: SocketAddr,
    outside: SocketAddr,
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn a_translator_agrees_with_the_list_of_what_passed(plan in plans(), acts in acts()) {
        let mut nat = Nat::new(&plan, 3, "model");
        let (mut now, mut seen, mut ever) = (0, Vec::<Seen>::new(), Vec::new());
        for act in acts {
            seen.retain(|one| one.at + plan.idle_us >= now);
            match act {
                Act::Wait(time) => now += time,
                Act::Rebind => { nat.rebind(); seen.clear(); }
                Act::Reboot => { nat.reboot(); seen.clear(); }
                Act::Out { inside, remote } => {
                    let inside = end(&format!("192.168.0.{}:{}", 2 + inside / 2, 5000 + inside));
                    let remote = end(REMOTE[remote]);
                    let header = Header { source: inside, destination: remote };
                    let Ok(Passed::Out(out)) = nat.outbound(now, header) else {
                        panic!("{header:?} was dropped");
                    };
                    let outside = out.source;
                    let mine = |one: &&Seen| {
                        one.inside == inside && alike(plan.mapping, one.made_for, remote)
                    };
                    if let Some(before) = seen.iter().find(mine) {
                        prop_assert_eq!(outside, before.outside, "a mapping stays");
                    }
                    for one in seen.iter().filter(|one| one.outside == outside) {
                        prop_assert_eq!(one.inside, inside, "two inside ends on one outside end");
                        prop_assert!(alike(plan.mapping, one.made_for, remote), "two mappings on one");
                    }
                    seen.push(Seen { at: now, inside, remote, made_for: remote, outside });
                    ever.push(outside);
                }
                Act::In { remote, outside } => {
                    let Some(&outside) = ever.get(outside) else { continue };
                    let remote = end(REMOTE[remote]);
                    let got = nat.inbound(now, Header { source: remote, destination: outside });
                    let lets_in = |one: &&Seen| {
                        one.outside == outside && alike(plan.filtering, one.remote, remote)
                    };
                    let expected = seen.iter().find(lets_in).copied();
                    prop_assert_eq!(
                        got.ok().map(|header| header.destination),
                        expected.map(|one| one.inside)
                    );
                    if let (Some(one), true) = (expected, plan.inbound_refresh) {
                        seen.push(Seen { at: now, remote, ..one });
                    }
                }
            }
        }
    }

    #[test]
    fn sessions_are_never_more_than_planned(
        mapping in prop::sample::select(&Dependence::ALL[..]),
        filtering in prop::sample::select(&Dependence::ALL[..]),
        sends in prop::collection::vec((0..8_u16, 0..3_usize, 0..20_u64), 0..80),
    ) {
        let mut nat = nat(|plan| {
            (plan.mapping, plan.filtering) = (mapping, filtering);
            (plan.sessions, plan.idle_us) = (5, 60);
        });
        let (mut now, mut kept) = (0, BTreeMap::new());
        for (inside, remote, wait) in sends {
            now += wait;
            let result = send(&mut nat, now, &format!("192.168.0.2:{}", 5000 + inside), REMOTE[remote]);
            prop_assert!(nat.sessions() <= 5);
            match result {
                Ok(outside) => drop(kept.insert(outside, now)),
                Err(Blocked::TableFull) => prop_assert_eq!(nat.sessions(), 5),
                Err(other) => prop_assert!(false, "{other:?}"),
            }
        }
    }
}
