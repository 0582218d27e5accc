//! Raw data channels of other WebRTC stacks, each to itself: two peers in one
//! process, from memory to memory. The program of each is in `benches/peers`, and
//! says in one line of JSON how long it took.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use super::process::{Process, make};
use super::{Job, Peer, Run};

const MIB: u64 = 1 << 20;
/// Names under which the browser is installed.
const BROWSERS: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "chrome"];

/// Where a stack comes from.
#[derive(Clone, Copy, Debug)]
enum Source {
    /// A package of npm, run by a script.
    Npm { package: &'static str, script: &'static str },
    /// A package of PyPI, run by a script.
    PyPi { package: &'static str, script: &'static str },
    /// A crate, built by a program of ours with its own lock file.
    Crate { name: &'static str, folder: &'static str },
    /// The browser of this machine, driven by a script.
    Browser { script: &'static str },
}

/// A stack, and the program that drives it.
pub(super) struct Channel {
    name: &'static str,
    source: Source,
    /// Most bytes that it is given: some take very long.
    most: u64,
    /// How many times its speed passel is to have.
    wanted: Option<f64>,
    /// Where stacks are installed.
    installed: PathBuf,
    /// The browser, once found.
    browser: Option<String>,
}

impl Channel {
    fn new(name: &'static str, source: Source, installed: &Path) -> Self {
        let installed = installed.to_owned();
        Self { name, source, most: u64::MAX, wanted: None, installed, browser: None }
    }

    /// All of them, to be installed into folders within `installed`.
    pub(super) fn all(installed: &Path) -> [Self; 5] {
        let new = |name, source| Self::new(name, source, installed);
        let npm = |package, script| Source::Npm { package, script };
        let aiortc = Source::PyPi { package: "aiortc==1.16.0", script: "aiortc_peer.py" };
        let webrtc = Source::Crate { name: "passel-peer-webrtc-rs", folder: "webrtc-rs" };
        [
            Self {
                wanted: Some(2.0),
                ..new("libdatachannel", npm("node-datachannel@0.33.4", "libdatachannel.cjs"))
            },
            new("webrtc-rs 0.21.1", webrtc),
            Self {
                most: 256 * MIB,
                wanted: Some(5.0),
                ..new("Chromium", Source::Browser { script: "chromium.cjs" })
            },
            Self { most: 32 * MIB, ..new("werift", npm("werift@0.25.2", "werift.cjs")) },
            Self { most: 32 * MIB, ..new("aiortc", aiortc) },
        ]
    }

    /// The folder of this stack alone.
    fn folder(&self) -> PathBuf {
        let name = match self.source {
            Source::Npm { package, .. } => package.split('@').next().unwrap_or(package),
            Source::PyPi { package, .. } => package.split('=').next().unwrap_or(package),
            Source::Crate { folder, .. } => folder,
            Source::Browser { .. } => "chromium",
        };
        self.installed.join(name)
    }

    fn command(&self, job: &Job) -> Command {
        let folder = self.folder();
        let mut command = match self.source {
            Source::Npm { script, .. } => {
                let mut command = Command::new("node");
                command.arg(peers().join(script)).arg(folder);
                command
            }
            Source::PyPi { script, .. } => {
                let mut command = Command::new(folder.join("bin/python"));
                command.arg(peers().join(script));
                command
            }
            Source::Crate { name, .. } => Command::new(folder.join("release").join(name)),
            Source::Browser { script } => {
                let mut command = Command::new("node");
                let browser = self.browser.as_deref().unwrap_or(BROWSERS[0]);
                command.arg(peers().join(script)).arg(browser).arg(job.out);
                command
            }
        };
        command.arg(job.size.to_string());
        command
    }
}

impl Peer for Channel {
    fn name(&self) -> String {
        match (self.source, &self.browser) {
            (Source::Npm { package, .. }, _) => {
                let (package, version) = package.split_once('@').unwrap_or((package, ""));
                let package = if package == self.name { "" } else { package };
                format!("{} ({})", self.name, format!("{package} {version}").trim())
            }
            (Source::PyPi { package, .. }, _) => package.replace("==", " "),
            (Source::Browser { .. }, Some(browser)) => {
                let version = Command::new(browser).arg("--version").output();
                let version = version.map(|output| output.stdout).unwrap_or_default();
                let version = String::from_utf8_lossy(&version);
                let words: Vec<&str> = version.split_whitespace().take(2).collect();
                format!("{} to itself", words.join(" "))
            }
            _ => self.name.to_owned(),
        }
    }

    fn remark(&self) -> &'static str {
        match self.source {
            Source::Browser { .. } => {
                "two peers in one page: memory to memory, no files, no hashes, DTLS alone; all of the \
                 browser's processes are counted"
            }
            _ => "two peers in one process: memory to memory, no files, no hashes, DTLS alone",
        }
    }

    fn prepare(&mut self) -> Result<(), String> {
        let folder = self.folder();
        match self.source {
            Source::Npm { package, .. } => {
                let name = package.split('@').next().unwrap_or(package);
                if folder.join("node_modules").join(name).join("package.json").exists() {
                    return Ok(());
                }
                std::fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
                let mut command = Command::new("npm");
                command.args(["install", "--no-audit", "--no-fund", "--prefix"]).arg(&folder);
                make("npm install", command.arg(package))
            }
            Source::PyPi { package, .. } => {
                let python = folder.join("bin/python");
                let name = package.split('=').next().unwrap_or(package);
                let there = Command::new(&python).args(["-c", &format!("import {name}")]).output();
                if there.is_ok_and(|output| output.status.success()) {
                    return Ok(());
                }
                let mut command = Command::new("python3");
                make("python3 -m venv", command.args(["-m", "venv"]).arg(&folder))?;
                let mut command = Command::new(python);
                make("pip install", command.args(["-m", "pip", "install", "--quiet", package]))
            }
            Source::Crate { folder: source, .. } => {
                let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
                let mut command = Command::new(cargo);
                command.current_dir(peers().join(source)).env("CARGO_TARGET_DIR", &folder);
                make("building it", command.args(["build", "--release", "--locked"]))
            }
            Source::Browser { .. } => {
                let runs = |name: &&&str| {
                    let version = Command::new(name).arg("--version").output();
                    version.is_ok_and(|output| output.status.success())
                };
                let found = BROWSERS.iter().find(runs);
                self.browser = found.map(|name| (*name).to_owned());
                found.map(|_| ()).ok_or_else(|| "the browser is not installed".to_owned())?;
                make("node", Command::new("node").arg("--version"))
            }
        }
    }

    fn writes(&self) -> bool {
        false
    }

    fn most(&self) -> u64 {
        self.most
    }

    fn wanted(&self) -> Option<f64> {
        self.wanted
    }

    fn transfer(&self, job: &Job) -> Result<Run, String> {
        let begin = Instant::now();
        let process = Process::start(self.name, &mut self.command(job))?;
        let completed = process.event("completed")?;
        let usage = process.finish()?;
        if completed["bytes"].as_u64() != Some(job.size) {
            return Err("not all of it arrived".to_owned());
        }
        Ok(Run::new(begin.elapsed().as_secs_f64(), completed["seconds"].as_f64(), &[usage]))
    }
}

/// Where the programs are that drive the stacks.
fn peers() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("peers")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_stack_has_a_program_and_a_folder_of_its_own() {
        let all = Channel::all(Path::new("x"));
        let mut folders: Vec<PathBuf> = all.iter().map(Channel::folder).collect();
        folders.sort();
        folders.dedup();
        assert_eq!(folders.len(), all.len());
        for stack in &all {
            let program = match stack.source {
                Source::Npm { script, .. }
                | Source::PyPi { script, .. }
                | Source::Browser { script } => script.to_owned(),
                Source::Crate { folder, .. } => format!("{folder}/src/main.rs"),
            };
            assert!(peers().join(&program).exists(), "{program}");
        }
    }

    #[test]
    fn names_say_the_version() {
        let names: Vec<String> = Channel::all(Path::new("x")).iter().map(Peer::name).collect();
        let expected = [
            "libdatachannel (node-datachannel 0.33.4)",
            "webrtc-rs 0.21.1",
            "Chromium",
            "werift (0.25.2)",
            "aiortc 1.16.0",
        ];
        assert_eq!(names, expected);
    }
}
