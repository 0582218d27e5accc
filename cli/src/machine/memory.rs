//! Computers in memory, for tests of whole commands: what goes from one to another takes
//! a moment of the runtime's time, which may be paused, and storage is carried out where
//! it is asked for, so that no thread has a say in the order of things. Files are real.

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, ErrorKind, IoSliceMut, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use passel_rendezvous::shell::{Listener, ShellConfig, serve};
use tokio::io::DuplexStream;
use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;
use url::Url;

use super::{Asker, Machine, Real, RecvMeta, Transmit, UdpSocket};
use crate::args::NetArgs;
use crate::journal::StateDir;

/// Options for whoever uses the network here: the usual ones, and a single lane.
pub(crate) const NET: NetArgs =
    NetArgs { bind: None, stun: None, silence: 30, attempts: 5, lanes: 1, lane_threads: None };

/// How long a datagram is on its way.
const LATENCY: Duration = Duration::from_millis(2);
/// Bytes that a connection of TCP holds in each direction.
const PIPE: usize = 64 * 1024;

/// What joins the computers.
#[derive(Default)]
struct Network {
    sockets: BTreeMap<SocketAddr, Arc<Inbox>>,
    listeners: BTreeMap<SocketAddr, mpsc::UnboundedSender<DuplexStream>>,
    /// Ports that were given out.
    ports: u16,
}

impl Network {
    fn free(&mut self, ip: IpAddr) -> SocketAddr {
        self.ports += 1;
        SocketAddr::new(ip, 1024 + self.ports)
    }
}

/// A computer.
#[derive(Clone)]
pub(crate) struct Memory {
    network: Arc<Mutex<Network>>,
    ip: IpAddr,
    state: PathBuf,
    asker: Arc<Mutex<Option<mpsc::UnboundedSender<Asker>>>>,
}

impl Memory {
    /// Two computers that reach each other. Their state is kept below `dir`.
    pub(crate) fn two(dir: &Path) -> [Self; 2] {
        let network = Arc::<Mutex<Network>>::default();
        [1, 2].map(|number| Self {
            network: Arc::clone(&network),
            ip: Ipv4Addr::new(198, 51, 100, number).into(),
            state: dir.join(format!("state-{number}")),
            asker: Arc::default(),
        })
    }

    /// Starts a rendezvous here, for as long as the runtime lives.
    pub(crate) async fn serve(&self) -> Url {
        let listener = self.listen(SocketAddr::new(self.ip, 0)).await.unwrap();
        let url = format!("http://{}/", listener.local).parse().unwrap();
        tokio::spawn(serve(listener, ShellConfig::default(), std::future::pending()));
        url
    }

    /// Asks the program that runs here to end.
    pub(crate) fn ask(&self, asker: Asker) {
        self.asker.lock().unwrap().as_ref().unwrap().send(asker).unwrap();
    }
}

impl Machine for Memory {
    type Udp = Udp;
    type Tcp = DuplexStream;
    type Listener = Listening;

    fn bind_udp(&self, ip: IpAddr) -> io::Result<Udp> {
        if !ip.is_ipv4() {
            return Err(ErrorKind::AddrNotAvailable.into());
        }
        let mut network = self.network.lock().unwrap();
        let (local, inbox) = (network.free(self.ip), Arc::<Inbox>::default());
        network.sockets.insert(local, Arc::clone(&inbox));
        Ok(Udp { local, inbox, network: Arc::clone(&self.network) })
    }

    fn addresses(&self) -> io::Result<Vec<IpAddr>> {
        Ok(vec![self.ip])
    }

    async fn resolve(&self, _name: &str, _port: u16) -> io::Result<Vec<SocketAddr>> {
        Err(ErrorKind::NotFound.into())
    }

    async fn connect(&self, to: SocketAddr) -> io::Result<DuplexStream> {
        let (ours, theirs) = tokio::io::duplex(PIPE);
        let network = self.network.lock().unwrap();
        let listener = network.listeners.get(&to).ok_or(ErrorKind::ConnectionRefused)?;
        listener.send(theirs).map_err(|_| ErrorKind::ConnectionRefused)?;
        Ok(ours)
    }

    async fn listen(&self, at: SocketAddr) -> io::Result<Listening> {
        let (to, arriving) = mpsc::unbounded_channel();
        let mut network = self.network.lock().unwrap();
        let local = network.free(at.ip());
        network.listeners.insert(local, to);
        Ok(Listening { local, arriving: tokio::sync::Mutex::new(arriving) })
    }

    fn entropy(&self) -> io::Result<[u8; 32]> {
        Real.entropy()
    }

    fn state(&self) -> io::Result<StateDir> {
        StateDir::at(&self.state)
    }

    fn output(&self) -> Box<dyn Write> {
        Box::new(io::sink())
    }

    fn has_input(&self) -> bool {
        false
    }

    fn requests(&self) -> mpsc::UnboundedReceiver<Asker> {
        let (asker, requests) = mpsc::unbounded_channel();
        *self.asker.lock().unwrap() = Some(asker);
        requests
    }

    fn has_aes(&self) -> bool {
        false
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

/// A datagram: when it is there, where it comes from, and what it holds.
type Arriving = (Instant, SocketAddr, Vec<u8>);

/// What is on its way to a socket, in the order in which it comes.
#[derive(Default)]
struct Inbox {
    datagrams: Mutex<VecDeque<Arriving>>,
    news: Notify,
}

/// A UDP socket.
pub(crate) struct Udp {
    local: SocketAddr,
    inbox: Arc<Inbox>,
    network: Arc<Mutex<Network>>,
}

impl Drop for Udp {
    fn drop(&mut self) {
        self.network.lock().unwrap().sockets.remove(&self.local);
    }
}

impl Udp {
    /// When the next datagram is there.
    fn due(&self) -> Option<Instant> {
        self.inbox.datagrams.lock().unwrap().front().map(|(due, ..)| *due)
    }
}

impl UdpSocket for Udp {
    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.local)
    }

    async fn readable(&self) -> io::Result<()> {
        loop {
            match self.due() {
                Some(due) if due <= Instant::now() => return Ok(()),
                // Whatever comes meanwhile is there later.
                Some(due) => tokio::time::sleep_until(due).await,
                None => self.inbox.news.notified().await,
            }
        }
    }

    async fn writable(&self) -> io::Result<()> {
        Ok(())
    }

    fn max_segments(&self) -> usize {
        1
    }

    fn try_recv(&self, slices: &mut [IoSliceMut<'_>], metas: &mut [RecvMeta]) -> io::Result<usize> {
        let (now, mut filled) = (Instant::now(), 0);
        let mut datagrams = self.inbox.datagrams.lock().unwrap();
        for (slice, meta) in slices.iter_mut().zip(metas) {
            if datagrams.front().is_none_or(|(due, ..)| *due > now) {
                break;
            }
            let Some((_, from, contents)) = datagrams.pop_front() else { break };
            slice[..contents.len()].copy_from_slice(&contents);
            *meta = RecvMeta::default();
            meta.addr = from;
            meta.len = contents.len();
            meta.stride = contents.len();
            meta.dst_ip = Some(self.local.ip());
            filled += 1;
        }
        if filled == 0 { Err(ErrorKind::WouldBlock.into()) } else { Ok(filled) }
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        let inbox = self.network.lock().unwrap().sockets.get(&transmit.destination).cloned();
        if let Some(inbox) = inbox {
            let datagram = (Instant::now() + LATENCY, self.local, transmit.contents.to_vec());
            inbox.datagrams.lock().unwrap().push_back(datagram);
            inbox.news.notify_one();
        }
        Ok(())
    }
}

/// A TCP listener.
pub(crate) struct Listening {
    local: SocketAddr,
    arriving: tokio::sync::Mutex<mpsc::UnboundedReceiver<DuplexStream>>,
}

impl Listener for Listening {
    type Stream = DuplexStream;

    async fn accept(&self) -> io::Result<(DuplexStream, SocketAddr)> {
        let stream = self.arriving.lock().await.recv().await;
        stream.map(|stream| (stream, self.local)).ok_or_else(|| ErrorKind::BrokenPipe.into())
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.local)
    }
}
