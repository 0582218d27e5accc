//! The hash tree over a file's chunks: SHA-256, leaves and nodes in separate
//! domains, shaped as in RFC 6962 (`spec/06-manifest.md#tree`). Only roots are
//! computed here; no proofs are needed, for leaf hashes travel with the data. What
//! is known of a tree whose leaves come in any order is in [`crate::subtrees`].

use sha2::{Digest, Sha256};

/// A SHA-256 digest.
pub type Hash = [u8; 32];

/// Hash of one chunk's bytes (`MF-TREE-LEAF`).
pub fn leaf_hash(data: &[u8]) -> Hash {
    Sha256::new().chain_update([0x00]).chain_update(data).finalize().into()
}

/// Hash of an inner node (`MF-TREE-NODE`).
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    Sha256::new().chain_update([0x01]).chain_update(left).chain_update(right).finalize().into()
}

/// Root of a tree without leaves, which is an empty file's (`MF-TREE-EMPTY`).
pub fn empty_root() -> Hash {
    Sha256::digest([]).into()
}

/// A tree that grows by leaves in order. It holds at most 64 hashes.
///
/// ```
/// use passel_proto::tree::{TreeBuilder, leaf_hash, node_hash};
///
/// let (a, b) = (leaf_hash(b"first chunk"), leaf_hash(b"second chunk"));
/// let mut tree = TreeBuilder::new();
/// tree.push(a);
/// tree.push(b);
/// assert_eq!(tree.root(), node_hash(&a, &b));
/// ```
#[derive(Clone, Debug, Default)]
pub struct TreeBuilder {
    /// Roots of the complete subtrees from left to right, one for each bit that
    /// is set in `leaves`.
    frontier: Vec<Hash>,
    leaves: u64,
}

impl TreeBuilder {
    /// A tree without leaves.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends a leaf by its [`leaf_hash`].
    pub fn push(&mut self, leaf: Hash) {
        let mut hash = leaf;
        for _ in 0..self.leaves.trailing_ones() {
            let Some(left) = self.frontier.pop() else { break };
            hash = node_hash(&left, &hash);
        }
        self.frontier.push(hash);
        self.leaves += 1;
    }

    /// Number of leaves so far.
    pub fn leaves(&self) -> u64 {
        self.leaves
    }

    /// Root over the leaves so far (`MF-TREE-SHAPE`). More may follow.
    pub fn root(&self) -> Hash {
        let mut subtrees = self.frontier.iter().rev();
        let Some(&last) = subtrees.next() else { return empty_root() };
        subtrees.fold(last, |right, left| node_hash(left, &right))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The definition in the spec, word for word and slowly (`MF-TREE-SHAPE`).
    fn reference(leaves: &[Hash]) -> Hash {
        match leaves {
            [] => Sha256::digest([]).into(),
            [leaf] => *leaf,
            _ => {
                let mut split = 1;
                while split * 2 < leaves.len() {
                    split *= 2;
                }
                let (left, right) = leaves.split_at(split);
                let both = [&[1u8][..], &reference(left), &reference(right)].concat();
                Sha256::digest(both).into()
            }
        }
    }

    fn leaves(count: usize) -> Vec<Hash> {
        (0..count).map(|i| leaf_hash(&i.to_le_bytes())).collect()
    }

    // MF-TREE-SHAPE, MF-TREE-EMPTY
    #[test]
    fn every_size_up_to_1000_has_the_root_of_the_definition() {
        let all = leaves(1000);
        let mut tree = TreeBuilder::new();
        assert_eq!(tree.root(), reference(&[]));
        for count in 1..=all.len() {
            tree.push(all[count - 1]);
            assert_eq!(tree.leaves(), count as u64);
            // The definition costs as many hashes as leaves, so not every size.
            if count <= 130 || count % 37 == 0 || count == all.len() {
                assert_eq!(tree.root(), reference(&all[..count]), "{count} leaves");
            }
        }
    }

    // MF-TREE-LEAF, MF-TREE-NODE
    #[test]
    fn leaves_and_nodes_are_separate_domains() {
        let (a, b) = (leaf_hash(b"a"), leaf_hash(b"b"));
        assert_eq!(leaf_hash(b""), <[u8; 32]>::from(Sha256::digest([0])));
        assert_ne!(leaf_hash(&[a, b].concat()), node_hash(&a, &b));
        assert_ne!(node_hash(&a, &b), node_hash(&b, &a));
        assert_ne!(leaf_hash(b""), empty_root());
    }
}
