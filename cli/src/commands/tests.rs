//! Whole commands on a computer in memory, with somebody at the other one who does what
//! this program never does and others may. Time is the runtime's, which is paused, so
//! that half a minute takes no time.

use std::ffi::OsString;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use passel_proto::connection::Event as Connected;
use passel_proto::error::{Blame, Error, ErrorCode};
use passel_proto::ids::{Role, TransferId};
use passel_sans_io::endpoint::EndpointEvent;
use tempfile::TempDir;
use tokio::time::{Instant, timeout};

use super::drive::LAST_WORD;
use super::inviting::{Invited, Shared};
use super::{entropy, run_on};
use crate::args::Cli;
use crate::clock;
use crate::exit::Exit;
use crate::files::executor::Job;
use crate::files::walk::{Sources, walk};
use crate::machine::Asker;
use crate::machine::memory::{Memory, NET};
use crate::node::Node;
use crate::signaling::{self, Socket};

/// Longest that anything may take here.
const HOUR: Duration = Duration::from_secs(3_600);

fn content() -> Vec<u8> {
    (0..300_000_u32).map(|i| (i % 251) as u8).collect()
}

/// A receiver, which is the program, and a sender that a test leads.
struct Scene {
    dir: TempDir,
    sender: Sender,
    sources: Arc<Sources>,
    receiver: Memory,
    link: String,
}

impl Scene {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        std::fs::write(&path, content()).unwrap();
        let sources = Arc::new(walk(&[path]).unwrap());
        let [computer, receiver] = Memory::two(dir.path());
        let server = computer.serve().await;
        let created = signaling::create(&computer, &server, false).await.unwrap();
        let mut entropy = entropy(&computer).unwrap();
        let invited = Invited::new(&Shared::Invitation, &server, &created, &mut entropy).unwrap();
        let link = invited.link.to_text().to_string();
        let (session, role) = (invited.session, Role::Responder);
        let socket = Socket::connect(&computer, &server, created.token).await.unwrap();
        let node = Node::start(&computer, role, session, socket, NET, &mut entropy).unwrap();
        Self { dir, sender: Sender { node: Box::new(node) }, sources, receiver, link }
    }

    /// The receiver's command, with what it exits with.
    fn recv(&self) -> impl Future<Output = Exit> + use<> {
        let words = ["passel", "recv", "--json", "--yes", "--lanes", "1", "--out"];
        let last = [self.dir.path().join("out").into_os_string(), OsString::from(&self.link)];
        let words = words.into_iter().map(OsString::from).chain(last);
        let (machine, cli) = (self.receiver.clone(), Cli::try_parse_from(words).unwrap());
        async move { run_on(&machine, cli.command).await }
    }

    fn expect_all(&self) {
        let arrived = std::fs::read(self.dir.path().join("out").join("file")).unwrap();
        assert!(arrived == content(), "{} bytes", arrived.len());
    }
}

struct Sender {
    node: Box<Node<Memory>>,
}

impl Sender {
    /// Goes on until this happens. The connection must not end before.
    async fn until(&mut self, is_it: impl Fn(&Connected) -> bool) {
        loop {
            while let Some(event) = self.node.poll_event() {
                let EndpointEvent::Connection(event) = event else { continue };
                if is_it(&event) {
                    return;
                }
                assert!(!matches!(event, Connected::Closed { .. }), "{event:?}");
            }
            self.node.turn().await;
        }
    }

    /// Offers files that nobody will ask for.
    fn offer(&mut self, sources: &Arc<Sources>) -> TransferId {
        let manifest = Arc::clone(sources.manifest());
        self.node.endpoint.offer(clock::now(), manifest, "").unwrap()
    }

    /// Offers files, and gives them.
    fn send(&mut self, sources: &Arc<Sources>) {
        let transfer = self.offer(sources);
        self.node.start_storage(transfer, Job::Send(Arc::clone(sources))).unwrap();
        self.node.flush();
    }

    /// Closes, if the other side has not, and goes on until nothing is left to be said.
    async fn end(&mut self) {
        self.node.endpoint.close(clock::now(), None);
        self.node.flush();
        loop {
            while self.node.poll_event().is_some() {}
            if self.node.endpoint.is_done() {
                return;
            }
            self.node.turn().await;
        }
    }
}

fn is_established(event: &Connected) -> bool {
    matches!(event, Connected::Established { .. })
}

fn is_completed(event: &Connected) -> bool {
    matches!(event, Connected::Completed { .. })
}

/// What both sides come to.
async fn both<T>(
    receiving: impl Future<Output = Exit>,
    sending: impl Future<Output = T>,
) -> (Exit, T) {
    timeout(HOUR, async { tokio::join!(receiving, sending) }).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_second_offer_is_declined_and_ends_nothing() {
    let mut scene = Box::pin(Scene::new()).await;
    let receiving = scene.recv();
    let Scene { sender, sources, .. } = &mut scene;
    let sending = async {
        sender.until(is_established).await;
        sender.send(sources);
        let second = sender.offer(sources);
        sender.node.flush();
        let is_declined = |event: &Connected| match event {
            Connected::Ended { transfer, error, .. } => {
                (*transfer, error.code) == (second, ErrorCode::Declined)
            }
            _ => false,
        };
        sender.until(is_declined).await;
        sender.until(is_completed).await;
        sender.end().await;
    };
    let (exit, ()) = both(receiving, sending).await;
    assert_eq!(exit, Exit::Ok);
    scene.expect_all();
}

#[tokio::test(start_paused = true)]
async fn a_second_offer_that_is_taken_back_removes_nothing_of_the_first() {
    let mut scene = Box::pin(Scene::new()).await;
    let receiving = scene.recv();
    let Scene { sender, sources, .. } = &mut scene;
    let sending = async {
        sender.until(is_established).await;
        sender.send(sources);
        sender.until(|event| matches!(event, Connected::Accepted { .. })).await;
        let second = sender.offer(sources);
        let error = Error::new(Blame::Circumstance, ErrorCode::Cancelled, "");
        sender.node.endpoint.cancel(clock::now(), second, error).unwrap();
        sender.node.flush();
        sender.until(is_completed).await;
        sender.end().await;
    };
    let (exit, ()) = both(receiving, sending).await;
    assert_eq!(exit, Exit::Ok);
    scene.expect_all();
}

/// How `recv` ends where the sender never closes, and how long after the receipt. `then`
/// is done once the sender has that.
async fn unclosed(then: impl FnOnce(&Memory)) -> (Exit, Duration) {
    let mut scene = Box::pin(Scene::new()).await;
    let receiving = scene.recv();
    let Scene { sender, sources, receiver, .. } = &mut scene;
    let sending = async {
        sender.until(is_established).await;
        sender.send(sources);
        sender.until(is_completed).await;
        let completed = Instant::now();
        then(receiver);
        // The work is done, as a last word of the receiver's says.
        sender.until(|event| matches!(event, Connected::Closed { error: None })).await;
        sender.end().await;
        completed
    };
    let (exit, completed) = both(receiving, sending).await;
    scene.expect_all();
    (exit, completed.elapsed())
}

// FC-CLOSE
#[tokio::test(start_paused = true)]
async fn a_sender_that_does_not_close_is_left_in_time() {
    let (exit, after) = unclosed(|_| ()).await;
    assert_eq!(exit, Exit::Ok);
    assert!(after.abs_diff(LAST_WORD) < Duration::from_secs(3), "{after:?}");
}

#[tokio::test(start_paused = true)]
async fn an_interrupt_once_all_is_there_ends_the_wait_and_is_no_failure() {
    for asker in [Asker::Person, Asker::System] {
        let (exit, after) = unclosed(|receiver| receiver.ask(asker)).await;
        assert_eq!(exit, Exit::Ok);
        assert!(after < Duration::from_secs(1), "{after:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_invitation_that_nobody_takes_ends_as_one_that_nobody_answered() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("file");
    std::fs::write(&path, content()).unwrap();
    let [computer, _] = Memory::two(dir.path());
    let server = computer.serve().await;
    let words = ["passel", "send", "--json", "--server", server.as_str()];
    let words = words.into_iter().map(OsString::from).chain([path.into_os_string()]);
    let cli = Cli::try_parse_from(words).unwrap();
    let exit = timeout(HOUR, run_on(&computer, cli.command)).await.unwrap();
    assert_eq!(exit, Exit::Declined);
}
