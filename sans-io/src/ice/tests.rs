//! Tests of the search for addresses: who is asked, when, and whose answers count.

use std::collections::BTreeSet;

use passel_proto::crypto::Entropy;
use stun_types::attribute::XorMappedAddress;
use stun_types::message::{
    BINDING, Message, MessageClass, MessageType, MessageWrite, MessageWriteExt, MessageWriteVec,
};

use super::*;

const BASE: &str = "192.168.0.2:5000";
const SERVER: &str = "198.51.100.1:3478";
const SEEN: &str = "203.0.113.1:61000";

fn end(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

#[allow(clippy::disallowed_methods)] // the one moment that a test begins at
fn epoch() -> Instant {
    Instant::now()
}

fn gatherer(servers: &[&str]) -> Gatherer {
    let servers: Vec<_> = servers.iter().map(|server| end(server)).collect();
    Gatherer::new(&servers, Entropy::from_seed([3; 32]))
}

/// A gatherer that has sent its first request, and that request.
fn asking(now: Instant) -> (Gatherer, Datagram) {
    let mut gatherer = gatherer(&[SERVER]);
    gatherer.add_base(end(BASE));
    gatherer.start(now);
    let request = gatherer.poll_datagram().unwrap();
    (gatherer, request)
}

fn answer(request: &Datagram, class: MessageClass, seen: &str) -> Vec<u8> {
    let id = Message::from_bytes(&request.contents).unwrap().transaction_id();
    let kind = MessageType::from_class_method(class, BINDING);
    let mut message = Message::builder(kind, id, MessageWriteVec::new());
    message.add_attribute(&XorMappedAddress::new(end(seen), id)).unwrap();
    message.finish()
}

fn take(gatherer: &mut Gatherer, now: Instant, from: &str, to: &str, contents: &[u8]) -> bool {
    let (source, destination) = (end(from), end(to));
    gatherer.handle_datagram(now, DatagramRef { source, destination, contents })
}

// TB-STUN-ASK
#[test]
fn a_server_is_asked_from_every_address_of_its_family_and_its_answer_is_found() {
    let now = epoch();
    let mut gatherer = gatherer(&[SERVER, "[2001:db8::1]:3478"]);
    for base in [BASE, "[2001:db8::2]:5000", "127.0.0.1:5000"] {
        gatherer.add_base(end(base));
    }
    assert_eq!(gatherer.poll_timeout(), None, "not before the start");
    gatherer.start(now);
    let request = gatherer.poll_datagram().unwrap();
    assert_eq!((request.source, request.destination), (end(BASE), end(SERVER)));
    assert_eq!(gatherer.poll_datagram(), None, "the next is not asked at the same moment");
    let due = gatherer.poll_timeout().unwrap();
    assert_eq!(due, now + PACE);
    gatherer.handle_timeout(due);
    let other = gatherer.poll_datagram().unwrap();
    assert_eq!(other.source, end("[2001:db8::2]:5000"));
    assert_eq!(gatherer.poll_datagram(), None, "nobody is asked from the loopback");

    let contents = answer(&request, MessageClass::Success, SEEN);
    assert!(take(&mut gatherer, now, SERVER, BASE, &contents));
    let found = Reflexive { base: end(BASE), address: end(SEEN) };
    assert_eq!(gatherer.poll_found(), Some(found));
    assert_eq!(gatherer.poll_found(), None);
    assert!(!take(&mut gatherer, now, SERVER, BASE, &contents), "an answer counts once");
}

// TB-STUN-ANSWER
#[test]
fn only_the_server_that_was_asked_can_answer_and_only_with_the_same_id() {
    let now = epoch();
    let (mut gatherer, request) = asking(now);
    let right = answer(&request, MessageClass::Success, SEEN);
    assert!(!take(&mut gatherer, now, "198.51.100.1:3479", BASE, &right));
    assert!(!take(&mut gatherer, now, "198.51.100.2:3478", BASE, &right));
    assert!(!take(&mut gatherer, now, SERVER, "192.168.0.2:5001", &right));
    let mut wrong = right.clone();
    wrong[19] ^= 1;
    assert!(!take(&mut gatherer, now, SERVER, BASE, &wrong));
    assert!(!take(&mut gatherer, now, SERVER, BASE, &request.contents), "an echo");
    assert_eq!(gatherer.poll_found(), None);
    assert!(take(&mut gatherer, now, SERVER, BASE, &right));
}

// TB-STUN-ADDRESS
#[test]
fn addresses_of_no_use_are_not_candidates() {
    for seen in ["0.0.0.0:5", "224.0.0.1:5", "203.0.113.1:0", "[2001:db8::9]:5", BASE] {
        let now = epoch();
        let (mut gatherer, request) = asking(now);
        let contents = answer(&request, MessageClass::Success, seen);
        assert!(take(&mut gatherer, now, SERVER, BASE, &contents));
        assert_eq!(gatherer.poll_found(), None, "{seen}");
    }
}

// TB-STUN-ID, TB-STUN-REFRESH
#[test]
fn requests_are_repeated_and_begun_anew_with_another_id() {
    let begin = epoch();
    let (mut gatherer, first) = asking(begin);
    let mut sent = vec![(0, first)];
    for _ in 0..40 {
        let due = gatherer.poll_timeout().unwrap();
        gatherer.handle_timeout(due);
        while let Some(datagram) = gatherer.poll_datagram() {
            sent.push(((due - begin).as_millis(), datagram));
        }
    }
    let times: Vec<_> = sent.iter().take(8).map(|(at, _)| *at).collect();
    assert_eq!(times, [0, 500, 1500, 3500, 7500, 15_500, 31_500, 54_500]);
    assert!(sent[..7].iter().all(|(_, datagram)| *datagram == sent[0].1), "repeated as it was");
    assert_ne!(sent[0].1, sent[7].1);
    let ids: BTreeSet<_> = sent.iter().map(|(_, datagram)| &datagram.contents[8..20]).collect();
    assert_eq!(ids.len(), sent.len().div_ceil(7));
}

// TB-STUN-REFRESH
#[test]
fn a_changed_address_is_found_and_an_equal_one_is_not_found_again() {
    let now = epoch();
    let (mut gatherer, mut request) = asking(now);
    let mut found = Vec::new();
    for seen in [SEEN, SEEN, "203.0.113.1:61001"] {
        let contents = answer(&request, MessageClass::Success, seen);
        assert!(take(&mut gatherer, now, SERVER, BASE, &contents));
        found.extend(gatherer.poll_found().map(|found| found.address));
        let due = gatherer.poll_timeout().unwrap();
        assert_eq!(due, now + REFRESH);
        gatherer.handle_timeout(due);
        request = gatherer.poll_datagram().unwrap();
        // The next answer is dated back, so that the times stay simple.
    }
    assert_eq!(found, [end(SEEN), end("203.0.113.1:61001")]);
}

#[test]
fn a_refusal_is_asked_again_later_and_after_the_stop_there_is_silence() {
    let now = epoch();
    let (mut gatherer, request) = asking(now);
    let refusal = answer(&request, MessageClass::Error, SEEN);
    assert!(take(&mut gatherer, now, SERVER, BASE, &refusal));
    assert_eq!(gatherer.poll_found(), None);
    assert_eq!(gatherer.poll_timeout(), Some(now + REFRESH));
    gatherer.handle_timeout(now + REFRESH);
    gatherer.stop();
    gatherer.add_base(end("192.168.0.2:5001"));
    assert_eq!((gatherer.poll_datagram(), gatherer.poll_timeout()), (None, None));
}

#[test]
fn servers_and_addresses_are_bounded() {
    let servers: Vec<_> = (1..=20).map(|last| format!("198.51.100.{last}:3478")).collect();
    let servers: Vec<_> = servers.iter().map(String::as_str).collect();
    let mut gatherer = gatherer(&servers);
    for port in 1..200 {
        gatherer.add_base(SocketAddr::new(end(BASE).ip(), port));
    }
    assert!(gatherer.probes.len() < MAX_CANDIDATES_COUNT + MAX_STUN_SERVERS);
}

#[test]
fn spoiled_answers_never_panic() {
    let now = epoch();
    let (mut gatherer, request) = asking(now);
    let right = answer(&request, MessageClass::Success, SEEN);
    let mut entropy = Entropy::from_seed([5; 32]);
    for _ in 0..100_000 {
        let mut contents = right.clone();
        let [changes, length, spoil @ ..]: [u8; 8] = entropy.array();
        for pair in spoil.chunks(2).take(usize::from(changes % 3) + 1) {
            // The header stays, mostly, so that the attributes are looked at.
            let place = if pair[0] < 16 { 2 } else { 20 };
            let place = (place + usize::from(pair[0])) % contents.len();
            contents[place] = pair[1];
        }
        if length < 64 {
            contents.truncate(usize::from(length) % (contents.len() + 1));
        }
        let _ = take(&mut gatherer, now, SERVER, BASE, &contents);
        // Ask again, so that answers go on being looked at.
        for probe in &mut gatherer.probes {
            probe.tries = 1;
        }
        let _ = gatherer.poll_found();
    }
}
