//! PING, PONG, CLOSE and RESUMABLE: frames of the connection as a whole.

use bincode::{Decode, Encode};

use super::{Body, FrameType, check_text};
use crate::codec::CodecError;
use crate::handshake::ResumptionId;
use crate::limits::MAX_REASON_TEXT;

/// PING (`FC-PING`): asks for a PONG with the same token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Ping {
    /// Chosen by the asker; means nothing to the other side.
    pub token: u64,
}

impl Body for Ping {
    const TYPE: FrameType = FrameType::Ping;
}

/// PONG (`FC-PING`): answers the newest PING.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Pong {
    /// The PING's token.
    pub token: u64,
}

impl Body for Pong {
    const TYPE: FrameType = FrameType::Pong;
}

/// CLOSE (`FC-CLOSE`): the last frame of a connection.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Close {
    /// Why, from the registry; 0 when the work is done.
    pub code: u16,
    /// Why, for a person; may be empty.
    pub text: String,
}

impl Body for Close {
    const TYPE: FrameType = FrameType::Close;

    fn check(&self) -> Result<(), CodecError> {
        check_text(&self.text, MAX_REASON_TEXT)
    }
}

/// RESUMABLE (`HS-RESUMABLE`): this session's resumption secret is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Resumable {
    /// The secret's name.
    pub id: ResumptionId,
}

impl Body for Resumable {
    const TYPE: FrameType = FrameType::Resumable;
}
