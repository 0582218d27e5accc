//! What a person sees of a run: recordings change nothing in it, pages tell why
//! it failed, and the capture of the wire can be read by others.

#![allow(clippy::unwrap_used)] // a test that fails says so

mod homes;

use std::process::Command;

use passel_sim::net::nat::Dependence;
use passel_sim::net::{HostPlan, Loss, Outage, Upset};
use passel_sim::trace::{Facts, Recording, Sort, html, pcap};
use passel_sim::{Fault, Plan, Planted, Side, record, run, t1};

/// The data of a page, as its script reads it.
fn data(page: &str) -> serde_json::Value {
    let data = page.split("id=\"run\">").nth(1).unwrap().split("</script>").next().unwrap();
    serde_json::from_str(data).unwrap()
}

fn page_of_t0(plan: &Plan) -> serde_json::Value {
    let (outcome, recording) = record(plan);
    let facts = Facts::new(outcome.report(0.0), outcome.virtual_us, plan).unwrap();
    data(&html(&facts, &recording).unwrap())
}

fn lossy() -> t1::Plan {
    let mut plan = t1::Plan::smallest(5);
    plan.transfers[0].files = vec![200_000];
    plan.transfers[0].at_us = 5_000_000;
    plan.hosts[0].up.loss = Loss::Uniform { permille: 30 };
    plan.outages.push(Outage { host: 1, at_us: 5_100_000, for_us: 300_000 });
    plan
}

#[test]
fn taking_a_run_down_changes_nothing_in_it() {
    for seed in 0..12 {
        let plan = Plan::from_seed(seed);
        assert_eq!(record(&plan).0, run(&plan, false), "{seed}");
    }
    for plan in [lossy(), t1::Plan::from_seed(2)] {
        assert_eq!(record(&plan).0, run(&plan, false));
    }
}

#[test]
fn frames_states_and_faults_are_told_by_name() {
    let mut plan = Plan::smallest(1);
    plan.transfers[0].entries = vec![Some(100_000)];
    plan.faults.push(Fault::Partition { at_us: 100_000, for_us: 700_000 });
    plan.faults.push(Fault::DiskFull { side: Side::Joiner, after_bytes: 70_000 });
    let (outcome, recording) = record(&plan);
    assert!(outcome.passed(), "{:?}", outcome.violation);
    for kind in ["HELLO_I", "HELLO_R", "CONFIRM", "OFFER", "ACCEPT", "DATA", "CLOSE"] {
        let is_of = |one: &str| one == kind;
        let found = |message: &passel_sim::trace::Message| message.kind.split('+').any(is_of);
        assert!(recording.messages.iter().any(found), "{kind}");
    }
    let state = |name: &str| recording.states.iter().any(|state| state.name == name);
    assert!(state("handshake") && state("established") && state("active") && state("ended"));
    let full = |mark: &passel_sim::trace::Mark| {
        mark.sort == Sort::Fault && mark.host == Some(1) && mark.text.contains("NoSpace")
    };
    assert!(recording.marks.iter().any(full));
    assert_eq!(recording.spans.len(), 1);
    assert!(recording.messages.iter().all(|one| one.arrived_us.is_some() || one.lost));
}

#[test]
fn a_page_of_a_failed_run_ends_with_what_broke() {
    let failing = |seed| {
        let plan = Plan { planted: Some(Planted::SyncLate), ..Plan::from_seed(seed) };
        (!run(&plan, false).passed()).then_some(plan)
    };
    let plan = (0..400).find_map(failing).unwrap();
    let outcome = run(&plan, false);
    let page = page_of_t0(&plan);
    let last = page["rows"].as_array().unwrap().last().unwrap().clone();
    assert_eq!((last["row"].as_str(), last["sort"].as_str()), (Some("mark"), Some("broken")));
    let violation = outcome.violation.unwrap();
    assert_eq!(page["broken"][0], violation.broken.invariant);
    assert_eq!(page["broken"][2], violation.at_us);
    assert!(page["faults"][0]["text"].as_str().unwrap().contains("SyncLate"));
    let end = page["axis"]["knots"].as_array().unwrap().last().unwrap()[0].as_u64();
    assert_eq!(end, Some(violation.at_us), "nothing is drawn after it");
}

#[test]
fn losses_and_what_is_sent_again_are_seen_on_the_simulated_wire() {
    let plan = lossy();
    let (outcome, recording) = record(&plan);
    assert!(outcome.passed(), "{:?}", outcome.violation);
    let again = recording.messages.iter().filter(|one| one.again).count();
    let lost = |kind: &str| {
        recording.messages.iter().filter(|one| one.lost && one.kind.contains(kind)).count()
    };
    assert!(lost("DATA file") > 0 && again > 0, "{} {again}", lost("DATA file"));
    let kind = |kind: &str| recording.messages.iter().any(|one| one.kind.contains(kind));
    for name in ["blob by rendezvous", "STUN Binding", "ClientHello", "SACK", "DATA control"] {
        assert!(kind(name), "{name}");
    }
    assert_eq!(recording.messages.iter().filter(|one| one.kind == "datagram").count(), 0);
    let most = recording.flights.iter().map(|one| one.bytes).max().unwrap();
    assert!((10_000..1_000_000).contains(&most), "{most}");
    let last = recording.flights.iter().rfind(|one| one.host == 0).unwrap().bytes;
    assert!(last < 100, "the last word is not acknowledged: {last}");
}

/// A reader of captures that knows nothing of the writer.
mod reader {
    pub(super) struct Packet {
        pub(super) interface: u32,
        pub(super) at_us: u64,
        pub(super) ip: Vec<u8>,
        pub(super) options: Vec<(u16, Vec<u8>)>,
    }

    fn u32_at(bytes: &[u8], at: usize) -> u32 {
        u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
    }

    fn u16_at(bytes: &[u8], at: usize) -> u16 {
        u16::from_le_bytes(bytes[at..at + 2].try_into().unwrap())
    }

    fn options(mut bytes: &[u8]) -> Vec<(u16, Vec<u8>)> {
        let mut all = Vec::new();
        loop {
            let (code, length) = (u16_at(bytes, 0), usize::from(u16_at(bytes, 2)));
            if code == 0 {
                assert_eq!((length, bytes.len()), (0, 4), "options end with the block");
                return all;
            }
            all.push((code, bytes[4..4 + length].to_vec()));
            bytes = &bytes[4 + length.next_multiple_of(4)..];
        }
    }

    /// Link types and names of the interfaces, and the packets.
    pub(super) fn read(mut file: &[u8]) -> (Vec<(u16, String)>, Vec<Packet>) {
        let (mut interfaces, mut packets) = (Vec::new(), Vec::new());
        assert_eq!((u32_at(file, 0), u32_at(file, 8)), (0x0a0d_0d0a, 0x1a2b_3c4d));
        while !file.is_empty() {
            let (kind, length) = (u32_at(file, 0), u32_at(file, 4) as usize);
            assert_eq!(length % 4, 0);
            let (block, rest) = file.split_at(length);
            assert_eq!(u32_at(block, length - 4) as usize, length, "lengths agree");
            let body = &block[8..length - 4];
            match kind {
                1 => {
                    let options = options(&body[8..]);
                    let name = options.iter().find(|(code, _)| *code == 2).unwrap().1.clone();
                    assert!(options.contains(&(9, vec![6])), "microseconds");
                    interfaces.push((u16_at(body, 0), String::from_utf8(name).unwrap()));
                }
                6 => {
                    let (captured, on_wire) = (u32_at(body, 12), u32_at(body, 16));
                    assert_eq!(captured, on_wire);
                    let captured = captured as usize;
                    packets.push(Packet {
                        interface: u32_at(body, 0),
                        at_us: u64::from(u32_at(body, 4)) << 32 | u64::from(u32_at(body, 8)),
                        ip: body[20..20 + captured].to_vec(),
                        options: options(&body[20 + captured.next_multiple_of(4)..]),
                    });
                }
                _ => {}
            }
            file = rest;
        }
        (interfaces, packets)
    }

    /// The Internet's checksum of bytes that hold theirs is 0.
    fn sums_up(bytes: &[u8]) -> bool {
        let word =
            |pair: &[u8]| u64::from(pair[0]) << 8 | u64::from(pair.get(1).copied().unwrap_or(0));
        let sum: u64 = bytes.chunks(2).map(word).sum();
        sum > 0 && sum.is_multiple_of(0xffff)
    }

    /// Ports and payload of a packet, all of whose lengths and sums are right.
    pub(super) fn udp(ip: &[u8]) -> (u16, u16, Vec<u8>) {
        let be = |at: usize| usize::from(u16::from_be_bytes([ip[at], ip[at + 1]]));
        let (start, addresses) = match ip[0] >> 4 {
            4 => {
                assert_eq!((ip[0], be(2), ip[9]), (0x45, ip.len(), 17));
                assert!(sums_up(&ip[..20]));
                (20, &ip[12..20])
            }
            version => {
                assert_eq!((version, be(4), ip[6]), (6, ip.len() - 40, 17));
                (40, &ip[8..40])
            }
        };
        let udp = &ip[start..];
        assert_eq!(be(start + 4), udp.len());
        let mut covered = addresses.to_vec();
        covered.extend([0, 17]);
        covered.extend(&udp[4..6]);
        covered.extend(udp);
        assert!(sums_up(&covered), "checksum of UDP");
        let port = |at: usize| u16::from_be_bytes([udp[at], udp[at + 1]]);
        (port(0), port(2), udp[8..].to_vec())
    }
}

fn is_read_back(recording: &Recording) {
    let (interfaces, packets) = reader::read(&pcap::pcapng(recording));
    assert_eq!(interfaces, [(101, "inviter".to_owned()), (101, "joiner".to_owned())]);
    assert_eq!(packets.len(), recording.packets.len());
    for (read, packet) in packets.iter().zip(&recording.packets) {
        assert_eq!((read.interface as usize, read.at_us), (packet.host, packet.at_us));
        let (source, destination, payload) = reader::udp(&read.ip);
        assert_eq!((source, destination), (packet.source.port(), packet.destination.port()));
        assert_eq!(payload, packet.contents);
        let direction: u32 = if packet.outbound { 2 } else { 1 };
        assert!(read.options.contains(&(2, direction.to_le_bytes().to_vec())));
        let comment = read.options.iter().find(|(code, _)| *code == 1);
        assert_eq!(comment.is_some(), !packet.fates.is_empty());
    }
    assert!(packets.is_sorted_by_key(|packet| packet.at_us), "by time");
}

#[test]
fn a_capture_of_the_wire_is_read_back_with_right_checksums() {
    let (_, recording) = record(&lossy());
    assert!(recording.packets.len() > 200);
    assert!(recording.packets.iter().any(|packet| packet.fates.contains(&"lost")));
    is_read_back(&recording);
    let mut plan = t1::Plan::smallest(6);
    plan.hosts[0].addresses = vec!["2001:db8::1".parse().unwrap()];
    plan.hosts[1].addresses = vec!["2001:db8::2".parse().unwrap()];
    let (outcome, recording) = record(&plan);
    assert!(outcome.passed());
    is_read_back(&recording);
}

#[test]
fn every_fault_of_t1_is_a_mark() {
    let marks = |plan: &t1::Plan| {
        let (outcome, recording) = record(plan);
        assert!(outcome.passed(), "{:?}", outcome.violation);
        let faults = recording.marks.into_iter().filter(|mark| mark.sort == Sort::Fault);
        faults.map(|mark| (mark.host, mark.text)).collect::<Vec<_>>()
    };
    let slow = || {
        let mut plan = t1::Plan::smallest(3);
        plan.transfers[0].files = vec![300_000];
        (plan.hosts[0].up.rate, plan.hosts[0].up.queue) = (50_000, 64_000);
        plan
    };
    let at_us = 3_000_000;

    let mut plan = slow();
    plan.gateways = vec![homes::home(
        "203.0.113.1",
        Dependence::EndpointIndependent,
        Dependence::EndpointIndependent,
    )];
    plan.hosts[1] = HostPlan { behind: Some(0), ..homes::in_the_open("192.168.1.2") };
    plan.upsets.push(t1::UpsetPlan { connection: 0, gateway: 0, at_us, upset: Upset::Rebind });
    let text = "gateway 0 forgets all, and gives other ports".to_owned();
    assert_eq!(marks(&plan), [(None, text)]);

    let mut plan = slow();
    let addresses = vec![homes::ip("198.51.100.77")];
    plan.roams.push(t1::RoamPlan {
        connection: 0,
        side: Side::Joiner,
        at_us,
        addresses,
        noticed: true,
        leaves: false,
    });
    assert_eq!(marks(&plan), [(Some(1), "gets other addresses".to_owned())]);

    let mut plan = slow();
    let seats = [t1::Seat::Rendezvous, t1::Seat::Lines];
    for (seat, nth) in seats.into_iter().zip([0, 40]) {
        plan.meddlings.push(t1::MeddlePlan { seat, nth, how: t1::Meddling::Delay });
    }
    let told: Vec<_> = marks(&plan).into_iter().map(|(_, text)| text).collect();
    assert_eq!(told, ["somebody in the rendezvous: Delay", "somebody on the line: Delay"]);

    let mut plan = t1::Plan::smallest(3);
    (plan.lanes, plan.transfers[0].files) = (8, vec![3_000_000]);
    plan.dead_lanes.push(t1::DeadLane { lane: 2, at_us: 700_000 });
    assert_eq!(marks(&plan), [(None, "lane 2 is dead".to_owned())]);
}

#[test]
fn the_program_writes_page_capture_and_events() {
    let directory = std::env::temp_dir().join(format!("passel-sim-trace-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let [page, capture, events] =
        ["run.html", "run.pcapng", "run.txt"].map(|name| directory.join(name));
    let mut program = Command::new(env!("CARGO_BIN_EXE_passel-sim"));
    program.args(["run", "--tier", "t1", "--seed", "3", "--json", "--trace"]).arg(&page);
    program.arg("--pcap").arg(&capture).arg("--events").arg(&events);
    assert!(program.output().unwrap().status.success());
    let written = data(&std::fs::read_to_string(&page).unwrap());
    assert_eq!((written["tier"].as_str(), written["seed"].as_u64()), (Some("t1"), Some(3)));
    assert!(reader::read(&std::fs::read(&capture).unwrap()).1.len() > 20);
    assert!(std::fs::read_to_string(&events).unwrap().contains("Established"));
    let mut program = Command::new(env!("CARGO_BIN_EXE_passel-sim"));
    let output = program.args(["run", "--pcap"]).arg(&capture).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "t0 has no wire");
    std::fs::remove_dir_all(&directory).unwrap();
}
