//! ACK, NACK and CREDIT: what a receiver says while data flows.

use bincode::{Decode, Encode};

use super::{Body, FrameType};
use crate::codec::CodecError;
use crate::ids::{FileIndex, TransferId};

/// Most ranges in one ACK.
pub(crate) const MAX_ACK_RANGES: usize = 1024;

/// Consecutive chunks of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct AckRange {
    /// The file.
    pub file: FileIndex,
    /// The first chunk.
    pub first: u64,
    /// How many chunks, at least 1.
    pub count: u64,
}

/// ACK (`TR-ACK-DURABLE`): these chunks are verified and durable.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Ack {
    /// The transfer.
    pub transfer: TransferId,
    /// The chunks, in ranges.
    pub ranges: Vec<AckRange>,
}

impl Body for Ack {
    const TYPE: FrameType = FrameType::Ack;

    fn check(&self) -> Result<(), CodecError> {
        if self.ranges.is_empty() || self.ranges.len() > MAX_ACK_RANGES {
            return Err(CodecError::TooLong);
        }
        for range in &self.ranges {
            if range.count == 0 || range.first.checked_add(range.count).is_none() {
                return Err(CodecError::Invalid);
            }
        }
        Ok(())
    }
}

/// NACK (`TR-NACK`): a chunk did not match its leaf and is wanted again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Nack {
    /// The transfer.
    pub transfer: TransferId,
    /// The file.
    pub file: FileIndex,
    /// The chunk.
    pub chunk: u64,
}

impl Body for Nack {
    const TYPE: FrameType = FrameType::Nack;
}

/// CREDIT (`FC-CREDIT`): how many bytes of data may be sent in all, counted from
/// the beginning of the transfer or of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Credit {
    /// The transfer, or none for the connection as a whole.
    pub transfer: Option<TransferId>,
    /// The new limit. A limit below an earlier one changes nothing.
    pub limit: u64,
}

impl Body for Credit {
    const TYPE: FrameType = FrameType::Credit;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ack(ranges: Vec<AckRange>) -> Result<(), CodecError> {
        Ack { transfer: TransferId(0), ranges }.check()
    }

    #[test]
    fn empty_and_overflowing_ranges_are_refused() {
        let range = AckRange { file: FileIndex(0), first: 0, count: 1 };
        assert_eq!(ack(vec![range]), Ok(()));
        assert!(ack(vec![]).is_err());
        assert!(ack(vec![AckRange { count: 0, ..range }]).is_err());
        assert!(ack(vec![AckRange { first: u64::MAX, ..range }]).is_err());
        assert!(ack(vec![range; MAX_ACK_RANGES + 1]).is_err());
    }
}
