//! Whole handshakes as vectors (`spec/vectors/key-schedule.json`). Every value in
//! them is computed here a second time, from the messages' bytes and the words of
//! the spec alone, with nothing but SHA-256, HMAC and HKDF.

#![allow(clippy::unwrap_used, clippy::expect_used)] // helpers of tests

mod vector_file;

use hkdf::Hkdf;
use hmac::{Hmac, KeyInit, Mac};
use passel_proto::crypto::kem::KeyPair;
use passel_proto::crypto::{Entropy, Secret32};
use passel_proto::handshake::{
    Auth, Extension, HandshakeConfig, ResumptionKey, Session, TransportBinding, initiator,
    responder,
};
use serde::Serialize;
use sha2::{Digest, Sha256};
use vector_file::hex;

#[derive(Serialize)]
struct Vectors {
    about: &'static str,
    spec: &'static str,
    cases: Vec<Case>,
    refused: Vec<Refused>,
}

#[derive(Serialize)]
struct Case {
    why: &'static str,
    verdict: &'static str,
    psk: String,
    auth_mode: u16,
    auth_context: String,
    binding_initiator: String,
    binding_responder: String,
    kem_seed: String,
    hello_i: String,
    hello_r: String,
    confirm: String,
    transcript: String,
    kem_secret: String,
    early: String,
    derived: String,
    root: String,
    confirm_initiator_key: String,
    confirm_responder_key: String,
    epoch: String,
    receipt: String,
    resumption: String,
    exporter: String,
    lane_signaling: String,
    sas: String,
    resumption_id: String,
    resumption_psk: String,
    meeting: String,
    meeting_id: String,
    meeting_link: String,
    export_app_ctx: String,
}

#[derive(Serialize)]
struct Refused {
    why: &'static str,
    /// Place of the case whose responder refuses it.
    case: usize,
    rule: &'static str,
    verdict: &'static str,
    hello_i: String,
    code: &'static str,
}

const MESSAGE_SEED: [u8; 32] = [0x31; 32];

fn config(auth: Auth) -> HandshakeConfig {
    let binding = TransportBinding { initiator: (0..32).collect(), responder: (32..64).collect() };
    let mut config = HandshakeConfig::new(auth, binding);
    config.extensions = vec![Extension { id: 0x0101, body: b"hello".to_vec() }];
    config
}

fn start(auth: &Auth) -> (initiator::ExpectHello, Vec<u8>) {
    initiator::start(config(auth.clone()), &mut Entropy::from_seed(MESSAGE_SEED)).unwrap()
}

fn expand_label(secret: &[u8], label: &str, context: &[u8]) -> Vec<u8> {
    expand_label_to(secret, label, context, 32)
}

fn expand_label_to(secret: &[u8], label: &str, context: &[u8], length: u8) -> Vec<u8> {
    let label = format!("passel v1 {label}");
    let mut info = vec![0, length, u8::try_from(label.len()).unwrap()];
    info.extend_from_slice(label.as_bytes());
    info.push(u8::try_from(context.len()).unwrap());
    info.extend_from_slice(context);
    let mut out = vec![0; length.into()];
    Hkdf::<Sha256>::from_prk(secret).unwrap().expand(&info, &mut out).unwrap();
    out
}

fn extract(salt: &[u8], input: &[u8]) -> Vec<u8> {
    Hkdf::<Sha256>::extract(Some(salt), input).0.to_vec()
}

fn item(out: &mut Vec<u8>, label: &str, bytes: &[u8]) {
    out.push(u8::try_from(label.len()).unwrap());
    out.extend_from_slice(label.as_bytes());
    out.extend_from_slice(&u32::try_from(bytes.len()).unwrap().to_le_bytes());
    out.extend_from_slice(bytes);
}

fn tag(key: &[u8], transcript: &[u8]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(transcript);
    mac.finalize().into_bytes().to_vec()
}

fn case(why: &'static str, auth: &Auth, psk: &Secret32, context: &[u8]) -> Case {
    let (state_i, hello_i) = start(auth);
    let (state_r, hello_r) = responder::ExpectHello::new(config(auth.clone()))
        .unwrap()
        .handle(&hello_i, &mut Entropy::from_seed([0x32; 32]))
        .unwrap();
    let (session, confirm) = state_i.handle(&hello_r).unwrap();
    let other: Session = state_r.handle(&confirm).unwrap();
    assert_eq!(session.epoch_secret(), other.epoch_secret());

    // The same again, by the spec's words. The KEM's seed is the first thing
    // that the initiator draws; the ciphertext is where HELLO_R's layout says.
    let kem_seed: [u8; 32] = Entropy::from_seed(MESSAGE_SEED).array();
    let kem_secret =
        KeyPair::from_seed(&kem_seed).decapsulate(&hello_r[2 + 3 + 32..][..1120]).unwrap();
    let binding = config(auth.clone()).binding;
    let mut bytes = Vec::new();
    item(&mut bytes, "protocol", b"passel.v1");
    item(&mut bytes, "binding initiator", &binding.initiator);
    item(&mut bytes, "binding responder", &binding.responder);
    item(&mut bytes, "auth mode", &auth.mode().to_le_bytes());
    item(&mut bytes, "auth context", context);
    item(&mut bytes, "hello initiator", &hello_i);
    item(&mut bytes, "hello responder", &hello_r[..hello_r.len() - 32]);
    let transcript = Sha256::digest(&bytes).to_vec();
    let early = extract(&[0; 32], psk.expose());
    let derived = expand_label(&early, "derived", &[]);
    let root = extract(&derived, kem_secret.expose());
    let of = |label: &str| expand_label(&root, label, &transcript);
    let (key_i, key_r) = (of("confirm initiator"), of("confirm responder"));

    assert_eq!(session.transcript()[..], transcript);
    assert_eq!(session.epoch_secret().expose()[..], of("epoch"));
    assert_eq!(session.receipt_key().expose()[..], of("receipt"));
    assert_eq!(session.resumption_secret().expose()[..], of("resumption"));
    assert_eq!(session.lane_signaling_secret().expose()[..], of("lane signaling"));
    // HS-RESUMPTION, HS-RESUME-MEETING
    let (kept, resumption) = (session.resumption(), of("resumption"));
    let resumption_id = expand_label_to(&resumption, "resumption id", &[], 16);
    let resumption_psk = expand_label(&resumption, "resumption psk", &[]);
    let meeting = expand_label(&resumption, "meeting", &[]);
    let meeting_id = expand_label_to(&meeting, "meeting id", &[], 16);
    let meeting_link = expand_label(&meeting, "meeting link", &[]);
    assert_eq!(
        (&kept.id[..], &kept.secret.expose()[..]),
        (&resumption_id[..], &resumption_psk[..])
    );
    assert_eq!(kept.meeting.expose()[..], meeting);
    assert_eq!(kept.meeting_id()[..], meeting_id);
    assert_eq!(kept.meeting_link().expose()[..], meeting_link);
    let exported = session.export("app", b"ctx").unwrap();
    assert_eq!(exported.expose()[..], expand_label(&of("exporter"), "exporter app", b"ctx"));
    assert_eq!(hello_r[hello_r.len() - 32..], tag(&key_r, &transcript));
    assert_eq!(confirm[..2], [0, 3]);
    assert_eq!(confirm[2..34], tag(&key_i, &transcript));
    // HS-SAS-REVEAL, HS-SAS-VALUE
    let value = session.sas().map(|sas| sas.bytes().to_vec());
    let revealed = session.sas().map(|_| &confirm[34..66]);
    assert_eq!(confirm.len(), 34 + revealed.map_or(0, <[u8]>::len));
    let expected = revealed.map(|nonce| expand_label_to(&of("sas"), "sas value", nonce, 10));
    assert_eq!(value, expected);

    Case {
        why,
        verdict: "accept",
        psk: hex(psk.expose()),
        auth_mode: auth.mode(),
        auth_context: hex(context),
        binding_initiator: hex(&binding.initiator),
        binding_responder: hex(&binding.responder),
        kem_seed: hex(&kem_seed),
        hello_i: hex(&hello_i),
        hello_r: hex(&hello_r),
        confirm: hex(&confirm),
        kem_secret: hex(kem_secret.expose()),
        early: hex(&early),
        derived: hex(&derived),
        root: hex(&root),
        confirm_initiator_key: hex(&key_i),
        confirm_responder_key: hex(&key_r),
        epoch: hex(&of("epoch")),
        receipt: hex(&of("receipt")),
        resumption: hex(&resumption),
        exporter: hex(&of("exporter")),
        lane_signaling: hex(&of("lane signaling")),
        sas: hex(&of("sas")),
        resumption_id: hex(&resumption_id),
        resumption_psk: hex(&resumption_psk),
        meeting: hex(&meeting),
        meeting_id: hex(&meeting_id),
        meeting_link: hex(&meeting_link),
        export_app_ctx: hex(exported.expose()),
        transcript: hex(&transcript),
    }
}

/// Hellos that a responder of the first case must refuse.
fn refused(auth: &Auth) -> Vec<Refused> {
    let honest = start(auth).1;
    // kind, type, lists; then auth, session id and random; key; extensions.
    let key_at = honest.windows(32).position(|part| part == key_start(auth)).unwrap();
    let tail = &honest[key_at - 49..];
    let lists = |bytes: &[u8]| [&[0, 1], bytes, tail].concat();
    let until_extensions = &honest[..key_at + 1216];
    let mut key_of_zeros = honest.clone();
    key_of_zeros[key_at + 1184..key_at + 1216].fill(0);
    let mut unreduced = honest.clone();
    unreduced[key_at] = 0xff;
    unreduced[key_at + 1] |= 0x0f;
    let many: Vec<u8> = [&[33][..], &[1; 33], &[1, 1]].concat();
    let extension = |bytes: &[u8]| [until_extensions, bytes].concat();
    let long_body = {
        let mut bytes = vec![1, 7, 251, 0x01, 0x04];
        bytes.resize(5 + 1025, 0);
        extension(&bytes)
    };
    let mut other_auth = honest.clone();
    other_auth[key_at - 49] = 4;
    let rows: Vec<(&'static str, &'static str, Vec<u8>, &'static str)> = vec![
        ("no version that is known", "HS-CHOICE", lists(&[1, 2, 1, 1]), "UNSUPPORTED_VERSION"),
        ("no version at all", "HS-CHOICE", lists(&[0, 1, 1]), "UNSUPPORTED_VERSION"),
        ("no suite that is known", "HS-CHOICE", lists(&[1, 1, 1, 99]), "UNSUPPORTED_SUITE"),
        ("another mode of authentication", "HS-AUTH-MODE", other_auth, "UNSUPPORTED_AUTH"),
        ("33 versions", "HS-LIST-LIMITS", lists(&many), "MALFORMED"),
        (
            "a number in more bytes than it needs",
            "HS-ENCODING",
            lists(&[1, 251, 1, 0, 1, 1]),
            "MALFORMED",
        ),
        ("an extension twice", "HS-EXT-ONCE", extension(&[2, 7, 0, 7, 0]), "PROTOCOL_VIOLATION"),
        ("an extension of 1025 bytes", "HS-LIST-LIMITS", long_body, "MALFORMED"),
        ("a byte behind the end", "HS-ENCODING", [&honest[..], &[0]].concat(), "MALFORMED"),
        (
            "the last byte is missing",
            "HS-ENCODING",
            honest[..honest.len() - 1].to_vec(),
            "MALFORMED",
        ),
        ("X25519 part of the key is 0", "HS-KEM-CONTRIBUTORY", key_of_zeros, "MALFORMED"),
        ("ML-KEM coefficient above 3328", "HS-KEM-CANONICAL", unreduced, "MALFORMED"),
        ("CONFIRM is not due", "HS-ORDER", [&[0, 3][..], &[0; 32]].concat(), "PROTOCOL_VIOLATION"),
        ("an unknown message", "HS-MESSAGES", vec![0, 9, 1], "MALFORMED"),
        ("a sealed record", "HS-MESSAGES", vec![1, 1, 1], "PROTOCOL_VIOLATION"),
        ("nothing", "HS-MESSAGES", vec![], "PROTOCOL_VIOLATION"),
        ("8193 bytes", "HS-MESSAGE-LIMIT", vec![0; 8193], "LIMIT_EXCEEDED"),
    ];
    rows.into_iter()
        .map(|(why, rule, message, code)| refuse(why, rule, (0, auth), &message, code))
        .collect()
}

fn refuse(
    why: &'static str,
    rule: &'static str,
    (case, auth): (usize, &Auth),
    message: &[u8],
    code: &'static str,
) -> Refused {
    let error = responder::ExpectHello::new(config(auth.clone()))
        .unwrap()
        .handle(message, &mut Entropy::from_seed([0x32; 32]))
        .expect_err(why);
    assert_eq!(error.code.name(), code, "{why}");
    Refused { why, case, rule, verdict: "refuse", hello_i: hex(message), code }
}

/// Hellos that a responder refuses which holds one resumption secret.
fn refused_to_resume(case: usize, key: &ResumptionKey) -> Vec<Refused> {
    let by = Auth::Resume { key: key.clone(), other: None };
    let other = ResumptionKey { id: [0xee; 16], ..key.clone() };
    let unknown = start(&Auth::Resume { key: other, other: None }).1;
    // The body of the extension is told by its length; one that is shorter is
    // made by hand, and so is a hello that names nothing: the mode is changed.
    let mut short = start(&by).1;
    let at =
        short.windows(18).position(|part| part[..2] == [0x10, 16] && part[2..] == key.id).unwrap();
    short[at + 1] = 15;
    short.remove(at + 2);
    let mut unnamed = start(&Auth::Link(key.secret.clone())).1;
    let mode =
        unnamed.windows(32).position(|part| part == key_start(&Auth::Link(key.secret.clone())));
    unnamed[mode.unwrap() - 49] = 5;
    let rule = "HS-RESUME-PICK";
    vec![
        refuse("a name that is not known", rule, (case, &by), &unknown, "RESUMPTION_UNKNOWN"),
        refuse("a name of 15 bytes", rule, (case, &by), &short, "MALFORMED"),
        refuse("no name", rule, (case, &by), &unnamed, "PROTOCOL_VIOLATION"),
    ]
}

/// Hellos that a responder in mode SAS refuses.
fn refused_to_compare(case: usize) -> Vec<Refused> {
    let mut short = start(&Auth::Sas).1;
    let at = short.windows(2).rposition(|part| part == [0x11, 32]).unwrap();
    short[at + 1] = 31;
    short.remove(at + 2);
    let link = Auth::Link(Secret32::new([0xa5; 32]));
    let mut uncommitted = start(&link).1;
    let key = uncommitted.windows(32).position(|part| part == key_start(&link));
    uncommitted[key.unwrap() - 49] = 3;
    let (rule, by) = ("HS-SAS-COMMIT", (case, &Auth::Sas));
    vec![
        refuse("no commitment", rule, by, &uncommitted, "PROTOCOL_VIOLATION"),
        refuse("a commitment of 31 bytes", rule, by, &short, "MALFORMED"),
    ]
}

fn key_start(auth: &Auth) -> Vec<u8> {
    assert_eq!(auth.mode(), 1);
    let seed: [u8; 32] = Entropy::from_seed(MESSAGE_SEED).array();
    KeyPair::from_seed(&seed).encapsulation_key()[..32].to_vec()
}

// HS-SCHEDULE, HS-EXTRACT, HS-EXPAND-LABEL, HS-TRANSCRIPT, HS-TRANSCRIPT-ITEM,
// HS-CONFIRM-TAG, HS-MESSAGES, HS-EXPORTER, HS-HELLO-R-TAG
#[test]
fn whole_handshakes_agree_with_the_words_of_the_spec_and_their_vectors() {
    let psk = || Secret32::new([0xa5; 32]);
    let link = Auth::Link(psk());
    let code = Auth::Code { secret: psk(), context: [0xc0; 32] };
    let zero = Secret32::new([0; 32]);
    let key = ResumptionKey { id: [0x1d; 16], secret: psk() };
    let resume = Auth::Resume { key: key.clone(), other: None };
    let vectors = Vectors {
        about: "Whole handshakes: with `psk`, the bindings and `kem_seed` (the seed of the \
                initiator's X-Wing key pair) given, the three messages decide all the rest. \
                `export_app_ctx` is the exported secret of label `app` and context `ctx`. \
                `refused` are messages that a responder of the case at the place `case`, which \
                waits for HELLO_I, refuses with the error `code`; in mode RESUME it holds the \
                secret of that case alone, whose id is the `auth_context`. Bytes in hexadecimal.",
        spec: "spec/04-handshake.md",
        cases: vec![
            case("LINK", &link, &psk(), &[]),
            case("CODE, with the hash over the SPAKE2 exchange", &code, &psk(), &[0xc0; 32]),
            case("PSK", &Auth::Psk(psk()), &psk(), &[]),
            case("SAS: no secret, and a nonce behind the tag of CONFIRM", &Auth::Sas, &zero, &[]),
            case("RESUME, with the id of the secret", &resume, &psk(), &key.id),
        ],
        refused: [refused(&link), refused_to_resume(4, &key), refused_to_compare(3)]
            .into_iter()
            .flatten()
            .collect(),
    };
    vector_file::check("key-schedule.json", &vectors);
}
