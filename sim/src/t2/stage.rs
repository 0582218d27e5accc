//! The stage: hosts that run tokio programs under `turmoil`, the faults that a
//! plan has for them, and a log by which two runs are compared. What does not
//! live here: which programs there are, and what must be true of them. So
//! somebody's own programs can stand on it in the place of ours; see
//! `sim/examples/own_program.rs`.

use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use passel::machine::Asker;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use super::disk;
use super::faults::{Change, Faults, Links};
pub use super::log::Log;
use crate::oracle::{Broken, broken};
use crate::trace::Recording;

/// Step of virtual time between two looks at the network, in milliseconds.
pub const TICK_MS: u64 = 5;

/// What the network between the hosts is like, and what goes wrong. Hosts are
/// named by their places in the list of programs, from 0.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stage {
    /// Draws everything that the plan does not say.
    pub seed: u64,
    /// Whether the hosts have addresses of version 6 in place of 4.
    pub v6: bool,
    /// Least and greatest delay of a message, in milliseconds.
    pub latency_ms: (u64, u64),
    /// What goes wrong.
    pub faults: Vec<Fault>,
    /// Time, after the last fault is over, within which everybody must be done.
    pub bound_ms: u64,
}

/// Something that goes wrong, for a while.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Fault {
    /// Nothing passes between two hosts, and what is on its way is lost.
    Partition {
        /// The two.
        between: [usize; 2],
        /// When it begins.
        at_ms: u64,
        /// How long it lasts.
        for_ms: u64,
    },
    /// The same in one direction.
    OneWay {
        /// Whom nothing comes from.
        from: usize,
        /// Whom nothing reaches.
        to: usize,
        /// When it begins.
        at_ms: u64,
        /// How long it lasts.
        for_ms: u64,
    },
    /// What passes between two hosts waits for the end.
    Hold {
        /// The two.
        between: [usize; 2],
        /// When it begins.
        at_ms: u64,
        /// How long it lasts.
        for_ms: u64,
    },
    /// A host's program is killed, and started again. What it has on disk stays
    /// as it is at that moment.
    Crash {
        /// Which.
        host: usize,
        /// When.
        at_ms: u64,
        /// How long it is down.
        for_ms: u64,
    },
    /// The system asks a host's program to end.
    Terminate {
        /// Which.
        host: usize,
        /// When.
        at_ms: u64,
    },
}

impl Fault {
    /// The places of the hosts that it touches.
    pub fn hosts(&self) -> Vec<usize> {
        match *self {
            Fault::Partition { between, .. } | Fault::Hold { between, .. } => between.to_vec(),
            Fault::OneWay { from, to, .. } => vec![from, to],
            Fault::Crash { host, .. } | Fault::Terminate { host, .. } => vec![host],
        }
    }

    /// When it begins and ends.
    pub fn span(&self) -> (u64, u64) {
        match *self {
            Fault::Partition { at_ms, for_ms, .. }
            | Fault::OneWay { at_ms, for_ms, .. }
            | Fault::Hold { at_ms, for_ms, .. }
            | Fault::Crash { at_ms, for_ms, .. } => (at_ms, at_ms.saturating_add(for_ms)),
            Fault::Terminate { at_ms, .. } => (at_ms, at_ms),
        }
    }
}

/// A program as a future. It is made anew whenever its host is started.
pub type Running = Pin<Box<dyn Future<Output = ()>>>;

/// A host and its program.
pub struct Host {
    /// Its name in traces.
    pub name: &'static str,
    /// The program.
    pub program: Box<dyn Fn(Seat) -> Running>,
    /// A directory that only this program writes to, if there is one.
    pub disk: Option<PathBuf>,
}

/// What a program knows of its host. A clone is the same host.
#[derive(Clone, Debug)]
pub struct Seat {
    /// Its place in the list.
    pub place: usize,
    /// Addresses of all hosts, by their places.
    pub addresses: Arc<[IpAddr]>,
    /// Where everything is noted.
    pub log: Log,
    asking: Asking,
}

/// Where the program of each place hears that it shall end.
type Asking = Arc<Mutex<Vec<Option<mpsc::UnboundedSender<Asker>>>>>;

impl Seat {
    /// This host's address.
    pub fn address(&self) -> IpAddr {
        self.addresses[self.place]
    }

    /// The address of another host.
    pub(super) fn address_of(&self, place: usize) -> IpAddr {
        self.addresses[place]
    }

    /// Notes an event of this host.
    pub fn note(&self, what: &str) {
        self.log.note(self.place, what);
    }

    /// Listens from now on for whoever asks the program to end.
    pub fn requests(&self) -> mpsc::UnboundedReceiver<Asker> {
        let (ask, asked) = mpsc::unbounded_channel();
        lock(&self.asking)[self.place] = Some(ask);
        asked
    }

    /// Asks the program at `place` to end, as a person would.
    pub fn interrupt(&self, place: usize) {
        ask(&self.asking, place, Asker::Person);
    }

    /// Says that nothing more is needed of this host.
    pub fn finish(&self) {
        self.log.finish(self.place);
    }
}

fn ask(asking: &Asking, place: usize, asker: Asker) {
    if let Some(ask) = &lock(asking)[place] {
        // A program that has ended needs not be asked.
        let _ = ask.send(asker);
    }
}

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Played {
    /// What did not hold, if anything.
    pub broken: Option<Broken>,
    /// Over all events and their times.
    pub semantic_hash: String,
    /// Over all datagrams that programs noted, and their times.
    pub wire_hash: String,
    /// Milliseconds of virtual time that it took.
    pub virtual_ms: u64,
    /// Events that were noted.
    pub events: u64,
    /// A line for each event and datagram, if that was asked for.
    pub trace: Vec<String>,
    /// The same to be looked at, see [`trace`](crate::trace).
    pub recording: Recording,
}

/// Has the programs play under the faults of the stage until all have finished,
/// on the current thread; see [`on_own_thread`]. `check` is called after each
/// step with the time in milliseconds. A stage with a fault of a host that there is
/// not is broken.
pub fn play(
    stage: &Stage,
    hosts: Vec<Host>,
    traced: bool,
    check: &mut dyn FnMut(u64) -> Result<(), Broken>,
) -> Played {
    let addresses = (0..hosts.len()).map(|at| address(at, stage.v6)).collect();
    let log = Log::new(hosts.iter().map(|host| host.name).collect(), addresses, traced);
    if traced {
        stage.faults.iter().for_each(|fault| log.fault(fault));
    }
    let mut virtual_ms = 0;
    let result = play_logged(stage, hosts, &log, &mut virtual_ms, check);
    log.played(result.err(), virtual_ms)
}

fn play_logged(
    stage: &Stage,
    hosts: Vec<Host>,
    log: &Log,
    virtual_ms: &mut u64,
    check: &mut dyn FnMut(u64) -> Result<(), Broken>,
) -> Result<(), Broken> {
    let absent = |fault: &&Fault| fault.hosts().into_iter().any(|host| host >= hosts.len());
    if let Some(fault) = stage.faults.iter().find(absent) {
        return broken("the stage can be played", format!("{fault:?} names no host"));
    }
    let addresses = log.addresses();
    let asking: Asking = Arc::new(Mutex::new(hosts.iter().map(|_| None).collect()));
    let disks: Vec<Option<PathBuf>> = hosts.iter().map(|host| host.disk.clone()).collect();
    let mut sim = builder(stage).build();
    for (place, host) in hosts.into_iter().enumerate() {
        let (addresses, log) = (Arc::clone(&addresses), log.clone());
        let seat = Seat { place, addresses, log, asking: Arc::clone(&asking) };
        let program = host.program;
        sim.host(seat.address(), move || {
            let running = program(seat.clone());
            async move {
                running.await;
                Ok(())
            }
        });
    }
    let mut faults = Faults::new(&stage.faults);
    let bound = faults.end_ms().saturating_add(stage.bound_ms);
    loop {
        let now = u64::try_from(sim.elapsed().as_millis()).unwrap_or(u64::MAX);
        *virtual_ms = now;
        for change in faults.due(now) {
            log.change(now * 1000, &change);
            match change {
                Change::Kill(host) => {
                    let frozen = disks[host].as_deref().map(disk::freeze).transpose();
                    let frozen = frozen.map_err(|error| unfit(&error))?;
                    sim.crash(addresses[host]);
                    // What a program does while it is taken down, a killed one
                    // does not do.
                    if let Some(frozen) = frozen {
                        frozen.thaw().map_err(|error| unfit(&error))?;
                    }
                }
                Change::Start(host) => sim.bounce(addresses[host]),
                Change::Terminate(host) => ask(&asking, host, Asker::System),
                Change::Link(pair, links) => connect(&sim, &addresses, pair, links),
            }
        }
        if let Err(error) = sim.step() {
            return broken("no program fails by itself", error.to_string());
        }
        check(now)?;
        let missing = log.missing();
        if missing.is_empty() && faults.are_over() {
            return Ok(());
        }
        if now > bound {
            let detail = format!("not within {} s: {}", bound / 1000, missing.join(", "));
            return broken("everything ends", detail);
        }
    }
}

/// Runs `work` on a thread of its own, whose random numbers and those of all
/// libraries on it depend on `seed` alone.
pub fn on_own_thread<T: Send>(seed: u64, work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let seeded = || {
            passel_sim_entropy::with_seed(seed, || {
                // Whoever draws from here took its first seed from the system.
                fastrand::seed(seed);
                work()
            })
        };
        match scope.spawn(seeded).join() {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

fn builder(stage: &Stage) -> turmoil::Builder {
    let mut builder = turmoil::Builder::new();
    let (least, most) = stage.latency_ms;
    builder
        .rng_seed(stage.seed)
        .epoch(SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000))
        .simulation_duration(Duration::from_secs(1_000_000_000))
        .tick_duration(Duration::from_millis(TICK_MS))
        .min_message_latency(Duration::from_millis(least))
        .max_message_latency(Duration::from_millis(most.max(least)))
        .udp_capacity(4096)
        .tcp_capacity(1024);
    builder
}

/// The address of the host at `place`.
pub(super) fn address(place: usize, v6: bool) -> IpAddr {
    let last = u8::try_from(place + 1).unwrap_or(u8::MAX);
    if v6 {
        Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, last.into()).into()
    } else {
        Ipv4Addr::new(198, 51, 100, last).into()
    }
}

/// Brings the links between two hosts into the state that the faults want.
fn connect(sim: &turmoil::Sim<'_>, addresses: &[IpAddr], pair: [usize; 2], links: Links) {
    let [a, b] = pair.map(|place| addresses[place]);
    if links.cut {
        return sim.partition(a, b);
    }
    sim.release(a, b);
    if links.held {
        sim.hold(a, b);
    }
    if links.cut_there {
        sim.partition_oneway(a, b);
    }
    if links.cut_back {
        sim.partition_oneway(b, a);
    }
}

fn unfit(error: &std::io::Error) -> Broken {
    Broken { invariant: "the plan can be run", detail: format!("a disk: {error}") }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
