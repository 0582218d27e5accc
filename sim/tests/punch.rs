//! The oracle that says from the gateways alone whether a direct path is possible
//! is held against plain datagrams through simulated gateways: two hosts that ask
//! a server for their outside ends, tell each other, and then send to every end
//! of the other that they know of or hear from, at the same time.

#![allow(clippy::unwrap_used)] // a test that fails says so

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use passel_sim::net::nat::{Dependence, NatPlan, PortChoice};
use passel_sim::net::reach::{Servers, is_direct, outlasts};
use passel_sim::net::routes::Routes;
use passel_sim::net::{GatewayPlan, Header, HostPlan, LinePlan, Upset};

const SERVER: &str = "198.51.100.1:3478";

/// Two hosts and what is between them, all of IPv4.
#[derive(Clone, Debug)]
struct Place {
    hosts: [(IpAddr, Option<usize>); 2],
    gateways: Vec<GatewayPlan>,
    server: bool,
}

fn socket(ip: IpAddr, side: usize) -> SocketAddr {
    SocketAddr::new(ip, [40_000, 50_000][side])
}

impl Place {
    fn host_plans(&self) -> [HostPlan; 2] {
        self.hosts.map(|(ip, behind)| HostPlan {
            behind,
            ..HostPlan::in_the_open(vec![ip], LinePlan::ideal(0))
        })
    }

    fn oracle(&self) -> bool {
        let servers = Servers { v4: self.server, v6: false };
        is_direct(&self.host_plans(), &self.gateways, servers)
    }

    /// Whether each side is answered, to the end with its latest check; with a
    /// gateway to be rebound half-way through.
    fn punches(&self, rebind: Option<usize>) -> bool {
        let mut routes = Routes::new(5, &self.gateways);
        for (ip, behind) in self.hosts {
            routes.add_host(&[ip], behind);
        }
        let server: SocketAddr = SERVER.parse().unwrap();
        if self.server {
            routes.add_host(&[server.ip()], None);
        }
        let own = [0, 1].map(|side| socket(self.hosts[side].0, side));
        let mut known = [1, 0].map(|peer| BTreeSet::from([own[peer]]));
        for side in [0, 1] {
            let header = Header { source: own[side], destination: server };
            if let Ok((2, seen)) = routes.cross(0, side, header) {
                known[1 - side].insert(seen.source);
            }
        }
        let mut answered = [0, 0];
        for round in 1..16 {
            if let Some(place) = rebind.filter(|_| round == 8) {
                routes.upset(place, Upset::Rebind);
            }
            // Whoever sends, sends before anything arrives.
            let mut send = |from: usize, destination| {
                let header = Header { source: own[from], destination };
                let arrived = routes.cross(round, from, header).ok();
                arrived.filter(|(to, seen)| *to == 1 - from && seen.destination == own[*to])
            };
            let asked: Vec<_> = [0, 1]
                .into_iter()
                .flat_map(|from| known[from].iter().map(move |end| (from, *end)))
                .collect();
            let heard: Vec<_> = asked
                .into_iter()
                .filter_map(|(from, end)| Some((from, send(from, end)?.1.source)))
                .collect();
            for (from, source) in heard {
                known[1 - from].insert(source);
                let answer = send(1 - from, source);
                if answer.is_some_and(|(to, _)| to == from) {
                    answered[from] = round;
                }
            }
        }
        // It must work for both, and in the end still.
        answered == [15, 15]
    }

    fn check(&self) -> bool {
        let possible = self.oracle();
        assert_eq!(possible, self.punches(None), "{self:#?}");
        possible
    }
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// All translators with their outside address at `outside`.
fn translators(outside: &str) -> Vec<GatewayPlan> {
    let pairs = Dependence::ALL
        .iter()
        .flat_map(|mapping| Dependence::ALL.iter().map(move |filtering| (*mapping, *filtering)));
    pairs
        .map(|(mapping, filtering)| {
            let open = NatPlan::open(ip(outside));
            let ports = PortChoice::Random;
            let v4 = Some(NatPlan { mapping, filtering, ports, hairpin: false, ..open });
            GatewayPlan { v4, ..GatewayPlan::default() }
        })
        .collect()
}

/// Gateways that translate nothing: none, firewalls, and one that blocks UDP.
fn others() -> Vec<GatewayPlan> {
    let firewall = |filtering: &Dependence| {
        let v4 = Some(NatPlan { filtering: *filtering, ..NatPlan::firewall() });
        GatewayPlan { v4, ..GatewayPlan::default() }
    };
    let mut all: Vec<_> = Dependence::ALL.iter().map(firewall).collect();
    all.push(GatewayPlan::default());
    all.push(GatewayPlan { blocks_udp: true, ..GatewayPlan::default() });
    all
}

fn kinds(outside: &str) -> Vec<GatewayPlan> {
    [translators(outside), others()].concat()
}

fn behind(gateway: &GatewayPlan, place: usize) -> GatewayPlan {
    GatewayPlan { behind: Some(place), ..gateway.clone() }
}

fn with_hairpin(gateway: &GatewayPlan) -> GatewayPlan {
    let v4 = gateway.v4.clone().map(|rules| NatPlan { hairpin: true, ..rules });
    GatewayPlan { v4, ..gateway.clone() }
}

/// Hosts whose addresses are good also where nothing translates them.
fn hosts(behind: [Option<usize>; 2]) -> [(IpAddr, Option<usize>); 2] {
    [(ip("192.0.2.10"), behind[0]), (ip("192.0.2.20"), behind[1])]
}

#[test]
fn for_all_pairs_of_gateways_the_oracle_agrees_with_plain_datagrams() {
    let mut possible = 0;
    for one in kinds("203.0.113.1") {
        for other in kinds("203.0.113.2") {
            for server in [true, false] {
                let gateways = vec![one.clone(), other.clone()];
                let hosts = hosts([Some(0), Some(1)]);
                possible += usize::from(Place { hosts, gateways, server }.check());
            }
        }
    }
    // Of 14 x 14 pairs, each with a server and without.
    assert!((50..300).contains(&possible), "{possible}");
}

#[test]
fn for_all_pairs_of_translators_the_oracle_knows_which_paths_outlast_a_rebinding() {
    let (mut last, mut end) = (0, 0);
    for one in translators("203.0.113.1") {
        for other in translators("203.0.113.2") {
            let gateways = vec![one.clone(), other.clone()];
            let place = Place { hosts: hosts([Some(0), Some(1)]), gateways, server: true };
            if !place.oracle() {
                continue;
            }
            for rebound in [0, 1] {
                let expected = outlasts(&place.host_plans(), &place.gateways, rebound);
                assert_eq!(expected, place.punches(Some(rebound)), "{rebound}: {place:#?}");
                if expected { last += 1 } else { end += 1 }
            }
        }
    }
    assert!(last > 50 && end > 10, "{last} {end}");
}

#[test]
fn pairs_that_are_in_every_textbook_are_as_it_says() {
    use Dependence::{AddressAndPort, EndpointIndependent};
    let gateway = |outside, mapping, filtering| {
        let v4 = Some(NatPlan { mapping, filtering, ..NatPlan::open(ip(outside)) });
        GatewayPlan { v4, ..GatewayPlan::default() }
    };
    let full_cone = |outside| gateway(outside, EndpointIndependent, EndpointIndependent);
    let port_restricted = |outside| gateway(outside, EndpointIndependent, AddressAndPort);
    let symmetric = |outside| gateway(outside, AddressAndPort, AddressAndPort);
    let (one, other) = ("203.0.113.1", "203.0.113.2");
    for (gateways, expected) in [
        ([port_restricted(one), port_restricted(other)], true),
        ([full_cone(one), symmetric(other)], true),
        ([port_restricted(one), symmetric(other)], false),
        ([symmetric(one), symmetric(other)], false),
    ] {
        let hosts = hosts([Some(0), Some(1)]);
        let place = Place { hosts, gateways: gateways.to_vec(), server: true };
        assert_eq!(place.check(), expected, "{place:?}");
    }
}

#[test]
fn for_all_pairs_of_chains_the_oracle_agrees_with_plain_datagrams() {
    let chains = |home: &str, carrier: &str, places: [usize; 2]| -> Vec<[GatewayPlan; 2]> {
        let [_, outer] = places;
        let homes = translators(home);
        let inner = homes.iter().map(|home| behind(home, outer));
        inner
            .flat_map(|home| translators(carrier).into_iter().map(move |it| [home.clone(), it]))
            .collect()
    };
    let one = chains("100.64.1.1", "203.0.113.1", [0, 1]);
    let other = chains("100.64.2.2", "203.0.113.2", [2, 3]);
    let mut possible = 0;
    for one in &one {
        for other in &other {
            let gateways = one.iter().chain(other).cloned().collect();
            let place = Place { hosts: hosts([Some(0), Some(2)]), gateways, server: true };
            possible += usize::from(place.check());
        }
    }
    assert!((500..6000).contains(&possible), "{possible}");
}

#[test]
fn behind_one_carrier_the_oracle_agrees_with_plain_datagrams() {
    let mut possible = [0, 0];
    for carrier in translators("203.0.113.1").iter().chain(&others()) {
        for hairpin in [false, true] {
            let carrier = if hairpin { with_hairpin(carrier) } else { carrier.clone() };
            for one in kinds("100.64.0.1") {
                for other in kinds("100.64.0.2") {
                    let gateways = vec![behind(&one, 2), behind(&other, 2), carrier.clone()];
                    let place = Place { hosts: hosts([Some(0), Some(1)]), gateways, server: true };
                    possible[usize::from(hairpin)] += usize::from(place.check());
                }
            }
        }
    }
    assert!(possible[0] > 100 && possible[1] > possible[0] + 100, "{possible:?}");
}

#[test]
fn behind_one_gateway_or_one_inside_the_others_network_there_is_a_path() {
    for gateway in kinds("203.0.113.1") {
        let gateways = vec![gateway.clone()];
        assert!(Place { hosts: hosts([Some(0), Some(0)]), gateways, server: false }.check());
        for home in kinds("100.64.0.1") {
            let gateways = vec![behind(&home, 1), gateway.clone()];
            let place = Place { hosts: hosts([Some(0), Some(1)]), gateways, server: true };
            assert_eq!(place.check(), !home.blocks_udp);
        }
    }
}
