//! T2 as one of the tiers.

use super::stage::on_own_thread;
use super::{Condition, Outcome, Plan, Planted, on_this_thread};
use crate::tier::Tier;
use crate::trace::Recording;

impl Tier for Plan {
    const NAME: &'static str = "t2";
    const SEEDS_TO_MEET_ALL: u64 = 400;
    type Condition = Condition;
    const CONDITIONS: &'static [Condition] = Condition::ALL;
    type Bug = Planted;
    const BUGS: &'static [Planted] = Planted::ALL;
    const HALVED: &'static [&'static str] = &["files", "at_ms", "for_ms"];

    fn from_seed(seed: u64) -> Self {
        Plan::from_seed(seed)
    }

    fn smallest(seed: u64) -> Self {
        Plan::smallest(seed)
    }

    fn seed(&self) -> u64 {
        self.stage.seed
    }

    fn planted(&mut self) -> &mut Option<Planted> {
        &mut self.planted
    }

    fn carry_out(&self, traced: bool) -> Outcome {
        on_own_thread(self.stage.seed, || on_this_thread(self, traced)).0
    }

    fn record(&self) -> (Outcome, Recording) {
        let mut recorded = on_own_thread(self.stage.seed, || on_this_thread(self, true));
        recorded.0.trace.clear();
        recorded
    }

    fn name(condition: Condition) -> &'static str {
        condition.name()
    }
}
