//! Which failures a plan explains. Two honest peers never accuse each other,
//! and nothing fails without something that went wrong.

use passel_proto::error::{Error, ErrorCode};

use super::{Broken, broken};
use crate::plan::{Answer, DiskError, Fault, Plan};

/// A partition that is surely outlived: its length, the delays around it and
/// two PINGs are shorter than the idle timer.
const OUTLIVED_US: u64 = 5_000_000;

/// Whether the plan explains the error.
pub(super) fn check(plan: &Plan, error: &Error) -> Result<(), Broken> {
    use ErrorCode as E;
    let fault = |is: fn(&Fault) -> bool| plan.faults.iter().any(is);
    let disk = |kinds: &[DiskError]| {
        plan.faults.iter().any(|fault| match fault {
            Fault::DiskError { error, .. } => kinds.contains(error),
            _ => false,
        })
    };
    let explained = match error.code {
        E::Cancelled => fault(|fault| matches!(fault, Fault::Cancel { .. } | Fault::Close { .. })),
        E::Declined => plan.transfers.iter().any(|transfer| transfer.answer == Answer::Reject),
        E::NoSpace => fault(|fault| matches!(fault, Fault::DiskFull { .. })),
        E::StorageFailed => disk(&[DiskError::Write, DiskError::Sync, DiskError::Commit]),
        E::NameConflict => disk(&[DiskError::CommitConflict]),
        E::SourceUnreadable => disk(&[DiskError::ReadUnreadable]),
        E::SourceChanged => {
            disk(&[DiskError::ReadChanged]) || fault(|fault| matches!(fault, Fault::Change { .. }))
        }
        E::OfferExpired => plan.transfers.iter().any(|t| t.answer == Answer::Silence),
        E::HandshakeTimeout | E::IdleTimeout => fault(|fault| {
            use Fault as F;
            matches!(fault, F::Partition { .. } | F::Crash { .. } | F::CrashAt { .. })
        }),
        E::TransportFailed => fault(|fault| {
            use Fault as F;
            let cuts = matches!(fault, F::Cut { .. } | F::CutAgain { .. } | F::Close { .. });
            cuts || matches!(fault, F::Crash { .. } | F::CrashAt { .. })
        }),
        E::ResumptionUnknown => plan.again > 0,
        // Every abort has a code, and no code accuses an honest peer.
        _ => false,
    };
    if explained {
        Ok(())
    } else {
        broken("nothing fails without a cause", format!("{error}, {:?}", error.blame))
    }
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
    harmless && !silence && !reject && partitioned < OUTLIVED_US
}
