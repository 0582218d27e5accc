//! What a whole handshake costs, both sides together: X-Wing, the key schedule,
//! key confirmation.

#![allow(clippy::unwrap_used, missing_docs)]

use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use passel_benches::pair::Pair;

fn handshake(criterion: &mut Criterion) {
    let now = Instant::now();
    criterion.bench_function("handshake, both sides", |b| {
        b.iter(|| Pair::established(now).unwrap());
    });
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(50)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(3));
    targets = handshake
}
criterion_main!(benches);
