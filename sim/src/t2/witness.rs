//! Who sees everything: what the programs print, what is on the wire, how they
//! exit, and what lies on the disks; and says when something is not as it must
//! be. What does not live here: what the people at the hosts do about it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use memchr::memmem;
use passel::exit::Exit;
use serde_json::Value;

use super::machine::Ear;
use super::plan::{Plan, RECEIVER, RENDEZVOUS, SENDER};
use super::planted::Spoiler;
use super::sometimes::{Condition, Met};
use super::stage::{Fault, Seat, lock};
use crate::oracle::{Broken, broken};
use crate::readable;
use crate::rng::Draw;

/// What stands at the beginning of each file that is long enough, and nowhere
/// on the wire.
pub(super) const IN_CONTENT: &[u8] = b"content-nobody-else-may-see";
/// What each name begins with.
const IN_NAMES: &str = "name-nobody-else-may-see-";
/// How often the receiver's directory is looked at, in milliseconds.
const LOOK_EVERY_MS: u64 = 100;

/// How a program was started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Started {
    /// With its host, for the first time or after a crash.
    ByWorld,
    /// Again, by whoever sits there.
    ByPerson,
}

/// What the sender's program gives out.
#[derive(Clone, Debug)]
pub(super) struct Invitation {
    pub(super) number: u32,
    pub(super) link: String,
    pub(super) code: String,
}

/// What became of an invitation. One that nothing here is true of is good, and
/// whoever comes with it is let in.
#[derive(Clone, Copy, Debug, Default)]
struct Use {
    /// Somebody has come with it.
    is_tried: bool,
    /// Somebody who has come with it was cut off, killed or told to try again.
    is_spent: bool,
    /// The sender's program that gave it out has failed or ended.
    is_left: bool,
    /// When it was given out, in milliseconds.
    since_ms: u64,
}

#[derive(Debug, Default)]
struct Seen {
    invitation: Option<Invitation>,
    is_sent: bool,
    is_received: bool,
    /// How often each host was started.
    starts: [u32; 3],
    /// Programs that were run to an end.
    exits: [u32; 3],
    /// The time, in milliseconds.
    now_ms: u64,
    /// The invitation that the receiver's program came with.
    tried: u32,
    /// What became of the newest invitation.
    use_of: Use,
    /// The code of the last `failed` event of a process.
    failed: [Option<u64>; 3],
    /// Bytes of the present invitation's transfer that the sender knows to be
    /// stored.
    durable: u64,
    /// The transfer was accepted and is not over.
    in_transfer: bool,
    /// Crashes in the middle of a transfer since it last went on.
    crashed: [bool; 3],
    receipts: [Option<String>; 3],
    /// Sockets that each host has open.
    sockets: [u32; 3],
    met: Met,
    broken: Option<Broken>,
}

/// See above.
pub(super) struct Witness {
    plan: Plan,
    root: PathBuf,
    sources: Vec<Vec<u8>>,
    pub(super) spoiler: Arc<Spoiler>,
    seen: Mutex<Seen>,
}

impl Witness {
    /// Makes the directories and files of a run.
    pub(super) fn new(plan: &Plan) -> io::Result<Self> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("passel-sim-t2-{}-{number}", std::process::id());
        let root = std::env::temp_dir().join(name);
        fs::create_dir(&root)?;
        let sources = (0..).zip(&plan.files).map(|(at, size)| source(plan.stage.seed, at, *size));
        let witness = Self {
            plan: plan.clone(),
            root,
            sources: sources.collect(),
            spoiler: Arc::new(Spoiler::new(plan.planted)),
            seen: Mutex::default(),
        };
        for place in [RENDEZVOUS, SENDER, RECEIVER] {
            fs::create_dir(witness.place(place))?;
        }
        for (path, content) in witness.paths().iter().zip(&witness.sources) {
            fs::write(path, content)?;
            // It is offered too, and must be the same in each run.
            let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
            fs::File::options().write(true).open(path)?.set_modified(time)?;
        }
        Ok(witness)
    }

    /// The directory of a host.
    pub(super) fn place(&self, place: usize) -> PathBuf {
        self.root.join(["rendezvous", "sender", "receiver"][place])
    }

    /// The files that are sent.
    pub(super) fn paths(&self) -> Vec<String> {
        let path = |at: usize| self.place(SENDER).join(format!("{IN_NAMES}{at}"));
        (0..self.sources.len()).map(|at| path(at).to_string_lossy().into_owned()).collect()
    }

    pub(super) fn invitation(&self) -> Option<Invitation> {
        lock(&self.seen).invitation.clone()
    }

    pub(super) fn is_newest(&self, number: u32) -> bool {
        lock(&self.seen).is_newest(number)
    }

    pub(super) fn is_sent(&self) -> bool {
        lock(&self.seen).is_sent
    }

    pub(super) fn is_received(&self) -> bool {
        lock(&self.seen).is_received
    }

    /// The sender knows, by itself or told by the other person.
    pub(super) fn sender_done(&self) {
        lock(&self.seen).is_sent = true;
    }

    /// The receiver's program begins with an invitation, which may be an old one.
    pub(super) fn trying(&self, number: u32) {
        let mut seen = lock(&self.seen);
        if seen.is_newest(number) {
            seen.use_of.is_spent |= seen.use_of.is_tried;
            seen.use_of.is_tried = true;
        }
        seen.tried = number;
    }

    pub(super) fn started(&self, place: usize, how: Started) {
        let mut seen = lock(&self.seen);
        seen.failed[place] = None;
        if how == Started::ByWorld {
            seen.starts[place] += 1;
            if seen.starts[place] > 1 && seen.in_transfer {
                seen.crashed[place] = true;
                seen.met.insert(Condition::CrashInTransfer);
            }
            if seen.starts[place] > 1
                && let Err(error) = self.spoiler.restart(place, &self.place(place).join("out"))
            {
                seen.fail("the plan can be run", format!("a planted bug: {error}"));
            }
        }
    }

    pub(super) fn exited(&self, place: usize, exit: Exit) {
        let mut seen = lock(&self.seen);
        seen.exits[place] += 1;
        let told = seen.failed[place];
        if exit != Exit::Ok && told != Some(exit.code().into()) {
            let detail = format!("exit code {} after {told:?}", exit.code());
            seen.fail("a failure is told before the program exits with it", detail);
        }
        let is_undisturbed = self.plan.stage.faults.is_empty();
        let is_expected = match exit {
            Exit::Ok => true,
            Exit::Lost | Exit::Server | Exit::Interrupted | Exit::Cancelled => {
                place != RENDEZVOUS && !is_undisturbed
            }
            Exit::Authentication => self.is_burnt(&seen, place),
            _ => false,
        };
        if !is_expected {
            let who = ["the rendezvous", "the sender", "the receiver"][place];
            seen.fail("nothing fails without a cause", format!("{who} exits with {}", exit.code()));
        }
        seen.use_of.is_left |= place == SENDER;
        if exit == Exit::Server {
            seen.met.insert(Condition::RendezvousAway);
        }
        match (place, exit) {
            (SENDER, Exit::Ok) => seen.is_sent = true,
            (RECEIVER, Exit::Ok) => seen.is_received = true,
            _ => {}
        }
    }

    /// Whether somebody may be refused who came with what was given out: an invitation
    /// lets in once, and a rendezvous that was started again gives out numbers of codes
    /// that it gave out before, so that an old code meets a new invitation. That is a
    /// wrong guess, and burns it.
    fn is_burnt(&self, seen: &Seen, place: usize) -> bool {
        let forgets = |fault: &Fault| {
            matches!(
                fault,
                Fault::Crash { host: RENDEZVOUS, .. } | Fault::Terminate { host: RENDEZVOUS, .. }
            )
        };
        let is_confused = self.plan.code && self.plan.stage.faults.iter().any(forgets);
        let is_confused =
            is_confused && seen.invitation.as_ref().is_some_and(|newest| newest.number > 1);
        let Use { is_spent, is_left, since_ms, .. } = seen.use_of;
        // One that was killed comes back with another; the rendezvous, without any.
        let kills = |fault: &Fault| match fault {
            Fault::Crash { host: SENDER | RENDEZVOUS, at_ms, .. }
            | Fault::Terminate { host: RENDEZVOUS, at_ms } => {
                (since_ms..=seen.now_ms).contains(at_ms)
            }
            _ => false,
        };
        let is_left = is_left || self.plan.stage.faults.iter().any(kills);
        let is_used = !seen.is_newest(seen.tried) || is_spent || is_left;
        is_confused || (place == RECEIVER && is_used)
    }

    /// What must be true at all times, and what was found meanwhile.
    pub(super) fn check(&self, now_ms: u64) -> Result<(), Broken> {
        let mut seen = lock(&self.seen);
        seen.now_ms = now_ms;
        if let Some(found) = seen.broken.clone() {
            return Err(found);
        }
        drop(seen);
        if now_ms.is_multiple_of(LOOK_EVERY_MS) { self.look().map(|_| ()) } else { Ok(()) }
    }

    /// What must be true at the end.
    pub(super) fn check_end(&self) -> Result<(), Broken> {
        let there = self.look()?;
        let seen = lock(&self.seen);
        if let Some(found) = &seen.broken {
            return Err(found.clone());
        }
        for at in 0..self.sources.len() {
            if !there.contains(&format!("{IN_NAMES}{at}")) {
                return broken("everything arrives", format!("file {at} is missing"));
            }
        }
        let is_once = seen.invitation.as_ref().is_some_and(|it| it.number == 1);
        if is_once && there.len() != self.sources.len() {
            return broken("everything arrives once", there.join(", "));
        }
        let crash = |fault: &Fault| matches!(fault, Fault::Crash { host, .. } if *host == RECEIVER);
        let hidden =
            || list(&self.place(RECEIVER).join("out")).iter().any(|name| name.starts_with('.'));
        if is_once && !self.plan.stage.faults.iter().any(crash) && hidden() {
            return broken("no part is left behind", "a temporary directory");
        }
        match &seen.receipts {
            [_, Some(one), Some(other)] if is_once && one != other => {
                broken("both sides have the same receipt", format!("{one} and {other}"))
            }
            _ => Ok(()),
        }
    }

    /// Conditions that were met.
    pub(super) fn met(&self) -> Met {
        let mut met = lock(&self.seen).met.clone();
        if self.plan.stage.faults.is_empty() {
            met.insert(Condition::Undisturbed);
        }
        if self.plan.stage.v6 {
            met.insert(Condition::OverV6);
        }
        met
    }

    /// The names that are visible at the receiver; each is a whole file.
    fn look(&self) -> Result<Vec<String>, Broken> {
        let out = self.place(RECEIVER).join("out");
        let mut names = list(&out);
        names.retain(|name| !name.starts_with('.'));
        for name in &names {
            let digits = name.strip_prefix(IN_NAMES).unwrap_or_default();
            // A file that is there already is not written over.
            let digits = digits.split(' ').next().unwrap_or_default();
            let source = digits.parse().ok().and_then(|at: usize| self.sources.get(at));
            let Some(source) = source else {
                return broken("only what was sent is visible", name);
            };
            match fs::read(out.join(name)) {
                Ok(content) if content == *source => {}
                Ok(content) => {
                    let detail = format!("{name}: {} of {} bytes", content.len(), source.len());
                    return broken("what has its name is its source", detail);
                }
                Err(error) => return broken("what has its name can be read", error.to_string()),
            }
        }
        Ok(names)
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        // What cannot be removed lies in the system's temporary directory.
        let _ = fs::remove_dir_all(&self.root);
    }
}

impl Ear for Witness {
    fn line(&self, seat: &Seat, line: &str) {
        // Where it lies on this computer is no part of the run.
        let root = self.root.to_string_lossy();
        seat.note(&line.replace(root.as_ref(), ""));
        let Ok(event) = serde_json::from_str::<Value>(line) else {
            return lock(&self.seen).fail("programs print lines of JSON", line);
        };
        let mut seen = lock(&self.seen);
        seen.on_event(seat.place, &event, self.plan.code);
        let again = event["event"] == "invite" && seen.is_received;
        drop(seen);
        if again {
            // The other person has everything and says so.
            seat.interrupt(SENDER);
        }
    }

    fn socket(&self, seat: &Seat, is_bound: bool) {
        let mut seen = lock(&self.seen);
        let sockets = &mut seen.sockets[seat.place];
        *sockets = if is_bound { *sockets + 1 } else { sockets.saturating_sub(1) };
        if *sockets > 1 {
            seen.met.insert(Condition::SeveralLanes);
        }
    }

    fn bytes(&self, _seat: &Seat, bytes: &[u8]) {
        for secret in [IN_CONTENT, IN_NAMES.as_bytes()] {
            if memmem::find(bytes, secret).is_some() {
                lock(&self.seen).fail("nothing is readable on the wire", "a name or content");
            }
        }
    }

    /// What goes to the rendezvous comes out of it, and is not masked then.
    fn stream(&self, seat: &Seat, bytes: &[u8]) {
        self.bytes(seat, bytes);
        for place in [SENDER, RECEIVER] {
            let address = seat.address_of(place);
            if seat.place == RENDEZVOUS && readable::tells(bytes, address) {
                lock(&self.seen).fail("no address is told in the clear", address.to_string());
            }
        }
    }
}

impl Seen {
    fn is_newest(&self, number: u32) -> bool {
        self.invitation.as_ref().is_some_and(|newest| newest.number == number)
    }

    fn fail(&mut self, invariant: &'static str, detail: impl Into<String>) {
        self.broken.get_or_insert(Broken { invariant, detail: detail.into() });
    }

    fn on_event(&mut self, place: usize, event: &Value, by_code: bool) {
        let text = |field: &str| event[field].as_str().unwrap_or_default().to_owned();
        match event["event"].as_str().unwrap_or_default() {
            "invite" => {
                let number = self.invitation.as_ref().map_or(1, |before| before.number + 1);
                self.invitation =
                    Some(Invitation { number, link: text("link"), code: text("code") });
                self.durable = 0;
                self.in_transfer = false;
                self.use_of = Use { since_ms: self.now_ms, ..Use::default() };
                if number > 1 {
                    self.met.insert(Condition::InvitedAgain);
                }
                if by_code {
                    self.met.insert(Condition::ByCode);
                }
            }
            "accepted" => self.in_transfer = true,
            "lost" => {
                self.met.insert(Condition::ConnectionLost);
                self.use_of.is_spent |= self.use_of.is_tried;
            }
            "reconnecting" if event["attempt"].as_u64() > Some(1) => {
                self.met.insert(Condition::SeveralAttempts);
            }
            "progress" if place == SENDER => {
                self.durable = self.durable.max(event["bytes"].as_u64().unwrap_or(0));
            }
            "continued" => self.on_continued(place, event["bytes"].as_u64().unwrap_or(0)),
            "completed" => {
                self.in_transfer = false;
                self.receipts[place] = Some(text("receipt"));
            }
            "failed" => {
                self.use_of.is_left |= place == SENDER;
                self.failed[place] = event["exit"].as_u64();
                if text("text").contains("was received completely") {
                    self.is_received = true;
                    self.met.insert(Condition::CompleteBefore);
                }
                if text("text").contains("system ended this program") {
                    self.met.insert(Condition::TerminatedInTransfer);
                }
            }
            _ => {}
        }
    }

    fn on_continued(&mut self, place: usize, bytes: u64) {
        if place != SENDER {
            return;
        }
        if bytes < self.durable {
            let detail = format!("{bytes} of {} bytes", self.durable);
            self.fail("what was acknowledged is still there", detail);
        }
        let crashed = std::mem::take(&mut self.crashed);
        let conditions = [
            (crashed[SENDER], Condition::ContinuedAfterSenderCrash),
            (crashed[RECEIVER], Condition::ContinuedAfterReceiverCrash),
            (crashed[RENDEZVOUS], Condition::ContinuedAfterRendezvousCrash),
            (!crashed.contains(&true), Condition::ContinuedAfterLoss),
        ];
        self.met.extend(conditions.iter().filter(|(is_met, _)| *is_met).map(|(_, it)| *it));
        if bytes > 0 {
            self.met.insert(Condition::ContinuedInTheMiddle);
        }
    }
}

/// Names in a directory, in order; none if there is no such directory.
pub(super) fn list(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let mut names: Vec<_> =
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort_unstable();
    names
}

fn source(seed: u64, at: u64, size: u64) -> Vec<u8> {
    let mut content = vec![0; usize::try_from(size).unwrap_or(0)];
    Draw::new(seed ^ at, "content of t2").fill(&mut content);
    if let Some(begin) = content.get_mut(..IN_CONTENT.len()) {
        begin.copy_from_slice(IN_CONTENT);
    }
    content
}
