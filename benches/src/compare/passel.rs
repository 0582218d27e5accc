//! passel itself: two processes of the release program, on the loopback interface,
//! disk to disk.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use super::process::{Process, make};
use super::usage::Usage;
use super::{Job, Peer, Run};

/// The release program.
pub(super) struct Passel {
    binary: PathBuf,
    build: bool,
}

impl Passel {
    /// The given program, or the one that cargo builds into `binaries`.
    pub(super) fn new(given: Option<PathBuf>, binaries: &Path) -> Self {
        let build = given.is_none();
        Self { binary: given.unwrap_or_else(|| binaries.join("passel")), build }
    }

    /// The same, made ready.
    pub(super) fn ready(given: Option<PathBuf>, binaries: &Path) -> Result<Self, String> {
        let mut passel = Self::new(given, binaries);
        passel.prepare()?;
        Ok(passel)
    }

    fn command(&self, word: &str) -> Command {
        let mut command = Command::new(&self.binary);
        command.args([word, "--json", "--bind", "127.0.0.1"]);
        for name in ["PASSEL_SERVER", "PASSEL_CODE", "PASSEL_LOG"] {
            command.env_remove(name);
        }
        command
    }
}

impl Peer for Passel {
    fn name(&self) -> String {
        if self.build {
            format!("passel {}", env!("CARGO_PKG_VERSION"))
        } else {
            // Of another build, perhaps without optimisation.
            format!("passel, given as {}", self.binary.display())
        }
    }

    fn remark(&self) -> &'static str {
        "disk to disk, synced before it is confirmed; sealed twice, by DTLS and by passel"
    }

    fn prepare(&mut self) -> Result<(), String> {
        if !self.build {
            return Ok(());
        }
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut command = Command::new(cargo);
        command.current_dir(env!("CARGO_MANIFEST_DIR"));
        command.args(["build", "--release", "--package", "passel", "--bin", "passel"]);
        make("building passel", &mut command)
    }

    fn transfer(&self, job: &Job) -> Result<Run, String> {
        let sides = self.sides(job)?;
        Ok(Run::new(sides.total, sides.transfer, &[sides.receiver, sides.sender]))
    }
}

/// What a transfer came to, of each process.
pub(super) struct Sides {
    /// From the receiver's start until both have ended, in seconds.
    pub(super) total: f64,
    /// What the receiver says that the transfer took, in seconds.
    transfer: Option<f64>,
    pub(super) sender: Usage,
    pub(super) receiver: Usage,
}

impl Passel {
    /// Moves `job.file` once.
    pub(super) fn sides(&self, job: &Job) -> Result<Sides, String> {
        let mut command = self.command("send");
        let sender = Process::start(
            "passel send",
            command.args(["--listen", "127.0.0.1:0", "--"]).arg(job.file),
        )?;
        let invite = sender.event("invite")?;
        let link = invite["link"].as_str().ok_or("the invitation has no link")?;
        let begin = Instant::now();
        let mut command = self.command("recv");
        command.env("PASSEL_CODE", link);
        command.args(["--yes", "--max-file", "none", "--out"]).arg(job.out);
        let receiver = Process::start("passel recv", &mut command)?;
        let completed = receiver.event("completed")?;
        if completed["bytes"].as_u64() != Some(job.size) {
            return Err("not all of it arrived".to_owned());
        }
        let (receiver, sender) = (receiver.finish()?, sender.finish()?);
        let (total, transfer) = (begin.elapsed().as_secs_f64(), completed["seconds"].as_f64());
        Ok(Sides { total, transfer, sender, receiver })
    }
}
