//! The Markdown table of measured transfers.

use std::fmt::Write as _;
use std::fs;

use super::transfer::Run;

/// One line of the table: the run of which half were faster.
pub(super) struct Row {
    what: String,
    run: Run,
    /// Rates of all runs in MB/s, sorted.
    rates: Vec<f64>,
}

impl Row {
    /// The median of `runs`, of which there is at least one.
    pub(super) fn median(what: String, mut runs: Vec<Run>) -> Self {
        runs.sort_by(|one, other| one.transfer.total_cmp(&other.transfer));
        let mut rates: Vec<f64> = runs.iter().map(rate).collect();
        rates.sort_by(f64::total_cmp);
        let run = runs.swap_remove(runs.len() / 2);
        Self { what, run, rates }
    }
}

/// Bytes a second, in millions.
fn rate(run: &Run) -> f64 {
    #[allow(clippy::cast_precision_loss, reason = "far below 2^53 bytes")]
    let bytes = run.bytes as f64;
    bytes / run.transfer / 1e6
}

/// Seconds of both processors that a GiB took.
fn for_a_gib(run: &Run) -> f64 {
    #[allow(clippy::cast_precision_loss, reason = "far below 2^53 bytes")]
    let gib = run.bytes as f64 / f64::from(1 << 30);
    (run.sender.processor + run.receiver.processor) / gib
}

/// How the costs of a byte and of a file grow, as far as the rows tell.
fn growth(rows: &[Row]) -> String {
    let mut out = String::new();
    let large: Vec<&Row> = rows.iter().filter(|row| row.run.files == 1).collect();
    if let [one, .., other] = large.as_slice() {
        let [few, many] = [&one.run, &other.run].map(for_a_gib);
        let _ = writeln!(
            out,
            "\nA GiB takes {few:.2} s of processor in the first row and {many:.2} s in the row of {}: {:.2} times as much.",
            other.what,
            many / few,
        );
    }
    if let Some(Row { what, run: Run { thousands: Some([first, last]), .. }, .. }) =
        rows.iter().find(|row| row.run.thousands.is_some())
    {
        let _ = writeln!(
            out,
            "Of {what} the first thousand take {first:.3} s, and the last {last:.3} s."
        );
    }
    out
}

/// The table, with what it was taken by and on.
pub(super) fn markdown(rows: &[Row]) -> String {
    let mut out = String::from(
        "| what | rate | time, with start and end | processor, sender + receiver | peak memory, sender / receiver |\n\
         | --- | --- | --- | --- | --- |\n",
    );
    for row in rows {
        let run = &row.run;
        let mut rate = format!("{:.0} MB/s", rate(run));
        if let [slowest, .., fastest] = row.rates.as_slice() {
            let _ = write!(rate, " ({slowest:.0} to {fastest:.0})");
        }
        if run.files > 1 {
            #[allow(clippy::cast_precision_loss, reason = "a count of files")]
            let files = run.files as f64 / run.transfer;
            rate = format!("{files:.0} files/s");
        }
        let _ = writeln!(
            out,
            "| {} | {rate} | {:.2} s | {:.2} s + {:.2} s | {} / {} |",
            row.what,
            run.total,
            run.sender.processor,
            run.receiver.processor,
            mebibytes(run.sender.peak),
            mebibytes(run.receiver.peak),
        );
    }
    out += &growth(rows);
    let _ = writeln!(
        out,
        "\nTaken by `cargo xtask measure`: release build, two processes, loopback interface, disk to disk\n\
         (the receiver syncs before it confirms), {}.",
        machine()
    );
    out
}

fn mebibytes(kib: u64) -> String {
    format!("{:.1} MiB", f64::from(u32::try_from(kib).unwrap_or(u32::MAX)) / 1024.0)
}

/// The machine and what else it had to do.
fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = cpuinfo
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "))
        .map_or("an unknown processor", |(_, name)| name.trim());
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or_default();
    format!("{cores} cores of {name}, load at the end {load}")
}

#[cfg(test)]
mod tests {
    use super::super::usage::Usage;
    use super::*;

    fn run(transfer: f64, files: u64) -> Run {
        let usage = Usage { processor: 1.5, peak: 20_480 };
        Run {
            transfer,
            total: transfer + 0.25,
            bytes: 100_000_000,
            files,
            thousands: (files > 1000).then_some([0.5, 0.25]),
            sender: usage,
            receiver: usage,
        }
    }

    #[test]
    fn the_median_is_shown_with_the_range() {
        let rows = [Row::median("512 MiB".into(), vec![run(1.0, 1), run(0.5, 1), run(2.0, 1)])];
        let line =
            "| 512 MiB | 100 MB/s (50 to 200) | 1.25 s | 1.50 s + 1.50 s | 20.0 MiB / 20.0 MiB |";
        let table = markdown(&rows);
        assert!(table.contains(line), "{table}");
        assert!(table.contains("`cargo xtask measure`"), "{table}");
    }

    #[test]
    fn many_files_are_counted_by_the_second() {
        let table = markdown(&[Row::median("many".into(), vec![run(0.5, 1000)])]);
        assert!(table.contains("| many | 2000 files/s | 0.75 s |"), "{table}");
    }

    #[test]
    fn what_grows_with_size_and_number_is_told() {
        let large = Run { bytes: 800_000_000, ..run(8.0, 1) };
        let rows = [
            Row::median("512 MiB".into(), vec![run(1.0, 1)]),
            Row::median("8 GiB".into(), vec![large]),
            Row::median("many".into(), vec![run(1.0, 5000)]),
        ];
        let table = markdown(&rows);
        assert!(table.contains("32.21 s of processor in the first row and 4.03 s"), "{table}");
        assert!(table.contains("8 GiB: 0.12 times as much."), "{table}");
        assert!(table.contains("the first thousand take 0.500 s, and the last 0.250 s"), "{table}");
    }
}
