//! Session ids, meeting ids, tokens and nameplates: what they look like as text and which
//! texts are refused. How a server draws and hands them out does not live here.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Length of a session id or token as text (`RV-ID-TEXT`).
pub const ID_TEXT: usize = 26;
/// The largest nameplate (`RV-NAMEPLATE-RANGE`).
pub const MAX_NAMEPLATE: u16 = 9_999;

/// Crockford's base32 in lower case: no `i`, `l`, `o`, `u`.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// A text that is no session id, token or nameplate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an id of the rendezvous protocol")]
pub struct ParseIdError;

/// 128 bits as 26 digits of 5 bits, the first of which holds only 3.
fn to_text(value: u128) -> String {
    (0..ID_TEXT)
        .rev()
        .map(|place| {
            let digit = (value >> (5 * place)) & 31;
            char::from(ALPHABET.get(usize::try_from(digit).unwrap_or(0)).copied().unwrap_or(b'0'))
        })
        .collect()
}

/// The inverse of [`to_text`]; every value has one text only (`RV-ID-TEXT`).
fn from_text(text: &str) -> Result<u128, ParseIdError> {
    if text.len() != ID_TEXT {
        return Err(ParseIdError);
    }
    let mut value = 0_u128;
    for (place, byte) in text.bytes().enumerate() {
        let digit = ALPHABET.iter().position(|&known| known == byte).ok_or(ParseIdError)?;
        if place == 0 && digit > 7 {
            return Err(ParseIdError);
        }
        value = (value << 5) | u128::try_from(digit).map_err(|_| ParseIdError)?;
    }
    Ok(value)
}

/// Routing id of a session: 128 random bits, independent of every secret
/// (`RV-ID-RANDOM`). Whoever knows it may join, but learns no key by it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SessionId(u128);

/// Where two peers that had a session find each other again: 128 bits that only
/// they can derive (`RV-MEETING-ID`). The server learns it from them and draws
/// nothing from it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct MeetingId(u128);

/// One peer's right to open one socket: 128 random bits, used once
/// (`RV-TOKEN-ONCE`). It has no `Display`, so that no log line gets hold of it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Token(u128);

impl SessionId {
    /// An id from 128 bits, which must be random.
    pub fn from_bits(bits: u128) -> Self {
        Self(bits)
    }

    /// The id as 16 bytes, the highest first: what the sealing of the signaling
    /// is bound to (`SG-ROUTING-ID`).
    pub fn to_bytes(self) -> [u8; 16] {
        self.0.to_be_bytes()
    }
}

impl MeetingId {
    /// An id from 16 bytes, the highest first.
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(u128::from_be_bytes(bytes))
    }
}

impl Token {
    /// A token from 128 bits, which must be random.
    pub fn from_bits(bits: u128) -> Self {
        Self(bits)
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&to_text(self.0))
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionId(…)")
    }
}

impl fmt::Debug for MeetingId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MeetingId(…)")
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

impl FromStr for SessionId {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        from_text(text).map(Self)
    }
}

impl TryFrom<String> for SessionId {
    type Error = ParseIdError;

    fn try_from(text: String) -> Result<Self, ParseIdError> {
        text.parse()
    }
}

impl TryFrom<String> for MeetingId {
    type Error = ParseIdError;

    fn try_from(text: String) -> Result<Self, ParseIdError> {
        from_text(&text).map(Self)
    }
}

impl TryFrom<String> for Token {
    type Error = ParseIdError;

    fn try_from(text: String) -> Result<Self, ParseIdError> {
        from_text(&text).map(Self)
    }
}

impl From<SessionId> for String {
    fn from(id: SessionId) -> Self {
        to_text(id.0)
    }
}

impl From<MeetingId> for String {
    fn from(id: MeetingId) -> Self {
        to_text(id.0)
    }
}

impl From<Token> for String {
    fn from(token: Token) -> Self {
        to_text(token.0)
    }
}

/// A small number that people can say to each other in place of a session id.
/// It finds a session and is no secret (`RV-NAMEPLATE-INDEPENDENT`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "u16", into = "u16")]
pub struct Nameplate(u16);

impl Nameplate {
    /// The number, 1 to [`MAX_NAMEPLATE`].
    pub fn get(self) -> u16 {
        self.0
    }
}

impl TryFrom<u16> for Nameplate {
    type Error = ParseIdError;

    fn try_from(number: u16) -> Result<Self, ParseIdError> {
        if (1..=MAX_NAMEPLATE).contains(&number) { Ok(Self(number)) } else { Err(ParseIdError) }
    }
}

impl From<Nameplate> for u16 {
    fn from(nameplate: Nameplate) -> Self {
        nameplate.0
    }
}

impl fmt::Display for Nameplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_the_text_that_the_spec_shows() {
        // RV-ID-TEXT: the examples of the spec.
        assert_eq!(SessionId(0).to_string(), "00000000000000000000000000");
        assert_eq!(SessionId(u128::MAX).to_string(), "7zzzzzzzzzzzzzzzzzzzzzzzzz");
        let example = 0x0011_2233_4455_6677_8899_aabb_ccdd_eeff;
        assert_eq!(SessionId(example).to_string(), "0024h36h2ncsvrh6daqf6dvvqz");
        assert_eq!("0024h36h2ncsvrh6daqf6dvvqz".parse(), Ok(SessionId(example)));
    }

    #[test]
    fn what_the_sealing_is_bound_to_is_the_id_from_its_highest_byte() {
        // SG-ROUTING-ID
        let id: SessionId = "0024h36h2ncsvrh6daqf6dvvqz".parse().unwrap();
        let ascending: Vec<u8> = (0..16).map(|digit| digit * 0x11).collect();
        assert_eq!(id.to_bytes().as_slice(), ascending);
    }

    #[test]
    fn a_text_that_is_not_canonical_is_refused() {
        // RV-ID-TEXT
        for text in [
            "",
            "0000000000000000000000000",
            "000000000000000000000000000",
            "80000000000000000000000000",
            "0000000000000000000000000A",
            "0000000000000000000000000i",
            "0000000000000000000000000-",
            "000000000000000000000000é",
        ] {
            assert_eq!(text.parse::<SessionId>(), Err(ParseIdError), "{text:?}");
        }
    }

    #[test]
    fn nameplates_have_one_to_four_digits() {
        // RV-NAMEPLATE-RANGE
        assert!(Nameplate::try_from(0).is_err());
        assert_eq!(Nameplate::try_from(1).map(Nameplate::get), Ok(1));
        assert_eq!(Nameplate::try_from(9_999).map(Nameplate::get), Ok(9_999));
        assert!(Nameplate::try_from(10_000).is_err());
    }

    #[test]
    fn a_meeting_is_written_like_a_session() {
        // RV-MEETING-ID
        let bytes: [u8; 16] = std::array::from_fn(|place| u8::try_from(place * 0x11).unwrap());
        let id = MeetingId::from_bytes(bytes);
        assert_eq!(String::from(id), "0024h36h2ncsvrh6daqf6dvvqz");
        assert_eq!(MeetingId::try_from(String::from(id)), Ok(id));
        assert_eq!(MeetingId::try_from("0".to_owned()), Err(ParseIdError));
    }

    #[test]
    fn debug_output_holds_neither_id_nor_token() {
        // RV-LOG
        let shown = format!("{:?} {:?} {:?}", SessionId(7), MeetingId(7), Token(7));
        assert_eq!(shown, "SessionId(…) MeetingId(…) Token(…)");
    }
}
