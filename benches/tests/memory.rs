//! What transfers take of memory in the core, at sender and receiver together: each
//! further one less than 10 MiB, also while the receiver's disk stalls and all that
//! may be under way is held. What whole processes take is measured by
//! `passel-benches memory`.

#![allow(clippy::unwrap_used, clippy::print_stdout)] // a test that fails says so

use std::time::Instant;

use passel_benches::pair::Pair;
use passel_proto::limits::MAX_TRANSFERS_COUNT;
use peak_alloc::PeakAlloc;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// Most bytes that a further transfer may take.
const FURTHER: usize = 10 << 20;
/// Bytes of each transfer: many times what may be under way.
const SIZE: u64 = 64 << 20;

/// The most that so many transfers at one time had of memory.
fn peak(transfers: usize) -> usize {
    let mut pair = Pair::established(Instant::now()).unwrap();
    let before = MEMORY.current_usage();
    MEMORY.reset_peak_usage();
    for _ in 0..transfers {
        pair.begin(SIZE).unwrap();
    }
    pair.stall().unwrap();
    pair.go_on().unwrap();
    pair.run_to_chunk(100 * transfers as u64).unwrap();
    MEMORY.peak_usage() - before
}

#[test]
fn a_further_transfer_takes_less_than_ten_mebibytes_at_both_sides_together() {
    let peaks: Vec<usize> = (1..=MAX_TRANSFERS_COUNT).map(peak).collect();
    println!("bytes with 1 to {MAX_TRANSFERS_COUNT} transfers: {peaks:?}");
    let growth = peaks.windows(2).map(|pair| pair[1].saturating_sub(pair[0]));
    assert!(growth.clone().all(|more| more < FURTHER), "{:?}", growth.collect::<Vec<_>>());
    assert!(peaks[0] > 1 << 20, "what may be under way was under way");
}
