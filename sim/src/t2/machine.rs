//! The machine that `passel`'s commands see on the stage: turmoil's sockets, the
//! thread's entropy, a state directory of the host's own, and an output whose
//! lines are heard. Storage is carried out where it is asked for, so that no
//! thread has a say in the order of things.

use std::future::Future;
use std::io::{self, ErrorKind, IoSliceMut, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use passel::journal::StateDir;
use passel::machine::{Asker, LaneConfig, Machine, RecvMeta, Transmit, UdpSocket};
use passel_proto::ids::Role;
use passel_rendezvous::shell::Listener;
use passel_sans_io::lane::DtlsVersion;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::mpsc;
use tokio::time::Instant;
use turmoil::net::{TcpListener, TcpStream};

use super::planted::Spoiler;
use super::stage::{Seat, lock};
use crate::plan::Side;
use crate::t1::crypto;

/// How often a program may wait for a socket at one moment of virtual time. One that
/// goes on is kept awake by a time that is past, and no time would ever pass.
const WAITS_AT_ONCE: u32 = 200_000;

/// Hears what goes out of a host: lines, and bytes on the wire.
pub(super) trait Ear: Send + Sync {
    /// A line of standard output.
    fn line(&self, seat: &Seat, line: &str);
    /// Bytes on their way to another host.
    fn bytes(&self, seat: &Seat, bytes: &[u8]);
    /// Bytes on their way over TCP, which only the rendezvous speaks.
    fn stream(&self, seat: &Seat, bytes: &[u8]);
    /// A UDP socket is bound, or one is closed.
    fn socket(&self, seat: &Seat, is_bound: bool);
}

/// A host's machine.
#[derive(Clone)]
pub(super) struct Simulated {
    pub(super) seat: Seat,
    /// Where its state is kept.
    pub(super) state: PathBuf,
    pub(super) ear: Arc<dyn Ear>,
    /// What a planted bug does to it.
    pub(super) spoiler: Arc<Spoiler>,
}

impl Machine for Simulated {
    type Udp = Udp;
    type Tcp = Tcp;
    type Listener = Listening;

    fn bind_udp(&self, ip: IpAddr) -> io::Result<Udp> {
        // Turmoil's hosts have one family, and panic if asked for the other.
        if ip.is_ipv4() != self.seat.address().is_ipv4() {
            return Err(ErrorKind::AddrNotAvailable.into());
        }
        let socket = at_once(turmoil::net::UdpSocket::bind((ip, 0)))?;
        self.ear.socket(&self.seat, true);
        let waits = Mutex::new((Instant::now(), 0));
        Ok(Udp { socket, waits, machine: self.clone() })
    }

    fn addresses(&self) -> io::Result<Vec<IpAddr>> {
        Ok(vec![self.seat.address()])
    }

    async fn resolve(&self, _name: &str, _port: u16) -> io::Result<Vec<SocketAddr>> {
        Err(ErrorKind::NotFound.into())
    }

    async fn connect(&self, to: SocketAddr) -> io::Result<Tcp> {
        let stream = TcpStream::connect(to).await?;
        Ok(Tcp { stream, machine: self.clone() })
    }

    async fn listen(&self, at: SocketAddr) -> io::Result<Listening> {
        Ok(Listening { listener: TcpListener::bind(at).await?, machine: self.clone() })
    }

    fn entropy(&self) -> io::Result<[u8; 32]> {
        let mut seed = [0; 32];
        for part in seed.chunks_mut(8) {
            let bits = passel_sim_entropy::bits().ok_or(ErrorKind::NotFound)?;
            part.copy_from_slice(&bits.to_le_bytes());
        }
        self.spoiler.entropy(&mut seed);
        Ok(seed)
    }

    fn prepare(&self, lane: &mut LaneConfig) {
        let side = match lane.role {
            Role::Responder => Side::Inviter,
            Role::Initiator => Side::Joiner,
        };
        lane.dtls = DtlsVersion::Dtls13;
        lane.certificate = Some(crypto::certificate(side));
        lane.crypto = Some(crypto::provider());
    }

    fn state(&self) -> io::Result<StateDir> {
        StateDir::at(&self.state)
    }

    fn output(&self) -> Box<dyn Write> {
        Box::new(Output { machine: self.clone(), begun: Vec::new() })
    }

    fn has_input(&self) -> bool {
        false
    }

    fn requests(&self) -> mpsc::UnboundedReceiver<Asker> {
        self.seat.requests()
    }

    fn has_aes(&self) -> bool {
        true
    }

    fn storage_hashes(&self) -> bool {
        true
    }

    fn lane_threads(&self, _asked: Option<u16>) -> usize {
        0
    }

    fn has_threads(&self) -> bool {
        false
    }
}

/// What a future gives that never waits.
fn at_once<T>(future: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(result) => result,
        Poll::Pending => Err(ErrorKind::WouldBlock.into()),
    }
}

/// A UDP socket.
pub(super) struct Udp {
    socket: turmoil::net::UdpSocket,
    /// When it was waited for last, and how often at that moment.
    waits: Mutex<(Instant, u32)>,
    machine: Simulated,
}

impl Drop for Udp {
    fn drop(&mut self) {
        self.machine.ear.socket(&self.machine.seat, false);
    }
}

impl UdpSocket for Udp {
    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    async fn readable(&self) -> io::Result<()> {
        let waits = {
            let (now, mut waits) = (Instant::now(), lock(&self.waits));
            *waits = if waits.0 == now { (now, waits.1 + 1) } else { (now, 1) };
            waits.1
        };
        assert!(waits < WAITS_AT_ONCE, "{}: a timer spins", self.machine.seat.address());
        self.socket.readable().await
    }

    async fn writable(&self) -> io::Result<()> {
        self.socket.writable().await
    }

    fn max_segments(&self) -> usize {
        1
    }

    fn try_recv(&self, slices: &mut [IoSliceMut<'_>], metas: &mut [RecvMeta]) -> io::Result<usize> {
        let mut filled = 0;
        for (slice, meta) in slices.iter_mut().zip(metas) {
            match self.socket.try_recv_from(slice) {
                Ok((len, from)) => {
                    let arrived = slice.get(..len).unwrap_or_default();
                    self.machine.seat.log.arrival(self.machine.seat.place, arrived);
                    *meta = RecvMeta::default();
                    meta.addr = from;
                    meta.len = len;
                    meta.stride = len;
                    meta.dst_ip = Some(self.machine.seat.address());
                    filled += 1;
                }
                Err(error) if filled == 0 => return Err(error),
                Err(_) => break,
            }
        }
        Ok(filled)
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        let (seat, to) = (&self.machine.seat, transmit.destination);
        let Some(contents) = self.machine.spoiler.datagram(transmit.contents) else {
            return Ok(());
        };
        seat.log.datagram(seat.place, to.ip(), &contents);
        self.machine.ear.bytes(seat, &contents);
        self.socket.try_send_to(&contents, to).map(|_| ())
    }
}

/// A TCP listener.
pub(super) struct Listening {
    listener: TcpListener,
    machine: Simulated,
}

impl Listener for Listening {
    type Stream = Tcp;

    async fn accept(&self) -> io::Result<(Tcp, SocketAddr)> {
        let (stream, from) = self.listener.accept().await?;
        Ok((Tcp { stream, machine: self.machine.clone() }, from))
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        // Turmoil listens at all addresses or none.
        let local = self.listener.local_addr()?;
        Ok(SocketAddr::new(self.machine.seat.address(), local.port()))
    }
}

/// Everywhere on a host of this family.
pub(super) fn anywhere(of: IpAddr) -> IpAddr {
    if of.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() }
}

/// A TCP connection whose bytes are heard.
pub(super) struct Tcp {
    stream: TcpStream,
    machine: Simulated,
}

impl AsyncRead for Tcp {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Tcp {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let seat = &self.machine.seat;
        let bytes = self.machine.spoiler.stream(seat.place, bytes);
        self.machine.ear.stream(seat, &bytes);
        if let Ok(to) = self.stream.peer_addr() {
            seat.log.stream(seat.place, to.ip(), bytes.len());
        }
        Pin::new(&mut self.stream).poll_write(context, &bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// Standard output, heard line by line.
struct Output {
    machine: Simulated,
    begun: Vec<u8>,
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.begun.extend_from_slice(bytes);
        while let Some(end) = self.begun.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.begun.drain(..=end).collect();
            let line = String::from_utf8_lossy(&line);
            if self.machine.spoiler.comes_out(&line) {
                self.machine.ear.line(&self.machine.seat, line.trim_end());
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
