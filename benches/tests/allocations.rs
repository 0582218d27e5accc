//! What a transfer takes from the allocator once it is under way: sender and
//! receiver together, with all buffers going round as the contract of storage
//! and of `poll_transmit` has it, and nothing lost or reordered on the way. An
//! allocator that counts tells.

#![allow(clippy::unwrap_used, clippy::print_stdout)] // a test that fails says so

use std::alloc::System;
use std::time::Instant;

use passel_benches::pair::{CHUNK, Pair};
use passel_proto::suite::Suite;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Chunks of which is counted: behind the first, when all buffers have been made.
const FIRST: u64 = 200;
const LAST: u64 = 1200;

/// What a sync of the receiver takes, with the ACK that follows it at both sides:
/// the journal's entry and its tree, the set of what is written next, and the
/// ACK's ranges, once when they are sent and once when they are read. There is
/// one for each 32 MiB or 200 ms.
const FOR_A_SYNC: usize = 16;

#[test]
fn a_chunk_in_the_steady_state_allocates_nothing() {
    // One after the other: the allocator counts for the whole process.
    for processor_has_aes in [false, true] {
        let pair = Pair::with_suites(&Suite::preference(processor_has_aes), Instant::now());
        allocates_nothing(pair.unwrap().shaken().unwrap());
    }
}

fn allocates_nothing(mut pair: Pair) {
    pair.begin((LAST + 300) * CHUNK as u64).unwrap();
    pair.run_to_chunk(FIRST).unwrap();
    let (mut count, mut bytes, mut without) = (0, 0, 0);
    let syncs_before = pair.syncs();
    for chunk in FIRST + 1..=LAST {
        let region = Region::new(ALLOCATOR);
        pair.run_to_chunk(chunk).unwrap();
        let change = region.change();
        count += change.allocations + change.reallocations;
        bytes += change.bytes_allocated;
        without += u64::from(change.allocations + change.reallocations == 0);
    }
    let syncs = pair.syncs() - syncs_before;
    pair.finish().unwrap();
    let chunks = LAST - FIRST;
    println!("{chunks} chunks, {without} of them without an allocation");
    println!("{count} allocations of {bytes} bytes, {syncs} syncs");
    assert!(syncs > 0, "a sync belongs to the steady state");
    assert!(count <= FOR_A_SYNC * usize::try_from(syncs).unwrap(), "{count} allocations");
    // A sync's set and its answer may fall into neighbouring chunks.
    assert!(chunks - without <= 4 * syncs, "only {without} chunks allocate nothing");
}
