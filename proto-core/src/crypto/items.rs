//! An unambiguous byte string out of labelled items, to be hashed: the form that
//! the handshake's transcript and the contexts of signaling share
//! (`HS-TRANSCRIPT-ITEM`). Which items there are is said by those modules.

use sha2::{Digest, Sha256};

/// The protocol's name, the first item of every hash.
pub const PROTOCOL: &[u8] = b"passel.v1";

/// SHA-256 over items, each `label length (u8) | label | length (u32, little
/// endian) | bytes`. The first item is always `protocol`.
pub struct Items(Sha256);

impl Items {
    /// Starts with the item `protocol`.
    pub fn new() -> Self {
        Self(Sha256::new()).add("protocol", PROTOCOL)
    }

    /// Adds an item. Labels are this crate's own constants of at most 255 bytes;
    /// contents are at most `u32::MAX` bytes, which every bounded message is.
    #[must_use]
    pub fn add(mut self, label: &str, bytes: &[u8]) -> Self {
        debug_assert!(label.len() <= 255 && u32::try_from(bytes.len()).is_ok());
        self.0.update([u8::try_from(label.len()).unwrap_or(u8::MAX)]);
        self.0.update(label.as_bytes());
        self.0.update(u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_le_bytes());
        self.0.update(bytes);
        self
    }

    /// The hash over all items.
    pub fn hash(self) -> [u8; 32] {
        self.0.finalize().0
    }
}

impl Default for Items {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for Items {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Items(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // HS-TRANSCRIPT-ITEM: the bytes, written out by hand.
    #[test]
    fn items_are_framed_by_both_lengths() {
        let expected = Sha256::digest(b"\x08protocol\x09\0\0\0passel.v1\x01a\x02\0\0\0bc");
        assert_eq!(Items::new().add("a", b"bc").hash(), expected.0);
    }

    #[test]
    fn moving_a_byte_from_one_item_to_the_next_changes_the_hash() {
        let one = Items::new().add("a", b"bc").add("d", b"e").hash();
        assert_ne!(one, Items::new().add("a", b"b").add("d", b"ce").hash());
        assert_ne!(one, Items::new().add("ab", b"c").add("d", b"e").hash());
        assert_ne!(one, Items::new().add("d", b"e").add("a", b"bc").hash());
    }
}
