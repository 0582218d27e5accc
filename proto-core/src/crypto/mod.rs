//! The cryptographic building blocks: secrets that wipe themselves, entropy that
//! is handed in, the hybrid KEM, the key schedule and the password-authenticated
//! exchange. Who sends what, and when, is decided in [`crate::handshake`],
//! [`crate::record`] and [`crate::signal`], not here.

pub mod entropy;
pub mod items;
pub mod kem;
pub mod pake;
pub mod schedule;
pub mod secret;

pub use entropy::Entropy;
pub use secret::{Secret32, SecretBytes};

/// The nonce of a message: the key's IV with `counter`, little endian, over its
/// last eight bytes (`RL-NONCE`). Records and signaling blobs share this form.
pub(crate) fn nonce(iv: &[u8; 12], counter: u64) -> [u8; 12] {
    let mut nonce = *iv;
    for (byte, part) in nonce[4..].iter_mut().zip(counter.to_le_bytes()) {
        *byte ^= part;
    }
    nonce
}
