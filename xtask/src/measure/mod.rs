//! `cargo xtask measure`: how fast the release program is on this machine and what
//! it takes, as a Markdown table. Sender and receiver are two processes on the
//! loopback interface, and everything goes from disk to disk. It takes 20 GiB of disk:
//! no copy is removed before the end, since some file systems are slow to make files where
//! many others were removed just now.
//!
//! A transfer's two processes are in [`transfer`], what the kernel says of them
//! in [`usage`], the table in [`table`].

mod table;
mod transfer;
mod usage;

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::repo;
use table::Row;
use transfer::Run;

/// How often the figure that others are compared with is taken.
const RUNS: usize = 3;
const MIB: u64 = 1 << 20;
const MANY: u32 = 100_000;
/// Bytes of each of the many files.
const SMALL: usize = 1_024;

/// Builds, measures and prints.
pub(crate) fn run() -> Result<(), String> {
    let binary = build()?;
    let place = Place::new().map_err(|error| format!("no room for files: {error}"))?;
    let sorry = |error: io::Error| format!("the files to send cannot be made: {error}");
    let mut rows = Vec::new();

    let file = place.root.join("half");
    random_file(&file, 512 * MIB).map_err(sorry)?;
    rows.push(place.measure_often(&binary, &file, "512 MiB")?);
    fs::remove_file(&file).map_err(sorry)?;

    println!("8 GiB …");
    let file = place.root.join("whole");
    random_file(&file, 8192 * MIB).map_err(sorry)?;
    rows.push(Row::median("8 GiB".to_owned(), vec![place.measure(&binary, &file, 1)?]));
    fs::remove_file(&file).map_err(sorry)?;

    let directory = place.root.join("many");
    many_files(&directory).map_err(sorry)?;
    let name = format!("100,000 files of {SMALL} bytes");
    rows.push(place.measure_often(&binary, &directory, &name)?);

    println!("\n{}", table::markdown(&rows));
    Ok(())
}

/// Builds the program as users have it.
fn build() -> Result<PathBuf, String> {
    let arguments = ["build", "--release", "--package", "passel", "--bin", "passel"];
    let status = repo::cargo().args(arguments).status();
    if status.map_err(|error| format!("cargo does not run: {error}"))?.success() {
        Ok(repo::target().join("release").join("passel"))
    } else {
        Err("the program does not build".to_owned())
    }
}

/// A directory within cargo's own, on the disk that is measured, which is removed
/// at the end.
struct Place {
    root: PathBuf,
}

impl Place {
    fn new() -> io::Result<Self> {
        let root = repo::target().join(format!("measure-{}", std::process::id()));
        fs::create_dir(&root)?;
        Ok(Self { root })
    }

    /// Sends `path` some times, and takes the median.
    fn measure_often(&self, binary: &Path, path: &Path, name: &str) -> Result<Row, String> {
        let mut runs = Vec::new();
        for number in 1..=RUNS {
            println!("{name}, {number} of {RUNS} …");
            runs.push(self.measure(binary, path, number)?);
        }
        Ok(Row::median(format!("{name}, median of {RUNS}"), runs))
    }

    /// Sends `path` for the `number`th time, and compares what arrived.
    fn measure(&self, binary: &Path, path: &Path, number: usize) -> Result<Run, String> {
        let name = path.file_name().unwrap_or_default();
        let out = self.root.join(format!("{}-{number}", name.to_string_lossy()));
        fs::create_dir(&out).map_err(|error| format!("no room to receive: {error}"))?;
        let run = transfer::run(binary, path, &out)?;
        let same = Command::new("diff").arg("-qr").arg(path).arg(out.join(name)).status();
        if !same.is_ok_and(|status| status.success()) {
            return Err("what arrived is not what was sent".to_owned());
        }
        Ok(run)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // What cannot be removed lies among cargo's own output.
        let _ = fs::remove_dir_all(&self.root);
    }
}

/// Random bytes, so that nothing on the way can make them fewer.
fn random_file(path: &Path, size: u64) -> io::Result<()> {
    let mut random = io::Read::take(File::open("/dev/urandom")?, size);
    let mut file = File::create(path)?;
    io::copy(&mut random, &mut file)?;
    // Writing it out must not be part of what is measured.
    file.sync_all()
}

fn many_files(directory: &Path) -> io::Result<()> {
    fs::create_dir(directory)?;
    for number in 0..MANY {
        let mut file = File::create(directory.join(number.to_string()))?;
        file.write_all(format!("{number:>SMALL$}").as_bytes())?;
    }
    // Writing them out must not be part of what is measured.
    let synced = Command::new("sync").arg("-f").arg(directory).status()?;
    if synced.success() { Ok(()) } else { Err(io::Error::other("they cannot be synced")) }
}
