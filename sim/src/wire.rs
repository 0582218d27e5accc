//! What can be seen of a record: its header from outside, its frames once the
//! receiving connection has opened it in place.

use passel_proto::frame::{Frame, FrameReader};
use passel_proto::ids::{Channel, TransferId};
use passel_proto::limits::{RECORD_HEADER, RECORD_TAG};
use passel_proto::record::RECORD_SEALED;

/// Epoch and counter of a sealed record; nothing if it is a handshake message.
pub fn header(record: &[u8]) -> Option<(u16, u64)> {
    let header = record.get(..RECORD_HEADER)?;
    if header[0] != RECORD_SEALED {
        return None;
    }
    let epoch = u16::from_le_bytes(header[2..4].try_into().ok()?);
    let counter = u64::from_le_bytes(header[4..].try_into().ok()?);
    Some((epoch, counter))
}

/// Calls `each` for every frame of a record that was opened in place, with the
/// length of the payload behind it.
pub fn frames<E>(
    opened: &[u8],
    channel: Channel,
    mut each: impl FnMut(&Frame, usize) -> Result<(), E>,
) -> Result<(), E> {
    let end = opened.len().saturating_sub(RECORD_TAG);
    let mut reader = FrameReader::new(opened.get(RECORD_HEADER..end).unwrap_or_default(), channel);
    while let Ok(Some(frame)) = reader.next() {
        each(&frame, reader.payload().len())?;
    }
    Ok(())
}

/// The transfer that a frame is of, as far as it matters over connections.
pub fn transfer(frame: &Frame) -> Option<TransferId> {
    match frame {
        Frame::Have(have) => Some(have.transfer),
        Frame::Stored(stored) => Some(stored.transfer),
        Frame::Accept(accept) => Some(accept.transfer),
        Frame::Leaves(leaves) => Some(leaves.transfer),
        Frame::Data(data) => Some(data.transfer),
        Frame::Ack(ack) => Some(ack.transfer),
        _ => None,
    }
}
