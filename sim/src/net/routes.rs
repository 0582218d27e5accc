//! Where hosts stand behind gateways, and how a datagram finds its way: out
//! through translators and firewalls as far as it must, and in again. What does
//! not live here: what a line does to it on the way.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::nat::{Blocked, Header, Nat, NatPlan, Passed};

/// A gateway: what stands between a network and the one outside it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GatewayPlan {
    /// Place of the gateway that it is behind itself, as in a carrier's network.
    #[serde(default)]
    pub behind: Option<usize>,
    /// What it does to IPv4; without it, nothing.
    #[serde(default)]
    pub v4: Option<NatPlan>,
    /// What it does to IPv6; without it, nothing.
    #[serde(default)]
    pub v6: Option<NatPlan>,
    /// No UDP passes it.
    #[serde(default)]
    pub blocks_udp: bool,
}

impl GatewayPlan {
    /// What it does to the family of an address.
    pub fn rules(&self, v4: bool) -> Option<&NatPlan> {
        if v4 { self.v4.as_ref() } else { self.v6.as_ref() }
    }
}

/// Something that happens to a gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Upset {
    /// It forgets everything, and gives every inside end another port.
    Rebind,
    /// It forgets everything.
    Reboot,
}

#[derive(Debug)]
struct Gateway {
    plan: GatewayPlan,
    v4: Option<Nat>,
    v6: Option<Nat>,
}

/// A host: its addresses, and the gateway that it is behind.
#[derive(Debug)]
struct Stand {
    addresses: Vec<IpAddr>,
    behind: Option<usize>,
}

/// All gateways, and who is behind which.
#[derive(Debug, Default)]
pub struct Routes {
    hosts: Vec<Stand>,
    gateways: Vec<Gateway>,
}

impl Routes {
    /// A network in which nobody is yet.
    pub fn new(seed: u64, gateways: &[GatewayPlan]) -> Self {
        let gateway = |(place, plan): (usize, &GatewayPlan)| {
            let nat = |rules: &Option<NatPlan>, family: u8| {
                let purpose = format!("gateway {place} of version {family}");
                rules.as_ref().map(|rules| Nat::new(rules, seed, &purpose))
            };
            Gateway { plan: plan.clone(), v4: nat(&plan.v4, 4), v6: nat(&plan.v6, 6) }
        };
        Self { hosts: Vec::new(), gateways: gateways.iter().enumerate().map(gateway).collect() }
    }

    /// Adds a host behind a gateway, or in the open. Its place is how many there
    /// were before.
    pub fn add_host(&mut self, addresses: &[IpAddr], behind: Option<usize>) {
        self.hosts.push(Stand { addresses: addresses.to_vec(), behind });
    }

    /// Gives the host at `place` other addresses, behind a gateway or in the open; what
    /// is sent to the old ones gets to nobody.
    pub fn roam(&mut self, place: usize, addresses: &[IpAddr], behind: Option<usize>) {
        if let Some(host) = self.hosts.get_mut(place) {
            *host = Stand { addresses: addresses.to_vec(), behind };
        }
    }

    /// Lets something happen to the gateway at `place`.
    pub fn upset(&mut self, place: usize, upset: Upset) {
        let Some(gateway) = self.gateways.get_mut(place) else { return };
        for nat in [&mut gateway.v4, &mut gateway.v6].into_iter().flatten() {
            match upset {
                Upset::Rebind => nat.rebind(),
                Upset::Reboot => nat.reboot(),
            }
        }
    }

    /// Takes a datagram of the host at `from` through all gateways on its way:
    /// who gets it, and what its header says by then.
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
        let mut header = header;
        let mut net = self.hosts.get(from).ok_or(Blocked::Unreachable)?.behind;
        let mut inward = false;
        // Out through every gateway and in through every one, at most.
        for _ in 0..=2 * self.gateways.len() + 1 {
            let ip = header.destination.ip();
            let here = |host: &Stand| host.behind == net && host.addresses.contains(&ip);
            if let Some(host) = self.hosts.iter().position(here) {
                return Ok((host, header));
            }
            if let Some(place) = self.way_in(net, ip) {
                header = self.gateways[place].inbound(now, header)?;
                (net, inward) = (Some(place), true);
                continue;
            }
            let gateway = net.filter(|_| !inward).and_then(|place| self.gateways.get_mut(place));
            let gateway = gateway.ok_or(Blocked::Unreachable)?;
            header = match gateway.outbound(now, header)? {
                Passed::Out(header) => {
                    net = gateway.plan.behind;
                    header
                }
                Passed::Back(header) => {
                    inward = true;
                    header
                }
            };
        }
        Err(Blocked::Unreachable)
    }

    /// The gateway of network `net` behind which `ip` is.
    fn way_in(&self, net: Option<usize>, ip: IpAddr) -> Option<usize> {
        self.gateways.iter().enumerate().position(|(place, gateway)| {
            let outside = gateway.plan.rules(ip.is_ipv4()).and_then(|rules| rules.outside);
            let leads = outside.map_or_else(|| self.is_inside(place, ip), |outside| outside == ip);
            leads && gateway.plan.behind == net
        })
    }

    /// Whether a host with this address is behind the gateway at `place`, with
    /// nothing in between that would translate the address.
    fn is_inside(&self, place: usize, ip: IpAddr) -> bool {
        let has = |host: &&Stand| host.addresses.contains(&ip);
        self.hosts.iter().filter(has).any(|host| {
            let mut net = host.behind;
            for _ in 0..self.gateways.len() {
                let Some(gateway) = net.and_then(|at| self.gateways.get(at)) else { break };
                let rules = gateway.plan.rules(ip.is_ipv4());
                if rules.is_some_and(|rules| rules.outside.is_some()) {
                    break;
                }
                if net == Some(place) {
                    return true;
                }
                net = gateway.plan.behind;
            }
            false
        })
    }
}

impl Gateway {
    fn nat(&mut self, header: Header) -> Option<&mut Nat> {
        if header.destination.is_ipv4() { self.v4.as_mut() } else { self.v6.as_mut() }
    }

    fn outbound(&mut self, now: u64, header: Header) -> Result<Passed, Blocked> {
        if self.plan.blocks_udp {
            return Err(Blocked::Udp);
        }
        self.nat(header).map_or(Ok(Passed::Out(header)), |nat| nat.outbound(now, header))
    }

    fn inbound(&mut self, now: u64, header: Header) -> Result<Header, Blocked> {
        if self.plan.blocks_udp {
            return Err(Blocked::Udp);
        }
        self.nat(header).map_or(Ok(header), |nat| nat.inbound(now, header))
    }
}
