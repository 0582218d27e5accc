//! A whole connection with a peer that holds the keys; the input is its every choice. The
//! rules are in the harness.

#![no_main]

#[path = "../../proto-core/tests/hostile/mod.rs"]
mod harness;

use harness::attack::{self, Outcome};
use harness::choices::Choices;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    attack::connection(&mut Choices::of_bytes(bytes), 10_000, &mut Outcome::default());
});
