//! T1 as one of the tiers.

use super::watch::Watch;
use super::{Condition, Outcome, Plan, Planted, on_own_thread};
use crate::tier::Tier;
use crate::trace::Recording;

impl Tier for Plan {
    const NAME: &'static str = "t1";
    const SEEDS_TO_MEET_ALL: u64 = 1000;
    type Condition = Condition;
    const CONDITIONS: &'static [Condition] = Condition::ALL;
    type Bug = Planted;
    const BUGS: &'static [Planted] = Planted::ALL;
    /// A world of other numbers might not be one in which a transfer must succeed.
    const HALVED: &'static [&'static str] = &["transfers", "outages"];
    /// Hosts must go on having a family of addresses in common.
    const TOGETHER: &'static [&'static str] = &["addresses"];

    fn from_seed(seed: u64) -> Self {
        Plan::from_seed(seed)
    }

    fn smallest(seed: u64) -> Self {
        Plan::smallest(seed)
    }

    fn seed(&self) -> u64 {
        self.seed
    }

    fn planted(&mut self) -> &mut Option<Planted> {
        &mut self.planted
    }

    fn carry_out(&self, traced: bool) -> Outcome {
        on_own_thread(self, || Watch::new(traced)).0
    }

    fn record(&self) -> (Outcome, Recording) {
        on_own_thread(self, || Watch::recording(self))
    }

    fn name(condition: Condition) -> &'static str {
        condition.name()
    }
}
