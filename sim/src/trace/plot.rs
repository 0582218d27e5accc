//! What a page draws over time: bytes a second and in flight, losses, the states
//! of connections and transfers. Numbers are put together into parts of the axis
//! that are drawn equally wide.

use std::collections::BTreeMap;

use serde::Serialize;

use super::Recording;
use super::axis::Axis;

/// Parts of the axis.
const PARTS: u32 = 240;
/// Most bands of states that are drawn for one thing.
const MOST_BANDS: usize = 200;

/// Numbers over time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Series {
    /// What they count.
    pub(super) of: &'static str,
    /// The host that they are of.
    pub(super) host: usize,
    /// One for each part of the axis.
    pub(super) values: Vec<u64>,
}

/// A state, from when until when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Band {
    pub(super) host: usize,
    pub(super) of: String,
    pub(super) name: String,
    pub(super) from: u64,
    pub(super) until: u64,
}

/// The axis, its parts, and what is drawn over it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Plot {
    pub(super) axis: Axis,
    pub(super) borders: Vec<u64>,
    pub(super) series: Vec<Series>,
    pub(super) bands: Vec<Band>,
}

impl Plot {
    /// Of a run that ended at `end`.
    pub(super) fn new(recording: &Recording, end: u64) -> Self {
        let mut moments: Vec<u64> = vec![0, end];
        for message in &recording.messages {
            moments.push(message.sent_us);
            moments.extend(message.arrived_us);
        }
        moments.extend(recording.marks.iter().map(|mark| mark.at_us));
        moments.extend(recording.states.iter().map(|state| state.at_us));
        moments.retain(|at| *at <= end);
        moments.sort_unstable();
        moments.dedup();
        let axis = Axis::new(&moments);
        let borders = axis.borders(PARTS);
        let mut series = Vec::new();
        for host in 0..recording.hosts.len() {
            series.extend(of_host(recording, host, &borders));
        }
        let bands = bands(recording, end);
        Self { axis, borders, series, bands }
    }
}

/// The part of the axis in which a moment lies.
fn part(borders: &[u64], at: u64) -> usize {
    borders.partition_point(|border| *border <= at).saturating_sub(1).min(borders.len() - 2)
}

fn of_host(recording: &Recording, host: usize, borders: &[u64]) -> Vec<Series> {
    let empty = || vec![0; borders.len() - 1];
    let (mut rate, mut again, mut lost) = (empty(), empty(), empty());
    let sent = recording.messages.iter().filter(|one| one.from == host && one.to != host);
    for message in sent.clone() {
        let place = part(borders, message.sent_us);
        rate[place] += message.bytes as u64;
        again[place] += if message.again { message.bytes as u64 } else { 0 };
        lost[place] += u64::from(message.lost);
    }
    for (place, pair) in borders.windows(2).enumerate() {
        let micros = (pair[1] - pair[0]).max(1);
        for values in [&mut rate, &mut again] {
            values[place] = values[place].saturating_mul(1_000_000) / micros;
        }
    }
    // What is known of acknowledgements counts; else what has not arrived.
    let mut levels: BTreeMap<u64, i64> = BTreeMap::new();
    let known = recording.flights.iter().filter(|one| one.host == host);
    let flight = if recording.flights.is_empty() {
        for message in sent.filter(|one| !one.lost) {
            let bytes = i64::try_from(message.bytes).unwrap_or(0);
            *levels.entry(message.sent_us).or_default() += bytes;
            if let Some(at) = message.arrived_us {
                *levels.entry(at).or_default() -= bytes;
            }
        }
        let mut level = 0;
        let levels = levels.into_iter().map(|(at, change)| {
            level += change;
            (at, u64::try_from(level).unwrap_or(0))
        });
        highest(levels, borders)
    } else {
        highest(known.map(|one| (one.at_us, one.bytes)), borders)
    };
    let series = |of, values| Series { of, host, values };
    vec![
        series("rate", rate),
        series("again", again),
        series("lost", lost),
        series("flight", flight),
    ]
}

/// The highest level in each part; a level lasts until the next one.
fn highest(levels: impl Iterator<Item = (u64, u64)>, borders: &[u64]) -> Vec<u64> {
    let mut values = vec![0; borders.len() - 1];
    let (mut at, mut level) = (0, 0);
    let mut keep = |from: usize, until: usize, level: u64| {
        for value in &mut values[from..=until] {
            *value = level.max(*value);
        }
    };
    for (moment, next) in levels {
        let place = part(borders, moment);
        keep(at, place, level);
        (at, level) = (place, next);
        keep(at, at, level);
    }
    keep(at, borders.len() - 2, level);
    values
}

fn bands(recording: &Recording, end: u64) -> Vec<Band> {
    let mut things: BTreeMap<(usize, &str), Vec<Band>> = BTreeMap::new();
    for state in &recording.states {
        let bands = things.entry((state.host, &state.of)).or_default();
        if let Some(last) = bands.last_mut() {
            last.until = state.at_us;
            if last.name == state.name {
                last.until = end;
                continue;
            }
        }
        let (of, name) = (state.of.clone(), state.name.clone());
        bands.push(Band { host: state.host, of, name, from: state.at_us, until: end });
    }
    things.into_values().flat_map(|bands| bands.into_iter().take(MOST_BANDS)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_last_until_the_next_and_the_highest_is_drawn() {
        let borders = [0, 10, 20, 30, 40];
        let levels = [(5, 7), (6, 3), (25, 9), (26, 0)];
        assert_eq!(highest(levels.into_iter(), &borders), [7, 3, 9, 0]);
    }

    #[test]
    fn a_state_lasts_until_the_next_of_the_same_thing() {
        let mut recording = Recording::new(&["a", "b"]);
        recording.state(0, 0, "connection", "handshake");
        recording.state(5, 1, "connection", "handshake");
        recording.state(10, 0, "connection", "established");
        recording.state(12, 0, "connection", "established");
        let of = |band: &Band| (band.host, band.from, band.until);
        let bands: Vec<_> = bands(&recording, 50).iter().map(of).collect();
        assert_eq!(bands, [(0, 0, 10), (0, 10, 50), (1, 5, 50)]);
    }

    #[test]
    fn bytes_are_counted_where_they_were_sent() {
        let mut recording = Recording::new(&["a", "b"]);
        let number = recording.sent(0, 0, 1, "DATA", 1000);
        recording.messages[number].arrived_us = Some(1_000_000);
        recording.sent(1_000_000, 0, 1, "DATA", 500);
        let plot = Plot::new(&recording, 2_000_000);
        let of = |of: &str, host| {
            let mut found = plot.series.iter().filter(|one| one.of == of && one.host == host);
            found.next().unwrap().values.clone()
        };
        assert!(of("rate", 0)[0] > 0 && of("rate", 1).iter().all(|rate| *rate == 0));
        let flight = of("flight", 0);
        assert_eq!((flight[0], flight[flight.len() - 1]), (1000, 500));
    }
}
