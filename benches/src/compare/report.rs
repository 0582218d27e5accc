//! The table of a comparison, and the same as JSON: medians of all runs, and how
//! the others stand to the first.

use std::fmt::Write as _;
use std::fs;

use serde_json::{Value, json};

use super::Run;
use super::usage::Usage;

/// A program and what came of it; or why nothing did.
pub(super) struct Row {
    pub(super) name: String,
    pub(super) remark: &'static str,
    /// Bytes of each run.
    pub(super) size: u64,
    /// How many times its speed the first program is to have.
    pub(super) wanted: Option<f64>,
    /// The runs that went well.
    pub(super) runs: Vec<Run>,
    /// Why there were no more of them.
    pub(super) trouble: Option<String>,
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
    fn figures(&self) -> Option<Figures> {
        #[allow(clippy::cast_precision_loss, reason = "far below 2^53")]
        let (size, runs) = (self.size as f64, &self.runs);
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

impl Figures {
    /// What programs are compared by: the transfer itself where both tell it.
    fn times(&self, other: &Self) -> f64 {
        match (self.inner, other.inner) {
            (Some(own), Some(others)) => own / others,
            _ => self.rate / other.rate,
        }
    }
}

/// The middle one; of an even number, the lower of the two in the middle.
fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len().checked_sub(1)? / 2).copied()
}

/// A figure beside the first program's, in brackets, if that was measured.
fn beside(figure: f64, first: Option<f64>) -> String {
    first.map_or_else(String::new, |first| format!(" ({:.2})", figure / first))
}

/// The table, with what it was taken by and on. In brackets: how many times the
/// first program's figure.
pub(super) fn markdown(rows: &[Row], before: &str) -> String {
    let mut out = "| program | moved | start to end | transfer alone | processor for a GiB | \
                   peak memory, largest process |\n\
                   | --- | --- | --- | --- | --- | --- |\n"
        .to_owned();
    let first = rows.first().and_then(Row::figures);
    for row in rows {
        let Some(figures) = row.figures() else {
            let reason = row.trouble.as_deref().unwrap_or("nothing was measured");
            let _ = writeln!(out, "| {} | not measured: {reason} | | | | |", row.name);
            continue;
        };
        let of_first = |figure: fn(&Figures) -> f64| first.as_ref().map(figure);
        let inner = match figures.inner {
            Some(rate) => {
                format!("{rate:.0} MB/s{}", beside(rate, first.and_then(|first| first.inner)))
            }
            None => "not told".to_owned(),
        };
        let _ = writeln!(
            out,
            "| {} | {} MiB | {:.0} MB/s{} | {inner} | {:.2} s{} | {:.1} MiB{} |",
            row.name,
            row.size >> 20,
            figures.rate,
            beside(figures.rate, of_first(|first| first.rate)),
            figures.processor,
            beside(figures.processor, of_first(|first| first.processor)),
            figures.peak,
            beside(figures.peak, of_first(|first| first.peak)),
        );
    }
    let runs = rows.iter().map(|row| row.runs.len()).max();
    let _ = writeln!(
        out,
        "\nMedians of {} runs, by turns, on {}. In brackets: times the first.\n",
        runs.unwrap_or(0),
        machine(before)
    );
    for row in rows.iter().skip(1) {
        if let Some(times) = times(rows, row) {
            let wanted = row.wanted.map(|wanted| {
                let verdict = if times >= wanted { "reached" } else { "missed" };
                format!(" (at least {wanted:.1} is wanted: {verdict})")
            });
            let _ = writeln!(
                out,
                "- {:.2} times as fast as {}{}",
                times,
                row.name,
                wanted.unwrap_or_default()
            );
        }
    }
    out.push('\n');
    for row in rows {
        let _ = writeln!(out, "- {}: {}.", row.name, row.remark);
        if let (Some(reason), runs @ 1..) = (&row.trouble, row.runs.len()) {
            let _ = writeln!(out, "- {}: after {runs} runs: {reason}", row.name);
        }
    }
    out
}

/// How many times as fast as this row's the first program is.
fn times(rows: &[Row], row: &Row) -> Option<f64> {
    Some(rows.first()?.figures()?.times(&row.figures()?))
}

/// What was wanted and is not so, or could not be measured.
pub(super) fn missed(rows: &[Row]) -> Vec<String> {
    let missed = |row: &Row| {
        let wanted = row.wanted?;
        match times(rows, row) {
            Some(times) if times >= wanted => None,
            Some(times) => Some(format!("{}: {times:.2} times, {wanted:.1} wanted", row.name)),
            None => Some(format!("{}: not measured, {wanted:.1} times wanted", row.name)),
        }
    };
    rows.iter().filter_map(missed).collect()
}

/// The same for programs, in one line.
pub(super) fn json(rows: &[Row], before: &str) -> String {
    let of_row = |row: &Row| match row.figures() {
        Some(figures) => json!({
            "name": row.name,
            "remark": row.remark,
            "bytes": row.size,
            "megabytes_per_second": figures.rate,
            "transfer_megabytes_per_second": figures.inner,
            "processor_seconds_per_gib": figures.processor,
            "peak_mib": figures.peak,
            "first_is_times_as_fast": times(rows, row),
            "first_is_wanted_times_as_fast": row.wanted,
            "runs": row.runs.iter().map(of_run).collect::<Vec<_>>(),
            "trouble": row.trouble,
        }),
        None => json!({
            "name": row.name,
            "remark": row.remark,
            "not_measured": row.trouble,
        }),
    };
    let peers: Vec<Value> = rows.iter().map(of_row).collect();
    format!("{}\n", json!({ "machine": machine(before), "peers": peers }))
}

fn of_run(run: &Run) -> Value {
    json!({
        "seconds": run.total,
        "transfer_seconds": run.transfer,
        "processor_seconds": run.processor,
        "peak_kib": run.peak,
    })
}

/// The machine and what else it had to do: its load `before` all runs, and now.
pub(super) fn machine(before: &str) -> String {
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = cpuinfo
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "))
        .map_or("an unknown processor", |(_, name)| name.trim());
    format!("{cores} cores of {name}, load {before} before and {} after", load())
}

/// How many wanted to run in the last minute, on average.
pub(super) fn load() -> String {
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    load.split(' ').next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: u64 = 100 << 20;

    fn rows() -> [Row; 3] {
        let run = |total| Run { total, transfer: Some(total / 2.0), processor: 0.5, peak: 20_480 };
        let row = |name: &str, runs| Row {
            name: name.to_owned(),
            remark: "as it is",
            size: SIZE,
            wanted: None,
            runs,
            trouble: None,
        };
        let half = Row { size: SIZE / 2, wanted: Some(2.5), ..row("half", vec![run(1.048_576)]) };
        let measured = vec![run(2.0), run(1.048_576), run(0.5)];
        let trouble = Some("no network".to_owned());
        [row("one", measured), half, Row { trouble, ..row("other", Vec::new()) }]
    }

    #[test]
    fn medians_are_shown_and_what_is_missing_is_named() {
        let table = markdown(&rows(), "0.50");
        for line in [
            "| one | 100 MiB | 100 MB/s (1.00) | 200 MB/s (1.00) | 5.12 s (1.00) | 20.0 MiB (1.00) |",
            "| half | 50 MiB | 50 MB/s (0.50) | 100 MB/s (0.50) | 10.24 s (2.00) | 20.0 MiB (1.00) |",
            "| other | not measured: no network |",
            "Medians of 3 runs",
            "load 0.50 before",
            "- 2.00 times as fast as half (at least 2.5 is wanted: missed)",
        ] {
            assert!(table.contains(line), "{table}");
        }
    }

    #[test]
    fn without_the_first_nobody_takes_its_place() {
        let mut rows = rows();
        rows[0].runs.clear();
        assert_eq!(missed(&rows), ["half: not measured, 2.5 times wanted"]);
        let table = markdown(&rows, "0.50");
        assert!(
            table.contains("| half | 50 MiB | 50 MB/s | 100 MB/s | 10.24 s | 20.0 MiB |"),
            "{table}"
        );
        assert!(!table.contains("times as fast"), "{table}");
        let value: Value = serde_json::from_str(&json(&rows, "0.50")).unwrap();
        assert_eq!(value["peers"][1]["first_is_times_as_fast"], Value::Null);
    }

    #[test]
    fn runs_before_a_failure_count_and_the_failure_is_told() {
        let mut rows = rows();
        rows[1].trouble = Some("it hung".to_owned());
        let table = markdown(&rows, "0.50");
        assert!(table.contains("| half | 50 MiB | 50 MB/s (0.50) |"), "{table}");
        assert!(table.contains("- half: after 1 runs: it hung"), "{table}");
        let value: Value = serde_json::from_str(&json(&rows, "0.50")).unwrap();
        assert_eq!(value["peers"][1]["trouble"], "it hung");
    }

    #[test]
    fn what_is_wanted_and_missed_is_named() {
        let mut rows = rows();
        assert_eq!(missed(&rows), ["half: 2.00 times, 2.5 wanted"]);
        rows[1].wanted = Some(2.0);
        assert!(missed(&rows).is_empty());
        rows[2].wanted = Some(1.0);
        assert_eq!(missed(&rows), ["other: not measured, 1.0 times wanted"]);
    }

    #[test]
    fn json_has_every_run_and_every_reason() {
        let value: Value = serde_json::from_str(&json(&rows(), "0.50")).unwrap();
        assert_eq!(value["peers"][0]["runs"].as_array().unwrap().len(), 3);
        assert_eq!(value["peers"][0]["peak_mib"], 20.0);
        assert_eq!(value["peers"][1]["first_is_times_as_fast"], 2.0);
        assert_eq!(value["peers"][2]["not_measured"], "no network");
    }

    #[test]
    fn the_median_of_nothing_is_none() {
        assert_eq!(median(std::iter::empty()), None);
        assert_eq!(median([3.0, 1.0].into_iter()), Some(1.0));
    }
}
