//! A deterministic world in which passel runs: simulated channels and disks,
//! faults as data, invariants after every step, and replay bit for bit.
//!
//! A [`Plan`] says everything about a run; [`Plan::from_seed`] draws one, and
//! [`run`] carries it out in virtual time. The [`Outcome`] has a verdict and two
//! hashes, which are equal for equal plans on any machine, thread and build (T1 and T2
//! run on Linux: there what libraries draw from the system is drawn from the seed).
//! [`swarm::swarm`] runs many seeds, [`shrink::shrink`] makes a failing plan
//! small; both take plans of any [`Tier`].
//!
//! ```
//! use passel_sim::{Fault, Plan, Side, run};
//!
//! let mut plan = Plan::from_seed(7);
//! plan.faults.push(Fault::DiskFull { side: Side::Joiner, after_bytes: 1000 });
//! let outcome = run(&plan, false);
//! assert!(outcome.passed(), "{:?}", outcome.violation);
//! assert_eq!(outcome, run(&plan, false));
//! ```
//!
//! There are three tiers. T0 is two connections of the core, without a transport
//! below them. A plan may have them lose their connection and crash, and
//! connect [`again`](Plan::again); what must then be true is in [`model`]. What
//! a bug in channels or disks does is shown by [`Planted`]; what runs must meet
//! now and then is [`Sometimes`]. What a person sees of a run is in [`trace`]. T1,
//! in [`t1`], is two whole endpoints, or [somebody's own](t1::stage), over a simulated
//! network, which is in [`net`]; they connect [again](t1::Plan::again) as well.
//! [`path`] measures such endpoints on one path with delay, loss and a bottleneck.
//! T2, in [`t2`], is the programs themselves, on hosts that are killed and cut off.

pub mod channel;
pub mod clock;
pub mod disk;
mod draw;
pub mod hash;
mod log;
pub mod messages;
pub mod model;
pub mod net;
pub mod oracle;
mod outcome;
pub mod path;
pub mod plan;
mod readable;
pub mod report;
pub mod rng;
mod said;
pub mod shrink;
mod sometimes;
pub mod swarm;
mod t0;
pub mod t1;
pub mod t2;
pub mod teeth;
pub mod tier;
pub mod trace;
pub mod wire;
pub mod world;

pub use outcome::{COMMIT, Outcome, RunReport, Violation, divergence};
pub use plan::{
    Answer, Change, DiskError, Fault, Knobs, Plan, PlanError, Planted, Request, Side, TalkPlan,
    TransferPlan, Window,
};
pub use sometimes::Sometimes;
pub use tier::{AnyPlan, Tier, record, run};
