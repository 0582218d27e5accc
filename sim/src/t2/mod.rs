//! Tier T2: the tokio programs themselves, `passel serve`, `passel send` and
//! `passel recv`, under `turmoil`: hosts are cut off from each other, programs
//! are killed and started again. The commands are those of the shipped program,
//! over a [machine](passel::machine::Machine) whose sockets are turmoil's; files
//! are real, in a temporary directory.
//!
//! # What is the same for equal plans
//!
//! The order of all events and their times, to the microsecond, and every byte
//! of every datagram: [`Outcome::semantic_hash`] and [`Outcome::wire_hash`]. It
//! takes a thread for each run, on which the system's random numbers come from
//! the seed; programs that wait for several things in a fixed order (`biased`
//! in tokio's `select!`), since tokio's own choice depends on what the process
//! did before; and storage without a thread. What TCP carries is not hashed:
//! HTTP's answers hold the date. The calendar is the real one; it decides only
//! when things that were kept are too old, after hours or days.
//!
//! # What is not simulated
//!
//! Disks never fail here and forget nothing: that is T0's. Turmoil's network has
//! no bandwidth and repeats nothing that TCP loses, and a crash is noticed at
//! the other end of a TCP connection. Losses and NATs are T1's.

mod disk;
mod draw;
mod faults;
mod log;
mod machine;
mod people;
mod picture;
mod plan;
mod planted;
mod sometimes;
pub mod stage;
mod tier;
mod witness;

use std::sync::Arc;

pub use self::plan::{Plan, RECEIVER, RENDEZVOUS, SENDER, Tier};
pub use self::planted::Planted;
pub use self::sometimes::Condition;
pub use self::stage::{Fault, Stage};
pub use crate::tier::{record, run};

use self::people::Scene;
use self::stage::{Host, Played, Running, Seat, play};
use self::witness::Witness;
use crate::outcome::{self, Violation};
use crate::trace::Recording;

/// What a run came to.
pub type Outcome = outcome::Outcome<Plan>;

fn on_this_thread(plan: &Plan, traced: bool) -> (Outcome, Recording) {
    let witness = match Witness::new(plan) {
        Ok(witness) => Arc::new(witness),
        Err(error) => {
            let broken = crate::oracle::Broken {
                invariant: "the plan can be run",
                detail: format!("a temporary directory: {error}"),
            };
            let violation = Some(Violation { broken, at_us: 0 });
            let outcome = Outcome { seed: plan.stage.seed, violation, ..Outcome::default() };
            return (outcome, Recording::default());
        }
    };
    let scene = Arc::new(Scene { plan: plan.clone(), witness: Arc::clone(&witness) });
    let host = |place: usize, name, program: fn(Arc<Scene>, Seat) -> Running| {
        let scene = Arc::clone(&scene);
        let program = Box::new(move |seat| program(Arc::clone(&scene), seat));
        Host { name, program, disk: Some(witness.place(place)) }
    };
    let hosts = vec![
        host(RENDEZVOUS, "rendezvous", people::serving),
        host(SENDER, "sender", people::sending),
        host(RECEIVER, "receiver", people::receiving),
    ];
    let played = play(&plan.stage, hosts, traced, &mut |now| witness.check(now));
    let Played { broken, virtual_ms, .. } = played;
    let broken = broken.or_else(|| witness.check_end().err());
    let virtual_us = virtual_ms.saturating_mul(1000);
    let outcome = Outcome {
        seed: plan.stage.seed,
        violation: broken.map(|broken| Violation { broken, at_us: virtual_us }),
        semantic_hash: played.semantic_hash,
        wire_hash: played.wire_hash,
        virtual_us,
        steps: played.events,
        met: witness.met(),
        trace: played.trace,
    };
    (outcome, picture::told(played.recording))
}
