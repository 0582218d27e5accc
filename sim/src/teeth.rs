//! How many seeds it takes to find each planted bug. A simulator that finds nothing
//! shows nothing: each of its invariants is held against a bug that breaks it.

use serde::Serialize;

use crate::plan::{Plan, Planted};
use crate::{run, swarm, t1};

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

/// Looks for a bug of T0 with at most so many seeds.
pub fn t0(bug: Planted, most: u64) -> Tooth {
    let broken = |seed| {
        let plan = Plan { planted: Some(bug), ..Plan::from_seed(seed) };
        let outcome = run(&plan, false);
        match &outcome.violation {
            Some(violation) => Some(violation.broken.invariant),
            // A world that is not repeatable is found by running it again.
            None if bug == Planted::DrawShared => {
                swarm::differs(&plan, &outcome).map(|failure| failure.invariant)
            }
            None => None,
        }
    };
    tooth("t0", bug.name(), most, broken)
}

/// Looks for a bug of T1 with at most so many seeds.
pub fn t1(bug: t1::Planted, most: u64) -> Tooth {
    let broken = |seed| {
        let plan = t1::Plan { planted: Some(bug), ..t1::Plan::from_seed(seed) };
        t1::run(&plan, false).violation.map(|violation| violation.broken.invariant)
    };
    tooth("t1", bug.name(), most, broken)
}

fn tooth(
    tier: &'static str,
    bug: String,
    most: u64,
    broken: impl Fn(u64) -> Option<&'static str>,
) -> Tooth {
    let found = (0..most).find_map(|seed| broken(seed).map(|invariant| (seed + 1, invariant)));
    let (seeds, invariant) = found.unzip();
    Tooth { tier, bug, seeds, invariant }
}

/// All bugs of both tiers, each looked for with at most so many seeds.
pub fn all(most: u64) -> Vec<Tooth> {
    let of_t0 = Planted::ALL.iter().map(|bug| t0(*bug, most));
    let of_t1 = t1::Planted::ALL.iter().map(|bug| t1(*bug, most));
    of_t0.chain(of_t1).collect()
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
