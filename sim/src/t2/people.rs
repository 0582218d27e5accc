//! Who sits at the hosts: a server that is started again when it ends, somebody
//! who sends, and somebody who receives. The two do what people do when a program
//! fails: try again, and ask for a new code or link if the old one is of no use.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use passel::args::Cli;
use passel::exit::Exit;
use tokio::time::Instant;

use super::machine::{Simulated, anywhere};
use super::plan::{Plan, RENDEZVOUS, SENDER};
use super::stage::{Running, Seat};
use super::witness::{Started, Witness};

/// Where the rendezvous listens.
const PORT: u16 = 8080;
/// How long somebody takes to try again.
const PAUSE: Duration = Duration::from_secs(3);
/// How long somebody waits for a new code or link before asking again.
const PATIENCE: Duration = Duration::from_secs(20);
/// How often somebody looks for a code or link.
const LOOK: Duration = Duration::from_millis(200);

/// What all of them know.
pub(super) struct Scene {
    pub(super) plan: Plan,
    pub(super) witness: Arc<Witness>,
}

impl Scene {
    /// Runs a command to its end.
    async fn run(&self, seat: &Seat, arguments: Vec<String>) -> Exit {
        let words = std::iter::once("passel".to_owned()).chain(arguments);
        let exit = match Cli::try_parse_from(words) {
            Ok(cli) => {
                let machine = Simulated {
                    seat: seat.clone(),
                    state: self.witness.place(seat.place).join("state"),
                    ear: self.witness.clone(),
                    spoiler: Arc::clone(&self.witness.spoiler),
                };
                passel::run_on(&machine, cli.command).await
            }
            Err(_) => Exit::Usage,
        };
        seat.note(&format!("exits with {}", exit.code()));
        self.witness.exited(seat.place, exit);
        exit
    }

    /// The options that both sides have.
    fn options(&self, command: &str) -> Vec<String> {
        let Plan { silence, attempts, lanes, .. } = &self.plan;
        let options = [("silence", *silence), ("attempts", u64::from(*attempts))];
        let options = options.into_iter().chain([("lanes", u64::from(*lanes))]);
        let mut words = vec![command.to_owned(), "--json".to_owned()];
        words.extend(options.map(|(name, number)| format!("--{name}={number}")));
        words
    }
}

/// Where both sides meet.
fn server(seat: &Seat) -> String {
    let ip = seat.addresses[RENDEZVOUS];
    format!("http://{}/", SocketAddr::new(ip, PORT))
}

/// The program of the rendezvous.
pub(super) fn serving(scene: Arc<Scene>, seat: Seat) -> Running {
    Box::pin(async move {
        scene.witness.started(seat.place, Started::ByWorld);
        seat.finish();
        loop {
            let at = SocketAddr::new(anywhere(seat.address()), PORT);
            let words = ["serve", "--json", "--listen", &at.to_string()];
            scene.run(&seat, words.map(str::to_owned).to_vec()).await;
            scene.witness.started(seat.place, Started::ByPerson);
            tokio::time::sleep(PAUSE).await;
        }
    })
}

/// The program of the sender.
pub(super) fn sending(scene: Arc<Scene>, seat: Seat) -> Running {
    Box::pin(async move {
        scene.witness.started(seat.place, Started::ByWorld);
        loop {
            if scene.witness.is_sent() || (scene.witness.is_received() && !scene.plan.keep) {
                break;
            }
            let mut words = scene.options("send");
            words.extend(["--server".to_owned(), server(&seat)]);
            if scene.plan.limit > 0 {
                words.extend(["--limit".to_owned(), scene.plan.limit.to_string()]);
            }
            if scene.plan.keep {
                words.push("--keep".to_owned());
            }
            words.extend(scene.witness.paths());
            let exit = scene.run(&seat, words).await;
            // The other person says that all is there.
            if exit == Exit::Cancelled && scene.witness.is_received() {
                break;
            }
            if exit != Exit::Ok {
                scene.witness.started(seat.place, Started::ByPerson);
                tokio::time::sleep(PAUSE).await;
            }
        }
        scene.witness.sender_done();
        seat.finish();
    })
}

/// The program of the receiver.
pub(super) fn receiving(scene: Arc<Scene>, seat: Seat) -> Running {
    Box::pin(async move {
        scene.witness.started(seat.place, Started::ByWorld);
        // An invitation that is of no use, and when another one was asked for.
        let mut burnt: Option<(u32, Instant)> = None;
        loop {
            if scene.witness.is_received() && scene.witness.is_sent() {
                break;
            }
            let Some(invitation) = scene.witness.invitation() else {
                tokio::time::sleep(LOOK).await;
                continue;
            };
            match &mut burnt {
                Some((number, asked)) if *number == invitation.number => {
                    if asked.elapsed() >= PATIENCE {
                        *asked = Instant::now();
                        seat.note("asks once more");
                        seat.interrupt(SENDER);
                    }
                    tokio::time::sleep(LOOK).await;
                    continue;
                }
                _ => {}
            }
            let mut words = scene.options("recv");
            let out = scene.witness.place(seat.place).join("out");
            words.extend(["--yes".to_owned(), "--out".to_owned()]);
            words.push(out.to_string_lossy().into_owned());
            if scene.plan.code {
                words.extend(["--server".to_owned(), server(&seat), invitation.code]);
            } else {
                words.push(invitation.link);
            }
            scene.witness.trying(invitation.number);
            let exit = scene.run(&seat, words).await;
            let is_newest = scene.witness.is_newest(invitation.number);
            if exit == Exit::Authentication && !scene.witness.is_received() && is_newest {
                seat.note("asks for another code or link");
                seat.interrupt(SENDER);
                burnt = Some((invitation.number, Instant::now()));
            }
            scene.witness.started(seat.place, Started::ByPerson);
            tokio::time::sleep(PAUSE).await;
        }
        seat.finish();
    })
}
