//! Plaintexts that a reader refuses, written byte by byte. Each breaks one rule.

use passel_proto::frame::FrameType;
use passel_proto::ids::Channel;

use super::Refused;

const OFFER: u8 = 0x02;
const MANIFEST: u8 = 0x04;
const ACCEPT: u8 = 0x06;
const REJECT: u8 = 0x08;
const FILE_END: u8 = 0x0a;
const DATA: u8 = 0x0c;
const ACK: u8 = 0x0e;
const NACK: u8 = 0x10;
const CREDIT: u8 = 0x12;
const CANCEL: u8 = 0x14;
const COMPLETE: u8 = 0x16;
const RECEIPT: u8 = 0x18;
const FILE_FAILED: u8 = 0x1a;
const PING: u8 = 0x1c;
const CLOSE: u8 = 0x20;
const PAUSE: u8 = 0x22;
const HAVE: u8 = 0x26;
const STORED: u8 = 0x28;
const LEAVES_WANTED: u8 = 0x2a;
const MESSAGE: u8 = 0x30;
const LEAVES: u8 = 0x34;
const KEY_UPDATE: u8 = 0x2c;
const KEY_UPDATE_ANSWER: u8 = 0x2e;

/// A plaintext as it is, over `control`.
fn raw(rule: &'static str, why: &'static str, plaintext: &[u8]) -> Refused {
    Refused { why, rule, channel: Channel::Control, plaintext: plaintext.to_vec() }
}

/// One frame over its own channel, with a right type and length.
fn body(rule: &'static str, why: &'static str, kind: u8, parts: &[&[u8]]) -> Refused {
    let body = parts.concat();
    let mut plaintext = vec![kind];
    match u16::try_from(body.len()).unwrap() {
        length @ ..251 => plaintext.push(u8::try_from(length).unwrap()),
        length => {
            plaintext.push(0xfb);
            plaintext.extend(length.to_le_bytes());
        }
    }
    plaintext.extend(body);
    let channel = FrameType::from_id(kind.into()).unwrap().channels()[0];
    Refused { why, rule, channel, plaintext }
}

/// OFFER but for its fields behind the digest.
fn offer(rule: &'static str, why: &'static str, entries: &[u8], rest: &[u8]) -> Refused {
    body(rule, why, OFFER, &[&[2], entries, &[0], &[7; 32], rest])
}

fn records() -> Vec<Refused> {
    let on = |why, channel, plaintext: &[u8]| Refused {
        why,
        rule: "WF-FRAME-CHANNEL",
        channel,
        plaintext: plaintext.to_vec(),
    };
    let long = [&[0x7f, 0xfb, 1, 0xc0][..], &vec![0; 49153]].concat();
    vec![
        raw("WF-FRAME", "half a type", &[0xfb, 0x1c]),
        raw("WF-FRAME", "no length", &[PING]),
        raw("WF-FRAME", "half a length", &[PING, 0xfb, 1]),
        raw("WF-FRAME", "a whole frame, and a byte behind it", &[PING, 1, 99, PING]),
        raw("WF-CANONICAL", "a type in more bytes than it needs", &[0xfb, PING, 0, 1, 99]),
        raw("WF-CANONICAL", "a length in more bytes than it needs", &[PING, 0xfb, 1, 0, 99]),
        raw("WF-CANONICAL", "a type above u16", &[0xfc, 1, 0, 1, 0, 0]),
        raw("WF-CANONICAL", "a length above u32", &[0x7f, 0xfd, 0, 0, 0, 0, 1, 0, 0, 0]),
        raw("WF-CANONICAL", "a type that begins with fe", &[0xfe, 0, 0, 0]),
        raw("WF-CANONICAL", "a length that begins with ff", &[PING, 0xff, 1, 99]),
        raw("WF-FRAME-LENGTH", "a body that is cut off", &[PING, 2, 99]),
        raw("WF-FRAME-LENGTH", "an unknown frame that is cut off", &[0x7f, 4, 1, 2, 3]),
        raw("WF-FRAME-LENGTH", "a body of 49153 bytes", &long),
        raw("WF-FRAME-LENGTH", "a body of 2^32-1 bytes", &[0x7f, 0xfc, 255, 255, 255, 255]),
        raw("WF-FRAME-UNKNOWN", "an even type that nobody knows", &[0x7e, 0]),
        raw("WF-FRAME-UNKNOWN", "type 0", &[0, 0]),
        raw("WF-FRAME-UNKNOWN", "an even type behind a good frame", &[PING, 1, 99, 0x7c, 0]),
        on("FILE_END over control", Channel::Control, &[FILE_END, 0]),
        on("PING over file", Channel::File, &[PING, 1, 99]),
        on("PING over reliable", Channel::Reliable, &[PING, 1, 99]),
        on("MESSAGE over control", Channel::Control, &[MESSAGE, 2, 1, 0]),
        on("MESSAGE over file", Channel::File, &[MESSAGE, 2, 1, 0]),
        on("DATA over unreliable", Channel::Unreliable, &[DATA, 4, 0, 0, 0, 0]),
    ]
}

fn offers() -> Vec<Refused> {
    let with = |logs: [u8; 2], note: &[u8]| [&logs[..], &[1], &[6; 16], note].concat();
    let sizes = |why, logs| offer("WF-LAYOUT", why, &[1], &with(logs, &[0]));
    let note = |note: &[u8]| with([16, 14], note);
    let end = &note(&[0]);
    let long_note = note(&[&[0xfb, 1, 4][..], &[b'n'; 1025]].concat());
    vec![
        offer("WF-LAYOUT", "an offer of nothing", &[0], end),
        offer("WF-LAYOUT", "1 000 001 entries", &[0xfc, 0x41, 0x42, 0x0f, 0], end),
        sizes("chunks of 8 KiB", [13, 10]),
        sizes("chunks of 2 MiB", [21, 15]),
        sizes("pieces of 512 bytes", [14, 9]),
        sizes("pieces of 64 KiB", [20, 16]),
        sizes("pieces larger than their chunk", [14, 15]),
        sizes("128 pieces in a chunk", [20, 13]),
        sizes("a shift beyond every width", [255, 255]),
        offer("WF-LAYOUT", "a note of 1025 bytes", &[1], &long_note),
        offer("WF-UTF8", "a note that is not UTF-8", &[1], &note(&[1, 0xff])),
        offer("WF-UTF8", "a note in CESU-8", &[1], &note(&[3, 0xed, 0xa0, 0x80])),
        offer("WF-BOUNDED", "a note longer than its frame", &[1], &note(&[9, b'n'])),
        offer("WF-TRAILING", "no note", &[1], &note(&[])),
        offer("WF-TRAILING", "a byte behind the note", &[1], &note(&[0, 0])),
        offer("WF-CANONICAL", "an overlong number of entries", &[0xfb, 1, 0], end),
        offer("WF-CANONICAL", "entries above u32", &[0xfd, 0, 0, 0, 0, 1, 0, 0, 0], end),
        offer("WF-TRAILING", "half a token", &[1], &[&[16, 14, 1][..], &[6; 8]].concat()),
        body("WF-TRAILING", "an empty body", OFFER, &[]),
        body("WF-TRAILING", "half a digest", OFFER, &[&[2, 1, 0], &[7; 16]]),
        body("WF-LAYOUT", "a page without an entry", MANIFEST, &[&[2, 0, 0, 3, 1, 2, 3]]),
        body("WF-LAYOUT", "more entries than bytes", MANIFEST, &[&[2, 0, 4, 3, 1, 2, 3]]),
        body("WF-BOUNDED", "a page longer than its frame", MANIFEST, &[&[2, 0, 1, 3, 1, 2]]),
        body(
            "WF-BOUNDED",
            "a page that claims 4 GiB",
            MANIFEST,
            &[&[2, 0, 1, 0xfc, 255, 255, 255, 255, 1]],
        ),
        body("WF-TRAILING", "bytes behind a page", MANIFEST, &[&[2, 0, 1, 1, 1, 2]]),
    ]
}

fn answers() -> Vec<Refused> {
    let ranges = |why, ranges: &[u8]| body("WF-LAYOUT", why, ACCEPT, &[&[2, 0, 1], ranges]);
    let mut many = vec![0xfb, 1, 8];
    for place in 0..2049u16 {
        match place * 2 {
            first @ ..251 => many.push(u8::try_from(first).unwrap()),
            first => {
                many.push(0xfb);
                many.extend(first.to_le_bytes());
            }
        }
        many.push(1);
    }
    let long = [&[2, 0x21, 0xfb, 1, 2][..], &[b'r'; 513]].concat();
    vec![
        body("WF-CANONICAL", "a boolean of 2", ACCEPT, &[&[2, 2, 0]]),
        body("WF-LAYOUT", "a choice of 2", ACCEPT, &[&[2, 0, 2]]),
        body("WF-CANONICAL", "an overlong choice", ACCEPT, &[&[2, 0, 0xfb, 0, 0]]),
        body("WF-LAYOUT", "all, and more to come", ACCEPT, &[&[2, 1, 0]]),
        ranges("an empty range", &[1, 3, 0]),
        ranges("ranges that overlap", &[2, 0, 2, 1, 1]),
        ranges("ranges that touch", &[2, 0, 2, 2, 1]),
        ranges("ranges that descend", &[2, 5, 1, 0, 1]),
        ranges("a range that ends beyond u32", &[1, 0xfc, 255, 255, 255, 255, 1]),
        ranges("2049 ranges", &many),
        body("WF-BOUNDED", "more ranges than bytes", ACCEPT, &[&[2, 0, 1, 200, 0, 1]]),
        body("WF-BOUNDED", "2^64-1 ranges", ACCEPT, &[&[2, 0, 1, 0xfd], &[255; 8]]),
        body("WF-TRAILING", "a range cut off", ACCEPT, &[&[2, 0, 1, 1, 0xfb]]),
        body("WF-TRAILING", "ranges behind all", ACCEPT, &[&[2, 0, 0, 0]]),
        body("WF-LAYOUT", "a reason of 513 bytes", REJECT, &[&long]),
        body("WF-CANONICAL", "a code above u16", REJECT, &[&[2, 0xfc, 0, 0, 1, 0, 0]]),
        body("WF-CANONICAL", "an overlong length of text", REJECT, &[&[2, 0x21, 0xfb, 0, 0]]),
        body("WF-UTF8", "a reason that is not UTF-8", REJECT, &[&[2, 0x21, 2, 0xc3, 0x28]]),
        body("WF-UTF8", "an overlong code point", CANCEL, &[&[2, 0x20, 2, 0xc0, 0x80]]),
        body("WF-LAYOUT", "a reason of 513 bytes", CANCEL, &[&long]),
        body("WF-TRAILING", "no text", CANCEL, &[&[2, 0x20]]),
    ]
}

fn files() -> Vec<Refused> {
    let long = [&[2, 1, 0x26, 0xfb, 1, 2][..], &[b'r'; 513]].concat();
    vec![
        body("WF-TRAILING", "a root of 31 bytes", FILE_END, &[&[2, 7, 0], &[5; 31]]),
        body("WF-TRAILING", "a root of 33 bytes", FILE_END, &[&[2, 7, 0], &[5; 33]]),
        body("WF-CANONICAL", "an overlong size", FILE_END, &[&[2, 7, 0xfb, 250, 0], &[5; 32]]),
        body(
            "WF-CANONICAL",
            "a size in eight bytes that needs four",
            FILE_END,
            &[&[2, 7, 0xfd, 255, 255, 255, 255, 0, 0, 0, 0], &[5; 32]],
        ),
        body("WF-CANONICAL", "an option of 2", DATA, &[&[2, 7, 0, 2], &[9; 32]]),
        body("WF-TRAILING", "no leaf, though it is there", DATA, &[&[2, 7, 0, 1]]),
        body("WF-TRAILING", "a leaf of 31 bytes", DATA, &[&[2, 7, 0, 1], &[9; 31]]),
        body("WF-TRAILING", "a leaf that is not there", DATA, &[&[2, 7, 0, 0], &[9; 32]]),
        body(
            "WF-CANONICAL",
            "an offset in four bytes that needs two",
            DATA,
            &[&[2, 7, 0xfc, 255, 255, 0, 0, 0]],
        ),
        body("WF-CANONICAL", "an overlong file", FILE_FAILED, &[&[2, 0xfb, 9, 0, 0x26, 0]]),
        body("WF-LAYOUT", "a reason of 513 bytes", FILE_FAILED, &[&long]),
        body("WF-UTF8", "a reason cut in a code point", FILE_FAILED, &[&[2, 1, 0x26, 1, 0xe2]]),
    ]
}

fn progress() -> Vec<Refused> {
    let ack = |why, ranges: &[u8]| body("WF-LAYOUT", why, ACK, &[&[2], ranges]);
    let many = [&[0xfb, 1, 4][..], &[7, 0, 1].repeat(1025)].concat();
    let beyond = [&[1, 7, 0xfd][..], &[255; 8], &[1]].concat();
    vec![
        ack("no ranges", &[0]),
        ack("1025 ranges", &many),
        ack("an empty range", &[1, 7, 4, 0]),
        ack("a range that ends beyond u64", &beyond),
        body("WF-BOUNDED", "2^32 ranges", ACK, &[&[2, 0xfd, 0, 0, 0, 0, 1, 0, 0, 0, 7, 0, 1]]),
        body("WF-TRAILING", "half a range", ACK, &[&[2, 1, 7, 0xfb, 0]]),
        body("WF-TRAILING", "bytes behind a NACK", NACK, &[&[2, 7, 1, 1]]),
        body("WF-CANONICAL", "an overlong chunk", NACK, &[&[2, 7, 0xfd, 1, 0, 0, 0, 0, 0, 0, 0]]),
        body("WF-CANONICAL", "an option of 255", CREDIT, &[&[255, 2, 0]]),
        body("WF-TRAILING", "no limit", CREDIT, &[&[1, 2]]),
        body("WF-CANONICAL", "a limit of fe", CREDIT, &[&[0, 0xfe, 0, 0, 0, 0]]),
    ]
}

fn ends() -> Vec<Refused> {
    let receipt = |why, counts_and_list: &[u8]| {
        body("WF-LAYOUT", why, RECEIPT, &[&[2], counts_and_list, &[3; 32], &[4; 32]])
    };
    let mut many = vec![0, 0xfb, 0xd0, 7, 0xfb, 1, 4];
    for place in 0..1025u16 {
        match place {
            place @ ..251 => many.push(u8::try_from(place).unwrap()),
            place => {
                many.push(0xfb);
                many.extend(place.to_le_bytes());
            }
        }
        many.push(0x24);
    }
    vec![
        body("WF-TRAILING", "a digest of 31 bytes", COMPLETE, &[&[2], &[3; 31]]),
        body("WF-TRAILING", "a byte behind the digest", COMPLETE, &[&[2], &[3; 32], &[0]]),
        receipt("failures out of order", &[0, 2, 2, 5, 0x24, 4, 0x24]),
        receipt("a failure twice", &[0, 2, 2, 5, 0x24, 5, 0x24]),
        receipt("more listed than failed", &[0, 1, 2, 4, 0x24, 5, 0x24]),
        receipt("1025 failures", &many),
        body("WF-TRAILING", "no MAC", RECEIPT, &[&[2, 1, 0, 0], &[3; 32]]),
        body("WF-BOUNDED", "more failures than bytes", RECEIPT, &[&[2, 0, 250, 250, 1, 0x24]]),
        body("WF-TRAILING", "a PING without a token", PING, &[]),
        body("WF-TRAILING", "bytes behind a token", PING, &[&[99, 0]]),
        body("WF-CANONICAL", "250 in three bytes", PING, &[&[0xfb, 250, 0]]),
        body("WF-CANONICAL", "65 535 in five bytes", PING, &[&[0xfc, 255, 255, 0, 0]]),
        body("WF-CANONICAL", "a token that begins with ff", PING, &[&[255]]),
        body("WF-TRAILING", "half a token", PING, &[&[0xfd, 1, 2, 3]]),
        body("WF-TRAILING", "bytes behind a pause", PAUSE, &[&[2, 0]]),
        body("WF-CANONICAL", "a transfer above u32", PAUSE, &[&[0xfd, 0, 0, 0, 0, 1, 0, 0, 0]]),
        body("WF-TRAILING", "a key of 1215 bytes", KEY_UPDATE, &[&[1], &[6; 1215]]),
        body("WF-TRAILING", "a byte behind the key", KEY_UPDATE, &[&[1], &[6; 1217]]),
        body("WF-CANONICAL", "an epoch above u16", KEY_UPDATE, &[&[0xfc, 0, 0, 1, 0], &[6; 1216]]),
        body("WF-TRAILING", "a ciphertext of 1119 bytes", KEY_UPDATE_ANSWER, &[&[1], &[8; 1119]]),
        body("WF-BOUNDED", "a reason longer than its frame", CLOSE, &[&[3, 5, b'n', b'o']]),
        body("WF-UTF8", "a reason that is not UTF-8", CLOSE, &[&[3, 1, 0x80]]),
        body("WF-BOUNDED", "a reason of 2^64-1 bytes", CLOSE, &[&[3, 0xfd], &[255; 8]]),
    ]
}

fn claims() -> Vec<Refused> {
    let have = |why, ranges: &[u8]| body("WF-LAYOUT", why, HAVE, &[&[2, 7], ranges, &[0]]);
    let stored = |why, ranges: &[u8]| body("WF-LAYOUT", why, STORED, &[&[2], ranges]);
    let wanted = |why, of: &[u8]| body("WF-LAYOUT", why, LEAVES_WANTED, &[&[2, 7], of]);
    let every_other = |count: u16| {
        let [low, high] = count.to_le_bytes();
        let mut runs = vec![0xfb, low, high];
        for place in 0..count {
            match place * 2 {
                first @ ..251 => runs.push(u8::try_from(first).unwrap()),
                first => {
                    runs.push(0xfb);
                    runs.extend(first.to_le_bytes());
                }
            }
            runs.push(1);
        }
        runs
    };
    let leaves = |why, count: &[u8], leaves: usize| {
        body("WF-LAYOUT", why, LEAVES, &[&[2, 7, 0], count, &vec![1; leaves * 32]])
    };
    let last = [&[0xfd][..], &[255; 8]].concat();
    vec![
        have("no chunks", &[0]),
        have("an empty run of chunks", &[1, 3, 0]),
        have("runs of chunks that overlap", &[2, 0, 2, 1, 1]),
        have("runs of chunks that touch", &[2, 0, 2, 2, 1]),
        have("runs of chunks that descend", &[2, 5, 1, 0, 1]),
        have("a run of chunks that ends beyond u64", &[&[1][..], &last, &[1]].concat()),
        have("1025 runs of chunks", &every_other(1025)),
        body("WF-BOUNDED", "more runs than bytes", HAVE, &[&[2, 7, 200, 0, 1, 0]]),
        body("WF-TRAILING", "a run cut off", HAVE, &[&[2, 7, 1, 0xfb]]),
        body("WF-TRAILING", "no digest, though it is there", HAVE, &[&[2, 7, 1, 0, 1, 1]]),
        body("WF-TRAILING", "a digest of 31 bytes", HAVE, &[&[2, 7, 1, 0, 1, 1], &[8; 31]]),
        body("WF-TRAILING", "a digest that is not there", HAVE, &[&[2, 7, 1, 0, 1, 0], &[8; 32]]),
        body("WF-CANONICAL", "an option of 2", HAVE, &[&[2, 7, 1, 0, 1, 2], &[8; 32]]),
        body("WF-CANONICAL", "an overlong run", HAVE, &[&[2, 7, 1, 0xfb, 3, 0, 1, 0]]),
        stored("no files", &[0]),
        stored("an empty run of files", &[1, 3, 0]),
        stored("runs of files that touch", &[2, 0, 2, 2, 1]),
        stored("a run of files that ends beyond u32", &[1, 0xfc, 255, 255, 255, 255, 1]),
        stored("2049 runs of files", &every_other(2049)),
        body("WF-BOUNDED", "more runs of files than bytes", STORED, &[&[2, 200, 0, 1]]),
        body("WF-TRAILING", "bytes behind the files", STORED, &[&[2, 1, 0, 1, 0]]),
        wanted("no hashes wanted", &[0, 0]),
        wanted("1025 hashes wanted", &[0, 0xfb, 1, 4]),
        wanted("hashes wanted beyond u64", &[&last[..], &[1]].concat()),
        body("WF-TRAILING", "hashes wanted without a number", LEAVES_WANTED, &[&[2, 7, 0]]),
        body(
            "WF-CANONICAL",
            "an overlong number of hashes",
            LEAVES_WANTED,
            &[&[2, 7, 0, 0xfb, 1, 0]],
        ),
        leaves("no hashes", &[0], 0),
        leaves("1025 hashes", &[0xfb, 1, 4], 1025),
        body("WF-TRAILING", "a hash of 31 bytes", LEAVES, &[&[2, 7, 0, 1], &[1; 31]]),
        body("WF-TRAILING", "a byte behind the hashes", LEAVES, &[&[2, 7, 0, 1], &[1; 33]]),
        body("WF-BOUNDED", "more hashes than bytes", LEAVES, &[&[2, 7, 0, 200], &[1; 64]]),
    ]
}

fn messages() -> Vec<Refused> {
    let long = |content: u8| [&[content, 0xfb, 1, 0x80][..], &vec![b'm'; 32_769]].concat();
    vec![
        body("WF-TRAILING", "a message without a content", MESSAGE, &[]),
        body("WF-LAYOUT", "a content of 2", MESSAGE, &[&[2, 0]]),
        body("WF-CANONICAL", "an overlong content", MESSAGE, &[&[0xfb, 1, 0, 0]]),
        body("WF-TRAILING", "a message without a length", MESSAGE, &[&[1]]),
        body("WF-LAYOUT", "a text of 32769 bytes", MESSAGE, &[&long(0)]),
        body("WF-LAYOUT", "bytes of 32769 bytes", MESSAGE, &[&long(1)]),
        body("WF-UTF8", "a message that is not UTF-8", MESSAGE, &[&[0, 2, 0xc3, 0x28]]),
        body("WF-BOUNDED", "a message longer than its frame", MESSAGE, &[&[1, 5, 1, 2]]),
        body("WF-TRAILING", "bytes behind a message", MESSAGE, &[&[1, 1, 7, 7]]),
    ]
}

/// All of them, in the order of the spec's sections.
pub(crate) fn refused() -> Vec<Refused> {
    [records(), offers(), answers(), files(), progress(), ends(), claims(), messages()]
        .into_iter()
        .flatten()
        .collect()
}
