//! The transcript hash: everything that was offered, chosen and said about the
//! transport, in one order for both sides (`HS-TRANSCRIPT`). A difference in any
//! byte of it makes key confirmation fail (`HS-DOWNGRADE`).

use super::message::CONFIRM_TAG;
use super::{Auth, TransportBinding};
use crate::crypto::items::Items;

/// Hashes the handshake. `hello_i` is the whole message; of `hello_r`, the whole
/// message too, the confirmation tag at its end is left out.
pub(crate) fn hash(
    binding: &TransportBinding,
    auth: &Auth,
    hello_i: &[u8],
    hello_r: &[u8],
) -> [u8; 32] {
    let without_tag = &hello_r[..hello_r.len().saturating_sub(CONFIRM_TAG)];
    Items::new()
        .add("binding initiator", &binding.initiator)
        .add("binding responder", &binding.responder)
        .add("auth mode", &auth.mode().to_le_bytes())
        .add("auth context", auth.context())
        .add("hello initiator", hello_i)
        .add("hello responder", without_tag)
        .hash()
}
