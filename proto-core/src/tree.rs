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
