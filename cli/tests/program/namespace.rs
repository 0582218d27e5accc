//! A receiver with a disk of its own: a mount namespace in which a small file
//! system lies over its directory. A machine that does not let a user make one
//! fails these tests, unless `PASSEL_NO_NAMESPACES=1` says that this is known.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use super::pair::receiving;
use super::process::{Process, binary, clean};

/// Mounts, runs the program, and lists what is left before the mount is gone.
const SCRIPT: &str = "mount -t tmpfs -o \"$1\" tmpfs \"$2\" || exit 99; \
    out=$2 list=$3; shift 3; \"$@\"; code=$?; \
    find \"$out\" -mindepth 1 > \"$list\"; exit $code";

/// Whether there can be namespaces here. Fails the test if not, and nobody said
/// that this is known.
pub(crate) fn available() -> bool {
    let tried = unshare().args(["mount", "-t", "tmpfs", "tmpfs", "/mnt"]).output();
    if matches!(&tried, Ok(output) if output.status.success()) {
        return true;
    }
    let known = std::env::var_os("PASSEL_NO_NAMESPACES").is_some_and(|value| value == "1");
    let text = "this machine gives no mount namespace, so nothing is known about full disks";
    assert!(known, "{text}; set PASSEL_NO_NAMESPACES=1 to go on without: {tried:?}");
    // Past the capture of tests' output, so that it is seen.
    let mut screen = std::io::stderr();
    writeln!(screen, "NOT TESTED: {text}").unwrap();
    false
}

fn unshare() -> Command {
    let mut command = clean(Command::new("unshare"));
    // Who kills `unshare` kills everything in it.
    command.args(["--map-root-user", "--mount", "--pid", "--fork", "--kill-child", "--"]);
    command
}

/// Starts a receiver into `out`, over which a tmpfs with these `options` is
/// mounted. What is left there at the end is listed in the file `list`.
/// Without `yes` it waits for an answer on its standard input.
pub(crate) fn recv(options: &str, link: &str, out: &Path, list: &Path, yes: bool) -> Process {
    let mut command = unshare();
    command.args(["sh", "-c", SCRIPT, "sh", options]).arg(out).arg(list).arg(binary());
    let mut command = receiving(command, link, out);
    if yes {
        command.arg("--yes");
    } else {
        command.stdin(Stdio::piped());
    }
    Process::start("receiver", command)
}
