//! What the hash tree costs: a chunk's leaf, and the nodes above 16,384 leaves
//! (1 GiB in chunks of 64 KiB), in order and in a receiver's set of subtrees.

#![allow(clippy::unwrap_used, missing_docs)]

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use passel_benches::pair::CHUNK;
use passel_proto::subtrees::Subtrees;
use passel_proto::tree::{TreeBuilder, leaf_hash};

const LEAVES: u64 = 16 * 1024;

fn tree(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("tree");
    let chunk = vec![7; CHUNK];
    group.throughput(Throughput::Bytes(CHUNK as u64));
    group.bench_function("leaf of 64 KiB", |b| b.iter(|| leaf_hash(black_box(&chunk))));

    let leaf = leaf_hash(&chunk);
    group.throughput(Throughput::Bytes(LEAVES * CHUNK as u64));
    group.bench_function("TreeBuilder, 1 GiB of leaves", |b| {
        b.iter(|| {
            let mut tree = TreeBuilder::new();
            (0..LEAVES).for_each(|_| tree.push(black_box(leaf)));
            tree.root()
        });
    });
    group.bench_function("Subtrees, 1 GiB of leaves", |b| {
        b.iter(|| {
            let mut there = Subtrees::new(1);
            (0..LEAVES).for_each(|index| there.insert(index, black_box(leaf)).unwrap());
            there.root(LEAVES)
        });
    });
    group.bench_function("Subtrees, 1 GiB of leaves, each pair reversed", |b| {
        b.iter(|| {
            let mut there = Subtrees::new(2);
            (0..LEAVES).for_each(|index| there.insert(index ^ 1, black_box(leaf)).unwrap());
            there.root(LEAVES)
        });
    });
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2));
    targets = tree
}
criterion_main!(benches);
