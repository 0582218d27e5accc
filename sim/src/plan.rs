//! A run as data: the seed, the knobs of the world, what is sent, and what goes
//! wrong. A plan is drawn from a seed, printed, saved, replayed and shrunk; how
//! one is drawn is in `draw`. All times are microseconds of virtual time.

use serde::{Deserialize, Serialize};

use crate::clock::Clock;
use crate::disk::DiskPlan;

/// One of the two hosts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// Made the invitation: the handshake's responder.
    Inviter,
    /// Joined it: the handshake's initiator.
    Joiner,
}

impl Side {
    /// Both sides, in the order of their places.
    pub const BOTH: [Side; 2] = [Side::Inviter, Side::Joiner];

    /// The other side.
    #[must_use]
    pub fn peer(self) -> Self {
        match self {
            Side::Inviter => Side::Joiner,
            Side::Joiner => Side::Inviter,
        }
    }

    /// 0 or 1.
    pub fn place(self) -> usize {
        usize::from(self == Side::Joiner)
    }
}

/// What the channels and disks are like when nothing goes wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Knobs {
    /// One-way delay.
    pub delay_us: u64,
    /// Most that is added to the delay of a message.
    pub jitter_us: u64,
    /// How many messages of a thousand on unordered channels come late.
    pub reorder_permille: u64,
    /// How many messages of a thousand on `unreliable` are lost.
    pub loss_permille: u64,
    /// Bytes a second in each direction; 0 for no limit.
    pub rate: u64,
    /// Bytes that each channel takes before it says that it is full.
    pub room: u64,
    /// Time that a disk takes for a request.
    pub disk_us: u64,
    /// Chunk size of both sides' offers, as a power of two: 14 to 20.
    pub chunk_log2: u8,
    /// Piece size of both sides' offers, as a power of two: 10 to 15.
    pub piece_log2: u8,
    /// How long an offer waits for its answer.
    pub offer_expiry_us: u64,
}

/// What is offered, and how it is answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TransferPlan {
    /// Who offers.
    pub from: Side,
    /// When; once the handshake is done if that is later.
    pub at_us: u64,
    /// The sizes of the files; nothing for a directory, which then holds the
    /// files that follow it.
    pub entries: Vec<Option<u64>>,
    /// Whether the manifest promises the files' roots.
    pub roots: bool,
    /// Whether the manifest does not tell how long the files are (`TR-STREAM`). Only
    /// where there is one connection: what a program writes is not there a second time.
    #[serde(default, skip_serializing_if = "is_false")]
    pub streams: bool,
    /// What the receiver says.
    pub answer: Answer,
    /// How long it takes to say so.
    pub answer_after_us: u64,
}

/// What a receiver says to an offer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// Accepts everything.
    All,
    /// Accepts every second entry, from the first.
    EverySecond,
    /// Rejects.
    Reject,
    /// Never answers.
    Silence,
}

/// Something that goes wrong, or that a person does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Fault {
    /// Nothing comes through for a time; what is reliable comes after it.
    Partition {
        /// When it begins.
        at_us: u64,
        /// How long it lasts.
        for_us: u64,
    },
    /// The transport ends and both sides are told.
    Cut {
        /// When.
        at_us: u64,
    },
    /// A process dies, and its disk loses what was not synced.
    Crash {
        /// Whose.
        side: Side,
        /// When.
        at_us: u64,
        /// When the peer's transport notices after that; never, if absent.
        notice_us: Option<u64>,
        /// The process alone dies and its machine goes on, so that its disk loses
        /// nothing.
        #[serde(default, skip_serializing_if = "is_false")]
        killed: bool,
    },
    /// A disk takes so many bytes and no more.
    DiskFull {
        /// Whose.
        side: Side,
        /// Bytes that it takes.
        after_bytes: u64,
    },
    /// The n-th request of its kind to a disk fails, counted from 0.
    DiskError {
        /// Whose.
        side: Side,
        /// Which kind of request, and how it fails.
        error: DiskError,
        /// Which one.
        nth: u64,
    },
    /// A disk takes longer for every request, for a time.
    SlowDisk {
        /// Whose.
        side: Side,
        /// When it begins.
        at_us: u64,
        /// How long it lasts.
        for_us: u64,
        /// How long each request takes.
        request_us: u64,
    },
    /// A side cancels a transfer.
    Cancel {
        /// Who.
        side: Side,
        /// Place of the transfer in the plan.
        transfer: usize,
        /// When.
        at_us: u64,
    },
    /// A side pauses a transfer for a time.
    Pause {
        /// Who.
        side: Side,
        /// Place of the transfer in the plan.
        transfer: usize,
        /// When.
        at_us: u64,
        /// How long.
        for_us: u64,
    },
    /// A side closes the connection.
    Close {
        /// Who.
        side: Side,
        /// When.
        at_us: u64,
    },
    /// A process dies at a request to its disk, which loses what was not synced.
    CrashAt {
        /// Whose.
        side: Side,
        /// At which kind of request.
        request: Request,
        /// At which of them, counted from 0 over all connections.
        nth: u64,
        /// How far the disk comes with it.
        window: Window,
        /// When the peer's transport notices after that; never, if absent.
        notice_us: Option<u64>,
        /// As in [`Crash`](Self::Crash).
        #[serde(default, skip_serializing_if = "is_false")]
        killed: bool,
    },
    /// A side asks for new keys.
    Update {
        /// Who.
        side: Side,
        /// When.
        at_us: u64,
    },
    /// Somebody on the way delivers a record of an unordered channel once more.
    Replay {
        /// To whom.
        side: Side,
        /// Which of those that it has opened, counted from 0 over all connections.
        nth: u64,
        /// How long after it came first.
        after_us: u64,
    },
    /// The transport ends in a later connection, and both sides are told.
    CutAgain {
        /// In which connection; the first one is 0.
        connection: u32,
        /// When, counted from its beginning.
        after_us: u64,
    },
    /// What was offered is another thing by the time of a later connection.
    Change {
        /// Place of the transfer in the plan.
        transfer: usize,
        /// Place of the entry, which is a file.
        entry: usize,
        /// What the change is like.
        how: Change,
        /// Before which connection; the first one is 0.
        connection: u32,
    },
}

/// A kind of request to a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Request {
    /// Read a source, or read back what was stored.
    Read,
    /// Write a chunk.
    Write,
    /// Make data durable, and then the journal.
    Sync,
    /// Give a file its name.
    Commit,
    /// Ask what was stored before.
    Check,
    /// The transfer is over on this connection.
    Release,
    /// Remove what there is.
    Discard,
    /// Store the secret of the session.
    Secret,
}

/// How far a disk comes with a request at which its process dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Window {
    /// It has not begun.
    Before,
    /// A part of it is done: some of the bytes, the data without the journal, the
    /// journal without the name, the secret without a word to the peer.
    Midst,
    /// It is done, and nobody is told.
    After,
}

/// How a source changes between two connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// Other bytes, and nothing else tells it.
    Bytes,
    /// Other bytes and another length, so that the entry is another one.
    Entry,
}

/// How a disk fails a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DiskError {
    /// A read finds that the source is gone.
    ReadUnreadable,
    /// A read finds that the source was changed.
    ReadChanged,
    /// A write fails.
    Write,
    /// A sync fails.
    Sync,
    /// A commit fails.
    Commit,
    /// A commit finds its name taken.
    CommitConflict,
}

/// A bug put into the world on purpose, to show that the invariants find it.
/// It lies in channels or disks, never in the code under test.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Planted {
    /// A disk answers a sync without doing it.
    SyncForgotten,
    /// A disk answers a sync at once and does it later.
    SyncLate,
    /// A disk alters a bit of what it writes.
    WriteFlipped,
    /// A disk writes in the wrong place.
    WriteMisplaced,
    /// A disk loses a request and never answers.
    ReplyLost,
    /// A disk shows a file under its final name at its first write.
    VisibleEarly,
    /// A disk does not remove what it is told to discard.
    DiscardIgnored,
    /// A read brings other bytes than those that are in the source.
    ReadFlipped,
    /// A message tells what is in a file.
    MessageReadable,
    /// A channel alters a bit of a message.
    MessageFlipped,
    /// A reliable channel loses a message.
    MessageLost,
    /// A reliable, ordered channel delivers a message twice.
    MessageTwice,
    /// An ordered channel delivers messages out of order.
    MessageOvertaken,
    /// A sealed record goes out twice under the same counter.
    CounterRepeated,
    /// The clock stands a moment behind whenever a timer is due.
    ClockBehind,
    /// A journal is written before the data that it speaks of.
    JournalFirst,
    /// A journal is written as soon as that is asked for, before the requests that
    /// are still waiting.
    JournalEarly,
    /// A crash loses the newest entries of a journal.
    JournalLost,
    /// A journal does not ask whether the entry is still the same.
    JournalStale,
    /// A disk answers a sync after the first of the ranges that it should see to.
    SyncInPart,
    /// A disk says of every file that it is the one that was stored.
    CheckAlways,
    /// A sender takes what the receiver says that it has for what is in the source.
    CompareSkipped,
    /// A process that was restarted begins with the entropy of its first start.
    SeedAgain,
    /// A side forgets the older secret as soon as it has a newer one.
    SecretForgotten,
    /// What was noted of chunks that were written is believed without a look at them.
    NotesBelieved,
    /// Chunks that were written before a process was killed are left out of the next
    /// sync, which is answered as if they were in it.
    WrittenNotSynced,
    /// A draw of the world comes from a counter that all runs of the process share.
    DrawShared,
}

impl Planted {
    /// All of them.
    pub const ALL: &'static [Planted] = &[
        Planted::SyncForgotten,
        Planted::SyncLate,
        Planted::WriteFlipped,
        Planted::WriteMisplaced,
        Planted::ReplyLost,
        Planted::VisibleEarly,
        Planted::DiscardIgnored,
        Planted::ReadFlipped,
        Planted::MessageReadable,
        Planted::MessageFlipped,
        Planted::MessageLost,
        Planted::MessageTwice,
        Planted::MessageOvertaken,
        Planted::CounterRepeated,
        Planted::ClockBehind,
        Planted::JournalFirst,
        Planted::JournalEarly,
        Planted::JournalLost,
        Planted::JournalStale,
        Planted::SyncInPart,
        Planted::CheckAlways,
        Planted::CompareSkipped,
        Planted::SeedAgain,
        Planted::SecretForgotten,
        Planted::NotesBelieved,
        Planted::WrittenNotSynced,
        Planted::DrawShared,
    ];
}

/// What somebody says beside transfers, as far as there is a connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TalkPlan {
    /// Who.
    pub from: Side,
    /// When the first message is said.
    pub at_us: u64,
    /// Time between two.
    pub every_us: u64,
    /// How many.
    pub count: u64,
    /// Over the channel on which nothing may be lost, or over the other.
    pub reliable: bool,
    /// Bytes of each, beside its number; together no more than
    /// [`MAX_MESSAGE`](passel_proto::limits::MAX_MESSAGE).
    pub bytes: u64,
}

/// A whole run as data. Equal plans give equal runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// Seeds keys, contents of files and every draw of the run.
    pub seed: u64,
    /// The world without faults.
    pub knobs: Knobs,
    /// What is sent.
    pub transfers: Vec<TransferPlan>,
    /// What goes wrong.
    pub faults: Vec<Fault>,
    /// How many times the two connect again while faults happen, to go on with what
    /// is not complete. After that everything heals. 0 for one connection and
    /// no more.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub again: u32,
    /// The sides whose processors have instructions for AES, and that offer it
    /// therefore (`HS-SUITE-AES`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aes: Vec<Side>,
    /// The sides whose storage computes leaves and compares chunks with them, in place
    /// of the core (`Config::storage_checks_leaves`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hashing: Vec<Side>,
    /// What is said beside transfers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub talks: Vec<TalkPlan>,
    /// The two have no secret, and how long each person takes to say that both screens
    /// show the same (`HS-SAS-GATE`). Only where there is one connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compare_us: Option<[u64; 2]>,
    /// The clocks of both sides.
    #[serde(default, skip_serializing_if = "are_true")]
    pub clocks: [Clock; 2],
    /// A bug of the world itself; none but when the invariants are tested.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub planted: Option<Planted>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants it so")]
fn are_true(clocks: &[Clock; 2]) -> bool {
    clocks.iter().all(Clock::is_true)
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants it so")]
pub(crate) fn is_false(flag: &bool) -> bool {
    !flag
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants it so")]
pub(crate) fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// Why a plan could not be read.
#[derive(Debug, thiserror::Error)]
#[error("not a plan: {0}")]
pub struct PlanError(#[from] serde_json::Error);

impl Plan {
    /// Reads a plan from JSON.
    ///
    /// # Errors
    ///
    /// The text is no plan.
    pub fn parse(text: &str) -> Result<Self, PlanError> {
        Ok(serde_json::from_str(text)?)
    }

    /// The plan as JSON, over several lines.
    ///
    /// # Errors
    ///
    /// None is known; the encoder's are handed on.
    pub fn to_json(&self) -> Result<String, PlanError> {
        Ok(serde_json::to_string_pretty(self)?)
    }

    /// The disk of a side.
    pub fn disk(&self, side: Side) -> DiskPlan {
        DiskPlan {
            side,
            faults: self.faults.clone(),
            planted: self.planted,
            request_us: self.knobs.disk_us,
            hashes: self.hashing.contains(&side),
        }
    }

    /// Bytes of all files together.
    pub fn bytes(&self) -> u64 {
        self.transfers.iter().flat_map(|transfer| transfer.entries.iter().flatten()).sum()
    }

    /// When the last fault is over and everything has healed.
    pub fn healed_us(&self) -> u64 {
        let end = |fault: &Fault| match fault {
            Fault::Partition { at_us, for_us }
            | Fault::SlowDisk { at_us, for_us, .. }
            | Fault::Pause { at_us, for_us, .. } => at_us.saturating_add(*for_us),
            Fault::Cut { at_us }
            | Fault::Crash { at_us, .. }
            | Fault::Cancel { at_us, .. }
            | Fault::Update { at_us, .. }
            | Fault::Close { at_us, .. } => *at_us,
            Fault::Replay { .. }
            | Fault::DiskFull { .. }
            | Fault::DiskError { .. }
            | Fault::CrashAt { .. }
            | Fault::CutAgain { .. }
            | Fault::Change { .. } => 0,
        };
        self.faults.iter().map(end).max().unwrap_or(0)
    }

    /// The virtual time by which the run must be over: generous for everything
    /// that may make it slow, and never without a bound.
    pub fn bound_us(&self) -> u64 {
        const SECOND: u64 = 1_000_000;
        let knobs = &self.knobs;
        let offered =
            self.transfers.iter().map(|t| t.at_us.saturating_add(t.answer_after_us)).max();
        let entries: u64 = self.transfers.iter().map(|t| t.entries.len() as u64).sum();
        let bytes = self.bytes();
        let chunks = (bytes >> knobs.chunk_log2) + entries;
        let slow = |fault: &Fault| match fault {
            Fault::SlowDisk { request_us, .. } => *request_us,
            _ => 0,
        };
        let request_us = self.faults.iter().map(slow).max().unwrap_or(0).max(knobs.disk_us);
        let on_disk = (4 * chunks + 8 * entries + 16).saturating_mul(request_us);
        let on_wire = (bytes + 64 * 1024).saturating_mul(4 * SECOND);
        let on_wire = on_wire.checked_div(knobs.rate).unwrap_or(0);
        let round_trip = 4 * (knobs.delay_us + knobs.jitter_us) + 1000;
        let turns = (4 * bytes / knobs.room.max(1) + 4 * entries + 40).saturating_mul(round_trip);
        let silence = self.transfers.iter().any(|t| t.answer == Answer::Silence);
        let expiry = if silence { knobs.offer_expiry_us } else { 0 };
        let syncs = (chunks + 10).saturating_mul(SECOND / 5);
        [self.healed_us(), offered.unwrap_or(0), on_disk, on_wire, turns, expiry, syncs]
            .into_iter()
            .fold(150 * SECOND, u64::saturating_add)
            .saturating_mul(if self.again == 0 { 1 } else { u64::from(self.again) + 6 })
    }
}
