//! A sender and a receiver, as most tests have them: the sender runs the
//! rendezvous itself, and the receiver takes the link from its environment.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::process::{Ended, Process, passel};

/// A temporary directory with an empty directory for what arrives.
pub(crate) struct Room {
    dir: tempfile::TempDir,
}

impl Room {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("out")).unwrap();
        Self { dir }
    }

    /// A path in it.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Where a receiver writes.
    pub(crate) fn out(&self) -> PathBuf {
        self.path("out")
    }

    /// A new file in it.
    pub(crate) fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, content).unwrap();
        path
    }

    /// A file with a hole of this size in place of content.
    pub(crate) fn hole(&self, name: &str, size: u64) -> PathBuf {
        let path = self.file(name, b"");
        std::fs::File::options().write(true).open(&path).unwrap().set_len(size).unwrap();
        path
    }

    /// Names in the receiver's directory, hidden ones too, in order.
    pub(crate) fn arrived(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.out()).unwrap();
        let name = |entry: std::io::Result<std::fs::DirEntry>| entry.unwrap().file_name();
        let mut names: Vec<String> =
            entries.map(|entry| name(entry).to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }
}

/// A command that offers `paths` on the loopback interface.
pub(crate) fn send_command(paths: &[&Path]) -> Command {
    send_command_with(&[], paths)
}

/// The same with further arguments.
fn send_command_with(arguments: &[&str], paths: &[&Path]) -> Command {
    let mut command = passel();
    command.args(["send", "--json", "--listen", "127.0.0.1:0", "--bind", "127.0.0.1"]);
    command.args(arguments).arg("--").args(paths);
    command
}

/// A command that offers what takes about ten seconds on any machine, so that
/// something can befall it in its middle, and no more disk than half a gibibyte.
pub(crate) fn long_send(room: &Room, arguments: &[&str]) -> Command {
    let path = room.hole("big", 512 << 20);
    send_command_with(&[&["--limit", "50MB/s"], arguments].concat(), &[&path])
}

/// Starts a sender and waits for its link.
pub(crate) fn send(paths: &[&Path]) -> (Process, String) {
    with_link(Process::start("sender", send_command(paths)))
}

/// Waits for the link of a sender.
pub(crate) fn with_link(mut sender: Process) -> (Process, String) {
    let invite = sender.event("invite");
    (sender, invite["link"].as_str().unwrap().to_owned())
}

/// Adds to `command` what makes it take `link` into `out`.
pub(crate) fn receiving(mut command: Command, link: &str, out: &Path) -> Command {
    command.env("PASSEL_CODE", link).env("PASSEL_STATE", out.with_file_name("state"));
    command.args(["recv", "--json", "--bind", "127.0.0.1", "--out"]).arg(out);
    command
}

/// A command that takes `link` into `out` and asks nothing, whatever its size.
pub(crate) fn recv_command(link: &str, out: &Path) -> Command {
    let mut command = receiving(passel(), link, out);
    command.args(["--yes", "--max-file", "none"]);
    command
}

/// As [`attempt`], with further arguments for the receiver.
pub(crate) fn attempt_with(room: &Room, paths: &[&Path], arguments: &[&str]) -> (Ended, Ended) {
    let (sender, link) = send(paths);
    let mut command = receiving(passel(), &link, &room.out());
    command.arg("--yes").args(arguments);
    let received = Process::start("receiver", command).end();
    (sender.end(), received)
}

/// Starts a receiver.
pub(crate) fn recv(link: &str, out: &Path) -> Process {
    Process::start("receiver", recv_command(link, out))
}

/// Sends `paths` into the room's `out`; returns how sender and receiver ended.
pub(crate) fn attempt(room: &Room, paths: &[&Path]) -> (Ended, Ended) {
    let (sender, link) = send(paths);
    let receiver = recv(&link, &room.out());
    let received = receiver.end();
    (sender.end(), received)
}

/// As [`attempt`], and both must succeed.
#[track_caller]
pub(crate) fn transfer(room: &Room, paths: &[&Path]) -> (Ended, Ended) {
    let (sent, received) = attempt(room, paths);
    (sent.expect(0), received.expect(0))
}
