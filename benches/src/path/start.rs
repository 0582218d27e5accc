//! How a transfer starts: when things happen at the receiver, from the moment at
//! which it has the sender's answer, on a path that has nothing but delay. Time
//! over round-trip time counts round trips; what does not grow with the path are
//! timers.

use std::fmt::Write as _;

use passel_sim::path::{Mark, Measured, PathPlan, run};

use crate::page::{self, Page};

/// A file of one record, and one of many chunks.
const SIZES: [(&str, u64); 2] = [("1 KiB", 1 << 10), ("16 MiB", 16 << 20)];

/// Measures paths with these round-trip times in milliseconds, and returns the
/// table; with `write`, puts it into `docs/` too.
pub(crate) fn run_all(round_trips: &[u64], write: bool) -> Result<String, String> {
    let mut table = String::new();
    for (name, bytes) in SIZES {
        let of =
            |ms: &u64| run(&PathPlan::new(ms * 1000, 0, bytes)).map(|mut pairs| pairs.remove(0));
        let measured: Vec<Measured> = round_trips.iter().map(of).collect::<Result<_, _>>()?;
        table.push_str(&markdown(name, round_trips, &measured));
        table.push('\n');
    }
    table.truncate(table.trim_end().len());
    table.push('\n');
    if write {
        page::write(&Page::Performance { section: "start", text: &table })?;
    }
    Ok(table)
}

/// A row for each thing that happens, a column for each path.
fn markdown(file: &str, round_trips: &[u64], measured: &[Measured]) -> String {
    let heads: Vec<String> = round_trips.iter().map(|ms| format!("path of {ms} ms")).collect();
    let mut out = format!("| a file of {file} | {} |\n", heads.join(" | "));
    let _ = writeln!(out, "| --- |{}", " --- |".repeat(round_trips.len()));
    for mark in Mark::ALL {
        let of = |(one, ms): (&Measured, &u64)| {
            let since = one.at(mark)?.checked_sub(one.at(Mark::Answered)?)?;
            #[allow(clippy::cast_precision_loss, reason = "far below 2^53")]
            let (since, round_trip) = (since as f64 / 1000.0, *ms as f64);
            Some(format!("{:.2} round trips ({since:.0} ms)", since / round_trip))
        };
        let row = measured.iter().zip(round_trips).map(of);
        let row: Vec<String> = row.map(|text| text.unwrap_or_else(|| "–".to_owned())).collect();
        let _ = writeln!(out, "| {} | {} |", name(mark), row.join(" | "));
    }
    out
}

fn name(mark: Mark) -> &'static str {
    match mark {
        Mark::Answered => "the answer is here",
        Mark::Connected => "DTLS is up",
        Mark::Established => "the peer is who it should be",
        Mark::Offered => "the offer is here, and accepted",
        Mark::FirstWrite => "first chunk verified",
        Mark::FirstDurable => "first byte durable",
        Mark::Completed => "complete",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_counted_from_the_answer_in_round_trips() {
        let one = |ms: u64| Measured {
            marks: [(Mark::Answered, 7_000), (Mark::Connected, 7_000 + 2_500 * ms)].into(),
            ..Measured::default()
        };
        let table = markdown("1 KiB", &[20, 100, 500], &[20, 100, 500].map(one));
        assert!(table.contains("| the answer is here | 0.00 round trips (0 ms) |"), "{table}");
        assert!(table.contains("| DTLS is up | 2.50 round trips (50 ms) |"), "{table}");
        assert!(table.contains("| complete | – | – | – |"), "{table}");
    }
}
