//! Frames: what a sealed record holds (`WF-FRAME`).
//!
//! A frame is a type, a length and a body; the body is one value of the codec
//! (`WF-LAYOUT`).
//! Each body's type stands in the file of its subject, with its layout, its
//! limits and its round-trip test. Here are the table of types, the reader that
//! walks through a record's plaintext and the writer that fills one. What a
//! frame means is decided in `transfer` and `connection`.

mod answer;
mod data;
mod end;
mod have;
mod keys;
mod lane;
mod link;
mod message;
mod offer;
mod pause;
mod progress;
mod reader;
mod writer;

pub(crate) use answer::MAX_ACCEPT_RANGES;
pub use answer::{Accept, EntryRange, Reject, Selection};
pub use data::{Data, FileEnd};
pub(crate) use end::MAX_LISTED_FAILURES;
pub use end::{Cancel, Complete, FailedFile, FileFailed, Receipt};
pub use have::{ChunkRange, Have, Leaves, LeavesWanted, Stored};
pub use keys::{KeyUpdate, KeyUpdateAnswer};
pub use lane::{LaneEnd, LaneSignal, LaneTally};
pub use link::{Close, Ping, Pong, Resumable};
pub use message::Message;
pub(crate) use offer::sizes_allowed;
pub use offer::{ManifestPage, Offer};
pub use pause::{Pause, Resume};
pub(crate) use progress::MAX_ACK_RANGES;
pub use progress::{Ack, AckRange, Credit, Nack};
pub use reader::FrameReader;
pub use writer::FrameWriter;

use bincode::error::EncodeError;
use bincode::{Decode, Encode};

use crate::codec::CodecError;
use crate::ids::Channel;

/// What every frame body has in common.
pub trait Body: Encode + Decode<()> {
    /// The frame's type.
    const TYPE: FrameType;

    /// Checks the limits that the encoding itself does not express.
    fn check(&self) -> Result<(), CodecError> {
        Ok(())
    }
}

macro_rules! frame_table {
    ($($(#[$doc:meta])* $name:ident = $id:literal, $registry:literal, $($channel:ident)|+;)*) => {
        /// The registry's frame types.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum FrameType {
            $($(#[$doc])* $name,)*
        }

        impl FrameType {
            /// All types, in the registry's order.
            pub const ALL: &'static [FrameType] = &[$(FrameType::$name,)*];

            /// The number on the wire.
            pub fn id(self) -> u16 {
                match self {
                    $(FrameType::$name => $id,)*
                }
            }

            /// The registry's name.
            pub fn name(self) -> &'static str {
                match self {
                    $(FrameType::$name => $registry,)*
                }
            }

            /// The channels on which the frame is allowed, at least one
            /// (`WF-FRAME-CHANNEL`).
            pub fn channels(self) -> &'static [Channel] {
                match self {
                    $(FrameType::$name => &[$(Channel::$channel),+],)*
                }
            }

            /// The type with this number, if this version knows it.
            pub fn from_id(id: u16) -> Option<Self> {
                match id {
                    $($id => Some(FrameType::$name),)*
                    _ => None,
                }
            }
        }

        /// A decoded frame.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum Frame {
            $($(#[$doc])* $name($name),)*
        }

        impl Frame {
            /// The frame's type.
            pub fn frame_type(&self) -> FrameType {
                match self {
                    $(Frame::$name(_) => FrameType::$name,)*
                }
            }

            fn write_to(&self, writer: &mut FrameWriter<'_>) -> Result<(), EncodeError> {
                match self {
                    $(Frame::$name(body) => writer.body(body),)*
                }
            }

            fn decode(kind: FrameType, body: &[u8]) -> Result<Self, CodecError> {
                Ok(match kind {
                    $(FrameType::$name => {
                        let body: $name = crate::codec::decode(body)?;
                        body.check()?;
                        Frame::$name(body)
                    })*
                })
            }
        }

        $(impl From<$name> for Frame {
            fn from(body: $name) -> Self {
                Frame::$name(body)
            }
        })*
    };
}

frame_table! {
    /// Sender: here is what could be sent.
    Offer = 0x02, "OFFER", Control;
    /// Sender: a page of the offer's manifest.
    ManifestPage = 0x04, "MANIFEST", Control;
    /// Receiver: wants all or some of the offer.
    Accept = 0x06, "ACCEPT", Control;
    /// Receiver: does not want the offer.
    Reject = 0x08, "REJECT", Control;
    /// Sender: a file's exact length and root.
    FileEnd = 0x0a, "FILE_END", File;
    /// Sender: bytes of a chunk.
    Data = 0x0c, "DATA", File;
    /// Receiver: chunks that are verified and durable.
    Ack = 0x0e, "ACK", Control;
    /// Receiver: a chunk did not match its leaf.
    Nack = 0x10, "NACK", Control;
    /// Receiver: how much may be sent.
    Credit = 0x12, "CREDIT", Control;
    /// Either: the transfer ends here.
    Cancel = 0x14, "CANCEL", Control;
    /// Sender: everything has been sent.
    Complete = 0x16, "COMPLETE", Control;
    /// Receiver: everything has been stored, signed with the session's key.
    Receipt = 0x18, "RECEIPT", Control;
    /// Either: one file failed, the others go on.
    FileFailed = 0x1a, "FILE_FAILED", Control;
    /// Either: are you there?
    Ping = 0x1c, "PING", Control;
    /// Either: yes.
    Pong = 0x1e, "PONG", Control;
    /// Either: the connection ends here.
    Close = 0x20, "CLOSE", Control;
    /// Either: no more data for now.
    Pause = 0x22, "PAUSE", Control;
    /// Either: data may flow again.
    Resume = 0x24, "RESUME", Control;
    /// Receiver: chunks of a file that are here since an earlier connection.
    Have = 0x26, "HAVE", Control;
    /// Receiver: files that are stored since an earlier connection.
    Stored = 0x28, "STORED", Control;
    /// Sender: which hashes do these chunks have at your side?
    LeavesWanted = 0x2a, "LEAVES_WANTED", Control;
    /// Either: new keys, please.
    KeyUpdate = 0x2c, "KEY_UPDATE", Control;
    /// Either: the answer to that.
    KeyUpdateAnswer = 0x2e, "KEY_UPDATE_ANSWER", Control;
    /// Either: something of the embedder's own.
    Message = 0x30, "MESSAGE", Reliable | Unreliable;
    /// Either: the secret of a later session is stored.
    Resumable = 0x32, "RESUMABLE", Control;
    /// Receiver: the hashes that were asked for.
    Leaves = 0x34, "LEAVES", Control;
    /// Either: what the transport must know of a further lane.
    LaneSignal = 0x36, "LANE_SIGNAL", Control;
    /// Either: nothing more comes over this lane.
    LaneEnd = 0x38, "LANE_END", Control;
}

/// Whether a type that is not known may be skipped (`WF-FRAME-UNKNOWN`).
pub(crate) fn is_ignorable(id: u16) -> bool {
    id % 2 == 1
}

/// Refuses text that is longer than `limit` bytes.
fn check_text(text: &str, limit: usize) -> Result<(), CodecError> {
    if text.len() <= limit { Ok(()) } else { Err(CodecError::TooLong) }
}

/// One encoding of each frame, for the tests of this module and its users.
#[cfg(test)]
pub(crate) mod samples {
    use super::*;
    use crate::ids::{FileIndex, TransferId};

    pub(crate) fn all() -> Vec<Frame> {
        let transfer = TransferId(2);
        vec![
            offer::sample().into(),
            ManifestPage { transfer, first: 0, count: 1, entries: vec![1, 2, 3] }.into(),
            Accept { transfer, more: false, selection: Selection::All }.into(),
            Accept {
                transfer,
                more: false,
                selection: Selection::Ranges(vec![EntryRange { first: 3, count: 2 }]),
            }
            .into(),
            Reject { transfer, code: 0x21, text: "no, thanks".into() }.into(),
            FileEnd { transfer, file: FileIndex(7), size: 300, root: [5; 32] }.into(),
            Data { transfer, file: FileIndex(7), offset: 65536, leaf: Some([9; 32]) }.into(),
            Ack { transfer, ranges: vec![AckRange { file: FileIndex(7), first: 0, count: 251 }] }
                .into(),
            Nack { transfer, file: FileIndex(7), chunk: 1 }.into(),
            Credit { transfer: Some(transfer), limit: 1 << 22 }.into(),
            Cancel { transfer, code: 0x20, text: String::new() }.into(),
            Complete { transfer, statements: [3; 32] }.into(),
            Receipt {
                transfer,
                delivered: 1,
                failed: 1,
                listed: vec![FailedFile { file: FileIndex(1), code: 0x28 }],
                statements: [3; 32],
                mac: [4; 32],
            }
            .into(),
            FileFailed { transfer, file: FileIndex(1), code: 0x26, text: "changed".into() }.into(),
            Ping { token: 99 }.into(),
            Pong { token: 99 }.into(),
            Close { code: 0, text: String::new() }.into(),
            Pause { transfer }.into(),
            Resume { transfer }.into(),
            Have {
                transfer,
                file: FileIndex(7),
                ranges: vec![ChunkRange { first: 0, count: 300 }],
                digest: Some([8; 32]),
            }
            .into(),
            Stored { transfer, files: vec![EntryRange { first: 0, count: 7 }] }.into(),
            LeavesWanted { transfer, file: FileIndex(7), first: 0, count: 2 }.into(),
            Leaves { transfer, file: FileIndex(7), first: 0, leaves: vec![[1; 32], [2; 32]] }
                .into(),
            Message::Text("hello".into()).into(),
            Message::Binary(vec![1, 2, 3]).into(),
            KeyUpdate { epoch: 1, encapsulation_key: Box::new([6; 1216]) }.into(),
            KeyUpdateAnswer { epoch: 1, ciphertext: Box::new([8; 1120]) }.into(),
            Resumable { id: [6; 16] }.into(),
            LaneSignal { lane: 1, payload: vec![1, 2, 3] }.into(),
            LaneEnd { lane: 1, cost: 70_000, transfers: vec![LaneTally { transfer, cost: 300 }] }
                .into(),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_frame_survives_the_wire_and_its_layout_is_pinned() {
        let mut pinned = String::new();
        for frame in samples::all() {
            let mut record = Vec::new();
            FrameWriter::new(&mut record, 0).frame(&frame).unwrap();
            let mut reader = FrameReader::new(&record, frame.frame_type().channels()[0]);
            assert_eq!(reader.next().unwrap(), Some(frame.clone()));
            assert_eq!(reader.next().unwrap(), None);
            let hex: String = record.iter().map(|byte| format!("{byte:02x}")).collect();
            pinned.push_str(&format!("{:<12} {hex}\n", frame.frame_type().name()));
        }
        insta::assert_snapshot!(pinned);
    }

    #[test]
    fn all_types_are_critical_and_found_by_their_number() {
        for kind in FrameType::ALL {
            assert!(!is_ignorable(kind.id()));
            assert_eq!(FrameType::from_id(kind.id()), Some(*kind));
        }
    }
}
