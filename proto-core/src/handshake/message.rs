//! The four handshake messages and their bytes (`HS-MESSAGES`). Decoding checks
//! form and limits and never panics (`HS-NO-PANIC`); what a value means for the handshake is decided by the two
//! state machines.

use bincode::de::{BorrowDecode, BorrowDecoder, Decoder};
use bincode::enc::Encoder;
use bincode::error::{DecodeError, EncodeError};
use bincode::{Decode, Encode};

use crate::codec;
use crate::crypto::Entropy;
use crate::crypto::kem::{CIPHERTEXT, ENCAPSULATION_KEY};
use crate::error::{Blame, Error, ErrorCode};
use crate::escape;
use crate::limits::{MAX_EXTENSION_BODY, MAX_EXTENSIONS_COUNT, MAX_HELLO, MAX_REASON_TEXT};

/// First byte of a handshake record (registry, `record`).
pub const RECORD_HANDSHAKE: u8 = 0;
/// Length of a confirmation tag.
pub const CONFIRM_TAG: usize = 32;

/// Second byte of a handshake record (registry, `handshake`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageType {
    /// The initiator's offer.
    HelloI,
    /// The responder's choice and tag.
    HelloR,
    /// The initiator's tag.
    Confirm,
    /// Why a handshake failed; unauthenticated.
    Alert,
}

impl MessageType {
    /// The number on the wire.
    pub fn to_wire(self) -> u8 {
        match self {
            MessageType::HelloI => 1,
            MessageType::HelloR => 2,
            MessageType::Confirm => 3,
            MessageType::Alert => 4,
        }
    }

    fn from_wire(byte: u8) -> Option<Self> {
        [MessageType::HelloI, MessageType::HelloR, MessageType::Confirm, MessageType::Alert]
            .into_iter()
            .find(|kind| kind.to_wire() == byte)
    }
}

/// A list that is refused above `MAX` entries before anything is allocated
/// (`HS-LIST-LIMITS`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct List<T, const MAX: usize>(pub(crate) Vec<T>);

impl<T: Encode, const MAX: usize> Encode for List<T, MAX> {
    fn encode<E: Encoder>(&self, encoder: &mut E) -> Result<(), EncodeError> {
        (self.0.len() as u64).encode(encoder)?;
        self.0.iter().try_for_each(|item| item.encode(encoder))
    }
}

impl<Context, T: Decode<Context>, const MAX: usize> Decode<Context> for List<T, MAX> {
    fn decode<D: Decoder<Context = Context>>(decoder: &mut D) -> Result<Self, DecodeError> {
        let count = u64::decode(decoder)?;
        if count > MAX as u64 {
            return Err(DecodeError::LimitExceeded);
        }
        (0..count).map(|_| T::decode(decoder)).collect::<Result<_, _>>().map(Self)
    }
}

impl<'de, Context, T: Decode<Context>, const MAX: usize> BorrowDecode<'de, Context>
    for List<T, MAX>
{
    fn borrow_decode<D: BorrowDecoder<'de, Context = Context>>(
        decoder: &mut D,
    ) -> Result<Self, DecodeError> {
        Self::decode(decoder)
    }
}

/// A list of version or suite numbers.
pub(crate) type Numbers = List<u16, MAX_EXTENSIONS_COUNT>;

/// An extension of a hello: an id and bytes that only its definition explains.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extension {
    /// The extension's number; `0x?A?A` is reserved for greasing.
    pub id: u16,
    /// At most `MAX_EXTENSION_BODY` bytes.
    pub body: Vec<u8>,
}

#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct WireExtension {
    pub(crate) id: u16,
    pub(crate) body: List<u8, MAX_EXTENSION_BODY>,
}

pub(crate) type Extensions = List<WireExtension, MAX_EXTENSIONS_COUNT>;

impl From<&Extension> for WireExtension {
    fn from(extension: &Extension) -> Self {
        Self { id: extension.id, body: List(extension.body.clone()) }
    }
}

impl From<WireExtension> for Extension {
    fn from(extension: WireExtension) -> Self {
        Self { id: extension.id, body: extension.body.0 }
    }
}

/// `HELLO_I`, `spec/04-handshake.md`.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct HelloI {
    pub(crate) versions: Numbers,
    pub(crate) suites: Numbers,
    pub(crate) auth: u16,
    pub(crate) session_id: [u8; 16],
    pub(crate) random: [u8; 32],
    pub(crate) encapsulation_key: [u8; ENCAPSULATION_KEY],
    pub(crate) extensions: Extensions,
}

/// `HELLO_R`, `spec/04-handshake.md`. The tag is last, so that the rest of the
/// message's bytes can be hashed without it.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct HelloR {
    pub(crate) version: u16,
    pub(crate) suite: u16,
    pub(crate) auth: u16,
    pub(crate) random: [u8; 32],
    pub(crate) ciphertext: [u8; CIPHERTEXT],
    pub(crate) extensions: Extensions,
    pub(crate) confirm: [u8; CONFIRM_TAG],
}

/// CONFIRM, `spec/04-handshake.md`.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Confirm {
    pub(crate) confirm: [u8; CONFIRM_TAG],
}

/// CONFIRM in the mode without a secret: the tag, and the nonce revealed (`HS-SAS-REVEAL`).
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct ConfirmSas {
    pub(crate) confirm: [u8; CONFIRM_TAG],
    pub(crate) nonce: [u8; 32],
}

#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
struct Alert {
    code: u16,
    text: List<u8, MAX_REASON_TEXT>,
}

/// The bytes of a message: kind, type, value.
pub(crate) fn encode<T: Encode>(kind: MessageType, value: &T) -> Result<Vec<u8>, Error> {
    let mut out = vec![RECORD_HANDSHAKE, kind.to_wire()];
    codec::encode_into(value, &mut out)
        .map_err(|_| Error::local(ErrorCode::Internal, "a handshake message did not encode"))?;
    if out.len() > MAX_HELLO {
        return Err(Error::misuse("the extensions do not fit in a handshake message"));
    }
    Ok(out)
}

/// Reads a message that must be of type `expected`. An ALERT in its place
/// becomes the error that it reports (`HS-ALERT-ENDS`).
pub(crate) fn decode<T: Encode + Decode<()>>(
    expected: MessageType,
    message: &[u8],
) -> Result<T, Error> {
    if message.len() > MAX_HELLO {
        // HS-MESSAGE-LIMIT
        return Err(Error::peer(ErrorCode::LimitExceeded, "a handshake message is too long"));
    }
    let [RECORD_HANDSHAKE, kind, body @ ..] = message else {
        return Err(Error::peer(ErrorCode::ProtocolViolation, "not a handshake record"));
    };
    let kind = MessageType::from_wire(*kind)
        .ok_or_else(|| Error::peer(ErrorCode::Malformed, "an unknown handshake message"))?;
    if kind == MessageType::Alert {
        return Err(reported(&codec::decode(body).map_err(malformed)?));
    }
    if kind != expected {
        // HS-ORDER
        return Err(Error::peer(
            ErrorCode::ProtocolViolation,
            "a handshake message that is not due in this state",
        ));
    }
    codec::decode(body).map_err(malformed)
}

/// Bytes that are not the one encoding of the value (`HS-ENCODING`).
fn malformed(error: codec::CodecError) -> Error {
    Error::peer(ErrorCode::Malformed, format!("a handshake message was refused: {error}"))
}

/// The ALERT that tells the peer why this side gave the handshake up
/// (`HS-ALERT`). It is not authenticated: whoever is between the two can send one
/// too, so that it may be shown to a user and must not be believed. Failures of
/// this side alone are told as INTERNAL without a text.
pub fn alert(error: &Error) -> Vec<u8> {
    let own = matches!(error.blame, Blame::Local | Blame::Misuse);
    let (code, text) = if own {
        (ErrorCode::Internal, String::new())
    } else {
        (error.code, escape::reason(&error.text))
    };
    let value = Alert { code: code.to_wire(), text: List(text.into_bytes()) };
    encode(MessageType::Alert, &value).unwrap_or_default()
}

/// Reads an ALERT; `None` if `message` is no handshake record of that type.
/// A malformed one gives the error about it.
pub fn parse_alert(message: &[u8]) -> Option<Error> {
    match message {
        [RECORD_HANDSHAKE, kind, ..] if *kind == MessageType::Alert.to_wire() => {
            decode::<Confirm>(MessageType::Confirm, message).err()
        }
        _ => None,
    }
}

/// What a peer's ALERT means here, its text escaped (`HS-ALERT-TEXT`).
fn reported(alert: &Alert) -> Error {
    let code = ErrorCode::from_wire(alert.code);
    let blame = match code {
        ErrorCode::UnsupportedVersion
        | ErrorCode::UnsupportedSuite
        | ErrorCode::UnsupportedAuth => Blame::Incompatible,
        ErrorCode::NoError
        | ErrorCode::Internal
        | ErrorCode::HandshakeTimeout
        // HS-RESUME-UNKNOWN: no reason to mistrust the peer, or to forget it.
        | ErrorCode::ResumptionUnknown
        | ErrorCode::IdleTimeout
        | ErrorCode::TransportFailed
        | ErrorCode::Cancelled
        | ErrorCode::Declined => Blame::Circumstance,
        _ => Blame::Peer,
    };
    match std::str::from_utf8(&alert.text.0) {
        Ok("") => Error::new(blame, code, "the peer gave the handshake up").told(),
        Ok(text) => {
            let text = format!("the peer gave the handshake up: {}", escape::reason(text));
            Error::new(blame, code, text).told()
        }
        Err(_) => Error::peer(ErrorCode::Malformed, "an alert whose text is not UTF-8"),
    }
}

/// Whether a number is reserved for greasing: `0x?A?A` with any digits at `?`
/// (`HS-GREASE-FORM`).
pub fn is_grease(number: u16) -> bool {
    number & 0x0f0f == 0x0a0a
}

/// A random number of the greasing form.
pub(crate) fn grease(entropy: &mut Entropy) -> u16 {
    (u16::from_le_bytes(entropy.array()) & 0xf0f0) | 0x0a0a
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_message_type_survives_its_number() {
        for byte in 0..=255 {
            if let Some(kind) = MessageType::from_wire(byte) {
                assert_eq!(kind.to_wire(), byte);
            }
        }
    }

    // HS-LIST-LIMITS
    #[test]
    fn a_list_above_its_limit_is_refused_before_its_entries_are_read() {
        let fits = List::<u8, 3>(vec![1, 2, 3]);
        assert_eq!(codec::decode::<List<u8, 3>>(&codec::encode(&fits).unwrap()), Ok(fits));
        let long = codec::encode(&List::<u8, 4>(vec![1, 2, 3, 4])).unwrap();
        assert_eq!(codec::decode::<List<u8, 3>>(&long), Err(codec::CodecError::TooLong));
        let claims_everything = [253, 255, 255, 255, 255, 255, 255, 255, 255];
        assert_eq!(
            codec::decode::<List<u8, 3>>(&claims_everything),
            Err(codec::CodecError::TooLong)
        );
    }

    // HS-ALERT
    #[test]
    fn an_alert_carries_code_and_text_and_hides_failures_of_this_side() {
        let sent = Error::peer(ErrorCode::AuthenticationFailed, "wrong");
        let error = parse_alert(&alert(&sent)).unwrap();
        assert_eq!(error.code, ErrorCode::AuthenticationFailed);
        assert_eq!(error.blame, Blame::Peer);
        assert_eq!(error.text, "the peer gave the handshake up: wrong");

        let own = Error::local(ErrorCode::StorageFailed, "/srv/owl/secret");
        let error = parse_alert(&alert(&own)).unwrap();
        assert_eq!(error.code, ErrorCode::Internal);
        assert!(!error.text.contains("owl"));
    }

    // HS-ALERT-TEXT
    #[test]
    fn the_text_of_an_alert_is_escaped_and_bounded() {
        let value = Alert { code: 7, text: List(b"\x1b[2J\xe2\x80\xaegone".to_vec()) };
        let error = parse_alert(&encode(MessageType::Alert, &value).unwrap()).unwrap();
        assert!(error.text.chars().all(|c| c.is_ascii_graphic() || c == ' '), "{}", error.text);
        let mut long = vec![0, 4, 7, 251];
        long.extend_from_slice(&513u16.to_le_bytes());
        long.resize(long.len() + 513, b'x');
        assert_eq!(parse_alert(&long).unwrap().code, ErrorCode::Malformed);
        let not_utf8 = Alert { code: 7, text: List(vec![0xff]) };
        let error = parse_alert(&encode(MessageType::Alert, &not_utf8).unwrap()).unwrap();
        assert_eq!(error.code, ErrorCode::Malformed);
    }

    // HS-GREASE-FORM
    #[test]
    fn grease_has_its_form_and_real_numbers_have_not() {
        let mut entropy = Entropy::from_seed([1; 32]);
        for _ in 0..1000 {
            assert!(is_grease(grease(&mut entropy)));
        }
        assert!(is_grease(0x0a0a) && is_grease(0xfafa));
        assert!(!is_grease(1) && !is_grease(0x0a00) && !is_grease(0xaaab));
    }

    fn decode_as_everything(message: &[u8]) -> [bool; 4] {
        [
            decode::<HelloI>(MessageType::HelloI, message).is_ok(),
            decode::<HelloR>(MessageType::HelloR, message).is_ok(),
            decode::<Confirm>(MessageType::Confirm, message).is_ok(),
            parse_alert(message).is_some(),
        ]
    }

    // HS-NO-PANIC
    #[test]
    fn random_and_mutated_bytes_never_panic_a_decoder() {
        let mut random = Entropy::from_seed([8; 32]);
        let extensions = || List(vec![WireExtension { id: 7, body: List(vec![1; 9]) }; 3]);
        let hello_i = HelloI {
            versions: List(vec![1, 0x0a0a]),
            suites: List(vec![0x1a2a, 1]),
            auth: 1,
            session_id: [2; 16],
            random: [3; 32],
            encapsulation_key: [4; ENCAPSULATION_KEY],
            extensions: extensions(),
        };
        let hello_r = HelloR {
            version: 1,
            suite: 1,
            auth: 1,
            random: [3; 32],
            ciphertext: [4; CIPHERTEXT],
            extensions: extensions(),
            confirm: [5; CONFIRM_TAG],
        };
        let error = Error::peer(ErrorCode::Malformed, "some text");
        let real = [
            encode(MessageType::HelloI, &hello_i).unwrap(),
            encode(MessageType::HelloR, &hello_r).unwrap(),
            encode(MessageType::Confirm, &Confirm { confirm: [6; CONFIRM_TAG] }).unwrap(),
            alert(&error),
        ];
        for (place, message) in real.iter().enumerate() {
            assert!(decode_as_everything(message)[place]);
        }
        let mut decoded = 0;
        for round in 0..100_000usize {
            let mut message = real[round % 4].clone();
            if round % 3 == 0 {
                message.truncate(2);
                message.resize(2 + usize::from(random.array::<1>()[0]), 0);
                random.fill(&mut message[2..]);
            }
            for _ in 0..=random.array::<1>()[0] % 4 {
                // Mostly near the ends, where lengths and numbers are.
                let wide = usize::from(u16::from_le_bytes(random.array()));
                let place = if round % 2 == 0 { wide % 16 } else { wide } % message.len();
                let place = if round % 5 == 0 { message.len() - 1 - place } else { place };
                message[place] = random.array::<1>()[0];
            }
            if round % 7 == 0 {
                message.truncate(usize::from(u16::from_le_bytes(random.array())) % message.len());
            }
            decoded += decode_as_everything(&message).iter().filter(|ok| **ok).count();
        }
        assert!(decoded > 1000, "some must get through the form, or this is too wild");
    }

    /// Spoils a valid message in one of the ways in which bytes go wrong.
    fn spoil(message: &[u8], entropy: &mut Entropy) -> Vec<u8> {
        let mut bytes = message.to_vec();
        let [a, b, way, byte] = entropy.array();
        // Most of a hello is a key, which takes any bytes: the ends matter more.
        let place = match way % 4 {
            0 => usize::from(u16::from_le_bytes([a, b])),
            1 => bytes.len().saturating_sub(1 + usize::from(a) % 48),
            _ => usize::from(a) % 64,
        } % bytes.len();
        match way / 4 % 8 {
            0 => bytes.truncate(place),
            1 => bytes.insert(place, byte),
            2 => drop(bytes.remove(place)),
            3 => bytes.extend_from_slice(&message[place..]),
            4 => bytes[place] = [250, 251, 252, 253, 254, 255][usize::from(byte) % 6],
            5 => bytes.truncate(2 + usize::from(b) % 8),
            _ => bytes[place] ^= byte | 1,
        }
        bytes
    }

    /// HS-ENCODING: no input makes a decoder panic, and what it takes is the one
    /// encoding of what it read.
    fn million<T: Encode + Decode<()> + std::fmt::Debug>(kind: MessageType, value: &T) {
        let valid = encode(kind, value).unwrap();
        assert!(decode::<T>(kind, &valid).is_ok());
        let mut entropy = Entropy::from_seed([kind.to_wire(); 32]);
        let mut taken = 0;
        for _ in 0..1_000_000 {
            let bytes = spoil(&valid, &mut entropy);
            if let Ok(read) = decode::<T>(kind, &bytes) {
                assert_eq!(encode(kind, &read).unwrap(), bytes);
                taken += 1;
            }
        }
        assert!((1000..999_000).contains(&taken), "{kind:?}: {taken} were taken");
    }

    fn extensions() -> Extensions {
        List(vec![
            WireExtension { id: 0x3a7a, body: List(vec![1; 9]) },
            WireExtension { id: 700, body: List(Vec::new()) },
        ])
    }

    #[test]
    fn a_million_spoiled_hellos_of_an_initiator_harm_nobody() {
        let value = HelloI {
            versions: List(vec![0x1a1a, 1]),
            suites: List(vec![1, 300]),
            auth: 2,
            session_id: [3; 16],
            random: [4; 32],
            encapsulation_key: [5; ENCAPSULATION_KEY],
            extensions: extensions(),
        };
        million(MessageType::HelloI, &value);
    }

    #[test]
    fn a_million_spoiled_hellos_of_a_responder_harm_nobody() {
        let value = HelloR {
            version: 1,
            suite: 1,
            auth: 2,
            random: [4; 32],
            ciphertext: [5; CIPHERTEXT],
            extensions: extensions(),
            confirm: [6; CONFIRM_TAG],
        };
        million(MessageType::HelloR, &value);
    }

    #[test]
    fn a_million_spoiled_confirms_harm_nobody() {
        million(MessageType::Confirm, &Confirm { confirm: [6; CONFIRM_TAG] });
    }

    #[test]
    fn a_million_spoiled_confirms_with_a_nonce_harm_nobody() {
        million(MessageType::Confirm, &ConfirmSas { confirm: [6; CONFIRM_TAG], nonce: [7; 32] });
    }
}
