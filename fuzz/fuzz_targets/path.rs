//! A name, and what is shown of it. The rules are in the harness.

#![no_main]

#[path = "../../proto-core/tests/hostile/mod.rs"]
mod harness;

use harness::decoders;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|name: &str| {
    decoders::path(name);
});
