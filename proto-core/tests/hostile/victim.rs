//! The connection under attack, with its caller: a storage that keeps the
//! contract, a clock, and after each input the rules that no peer may break.
//! What the peer does does not live here.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use passel_proto::codec;
use passel_proto::connection::{Config, Connection, Event};
use passel_proto::error::{Blame, Error, ErrorCode};
use passel_proto::frame::{EntryRange, Message};
use passel_proto::ids::{Channel, FileIndex, Role, TransferId};
use passel_proto::limits::{
    CONNECTION_CREDIT, MAX_CHUNK, MAX_TRANSFERS_COUNT, TRANSFER_CREDIT, timers,
};
use passel_proto::manifest::{EntryKind, Manifest};
use passel_proto::storage::{
    Have, HaveState, StorageError, StorageErrorKind, StorageReply, StorageRequest,
};
use passel_proto::tree::leaf_hash;

use super::choices::Choices;
use super::decoders::{auth, binding};

/// Requests that one input may make beyond those in proportion to its length.
const REQUESTS_AT_ONCE: usize = 64 * 3;

/// A moment to count from; only differences from it matter.
pub fn epoch() -> Instant {
    #[allow(clippy::disallowed_methods)] // the one place where a test's world begins
    Instant::now()
}

/// What the caller accepted: the only thing that may ever be written.
struct Accepted {
    manifest: Arc<Manifest>,
    ranges: Option<Vec<EntryRange>>,
}

impl Accepted {
    fn size_of(&self, file: FileIndex) -> Option<(bool, u64)> {
        let wanted =
            |range: &EntryRange| (range.first..range.first + range.count).contains(&file.0);
        if !self.ranges.as_ref().is_none_or(|ranges| ranges.iter().any(wanted)) {
            return None;
        }
        match self.manifest.entry(file)?.kind {
            EntryKind::Directory => Some((true, 0)),
            EntryKind::File { size, .. } => Some((false, size.unwrap_or(0))),
        }
    }
}

pub struct Victim {
    pub connection: Connection,
    pub now: Instant,
    /// Storage requests not answered yet, in order.
    outstanding: BTreeMap<TransferId, VecDeque<StorageRequest>>,
    accepted: BTreeMap<TransferId, Accepted>,
    /// Transfers that were ever under way.
    known: Vec<TransferId>,
    /// Offers that the caller has been shown.
    pub offered: Vec<TransferId>,
    /// Whether the connection is over, and the error that it ended with.
    pub closed: bool,
    pub error: Option<Error>,
    /// Whether the caller closed it.
    left: bool,
    /// Records on their way to the peer.
    pub sent: Vec<(Channel, Vec<u8>)>,
    /// How many transfers were completed.
    pub completed: usize,
    /// The last states that went to the journal, of any file.
    journal: VecDeque<Vec<u8>>,
}

impl Victim {
    pub fn new(role: Role, choices: &mut Choices<'_>, now: Instant) -> Self {
        let mut config = Config::new(auth(), binding());
        (config.chunk_log2, config.piece_log2) = *choices.pick(&[(14, 10), (14, 12), (16, 14)]);
        let seed = choices.array();
        let connection = match role {
            Role::Initiator => Connection::initiator(config, seed, now),
            Role::Responder => Connection::responder(config, seed, now),
        };
        Self {
            connection: connection.expect("a configuration"),
            now,
            outstanding: BTreeMap::new(),
            accepted: BTreeMap::new(),
            known: Vec::new(),
            offered: Vec::new(),
            closed: false,
            error: None,
            left: false,
            sent: Vec::new(),
            completed: 0,
            journal: VecDeque::new(),
        }
    }

    /// One message of the peer, and everything that must hold after it.
    pub fn hear(&mut self, channel: Channel, message: &mut [u8]) {
        let length = message.len();
        self.connection.handle_message(self.now, channel, message);
        self.drain(length);
    }

    /// Drains in the order of the contract, and checks what comes.
    fn drain(&mut self, input: usize) {
        let mut events = 0;
        while let Some(event) = self.connection.poll_event() {
            assert!(!self.closed, "{event:?} after the end");
            events += 1;
            self.on_event(event);
        }
        // The smallest frame that makes news has 6 bytes and makes two.
        assert!(events <= input / 2 + 16, "{events} events out of {input} bytes");
        let mut requests = 0;
        while let Some(request) = self.connection.poll_storage() {
            requests += 1;
            self.on_request(request);
        }
        assert!(requests <= input / 2 + REQUESTS_AT_ONCE, "{requests} out of {input} bytes");
        self.check_memory();
        self.check_progress();
        let mut buf = Vec::new();
        while let Some(transmit) = self.connection.poll_transmit(self.now, &mut buf) {
            self.sent.push((transmit.channel, buf.clone()));
        }
        while let Some(event) = self.connection.poll_event() {
            self.on_event(event);
        }
        while let Some(request) = self.connection.poll_storage() {
            self.on_request(request);
        }
        self.check_timers();
    }

    fn on_event(&mut self, event: Event) {
        match event {
            Event::Offered { transfer } => {
                self.offered.push(transfer);
                self.known.push(transfer);
            }
            Event::Completed { .. } => self.completed += 1,
            Event::Closed { error } => {
                if let Some(error) = &error {
                    // Whoever is to blame, it is not this side's code.
                    assert_ne!(error.blame, Blame::Misuse, "{error}");
                    assert_ne!(error.code, ErrorCode::NoError, "{error}");
                    let own = error.blame == Blame::Local && error.code == ErrorCode::Internal;
                    assert!(!own || self.left, "{error}");
                }
                assert!(!self.closed, "closed twice");
                (self.closed, self.error) = (true, error);
            }
            _ => {}
        }
    }

    /// TR-SELECTION-ONLY: no byte outside of what the caller accepted.
    fn on_request(&mut self, request: StorageRequest) {
        let transfer = match &request {
            StorageRequest::Write { transfer, file, offset, data, .. } => {
                assert!(!self.closed, "a write after the end");
                let (is_directory, size) = self.may_touch(*transfer, *file);
                assert!(!is_directory && !data.is_empty());
                assert!(offset.checked_add(data.len() as u64).is_some_and(|end| end <= size));
                *transfer
            }
            StorageRequest::Commit { transfer, file, size, .. } => {
                assert_eq!(self.may_touch(*transfer, *file).1, *size);
                *transfer
            }
            StorageRequest::Check { transfer, file, size, .. } => {
                assert_eq!(self.may_touch(*transfer, *file), (false, *size));
                *transfer
            }
            StorageRequest::Sync { transfer, journal } => {
                assert!(self.accepted.contains_key(transfer));
                for entry in journal {
                    self.may_touch(*transfer, entry.file);
                    self.journal.push_front(entry.state.clone());
                }
                self.journal.truncate(4);
                *transfer
            }
            StorageRequest::Read { transfer, file, offset, len, buf, .. } => {
                assert!(buf.is_empty() && *len as usize <= MAX_CHUNK);
                // RS-LEAVES: of what came, only within the file.
                if self.accepted.contains_key(transfer) {
                    let (is_directory, size) = self.may_touch(*transfer, *file);
                    let end = offset.checked_add(u64::from(*len));
                    assert!(!is_directory && *len > 0 && end.is_some_and(|end| end <= size));
                }
                *transfer
            }
            StorageRequest::Release { transfer, .. } | StorageRequest::Discard { transfer, .. } => {
                *transfer
            }
        };
        self.outstanding.entry(transfer).or_default().push_back(request);
    }

    fn may_touch(&self, transfer: TransferId, file: FileIndex) -> (bool, u64) {
        let accepted = self.accepted.get(&transfer).expect("only of what was accepted");
        accepted.size_of(file).expect("only what was selected")
    }

    /// What waits for the disk stays below what was granted, in memory taken
    /// and not only in bytes used.
    fn check_memory(&self) {
        let mut all = 0;
        for waiting in self.outstanding.values() {
            let (mut written, mut read) = (0, 0);
            for request in waiting {
                match request {
                    StorageRequest::Write { data, .. } => written += data.capacity(),
                    StorageRequest::Read { len, buf, .. } => {
                        read += buf.capacity().max(*len as usize);
                    }
                    _ => {}
                }
            }
            assert!(
                written <= 2 * TRANSFER_CREDIT + MAX_CHUNK,
                "{written} bytes wait to be written"
            );
            assert!(read <= TRANSFER_CREDIT, "{read} bytes wait to be read");
            all += written;
        }
        assert!(all <= 2 * CONNECTION_CREDIT + MAX_CHUNK, "{all} bytes wait to be written");
    }

    /// TR-ACK-DURABLE: nothing counts as durable that did not move.
    fn check_progress(&self) {
        let known = self.known.iter().rev().take(2 * MAX_TRANSFERS_COUNT);
        for progress in known.filter_map(|&id| self.connection.progress(id)) {
            let total = if progress.streams == 0 { progress.bytes_total } else { u64::MAX };
            let moved = progress.bytes_moved.saturating_add(progress.bytes_resumed).min(total);
            assert!(progress.bytes_durable <= moved, "{progress:?}");
        }
    }

    /// A timer that is due is gone once it was handled: nothing spins.
    fn check_timers(&mut self) {
        for _ in 0..4 * (MAX_TRANSFERS_COUNT + 4) {
            match self.connection.poll_timeout() {
                Some((at, _)) if at <= self.now => self.connection.handle_timeout(self.now),
                _ => return,
            }
            while let Some(event) = self.connection.poll_event() {
                self.on_event(event);
            }
            while let Some(request) = self.connection.poll_storage() {
                self.on_request(request);
            }
        }
        panic!("a timer spins: {:?}", self.connection.poll_timeout());
    }

    /// Lets time pass: a little, or up to the next timer.
    pub fn wait(&mut self, choices: &mut Choices<'_>) {
        let little = Duration::from_millis(choices.below(400) as u64);
        self.now = match self.connection.poll_timeout() {
            Some((at, _)) if choices.percent(10) => self.now.max(at),
            _ => self.now + little,
        };
        self.connection.handle_timeout(self.now);
        self.drain(0);
    }

    /// Lets the last timers run out, and demands that the connection ends.
    pub fn run_out(&mut self) {
        for _ in 0..100 {
            if self.closed {
                assert!(self.connection.is_closed());
                return;
            }
            let (at, _) = self.connection.poll_timeout().expect("an open connection has a timer");
            self.now = self.now.max(at);
            self.connection.handle_timeout(self.now);
            self.drain(0);
        }
        assert!(self.now < epoch() + timers::IDLE * 10, "time went on");
        panic!("a connection that hears nothing must end");
    }

    pub fn writable(&mut self, channel: Channel, room: usize) {
        self.connection.handle_writable(channel, room);
        self.drain(0);
    }

    /// Answers up to `count` requests of storage, some with a failure. An answer
    /// that keeps the contract is never called a misuse.
    pub fn answer(&mut self, count: usize, failures: usize, choices: &mut Choices<'_>) {
        for _ in 0..count {
            let busy: Vec<TransferId> = self.outstanding.keys().copied().collect();
            if busy.is_empty() {
                return;
            }
            let transfer = *choices.pick(&busy);
            let Some(waiting) = self.outstanding.get_mut(&transfer) else { return };
            let Some(request) = waiting.pop_front() else { return };
            if waiting.is_empty() {
                self.outstanding.remove(&transfer);
            }
            let result = if choices.percent(failures) { Err(failure(choices)) } else { Ok(()) };
            let answered = self.connection.handle_storage(self.now, reply(request, result));
            assert_eq!(answered, Ok(()));
            self.drain(2 * 1024);
        }
    }

    /// Whatever the caller might do, some of it against the contract: refused at
    /// worst.
    pub fn act(
        &mut self,
        choices: &mut Choices<'_>,
        manifest: impl FnOnce(&mut Choices<'_>) -> Manifest,
    ) {
        let id = match self.offered.last() {
            Some(&id) if choices.percent(85) => id,
            _ => TransferId(choices.below(12) as u32),
        };
        match choices.below(20) {
            0..9 => {
                let ranges = choices.percent(40).then(|| {
                    let first = choices.below(3) as u32;
                    vec![EntryRange { first, count: 1 + choices.below(3) as u32 }]
                });
                let have = if choices.percent(40) { self.have(id, choices) } else { Vec::new() };
                self.accept_having(id, ranges, &have);
            }
            9 => drop(self.connection.reject(self.now, id, declined())),
            10 => drop(self.connection.cancel(self.now, id, declined())),
            11 if choices.percent(10) => {
                self.left = true;
                self.connection.close(self.now, None);
            }
            12 => {
                let message = Message::Binary(vec![7; choices.below(40_000)]);
                drop(self.connection.send_message(self.now, *choices.pick(&Channel::ALL), message));
            }
            _ => {
                let manifest = manifest(choices);
                self.known.extend(self.connection.offer(self.now, manifest, "a note"));
            }
        }
        self.drain(2 * 1024);
    }

    /// What a journal could hold of an offer: right, damaged, or nonsense.
    fn have(&self, id: TransferId, choices: &mut Choices<'_>) -> Vec<Have> {
        let Some(manifest) = self.connection.manifest(id) else { return Vec::new() };
        let chunk = 1u64 << *choices.pick(&[14, 14, 16]);
        let mut have = Vec::new();
        for file in (0..manifest.len()).map(FileIndex) {
            let size = manifest.entry(file).and_then(|entry| entry.size()).unwrap_or(0);
            let state = match choices.below(8) {
                0..3 => continue,
                3 => HaveState::Stored,
                4 if !self.journal.is_empty() => {
                    let place = choices.below(self.journal.len());
                    HaveState::Partial(self.journal[place].clone())
                }
                kind => HaveState::Partial(state(size, chunk, kind == 7, choices)),
            };
            have.push(Have { file, state });
        }
        have
    }

    /// Accepts an offer, if there is one.
    pub fn accept(&mut self, id: TransferId, ranges: Option<Vec<EntryRange>>) {
        self.accept_having(id, ranges, &[]);
    }

    /// The same, with what a journal holds of it.
    fn accept_having(&mut self, id: TransferId, ranges: Option<Vec<EntryRange>>, have: &[Have]) {
        let manifest = self.connection.manifest(id).cloned();
        if self.connection.accept_having(self.now, id, ranges.clone(), have).is_ok() {
            let manifest = manifest.expect("only a whole manifest can be accepted");
            self.accepted.insert(id, Accepted { manifest, ranges });
        }
        self.drain(0);
    }
}

/// A state of a file's journal as `storage` has it: some chunks of zeros, with
/// their hashes or `doubted`; now and then with a hash that is wrong, or spoiled.
fn state(size: u64, chunk: u64, doubted: bool, choices: &mut Choices<'_>) -> Vec<u8> {
    let there: Vec<u64> =
        (0..size.div_ceil(chunk).min(64)).filter(|_| choices.percent(60)).collect();
    let encoded = if doubted {
        codec::encode(&(1u32, there.iter().map(|&first| (first, 1u64)).collect::<Vec<_>>()))
    } else {
        let is_wrong = choices.percent(30);
        let leaf = |&first: &u64| {
            let len = (size - first * chunk).min(chunk);
            let right = leaf_hash(&vec![0; usize::try_from(len).unwrap_or(0)]);
            (first, 0u8, if is_wrong { [9; 32] } else { right })
        };
        codec::encode(&(0u32, there.iter().map(leaf).collect::<Vec<_>>()))
    };
    let mut encoded = encoded.expect("a state encodes");
    if choices.percent(20) {
        let other = encoded.clone();
        choices.spoil(&mut encoded, &other);
    }
    encoded
}

fn declined() -> Error {
    Error::new(Blame::Circumstance, ErrorCode::Declined, "not wanted")
}

fn failure(choices: &mut Choices<'_>) -> StorageError {
    let kind = *choices.pick(&[
        StorageErrorKind::NoSpace,
        StorageErrorKind::Unreadable,
        StorageErrorKind::Changed,
        StorageErrorKind::NameConflict,
        StorageErrorKind::Refused,
        StorageErrorKind::Other,
    ]);
    StorageError { kind, text: "planted".into() }
}

fn reply(request: StorageRequest, result: Result<(), StorageError>) -> StorageReply {
    match request {
        StorageRequest::Read { transfer, file, offset, len, mut buf, .. } => {
            buf.resize(len as usize, 0);
            StorageReply::Read { transfer, file, offset, buf, leaf: None, result }
        }
        StorageRequest::Write { transfer, file, offset, data, .. } => {
            StorageReply::Written { transfer, file, offset, buf: data, result }
        }
        StorageRequest::Sync { transfer, .. } => StorageReply::Synced { transfer, result },
        StorageRequest::Commit { transfer, file, .. } => {
            StorageReply::Committed { transfer, file, result }
        }
        StorageRequest::Check { transfer, file, .. } => {
            StorageReply::Checked { transfer, file, result }
        }
        StorageRequest::Release { transfer, .. } => StorageReply::Released { transfer, result },
        StorageRequest::Discard { transfer, .. } => StorageReply::Discarded { transfer, result },
    }
}
