//! How transfers share a bottleneck: two with automatic lanes and one with a single
//! lane, all at once, and what each gets of a third of it (`LN-POLITE`).

use std::fmt::Write as _;

use passel_sim::path::{Measured, PathPlan, run};

use super::LINKS;
use crate::page::{self, Page};

/// Most lanes of each transfer.
const PAIRS: [u16; 3] = [32, 32, 1];
const ROUND_TRIPS: [u64; 3] = [10, 20, 50];
const SECONDS: u64 = 30;

/// Measures, and returns the table; with `write`, puts it into `docs/` too.
pub(crate) fn share(write: bool) -> Result<String, String> {
    let link = LINKS[0];
    let mut table = format!(
        "| {}, {SECONDS} s | automatic lanes | automatic lanes | 1 lane | all |\n\
         | --- | --- | --- | --- | --- |\n",
        link.name
    );
    for ms in ROUND_TRIPS {
        let plan = PathPlan {
            pairs: PAIRS.to_vec(),
            until_us: SECONDS * 1_000_000,
            ..PathPlan::new(ms * 1000, link.rate, link.rate * SECONDS)
        };
        let measured = run(&plan)?;
        let fair = link.rate / PAIRS.len() as u64;
        let cells: Vec<String> = measured.iter().map(|one| cell(one, fair)).collect();
        let all: u64 = measured.iter().map(Measured::goodput).sum();
        let _ = writeln!(
            table,
            "| round trip of {ms} ms | {} | {} % of the rate |",
            cells.join(" | "),
            all * 100 / link.rate
        );
    }
    if write {
        page::write(&Page::Performance { section: "share", text: &table })?;
    }
    Ok(table)
}

fn cell(one: &Measured, fair: u64) -> String {
    let percent = one.goodput() * 100 / fair;
    format!("{percent} % of a fair share ({} lanes)", one.lanes)
}
