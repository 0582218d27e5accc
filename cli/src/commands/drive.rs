//! What `send` and `recv` have in common once a node runs: turning it, showing
//! progress, listening for an interrupt, and ending in order.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use passel_proto::connection::{Completion, Event as Connected};
use passel_proto::error::{Blame, Error, ErrorCode};
use passel_proto::ids::{FileIndex, TransferId};
use passel_sans_io::endpoint::EndpointEvent;
use passel_sans_io::lane::Dtls;

use super::controls::{Control, Controls};
use super::interrupt::Interrupt;
use super::meter::Meter;
use super::report::Report;
use crate::events::{Event, FileStatus, Path, PathKind};
use crate::exit::{Exit, Failure};
use crate::node::Node;
use crate::ui::progress::State;

/// How often progress is looked at.
const TICK: Duration = Duration::from_millis(100);

/// Which side's progress counts: the sender shows what is durable at the
/// receiver, the receiver what it has verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Sender,
    Receiver,
}

/// What the command has to decide.
pub(super) enum Turn {
    /// The connection stands; a sender offers now.
    Established,
    /// An offer is here; a receiver answers it.
    Offered(TransferId),
    /// The other thread has the user's answer.
    Tick,
    /// The transfer is complete.
    Completed(Completion, Duration),
    /// It is over, and this is the exit code.
    Over(ExitCode),
}

/// A node with everything that is said about it.
pub(super) struct Drive {
    pub(super) node: Node,
    pub(super) report: Report,
    side: Side,
    transfer: Option<TransferId>,
    accepted_at: Option<Instant>,
    meter: Meter,
    path: Option<(Path, Dtls)>,
    completion: Option<Completion>,
    failure: Option<Failure>,
    /// The first failure of a single file.
    file_failure: Option<Failure>,
    interrupt: Interrupt,
    controls: Controls,
    /// How many sides have the transfer paused.
    pauses: u8,
    interrupted: bool,
    closed: bool,
}

impl Drive {
    pub(super) fn new(node: Node, report: Report, interrupt: Interrupt, side: Side) -> Self {
        Self {
            node,
            report,
            side,
            transfer: None,
            accepted_at: None,
            meter: Meter::default(),
            path: None,
            completion: None,
            failure: None,
            file_failure: None,
            interrupt,
            controls: Controls::off(),
            pauses: 0,
            interrupted: false,
            closed: false,
        }
    }

    /// The transfer that progress is shown of.
    pub(super) fn follow(&mut self, transfer: TransferId) {
        self.transfer = Some(transfer);
    }

    /// Waits until there is something for the command to decide.
    pub(super) async fn next(&mut self) -> Turn {
        loop {
            while let Some(event) = self.node.poll_event() {
                if let Some(turn) = self.take(event) {
                    return turn;
                }
            }
            if self.closed && self.node.endpoint.is_done() {
                return Turn::Over(self.exit());
            }
            let tick = tokio::time::sleep(TICK);
            tokio::select! {
                () = self.node.turn() => self.show_progress(),
                () = self.interrupt.asked(), if !self.interrupted => self.interrupt(),
                control = self.controls.next() => self.control(control),
                () = tick => {
                    self.show_progress();
                    return Turn::Tick;
                }
            }
        }
    }

    fn take(&mut self, event: EndpointEvent) -> Option<Turn> {
        match event {
            EndpointEvent::Connecting => {
                self.report.event(&Event::Connecting);
                self.report.say("The other side is there. Looking for a path to it …");
                None
            }
            EndpointEvent::Connected { path, dtls } => {
                let path = Path { local: path.local, remote: path.remote, kind: PathKind::Direct };
                self.path = Some((path, dtls));
                None
            }
            EndpointEvent::Connection(event) => self.take_connected(event),
        }
    }

    fn take_connected(&mut self, event: Connected) -> Option<Turn> {
        match event {
            Connected::Established { auth, suite } => {
                self.say_connected(auth, suite);
                Some(Turn::Established)
            }
            Connected::Offered { transfer } => Some(Turn::Offered(transfer)),
            Connected::Accepted { .. } => {
                self.accepted_at = Some(Instant::now());
                self.report.event(&Event::Accepted);
                if self.side == Side::Sender {
                    self.report.say("The other side accepted.");
                }
                self.controls = Controls::start(self.report.is_json());
                if self.controls.keys {
                    self.report.say("Keys: p pauses, r resumes, q cancels.");
                }
                None
            }
            Connected::Paused { by_peer, .. } => {
                self.pauses = self.pauses.saturating_add(1);
                self.report.event(&Event::Paused { by_peer });
                self.report.say(if by_peer { "The other side paused." } else { "Paused." });
                None
            }
            Connected::Resumed { by_peer, .. } => {
                self.pauses = self.pauses.saturating_sub(1);
                // What was measured before says nothing of what comes.
                self.meter = Meter::default();
                self.report.event(&Event::Resumed { by_peer });
                self.report.say(if by_peer { "The other side goes on." } else { "Going on." });
                None
            }
            Connected::FileDone { file, .. } => {
                self.say_file(file, FileStatus::Done);
                None
            }
            Connected::FileFailed { file, error, .. } => {
                self.say_file(file, FileStatus::Failed);
                let failure = Failure::of_error(&error);
                let name = self.name(file);
                self.report.warn(&format!(
                    "{name} was not transferred: {}",
                    failure.text.trim_end_matches('.')
                ));
                self.file_failure.get_or_insert(failure);
                None
            }
            Connected::Completed { completion, .. } => {
                // Where nothing arrived, what happened to the files is the end.
                if completion.delivered == 0 && completion.failed > 0 {
                    self.failure = self.file_failure.take();
                    self.close(None);
                    return None;
                }
                self.completion = Some(completion);
                let time = self.accepted_at.map(|at| at.elapsed()).unwrap_or_default();
                Some(Turn::Completed(completion, time))
            }
            Connected::Ended { error, .. } => {
                self.fail_with(&error);
                // What went before has told the peer; the connection has no
                // other purpose.
                self.close(None);
                None
            }
            Connected::Closed { error } => {
                self.closed = true;
                if self.completion.is_none() {
                    let error = error
                        .unwrap_or_else(|| Error::new(Blame::Circumstance, ErrorCode::NoError, ""));
                    self.fail_with(&error);
                }
                None
            }
        }
    }

    /// Notes the first failure; later ones follow from it.
    fn fail_with(&mut self, error: &Error) {
        if self.failure.is_none() && self.completion.is_none() {
            let failure = self.node.failure(error);
            self.failure = Some(failure);
        }
    }

    /// Ends because of a failure of the command's own.
    pub(super) fn fail(&mut self, failure: Failure, error: Error) {
        self.failure.get_or_insert(failure);
        if let Some(transfer) = self.transfer {
            // A transfer that is over already needs no end.
            let _ = self.node.endpoint.cancel(Instant::now(), transfer, error.clone());
        }
        self.close(Some(error));
    }

    /// Closes the connection once everything is said.
    pub(super) fn close(&mut self, error: Option<Error>) {
        self.node.endpoint.close(Instant::now(), error);
        self.node.flush();
    }

    /// Does what the user wants with the transfer.
    fn control(&mut self, control: Control) {
        let Some(transfer) = self.transfer else { return };
        let now = Instant::now();
        let done = match control {
            Control::Pause => self.node.endpoint.pause(now, transfer),
            Control::Resume => self.node.endpoint.resume(now, transfer),
            Control::Cancel => {
                self.interrupt();
                Ok(())
            }
        };
        if let Err(error) = done {
            // Such as a pause of what is paused: nothing needs to be done.
            tracing::debug!(%error, "a control had no effect");
        }
        self.node.flush();
    }

    fn interrupt(&mut self) {
        self.interrupted = true;
        if self.completion.is_some() {
            return;
        }
        let error = Error::new(Blame::Circumstance, ErrorCode::Cancelled, "");
        self.fail(Failure::of_error(&error), error);
    }

    fn exit(&mut self) -> ExitCode {
        match (&self.completion, self.failure.take()) {
            (Some(completion), _) => Report::done(completion.failed),
            (None, Some(failure)) => self.report.fail(&failure),
            (None, None) => Exit::Other.into(),
        }
    }

    fn say_connected(&mut self, auth: u16, suite: u16) {
        let Some((path, dtls)) = self.path.take() else { return };
        let dtls = match dtls {
            Dtls::V1_2 => "1.2",
            Dtls::V1_3 => "1.3",
        };
        let auth = match auth {
            1 => "LINK",
            2 => "CODE",
            _ => "PSK",
        };
        let suite = match suite {
            1 => "XWING_CHACHA20POLY1305_SHA256",
            _ => "UNKNOWN",
        };
        self.report.say(&format!(
            "Connected to {} over UDP, DTLS {dtls}, end to end with ML-KEM-768 + X25519.",
            path.remote
        ));
        self.report.event(&Event::Connected {
            path,
            dtls: dtls.to_owned(),
            suite: suite.to_owned(),
            auth: auth.to_owned(),
        });
    }

    fn entry_path(&self, file: FileIndex) -> Option<String> {
        let entry = self.node.endpoint.manifest(self.transfer?)?.entry(file)?;
        Some(entry.path.as_str().to_owned())
    }

    fn name(&self, file: FileIndex) -> String {
        let path = self.entry_path(file).unwrap_or_else(|| format!("entry {}", file.0));
        passel_proto::escape::for_terminal(&path)
    }

    fn say_file(&mut self, file: FileIndex, status: FileStatus) {
        if self.report.is_json()
            && let Some(path) = self.entry_path(file)
        {
            self.report.event(&Event::File { path, status });
        }
    }

    fn show_progress(&mut self) {
        let (Some(transfer), Some(_)) = (self.transfer, self.accepted_at) else { return };
        let Some(progress) = self.node.endpoint.progress(transfer) else { return };
        if self.pauses > 0 {
            return;
        }
        let now = Instant::now();
        let bytes = match self.side {
            Side::Sender => progress.bytes_durable,
            Side::Receiver => progress.bytes_moved,
        };
        self.meter.read(now, bytes);
        let state = State {
            bytes,
            total: progress.bytes_total,
            files: progress.files_done,
            total_files: progress.files_total,
            rate: self.meter.rate(),
            left: self.meter.left(progress.bytes_total.saturating_sub(bytes)),
        };
        self.report.progress(&state, now);
    }
}
