//! What a receiver keeps of its transfer while it runs, so that this process or a
//! later one can go on: the journal, and the secrets in it.

use std::path::Path;
use std::sync::Arc;

use passel_proto::ids::Role;
use passel_proto::manifest::Manifest;
use passel_proto::policy::Choice;
use passel_proto::storage::{Have, StorageError};
use passel_sans_io::endpoint::Endpoint;
use sha2::{Digest, Sha256};
use url::Url;

use super::again::Again;
use crate::args::RecvArgs;
use crate::code::Invitation;
use crate::exit::{Exit, Failure};
use crate::files::sink::Sink;
use crate::journal::received::{Journal, Transfer};
use crate::journal::secrets::Kept;
use crate::journal::{JournalError, StateDir};
use crate::machine::Machine;

/// A journal that this process writes.
pub(super) struct Book {
    pub(super) journal: Arc<Journal>,
    pub(super) transfer: Transfer,
}

/// What came with the invitation and goes into the journal.
pub(super) struct Origin {
    pub(super) server: Url,
    pub(super) invitation: [u8; 32],
}

impl Origin {
    pub(super) fn of(invitation: &Invitation, server: Url) -> Self {
        Self { server, invitation: hash(invitation).unwrap_or_default() }
    }
}

/// What an invitation is found by, without being kept. One without a secret of its
/// own may look like another, and finds nothing.
pub(super) fn hash(invitation: &Invitation) -> Option<[u8; 32]> {
    match invitation {
        Invitation::Code { .. } | Invitation::Link { .. } => {
            Some(Sha256::digest(invitation.to_text().as_bytes()).into())
        }
        Invitation::Bare { .. } => None,
    }
}

impl Book {
    /// Begins the journal of a transfer that is about to be accepted, and a sink
    /// that keeps it. Without a journal the transfer works all the same; then it
    /// cannot go on after a loss, which is the second result.
    pub(super) fn begin(
        state: Option<&StateDir>,
        out: &Path,
        manifest: &Arc<Manifest>,
        offer: &Offered<'_>,
    ) -> Result<(Sink, Result<Self, String>), StorageError> {
        let plain = |why: String| Ok((Sink::create(out, Arc::clone(manifest))?, Err(why)));
        let Some(state) = state else { return plain("there is no place for it".to_owned()) };
        let Some(kept) = first(offer.endpoint) else {
            return plain("the connection gives no secret for it".to_owned());
        };
        // What is taken already, or cannot be written to, is found out here too.
        let Ok(mut sink) = Sink::create_for(out, Arc::clone(manifest), offer.token) else {
            return plain("a place for unfinished files is taken".to_owned());
        };
        let transfer = Transfer {
            token: offer.token,
            server: offer.origin.server.to_string(),
            kept,
            out: std::fs::canonicalize(out).unwrap_or_else(|_| out.to_owned()),
            invitation: offer.origin.invitation,
            note: offer.note.to_owned(),
            selection: ranges(offer.choice),
            manifest: manifest.digest(),
            tops: sink.tops(),
            title: title(manifest),
            files: manifest.files(),
            bytes: manifest.total_bytes(),
            created: crate::journal::now(),
            completed: None,
        };
        match Journal::create(state, &transfer) {
            Ok(journal) => {
                let journal = Arc::new(journal);
                sink.keep(Arc::clone(&journal));
                Ok((sink, Ok(Self { journal, transfer })))
            }
            Err(error) => {
                drop(sink);
                plain(error.to_string())
            }
        }
    }

    /// The journal of an earlier process.
    pub(super) fn open(state: &StateDir, token: [u8; 16]) -> Result<Self, Failure> {
        match Journal::open(state, token) {
            Ok(Some((journal, transfer))) => Ok(Self { journal: Arc::new(journal), transfer }),
            Ok(None) => Err(nothing()),
            Err(JournalError::Busy) => Err(Failure::new(
                Exit::Usage,
                "another passel is at this transfer",
                "Wait for it, or end it.",
            )),
            Err(error) => Err(Failure::new(
                Exit::Storage,
                format!("what was received earlier cannot be read: {error}"),
                "Ask the sender to start again.",
            )),
        }
    }

    /// A sink that goes on, with what there is.
    pub(super) fn resume(
        &mut self,
        manifest: &Arc<Manifest>,
        choice: &Choice,
    ) -> Result<(Sink, Vec<Have>), StorageError> {
        let journal = Arc::clone(&self.journal);
        let (sink, have) = Sink::resume(Arc::clone(manifest), journal, &self.transfer)?;
        if self.transfer.manifest != manifest.digest() {
            self.transfer.manifest = manifest.digest();
            self.transfer.tops = sink.tops();
            self.transfer.selection = ranges(choice);
            self.write();
        }
        Ok((sink, have))
    }

    /// How to find the sender again.
    pub(super) fn again<M: Machine>(
        &self,
        machine: &M,
        args: &RecvArgs,
    ) -> Result<Again<M>, Failure> {
        let server = Url::parse(&self.transfer.server).map_err(|_| nothing())?;
        Again::new(machine, server, Role::Initiator, args.net, None)
    }

    /// A session that was resumed stands: its secret takes the place of the one
    /// before, and the sender may know (`HS-RESUME-KEEP`).
    pub(super) fn renew(&mut self, endpoint: &mut Endpoint) {
        if let Some(kept) = renewed(&self.transfer.kept, endpoint) {
            self.transfer.kept = kept;
            if self.write() {
                confirm(endpoint);
            }
        }
    }

    /// Both sides have stored it (`HS-RESUME-ONCE`).
    pub(super) fn settle(&mut self, endpoint: &Endpoint) {
        if endpoint.is_resumption_settled() && self.transfer.kept.previous.is_some() {
            self.transfer.kept = self.transfer.kept.clone().settle();
            self.write();
        }
    }

    fn write(&self) -> bool {
        let written = self.journal.write_transfer(&self.transfer);
        if let Err(error) = &written {
            tracing::warn!(%error, "the journal cannot be written");
        }
        written.is_ok()
    }
}

/// What a journal takes from an offer.
pub(super) struct Offered<'a> {
    pub(super) endpoint: &'a Endpoint,
    pub(super) token: [u8; 16],
    pub(super) note: &'a str,
    pub(super) origin: &'a Origin,
    pub(super) choice: &'a Choice,
}

/// What is kept of a session that was begun by an invitation.
pub(super) fn first(endpoint: &Endpoint) -> Option<Kept> {
    endpoint.resumption().as_ref().map(Kept::first)
}

/// What is kept after a session that was resumed.
pub(super) fn renewed(kept: &Kept, endpoint: &Endpoint) -> Option<Kept> {
    let session = endpoint.resumption()?;
    Some(kept.clone().succeed(&session, &endpoint.resumed_from()?))
}

/// Tells the other side that this one has stored its secret.
pub(super) fn confirm(endpoint: &mut Endpoint) {
    if let Err(error) = endpoint.confirm_resumption_stored(crate::clock::now()) {
        tracing::debug!(%error, "the secret was confirmed before");
    }
}

fn ranges(choice: &Choice) -> Option<Vec<(u32, u32)>> {
    let ranges = choice.selection()?;
    Some(ranges.iter().map(|range| (range.first, range.count)).collect())
}

fn title(manifest: &Manifest) -> String {
    let mut tops = manifest.iter().filter(|(_, entry)| entry.path.parent().is_none());
    let first = tops.next().map_or(String::new(), |(_, entry)| entry.path.as_str().to_owned());
    match tops.count() {
        0 => first,
        more => format!("{first} and {more} more"),
    }
}

fn nothing() -> Failure {
    Failure::new(
        Exit::Usage,
        "what was received earlier is not there any more",
        "Ask the sender to start again.",
    )
}
