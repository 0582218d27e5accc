//! A Python with the one package that the second reader needs, in a virtual
//! environment below `target/`. It is made once for each list of requirements;
//! what is installed on the machine already is used, so that a machine without a
//! network can do without one.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::process::{End, run_lines};
use crate::repo;
use crate::step::seconds;

/// Where the reader lives.
pub(super) const READER: &str = "spec/vectors/check";
/// It reads TOML with the standard library.
const OLDEST: &str = "import sys; sys.exit(sys.version_info < (3, 11))";
const LIMIT: Duration = Duration::from_secs(4 * 60);

/// Returns the interpreter, made ready if need be.
pub(super) fn prepare() -> Result<PathBuf, String> {
    let list = repo::root().join(READER).join("requirements.txt");
    let wanted = std::fs::read_to_string(&list).map_err(|error| format!("{READER}: {error}"))?;
    let directory = repo::target().join("tools").join("vectors-venv");
    let interpreter = interpreter_in(&directory);
    let stamp = directory.join("passel-requirements.txt");
    let made = std::fs::read_to_string(&stamp).is_ok_and(|found| found == wanted);
    if made && run(command(&interpreter).args(["-c", "import cryptography"])).is_ok() {
        return Ok(interpreter);
    }

    let system = ["python3", "python"]
        .into_iter()
        .find(|name| run(command(Path::new(name)).args(["-c", OLDEST])).is_ok())
        .ok_or("there is no Python 3.11 or later; the second reader needs one")?;
    let mut make = command(Path::new(system));
    make.args(["-m", "venv", "--clear", "--system-site-packages"]).arg(&directory);
    run(&mut make).map_err(|text| format!("no virtual environment can be made: {text}"))?;
    let mut install = command(&interpreter);
    install.args(["-m", "pip", "install", "--quiet", "--retries", "1", "--requirement"]).arg(&list);
    run(&mut install).map_err(|text| {
        let wanted = wanted.trim();
        format!("{wanted} is not installed, and cannot be; is there a network?\n{text}")
    })?;
    std::fs::write(&stamp, &wanted).map_err(|error| format!("{}: {error}", stamp.display()))?;
    Ok(interpreter)
}

fn interpreter_in(directory: &Path) -> PathBuf {
    if cfg!(windows) {
        directory.join("Scripts").join("python.exe")
    } else {
        directory.join("bin").join("python")
    }
}

/// A command that runs Python and leaves no compiled files in the tree.
pub(super) fn command(interpreter: &Path) -> Command {
    let mut command = Command::new(interpreter);
    command.arg("-B").current_dir(repo::root()).stdin(Stdio::null());
    command.env_remove("PYTHONPATH").env_remove("PYTHONHOME").env("PYTHONIOENCODING", "utf-8");
    command
}

/// Runs a command to its end; its output is the text of a failure.
fn run(command: &mut Command) -> Result<(), String> {
    let mut lines = Vec::new();
    let end = run_lines(command, LIMIT, |line| lines.push(line.to_owned()))
        .map_err(|error| error.to_string())?;
    match end {
        End::TimedOut => Err(format!("stopped after {}", seconds(LIMIT))),
        end if end.is_success() => Ok(()),
        End::Exited(status) => Err(format!("{status}\n{}", lines.join("\n"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_fails_or_is_not_there_says_why() {
        let missing = run(&mut Command::new("passel-no-such-program"));
        assert!(missing.is_err_and(|text| !text.is_empty()));
    }

    #[test]
    fn one_package_is_required_in_one_version() {
        let list = repo::root().join(READER).join("requirements.txt");
        let text = std::fs::read_to_string(list).unwrap();
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(text.starts_with("cryptography==") && !text.contains("hash"), "{text}");
    }
}
