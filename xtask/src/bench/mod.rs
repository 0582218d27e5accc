//! `cargo xtask bench`: how many instructions the hot paths take, counted by
//! valgrind, and whether they are still those that were recorded. Instructions are
//! the same from run to run, whatever else the machine does; times are not, and
//! are nobody's business here.
//!
//! The program with the paths is `passel-hot-paths` of `benches`. What is recorded
//! is in `baseline`, how it is counted in `count`.

mod baseline;
mod count;

use crate::repo;
use baseline::{Baseline, Verdict};

/// Where the counts are recorded.
const FILE: &str = "benches/instructions.toml";
/// A count may differ by so much of the recorded one: compilers lay code out
/// anew when something else changes.
const TOLERANCE: f64 = 0.03;

/// Counts and prints.
pub(crate) fn print() -> Result<(), String> {
    for (path, count) in count::all()? {
        println!("{path:<16} {count:>10}");
    }
    Ok(())
}

/// Counts and records.
pub(crate) fn write() -> Result<(), String> {
    let counts = count::all()?;
    let text = baseline::text(&repo::read(FILE)?, &counts);
    std::fs::write(repo::root().join(FILE), text).map_err(|error| format!("{FILE}: {error}"))
}

/// Counts and compares with what is recorded.
pub(crate) fn check() -> Result<(), String> {
    let baseline = Baseline::parse(&repo::read(FILE)?)?;
    let verdicts = baseline.compare(&count::all()?, TOLERANCE);
    for (path, verdict) in &verdicts {
        println!("{path:<16} {verdict}");
    }
    if verdicts.iter().any(|(_, verdict)| matches!(verdict, Verdict::Fewer { .. })) {
        println!("record what was won with `cargo xtask bench --write`");
    }
    let bad = verdicts.iter().filter(|(_, verdict)| verdict.is_bad()).count();
    if bad == 0 { Ok(()) } else { Err(format!("{bad} paths take more instructions, or differ")) }
}
