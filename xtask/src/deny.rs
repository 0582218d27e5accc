//! The rules for dependencies (`deny.toml`), checked by cargo-deny, which is
//! built once into `target/tools`.
//!
//! Its database of advisories is fetched over the network. Where that is out of
//! reach the other rules are checked all the same, and the ledger says at its
//! end that the advisories were not.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::process::run_lines;
use crate::repo;
use crate::step::{Ledger, StepResult};

const VERSION: &str = "0.20.2";
const FETCH_LIMIT: Duration = Duration::from_secs(60);
const CHECK_LIMIT: Duration = Duration::from_secs(300);
const INSTALL_LIMIT: Duration = Duration::from_secs(900);

/// Installs cargo-deny if need be and checks.
pub(crate) fn run() -> Ledger {
    let mut ledger = Ledger::default();
    let mut unchecked = None;
    ledger.step("dependencies: cargo deny check", || {
        let tool = installed_or_install()?;
        match fetch(&tool) {
            Ok(()) => check(&tool, &["advisories", "bans", "licenses", "sources"]),
            Err(reason) => {
                let text = format!("advisories were NOT checked: {reason}");
                println!("{text}");
                unchecked = Some(text.clone());
                check(&tool, &["bans", "licenses", "sources"])
                    .map(|passed| format!("{passed}; {text}"))
            }
        }
    });
    if let Some(text) = unchecked {
        ledger.note(text);
    }
    ledger
}

fn installed_or_install() -> Result<PathBuf, String> {
    let place = repo::target().join("tools");
    let tool = place.join("bin").join(format!("cargo-deny{}", std::env::consts::EXE_SUFFIX));
    let on_path = PathBuf::from("cargo-deny");
    for candidate in [&tool, &on_path] {
        if has_version(candidate) {
            return Ok(candidate.clone());
        }
    }
    println!("building cargo-deny {VERSION} into {}", place.display());
    // It runs for a second, so that optimising it would cost more than it gives.
    let mut install = repo::cargo();
    install
        .args(["install", "cargo-deny", "--locked", "--quiet", "--force", "--version", VERSION])
        .arg("--root")
        .arg(&place)
        .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "0")
        .env("CARGO_PROFILE_RELEASE_LTO", "off")
        .env("CARGO_PROFILE_RELEASE_DEBUG", "0")
        .env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16");
    let end = run_lines(&mut install, INSTALL_LIMIT, |line| println!("{line}"))
        .map_err(|error| format!("cargo does not run: {error}"))?;
    if end.is_success() && has_version(&tool) {
        Ok(tool)
    } else {
        Err(format!("cargo-deny {VERSION} could not be installed"))
    }
}

fn has_version(tool: &PathBuf) -> bool {
    Command::new(tool)
        .arg("--version")
        .stdin(Stdio::null())
        .output()
        .is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains(VERSION))
}

fn command(tool: &PathBuf) -> Command {
    let mut command = Command::new(tool);
    // Without a terminal nobody can answer a question for a password.
    command.current_dir(repo::root()).stdin(Stdio::null()).env("GIT_TERMINAL_PROMPT", "0");
    command
}

fn fetch(tool: &PathBuf) -> Result<(), String> {
    let mut lines = Vec::new();
    let mut fetch = command(tool);
    fetch.args(["fetch", "db"]);
    let end = run_lines(&mut fetch, FETCH_LIMIT, |line| lines.push(line.to_owned()))
        .map_err(|error| format!("cargo-deny does not run: {error}"))?;
    fetch_verdict(end.is_success(), &lines)
}

/// The fetch counts only if it ended well and did not complain.
fn fetch_verdict(success: bool, lines: &[String]) -> Result<(), String> {
    let reason = lines
        .iter()
        .rev()
        .find(|line| line.starts_with("fatal:"))
        .or_else(|| lines.iter().find(|line| line.contains("[ERROR]")));
    match reason {
        None if success => Ok(()),
        None => Err("the database could not be fetched in time".to_owned()),
        Some(line) => {
            let text = line.trim_start_matches("fatal:").trim();
            Err(format!("the database could not be fetched ({text})"))
        }
    }
}

fn check(tool: &PathBuf, what: &[&str]) -> StepResult {
    let mut lines = Vec::new();
    let mut check = command(tool);
    check.args(["--color", "never", "check", "--hide-inclusion-graph"]).args(what);
    let end = run_lines(&mut check, CHECK_LIMIT, |line| lines.push(line.to_owned()))
        .map_err(|error| format!("cargo-deny does not run: {error}"))?;
    if end.is_success() {
        let warnings = lines.iter().filter(|line| line.starts_with("warning[")).count();
        Ok(format!("{} hold, {warnings} warnings", what.join(", ")))
    } else {
        for line in &lines {
            println!("{line}");
        }
        Err("a rule is broken".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<String> {
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn a_fetch_that_complains_is_no_fetch_whatever_it_returns() {
        let said = lines("[ERROR] failed to fetch\nfatal: unable to access\n");
        let reason = fetch_verdict(true, &said).unwrap_err();
        assert!(reason.contains("unable to access"), "{reason}");
        assert!(fetch_verdict(false, &[]).is_err());
        assert!(fetch_verdict(true, &lines("[INFO] fetched")).is_ok());
    }
}
