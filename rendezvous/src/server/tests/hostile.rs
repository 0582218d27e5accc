//! Random and hostile sequences: nothing panics, memory stays bounded, and the
//! server's indexes agree with each other after every step.

use proptest::prelude::*;
use proptest::strategy::ValueTree;

use super::*;
use crate::messages::MeetRequest;

/// Small limits, so that random runs meet all of them.
fn tight() -> Config {
    let rate = Rate { burst: 1_000, per_minute: 100_000 };
    Config {
        max_sessions: 12,
        max_sockets: 16,
        max_sockets_per_client: 8,
        max_clients: 16,
        queue_blobs: 4,
        queue_bytes: 20_000,
        queue_bytes_total: 40_000,
        session_bytes: 60_000,
        meets: rate,
        creates: rate,
        joins: rate,
        connects: rate,
        messages: rate,
        ..Config::default()
    }
}

/// How far back a run looks for something to use.
const RECENT: usize = 12;

#[derive(Clone, Debug)]
enum Op {
    /// All that two honest peers do until both sockets are open.
    Pair(u8),
    Create(u8, bool),
    JoinId(u8, usize),
    JoinNumber(u8, u16),
    Meet(u8, u8),
    Connect(u8),
    Hello(usize, usize),
    Close(usize),
    Blob(usize, usize),
    Text(usize, String),
    Detach(usize),
    Pass(u32),
}

fn op() -> impl Strategy<Value = Op> {
    let n = 0..RECENT;
    prop_oneof![
        2 => any::<u8>().prop_map(Op::Pair),
        2 => (any::<u8>(), any::<bool>()).prop_map(|(ip, plate)| Op::Create(ip, plate)),
        2 => (any::<u8>(), n.clone()).prop_map(|(ip, n)| Op::JoinId(ip, n)),
        1 => (any::<u8>(), 1..20_u16).prop_map(|(ip, n)| Op::JoinNumber(ip, n)),
        3 => (any::<u8>(), 0..4_u8).prop_map(|(ip, n)| Op::Meet(ip, n)),
        4 => any::<u8>().prop_map(Op::Connect),
        6 => (n.clone(), n.clone()).prop_map(|(conn, token)| Op::Hello(conn, token)),
        1 => n.clone().prop_map(Op::Close),
        8 => (n.clone(), prop_oneof![0..500_usize, 0..17_000_usize]).prop_map(|(conn, len)| Op::Blob(conn, len)),
        1 => (n.clone(), "\\PC{0,60}").prop_map(|(conn, text)| Op::Text(conn, text)),
        2 => n.prop_map(Op::Detach),
        1 => prop_oneof![0..5_000_u32, 0..400_000_u32].prop_map(Op::Pass),
    ]
}

/// The newest things that a run has seen, so that random numbers find live ones.
#[derive(Default)]
struct Seen {
    sessions: Vec<SessionId>,
    tokens: Vec<Token>,
    conns: Vec<ConnId>,
}

fn pick<T: Copy>(from: &[T], n: usize) -> Option<T> {
    from.iter().rev().take(RECENT).nth(n % from.len().clamp(1, RECENT)).copied()
}

fn run(world: &mut World, seen: &mut Seen, op: Op) {
    let now = world.now;
    match op {
        Op::Pair(client) => {
            let Ok(made) = world.server.create(now, ip(client), CreateRequest::default()) else {
                return;
            };
            let Ok(joined) = world.join_as(client, made.session) else { return };
            seen.sessions.push(made.session);
            for token in [made.token, joined.token] {
                if let Ok(conn) = world.server.connect(now, ip(client)) {
                    world.text(conn, &ClientText::Hello { token });
                    seen.conns.push(conn);
                }
            }
        }
        Op::Create(client, nameplate) => {
            if let Ok(made) = world.server.create(now, ip(client), CreateRequest { nameplate }) {
                seen.sessions.push(made.session);
                seen.tokens.push(made.token);
            }
        }
        Op::JoinId(client, n) => {
            let Some(id) = pick(&seen.sessions, n) else { return };
            if let Ok(joined) = world.join_as(client, id) {
                seen.tokens.push(joined.token);
            }
        }
        Op::JoinNumber(client, n) => {
            let request = JoinRequest::Nameplate(Nameplate::try_from(n).unwrap());
            if let Ok(joined) = world.server.join(now, ip(client), request) {
                seen.tokens.push(joined.token);
            }
        }
        Op::Meet(client, n) => {
            let meeting = MeetingId::from_bytes([n; 16]);
            if let Ok(met) = world.server.meet(now, ip(client), MeetRequest { meeting }) {
                seen.sessions.push(met.session);
                seen.tokens.push(met.token);
            }
        }
        Op::Connect(client) => seen.conns.extend(world.server.connect(now, ip(client))),
        Op::Hello(conn, token) => {
            let found = pick(&seen.conns, conn).zip(pick(&seen.tokens, token));
            if let Some((conn, token)) = found {
                world.text(conn, &ClientText::Hello { token });
            }
        }
        Op::Close(n) => {
            if let Some(conn) = pick(&seen.conns, n) {
                world.text(conn, &ClientText::Close { reason: CloseReason::Done });
            }
        }
        Op::Blob(n, len) => {
            if let Some(conn) = pick(&seen.conns, n) {
                world.server.handle_blob(now, conn, vec![0; len]);
            }
        }
        Op::Text(n, text) => {
            if let Some(conn) = pick(&seen.conns, n) {
                world.server.handle_text(now, conn, &text);
            }
        }
        Op::Detach(n) => {
            if let Some(conn) = pick(&seen.conns, n) {
                world.server.detach(now, conn);
            }
        }
        Op::Pass(millis) => world.pass(Duration::from_millis(millis.into())),
    }
}

/// Everything that must hold between two calls.
fn check(world: &World) {
    let (server, config) = (&world.server, world.server.config());
    let live = server.sessions.values().filter(|s| s.state.is_live()).count();
    assert_eq!(live, server.live);
    assert!(live <= config.max_sessions && server.ended.len() <= config.max_sessions);
    assert_eq!(server.sessions.len(), live + server.ended.len());
    assert!(server.nameplates.len() <= server.sessions.len() && server.tokens.len() <= 2 * live);
    for (number, id) in &server.nameplates {
        assert_eq!(server.sessions[id].nameplate, Some(*number));
    }
    assert!(server.conns.len() <= config.max_sockets);
    assert!(server.clients.known.len() <= config.max_clients);
    let silent = server.conns.values().filter(|c| matches!(c.place, Place::Silent { .. })).count();
    let peers = || server.sessions.values().flat_map(|s| [&s.creator, &s.joiner]);
    let claims = peers().filter(|peer| peer.claim.is_some());
    assert!(claims.clone().all(|peer| matches!(peer.seat, Seat::Awaited(_))));
    assert_eq!(server.timers.len(), live + silent + claims.count());
    for (meeting, id) in &server.meetings {
        let session = &server.sessions[id];
        assert!(session.state.is_live() && session.meeting == Some(*meeting));
    }
    let met = server.sessions.values().filter(|session| session.meeting.is_some());
    assert_eq!(met.count(), server.meetings.len());
    let queues = || server.sessions.values().flat_map(|s| [&s.creator, &s.joiner]);
    for queue in queues() {
        assert_eq!(queue.queue.iter().map(Vec::len).sum::<usize>(), queue.queued);
        assert!(queue.queue.len() <= config.queue_blobs && queue.queued <= config.queue_bytes);
    }
    assert_eq!(queues().map(|q| q.queued).sum::<usize>(), server.queued);
    assert!(server.queued <= config.queue_bytes_total);
    for (id, session) in &server.sessions {
        assert!(session.carried <= config.session_bytes);
        for side in [Side::Creator, Side::Joiner] {
            match session.peer(side).seat {
                Seat::Open(conn) => assert!(matches!(
                    server.conns.get(&conn).map(|c| c.place),
                    Some(Place::Member { session, side: own }) if session == *id && own == side
                )),
                Seat::Awaited(token) => {
                    assert!(server.tokens.get(&token) == Some(&(*id, side)));
                }
                Seat::Vacant | Seat::Gone => {}
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_sequence_keeps_the_books_right(ops in prop::collection::vec(op(), 0..400)) {
        let (mut world, mut seen) = (World::with(tight()), Seen::default());
        for op in ops {
            run(&mut world, &mut seen, op);
            check(&world);
            world.outputs();
        }
    }

    #[test]
    fn any_text_at_any_time_is_survived(texts in prop::collection::vec("\\PC{0,200}", 1..40)) {
        let mut world = World::with(tight());
        for text in texts {
            let (_, a, _) = world.pair();
            let silent = world.connect();
            for conn in [a, silent] {
                world.server.handle_text(world.now, conn, &text);
            }
            world.pass(secs(3_600));
            check(&world);
            world.outputs();
        }
    }

    #[test]
    fn near_misses_of_real_texts_are_survived(
        at in 0..80_usize, byte in any::<u8>(), cut in any::<bool>(),
    ) {
        let hello = format!(r#"{{"type":"hello","token":"{}"}}"#, SessionId::from_bits(9));
        for good in [hello.as_str(), r#"{"type":"close","reason":"refused"}"#] {
            let mut bytes = good.as_bytes().to_vec();
            let at = at % bytes.len();
            if cut { bytes.truncate(at) } else { bytes[at] = byte }
            let mut world = World::new();
            let (_, a, _) = world.pair();
            world.server.handle_text(world.now, a, &String::from_utf8_lossy(&bytes));
            check(&world);
        }
    }
}

#[test]
fn ten_thousand_operations_stay_within_all_bounds() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let (mut world, mut seen) = (World::with(tight()), Seen::default());
    let (mut most, mut carried) = (0, 0);
    for _ in 0..10_000 {
        let op = op().new_tree(&mut runner).unwrap().current();
        run(&mut world, &mut seen, op);
        check(&world);
        most = most.max(world.server.live_sessions());
        let outputs = world.outputs();
        carried += outputs.iter().filter(|(_, a)| matches!(a, Action::SendBlob(_))).count();
    }
    assert!(most >= 8 && carried > 50, "the run is too tame: {most} sessions, {carried} blobs");
}
