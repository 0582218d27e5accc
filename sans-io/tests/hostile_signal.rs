//! A million hostile inputs to the decoder of signaling messages: it refuses them
//! through the peer's fault, or accepts them and they are the only encoding of a
//! message that is fit for use. Spoiling is the core's harness'.

#![allow(clippy::unwrap_used)] // a test that fails says so

#[path = "../../proto-core/tests/hostile/choices.rs"]
#[allow(dead_code, unreachable_pub, missing_docs)] // shared with others
#[allow(clippy::cast_possible_truncation)] // of random numbers
mod choices;

use choices::many;
use passel_proto::error::Blame;
use passel_proto::limits::{MAX_CANDIDATES_COUNT, MAX_REASON_TEXT};
use passel_sans_io::description::{
    Candidate, CandidateKind, Description, SignalMessage, is_usable_address,
};

const MILLION: u64 = 1_000_000;

fn candidates() -> Vec<Candidate> {
    ["192.0.2.1:9", "[2001:db8::1]:65535", "10.0.0.7:4000"]
        .map(|address| Candidate {
            kind: CandidateKind::Relayed,
            priority: 2_130_706_431,
            address: address.parse().unwrap(),
        })
        .to_vec()
}

fn samples() -> Vec<Vec<u8>> {
    let description = Description {
        ufrag: "abcd+/12".into(),
        pwd: "0123456789abcdefghijklmn".into(),
        fingerprint: [7; 32],
        sctp_init: Some(vec![1; 40]),
        max_message_size: 262_144,
        candidates: candidates(),
    };
    let bare = Description { sctp_init: None, candidates: Vec::new(), ..description.clone() };
    [
        SignalMessage::Description(description),
        SignalMessage::Description(bare),
        SignalMessage::Candidates(candidates()),
        SignalMessage::EndOfCandidates,
        SignalMessage::Abort { code: 0x0e, text: "no path".into() },
    ]
    .map(|message| message.encode().unwrap())
    .to_vec()
}

// TB-DESC-CHECK, TB-CAND-ADDRESS, TB-CAND-COUNT
fn is_fit(message: &SignalMessage) -> bool {
    let candidates = match message {
        SignalMessage::Description(description) => &description.candidates,
        SignalMessage::Candidates(candidates) => candidates,
        SignalMessage::EndOfCandidates => return true,
        SignalMessage::Abort { text, .. } => return text.len() <= MAX_REASON_TEXT,
    };
    candidates.len() <= MAX_CANDIDATES_COUNT
        && candidates.iter().all(|candidate| is_usable_address(&candidate.address))
}

#[test]
fn signaling_messages_take_a_million_hostile_inputs() {
    let samples = samples();
    let (mut accepted, mut bytes) = (0, Vec::new());
    many("signaling messages", MILLION, |choices| {
        choices.input(&samples, &mut bytes);
        match SignalMessage::decode(&bytes) {
            Ok(message) => {
                accepted += 1;
                assert_eq!(message.encode().unwrap(), bytes, "{message:?}");
                assert!(is_fit(&message), "{message:?}");
            }
            Err(error) => {
                assert!(matches!(error.blame, Blame::Peer | Blame::Incompatible), "{error}");
            }
        }
    });
    if std::env::var_os("HOSTILE_SEED").is_none() {
        assert!((MILLION / 1000..MILLION / 2).contains(&accepted), "{accepted}");
    }
}
