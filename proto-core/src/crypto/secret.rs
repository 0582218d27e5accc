//! Secrets in memory: wiped when dropped, never shown (`HS-NO-SECRETS-SHOWN`, `SC-SECRETS-HIDDEN`),
//! compared in constant time. What a secret means is said by whoever holds it.

use std::fmt;

use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// A secret of 32 bytes.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Secret32([u8; 32]);

impl Secret32 {
    /// Takes over `bytes`. The caller's own copies are the caller's to wipe.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes, for feeding them into a primitive. They must not be logged.
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }

    /// Whether all bytes are zero, which no real secret is.
    pub fn is_zero(&self) -> bool {
        self.0.ct_eq(&[0; 32]).into()
    }
}

impl PartialEq for Secret32 {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for Secret32 {}

impl fmt::Debug for Secret32 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret32(..)")
    }
}

/// A secret of any length, such as the words of a code.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct SecretBytes(Vec<u8>);

impl SecretBytes {
    /// Takes over `bytes`.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// The bytes, for feeding them into a primitive. They must not be logged.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for SecretBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretBytes(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // SC-SECRETS-HIDDEN
    #[test]
    fn debug_shows_nothing() {
        assert_eq!(format!("{:?}", Secret32::new([0x41; 32])), "Secret32(..)");
        assert_eq!(format!("{:?}", SecretBytes::new(b"seven owls".to_vec())), "SecretBytes(..)");
    }

    #[test]
    fn equality_is_of_all_bytes() {
        let mut bytes = [9; 32];
        let one = Secret32::new(bytes);
        assert_eq!(one, Secret32::new(bytes));
        bytes[31] ^= 1;
        assert_ne!(one, Secret32::new(bytes));
    }

    #[test]
    fn zero_is_recognised() {
        assert!(Secret32::new([0; 32]).is_zero());
        assert!(!Secret32::new([1; 32]).is_zero());
    }
}
