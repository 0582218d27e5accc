//! What can go wrong between this client and a rendezvous server, so that the
//! command can give each its sentence and exit code. No variant holds an id, a
//! token or a secret.

use std::time::Duration;

use passel_rendezvous::messages::ErrorCode;
use url::Url;

/// A failure of the signaling. The text is one sentence without a full stop.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SignalError {
    /// Not a URL that a server can have.
    #[error(
        "a server's address begins with http:// or https:// and has no user, query or fragment"
    )]
    BadUrl,
    /// No connection, by whatever cause of the network.
    #[error("the server {url} cannot be reached")]
    Unreachable {
        /// Scheme, host and port of the server.
        url: String,
    },
    /// The server's certificate was not accepted, or TLS failed otherwise.
    #[error("the server {url} did not prove who it is")]
    Untrusted {
        /// Scheme, host and port of the server.
        url: String,
    },
    /// The server took too long.
    #[error("the server {url} does not answer")]
    TimedOut {
        /// Scheme, host and port of the server.
        url: String,
    },
    /// No session of this id or nameplate.
    #[error("no such code or link: it was mistyped or has expired")]
    NotFound,
    /// Somebody has joined the session before.
    #[error("somebody has used this code or link already")]
    AlreadyJoined,
    /// The session's life is over.
    #[error("the code or link has expired")]
    Expired,
    /// A peer has ended the session.
    #[error("the other side has ended the session")]
    Closed,
    /// Too many requests from this network.
    #[error("the server asks to wait {} s before trying again", retry_after.as_secs())]
    RateLimited {
        /// How long to wait.
        retry_after: Duration,
    },
    /// The server has no room.
    #[error("the server is full, try again later")]
    Full,
    /// The connection to the server was lost.
    #[error("the connection to the server was lost")]
    Lost,
    /// This side tried to send what the protocol does not allow.
    #[error("a message is longer than the protocol allows")]
    TooLarge,
    /// The server does not speak this protocol, or breaks it.
    #[error("the server does not follow the protocol: {what}")]
    ServerMisbehaved {
        /// What it did.
        what: &'static str,
    },
}

/// Wait that is assumed when a server names none.
const DEFAULT_WAIT: Duration = Duration::from_secs(30);
/// Longest wait that a server is believed.
const MAX_WAIT: Duration = Duration::from_secs(3_600);

impl SignalError {
    /// The failure for a code of the server's.
    pub(crate) fn of_code(code: ErrorCode, retry_after: Option<Duration>) -> Self {
        match code {
            ErrorCode::NotFound => Self::NotFound,
            ErrorCode::AlreadyJoined => Self::AlreadyJoined,
            ErrorCode::Expired => Self::Expired,
            ErrorCode::Closed | ErrorCode::TokenRefused => Self::Closed,
            ErrorCode::RateLimited => {
                Self::RateLimited { retry_after: retry_after.unwrap_or(DEFAULT_WAIT).min(MAX_WAIT) }
            }
            ErrorCode::Full => Self::Full,
            ErrorCode::TooLarge => Self::TooLarge,
            ErrorCode::Timeout => Self::Lost,
            ErrorCode::Malformed => {
                Self::ServerMisbehaved { what: "it does not understand this client" }
            }
            ErrorCode::Unknown => Self::ServerMisbehaved { what: "it gave an unknown error" },
        }
    }
}

/// Scheme, host and port: what may be shown of a server's address.
pub(super) fn shown(server: &Url) -> String {
    server.origin().ascii_serialization()
}
