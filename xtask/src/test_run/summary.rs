//! The summary of a test run: counts for each room and module, what was proved
//! by theme, and what failed with its output.

use std::collections::BTreeMap;

use super::libtest::{Outcome, Source, Suite};
use super::themes::{Entry, THEMES};
use super::units::Units;
use crate::step::Tally;

/// Prints everything that the last line does not say.
pub(crate) fn print(suites: &[Suite], units: &Units) {
    let entries = entries(suites, units);
    println!("Tests by room:");
    for line in by_room(&entries) {
        println!("  {line}");
    }
    println!("\nWhat was proved:");
    for line in by_theme(&entries) {
        println!("  {line}");
    }
    println!();
    for suite in suites {
        for line in problems(suite, &units.title(&suite.source)) {
            println!("{line}");
        }
    }
}

fn entries(suites: &[Suite], units: &Units) -> Vec<Entry> {
    let mut entries = Vec::new();
    for suite in suites {
        let room = units.room(&suite.source);
        let prefix = match (&suite.source, units.integration(&suite.source)) {
            (Source::Documentation(_), _) => Some("examples".to_owned()),
            (_, Some(target)) => Some(format!("tests/{target}")),
            (_, None) => None,
        };
        for (full, outcome) in &suite.verdicts {
            if *outcome == Outcome::Ignored {
                continue;
            }
            let is_example = matches!(suite.source, Source::Documentation(_));
            let (modules, name) = if is_example {
                ("", full.as_str())
            } else {
                full.rsplit_once("::").unwrap_or(("", full))
            };
            let modules =
                modules.split("::").filter(|module| *module != "tests" && !module.is_empty());
            let place: Vec<&str> = prefix.as_deref().into_iter().chain(modules).collect();
            let place = if place.is_empty() { "crate".to_owned() } else { place.join("::") };
            let passed = *outcome == Outcome::Passed;
            entries.push(Entry { room: room.clone(), place, name: name.to_owned(), passed });
        }
    }
    entries
}

fn count<'a>(entries: impl IntoIterator<Item = &'a Entry>) -> Tally {
    let mut tally = Tally::default();
    for entry in entries {
        tally.add(Tally { passed: usize::from(entry.passed), failed: usize::from(!entry.passed) });
    }
    tally
}

fn cell(tally: Tally) -> String {
    match tally.failed {
        0 => format!("{:>5}", tally.passed),
        failed => format!("{:>5}, {failed} FAILED", tally.passed),
    }
}

fn by_room(entries: &[Entry]) -> Vec<String> {
    let mut rooms: BTreeMap<&str, BTreeMap<&str, Vec<&Entry>>> = BTreeMap::new();
    for entry in entries {
        rooms.entry(&entry.room).or_default().entry(&entry.place).or_default().push(entry);
    }
    let mut lines = Vec::new();
    for (room, places) in rooms {
        let all = count(places.values().flatten().copied());
        lines.push(format!("{room:<42} {}", cell(all)));
        for (place, tests) in places {
            lines.push(format!("  {place:<40} {}", cell(count(tests))));
        }
    }
    lines
}

fn by_theme(entries: &[Entry]) -> Vec<String> {
    let mut lines = Vec::new();
    for theme in THEMES {
        let tests: Vec<&Entry> = entries.iter().filter(|entry| theme.holds(entry)).collect();
        if tests.is_empty() {
            continue;
        }
        lines.push(format!("{:<42} {}", theme.title, cell(count(tests.iter().copied()))));
        for test in tests.iter().filter(|_| theme.by_name) {
            let mark = if test.passed { "ok    " } else { "FAILED" };
            lines.push(format!("  {mark} {}", test.name.replace('_', " ")));
        }
    }
    lines
}

fn problems(suite: &Suite, title: &str) -> Vec<String> {
    let mut lines = Vec::new();
    if suite.ignored() > 0 {
        lines.push(format!("{title}: {} tests did not run and prove nothing:", suite.ignored()));
        let ignored = suite.verdicts.iter().filter(|(_, outcome)| *outcome == Outcome::Ignored);
        lines.extend(ignored.map(|(name, _)| format!("  {name}")));
    }
    if suite.tally().failed == 0 {
        return lines;
    }
    lines.push(format!("FAILED in {title}:"));
    let failed = suite.verdicts.iter().filter(|(_, outcome)| *outcome == Outcome::Failed);
    lines.extend(failed.map(|(name, _)| format!("  {name}")));
    if suite.unfinished() > 0 {
        lines.push(format!("  {} tests did not finish", suite.unfinished()));
    }
    lines.extend(suite.details.iter().map(|line| format!("  | {line}")));
    lines.push(String::new());
    lines
}

#[cfg(test)]
mod tests {
    use super::super::libtest::Reader;
    use super::*;

    fn suites() -> Vec<Suite> {
        let mut reader = Reader::default();
        let text = "     Running unittests src/lib.rs (target/debug/deps/core-1)\nrunning 3 tests\n\
                    test codec::tests::round_trip ... ok\ntest codec::tests::bad ... FAILED\n\
                    test top ... ok\nfailures:\n---- codec::tests::bad stdout ----\nwhy it broke\n\
                    test result: FAILED. 2 passed; 1 failed; 0 ignored\n";
        for line in text.lines() {
            reader.line(line);
        }
        reader.finish()
    }

    #[test]
    fn rooms_and_modules_are_counted() {
        let lines = by_room(&entries(&suites(), &Units::default())).join("\n");
        let squeezed = lines.split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(squeezed, "core-1 2, 1 FAILED codec 1, 1 FAILED crate 1");
    }

    #[test]
    fn a_failed_test_is_shown_with_its_output() {
        let lines = problems(&suites()[0], "core").join("\n");
        assert!(lines.contains("codec::tests::bad"), "{lines}");
        assert!(lines.contains("| why it broke"), "{lines}");
        assert!(!lines.contains("did not finish"), "{lines}");
    }
}
