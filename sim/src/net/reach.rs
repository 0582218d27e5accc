//! Says from the gateways alone whether two hosts can find a direct path, with
//! host and server-reflexive candidates, checks from both sides at once, and
//! candidates learned from checks. It sends nothing; what a simulation of the
//! checks finds must agree (`tests/punch.rs`). It takes for granted that sessions
//! last until the checks begin, that tables have room, that ports cannot be
//! guessed, that a host's address is not also that of one nearer to its peer, and
//! that an answer counts also if it comes from another end than was asked. RFC
//! 8445, 7.2.5.2.1, would have such an answer refused, the ICE stack in use takes
//! it; it matters if the mappings of both sides depend on the remote port. Of relays
//! it says whether they help where that path is missing.

use std::net::IpAddr;

use super::HostPlan;
use super::nat::{Dependence, NatPlan};
use super::routes::GatewayPlan;

/// Which families of address have a server in the open: one that tells a host its
/// outside end, or one that relays for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Servers {
    /// One at an address of IPv4.
    pub v4: bool,
    /// One at an address of IPv6.
    pub v6: bool,
}

/// Whether there can be a direct path between two hosts, of either family.
pub fn is_direct(hosts: &[HostPlan; 2], gateways: &[GatewayPlan], servers: Servers) -> bool {
    let family = |v4: bool, server: bool| {
        let has = |host: &HostPlan| host.addresses.iter().any(|ip: &IpAddr| ip.is_ipv4() == v4);
        let [one, other] = [&hosts[0], &hosts[1]].map(|host| chain(host.behind, gateways));
        hosts.iter().all(has) && is_direct_between(&one, &other, v4, server)
    };
    family(true, servers.v4) || family(false, servers.v6)
}

/// How a side may use relays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Relaying {
    /// Where it has one.
    pub by: Servers,
    /// It shows no addresses but relayed ones.
    pub only: bool,
}

/// Whether there can be a path over a relay between two hosts, of either family.
pub fn is_relayed(
    hosts: &[HostPlan; 2],
    gateways: &[GatewayPlan],
    servers: Servers,
    relaying: [Relaying; 2],
) -> bool {
    let family = |v4: bool, server: bool, by: [bool; 2]| {
        let has = |host: &HostPlan| host.addresses.iter().any(|ip: &IpAddr| ip.is_ipv4() == v4);
        let chains = [&hosts[0], &hosts[1]].map(|host| chain(host.behind, gateways));
        // Both must get into the open: one to its relay, the other to that as well.
        if !hosts.iter().all(has) || chains.iter().any(|chain| is_blocked(chain)) {
            return false;
        }
        // A relay lets in whoever has an address that its user was told.
        let is_told = |side: usize| {
            by[side] || (!relaying[side].only && (server || !translates(&chains[side], v4)))
        };
        (by[0] && is_told(1)) || (by[1] && is_told(0))
    };
    family(true, servers.v4, relaying.map(|one| one.by.v4))
        || family(false, servers.v6, relaying.map(|one| one.by.v6))
}

/// Whether a direct path of IPv4 between two hosts is found again after the
/// gateway at `place`, behind which one of the two is, has given it other ends.
/// A connection needs to live long enough for that.
pub fn outlasts(hosts: &[HostPlan; 2], gateways: &[GatewayPlan], place: usize) -> bool {
    let chains = [&hosts[0], &hosts[1]].map(|host| chain(host.behind, gateways));
    let is_on = |chain: &Chain<'_>| chain.iter().any(|one| one.0 == place);
    let (mine, peers) = match [is_on(&chains[0]), is_on(&chains[1])] {
        [false, false] => return true,
        // Both ends are lost, and neither side can tell the other.
        [true, true] => return false,
        [true, false] => (&chains[0], &chains[1]),
        [false, true] => (&chains[1], &chains[0]),
    };
    if mine.iter().any(|one| peers.iter().any(|other| one.0 == other.0)) {
        return false;
    }
    let [mine, peers] = [mine, peers].map(|chain| Way::of(rules(chain, true)));
    // The new end must be let in as it is, and so must the end that answers it.
    let answers_alike = peers.mapping != Dependence::AddressAndPort;
    peers.used_is_open && (answers_alike || mine.used_is_open)
}

/// The gateways between a host and the open, the nearest first.
fn chain(behind: Option<usize>, gateways: &[GatewayPlan]) -> Vec<(usize, &GatewayPlan)> {
    let mut next = behind;
    let step = || {
        let place = next?;
        let gateway = gateways.get(place)?;
        next = gateway.behind;
        Some((place, gateway))
    };
    std::iter::from_fn(step).take(gateways.len()).collect()
}

type Chain<'a> = [(usize, &'a GatewayPlan)];

fn is_direct_between(one: &Chain<'_>, other: &Chain<'_>, v4: bool, server: bool) -> bool {
    let pairs = one.iter().rev().zip(other.iter().rev());
    let shared = pairs.take_while(|(a, b)| a.0 == b.0).count();
    let below = [one, other].map(|chain| &chain[..chain.len() - shared]);
    if below.iter().any(|chain| is_blocked(chain)) {
        return false;
    }
    let translates = |chain: &Chain<'_>| translates(chain, v4);
    // Whose own address can be sent to, and lets anybody in who does.
    let is_open = |chain: &Chain<'_>| {
        !translates(chain)
            && rules(chain, v4).all(|it| it.filtering == Dependence::EndpointIndependent)
    };
    if below.iter().any(|chain| is_open(chain)) || !below.iter().any(|chain| translates(chain)) {
        return true;
    }
    // Both must know an outside end, at the outermost translator of theirs.
    let told = |chain: &Chain<'_>| server && !is_blocked(chain);
    let together = &one[one.len() - shared..];
    let outermost = together
        .iter()
        .rposition(|(_, gateway)| gateway.rules(v4).is_some_and(|rules| rules.outside.is_some()));
    let ways = if let Some(place) = outermost {
        // That one is the same for both, so they meet by its hairpinning.
        let hairpin = together[place].1.rules(v4).is_some_and(|rules| rules.hairpin);
        if !(hairpin && told(one) && told(other)) {
            return false;
        }
        [one, other].map(|chain| &chain[..=chain.len() - shared + place])
    } else {
        let known = |chain: &Chain<'_>, whole| !translates(chain) || told(whole);
        if !(known(below[0], one) && known(below[1], other)) {
            return false;
        }
        below
    };
    let [one, other] = ways.map(|chain| Way::of(rules(chain, v4)));
    one.meets(other)
}

fn is_blocked(chain: &Chain<'_>) -> bool {
    chain.iter().any(|(_, gateway)| gateway.blocks_udp)
}

fn translates(chain: &Chain<'_>, v4: bool) -> bool {
    rules(chain, v4).any(|rules| rules.outside.is_some())
}

fn rules<'a>(chain: &Chain<'a>, v4: bool) -> impl Iterator<Item = &'a NatPlan> {
    chain.iter().filter_map(move |(_, gateway)| gateway.rules(v4))
}

/// What all gateways of one side come to together.
#[derive(Clone, Copy, Debug)]
struct Way {
    mapping: Dependence,
    /// The end that the server saw lets in what the peer's host sends from a port
    /// that nobody has heard of.
    told_is_open: bool,
    /// The end that the peer is sent to from does.
    used_is_open: bool,
}

impl Way {
    fn of<'a>(rules: impl Iterator<Item = &'a NatPlan>) -> Self {
        use Dependence::{Address, AddressAndPort, EndpointIndependent};
        let (mapping, told_is_open, used_is_open) = (EndpointIndependent, true, true);
        let mut way = Self { mapping, told_is_open, used_is_open };
        for rules in rules {
            if rules.outside.is_some() {
                way.mapping = way.mapping.max(rules.mapping);
            }
            way.used_is_open &= rules.filtering != AddressAndPort;
            // The peer's address has been sent to through the same mapping only if
            // that does not depend on whom it is for.
            way.told_is_open &= rules.filtering == EndpointIndependent
                || (rules.filtering == Address && way.mapping == EndpointIndependent);
        }
        way
    }

    fn meets(self, other: Self) -> bool {
        use Dependence::EndpointIndependent;
        match (self.mapping, other.mapping) {
            // Both ends are as told, and each has been sent to from the other.
            (EndpointIndependent, EndpointIndependent) => true,
            // One end is not as told; the other side learns it from what comes in.
            (EndpointIndependent, _) => self.used_is_open,
            (_, EndpointIndependent) => other.used_is_open,
            // Somebody must be heard at the end that was told, and be answered from
            // one that has not been heard of.
            _ => {
                (self.told_is_open && other.used_is_open)
                    || (other.told_is_open && self.used_is_open)
            }
        }
    }
}
