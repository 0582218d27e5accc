//! Behaviour of the server, statement by statement of the spec. Random
//! sequences are in `hostile`.

mod hostile;
mod limits;
mod meetings;
mod sockets;

use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::*;
use crate::messages::{ClientText, CloseReason, PeerState};

#[expect(clippy::disallowed_methods, reason = "some Instant to start from; none can be made up")]
pub(super) fn start() -> Instant {
    static START: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    *START.get_or_init(Instant::now)
}

fn ip(last: u8) -> IpAddr {
    IpAddr::from([192, 0, 2, last])
}

fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// A server with its own clock, for tests to drive.
struct World {
    server: Server,
    now: Instant,
}

impl World {
    fn new() -> Self {
        Self::with(Config::default())
    }

    fn with(config: Config) -> Self {
        Self { server: Server::new(config, [7; 32]), now: start() }
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        self.server.handle_timeout(self.now);
    }

    fn create(&mut self) -> CreateResponse {
        self.server.create(self.now, ip(1), CreateRequest { nameplate: true }).unwrap()
    }

    fn join_as(&mut self, client: u8, session: SessionId) -> Result<JoinResponse, ErrorCode> {
        self.server
            .join(self.now, ip(client), JoinRequest::Session(session))
            .map_err(|refusal| refusal.code)
    }

    fn join(&mut self, session: SessionId) -> JoinResponse {
        self.join_as(2, session).unwrap()
    }

    fn connect(&mut self) -> ConnId {
        self.server.connect(self.now, ip(3)).unwrap()
    }

    fn text(&mut self, conn: ConnId, text: &ClientText) {
        let text = serde_json::to_string(text).unwrap();
        self.server.handle_text(self.now, conn, &text);
    }

    fn attach(&mut self, token: Token) -> ConnId {
        let conn = self.connect();
        self.text(conn, &ClientText::Hello { token });
        conn
    }

    fn blob(&mut self, conn: ConnId, blob: &[u8]) {
        self.server.handle_blob(self.now, conn, blob.to_vec());
    }

    fn outputs(&mut self) -> Vec<(ConnId, Action)> {
        std::iter::from_fn(|| self.server.poll_output())
            .map(|output| (output.conn, output.action))
            .collect()
    }

    /// A session with both sockets open and nothing left to send.
    fn pair(&mut self) -> (SessionId, ConnId, ConnId) {
        let created = self.create();
        let joined = self.join(created.session);
        let (a, b) = (self.attach(created.token), self.attach(joined.token));
        self.outputs();
        (created.session, a, b)
    }
}

fn text(text: ServerText) -> Action {
    Action::SendText(text)
}

fn error(code: ErrorCode) -> Action {
    text(ServerText::error(code))
}

fn peer(state: PeerState) -> Action {
    text(ServerText::Peer { state })
}

#[test]
fn a_session_joins_two_peers_and_blobs_go_verbatim_and_in_order() {
    // RV-CREATE, RV-JOIN, RV-HELLO, RV-READY, RV-BLOB-OPAQUE, RV-BLOB-ORDER
    let mut world = World::new();
    let (id, a, b) = world.pair();
    assert_eq!(world.server.session_state(id), Some(State::Joined));
    let blobs: [&[u8]; 4] = [b"\0\xff", b"one", b"two", b"{\"type\":\"close\"}"];
    for blob in blobs {
        world.blob(a, blob);
        world.blob(b, blob);
    }
    let expected: Vec<_> = blobs
        .iter()
        .flat_map(|blob| [b, a].map(|to| (to, Action::SendBlob(blob.to_vec()))))
        .collect();
    assert_eq!(world.outputs(), expected);
}

#[test]
fn a_session_can_be_joined_once_whatever_happens_then() {
    // RV-ONE-JOIN
    let mut world = World::new();
    let created = world.create();
    let nameplate = JoinRequest::Nameplate(created.nameplate.unwrap());
    let joined = world.join(created.session);
    let again = world.server.join(world.now, ip(4), nameplate).map_err(|r| r.code);
    assert_eq!(again, Err(ErrorCode::AlreadyJoined));
    assert_eq!(world.join_as(5, created.session), Err(ErrorCode::AlreadyJoined));
    let conn = world.attach(joined.token);
    world.server.detach(world.now, conn);
    assert_eq!(world.join_as(5, created.session), Err(ErrorCode::AlreadyJoined));
    let conn = world.attach(created.token);
    world.text(conn, &ClientText::Close { reason: CloseReason::Done });
    assert_eq!(world.join_as(5, created.session), Err(ErrorCode::Closed));
}

#[test]
fn a_joiner_who_does_not_come_in_time_counts_as_one_who_left() {
    // RV-JOIN-CLAIM, RV-LEFT, RV-ONE-JOIN: as when it did not hear the answer.
    let mut world = World::new();
    let created = world.create();
    let creator = world.attach(created.token);
    world.pass(secs(60));
    let joined = world.join(created.session);
    world.outputs();
    assert_eq!(world.server.poll_timeout(), Some((start() + secs(75), TimerKind::Claim)));
    world.pass(secs(14));
    assert_eq!(world.outputs(), []);
    world.pass(secs(1));
    assert_eq!(world.outputs(), [(creator, peer(PeerState::Left))]);
    let late = world.attach(joined.token);
    assert_eq!(world.outputs()[0], (late, error(ErrorCode::TokenRefused)));
    assert_eq!(world.join_as(5, created.session), Err(ErrorCode::AlreadyJoined));

    // Who comes in time has the session's whole life.
    let (id, ..) = world.pair();
    world.pass(secs(15));
    assert_eq!(world.outputs(), []);
    assert_eq!(world.server.session_state(id), Some(State::Joined));
}

#[test]
fn an_unknown_id_or_nameplate_is_not_found() {
    // RV-NOT-FOUND
    let mut world = World::new();
    let taken = world.create().nameplate.unwrap().get();
    assert_eq!(world.join_as(2, SessionId::from_bits(5)), Err(ErrorCode::NotFound));
    let other = Nameplate::try_from(taken % 9 + 1).unwrap();
    let result = world.server.join(world.now, ip(2), JoinRequest::Nameplate(other));
    assert_eq!(result.map_err(|r| r.code), Err(ErrorCode::NotFound));
}

#[test]
fn a_session_without_a_nameplate_gets_none() {
    // RV-NAMEPLATE-ASKED
    let mut world = World::new();
    let created = world.server.create(world.now, ip(1), CreateRequest::default()).unwrap();
    assert_eq!(created.nameplate, None);
}

#[test]
fn ids_tokens_and_nameplates_come_from_the_seed_alone() {
    // RV-ID-RANDOM: same seed, same ids; another seed or draw, others.
    let mut draws = Vec::new();
    for seed in [1, 1, 2] {
        let mut server = Server::new(Config::default(), [seed; 32]);
        let request = CreateRequest { nameplate: true };
        let made = [(); 2].map(|()| server.create(start(), ip(1), request).unwrap());
        assert_ne!(made[0].session, made[1].session);
        assert_ne!(String::from(made[0].token), made[0].session.to_string());
        draws.push(made);
    }
    assert_eq!(draws[0], draws[1]);
    assert_ne!(draws[0][0].session, draws[2][0].session);
    assert_ne!(draws[0][0].token, draws[2][0].token);
}

#[test]
fn nameplates_grow_under_load_and_come_back() {
    // RV-NAMEPLATE-DRAW, RV-NAMEPLATE-FREE
    let generous = Rate { burst: 100_000, per_minute: 100_000 };
    let mut world = World::with(Config { creates: generous, ..Config::default() });
    let mut taken: Vec<u16> = (0..600).map(|_| world.create().nameplate.unwrap().get()).collect();
    let digits = |low, high| taken.iter().filter(|n| (low..=high).contains(*n)).count();
    assert_eq!((digits(1, 9), digits(10, 99), digits(100, 999)), (5, 46, 451));
    assert_eq!(digits(1_000, 9_999), 600 - 5 - 46 - 451);
    taken.sort_unstable();
    taken.dedup();
    assert_eq!(taken.len(), 600, "no nameplate is given out twice");
    world.pass(secs(20 * 60));
    assert!(world.create().nameplate.unwrap().get() >= 10, "those of ended sessions rest");
    world.pass(secs(10 * 60));
    assert!(world.create().nameplate.unwrap().get() < 10);
}

#[test]
fn the_number_of_an_ended_session_is_not_given_to_another_while_there_are_others() {
    // RV-NAMEPLATE-FREE
    let mut world = World::new();
    let first = world.create();
    let number = first.nameplate.unwrap();
    let conn = world.attach(first.token);
    world.text(conn, &ClientText::Close { reason: CloseReason::Done });
    assert!(world.server.session_state(first.session).is_some_and(State::is_over));
    let joined = world.server.join(world.now, ip(2), JoinRequest::Nameplate(number));
    assert_eq!(joined.map_err(|refusal| refusal.code), Err(ErrorCode::NotFound));
    for _ in 0..8 {
        assert_ne!(world.create().nameplate, Some(number));
    }
}

#[test]
fn numbers_that_rest_are_taken_when_there_are_no_others() {
    // RV-NAMEPLATE-FREE, RV-NAMEPLATE-DRAW
    let generous = Rate { burst: 100_000, per_minute: 100_000 };
    let config = Config { creates: generous, max_sessions: 10_000, ..Config::default() };
    let mut world = World::with(config);
    // Half of each length.
    let count = 5 + 46 + 451 + 4_501;
    for _ in 0..count {
        world.create();
    }
    let request = CreateRequest { nameplate: true };
    let full = world.server.create(world.now, ip(1), request);
    assert_eq!(full.map_err(|refusal| refusal.code), Err(ErrorCode::Full));
    world.pass(secs(20 * 60));
    assert!(world.create().nameplate.is_some(), "all of them have ended");
}

#[test]
fn an_expired_session_says_so_and_is_forgotten_later() {
    // RV-LIFE, RV-EXPIRED, RV-ENDED
    let mut world = World::new();
    let created = world.create();
    assert_eq!(created.expires_in, 1_200);
    let conn = world.attach(created.token);
    world.outputs();
    world.pass(secs(1_199));
    assert_eq!(world.server.session_state(created.session), Some(State::Created));
    assert_eq!(world.server.poll_timeout(), Some((start() + secs(1_200), TimerKind::Life)));
    world.pass(secs(1));
    assert_eq!(world.outputs(), [(conn, error(ErrorCode::Expired)), (conn, Action::Close)]);
    assert_eq!(world.join_as(2, created.session), Err(ErrorCode::Expired));
    assert_eq!(world.server.poll_timeout(), Some((start() + secs(1_800), TimerKind::Forget)));
    world.pass(secs(600));
    assert_eq!(world.join_as(2, created.session), Err(ErrorCode::NotFound));
    assert_eq!(world.server.poll_timeout(), None);
}

#[test]
fn a_late_join_still_has_time() {
    // RV-LIFE-JOINED
    let mut world = World::new();
    let created = world.create();
    world.pass(secs(1_190));
    let joined = world.join(created.session);
    assert_eq!(joined.expires_in, 120);
    world.pass(secs(119));
    assert_eq!(world.server.session_state(created.session), Some(State::Joined));
    world.pass(secs(1));
    assert_eq!(world.server.session_state(created.session), Some(State::Expired));

    let early = world.create();
    assert_eq!(world.join(early.session).expires_in, 1_200);
}
