//! `passel serve`: a rendezvous for others, until it is interrupted.

use std::io::Write;
use std::process::ExitCode;

use passel_rendezvous::shell::{Rendezvous, ShellConfig, router, serve_router};
use tokio::net::TcpListener;

use super::interrupt::Interrupt;
use super::report::Report;
use crate::args::ServeArgs;
use crate::events::Event;
use crate::exit::{Exit, Failure, table};

/// Runs the command.
pub(super) async fn run(args: ServeArgs) -> ExitCode {
    let mut report = Report::new(args.json);
    match serve(&args, &mut report).await {
        Ok(()) => Exit::Ok.into(),
        Err(error) => report.fail(&Failure::new(
            Exit::Server,
            format!("the rendezvous cannot listen at {}: {error}", args.listen),
            "Choose another address with --listen.",
        )),
    }
}

async fn serve(args: &ServeArgs, report: &mut Report) -> std::io::Result<()> {
    let interrupt = Interrupt::listen();
    let listener = TcpListener::bind(args.listen).await?;
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
pub(super) fn print_exit_codes() -> ExitCode {
    let _ = writeln!(std::io::stdout(), "{}", table());
    Exit::Ok.into()
}
