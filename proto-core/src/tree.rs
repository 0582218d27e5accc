//! The hash tree over a file's chunks: SHA-256, leaves and nodes in separate
//! domains, shaped as in RFC 6962 (`spec/06-manifest.md#tree`). Only roots are
//! computed here; no proofs are needed, for leaf hashes travel with the data.

use std::collections::BTreeMap;

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

/// Why a leaf was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TreeError {
    /// There is a leaf at this index already.
    #[error("the tree has a leaf at this index already")]
    Duplicate,
    /// The leaf is out of order, and as many as allowed wait already.
    #[error("too many leaves are out of order")]
    TooManyPending,
}

/// A tree whose leaves come in any order, as chunks do on unordered channels.
/// It folds what has no gap before it and keeps the rest, up to a bound.
#[derive(Clone, Debug)]
pub struct OutOfOrderTree {
    folded: TreeBuilder,
    pending: BTreeMap<u64, Hash>,
    max_pending: usize,
}

impl OutOfOrderTree {
    /// A tree without leaves that keeps at most `max_pending` leaves waiting for
    /// one before them.
    #[must_use]
    pub fn new(max_pending: usize) -> Self {
        Self { folded: TreeBuilder::new(), pending: BTreeMap::new(), max_pending }
    }

    /// Adds the leaf at `index` by its [`leaf_hash`]. On an error nothing has
    /// changed, and the call may be made again later.
    pub fn insert(&mut self, index: u64, leaf: Hash) -> Result<(), TreeError> {
        if index < self.folded.leaves() || self.pending.contains_key(&index) {
            return Err(TreeError::Duplicate);
        }
        if index > self.folded.leaves() {
            if self.pending.len() >= self.max_pending {
                return Err(TreeError::TooManyPending);
            }
            self.pending.insert(index, leaf);
            return Ok(());
        }
        self.folded.push(leaf);
        while let Some(next) = self.pending.remove(&self.folded.leaves()) {
            self.folded.push(next);
        }
        Ok(())
    }

    /// Number of leaves without a gap before them.
    pub fn leaves_folded(&self) -> u64 {
        self.folded.leaves()
    }

    /// Number of leaves that wait for one before them.
    pub fn pending(&self) -> usize {
        self.pending.len()
    }

    /// Root over all leaves so far; none while there is a gap.
    pub fn root(&self) -> Option<Hash> {
        self.pending.is_empty().then(|| self.folded.root())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

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

    #[test]
    fn what_waits_is_bounded_and_a_refusal_changes_nothing() {
        let all = leaves(4);
        let mut tree = OutOfOrderTree::new(2);
        tree.insert(1, all[1]).unwrap();
        tree.insert(3, all[3]).unwrap();
        assert_eq!(tree.insert(3, all[3]), Err(TreeError::Duplicate));
        assert_eq!(tree.insert(2, all[2]), Err(TreeError::TooManyPending));
        assert_eq!((tree.pending(), tree.leaves_folded(), tree.root()), (2, 0, None));
        // The leaf that closes the gap needs no room.
        tree.insert(0, all[0]).unwrap();
        assert_eq!((tree.pending(), tree.leaves_folded(), tree.root()), (1, 2, None));
        tree.insert(2, all[2]).unwrap();
        assert_eq!(tree.insert(0, all[0]), Err(TreeError::Duplicate));
        assert_eq!(tree.root(), Some(reference(&all)));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn any_order_gives_the_same_root(
            order in (0usize..=1000).prop_flat_map(|n| Just((0..n).collect::<Vec<_>>()).prop_shuffle())
        ) {
            let all = leaves(order.len());
            let mut tree = OutOfOrderTree::new(order.len());
            for (done, &index) in order.iter().enumerate() {
                prop_assert_eq!(tree.insert(index as u64, all[index]), Ok(()));
                prop_assert_eq!(tree.leaves_folded() + tree.pending() as u64, done as u64 + 1);
            }
            prop_assert_eq!(tree.root(), Some(reference(&all)));
        }
    }
}
