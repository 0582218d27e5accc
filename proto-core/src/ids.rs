//! Small identifiers that every module shares: roles, channels, numbers of
//! transfers and files. No behaviour beyond conversion lives here.

use bincode::{Decode, Encode};

/// Which side of the handshake this is. The initiator is the peer that joined
/// the other's invitation; either side may then offer files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Sends the first hello, with the encapsulation key.
    Initiator,
    /// Answers with the ciphertext.
    Responder,
}

impl Role {
    /// The other side.
    #[must_use]
    pub fn peer(self) -> Self {
        match self {
            Role::Initiator => Role::Responder,
            Role::Responder => Role::Initiator,
        }
    }
}

/// One of the four channels of lane 0 (`TB-CHANNELS`), by its data channel id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Channel {
    /// Ordered and reliable: handshake and everything that steers a transfer.
    Control,
    /// Ordered and reliable: messages of the embedder.
    Reliable,
    /// Neither ordered nor reliable: live data of the embedder.
    Unreliable,
    /// Reliable but unordered: the bytes of files.
    File,
}

impl Channel {
    /// All channels in the order of their ids, which is also their priority.
    pub const ALL: [Channel; 4] =
        [Channel::Control, Channel::Reliable, Channel::Unreliable, Channel::File];

    /// The data channel id that both sides agree on beforehand.
    pub fn id(self) -> u8 {
        match self {
            Channel::Control => 0,
            Channel::Reliable => 1,
            Channel::Unreliable => 2,
            Channel::File => 3,
        }
    }

    /// The registry's name, which is also the data channel's label.
    pub fn name(self) -> &'static str {
        match self {
            Channel::Control => "control",
            Channel::Reliable => "reliable",
            Channel::Unreliable => "unreliable",
            Channel::File => "file",
        }
    }

    /// Whether the transport delivers messages in the order they were sent.
    pub fn is_ordered(self) -> bool {
        matches!(self, Channel::Control | Channel::Reliable)
    }
}

/// Number of a transfer within a connection. The initiator of the handshake
/// takes even numbers, the responder odd ones (`TR-ID-PARITY`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct TransferId(pub u32);

/// Place of an entry in its transfer's manifest, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct FileIndex(pub u32);

/// What names a transfer beyond one connection: drawn at random for a new one,
/// and the same whenever it is offered again (`RS-TOKEN`). Not a secret between
/// the two sides; nobody else sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct Token(pub [u8; 16]);
