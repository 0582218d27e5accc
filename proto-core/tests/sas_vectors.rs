//! Short authentication strings as vectors (`spec/vectors/sas.json`), computed a
//! second time from the words of the spec and the list in `words.json`.

#![allow(clippy::unwrap_used)] // a test that fails says so

mod vector_file;

use hkdf::Hkdf;
use passel_proto::crypto::Secret32;
use passel_proto::handshake::{SAS_BYTES, SAS_DIGITS, SAS_LIST, Sas, sas_commitment};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
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
    sas: String,
    nonce: String,
    commitment: String,
    value: String,
    words: Vec<String>,
    digits: String,
}

#[derive(Deserialize)]
struct List {
    words: Vec<String>,
}

fn list() -> Vec<String> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../spec/vectors/words.json");
    serde_json::from_str::<List>(&std::fs::read_to_string(path).unwrap()).unwrap().words
}

// HS-SAS-COMMIT, HS-SAS-VALUE, HS-SAS-SHOWN
fn case(why: &'static str, secret: [u8; 32], nonce: [u8; 32], list: &[String]) -> Case {
    let items = [&b"\x08protocol\x09\0\0\0passel.v1\x09sas nonce\x20\0\0\0"[..], &nonce].concat();
    let commitment = Sha256::digest(items).to_vec();
    assert_eq!(sas_commitment(&nonce)[..], commitment);

    let info = [&b"\0\x0a\x13passel v1 sas value\x20"[..], &nonce].concat();
    let mut value = [0; 10];
    Hkdf::<Sha256>::from_prk(&secret).unwrap().expand(&info, &mut value).unwrap();
    let sas = Sas::derive(&Secret32::new(secret), &Secret32::new(nonce));
    assert_eq!((sas.bytes(), SAS_BYTES), (&value, value.len()));

    let place = |at: usize| (usize::from(value[at]) * 256 + usize::from(value[at + 1])) % 2048;
    let places = [0, 2, 4].map(place);
    assert_eq!(sas.words().map(usize::from), places);
    let number = value[6..].iter().fold(0u64, |sum, byte| sum * 256 + u64::from(*byte)) % 10_000;
    assert_eq!(u64::from(sas.digits()), number);
    Case {
        why,
        sas: hex(&secret),
        nonce: hex(&nonce),
        commitment: hex(&commitment),
        value: hex(&value),
        words: places.map(|place| list[place].clone()).to_vec(),
        digits: format!("{number:0SAS_DIGITS$}"),
    }
}

#[test]
fn short_authentication_strings_agree_with_the_words_of_the_spec_and_their_vectors() {
    let list = list();
    assert_eq!(list.len(), usize::from(SAS_LIST));
    // A secret whose digits begin with a zero, so that they are seen to be kept.
    let small = (0..=255)
        .find(|byte| {
            let nonce = Secret32::new([*byte; 32]);
            Sas::derive(&Secret32::new([0x5a; 32]), &nonce).digits() < 1000
        })
        .unwrap();
    let vectors = Vectors {
        about: "What two people compare: from the session's secret `sas` and the initiator's \
                `nonce` to the ten bytes of `value`, and from these to words and digits. \
                `commitment` is what HELLO_I says of the nonce. Bytes in hexadecimal.",
        spec: "spec/04-handshake.md",
        cases: vec![
            case("a secret and a nonce", [0x5a; 32], [0xc3; 32], &list),
            case("another nonce under the same secret", [0x5a; 32], [0xc4; 32], &list),
            case("the same nonce under another secret", [0x5b; 32], [0xc3; 32], &list),
            case("digits that begin with a zero", [0x5a; 32], [small; 32], &list),
        ],
    };
    vector_file::check("sas.json", &vectors);
}
