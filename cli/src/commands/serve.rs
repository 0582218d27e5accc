//! `passel serve`: a rendezvous for others, until it is interrupted.

use std::io::Write;

use passel_rendezvous::shell::{Listener, Rendezvous, ShellConfig, router, serve_router};

use super::interrupt::Interrupt;
use super::report::Report;
use crate::args::ServeArgs;
use crate::events::Event;
use crate::exit::{Exit, Failure, table};
use crate::machine::Machine;

/// Runs the command.
pub(super) async fn run(machine: &impl Machine, args: ServeArgs) -> Exit {
    let mut report = Report::new(machine, args.json);
    match serve(machine, &args, &mut report).await {
        Ok(()) => Exit::Ok,
        Err(error) => report.fail(&Failure::new(
            Exit::Server,
            format!("the rendezvous cannot listen at {}: {error}", args.listen),
            "Choose another address with --listen.",
        )),
    }
}

async fn serve(
    machine: &impl Machine,
    args: &ServeArgs,
    report: &mut Report,
) -> std::io::Result<()> {
    let interrupt = Interrupt::listen(machine);
    let listener = machine.listen(args.listen).await?;
    let url = format!("http://{}/", listener.local_addr()?);
    let config = ShellConfig::default();
    let server = Rendezvous::start(config.clone())?;
    report.event(&Event::Listening { url: url.clone() });
    report.say(&format!("Rendezvous at {url} until Ctrl-C."));
    report.say(&format!("Send through it with: passel send --server {url} PATH…"));
    serve_router(listener, router(&server), &config, interrupt.asked()).await;
    server.close_sockets();
    Ok(())
}

/// `passel exit-codes`
pub(super) fn print_exit_codes() -> Exit {
    let _ = writeln!(std::io::stdout(), "{}", table());
    Exit::Ok
}
