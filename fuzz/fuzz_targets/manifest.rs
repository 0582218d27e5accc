//! A page of a manifest, and a single entry. The rules are in the harness.

#![no_main]

#[path = "../../proto-core/tests/hostile/mod.rs"]
mod harness;

use harness::decoders;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u32, &[u8])| {
    let (count, page) = input;
    decoders::manifest(count, page);
    decoders::entry(page);
});
