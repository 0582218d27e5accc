//! The passel protocol as pure state machines.
//!
//! This crate holds what two peers must agree on: the encoding, the hybrid
//! post-quantum handshake, the sealed records, the transfer of files and
//! directories. It does no I/O, reads no clock and has no entropy of its own;
//! all of them come in as arguments, so that it runs in any event loop and any
//! run of it can be repeated bit for bit. It knows ordered messages on four
//! channels and nothing of what carries them; `passel-sans-io` puts it on WebRTC.
//!
//! Begin with [`connection::Connection`], whose documentation is the driving
//! contract. The normative text is in `spec/`; code cites it by ids such as
//! `TR-ACK-DURABLE`.

pub mod codec;
mod codepoint;
pub mod connection;
pub mod crypto;
pub mod error;
pub mod escape;
pub mod frame;
pub mod handshake;
pub mod ids;
pub mod limits;
pub mod manifest;
pub mod path;
pub mod policy;
pub mod ranges;
pub mod record;
pub mod signal;
pub mod storage;
pub mod subtrees;
pub mod suite;
mod transfer;
pub mod tree;
