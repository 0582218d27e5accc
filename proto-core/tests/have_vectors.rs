//! The vectors of what a receiver has (`spec/vectors/have.json`): sets of chunks,
//! their largest complete subtrees and the digest over these, computed by the
//! definition and compared with the crate's.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod vector_file;

use passel_proto::subtrees::Subtrees;
use passel_proto::tree::{Hash, leaf_hash, node_hash};
use serde::Serialize;
use sha2::{Digest, Sha256};
use vector_file::hex;

#[derive(Serialize)]
struct Vectors {
    about: &'static str,
    spec: &'static str,
    cases: Vec<Case>,
}

#[derive(Serialize)]
struct Case {
    why: &'static str,
    leaves: Vec<Leaf>,
    subtrees: Vec<Told>,
    digest: String,
}

#[derive(Serialize)]
struct Leaf {
    index: String,
    hash: String,
}

#[derive(Serialize)]
struct Told {
    first: String,
    n: u8,
    root: String,
}

fn leaf(index: u64) -> Hash {
    leaf_hash(&index.to_le_bytes())
}

/// RS-DIGEST by its definition: two neighbours are joined as long as there are any.
fn definition(leaves: &[(u64, Hash)]) -> Vec<(u64, u8, Hash)> {
    let mut found: Vec<(u64, u8, Hash)> =
        leaves.iter().map(|&(index, hash)| (index, 0, hash)).collect();
    found.sort_unstable();
    loop {
        let joined = found.windows(2).position(|pair| {
            let [(first, n, _), (other, m, _)] = *pair else { return false };
            n == m && other - first == 1 << n && first % (1 << (n + 1)) == 0
        });
        let Some(place) = joined else { return found };
        let (_, _, right) = found.remove(place + 1);
        let (_, n, root) = &mut found[place];
        (*n, *root) = (*n + 1, node_hash(root, &right));
    }
}

fn digest(found: &[(u64, u8, Hash)]) -> Hash {
    let mut bytes = b"passel v1 have".to_vec();
    for (first, n, root) in found {
        bytes.extend(first.to_le_bytes());
        bytes.push(*n);
        bytes.extend(root);
    }
    Sha256::digest(bytes).into()
}

fn case(why: &'static str, leaves: &[(u64, Hash)]) -> Case {
    let found = definition(leaves);
    let digest = digest(&found);
    let (mut in_order, mut backwards) = (Subtrees::new(usize::MAX), Subtrees::new(usize::MAX));
    for &(index, hash) in leaves {
        in_order.insert(index, hash).unwrap();
    }
    for &(index, hash) in leaves.iter().rev() {
        backwards.insert(index, hash).unwrap();
    }
    for there in [in_order, backwards] {
        let told: Vec<_> = there.iter().map(|part| (part.first, part.level, part.hash)).collect();
        assert_eq!(told, found, "{why}");
        assert_eq!(there.digest(), digest, "{why}");
    }
    let leaf = |&(index, hash): &(u64, Hash)| Leaf { index: index.to_string(), hash: hex(&hash) };
    let told = |&(first, n, root): &(u64, u8, Hash)| Told {
        first: first.to_string(),
        n,
        root: hex(&root),
    };
    Case {
        why,
        leaves: leaves.iter().map(leaf).collect(),
        subtrees: found.iter().map(told).collect(),
        digest: hex(&digest),
    }
}

// RS-DIGEST
#[test]
fn subtrees_and_digests_agree_with_the_vectors() {
    let of = |why, indices: &[u64]| {
        let leaves: Vec<_> = indices.iter().map(|&index| (index, leaf(index))).collect();
        case(why, &leaves)
    };
    let run = |range: std::ops::Range<u64>| range.collect::<Vec<_>>();
    let cases = vec![
        of("no chunks", &[]),
        of("the first chunk", &[0]),
        of("one chunk that is not the first", &[1]),
        of("two chunks that are a subtree", &[0, 1]),
        of("two neighbours that are none", &[1, 2]),
        of("three chunks", &run(0..3)),
        of("a subtree of eight", &run(0..8)),
        of("seven chunks", &run(0..7)),
        of("eight chunks from the fourth on", &run(3..11)),
        of("neighbours of different sizes", &[4, 5, 6, 7, 8, 9]),
        of("neighbours of the same size at the wrong place", &[2, 3, 4, 5]),
        of("every other chunk", &[0, 2, 4, 6, 8, 10]),
        of("two runs with a gap of one", &[0, 1, 2, 3, 5, 6, 7]),
        of("chunks that came in any order", &[5, 0, 9, 4, 1, 8, 7]),
        of("33 chunks", &run(0..33)),
        of("chunks beyond 2^32", &run((1 << 32) - 2..(1 << 32) + 2)),
        of("the last chunks that there can be", &run(u64::MAX - 3..u64::MAX)),
        case("chunks that hold the same", &[(0, leaf(7)), (1, leaf(7)), (3, leaf(7))]),
        case("another hash at the same place", &[(0, leaf(7)), (1, leaf(8)), (3, leaf(7))]),
    ];
    let digests: std::collections::BTreeSet<&str> =
        cases.iter().map(|case| case.digest.as_str()).collect();
    assert_eq!(digests.len(), cases.len(), "no two sets have the same digest");
    let vectors = Vectors {
        about: "Sets of chunks that a receiver has. `leaves` are the chunks' places and hashes, in \
                the order in which they came, `subtrees` the largest complete subtrees of these in \
                the order of their first leaves, each of 2^n leaves, and `digest` the one of HAVE. \
                Places are decimal texts, hashes hexadecimal.",
        spec: "spec/13-resume.md",
        cases,
    };
    vector_file::check("have.json", &vectors);
}
