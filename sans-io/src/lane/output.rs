//! What a lane hands out: datagrams, events and the time of its next wake-up,
//! and the counters that it keeps. No behaviour lives here.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use passel_proto::error::Error;
use passel_proto::ids::Channel;

use crate::datagram::Datagram;

/// One output of [`super::Lane::poll`].
#[derive(Debug)]
pub enum LaneOutput {
    /// A datagram to be sent. UDP may lose it, and so may the caller.
    Transmit(Datagram),
    /// Something happened.
    Event(LaneEvent),
    /// The lane is drained. It wants `handle_timeout` at this time, or never
    /// again when there is none. An input in between makes the time void.
    Timeout(Option<Instant>),
}

/// Something that happened on a lane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LaneEvent {
    /// The state of the search for a path changed.
    IceState(IceState),
    /// DTLS is up and the peer's certificate is the described one. No message
    /// comes before this.
    Connected {
        /// The path, and with which version of DTLS.
        path: Path,
        /// The DTLS version agreed upon.
        dtls: Dtls,
        /// SHA-256 of the peer's certificate.
        fingerprint: [u8; 32],
    },
    /// The channel can be written to.
    ChannelOpen(Channel),
    /// A whole message.
    Message {
        /// The channel it came on.
        channel: Channel,
        /// The message.
        data: Vec<u8>,
    },
    /// A channel that lacked room has at least half of its window free again.
    Writable(Channel),
    /// The peer closed the channel.
    ChannelClosed(Channel),
    /// The lane was closed by either side. Nothing comes after this.
    Closed,
    /// The lane failed. Nothing comes after this.
    Failed(Error),
}

/// How far the search for a path is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IceState {
    /// Nothing was tried yet.
    New,
    /// Pairs of addresses are being tried.
    Checking,
    /// There is a path.
    Connected,
    /// All pairs were tried in vain, or the peer fell silent. Only a new
    /// candidate, or a datagram of the peer, starts the search again.
    Disconnected,
}

/// A pair of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Path {
    /// This side's address.
    pub local: SocketAddr,
    /// The peer's address.
    pub remote: SocketAddr,
}

/// The version of DTLS agreed upon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dtls {
    /// DTLS 1.2.
    V1_2,
    /// DTLS 1.3.
    V1_3,
}

/// Counters of one lane, since its beginning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LaneMetrics {
    /// Datagrams handed out.
    pub datagrams_out: u64,
    /// Their payload, in bytes.
    pub bytes_out: u64,
    /// Datagrams taken in.
    pub datagrams_in: u64,
    /// Their payload, in bytes.
    pub bytes_in: u64,
    /// Datagrams refused: not of this lane, of no kind that it knows, or more
    /// than the caller drained.
    pub datagrams_refused: u64,
    /// Bytes of messages handed out by `poll`.
    pub message_bytes_in: u64,
    /// Bytes of messages accepted by `write`.
    pub message_bytes_out: u64,
    /// Remote candidates ignored: unusable, or above the limit; and checks ignored that
    /// would have made one more of them (`TB-CAND-REFLEXIVE`).
    pub candidates_refused: u64,
    /// The first sequence number of SCTP that the lane sends, if it was drawn ahead
    /// (`TB-SNAP`).
    pub first_sequence: Option<u32>,
    /// The path in use.
    pub path: Option<Path>,
    /// Round-trip time of the latest connectivity check on that path.
    pub round_trip: Option<Duration>,
}
