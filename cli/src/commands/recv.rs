//! `passel recv`: joins, shows the offer, asks, writes, and says what arrived.

use std::io::{BufRead, IsTerminal};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use passel_proto::crypto::{Secret32, SecretBytes};
use passel_proto::error::{Blame, Error, ErrorCode};
use passel_proto::escape::for_terminal;
use passel_proto::ids::{Role, TransferId};
use passel_proto::manifest::Manifest;
use passel_proto::signal::SignalSession;
use passel_proto::storage::StorageErrorKind;
use passel_rendezvous::messages::JoinRequest;
use tokio::sync::oneshot;
use url::Url;

use super::drive::{Drive, Side, Turn};
use super::entropy;
use super::interrupt::Interrupt;
use super::report::Report;
use crate::args::RecvArgs;
use crate::code::{Invitation, read_invitation};
use crate::events::Event;
use crate::exit::{Exit, Failure};
use crate::files::executor::Job;
use crate::files::sink::Sink;
use crate::node::{Node, signal_failure};
use crate::signaling::{self, Socket};
use crate::ui::listing::{ask, listing};
use crate::ui::summary::{Totals, received};

/// Runs the command.
pub(super) async fn run(args: RecvArgs) -> ExitCode {
    let mut report = Report::new(args.json);
    let interrupt = Interrupt::listen();
    match Box::pin(interrupt.or(join(&args))).await {
        Ok(node) => {
            report.event(&Event::Waiting);
            report.say("Joined. Waiting for the other side …");
            let drive = Drive::new(node, report, interrupt, Side::Receiver);
            Box::pin(Receiving { drive, args, offer: None, sink: None }.run()).await
        }
        Err(failure) => report.fail(&failure),
    }
}

/// Everything up to the moment from which the other side is waited for.
async fn join(args: &RecvArgs) -> Result<Node, Failure> {
    // An invitation works once, so it must not be spent on a slip.
    if args.out.exists() && !args.out.is_dir() {
        let out = args.out.to_string_lossy();
        return Err(Failure::new(
            Exit::Storage,
            format!("'{}' is not a directory", for_terminal(&out)),
            "Choose another place with --out.",
        ));
    }
    let invitation = invitation(args.invitation.clone()).await?;
    let mut entropy = entropy()?;
    let (server, request) = match &invitation {
        Invitation::Link { server, session, .. } => {
            let session = session.parse().map_err(|_| bad_link())?;
            (server.clone(), JoinRequest::Session(session))
        }
        Invitation::Code { nameplate, .. } => {
            let nameplate =
                u16::try_from(*nameplate).ok().and_then(|number| number.try_into().ok());
            let nameplate = nameplate.ok_or_else(bad_link)?;
            (known_server(args.server.clone())?, JoinRequest::Nameplate(nameplate))
        }
    };
    let joined = signaling::join(&server, request).await.map_err(|error| signal_failure(&error))?;
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
    };
    let session = session.map_err(|error| Failure::of_error(&error))?;
    let socket = Socket::connect(&server, joined.token).await;
    let socket = socket.map_err(|error| signal_failure(&error))?;
    Node::start(Role::Initiator, session, socket, args.bind, &mut entropy)
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

/// Reads the invitation without holding up anything else.
async fn invitation(argument: Option<String>) -> Result<Invitation, Failure> {
    let read = on_thread(move || {
        let variable = RecvArgs::invitation_variable();
        let mut input = std::io::stdin().lock();
        let mut screen = std::io::stderr();
        let prompt = input.is_terminal().then_some(&mut screen as &mut dyn std::io::Write);
        read_invitation(argument.as_deref(), variable.as_deref(), &mut input, prompt)
    });
    let read = read.await.map_err(|_| bad_link())?;
    read.map_err(|error| Failure::new(Exit::Usage, error, "Ask the sender for the code or link."))
}

/// Runs `work` on a thread that may outlive the program's main part, because
/// nobody can interrupt a read from the terminal.
fn on_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> oneshot::Receiver<T> {
    let (done, result) = oneshot::channel();
    std::thread::spawn(move || {
        // Whoever waited may be gone.
        let _ = done.send(work());
    });
    result
}

/// An offer that the user is being asked about.
struct Offer {
    transfer: TransferId,
    manifest: Arc<Manifest>,
    answer: oneshot::Receiver<bool>,
}

/// What is remembered of the sink for the summary.
struct Arrived {
    renamed: std::collections::BTreeMap<String, String>,
    manifest: Arc<Manifest>,
}

struct Receiving {
    drive: Drive,
    args: RecvArgs,
    offer: Option<Offer>,
    sink: Option<Arrived>,
}

impl Receiving {
    async fn run(mut self) -> ExitCode {
        let exit = loop {
            match self.drive.next().await {
                Turn::Established => {}
                Turn::Offered(transfer) => self.on_offer(transfer),
                Turn::Tick => self.look_for_answer(),
                Turn::Completed(completion, time) => {
                    let totals = Totals::of(&completion, time);
                    self.say_completed(&totals, &completion.receipt);
                }
                Turn::Over(exit) => break exit,
            }
        };
        Box::pin(self.drive.node.finish()).await;
        exit
    }

    /// Shows the whole list before anything is accepted (`TR-LIST-FIRST`).
    fn on_offer(&mut self, transfer: TransferId) {
        let endpoint = &mut self.drive.node.endpoint;
        let Some(manifest) = endpoint.manifest(transfer).cloned() else { return };
        if self.offer.is_some() || self.sink.is_some() {
            let _ = endpoint.reject(Instant::now(), transfer, declined());
            return;
        }
        let note = endpoint.note(transfer).filter(|note| !note.is_empty()).map(str::to_owned);
        self.drive.follow(transfer);
        self.drive.report.event(&Event::offer(&manifest, note.clone()));
        let (answer_to, answer) = oneshot::channel();
        if self.args.yes {
            self.drive.report.say(&listing(&manifest, note.as_deref()));
            let _ = answer_to.send(true);
        } else {
            let (shown, json) = (Arc::clone(&manifest), self.args.json);
            std::thread::spawn(move || {
                let accepted = question(&shown, note.as_deref(), json);
                let _ = answer_to.send(accepted);
            });
        }
        self.offer = Some(Offer { transfer, manifest, answer });
        self.look_for_answer();
    }

    fn look_for_answer(&mut self) {
        let Some(offer) = &mut self.offer else { return };
        let accepted = match offer.answer.try_recv() {
            Ok(accepted) => accepted,
            Err(oneshot::error::TryRecvError::Empty) => return,
            Err(oneshot::error::TryRecvError::Closed) => false,
        };
        let Some(offer) = self.offer.take() else { return };
        if accepted {
            self.accept(offer.transfer, offer.manifest);
        } else {
            self.reject(offer.transfer, declined());
        }
        self.drive.node.flush();
    }

    fn accept(&mut self, transfer: TransferId, manifest: Arc<Manifest>) {
        let sink = match Sink::create(&self.args.out, Arc::clone(&manifest)) {
            Ok(sink) => sink,
            Err(error) => {
                let code = match error.kind {
                    StorageErrorKind::NoSpace => ErrorCode::NoSpace,
                    _ => ErrorCode::StorageFailed,
                };
                return self.reject(transfer, Error::local(code, error.text));
            }
        };
        let renamed = sink.renamed().clone();
        let started = self.drive.node.start_storage(Job::Receive(Box::new(sink)));
        let accepted = started.and_then(|()| {
            let endpoint = &mut self.drive.node.endpoint;
            endpoint
                .accept(Instant::now(), transfer, None)
                .map_err(|error| Failure::of_error(&error))
        });
        match accepted {
            Ok(()) => self.sink = Some(Arrived { renamed, manifest }),
            Err(failure) => {
                let error = Error::local(ErrorCode::Internal, "the offer could not be accepted");
                self.drive.fail(failure, error);
            }
        }
    }

    fn reject(&mut self, transfer: TransferId, error: Error) {
        // An offer that is gone meanwhile needs no answer.
        let _ = self.drive.node.endpoint.reject(Instant::now(), transfer, error);
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
        let names = self.manifest.iter().filter(|(_, entry)| entry.path.parent().is_none());
        names
            .map(|(_, entry)| {
                let name = entry.path.as_str();
                let used = self.renamed.get(name).map_or(name, String::as_str);
                PathBuf::from(out).join(used).to_string_lossy().into_owned()
            })
            .collect()
    }
}

/// What a person answers, or a program that reads `offer` from `--json`.
fn question(manifest: &Manifest, note: Option<&str>, json: bool) -> bool {
    let mut input = std::io::stdin().lock();
    if json {
        let mut line = String::new();
        let read = std::io::Read::take(&mut input, 256).read_line(&mut line);
        return read.is_ok() && matches!(line.trim(), "y" | "yes");
    }
    ask(manifest, note, &mut input, &mut std::io::stderr()).unwrap_or(false)
}

/// The error of somebody who does not want an offer.
pub(super) fn declined() -> Error {
    Error::new(Blame::Circumstance, ErrorCode::Declined, "")
}
