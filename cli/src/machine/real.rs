//! The machine that this process runs on: the system's sockets, with its
//! segmentation offload where it has one, its entropy, and its signals.

use std::io::{self, IoSliceMut, Write};
use std::net::{IpAddr, SocketAddr};

use quinn_udp::{RecvMeta, Transmit, UdpSocketState};
use tokio::io::Interest;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use super::{Asker, Machine, UdpSocket};
use crate::journal::StateDir;

/// Socket buffer asked for, in bytes; the system may give less.
const SOCKET_BUFFER: usize = 4 << 20;

/// The machine itself.
#[derive(Clone, Copy, Debug)]
pub struct Real;

impl Machine for Real {
    type Udp = RealUdp;
    type Tcp = TcpStream;
    type Listener = TcpListener;

    fn bind_udp(&self, ip: IpAddr) -> io::Result<RealUdp> {
        RealUdp::bind(ip)
    }

    fn addresses(&self) -> io::Result<Vec<IpAddr>> {
        Ok(if_addrs::get_if_addrs()?.iter().map(if_addrs::Interface::ip).collect())
    }

    async fn resolve(&self, name: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        Ok(tokio::net::lookup_host((name, port)).await?.collect())
    }

    async fn connect(&self, to: SocketAddr) -> io::Result<TcpStream> {
        let stream = TcpStream::connect(to).await?;
        // Messages are few and small, and each is waited for.
        let _ = stream.set_nodelay(true);
        Ok(stream)
    }

    async fn listen(&self, at: SocketAddr) -> io::Result<TcpListener> {
        TcpListener::bind(at).await
    }

    fn entropy(&self) -> io::Result<[u8; 32]> {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(io::Error::other)?;
        Ok(seed)
    }

    fn state(&self) -> io::Result<StateDir> {
        StateDir::of_user()
    }

    fn output(&self) -> Box<dyn Write> {
        Box::new(io::stdout())
    }

    fn has_input(&self) -> bool {
        true
    }

    fn requests(&self) -> mpsc::UnboundedReceiver<Asker> {
        let (ask, asked) = mpsc::unbounded_channel();
        let mut signals = Signals::new();
        tokio::spawn(async move {
            // Whoever listened may have ended.
            let _ = ask.send(signals.next().await);
            signals.next().await;
            crate::commands::end_at_once();
        });
        asked
    }

    fn has_aes(&self) -> bool {
        super::processor::has_aes()
    }

    fn storage_hashes(&self) -> bool {
        super::processor::has_cores_to_spare()
    }

    fn lane_threads(&self, asked: Option<u16>) -> usize {
        asked.map_or_else(super::processor::cores_for_lanes, usize::from)
    }

    fn has_threads(&self) -> bool {
        true
    }
}

/// A socket of the system's.
pub struct RealUdp {
    socket: tokio::net::UdpSocket,
    state: UdpSocketState,
}

impl RealUdp {
    fn bind(ip: IpAddr) -> io::Result<Self> {
        let socket = std::net::UdpSocket::bind((ip, 0))?;
        let state = UdpSocketState::new((&socket).into())?;
        // A smaller buffer costs speed, not correctness.
        let _ = state.set_recv_buffer_size((&socket).into(), SOCKET_BUFFER);
        let _ = state.set_send_buffer_size((&socket).into(), SOCKET_BUFFER);
        socket.set_nonblocking(true)?;
        let socket = tokio::net::UdpSocket::from_std(socket)?;
        Ok(Self { socket, state })
    }
}

impl UdpSocket for RealUdp {
    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    async fn readable(&self) -> io::Result<()> {
        self.socket.readable().await
    }

    async fn writable(&self) -> io::Result<()> {
        self.socket.writable().await
    }

    fn max_segments(&self) -> usize {
        self.state.max_gso_segments()
    }

    fn try_recv(&self, slices: &mut [IoSliceMut<'_>], metas: &mut [RecvMeta]) -> io::Result<usize> {
        let read = || self.state.recv((&self.socket).into(), slices, metas);
        self.socket.try_io(Interest::READABLE, read)
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        let send = || self.state.try_send((&self.socket).into(), transmit);
        self.socket.try_io(Interest::WRITABLE, send)
    }
}

#[cfg(unix)]
struct Signals(Vec<(Asker, tokio::signal::unix::Signal)>);

#[cfg(unix)]
impl Signals {
    fn new() -> Self {
        use tokio::signal::unix::{SignalKind, signal};
        let kinds = [
            (Asker::Person, SignalKind::interrupt()),
            (Asker::System, SignalKind::terminate()),
            (Asker::System, SignalKind::hangup()),
        ];
        let listen = |(asker, kind)| signal(kind).ok().map(|signal| (asker, signal));
        Self(kinds.into_iter().filter_map(listen).collect())
    }

    async fn next(&mut self) -> Asker {
        std::future::poll_fn(|context| {
            for (asker, signal) in &mut self.0 {
                if signal.poll_recv(context).is_ready() {
                    return std::task::Poll::Ready(*asker);
                }
            }
            std::task::Poll::Pending
        })
        .await
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn new() -> Self {
        Self
    }

    async fn next(&mut self) -> Asker {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
        Asker::Person
    }
}
