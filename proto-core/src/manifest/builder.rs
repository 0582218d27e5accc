//! Takes entries one by one or page by page, and checks the rules between them
//! while they come (`spec/06-manifest.md#manifests`). What does not live here:
//! the rules for a single name ([`crate::path`]) and for a single entry.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use super::packed::Packed;
use super::{Entry, Manifest, ManifestError};
use crate::codec::{self, CodecError};
use crate::ids::FileIndex;
use crate::limits::{MAX_ENTRIES_COUNT, MAX_MANIFEST_BYTES};
use crate::path::SafePath;

/// Builds a [`Manifest`] from its entries in order.
///
/// What it holds is in proportion to the bytes that it was given, never to a
/// number that they claim (`MF-BOUNDED`). After an error nothing but dropping it makes sense.
///
/// ```
/// use passel_proto::manifest::{Entry, EntryKind, ManifestBuilder};
/// use passel_proto::path::SafePath;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut builder = ManifestBuilder::new();
/// let kind = EntryKind::File { size: Some(3), executable: false, mime: None, root: None };
/// builder.push(&Entry { path: SafePath::parse("a.txt")?, kind, modified: None })?;
/// let manifest = builder.finish()?;
/// assert_eq!((manifest.files(), manifest.total_bytes()), (1, 3));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Default)]
pub struct ManifestBuilder {
    pub(super) packed: Packed,
    files: u32,
    streams: u32,
    total_bytes: u64,
    /// The last entry's path, and whether it is a directory.
    last: Option<(SafePath, bool)>,
    /// The hash of each path's collision key, to find collisions at the end.
    folds: Vec<u64>,
}

impl ManifestBuilder {
    /// A builder without entries.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Number of entries so far.
    pub fn len(&self) -> u32 {
        self.packed.len()
    }

    /// Bytes that the entries so far take, as they were encoded.
    pub fn encoded_len(&self) -> usize {
        self.packed.encoded_len
    }

    /// Whether there is no entry yet.
    pub fn is_empty(&self) -> bool {
        self.packed.len() == 0
    }

    /// Adds one entry, which comes after all others so far in the order of
    /// [`SafePath`] (`MF-ORDER`) and whose directory was added before it
    /// (`MF-PARENT`).
    pub fn push(&mut self, entry: &Entry) -> Result<FileIndex, ManifestError> {
        entry.check()?;
        let bytes = codec::encode(entry).map_err(|_| CodecError::Invalid)?;
        self.admit(entry, &bytes)
    }

    /// Adds the `count` entries that `bytes` holds, encoded one after the other
    /// with nothing behind them.
    pub fn push_page(&mut self, bytes: &[u8], count: u32) -> Result<(), ManifestError> {
        if count == 0 {
            return Err(ManifestError::Empty); // MF-NOT-EMPTY
        }
        let mut rest = bytes;
        for _ in 0..count {
            let (entry, used) = Entry::decode_prefix(rest)?;
            let (own, following) = rest.split_at_checked(used).ok_or(CodecError::Truncated)?;
            self.admit(&entry, own)?;
            rest = following;
        }
        // MF-PAGE-EXACT
        if rest.is_empty() { Ok(()) } else { Err(CodecError::Trailing.into()) }
    }

    /// Makes the last checks. The manifest must have an entry, and no two names
    /// may collide (`MF-FOLD`).
    pub fn finish(mut self) -> Result<Manifest, ManifestError> {
        if self.is_empty() {
            return Err(ManifestError::Empty); // MF-NOT-EMPTY
        }
        self.folds.sort_unstable();
        let mut suspects: Vec<u64> =
            self.folds.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| pair[0]).collect();
        suspects.dedup();
        self.folds = Vec::new();
        self.packed.shrink();
        let manifest = Manifest {
            packed: self.packed,
            files: self.files,
            streams: self.streams,
            total_bytes: self.total_bytes,
        };
        check_suspects(&manifest, &suspects)?;
        Ok(manifest)
    }

    /// Checks `entry` against those before it and adds it; `bytes` is its
    /// canonical encoding.
    fn admit(&mut self, entry: &Entry, bytes: &[u8]) -> Result<FileIndex, ManifestError> {
        if self.packed.len() as usize >= MAX_ENTRIES_COUNT {
            return Err(ManifestError::TooManyEntries); // MF-LIMIT-ENTRIES
        }
        if bytes.len() > MAX_MANIFEST_BYTES.saturating_sub(self.packed.encoded_len) {
            return Err(ManifestError::TooManyBytes); // MF-LIMIT-BYTES
        }
        let index = FileIndex(self.len());
        if self.last.as_ref().is_some_and(|(last, _)| *last >= entry.path) {
            return Err(ManifestError::Order(index)); // MF-ORDER
        }
        if !self.is_parent_listed(&entry.path) {
            return Err(ManifestError::Parent(index)); // MF-PARENT
        }
        if !self.packed.push(bytes, entry.path.as_str().len()) {
            return Err(ManifestError::TooManyBytes);
        }
        if let Some(size) = entry.size() {
            self.total_bytes = self.total_bytes.saturating_add(size);
        }
        let is_file = !entry.is_directory();
        self.files += u32::from(is_file);
        self.streams += u32::from(is_file && entry.size().is_none());
        self.folds.push(fold_hash(&entry.path.collision_key()));
        self.last = Some((entry.path.clone(), entry.is_directory()));
        Ok(index)
    }

    /// Whether the directory of `path` was added. In this order a directory's
    /// content follows it at once, so the entry before `path` is either that
    /// directory or lies in it, which was checked when it was added.
    fn is_parent_listed(&self, path: &SafePath) -> bool {
        let Some(parent) = path.parent() else { return true };
        let Some((last, is_directory)) = &self.last else { return false };
        match last.as_str().strip_prefix(parent) {
            Some("") => *is_directory,
            Some(beneath) => beneath.starts_with('/'),
            None => false,
        }
    }
}

/// 64 bits of SHA-256 over a collision key. Equal hashes only raise a suspicion.
fn fold_hash(key: &str) -> u64 {
    let digest: [u8; 32] = Sha256::digest(key).into();
    digest.iter().take(8).fold(0, |hash, &byte| hash << 8 | u64::from(byte))
}

/// Compares the keys themselves of all entries whose hash is in `suspects`,
/// which is sorted and, but for an attacker's long work, empty.
fn check_suspects(manifest: &Manifest, suspects: &[u64]) -> Result<(), ManifestError> {
    if suspects.is_empty() {
        return Ok(());
    }
    let mut seen = BTreeMap::new();
    for (index, entry) in manifest.iter() {
        let key = entry.path.collision_key();
        if suspects.binary_search(&fold_hash(&key)).is_ok()
            && let Some(first) = seen.insert(key, index)
        {
            return Err(ManifestError::Fold(first, index)); // MF-FOLD
        }
    }
    Ok(())
}
