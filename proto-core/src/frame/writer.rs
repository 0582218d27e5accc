//! Fills a record's plaintext with frames.

use bincode::error::EncodeError;

use super::{Body, Data, Frame};
use crate::codec;

/// Appends frames to a record that is being built.
///
/// A frame is encoded behind the record's end first, because its length comes
/// before it, and then moved into place; no buffer of its own is needed.
#[derive(Debug)]
pub struct FrameWriter<'a> {
    record: &'a mut Vec<u8>,
    start: usize,
}

impl<'a> FrameWriter<'a> {
    /// A writer that appends to `record`, whose first `start` bytes are the
    /// record's header and are not counted by [`len`](Self::len).
    pub fn new(record: &'a mut Vec<u8>, start: usize) -> Self {
        Self { record, start }
    }

    /// Bytes of plaintext so far.
    pub fn len(&self) -> usize {
        self.record.len().saturating_sub(self.start)
    }

    /// Whether no frame has been written yet.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Appends a frame. DATA takes its payload through [`data`](Self::data).
    pub fn frame(&mut self, frame: &Frame) -> Result<(), EncodeError> {
        frame.write_to(self)
    }

    /// Appends a DATA frame and its payload, after which nothing may follow
    /// (`WF-DATA-LAST`).
    pub fn data(&mut self, header: &Data, payload: &[u8]) -> Result<(), EncodeError> {
        self.body(header)?;
        self.record.extend_from_slice(payload);
        Ok(())
    }

    pub(super) fn body<B: Body>(&mut self, body: &B) -> Result<(), EncodeError> {
        codec::encode_into(&B::TYPE.id(), self.record)?;
        let before = self.record.len();
        codec::encode_into(body, self.record)?;
        let length = u32::try_from(self.record.len() - before).unwrap_or(u32::MAX);
        let after = self.record.len();
        codec::encode_into(&length, self.record)?;
        let prefix = self.record.len() - after;
        self.record[before..].rotate_right(prefix);
        Ok(())
    }
}
