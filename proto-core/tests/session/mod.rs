//! What is told of a session: the shape of its vector file, its messages cut into
//! fields (`parts`), and the chapter written from both (`chapter`).

pub(crate) mod chapter;
pub(crate) mod parts;

use serde::Serialize;

use crate::fields::Fields;
use parts::Part;

pub(crate) const ABOUT: &str = "One whole session in mode PSK: `messages` are all that the two \
    peers sent, in order. `psk`, the bindings, `kem_seed` (of the initiator's X-Wing key pair) and \
    `kem_randomness` (of the responder's encapsulation) decide every key; `epoch` is the traffic \
    secret of epoch 0, `receipt` the key of receipts. `fields` cut a handshake message into \
    consecutive parts, and a record into header, ciphertext and tag; `plaintext_fields` do the same \
    with what a record holds, and `frames` are its frames by name and value as in `codec.json`. \
    `files` are the entries of the manifest that is offered; the receiver takes all but the fourth. \
    Bytes in hexadecimal, 64-bit numbers in decimal.";

#[derive(Serialize)]
pub(crate) struct Vectors {
    pub(crate) about: &'static str,
    pub(crate) spec: &'static str,
    #[serde(flatten)]
    pub(crate) secrets: Secrets,
    pub(crate) keys: Vec<ChannelKeys>,
    pub(crate) files: Vec<FileCase>,
    pub(crate) messages: Vec<Message>,
}

#[derive(Serialize)]
pub(crate) struct Secrets {
    pub(crate) psk: String,
    pub(crate) auth_mode: u16,
    pub(crate) auth_context: String,
    pub(crate) binding_initiator: String,
    pub(crate) binding_responder: String,
    pub(crate) kem_seed: String,
    pub(crate) kem_randomness: String,
    pub(crate) kem_secret: String,
    pub(crate) transcript: String,
    pub(crate) epoch: String,
    pub(crate) receipt: String,
    pub(crate) resumption: String,
}

#[derive(Serialize)]
pub(crate) struct ChannelKeys {
    pub(crate) sender: &'static str,
    pub(crate) channel: &'static str,
    pub(crate) key: String,
    pub(crate) iv: String,
}

/// An entry of the manifest; a directory has no content.
#[derive(Serialize)]
pub(crate) struct FileCase {
    pub(crate) path: String,
    pub(crate) content: Option<String>,
}

#[derive(Serialize)]
pub(crate) struct Message {
    /// Counted from 1.
    pub(crate) number: usize,
    pub(crate) sender: &'static str,
    pub(crate) channel: &'static str,
    pub(crate) what: String,
    pub(crate) bytes: String,
    pub(crate) fields: Vec<Part>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) plaintext: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) plaintext_fields: Vec<Part>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) frames: Vec<Fields>,
}

/// The name of a frame's type.
pub(crate) fn type_of(frame: &Fields) -> String {
    serde_json::to_value(frame).unwrap()["type"].as_str().unwrap().to_owned()
}
