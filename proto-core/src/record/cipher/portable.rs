//! Ciphers in Rust alone, for every target.

use aes_gcm::Aes256Gcm;
use chacha20poly1305::aead::{AeadInOut, KeyInit};
use chacha20poly1305::{ChaCha20Poly1305, Tag};

use super::CipherError;
use crate::limits::RECORD_TAG;
use crate::suite::Suite;

/// A cipher and its key, which is wiped when it is dropped.
pub(in crate::record) enum Cipher {
    ChaCha20Poly1305(ChaCha20Poly1305),
    Aes256Gcm(Box<Aes256Gcm>),
}

impl Cipher {
    pub(in crate::record) fn new(suite: Suite, key: &[u8; 32]) -> Self {
        match suite {
            Suite::ChaCha20Poly1305 => Self::ChaCha20Poly1305(KeyInit::new(key.into())),
            Suite::Aes256Gcm => Self::Aes256Gcm(Box::new(KeyInit::new(key.into()))),
        }
    }

    /// Encrypts in place, and gives the tag.
    pub(in crate::record) fn seal(
        &self,
        nonce: [u8; 12],
        header: &[u8],
        plaintext: &mut [u8],
    ) -> Result<[u8; RECORD_TAG], CipherError> {
        let (nonce, buffer) = (&nonce.into(), plaintext.into());
        let tag = match self {
            Self::ChaCha20Poly1305(key) => key.encrypt_inout_detached(nonce, header, buffer),
            Self::Aes256Gcm(key) => key.encrypt_inout_detached(nonce, header, buffer),
        };
        tag.map(Into::into).map_err(|_| CipherError)
    }

    /// Decrypts a ciphertext with the tag behind it in place.
    pub(in crate::record) fn open(
        &self,
        nonce: [u8; 12],
        header: &[u8],
        sealed: &mut [u8],
    ) -> Result<(), CipherError> {
        let (ciphertext, tag) = sealed.split_last_chunk_mut::<RECORD_TAG>().ok_or(CipherError)?;
        let (nonce, tag, buffer) = (&nonce.into(), &Tag::from(*tag), ciphertext.into());
        let opened = match self {
            Self::ChaCha20Poly1305(key) => key.decrypt_inout_detached(nonce, header, buffer, tag),
            Self::Aes256Gcm(key) => key.decrypt_inout_detached(nonce, header, buffer, tag),
        };
        opened.map_err(|_| CipherError)
    }
}
