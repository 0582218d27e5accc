//! SPAKE2 over Ed25519 for the mode CODE: from a short code, one guess, to a
//! strong secret (`SG-SPAKE2`). Peer elements are checked before they are used.
//! Queueing, burning and the blobs themselves are in [`crate::signal`].

use std::fmt;

use curve25519_dalek::edwards::CompressedEdwardsY;
use curve25519_dalek::traits::IsIdentity;
use spake2::{Ed25519Group, Identity, Password, Spake2};
use zeroize::{Zeroize, Zeroizing};

use super::entropy::{Entropy, Legacy};
use super::items::Items;
use super::secret::Secret32;
use crate::error::{Error, ErrorCode};

/// Length of a share: one compressed point of Ed25519.
pub const SHARE: usize = 32;

/// Which side of an invitation this is; SPAKE2 needs the two to differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Has the link or typed the code in: SPAKE2's side A.
    Joiner,
    /// Made the invitation: SPAKE2's side B.
    Creator,
}

impl Side {
    /// The other side.
    #[must_use]
    pub fn peer(self) -> Self {
        match self {
            Side::Joiner => Side::Creator,
            Side::Creator => Side::Joiner,
        }
    }

    /// The byte that the `spake2` crate puts before an element; not on the wire.
    fn letter(self) -> u8 {
        match self {
            Side::Joiner => b'A',
            Side::Creator => b'B',
        }
    }
}

/// What the exchange ends in, if both sides had the same code.
#[derive(Clone, Debug)]
pub struct PakeKey {
    /// The shared secret.
    pub secret: Secret32,
    /// SHA-256 over the routing id and both shares (`SG-PAKE-CONTEXT`).
    pub context: [u8; 32],
}

/// One side of an exchange that waits for the peer's share.
pub struct Pake {
    role: Side,
    routing_id: Vec<u8>,
    share: [u8; SHARE],
    state: Spake2<Ed25519Group>,
}

impl Pake {
    /// Starts an exchange over `code` within the session `routing_id`, and gives
    /// the share for the peer.
    pub fn start(
        role: Side,
        code: &[u8],
        routing_id: &[u8],
        entropy: &mut Entropy,
    ) -> (Self, [u8; SHARE]) {
        let password = Password::new(code);
        // SG-SPAKE2-IDENTITIES
        let identity = |name: &str| {
            let mut bytes = name.as_bytes().to_vec();
            bytes.extend_from_slice(routing_id);
            Identity::new(&bytes)
        };
        let (joiner, creator) = (identity("passel v1 joiner "), identity("passel v1 creator "));
        let rng = Legacy(entropy);
        let (state, message) = match role {
            Side::Joiner => Spake2::start_a_with_rng(&password, &joiner, &creator, rng),
            Side::Creator => Spake2::start_b_with_rng(&password, &joiner, &creator, rng),
        };
        let mut share = [0; SHARE];
        for (to, from) in share.iter_mut().zip(message.iter().skip(1)) {
            *to = *from;
        }
        (Self { role, routing_id: routing_id.to_vec(), share, state }, share)
    }

    /// Takes the peer's share. That the codes agree shows only when something
    /// sealed under the key opens: this call can't tell.
    pub fn finish(self, peer_share: &[u8]) -> Result<PakeKey, Error> {
        let element: [u8; SHARE] = peer_share.try_into().map_err(|_| {
            Error::peer(ErrorCode::Malformed, "a SPAKE2 share has the wrong length")
        })?;
        if element == self.share {
            // SG-SHARE-REFLECTED
            return Err(Error::peer(
                ErrorCode::ProtocolViolation,
                "our own SPAKE2 share came back",
            ));
        }
        check_element(&element)?;

        let mut message = [0; 1 + SHARE];
        message[0] = self.role.peer().letter();
        message[1..].copy_from_slice(&element);
        let mut key = Zeroizing::new(self.state.finish(&message).map_err(|_| refused())?);
        let mut secret = [0; 32];
        if key.len() != secret.len() {
            return Err(Error::local(ErrorCode::Internal, "SPAKE2 gave a key of another length"));
        }
        secret.copy_from_slice(&key);
        key.zeroize();

        let (joiner, creator) = match self.role {
            Side::Joiner => (self.share, element),
            Side::Creator => (element, self.share),
        };
        let context = Items::new()
            .add("routing id", &self.routing_id)
            .add("share joiner", &joiner)
            .add("share creator", &creator)
            .hash();
        let result = PakeKey { secret: Secret32::new(secret), context };
        secret.zeroize();
        Ok(result)
    }
}

impl fmt::Debug for Pake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pake").field("role", &self.role).finish_non_exhaustive()
    }
}

fn refused() -> Error {
    Error::peer(ErrorCode::Malformed, "a SPAKE2 share is not a usable point")
}

/// Refuses all that an honest peer's share never is (`SG-SHARE-CHECK`).
fn check_element(bytes: &[u8; SHARE]) -> Result<(), Error> {
    let point = CompressedEdwardsY(*bytes).decompress().ok_or_else(refused)?;
    let canonical = point.compress().as_bytes() == bytes;
    if canonical && !point.is_identity() && !point.is_small_order() && point.is_torsion_free() {
        Ok(())
    } else {
        Err(refused())
    }
}

#[cfg(test)]
mod tests {
    use curve25519_dalek::constants::{ED25519_BASEPOINT_POINT, EIGHT_TORSION};

    use super::*;

    fn start(role: Side, code: &str, routing: &str, seed: u8) -> (Pake, [u8; SHARE]) {
        Pake::start(role, code.as_bytes(), routing.as_bytes(), &mut Entropy::from_seed([seed; 32]))
    }

    fn run(codes: (&str, &str), routings: (&str, &str)) -> (PakeKey, PakeKey) {
        let (joiner, from_joiner) = start(Side::Joiner, codes.0, routings.0, 1);
        let (creator, from_creator) = start(Side::Creator, codes.1, routings.1, 2);
        (joiner.finish(&from_creator).unwrap(), creator.finish(&from_joiner).unwrap())
    }

    // SG-SPAKE2
    #[test]
    fn the_same_code_gives_the_same_key_and_context() {
        let (joiner, creator) = run(("owl-seven", "owl-seven"), ("r1", "r1"));
        assert_eq!(joiner.secret, creator.secret);
        assert_eq!(joiner.context, creator.context);
    }

    #[test]
    fn another_code_gives_another_key() {
        let (joiner, creator) = run(("owl-seven", "owl-eight"), ("r1", "r1"));
        assert_ne!(joiner.secret, creator.secret);
    }

    // SG-SPAKE2-IDENTITIES
    #[test]
    fn another_routing_id_gives_another_key() {
        let (joiner, creator) = run(("owl-seven", "owl-seven"), ("r1", "r2"));
        assert_ne!(joiner.secret, creator.secret);
    }

    // SG-SHARE-REFLECTED
    #[test]
    fn our_own_share_is_refused() {
        for role in [Side::Joiner, Side::Creator] {
            let (pake, share) = start(role, "owl-seven", "r1", 1);
            assert_eq!(pake.finish(&share).unwrap_err().code, ErrorCode::ProtocolViolation);
        }
    }

    // SG-SHARE-CHECK
    #[test]
    fn a_share_of_another_length_is_refused() {
        for length in [0, 1, 31, 33, 64] {
            let (pake, _) = start(Side::Joiner, "owl-seven", "r1", 1);
            assert_eq!(pake.finish(&vec![0x58; length]).unwrap_err().code, ErrorCode::Malformed);
        }
    }

    // SG-SHARE-CHECK
    #[test]
    fn the_identity_and_points_of_small_order_are_refused() {
        for point in EIGHT_TORSION {
            let (pake, _) = start(Side::Joiner, "owl-seven", "r1", 1);
            assert!(pake.finish(point.compress().as_bytes()).is_err());
        }
    }

    // SG-SHARE-CHECK
    #[test]
    fn a_point_with_a_torsion_part_is_refused() {
        let (pake, _) = start(Side::Creator, "owl-seven", "r1", 1);
        let point = ED25519_BASEPOINT_POINT + EIGHT_TORSION[1];
        assert!(!point.is_torsion_free() && !point.is_small_order());
        assert!(pake.finish(point.compress().as_bytes()).is_err());
    }

    // SG-SHARE-CHECK: y + p for y < 19, and the identity with a sign bit.
    #[test]
    fn encodings_that_are_not_canonical_are_refused() {
        let mut seen = 0;
        for low in 0xed..=0xffu8 {
            for sign in [0x7f, 0xff] {
                let mut bytes = [0xff; 32];
                bytes[0] = low;
                bytes[31] = sign;
                seen += usize::from(CompressedEdwardsY(bytes).decompress().is_some());
                let (pake, _) = start(Side::Joiner, "owl-seven", "r1", 1);
                assert!(pake.finish(&bytes).is_err());
            }
        }
        assert!(seen > 2, "some of them must be points, or this shows nothing");
        let mut signed_identity = [0; 32];
        signed_identity[0] = 1;
        signed_identity[31] = 0x80;
        let (pake, _) = start(Side::Joiner, "owl-seven", "r1", 1);
        assert!(pake.finish(&signed_identity).is_err());
    }

    // SG-SHARE-CHECK
    #[test]
    fn bytes_that_are_no_point_are_refused() {
        let mut bytes = [0; 32];
        bytes[0] = 2;
        assert!(CompressedEdwardsY(bytes).decompress().is_none());
        let (pake, _) = start(Side::Joiner, "owl-seven", "r1", 1);
        assert!(pake.finish(&bytes).is_err());
    }
}
