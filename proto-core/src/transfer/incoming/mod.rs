//! A transfer as its receiver sees it.
//!
//! The manifest comes in pages and is checked as it comes; then the caller
//! decides. Pieces are joined to chunks (`chunk`), chunks are verified, written
//! and made durable (`storing`), and files get their final names when all of
//! them is durable. What lives here: the offer, the answer, and the end.

mod chunk;
mod file;
mod journal;
mod repair;
mod storing;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use self::chunk::OpenChunks;
use self::file::ReceiveFile;
use self::repair::Rereads;
use self::storing::Storing;
use super::outgoing::totals;
use super::pause::Pauses;
use super::selection::Selected;
use super::statement::{Statement, Statements};
use super::{
    Completion, Outbox, Progress, ReceiptKey, ReceiveCredit, TransferEvent, TransferState,
    cancel_frame, receipt, told_by_peer, wire_text,
};
use crate::connection::Event;
use crate::error::{Error, ErrorCode};
use crate::frame::{
    Accept, Body, Cancel, Complete, EntryRange, FailedFile, FileFailed, MAX_ACCEPT_RANGES,
    MAX_LISTED_FAILURES, ManifestPage, Offer, Receipt, Reject, Selection,
};
use crate::ids::{FileIndex, TransferId};
use crate::limits::TRANSFER_CREDIT;
use crate::manifest::{Manifest, ManifestBuilder};
use crate::ranges::RangeSet;
use crate::storage::{Have, StorageRequest};

#[derive(Debug)]
pub(crate) struct Incoming {
    id: TransferId,
    offer: Offer,
    /// Pages so far, until the manifest is whole.
    pages: Option<ManifestBuilder>,
    manifest: Option<Arc<Manifest>>,
    state: TransferState,
    pauses: Pauses,
    selected: Selected,
    statements: Option<Statements>,
    complete: Option<Complete>,
    credit: ReceiveCredit,
    open: OpenChunks,
    files: BTreeMap<FileIndex, ReceiveFile>,
    /// Entries that failed, with their codes; bounded by the manifest.
    failed: BTreeMap<FileIndex, ErrorCode>,
    storing: Storing,
    /// Most bytes that are taken of a stream.
    max_stream: u64,
    /// Whether storage compares chunks with their leaves.
    storage_checks: bool,
    rereads: Rereads,
    /// Files that have their final names since an earlier connection (`RS-STORED`).
    stored: RangeSet,
    progress: Progress,
}

impl Incoming {
    /// Takes an OFFER. `max_stream` bounds files whose length is not known, in
    /// bytes, and `storage_checks` says who compares chunks with their leaves. The
    /// offer's expiry is kept by the connection.
    pub(crate) fn new(offer: Offer, max_stream: u64, storage_checks: bool) -> Result<Self, Error> {
        if offer.hash != 1 {
            return Err(Error::new(
                crate::error::Blame::Incompatible,
                ErrorCode::UnsupportedSuite,
                "the offer uses a hash that this version does not know",
            ));
        }
        Ok(Self {
            id: offer.transfer,
            open: OpenChunks::new(offer.chunk_log2, offer.piece_log2),
            pages: Some(ManifestBuilder::new()),
            manifest: None,
            state: TransferState::Pending,
            pauses: Pauses::default(),
            selected: Selected::default(),
            statements: None,
            complete: None,
            credit: ReceiveCredit::new(TRANSFER_CREDIT as u64, TRANSFER_CREDIT as u64),
            files: BTreeMap::new(),
            failed: BTreeMap::new(),
            storing: Storing::default(),
            max_stream,
            storage_checks,
            rereads: Rereads::default(),
            stored: RangeSet::new(),
            progress: Progress::default(),
            offer,
        })
    }

    pub(crate) fn state(&self) -> TransferState {
        self.state
    }

    pub(crate) fn offer(&self) -> &Offer {
        &self.offer
    }

    /// The manifest, once it is whole.
    pub(crate) fn manifest(&self) -> Option<&Arc<Manifest>> {
        self.manifest.as_ref()
    }

    pub(crate) fn progress(&self) -> Progress {
        self.progress
    }

    pub(crate) fn credit(&mut self) -> &mut ReceiveCredit {
        &mut self.credit
    }

    /// Bytes that the manifest takes so far, as it was encoded.
    pub(crate) fn manifest_bytes(&self) -> usize {
        let coming = self.pages.as_ref().map_or(0, ManifestBuilder::encoded_len);
        coming + self.manifest.as_ref().map_or(0, |manifest| manifest.encoded_len())
    }

    /// Takes the next page (`TR-MANIFEST-PAGE`).
    pub(crate) fn on_page(&mut self, page: &ManifestPage, out: &mut Outbox) -> Result<(), Error> {
        let invalid = |text: &'static str| Error::peer(ErrorCode::ManifestInvalid, text);
        let Some(pages) = &mut self.pages else {
            return Err(invalid("a page comes after the manifest was whole"));
        };
        let whole = pages.len().checked_add(page.count);
        if page.first != pages.len() || whole.is_none_or(|len| len > self.offer.entries) {
            return Err(invalid("a page is not where the manifest goes on"));
        }
        pages
            .push_page(&page.entries, page.count)
            .map_err(crate::manifest::ManifestError::of_peer)?;
        if pages.len() < self.offer.entries {
            return Ok(());
        }
        let pages = self.pages.take().unwrap_or_default();
        let manifest = pages.finish().map_err(crate::manifest::ManifestError::of_peer)?;
        // TR-OFFER-TRUE: what the OFFER said must be what the pages add up to.
        if manifest.digest() != self.offer.digest || manifest.total_bytes() != self.offer.bytes {
            return Err(invalid("the manifest is not the one that was offered"));
        }
        self.manifest = Some(Arc::new(manifest));
        out.events.push_back(Event::Offered { transfer: self.id });
        Ok(())
    }

    /// The caller wants all entries, or those in `ranges`, and has some of them
    /// since an earlier connection.
    pub(crate) fn accept(
        &mut self,
        ranges: Option<Vec<EntryRange>>,
        have: &[Have],
        out: &mut Outbox,
    ) -> Result<(), Error> {
        let Some(manifest) = &self.manifest else {
            return Err(Error::misuse("an offer can be accepted once its manifest is whole"));
        };
        if self.state != TransferState::Pending {
            return Err(Error::misuse("the offer is answered"));
        }
        let mut selected = Selected::default();
        let selections = match ranges {
            None => vec![Selection::All],
            Some(ranges) if ranges.is_empty() => {
                return Err(Error::misuse("nothing is selected; reject the offer instead"));
            }
            Some(ranges) => ranges
                .chunks(MAX_ACCEPT_RANGES)
                .map(|some| Selection::Ranges(some.to_vec()))
                .collect(),
        };
        let misuse = "the selection is not of this offer's entries, ascending and apart";
        let last = selections.len() - 1;
        let mut answers = Vec::with_capacity(selections.len());
        for (place, selection) in selections.into_iter().enumerate() {
            selected.extend(&selection, manifest.len()).map_err(|_| Error::misuse(misuse))?;
            let accept = Accept { transfer: self.id, more: place < last, selection };
            accept.check().map_err(|_| Error::misuse(misuse))?;
            answers.push(accept.into());
        }
        self.progress = totals(manifest, &selected);
        self.statements = Some(Statements::new(manifest, &selected));
        self.selected = selected;
        let there = self.take_up(have)?;
        self.state.step(TransferEvent::Accept)?;
        out.control.extend(there);
        out.control.extend(answers);
        out.events.push_back(Event::Accepted {
            transfer: self.id,
            files: self.progress.files_total,
            bytes: self.progress.bytes_total,
        });
        Ok(())
    }

    /// The caller does not want the offer, or did not answer in time.
    pub(crate) fn reject(
        &mut self,
        error: Error,
        expired: bool,
        out: &mut Outbox,
    ) -> Result<(), Error> {
        self.state
            .step(if expired { TransferEvent::Expire } else { TransferEvent::Reject })
            .map_err(|_| Error::misuse("the offer is answered"))?;
        out.control.push_back(
            Reject { transfer: self.id, code: error.code.to_wire(), text: wire_text(&error) }
                .into(),
        );
        out.events.push_back(Event::Ended { transfer: self.id, error, kept: false });
        Ok(())
    }

    /// The sender gave one file up.
    pub(crate) fn on_file_failed(
        &mut self,
        frame: &FileFailed,
        now: Instant,
        out: &mut Outbox,
    ) -> Result<(), Error> {
        let code = ErrorCode::from_wire(frame.code);
        self.state_once(frame.file, Statement::Failed { code })?;
        if !self.failed.contains_key(&frame.file) {
            self.give_up(frame.file, told_by_peer(frame.code, &frame.text), out);
        }
        self.settle(now, out);
        Ok(())
    }

    /// Notes the one statement that the sender makes on a file (`TR-STATE-ONCE`).
    fn state_once(&mut self, file: FileIndex, statement: Statement) -> Result<(), Error> {
        let violation = |text: &'static str| Error::peer(ErrorCode::ProtocolViolation, text);
        let (Some(statements), Some(manifest)) = (&mut self.statements, &self.manifest) else {
            return Err(violation("data came before the offer was accepted"));
        };
        let is_file = manifest.kind(file).is_some_and(|kind| !kind.is_directory());
        if !is_file || !self.selected.contains(file) {
            return Err(violation("data came for an entry that was not accepted"));
        }
        if statements.is_made(file) {
            return Err(violation("a second statement on the same file"));
        }
        statements.make(manifest, &self.selected, file, statement);
        Ok(())
    }

    /// Gives one file up: what there is of it is removed, others go on.
    fn give_up(&mut self, file: FileIndex, error: Error, out: &mut Outbox) {
        let length = self.files.get(&file).and_then(ReceiveFile::size);
        self.forget_file(file, out);
        self.failed.insert(file, error.code);
        let kind = self.kind(file);
        let is_file = kind.as_ref().is_some_and(|kind| !kind.is_directory());
        let size = kind.and_then(|kind| kind.size());
        if is_file && size.is_none() {
            self.progress.fail_stream(length);
        } else {
            self.progress.fail(size);
        }
        out.events.push_back(Event::FileFailed { transfer: self.id, file, error });
    }

    /// Gives one file up for a reason of this side, and tells the sender.
    fn fail_file(&mut self, file: FileIndex, error: Error, out: &mut Outbox) {
        if self.failed.contains_key(&file) {
            return;
        }
        out.control.push_back(
            FileFailed {
                transfer: self.id,
                file,
                code: error.code.to_wire(),
                text: wire_text(&error),
            }
            .into(),
        );
        self.give_up(file, error, out);
    }

    /// The sender has made a statement on every file.
    pub(crate) fn on_complete(
        &mut self,
        complete: &Complete,
        now: Instant,
        out: &mut Outbox,
    ) -> Result<(), Error> {
        if !self.state.is_open() || self.complete.is_some() {
            return Err(Error::peer(ErrorCode::ProtocolViolation, "a COMPLETE came out of turn"));
        }
        self.complete = Some(*complete);
        self.settle(now, out);
        Ok(())
    }

    /// Everything is stored and durable: says so, once (`TR-RECEIPT-FIELDS`). ACKs and
    /// FILE_FAILEDs were queued before (`TR-RECEIPT-ORDER`).
    pub(crate) fn issue_receipt(
        &mut self,
        key: &ReceiptKey,
        out: &mut Outbox,
    ) -> Result<(), Error> {
        let digest = self.statements.as_ref().and_then(Statements::digest);
        let (Some(digest), Some(complete)) = (digest, self.complete) else {
            return Err(Error::misuse("a receipt was due before the transfer was complete"));
        };
        if digest != complete.statements {
            // TR-STATEMENTS-CHECK
            return Err(Error::peer(
                ErrorCode::ProtocolViolation,
                "the COMPLETE does not fit what was sent",
            ));
        }
        let listed = self.failed.iter().take(MAX_LISTED_FAILURES);
        let mut receipt = Receipt {
            transfer: self.id,
            delivered: self.progress.files_done,
            failed: u32::try_from(self.failed.len()).unwrap_or(u32::MAX),
            listed: listed.map(|(&file, code)| FailedFile { file, code: code.to_wire() }).collect(),
            statements: digest,
            mac: [0; 32],
        };
        receipt::sign(key.key.expose(), key.role, &mut receipt)?;
        self.state.step(TransferEvent::Receipt)?;
        out.events.push_back(Event::Completed {
            transfer: self.id,
            completion: Completion::of(&receipt, self.progress),
        });
        out.control.push_back(receipt.into());
        self.let_go(Ending::Completed, out);
        Ok(())
    }

    /// One side pauses the transfer (`TR-PAUSE`).
    pub(crate) fn pause(&mut self, by_peer: bool, out: &mut Outbox) -> Result<(), Error> {
        self.pauses.pause(&mut self.state, by_peer)?;
        out.events.push_back(Event::Paused { transfer: self.id, by_peer });
        Ok(())
    }

    /// One side resumes what it paused.
    pub(crate) fn resume(&mut self, by_peer: bool, out: &mut Outbox) -> Result<(), Error> {
        self.pauses.resume(&mut self.state, by_peer)?;
        out.events.push_back(Event::Resumed { transfer: self.id, by_peer });
        Ok(())
    }

    /// The peer ended the transfer.
    pub(crate) fn on_cancel(&mut self, cancel: &Cancel, out: &mut Outbox) -> Result<(), Error> {
        let error = told_by_peer(cancel.code, &cancel.text);
        self.end(TransferEvent::Cancel, error, Ending::Discarded, out)
    }

    /// This side ends the transfer.
    pub(crate) fn cancel(&mut self, error: Error, out: &mut Outbox) -> Result<(), Error> {
        self.end_and_tell(TransferEvent::Cancel, error, Ending::Discarded, out)
    }

    /// Storage failed for the transfer as a whole. What is durable may be of use
    /// once it works again (`RS-KEEP-FULL`).
    pub(crate) fn fail(&mut self, error: Error, out: &mut Outbox) -> Result<(), Error> {
        self.end_and_tell(TransferEvent::Fail, error, Ending::Kept, out)
    }

    fn end_and_tell(
        &mut self,
        event: TransferEvent,
        error: Error,
        ending: Ending,
        out: &mut Outbox,
    ) -> Result<(), Error> {
        let frame = cancel_frame(self.id, &error);
        self.end(event, error, ending, out)?;
        out.control.push_back(frame.into());
        Ok(())
    }

    fn end(
        &mut self,
        event: TransferEvent,
        error: Error,
        ending: Ending,
        out: &mut Outbox,
    ) -> Result<(), Error> {
        let kept = ending == Ending::Kept && self.state.is_open();
        self.state.step(event)?;
        out.events.push_back(Event::Ended { transfer: self.id, error, kept });
        self.let_go(if kept { Ending::Kept } else { Ending::Discarded }, out);
        Ok(())
    }

    /// The connection is over, and with it this end of the transfer.
    pub(crate) fn abandon(&mut self, error: Error, keep: bool, out: &mut Outbox) {
        let kept = keep && self.state.is_open();
        out.events.push_back(Event::Ended { transfer: self.id, error, kept });
        self.let_go(if kept { Ending::Kept } else { Ending::Discarded }, out);
    }

    fn let_go(&mut self, ending: Ending, out: &mut Outbox) {
        self.files.clear();
        self.open.clear();
        self.storing = Storing::default();
        self.rereads = Rereads::default();
        let transfer = self.id;
        out.storage.push_back(match ending {
            Ending::Completed => StorageRequest::Release { transfer, completed: true },
            Ending::Kept => StorageRequest::Release { transfer, completed: false },
            Ending::Discarded => StorageRequest::Discard { transfer, file: None },
        });
    }
}

/// What becomes of what was stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    /// All of it was asked for, and has its final name.
    Completed,
    /// It stays for a later connection.
    Kept,
    /// What has no final name is removed.
    Discarded,
}
