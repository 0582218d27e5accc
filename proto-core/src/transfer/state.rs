//! States of a transfer and what may lead from one to the next (`TR-STATES`).
//!
//! The table is the spec's; a snapshot test holds it. What a transition *does*
//! is in `outgoing` and `incoming`.

use std::fmt;

use crate::error::{Error, ErrorCode};

/// Where a transfer stands. The last four are terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TransferState {
    /// Offered and not yet answered.
    Pending,
    /// Accepted; data flows or may flow.
    Active,
    /// Either side has paused it; what is under way is still taken.
    Paused,
    /// Everything selected has been stored or has failed on its own; the
    /// receipt stands for it.
    Completed,
    /// The transfer as a whole failed.
    Failed,
    /// One of the two sides ended it.
    Cancelled,
    /// The receiver did not want it, or did not answer in time.
    Rejected,
}

/// What happens to a transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TransferEvent {
    /// The receiver accepted.
    Accept,
    /// The receiver rejected.
    Reject,
    /// The offer's time is over.
    Expire,
    /// A side paused it while it was active.
    Pause,
    /// No side has it paused any more.
    Resume,
    /// The receipt was issued or arrived.
    Receipt,
    /// Either side cancelled.
    Cancel,
    /// Storage or the peer failed for the transfer as a whole.
    Fail,
}

/// An event that is not allowed in the state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IllegalEvent {
    /// The state, which stays.
    pub state: TransferState,
    /// The event.
    pub event: TransferEvent,
}

impl fmt::Display for IllegalEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is not allowed while the transfer is {:?}", self.event, self.state)
    }
}

impl TransferState {
    /// All states.
    pub const ALL: [TransferState; 7] = [
        TransferState::Pending,
        TransferState::Active,
        TransferState::Paused,
        TransferState::Completed,
        TransferState::Failed,
        TransferState::Cancelled,
        TransferState::Rejected,
    ];

    /// Whether nothing can follow.
    pub fn is_terminal(self) -> bool {
        !matches!(self, TransferState::Pending | TransferState::Active | TransferState::Paused)
    }

    /// Whether the transfer was accepted and is not over: data may come, also of
    /// one that is paused (`TR-PAUSE-TAKEN`).
    pub(crate) fn is_open(self) -> bool {
        matches!(self, TransferState::Active | TransferState::Paused)
    }

    /// Goes to the state after `event`; a peer that makes an event come when it
    /// is not allowed breaks the protocol.
    pub(crate) fn step(&mut self, event: TransferEvent) -> Result<(), Error> {
        *self = self
            .after(event)
            .map_err(|illegal| Error::peer(ErrorCode::ProtocolViolation, illegal.to_string()))?;
        Ok(())
    }

    /// The state after `event`, or an error that leaves the state as it is.
    #[allow(clippy::match_same_arms)] // read row by row, as the spec's table
    pub fn after(self, event: TransferEvent) -> Result<Self, IllegalEvent> {
        use TransferEvent as E;
        use TransferState as S;
        match (self, event) {
            (S::Pending, E::Accept) => Ok(S::Active),
            (S::Pending, E::Reject | E::Expire) => Ok(S::Rejected),
            (S::Active, E::Pause) => Ok(S::Paused),
            (S::Paused, E::Resume) => Ok(S::Active),
            // What was under way may have been the last of it.
            (S::Active | S::Paused, E::Receipt) => Ok(S::Completed),
            (S::Pending | S::Active | S::Paused, E::Cancel) => Ok(S::Cancelled),
            (S::Pending | S::Active | S::Paused, E::Fail) => Ok(S::Failed),
            (state, event) => Err(IllegalEvent { state, event }),
        }
    }
}

impl TransferEvent {
    /// All events.
    pub const ALL: [TransferEvent; 8] = [
        TransferEvent::Accept,
        TransferEvent::Reject,
        TransferEvent::Expire,
        TransferEvent::Pause,
        TransferEvent::Resume,
        TransferEvent::Receipt,
        TransferEvent::Cancel,
        TransferEvent::Fail,
    ];
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_the_specs() {
        let mut table = String::new();
        for state in TransferState::ALL {
            for event in TransferEvent::ALL {
                let next = match state.after(event) {
                    Ok(next) => format!("{next:?}"),
                    Err(_) => "-".into(),
                };
                table.push_str(&format!(
                    "{:<10} {:<8} {next}\n",
                    format!("{state:?}"),
                    format!("{event:?}")
                ));
            }
        }
        insta::assert_snapshot!(table);
    }

    #[test]
    fn nothing_follows_a_terminal_state() {
        for state in TransferState::ALL.into_iter().filter(|state| state.is_terminal()) {
            for event in TransferEvent::ALL {
                assert!(state.after(event).is_err());
            }
        }
    }
}
