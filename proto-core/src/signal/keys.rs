//! The keys of a signaling session: from the link's secret or the SPAKE2 key to
//! one key for each direction and to the handshake's PSK (`SG-KEYS`).

use chacha20poly1305::{AeadInOut, ChaCha20Poly1305, KeyInit, Tag};
use zeroize::{Zeroize, Zeroizing};

use super::blob::{self, SALT, SEALED_HEADER, Sealed, TAG};
use crate::crypto::items::Items;
use crate::crypto::pake::{PakeKey, Side};
use crate::crypto::schedule::{expand_label, expand_label_into, extract};
use crate::crypto::{Secret32, nonce};
use crate::handshake::{Auth, ResumptionKey};

pub(super) const MODE_LINK: u16 = 1;
pub(super) const MODE_CODE: u16 = 2;
pub(super) const MODE_SAS: u16 = 3;
pub(super) const MODE_PSK: u16 = 4;
const MODE_RESUME: u16 = 5;

/// A secret of 256 bits that both sides have before they meet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SignalSecret {
    /// Of an invitation link.
    Link(Secret32),
    /// Of the embedder's own.
    Psk(Secret32),
    /// Kept of an earlier session.
    Resume {
        /// Under which the descriptions are sealed:
        /// [`Resumption::meeting_link`](crate::handshake::Resumption::meeting_link).
        link: Secret32,
        /// For the handshake, as in [`Auth::Resume`].
        key: ResumptionKey,
        /// For the handshake, as in [`Auth::Resume`].
        other: Option<ResumptionKey>,
    },
}

impl SignalSecret {
    /// The registry's number of the mode of authentication.
    pub fn mode(&self) -> u16 {
        match self {
            SignalSecret::Link(_) => MODE_LINK,
            SignalSecret::Psk(_) => MODE_PSK,
            SignalSecret::Resume { .. } => MODE_RESUME,
        }
    }

    /// Whether blobs of this mode are sealed under such a secret.
    pub(super) fn is_mode(mode: u16) -> bool {
        matches!(mode, MODE_LINK | MODE_PSK | MODE_RESUME)
    }

    /// What the descriptions are sealed under.
    pub(super) fn secret(&self) -> &Secret32 {
        match self {
            SignalSecret::Link(secret) | SignalSecret::Psk(secret) => secret,
            SignalSecret::Resume { link, .. } => link,
        }
    }
}

/// What both sides of an invitation derive from its secret.
#[derive(Clone, Debug)]
pub struct SignalKeys {
    root: Secret32,
    auth: Auth,
}

impl SignalKeys {
    /// From a secret that both sides have, and the session's routing id.
    pub fn from_secret(secret: &SignalSecret, routing_id: &[u8]) -> Self {
        let (root, psk) = derive(secret.secret(), secret.mode(), routing_id, &[]);
        let auth = match secret {
            SignalSecret::Link(_) => Auth::Link(psk),
            SignalSecret::Psk(_) => Auth::Psk(psk),
            SignalSecret::Resume { key, other, .. } => {
                Auth::Resume { key: key.clone(), other: other.clone() }
            }
        };
        Self { root, auth }
    }

    /// From the outcome of SPAKE2 over a password that everybody knows, and the
    /// session's routing id: who carries the blobs reads nothing, and who changes
    /// them is found out by the two people (`SG-SAS`).
    pub fn from_sas(key: &PakeKey, routing_id: &[u8]) -> Self {
        let (root, _) = derive(&key.secret, MODE_SAS, routing_id, &key.context);
        Self { root, auth: Auth::Sas }
    }

    /// From the outcome of SPAKE2 over a code, and the session's routing id.
    pub fn from_code(key: &PakeKey, routing_id: &[u8]) -> Self {
        let (root, psk) = derive(&key.secret, MODE_CODE, routing_id, &key.context);
        Self { root, auth: Auth::Code { secret: psk, context: key.context } }
    }

    /// How the handshake over the connection is to authenticate (`SG-PSK`).
    pub fn auth(&self) -> &Auth {
        &self.auth
    }

    /// The registry's number of the mode of authentication.
    pub fn mode(&self) -> u16 {
        self.auth.mode()
    }

    /// Key and IV of what `sender` seals (`SG-DIRECTION-KEY`). The creator's
    /// keys depend on both salts, so that none of its blobs can be replayed to
    /// another joiner; the joiner speaks first and has its own salt alone:
    /// `creator_salt` is zeros then.
    pub fn direction(
        &self,
        sender: Side,
        joiner_salt: &[u8; SALT],
        creator_salt: &[u8; SALT],
    ) -> (Secret32, [u8; 12]) {
        let mut context = [0; 1 + 2 * SALT];
        context[0] = match sender {
            Side::Joiner => 0,
            Side::Creator => 1,
        };
        context[1..=SALT].copy_from_slice(joiner_salt);
        context[1 + SALT..].copy_from_slice(creator_salt);
        let mut iv = [0; 12];
        expand_label_into(&self.root, "signal iv", &context, &mut iv);
        (expand_label(&self.root, "signal key", &context), iv)
    }
}

fn derive(secret: &Secret32, mode: u16, routing: &[u8], context: &[u8]) -> (Secret32, Secret32) {
    let base = extract(&[0; 32], secret.expose());
    let hash = Items::new()
        .add("signal mode", &mode.to_le_bytes())
        .add("routing id", routing)
        .add("pake context", context)
        .hash();
    (expand_label(&base, "signal", &hash), expand_label(&base, "handshake psk", &hash))
}

/// One direction: a key and the counter of its next blob.
pub(super) struct Direction {
    cipher: ChaCha20Poly1305,
    iv: [u8; 12],
    salt: [u8; SALT],
    next: u64,
}

impl Direction {
    /// What `sender` seals in this session; `salt` is the sender's own.
    pub(super) fn new(
        keys: &SignalKeys,
        sender: Side,
        salt: [u8; SALT],
        joiner_salt: &[u8; SALT],
    ) -> Self {
        let none = [0; SALT];
        let creator_salt = match sender {
            Side::Joiner => &none,
            Side::Creator => &salt,
        };
        let (key, iv) = keys.direction(sender, joiner_salt, creator_salt);
        Self { cipher: ChaCha20Poly1305::new(&(*key.expose()).into()), iv, salt, next: 0 }
    }

    /// Seals a payload (`SG-AUTHENTIC`); `None` if it is too long or the counter is used up.
    pub(super) fn seal(&mut self, mode: u16, payload: &[u8]) -> Option<Vec<u8>> {
        let counter = self.next;
        let mut blob = blob::sealed_header(mode, &self.salt, counter);
        if !blob::pad_onto(&mut blob, payload) {
            return None;
        }
        self.next = counter.checked_add(1)?;
        let (header, plaintext) = blob.split_at_mut(SEALED_HEADER);
        let nonce = nonce(&self.iv, counter).into();
        let tag = self.cipher.encrypt_inout_detached(&nonce, header, plaintext.into()).ok()?;
        blob.extend_from_slice(&tag);
        Some(blob)
    }

    /// Opens a payload, which must be the very next one (`SG-ORDER`) under the
    /// same salt as all before.
    pub(super) fn open(&mut self, blob: &Sealed<'_>) -> Option<Vec<u8>> {
        if blob.counter != self.next || *blob.salt != self.salt {
            return None;
        }
        let (ciphertext, tag) = blob.body.split_last_chunk::<TAG>()?;
        let mut plaintext = Zeroizing::new(ciphertext.to_vec());
        let nonce = nonce(&self.iv, blob.counter).into();
        self.cipher
            .decrypt_inout_detached(
                &nonce,
                blob.header,
                plaintext.as_mut_slice().into(),
                &Tag::from(*tag),
            )
            .ok()?;
        self.next = blob.counter.checked_add(1)?;
        blob::unpad(&plaintext).map(<[u8]>::to_vec)
    }
}

impl Drop for Direction {
    fn drop(&mut self) {
        self.iv.zeroize(); // the cipher wipes its key itself
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(secret: u8, routing: &[u8]) -> SignalKeys {
        SignalKeys::from_secret(&SignalSecret::Link(Secret32::new([secret; 32])), routing)
    }

    // SG-KEYS, SG-PSK
    #[test]
    fn secret_mode_routing_id_and_context_decide_keys_and_psk() {
        let key = |context: u8| PakeKey { secret: Secret32::new([1; 32]), context: [context; 32] };
        let all = [
            link(1, b"r1"),
            link(2, b"r1"),
            link(1, b"r2"),
            SignalKeys::from_code(&key(0), b"r1"),
            SignalKeys::from_code(&key(1), b"r1"),
            SignalKeys::from_secret(&SignalSecret::Psk(Secret32::new([1; 32])), b"r1"),
        ];
        let mut secrets = Vec::new();
        for keys in &all {
            let (Auth::Link(psk) | Auth::Code { secret: psk, .. } | Auth::Psk(psk)) = keys.auth()
            else {
                panic!("another mode than its own")
            };
            secrets.push(psk.expose().to_vec());
            secrets.push(keys.root.expose().to_vec());
        }
        secrets.sort();
        secrets.dedup();
        assert_eq!(secrets.len(), 2 * all.len());
    }

    // SG-DIRECTION-KEY
    #[test]
    fn direction_and_both_salts_decide_the_key() {
        let keys = link(1, b"r1");
        let (a, b) = ([1; SALT], [2; SALT]);
        let mut seen: Vec<_> = [
            keys.direction(Side::Joiner, &a, &b),
            keys.direction(Side::Creator, &a, &b),
            keys.direction(Side::Creator, &b, &a),
            keys.direction(Side::Creator, &a, &a),
        ]
        .into_iter()
        .map(|(key, iv)| (key.expose().to_vec(), iv))
        .collect();
        seen.sort();
        seen.dedup();
        assert_eq!(seen.len(), 4);
    }
}
