//! What it costs to seal a record of 16 KiB, and to open it again, with each suite.

#![allow(clippy::unwrap_used, missing_docs)]

use std::time::Duration;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use passel_proto::crypto::Secret32;
use passel_proto::ids::{Channel, Role};
use passel_proto::limits::{RECORD_HEADER, RECORD_TAG};
use passel_proto::record::{Opener, RecordKeys, Sealer};
use passel_proto::suite::Suite;

const PLAINTEXT: usize = 16 * 1024;

fn keys(suite: Suite) -> RecordKeys {
    RecordKeys::derive(suite, &Secret32::new([7; 32]), 0, Role::Initiator, 0, Channel::File)
}

fn records(criterion: &mut Criterion) {
    for suite in Suite::ALL {
        of_suite(criterion, suite);
    }
}

fn of_suite(criterion: &mut Criterion, suite: Suite) {
    let mut group = criterion.benchmark_group(format!("records {}", suite.name()));
    group.throughput(Throughput::Bytes(PLAINTEXT as u64));

    let mut sealer = Sealer::new(keys(suite));
    let mut record = Vec::with_capacity(RECORD_HEADER + PLAINTEXT + RECORD_TAG);
    group.bench_function("seal 16 KiB", |b| {
        b.iter(|| {
            // What is in it does not matter: the plaintext is what was sealed before.
            record.resize(RECORD_HEADER + PLAINTEXT, 7);
            sealer.seal(&mut record).unwrap();
        });
    });

    // A record opens once: each iteration has one of its own, in order.
    let mut sealer = Sealer::new(keys(suite));
    let mut opener = Opener::new(keys(suite));
    group.bench_function("open 16 KiB", |b| {
        b.iter_batched_ref(
            || {
                let mut record = vec![7; RECORD_HEADER + PLAINTEXT];
                sealer.seal(&mut record).unwrap();
                record
            },
            |record| opener.open(record).unwrap().len(),
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(3));
    targets = records
}
criterion_main!(benches);
