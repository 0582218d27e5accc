//! Two connections, two disks in memory and a loop: all that the whole of the
//! core needs to run. What lives here is the world; what it must show is in the
//! tests that use it.

#![allow(dead_code, unreachable_pub)] // each test uses a part of it
#![allow(clippy::unwrap_used, clippy::expect_used)] // a test that fails says so

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use passel_proto::connection::{Config, Connection, Event};
use passel_proto::crypto::{Entropy, Secret32};
use passel_proto::handshake::{Auth, TransportBinding};
use passel_proto::ids::{Channel, FileIndex, TransferId};
use passel_proto::manifest::{Entry, EntryKind, Manifest, ManifestBuilder};
use passel_proto::path::SafePath;
use passel_proto::storage::{StorageError, StorageErrorKind, StorageReply, StorageRequest};
use passel_proto::tree::leaf_hash;

/// A moment to count from; only differences from it matter.
pub fn epoch() -> Instant {
    #[allow(clippy::disallowed_methods)] // the one place where a test's world begins
    Instant::now()
}

/// What a disk does instead of what it was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The n-th write (from 0) fails in this way.
    Write(usize, StorageErrorKind),
    /// The n-th read fails in this way.
    Read(usize, StorageErrorKind),
    /// The n-th commit fails in this way.
    Commit(usize, StorageErrorKind),
    /// The n-th sync fails in this way.
    Sync(usize, StorageErrorKind),
}

/// Files in memory: a source by place in the manifest, or what was received.
#[derive(Debug, Default)]
pub struct Disk {
    pub source: BTreeMap<u32, Vec<u8>>,
    pub parts: BTreeMap<u32, Vec<u8>>,
    pub committed: BTreeMap<u32, Vec<u8>>,
    pub directories: Vec<u32>,
    /// What the journal holds, durably, of files under way.
    pub journal: BTreeMap<u32, Vec<u8>>,
    /// The leaves of all chunks that were written, by file and offset.
    pub leaves: BTreeMap<(u32, u64), (u32, [u8; 32])>,
    /// The size and root of each file that was committed.
    pub stored: BTreeMap<u32, (u64, [u8; 32])>,
    /// How the transfer was let go: `true` when it was completed.
    pub released: Option<bool>,
    pub faults: Vec<Fault>,
    /// Bytes written since the last sync, by file.
    pub unsynced: BTreeMap<u32, u64>,
    pub writes: usize,
    pub reads: usize,
    /// Where the reads began, in their order.
    pub read_offsets: Vec<u64>,
    pub commits: usize,
    pub syncs: usize,
    pub discarded: bool,
    /// Whether leaves are its business (`Config::storage_checks_leaves`).
    pub checks: bool,
    /// Requests that are held back until `release` is called.
    pub stalled: bool,
    pub waiting: VecDeque<StorageRequest>,
    /// Files whose reads are not answered: streams that say nothing.
    pub silent: BTreeSet<u32>,
}

impl Disk {
    /// The next request that is carried out.
    pub fn next(&mut self) -> Option<StorageRequest> {
        let answered = |request: &StorageRequest| {
            !matches!(request,
            StorageRequest::Read { file, .. } if self.silent.contains(&file.0))
        };
        let place = self.waiting.iter().position(answered)?;
        self.waiting.remove(place)
    }

    fn fault(
        &self,
        of: impl Fn(&Fault) -> Option<(usize, StorageErrorKind)>,
        count: usize,
    ) -> Result<(), StorageError> {
        match self.faults.iter().filter_map(of).find(|(nth, _)| *nth == count) {
            Some((_, kind)) => Err(StorageError { kind, text: format!("planted {kind:?}") }),
            None => Ok(()),
        }
    }

    pub fn carry_out(&mut self, request: StorageRequest, manifest: &Manifest) -> StorageReply {
        match request {
            StorageRequest::Read { transfer, file, offset, len, mut buf, .. } => {
                let mut result = self.fault(
                    |fault| {
                        if let Fault::Read(nth, kind) = fault { Some((*nth, *kind)) } else { None }
                    },
                    self.reads,
                );
                self.reads += 1;
                self.read_offsets.push(offset);
                assert!(buf.is_empty(), "a read's buffer is empty");
                // A receiver reads back what it has written.
                let source = self.source.get(&file.0).or_else(|| self.parts.get(&file.0));
                let source = source.map_or(&[][..], |source| source);
                let from = usize::try_from(offset).unwrap();
                let is_stream = manifest.entry(file).unwrap().size().is_none();
                if is_stream {
                    let rest = source.get(from..).unwrap_or_default();
                    buf.extend_from_slice(rest.get(..len as usize).unwrap_or(rest));
                } else if let Some(bytes) = source.get(from..from + len as usize) {
                    buf.extend_from_slice(bytes);
                } else {
                    let text = "the source is short".to_owned();
                    result = Err(StorageError { kind: StorageErrorKind::Changed, text });
                }
                let leaf = self.checks.then(|| leaf_hash(&buf));
                StorageReply::Read { transfer, file, offset, buf, leaf, result }
            }
            StorageRequest::Write { transfer, file, offset, data, leaf } => {
                let wrong = self.checks && leaf_hash(&data) != leaf;
                let kind = StorageErrorKind::WrongLeaf;
                let wrong = wrong.then(|| StorageError { kind, text: "wrong".to_owned() });
                let result = self.fault(
                    |fault| {
                        if let Fault::Write(nth, kind) = fault { Some((*nth, *kind)) } else { None }
                    },
                    self.writes,
                );
                let result = wrong.map_or(result, Err);
                self.writes += 1;
                if result.is_ok() {
                    let len = u32::try_from(data.len()).unwrap();
                    self.leaves.insert((file.0, offset), (len, leaf));
                    let part = self.parts.entry(file.0).or_default();
                    let from = usize::try_from(offset).unwrap();
                    part.resize(part.len().max(from + data.len()), 0);
                    part[from..from + data.len()].copy_from_slice(&data);
                    *self.unsynced.entry(file.0).or_default() += data.len() as u64;
                }
                StorageReply::Written { transfer, file, offset, buf: data, result }
            }
            StorageRequest::Sync { transfer, journal } => {
                let result = self.fault(
                    |fault| {
                        if let Fault::Sync(nth, kind) = fault { Some((*nth, *kind)) } else { None }
                    },
                    self.syncs,
                );
                self.syncs += 1;
                self.unsynced.clear();
                if result.is_ok() {
                    let entries = journal.into_iter().map(|entry| (entry.file.0, entry.state));
                    self.journal.extend(entries);
                }
                StorageReply::Synced { transfer, result }
            }
            StorageRequest::Commit { transfer, file, size, root } => {
                let result = self.fault(
                    |fault| {
                        if let Fault::Commit(nth, kind) = fault {
                            Some((*nth, *kind))
                        } else {
                            None
                        }
                    },
                    self.commits,
                );
                self.commits += 1;
                if result.is_ok() {
                    if manifest.entry(file).unwrap().is_directory() {
                        self.directories.push(file.0);
                    } else {
                        let part = self.parts.remove(&file.0).unwrap_or_default();
                        assert_eq!(part.len() as u64, size, "a commit names the exact length");
                        assert!(
                            !self.unsynced.contains_key(&file.0),
                            "committed before it was durable"
                        );
                        assert!(self.committed.insert(file.0, part).is_none(), "committed twice");
                        self.journal.remove(&file.0);
                        self.stored.insert(file.0, (size, root.expect("a file has a root")));
                    }
                }
                StorageReply::Committed { transfer, file, result }
            }
            StorageRequest::Check { transfer, file, size, root } => {
                let kind = StorageErrorKind::Changed;
                let differs = || StorageError { kind, text: "not what was stored".to_owned() };
                let is_right = self.stored.get(&file.0) == Some(&(size, root));
                let result = if is_right { Ok(()) } else { Err(differs()) };
                StorageReply::Checked { transfer, file, result }
            }
            StorageRequest::Release { transfer, completed } => {
                self.released = Some(completed);
                StorageReply::Released { transfer, result: Ok(()) }
            }
            StorageRequest::Discard { transfer, file } => {
                if let Some(file) = file {
                    self.parts.remove(&file.0);
                    self.journal.remove(&file.0);
                } else {
                    self.parts.clear();
                    self.journal.clear();
                    self.discarded = true;
                }
                StorageReply::Discarded { transfer, result: Ok(()) }
            }
        }
    }
}

/// One side of the pair.
pub struct Side {
    pub connection: Connection,
    pub disk: Disk,
    pub events: Vec<Event>,
    /// Messages on their way to this side.
    pub inbox: Vec<(Channel, Vec<u8>)>,
    /// Every message that this side has sent, if `record` is set.
    pub sent: Vec<(Channel, Vec<u8>)>,
    /// The further lanes of this side, with what may be queued on each.
    pub lanes: BTreeMap<u16, usize>,
    /// Messages on their way to this side over further lanes.
    pub lane_inbox: Vec<(u16, Vec<u8>)>,
    /// How many came over them.
    pub over_lanes: usize,
}

/// Two sides and what lies between.
pub struct Pair {
    pub now: Instant,
    /// The peer that made the invitation; it offers in most tests.
    pub sender: Side,
    /// The peer that joined.
    pub receiver: Side,
    pub entropy: Entropy,
    /// Whether messages on the file channel are delivered in any order.
    pub shuffle: bool,
    pub record: bool,
    pub manifest: Option<Manifest>,
    /// Changes a message on its way; `true` keeps it.
    pub meddle: Option<Meddler>,
}

pub type Meddler = Box<dyn FnMut(&str, Channel, &mut Vec<u8>) -> bool>;

pub fn config() -> Config {
    let binding = TransportBinding { initiator: vec![1; 32], responder: vec![2; 32] };
    Config::new(Auth::Psk(Secret32::new([7; 32])), binding)
}

impl Pair {
    pub fn new(seed: u64) -> Self {
        Self::with(seed, config(), config())
    }

    pub fn with(seed: u64, of_sender: Config, of_receiver: Config) -> Self {
        let now = epoch();
        let mut seeds = [0; 32];
        seeds[..8].copy_from_slice(&seed.to_le_bytes());
        let mut entropy = Entropy::from_seed(seeds);
        let side = |connection| Side {
            connection,
            disk: Disk::default(),
            events: Vec::new(),
            inbox: Vec::new(),
            sent: Vec::new(),
            lanes: BTreeMap::new(),
            lane_inbox: Vec::new(),
            over_lanes: 0,
        };
        Self {
            now,
            sender: side(Connection::responder(of_sender, entropy.array(), now).unwrap()),
            receiver: side(Connection::initiator(of_receiver, entropy.array(), now).unwrap()),
            entropy,
            shuffle: false,
            record: false,
            manifest: None,
            meddle: None,
        }
    }

    /// A pair whose handshake is done.
    pub fn established(seed: u64) -> Self {
        let mut pair = Self::new(seed);
        pair.run();
        assert!(
            pair.sender.connection.is_established() && pair.receiver.connection.is_established()
        );
        pair
    }

    /// A pair whose initiator is done, and whose CONFIRM was lost with all that followed.
    pub fn unconfirmed(seed: u64) -> Self {
        let mut pair = Self::new(seed);
        pair.record = true;
        let mut count = 0;
        pair.meddle = Some(Box::new(move |from, _, _| {
            count += usize::from(from == "receiver");
            from != "receiver" || count == 1 // HELLO_I, and nothing behind it
        }));
        pair.run();
        assert!(pair.receiver.connection.is_established());
        assert!(!pair.sender.connection.is_established());
        pair
    }

    fn below(&mut self, bound: usize) -> usize {
        let random = u64::from_le_bytes(self.entropy.array());
        usize::try_from(random % bound as u64).unwrap()
    }

    /// Lets both sides do what they can at this moment. Returns whether
    /// anything happened.
    pub fn step(&mut self) -> bool {
        let mut busy = false;
        for sending in [true, false] {
            let (name, from, to) = if sending {
                ("sender", &mut self.sender, &mut self.receiver)
            } else {
                ("receiver", &mut self.receiver, &mut self.sender)
            };
            while let Some(event) = from.connection.poll_event() {
                from.events.push(event);
                busy = true;
            }
            while let Some(request) = from.connection.poll_storage() {
                from.disk.waiting.push_back(request);
                busy = true;
            }
            while !from.disk.stalled
                && let Some(request) = from.disk.next()
            {
                let reply =
                    from.disk.carry_out(request, self.manifest.as_ref().expect("a manifest"));
                from.connection.handle_storage(self.now, reply).unwrap();
                busy = true;
            }
            for channel in Channel::ALL {
                from.connection.handle_writable(channel, 128 * 1024);
            }
            for (lane, room) in &from.lanes {
                from.connection.handle_lane_writable(*lane, *room, true);
            }
            let mut buf = Vec::new();
            while let Some(transmit) = from.connection.poll_transmit(self.now, &mut buf) {
                busy = true;
                let mut message = buf.clone();
                if transmit.lane != 0 {
                    to.lane_inbox.push((transmit.lane, message));
                    continue;
                }
                if self.record {
                    from.sent.push((transmit.channel, message.clone()));
                }
                let keep = match &mut self.meddle {
                    Some(meddle) => meddle(name, transmit.channel, &mut message),
                    None => true,
                };
                if keep {
                    to.inbox.push((transmit.channel, message));
                }
            }
        }
        for sending in [true, false] {
            let mut inbox = std::mem::take(if sending {
                &mut self.sender.inbox
            } else {
                &mut self.receiver.inbox
            });
            if self.shuffle {
                for place in 1..inbox.len() {
                    let other = self.below(place + 1);
                    // Only the file channel is unordered.
                    if inbox[place].0 == Channel::File && inbox[other].0 == Channel::File {
                        inbox.swap(place, other);
                    }
                }
            }
            let to = if sending { &mut self.sender } else { &mut self.receiver };
            for (channel, mut message) in inbox {
                to.connection.handle_message(self.now, channel, &mut message);
                busy = true;
            }
            for (lane, mut message) in std::mem::take(&mut to.lane_inbox) {
                to.connection.handle_lane_message(self.now, lane, &mut message);
                to.over_lanes += 1;
                busy = true;
            }
        }
        busy
    }

    /// Runs until nothing happens without the clock.
    pub fn run(&mut self) {
        while self.step() {}
    }

    /// Runs, and moves the clock to the next timer whenever nothing happens,
    /// until `done` or until `limit` has passed.
    pub fn run_until(&mut self, limit: Duration, mut done: impl FnMut(&Pair) -> bool) {
        let end = self.now + limit;
        loop {
            self.run();
            if done(self) {
                return;
            }
            let timers = [&self.sender, &self.receiver].map(|side| side.connection.poll_timeout());
            let next = timers.iter().flatten().map(|(at, _)| *at).min();
            match next {
                Some(at) if at <= end => self.now = self.now.max(at),
                _ => return,
            }
            self.sender.connection.handle_timeout(self.now);
            self.receiver.connection.handle_timeout(self.now);
        }
    }

    /// Offers files, given as paths and contents; a path that ends in `/` is a
    /// directory, and one that ends in `|` a stream. They must be in order.
    pub fn offer(&mut self, files: &[(&str, Vec<u8>)]) -> TransferId {
        let manifest = manifest(files);
        for (place, (_, content)) in files.iter().enumerate() {
            self.sender.disk.source.insert(u32::try_from(place).unwrap(), content.clone());
        }
        self.manifest = Some(manifest.clone());
        self.sender.connection.offer(self.now, manifest, "").unwrap()
    }

    /// Offers, lets the receiver accept all, and runs to the end.
    pub fn transfer(&mut self, files: &[(&str, Vec<u8>)]) -> TransferId {
        let id = self.offer(files);
        self.run();
        self.receiver.connection.accept(self.now, id, None).unwrap();
        self.finish();
        id
    }

    /// Runs until both sides have seen the transfer's end.
    pub fn finish(&mut self) {
        self.run_until(Duration::from_secs(60), |pair| {
            pair.sender.ended().is_some() && pair.receiver.ended().is_some()
        });
    }
}

impl Side {
    /// The event that ended the last transfer.
    pub fn ended(&self) -> Option<&Event> {
        self.events
            .iter()
            .find(|event| matches!(event, Event::Completed { .. } | Event::Ended { .. }))
    }

    pub fn closed(&self) -> Option<&Event> {
        self.events.iter().find(|event| matches!(event, Event::Closed { .. }))
    }

    /// The error with which the transfer or the connection ended.
    pub fn error(&self) -> Option<passel_proto::error::Error> {
        self.events.iter().find_map(|event| match event {
            Event::Ended { error, .. } => Some(error.clone()),
            Event::Closed { error } => error.clone(),
            _ => None,
        })
    }

    pub fn failed_files(&self) -> Vec<(FileIndex, passel_proto::error::ErrorCode)> {
        self.events
            .iter()
            .filter_map(|event| match event {
                Event::FileFailed { file, error, .. } => Some((*file, error.code)),
                _ => None,
            })
            .collect()
    }
}

/// A manifest of the given paths and contents.
pub fn manifest(files: &[(&str, Vec<u8>)]) -> Manifest {
    let mut builder = ManifestBuilder::new();
    for (path, content) in files {
        let kind = if path.ends_with('/') {
            EntryKind::Directory
        } else {
            EntryKind::File {
                size: (!path.ends_with('|')).then_some(content.len() as u64),
                executable: false,
                mime: None,
                root: None,
            }
        };
        let path = SafePath::parse(path.trim_end_matches(['/', '|'])).unwrap();
        builder.push(&Entry { path, kind, modified: None }).unwrap();
    }
    builder.finish().unwrap()
}

/// A manifest of so many files of that size, whose content nobody asks for.
pub fn sized(count: u32, size: u64) -> Manifest {
    let mut builder = ManifestBuilder::new();
    for place in 0..count {
        let path = SafePath::parse(&format!("{place:06}")).unwrap();
        let kind = EntryKind::File { size: Some(size), executable: false, mime: None, root: None };
        builder.push(&Entry { path, kind, modified: None }).unwrap();
    }
    builder.finish().unwrap()
}

/// Bytes that differ from place to place and from seed to seed.
pub fn content(len: usize, seed: u64) -> Vec<u8> {
    let mut seeds = [0; 32];
    seeds[..8].copy_from_slice(&seed.to_le_bytes());
    let mut bytes = vec![0; len];
    Entropy::from_seed(seeds).fill(&mut bytes);
    bytes
}
