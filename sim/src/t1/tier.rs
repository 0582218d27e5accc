//! T1 as one of the tiers.

use std::ops::Range;

use super::watch::Watch;
use super::{Condition, Outcome, Plan, Planted, on_own_thread};
use crate::net::LinePlan;
use crate::tier::Tier;
use crate::trace::Recording;

/// The place of a gateway that is gone.
const NOWHERE: usize = usize::MAX;

impl Tier for Plan {
    const NAME: &'static str = "t1";
    const SEEDS_TO_MEET_ALL: u64 = 5000;
    type Condition = Condition;
    const CONDITIONS: &'static [Condition] = Condition::ALL;
    type Bug = Planted;
    const BUGS: &'static [Planted] = Planted::ALL;
    /// A world of other numbers might not be one in which a transfer must succeed.
    const HALVED: &'static [&'static str] = &["transfers", "outages", "upsets", "roams", "deaths"];
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

    /// Whoever stands behind a gateway stays there, and is nowhere without it.
    fn follow(&mut self, list: &str, gone: Range<usize>) {
        if list != "gateways" {
            return;
        }
        let moved = |place: &mut usize| {
            if gone.contains(place) {
                *place = NOWHERE;
            } else if *place >= gone.end {
                *place -= gone.len();
            }
        };
        let hosts = self.hosts.iter_mut().filter_map(|host| host.behind.as_mut());
        let gateways = self.gateways.iter_mut().filter_map(|gateway| gateway.behind.as_mut());
        let upsets = self.upsets.iter_mut().map(|upset| &mut upset.gateway);
        hosts.chain(gateways).chain(upsets).for_each(moved);
        self.upsets.retain(|upset| upset.gateway != NOWHERE);
    }

    fn is_sound(&self) -> bool {
        let hosts = self.hosts.iter().filter_map(|host| host.behind);
        let gateways = self.gateways.iter().filter_map(|gateway| gateway.behind);
        let mut lines = self.lines();
        hosts.chain(gateways).all(|place| place < self.gateways.len()) && lines.all(carries)
    }
}

/// Whether a line has room for a datagram.
fn carries(line: &LinePlan) -> bool {
    line.rate == 0 || line.queue >= line.mtu as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_stands_behind_a_gateway_stays_there() {
        let seeds = (0..1000).map(Plan::from_seed);
        let mut plan = seeds.into_iter().find(|plan| plan.gateways.len() == 3).unwrap();
        assert!(plan.is_sound());
        let before = plan.hosts.clone().map(|host| host.behind);
        assert_eq!((before, plan.gateways[1].behind), ([Some(0), Some(1)], Some(2)));
        plan.gateways.remove(0);
        plan.follow("gateways", 0..1);
        assert_eq!((plan.hosts[1].behind, plan.gateways[0].behind), (Some(0), Some(1)));
        assert!(!plan.is_sound(), "one host has no gateway any more");
    }

    #[test]
    fn a_line_with_a_rate_has_room_for_a_datagram() {
        let mut plan = Plan::from_seed(1);
        assert!(plan.is_sound());
        plan.hosts[1].down.rate = 1_000;
        plan.hosts[1].down.queue = 0;
        assert!(!plan.is_sound());
        plan.hosts[1].down.rate = 0;
        assert!(plan.is_sound());
    }
}
