//! The table of goodput: a link's round-trip times to the right, losses down.

use std::fmt::Write as _;

use super::{Figure, LANES, LINKS, LOSSES, ROUND_TRIPS, permille};

/// One table for each link, with two rows for each loss.
pub(super) fn markdown(figures: &[Figure]) -> String {
    let mut out = String::new();
    for link in LINKS {
        let heads: Vec<String> = ROUND_TRIPS.iter().map(|ms| format!("{ms} ms")).collect();
        let _ = writeln!(out, "| {} | {} |", link.name, heads.join(" | "));
        let _ = writeln!(out, "| --- |{}", " --- |".repeat(ROUND_TRIPS.len()));
        for (loss, lanes) in LOSSES.iter().flat_map(|loss| LANES.map(|lanes| (*loss, lanes))) {
            let of = |ms: &u64| {
                let found = figures.iter().find(|figure| {
                    let cell = figure.cell;
                    (cell.link.rate, cell.loss_permille) == (link.rate, loss)
                        && (cell.lanes.most, cell.round_trip_ms) == (lanes.most, *ms)
                });
                found.map_or_else(|| "–".to_owned(), shown)
            };
            let row: Vec<String> = ROUND_TRIPS.iter().map(of).collect();
            let name = format!("{} % loss, {}", permille(loss), lanes.name);
            let _ = writeln!(out, "| {name} | {} |", row.join(" | "));
        }
        out.push('\n');
    }
    out.truncate(out.trim_end().len());
    out.push('\n');
    out
}

/// Megabytes a second, and the share of the link.
fn shown(figure: &Figure) -> String {
    let digits = if figure.goodput < 10e6 { 2 } else { 1 };
    format!("{:.digits$} MB/s ({:.0} %)", figure.goodput / 1e6, figure.share() * 100.0)
}

#[cfg(test)]
mod tests {
    use super::super::Cell;
    use super::*;

    #[test]
    fn each_path_has_its_place_and_what_is_missing_is_seen() {
        let figures: Vec<Figure> = Cell::all()
            .into_iter()
            .filter(|cell| cell.round_trip_ms != 200)
            .map(|cell| Figure {
                cell,
                goodput: if cell.loss_permille > 0 { 1.25e6 } else { 11e6 },
                lanes: 1,
            })
            .collect();
        let table = markdown(&figures);
        assert!(table.contains("| 100 Mbit/s | 1 ms | 20 ms |"), "{table}");
        assert!(table.contains("| 0 % loss, 1 lane | 11.0 MB/s (88 %) |"), "{table}");
        assert!(table.contains("| 0.1 % loss, automatic lanes | 1.25 MB/s (10 %) |"), "{table}");
        assert_eq!(table.matches("| – |").count(), 16, "{table}");
    }
}
