//! Somebody inside the rendezvous or a relay, or on the lines, and hosts that move: what
//! is got over, and what ends the connection.

#![allow(clippy::unwrap_used)] // a test that fails says so

mod homes;

use passel_sim::Side;
use passel_sim::net::nat::Dependence;
use passel_sim::t1::{Condition, MeddlePlan, Meddling, Outcome, Plan, RelayPlan, RoamPlan, Seat};

use homes::{home, homes, in_the_open, ip, passed};

fn meddled(mut plan: Plan, seat: Seat, nth: u64, how: Meddling) -> Outcome {
    plan.meddlings.push(MeddlePlan { seat, nth, how });
    passed(&plan)
}

/// Both sides are reached through a relay only.
fn relayed(seed: u64) -> Plan {
    let mut plan = Plan::smallest(seed);
    let host = in_the_open("198.51.100.20");
    plan.relays = vec![RelayPlan { host, users: Side::BOTH.to_vec() }];
    plan.relay_only = Side::BOTH.to_vec();
    plan.transfers[0].files = vec![50_000];
    plan
}

#[test]
fn forged_descriptions_end_the_session_and_late_ones_do_not() {
    use Meddling::{Delay, Flip, Inject, Replay, Truncate};
    for nth in [0, 1] {
        for how in [Flip, Truncate, Inject] {
            let met = meddled(Plan::smallest(1), Seat::Rendezvous, nth, how).met;
            assert!(met.contains(&Condition::EndedByMeddling), "{nth} {how:?}: {met:?}");
        }
        let met = meddled(Plan::smallest(1), Seat::Rendezvous, nth, Delay).met;
        assert!(met.contains(&Condition::MeddledInRendezvous));
        assert!(!met.contains(&Condition::EndedByMeddling), "{nth}: {met:?}");
        // A blob that comes twice is a forgery like another, if anybody still listens.
        let met = meddled(Plan::smallest(1), Seat::Rendezvous, nth, Replay).met;
        assert!(met.contains(&Condition::MeddledInRendezvous));
    }
}

#[test]
fn what_a_relay_repeats_invents_reorders_and_holds_back_is_got_over_at_any_place() {
    use Meddling::{Delay, Inject, Reorder, Replay};
    for how in [Replay, Inject, Reorder, Delay] {
        for nth in 0..40 {
            let met = meddled(relayed(nth), Seat::Relay, nth, how).met;
            assert!(met.contains(&Condition::MeddledInRelay), "{nth} {how:?}");
            assert!(met.contains(&Condition::RelayFallback), "{nth} {how:?}");
            assert!(!met.contains(&Condition::EndedByMeddling), "{nth} {how:?}: {met:?}");
        }
    }
}

#[test]
fn what_a_relay_alters_costs_at_most_the_connection_and_never_a_byte() {
    let mut ended = 0;
    for how in [Meddling::Flip, Meddling::Truncate] {
        for nth in 0..60 {
            let met = meddled(relayed(nth), Seat::Relay, nth, how).met;
            assert!(met.contains(&Condition::MeddledInRelay), "{nth} {how:?}");
            ended += usize::from(met.contains(&Condition::EndedByMeddling));
        }
    }
    // Most of it is as good as lost; the rest hits the handshake of DTLS.
    assert!(ended < 60, "{ended}");
}

/// Both sides are in the open.
fn direct(seed: u64) -> Plan {
    let mut plan = Plan::smallest(seed);
    plan.transfers[0].files = vec![50_000];
    plan
}

/// Datagrams of both sides after which both handshakes are done, and more than all of
/// them.
const HANDSHAKE: u64 = 30;

#[test]
fn what_somebody_on_the_lines_repeats_or_holds_back_is_got_over_at_any_place() {
    use Meddling::{Delay, Reorder, Replay};
    for how in [Replay, Reorder, Delay] {
        for nth in 0..60 {
            let met = meddled(direct(nth), Seat::Lines, nth, how).met;
            assert!(met.contains(&Condition::MeddledOnLines), "{nth} {how:?}");
            assert!(!met.contains(&Condition::EndedByMeddling), "{nth} {how:?}: {met:?}");
        }
    }
}

#[test]
fn what_somebody_on_the_lines_forges_costs_at_most_the_handshake_and_never_a_byte() {
    use Meddling::{Flip, Inject, Truncate};
    let mut ended = 0;
    for how in [Flip, Truncate, Inject] {
        for nth in 0..60 {
            let met = meddled(direct(nth), Seat::Lines, nth, how).met;
            assert!(met.contains(&Condition::MeddledOnLines), "{nth} {how:?}");
            let has_ended = met.contains(&Condition::EndedByMeddling);
            assert!(!has_ended || nth < HANDSHAKE, "{nth} {how:?}: {met:?}");
            ended += u64::from(has_ended);
        }
    }
    assert!(ended < HANDSHAKE, "{ended}");
}

/// Two homes that need to be told their outside ends.
fn told(seed: u64) -> Plan {
    use Dependence::{AddressAndPort, EndpointIndependent};
    let gateways = ["192.0.2.1", "192.0.2.2"]
        .map(|outside| home(outside, EndpointIndependent, AddressAndPort));
    let mut plan = homes(seed, gateways.to_vec());
    plan.servers = vec![in_the_open("198.51.100.9")];
    plan
}

/// Answers that a server gives before both handshakes are done, and more than all of them.
const ANSWERS: u64 = 6;

#[test]
fn what_a_stun_server_says_costs_at_most_the_path_and_only_if_it_is_false() {
    use Meddling::{Delay, Flip, Inject, Reorder, Replay, Truncate};
    let mut ended = 0;
    for (how, is_true) in [
        (Replay, true),
        (Reorder, true),
        (Delay, true),
        (Flip, false),
        (Truncate, false),
        (Inject, false),
    ] {
        for nth in 0..ANSWERS {
            let met = meddled(told(nth), Seat::Server, nth, how).met;
            let has_ended = met.contains(&Condition::EndedByMeddling);
            assert!(!has_ended || !is_true, "{nth} {how:?}: {met:?}");
            if nth < 2 {
                assert!(met.contains(&Condition::MeddledInServer), "{nth} {how:?}: {met:?}");
            }
            ended += u64::from(has_ended);
        }
    }
    assert!(ended < 3 * ANSWERS, "{ended}");
}

/// A transfer that takes some seconds, in whose midst a host moves.
fn roaming(side: Side, noticed: bool, at_us: u64) -> Plan {
    let mut plan = Plan::smallest(3);
    plan.transfers[0].files = vec![300_000];
    (plan.hosts[0].up.rate, plan.hosts[0].up.queue) = (50_000, 64_000);
    let addresses = vec![ip("198.51.100.77")];
    plan.roams.push(RoamPlan { connection: 0, side, at_us, addresses, noticed, leaves: false });
    plan
}

#[test]
fn an_initiator_that_moves_goes_on_if_its_shell_notices_and_others_are_lost_in_time() {
    let mut counts = Vec::new();
    for side in Side::BOTH {
        let mut got_over = 0;
        for at_us in [2_500_000, 3_000_000, 3_500_000, 4_000_000] {
            let met = passed(&roaming(side, true, at_us)).met;
            assert!(met.contains(&Condition::RoamedInTransfer), "{side:?}: {met:?}");
            let got = met.contains(&Condition::RoamGotOver);
            assert!(got || met.contains(&Condition::LostByRoam), "{side:?}: {met:?}");
            got_over += usize::from(got);
        }
        counts.push(got_over);
        let outcome = passed(&roaming(side, false, 4_000_000));
        assert!(outcome.met.contains(&Condition::LostByRoam), "{side:?}: {:?}", outcome.met);
        assert!(outcome.virtual_us < 60_000_000, "{}", outcome.virtual_us);
    }
    // The inviter answers in DTLS and can choose no other path by itself; what else is
    // lost is lost to the back-off of SCTP's timer.
    let [inviter, joiner] = counts[..] else { panic!("{counts:?}") };
    assert!(joiner > 0 && inviter <= joiner, "{counts:?}");
}
