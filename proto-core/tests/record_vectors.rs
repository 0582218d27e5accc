//! Sealed records as vectors (`spec/vectors/records.json`): keys, records, and
//! sequences of records as they arrive, each with what an opener makes of it.

#![allow(clippy::unwrap_used)] // helpers of tests

mod vector_file;

use aes_gcm::Aes256Gcm;
use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{ChaCha20Poly1305, KeyInit};
use passel_proto::crypto::Secret32;
use passel_proto::ids::{Channel, Role};
use passel_proto::limits::RECORD_HEADER;
use passel_proto::record::{OpenError, Opener, RecordKeys, Sealer};
use passel_proto::suite::Suite;
use serde::Serialize;
use vector_file::hex;

#[derive(Serialize)]
struct Vectors {
    about: &'static str,
    spec: &'static str,
    epoch_secret: String,
    keys: Vec<Keys>,
    sequences: Vec<Sequence>,
}

#[derive(Serialize)]
struct Keys {
    sender: &'static str,
    lane: u16,
    channel: &'static str,
    epoch: u16,
    context: String,
    key: String,
    iv: String,
}

#[derive(Serialize)]
struct Sequence {
    why: &'static str,
    suite: u16,
    sender: &'static str,
    lane: u16,
    channel: &'static str,
    epoch: u16,
    records: Vec<Arrival>,
}

#[derive(Serialize)]
struct Arrival {
    why: &'static str,
    verdict: &'static str,
    record: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    plaintext: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<&'static str>,
}

fn secret() -> Secret32 {
    Secret32::new([0x5e; 32])
}

fn keys(suite: Suite, role: Role, lane: u16, channel: Channel, epoch: u16) -> RecordKeys {
    RecordKeys::derive(suite, &secret(), epoch, role, lane, channel)
}

fn name(role: Role) -> &'static str {
    match role {
        Role::Initiator => "initiator",
        Role::Responder => "responder",
    }
}

// RL-KEYS
fn key_vector(role: Role, lane: u16, channel: Channel, epoch: u16) -> Keys {
    let keys = keys(Suite::default(), role, lane, channel, epoch);
    let (key, iv) = keys.expose();
    let sender = u8::from(role == Role::Responder);
    let [l0, l1] = lane.to_le_bytes();
    let [e0, e1] = epoch.to_le_bytes();
    let context = [sender, channel.id(), l0, l1, e0, e1];
    Keys {
        sender: name(role),
        lane,
        channel: channel.name(),
        epoch,
        context: hex(&context),
        key: hex(key),
        iv: hex(iv),
    }
}

/// The records of `plaintexts`, sealed in order, and each computed again by the
/// spec's words alone.
fn sealed(suite: Suite, channel: Channel, plaintexts: &[&[u8]]) -> Vec<Vec<u8>> {
    let mut sealer = Sealer::new(keys(suite, Role::Initiator, 0, channel, 0));
    let keys = keys(suite, Role::Initiator, 0, channel, 0);
    let (key, iv) = keys.expose();
    plaintexts
        .iter()
        .zip(0u64..)
        .map(|(plaintext, counter)| {
            let mut record = vec![0; RECORD_HEADER];
            record.extend_from_slice(plaintext);
            sealer.seal(&mut record).unwrap();

            let mut header = vec![1, 0, 0, 0];
            header.extend_from_slice(&counter.to_le_bytes());
            let mut nonce = *iv;
            for at in 4..12 {
                nonce[at] ^= header[at];
            }
            let (nonce, payload) = (&nonce.into(), Payload { msg: plaintext, aad: &header });
            let ciphertext = match suite {
                Suite::ChaCha20Poly1305 => {
                    ChaCha20Poly1305::new(&(*key).into()).encrypt(nonce, payload)
                }
                Suite::Aes256Gcm => Aes256Gcm::new(&(*key).into()).encrypt(nonce, payload),
            };
            let ciphertext = ciphertext.unwrap();
            assert_eq!(record, [header, ciphertext].concat());
            record
        })
        .collect()
}

/// Which rule about its form a record breaks that is refused for one.
fn rule_of_form(record: &[u8]) -> &'static str {
    match record {
        record if record.len() <= 28 => "RL-NOT-EMPTY",
        [1, 0, ..] if record[10..12] != [0, 0] => "RL-COUNTER-LIMIT",
        _ => "RL-HEADER",
    }
}

fn sequence(
    why: &'static str,
    suite: Suite,
    channel: Channel,
    arrivals: &[(&'static str, Vec<u8>)],
) -> Sequence {
    let mut opener = Opener::new(keys(suite, Role::Initiator, 0, channel, 0));
    let records = arrivals
        .iter()
        .map(|(why, record)| {
            let mut buffer = record.clone();
            let result = opener.open(&mut buffer).map(|plaintext| hex(plaintext));
            let rule = result.as_ref().err().map(|error| match error {
                OpenError::Malformed => rule_of_form(record),
                OpenError::WrongEpoch => "RL-EPOCH",
                OpenError::OutOfOrder => "RL-ORDERED",
                OpenError::Replay => "RL-WINDOW",
                OpenError::BadTag => "RL-AUTHENTIC",
            });
            let verdict = if rule.is_none() { "accept" } else { "refuse" };
            Arrival { why, verdict, record: hex(record), plaintext: result.ok(), rule }
        })
        .collect();
    Sequence {
        why,
        suite: suite.number(),
        sender: name(Role::Initiator),
        lane: 0,
        channel: channel.name(),
        epoch: 0,
        records,
    }
}

// RL-HEADER, RL-NOT-EMPTY, RL-COUNTER-LIMIT, RL-NONCE, RL-AUTHENTIC, RL-ORDERED, RL-WINDOW, RL-EPOCH
#[test]
fn records_agree_with_the_words_of_the_spec_and_their_vectors() {
    let [chacha, aes] = Suite::ALL;
    let control = sealed(chacha, Channel::Control, &[b"first", b"second", b"third"]);
    let file = sealed(chacha, Channel::File, &[b"a", b"b", &[0x5a; 100]]);
    let of_aes = sealed(aes, Channel::File, &[b"a", &[0x5a; 100]]);
    let changed = |record: &[u8], place: usize, value: u8| {
        let mut record = record.to_vec();
        record[place] = value;
        record
    };
    let last = |record: &[u8]| {
        let mut record = record.to_vec();
        *record.last_mut().unwrap() ^= 1;
        record
    };
    let all_keys = [
        (Role::Initiator, 0, Channel::Control, 0),
        (Role::Responder, 0, Channel::Control, 0),
        (Role::Initiator, 0, Channel::File, 0),
        (Role::Responder, 0x0102, Channel::File, 0x0304),
    ];
    let vectors = Vectors {
        about: "Keys of channels, and records as they arrive one after the other at an opener \
                that is new at the start of each sequence. A refused record breaks `rule` and \
                changes nothing for those behind it; whether the connection goes on is not \
                asked here. Bytes in hexadecimal.",
        spec: "spec/05-records.md",
        epoch_secret: hex(secret().expose()),
        keys: all_keys
            .map(|(role, lane, channel, epoch)| key_vector(role, lane, channel, epoch))
            .into(),
        sequences: vec![
            sequence(
                "an ordered channel",
                chacha,
                Channel::Control,
                &[
                    ("a gap: the second comes first", control[1].clone()),
                    ("the first", control[0].clone()),
                    ("a replay", control[0].clone()),
                    ("a changed tag", last(&control[1])),
                    ("a changed first byte of ciphertext", changed(&control[1], 12, 0)),
                    ("one byte short", control[1][..control[1].len() - 1].to_vec()),
                    ("one byte long", [&control[1][..], &[0]].concat()),
                    ("the second", control[1].clone()),
                    ("a record of another channel", file[2].clone()),
                    ("the third", control[2].clone()),
                ],
            ),
            sequence(
                "an unordered channel",
                chacha,
                Channel::File,
                &[
                    ("the third", file[2].clone()),
                    ("the first", file[0].clone()),
                    ("the first again", file[0].clone()),
                    ("a counter that was not sealed", changed(&file[1], 4, 9)),
                    ("the second", file[1].clone()),
                    ("the third again", file[2].clone()),
                ],
            ),
            sequence(
                "headers",
                chacha,
                Channel::File,
                &[
                    ("kind 0", changed(&file[0], 0, 0)),
                    ("reserved byte not 0", changed(&file[0], 1, 1)),
                    ("another epoch", changed(&file[0], 2, 1)),
                    ("counter 2^48", changed(&file[0], 10, 1)),
                    ("no plaintext", file[0][..28].to_vec()),
                    ("shorter than a header", file[0][..11].to_vec()),
                    ("nothing", vec![]),
                    ("the record itself", file[0].clone()),
                ],
            ),
            sequence(
                "the other cipher",
                aes,
                Channel::File,
                &[
                    ("a record that was sealed with suite 1", file[0].clone()),
                    ("the second", of_aes[1].clone()),
                    ("a changed tag", last(&of_aes[0])),
                    ("a changed first byte of ciphertext", changed(&of_aes[0], 12, 0)),
                    ("the first", of_aes[0].clone()),
                    ("the second again", of_aes[1].clone()),
                ],
            ),
        ],
    };
    vector_file::check("records.json", &vectors);
}
