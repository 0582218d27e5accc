//! The wait for two people in the mode without a shared secret: until this side's
//! user has said that both screens show the same, nothing of a transfer is sent
//! or shown (`HS-SAS-GATE`).

use std::time::Instant;

use super::established::Established;
use crate::error::{Error, ErrorCode};
use crate::frame::Frame;

/// News that may wait for the comparison (`HS-SAS-HELD`): a message each in the worst
/// case, and all that honest offers make.
const MAX_HELD: usize = 8192;

/// How far the comparison is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    /// Another mode: the peers had a secret.
    NotNeeded,
    /// The user is being asked.
    Awaited,
    /// The user said that they are equal.
    Equal,
    /// The user said that they differ.
    Differs,
}

impl Comparison {
    /// Whether the session may be used for anything.
    pub(super) fn is_settled(self) -> bool {
        matches!(self, Comparison::NotNeeded | Comparison::Equal)
    }
}

impl Established {
    /// The user's word on what both screens show.
    pub(super) fn confirm_sas(&mut self, now: Instant, matches: bool) -> Result<(), Error> {
        if self.comparison != Comparison::Awaited || self.is_closing() {
            return Err(Error::misuse("no comparison is awaited"));
        }
        if matches {
            self.comparison = Comparison::Equal;
        } else {
            self.comparison = Comparison::Differs;
            // HS-SAS-MISMATCH
            let text = "the two screens show different words: somebody is in between";
            self.fail(now, Error::peer(ErrorCode::SasMismatch, text));
        }
        Ok(())
    }

    /// The next frame for `control`. Before the comparison only what keeps the
    /// connection alive or ends it, and what its keys need; the rest waits (`HS-SAS-GATE`).
    pub(super) fn next_control(&mut self) -> Option<Frame> {
        if self.comparison.is_settled() {
            return self.out.control.pop_front();
        }
        let may_go = |frame: &Frame| {
            use Frame::{Close, KeyUpdate, KeyUpdateAnswer, Ping};
            matches!(frame, Ping(_) | Close(_) | KeyUpdate(_) | KeyUpdateAnswer(_))
        };
        let place = self.out.control.iter().position(may_go)?;
        self.out.control.remove(place)
    }

    /// HS-SAS-HELD: a peer that offers and cancels while the user looks at the
    /// words does not fill this side's memory.
    pub(super) fn holds_too_much(&self) -> bool {
        !self.comparison.is_settled() && self.out.events.len() > MAX_HELD
    }

    /// Whether news of transfers may be told.
    pub(super) fn may_tell(&self) -> bool {
        self.comparison.is_settled() || self.is_over()
    }
}
