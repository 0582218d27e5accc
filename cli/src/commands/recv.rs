//! `passel recv`: joins, shows the offer, asks, writes, and says what arrived.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use passel_proto::crypto::{Secret32, SecretBytes};
use passel_proto::error::{Blame, Error, ErrorCode};
use passel_proto::escape::for_terminal;
use passel_proto::ids::{Role, TransferId};
use passel_proto::manifest::Manifest;
use passel_proto::policy::{Choice, Policy};
use passel_proto::ranges::RangeSet;
use passel_proto::signal::{SignalSecret, SignalSession};
use passel_proto::storage::{Have, StorageError, StorageErrorKind};
use passel_rendezvous::messages::JoinRequest;
use tokio::sync::oneshot;
use url::Url;

use super::again::Again;
use super::answer::{self, Answer, Asking};
use super::book::{Book, Offered, Origin, confirm};
use super::continuing::{self, Found};
use super::drive::{Drive, Side, Turn};
use super::interrupt::Interrupt;
use super::report::Report;
use super::{entropy, on_thread};
use crate::args::RecvArgs;
use crate::clock;
use crate::code::{Bare, Invitation, Place};
use crate::events::{Event, FileStatus, MAX_LISTED};
use crate::exit::{Exit, Failure};
use crate::files::executor::Job;
use crate::files::scan::{Scan, Stop};
use crate::files::screen::Screen;
use crate::files::sink::Sink;
use crate::files::stale::remove_stale;
use crate::journal::StateDir;
use crate::journal::received;
use crate::machine::Machine;
use crate::node::{Node, signal_failure};
use crate::signaling::{self, Socket};
use crate::taking::{Patterns, Pick, Taking};
use crate::ui::summary::{Totals, received};

/// Runs the command.
pub(super) async fn run<M: Machine>(machine: &M, args: RecvArgs) -> Exit {
    let mut report = Report::new(machine, args.json);
    let interrupt = Interrupt::listen(machine);
    let state = continuing::state(machine, &mut report);
    let found = Box::pin(interrupt.or(continuing::find(&args, state.as_ref(), &mut report))).await;
    let begun = match found {
        Ok(Found::New(invitation)) => {
            Box::pin(interrupt.or(join(machine, &args, invitation, state.as_ref(), &mut report)))
                .await
        }
        Ok(Found::Interrupted(book)) => {
            return Box::pin(take_up(machine, args, *book, state, report, interrupt)).await;
        }
        Err(failure) => Err(failure),
    };
    match begun {
        Ok((node, origin)) => {
            report.event(&Event::Waiting);
            report.say("Joined. Waiting for the other side …");
            let drive = Drive::new(node, report, interrupt, Side::Receiver);
            Box::pin(Receiving::new(machine, drive, args, state, Some(origin), None).run(None))
                .await
        }
        Err(failure) => report.fail(&failure),
    }
}

/// Continues what an earlier process began.
async fn take_up<M: Machine>(
    machine: &M,
    args: RecvArgs,
    book: Book,
    state: Option<StateDir>,
    mut report: Report,
    interrupt: Interrupt,
) -> Exit {
    report.event(&Event::Waiting);
    let title = for_terminal(&book.transfer.title);
    let is_over = book.transfer.completed.is_some();
    report.say(&if is_over {
        format!("{title} was received completely. Looking whether the sender knows …")
    } else {
        format!("Continuing with {title}. Waiting for the sender …")
    });
    let begun = match book.again(machine, &args) {
        Ok(again) => {
            let again = again.at_once();
            let mut again = if is_over { again.briefly() } else { again };
            let why = Failure::new(Exit::Lost, "the sender did not come", "");
            let kept = &book.transfer.kept;
            let node = Box::pin(again.node(kept, why, &mut report, &interrupt)).await;
            node.map(|node| (node, again))
        }
        Err(failure) => Err(failure),
    };
    match begun {
        Ok((node, again)) => {
            let waits_until = again.waits_until();
            let drive = Drive::new(node, report, interrupt, Side::Receiver).taking_up(waits_until);
            Box::pin(Receiving::new(machine, drive, args, state, None, Some(book)).run(Some(again)))
                .await
        }
        Err(failure) => report.fail(&continuing::kept(&book.transfer, failure)),
    }
}

/// Everything up to the moment from which the other side is waited for.
async fn join<M: Machine>(
    machine: &M,
    args: &RecvArgs,
    invitation: Invitation,
    state: Option<&StateDir>,
    report: &mut Report,
) -> Result<(Node<M>, Origin), Failure> {
    // An invitation works once, so it must not be spent on a slip.
    if args.out.exists() && !args.out.is_dir() {
        let out = args.out.to_string_lossy();
        return Err(Failure::new(
            Exit::Storage,
            format!("'{}' is not a directory", for_terminal(&out)),
            "Choose another place with --out.",
        ));
    }
    answer::patterns(args)?;
    remove_stale(&args.out, SystemTime::now(), &|name| {
        state.is_some_and(|state| received::is_needed(state, name))
    });
    let key = key(&invitation, args.psk_file.as_deref(), report)?;
    let mut entropy = entropy(machine)?;
    let (server, request) = match &invitation {
        Invitation::Link { server, session, .. }
        | Invitation::Bare { at: Place::Session { server, session }, .. } => {
            let session = session.parse().map_err(|_| bad_link())?;
            (server.clone(), JoinRequest::Session(session))
        }
        Invitation::Code { nameplate, .. }
        | Invitation::Bare { at: Place::Nameplate(nameplate), .. } => {
            let nameplate =
                u16::try_from(*nameplate).ok().and_then(|number| number.try_into().ok());
            let nameplate = nameplate.ok_or_else(bad_link)?;
            (known_server(args.server.clone())?, JoinRequest::Nameplate(nameplate))
        }
    };
    let joined =
        signaling::join(machine, &server, request).await.map_err(|error| signal_failure(&error))?;
    let route = joined.session.to_bytes();
    let session = match &invitation {
        Invitation::Link { secret, .. } => {
            let secret = Secret32::new(*secret.expose());
            SignalSession::joiner_link(&secret, &route, &mut entropy)
        }
        Invitation::Code { words, .. } => {
            let words = SecretBytes::new(words.as_bytes().to_vec());
            SignalSession::joiner_code(&words, &route, &mut entropy)
        }
        Invitation::Bare { .. } => match key {
            Some(key) => {
                SignalSession::joiner_secret(&SignalSecret::Psk(key), &route, &mut entropy)
            }
            None => SignalSession::joiner_sas(&route, &mut entropy),
        },
    };
    let session = session.map_err(|error| Failure::of_error(&error))?;
    let socket = Socket::connect(machine, &server, joined.token).await;
    let socket = socket.map_err(|error| signal_failure(&error))?;
    let node = Node::start(machine, Role::Initiator, session, socket, args.net, &mut entropy)?;
    Ok((node, Origin::of(&invitation, server)))
}

/// The key that the invitation is for, if it is for one.
fn key(
    invitation: &Invitation,
    file: Option<&std::path::Path>,
    report: &mut Report,
) -> Result<Option<Secret32>, Failure> {
    let needed = matches!(invitation, Invitation::Bare { kind: Bare::Psk, .. });
    match (needed, file) {
        (false, None) => Ok(None),
        (true, Some(file)) => {
            let (key, warning) = super::psk::load(file)?;
            if let Some(warning) = warning {
                report.warn(&warning);
            }
            Ok(Some(key))
        }
        (true, None) => Err(Failure::new(
            Exit::Usage,
            "this code or link is for a key that both sides have",
            "Name the file with the key with --psk-file.",
        )),
        (false, Some(_)) => Err(Failure::new(
            Exit::Usage,
            "this code or link is not for a key of your own",
            "Leave --psk-file out, or ask the sender to use it too.",
        )),
    }
}

fn known_server(server: Option<Url>) -> Result<Url, Failure> {
    server.ok_or_else(|| {
        Failure::new(
            Exit::Usage,
            "a code needs the server that it was made at",
            "Add --server URL or set PASSEL_SERVER, or use the link, which names its server.",
        )
    })
}

fn bad_link() -> Failure {
    Failure::new(
        Exit::Authentication,
        "the code or link is not of the form that 'passel send' prints",
        "Copy all of it and try again.",
    )
}

/// An offer that the user is being asked about.
struct Offer {
    transfer: TransferId,
    manifest: Arc<Manifest>,
    answer: oneshot::Receiver<Answer>,
}

/// What is remembered of the sink for the summary.
struct Arrived {
    renamed: std::collections::BTreeMap<String, String>,
    manifest: Arc<Manifest>,
    choice: Choice,
}

struct Receiving<M: Machine> {
    machine: M,
    drive: Drive<M>,
    args: RecvArgs,
    state: Option<StateDir>,
    /// Of the invitation, if there was one.
    origin: Option<Origin>,
    offer: Option<Offer>,
    sink: Option<Arrived>,
    /// What is kept of the transfer, once it is accepted.
    book: Option<Book>,
    /// Ends the scanner when nobody waits for it any more.
    stop: Stop,
}

impl<M: Machine> Receiving<M> {
    fn new(
        machine: &M,
        mut drive: Drive<M>,
        args: RecvArgs,
        state: Option<StateDir>,
        origin: Option<Origin>,
        book: Option<Book>,
    ) -> Self {
        if !machine.has_input() {
            drive.leave_input_alone();
        }
        let (machine, stop) = (machine.clone(), Stop::default());
        Self { machine, drive, args, state, origin, offer: None, sink: None, book, stop }
    }

    /// One connection after another, until the transfer is over.
    async fn run(mut self, mut again: Option<Again<M>>) -> Exit {
        loop {
            let ended = self.connection(again.as_mut()).await;
            // The storage thread is waited for, and may be waiting for the scanner.
            std::mem::take(&mut self.stop).stop();
            let lost = match ended {
                Ok(exit) => {
                    Box::pin(self.drive.node.finish()).await;
                    return exit;
                }
                Err(lost) => lost,
            };
            let Some(book) = &self.book else {
                return self.drive.report.fail(&lost);
            };
            let found = match again.take().map_or_else(|| book.again(&self.machine, &self.args), Ok)
            {
                Ok(found) => again.insert(found),
                Err(failure) => return self.drive.report.fail(&failure),
            };
            let (report, interrupt) = self.drive.voice();
            let kept = &book.transfer.kept;
            match Box::pin(found.node(kept, lost, report, interrupt)).await {
                Ok(node) => {
                    let (drive, old) = self.drive.again(node, found.waits_until());
                    self.drive = drive;
                    // What it still writes is read by the next one.
                    Box::pin(old.finish()).await;
                    self.offer = None;
                    self.sink = None;
                }
                Err(failure) => {
                    let failure = continuing::kept(&book.transfer, failure);
                    return self.drive.report.fail(&failure);
                }
            }
        }
    }

    /// Until the connection ends, and how: with the whole program, or lost.
    async fn connection(&mut self, mut again: Option<&mut Again<M>>) -> Result<Exit, Failure> {
        loop {
            match self.drive.next().await {
                Turn::Established => {
                    if let Some(book) = &mut self.book {
                        book.renew(&mut self.drive.node.endpoint);
                        self.drive.node.flush();
                    }
                }
                Turn::Accepted => {
                    if let Some(again) = &mut again {
                        again.succeeded();
                    }
                }
                Turn::Stored => {
                    if let Some(book) = &mut self.book {
                        book.settle(&self.drive.node.endpoint);
                    }
                }
                Turn::Lost(failure) => return Err(failure),
                Turn::Offered(transfer) => self.on_offer(transfer),
                Turn::Tick => self.look_for_answer(),
                Turn::Completed(completion, time) => {
                    let totals = Totals::of(&completion, time);
                    self.say_completed(&totals, &completion.receipt);
                }
                Turn::Over(exit) => return Ok(exit),
            }
        }
    }

    /// What was accepted of an offer in an earlier connection, if it is the same.
    fn accepted_before(&self, transfer: TransferId, manifest: &Arc<Manifest>) -> Option<Choice> {
        let token = self.drive.node.endpoint.token(transfer)?.0;
        let known = &self.book.as_ref()?.transfer;
        if (known.token, known.manifest) != (token, manifest.digest()) {
            return None;
        }
        let places = known.selection.as_ref().map_or(Pick::All, |ranges| {
            let mut places = RangeSet::default();
            for &(first, count) in ranges {
                places.insert(first.into()..u64::from(first) + u64::from(count));
            }
            Pick::Places(places)
        });
        let taking = Taking {
            manifest: Arc::clone(manifest),
            policy: Policy::unlimited(),
            patterns: Patterns::default(),
        };
        Some(taking.choose(&places))
    }

    /// Shows the whole list before anything is accepted (`TR-LIST-FIRST`).
    fn on_offer(&mut self, transfer: TransferId) {
        if self.drive.has_transfer() {
            return self.reject(transfer, declined());
        }
        let endpoint = &self.drive.node.endpoint;
        let Some(manifest) = endpoint.manifest(transfer).cloned() else { return };
        let note = endpoint.note(transfer).filter(|note| !note.is_empty()).map(str::to_owned);
        self.drive.follow(transfer);
        self.drive.report.event(&Event::offer(&manifest, note.clone()));
        let taking = match answer::taking(&self.args, &manifest) {
            Ok(taking) => taking,
            Err(failure) => return self.drive.fail(failure, declined()),
        };
        let asking = match self.accepted_before(transfer, &manifest) {
            Some(choice) => Asking::Done(Ok(choice)),
            None => answer::begin(taking, note, &self.args, &mut self.drive.report),
        };
        let answer = match asking {
            Asking::Done(answer) => {
                let (answer_to, done) = oneshot::channel();
                let _ = answer_to.send(answer);
                done
            }
            Asking::Wait(ask) => on_thread(ask),
        };
        self.offer = Some(Offer { transfer, manifest, answer });
        self.look_for_answer();
    }

    fn look_for_answer(&mut self) {
        let Some(offer) = &mut self.offer else { return };
        let answer = match offer.answer.try_recv() {
            Ok(answer) => answer,
            Err(oneshot::error::TryRecvError::Empty) => return,
            Err(oneshot::error::TryRecvError::Closed) => Err(declined()),
        };
        let Some(offer) = self.offer.take() else { return };
        match answer {
            Ok(choice) => self.accept(offer.transfer, offer.manifest, choice),
            Err(error) => self.reject(offer.transfer, error),
        }
        self.drive.node.flush();
    }

    fn accept(&mut self, transfer: TransferId, manifest: Arc<Manifest>, choice: Choice) {
        let (sink, have) = match self.sink(transfer, &manifest, &choice) {
            Ok(made) => made,
            Err(error) => {
                let code = match error.kind {
                    StorageErrorKind::NoSpace => ErrorCode::NoSpace,
                    _ => ErrorCode::StorageFailed,
                };
                return self.reject(transfer, Error::local(code, error.text));
            }
        };
        let sink = sink.screened(self.screen(&choice));
        let renamed = sink.renamed().clone();
        let started = self.drive.node.start_storage(transfer, Job::Receive(Box::new(sink)));
        let accepted = started.and_then(|()| {
            let endpoint = &mut self.drive.node.endpoint;
            endpoint
                .accept_having(clock::now(), transfer, choice.selection(), &have)
                .map_err(|error| Failure::of_error(&error))
        });
        match accepted {
            Ok(()) => {
                self.say_skipped(&manifest, &choice);
                self.sink = Some(Arrived { renamed, manifest, choice });
                if self.book.is_some() {
                    self.drive.survives_loss();
                }
            }
            // The other side ended it meanwhile: the event that says so is on its way.
            Err(failure) if failure.blame == Some(Blame::Circumstance) => {}
            Err(failure) => {
                let error = Error::local(ErrorCode::Internal, "the offer could not be accepted");
                self.drive.fail(failure, error);
            }
        }
    }

    /// Where the files go, and what is there of them already.
    fn sink(
        &mut self,
        transfer: TransferId,
        manifest: &Arc<Manifest>,
        choice: &Choice,
    ) -> Result<(Sink, Vec<Have>), StorageError> {
        let endpoint = &mut self.drive.node.endpoint;
        let token = endpoint.token(transfer).map_or([0; 16], |token| token.0);
        if let Some(book) = self.book.as_mut().filter(|book| book.transfer.token == token) {
            return book.resume(manifest, choice);
        }
        let Some(origin) = &self.origin else {
            return Ok((Sink::create(&self.args.out, Arc::clone(manifest))?, Vec::new()));
        };
        let note = endpoint.note(transfer).unwrap_or_default();
        let offer = Offered { endpoint, token, note, origin, choice };
        let (sink, book) = Book::begin(self.state.as_ref(), &self.args.out, manifest, &offer)?;
        match book {
            Ok(book) => {
                confirm(&mut self.drive.node.endpoint);
                self.book = Some(book);
            }
            Err(why) => self.drive.report.warn(&format!(
                "this transfer cannot be continued after an interruption: {}",
                for_terminal(&why)
            )),
        }
        Ok((sink, Vec::new()))
    }

    /// What is looked for in files before they get their names.
    fn screen(&self, choice: &Choice) -> Screen {
        let policy = self.args.taking.policy(!self.args.yes);
        let left = policy.max_total.map(|limit| limit.saturating_sub(choice.bytes()));
        let scan = self.args.taking.scan.clone().map(|scanner| Scan {
            scanner,
            limit: self.args.taking.scan_timeout(),
            stop: self.stop.clone(),
        });
        Screen { types: policy.types, max_file: policy.max_file, max_unknown: left, scan }
    }

    /// Tells a program of the files that are not taken.
    fn say_skipped(&mut self, manifest: &Manifest, choice: &Choice) {
        if !self.args.json {
            return;
        }
        let skipped = manifest
            .iter()
            .filter(|(index, entry)| !entry.is_directory() && !choice.contains(*index));
        for (_, entry) in skipped.take(MAX_LISTED) {
            let path = entry.path.as_str().to_owned();
            self.drive.report.event(&Event::File { path, status: FileStatus::Skipped });
        }
    }

    fn reject(&mut self, transfer: TransferId, error: Error) {
        // An offer that is gone meanwhile needs no answer.
        let _ = self.drive.node.endpoint.reject(clock::now(), transfer, error);
        self.drive.node.flush();
    }

    fn say_completed(&mut self, totals: &Totals, receipt: &[u8; 32]) {
        self.drive.report.end_progress();
        if let Some(arrived) = &self.sink {
            let text = received(totals, &self.args.out, &arrived.renamed);
            self.drive.report.say(&text);
            for path in arrived.top_level(&self.args.out) {
                self.drive.report.event(&Event::Received { path });
            }
        }
        self.drive.report.event(&super::send::completed(totals, receipt));
        self.drive.node.flush();
    }
}

impl Arrived {
    /// Where the entries of the top level lie now.
    fn top_level(&self, out: &std::path::Path) -> Vec<String> {
        let taken = self.manifest.iter().filter(|(index, _)| self.choice.contains(*index));
        taken
            .filter(|(_, entry)| entry.path.parent().is_none())
            .map(|(_, entry)| {
                let name = entry.path.as_str();
                let used = self.renamed.get(name).map_or(name, String::as_str);
                PathBuf::from(out).join(used)
            })
            // What failed has no final name.
            .filter(|path| path.symlink_metadata().is_ok())
            .map(|path| path.to_string_lossy().into_owned())
            .collect()
    }
}

/// The error of somebody who does not want an offer.
pub(super) fn declined() -> Error {
    Error::new(Blame::Circumstance, ErrorCode::Declined, "")
}
