//! How many seeds it takes to find each planted bug. A simulator that finds nothing
//! shows nothing: bugs that break its invariants are put into it on purpose.

use serde::Serialize;

use crate::tier::{Tier, bug_name, run};
use crate::{Plan, swarm, t1, t2};

/// A planted bug and what it took to find it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Tooth {
    /// The tier in whose world it lies.
    pub tier: &'static str,
    /// Its name.
    pub bug: String,
    /// How many seeds from 0 were run until one failed; nothing if none did.
    pub seeds: Option<u64>,
    /// The invariant that broke.
    pub invariant: Option<&'static str>,
}

/// Looks for a bug as a swarm does, with at most so many seeds.
pub fn look<T: Tier>(bug: T::Bug, most: u64) -> Tooth {
    let broken = |seed| {
        let mut plan = T::from_seed(seed);
        *plan.planted() = Some(bug);
        let failures = swarm::failures(&plan, &run(&plan, false));
        failures.first().map(|failure| failure.invariant)
    };
    let found = (0..most).find_map(|seed| broken(seed).map(|invariant| (seed + 1, invariant)));
    let (seeds, invariant) = found.unzip();
    Tooth { tier: T::NAME, bug: bug_name(&bug), seeds, invariant }
}

/// All bugs of a tier, each looked for with at most so many seeds.
pub fn of<T: Tier>(most: u64) -> Vec<Tooth> {
    T::BUGS.iter().map(|bug| look::<T>(*bug, most)).collect()
}

/// All bugs of all tiers.
pub fn all(most: u64) -> Vec<Tooth> {
    [of::<Plan>(most), of::<t1::Plan>(most), of::<t2::Plan>(most)].concat()
}

/// The bugs as a table of Markdown.
pub fn table(teeth: &[Tooth]) -> String {
    let mut text = String::from(
        "| tier | planted bug | seeds to find | invariant |\n| --- | --- | --- | --- |\n",
    );
    for Tooth { tier, bug, seeds, invariant } in teeth {
        let seeds = seeds.map_or("not found".to_owned(), |seeds| seeds.to_string());
        let invariant = invariant.unwrap_or("");
        text.push_str(&format!("| {tier} | `{bug}` | {seeds} | {invariant} |\n"));
    }
    text
}
