//! LANE_SIGNAL and LANE_END: how further lanes come and go. What a signal says is
//! known to the transport alone.

use bincode::{Decode, Encode};

use super::{Body, FrameType};
use crate::codec::CodecError;
use crate::ids::TransferId;
use crate::limits::{MAX_LANE_SIGNAL, MAX_TRANSFERS_COUNT};

/// LANE_SIGNAL (`LN-SIGNAL`): something that the transport at the other end must
/// know of a lane.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct LaneSignal {
    /// The lane.
    pub lane: u16,
    /// A signal message of chapter 2, at most
    /// [`MAX_LANE_SIGNAL`](crate::limits::MAX_LANE_SIGNAL) bytes.
    pub payload: Vec<u8>,
}

impl Body for LaneSignal {
    const TYPE: FrameType = FrameType::LaneSignal;

    fn check(&self) -> Result<(), CodecError> {
        check_lane(self.lane)?;
        if self.payload.len() > MAX_LANE_SIGNAL { Err(CodecError::TooLong) } else { Ok(()) }
    }
}

/// What one transfer cost on a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct LaneTally {
    /// The transfer.
    pub transfer: TransferId,
    /// Its part of the credit that was used on the lane, in bytes.
    pub cost: u64,
}

/// LANE_END (`LN-END`): nothing more of this side comes over a lane.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct LaneEnd {
    /// The lane.
    pub lane: u16,
    /// Credit that everything this side sent over it used, in bytes.
    pub cost: u64,
    /// The parts of the transfers that are not over, ascending and each once.
    pub transfers: Vec<LaneTally>,
}

impl Body for LaneEnd {
    const TYPE: FrameType = FrameType::LaneEnd;

    fn check(&self) -> Result<(), CodecError> {
        check_lane(self.lane)?;
        if self.transfers.len() > MAX_TRANSFERS_COUNT {
            return Err(CodecError::TooLong);
        }
        let ascending = self.transfers.windows(2).all(|pair| match pair {
            [one, next] => one.transfer < next.transfer,
            _ => true,
        });
        let parts = self.transfers.iter().try_fold(0_u64, |sum, part| sum.checked_add(part.cost));
        if ascending && parts.is_some_and(|parts| parts <= self.cost) {
            Ok(())
        } else {
            Err(CodecError::Invalid)
        }
    }
}

/// Lane 0 comes and goes with the connection.
fn check_lane(lane: u16) -> Result<(), CodecError> {
    if lane == 0 { Err(CodecError::Invalid) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    // LN-END
    #[test]
    fn parts_ascend_and_are_no_more_than_the_whole() {
        let part = |transfer, cost| LaneTally { transfer: TransferId(transfer), cost };
        let end = |lane, cost, transfers| LaneEnd { lane, cost, transfers }.check();
        assert_eq!(end(1, 7, vec![part(0, 3), part(2, 4)]), Ok(()));
        assert_eq!(end(0, 7, vec![]), Err(CodecError::Invalid));
        assert_eq!(end(1, 6, vec![part(0, 3), part(2, 4)]), Err(CodecError::Invalid));
        assert_eq!(end(1, 7, vec![part(2, 3), part(0, 4)]), Err(CodecError::Invalid));
        assert_eq!(end(1, 7, vec![part(0, 3), part(0, 4)]), Err(CodecError::Invalid));
        let huge = vec![part(0, u64::MAX), part(2, 1)];
        assert_eq!(end(1, u64::MAX, huge), Err(CodecError::Invalid));
        let many = (0..=MAX_TRANSFERS_COUNT).map(|n| part(u32::try_from(n).unwrap(), 0)).collect();
        assert_eq!(end(1, 7, many), Err(CodecError::TooLong));
    }

    // LN-SIGNAL
    #[test]
    fn a_signal_is_bounded_and_of_a_further_lane() {
        let signal = |lane, len| LaneSignal { lane, payload: vec![0; len] }.check();
        assert_eq!(signal(1, MAX_LANE_SIGNAL), Ok(()));
        assert_eq!(signal(1, MAX_LANE_SIGNAL + 1), Err(CodecError::TooLong));
        assert_eq!(signal(0, 1), Err(CodecError::Invalid));
    }
}
