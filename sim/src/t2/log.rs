//! What happens on the stage, taken down: two hashes by which runs are compared,
//! and, if that is wanted, a line for each event and a picture for a person. What
//! does not live here: what the events mean, which the stage does not know.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use super::faults::{Change, Links};
use super::stage::{Fault, Played, lock};
use crate::hash::RunHash;
use crate::oracle::Broken;
use crate::trace::{Recording, Sort, Span, words};

/// A log. A clone is the same one.
#[derive(Clone, Debug)]
pub struct Log {
    inner: Arc<Mutex<Inner>>,
    addresses: Arc<[IpAddr]>,
}

#[derive(Debug)]
struct Inner {
    semantic: RunHash,
    wire: RunHash,
    names: Vec<&'static str>,
    finished: Vec<bool>,
    events: u64,
    told: Option<Told>,
}

/// What is taken down if somebody wants to see it.
#[derive(Debug, Default)]
struct Told {
    lines: Vec<String>,
    recording: Recording,
    /// Datagrams under way: the number of the newest with this hash and reader.
    sent: BTreeMap<(usize, String), usize>,
}

impl Inner {
    fn name(&self, place: usize) -> &'static str {
        self.names.get(place).copied().unwrap_or("world")
    }

    fn note(&mut self, now: u64, place: usize, what: &str) {
        self.events += 1;
        self.semantic.number(now << 4 | place as u64);
        self.semantic.bytes(what.as_bytes());
        let name = self.name(place);
        if let Some(told) = &mut self.told {
            told.lines.push(format!("{now:>12} {name}: {what}"));
        }
    }
}

impl Log {
    pub(super) fn new(names: Vec<&'static str>, addresses: Arc<[IpAddr]>, traced: bool) -> Self {
        let told = || Told { recording: Recording::new(&names), ..Told::default() };
        let inner = Inner {
            semantic: RunHash::default(),
            wire: RunHash::default(),
            told: traced.then(told),
            finished: vec![false; names.len()],
            names,
            events: 0,
        };
        Self { inner: Arc::new(Mutex::new(inner)), addresses }
    }

    pub(super) fn addresses(&self) -> Arc<[IpAddr]> {
        Arc::clone(&self.addresses)
    }

    /// Notes an event of the host at `place`, with the time.
    pub fn note(&self, place: usize, what: &str) {
        let (now, mut inner) = (now_us(), lock(&self.inner));
        inner.note(now, place, what);
        if let Some(told) = &mut inner.told {
            told.recording.mark(now, Some(place), Sort::Event, what);
        }
    }

    /// Notes a datagram that the host at `place` sends, with the time.
    pub fn datagram(&self, place: usize, to: IpAddr, contents: &[u8]) {
        let (now, mut inner) = (now_us(), lock(&self.inner));
        inner.wire.number(now << 4 | place as u64);
        inner.wire.bytes(to.to_string().as_bytes());
        inner.wire.bytes(contents);
        let name = inner.name(place);
        let Some(told) = &mut inner.told else { return };
        let (len, hash) = (contents.len(), hash(contents));
        told.lines.push(format!("{now:>12} {name} sends {len} bytes to {to}: {hash}"));
        if let Some(to) = self.addresses.iter().position(|address| *address == to) {
            let number = told.recording.sent(now, place, to, &words::datagram(contents), len);
            told.recording.messages[number].lost = true; // Until it arrives.
            told.sent.insert((to, hash), number);
        }
    }

    /// A datagram has come to the host at `place`.
    pub fn arrival(&self, place: usize, contents: &[u8]) {
        let (now, mut inner) = (now_us(), lock(&self.inner));
        let Some(told) = &mut inner.told else { return };
        if let Some(number) = told.sent.get(&(place, hash(contents))) {
            let message = &mut told.recording.messages[*number];
            message.arrived_us.get_or_insert(now);
            message.lost = false;
        }
    }

    /// Bytes of a TCP connection go out, of which no more is seen.
    pub fn stream(&self, place: usize, to: IpAddr, len: usize) {
        let (now, mut inner) = (now_us(), lock(&self.inner));
        let Some(told) = &mut inner.told else { return };
        if let Some(to) = self.addresses.iter().position(|address| *address == to) {
            told.recording.sent(now, place, to, "TCP", len);
        }
    }

    /// Something goes wrong, or is over.
    pub(super) fn change(&self, now: u64, change: &Change) {
        let mut inner = lock(&self.inner);
        inner.note(now, usize::MAX, &format!("{change:?}"));
        let name = |place: usize| inner.name(place);
        let (host, text) = match *change {
            Change::Kill(host) => (Some(host), "is killed".to_owned()),
            Change::Start(host) => (Some(host), "is started again".to_owned()),
            Change::Terminate(host) => (Some(host), "is asked by the system to end".to_owned()),
            Change::Link([a, b], links) => {
                (None, format!("between {} and {}: {}", name(a), name(b), state(links)))
            }
        };
        if let Some(told) = &mut inner.told {
            told.recording.mark(now, host, Sort::Fault, text);
        }
    }

    /// A fault of the plan, which the picture shows for as long as it lasts.
    pub(super) fn fault(&self, fault: &Fault) {
        let mut inner = lock(&self.inner);
        let both = |[a, b]: [usize; 2]| format!("{} and {}", inner.name(a), inner.name(b));
        let (host, text) = match fault {
            Fault::Partition { between, .. } => (None, format!("{} cut off", both(*between))),
            Fault::Hold { between, .. } => (None, format!("{} held", both(*between))),
            Fault::OneWay { from, to, .. } => {
                (None, format!("{} to {} cut off", inner.name(*from), inner.name(*to)))
            }
            Fault::Crash { host, .. } => (Some(*host), "is down".to_owned()),
            Fault::Terminate { .. } => return,
        };
        let (from_us, until_us) = (fault.span().0 * 1000, fault.span().1.saturating_mul(1000));
        if let Some(told) = &mut inner.told {
            told.recording.spans.push(Span { from_us, until_us, host, text });
        }
    }

    pub(super) fn finish(&self, place: usize) {
        lock(&self.inner).finished[place] = true;
    }

    /// Those who have not finished.
    pub(super) fn missing(&self) -> Vec<&'static str> {
        let inner = lock(&self.inner);
        let names = inner.names.iter().zip(&inner.finished);
        names.filter(|(_, done)| !**done).map(|(name, _)| *name).collect()
    }

    pub(super) fn played(&self, broken: Option<Broken>, virtual_ms: u64) -> Played {
        let mut inner = lock(&self.inner);
        let told = inner.told.take().unwrap_or_default();
        Played {
            broken,
            semantic_hash: inner.semantic.hex(),
            wire_hash: inner.wire.hex(),
            virtual_ms,
            events: inner.events,
            trace: told.lines,
            recording: told.recording,
        }
    }
}

fn state(links: Links) -> &'static str {
    match links {
        Links { cut: true, .. } | Links { cut_there: true, cut_back: true, .. } => "cut off",
        Links { cut_there: true, .. } => "cut off in this direction",
        Links { cut_back: true, .. } => "cut off in the other direction",
        Links { held: true, .. } => "held",
        _ => "as before",
    }
}

fn hash(contents: &[u8]) -> String {
    let mut hash = RunHash::default();
    hash.bytes(contents);
    hash.hex()
}

fn now_us() -> u64 {
    let elapsed = turmoil::sim_elapsed().unwrap_or_default();
    u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX)
}
