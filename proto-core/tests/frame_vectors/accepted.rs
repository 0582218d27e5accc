//! Plaintexts that a reader takes: each frame at the ends of its fields' ranges,
//! and what may stand around frames.

use passel_proto::frame::{
    Accept, Ack, AckRange, Cancel, ChunkRange, Close, Complete, Credit, Data, EntryRange,
    FailedFile, FileEnd, FileFailed, Frame, FrameWriter, Have, KeyUpdate, KeyUpdateAnswer, LaneEnd,
    LaneSignal, LaneTally, Leaves, LeavesWanted, ManifestPage, Message, Nack, Offer, Pause, Ping,
    Pong, Receipt, Reject, Resumable, Resume, Selection, Stored,
};
use passel_proto::ids::{Channel, FileIndex, Token, TransferId};

use super::Accepted;

const LOW: TransferId = TransferId(0);
const HIGH: TransferId = TransferId(u32::MAX);
const FIRST: FileIndex = FileIndex(0);
const LAST: FileIndex = FileIndex(u32::MAX);

fn case(why: &'static str, frames: Vec<Frame>, payload: &[u8]) -> Accepted {
    let mut plaintext = Vec::new();
    for frame in &frames {
        FrameWriter::new(&mut plaintext, 0).frame(frame).unwrap();
    }
    plaintext.extend(payload);
    let channel = frames.first().unwrap().frame_type().channels()[0];
    Accepted { why, channel, plaintext, frames, passed_over: vec![], payload: payload.to_vec() }
}

fn one(why: &'static str, frame: impl Into<Frame>) -> Accepted {
    case(why, vec![frame.into()], &[])
}

fn offer(transfer: TransferId, entries: u32, bytes: u64, logs: (u8, u8), note: &str) -> Offer {
    let (chunk_log2, piece_log2) = logs;
    let note = note.to_owned();
    let (digest, hash, token) = ([7; 32], 1, Token([6; 16]));
    Offer { transfer, entries, bytes, digest, chunk_log2, piece_log2, hash, token, note }
}

fn accept(more: bool, ranges: &[(u32, u32)]) -> Accept {
    let ranges = ranges.iter().map(|&(first, count)| EntryRange { first, count }).collect();
    Accept { transfer: TransferId(2), more, selection: Selection::Ranges(ranges) }
}

fn receipt(transfer: TransferId, counts: (u32, u32), listed: &[(u32, u16)]) -> Receipt {
    let (delivered, failed) = counts;
    let listed =
        listed.iter().map(|&(file, code)| FailedFile { file: FileIndex(file), code }).collect();
    Receipt { transfer, delivered, failed, listed, statements: [3; 32], mac: [4; 32] }
}

fn offers() -> Vec<Accepted> {
    let page = |transfer, first, count, entries| ManifestPage { transfer, first, count, entries };
    vec![
        one("an offer", offer(TransferId(2), 3, 70_000, (16, 14), "the photos")),
        one("the smallest offer", offer(LOW, 1, 0, (14, 10), "")),
        one("the largest numbers", offer(HIGH, 1_000_000, u64::MAX, (20, 15), "")),
        one("as many pieces as may be", offer(LOW, 251, 65_536, (16, 10), "")),
        one("chunks of one piece", offer(LOW, 250, 4_294_967_296, (15, 15), "")),
        one("a token of zeros", Offer { token: Token([0; 16]), ..offer(LOW, 1, 0, (16, 14), "") }),
        one("a hash that nobody knows", Offer { hash: 255, ..offer(LOW, 1, 0, (16, 14), "") }),
        one("a note of 1024 bytes", offer(LOW, 1, 0, (16, 14), &"n".repeat(1024))),
        one("a note beyond ASCII", offer(LOW, 1, 0, (16, 14), "na\u{ef}ve \u{1f4e6}")),
        one("a page", page(TransferId(2), 0, 1, vec![1, 2, 3])),
        one("as many entries as bytes", page(HIGH, u32::MAX, 3, vec![0; 3])),
        one("a page of 251 bytes", page(LOW, 65_535, 250, vec![0; 251])),
    ]
}

fn answers() -> Vec<Accepted> {
    let most: Vec<_> = (0..2048).map(|place| (place * 2, 1)).collect();
    let all = |transfer| Accept { transfer, more: false, selection: Selection::All };
    vec![
        one("all of a transfer", all(TransferId(2))),
        one("all of the last transfer", all(HIGH)),
        one("two entries", accept(false, &[(3, 2)])),
        one("ranges with a gap of one", accept(true, &[(0, 1), (2, 5), (8, 1)])),
        one("a range that ends where numbers do", accept(false, &[(u32::MAX - 1, 1)])),
        one("no ranges", accept(true, &[])),
        one("2048 ranges", accept(false, &most)),
        one("a reason", Reject { transfer: TransferId(2), code: 0x21, text: "no, thanks".into() }),
        one("no reason", Reject { transfer: HIGH, code: u16::MAX, text: String::new() }),
        one("a reason of 512 bytes", Reject { transfer: LOW, code: 251, text: "r".repeat(512) }),
    ]
}

fn data() -> Vec<Accepted> {
    let piece = |file, offset, leaf| Data { transfer: TransferId(2), file, offset, leaf }.into();
    let end = |file, size| FileEnd { transfer: TransferId(2), file, size, root: [5; 32] };
    vec![
        one("the end of a file", end(FileIndex(7), 300)),
        one("the end of an empty file", end(FIRST, 0)),
        one("the end of the longest file", end(LAST, u64::MAX)),
        case("a piece", vec![piece(FIRST, 0, None)], b"payload"),
        case("a piece that ends a chunk", vec![piece(FileIndex(7), 65_536, Some([9; 32]))], b"p"),
        case("a piece at the last offset", vec![piece(LAST, u64::MAX, None)], b"p"),
        case("a piece without bytes", vec![piece(FIRST, 0, None)], &[]),
        case(
            "the end of a file before its last piece",
            vec![end(FileIndex(7), 1).into(), piece(FileIndex(7), 0, Some([9; 32]))],
            &[0],
        ),
        case(
            "what looks like a frame behind DATA is payload",
            vec![piece(FIRST, 0, None)],
            &[0x1c, 1, 99],
        ),
        case(
            "what looks like a broken frame behind DATA is payload",
            vec![piece(FIRST, 0, None)],
            &[0x7e, 255],
        ),
    ]
}

fn progress() -> Vec<Accepted> {
    let range = |file, first, count| AckRange { file, first, count };
    let ack = |ranges| Ack { transfer: TransferId(2), ranges };
    vec![
        one("the first 251 chunks", ack(vec![range(FileIndex(7), 0, 251)])),
        one("the last chunk that there can be", ack(vec![range(LAST, u64::MAX - 1, 1)])),
        one(
            "ranges that overlap, in any order",
            ack(vec![range(LAST, 9, 3), range(FIRST, 4, 2), range(LAST, 9, 3)]),
        ),
        one("1024 ranges", ack(vec![range(FIRST, 0, 1); 1024])),
        one("a chunk again", Nack { transfer: TransferId(2), file: FileIndex(7), chunk: 1 }),
        one("the last chunk again", Nack { transfer: HIGH, file: LAST, chunk: u64::MAX }),
        one("credit for a transfer", Credit { transfer: Some(TransferId(2)), limit: 1 << 22 }),
        one("credit for the connection", Credit { transfer: None, limit: 0 }),
        one("all the credit that there is", Credit { transfer: Some(HIGH), limit: u64::MAX }),
    ]
}

fn ends() -> Vec<Accepted> {
    let failures: Vec<_> = (0..1024).map(|place| (place, 0x24)).collect();
    let failed = |file, code, text: &str| FileFailed {
        transfer: TransferId(2),
        file,
        code,
        text: text.to_owned(),
    };
    vec![
        one("cancelled", Cancel { transfer: TransferId(2), code: 0x20, text: String::new() }),
        one("cancelled with words", Cancel { transfer: HIGH, code: 250, text: "stop".into() }),
        one("complete", Complete { transfer: TransferId(2), statements: [3; 32] }),
        one("the last transfer complete", Complete { transfer: HIGH, statements: [0; 32] }),
        one("one file failed", receipt(TransferId(2), (1, 1), &[(1, 0x28)])),
        one("all delivered", receipt(LOW, (u32::MAX, 0), &[])),
        one("more failed than listed", receipt(HIGH, (0, 3), &[(0, 1), (u32::MAX, u16::MAX)])),
        one("1024 failures", receipt(LOW, (0, 2000), &failures)),
        one("a file that changed", failed(FileIndex(1), 0x26, "changed")),
        one("a failure without words", failed(LAST, u16::MAX, "")),
        one("a failure of a code that nobody knows", failed(FIRST, 0x7fff, "?")),
    ]
}

fn claims() -> Vec<Accepted> {
    let (transfer, file) = (TransferId(2), FileIndex(7));
    let have = |file, ranges: &[(u64, u64)], digest| Have {
        transfer,
        file,
        ranges: ranges.iter().map(|&(first, count)| ChunkRange { first, count }).collect(),
        digest,
    };
    let stored = |ranges: &[(u32, u32)]| Stored {
        transfer,
        files: ranges.iter().map(|&(first, count)| EntryRange { first, count }).collect(),
    };
    let wanted = |first, count| LeavesWanted { transfer, file, first, count };
    let leaves = |first, leaves| Leaves { transfer, file, first, leaves };
    let most_runs: Vec<_> = (0..1024).map(|place| (place * 2, 1)).collect();
    let most_files: Vec<_> = (0..2048).map(|place| (place * 2, 1)).collect();
    vec![
        one("chunks that are there, and their digest", have(file, &[(0, 300)], Some([8; 32]))),
        one("chunks of whose hashes nobody is sure", have(FIRST, &[(3, 1)], None)),
        one("runs with a gap of one", have(file, &[(0, 1), (2, 5), (8, 1)], Some([0; 32]))),
        one("the last chunk that there can be", have(LAST, &[(u64::MAX - 1, 1)], None)),
        one("all chunks that there can be", have(LAST, &[(0, u64::MAX)], None)),
        one("1024 runs", have(FIRST, &most_runs, Some([8; 32]))),
        one("seven files that are stored", stored(&[(0, 7)])),
        one("files with a gap of one", stored(&[(1, 1), (3, 2)])),
        one("the last file that there can be", stored(&[(u32::MAX - 1, 1)])),
        one("2048 runs of files", stored(&most_files)),
        one("two hashes wanted", wanted(0, 2)),
        one("1024 hashes wanted", wanted(1 << 40, 1024)),
        one("the last hash that there can be wanted", wanted(u64::MAX - 1, 1)),
        one("two hashes", leaves(0, vec![[1; 32], [2; 32]])),
        one("one hash", leaves(u64::MAX, vec![[0; 32]])),
        one("1024 hashes", leaves(251, vec![[9; 32]; 1024])),
    ]
}

fn links() -> Vec<Accepted> {
    let pings = |token| vec![Ping { token }.into(), Pong { token }.into()];
    let borders = [0, 250, 251, 65_535, 65_536, 4_294_967_295, 4_294_967_296, u64::MAX];
    let mut all: Vec<_> = borders
        .into_iter()
        .map(|token| case("numbers on both sides of a varint's lengths", pings(token), &[]))
        .collect();
    let transfer = TransferId(2);
    all.push(case(
        "a pause and its end",
        vec![Pause { transfer }.into(), Resume { transfer }.into()],
        &[],
    ));
    all.push(one("a pause of the last transfer", Pause { transfer: HIGH }));
    all.push(one("the secret of a later session is stored", Resumable { id: [6; 16] }));
    all.push(one("a signal of a lane", LaneSignal { lane: 1, payload: vec![1, 2, 3] }));
    all.push(one("the longest signal", LaneSignal { lane: u16::MAX, payload: vec![7; 16_128] }));
    let tally = |transfer, cost| LaneTally { transfer, cost };
    let transfers = vec![tally(transfer, 300), tally(HIGH, 69_700)];
    all.push(one("the end of a lane", LaneEnd { lane: 1, cost: 70_000, transfers }));
    all.push(one(
        "the end of a lane over which nothing went",
        LaneEnd { lane: 2, cost: 0, transfers: vec![] },
    ));
    let update = |epoch, byte| KeyUpdate { epoch, encapsulation_key: Box::new([byte; 1216]) };
    let answer = |epoch, byte| KeyUpdateAnswer { epoch, ciphertext: Box::new([byte; 1120]) };
    all.push(one("new keys are asked for", update(1, 6)));
    all.push(one("the answer to that", answer(1, 8)));
    all.push(one(
        "keys for the last epoch, with a key that is not asked about here",
        update(u16::MAX, 0xff),
    ));
    all.push(one("its answer", answer(u16::MAX, 0xff)));
    all.push(one("the work is done", Close { code: 0, text: String::new() }));
    all.push(one("a reason to close", Close { code: 3, text: "caf\u{e9}".into() }));
    all.push(one("a message of text", Message::Text("hello".into())));
    all.push(one("a message of bytes", Message::Binary(vec![1, 2, 3])));
    all.push(one("a message of nothing", Message::Text(String::new())));
    all.push(one("a message of no bytes", Message::Binary(vec![])));
    all.push(one("the longest text", Message::Text("t".repeat(32_768))));
    all.push(one("the longest bytes", Message::Binary(vec![0xff; 32_768])));
    let both = vec![Message::Text("\u{1f4e6}".into()).into(), Message::Binary(vec![0]).into()];
    all.push(case("messages in one record", both, &[]));
    let lossy = one("a message over unreliable", Message::Binary(vec![7; 251]));
    all.push(Accepted { channel: Channel::Unreliable, ..lossy });
    let unknown = [
        ("a frame of an odd type is passed over", 0x7f, vec![0x7f, 3, 1, 2, 3]),
        ("an odd type of three bytes", 0xffff, vec![0xfb, 0xff, 0xff, 0]),
    ];
    for (why, kind, mut plaintext) in unknown {
        let frame = Frame::from(Ping { token: 42 });
        FrameWriter::new(&mut plaintext, 0).frame(&frame).unwrap();
        let frames = vec![frame];
        let channel = Channel::Control;
        all.push(Accepted {
            why,
            channel,
            plaintext,
            frames,
            passed_over: vec![kind],
            payload: vec![],
        });
    }
    all
}

/// All of them, in the order of the spec's sections.
pub(crate) fn accepted() -> Vec<Accepted> {
    [offers(), answers(), data(), progress(), ends(), claims(), links()]
        .into_iter()
        .flatten()
        .collect()
}
