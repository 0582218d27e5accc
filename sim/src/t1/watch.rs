//! Watches a run without a say in it: hashes, the trace, and which conditions
//! were met.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use passel_sans_io::datagram::Datagram;
use passel_sans_io::endpoint::EndpointEvent;

use super::disk::Place;
use super::picture::Picture;
use super::rendezvous::Letter;
use super::sometimes::Condition;
use super::{Meddling, Outcome, Plan, RoamPlan, Seat};
use crate::hash::RunHash;
use crate::log::Log;
use crate::net::{Blocked, Fate, Upset};
use crate::outcome::Violation;
use crate::plan::Side;
use crate::trace::Recording;

/// What happened between the handshake and a transfer's end.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Befallen {
    /// A gateway was upset.
    pub(super) upset: bool,
    /// A host got other addresses.
    pub(super) roamed: bool,
    /// A lane was lost.
    pub(super) lane_lost: bool,
}

#[derive(Debug)]
pub(super) struct Watch {
    log: Log<Plan>,
    picture: Option<Picture>,
    /// Both handshakes are done and not all transfers have ended.
    pub(super) in_transfer: bool,
    /// What happened in that time.
    pub(super) befallen: Befallen,
    /// Lanes of which it was seen that they are dead.
    dead_lanes: BTreeSet<u16>,
}

impl Watch {
    pub(super) fn new(traced: bool) -> Self {
        Self {
            log: Log::new(traced),
            picture: None,
            in_transfer: false,
            befallen: Befallen::default(),
            dead_lanes: BTreeSet::new(),
        }
    }

    /// One that takes down what a person may want to see.
    pub(super) fn recording(plan: &Plan) -> Self {
        Self { picture: Some(Picture::begun(plan)), ..Self::new(false) }
    }

    pub(super) fn outcome(
        self,
        seed: u64,
        violation: Option<Violation>,
        virtual_us: u64,
        steps: u64,
    ) -> (Outcome, Recording) {
        let outcome = self.log.outcome(seed, violation, virtual_us, steps);
        (outcome, self.picture.map(Picture::ended).unwrap_or_default())
    }

    pub(super) fn meet(&mut self, condition: Condition) {
        self.log.meet(condition);
    }

    pub(super) fn on_event(&mut self, now: u64, side: Side, event: &EndpointEvent) {
        if let EndpointEvent::Connected { path, .. } = event {
            let v4 = path.remote.is_ipv4();
            self.meet(if v4 { Condition::PathV4 } else { Condition::PathV6 });
        }
        self.log.note(now, &format!("{side:?} {event:?}"));
        if let Some(picture) = &mut self.picture {
            picture.on_event(now, side, event);
        }
    }

    pub(super) fn on_named(&mut self, now: u64, side: Side, place: Place, size: usize) {
        if size == 0 {
            self.meet(Condition::EmptyFile);
        }
        self.log.note(now, &format!("{side:?} names {place:?} of {size} bytes"));
        if let Some(picture) = &mut self.picture {
            picture.on_named(now, side, size);
        }
    }

    /// A blob goes out. The number under which it is drawn, if it is.
    pub(super) fn on_signal(&mut self, now: u64, side: Side, blob: &[u8]) -> Option<usize> {
        self.log.wire.number(now << 2 | 2 | side.place() as u64);
        self.log.wire.bytes(blob);
        self.log
            .line(now, || format!("{side:?} signals {} bytes: {}", blob.len(), RunHash::of(blob)));
        self.picture.as_mut().map(|picture| picture.on_signal(now, side, blob.len()))
    }

    /// A blob comes, as it is by now.
    pub(super) fn on_delivered(&mut self, now: u64, to: Side, letter: &Letter) {
        self.log.wire.number(now << 2 | 2 | to.place() as u64);
        self.log.wire.bytes(&letter.blob);
        self.log.line(now, || {
            let (len, hash) = (letter.blob.len(), RunHash::of(&letter.blob));
            format!("{len} bytes are signaled to {to:?}: {hash}")
        });
        if let (Some(picture), Some(number)) = (&mut self.picture, letter.number) {
            picture.on_delivered(now, number);
        }
    }

    pub(super) fn on_datagram(&mut self, now: u64, side: Side, datagram: &Datagram) {
        self.log.wire.number(now << 2 | side.place() as u64);
        for address in [datagram.source, datagram.destination] {
            self.log.wire.bytes(address.to_string().as_bytes());
        }
        self.log.wire.bytes(&datagram.contents);
        self.log.line(now, || {
            let (len, to) = (datagram.contents.len(), datagram.destination);
            format!("{side:?} sends {len} bytes to {to}: {}", RunHash::of(&datagram.contents))
        });
        if let Some(picture) = &mut self.picture {
            picture.on_datagram(now, side, datagram);
        }
    }

    /// Something happens to a gateway.
    pub(super) fn on_upset(&mut self, now: u64, gateway: usize, upset: Upset) {
        if self.in_transfer {
            self.befallen.upset = true;
            self.meet(match upset {
                Upset::Rebind => Condition::RebindInTransfer,
                Upset::Reboot => Condition::RebootInTransfer,
            });
        }
        let text = match upset {
            Upset::Rebind => format!("gateway {gateway} forgets all, and gives other ports"),
            Upset::Reboot => format!("gateway {gateway} forgets all"),
        };
        self.on_fault(now, None, text);
    }

    /// A host gets other addresses.
    pub(super) fn on_roam(&mut self, now: u64, roam: &RoamPlan) {
        if self.in_transfer {
            self.meet(Condition::RoamedInTransfer);
            if roam.leaves {
                self.meet(Condition::LeftInTransfer);
            }
            self.befallen.roamed = true;
        }
        let leaves = if roam.leaves { "leaves its network and " } else { "" };
        let noticed = if roam.noticed { "" } else { ", and does not notice" };
        let text = format!("{leaves}gets other addresses{noticed}");
        self.on_fault(now, Some(roam.side), text);
    }

    /// A program dies.
    pub(super) fn on_death(&mut self, now: u64, side: Side, power: bool) {
        if self.in_transfer {
            self.meet(if power {
                Condition::PowerLostInTransfer
            } else {
                Condition::KilledInTransfer
            });
        }
        let text = if power {
            "program dies, its disk loses what was not synced"
        } else {
            "program is killed, its machine goes on"
        };
        self.log.note(now, &format!("{side:?}: {text}"));
        self.on_fault(now, Some(side), text.to_owned());
        if let Some(picture) = &mut self.picture {
            picture.on_death(now, side);
        }
    }

    /// Somebody has something done.
    pub(super) fn on_wish(&mut self, now: u64, side: Side, text: &str) {
        self.log.note(now, &format!("{side:?} {text}"));
        self.on_fault(now, Some(side), text.to_owned());
    }

    /// The two connect again.
    pub(super) fn on_connect(&mut self, now: u64, nth: u32, healed: bool) {
        (self.in_transfer, self.befallen) = (false, Befallen::default());
        self.log.note(now, &format!("connection {nth}, healed: {healed}"));
        if let Some(picture) = &mut self.picture {
            picture.on_connect(now, nth, healed);
        }
    }

    /// Somebody did something to what a side sent, or a relay.
    pub(super) fn on_meddled(&mut self, now: u64, of: Option<Side>, seat: Seat, how: Meddling) {
        let (condition, place) = match seat {
            Seat::Rendezvous => (Condition::MeddledInRendezvous, "in the rendezvous"),
            Seat::Relay => (Condition::MeddledInRelay, "in the relay"),
            Seat::Server => (Condition::MeddledInServer, "in the STUN server"),
            Seat::Lines => (Condition::MeddledOnLines, "on the line"),
        };
        self.meet(condition);
        self.on_fault(now, of, format!("somebody {place}: {how:?}"));
    }

    /// The network did not carry a datagram of a lane that is dead.
    pub(super) fn on_dead_lane(&mut self, now: u64, lane: u16) {
        if self.dead_lanes.insert(lane) {
            self.on_fault(now, None, format!("lane {lane} is dead"));
        }
    }

    fn on_fault(&mut self, now: u64, side: Option<Side>, text: String) {
        if let Some(picture) = &mut self.picture {
            picture.on_fault(now, side, text);
        }
    }

    /// A datagram comes to the line of its reader.
    pub(super) fn on_crossing(&mut self, contents: &[u8]) {
        if let Some(picture) = &mut self.picture {
            picture.on_crossing(contents);
        }
    }

    /// The datagram that came last to a border does not get over it.
    pub(super) fn on_stopped(&mut self) {
        if let Some(picture) = &mut self.picture {
            picture.on_stopped();
        }
    }

    /// A datagram reaches its reader.
    pub(super) fn on_arrival(&mut self, now: u64, to: Side, datagram: &Datagram) {
        if let Some(picture) = &mut self.picture {
            picture.on_arrival(now, to, datagram);
        }
    }

    /// A datagram of the host at `from` got no further than a gateway.
    pub(super) fn on_blocked(&mut self, now: u64, from: usize, to: SocketAddr, blocked: Blocked) {
        self.meet(Condition::Blocked(blocked));
        self.log.line(now, || format!("of host {from} to {to}: {blocked:?}"));
    }

    /// What befell a datagram on the line of the host at `place`.
    pub(super) fn on_fates(&mut self, now: u64, place: usize, fates: &[Fate]) {
        if let Some(picture) = &mut self.picture {
            picture.on_fates(fates);
        }
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
            self.log.line(now, || format!("line of host {place}: {fate:?}"));
        }
    }
}
