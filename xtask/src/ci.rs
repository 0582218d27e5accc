//! `cargo xtask ci`: every check in a row, none skipped because another failed.

use crate::repo;
use crate::step::{Ledger, StepResult};
use crate::{deny, spec, test_run};

/// Runs all steps and returns what they came to.
pub(crate) fn run() -> Ledger {
    let mut ledger = Ledger::default();
    ledger.step("format: cargo fmt --check", || cargo(&["fmt", "--all", "--check"], &[]));
    ledger.step("lints: cargo clippy", || {
        cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"], &[])
    });
    ledger.step("documentation: cargo doc", || {
        cargo(&["doc", "--workspace", "--no-deps"], &[("RUSTDOCFLAGS", "-Dwarnings")])
    });
    ledger.step("spec: every MUST has code and a test", spec::report::check);
    ledger.absorb(deny::run());
    ledger.absorb(test_run::run());

    println!("Steps:");
    for line in ledger.lines() {
        println!("  {line}");
    }
    println!();
    ledger
}

/// Runs cargo with its output shown as it comes.
fn cargo(arguments: &[&str], variables: &[(&str, &str)]) -> StepResult {
    let status = repo::cargo()
        .args(arguments)
        .envs(variables.iter().copied())
        .status()
        .map_err(|error| format!("cargo does not run: {error}"))?;
    if status.success() { Ok(String::new()) } else { Err(format!("cargo ended with {status}")) }
}
