//! What a measured path must give: the same for equal plans, no more than the
//! bottleneck carries, and less of it where datagrams are lost.

#![allow(clippy::unwrap_used)] // a test that fails says so

use passel_sim::path::{Mark, Measured, PathPlan, run};

const MIB: u64 = 1 << 20;

fn one(plan: &PathPlan) -> Measured {
    run(plan).unwrap().remove(0)
}

#[test]
fn a_transfer_completes_below_the_rate_of_its_path_and_repeats_itself() {
    let plan = PathPlan::new(20_000, 2_500_000, 2 * MIB);
    let first = one(&plan);
    assert_eq!(first, one(&plan));
    assert_eq!(first.bytes, 2 * MIB);
    assert!(first.goodput() > plan.rate / 2 && first.goodput() < plan.rate, "{first:?}");
    let times: Vec<u64> = Mark::ALL.iter().map(|mark| first.at(*mark).unwrap()).collect();
    assert!(times.is_sorted(), "{times:?}");
}

#[test]
fn loss_costs_goodput_and_time_ends_a_run() {
    let clean = PathPlan::new(50_000, 12_500_000, 4 * MIB);
    let lossy = PathPlan { loss_permille: 30, until_us: 5_000_000, ..clean.clone() };
    let (clean, lossy) = (one(&clean), one(&lossy));
    assert!(lossy.lost > 0 && lossy.at(Mark::Completed).is_none(), "{lossy:?}");
    assert_eq!(lossy.ended_us, 5_000_000);
    assert!(lossy.bytes > 0 && lossy.goodput() * 2 < clean.goodput(), "{clean:?} {lossy:?}");
}

#[test]
fn lanes_fill_a_path_that_one_does_not() {
    let one_lane = PathPlan::new(50_000, 12_500_000, 8 * MIB);
    let many = PathPlan { pairs: vec![8], ..one_lane.clone() };
    let (single, many) = (one(&one_lane), one(&many));
    assert_eq!(single.lanes, 1);
    assert!(many.lanes > 1 && many.goodput() > single.goodput(), "{single:?} {many:?}");
}

#[test]
fn pairs_share_the_path() {
    let plan = PathPlan { pairs: vec![1, 1], ..PathPlan::new(20_000, 2_500_000, MIB) };
    let both = run(&plan).unwrap();
    assert!(both.iter().all(|one| one.bytes == MIB));
    let end = both.iter().map(|one| one.ended_us).max().unwrap();
    assert!(end > 2 * MIB * 1_000_000 / plan.rate, "{both:?}");
}

/// What a start costs is round trips alone: two for DTLS, one each for the handshake, the
/// offer and the data. No timer is among them.
#[test]
fn a_small_file_is_durable_five_round_trips_after_the_answer() {
    for round_trip_us in [20_000, 100_000, 500_000] {
        let measured = one(&PathPlan::new(round_trip_us, 0, 1024));
        let since = |mark| measured.at(mark).unwrap() - measured.at(Mark::Answered).unwrap();
        let marks = [Mark::Connected, Mark::Established, Mark::Offered, Mark::FirstDurable];
        let round_trips = marks.map(|mark| since(mark) * 100 / round_trip_us);
        assert_eq!(round_trips, [200, 300, 400, 500], "{measured:?}");
    }
}

/// 100 Mbit/s, 50 ms, 1 %.
#[test]
fn automatic_lanes_get_twelve_times_as_much_of_a_lossy_path_as_one() {
    let lossy = PathPlan {
        loss_permille: 10,
        until_us: 12_000_000,
        ..PathPlan::new(50_000, 12_500_000, 128 * MIB)
    };
    let many = PathPlan { pairs: vec![32], ..lossy.clone() };
    let (single, many) = (one(&lossy), one(&many));
    assert!(many.goodput() > 12 * single.goodput(), "{single:?} {many:?}");
}

/// 128 MiB over 100 Mbit/s without loss: too many lanes would fill the queue and lose, too
/// few would not fill the path.
#[test]
fn automatic_lanes_fill_four_fifths_of_a_path_up_to_100_ms() {
    std::thread::scope(|scope| {
        for round_trip_ms in [1, 20, 50, 100] {
            scope.spawn(move || {
                let path = PathPlan::new(round_trip_ms * 1000, 12_500_000, 128 * MIB);
                let measured = one(&PathPlan { pairs: vec![32], ..path.clone() });
                let is_filled = measured.goodput() * 10 >= path.rate * 8;
                assert!(is_filled, "{round_trip_ms} ms: {measured:?}");
            });
        }
    });
}

/// `LN-POLITE`
#[test]
fn nobody_starves_where_transfers_with_many_lanes_and_with_one_share_a_path() {
    let rate = 12_500_000;
    let plan = PathPlan {
        pairs: vec![32, 32, 1],
        until_us: 10_000_000,
        ..PathPlan::new(20_000, rate, 128 * MIB)
    };
    let fair = rate / 3;
    let shares = run(&plan).unwrap();
    assert!(shares.iter().all(|one| one.goodput() > fair / 3), "{shares:?}");
}

/// `FC-RATE` counts what goes over all lanes together.
#[test]
fn a_limit_is_the_connections_and_not_a_lanes() {
    let limit = 2_000_000;
    for lanes in [1, 32] {
        let plan = PathPlan {
            pairs: vec![lanes],
            limit: Some(limit),
            until_us: 10_000_000,
            ..PathPlan::new(20_000, 12_500_000, 64 * MIB)
        };
        let limited = one(&plan);
        let goodput = limited.goodput();
        assert!(goodput < limit + limit / 20 && goodput > limit * 4 / 5, "{limited:?}");
        assert_eq!(limited.lanes > 1, lanes > 1, "{limited:?}");
    }
}
