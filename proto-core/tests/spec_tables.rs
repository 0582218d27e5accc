//! Tables and examples of the spec's chapters against the code, so that neither
//! changes alone. The registry's tables are compared elsewhere.

#![allow(clippy::unwrap_used)] // a test that fails says so

use passel_proto::connection::{TransferEvent, TransferState};

const TRANSFER: &str = include_str!("../../spec/07-transfer.md");
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
    assert_eq!(samples.len(), 19, "one of each frame, and a second ACCEPT");
    for hex in samples {
        assert!(spec.contains(*hex), "no example {hex}");
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
