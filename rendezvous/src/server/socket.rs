//! What sockets do: hello, blobs, close, loss. Creating, joining and time live
//! in the parent module.

use std::net::IpAddr;
use std::time::Instant;

use super::clients::{Action as ClientAction, ClientKey};
use super::session::{Seat, Side};
use super::state::{Event, Verdict, next};
use super::{Action, Conn, ConnId, Output, Place, Refusal, Server, Timer};
use crate::ids::{SessionId, Token};
use crate::messages::{ClientText, CloseReason, ErrorCode, MAX_TEXT, PeerState, ServerText};

impl Server {
    /// A socket was opened by the client at `ip`. It has to say hello within
    /// [`super::Config::hello_timeout`] (`RV-HELLO-TIME`).
    pub fn connect(&mut self, now: Instant, ip: IpAddr) -> Result<ConnId, Refusal> {
        self.handle_timeout(now);
        let client = ClientKey::of(ip);
        self.spend(now, client, ClientAction::Connect)?;
        // RV-SOCKETS
        if self.conns.len() >= self.config.max_sockets {
            return Err(ErrorCode::Full.into());
        }
        if self.clients.sockets(client) >= self.config.max_sockets_per_client {
            return Err(ErrorCode::RateLimited.into());
        }
        let conn = ConnId(self.next_conn);
        self.next_conn += 1;
        let until = now + self.config.hello_timeout;
        self.conns.insert(conn, Conn { client, place: Place::Silent { until } });
        self.clients.socket_opened(client);
        self.timers.insert((until, Timer::Hello(conn)));
        Ok(conn)
    }

    /// A text message arrived on a socket.
    pub fn handle_text(&mut self, now: Instant, conn: ConnId, text: &str) {
        self.handle_timeout(now);
        let Some(place) = self.admit_message(now, conn) else { return };
        // RV-TEXT-SIZE
        if text.len() > MAX_TEXT {
            return self.fail(now, conn, ErrorCode::TooLarge);
        }
        // RV-MALFORMED
        let Ok(text) = serde_json::from_str::<ClientText>(text) else {
            return self.fail(now, conn, ErrorCode::Malformed);
        };
        match (place, text) {
            (Place::Silent { until }, ClientText::Hello { token }) => {
                self.hello(now, conn, until, token);
            }
            (Place::Member { session, side }, ClientText::Close { reason }) => {
                self.close_session(now, session, side, reason);
            }
            // RV-UNKNOWN-TYPE
            (Place::Member { .. }, ClientText::Unknown) => {}
            // RV-HELLO-FIRST, RV-HELLO-ONE
            _ => self.fail(now, conn, ErrorCode::Malformed),
        }
    }

    /// A binary message arrived on a socket. It is passed on verbatim, at once
    /// or when the other peer comes (`RV-BLOB-OPAQUE`, `RV-BLOB-ORDER`).
    pub fn handle_blob(&mut self, now: Instant, conn: ConnId, blob: Vec<u8>) {
        self.handle_timeout(now);
        let Some(place) = self.admit_message(now, conn) else { return };
        // RV-HELLO-FIRST
        let Place::Member { session: id, side } = place else {
            return self.fail(now, conn, ErrorCode::Malformed);
        };
        // RV-BLOB-SIZE
        if blob.is_empty() {
            return self.fail(now, conn, ErrorCode::Malformed);
        }
        if blob.len() > self.config.max_blob {
            return self.fail(now, conn, ErrorCode::TooLarge);
        }
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let Verdict::Go(state) = next(session.state, Event::Blob) else { return };
        session.state = state;
        // RV-SESSION-BYTES
        if session.carried + blob.len() > self.config.session_bytes {
            return self.fail(now, conn, ErrorCode::TooLarge);
        }
        session.carried += blob.len();
        let peer = session.peer_mut(side.other());
        match peer.seat {
            Seat::Open(to) => {
                self.outputs.push_back(Output { conn: to, action: Action::SendBlob(blob) });
            }
            // RV-BLOB-GONE
            Seat::Gone => {}
            // RV-QUEUE
            Seat::Vacant | Seat::Awaited(_) => {
                if peer.queue.len() >= self.config.queue_blobs
                    || peer.queued + blob.len() > self.config.queue_bytes
                {
                    return self.fail(now, conn, ErrorCode::TooLarge);
                }
                // RV-QUEUE-TOTAL
                if self.queued + blob.len() > self.config.queue_bytes_total {
                    return self.fail(now, conn, ErrorCode::Full);
                }
                self.queued += blob.len();
                peer.queued += blob.len();
                peer.queue.push_back(blob);
            }
        }
    }

    /// A socket is lost, or the shell gave it up. Its peer cannot come back,
    /// since its token is used (`RV-LEFT`).
    pub fn detach(&mut self, now: Instant, conn: ConnId) {
        self.handle_timeout(now);
        self.leave(now, conn);
    }

    /// Ends one socket with an error (`RV-ERROR-CLOSE`).
    pub(super) fn fail(&mut self, now: Instant, conn: ConnId, code: ErrorCode) {
        self.close(conn, Some(ServerText::error(code)));
        self.leave(now, conn);
    }

    /// Forgets a socket, whatever it was; its session goes on if it can.
    pub(super) fn remove_conn(&mut self, conn: ConnId) -> Option<Conn> {
        let gone = self.conns.remove(&conn)?;
        self.clients.socket_gone(gone.client);
        if let Place::Silent { until } = gone.place {
            self.timers.remove(&(until, Timer::Hello(conn)));
        }
        Some(gone)
    }

    /// Where a known socket stands, unless it sends too much (`RV-RATE`).
    fn admit_message(&mut self, now: Instant, conn: ConnId) -> Option<Place> {
        let Conn { client, place } = *self.conns.get(&conn)?;
        match self.spend(now, client, ClientAction::Message) {
            Ok(()) => Some(place),
            Err(refusal) => {
                self.fail(now, conn, refusal.code);
                None
            }
        }
    }

    fn hello(&mut self, now: Instant, conn: ConnId, until: Instant, token: Token) {
        // RV-TOKEN-ONCE: taken out of the map, whatever comes next.
        let member = self.tokens.remove(&token);
        let attached = member.and_then(|(id, side)| {
            let session = self.sessions.get_mut(&id)?;
            let Verdict::Go(state) = next(session.state, Event::Attach) else { return None };
            session.state = state;
            Some((id, side, session))
        });
        let Some((id, side, session)) = attached else {
            return self.fail(now, conn, ErrorCode::TokenRefused);
        };
        let own = session.peer_mut(side);
        own.seat = Seat::Open(conn);
        let claim = own.claim.take();
        let waiting = std::mem::take(&mut own.queue);
        self.queued = self.queued.saturating_sub(std::mem::take(&mut own.queued));
        let other = session.peer(side.other()).seat;
        if let Some(entry) = self.conns.get_mut(&conn) {
            entry.place = Place::Member { session: id, side };
        }
        self.timers.remove(&(until, Timer::Hello(conn)));
        if let Some(claim) = claim {
            self.timers.remove(&(claim, Timer::Claim(id, side)));
        }
        // RV-READY, RV-PEER, RV-ATTACH-ORDER: ready, whether the other is there, what it sent, whether it left.
        self.send(conn, ServerText::Ready);
        if let Seat::Open(other) = other {
            self.send(conn, ServerText::Peer { state: PeerState::Joined });
            self.send(other, ServerText::Peer { state: PeerState::Joined });
        }
        for blob in waiting {
            self.outputs.push_back(Output { conn, action: Action::SendBlob(blob) });
        }
        if let Seat::Gone = other {
            self.send(conn, ServerText::Peer { state: PeerState::Left });
        }
    }

    /// RV-CLOSE: the other peer is told why; both sockets end.
    fn close_session(&mut self, now: Instant, id: SessionId, side: Side, reason: CloseReason) {
        let Some(session) = self.sessions.get(&id) else { return };
        let Verdict::Go(state) = next(session.state, Event::Close) else { return };
        let other = session.peer(side.other()).seat;
        for conn in self.end(now, id, state) {
            let is_other = matches!(other, Seat::Open(other) if other == conn);
            self.close(conn, is_other.then_some(ServerText::Closed { reason }));
        }
    }

    fn leave(&mut self, now: Instant, conn: ConnId) {
        let Some(gone) = self.remove_conn(conn) else { return };
        if let Place::Member { session, side } = gone.place {
            self.vacate(now, session, side);
        }
    }

    /// A peer is gone for good, or did not come in time.
    pub(super) fn vacate(&mut self, now: Instant, id: SessionId, side: Side) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let own = session.peer_mut(side);
        own.claim = None;
        if let Seat::Awaited(token) = std::mem::replace(&mut own.seat, Seat::Gone) {
            self.tokens.remove(&token);
        }
        // RV-BLOB-GONE
        own.queue.clear();
        self.queued = self.queued.saturating_sub(std::mem::take(&mut own.queued));
        let other = session.peer(side.other()).seat;
        let event = match other {
            Seat::Open(_) | Seat::Awaited(_) => Event::Leave,
            Seat::Vacant | Seat::Gone => Event::LastLeave,
        };
        match next(session.state, event) {
            Verdict::Go(state) if state.is_live() => {
                session.state = state;
                // RV-LEFT
                if let Seat::Open(other) = other {
                    self.send(other, ServerText::Peer { state: PeerState::Left });
                }
            }
            // RV-LAST
            Verdict::Go(state) => {
                self.end(now, id, state);
            }
            Verdict::Refuse(_) | Verdict::Ignore => {}
        }
    }
}
