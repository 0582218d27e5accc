//! The teeth of T1 and of the tools around runs: planted bugs are found and their
//! plans shrink, the documentation lists them all, and hashes are equal wherever
//! runs take place.

#![allow(clippy::unwrap_used)] // a test that fails says so

use std::collections::BTreeSet;
use std::process::Command;

use passel_sim::net::{Loss, Outage};
use passel_sim::t1::{self, Planted};
use passel_sim::tier::bug_name;
use passel_sim::{Plan, Side, report, run, shrink, t2, teeth};

/// Seeds within which a planted bug of T1 must be found.
const SEEDS_TO_FIND: u64 = 600;

#[test]
fn every_planted_bug_of_t1_is_found_and_by_the_invariant_that_it_breaks() {
    for &bug in Planted::ALL {
        let found = teeth::look::<t1::Plan>(bug, SEEDS_TO_FIND).invariant;
        let accused = Some("nothing fails without a cause");
        let other_bytes = Some("what has its name is its source");
        let expected: &[Option<&str>] = match bug {
            Planted::BlobReadable | Planted::DatagramReadable => {
                &[Some("nothing on the wire is readable")]
            }
            Planted::AddressReadable => &[Some("no address is told in the clear")],
            Planted::BlobLost | Planted::NetworkStops => &[accused],
            Planted::DirectLost => &[Some("a relay is used only where nothing else is possible")],
            Planted::LostForEver => &[accused, Some("everything ends")],
            Planted::OtherAddress => &[Some("datagrams leave from where they may")],
            Planted::ChecksWander => &[Some("few are checked")],
            Planted::DoneEarly => &[Some("what is done is silent")],
            Planted::TimerSpins => &[Some("a timer does not spin")],
            Planted::WriteFlipped | Planted::WriteMisplaced | Planted::CutShort => &[other_bytes],
            Planted::PartKept => &[Some("no part is left behind")],
            Planted::ReplyTwice => &[Some("answers are to what was asked")],
            Planted::ReadOnce => &[Some("everything ends")],
        };
        assert!(expected.contains(&found), "{bug:?}: {found:?}");
    }
}

/// Seeds within which a planted bug of T2 must be found.
const SEEDS_TO_FIND_T2: u64 = 40;

#[test]
fn every_planted_bug_of_t2_is_found_and_by_the_invariant_that_it_breaks() {
    for &bug in t2::Planted::ALL {
        let found = teeth::look::<t2::Plan>(bug, SEEDS_TO_FIND_T2).invariant;
        let accused = Some("nothing fails without a cause");
        let expected: &[Option<&str>] = match bug {
            t2::Planted::NameTorn => &[Some("what has its name is its source")],
            t2::Planted::SyncForgotten => &[Some("what was acknowledged is still there")],
            t2::Planted::DatagramsStop | t2::Planted::AnswerAltered => {
                &[accused, Some("everything ends")]
            }
            t2::Planted::AddressReadable => &[Some("no address is told in the clear")],
            t2::Planted::DatagramReadable => &[Some("nothing is readable on the wire")],
            t2::Planted::LineLost => &[Some("a failure is told before the program exits with it")],
            t2::Planted::EntropyShared => &[Some("equal plans have equal runs")],
        };
        assert!(expected.contains(&found), "{bug:?}: {found:?}");
    }
}

#[test]
fn a_failing_plan_of_t2_shrinks_to_what_it_needs() {
    // Only a receiver that dies with a file that has its name is needed.
    let mut plan = t2::Plan::smallest(3);
    plan.planted = Some(t2::Planted::NameTorn);
    (plan.files, plan.limit, plan.keep) = (vec![20_000, 300_000, 500], 60_000, true);
    let [sender, receiver] = [t2::SENDER, t2::RECEIVER];
    plan.stage.faults = vec![
        t2::Fault::Hold { between: [sender, receiver], at_ms: 1000, for_ms: 100 },
        t2::Fault::Crash { host: receiver, at_ms: 4000, for_ms: 900 },
        t2::Fault::Crash { host: sender, at_ms: 9000, for_ms: 800 },
    ];
    plan.stage.v6 = true;
    let invariant = |plan: &t2::Plan| run(plan, false).violation.map(|it| it.broken.invariant);
    assert_eq!(invariant(&plan), Some("what has its name is its source"));
    let small = shrink::shrink(&plan, 60).unwrap();
    assert_eq!(invariant(&small), invariant(&plan));
    assert_eq!((small.stage.faults.len(), small.stage.v6), (1, false), "{small:?}");
    assert!(matches!(small.stage.faults[0], t2::Fault::Crash { host, .. } if host == receiver));
    assert!(small.bytes() < plan.bytes(), "{small:?}");
}

#[test]
fn saved_plans_of_every_tier_are_replayed_and_the_failing_one_is_named() {
    let directory = std::env::temp_dir().join(format!("passel-sim-plans-{}", std::process::id()));
    std::fs::create_dir(&directory).unwrap();
    let save = |name: &str, json: String| std::fs::write(directory.join(name), json).unwrap();
    save("a.json", Plan::smallest(1).to_json().unwrap());
    let failing = t1::Plan { planted: Some(Planted::CutShort), ..t1::Plan::smallest(1) };
    save("b.json", failing.to_json().unwrap());
    save("c.json", t2::Plan::smallest(1).to_json().unwrap());
    let all = report::regressions(&directory).unwrap();
    std::fs::remove_dir_all(&directory).unwrap();
    let tiers: Vec<_> = all.iter().map(|plan| (plan.tier, plan.broken.is_none())).collect();
    assert_eq!(tiers, [("t0", true), ("t1", false), ("t2", true)], "{all:?}");
}

#[test]
fn a_failing_plan_of_t1_shrinks_to_what_it_needs() {
    // Only a long file that was written in the wrong place is needed.
    let mut plan = t1::Plan::from_seed(3);
    plan.planted = Some(Planted::WriteMisplaced);
    plan.transfers = t1::Plan::smallest(3).transfers;
    plan.transfers[0].files = vec![10, 200_000, 0, 300];
    plan.transfers.push(t1::TransferPlan {
        from: Side::Joiner,
        at_us: 0,
        files: vec![50],
        streams: false,
    });
    plan.hosts[0].up.loss = Loss::Uniform { permille: 5 };
    plan.outages = vec![Outage { host: 0, at_us: 3_000_000, for_us: 100_000 }];
    let invariant =
        |plan: &t1::Plan| run(plan, false).violation.map(|found| found.broken.invariant);
    assert_eq!(invariant(&plan), Some("what has its name is its source"));
    let small = shrink::shrink(&plan, 300).unwrap();
    assert_eq!(invariant(&small), invariant(&plan));
    let simple = t1::Plan::smallest(3);
    assert_eq!((&small.hosts, &small.outages), (&simple.hosts, &simple.outages));
    assert_eq!((small.transfers.len(), small.transfers[0].files.len()), (1, 1), "{small:?}");
    let size = small.transfers[0].files[0];
    assert!((65_536..=131_072).contains(&size), "more than a chunk, and less than two: {size}");
    assert!(shrink::shrink(&simple, 10).is_none(), "a plan that passes has no less");
}

/// The tier and the name of each bug that `cargo xtask planted` puts into a copy.
fn bugs_of_the_core() -> impl Iterator<Item = (String, String)> {
    let entries = include_str!("../planted/core.toml").split("[[bug]]").skip(1);
    entries.map(|entry| {
        let field = |name: &str| {
            let mut lines = entry.lines().filter_map(|line| line.split_once(" = "));
            lines.find(|(key, _)| *key == name).map(|(_, value)| value.trim_matches('"').to_owned())
        };
        (field("tier").unwrap_or_else(|| "t0".to_owned()), field("name").unwrap())
    })
}

#[test]
fn the_documentation_lists_every_planted_bug() {
    let readme = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");
    let text = std::fs::read_to_string(readme).unwrap();
    let rows = text.lines().filter(|line| line.starts_with("| t") && line.contains("| `"));
    let mut listed = BTreeSet::new();
    for row in rows {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let (tier, bug, seeds) = (cells[1], cells[2].trim_matches('`'), cells[3]);
        let seeds: u64 = seeds.parse().unwrap();
        assert!((1..=400).contains(&seeds), "{row}");
        assert!(listed.insert((tier.to_owned(), bug.to_owned())), "{row}");
        assert!(!cells[4].is_empty(), "{row}");
    }
    let of_t0 = passel_sim::Planted::ALL.iter().map(|bug| ("t0".to_owned(), bug_name(bug)));
    let of_t1 = Planted::ALL.iter().map(|bug| ("t1".to_owned(), bug_name(bug)));
    let of_t2 = t2::Planted::ALL.iter().map(|bug| ("t2".to_owned(), bug_name(bug)));
    let all: BTreeSet<_> = of_t0.chain(of_t1).chain(of_t2).chain(bugs_of_the_core()).collect();
    assert_eq!(
        listed, all,
        "write what `passel-sim teeth` and `xtask planted` print to sim/README.md"
    );
    assert!(all.len() >= 25);
}

/// What another process prints for these seeds.
fn hashes_there(tier: &str, first: u64, seeds: u64) -> String {
    let mut program = Command::new(env!("CARGO_BIN_EXE_passel-sim"));
    let (first, seeds) = (first.to_string(), seeds.to_string());
    program.args(["hashes", "--tier", tier, "--first", &first, "--seeds", &seeds]);
    let output = program.output().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn two_processes_and_several_threads_at_once_have_the_same_hashes() {
    let line = |seed: u64, semantic: &str, wire: &str| format!("{seed} {semantic} {wire}\n");
    let of_t0 = |seed| {
        let outcome = run(&Plan::from_seed(seed), false);
        line(seed, &outcome.semantic_hash, &outcome.wire_hash)
    };
    let of_t1 = |seed| {
        let outcome = run(&t1::Plan::from_seed(seed), false);
        line(seed, &outcome.semantic_hash, &outcome.wire_hash)
    };
    std::thread::scope(|scope| {
        // All of it at the same time, so that whatever is shared is seen.
        let there: Vec<_> = (0..2)
            .map(|_| scope.spawn(|| (hashes_there("t0", 20, 24), hashes_there("t1", 20, 4))))
            .collect();
        let here: Vec<_> = (0..3)
            .map(|_| {
                scope.spawn(|| {
                    let t0: String = (20..44).map(of_t0).collect();
                    let t1: String = (20..24).map(of_t1).collect();
                    (t0, t1)
                })
            })
            .collect();
        let all: Vec<_> =
            there.into_iter().chain(here).map(|thread| thread.join().unwrap()).collect();
        assert_eq!(all[0].0.lines().count(), 24);
        for other in &all[1..] {
            assert_eq!(*other, all[0]);
        }
    });
}
