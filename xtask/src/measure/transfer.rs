//! One transfer: starts both programs, hands the link over, and waits for both
//! under a time limit. What they used is read in [`super::usage`].

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::usage::{Usage, Watch};

/// Longest that a transfer may take.
const LIMIT: Duration = Duration::from_secs(600);
const THOUSAND: usize = 1000;

/// What one transfer came to.
#[derive(Clone, Debug)]
pub(super) struct Run {
    /// From the receiver's acceptance to its end, in seconds, as it says itself.
    pub(super) transfer: f64,
    /// From the receiver's start to the end of both processes, in seconds.
    pub(super) total: f64,
    /// Bytes that arrived.
    pub(super) bytes: u64,
    /// Files that arrived.
    pub(super) files: u64,
    /// Seconds that the first thousand files took and the last, from file to file, as the
    /// receiver tells of them; nothing if there are few.
    pub(super) thousands: Option<[f64; 2]>,
    /// What the sender used.
    pub(super) sender: Usage,
    /// What the receiver used.
    pub(super) receiver: Usage,
}

/// Sends `path` into the empty directory `out`.
pub(super) fn run(binary: &Path, path: &Path, out: &Path) -> Result<Run, String> {
    let end = Instant::now() + LIMIT;
    let mut command = program(binary, "send");
    command.args(["--listen", "127.0.0.1:0", "--"]).arg(path);
    let sender = Side::start(command)?;
    let invite = sender.event("invite", end)?;
    let link = invite["link"].as_str().ok_or("the invitation has no link")?;

    let begin = Instant::now();
    let mut command = program(binary, "recv");
    command.env("PASSEL_CODE", link).args(["--yes", "--max-file", "none", "--out"]).arg(out);
    let receiver = Side::start(command)?;
    let mut done = Vec::new();
    let completed = receiver.event_after("completed", end, &mut done)?;
    let (receiver, sender) = (receiver.end(end)?, sender.end(end)?);
    let number = |field: &str| completed[field].as_u64().ok_or(format!("no {field}"));
    Ok(Run {
        transfer: completed["seconds"].as_f64().ok_or("no time")?,
        total: begin.elapsed().as_secs_f64(),
        bytes: number("bytes")?,
        files: number("files")?,
        thousands: thousands(&done),
        sender,
        receiver,
    })
}

/// What the first thousand of these took and the last, if there are many more.
fn thousands(done: &[Instant]) -> Option<[f64; 2]> {
    let took = |times: &[Instant]| match times {
        [first, .., last] => last.duration_since(*first).as_secs_f64(),
        _ => 0.0,
    };
    let last = done.len().checked_sub(THOUSAND).filter(|before| *before > THOUSAND)?;
    Some([took(&done[..THOUSAND]), took(&done[last..])])
}

fn program(binary: &Path, word: &str) -> Command {
    let mut command = Command::new(binary);
    command.args([word, "--json", "--bind", "127.0.0.1"]);
    for name in ["PASSEL_SERVER", "PASSEL_CODE", "PASSEL_LOG"] {
        command.env_remove(name);
    }
    command
}

/// One of the two processes, killed when dropped.
struct Side {
    child: Child,
    /// What it said, and when.
    lines: Receiver<(Instant, String)>,
    watch: Watch,
}

impl Side {
    fn start(mut command: Command) -> Result<Self, String> {
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.spawn().map_err(|error| format!("passel: {error}"))?;
        let output = child.stdout.take().ok_or("passel has no output")?;
        let (to, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                // Whoever wanted the lines may be gone; the pipe is emptied anyway.
                let _ = to.send((Instant::now(), line));
            }
        });
        let watch = Watch::start(child.id());
        Ok(Self { child, lines, watch })
    }

    fn event(&self, name: &str, end: Instant) -> Result<Value, String> {
        self.event_after(name, end, &mut Vec::new())
    }

    /// An event, and when files ended before it.
    fn event_after(
        &self,
        name: &str,
        end: Instant,
        files: &mut Vec<Instant>,
    ) -> Result<Value, String> {
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let line = self.lines.recv_timeout(left);
            let (at, line) = line.map_err(|_| format!("passel never said '{name}'"))?;
            let event: Value = serde_json::from_str(&line).map_err(|error| error.to_string())?;
            if event["event"] == "failed" {
                return Err(format!("passel: {}", event["text"]));
            }
            if event["event"] == "file" && event["status"] == "done" {
                files.push(at);
            }
            if event["event"] == name {
                return Ok(event);
            }
        }
    }

    fn end(mut self, end: Instant) -> Result<Usage, String> {
        // The kernel's account can be read until the process is asked how it ended.
        let usage = self.watch.finish(end)?;
        let status = self.child.wait().map_err(|error| error.to_string())?;
        if status.success() { Ok(usage) } else { Err(format!("passel ended with {status}")) }
    }
}

impl Drop for Side {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_thousand_files_and_the_last_are_timed_where_there_are_many() {
        let begin = Instant::now();
        let mut done: Vec<Instant> = (0..2001).map(|n| begin + Duration::from_millis(n)).collect();
        assert_eq!(thousands(&done[..2000]), None);
        done[2000] += Duration::from_millis(500);
        assert_eq!(thousands(&done), Some([0.999, 1.499]));
    }
}
