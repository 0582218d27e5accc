//! What the server keeps about one session: its state, its two seats, and the
//! blobs that wait for a peer. Who may do what is the state table's business.

use std::collections::VecDeque;
use std::time::Instant;

use super::ConnId;
use super::state::State;
use crate::ids::{MeetingId, Nameplate, Token};

/// One of the two peers of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Side {
    Creator,
    Joiner,
}

impl Side {
    pub(super) fn other(self) -> Self {
        match self {
            Side::Creator => Side::Joiner,
            Side::Joiner => Side::Creator,
        }
    }
}

/// Whether a peer is there.
#[derive(Clone, Copy, Default)]
pub(super) enum Seat {
    /// Nobody has its token yet.
    #[default]
    Vacant,
    /// The token was given out and not used.
    Awaited(Token),
    /// Its socket is open.
    Open(ConnId),
    /// Its socket was open and is lost; nobody can come in its place.
    Gone,
}

/// One peer's place in a session.
#[derive(Default)]
pub(super) struct Peer {
    pub(super) seat: Seat,
    /// Blobs from the other peer that wait for this one's socket.
    pub(super) queue: VecDeque<Vec<u8>>,
    /// Bytes in `queue`.
    pub(super) queued: usize,
    /// Until when its token has to be used, if there is such a time.
    pub(super) claim: Option<Instant>,
}

/// One session, live or remembered.
pub(super) struct Session {
    pub(super) state: State,
    /// When it expires; without meaning once it has ended.
    pub(super) deadline: Instant,
    pub(super) nameplate: Option<Nameplate>,
    /// The meeting that finds it, as long as it is live.
    pub(super) meeting: Option<MeetingId>,
    pub(super) creator: Peer,
    pub(super) joiner: Peer,
    /// Bytes of blobs taken so far, both directions.
    pub(super) carried: usize,
}

impl Session {
    pub(super) fn new(deadline: Instant, nameplate: Option<Nameplate>, creator: Token) -> Self {
        Self {
            state: State::Created,
            deadline,
            nameplate,
            meeting: None,
            creator: Peer { seat: Seat::Awaited(creator), ..Peer::default() },
            joiner: Peer::default(),
            carried: 0,
        }
    }

    pub(super) fn peer(&self, side: Side) -> &Peer {
        match side {
            Side::Creator => &self.creator,
            Side::Joiner => &self.joiner,
        }
    }

    pub(super) fn peer_mut(&mut self, side: Side) -> &mut Peer {
        match side {
            Side::Creator => &mut self.creator,
            Side::Joiner => &mut self.joiner,
        }
    }
}
