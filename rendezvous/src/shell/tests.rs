//! The shell over loopback, with plain HTTP and a WebSocket client of its own.

use std::net::SocketAddr;

use axum::routing::get;
use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio_tungstenite::tungstenite::Message as WsMessage;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use super::*;
use crate::ids::Token;
use crate::messages::{
    ClientText, CloseReason, CreateRequest, CreateResponse, ErrorBody, ErrorCode, JoinRequest,
    JoinResponse, MAX_HTTP_BODY, MAX_SIGNAL_BLOB, MeetResponse, MeetRole, PATH_CREATE, PATH_HEALTH,
    PATH_JOIN, PATH_MEET, PATH_SOCKET, PeerState, ServerText,
};

type Ws = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// A server on a port of its own; ends when it is dropped.
struct Site {
    address: SocketAddr,
    _stop: oneshot::Sender<()>,
}

async fn site(config: ShellConfig) -> Site {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    tokio::spawn(serve(listener, config, async {
        let _ = stopped.await;
    }));
    Site { address, _stop: stop }
}

impl Site {
    /// Sends raw bytes and reads until the server closes.
    async fn raw(&self, bytes: &[u8]) -> String {
        let stream = TcpStream::connect(self.address).await.unwrap();
        exchange(stream, bytes).await
    }

    async fn post(&self, path: &str, body: &str) -> (u16, String, String) {
        let request = format!(
            "POST {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        let answer = self.raw(request.as_bytes()).await;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head[9..12].parse().unwrap(), head.to_owned(), body.to_owned())
    }

    async fn create(&self) -> CreateResponse {
        let (status, _, body) = self.post(PATH_CREATE, r#"{"nameplate":true}"#).await;
        assert_eq!(status, 201);
        serde_json::from_str(&body).unwrap()
    }

    async fn join(&self, request: JoinRequest) -> JoinResponse {
        let request = serde_json::to_string(&request).unwrap();
        let (status, _, body) = self.post(PATH_JOIN, &request).await;
        assert_eq!(status, 200);
        serde_json::from_str(&body).unwrap()
    }

    async fn socket(&self, token: Token) -> Ws {
        let url = format!("ws://{}{PATH_SOCKET}", self.address);
        let (mut ws, _) = tokio_tungstenite::connect_async(url).await.unwrap();
        let hello = serde_json::to_string(&ClientText::Hello { token }).unwrap();
        ws.send(WsMessage::Text(hello.into())).await.unwrap();
        ws
    }

    /// Two sockets of one session, both past their greetings.
    async fn pair(&self) -> (Ws, Ws) {
        let created = self.create().await;
        let joined = self.join(JoinRequest::Session(created.session)).await;
        let mut a = self.socket(created.token).await;
        assert_eq!(text(&mut a).await, Some(ServerText::Ready));
        let mut b = self.socket(joined.token).await;
        assert_eq!(text(&mut b).await, Some(ServerText::Ready));
        let here = Some(ServerText::Peer { state: PeerState::Joined });
        assert_eq!(text(&mut a).await, here);
        assert_eq!(text(&mut b).await, here);
        (a, b)
    }
}

/// Sends bytes on a connection and reads until the server closes it.
async fn exchange(mut stream: TcpStream, bytes: &[u8]) -> String {
    stream.write_all(bytes).await.unwrap();
    let mut answer = Vec::new();
    let reading = stream.read_to_end(&mut answer);
    let _ = tokio::time::timeout(Duration::from_secs(5), reading).await.expect("a close");
    String::from_utf8(answer).unwrap()
}

/// The next message that is no ping; nothing at the end.
async fn message(ws: &mut Ws) -> Option<WsMessage> {
    loop {
        let next = tokio::time::timeout(Duration::from_secs(5), ws.next()).await;
        match next.expect("a message")? {
            Ok(WsMessage::Ping(_)) => {}
            Ok(WsMessage::Close(_)) | Err(_) => return None,
            Ok(message) => return Some(message),
        }
    }
}

async fn text(ws: &mut Ws) -> Option<ServerText> {
    let message = message(ws).await?;
    Some(serde_json::from_str(message.to_text().unwrap()).unwrap())
}

#[tokio::test]
async fn requests_are_answered_as_the_spec_says() {
    // RV-CREATE, RV-JOIN, RV-HEALTH, RV-NO-STORE
    let site = site(ShellConfig::default()).await;
    let (status, head, body) = site.post(PATH_CREATE, r#"{"nameplate":true}"#).await;
    assert_eq!(status, 201);
    assert!(head.contains("cache-control: no-store"), "{head}");
    let created: CreateResponse = serde_json::from_str(&body).unwrap();
    let joined = site.join(JoinRequest::Nameplate(created.nameplate.unwrap())).await;
    assert_eq!(joined.session, created.session);
    assert_ne!(joined.token, created.token);
    let health = format!("GET {PATH_HEALTH} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
    assert!(site.raw(health.as_bytes()).await.ends_with(r#"{"protocol":"passel.v1"}"#));
}

#[tokio::test]
async fn two_peers_meet_by_the_same_request() {
    // RV-MEET, RV-MEETING-CLAIM, RV-NO-STORE
    let mut config = ShellConfig::default();
    config.server.claim_timeout = Duration::from_secs(1);
    let site = site(config).await;
    let mut tokens = Vec::new();
    for role in [MeetRole::Creator, MeetRole::Joiner] {
        let body = r#"{"meeting":"0024h36h2ncsvrh6daqf6dvvqz"}"#;
        let (status, head, body) = site.post(PATH_MEET, body).await;
        assert!(status == 200 && head.contains("cache-control: no-store"), "{head}");
        let met: MeetResponse = serde_json::from_str(&body).unwrap();
        assert_eq!(met.role, role);
        tokens.push(met.token);
    }
    let mut first = site.socket(tokens[0]).await;
    assert_eq!(text(&mut first).await, Some(ServerText::Ready));
    // The second never comes, and no other input wakes the server.
    let left = Some(ServerText::Peer { state: PeerState::Left });
    assert_eq!(text(&mut first).await, left);
    assert_eq!(site.post(PATH_MEET, r#"{"meeting":"0"}"#).await.0, 400);
}

#[tokio::test]
async fn refusals_have_status_code_and_nothing_of_the_request() {
    // RV-ERROR-BODY, RV-ERROR-TEXT, RV-BODY-SIZE, RV-RETRY, RV-NOT-FOUND
    let site = site(ShellConfig::default()).await;
    let unknown = r#"{"session":"0024h36h2ncsvrh6daqf6dvvqz"}"#;
    let marked = r#"{"session":"<script>"}"#;
    let long = " ".repeat(MAX_HTTP_BODY + 1);
    let cases = [
        (PATH_CREATE, "", ErrorCode::Malformed),
        (PATH_CREATE, long.as_str(), ErrorCode::TooLarge),
        (PATH_JOIN, marked, ErrorCode::Malformed),
        (PATH_JOIN, unknown, ErrorCode::NotFound),
        (PATH_JOIN, unknown, ErrorCode::NotFound),
        (PATH_JOIN, unknown, ErrorCode::NotFound),
        (PATH_JOIN, unknown, ErrorCode::NotFound),
        (PATH_JOIN, unknown, ErrorCode::NotFound),
        (PATH_JOIN, unknown, ErrorCode::RateLimited),
    ];
    for (path, request, code) in cases {
        let (status, head, body) = site.post(path, request).await;
        assert_eq!(status, code.status());
        assert_eq!(serde_json::from_str::<ErrorBody>(&body).unwrap(), ErrorBody::new(code));
        assert_eq!(head.contains("\r\nretry-after: 6"), code == ErrorCode::RateLimited, "{head}");
        assert!(!body.contains("script") && !body.contains("0024h"));
    }
}

#[tokio::test]
async fn two_sockets_exchange_blobs_and_close() {
    // RV-HELLO, RV-READY, RV-PEER, RV-BLOB-OPAQUE, RV-BLOB-ORDER, RV-CLOSE
    let site = site(ShellConfig::default()).await;
    let (mut a, mut b) = site.pair().await;
    for n in 0..20_u8 {
        a.send(WsMessage::Binary(vec![n; 1 + 800 * usize::from(n)].into())).await.unwrap();
    }
    for n in 0..20_u8 {
        let blob = message(&mut b).await.unwrap().into_data();
        assert_eq!(blob, vec![n; 1 + 800 * usize::from(n)]);
    }
    let close = serde_json::to_string(&ClientText::Close { reason: CloseReason::Done }).unwrap();
    b.send(WsMessage::Text(close.into())).await.unwrap();
    assert_eq!(text(&mut a).await, Some(ServerText::Closed { reason: CloseReason::Done }));
    assert_eq!(message(&mut a).await, None);
    assert_eq!(message(&mut b).await, None);
}

#[tokio::test]
async fn a_lost_connection_is_told_to_the_peer() {
    // RV-LEFT
    let site = site(ShellConfig::default()).await;
    let (a, mut b) = site.pair().await;
    drop(a);
    assert_eq!(text(&mut b).await, Some(ServerText::Peer { state: PeerState::Left }));
}

#[tokio::test]
async fn too_long_messages_end_the_socket() {
    // RV-BLOB-SIZE, RV-TEXT-SIZE
    let site = site(ShellConfig::default()).await;
    for (len, is_told) in [(MAX_SIGNAL_BLOB + 1, true), (4 * MAX_SIGNAL_BLOB, false)] {
        for as_text in [false, true] {
            let (mut a, mut b) = site.pair().await;
            let long = "x".repeat(len);
            let long =
                if as_text { WsMessage::Text(long.into()) } else { WsMessage::Binary(long.into()) };
            let _ = a.send(long).await;
            if is_told {
                let too_large = ServerText::error(ErrorCode::TooLarge);
                assert_eq!(text(&mut a).await, Some(too_large));
            }
            assert_eq!(message(&mut a).await, None);
            let left = Some(ServerText::Peer { state: PeerState::Left });
            assert_eq!(text(&mut b).await, left);
        }
    }
}

#[tokio::test]
async fn a_request_that_does_not_arrive_is_given_up() {
    // RV-BODY-TIME
    let request_timeout = Duration::from_millis(100);
    let site = site(ShellConfig { request_timeout, ..ShellConfig::default() }).await;
    assert_eq!(site.raw(b"POST /v1/sess").await, "");
    assert_eq!(site.raw(b"").await, "");
    let half = format!("POST {PATH_CREATE} HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\n{{");
    assert!(site.raw(half.as_bytes()).await.starts_with("HTTP/1.1 408 "));
}

/// Only on Linux does every address of 127.0.0.0/8 belong to the host.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn one_client_cannot_hold_the_connections_of_all() {
    // RV-CONNECTIONS
    let config =
        ShellConfig { max_connections: 4, max_connections_per_client: 2, ..ShellConfig::default() };
    let site = site(config).await;
    let connect_from = async |last: u8| {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::from(([127, 0, 0, last], 0))).unwrap();
        socket.connect(site.address).await.unwrap()
    };
    let mut idle = Vec::new();
    for _ in 0..6 {
        idle.push(connect_from(1).await);
    }
    let health = format!("GET {PATH_HEALTH} HTTP/1.1\r\nhost: a\r\n\r\n");
    let answer = exchange(connect_from(2).await, health.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    // Four of the six were closed, and the two that have room are served.
    for mut closed in idle.split_off(2) {
        let reading = closed.read_u8();
        let end = tokio::time::timeout(Duration::from_secs(5), reading).await.expect("a close");
        assert!(end.is_err(), "nothing is said");
    }
    for stream in idle {
        let answer = exchange(stream, health.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    }
}

#[tokio::test]
async fn a_connection_ends_with_its_first_answer_unless_it_becomes_a_socket() {
    // RV-CONNECTIONS
    let site = site(ShellConfig::default()).await;
    for (path, status) in [(PATH_HEALTH, 200), (PATH_SOCKET, 400), ("/", 404)] {
        // It would wait for a second request twice as long as this waits for the close.
        let request = format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n");
        let answer = site.raw(request.as_bytes()).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
        assert!(answer.contains("\r\nconnection: close\r\n"), "{answer}");
    }
    let url = format!("ws://{}{PATH_SOCKET}", site.address);
    let (_, answer) = tokio_tungstenite::connect_async(url).await.unwrap();
    let said: Vec<_> = answer.headers().get_all("connection").iter().collect();
    assert_eq!(said, ["upgrade"]);
}

#[test]
fn the_defaults_are_the_specs() {
    // RV-LIMITS
    let spec = include_str!("../../../spec/09-rendezvous.md");
    let defaults = ShellConfig::default();
    for (name, value) in [
        ("time for a request", format!("{} s", defaults.request_timeout.as_secs())),
        ("connections", defaults.max_connections.to_string()),
        ("connections of one client", defaults.max_connections_per_client.to_string()),
        ("messages waiting on one open socket", SOCKET_BACKLOG.to_string()),
    ] {
        let row = format!("| {name} | {value} |");
        assert!(spec.contains(&row), "the spec lacks the row {row}");
    }
}

#[tokio::test]
async fn a_client_that_answers_no_ping_is_lost() {
    // RV-PING
    let (ping_interval, silence) = (Duration::from_millis(50), Duration::from_millis(300));
    let site = site(ShellConfig { ping_interval, silence, ..ShellConfig::default() }).await;
    let (mut a, mut b) = site.pair().await;
    let told = async {
        let told = text(&mut b).await;
        assert_eq!(told, Some(ServerText::Peer { state: PeerState::Left }));
    };
    let began = tokio::time::Instant::now();
    told.await;
    assert!(began.elapsed() >= Duration::from_millis(200));
    let ping = a.next().await.unwrap().unwrap();
    assert!(ping.is_ping(), "a ping was there to be answered: {ping:?}");
}

#[tokio::test]
async fn a_socket_that_takes_nothing_is_given_up() {
    // RV-SLOW
    let rendezvous = Rendezvous::start(ShellConfig::default()).unwrap();
    let ip = IpAddr::from([192, 0, 2, 1]);
    let request = CreateRequest::default();
    let created = rendezvous.with(|server, now| server.create(now, ip, request)).unwrap();
    let target = JoinRequest::Session(created.session);
    let joined = rendezvous.with(|server, now| server.join(now, ip, target)).unwrap();
    let (sender, mut receiver) = (rendezvous.connect(ip).unwrap(), rendezvous.connect(ip).unwrap());
    let (sender, mut told) = sender;
    for (conn, token) in [(sender, created.token), (receiver.0, joined.token)] {
        let hello = serde_json::to_string(&ClientText::Hello { token }).unwrap();
        rendezvous.with(|server, now| server.handle_text(now, conn, &hello));
    }
    for _ in 0..SOCKET_BACKLOG {
        rendezvous.with(|server, now| server.handle_blob(now, sender, vec![0]));
    }
    let mut last = None;
    while let Ok(action) = told.try_recv() {
        last = Some(action);
    }
    assert_eq!(last, Some(Action::SendText(ServerText::Peer { state: PeerState::Left })));
    let mut waiting = 0;
    while receiver.1.recv().await.is_some() {
        waiting += 1;
    }
    assert_eq!(waiting, SOCKET_BACKLOG, "the rest was dropped, and the channel is closed");
}

#[tokio::test]
async fn the_hello_timer_runs_without_any_other_input() {
    // RV-HELLO-TIME
    let mut config = ShellConfig::default();
    config.server.hello_timeout = Duration::from_secs(1);
    let site = site(config).await;
    let url = format!("ws://{}{PATH_SOCKET}", site.address);
    let (mut ws, _) = tokio_tungstenite::connect_async(url).await.unwrap();
    assert_eq!(text(&mut ws).await, Some(ServerText::error(ErrorCode::Timeout)));
    assert_eq!(message(&mut ws).await, None);
}

#[tokio::test]
async fn the_routes_can_be_merged_with_others() {
    let config = ShellConfig::default();
    let rendezvous = Rendezvous::start(config.clone()).unwrap();
    let page = Router::new().route("/", get(|| async { "a page" }));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let merged = router(&rendezvous).merge(page);
    let serving = tokio::spawn(async move {
        let stopped = async {
            let _ = stopped.await;
        };
        serve_router(listener, merged, &config, stopped).await;
    });
    let site = Site { address, _stop: stop };
    let answer = site.raw(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await;
    assert!(answer.ends_with("a page"));
    site.create().await;
    let request = format!("GET {PATH_SOCKET} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
    assert!(site.raw(request.as_bytes()).await.starts_with("HTTP/1.1 400 "));
    drop(site);
    serving.await.unwrap();
}

#[tokio::test]
async fn nothing_lists_sessions() {
    // RV-NO-LISTING
    let site = site(ShellConfig::default()).await;
    let id = site.create().await.session.to_string();
    for path in [PATH_CREATE, PATH_JOIN, "/v1", "/v1/", "/v1/sessions/", "/v1/nameplates", "/"] {
        let request = format!("GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
        let answer = site.raw(request.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 40") && !answer.contains(&id), "{answer}");
    }
}

/// Keeps every event of every level as text.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl tracing::field::Visit for Log {
    fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
        self.0.lock().unwrap().push(format!("{field}={value:?}"));
    }
}

impl tracing::Subscriber for Log {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        metadata.target().starts_with("passel")
    }
    fn new_span(&self, span: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        span.record(&mut self.clone());
        tracing::span::Id::from_u64(1)
    }
    fn record(&self, _: &tracing::span::Id, values: &tracing::span::Record<'_>) {
        values.record(&mut self.clone());
    }
    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
    fn event(&self, event: &tracing::Event<'_>) {
        event.record(&mut self.clone());
    }
    fn enter(&self, _: &tracing::span::Id) {}
    fn exit(&self, _: &tracing::span::Id) {}
}

#[tokio::test]
async fn no_id_token_or_address_comes_into_the_log() {
    // RV-LOG: at any level, which is more than the spec asks for.
    let log = Log::default();
    let _guard = tracing::subscriber::set_default(log.clone());
    let site = site(ShellConfig::default()).await;
    let created = site.create().await;
    let mut creator = site.socket(created.token).await;
    assert_eq!(text(&mut creator).await, Some(ServerText::Ready));
    let mut again = site.socket(created.token).await;
    assert_eq!(text(&mut again).await, Some(ServerText::error(ErrorCode::TokenRefused)));
    site.post(PATH_JOIN, &format!(r#"{{"session":"{}","nameplate":1}}"#, created.session)).await;
    let lines = log.0.lock().unwrap().join("\n");
    assert!(lines.contains("request refused"), "the log works: {lines}");
    let (id, token) = (created.session.to_string(), String::from(created.token));
    for private in [id.as_str(), token.as_str(), "127.0.0.1"] {
        assert!(!lines.contains(private), "{lines}");
    }
}
