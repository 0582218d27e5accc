//! Project chores, each a word after `cargo xtask`.
//!
//! Only the choice of the chore lives here; each has a module of its own.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command-line tool talks through its standard output"
)]

mod bench;
mod ci;
mod deny;
mod hashes;
mod measure;
mod planted;
mod process;
mod repo;
mod spec;
mod step;
mod test_run;
#[cfg(test)]
mod tidy;
mod vectors;

use std::path::Path;
use std::process::ExitCode;

use step::Ledger;

const USAGE: &str = "usage: cargo xtask <chore>

  ci                   every check: format, lints, documentation, dependencies, tests
  test                 all tests of the workspace, with a summary of what they proved
  measure              how fast the release program is here, as a Markdown table
  planted              plants bugs in a copy of the project and has the simulator find them
  hashes               whether the simulator's runs are equal in a debug and a release build
  bench                how many instructions the hot paths take, counted by valgrind
  bench --check        fails if they are more than benches/instructions.toml says
  bench --write        writes them there
  deny                 the rules for dependencies (deny.toml) alone
  spec                 which code and which tests cite each statement of the spec; writes
                       the graphs of its tables of states (spec/states)
  spec --check         fails if a MUST lacks code or a test, and is not excepted, or if a
                       graph is not what its table says
  spec --out DIR       the same list as a page and as JSON in that directory
  registry [--check]   write the spec's tables from spec/registry.toml, or compare them
  vectors --check      hold the spec's vectors against the code and a second reader
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["ci"] => close(&ci::run()),
        ["test"] => close(&test_run::run()),
        ["measure"] => outcome(measure::run()),
        ["planted"] => outcome(planted::run()),
        ["hashes"] => outcome(hashes::run()),
        ["bench"] => outcome(bench::print()),
        ["bench", "--check"] => outcome(bench::check()),
        ["bench", "--write"] => outcome(bench::write()),
        ["deny"] => close(&deny::run()),
        ["spec"] => outcome(spec::report::print().and_then(|()| spec::states::write())),
        ["spec", "--check"] => outcome(
            spec::report::check()
                .map(|text| println!("{text}"))
                .and_then(|()| spec::states::check()),
        ),
        ["spec", "--out", directory] => outcome(spec::report::write(Path::new(directory))),
        ["registry"] => outcome(spec::tables::write()),
        ["registry", "--check"] => outcome(spec::tables::check()),
        ["vectors", "--check"] => close(&vectors::check()),
        [] | ["help" | "--help" | "-h"] => {
            print!("{USAGE}");
            ExitCode::SUCCESS
        }
        _ => {
            eprint!("unknown chore: {}\n\n{USAGE}", words.join(" "));
            ExitCode::from(2)
        }
    }
}

/// Prints the ledger's last line, alone, and says whether all went well.
fn close(ledger: &Ledger) -> ExitCode {
    for note in ledger.notes() {
        println!("note: {note}");
    }
    println!("{}", ledger.tally());
    if ledger.tally().is_green() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn outcome(result: Result<(), String>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(text) => {
            eprintln!("error: {text}");
            ExitCode::FAILURE
        }
    }
}
