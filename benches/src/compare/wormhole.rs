//! magic-wormhole from PyPI: its own mailbox server, a sender and a receiver, on
//! this machine; no transit relay. It is installed into a virtual environment of
//! its own.

use std::fs;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::process::{Process, make};
use super::{Job, Peer, Run};

const PACKAGES: [&str; 2] = ["magic-wormhole==0.24.0", "magic-wormhole-mailbox-server==0.8.0"];
const CODE: &str = "7-bench-mark";
/// Longest that its server may take to begin.
const START: Duration = Duration::from_secs(30);

/// The programs of the virtual environment.
pub(super) struct Wormhole {
    environment: PathBuf,
}

impl Wormhole {
    /// To be installed into a folder within `peers`.
    pub(super) fn new(peers: &Path) -> Self {
        Self { environment: peers.join("wormhole") }
    }

    fn program(&self, name: &str) -> Command {
        Command::new(self.environment.join("bin").join(name))
    }

    /// Starts the mailbox server and returns its address for the others.
    fn serve(&self, place: &Path) -> Result<(Process, String), String> {
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|any| any.local_addr());
        let address = free.map_err(|error| format!("no port is free: {error}"))?;
        let mut command = self.program("twist");
        command.current_dir(place).args(["wormhole-mailbox", "--port"]);
        command.arg(format!("tcp:{}:interface=127.0.0.1", address.port()));
        command.args(["--channel-db", ":memory:", "--usage-db", ":memory:"]);
        let server = Process::start("the mailbox server", &mut command)?;
        let end = Instant::now() + START;
        while TcpStream::connect(address).is_err() {
            if Instant::now() >= end {
                return Err("the mailbox server does not begin".to_owned());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok((server, format!("ws://{address}/v1")))
    }

    fn client(&self, server: &str) -> Command {
        let mut command = self.program("wormhole");
        // An empty helper is none: it names a public one otherwise.
        command.env("WORMHOLE_RELAY_URL", server).env("WORMHOLE_TRANSIT_HELPER", "");
        command
    }
}

impl Peer for Wormhole {
    fn name(&self) -> String {
        PACKAGES[0].replace("==", " ")
    }

    fn remark(&self) -> &'static str {
        "disk to disk, not synced; TCP; its server's use is not counted"
    }

    fn wanted(&self) -> Option<f64> {
        Some(1.4)
    }

    fn prepare(&mut self) -> Result<(), String> {
        if self.program("wormhole").arg("--version").output().is_ok() {
            return Ok(());
        }
        let mut command = Command::new("python3");
        make("python3 -m venv", command.args(["-m", "venv"]).arg(&self.environment))?;
        make("pip install", self.program("pip").args(["install", "--quiet"]).args(PACKAGES))
    }

    fn transfer(&self, job: &Job) -> Result<Run, String> {
        let place = job.file.parent().unwrap_or(Path::new("."));
        let (server, address) = self.serve(place)?;
        let mut command = self.client(&address);
        command.args(["send", "--hide-progress", "--no-qr", "--code", CODE]).arg(job.file);
        let sender = Process::start("wormhole send", &mut command)?;
        let begin = Instant::now();
        let times = place.join("times.json");
        let mut command = self.client(&address);
        command.arg("--dump-timing").arg(&times);
        command.args(["receive", "--hide-progress", "--accept-file", "-o"]);
        command.arg(job.out.join("sample")).arg(CODE);
        let receiver = Process::start("wormhole receive", &mut command)?;
        let usages = [receiver.finish()?, sender.finish()?];
        let total = begin.elapsed().as_secs_f64();
        drop(server);
        let times = fs::read_to_string(&times).map_err(|error| format!("no times: {error}"))?;
        Ok(Run::new(total, receiving(&times), &usages))
    }
}

/// How long the file itself took, in seconds, by the receiver's own account.
fn receiving(times: &str) -> Option<f64> {
    let events: Value = serde_json::from_str(times).ok()?;
    let event = events.as_array()?.iter().find(|event| event["name"] == "rx file")?;
    Some(event["stop"].as_f64()? - event["start"].as_f64()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_receiver_s_account_is_read() {
        let times = r#"[{"name": "print", "start": 1.0, "stop": null},
                        {"name": "rx file", "start": 2.5, "stop": 4.0}]"#;
        assert_eq!(receiving(times), Some(1.5));
        assert_eq!(receiving("[]"), None);
    }
}
