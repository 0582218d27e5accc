//! A signaling blob for an invitation by link and for one by code. The rules are in the
//! harness.

#![no_main]

#[path = "../../proto-core/tests/hostile/mod.rs"]
mod harness;

use harness::decoders;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|blob: &[u8]| {
    let [genuine, _] = decoders::signal_samples();
    decoders::signal(blob, &genuine);
    decoders::signal_share(blob);
});
