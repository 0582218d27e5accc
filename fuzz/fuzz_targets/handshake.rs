//! A handshake message in each state that waits for one. The rules are in the harness.

#![no_main]

#[path = "../../proto-core/tests/hostile/mod.rs"]
mod harness;

use harness::decoders;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u8, &[u8])| {
    let (state, bytes) = input;
    let mut replace =
        |message: &mut Vec<u8>| message.splice(.., bytes.iter().copied()).for_each(drop);
    match state % 4 {
        0 => decoders::hello_i(bytes),
        1 => decoders::hello_r(&mut replace),
        2 => decoders::confirm(&mut replace),
        _ => decoders::alert(bytes),
    };
});
