//! What faults that overlap come to: when a host is down, and in which state the
//! links between two hosts are. How that is brought about does not live here.

use super::stage::Fault;

/// The state of the links between two hosts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each can be true by itself")]
pub(super) struct Links {
    /// Nothing passes.
    pub(super) cut: bool,
    /// Nothing passes from the first to the second.
    pub(super) cut_there: bool,
    /// Nothing passes from the second to the first.
    pub(super) cut_back: bool,
    /// What is sent waits.
    pub(super) held: bool,
}

/// What is to be done to the world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    Kill(usize),
    Start(usize),
    Terminate(usize),
    Link([usize; 2], Links),
}

/// The faults of a plan as time goes on.
pub(super) struct Faults<'p> {
    all: &'p [Fault],
    /// For each fault whether it has begun, and whether it has ended.
    begun: Vec<(bool, bool)>,
}

impl<'p> Faults<'p> {
    pub(super) fn new(all: &'p [Fault]) -> Self {
        Self { all, begun: vec![(false, false); all.len()] }
    }

    /// When the last one is over.
    pub(super) fn end_ms(&self) -> u64 {
        self.all.iter().map(|fault| fault.span().1).max().unwrap_or(0)
    }

    /// Whether all are over.
    pub(super) fn are_over(&self) -> bool {
        self.begun.iter().all(|state| *state == (true, true))
    }

    /// What begins or ends by `now`, in the order of the plan, ends first.
    pub(super) fn due(&mut self, now: u64) -> Vec<Change> {
        let mut changes = Vec::new();
        for (at, fault) in self.all.iter().enumerate() {
            if self.begun[at] == (true, false) && fault.span().1 <= now {
                self.begun[at].1 = true;
                changes.extend(self.change(fault, false));
            }
        }
        for (at, fault) in self.all.iter().enumerate() {
            if !self.begun[at].0 && fault.span().0 <= now {
                let is_moment = matches!(fault, Fault::Terminate { .. });
                changes.extend(self.change(fault, true));
                self.begun[at] = (true, is_moment);
            }
        }
        // A link's last state is the one that counts, with all that has changed.
        for change in &mut changes {
            if let Change::Link(pair, links) = change {
                *links = self.links(*pair);
            }
        }
        changes
    }

    fn change(&self, fault: &Fault, begins: bool) -> Option<Change> {
        match *fault {
            Fault::Partition { between, .. } | Fault::Hold { between, .. } => {
                Some(Change::Link(between, Links::default()))
            }
            Fault::OneWay { from, to, .. } => Some(Change::Link([from, to], Links::default())),
            Fault::Crash { host, .. } => match (self.is_down(host), begins) {
                (true, _) => None,
                (false, true) => Some(Change::Kill(host)),
                (false, false) => Some(Change::Start(host)),
            },
            Fault::Terminate { host, .. } => {
                (!self.is_down(host)).then_some(Change::Terminate(host))
            }
        }
    }

    fn active(&self) -> impl Iterator<Item = &Fault> {
        self.all
            .iter()
            .zip(&self.begun)
            .filter(|(_, state)| **state == (true, false))
            .map(|(f, _)| f)
    }

    fn is_down(&self, place: usize) -> bool {
        self.active().any(|fault| matches!(fault, Fault::Crash { host, .. } if *host == place))
    }

    fn links(&self, pair: [usize; 2]) -> Links {
        let [a, b] = pair;
        let same = |between: &[usize; 2]| *between == [a, b] || *between == [b, a];
        let mut links = Links::default();
        for fault in self.active() {
            match fault {
                Fault::Partition { between, .. } => links.cut |= same(between),
                Fault::Hold { between, .. } => links.held |= same(between),
                Fault::OneWay { from, to, .. } => {
                    links.cut_there |= (*from, *to) == (a, b);
                    links.cut_back |= (*from, *to) == (b, a);
                }
                Fault::Crash { .. } | Fault::Terminate { .. } => {}
            }
        }
        links
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_that_overlap_last_until_the_last_is_over() {
        let all = [
            Fault::Crash { host: 1, at_ms: 10, for_ms: 20 },
            Fault::Crash { host: 1, at_ms: 15, for_ms: 30 },
            Fault::Partition { between: [0, 1], at_ms: 5, for_ms: 10 },
            Fault::OneWay { from: 1, to: 0, at_ms: 10, for_ms: 10 },
            Fault::Terminate { host: 1, at_ms: 20 },
        ];
        let mut faults = Faults::new(&all);
        let cut = Links { cut: true, ..Links::default() };
        assert_eq!(faults.end_ms(), 45);
        assert_eq!(faults.due(4), []);
        assert_eq!(faults.due(5), [Change::Link([0, 1], cut)]);
        let both = Links { cut_there: true, ..cut };
        assert_eq!(faults.due(10), [Change::Kill(1), Change::Link([1, 0], both)]);
        let one = Links { cut_back: true, ..Links::default() };
        assert_eq!(faults.due(15), [Change::Link([0, 1], one)]);
        assert_eq!(faults.due(25), [Change::Link([1, 0], Links::default())]);
        assert_eq!(faults.due(40), []);
        assert!(!faults.are_over());
        assert_eq!(faults.due(45), [Change::Start(1)]);
        assert!(faults.are_over());
    }
}
