//! Messages of the embedders beside transfers: in order where that was promised,
//! bounded everywhere, and never in the way of what steers a transfer.

#![allow(clippy::unwrap_used, clippy::panic)] // a test that fails says so

mod forger;
mod support;

use forger::Forger;
use passel_proto::connection::{Config, Connection, Event, MessageQueue};
use passel_proto::error::{Blame, ErrorCode};
use passel_proto::frame::{Frame, FrameWriter, Message};
use passel_proto::handshake::Auth;
use passel_proto::ids::Channel;
use passel_proto::limits::{
    MAX_MESSAGE, MAX_MESSAGES_COUNT, MESSAGES_HIGH, MESSAGES_LOW, MESSAGES_UNRELIABLE,
};
use support::{Pair, Side, config, content, epoch, manifest};

fn text(number: usize) -> Message {
    Message::Text(format!("message {number}"))
}

fn heard(side: &Side, on: Channel) -> Vec<Message> {
    side.events
        .iter()
        .filter_map(|event| match event {
            Event::Message { channel, message } if *channel == on => Some(message.clone()),
            _ => None,
        })
        .collect()
}

fn count(side: &Side, of: &Event) -> usize {
    side.events.iter().filter(|event| *event == of).count()
}

/// FC-MESSAGE
#[test]
fn messages_go_both_ways_on_both_channels() {
    let mut pair = Pair::established(1);
    let said =
        vec![text(1), Message::Binary(vec![0xff; MAX_MESSAGE]), Message::Text(String::new())];
    for channel in [Channel::Reliable, Channel::Unreliable] {
        for message in &said {
            pair.sender.connection.send_message(pair.now, channel, message.clone()).unwrap();
            pair.receiver.connection.send_message(pair.now, channel, message.clone()).unwrap();
        }
    }
    pair.run();
    for side in [&pair.sender, &pair.receiver] {
        assert_eq!(heard(side, Channel::Reliable), said);
        assert_eq!(heard(side, Channel::Unreliable), said);
        let sent: u32 = side
            .events
            .iter()
            .map(|event| if let Event::MessagesSent { count, .. } = event { *count } else { 0 })
            .sum();
        assert_eq!(sent, 6);
    }
}

/// HS-AFTER-CONFIRM: what an initiator says at once could overtake its CONFIRM.
#[test]
fn an_initiator_asks_for_a_first_record_before_it_says_anything() {
    let mut pair = Pair::unconfirmed(3);
    let before = pair.receiver.sent.len();
    for channel in [Channel::Reliable, Channel::Unreliable] {
        pair.receiver.connection.send_message(pair.now, channel, text(1)).unwrap();
    }
    pair.run();
    let sent: Vec<Channel> = pair.receiver.sent[before..].iter().map(|one| one.0).collect();
    assert_eq!(sent, [Channel::Control], "one PING");
    assert_eq!(pair.receiver.connection.queued_messages(Channel::Reliable).messages, 1);

    let mut pair = Pair::new(4);
    let mut is_said = false;
    while !is_said {
        pair.step();
        is_said = pair.receiver.connection.is_established();
    }
    pair.receiver.connection.send_message(pair.now, Channel::Reliable, text(2)).unwrap();
    pair.run();
    assert_eq!(heard(&pair.sender, Channel::Reliable), [text(2)]);
}

/// FC-MESSAGE: nothing before the handshake is confirmed, nothing over other
/// channels, nothing too long.
#[test]
fn what_is_no_message_is_refused() {
    let mut early = Connection::initiator(config(), [1; 32], epoch()).unwrap();
    assert!(early.send_message(epoch(), Channel::Reliable, text(0)).is_err());
    let mut pair = Pair::established(2);
    let long = Message::Binary(vec![0; MAX_MESSAGE + 1]);
    for (channel, message) in
        [(Channel::Control, text(0)), (Channel::File, text(0)), (Channel::Reliable, long)]
    {
        let error = pair.sender.connection.send_message(pair.now, channel, message).unwrap_err();
        assert_eq!(error.blame, Blame::Misuse);
    }
    pair.run();
    assert!(pair.sender.closed().is_none() && pair.receiver.closed().is_none());
}

/// FC-MESSAGE-QUEUE: a queue that is full says so once, and once that it drained.
#[test]
fn a_full_queue_refuses_and_tells_when_it_has_drained() {
    let mut pair = Pair::established(3);
    let channel = Channel::Reliable;
    let mut taken = 0;
    let big = || Message::Binary(vec![1; MAX_MESSAGE]);
    while pair.sender.connection.send_message(pair.now, channel, big()).is_ok() {
        taken += 1;
    }
    assert_eq!(taken, MESSAGES_HIGH / MAX_MESSAGE);
    assert!(pair.sender.connection.send_message(pair.now, channel, big()).is_err());
    let mut drained_at = None;
    let mut record = Vec::new();
    pair.sender.connection.handle_writable(channel, usize::MAX);
    while pair.sender.connection.poll_transmit(pair.now, &mut record).is_some() {
        pair.receiver.inbox.push((channel, record.clone()));
        while let Some(event) = pair.sender.connection.poll_event() {
            if event == (Event::Drained { channel }) {
                drained_at = Some(pair.sender.connection.queued_messages(channel).bytes);
            }
            pair.sender.events.push(event);
        }
    }
    pair.run();
    assert_eq!(drained_at, Some(MESSAGES_LOW));
    assert_eq!(count(&pair.sender, &Event::Backpressure { channel }), 1);
    assert_eq!(count(&pair.sender, &Event::Drained { channel }), 1);
    assert_eq!(heard(&pair.receiver, channel).len(), taken);
    assert_eq!(pair.sender.connection.queued_messages(channel), MessageQueue::default());
}

/// FC-MESSAGE-QUEUE: messages of nothing are bounded by their number.
#[test]
fn empty_messages_are_bounded_too() {
    let mut pair = Pair::established(4);
    let nothing = || Message::Text(String::new());
    let mut taken = 0;
    while pair.sender.connection.send_message(pair.now, Channel::Reliable, nothing()).is_ok() {
        taken += 1;
    }
    assert_eq!(taken, MAX_MESSAGES_COUNT);
}

/// FC-MESSAGE-NEWEST
#[test]
fn without_room_the_newest_unreliable_messages_stay() {
    let mut pair = Pair::established(5);
    let channel = Channel::Unreliable;
    let numbered = |number: usize| Message::Binary(vec![u8::try_from(number).unwrap(); 4096]);
    let fit = MESSAGES_UNRELIABLE / 4096;
    for number in 0..fit + 10 {
        pair.sender.connection.send_message(pair.now, channel, numbered(number)).unwrap();
    }
    let queue = pair.sender.connection.queued_messages(channel);
    assert_eq!(queue, MessageQueue { messages: fit, bytes: MESSAGES_UNRELIABLE, dropped: 10 });
    pair.run();
    assert_eq!(heard(&pair.receiver, channel), (10..fit + 10).map(numbered).collect::<Vec<_>>());
    assert_eq!(count(&pair.sender, &Event::Backpressure { channel }), 1);
    assert_eq!(count(&pair.sender, &Event::Drained { channel }), 1);
}

/// FC-MESSAGE-NEWEST, RL-WINDOW: what is lost is not sent again, and what comes
/// twice is heard once.
#[test]
fn unreliable_messages_may_be_lost_and_are_never_heard_twice() {
    let mut pair = Pair::established(6);
    let (mut passed, mut seen) = (0, 0);
    let counter = std::rc::Rc::new(std::cell::RefCell::new(Vec::new()));
    let copies = std::rc::Rc::clone(&counter);
    pair.meddle = Some(Box::new(move |from, channel, message| {
        if from == "sender" && channel == Channel::Unreliable {
            seen += 1;
            copies.borrow_mut().push(message.clone());
            return seen % 3 != 0;
        }
        true
    }));
    for number in 0..30 {
        pair.sender.connection.send_message(pair.now, Channel::Unreliable, text(number)).unwrap();
        pair.sender.connection.send_message(pair.now, Channel::Reliable, text(number)).unwrap();
    }
    pair.run();
    let records = counter.borrow().clone();
    assert_eq!(records.len(), 30, "one record each, once");
    for mut record in records {
        pair.receiver.connection.handle_message(pair.now, Channel::Unreliable, &mut record);
        while let Some(event) = pair.receiver.connection.poll_event() {
            passed += usize::from(matches!(event, Event::Message { .. }));
        }
    }
    assert_eq!(heard(&pair.receiver, Channel::Unreliable).len(), 20);
    assert_eq!(passed, 10, "only those that had not come before");
    let all: Vec<_> = (0..30).map(text).collect();
    assert_eq!(heard(&pair.receiver, Channel::Reliable), all);
}

/// FC-PRIORITY: neither files nor messages wait for the end of the other.
#[test]
fn messages_go_before_data_and_do_not_starve_it() {
    let mut pair = Pair::established(7);
    let id = pair.offer(&[("a", content(2_000_000, 7))]);
    pair.run();
    pair.receiver.connection.accept(pair.now, id, None).unwrap();
    pair.step();
    pair.step(); // the ACCEPT came, and chunks were read
    let message = Message::Binary(vec![7; 20_000]);
    for _ in 0..200 {
        pair.sender.connection.send_message(pair.now, Channel::Reliable, message.clone()).unwrap();
    }
    for channel in Channel::ALL {
        pair.sender.connection.handle_writable(channel, usize::MAX);
    }
    let (mut order, mut record) = (Vec::new(), Vec::new());
    while let Some(transmit) = pair.sender.connection.poll_transmit(pair.now, &mut record) {
        order.push(transmit.channel);
        pair.receiver.inbox.push((transmit.channel, record.clone()));
    }
    assert_eq!(order[..16], [Channel::Reliable; 16]);
    let among = &order[..17 * 3];
    let data = among.iter().filter(|channel| **channel == Channel::File).count();
    assert_eq!(data, 3, "one record of data after 16 of messages");
    pair.finish();
    assert_eq!(pair.receiver.disk.committed[&0], content(2_000_000, 7));
}

/// FC-MESSAGE-CLOSING
#[test]
fn a_close_drops_what_waits_and_ignores_what_comes() {
    let mut pair = Pair::established(8);
    pair.sender.connection.send_message(pair.now, Channel::Reliable, text(1)).unwrap();
    pair.sender.connection.close(pair.now, None);
    assert_eq!(pair.sender.connection.queued_messages(Channel::Reliable).messages, 0);
    pair.run();
    assert!(heard(&pair.receiver, Channel::Reliable).is_empty());
    assert!(pair.receiver.closed().is_some());

    let mut forger = Forger::new(manifest(&[("a", vec![])]));
    forger.victim.close(forger.now, None);
    forger.send(text(1));
    assert!(!forger.events.iter().any(|event| matches!(event, Event::Message { .. })));
}

/// WF-FRAME-CHANNEL, WF-UTF8, FC-MESSAGE-RECEIVED
#[test]
fn a_peer_that_breaks_the_rules_of_messages_is_refused() {
    let plaintext = |frame: Frame| {
        let mut bytes = Vec::new();
        FrameWriter::new(&mut bytes, 0).frame(&frame).unwrap();
        bytes
    };
    let fresh = || Forger::new(manifest(&[("a", vec![])]));
    for channel in [Channel::Control, Channel::File] {
        let mut forger = fresh();
        forger.raw(channel, &plaintext(text(1).into()));
        assert_eq!(forger.refused(), Some(ErrorCode::ProtocolViolation));
    }
    let mut forger = fresh();
    forger.raw(Channel::Reliable, &[0x30, 4, 0, 2, 0xc3, 0x28]);
    assert_eq!(forger.refused(), Some(ErrorCode::Malformed));
    let mut forger = fresh();
    forger.raw(Channel::Unreliable, &plaintext(text(2).into()));
    let message = Event::Message { channel: Channel::Unreliable, message: text(2) };
    assert_eq!(forger.events.last(), Some(&message), "handed on with its record");
    assert_eq!(forger.refused(), None);
}

/// FC-MESSAGE-HELD, HS-SAS-GATE: nothing is shown before the comparison, and what
/// waits for it is bounded.
#[test]
fn messages_wait_for_the_comparison_and_not_without_bound() {
    let compared_at_the_sender = || {
        let sas = || Config { auth: Auth::Sas, ..config() };
        let mut pair = Pair::with(9, sas(), sas());
        pair.run();
        let early = pair.sender.connection.send_message(pair.now, Channel::Reliable, text(0));
        assert!(early.is_err(), "this side's own comparison comes first");
        pair.sender.connection.confirm_sas(pair.now, true).unwrap();
        pair
    };
    let mut pair = compared_at_the_sender();
    for channel in [Channel::Reliable, Channel::Unreliable] {
        pair.sender.connection.send_message(pair.now, channel, text(1)).unwrap();
    }
    pair.run();
    assert!(heard(&pair.receiver, Channel::Reliable).is_empty());
    pair.receiver.connection.confirm_sas(pair.now, true).unwrap();
    pair.run();
    assert_eq!(heard(&pair.receiver, Channel::Reliable), [text(1)]);
    assert!(heard(&pair.receiver, Channel::Unreliable).is_empty());

    for (message, count) in
        [(Message::Binary(vec![0; MAX_MESSAGE]), 8), (Message::Text(String::new()), 5000)]
    {
        let mut pair = compared_at_the_sender();
        for _ in 0..count {
            let sent =
                pair.sender.connection.send_message(pair.now, Channel::Reliable, message.clone());
            sent.unwrap();
        }
        pair.run();
        assert_eq!(pair.sender.error().unwrap().code, ErrorCode::LimitExceeded);
    }
}
