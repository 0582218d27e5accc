//! The ciphers of AWS-LC.

use aws_lc_rs::aead::{AES_256_GCM, Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};

use super::CipherError;
use crate::limits::RECORD_TAG;
use crate::suite::Suite;

/// A cipher and its key, which is wiped when it is dropped.
pub(in crate::record) struct Cipher {
    /// Absent if AWS-LC could not take the key, which it does for want of memory alone.
    key: Option<LessSafeKey>,
}

impl Cipher {
    pub(in crate::record) fn new(suite: Suite, key: &[u8; 32]) -> Self {
        let algorithm = match suite {
            Suite::ChaCha20Poly1305 => &CHACHA20_POLY1305,
            Suite::Aes256Gcm => &AES_256_GCM,
        };
        Self { key: UnboundKey::new(algorithm, key).ok().map(LessSafeKey::new) }
    }

    /// Encrypts in place, and gives the tag.
    pub(in crate::record) fn seal(
        &self,
        nonce: [u8; 12],
        header: &[u8],
        plaintext: &mut [u8],
    ) -> Result<[u8; RECORD_TAG], CipherError> {
        let key = self.key.as_ref().ok_or(CipherError)?;
        let nonce = Nonce::assume_unique_for_key(nonce);
        let tag = key.seal_in_place_separate_tag(nonce, Aad::from(header), plaintext);
        tag.ok().and_then(|tag| tag.as_ref().try_into().ok()).ok_or(CipherError)
    }

    /// Decrypts a ciphertext with the tag behind it in place.
    pub(in crate::record) fn open(
        &self,
        nonce: [u8; 12],
        header: &[u8],
        sealed: &mut [u8],
    ) -> Result<(), CipherError> {
        let key = self.key.as_ref().ok_or(CipherError)?;
        let nonce = Nonce::assume_unique_for_key(nonce);
        let opened = key.open_in_place(nonce, Aad::from(header), sealed);
        opened.map(drop).map_err(|_| CipherError)
    }
}
