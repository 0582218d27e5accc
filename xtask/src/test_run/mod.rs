//! `cargo xtask test`: builds what the tests need, runs all of them through
//! plain `cargo test`, counts every single one and says what was proved.
//!
//! Reading libtest's output is in [`libtest`], reading cargo's messages in
//! [`units`], the summary in [`summary`] and [`themes`].

mod libtest;
mod summary;
mod themes;
mod units;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::process::{End, run_lines};
use crate::repo;
use crate::step::{Ledger, Tally, seconds};
use libtest::{Outcome, Progress, Reader};
use units::{Artifact, Units};

/// The variable that tells tests where the release build of `passel` is.
const BINARY_VARIABLE: &str = "PASSEL_BIN";
const BUILD_LIMIT: Duration = Duration::from_secs(30 * 60);
const RUN_LIMIT: Duration = Duration::from_secs(20 * 60);

/// Builds, runs, prints the summary and returns the count.
pub(crate) fn run() -> Ledger {
    let mut ledger = Ledger::default();
    let mut binary: Option<PathBuf> = None;
    ledger.step("build: passel in release", || {
        let artifacts = build(&["build", "--release", "--package", "passel", "--bin", "passel"])?;
        let found = artifacts.into_iter().find_map(|artifact| artifact.executable);
        let path = found.ok_or("cargo names no executable")?;
        binary = Some(path.clone());
        Ok(path.display().to_string())
    });
    let mut units = Units::default();
    let built = ledger.step("build: tests", || {
        units = Units::new(build(&["test", "--workspace", "--no-run"])?);
        Ok(format!("{} test programs", units.len()))
    });
    if built {
        run_tests(&mut ledger, binary, &units);
    }
    ledger
}

fn run_tests(ledger: &mut Ledger, binary: Option<PathBuf>, units: &Units) {
    println!("── tests: cargo test --workspace");
    let begin = Instant::now();
    let mut command = repo::cargo();
    command.args(["test", "--workspace", "--no-fail-fast", "--color", "never"]);
    command.env_remove(BINARY_VARIABLE);
    if let Some(path) = binary {
        command.env(BINARY_VARIABLE, path);
    }
    let mut reader = Reader::default();
    let end = run_lines(&mut command, RUN_LIMIT, |line| show(&reader.line(line), units));
    let suites = reader.finish();
    println!("── tests took {}\n", seconds(begin.elapsed()));

    summary::print(&suites, units);
    let mut tally = Tally::default();
    for suite in &suites {
        tally.add(suite.tally());
    }
    ledger.add(tally);
    // What the count of tests does not show is a check of its own.
    match end {
        Ok(End::TimedOut) => {
            let text = format!("stopped after {}", seconds(RUN_LIMIT));
            ledger.step("tests: run to their end", || Err(text));
        }
        Ok(end) if !end.is_success() && tally.failed == 0 => {
            let text = "cargo test failed though no test did; see above".to_owned();
            ledger.step("tests: run to their end", || Err(text));
        }
        Ok(_) => {}
        Err(error) => {
            ledger.step("tests: run to their end", || Err(format!("cargo does not run: {error}")));
        }
    }
}

fn show(progress: &Progress, units: &Units) {
    match progress {
        Progress::Begins(source) => println!("   {}", units.title(source)),
        Progress::Verdict(name, Outcome::Failed) => println!("      FAILED {name}"),
        Progress::Ends(tally) => println!("      {tally}"),
        Progress::Slow(line) | Progress::Outside(line) => println!("      {line}"),
        Progress::Verdict(..) | Progress::Inside => {}
    }
}

/// Runs a cargo command that builds, shows what it says and collects the
/// programs that it made.
fn build(arguments: &[&str]) -> Result<Vec<Artifact>, String> {
    let mut command = repo::cargo();
    command.args(arguments).arg("--message-format=json-render-diagnostics");
    let mut artifacts = Vec::new();
    let end = run_lines(&mut command, BUILD_LIMIT, |line| {
        if line.starts_with('{') {
            artifacts.extend(Artifact::parse(line));
        } else {
            println!("   {}", line.trim_start());
        }
    })
    .map_err(|error| format!("cargo does not run: {error}"))?;
    match end {
        End::TimedOut => Err(format!("stopped after {}", seconds(BUILD_LIMIT))),
        end if end.is_success() => Ok(artifacts),
        End::Exited(status) => Err(format!("cargo ended with {status}")),
    }
}
