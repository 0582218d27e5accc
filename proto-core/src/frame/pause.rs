//! PAUSE and RESUME: a side wants no more data for now.

use bincode::{Decode, Encode};

use super::{Body, FrameType};
use crate::ids::TransferId;

/// PAUSE (`TR-PAUSE`): no more data for now; what is under way is still taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Pause {
    /// The transfer.
    pub transfer: TransferId,
}

impl Body for Pause {
    const TYPE: FrameType = FrameType::Pause;
}

/// RESUME (`TR-PAUSE-EACH`): ends the pause of the side that sends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Resume {
    /// The transfer.
    pub transfer: TransferId,
}

impl Body for Resume {
    const TYPE: FrameType = FrameType::Resume;
}
