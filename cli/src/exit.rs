//! Exit codes, and the sentences that a person reads when something failed: what
//! happened, why, and what to do. One table of codes, one of sentences, so that
//! a message for a code of the registry is never missing. What does not live
//! here: how a failure is printed (`ui`) or written as JSON (`events`).

use std::fmt;
use std::fmt::Write as _;

use passel_proto::error::{Blame, Error, ErrorCode};

macro_rules! exits {
    ($($(#[$doc:meta])* $variant:ident = $code:literal, $meaning:literal;)*) => {
        /// How the program ended, as its exit code.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum Exit {
            $($(#[$doc])* $variant = $code,)*
        }

        impl Exit {
            /// All of them, in the order of their codes.
            pub const ALL: &'static [Exit] = &[$(Exit::$variant,)*];

            /// What the process returns.
            pub fn code(self) -> u8 {
                self as u8
            }

            /// One line that says what it means.
            pub fn meaning(self) -> &'static str {
                match self {
                    $(Exit::$variant => $meaning,)*
                }
            }
        }
    };
}

exits! {
    /// Done.
    Ok = 0, "everything was transferred";
    /// A failure that is none of the others.
    Other = 1, "an internal failure, or one that has no code of its own";
    /// A mistake in the arguments.
    Usage = 2, "the command line was not understood";
    /// A source cannot be read.
    Source = 3, "a file to send is missing or cannot be read";
    /// No rendezvous.
    Server = 4, "the rendezvous server cannot be reached or refused";
    /// The other side is not who was invited.
    Authentication = 5, "wrong code or link, or somebody in between";
    /// A person said no.
    Declined = 6, "the receiver declined, or did not answer in time";
    /// Somebody stopped it.
    Cancelled = 7, "cancelled by either side";
    /// The network went away.
    Lost = 8, "the connection failed, was lost or timed out";
    /// The receiver's disk.
    Storage = 9, "the receiver could not write: disk full, name taken or storage failed";
    /// Some arrived and some did not.
    Partial = 10, "some files failed; the others were transferred";
    /// A limit or a rule about names.
    Refused = 11, "refused by a limit or rule: too large, too many, unsafe name, type, scan";
    /// The other program is too old or too new.
    Incompatible = 12, "the other side speaks another version";
    /// A source changed.
    Changed = 13, "a file changed while it was being sent";
    /// The peer broke the protocol.
    Protocol = 14, "the other side broke the protocol, or data was damaged";
    /// Neither done nor lost.
    Interrupted = 15, "the connection was lost, and the transfer can be continued later";
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// The exit codes as a table, for the help.
pub fn table() -> String {
    let mut out = String::from("Exit codes:\n");
    for exit in Exit::ALL {
        let _ = writeln!(out, "  {:>2}  {}", exit.code(), exit.meaning());
    }
    out.pop();
    out
}

/// On which side a failure arose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// On this one.
    Local,
    /// On the other one, which told us its code.
    Remote,
}

/// A failure that ends the program, ready to be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The exit code.
    pub exit: Exit,
    /// Name of the registry's code, if the failure has one.
    pub code: Option<&'static str>,
    /// Whose fault it is, if that is known.
    pub blame: Option<Blame>,
    /// What happened and why: sentences with full stops, safe to show.
    pub text: String,
    /// What to do about it: one sentence.
    pub advice: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.text, self.advice)
    }
}

impl std::error::Error for Failure {}

impl Failure {
    /// A failure of this program's own, outside the protocol. `text` is a
    /// clause without a full stop and must be escaped already.
    pub fn new(exit: Exit, text: impl fmt::Display, advice: impl Into<String>) -> Self {
        Self {
            exit,
            code: None,
            blame: None,
            text: sentence(&text.to_string()),
            advice: advice.into(),
        }
    }

    /// The failure that `error` is to a person at this side, wherever it arose.
    pub fn of_error(error: &Error) -> Self {
        Self::of(error, if error.from_peer { Origin::Remote } else { Origin::Local })
    }

    /// The failure that `error` is to a person at this side.
    pub fn of(error: &Error, origin: Origin) -> Self {
        let (exit, what, advice) = explain(error.code, origin);
        let mut text = what.to_owned();
        if !error.text.is_empty() {
            let _ = write!(text, " Reason: {}.", error.text.trim_end_matches('.'));
        }
        Self {
            exit,
            code: Some(error.code.name()),
            blame: Some(error.blame),
            text,
            advice: advice.to_owned(),
        }
    }
}

/// The word for `blame` in JSON.
pub fn blame_name(blame: Blame) -> &'static str {
    match blame {
        Blame::Peer => "peer",
        Blame::Incompatible => "incompatible",
        Blame::Misuse => "misuse",
        Blame::Local => "local",
        Blame::Circumstance => "circumstance",
    }
}

/// `text` with a capital letter and a full stop.
fn sentence(text: &str) -> String {
    let mut chars = text.trim_end_matches('.').chars();
    let first = chars.next().map(|c| c.to_uppercase().collect::<String>()).unwrap_or_default();
    format!("{first}{}.", chars.as_str())
}

const RETRY: &str = "Try again.";
const REPORT: &str = "Try again; if it happens again, report it with the output of -v.";
const UPDATE: &str = "Install the same, newest version of passel on both computers.";
const CHECK_NETWORK: &str = "Check the network of both computers and start again on both.";
const NEW_CODE: &str = "Run 'passel send' again and use the new code or link once only.";

/// Exit code, what happened, and what to do.
fn explain(code: ErrorCode, origin: Origin) -> (Exit, &'static str, &'static str) {
    use Origin::{Local, Remote};
    match (code, origin) {
        (ErrorCode::NoError, _) => {
            (Exit::Lost, "The other side ended the connection before everything was done.", RETRY)
        }
        (ErrorCode::Internal, Local) => (Exit::Other, "This program failed.", REPORT),
        (ErrorCode::Internal, Remote) => {
            (Exit::Other, "The program on the other side failed.", REPORT)
        }
        (
            ErrorCode::ProtocolViolation
            | ErrorCode::Malformed
            | ErrorCode::CreditExceeded
            | ErrorCode::ManifestInvalid,
            Local,
        ) => (Exit::Protocol, "The other side broke the protocol.", UPDATE),
        (
            ErrorCode::ProtocolViolation
            | ErrorCode::Malformed
            | ErrorCode::CreditExceeded
            | ErrorCode::ManifestInvalid,
            Remote,
        ) => (Exit::Protocol, "The other side says that this program broke the protocol.", UPDATE),
        (
            ErrorCode::UnsupportedVersion
            | ErrorCode::UnsupportedSuite
            | ErrorCode::UnknownCriticalFrame,
            _,
        ) => (
            Exit::Incompatible,
            "The two programs have no version of the protocol in common.",
            UPDATE,
        ),
        (ErrorCode::UnsupportedAuth, _) => (
            Exit::Incompatible,
            "The two sides do not agree on code or link.",
            "Use exactly what 'passel send' printed: its code, or its link.",
        ),
        (ErrorCode::AuthenticationFailed, _) => (
            Exit::Authentication,
            "The other side does not know the secret: the code or link is wrong, or somebody is in between.",
            NEW_CODE,
        ),
        (ErrorCode::RecordRejected, _) => (
            Exit::Protocol,
            "Data did not pass its check: it was damaged or forged on the way.",
            RETRY,
        ),
        (ErrorCode::LimitExceeded, _) => (
            Exit::Refused,
            "A limit on length, number or rate was exceeded.",
            "Send fewer files at once, or put them into an archive first.",
        ),
        (ErrorCode::HandshakeTimeout, _) => {
            (Exit::Lost, "The other side did not answer in time.", CHECK_NETWORK)
        }
        (ErrorCode::IdleTimeout, _) => {
            (Exit::Lost, "Nothing was heard from the other side for too long.", CHECK_NETWORK)
        }
        (ErrorCode::TransportFailed, _) => {
            (Exit::Lost, "The connection between the two computers failed.", CHECK_NETWORK)
        }
        (ErrorCode::SasMismatch, Local) => (
            Exit::Authentication,
            "The two screens show different words: somebody is in between.",
            "Send nothing this way. Start again over another network, or with a code.",
        ),
        (ErrorCode::SasMismatch, Remote) => (
            Exit::Authentication,
            "The other side sees different words: somebody is in between.",
            "Send nothing this way. Start again over another network, or with a code.",
        ),
        (ErrorCode::ResumptionUnknown, _) => (
            Exit::Authentication,
            "The other side does not know the earlier transfer any more.",
            NEW_CODE,
        ),
        (ErrorCode::Cancelled, Local) => (
            Exit::Cancelled,
            "You cancelled.",
            "Start again on both sides if you want the files after all.",
        ),
        (ErrorCode::Cancelled, Remote) => (
            Exit::Cancelled,
            "The other side cancelled.",
            "Ask them why, and start again on both sides.",
        ),
        (ErrorCode::Declined, Local) => (
            Exit::Declined,
            "You declined, and nothing was transferred.",
            "Ask for another offer if you want the files after all.",
        ),
        (ErrorCode::Declined, Remote) => (
            Exit::Declined,
            "The receiver declined, and nothing was transferred.",
            "Ask them why, and offer again.",
        ),
        (ErrorCode::TooLarge, Local) => (
            Exit::Refused,
            "The offer is above this side's limit of size or number of files.",
            "Ask for fewer or smaller files, or allow more with --max-file, --max-total or --max-files.",
        ),
        (ErrorCode::TooLarge, Remote) => (
            Exit::Refused,
            "The offer is above the receiver's limit of size or number of files.",
            "Send fewer or smaller files.",
        ),
        (ErrorCode::UnsafeName, Local) => (
            Exit::Refused,
            "The offer holds a name that is not safe to write.",
            "Do not take files from this sender unless you know them.",
        ),
        (ErrorCode::UnsafeName, Remote) => (
            Exit::Refused,
            "The receiver refused a name that is not safe to write.",
            "Rename the file and send it again.",
        ),
        (ErrorCode::NoSpace, Local) => (
            Exit::Storage,
            "The disk of this computer is full.",
            "Make room, or choose another place with --out, and start again.",
        ),
        (ErrorCode::NoSpace, Remote) => (
            Exit::Storage,
            "The receiver's disk is full.",
            "Ask them to make room or to choose another place with --out, and send again.",
        ),
        (ErrorCode::StorageFailed, Local) => (
            Exit::Storage,
            "The files could not be written.",
            "Check the directory given with --out and its disk, and start again.",
        ),
        (ErrorCode::StorageFailed, Remote) => (
            Exit::Storage,
            "The receiver could not write the files.",
            "Ask them to check their disk or to choose another place with --out, and send again.",
        ),
        (ErrorCode::SourceChanged, Local) => (
            Exit::Changed,
            "A file changed while it was being sent.",
            "Wait until nobody writes to it any more, and send it again.",
        ),
        (ErrorCode::SourceChanged, Remote) => (
            Exit::Changed,
            "A file changed at the sender while it was being sent.",
            "Ask for it again when nobody writes to it any more.",
        ),
        (ErrorCode::SourceUnreadable, Local) => (
            Exit::Source,
            "A file to send cannot be read.",
            "Check that it is still there and that you may read it, and send again.",
        ),
        (ErrorCode::SourceUnreadable, Remote) => (
            Exit::Source,
            "The sender cannot read a file that it offered.",
            "Ask them to check it and to send again.",
        ),
        (ErrorCode::HashMismatch, _) => (
            Exit::Protocol,
            "The bytes that arrived are not those that were offered.",
            "Send again; if it happens again, a disk or memory may be faulty.",
        ),
        (ErrorCode::OfferExpired, _) => {
            (Exit::Declined, "The offer was not answered in time.", NEW_CODE)
        }
        (ErrorCode::NameConflict, Local) => (
            Exit::Storage,
            "A name that was free when the transfer began is taken now.",
            "Start again, into an empty directory if need be.",
        ),
        (ErrorCode::NameConflict, Remote) => (
            Exit::Storage,
            "A name is taken at the receiver.",
            "Send again; the receiver may choose an empty directory with --out.",
        ),
        (ErrorCode::PolicyRefused, Local) => (
            Exit::Refused,
            "A rule of this side refused it.",
            "Check --allow-type, --deny-type, --scan and --max-file, if you want it after all.",
        ),
        (ErrorCode::PolicyRefused, Remote) => (
            Exit::Refused,
            "A rule of the receiver refused it: its type, its size, or what is in it.",
            "Ask them what they take.",
        ),
        (ErrorCode::TooManyTransfers, _) => (
            Exit::Refused,
            "There are too many transfers at once.",
            "Wait until one of them is done.",
        ),
        (ErrorCode::Unknown(_), _) => (
            Exit::Other,
            "The other side reports a failure that this version does not know.",
            UPDATE,
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_the_documented_numbers() {
        let codes: Vec<u8> = Exit::ALL.iter().map(|exit| exit.code()).collect();
        assert_eq!(codes, (0..=15).collect::<Vec<u8>>());
    }

    #[test]
    fn every_code_of_the_registry_has_whole_sentences_for_both_sides() {
        let codes = ErrorCode::ALL.iter().copied().chain([ErrorCode::Unknown(0x7777)]);
        for code in codes {
            for origin in [Origin::Local, Origin::Remote] {
                let (exit, what, advice) = explain(code, origin);
                assert!(!matches!(exit, Exit::Ok | Exit::Usage), "{code} {origin:?}");
                for text in [what, advice] {
                    assert!(text.ends_with('.'), "{code}: {text}");
                    assert!(text.starts_with(char::is_uppercase), "{code}: {text}");
                }
            }
        }
    }

    #[test]
    fn local_and_remote_causes_are_told_apart() {
        let full = Error::local(ErrorCode::NoSpace, "no space left at photos/a.jpg");
        assert_eq!(
            Failure::of(&full, Origin::Local).to_string(),
            "The disk of this computer is full. Reason: no space left at photos/a.jpg. \
             Make room, or choose another place with --out, and start again."
        );
        let told = Error::new(Blame::Circumstance, ErrorCode::NoSpace, "");
        let failure = Failure::of(&told, Origin::Remote);
        assert_eq!(failure.text, "The receiver's disk is full.");
        assert_eq!((failure.exit, failure.code), (Exit::Storage, Some("NO_SPACE")));
    }

    #[test]
    fn an_own_failure_becomes_a_sentence() {
        let failure = Failure::new(Exit::Source, "'x' does not exist", "Check the name.");
        assert_eq!(failure.to_string(), "'x' does not exist. Check the name.");
    }

    #[test]
    fn the_table_is_complete() {
        insta::assert_snapshot!(table());
    }
}
