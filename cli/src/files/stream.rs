//! Standard input and pipes, which are read once, in order, and may be silent
//! for as long as they like: each has a thread of its own, so that the others
//! of an offer are read meanwhile. Such a thread may be left waiting for a
//! writer when the transfer is over; it ends with the process. What does not
//! live here: which arguments are streams ([`super::walk`]).

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

use passel_proto::escape::for_terminal;
use passel_proto::ids::FileIndex;
use passel_proto::storage::{StorageError, StorageErrorKind, StorageReply, StorageRequest};
use passel_proto::tree::leaf_hash;

use super::walk::Sources;
use super::{other, reading};

/// Where a stream comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stream {
    /// What is written to this process.
    StandardInput,
    /// A named pipe.
    Pipe(PathBuf),
}

/// A stream's requests on their way to its thread.
type Requests = Sender<StorageRequest>;

/// The streams of one offer, as far as they are being read.
pub(super) struct Streams<D> {
    sources: Arc<Sources>,
    deliver: D,
    threads: BTreeMap<FileIndex, Requests>,
}

impl<D: FnMut(StorageReply) + Clone + Send + 'static> Streams<D> {
    /// Nothing is opened yet. `deliver` gets the answers.
    pub(super) fn new(sources: Arc<Sources>, deliver: D) -> Self {
        Self { sources, deliver, threads: BTreeMap::new() }
    }

    /// Hands a read over to its stream's thread, and never waits. Gives back
    /// what is not a read of a stream.
    pub(super) fn take(&mut self, request: StorageRequest) -> Option<StorageRequest> {
        let StorageRequest::Read { file, .. } = &request else { return Some(request) };
        let Some(stream) = self.sources.stream(*file) else { return Some(request) };
        let requests = match self.threads.get(file) {
            Some(requests) => Ok(requests.clone()),
            None => start(stream.clone(), self.deliver.clone()),
        };
        match requests {
            Ok(requests) => {
                self.threads.insert(*file, requests.clone());
                if let Err(unsent) = requests.send(request) {
                    let error = other("the thread that reads a stream has ended");
                    answer(unsent.0, Err(error), &mut self.deliver);
                }
            }
            Err(error) => {
                let error = other(format!("no thread could be started: {error}"));
                answer(request, Err(error), &mut self.deliver);
            }
        }
        None
    }
}

fn start(
    stream: Stream,
    mut deliver: impl FnMut(StorageReply) + Send + 'static,
) -> io::Result<Requests> {
    let (send, requests) = channel();
    std::thread::Builder::new()
        .name("passel-stream".to_owned())
        .spawn(move || read_all(&stream, &requests, &mut deliver))?;
    Ok(send)
}

fn read_all(
    stream: &Stream,
    requests: &Receiver<StorageRequest>,
    deliver: &mut impl FnMut(StorageReply),
) {
    let mut input = Input { stream: stream.clone(), open: None, at: 0, failed: None };
    while let Ok(mut request) = requests.recv() {
        let result = match &mut request {
            StorageRequest::Read { offset, len, buf, .. } => input.read(*offset, *len, buf),
            _ => Err(other("a stream is only read")),
        };
        answer(request, result, deliver);
    }
}

/// Answers a read; streams get no other request.
fn answer(
    request: StorageRequest,
    result: Result<(), StorageError>,
    deliver: &mut impl FnMut(StorageReply),
) {
    if let StorageRequest::Read { transfer, file, offset, mut buf, .. } = request {
        if result.is_err() {
            buf.clear();
        }
        // A stream has a thread of its own already.
        let leaf = result.is_ok().then(|| leaf_hash(&buf));
        deliver(StorageReply::Read { transfer, file, offset, buf, leaf, result });
    }
}

/// A stream that is read from its beginning to its end.
struct Input {
    stream: Stream,
    open: Option<Box<dyn Read>>,
    /// How much was read.
    at: u64,
    /// What is true of the stream from its first failure on.
    failed: Option<StorageError>,
}

impl Input {
    /// Fills `buf` with the next `len` bytes, or what there is up to the end.
    fn read(&mut self, offset: u64, len: u32, buf: &mut Vec<u8>) -> Result<(), StorageError> {
        if let Some(failed) = &self.failed {
            return Err(failed.clone());
        }
        buf.clear();
        let read = self.try_read(offset, len, buf);
        self.at = self.at.saturating_add(buf.len() as u64);
        self.failed = read.as_ref().err().cloned();
        read
    }

    fn try_read(&mut self, offset: u64, len: u32, buf: &mut Vec<u8>) -> Result<(), StorageError> {
        if offset < self.at {
            return Err(other("a stream cannot be read again"));
        }
        if offset > self.at {
            return Ok(()); // It ended before.
        }
        let open = match &mut self.open {
            Some(open) => open,
            closed => closed.insert(self.stream.open()?),
        };
        buf.reserve(len.try_into().unwrap_or(0));
        let read = open.as_mut().take(u64::from(len)).read_to_end(buf);
        read.map_err(|error| reading(&error, &self.stream.shown()))?;
        Ok(())
    }
}

impl Stream {
    /// What a person calls it.
    fn shown(&self) -> String {
        match self {
            Self::StandardInput => "standard input".to_owned(),
            Self::Pipe(path) => path.to_string_lossy().into_owned(),
        }
    }

    /// Opens it; a named pipe waits for whoever writes into it.
    fn open(&self) -> Result<Box<dyn Read>, StorageError> {
        let path = match self {
            Self::StandardInput => return Ok(Box::new(io::stdin())),
            Self::Pipe(path) => path,
        };
        let fail = |error: io::Error| reading(&error, &self.shown());
        let file = File::open(path).map_err(fail)?;
        if !is_pipe(&file.metadata().map_err(fail)?) {
            let text =
                format!("{} is no longer a pipe; send it again", for_terminal(&self.shown()));
            return Err(StorageError { kind: StorageErrorKind::Changed, text });
        }
        Ok(Box::new(file))
    }
}

/// Whether this is a named pipe, or one that another program made for this one.
pub(super) fn is_pipe(metadata: &std::fs::Metadata) -> bool {
    #[cfg(unix)]
    return std::os::unix::fs::FileTypeExt::is_fifo(&metadata.file_type());
    #[cfg(not(unix))]
    return {
        let _ = metadata;
        false
    };
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::fs;
    use std::io::Write;
    use std::path::Path;
    use std::sync::mpsc::sync_channel;

    use passel_proto::ids::TransferId;

    use super::*;
    use crate::files::executor::{Executor, Job};
    use crate::files::walk::walk;

    fn make_pipe(path: &Path) {
        let mode = rustix::fs::Mode::from_raw_mode(0o600);
        rustix::fs::mknodat(rustix::fs::CWD, path, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    }

    /// An executor that sends `paths`, and its answers.
    fn sending(paths: &[PathBuf]) -> (Executor, Receiver<StorageReply>) {
        let sources = Arc::new(walk(paths).unwrap());
        let (deliver, replies) = sync_channel(64);
        let job = Job::Send(sources);
        let executor = Executor::spawn(TransferId(0), job, true, 64, move |reply| {
            let _ = deliver.send(reply);
        });
        (executor.unwrap(), replies)
    }

    fn read(file: u32, offset: u64, len: u32) -> StorageRequest {
        let (transfer, file) = (TransferId(0), FileIndex(file));
        StorageRequest::Read { transfer, file, offset, len, last: false, buf: Vec::new() }
    }

    fn bytes(reply: &StorageReply) -> (u32, u64, Result<&[u8], StorageErrorKind>) {
        match reply {
            StorageReply::Read { file, offset, buf, result, .. } => {
                let read = result.as_ref().map(|()| buf.as_slice()).map_err(|error| error.kind);
                (file.0, *offset, read)
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_pipe_is_read_to_its_end_in_whole_reads_however_it_is_written() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pipe");
        make_pipe(&path);
        let (mut executor, replies) = sending(std::slice::from_ref(&path));
        for number in 0..4 {
            executor.submit(read(0, number * 4, 4)).unwrap();
        }
        let mut writer = File::options().write(true).open(&path).unwrap();
        for part in ["a", "bc", "defg", "hij"] {
            writer.write_all(part.as_bytes()).unwrap();
        }
        drop(writer);
        for (number, expected) in (0..).zip(["abcd", "efgh", "ij", ""]) {
            let reply = replies.recv().unwrap();
            assert_eq!(bytes(&reply), (0, number * 4, Ok(expected.as_bytes())));
        }
        executor.submit(read(0, 4, 4)).unwrap();
        let again = replies.recv().unwrap();
        assert_eq!(bytes(&again).2, Err(StorageErrorKind::Other), "once only");
    }

    #[test]
    fn a_pipe_into_which_nobody_writes_delays_neither_other_files_nor_the_end() {
        let dir = tempfile::tempdir().unwrap();
        let (pipe, file) = (dir.path().join("a"), dir.path().join("b"));
        make_pipe(&pipe);
        fs::write(&file, b"0123").unwrap();
        let (mut executor, replies) = sending(&[pipe.clone(), file]);
        executor.submit(read(0, 0, 4)).unwrap();
        executor.submit(read(1, 0, 4)).unwrap();
        let reply = replies.recv().unwrap();
        assert_eq!(bytes(&reply), (1, 0, Ok(&b"0123"[..])));
        let transfer = TransferId(0);
        executor.submit(StorageRequest::Discard { transfer, file: None }).unwrap();
        drop(executor);
        assert!(matches!(replies.recv().unwrap(), StorageReply::Discarded { .. }));
        // Lets the thread go that waits for a writer.
        drop(File::options().write(true).open(&pipe).unwrap());
        let reply = replies.recv().unwrap();
        assert_eq!(bytes(&reply), (0, 0, Ok(&b""[..])));
        assert!(replies.recv().is_err(), "no thread is left");
    }

    #[test]
    fn what_is_no_pipe_any_more_has_changed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pipe");
        make_pipe(&path);
        let (mut executor, replies) = sending(std::slice::from_ref(&path));
        fs::remove_file(&path).unwrap();
        executor.submit(read(0, 0, 4)).unwrap();
        executor.submit(read(0, 4, 4)).unwrap();
        for _ in 0..2 {
            let reply = replies.recv().unwrap();
            assert_eq!(bytes(&reply).2, Err(StorageErrorKind::Unreadable));
        }
        make_pipe(&path);
        let (mut executor, replies) = sending(std::slice::from_ref(&path));
        fs::remove_file(&path).unwrap();
        fs::write(&path, b"0123").unwrap();
        executor.submit(read(0, 0, 4)).unwrap();
        let reply = replies.recv().unwrap();
        assert_eq!(bytes(&reply).2, Err(StorageErrorKind::Changed));
    }
}
