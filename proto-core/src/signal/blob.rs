//! The bytes of a blob (`SG-BLOB`) and the padding of payloads (`SG-PADDING`).
//! Keys and states live beside this file.

use crate::crypto::pake::SHARE;
use crate::limits::MAX_SIGNAL_BLOB;

/// The version of this format, a blob's first byte.
pub(super) const VERSION: u8 = 1;
/// Length of a sealed blob's header, all of it authenticated.
pub(super) const SEALED_HEADER: usize = 28;
/// Length of the tag at a sealed blob's end.
pub(super) const TAG: usize = 16;
/// Length of the salt that a side draws for the session.
pub(super) const SALT: usize = 16;
/// Payloads are padded up to a multiple of this many bytes.
const PAD: usize = 256;
/// Length of the length field in front of a payload.
const LENGTH: usize = 2;
/// Longest payload of one blob, in bytes.
pub const MAX_PAYLOAD: usize = (MAX_SIGNAL_BLOB - SEALED_HEADER - TAG) / PAD * PAD - LENGTH;

const TYPE_SHARE: u8 = 1;
const TYPE_SEALED: u8 = 2;
const TYPE_REFUSED: u8 = 3;

/// A blob as it came, borrowed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Blob<'a> {
    /// A SPAKE2 share in the clear.
    Share { mode: u16, share: &'a [u8; SHARE] },
    /// A sealed payload.
    Sealed(Sealed<'a>),
    /// The other side gave up; unauthenticated.
    Refused,
}

/// A sealed blob's parts.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Sealed<'a> {
    pub(super) mode: u16,
    pub(super) salt: &'a [u8; SALT],
    pub(super) counter: u64,
    pub(super) header: &'a [u8; SEALED_HEADER],
    /// Ciphertext and tag.
    pub(super) body: &'a [u8],
}

/// Why bytes are no blob.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum BlobError {
    Version,
    Malformed,
}

/// Reads a blob's form (`SG-BLOB`). Nothing in it has been authenticated, and no
/// bytes make it panic (`SG-NO-PANIC`).
pub(super) fn parse(bytes: &[u8]) -> Result<Blob<'_>, BlobError> {
    let ([version, kind, mode @ ..], body) =
        bytes.split_first_chunk::<4>().ok_or(BlobError::Malformed)?;
    if *version != VERSION {
        return Err(BlobError::Version);
    }
    let mode = u16::from_le_bytes(*mode);
    match *kind {
        TYPE_SHARE => {
            let share = body.try_into().map_err(|_| BlobError::Malformed)?;
            Ok(Blob::Share { mode, share })
        }
        TYPE_SEALED => {
            let (header, sealed_body) =
                bytes.split_first_chunk::<SEALED_HEADER>().ok_or(BlobError::Malformed)?;
            let (salt, rest) = body.split_first_chunk::<SALT>().ok_or(BlobError::Malformed)?;
            let (counter, _) = rest.split_first_chunk::<8>().ok_or(BlobError::Malformed)?;
            let padded = sealed_body.len().checked_sub(TAG).ok_or(BlobError::Malformed)?;
            if padded == 0 || padded % PAD != 0 || bytes.len() > MAX_SIGNAL_BLOB {
                return Err(BlobError::Malformed);
            }
            let counter = u64::from_le_bytes(*counter);
            Ok(Blob::Sealed(Sealed { mode, salt, counter, header, body: sealed_body }))
        }
        TYPE_REFUSED if body.is_empty() => Ok(Blob::Refused),
        _ => Err(BlobError::Malformed),
    }
}

fn start(kind: u8, mode: u16) -> Vec<u8> {
    let [low, high] = mode.to_le_bytes();
    vec![VERSION, kind, low, high]
}

/// The blob of a SPAKE2 share.
pub(super) fn share(mode: u16, share: &[u8; SHARE]) -> Vec<u8> {
    let mut blob = start(TYPE_SHARE, mode);
    blob.extend_from_slice(share);
    blob
}

/// The blob that says that this side gave up.
pub(super) fn refused(mode: u16) -> Vec<u8> {
    start(TYPE_REFUSED, mode)
}

/// The header of a sealed blob; its payload is still to follow.
pub(super) fn sealed_header(mode: u16, salt: &[u8; SALT], counter: u64) -> Vec<u8> {
    let mut blob = start(TYPE_SEALED, mode);
    blob.extend_from_slice(salt);
    blob.extend_from_slice(&counter.to_le_bytes());
    blob
}

/// Appends length, payload and zeros up to the next multiple of 256 bytes, or
/// nothing and `false` if the payload is longer than [`MAX_PAYLOAD`].
pub(super) fn pad_onto(blob: &mut Vec<u8>, payload: &[u8]) -> bool {
    let length = match u16::try_from(payload.len()) {
        Ok(length) if payload.len() <= MAX_PAYLOAD => length,
        _ => return false,
    };
    blob.extend_from_slice(&length.to_le_bytes());
    blob.extend_from_slice(payload);
    let padded = (LENGTH + payload.len()).next_multiple_of(PAD);
    blob.resize(blob.len() + padded - LENGTH - payload.len(), 0);
    true
}

/// The payload within an opened plaintext, if it is padded as it must be.
pub(super) fn unpad(plaintext: &[u8]) -> Option<&[u8]> {
    let (length, rest) = plaintext.split_first_chunk::<LENGTH>()?;
    let (payload, zeros) = rest.split_at_checked(u16::from_le_bytes(*length).into())?;
    (zeros.len() < PAD && zeros.iter().all(|byte| *byte == 0)).then_some(payload)
}

#[cfg(test)]
mod tests {
    use super::*;

    // SG-PADDING
    #[test]
    fn every_length_of_payload_survives_padding_to_a_multiple_of_256() {
        for length in (0..600).chain([MAX_PAYLOAD - 1, MAX_PAYLOAD]) {
            let payload = vec![7; length];
            let mut padded = Vec::new();
            assert!(pad_onto(&mut padded, &payload));
            assert_eq!(padded.len() % 256, 0);
            assert!(padded.len() >= 256 && padded.len() < length + 2 + 256);
            assert_eq!(unpad(&padded), Some(&payload[..]));
        }
        assert!(!pad_onto(&mut Vec::new(), &[0; MAX_PAYLOAD + 1]));
    }

    // SG-PADDING
    #[test]
    fn padding_that_is_not_zero_or_too_long_is_refused() {
        let mut padded = Vec::new();
        pad_onto(&mut padded, b"abc");
        for place in 5..256 {
            let mut wrong = padded.clone();
            wrong[place] = 1;
            assert_eq!(unpad(&wrong), None);
        }
        padded.resize(512, 0);
        assert_eq!(unpad(&padded), None);
        assert_eq!(unpad(&[255; 256]), None);
        assert_eq!(unpad(&[0]), None);
    }

    // SG-BLOB
    #[test]
    fn blobs_of_a_wrong_form_are_refused() {
        let share_blob = share(2, &[9; SHARE]);
        assert_eq!(parse(&share_blob), Ok(Blob::Share { mode: 2, share: &[9; SHARE] }));
        assert_eq!(parse(&share_blob[..35]), Err(BlobError::Malformed));
        let mut long = share_blob.clone();
        long.push(0);
        assert_eq!(parse(&long), Err(BlobError::Malformed));
        let mut future = share_blob;
        future[0] = 2;
        assert_eq!(parse(&future), Err(BlobError::Version));

        assert_eq!(parse(&refused(2)), Ok(Blob::Refused));
        assert_eq!(parse(&[1, 3, 2, 0, 0]), Err(BlobError::Malformed));
        assert_eq!(parse(&[1, 0, 2, 0]), Err(BlobError::Malformed));
        assert_eq!(parse(&[1, 4, 2, 0]), Err(BlobError::Malformed));
        assert_eq!(parse(&[]), Err(BlobError::Malformed));

        let sealed = |length: usize| {
            let mut blob = sealed_header(1, &[3; SALT], 5);
            blob.resize(SEALED_HEADER + length, 0);
            blob
        };
        assert!(parse(&sealed(256 + TAG)).is_ok());
        for length in [0, TAG, 256, 255 + TAG, 257 + TAG, MAX_SIGNAL_BLOB] {
            assert_eq!(parse(&sealed(length)), Err(BlobError::Malformed));
        }
    }
}
