//! How datagrams find their way through gateways, in networks like those that
//! people have.

#![allow(clippy::unwrap_used)] // a test that fails says so

use std::net::{IpAddr, SocketAddr};

use passel_sim::net::nat::{Dependence, NatPlan};
use passel_sim::net::routes::Routes;
use passel_sim::net::{Blocked, GatewayPlan, Header, Upset};

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn header(source: &str, destination: &str) -> Header {
    Header { source: source.parse().unwrap(), destination: destination.parse().unwrap() }
}

/// A home: IPv4 translated, IPv6 behind a firewall.
fn home(outside: &str, behind: Option<usize>) -> GatewayPlan {
    let filtering = Dependence::AddressAndPort;
    let v4 = Some(NatPlan { filtering, ..NatPlan::open(ip(outside)) });
    GatewayPlan { behind, v4, v6: Some(NatPlan::firewall()), blocks_udp: false }
}

/// Two homes with the same private addresses, one of them behind a carrier, and
/// a host in the open.
fn network() -> Routes {
    let carrier =
        GatewayPlan { v4: Some(NatPlan::open(ip("203.0.113.9"))), ..GatewayPlan::default() };
    let gateways = [home("203.0.113.1", None), home("100.64.0.2", Some(2)), carrier];
    let mut routes = Routes::new(1, &gateways);
    routes.add_host(&[ip("192.168.0.2"), ip("2001:db8:1::2")], Some(0));
    routes.add_host(&[ip("192.168.0.3"), ip("2001:db8:1::3")], Some(0));
    routes.add_host(&[ip("192.168.0.2"), ip("2001:db8:2::2")], Some(1));
    routes.add_host(&[ip("198.51.100.1"), ip("2001:db8:9::1")], None);
    routes
}

const OPEN: &str = "198.51.100.1:3478";

#[test]
fn neighbours_meet_without_their_gateway() {
    let plain = header("192.168.0.2:5", "192.168.0.3:6");
    assert_eq!(network().cross(0, 0, plain), Ok((1, plain)));
}

#[test]
fn a_host_in_the_open_sees_the_outermost_end_and_can_answer() {
    let mut routes = network();
    let outside = |routes: &mut Routes, from: usize| {
        let (to, seen) = routes.cross(0, from, header("192.168.0.2:5000", OPEN)).unwrap();
        assert_eq!((to, seen.destination), (3, OPEN.parse().unwrap()));
        seen.source
    };
    let ends: [SocketAddr; 2] = [outside(&mut routes, 0), outside(&mut routes, 2)];
    assert_eq!(ends.map(|end| end.ip()), [ip("203.0.113.1"), ip("203.0.113.9")]);
    for (end, host) in ends.into_iter().zip([0, 2]) {
        let answer = Header { source: OPEN.parse().unwrap(), destination: end };
        let (to, got) = routes.cross(1, 3, answer).unwrap();
        assert_eq!((to, got.destination), (host, "192.168.0.2:5000".parse().unwrap()));
        let stranger = Header { source: "198.51.100.1:9".parse().unwrap(), destination: end };
        assert_eq!(routes.cross(1, 3, stranger), Err(Blocked::Filtered));
    }
}

#[test]
fn private_addresses_lead_nowhere_from_outside() {
    let mut routes = network();
    assert_eq!(routes.cross(0, 3, header(OPEN, "192.168.0.3:5")), Err(Blocked::Unreachable));
    let from_other_home = header("192.168.0.2:5", "192.168.0.3:5");
    assert_eq!(routes.cross(0, 2, from_other_home), Err(Blocked::Unreachable));
    // One's own address is one's own, whoever else has it.
    let to_itself = header("192.168.0.2:5", "192.168.0.2:5");
    assert_eq!(routes.cross(0, 2, to_itself), Ok((2, to_itself)));
}

#[test]
fn version_6_is_not_translated_and_a_firewall_opens_from_inside() {
    let mut routes = network();
    let there = header("[2001:db8:1::2]:5", "[2001:db8:2::2]:6");
    let back = header("[2001:db8:2::2]:6", "[2001:db8:1::2]:5");
    assert_eq!(routes.cross(0, 0, there), Err(Blocked::NoMapping));
    assert_eq!(routes.cross(1, 2, back), Ok((0, back)));
    assert_eq!(routes.cross(2, 0, there), Ok((2, there)));
}

#[test]
fn a_rebinding_of_the_carrier_is_seen_outside_and_closes_the_way_in() {
    let mut routes = network();
    let out = header("192.168.0.2:5000", OPEN);
    let before = routes.cross(0, 2, out).unwrap().1.source;
    routes.upset(2, Upset::Rebind);
    let answer = Header { source: OPEN.parse().unwrap(), destination: before };
    assert_eq!(routes.cross(1, 3, answer), Err(Blocked::NoMapping));
    let after = routes.cross(1, 2, out).unwrap().1.source;
    assert_eq!(before.ip(), after.ip());
    assert_ne!(before.port(), after.port());
    routes.upset(2, Upset::Reboot);
    let answer = Header { source: OPEN.parse().unwrap(), destination: after };
    assert_eq!(routes.cross(2, 3, answer), Err(Blocked::NoMapping));
}

#[test]
fn a_gateway_that_blocks_udp_lets_nothing_through() {
    let gateway = GatewayPlan { blocks_udp: true, ..home("203.0.113.1", None) };
    let mut routes = Routes::new(1, &[gateway]);
    routes.add_host(&[ip("192.168.0.2"), ip("2001:db8:1::2")], Some(0));
    routes.add_host(&[ip("198.51.100.1"), ip("2001:db8:9::1")], None);
    for out in [header("192.168.0.2:5", OPEN), header("[2001:db8:1::2]:5", "[2001:db8:9::1]:6")] {
        assert_eq!(routes.cross(0, 0, out), Err(Blocked::Udp));
    }
    let back = header("[2001:db8:9::1]:6", "[2001:db8:1::2]:5");
    assert_eq!(routes.cross(0, 1, back), Err(Blocked::Udp));
}

/// A plan from a file may say anything.
#[test]
fn gateways_behind_each_other_in_a_circle_or_behind_none_are_got_out_of() {
    let circle = [home("10.0.0.1", Some(1)), home("10.0.0.2", Some(0))];
    let mut routes = Routes::new(1, &circle);
    routes.add_host(&[ip("192.168.0.2")], Some(0));
    routes.add_host(&[ip("192.168.0.3")], Some(7));
    assert_eq!(routes.cross(0, 0, header("192.168.0.2:5", OPEN)), Err(Blocked::Unreachable));
    assert_eq!(routes.cross(0, 1, header("192.168.0.3:5", OPEN)), Err(Blocked::Unreachable));
    assert_eq!(routes.cross(0, 9, header("192.168.0.2:5", OPEN)), Err(Blocked::Unreachable));
}
