//! `cargo xtask vectors --check`: the spec's vectors, held against the code and
//! against a second reader that was written from the spec's text alone.
//!
//! The Rust tests that write and compare the files are started here; getting a
//! Python for the second reader is in [`python`], its verdicts in [`verdicts`].

mod python;
mod verdicts;

use std::time::Duration;

use crate::process::{End, run_lines};
use crate::repo;
use crate::step::{Ledger, StepResult, seconds};

const TEST_LIMIT: Duration = Duration::from_secs(15 * 60);
const READER_LIMIT: Duration = Duration::from_secs(3 * 60);

/// Runs both sides and returns the count.
pub(crate) fn check() -> Ledger {
    let mut ledger = Ledger::default();
    ledger.step("vectors: the code (cargo test)", rust_tests);
    read(&mut ledger);
    ledger
}

/// The tests of the core that compare a vector file.
fn rust_tests() -> StepResult {
    let tests = ["*_vectors", "names", "xwing"];
    let mut command = repo::cargo();
    command.args(["test", "--package", "passel-proto"]);
    command.args(tests.iter().flat_map(|test| ["--test", test]));
    let end = run_lines(&mut command, TEST_LIMIT, |line| println!("   {line}"))
        .map_err(|error| format!("cargo does not run: {error}"))?;
    match end {
        End::TimedOut => Err(format!("stopped after {}", seconds(TEST_LIMIT))),
        end if end.is_success() => Ok(String::new()),
        End::Exited(status) => Err(format!("cargo ended with {status}")),
    }
}

/// Runs the second reader; each file that it reads is a check of its own.
pub(crate) fn read(ledger: &mut Ledger) {
    let mut interpreter = None;
    ledger.step("vectors: a Python for the second reader", || {
        let path = python::prepare()?;
        let text = path.display().to_string();
        interpreter = Some(path);
        Ok(text)
    });
    let Some(interpreter) = interpreter else { return };

    let mut lines = Vec::new();
    let mut command = python::command(&interpreter);
    command.arg(repo::root().join(python::READER).join("check.py"));
    let end = run_lines(&mut command, READER_LIMIT, |line| lines.push(line.to_owned()));
    let said = verdicts::Said::new(&lines);
    match verdicts::files(&repo::root().join("spec").join("vectors")) {
        Ok(files) => {
            for (file, verdict) in said.of_each(files) {
                ledger.step(&format!("vectors: {file} by the second reader"), || verdict);
            }
        }
        Err(error) => {
            ledger.step("vectors: the files", || Err(format!("cannot be listed: {error}")));
        }
    }
    for note in said.notes {
        ledger.note(note);
    }
    // What no file's verdict shows is a check of its own.
    let broke = match end {
        Ok(End::TimedOut) => Some(format!("stopped after {}", seconds(READER_LIMIT))),
        Ok(end) if !end.is_success() && !said.failed => {
            Some(format!("it failed without a verdict:\n{}", lines.join("\n")))
        }
        Ok(_) => None,
        Err(error) => Some(format!("it does not run: {error}")),
    };
    if let Some(text) = broke {
        ledger.step("vectors: the second reader runs to its end", || Err(text));
    }
}
