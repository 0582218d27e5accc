//! `cargo xtask spec`: for each statement the code and the tests that cite it,
//! and which commands nobody cites. It reports; it does not judge.

use std::collections::{BTreeMap, BTreeSet};

use super::citations::{self, Citation};
use super::statements::{self, PREFIXES, Statement};
use crate::repo;

/// Prints the report.
pub(crate) fn print() -> Result<(), String> {
    let files = repo::tracked()?;
    let prefixes: Vec<&str> = PREFIXES.iter().map(|(prefix, _)| *prefix).collect();
    let mut all = Vec::new();
    for file in files.iter().filter(|file| statements::is_chapter(file)) {
        all.extend(statements::read(&file.path, &file.text).0);
    }
    let mut cited: BTreeMap<String, Vec<Citation>> = BTreeMap::new();
    for file in files.iter().filter(|file| citations::is_code(file)) {
        for citation in citations::read(file, &prefixes) {
            cited.entry(citation.id.clone()).or_default().push(citation);
        }
    }
    let excepted: BTreeSet<String> = files
        .iter()
        .filter(|file| file.path.starts_with("spec/exceptions/"))
        .flat_map(|file| citations::ids(&file.text, &prefixes))
        .collect();
    for line in lines(&all, &cited, &excepted) {
        println!("{line}");
    }
    Ok(())
}

fn lines(
    all: &[Statement],
    cited: &BTreeMap<String, Vec<Citation>>,
    excepted: &BTreeSet<String>,
) -> Vec<String> {
    let mut lines = Vec::new();
    let mut no_code = Vec::new();
    let mut no_test = Vec::new();
    for statement in all {
        let found = cited.get(&statement.id).map_or(&[][..], Vec::as_slice);
        let code = paths(found, false);
        let tests = paths(found, true);
        let level = if statement.is_must { "MUST" } else { "    " };
        let place = format!("{}:{}", statement.path, statement.line);
        lines.push(format!("{level} {:<32} {place}", statement.id));
        lines.push(format!("       code:  {}", listed(&code)));
        lines.push(format!("       tests: {}", listed(&tests)));
        if excepted.contains(&statement.id) {
            lines.push("       stands in spec/exceptions".to_owned());
        } else if statement.is_must {
            no_code.extend(code.is_empty().then_some(statement.id.as_str()));
            no_test.extend(tests.is_empty().then_some(statement.id.as_str()));
        }
    }
    let musts = all.iter().filter(|statement| statement.is_must).count();
    lines.push(String::new());
    lines.push(format!("{} statements, {musts} of them say MUST.", all.len()));
    lines.push(format!("MUST without code ({}): {}", no_code.len(), no_code.join(" ")));
    lines.push(format!("MUST without a test ({}): {}", no_test.len(), no_test.join(" ")));
    lines
}

fn paths(citations: &[Citation], in_test: bool) -> Vec<String> {
    let chosen = citations.iter().filter(|citation| citation.in_test == in_test);
    let places = chosen.map(|citation| format!("{}:{}", citation.path, citation.line));
    places.collect::<BTreeSet<_>>().into_iter().collect()
}

fn listed(paths: &[String]) -> String {
    if paths.is_empty() { "-".to_owned() } else { paths.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn statement(id: &str) -> Statement {
        Statement { id: id.into(), path: "spec/x.md".into(), line: 1, is_must: true }
    }

    #[test]
    fn uncited_commands_are_listed_unless_excepted() {
        let all = [statement("QQ-CITED"), statement("QQ-BARE"), statement("QQ-LATER")];
        let citation = |in_test| Citation {
            id: "QQ-CITED".into(),
            path: "core/src/a.rs".into(),
            line: 7,
            in_test,
        };
        let cited = BTreeMap::from([("QQ-CITED".into(), vec![citation(false)])]);
        let excepted = BTreeSet::from(["QQ-LATER".to_owned()]);
        let text = lines(&all, &cited, &excepted).join("\n");
        assert!(text.contains("code:  core/src/a.rs:7"), "{text}");
        assert!(text.contains("MUST without code (1): QQ-BARE"), "{text}");
        assert!(text.contains("MUST without a test (2): QQ-CITED QQ-BARE"), "{text}");
    }
}
