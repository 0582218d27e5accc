//! Programs that die, connections that are lost, and a rendezvous that is far or away:
//! what is not complete goes on, from what there is of it.

#![allow(clippy::unwrap_used)] // a test that fails says so

mod homes;

use passel_sim::Side;
use passel_sim::net::Loss;
use passel_sim::t1::{Away, Condition, DeathPlan, Plan, RendezvousPlan, RoamPlan, run};

use homes::{in_the_open, ip, passed};

const MS: u64 = 1000;
const SECOND: u64 = 1_000_000;

/// One file that takes its time.
fn long(seed: u64) -> Plan {
    let mut plan = Plan::smallest(seed);
    plan.transfers[0].files = vec![400_000];
    plan.hosts[0].up.rate = 125_000;
    plan.hosts[0].up.queue = 64_000;
    plan
}

fn death(side: Side, connection: u32, power: bool) -> DeathPlan {
    DeathPlan { side, connection, at_us: 2 * SECOND, power }
}

#[test]
fn a_transfer_goes_on_after_either_program_died_with_its_machine_or_without() {
    for side in Side::BOTH {
        for (power, how) in
            [(false, Condition::KilledInTransfer), (true, Condition::PowerLostInTransfer)]
        {
            let mut plan = long(1);
            (plan.again, plan.disks_us) = (1, [MS; 2]);
            plan.deaths.push(death(side, 0, power));
            let outcome = passed(&plan);
            for condition in [how, Condition::Resumed] {
                assert!(outcome.met.contains(&condition), "{side:?} {power}: {:?}", outcome.met);
            }
            assert!(!outcome.met.contains(&Condition::ResumedWhenHealed));
        }
    }
}

#[test]
fn without_another_connection_a_death_is_the_end_of_the_run_and_nothing_is_wrong() {
    let mut plan = long(1);
    plan.deaths.push(death(Side::Joiner, 0, true));
    let outcome = passed(&plan);
    assert!(!outcome.met.contains(&Condition::Resumed));
}

#[test]
fn what_goes_wrong_in_each_connection_of_the_plan_is_over_when_the_world_has_healed() {
    let mut plan = long(2);
    plan.again = 1;
    plan.deaths = vec![death(Side::Inviter, 0, true), death(Side::Joiner, 1, true)];
    plan.hosts[1].up.loss = Loss::Uniform { permille: 20 };
    let outcome = passed(&plan);
    assert!(outcome.met.contains(&Condition::ResumedWhenHealed), "{:?}", outcome.met);
    assert!(outcome.virtual_us > 700 * SECOND, "nobody comes back before all is forgotten");
}

#[test]
fn a_host_that_moved_unnoticed_goes_on_from_where_it_is() {
    for leaves in [false, true] {
        let mut plan = long(3);
        plan.again = 1;
        let (side, at_us, addresses) = (Side::Joiner, 2 * SECOND, vec![ip("198.51.100.90")]);
        plan.roams.push(RoamPlan { connection: 0, side, at_us, addresses, noticed: false, leaves });
        let met = passed(&plan).met;
        assert!(met.contains(&Condition::LostByRoam) && met.contains(&Condition::Resumed));
        assert_eq!(met.contains(&Condition::LeftInTransfer), leaves);
    }
}

#[test]
fn of_two_secrets_the_older_one_serves_where_the_newer_one_was_not_stored() {
    // The joiner stores its secret a line's delay before the inviter does.
    let at = |nth: u64| {
        let mut plan = long(4);
        plan.again = 2;
        plan.hosts[1].up.delay_us = 120 * MS;
        let at_us = 100 * MS + 20 * MS * nth;
        let second = DeathPlan { side: Side::Inviter, connection: 1, at_us, power: true };
        plan.deaths = vec![death(Side::Inviter, 0, true), second];
        passed(&plan).met
    };
    let met: Vec<_> = (0..60).map(at).collect();
    for condition in [Condition::SecretUnknown, Condition::OlderSecret] {
        assert!(met.iter().any(|met| met.contains(&condition)), "{condition:?}");
    }
}

#[test]
fn a_rendezvous_that_is_far_lossy_or_away_for_a_while_delays_and_loses_nothing() {
    let with = |change: fn(&mut RendezvousPlan)| {
        let mut rendezvous =
            RendezvousPlan { host: in_the_open("198.51.100.60"), away: Vec::new() };
        change(&mut rendezvous);
        let mut plan = Plan::smallest(5);
        plan.rendezvous = Some(rendezvous);
        let outcome = passed(&plan);
        assert_eq!(outcome, run(&plan, false));
        outcome.virtual_us
    };
    let near = with(|_| ());
    assert!(with(|rendezvous| rendezvous.host.up.delay_us += SECOND) >= near + 2 * SECOND);
    let away = |rendezvous: &mut RendezvousPlan| {
        rendezvous.away.push(Away { at_us: 0, for_us: 2 * SECOND });
    };
    assert!(with(away) >= near + 2 * SECOND);
    let lossy = |rendezvous: &mut RendezvousPlan| {
        rendezvous.host.down.loss = Loss::Uniform { permille: 500 };
    };
    assert!(with(lossy) > near + SECOND);
}

/// The world is not so kind that everything passes.
#[test]
fn a_rendezvous_that_never_comes_back_is_found_out() {
    let mut plan = Plan::smallest(6);
    let away = vec![Away { at_us: 0, for_us: u64::MAX }];
    plan.rendezvous = Some(RendezvousPlan { host: in_the_open("198.51.100.60"), away });
    let broken = run(&plan, false).violation.unwrap().broken;
    assert_eq!(broken.invariant, "nothing fails without a cause", "{broken}");
}
