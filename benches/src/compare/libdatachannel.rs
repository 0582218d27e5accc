//! libdatachannel through npm's node-datachannel: a raw data channel between two
//! peers in one process, from memory to memory (`scripts/data_channel.cjs`).

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use super::process::{Process, make};
use super::{Job, Peer, Run};

const PACKAGE: &str = "node-datachannel@0.33.4";

/// The package, and the script that drives it.
pub(super) struct LibDataChannel {
    folder: PathBuf,
}

impl LibDataChannel {
    /// To be installed into a folder within `peers`.
    pub(super) fn new(peers: &Path) -> Self {
        Self { folder: peers.join("node") }
    }
}

impl Peer for LibDataChannel {
    fn name(&self) -> String {
        format!("libdatachannel ({})", PACKAGE.replace('@', " "))
    }

    fn remark(&self) -> &'static str {
        "memory to memory in one process: no files, no hashes, DTLS alone"
    }

    fn prepare(&mut self) -> Result<(), String> {
        if self.folder.join("node_modules/node-datachannel/package.json").exists() {
            return Ok(());
        }
        std::fs::create_dir_all(&self.folder).map_err(|error| error.to_string())?;
        let mut command = Command::new("npm");
        command.args(["install", "--no-audit", "--no-fund", "--prefix"]).arg(&self.folder);
        make("npm install", command.arg(PACKAGE))
    }

    fn writes(&self) -> bool {
        false
    }

    fn transfer(&self, job: &Job) -> Result<Run, String> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/data_channel.cjs");
        let begin = Instant::now();
        let mut command = Command::new("node");
        command.arg(script).arg(&self.folder).arg(job.size.to_string());
        let process = Process::start("node", &mut command)?;
        // It is heard while it runs, and followed to its end.
        let completed = process.event("completed")?;
        let usage = process.finish()?;
        Ok(Run::new(begin.elapsed().as_secs_f64(), completed["seconds"].as_f64(), &[usage]))
    }
}
