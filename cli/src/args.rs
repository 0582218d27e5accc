//! The command line: which commands and options there are, and their help. What
//! does not live here: what the commands do.

mod taking;

pub use taking::{Size, TakingArgs};

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroU64;
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args, Parser, Subcommand};
use passel_proto::limits::MAX_NOTE;
use url::Url;

use crate::commands::keeping::parse_duration;

use crate::code::{CODE_VARIABLE, parse_server};
use crate::exit;

/// Where an embedded rendezvous listens unless told otherwise: every interface
/// of this machine, at a port that the system picks.
pub const DEFAULT_LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

const OVERVIEW: &str = "\
Examples:
  passel send photos/ notes.txt          offer files; prints a link
  passel recv                            take them on the other computer: paste it
  passel demo                            try it on this computer alone

'passel help COMMAND' tells more. 'passel help exit-codes' lists the exit codes.";

const SEND: &str = "\
Examples:
  passel send report.pdf                 one file, through a rendezvous in this program
  passel send photos/ notes.txt          directories with all that is in them
  passel send -- -odd-name               a name that begins with a dash
  pg_dump base | passel send - --name base.sql
                                         what another program writes
  passel send --server https://example.org big.iso
                                         meet through that server, by link or code
  passel send --sas report.pdf           no secret: both sides compare words instead
  passel send --limit 5MB/s big.iso      no faster than that
  passel send --keep big.iso             survives interruptions for a day
  passel send --json big.iso             one JSON object a line, for programs

Nothing is sent before the other side has accepted. Symbolic links and special
files in directories are left out, with a warning.";

const RECV: &str = "\
Examples:
  passel recv                            continues what was interrupted, or asks
                                         for the code or link
  passel recv 'https://example.org/t/0q…#…'
  passel recv --server https://example.org 7-crystal-clock
                                         a code needs the server it was made at
  passel recv --out ~/Downloads --yes    no questions asked; files up to 500 MB
  passel recv --yes --max-file none      files of any size
  passel recv --only 'photos/*.jpg' --skip '*-draft*'
                                         a part of it
  passel recv --deny-type application/x-executable --scan 'clamdscan --fdpass'
                                         looks into files before they get their names
  PASSEL_CODE='https://…' passel recv    keeps the link or code out of the process list

Files that exist are never overwritten: what arrives gets a new name. A pattern
matches a path, a name, or a directory with all that is in it. What a rule keeps
out is said; if nothing is left, the offer is refused with exit code 11. What is
kept of interrupted transfers lies in PASSEL_STATE, else in XDG_STATE_HOME or
~/.local/state/passel.";

const PSK: &str = "\
Examples:
  passel psk work.key                    makes a key that both sides need
  passel send --psk-file work.key f      with it there is nothing secret to tell
  passel recv --psk-file work.key

The file is made for its owner's eyes only, and none is overwritten.";

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
    /// Say more on standard error; twice for even more. PASSEL_LOG overrides it, in the syntax
    /// of tracing's filters
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
    /// Make a key for --psk-file
    #[command(after_help = PSK)]
    Psk(PskArgs),
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
    /// Files, directories and pipes to offer; '-' is standard input
    #[arg(required = true, value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// Send standard input under this name [without it: stdin]
    #[arg(long, value_name = "NAME", value_parser = parse_name)]
    pub name: Option<String>,
    /// Meet through this rendezvous server
    #[arg(long, value_name = "URL", env = "PASSEL_SERVER", value_parser = parse_server)]
    pub server: Option<Url>,
    /// Run the rendezvous in this program, at this address; comes before --server
    /// [without either: 0.0.0.0:0, any free port]
    #[arg(long, value_name = "ADDR")]
    pub listen: Option<SocketAddr>,
    /// How it uses the network.
    #[command(flatten)]
    pub net: NetArgs,
    /// Write one JSON object a line to standard output instead of text
    #[arg(long)]
    pub json: bool,
    /// Use no secret: both sides compare words and digits before anything is offered
    #[arg(long, conflicts_with = "psk_file")]
    pub sas: bool,
    /// Use the key in this file, which the other side has too ('passel psk' makes one)
    #[arg(long, value_name = "FILE")]
    pub psk_file: Option<PathBuf>,
    /// Send no faster than this, in bytes a second: 5MB/s, 800KiB, 2m
    #[arg(long, value_name = "RATE", value_parser = parse_rate)]
    pub limit: Option<NonZeroU64>,
    /// Wait for the receiver after an interruption, and continue when the same
    /// command is run again; for so long, such as 30m or 7d [without a value: 24h]
    #[arg(
        long, value_name = "DURATION", value_parser = parse_duration,
        num_args = 0..=1, require_equals = true, default_missing_value = "24h"
    )]
    pub keep: Option<Duration>,
    /// A line for the person on the other side
    #[arg(long, value_name = "TEXT", value_parser = parse_note)]
    pub note: Option<String>,
}

/// How a transfer uses the network, and what it takes for a loss.
#[derive(Clone, Copy, Debug, Args)]
pub struct NetArgs {
    /// Use only this local address for the transfer
    #[arg(long, value_name = "ADDR")]
    pub bind: Option<IpAddr>,
    /// Ask this STUN server for the addresses at which others see this computer
    #[arg(long, value_name = "ADDR:PORT")]
    pub stun: Option<SocketAddr>,
    /// Seconds of silence after which the connection counts as lost; four times as many
    /// while the path itself still answers
    #[arg(
        long, value_name = "SECONDS", default_value_t = 30,
        value_parser = clap::value_parser!(u64).range(3..=600)
    )]
    pub silence: u64,
    /// How often to try to connect again after a loss
    #[arg(
        long, value_name = "NUMBER", default_value_t = 5,
        value_parser = clap::value_parser!(u32).range(0..=100)
    )]
    pub attempts: u32,
    /// Most associations to use side by side, 32 for paths that lose much; the smaller
    /// number of both sides holds
    #[arg(
        long, value_name = "NUMBER", default_value_t = 8,
        value_parser = clap::value_parser!(u16).range(1..=32)
    )]
    pub lanes: u16,
    /// Threads for them; 0 if they share one with the rest, as with fewer than four cores
    #[arg(
        long, value_name = "NUMBER",
        value_parser = clap::value_parser!(u16).range(0..=8)
    )]
    pub lane_threads: Option<u16>,
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
    /// Continue the interrupted transfer of this number in the list
    #[arg(long = "continue", value_name = "NUMBER", conflicts_with = "invitation")]
    pub number: Option<usize>,
    /// Look the code up at this rendezvous server; a link names its own
    #[arg(long, value_name = "URL", env = "PASSEL_SERVER", value_parser = parse_server)]
    pub server: Option<Url>,
    /// The key that the sender used too
    #[arg(long, value_name = "FILE")]
    pub psk_file: Option<PathBuf>,
    /// Directory to write to; made if it is missing
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub out: PathBuf,
    /// Accept whatever is offered, without a question; words are to be compared all the same
    #[arg(short, long)]
    pub yes: bool,
    /// Write one JSON object a line to standard output instead of text
    #[arg(long)]
    pub json: bool,
    /// How it uses the network.
    #[command(flatten)]
    pub net: NetArgs,
    /// What is taken of the offer
    #[command(flatten)]
    pub taking: TakingArgs,
}

/// Arguments of `passel psk`.
#[derive(Debug, Args)]
pub struct PskArgs {
    /// The file to make
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
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

fn parse_name(text: &str) -> Result<String, String> {
    if text.contains('/') {
        return Err("a name has no '/'".to_owned());
    }
    Ok(text.to_owned())
}

/// A number of bytes with an optional unit, a second of which may be spelt out.
/// Units of 1000 are `kB`, `MB`, `GB` (or `k`, `M`, `G`); of 1024 `KiB`, `MiB`, `GiB`.
fn parse_rate(text: &str) -> Result<NonZeroU64, String> {
    let plain = text.trim().to_ascii_lowercase();
    let plain = plain.strip_suffix("/s").unwrap_or(&plain);
    let digits = plain.find(|c: char| !c.is_ascii_digit()).unwrap_or(plain.len());
    let (number, unit) = plain.split_at(digits);
    let scale: u64 = match unit.trim() {
        "" | "b" => 1,
        "k" | "kb" => 1_000,
        "m" | "mb" => 1_000_000,
        "g" | "gb" => 1_000_000_000,
        "kib" => 1 << 10,
        "mib" => 1 << 20,
        "gib" => 1 << 30,
        _ => return Err("a rate is a whole number and a unit, such as 5MB/s or 800KiB".to_owned()),
    };
    let number: u64 = number.parse().map_err(|_| "a rate begins with a whole number".to_owned())?;
    let rate = number.checked_mul(scale).ok_or("the rate is too large")?;
    NonZeroU64::new(rate).ok_or_else(|| "a rate of 0 would never end".to_owned())
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
    fn standard_input_is_a_dash_and_has_one_name() {
        let send = send(&["send", "-", "--name", "base.sql"]);
        assert_eq!((send.paths, send.name), (vec![PathBuf::from("-")], Some("base.sql".into())));
        assert!(parse(&["send", "-", "--name", "../base.sql"]).is_err());
    }

    #[test]
    fn a_limit_has_a_number_and_a_unit() {
        let limit = |text| send(&["send", "x", "--limit", text]).limit.unwrap().get();
        assert_eq!([limit("5MB/s"), limit("5m"), limit("7")], [5_000_000, 5_000_000, 7]);
        assert_eq!([limit("800KiB"), limit("1 gib/s")], [819_200, 1 << 30]);
        for text in ["", "0", "fast", "MB", "-1", "1.5MB", "5TB", "99999999999g", "5MB/h"] {
            assert!(parse(&["send", "x", "--limit", text]).is_err(), "{text:?}");
        }
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
