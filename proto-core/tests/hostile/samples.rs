//! Valid bytes of everything that is decoded, to be spoiled.

use passel_proto::codec;
use passel_proto::crypto::Entropy;
use passel_proto::error::{Error, ErrorCode};
use passel_proto::frame::{
    Accept, Ack, AckRange, Cancel, ChunkRange, Close, Complete, Credit, Data, EntryRange,
    FailedFile, FileEnd, FileFailed, Frame, FrameWriter, Have, KeyUpdate, KeyUpdateAnswer, LaneEnd,
    LaneSignal, LaneTally, Leaves, LeavesWanted, ManifestPage, Message, Nack, Offer, Pause, Ping,
    Pong, Receipt, Reject, Resumable, Resume, Selection, Stored,
};
use passel_proto::handshake::{alert, initiator};
use passel_proto::ids::{FileIndex, Token, TransferId};
use passel_proto::manifest::{Entry, EntryKind, Timestamp};
use passel_proto::path::SafePath;

use super::decoders::handshake_config;

/// At least one of each type of frame.
pub fn frames() -> Vec<Frame> {
    let transfer = TransferId(2);
    let file = FileIndex(7);
    let ranges = vec![
        EntryRange { first: 0, count: 1 },
        EntryRange { first: 300, count: 70_000 },
        EntryRange { first: 900_000, count: 100_000 },
    ];
    let acked = vec![
        AckRange { file, first: 0, count: 251 },
        AckRange { file, first: u64::MAX - 1, count: 1 },
    ];
    let chunks = vec![
        ChunkRange { first: 0, count: 251 },
        ChunkRange { first: 70_000, count: 1 },
        ChunkRange { first: 1 << 40, count: 1 << 33 },
    ];
    let listed = vec![
        FailedFile { file: FileIndex(1), code: 0x28 },
        FailedFile { file: FileIndex(70_000), code: 0x1234 },
    ];
    vec![
        Offer {
            transfer,
            entries: 3,
            bytes: 70_000,
            digest: [7; 32],
            chunk_log2: 16,
            piece_log2: 14,
            hash: 1,
            token: Token([6; 16]),
            note: "the photos".into(),
        }
        .into(),
        ManifestPage { transfer, first: 0, count: 3, entries: entries()[..3].concat() }.into(),
        Accept { transfer, more: false, selection: Selection::All }.into(),
        Accept { transfer, more: true, selection: Selection::Ranges(ranges.clone()) }.into(),
        Reject { transfer, code: 0x21, text: "no, thanks".into() }.into(),
        FileEnd { transfer, file, size: 300, root: [5; 32] }.into(),
        Data { transfer, file, offset: 65_536, leaf: Some([9; 32]) }.into(),
        Data { transfer, file, offset: 1 << 40, leaf: None }.into(),
        Ack { transfer, ranges: acked }.into(),
        Nack { transfer, file, chunk: 1 }.into(),
        Credit { transfer: Some(transfer), limit: 1 << 22 }.into(),
        Credit { transfer: None, limit: u64::MAX }.into(),
        Cancel { transfer, code: 0x20, text: String::new() }.into(),
        Complete { transfer, statements: [3; 32] }.into(),
        Receipt { transfer, delivered: 1, failed: 2, listed, statements: [3; 32], mac: [4; 32] }
            .into(),
        FileFailed { transfer, file, code: 0x26, text: "ge\u{e4}ndert".into() }.into(),
        Ping { token: 99 }.into(),
        Pong { token: u64::MAX }.into(),
        Close { code: 0, text: "bye".into() }.into(),
        Pause { transfer }.into(),
        Resume { transfer }.into(),
        Have { transfer, file, ranges: chunks, digest: Some([8; 32]) }.into(),
        Have { transfer, file, ranges: vec![ChunkRange { first: 0, count: 300 }], digest: None }
            .into(),
        Stored { transfer, files: ranges }.into(),
        LeavesWanted { transfer, file, first: 300, count: 1024 }.into(),
        Leaves { transfer, file, first: 1 << 40, leaves: vec![[1; 32], [2; 32]] }.into(),
        Message::Text("ge\u{e4}ndert".into()).into(),
        Message::Binary(vec![0xfb; 300]).into(),
        KeyUpdate { epoch: 1, encapsulation_key: Box::new([6; 1216]) }.into(),
        KeyUpdateAnswer { epoch: 1, ciphertext: Box::new([8; 1120]) }.into(),
        Resumable { id: [6; 16] }.into(),
        LaneSignal { lane: 2, payload: vec![0xfb; 300] }.into(),
        LaneEnd { lane: 1, cost: 1 << 20, transfers: vec![LaneTally { transfer, cost: 300 }] }
            .into(),
    ]
}

/// A frame as it lies in a record.
pub fn encoded(frame: &Frame) -> Vec<u8> {
    let mut out = Vec::new();
    FrameWriter::new(&mut out, 0).frame(frame).expect("a frame encodes");
    out
}

/// Encoded entries in the order of a manifest.
pub fn entries() -> Vec<Vec<u8>> {
    let file = |size, mime: Option<&str>, root| EntryKind::File {
        size,
        executable: size == Some(1),
        mime: mime.map(str::to_owned),
        root,
    };
    let time = Timestamp::new(-1, 999_999_999);
    [
        ("a", EntryKind::Directory, None),
        ("a/b.txt", file(Some(70_000), Some("text/plain"), None), time),
        ("a/\u{e9}", file(Some(u64::MAX), None, Some([7; 32])), None),
        ("z", file(None, None, None), Timestamp::new(1_700_000_000, 0)),
        ("zz zz", file(Some(1), Some("x/y"), Some([0; 32])), time),
    ]
    .into_iter()
    .map(|(path, kind, modified)| {
        let path = SafePath::parse(path).expect("a good name");
        codec::encode(&Entry { path, kind, modified }).expect("an entry encodes")
    })
    .collect()
}

/// Pieces of which names are made, the harmless and the others.
pub const NAMES: [&str; 30] = [
    "a",
    "B7",
    "name.txt",
    "/",
    "/",
    "..",
    ".",
    " ",
    "\\",
    ":",
    "con",
    "LPT1",
    "\0",
    "\u{1b}[2J",
    "\u{202e}",
    "\u{200d}",
    "\u{200b}",
    "e\u{301}",
    "\u{e9}",
    "\u{fe0f}",
    "\u{feff}",
    "COM\u{b9}",
    "CONIN$",
    "~",
    "C:",
    "\u{1f600}",
    "\u{df}",
    "\u{130}",
    "\u{131}",
    "\u{10ffff}",
];

/// Values of the codec's own types.
pub fn primitives() -> Vec<Vec<u8>> {
    let encode = |value| codec::encode::<u64>(&value).expect("a number encodes");
    let mut all: Vec<_> =
        [0, 250, 251, 0xffff, 0x1_0000, 0xffff_ffff, 1 << 32, u64::MAX].map(encode).into();
    let lists = vec![vec![1u8, 2, 3], vec![], vec![0xff; 300]];
    all.push(codec::encode(&lists).expect("lists encode"));
    all.push(codec::encode(&(7u32, Some("text".to_owned()), true)).expect("a tuple encodes"));
    all.push(codec::encode(&vec![(1u16, Some(vec![1u32, 70_000])), (2, None)]).expect("a list"));
    all.push(vec![5; 32]);
    all
}

pub fn hello_i() -> Vec<u8> {
    initiator::start(handshake_config(), &mut Entropy::from_seed([1; 32])).expect("starts").1
}

pub fn alerts() -> Vec<Vec<u8>> {
    [(ErrorCode::AuthenticationFailed, "another secret"), (ErrorCode::Malformed, "")]
        .map(|(code, text)| alert(&Error::peer(code, text)))
        .into()
}
