//! Sequence numbers of SCTP that wrap in the midst of a transfer. The first one is
//! drawn deep inside a library, one of 2^32, so that no swarm would ever meet the end
//! of the numbers. But what the library draws comes from a seed here, and seeds with
//! which it lies shortly before the end can be searched for, once.

use std::cell::Cell;

use chacha20::ChaCha12Rng;
use chacha20::rand_core::{Rng, SeedableRng};

use super::plan::{Plan, TransferPlan};
use crate::plan::Side;
use crate::rng::Draw;

/// Seeds of what libraries draw, and the side whose first number on lane 0 is less than
/// `NEAR` before the end. They hold for the libraries of now; a test says when they do
/// not any more, and `passel-sim wraps` finds others.
const SEEDS: &[(u64, Side)] =
    &[(3_319_753, Side::Inviter), (5_438_872, Side::Joiner), (10_607_445, Side::Joiner)];
/// How near the end: a third of what `LENGTH` takes.
const NEAR: u32 = 900;
/// Bytes of a file that reaches beyond the end.
const LENGTH: u64 = 3_000_000;

thread_local! {
    static WRAPPED: Cell<bool> = const { Cell::new(false) };
}

/// Whether numbers have wrapped on this thread, which is asked once.
pub(super) fn has_wrapped() -> bool {
    WRAPPED.take()
}

/// Watches the sequence numbers of what one association sends.
#[derive(Debug, Default)]
pub(super) struct Sequence {
    newest: Option<u32>,
}

impl Sequence {
    /// Takes note of a number.
    pub(super) fn sent(&mut self, number: u32) {
        let newest = self.newest.replace(number);
        if newest.is_some_and(|newest| newest > u32::MAX - (1 << 16) && number < 1 << 16) {
            WRAPPED.set(true);
        }
    }
}

/// Gives a few plans a seed with which numbers wrap, and a file that is long enough.
pub(super) fn draw(plan: &mut Plan) {
    let mut draw = Draw::new(plan.seed, "wrap of t1");
    if draw.chance(10) {
        wrapping(plan, draw.pick(SEEDS));
    }
}

fn wrapping(plan: &mut Plan, (seed, from): (u64, Side)) {
    plan.entropy = Some(seed);
    plan.lanes = 1;
    plan.dead_lanes.clear();
    plan.transfers = vec![TransferPlan { from, at_us: 0, files: vec![LENGTH], streams: false }];
}

/// Smallest plans in which numbers wrap.
pub fn plans() -> impl Iterator<Item = Plan> {
    SEEDS.iter().enumerate().map(|(place, seed)| {
        let mut plan = Plan::smallest(place as u64);
        wrapping(&mut plan, *seed);
        plan
    })
}

/// Seeds below `end`, from `first` on, with which numbers wrap, and whose.
pub fn search(first: u64, end: u64) -> impl Iterator<Item = (u64, Side)> {
    (first..end).filter_map(|seed| near_the_end(seed).map(|side| (seed, side)))
}

/// The side whose first number is near the end, if one's is. This is what the libraries
/// do with what a thread's seed gives: each thread has a generator, ChaCha12, whose seed
/// comes behind `BEFORE` other words, and of which lane 0 of each side takes one word for
/// its first number.
fn near_the_end(seed: u64) -> Option<Side> {
    const BEFORE: usize = 3;
    const PLACES: [usize; 2] = [9, 19];
    let mut key = [0; 32];
    passel_sim_entropy::with_seed(seed, || {
        let drawn = std::iter::from_fn(passel_sim_entropy::bits).skip(BEFORE);
        for (part, word) in key.chunks_mut(8).zip(drawn) {
            part.copy_from_slice(&word.to_le_bytes());
        }
    });
    let mut generator = ChaCha12Rng::from_seed(key);
    let words: [u32; PLACES[1] + 1] = std::array::from_fn(|_| generator.next_u32());
    let is_near = |side: &Side| words[PLACES[side.place()]] > u32::MAX - NEAR;
    Side::BOTH.into_iter().find(is_near)
}
