//! What it costs to write frames into a record's plaintext and to read them from
//! it: DATA with a piece, and what a receiver answers with.

#![allow(clippy::unwrap_used, missing_docs)]

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use passel_proto::frame::{Ack, AckRange, Credit, Data, Frame, FrameReader, FrameWriter};
use passel_proto::ids::{Channel, FileIndex, TransferId};

const PIECE: usize = 16 * 1024;

fn data() -> Data {
    let (transfer, file) = (TransferId(2), FileIndex(7));
    Data { transfer, file, offset: 3 << 20, leaf: Some([9; 32]) }
}

/// What a receiver says after a sync.
fn answers() -> [Frame; 2] {
    let transfer = TransferId(2);
    let ranges = (0..16).map(|n| AckRange { file: FileIndex(n), first: 300, count: 500 }).collect();
    [Ack { transfer, ranges }.into(), Credit { transfer: Some(transfer), limit: 1 << 32 }.into()]
}

fn write_data(record: &mut Vec<u8>, piece: &[u8]) {
    record.clear();
    FrameWriter::new(record, 0).data(&data(), piece).unwrap();
}

fn write_answers(record: &mut Vec<u8>, frames: &[Frame]) {
    record.clear();
    let mut writer = FrameWriter::new(record, 0);
    for frame in frames {
        writer.frame(frame).unwrap();
    }
}

fn read(record: &[u8], channel: Channel) {
    let mut reader = FrameReader::new(record, channel);
    while let Some(frame) = reader.next().unwrap() {
        black_box(frame);
    }
    black_box(reader.payload());
}

fn codec(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("codec");
    let (mut record, piece) = (Vec::new(), vec![7; PIECE]);

    write_data(&mut record, &piece);
    let written = record.clone();
    group.throughput(Throughput::Bytes(written.len() as u64));
    group.bench_function("DATA, write", |b| b.iter(|| write_data(&mut record, &piece)));
    group.bench_function("DATA, read", |b| b.iter(|| read(&written, Channel::File)));

    let frames = answers();
    write_answers(&mut record, &frames);
    let written = record.clone();
    group.throughput(Throughput::Bytes(written.len() as u64));
    group.bench_function("ACK and CREDIT, write", |b| {
        b.iter(|| write_answers(&mut record, &frames));
    });
    group.bench_function("ACK and CREDIT, read", |b| b.iter(|| read(&written, Channel::Control)));
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2));
    targets = codec
}
criterion_main!(benches);
