//! Key updates as vectors (`spec/vectors/epochs.json`): the secrets of epochs that
//! follow each other, computed here a second time by the words of the spec, and
//! records of two epochs as they arrive.

#![allow(clippy::unwrap_used)] // helpers of tests

mod vector_file;

use hkdf::Hkdf;
use passel_proto::codec;
use passel_proto::crypto::Secret32;
use passel_proto::crypto::kem::{KeyPair, encapsulate};
use passel_proto::frame::{KeyUpdate, KeyUpdateAnswer};
use passel_proto::ids::{Channel, Role};
use passel_proto::limits::RECORD_HEADER;
use passel_proto::record::{OpenError, Opener, RecordKeys, Sealer, next_secret};
use passel_proto::suite::Suite;
use serde::Serialize;
use sha2::{Digest, Sha256};
use vector_file::hex;

#[derive(Serialize)]
struct Vectors {
    about: &'static str,
    spec: &'static str,
    updates: Vec<Update>,
    sequences: Vec<Sequence>,
}

#[derive(Serialize)]
struct Update {
    why: &'static str,
    verdict: &'static str,
    before: String,
    epoch: u16,
    kem_seed: String,
    #[serde(rename = "key_update")]
    asked: String,
    #[serde(rename = "key_update_answer")]
    answered: String,
    kem_secret: String,
    hash: String,
    derived: String,
    root: String,
    secret: String,
}

#[derive(Serialize)]
struct Sequence {
    why: &'static str,
    channel: &'static str,
    secrets: Vec<String>,
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

fn expand_label(secret: &[u8], label: &str, context: &[u8]) -> Vec<u8> {
    let label = format!("passel v1 {label}");
    let mut info = vec![0, 32, u8::try_from(label.len()).unwrap()];
    info.extend_from_slice(label.as_bytes());
    info.push(u8::try_from(context.len()).unwrap());
    info.extend_from_slice(context);
    let mut out = vec![0; 32];
    Hkdf::<Sha256>::from_prk(secret).unwrap().expand(&info, &mut out).unwrap();
    out
}

fn item(out: &mut Vec<u8>, label: &str, bytes: &[u8]) {
    out.push(u8::try_from(label.len()).unwrap());
    out.extend_from_slice(label.as_bytes());
    out.extend_from_slice(&u32::try_from(bytes.len()).unwrap().to_le_bytes());
    out.extend_from_slice(bytes);
}

/// One update, and the secret that it leads to.
fn update(why: &'static str, before: &Secret32, epoch: u16, seed: u8) -> (Update, Secret32) {
    let pair = KeyPair::from_seed(&[seed; 32]);
    let encapsulation_key = Box::new(*pair.encapsulation_key());
    let asked = codec::encode(&KeyUpdate { epoch, encapsulation_key }).unwrap();
    let (ciphertext, kem) = encapsulate(pair.encapsulation_key(), &[seed + 1; 64]).unwrap();
    let answered = codec::encode(&KeyUpdateAnswer { epoch, ciphertext }).unwrap();

    let mut bytes = Vec::new();
    item(&mut bytes, "protocol", b"passel.v1");
    item(&mut bytes, "epoch", &epoch.to_le_bytes());
    item(&mut bytes, "key update", &asked);
    item(&mut bytes, "key update answer", &answered);
    let hash = Sha256::digest(&bytes).to_vec();
    let derived = expand_label(before.expose(), "derived", &[]);
    let root = Hkdf::<Sha256>::extract(Some(&derived), kem.expose()).0.to_vec();
    let secret = expand_label(&root, "epoch", &hash);
    let ours = next_secret(before, epoch, &kem, &asked, &answered);
    assert_eq!(ours.expose()[..], secret);

    let update = Update {
        why,
        verdict: "accept",
        before: hex(before.expose()),
        epoch,
        kem_seed: hex(&[seed; 32]),
        asked: hex(&asked),
        answered: hex(&answered),
        kem_secret: hex(kem.expose()),
        hash: hex(&hash),
        derived: hex(&derived),
        root: hex(&root),
        secret: hex(&secret),
    };
    (update, ours)
}

fn sequence(
    why: &'static str,
    channel: Channel,
    secrets: &[Secret32; 3],
    arrivals: &[(&'static str, Vec<u8>)],
) -> Sequence {
    let keys = |epoch: u16| {
        let secret = &secrets[usize::from(epoch)];
        RecordKeys::derive(Suite::default(), secret, epoch, Role::Initiator, 0, channel)
    };
    let mut opener = Opener::new(keys(0));
    opener.extend(keys(1));
    let records = arrivals
        .iter()
        .map(|(why, record)| {
            let result = opener.open(&mut record.clone()).map(|plaintext| hex(plaintext));
            let rule = result.as_ref().err().map(|error| match error {
                OpenError::Malformed => "RL-HEADER",
                OpenError::WrongEpoch if record[2] == 0 => "RL-UPDATE-ORDERED",
                OpenError::WrongEpoch => "RL-EPOCH",
                OpenError::OutOfOrder => "RL-ORDERED",
                OpenError::Replay => "RL-WINDOW",
                OpenError::BadTag => "RL-AUTHENTIC",
            });
            let verdict = if rule.is_none() { "accept" } else { "refuse" };
            Arrival { why, verdict, record: hex(record), plaintext: result.ok(), rule }
        })
        .collect();
    let secrets = secrets[..2].iter().map(|secret| hex(secret.expose())).collect();
    Sequence { why, channel: channel.name(), secrets, records }
}

/// Two records of each of three epochs, and then one whose counter began anew.
fn sealed(channel: Channel, secrets: &[Secret32; 3]) -> Vec<Vec<u8>> {
    let keys = |epoch: u16| {
        let secret = &secrets[usize::from(epoch)];
        RecordKeys::derive(Suite::default(), secret, epoch, Role::Initiator, 0, channel)
    };
    let seal = |sealer: &mut Sealer, text: &str| {
        let mut record = vec![0; RECORD_HEADER];
        record.extend_from_slice(text.as_bytes());
        sealer.seal(&mut record).unwrap();
        record
    };
    let mut sealer = Sealer::new(keys(0));
    let mut records = vec![seal(&mut sealer, "0.0"), seal(&mut sealer, "0.1")];
    for epoch in 1..3 {
        sealer.switch(keys(epoch));
        records.push(seal(&mut sealer, &format!("{epoch}.0")));
        records.push(seal(&mut sealer, &format!("{epoch}.1")));
    }
    records.push(seal(&mut Sealer::new(keys(1)), "anew"));
    records
}

// RL-UPDATE-SECRET, RL-UPDATE-FRAMES, RL-EPOCH, RL-NONCE-ONCE, RL-UPDATE-ORDERED, RL-WINDOW
#[test]
fn updates_agree_with_the_words_of_the_spec_and_their_vectors() {
    let zero = Secret32::new([0x5e; 32]);
    let (first, one) = update("the first update", &zero, 1, 0x21);
    let (second, two) = update("the next one", &one, 2, 0x31);
    let (far, _) = update("an epoch of three bytes", &two, 0x0102, 0x41);
    let (last, _) = update("the last epoch", &two, u16::MAX, 0x51);
    let secrets = [zero, one, two];
    let control = sealed(Channel::Control, &secrets);
    let file = sealed(Channel::File, &secrets);
    let mut claimed = file[0].clone();
    claimed[2] = 1;
    let vectors = Vectors {
        about: "Key updates: with `before`, the traffic secret of the epoch before `epoch`, and \
                `kem_seed`, the seed of the X-Wing key pair in `key_update`, given, the bodies of \
                the two frames decide all the rest. `sequences` are records of the initiator on \
                lane 0 as they arrive one after the other at an opener that is new at the start \
                of each sequence and holds the epochs 0 and 1, whose traffic secrets are \
                `secrets`. A refused record breaks `rule` and changes nothing for those behind \
                it; whether the connection goes on is not asked here. Bytes in hexadecimal.",
        spec: "spec/05-records.md",
        updates: vec![first, second, far, last],
        sequences: vec![
            sequence(
                "an ordered channel",
                Channel::Control,
                &secrets,
                &[
                    ("the first of epoch 0", control[0].clone()),
                    ("a gap: the first of epoch 1 before the last of epoch 0", control[2].clone()),
                    ("a counter that began anew with epoch 1", control[6].clone()),
                    ("the last of epoch 0", control[1].clone()),
                    ("the first of epoch 1", control[2].clone()),
                    ("an epoch that is over on this channel", control[1].clone()),
                    ("the first of epoch 1 again", control[2].clone()),
                    ("an epoch that is not held", control[4].clone()),
                    ("the second of epoch 1", control[3].clone()),
                ],
            ),
            sequence(
                "an unordered channel",
                Channel::File,
                &secrets,
                &[
                    ("the second of epoch 1", file[3].clone()),
                    ("the second of epoch 0", file[1].clone()),
                    ("the second of epoch 0 again", file[1].clone()),
                    ("an epoch that is not held", file[4].clone()),
                    ("a record of epoch 0 that says that it is of epoch 1", claimed),
                    ("the first of epoch 1", file[2].clone()),
                    ("the first of epoch 0", file[0].clone()),
                    ("a counter that began anew with epoch 1", file[6].clone()),
                    ("the second of epoch 1 again", file[3].clone()),
                ],
            ),
        ],
    };
    vector_file::check("epochs.json", &vectors);
}
