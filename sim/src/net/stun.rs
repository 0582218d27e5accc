//! A STUN server (RFC 8489) as a function: what it answers to a request, and
//! nothing to anything else. What does not live here: its address and its line.

use std::net::SocketAddr;

use stun_types::attribute::XorMappedAddress;
use stun_types::message::{
    BINDING, Message, MessageClass, MessageType, MessageWrite, MessageWriteExt, MessageWriteVec,
};

/// The port of servers.
pub const PORT: u16 = 3478;

/// The answer to a request that came from `source`, if it is one.
pub fn answer(request: &[u8], source: SocketAddr) -> Option<Vec<u8>> {
    let request = Message::from_bytes(request).ok()?;
    if !request.has_class(MessageClass::Request) || !request.has_method(BINDING) {
        return None;
    }
    let id = request.transaction_id();
    let kind = MessageType::from_class_method(MessageClass::Success, BINDING);
    let mut answer = Message::builder(kind, id, MessageWriteVec::new());
    answer.add_attribute(&XorMappedAddress::new(source, id)).ok()?;
    answer.add_fingerprint().ok()?;
    Some(answer.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_answered_with_its_source_and_nothing_else_is() {
        let source = "203.0.113.1:61000".parse().unwrap();
        let kind = MessageType::from_class_method(MessageClass::Request, BINDING);
        let request = Message::builder(kind, 7.into(), MessageWriteVec::new()).finish();
        let bytes = answer(&request, source).unwrap();
        let answered = Message::from_bytes(&bytes).unwrap();
        let seen = answered.attribute::<XorMappedAddress>().unwrap();
        assert_eq!(seen.addr(answered.transaction_id()), source);
        assert_eq!(answer(&bytes, source), None);
        assert_eq!(answer(b"no request", source), None);
    }
}
