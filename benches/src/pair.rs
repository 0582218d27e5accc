//! Two connections in memory, and a transfer of one file from one to the other.
//! Storage answers at once: a read fills the buffer that came with it, a write
//! gives its buffer back. One record buffer serves both directions. So what is
//! measured is the protocol, and the caller's part of it allocates nothing.

use std::time::{Duration, Instant};

use passel_proto::connection::{Config, Connection, Event};
use passel_proto::crypto::Secret32;
use passel_proto::error::Error;
use passel_proto::handshake::{Auth, TransportBinding};
use passel_proto::ids::{Channel, TransferId};
use passel_proto::limits::MAX_RECORD;
use passel_proto::manifest::{Entry, EntryKind, ManifestBuilder};
use passel_proto::path::SafePath;
use passel_proto::storage::{StorageReply, StorageRequest};
use passel_proto::suite::Suite;

/// Bytes of a chunk in the default configuration.
pub const CHUNK: usize = 64 * 1024;
/// What a transport would take at a time, in bytes a channel.
const ROOM: usize = 128 * 1024;
/// Virtual time that a chunk takes: about 500 MB/s, so that what is due by time
/// comes as often as it would on a fast network.
const CHUNK_TIME: Duration = Duration::from_micros(131);

/// Why a transfer in memory did not run to its end.
#[derive(Debug)]
pub enum Failure {
    /// The protocol said so.
    Protocol(Error),
    /// Nothing happens any more, and nothing is due.
    Stuck,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Protocol(error)
    }
}

/// Two sides of one connection.
#[derive(Debug)]
pub struct Pair {
    sender: Connection,
    receiver: Connection,
    now: Instant,
    record: Vec<u8>,
    chunks: u64,
    syncs: u64,
    offered: Option<TransferId>,
    /// Writes that are held back, while the receiver's disk stalls.
    stalled: Option<Vec<StorageRequest>>,
    completed: u32,
    failure: Option<Failure>,
}

impl Pair {
    /// A pair before its handshake, whose time begins at `now`.
    ///
    /// # Errors
    ///
    /// None in practice: the configuration is the default.
    pub fn new(now: Instant) -> Result<Self, Error> {
        Self::with_suites(&Suite::preference(false), now)
    }

    /// The same, both sides of which prefer these cipher suites in this order.
    ///
    /// # Errors
    ///
    /// There is no suite among them.
    pub fn with_suites(suites: &[Suite], now: Instant) -> Result<Self, Error> {
        let binding = TransportBinding { initiator: vec![1; 32], responder: vec![2; 32] };
        let config = || {
            let config = Config::new(Auth::Psk(Secret32::new([7; 32])), binding.clone());
            Config { suites: suites.to_vec(), ..config }
        };
        Ok(Self {
            sender: Connection::responder(config(), [1; 32], now)?,
            receiver: Connection::initiator(config(), [2; 32], now)?,
            now,
            record: Vec::with_capacity(MAX_RECORD),
            chunks: 0,
            syncs: 0,
            offered: None,
            stalled: None,
            completed: 0,
            failure: None,
        })
    }

    /// A pair whose handshake is done.
    ///
    /// # Errors
    ///
    /// As for [`new`](Self::new), and whatever the handshake fails with.
    pub fn established(now: Instant) -> Result<Self, Failure> {
        Self::new(now)?.shaken()
    }

    /// This pair once its handshake is done.
    ///
    /// # Errors
    ///
    /// Whatever the handshake fails with.
    pub fn shaken(mut self) -> Result<Self, Failure> {
        while !(self.sender.is_established() && self.receiver.is_established()) {
            if !self.step()? {
                return Err(Failure::Stuck);
            }
        }
        Ok(self)
    }

    /// Offers one file of `size` bytes and has it accepted.
    ///
    /// # Errors
    ///
    /// Whatever the two sides fail with.
    pub fn begin(&mut self, size: u64) -> Result<(), Failure> {
        let path = SafePath::parse("file").map_err(|_| Failure::Stuck)?;
        let kind = EntryKind::File { size: Some(size), executable: false, mime: None, root: None };
        let mut builder = ManifestBuilder::new();
        let pushed = builder.push(&Entry { path, kind, modified: None });
        pushed.map_err(|_| Failure::Stuck)?;
        let manifest = builder.finish().map_err(|_| Failure::Stuck)?;
        (self.offered, self.completed) = (None, 0);
        (self.chunks, self.syncs) = (0, 0);
        self.sender.offer(self.now, manifest, "")?;
        loop {
            if let Some(transfer) = self.offered.take() {
                self.receiver.accept(self.now, transfer, None)?;
                return Ok(());
            }
            if !self.step()? {
                return Err(Failure::Stuck);
            }
        }
    }

    /// Runs until the receiver has written `chunks` chunks of the transfer.
    ///
    /// # Errors
    ///
    /// Whatever the two sides fail with.
    pub fn run_to_chunk(&mut self, chunks: u64) -> Result<(), Failure> {
        self.run_until(|pair| pair.chunks >= chunks)
    }

    /// The receiver's disk answers no write from now on; runs until neither side can do
    /// anything about it.
    ///
    /// # Errors
    ///
    /// Whatever the two sides fail with.
    pub fn stall(&mut self) -> Result<(), Failure> {
        self.stalled.get_or_insert_default();
        while self.step()? {}
        Ok(())
    }

    /// The disk answers again.
    ///
    /// # Errors
    ///
    /// Whatever the receiver fails with.
    pub fn go_on(&mut self) -> Result<(), Failure> {
        for request in self.stalled.take().unwrap_or_default() {
            self.receiver.handle_storage(self.now, carry_out(request))?;
        }
        Ok(())
    }

    /// How often the receiver wanted its disk synced in this transfer.
    pub fn syncs(&self) -> u64 {
        self.syncs
    }

    /// Runs until both sides have the transfer completed.
    ///
    /// # Errors
    ///
    /// Whatever the two sides fail with.
    pub fn finish(&mut self) -> Result<(), Failure> {
        self.run_until(|pair| pair.completed == 2)
    }

    fn run_until(&mut self, done: impl Fn(&Self) -> bool) -> Result<(), Failure> {
        while !done(self) {
            if !self.step()? {
                let timers = [self.sender.poll_timeout(), self.receiver.poll_timeout()];
                let next = timers.into_iter().flatten().map(|(at, _)| at).min();
                self.now = self.now.max(next.ok_or(Failure::Stuck)?);
                self.sender.handle_timeout(self.now);
                self.receiver.handle_timeout(self.now);
            }
        }
        Ok(())
    }

    /// Lets each side do what it can and send one record. Returns whether
    /// anything happened.
    fn step(&mut self) -> Result<bool, Failure> {
        let mut busy = false;
        for sending in [true, false] {
            busy |= self.drain(sending)?;
            let (from, to) = if sending {
                (&mut self.sender, &mut self.receiver)
            } else {
                (&mut self.receiver, &mut self.sender)
            };
            for channel in Channel::ALL {
                from.handle_writable(channel, ROOM);
            }
            if let Some(transmit) = from.poll_transmit(self.now, &mut self.record) {
                to.handle_message(self.now, transmit.channel, &mut self.record);
                busy = true;
            }
        }
        match self.failure.take() {
            Some(failure) => Err(failure),
            None => Ok(busy),
        }
    }

    /// Takes one side's events, and carries out what it wants of storage.
    fn drain(&mut self, sending: bool) -> Result<bool, Failure> {
        let mut busy = false;
        let side = if sending { &mut self.sender } else { &mut self.receiver };
        while let Some(event) = side.poll_event() {
            busy = true;
            match event {
                Event::Offered { transfer } => self.offered = Some(transfer),
                Event::Completed { .. } => self.completed += 1,
                Event::Ended { error, .. }
                | Event::FileFailed { error, .. }
                | Event::Closed { error: Some(error) } => {
                    self.failure = Some(Failure::Protocol(error));
                }
                _ => {}
            }
        }
        while let Some(request) = side.poll_storage() {
            busy = true;
            match request {
                StorageRequest::Write { .. } => {
                    self.chunks += 1;
                    self.now += CHUNK_TIME;
                }
                StorageRequest::Sync { .. } => self.syncs += 1,
                _ => {}
            }
            if let (StorageRequest::Write { .. }, Some(stalled)) = (&request, &mut self.stalled) {
                stalled.push(request);
                continue;
            }
            side.handle_storage(self.now, carry_out(request))?;
        }
        Ok(busy)
    }
}

fn carry_out(request: StorageRequest) -> StorageReply {
    let result = Ok(());
    match request {
        StorageRequest::Read { transfer, file, offset, len, mut buf, .. } => {
            // Not all the same, and cheap.
            let byte = offset.to_le_bytes()[2];
            buf.resize(usize::try_from(len).unwrap_or(usize::MAX), byte);
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
