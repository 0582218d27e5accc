//! A record of frames, on each channel. The rules are in the harness.

#![no_main]

#[path = "../../proto-core/tests/hostile/mod.rs"]
mod harness;

use harness::decoders;
use libfuzzer_sys::fuzz_target;
use passel_proto::ids::Channel;

fuzz_target!(|input: (u8, &[u8])| {
    let (channel, bytes) = input;
    decoders::frames(Channel::ALL[usize::from(channel % 4)], bytes);
    decoders::primitive(channel.into(), bytes);
});
