//! Draws a plan of T1 from a seed. What a plan is stands in `plan`. The hosts
//! that are drawn here have a family of addresses in common, and their lines lose no
//! more than a connection is expected to get over; whether gateways let them have a
//! path is told by `net::reach`, and who else may cost them one by the modules below.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::plan::{Plan, Tier, TransferPlan};
use super::{adversary, again, gateways, lanes, relays, rendezvous, roam, wishes, wrap};
use crate::clock::Clock;
use crate::draw::processors;
use crate::net::{HostPlan, LinePlan, Loss, Outage};
use crate::plan::Side;
use crate::rng::Draw;

const MS: u64 = 1000;
const SECOND: u64 = 1_000_000;

impl Plan {
    /// The plan for a seed, as swarms run it.
    pub fn from_seed(seed: u64) -> Self {
        let mut draw = Draw::new(seed, "plan of t1");
        let families = draw.pick(&[(true, false), (true, false), (false, true), (true, true)]);
        let mut host = |place| HostPlan {
            addresses: addresses(place, families),
            behind: None,
            up: line(&mut draw),
            down: line(&mut draw),
            clock: Clock::default(),
        };
        let mut hosts = [host(0), host(1)];
        if draw.chance(200) {
            // Only one of the two has both families.
            let place = usize::from(draw.chance(500));
            hosts[place].addresses = addresses(place as u64, (true, true));
        }
        for (host, place) in hosts.iter_mut().zip(0..) {
            if draw.chance(100) {
                // It has two networks of its own.
                host.addresses.extend(addresses(place + 50, families));
            }
        }
        let count = draw.pick(&[1, 1, 1, 2]);
        let transfers = (0..count).map(|_| transfer(&mut draw)).collect();
        let outages = draw.pick(&[0, 0, 0, 1, 2]);
        let mut plan = Self {
            signaling_us: draw.pick(&[MS, 50 * MS, 400 * MS]),
            hosts,
            transfers,
            closer: draw.pick(&Side::BOTH),
            outages: (0..outages).map(|_| outage(&mut draw)).collect(),
            aes: processors(seed),
            ..Self::smallest(seed)
        };
        gateways::draw(&mut plan);
        relays::draw(&mut plan);
        lanes::draw(&mut plan);
        roam::draw(&mut plan);
        adversary::draw(&mut plan);
        wrap::draw(&mut plan);
        again::draw(&mut plan);
        rendezvous::draw(&mut plan);
        streams(&mut plan);
        wishes::draw(&mut plan);
        let mut draw = Draw::new(seed, "clocks of t1");
        for host in &mut plan.hosts {
            host.clock = Clock::drawn(&mut draw);
        }
        plan
    }

    /// The smallest plan that is of any use: one small file over good lines.
    pub fn smallest(seed: u64) -> Self {
        let host = |place| {
            HostPlan::in_the_open(addresses(place, (true, false)), LinePlan::ideal(10 * MS))
        };
        Self {
            tier: Tier::T1,
            seed,
            signaling_us: 50 * MS,
            rendezvous: None,
            hosts: [host(0), host(1)],
            entropy: None,
            transfers: vec![TransferPlan {
                from: Side::Inviter,
                at_us: 0,
                files: vec![1000],
                streams: false,
            }],
            closer: Side::Inviter,
            outages: Vec::new(),
            gateways: Vec::new(),
            lanes: 1,
            aes: Vec::new(),
            dead_lanes: Vec::new(),
            planted: None,
            servers: Vec::new(),
            relays: Vec::new(),
            relay_only: Vec::new(),
            roams: Vec::new(),
            meddlings: Vec::new(),
            upsets: Vec::new(),
            disks_us: [0; 2],
            deaths: Vec::new(),
            wishes: Vec::new(),
            again: 0,
        }
    }
}

/// Makes streams of some transfers.
fn streams(plan: &mut Plan) {
    let mut draw = Draw::new(plan.seed, "streams of t1");
    for transfer in &mut plan.transfers {
        transfer.streams = plan.again == 0 && draw.chance(250);
    }
}

/// Addresses for the host at `place`: version 4, version 6, or both.
fn addresses(place: u64, (v4, v6): (bool, bool)) -> Vec<IpAddr> {
    let last = u8::try_from(place + 1).unwrap_or(u8::MAX);
    let v4 = v4.then_some(IpAddr::V4(Ipv4Addr::new(198, 51, 100, last)));
    let v6 = v6.then_some(IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, last.into())));
    v4.into_iter().chain(v6).collect()
}

fn line(draw: &mut Draw) -> LinePlan {
    let rate = draw.pick(&[0, 0, 125_000, 1_000_000, 10_000_000]);
    LinePlan {
        delay_us: draw.pick(&[100, 2 * MS, 10 * MS, 40 * MS, 120 * MS]),
        jitter_us: draw.pick(&[0, 0, MS, 10 * MS]),
        rate,
        queue: draw.pick(&[20_000, 64_000, 250_000]),
        loss: match draw.below(6) {
            0..3 => Loss::None,
            3 => Loss::Uniform { permille: draw.pick(&[1, 5, 20]) },
            4 => Loss::Uniform { permille: 50 },
            _ => Loss::Bursts {
                enter_permille: draw.between(1, 10),
                leave_permille: draw.between(200, 500),
                good_permille: draw.pick(&[0, 1]),
                bad_permille: draw.pick(&[300, 700]),
            },
        },
        reorder_permille: draw.pick(&[0, 0, 5, 50]),
        reorder_us: draw.pick(&[MS, 20 * MS, 100 * MS]),
        duplicate_permille: draw.pick(&[0, 0, 5, 50]),
        // UDP's checksum finds most of what is altered, not all. DTLS does not get over
        // it in its handshake: see `sim/known/`.
        corrupt_permille: if draw.chance(60) { draw.pick(&[1, 10]) } else { 0 },
        mtu: draw.pick(&[1500, 1500, 1400, 1280]),
    }
}

/// The line of a server: a good one, or as good or bad as those of hosts.
pub(super) fn server_line(draw: &mut Draw) -> LinePlan {
    if draw.chance(250) { line(draw) } else { LinePlan::ideal(draw.pick(&[MS, 30 * MS])) }
}

fn transfer(draw: &mut Draw) -> TransferPlan {
    let files = draw.pick(&[1, 1, 2, 5, 20]);
    let largest = draw.pick(&[100, 5000, 60_000, 300_000]) / (files / 4 + 1);
    let file = |draw: &mut Draw| if draw.chance(80) { 0 } else { draw.between(1, largest) };
    TransferPlan {
        from: draw.pick(&Side::BOTH),
        at_us: draw.pick(&[0, 0, SECOND, 5 * SECOND]),
        files: (0..files).map(|_| file(draw)).collect(),
        streams: false,
    }
}

fn outage(draw: &mut Draw) -> Outage {
    let longest = draw.pick(&[200 * MS, SECOND, 4 * SECOND]);
    Outage {
        host: usize::from(draw.chance(500)),
        at_us: draw.below(6 * SECOND),
        for_us: draw.between(10 * MS, longest),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_survives_json_and_depends_on_its_seed_alone() {
        for seed in 0..200 {
            let plan = Plan::from_seed(seed);
            assert_eq!(plan, Plan::from_seed(seed));
            assert_eq!(Plan::parse(&plan.to_json().unwrap()).unwrap(), plan);
        }
        assert_ne!(Plan::from_seed(1).hosts, Plan::from_seed(2).hosts);
    }

    #[test]
    fn hosts_have_a_family_in_common() {
        for seed in 0..200 {
            let [one, other] = Plan::from_seed(seed).hosts;
            let meets = |a: &IpAddr| other.addresses.iter().any(|b| a.is_ipv4() == b.is_ipv4());
            assert!(one.addresses.iter().any(meets), "{seed}");
        }
    }
}
