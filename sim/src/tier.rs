//! What the tiers have in common. A tier is told by the type of its plans: how
//! one is drawn, how it is carried out, what its runs must meet now and then, and
//! what can be made smaller in it. Swarms, shrinking, planted bugs and reports
//! know no more than this of any tier.

use std::any::Any;
use std::collections::BTreeSet;
use std::fmt::Debug;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::oracle::Broken;
use crate::outcome::{Outcome, Violation};
use crate::plan::PlanError;
use crate::trace::Recording;
use crate::{Plan, t1, t2};

/// A tier, implemented by its plans.
pub trait Tier:
    Clone + Debug + PartialEq + Eq + Serialize + DeserializeOwned + Send + Sync + 'static
{
    /// Its name in reports and on the command line.
    const NAME: &'static str;
    /// Seeds of a swarm from which on a condition that was never met is a failure.
    const SEEDS_TO_MEET_ALL: u64;
    /// A condition that runs are expected to meet now and then.
    type Condition: Copy + Debug + Ord + Send + Sync + 'static;
    /// All conditions that plans drawn from seeds can meet.
    const CONDITIONS: &'static [Self::Condition];
    /// A bug that can be put into the world.
    type Bug: Copy + Debug + PartialEq + Serialize + DeserializeOwned + Send + Sync + 'static;
    /// All bugs.
    const BUGS: &'static [Self::Bug];
    /// Fields of a plan in which any smaller number makes a plan as good as before.
    const HALVED: &'static [&'static str];
    /// Fields that shrinking changes only together with what they are a part of.
    const TOGETHER: &'static [&'static str] = &[];

    /// The plan for a seed, as swarms run it.
    fn from_seed(seed: u64) -> Self;

    /// The smallest plan that is of any use.
    fn smallest(seed: u64) -> Self;

    /// The seed of everything that the plan does not say.
    fn seed(&self) -> u64;

    /// The bug of the world, if there is one.
    fn planted(&mut self) -> &mut Option<Self::Bug>;

    /// Carries the plan out; see [`run`].
    fn carry_out(&self, traced: bool) -> Outcome<Self>;

    /// Carries the plan out and takes down what a person may want to see of it.
    fn record(&self) -> (Outcome<Self>, Recording);

    /// The name of a condition in reports.
    fn name(condition: Self::Condition) -> &'static str;

    /// Some elements of a list of the plan are gone: has whatever names others of
    /// that list by their places follow them.
    fn follow(&mut self, _list: &str, _gone: Range<usize>) {}

    /// Whether all that the plan names is there, and nothing that no plan is drawn with.
    fn is_sound(&self) -> bool {
        true
    }
}

/// The conditions that runs of a tier have met.
pub type MetBy<T> = BTreeSet<<T as Tier>::Condition>;

/// Runs a plan. With `traced`, the outcome holds a line for every event. A panic
/// is a broken invariant like another.
pub fn run<T: Tier>(plan: &T, traced: bool) -> Outcome<T> {
    let carried_out = catch_unwind(AssertUnwindSafe(|| plan.carry_out(traced)));
    carried_out.unwrap_or_else(|panic| panicked(plan, panic.as_ref()))
}

/// Runs a plan and takes down what a person may want to see of it. Of a run that panics
/// there is nothing to see.
pub fn record<T: Tier>(plan: &T) -> (Outcome<T>, Recording) {
    let recorded = catch_unwind(AssertUnwindSafe(|| plan.record()));
    recorded.unwrap_or_else(|panic| (panicked(plan, panic.as_ref()), Recording::default()))
}

fn panicked<T: Tier>(plan: &T, panic: &(dyn Any + Send)) -> Outcome<T> {
    let broken = Broken { invariant: "nothing panics", detail: words(panic) };
    let violation = Some(Violation { broken, at_us: 0 });
    Outcome { seed: plan.seed(), violation, ..Outcome::default() }
}

/// The name of a planted bug in plans and reports.
pub fn bug_name(bug: &impl Serialize) -> String {
    match serde_json::to_value(bug) {
        Ok(serde_json::Value::String(name)) => name,
        _ => String::new(),
    }
}

fn words(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default()
}

/// A saved plan of any tier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AnyPlan {
    /// The core alone.
    T0(Box<Plan>),
    /// Whole endpoints.
    T1(Box<t1::Plan>),
    /// The programs themselves.
    T2(Box<t2::Plan>),
}

impl AnyPlan {
    /// Reads a plan from JSON. Its tier is what it says; T0's plans say none. What a
    /// run printed begins with its plan, so that it can be read as well.
    ///
    /// # Errors
    ///
    /// The text does not begin with a plan of that tier.
    pub fn parse(text: &str) -> Result<Self, PlanError> {
        let value: serde_json::Value = first(text)?;
        Ok(match value["tier"].as_str() {
            Some(t1::Plan::NAME) => Self::T1(Box::new(first(text)?)),
            Some(t2::Plan::NAME) => Self::T2(Box::new(first(text)?)),
            _ => Self::T0(Box::new(first(text)?)),
        })
    }
}

/// The first value of a text.
fn first<T: DeserializeOwned>(text: &str) -> Result<T, serde_json::Error> {
    T::deserialize(&mut serde_json::Deserializer::from_str(text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shrink::shrink;
    use crate::swarm::swarm;

    /// A tier whose runs panic where a plan's number is 10 or more.
    #[derive(Clone, Debug, PartialEq, Eq, Serialize, serde::Deserialize)]
    struct Counting {
        seed: u64,
        number: u64,
        others: Vec<u64>,
        planted: Option<()>,
    }

    impl Tier for Counting {
        const NAME: &'static str = "counting";
        const SEEDS_TO_MEET_ALL: u64 = 100;
        type Condition = bool;
        const CONDITIONS: &'static [bool] = &[false, true];
        type Bug = ();
        const BUGS: &'static [()] = &[];
        const HALVED: &'static [&'static str] = &["number"];

        fn from_seed(seed: u64) -> Self {
            Self { seed, number: 3 * seed, others: vec![seed; 5], planted: None }
        }

        fn smallest(seed: u64) -> Self {
            Self { seed, number: 0, others: Vec::new(), planted: None }
        }

        fn seed(&self) -> u64 {
            self.seed
        }

        fn planted(&mut self) -> &mut Option<()> {
            &mut self.planted
        }

        fn carry_out(&self, _traced: bool) -> Outcome<Self> {
            assert!(self.number < 10, "{} is too much", self.number);
            let met = MetBy::<Self>::from([self.number > 5]);
            Outcome { seed: self.seed, met, ..Outcome::default() }
        }

        fn record(&self) -> (Outcome<Self>, Recording) {
            (self.carry_out(false), Recording::default())
        }

        fn name(condition: bool) -> &'static str {
            if condition { "much" } else { "little" }
        }
    }

    #[test]
    fn any_tier_swarms_and_shrinks_and_a_panic_is_found_like_anything_else() {
        let outcome = swarm::<Counting>(0..5, 2, false);
        assert_eq!((outcome.seeds, outcome.twice, outcome.failures.len()), (5, 1, 1));
        let failure = &outcome.failures[0];
        assert_eq!((failure.seed, failure.invariant), (4, "nothing panics"));
        assert_eq!(failure.detail, "12 is too much");
        let (seen, recording) = record(&Counting::from_seed(4));
        assert_eq!(seen.violation.map(|found| found.broken.detail), Some(failure.detail.clone()));
        assert_eq!(recording.hosts.len(), 0);
        assert_eq!(outcome.missed(), [] as [&str; 0]);
        assert_eq!(swarm::<Counting>(0..2, 1, false).missed(), ["much"]);
        let small = shrink(&Counting::from_seed(90), 100).unwrap();
        assert_eq!((small.seed, small.others.len()), (90, 0));
        assert!((10..20).contains(&small.number), "{small:?}");
        assert_eq!(shrink(&Counting::from_seed(3), 100), None);
    }

    fn json(plan: &impl Serialize) -> String {
        serde_json::to_string(plan).unwrap()
    }

    #[test]
    fn a_saved_plan_is_of_the_tier_that_it_says() {
        let t0 = Plan::from_seed(3);
        let (one, two) = (t1::Plan::from_seed(3), t2::Plan::from_seed(3));
        assert_eq!(AnyPlan::parse(&json(&t0)).unwrap(), AnyPlan::T0(Box::new(t0)));
        assert_eq!(AnyPlan::parse(&json(&one)).unwrap(), AnyPlan::T1(Box::new(one)));
        assert_eq!(AnyPlan::parse(&json(&two)).unwrap(), AnyPlan::T2(Box::new(two)));
        assert!(AnyPlan::parse("{\"tier\":\"t1\"}").is_err());
    }

    #[test]
    fn what_a_run_printed_is_read_and_a_misspelt_plan_is_not() {
        let (t0, t1) = (Plan::from_seed(3), t1::Plan::from_seed(3));
        let printed = json(&t1) + "\n{\"tier\":\"t1\",\"verdict\":\"pass\"}\n";
        assert_eq!(AnyPlan::parse(&printed).unwrap(), AnyPlan::T1(Box::new(t1.clone())));
        for plan in [json(&t0), json(&t1), json(&t2::Plan::from_seed(3))] {
            let misspelt = plan.replacen('{', "{\"atus\":1,", 1);
            assert!(AnyPlan::parse(&misspelt).is_err(), "{misspelt}");
        }
        // In its parts too.
        for (plan, name) in [(json(&t0), "delay_us"), (json(&t1), "delay_us"), (json(&t1), "at_us")]
        {
            let misspelt =
                plan.replacen(&format!("\"{name}\":"), &format!("\"{name}\":0,\"x\":"), 1);
            assert_ne!(misspelt, plan);
            assert!(AnyPlan::parse(&misspelt).is_err(), "{misspelt}");
        }
    }
}
