//! Makes a failing plan of T1 small. A plan is JSON: whatever in it can be as in
//! the smallest plan becomes so, whole branches first; what is a list loses what it
//! can, and sizes and times of what is left are halved. So new knobs need nothing
//! here.

use serde_json::Value;

use super::{Plan, run};

/// Numbers under these names may become any smaller ones. A world of other numbers
/// might not be one in which a transfer must succeed.
const HALVED: &[&str] = &["transfers", "outages"];
/// These stay as they are.
const KEPT: &[&str] = &["tier", "seed", "planted"];

/// The smallest plan found that breaks the same invariant as `plan`; nothing if
/// `plan` passes. `tries` bounds the runs that it may take.
pub fn shrink(plan: &Plan, tries: usize) -> Option<Plan> {
    let invariant = run(plan, false).violation?.broken.invariant;
    let simple = serde_json::to_value(Plan::smallest(plan.seed)).ok()?;
    let best = serde_json::to_value(plan).ok()?;
    let mut search = Search { best, simple, invariant, tries };
    loop {
        let before = search.best.clone();
        search.simplify(&mut Vec::new());
        search.shorten(&mut Vec::new());
        search.halve(&mut Vec::new());
        if search.best == before || search.tries == 0 {
            return serde_json::from_value(search.best).ok();
        }
    }
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

struct Search {
    best: Value,
    simple: Value,
    invariant: &'static str,
    tries: usize,
}

impl Search {
    /// Takes the plan in which `change` was made at `path`, if it fails in the same
    /// way.
    fn take(&mut self, path: &[Step], change: impl FnOnce(&mut Value)) -> bool {
        if self.tries == 0 {
            return false;
        }
        let mut smaller = self.best.clone();
        let Some(value) = at_mut(&mut smaller, path) else { return false };
        change(value);
        if smaller == self.best {
            return false;
        }
        let Ok(plan) = serde_json::from_value::<Plan>(smaller.clone()) else { return false };
        self.tries -= 1;
        let violation = run(&plan, false).violation;
        let same = violation.is_some_and(|found| found.broken.invariant == self.invariant);
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
                .filter(|key| !(path.is_empty() && KEPT.contains(&key.as_str())))
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
            let Some(simple) = at(&self.simple, path).cloned() else { return };
            // Hosts must go on having a family of addresses in common.
            let alone = matches!(path.last(), Some(Step::Key(key)) if key == "addresses");
            let there = at(&self.best, path);
            if alone || there == Some(&simple) || self.take(path, |value| *value = simple) {
                return;
            }
        }
        self.each(path, Self::simplify);
    }

    /// Takes out of lists what it can.
    fn shorten(&mut self, path: &mut Vec<Step>) {
        let len = |search: &Self, path: &[Step]| {
            at(&search.best, path).and_then(Value::as_array).map_or(0, Vec::len)
        };
        let mut place = len(self, path);
        while place > 0 {
            place -= 1;
            self.take(path, |value| {
                if let Some(values) = value.as_array_mut() {
                    values.remove(place);
                }
            });
        }
        self.each(path, Self::shorten);
    }

    /// Halves numbers.
    fn halve(&mut self, path: &mut Vec<Step>) {
        let is_free =
            matches!(path.first(), Some(Step::Key(key)) if HALVED.contains(&key.as_str()));
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
