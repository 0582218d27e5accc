//! The rows of a page's sequence of messages. What goes between two moments worth
//! reading is put together by direction and kind when it is much, and rows in
//! the middle of a long run are left out; how many is said.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Message, Recording, Sort};

/// Messages between two marks up to which each has a row of its own.
const SINGLE: usize = 8;
/// Longest time that one row puts together.
const TOGETHER_US: u64 = 1_000_000;
/// Rows at the beginning and at the end of a run that are kept.
const HEAD: usize = 400;
const TAIL: usize = 800;

/// A row: something between two hosts, or a mark.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "row", rename_all = "snake_case")]
pub(super) enum Row {
    /// Messages of one kind in one direction.
    Messages {
        at: u64,
        until: u64,
        arrived: Option<u64>,
        from: usize,
        to: usize,
        kind: String,
        count: u64,
        bytes: u64,
        lost: u64,
        again: u64,
        /// What befell some of them.
        fates: Vec<&'static str>,
    },
    /// A moment.
    Mark { at: u64, host: Option<usize>, sort: &'static str, text: String },
    /// Rows that are left out.
    Omitted { count: usize },
}

fn sort(sort: Sort) -> &'static str {
    match sort {
        Sort::Event => "event",
        Sort::Fault => "fault",
        Sort::Broken => "broken",
    }
}

/// The rows of a run, by time, bounded.
pub(super) fn rows(recording: &Recording) -> Vec<Row> {
    let mut all = Vec::new();
    let messages: Vec<&Message> = recording.messages.iter().collect();
    let mut rest = &messages[..];
    for mark in &recording.marks {
        let done = messages.len() - rest.len();
        let before;
        (before, rest) = rest.split_at(mark.behind.saturating_sub(done).min(rest.len()));
        between(before, &mut all);
        let (at, host, text) = (mark.at_us, mark.host, mark.text.clone());
        all.push(Row::Mark { at, host, sort: sort(mark.sort), text });
    }
    between(rest, &mut all);
    if all.len() > HEAD + TAIL {
        let count = all.len() - HEAD - TAIL;
        all.splice(HEAD..HEAD + count, [Row::Omitted { count }]);
    }
    all
}

fn between(messages: &[&Message], all: &mut Vec<Row>) {
    if messages.len() <= SINGLE {
        all.extend(messages.iter().map(|one| row(&[one])));
        return;
    }
    let mut rest = messages;
    while let Some(first) = rest.first() {
        let is_of = |one: &&&Message| one.sent_us - first.sent_us <= TOGETHER_US;
        let count = rest.iter().take_while(is_of).count();
        let (these, later) = rest.split_at(count);
        // By what is first of each, so that the order still tells something.
        let mut places: BTreeMap<(usize, usize, &str), usize> = BTreeMap::new();
        let mut groups: Vec<Vec<&Message>> = Vec::new();
        for one in these {
            let next = groups.len();
            let place = *places.entry((one.from, one.to, &one.kind)).or_insert(next);
            if place == next {
                groups.push(Vec::new());
            }
            groups[place].push(one);
        }
        all.extend(groups.iter().map(|group| row(group)));
        rest = later;
    }
}

/// One row of messages, of which there is at least one.
fn row(group: &[&Message]) -> Row {
    let (first, last) = (group[0], group[group.len() - 1]);
    let mut fates: Vec<&'static str> =
        group.iter().flat_map(|one| one.fates.iter().copied()).collect();
    fates.sort_unstable();
    fates.dedup();
    Row::Messages {
        at: first.sent_us,
        until: last.sent_us,
        arrived: group.iter().filter_map(|one| one.arrived_us).max(),
        from: first.from,
        to: first.to,
        kind: first.kind.clone(),
        count: group.len() as u64,
        bytes: group.iter().map(|one| one.bytes as u64).sum(),
        lost: group.iter().filter(|one| one.lost).count() as u64,
        again: group.iter().filter(|one| one.again).count() as u64,
        fates,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(rows: &[Row]) -> Vec<u64> {
        let count = |row: &Row| match row {
            Row::Messages { count, .. } => *count,
            _ => 0,
        };
        rows.iter().map(count).collect()
    }

    #[test]
    fn few_messages_stand_alone_and_many_stand_together() {
        let mut recording = Recording::new(&["a", "b"]);
        for at in 0..3 {
            recording.sent(at, 0, 1, "DATA", 10);
        }
        recording.mark(5, Some(1), Sort::Event, "done");
        for at in 10..20 {
            recording.sent(at, 0, 1, "DATA", 10);
            let number = recording.sent(at, 1, 0, "ACK", 1);
            recording.messages[number].lost = at > 17;
        }
        let rows = rows(&recording);
        assert_eq!(counts(&rows), [1, 1, 1, 0, 10, 10]);
        assert!(matches!(rows[4], Row::Messages { bytes: 100, lost: 0, at: 10, until: 19, .. }));
        assert!(matches!(rows[5], Row::Messages { lost: 2, .. }));
    }

    #[test]
    fn a_long_run_keeps_its_ends_and_says_what_is_left_out() {
        let mut recording = Recording::new(&["a", "b"]);
        for at in 0..5000 {
            recording.mark(at, None, Sort::Event, format!("{at}"));
        }
        let rows = rows(&recording);
        assert_eq!(rows.len(), HEAD + TAIL + 1);
        assert_eq!(rows[HEAD], Row::Omitted { count: 5000 - HEAD - TAIL });
        assert!(matches!(&rows[HEAD + TAIL], Row::Mark { at: 4999, .. }));
    }
}
