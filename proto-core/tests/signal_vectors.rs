//! Signaling as vectors (`spec/vectors/signaling.json`): SPAKE2, the keys and
//! whole exchanges of blobs. SPAKE2 and the keys are computed here a second time
//! by the words of the spec alone.

#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests

mod vector_file;

use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{ChaCha20Poly1305, KeyInit};
use curve25519_dalek::Scalar;
use curve25519_dalek::constants::ED25519_BASEPOINT_POINT;
use curve25519_dalek::edwards::{CompressedEdwardsY, EdwardsPoint};
use hkdf::Hkdf;
use passel_proto::crypto::pake::{Pake, Side};
use passel_proto::crypto::{Entropy, Secret32, SecretBytes};
use passel_proto::handshake::{Auth, ResumptionKey};
use passel_proto::signal::{SignalSecret, SignalSession};
use serde::Serialize;
use sha2::{Digest, Sha256};
use vector_file::hex;

const ROUTING: [u8; 16] = *b"\x01\x02\x03\x04\x05\x06\x07\x08routing!";
const CODE: &[u8] = b"crystal-clock";
const M: [u8; 32] = [
    0x15, 0xcf, 0xd1, 0x8e, 0x38, 0x59, 0x52, 0x98, 0x2b, 0x6a, 0x8f, 0x8c, 0x78, 0x54, 0x96, 0x3b,
    0x58, 0xe3, 0x43, 0x88, 0xc8, 0xe6, 0xda, 0xe8, 0x91, 0xdb, 0x75, 0x64, 0x81, 0xa0, 0x23, 0x12,
];
const N: [u8; 32] = [
    0xf0, 0x4f, 0x2e, 0x7e, 0xb7, 0x34, 0xb2, 0xa8, 0xf8, 0xb4, 0x72, 0xea, 0xf9, 0xc3, 0xc6, 0x32,
    0x57, 0x6a, 0xc6, 0x4a, 0xea, 0x65, 0x0b, 0x49, 0x6a, 0x8a, 0x20, 0xff, 0x00, 0xe5, 0x83, 0xc3,
];

#[derive(Serialize)]
struct Vectors {
    about: &'static str,
    spec: &'static str,
    routing_id: String,
    spake2: Spake2,
    exchanges: Vec<Exchange>,
    refused_shares: Vec<RefusedShare>,
}

#[derive(Serialize)]
struct Spake2 {
    code: String,
    password_scalar: String,
    joiner_scalar: String,
    creator_scalar: String,
    joiner_share: String,
    creator_share: String,
    group_element: String,
    secret: String,
    context: String,
}

#[derive(Serialize)]
struct Exchange {
    why: &'static str,
    mode: u16,
    secret: String,
    context: String,
    signal_root: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    psk: Option<String>,
    joiner_salt: String,
    creator_salt: String,
    joiner_key: String,
    joiner_iv: String,
    creator_key: String,
    creator_iv: String,
    joiner_payload: String,
    joiner_blob: String,
    creator_payload: String,
    creator_blob: String,
}

#[derive(Serialize)]
struct RefusedShare {
    why: &'static str,
    rule: &'static str,
    share: String,
}

fn expand_label(secret: &[u8], label: &str, context: &[u8], length: u8) -> Vec<u8> {
    let label = format!("passel v1 {label}");
    let mut info = vec![0, length, u8::try_from(label.len()).unwrap()];
    info.extend_from_slice(label.as_bytes());
    info.push(u8::try_from(context.len()).unwrap());
    info.extend_from_slice(context);
    let mut out = vec![0; length.into()];
    Hkdf::<Sha256>::from_prk(secret).unwrap().expand(&info, &mut out).unwrap();
    out
}

fn items(list: &[(&str, &[u8])]) -> Vec<u8> {
    let mut out = Vec::new();
    for (label, bytes) in [("protocol", &b"passel.v1"[..])].iter().chain(list) {
        out.push(u8::try_from(label.len()).unwrap());
        out.extend_from_slice(label.as_bytes());
        out.extend_from_slice(&u32::try_from(bytes.len()).unwrap().to_le_bytes());
        out.extend_from_slice(bytes);
    }
    Sha256::digest(&out).to_vec()
}

fn point(bytes: [u8; 32]) -> EdwardsPoint {
    CompressedEdwardsY(bytes).decompress().unwrap()
}

/// The scalar that an exchange with this seed draws: its first 64 bytes, little
/// endian, reduced.
fn scalar(seed: u8) -> Scalar {
    let mut entropy = Entropy::from_seed([seed; 32]);
    Scalar::from_bytes_mod_order_wide(&entropy.array())
}

// SG-SPAKE2, SG-SPAKE2-IDENTITIES, SG-PAKE-CONTEXT
fn spake2() -> Spake2 {
    let start = |role, seed| Pake::start(role, CODE, &ROUTING, &mut Entropy::from_seed([seed; 32]));
    let (joiner, joiner_share) = start(Side::Joiner, 1);
    let (creator, creator_share) = start(Side::Creator, 2);
    let key = joiner.finish(&creator_share).unwrap();
    assert_eq!(creator.finish(&joiner_share).unwrap().secret, key.secret);

    let mut wide = [0; 48];
    Hkdf::<Sha256>::new(Some(b""), CODE).expand(b"SPAKE2 pw", &mut wide).unwrap();
    let mut reducible = [0; 64];
    for (to, from) in reducible.iter_mut().zip(wide.iter().rev()) {
        *to = *from;
    }
    let password = Scalar::from_bytes_mod_order_wide(&reducible);
    let (x, y) = (scalar(1), scalar(2));
    let share_x = ED25519_BASEPOINT_POINT * x + point(M) * password;
    let share_y = ED25519_BASEPOINT_POINT * y + point(N) * password;
    assert_eq!(share_x.compress().to_bytes(), joiner_share);
    assert_eq!(share_y.compress().to_bytes(), creator_share);
    let shared = (share_y - point(N) * password) * x;
    let id = |name: &[u8]| Sha256::digest([name, &ROUTING].concat()).to_vec();
    let transcript = [
        Sha256::digest(CODE).to_vec(),
        id(b"passel v1 joiner "),
        id(b"passel v1 creator "),
        joiner_share.to_vec(),
        creator_share.to_vec(),
        shared.compress().to_bytes().to_vec(),
    ]
    .concat();
    assert_eq!(Sha256::digest(transcript)[..], key.secret.expose()[..]);
    let context = items(&[
        ("routing id", &ROUTING),
        ("share joiner", &joiner_share),
        ("share creator", &creator_share),
    ]);
    assert_eq!(context, key.context);
    Spake2 {
        code: String::from_utf8(CODE.to_vec()).unwrap(),
        password_scalar: hex(password.as_bytes()),
        joiner_scalar: hex(x.as_bytes()),
        creator_scalar: hex(y.as_bytes()),
        joiner_share: hex(&joiner_share),
        creator_share: hex(&creator_share),
        group_element: hex(shared.compress().as_bytes()),
        secret: hex(key.secret.expose()),
        context: hex(&context),
    }
}

fn blob(mode: u8, key: &[u8], iv: &[u8], salt: &[u8], payload: &[u8]) -> Vec<u8> {
    let header = [&[1, 2, mode, 0][..], salt, &[0; 8]].concat();
    let mut plaintext = u16::try_from(payload.len()).unwrap().to_le_bytes().to_vec();
    plaintext.extend_from_slice(payload);
    plaintext.resize(plaintext.len().next_multiple_of(256), 0);
    let cipher = ChaCha20Poly1305::new_from_slice(key).unwrap();
    let nonce: [u8; 12] = iv.try_into().unwrap(); // counter 0
    let payload = Payload { msg: &plaintext, aad: &header };
    [&header[..], &cipher.encrypt(&nonce.into(), payload).unwrap()].concat()
}

// SG-KEYS, SG-PSK, SG-DIRECTION-KEY, SG-BLOB, SG-PADDING
fn exchange(
    why: &'static str,
    mut joiner: SignalSession,
    mut creator: SignalSession,
    secret: &[u8],
    context: &[u8],
) -> Exchange {
    joiner.seal(b"an offer").unwrap();
    creator.seal(b"an answer").unwrap();
    let (mut from_joiner, mut from_creator) = (Vec::new(), Vec::new());
    for _ in 0..3 {
        while let Some(blob) = joiner.poll_blob() {
            creator.handle_blob(&blob).unwrap();
            from_joiner = blob;
        }
        while let Some(blob) = creator.poll_blob() {
            joiner.handle_blob(&blob).unwrap();
            from_creator = blob;
        }
    }
    let auth = joiner.auth().unwrap();
    let mode = u8::try_from(auth.mode()).unwrap();

    let base = Hkdf::<Sha256>::extract(Some(&[0; 32]), secret).0;
    let hash =
        items(&[("signal mode", &[mode, 0]), ("routing id", &ROUTING), ("pake context", context)]);
    let root = expand_label(&base, "signal", &hash, 32);
    let psk = match auth {
        Auth::Link(psk) | Auth::Code { secret: psk, .. } | Auth::Psk(psk) => {
            assert_eq!(expand_label(&base, "handshake psk", &hash, 32), psk.expose());
            Some(hex(psk.expose()))
        }
        Auth::Sas | Auth::Resume { .. } => None,
    };
    let (joiner_salt, creator_salt) = (&from_joiner[4..20], &from_creator[4..20]);
    let keys = |sender: u8, creator_salt: &[u8]| {
        let context = [&[sender][..], joiner_salt, creator_salt].concat();
        let key = expand_label(&root, "signal key", &context, 32);
        (key, expand_label(&root, "signal iv", &context, 12))
    };
    let (joiner_key, joiner_iv) = keys(0, &[0; 16]);
    let (creator_key, creator_iv) = keys(1, creator_salt);
    assert_eq!(from_joiner, blob(mode, &joiner_key, &joiner_iv, joiner_salt, b"an offer"));
    assert_eq!(from_creator, blob(mode, &creator_key, &creator_iv, creator_salt, b"an answer"));
    Exchange {
        why,
        mode: mode.into(),
        secret: hex(secret),
        context: hex(context),
        signal_root: hex(&root),
        psk,
        joiner_salt: hex(joiner_salt),
        creator_salt: hex(creator_salt),
        joiner_key: hex(&joiner_key),
        joiner_iv: hex(&joiner_iv),
        creator_key: hex(&creator_key),
        creator_iv: hex(&creator_iv),
        joiner_payload: hex(b"an offer"),
        joiner_blob: hex(&from_joiner),
        creator_payload: hex(b"an answer"),
        creator_blob: hex(&from_creator),
    }
}

// SG-SHARE-CHECK
fn refused_shares() -> Vec<RefusedShare> {
    use curve25519_dalek::constants::EIGHT_TORSION;
    let mut no_point = [0; 32];
    no_point[0] = 2;
    let mut above_prime = [0xff; 32];
    (above_prime[0], above_prime[31]) = (0xee, 0x7f); // 1, not reduced
    let mixed = (ED25519_BASEPOINT_POINT + EIGHT_TORSION[1]).compress().to_bytes();
    let rows: Vec<(&'static str, Vec<u8>)> = vec![
        ("the identity", EIGHT_TORSION[0].compress().to_bytes().to_vec()),
        ("a point of order 8", EIGHT_TORSION[1].compress().to_bytes().to_vec()),
        ("a point of order 4", EIGHT_TORSION[2].compress().to_bytes().to_vec()),
        ("the point of order 2", EIGHT_TORSION[4].compress().to_bytes().to_vec()),
        ("the base point plus a point of order 8", mixed.to_vec()),
        ("not the coordinate of a point", no_point.to_vec()),
        ("a coordinate that is not reduced", above_prime.to_vec()),
        ("31 bytes", vec![0x58; 31]),
    ];
    rows.into_iter()
        .map(|(why, share)| {
            let (pake, _) =
                Pake::start(Side::Joiner, CODE, &ROUTING, &mut Entropy::from_seed([1; 32]));
            assert!(pake.finish(&share).is_err(), "{why}");
            RefusedShare { why, rule: "SG-SHARE-CHECK", share: hex(&share) }
        })
        .collect()
}

#[test]
fn signaling_agrees_with_the_words_of_the_spec_and_its_vectors() {
    let link = Secret32::new([0x4c; 32]);
    let code = SecretBytes::new(CODE.to_vec());
    let by_link = exchange(
        "by link",
        SignalSession::joiner_link(&link, &ROUTING, &mut Entropy::from_seed([3; 32])).unwrap(),
        SignalSession::creator(
            Some(link.clone()),
            None,
            &ROUTING,
            &mut Entropy::from_seed([4; 32]),
        )
        .unwrap(),
        link.expose(),
        &[],
    );
    // A session draws its salt before its scalar.
    let after_salt = |seed: u8| {
        let mut entropy = Entropy::from_seed([seed; 32]);
        entropy.array::<16>();
        entropy
    };
    let (joiner, _) = Pake::start(Side::Joiner, CODE, &ROUTING, &mut after_salt(5));
    let (_, creator_share) = Pake::start(Side::Creator, CODE, &ROUTING, &mut after_salt(6));
    let key = joiner.finish(&creator_share).unwrap();
    let by_code = exchange(
        "by code; the shares went before, and their outcome is `secret` and `context`",
        SignalSession::joiner_code(&code, &ROUTING, &mut Entropy::from_seed([5; 32])).unwrap(),
        SignalSession::creator(None, Some(&code), &ROUTING, &mut Entropy::from_seed([6; 32]))
            .unwrap(),
        key.secret.expose(),
        &key.context,
    );
    // SG-SAS: the same with the password that everybody knows.
    let (joiner, _) = Pake::start(Side::Joiner, b"passel v1 sas", &ROUTING, &mut after_salt(7));
    let (_, share) = Pake::start(Side::Creator, b"passel v1 sas", &ROUTING, &mut after_salt(8));
    let key = joiner.finish(&share).unwrap();
    let by_sas = exchange(
        "without a secret, likewise, the password being `passel v1 sas`; there is no psk",
        SignalSession::joiner_sas(&ROUTING, &mut Entropy::from_seed([7; 32])).unwrap(),
        SignalSession::creator_sas(&ROUTING, &mut Entropy::from_seed([8; 32])).unwrap(),
        key.secret.expose(),
        &key.context,
    );
    let by_secret = |why, secret: &SignalSecret, seed: u8| {
        let entropy = |seed: u8| Entropy::from_seed([seed; 32]);
        exchange(
            why,
            SignalSession::joiner_secret(secret, &ROUTING, &mut entropy(seed)).unwrap(),
            SignalSession::creator_secret(secret.clone(), &ROUTING, &mut entropy(seed + 1))
                .unwrap(),
            &[0x4c; 32],
            &[],
        )
    };
    let secret = || Secret32::new([0x4c; 32]);
    let by_psk = by_secret("by a key of the embedder's own", &SignalSecret::Psk(secret()), 9);
    let key = ResumptionKey { id: [1; 16], secret: Secret32::new([2; 32]) };
    let kept = SignalSecret::Resume { link: secret(), key, other: None };
    let by_kept = by_secret("by what was kept of a session; the psk is that one's", &kept, 11);
    let vectors = Vectors {
        about: "SPAKE2 over a code, and the first sealed blob of each side, in each mode. \
                Scalars are little endian. The shares of `refused_shares` break `rule`. Bytes in \
                hexadecimal.",
        spec: "spec/08-signaling.md",
        routing_id: hex(&ROUTING),
        spake2: spake2(),
        exchanges: vec![by_link, by_code, by_sas, by_psk, by_kept],
        refused_shares: refused_shares(),
    };
    vector_file::check("signaling.json", &vectors);
}
