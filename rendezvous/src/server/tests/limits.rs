//! Every limit, at its edge and one beyond.

use super::*;
use crate::messages::MAX_SIGNAL_BLOB;

fn closes_with(world: &mut World, conn: ConnId, code: ErrorCode) {
    let outputs = world.outputs();
    assert_eq!(outputs.get(..2), Some(&[(conn, error(code)), (conn, Action::Close)][..]));
}

#[test]
fn blobs_have_a_longest_and_a_shortest_length() {
    // RV-BLOB-SIZE
    let mut world = World::new();
    let (_, a, b) = world.pair();
    world.blob(a, &vec![1; MAX_SIGNAL_BLOB]);
    assert_eq!(world.outputs(), [(b, Action::SendBlob(vec![1; MAX_SIGNAL_BLOB]))]);
    world.blob(a, &vec![1; MAX_SIGNAL_BLOB + 1]);
    closes_with(&mut world, a, ErrorCode::TooLarge);
    world.blob(b, b"");
    closes_with(&mut world, b, ErrorCode::Malformed);
}

#[test]
fn the_queue_for_an_absent_peer_is_bounded_in_count_and_bytes() {
    // RV-QUEUE
    let mut world = World::new();
    let a = world.create().token;
    let a = world.attach(a);
    world.outputs();
    for _ in 0..32 {
        world.blob(a, b"x");
    }
    assert_eq!(world.outputs(), []);
    world.blob(a, b"x");
    closes_with(&mut world, a, ErrorCode::TooLarge);

    let a = world.create().token;
    let a = world.attach(a);
    world.outputs();
    for _ in 0..8 {
        world.blob(a, &vec![0; MAX_SIGNAL_BLOB]);
    }
    assert_eq!(world.outputs(), []);
    world.blob(a, b"x");
    closes_with(&mut world, a, ErrorCode::TooLarge);
}

#[test]
fn all_queues_together_are_bounded_and_room_comes_back() {
    // RV-QUEUE-TOTAL
    let mut world = World::with(Config { queue_bytes_total: 20_000, ..Config::default() });
    let created = [world.create(), world.create()];
    let first = world.attach(created[0].token);
    world.blob(first, &[0; 15_000]);
    let second = world.attach(created[1].token);
    world.blob(second, &[0; 5_000]);
    world.outputs();
    world.blob(second, b"x");
    closes_with(&mut world, second, ErrorCode::Full);
    let joined = world.join(created[0].session);
    world.attach(joined.token);
    world.outputs();
    let third = world.create().token;
    let third = world.attach(third);
    world.blob(third, &[0; 16_000]);
    assert_eq!(world.outputs(), [(third, text(ServerText::Ready))]);
}

#[test]
fn a_session_carries_a_bounded_number_of_bytes() {
    // RV-SESSION-BYTES: both directions count.
    let mut world = World::with(Config { session_bytes: 20_000, ..Config::default() });
    let (_, a, b) = world.pair();
    world.blob(a, &[0; 10_000]);
    world.blob(b, &[0; 10_000]);
    assert_eq!(world.outputs().len(), 2);
    world.blob(b, b"x");
    closes_with(&mut world, b, ErrorCode::TooLarge);
}

#[test]
fn live_sessions_are_bounded_and_ended_ones_do_not_count() {
    // RV-SESSIONS, RV-ENDED
    let mut world = World::with(Config { max_sessions: 2, ..Config::default() });
    let first = world.create();
    world.create();
    let full = world.server.create(world.now, ip(9), CreateRequest::default());
    assert_eq!(full.map_err(|r| r.code), Err(ErrorCode::Full));
    let conn = world.attach(first.token);
    world.server.detach(world.now, conn);
    world.create();
    assert_eq!(world.server.live_sessions(), 2);
}

#[test]
fn creating_and_joining_are_limited_for_each_client() {
    // RV-RATE, RV-RATE-JOIN, RV-RETRY
    let mut world = World::new();
    for _ in 0..20 {
        world.create();
    }
    let refusal = world.server.create(world.now, ip(1), CreateRequest::default()).unwrap_err();
    assert_eq!((refusal.code, refusal.retry_after), (ErrorCode::RateLimited, Some(secs(3))));
    let other = world.server.create(world.now, ip(2), CreateRequest::default());
    assert!(other.is_ok(), "another client is not concerned");

    for _ in 0..5 {
        assert_eq!(world.join_as(5, SessionId::from_bits(1)), Err(ErrorCode::NotFound));
    }
    assert_eq!(world.join_as(5, SessionId::from_bits(1)), Err(ErrorCode::RateLimited));
    world.pass(secs(6));
    assert_eq!(world.join_as(5, SessionId::from_bits(1)), Err(ErrorCode::NotFound));
}

#[test]
fn sockets_are_limited_in_number_and_rate() {
    // RV-SOCKETS, RV-RATE
    let config = Config { max_sockets: 4, max_sockets_per_client: 3, ..Config::default() };
    let mut world = World::with(config);
    let try_open =
        |world: &mut World, n| world.server.connect(world.now, ip(n)).map_err(|r| r.code);
    let first = try_open(&mut world, 1).unwrap();
    try_open(&mut world, 1).unwrap();
    try_open(&mut world, 1).unwrap();
    assert_eq!(try_open(&mut world, 1), Err(ErrorCode::RateLimited));
    try_open(&mut world, 2).unwrap();
    assert_eq!(try_open(&mut world, 2), Err(ErrorCode::Full));
    world.server.detach(world.now, first);
    try_open(&mut world, 2).unwrap();

    let connects = Rate { burst: 2, per_minute: 1 };
    let mut world = World::with(Config { connects, ..Config::default() });
    try_open(&mut world, 1).unwrap();
    try_open(&mut world, 1).unwrap();
    assert_eq!(try_open(&mut world, 1), Err(ErrorCode::RateLimited));
}

#[test]
fn messages_are_limited_over_all_sockets_of_a_client() {
    // RV-RATE
    let messages = Rate { burst: 5, per_minute: 1 };
    let mut world = World::with(Config { messages, ..Config::default() });
    let (_, a, b) = world.pair();
    world.blob(a, b"x");
    world.blob(b, b"x");
    world.blob(a, b"x");
    world.outputs();
    world.blob(b, b"x");
    closes_with(&mut world, b, ErrorCode::RateLimited);
}
