//! A million hostile inputs and more to every decoder and to whole connections:
//! nothing panics, nothing that is accepted has another encoding, nothing grows
//! without bound (OV-NO-PANIC). A failure names the seed that repeats it. What is fed, and what
//! must hold, is in the harness, which the fuzz targets share.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // helpers of tests

#[path = "hostile/found.rs"]
mod found;
#[path = "hostile/mod.rs"]
mod harness;

use std::cell::Cell;

use harness::attack::{self, Outcome, Phase};
use harness::choices::many;
use harness::decoders::{self, Sealed};
use harness::samples;
use passel_proto::frame::FrameType;
use passel_proto::ids::Channel;
use peak_alloc::PeakAlloc;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// All of this file's tests together, side by side, stay below this.
const MEMORY_CEILING: usize = 16 << 20;

type Answer = fn(&mut dyn FnMut(&mut Vec<u8>)) -> bool;

const MILLION: u64 = 1_000_000;

/// Feeds `count` inputs to a decoder and demands that it took some of them and
/// refused more: a decoder that is not reached shows nothing.
fn feed(
    name: &str,
    count: u64,
    mut decode: impl FnMut(&mut harness::choices::Choices<'_>) -> bool,
) {
    let accepted = Cell::new(0u64);
    many(name, count, |choices| accepted.set(accepted.get() + u64::from(decode(choices))));
    if std::env::var_os("HOSTILE_SEED").is_none() {
        let accepted = accepted.get();
        assert!(accepted > count / 1000 && accepted < count * 3 / 4, "{name} accepted {accepted}");
    }
    assert!(MEMORY.peak_usage() < MEMORY_CEILING, "{} bytes", MEMORY.peak_usage());
}

// WF-CANONICAL
#[test]
fn codec_primitives_take_a_million_hostile_inputs() {
    let (samples, mut bytes) = (samples::primitives(), Vec::new());
    feed("primitives", MILLION, |choices| {
        choices.input(&samples, &mut bytes);
        decoders::primitive(choices.below(14), &bytes)
    });
}

// WF-FRAME
#[test]
fn records_of_frames_take_a_million_hostile_inputs() {
    let frames = samples::frames();
    let single: Vec<Vec<u8>> = frames.iter().map(samples::encoded).collect();
    let mut several = single.clone();
    several.extend(single.chunks(3).map(<[Vec<u8>]>::concat));
    let mut bytes = Vec::new();
    feed("frames", MILLION, |choices| {
        choices.input(&several, &mut bytes);
        let channel =
            if choices.percent(70) { Channel::Control } else { *choices.pick(&Channel::ALL) };
        decoders::frames(channel, &bytes)
    });
}

#[test]
fn bodies_of_every_frame_take_a_million_hostile_inputs() {
    let samples: Vec<(FrameType, Vec<u8>)> = samples::frames()
        .iter()
        .map(|frame| (frame.frame_type(), samples::encoded(frame).split_off(2)))
        .collect();
    assert!(FrameType::ALL.iter().all(|kind| samples.iter().any(|(other, _)| other == kind)));
    let (mut body, mut frame) = (Vec::new(), Vec::new());
    feed("bodies", MILLION, |choices| {
        let (kind, sample) = choices.pick(&samples);
        choices.input(std::slice::from_ref(sample), &mut body);
        decoders::framed(*kind, &body, &mut frame);
        decoders::frames(kind.channels()[0], &frame)
    });
}

// MF-ENTRY-LAYOUT
#[test]
fn entries_take_a_million_hostile_inputs() {
    let (samples, mut bytes) = (samples::entries(), Vec::new());
    feed("entries", MILLION, |choices| {
        choices.input(&samples, &mut bytes);
        decoders::entry(&bytes)
    });
}

// MF-PAGE-EXACT
#[test]
fn pages_of_manifests_take_a_million_hostile_inputs() {
    let entries = samples::entries();
    let mut samples = Vec::new();
    for first in 0..entries.len() {
        for last in first..entries.len() {
            let count = u32::try_from(last - first + 1).unwrap();
            samples.push((count, entries[first..=last].concat()));
        }
    }
    let mut bytes = Vec::new();
    feed("manifests", MILLION, |choices| {
        let (count, sample) = choices.pick(&samples);
        choices.input(std::slice::from_ref(sample), &mut bytes);
        let count = if choices.percent(90) { *count } else { choices.extreme32() };
        decoders::manifest(count, &bytes)
    });
}

// MF-PATH-PARSE
#[test]
fn names_take_a_million_hostile_inputs() {
    let mut bytes = Vec::new();
    feed("names", MILLION, |choices| {
        let mut name = String::new();
        for _ in 0..choices.below(7) {
            name.push_str(samples::NAMES[choices.below(samples::NAMES.len())]);
        }
        if choices.percent(30) {
            choices.noise(&mut bytes);
            name.push_str(&String::from_utf8_lossy(&bytes));
        }
        decoders::path(&name)
    });
}

// HS-MESSAGES: three of four refuse at once; a hello that is well-formed costs an
// encapsulation, so most have a spoiled head.
#[test]
fn hellos_and_alerts_take_a_million_hostile_inputs() {
    let (hello, alerts) = (samples::hello_i(), samples::alerts());
    let mut bytes = Vec::new();
    feed("alerts", MILLION / 2, |choices| {
        choices.input(&alerts, &mut bytes);
        decoders::alert(&bytes)
    });
    feed("hellos", MILLION / 2, |choices| {
        match choices.below(100) {
            0 => choices.input(std::slice::from_ref(&hello), &mut bytes),
            1..30 => choices.noise(&mut bytes),
            _ => {
                // The head is what is parsed; the key's bytes are opaque to it.
                bytes.clear();
                bytes.extend_from_slice(&hello[..20]);
                choices.spoil(&mut bytes, &hello);
                bytes.truncate(64);
            }
        }
        decoders::hello_i(&bytes)
    });
}

// HS-TRANSCRIPT: nothing but the true answer is accepted.
#[test]
fn answers_and_confirmations_take_only_the_true_bytes() {
    let alert = samples::alerts().remove(0);
    for (name, decode) in [("hello_r", decoders::hello_r as Answer), ("confirm", decoders::confirm)]
    {
        feed(name, 2000, |choices| {
            decode(&mut |message| match choices.below(10) {
                0 => choices.noise(message),
                1 => message.clone_from(&alert),
                2 => {}
                _ => choices.spoil(message, &alert),
            })
        });
    }
}

// RL-AUTHENTIC, RL-WINDOW, RL-ORDERED
#[test]
fn sealed_records_take_a_million_hostile_inputs() {
    let plaintexts: Vec<Vec<u8>> = samples::frames().iter().map(samples::encoded).collect();
    let mut bytes = Vec::new();
    for channel in Channel::ALL {
        let mut sealed = Sealed::new(channel, &plaintexts);
        let all = sealed.genuine().to_vec();
        feed(channel.name(), MILLION / 4, |choices| {
            if sealed.genuine().is_empty() {
                sealed = Sealed::new(channel, &plaintexts);
            }
            choices.input(&all, &mut bytes);
            sealed.open(&mut bytes)
        });
    }
}

// SG-BLOB, SG-BURN
#[test]
fn signaling_blobs_take_a_million_hostile_inputs() {
    let [sealed, share] = decoders::signal_samples();
    let mut bytes = Vec::new();
    feed("signal", MILLION, |choices| {
        choices.input(std::slice::from_ref(&sealed), &mut bytes);
        decoders::signal(&bytes, &sealed)
    });
    feed("shares", 5000, |choices| {
        choices.input(std::slice::from_ref(&share), &mut bytes);
        decoders::signal_share(&bytes)
    });
}

// HS-FIRST, RL-UNRELIABLE-DROP: 1 000 000 messages of noise, most of them where
// no keys have to be made first.
#[test]
fn every_phase_takes_noise_on_every_channel() {
    let hello = samples::hello_i();
    for (phase, count) in [
        (Phase::AwaitHelloI, MILLION / 2),
        (Phase::AwaitHelloR, 1000),
        (Phase::AwaitConfirm, 1000),
        (Phase::Established, 1000),
    ] {
        let name = format!("{phase:?}");
        many(&name, count, |choices| attack::noise_in(phase, &hello, choices));
    }
    assert!(MEMORY.peak_usage() < MEMORY_CEILING, "{} bytes", MEMORY.peak_usage());
}

// HS-TRANSCRIPT, RL-AUTHENTIC
#[test]
fn no_message_of_a_session_can_be_changed_on_its_way() {
    let mut early = 0;
    many("meddled", 2000, |choices| early += u64::from(attack::meddled(choices)));
    if std::env::var_os("HOSTILE_SEED").is_none() {
        assert!((200..1000).contains(&early), "{early} of them in the handshake");
    }
}

// The forger: sealed truly, and false in all else.
#[test]
fn connections_take_a_million_forged_frames() {
    let mut outcome = Outcome::default();
    many("connections", 14_000, |choices| attack::connection(choices, 300, &mut outcome));
    if std::env::var_os("HOSTILE_SEED").is_none() {
        assert!(outcome.frames as u64 >= MILLION, "{outcome:?}");
        assert!(outcome.completed > 1000 && outcome.survived > 1000, "{outcome:?}");
        // RS-HAVE, RS-STORED, RS-REPAIR, RS-LEAVES: both sides go on with what was there.
        let Outcome { claims, wanted, leaves, .. } = outcome;
        assert!(claims > 2000 && wanted > 2000 && leaves > 400, "{outcome:?}");
    }
    assert!(MEMORY.peak_usage() < MEMORY_CEILING, "{} bytes", MEMORY.peak_usage());
}
