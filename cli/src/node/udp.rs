//! UDP sockets for lanes: one each for IPv4 and one for IPv6, read and written in
//! batches with the kernel's segmentation offload where it has one. What does
//! not live here: the sockets themselves, which are the machine's, which lane a
//! datagram belongs to, and what it means.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io::{self, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::task::Poll;

use passel_sans_io::datagram::{Datagram, DatagramRef};

use crate::machine::{Machine, RecvMeta, Transmit, UdpSocket};

/// Most local addresses that are named to a peer.
pub(crate) const MAX_LOCAL_CANDIDATES: usize = 16;
/// Datagrams that wait for room in a socket's buffer, for each socket. More are
/// dropped, as a network would.
pub(crate) const SEND_QUEUE: usize = 1_024;
/// Slots of a [`RecvBatch`].
const SLOTS: usize = if quinn_udp::BATCH_SIZE < 16 { quinn_udp::BATCH_SIZE } else { 16 };
/// Bytes of a slot: the longest run of datagrams that the kernel puts together.
const SLOT: usize = 65_536;
/// Most bytes handed to the kernel at once: below the longest UDP payload.
const MAX_TRAIN: usize = 65_000;

/// The buffers of one read, to be used again for the next. They take 1 MiB, so
/// that one batch should serve all sockets of a task.
pub(crate) struct RecvBatch {
    buffer: Vec<u8>,
    metas: [RecvMeta; SLOTS],
    filled: usize,
    local: SocketAddr,
}

impl Default for RecvBatch {
    fn default() -> Self {
        Self {
            buffer: vec![0; SLOTS * SLOT],
            metas: [RecvMeta::default(); SLOTS],
            filled: 0,
            local: SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 0),
        }
    }
}

impl RecvBatch {
    /// The datagrams of the last read, in the order of their arrival.
    pub(crate) fn datagrams(&self) -> impl Iterator<Item = DatagramRef<'_>> {
        let slots = self.buffer.chunks_exact(SLOT).zip(&self.metas[..self.filled]);
        slots.flat_map(|(slot, meta)| {
            // The address itself, not the wildcard, so that the lane finds the
            // local candidate that it belongs to.
            let ip = meta.dst_ip.unwrap_or(self.local.ip());
            let destination = SocketAddr::new(ip, self.local.port());
            let run = &slot[..meta.len.min(SLOT)];
            run.chunks(meta.stride.max(1)).map(move |contents| DatagramRef {
                source: meta.addr,
                destination,
                contents,
            })
        })
    }
}

/// One socket, and what waits to be sent on it.
struct UdpPath<S> {
    socket: S,
    local: SocketAddr,
    queue: VecDeque<Datagram>,
}

impl<S: UdpSocket> UdpPath<S> {
    fn new(socket: S) -> io::Result<Self> {
        let local = socket.local_addr()?;
        Ok(Self { socket, local, queue: VecDeque::new() })
    }

    fn try_recv(&self, batch: &mut RecvBatch) -> io::Result<()> {
        let RecvBatch { buffer, metas, filled, local } = batch;
        *filled = 0;
        let mut slots = buffer.chunks_exact_mut(SLOT);
        let mut slices: [IoSliceMut<'_>; SLOTS] =
            std::array::from_fn(|_| IoSliceMut::new(slots.next().unwrap_or_default()));
        *filled = self.socket.try_recv(&mut slices, metas)?;
        *local = self.local;
        Ok(())
    }

    /// Length of the run at the head of the queue that may go out as one: the
    /// same way, of one size, but for a shorter last one.
    fn train(&self) -> (usize, usize) {
        let Some(first) = self.queue.front() else { return (0, 0) };
        let segment = first.contents.len();
        let (mut count, mut bytes) = (1, segment);
        for next in self.queue.iter().skip(1).take(self.socket.max_segments() - 1) {
            let len = next.contents.len();
            let same_way = next.destination == first.destination && next.source == first.source;
            if !same_way || len > segment || len == 0 || bytes + len > MAX_TRAIN {
                break;
            }
            (count, bytes) = (count + 1, bytes + len);
            if len < segment {
                break;
            }
        }
        (count, bytes)
    }

    /// Sends until the queue is empty or the socket full: then `false`.
    fn flush(&mut self, scratch: &mut Vec<u8>, dropped: &mut u64) -> bool {
        loop {
            let (count, bytes) = self.train();
            let Some(first) = self.queue.front() else { return true };
            let contents = if count == 1 {
                &first.contents
            } else {
                scratch.clear();
                scratch.reserve(bytes);
                for datagram in self.queue.iter().take(count) {
                    scratch.extend_from_slice(&datagram.contents);
                }
                &*scratch
            };
            let transmit = Transmit {
                destination: first.destination,
                ecn: None,
                contents,
                segment_size: (count > 1).then_some(first.contents.len()),
                src_ip: Some(first.source.ip()).filter(|ip| !ip.is_unspecified()),
            };
            match self.socket.try_send(&transmit) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
                // The kernel has just shown that it can't segment: one by one.
                Err(_) if count > 1 && self.socket.max_segments() == 1 => continue,
                // No route, no permission, too long: lost, as on the network.
                Err(error) => {
                    tracing::debug!(%error, count, "datagrams dropped");
                    *dropped += count as u64;
                }
            }
            self.queue.drain(..count);
        }
    }
}

/// The sockets of all lanes. A lane has one for IPv4 and one for IPv6.
pub(crate) struct UdpPaths<M: Machine> {
    machine: M,
    bind: Option<IpAddr>,
    paths: Vec<(u16, UdpPath<M::Udp>)>,
    scratch: Vec<u8>,
    dropped: u64,
}

type Ready<'a> = Pin<Box<dyn Future<Output = io::Result<()>> + 'a>>;

impl<M: Machine> UdpPaths<M> {
    /// The sockets of lane 0: one for IPv4 and one for IPv6, at ports that the
    /// system chooses, or only one if `bind` names an address. It is enough if one
    /// of the two can be bound. To be called within a tokio runtime.
    pub(crate) fn bind(machine: &M, bind: Option<IpAddr>) -> io::Result<Self> {
        let mut sockets = Self::none(machine, bind);
        sockets.add(0)?;
        Ok(sockets)
    }

    /// No sockets yet.
    pub(crate) fn none(machine: &M, bind: Option<IpAddr>) -> Self {
        let (paths, scratch) = (Vec::new(), Vec::new());
        Self { machine: machine.clone(), bind, paths, scratch, dropped: 0 }
    }

    /// Binds the sockets of a further lane in the same way.
    pub(crate) fn add(&mut self, lane: u16) -> io::Result<()> {
        let both = [Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()];
        let one = self.bind.map(|ip| [ip]);
        let mut failure = None;
        for ip in one.as_ref().map_or(&both[..], |one| &one[..]) {
            match self.machine.bind_udp(*ip).and_then(UdpPath::new) {
                Ok(path) => self.paths.push((lane, path)),
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        match failure {
            Some(error) if self.of(lane).next().is_none() => Err(error),
            _ => Ok(()),
        }
    }

    /// Closes the sockets of a lane.
    pub(crate) fn remove(&mut self, lane: u16) {
        self.paths.retain(|(of, _)| *of != lane);
    }

    /// The lane to whose socket the datagrams of a read came.
    pub(crate) fn lane_of(&self, batch: &RecvBatch) -> Option<u16> {
        self.paths.iter().find(|(_, path)| path.local == batch.local).map(|(lane, _)| *lane)
    }

    fn of(&self, lane: u16) -> impl Iterator<Item = &UdpPath<M::Udp>> {
        self.paths.iter().filter(move |(of, _)| *of == lane).map(|(_, path)| path)
    }

    /// Addresses at which a lane's sockets can be reached on this machine's own
    /// networks, at most [`MAX_LOCAL_CANDIDATES`].
    pub(crate) fn local_candidates(&self, lane: u16) -> io::Result<Vec<SocketAddr>> {
        let bound: Vec<SocketAddr> = self.of(lane).map(|path| path.local).collect();
        if let [only] = bound[..]
            && !only.ip().is_unspecified()
        {
            return Ok(vec![only]);
        }
        Ok(choose(self.machine.addresses()?.into_iter(), &bound))
    }

    /// Waits until datagrams have come to a socket, and reads them. Dropping the
    /// future loses nothing.
    pub(crate) async fn recv(&self, batch: &mut RecvBatch) -> io::Result<()> {
        // Reading without waiting must not keep timers from their turn.
        tokio::task::consume_budget().await;
        loop {
            // The one that was read last has to wait for the others.
            let places = self.paths.iter().position(|(_, path)| path.local == batch.local);
            let (first, last) = self.paths.split_at(places.map_or(0, |place| place + 1));
            for (_, path) in last.iter().chain(first) {
                match path.try_recv(batch) {
                    Ok(()) => return Ok(()),
                    // Some systems report here that an earlier datagram found nobody.
                    Err(error) if is_transient(&error) => {}
                    Err(error) => {
                        batch.local = path.local; // The others come before it the next time.
                        return Err(error);
                    }
                }
            }
            any(self.paths.iter().map(|(_, path)| path.socket.readable())).await?;
        }
    }

    /// Puts a datagram into the queue of the socket that it comes from. It is
    /// dropped if there is no such socket, or if the queue is full.
    pub(crate) fn queue(&mut self, datagram: Datagram) {
        let is_it = |path: &UdpPath<M::Udp>| {
            path.local.port() == datagram.source.port()
                && path.local.is_ipv4() == datagram.destination.is_ipv4()
        };
        match self.paths.iter_mut().map(|(_, path)| path).find(|path| is_it(path)) {
            Some(path) if path.queue.len() < SEND_QUEUE => path.queue.push_back(datagram),
            _ => self.dropped += 1,
        }
    }

    /// Sends what is queued, as far as the sockets take it. `false` if something
    /// is left: wait for [`Self::writable`], then call this again.
    pub(crate) fn flush(&mut self) -> bool {
        let mut all = true;
        for (_, path) in &mut self.paths {
            all &= path.flush(&mut self.scratch, &mut self.dropped);
        }
        all
    }

    /// Waits until a socket with something in its queue can be written to; for
    /// ever if nothing is queued.
    pub(crate) async fn writable(&self) -> io::Result<()> {
        let full = self.paths.iter().filter(|(_, path)| !path.queue.is_empty());
        any(full.map(|(_, path)| path.socket.writable())).await
    }

    /// Datagrams that were dropped on this side.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped
    }
}

/// Waits for the first of some futures; for ever if there is none.
async fn any<'a, F>(waits: impl Iterator<Item = F>) -> io::Result<()>
where
    F: Future<Output = io::Result<()>> + 'a,
{
    let mut waits: Vec<Ready<'a>> = waits.map(|wait| Box::pin(wait) as Ready<'a>).collect();
    poll_fn(|context| {
        let mut polls = waits.iter_mut().map(|wait| wait.as_mut().poll(context));
        polls.find(Poll::is_ready).unwrap_or(Poll::Pending)
    })
    .await
}

fn is_transient(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionRefused, ConnectionReset, Interrupted, WouldBlock};
    matches!(error.kind(), WouldBlock | Interrupted | ConnectionReset | ConnectionRefused)
}

/// Which of the machine's addresses to name: no link-local ones, whose scope
/// means nothing to the peer, and loopback only where there is nothing else.
fn choose(addresses: impl Iterator<Item = IpAddr>, bound: &[SocketAddr]) -> Vec<SocketAddr> {
    let (mut chosen, mut loopback) = (Vec::new(), Vec::new());
    for ip in addresses {
        let link_local = match ip {
            IpAddr::V4(ip) => ip.is_link_local(),
            IpAddr::V6(ip) => ip.is_unicast_link_local(),
        };
        let socket = bound.iter().find(|local| {
            local.is_ipv4() == ip.is_ipv4() && (local.ip().is_unspecified() || local.ip() == ip)
        });
        let Some(socket) = socket else { continue };
        if link_local || ip.is_unspecified() {
            continue;
        }
        let list = if ip.is_loopback() { &mut loopback } else { &mut chosen };
        let candidate = SocketAddr::new(ip, socket.port());
        if list.len() < MAX_LOCAL_CANDIDATES && !list.contains(&candidate) {
            list.push(candidate);
        }
    }
    if chosen.is_empty() { loopback } else { chosen }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::machine::Real;

    const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    fn addresses(texts: &[&str]) -> Vec<IpAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    /// Sends all of `lengths` from one pair of sockets to the other, and gives
    /// back what arrived: source, destination, contents.
    async fn carry(
        from: &mut UdpPaths<Real>,
        to: &UdpPaths<Real>,
        way: (SocketAddr, SocketAddr),
        lengths: &[usize],
    ) -> Vec<(SocketAddr, SocketAddr, Vec<u8>)> {
        for (number, len) in lengths.iter().enumerate() {
            let contents = vec![u8::try_from(number % 251).unwrap(); *len];
            from.queue(Datagram { source: way.0, destination: way.1, contents });
        }
        let mut batch = RecvBatch::default();
        let mut arrived = Vec::new();
        let mut flushed = from.flush();
        while arrived.len() < lengths.len() {
            let step = async {
                tokio::select! {
                    received = to.recv(&mut batch) => received.map(|()| true),
                    ready = from.writable() => ready.map(|()| false),
                }
            };
            let received = tokio::time::timeout(Duration::from_secs(5), step).await;
            if received.expect("datagrams are missing").unwrap() {
                arrived.extend(
                    batch.datagrams().map(|d| (d.source, d.destination, d.contents.to_vec())),
                );
            } else if !flushed {
                flushed = from.flush();
            }
        }
        assert!(flushed);
        arrived
    }

    async fn arrive_one_by_one(ip: IpAddr) {
        let mut a = UdpPaths::bind(&Real, Some(ip)).unwrap();
        let b = UdpPaths::bind(&Real, Some(ip)).unwrap();
        let way = (a.local_candidates(0).unwrap()[0], b.local_candidates(0).unwrap()[0]);
        // Two runs of one size with a shorter last, and a longer one after.
        let mut lengths = vec![1_200; 40];
        lengths.extend([700, 900, 900, 1_400, 1]);
        let arrived = carry(&mut a, &b, way, &lengths).await;
        assert_eq!(arrived.len(), lengths.len());
        for (number, (source, destination, contents)) in arrived.into_iter().enumerate() {
            assert_eq!((source, destination), way);
            assert_eq!(contents.len(), lengths[number]);
            assert!(contents.iter().all(|byte| usize::from(*byte) == number));
        }
        assert_eq!(a.dropped(), 0);
    }

    #[tokio::test]
    async fn a_train_of_datagrams_arrives_as_single_ones() {
        arrive_one_by_one(LOOPBACK).await;
    }

    #[tokio::test]
    async fn a_train_over_ipv6_arrives_as_single_ones() {
        if std::net::UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)).is_ok() {
            arrive_one_by_one(Ipv6Addr::LOCALHOST.into()).await;
        }
    }

    #[tokio::test]
    async fn equal_datagrams_go_to_the_kernel_together() {
        let mut paths = UdpPaths::bind(&Real, Some(LOOPBACK)).unwrap();
        let local = paths.local_candidates(0).unwrap()[0];
        let mut queue = |len: usize, port: u16| {
            let destination = SocketAddr::new(LOOPBACK, port);
            paths.queue(Datagram { source: local, destination, contents: vec![0; len] });
        };
        for _ in 0..3 {
            queue(100, 9);
        }
        queue(50, 9);
        queue(50, 9);
        queue(100, 10);
        let path = &mut paths.paths[0].1;
        let segments = path.socket.max_segments();
        assert_eq!(path.train(), if segments >= 4 { (4, 350) } else { (1, 100) });
        path.queue.drain(..4);
        assert_eq!(path.train(), (1, 50));
    }

    #[tokio::test]
    async fn a_wildcard_socket_reports_the_address_that_was_sent_to() {
        let b = UdpPaths::bind(&Real, None).unwrap();
        let port = b.paths[0].1.local.port();
        let mut a = UdpPaths::bind(&Real, Some(LOOPBACK)).unwrap();
        let way = (a.local_candidates(0).unwrap()[0], SocketAddr::new(LOOPBACK, port));
        let arrived = carry(&mut a, &b, way, &[10]).await;
        assert_eq!((arrived[0].0, arrived[0].1), way);
    }

    #[tokio::test]
    async fn a_full_queue_drops_and_counts() {
        let mut paths = UdpPaths::bind(&Real, Some(LOOPBACK)).unwrap();
        let local = paths.local_candidates(0).unwrap()[0];
        for _ in 0..SEND_QUEUE + 3 {
            paths.queue(Datagram { source: local, destination: local, contents: vec![0] });
        }
        assert_eq!(paths.dropped(), 3);
        let destination = SocketAddr::new(Ipv6Addr::LOCALHOST.into(), 9);
        paths.queue(Datagram { source: local, destination, contents: vec![0] });
        assert_eq!(paths.dropped(), 4);
    }

    #[tokio::test]
    async fn a_datagram_that_cannot_be_sent_does_not_block_the_next() {
        let mut a = UdpPaths::bind(&Real, Some(LOOPBACK)).unwrap();
        let b = UdpPaths::bind(&Real, Some(LOOPBACK)).unwrap();
        let way = (a.local_candidates(0).unwrap()[0], b.local_candidates(0).unwrap()[0]);
        a.queue(Datagram { source: way.0, destination: way.1, contents: vec![0; 70_000] });
        let arrived = carry(&mut a, &b, way, &[5]).await;
        assert_eq!(arrived[0].2.len(), 5);
        assert_eq!(a.dropped(), 1);
    }

    #[test]
    fn loopback_is_named_only_where_there_is_nothing_else() {
        let bound = ["0.0.0.0:5".parse().unwrap(), "[::]:6".parse().unwrap()];
        let all = ["127.0.0.1", "fe80::1", "169.254.0.9", "192.0.2.4", "2001:db8::4", "192.0.2.4"];
        let chosen = choose(addresses(&all).into_iter(), &bound);
        let expected: Vec<SocketAddr> =
            vec!["192.0.2.4:5".parse().unwrap(), "[2001:db8::4]:6".parse().unwrap()];
        assert_eq!(chosen, expected);
        let chosen = choose(addresses(&["127.0.0.1", "::1", "fe80::1"]).into_iter(), &bound[..1]);
        assert_eq!(chosen, ["127.0.0.1:5".parse().unwrap()]);
        let many = (0..99).map(|last| IpAddr::V4(Ipv4Addr::new(192, 0, 2, last)));
        assert_eq!(choose(many, &bound).len(), MAX_LOCAL_CANDIDATES);
    }
}
