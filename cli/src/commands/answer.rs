//! The answer to an offer: from the rules alone with `--yes`, from a person at the
//! question, or from a program that reads `--json`. What does not live here: the
//! rules (`taking`), and what follows from the answer (`recv`).

use std::io::{BufRead, Read};
use std::sync::Arc;

use passel_proto::error::{Error, ErrorCode};
use passel_proto::escape::for_terminal;
use passel_proto::manifest::Manifest;
use passel_proto::policy::Choice;
use serde::Deserialize;

use super::recv::declined;
use super::report::Report;
use crate::args::RecvArgs;
use crate::exit::{Exit, Failure};
use crate::files::space;
use crate::taking::{Patterns, Pick, Taking};
use crate::ui::listing::listing;
use crate::ui::question::ask;

/// Longest line that a program answers with, in bytes.
const MAX_LINE: u64 = 1 << 20;

/// What is taken, or why the offer is rejected.
pub(super) type Answer = Result<Choice, Error>;

/// The patterns of the command line, which are checked before an invitation is spent.
pub(super) fn patterns(args: &RecvArgs) -> Result<Patterns, Failure> {
    let taking = &args.taking;
    if let Some(scanner) = taking.scan.as_ref().filter(|scanner| !scanner.is_there()) {
        let program = for_terminal(&scanner.program());
        let text = format!("there is no program '{program}' to scan with");
        return Err(Failure::new(Exit::Usage, text, "Check what --scan says."));
    }
    Patterns::new(&taking.only, &taking.skip).map_err(|error| {
        Failure::new(Exit::Usage, error, "Use simpler patterns with --only and --skip.")
    })
}

/// The offer under the rules of the command line.
pub(super) fn taking(args: &RecvArgs, manifest: &Arc<Manifest>) -> Result<Taking, Failure> {
    let (manifest, policy) = (Arc::clone(manifest), args.taking.policy(!args.yes));
    Ok(Taking { manifest, policy, patterns: patterns(args)? })
}

/// What is left to be done for an answer.
pub(super) enum Asking {
    /// The rules answer.
    Done(Answer),
    /// Somebody has to be asked, which may take long.
    Wait(Box<dyn FnOnce() -> Answer + Send>),
}

/// Says what there is to say of an offer, and how it is answered.
pub(super) fn begin(
    taking: Taking,
    note: Option<String>,
    args: &RecvArgs,
    report: &mut Report,
) -> Asking {
    let choice = taking.choose(&Pick::All);
    let free = space::free(&args.out);
    let remarks = taking.remarks(&choice, free);
    let is_shown = args.yes || args.json || choice.is_empty();
    if is_shown {
        report.say(&listing(&taking.manifest, note.as_deref()));
        for remark in &remarks {
            report.warn(remark);
        }
    }
    if choice.is_empty() || args.yes {
        return Asking::Done(unasked(&taking, choice, free));
    }
    let json = args.json;
    Asking::Wait(Box::new(move || {
        let mut input = std::io::stdin().lock();
        if json {
            return of_line(&taking, &mut input);
        }
        let asked = ask(&taking, note.as_deref(), &remarks, &mut input, &mut std::io::stderr());
        asked.ok().flatten().ok_or_else(declined)
    }))
}

/// The answer where there is nobody to ask.
fn unasked(taking: &Taking, choice: Choice, free: Option<u64>) -> Answer {
    taking.check(&choice)?;
    if free.is_some_and(|free| choice.bytes() > free) {
        let text = "the files would not fit; nothing was written";
        return Err(Error::local(ErrorCode::NoSpace, text));
    }
    Ok(choice)
}

/// A line of a program (`docs/json.md`).
#[derive(Deserialize)]
#[serde(tag = "command", rename_all = "lowercase")]
enum Line {
    Accept { files: Option<Vec<Places>> },
    Reject,
}

/// A place in the offer, or a first and a last.
#[derive(Clone, Copy, Deserialize)]
#[serde(untagged)]
enum Places {
    One(u32),
    Range(u32, u32),
}

fn of_line(taking: &Taking, input: &mut dyn BufRead) -> Answer {
    let mut line = Vec::new();
    input.take(MAX_LINE).read_until(b'\n', &mut line).map_err(|_| declined())?;
    let entries = taking.manifest.len();
    let pick = match line.trim_ascii() {
        b"y" | b"yes" => Pick::All,
        line => match serde_json::from_slice(line) {
            Ok(Line::Accept { files: None }) => Pick::All,
            Ok(Line::Accept { files: Some(places) }) => {
                let ranges: Vec<_> = places.into_iter().map(Places::range).collect();
                Pick::of_places(&ranges, entries).map_err(|error| {
                    tracing::warn!(error, "what was to be accepted is not offered");
                    declined()
                })?
            }
            Ok(Line::Reject) | Err(_) => return Err(declined()),
        },
    };
    let choice = taking.choose(&pick);
    taking.check(&choice)?;
    Ok(choice)
}

impl Places {
    fn range(self) -> (u32, u32) {
        match self {
            Places::One(place) => (place, place),
            Places::Range(first, last) => (first, last),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use passel_proto::ids::FileIndex;
    use passel_proto::manifest::{Entry, EntryKind, ManifestBuilder};
    use passel_proto::path::SafePath;
    use passel_proto::policy::Policy;

    fn offer(policy: Policy) -> Taking {
        let mut builder = ManifestBuilder::new();
        for path in ["a", "b", "c", "d"] {
            let size = Some(100);
            let kind = EntryKind::File { size, executable: false, mime: None, root: None };
            let path = SafePath::parse(path).unwrap();
            builder.push(&Entry { path, kind, modified: None }).unwrap();
        }
        let manifest = Arc::new(builder.finish().unwrap());
        Taking { manifest, policy, patterns: Patterns::default() }
    }

    fn line(text: &str) -> Result<Vec<u32>, ErrorCode> {
        let choice = of_line(&offer(Policy::unlimited()), &mut text.as_bytes());
        let choice = choice.map_err(|error| error.code)?;
        Ok((0..4).filter(|index| choice.contains(FileIndex(*index))).collect())
    }

    #[test]
    fn a_program_accepts_all_or_places_or_rejects() {
        for text in ["y\n", "yes", r#"{"command":"accept"}"#] {
            assert_eq!(line(text), Ok(vec![0, 1, 2, 3]), "{text}");
        }
        assert_eq!(line(r#"{"command":"accept","files":[0,[2,3]]}"#), Ok(vec![0, 2, 3]));
        for text in [
            "",
            "n\n",
            "{}",
            r#"{"command":"reject"}"#,
            r#"{"command":"accept","files":[]}"#,
            r#"{"command":"accept","files":[4]}"#,
            r#"{"command":"accept","files":[[1,0]]}"#,
            r#"{"command":"accept","files":"all"}"#,
        ] {
            assert_eq!(line(text), Err(ErrorCode::Declined), "{text}");
        }
    }

    #[test]
    fn without_anybody_to_ask_limits_and_room_decide() {
        let code = |policy: Policy, free| {
            let taking = offer(policy);
            let choice = taking.choose(&Pick::All);
            unasked(&taking, choice, free).map(|choice| choice.files()).map_err(|error| error.code)
        };
        assert_eq!(code(Policy::default(), Some(400)), Ok(4));
        assert_eq!(code(Policy::default(), None), Ok(4));
        assert_eq!(code(Policy::default(), Some(399)), Err(ErrorCode::NoSpace));
        let small = Policy { max_file: Some(99), ..Policy::default() };
        assert_eq!(code(small, None), Err(ErrorCode::TooLarge));
        let few = Policy { max_files: Some(3), ..Policy::default() };
        assert_eq!(code(few, None), Err(ErrorCode::TooLarge));
    }
}
