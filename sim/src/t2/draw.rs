//! Draws a plan of T2 from a seed. What a plan is stands in `plan`. Whatever is
//! drawn, both sides must come to an end once the faults are over.

use super::plan::{Plan, RECEIVER, RENDEZVOUS, SENDER, Tier};
use super::stage::{Fault, Stage};
use crate::rng::Draw;

/// Time within which everybody must be done: the longest silence that a side
/// bears with its server, and all attempts to connect again with their waits.
const BOUND_MS: u64 = 900_000;
/// Time that it takes to meet and to connect, more or less.
const SETUP_MS: u64 = 1_500;

impl Plan {
    /// The plan for a seed, as swarms run it.
    pub fn from_seed(seed: u64) -> Self {
        let mut draw = Draw::new(seed, "plan of t2");
        let files = draw.pick(&[1, 1, 1, 3, 8]);
        let largest = draw.pick(&[2_000, 100_000, 400_000]) / (files / 3 + 1);
        let files: Vec<u64> = (0..files)
            .map(|_| if draw.chance(80) { 0 } else { draw.between(1, largest) })
            .collect();
        let bytes: u64 = files.iter().sum();
        // One that takes about so many seconds.
        let seconds = draw.pick(&[0, 2, 4, 8]);
        let limit = bytes.checked_div(seconds).map_or(0, |rate| rate.max(2_000));
        let count = draw.pick(&[0, 1, 1, 1, 2, 2, 3]);
        let within = SETUP_MS + 1_200 * seconds;
        let faults = (0..count).map(|_| fault(&mut draw, within)).collect();
        let least = draw.pick(&[1, 5, 20]);
        Self {
            tier: Tier::T2,
            stage: Stage {
                seed,
                v6: draw.chance(250),
                latency_ms: (least, least + draw.pick(&[0, 5, 40])),
                faults,
                bound_ms: BOUND_MS,
            },
            files,
            limit,
            keep: draw.chance(700),
            code: draw.chance(300),
            silence: draw.pick(&[3, 5, 10]),
            attempts: draw.pick(&[2, 5]),
            lanes: draw.pick(&[1, 1, 4, 32]),
            planted: None,
        }
    }

    /// The smallest plan that is of any use: one small file, and all is well.
    pub fn smallest(seed: u64) -> Self {
        Self {
            tier: Tier::T2,
            stage: Stage {
                seed,
                v6: false,
                latency_ms: (5, 5),
                faults: Vec::new(),
                bound_ms: BOUND_MS,
            },
            files: vec![1000],
            limit: 0,
            keep: false,
            code: false,
            silence: 5,
            attempts: 2,
            lanes: 1,
            planted: None,
        }
    }
}

/// A fault that begins `within` so many milliseconds.
fn fault(draw: &mut Draw, within: u64) -> Fault {
    let at_ms = draw.below(within);
    let longest = draw.pick(&[300, 3_000, 12_000]);
    let for_ms = draw.between(20, longest);
    let pairs =
        [[SENDER, RECEIVER], [SENDER, RECEIVER], [SENDER, RENDEZVOUS], [RECEIVER, RENDEZVOUS]];
    let between = draw.pick(&pairs);
    match draw.below(10) {
        0..2 => Fault::Partition { between, at_ms, for_ms },
        2 => {
            let [from, to] = if draw.chance(500) { between } else { [between[1], between[0]] };
            Fault::OneWay { from, to, at_ms, for_ms }
        }
        3 => Fault::Hold { between, at_ms, for_ms },
        4..8 => {
            let host = draw.pick(&[RENDEZVOUS, SENDER, SENDER, RECEIVER, RECEIVER]);
            Fault::Crash { host, at_ms, for_ms }
        }
        _ => Fault::Terminate { host: draw.pick(&[SENDER, RECEIVER, RENDEZVOUS]), at_ms },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_survives_json_and_depends_on_its_seed_alone() {
        for seed in 0..100 {
            let plan = Plan::from_seed(seed);
            assert_eq!(plan, Plan::from_seed(seed));
            assert_eq!(Plan::parse(&plan.to_json().unwrap()).unwrap(), plan);
        }
        assert_ne!(Plan::from_seed(1).files, Plan::from_seed(2).files);
    }
}
