//! The vectors of statements and receipts (`spec/vectors/receipt.json`). What is
//! in them is said by a connection, or judged by one: a peer made by hand plays
//! the other end and computes everything by the words of the spec.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod forger;
mod support;
mod vector_file;

use std::time::Duration;

use forger::{CHUNK, Forger, OURS, root_in_chunks, root_of};
use passel_proto::connection::Event;
use passel_proto::crypto::schedule;
use passel_proto::frame::{
    Accept, Complete, FailedFile, FileFailed, Frame, FrameWriter, Receipt, Selection,
};
use passel_proto::ids::{FileIndex, TransferId};
use passel_proto::storage::StorageErrorKind;
use serde::Serialize;
use sha2::{Digest, Sha256};
use support::{Fault, content, manifest};
use vector_file::hex;

#[derive(Serialize)]
struct Vectors {
    about: &'static str,
    spec: &'static str,
    receipts: Vec<Case>,
}

#[derive(Serialize)]
struct Case {
    why: &'static str,
    statements: Vec<Statement>,
    statements_bytes: String,
    statements_digest: String,
    receipt_key: String,
    receiver: &'static str,
    receipt: String,
    verdict: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<&'static str>,
}

#[derive(Serialize)]
#[serde(tag = "verdict", rename_all = "lowercase")]
enum Statement {
    Sent { place: u32, length: String, root: String },
    Failed { place: u32, code: u16 },
}

/// Statements as they are told and as they are hashed (TR-STATEMENTS).
struct Statements {
    told: Vec<Statement>,
    bytes: Vec<u8>,
}

impl Statements {
    fn new() -> Self {
        Statements { told: Vec::new(), bytes: b"passel v1 statements".to_vec() }
    }

    fn sent(mut self, place: u32, length: u64, root: [u8; 32]) -> Self {
        self.bytes.extend(place.to_le_bytes());
        self.bytes.push(1);
        self.bytes.extend(length.to_le_bytes());
        self.bytes.extend(root);
        self.told.push(Statement::Sent { place, length: length.to_string(), root: hex(&root) });
        self
    }

    fn failed(mut self, place: u32, code: u16) -> Self {
        self.bytes.extend(place.to_le_bytes());
        self.bytes.push(0);
        self.bytes.extend(code.to_le_bytes());
        self.told.push(Statement::Failed { place, code });
        self
    }

    fn digest(&self) -> [u8; 32] {
        Sha256::digest(&self.bytes).into()
    }
}

fn case(
    why: &'static str,
    forger: &Forger,
    statements: Statements,
    (receiver, receipt): (&'static str, &Receipt),
    rule: Option<&'static str>,
) -> Case {
    let mut frame = Vec::new();
    FrameWriter::new(&mut frame, 0).frame(&Frame::from(receipt.clone())).unwrap();
    Case {
        why,
        statements_digest: hex(&statements.digest()),
        statements_bytes: hex(&statements.bytes),
        statements: statements.told,
        receipt_key: hex(forger.receipt_key().expose()),
        receiver,
        receipt: hex(&frame),
        verdict: if rule.is_none() { "accept" } else { "refuse" },
        rule,
    }
}

/// A receipt of a connection, which is the responder, for files of which one
/// fails at the sender and one at the receiver.
fn from_a_connection() -> Case {
    let files = [("a", content(100, 1)), ("b", content(5, 2)), ("c", vec![]), ("d", vec![])];
    let mut forger = Forger::new(manifest(&files));
    forger.disk.faults.push(Fault::Commit(1, StorageErrorKind::Other));
    forger.accepted();
    forger.chunk(0, 0, &files[0].1, &files[0].1);
    forger.end(0, &files[0].1);
    forger.wait(Duration::from_millis(200));
    let (transfer, file, text) = (OURS, FileIndex(1), String::new());
    forger.send(FileFailed { transfer, file, code: 0x26, text });
    forger.end(2, &[]);
    forger.end(3, &[]);
    let statements = Statements::new()
        .sent(0, 100, root_of(&files[0].1))
        .failed(1, 0x26)
        .sent(2, 0, root_of(&[]))
        .sent(3, 0, root_of(&[]));
    // The connection closes if its own digest is another (TR-STATEMENTS-CHECK).
    forger.send(Complete { transfer, statements: statements.digest() });
    forger.wait(Duration::from_millis(200));
    assert_eq!(forger.refused(), None);
    let receipt = forger.got.iter().find_map(|(frame, _)| match frame {
        Frame::Receipt(receipt) => Some(receipt.clone()),
        _ => None,
    });
    let receipt = receipt.unwrap();
    let receiver = ("responder", &receipt);
    assert_eq!((receipt.delivered, receipt.failed, receipt.listed.len()), (2, 2, 2));
    case("one file failed at each side", &forger, statements, receiver, None)
}

/// The fields that a receipt vector sets, and the issuer that its MAC names.
struct Made {
    role: u8,
    delivered: u32,
    failed: u32,
    listed: Vec<FailedFile>,
    statements: [u8; 32],
    spoilt: bool,
}

/// A receipt that is made by hand, by the initiator, and what a connection
/// that sent the files makes of it.
fn to_a_connection(
    why: &'static str,
    rule: Option<&'static str>,
    change: impl Fn(&mut Made),
) -> Case {
    let transfer = TransferId(1);
    let files = [("a", content(300, 3)), ("b", content(65_536 + 1, 4))];
    let mut forger = Forger::new(manifest(&files));
    for (place, (_, content)) in (0..).zip(&files) {
        forger.disk.source.insert(place, content.clone());
    }
    let id = forger.victim.offer(forger.now, forger.manifest.clone(), "").unwrap();
    assert_eq!(id, transfer);
    forger.drain();
    forger.send(Accept { transfer, more: false, selection: Selection::All });
    let chunk = CHUNK * 4;
    let statements = Statements::new().sent(0, 300, root_in_chunks(&files[0].1, chunk)).sent(
        1,
        65_537,
        root_in_chunks(&files[1].1, chunk),
    );
    let complete = Frame::from(Complete { transfer, statements: statements.digest() });
    assert_eq!(forger.count(|frame| *frame == complete), 1, "the connection's own digest");

    let mut made = Made {
        role: 0,
        delivered: 2,
        failed: 0,
        listed: vec![],
        statements: statements.digest(),
        spoilt: false,
    };
    change(&mut made);
    let mut receipt = Receipt {
        transfer,
        delivered: made.delivered,
        failed: made.failed,
        listed: made.listed,
        statements: made.statements,
        mac: [0; 32],
    };
    // TR-RECEIPT-MAC: the body is what stands behind the frame's type and length.
    let mut frame = Vec::new();
    FrameWriter::new(&mut frame, 0).frame(&Frame::from(receipt.clone())).unwrap();
    let message = [&b"passel v1 receipt"[..], &[made.role], &frame[2..frame.len() - 32]].concat();
    receipt.mac = schedule::hmac(forger.receipt_key(), &message);
    if made.spoilt {
        receipt.mac[31] ^= 1;
    }
    forger.send(receipt.clone());
    let done = forger.events.iter().any(|event| matches!(event, Event::Completed { .. }));
    assert_eq!(done, rule.is_none(), "{why}");
    assert_eq!(forger.refused().is_some(), rule.is_some(), "{why}");
    case(why, &forger, statements, ("initiator", &receipt), rule)
}

// TR-STATEMENTS, TR-RECEIPT-MAC, TR-RECEIPT-FIELDS, TR-RECEIPT-CHECK
#[test]
fn statements_and_receipts_agree_with_their_vectors() {
    let check = Some("TR-RECEIPT-CHECK");
    let vectors = Vectors {
        about: "Whole transfers from their end: the statements on the selected files, the bytes that \
                are hashed for them and the digest, and a RECEIPT (the whole frame) that the sender \
                gets for them from its receiver, which is the `receiver` of the connection. A \
                refused one breaks `rule`. Lengths are decimal texts, bytes are in hexadecimal.",
        spec: "spec/07-transfer.md",
        receipts: vec![
            from_a_connection(),
            to_a_connection("two files delivered", None, |_| {}),
            to_a_connection("one delivered, one failed", None, |made| {
                (made.delivered, made.failed) = (1, 1);
                made.listed = vec![FailedFile { file: FileIndex(1), code: 0x24 }];
            }),
            to_a_connection("a MAC with one bit changed", check, |made| made.spoilt = true),
            to_a_connection("a MAC of the other role", check, |made| made.role = 1),
            to_a_connection("other statements", check, |made| made.statements = [9; 32]),
            to_a_connection("more delivered than sent", check, |made| made.delivered = 3),
            to_a_connection("a file that is nowhere", check, |made| made.delivered = 1),
        ],
    };
    vector_file::check("receipt.json", &vectors);
}
