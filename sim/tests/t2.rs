//! Tier T2 as a whole: a bounded swarm of the programs themselves, equal runs for
//! equal plans, and what each kind of fault comes to.

#![allow(clippy::unwrap_used)] // a test that fails says so

use std::process::Command;

use passel_sim::Tier;
use passel_sim::swarm::{SwarmOutcome, swarm};
use passel_sim::t2::{Condition, Fault, Outcome, Plan, RECEIVER, RENDEZVOUS, SENDER, record, run};
use passel_sim::trace::Message;

#[path = "../examples/own_program.rs"]
mod own_program;

/// A file that takes some 8 s, and a sender that survives whatever happens.
fn plan(faults: Vec<Fault>) -> Plan {
    let mut plan = Plan::smallest(1);
    plan.files = vec![400_000];
    plan.limit = 50_000;
    plan.keep = true;
    plan.attempts = 5;
    plan.stage.faults = faults;
    plan
}

fn met(outcome: &Outcome, conditions: &[Condition]) {
    assert_eq!(outcome.violation, None);
    for condition in conditions {
        assert!(outcome.met.contains(condition), "{condition:?}: {:?}", outcome.met);
    }
}

#[test]
fn a_swarm_holds_every_invariant_and_meets_most_conditions() {
    let outcome = swarm::<Plan>(0..16, 2, false);
    assert_eq!(outcome.failures, []);
    assert_eq!((outcome.seeds, outcome.twice), (16, 1));
    assert!(outcome.met.len() >= 8, "{:?}", outcome.met);
}

#[test]
fn equal_plans_have_equal_runs_on_any_thread_and_in_another_process() {
    let seeds = || [3, 3, 5].map(|seed| run(&Plan::from_seed(seed), false));
    let here = seeds();
    let there = std::thread::spawn(seeds).join().unwrap();
    assert_eq!(here, there);
    assert_eq!(here[0], here[1]);
    assert_ne!(here[0].wire_hash, here[2].wire_hash);
    let mut program = Command::new(env!("CARGO_BIN_EXE_passel-sim"));
    let output = program.args(["run", "--tier", "t2", "--json", "--seed", "3"]).output().unwrap();
    let other: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let same = serde_json::to_value(here[0].report(0.0)).unwrap();
    for field in ["tier", "seed", "verdict", "semantic_hash", "wire_hash", "virtual_s", "met"] {
        assert_eq!(other[field], same[field], "{field}");
    }
}

#[test]
fn a_trace_changes_nothing_and_tells_what_the_programs_print() {
    let plan = Plan::smallest(1);
    let (silent, mut traced) = (run(&plan, false), run(&plan, true));
    let trace = std::mem::take(&mut traced.trace);
    assert_eq!(silent, traced);
    met(&silent, &[Condition::Undisturbed]);
    let told = |what: &str| trace.iter().any(|line| line.contains(what));
    assert!(told("listening") && told("invite") && told("\"dtls\":\"1.3\"") && told("completed"));
    assert!(told("exits with 0") && told("sends"));
}

#[test]
fn a_transfer_goes_on_after_the_sender_was_killed() {
    let outcome = run(&plan(vec![Fault::Crash { host: SENDER, at_ms: 5000, for_ms: 1000 }]), false);
    let continued = [Condition::ContinuedAfterSenderCrash, Condition::ContinuedInTheMiddle];
    met(&outcome, &continued);
}

#[test]
fn a_transfer_goes_on_after_the_receiver_was_killed() {
    let outcome =
        run(&plan(vec![Fault::Crash { host: RECEIVER, at_ms: 5000, for_ms: 1000 }]), false);
    let continued = [Condition::ContinuedAfterReceiverCrash, Condition::ContinuedInTheMiddle];
    met(&outcome, &continued);
}

#[test]
fn a_transfer_goes_on_after_its_connection_was_cut_and_the_rendezvous_was_away() {
    let faults = vec![
        Fault::Partition { between: [SENDER, RECEIVER], at_ms: 4000, for_ms: 12_000 },
        Fault::Crash { host: RENDEZVOUS, at_ms: 5000, for_ms: 8000 },
    ];
    let outcome = run(&plan(faults), false);
    let conditions = [Condition::ConnectionLost, Condition::ContinuedAfterRendezvousCrash];
    met(&outcome, &conditions);
    assert!(outcome.met.contains(&Condition::SeveralAttempts));
}

#[test]
fn a_rendezvous_that_forgets_everything_does_not_hurt_a_connection_that_stands() {
    let outcome =
        run(&plan(vec![Fault::Crash { host: RENDEZVOUS, at_ms: 5000, for_ms: 1000 }]), false);
    met(&outcome, &[Condition::CrashInTransfer]);
    assert!(!outcome.met.contains(&Condition::ConnectionLost));
}

#[test]
fn a_program_that_the_system_ends_goes_on_when_it_is_run_again() {
    for host in [SENDER, RECEIVER] {
        let outcome = run(&plan(vec![Fault::Terminate { host, at_ms: 5000 }]), false);
        met(&outcome, &[Condition::TerminatedInTransfer, Condition::ContinuedInTheMiddle]);
    }
}

/// The world is not so kind that everything passes.
#[test]
fn a_run_that_does_not_end_in_time_is_found_out() {
    let mut late = plan(Vec::new());
    late.stage.bound_ms = 3000;
    let violation = run(&late, false).violation.unwrap();
    assert_eq!(violation.broken.invariant, "everything ends");
    assert!(violation.broken.detail.contains("sender"), "{}", violation.broken);
}

#[test]
fn a_program_that_ends_without_a_word_is_found_out() {
    let mut plan = Plan::smallest(1);
    // No option that the program would take.
    plan.silence = 1;
    let violation = run(&plan, false).violation.unwrap();
    assert_eq!(violation.broken.invariant, "a failure is told before the program exits with it");
}

#[test]
fn a_saved_plan_is_replayed_as_what_it_is() {
    let plan = plan(vec![Fault::Terminate { host: SENDER, at_ms: 3000 }]);
    let file = std::env::temp_dir().join(format!("passel-sim-t2-{}.json", std::process::id()));
    std::fs::write(&file, plan.to_json().unwrap()).unwrap();
    let output =
        Command::new(env!("CARGO_BIN_EXE_passel-sim")).arg("replay").arg(&file).output().unwrap();
    std::fs::remove_file(&file).unwrap();
    let there: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(there["tier"], "t2");
    assert_eq!(there["wire_hash"], run(&plan, false).wire_hash.as_str());
}

#[test]
fn several_lanes_are_used_where_both_take_them_and_never_where_one_is_enough() {
    let several = |lanes| {
        let faults =
            vec![Fault::Partition { between: [SENDER, RECEIVER], at_ms: 1500, for_ms: 8000 }];
        let plan = Plan { lanes, files: vec![3_000_000], limit: 0, ..plan(faults) };
        let outcome = run(&plan, false);
        met(&outcome, &[]);
        outcome.met.contains(&Condition::SeveralLanes)
    };
    assert_eq!([1, 8].map(several), [false, true]);
}

/// What a person looks at: datagrams, lines of the programs, faults, and states.
#[test]
fn a_picture_changes_nothing_and_tells_what_was_seen() {
    let between = [SENDER, RECEIVER];
    let faults = vec![
        Fault::Partition { between, at_ms: 4000, for_ms: 3000 },
        Fault::Crash { host: RECEIVER, at_ms: 8000, for_ms: 1000 },
    ];
    let plan = plan(faults);
    let (outcome, recording) = record(&plan);
    assert_eq!(outcome, run(&plan, false));
    assert_eq!(recording.hosts, ["rendezvous", "sender", "receiver"]);
    let sent = |kind: &str| recording.messages.iter().filter(|one| one.kind == kind).count();
    assert!(sent("TCP") > 5 && sent("DTLS ClientHello") > 0 && sent("DTLS sealed") > 50);
    let cut = |one: &&Message| (4_100_000..6_900_000).contains(&one.sent_us) && one.kind != "TCP";
    assert!(recording.messages.iter().filter(cut).all(|one| one.lost));
    assert!(recording.messages.iter().filter(|one| one.arrived_us.is_some()).count() > 50);
    assert_eq!(recording.spans.len(), 2);
    let marked = |text: &str| recording.marks.iter().any(|mark| mark.text.contains(text));
    assert!(marked("is killed") && marked("is started again") && marked("cut off"));
    assert!(marked("continued: ") && marked("exits with 0"));
    let state = |name: &str| recording.states.iter().any(|state| state.name == name);
    assert!(state("connected") && state("completed"));
}

#[test]
fn a_swarm_that_never_met_a_condition_fails() {
    let never = |seeds, drawn| SwarmOutcome::<Plan> { seeds, drawn, ..SwarmOutcome::default() };
    assert!(!never(Plan::SEEDS_TO_MEET_ALL, true).passed());
    assert!(never(10, true).passed(), "too few seeds to expect it");
}

#[test]
fn own_programs_play_on_the_same_stage() {
    let mut hashes = std::collections::BTreeSet::new();
    for seed in 0..4 {
        let (one, other) =
            (own_program::play_once(seed).unwrap(), own_program::play_once(seed).unwrap());
        assert_eq!(one.broken, None);
        assert_eq!(one, other);
        hashes.insert(one.semantic_hash);
    }
    assert_eq!(hashes.len(), 4);
}
