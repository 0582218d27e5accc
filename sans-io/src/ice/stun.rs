//! The one exchange of STUN (RFC 8489) that this side begins itself: a Binding
//! request, and what the answer says. The checks of ICE are the stack's.

use std::net::SocketAddr;

use stun_types::attribute::XorMappedAddress;
use stun_types::message::{
    BINDING, Message, MessageClass, MessageType, MessageWrite, MessageWriteExt, MessageWriteVec,
};

/// A Binding request with this transaction id, of which 96 bits count.
pub(super) fn request(id: u128) -> Vec<u8> {
    let kind = MessageType::from_class_method(MessageClass::Request, BINDING);
    let mut message = Message::builder(kind, id.into(), MessageWriteVec::new());
    // Without room for it the request is as good.
    let _ = message.add_fingerprint();
    message.finish()
}

/// What a server says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// It saw the request come from here.
    Seen(SocketAddr),
    Refused,
}

/// What these bytes say if they answer request `id`.
pub(super) fn answer(contents: &[u8], id: u128) -> Option<Answer> {
    let message = Message::from_bytes(contents).ok()?;
    if message.transaction_id() != id.into() || !message.has_method(BINDING) {
        return None;
    }
    match message.class() {
        MessageClass::Success => {
            let seen = message.attribute::<XorMappedAddress>().ok()?;
            Some(Answer::Seen(seen.addr(message.transaction_id())))
        }
        MessageClass::Error => Some(Answer::Refused),
        _ => None,
    }
}
