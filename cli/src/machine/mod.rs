//! What a command takes from the machine that it runs on: sockets, entropy,
//! where state is kept, where output goes, who asks it to end. The commands are
//! the same over a simulated machine, whose sockets are those of a simulation.
//! The clock is the runtime's (`clock`), files are the system's. What does not
//! live here: what is done with any of it.

mod processor;
mod real;

use std::future::Future;
use std::io::{self, IoSliceMut, Write};
use std::net::{IpAddr, SocketAddr};

use passel_rendezvous::shell::Listener;
pub use passel_sans_io::lane::LaneConfig;
pub use quinn_udp::{RecvMeta, Transmit};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;

pub use self::real::{Real, RealUdp};
use crate::journal::StateDir;

/// A UDP socket that is read and written in batches.
pub trait UdpSocket: 'static {
    /// The address that it is bound to.
    fn local_addr(&self) -> io::Result<SocketAddr>;

    /// Waits until there may be something to read. Dropping it loses nothing.
    fn readable(&self) -> impl Future<Output = io::Result<()>>;

    /// Waits until there may be room to write.
    fn writable(&self) -> impl Future<Output = io::Result<()>>;

    /// Most datagrams of one size that may go into one [`Transmit`], at least 1.
    fn max_segments(&self) -> usize;

    /// Reads what there is into `slices`, one run of datagrams each, says in
    /// `metas` what they are, and returns how many were filled.
    ///
    /// # Errors
    ///
    /// `WouldBlock` if there is nothing; others are the socket's.
    fn try_recv(&self, slices: &mut [IoSliceMut<'_>], metas: &mut [RecvMeta]) -> io::Result<usize>;

    /// Sends all of `transmit`, or nothing.
    ///
    /// # Errors
    ///
    /// `WouldBlock` if there is no room; others are the socket's.
    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()>;
}

/// Who asks the program to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asker {
    /// A person, with Ctrl-C.
    Person,
    /// The system, with another signal.
    System,
}

/// A machine, as the commands see it.
pub trait Machine: Clone + Send + Sync + 'static {
    /// Its UDP sockets.
    type Udp: UdpSocket;
    /// Its TCP connections.
    type Tcp: AsyncRead + AsyncWrite + Send + Unpin + 'static;
    /// Its TCP listeners.
    type Listener: Listener;

    /// Binds a UDP socket at a port that the machine chooses.
    fn bind_udp(&self, ip: IpAddr) -> io::Result<Self::Udp>;

    /// The addresses of all its interfaces.
    fn addresses(&self) -> io::Result<Vec<IpAddr>>;

    /// The addresses that a name has.
    fn resolve(
        &self,
        name: &str,
        port: u16,
    ) -> impl Future<Output = io::Result<Vec<SocketAddr>>> + Send;

    /// Opens a TCP connection for messages that are few and small.
    fn connect(&self, to: SocketAddr) -> impl Future<Output = io::Result<Self::Tcp>> + Send;

    /// Listens for TCP connections.
    fn listen(&self, at: SocketAddr) -> impl Future<Output = io::Result<Self::Listener>>;

    /// Entropy for everything that a command draws (`SC-ENTROPY`).
    fn entropy(&self) -> io::Result<[u8; 32]>;

    /// Has a say in the transport: its cryptography may draw entropy too.
    fn prepare(&self, lane: &mut LaneConfig) {
        let _ = lane;
    }

    /// Where state is kept that outlives the process.
    fn state(&self) -> io::Result<StateDir>;

    /// Standard output.
    fn output(&self) -> Box<dyn Write>;

    /// Whether there is a standard input that could hold controls.
    fn has_input(&self) -> bool;

    /// Listens from now on for whoever asks the program to end. What comes after
    /// the first request is the machine's to deal with.
    fn requests(&self) -> mpsc::UnboundedReceiver<Asker>;

    /// Whether its processor has instructions for AES (`HS-SUITE-AES`).
    fn has_aes(&self) -> bool;

    /// Whether storage computes the hashes of chunks in place of the thread that has the
    /// network: where there are cores for both, at the other end too.
    fn storage_hashes(&self) -> bool;

    /// Threads for further lanes, apart from the one that has the connection; none where
    /// they would take turns on its core. `asked` is what the user wants.
    fn lane_threads(&self, asked: Option<u16>) -> usize;

    /// Whether storage has a thread of its own, so that a slow disk delays
    /// nobody. Without one, a request is carried out where it is made.
    fn has_threads(&self) -> bool;
}

#[cfg(test)]
pub(crate) mod memory;
