//! What a person sees of a run of T1: every datagram with what it carries and
//! what befell it, what was not acknowledged, and how both endpoints stood.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use passel_sans_io::datagram::Datagram;
use passel_sans_io::endpoint::EndpointEvent;

use super::Plan;
use super::tap::{self, Heard};
use crate::net::Fate;
use crate::plan::Side;
use crate::trace::{Flight, Packet, Recording, Sort, Span, words};

#[derive(Debug)]
pub(super) struct Picture {
    recording: Recording,
    /// Where STUN and TURN servers are.
    servers: BTreeSet<IpAddr>,
    /// Datagrams by the hash of their contents, the newest.
    numbers: BTreeMap<String, usize>,
    /// What datagrams carry that have not gone out, by hash.
    carries: BTreeMap<String, (String, bool)>,
    /// The datagram of which is spoken, and its packet.
    current: Option<(usize, Option<usize>)>,
}

impl Picture {
    /// Of a run that is about to begin on this thread.
    pub(super) fn begun(plan: &Plan) -> Self {
        tap::begin();
        let mut recording = Recording::new(&["inviter", "joiner"]);
        for host in 0..2 {
            recording.state(0, host, "connection", "connecting");
        }
        if let Some(bug) = plan.planted {
            recording.mark(0, None, Sort::Fault, format!("planted bug: {bug:?}"));
        }
        for outage in &plan.outages {
            recording.spans.push(Span {
                from_us: outage.at_us,
                until_us: outage.at_us.saturating_add(outage.for_us),
                host: Some(outage.host),
                text: "line is out".to_owned(),
            });
        }
        for away in plan.rendezvous.iter().flat_map(|rendezvous| &rendezvous.away) {
            recording.spans.push(Span {
                from_us: away.at_us,
                until_us: away.at_us.saturating_add(away.for_us),
                host: None,
                text: "rendezvous is away".to_owned(),
            });
        }
        let relays = plan.relays.iter().map(|relay| &relay.host);
        let servers = plan.servers.iter().chain(relays).flat_map(|host| &host.addresses);
        Self {
            recording,
            servers: servers.copied().collect(),
            numbers: BTreeMap::new(),
            carries: BTreeMap::new(),
            current: None,
        }
    }

    pub(super) fn ended(self) -> Recording {
        self.recording
    }

    fn listen(&mut self, now: u64) {
        for heard in tap::heard() {
            match heard {
                Heard::Carries { hash, kind, again } => {
                    self.carries.insert(hash, (kind, again));
                }
                Heard::Flight { side, bytes } => {
                    let host = side.place();
                    self.recording.flights.push(Flight { at_us: now, host, bytes });
                }
            }
        }
    }

    pub(super) fn on_event(&mut self, now: u64, side: Side, event: &EndpointEvent) {
        let host = side.place();
        match event {
            EndpointEvent::Connecting => {
                self.recording.mark(now, Some(host), Sort::Event, "knows the peer's addresses");
            }
            EndpointEvent::Connected { path, dtls } => {
                let text = format!("transport is up: {path:?}, {dtls:?}");
                self.recording.mark(now, Some(host), Sort::Event, text);
                self.recording.state(now, host, "connection", "handshake");
            }
            EndpointEvent::Connection(event) => {
                words::event(&mut self.recording, now, host, event);
            }
            lane => self.recording.mark(now, Some(host), Sort::Event, format!("{lane:?}")),
        }
    }

    /// Something goes wrong, as the plan wanted it.
    pub(super) fn on_fault(&mut self, now: u64, side: Option<Side>, text: String) {
        self.recording.mark(now, side.map(Side::place), Sort::Fault, text);
    }

    /// A program dies.
    pub(super) fn on_death(&mut self, now: u64, side: Side) {
        self.recording.state(now, side.place(), "connection", "dead");
        self.forget_flight(now, side);
    }

    /// Of what a side has sent, nothing is waited for any more.
    fn forget_flight(&mut self, now: u64, side: Side) {
        self.listen(now);
        self.recording.flights.push(Flight { at_us: now, host: side.place(), bytes: 0 });
    }

    /// The two connect again.
    pub(super) fn on_connect(&mut self, now: u64, nth: u32, healed: bool) {
        words::connected_again(&mut self.recording, now, nth, healed, "connecting");
        for side in Side::BOTH {
            self.forget_flight(now, side);
        }
    }

    pub(super) fn on_named(&mut self, now: u64, side: Side, size: usize) {
        self.recording.did(now, side.place(), "final name", size);
    }

    /// The number under which a blob is drawn.
    pub(super) fn on_signal(&mut self, now: u64, side: Side, bytes: usize) -> usize {
        let (from, to) = (side.place(), side.peer().place());
        self.recording.sent(now, from, to, "blob by rendezvous", bytes)
    }

    pub(super) fn on_delivered(&mut self, now: u64, number: usize) {
        self.recording.messages[number].arrived_us = Some(now);
    }

    pub(super) fn on_datagram(&mut self, now: u64, side: Side, datagram: &Datagram) {
        self.listen(now);
        let hash = tap::hash(&datagram.contents);
        let (kind, again) = self
            .carries
            .remove(&hash)
            .unwrap_or_else(|| (words::datagram(&datagram.contents), false));
        // What a server is asked is between it and the side; data that it relays is not.
        let is_server = self.servers.contains(&datagram.destination.ip());
        let request = kind.strip_prefix("STUN ").filter(|name| name.ends_with(" request"));
        let asked = request.filter(|_| is_server).map(|name| format!("to a server: {name}"));
        let (to, arrived_us) = match asked {
            Some(_) => (side, Some(now)),
            None => (side.peer(), None),
        };
        let (kind, from, to) = (asked.unwrap_or(kind), side.place(), to.place());
        // Hellos of DTLS that are not the first ones are sent again.
        let hello = kind.ends_with("Hello");
        let before = |one: &crate::trace::Message| one.from == from && one.kind == kind;
        let again = again || (hello && self.recording.messages.iter().any(before));
        let number = self.recording.sent(now, from, to, &kind, datagram.contents.len());
        self.recording.messages[number].again = again;
        self.recording.messages[number].arrived_us = arrived_us;
        self.numbers.insert(hash, number);
        let packet = self.packet(now, side, true, datagram);
        self.current = Some((number, Some(packet)));
    }

    pub(super) fn on_crossing(&mut self, contents: &[u8]) {
        let number = self.numbers.get(&tap::hash(contents));
        self.current = number.map(|number| (*number, None));
    }

    pub(super) fn on_stopped(&mut self) {
        if let Some((number, _)) = self.current {
            let message = &mut self.recording.messages[number];
            message.fates.push("stopped by a gateway, or for nobody");
            message.lost = true;
        }
    }

    pub(super) fn on_arrival(&mut self, now: u64, to: Side, datagram: &Datagram) {
        if let Some(&number) = self.numbers.get(&tap::hash(&datagram.contents)) {
            self.recording.messages[number].arrived_us = Some(now);
        }
        self.packet(now, to, false, datagram);
    }

    pub(super) fn on_fates(&mut self, fates: &[Fate]) {
        let Some((number, packet)) = self.current else { return };
        for fate in fates {
            let (word, lost) = match fate {
                Fate::Lost => ("lost", true),
                Fate::LostInBurst => ("lost in a burst", true),
                Fate::QueueFull => ("queue full", true),
                Fate::TooLong => ("too long", true),
                Fate::Outage => ("line out", true),
                Fate::Queued => continue, // Seen as its delay.
                Fate::Reordered => ("held back", false),
                Fate::Duplicated => ("delivered twice", false),
                Fate::Corrupted => ("altered", false),
            };
            let message = &mut self.recording.messages[number];
            message.fates.push(word);
            message.lost |= lost;
            if let Some(packet) = packet {
                self.recording.packets[packet].fates.push(word);
            }
        }
    }

    fn packet(&mut self, at_us: u64, side: Side, outbound: bool, datagram: &Datagram) -> usize {
        let Datagram { source, destination, contents } = datagram.clone();
        let (host, fates) = (side.place(), Vec::new());
        self.recording.packets.push(Packet {
            at_us,
            host,
            outbound,
            source,
            destination,
            contents,
            fates,
        });
        self.recording.packets.len() - 1
    }
}
