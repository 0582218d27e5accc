//! One direction between two hosts: four channels over one wire. Says when a
//! message arrives, or that it never does, and how much room is left. Messages
//! themselves pass through the run's queue and not through here.

use passel_proto::ids::Channel;

use crate::plan::{Fault, Knobs, Plan};
use crate::rng::Draw;

/// What a reliable message that was lost, or stayed behind others, waits for
/// at least: the time until it is sent again.
const LATE_US: u64 = 30_000;

/// The wire in one direction.
#[derive(Debug)]
pub struct Link {
    knobs: Knobs,
    /// When partitions begin and end.
    partitions: Vec<(u64, u64)>,
    draw: Draw,
    /// When the wire has carried what was given to it.
    free_at: u64,
    /// When the newest message of each channel arrives.
    last: [u64; 4],
    in_flight: [u64; 4],
}

impl Link {
    /// The wire of a plan, in the direction that `purpose` names.
    pub fn new(plan: &Plan, purpose: &str) -> Self {
        let partition = |fault: &Fault| match fault {
            Fault::Partition { at_us, for_us } => Some((*at_us, at_us.saturating_add(*for_us))),
            _ => None,
        };
        let mut partitions: Vec<_> = plan.faults.iter().filter_map(partition).collect();
        partitions.sort_unstable();
        Self {
            knobs: plan.knobs.clone(),
            partitions,
            draw: Draw::new(plan.seed, purpose),
            free_at: 0,
            last: [0; 4],
            in_flight: [0; 4],
        }
    }

    /// Bytes that the channel takes now.
    pub fn room(&self, channel: Channel) -> usize {
        let used = self.in_flight[usize::from(channel.id())];
        usize::try_from(self.knobs.room.saturating_sub(used)).unwrap_or(usize::MAX)
    }

    /// Takes a message of `len` bytes at `now`. When it arrives, or nothing if
    /// it is lost, which happens on `unreliable` alone.
    pub fn send(&mut self, now: u64, channel: Channel, len: usize) -> Option<u64> {
        let place = usize::from(channel.id());
        let len = len as u64;
        let on_wire = (len * 1_000_000).checked_div(self.knobs.rate).unwrap_or(0);
        self.free_at = self.free_at.max(now).saturating_add(on_wire);
        let mut at =
            self.free_at + self.knobs.delay_us + self.draw.between(0, self.knobs.jitter_us);
        let reliable = channel != Channel::Unreliable;
        if !reliable && self.draw.chance(self.knobs.loss_permille) {
            return None;
        }
        if !channel.is_ordered() && self.draw.chance(self.knobs.reorder_permille) {
            at += self.draw.between(1, LATE_US);
        }
        for &(begin, end) in &self.partitions {
            if now < end && at > begin {
                if !reliable {
                    return None;
                }
                at = at.max(end + LATE_US + self.knobs.delay_us);
            }
        }
        if channel.is_ordered() {
            at = at.max(self.last[place]);
        }
        self.last[place] = at;
        self.in_flight[place] += len;
        Some(at)
    }

    /// A message of `len` bytes has arrived and takes no more room.
    pub fn arrived(&mut self, channel: Channel, len: usize) {
        let used = &mut self.in_flight[usize::from(channel.id())];
        *used = used.saturating_sub(len as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(change: impl FnOnce(&mut Plan)) -> Link {
        let mut plan = Plan::smallest(3);
        plan.knobs.jitter_us = 10_000;
        change(&mut plan);
        Link::new(&plan, "test")
    }

    #[test]
    fn ordered_channels_keep_their_order_and_others_do_not() {
        let mut link = link(|plan| plan.knobs.reorder_permille = 500);
        let mut arrivals =
            |channel| (0..100).map(|now| link.send(now, channel, 10).unwrap()).collect::<Vec<_>>();
        assert!(arrivals(Channel::Control).is_sorted());
        assert!(arrivals(Channel::Reliable).is_sorted());
        assert!(!arrivals(Channel::File).is_sorted());
    }

    #[test]
    fn loss_is_on_unreliable_alone() {
        let mut link = link(|plan| plan.knobs.loss_permille = 500);
        let mut lost =
            |channel| (0..100).filter(|&now| link.send(now, channel, 10).is_none()).count();
        assert_eq!(lost(Channel::Control) + lost(Channel::Reliable) + lost(Channel::File), 0);
        assert!((20..80).contains(&lost(Channel::Unreliable)));
    }

    #[test]
    fn a_partition_holds_back_what_is_reliable_and_loses_what_is_not() {
        let mut link =
            link(|plan| plan.faults.push(Fault::Partition { at_us: 50_000, for_us: 1_000_000 }));
        assert!(link.send(0, Channel::File, 10).unwrap() < 50_000, "arrives before it");
        assert!(link.send(49_000, Channel::Control, 10).unwrap() > 1_050_000);
        assert_eq!(link.send(60_000, Channel::Unreliable, 10), None);
        assert!(link.send(1_050_000, Channel::File, 10).unwrap() < 1_090_000);
    }

    #[test]
    fn room_shrinks_with_what_is_under_way_and_comes_back() {
        let mut link = link(|plan| plan.knobs.room = 1000);
        link.send(0, Channel::File, 600).unwrap();
        assert_eq!((link.room(Channel::File), link.room(Channel::Control)), (400, 1000));
        link.arrived(Channel::File, 600);
        assert_eq!(link.room(Channel::File), 1000);
    }

    #[test]
    fn the_rate_bounds_how_fast_messages_arrive() {
        let mut link = link(|plan| (plan.knobs.rate, plan.knobs.jitter_us) = (1_000_000, 0));
        let first = link.send(0, Channel::File, 1000).unwrap();
        let second = link.send(0, Channel::File, 1000).unwrap();
        assert_eq!((first, second - first), (21_000, 1000));
    }
}
