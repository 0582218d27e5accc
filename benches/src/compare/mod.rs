//! The comparison: each program sends the same random bytes, in turn, and what it
//! took is put into one table. A program is a [`Peer`]: passel, magic-wormhole,
//! and in `channel` the raw data channels of other stacks. A process that is
//! measured is in `process`, what it uses in `usage`, the table in `report`. What
//! passel alone keeps in memory is in `memory`.

mod channel;
pub(crate) mod memory;
mod passel;
mod process;
mod report;
mod usage;
mod wormhole;

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::Compare;
use report::Row;

/// What one transfer came to.
#[derive(Clone, Copy, Debug)]
struct Run {
    /// From the receiver's start until all processes have ended, in seconds.
    total: f64,
    /// What the program itself says that the transfer took, in seconds.
    transfer: Option<f64>,
    /// Processor time of all its processes, in seconds.
    processor: f64,
    /// Highest resident memory of its largest process, in KiB.
    peak: u64,
}

/// A program that is measured.
trait Peer {
    /// Its name, and its version where others are to find the same.
    fn name(&self) -> String;

    /// What one must know to read its figures.
    fn remark(&self) -> &'static str;

    /// Makes it ready; says why not if that can't be done here.
    fn prepare(&mut self) -> Result<(), String>;

    /// Whether it writes what arrives into `job.out`.
    fn writes(&self) -> bool {
        true
    }

    /// Most bytes that it is given, if a transfer of more would take too long.
    fn most(&self) -> u64 {
        u64::MAX
    }

    /// How many times its speed passel is to have.
    fn wanted(&self) -> Option<f64> {
        None
    }

    /// Moves `job.file` once.
    fn transfer(&self, job: &Job) -> Result<Run, String>;
}

/// One transfer to make.
struct Job<'a> {
    /// What to send.
    file: &'a Path,
    /// Its length in bytes.
    size: u64,
    /// An empty directory, to receive into.
    out: &'a Path,
}

/// Measures everything and returns the report.
pub(crate) fn run(options: &Compare) -> Result<String, String> {
    let place = Place::new().map_err(|error| format!("no room for files: {error}"))?;
    let file = place.root.join("sample");
    random_file(&file, options.size).map_err(|error| format!("no file to send: {error}"))?;
    let mut peers: Vec<Box<dyn Peer>> =
        vec![Box::new(passel::Passel::new(options.passel.clone(), &place.binaries))];
    if !options.alone {
        peers.extend(others(&place.installed(), &options.only)?);
    }
    let before = report::load();
    let mut rows: Vec<Row> = peers
        .iter_mut()
        .map(|peer| {
            say(&format!("{}: making it ready …", peer.name()));
            let trouble = peer.prepare().err();
            Row {
                name: peer.name(),
                remark: peer.remark(),
                size: options.size.min(peer.most()),
                wanted: peer.wanted(),
                runs: Vec::new(),
                trouble,
            }
        })
        .collect();
    // By turns, so that what else the machine has to do meets all of them.
    for round in 1..=options.runs {
        for (peer, row) in peers.iter().zip(&mut rows) {
            if row.trouble.is_some() {
                continue;
            }
            say(&format!("{}: {round} of {} …", row.name, options.runs));
            match place.measure(&**peer, &file, row.size) {
                Ok(run) => row.runs.push(run),
                Err(reason) => row.trouble = Some(reason),
            }
        }
    }
    for row in &rows {
        if let Some(reason) = &row.trouble {
            say(&format!("{}: {reason}", row.name));
        }
    }
    let report =
        if options.json { report::json(&rows, &before) } else { report::markdown(&rows, &before) };
    let missed = report::missed(&rows);
    if !options.check || missed.is_empty() {
        return Ok(report);
    }
    show(&report);
    Err(missed.join("\n"))
}

/// The other programs, or those of them that were asked for by a part of their name.
fn others(installed: &Path, only: &[String]) -> Result<Vec<Box<dyn Peer>>, String> {
    let mut peers: Vec<Box<dyn Peer>> = vec![Box::new(wormhole::Wormhole::new(installed))];
    for stack in channel::Channel::all(installed) {
        peers.push(Box::new(stack));
    }
    let names: Vec<String> = peers.iter().map(|peer| peer.name().to_lowercase()).collect();
    let is_meant = |name: &str, part: &String| name.contains(&part.to_lowercase());
    if let Some(part) = only.iter().find(|part| !names.iter().any(|name| is_meant(name, part))) {
        return Err(format!("no program is called '{part}'; there are {}", names.join(", ")));
    }
    peers.retain(|peer| {
        let name = peer.name().to_lowercase();
        only.is_empty() || only.iter().any(|part| is_meant(&name, part))
    });
    Ok(peers)
}

/// Puts out a result.
#[allow(clippy::print_stdout, reason = "the result")]
pub(crate) fn show(report: &str) {
    print!("{report}");
}

/// Tells the person at the terminal something.
#[allow(clippy::print_stderr, reason = "a program for people")]
pub(crate) fn say(text: &str) {
    eprintln!("{text}");
}

/// A directory within cargo's own, on the disk that is measured, which is removed
/// at the end.
struct Place {
    /// Where cargo puts release programs.
    binaries: PathBuf,
    root: PathBuf,
}

impl Place {
    fn new() -> io::Result<Self> {
        let program = std::env::current_exe()?;
        let binaries = program.parent().unwrap_or(Path::new(".")).to_owned();
        let root = binaries.join(format!("compare-{}", std::process::id()));
        fs::create_dir(&root)?;
        Ok(Self { binaries, root })
    }

    /// Where other programs are installed: among cargo's own output, and so never
    /// part of the repository.
    fn installed(&self) -> PathBuf {
        self.binaries.parent().unwrap_or(&self.binaries).join("peers")
    }

    fn measure(&self, peer: &dyn Peer, file: &Path, size: u64) -> Result<Run, String> {
        let out = self.root.join("out");
        fs::create_dir(&out).map_err(|error| format!("no room to receive: {error}"))?;
        let result = peer.transfer(&Job { file, size, out: &out });
        let arrived = if peer.writes() { compare_files(file, &out) } else { Ok(()) };
        fs::remove_dir_all(&out).map_err(|error| format!("the copy stays: {error}"))?;
        let run = result?;
        arrived?;
        Ok(run)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // What cannot be removed lies among cargo's own output.
        let _ = fs::remove_dir_all(&self.root);
    }
}

/// Whether `out` holds a copy of `file` and nothing else.
fn compare_files(file: &Path, out: &Path) -> Result<(), String> {
    let copies = fs::read_dir(out).and_then(Iterator::collect::<io::Result<Vec<_>>>);
    let copies = copies.map_err(|error| format!("the copy cannot be read: {error}"))?;
    let [copy] = copies.as_slice() else {
        return Err(format!("{} files arrived", copies.len()));
    };
    match same(file, &copy.path()) {
        Ok(true) => Ok(()),
        Ok(false) => Err("what arrived is not what was sent".to_owned()),
        Err(error) => Err(format!("the copy cannot be read: {error}")),
    }
}

fn same(one: &Path, other: &Path) -> io::Result<bool> {
    let (mut one, mut other) = (File::open(one)?, File::open(other)?);
    if one.metadata()?.len() != other.metadata()?.len() {
        return Ok(false);
    }
    let (mut a, mut b) = (vec![0; 1 << 20], vec![0; 1 << 20]);
    loop {
        let len = one.read(&mut a)?;
        if len == 0 {
            return Ok(true);
        }
        other.read_exact(&mut b[..len])?;
        if a[..len] != b[..len] {
            return Ok(false);
        }
    }
}

/// Random bytes, so that nothing on the way can make them fewer.
fn random_file(path: &Path, size: u64) -> io::Result<()> {
    let mut random = File::open("/dev/urandom")?.take(size);
    let mut file = File::create(path)?;
    io::copy(&mut random, &mut file)?;
    // Writing it out must not be part of what is measured.
    file.sync_all()
}
