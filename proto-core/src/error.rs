//! Errors, typed by whose fault they are.
//!
//! Every failure carries a code of the registry (`spec/registry.toml`), which is
//! what goes over the wire, and a [`Blame`], which is what an application needs
//! in order to tell its user what to do. What does not live here: the errors of
//! single codecs and crypto steps, which are turned into this type at the border
//! of their module.

use std::borrow::Cow;
use std::fmt;

/// Whose fault a failure is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Blame {
    /// The peer, or somebody between, broke the protocol. Trying again with the
    /// same peer is not expected to help.
    Peer,
    /// The peer is honest but speaks another version or lacks a feature.
    Incompatible,
    /// The caller used the API against its contract.
    Misuse,
    /// Something on this side failed: storage, memory, the local transport.
    Local,
    /// Nobody misbehaved: the network went away, or a person said no.
    Circumstance,
}

macro_rules! error_codes {
    ($($(#[$doc:meta])* $variant:ident = $value:literal, $name:literal;)*) => {
        /// A code of the registry's `error` table.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum ErrorCode {
            $($(#[$doc])* $variant,)*
            /// A code that this version does not know. It is shown, never acted upon
            /// (`OV-ERROR-UNKNOWN`).
            Unknown(u16),
        }

        impl ErrorCode {
            /// All codes that this version knows, in the registry's order.
            pub const ALL: &'static [ErrorCode] = &[$(ErrorCode::$variant,)*];

            /// The number on the wire.
            pub fn to_wire(self) -> u16 {
                match self {
                    $(ErrorCode::$variant => $value,)*
                    ErrorCode::Unknown(code) => code,
                }
            }

            /// The code for a number from the wire; never fails.
            pub fn from_wire(code: u16) -> Self {
                match code {
                    $($value => ErrorCode::$variant,)*
                    other => ErrorCode::Unknown(other),
                }
            }

            /// The registry's name, such as `NO_SPACE`.
            pub fn name(self) -> &'static str {
                match self {
                    $(ErrorCode::$variant => $name,)*
                    ErrorCode::Unknown(_) => "UNKNOWN",
                }
            }
        }
    };
}

error_codes! {
    /// The connection ends because its work is done.
    NoError = 0x00, "NO_ERROR";
    /// The sender of this code failed.
    Internal = 0x01, "INTERNAL";
    /// A message that is not allowed in this state.
    ProtocolViolation = 0x02, "PROTOCOL_VIOLATION";
    /// Bytes that do not decode, or not canonically.
    Malformed = 0x03, "MALFORMED";
    /// No protocol version in common.
    UnsupportedVersion = 0x04, "UNSUPPORTED_VERSION";
    /// No cipher suite in common.
    UnsupportedSuite = 0x05, "UNSUPPORTED_SUITE";
    /// The peer asks for another authentication mode.
    UnsupportedAuth = 0x06, "UNSUPPORTED_AUTH";
    /// Key confirmation failed.
    AuthenticationFailed = 0x07, "AUTHENTICATION_FAILED";
    /// A sealed record did not open, or came twice.
    RecordRejected = 0x08, "RECORD_REJECTED";
    /// A length, count or rate above its limit.
    LimitExceeded = 0x09, "LIMIT_EXCEEDED";
    /// More data than was granted.
    CreditExceeded = 0x0a, "CREDIT_EXCEEDED";
    /// A frame that must be understood and is not.
    UnknownCriticalFrame = 0x0b, "UNKNOWN_CRITICAL_FRAME";
    /// The handshake did not finish in time.
    HandshakeTimeout = 0x0c, "HANDSHAKE_TIMEOUT";
    /// Nothing was heard from the peer for too long.
    IdleTimeout = 0x0d, "IDLE_TIMEOUT";
    /// The transport below failed or misbehaved.
    TransportFailed = 0x0e, "TRANSPORT_FAILED";
    /// The secret by which a session is to be resumed is not known.
    ResumptionUnknown = 0x0f, "RESUMPTION_UNKNOWN";
    /// Two people found that their screens show different words.
    SasMismatch = 0x10, "SAS_MISMATCH";
    /// Somebody cancelled the transfer.
    Cancelled = 0x20, "CANCELLED";
    /// The receiver does not want the offer.
    Declined = 0x21, "DECLINED";
    /// Above the receiver's limit of size or count.
    TooLarge = 0x22, "TOO_LARGE";
    /// A name that must not be written.
    UnsafeName = 0x23, "UNSAFE_NAME";
    /// The receiver's disk is full.
    NoSpace = 0x24, "NO_SPACE";
    /// The receiver's storage failed.
    StorageFailed = 0x25, "STORAGE_FAILED";
    /// The source changed while it was being sent.
    SourceChanged = 0x26, "SOURCE_CHANGED";
    /// The source cannot be read.
    SourceUnreadable = 0x27, "SOURCE_UNREADABLE";
    /// The bytes received are not those that were offered.
    HashMismatch = 0x28, "HASH_MISMATCH";
    /// The offer was not answered in time.
    OfferExpired = 0x29, "OFFER_EXPIRED";
    /// The name is taken at the receiver.
    NameConflict = 0x2a, "NAME_CONFLICT";
    /// More transfers at once than the peer allows.
    TooManyTransfers = 0x2b, "TOO_MANY_TRANSFERS";
    /// The manifest contradicts itself or its offer.
    ManifestInvalid = 0x2c, "MANIFEST_INVALID";
    /// A rule of the receiver's refuses it: its type, or what is in it.
    PolicyRefused = 0x30, "POLICY_REFUSED";
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ErrorCode::Unknown(code) => write!(f, "UNKNOWN(0x{code:04x})"),
            known => f.write_str(known.name()),
        }
    }
}

/// A failure: what happened, as which code, through whose fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text} ({code})")]
pub struct Error {
    /// Whose fault it is.
    pub blame: Blame,
    /// The registry's code, which the peer is told.
    pub code: ErrorCode,
    /// One sentence without a full stop, safe to show: it never holds a secret,
    /// and text that came from the peer has been escaped.
    pub text: Cow<'static, str>,
    /// Whether the peer said so, rather than this side having found out. What a
    /// peer says may be false; nothing but words depends on it.
    pub from_peer: bool,
}

impl Error {
    /// A failure with the given blame and code.
    pub fn new(blame: Blame, code: ErrorCode, text: impl Into<Cow<'static, str>>) -> Self {
        Self { blame, code, text: text.into(), from_peer: false }
    }

    /// The same failure, as something that the peer said.
    #[must_use]
    pub fn told(self) -> Self {
        Self { from_peer: true, ..self }
    }

    /// The peer broke the protocol.
    pub fn peer(code: ErrorCode, text: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Blame::Peer, code, text)
    }

    /// The caller broke the API's contract.
    pub fn misuse(text: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Blame::Misuse, ErrorCode::Internal, text)
    }

    /// Something on this side failed.
    pub fn local(code: ErrorCode, text: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Blame::Local, code, text)
    }
}
