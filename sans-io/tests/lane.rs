//! Lanes back to back, in virtual time: how they connect, carry messages, and
//! end, also with a network or a peer that misbehaves.

#![allow(clippy::unwrap_used, clippy::panic, clippy::large_stack_arrays)] // tests

mod common;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::ops::Range;
use std::time::Duration;

use common::{Noise, Pair, config};
use passel_proto::error::{Blame, ErrorCode};
use passel_proto::ids::{Channel, Role};
use passel_proto::limits::{MAX_CANDIDATES_COUNT, MAX_RECORD};
use passel_sans_io::datagram::{Datagram, DatagramRef};
use passel_sans_io::description::{Candidate, CandidateKind};
use passel_sans_io::lane::{
    DEFAULT_WINDOW, Dtls, DtlsVersion, ICE_SEED, IceCredentials, IceState, Lane, LaneConfig,
    LaneEvent, LaneOutput, MAX_REFLEXIVE_AT_ONCE, ORDERED_WINDOW, REFLEXIVE_INTERVAL,
};

const SECOND: Duration = Duration::from_secs(1);

fn default_pair() -> Pair {
    Pair::new(&config(Role::Initiator), &config(Role::Responder))
}

fn connected_with(pair: &Pair, end: usize) -> Option<Dtls> {
    pair.ends[end].events.iter().find_map(|event| match event {
        LaneEvent::Connected { dtls, .. } => Some(*dtls),
        _ => None,
    })
}

fn failed(event: &LaneEvent) -> bool {
    matches!(event, LaneEvent::Failed(_))
}

/// A message of `len` bytes that says which one it is.
fn numbered(number: u32, len: usize) -> Vec<u8> {
    let mut noise = Noise(u64::from(number) + 1);
    let mut message: Vec<u8> = (0..len).map(|_| noise.next().to_le_bytes()[0]).collect();
    message[..4].copy_from_slice(&number.to_be_bytes());
    message
}

// TB-ROLES, TB-CHANNELS, TB-DTLS-VERSION, TB-FINGERPRINT, TB-SNAP
#[test]
fn two_lanes_connect_and_carry_a_message_on_every_channel() {
    let mut pair = Pair::connected();
    for end in 0..2 {
        assert_eq!(connected_with(&pair, end), Some(Dtls::V1_3));
        let peer = pair.ends[1 - end].lane.local_description().fingerprint;
        assert!(pair.ends[end].saw(
            |e| matches!(e, LaneEvent::Connected { fingerprint, .. } if *fingerprint == peer)
        ));
        assert!(pair.ends[end].saw(|e| *e == LaneEvent::IceState(IceState::Connected)));
        let path = pair.ends[end].lane.metrics().path.unwrap();
        assert_eq!(path.local, pair.ends[end].address);
        assert_eq!(path.remote, pair.ends[1 - end].address);
        for channel in Channel::ALL {
            let now = pair.now;
            let text = format!("{} {end}", channel.name());
            assert!(pair.ends[end].lane.write(now, channel, text.as_bytes()).unwrap());
        }
    }
    pair.run(SECOND);
    for end in 0..2 {
        for channel in Channel::ALL {
            let expected = format!("{} {}", channel.name(), 1 - end).into_bytes();
            assert!(pair.ends[end].messages.contains(&(channel, expected)));
        }
        assert_eq!(pair.ends[end].messages.len(), 4);
        assert_eq!(pair.ends[end].lane.buffered(Channel::Control), 0);
    }
    pair.run(5 * SECOND);
    assert!(pair.ends[0].lane.metrics().round_trip.unwrap() >= Duration::from_millis(10));
}

// TB-SNAP
#[test]
fn lanes_connect_when_only_one_side_offers_snap() {
    for (initiator, responder) in [(true, false), (false, true), (false, false)] {
        let mut configs = [config(Role::Initiator), config(Role::Responder)];
        configs[0].snap = initiator;
        configs[1].snap = responder;
        let [a, b] = configs;
        let mut pair = Pair::new(&a, &b);
        assert_eq!(pair.ends[0].lane.local_description().sctp_init.is_some(), initiator);
        pair.describe();
        assert!(pair.run_until(5 * SECOND, Pair::all_open));
    }
}

// TB-SNAP-BOUND
#[test]
fn a_broken_init_chunk_fails_the_lane_and_does_not_panic() {
    let mut noise = Noise(5);
    for _ in 0..200 {
        let mut pair = default_pair();
        let mut description = pair.ends[1].lane.local_description();
        let init = description.sctp_init.as_mut().unwrap();
        let at = usize::try_from(noise.below(init.len() as u64)).unwrap();
        match noise.below(3) {
            0 => init.truncate(at.max(1)),
            1 => init[at] ^= 1 << noise.below(8),
            _ => init.extend(vec![0; at]),
        }
        pair.ends[0].lane.set_remote(description, pair.now).unwrap();
        pair.drain(0);
    }
    let mut pair = default_pair();
    let mut description = pair.ends[1].lane.local_description();
    description.sctp_init = Some(vec![0]);
    pair.ends[0].lane.set_remote(description, pair.now).unwrap();
    pair.drain(0);
    assert!(pair.ends[0].saw(failed));
}

// TB-DTLS-VERSION
#[test]
fn dtls_1_2_is_taken_from_a_peer_that_has_no_other() {
    for old in 0..2 {
        let mut configs = [config(Role::Initiator), config(Role::Responder)];
        configs[old].dtls = DtlsVersion::Dtls12;
        let [a, b] = configs;
        let mut pair = Pair::new(&a, &b);
        pair.describe();
        assert!(pair.run_until(5 * SECOND, Pair::all_open));
        assert_eq!(connected_with(&pair, 0), Some(Dtls::V1_2));
        assert_eq!(connected_with(&pair, 1), Some(Dtls::V1_2));
    }
}

// TB-FINGERPRINT
#[test]
fn a_changed_fingerprint_fails_the_lane() {
    for deceived in 0..2 {
        let mut pair = default_pair();
        for (to, from) in [(0, 1), (1, 0)] {
            let mut description = pair.ends[from].lane.local_description();
            if to == deceived {
                description.fingerprint[31] ^= 1;
            }
            let now = pair.now;
            pair.ends[to].lane.set_remote(description, now).unwrap();
        }
        pair.run(10 * SECOND);
        let end = &pair.ends[deceived];
        assert_eq!(connected_with(&pair, deceived), None);
        assert!(!end.saw(|e| matches!(e, LaneEvent::ChannelOpen(_))));
        let failures: Vec<_> = end.events.iter().filter(|e| failed(e)).collect();
        let [LaneEvent::Failed(error)] = failures[..] else { panic!("{failures:?}") };
        assert_eq!((error.blame, error.code), (Blame::Peer, ErrorCode::TransportFailed));
        assert!(end.lane.is_over());
    }
}

// TB-ICE-CREDENTIALS
#[test]
fn a_wrong_ice_password_never_connects() {
    let mut pair = default_pair();
    let mut description = pair.ends[1].lane.local_description();
    description.pwd = "x".repeat(32);
    pair.ends[0].lane.set_remote(description, pair.now).unwrap();
    let description = pair.ends[0].lane.local_description();
    pair.ends[1].lane.set_remote(description, pair.now).unwrap();
    pair.run(60 * SECOND);
    for end in 0..2 {
        assert_eq!(connected_with(&pair, end), None);
        assert!(!pair.ends[end].saw(|e| *e == LaneEvent::IceState(IceState::Connected)));
    }
}

#[test]
fn a_peer_that_comes_minutes_later_still_connects() {
    let mut pair = default_pair();
    let mut to_initiator = pair.ends[1].lane.local_description();
    let mut to_responder = pair.ends[0].lane.local_description();
    let late: Vec<_> =
        to_initiator.candidates.drain(..).chain(to_responder.candidates.drain(..)).collect();
    let start = pair.now;
    pair.ends[0].lane.set_remote(to_initiator, start).unwrap();
    pair.ends[1].lane.set_remote(to_responder, start).unwrap();
    pair.run(180 * SECOND);
    assert_eq!(connected_with(&pair, 0), None);
    pair.ends[0].lane.add_remote_candidate(late[0]);
    pair.ends[1].lane.add_remote_candidate(late[1]);
    assert!(pair.run_until(10 * SECOND, Pair::all_open), "{:?}", pair.ends[0].events);
}

// TB-CAND-EARLY
#[test]
fn candidates_may_come_before_the_description() {
    let mut pair = default_pair();
    for (to, from) in [(0, 1), (1, 0)] {
        let mut description = pair.ends[from].lane.local_description();
        for candidate in description.candidates.drain(..) {
            pair.ends[to].lane.add_remote_candidate(candidate);
        }
        let now = pair.now;
        pair.ends[to].lane.set_remote(description, now).unwrap();
    }
    assert!(pair.run_until(5 * SECOND, Pair::all_open));
}

// TB-DTLS-EARLY
#[test]
fn the_first_flight_is_not_lost_when_it_is_ahead_of_the_answer_to_the_responders_check() {
    for late in [0, 10, 25, 50, 75, 100] {
        let mut pair = default_pair();
        pair.delay = Duration::from_millis(50);
        let [to_initiator, to_responder] =
            [1, 0].map(|from: usize| pair.ends[from].lane.local_description());
        let now = pair.now;
        pair.ends[0].lane.set_remote(to_initiator, now).unwrap();
        pair.run(Duration::from_millis(late));
        let now = pair.now;
        pair.ends[1].lane.set_remote(to_responder, now).unwrap();
        // DTLS would repeat itself after a second.
        assert!(pair.run_until(Duration::from_millis(900), Pair::all_open), "{late} ms");
    }
}

// TB-DTLS-EARLY
#[test]
fn the_first_flight_is_not_lost_when_it_is_sent_again_before_a_check_is_answered() {
    for dtls in [DtlsVersion::Auto, DtlsVersion::Dtls13] {
        let mut configs = [config(Role::Initiator), config(Role::Responder)];
        for config in &mut configs {
            config.dtls = dtls;
        }
        let mut pair = Pair::new(&configs[0], &configs[1]);
        pair.describe();
        // Answers to checks (RFC 8489, 5) of the responder.
        pair.is_lost =
            |datagram| datagram.source.port() == 1000 && datagram.contents.starts_with(&[1, 1]);
        pair.run(2 * SECOND);
        assert!(!pair.ends[1].saw(|event| *event == LaneEvent::IceState(IceState::Connected)));
        pair.is_lost = |_| false;
        // DTLS sends it thrice in four seconds, and then some four later. Checks are
        // sent at about four.
        assert!(pair.run_until(3 * SECOND, Pair::all_open), "{:?}", pair.ends[1].events);
    }
}

// TB-DTLS-PATIENT
#[test]
fn copies_of_a_flight_do_not_make_dtls_fall_silent() {
    let mut pair = default_pair();
    pair.describe();
    pair.copies = 6;
    // DTLS of the responder.
    pair.is_lost =
        |datagram| datagram.source.port() == 2000 && (20..64).contains(&datagram.contents[0]);
    pair.run(4 * SECOND);
    assert_eq!(connected_with(&pair, 0), None);
    pair.is_lost = |_| false;
    assert!(pair.run_until(10 * SECOND, Pair::all_open), "{:?}", pair.ends[0].events);
}

// TB-DTLS-EARLY, TB-DEMUX
#[test]
fn early_dtls_is_bounded_and_of_no_harm() {
    let mut pair = default_pair();
    pair.describe();
    for number in 0..20 {
        pair.inject(1, &[22, number, 0, 0]);
    }
    assert_eq!(pair.ends[1].lane.metrics().datagrams_refused, 20);
    assert!(pair.run_until(5 * SECOND, Pair::all_open), "{:?}", pair.ends[1].events);
}

// TB-CAND-COUNT, TB-CAND-LOOPBACK, TB-CAND-ADDRESS
#[test]
fn unusable_and_surplus_candidates_are_ignored_and_counted() {
    let mut pair = default_pair();
    pair.describe();
    let mut add = |address: String| {
        let kind = CandidateKind::Host;
        let candidate = Candidate { kind, priority: 1, address: address.parse().unwrap() };
        pair.ends[0].lane.add_remote_candidate(candidate);
        pair.ends[0].lane.metrics().candidates_refused
    };
    assert_eq!(add("127.0.0.1:80".into()), 1);
    assert_eq!(add("0.0.0.0:80".into()), 2);
    for port in 1..=MAX_CANDIDATES_COUNT {
        add(format!("198.51.100.9:{port}"));
    }
    // One more came with the description.
    assert_eq!(add("198.51.100.9:9999".into()), 4);
}

/// Addresses other than its peer's that an end checks, if the peer's checks come again
/// from these ports.
fn checked_by(pair: &mut Pair, end: usize, check: &Datagram, ports: Range<u16>) -> usize {
    let peer = pair.ends[1 - end].address;
    for port in ports {
        let source = SocketAddr::new(peer.ip(), port);
        let now = pair.now;
        let destination = check.destination;
        let datagram = DatagramRef { source, destination, contents: &check.contents };
        pair.ends[end].lane.handle_datagram(now, datagram);
        pair.drain(end);
    }
    pair.run(5 * SECOND);
    let others = pair.elsewhere.drain(..).filter(|to| *to != peer);
    others.collect::<BTreeSet<_>>().len()
}

// TB-CAND-REFLEXIVE
#[test]
fn checks_from_ever_new_addresses_are_followed_a_few_times() {
    for end in 0..2 {
        let mut pair = default_pair();
        pair.describe();
        let is_check = |(_, datagram): &(_, Datagram)| datagram.contents.starts_with(&[0, 1]);
        assert!(pair.run_until(SECOND, |pair| pair.ends[end].inbox.iter().any(is_check)));
        let check = pair.ends[end].inbox.iter().find(|one| is_check(one)).unwrap().1.clone();
        assert!(pair.run_until(5 * SECOND, Pair::all_open));
        // Forged ones cost nothing.
        let mut forged = check.clone();
        forged.contents[30] ^= 1;
        assert_eq!(checked_by(&mut pair, end, &forged, 3000..3100), 0);
        assert_eq!(checked_by(&mut pair, end, &check, 4000..4100), MAX_REFLEXIVE_AT_ONCE);
        assert_eq!(pair.ends[end].lane.metrics().candidates_refused, 84);
        pair.run(REFLEXIVE_INTERVAL * 20);
        pair.elsewhere.clear();
        assert_eq!(checked_by(&mut pair, end, &check, 5000..5100), MAX_REFLEXIVE_AT_ONCE);
        pair.run(REFLEXIVE_INTERVAL * 2);
        pair.elsewhere.clear();
        assert_eq!(checked_by(&mut pair, end, &check, 6000..6100), 2);
        assert!(pair.ends[end].lane.is_connected());
    }
}

// TB-DESC-ONCE
#[test]
fn a_second_description_is_refused() {
    let mut pair = Pair::connected();
    let description = pair.ends[1].lane.local_description();
    let error = pair.ends[0].lane.set_remote(description, pair.now).unwrap_err();
    assert_eq!(error.code, ErrorCode::ProtocolViolation);
}

// TB-LANES
#[test]
fn a_later_lane_carries_files_and_nothing_else() {
    let later = |role, seed| LaneConfig::new(role, 7, IceCredentials::from_seed(&[seed; ICE_SEED]));
    let mut pair = Pair::new(&later(Role::Initiator, 1), &later(Role::Responder, 2));
    pair.describe();
    pair.run(2 * SECOND);
    for end in &mut pair.ends {
        let opened: Vec<_> =
            end.events.iter().filter(|e| matches!(e, LaneEvent::ChannelOpen(_))).collect();
        assert_eq!(opened, [&LaneEvent::ChannelOpen(Channel::File)]);
        let error = end.lane.write(pair.now, Channel::Control, b"x").unwrap_err();
        assert_eq!(error.blame, Blame::Misuse);
    }
}

// TB-CHANNELS
#[test]
fn a_message_on_an_undeclared_channel_is_dropped() {
    let mut later = config(Role::Responder);
    later.lane = 1;
    let mut pair = Pair::new(&config(Role::Initiator), &later);
    pair.describe();
    pair.run(2 * SECOND);
    // The responder declared only `file`, so these go to a stream unknown to it.
    let now = pair.now;
    assert!(pair.ends[0].lane.write(now, Channel::Control, b"x").unwrap());
    pair.run(2 * SECOND);
    assert!(pair.ends[1].messages.is_empty());
    assert!(pair.ends[1].lane.is_connected());
}

// TB-MESSAGE-SIZE
#[test]
fn a_message_as_long_as_a_record_passes_and_a_longer_one_is_misuse() {
    let mut pair = Pair::connected();
    let now = pair.now;
    for channel in [Channel::Control, Channel::Reliable, Channel::File] {
        let message = numbered(9, MAX_RECORD);
        assert!(pair.ends[0].lane.write(now, channel, &message).unwrap());
        assert!(pair.run_until(5 * SECOND, |pair| !pair.ends[1].messages.is_empty()));
        assert_eq!(pair.ends[1].messages.pop_front(), Some((channel, message)));
    }
    let error = pair.ends[0].lane.write(now, Channel::File, &[0; MAX_RECORD + 1]).unwrap_err();
    assert_eq!(error.blame, Blame::Misuse);
}

#[test]
fn a_message_longer_than_the_window_passes_alone() {
    let mut pair = Pair::connected();
    let now = pair.now;
    let lane = &mut pair.ends[0].lane;
    lane.set_window(0);
    assert_eq!(lane.room(Channel::File), 16 * 1024);
    assert!(lane.write(now, Channel::File, &[7; 40_000]).unwrap());
    assert!(!lane.write(now, Channel::File, &[7; 40_000]).unwrap());
    pair.run(5 * SECOND);
    assert_eq!(pair.ends[1].messages.len(), 1);
    assert!(pair.ends[0].saw(|e| *e == LaneEvent::Writable(Channel::File)));
    assert!(pair.ends[0].lane.write(pair.now, Channel::File, &[7; 40_000]).unwrap());
}

#[test]
fn windows_bound_what_is_queued() {
    let mut pair = Pair::connected();
    let now = pair.now;
    for (channel, window) in [(Channel::File, DEFAULT_WINDOW), (Channel::Reliable, ORDERED_WINDOW)]
    {
        let lane = &mut pair.ends[0].lane;
        let mut written = 0;
        while lane.write(now, channel, &[1; 8_192]).unwrap() {
            written += 8_192;
            assert!(written <= window);
        }
        assert_eq!(written, window);
        assert_eq!(lane.room(channel), 0);
    }
    // The peer says nothing, and control still has all of its room.
    assert_eq!(pair.ends[0].lane.room(Channel::Control), ORDERED_WINDOW);
}

/// Sends `count` numbered messages of 16 KiB on `file`, and gives back the
/// virtual time that it took.
fn transfer(pair: &mut Pair, count: u32, limit: Duration) -> Duration {
    let (start, until) = (pair.now, pair.now + limit);
    let (mut next, mut seen) = (0, vec![false; count as usize]);
    while seen.contains(&false) {
        assert!(pair.now < until, "{next} of {count} sent");
        let now = pair.now;
        while next < count && pair.ends[0].lane.room(Channel::File) >= 16_384 {
            assert!(pair.ends[0].lane.write(now, Channel::File, &numbered(next, 16_384)).unwrap());
            next += 1;
        }
        pair.step(until);
        while let Some((channel, message)) = pair.ends[1].messages.pop_front() {
            assert_eq!(channel, Channel::File);
            let number = u32::from_be_bytes(message[..4].try_into().unwrap());
            assert_eq!(message, numbered(number, 16_384));
            assert!(!std::mem::replace(&mut seen[number as usize], true), "{number} came twice");
        }
    }
    pair.now - start
}

// TB-CHANNELS
#[test]
fn four_mebibytes_arrive_whole_over_one_percent_loss() {
    let mut pair = Pair::connected();
    pair.loss = 10;
    transfer(&mut pair, 256, 300 * SECOND);
    assert!(pair.ends[0].lane.metrics().bytes_out > 4 << 20);
}

#[test]
fn lanes_connect_over_a_path_that_loses_a_tenth() {
    for seed in 1..=5 {
        let mut pair = default_pair();
        pair.noise = Noise(seed);
        pair.loss = 100;
        pair.describe();
        assert!(pair.run_until(30 * SECOND, Pair::all_open), "seed {seed}");
    }
}

// TB-PRIORITY
#[test]
fn control_is_not_starved_by_files_on_a_lossy_path() {
    let mut pair = Pair::connected();
    pair.loss = 20;
    pair.delay = Duration::from_millis(20);
    let mut worst = Duration::ZERO;
    let mut sent = None;
    let until = pair.now + 60 * SECOND;
    let mut controls = 0;
    while pair.now < until {
        let now = pair.now;
        let lane = &mut pair.ends[0].lane;
        while lane.room(Channel::File) >= 16_384 {
            assert!(lane.write(now, Channel::File, &[1; 16_384]).unwrap());
        }
        if sent.is_none() {
            assert!(lane.write(now, Channel::Control, b"ping").unwrap());
            sent = Some(now);
        }
        pair.step(until);
        while let Some((channel, _)) = pair.ends[1].messages.pop_front() {
            if channel == Channel::Control {
                controls += 1;
                worst = worst.max(pair.now - sent.take().unwrap());
            }
        }
    }
    // A lost datagram may cost a retransmission timer or two, never all of the run.
    assert!(worst < 10 * SECOND, "{worst:?}");
    assert!(controls > 20, "{controls}");
}

#[test]
fn hostile_datagrams_neither_panic_nor_break_a_connected_lane() {
    let mut pair = Pair::connected();
    // Real datagrams to mutate: those of a message under way in each direction.
    let now = pair.now;
    for end in 0..2 {
        assert!(pair.ends[end].lane.write(now, Channel::File, &numbered(1, 16_384)).unwrap());
        pair.drain(end);
    }
    let real: Vec<Vec<u8>> =
        pair.ends.iter().flat_map(|end| &end.inbox).map(|(_, d)| d.contents.clone()).collect();
    assert!(real.len() > 4);
    pair.run(SECOND);
    let mut noise = Noise(77);
    for round in 0..20_000 {
        let end = round % 2;
        let mut bytes = if noise.below(3) == 0 {
            let len = noise.below(1_400);
            (0..len).map(|_| noise.next().to_le_bytes()[0]).collect()
        } else {
            real[usize::try_from(noise.below(real.len() as u64)).unwrap()].clone()
        };
        if noise.below(4) == 0 && !bytes.is_empty() {
            // The first byte decides who parses it: STUN, DTLS of either kind.
            let kinds = [0, 1, 20, 21, 22, 23, 25, 26, 44, 47, 63, 128, 191];
            bytes[0] = kinds[usize::try_from(noise.below(kinds.len() as u64)).unwrap()];
        }
        for _ in 0..noise.below(4) {
            if !bytes.is_empty() {
                let at = usize::try_from(noise.below(bytes.len() as u64)).unwrap();
                bytes[at] ^= 1 << noise.below(8);
            }
        }
        if noise.below(5) == 0 {
            bytes.truncate(usize::try_from(noise.below(bytes.len() as u64 + 1)).unwrap());
        }
        pair.inject(end, &bytes);
    }
    for end in &pair.ends {
        assert!(!end.saw(failed), "{:?}", end.events);
        assert!(end.lane.is_connected());
        assert!(end.lane.metrics().datagrams_refused > 100);
    }
    for end in &mut pair.ends {
        end.messages.clear();
    }
    transfer(&mut pair, 64, 60 * SECOND);
}

#[test]
fn hostile_datagrams_before_the_connection_do_not_panic() {
    let mut noise = Noise(3);
    for round in 0..40 {
        let mut pair = default_pair();
        pair.describe();
        for _ in 0..round {
            let until = pair.now + SECOND;
            pair.step(until);
        }
        for _ in 0..100 {
            let len = noise.below(300);
            let mut bytes: Vec<u8> = (0..len).map(|_| noise.next().to_le_bytes()[0]).collect();
            if let Some(first) = bytes.first_mut() {
                *first = [0, 1, 22, 23, 44][usize::try_from(noise.below(5)).unwrap()];
            }
            pair.inject(round % 2, &bytes);
        }
        let connects = pair.run_until(20 * SECOND, Pair::all_open);
        assert!(connects || pair.ends.iter().any(|end| end.saw(failed)));
    }
}

// TB-DEMUX
#[test]
fn a_datagram_from_elsewhere_is_refused() {
    let mut pair = Pair::connected();
    let now = pair.now;
    assert!(pair.ends[0].lane.write(now, Channel::Control, b"x").unwrap());
    pair.drain(0);
    let (_, mut datagram) = pair.ends[1].inbox.pop_front().unwrap();
    assert!(pair.ends[1].lane.accepts(datagram.as_ref()));
    datagram.source.set_port(1);
    assert!(!pair.ends[1].lane.accepts(datagram.as_ref()));
    let before = pair.ends[1].lane.metrics().datagrams_refused;
    pair.ends[1].lane.handle_datagram(now, datagram.as_ref());
    assert_eq!(pair.ends[1].lane.metrics().datagrams_refused, before + 1);
}

#[test]
fn a_caller_that_does_not_poll_is_bounded() {
    let mut pair = Pair::connected();
    // A connectivity check: every copy of it is answered.
    let is_check = |pair: &Pair| {
        let mut inbox = pair.ends[1].inbox.iter();
        inbox.find(|(_, d)| d.contents.starts_with(&[0, 1])).map(|(_, d)| d.clone())
    };
    assert!(pair.run_until(60 * SECOND, |pair| is_check(pair).is_some()));
    let check = is_check(&pair).unwrap();
    for _ in 0..5_000 {
        pair.ends[1].lane.handle_datagram(pair.now, check.as_ref());
    }
    assert!(pair.ends[1].lane.metrics().datagrams_refused > 3_000);
    let mut outputs = 0;
    while !matches!(pair.ends[1].lane.poll(), LaneOutput::Timeout(_)) {
        outputs += 1;
    }
    assert!((1_000..1_200).contains(&outputs), "{outputs}");
    pair.run(SECOND);
    assert!(pair.ends[1].lane.is_connected());
}

// TB-CLOSE
#[test]
fn closing_one_side_closes_the_other() {
    for closer in 0..2 {
        let mut pair = Pair::connected();
        pair.ends[closer].lane.close();
        pair.run(SECOND);
        for end in &mut pair.ends {
            assert_eq!(end.events.iter().filter(|e| **e == LaneEvent::Closed).count(), 1);
            assert!(!end.saw(failed));
            assert!(end.lane.is_over());
            assert!(!end.lane.write(pair.now, Channel::Control, b"x").unwrap());
            assert_eq!(end.lane.room(Channel::Control), 0);
        }
    }
}

#[test]
fn a_lane_that_never_connected_closes_too() {
    for described in [false, true] {
        let mut pair = default_pair();
        if described {
            pair.describe();
        }
        pair.ends[0].lane.close();
        pair.drain(0);
        assert_eq!(pair.ends[0].events.last(), Some(&LaneEvent::Closed));
        assert_eq!(pair.ends[0].wake, None);
    }
}

#[test]
fn a_silent_peer_is_reported_as_disconnected() {
    let mut pair = Pair::connected();
    pair.loss = 1_000;
    let lost =
        |pair: &mut Pair| pair.ends[0].saw(|e| *e == LaneEvent::IceState(IceState::Disconnected));
    assert!(pair.run_until(60 * SECOND, lost));
    assert!(!pair.ends[0].saw(failed));
}

#[test]
fn a_short_outage_is_survived() {
    let mut pair = Pair::connected();
    pair.loss = 1_000;
    pair.run(4 * SECOND);
    pair.loss = 0;
    transfer(&mut pair, 16, 60 * SECOND);
    assert!(pair.ends.iter().all(|end| end.lane.is_connected()));
}

#[test]
fn lanes_can_be_moved_to_another_thread() {
    fn is_send<T: Send>() {}
    is_send::<Lane>();
}
