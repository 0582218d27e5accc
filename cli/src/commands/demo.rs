//! `passel demo`: rendezvous, sender and receiver as three processes of this
//! very program over the loopback interface, and the story of what they do.

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use passel_proto::escape::for_terminal;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use super::interrupt::Interrupt;
use super::report::Report;
use crate::args::DemoArgs;
use crate::clock;
use crate::exit::{Exit, Failure};
use crate::machine::Real;
use crate::ui::format::{rate, size};
use crate::ui::progress::State;

/// Size of the file that is made when none is named.
const SIZE: u64 = 64 << 20;
/// Longest that any step may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs the command.
pub(super) async fn run(args: DemoArgs) -> Exit {
    let mut report = Report::human();
    let told = Box::pin(Interrupt::listen(&Real).or(tell(args, &mut report))).await;
    match told {
        Ok(()) => Exit::Ok,
        Err(failure) => report.fail(&failure),
    }
}

async fn tell(args: DemoArgs, report: &mut Report) -> Result<(), Failure> {
    if let Some(file) = &args.file {
        check(file)?;
    }
    let place = Place::new().map_err(|error| broken(format!("no place for the copy: {error}")))?;
    let file = if let Some(file) = args.file {
        file
    } else {
        report.say(&format!("Making a file of random bytes, {}.", size(SIZE)));
        place.make_file().map_err(|error| broken(format!("no file could be made: {error}")))?
    };

    report.say("1. A rendezvous starts, as a process of its own.");
    let mut server = Process::start(&["serve", "--listen", "127.0.0.1:0", "--json"], None)?;
    let listening = server.wait_for("listening").await?;
    let url = text(&listening, "url").to_owned();
    report.say(&format!("   It listens at {url} and will see sealed bytes only."));

    report.say("2. A sender offers the file, as a second process.");
    let path = file.to_string_lossy().into_owned();
    let send = ["send", "--server", &url, "--bind", "127.0.0.1", "--json", "--", &path];
    let mut sender = Process::start(&send, None)?;
    let invite = sender.wait_for("invite").await?;
    let code = text(&invite, "code").to_owned();
    report.say(&format!("   Its invitation: {code}"));
    report.say(&format!("               or: {}", text(&invite, "link")));

    report.say("3. A receiver types the code in, as a third process.");
    let out = place.out.to_string_lossy().into_owned();
    let mut recv = vec!["recv", "--server", &url, "--bind", "127.0.0.1", "--json", "--out", &out];
    // Whoever names a large file means it.
    recv.extend(["--yes", "--max-file", "none"]);
    let mut receiver = Process::start(&recv, Some((&code, &place.root.join("state"))))?;
    let connected = receiver.wait_for("connected").await?;
    report.say(&format!(
        "   Path: {} to {} over UDP, {}.",
        text(&connected["path"], "local"),
        text(&connected["path"], "remote"),
        text(&connected["path"], "kind"),
    ));
    report.say(&format!(
        "   Keys: {} by {}, within DTLS {}.",
        text(&connected, "suite"),
        text(&connected, "auth"),
        text(&connected, "dtls"),
    ));

    let received = receiver.follow(report).await?;
    let sent = sender.wait_for("completed").await?;
    report.say(&format!(
        "4. {} arrived at {}. Both sides hold the receipt {}….",
        size(number(&received, "bytes")),
        rate(number(&received, "rate")),
        text(&received, "receipt").get(..16).unwrap_or_default(),
    ));
    if text(&received, "receipt") != text(&sent, "receipt") {
        return Err(broken("the two sides hold different receipts"));
    }
    sender.ends_well().await?;
    receiver.ends_well().await?;
    server.stop().await;

    let name = file.file_name().unwrap_or_default();
    if !same(&file, &place.out.join(name)).map_err(|error| broken(error.to_string()))? {
        return Err(broken("the copy differs from the original"));
    }
    report.say("5. The copy is the same as the original, byte for byte. All is well.");
    Ok(())
}

/// Says what is wrong with the user's file before anything starts.
fn check(file: &Path) -> Result<(), Failure> {
    let shown = file.to_string_lossy();
    let shown = for_terminal(&shown);
    let unfit = |text: String| Failure::new(Exit::Source, text, "Name a file that you can read.");
    let opened = std::fs::File::open(file).and_then(|file| file.metadata());
    match opened {
        Ok(metadata) if metadata.is_dir() => Err(unfit(format!("'{shown}' is a directory"))),
        Ok(metadata) if !metadata.is_file() => Err(unfit(format!("'{shown}' is not a file"))),
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(unfit(format!("'{shown}' does not exist")))
        }
        Err(error) => Err(unfit(format!("'{shown}' cannot be read: {error}"))),
    }
}

fn text<'a>(event: &'a Value, field: &str) -> &'a str {
    event[field].as_str().unwrap_or_default()
}

fn number(event: &Value, field: &str) -> u64 {
    event[field].as_u64().unwrap_or_default()
}

fn broken(text: impl std::fmt::Display) -> Failure {
    Failure::new(
        Exit::Other,
        format!("the demo failed: {text}"),
        "Run it again with -v and report it.",
    )
}

/// A process of this program, whose JSON lines are read.
struct Process {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Process {
    fn start(arguments: &[&str], taker: Option<(&str, &Path)>) -> Result<Self, Failure> {
        let program = std::env::current_exe().map_err(broken)?;
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
        command.env_remove("PASSEL_SERVER").env_remove("PASSEL_CODE");
        if let Some((code, state)) = taker {
            command.env("PASSEL_CODE", code).env("PASSEL_STATE", state);
        }
        let mut child = command.spawn().map_err(broken)?;
        let stdout = child.stdout.take().ok_or_else(|| broken("a process has no output"))?;
        Ok(Self { child, lines: BufReader::new(stdout).lines() })
    }

    /// The next event.
    async fn next(&mut self) -> Result<Value, Failure> {
        let line = tokio::time::timeout(PATIENCE, self.lines.next_line()).await;
        let line = line.map_err(|_| broken("a process said nothing for too long"))?;
        let line = line.map_err(broken)?.ok_or_else(|| broken("a process ended too early"))?;
        let event: Value = serde_json::from_str(&line).map_err(broken)?;
        if event["event"] == "failed" {
            return Err(broken(text(&event, "text")));
        }
        Ok(event)
    }

    /// The next event of this name; others are passed over.
    async fn wait_for(&mut self, name: &str) -> Result<Value, Failure> {
        loop {
            let event = self.next().await?;
            if event["event"] == name {
                return Ok(event);
            }
        }
    }

    /// Shows progress until the transfer is complete.
    async fn follow(&mut self, report: &mut Report) -> Result<Value, Failure> {
        loop {
            let event = self.next().await?;
            match event["event"].as_str() {
                Some("progress") => {
                    let state = State {
                        bytes: number(&event, "bytes"),
                        total: event["total"].as_u64(),
                        files: u32::try_from(number(&event, "files")).unwrap_or(u32::MAX),
                        total_files: 1,
                        rate: number(&event, "rate"),
                        left: event["eta_s"].as_u64().map(Duration::from_secs),
                        limit: None,
                    };
                    report.progress(&state, clock::now());
                }
                Some("completed") => {
                    report.end_progress();
                    return Ok(event);
                }
                _ => {}
            }
        }
    }

    async fn ends_well(&mut self) -> Result<(), Failure> {
        let status = tokio::time::timeout(PATIENCE, self.child.wait()).await;
        let status = status.map_err(|_| broken("a process does not end"))?.map_err(broken)?;
        if status.success() {
            Ok(())
        } else {
            Err(broken(format!("a process ended with {status}")))
        }
    }

    async fn stop(&mut self) {
        // It is killed when dropped, in any case.
        let _ = self.child.kill().await;
    }
}

/// A temporary directory, removed at the end.
struct Place {
    root: PathBuf,
    out: PathBuf,
}

impl Place {
    fn new() -> io::Result<Self> {
        let mut random = [0; 8];
        getrandom::fill(&mut random).map_err(io::Error::other)?;
        let name = format!("passel-demo-{:016x}", u64::from_le_bytes(random));
        let root = std::env::temp_dir().join(name);
        // It must not exist: somebody else may own what does.
        std::fs::create_dir(&root)?;
        let out = root.join("received");
        std::fs::create_dir(&out)?;
        Ok(Self { root, out })
    }

    fn make_file(&self) -> io::Result<PathBuf> {
        let path = self.root.join("random.bin");
        let mut file = io::BufWriter::new(std::fs::File::create(&path)?);
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(io::Error::other)?;
        let mut entropy = passel_proto::crypto::Entropy::from_seed(seed);
        let mut block = vec![0; 1 << 20];
        for _ in 0..SIZE / block.len() as u64 {
            entropy.fill(&mut block);
            file.write_all(&block)?;
        }
        file.flush()?;
        Ok(path)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // What cannot be removed lies in the system's temporary directory.
        let _ = std::fs::remove_dir_all(&self.root);
    }
}

/// Whether two files hold the same bytes.
fn same(one: &Path, other: &Path) -> io::Result<bool> {
    let (mut one, mut other) = (std::fs::File::open(one)?, std::fs::File::open(other)?);
    if one.metadata()?.len() != other.metadata()?.len() {
        return Ok(false);
    }
    let (mut a, mut b) = (vec![0; 1 << 20], vec![0; 1 << 20]);
    loop {
        let read = one.read(&mut a)?;
        if read == 0 {
            return Ok(true);
        }
        other.read_exact(&mut b[..read])?;
        if a[..read] != b[..read] {
            return Ok(false);
        }
    }
}
