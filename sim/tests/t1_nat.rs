//! Whole endpoints behind gateways: a direct path is found exactly when the
//! oracle says that there can be one, for every pair of kinds.

#![allow(clippy::unwrap_used)] // a test that fails says so

mod homes;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use passel_sans_io::datagram::Datagram;
use passel_sim::net::nat::Dependence;
use passel_sim::net::reach::outlasts;
use passel_sim::net::stun::PORT;
use passel_sim::net::{GatewayPlan, Loss, Upset};
use passel_sim::t1::stage::{Machine, Stage, play};
use passel_sim::t1::{Condition, Plan, UpsetPlan};

use homes::{home, homes, in_the_open, ip, kinds, passed};

/// Two homes, and a server in the open.
fn served_homes(seed: u64, gateways: Vec<GatewayPlan>) -> Plan {
    Plan { servers: vec![in_the_open("198.51.100.1")], ..homes(seed, gateways) }
}

#[path = "../examples/own_machine.rs"]
mod own_machine;

#[test]
fn own_machines_play_in_the_same_world() {
    let lossy = Loss::Uniform { permille: 100 };
    let mut hashes = std::collections::BTreeSet::new();
    for seed in 0..4 {
        let (one, kept) = own_machine::play_once(seed, lossy);
        assert_eq!(one.broken, None);
        assert!(kept.iter().copied().eq(0..30));
        assert!(one.virtual_us > 3_000_000 && one.trace.iter().any(|line| line.contains("Lost")));
        assert_eq!((&one, kept), (&own_machine::play_once(seed, lossy).0, (0..30).collect()));
        hashes.insert(one.wire_hash);
    }
    assert_eq!(hashes.len(), 4);
    let (stuck, kept) = own_machine::play_once(1, Loss::Uniform { permille: 1000 });
    assert_eq!(stuck.broken.unwrap().invariant, "everything ends");
    assert!(kept.is_empty());
}

#[test]
fn for_all_pairs_of_translators_there_is_a_path_exactly_if_there_can_be() {
    let mut without = 0;
    for (seed, (one, other)) in
        kinds().flat_map(|one| kinds().map(move |other| (one, other))).enumerate()
    {
        let gateways =
            vec![home("203.0.113.1", one.0, one.1), home("203.0.113.2", other.0, other.1)];
        let outcome = passed(&served_homes(seed as u64, gateways));
        without += usize::from(outcome.met.contains(&Condition::NoPath));
    }
    assert!((20..40).contains(&without), "{without}");
}

#[test]
fn two_translators_that_let_in_only_answers_are_punched_through() {
    use Dependence::{AddressAndPort, EndpointIndependent};
    let gateway = |outside| home(outside, EndpointIndependent, AddressAndPort);
    let mut plan = served_homes(1, vec![gateway("203.0.113.1"), gateway("203.0.113.2")]);
    let met = passed(&plan).met;
    for condition in [Condition::PathByPunching, Condition::PathByServer] {
        assert!(met.contains(&condition), "{met:?}");
    }
    plan.servers.clear();
    assert!(passed(&plan).met.contains(&Condition::NoPath), "without a server there is no path");
}

// LN-STUN
#[test]
fn further_lanes_come_up_between_two_homes() {
    use Dependence::{AddressAndPort, EndpointIndependent};
    let gateway = |outside| home(outside, EndpointIndependent, AddressAndPort);
    let mut plan = served_homes(4, vec![gateway("203.0.113.1"), gateway("203.0.113.2")]);
    plan.lanes = 8;
    plan.transfers[0].files = vec![3_000_000];
    for host in &mut plan.hosts {
        host.up.rate = 1_000_000;
        host.up.queue = 64_000;
    }
    let met = passed(&plan).met;
    assert!(met.contains(&Condition::LanesThroughTranslators), "{met:?}");
}

#[test]
fn behind_one_carrier_hairpinning_decides() {
    use Dependence::EndpointIndependent;
    for hairpin in [true, false] {
        let behind = |outside| {
            let gateway = home(outside, EndpointIndependent, Dependence::Address);
            GatewayPlan { behind: Some(2), ..gateway }
        };
        let mut carrier = home("203.0.113.9", EndpointIndependent, EndpointIndependent);
        carrier.v4.as_mut().unwrap().hairpin = hairpin;
        let gateways = vec![behind("100.64.0.1"), behind("100.64.0.2"), carrier];
        let met = passed(&served_homes(2, gateways)).met;
        assert_eq!(met.contains(&Condition::PathByHairpin), hairpin);
        assert_eq!(met.contains(&Condition::NoPath), !hairpin);
    }
}

/// A transfer that takes some seconds, in whose midst a gateway is upset.
fn upset_in_transfer(seed: u64, gateways: Vec<GatewayPlan>, gateway: usize, upset: Upset) -> Plan {
    let mut plan = served_homes(seed, gateways);
    plan.transfers[0].files = vec![300_000];
    (plan.hosts[0].up.rate, plan.hosts[0].up.queue) = (50_000, 64_000);
    plan.upsets.push(UpsetPlan { connection: 0, gateway, at_us: 4_000_000, upset });
    plan
}

#[test]
fn a_rebinding_in_a_transfer_is_got_over_if_the_other_side_lets_new_ends_in() {
    use Dependence::{Address, EndpointIndependent};
    for upset in [Upset::Rebind, Upset::Reboot] {
        for (gateway, filtering) in [(0, Address), (1, Address), (0, EndpointIndependent)] {
            let make = |outside| home(outside, EndpointIndependent, filtering);
            let gateways = vec![make("203.0.113.1"), make("203.0.113.2")];
            let plan = upset_in_transfer(3, gateways, gateway, upset);
            assert!(outlasts(&plan.hosts, &plan.gateways, gateway));
            let outcome = passed(&plan);
            assert!(outcome.met.contains(&Condition::UpsetGotOver));
            assert!(outcome.virtual_us > 6_000_000);
        }
    }
}

#[test]
fn a_rebinding_behind_a_filter_that_knows_the_port_ends_the_connection_in_time() {
    use Dependence::{AddressAndPort, EndpointIndependent};
    let make = |outside| home(outside, EndpointIndependent, AddressAndPort);
    let gateways = vec![make("203.0.113.1"), make("203.0.113.2")];
    let plan = upset_in_transfer(5, gateways, 1, Upset::Rebind);
    assert!(!outlasts(&plan.hosts, &plan.gateways, 1));
    let outcome = passed(&plan);
    assert!(outcome.met.contains(&Condition::LostByUpset));
    assert!(outcome.virtual_us < 60_000_000, "{}", outcome.virtual_us);
}

/// Asks a STUN server every second from where it is asked, and tells it.
struct Asker {
    own: SocketAddr,
    due: Option<Instant>,
    out: Option<Datagram>,
    told: Option<String>,
    answers: u32,
}

impl Machine for Asker {
    fn handle_datagram(&mut self, _now: Instant, datagram: &Datagram) {
        // RFC 8489, 14.2: the port stands 6 bytes into the first attribute, masked.
        let port = u16::from_be_bytes([datagram.contents[26], datagram.contents[27]]) ^ 0x2112;
        (self.told, self.answers) = (Some(format!("port {port}")), self.answers + 1);
    }

    fn handle_timeout(&mut self, now: Instant) {
        if self.due.is_none_or(|due| due <= now) {
            let mut contents = vec![0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42];
            contents.extend([7; 12]);
            let destination = SocketAddr::new(ip("198.51.100.9"), PORT);
            self.out = Some(Datagram { source: self.own, destination, contents });
            self.due = Some(now + Duration::from_secs(1));
        }
    }

    fn poll_datagram(&mut self) -> Option<Datagram> {
        self.out.take()
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.due
    }

    fn poll_event(&mut self) -> Option<String> {
        self.told.take()
    }

    fn is_done(&self) -> bool {
        self.answers == 6
    }
}

#[test]
fn own_machines_ask_servers_behind_gateways_that_forget() {
    let own = SocketAddr::new(ip("192.168.1.1"), 7000);
    let mut host = in_the_open("192.168.1.1");
    host.behind = Some(0);
    let any = Dependence::EndpointIndependent;
    let upset = UpsetPlan { connection: 0, gateway: 0, at_us: 3_500_000, upset: Upset::Rebind };
    let stage = Stage {
        gateways: vec![home("203.0.113.1", any, any)],
        servers: vec![in_the_open("198.51.100.9")],
        upsets: vec![upset],
        ..Stage::new(1, vec![host])
    };
    let asker = || Asker { own, due: None, out: None, told: None, answers: 0 };
    let played = play(&stage, &mut [asker()]);
    assert_eq!(played.broken, None);
    assert_eq!(played, play(&stage, &mut [asker()]));
    let told = |line: &String| line.split("port ").nth(1).map(str::to_owned);
    let mut ports: Vec<String> = played.trace.iter().filter_map(told).collect();
    assert_eq!(ports.len(), 6);
    ports.dedup();
    assert_eq!(ports.len(), 2, "{:?}", played.trace);
}
