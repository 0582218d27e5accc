//! Conditions that a swarm of T1 must have met: lines that never lost a
//! datagram have not shown that losses are got over.

use std::collections::BTreeSet;

use crate::net::Fate;

/// A condition that runs are expected to meet now and then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Condition {
    /// Something befell a datagram.
    Datagram(Fate),
    /// The path that was chosen is of IPv4.
    PathV4,
    /// The path that was chosen is of IPv6.
    PathV6,
    /// Both sides have both families.
    BothFamilies,
    /// Both sides sent files.
    BothDirections,
    /// A file of no bytes got its name.
    EmptyFile,
    /// Something was lost after the handshake and before a transfer's end.
    LossInTransfer,
    /// A line was out between the handshake and a transfer's end.
    OutageInTransfer,
    /// The end of a connection was not heard.
    CloseLost,
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
        Condition::PathV4,
        Condition::PathV6,
        Condition::BothFamilies,
        Condition::BothDirections,
        Condition::EmptyFile,
        Condition::LossInTransfer,
        Condition::OutageInTransfer,
        Condition::CloseLost,
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
            Condition::PathV4 => "path_v4",
            Condition::PathV6 => "path_v6",
            Condition::BothFamilies => "both_families",
            Condition::BothDirections => "both_directions",
            Condition::EmptyFile => "empty_file",
            Condition::LossInTransfer => "loss_in_transfer",
            Condition::OutageInTransfer => "outage_in_transfer",
            Condition::CloseLost => "close_lost",
        }
    }
}

/// The conditions that were met.
pub type Met = BTreeSet<Condition>;

/// The names of those that were not.
pub fn missed(met: &Met) -> Vec<&'static str> {
    Condition::ALL.iter().filter(|one| !met.contains(one)).map(|one| one.name()).collect()
}
