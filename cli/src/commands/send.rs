//! `passel send`: looks at the files, makes an invitation, waits for whoever
//! takes it, offers, sends, and waits for the receipt.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::sync::Arc;

use passel_proto::crypto::{Entropy, Secret32, SecretBytes};
use passel_proto::ids::Role;
use passel_proto::signal::SignalSession;
use passel_rendezvous::shell::{Rendezvous as Server, ShellConfig, router, serve_router};
use tokio::net::TcpListener;
use url::Url;
use zeroize::Zeroizing;

use super::drive::{Drive, Side, Turn};
use super::entropy;
use super::interrupt::Interrupt;
use super::report::Report;
use crate::args::{Rendezvous, SendArgs};
use crate::code::{Invitation, LinkSecret, words_from};
use crate::events::Event;
use crate::exit::{Exit, Failure};
use crate::files::executor::Job;
use crate::files::walk::{Sources, walk};
use crate::node::{Node, signal_failure};
use crate::signaling::{self, Socket};
use crate::ui::invite::{Invite, invite};
use crate::ui::summary::{Totals, sent};

/// Runs the command.
pub(super) async fn run(args: SendArgs) -> ExitCode {
    let mut report = Report::new(args.json);
    let interrupt = Interrupt::listen();
    let prepared = Box::pin(interrupt.or(prepare(&args, &mut report))).await;
    match prepared {
        Ok((node, sources)) => {
            let drive = Drive::new(node, report, interrupt, Side::Sender);
            Box::pin(transfer(drive, sources, args.note.as_deref())).await
        }
        Err(failure) => report.fail(&failure),
    }
}

/// Everything up to the moment from which the other side is waited for.
async fn prepare(args: &SendArgs, report: &mut Report) -> Result<(Node, Arc<Sources>), Failure> {
    let paths = args.paths.clone();
    let sources = tokio::task::spawn_blocking(move || walk(&paths)).await;
    let sources = sources.map_err(|_| internal("looking at the files failed"))?;
    let sources = Arc::new(sources.map_err(|error| error.to_failure())?);
    for warning in sources.warnings() {
        report.warn(warning);
    }
    let mut entropy = entropy()?;
    let meeting = meet(args).await?;
    let created = signaling::create(&meeting.ours, meeting.wants_code).await;
    let created = created.map_err(|error| signal_failure(&error))?;

    let secret = LinkSecret::new(entropy.array());
    let link = Invitation::Link {
        server: meeting.theirs.clone(),
        session: created.session.to_string(),
        secret: secret.clone(),
    };
    let code = created.nameplate.map(|nameplate| Invitation::Code {
        nameplate: nameplate.get().into(),
        words: words_from(entropy.array()),
    });
    let session =
        signal_session(&secret, code.as_ref(), &created.session.to_bytes(), &mut entropy)?;
    let socket = Socket::connect(&meeting.ours, created.token).await;
    let socket = socket.map_err(|error| signal_failure(&error))?;
    let node = Node::start(Role::Responder, session, socket, args.bind, &mut entropy)?;

    let link = link.to_text();
    let code = code.map(|code| code.to_text());
    let code = code.as_ref().map(|code| code.as_str());
    report.event(&Event::Invite { link: link.to_string(), code: code.map(str::to_owned) });
    report.event(&Event::Waiting);
    let server = meeting.theirs.as_str();
    let shown = Invite { code, link: &link, server: Some(server) };
    let text = Zeroizing::new(invite(&shown, report.style));
    report.say(&text);
    report.say("Waiting for the other side. Ctrl-C ends the invitation.");
    Ok((node, sources))
}

/// Where the two sides meet.
struct Meeting {
    /// The server, as this side reaches it.
    ours: Url,
    /// The server, as the other side reaches it.
    theirs: Url,
    /// Whether others can find the server without a link, so that a code works.
    wants_code: bool,
}

async fn meet(args: &SendArgs) -> Result<Meeting, Failure> {
    match args.rendezvous() {
        Rendezvous::Server(url) => Ok(Meeting { ours: url.clone(), theirs: url, wants_code: true }),
        Rendezvous::Embedded(address) => embed(address, args.bind).await,
    }
}

/// Starts a rendezvous in this process.
async fn embed(address: SocketAddr, bind: Option<IpAddr>) -> Result<Meeting, Failure> {
    let refused = |error: std::io::Error| {
        Failure::new(
            Exit::Server,
            format!("the rendezvous cannot listen at {address}: {error}"),
            "Choose another address with --listen, or another server with --server.",
        )
    };
    let listener = TcpListener::bind(address).await.map_err(refused)?;
    let local = listener.local_addr().map_err(refused)?;
    let config = ShellConfig::default();
    let server = Server::start(config.clone()).map_err(refused)?;
    let routes = router(&server);
    tokio::spawn(async move {
        serve_router(listener, routes, &config, std::future::pending()).await;
        server.close_sockets();
    });
    let (ours, theirs) = if local.ip().is_unspecified() {
        (IpAddr::V4(Ipv4Addr::LOCALHOST), bind.unwrap_or_else(own_address))
    } else {
        (local.ip(), local.ip())
    };
    let url = |ip: IpAddr| {
        let address = SocketAddr::new(ip, local.port());
        Url::parse(&format!("http://{address}/")).map_err(|_| internal("an address makes no URL"))
    };
    Ok(Meeting { ours: url(ours)?, theirs: url(theirs)?, wants_code: false })
}

/// The address at which others on the same network reach this computer.
fn own_address() -> IpAddr {
    let interfaces = if_addrs::get_if_addrs().unwrap_or_default();
    let mut addresses: Vec<IpAddr> = interfaces
        .iter()
        .map(if_addrs::Interface::ip)
        .filter(|ip| match ip {
            IpAddr::V4(ip) => !ip.is_link_local() && !ip.is_loopback(),
            IpAddr::V6(ip) => !ip.is_unicast_link_local() && !ip.is_loopback(),
        })
        .collect();
    addresses.sort_by_key(IpAddr::is_ipv6);
    addresses.first().copied().unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST))
}

fn signal_session(
    link: &LinkSecret,
    code: Option<&Invitation>,
    route: &[u8],
    entropy: &mut Entropy,
) -> Result<SignalSession, Failure> {
    let words = match code {
        Some(Invitation::Code { words, .. }) => Some(SecretBytes::new(words.as_bytes().to_vec())),
        _ => None,
    };
    let link = Secret32::new(*link.expose());
    SignalSession::creator(Some(link), words.as_ref(), route, entropy)
        .map_err(|error| Failure::of_error(&error))
}

/// Everything from the other side's arrival on.
async fn transfer(mut drive: Drive, sources: Arc<Sources>, note: Option<&str>) -> ExitCode {
    let exit = loop {
        match drive.next().await {
            Turn::Established => offer(&mut drive, &sources, note.unwrap_or_default()),
            Turn::Completed(completion, time) => {
                let totals = Totals::of(&completion, time);
                drive.report.end_progress();
                let text = sent(&totals, sources.warnings());
                drive.report.say(&text);
                drive.report.event(&completed(&totals, &completion.receipt));
                drive.close(None);
            }
            Turn::Over(exit) => break exit,
            Turn::Offered(id) => {
                // `send` takes nothing.
                let error = super::recv::declined();
                let _ = drive.node.endpoint.reject(std::time::Instant::now(), id, error);
            }
            Turn::Tick => {}
        }
    };
    Box::pin(drive.node.finish()).await;
    exit
}

fn offer(drive: &mut Drive, sources: &Arc<Sources>, note: &str) {
    let manifest = Arc::clone(sources.manifest());
    drive
        .report
        .event(&Event::offer(&manifest, Some(note.to_owned()).filter(|note| !note.is_empty())));
    let offered = drive.node.start_storage(Job::Send(Arc::clone(sources))).and_then(|()| {
        let now = std::time::Instant::now();
        drive.node.endpoint.offer(now, manifest, note).map_err(|error| Failure::of_error(&error))
    });
    match offered {
        Ok(transfer) => {
            drive.follow(transfer);
            drive.report.say("Offered. Waiting for the other side to accept …");
        }
        Err(failure) => {
            let error = passel_proto::error::Error::local(
                passel_proto::error::ErrorCode::Internal,
                "the offer could not be made",
            );
            drive.fail(failure, error);
        }
    }
    drive.node.flush();
}

/// The last event of a transfer that went well.
pub(super) fn completed(totals: &Totals, receipt: &[u8; 32]) -> Event {
    let receipt = receipt.iter().map(|byte| format!("{byte:02x}")).collect();
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
