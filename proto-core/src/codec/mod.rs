//! The encoding: bincode 2 in its standard configuration (`WF-ENCODING`), made strict.
//!
//! The byte layout itself is in `spec/03-wire.md`, so that nobody needs the
//! crate. What this module adds to it: a bound on what a decoder may claim, no
//! trailing bytes, and one encoding only for each value (`WF-CANONICAL`). What
//! does not live here: the frames and messages, each in a file of its own.

use bincode::config::{Configuration, standard};
use bincode::error::{DecodeError, EncodeError};
use bincode::{Decode, Encode};

/// Upper bound on the memory that decoding one value may claim, in bytes. A
/// page of a manifest is the largest value, and takes a few times its wire size.
const CLAIM_LIMIT: usize = 1 << 20;
/// No value takes more memory than this many times its wire size: an extension,
/// of 2 bytes at least, takes 32.
const CLAIM_FACTOR: usize = 16;

type Bounded<const LIMIT: usize> = Configuration<
    bincode::config::LittleEndian,
    bincode::config::Varint,
    bincode::config::Limit<LIMIT>,
>;

fn config() -> Bounded<CLAIM_LIMIT> {
    standard().with_limit::<CLAIM_LIMIT>()
}

/// Decodes within a limit that goes by the bytes that are there, in steps: what a
/// length merely claims sets no memory aside (`WF-BOUNDED`, `OV-CLAIMS`).
fn decode_bounded<T: Decode<()>>(input: &[u8]) -> Result<(T, usize), DecodeError> {
    fn within<T: Decode<()>, const LIMIT: usize>(input: &[u8]) -> Result<(T, usize), DecodeError> {
        bincode::decode_from_slice(input, standard().with_limit::<LIMIT>())
    }
    match input.len().saturating_mul(CLAIM_FACTOR) {
        0..=0x1000 => within::<T, 0x1000>(input),
        0x1001..=0x4000 => within::<T, 0x4000>(input),
        0x4001..=0x1_0000 => within::<T, 0x1_0000>(input),
        0x1_0001..=0x4_0000 => within::<T, 0x4_0000>(input),
        _ => within::<T, CLAIM_LIMIT>(input),
    }
}

/// Why bytes were refused. Always the fault of whoever made the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    /// The input ends within a value.
    #[error("the input ends too early")]
    Truncated,
    /// Bytes follow the value (`WF-TRAILING`).
    #[error("bytes follow the end of the value")]
    Trailing,
    /// A length or count is above its limit.
    #[error("a length is above its limit")]
    TooLong,
    /// The value has a shorter encoding, such as an overlong varint.
    #[error("the encoding is not canonical")]
    NotCanonical,
    /// Not a value of this type: an unknown variant, text that is not UTF-8
    /// (`WF-UTF8`), …
    #[error("the bytes are not a value of this type")]
    Invalid,
}

impl From<DecodeError> for CodecError {
    fn from(error: DecodeError) -> Self {
        match error {
            DecodeError::UnexpectedEnd { .. } => CodecError::Truncated,
            DecodeError::LimitExceeded => CodecError::TooLong,
            _ => CodecError::Invalid,
        }
    }
}

/// Appends the encoding of `value` to `out`.
///
/// The only way for this to fail is a type that refuses to encode itself, which
/// none in this crate does; callers may treat it as a bug of their own type.
pub fn encode_into<T: Encode>(value: &T, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    bincode::encode_into_std_write(value, out, config()).map(|_| ())
}

/// The encoding of `value` in a vector of its own; see [`encode_into`].
pub fn encode<T: Encode>(value: &T) -> Result<Vec<u8>, EncodeError> {
    let mut out = Vec::new();
    encode_into(value, &mut out)?;
    Ok(out)
}

/// Reads one value from the front of `input` and returns it with the number of
/// bytes that it took. The bytes must be the value's only encoding.
pub fn decode_prefix<T: Encode + Decode<()>>(input: &[u8]) -> Result<(T, usize), CodecError> {
    let (value, used) = decode_bounded::<T>(input)?;
    let mut check = CanonicalCheck { expected: &input[..used], matches: true };
    bincode::encode_into_writer(&value, &mut check, config()).map_err(|_| CodecError::Invalid)?;
    if check.matches && check.expected.is_empty() {
        Ok((value, used))
    } else {
        Err(CodecError::NotCanonical)
    }
}

/// Reads one value that takes up the whole of `input`.
pub fn decode<T: Encode + Decode<()>>(input: &[u8]) -> Result<T, CodecError> {
    let (value, used) = decode_prefix(input)?;
    if used == input.len() { Ok(value) } else { Err(CodecError::Trailing) }
}

/// Compares an encoding with the bytes it was decoded from, without a copy.
struct CanonicalCheck<'a> {
    expected: &'a [u8],
    matches: bool,
}

impl bincode::enc::write::Writer for CanonicalCheck<'_> {
    fn write(&mut self, bytes: &[u8]) -> Result<(), EncodeError> {
        match self.expected.split_at_checked(bytes.len()) {
            Some((head, rest)) if head == bytes => self.expected = rest,
            _ => self.matches = false,
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overlong_varint_is_refused() {
        assert_eq!(decode::<u32>(&[250]), Ok(250));
        assert_eq!(decode::<u32>(&[251, 251, 0]), Ok(251));
        assert_eq!(decode::<u32>(&[251, 7, 0]), Err(CodecError::NotCanonical));
        assert_eq!(decode::<u32>(&[252, 7, 0, 0, 0]), Err(CodecError::NotCanonical));
    }

    // WF-TRAILING
    #[test]
    fn trailing_and_truncated_are_refused() {
        assert_eq!(decode::<u8>(&[1, 2]), Err(CodecError::Trailing));
        assert_eq!(decode::<(u8, u8)>(&[1]), Err(CodecError::Truncated));
    }

    // WF-UTF8
    #[test]
    fn text_that_is_not_utf_8_is_refused() {
        assert_eq!(decode::<String>(&[2, 0xc3, 0xa9]), Ok("é".to_owned()));
        assert_eq!(decode::<String>(&[2, 0xc3, 0x28]), Err(CodecError::Invalid));
    }

    // WF-BOUNDED, OV-CLAIMS: refused as too long, before anything is read.
    #[test]
    fn a_claimed_length_allocates_nothing() {
        let claims_4_gib = [252, 0xff, 0xff, 0xff, 0xff];
        assert_eq!(decode::<Vec<u8>>(&claims_4_gib), Err(CodecError::TooLong));
        assert_eq!(decode::<Vec<u64>>(&claims_4_gib), Err(CodecError::TooLong));
        for (there, claimed) in [(8, 5_000), (1_000, 20_000), (4_000, 70_000), (16_000, 300_000)] {
            let mut input = vec![252];
            input.extend(u32::to_le_bytes(claimed));
            input.resize(there, 0);
            assert_eq!(decode::<Vec<u8>>(&input), Err(CodecError::TooLong), "{claimed}");
            assert_eq!(decode::<String>(&input), Err(CodecError::TooLong), "{claimed}");
        }
    }

    #[test]
    fn no_value_is_refused_for_the_memory_that_it_takes() {
        for count in [1, 7, 250, 1_000, 4_000, 16_000] {
            let dense = vec![(0_u16, Vec::<u8>::new()); count];
            assert_eq!(decode(&encode(&dense).unwrap()), Ok(dense), "{count}");
        }
    }
}
