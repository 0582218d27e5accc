//! Draws the gateways of a plan of T1, from a stream of their own: homes,
//! carriers, offices, with translators of every kind. Not every pair of hosts has
//! a direct path then, which the run is told by the oracle.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::draw;
use super::plan::{Plan, UpsetPlan};
use crate::net::nat::{Dependence, NatPlan, PortChoice};
use crate::net::{GatewayPlan, HostPlan, Upset};
use crate::rng::Draw;

const SECOND: u64 = 1_000_000;

/// Puts gateways and a server into a plan, or leaves it as it is.
pub(super) fn draw(plan: &mut Plan) {
    let mut draw = Draw::new(plan.seed, "gateways of t1");
    if draw.chance(350) {
        return;
    }
    let has_v4 = |host: &HostPlan| host.addresses.iter().any(IpAddr::is_ipv4);
    // By IPv6 nearly all pairs meet.
    let v4_alone = plan.hosts.iter().all(has_v4) && draw.chance(800);
    for (host, last) in plan.hosts.iter_mut().zip(1..) {
        host.addresses.retain(|address| address.is_ipv4() || !v4_alone);
        for (address, nth) in host.addresses.iter_mut().zip(0..) {
            *address = match address {
                // Alike in many homes, but never alike in one.
                IpAddr::V4(_) => Ipv4Addr::new(192, 168, 1, last + 10 * nth).into(),
                IpAddr::V6(_) => {
                    let own = u16::from(last + 10 * nth);
                    Ipv6Addr::new(0x2001, 0xdb8, last.into(), 0, 0, 0, 0, own).into()
                }
            };
        }
    }
    let outside = |last| Ipv4Addr::new(203, 0, 113, last);
    let open = |last| Ipv4Addr::new(198, 51, 100, last);
    let inside_carrier = |last| Ipv4Addr::new(100, 64, 0, last);
    let behind = |place, gateway| GatewayPlan { behind: Some(place), ..gateway };
    let mut make = |outside| gateway(&mut draw, outside);
    let (gateways, stands) = match plan.seed % 8 {
        // One home, and a host in the open.
        0 => (vec![make(outside(1))], [Some(0), None]),
        // Two homes.
        1..=3 => (vec![make(outside(1)), make(outside(2))], [Some(0), Some(1)]),
        // Two homes, one of them behind a carrier.
        4 => {
            let homes = [make(outside(1)), behind(2, make(inside_carrier(2)))];
            let carrier = make(outside(9));
            (homes.into_iter().chain([carrier]).collect(), [Some(0), Some(1)])
        }
        // Two homes behind one carrier.
        5 | 6 => {
            let homes = [1, 2].map(|last| behind(2, make(inside_carrier(last))));
            let mut carrier = make(outside(9));
            if let Some(rules) = &mut carrier.v4 {
                rules.hairpin |= plan.seed % 8 == 5;
            }
            (homes.into_iter().chain([carrier]).collect(), [Some(0), Some(1)])
        }
        // One home for both.
        _ => (vec![make(outside(1))], [Some(0), Some(0)]),
    };
    for (place, stand) in stands.into_iter().enumerate() {
        let host = &mut plan.hosts[place];
        host.behind = stand;
        let in_the_open = host.addresses.iter_mut().filter(|it| it.is_ipv4() && stand.is_none());
        for (address, nth) in in_the_open.zip(0..) {
            *address = open(70 + nth).into();
        }
    }
    plan.gateways = gateways;
    if draw.chance(250) {
        let gateway = usize::try_from(draw.below(plan.gateways.len() as u64)).unwrap_or(0);
        let (at_us, upset) = (draw.below(8 * SECOND), draw.pick(&[Upset::Rebind, Upset::Reboot]));
        plan.upsets.push(UpsetPlan { gateway, connection: 0, at_us, upset });
    }
    let line = draw::server_line(&mut draw);
    let addresses = vec![open(1).into(), Ipv6Addr::new(0x2001, 0xdb8, 9, 0, 0, 0, 0, 1).into()];
    plan.servers = vec![HostPlan::in_the_open(addresses, line)];
}

fn gateway(draw: &mut Draw, outside: Ipv4Addr) -> GatewayPlan {
    use Dependence::{Address, AddressAndPort, EndpointIndependent};
    let rules = NatPlan {
        outside: Some(outside.into()),
        mapping: draw.pick(&[EndpointIndependent, EndpointIndependent, Address, AddressAndPort]),
        filtering: draw.pick(&[EndpointIndependent, Address, AddressAndPort, AddressAndPort]),
        ports: draw.pick(&[
            PortChoice::Preserving,
            PortChoice::Sequential,
            PortChoice::Random,
            PortChoice::Contiguous,
        ]),
        idle_us: draw.pick(&[30, 60, 120, 300]) * SECOND,
        inbound_refresh: draw.chance(500),
        hairpin: draw.chance(500),
        sessions: draw.pick(&[128, 4096]),
    };
    let wall = NatPlan { filtering: draw.pick(&Dependence::ALL), ..NatPlan::firewall() };
    GatewayPlan { behind: None, v4: Some(rules), v6: Some(wall), blocks_udp: draw.chance(30) }
}
