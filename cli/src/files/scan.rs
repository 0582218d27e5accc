//! A scanner of the user's: a program that is run on each file before the file gets
//! its final name, within a time limit, and that can be stopped. What does not live
//! here: when it is run (`sink`), and rules on types (`screen`).

use std::ffi::OsString;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::code::CODE_VARIABLE;

/// How often it is looked whether the scanner has ended.
const LOOK: Duration = Duration::from_millis(10);
/// The variable in which the scanner finds the file's path in the offer.
const NAME_VARIABLE: &str = "PASSEL_NAME";

/// The scanner that runs, so that whoever ends the process in a hurry can end it.
static RUNNING: Mutex<Option<Child>> = Mutex::new(None);

/// A program with its arguments; the path of a file comes after them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scanner {
    program: OsString,
    arguments: Vec<OsString>,
}

impl FromStr for Scanner {
    type Err = &'static str;

    /// Words between spaces; nothing is quoted, and no shell sees it.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut words = text.split_whitespace().map(OsString::from);
        let program = words.next().ok_or("a scanner is a program with its arguments")?;
        Ok(Self { program, arguments: words.collect() })
    }
}

impl Scanner {
    /// What is run, as the user wrote it.
    pub fn program(&self) -> String {
        self.program.to_string_lossy().into_owned()
    }

    /// Whether there is such a program to run.
    pub fn is_there(&self) -> bool {
        let program = Path::new(&self.program);
        if program.components().count() > 1 {
            return program.is_file();
        }
        let path = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&path).any(|directory| directory.join(program).is_file())
    }
}

/// Ends a scan that runs, and refuses those that come after, from any thread.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// From now on.
    pub fn stop(&self) {
        self.0.store(true, Ordering::SeqCst);
        kill_running();
    }

    fn is_stopped(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

/// Scans files for one transfer.
#[derive(Debug)]
pub struct Scan {
    /// What to run.
    pub scanner: Scanner,
    /// How long it may take for one file.
    pub limit: Duration,
    /// Whether nobody waits for it any more.
    pub stop: Stop,
}

impl Scan {
    /// Runs the scanner on the file at `path`, which its sender calls `name`. An error
    /// is a clause that says why the file is refused: whatever goes wrong refuses it.
    pub fn check(&self, path: &Path, name: &str) -> Result<(), String> {
        let mut command = Command::new(&self.scanner.program);
        // Not relative: it might be taken for an option.
        let path = std::path::absolute(path).map_err(|error| error.to_string())?;
        command.args(&self.scanner.arguments).arg(path).env(NAME_VARIABLE, name);
        // The secret of the transfer is none of its business.
        command.env_remove(CODE_VARIABLE);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let child =
            command.spawn().map_err(|error| format!("the scanner cannot be run ({error})"))?;
        *running() = Some(child);
        let end = crate::clock::now() + self.limit;
        let ended = loop {
            if let Some(ended) = look()? {
                break ended;
            }
            let is_late = crate::clock::now() >= end;
            if is_late || self.stop.is_stopped() {
                kill_running();
                let why =
                    if is_late { "the scanner took too long" } else { "the scan was stopped" };
                return Err(why.to_owned());
            }
            std::thread::sleep(LOOK);
        };
        if ended.success() {
            return Ok(());
        }
        Err(match ended.code() {
            Some(code) => format!("the scanner refused it with exit code {code}"),
            None => "the scanner was killed".to_owned(),
        })
    }
}

fn running() -> MutexGuard<'static, Option<Child>> {
    RUNNING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether the scanner has ended, and how.
fn look() -> Result<Option<ExitStatus>, String> {
    let mut running = running();
    let Some(child) = running.as_mut() else { return Err("the scan was stopped".to_owned()) };
    let ended = child.try_wait().map_err(|error| format!("the scanner got lost ({error})"))?;
    if ended.is_some() {
        *running = None;
    }
    Ok(ended)
}

/// Kills the scanner that runs, if any, with everything that it started in its
/// process group.
pub fn kill_running() {
    let Some(mut child) = running().take() else { return };
    // Until it has been waited for, its number belongs to nobody else.
    #[cfg(unix)]
    let _ = rustix::process::kill_process_group(
        rustix::process::Pid::from_child(&child),
        rustix::process::Signal::KILL,
    );
    let _ = child.kill();
    let _ = child.wait();
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    /// There is one place for a scanner that runs, as there is one sink to a process.
    static ALONE: Mutex<()> = Mutex::new(());

    fn scan(script: &str, limit: Duration) -> Result<(), String> {
        let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let temp = tempfile::tempdir().unwrap();
        let program = temp.path().join("scanner");
        std::fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o700)).unwrap();
        let file = temp.path().join("a file");
        std::fs::write(&file, b"content").unwrap();
        let scanner: Scanner = format!("/bin/sh {} -x", program.display()).parse().unwrap();
        assert!(scanner.is_there());
        Scan { scanner, limit, stop: Stop::default() }.check(&file, "d/name")
    }

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn it_gets_the_path_last_and_the_name_and_its_exit_code_decides() {
        let looks = "[ $# = 2 ] && [ \"$1\" = -x ] && [ \"$(cat \"$2\")\" = content ] && \
                     [ \"$PASSEL_NAME\" = d/name ] && [ -z \"$PASSEL_CODE\" ]";
        assert_eq!(scan(looks, LONG), Ok(()));
        assert!(scan("exit 7", LONG).unwrap_err().contains("exit code 7"));
        assert!(scan("kill -9 $$", LONG).unwrap_err().contains("killed"));
    }

    #[test]
    fn one_that_takes_too_long_is_killed_with_all_that_it_started() {
        let error = scan("sleep 1000 & wait", Duration::from_millis(50)).unwrap_err();
        assert!(error.contains("too long"), "{error}");
    }

    #[test]
    fn what_is_missing_refuses() {
        let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let scanner: Scanner = "/nonexistent/scanner".parse().unwrap();
        assert!(!scanner.is_there());
        let scan = Scan { scanner, limit: LONG, stop: Stop::default() };
        assert!(scan.check(Path::new("/"), "x").unwrap_err().contains("cannot be run"));
        assert!(" ".parse::<Scanner>().is_err());
    }
}
