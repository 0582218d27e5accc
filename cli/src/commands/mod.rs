//! The commands: what each does from the first word to the exit code. The
//! protocol is not decided here; what a person reads comes from `ui`, what a
//! program reads from `events`.

mod controls;
mod demo;
mod drive;
mod interrupt;
mod meter;
mod recv;
mod report;
mod send;
mod serve;

use std::process::ExitCode;

use passel_proto::crypto::Entropy;

use crate::args::{Cli, Command};
use crate::exit::{Exit, Failure};

/// Runs the command and returns the exit code.
pub(crate) fn run(cli: Cli) -> ExitCode {
    crate::ui::log::start(cli.verbose);
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            let failure = Failure::new(
                Exit::Other,
                format!("the program cannot start: {error}"),
                "Close other programs and try again.",
            );
            return report::Report::human().fail(&failure);
        }
    };
    let exit = runtime.block_on(async {
        match cli.command {
            Command::Send(args) => Box::pin(send::run(args)).await,
            Command::Recv(args) => Box::pin(recv::run(args)).await,
            Command::Serve(args) => serve::run(args).await,
            Command::Demo(args) => demo::run(args).await,
            Command::ExitCodes => serve::print_exit_codes(),
        }
    });
    // A thread that still waits for an answer at the terminal must not hold up
    // the end.
    runtime.shutdown_background();
    exit
}

/// Entropy from the system, for everything that this process draws.
fn entropy() -> Result<Entropy, Failure> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(|error| {
        Failure::new(
            Exit::Other,
            format!("the system gives no random numbers: {error}"),
            "Try again after a restart of the computer.",
        )
    })?;
    Ok(Entropy::from_seed(seed))
}
