//! A pseudo-terminal that stands in for the one that a person types at.

use std::fs::File;
use std::io::Write;
use std::process::Stdio;

use rustix::fs::{Mode, OFlags, open};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

/// The person's end.
pub(crate) struct Terminal {
    person: File,
}

impl Terminal {
    /// A terminal, and its program's end.
    pub(crate) fn open() -> (Self, Stdio) {
        let person = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&person).unwrap();
        unlockpt(&person).unwrap();
        let name = ptsname(&person, Vec::new()).unwrap();
        let program = open(name, OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).unwrap();
        (Self { person: File::from(person) }, Stdio::from(File::from(program)))
    }

    /// Types a line.
    pub(crate) fn type_in(&mut self, line: &str) {
        writeln!(self.person, "{line}").unwrap();
    }
}
