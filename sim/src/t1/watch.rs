//! Watches a run without a say in it: hashes, the trace, and which conditions
//! were met.

use passel_sans_io::datagram::Datagram;
use passel_sans_io::endpoint::EndpointEvent;

use super::Outcome;
use super::disk::Place;
use super::sometimes::{Condition, Met};
use crate::hash::RunHash;
use crate::net::Fate;
use crate::outcome::Violation;
use crate::plan::Side;

#[derive(Debug)]
pub(super) struct Watch {
    semantic: RunHash,
    wire: RunHash,
    met: Met,
    trace: Option<Vec<String>>,
    /// Both handshakes are done and not all transfers have ended.
    pub(super) in_transfer: bool,
}

impl Watch {
    pub(super) fn new(traced: bool) -> Self {
        Self {
            semantic: RunHash::default(),
            wire: RunHash::default(),
            met: Met::new(),
            trace: traced.then(Vec::new),
            in_transfer: false,
        }
    }

    pub(super) fn outcome(
        self,
        seed: u64,
        violation: Option<Violation>,
        virtual_us: u64,
        steps: u64,
    ) -> Outcome {
        Outcome {
            seed,
            violation,
            semantic_hash: self.semantic.hex(),
            wire_hash: self.wire.hex(),
            virtual_us,
            steps,
            met: self.met,
            trace: self.trace.unwrap_or_default(),
        }
    }

    pub(super) fn meet(&mut self, condition: Condition) {
        self.met.insert(condition);
    }

    fn note(&mut self, now: u64, what: &str) {
        self.semantic.number(now);
        self.semantic.bytes(what.as_bytes());
        if let Some(trace) = &mut self.trace {
            trace.push(format!("{now:>12} {what}"));
        }
    }

    pub(super) fn on_event(&mut self, now: u64, side: Side, event: &EndpointEvent) {
        if let EndpointEvent::Connected { path, .. } = event {
            let v4 = path.remote.is_ipv4();
            self.meet(if v4 { Condition::PathV4 } else { Condition::PathV6 });
        }
        self.note(now, &format!("{side:?} {event:?}"));
    }

    pub(super) fn on_named(&mut self, now: u64, side: Side, place: Place, size: usize) {
        if size == 0 {
            self.meet(Condition::EmptyFile);
        }
        self.note(now, &format!("{side:?} names {place:?} of {size} bytes"));
    }

    pub(super) fn on_signal(&mut self, now: u64, side: Side, blob: &[u8]) {
        self.wire.number(now << 2 | 2 | side.place() as u64);
        self.wire.bytes(blob);
        if let Some(trace) = &mut self.trace {
            trace.push(format!("{now:>12} {side:?} signals {} bytes", blob.len()));
        }
    }

    pub(super) fn on_datagram(&mut self, now: u64, side: Side, datagram: &Datagram) {
        self.wire.number(now << 2 | side.place() as u64);
        for address in [datagram.source, datagram.destination] {
            self.wire.bytes(address.to_string().as_bytes());
        }
        self.wire.bytes(&datagram.contents);
        if let Some(trace) = &mut self.trace {
            let mut hash = RunHash::default();
            hash.bytes(&datagram.contents);
            let (len, to, hash) = (datagram.contents.len(), datagram.destination, hash.hex());
            trace.push(format!("{now:>12} {side:?} sends {len} bytes to {to}: {hash}"));
        }
    }

    /// What befell a datagram on the way from or to `side`.
    pub(super) fn on_fates(&mut self, now: u64, side: Side, fates: &[Fate]) {
        for &fate in fates {
            self.meet(Condition::Datagram(fate));
            if self.in_transfer {
                match fate {
                    Fate::Outage => self.meet(Condition::OutageInTransfer),
                    Fate::Lost | Fate::LostInBurst | Fate::QueueFull => {
                        self.meet(Condition::LossInTransfer);
                    }
                    _ => {}
                }
            }
            if let Some(trace) = &mut self.trace {
                trace.push(format!("{now:>12} line of {side:?}: {fate:?}"));
            }
        }
    }
}
