//! A peer's WebSocket to the server: hello, blobs, events, close.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use passel_rendezvous::ids::Token;
use passel_rendezvous::messages::{
    ClientText, CloseReason, ErrorCode, MAX_SIGNAL_BLOB, MAX_TEXT, PATH_SOCKET, PeerState,
    ServerText,
};
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error as WsError, Message};
use url::Url;

use super::connect::{Io, Place, connect};
use super::error::{SignalError, shown};
use super::http::refusal;
use crate::machine::Machine;

/// Silence after which the connection counts as lost; the server pings more
/// often (`RV-CLIENT-ALIVE`).
const SILENCE: Duration = Duration::from_secs(90);
/// Time for one message to leave, and for the server to answer a close.
const SEND_TIMEOUT: Duration = Duration::from_secs(15);
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// What comes from the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// A blob of the other peer's, 1 to [`MAX_SIGNAL_BLOB`] bytes. Nothing is
    /// known of it before it is opened.
    Blob(Vec<u8>),
    /// The other peer's socket is open.
    PeerJoined,
    /// The other peer's socket is lost, for good.
    PeerLeft,
    /// The other peer has ended the session; the socket ends.
    Closed(CloseReason),
    /// The server ends the socket.
    Error {
        /// What went wrong.
        code: ErrorCode,
        /// The server's words: not trusted, to be escaped before they are shown.
        text: String,
    },
}

/// An open socket, whose token the server has accepted. Dropped without
/// [`Socket::close`], it tells the other peer only that this one left.
pub(crate) struct Socket {
    stream: WebSocketStream<Box<dyn Io>>,
}

impl Socket {
    /// Opens a socket with a token from [`super::create`] or [`super::join`].
    pub(crate) async fn connect(
        machine: &impl Machine,
        server: &Url,
        token: Token,
    ) -> Result<Self, SignalError> {
        let place = Place::of(server)?;
        // The scheme is for the library alone; whether there is TLS is decided below it.
        let request = format!("ws://{}{}{PATH_SOCKET}", place.authority, place.base)
            .into_client_request()
            .map_err(|_| SignalError::BadUrl)?;
        // RV-CLIENT-BOUND
        let config = WebSocketConfig::default()
            .max_message_size(Some(MAX_SIGNAL_BLOB))
            .max_frame_size(Some(MAX_SIGNAL_BLOB));
        let stream = connect(machine, server, &place).await?;
        let open = async {
            let opened =
                tokio_tungstenite::client_async_with_config(request, stream, Some(config)).await;
            let (stream, _) = opened.map_err(|error| ws_error(&error))?;
            let mut socket = Self { stream };
            // RV-HELLO, RV-TOKEN-PLACE
            socket.send_text(&ClientText::Hello { token }).await?;
            match socket.next_message().await? {
                Incoming::Ready => Ok(socket),
                Incoming::Event(Event::Error { code, .. }) => Err(SignalError::of_code(code, None)),
                Incoming::Event(_) => Err(SignalError::ServerMisbehaved {
                    what: "it sends other messages before it is ready",
                }),
            }
        };
        timeout(super::ANSWER_TIMEOUT, open)
            .await
            .map_err(|_| SignalError::TimedOut { url: shown(server) })?
    }

    /// Sends a sealed blob of 1 to [`MAX_SIGNAL_BLOB`] bytes to the other peer,
    /// now or once it comes.
    pub(crate) async fn send_blob(&mut self, blob: Vec<u8>) -> Result<(), SignalError> {
        // RV-BLOB-SIZE
        if blob.is_empty() || blob.len() > MAX_SIGNAL_BLOB {
            return Err(SignalError::TooLarge);
        }
        self.send(Message::Binary(blob.into())).await
    }

    /// The next event. May be cancelled and called again without loss. After
    /// [`Event::Closed`] and [`Event::Error`] comes [`SignalError::Lost`].
    pub(crate) async fn recv(&mut self) -> Result<Event, SignalError> {
        match self.next_message().await? {
            Incoming::Event(event) => Ok(event),
            Incoming::Ready => Err(SignalError::ServerMisbehaved { what: "it is ready twice" }),
        }
    }

    /// Ends the session; the other peer is told why. Waits a little for the
    /// server to take note, and does not fail: whoever closes needs no answer.
    pub(crate) async fn close(mut self, reason: CloseReason) {
        if self.send_text(&ClientText::Close { reason }).await.is_ok() {
            let ended = async { while let Some(Ok(_)) = self.stream.next().await {} };
            let _ = timeout(CLOSE_TIMEOUT, ended).await;
        }
    }

    async fn send_text(&mut self, text: &ClientText) -> Result<(), SignalError> {
        let text = serde_json::to_string(text).map_err(|_| SignalError::TooLarge)?;
        self.send(Message::Text(text.into())).await
    }

    async fn send(&mut self, message: Message) -> Result<(), SignalError> {
        match timeout(SEND_TIMEOUT, self.stream.send(message)).await {
            Ok(sent) => sent.map_err(|error| ws_error(&error)),
            Err(_) => Err(SignalError::Lost),
        }
    }

    async fn next_message(&mut self) -> Result<Incoming, SignalError> {
        loop {
            // RV-CLIENT-ALIVE: pings count as well, as each ends one turn.
            let message = timeout(SILENCE, self.stream.next()).await;
            match message.map_err(|_| SignalError::Lost)?.ok_or(SignalError::Lost)? {
                Ok(Message::Binary(blob)) if !blob.is_empty() => {
                    return Ok(Incoming::Event(Event::Blob(blob.to_vec())));
                }
                Ok(Message::Binary(_)) => {
                    return Err(SignalError::ServerMisbehaved { what: "it sends an empty blob" });
                }
                Ok(Message::Text(text)) => {
                    if let Some(incoming) = parse(&text)? {
                        return Ok(incoming);
                    }
                }
                Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_)) => {}
                Ok(Message::Close(_)) => return Err(SignalError::Lost),
                Err(error) => return Err(ws_error(&error)),
            }
        }
    }
}

/// A message that matters.
#[derive(Debug, PartialEq, Eq)]
enum Incoming {
    Ready,
    Event(Event),
}

/// What a text means; nothing for one whose type is unknown (`RV-UNKNOWN-TYPE`).
fn parse(text: &str) -> Result<Option<Incoming>, SignalError> {
    if text.len() > MAX_TEXT {
        return Err(SignalError::ServerMisbehaved { what: "it sends too long a text" });
    }
    let text = serde_json::from_str::<ServerText>(text).map_err(|_| {
        SignalError::ServerMisbehaved { what: "it sends a text that does not parse" }
    })?;
    Ok(match text {
        ServerText::Ready => Some(Incoming::Ready),
        ServerText::Peer { state: PeerState::Joined } => Some(Incoming::Event(Event::PeerJoined)),
        ServerText::Peer { state: PeerState::Left } => Some(Incoming::Event(Event::PeerLeft)),
        ServerText::Closed { reason } => Some(Incoming::Event(Event::Closed(reason))),
        ServerText::Error { code, text } => Some(Incoming::Event(Event::Error { code, text })),
        ServerText::Unknown => None,
    })
}

fn ws_error(error: &WsError) -> SignalError {
    match error {
        WsError::Http(response) => {
            let body = response.body().as_deref().unwrap_or_default();
            refusal(response.status(), response.headers(), body)
        }
        WsError::Capacity(_) => {
            SignalError::ServerMisbehaved { what: "it sends more than the protocol allows" }
        }
        WsError::Utf8(_) => {
            SignalError::ServerMisbehaved { what: "it sends a text that is not UTF-8" }
        }
        _ => SignalError::Lost,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_the_server_are_bounded_and_parsed() {
        // RV-CLIENT-BOUND, RV-UNKNOWN-TYPE
        let long = format!(r#"{{"type":"weather","of":"{}"}}"#, "x".repeat(MAX_TEXT));
        for bad in ["", "{}", "[]", r#"{"type":"peer"}"#, &long] {
            let parsed = parse(bad);
            assert!(matches!(parsed, Err(SignalError::ServerMisbehaved { .. })), "{bad}");
        }
        assert_eq!(parse(r#"{"type":"weather"}"#), Ok(None));
        assert_eq!(parse(r#"{"type":"ready"}"#), Ok(Some(Incoming::Ready)));
    }
}
