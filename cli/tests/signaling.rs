//! The client's signaling against the real server over loopback, against
//! servers that misbehave, and with a tap between the two that shows all that a
//! server ever gets to see.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests may fail the test")]

/// Where the signaling looks for it.
mod machine {
    pub(crate) use passel::machine::Machine;
}
#[path = "../src/signaling/mod.rs"]
mod signaling;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use passel::machine::Real;
use passel_rendezvous::ids::{MeetingId, SessionId, Token};
use passel_rendezvous::messages::{CloseReason, ErrorCode, JoinRequest, MAX_SIGNAL_BLOB};
use passel_rendezvous::shell::{ShellConfig, serve};
use signaling::{Event, SignalError, Socket, create, join, meet};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::Message;
use url::Url;

async fn listen() -> (TcpListener, Url) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
    (listener, url)
}

/// A server that lives as long as the test.
async fn server() -> Url {
    let (listener, url) = listen().await;
    tokio::spawn(serve(listener, ShellConfig::default(), std::future::pending()));
    url
}

async fn pair(url: &Url) -> (Socket, Socket) {
    let created = create(&Real, url, false).await.unwrap();
    let joined = join(&Real, url, JoinRequest::Session(created.session)).await.unwrap();
    let mut a = Socket::connect(&Real, url, created.token).await.unwrap();
    let mut b = Socket::connect(&Real, url, joined.token).await.unwrap();
    assert_eq!(a.recv().await, Ok(Event::PeerJoined));
    assert_eq!(b.recv().await, Ok(Event::PeerJoined));
    (a, b)
}

#[tokio::test]
async fn two_clients_meet_by_nameplate_and_exchange_blobs() {
    // RV-CREATE, RV-JOIN, RV-QUEUE, RV-BLOB-ORDER, RV-CLOSE
    let url = server().await;
    let created = create(&Real, &url, true).await.unwrap();
    assert_eq!(created.expires_in, 1_200);
    let mut a = Socket::connect(&Real, &url, created.token).await.unwrap();
    a.send_blob(b"early".to_vec()).await.unwrap();
    let joined =
        join(&Real, &url, JoinRequest::Nameplate(created.nameplate.unwrap())).await.unwrap();
    assert_eq!(joined.session, created.session);
    let mut b = Socket::connect(&Real, &url, joined.token).await.unwrap();
    assert_eq!(b.recv().await, Ok(Event::PeerJoined));
    assert_eq!(b.recv().await, Ok(Event::Blob(b"early".to_vec())));
    assert_eq!(a.recv().await, Ok(Event::PeerJoined));
    b.send_blob(vec![7; MAX_SIGNAL_BLOB]).await.unwrap();
    assert_eq!(a.recv().await, Ok(Event::Blob(vec![7; MAX_SIGNAL_BLOB])));
    a.close(CloseReason::Refused).await;
    assert_eq!(b.recv().await, Ok(Event::Closed(CloseReason::Refused)));
    assert_eq!(b.recv().await, Err(SignalError::Lost));
}

#[tokio::test]
async fn two_clients_meet_again_in_whatever_order() {
    // RV-MEET, RV-MEETING-ANEW, RV-QUEUE
    let url = server().await;
    let place = MeetingId::from_bytes([7; 16]);
    let met = meet(&Real, &url, place).await.unwrap();
    let mut first = Socket::connect(&Real, &url, met.token).await.unwrap();
    first.send_blob(b"early".to_vec()).await.unwrap();
    let met = meet(&Real, &url, place).await.unwrap();
    let mut second = Socket::connect(&Real, &url, met.token).await.unwrap();
    assert_eq!(second.recv().await, Ok(Event::PeerJoined));
    assert_eq!(second.recv().await, Ok(Event::Blob(b"early".to_vec())));
    assert_eq!(first.recv().await, Ok(Event::PeerJoined));
    // The first crashes and comes back before anybody has noticed.
    let met = meet(&Real, &url, place).await.unwrap();
    let _back = Socket::connect(&Real, &url, met.token).await.unwrap();
    let ended = second.recv().await;
    assert!(matches!(ended, Ok(Event::Error { code: ErrorCode::Closed, .. })), "{ended:?}");
}

#[tokio::test]
async fn each_refusal_has_its_own_error() {
    // RV-NOT-FOUND, RV-ONE-JOIN, RV-TOKEN-ONCE, RV-RETRY
    let url = server().await;
    let unknown = JoinRequest::Session(SessionId::from_bits(1));
    assert_eq!(join(&Real, &url, unknown).await, Err(SignalError::NotFound));
    let created = create(&Real, &url, false).await.unwrap();
    let target = JoinRequest::Session(created.session);
    join(&Real, &url, target).await.unwrap();
    assert_eq!(join(&Real, &url, target).await, Err(SignalError::AlreadyJoined));
    let socket = Socket::connect(&Real, &url, created.token).await.unwrap();
    let again = Socket::connect(&Real, &url, created.token).await;
    assert_eq!(again.err(), Some(SignalError::Closed));
    socket.close(CloseReason::Cancel).await;
    assert_eq!(join(&Real, &url, target).await, Err(SignalError::Closed));
    join(&Real, &url, unknown).await.unwrap_err();
    let refused = join(&Real, &url, unknown).await;
    let expected = SignalError::RateLimited { retry_after: Duration::from_secs(6) };
    assert_eq!(refused, Err(expected));
}

#[tokio::test]
async fn a_peer_that_is_gone_is_reported() {
    // RV-LEFT
    let url = server().await;
    let (a, mut b) = pair(&url).await;
    drop(a);
    assert_eq!(b.recv().await, Ok(Event::PeerLeft));
}

#[tokio::test]
async fn a_blob_of_a_wrong_length_is_not_sent() {
    // RV-BLOB-SIZE
    let url = server().await;
    let (mut a, mut b) = pair(&url).await;
    for wrong in [0, MAX_SIGNAL_BLOB + 1] {
        assert_eq!(a.send_blob(vec![0; wrong]).await, Err(SignalError::TooLarge));
    }
    a.send_blob(vec![1]).await.unwrap();
    assert_eq!(b.recv().await, Ok(Event::Blob(vec![1])));
}

#[tokio::test]
async fn a_cancelled_recv_loses_nothing() {
    let url = server().await;
    let (mut a, mut b) = pair(&url).await;
    for n in 1..=50_u8 {
        a.send_blob(vec![n; 5_000]).await.unwrap();
        let mut received = None;
        while received.is_none() {
            received = tokio::time::timeout(Duration::from_micros(50), b.recv()).await.ok();
        }
        assert_eq!(received, Some(Ok(Event::Blob(vec![n; 5_000]))));
    }
}

/// Answers every connection with the same bytes, whatever it asks.
async fn liar(answer: Vec<u8>) -> Url {
    let (listener, url) = listen().await;
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 4_096];
            let _ = stream.read(&mut request).await;
            let _ = stream.write_all(&answer).await;
            let _ = stream.shutdown().await;
            let _ = stream.read(&mut request).await;
        }
    });
    url
}

#[tokio::test]
async fn a_server_that_breaks_the_protocol_is_found_out() {
    // RV-CLIENT-BOUND, RV-CLIENT-REDIRECT, RV-UNKNOWN-FIELD
    let id = SessionId::from_bits(3);
    let body = format!(r#"{{"session":"{id}","token":"{id}","expires_in":9,"new":[]}}"#);
    let ok =
        |body: &str| format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    let target = JoinRequest::Session(id);
    let honest = liar(ok(&body).into_bytes()).await;
    assert_eq!(join(&Real, &honest, target).await.map(|joined| joined.expires_in), Ok(9));
    let no_nameplate = create(&Real, &honest, true).await;
    assert!(matches!(no_nameplate, Err(SignalError::ServerMisbehaved { .. })));

    let huge = ok(&format!("{body}{}", " ".repeat(5_000)));
    let redirect = format!("HTTP/1.1 302 Found\r\nlocation: {honest}\r\ncontent-length: 0\r\n\r\n");
    let endless = format!("HTTP/1.1 200 OK\r\n\r\n{}", "[".repeat(100_000));
    let odd_code = "HTTP/1.1 418 No\r\ncontent-length: 37\r\n\r\n{\"error\":{\"code\":\"teapot\",\"text\":\"\"}}";
    for answer in [ok("{}"), ok("<html>"), huge, redirect, endless, odd_code.to_owned()] {
        let url = liar(answer.clone().into_bytes()).await;
        let result = join(&Real, &url, target).await;
        assert!(matches!(result, Err(SignalError::ServerMisbehaved { .. })), "{answer:.60}");
    }
    let url = liar(b"SSH-2.0-x\r\n".to_vec()).await;
    assert_eq!(join(&Real, &url, target).await, Err(SignalError::Lost));
    let busy = b"HTTP/1.1 429 Slow\r\nretry-after: 99999999\r\ncontent-length: 0\r\n\r\n".to_vec();
    let result = join(&Real, &liar(busy).await, target).await;
    let expected = SignalError::RateLimited { retry_after: Duration::from_secs(3_600) };
    assert_eq!(result, Err(expected));
}

#[tokio::test]
async fn a_server_that_cannot_be_reached_or_proved_is_named() {
    // RV-CLIENT-TLS
    let (listener, url) = listen().await;
    drop(listener);
    let shown = url.as_str().trim_end_matches('/').to_owned();
    assert_eq!(create(&Real, &url, false).await, Err(SignalError::Unreachable { url: shown }));
    let url: Url = server().await.as_str().replace("http:", "https:").parse().unwrap();
    let result = create(&Real, &url, false).await;
    assert!(matches!(result, Err(SignalError::Untrusted { .. })), "{result:?}");
}

#[tokio::test]
async fn a_server_that_never_answers_is_given_up() {
    // RV-CLIENT-BOUND
    let (listener, url) = listen().await;
    let silent = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = [0; 4_096];
        assert!(stream.read(&mut request).await.unwrap() > 0);
        tokio::time::pause();
        std::future::pending::<()>().await;
    });
    let result = create(&Real, &url, false).await;
    assert!(matches!(result, Err(SignalError::TimedOut { .. })), "{result:?}");
    silent.abort();
}

#[tokio::test]
async fn a_socket_on_which_nothing_comes_is_lost_and_a_ping_is_something() {
    // RV-CLIENT-ALIVE
    let (listener, url) = listen().await;
    let quiet = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut ws = tokio_tungstenite::accept_async(stream).await.unwrap();
        let hello = ws.next().await.unwrap().unwrap();
        assert!(hello.is_text());
        ws.send(Message::Text(r#"{"type":"ready"}"#.into())).await.unwrap();
        let blob = ws.next().await.unwrap().unwrap();
        assert!(blob.is_binary(), "the client is past its hello");
        for _ in 0..3 {
            // Bytes travel in real time, lest paused time jump ahead of them.
            tokio::time::pause();
            tokio::time::advance(Duration::from_secs(80)).await;
            tokio::time::resume();
            ws.send(Message::Ping(Vec::new().into())).await.unwrap();
            let pong = ws.next().await.unwrap().unwrap();
            assert!(pong.is_pong());
        }
        tokio::time::pause();
        std::future::pending::<()>().await;
    });
    let id = String::from(SessionId::from_bits(1));
    let mut socket = Socket::connect(&Real, &url, Token::try_from(id).unwrap()).await.unwrap();
    let began = tokio::time::Instant::now();
    socket.send_blob(vec![1]).await.unwrap();
    assert_eq!(socket.recv().await, Err(SignalError::Lost));
    assert!(began.elapsed() >= Duration::from_secs(3 * 80 + 89));
    quiet.abort();
}

/// All that clients send to the server behind it, one buffer a connection.
struct Tap {
    url: Url,
    seen: Arc<Mutex<Vec<Vec<u8>>>>,
}

async fn tap(server: &Url) -> Tap {
    let target = server.socket_addrs(|| None).unwrap()[0];
    let (listener, url) = listen().await;
    let seen = Arc::new(Mutex::new(Vec::new()));
    let record = Arc::clone(&seen);
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let server = TcpStream::connect(target).await.unwrap();
            let (mut from_client, mut to_client) = client.into_split();
            let (mut from_server, mut to_server) = server.into_split();
            tokio::spawn(async move { tokio::io::copy(&mut from_server, &mut to_client).await });
            let record = Arc::clone(&record);
            let place = {
                let mut seen: std::sync::MutexGuard<'_, Vec<Vec<u8>>> = record.lock().unwrap();
                seen.push(Vec::new());
                seen.len() - 1
            };
            tokio::spawn(async move {
                let mut buffer = [0; 4_096];
                while let Ok(len @ 1..) = from_client.read(&mut buffer).await {
                    record.lock().unwrap()[place].extend_from_slice(&buffer[..len]);
                    if to_server.write_all(&buffer[..len]).await.is_err() {
                        break;
                    }
                }
            });
        }
    });
    Tap { url, seen }
}

/// The masked frames of a client's WebSocket as (opcode, payload).
fn frames(mut bytes: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let mut frames = Vec::new();
    while let [first, second, rest @ ..] = bytes {
        assert!(first & 0x80 != 0 && second & 0x80 != 0, "a whole and masked frame");
        let (len, rest) = match second & 0x7f {
            126 => (usize::from(u16::from_be_bytes([rest[0], rest[1]])), &rest[2..]),
            127 => panic!("no frame is that long"),
            short => (usize::from(short), rest),
        };
        let (mask, rest) = rest.split_at(4);
        let (payload, rest) = rest.split_at(len);
        let payload = payload.iter().zip(mask.iter().cycle()).map(|(byte, key)| byte ^ key);
        frames.push((first & 0x0f, payload.collect()));
        bytes = rest;
    }
    frames
}

#[tokio::test]
async fn a_server_sees_requests_tokens_and_blobs_and_nothing_else() {
    // RV-CLIENT-OPAQUE, RV-TOKEN-PLACE, RV-HELLO, RV-NAMEPLATE-INDEPENDENT, SC-SECRETS-HIDDEN
    let tap = tap(&server().await).await;
    let created = create(&Real, &tap.url, true).await.unwrap();
    let joined = join(&Real, &tap.url, JoinRequest::Session(created.session)).await.unwrap();
    let mut a = Socket::connect(&Real, &tap.url, created.token).await.unwrap();
    let mut b = Socket::connect(&Real, &tap.url, joined.token).await.unwrap();
    a.send_blob(vec![0xa5; 300]).await.unwrap();
    b.send_blob(vec![0x5a; 9]).await.unwrap();
    assert_eq!(a.recv().await, Ok(Event::PeerJoined));
    assert_eq!(a.recv().await, Ok(Event::Blob(vec![0x5a; 9])));
    assert_eq!(b.recv().await, Ok(Event::PeerJoined));
    assert_eq!(b.recv().await, Ok(Event::Blob(vec![0xa5; 300])));
    a.close(CloseReason::Done).await;
    drop(b);

    let host = format!("host: {}", tap.url.authority());
    let posted = |body: &str| {
        vec![
            host.clone(),
            "content-type: application/json".into(),
            format!("content-length: {}", body.len()),
        ]
    };
    let upgrade = || {
        let fixed = ["connection: upgrade", "upgrade: websocket", "sec-websocket-version: 13"];
        fixed.map(String::from).into_iter().chain([host.clone()]).collect::<Vec<_>>()
    };
    let by_id = format!(r#"{{"session":"{}"}}"#, created.session);
    let hello = |token| {
        let token = String::from(token);
        (1, format!(r#"{{"type":"hello","token":"{token}"}}"#).into_bytes())
    };
    let close = (1, br#"{"type":"close","reason":"done"}"#.to_vec());
    let create_body = r#"{"nameplate":true}"#;
    let expected = [
        (
            "post /v1/sessions http/1.1",
            posted(create_body),
            create_body.as_bytes().to_vec(),
            vec![],
        ),
        ("post /v1/sessions/join http/1.1", posted(&by_id), by_id.clone().into_bytes(), vec![]),
        (
            "get /v1/socket http/1.1",
            upgrade(),
            Vec::new(),
            vec![hello(created.token), (2, vec![0xa5; 300]), close],
        ),
        (
            "get /v1/socket http/1.1",
            upgrade(),
            Vec::new(),
            vec![hello(joined.token), (2, vec![0x5a; 9])],
        ),
    ];
    let seen = tap.seen.lock().unwrap().clone();
    assert_eq!(seen.len(), expected.len(), "one connection each");
    for (bytes, (line, mut headers, body, messages)) in seen.iter().zip(expected) {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap().to_lowercase();
        let mut lines: Vec<String> = head.lines().map(String::from).collect();
        assert_eq!(lines.remove(0), line);
        // The nonce is the one header that nobody can foretell.
        lines.retain(|line| !line.starts_with("sec-websocket-key: "));
        lines.sort();
        headers.sort();
        assert_eq!(lines, headers);
        let rest = &bytes[end + 4..];
        if messages.is_empty() {
            assert_eq!(rest, body);
            continue;
        }
        let (data, control): (Vec<_>, Vec<_>) =
            frames(rest).into_iter().partition(|(opcode, _)| *opcode < 8);
        assert_eq!(data, messages);
        assert!(control.iter().all(|(_, payload)| payload.len() <= 2), "{control:?}");
    }
}

#[test]
fn no_error_is_without_a_sentence() {
    for &code in ErrorCode::ALL {
        let text = SignalError::of_code(code, None).to_string();
        assert!(text.len() > 15 && !text.ends_with('.'), "{text}");
    }
}
