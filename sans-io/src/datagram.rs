//! Datagrams as they cross the border to the shell: one owned kind on the way
//! out, one borrowed kind on the way in, so that receiving copies nothing. What
//! does not live here: sockets, and what the bytes mean.

use std::net::SocketAddr;

/// A datagram to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Datagram {
    /// The local address to send from: one that was given as a local candidate.
    pub source: SocketAddr,
    /// Where to send it.
    pub destination: SocketAddr,
    /// The payload.
    pub contents: Vec<u8>,
}

/// A datagram that was received, borrowed from the receive buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DatagramRef<'a> {
    /// Who sent it.
    pub source: SocketAddr,
    /// The local address that it came to: the interface's own, not a wildcard,
    /// so that it is matched with the local candidate.
    pub destination: SocketAddr,
    /// The payload.
    pub contents: &'a [u8],
}

impl DatagramRef<'_> {
    /// A copy of its own.
    pub fn to_owned(&self) -> Datagram {
        let contents = self.contents.to_vec();
        Datagram { source: self.source, destination: self.destination, contents }
    }
}

impl Datagram {
    /// The same datagram, borrowed.
    pub fn as_ref(&self) -> DatagramRef<'_> {
        DatagramRef { source: self.source, destination: self.destination, contents: &self.contents }
    }
}
