//! The `passel` program as a library: the parts around the protocol that a
//! command line needs. No protocol decision is made here, and nothing here is a
//! stable interface for others: programs embed `passel-sans-io` instead.

pub mod args;
mod clock;
pub mod code;
mod commands;
pub mod events;
pub mod exit;
pub mod files;
mod hex;
pub mod journal;
pub mod machine;
mod node;
pub mod psk;
mod signaling;
pub mod taking;
pub mod ui;

use std::process::ExitCode;

pub use self::commands::run_on;

/// Runs the program with the process's own arguments and returns its exit code.
pub fn main() -> ExitCode {
    commands::run(args::parse())
}
