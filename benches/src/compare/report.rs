//! The table of a comparison, and the same as JSON: medians of all runs, and how
//! the others stand to the first.

use std::fmt::Write as _;
use std::fs;

use serde_json::{Value, json};

use super::Run;
use super::process::Usage;

/// A program and what came of it; or why nothing did.
pub(super) struct Row {
    pub(super) name: String,
    pub(super) remark: &'static str,
    pub(super) runs: Result<Vec<Run>, String>,
}

/// Medians over the runs of one program.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Figures {
    /// MB/s from start to end.
    rate: f64,
    /// MB/s of the transfer alone, as the program says itself.
    inner: Option<f64>,
    /// Processor seconds for each GiB.
    processor: f64,
    /// MiB.
    peak: f64,
}

impl Run {
    pub(super) fn new(total: f64, transfer: Option<f64>, usages: &[Usage]) -> Self {
        Self {
            total,
            transfer,
            processor: usages.iter().map(|usage| usage.processor).sum(),
            peak: usages.iter().map(|usage| usage.peak).max().unwrap_or(0),
        }
    }
}

impl Row {
    fn figures(&self, size: u64) -> Option<Figures> {
        #[allow(clippy::cast_precision_loss, reason = "far below 2^53")]
        let (size, runs) = (size as f64, self.runs.as_ref().ok()?);
        let rate = |seconds: f64| size / seconds / 1e6;
        #[allow(clippy::cast_precision_loss, reason = "far below 2^53")]
        let peak = |run: &Run| run.peak as f64 / 1024.0;
        Some(Figures {
            rate: rate(median(runs.iter().map(|run| run.total))?),
            inner: median(runs.iter().filter_map(|run| run.transfer)).map(rate),
            processor: median(runs.iter().map(|run| run.processor))? * f64::from(1 << 30) / size,
            peak: median(runs.iter().map(peak))?,
        })
    }
}

/// The middle one; of an even number, the lower of the two in the middle.
fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len().checked_sub(1)? / 2).copied()
}

/// The table, with what it was taken by and on. In brackets: how many times the
/// first program's figure.
pub(super) fn markdown(rows: &[Row], size: u64) -> String {
    let mut out = format!(
        "| {} MiB | start to end | transfer alone | processor for a GiB | peak memory, largest process |\n\
         | --- | --- | --- | --- | --- |\n",
        size >> 20
    );
    let first = rows.iter().find_map(|row| row.figures(size));
    for row in rows {
        let (Some(figures), Some(first)) = (row.figures(size), first) else {
            let reason = row.runs.as_ref().err().map_or("nothing was measured", |text| text);
            let _ = writeln!(out, "| {} | not measured: {reason} | | | |", row.name);
            continue;
        };
        let inner = match (figures.inner, first.inner) {
            (Some(rate), Some(first)) => format!("{rate:.0} MB/s ({:.2})", rate / first),
            (Some(rate), None) => format!("{rate:.0} MB/s"),
            (None, _) => "not told".to_owned(),
        };
        let _ = writeln!(
            out,
            "| {} | {:.0} MB/s ({:.2}) | {inner} | {:.2} s ({:.2}) | {:.1} MiB ({:.2}) |",
            row.name,
            figures.rate,
            figures.rate / first.rate,
            figures.processor,
            figures.processor / first.processor,
            figures.peak,
            figures.peak / first.peak,
        );
    }
    let runs = rows.iter().filter_map(|row| row.runs.as_ref().ok()).map(Vec::len).max();
    let _ = writeln!(
        out,
        "\nMedians of {} runs on {}. In brackets: times the first.",
        runs.unwrap_or(0),
        machine()
    );
    for row in rows {
        let _ = writeln!(out, "{}: {}.", row.name, row.remark);
    }
    out
}

/// The same for programs, in one line.
pub(super) fn json(rows: &[Row], size: u64) -> String {
    let of_row = |row: &Row| match (&row.runs, row.figures(size)) {
        (Ok(runs), Some(figures)) => json!({
            "name": row.name,
            "remark": row.remark,
            "megabytes_per_second": figures.rate,
            "transfer_megabytes_per_second": figures.inner,
            "processor_seconds_per_gib": figures.processor,
            "peak_mib": figures.peak,
            "runs": runs.iter().map(of_run).collect::<Vec<_>>(),
        }),
        (runs, _) => json!({
            "name": row.name,
            "remark": row.remark,
            "not_measured": runs.as_ref().err(),
        }),
    };
    let peers: Vec<Value> = rows.iter().map(of_row).collect();
    format!("{}\n", json!({ "bytes": size, "machine": machine(), "peers": peers }))
}

fn of_run(run: &Run) -> Value {
    json!({
        "seconds": run.total,
        "transfer_seconds": run.transfer,
        "processor_seconds": run.processor,
        "peak_kib": run.peak,
    })
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
    use super::*;

    const SIZE: u64 = 100 << 20;

    fn rows() -> [Row; 2] {
        let run = |total| Run { total, transfer: Some(total / 2.0), processor: 0.5, peak: 20_480 };
        let measured = vec![run(2.0), run(1.048_576), run(0.5)];
        [
            Row { name: "one".into(), remark: "as it is", runs: Ok(measured) },
            Row { name: "other".into(), remark: "as it was", runs: Err("no network".into()) },
        ]
    }

    #[test]
    fn medians_are_shown_and_what_is_missing_is_named() {
        let table = markdown(&rows(), SIZE);
        let line = "| one | 100 MB/s (1.00) | 200 MB/s (1.00) | 5.12 s (1.00) | 20.0 MiB (1.00) |";
        assert!(table.contains(line), "{table}");
        assert!(table.contains("| other | not measured: no network |"), "{table}");
        assert!(table.contains("Medians of 3 runs"), "{table}");
    }

    #[test]
    fn json_has_every_run_and_every_reason() {
        let value: Value = serde_json::from_str(&json(&rows(), SIZE)).unwrap();
        assert_eq!(value["peers"][0]["runs"].as_array().unwrap().len(), 3);
        assert_eq!(value["peers"][0]["peak_mib"], 20.0);
        assert_eq!(value["peers"][1]["not_measured"], "no network");
    }

    #[test]
    fn the_median_of_nothing_is_none() {
        assert_eq!(median(std::iter::empty()), None);
        assert_eq!(median([3.0, 1.0].into_iter()), Some(1.0));
    }
}
