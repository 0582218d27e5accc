//! The hash tree's vectors (`spec/vectors/tree.json`): what they hold, and that
//! both builders and the file agree with roots computed by the definition.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod vector_file;

use passel_proto::subtrees::Subtrees;
use passel_proto::tree::{Hash, TreeBuilder, leaf_hash};
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
    why: String,
    /// The chunks' bytes in hexadecimal, in order.
    chunks: Vec<String>,
    leaves: Vec<String>,
    root: String,
}

/// MF-TREE-SHAPE by its definition, apart from the crate's own code.
fn definition(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => Sha256::digest([]).into(),
        [leaf] => *leaf,
        _ => {
            let half = leaves.len().next_power_of_two() / 2;
            let (left, right) = leaves.split_at(half);
            Sha256::new()
                .chain_update([1])
                .chain_update(definition(left))
                .chain_update(definition(right))
                .finalize()
                .into()
        }
    }
}

fn case(why: String, chunks: &[Vec<u8>]) -> Case {
    let leaves: Vec<Hash> = chunks.iter().map(|chunk| leaf_hash(chunk)).collect();
    let root = definition(&leaves);
    let mut in_order = TreeBuilder::new();
    let mut backwards = Subtrees::new(1);
    for &leaf in &leaves {
        in_order.push(leaf);
    }
    for (index, &leaf) in leaves.iter().enumerate().rev() {
        backwards.insert(index as u64, leaf).unwrap();
    }
    assert_eq!(in_order.root(), root, "{why}");
    assert_eq!(backwards.root(leaves.len() as u64), Some(root), "{why}");
    Case {
        why,
        chunks: chunks.iter().map(|chunk| hex(chunk)).collect(),
        leaves: leaves.iter().map(|leaf| hex(leaf)).collect(),
        root: hex(&root),
    }
}

// MF-TREE-LEAF, MF-TREE-NODE, MF-TREE-EMPTY, MF-TREE-SHAPE
#[test]
fn roots_agree_with_the_vectors() {
    let mut cases: Vec<Case> = [0u8, 1, 2, 3, 4, 5, 6, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65]
        .into_iter()
        .map(|count| {
            let chunks: Vec<Vec<u8>> = (0..count).map(|i| vec![i; 4]).collect();
            case(format!("{count} chunks"), &chunks)
        })
        .collect();
    cases.push(case("one chunk without a byte is not an empty file".into(), &[vec![]]));
    cases.push(case("a shorter last chunk".into(), &[vec![1; 64], vec![2; 64], vec![3; 7]]));
    let nodes_input = [leaf_hash(&[0; 4]), leaf_hash(&[1; 4])].concat();
    cases.push(case("a chunk that looks like a node's input".into(), &[nodes_input]));
    let vectors = Vectors {
        about: "Roots of the hash tree. Chunks, leaf hashes and roots in hexadecimal. The chunks are \
                shorter than a transfer's are, which the tree does not notice.",
        spec: "spec/06-manifest.md#tree",
        cases,
    };
    vector_file::check("tree.json", &vectors);
}

/// Roots that other programs computed over the same leaves: RFC 6962 logs agree
/// on these, for their leaves are the same bytes.
#[test]
fn roots_agree_with_certificate_transparency() {
    let inputs: [&[u8]; 2] = [b"", b"\x00"];
    let mut tree = TreeBuilder::new();
    assert_eq!(
        hex(&tree.root()),
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    );
    tree.push(leaf_hash(inputs[0]));
    assert_eq!(
        hex(&tree.root()),
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
    );
    tree.push(leaf_hash(inputs[1]));
    assert_eq!(
        hex(&tree.root()),
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"
    );
}
