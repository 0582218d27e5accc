//! A simulated network: hosts with addresses, each on a line of its own, behind
//! gateways or in the open, and what happens to a datagram between two of them.
//! It says when a datagram arrives, or why it never does; datagrams wait in the
//! run's queue, not here. All draws come from the plan's seed, a stream for each
//! line and direction and for each translator.

mod line;
pub mod nat;
pub mod reach;
pub mod routes;
pub mod server;
pub mod stun;
pub mod turn;

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

pub use self::line::{Carried, Fate, Line, LinePlan, Loss};
pub use self::nat::{Blocked, Header};
pub use self::routes::{GatewayPlan, Upset};

use self::routes::Routes;
use crate::clock::Clock;

/// A host: its addresses and its line, seen from the host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HostPlan {
    /// Its addresses, of either family.
    pub addresses: Vec<IpAddr>,
    /// Place of the gateway that it is behind; without one it is in the open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub behind: Option<usize>,
    /// Towards the others.
    pub up: LinePlan,
    /// From the others.
    pub down: LinePlan,
    /// Its clock.
    #[serde(default, skip_serializing_if = "Clock::is_true")]
    pub clock: Clock,
}

impl HostPlan {
    /// A host in the open, whose line is alike in both directions.
    pub fn in_the_open(addresses: Vec<IpAddr>, line: LinePlan) -> Self {
        Self { addresses, behind: None, up: line.clone(), down: line, clock: Clock::default() }
    }
}

/// A time in which a host's line carries nothing, in either direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outage {
    /// Place of the host.
    pub host: usize,
    /// When it begins.
    pub at_us: u64,
    /// How long it lasts.
    pub for_us: u64,
}

/// All hosts and their lines.
#[derive(Debug)]
pub struct Network {
    hosts: Vec<Host>,
    outages: Vec<Outage>,
    routes: Routes,
}

#[derive(Debug)]
struct Host {
    up: Line,
    down: Line,
}

impl Network {
    /// The network of a plan.
    pub fn new(
        seed: u64,
        hosts: &[HostPlan],
        gateways: &[GatewayPlan],
        outages: &[Outage],
    ) -> Self {
        let mut routes = Routes::new(seed, gateways);
        for host in hosts {
            routes.add_host(&host.addresses, host.behind);
        }
        let host = |(place, plan): (usize, &HostPlan)| Host {
            up: Line::new(&plan.up, seed, &format!("line up {place}")),
            down: Line::new(&plan.down, seed, &format!("line down {place}")),
        };
        let hosts = hosts.iter().enumerate().map(host).collect();
        Self { hosts, outages: outages.to_vec(), routes }
    }

    /// Takes a datagram from the end of one host's line to that of another's; see
    /// [`Routes::cross`].
    ///
    /// # Errors
    ///
    /// Why it gets to nobody.
    pub fn cross(
        &mut self,
        now: u64,
        from: usize,
        header: Header,
    ) -> Result<(usize, Header), Blocked> {
        self.routes.cross(now, from, header)
    }

    /// Gives the host at `place` other addresses, behind a gateway or in the open.
    pub fn roam(&mut self, place: usize, addresses: &[IpAddr], behind: Option<usize>) {
        self.routes.roam(place, addresses, behind);
    }

    /// Whatever lines do to datagrams beyond taking their time ends, and no line is
    /// out any more.
    pub fn heal(&mut self) {
        self.outages.clear();
        for host in &mut self.hosts {
            host.up.heal();
            host.down.heal();
        }
    }

    /// Lets something happen to the gateway at `place`.
    pub fn upset(&mut self, place: usize, upset: Upset) {
        self.routes.upset(place, upset);
    }

    /// Sends `contents` at `now` over the line of host `from`: what comes out at
    /// its other end, and when.
    pub fn up(&mut self, now: u64, from: usize, contents: &[u8], v6: bool) -> Carried {
        let out = self.is_out(now, from);
        match self.hosts.get_mut(from) {
            Some(host) if !out => host.up.carry(now, contents, v6),
            _ => Carried::lost(Fate::Outage),
        }
    }

    /// As [`up`](Self::up), over the line to host `to`.
    pub fn down(&mut self, now: u64, to: usize, contents: &[u8], v6: bool) -> Carried {
        let out = self.is_out(now, to);
        match self.hosts.get_mut(to) {
            Some(host) if !out => host.down.carry(now, contents, v6),
            _ => Carried::lost(Fate::Outage),
        }
    }

    /// Whether the line of a host carries nothing now, in microseconds of virtual time.
    pub(crate) fn is_out(&self, now: u64, host: usize) -> bool {
        self.outages.iter().any(|outage| {
            let end = outage.at_us.saturating_add(outage.for_us);
            outage.host == host && (outage.at_us..end).contains(&now)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_is_of_one_host_and_ends() {
        let host = |address: &str| {
            HostPlan::in_the_open(vec![address.parse().unwrap()], LinePlan::ideal(1000))
        };
        let outage = Outage { host: 1, at_us: 10, for_us: 5 };
        let hosts = [host("192.0.2.1"), host("2001:db8::1")];
        let mut network = Network::new(1, &hosts, &[], &[outage]);
        assert_eq!(network.up(12, 0, b"x", false).copies.len(), 1);
        assert!(network.up(12, 1, b"x", true).copies.is_empty());
        assert!(network.down(10, 1, b"x", true).copies.is_empty());
        assert_eq!(network.down(15, 1, b"x", true).copies.len(), 1);
    }
}
