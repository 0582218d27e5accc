//! What went over the wire in all connections, so that it is seen if two of them
//! had the same keys.

use std::collections::BTreeSet;

use crate::hash::RunHash;
use crate::oracle::{Broken, broken};
use crate::plan::Side;
use crate::wire;

/// No hello is shorter.
const HELLO: usize = 1000;

/// Messages of all connections, by a digest of each: no two are equal, for each
/// connection has keys of its own.
#[derive(Debug, Default)]
pub struct Messages(BTreeSet<String>);

impl Messages {
    /// A message went out.
    pub fn add(&mut self, side: Side, channel: u8, message: &[u8]) -> Result<(), Broken> {
        if wire::header(message).is_none() && message.len() < HELLO {
            return Ok(()); // What is said in the clear when a handshake fails.
        }
        let mut hash = RunHash::default();
        hash.number(u64::from(channel) << 1 | side.place() as u64);
        hash.bytes(&message[..message.len().min(64)]);
        hash.bytes(&message[message.len().saturating_sub(32)..]);
        if self.0.insert(hash.hex()) {
            return Ok(());
        }
        broken("no two messages are equal", format!("{side:?} sent one of {} bytes", message.len()))
    }
}
