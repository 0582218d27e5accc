//! What a connection keeps for a later one, and when the secret before it may be
//! forgotten: once both sides have said that they stored the new one
//! (`HS-RESUMABLE`). Storing is the caller's.

use super::Event;
use super::established::Established;
use crate::error::{Error, ErrorCode};
use crate::frame::Resumable;
use crate::handshake::{Resumption, ResumptionId, Session};

/// The session's resumption secret, and who has stored it.
#[derive(Debug)]
pub(super) struct Resuming {
    kept: Resumption,
    from: Option<ResumptionId>,
    stored: bool,
    stored_by_peer: bool,
}

impl Resuming {
    pub(super) fn new(session: &Session) -> Self {
        Self {
            kept: session.resumption(),
            from: session.resumed().copied(),
            stored: false,
            stored_by_peer: false,
        }
    }

    pub(super) fn kept(&self) -> &Resumption {
        &self.kept
    }

    pub(super) fn from(&self) -> Option<ResumptionId> {
        self.from
    }

    pub(super) fn is_settled(&self) -> bool {
        self.stored && self.stored_by_peer
    }
}

impl Established {
    /// This side has stored the secret; says so to the peer.
    pub(super) fn confirm_resumption_stored(&mut self) -> Result<(), Error> {
        if self.resuming.stored {
            return Err(Error::misuse("that the secret is stored was said before"));
        }
        self.resuming.stored = true;
        self.out.control.push_back(Resumable { id: self.resuming.kept.id }.into());
        Ok(())
    }

    /// HS-RESUMABLE: the right name, and once.
    pub(super) fn on_resumable(&mut self, resumable: &Resumable) -> Result<(), Error> {
        let resuming = &mut self.resuming;
        if resuming.stored_by_peer || resumable.id != resuming.kept.id {
            let text = "the peer stored a secret that is not this session's, or twice";
            return Err(Error::peer(ErrorCode::ProtocolViolation, text));
        }
        resuming.stored_by_peer = true;
        self.out.events.push_back(Event::ResumptionStored);
        Ok(())
    }
}
