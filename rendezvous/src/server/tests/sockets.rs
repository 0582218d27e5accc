//! What sockets may do, and what their peers are told.

use super::*;
use crate::messages::MAX_TEXT;

#[test]
fn a_token_opens_one_socket() {
    // RV-TOKEN-ONCE
    let mut world = World::new();
    let created = world.create();
    let first = world.attach(created.token);
    assert_eq!(world.outputs(), [(first, text(ServerText::Ready))]);
    let second = world.attach(created.token);
    let refused = [(second, error(ErrorCode::TokenRefused)), (second, Action::Close)];
    assert_eq!(world.outputs(), refused);
    world.server.detach(world.now, first);
    let third = world.attach(created.token);
    assert_eq!(world.outputs()[0], (third, error(ErrorCode::TokenRefused)));
}

#[test]
fn an_unknown_token_or_one_of_an_ended_session_is_refused() {
    // RV-TOKEN-ONCE, RV-TOKEN-ENDED
    let mut world = World::new();
    let (created, other) = (world.create(), world.create());
    let joined = world.join(created.session);
    let creator = world.attach(created.token);
    world.text(creator, &ClientText::Close { reason: CloseReason::Cancel });
    world.pass(secs(1));
    world.outputs();
    for token in [joined.token, Token::from_bits(1)] {
        let conn = world.attach(token);
        let refused = [(conn, error(ErrorCode::TokenRefused)), (conn, Action::Close)];
        assert_eq!(world.outputs(), refused);
    }
    world.pass(secs(1_200));
    world.outputs();
    let conn = world.attach(other.token);
    assert_eq!(world.outputs()[0], (conn, error(ErrorCode::TokenRefused)));
}

#[test]
fn blobs_wait_for_the_peer_and_come_in_order() {
    // RV-QUEUE, RV-ATTACH-ORDER
    let mut world = World::new();
    let created = world.create();
    let a = world.attach(created.token);
    world.blob(a, b"first");
    let joined = world.join(created.session);
    world.blob(a, b"second");
    world.outputs();
    let b = world.attach(joined.token);
    assert_eq!(
        world.outputs(),
        [
            (b, text(ServerText::Ready)),
            (b, peer(PeerState::Joined)),
            (a, peer(PeerState::Joined)),
            (b, Action::SendBlob(b"first".to_vec())),
            (b, Action::SendBlob(b"second".to_vec())),
        ]
    );
}

#[test]
fn a_peer_that_left_leaves_its_blobs_behind() {
    // RV-ATTACH-ORDER, RV-LEFT
    let mut world = World::new();
    let created = world.create();
    let joined = world.join(created.session);
    let a = world.attach(created.token);
    world.blob(a, b"last words");
    world.server.detach(world.now, a);
    world.outputs();
    let b = world.attach(joined.token);
    assert_eq!(
        world.outputs(),
        [
            (b, text(ServerText::Ready)),
            (b, Action::SendBlob(b"last words".to_vec())),
            (b, peer(PeerState::Left)),
        ]
    );
}

#[test]
fn a_lost_socket_is_reported_and_the_last_one_ends_the_session() {
    // RV-LEFT, RV-BLOB-GONE, RV-LAST
    let mut world = World::new();
    let (id, a, b) = world.pair();
    world.server.detach(world.now, a);
    assert_eq!(world.outputs(), [(b, peer(PeerState::Left))]);
    world.blob(b, b"to nobody");
    assert_eq!(world.outputs(), []);
    assert_eq!(world.server.session_state(id), Some(State::Joined));
    world.server.detach(world.now, b);
    assert_eq!(world.outputs(), []);
    assert_eq!(world.server.session_state(id), Some(State::Closed));
    assert_eq!(world.server.live_sessions(), 0);
}

#[test]
fn a_creator_lost_before_the_join_ends_the_session() {
    // RV-LAST
    let mut world = World::new();
    let created = world.create();
    let a = world.attach(created.token);
    world.server.detach(world.now, a);
    assert_eq!(world.join_as(2, created.session), Err(ErrorCode::Closed));
    let number = JoinRequest::Nameplate(created.nameplate.unwrap());
    let by_number = world.server.join(world.now, ip(2), number).map_err(|r| r.code);
    assert_eq!(by_number, Err(ErrorCode::NotFound), "the nameplate means nothing any more");
}

#[test]
fn a_close_reaches_the_peer_with_its_reason() {
    // RV-CLOSE
    for reason in [CloseReason::Done, CloseReason::Cancel, CloseReason::Refused] {
        let mut world = World::new();
        let (id, a, b) = world.pair();
        world.text(b, &ClientText::Close { reason });
        let mut outputs = world.outputs();
        outputs.sort_by_key(|(conn, _)| *conn);
        let closed = text(ServerText::Closed { reason });
        assert_eq!(outputs, [(a, closed), (a, Action::Close), (b, Action::Close)]);
        assert_eq!(world.server.session_state(id), Some(State::Closed));
        world.blob(a, b"too late");
        world.text(a, &ClientText::Close { reason });
        world.server.detach(world.now, a);
        assert_eq!(world.outputs(), []);
    }
}

#[test]
fn a_silent_socket_is_closed() {
    // RV-HELLO-TIME, RV-ERROR-CLOSE
    let mut world = World::new();
    let conn = world.connect();
    assert_eq!(world.server.poll_timeout(), Some((start() + secs(10), TimerKind::Hello)));
    world.pass(secs(9));
    assert_eq!(world.outputs(), []);
    world.pass(secs(1));
    assert_eq!(world.outputs(), [(conn, error(ErrorCode::Timeout)), (conn, Action::Close)]);
}

#[test]
fn nothing_is_taken_before_the_hello() {
    // RV-HELLO-FIRST
    let mut world = World::new();
    let refused = |conn| [(conn, error(ErrorCode::Malformed)), (conn, Action::Close)];
    let conn = world.connect();
    world.blob(conn, b"hi");
    assert_eq!(world.outputs(), refused(conn));
    for early in [r#"{"type":"close","reason":"done"}"#, r#"{"type":"weather"}"#] {
        let conn = world.connect();
        world.server.handle_text(world.now, conn, early);
        assert_eq!(world.outputs(), refused(conn), "{early}");
    }
}

#[test]
fn a_second_hello_is_refused_and_leaves_the_other_token_alone() {
    // RV-HELLO-ONE
    let mut world = World::new();
    let created = world.create();
    let joined = world.join(created.session);
    let a = world.attach(created.token);
    world.outputs();
    world.text(a, &ClientText::Hello { token: joined.token });
    assert_eq!(world.outputs(), [(a, error(ErrorCode::Malformed)), (a, Action::Close)]);
    let b = world.attach(joined.token);
    let seen = [(b, text(ServerText::Ready)), (b, peer(PeerState::Left))];
    assert_eq!(world.outputs(), seen);
}

#[test]
fn texts_that_do_not_parse_end_the_socket_and_unknown_types_do_not() {
    // RV-MALFORMED, RV-UNKNOWN-TYPE, RV-TEXT-SIZE
    let mut world = World::new();
    let (_, a, _) = world.pair();
    world.server.handle_text(world.now, a, r#"{"type":"weather","deep":[[[1]]]}"#);
    assert_eq!(world.outputs(), []);
    let long = format!(r#"{{"type":"weather","of":"{}"}}"#, "x".repeat(MAX_TEXT));
    let cases = [
        ("", ErrorCode::Malformed),
        ("{}", ErrorCode::Malformed),
        ("null", ErrorCode::Malformed),
        ("{\"type\":\"close\"}", ErrorCode::Malformed),
        ("{\"type\":\"weather\"} ", ErrorCode::Unknown),
        (&long, ErrorCode::TooLarge),
    ];
    for (bad, code) in cases {
        let mut world = World::new();
        let (_, a, b) = world.pair();
        world.server.handle_text(world.now, a, bad);
        if code == ErrorCode::Unknown {
            assert_eq!(world.outputs(), [], "{bad}");
        } else {
            let ends = [(a, error(code)), (a, Action::Close), (b, peer(PeerState::Left))];
            assert_eq!(world.outputs(), ends, "{bad}");
        }
    }
}
