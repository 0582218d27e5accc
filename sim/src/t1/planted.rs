//! Bugs put into T1's world on purpose, to show that its invariants find them.
//! They lie around the endpoints, in what carries their datagrams, blobs, files
//! and timers, never in the code under test.

use passel_sans_io::datagram::Datagram;
use serde::{Deserialize, Serialize};

use super::Run;
use super::checks::is_request;
use crate::readable::IN_CONTENT;

/// A bug of the world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Planted {
    /// A blob of the signaling tells the name of a file.
    BlobReadable,
    /// A blob of the signaling tells an address in the clear.
    AddressReadable,
    /// A datagram tells what is in a file.
    DatagramReadable,
    /// The signaling loses every blob after the first.
    BlobLost,
    /// A datagram leaves from an address that is not the host's.
    OtherAddress,
    /// A host checks ever other ports of its peer.
    ChecksWander,
    /// The network carries so many datagrams and no more.
    NetworkStops,
    /// The network carries nothing that goes from one host to the other but through a
    /// relay, where there can be a path over one.
    DirectLost,
    /// The network carries nothing any more once a connection was lost.
    LostForEver,
    /// A shell takes an endpoint for done as soon as it says that it is closed.
    DoneEarly,
    /// A shell wakes an endpoint at once whenever it asks to be woken.
    TimerSpins,
    /// Storage turns a bit of what it writes.
    WriteFlipped,
    /// Storage writes every chunk but the first one in the place before its own.
    WriteMisplaced,
    /// Storage leaves the file without a name where it was when it gets one.
    PartKept,
    /// Storage answers a request twice.
    ReplyTwice,
    /// Storage gives a name to a file that lacks its last byte.
    CutShort,
    /// Storage loses a request to read what was read before, so that a chunk that
    /// went over a lane that died is not sent again.
    ReadOnce,
}

impl Planted {
    /// All of them.
    pub const ALL: &'static [Planted] = &[
        Planted::BlobReadable,
        Planted::AddressReadable,
        Planted::DatagramReadable,
        Planted::BlobLost,
        Planted::OtherAddress,
        Planted::ChecksWander,
        Planted::NetworkStops,
        Planted::DirectLost,
        Planted::LostForEver,
        Planted::DoneEarly,
        Planted::TimerSpins,
        Planted::WriteFlipped,
        Planted::WriteMisplaced,
        Planted::PartKept,
        Planted::ReplyTwice,
        Planted::CutShort,
        Planted::ReadOnce,
    ];
}

/// Datagrams that a network carries that stops.
const CARRIED: u64 = 40;
/// The datagram that is readable, or leaves from elsewhere.
const NTH: u64 = 12;

impl Run<'_> {
    /// What becomes of a blob of the signaling; nothing if it is lost.
    pub(super) fn spoil_blob(&mut self, mut blob: Vec<u8>) -> Option<Vec<u8>> {
        self.blobs += 1;
        match self.plan.planted {
            Some(Planted::BlobReadable) => blob.extend(IN_CONTENT),
            Some(Planted::AddressReadable) => {
                let address = self.plan.hosts[0].addresses[0];
                blob.extend(address.to_string().as_bytes());
            }
            Some(Planted::BlobLost) if self.blobs > 1 => return None,
            _ => {}
        }
        Some(blob)
    }

    /// What becomes of a datagram that a host sends. Whether it is carried.
    pub(super) fn spoil_datagram(&mut self, datagram: &mut Datagram) -> bool {
        self.datagrams += 1;
        match self.plan.planted {
            Some(Planted::DatagramReadable) if self.datagrams == NTH => {
                datagram.contents.extend(IN_CONTENT);
            }
            Some(Planted::OtherAddress) if self.datagrams == NTH => {
                datagram.source.set_port(datagram.source.port().wrapping_add(1));
            }
            Some(Planted::ChecksWander) if is_request(&datagram.contents) => {
                let nth = u16::try_from(self.datagrams % 20_000).unwrap_or(1);
                let port = datagram.destination.port().wrapping_add(nth);
                datagram.destination.set_port(port.max(1));
            }
            Some(Planted::DirectLost) if self.prospect.relayed => {
                let mut servers = self.plan.all_servers();
                let ip = datagram.destination.ip();
                return servers.any(|server| server.addresses.contains(&ip));
            }
            Some(Planted::LostForEver) => return self.connection == 0,
            Some(Planted::NetworkStops) => return self.datagrams <= CARRIED,
            _ => {}
        }
        true
    }
}
