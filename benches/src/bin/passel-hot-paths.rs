//! The hot paths, one at a time and as often as is wanted, for a tool that counts
//! instructions (`cargo xtask bench`): `passel-hot-paths NAME TIMES`. It reads no
//! clock but for a first instant, so that equal arguments make equal
//! instructions. Without arguments it lists the names.

use std::hint::black_box;
use std::process::ExitCode;
use std::time::Instant;

use passel_benches::pair::{CHUNK, Pair};
use passel_proto::crypto::Secret32;
use passel_proto::frame::{Ack, AckRange, Credit, Data, Frame, FrameReader, FrameWriter};
use passel_proto::ids::{Channel, FileIndex, Role, TransferId};
use passel_proto::limits::{RECORD_HEADER, RECORD_TAG};
use passel_proto::record::{Opener, RecordKeys, Sealer};
use passel_proto::suite::Suite;
use passel_proto::tree::{TreeBuilder, leaf_hash};

/// Bytes of a record, and of a piece of a chunk.
const PIECE: usize = 16 * 1024;
/// Chunks that a transfer has made before any is counted.
const BEFORE: u64 = 16;

type Failure = Box<dyn std::error::Error>;
type Work = fn(u64) -> Result<(), Failure>;

const PATHS: [(&str, Work); 11] = [
    ("seal", |times| seal(Suite::ChaCha20Poly1305, times)),
    ("seal-and-open", |times| seal_and_open(Suite::ChaCha20Poly1305, times)),
    ("seal-aes", |times| seal(Suite::Aes256Gcm, times)),
    ("seal-and-open-aes", |times| seal_and_open(Suite::Aes256Gcm, times)),
    ("data-write", data_write),
    ("data-read", data_read),
    ("ack-write", ack_write),
    ("ack-read", ack_read),
    ("leaf", leaf),
    ("tree", tree),
    ("chunk", chunk),
];

#[allow(clippy::print_stdout, clippy::print_stderr, reason = "a program for a program")]
fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [name, times] = arguments.as_slice() else {
        for (name, _) in PATHS {
            println!("{name}");
        }
        return ExitCode::SUCCESS;
    };
    let path = PATHS.iter().find(|(known, _)| known == name).map(|(_, work)| *work);
    let result = match (path, times.parse()) {
        (Some(work), Ok(times)) => work(times),
        _ => Err("no such path, or not a number".into()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn keys(suite: Suite) -> RecordKeys {
    RecordKeys::derive(suite, &Secret32::new([7; 32]), 0, Role::Initiator, 0, Channel::File)
}

/// A record of 16 KiB.
fn seal(suite: Suite, times: u64) -> Result<(), Failure> {
    let mut sealer = Sealer::new(keys(suite));
    let mut record = Vec::with_capacity(RECORD_HEADER + PIECE + RECORD_TAG);
    for _ in 0..times {
        record.resize(RECORD_HEADER + PIECE, 7);
        sealer.seal(black_box(&mut record))?;
    }
    Ok(())
}

/// The same, and opened again by the peer.
fn seal_and_open(suite: Suite, times: u64) -> Result<(), Failure> {
    let (mut sealer, mut opener) = (Sealer::new(keys(suite)), Opener::new(keys(suite)));
    let mut record = Vec::with_capacity(RECORD_HEADER + PIECE + RECORD_TAG);
    for _ in 0..times {
        record.resize(RECORD_HEADER + PIECE, 7);
        sealer.seal(black_box(&mut record))?;
        black_box(opener.open(&mut record)?.len());
    }
    Ok(())
}

fn write_data(record: &mut Vec<u8>, piece: &[u8]) -> Result<(), Failure> {
    let (transfer, file) = (TransferId(2), FileIndex(7));
    let data = Data { transfer, file, offset: 3 << 20, leaf: Some([9; 32]) };
    record.clear();
    FrameWriter::new(record, 0).data(black_box(&data), piece)?;
    Ok(())
}

/// DATA with a piece of 16 KiB.
fn data_write(times: u64) -> Result<(), Failure> {
    let (mut record, piece) = (Vec::new(), vec![7; PIECE]);
    (0..times).try_for_each(|_| write_data(black_box(&mut record), &piece))
}

fn data_read(times: u64) -> Result<(), Failure> {
    let mut record = Vec::new();
    write_data(&mut record, &vec![7; PIECE])?;
    (0..times).try_for_each(|_| read(&record, Channel::File))
}

/// What a receiver says after a sync.
fn write_answers(record: &mut Vec<u8>, frames: &[Frame]) -> Result<(), Failure> {
    record.clear();
    let mut writer = FrameWriter::new(record, 0);
    for frame in frames {
        writer.frame(black_box(frame))?;
    }
    Ok(())
}

fn answers() -> [Frame; 2] {
    let transfer = TransferId(2);
    let ranges = (0..16).map(|n| AckRange { file: FileIndex(n), first: 300, count: 500 }).collect();
    [Ack { transfer, ranges }.into(), Credit { transfer: Some(transfer), limit: 1 << 32 }.into()]
}

/// ACK of 16 ranges, and CREDIT.
fn ack_write(times: u64) -> Result<(), Failure> {
    let (mut record, frames) = (Vec::new(), answers());
    (0..times).try_for_each(|_| write_answers(black_box(&mut record), &frames))
}

fn ack_read(times: u64) -> Result<(), Failure> {
    let mut record = Vec::new();
    write_answers(&mut record, &answers())?;
    (0..times).try_for_each(|_| read(&record, Channel::Control))
}

fn read(record: &[u8], channel: Channel) -> Result<(), Failure> {
    let mut reader = FrameReader::new(black_box(record), channel);
    while let Some(frame) = reader.next()? {
        black_box(frame);
    }
    black_box(reader.payload());
    Ok(())
}

/// The hash of a chunk of 64 KiB.
#[allow(clippy::unnecessary_wraps, reason = "as all paths")]
fn leaf(times: u64) -> Result<(), Failure> {
    let chunk = vec![7; CHUNK];
    for _ in 0..times {
        black_box(leaf_hash(black_box(&chunk)));
    }
    Ok(())
}

/// A leaf's part in the tree.
#[allow(clippy::unnecessary_wraps, reason = "as all paths")]
fn tree(times: u64) -> Result<(), Failure> {
    let mut tree = TreeBuilder::new();
    for _ in 0..times {
        tree.push(black_box([7; 32]));
    }
    black_box(tree.root());
    Ok(())
}

/// A chunk of 64 KiB through two connections: read, hashed, sealed, opened, hashed
/// and acknowledged.
fn chunk(times: u64) -> Result<(), Failure> {
    let failed = |failure| format!("{failure:?}");
    let mut pair = Pair::established(Instant::now()).map_err(failed)?;
    // The file is far longer, so that its end is never met.
    pair.begin(1 << 40).map_err(failed)?;
    Ok(pair.run_to_chunk(BEFORE + times).map_err(failed)?)
}
