//! Sealing of the descriptions that two peers exchange through the rendezvous
//! before they have a connection (`spec/08-signaling.md`): whoever carries the
//! blobs learns their sizes and nothing else (`SG-SECRECY`). What the payloads mean is the
//! transport's business, who carries the blobs the rendezvous'.

mod blob;
mod keys;
mod session;

pub use blob::MAX_PAYLOAD;
pub use keys::{SignalKeys, SignalSecret};
pub use session::{MAX_QUEUED, SignalSession};
