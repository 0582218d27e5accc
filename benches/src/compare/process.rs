//! A process that is measured: its lines are read, what it uses is followed (in
//! `usage`), and it is killed if it is dropped before its end.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::usage::{self, Usage};

/// Longest that a transfer may take.
const LIMIT: Duration = Duration::from_secs(900);

/// A running process.
pub(super) struct Process {
    name: String,
    child: Child,
    lines: Receiver<String>,
    usage: Receiver<Result<Usage, String>>,
    end: Instant,
}

impl Process {
    /// Starts it. Its standard output is read, its standard error dropped. What
    /// its children use counts too.
    pub(super) fn start(name: &str, command: &mut Command) -> Result<Self, String> {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().map_err(|error| format!("{name}: {error}"))?;
        let output = child.stdout.take().ok_or_else(|| format!("{name} has no output"))?;
        let (to, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                // Whoever wanted the lines may be gone; the pipe is emptied anyway.
                let _ = to.send(line);
            }
        });
        let (to, usage) = channel();
        let id = child.id();
        std::thread::spawn(move || {
            // Whoever wanted to know may be gone.
            let _ = to.send(usage::follow(id));
        });
        Ok(Self { name: name.to_owned(), child, lines, usage, end: Instant::now() + LIMIT })
    }

    /// The next line that is a JSON object with this `event`.
    pub(super) fn event(&self, event: &str) -> Result<Value, String> {
        loop {
            let left = self.end.saturating_duration_since(Instant::now());
            let line = self.lines.recv_timeout(left);
            let line = line.map_err(|_| format!("{} never said '{event}'", self.name))?;
            let Ok(value) = serde_json::from_str::<Value>(&line) else { continue };
            if value["event"] == event {
                return Ok(value);
            }
        }
    }

    /// Waits for its end, which must be a success.
    pub(super) fn finish(mut self) -> Result<Usage, String> {
        let left = self.end.saturating_duration_since(Instant::now());
        // The kernel's account can be read until the process is asked how it ended.
        let usage = self.usage.recv_timeout(left);
        let usage = usage.map_err(|_| format!("{} does not end", self.name))??;
        let status = self.child.wait().map_err(|error| error.to_string())?;
        if status.success() { Ok(usage) } else { Err(format!("{} ended with {status}", self.name)) }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a command that makes something ready, to its end.
pub(super) fn make(what: &str, command: &mut Command) -> Result<(), String> {
    let output = command.stdin(Stdio::null()).output();
    let output = output.map_err(|error| format!("{what}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&output.stderr);
    let last = text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
    Err(format!("{what}: {}: {last}", output.status))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_os = "linux")]
    #[test]
    fn a_process_is_heard_and_followed_to_its_end() {
        let work = "echo not json; echo '{\"event\":\"x\",\"n\":7}'; \
                    i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done";
        let process = Process::start("sh", Command::new("sh").args(["-c", work])).unwrap();
        assert_eq!(process.event("x").unwrap()["n"], 7);
        let usage = process.finish().unwrap();
        assert!(usage.peak > 100 && usage.processor > 0.0, "{usage:?}");
        let work = "sleep 0.1; exit 3";
        let failing = Process::start("sh", Command::new("sh").args(["-c", work])).unwrap();
        assert!(failing.finish().unwrap_err().contains('3'));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn what_cannot_be_made_ready_says_why() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo no room >&2; echo >&2; exit 1"]);
        assert!(make("it", &mut command).unwrap_err().ends_with("no room"));
    }
}
