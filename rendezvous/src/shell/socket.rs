//! One task for each WebSocket: messages to the server, actions to the socket,
//! pings. What the messages mean is the server's business.

use std::net::IpAddr;
use std::time::Duration;

use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::response::Response;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, timeout};

use super::Rendezvous;
use crate::messages::{MAX_SIGNAL_BLOB, ServerText};
use crate::server::{Action, ConnId, Refusal};

/// Time for one message to leave, and for a closing client to answer.
const SEND_TIMEOUT: Duration = Duration::from_secs(20);
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// Tells the server that a socket is lost, also if its task never came to run.
struct Attached {
    rendezvous: Rendezvous,
    conn: ConnId,
}

impl Drop for Attached {
    fn drop(&mut self) {
        self.rendezvous.detach(self.conn);
    }
}

/// Admits a socket and starts its task once the upgrade is done.
pub(super) fn open(
    rendezvous: &Rendezvous,
    ip: IpAddr,
    upgrade: WebSocketUpgrade,
) -> Result<Response, Refusal> {
    let (conn, actions) = rendezvous.connect(ip)?;
    let attached = Attached { rendezvous: rendezvous.clone(), conn };
    // RV-BLOB-SIZE, RV-TEXT-SIZE: up to twice the limit the server answers with
    // an error of its own; above, the connection fails before it is in memory.
    Ok(upgrade
        .max_message_size(2 * MAX_SIGNAL_BLOB)
        .max_frame_size(2 * MAX_SIGNAL_BLOB)
        .on_upgrade(move |socket| run(socket, attached, actions)))
}

async fn run(mut socket: WebSocket, attached: Attached, mut actions: mpsc::Receiver<Action>) {
    let Attached { rendezvous, conn } = &attached;
    let config = rendezvous.config();
    let mut ping = tokio::time::interval(config.ping_interval.max(Duration::from_millis(10)));
    ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut heard = Instant::now();
    loop {
        // What a peer can do without end comes last.
        tokio::select! {
            biased;
            // RV-PING
            _ = ping.tick() => {
                let is_lost = heard.elapsed() > config.silence;
                if is_lost || !send(&mut socket, Message::Ping(Vec::new().into())).await {
                    return;
                }
            }
            action = actions.recv() => {
                let message = match action {
                    Some(Action::SendText(text)) => text_message(&text),
                    Some(Action::SendBlob(blob)) => Message::Binary(blob.into()),
                    Some(Action::Close) | None => return close(socket).await,
                };
                if !send(&mut socket, message).await {
                    return;
                }
            }
            message = socket.recv() => {
                heard = Instant::now();
                match message {
                    Some(Ok(Message::Text(text))) => {
                        rendezvous.with(|server, now| server.handle_text(now, *conn, &text));
                    }
                    Some(Ok(Message::Binary(blob))) => {
                        let blob = blob.to_vec();
                        rendezvous.with(|server, now| server.handle_blob(now, *conn, blob));
                    }
                    Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                    Some(Ok(Message::Close(_)) | Err(_)) | None => return,
                }
            }
        }
    }
}

fn text_message(text: &ServerText) -> Message {
    // These types have no value that JSON cannot hold, so the default is never sent.
    Message::Text(serde_json::to_string(text).unwrap_or_default().into())
}

async fn send(socket: &mut WebSocket, message: Message) -> bool {
    matches!(timeout(SEND_TIMEOUT, socket.send(message)).await, Ok(Ok(())))
}

/// Closes, and waits for the client to do so as well: to drop a connection with
/// unread bytes would take back what was sent last.
async fn close(mut socket: WebSocket) {
    if send(&mut socket, Message::Close(None)).await {
        let drained = async { while let Some(Ok(_)) = socket.recv().await {} };
        let _ = timeout(CLOSE_TIMEOUT, drained).await;
    }
}
