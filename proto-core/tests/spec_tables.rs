//! Tables and examples of the spec's chapters against the code, so that neither
//! changes alone. The registry's tables are compared elsewhere.

#![allow(clippy::unwrap_used)] // a test that fails says so

use passel_proto::connection::{TransferEvent, TransferState, UpdateEvent, UpdateState};
use passel_proto::ids::Role;

const TRANSFER: &str = include_str!("../../spec/07-transfer.md");
const RECORDS: &str = include_str!("../../spec/05-records.md");
const SECURITY: &str = include_str!("../../spec/10-security.md");
const WIRE: &str = include_str!("../../spec/03-wire.md");
const FRAMES: &str = include_str!(
    "../src/frame/snapshots/passel_proto__frame__tests__every_frame_survives_the_wire_and_its_layout_is_pinned.snap"
);

/// Rows of the table whose header begins with this cell, the header first.
fn table<'a>(chapter: &'a str, first: &str) -> Vec<Vec<&'a str>> {
    let begin = format!("| {first} |");
    chapter
        .lines()
        .skip_while(|line| !line.starts_with(&begin))
        .take_while(|line| line.starts_with('|'))
        .filter(|line| !line.starts_with("| ---"))
        .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
        .collect()
}

/// TR-STATES
#[test]
fn the_states_of_a_transfer_are_the_specs() {
    let rows = table(TRANSFER, "state");
    let (header, rows) = rows.split_first().unwrap();
    let events: Vec<String> = TransferEvent::ALL.iter().map(|event| format!("{event:?}")).collect();
    assert_eq!(header[1..], events);
    assert_eq!(rows.len(), TransferState::ALL.len());
    for (row, state) in rows.iter().zip(TransferState::ALL) {
        let expected: Vec<String> = TransferEvent::ALL
            .iter()
            .map(|&event| match state.after(event) {
                Ok(next) => format!("{next:?}"),
                Err(_) => "-".to_owned(),
            })
            .collect();
        assert_eq!(row[0], format!("{state:?}"));
        assert_eq!(row[1..], expected, "{state:?}");
    }
}

/// WF-LAYOUT, WF-ENCODING: the examples are the bytes that the code writes.
#[test]
fn every_frame_has_its_example() {
    let spec: String = WIRE.chars().filter(|c| !c.is_whitespace()).collect();
    let frames: Vec<&str> =
        FRAMES.lines().filter_map(|line| line.split_once(' ')).map(|(_, hex)| hex.trim()).collect();
    let samples: Vec<&&str> = frames
        .iter()
        .filter(|hex| hex.len() > 4 && hex.bytes().all(|byte| byte.is_ascii_hexdigit()))
        .collect();
    assert_eq!(samples.len(), 30, "one of each frame, and a second ACCEPT and MESSAGE");
    for hex in samples {
        assert!(spec.contains(&shortened(hex)), "no example {hex}");
    }
}

/// A long run of one byte at the end, told as the chapter does.
fn shortened(hex: &str) -> String {
    let last = &hex[hex.len() - 2..];
    let rest = hex.trim_end_matches(last);
    let run = (hex.len() - rest.len()) / 2;
    if run > 100 { format!("{rest}{last}{{{run}}}") } else { hex.to_owned() }
}

/// RL-UPDATE-STATES
#[test]
fn the_states_of_a_key_update_are_the_specs() {
    let rows = table(RECORDS, "state of an update");
    let (header, rows) = rows.split_first().unwrap();
    let events: Vec<String> = UpdateEvent::ALL.iter().map(|event| format!("{event:?}")).collect();
    assert_eq!(header[1..], events);
    assert_eq!(rows.len(), UpdateState::ALL.len());
    for (row, state) in rows.iter().zip(UpdateState::ALL) {
        let next = |event, role| match state.after(event, role) {
            Some(next) => format!("{next:?}"),
            None => "-".to_owned(),
        };
        let expected: Vec<String> = UpdateEvent::ALL
            .iter()
            .map(|&event| {
                let of = [Role::Initiator, Role::Responder].map(|role| next(event, role));
                if of[0] == of[1] { of[0].clone() } else { of.join(" / ") }
            })
            .collect();
        assert_eq!(row[0], format!("{state:?}"));
        assert_eq!(row[1..], expected, "{state:?}");
    }
}

/// Every id that the chapter on security leans on is a statement of the spec.
#[test]
fn every_attack_is_answered_by_statements_that_exist() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../spec");
    let chapters: String = std::fs::read_dir(folder)
        .unwrap()
        .map(|file| file.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "md"))
        .map(|path| std::fs::read_to_string(path).unwrap())
        .collect();
    let rows = SECURITY.lines().filter(|line| line.starts_with('|'));
    let ids: Vec<&str> = rows
        .flat_map(|row| row.split('`').skip(1).step_by(2))
        .filter(|word| word.contains('-'))
        .collect();
    assert!(ids.len() > 80, "{} ids", ids.len());
    for id in ids {
        assert!(chapters.contains(&format!("**[{id}]**")), "{id} is no statement");
    }
}
