//! The chapter of the annotated session, written from its vectors. The head is
//! by hand; PASSEL_BLESS=1 writes the file, as it does the vectors.

use std::fmt::Write as _;

use sha2::{Digest, Sha256};

use super::parts::Part;
use super::{Message, Vectors};

const HEAD: &str = "# 14. A session, byte by byte

<!-- Written by the test `session_vectors` of proto-core with PASSEL_BLESS=1; not to be edited. -->

This chapter commands nothing. It shows one whole session between two peers that hold a PSK: all that they sent, in order,
cut into fields. It was recorded from the implementation, and the same session is in `vectors/session.json`, in full and
with everything that is secret in it, so that each byte can be computed again: the X-Wing seed and randomness, the shared
secret, the transcript hash, the traffic secret and the keys of each channel.

The responder offers the directory `docs` with three small files in it, one of them empty, and `two.bin`, which has six
bytes more than fit into a piece of 1024. The initiator takes all but `docs/unwanted`. When the receipt is there, the
responder closes. What is sent fits into the credit that a transfer begins with, so no CREDIT is due.

Of each message its offset, the field, the statement or section that decides about it, and the bytes, with the value
behind `=` where the bytes need it. Bytes of more than 96 are shortened: the first eight, the length, and the SHA-256
of all. Within a record, offsets begin anew with the plaintext.
";

/// Longest field that is shown in full, and how much of it fits a line.
const FULL: usize = 96;
const LINE: usize = 32;

/// Fails unless the chapter is what these vectors make of it.
pub(crate) fn check(vectors: &Vectors) {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../spec/14-session.md");
    let wanted = text(vectors);
    if std::env::var_os("PASSEL_BLESS").is_some_and(|value| value == "1") {
        std::fs::write(path, &wanted).unwrap();
    }
    let found = std::fs::read_to_string(path).unwrap_or_default();
    assert!(found == wanted, "spec/14-session.md is out of date: run again with PASSEL_BLESS=1");
    assert!(wanted.lines().count() < 600, "the chapter is too long to be read");
}

fn text(vectors: &Vectors) -> String {
    let mut out = HEAD.to_owned();
    out.push_str("\n## Secrets\n\n```\n");
    let secrets = &vectors.secrets;
    for (name, value) in [
        ("psk", &secrets.psk),
        ("binding initiator", &secrets.binding_initiator),
        ("binding responder", &secrets.binding_responder),
        ("kem_seed", &secrets.kem_seed),
        ("kem_secret", &secrets.kem_secret),
        ("transcript", &secrets.transcript),
        ("epoch", &secrets.epoch),
        ("receipt", &secrets.receipt),
    ] {
        let _ = writeln!(out, "{name:<18} {value}");
    }
    out.push_str("```\n\n## Messages\n");
    for message in &vectors.messages {
        one(&mut out, message);
    }
    out
}

fn one(out: &mut String, message: &Message) {
    let Message { number, sender, channel, what, .. } = message;
    let _ = writeln!(out, "\n### {number}. {sender}, `{channel}`: {what}\n\n```");
    message.fields.iter().for_each(|part| row(out, part));
    if message.plaintext.is_some() {
        out.push_str("plaintext\n");
    }
    message.plaintext_fields.iter().for_each(|part| row(out, part));
    out.push_str("```\n");
}

fn row(out: &mut String, part: &Part) {
    let Part { offset, name, value, defined, .. } = part;
    let _ = write!(out, "{offset:>5}  {name:<17}  {defined:<15}");
    let length = part.bytes.len() / 2;
    let behind = if value.is_empty() { String::new() } else { format!("  = {value}") };
    if length > FULL {
        let hash = crate::vector_file::hex(&Sha256::digest(unhex(&part.bytes)));
        let indent = " ".repeat(41);
        let _ = writeln!(out, "  {}… {length} bytes, SHA-256\n{indent}{hash}", &part.bytes[..16]);
        return;
    }
    let lines: Vec<&str> = part
        .bytes
        .as_bytes()
        .chunks(2 * LINE)
        .map(|line| std::str::from_utf8(line).unwrap())
        .collect();
    let _ = writeln!(out, "  {}{behind}", lines.join(&format!("\n{}", " ".repeat(41))));
}

fn unhex(text: &str) -> Vec<u8> {
    let byte = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
    (0..text.len()).step_by(2).map(byte).collect()
}
