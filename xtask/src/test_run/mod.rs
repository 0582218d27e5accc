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
use crate::vectors;
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
    let mut artifacts = Vec::new();
    let built = ledger.step("build: tests", || {
        artifacts = build(&["test", "--workspace", "--no-run"])?;
        Ok(format!("{} test programs", artifacts.len()))
    });
    let mut selection = vec!["--workspace".to_owned()];
    if !built {
        (selection, artifacts) = build_each(&mut ledger);
    }
    if !artifacts.is_empty() {
        run_tests(&mut ledger, binary, &selection, &Units::new(artifacts));
    }
    vectors::read(&mut ledger);
    ledger
}

/// Builds the tests of each package alone, so that one that does not build
/// leaves the others their say. Returns the packages that did, as arguments.
fn build_each(ledger: &mut Ledger) -> (Vec<String>, Vec<Artifact>) {
    let mut selection = Vec::new();
    let mut artifacts = Vec::new();
    for package in repo::packages() {
        ledger.step(&format!("build: tests of {package} alone"), || {
            let built = build(&["test", "--package", &package, "--no-run"])?;
            let text = format!("{} test programs", built.len());
            artifacts.extend(built);
            selection.extend(["--package".to_owned(), package.clone()]);
            Ok(text)
        });
    }
    (selection, artifacts)
}

fn run_tests(ledger: &mut Ledger, binary: Option<PathBuf>, selection: &[String], units: &Units) {
    println!("── tests: cargo test {}", selection.join(" "));
    let begin = Instant::now();
    let mut command = repo::cargo();
    command.args(["test", "--no-fail-fast", "--color", "never"]).args(selection);
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
