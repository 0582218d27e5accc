//! The encoding is the spec's, not a crate's: another encoder writes and reads
//! the same bytes for every frame. Were bincode to go away, the format would
//! stay. The other encoder sees its own types here, written from the spec's
//! tables (`spec/03-wire.md`), so that an agreement is no accident.

#![allow(clippy::unwrap_used, clippy::large_stack_arrays)] // a test that fails says so

use passel_proto::codec;
use passel_proto::frame as ours;
use passel_proto::ids::{FileIndex, Token, TransferId};
use wincode::config::Configuration;
use wincode::{SchemaRead, SchemaWrite};

macro_rules! config {
    () => {
        Configuration::default()
            .with_varint_encoding()
            .with_length_encoding::<wincode::len::UseIntLen<u64>>()
            .with_tag_encoding::<u32>()
    };
}

macro_rules! theirs {
    ($($name:ident { $($field:ident: $kind:ty),* $(,)? })*) => {
        $(#[derive(SchemaWrite, SchemaRead, PartialEq, Debug)]
        struct $name { $($field: $kind),* })*
    };
}

theirs! {
    Offer {
        transfer: u32, entries: u32, bytes: u64, digest: [u8; 32], chunk_log2: u8,
        piece_log2: u8, hash: u8, token: [u8; 16], note: String,
    }
    ManifestPage { transfer: u32, first: u32, count: u32, entries: Vec<u8> }
    EntryRange { first: u32, count: u32 }
    Accept { transfer: u32, more: bool, selection: Selection }
    Reject { transfer: u32, code: u16, text: String }
    FileEnd { transfer: u32, file: u32, size: u64, root: [u8; 32] }
    Data { transfer: u32, file: u32, offset: u64, leaf: Option<[u8; 32]> }
    AckRange { file: u32, first: u64, count: u64 }
    Ack { transfer: u32, ranges: Vec<AckRange> }
    Nack { transfer: u32, file: u32, chunk: u64 }
    Credit { transfer: Option<u32>, limit: u64 }
    Complete { transfer: u32, statements: [u8; 32] }
    FailedFile { file: u32, code: u16 }
    Receipt {
        transfer: u32, delivered: u32, failed: u32, listed: Vec<FailedFile>,
        statements: [u8; 32], mac: [u8; 32],
    }
    FileFailed { transfer: u32, file: u32, code: u16, text: String }
    ChunkRange { first: u64, count: u64 }
    Have { transfer: u32, file: u32, ranges: Vec<ChunkRange>, digest: Option<[u8; 32]> }
    Stored { transfer: u32, files: Vec<EntryRange> }
    LeavesWanted { transfer: u32, file: u32, first: u64, count: u32 }
    Leaves { transfer: u32, file: u32, first: u64, hashes: Vec<[u8; 32]> }
    Ping { token: u64 }
    Pause { transfer: u32 }
    Resumable { id: [u8; 16] }
    LaneSignal { lane: u16, payload: Vec<u8> }
    LaneTally { transfer: u32, cost: u64 }
    LaneEnd { lane: u16, cost: u64, transfers: Vec<LaneTally> }
    KeyUpdate { epoch: u16, encapsulation_key: [u8; 1216] }
    KeyUpdateAnswer { epoch: u16, ciphertext: [u8; 1120] }
    Close { code: u16, text: String }
}

#[derive(SchemaWrite, SchemaRead, PartialEq, Debug)]
enum Message {
    Text(String),
    Binary(Vec<u8>),
}

#[derive(SchemaWrite, SchemaRead, PartialEq, Debug)]
enum Selection {
    All,
    Ranges(Vec<EntryRange>),
}

/// Numbers on both sides of every length that a varint can have.
const NUMBERS: [u64; 9] = [0, 1, 250, 251, 65_535, 65_536, 4_294_967_295, 4_294_967_296, u64::MAX];

fn low(number: u64) -> u32 {
    u32::try_from(number & 0xffff_ffff).unwrap()
}

/// Compares the two encodings, and reads each with the other.
macro_rules! same {
    ($ours:expr, $theirs:expr, $of_ours:ty, $of_theirs:ty) => {{
        let (ours, theirs): ($of_ours, $of_theirs) = ($ours, $theirs);
        let bytes = codec::encode(&ours).unwrap();
        assert_eq!(bytes, wincode::config::serialize(&theirs, config!()).unwrap());
        let read: $of_theirs = wincode::config::deserialize_exact(&bytes, config!()).unwrap();
        assert_eq!(read, theirs);
        assert_eq!(codec::decode::<$of_ours>(&bytes).unwrap(), ours);
    }};
}

#[test]
fn another_encoder_writes_and_reads_the_same_bytes_for_every_frame() {
    for number in NUMBERS {
        let small = low(number);
        let code = u16::try_from(number & 0xffff).unwrap();
        let (transfer, file) = (TransferId(small), FileIndex(small));
        let text = "naïve 日本".repeat(usize::from(code % 30));
        let hash = [u8::try_from(number & 0xff).unwrap(); 32];
        let (entries, bytes, digest, note) = (small, number, hash, text.clone());
        let (chunk_log2, piece_log2, kind) = (16, 14, 1);
        same!(
            ours::Offer {
                transfer,
                entries,
                bytes,
                digest,
                chunk_log2,
                piece_log2,
                hash: kind,
                token: Token([6; 16]),
                note: note.clone()
            },
            Offer {
                transfer: small,
                entries,
                bytes,
                digest,
                chunk_log2,
                piece_log2,
                hash: kind,
                token: [6; 16],
                note
            },
            ours::Offer,
            Offer
        );
        let page = vec![7; usize::from(code % 700)];
        same!(
            ours::ManifestPage { transfer, first: small, count: small, entries: page.clone() },
            ManifestPage { transfer: small, first: small, count: small, entries: page },
            ours::ManifestPage,
            ManifestPage
        );
        same!(
            ours::Accept { transfer, more: true, selection: ours::Selection::All },
            Accept { transfer: small, more: true, selection: Selection::All },
            ours::Accept,
            Accept
        );
        let range = ours::EntryRange { first: small, count: 3 };
        same!(
            ours::Accept {
                transfer,
                more: false,
                selection: ours::Selection::Ranges(vec![range; 2])
            },
            Accept {
                transfer: small,
                more: false,
                selection: Selection::Ranges(vec![
                    EntryRange { first: small, count: 3 },
                    EntryRange { first: small, count: 3 },
                ]),
            },
            ours::Accept,
            Accept
        );
        same!(
            ours::Reject { transfer, code, text: text.clone() },
            Reject { transfer: small, code, text: text.clone() },
            ours::Reject,
            Reject
        );
        // CANCEL has the layout of REJECT.
        same!(
            ours::Cancel { transfer, code, text: text.clone() },
            Reject { transfer: small, code, text: text.clone() },
            ours::Cancel,
            Reject
        );
        same!(
            ours::FileEnd { transfer, file, size: number, root: hash },
            FileEnd { transfer: small, file: small, size: number, root: hash },
            ours::FileEnd,
            FileEnd
        );
        for leaf in [None, Some(hash)] {
            same!(
                ours::Data { transfer, file, offset: number, leaf },
                Data { transfer: small, file: small, offset: number, leaf },
                ours::Data,
                Data
            );
        }
        same!(
            ours::Ack { transfer, ranges: vec![ours::AckRange { file, first: number, count: 9 }] },
            Ack {
                transfer: small,
                ranges: vec![AckRange { file: small, first: number, count: 9 }]
            },
            ours::Ack,
            Ack
        );
        same!(
            ours::Nack { transfer, file, chunk: number },
            Nack { transfer: small, file: small, chunk: number },
            ours::Nack,
            Nack
        );
        for of in [None, Some(small)] {
            same!(
                ours::Credit { transfer: of.map(TransferId), limit: number },
                Credit { transfer: of, limit: number },
                ours::Credit,
                Credit
            );
        }
        same!(
            ours::Complete { transfer, statements: hash },
            Complete { transfer: small, statements: hash },
            ours::Complete,
            Complete
        );
        same!(
            ours::Receipt {
                transfer,
                delivered: small,
                failed: small,
                listed: vec![ours::FailedFile { file, code }],
                statements: hash,
                mac: hash,
            },
            Receipt {
                transfer: small,
                delivered: small,
                failed: small,
                listed: vec![FailedFile { file: small, code }],
                statements: hash,
                mac: hash,
            },
            ours::Receipt,
            Receipt
        );
        same!(
            ours::FileFailed { transfer, file, code, text: text.clone() },
            FileFailed { transfer: small, file: small, code, text: text.clone() },
            ours::FileFailed,
            FileFailed
        );
        same!(
            ours::Message::Text(text.clone()),
            Message::Text(text.clone()),
            ours::Message,
            Message
        );
        let some = vec![7; usize::from(code % 700)];
        same!(ours::Message::Binary(some.clone()), Message::Binary(some), ours::Message, Message);
        let runs = [(0, number), (number, 7)];
        let ours_run = |&(first, count)| ours::ChunkRange { first, count };
        same!(
            ours::Have {
                transfer,
                file,
                ranges: runs.iter().map(ours_run).collect(),
                digest: Some(hash)
            },
            Have {
                transfer: small,
                file: small,
                ranges: runs.iter().map(|&(first, count)| ChunkRange { first, count }).collect(),
                digest: Some(hash)
            },
            ours::Have,
            Have
        );
        same!(
            ours::Stored { transfer, files: vec![range] },
            Stored { transfer: small, files: vec![EntryRange { first: small, count: 3 }] },
            ours::Stored,
            Stored
        );
        same!(
            ours::LeavesWanted { transfer, file, first: number, count: small },
            LeavesWanted { transfer: small, file: small, first: number, count: small },
            ours::LeavesWanted,
            LeavesWanted
        );
        same!(
            ours::Leaves { transfer, file, first: number, leaves: vec![hash; 2] },
            Leaves { transfer: small, file: small, first: number, hashes: vec![hash; 2] },
            ours::Leaves,
            Leaves
        );
        same!(ours::Pause { transfer }, Pause { transfer: small }, ours::Pause, Pause);
        same!(ours::Resume { transfer }, Pause { transfer: small }, ours::Resume, Pause);
        let id: [u8; 16] = hash[..16].try_into().unwrap();
        same!(ours::Resumable { id }, Resumable { id }, ours::Resumable, Resumable);
        let payload = hash.to_vec();
        same!(
            ours::LaneSignal { lane: code, payload: payload.clone() },
            LaneSignal { lane: code, payload },
            ours::LaneSignal,
            LaneSignal
        );
        same!(
            ours::LaneEnd {
                lane: code,
                cost: number,
                transfers: vec![ours::LaneTally { transfer, cost: number }]
            },
            LaneEnd {
                lane: code,
                cost: number,
                transfers: vec![LaneTally { transfer: small, cost: number }]
            },
            ours::LaneEnd,
            LaneEnd
        );
        let (public, ciphertext) = ([hash[0]; 1216], [hash[0]; 1120]);
        same!(
            ours::KeyUpdate { epoch: code, encapsulation_key: Box::new(public) },
            KeyUpdate { epoch: code, encapsulation_key: public },
            ours::KeyUpdate,
            KeyUpdate
        );
        same!(
            ours::KeyUpdateAnswer { epoch: code, ciphertext: Box::new(ciphertext) },
            KeyUpdateAnswer { epoch: code, ciphertext },
            ours::KeyUpdateAnswer,
            KeyUpdateAnswer
        );
        same!(ours::Ping { token: number }, Ping { token: number }, ours::Ping, Ping);
        same!(ours::Pong { token: number }, Ping { token: number }, ours::Pong, Ping);
        same!(ours::Close { code, text: text.clone() }, Close { code, text }, ours::Close, Close);
    }
}
