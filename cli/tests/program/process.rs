//! One process of the program under test: its output line by line, its end, its
//! peak memory, all within time limits. It is killed when dropped. What it is
//! told to do lives in the tests.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// Longest wait for a line or an end, on a machine that has other work too.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// Most memory that either side may ever have had, in KiB.
const MAX_PEAK: u64 = 64 * 1024;

/// The program under test.
pub(crate) fn binary() -> PathBuf {
    std::env::var_os("PASSEL_BIN")
        .map_or_else(|| Path::new(env!("CARGO_BIN_EXE_passel")).to_owned(), PathBuf::from)
}

/// The program under test, free of what this process's environment says.
pub(crate) fn passel() -> Command {
    clean(Command::new(binary()))
}

/// `command` without standard input and without the program's own variables.
pub(crate) fn clean(mut command: Command) -> Command {
    command.stdin(Stdio::null());
    for name in ["PASSEL_SERVER", "PASSEL_CODE", "PASSEL_LOG", "RUST_LOG"] {
        command.env_remove(name);
    }
    command
}

/// A process that runs.
pub(crate) struct Process {
    name: String,
    child: Child,
    lines: Receiver<String>,
    seen: Vec<String>,
    errors: Option<JoinHandle<String>>,
    watch: Option<JoinHandle<Option<u64>>>,
    input: Option<ChildStdin>,
}

/// A process that ended.
pub(crate) struct Ended {
    /// Its exit code; none if a signal ended it.
    pub(crate) code: Option<i32>,
    /// Lines of standard output.
    pub(crate) lines: Vec<String>,
    /// Standard error.
    pub(crate) errors: String,
    name: String,
    peak: Option<u64>,
}

impl Process {
    /// Starts `command`; `name` is for messages.
    pub(crate) fn start(name: &str, mut command: Command) -> Self {
        let mut child =
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
        let (to, lines) = channel();
        let output = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                let _ = to.send(line);
            }
        });
        let mut output = child.stderr.take().unwrap();
        let errors = std::thread::spawn(move || {
            let mut bytes = Vec::new();
            let _ = output.read_to_end(&mut bytes);
            String::from_utf8_lossy(&bytes).into_owned()
        });
        let pid = child.id();
        let watch = std::thread::spawn(move || watch_peak(pid));
        let input = child.stdin.take();
        Self {
            name: name.to_owned(),
            child,
            lines,
            seen: Vec::new(),
            errors: Some(errors),
            watch: Some(watch),
            input,
        }
    }

    /// Its number.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Ends it as a lost power supply would, and waits until it is gone with all that
    /// it held open.
    pub(crate) fn kill(mut self) {
        self.signal(Signal::KILL);
        self.child.wait().unwrap();
    }

    /// Writes to its standard input, which must be a pipe and stays open.
    pub(crate) fn type_in(&mut self, text: &str) {
        self.input.as_mut().unwrap().write_all(text.as_bytes()).unwrap();
    }

    /// Takes its standard input, which must be a pipe.
    pub(crate) fn take_input(&mut self) -> ChildStdin {
        self.input.take().unwrap()
    }

    /// Waits for the JSON event of this name; others are passed over.
    pub(crate) fn event(&mut self, name: &str) -> Value {
        self.event_where(name, |_| true)
    }

    /// Waits for a JSON event of this name that `is_it`.
    pub(crate) fn event_where(&mut self, name: &str, is_it: impl Fn(&Value) -> bool) -> Value {
        let end = Instant::now() + PATIENCE;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) => {
                    let event: Value = serde_json::from_str(&line).unwrap_or_default();
                    self.seen.push(line);
                    if event["event"] == name && is_it(&event) {
                        return event;
                    }
                }
                Err(error) => self.give_up(&format!("no event '{name}': {error}")),
            }
        }
    }

    /// Waits for its end.
    pub(crate) fn end(self) -> Ended {
        self.end_within(PATIENCE)
    }

    /// Waits for its end, no longer than this.
    pub(crate) fn end_within(mut self, limit: Duration) -> Ended {
        let status = self.status(limit);
        // Both pipes close with the process, so that these waits end too.
        loop {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) => self.seen.push(line),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => self.give_up("its output stays open"),
            }
        }
        Ended {
            code: status.code(),
            lines: std::mem::take(&mut self.seen),
            errors: self.errors.take().unwrap().join().unwrap(),
            name: self.name.clone(),
            peak: self.watch.take().unwrap().join().unwrap(),
        }
    }

    fn status(&mut self, limit: Duration) -> ExitStatus {
        let end = Instant::now() + limit;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            if Instant::now() >= end {
                self.give_up(&format!("it still runs after {limit:?}"));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn give_up(&mut self, why: &str) -> ! {
        let _ = self.child.kill();
        let _ = self.child.wait();
        while let Ok(line) = self.lines.recv_timeout(Duration::from_secs(1)) {
            self.seen.push(line);
        }
        let errors = self.errors.take().and_then(|errors| errors.join().ok()).unwrap_or_default();
        panic!("{}: {why}\n{}\n{errors}", self.name, self.seen.join("\n"));
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Ended {
    /// Fails the test unless it ended with this exit code.
    #[track_caller]
    pub(crate) fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{}", self.all());
        self
    }

    /// All that it said, for messages.
    pub(crate) fn all(&self) -> String {
        format!("{}:\n{}\n{}", self.name, self.lines.join("\n"), self.errors)
    }

    /// Its standard output as JSON events. Fails the test if a line is not one.
    #[track_caller]
    pub(crate) fn events(&self) -> Vec<Value> {
        let parse = |line: &String| {
            let event: Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"));
            assert!(event["event"].is_string(), "{line}");
            event
        };
        self.lines.iter().map(parse).collect()
    }

    /// The last event.
    #[track_caller]
    pub(crate) fn last(&self) -> Value {
        self.events().pop().unwrap_or_else(|| panic!("no events; {}", self.all()))
    }

    /// The sentences of the `failed` event, which must be the last and repeat
    /// the exit code.
    #[track_caller]
    pub(crate) fn failure(&self) -> String {
        let last = self.last();
        assert_eq!(last["event"], "failed", "{}", self.all());
        assert_eq!(last["exit"].as_i64(), self.code.map(i64::from), "{}", self.all());
        last["text"].as_str().unwrap().to_owned()
    }

    /// Fails the test unless it is known that its resident memory was below the
    /// limit at all times.
    #[track_caller]
    pub(crate) fn expect_small(&self) {
        let peak = self.peak.expect("its peak memory was measured");
        assert!(peak > 1024, "{}: {peak} KiB can't be right", self.name);
        assert!(peak < MAX_PEAK, "{}: {peak} KiB of memory", self.name);
    }
}

/// The highest resident memory of a process in KiB, as the kernel keeps it, read
/// until the process is gone. The kernel's number only grows, so that at most the
/// last moments are missed.
fn watch_peak(pid: u32) -> Option<u64> {
    let mut peak = None;
    while let Ok(status) = std::fs::read_to_string(format!("/proc/{pid}/status")) {
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        match line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse().ok()) {
            Some(now) => peak = Some(now),
            // It ended, and waits to be asked how.
            None => break,
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    peak
}
