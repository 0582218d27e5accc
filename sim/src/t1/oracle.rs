//! What is true of a run of T1, known from its plan alone, and the invariants
//! that both endpoints are held against.

use std::collections::BTreeMap;
use std::rc::Rc;

use passel_proto::connection::{Completion, Event};
use passel_proto::error::{Blame, Error, ErrorCode};
use passel_proto::ids::TransferId;
use passel_proto::limits::timers::CLOSE_LINGER;
use passel_proto::manifest::{Entry, EntryKind, Manifest, ManifestBuilder, ManifestError};
use passel_proto::path::SafePath;
use passel_sans_io::endpoint::EndpointEvent;

use super::again::Offered;
use super::disk::{Disk, Place};
use super::losses::{Losses, is_dtls};
use super::plan::{Plan, TransferPlan};
use super::starving::Starving;
use crate::clock::Clock;
use crate::net::Fate;
use crate::oracle::{Broken, broken};
use crate::plan::Side;
use crate::readable::{self, IN_NAME, IN_NOTE};
use crate::rng::Draw;

/// A transfer that was offered.
#[derive(Debug)]
pub(super) struct Facts {
    /// Its place in the plan.
    pub(super) planned: usize,
    pub(super) from: Side,
    pub(super) manifest: Manifest,
    pub(super) sources: Vec<Rc<[u8]>>,
    seen: bool,
    /// How it ended for each side.
    completed: [Option<Completion>; 2],
    /// Somebody wished it to end.
    cancelled: bool,
    /// Whether it has ended so for each side.
    ended: [bool; 2],
}

impl Facts {
    /// The files of a plan's transfer, which depend on the seed and its place.
    pub(super) fn new(
        seed: u64,
        planned: usize,
        plan: &TransferPlan,
    ) -> Result<Self, ManifestError> {
        let mut builder = ManifestBuilder::new();
        let mut sources: Vec<Rc<[u8]>> = Vec::new();
        for (place, size) in plan.files.iter().enumerate() {
            let mut bytes = vec![0; usize::try_from(*size).unwrap_or(0)];
            Draw::new(seed, &format!("content of t1 {planned} {place}")).fill(&mut bytes);
            readable::stamp(&mut bytes);
            let path = SafePath::parse(&format!("{IN_NAME}-{place:04}"))?;
            let (executable, mime, root) = (false, None, None);
            let size = (!plan.streams).then_some(*size);
            let kind = EntryKind::File { size, executable, mime, root };
            builder.push(&Entry { path, kind, modified: None })?;
            sources.push(bytes.into());
        }
        let manifest = builder.finish()?;
        Ok(Self::unseen(planned, plan.from, manifest, sources))
    }

    /// What was offered in a connection before.
    pub(super) fn again(planned: usize, from: Side, offered: &Offered) -> Self {
        Self::unseen(planned, from, offered.manifest.clone(), offered.sources.clone())
    }

    fn unseen(planned: usize, from: Side, manifest: Manifest, sources: Vec<Rc<[u8]>>) -> Self {
        let (completed, ended) = ([None, None], [false; 2]);
        Self { planned, from, manifest, sources, seen: false, completed, cancelled: false, ended }
    }

    /// Whether both sides have completed it, or it has ended as somebody wished.
    pub(super) fn is_over(&self) -> bool {
        Side::BOTH
            .iter()
            .all(|side| self.completed[side.place()].is_some() || self.is_cancelled(*side))
    }

    /// Whether it has ended for a side as somebody wished.
    pub(super) fn is_cancelled(&self, side: Side) -> bool {
        self.ended[side.place()]
    }

    /// It ends for a side with this error. Whether that was wished.
    fn ends(&mut self, side: Side, error: &Error) -> bool {
        let is_wished = self.cancelled
            && [ErrorCode::Cancelled, ErrorCode::Declined].contains(&error.code)
            && self.completed[side.place()].is_none();
        self.ended[side.place()] |= is_wished;
        is_wished
    }
}

/// How long after a loss it may be that nothing got over it: retransmissions wait
/// ever longer, and what is sent meanwhile waits behind them.
const RECOVERY_US: u64 = 5_000_000;

/// Longer datagrams of DTLS than this carry data.
const SMALL: usize = 200;
const SECOND_US: u64 = 1_000_000;

/// By when a side that hears nothing gives up, by its own clock: the idle timer, and how
/// long its last word may take to leave; and a moment of the world's for each of the two,
/// whose clock counts whole microseconds, be its own as fast as any.
const GIVES_UP_US: u64 = 32_000_000 + 3;

/// Nobody who carries the signaling learns an address at which a side is reached, be
/// it its own, its gateway's or at a relay.
pub(super) fn check_no_address(side: Side, blob: &[u8], plan: &Plan) -> Result<(), Broken> {
    let relays = plan.relays.iter().map(|relay| &relay.host);
    let hosts = plan.hosts.iter().chain(relays).flat_map(|host| &host.addresses);
    let roamed = plan.roams.iter().flat_map(|roam| &roam.addresses);
    let rules = plan.gateways.iter().flat_map(|gateway| [&gateway.v4, &gateway.v6]);
    let outside = rules.flatten().filter_map(|rules| rules.outside.as_ref());
    match hosts.chain(roamed).chain(outside).find(|address| readable::tells(blob, **address)) {
        Some(address) => broken("no address is told in the clear", format!("{side:?}: {address}")),
        None => Ok(()),
    }
}

/// What the gateways let one expect of the connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Outlook {
    /// There can be a path, so there must be one.
    #[default]
    Path,
    /// There can be none.
    NoPath,
    /// There could be none, and a gateway has forgotten everything since: what one
    /// side has sent to the old end may let in what comes to the new one.
    Chance,
    /// A gateway has forgotten everything. The connection may get over it, and may
    /// as well be lost.
    Upset,
    /// It was lost by that.
    Lost,
}

/// What may cost a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Excuse {
    /// The joiner names a secret that the inviter does not have.
    Unknown,
    /// Somebody forged something, or a line altered it, before both handshakes were done.
    Meddled,
    /// A gateway has forgotten everything, a host has moved, or a program has died.
    Upset,
    /// A gateway had no room for a session.
    Crowded,
    /// Something was lost as often as it is sent.
    Losses,
}

/// The truth about one run.
#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own about a run")]
pub(super) struct Oracle {
    pub(super) transfers: BTreeMap<TransferId, Facts>,
    pub(super) established: [bool; 2],
    closed: [bool; 2],
    outlook: Outlook,
    /// By what the connection was lost, if it was.
    pub(super) lost_by: Option<Excuse>,
    /// Somebody forged something, or a line altered it, so that there may be no connection.
    pub(super) meddled: bool,
    /// It was a letter, whose contents may say anything.
    forged: bool,
    /// The world has healed: nothing explains any more that something fails.
    healed: bool,
    /// Somebody was told to close.
    pub(super) closing: bool,
    /// When.
    closing_at: u64,
    /// Something was lost on the way since then, or shortly before, and may not have
    /// been sent again.
    lost_in_closing: bool,
    losses: Losses,
    starving: Starving,
    /// When each side heard something last.
    heard: [u64; 2],
    /// When something came to each side last that carries data.
    fed: [u64; 2],
    /// When something happened to a side last.
    now: u64,
    /// When something was lost on the way last.
    lost_at: Option<u64>,
    /// Something was lost before both handshakes were done, be it a letter.
    pub(super) is_lost_early: bool,
    /// There is a path, by chance.
    by_chance: bool,
    clocks: [Clock; 2],
    /// A program has died.
    died: bool,
    /// A gateway had no room for a session, which who says that there is a path takes for
    /// granted: what was before, or further lanes, have used it up.
    pub(super) is_crowded: bool,
    /// The secret that the joiner names is not known to the inviter.
    pub(super) unknown: bool,
    /// The rendezvous has not brought what it was given long ago.
    pub(super) is_letter_late: bool,
}

impl Oracle {
    /// Of a connection for which there can be a path, or cannot, in a world that has
    /// healed, or has not.
    pub(super) fn new(possible: bool, clocks: [Clock; 2], healed: bool) -> Self {
        let outlook = if possible { Outlook::Path } else { Outlook::NoPath };
        Self { outlook, healed, clocks, ..Self::default() }
    }

    /// A gateway has forgotten everything.
    pub(super) fn on_upset(&mut self) {
        match self.outlook {
            Outlook::Path => self.outlook = Outlook::Upset,
            Outlook::NoPath => self.outlook = Outlook::Chance,
            _ => {}
        }
    }

    /// The program of a side has died, so that the other loses it.
    pub(super) fn on_death(&mut self, side: Side) {
        (self.died, self.closed[side.place()]) = (true, true);
        if self.outlook == Outlook::Path {
            self.outlook = Outlook::Upset;
        }
    }

    /// Whether a program has died.
    pub(super) fn has_died(&self) -> bool {
        self.died
    }

    /// Whether the connection is over for a side.
    pub(super) fn is_closed(&self, side: Side) -> bool {
        self.closed[side.place()]
    }

    /// The transfer at this place of the plan, if it was offered.
    pub(super) fn planned(&self, planned: usize) -> Option<&Facts> {
        self.transfers.values().find(|facts| facts.planned == planned)
    }

    /// The same, by the number that it has in this connection.
    pub(super) fn id_of(&self, planned: usize) -> Option<TransferId> {
        let mut transfers = self.transfers.iter();
        transfers.find(|(_, facts)| facts.planned == planned).map(|(id, _)| *id)
    }

    /// Whether its receiver knows of a transfer.
    pub(super) fn is_seen(&self, id: TransferId) -> bool {
        self.transfers.get(&id).is_some_and(|facts| facts.seen)
    }

    /// Somebody wishes a transfer to end.
    pub(super) fn on_cancel(&mut self, id: TransferId) {
        if let Some(facts) = self.transfers.get_mut(&id) {
            facts.cancelled = true;
        }
    }

    /// Somebody has forged something, or a line altered it. Once both handshakes are
    /// done that is as good as lost; before, it may end the connection.
    pub(super) fn on_meddled(&mut self) {
        self.meddled |= self.established.contains(&false);
    }

    /// Somebody has forged a letter.
    pub(super) fn on_forged(&mut self) {
        self.on_meddled();
        self.forged |= self.meddled;
    }

    /// Whether nothing has happened that could have changed the path.
    pub(super) fn is_path_sure(&self) -> bool {
        self.outlook == Outlook::Path
    }

    /// Whether there is a path that there could not be but for an upset gateway.
    pub(super) fn found_by_chance(&self) -> bool {
        self.by_chance
    }

    /// Somebody is told to close.
    pub(super) fn close(&mut self, now: u64) {
        (self.closing, self.closing_at) = (true, now);
        self.lost_in_closing = self.lost_at.is_some_and(|at| at + RECOVERY_US > now);
    }

    /// A side sends a datagram.
    pub(super) fn on_sent(&mut self, now: u64, side: Side, contents: &[u8]) {
        self.starving.on_sent(now, side, contents);
    }

    /// What happened to a datagram on its way.
    pub(super) fn on_fates(&mut self, now: u64, contents: &[u8], fates: &[Fate]) {
        self.losses.on_fates(now, contents, fates);
        let harmless = [Fate::Queued, Fate::Duplicated, Fate::Reordered];
        if fates.iter().any(|fate| !harmless.contains(fate)) {
            self.lost_at = Some(now);
            self.is_lost_early |= self.established.contains(&false);
            self.lost_in_closing |= self.closing;
        }
    }

    /// A letter for the rendezvous, or from it, was put on a line, and maybe lost there.
    pub(super) fn on_letter(&mut self, is_lost: bool) {
        self.is_lost_early |= is_lost && self.established.contains(&false);
    }

    /// A datagram reaches a side.
    pub(super) fn on_arrival(&mut self, now: u64, to: Side, contents: &[u8]) {
        self.losses.on_arrival(contents);
        self.starving.on_arrival(now, to, contents);
        self.heard[to.place()] = now;
        if contents.len() > SMALL && is_dtls(contents) {
            self.fed[to.place()] = now;
        }
    }

    /// Returns whether the end of the connection came without its last word.
    pub(super) fn on_event(
        &mut self,
        now: u64,
        side: Side,
        event: &EndpointEvent,
    ) -> Result<bool, Broken> {
        self.now = now;
        if self.outlook == Outlook::NoPath && matches!(event, EndpointEvent::Connected { .. }) {
            return broken("there is a path only if there can be one", format!("{event:?}"));
        }
        if self.outlook == Outlook::Chance && matches!(event, EndpointEvent::Connected { .. }) {
            (self.outlook, self.by_chance) = (Outlook::Upset, true);
        }
        let EndpointEvent::Connection(event) = event else { return Ok(false) };
        if self.closed[side.place()] {
            return broken("nothing comes after the end", format!("{side:?}: {event:?}"));
        }
        match event {
            Event::Established { .. } => self.established[side.place()] = true,
            Event::Completed { transfer, completion } => {
                self.completed(side, *transfer, *completion)?;
            }
            Event::Ended { transfer, error, .. } if self.ends(side, *transfer, error) => {}
            Event::Ended { error, .. } if self.excuse(side, error).is_some() => {}
            Event::Ended { error, .. } | Event::FileFailed { error, .. } => {
                return broken("nothing fails without a cause", format!("{side:?}: {error}"));
            }
            Event::Closed { error } => {
                self.closed[side.place()] = true;
                if let Some(excuse) = error.as_ref().and_then(|error| self.excuse(side, error)) {
                    (self.outlook, self.lost_by) = (Outlook::Lost, Some(excuse));
                }
                return self.on_closed(side, error.as_ref());
            }
            _ => {}
        }
        Ok(false)
    }

    /// Whether a transfer that has ended for a side did so as somebody wished.
    fn ends(&mut self, side: Side, id: TransferId, error: &Error) -> bool {
        self.transfers.get_mut(&id).is_some_and(|facts| facts.ends(side, error))
    }

    /// What this may come of, if anything has happened that may cost the connection.
    fn excuse(&self, side: Side, error: &Error) -> Option<Excuse> {
        use ErrorCode::{HandshakeTimeout, IdleTimeout, ResumptionUnknown, TransportFailed};
        if self.unknown && error.code == ResumptionUnknown {
            return Some(Excuse::Unknown);
        }
        let is_late = error.code == HandshakeTimeout && self.established[side.place()];
        if self.healed || (is_late && !error.from_peer) {
            return None;
        }
        let is_silence = [HandshakeTimeout, IdleTimeout, TransportFailed].contains(&error.code);
        let are_established = self.established == [true; 2];
        if self.meddled && !are_established {
            // A letter may say anything, so the error says whose fault it may be. What is
            // altered under DTLS is as good as lost, though DTLS may get stuck by it,
            // which is a defect of its own (`sim/known/`).
            let is_named =
                [Blame::Peer, Blame::Incompatible, Blame::Circumstance].contains(&error.blame);
            return (is_silence || (self.forged && is_named)).then_some(Excuse::Meddled);
        }
        if !is_silence {
            return None;
        }
        match self.outlook {
            Outlook::Upset => return Some(Excuse::Upset),
            Outlook::Lost => return self.lost_by,
            _ => {}
        }
        if self.is_letter_late && error.code == HandshakeTimeout && !are_established {
            return Some(Excuse::Losses);
        }
        if self.is_crowded && error.code == HandshakeTimeout && !are_established {
            return Some(Excuse::Crowded);
        }
        let hearer = if error.from_peer { side.peer() } else { side };
        let may_give_up = match error.code {
            IdleTimeout => self.starving.explains(hearer),
            HandshakeTimeout => !are_established,
            TransportFailed if error.text.contains("DTLS error: timeout") => {
                !are_established || self.heard.iter().all(|at| at + RECOVERY_US > self.now)
            }
            _ => false,
        };
        (may_give_up && self.losses.explain(self.now)).then_some(Excuse::Losses)
    }

    /// A side that never heard the last word may find that the other is gone, if
    /// something was lost since it was said, or what was lost before is in its way.
    fn on_closed(&self, side: Side, error: Option<&Error>) -> Result<bool, Broken> {
        let gone = |error: &Error| {
            matches!(error.code, ErrorCode::IdleTimeout | ErrorCode::TransportFailed)
        };
        let heard_at = self.heard[side.place()];
        let silent = self.clocks[side.place()].shows(self.now.saturating_sub(heard_at)) / 1000;
        if error.is_some_and(|error| error.code == ErrorCode::IdleTimeout) && silent > GIVES_UP_US {
            return broken("a peer that is gone is given up", format!("{side:?}: {heard_at}"));
        }
        match error {
            Some(error) if self.excuse(side, error).is_some() => Ok(false),
            Some(error)
                if matches!(self.outlook, Outlook::NoPath | Outlook::Chance)
                    && error.code == ErrorCode::HandshakeTimeout =>
            {
                Ok(false)
            }
            None if self.closing => Ok(false),
            Some(error) if self.closing && self.is_last_word_lost(side) && gone(error) => Ok(true),
            None => broken("nothing fails without a cause", format!("{side:?}: closed early")),
            Some(error) => broken("nothing fails without a cause", format!("{side:?}: {error}")),
        }
    }

    /// Whether the last word may not have come to a side: something was lost, or data that came
    /// until now was in its way for longer than it is waited for (`FC-CLOSE-LINGER`), by any
    /// clock.
    fn is_last_word_lost(&self, side: Side) -> bool {
        let waited = self.now.saturating_sub(self.closing_at);
        let waited = self.clocks.iter().map(|clock| clock.shows(waited)).max().unwrap_or(waited);
        let is_late = u128::from(waited / 1000) >= CLOSE_LINGER.as_micros();
        self.lost_in_closing || (is_late && self.fed[side.place()] + SECOND_US > self.now)
    }

    fn completed(
        &mut self,
        side: Side,
        id: TransferId,
        completion: Completion,
    ) -> Result<(), Broken> {
        let Some(facts) = self.transfers.get_mut(&id) else {
            return broken("transfers are offered first", format!("{id:?} is not known"));
        };
        let bytes: usize = facts.sources.iter().map(|source| source.len()).sum();
        let all = (facts.sources.len(), bytes as u64, 0);
        if (completion.delivered as usize, completion.bytes, completion.failed) != all {
            return broken("all that was accepted arrives", format!("{side:?}: {completion:?}"));
        }
        if facts.completed[side.place()].replace(completion).is_some() || facts.is_cancelled(side) {
            return broken("a transfer ends once", format!("{side:?}: {id:?}"));
        }
        let other = &facts.completed[side.peer().place()];
        if other.is_some_and(|other| other != completion) {
            return broken("both sides agree", format!("{completion:?} and {other:?}"));
        }
        Ok(())
    }

    /// An offer has come to `side`: its place in the plan.
    pub(super) fn on_offered(
        &mut self,
        side: Side,
        id: TransferId,
        manifest: Option<&Manifest>,
        note: Option<&str>,
    ) -> Result<usize, Broken> {
        let Some(facts) = self.transfers.get_mut(&id).filter(|facts| facts.from != side) else {
            return broken("transfers are offered first", format!("{id:?} is not known"));
        };
        if manifest != Some(&facts.manifest) || note != Some(IN_NOTE) {
            return broken("the manifest is the one that was offered", format!("{id:?}"));
        }
        if std::mem::replace(&mut facts.seen, true) {
            return broken("an offer comes once", format!("{id:?}"));
        }
        Ok(facts.planned)
    }

    /// A file got its name.
    pub(super) fn on_named(&self, side: Side, place: Place, disk: &Disk) -> Result<(), Broken> {
        let facts = self.transfers.get(&place.0).filter(|facts| facts.from != side);
        let source = facts.and_then(|facts| facts.sources.get(place.1.0 as usize));
        if disk.named(place) != source.map(|source| &source[..]) {
            return broken("what has its name is its source", format!("{side:?}: {place:?}"));
        }
        Ok(())
    }
}
