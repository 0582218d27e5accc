//! MESSAGE: something that the embedders say to each other.

use bincode::{Decode, Encode};

use super::{Body, FrameType};
use crate::codec::CodecError;
use crate::limits::MAX_MESSAGE;

/// MESSAGE (`FC-MESSAGE`): text or bytes of the embedder's own, at most
/// [`MAX_MESSAGE`] bytes of them.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Message {
    /// Text. What came from a peer is UTF-8 and untrusted: escape it before
    /// showing it.
    Text(String),
    /// Bytes that mean nothing to the protocol.
    Binary(Vec<u8>),
}

impl Message {
    /// Length of the text or bytes.
    pub fn len(&self) -> usize {
        match self {
            Message::Text(text) => text.len(),
            Message::Binary(bytes) => bytes.len(),
        }
    }

    /// Whether there is nothing in it, which is allowed.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Body for Message {
    const TYPE: FrameType = FrameType::Message;

    fn check(&self) -> Result<(), CodecError> {
        if self.len() <= MAX_MESSAGE { Ok(()) } else { Err(CodecError::TooLong) }
    }
}
