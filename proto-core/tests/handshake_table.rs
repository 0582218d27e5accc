//! The table of states of chapter 4 against the code: each state is given each
//! kind of message, and what comes of it is what the cell says.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use passel_proto::connection::{Connection, Event};
use passel_proto::ids::Channel;
use support::{config, epoch};

const CHAPTER: &str = include_str!("../../spec/04-handshake.md");

/// What a connection has sent, whether it is over, and whether it is established.
struct Outcome {
    sent: Vec<Vec<u8>>,
    closed: bool,
    established: bool,
}

fn give(connection: &mut Connection, message: Option<&[u8]>) -> Outcome {
    let now = epoch();
    if let Some(message) = message {
        connection.handle_message(now, Channel::Control, &mut message.to_vec());
    }
    for channel in Channel::ALL {
        connection.handle_writable(channel, 1 << 20);
    }
    let (mut sent, mut buf) = (Vec::new(), Vec::new());
    while connection.poll_transmit(now, &mut buf).is_some() {
        sent.push(buf.clone());
    }
    let mut closed = false;
    while let Some(event) = connection.poll_event() {
        closed |= matches!(event, Event::Closed { .. });
    }
    Outcome { sent, closed, established: connection.is_established() }
}

fn initiator() -> (Connection, Vec<u8>) {
    let mut connection = Connection::initiator(config(), [1; 32], epoch()).unwrap();
    let hello = give(&mut connection, None).sent.remove(0);
    (connection, hello)
}

fn responder() -> Connection {
    Connection::responder(config(), [2; 32], epoch()).unwrap()
}

/// The three messages of one handshake; the same seeds give the same again.
fn messages() -> [Vec<u8>; 3] {
    let (mut one, hello_i) = initiator();
    let hello_r = give(&mut responder(), Some(&hello_i)).sent.remove(0);
    let confirm = give(&mut one, Some(&hello_r)).sent.remove(0);
    [hello_i, hello_r, confirm]
}

/// A connection in the state that a row of the table names.
fn in_state(state: &str, [hello_i, hello_r, _]: &[Vec<u8>; 3]) -> Connection {
    let (mut one, _) = initiator();
    let mut other = responder();
    match state {
        "initiator: sent HELLO_I" => {}
        "initiator: done, no record opened yet" => drop(give(&mut one, Some(hello_r))),
        "responder: waiting" => return other,
        "responder: sent HELLO_R" => {
            give(&mut other, Some(hello_i));
            return other;
        }
        state => panic!("no state {state}"),
    }
    one
}

// HS-ORDER, HS-NO-PANIC, HS-ALERT-ENDS, HS-ALERT-LATE
#[test]
fn each_state_does_with_each_message_what_the_table_says() {
    let all = messages();
    let rows: Vec<Vec<&str>> = CHAPTER
        .lines()
        .skip_while(|line| !line.starts_with("| state |"))
        .take_while(|line| line.starts_with('|'))
        .filter(|line| !line.starts_with("| ---"))
        .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
        .collect();
    let (header, rows) = rows.split_first().unwrap();
    assert_eq!((rows.len(), header.len()), (4, 6));
    for row in rows {
        for (kind, cell) in header.iter().zip(row).skip(1) {
            let message: &[u8] = match *kind {
                "HELLO_I" => &all[0],
                "HELLO_R" => &all[1],
                "CONFIRM" => &all[2],
                "ALERT" => &[0, 4, 2, 0],
                _ => &[0, 9, 0],
            };
            let mut connection = in_state(row[0], &all);
            let Outcome { sent, closed, established } = give(&mut connection, Some(message));
            let heads: Vec<&[u8]> = sent.iter().map(|message| &message[..2]).collect();
            let place = format!("{}, {kind}: {cell}; {heads:?} {closed} {established}", row[0]);
            // Once the keys are there, the reason is told in a sealed CLOSE.
            let done = row[0].contains("done");
            match *cell {
                "fail" => {
                    assert!(closed && heads == [if done { [1, 0] } else { [0, 4] }], "{place}");
                }
                "end" => assert!(closed && sent.is_empty(), "{place}"),
                "HELLO_R; sent HELLO_R" => {
                    assert!(!closed && !established && heads == [[0, 2]], "{place}");
                }
                "check the tag; CONFIRM; done" => {
                    assert!(!closed && established && heads[0] == [0, 3], "{place}");
                }
                "check the tag; done" => assert!(!closed && established, "{place}"),
                // Whether it opens is for the tests of records to say.
                "a record" => {}
                cell => panic!("{cell} is not understood"),
            }
        }
    }
}
