//! Counting: each path runs under callgrind twice, with few and with many
//! operations. The difference is what the operations took; start and end of the
//! program fall out.

use std::path::Path;
use std::process::Command;

use crate::repo;

/// Operations of the two runs of a path that is no better known.
const TIMES: (u64, u64) = (100, 1100);
/// Of those that take long.
const TIMES_OF_LONG: (u64, u64) = (16, 80);
const LONG: [&str; 2] = ["leaf", "chunk"];
const MISSING: &str = "valgrind does not run here; it is in the package `valgrind` of Debian, \
                       Ubuntu, Fedora and Arch";

/// Instructions of one operation of each path.
pub(super) fn all() -> Result<Vec<(String, u64)>, String> {
    let version = Command::new("valgrind").arg("--version").output();
    let version = version.map_err(|error| format!("{MISSING} ({error})"))?;
    if !version.status.success() {
        return Err(MISSING.to_owned());
    }
    println!("{}", String::from_utf8_lossy(&version.stdout).trim());
    let program = build()?;
    let list = Command::new(&program).output().map_err(|error| error.to_string())?;
    let list = String::from_utf8_lossy(&list.stdout).into_owned();
    list.lines().map(|path| Ok((path.to_owned(), one(&program, path)?))).collect()
}

fn one(program: &Path, path: &str) -> Result<u64, String> {
    let (few, many) = if LONG.contains(&path) { TIMES_OF_LONG } else { TIMES };
    let (less, more) = (run(program, path, few)?, run(program, path, many)?);
    Ok(more.saturating_sub(less).div_ceil(many - few))
}

/// Instructions of a whole run.
fn run(program: &Path, path: &str, times: u64) -> Result<u64, String> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(program)
        .args([path, &times.to_string()])
        // What surrounds a program moves its stack, and with it a few counts.
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .output()
        .map_err(|error| format!("{MISSING} ({error})"))?;
    let text = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        return Err(format!("{path} under valgrind: {}\n{text}", output.status));
    }
    collected(&text).ok_or_else(|| format!("valgrind did not say what it counted:\n{text}"))
}

/// What callgrind says at its end.
fn collected(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.split_once("Collected :"))?.1;
    line.trim().parse().ok()
}

fn build() -> Result<std::path::PathBuf, String> {
    let arguments = ["build", "--release", "--package", "passel-benches", "--bin"];
    let name = "passel-hot-paths";
    let status = repo::cargo().args(arguments).arg(name).status();
    if status.map_err(|error| format!("cargo does not run: {error}"))?.success() {
        Ok(repo::target().join("release").join(name))
    } else {
        Err("the program with the hot paths does not build".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_count_is_read_from_what_callgrind_says() {
        let text = "==7== Events    : Ir\n==7== Collected : 16205023\n==7== \n";
        assert_eq!(collected(text), Some(16_205_023));
        assert_eq!(collected("==7== Events    : Ir\n"), None);
    }
}
