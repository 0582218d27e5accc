//! Which failures a plan explains. Two honest peers never accuse each other,
//! and nothing fails without something that went wrong.

use passel_proto::error::{Error, ErrorCode};

use super::{Broken, broken};
use crate::plan::{Answer, DiskError, Fault, Plan, Side};

/// A partition that is surely outlived: its length, the delays around it and
/// two PINGs are shorter than the idle timer.
const OUTLIVED_US: u64 = 5_000_000;
/// The most that an offer and its answer take on their way, but for what waits before
/// them at the wire.
const ON_ITS_WAY_US: u64 = 5_000_000;

/// What failed: a transfer or an entry of it, or else the connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Of {
    /// Place of the transfer in the plan.
    pub(super) planned: usize,
    /// Who offered it.
    pub(super) from: Side,
}

/// Whether the plan explains that a transfer, or an entry of it, failed: the disk of the
/// side that stores or reads it, a person at either side, or what explains the end of the
/// connection.
pub(super) fn check_transfer(plan: &Plan, of: Of, error: &Error) -> Result<(), Broken> {
    use ErrorCode as E;
    let disk = |at: Side, kinds: &[DiskError]| {
        plan.faults.iter().any(|fault| match fault {
            Fault::DiskError { side, error, .. } => *side == at && kinds.contains(error),
            _ => false,
        })
    };
    let fault = |is: &dyn Fn(&Fault) -> bool| plan.faults.iter().any(is);
    let planned = plan.transfers.get(of.planned);
    let answers = |answer| planned.is_some_and(|planned| planned.answer == answer);
    let (sender, receiver) = (of.from, of.from.peer());
    let explained = match error.code {
        E::Cancelled => {
            let cancels = |fault: &Fault| match fault {
                Fault::Cancel { transfer, .. } => *transfer == of.planned,
                _ => false,
            };
            fault(&cancels) || check_connection(plan, error).is_ok()
        }
        E::Declined => answers(Answer::Reject),
        E::OfferExpired => {
            // An answer may also be kept from coming.
            answers(Answer::Silence) || answers_late(plan, of.planned) || is_ever_silent(plan)
        }
        E::NoSpace => {
            fault(&|fault| matches!(fault, Fault::DiskFull { side, .. } if *side == receiver))
        }
        E::StorageFailed => {
            use DiskError::{Commit, ReadChanged, ReadUnreadable, Sync, Write};
            // It reads back what it stored.
            disk(receiver, &[Write, Sync, Commit, ReadUnreadable, ReadChanged])
        }
        E::NameConflict => disk(receiver, &[DiskError::CommitConflict]),
        E::SourceUnreadable => disk(sender, &[DiskError::ReadUnreadable]),
        E::SourceChanged => {
            let changes = |fault: &Fault| match fault {
                Fault::Change { transfer, .. } => *transfer == of.planned,
                _ => false,
            };
            disk(sender, &[DiskError::ReadChanged]) || fault(&changes)
        }
        _ => return check_connection(plan, error),
    };
    say(explained, error)
}

/// Whether the plan explains that the connection ended.
pub(super) fn check_connection(plan: &Plan, error: &Error) -> Result<(), Broken> {
    use ErrorCode as E;
    use Fault as F;
    let fault = |is: fn(&Fault) -> bool| plan.faults.iter().any(is);
    let explained = match error.code {
        E::HandshakeTimeout | E::IdleTimeout => is_ever_silent(plan),
        E::TransportFailed => fault(|fault| {
            let cuts = matches!(fault, F::Cut { .. } | F::CutAgain { .. } | F::Close { .. });
            cuts || matches!(fault, F::Crash { .. } | F::CrashAt { .. })
        }),
        E::Cancelled => fault(|fault| matches!(fault, F::Close { .. })),
        E::ResumptionUnknown => plan.again > 0,
        // Every end has a code, and no code accuses an honest peer.
        _ => false,
    };
    say(explained, error)
}

/// Whether the answer to an offer may come too late.
fn answers_late(plan: &Plan, planned: usize) -> bool {
    let compares = plan.compare_us.map_or(0, |takes| takes.into_iter().max().unwrap_or(0));
    let on_its_way = ON_ITS_WAY_US + compares + waits_at_wire_us(plan);
    let last = plan.knobs.offer_expiry_us.saturating_sub(on_its_way);
    plan.transfers.get(planned).is_some_and(|planned| planned.answer_after_us >= last)
}

/// How long data waits at most that was given to the wire, and what is given to it after
/// that, on whatever channel.
fn waits_at_wire_us(plan: &Plan) -> u64 {
    plan.knobs.room.saturating_mul(1_000_000).checked_div(plan.knobs.rate).unwrap_or(0)
}

/// Whether nothing may be heard of a peer for a time.
fn is_ever_silent(plan: &Plan) -> bool {
    use Fault as F;
    let silences =
        |fault: &F| matches!(fault, F::Partition { .. } | F::Crash { .. } | F::CrashAt { .. });
    plan.faults.iter().any(silences)
}

fn say(explained: bool, error: &Error) -> Result<(), Broken> {
    if explained {
        return Ok(());
    }
    broken("nothing fails without a cause", format!("{error}, {:?}", error.blame))
}

/// Whether the transfer at this place of the plan must be completed in full.
pub(super) fn is_calm(plan: &Plan, planned: usize) -> bool {
    let silence = plan.transfers.iter().any(|t| t.answer == Answer::Silence);
    let reject = plan.transfers.get(planned).is_some_and(|t| t.answer == Answer::Reject);
    let mut partitioned = 0;
    let harmless = plan.faults.iter().all(|fault| match fault {
        Fault::Partition { for_us, .. } => {
            partitioned += for_us;
            true
        }
        Fault::SlowDisk { .. }
        | Fault::Pause { .. }
        | Fault::Update { .. }
        | Fault::Replay { .. } => true,
        Fault::Cancel { transfer, .. } | Fault::Change { transfer, .. } => *transfer != planned,
        _ => false,
    });
    let completes = !silence && !reject && !answers_late(plan, planned);
    harmless && completes && partitioned < OUTLIVED_US
}
