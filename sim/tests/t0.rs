//! Tier T0 as a whole: a bounded swarm, equal runs for equal plans, planted
//! bugs that must be found, and the plans that once failed.

#![allow(clippy::unwrap_used)] // a test that fails says so

use std::collections::BTreeSet;

use passel_sim::clock::Clock;
use passel_sim::swarm::{SwarmOutcome, swarm, swarm_of};
use passel_sim::{
    Fault, Plan, Planted, RunReport, Side, Sometimes, Tier, Window, report, run, shrink, teeth,
};

/// Seeds within which a planted bug must be found.
const SEEDS_TO_FIND: u64 = 400;

#[test]
fn a_swarm_holds_every_invariant_and_meets_nearly_every_condition() {
    let outcome = swarm::<Plan>(0..600, 2, false);
    assert_eq!(outcome.failures, []);
    assert_eq!((outcome.seeds, outcome.twice), (600, 12));
    let missed = outcome.missed();
    assert!(missed.len() <= 2, "never met: {missed:?}");
}

#[test]
fn clocks_that_part_are_nobodys_business() {
    let mut plan = Plan::smallest(4);
    plan.transfers[0].entries = vec![Some(200_000)];
    plan.clocks = [Clock::gaining(-300_000), Clock::gaining(300_000)];
    let outcome = run(&plan, false);
    assert!(outcome.passed(), "{:?}", outcome.violation);
    assert!(outcome.met.contains(&Sometimes::ClocksApart));
    // Who keeps a quiet connection alive does so by its own clock.
    plan.transfers[0].at_us = 100_000_000;
    assert!(run(&plan, false).passed());
}

#[test]
fn equal_plans_have_equal_runs_on_any_thread_and_other_seeds_other_ones() {
    let hashes = || -> Vec<(String, String)> {
        let outcomes = (0..40).map(|seed| run(&Plan::from_seed(seed), false));
        outcomes.map(|outcome| (outcome.semantic_hash, outcome.wire_hash)).collect()
    };
    let here = hashes();
    let there: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..2).map(|_| scope.spawn(hashes)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(there, [here.clone(), here.clone()]);
    let wire: BTreeSet<&String> = here.iter().map(|(_, wire)| wire).collect();
    assert_eq!(wire.len(), here.len());
}

#[test]
fn another_process_has_the_same_runs_and_ends_with_a_line_of_json() {
    for seed in [7, 8] {
        let mut program = std::process::Command::new(env!("CARGO_BIN_EXE_passel-sim"));
        let output = program.args(["run", "--json", "--seed", &seed.to_string()]).output().unwrap();
        assert!(output.status.success());
        let there: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let here = serde_json::to_value(run(&Plan::from_seed(seed), false).report(0.0)).unwrap();
        for field in ["seed", "verdict", "semantic_hash", "wire_hash", "virtual_s", "steps", "met"]
        {
            assert_eq!(there[field], here[field], "{field}");
        }
    }
}

#[test]
fn the_number_of_threads_changes_nothing() {
    let one = swarm::<Plan>(0..60, 1, false);
    assert_eq!(one, swarm::<Plan>(0..60, 3, false));
    // It tells what was run.
    assert_ne!(one.digest, swarm::<Plan>(1..61, 1, false).digest);
}

#[test]
fn a_trace_changes_nothing_and_tells_every_event() {
    let plan = Plan::smallest(1);
    let (silent, mut traced) = (run(&plan, false), run(&plan, true));
    let trace = std::mem::take(&mut traced.trace);
    assert_eq!(silent, traced);
    let told = |what: &str| trace.iter().any(|line| line.contains(what));
    assert!(told("Established") && told("Completed") && told("Closed") && told("sends"));
}

#[test]
fn every_planted_bug_is_found_and_by_the_invariant_that_it_breaks() {
    for &planted in Planted::ALL {
        let found = teeth::look::<Plan>(planted, SEEDS_TO_FIND).invariant;
        let accused = Some("nothing fails without a cause");
        let expected: &[Option<&str>] = match planted {
            Planted::SyncForgotten | Planted::SyncLate => &[
                Some("what is acknowledged is durable"),
                Some("what has its name is durable"),
                Some("a receipt counts what is stored"),
            ],
            Planted::WriteFlipped | Planted::WriteMisplaced => {
                &[Some("what has its name is its source"), Some("what is acknowledged is durable")]
            }
            Planted::ReplyLost | Planted::MessageLost => &[Some("everything ends")],
            Planted::VisibleEarly => &[Some("only what is committed is visible")],
            Planted::DiscardIgnored => &[Some("no part is left behind")],
            Planted::ReadFlipped => &[Some("what is written is of the source"), accused],
            Planted::MessageFlipped | Planted::MessageTwice | Planted::MessageOvertaken => {
                &[accused]
            }
            Planted::MessageReadable => &[Some("nothing on the wire is readable")],
            Planted::CounterRepeated => &[Some("a nonce is used once")],
            Planted::ClockBehind => &[Some("a timer does not spin")],
            Planted::JournalFirst | Planted::JournalEarly => &[
                Some("what is claimed is durable"),
                Some("what has its name is its source"),
                Some("what has its name is durable"),
            ],
            Planted::JournalLost => &[
                Some("what was acknowledged is still there"),
                Some("what was acknowledged is still known"),
                Some("a name is given once"),
            ],
            Planted::JournalStale => &[Some("what is claimed is durable")],
            Planted::SyncInPart => &[Some("what is acknowledged is durable")],
            Planted::CheckAlways => &[Some("what was stored before is its source")],
            Planted::CompareSkipped => &[Some("what has its name is its source")],
            Planted::SeedAgain => &[Some("no two messages are equal")],
            Planted::SecretForgotten => &[Some("the peers know each other again")],
            Planted::NotesBelieved => {
                &[Some("what is claimed is durable"), Some("what has its name is its source")]
            }
            Planted::WrittenNotSynced => {
                &[Some("what has its name is durable"), Some("what is acknowledged is durable")]
            }
            Planted::DrawShared => &[Some("equal plans have equal runs")],
        };
        assert!(expected.contains(&found), "{planted:?}: {found:?}");
    }
}

#[test]
fn a_swarm_that_never_met_a_condition_fails() {
    let missed = |seeds, drawn| SwarmOutcome::<Plan> { seeds, drawn, ..SwarmOutcome::default() };
    assert!(!missed(Plan::SEEDS_TO_MEET_ALL, true).passed());
    assert!(missed(Plan::SEEDS_TO_MEET_ALL - 1, true).passed(), "too few seeds to expect it");
    assert!(missed(Plan::SEEDS_TO_MEET_ALL, false).passed(), "plans that were not drawn");
}

#[test]
fn a_failing_plan_shrinks_to_what_it_needs() {
    // One fault leaves a part behind; the others have no share in it.
    let failing = |seed| {
        let mut plan = Plan::from_seed(seed);
        plan.planted = Some(Planted::DiscardIgnored);
        plan.faults.push(Fault::SlowDisk {
            side: Side::Joiner,
            at_us: 0,
            for_us: 1_000_000,
            request_us: 1000,
        });
        plan.faults.push(Fault::Partition { at_us: 100_000, for_us: 1000 });
        let fails = run(&plan, false).violation;
        fails
            .is_some_and(|found| found.broken.invariant == "no part is left behind")
            .then_some(plan)
    };
    let plan = (0..400).find_map(failing).unwrap();
    let small = shrink::shrink(&plan, 2000).unwrap();
    assert_eq!(small.transfers.len(), 1, "{small:?}");
    assert_eq!(small.faults.len(), 1, "{small:?}");
    assert!(small.bytes() <= plan.bytes() && small.transfers[0].entries.len() <= 2, "{small:?}");
    for place in 0..small.faults.len() {
        let mut less = small.clone();
        less.faults.remove(place);
        assert!(run(&less, false).passed(), "fault {place} is not needed: {small:?}");
    }
    assert!(shrink::shrink(&Plan::smallest(1), 10).is_none(), "a plan that passes has no less");
}

#[test]
fn plans_that_once_failed_pass() {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/regressions");
    let all = report::regressions(directory.as_ref()).unwrap();
    let failed: Vec<_> = all.iter().filter(|plan| plan.broken.is_some()).collect();
    assert!(failed.is_empty(), "{failed:?}");
    assert!(all.len() >= 6, "{}", all.len());
}

#[test]
fn a_report_has_the_fields_that_others_read() {
    let report: RunReport = run(&Plan::smallest(1), false).report(0.5);
    let json = serde_json::to_value(report).unwrap();
    for field in ["seed", "commit", "verdict", "semantic_hash", "wire_hash", "virtual_s", "real_s"]
    {
        assert!(!json[field].is_null(), "{field}");
    }
    assert_eq!((json["verdict"].as_str(), json["real_s"].as_f64()), (Some("pass"), Some(0.5)));
}

/// `RS-WRITTEN`: what was written and not made durable outlives a process, and not a
/// loss of power.
#[test]
fn a_killed_process_keeps_what_it_wrote_and_a_loss_of_power_does_not() {
    let met = |killed, planted| {
        let mut plan = Plan::smallest(4);
        plan.again = 1;
        plan.planted = planted;
        (plan.knobs.chunk_log2, plan.knobs.piece_log2) = (14, 12);
        plan.transfers[0].entries = vec![Some(300_000)];
        let (side, request, window) = (Side::Joiner, passel_sim::Request::Sync, Window::Before);
        let notice_us = Some(1000);
        plan.faults = vec![Fault::CrashAt { side, request, nth: 0, window, notice_us, killed }];
        let outcome = run(&plan, false);
        let from_notes = outcome.met.contains(&Sometimes::ResumedFromNotes);
        (outcome.violation.map(|violation| violation.broken.invariant), from_notes)
    };
    assert_eq!(met(true, None), (None, true));
    let (violation, _) = met(false, None);
    assert_eq!(violation, None);
    let (violation, _) = met(true, Some(Planted::WrittenNotSynced));
    assert_eq!(violation, Some("what has its name is durable"));
    let (violation, _) = met(false, Some(Planted::NotesBelieved));
    assert_eq!(violation, Some("what is claimed is durable"));
}

#[test]
fn keys_are_updated_while_both_ask_and_old_records_come_again() {
    let mut plan = Plan::smallest(4);
    plan.transfers[0].entries = vec![Some(400_000)];
    plan.knobs.rate = 1_000_000;
    for side in Side::BOTH {
        plan.faults.push(Fault::Update { side, at_us: 150_000 });
    }
    for nth in [0, 5, 12] {
        plan.faults.push(Fault::Replay { side: Side::Joiner, nth, after_us: nth * 1000 });
    }
    let outcome = run(&plan, false);
    assert_eq!(outcome.violation, None);
    for condition in [Sometimes::KeysUpdated, Sometimes::UpdatesCrossed, Sometimes::ReplayDropped] {
        assert!(outcome.met.contains(&condition), "{condition:?}");
    }
}

#[test]
fn a_world_that_is_not_repeatable_is_found_and_the_first_event_that_differs_is_named() {
    let planted = |seed| Plan { planted: Some(Planted::DrawShared), ..Plan::from_seed(seed) };
    let outcome = swarm_of(0, |seed| seed < 200, 1, true, planted);
    assert_eq!(outcome.twice, 4, "2 % of the seeds");
    let differs: Vec<_> = outcome
        .failures
        .iter()
        .filter(|failure| failure.invariant == "equal plans have equal runs")
        .collect();
    assert!(!differs.is_empty());
    for failure in differs {
        let detail = failure.detail.strip_prefix("event ").unwrap();
        let (place, events) = detail.split_once(": ").unwrap();
        let (one, other) = events.split_once(" | ").unwrap();
        assert!(place.parse::<usize>().is_ok() && one != other, "{detail}");
    }
}
