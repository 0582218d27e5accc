//! `cargo xtask spec`: for each statement the code and the tests that cite it,
//! as text; `--check` fails if a MUST is not kept, `--out` writes the same as a
//! page and as data. What is found is decided in `trace`.

use std::fs;
use std::path::Path;

use super::page;
use super::trace::{Status, Trace};
use crate::step::StepResult;

/// Prints the report.
pub(crate) fn print() -> Result<(), String> {
    for line in lines(&Trace::of_project()?) {
        println!("{line}");
    }
    Ok(())
}

/// Fails with a list if a MUST lacks code or a test and is not excepted, or if
/// the exceptions are wrong or too many.
pub(crate) fn check() -> StepResult {
    let trace = Trace::of_project()?;
    if trace.requirements.is_empty() {
        return Err("the spec holds no statement".to_owned());
    }
    let complaints = trace.complaints();
    if complaints.is_empty() {
        return Ok(trace.summary());
    }
    let what = "statements that nobody shows to be kept";
    Err(format!("{what} ({}):\n  {}", complaints.len(), complaints.join("\n  ")))
}

/// Writes `requirements.html` and `requirements.json` into a directory, which is
/// made if it is missing.
pub(crate) fn write(directory: &Path) -> Result<(), String> {
    let trace = Trace::of_project()?;
    let fail = |error: std::io::Error| format!("{}: {error}", directory.display());
    fs::create_dir_all(directory).map_err(fail)?;
    let json = serde_json::to_string_pretty(&page::data(&trace))
        .map_err(|error| format!("the report cannot be encoded: {error}"))?;
    for (name, text) in
        [("requirements.html", page::html(&trace)), ("requirements.json", json + "\n")]
    {
        let path = directory.join(name);
        fs::write(&path, text).map_err(fail)?;
        println!("{} written", path.display());
    }
    Ok(())
}

fn lines(trace: &Trace) -> Vec<String> {
    let mut lines = Vec::new();
    for requirement in &trace.requirements {
        let statement = &requirement.statement;
        let level = if statement.is_must { "MUST" } else { "    " };
        let place = format!("{}:{}", statement.path, statement.line);
        lines.push(format!("{level} {:<32} {place}", statement.id));
        lines.push(format!("       code:  {}", listed(&requirement.code)));
        lines.push(format!("       tests: {}", listed(&requirement.tests)));
        if let Some(reason) = &requirement.exception {
            lines.push(format!("       excepted: {reason}"));
        }
    }
    let missing = |lacks: fn(&super::trace::Requirement) -> bool| {
        let missing = trace.requirements.iter();
        let missing = missing.filter(|found| found.status() == Status::Missing && lacks(found));
        let ids: Vec<&str> = missing.map(|found| found.statement.id.as_str()).collect();
        format!("({}): {}", ids.len(), ids.join(" "))
    };
    lines.push(String::new());
    lines.push(format!("{}.", trace.summary()));
    lines.push(format!("MUST without code {}", missing(|found| found.code.is_empty())));
    lines.push(format!("MUST without a test {}", missing(|found| found.tests.is_empty())));
    lines
}

fn listed(places: &[String]) -> String {
    if places.is_empty() { "-".to_owned() } else { places.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::super::trace::tests::sample;
    use super::*;

    #[test]
    fn uncited_commands_are_listed_unless_excepted() {
        let text = lines(&sample("- WF-LATER: why\n")).join("\n");
        assert!(text.contains("code:  core/src/a.rs:1"), "{text}");
        assert!(text.contains("excepted: why"), "{text}");
        assert!(text.contains("MUST without code (1): WF-BARE\n"), "{text}");
        assert!(text.ends_with("MUST without a test (0): "), "{text}");
    }
}
