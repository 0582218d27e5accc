//! `passel psk`: makes a key of the user's own, for `--psk-file` on both sides.

use std::path::Path;

use passel_proto::crypto::Secret32;
use passel_proto::escape::for_terminal;

use super::entropy;
use super::report::Report;
use crate::args::PskArgs;
use crate::exit::{Exit, Failure};
use crate::machine::Machine;
use crate::psk::{self, PskError};

/// Runs the command.
pub(super) fn run(machine: &impl Machine, args: &PskArgs) -> Exit {
    let mut report = Report::new(machine, false);
    let made = entropy(machine).and_then(|mut entropy| {
        psk::store(&args.file, &Secret32::new(entropy.array())).map_err(|error| failure(&error))
    });
    match made {
        Ok(()) => {
            let name = for_terminal(&args.file.to_string_lossy());
            report.say(&format!(
                "A new key is in '{name}'. Take a copy to the other computer on a way that you trust."
            ));
            Exit::Ok
        }
        Err(failure) => report.fail(&failure),
    }
}

/// The key in a file that the user named, and the warning that is due.
pub(super) fn load(file: &Path) -> Result<(Secret32, Option<String>), Failure> {
    psk::load(file).map_err(|error| failure(&error))
}

fn failure(error: &PskError) -> Failure {
    Failure::new(
        Exit::Usage,
        error,
        "Make one with 'passel psk FILE', and copy it to the other side.",
    )
}
