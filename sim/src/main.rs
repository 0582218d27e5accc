//! The command line of the simulator: one run, a swarm, a replay, a shrunk
//! plan. `run`, `replay`, `swarm` and `shrink` end with one line of JSON. Nothing of the simulation
//! is here; real time is read for the reports alone.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::{Parser, Subcommand, ValueEnum};
use passel_sim::report::{self, Campaign, Report};
use passel_sim::shrink::shrink;
use passel_sim::swarm::{swarm, swarm_of};
use passel_sim::tier::{AnyPlan, Tier};
use passel_sim::{Plan, record, run, t1, t2, teeth, trace};
use serde::Serialize;

/// Runs passel in a deterministic world with planned faults.
#[derive(Parser)]
#[command(version)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

/// Which part of the stack runs.
#[derive(Clone, Copy, ValueEnum)]
enum Which {
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
        tier: Which,
        /// Draws the plan and everything in it.
        #[arg(long, default_value_t = 0)]
        seed: u64,
        /// Run this plan in place of a seed's.
        #[arg(long, conflicts_with_all = ["tier", "seed"])]
        plan: Option<PathBuf>,
        /// Write the plan to this file, for `replay` and `shrink`.
        #[arg(long, value_name = "FILE")]
        save: Option<PathBuf>,
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
        tier: Which,
        #[command(flatten)]
        many: Many,
    },
    /// Print both hashes of every seed, to be compared with another machine's or
    /// build's.
    Hashes {
        /// Which part of the stack runs.
        #[arg(long, default_value = "t0")]
        tier: Which,
        /// How many.
        #[arg(long, default_value_t = 100)]
        seeds: u64,
        /// The first one.
        #[arg(long, default_value_t = 0)]
        first: u64,
    },
    /// Show what the simulator finds: swarms, conditions, planted bugs, old plans.
    Report {
        /// Seeds of T0's swarm; T1 runs a tenth of it, T2 a hundredth.
        #[arg(long, default_value_t = 2000)]
        seeds: u64,
        /// Threads to run the swarms on.
        #[arg(long, default_value_t = 1)]
        threads: u64,
        /// Most seeds for each planted bug.
        #[arg(long, default_value_t = 1000)]
        most: u64,
        /// Where the plans are that once failed: those of the sources, unless told otherwise.
        #[arg(
            long,
            default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/regressions"),
            hide_default_value = true
        )]
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
    /// Search for seeds of libraries with which sequence numbers of SCTP wrap (t1).
    Wraps {
        /// How many to try.
        #[arg(long, default_value_t = 4_000_000)]
        seeds: u64,
        /// The first one.
        #[arg(long, default_value_t = 0)]
        first: u64,
    },
    /// Make a failing plan small, and print it.
    Shrink {
        /// The plan, as JSON.
        file: PathBuf,
        /// Most runs that it may take.
        #[arg(long, default_value_t = 2000)]
        tries: usize,
        /// Write the small plan to this file.
        #[arg(long, value_name = "FILE")]
        save: Option<PathBuf>,
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

/// What a swarm runs.
#[derive(clap::Args)]
struct Many {
    /// How many seeds; 1000 if nothing else bounds it.
    #[arg(long)]
    seeds: Option<u64>,
    /// Begin no run after so many minutes.
    #[arg(long)]
    minutes: Option<f64>,
    /// The first seed.
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
    /// Write the plan of each seed that fails to this directory.
    #[arg(long, value_name = "DIRECTORY")]
    save: Option<PathBuf>,
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
        Command::Run { tier, seed, plan, save, files, json } => {
            let text = plan.map(fs::read_to_string).transpose()?;
            let plan = match (text, tier) {
                (Some(text), _) => AnyPlan::parse(&text)?,
                (None, Which::T0) => AnyPlan::T0(Box::new(Plan::from_seed(seed))),
                (None, Which::T1) => AnyPlan::T1(Box::new(t1::Plan::from_seed(seed))),
                (None, Which::T2) => AnyPlan::T2(Box::new(t2::Plan::from_seed(seed))),
            };
            match plan {
                AnyPlan::T0(plan) => shown(&*plan, save, &files, json),
                AnyPlan::T1(plan) => shown(&*plan, save, &files, json),
                AnyPlan::T2(plan) => shown(&*plan, save, &files, json),
            }
        }
        Command::Replay { file, files } => match AnyPlan::parse(&fs::read_to_string(file)?)? {
            AnyPlan::T0(plan) => one(&*plan, &files),
            AnyPlan::T1(plan) => one(&*plan, &files),
            AnyPlan::T2(plan) => one(&*plan, &files),
        },
        Command::Swarm { tier, many } => match tier {
            Which::T0 => many.run::<Plan>(),
            Which::T1 => many.run::<t1::Plan>(),
            Which::T2 => many.run::<t2::Plan>(),
        },
        Command::Shrink { file, tries, save } => {
            match AnyPlan::parse(&fs::read_to_string(file)?)? {
                AnyPlan::T0(plan) => smaller(&*plan, tries, save),
                AnyPlan::T1(plan) => smaller(&*plan, tries, save),
                AnyPlan::T2(plan) => smaller(&*plan, tries, save),
            }
        }
        Command::Hashes { tier, seeds, first } => {
            for seed in first..first.saturating_add(seeds) {
                let line = match tier {
                    Which::T0 => hashes::<Plan>(seed),
                    Which::T1 => hashes::<t1::Plan>(seed),
                    Which::T2 => hashes::<t2::Plan>(seed),
                };
                writeln!(std::io::stdout(), "{line}")?;
            }
            Ok(true)
        }
        Command::Wraps { seeds, first } => {
            for (seed, side) in t1::wraps(first, first.saturating_add(seeds)) {
                writeln!(std::io::stdout(), "({seed}, Side::{side:?}),")?;
            }
            Ok(true)
        }
        Command::Teeth { most } => {
            let all = teeth::all(most);
            write!(std::io::stdout(), "{}", teeth::table(&all))?;
            Ok(all.iter().all(|tooth| tooth.seeds.is_some()))
        }
        Command::Report { seeds, threads, most, regressions, html, json } => {
            let campaigns = vec![
                campaign::<Plan>(seeds, threads),
                campaign::<t1::Plan>(seeds / 10, threads),
                campaign::<t2::Plan>(seeds / 100, threads),
            ];
            let plans = report::regressions(&regressions)?;
            let report = Report::new(campaigns, teeth::all(most), plans);
            if let Some(file) = html {
                fs::write(file, report.html())?;
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

/// Prints a plan, saves it where that is asked for, and runs it.
fn shown<T: Tier>(
    plan: &T,
    save: Option<PathBuf>,
    files: &Files,
    json: bool,
) -> Result<bool, Failure> {
    if !json {
        writeln!(std::io::stdout(), "{}", serde_json::to_string_pretty(plan)?)?;
    }
    if let Some(file) = save {
        write_plan(&file, plan)?;
    }
    one(plan, files)
}

/// Runs a plan and writes what is asked for. A run that is looked at is run once
/// more for that, so that looking costs the others nothing.
fn one<T: Tier>(plan: &T, files: &Files) -> Result<bool, Failure> {
    if files.pcap.is_some() && T::NAME != t1::Plan::NAME {
        return Err(format!("{} has no wire of its own: --pcap is for t1", T::NAME).into());
    }
    let (outcome, took) = timed(|| run(plan, files.events.is_some()));
    let report = outcome.report(took.as_secs_f64());
    if let Some(file) = &files.events {
        fs::write(file, outcome.trace.join("\n") + "\n")?;
    }
    if files.trace.is_some() || files.pcap.is_some() {
        let recording = record(plan).1;
        if let Some(file) = &files.trace {
            let facts = trace::Facts::new(report.clone(), outcome.virtual_us, plan)?;
            fs::write(file, trace::html(&facts, &recording)?)?;
        }
        if let Some(file) = &files.pcap {
            fs::write(file, trace::pcap::pcapng(&recording))?;
        }
    }
    print(&report)?;
    Ok(outcome.passed())
}

fn write_plan(file: &Path, plan: &impl Tier) -> Result<(), Failure> {
    Ok(fs::write(file, serde_json::to_string_pretty(plan)? + "\n")?)
}

/// Makes a plan small, prints it and runs it.
fn smaller<T: Tier>(plan: &T, tries: usize, save: Option<PathBuf>) -> Result<bool, Failure> {
    let small = shrink(plan, tries).ok_or("this plan does not fail")?;
    shown(&small, save, &Files::default(), false)
}

fn hashes<T: Tier>(seed: u64) -> String {
    let outcome = run(&T::from_seed(seed), false);
    format!("{seed} {} {}", outcome.semantic_hash, outcome.wire_hash)
}

fn campaign<T: Tier>(seeds: u64, threads: u64) -> Campaign {
    let (outcome, took) = timed(|| swarm::<T>(0..seeds, threads, false));
    Campaign::of(&outcome, took.as_secs_f64(), threads)
}

impl Many {
    fn run<T: Tier>(&self) -> Result<bool, Failure> {
        let bug = self.planted.clone().map(serde_json::Value::String);
        let bug: Option<T::Bug> = bug.map(serde_json::from_value).transpose()?;
        let limit = self.minutes.map(|minutes| Duration::try_from_secs_f64(60.0 * minutes));
        let limit = limit.transpose()?;
        let seeds = self.seeds.unwrap_or(if limit.is_some() { u64::MAX } else { 1000 });
        let end = self.first.saturating_add(seeds);
        let start = now();
        let goes_on =
            |seed| seed < end && limit.is_none_or(|limit| now().duration_since(start) < limit);
        let plan = |seed| {
            let mut plan = if self.smallest { T::smallest(seed) } else { T::from_seed(seed) };
            *plan.planted() = bug;
            plan
        };
        let (outcome, took) =
            timed(|| swarm_of(self.first, goes_on, self.threads, !self.smallest, plan));
        if let Some(directory) = &self.save {
            fs::create_dir_all(directory)?;
            for failure in &outcome.failures {
                let file = directory.join(format!("{}-{}.json", T::NAME, failure.seed));
                write_plan(&file, &plan(failure.seed))?;
            }
        }
        print(&outcome.report(took.as_secs_f64()))?;
        Ok(outcome.passed())
    }
}

fn print(report: &impl Serialize) -> Result<(), Failure> {
    Ok(writeln!(std::io::stdout(), "{}", serde_json::to_string(report)?)?)
}

fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let start = now();
    (work(), now().duration_since(start))
}

fn now() -> Instant {
    #[expect(clippy::disallowed_methods, reason = "bounds and tells how long it takes, no more")]
    Instant::now()
}
