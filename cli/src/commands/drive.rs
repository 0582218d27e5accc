//! What `send` and `recv` have in common once a node runs: turning it, showing
//! progress, listening for an interrupt, and ending in order.

use std::num::NonZeroU64;
use std::time::{Duration, Instant};

use passel_proto::connection::{Completion, Event as Connected};
use passel_proto::error::{Blame, Error, ErrorCode};
use passel_proto::ids::{FileIndex, TransferId};
use passel_proto::suite::Suite;
use passel_sans_io::endpoint::EndpointEvent;
use passel_sans_io::lane::Dtls;
use tokio::sync::oneshot;

use super::compare::compare;
use super::controls::{Control, Controls};
use super::interrupt::Interrupt;
use super::meter::Meter;
use super::report::Report;
use crate::clock;
use crate::events::{Event, FileStatus, Path, PathKind};
use crate::exit::{Exit, Failure};
use crate::machine::Machine;
use crate::node::Node;
use crate::ui::compare::Answer;
use crate::ui::progress::State;

/// How often progress is looked at.
const TICK: Duration = Duration::from_millis(100);

/// How long a receiver that has everything waits for the sender to close. The receipt may
/// be lost and sent again meanwhile; whoever closes gives that two more seconds only.
pub(super) const LAST_WORD: Duration = Duration::from_secs(30);

/// The mode in which the two sides share no secret (registry, `auth`).
const AUTH_SAS: u16 = 3;

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
    /// The transfer is accepted, for the first time or again.
    Accepted,
    /// Both sides have stored the session's secret, or one of them has.
    Stored,
    /// The connection was lost, and the transfer can go on over another one.
    Lost(Failure),
    /// It is over, and this is what the program exits with.
    Over(Exit),
}

/// A node with everything that is said about it.
#[expect(clippy::struct_excessive_bools, reason = "facts that have nothing to do with each other")]
pub(super) struct Drive<M: Machine> {
    pub(super) node: Node<M>,
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
    /// Whether standard input is for controls.
    listens: bool,
    /// The user's answer to whether both screens show the same.
    compared: Option<oneshot::Receiver<Answer>>,
    /// How many sides have the transfer paused.
    pauses: u8,
    interrupted: bool,
    closed: bool,
    /// Whether a lost connection is not the end.
    goes_on: bool,
    /// Whether a receiver whose disk failed is waited for too.
    waits_for_room: bool,
    /// Whether this process was ended by its system, and a later one can go on.
    has_left: bool,
    /// Whether this connection takes up a transfer of an earlier one.
    is_again: bool,
    /// Whether the connection was lost, as far as is known.
    is_lost: bool,
    /// Whether what ended the transfer leaves something to go on with.
    is_kept: bool,
    /// Bytes that went over this connection.
    moved: u64,
    /// When the other side is given up that has not come.
    waits_until: Option<Instant>,
    /// When a receiver that has everything leaves, whatever the sender does.
    leaves_at: Option<Instant>,
}

impl<M: Machine> Drive<M> {
    pub(super) fn new(node: Node<M>, report: Report, interrupt: Interrupt, side: Side) -> Self {
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
            listens: true,
            compared: None,
            pauses: 0,
            interrupted: false,
            closed: false,
            goes_on: false,
            waits_for_room: false,
            has_left: false,
            is_again: false,
            is_lost: false,
            is_kept: false,
            moved: 0,
            waits_until: None,
            leaves_at: None,
        }
    }

    /// Goes on with another connection, for which the other side is waited for
    /// until then.
    pub(super) fn again(self, node: Node<M>, waits_until: Option<Instant>) -> (Self, Node<M>) {
        let old = self.node;
        let mut drive = Self::new(node, self.report, self.interrupt, self.side);
        drive.controls = self.controls;
        drive.listens = self.listens;
        drive.accepted_at = self.accepted_at;
        drive.waits_for_room = self.waits_for_room;
        (drive.taking_up(waits_until), old)
    }

    /// Marks the first connection of a process that takes up a transfer.
    pub(super) fn taking_up(mut self, waits_until: Option<Instant>) -> Self {
        self.goes_on = true;
        self.is_again = true;
        self.waits_until = waits_until;
        self
    }

    /// From now on a lost connection is not the end.
    pub(super) fn survives_loss(&mut self) {
        self.goes_on = true;
    }

    /// From now on a receiver whose disk is full, or fails, is waited for like one
    /// that is lost: it keeps what it has.
    pub(super) fn waits_for_room(&mut self) {
        self.waits_for_room = true;
    }

    /// Whether the transfer ended in a way that a later process can go on from.
    pub(super) fn is_kept(&self) -> bool {
        self.is_kept && (self.has_left || !self.interrupted)
    }

    /// What an attempt to connect again needs of this.
    pub(super) fn voice(&mut self) -> (&mut Report, &Interrupt) {
        (&mut self.report, &self.interrupt)
    }

    /// The transfer that progress is shown of.
    pub(super) fn follow(&mut self, transfer: TransferId) {
        self.transfer = Some(transfer);
    }

    /// Whether there is a transfer already; others are none of this process's business.
    pub(super) fn has_transfer(&self) -> bool {
        self.transfer.is_some()
    }

    /// Takes no controls from standard input, which is being sent.
    pub(super) fn leave_input_alone(&mut self) {
        self.listens = false;
    }

    /// Waits until there is something for the command to decide.
    pub(super) async fn next(&mut self) -> Turn {
        loop {
            self.leave_in_time();
            while let Some(event) = self.node.poll_event() {
                if let Some(turn) = self.take(event) {
                    return turn;
                }
            }
            if self.closed && self.node.endpoint.is_done() {
                return self.end();
            }
            let tick = tokio::time::sleep(TICK);
            tokio::select! {
                biased;
                () = self.interrupt.asked(), if !self.interrupted => self.interrupt(),
                control = self.controls.next() => self.control(control),
                () = self.node.turn() => self.show_progress(),
                () = tick => {
                    self.show_progress();
                    self.give_up_waiting();
                    return if self.take_comparison() { Turn::Established } else { Turn::Tick };
                }
            }
        }
    }

    fn take(&mut self, event: EndpointEvent) -> Option<Turn> {
        match event {
            EndpointEvent::Connecting => {
                // It has come. How long connecting may take is the endpoint's to know.
                self.waits_until = None;
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
            // The node has dealt with it.
            EndpointEvent::LaneWanted { .. } | EndpointEvent::LaneOver { .. } => None,
        }
    }

    fn take_connected(&mut self, event: Connected) -> Option<Turn> {
        if let (Some(ours), Some(transfer)) = (self.transfer, transfer_of(&event))
            && ours != transfer
        {
            // An offer beside ours was declined or taken back, which is the end of nothing.
            return None;
        }
        match event {
            Connected::Established { auth, suite } => {
                self.say_connected(auth, suite);
                // Without a secret nothing begins before the comparison.
                (auth != AUTH_SAS).then_some(Turn::Established)
            }
            Connected::Offered { transfer } => Some(Turn::Offered(transfer)),
            Connected::Accepted { .. } => {
                self.accept();
                Some(Turn::Accepted)
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
                // A sender closes once it has the receipt.
                let leaves_at = clock::now() + LAST_WORD;
                self.leaves_at = (self.side == Side::Receiver).then_some(leaves_at);
                let time = self
                    .accepted_at
                    .map(|at| clock::now().saturating_duration_since(at))
                    .unwrap_or_default();
                Some(Turn::Completed(completion, time))
            }
            Connected::Ended { error, kept, .. } => {
                self.is_kept = kept;
                let storage = matches!(error.code, ErrorCode::NoSpace | ErrorCode::StorageFailed);
                let waits = self.waits_for_room && storage;
                self.is_lost = kept && (waits || is_loss(error.code));
                self.fail_with(&error);
                // What went before has told the peer; the connection has no
                // other purpose.
                self.close(None);
                None
            }
            Connected::Sas { sas } => {
                self.compared = Some(compare(&sas, &mut self.report));
                None
            }
            Connected::ResumptionStored => Some(Turn::Stored),
            // The program has nothing to say beside files, nor to hear; lanes are the
            // endpoint's.
            Connected::Message { .. }
            | Connected::LaneSignal { .. }
            | Connected::LaneEnded { .. }
            | Connected::MessagesSent { .. }
            | Connected::Backpressure { .. }
            | Connected::Drained { .. } => None,
            Connected::Closed { error } => {
                self.closed = true;
                if self.completion.is_none() {
                    let error = error
                        .unwrap_or_else(|| Error::new(Blame::Circumstance, ErrorCode::NoError, ""));
                    // Before the offer has come again, only a person's word is final.
                    self.is_lost |=
                        self.is_again && self.failure.is_none() && !is_final(error.code);
                    self.fail_with(&error);
                }
                None
            }
        }
    }

    /// The transfer is accepted, for the first time or again.
    fn accept(&mut self) {
        if self.is_again {
            let kept = self.transfer.and_then(|transfer| self.node.endpoint.progress(transfer));
            let bytes = kept.map_or(0, |progress| progress.bytes_resumed);
            self.report.event(&Event::Continued { bytes });
            self.report.say("Connected again; the transfer goes on.");
            self.accepted_at.get_or_insert_with(clock::now);
        } else {
            self.accepted_at = Some(clock::now());
            self.report.event(&Event::Accepted);
            if self.side == Side::Sender {
                self.report.say("The other side accepted.");
            }
        }
        if self.listens && !self.controls.is_on() {
            self.controls = Controls::start(self.report.is_json());
            if self.controls.keys {
                self.report.say("Keys: p pauses, r resumes, q cancels.");
            }
        }
    }

    /// Ends an attempt to which the other side has not come.
    fn give_up_waiting(&mut self) {
        if self.waits_until.take_if(|until| clock::now() >= *until).is_some() {
            let text = "the other side did not come back in time";
            self.close(Some(Error::new(Blame::Circumstance, ErrorCode::HandshakeTimeout, text)));
        }
    }

    /// Leaves a sender that has not closed although it should know that all is there.
    fn leave_in_time(&mut self) {
        if self.leaves_at.take_if(|at| clock::now() >= *at).is_some() {
            self.close(None);
        }
    }

    /// What the end of the connection means.
    fn end(&mut self) -> Turn {
        let may_go_on = self.goes_on && self.completion.is_none() && !self.interrupted;
        match self.failure.take_if(|_| may_go_on && self.is_lost) {
            Some(failure) => {
                self.report.event(&Event::Lost { moved: self.moved, text: failure.text.clone() });
                Turn::Lost(failure)
            }
            None => Turn::Over(self.exit()),
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
            let _ = self.node.endpoint.cancel(clock::now(), transfer, error.clone());
        }
        self.close(Some(error));
    }

    /// Closes the connection once everything is said.
    pub(super) fn close(&mut self, error: Option<Error>) {
        self.node.endpoint.close(clock::now(), error);
        self.node.flush();
    }

    /// Whether the user has just said that both screens show the same. Any other
    /// answer ends the connection.
    fn take_comparison(&mut self) -> bool {
        let Some(compared) = &mut self.compared else { return false };
        let answer = match compared.try_recv() {
            Ok(answer) => answer,
            Err(oneshot::error::TryRecvError::Empty) => return false,
            Err(oneshot::error::TryRecvError::Closed) => Answer::None,
        };
        self.compared = None;
        if answer == Answer::None {
            self.interrupt();
            return false;
        }
        let same = answer == Answer::Same;
        let told = self.node.endpoint.confirm_sas(clock::now(), same);
        self.node.flush();
        // A connection that ended meanwhile says so itself.
        same && told.is_ok()
    }

    /// Does what the user wants with the transfer.
    fn control(&mut self, control: Control) {
        let Some(transfer) = self.transfer else { return };
        let now = clock::now();
        let done = match control {
            Control::Pause => self.node.endpoint.pause(now, transfer),
            Control::Resume => self.node.endpoint.resume(now, transfer),
            Control::Limit(limit) => {
                let limit = limit.map(NonZeroU64::get);
                self.node.endpoint.set_rate_limit(now, Some(transfer), limit)
            }
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
            // Nothing is left to be ended but the wait; the receipt goes out before.
            return self.close(None);
        }
        let can_go_on = match self.side {
            Side::Sender => self.waits_for_room,
            Side::Receiver => self.goes_on,
        };
        if can_go_on && self.interrupt.is_of_system() {
            return self.leave();
        }
        let error = Error::new(Blame::Circumstance, ErrorCode::Cancelled, "");
        self.fail(Failure::of_error(&error), error);
    }

    /// The system ends this process, and nobody said that the transfer shall end.
    fn leave(&mut self) {
        self.has_left = true;
        self.failure.get_or_insert(Failure::new(
            Exit::Interrupted,
            "the system ended this program",
            "What arrived is kept: run it again to continue.",
        ));
        let text = "the system ended the other side's program";
        let error = Error::new(Blame::Circumstance, ErrorCode::TransportFailed, text);
        self.close(Some(error));
    }

    fn exit(&mut self) -> Exit {
        match (&self.completion, self.failure.take()) {
            (Some(completion), _) => Report::done(completion.failed),
            (None, Some(failure)) => self.report.fail(&failure),
            (None, None) => Exit::Other,
        }
    }

    fn say_connected(&mut self, auth: u16, suite: Suite) {
        let Some((path, dtls)) = self.path.take() else { return };
        let dtls = match dtls {
            Dtls::V1_2 => "1.2",
            Dtls::V1_3 => "1.3",
        };
        let auth = match auth {
            1 => "LINK",
            2 => "CODE",
            AUTH_SAS => "SAS",
            4 => "PSK",
            _ => "RESUME",
        };
        self.report.say(&format!(
            "Connected to {} over UDP, DTLS {dtls}, end to end with ML-KEM-768 + X25519.",
            path.remote
        ));
        self.report.event(&Event::Connected {
            path,
            dtls: dtls.to_owned(),
            suite: suite.name().to_owned(),
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
        self.moved = progress.bytes_moved;
        if self.pauses > 0 {
            return;
        }
        let now = clock::now();
        let bytes = match self.side {
            Side::Sender => progress.bytes_durable,
            Side::Receiver => progress.bytes_moved.saturating_add(progress.bytes_resumed),
        };
        self.meter.read(now, bytes);
        // A stream's length is not known before its end, and so neither is the sum.
        let total = (progress.streams == 0).then_some(progress.bytes_total);
        let left = total.and_then(|total| self.meter.left(total.saturating_sub(bytes)));
        let state = State {
            bytes,
            total,
            files: progress.files_done,
            total_files: progress.files_total,
            rate: self.meter.rate(),
            left,
            limit: self.transfer.and_then(|id| self.node.endpoint.rate_limit(Some(id))),
        };
        self.report.progress(&state, now);
    }
}

/// The transfer that an event tells something of. An offer is answered whatever else
/// there is.
fn transfer_of(event: &Connected) -> Option<TransferId> {
    match event {
        Connected::Accepted { transfer, .. }
        | Connected::Paused { transfer, .. }
        | Connected::Resumed { transfer, .. }
        | Connected::FileDone { transfer, .. }
        | Connected::FileFailed { transfer, .. }
        | Connected::Completed { transfer, .. }
        | Connected::Ended { transfer, .. } => Some(*transfer),
        _ => None,
    }
}

/// Whether an error says that the connection is gone, and nothing about the
/// transfer.
fn is_loss(code: ErrorCode) -> bool {
    matches!(
        code,
        ErrorCode::TransportFailed | ErrorCode::IdleTimeout | ErrorCode::HandshakeTimeout
    )
}

/// Whether an error says that somebody does not want to go on.
fn is_final(code: ErrorCode) -> bool {
    matches!(code, ErrorCode::NoError | ErrorCode::Cancelled | ErrorCode::Declined)
}
