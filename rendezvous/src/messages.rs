//! Every HTTP body and WebSocket text of the rendezvous protocol, as types, for
//! server and client alike. Blobs have no type: they are bytes that nobody here
//! looks into (`RV-BLOB-OPAQUE`). Fields that a reader does not know are
//! ignored (`RV-UNKNOWN-FIELD`); lengths are bounded by whoever reads the bytes.

use serde::{Deserialize, Serialize};

use crate::ids::{MeetingId, Nameplate, SessionId, Token};

/// Longest sealed blob in bytes; `MAX_SIGNAL_BLOB` of the registry (`RV-BLOB-SIZE`).
pub const MAX_SIGNAL_BLOB: usize = 16_384;
/// Longest WebSocket text in bytes of UTF-8, either direction (`RV-TEXT-SIZE`).
pub const MAX_TEXT: usize = 1_024;
/// Longest HTTP body in bytes, either direction (`RV-BODY-SIZE`).
pub const MAX_HTTP_BODY: usize = 4_096;

/// Path of the request that creates a session.
pub const PATH_CREATE: &str = "/v1/sessions";
/// Path of the request that joins a session.
pub const PATH_JOIN: &str = "/v1/sessions/join";
/// Path of the request by which two peers meet again.
pub const PATH_MEET: &str = "/v1/meetings";
/// Path of the WebSocket.
pub const PATH_SOCKET: &str = "/v1/socket";
/// Path of the health check.
pub const PATH_HEALTH: &str = "/v1/health";

/// Body of `POST /v1/sessions`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreateRequest {
    /// Whether the creator wants a nameplate as well.
    #[serde(default)]
    pub nameplate: bool,
}

/// Body of the answer to [`CreateRequest`], status 201.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreateResponse {
    /// The routing id, for a link.
    pub session: SessionId,
    /// The nameplate, if one was asked for.
    #[serde(default)]
    pub nameplate: Option<Nameplate>,
    /// The creator's token.
    pub token: Token,
    /// Seconds until the session expires.
    pub expires_in: u32,
}

/// Body of `POST /v1/sessions/join`: exactly one of two fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "JoinFields", into = "JoinFields")]
pub enum JoinRequest {
    /// By routing id.
    Session(SessionId),
    /// By nameplate.
    Nameplate(Nameplate),
}

/// [`JoinRequest`] as it is written.
#[derive(Serialize, Deserialize)]
struct JoinFields {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    session: Option<SessionId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    nameplate: Option<Nameplate>,
}

impl TryFrom<JoinFields> for JoinRequest {
    type Error = &'static str;

    fn try_from(fields: JoinFields) -> Result<Self, Self::Error> {
        match fields {
            JoinFields { session: Some(session), nameplate: None } => Ok(Self::Session(session)),
            JoinFields { session: None, nameplate: Some(number) } => Ok(Self::Nameplate(number)),
            // RV-JOIN-ONE
            _ => Err("exactly one of session and nameplate"),
        }
    }
}

impl From<JoinRequest> for JoinFields {
    fn from(request: JoinRequest) -> Self {
        match request {
            JoinRequest::Session(session) => Self { session: Some(session), nameplate: None },
            JoinRequest::Nameplate(number) => Self { session: None, nameplate: Some(number) },
        }
    }
}

/// Body of the answer to [`JoinRequest`], status 200.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinResponse {
    /// The routing id, also if a nameplate was given.
    pub session: SessionId,
    /// The joiner's token, to be used soon (`RV-JOIN-CLAIM`).
    pub token: Token,
    /// Seconds until the session expires.
    pub expires_in: u32,
}

/// Body of `POST /v1/meetings`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MeetRequest {
    /// Where both peers meet.
    pub meeting: MeetingId,
}

/// Who came first to a meeting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MeetRole {
    /// This peer; the session is new.
    Creator,
    /// The other peer; the session is the one it waits in.
    Joiner,
}

/// Body of the answer to [`MeetRequest`], status 200.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MeetResponse {
    /// The session's id.
    pub session: SessionId,
    /// This peer's token, to be used soon (`RV-MEETING-CLAIM`).
    pub token: Token,
    /// Who came first.
    pub role: MeetRole,
    /// Seconds until the session expires.
    pub expires_in: u32,
}

/// Body of the answer to `GET /v1/health`, status 200.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// Always `passel.v1` from a server that speaks this protocol.
    pub protocol: String,
}

/// What [`Health::protocol`] says (`RV-HEALTH`).
pub const PROTOCOL: &str = "passel.v1";

/// Body of every HTTP answer that is an error.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorBody {
    /// What went wrong.
    pub error: ErrorDetail,
}

/// Code for programs, text for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorDetail {
    /// What went wrong.
    pub code: ErrorCode,
    /// One sentence in English, without anything of the request in it.
    pub text: String,
}

macro_rules! error_codes {
    ($($(#[$doc:meta])* $variant:ident = $name:literal, $status:literal, $text:literal;)*) => {
        /// What went wrong, over HTTP and WebSocket alike.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum ErrorCode {
            $($(#[$doc])* #[serde(rename = $name)] $variant,)*
            /// A code that this version does not know (`RV-UNKNOWN-FIELD`).
            #[serde(other, rename = "unknown")]
            Unknown,
        }

        impl ErrorCode {
            /// All codes that this version knows, in the spec's order.
            pub const ALL: &'static [ErrorCode] = &[$(ErrorCode::$variant,)*];

            /// The code as it is written.
            pub fn name(self) -> &'static str {
                match self {
                    $(ErrorCode::$variant => $name,)*
                    ErrorCode::Unknown => "unknown",
                }
            }

            /// The HTTP status that goes with it.
            pub fn status(self) -> u16 {
                match self {
                    $(ErrorCode::$variant => $status,)*
                    ErrorCode::Unknown => 500,
                }
            }

            /// One sentence for people, without a full stop. It is the code's own,
            /// so nothing of a request is in it (`RV-ERROR-TEXT`).
            pub fn text(self) -> &'static str {
                match self {
                    $(ErrorCode::$variant => $text,)*
                    ErrorCode::Unknown => "the server gave an error that this version does not know",
                }
            }
        }
    };
}

error_codes! {
    /// Not the JSON, or not the message, that belongs here.
    Malformed = "malformed", 400, "the message does not follow the protocol";
    /// The token is unknown or used, or its session has ended.
    TokenRefused = "token_refused", 403, "the token is unknown or used, or its session has ended";
    /// No session of this id or nameplate.
    NotFound = "not_found", 404, "no such session: it was mistyped or has ended";
    /// The client did not send its message in time.
    Timeout = "timeout", 408, "nothing came from the client in time";
    /// Somebody has joined the session before.
    AlreadyJoined = "already_joined", 409, "somebody has joined this session already";
    /// The session's life is over.
    Expired = "expired", 410, "the session has expired";
    /// A peer has ended the session.
    Closed = "closed", 410, "the session has ended";
    /// A body, text, blob, queue or session above its limit.
    TooLarge = "too_large", 413, "more data than the server takes";
    /// Too many requests or messages from one client.
    RateLimited = "rate_limited", 429, "too many requests from this network, try again later";
    /// The server has no room for another session, socket or client.
    Full = "full", 503, "the server is full, try again later";
}

/// Why a peer ends a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CloseReason {
    /// The peers are connected and need no signaling any more.
    Done,
    /// A person changed their mind.
    Cancel,
    /// The other peer failed to prove that it knows the secret.
    Refused,
    /// A reason that this version does not know (`RV-UNKNOWN-FIELD`).
    #[serde(other)]
    Other,
}

/// Whether the other peer's socket is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PeerState {
    /// It is open, and its token was accepted.
    Joined,
    /// It is gone and cannot come back.
    Left,
}

/// WebSocket text from client to server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum ClientText {
    /// The first message: who this is.
    Hello {
        /// From the answer to the HTTP request.
        token: Token,
    },
    /// Ends the session for both.
    Close {
        /// Why; the other peer is told.
        reason: CloseReason,
    },
    /// A type that this version does not know, to be ignored (`RV-UNKNOWN-TYPE`).
    #[serde(other)]
    Unknown,
}

/// WebSocket text from server to client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum ServerText {
    /// The token was accepted.
    Ready,
    /// The other peer came or went.
    Peer {
        /// Which of the two.
        state: PeerState,
    },
    /// The other peer ended the session.
    Closed {
        /// Why.
        reason: CloseReason,
    },
    /// The server ends this socket.
    Error {
        /// What went wrong.
        code: ErrorCode,
        /// One sentence in English.
        text: String,
    },
    /// A type that this version does not know, to be ignored (`RV-UNKNOWN-TYPE`).
    #[serde(other)]
    Unknown,
}

impl ServerText {
    /// The error message for `code`.
    pub fn error(code: ErrorCode) -> Self {
        Self::Error { code, text: code.text().to_owned() }
    }
}

impl ErrorBody {
    /// The error body for `code`.
    pub fn new(code: ErrorCode) -> Self {
        Self { error: ErrorDetail { code, text: code.text().to_owned() } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0024h36h2ncsvrh6daqf6dvvqz";

    fn json<T: Serialize>(value: &T) -> String {
        serde_json::to_string(value).unwrap()
    }

    #[test]
    fn http_bodies_are_written_as_the_spec_shows() {
        // RV-CREATE, RV-JOIN, RV-MEET, RV-ERROR-BODY
        let bits = 0x0011_2233_4455_6677_8899_aabb_ccdd_eeff;
        let created = CreateResponse {
            session: SessionId::from_bits(bits),
            nameplate: Nameplate::try_from(7).ok(),
            token: Token::from_bits(bits),
            expires_in: 1_200,
        };
        assert_eq!(
            json(&created),
            format!(r#"{{"session":"{ID}","nameplate":7,"token":"{ID}","expires_in":1200}}"#)
        );
        assert_eq!(
            json(&JoinRequest::Session(SessionId::from_bits(bits))),
            format!(r#"{{"session":"{ID}"}}"#)
        );
        let met = MeetResponse {
            session: SessionId::from_bits(bits),
            token: Token::from_bits(bits),
            role: MeetRole::Joiner,
            expires_in: 1_200,
        };
        assert_eq!(
            json(&met),
            format!(r#"{{"session":"{ID}","token":"{ID}","role":"joiner","expires_in":1200}}"#)
        );
        let meeting = MeetRequest { meeting: MeetingId::from_bytes([0; 16]) };
        assert_eq!(json(&meeting), r#"{"meeting":"00000000000000000000000000"}"#);
        assert_eq!(
            json(&ErrorBody::new(ErrorCode::Closed)),
            r#"{"error":{"code":"closed","text":"the session has ended"}}"#
        );
    }

    #[test]
    fn texts_are_written_as_the_spec_shows() {
        // RV-HELLO, RV-READY, RV-PEER, RV-CLOSE
        let hello = ClientText::Hello { token: Token::from_bits(0) };
        assert_eq!(json(&hello), r#"{"type":"hello","token":"00000000000000000000000000"}"#);
        assert_eq!(json(&ServerText::Ready), r#"{"type":"ready"}"#);
        assert_eq!(
            json(&ServerText::Peer { state: PeerState::Left }),
            r#"{"type":"peer","state":"left"}"#
        );
        assert_eq!(
            json(&ServerText::Closed { reason: CloseReason::Done }),
            r#"{"type":"closed","reason":"done"}"#
        );
    }

    #[test]
    fn a_join_names_exactly_one_target() {
        // RV-JOIN-ONE
        let both = format!(r#"{{"session":"{ID}","nameplate":7}}"#);
        for body in ["{}", &both, r#"{"nameplate":0}"#, r#"{"nameplate":10000}"#] {
            assert!(serde_json::from_str::<JoinRequest>(body).is_err(), "{body}");
        }
        assert!(serde_json::from_str::<JoinRequest>(r#"{"nameplate":7}"#).is_ok());
    }

    #[test]
    fn unknown_fields_types_and_codes_are_taken() {
        // RV-UNKNOWN-FIELD, RV-UNKNOWN-TYPE
        let create = r#"{"nameplate":true,"colour":"red"}"#;
        assert!(serde_json::from_str::<CreateRequest>(create).unwrap().nameplate);
        let text = r#"{"type":"weather","of":[1,2]}"#;
        assert_eq!(serde_json::from_str::<ClientText>(text).unwrap(), ClientText::Unknown);
        assert_eq!(serde_json::from_str::<ServerText>(text).unwrap(), ServerText::Unknown);
        let close = r#"{"type":"close","reason":"bored"}"#;
        let close = serde_json::from_str::<ClientText>(close).unwrap();
        assert_eq!(close, ClientText::Close { reason: CloseReason::Other });
        let error = r#"{"code":"teapot","text":""}"#;
        let error = serde_json::from_str::<ErrorDetail>(error).unwrap();
        assert_eq!(error.code, ErrorCode::Unknown);
    }

    #[test]
    fn every_code_is_written_under_its_name() {
        for &code in ErrorCode::ALL {
            assert_eq!(json(&code), format!("{:?}", code.name()));
        }
    }
}
