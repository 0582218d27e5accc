//! What the protocol alone makes of a file of 64 MiB: two connections in memory,
//! in one thread, with storage that answers at once. Each byte is hashed, sealed,
//! opened and hashed again.

#![allow(clippy::unwrap_used, missing_docs)]

use std::time::{Duration, Instant};

use criterion::{BatchSize, Criterion, SamplingMode, Throughput, criterion_group, criterion_main};
use passel_benches::pair::Pair;

const SIZE: u64 = 64 << 20;

fn transfer(criterion: &mut Criterion) {
    let now = Instant::now();
    let mut group = criterion.benchmark_group("transfer");
    group.throughput(Throughput::Bytes(SIZE)).sampling_mode(SamplingMode::Flat);
    group.bench_function("64 MiB in memory", |b| {
        b.iter_batched_ref(
            || Pair::established(now).unwrap(),
            |pair| {
                pair.begin(SIZE).unwrap();
                pair.finish().unwrap();
            },
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(5));
    targets = transfer
}
criterion_main!(benches);
