//! The rendezvous server as a state machine: no sockets, no clock, no entropy
//! of its own. Sessions, nameplates and time live here; what sockets do is in
//! `socket`, rates in `clients`, the table of states in `state`. HTTP and
//! WebSocket live in the shell.

mod clients;
mod config;
mod meet;
mod session;
mod socket;
mod state;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use chacha20::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};

pub(crate) use self::clients::ClientKey;
use self::clients::{Action as ClientAction, Clients};
pub use self::config::{Config, Rate};
use self::session::{Peer, Seat, Session, Side};
pub use self::state::{Event, State, Verdict, next};
use crate::ids::{MeetingId, Nameplate, SessionId, Token};
use crate::messages::{
    CreateRequest, CreateResponse, ErrorCode, JoinRequest, JoinResponse, ServerText,
};

/// A socket, as long as it is open. Numbers are never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnId(u64);

/// What the shell shall do with a socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Send a text message.
    SendText(ServerText),
    /// Send a binary message.
    SendBlob(Vec<u8>),
    /// Close the socket once everything before it is sent. The server has
    /// forgotten it already; no [`Server::detach`] is needed.
    Close,
}

/// An [`Action`] for one socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// The socket.
    pub conn: ConnId,
    /// What to do with it.
    pub action: Action,
}

/// Why the server wants to be woken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TimerKind {
    /// A socket has not said hello.
    Hello,
    /// A token of a join or a meeting was not used.
    Claim,
    /// A session expires.
    Life,
    /// An ended session is forgotten.
    Forget,
}

/// A request that was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", code.text())]
pub struct Refusal {
    /// What the client is told.
    pub code: ErrorCode,
    /// When it may try again, for [`ErrorCode::RateLimited`].
    pub retry_after: Option<Duration>,
}

impl From<ErrorCode> for Refusal {
    fn from(code: ErrorCode) -> Self {
        Self { code, retry_after: None }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    Hello(ConnId),
    Claim(SessionId, Side),
    Life(SessionId),
}

/// Where an open socket stands.
#[derive(Clone, Copy)]
enum Place {
    /// It has not said hello.
    Silent { until: Instant },
    /// It belongs to a session.
    Member { session: SessionId, side: Side },
}

#[derive(Clone, Copy)]
struct Conn {
    client: ClientKey,
    place: Place,
}

/// The server. See the methods for single inputs.
///
/// # Contract
///
/// * `now` never goes backwards between two calls.
/// * After **every** call that takes `now`, take [`Server::poll_output`] until
///   it is empty, in order, and then ask [`Server::poll_timeout`] again. Outputs
///   wait in memory until they are taken.
/// * When the time of [`Server::poll_timeout`] has come, call
///   [`Server::handle_timeout`]. Every other input does so by itself first.
/// * For a socket: [`Server::connect`] first; then [`Server::handle_text`] and
///   [`Server::handle_blob`] in the order of arrival; [`Server::detach`] when it
///   is lost. Calls for a socket that the server has closed do nothing, so the
///   shell need not care about the race.
///
/// Memory is bounded by the [`Config`], given that outputs are taken and the
/// shell bounds what it keeps for a slow socket.
pub struct Server {
    config: Config,
    rng: ChaCha20Rng,
    sessions: BTreeMap<SessionId, Session>,
    /// How many of `sessions` are live; the others are in `ended`.
    live: usize,
    /// Ended sessions with the time to forget them, oldest first.
    ended: VecDeque<(Instant, SessionId)>,
    /// Nameplates of sessions that are live, or ended and not forgotten.
    nameplates: BTreeMap<Nameplate, SessionId>,
    /// Live sessions by their meetings.
    meetings: BTreeMap<MeetingId, SessionId>,
    /// Tokens that were given out and not used.
    tokens: BTreeMap<Token, (SessionId, Side)>,
    conns: BTreeMap<ConnId, Conn>,
    next_conn: u64,
    timers: BTreeSet<(Instant, Timer)>,
    clients: Clients,
    /// Bytes of blobs that wait for peers, over all sessions.
    queued: usize,
    outputs: VecDeque<Output>,
}

impl Server {
    /// A server without sessions. `seed` must be random and secret: ids and
    /// tokens come from it (`RV-ID-RANDOM`).
    pub fn new(config: Config, seed: [u8; 32]) -> Self {
        Self {
            config: config.clamped(),
            rng: ChaCha20Rng::from_seed(seed),
            sessions: BTreeMap::new(),
            live: 0,
            ended: VecDeque::new(),
            nameplates: BTreeMap::new(),
            meetings: BTreeMap::new(),
            tokens: BTreeMap::new(),
            conns: BTreeMap::new(),
            next_conn: 0,
            timers: BTreeSet::new(),
            clients: Clients::default(),
            queued: 0,
            outputs: VecDeque::new(),
        }
    }

    /// The configuration after clamping.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Creates a session for the client at `ip` (`RV-CREATE`).
    pub fn create(
        &mut self,
        now: Instant,
        ip: IpAddr,
        request: CreateRequest,
    ) -> Result<CreateResponse, Refusal> {
        self.handle_timeout(now);
        self.spend(now, ClientKey::of(ip), ClientAction::Create)?;
        self.check_room()?;
        // RV-NAMEPLATE-ASKED
        let nameplate = if request.nameplate {
            Some(self.draw_nameplate().ok_or(ErrorCode::Full)?)
        } else {
            None
        };
        let (id, token, deadline) = self.begin(now, nameplate);
        Ok(CreateResponse { session: id, nameplate, token, expires_in: seconds(deadline, now) })
    }

    /// Joins a session for the client at `ip` (`RV-JOIN`). Succeeds once for a
    /// session, whatever becomes of it afterwards (`RV-ONE-JOIN`).
    pub fn join(
        &mut self,
        now: Instant,
        ip: IpAddr,
        request: JoinRequest,
    ) -> Result<JoinResponse, Refusal> {
        self.handle_timeout(now);
        // RV-RATE-JOIN: before the look-up, so that failures count as well.
        self.spend(now, ClientKey::of(ip), ClientAction::Join)?;
        let id = match request {
            JoinRequest::Session(id) => id,
            JoinRequest::Nameplate(number) => {
                // One that rests means nothing any more.
                let is_live = |id: &&SessionId| {
                    self.session_state(**id).is_some_and(|state| !state.is_over())
                };
                *self.nameplates.get(&number).filter(is_live).ok_or(ErrorCode::NotFound)?
            }
        };
        // RV-NOT-FOUND
        let session = self.sessions.get_mut(&id).ok_or(ErrorCode::NotFound)?;
        match next(session.state, Event::Join) {
            Verdict::Go(state) => session.state = state,
            Verdict::Refuse(code) => return Err(code.into()),
            Verdict::Ignore => return Err(ErrorCode::NotFound.into()),
        }
        let (token, deadline) = self.seat_joiner(now, id);
        Ok(JoinResponse { session: id, token, expires_in: seconds(deadline, now) })
    }

    /// Lets everything happen whose time has come.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some(&(due, timer)) = self.timers.first() {
            if due > now {
                break;
            }
            self.timers.pop_first();
            match timer {
                Timer::Hello(conn) => self.fail(now, conn, ErrorCode::Timeout),
                Timer::Claim(id, side) => self.vacate(now, id, side),
                Timer::Life(id) => self.expire(now, id),
            }
        }
        while self.ended.front().is_some_and(|(due, _)| *due <= now) {
            self.forget_oldest_ended();
        }
        self.clients.forget_idle(now);
    }

    /// What to do next with a socket, until there is nothing left to do.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When to call [`Server::handle_timeout`], and why. Changes with every input.
    pub fn poll_timeout(&self) -> Option<(Instant, TimerKind)> {
        let timer = self.timers.first().map(|&(due, timer)| match timer {
            Timer::Hello(_) => (due, TimerKind::Hello),
            Timer::Claim(..) => (due, TimerKind::Claim),
            Timer::Life(_) => (due, TimerKind::Life),
        });
        let forget = self.ended.front().map(|&(due, _)| (due, TimerKind::Forget));
        match (timer, forget) {
            (Some(timer), Some(forget)) => Some(timer.min(forget)),
            (timer, forget) => timer.or(forget),
        }
    }

    /// Live sessions at this time.
    pub fn live_sessions(&self) -> usize {
        self.live
    }

    /// The state of a session, as long as it is remembered.
    pub fn session_state(&self, id: SessionId) -> Option<State> {
        self.sessions.get(&id).map(|session| session.state)
    }

    fn spend(&mut self, now: Instant, key: ClientKey, what: ClientAction) -> Result<(), Refusal> {
        self.clients
            .take(now, key, what, &self.config)
            .map_err(|wait| Refusal { code: ErrorCode::RateLimited, retry_after: Some(wait) })
    }

    /// RV-SESSIONS
    fn check_room(&self) -> Result<(), Refusal> {
        if self.live >= self.config.max_sessions {
            return Err(ErrorCode::Full.into());
        }
        Ok(())
    }

    /// A new session with its creator's token and the time of its end.
    fn begin(&mut self, now: Instant, nameplate: Option<Nameplate>) -> (SessionId, Token, Instant) {
        let id = SessionId::from_bits(self.draw_bits());
        let token = Token::from_bits(self.draw_bits());
        let deadline = now + self.config.life;
        self.sessions.insert(id, Session::new(deadline, nameplate, token));
        self.live += 1;
        self.tokens.insert(token, (id, Side::Creator));
        if let Some(nameplate) = nameplate {
            self.nameplates.insert(nameplate, id);
        }
        self.timers.insert((deadline, Timer::Life(id)));
        (id, token, deadline)
    }

    /// Gives out the joiner's token of a live session; also the time of its end,
    /// which is put off as far as needed (`RV-LIFE-JOINED`).
    fn seat_joiner(&mut self, now: Instant, id: SessionId) -> (Token, Instant) {
        let token = Token::from_bits(self.draw_bits());
        let Some(session) = self.sessions.get_mut(&id) else { return (token, now) };
        session.joiner.seat = Seat::Awaited(token);
        let before = session.deadline;
        let deadline = before.max(now + self.config.joined_life);
        session.deadline = deadline;
        self.timers.remove(&(before, Timer::Life(id)));
        self.timers.insert((deadline, Timer::Life(id)));
        self.tokens.insert(token, (id, Side::Joiner));
        self.expect_claim(now, id, Side::Joiner);
        (token, deadline)
    }

    /// 128 fresh random bits. That they repeat is as likely as that somebody
    /// guesses them (`RV-ID-RANDOM`).
    fn draw_bits(&mut self) -> u128 {
        u128::from(self.rng.next_u64()) << 64 | u128::from(self.rng.next_u64())
    }

    /// A random free nameplate of as few digits as there is room for
    /// (`RV-NAMEPLATE-DRAW`), or none. Those of sessions that have ended rest, unless
    /// there is no other (`RV-NAMEPLATE-FREE`).
    fn draw_nameplate(&mut self) -> Option<Nameplate> {
        for rests in [true, false] {
            for (first, last) in [(1_u16, 9_u16), (10, 99), (100, 999), (1_000, 9_999)] {
                let is_free = |number: &Nameplate| match self.nameplates.get(number) {
                    Some(id) => !rests && self.session_state(*id).is_none_or(State::is_over),
                    None => true,
                };
                let numbers = (first..=last).filter_map(|number| Nameplate::try_from(number).ok());
                let free: Vec<Nameplate> = numbers.filter(is_free).collect();
                if free.len() * 2 > usize::from(last - first) {
                    let place = self.rng.next_u32() as usize % free.len();
                    return free.get(place).copied();
                }
            }
        }
        None
    }

    fn expire(&mut self, now: Instant, id: SessionId) {
        let Some(state) = self.session_state(id) else { return };
        // RV-EXPIRED
        if let Verdict::Go(State::Expired) = next(state, Event::Deadline) {
            for conn in self.end(now, id, State::Expired) {
                self.close(conn, Some(ServerText::error(ErrorCode::Expired)));
            }
        }
    }

    /// Ends a live session: tokens, nameplate and waiting blobs are gone, and
    /// its sockets, which no longer belong to the server, are returned.
    fn end(&mut self, now: Instant, id: SessionId, state: State) -> Vec<ConnId> {
        let Some(session) = self.sessions.get_mut(&id) else { return Vec::new() };
        session.state = state;
        self.timers.remove(&(session.deadline, Timer::Life(id)));
        if let Some(meeting) = session.meeting.take() {
            self.meetings.remove(&meeting);
        }
        let peers = [std::mem::take(&mut session.creator), std::mem::take(&mut session.joiner)];
        for (side, peer) in [Side::Creator, Side::Joiner].into_iter().zip(&peers) {
            if let Some(until) = peer.claim {
                self.timers.remove(&(until, Timer::Claim(id, side)));
            }
        }
        self.live = self.live.saturating_sub(1);
        let mut open = Vec::new();
        for Peer { seat, queued, .. } in peers {
            self.queued = self.queued.saturating_sub(queued);
            match seat {
                // RV-TOKEN-ENDED
                Seat::Awaited(token) => {
                    self.tokens.remove(&token);
                }
                Seat::Open(conn) => {
                    self.remove_conn(conn);
                    open.push(conn);
                }
                Seat::Vacant | Seat::Gone => {}
            }
        }
        // RV-ENDED
        self.ended.push_back((now + self.config.ended_memory, id));
        while self.ended.len() > self.config.max_sessions {
            self.forget_oldest_ended();
        }
        open
    }

    fn forget_oldest_ended(&mut self) {
        let Some((_, id)) = self.ended.pop_front() else { return };
        let nameplate = self.sessions.remove(&id).and_then(|session| session.nameplate);
        // RV-NAMEPLATE-FREE: unless another has it by now.
        if let Some(nameplate) = nameplate
            && self.nameplates.get(&nameplate) == Some(&id)
        {
            self.nameplates.remove(&nameplate);
        }
    }

    fn send(&mut self, conn: ConnId, text: ServerText) {
        self.outputs.push_back(Output { conn, action: Action::SendText(text) });
    }

    fn close(&mut self, conn: ConnId, last: Option<ServerText>) {
        if let Some(text) = last {
            self.send(conn, text);
        }
        self.outputs.push_back(Output { conn, action: Action::Close });
    }
}

fn seconds(deadline: Instant, now: Instant) -> u32 {
    u32::try_from(deadline.saturating_duration_since(now).as_secs()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
