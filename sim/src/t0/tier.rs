//! T0 as one of the tiers.

use std::ops::Range;

use super::{Watch, carried_out};
use crate::outcome::Outcome;
use crate::plan::{Fault, Plan, Planted};
use crate::sometimes::Sometimes;
use crate::tier::Tier;
use crate::trace::Recording;

impl Tier for Plan {
    const NAME: &'static str = "t0";
    const SEEDS_TO_MEET_ALL: u64 = 1000;
    type Condition = Sometimes;
    const CONDITIONS: &'static [Sometimes] = Sometimes::ALL;
    type Bug = Planted;
    const BUGS: &'static [Planted] = Planted::ALL;
    const HALVED: &'static [&'static str] = &["entries", "after_bytes", "nth", "again"];

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

    fn carry_out(&self, traced: bool) -> Outcome<Self> {
        carried_out(self, Watch::new(traced)).0
    }

    fn record(&self) -> (Outcome<Self>, Recording) {
        carried_out(self, Watch::recording(self))
    }

    fn name(condition: Sometimes) -> &'static str {
        condition.name()
    }

    /// Faults that name later transfers follow them.
    fn follow(&mut self, list: &str, gone: Range<usize>) {
        if list != "transfers" {
            return;
        }
        self.faults.retain_mut(|fault| match fault {
            Fault::Cancel { transfer, .. }
            | Fault::Pause { transfer, .. }
            | Fault::Change { transfer, .. } => {
                let is_left = !gone.contains(transfer);
                if *transfer >= gone.end {
                    *transfer -= gone.len();
                }
                is_left
            }
            _ => true,
        });
    }
}
