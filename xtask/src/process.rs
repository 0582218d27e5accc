//! Runs a program, hands over its lines as they come, and bounds its time. What
//! the lines mean is known to the caller.

use std::io::{self, BufRead, BufReader};
use std::process::{Child, Command, ExitStatus};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

/// How a program ended.
#[derive(Debug)]
pub(crate) enum End {
    /// By itself.
    Exited(ExitStatus),
    /// It was stopped when its time was over.
    TimedOut,
}

impl End {
    /// Whether it ended by itself and said that all is well.
    pub(crate) fn is_success(&self) -> bool {
        matches!(self, End::Exited(status) if status.success())
    }
}

/// Runs `command` with its standard output and error joined in one pipe, so that
/// their order is kept, and calls `on_line` for each line without its end.
pub(crate) fn run_lines(
    command: &mut Command,
    limit: Duration,
    mut on_line: impl FnMut(&str),
) -> io::Result<End> {
    let (reader, writer) = io::pipe()?;
    command.stdout(writer.try_clone()?).stderr(writer);
    detach(command);
    let mut child = command.spawn()?;
    // The command holds the pipe's writing end; without this it never closes.
    command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());

    let (sender, lines) = mpsc::channel();
    thread::spawn(move || {
        let mut reader = BufReader::new(reader);
        let mut line = Vec::new();
        while matches!(reader.read_until(b'\n', &mut line), Ok(count) if count > 0) {
            let text = String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']).to_owned();
            line.clear();
            if sender.send(text).is_err() {
                break;
            }
        }
    });

    let end = Instant::now() + limit;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        match lines.recv_timeout(left) {
            Ok(line) => on_line(&line),
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => {
                stop(&mut child);
                return Ok(End::TimedOut);
            }
        }
    }
    // The pipe is closed, so that nothing remains to wait for but the exit itself.
    Ok(End::Exited(child.wait()?))
}

/// Puts the program into a process group of its own where nobody sits at a
/// terminal, so that its children can be stopped with it.
fn detach(command: &mut Command) {
    #[cfg(unix)]
    if std::env::var_os("CI").is_some() {
        std::os::unix::process::CommandExt::process_group(command, 0);
    }
    #[cfg(not(unix))]
    let _ = command;
}

fn stop(child: &mut Child) {
    if cfg!(unix) && std::env::var_os("CI").is_some() {
        let group = format!("-{}", child.id());
        let _ = Command::new("kill").args(["-KILL", "--", &group]).status();
    }
    let _ = child.kill();
    let _ = child.wait();
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn output_and_error_keep_their_order() {
        let mut seen = Vec::new();
        let mut command = Command::new("sh");
        command.args(["-c", "echo one; echo two >&2; echo three; exit 3"]);
        let end =
            run_lines(&mut command, Duration::from_secs(20), |line| seen.push(line.to_owned()))
                .unwrap();
        assert_eq!(seen, ["one", "two", "three"]);
        assert!(!end.is_success());
        assert!(matches!(end, End::Exited(status) if status.code() == Some(3)));
    }

    #[test]
    fn a_program_that_hangs_is_stopped() {
        let mut command = Command::new("sleep");
        command.arg("60");
        let begin = Instant::now();
        let end = run_lines(&mut command, Duration::from_millis(50), |_| {}).unwrap();
        assert!(matches!(end, End::TimedOut));
        assert!(begin.elapsed() < Duration::from_secs(30));
    }
}
