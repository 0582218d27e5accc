//! KEY_UPDATE and KEY_UPDATE_ANSWER: a fresh key exchange in a running session.

use bincode::{Decode, Encode};

use super::{Body, FrameType};
use crate::crypto::kem::{CIPHERTEXT, ENCAPSULATION_KEY};

/// KEY_UPDATE (`RL-UPDATE-FRAMES`): asks for new keys.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct KeyUpdate {
    /// The epoch that is to begin: the sender's newest and one more.
    pub epoch: u16,
    /// A fresh X-Wing encapsulation key.
    pub encapsulation_key: Box<[u8; ENCAPSULATION_KEY]>,
}

impl Body for KeyUpdate {
    const TYPE: FrameType = FrameType::KeyUpdate;
}

/// KEY_UPDATE_ANSWER (`RL-UPDATE-FRAMES`): the other half of the exchange.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct KeyUpdateAnswer {
    /// The epoch of the KEY_UPDATE.
    pub epoch: u16,
    /// The X-Wing ciphertext for its key.
    pub ciphertext: Box<[u8; CIPHERTEXT]>,
}

impl Body for KeyUpdateAnswer {
    const TYPE: FrameType = FrameType::KeyUpdateAnswer;
}
