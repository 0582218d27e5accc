//! One thread for each transfer that carries out its storage requests in order,
//! so that a slow disk delays nobody's network. The contract is that of
//! `passel_proto::storage`. What does not live here: how files are read and
//! written ([`super::source`], [`super::sink`]).

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use passel_proto::ids::TransferId;
use passel_proto::storage::{StorageError, StorageErrorKind, StorageReply, StorageRequest};
use passel_proto::tree::leaf_hash;

use super::other;
use super::sink::Sink;
use super::source::Source;
use super::stream::Streams;
use super::walk::Sources;
use crate::clock;

/// What an executor works on.
#[derive(Debug)]
pub enum Job {
    /// Reads what is offered.
    Send(Arc<Sources>),
    /// Writes what arrives.
    Receive(Box<Sink>),
}

/// Why a request was not taken.
#[derive(Debug, thiserror::Error)]
pub enum SubmitError {
    /// More requests are outstanding than were agreed on, which is a bug.
    #[error("more storage requests are outstanding than the queue holds")]
    Full(StorageRequest),
    /// The thread has ended.
    #[error("the storage thread has ended")]
    Ended(StorageRequest),
}

/// A thread that carries out storage requests. Dropping it waits until all
/// requests that were taken are carried out, but for reads of streams; what is
/// temporary is then removed.
pub struct Executor {
    queue: Option<SyncSender<StorageRequest>>,
    thread: Option<JoinHandle<()>>,
    /// In place of a thread.
    inline: Option<Inline>,
}

/// Carries out a request at once.
type Inline = Box<dyn FnMut(StorageRequest)>;

impl std::fmt::Debug for Executor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Executor").field("thread", &self.thread).finish_non_exhaustive()
    }
}

impl Executor {
    /// Starts the thread, for requests of `transfer`: those of another one touch nothing.
    /// At most `capacity` requests may wait at one time. With `hashes`, it computes the
    /// leaves of what it reads and compares what it is to write
    /// (`Config::storage_checks_leaves`).
    ///
    /// `deliver` is called with each reply, in the order of the requests but for
    /// those of streams, which have threads of their own; those of small files that
    /// wait to be written come together. It must not wait for
    /// whoever drops the executor; the sender of an unbounded channel is right,
    /// as replies are no more than requests.
    pub fn spawn(
        transfer: TransferId,
        job: Job,
        hashes: bool,
        capacity: usize,
        deliver: impl FnMut(StorageReply) + Clone + Send + 'static,
    ) -> io::Result<Self> {
        let (queue, requests) = sync_channel(capacity);
        let thread =
            std::thread::Builder::new().name("passel-storage".to_owned()).spawn(move || {
                let is_short = is_short(&job);
                let work = work(transfer, job, hashes, deliver.clone());
                carry_out_all(&requests, is_short, work, deliver);
            })?;
        Ok(Self { queue: Some(queue), thread: Some(thread), inline: None })
    }

    /// One without a thread, which carries requests out where they are submitted:
    /// for simulations, in which only one thing happens at a time.
    pub fn inline(
        transfer: TransferId,
        job: Job,
        hashes: bool,
        mut deliver: impl FnMut(StorageReply) + Clone + Send + 'static,
    ) -> Self {
        let mut work = work(transfer, job, hashes, deliver.clone());
        let inline = move |request| work(request).into_iter().for_each(&mut deliver);
        Self { queue: None, thread: None, inline: Some(Box::new(inline)) }
    }

    /// Hands a request to the thread; never waits for it.
    pub fn submit(&mut self, request: StorageRequest) -> Result<(), SubmitError> {
        if let Some(inline) = &mut self.inline {
            inline(request);
            return Ok(());
        }
        let Some(queue) = &self.queue else { return Err(SubmitError::Ended(request)) };
        queue.try_send(request).map_err(|error| match error {
            TrySendError::Full(request) => SubmitError::Full(request),
            TrySendError::Disconnected(request) => SubmitError::Ended(request),
        })
    }
}

impl Drop for Executor {
    fn drop(&mut self) {
        self.queue = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the storage thread panicked");
        }
    }
}

struct Worker {
    files: Files,
    /// Whether it computes leaves, and compares with them.
    hashes: bool,
}

enum Files {
    Source(Source),
    Sink(Box<Sink>),
}

/// How long replies may wait for those of short requests that are there already. To wake
/// the other thread for each small file costs both more than the file.
const TOGETHER: Duration = Duration::from_millis(1);

/// Carries out what comes until nobody can ask any more. Only what `is_short` is carried
/// out while earlier replies wait.
fn carry_out_all(
    requests: &Receiver<StorageRequest>,
    is_short: impl Fn(&StorageRequest) -> bool,
    mut work: impl FnMut(StorageRequest) -> Option<StorageReply>,
    mut deliver: impl FnMut(StorageReply),
) {
    let mut done = Vec::new();
    while let Ok(first) = requests.recv() {
        let end = clock::now() + TOGETHER;
        let mut next = Some(first);
        while let Some(request) = next {
            if !is_short(&request) {
                done.drain(..).for_each(&mut deliver);
            }
            done.extend(work(request));
            next = if clock::now() < end { requests.try_recv().ok() } else { None };
        }
        done.drain(..).for_each(&mut deliver);
    }
}

/// Whether this takes about as long as the writing of a small file.
fn is_short(job: &Job) -> impl Fn(&StorageRequest) -> bool + use<> {
    let may_commit = match job {
        Job::Send(_) => false,
        Job::Receive(sink) => !sink.looks_into_files(),
    };
    move |request| match request {
        StorageRequest::Write { .. } => true,
        StorageRequest::Commit { .. } => may_commit,
        _ => false,
    }
}

/// What carries out one request. It gives the reply back, but for those of streams, which go
/// to `deliver` when they are there.
fn work(
    transfer: TransferId,
    job: Job,
    hashes: bool,
    deliver: impl FnMut(StorageReply) + Clone + Send + 'static,
) -> impl FnMut(StorageRequest) -> Option<StorageReply> {
    let (files, mut streams) = match job {
        Job::Send(sources) => {
            let streams = Streams::new(Arc::clone(&sources), deliver);
            (Files::Source(Source::new(sources)), Some(streams))
        }
        Job::Receive(sink) => (Files::Sink(sink), None),
    };
    let mut worker = Worker { files, hashes };
    move |request| {
        if request.transfer() != transfer {
            return Some(answer_of_another(request));
        }
        let request = match &mut streams {
            Some(streams) => streams.take(request),
            None => Some(request),
        };
        request.map(|request| worker.carry_out(request))
    }
}

impl Worker {
    fn carry_out(&mut self, request: StorageRequest) -> StorageReply {
        match request {
            StorageRequest::Read { transfer, file, offset, len, mut buf, .. } => {
                let result = match &mut self.files {
                    Files::Source(source) => source.read(file, offset, len, &mut buf),
                    Files::Sink(sink) => sink.read(file, offset, len, &mut buf),
                };
                let leaf = (self.hashes && result.is_ok()).then(|| leaf_hash(&buf));
                StorageReply::Read { transfer, file, offset, buf, leaf, result }
            }
            StorageRequest::Write { transfer, file, offset, data, leaf } => {
                let is_wrong = self.hashes && leaf_hash(&data) != leaf;
                let result = self.sink().and_then(|sink| {
                    if is_wrong {
                        return Err(wrong_leaf());
                    }
                    sink.write(file, offset, &data)?;
                    sink.note_written(file, offset, data.len(), leaf);
                    Ok(())
                });
                StorageReply::Written { transfer, file, offset, buf: data, result }
            }
            StorageRequest::Sync { transfer, journal } => {
                let result = self.sink().and_then(|sink| sink.sync(journal));
                StorageReply::Synced { transfer, result }
            }
            StorageRequest::Commit { transfer, file, size, root } => {
                let result = self.sink().and_then(|sink| sink.commit(file, size, root));
                StorageReply::Committed { transfer, file, result }
            }
            StorageRequest::Check { transfer, file, size, root } => {
                let result = self.sink().and_then(|sink| sink.check(file, size, &root));
                StorageReply::Checked { transfer, file, result }
            }
            StorageRequest::Release { transfer, completed } => {
                let result = match &mut self.files {
                    Files::Source(source) => {
                        source.close();
                        Ok(())
                    }
                    Files::Sink(sink) => sink.release(completed),
                };
                StorageReply::Released { transfer, result }
            }
            StorageRequest::Discard { transfer, file } => {
                let result = match &mut self.files {
                    Files::Source(source) => {
                        source.close();
                        Ok(())
                    }
                    Files::Sink(sink) => sink.discard(file),
                };
                StorageReply::Discarded { transfer, result }
            }
        }
    }

    fn sink(&mut self) -> Result<&mut Sink, StorageError> {
        match &mut self.files {
            Files::Sink(sink) => Ok(sink),
            Files::Source(_) => Err(other("a sender writes nothing")),
        }
    }
}

/// The answer to a request of a transfer that has nothing here, such as an offer that was
/// declined: there is nothing to let go of, and nothing else that could be done.
fn answer_of_another(request: StorageRequest) -> StorageReply {
    let result = Err(other("nothing is stored of this transfer"));
    match request {
        StorageRequest::Read { transfer, file, offset, buf, .. } => {
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
        StorageRequest::Release { transfer, .. } => {
            StorageReply::Released { transfer, result: Ok(()) }
        }
        StorageRequest::Discard { transfer, .. } => {
            StorageReply::Discarded { transfer, result: Ok(()) }
        }
    }
}

/// `Config::storage_checks_leaves`
fn wrong_leaf() -> StorageError {
    let text = "a chunk does not have its hash".to_owned();
    StorageError { kind: StorageErrorKind::WrongLeaf, text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::walk::walk;
    use passel_proto::ids::FileIndex;
    use std::cell::RefCell;
    use std::fs;
    use std::sync::Mutex;
    use std::sync::mpsc::channel;

    const ID: TransferId = TransferId(2);

    fn start(job: Job) -> (Executor, Receiver<StorageReply>) {
        let (deliver, replies) = channel();
        let executor = Executor::spawn(ID, job, true, 4, move |reply| {
            let _ = deliver.send(reply);
        });
        (executor.unwrap(), replies)
    }

    #[test]
    fn a_tree_goes_through_two_executors_unchanged() {
        let temp = tempfile::tempdir().unwrap();
        let top = temp.path().join("top");
        fs::create_dir_all(top.join("sub/空")).unwrap();
        let content: Vec<u8> = (0..100_000_u32).map(|i| (i % 251) as u8).collect();
        fs::write(top.join("sub/big"), &content).unwrap();
        fs::write(top.join("empty"), b"").unwrap();
        let sources = Arc::new(walk(&[top]).unwrap());
        let manifest = Arc::clone(sources.manifest());
        let out = temp.path().join("out");
        let sink = Sink::create(&out, Arc::clone(&manifest)).unwrap();
        let (mut reader, reads) = start(Job::Send(sources));
        let (mut writer, writes) = start(Job::Receive(Box::new(sink)));
        let mut buffer = Vec::with_capacity(65_536);
        let address = buffer.as_ptr();
        let mut directories = Vec::new();
        for (file, entry) in manifest.iter() {
            let Some(size) = entry.size() else {
                directories.push(file);
                continue;
            };
            let mut offset = 0;
            while offset < size {
                let len = (size - offset).min(65_536) as u32;
                let last = offset + u64::from(len) == size;
                buffer.clear();
                let read =
                    StorageRequest::Read { transfer: ID, file, offset, len, last, buf: buffer };
                reader.submit(read).unwrap();
                let StorageReply::Read { buf, result: Ok(()), .. } = reads.recv().unwrap() else {
                    panic!("read");
                };
                let leaf = leaf_hash(&buf);
                let write = StorageRequest::Write { transfer: ID, file, offset, data: buf, leaf };
                writer.submit(write).unwrap();
                let StorageReply::Written { buf, result: Ok(()), .. } = writes.recv().unwrap()
                else {
                    panic!("write");
                };
                buffer = buf;
                offset += u64::from(len);
            }
            writer.submit(StorageRequest::Commit { transfer: ID, file, size, root: None }).unwrap();
            let committed = writes.recv().unwrap();
            assert!(matches!(committed, StorageReply::Committed { result: Ok(()), .. }));
        }
        assert_eq!(buffer.as_ptr(), address, "the buffer went round");
        for file in directories.into_iter().rev() {
            writer
                .submit(StorageRequest::Commit { transfer: ID, file, size: 0, root: None })
                .unwrap();
            let committed = writes.recv().unwrap();
            assert!(matches!(committed, StorageReply::Committed { result: Ok(()), .. }));
        }
        writer.submit(StorageRequest::Sync { transfer: ID, journal: Vec::new() }).unwrap();
        assert!(matches!(writes.recv().unwrap(), StorageReply::Synced { result: Ok(()), .. }));
        writer.submit(StorageRequest::Discard { transfer: ID, file: None }).unwrap();
        drop(writer);
        assert!(matches!(writes.recv().unwrap(), StorageReply::Discarded { result: Ok(()), .. }));
        assert_eq!(fs::read(out.join("top/sub/big")).unwrap(), content);
        assert_eq!(fs::read(out.join("top/empty")).unwrap(), b"");
        assert!(out.join("top/sub/空").is_dir());
        assert_eq!(fs::read_dir(&out).unwrap().count(), 1);
    }

    /// Receives a file `a`, which holds `abc`, to `out` in this directory.
    fn receiving_abc(dir: &std::path::Path) -> Job {
        fs::write(dir.join("a"), b"abc").unwrap();
        let manifest = Arc::clone(walk(&[dir.join("a")]).unwrap().manifest());
        Job::Receive(Box::new(Sink::create(&dir.join("out"), manifest).unwrap()))
    }

    #[test]
    fn a_chunk_without_its_leaf_is_not_written() {
        let temp = tempfile::tempdir().unwrap();
        let (mut executor, replies) = start(receiving_abc(temp.path()));
        let (transfer, file) = (ID, FileIndex(0));
        let mut write = |data: &[u8], leaf| {
            let data = data.to_vec();
            executor
                .submit(StorageRequest::Write { transfer, file, offset: 0, data, leaf })
                .unwrap();
            let StorageReply::Written { buf, result, .. } = replies.recv().unwrap() else {
                panic!("not a write's reply");
            };
            assert_eq!(buf.len(), 3);
            result.map_err(|error| error.kind)
        };
        assert_eq!(write(b"abd", leaf_hash(b"abc")), Err(StorageErrorKind::WrongLeaf));
        assert_eq!(write(b"abc", leaf_hash(b"abc")), Ok(()));
    }

    #[test]
    fn what_is_asked_for_another_transfer_touches_nothing() {
        let temp = tempfile::tempdir().unwrap();
        let (mut executor, replies) = start(receiving_abc(temp.path()));
        let (another, file, size, root) = (TransferId(4), FileIndex(0), 3, None);
        let mut ask = |request| {
            executor.submit(request).unwrap();
            replies.recv().unwrap()
        };
        let (data, leaf) = (b"abc".to_vec(), leaf_hash(b"abc"));
        let written = ask(StorageRequest::Write { transfer: ID, file, offset: 0, data, leaf });
        assert!(matches!(written, StorageReply::Written { result: Ok(()), .. }));
        for request in [
            StorageRequest::Discard { transfer: another, file: Some(file) },
            StorageRequest::Discard { transfer: another, file: None },
            StorageRequest::Release { transfer: another, completed: false },
            StorageRequest::Release { transfer: another, completed: true },
        ] {
            let reply = ask(request);
            assert_eq!(reply.transfer(), another);
            let is_fine = matches!(
                reply,
                StorageReply::Discarded { result: Ok(()), .. }
                    | StorageReply::Released { result: Ok(()), .. }
            );
            assert!(is_fine, "{reply:?}");
        }
        let theirs = ask(StorageRequest::Commit { transfer: another, file, size, root });
        assert!(matches!(theirs, StorageReply::Committed { result: Err(_), .. }), "{theirs:?}");
        let ours = ask(StorageRequest::Commit { transfer: ID, file, size, root });
        assert!(matches!(ours, StorageReply::Committed { result: Ok(()), .. }), "{ours:?}");
        assert_eq!(fs::read(temp.path().join("out/a")).unwrap(), b"abc");
    }

    #[test]
    fn requests_that_do_not_fit_the_job_are_answered_with_an_error() {
        let temp = tempfile::tempdir().unwrap();
        let sources = Arc::new(walk(&[temp.path().to_owned()]).unwrap());
        let (mut executor, replies) = start(Job::Send(sources));
        let (file, data, leaf) = (FileIndex(0), vec![7], [0; 32]);
        let write = StorageRequest::Write { transfer: ID, file, offset: 0, data, leaf };
        executor.submit(write).unwrap();
        let StorageReply::Written { transfer, buf, result, .. } = replies.recv().unwrap() else {
            panic!("not a write's reply");
        };
        assert_eq!((transfer, buf), (ID, vec![7]));
        assert!(result.is_err());
    }

    /// What had been delivered when each request was carried out, of `count` of which
    /// all but each tenth are short, and which take `long` each.
    fn delivered_before(count: u32, long: Duration) -> Vec<usize> {
        let (queue, requests) = channel();
        for file in 0..count {
            let (transfer, file, size, root) = (ID, FileIndex(file), 0, None);
            queue.send(StorageRequest::Commit { transfer, file, size, root }).unwrap();
        }
        drop(queue);
        let (delivered, before) = (RefCell::new(Vec::new()), RefCell::new(Vec::new()));
        let is_short = |request: &StorageRequest| match request {
            StorageRequest::Commit { file, .. } => file.0 % 10 != 9,
            _ => false,
        };
        let work = |request| {
            before.borrow_mut().push(delivered.borrow().len());
            std::thread::sleep(long);
            let StorageRequest::Commit { transfer, file, .. } = request else { return None };
            Some(StorageReply::Committed { transfer, file, result: Ok(()) })
        };
        carry_out_all(&requests, is_short, work, |reply| {
            if let StorageReply::Committed { file, .. } = reply {
                delivered.borrow_mut().push(file.0);
            }
        });
        assert_eq!(delivered.into_inner(), (0..count).collect::<Vec<_>>());
        before.into_inner()
    }

    #[test]
    fn replies_to_short_requests_come_together_and_wait_for_no_other() {
        let before = delivered_before(10, Duration::ZERO);
        // A machine that stands still for a millisecond delivers earlier.
        assert!(before[1..9].contains(&0), "{before:?}");
        assert_eq!(before[9], 9);
    }

    #[test]
    fn replies_wait_for_no_more_than_a_moment() {
        assert_eq!(delivered_before(5, 2 * TOGETHER), [0, 1, 2, 3, 4]);
    }

    #[test]
    fn a_full_queue_gives_the_request_back_and_dropping_carries_out_the_rest() {
        let temp = tempfile::tempdir().unwrap();
        let sources = Arc::new(walk(&[temp.path().to_owned()]).unwrap());
        let (gate, wait) = channel::<()>();
        let wait = Arc::new(Mutex::new(wait));
        let (deliver, replies) = channel();
        let mut executor = Executor::spawn(ID, Job::Send(sources), true, 1, move |reply| {
            let _ = wait.lock().unwrap().recv();
            let _ = deliver.send(reply);
        })
        .unwrap();
        let sync = || StorageRequest::Sync { transfer: ID, journal: Vec::new() };
        let mut taken = 0;
        let refused = loop {
            match executor.submit(sync()) {
                Ok(()) => taken += 1,
                Err(error) => break error,
            }
        };
        assert!(matches!(refused, SubmitError::Full(StorageRequest::Sync { .. })));
        drop(gate);
        drop(executor);
        assert_eq!(replies.iter().count(), taken);
    }
}
