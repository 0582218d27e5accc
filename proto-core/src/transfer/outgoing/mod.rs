//! A transfer as its sender sees it.
//!
//! Files are read in the order of the manifest, a bounded way ahead
//! (`reading`), and sent piece by piece while credit and room last (`sending`).
//! A file is let go when all its chunks are acknowledged. Of a stream, which
//! cannot be read twice, what was sent is kept meanwhile (`stream`). What the
//! receiver has since an earlier connection is not sent, but compared (`resume`).
//! What may be lost with a lane is sent over another (`lanes`).
//! What lives here: the offer, the frames that answer it, and the end.

mod lanes;
mod reading;
mod resume;
mod sending;
mod stream;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use self::lanes::OnLanes;
use self::reading::{Purpose, ReadAhead, Reading};
use self::resume::{Asking, Claimed, Claims};
use self::stream::Kept;
use super::pause::Pauses;
use super::selection::Selected;
use super::statement::{Statement, Statements, next_file};
use super::{
    Completion, Outbox, Progress, ReceiptKey, SendCredit, TransferEvent, TransferState,
    cancel_frame, receipt, told_by_peer, wire_text,
};
use crate::connection::Event;
use crate::error::{Blame, Error, ErrorCode};
use crate::frame::{
    Accept, Ack, Cancel, Complete, FileFailed, Frame, ManifestPage, Nack, Offer, Receipt,
};
use crate::ids::{FileIndex, Token, TransferId};
use crate::limits::{
    MAX_ACK_GAPS_COUNT, MAX_CHUNK_SENDS_COUNT, MAX_NACKED_CHUNKS_COUNT, TRANSFER_CREDIT,
};
use crate::manifest::Manifest;
use crate::ranges::RangeSet;
use crate::storage::StorageRequest;
use crate::subtrees::Subtrees;
use crate::tree::{Hash, leaf_hash};

/// Bytes of entries in one page: small enough not to delay other control frames.
const PAGE_BYTES: usize = 16 * 1024;

/// Chunk and piece sizes of an offer, as powers of two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sizes {
    pub(crate) chunk_log2: u8,
    pub(crate) piece_log2: u8,
}

#[derive(Debug)]
pub(crate) struct Outgoing {
    id: TransferId,
    manifest: Arc<Manifest>,
    sizes: Sizes,
    token: Token,
    state: TransferState,
    pauses: Pauses,
    /// The first entry of the next page; `None` when all pages are out.
    next_page: Option<u32>,
    selected: Selected,
    /// What the receiver says it has, of files that are not begun yet.
    claims: Claims,
    asking: Asking,
    statements: Option<Statements>,
    complete_sent: bool,
    credit: SendCredit,
    read_ahead: ReadAhead,
    /// Chunks in memory, in the order in which they will be sent.
    loaded: VecDeque<LoadedChunk>,
    /// What is partly sent, and what was sent over further lanes.
    lanes: OnLanes,
    /// Files that were begun and are not wholly acknowledged.
    files: BTreeMap<FileIndex, SendFile>,
    /// Files that were given up, by either side.
    failed: RangeSet,
    /// Lengths of the streams that were sent in full.
    streamed: BTreeMap<FileIndex, u64>,
    progress: Progress,
}

/// A chunk in memory, partly sent.
#[derive(Debug)]
struct LoadedChunk {
    file: FileIndex,
    chunk: u64,
    data: Vec<u8>,
    /// Bytes that have been sent.
    sent: usize,
    leaf: [u8; 32],
    /// The file's length and root, on its last chunk.
    end: Option<(u64, [u8; 32])>,
}

/// A file under way.
#[derive(Debug)]
struct SendFile {
    /// Its length; `None` while the end of a stream was not read.
    size: Option<u64>,
    /// What was sent of it, if it is a stream.
    kept: Option<Kept>,
    /// Whether FILE_END was sent.
    ended: bool,
    tree: Subtrees,
    /// What the receiver has of it since an earlier connection.
    claimed: Claimed,
    /// Chunks whose last piece has been sent, or that the receiver has.
    sent: RangeSet,
    acked: RangeSet,
    /// How often chunks were sent that had to be sent again.
    sends: BTreeMap<u64, usize>,
}

impl SendFile {
    /// Whether the receiver has the chunk, and is not to have it once more.
    fn is_acked(&self, chunk: u64) -> bool {
        self.acked.contains(chunk) && !self.claimed.sends_again(chunk)
    }

    fn acked_bytes(&self, chunk_size: u64) -> u64 {
        let bytes = self.acked.len().saturating_mul(chunk_size);
        // The last chunk may be short. It is sent when the length is known.
        let Some(size) = self.size else { return bytes };
        let chunks = size.div_ceil(chunk_size);
        let last_acked = chunks > 0 && self.acked.contains(chunks - 1);
        let short =
            if last_acked { chunks.saturating_mul(chunk_size).saturating_sub(size) } else { 0 };
        bytes.saturating_sub(short)
    }

    /// Whether all of it, and FILE_END, was sent and acknowledged.
    fn is_done(&self, chunk_size: u64) -> bool {
        let chunks = self.size.map(|size| size.div_ceil(chunk_size));
        self.ended && chunks == Some(self.acked.len()) && !self.claimed.is_in_repair()
    }

    /// The length and root, once all of it has been read.
    fn end(&self, chunk_size: u64) -> Option<(u64, Hash)> {
        let size = self.size?;
        Some((size, self.tree.root(size.div_ceil(chunk_size))?))
    }
}

impl Outgoing {
    /// A new offer, whose OFFER frame is left in the outbox.
    pub(crate) fn offer(
        id: TransferId,
        manifest: Arc<Manifest>,
        sizes: Sizes,
        note: String,
        token: Token,
        out: &mut Outbox,
    ) -> Self {
        out.control.push_back(
            Offer {
                transfer: id,
                entries: manifest.len(),
                bytes: manifest.total_bytes(),
                digest: manifest.digest(),
                chunk_log2: sizes.chunk_log2,
                piece_log2: sizes.piece_log2,
                hash: 1,
                token,
                note,
            }
            .into(),
        );
        Self {
            id,
            manifest,
            sizes,
            token,
            state: TransferState::Pending,
            pauses: Pauses::default(),
            next_page: Some(0),
            selected: Selected::default(),
            claims: Claims::default(),
            asking: Asking::default(),
            statements: None,
            complete_sent: false,
            // FC-CREDIT-INITIAL
            credit: SendCredit::new(TRANSFER_CREDIT as u64),
            read_ahead: ReadAhead::default(),
            loaded: VecDeque::new(),
            lanes: OnLanes::default(),
            files: BTreeMap::new(),
            failed: RangeSet::new(),
            streamed: BTreeMap::new(),
            progress: Progress::default(),
        }
    }

    pub(crate) fn state(&self) -> TransferState {
        self.state
    }

    pub(crate) fn manifest(&self) -> &Arc<Manifest> {
        &self.manifest
    }

    pub(crate) fn token(&self) -> Token {
        self.token
    }

    pub(crate) fn progress(&self) -> Progress {
        self.progress
    }

    fn chunk_size(&self) -> u64 {
        1 << self.sizes.chunk_log2
    }

    /// The next page of the manifest, if any is left.
    pub(crate) fn next_page(&mut self) -> Option<Frame> {
        let page = self.manifest.page(self.next_page?, PAGE_BYTES)?;
        let frame = ManifestPage {
            transfer: self.id,
            first: page.first,
            count: page.count,
            entries: page.bytes,
        };
        self.next_page = (!page.last).then_some(page.first + page.count);
        Some(frame.into())
    }

    pub(crate) fn on_accept(&mut self, accept: &Accept, out: &mut Outbox) -> Result<(), Error> {
        if self.state != TransferState::Pending || self.next_page.is_some() {
            return Err(Error::peer(ErrorCode::ProtocolViolation, "an ACCEPT came out of turn"));
        }
        self.selected.extend(&accept.selection, self.manifest.len())?;
        if accept.more {
            return Ok(());
        }
        if self.selected.is_empty() {
            // TR-ACCEPT-SOME
            return Err(Error::peer(ErrorCode::ProtocolViolation, "an ACCEPT selects nothing"));
        }
        self.state.step(TransferEvent::Accept)?;
        self.progress = totals(&self.manifest, &self.selected);
        self.check_claims()?;
        self.read_ahead.next_file = next_file(&self.manifest, &self.selected, 0);
        let statements = Statements::new(&self.manifest, &self.selected);
        self.statements = Some(statements);
        out.events.push_back(Event::Accepted {
            transfer: self.id,
            files: self.progress.files_total,
            bytes: self.progress.bytes_total,
        });
        self.advance(out);
        Ok(())
    }

    /// The receiver said no, or said nothing in time. The transfer is over.
    pub(crate) fn on_reject(
        &mut self,
        error: Error,
        expired: bool,
        out: &mut Outbox,
    ) -> Result<(), Error> {
        self.state.step(if expired { TransferEvent::Expire } else { TransferEvent::Reject })?;
        out.events.push_back(Event::Ended { transfer: self.id, error, kept: false });
        self.let_go(out);
        Ok(())
    }

    pub(crate) fn on_credit(&mut self, limit: u64) {
        self.credit.raise(limit);
    }

    pub(crate) fn on_ack(&mut self, ack: &Ack, out: &mut Outbox) -> Result<(), Error> {
        for range in &ack.ranges {
            let chunk_size = self.chunk_size();
            // An ACK of a file that is wholly acknowledged says nothing new.
            let Some(file) = self.files.get_mut(&range.file) else { continue };
            let chunks = range.first..range.first + range.count;
            if !file.sent.contains_all(&chunks) {
                // TR-ACK-SENT
                return Err(Error::peer(
                    ErrorCode::ProtocolViolation,
                    "an ACK names a chunk that was never sent",
                ));
            }
            let before = file.acked_bytes(chunk_size);
            file.claimed.acknowledged(&chunks);
            file.acked.insert(chunks.clone());
            if file.acked.runs() > MAX_ACK_GAPS_COUNT {
                // TR-ACK-GAPS
                return Err(Error::peer(ErrorCode::LimitExceeded, "the ACKs have too many gaps"));
            }
            let bytes = file.acked_bytes(chunk_size).saturating_sub(before);
            self.progress.bytes_durable = self.progress.bytes_durable.saturating_add(bytes);
            while let Some(free) = file.kept.as_mut().and_then(|kept| kept.release(&chunks)) {
                self.read_ahead.spare(free);
            }
            if self.files.get(&range.file).is_some_and(|file| file.claimed.is_in_repair()) {
                self.repair(range.file, out);
            }
            self.finish_if_done(range.file, out);
        }
        self.forget_acked();
        self.advance(out);
        Ok(())
    }

    pub(crate) fn on_nack(&mut self, nack: &Nack, out: &mut Outbox) -> Result<(), Error> {
        let Some(file) = self.files.get_mut(&nack.file) else { return Ok(()) };
        if !file.sent.contains(nack.chunk) || file.is_acked(nack.chunk) {
            // TR-NACK-SENT
            return Err(Error::peer(
                ErrorCode::ProtocolViolation,
                "a NACK names a chunk that was never sent, or was acknowledged",
            ));
        }
        if file.sends.len() >= MAX_NACKED_CHUNKS_COUNT && !file.sends.contains_key(&nack.chunk) {
            // TR-NACK-BOUND
            return Err(Error::peer(ErrorCode::LimitExceeded, "too many chunks are asked for"));
        }
        let sends = file.sends.entry(nack.chunk).or_insert(1);
        *sends += 1;
        if *sends > MAX_CHUNK_SENDS_COUNT {
            // TR-NACK-LIMIT: the receiver gives the file up by itself.
            return Ok(());
        }
        self.progress.chunks_resent += 1;
        if let Some(kept) = &mut file.kept {
            let data = kept.take(nack.chunk);
            return self.send_kept(nack.file, nack.chunk, (data, None), out);
        }
        let chunk_size = 1 << self.sizes.chunk_log2;
        let offset = nack.chunk * chunk_size;
        let len = file.size.unwrap_or(0).saturating_sub(offset).min(chunk_size);
        let again = Reading::again(nack.file, offset, len, Purpose::Again);
        self.read_ahead.again.push_back(again);
        self.advance(out);
        Ok(())
    }

    /// Sends a chunk of a stream again, if it was kept (`TR-STREAM-KEEP`).
    fn send_kept(
        &mut self,
        file: FileIndex,
        chunk: u64,
        (data, end): (Option<Vec<u8>>, Option<(u64, Hash)>),
        out: &mut Outbox,
    ) -> Result<(), Error> {
        if let Some(data) = data {
            self.read_ahead.loaded_bytes += data.len() as u64;
            let leaf = leaf_hash(&data);
            self.loaded.push_front(LoadedChunk { file, chunk, data, sent: 0, leaf, end });
        } else if !self.is_loaded(file, chunk) {
            let text = "a part of a stream is asked for again that is no longer there";
            let error = Error::new(Blame::Local, ErrorCode::SourceUnreadable, text);
            return self.fail_reading(file, error, out);
        }
        Ok(())
    }

    /// Gives up a file that cannot be read, or not again.
    fn fail_reading(
        &mut self,
        file: FileIndex,
        error: Error,
        out: &mut Outbox,
    ) -> Result<(), Error> {
        if self.statements.as_ref().is_some_and(|statements| statements.is_made(file)) {
            // TR-RESEND-FAILED: FILE_FAILED can no longer be said, and the receiver waits.
            return self.cancel(error, out);
        }
        self.fail_file(file, &error, out);
        Ok(())
    }

    /// The receiver gave a file up.
    pub(crate) fn on_file_failed(
        &mut self,
        frame: &FileFailed,
        out: &mut Outbox,
    ) -> Result<(), Error> {
        if !self.state.is_open() || !self.selected.contains(frame.file) {
            return Err(Error::peer(
                ErrorCode::ProtocolViolation,
                "a FILE_FAILED names a file that is not being sent",
            ));
        }
        if self.failed.contains(frame.file.0.into()) {
            return Ok(()); // TR-FAIL-ONCE: it crossed with this side's own, or says nothing new.
        }
        self.fail_file(frame.file, &told_by_peer(frame.code, &frame.text), out);
        self.advance(out);
        Ok(())
    }

    /// Gives one file up: no more of it is sent, and it is stated so unless it
    /// was stated as sent before (`TR-STATE-ONCE`, `TR-FILE-FAILED-STATED`).
    fn fail_file(&mut self, file: FileIndex, error: &Error, out: &mut Outbox) {
        let (mut dropped, kept): (VecDeque<_>, _) =
            self.loaded.drain(..).partition(|chunk| chunk.file == file);
        self.loaded = kept;
        dropped.extend(self.lanes.forget(file));
        self.read_ahead.forget(file, dropped);
        self.files.remove(&file);
        self.failed.insert(file.0.into()..u64::from(file.0) + 1);
        let kind = self.manifest.kind(file);
        let is_file = kind.as_ref().is_some_and(|kind| !kind.is_directory());
        let size = kind.and_then(|kind| kind.size());
        if is_file && size.is_none() {
            self.progress.fail_stream(self.streamed.get(&file).copied());
        } else {
            self.progress.fail(size);
        }
        if let Some(statements) = &mut self.statements
            && is_file
            && !statements.is_made(file)
        {
            let statement = Statement::Failed { code: error.code };
            statements.make(&self.manifest, &self.selected, file, statement);
            out.control.push_back(
                FileFailed {
                    transfer: self.id,
                    file,
                    code: error.code.to_wire(),
                    text: wire_text(error),
                }
                .into(),
            );
        }
        out.events.push_back(Event::FileFailed { transfer: self.id, file, error: error.clone() });
        self.end_repair(file, out);
    }

    /// Lets a file go of which all was sent and acknowledged.
    fn finish_if_done(&mut self, file: FileIndex, out: &mut Outbox) {
        if self.files.get(&file).is_some_and(|state| state.is_done(self.chunk_size())) {
            self.files.remove(&file);
            self.progress.files_done += 1;
            out.events.push_back(Event::FileDone { transfer: self.id, file });
        }
    }

    pub(crate) fn on_receipt(
        &mut self,
        receipt: &Receipt,
        key: &ReceiptKey,
        out: &mut Outbox,
    ) -> Result<(), Error> {
        // TR-RECEIPT-CHECK, TR-DONE
        receipt::verify(key.key.expose(), key.role.peer(), receipt)?;
        let digest = self.statements.as_ref().and_then(Statements::digest);
        if !self.complete_sent || digest != Some(receipt.statements) {
            return Err(Error::peer(
                ErrorCode::ProtocolViolation,
                "the receipt is not for what was sent",
            ));
        }
        let total = self.progress.files_total;
        let all = receipt.delivered.checked_add(receipt.failed);
        if receipt.delivered > total || all.is_none_or(|all| all < total) {
            // TR-RECEIPT-CHECK
            return Err(Error::peer(
                ErrorCode::ProtocolViolation,
                "the receipt does not account for every file",
            ));
        }
        self.state.step(TransferEvent::Receipt)?;
        self.progress.files_done = receipt.delivered;
        self.progress.files_failed = receipt.failed;
        out.events.push_back(Event::Completed {
            transfer: self.id,
            completion: Completion::of(receipt, self.progress),
        });
        self.let_go(out);
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
        self.advance(out);
        Ok(())
    }

    /// The peer ended the transfer.
    pub(crate) fn on_cancel(&mut self, cancel: &Cancel, out: &mut Outbox) -> Result<(), Error> {
        let error = told_by_peer(cancel.code, &cancel.text);
        // RS-KEEP-FULL: the receiver may go on once its storage works again.
        let kept = matches!(error.code, ErrorCode::NoSpace | ErrorCode::StorageFailed);
        self.end(TransferEvent::Cancel, error, kept && self.state.is_open(), out)
    }

    /// This side ends the transfer, for the reason that `error` gives.
    pub(crate) fn cancel(&mut self, error: Error, out: &mut Outbox) -> Result<(), Error> {
        let frame = cancel_frame(self.id, &error);
        self.end(TransferEvent::Cancel, error, false, out)?;
        out.control.push_back(frame.into());
        Ok(())
    }

    fn end(
        &mut self,
        event: TransferEvent,
        error: Error,
        kept: bool,
        out: &mut Outbox,
    ) -> Result<(), Error> {
        self.state.step(event)?;
        out.events.push_back(Event::Ended { transfer: self.id, error, kept });
        self.let_go(out);
        Ok(())
    }

    /// The connection is over, and with it this end of the transfer.
    pub(crate) fn abandon(&mut self, error: Error, keep: bool, out: &mut Outbox) {
        let kept = keep && self.state.is_open();
        out.events.push_back(Event::Ended { transfer: self.id, error, kept });
        self.let_go(out);
    }

    /// Frees what the transfer holds, here and in the caller's storage.
    fn let_go(&mut self, out: &mut Outbox) {
        self.loaded.clear();
        self.lanes.clear();
        self.files.clear();
        self.read_ahead = ReadAhead::default();
        self.next_page = None;
        out.storage.push_back(StorageRequest::Discard { transfer: self.id, file: None });
    }

    /// Does whatever has become possible: reads ahead, and says COMPLETE once a
    /// statement has been made on every file.
    pub(crate) fn advance(&mut self, out: &mut Outbox) {
        if !self.state.is_open() {
            return;
        }
        self.read_on(out);
        if !self.complete_sent
            && self.loaded.is_empty()
            && !self.lanes.are_midway()
            && let Some(statements) = self.statements.as_ref().and_then(Statements::digest)
        {
            self.complete_sent = true;
            out.control.push_back(Complete { transfer: self.id, statements }.into());
        }
    }
}

/// What is selected, before any of it moved.
pub(super) fn totals(manifest: &Manifest, selected: &Selected) -> Progress {
    let mut progress = Progress::default();
    let mut from = 0;
    while let Some(place) = next_file(manifest, selected, from) {
        let size = manifest.kind(FileIndex(place)).and_then(|kind| kind.size());
        progress.files_total += 1;
        progress.streams += u32::from(size.is_none());
        progress.bytes_total = progress.bytes_total.saturating_add(size.unwrap_or(0));
        from = place.saturating_add(1);
    }
    progress
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{AckRange, Selection};
    use crate::manifest::{Entry, EntryKind, ManifestBuilder};
    use crate::path::SafePath;

    const ID: TransferId = TransferId(0);
    const FILE: FileIndex = FileIndex(0);

    /// A transfer of one huge file, of which everything was sent.
    fn sent(out: &mut Outbox) -> Outgoing {
        let size = Some(1 << 40);
        let kind = EntryKind::File { size, executable: false, mime: None, root: None };
        let mut builder = ManifestBuilder::new();
        let path = SafePath::parse("huge").unwrap();
        builder.push(&Entry { path, kind, modified: None }).unwrap();
        let manifest = Arc::new(builder.finish().unwrap());
        let sizes = Sizes { chunk_log2: 14, piece_log2: 14 };
        let token = Token([0; 16]);
        let mut outgoing = Outgoing::offer(ID, manifest, sizes, String::new(), token, out);
        while outgoing.next_page().is_some() {}
        let all = Accept { transfer: ID, more: false, selection: Selection::All };
        outgoing.on_accept(&all, out).unwrap();
        outgoing.files.get_mut(&FILE).unwrap().sent.insert(0..u64::MAX);
        outgoing
    }

    fn ack(first: u64, count: u64) -> Ack {
        Ack { transfer: ID, ranges: vec![AckRange { file: FILE, first, count }] }
    }

    /// TR-ACK-GAPS: what acknowledged chunks take in memory is bounded, however
    /// large the file.
    #[test]
    fn acknowledgements_with_too_many_gaps_are_refused() {
        let mut out = Outbox::default();
        let mut outgoing = sent(&mut out);
        let result = (0..=MAX_ACK_GAPS_COUNT as u64)
            .try_for_each(|n| outgoing.on_ack(&ack(n * 2, 1), &mut out));
        assert_eq!(result.unwrap_err().code, ErrorCode::LimitExceeded);
        assert_eq!(outgoing.files[&FILE].acked.runs(), MAX_ACK_GAPS_COUNT + 1);
    }

    /// LN-NOTES: a receiver that acknowledges nothing costs no memory without end, and
    /// lane 0 goes on meanwhile.
    #[test]
    fn what_is_remembered_of_a_lane_is_bounded() {
        let mut out = Outbox::default();
        let mut outgoing = sent(&mut out);
        outgoing.loaded.push_back(LoadedChunk {
            file: FILE,
            chunk: 1 << 20,
            data: vec![0; 16_384],
            leaf: [0; 32],
            end: None,
            sent: 0,
        });
        let mut noted = 0;
        while outgoing.next_for(2).is_some() {
            outgoing.note_handed(2, FILE, noted, false);
            noted += 1;
        }
        assert_eq!(noted, 4096);
        assert_eq!([0, 2, 4].map(|lane| outgoing.next_for(lane)), [Some(0), None, Some(0)]);
        outgoing.on_ack(&ack(1, 1), &mut out).unwrap();
        assert_eq!(outgoing.next_for(2), None, "the oldest is not acknowledged");
        outgoing.on_ack(&ack(0, 1), &mut out).unwrap();
        outgoing.note_handed(2, FILE, noted, false);
        assert_eq!(outgoing.next_for(2), Some(0), "two are forgotten");
        outgoing.note_handed(2, FILE, noted, false);
        assert_eq!(outgoing.next_for(2), None);
    }
}
