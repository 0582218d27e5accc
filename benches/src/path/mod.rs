//! What a transfer makes of a path with delay, loss and a bottleneck: whole
//! endpoints in virtual time, on `passel_sim::path`, over a grid of paths. Equal
//! builds give equal figures, on any machine. The table is in `table`, the plot
//! in `plot`; how a transfer starts is in `start`, how several share a path in `share`.

mod plot;
mod share;
mod start;
mod table;

use std::num::NonZero;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use passel_sim::path::{PathPlan, run};
use serde_json::{Value, json};

use crate::Goodput;
use crate::compare::say;
use crate::page::{self, Page};

pub(crate) use share::share;
pub(crate) use start::run_all as start;

/// Round-trip times in milliseconds.
const ROUND_TRIPS: [u64; 5] = [1, 20, 50, 100, 200];
/// How many of a thousand datagrams are lost.
const LOSSES: [u64; 4] = [0, 1, 10, 30];
/// How many lanes a connection may have: one, or of the protocol's 32 so many as it
/// finds useful.
const LANES: [Lanes; 2] =
    [Lanes { name: "1 lane", most: 1 }, Lanes { name: "automatic lanes", most: 32 }];
/// Where there is loss, chance counts: the mean of so many runs is taken.
const SEEDS: u64 = 2;
const LINKS: [Link; 2] = [
    Link { name: "100 Mbit/s", rate: 12_500_000, bytes: 128 << 20, seconds: 15 },
    Link { name: "1 Gbit/s", rate: 125_000_000, bytes: 256 << 20, seconds: 5 },
];

/// What a connection may have of lanes.
#[derive(Clone, Copy, Debug)]
struct Lanes {
    name: &'static str,
    most: u16,
}

/// A bottleneck, and what goes over it.
#[derive(Clone, Copy, Debug)]
struct Link {
    name: &'static str,
    /// Bytes a second.
    rate: u64,
    /// Size of the file.
    bytes: u64,
    /// When a run is over even if the file is not.
    seconds: u64,
}

/// One path of the grid.
#[derive(Clone, Copy, Debug)]
struct Cell {
    lanes: Lanes,
    link: Link,
    round_trip_ms: u64,
    loss_permille: u64,
}

/// What came of it.
#[derive(Clone, Copy, Debug)]
struct Figure {
    cell: Cell,
    /// Verified bytes a second, from the receiver's yes to the end.
    goodput: f64,
    /// Most lanes that were up at a time.
    lanes: usize,
}

impl Cell {
    fn all() -> Vec<Self> {
        let mut cells = Vec::new();
        for lanes in LANES {
            for link in LINKS {
                for loss_permille in LOSSES {
                    for round_trip_ms in ROUND_TRIPS {
                        cells.push(Self { lanes, link, round_trip_ms, loss_permille });
                    }
                }
            }
        }
        cells
    }

    fn is_asked_for(&self, options: &Goodput) -> bool {
        let is_in = |list: &[u64], value: u64| list.is_empty() || list.contains(&value);
        is_in(&options.round_trips, self.round_trip_ms)
            && is_in(&options.losses, self.loss_permille)
            && is_in(&options.rates, self.link.rate * 8 / 1_000_000)
    }

    fn measure(self) -> Result<Figure, String> {
        let seeds = if self.loss_permille == 0 { 1 } else { SEEDS };
        let (mut sum, mut lanes) = (0.0, 0);
        for seed in 1..=seeds {
            let plan = PathPlan {
                seed,
                pairs: vec![self.lanes.most],
                loss_permille: self.loss_permille,
                until_us: self.link.seconds * 1_000_000,
                ..PathPlan::new(self.round_trip_ms * 1000, self.link.rate, self.link.bytes)
            };
            let measured = run(&plan).map_err(|error| format!("{self:?}, seed {seed}: {error}"))?;
            #[allow(clippy::cast_precision_loss, reason = "far below 2^53")]
            let goodput = measured.first().map_or(0.0, |one| one.goodput() as f64);
            sum += goodput;
            lanes = measured.iter().map(|one| one.lanes).fold(lanes, usize::max);
        }
        #[allow(clippy::cast_precision_loss, reason = "a few")]
        Ok(Figure { cell: self, goodput: sum / seeds as f64, lanes })
    }
}

impl Figure {
    /// Goodput as a part of the bottleneck's rate.
    fn share(&self) -> f64 {
        #[allow(clippy::cast_precision_loss, reason = "far below 2^53")]
        let rate = self.cell.link.rate as f64;
        self.goodput / rate
    }
}

/// Measures the grid and returns the table; with `write`, puts table, plot and
/// figures into `docs/` too.
pub(crate) fn goodput(options: &Goodput) -> Result<String, String> {
    let mut cells = Cell::all();
    cells.retain(|cell| cell.is_asked_for(options));
    let figures = measure(&cells)?;
    let table = table::markdown(&figures);
    if options.write {
        let text = format!("![Goodput over round-trip time and loss](goodput.svg)\n\n{table}");
        page::write(&Page::Performance { section: "goodput", text: &text })?;
        page::write(&Page::File { name: "goodput.svg", text: &plot::svg(&figures) })?;
        page::write(&Page::File { name: "goodput.json", text: &json(&figures) })?;
    }
    Ok(table)
}

/// All cells, on as many threads as there are cores; in the order of the cells.
fn measure(cells: &[Cell]) -> Result<Vec<Figure>, String> {
    let threads = std::thread::available_parallelism().map_or(1, NonZero::get);
    let next = AtomicUsize::new(0);
    let results = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(cell) = cells.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let figure = cell.measure();
                    let Ok(mut results) = results.lock() else { return };
                    results.push((place(cells, cell), figure));
                    say(&format!("{} of {} paths", results.len(), cells.len()));
                }
            });
        }
    });
    let mut results = results.into_inner().map_err(|_| "a run broke off".to_owned())?;
    results.sort_by_key(|(place, _)| *place);
    results.into_iter().map(|(_, figure)| figure).collect()
}

/// Where a cell stands in the slice that it is borrowed from.
fn place(cells: &[Cell], cell: &Cell) -> usize {
    cells.iter().position(|other| std::ptr::eq(other, cell)).unwrap_or(0)
}

/// The figures for programs, one path a line.
fn json(figures: &[Figure]) -> String {
    let of = |figure: &Figure| {
        let cell = figure.cell;
        json!({
            "bits_per_second": cell.link.rate * 8,
            "round_trip_ms": cell.round_trip_ms,
            "loss_percent": permille(cell.loss_permille),
            "lanes": cell.lanes.name,
            "most_lanes_up": figure.lanes,
            "goodput_bytes_per_second": figure.goodput.round(),
            "share": (figure.share() * 1e4).round() / 1e4,
        })
    };
    let lines: Vec<String> = figures.iter().map(|figure| Value::to_string(&of(figure))).collect();
    format!("[\n{}\n]\n", lines.join(",\n"))
}

/// As percent.
fn permille(permille: u64) -> f64 {
    #[allow(clippy::cast_precision_loss, reason = "at most a thousand")]
    let permille = permille as f64;
    permille / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_grid_has_every_path_once_and_figures_keep_its_order() {
        let cells = Cell::all();
        assert_eq!(cells.len(), 2 * 2 * 5 * 4);
        let short = |cell: &Cell| Cell { link: Link { bytes: 1 << 16, ..cell.link }, ..*cell };
        let some: Vec<Cell> = cells.iter().take(3).map(short).collect();
        let figures = measure(&some).unwrap();
        let trips: Vec<u64> = figures.iter().map(|figure| figure.cell.round_trip_ms).collect();
        assert_eq!(trips, [1, 20, 50]);
        assert!(figures.windows(2).all(|pair| pair[0].goodput > pair[1].goodput), "{figures:?}");
        let value: Value = serde_json::from_str(&json(&figures)).unwrap();
        assert_eq!(value[1]["round_trip_ms"], 20);
    }
}
