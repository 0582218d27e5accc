//! Makes a failing plan of any tier small, by delta debugging, as long as the same
//! invariant breaks. A plan is JSON: what is a list loses runs of elements, ever
//! shorter ones; sizes and times of what is left are halved; and whatever can be as
//! in the smallest plan becomes so, whole branches first. So new knobs need nothing
//! here.

use std::ops::Range;

use serde_json::Value;

use crate::tier::{Tier, run};

/// These stay as they are.
const KEPT: &[&str] = &["tier", "seed", "planted"];

/// The smallest plan found that breaks the same invariant as `plan`; nothing if
/// `plan` passes. `tries` bounds the runs that it may take.
pub fn shrink<T: Tier>(plan: &T, tries: usize) -> Option<T> {
    let invariant = run(plan, false).violation?.broken.invariant;
    let simple = serde_json::to_value(T::smallest(plan.seed())).ok()?;
    let best = serde_json::to_value(plan).ok()?;
    let fails = |plan: &T| {
        let violation = run(plan, false).violation;
        violation.is_some_and(|found| found.broken.invariant == invariant)
    };
    let mut search = Search { best, simple, fails: &fails, tries };
    loop {
        let before = search.best.clone();
        search.shorten(&mut Vec::new());
        search.halve(&mut Vec::new());
        search.simplify(&mut Vec::new());
        if search.best == before || search.tries == 0 {
            return serde_json::from_value(search.best).ok();
        }
    }
}

/// Whether one of the steps is to a field of these names.
fn is_under(path: &[Step], names: &[&str]) -> bool {
    path.iter().any(|step| matches!(step, Step::Key(key) if names.contains(&key.as_str())))
}

/// A step from a value to one in it.
#[derive(Clone, Debug)]
enum Step {
    Key(String),
    Place(usize),
}

fn at<'v>(value: &'v Value, path: &[Step]) -> Option<&'v Value> {
    path.iter().try_fold(value, |value, step| match step {
        Step::Key(key) => value.get(key),
        Step::Place(place) => value.get(place),
    })
}

fn at_mut<'v>(value: &'v mut Value, path: &[Step]) -> Option<&'v mut Value> {
    path.iter().try_fold(value, |value, step| match step {
        Step::Key(key) => value.get_mut(key),
        Step::Place(place) => value.get_mut(place),
    })
}

struct Search<'f, T> {
    best: Value,
    simple: Value,
    /// Whether a plan fails in the same way.
    fails: &'f dyn Fn(&T) -> bool,
    tries: usize,
}

impl<T: Tier> Search<'_, T> {
    /// Takes the plan in which `change` was made at `path`, if it fails in the same
    /// way.
    fn take(&mut self, path: &[Step], change: impl FnOnce(&mut Value)) -> bool {
        self.take_and(path, change, |_| ())
    }

    /// The same with a change of the plan as a whole after that.
    fn take_and(
        &mut self,
        path: &[Step],
        change: impl FnOnce(&mut Value),
        then: impl FnOnce(&mut T),
    ) -> bool {
        if self.tries == 0 {
            return false;
        }
        let mut smaller = self.best.clone();
        let Some(value) = at_mut(&mut smaller, path) else { return false };
        change(value);
        let Ok(mut plan) = serde_json::from_value::<T>(smaller) else { return false };
        then(&mut plan);
        let Ok(smaller) = serde_json::to_value(&plan) else { return false };
        if smaller == self.best || !plan.is_sound() {
            return false;
        }
        self.tries -= 1;
        let same = (self.fails)(&plan);
        if same {
            self.best = smaller;
        }
        same
    }

    /// The steps into the value at `path`.
    fn steps(&self, path: &[Step]) -> Vec<Step> {
        match at(&self.best, path) {
            Some(Value::Object(fields)) => fields
                .keys()
                .filter(|key| !KEPT.contains(&key.as_str()))
                .map(|key| Step::Key(key.clone()))
                .collect(),
            Some(Value::Array(values)) => (0..values.len()).map(Step::Place).collect(),
            _ => Vec::new(),
        }
    }

    fn each(&mut self, path: &mut Vec<Step>, mut visit: impl FnMut(&mut Self, &mut Vec<Step>)) {
        for step in self.steps(path) {
            path.push(step);
            visit(self, path);
            path.pop();
        }
    }

    /// Makes what it can as it is in the smallest plan.
    fn simplify(&mut self, path: &mut Vec<Step>) {
        if !path.is_empty() {
            let Some(simple) = at(&self.simple, path).cloned() else {
                self.leave_out(path);
                return;
            };
            let alone = is_under(&path[path.len() - 1..], T::TOGETHER);
            let there = at(&self.best, path);
            if alone || there == Some(&simple) || self.take(path, |value| *value = simple) {
                return;
            }
        }
        self.each(path, Self::simplify);
    }

    /// Leaves out a field that the smallest plan does not have.
    fn leave_out(&mut self, path: &[Step]) {
        if let Some((Step::Key(key), object)) = path.split_last() {
            self.take(object, |value| {
                value.as_object_mut().and_then(|fields| fields.remove(key));
            });
        }
    }

    /// Takes out of lists what it can.
    fn shorten(&mut self, path: &mut Vec<Step>) {
        let len = |search: &Self, path: &[Step]| {
            at(&search.best, path).and_then(Value::as_array).map_or(0, Vec::len)
        };
        let mut width = len(self, path);
        while width > 0 {
            let mut until = len(self, path);
            while until > 0 {
                let gone = until.saturating_sub(width)..until;
                until = gone.start;
                self.remove(path, gone);
            }
            width /= 2;
        }
        self.each(path, Self::shorten);
    }

    fn remove(&mut self, path: &[Step], gone: Range<usize>) {
        // Where the smallest plan has something, it is of no use without.
        let needed = at(&self.simple, path).and_then(Value::as_array);
        let all = at(&self.best, path).and_then(Value::as_array).map(Vec::len);
        if needed.is_some_and(|list| !list.is_empty()) && all == Some(gone.len()) {
            return;
        }
        let list = match path.last() {
            Some(Step::Key(key)) => key.clone(),
            _ => String::new(),
        };
        let change = |value: &mut Value| {
            if let Some(values) = value.as_array_mut() {
                values.drain(gone.clone());
            }
        };
        self.take_and(path, change, |plan| plan.follow(&list, gone.clone()));
    }

    /// Halves numbers.
    fn halve(&mut self, path: &mut Vec<Step>) {
        let is_free = is_under(path, T::HALVED);
        let number = |search: &Self, path: &[Step]| at(&search.best, path).and_then(Value::as_u64);
        if is_free {
            while let Some(many) = number(self, path).filter(|many| *many > 0) {
                if !self.take(path, |value| *value = (many / 2).into()) {
                    break;
                }
            }
        }
        self.each(path, Self::halve);
    }
}
