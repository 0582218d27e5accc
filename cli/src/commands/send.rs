//! `passel send`: looks at the files, makes an invitation, waits for whoever
//! takes it, offers, sends, and waits for the receipt.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use passel_proto::error::{Blame, Error, ErrorCode};
use passel_proto::ids::Role;
use passel_rendezvous::shell::{Listener, Rendezvous as Server, ShellConfig, router, serve_router};
use url::Url;
use zeroize::Zeroizing;

use super::again::Again;
use super::drive::{Drive, Side, Turn};
use super::entropy;
use super::interrupt::Interrupt;
use super::inviting::{Invited, Shared};
use super::keeping::{Keeping, kept_on};
use super::report::Report;
use crate::args::{Rendezvous, SendArgs};
use crate::events::Event;
use crate::exit::{Exit, Failure};
use crate::files::executor::Job;
use crate::files::walk::{STANDARD_INPUT, STANDARD_INPUT_NAME, Sources, walk_named};
use crate::hex::hex;
use crate::journal::sent::Place;
use crate::machine::Machine;
use crate::node::{Node, signal_failure};
use crate::signaling::{self, Socket};
use crate::ui::invite::{Invite, invite};
use crate::ui::summary::{Totals, sent};

/// Runs the command.
pub(super) async fn run<M: Machine>(machine: &M, args: SendArgs) -> Exit {
    let mut report = Report::new(machine, args.json);
    let interrupt = Interrupt::listen(machine);
    let prepared = Box::pin(interrupt.or(prepare(machine, &args, &mut report))).await;
    let Prepared { sources, mut keeping, begun } = match prepared {
        Ok(prepared) => prepared,
        Err(failure) => return report.fail(&failure),
    };
    let (drive, ours, again) = match begun {
        Begun::Invited(node, ours) => {
            (Drive::new(*node, report, interrupt, Side::Sender), ours, None)
        }
        Begun::Kept(ours) => {
            let found =
                Box::pin(take_up(machine, &args, &ours, &keeping, &mut report, &interrupt)).await;
            match found {
                Ok((node, again)) => {
                    let drive = Drive::new(node, report, interrupt, Side::Sender);
                    (drive.taking_up(again.waits_until()), ours, Some(again))
                }
                Err(failure) => return report.fail(&kept_on(failure)),
            }
        }
    };
    let mut drive = drive;
    if sources.take_standard_input() || !machine.has_input() {
        drive.leave_input_alone();
    }
    let offering = Offering { machine, args: &args, sources: &sources, keeping: &mut keeping };
    Box::pin(transfer(drive, offering, ours, again)).await
}

/// What there is before the other side has come.
struct Prepared<M: Machine> {
    sources: Arc<Sources>,
    keeping: Keeping,
    begun: Begun<M>,
}

enum Begun<M: Machine> {
    /// A new invitation; also the server where it was made.
    Invited(Box<Node<M>>, Url),
    /// An earlier process has a receiver, who is to be met at this server.
    Kept(Url),
}

/// Meets the receiver of an earlier process.
async fn take_up<M: Machine>(
    machine: &M,
    args: &SendArgs,
    server: &Url,
    keeping: &Keeping,
    report: &mut Report,
    interrupt: &Interrupt,
) -> Result<(Node<M>, Again<M>), Failure> {
    report.event(&Event::Waiting);
    report.say("Continuing with the receiver of an earlier run. Waiting for it …");
    let mut again = keeping.again(machine, server.clone(), args)?.at_once();
    let kept = keeping.kept().ok_or_else(|| internal("the notes hold no secret"))?;
    let why = Failure::new(Exit::Lost, "the receiver did not come", "");
    let node = Box::pin(again.node(kept, why, report, interrupt)).await?;
    Ok((node, again))
}

/// Everything up to the moment from which the other side is waited for.
async fn prepare<M: Machine>(
    machine: &M,
    args: &SendArgs,
    report: &mut Report,
) -> Result<Prepared<M>, Failure> {
    let (paths, name) = (args.paths.clone(), args.name.clone());
    if name.is_some() && !paths.iter().any(|path| path.as_os_str() == STANDARD_INPUT) {
        return Err(Failure::new(
            Exit::Usage,
            "--name is the name of standard input, which is not sent",
            "Add '-' to send it, or leave --name out.",
        ));
    }
    let walked = move || walk_named(&paths, name.as_deref().unwrap_or(STANDARD_INPUT_NAME));
    let sources = tokio::task::spawn_blocking(walked).await;
    let sources = sources.map_err(|_| internal("looking at the files failed"))?;
    let sources = Arc::new(sources.map_err(|error| error.to_failure())?);
    for warning in sources.warnings() {
        report.warn(warning);
    }
    let shared = shared(args, report)?;
    let state = args.keep.and_then(|_| super::continuing::state(machine, report));
    let (mut keeping, earlier) = Keeping::find(args, state.as_ref(), &sources)?;
    let mut entropy = entropy(machine)?;
    let meeting = meet(machine, args, earlier.as_ref()).await?;
    if earlier.is_some() {
        return Ok(Prepared { sources, keeping, begun: Begun::Kept(meeting.ours) });
    }
    keeping.at(meeting.place);
    let created = signaling::create(machine, &meeting.ours, meeting.wants_code).await;
    let created = created.map_err(|error| signal_failure(&error))?;

    let Invited { link, code, session } =
        Invited::new(&shared, &meeting.theirs, &created, &mut entropy)
            .map_err(|error| Failure::of_error(&error))?;
    let socket = Socket::connect(machine, &meeting.ours, created.token).await;
    let socket = socket.map_err(|error| signal_failure(&error))?;
    let node = Node::start(machine, Role::Responder, session, socket, args.net, &mut entropy)?;

    let bare = link.bare();
    let link = link.to_text();
    let code = code.map(|code| code.to_text());
    let code = code.as_ref().map(|code| code.as_str());
    report.event(&Event::Invite { link: link.to_string(), code: code.map(str::to_owned) });
    report.event(&Event::Waiting);
    let server = meeting.theirs.as_str();
    let shown = Invite { code, link: &link, server: Some(server), bare };
    let text = Zeroizing::new(invite(&shown, report.style));
    report.say(&text);
    report.say("Waiting for the other side. Ctrl-C ends the invitation.");
    Ok(Prepared { sources, keeping, begun: Begun::Invited(Box::new(node), meeting.ours) })
}

/// Where the two sides meet.
struct Meeting {
    /// The server, as this side reaches it.
    ours: Url,
    /// The server, as the other side reaches it.
    theirs: Url,
    /// Whether others can find the server without a link, so that a code works.
    wants_code: bool,
    /// The same for a later process.
    place: Place,
}

/// What the two sides share, by the options.
fn shared(args: &SendArgs, report: &mut Report) -> Result<Shared, Failure> {
    let streams = args.paths.iter().any(|path| path.as_os_str() == STANDARD_INPUT);
    if args.sas && streams {
        return Err(Failure::new(
            Exit::Usage,
            "with --sas standard input is for the answer, and '-' would send it",
            "Send it with a code, a link or --psk-file instead.",
        ));
    }
    let Some(file) = &args.psk_file else {
        return Ok(if args.sas { Shared::Nothing } else { Shared::Invitation });
    };
    let (key, warning) = super::psk::load(file)?;
    if let Some(warning) = warning {
        report.warn(&warning);
    }
    Ok(Shared::Key(key))
}

/// Where an earlier process met its receiver, or else where the options say.
async fn meet(
    machine: &impl Machine,
    args: &SendArgs,
    earlier: Option<&Place>,
) -> Result<Meeting, Failure> {
    let damaged = || internal("the notes of an earlier run hold no place to meet");
    let place = match earlier {
        None => args.rendezvous(),
        Some(Place::Server(url)) => Rendezvous::Server(Url::parse(url).map_err(|_| damaged())?),
        Some(Place::Embedded(at)) => Rendezvous::Embedded(at.parse().map_err(|_| damaged())?),
    };
    match place {
        Rendezvous::Server(url) => {
            let place = Place::Server(url.to_string());
            Ok(Meeting { ours: url.clone(), theirs: url, wants_code: true, place })
        }
        Rendezvous::Embedded(address) => embed(machine, address, args.net.bind).await,
    }
}

/// Starts a rendezvous in this process.
async fn embed(
    machine: &impl Machine,
    address: SocketAddr,
    bind: Option<IpAddr>,
) -> Result<Meeting, Failure> {
    let refused = |error: std::io::Error| {
        Failure::new(
            Exit::Server,
            format!("the rendezvous cannot listen at {address}: {error}"),
            "Choose another address with --listen, or another server with --server.",
        )
    };
    let listener = machine.listen(address).await.map_err(refused)?;
    let local = listener.local_addr().map_err(refused)?;
    let config = ShellConfig::default();
    let server = Server::start(config.clone()).map_err(refused)?;
    let routes = router(&server);
    tokio::spawn(async move {
        serve_router(listener, routes, &config, std::future::pending()).await;
        server.close_sockets();
    });
    let (ours, theirs) = if local.ip().is_unspecified() {
        (IpAddr::V4(Ipv4Addr::LOCALHOST), bind.unwrap_or_else(|| own_address(machine)))
    } else {
        (local.ip(), local.ip())
    };
    let url = |ip: IpAddr| {
        let address = SocketAddr::new(ip, local.port());
        Url::parse(&format!("http://{address}/")).map_err(|_| internal("an address makes no URL"))
    };
    let place = Place::Embedded(local.to_string());
    Ok(Meeting { ours: url(ours)?, theirs: url(theirs)?, wants_code: false, place })
}

/// The address at which others on the same network reach this computer.
fn own_address(machine: &impl Machine) -> IpAddr {
    let mut addresses: Vec<IpAddr> = machine
        .addresses()
        .unwrap_or_default()
        .into_iter()
        .filter(|ip| match ip {
            IpAddr::V4(ip) => !ip.is_link_local() && !ip.is_loopback(),
            IpAddr::V6(ip) => !ip.is_unicast_link_local() && !ip.is_loopback(),
        })
        .collect();
    addresses.sort_by_key(IpAddr::is_ipv6);
    addresses.first().copied().unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST))
}

/// What is offered, over one connection after another.
struct Offering<'a, M> {
    machine: &'a M,
    args: &'a SendArgs,
    sources: &'a Arc<Sources>,
    keeping: &'a mut Keeping,
}

/// Everything from the other side's arrival on.
async fn transfer<M: Machine>(
    mut drive: Drive<M>,
    mut offering: Offering<'_, M>,
    server: Url,
    mut again: Option<Again<M>>,
) -> Exit {
    loop {
        let lost = match connection(&mut drive, &mut offering, again.as_mut()).await {
            Ok(exit) => {
                if !drive.is_kept() {
                    offering.keeping.remove();
                }
                Box::pin(drive.node.finish()).await;
                return exit;
            }
            Err(lost) => lost,
        };
        let (args, keeping) = (offering.args, &offering.keeping);
        let ready = keeping.kept().cloned().ok_or_else(|| lost.clone()).and_then(|kept| {
            let found = again
                .take()
                .map_or_else(|| keeping.again(offering.machine, server.clone(), args), Ok)?;
            Ok((kept, again.insert(found)))
        });
        let (report, interrupt) = drive.voice();
        let node = match ready {
            Ok((kept, again)) => {
                let node = Box::pin(again.node(&kept, lost, report, interrupt)).await;
                node.map(|node| (node, again.waits_until()))
            }
            Err(failure) => Err(failure),
        };
        match node {
            Ok((node, waits_until)) => {
                let (next, old) = drive.again(node, waits_until);
                drive = next;
                Box::pin(old.finish()).await;
            }
            Err(failure) if keeping.is_on_disk() => return report.fail(&kept_on(failure)),
            Err(failure) => return report.fail(&failure),
        }
    }
}

/// Until the connection ends, and how: with the whole program, or lost.
async fn connection<M: Machine>(
    drive: &mut Drive<M>,
    offering: &mut Offering<'_, M>,
    mut again: Option<&mut Again<M>>,
) -> Result<Exit, Failure> {
    let exit = loop {
        match drive.next().await {
            Turn::Established => offer(drive, offering),
            Turn::Accepted => {
                if offering.keeping.is_repeatable() {
                    drive.survives_loss();
                }
                if offering.keeping.is_on_disk() {
                    drive.waits_for_room();
                }
                if let Some(again) = &mut again {
                    again.succeeded();
                }
            }
            Turn::Stored => offering.keeping.settle(&drive.node.endpoint),
            Turn::Lost(failure) => return Err(failure),
            Turn::Completed(completion, time) => {
                let totals = Totals::of(&completion, time);
                drive.report.end_progress();
                let text = sent(&totals, offering.sources.warnings());
                drive.report.say(&text);
                drive.report.event(&completed(&totals, &completion.receipt));
                drive.close(None);
            }
            Turn::Over(exit) => break exit,
            Turn::Offered(id) => {
                // `send` takes nothing.
                let error = super::recv::declined();
                let _ = drive.node.endpoint.reject(crate::clock::now(), id, error);
                drive.node.flush();
            }
            Turn::Tick => {}
        }
    };
    Ok(exit)
}

fn offer<M: Machine>(drive: &mut Drive<M>, offering: &mut Offering<'_, M>) {
    let manifest = Arc::clone(offering.sources.manifest());
    let note = offering.keeping.note(offering.args).to_owned();
    let event = Event::offer(&manifest, Some(note.clone()).filter(|note| !note.is_empty()));
    let (now, endpoint) = (crate::clock::now(), &mut drive.node.endpoint);
    let offered = match offering.keeping.token() {
        None => endpoint.offer(now, manifest, &note),
        Some(token) => endpoint.offer_again(now, manifest, &note, token),
    };
    let offered = offered.map_err(|error| Failure::of_error(&error)).and_then(|transfer| {
        let job = Job::Send(Arc::clone(offering.sources));
        drive.node.start_storage(transfer, job).map(|()| transfer)
    });
    match offered {
        Ok(transfer) => {
            drive.report.event(&event);
            offering.keeping.offered(&mut drive.node.endpoint, transfer);
            if let Some(limit) = offering.args.limit {
                let now = crate::clock::now();
                // The transfer was offered just now, so that there is one to be limited.
                let _ = drive.node.endpoint.set_rate_limit(now, Some(transfer), Some(limit.get()));
            }
            drive.follow(transfer);
            drive.report.say("Offered. Waiting for the other side to accept …");
        }
        // The other side ended it meanwhile: the event that says so is on its way.
        Err(failure) if failure.blame == Some(Blame::Circumstance) => {}
        Err(failure) => {
            let error = Error::local(ErrorCode::Internal, "the offer could not be made");
            drive.fail(failure, error);
        }
    }
    drive.node.flush();
}

/// The last event of a transfer that went well.
pub(super) fn completed(totals: &Totals, receipt: &[u8; 32]) -> Event {
    let receipt = hex(receipt);
    Event::Completed {
        files: totals.files,
        bytes: totals.bytes,
        seconds: totals.time.as_secs_f64(),
        rate: crate::ui::format::average(totals.bytes, totals.time),
        receipt: Some(receipt),
    }
}

fn internal(text: &'static str) -> Failure {
    Failure::new(
        Exit::Other,
        text,
        "Try again; if it happens again, report it with the output of -v.",
    )
}
