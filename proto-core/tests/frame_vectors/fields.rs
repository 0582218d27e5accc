//! Frames as JSON: the fields of the spec's tables under their names and in
//! their order (`WF-LAYOUT`).

use passel_proto::frame::{
    AckRange, ChunkRange, EntryRange, FailedFile, Frame, LaneTally, Message, Selection,
};
use serde::ser::{Serialize, Serializer};

use crate::vector_file::hex;

/// A frame, or an item of one of its lists.
pub(crate) struct Fields(Vec<(&'static str, Field)>);

#[derive(serde::Serialize)]
#[serde(untagged)]
enum Field {
    Small(u32),
    /// Decimal, or text, or hexadecimal.
    Text(String),
    Flag(bool),
    Absent(()),
    List(Vec<Fields>),
    /// Of a long list its length, its first item and its last.
    Long {
        items: usize,
        first: Fields,
        last: Fields,
    },
}

/// Longest list that is told in full.
const MAX_TOLD: usize = 100;

impl Serialize for Fields {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, field)| (name, field)))
    }
}

fn small(number: impl Into<u32>) -> Field {
    Field::Small(number.into())
}

fn big(number: u64) -> Field {
    Field::Text(number.to_string())
}

fn bytes(bytes: &[u8]) -> Field {
    Field::Text(hex(bytes))
}

fn text(text: &str) -> Field {
    Field::Text(text.to_owned())
}

fn entry_range(range: EntryRange) -> Fields {
    Fields(vec![("first", small(range.first)), ("count", small(range.count))])
}

fn chunk_range(range: ChunkRange) -> Fields {
    Fields(vec![("first", big(range.first)), ("count", big(range.count))])
}

fn ack_range(range: AckRange) -> Fields {
    Fields(vec![
        ("file", small(range.file.0)),
        ("first", big(range.first)),
        ("count", big(range.count)),
    ])
}

fn tally(tally: LaneTally) -> Fields {
    Fields(vec![("transfer", small(tally.transfer.0)), ("cost", big(tally.cost))])
}

fn failure(failed: FailedFile) -> Fields {
    Fields(vec![("file", small(failed.file.0)), ("code", small(failed.code))])
}

fn list<T: Copy>(items: &[T], fields: impl Fn(T) -> Fields) -> Field {
    match items {
        [first, .., last] if items.len() > MAX_TOLD => {
            Field::Long { items: items.len(), first: fields(*first), last: fields(*last) }
        }
        _ => Field::List(items.iter().copied().map(fields).collect()),
    }
}

/// A frame under its name in the registry.
pub(crate) fn of_frame(frame: &Frame) -> Fields {
    let mut fields = vec![("type", text(frame.frame_type().name()))];
    fields.extend(body(frame));
    Fields(fields)
}

fn body(frame: &Frame) -> Vec<(&'static str, Field)> {
    match frame {
        Frame::Offer(offer) => vec![
            ("transfer", small(offer.transfer.0)),
            ("entries", small(offer.entries)),
            ("bytes", big(offer.bytes)),
            ("digest", bytes(&offer.digest)),
            ("chunk_log2", small(offer.chunk_log2)),
            ("piece_log2", small(offer.piece_log2)),
            ("hash", small(offer.hash)),
            ("token", bytes(&offer.token.0)),
            ("note", text(&offer.note)),
        ],
        Frame::ManifestPage(page) => vec![
            ("transfer", small(page.transfer.0)),
            ("first", small(page.first)),
            ("count", small(page.count)),
            ("entries", bytes(&page.entries)),
        ],
        Frame::Accept(accept) => {
            let mut fields =
                vec![("transfer", small(accept.transfer.0)), ("more", Field::Flag(accept.more))];
            match &accept.selection {
                Selection::All => fields.push(("selection", small(0u32))),
                Selection::Ranges(ranges) => {
                    fields.push(("selection", small(1u32)));
                    fields.push(("ranges", list(ranges, entry_range)));
                }
            }
            fields
        }
        Frame::Reject(reject) => told(reject.transfer.0, reject.code, &reject.text),
        Frame::Cancel(cancel) => told(cancel.transfer.0, cancel.code, &cancel.text),
        Frame::FileEnd(end) => vec![
            ("transfer", small(end.transfer.0)),
            ("file", small(end.file.0)),
            ("size", big(end.size)),
            ("root", bytes(&end.root)),
        ],
        Frame::Data(data) => vec![
            ("transfer", small(data.transfer.0)),
            ("file", small(data.file.0)),
            ("offset", big(data.offset)),
            ("leaf", data.leaf.map_or(Field::Absent(()), |leaf| bytes(&leaf))),
        ],
        Frame::Ack(ack) => {
            vec![("transfer", small(ack.transfer.0)), ("ranges", list(&ack.ranges, ack_range))]
        }
        Frame::Nack(nack) => vec![
            ("transfer", small(nack.transfer.0)),
            ("file", small(nack.file.0)),
            ("chunk", big(nack.chunk)),
        ],
        Frame::Credit(credit) => vec![
            ("transfer", credit.transfer.map_or(Field::Absent(()), |transfer| small(transfer.0))),
            ("limit", big(credit.limit)),
        ],
        Frame::Complete(complete) => vec![
            ("transfer", small(complete.transfer.0)),
            ("statements", bytes(&complete.statements)),
        ],
        Frame::Receipt(receipt) => vec![
            ("transfer", small(receipt.transfer.0)),
            ("delivered", small(receipt.delivered)),
            ("failed", small(receipt.failed)),
            ("listed", list(&receipt.listed, failure)),
            ("statements", bytes(&receipt.statements)),
            ("mac", bytes(&receipt.mac)),
        ],
        Frame::FileFailed(failed) => vec![
            ("transfer", small(failed.transfer.0)),
            ("file", small(failed.file.0)),
            ("code", small(failed.code)),
            ("text", text(&failed.text)),
        ],
        Frame::Message(Message::Text(said)) => vec![("content", small(0u32)), ("text", text(said))],
        Frame::Message(Message::Binary(said)) => {
            vec![("content", small(1u32)), ("payload", bytes(said))]
        }
        Frame::Have(have) => vec![
            ("transfer", small(have.transfer.0)),
            ("file", small(have.file.0)),
            ("ranges", list(&have.ranges, chunk_range)),
            ("digest", have.digest.map_or(Field::Absent(()), |digest| bytes(&digest))),
        ],
        Frame::Stored(stored) => vec![
            ("transfer", small(stored.transfer.0)),
            ("files", list(&stored.files, entry_range)),
        ],
        Frame::LeavesWanted(wanted) => vec![
            ("transfer", small(wanted.transfer.0)),
            ("file", small(wanted.file.0)),
            ("first", big(wanted.first)),
            ("count", small(wanted.count)),
        ],
        Frame::Leaves(leaves) => vec![
            ("transfer", small(leaves.transfer.0)),
            ("file", small(leaves.file.0)),
            ("first", big(leaves.first)),
            ("leaves", bytes(&leaves.leaves.concat())),
        ],
        Frame::KeyUpdate(update) => vec![
            ("epoch", small(update.epoch)),
            ("encapsulation_key", bytes(&update.encapsulation_key[..])),
        ],
        Frame::KeyUpdateAnswer(answer) => {
            vec![("epoch", small(answer.epoch)), ("ciphertext", bytes(&answer.ciphertext[..]))]
        }
        Frame::Pause(pause) => vec![("transfer", small(pause.transfer.0))],
        Frame::Resume(resume) => vec![("transfer", small(resume.transfer.0))],
        Frame::LaneSignal(signal) => {
            vec![("lane", small(signal.lane)), ("payload", bytes(&signal.payload))]
        }
        Frame::LaneEnd(end) => vec![
            ("lane", small(end.lane)),
            ("cost", big(end.cost)),
            ("transfers", list(&end.transfers, tally)),
        ],
        Frame::Resumable(resumable) => vec![("id", bytes(&resumable.id))],
        Frame::Ping(ping) => vec![("token", big(ping.token))],
        Frame::Pong(pong) => vec![("token", big(pong.token))],
        Frame::Close(close) => vec![("code", small(close.code)), ("text", text(&close.text))],
    }
}

fn told(transfer: u32, code: u16, reason: &str) -> Vec<(&'static str, Field)> {
    vec![("transfer", small(transfer)), ("code", small(code)), ("text", text(reason))]
}
