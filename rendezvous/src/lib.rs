//! Gets two peers' sealed descriptions across (`spec/09-rendezvous.md`).
//!
//! [`messages`] and [`ids`] are what goes over the wire, for server and client
//! alike. [`server`] is the server as a state machine without I/O, clock or
//! entropy. [`shell`] puts it behind HTTP and WebSocket. What does not live
//! here: what the blobs mean. This crate knows no key, no name and no address
//! of a peer's, and depends on no other crate of the project.

pub mod ids;
pub mod messages;
pub mod server;
#[cfg(feature = "server")]
pub mod shell;
