//! Sealed records, genuine and spoiled, on one channel. The rules are in the harness.

#![no_main]

#[path = "../../proto-core/tests/hostile/mod.rs"]
mod harness;

use harness::choices::Choices;
use harness::decoders::Sealed;
use harness::samples;
use libfuzzer_sys::fuzz_target;
use passel_proto::ids::Channel;

fuzz_target!(|bytes: &[u8]| {
    let mut choices = Choices::of_bytes(bytes);
    let plaintexts: Vec<Vec<u8>> = samples::frames().iter().map(samples::encoded).collect();
    let mut sealed = Sealed::new(*choices.pick(&Channel::ALL), &plaintexts);
    let genuine = sealed.genuine().to_vec();
    let mut record = Vec::new();
    while !choices.is_over() {
        choices.input(&genuine, &mut record);
        sealed.open(&mut record);
    }
});
