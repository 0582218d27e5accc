//! The two requests of the protocol, over one connection each. No redirect is
//! followed and nothing is sent but the body and the headers it needs.

use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::{CONTENT_TYPE, HOST, HeaderMap, RETRY_AFTER};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use passel_rendezvous::messages::{ErrorBody, ErrorCode, MAX_HTTP_BODY};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::task::JoinSet;
use url::Url;

use super::connect::{Place, connect};
use super::error::{SignalError, shown};
use crate::machine::Machine;

const NOT_THE_PROTOCOL: SignalError =
    SignalError::ServerMisbehaved { what: "its answer is none of a passel server's" };

/// Posts `body` as JSON and reads the answer.
pub(super) async fn post<B: Serialize, A: DeserializeOwned>(
    machine: &impl Machine,
    server: &Url,
    path: &str,
    body: &B,
) -> Result<A, SignalError> {
    let place = Place::of(server)?;
    let body = serde_json::to_vec(body).map_err(|_| SignalError::TooLarge)?;
    let request = Request::post(format!("{}{path}", place.base))
        .header(HOST, place.authority.as_str())
        .header(CONTENT_TYPE, "application/json")
        .body(Full::new(Bytes::from(body)))
        .map_err(|_| SignalError::BadUrl)?;
    let stream = connect(machine, server, &place).await?;
    let exchange = async {
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|_| SignalError::Lost)?;
        // Ends with this function, whatever the server does.
        let mut tasks = JoinSet::new();
        tasks.spawn(connection);
        let answer = sender.send_request(request).await.map_err(|_| SignalError::Lost)?;
        let (parts, body) = answer.into_parts();
        // RV-BODY-SIZE, RV-CLIENT-BOUND
        let body = Limited::new(body, MAX_HTTP_BODY).collect().await;
        let body = body.map_err(|_| NOT_THE_PROTOCOL)?.to_bytes();
        // RV-CLIENT-REDIRECT: whatever is no success is an error.
        if parts.status.is_success() {
            serde_json::from_slice(&body).map_err(|_| NOT_THE_PROTOCOL)
        } else {
            Err(refusal(parts.status, &parts.headers, &body))
        }
    };
    tokio::time::timeout(super::ANSWER_TIMEOUT, exchange)
        .await
        .map_err(|_| SignalError::TimedOut { url: shown(server) })?
}

/// The failure that an answer stands for. A proxy before the server may have
/// made it, so a missing body still counts for what the status alone can say.
pub(super) fn refusal(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> SignalError {
    let wait = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    let wait = wait.map(Duration::from_secs);
    match (serde_json::from_slice::<ErrorBody>(body), status) {
        (Ok(body), _) => SignalError::of_code(body.error.code, wait),
        (Err(_), StatusCode::TOO_MANY_REQUESTS) => {
            SignalError::of_code(ErrorCode::RateLimited, wait)
        }
        (Err(_), StatusCode::SERVICE_UNAVAILABLE) => SignalError::Full,
        (Err(_), _) => NOT_THE_PROTOCOL,
    }
}
