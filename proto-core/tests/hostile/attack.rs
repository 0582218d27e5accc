//! Short connections under attack: by a peer that holds the keys, by somebody in
//! between, by noise. How many, and with which seeds, is decided by the tests and
//! by the fuzz target.

use passel_proto::error::ErrorCode;
use passel_proto::frame::{Frame, FrameWriter};
use passel_proto::ids::{Channel, Role};

use super::choices::Choices;
use super::forger::Forger;
use super::moves::{self, Moves};
use super::samples;
use super::victim::{Victim, epoch};

/// What came of some attacks.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Frames, or records of bytes that are no frames, that were said to an
    /// open connection.
    pub frames: usize,
    /// Transfers that were completed all the same.
    pub completed: usize,
    /// Connections that lived to the end of the attack.
    pub survived: usize,
    /// HAVEs and STOREDs, LEAVES_WANTEDs, and LEAVES that the victim told.
    pub claims: usize,
    pub wanted: usize,
    pub leaves: usize,
}

/// Runs one connection of at most `steps` inputs.
pub fn connection(choices: &mut Choices<'_>, steps: usize, outcome: &mut Outcome) {
    let role = *choices.pick(&[Role::Initiator, Role::Responder]);
    let mut victim = Victim::new(role, choices, epoch());
    let mut forger = Forger::meet(&mut victim, choices);
    let wild = *choices.pick(&[0, 0, 1, 2, 4, 10, 30]);
    let noisy = *choices.pick(&[0, 0, 0, 1, 5]);
    let failures = *choices.pick(&[0, 0, 1, 20]);
    let stalled = choices.percent(10);
    let deaf = choices.percent(10);
    let mut moves = Moves::new(forger.first_id(), wild, choices.percent(5));
    for channel in Channel::ALL {
        victim.writable(channel, 1 << 20);
    }
    for _ in 0..steps {
        if choices.is_over() || victim.closed {
            break;
        }
        match choices.below(100) {
            0..6 => victim.act(choices, |choices| moves::manifest(choices, false).0),
            6..14 => victim.wait(choices),
            14..18 if deaf => {
                let channel = *choices.pick(&Channel::ALL);
                let room = choices.below(200_000);
                victim.writable(channel, room);
            }
            14..18 => Channel::ALL.iter().for_each(|&channel| victim.writable(channel, 1 << 18)),
            18..24 if choices.percent(noisy) => {
                let channel = *choices.pick(&Channel::ALL);
                let bytes = noise(choices);
                forger.say(&mut victim, channel, &bytes);
                outcome.frames += 1;
            }
            _ => {
                let (frames, payload) = moves.next(choices, &|receipt| forger.sign(receipt));
                outcome.frames += say(&mut forger, &mut victim, &frames, payload);
            }
        }
        if !stalled {
            let count = choices.below(8);
            victim.answer(count, failures, choices);
        }
        for frame in forger.listen(&mut victim) {
            match &frame {
                Frame::Have(_) | Frame::Stored(_) => outcome.claims += 1,
                Frame::LeavesWanted(_) => outcome.wanted += 1,
                Frame::Leaves(_) => outcome.leaves += 1,
                _ => {}
            }
            moves.learn(&frame);
        }
    }
    outcome.survived += usize::from(!victim.closed);
    outcome.completed += victim.completed;
    victim.run_out();
    assert!(forger.listen(&mut victim).len() < 100_000);
}

/// Says frames over their own channels, a record for each run of one channel.
/// Returns how many were said to an open connection.
fn say(forger: &mut Forger, victim: &mut Victim, frames: &[Frame], payload: usize) -> usize {
    let mut said = 0;
    for run in frames
        .chunk_by(|one, next| one.frame_type().channels()[0] == next.frame_type().channels()[0])
    {
        let Some(last) = run.last() else { continue };
        said += if victim.closed { 0 } else { run.len() };
        let channel = last.frame_type().channels()[0];
        let mut plaintext = Vec::new();
        for frame in run {
            FrameWriter::new(&mut plaintext, 0).frame(frame).expect("a frame encodes");
        }
        if matches!(last, Frame::Data(_)) {
            plaintext.resize(plaintext.len() + payload, 0);
        }
        forger.say(victim, channel, &plaintext);
    }
    said
}

/// A plaintext that is hardly a frame, of at least one byte.
fn noise(choices: &mut Choices<'_>) -> Vec<u8> {
    let samples = samples::frames();
    let mut bytes = Vec::new();
    if choices.percent(30) {
        choices.noise(&mut bytes);
    } else {
        bytes = samples::encoded(choices.pick(&samples));
        let other = samples::encoded(choices.pick(&samples));
        choices.spoil(&mut bytes, &other);
    }
    bytes.truncate(40_000);
    bytes.push(0);
    bytes
}

/// Where a connection is when noise comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    AwaitHelloI,
    AwaitHelloR,
    AwaitConfirm,
    Established,
}

/// Noise on some channel in a phase: the connection ends through the peer's
/// fault, unless nobody promised that what comes over the channel is whole.
pub fn noise_in(phase: Phase, hello: &[u8], choices: &mut Choices<'_>) {
    let role = match phase {
        Phase::AwaitHelloR => Role::Initiator,
        _ => Role::Responder,
    };
    let mut victim = Victim::new(role, choices, epoch());
    match phase {
        Phase::AwaitHelloI => {}
        Phase::AwaitHelloR => victim.writable(Channel::Control, 1 << 17),
        Phase::AwaitConfirm => victim.hear(Channel::Control, &mut hello.to_vec()),
        Phase::Established => drop(Forger::meet(&mut victim, choices)),
    }
    assert!(!victim.closed);
    let mut bytes = Vec::new();
    if phase == Phase::Established {
        for _ in 0..500 {
            choices.noise(&mut bytes);
            victim.hear(Channel::Unreliable, &mut bytes); // RL-UNRELIABLE-DROP
            assert!(!victim.closed);
        }
    }
    let channels = [Channel::Control, Channel::Reliable, Channel::File];
    choices.noise(&mut bytes);
    let is_alert = bytes.starts_with(&[0, 4]); // whose code may be anything
    victim.hear(*choices.pick(&channels), &mut bytes);
    victim.run_out();
    let error = victim.error.expect("noise is an error");
    assert!(is_alert || error.code != ErrorCode::IdleTimeout, "noise was taken for a sign of life");
}

/// Two honest sides and somebody in between who changes one message. Returns
/// whether that was in the handshake.
pub fn meddled(choices: &mut Choices<'_>) -> bool {
    let now = epoch();
    let mut sides = [Role::Initiator, Role::Responder].map(|role| Victim::new(role, choices, now));
    let which = choices.below(16);
    let (mut count, mut hurt) = (0, None);
    let mut offered = false;
    for round in 0..40 {
        for from in 0..2 {
            for channel in Channel::ALL {
                sides[from].writable(channel, 1 << 18);
            }
            sides[from].answer(16, 0, choices);
            for (mut channel, message) in std::mem::take(&mut sides[from].sent) {
                let mut heard = message.clone();
                if count == which {
                    let told = channel;
                    match choices.below(8) {
                        0 => channel = *choices.pick(&[Channel::Control, Channel::Reliable]),
                        1 => choices.noise(&mut heard),
                        _ => choices.spoil(&mut heard, &message),
                    }
                    if heard != message || channel != told {
                        hurt = Some((1 - from, round < 4 && !offered));
                    }
                }
                count += 1;
                sides[1 - from].hear(channel, &mut heard);
            }
        }
        let open = sides.iter().all(|side| side.connection.is_established());
        if open && !offered {
            offered = true;
            let manifest = moves::manifest(choices, false).0;
            sides[1].connection.offer(now, manifest, "").expect("an offer");
        }
        if let Some(id) = sides[0].offered.pop() {
            sides[0].accept(id, None);
        }
    }
    if let Some((side, _)) = hurt {
        assert!(sides[side].closed, "a changed message was taken for a true one");
    }
    for mut side in sides {
        side.run_out();
    }
    hurt.is_some_and(|(_, early)| early)
}
