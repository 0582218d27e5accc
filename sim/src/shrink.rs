//! Makes a failing plan small by delta debugging: faults first and their
//! numbers, then whole transfers, then entries, as long as the same invariant breaks.

use crate::plan::{Fault, Plan, TransferPlan};
use crate::t0::run;

/// The smallest plan found that breaks the same invariant as `plan`; nothing if
/// `plan` passes. `tries` bounds the runs that it may take.
pub fn shrink(plan: &Plan, tries: usize) -> Option<Plan> {
    let invariant = run(plan, false).violation?.broken.invariant;
    let mut search = Search { invariant, tries };
    let mut best = plan.clone();
    loop {
        let before = best.clone();
        search.faults(&mut best);
        search.numbers(&mut best);
        search.again(&mut best);
        search.transfers(&mut best);
        search.entries(&mut best);
        if best == before || search.tries == 0 {
            return Some(best);
        }
    }
}

struct Search {
    invariant: &'static str,
    tries: usize,
}

impl Search {
    /// Takes `smaller` in place of `best` if it fails in the same way.
    fn take(&mut self, best: &mut Plan, smaller: Plan) -> bool {
        if self.tries == 0 {
            return false;
        }
        self.tries -= 1;
        let violation = run(&smaller, false).violation;
        let same = violation.is_some_and(|found| found.broken.invariant == self.invariant);
        if same {
            *best = smaller;
        }
        same
    }

    /// Leaves out runs of faults, ever shorter ones.
    fn faults(&mut self, best: &mut Plan) {
        let mut width = best.faults.len();
        while width > 0 {
            let mut place = 0;
            while place < best.faults.len() {
                let mut smaller = best.clone();
                smaller.faults.drain(place..(place + width).min(best.faults.len()));
                if !self.take(best, smaller) {
                    place += width;
                }
            }
            width /= 2;
        }
    }

    /// Halves the numbers of faults that count something.
    fn numbers(&mut self, best: &mut Plan) {
        for place in 0..best.faults.len() {
            loop {
                let mut smaller = best.clone();
                let number = match &mut smaller.faults[place] {
                    Fault::DiskFull { after_bytes, .. } => after_bytes,
                    Fault::DiskError { nth, .. }
                    | Fault::CrashAt { nth, .. }
                    | Fault::Replay { nth, .. } => nth,
                    _ => break,
                };
                if *number == 0 {
                    break;
                }
                *number /= 2;
                if !self.take(best, smaller) {
                    break;
                }
            }
        }
    }

    /// Has the two sides connect less often.
    fn again(&mut self, best: &mut Plan) {
        while best.again > 0 {
            let smaller = Plan { again: best.again - 1, ..best.clone() };
            if !self.take(best, smaller) {
                return;
            }
        }
    }

    /// Leaves out transfers. Faults that name later ones follow them.
    fn transfers(&mut self, best: &mut Plan) {
        let mut place = best.transfers.len();
        while place > 0 {
            place -= 1;
            let mut smaller = best.clone();
            smaller.transfers.remove(place);
            smaller.faults.retain_mut(|fault| match fault {
                Fault::Cancel { transfer, .. }
                | Fault::Pause { transfer, .. }
                | Fault::Change { transfer, .. } => {
                    if *transfer == place {
                        return false;
                    }
                    *transfer -= usize::from(*transfer > place);
                    true
                }
                _ => true,
            });
            if !smaller.transfers.is_empty() {
                self.take(best, smaller);
            }
        }
    }

    /// Leaves out entries, and halves what is left.
    fn entries(&mut self, best: &mut Plan) {
        for transfer in 0..best.transfers.len() {
            let mut place = best.transfers[transfer].entries.len();
            while place > 0 {
                place -= 1;
                let mut smaller = best.clone();
                let entries = &mut of(&mut smaller, transfer).entries;
                entries.remove(place);
                if !entries.is_empty() && self.take(best, smaller) {
                    continue;
                }
                while let Some(size) =
                    best.transfers[transfer].entries[place].filter(|size| *size > 1)
                {
                    let mut smaller = best.clone();
                    of(&mut smaller, transfer).entries[place] = Some(size / 2);
                    if !self.take(best, smaller) {
                        break;
                    }
                }
            }
        }
    }
}

fn of(plan: &mut Plan, transfer: usize) -> &mut TransferPlan {
    &mut plan.transfers[transfer]
}
