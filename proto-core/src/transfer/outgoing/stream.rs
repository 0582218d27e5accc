//! Chunks of a stream that may be asked for again. A stream cannot be read
//! twice, so what was sent of it stays in memory until it is acknowledged, the
//! newest of it at least (`TR-STREAM-KEEP`).

use std::collections::BTreeMap;
use std::ops::Range;

use crate::limits::TRANSFER_CREDIT;

/// Bytes that are kept. A receiver finds a chunk wrong before it grants the credit for
/// what lies further than one window behind it; what was lost with a lane has to be there
/// until it is acknowledged, which waits for the receiver's disk (`LN-AGAIN`).
const KEPT_BYTES: usize = 3 * TRANSFER_CREDIT;

/// What was sent of one stream and is not acknowledged.
#[derive(Debug, Default)]
pub(super) struct Kept {
    chunks: BTreeMap<u64, Vec<u8>>,
    bytes: usize,
}

impl Kept {
    /// Keeps a chunk that was sent. Returns a buffer that is free again: the
    /// oldest chunk's, once there are too many bytes.
    pub(super) fn keep(&mut self, chunk: u64, data: Vec<u8>) -> Option<Vec<u8>> {
        self.bytes += data.len();
        let again = self.chunks.insert(chunk, data);
        let free = if again.is_none() && self.bytes > KEPT_BYTES {
            self.chunks.pop_first().map(|(_, data)| data)
        } else {
            again
        };
        self.bytes -= free.as_ref().map_or(0, Vec::len);
        free
    }

    /// Takes a chunk out, to send it again.
    pub(super) fn take(&mut self, chunk: u64) -> Option<Vec<u8>> {
        let data = self.chunks.remove(&chunk)?;
        self.bytes -= data.len();
        Some(data)
    }

    /// Takes one of the chunks that were acknowledged.
    pub(super) fn release(&mut self, acked: &Range<u64>) -> Option<Vec<u8>> {
        let chunk = *self.chunks.range(acked.clone()).next()?.0;
        self.take(chunk)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // TR-STREAM-KEEP
    #[test]
    fn the_newest_chunks_are_kept_until_they_are_acknowledged() {
        let mut kept = Kept::default();
        let fit = (KEPT_BYTES >> 16) as u64;
        for chunk in 0..fit {
            assert!(kept.keep(chunk, vec![0; 1 << 16]).is_none());
        }
        assert!(kept.keep(fit, vec![0; 1 << 16]).is_some(), "the oldest gives way");
        assert!(kept.take(0).is_none());
        assert_eq!(kept.take(1).map(|data| data.len()), Some(1 << 16));
        assert!(kept.keep(1, vec![0; 1 << 16]).is_none(), "there is room for it again");
        let mut released = 0;
        while kept.release(&(0..fit + 1)).is_some() {
            released += 1;
        }
        assert_eq!((released, kept.bytes), (fit, 0));
    }
}
