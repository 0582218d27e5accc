//! The mode without a shared secret: the initiator commits to a nonce, reveals it
//! once the responder's hello is fixed, and two people compare what comes of it
//! (`HS-SAS-COMMIT`). When a connection goes on is decided there; which words
//! stand for the numbers is in `spec/vectors/words.json`.

use super::message::{Extension, WireExtension};
use crate::crypto::Secret32;
use crate::crypto::items::Items;
use crate::crypto::schedule::expand_label_into;
use crate::error::{Error, ErrorCode};

/// The extension of `HELLO_I` that commits to the nonce (registry, `extension`).
pub const EXTENSION_SAS_COMMIT: u16 = 0x11;
/// Length of the short authentication string, in bytes.
pub const SAS_BYTES: usize = 10;
/// Words in the list from which a short authentication string is shown.
pub const SAS_LIST: u16 = 2048;
/// Digits that are shown behind the words.
pub const SAS_DIGITS: usize = 4;

/// What two people compare: three words of a list, and four digits. It is not
/// secret, but for people to see at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sas([u8; SAS_BYTES]);

impl Sas {
    /// From the session's secret `sas` and the initiator's nonce (`HS-SAS-VALUE`).
    pub fn derive(secret: &Secret32, nonce: &Secret32) -> Self {
        let mut bytes = [0; SAS_BYTES];
        expand_label_into(secret, "sas value", nonce.expose(), &mut bytes);
        Self(bytes)
    }

    /// The bytes from which words and digits are taken.
    pub fn bytes(&self) -> &[u8; SAS_BYTES] {
        &self.0
    }

    /// Places of the words in the list, from 0 and below [`SAS_LIST`] (`HS-SAS-SHOWN`).
    pub fn words(&self) -> [u16; 3] {
        [0, 2, 4].map(|at| u16::from_be_bytes([self.0[at], self.0[at + 1]]) % SAS_LIST)
    }

    /// The number that is shown in four digits, zeros in front included.
    pub fn digits(&self) -> u16 {
        let [.., a, b, c, d] = self.0;
        // A remainder of 10 000 fits.
        u16::try_from(u32::from_be_bytes([a, b, c, d]) % 10_000).unwrap_or_default()
    }
}

/// What the initiator sends before it reveals `nonce` (`HS-SAS-COMMIT`).
pub fn sas_commitment(nonce: &[u8; 32]) -> [u8; 32] {
    Items::new().add("sas nonce", nonce).hash()
}

/// The extension by which an initiator commits to `nonce`.
pub(super) fn offer(nonce: &Secret32) -> WireExtension {
    let body = sas_commitment(nonce.expose()).to_vec();
    WireExtension::from(&Extension { id: EXTENSION_SAS_COMMIT, body })
}

/// The commitment among an initiator's extensions (`HS-SAS-COMMIT`).
pub(super) fn committed(extensions: &[Extension]) -> Result<[u8; 32], Error> {
    let commit = extensions
        .iter()
        .find(|extension| extension.id == EXTENSION_SAS_COMMIT)
        .ok_or_else(|| Error::peer(ErrorCode::ProtocolViolation, "no nonce was committed to"))?;
    <[u8; 32]>::try_from(&commit.body[..])
        .map_err(|_| Error::peer(ErrorCode::Malformed, "a commitment is 32 bytes long"))
}

/// Whether `nonce` is the one that was committed to (`HS-SAS-REVEAL`).
pub(super) fn check(commit: &[u8; 32], nonce: &[u8; 32]) -> Result<(), Error> {
    if sas_commitment(nonce) == *commit {
        Ok(())
    } else {
        let text = "the initiator reveals another nonce than it committed to";
        Err(Error::peer(ErrorCode::AuthenticationFailed, text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // HS-SAS-SHOWN: written out by hand.
    #[test]
    fn words_and_digits_are_taken_from_the_bytes_as_big_endian_numbers() {
        let sas = Sas([0x08, 0x00, 0xff, 0xff, 0x12, 0x34, 0x00, 0x00, 0x27, 0x10]);
        assert_eq!((sas.words(), sas.digits()), ([0, 2047, 0x234], 0));
        let sas = Sas([0, 1, 0x0f, 0xfe, 0, 0, 0xff, 0xff, 0xff, 0xff]);
        assert_eq!((sas.words(), sas.digits()), ([1, 2046, 0], 7295));
    }

    // HS-SAS-COMMIT, HS-SAS-REVEAL
    #[test]
    fn a_commitment_opens_by_its_own_nonce_alone() {
        let offered = offer(&Secret32::new([7; 32]));
        let extension = Extension::from(offered);
        let commit = committed(std::slice::from_ref(&extension)).unwrap();
        assert!(check(&commit, &[7; 32]).is_ok());
        for bit in 0..256 {
            let mut nonce = [7; 32];
            nonce[bit / 8] ^= 1 << (bit % 8);
            let refused = check(&commit, &nonce).unwrap_err();
            assert_eq!(refused.code, ErrorCode::AuthenticationFailed);
        }
        let code = |extensions: &[Extension]| committed(extensions).unwrap_err().code;
        assert_eq!(code(&[]), ErrorCode::ProtocolViolation);
        for length in [0, 31, 33] {
            let body = vec![1; length];
            let wrong = Extension { id: EXTENSION_SAS_COMMIT, body };
            assert_eq!(code(&[wrong]), ErrorCode::Malformed);
        }
    }
}
