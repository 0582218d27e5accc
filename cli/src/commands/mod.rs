//! The commands: what each does from the first word to the exit code. The
//! protocol is not decided here; what a person reads comes from `ui`, what a
//! program reads from `events`.

mod again;
mod answer;
mod book;
mod compare;
mod continuing;
mod controls;
mod demo;
mod drive;
mod interrupt;
mod inviting;
pub(crate) mod keeping;
mod meter;
mod psk;
mod recv;
mod report;
mod send;
mod serve;

use std::process::ExitCode;

use passel_proto::crypto::Entropy;
use tokio::sync::oneshot;

use crate::args::{Cli, Command};
use crate::exit::{Exit, Failure};
use crate::machine::{Machine, Real};

/// Runs the command and returns the exit code.
pub(crate) fn run(cli: Cli) -> ExitCode {
    crate::ui::log::start(cli.verbose);
    crate::files::allow_many();
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            let failure = Failure::new(
                Exit::Other,
                format!("the program cannot start: {error}"),
                "Close other programs and try again.",
            );
            return report::Report::human().fail(&failure).into();
        }
    };
    let exit = runtime.block_on(async {
        if matches!(cli.command, Command::Recv(_)) {
            interrupt::survive_large_files();
        }
        run_on(&Real, cli.command).await
    });
    // A thread that still waits for an answer at the terminal must not hold up
    // the end.
    runtime.shutdown_background();
    exit.into()
}

/// Runs a command over a machine, on the current runtime.
pub async fn run_on<M: Machine>(machine: &M, command: Command) -> Exit {
    match command {
        Command::Send(args) => Box::pin(send::run(machine, args)).await,
        Command::Recv(args) => Box::pin(recv::run(machine, args)).await,
        Command::Serve(args) => Box::pin(serve::run(machine, args)).await,
        Command::Psk(args) => psk::run(machine, &args),
        Command::Demo(args) => Box::pin(demo::run(args)).await,
        Command::ExitCodes => serve::print_exit_codes(),
    }
}

/// Ends the process, whatever it is doing.
pub(crate) fn end_at_once() -> ! {
    controls::restore_terminal();
    crate::files::scan::kill_running();
    std::process::exit(Exit::Cancelled.code().into());
}

/// Entropy from the machine, for everything that this process draws.
fn entropy(machine: &impl Machine) -> Result<Entropy, Failure> {
    let seed = machine.entropy().map_err(|error| {
        Failure::new(
            Exit::Other,
            format!("the system gives no random numbers: {error}"),
            "Try again after a restart of the computer.",
        )
    })?;
    Ok(Entropy::from_seed(seed))
}

/// Runs `work` on a thread that may outlive the program's main part, because
/// nobody can interrupt a read from the terminal.
fn on_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> oneshot::Receiver<T> {
    let (done, result) = oneshot::channel();
    std::thread::spawn(move || {
        // Whoever waited may be gone.
        let _ = done.send(work());
    });
    result
}

#[cfg(test)]
mod tests;
