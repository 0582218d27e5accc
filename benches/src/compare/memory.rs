//! What the two processes of a transfer keep in memory at full speed, by the size
//! of what is sent. It must not grow with it.

use std::fmt::Write as _;

use super::passel::Passel;
use super::{Job, Place, random_file, report};
use crate::Memory;

const MIB: u64 = 1 << 20;
/// What is sent, in bytes.
const SIZES: [u64; 3] = [16 * MIB, 256 * MIB, 1024 * MIB];
/// Most that either process may have, in KiB.
const WANTED: u64 = 64 * 1024;

/// Measures and returns the table; an error if a process takes more than it may.
pub(crate) fn run(options: &Memory) -> Result<String, String> {
    let place = Place::new().map_err(|error| format!("no room for files: {error}"))?;
    let passel = Passel::ready(options.passel.clone(), &place.binaries)?;
    let before = report::load();
    let mut table = "| moved | rate | sender, highest | receiver, highest |\n\
                     | --- | --- | --- | --- |\n"
        .to_owned();
    let mut highest = 0;
    for size in SIZES {
        let (file, out) = (place.root.join("sample"), place.root.join("out"));
        random_file(&file, size).map_err(|error| format!("no file to send: {error}"))?;
        std::fs::create_dir(&out).map_err(|error| format!("no room to receive: {error}"))?;
        let sides = passel.sides(&Job { file: &file, size, out: &out })?;
        std::fs::remove_dir_all(&out).map_err(|error| format!("the copy stays: {error}"))?;
        highest = highest.max(sides.sender.peak).max(sides.receiver.peak);
        #[allow(clippy::cast_precision_loss, reason = "far below 2^53")]
        let (mib, rate) = (|kib: u64| kib as f64 / 1024.0, size as f64 / sides.total / 1e6);
        let _ = writeln!(
            table,
            "| {} MiB | {rate:.0} MB/s | {:.1} MiB | {:.1} MiB |",
            size / MIB,
            mib(sides.sender.peak),
            mib(sides.receiver.peak)
        );
    }
    let _ = writeln!(table, "\nOne transfer each, start to end, on {}.", report::machine(&before));
    if highest <= WANTED {
        Ok(table)
    } else {
        Err(format!("{table}\na process took {highest} KiB, and may take {WANTED}"))
    }
}
