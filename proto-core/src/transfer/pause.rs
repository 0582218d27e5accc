//! Pauses of a transfer (`TR-PAUSE`). Each side's pause is its own: the transfer
//! is paused while either side wants it to be (`TR-PAUSE-EACH`).

use super::TransferEvent;
use super::state::TransferState;
use crate::error::{Error, ErrorCode};

/// Who paused a transfer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Pauses {
    here: bool,
    there: bool,
}

impl Pauses {
    /// One side pauses.
    pub(crate) fn pause(&mut self, state: &mut TransferState, by_peer: bool) -> Result<(), Error> {
        if *self.of(by_peer) {
            return Err(twice());
        }
        if *state != TransferState::Paused {
            state.step(TransferEvent::Pause)?;
        }
        *self.of(by_peer) = true;
        Ok(())
    }

    /// One side resumes what it paused.
    pub(crate) fn resume(&mut self, state: &mut TransferState, by_peer: bool) -> Result<(), Error> {
        if !*self.of(by_peer) {
            return Err(twice());
        }
        *self.of(by_peer) = false;
        if *self == Self::default() {
            state.step(TransferEvent::Resume)?;
        }
        Ok(())
    }

    fn of(&mut self, by_peer: bool) -> &mut bool {
        if by_peer { &mut self.there } else { &mut self.here }
    }
}

/// TR-PAUSE-ONCE
fn twice() -> Error {
    Error::peer(ErrorCode::ProtocolViolation, "a pause, or its end, came twice")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// TR-PAUSE-EACH, TR-PAUSE-ONCE
    #[test]
    fn a_transfer_goes_on_when_both_sides_want_it_to() {
        let (mut pauses, mut state) = (Pauses::default(), TransferState::Active);
        pauses.pause(&mut state, true).unwrap();
        assert!(pauses.pause(&mut state, true).is_err(), "twice by the same side");
        pauses.pause(&mut state, false).unwrap();
        pauses.resume(&mut state, true).unwrap();
        assert_eq!(state, TransferState::Paused);
        assert!(pauses.resume(&mut state, true).is_err(), "twice by the same side");
        pauses.resume(&mut state, false).unwrap();
        assert_eq!(state, TransferState::Active);
    }

    #[test]
    fn only_what_is_active_can_be_paused() {
        for mut state in TransferState::ALL {
            let paused = Pauses::default().pause(&mut state, true);
            let open = matches!(state, TransferState::Active | TransferState::Paused);
            assert_eq!(paused.is_ok(), open, "{state:?}");
        }
    }
}
