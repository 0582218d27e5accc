//! The command line of the simulator: one run, a swarm, a replay, a shrunk
//! plan. Every command ends with one line of JSON. Nothing of the simulation is
//! here; real time is read for the reports alone.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::{Parser, Subcommand, ValueEnum};
use passel_sim::report::{self, Campaign, Report};
use passel_sim::swarm::{Choice, swarm};
use passel_sim::trace::{self, Recording};
use passel_sim::{Plan, RunReport, record, run, shrink, t1, t2, teeth};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Runs passel in a deterministic world with planned faults.
#[derive(Parser)]
#[command(version)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Clone, Copy, ValueEnum)]
enum Tier {
    /// The core alone, over simulated channels and disks.
    T0,
    /// Whole endpoints over a simulated network.
    T1,
    /// The programs themselves, on hosts that are killed and cut off.
    T2,
}

#[derive(Subcommand)]
enum Command {
    /// Run the plan of one seed.
    Run {
        /// Which part of the stack runs.
        #[arg(long, default_value = "t0")]
        tier: Tier,
        /// Draws the plan and everything in it.
        #[arg(long, default_value_t = 0)]
        seed: u64,
        /// Run this plan in place of the seed's.
        #[arg(long)]
        plan: Option<PathBuf>,
        #[command(flatten)]
        files: Files,
        /// Print the line of JSON alone, without the plan.
        #[arg(long)]
        json: bool,
    },
    /// Run many seeds.
    Swarm {
        /// Which part of the stack runs.
        #[arg(long, default_value = "t0")]
        tier: Tier,
        /// How many.
        #[arg(long, default_value_t = 1000)]
        seeds: u64,
        /// The first one.
        #[arg(long, default_value_t = 0)]
        first: u64,
        /// Threads to run them on.
        #[arg(long, default_value_t = 1)]
        threads: u64,
        /// Run the smallest plan for each seed in place of a drawn one.
        #[arg(long)]
        smallest: bool,
        /// Plant a bug by its name, to see it found.
        #[arg(long)]
        planted: Option<String>,
    },
    /// Print both hashes of every seed, to be compared with another machine's or
    /// build's.
    Hashes {
        /// Which part of the stack runs.
        #[arg(long, default_value = "t0")]
        tier: Tier,
        /// How many.
        #[arg(long, default_value_t = 100)]
        seeds: u64,
        /// The first one.
        #[arg(long, default_value_t = 0)]
        first: u64,
    },
    /// Show what the simulator finds: swarms, conditions, planted bugs, old plans.
    Report {
        /// Seeds of T0's swarm; T1 runs a tenth of it.
        #[arg(long, default_value_t = 2000)]
        seeds: u64,
        /// Threads to run the swarms on.
        #[arg(long, default_value_t = 1)]
        threads: u64,
        /// Most seeds for each planted bug.
        #[arg(long, default_value_t = 1000)]
        most: u64,
        /// Where the plans are that once failed.
        #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/regressions"))]
        regressions: PathBuf,
        /// Write it as a page to this file too.
        #[arg(long)]
        html: Option<PathBuf>,
        /// Print it as one line of JSON in place of text.
        #[arg(long)]
        json: bool,
    },
    /// Print the table of planted bugs, as it stands in the documentation.
    Teeth {
        /// Most seeds for each.
        #[arg(long, default_value_t = 1000)]
        most: u64,
    },
    /// Run a saved plan again.
    Replay {
        /// The plan, as JSON.
        file: PathBuf,
        #[command(flatten)]
        files: Files,
    },
    /// Make a failing plan small, and print it.
    Shrink {
        /// The plan, as JSON.
        file: PathBuf,
        /// Most runs that it may take.
        #[arg(long, default_value_t = 2000)]
        tries: usize,
    },
}

/// What is written of a run besides its report.
#[derive(Default, clap::Args)]
struct Files {
    /// Write a page to look at: messages, throughput, states and faults over time.
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,
    /// Write what went over the simulated wire, as a capture for Wireshark (t1).
    #[arg(long, value_name = "FILE")]
    pcap: Option<PathBuf>,
    /// Write a line of text for every event.
    #[arg(long, value_name = "FILE")]
    events: Option<PathBuf>,
}

fn planted<T: DeserializeOwned>(name: Option<String>) -> Result<Option<T>, serde_json::Error> {
    name.map(|name| serde_json::from_value(serde_json::Value::String(name))).transpose()
}

fn main() -> ExitCode {
    match execute(Args::parse().command) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "passel-sim: {error}");
            ExitCode::from(2)
        }
    }
}

type Failure = Box<dyn std::error::Error>;

/// Returns whether everything held.
fn execute(command: Command) -> Result<bool, Failure> {
    match command {
        Command::Run { tier: Tier::T0, seed, plan, files, json } => {
            let plan = match plan {
                Some(file) => load(&file)?,
                None => Plan::from_seed(seed),
            };
            if !json {
                writeln!(std::io::stdout(), "{}", plan.to_json()?)?;
            }
            one(&plan, &files)
        }
        Command::Run { tier: Tier::T1, seed, plan, files, json } => {
            let plan = match plan {
                Some(file) => t1::Plan::parse(&std::fs::read_to_string(file)?)?,
                None => t1::Plan::from_seed(seed),
            };
            if !json {
                writeln!(std::io::stdout(), "{}", plan.to_json()?)?;
            }
            one_of_t1(&plan, &files)
        }
        Command::Run { tier: Tier::T2, seed, plan, files, json } => {
            let plan = match plan {
                Some(file) => t2::Plan::parse(&std::fs::read_to_string(file)?)?,
                None => t2::Plan::from_seed(seed),
            };
            if !json {
                writeln!(std::io::stdout(), "{}", plan.to_json()?)?;
            }
            one_of_t2(&plan, &files)
        }
        Command::Replay { file, files } => {
            let text = std::fs::read_to_string(file)?;
            match t1::Plan::parse(&text) {
                Ok(plan) => one_of_t1(&plan, &files),
                Err(_) => match t2::Plan::parse(&text) {
                    Ok(plan) => one_of_t2(&plan, &files),
                    Err(_) => one(&Plan::parse(&text)?, &files),
                },
            }
        }
        Command::Swarm { tier: Tier::T0, seeds, first, threads, smallest, planted: bug } => {
            let seeds = first..first.saturating_add(seeds);
            let planted = planted(bug)?;
            let (outcome, took) = timed(|| swarm(seeds, threads, Choice { smallest, planted }));
            print(&outcome.report(took.as_secs_f64()))?;
            Ok(outcome.passed())
        }
        Command::Swarm { tier: Tier::T1, seeds, first, threads, smallest, planted: bug } => {
            let seeds = first..first.saturating_add(seeds);
            let planted = planted(bug)?;
            let drawn = if smallest { t1::Plan::smallest } else { t1::Plan::from_seed };
            let plan = |seed| t1::Plan { planted, ..drawn(seed) };
            let (outcome, took) = timed(|| t1::swarm_of(seeds, threads, !smallest, plan));
            print(&outcome.report(took.as_secs_f64()))?;
            Ok(outcome.passed())
        }
        Command::Swarm { tier: Tier::T2, planted: Some(_), .. } => {
            Err("no bug can be planted in t2".into())
        }
        Command::Swarm { tier: Tier::T2, seeds, first, threads, smallest, planted: None } => {
            let seeds = first..first.saturating_add(seeds);
            let (outcome, took) = timed(|| t2::swarm(seeds, threads, smallest));
            print(&outcome.report(took.as_secs_f64()))?;
            Ok(outcome.passed())
        }
        Command::Shrink { file, tries } => {
            let text = std::fs::read_to_string(file)?;
            if let Ok(plan) = t1::Plan::parse(&text) {
                let small = t1::shrink(&plan, tries).ok_or("this plan does not fail")?;
                writeln!(std::io::stdout(), "{}", small.to_json()?)?;
                return one_of_t1(&small, &Files::default());
            }
            let small = shrink::shrink(&Plan::parse(&text)?, tries);
            let small = small.ok_or("this plan does not fail")?;
            writeln!(std::io::stdout(), "{}", small.to_json()?)?;
            one(&small, &Files::default())
        }
        Command::Hashes { tier, seeds, first } => {
            for seed in first..first.saturating_add(seeds) {
                let (semantic, wire) = match tier {
                    Tier::T0 => {
                        let outcome = run(&Plan::from_seed(seed), false);
                        (outcome.semantic_hash, outcome.wire_hash)
                    }
                    Tier::T1 => {
                        let outcome = t1::run(&t1::Plan::from_seed(seed), false);
                        (outcome.semantic_hash, outcome.wire_hash)
                    }
                    Tier::T2 => {
                        let outcome = t2::run(&t2::Plan::from_seed(seed), false);
                        (outcome.semantic_hash, outcome.wire_hash)
                    }
                };
                writeln!(std::io::stdout(), "{seed} {semantic} {wire}")?;
            }
            Ok(true)
        }
        Command::Teeth { most } => {
            let all = teeth::all(most);
            write!(std::io::stdout(), "{}", teeth::table(&all))?;
            Ok(all.iter().all(|tooth| tooth.seeds.is_some()))
        }
        Command::Report { seeds, threads, most, regressions, html, json } => {
            let (outcome, took) = timed(|| swarm(0..seeds, threads, Choice::default()));
            let met = outcome.met.iter().map(|one| one.name()).collect();
            let of_t0 = Campaign { report: outcome.report(took.as_secs_f64()), met, threads };
            let (outcome, took) = timed(|| t1::swarm(0..seeds / 10, threads, false));
            let met = outcome.met.iter().map(|one| one.name()).collect();
            let of_t1 = Campaign { report: outcome.report(took.as_secs_f64()), met, threads };
            let plans = report::regressions(&regressions)?;
            let report = Report::new(vec![of_t0, of_t1], teeth::all(most), plans);
            if let Some(file) = html {
                std::fs::write(file, report.html())?;
            }
            if json {
                print(&report)?;
            } else {
                write!(std::io::stdout(), "{}", report.text())?;
            }
            Ok(report.passed)
        }
    }
}

fn one(plan: &Plan, files: &Files) -> Result<bool, Failure> {
    if files.pcap.is_some() {
        return Err("t0 has no wire below its messages: --pcap is for t1".into());
    }
    let (outcome, took) = timed(|| run(plan, files.events.is_some()));
    let report = outcome.report(took.as_secs_f64());
    files.write(&report, outcome.virtual_us, &outcome.trace, plan, || record(plan).1)?;
    print(&report)?;
    Ok(outcome.passed())
}

fn one_of_t1(plan: &t1::Plan, files: &Files) -> Result<bool, Failure> {
    let (outcome, took) = timed(|| t1::run(plan, files.events.is_some()));
    let report = outcome.report(took.as_secs_f64());
    files.write(&report, outcome.virtual_us, &outcome.trace, plan, || t1::record(plan).1)?;
    print(&report)?;
    Ok(outcome.passed())
}

fn one_of_t2(plan: &t2::Plan, files: &Files) -> Result<bool, Failure> {
    if files.trace.is_some() || files.pcap.is_some() {
        return Err("what t2's programs say is text: use --events".into());
    }
    let (outcome, took) = timed(|| t2::run(plan, files.events.is_some()));
    let report = outcome.report(took.as_secs_f64());
    files.write(&report, outcome.virtual_us, &outcome.trace, plan, Recording::default)?;
    print(&report)?;
    Ok(outcome.passed())
}

impl Files {
    /// Writes what is asked for. A run that is looked at is run once more for that,
    /// so that looking costs the others nothing.
    fn write(
        &self,
        report: &RunReport,
        virtual_us: u64,
        events: &[String],
        plan: &impl Serialize,
        recorded: impl FnOnce() -> Recording,
    ) -> Result<(), Failure> {
        if let Some(file) = &self.events {
            let mut text = events.join("\n");
            text.push('\n');
            std::fs::write(file, text)?;
        }
        if self.trace.is_none() && self.pcap.is_none() {
            return Ok(());
        }
        let recording = recorded();
        if let Some(file) = &self.trace {
            let facts = trace::Facts::new(report.clone(), virtual_us, plan)?;
            std::fs::write(file, trace::html(&facts, &recording)?)?;
        }
        if let Some(file) = &self.pcap {
            std::fs::write(file, trace::pcap::pcapng(&recording))?;
        }
        Ok(())
    }
}

fn load(file: &Path) -> Result<Plan, Failure> {
    Ok(Plan::parse(&std::fs::read_to_string(file)?)?)
}

fn print(report: &impl Serialize) -> Result<(), Failure> {
    Ok(writeln!(std::io::stdout(), "{}", serde_json::to_string(report)?)?)
}

fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    #[expect(clippy::disallowed_methods, reason = "how long it took is shown, nothing more")]
    let start = Instant::now();
    (work(), start.elapsed())
}
