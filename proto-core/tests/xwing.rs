//! X-Wing against the draft's own test vectors and against an implementation
//! that is not ours. The file `spec/vectors/xwing.json` keeps the draft's values
//! as they were published; the hostile ones beside them are made here.

#![allow(clippy::unwrap_used)] // helpers of tests

mod vector_file;

use passel_proto::crypto::Entropy;
use passel_proto::crypto::kem::{
    CIPHERTEXT, ENCAPSULATION_KEY, KemError, KeyPair, RANDOMNESS, SEED, encapsulate,
};
use serde::{Deserialize, Serialize};
use vector_file::hex;
use x_wing::{Decapsulate, KeyExport, TryKeyInit};

#[derive(Serialize, Deserialize)]
struct Vectors {
    about: String,
    spec: String,
    cases: Vec<Case>,
    refused: Vec<Refused>,
}

#[derive(Clone, Serialize, Deserialize)]
struct Case {
    why: String,
    seed: String,
    eseed: String,
    pk: String,
    ct: String,
    ss: String,
}

#[derive(Serialize, Deserialize)]
struct Refused {
    why: String,
    rule: String,
    /// `pk` for an encapsulation key, `ct` for a ciphertext to the first case's seed.
    kind: String,
    value: String,
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
        .collect()
}

fn array<const N: usize>(text: &str) -> [u8; N] {
    unhex(text).try_into().unwrap()
}

fn stored() -> Vectors {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../spec/vectors/xwing.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

// HS-KEM
#[test]
fn the_vectors_of_the_draft_pass() {
    let vectors = stored();
    assert_eq!(vectors.cases.len(), 3);
    for case in &vectors.cases {
        let pair = KeyPair::from_seed(&array::<SEED>(&case.seed));
        assert_eq!(hex(pair.encapsulation_key()), case.pk);
        let (ct, ss) = encapsulate(&unhex(&case.pk), &array::<RANDOMNESS>(&case.eseed)).unwrap();
        assert_eq!(hex(&ct[..]), case.ct);
        assert_eq!(hex(ss.expose()), case.ss);
        assert_eq!(hex(pair.decapsulate(&unhex(&case.ct)).unwrap().expose()), case.ss);
    }
}

/// The hostile values, made from the draft's first case.
fn refused(first: &Case) -> Vec<Refused> {
    let (pk, ct) = (unhex(&first.pk), unhex(&first.ct));
    let mut minus_one = [0xff; 32];
    (minus_one[0], minus_one[31]) = (0xec, 0x7f);
    let mut prime = minus_one;
    prime[0] = 0xed;
    let mut high_bit = [0; 32];
    (high_bit[0], high_bit[31]) = (9, 0x80);
    let mut out = Vec::new();
    for (kind, honest) in [("pk", &pk), ("ct", &ct)] {
        let mut add = |why: &str, rule: &str, value: &[u8]| {
            out.push(Refused {
                why: why.to_owned(),
                rule: rule.to_owned(),
                kind: kind.to_owned(),
                value: hex(value),
            });
        };
        let with_x = |x: [u8; 32]| [&honest[..honest.len() - 32], &x].concat();
        add("X25519 value 0", "HS-KEM-CONTRIBUTORY", &with_x([0; 32]));
        add("X25519 value p - 1", "HS-KEM-CONTRIBUTORY", &with_x(minus_one));
        add("X25519 value p, which is 0 unreduced", "HS-KEM-CANONICAL", &with_x(prime));
        add("X25519 value with its highest bit set", "HS-KEM-CANONICAL", &with_x(high_bit));
        add("one byte short", "HS-KEM-LENGTH", &honest[..honest.len() - 1]);
        add("one byte long", "HS-KEM-LENGTH", &[&honest[..], &[0]].concat());
        if kind == "pk" {
            let mut coefficient = honest.clone();
            (coefficient[0], coefficient[1]) = (0x01, (coefficient[1] & 0xf0) | 0x0d);
            add("first ML-KEM coefficient is 3329", "HS-KEM-CANONICAL", &coefficient);
        }
    }
    out
}

// HS-KEM-CONTRIBUTORY, HS-KEM-CANONICAL, HS-KEM-LENGTH
#[test]
fn hostile_values_are_refused_by_their_rule() {
    let cases = stored().cases;
    let refused = refused(&cases[0]);
    for value in &refused {
        let error = match value.kind.as_str() {
            "pk" => encapsulate(&unhex(&value.value), &[7; RANDOMNESS]).unwrap_err(),
            _ => KeyPair::from_seed(&array(&cases[0].seed))
                .decapsulate(&unhex(&value.value))
                .unwrap_err(),
        };
        let rule = match error {
            KemError::Length => "HS-KEM-LENGTH",
            KemError::NotCanonical => "HS-KEM-CANONICAL",
            KemError::LowOrder => "HS-KEM-CONTRIBUTORY",
        };
        assert_eq!(rule, value.rule, "{} {}", value.kind, value.why);
    }
    let vectors = Vectors {
        about: "X-Wing. `cases` are the test vectors of draft-connolly-cfrg-xwing-kem, all to \
                be accepted: the key pair of `seed` has the encapsulation key `pk`, and \
                encapsulation to it with the randomness `eseed` gives `ct` and `ss`. `refused` \
                are encapsulation keys (`pk`), and ciphertexts (`ct`) for the first seed, that \
                break `rule`. All in hexadecimal."
            .to_owned(),
        spec: "spec/04-handshake.md#kem".to_owned(),
        cases,
        refused,
    };
    vector_file::check("xwing.json", &vectors);
}

// HS-KEM: both directions with the x-wing crate.
#[test]
fn another_implementation_agrees_in_both_directions() {
    let mut random = Entropy::from_seed([0x77; 32]);
    for _ in 0..50 {
        let seed: [u8; SEED] = random.array();
        let randomness: [u8; RANDOMNESS] = random.array();
        let ours = KeyPair::from_seed(&seed);
        let theirs = x_wing::DecapsulationKey::from(seed);
        let their_key = x_wing::Decapsulator::encapsulation_key(&theirs);
        assert_eq!(ours.encapsulation_key()[..], their_key.to_bytes()[..]);

        let (ct, ss) = encapsulate(&their_key.to_bytes(), &randomness).unwrap();
        let mut ciphertext = x_wing::Ciphertext::default();
        ciphertext.copy_from_slice(&ct[..]);
        assert_eq!(theirs.decapsulate(&ciphertext)[..], ss.expose()[..]);

        let their_key =
            x_wing::EncapsulationKey::new_from_slice(&ours.encapsulation_key()[..]).unwrap();
        let (their_ct, their_ss) = their_key.encapsulate_deterministic(&randomness.into());
        assert_eq!(their_ct[..], ct[..]);
        assert_eq!(ours.decapsulate(&their_ct).unwrap().expose()[..], their_ss[..]);

        // Implicit rejection, too.
        ciphertext[random.array::<1>()[0] as usize] ^= 1;
        assert_eq!(
            ours.decapsulate(&ciphertext).unwrap().expose()[..],
            theirs.decapsulate(&ciphertext)[..]
        );
    }
    assert_eq!((ENCAPSULATION_KEY, CIPHERTEXT), (1216, 1120));
}
