//! The vectors of the encoding and of all frames (`spec/vectors/codec.json`):
//! plaintexts of records, the frames in them field by field, or the rule that
//! they break. What frames do to a connection is not asked here.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod frame_vectors;
mod vector_file;

use frame_vectors::accepted::accepted;
use frame_vectors::fields::{Fields, of_frame};
use frame_vectors::refused::refused;
use passel_proto::error::ErrorCode;
use passel_proto::frame::{Frame, FrameReader, FrameWriter};
use passel_proto::ids::Channel;
use serde::Serialize;
use vector_file::hex;

#[derive(Serialize)]
struct Vectors {
    about: &'static str,
    spec: &'static str,
    cases: Vec<Case>,
}

#[derive(Serialize)]
struct Case {
    why: &'static str,
    channel: &'static str,
    plaintext: String,
    #[serde(flatten)]
    outcome: Outcome,
}

#[derive(Serialize)]
#[serde(tag = "verdict", rename_all = "lowercase")]
enum Outcome {
    Accept {
        frames: Vec<Fields>,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        passed_over: Vec<u16>,
        #[serde(skip_serializing_if = "Option::is_none")]
        payload: Option<String>,
    },
    Refuse {
        rule: &'static str,
        code: &'static str,
    },
}

/// What a reader makes of a record's plaintext: frames and payload.
fn read(
    plaintext: &[u8],
    channel: Channel,
) -> Result<(Vec<Frame>, Vec<u8>), passel_proto::error::Error> {
    let mut reader = FrameReader::new(plaintext, channel);
    let mut frames = Vec::new();
    while let Some(frame) = reader.next()? {
        frames.push(frame);
    }
    Ok((frames, reader.payload().to_vec()))
}

// WF-ENCODING, WF-LAYOUT, WF-FRAME, WF-DATA-LAST, WF-FRAME-UNKNOWN
fn accept(case: frame_vectors::Accepted) -> Case {
    let (frames, payload) = read(&case.plaintext, case.channel).unwrap();
    assert_eq!(frames, case.frames, "{}", case.why);
    assert_eq!(payload, case.payload, "{}", case.why);
    if case.passed_over.is_empty() {
        let mut again = Vec::new();
        for frame in &frames {
            FrameWriter::new(&mut again, 0).frame(frame).unwrap();
        }
        again.extend(&payload);
        assert_eq!(again, case.plaintext, "{}", case.why);
    }
    let has_data = frames.iter().any(|frame| matches!(frame, Frame::Data(_)));
    Case {
        why: case.why,
        channel: case.channel.name(),
        plaintext: hex(&case.plaintext),
        outcome: Outcome::Accept {
            frames: frames.iter().map(of_frame).collect(),
            passed_over: case.passed_over,
            payload: has_data.then(|| hex(&payload)),
        },
    }
}

/// What the reader's words may be where a rule is broken.
fn words_of(rule: &str) -> &'static [&'static str] {
    const EARLY: &str = "the input ends too early";
    const LONG: &str = "a length is above its limit";
    const NO_VALUE: &str = "the bytes are not a value of this type";
    match rule {
        "WF-TRAILING" => &[EARLY, "bytes follow the end of the value"],
        "WF-CANONICAL" => &["the encoding is not canonical", NO_VALUE],
        "WF-UTF8" => &[NO_VALUE],
        "WF-LAYOUT" => &[NO_VALUE, LONG],
        "WF-BOUNDED" | "WF-FRAME-LENGTH" => &[EARLY, LONG],
        "WF-FRAME" => &[EARLY],
        "WF-FRAME-CHANNEL" => &["came over the channel"],
        "WF-FRAME-UNKNOWN" => &["is not known"],
        _ => panic!("no rule of frames: {rule}"),
    }
}

// WF-CANONICAL, WF-TRAILING, WF-UTF8, WF-BOUNDED, WF-LAYOUT, WF-FRAME-LENGTH,
// WF-FRAME-CHANNEL, WF-FRAME-UNKNOWN, WF-REFUSE-CODE
fn refuse(case: &frame_vectors::Refused) -> Case {
    let error = read(&case.plaintext, case.channel)
        .err()
        .unwrap_or_else(|| panic!("not refused: {}", case.why));
    let code = match case.rule {
        "WF-FRAME-CHANNEL" => ErrorCode::ProtocolViolation,
        "WF-FRAME-UNKNOWN" => ErrorCode::UnknownCriticalFrame,
        _ => ErrorCode::Malformed,
    };
    assert_eq!(error.code, code, "{}", case.why);
    let fits = words_of(case.rule).iter().any(|words| error.to_string().contains(words));
    assert!(fits, "{}: {} is not why: {error}", case.why, case.rule);
    Case {
        why: case.why,
        channel: case.channel.name(),
        plaintext: hex(&case.plaintext),
        outcome: Outcome::Refuse { rule: case.rule, code: code.name() },
    }
}

#[test]
fn frames_agree_with_their_vectors_and_hostile_bytes_are_refused() {
    let vectors = Vectors {
        about: "Plaintexts of records, whole: the frames that a reader finds in one that came over \
                `channel`, with the fields of their tables, or the rule that it breaks and the code \
                that answers it. `u64` are decimal texts, as many readers of JSON cannot hold them \
                as numbers; hashes and `bytes` are in hexadecimal, and a \
                list of hashes is one behind the other; what is absent is null; \
                of a list of more than 100 items only their number, the first and the last are told. \
                `passed_over` are the types of frames that a reader passes over, `payload` is what \
                stands behind DATA. Encoding the frames gives `plaintext` again, but where frames \
                were passed over.",
        spec: "spec/03-wire.md",
        cases: accepted().into_iter().map(accept).chain(refused().iter().map(refuse)).collect(),
    };
    vector_file::check("codec.json", &vectors);
}
