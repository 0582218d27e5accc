//! A path as data, and what comes of a run on it. All times are microseconds of
//! virtual time.

use std::collections::BTreeMap;

use crate::net::{LinePlan, Loss};

/// Smallest queue of a bottleneck, in bytes. One bandwidth-delay product of a
/// short path would hold a few packets, fewer than any router does.
pub const SMALLEST_QUEUE: u64 = 64 * 1024;

/// A path, and what goes over it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathPlan {
    /// Seeds every draw of the run.
    pub seed: u64,
    /// Round-trip time of an empty path.
    pub round_trip_us: u64,
    /// Bytes a second, in each direction; 0 for no limit.
    pub rate: u64,
    /// How many of a thousand datagrams are lost, in each direction.
    pub loss_permille: u64,
    /// How long a blob takes through the rendezvous.
    pub signaling_us: u64,
    /// The pairs that share the path, each with a transfer of its own: how many
    /// lanes each may have.
    pub pairs: Vec<u16>,
    /// Bytes of each pair's file.
    pub bytes: u64,
    /// When the run ends at the latest.
    pub until_us: u64,
    /// Bytes a second that each sender is told to keep to, if any.
    pub limit: Option<u64>,
}

impl PathPlan {
    /// A path without loss, whose signaling takes one round trip, with one pair of
    /// one lane.
    pub fn new(round_trip_us: u64, rate: u64, bytes: u64) -> Self {
        Self {
            seed: 1,
            round_trip_us,
            rate,
            loss_permille: 0,
            signaling_us: round_trip_us,
            pairs: vec![1],
            bytes,
            until_us: 600_000_000,
            limit: None,
        }
    }

    /// Either direction: half of the delay, all of the loss, and a queue of one
    /// bandwidth-delay product that drops what comes last.
    pub(super) fn line(&self) -> LinePlan {
        let product = self.rate.saturating_mul(self.round_trip_us) / 1_000_000;
        let loss = match self.loss_permille {
            0 => Loss::None,
            permille => Loss::Uniform { permille },
        };
        LinePlan {
            rate: self.rate,
            queue: product.max(SMALLEST_QUEUE),
            loss,
            ..LinePlan::ideal(self.round_trip_us / 2)
        }
    }
}

/// Something that happens at the receiver on the way to a complete file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mark {
    /// The sender's description is here: a path can be looked for.
    Answered,
    /// DTLS is up.
    Connected,
    /// The handshake is confirmed.
    Established,
    /// The offer is here.
    Offered,
    /// A first chunk is verified and handed to storage.
    FirstWrite,
    /// What was written first is durable.
    FirstDurable,
    /// The transfer is complete.
    Completed,
}

impl Mark {
    /// All, in their order.
    pub const ALL: [Self; 7] = [
        Self::Answered,
        Self::Connected,
        Self::Established,
        Self::Offered,
        Self::FirstWrite,
        Self::FirstDurable,
        Self::Completed,
    ];
}

/// What came of one pair.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Measured {
    /// When things happened first.
    pub marks: BTreeMap<Mark, u64>,
    /// When it was complete, or when time was up.
    pub ended_us: u64,
    /// Bytes that the receiver has verified by then.
    pub bytes: u64,
    /// Datagrams that both peers sent.
    pub datagrams: u64,
    /// How many of them the path lost at random.
    pub lost: u64,
    /// How many of them found the queue full.
    pub dropped: u64,
    /// Most lanes that were up at the sender at a time.
    pub lanes: usize,
}

impl Measured {
    /// When something happened first.
    pub fn at(&self, mark: Mark) -> Option<u64> {
        self.marks.get(&mark).copied()
    }

    /// Verified bytes a second, from the receiver's yes to the end.
    pub fn goodput(&self) -> u64 {
        let begin = self.at(Mark::Offered).unwrap_or(self.ended_us);
        let took = self.ended_us.saturating_sub(begin).max(1);
        u64::try_from(u128::from(self.bytes) * 1_000_000 / u128::from(took)).unwrap_or(u64::MAX)
    }
}
