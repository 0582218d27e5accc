//! Part of a hash tree: the chunks that are there, in whatever order they came,
//! as the roots of the largest complete subtrees that cover them
//! (`spec/06-manifest.md#tree`). This is what a receiver keeps of a file that is
//! under way, in memory and in its journal.

use std::collections::BTreeMap;
use std::ops::Range;

use bincode::{Decode, Encode};
use sha2::{Digest, Sha256};

use crate::tree::{Hash, empty_root, node_hash};

/// What the digest over subtrees begins with (`RS-DIGEST`).
const DIGEST_LABEL: &[u8] = b"passel v1 have";

/// The root of a complete subtree over `2^level` leaves from `first` on, which
/// is a multiple of that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Subtree {
    /// Index of the first leaf.
    pub first: u64,
    /// Two to this power is the number of leaves; at most 63.
    pub level: u8,
    /// The subtree's root.
    pub hash: Hash,
}

impl Subtree {
    /// The leaves that it covers; none if it is not aligned or reaches beyond
    /// the numbers there are.
    pub fn leaves(&self) -> Option<Range<u64>> {
        let len = 1u64.checked_shl(self.level.into())?;
        let end = self.first.checked_add(len)?;
        self.first.is_multiple_of(len).then_some(self.first..end)
    }
}

/// Why something was not added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SubtreeError {
    /// A leaf is there already.
    #[error("the tree has that leaf already")]
    Duplicate,
    /// There would be more separate runs than are allowed.
    #[error("the leaves are in too many separate runs")]
    TooManyRuns,
    /// A subtree is not aligned.
    #[error("a subtree is not at its place")]
    Misplaced,
}

/// A set of leaves with their hashes. Memory is in proportion to the number of
/// runs and the logarithm of their lengths; the caller bounds the runs.
///
/// ```
/// use passel_proto::subtrees::Subtrees;
/// use passel_proto::tree::{leaf_hash, node_hash};
///
/// let (a, b) = (leaf_hash(b"first chunk"), leaf_hash(b"second chunk"));
/// let mut there = Subtrees::new(16);
/// there.insert(1, b)?;
/// assert_eq!(there.root(2), None);
/// there.insert(0, a)?;
/// assert_eq!(there.root(2), Some(node_hash(&a, &b)));
/// # Ok::<(), passel_proto::subtrees::SubtreeError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subtrees {
    /// First leaf to level and root. No two are siblings.
    roots: BTreeMap<u64, (u8, Hash)>,
    leaves: u64,
    runs: usize,
    max_runs: usize,
}

impl Subtrees {
    /// The empty set, which takes at most `max_runs` separate runs of leaves.
    #[must_use]
    pub fn new(max_runs: usize) -> Self {
        Self { roots: BTreeMap::new(), leaves: 0, runs: 0, max_runs }
    }

    /// Adds the leaf at `index` by its [`leaf_hash`](crate::tree::leaf_hash). On
    /// an error nothing has changed.
    pub fn insert(&mut self, index: u64, leaf: Hash) -> Result<(), SubtreeError> {
        self.insert_subtree(Subtree { first: index, level: 0, hash: leaf })
    }

    /// Adds a whole subtree. On an error nothing has changed.
    pub fn insert_subtree(&mut self, subtree: Subtree) -> Result<(), SubtreeError> {
        let leaves = subtree.leaves().ok_or(SubtreeError::Misplaced)?;
        let after = self.roots.range(leaves.start..).next();
        let joins_after = after.is_some_and(|(&first, _)| first == leaves.end);
        if after.is_some_and(|(&first, _)| first < leaves.end) || self.contains(leaves.start) {
            return Err(SubtreeError::Duplicate);
        }
        let joins_before = leaves.start.checked_sub(1).is_some_and(|leaf| self.contains(leaf));
        let runs = self.runs + 1 - usize::from(joins_before) - usize::from(joins_after);
        if runs > self.max_runs {
            return Err(SubtreeError::TooManyRuns);
        }
        self.runs = runs;
        self.leaves = self.leaves.saturating_add(leaves.end - leaves.start);
        let Subtree { mut first, mut level, mut hash } = subtree;
        // Joins siblings as long as there are any.
        while let Some(sibling) = 1u64.checked_shl(level.into()).map(|len| first ^ len)
            && let Some(&(other_level, other)) = self.roots.get(&sibling)
            && other_level == level
        {
            self.roots.remove(&sibling);
            hash =
                if sibling < first { node_hash(&other, &hash) } else { node_hash(&hash, &other) };
            first = first.min(sibling);
            level += 1;
        }
        self.roots.insert(first, (level, hash));
        Ok(())
    }

    /// Adds all that `other` has.
    pub fn absorb(&mut self, other: &Self) -> Result<(), SubtreeError> {
        other.iter().try_for_each(|subtree| self.insert_subtree(subtree))
    }

    /// Whether the leaf is there.
    pub fn contains(&self, index: u64) -> bool {
        self.roots.range(..=index).next_back().is_some_and(|(&first, &(level, _))| {
            1u64.checked_shl(level.into()).is_none_or(|len| index - first < len)
        })
    }

    /// How many leaves are there.
    pub fn len(&self) -> u64 {
        self.leaves
    }

    /// Whether no leaf is there.
    pub fn is_empty(&self) -> bool {
        self.roots.is_empty()
    }

    /// How many separate runs of leaves there are.
    pub fn runs(&self) -> usize {
        self.runs
    }

    /// The subtrees, from the first leaf to the last.
    pub fn iter(&self) -> impl Iterator<Item = Subtree> + '_ {
        self.roots.iter().map(|(&first, &(level, hash))| Subtree { first, level, hash })
    }

    /// The leaves, as ascending ranges that may touch.
    pub fn ranges(&self) -> impl Iterator<Item = Range<u64>> + '_ {
        self.iter().filter_map(|subtree| subtree.leaves())
    }

    /// The root of a tree of `leaves` leaves (`MF-TREE-SHAPE`), if they are
    /// exactly what is there.
    pub fn root(&self, leaves: u64) -> Option<Hash> {
        if self.leaves != leaves
            || self.runs > 1
            || self.roots.keys().next().is_some_and(|&f| f != 0)
        {
            return None;
        }
        let mut from_the_right = self.roots.values().rev().map(|&(_, hash)| hash);
        let Some(last) = from_the_right.next() else { return Some(empty_root()) };
        Some(from_the_right.fold(last, |right, left| node_hash(&left, &right)))
    }

    /// A digest over the leaves that are there and their hashes (`RS-DIGEST`).
    pub fn digest(&self) -> Hash {
        let mut hasher = Sha256::new();
        hasher.update(DIGEST_LABEL);
        for subtree in self.iter() {
            hasher.update(subtree.first.to_le_bytes());
            hasher.update([subtree.level]);
            hasher.update(subtree.hash);
        }
        hasher.finalize().into()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::tree::{TreeBuilder, leaf_hash};

    fn leaf(index: u64) -> Hash {
        leaf_hash(&index.to_le_bytes())
    }

    fn with(indices: &[u64]) -> Subtrees {
        let mut there = Subtrees::new(usize::MAX);
        for &index in indices {
            there.insert(index, leaf(index)).unwrap();
        }
        there
    }

    fn reference(leaves: u64) -> Hash {
        let mut tree = TreeBuilder::new();
        (0..leaves).for_each(|index| tree.push(leaf(index)));
        tree.root()
    }

    // MF-TREE-SHAPE
    #[test]
    fn every_size_has_the_root_of_a_tree_that_grew_in_order() {
        let mut there = Subtrees::new(1);
        assert_eq!(there.root(0), Some(reference(0)));
        for index in 0..300 {
            there.insert(index, leaf(index)).unwrap();
            assert_eq!(there.root(index + 1), Some(reference(index + 1)));
            assert_eq!(there.root(index), None);
            assert_eq!(there.root(index + 2), None);
            assert!(there.iter().count() <= 9, "{index}");
        }
    }

    #[test]
    fn runs_are_counted_and_bounded_and_a_refusal_changes_nothing() {
        let mut there = Subtrees::new(2);
        there.insert(1, leaf(1)).unwrap();
        there.insert(3, leaf(3)).unwrap();
        let before = there.clone();
        assert_eq!(there.insert(5, leaf(5)), Err(SubtreeError::TooManyRuns));
        assert_eq!(there.insert(3, leaf(3)), Err(SubtreeError::Duplicate));
        assert_eq!(there, before);
        there.insert(2, leaf(2)).unwrap();
        assert_eq!((there.runs(), there.len(), there.root(3)), (1, 3, None));
        there.insert(0, leaf(0)).unwrap();
        assert_eq!(there.root(4), Some(reference(4)));
        assert_eq!(there.iter().count(), 1);
    }

    #[test]
    fn subtrees_that_overlap_or_are_not_aligned_are_refused() {
        let whole = with(&[0, 1, 2, 3]).iter().next().unwrap();
        assert_eq!(whole.level, 2);
        let mut there = with(&[2]);
        assert_eq!(there.insert_subtree(whole), Err(SubtreeError::Duplicate));
        let mut there = with(&[0, 1, 2, 3]);
        assert_eq!(there.insert(2, leaf(2)), Err(SubtreeError::Duplicate));
        for (first, level) in [(2, 2), (1, 1), (0, 64), (1 << 63, 63), (u64::MAX, 0)] {
            let odd = Subtree { first, level, hash: [0; 32] };
            assert_eq!(there.insert_subtree(odd), Err(SubtreeError::Misplaced), "{first} {level}");
        }
    }

    // RS-DIGEST
    #[test]
    fn the_digest_tells_which_leaves_there_are_and_what_they_hold() {
        let digest = with(&[0, 1, 4]).digest();
        assert_eq!(with(&[4, 1, 0]).digest(), digest);
        assert_ne!(with(&[0, 1, 5]).digest(), digest);
        let mut other = with(&[0, 1]);
        other.insert(4, leaf(5)).unwrap();
        assert_ne!(other.digest(), digest);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn any_order_and_any_split_give_the_same(
            order in (0usize..=300).prop_flat_map(|n| Just((0..n as u64).collect::<Vec<_>>()).prop_shuffle()),
            split in 0usize..=300,
        ) {
            let split = split.min(order.len());
            let (one, other) = order.split_at(split);
            let mut there = with(one);
            for index in &order {
                prop_assert_eq!(there.contains(*index), one.contains(index));
            }
            let covered: u64 = there.ranges().map(|range| range.end - range.start).sum();
            prop_assert_eq!(covered, one.len() as u64);
            there.absorb(&with(other)).unwrap();
            prop_assert_eq!(there.runs(), usize::from(!order.is_empty()));
            prop_assert_eq!(there.root(order.len() as u64), Some(reference(order.len() as u64)));
        }
    }
}
