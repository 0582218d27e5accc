//! One whole session between two connections, message by message: the vectors
//! `spec/vectors/session.json` and the chapter `spec/14-session.md`, which shows the
//! same for people. Cutting messages into fields and writing the chapter live in
//! `session/`; the world of the two connections in `support/`.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "frame_vectors/fields.rs"]
mod fields;
mod session;
mod support;
mod vector_file;

use std::cell::RefCell;
use std::rc::Rc;

use passel_proto::connection::{Config, Event};
use passel_proto::crypto::items::Items;
use passel_proto::crypto::kem::{KeyPair, encapsulate};
use passel_proto::crypto::schedule::Unconfirmed;
use passel_proto::crypto::{Entropy, Secret32};
use passel_proto::frame::{EntryRange, FrameReader};
use passel_proto::ids::{Channel, Role};
use passel_proto::limits::{MIN_CHUNK, MIN_PIECE, RECORD_HEADER};
use passel_proto::record::{Opener, RecordKeys};
use passel_proto::suite::Suite;
use session::parts::{self, Part};
use session::{ChannelKeys, FileCase, Message, Secrets, Vectors, chapter};
use support::{Pair, config, content};
use vector_file::hex;

/// Seed of the world, from which both sessions' seeds come.
const WORLD: u64 = 14;
const PSK: [u8; 32] = [7; 32];
const TAG: usize = 16;

type Sent = (Role, Channel, Vec<u8>);

fn small_pieces() -> Config {
    let mut config = config();
    config.chunk_log2 = u8::try_from(MIN_CHUNK.trailing_zeros()).unwrap();
    config.piece_log2 = u8::try_from(MIN_PIECE.trailing_zeros()).unwrap();
    config
}

fn files() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("docs/", Vec::new()),
        ("docs/a.txt", b"hello\n".to_vec()),
        ("docs/empty", Vec::new()),
        ("docs/unwanted", b"no".to_vec()),
        ("two.bin", content(MIN_PIECE + 6, 1)),
    ]
}

/// Runs the session and returns every message in the order in which it was sent.
fn run() -> Vec<Sent> {
    let mut pair = Pair::with(WORLD, small_pieces(), small_pieces());
    let sent = Rc::new(RefCell::new(Vec::new()));
    let log = Rc::clone(&sent);
    pair.meddle = Some(Box::new(move |name, channel, message| {
        let role = if name == "sender" { Role::Responder } else { Role::Initiator };
        log.borrow_mut().push((role, channel, message.clone()));
        true
    }));
    pair.run();
    let files = files();
    let id = pair.offer(&files);
    pair.run();
    let wanted = [(0, 3), (4, 1)].map(|(first, count)| EntryRange { first, count });
    pair.receiver.connection.accept(pair.now, id, Some(wanted.to_vec())).unwrap();
    pair.finish();
    for side in [&pair.sender, &pair.receiver] {
        assert!(matches!(side.ended(), Some(Event::Completed { .. })), "{:?}", side.events);
    }
    for place in [1, 2, 4] {
        let key = u32::try_from(place).unwrap();
        assert_eq!(pair.receiver.disk.committed.get(&key), Some(&files[place].1));
    }
    pair.sender.connection.close(pair.now, None);
    pair.run();
    assert!(pair.receiver.closed().is_some());
    pair.meddle = None;
    Rc::into_inner(sent).unwrap().into_inner()
}

/// What the world draws for each session, and the sessions for the key exchange.
fn secrets(sent: &[Sent]) -> (Secrets, Secret32) {
    let mut seed = [0; 32];
    seed[..8].copy_from_slice(&WORLD.to_le_bytes());
    let mut world = Entropy::from_seed(seed);
    let (responder_seed, initiator_seed): ([u8; 32], [u8; 32]) = (world.array(), world.array());
    let kem_seed: [u8; 32] = Entropy::from_seed(initiator_seed).array();
    let kem_randomness: [u8; 64] = Entropy::from_seed(responder_seed).array();
    let [hello_i, hello_r] = [0, 1].map(|place: usize| &sent[place].2);
    let pair = KeyPair::from_seed(&kem_seed);
    let (ciphertext, kem_secret) = encapsulate(pair.encapsulation_key(), &kem_randomness).unwrap();
    assert_eq!(hello_r[37..][..ciphertext.len()], ciphertext[..]);
    let binding = config().binding;
    // HS-TRANSCRIPT
    let transcript = Items::new()
        .add("binding initiator", &binding.initiator)
        .add("binding responder", &binding.responder)
        .add("auth mode", &4u16.to_le_bytes())
        .add("auth context", &[])
        .add("hello initiator", hello_i)
        .add("hello responder", &hello_r[..hello_r.len() - 32])
        .hash();
    let keys = Unconfirmed::derive(&Secret32::new(PSK), &kem_secret, transcript);
    // HS-HELLO-R-TAG, HS-CONFIRM-TAG
    assert_eq!(sent[2].2[2..], keys.tag(Role::Initiator));
    let tag = hello_r[hello_r.len() - 32..].try_into().unwrap();
    let proof = keys.verify(Role::Responder, tag).unwrap();
    let keys = proof.secrets();
    let epoch = keys.epoch.clone();
    let shown = Secrets {
        psk: hex(&PSK),
        auth_mode: 4,
        auth_context: String::new(),
        binding_initiator: hex(&binding.initiator),
        binding_responder: hex(&binding.responder),
        kem_seed: hex(&kem_seed),
        kem_randomness: hex(&kem_randomness),
        kem_secret: hex(kem_secret.expose()),
        transcript: hex(&transcript),
        epoch: hex(epoch.expose()),
        receipt: hex(keys.receipt.expose()),
        resumption: hex(keys.resumption.expose()),
    };
    (shown, epoch)
}

fn name(role: Role) -> &'static str {
    match role {
        Role::Initiator => "initiator",
        Role::Responder => "responder",
    }
}

fn ends() -> impl Iterator<Item = (Role, Channel)> {
    [Role::Initiator, Role::Responder]
        .into_iter()
        .flat_map(|role| Channel::ALL.map(|channel| (role, channel)))
}

/// Opens a record and cuts it into its fields.
fn record(number: usize, (role, channel, bytes): &Sent, opener: &mut Opener) -> Message {
    let mut copy = bytes.clone();
    let plaintext = opener.open(&mut copy).unwrap().to_vec();
    let mut reader = FrameReader::new(&plaintext, *channel);
    let mut frames = Vec::new();
    while let Some(frame) = reader.next().unwrap() {
        frames.push(fields::of_frame(&frame));
    }
    let names: Vec<String> = frames.iter().map(session::type_of).collect();
    Message {
        number,
        sender: name(*role),
        channel: channel.name(),
        what: names.join(", "),
        bytes: hex(bytes),
        fields: parts::of_record(bytes, RECORD_HEADER, TAG),
        plaintext: Some(hex(&plaintext)),
        plaintext_fields: parts::of_plaintext(&plaintext, &frames),
        frames,
    }
}

fn handshake(number: usize, (role, channel, bytes): &Sent) -> Message {
    let (what, fields): (&str, Vec<Part>) = match number {
        1 => ("HELLO_I", parts::of_hello_i(bytes)),
        2 => ("HELLO_R", parts::of_hello_r(bytes)),
        3 => ("CONFIRM", parts::of_confirm(bytes)),
        _ => panic!("the handshake has three messages"),
    };
    Message {
        number,
        sender: name(*role),
        channel: channel.name(),
        what: what.to_owned(),
        bytes: hex(bytes),
        fields,
        plaintext: None,
        plaintext_fields: Vec::new(),
        frames: Vec::new(),
    }
}

// HS-SCHEDULE, RL-KEYS, RL-NONCE, WF-LAYOUT, TR-STATEMENTS, TR-RECEIPT-MAC
#[test]
fn a_session_is_what_its_vectors_and_the_annotated_chapter_say() {
    let sent = run();
    let (secrets, epoch) = secrets(&sent);
    let keys = |(role, channel)| RecordKeys::derive(Suite::default(), &epoch, 0, role, 0, channel);
    let mut openers: Vec<((Role, Channel), Opener)> =
        ends().map(|end| (end, Opener::new(keys(end)))).collect();
    let mut messages = Vec::new();
    for (place, message) in sent.iter().enumerate() {
        messages.push(if place < 3 {
            handshake(place + 1, message)
        } else {
            let end = (message.0, message.1);
            let (_, opener) = openers.iter_mut().find(|(other, _)| *other == end).unwrap();
            record(place + 1, message, opener)
        });
    }
    let vectors = Vectors {
        about: session::ABOUT,
        spec: "spec/14-session.md",
        secrets,
        keys: ends()
            .map(|end| {
                let keys = keys(end);
                let (key, iv) = keys.expose();
                let (sender, channel) = (name(end.0), end.1.name());
                ChannelKeys { sender, channel, key: hex(key), iv: hex(iv) }
            })
            .collect(),
        files: files()
            .into_iter()
            .map(|(path, content)| FileCase {
                path: path.trim_end_matches('/').to_owned(),
                content: (!path.ends_with('/')).then(|| hex(&content)),
            })
            .collect(),
        messages,
    };
    vector_file::check("session.json", &vectors);
    chapter::check(&vectors);
}
