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
