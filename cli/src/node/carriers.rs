//! Threads that drive the transports of further lanes, where the machine has cores for
//! them: their sockets, DTLS and SCTP. The connection, and with it everything that the
//! lanes have to agree on, stays where the endpoint is. What does not live here: which
//! lanes there are, and what goes over them.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::thread::JoinHandle;

use passel_sans_io::carrier::{Carrier, Command, Report};
use tokio::sync::mpsc;

use super::udp::{RecvBatch, UdpPaths};
use crate::clock;
use crate::machine::Machine;

/// Batches of reports that may wait for the endpoint. A thread whose reports find no
/// room reads nothing more from its sockets meanwhile.
const WAITING: usize = 8;

/// What a thread is to do.
enum Order {
    /// Bind sockets for a lane.
    Bind(u16),
    /// Drive its transport, which listens there.
    Drive(Box<Carrier>),
    /// Hand this to the transport.
    Command(u16, Command),
    /// The lane is over: its sockets are of no more use.
    Forget(u16),
}

/// What a thread tells.
pub(super) enum Told {
    /// A lane's sockets can be reached at these addresses; at none, if there are none.
    Bound(u16, Vec<SocketAddr>),
    /// What the transports report, in the order of each.
    Reports(Vec<(u16, Report)>),
}

/// The threads, as the node sees them.
pub(super) struct Carriers {
    threads: Vec<(mpsc::UnboundedSender<Order>, JoinHandle<()>)>,
    /// Which thread has a lane.
    places: BTreeMap<u16, usize>,
    told: mpsc::Receiver<Told>,
}

impl Carriers {
    /// So many threads, without any lane.
    pub(super) fn start<M: Machine>(
        machine: &M,
        bind: Option<IpAddr>,
        count: usize,
    ) -> io::Result<Self> {
        let (tell, told) = mpsc::channel(WAITING);
        let mut threads = Vec::new();
        for number in 0..count {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            let (order, orders) = mpsc::unbounded_channel();
            let (machine, tell) = (machine.clone(), tell.clone());
            let work = move || {
                runtime.block_on(async {
                    Worker::new(&machine, bind, tell).run(orders).await;
                });
            };
            let name = format!("passel-lanes-{number}");
            threads.push((order, std::thread::Builder::new().name(name).spawn(work)?));
        }
        Ok(Self { threads, places: BTreeMap::new(), told })
    }

    /// The thread with the fewest lanes binds sockets for one more. `false` if there is
    /// none any more that could.
    pub(super) fn bind(&mut self, lane: u16) -> bool {
        let load = |place: &usize| self.places.values().filter(|of| *of == place).count();
        let lives = |place: &usize| !self.threads[*place].0.is_closed();
        let place = (0..self.threads.len()).filter(lives).min_by_key(load);
        self.places.extend(place.map(|place| (lane, place)));
        self.order(lane, Order::Bind(lane));
        place.is_some()
    }

    /// Gives a lane's transport to the thread that has its sockets.
    pub(super) fn drive(&self, carrier: Carrier) {
        self.order(carrier.number(), Order::Drive(Box::new(carrier)));
    }

    /// Hands a command on.
    pub(super) fn command(&self, lane: u16, command: Command) {
        self.order(lane, Order::Command(lane, command));
    }

    /// The lane is over.
    pub(super) fn forget(&mut self, lane: u16) {
        self.order(lane, Order::Forget(lane));
        self.places.remove(&lane);
    }

    fn order(&self, lane: u16, order: Order) {
        if let Some((thread, _)) = self.places.get(&lane).and_then(|at| self.threads.get(*at)) {
            // A thread that is gone delivers nothing, which the endpoint notices.
            let _ = thread.send(order);
        }
    }

    /// Waits for what is told next. Dropping the future loses nothing.
    pub(super) async fn next(&mut self) -> Told {
        match self.told.recv().await {
            Some(told) => told,
            None => std::future::pending().await,
        }
    }

    /// Waits until the threads have done what they were told, and ends them.
    pub(super) fn finish(self) {
        drop(self.told);
        for (thread, handle) in self.threads {
            drop(thread);
            if handle.join().is_err() {
                tracing::error!("a thread for lanes broke down");
            }
        }
    }
}

/// One of the threads.
struct Worker<M: Machine> {
    udp: UdpPaths<M>,
    batch: RecvBatch,
    carriers: BTreeMap<u16, Carrier>,
    tell: mpsc::Sender<Told>,
}

/// What woke it.
enum Wake {
    Order(Option<Order>),
    Datagrams(io::Result<()>),
    Writable,
    Timer,
}

impl<M: Machine> Worker<M> {
    fn new(machine: &M, bind: Option<IpAddr>, tell: mpsc::Sender<Told>) -> Self {
        let udp = UdpPaths::none(machine, bind);
        Self { udp, batch: RecvBatch::default(), carriers: BTreeMap::new(), tell }
    }

    /// Works until nobody can give orders any more.
    async fn run(mut self, mut orders: mpsc::UnboundedReceiver<Order>) {
        loop {
            let told = match self.wake(&mut orders).await {
                Wake::Order(None) => break,
                Wake::Order(Some(order)) => {
                    let told = self.carry_out(order);
                    // What else was ordered goes out with it.
                    let mut all = Vec::from_iter(told);
                    while let Ok(order) = orders.try_recv() {
                        all.extend(self.carry_out(order));
                    }
                    all
                }
                Wake::Datagrams(Ok(())) => {
                    self.take_datagrams();
                    Vec::new()
                }
                Wake::Datagrams(Err(error)) => {
                    tracing::warn!(%error, "a socket of a lane cannot be read");
                    Vec::new()
                }
                Wake::Writable => Vec::new(),
                Wake::Timer => {
                    self.handle_timeout();
                    Vec::new()
                }
            };
            let reports = self.drain();
            let reports = (!reports.is_empty()).then_some(Told::Reports(reports));
            for told in told.into_iter().chain(reports) {
                // If nobody listens any more, what is left to do are orders.
                let _ = self.tell.send(told).await;
            }
        }
    }

    async fn wake(&mut self, orders: &mut mpsc::UnboundedReceiver<Order>) -> Wake {
        let due = self.carriers.values().filter_map(Carrier::poll_timeout).min();
        let timer = async {
            match due {
                Some(at) => tokio::time::sleep_until(at.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = timer => Wake::Timer,
            order = orders.recv() => Wake::Order(order),
            _ = self.udp.writable() => Wake::Writable,
            read = self.udp.recv(&mut self.batch) => Wake::Datagrams(read),
        }
    }

    fn carry_out(&mut self, order: Order) -> Option<Told> {
        match order {
            Order::Bind(lane) => {
                let bound = self.udp.add(lane).and_then(|()| self.udp.local_candidates(lane));
                let addresses = bound.unwrap_or_else(|error| {
                    tracing::warn!(%error, "a further lane has no socket");
                    Vec::new()
                });
                return Some(Told::Bound(lane, addresses));
            }
            Order::Drive(carrier) => {
                self.carriers.insert(carrier.number(), *carrier);
            }
            Order::Command(lane, command) => {
                if let Some(carrier) = self.carriers.get_mut(&lane) {
                    carrier.handle_command(clock::now(), command);
                }
            }
            Order::Forget(lane) => {
                if let Some(mut carrier) = self.carriers.remove(&lane) {
                    // Its last word goes out first; what it reports concerns nobody.
                    drain(&mut carrier, &mut self.udp, |_| ());
                    self.udp.flush();
                }
                self.udp.remove(lane);
            }
        }
        None
    }

    fn take_datagrams(&mut self) {
        let lane = self.udp.lane_of(&self.batch);
        if let Some(carrier) = lane.and_then(|lane| self.carriers.get_mut(&lane)) {
            carrier.handle_datagrams(clock::now(), self.batch.datagrams());
        }
    }

    fn handle_timeout(&mut self) {
        let now = clock::now();
        for carrier in self.carriers.values_mut() {
            if carrier.poll_timeout().is_some_and(|at| at <= now) {
                carrier.handle_timeout(now);
            }
        }
    }

    /// Sends what is to be sent, and gives back what is to be told.
    fn drain(&mut self) -> Vec<(u16, Report)> {
        let mut reports = Vec::new();
        for (lane, carrier) in &mut self.carriers {
            drain(carrier, &mut self.udp, |report| reports.push((*lane, report)));
        }
        self.udp.flush();
        reports
    }
}

/// Queues what a transport sends, and hands on what it reports.
fn drain<M: Machine>(carrier: &mut Carrier, udp: &mut UdpPaths<M>, mut report: impl FnMut(Report)) {
    while let Some(news) = carrier.poll_report() {
        report(news);
    }
    while let Some(datagram) = carrier.poll_datagram() {
        udp.queue(datagram);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn thread(
        orders: mpsc::UnboundedSender<Order>,
    ) -> (mpsc::UnboundedSender<Order>, JoinHandle<()>) {
        (orders, std::thread::spawn(|| ()))
    }

    /// A thread that broke down has the fewest lanes, and would swallow every wish.
    #[test]
    fn a_thread_that_is_gone_is_asked_for_nothing() {
        let (gone, _) = mpsc::unbounded_channel();
        let (there, mut orders) = mpsc::unbounded_channel();
        let (_, told) = mpsc::channel(1);
        let threads = vec![thread(gone), thread(there)];
        let mut carriers = Carriers { threads, places: BTreeMap::new(), told };
        assert!(carriers.bind(2) && carriers.bind(4));
        for lane in [2, 4] {
            assert!(matches!(orders.try_recv(), Ok(Order::Bind(of)) if of == lane));
        }
        drop(orders);
        assert!(!carriers.bind(6), "nobody is left");
        carriers.finish();
    }
}
