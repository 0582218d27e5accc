//! Hosts that get other addresses in the midst of a run, as a telephone does that
//! leaves the house. What an endpoint can do about it: nothing by itself, for it
//! owns no sockets. If its shell notices and names the addresses, new and gone, the
//! initiator goes on from there at once; the responder sends checks from there, but
//! the initiator holds on to the old path for longer than a connection lives.
//! Nobody tells the peer otherwise, for the rendezvous is not listened to any more,
//! and relays are not asked anew. Some leave the network where they were for one
//! without gateways.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::Run;
use super::plan::{Plan, RoamPlan};
use crate::oracle::Broken;
use crate::plan::Side;
use crate::rng::Draw;

const SECOND: u64 = 1_000_000;

/// Lets a host of a plan roam, or leaves it as it is.
pub(super) fn draw(plan: &mut Plan) {
    let mut draw = Draw::new(plan.seed, "roams of t1");
    if !draw.chance(80) {
        return;
    }
    let side = draw.pick(&Side::BOTH);
    let host = &plan.hosts[side.place()];
    let (at_us, noticed) = (draw.between(SECOND, 8 * SECOND), draw.chance(700));
    let leaves = host.behind.is_some() && draw.chance(500);
    let addresses = host.addresses.iter().zip(0..);
    let addresses =
        addresses.map(|(ip, nth)| if leaves { in_the_open(*ip, nth) } else { elsewhere(*ip) });
    let addresses = addresses.collect();
    plan.roams.push(RoamPlan { side, connection: 0, at_us, addresses, noticed, leaves });
}

/// Another address in the same network.
fn elsewhere(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(ip) => {
            let [a, b, c, d] = ip.octets();
            Ipv4Addr::new(a, b, c, d.wrapping_add(100)).into()
        }
        IpAddr::V6(ip) => {
            let mut segments = ip.segments();
            segments[7] = segments[7].wrapping_add(0x100);
            Ipv6Addr::from(segments).into()
        }
    }
}

/// An address of the same family where there are no gateways, the `nth` of a host.
fn in_the_open(address: IpAddr, nth: u8) -> IpAddr {
    match address {
        IpAddr::V4(_) => Ipv4Addr::new(198, 51, 100, 80 + nth).into(),
        IpAddr::V6(_) => Ipv6Addr::new(0x2001, 0xdb8, 9, 0, 0, 0, 0, 0x80 + u16::from(nth)).into(),
    }
}

impl Run<'_> {
    pub(super) fn roam(&mut self, planned: usize) -> Result<(), Broken> {
        let roam = self.plan.roams.get(planned).filter(|_| !self.healed);
        let Some(roam) = roam else { return Ok(()) };
        let now = self.instant(roam.side);
        let stand = &mut self.stands[roam.side.place()];
        stand.addresses.clone_from(&roam.addresses);
        stand.behind = stand.behind.filter(|_| !roam.leaves);
        self.network.roam(roam.side.place(), &stand.addresses, stand.behind);
        let host = &mut self.hosts[roam.side.place()];
        let (gone, sockets) = host.roam(&roam.addresses);
        self.oracle.on_upset();
        self.watch.on_roam(self.world.now(), roam);
        if roam.noticed && !host.done && !host.dead {
            for socket in sockets {
                host.endpoint.add_local_candidate(socket);
            }
            for socket in gone {
                host.endpoint.remove_local_candidate(now, socket);
            }
            return self.drain(roam.side);
        }
        Ok(())
    }
}
