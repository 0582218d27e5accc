//! Over connections: the two sides lose theirs, are started again, find each other
//! by what they kept, and go on with what is not complete.

use passel_proto::connection::{Config, Connection, Event, Timers};
use passel_proto::crypto::{Entropy, Secret32};
use passel_proto::error::ErrorCode;
use passel_proto::handshake::{Auth, Resumption, TransportBinding};
use passel_proto::ids::TransferId;
use passel_proto::storage::{StorageReply, StorageRequest};
use passel_proto::suite::Suite;
use passel_proto::tree::leaf_hash;

use super::{Happening, Run};
use crate::channel::Link;
use crate::disk::Effect;
use crate::oracle::{Broken, Oracle, broken};
use crate::plan::{Fault, Plan, Planted, Request, Side, Window};
use crate::rng::Draw;
use crate::said::Said;
use crate::sometimes::Sometimes;
use crate::world::World;

/// Time between two connections.
const PAUSE_US: u64 = 500_000;
/// Connections after everything has healed in which all must be settled. Some may
/// only tell an initiator that its newer secret is not known.
const HEALED: u32 = 6;

/// Both ends of a connection. Those of a plan of several know each other from before.
pub(super) fn connect<T>(
    plan: &Plan,
    auth: [Auth; 2],
    entropy: &mut Entropy,
    world: &World<T>,
) -> Result<[Connection; 2], Broken> {
    let [of_inviter, of_joiner] = auth;
    let now = plan.clocks.map(|clock| world.instant_by(clock));
    let inviter = config(plan, Side::Inviter, of_inviter);
    let inviter = Connection::responder(inviter, entropy.array(), now[0]);
    let joiner = config(plan, Side::Joiner, of_joiner);
    let joiner = Connection::initiator(joiner, entropy.array(), now[1]);
    match (inviter, joiner) {
        (Ok(inviter), Ok(joiner)) => Ok([inviter, joiner]),
        (Err(error), _) | (_, Err(error)) => broken("the plan can be run", error.to_string()),
    }
}

pub(super) fn entropy(plan: &Plan) -> Entropy {
    let mut seed = [0; 32];
    seed[..8].copy_from_slice(&plan.seed.to_le_bytes());
    Entropy::from_seed(seed)
}

/// What the two sides of a plan know each other by.
pub(super) fn first_secret(plan: &Plan) -> Vec<Resumption> {
    match plan.again {
        0 => Vec::new(),
        _ => vec![Resumption::derive(&Secret32::new([8; 32]))],
    }
}

pub(super) fn auth(kept: &[Resumption], named: usize) -> Auth {
    let key = |place: usize| kept.get(place).map(Resumption::key);
    match key(named) {
        None => Auth::Psk(Secret32::new([7; 32])),
        Some(named) => Auth::Resume { key: named, other: None },
    }
}

fn of_responder(kept: &[Resumption]) -> Auth {
    match auth(kept, 0) {
        Auth::Resume { key, .. } => Auth::Resume { key, other: kept.get(1).map(Resumption::key) },
        auth => auth,
    }
}

fn config(plan: &Plan, side: Side, auth: Auth) -> Config {
    let binding = TransportBinding { initiator: vec![1; 32], responder: vec![2; 32] };
    let mut config = Config::new(auth, binding);
    config.suites = Suite::preference(plan.aes.contains(&side));
    config.storage_checks_leaves = plan.hashing.contains(&side);
    config.chunk_log2 = plan.knobs.chunk_log2;
    config.piece_log2 = plan.knobs.piece_log2;
    let offer_expiry = std::time::Duration::from_micros(plan.knobs.offer_expiry_us);
    config.timers = Timers { offer_expiry, ..Timers::default() };
    config
}

pub(super) fn kind(request: &StorageRequest) -> Request {
    match request {
        StorageRequest::Read { .. } => Request::Read,
        StorageRequest::Write { .. } => Request::Write,
        StorageRequest::Sync { .. } => Request::Sync,
        StorageRequest::Commit { .. } => Request::Commit,
        StorageRequest::Check { .. } => Request::Check,
        StorageRequest::Release { .. } => Request::Release,
        StorageRequest::Discard { .. } => Request::Discard,
    }
}

impl Run<'_> {
    /// Whether the plan has connections, and all that was to be sent is settled or
    /// there are none left.
    pub(super) fn goes_on(&self) -> bool {
        self.plan.again > 0 && self.stories.iter().any(|story| !story.over)
    }

    /// Connects the two sides again.
    pub(super) fn connect_again(&mut self) -> Result<(), Broken> {
        let plan = self.plan;
        self.connection += 1;
        if self.connection > plan.again && !self.healed {
            self.healed = true;
            self.hosts.iter_mut().for_each(|host| host.disk.heal());
        }
        if self.connection > plan.again + HEALED {
            return broken("everything ends", "not after everything has healed");
        }
        self.change_sources();
        let now = self.world.now();
        self.schedule(now + PAUSE_US, Happening::Connect);
        let Some(Happening::Connect) = self.wait_for_connect() else {
            return broken("everything ends", "nobody connects");
        };
        if self.joiner_named >= self.hosts[1].kept.len().max(1) {
            return broken("the peers know each other again", "all secrets were refused");
        }
        if plan.planted == Some(Planted::SeedAgain) {
            self.entropy = entropy(plan);
        }
        let auth =
            [of_responder(&self.hosts[0].kept), auth(&self.hosts[1].kept, self.joiner_named)];
        let connections = connect(plan, auth, &mut self.entropy, &self.world)?;
        for (host, connection) in self.hosts.iter_mut().zip(connections) {
            host.disk.park();
            if host.disk.make_room() {
                self.after.insert(Sometimes::ResumedAfterFull);
            }
            host.connection = Some(connection);
            (host.established, host.timer, host.requests) = (false, None, 0);
            host.waiting = self
                .due
                .iter()
                .copied()
                .filter(|&planned| {
                    plan.transfers[planned].from == host.side && !self.stories[planned].over
                })
                .collect();
        }
        let mut calm = plan.clone();
        calm.faults.retain(|fault| !self.healed || matches!(fault, Fault::Change { .. }));
        self.links = [Link::new(&calm, "link of inviter"), Link::new(&calm, "link of joiner")];
        self.oracle = Oracle::new(&calm);
        self.said = Said::default();
        (self.cut, self.closing) = (false, false);
        self.watch.on_connect(self.world.now(), self.connection, self.healed);
        for (place, fault) in plan.faults.iter().enumerate() {
            if let Fault::CutAgain { connection, after_us } = fault
                && *connection == self.connection
            {
                let at = self.world.now() + after_us;
                self.schedule(at, Happening::Fault { place });
            }
        }
        for side in Side::BOTH {
            self.drain(side)?;
        }
        Ok(())
    }

    /// Lets pass what happens while there is no connection.
    fn wait_for_connect(&mut self) -> Option<Happening> {
        loop {
            match self.world.advance()? {
                (_, Happening::Connect) => return Some(Happening::Connect),
                (_, Happening::Offer { planned }) => {
                    self.due.insert(planned);
                }
                _ => {}
            }
        }
    }

    fn change_sources(&mut self) {
        for fault in &self.plan.faults {
            let Fault::Change { transfer, entry, how, connection } = fault else { continue };
            if *connection == self.connection {
                self.change_source(*transfer, *entry, *how);
                let from = self.plan.transfers.get(*transfer).map(|transfer| transfer.from);
                self.watch.on_change(self.world.now(), from, *entry);
            }
        }
    }

    /// How far the disk of a side comes with its next request of a kind, if its
    /// process dies there, and when the peer's transport notices.
    fn dies_at(&mut self, side: Side, kind: Request) -> Option<(Window, Option<u64>, bool)> {
        let count = self.hosts[side.place()].served.entry(kind).or_default();
        let now = *count;
        *count += 1;
        self.plan.faults.iter().filter(|_| !self.healed).find_map(|fault| match fault {
            Fault::CrashAt { side: of, request, nth, window, notice_us, killed }
                if (*of, *request, *nth) == (side, kind, now) =>
            {
                Some((*window, *notice_us, *killed))
            }
            _ => None,
        })
    }

    /// The process dies at a request if the plan says so. Hands the request back if
    /// it does not.
    pub(super) fn die_at_request(
        &mut self,
        side: Side,
        request: StorageRequest,
    ) -> Result<Option<StorageRequest>, Broken> {
        let (of, transfer) = (kind(&request), request.transfer());
        let Some((window, notice_us, killed)) = self.dies_at(side, of) else {
            return Ok(Some(request));
        };
        if let (StorageRequest::Commit { file, .. }, Window::Midst) = (&request, window)
            && let Some(facts) = self.oracle.stored_at(side, transfer)
        {
            // The name that is noted is given when the process is started again.
            self.stories[facts.planned].on_stored(*file);
        }
        let disk = &mut self.hosts[side.place()].disk;
        let effect = match window {
            Window::Before => Effect::None,
            Window::Midst => {
                let mut draw = Draw::new(self.plan.seed, &format!("midst {}", self.step));
                disk.begin_request(request, &mut draw)
            }
            Window::After => disk.carry_out(request).1,
        };
        match (of, window) {
            (Request::Write, Window::After) => self.after.insert(Sometimes::ResumedAfterWrite),
            (Request::Sync, Window::After) => self.after.insert(Sometimes::ResumedAfterSync),
            (Request::Commit, Window::Midst) => self.after.insert(Sometimes::ResumedAfterJournal),
            (Request::Commit, Window::After) => self.after.insert(Sometimes::ResumedAfterRename),
            _ => false,
        };
        self.on_effect(side, &effect)?;
        self.crash(side, notice_us, killed)?;
        Ok(None)
    }

    /// What a disk did, for all who watch.
    pub(super) fn on_effect(&mut self, side: Side, effect: &Effect) -> Result<(), Broken> {
        self.watch.on_effect(self.world.now(), side, effect, &self.oracle);
        let disk = &self.hosts[side.place()].disk;
        self.oracle.on_effect(side, effect, disk, self.step)?;
        if self.plan.again == 0 {
            return Ok(());
        }
        let planned = |id: &TransferId| self.oracle.stored_at(side, *id);
        match effect {
            Effect::Synced(ranges) => {
                for ((id, file), offset, _) in ranges {
                    if let Some(facts) = planned(id) {
                        self.stories[facts.planned].on_synced(*file, *offset as u64);
                    }
                }
            }
            Effect::Committed { place: (id, file), .. } => {
                if let Some(facts) = planned(id) {
                    self.stories[facts.planned].on_stored(*file);
                }
            }
            Effect::Checked { place: (id, file), same } => {
                self.watch.meet(match same {
                    true => Sometimes::StoredChecked,
                    false => Sometimes::StoredChanged,
                });
                if let Some(facts) = planned(id).filter(|_| !same) {
                    self.stories[facts.planned].on_other(*file);
                }
            }
            Effect::Discarded(id, file) => {
                if let Some(facts) = planned(id) {
                    self.stories[facts.planned].on_discarded(*file);
                }
            }
            Effect::None => {}
        }
        Ok(())
    }

    /// A planted bug: a sender compares what its peer has with that itself.
    pub(super) fn skip_compare(&self, reply: &mut StorageReply) {
        let StorageReply::Read { transfer, file, offset, buf, leaf, .. } = reply else { return };
        let Some(facts) = self.oracle.transfers.get(transfer) else { return };
        let story = &self.stories[facts.planned];
        let (from, chunk) =
            (usize::try_from(*offset).unwrap_or(0), *offset >> self.plan.knobs.chunk_log2);
        let first = story.versions.first().and_then(|first| first.get(file.0 as usize));
        let Some(Some(first)) = first.filter(|_| story.is_claimed(*file, chunk)) else { return };
        if let Some(bytes) = first.get(from..from + buf.len()) {
            buf.copy_from_slice(bytes);
            *leaf = leaf.map(|_| leaf_hash(buf));
        }
    }

    /// Whatever a side was told, as far as it matters over connections.
    pub(super) fn on_event_again(&mut self, side: Side, event: &Event) -> Result<(), Broken> {
        match event {
            Event::Established { .. } => {
                let host = &self.hosts[side.place()];
                let from = host.connection.as_ref().and_then(Connection::resumed_from);
                if host.kept.get(1).is_some_and(|older| Some(older.id) == from) {
                    self.watch.meet(Sometimes::OlderSecret);
                }
                if side == Side::Joiner {
                    self.joiner_named = 0;
                }
                let at = self.world.now() + self.plan.knobs.disk_us;
                self.schedule(at, Happening::Secret { side });
            }
            Event::ResumptionStored => self.forget_older(side),
            Event::Closed { error: Some(error) }
                if side == Side::Joiner && error.code == ErrorCode::ResumptionUnknown =>
            {
                self.joiner_named += 1;
            }
            Event::FileFailed { transfer, file, error } if error.from_peer => {
                let Some(facts) = self.oracle.transfers.get(transfer) else { return Ok(()) };
                if facts.from != side {
                    self.stories[facts.planned].on_refused(*file);
                }
            }
            Event::Completed { transfer, completion } => {
                let Some(facts) = self.oracle.transfers.get(transfer) else { return Ok(()) };
                let story = &mut self.stories[facts.planned];
                story.complete(side, facts.from == side, *completion, self.watch.met())?;
            }
            Event::Ended { transfer, error, kept } => {
                use ErrorCode as E;
                let Some(facts) = self.oracle.transfers.get(transfer) else { return Ok(()) };
                // Somebody does not want it any more, and the other learns it.
                let is_over = matches!(error.code, E::Cancelled | E::Declined | E::OfferExpired);
                let is_dropped = !kept && facts.is_accepted() && facts.from != side;
                self.stories[facts.planned].over |= is_over || is_dropped;
            }
            _ => {}
        }
        Ok(())
    }

    /// A side stores the secret of the session (`HS-RESUME-KEEP`), and says so.
    pub(super) fn store_secret(&mut self, side: Side) -> Result<(), Broken> {
        let dies = self.dies_at(side, Request::Secret);
        let now = self.instant(side);
        let keeps_older = self.plan.planted != Some(Planted::SecretForgotten);
        let host = &mut self.hosts[side.place()];
        let Some(connection) = host.connection.as_mut().filter(|one| one.is_established()) else {
            return Ok(());
        };
        if let Some((Window::Before, notice_us, killed)) = dies {
            return self.crash(side, notice_us, killed);
        }
        let from = connection.resumed_from();
        host.kept.retain(|kept| Some(kept.id) == from && keeps_older);
        host.kept.splice(0..0, connection.resumption());
        if let Some((Window::Midst, notice_us, killed)) = dies {
            return self.crash(side, notice_us, killed);
        }
        if let Err(error) = connection.confirm_resumption_stored(now) {
            return broken("a secret is stored once", error.to_string());
        }
        self.forget_older(side);
        self.drain(side)?;
        match dies {
            Some((_, notice_us, killed)) => self.crash(side, notice_us, killed),
            None => Ok(()),
        }
    }

    /// `HS-RESUME-ONCE`
    fn forget_older(&mut self, side: Side) {
        let host = &mut self.hosts[side.place()];
        if host.connection.as_ref().is_some_and(Connection::is_resumption_settled) {
            host.kept.truncate(1);
        }
    }

    /// After a crash, what was acknowledged is still there.
    pub(super) fn check_kept(&self, side: Side) -> Result<(), Broken> {
        let disk = &self.hosts[side.place()].disk;
        for (planned, story) in self.stories.iter().enumerate() {
            let Some(token) = story.token.filter(|_| self.plan.transfers[planned].from != side)
            else {
                continue;
            };
            if story.over {
                continue;
            }
            for entry in story.acknowledged() {
                let bytes = disk.kept_bytes((token, *entry));
                story.check_bytes(entry, bytes.unwrap_or_default())?;
            }
        }
        Ok(())
    }
}
