//! The tokio shell around an endpoint: sockets, the clock, the rendezvous and
//! the storage thread, wired together. It decides nothing of the protocol; what
//! to offer and whether to accept is the commands' business.

mod carriers;
mod signal_task;
mod udp;

pub(crate) use self::signal_task::failure as signal_failure;

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use passel_proto::connection::Event;
use passel_proto::crypto::Entropy;
use passel_proto::error::{Blame, Error, ErrorCode};
use passel_proto::ids::{Role, TransferId};
use passel_proto::signal::SignalSession;
use passel_proto::storage::{StorageReply, StorageRequest};
use passel_proto::suite::Suite;
use passel_sans_io::endpoint::{Endpoint, EndpointConfig, EndpointEvent};
use passel_sans_io::lane::{IceCredentials, LaneConfig};
use tokio::sync::mpsc;

use self::carriers::{Carriers, Told};
use self::signal_task::{SignalTask, Signaled};
use self::udp::{RecvBatch, UdpPaths};
use crate::args::NetArgs;
use crate::clock;
use crate::exit::Failure;
use crate::files::executor::{Executor, Job};
use crate::machine::Machine;
use crate::signaling::Socket;

/// Storage requests that may wait: more than the protocol has outstanding.
const STORAGE_QUEUE: usize = 16 * 1024;
/// Storage replies taken in before the network has its turn again.
const REPLIES_PER_TURN: usize = 64;

/// One endpoint with everything that it needs around it.
pub(crate) struct Node<M: Machine> {
    /// The state machine. After using it, call [`Node::flush`].
    pub(crate) endpoint: Endpoint,
    machine: M,
    udp: UdpPaths<M>,
    batch: RecvBatch,
    /// Threads for further lanes, if they have any of their own.
    carriers: Option<Carriers>,
    /// Whether these have their turn before lane 0.
    lanes_first: bool,
    signaling: Option<SignalTask>,
    storage: Option<Executor>,
    replies: mpsc::UnboundedReceiver<StorageReply>,
    reply_to: mpsc::UnboundedSender<StorageReply>,
    /// What the rendezvous did that ended everything, if it did.
    signal_failure: Option<Failure>,
    /// Whether there is a path to the peer, so that nothing the rendezvous does ends
    /// anything any more.
    has_path: bool,
}

/// What woke the node.
enum Wake {
    Datagrams(io::Result<()>),
    Writable,
    Reply(StorageReply),
    Lanes(Told),
    Signal(Signaled),
    Timer,
}

impl<M: Machine> Node<M> {
    /// Binds sockets and begins to connect. `entropy` must come from the system.
    pub(crate) fn start(
        machine: &M,
        role: Role,
        signal: SignalSession,
        socket: Socket,
        net: NetArgs,
        entropy: &mut Entropy,
    ) -> Result<Self, Failure> {
        let udp = UdpPaths::bind(machine, net.bind).map_err(|error| no_socket(&error))?;
        let credentials = IceCredentials::from_seed(&entropy.array());
        let mut lane = LaneConfig::new(role, 0, credentials);
        machine.prepare(&mut lane);
        let mut config = EndpointConfig::new(role, signal, lane, entropy.array());
        config.lanes = net.lanes;
        config.suites = Suite::preference(machine.has_aes());
        config.storage_checks_leaves = machine.storage_hashes();
        config.timers.idle = Duration::from_secs(net.silence);
        config.timers.idle_limit = 4 * config.timers.idle;
        // Each sign asks for one of the other side, so this is enough for both.
        config.timers.keep_alive = config.timers.keep_alive.min(config.timers.idle / 3);
        config.stun_servers = net.stun.into_iter().collect();
        let now = clock::now();
        let mut endpoint = Endpoint::new(config, now).map_err(|error| Failure::of_error(&error))?;
        for address in udp.local_candidates(0).map_err(|error| no_socket(&error))? {
            endpoint.add_local_candidate(address);
        }
        endpoint.start(now);
        let threads = if net.lanes > 1 { machine.lane_threads(net.lane_threads) } else { 0 };
        let carriers = (threads > 0).then(|| Carriers::start(machine, net.bind, threads));
        let carriers = carriers.and_then(|started| {
            started.inspect_err(|error| tracing::warn!(%error, "no threads for lanes")).ok()
        });
        let (reply_to, replies) = mpsc::unbounded_channel();
        let mut node = Self {
            endpoint,
            machine: machine.clone(),
            udp,
            batch: RecvBatch::default(),
            carriers,
            lanes_first: false,
            signaling: Some(SignalTask::spawn(socket, role)),
            storage: None,
            replies,
            reply_to,
            signal_failure: None,
            has_path: false,
        };
        node.flush();
        Ok(node)
    }

    /// Starts the thread that carries out the transfer's storage requests. To be called
    /// before the node is flushed with the transfer in it that this side offers or takes.
    pub(crate) fn start_storage(&mut self, transfer: TransferId, job: Job) -> Result<(), Failure> {
        let reply_to = self.reply_to.clone();
        let deliver = move |reply| {
            // After the node is gone nobody waits for replies.
            let _ = reply_to.send(reply);
        };
        let hashes = self.machine.storage_hashes();
        let executor = if self.machine.has_threads() {
            Executor::spawn(transfer, job, hashes, STORAGE_QUEUE, deliver)
        } else {
            Ok(Executor::inline(transfer, job, hashes, deliver))
        };
        let executor = executor.map_err(|error| {
            Failure::new(
                crate::exit::Exit::Other,
                format!("no thread could be started: {error}"),
                "Close other programs and try again.",
            )
        })?;
        self.storage = Some(executor);
        Ok(())
    }

    /// Waits for one input and takes it in. Dropping the future loses nothing.
    pub(crate) async fn turn(&mut self) {
        let wake = self.wake().await;
        let now = clock::now();
        match wake {
            Wake::Datagrams(Ok(())) => {
                self.endpoint.handle_datagrams(now, self.batch.datagrams());
            }
            // The socket says why when it is written to as well; consent and the
            // connection's own timers decide whether this is the end.
            Wake::Datagrams(Err(error)) => tracing::warn!(%error, "a socket cannot be read"),
            Wake::Writable => {}
            Wake::Reply(reply) => {
                self.take_reply(now, reply);
                for _ in 1..REPLIES_PER_TURN {
                    let Ok(reply) = self.replies.try_recv() else { break };
                    self.take_reply(now, reply);
                }
            }
            Wake::Lanes(Told::Reports(reports)) => {
                self.endpoint.handle_reports(now, reports.into_iter());
            }
            Wake::Lanes(Told::Bound(lane, addresses)) => self.lane_bound(lane, &addresses),
            Wake::Signal(signaled) => self.take_signal(now, signaled),
            Wake::Timer => self.endpoint.handle_timeout(now),
        }
        self.flush();
    }

    async fn wake(&mut self) -> Wake {
        let timer = self.endpoint.poll_timeout().map(|(at, _)| tokio::time::Instant::from_std(at));
        let timer = async {
            match timer {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        let signaling = self.signaling.as_mut();
        let signal = async {
            match signaling {
                Some(task) => task.next().await,
                None => std::future::pending().await,
            }
        };
        let carriers = self.carriers.as_mut();
        let lanes = async {
            match carriers {
                Some(carriers) => carriers.next().await,
                None => std::future::pending().await,
            }
        };
        let read = self.udp.recv(&mut self.batch);
        // Neither the one nor the other waits for ever.
        self.lanes_first = !self.lanes_first;
        let lanes_first = self.lanes_first;
        let network = async {
            if lanes_first {
                tokio::select! {
                    biased;
                    told = lanes => Wake::Lanes(told),
                    read = read => Wake::Datagrams(read),
                }
            } else {
                tokio::select! {
                    biased;
                    read = read => Wake::Datagrams(read),
                    told = lanes => Wake::Lanes(told),
                }
            }
        };
        // What the network can do without end comes last, so that it holds up
        // nothing; all else runs out.
        tokio::select! {
            biased;
            () = timer => Wake::Timer,
            signaled = signal => Wake::Signal(signaled),
            Some(reply) = self.replies.recv() => Wake::Reply(reply),
            _ = self.udp.writable() => Wake::Writable,
            network = network => network,
        }
    }

    fn take_reply(&mut self, now: Instant, reply: StorageReply) {
        if let Err(error) = self.endpoint.handle_storage(now, reply) {
            tracing::error!(%error, "storage and protocol disagree");
            self.endpoint.close(now, Some(error));
        }
    }

    fn take_signal(&mut self, now: Instant, signaled: Signaled) {
        match signaled {
            Signaled::Blob(blob) => self.endpoint.handle_signal(now, &blob),
            Signaled::PeerLeft => {
                let left = "the other side left before there was a connection";
                let error = Error::new(Blame::Circumstance, ErrorCode::TransportFailed, left);
                self.endpoint.handle_signal_closed(now, error);
            }
            Signaled::Failed(failure) => {
                if !self.has_path {
                    let text = "the rendezvous ended";
                    let error = Error::new(Blame::Circumstance, ErrorCode::TransportFailed, text);
                    self.signal_failure = Some(failure);
                    self.endpoint.handle_signal_closed(now, error);
                }
                self.signaling = None;
            }
        }
    }

    /// Carries out what the endpoint wants done. To be called after any use of
    /// [`Node::endpoint`].
    pub(crate) fn flush(&mut self) {
        while let Some(request) = self.endpoint.poll_storage() {
            self.submit(request);
        }
        while let Some(blob) = self.endpoint.poll_signal() {
            if let Some(task) = &self.signaling {
                task.send(blob);
            }
        }
        while let Some((lane, command)) = self.endpoint.poll_command() {
            if let Some(carriers) = &self.carriers {
                carriers.command(lane, command);
            }
        }
        while let Some(datagram) = self.endpoint.poll_datagram() {
            self.udp.queue(datagram);
        }
        self.udp.flush();
    }

    fn submit(&mut self, request: StorageRequest) {
        match &mut self.storage {
            Some(storage) => {
                if let Err(error) = storage.submit(request) {
                    tracing::error!(%error, "a storage request was lost");
                    let error = Error::local(ErrorCode::Internal, error.to_string());
                    self.endpoint.close(clock::now(), Some(error));
                }
            }
            // Before there is a thread there is nothing that could be discarded.
            None => debug_assert!(matches!(request, StorageRequest::Discard { .. })),
        }
    }

    /// Gives a further lane its sockets, or none if the system has none left.
    fn add_lane(&mut self, lane: u16) {
        if let Some(carriers) = &mut self.carriers {
            if !carriers.bind(lane) {
                self.endpoint.bind_lane(clock::now(), lane, &[]);
            }
            return; // Else `lane_bound` follows.
        }
        let bound = self.udp.add(lane).and_then(|()| self.udp.local_candidates(lane));
        let addresses = bound.unwrap_or_else(|error| {
            tracing::warn!(%error, "a further lane has no socket");
            Vec::new()
        });
        self.endpoint.bind_lane(clock::now(), lane, &addresses);
        self.flush();
    }

    /// A thread has sockets for a lane, if there is any to be had.
    fn lane_bound(&mut self, lane: u16, addresses: &[SocketAddr]) {
        let carrier = self.endpoint.bind_lane_apart(clock::now(), lane, addresses);
        match (&mut self.carriers, carrier) {
            (Some(carriers), Some(carrier)) => carriers.drive(carrier),
            (Some(carriers), None) => carriers.forget(lane),
            (None, _) => {}
        }
    }

    /// The next piece of news, but for what concerns lanes.
    pub(crate) fn poll_event(&mut self) -> Option<EndpointEvent> {
        let event = loop {
            match self.endpoint.poll_event() {
                Some(EndpointEvent::LaneWanted { lane }) => self.add_lane(lane),
                Some(EndpointEvent::LaneOver { lane }) => {
                    self.flush();
                    match &mut self.carriers {
                        Some(carriers) => carriers.forget(lane),
                        None => self.udp.remove(lane),
                    }
                }
                event => break event,
            }
        };
        match &event {
            Some(EndpointEvent::Connected { .. }) => self.has_path = true,
            // The rendezvous has done its part, for the peer too.
            Some(EndpointEvent::Connection(Event::Established { .. })) => self.signaling = None,
            _ => {}
        }
        event
    }

    /// The failure for an error of the endpoint: the rendezvous's own, if that
    /// is what ended everything.
    pub(crate) fn failure(&mut self, error: &Error) -> Failure {
        self.signal_failure.take().unwrap_or_else(|| Failure::of_error(error))
    }

    /// Ends: waits until the last blob is out and the storage thread is done.
    pub(crate) async fn finish(mut self) {
        self.flush();
        tracing::debug!(dropped = self.udp.dropped(), metrics = ?self.endpoint.metrics(), "the node ends");
        if let Some(task) = self.signaling.take() {
            task.finish_and_wait().await;
        }
        drop(self.storage.take());
        if let Some(carriers) = self.carriers.take() {
            carriers.finish();
        }
    }
}

fn no_socket(error: &io::Error) -> Failure {
    Failure::new(
        crate::exit::Exit::Lost,
        format!("no network address can be used: {error}"),
        "Check the network, and the address given with --bind.",
    )
}

#[cfg(test)]
mod tests;
