//! The command line: which commands and options there are, and their help. What
//! does not live here: what the commands do.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, Subcommand};
use passel_proto::limits::MAX_NOTE;
use url::Url;

use crate::code::{CODE_VARIABLE, parse_server};
use crate::exit;

/// Where an embedded rendezvous listens unless told otherwise: every interface
/// of this machine, at a port that the system picks.
pub const DEFAULT_LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

const OVERVIEW: &str = "\
Examples:
  passel send photos/ notes.txt          offer files; prints a code and a link
  passel recv 7-crystal-clock            take them on the other computer
  passel demo                            try it on this computer alone

'passel help COMMAND' tells more. 'passel help exit-codes' lists the exit codes.";

const SEND: &str = "\
Examples:
  passel send report.pdf                 one file, through a rendezvous in this program
  passel send photos/ notes.txt          directories with all that is in them
  passel send -- -odd-name               a name that begins with a dash
  passel send --server https://example.org big.iso
                                         meet through that server
  passel send --json big.iso             one JSON object a line, for programs

Nothing is sent before the other side has accepted. Symbolic links and special
files are left out, with a warning.";

const RECV: &str = "\
Examples:
  passel recv                            asks for the code or link
  passel recv 7-crystal-clock
  passel recv 'https://example.org/t/0q…#…'
  passel recv --out ~/Downloads --yes    no questions asked
  PASSEL_CODE=7-crystal-clock passel recv
                                         keeps the code out of the process list

Files that exist are never overwritten: what arrives gets a new name.";

const SERVE: &str = "\
Examples:
  passel serve --listen 0.0.0.0:8080     a rendezvous for everybody who can reach it

The rendezvous brings two sides together. It sees neither names nor contents.";

const DEMO: &str = "\
Examples:
  passel demo                            sends a file of random bytes to itself
  passel demo big.iso                    sends that file to itself

A rendezvous, a sender and a receiver run as three processes and talk over the
loopback interface. The copy is compared with the original and removed.";

/// Sends files from computer to computer, end to end encrypted, so that no
/// server in between learns what they are.
#[derive(Debug, Parser)]
#[command(name = "passel", version, after_help = OVERVIEW, propagate_version = true)]
pub struct Cli {
    /// Say more on standard error; twice for even more
    #[arg(short, long, action = ArgAction::Count, global = true)]
    pub verbose: u8,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Offer files and directories to somebody
    #[command(after_help = SEND)]
    Send(SendArgs),
    /// Take what somebody offers
    #[command(after_help = RECV, visible_alias = "receive")]
    Recv(RecvArgs),
    /// Run a rendezvous server
    #[command(after_help = SERVE)]
    Serve(ServeArgs),
    /// Send a file to this computer itself, to see that everything works
    #[command(after_help = DEMO)]
    Demo(DemoArgs),
    /// List the exit codes and what they mean
    #[command(after_help = exit::table())]
    ExitCodes,
}

/// Arguments of `passel send`.
#[derive(Debug, Args)]
pub struct SendArgs {
    /// Files and directories to offer
    #[arg(required = true, value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// Meet through this rendezvous server
    #[arg(long, value_name = "URL", env = "PASSEL_SERVER", value_parser = parse_server)]
    pub server: Option<Url>,
    /// Run the rendezvous in this program, at this address; comes before --server
    /// [without either: 0.0.0.0:0, any free port]
    #[arg(long, value_name = "ADDR")]
    pub listen: Option<SocketAddr>,
    /// Use only this local address for the transfer
    #[arg(long, value_name = "ADDR")]
    pub bind: Option<IpAddr>,
    /// Write one JSON object a line to standard output instead of text
    #[arg(long)]
    pub json: bool,
    /// A line for the person on the other side
    #[arg(long, value_name = "TEXT", value_parser = parse_note)]
    pub note: Option<String>,
}

/// How a sender and its receiver find each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rendezvous {
    /// Through somebody's server.
    Server(Url),
    /// Through a server within this program, which listens here.
    Embedded(SocketAddr),
}

impl SendArgs {
    /// Where to meet. `--listen` comes first because `PASSEL_SERVER` may be set
    /// for good while an option is meant for this one time.
    pub fn rendezvous(&self) -> Rendezvous {
        match (self.listen, &self.server) {
            (Some(address), _) => Rendezvous::Embedded(address),
            (None, Some(server)) => Rendezvous::Server(server.clone()),
            (None, None) => Rendezvous::Embedded(DEFAULT_LISTEN),
        }
    }
}

/// Arguments of `passel recv`.
#[derive(Debug, Args)]
pub struct RecvArgs {
    /// The code or link; if missing, PASSEL_CODE, then standard input
    #[arg(value_name = "CODE|LINK")]
    pub invitation: Option<String>,
    /// Look the code up at this rendezvous server; a link names its own
    #[arg(long, value_name = "URL", env = "PASSEL_SERVER", value_parser = parse_server)]
    pub server: Option<Url>,
    /// Directory to write to; made if it is missing
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub out: PathBuf,
    /// Accept whatever is offered, without a question
    #[arg(short, long)]
    pub yes: bool,
    /// Write one JSON object a line to standard output instead of text
    #[arg(long)]
    pub json: bool,
    /// Use only this local address for the transfer
    #[arg(long, value_name = "ADDR")]
    pub bind: Option<IpAddr>,
}

impl RecvArgs {
    /// The invitation that the environment holds, if any.
    pub fn invitation_variable() -> Option<String> {
        std::env::var(CODE_VARIABLE).ok()
    }
}

/// Arguments of `passel serve`.
#[derive(Debug, Args)]
pub struct ServeArgs {
    /// Where to listen
    #[arg(long, value_name = "ADDR")]
    pub listen: SocketAddr,
    /// Write one JSON object a line to standard output instead of text
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `passel demo`.
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// The file to send; without it, random bytes
    #[arg(value_name = "FILE")]
    pub file: Option<PathBuf>,
}

fn parse_note(text: &str) -> Result<String, String> {
    if text.len() > MAX_NOTE {
        return Err(format!("a note has at most {MAX_NOTE} bytes"));
    }
    Ok(text.to_owned())
}

/// Reads the process's arguments. Help, version and mistakes are answered here,
/// and end the process: mistakes with the exit code for usage, which is clap's too.
pub fn parse() -> Cli {
    Cli::parse()
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn parse(arguments: &[&str]) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(std::iter::once(&"passel").chain(arguments))
    }

    fn send(arguments: &[&str]) -> SendArgs {
        match parse(arguments).unwrap().command {
            Command::Send(send) => send,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_definition_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn names_that_begin_with_a_dash_come_after_two_dashes() {
        assert_eq!(send(&["send", "--", "-odd"]).paths, [PathBuf::from("-odd")]);
        assert!(parse(&["send", "-odd"]).is_err());
    }

    #[test]
    fn listen_comes_before_server_and_embedded_is_the_default() {
        let server = "https://a.example/";
        assert_eq!(
            send(&["send", "x", "--server", server]).rendezvous(),
            Rendezvous::Server(Url::parse(server).unwrap())
        );
        assert_eq!(
            send(&["send", "x", "--server", server, "--listen", "127.0.0.1:1"]).rendezvous(),
            Rendezvous::Embedded("127.0.0.1:1".parse().unwrap())
        );
        let send = SendArgs { server: None, ..send(&["send", "x"]) };
        assert_eq!(send.rendezvous(), Rendezvous::Embedded("0.0.0.0:0".parse().unwrap()));
    }

    #[test]
    fn a_note_above_its_limit_is_refused() {
        assert!(parse(&["send", "x", "--note", &"n".repeat(MAX_NOTE)]).is_ok());
        assert!(parse(&["send", "x", "--note", &"n".repeat(MAX_NOTE + 1)]).is_err());
    }

    #[test]
    fn every_command_has_examples_or_a_table_and_mistakes_exit_with_usage() {
        for command in Cli::command().get_subcommands() {
            let help = command.clone().render_long_help().to_string();
            let name = command.get_name();
            assert!(help.contains("Examples:") || name == "exit-codes", "{name}: {help}");
        }
        let mistake = parse(&["send"]).unwrap_err();
        assert_eq!(mistake.exit_code(), i32::from(exit::Exit::Usage.code()));
    }

    #[test]
    fn help_lists_the_exit_codes() {
        let help = parse(&["help", "exit-codes"]).unwrap_err().to_string();
        assert!(help.contains(&exit::table()), "{help}");
    }
}
