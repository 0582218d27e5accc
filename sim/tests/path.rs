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
