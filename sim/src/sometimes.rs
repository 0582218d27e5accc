//! Conditions that a swarm must have met: a campaign that never filled a disk
//! has not shown that a full disk is survived.

use std::collections::BTreeSet;

/// Makes the list of a tier's conditions.
macro_rules! conditions {
    ($enum:ident: $($(#[$doc:meta])* $name:ident = $text:literal;)*) => {
        /// A condition that runs are expected to meet now and then.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum $enum {
            $($(#[$doc])* $name,)*
        }

        impl $enum {
            /// All conditions.
            pub const ALL: &'static [$enum] = &[$($enum::$name,)*];

            /// Its name in reports.
            pub fn name(self) -> &'static str {
                match self {
                    $($enum::$name => $text,)*
                }
            }
        }
    };
}

pub(crate) use conditions;

conditions! {
    Sometimes:
    /// A transfer was completed with nothing missing.
    CompletedWhole = "completed_whole";
    /// A transfer was completed without some of its files.
    CompletedInPart = "completed_in_part";
    /// Only some of an offer was accepted.
    AcceptedInPart = "accepted_in_part";
    /// An offer was rejected.
    Rejected = "rejected";
    /// An offer was not answered in time.
    OfferExpired = "offer_expired";
    /// Two transfers of one direction were active at once.
    SeveralAtOnce = "several_at_once";
    /// Transfers of both directions were active at once.
    BothDirections = "both_directions";
    /// A disk was full in the middle of a transfer.
    DiskFull = "disk_full";
    /// The sender cancelled an active transfer.
    CancelledBySender = "cancelled_by_sender";
    /// The receiver cancelled an active transfer.
    CancelledByReceiver = "cancelled_by_receiver";
    /// A file failed where it was read.
    FileFailedAtSender = "file_failed_at_sender";
    /// A file failed where it was stored.
    FileFailedAtReceiver = "file_failed_at_receiver";
    /// A sync failed, and with it the transfer.
    SyncFailed = "sync_failed";
    /// An empty file got its name.
    EmptyFile = "empty_file";
    /// Files whose lengths were not told before were all stored.
    Streams = "streams";
    /// Two people without a secret said that both screens show the same.
    Compared = "compared";
    /// A directory got its name.
    Directory = "directory";
    /// A file whose root the manifest promised got its name.
    PromisedRoot = "promised_root";
    /// Pieces came in another order than they were sent in.
    OutOfOrder = "out_of_order";
    /// A channel was full.
    ChannelFull = "channel_full";
    /// More credit was granted.
    CreditRaised = "credit_raised";
    /// A PING went out.
    Ping = "ping";
    /// A transfer was paused.
    Paused = "paused";
    /// A connection got over a partition in the middle of a transfer.
    PartitionOutlived = "partition_outlived";
    /// A partition lasted until a side gave up.
    PartitionThenIdle = "partition_then_idle";
    /// The handshake did not finish in time.
    HandshakeTimeout = "handshake_timeout";
    /// A sender died in the middle of a transfer.
    CrashOfSender = "crash_of_sender";
    /// A receiver died in the middle of a transfer.
    CrashOfReceiver = "crash_of_receiver";
    /// A crash lost bytes that were written and not synced.
    CrashLostWrites = "crash_lost_writes";
    /// A crash came between a file's name and the sync behind it.
    CrashAfterCommit = "crash_after_commit";
    /// A peer's crash was found out by its silence alone.
    CrashThenIdle = "crash_then_idle";
    /// A side closed the connection in the middle of a transfer.
    ClosedInTransfer = "closed_in_transfer";
    /// The transport ended in the middle of a transfer.
    CutInTransfer = "cut_in_transfer";
    /// A transfer went on of which only a part of some chunk had come.
    ResumedInMidChunk = "resumed_in_mid_chunk";
    /// A transfer went on after a crash between a write and its sync.
    ResumedAfterWrite = "resumed_after_write";
    /// A transfer went on after a crash between a sync and its answer.
    ResumedAfterSync = "resumed_after_sync";
    /// A transfer went on after a crash between the journal and a file's name.
    ResumedAfterJournal = "resumed_after_journal";
    /// A transfer went on after a crash between a file's name and its answer.
    ResumedAfterRename = "resumed_after_rename";
    /// A transfer went on once a full disk had room again.
    ResumedAfterFull = "resumed_after_full";
    /// Leaves told which chunks differ, and some were sent again.
    Repaired = "repaired";
    /// A repair was cut off and taken up again.
    RepairTakenUp = "repair_taken_up";
    /// A file that was stored in an earlier connection was compared and kept.
    StoredChecked = "stored_checked";
    /// A file that was stored in an earlier connection is another one now.
    StoredChanged = "stored_changed";
    /// What there was of an entry that is another one now was not used.
    EntryChanged = "entry_changed";
    /// A receipt that had been lost was given again.
    ReceiptAgain = "receipt_again";
    /// Two sides met again by the older of two secrets.
    OlderSecret = "older_secret";
    /// A transfer went on with chunks that a killed process had written and not
    /// made durable.
    ResumedFromNotes = "resumed_from_notes";
    /// Keys were updated in a session.
    KeysUpdated = "keys_updated";
    /// The wire lost a message on the channel where it may.
    MessageLost = "message_lost";
    /// Something that was said beside transfers was heard, over the channel on which
    /// nothing may be lost.
    HeardReliable = "heard_reliable";
    /// The same, over the channel on which something may be.
    HeardUnreliable = "heard_unreliable";
    /// The wire lost a message between a wish for new keys and its answer.
    UpdateWithLoss = "update_with_loss";
    /// Both sides asked for new keys at the same time.
    UpdatesCrossed = "updates_crossed";
    /// A transfer was completed by two clocks that do not run alike.
    ClocksApart = "clocks_apart";
    /// An old record came again, and was dropped.
    ReplayDropped = "replay_dropped";
}

/// The conditions that were met.
pub(crate) type Met = BTreeSet<Sometimes>;
