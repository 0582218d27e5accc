//! The key schedule: HKDF-SHA-256 with TLS 1.3's label structure, from the
//! authentication secret, the KEM's secret and the transcript hash to every
//! secret of a session (`HS-SCHEDULE`). Keys of single channels are derived in
//! [`crate::record`]; the transcript itself is in [`crate::handshake`].

use hkdf::Hkdf;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;
use zeroize::Zeroize;

use super::secret::Secret32;
use crate::ids::Role;

/// What every label begins with (registry, `labels.prefix`).
pub const LABEL_PREFIX: &[u8] = b"passel v1 ";

/// HKDF-Extract with SHA-256 (`HS-EXTRACT`).
pub fn extract(salt: &[u8; 32], input: &[u8; 32]) -> Secret32 {
    let (mut output, _) = Hkdf::<Sha256>::extract(Some(salt), input);
    let secret = Secret32::new(output.0);
    output.as_mut_slice().zeroize();
    secret
}

/// HKDF-Expand with TLS 1.3's `HkdfLabel` as info (`HS-EXPAND-LABEL`). Labels
/// are this crate's own constants; `context` is at most 255 bytes and `out` at
/// most 8160.
pub fn expand_label_into(secret: &Secret32, label: &str, context: &[u8], out: &mut [u8]) {
    debug_assert!(LABEL_PREFIX.len() + label.len() <= 255);
    debug_assert!(context.len() <= 255 && out.len() <= 255 * 32);
    let length = u16::try_from(out.len()).unwrap_or(u16::MAX).to_be_bytes();
    let label_length = [u8::try_from(LABEL_PREFIX.len() + label.len()).unwrap_or(u8::MAX)];
    let context_length = [u8::try_from(context.len()).unwrap_or(u8::MAX)];
    let info: [&[u8]; 6] =
        [&length, &label_length, LABEL_PREFIX, label.as_bytes(), &context_length, context];
    let expanded = Hkdf::<Sha256>::from_prk(secret.expose())
        .is_ok_and(|hkdf| hkdf.expand_multi_info(&info, out).is_ok());
    debug_assert!(expanded, "HKDF fails for lengths only, and these are constants");
}

/// [`expand_label_into`] for a secret of 32 bytes.
pub fn expand_label(secret: &Secret32, label: &str, context: &[u8]) -> Secret32 {
    let mut out = [0; 32];
    expand_label_into(secret, label, context, &mut out);
    let result = Secret32::new(out);
    out.zeroize();
    result
}

/// All secrets of a session before either side has confirmed that the other has
/// them too. Confirmation tags are all that can be got out of it.
#[derive(Debug)]
pub struct Unconfirmed {
    transcript: [u8; 32],
    confirm_initiator: Secret32,
    confirm_responder: Secret32,
    secrets: Secrets,
}

/// The secrets that a confirmed session works with; each is wiped when dropped.
#[derive(Clone, Debug)]
pub struct Secrets {
    /// Traffic secret of epoch 0, from which all record keys come.
    pub epoch: Secret32,
    /// Keys of receipts.
    pub receipt: Secret32,
    /// The PSK of a later session of these two peers.
    pub resumption: Secret32,
    /// For the embedder's own keys.
    pub exporter: Secret32,
    /// Of no use yet: descriptions of further lanes go over `control`.
    pub lane_signaling: Secret32,
    /// Short authentication strings.
    pub sas: Secret32,
}

/// Proof that the peer has the same keys: only [`Unconfirmed::verify`] makes one.
#[derive(Debug)]
pub struct Confirmed {
    transcript: [u8; 32],
    secrets: Secrets,
}

impl Unconfirmed {
    /// Runs the schedule over the authentication secret, the KEM's secret and
    /// the transcript hash (`HS-SCHEDULE`).
    pub fn derive(psk: &Secret32, kem: &Secret32, transcript: [u8; 32]) -> Self {
        let early = extract(&[0; 32], psk.expose());
        let derived = expand_label(&early, "derived", &[]);
        let root = extract(derived.expose(), kem.expose());
        let of = |label| expand_label(&root, label, &transcript);
        Self {
            transcript,
            confirm_initiator: of("confirm initiator"),
            confirm_responder: of("confirm responder"),
            secrets: Secrets {
                epoch: of("epoch"),
                receipt: of("receipt"),
                resumption: of("resumption"),
                exporter: of("exporter"),
                lane_signaling: of("lane signaling"),
                sas: of("sas"),
            },
        }
    }

    /// The tag by which `role` shows that it has the keys (`HS-CONFIRM-TAG`).
    pub fn tag(&self, role: Role) -> [u8; 32] {
        let key = match role {
            Role::Initiator => &self.confirm_initiator,
            Role::Responder => &self.confirm_responder,
        };
        hmac(key, &self.transcript)
    }

    /// Checks the tag of `peer`, in constant time. Gives the proof that a session
    /// is built from, or nothing if the tag is wrong: the keys are then gone.
    pub fn verify(self, peer: Role, tag: &[u8; 32]) -> Option<Confirmed> {
        let equal: bool = self.tag(peer).ct_eq(tag).into();
        equal.then_some(Confirmed { transcript: self.transcript, secrets: self.secrets })
    }
}

impl Confirmed {
    /// The hash over everything that was negotiated and how.
    pub fn transcript(&self) -> &[u8; 32] {
        &self.transcript
    }

    /// The session's secrets.
    pub fn secrets(&self) -> &Secrets {
        &self.secrets
    }
}

/// HMAC-SHA-256.
pub fn hmac(key: &Secret32, message: &[u8]) -> [u8; 32] {
    // HMAC takes keys of any length; the fallback would only be a wrong tag.
    Hmac::<Sha256>::new_from_slice(key.expose()).map_or([0; 32], |mut mac| {
        mac.update(message);
        mac.finalize().into_bytes().0
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::kem::combine;

    fn all(keys: &Unconfirmed) -> Vec<Vec<u8>> {
        let secrets = &keys.secrets;
        [
            &keys.confirm_initiator,
            &keys.confirm_responder,
            &secrets.epoch,
            &secrets.receipt,
            &secrets.resumption,
            &secrets.exporter,
            &secrets.lane_signaling,
            &secrets.sas,
        ]
        .map(|secret| secret.expose().to_vec())
        .to_vec()
    }

    fn differ_everywhere(one: &Unconfirmed, other: &Unconfirmed) {
        for (left, right) in all(one).iter().zip(all(other)) {
            assert_ne!(left, &right);
        }
    }

    // HS-KEM-BOTH, HS-SCHEDULE
    #[test]
    fn altering_either_half_of_the_kem_or_the_psk_or_the_transcript_changes_every_key() {
        let psk = Secret32::new([1; 32]);
        let kem = |m: u8, x: u8| combine(&[m; 32], &[x; 32], &[7; 32], &[8; 32]);
        let base = Unconfirmed::derive(&psk, &kem(2, 3), [4; 32]);
        differ_everywhere(&base, &Unconfirmed::derive(&psk, &kem(9, 3), [4; 32]));
        differ_everywhere(&base, &Unconfirmed::derive(&psk, &kem(2, 9), [4; 32]));
        let other_psk = Secret32::new([9; 32]);
        differ_everywhere(&base, &Unconfirmed::derive(&other_psk, &kem(2, 3), [4; 32]));
        differ_everywhere(&base, &Unconfirmed::derive(&psk, &kem(2, 3), [9; 32]));
    }

    #[test]
    fn no_two_secrets_of_a_session_are_equal() {
        let keys = Unconfirmed::derive(&Secret32::new([1; 32]), &Secret32::new([2; 32]), [3; 32]);
        let mut secrets = all(&keys);
        secrets.sort();
        secrets.dedup();
        assert_eq!(secrets.len(), 8);
    }

    // HS-CONFIRM-TAG
    #[test]
    fn a_tag_confirms_its_own_role_only() {
        let keys =
            || Unconfirmed::derive(&Secret32::new([1; 32]), &Secret32::new([2; 32]), [3; 32]);
        let tag = keys().tag(Role::Initiator);
        assert!(keys().verify(Role::Initiator, &tag).is_some());
        assert!(keys().verify(Role::Responder, &tag).is_none());
        for place in 0..32 {
            let mut wrong = tag;
            wrong[place] ^= 0x80;
            assert!(keys().verify(Role::Initiator, &wrong).is_none());
        }
    }

    // HS-EXPAND-LABEL: the info bytes, written out by hand.
    #[test]
    fn the_info_of_expand_label_is_tls_hkdf_label_with_our_prefix() {
        let secret = Secret32::new([5; 32]);
        let info = b"\x00\x10\x0dpassel v1 key\x02\xaa\xbb";
        let mut expected = [0; 16];
        Hkdf::<Sha256>::from_prk(&[5; 32]).unwrap().expand(info, &mut expected).unwrap();
        let mut out = [0; 16];
        expand_label_into(&secret, "key", &[0xaa, 0xbb], &mut out);
        assert_eq!(out, expected);
    }
}
