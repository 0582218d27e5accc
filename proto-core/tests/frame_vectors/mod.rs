//! The cases of the frames' vectors, and how frames look in them. Reading them
//! is left to the test.

pub(crate) mod accepted;
pub(crate) mod fields;
pub(crate) mod refused;

use passel_proto::frame::Frame;
use passel_proto::ids::Channel;

/// A plaintext that a reader takes.
pub(crate) struct Accepted {
    pub(crate) why: &'static str,
    pub(crate) channel: Channel,
    pub(crate) plaintext: Vec<u8>,
    pub(crate) frames: Vec<Frame>,
    pub(crate) passed_over: Vec<u16>,
    pub(crate) payload: Vec<u8>,
}

/// A plaintext that a reader refuses.
pub(crate) struct Refused {
    pub(crate) why: &'static str,
    pub(crate) rule: &'static str,
    pub(crate) channel: Channel,
    pub(crate) plaintext: Vec<u8>,
}
