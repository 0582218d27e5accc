//! The keys of a connection and their updates: seals and opens, counts, asks for
//! new keys or answers, and wipes the old ones (`spec/05-records.md`, 5.5).

use std::time::{Duration, Instant};

use zeroize::Zeroizing;

use super::Config;
use super::timer::TimerKind;
use super::update::{UpdateEvent, UpdateState};
use crate::codec;
use crate::crypto::kem::{KemError, KeyPair, RANDOMNESS, SEED, encapsulate};
use crate::crypto::{Entropy, Secret32};
use crate::error::{Error, ErrorCode};
use crate::frame::{KeyUpdate, KeyUpdateAnswer};
use crate::ids::{Channel, Role};
use crate::limits::timers;
use crate::record::{Keyring, OpenError, next_secret};
use crate::suite::Suite;

/// When a side asks for new keys, and how long it keeps old ones.
#[derive(Clone, Copy, Debug)]
struct Thresholds {
    time: Duration,
    bytes: u64,
    records: u64,
    grace: Duration,
}

/// Until when keys of the old epoch are kept for opening.
#[derive(Clone, Copy, Debug)]
struct Grace {
    until: Instant,
    /// It is never prolonged beyond this.
    latest: Instant,
}

#[derive(Debug)]
pub(super) struct Keys {
    role: Role,
    ring: Keyring,
    entropy: Entropy,
    thresholds: Thresholds,
    state: UpdateState,
    /// What this side asked with: in `Asked` and `Crossed`.
    own: Option<Box<(KeyPair, KeyUpdate)>>,
    /// What waits for the end of the grace: in `Deferred`.
    deferred: Option<KeyUpdate>,
    /// In `Settling` and `Deferred`.
    grace: Option<Grace>,
    /// The caller wants an update once it may begin.
    wanted: bool,
    /// The peer has not been sent anything on `control` in the new epoch yet.
    announce: bool,
    /// Since when this side sends in its epoch, and how much it has sent.
    since: Instant,
    bytes: u64,
    records: u64,
    /// Since when the update under way is under way.
    started: Instant,
}

impl Keys {
    pub(super) fn new(
        role: Role,
        config: &Config,
        (suite, secret): (Suite, Secret32),
        entropy: Entropy,
        now: Instant,
    ) -> Self {
        let thresholds = Thresholds {
            time: config.timers.key_update,
            bytes: config.key_update_bytes,
            records: config.key_update_records,
            grace: config.timers.key_grace,
        };
        Self {
            role,
            ring: Keyring::new(role, suite, secret),
            entropy,
            thresholds,
            state: UpdateState::Idle,
            own: None,
            deferred: None,
            grace: None,
            wanted: false,
            announce: false,
            since: now,
            bytes: 0,
            records: 0,
            started: now,
        }
    }

    /// The epoch in which this side sends.
    pub(super) fn epoch(&self) -> u16 {
        self.ring.sending()
    }

    /// Whether something must be sent on `control` so that the peer opens a
    /// record of the new epoch (`RL-UPDATE-ANNOUNCE`).
    pub(super) fn must_announce(&self) -> bool {
        self.announce
    }

    /// Makes the keys of a further lane.
    pub(super) fn add_lane(&mut self, lane: u16) {
        self.ring.add(lane, Channel::File);
    }

    /// Wipes the keys of a further lane, for ever.
    pub(super) fn remove_lane(&mut self, lane: u16) {
        self.ring.remove(lane, Channel::File);
    }

    pub(super) fn seal(
        &mut self,
        lane: u16,
        channel: Channel,
        record: &mut Vec<u8>,
    ) -> Result<(), Error> {
        self.ring.seal(lane, channel, record)?;
        self.records = self.records.saturating_add(1);
        self.bytes = self.bytes.saturating_add(record.len() as u64);
        self.announce &= channel != Channel::Control;
        Ok(())
    }

    pub(super) fn open<'a>(
        &mut self,
        now: Instant,
        (lane, channel): (u16, Channel),
        record: &'a mut [u8],
    ) -> Result<&'a mut [u8], OpenError> {
        let (epoch, plaintext) = self.ring.open(lane, channel, record)?;
        if epoch == self.ring.newest() {
            self.opened(now);
        } else if let Some(grace) = &mut self.grace {
            // RL-UPDATE-GRACE: others of that epoch may be just behind it.
            grace.until = grace.latest.min(now + self.thresholds.grace);
        }
        Ok(plaintext)
    }

    /// A record of the newest epoch was opened.
    fn opened(&mut self, now: Instant) {
        match self.state {
            UpdateState::Answered => self.switch(now),
            UpdateState::Switched => {}
            _ => return,
        }
        self.step(UpdateEvent::Opened);
        self.ring.settle();
        let latest = now + timers::KEY_GRACE_LIMIT;
        self.grace = Some(Grace { until: latest.min(now + self.thresholds.grace), latest });
    }

    /// Sends in the newest epoch from now on (`RL-UPDATE-SWITCH`).
    fn switch(&mut self, now: Instant) {
        self.ring.switch();
        self.announce = true;
        (self.since, self.bytes, self.records) = (now, 0, 0);
    }

    /// Takes the event if it is allowed.
    fn step(&mut self, event: UpdateEvent) -> bool {
        let next = self.state.after(event, self.role);
        self.state = next.unwrap_or(self.state);
        next.is_some()
    }

    /// Remembers that the caller wants new keys: at once if it may be, or when
    /// the old ones of the last update are gone. One under way is as good.
    ///
    /// # Errors
    ///
    /// Misuse: the connection has no further epoch.
    pub(super) fn want(&mut self) -> Result<(), Error> {
        if self.ring.newest() == u16::MAX {
            return Err(Error::misuse("no further epoch is left to this connection"));
        }
        self.wanted = matches!(self.state, UpdateState::Idle | UpdateState::Settling);
        Ok(())
    }

    /// Whether an update is due and may begin (`RL-UPDATE-DUE`).
    fn is_due(&self, now: Instant) -> bool {
        self.state == UpdateState::Idle
            && (self.wanted
                || now >= self.since + self.thresholds.time
                || self.bytes >= self.thresholds.bytes
                || self.records >= self.thresholds.records)
    }

    /// Begins an update if one is due: KEY_UPDATE, to be sent.
    ///
    /// # Errors
    ///
    /// The connection has no further epoch (`RL-LAST-EPOCH`).
    pub(super) fn start(&mut self, now: Instant) -> Result<Option<KeyUpdate>, Error> {
        if !self.is_due(now) {
            return Ok(None);
        }
        let epoch = self.ring.newest().checked_add(1).ok_or_else(|| {
            Error::local(ErrorCode::LimitExceeded, "no further epoch is left to this connection")
        })?;
        let mut seed = Zeroizing::new([0; SEED]);
        self.entropy.fill(&mut seed[..]);
        let pair = KeyPair::from_seed(&seed);
        let encapsulation_key = Box::new(*pair.encapsulation_key());
        let update = KeyUpdate { epoch, encapsulation_key };
        self.step(UpdateEvent::Start);
        self.wanted = false;
        self.started = now;
        self.own = Some(Box::new((pair, update.clone())));
        Ok(Some(update))
    }

    /// Takes the peer's KEY_UPDATE; gives the answer if it is time for one.
    ///
    /// # Errors
    ///
    /// The peer's fault: not due, another epoch, or a key that is refused.
    pub(super) fn on_update(
        &mut self,
        now: Instant,
        update: KeyUpdate,
    ) -> Result<Option<KeyUpdateAnswer>, Error> {
        let is_next = self.ring.newest().checked_add(1) == Some(update.epoch);
        if !is_next || !self.step(UpdateEvent::Update) {
            return Err(not_due("KEY_UPDATE")); // RL-UPDATE-STATES
        }
        match self.state {
            UpdateState::Deferred => self.deferred = Some(update),
            UpdateState::Answered => return self.answer(now, &update).map(Some),
            _ => {} // RL-UPDATE-CROSSED: this side's own one counts.
        }
        Ok(None)
    }

    /// Takes the peer's part: the next epoch can be opened from now on.
    fn answer(&mut self, now: Instant, update: &KeyUpdate) -> Result<KeyUpdateAnswer, Error> {
        self.own = None; // RL-UPDATE-CROSSED
        self.wanted = false;
        self.started = now;
        let mut randomness = Zeroizing::new([0; RANDOMNESS]);
        self.entropy.fill(&mut randomness[..]);
        let (ciphertext, kem) =
            encapsulate(&update.encapsulation_key[..], &randomness).map_err(refused)?;
        let answer = KeyUpdateAnswer { epoch: update.epoch, ciphertext };
        self.extend(&kem, update, &answer)?;
        Ok(answer)
    }

    /// Takes the peer's answer: this side sends in the next epoch from now on.
    ///
    /// # Errors
    ///
    /// The peer's fault: nobody asked, another epoch, or a ciphertext that is
    /// refused.
    pub(super) fn on_answer(
        &mut self,
        now: Instant,
        answer: &KeyUpdateAnswer,
    ) -> Result<(), Error> {
        let own = self.own.take().filter(|own| own.1.epoch == answer.epoch);
        let Some(own) = own.filter(|_| self.step(UpdateEvent::Answer)) else {
            return Err(not_due("KEY_UPDATE_ANSWER")); // RL-UPDATE-STATES
        };
        let (pair, update) = *own;
        let kem = pair.decapsulate(&answer.ciphertext[..]).map_err(refused)?;
        self.extend(&kem, &update, answer)?;
        self.switch(now);
        Ok(())
    }

    /// RL-UPDATE-SECRET
    fn extend(
        &mut self,
        kem: &Secret32,
        update: &KeyUpdate,
        answer: &KeyUpdateAnswer,
    ) -> Result<(), Error> {
        let encoding = |_| Error::local(ErrorCode::Internal, "a frame cannot be encoded");
        let bodies =
            [codec::encode(update).map_err(encoding)?, codec::encode(answer).map_err(encoding)?];
        let secret = next_secret(self.ring.secret(), update.epoch, kem, &bodies[0], &bodies[1]);
        self.ring.extend(secret)
    }

    /// When something is to be done, and what.
    pub(super) fn timer(&self) -> (Instant, TimerKind) {
        match (self.state, &self.grace) {
            (UpdateState::Idle, _) => (self.since + self.thresholds.time, TimerKind::KeyUpdate),
            (UpdateState::Settling | UpdateState::Deferred, Some(grace)) => {
                (grace.until, TimerKind::KeyGrace)
            }
            _ => (self.started + timers::KEY_UPDATE_LIMIT, TimerKind::KeyUpdateLimit),
        }
    }

    /// The grace is over: the last keys of the old epoch are wiped, and what was
    /// deferred is answered (`RL-UPDATE-DEFER`).
    ///
    /// # Errors
    ///
    /// The peer's fault: the key in what was deferred is refused.
    pub(super) fn settled(&mut self, now: Instant) -> Result<Option<KeyUpdateAnswer>, Error> {
        self.grace = None;
        self.ring.forget();
        self.step(UpdateEvent::Settled);
        self.deferred.take().map(|update| self.answer(now, &update)).transpose()
    }
}

/// RL-UPDATE-KEM
fn refused(error: KemError) -> Error {
    Error::peer(ErrorCode::Malformed, error.to_string())
}

fn not_due(what: &str) -> Error {
    Error::peer(ErrorCode::ProtocolViolation, format!("a {what} came that is not due"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::handshake::{Auth, TransportBinding};

    // RL-LAST-EPOCH
    #[test]
    fn behind_the_last_epoch_the_connection_ends() {
        let binding = TransportBinding { initiator: vec![1], responder: vec![2] };
        let config = Config::new(Auth::Psk(Secret32::new([7; 32])), binding);
        #[allow(clippy::disallowed_methods)] // only differences from it matter
        let now = Instant::now();
        let secret = || Secret32::new([1; 32]);
        let entropy = || Entropy::from_seed([2; 32]);
        let mut keys =
            Keys::new(Role::Initiator, &config, (Suite::default(), secret()), entropy(), now);
        keys.ring =
            Keyring::new(Role::Initiator, Suite::default(), secret()).at_epoch(u16::MAX - 1);
        keys.want().unwrap();
        assert_eq!(keys.start(now).unwrap().unwrap().epoch, u16::MAX);

        let mut keys =
            Keys::new(Role::Initiator, &config, (Suite::default(), secret()), entropy(), now);
        keys.ring = Keyring::new(Role::Initiator, Suite::default(), secret()).at_epoch(u16::MAX);
        assert!(keys.want().is_err());
        assert_eq!(keys.start(now).unwrap(), None);
        let due = now + timers::KEY_UPDATE;
        assert_eq!(keys.timer(), (due, TimerKind::KeyUpdate));
        assert_eq!(keys.start(due).unwrap_err().code, ErrorCode::LimitExceeded);
        let encapsulation_key = Box::new(*KeyPair::from_seed(&[5; SEED]).encapsulation_key());
        for epoch in [0, u16::MAX] {
            let update = KeyUpdate { epoch, encapsulation_key: encapsulation_key.clone() };
            assert!(keys.on_update(now, update).is_err());
        }
    }
}
