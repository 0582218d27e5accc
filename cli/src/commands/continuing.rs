//! What `recv` is to receive: something new, for which there is an invitation, or
//! what an earlier process was interrupted in.

use std::fmt::Write as _;
use std::io::{BufRead, IsTerminal};
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use passel_proto::escape::for_terminal;

use super::book::{Book, hash};
use super::on_thread;
use super::report::Report;
use crate::args::RecvArgs;
use crate::code::{CodeError, Invitation, read_invitation};
use crate::exit::{Exit, Failure};
use crate::journal::received::{self, Transfer};
use crate::journal::{StateDir, sent};
use crate::machine::Machine;
use crate::ui::format::{size, time};

/// What there is to receive.
pub(super) enum Found {
    /// By this invitation.
    New(Invitation),
    /// What is there already.
    Interrupted(Box<Book>),
}

/// The place where transfers are kept, after what is too old was removed. Without
/// one, everything works but going on after an interruption.
pub(super) fn state(machine: &impl Machine, report: &mut Report) -> Option<StateDir> {
    let state = match machine.state() {
        Ok(state) => state,
        Err(error) => {
            report.warn(&format!("interrupted transfers cannot be kept: {error}"));
            return None;
        }
    };
    let now = SystemTime::now();
    let cleaned = received::clean(&state, now).and_then(|()| sent::clean(&state, now));
    if let Err(error) = cleaned {
        tracing::warn!(%error, "what is kept of old transfers cannot be removed");
    }
    Some(state)
}

/// Finds out what is to be received, and asks if need be.
pub(super) async fn find(
    args: &RecvArgs,
    state: Option<&StateDir>,
    report: &mut Report,
) -> Result<Found, Failure> {
    let variable = RecvArgs::invitation_variable().filter(|text| !text.trim().is_empty());
    let is_given = args.invitation.is_some() || variable.is_some();
    let known = match state {
        Some(state) if !is_given => interrupted(state, &args.out),
        _ => Vec::new(),
    };
    if let Some(state) = state.filter(|_| !known.is_empty() || args.number.is_some()) {
        // What is piped in is an invitation, if it is anything.
        if args.number.is_none() && !args.json && !std::io::stdin().is_terminal() {
            match invitation(args.invitation.clone()).await {
                Err(CodeError::Empty) => {}
                read => return read.map(Found::New).map_err(not_read),
            }
        }
        let transfer = choose(args, &known, report).await?;
        let book = Book::open(state, transfer.token)?;
        return Ok(Found::Interrupted(Box::new(book)));
    }
    let invitation = invitation(args.invitation.clone()).await.map_err(not_read)?;
    if let Some(state) = state
        && let Some(hash) = hash(&invitation)
        && let Some(token) = received::find(state, &hash)
    {
        return Book::open(state, token).map(|book| Found::Interrupted(Box::new(book)));
    }
    Ok(Found::New(invitation))
}

/// What could go on in this directory.
fn interrupted(state: &StateDir, out: &Path) -> Vec<Transfer> {
    let Ok(out) = std::fs::canonicalize(out) else { return Vec::new() };
    let mut found = received::interrupted(state).unwrap_or_default();
    found.retain(|transfer| transfer.out == out);
    found
}

/// The one transfer that is meant.
async fn choose<'a>(
    args: &RecvArgs,
    known: &'a [Transfer],
    report: &mut Report,
) -> Result<&'a Transfer, Failure> {
    let number = match (args.number, known) {
        (Some(number), _) => number,
        (None, [_]) => 1,
        (None, _) if args.json || args.yes => return Err(not_one(known)),
        (None, _) => {
            report.say(&list(known));
            report.say("Number of the one to continue:");
            let line = on_thread(|| {
                let mut line = String::new();
                let mut input = std::io::Read::take(std::io::stdin().lock(), 64);
                input.read_line(&mut line).map(|_| line)
            });
            let line = line.await.ok().and_then(Result::ok).unwrap_or_default();
            line.trim().parse().unwrap_or(0)
        }
    };
    number.checked_sub(1).and_then(|place| known.get(place)).ok_or_else(|| not_one(known))
}

fn not_one(known: &[Transfer]) -> Failure {
    let text = match known {
        [] => "there is no interrupted transfer for this directory".to_owned(),
        known => format!("it is not clear which transfer is meant:\n{}", list(known)),
    };
    Failure::new(Exit::Usage, text, "Choose one with --continue NUMBER, or give a code or link.")
}

/// The transfers as lines with numbers.
fn list(known: &[Transfer]) -> String {
    let mut text = String::new();
    for (place, transfer) in known.iter().enumerate() {
        let title = for_terminal(&transfer.title);
        let begun = UNIX_EPOCH + Duration::from_secs(transfer.created);
        let ago = SystemTime::now().duration_since(begun).unwrap_or_default();
        let (size, ago) = (size(transfer.bytes), time(ago));
        let _ = writeln!(text, "  {}  {title}, {size}, begun {ago} ago", place + 1);
    }
    text.trim_end().to_owned()
}

/// The failure of a transfer of which something is kept.
pub(super) fn kept(transfer: &Transfer, failure: Failure) -> Failure {
    // The sender was looked for because it may not know (`RS-COMPLETE-AGAIN`).
    if transfer.completed.is_some() && failure.exit != Exit::Cancelled {
        let title = for_terminal(&transfer.title);
        return Failure::new(
            Exit::Authentication,
            format!("this code or link was used before: '{title}' was received completely"),
            "For something else, ask the sender for a new code or link.",
        );
    }
    let exit = match failure.exit {
        Exit::Lost | Exit::Server | Exit::Cancelled => Exit::Interrupted,
        other => other,
    };
    let advice = "What arrived is kept: continue with 'passel recv' once the sender is there.";
    Failure { exit, advice: advice.to_owned(), ..failure }
}

fn not_read(error: CodeError) -> Failure {
    Failure::new(Exit::Usage, error, "Ask the sender for the code or link.")
}

/// Reads the invitation without holding up anything else.
async fn invitation(argument: Option<String>) -> Result<Invitation, CodeError> {
    if let Some(text) = argument {
        return Invitation::parse(&text);
    }
    let read = on_thread(move || {
        let variable = RecvArgs::invitation_variable();
        let mut input = std::io::stdin().lock();
        let mut screen = std::io::stderr();
        let prompt = input.is_terminal().then_some(&mut screen as &mut dyn std::io::Write);
        read_invitation(None, variable.as_deref(), &mut input, prompt)
    });
    read.await.unwrap_or(Err(CodeError::Empty))
}
