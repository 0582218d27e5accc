//! What is measured of passel as a whole: `compare`, the release program beside
//! others on this machine; `goodput`, `share` and `start`, whole endpoints over
//! simulated paths, the same on any machine.

mod compare;
mod page;
mod path;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Debug, Parser)]
#[command(name = "passel-benches", about = "What is measured of passel as a whole")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Sends a file of random bytes with passel and with other programs
    Compare(Compare),
    /// Measures the memory of sender and receiver at full speed; fails above 64 MiB
    Memory(Memory),
    /// Measures goodput over paths with delay, loss and a bottleneck, in virtual time
    Goodput(Goodput),
    /// Measures what two transfers with many lanes and one with a single lane get of a
    /// bottleneck that they share, in virtual time
    Share {
        /// Put it into docs/ as well
        #[arg(long)]
        write: bool,
    },
    /// Counts round trips from the answer to the first durable byte, in virtual time
    Start(Start),
}

/// Which program is measured.
#[derive(Debug, clap::Args)]
struct Memory {
    /// Measure this program, and build none
    #[arg(long, value_name = "FILE")]
    passel: Option<PathBuf>,
}

/// Which paths goodput is measured on: of the grid those that are named, or all.
#[derive(Debug, clap::Args)]
struct Goodput {
    /// Round-trip times in milliseconds
    #[arg(long, value_delimiter = ',')]
    round_trips: Vec<u64>,
    /// Losses, in datagrams of a thousand
    #[arg(long, value_delimiter = ',')]
    losses: Vec<u64>,
    /// Rates of the bottleneck, in Mbit/s
    #[arg(long, value_delimiter = ',')]
    rates: Vec<u64>,
    /// Put them into docs/ as well
    #[arg(long, conflicts_with_all = ["round_trips", "losses", "rates"])]
    write: bool,
}

/// Which paths a transfer starts on.
#[derive(Debug, clap::Args)]
struct Start {
    /// Round-trip times in milliseconds
    #[arg(long, value_delimiter = ',', default_value = "20,100,500",
          value_parser = clap::value_parser!(u64).range(1..=10_000))]
    round_trips: Vec<u64>,
    /// Put them into docs/ as well
    #[arg(long)]
    write: bool,
}

/// What is compared, and how often.
#[derive(Debug, clap::Args)]
struct Compare {
    /// How much is sent: bytes, or with KiB, MiB, GiB
    #[arg(long, default_value = "512MiB", value_parser = bytes)]
    size: u64,
    /// Runs of each program; the table has their medians
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    runs: u32,
    /// Print one JSON object and no table
    #[arg(long)]
    json: bool,
    /// Fail if passel is not as many times as fast as another program as is wanted, or if
    /// that could not be measured
    #[arg(long, conflicts_with = "alone")]
    check: bool,
    /// Measure this program, and build none
    #[arg(long, value_name = "FILE")]
    passel: Option<PathBuf>,
    /// Measure passel alone
    #[arg(long, conflicts_with = "only")]
    alone: bool,
    /// Measure passel and, of the others, those whose names contain one of these
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    only: Vec<String>,
}

fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Compare(options) => compare::run(&options),
        Command::Memory(options) => compare::memory::run(&options),
        Command::Goodput(options) => path::goodput(&options),
        Command::Share { write } => path::share(write),
        Command::Start(options) => path::start(&options.round_trips, options.write),
    };
    match result {
        Ok(report) => {
            compare::show(&report);
            ExitCode::SUCCESS
        }
        Err(error) => {
            compare::say(&error);
            ExitCode::FAILURE
        }
    }
}

/// A number of bytes with an optional binary unit; at least 1 MiB, so that there
/// is something to measure.
fn bytes(text: &str) -> Result<u64, String> {
    let units = [("KiB", 10), ("MiB", 20), ("GiB", 30)];
    let unit = units.into_iter().find_map(|(unit, log2)| Some((text.strip_suffix(unit)?, log2)));
    let (digits, log2) = unit.unwrap_or((text, 0));
    let number: u64 = digits.trim().parse().map_err(|_| "not a number of bytes".to_owned())?;
    let bytes = number.checked_mul(1 << log2).ok_or("too large")?;
    if (1 << 20..=1 << 40).contains(&bytes) {
        Ok(bytes)
    } else {
        Err("from 1MiB to 1024GiB".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_binary_units_and_bounds() {
        assert_eq!(bytes("512MiB"), Ok(512 << 20));
        assert_eq!(bytes("2GiB"), Ok(2 << 30));
        assert_eq!(bytes("2097152"), Ok(2 << 20));
        for wrong in ["", "x", "1KiB", "512MB", "99999999999GiB", "-1MiB"] {
            assert!(bytes(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_command_line_holds_together() {
        use clap::CommandFactory;
        Arguments::command().debug_assert();
    }
}
