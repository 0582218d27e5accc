//! Draws a plan from a seed: every knob of the world, what is sent, and what
//! goes wrong. What a plan is stands in `plan`.

use crate::clock::Clock;
use crate::plan::{
    Answer, Change, DiskError, Fault, Knobs, Plan, Request, Side, TransferPlan, Window,
};
use crate::rng::Draw;
use crate::t0::{compare, talk};

const MS: u64 = 1000;
const SECOND: u64 = 1_000_000;

impl Plan {
    /// The plan for a seed, as swarms run it.
    pub fn from_seed(seed: u64) -> Self {
        let mut draw = Draw::new(seed, "plan");
        let mut knobs = knobs(&mut draw);
        let count = draw.pick(&[1, 1, 1, 2, 3, 4]);
        let mut transfers: Vec<TransferPlan> = (0..count).map(|_| transfer(&mut draw)).collect();
        if draw.chance(60) {
            transfers[0].answer = Answer::Silence;
            knobs.offer_expiry_us = draw.between(SECOND, 60 * SECOND);
        }
        let faults = match draw.below(10) {
            0..4 => 0,
            4..8 => 1,
            _ => draw.between(2, 4),
        };
        let faults = (0..faults).map(|_| fault(&mut draw, transfers.len() as u64)).collect();
        let mut plan = Self { knobs, transfers, faults, ..Self::smallest(seed) };
        if draw.chance(350) {
            again(&mut draw, &mut plan);
        }
        more(&mut Draw::new(seed, "more of the plan"), &mut plan);
        plan.aes = processors(seed);
        let mut draw = Draw::new(seed, "hashing");
        plan.hashing = Side::BOTH.into_iter().filter(|_| draw.chance(500)).collect();
        let mut draw = Draw::new(seed, "clocks");
        plan.clocks = [Clock::drawn(&mut draw), Clock::drawn(&mut draw)];
        talk::draw(&mut plan);
        streams(&mut plan);
        compare::draw(&mut plan);
        plan
    }

    /// The smallest plan that is of any use: one small file and no fault.
    pub fn smallest(seed: u64) -> Self {
        let knobs = Knobs {
            delay_us: 20 * MS,
            jitter_us: 0,
            reorder_permille: 0,
            loss_permille: 0,
            rate: 0,
            room: 128 * 1024,
            disk_us: 100,
            chunk_log2: 16,
            piece_log2: 14,
            offer_expiry_us: 3600 * SECOND,
        };
        let transfer = TransferPlan {
            from: Side::Inviter,
            at_us: 0,
            entries: vec![Some(1000)],
            roots: false,
            streams: false,
            answer: Answer::All,
            answer_after_us: 0,
        };
        Self {
            seed,
            knobs,
            transfers: vec![transfer],
            faults: Vec::new(),
            again: 0,
            aes: Vec::new(),
            hashing: Vec::new(),
            talks: Vec::new(),
            compare_us: None,
            clocks: [Clock::default(); 2],
            planted: None,
        }
    }
}

/// Makes streams of some transfers.
fn streams(plan: &mut Plan) {
    let mut draw = Draw::new(plan.seed, "streams");
    for transfer in &mut plan.transfers {
        if plan.again == 0 && draw.chance(200) {
            (transfer.streams, transfer.roots) = (true, false);
        }
    }
}

/// The sides whose processors have instructions for AES.
pub(crate) fn processors(seed: u64) -> Vec<Side> {
    let mut draw = Draw::new(seed, "processors");
    Side::BOTH.into_iter().filter(|_| draw.chance(700)).collect()
}

fn knobs(draw: &mut Draw) -> Knobs {
    let chunk_log2 = draw.pick(&[14u8, 14, 15, 16, 16, 17, 20]);
    // At most 64 pieces to a chunk, and no piece longer than its chunk.
    let piece_log2 = draw.between(u64::from(chunk_log2 - 6).max(10), 15).min(chunk_log2.into());
    Knobs {
        delay_us: draw.pick(&[0, 100, 5 * MS, 20 * MS, 80 * MS, 300 * MS]),
        jitter_us: draw.pick(&[0, 0, MS, 30 * MS]),
        reorder_permille: draw.pick(&[0, 0, 20, 300]),
        loss_permille: draw.pick(&[0, 0, 50]),
        rate: draw.pick(&[0, 0, 100_000, 1_000_000, 20_000_000]),
        room: draw.pick(&[36, 64, 128, 1024]) * 1024,
        disk_us: draw.pick(&[0, 50, MS, 20 * MS]),
        chunk_log2,
        piece_log2: u8::try_from(piece_log2).unwrap_or(14),
        offer_expiry_us: 3600 * SECOND,
    }
}

fn transfer(draw: &mut Draw) -> TransferPlan {
    let entries = draw.pick(&[1, 1, 2, 3, 5, 12, 40]);
    let largest = draw.pick(&[100, 1000, 20_000, 100_000, 100_000, 700_000]) / (entries / 8 + 1);
    let entry = |draw: &mut Draw| match draw.below(12) {
        0 => None,
        1 => Some(0),
        2 => Some(1 << draw.between(10, 16)), // exactly at a border
        _ => Some(draw.below(largest)),
    };
    TransferPlan {
        from: draw.pick(&[Side::Inviter, Side::Inviter, Side::Joiner]),
        at_us: draw.pick(&[0, 0, 0, 50 * MS, SECOND, 20 * SECOND]),
        entries: (0..entries).map(|_| entry(draw)).collect(),
        roots: draw.chance(300),
        streams: false,
        answer: match draw.below(20) {
            0 => Answer::Reject,
            1..4 => Answer::EverySecond,
            _ => Answer::All,
        },
        answer_after_us: draw.pick(&[0, 0, 100 * MS, 2 * SECOND, 40 * SECOND]),
    }
}

fn fault(draw: &mut Draw, transfers: u64) -> Fault {
    // Most runs are short, and a fault after the end shows nothing.
    let longest = draw.pick(&[100 * MS, 500 * MS, 2 * SECOND, 20 * SECOND]);
    let at_us = draw.below(longest);
    let side = draw.pick(&Side::BOTH);
    match draw.below(14) {
        0 | 1 => {
            let longest = draw.pick(&[SECOND, 20 * SECOND, 100 * SECOND]);
            Fault::Partition { at_us, for_us: draw.below(longest) }
        }
        2 => Fault::Cut { at_us },
        3 => {
            let notice_us = draw.chance(500).then(|| draw.below(10 * SECOND));
            Fault::Crash { side, at_us, notice_us, killed: false }
        }
        4 | 5 => {
            let most = draw.pick(&[1, 10_000, 200_000]);
            Fault::DiskFull { side, after_bytes: draw.below(most) }
        }
        6 | 7 => {
            let error = draw.pick(&[
                DiskError::ReadUnreadable,
                DiskError::ReadChanged,
                DiskError::Write,
                DiskError::Sync,
                DiskError::Commit,
                DiskError::CommitConflict,
            ]);
            let most = draw.pick(&[1, 3, 12]);
            Fault::DiskError { side, error, nth: draw.below(most) }
        }
        8 => Fault::SlowDisk {
            side,
            at_us,
            for_us: draw.below(20 * SECOND),
            request_us: draw.pick(&[10 * MS, 300 * MS, 5 * SECOND]),
        },
        9 | 10 => {
            let transfer = usize::try_from(draw.below(transfers)).unwrap_or(0);
            Fault::Cancel { side, transfer, at_us }
        }
        11 => Fault::Close { side, at_us },
        _ => {
            let transfer = usize::try_from(draw.below(transfers)).unwrap_or(0);
            Fault::Pause { side, transfer, at_us, for_us: draw.below(40 * SECOND) }
        }
    }
}

/// What befalls runs of every kind, drawn by itself: processes that are killed on
/// machines that go on, new keys, old records, and files larger than all credit.
fn more(draw: &mut Draw, plan: &mut Plan) {
    for fault in &mut plan.faults {
        if let Fault::Crash { killed, .. } | Fault::CrashAt { killed, .. } = fault {
            *killed = draw.chance(350);
        }
    }
    if draw.chance(120) {
        let longest = draw.pick(&[300 * MS, SECOND, 5 * SECOND]);
        let at_us = draw.below(longest);
        let side = draw.pick(&Side::BOTH);
        plan.faults.push(Fault::Update { side, at_us });
        if draw.chance(400) {
            plan.faults.push(Fault::Update { side: side.peer(), at_us });
        }
    }
    if draw.chance(150) {
        let side = plan.transfers[0].from.peer();
        for _ in 0..draw.between(1, 3) {
            let most = draw.pick(&[1, 3, 10, 60]);
            let (nth, after_us) = (draw.below(most), draw.pick(&[0, 0, MS, 100 * MS, 2 * SECOND]));
            plan.faults.push(Fault::Replay { side, nth, after_us });
        }
    }
    if draw.chance(8) && plan.again == 0 {
        plan.transfers.truncate(1);
        plan.faults.retain(|fault| {
            !matches!(fault, Fault::Cancel { transfer, .. } | Fault::Pause { transfer, .. }
                if *transfer > 0)
        });
        plan.transfers[0].entries = vec![Some(draw.between(4_500_000, 6_000_000))];
        plan.knobs.chunk_log2 = plan.knobs.chunk_log2.max(16);
        plan.knobs.piece_log2 = 14;
    }
}

/// Has the two sides connect again, and things go wrong that make them.
fn again(draw: &mut Draw, plan: &mut Plan) {
    plan.again = u32::try_from(draw.between(1, 4)).unwrap_or(1);
    if draw.chance(500) {
        // Small chunks, so that there are many.
        (plan.knobs.chunk_log2, plan.knobs.piece_log2) = (14, draw.pick(&[10, 12]));
    }
    if draw.chance(350) {
        changed_in_the_midst(draw, plan);
    }
    for _ in 0..draw.between(1, 2 * u64::from(plan.again)) {
        let fault = fault_again(draw, plan);
        plan.faults.push(fault);
    }
}

/// A file of which some chunks are durable, or all, is another one without a word
/// when the transfer goes on.
fn changed_in_the_midst(draw: &mut Draw, plan: &mut Plan) {
    plan.knobs.rate = draw.pick(&[1_000_000, 1_000_000, 0]);
    let transfer = &mut plan.transfers[0];
    let side = transfer.from.peer();
    transfer.roots = false;
    if transfer.answer != Answer::Silence {
        transfer.answer = Answer::All;
    }
    transfer.entries.truncate(8);
    transfer.entries[0] = Some(draw.between(100_000, 600_000));
    let (request, nth) = match draw.below(3) {
        0 => (Request::Commit, 0),
        1 => (Request::Sync, draw.between(0, 2)),
        _ => (Request::Write, draw.between(4, 20)),
    };
    let notice_us = Some(draw.below(SECOND));
    let window = Window::After;
    let killed = false;
    plan.faults.push(Fault::CrashAt { side, request, nth, window, notice_us, killed });
    let how = Change::Bytes;
    plan.faults.push(Fault::Change { transfer: 0, entry: 0, how, connection: 1 });
    if draw.chance(500) {
        let request = draw.pick(&[Request::Read, Request::Sync]);
        let nth = draw.between(1, 8);
        plan.faults.push(Fault::CrashAt { side, request, nth, window, notice_us, killed });
    }
}

fn fault_again(draw: &mut Draw, plan: &Plan) -> Fault {
    let place = usize::try_from(draw.below(plan.transfers.len() as u64)).unwrap_or(0);
    let transfer = &plan.transfers[place];
    let (sender, receiver) = (transfer.from, transfer.from.peer());
    match draw.below(12) {
        0..6 => {
            let receivers = [Request::Write, Request::Sync, Request::Commit];
            let request = match draw.below(8) {
                0..5 => draw.pick(&receivers),
                5 => Request::Secret,
                6 => Request::Read,
                _ => draw.pick(&[Request::Check, Request::Release, Request::Discard]),
            };
            let side = match request {
                Request::Secret => draw.pick(&Side::BOTH),
                Request::Read if draw.chance(700) => sender,
                _ => receiver,
            };
            let most = draw.pick(&[1, 3, 10, 30]);
            let notice_us = draw.chance(800).then(|| draw.below(SECOND));
            let window = draw.pick(&[Window::Before, Window::Midst, Window::After]);
            let (nth, killed) = (draw.below(most), false);
            Fault::CrashAt { side, request, nth, window, notice_us, killed }
        }
        6 => Fault::Cut { at_us: draw.below(5 * SECOND) },
        7 | 8 => {
            let connection = u32::try_from(draw.between(1, plan.again.into())).unwrap_or(1);
            let longest = draw.pick(&[100 * MS, 500 * MS, 2 * SECOND]);
            Fault::CutAgain { connection, after_us: draw.below(longest) }
        }
        9 => Fault::DiskFull { side: receiver, after_bytes: draw.below(200_000) },
        _ => {
            let longest = (0..transfer.entries.len()).max_by_key(|&entry| transfer.entries[entry]);
            let how = draw.pick(&[Change::Bytes, Change::Bytes, Change::Entry]);
            let connection = u32::try_from(draw.between(1, plan.again.into())).unwrap_or(1);
            Fault::Change { transfer: place, entry: longest.unwrap_or(0), how, connection }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_survives_json_and_depends_on_its_seed_alone() {
        for seed in 0..200 {
            let plan = Plan::from_seed(seed);
            assert_eq!(plan, Plan::from_seed(seed));
            assert_eq!(Plan::parse(&plan.to_json().unwrap()).unwrap(), plan);
        }
        assert_ne!(Plan::from_seed(1).knobs, Plan::from_seed(2).knobs);
    }

    #[test]
    fn sizes_that_are_drawn_are_allowed() {
        for seed in 0..500 {
            let knobs = Plan::from_seed(seed).knobs;
            let pieces = 1 << (knobs.chunk_log2 - knobs.piece_log2);
            assert!((1..=64).contains(&pieces), "{knobs:?}");
            assert!((10..=15).contains(&knobs.piece_log2), "{knobs:?}");
        }
    }
}
