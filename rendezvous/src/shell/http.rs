//! The HTTP requests of the protocol: bodies in, the server's verdict out.

use std::time::Duration;

use axum::body::Body;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::{FromRequestParts, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::origin::client_ip;
use super::{Rendezvous, socket};
use crate::messages::{
    CreateRequest, ErrorBody, ErrorCode, Health, JoinRequest, MAX_HTTP_BODY, MeetRequest,
    PATH_CREATE, PATH_HEALTH, PATH_JOIN, PATH_MEET, PATH_SOCKET, PROTOCOL,
};
use crate::server::Refusal;

/// No route lists anything (`RV-NO-LISTING`).
pub(super) fn router(rendezvous: Rendezvous) -> Router {
    Router::new()
        .route(PATH_CREATE, post(create))
        .route(PATH_JOIN, post(join))
        .route(PATH_MEET, post(meet))
        .route(PATH_HEALTH, get(health))
        .route(PATH_SOCKET, get(open_socket))
        .with_state(rendezvous)
}

async fn create(State(rendezvous): State<Rendezvous>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let ip = client_ip(&parts, &rendezvous.config().trusted_proxies);
    let request = match read::<CreateRequest>(body, rendezvous.config().request_timeout).await {
        Ok(request) => request,
        Err(code) => return refuse(code.into()),
    };
    match rendezvous.with(|server, now| server.create(now, ip, request)) {
        Ok(created) => answer(StatusCode::CREATED, &created),
        Err(refusal) => refuse(refusal),
    }
}

async fn join(State(rendezvous): State<Rendezvous>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let ip = client_ip(&parts, &rendezvous.config().trusted_proxies);
    let request = match read::<JoinRequest>(body, rendezvous.config().request_timeout).await {
        Ok(request) => request,
        Err(code) => return refuse(code.into()),
    };
    match rendezvous.with(|server, now| server.join(now, ip, request)) {
        Ok(joined) => answer(StatusCode::OK, &joined),
        Err(refusal) => refuse(refusal),
    }
}

async fn meet(State(rendezvous): State<Rendezvous>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let ip = client_ip(&parts, &rendezvous.config().trusted_proxies);
    let request = match read::<MeetRequest>(body, rendezvous.config().request_timeout).await {
        Ok(request) => request,
        Err(code) => return refuse(code.into()),
    };
    match rendezvous.with(|server, now| server.meet(now, ip, request)) {
        Ok(met) => answer(StatusCode::OK, &met),
        Err(refusal) => refuse(refusal),
    }
}

/// RV-HEALTH
async fn health() -> Response {
    answer(StatusCode::OK, &Health { protocol: PROTOCOL.to_owned() })
}

async fn open_socket(State(rendezvous): State<Rendezvous>, request: Request) -> Response {
    let (mut parts, _) = request.into_parts();
    let ip = client_ip(&parts, &rendezvous.config().trusted_proxies);
    let Ok(upgrade) = WebSocketUpgrade::from_request_parts(&mut parts, &()).await else {
        return refuse(ErrorCode::Malformed.into());
    };
    match socket::open(&rendezvous, ip, upgrade) {
        Ok(response) => no_store(response),
        Err(refusal) => refuse(refusal),
    }
}

/// RV-BODY-SIZE, RV-BODY-TIME
async fn read<T: DeserializeOwned>(body: Body, within: Duration) -> Result<T, ErrorCode> {
    let bytes = tokio::time::timeout(within, axum::body::to_bytes(body, MAX_HTTP_BODY))
        .await
        .map_err(|_| ErrorCode::Timeout)?
        .map_err(|_| ErrorCode::TooLarge)?;
    serde_json::from_slice(&bytes).map_err(|_| ErrorCode::Malformed)
}

fn answer<T: Serialize>(status: StatusCode, body: &T) -> Response {
    no_store((status, Json(body)).into_response())
}

/// RV-NO-STORE: answers hold tokens.
fn no_store(mut response: Response) -> Response {
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// RV-ERROR-BODY, RV-RETRY
fn refuse(refusal: Refusal) -> Response {
    tracing::debug!(code = refusal.code.name(), "request refused");
    let status = StatusCode::from_u16(refusal.code.status());
    let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = answer(status, &ErrorBody::new(refusal.code));
    if refusal.code == ErrorCode::RateLimited {
        let wait = refusal.retry_after.unwrap_or_default().as_millis().div_ceil(1_000).max(1);
        if let Ok(value) = HeaderValue::from_str(&wait.to_string()) {
            response.headers_mut().insert(header::RETRY_AFTER, value);
        }
    }
    response
}
