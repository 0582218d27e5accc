//! Peers that meet again: who comes first, who comes second, who comes back.

use super::*;
use crate::messages::{MeetRequest, MeetResponse, MeetRole};

fn at(place: u8) -> MeetRequest {
    MeetRequest { meeting: MeetingId::from_bytes([place; 16]) }
}

impl World {
    fn meet(&mut self, client: u8) -> MeetResponse {
        self.server.meet(self.now, ip(client), at(1)).unwrap()
    }
}

#[test]
fn the_first_creates_and_the_second_joins() {
    // RV-MEET, RV-MEETING-ID
    let mut world = World::new();
    let (first, second) = (world.meet(1), world.meet(2));
    assert_eq!((first.role, second.role), (MeetRole::Creator, MeetRole::Joiner));
    assert_eq!((first.session, first.expires_in), (second.session, 1_200));
    assert_ne!(first.token, second.token);
    assert_ne!(first.session.to_bytes(), [1; 16]);
    let (a, b) = (world.attach(first.token), world.attach(second.token));
    world.outputs();
    world.blob(a, b"hello");
    world.blob(b, b"again");
    let passed =
        [(b, Action::SendBlob(b"hello".to_vec())), (a, Action::SendBlob(b"again".to_vec()))];
    assert_eq!(world.outputs(), passed);
}

#[test]
fn two_meetings_have_nothing_in_common() {
    // RV-MEET
    let mut world = World::new();
    let first = world.meet(1);
    let other = world.server.meet(world.now, ip(2), at(2)).unwrap();
    assert_eq!(other.role, MeetRole::Creator);
    assert_ne!(first.session, other.session);
}

#[test]
fn whoever_waited_and_left_leaves_a_new_beginning() {
    // RV-MEETING-ANEW, RV-LAST
    let mut world = World::new();
    let first = world.meet(1);
    let conn = world.attach(first.token);
    world.server.detach(world.now, conn);
    let second = world.meet(2);
    assert_eq!(second.role, MeetRole::Creator);
    assert_ne!(second.session, first.session);
    assert_eq!(world.meet(1).role, MeetRole::Joiner);
}

#[test]
fn a_token_that_is_not_used_in_time_counts_as_a_lost_socket() {
    // RV-MEETING-CLAIM
    let mut world = World::new();
    let first = world.meet(1);
    world.pass(secs(10));
    let second = world.meet(2);
    let waiting = world.attach(second.token);
    world.outputs();
    assert_eq!(world.server.poll_timeout(), Some((start() + secs(15), TimerKind::Claim)));
    world.pass(secs(5));
    assert_eq!(world.outputs(), [(waiting, peer(PeerState::Left))]);
    let late = world.attach(first.token);
    assert_eq!(world.outputs()[0], (late, error(ErrorCode::TokenRefused)));

    // Nobody used any: the next begins anew.
    let mut world = World::new();
    let first = world.meet(1);
    world.pass(secs(15));
    assert_eq!(world.server.session_state(first.session), Some(State::Closed));
    assert_eq!((world.server.live_sessions(), world.meet(2).role), (0, MeetRole::Creator));
}

#[test]
fn whoever_comes_back_is_not_locked_out_and_the_survivor_learns_it() {
    // RV-MEETING-ANEW, RV-LEFT
    for is_loss_noticed in [true, false] {
        let mut world = World::new();
        let (first, second) = (world.meet(1), world.meet(2));
        let (a, b) = (world.attach(first.token), world.attach(second.token));
        world.outputs();
        if is_loss_noticed {
            world.server.detach(world.now, a);
            assert_eq!(world.outputs(), [(b, peer(PeerState::Left))]);
        }
        let back = world.meet(1);
        assert_eq!(back.role, MeetRole::Creator);
        assert_ne!(back.session, first.session);
        let told = world.outputs();
        let ended = [(b, error(ErrorCode::Closed)), (b, Action::Close)];
        assert_eq!(told.get(told.len() - 2..), Some(&ended[..]));
        assert_eq!(told.len(), if is_loss_noticed { 2 } else { 4 });
        assert_eq!(world.server.session_state(first.session), Some(State::Closed));
        let again = world.meet(2);
        assert_eq!((again.role, again.session), (MeetRole::Joiner, back.session));
    }
}

#[test]
fn a_meeting_can_be_used_again_after_its_session_is_done_or_expired() {
    // RV-MEETING-ANEW, RV-EXPIRED
    let mut world = World::new();
    let conn = world.meet(1);
    let conn = world.attach(conn.token);
    world.text(conn, &ClientText::Close { reason: CloseReason::Done });
    let next = world.meet(1);
    assert_eq!(next.role, MeetRole::Creator);
    let conn = world.attach(next.token);
    world.outputs();
    world.pass(secs(1_200));
    assert_eq!(world.outputs(), [(conn, error(ErrorCode::Expired)), (conn, Action::Close)]);
    assert_eq!(world.meet(1).role, MeetRole::Creator);
}

#[test]
fn meetings_are_limited_like_sessions_and_for_each_client() {
    // RV-SESSIONS, RV-RATE
    let mut world = World::with(Config { max_sessions: 1, ..Config::default() });
    world.meet(1);
    let full = world.server.meet(world.now, ip(2), at(2)).map_err(|refusal| refusal.code);
    assert_eq!(full, Err(ErrorCode::Full));
    assert_eq!(world.meet(2).role, MeetRole::Joiner, "to join takes no room");

    let mut world = World::new();
    for _ in 0..40 {
        world.meet(1);
    }
    let refusal = world.server.meet(world.now, ip(1), at(1)).unwrap_err();
    assert_eq!((refusal.code, refusal.retry_after), (ErrorCode::RateLimited, Some(secs(1))));
    assert!(world.server.meet(world.now, ip(2), at(2)).is_ok());
}

/// Two peers, each of which has a session and a socket in it or nothing.
#[derive(Default)]
struct Two {
    own: [Option<(SessionId, ConnId)>; 2],
}

impl Two {
    fn ask(&mut self, world: &mut World, who: usize) {
        if self.own[who].is_none() {
            let met = world.meet(if who == 0 { 1 } else { 2 });
            self.own[who] = Some((met.session, world.attach(met.token)));
        }
        self.listen(world);
    }

    fn lose(&mut self, world: &mut World, who: usize) {
        if let Some((_, conn)) = self.own[who].take() {
            world.server.detach(world.now, conn);
        }
        self.listen(world);
    }

    /// Who is told that it is alone lets go.
    fn listen(&mut self, world: &mut World) {
        for (conn, action) in world.outputs() {
            if [peer(PeerState::Left), Action::Close].contains(&action) {
                for own in &mut self.own {
                    own.take_if(|(_, mine)| *mine == conn);
                }
                world.server.detach(world.now, conn);
            }
        }
    }
}

#[test]
fn whatever_the_order_two_peers_that_keep_asking_find_each_other() {
    // RV-MEETING-ANEW, RV-MEETING-AGAIN: any six steps of asking and losing, and
    // then each asks until it has a socket.
    for order in 0..1_u32 << 12 {
        let (mut world, mut two) = (World::new(), Two::default());
        for step in 0..6 {
            let who = (order >> (2 * step) & 1) as usize;
            if order >> (2 * step + 1) & 1 == 1 {
                two.lose(&mut world, who);
            } else {
                two.ask(&mut world, who);
            }
        }
        for who in [0, 1, 0, 1] {
            two.ask(&mut world, who);
        }
        let [one, other] = two.own.map(|own| own.map(|(session, _)| session));
        assert!(one.is_some() && one == other, "order {order:#b}");
    }
}
