//! Whether a run of the simulator is the same in every build: the hashes of some
//! seeds of every tier, from a debug build and from a release build. What the
//! simulator does lives in `sim`; nothing of it is here.

use std::process::Command;

use crate::repo;

/// Each tier and how many of its seeds are compared.
const TIERS: [(&str, u64); 3] = [("t0", 200), ("t1", 40), ("t2", 10)];

/// Builds the simulator twice and compares. Prints what was.
pub(crate) fn run() -> Result<(), String> {
    let builds: [(&str, &[&str]); 2] = [("debug", &[]), ("release", &["--release"])];
    for (name, options) in builds {
        let build = repo::cargo()
            .args(["build", "--quiet", "-p", "passel-sim", "--bin", "passel-sim"])
            .args(options)
            .status();
        if !build.is_ok_and(|status| status.success()) {
            return Err(format!("the {name} build failed"));
        }
    }
    for (tier, seeds) in TIERS {
        let [debug, release] = ["debug", "release"].map(|build| hashes(build, tier, seeds));
        compare(&debug?, &release?).map_err(|line| format!("{tier}: {line}"))?;
        println!("{tier}: {seeds} seeds have equal hashes in both builds");
    }
    Ok(())
}

/// What a build prints for the first seeds of a tier.
fn hashes(build: &str, tier: &str, seeds: u64) -> Result<String, String> {
    let program = repo::target().join(build).join("passel-sim");
    let output = Command::new(&program)
        .args(["hashes", "--tier", tier, "--seeds", &seeds.to_string()])
        .output()
        .map_err(|error| format!("{}: {error}", program.display()))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if text.lines().count() as u64 == seeds {
        Ok(text)
    } else {
        Err(format!("{}: too few lines", program.display()))
    }
}

/// The first line that differs, if one does.
fn compare(debug: &str, release: &str) -> Result<(), String> {
    match debug.lines().zip(release.lines()).find(|(one, other)| one != other) {
        Some((one, other)) => Err(format!("{one} | {other}")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_that_differs_is_named() {
        assert_eq!(compare("1 a b\n2 c d\n", "1 a b\n2 c d\n"), Ok(()));
        let differs = compare("1 a b\n2 c d\n3 e f\n", "1 a b\n2 c x\n3 e y\n");
        assert_eq!(differs, Err("2 c d | 2 c x".to_owned()));
    }
}
