//! Bugs of the crates under test, planted in a copy of the project and looked for by the
//! simulator. The list is `sim/planted/core.toml`; the copy lies under the target
//! directory and is built as a program of another name, so that nothing that is
//! ever shipped has a bug in it. What the simulator finds by itself is elsewhere.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use toml::Table;

use crate::repo;

/// Where the list is.
const LIST: &str = "sim/planted/core.toml";
/// Names the bug to a program that has all of them.
const SWITCH: &str = "PASSEL_PLANTED";
/// Seeds that are run at once, and at most.
const STEP: u64 = 100;
const MOST: u64 = 2000;
/// Says whether a bug is switched on.
const MODULE: &str = "//! Switches on one of the bugs that are planted in this copy.\n\n\
    pub(crate) fn is(name: &str) -> bool {\n    \
    static ON: std::sync::OnceLock<Option<String>> = std::sync::OnceLock::new();\n    \
    ON.get_or_init(|| std::env::var(\"PASSEL_PLANTED\").ok()).as_deref() == Some(name)\n}\n";

struct Bug {
    name: String,
    /// The tier whose swarms look for it.
    tier: String,
    file: String,
    find: String,
    replace: String,
}

fn bugs() -> Result<Vec<Bug>, String> {
    let text = read(&repo::root().join(LIST))?;
    let list: Table = text.parse().map_err(|error| format!("{LIST}: {error}"))?;
    let list = list.get("bug").and_then(toml::Value::as_array).ok_or("no bugs")?;
    let bug = |table: &toml::Value| {
        let text = |key: &str| {
            let value = table.get(key).and_then(toml::Value::as_str);
            value.map(str::to_owned).ok_or(format!("{LIST}: a bug lacks {key}"))
        };
        let (name, file) = (text("name")?, text("file")?);
        let tier = text("tier").unwrap_or_else(|_| "t0".to_owned());
        Ok(Bug { name, tier, file, find: text("find")?, replace: text("replace")? })
    };
    list.iter().map(bug).collect()
}

fn read(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))
}

/// The text with the bug in it, behind its switch.
fn plant(text: &str, bug: &Bug) -> Result<String, String> {
    let count = text.matches(&bug.find).count();
    if count != 1 {
        return Err(format!("{}: its place is {count} times in {}", bug.name, bug.file));
    }
    let switch = format!("crate::planted::is(\"{}\")", bug.name);
    Ok(text.replace(&bug.find, &bug.replace.replace("BUG", &switch)))
}

/// Makes the copy, builds it, and looks for every bug. Prints a table.
pub(crate) fn run() -> Result<(), String> {
    let bugs = bugs()?;
    let copy = repo::target().join("planted").join("copy");
    let _ = fs::remove_dir_all(&copy);
    copy_files(&copy)?;
    for bug in &bugs {
        let file = copy.join(&bug.file);
        write(&file, &plant(&read(&file)?, bug)?)?;
    }
    for sources in sources(&bugs) {
        let sources = copy.join(sources);
        write(&sources.join("planted.rs"), MODULE)?;
        let crate_root = sources.join("lib.rs");
        write(&crate_root, &format!("{}\nmod planted;\n", read(&crate_root)?))?;
    }
    let manifest = copy.join("sim/Cargo.toml");
    let program = "\n[[bin]]\nname = \"passel-sim-planted\"\npath = \"src/main.rs\"\n";
    write(&manifest, &format!("{}{program}", read(&manifest)?))?;
    let build = repo::cargo()
        .args(["build", "--quiet", "-p", "passel-sim", "--bin", "passel-sim-planted"])
        .arg("--target-dir")
        .arg(repo::target())
        .current_dir(&copy)
        .status();
    if !build.is_ok_and(|status| status.success()) {
        return Err("the copy cannot be built".to_owned());
    }
    let program = repo::target().join("debug").join("passel-sim-planted");
    if let Some((seeds, invariant)) = search(&program, "t0", "none of them", 3 * STEP)? {
        return Err(format!("without a bug, {seeds} seeds found: {invariant}"));
    }
    println!("| tier | bug of the core | seeds to find | invariant |\n| --- | --- | --- | --- |");
    let mut missed = Vec::new();
    let places: BTreeMap<&str, &Bug> = bugs.iter().map(|bug| (bug.name.as_str(), bug)).collect();
    for bug in places.into_values() {
        match search(&program, &bug.tier, &bug.name, MOST)? {
            Some((seeds, invariant)) => {
                println!("| {} | `{}` | {seeds} | {invariant} |", bug.tier, bug.name);
            }
            None => missed.push(bug.name.as_str()),
        }
    }
    if missed.is_empty() { Ok(()) } else { Err(format!("not found: {}", missed.join(", "))) }
}

/// Where the sources of the crates are that have a bug.
fn sources(bugs: &[Bug]) -> BTreeSet<PathBuf> {
    let of = |bug: &Bug| {
        let mut above = Path::new(&bug.file).ancestors();
        above.find(|path| path.ends_with("src")).map(Path::to_owned)
    };
    bugs.iter().filter_map(of).collect()
}

/// All files of the project, as git knows them.
fn copy_files(copy: &Path) -> Result<(), String> {
    let root = repo::root();
    let listed = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(&root)
        .output()
        .map_err(|error| format!("git: {error}"))?;
    for file in String::from_utf8_lossy(&listed.stdout).split('\0').filter(|name| !name.is_empty())
    {
        let (from, to) = (root.join(file), copy.join(file));
        if !from.is_file() {
            continue;
        }
        let made = to.parent().map_or(Ok(()), fs::create_dir_all);
        made.and_then(|()| fs::copy(&from, &to)).map_err(|error| format!("{file}: {error}"))?;
    }
    Ok(())
}

/// How many seeds it takes until one fails, and what breaks then.
fn search(
    program: &Path,
    tier: &str,
    bug: &str,
    most: u64,
) -> Result<Option<(u64, String)>, String> {
    for first in (0..most).step_by(usize::try_from(STEP).unwrap_or(1)) {
        let output = Command::new(program)
            .env(SWITCH, bug)
            .args(["swarm", "--tier", tier, "--threads", "2", "--first", &first.to_string()])
            .args(["--seeds", &STEP.to_string()])
            .output()
            .map_err(|error| format!("{}: {error}", program.display()))?;
        let text = String::from_utf8_lossy(&output.stdout);
        let report: Value = serde_json::from_str(text.lines().last().unwrap_or_default())
            .map_err(|error| format!("{bug}: {error}"))?;
        if let Some(failure) = report["failures"].get(0) {
            let seed = failure["seed"].as_u64().unwrap_or(first);
            let invariant = failure["invariant"].as_str().unwrap_or_default().to_owned();
            return Ok(Some((seed + 1, invariant)));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bug_has_its_place_in_the_sources() {
        let mut files: BTreeMap<String, String> = BTreeMap::new();
        let bugs = bugs().unwrap();
        assert!(bugs.len() >= 8);
        for bug in &bugs {
            let text = files
                .entry(bug.file.clone())
                .or_insert_with(|| read(&repo::root().join(&bug.file)).unwrap());
            *text = plant(text, bug).unwrap();
            assert!(text.contains(&format!("planted::is(\"{}\")", bug.name)), "{}", bug.name);
        }
        assert!(sources(&bugs).contains(Path::new("sans-io/src")));
        assert!(plant("nothing", &bugs[0]).is_err());
    }
}
