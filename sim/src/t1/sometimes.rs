//! Conditions that a swarm of T1 must have met: lines that never lost a
//! datagram have not shown that losses are got over.

use crate::net::{Blocked, Fate};

/// A condition that runs are expected to meet now and then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Condition {
    /// Something befell a datagram.
    Datagram(Fate),
    /// A gateway let a datagram no further.
    Blocked(Blocked),
    /// There is a path, which without the answers of a server there could not be.
    PathByServer,
    /// There is a path, and both sides stand behind translators that let in only
    /// what answers.
    PathByPunching,
    /// There is a path, which must go through one translator twice.
    PathByHairpin,
    /// There is a path, and one end of it had to be learned from what came in.
    PathToLearnedEnd,
    /// A host got other addresses between the handshake and a transfer's end.
    RoamedInTransfer,
    /// It did, and the transfer was completed.
    RoamGotOver,
    /// It did, and the connection was lost.
    LostByRoam,
    /// Somebody did something to a blob of the signaling.
    MeddledInRendezvous,
    /// Somebody did something to what a relay sends.
    MeddledInRelay,
    /// Somebody did something to what a STUN server answers.
    MeddledInServer,
    /// Somebody did something to what a host puts on its line.
    MeddledOnLines,
    /// There was no connection, or none any more, since somebody forged something or a
    /// line altered it.
    EndedByMeddling,
    /// Somebody forged something or a line altered it, and all was completed.
    MeddlingGotOver,
    /// There is a path over a relay, since there can be no other.
    RelayFallback,
    /// A path over a relay was found before the direct one.
    RelayFirst,
    /// There was a relay, and the path that was used in the end is direct.
    RelaySpared,
    /// All relayed addresses were let go at the end.
    RelayReleased,
    /// There can be no path, and both sides said so.
    NoPath,
    /// A gateway forgot everything and gave other ports between the handshake and a
    /// transfer's end.
    RebindInTransfer,
    /// A gateway forgot everything between the handshake and a transfer's end.
    RebootInTransfer,
    /// One of these happened, and the transfer was completed.
    UpsetGotOver,
    /// The connection was lost since a gateway forgot everything.
    LostByUpset,
    /// The path that was chosen is of IPv4.
    PathV4,
    /// The path that was chosen is of IPv6.
    PathV6,
    /// Both sides have both families, and all was completed.
    BothFamilies,
    /// A run was completed by two clocks that do not run alike.
    ClocksApart,
    /// Both sides sent files, and all were completed.
    BothDirections,
    /// A file of no bytes got its name.
    EmptyFile,
    /// Something was lost after the handshake and before a transfer's end.
    LossInTransfer,
    /// A line was out between the handshake and a transfer's end.
    OutageInTransfer,
    /// The end of a connection was not heard.
    CloseLost,
    /// Sequence numbers of SCTP wrapped.
    SequenceWrapped,
    /// Datagrams went over further lanes.
    SeveralLanes,
    /// Further lanes came up although both sides stand behind translators.
    LanesThroughTranslators,
    /// A program died between the handshake and a transfer's end, and its machine did
    /// not.
    KilledInTransfer,
    /// The same, and its machine lost power.
    PowerLostInTransfer,
    /// A transfer went on in another connection, from what there was of it.
    Resumed,
    /// It did after the world had healed.
    ResumedWhenHealed,
    /// The joiner named a secret that the inviter did not have, and another the next
    /// time.
    SecretUnknown,
    /// The two knew each other by the older of two secrets.
    OlderSecret,
    /// No path was found, since a gateway had no room for another session.
    NoRoom,
    /// A host left the network where it was between the handshake and a transfer's end.
    LeftInTransfer,
    /// Files whose lengths were not told before were all stored.
    Streams,
    /// A lane was lost in the middle of such a transfer.
    LaneLostByStream,
    /// A lane was lost in the middle of a transfer, which was completed.
    LaneLost,
    /// A chunk was read and sent again.
    ChunkAgain,
    /// Somebody asked for other keys.
    Updated,
    /// The same, with further lanes up.
    UpdatedWithLanes,
    /// Somebody had a transfer wait.
    Paused,
    /// The same, with further lanes up.
    PausedWithLanes,
    /// Somebody ended a transfer.
    Cancelled,
    /// The same, with further lanes up.
    CancelledWithLanes,
    /// Something that was said was heard.
    Heard,
    /// The same, with further lanes up.
    HeardWithLanes,
}

impl Condition {
    /// All conditions that plans drawn from seeds can meet.
    pub const ALL: &'static [Condition] = &[
        Condition::Datagram(Fate::Lost),
        Condition::Datagram(Fate::LostInBurst),
        Condition::Datagram(Fate::QueueFull),
        Condition::Datagram(Fate::Outage),
        Condition::Datagram(Fate::Queued),
        Condition::Datagram(Fate::Reordered),
        Condition::Datagram(Fate::Duplicated),
        Condition::Datagram(Fate::Corrupted),
        Condition::Datagram(Fate::TooLong),
        Condition::Blocked(Blocked::Udp),
        Condition::Blocked(Blocked::TableFull),
        Condition::Blocked(Blocked::NoMapping),
        Condition::Blocked(Blocked::Filtered),
        Condition::Blocked(Blocked::NoHairpin),
        Condition::Blocked(Blocked::Unreachable),
        Condition::PathByServer,
        Condition::PathByPunching,
        Condition::PathByHairpin,
        Condition::PathToLearnedEnd,
        Condition::RoamedInTransfer,
        Condition::RoamGotOver,
        Condition::LostByRoam,
        Condition::MeddledInRendezvous,
        Condition::MeddledInRelay,
        Condition::MeddledInServer,
        Condition::MeddledOnLines,
        Condition::EndedByMeddling,
        Condition::MeddlingGotOver,
        Condition::RelayFallback,
        Condition::RelayFirst,
        Condition::RelaySpared,
        Condition::RelayReleased,
        Condition::NoPath,
        Condition::RebindInTransfer,
        Condition::RebootInTransfer,
        Condition::UpsetGotOver,
        Condition::LostByUpset,
        Condition::PathV4,
        Condition::PathV6,
        Condition::BothFamilies,
        Condition::ClocksApart,
        Condition::BothDirections,
        Condition::EmptyFile,
        Condition::LossInTransfer,
        Condition::OutageInTransfer,
        Condition::CloseLost,
        Condition::SequenceWrapped,
        Condition::SeveralLanes,
        Condition::LanesThroughTranslators,
        Condition::Streams,
        Condition::LaneLostByStream,
        Condition::LaneLost,
        Condition::ChunkAgain,
        Condition::KilledInTransfer,
        Condition::PowerLostInTransfer,
        Condition::Resumed,
        Condition::ResumedWhenHealed,
        Condition::SecretUnknown,
        Condition::OlderSecret,
        Condition::LeftInTransfer,
        Condition::Updated,
        Condition::UpdatedWithLanes,
        Condition::Paused,
        Condition::PausedWithLanes,
        Condition::Cancelled,
        Condition::CancelledWithLanes,
        Condition::Heard,
        Condition::HeardWithLanes,
    ];

    /// Its name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Condition::Datagram(fate) => match fate {
                Fate::Lost => "datagram_lost",
                Fate::LostInBurst => "datagram_lost_in_burst",
                Fate::QueueFull => "queue_full",
                Fate::TooLong => "datagram_too_long",
                Fate::Outage => "lost_in_outage",
                Fate::Queued => "datagram_queued",
                Fate::Reordered => "datagram_reordered",
                Fate::Duplicated => "datagram_duplicated",
                Fate::Corrupted => "datagram_corrupted",
            },
            Condition::Blocked(blocked) => match blocked {
                Blocked::Udp => "udp_blocked",
                Blocked::TableFull => "table_full",
                Blocked::NoPort => "no_port",
                Blocked::NoMapping => "no_mapping",
                Blocked::Filtered => "filtered",
                Blocked::NoHairpin => "no_hairpin",
                Blocked::Unreachable => "unreachable",
            },
            Condition::PathByServer => "path_by_server",
            Condition::PathByPunching => "path_by_punching",
            Condition::PathByHairpin => "path_by_hairpin",
            Condition::PathToLearnedEnd => "path_to_learned_end",
            Condition::RoamedInTransfer => "roamed_in_transfer",
            Condition::RoamGotOver => "roam_got_over",
            Condition::LostByRoam => "lost_by_roam",
            Condition::MeddledInRendezvous => "meddled_in_rendezvous",
            Condition::MeddledInRelay => "meddled_in_relay",
            Condition::MeddledInServer => "meddled_in_server",
            Condition::MeddledOnLines => "meddled_on_lines",
            Condition::EndedByMeddling => "ended_by_meddling",
            Condition::MeddlingGotOver => "meddling_got_over",
            Condition::RelayFallback => "relay_fallback",
            Condition::RelayFirst => "relay_first",
            Condition::RelaySpared => "relay_spared",
            Condition::RelayReleased => "relay_released",
            Condition::NoPath => "no_path",
            Condition::KilledInTransfer => "killed_in_transfer",
            Condition::PowerLostInTransfer => "power_lost_in_transfer",
            Condition::Resumed => "resumed",
            Condition::ResumedWhenHealed => "resumed_when_healed",
            Condition::SecretUnknown => "secret_unknown",
            Condition::OlderSecret => "older_secret",
            Condition::NoRoom => "no_room",
            Condition::LeftInTransfer => "left_in_transfer",
            Condition::RebindInTransfer => "rebind_in_transfer",
            Condition::RebootInTransfer => "reboot_in_transfer",
            Condition::UpsetGotOver => "upset_got_over",
            Condition::LostByUpset => "lost_by_upset",
            Condition::PathV4 => "path_v4",
            Condition::PathV6 => "path_v6",
            Condition::BothFamilies => "both_families",
            Condition::ClocksApart => "clocks_apart",
            Condition::BothDirections => "both_directions",
            Condition::EmptyFile => "empty_file",
            Condition::LossInTransfer => "loss_in_transfer",
            Condition::OutageInTransfer => "outage_in_transfer",
            Condition::CloseLost => "close_lost",
            Condition::SequenceWrapped => "sequence_wrapped",
            Condition::SeveralLanes => "several_lanes",
            Condition::LanesThroughTranslators => "lanes_through_translators",
            Condition::Streams => "streams",
            Condition::LaneLostByStream => "lane_lost_by_stream",
            Condition::LaneLost => "lane_lost",
            Condition::ChunkAgain => "chunk_again",
            Condition::Updated => "updated",
            Condition::UpdatedWithLanes => "updated_with_lanes",
            Condition::Paused => "paused",
            Condition::PausedWithLanes => "paused_with_lanes",
            Condition::Cancelled => "cancelled",
            Condition::CancelledWithLanes => "cancelled_with_lanes",
            Condition::Heard => "heard",
            Condition::HeardWithLanes => "heard_with_lanes",
        }
    }
}
