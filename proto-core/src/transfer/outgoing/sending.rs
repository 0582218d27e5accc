//! Pieces of loaded chunks, as credit and room allow.

use super::{LoadedChunk, Outgoing};
use crate::error::Error;
use crate::frame::{Data, FileEnd, Frame, FrameWriter};
use crate::limits::FILE_END_COST;
use crate::transfer::{Outbox, SendCredit, TransferState};

impl Outgoing {
    /// Bytes that the next record over a lane, on which chunks may begin or not, will
    /// cost in credit and take of payload, if there is something to send.
    fn next_cost(&self, (lane, begins): (u16, bool)) -> Option<u64> {
        let next = || self.next_for(lane).and_then(|place| self.loaded.get(place));
        let begins = begins && self.lanes.may_begin(self.chunk_size());
        let chunk = self.lanes.midway(lane).or_else(|| next().filter(|_| begins))?;
        let piece = (chunk.data.len() - chunk.sent).min(1 << self.sizes.piece_log2);
        let ends = chunk.end.is_some() && chunk.sent + piece == chunk.data.len();
        Some(piece as u64 + if ends { FILE_END_COST as u64 } else { 0 })
    }

    /// Whether a record could be filled for the lane now, were there room for it.
    pub(crate) fn can_send(&self, lane: (u16, bool), connection: SendCredit) -> bool {
        self.state == TransferState::Active
            && self
                .next_cost(lane)
                .is_some_and(|cost| cost <= self.credit.available().min(connection.available()))
    }

    /// Takes note that all of a chunk has left over a lane.
    fn sent_chunk(&mut self, lane: u16, chunk: LoadedChunk) {
        let bytes = chunk.data.len() as u64;
        let Some(file) = self.files.get_mut(&chunk.file).filter(|_| bytes > 0) else {
            return self.read_ahead.recycle(chunk.data);
        };
        file.sent.insert(chunk.chunk..chunk.chunk + 1);
        let (index, number, end) = (chunk.file, chunk.chunk, chunk.end.is_some());
        if let Some(kept) = &mut file.kept {
            self.read_ahead.loaded_bytes = self.read_ahead.loaded_bytes.saturating_sub(bytes);
            if let Some(free) = kept.keep(chunk.chunk, chunk.data) {
                self.read_ahead.spare(free);
            }
        } else {
            self.read_ahead.recycle(chunk.data);
        }
        self.note_handed(lane, index, number, end);
    }

    /// Fills one record with the next piece for the lane, and tells what it costs.
    /// `None`, with the record untouched, if there is nothing to send or no credit
    /// for it.
    pub(crate) fn fill(
        &mut self,
        place: (u16, bool),
        writer: &mut FrameWriter<'_>,
        connection: &mut SendCredit,
        out: &mut Outbox,
    ) -> Result<Option<u64>, Error> {
        if !self.can_send(place, *connection) {
            return Ok(None);
        }
        let Some(cost) = self.next_cost(place) else { return Ok(None) };
        let (lane, _) = place;
        // LN-CHUNK: what was begun on a lane goes on there, piece by piece (TR-PIECE-ORDER).
        let next = self.lanes.take_midway(lane);
        let next = next.or_else(|| self.loaded.remove(self.next_for(lane)?));
        let Some(mut chunk) = next else { return Ok(None) };
        self.credit.spend(cost);
        connection.spend(cost);
        let encoding = |_| Error::misuse("a frame cannot be encoded");

        let file = chunk.file;
        let from = chunk.sent;
        let until = (from + (1 << self.sizes.piece_log2)).min(chunk.data.len());
        let finishes = until == chunk.data.len();
        if finishes && let Some((size, root)) = chunk.end {
            // TR-FILE-END-FIRST: in the same record, before the last piece. The end
            // of a stream may be found when that has left.
            let end = FileEnd { transfer: self.id, file: chunk.file, size, root };
            writer.frame(&Frame::FileEnd(end)).map_err(encoding)?;
            self.state_sent(chunk.file, size, root);
        }
        if until > from {
            let header = Data {
                transfer: self.id,
                file: chunk.file,
                offset: chunk.chunk * self.chunk_size() + from as u64,
                leaf: finishes.then_some(chunk.leaf),
            };
            let payload = chunk.data.get(from..until).unwrap_or_default();
            writer.data(&header, payload).map_err(encoding)?;
            self.progress.bytes_moved += payload.len() as u64;
        }
        chunk.sent = until;
        if finishes {
            self.sent_chunk(lane, chunk);
            self.finish_if_done(file, out);
            self.advance(out);
        } else {
            self.lanes.put_midway(lane, chunk);
        }
        Ok(Some(cost))
    }
}
