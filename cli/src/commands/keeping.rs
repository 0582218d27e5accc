//! What a sender keeps of its transfer while it runs, and with `--keep` on disk,
//! so that this process or a later one can offer the same again.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use passel_proto::ids::{Role, Token, TransferId};
use passel_sans_io::endpoint::Endpoint;
use url::Url;

use super::again::Again;
use super::book::{confirm, first, renewed};
use crate::args::SendArgs;
use crate::exit::{Exit, Failure};
use crate::files::walk::Sources;
use crate::journal::secrets::Kept;
use crate::journal::sent::{Keeper, Place, Sending};
use crate::journal::{JournalError, StateDir};
use crate::machine::Machine;

/// A transfer that may be offered again.
#[derive(Default)]
pub(super) struct Keeping {
    kept: Option<Kept>,
    token: Option<Token>,
    /// With `--keep`: where it is written down, and until when.
    notes: Option<Notes>,
    /// Whether anything in it can be read a second time.
    is_repeatable: bool,
}

struct Notes {
    keeper: Keeper,
    place: Option<Place>,
    paths: Vec<PathBuf>,
    note: String,
    until: u64,
}

impl Keeping {
    /// For `sources`, with what an earlier process left of the same, if that is
    /// wanted; also where that one met its receiver.
    pub(super) fn find(
        args: &SendArgs,
        state: Option<&StateDir>,
        sources: &Sources,
    ) -> Result<(Self, Option<Place>), Failure> {
        let streams =
            sources.manifest().iter().any(|(_, e)| !e.is_directory() && e.size().is_none());
        let keeping = Self { is_repeatable: !streams, ..Self::default() };
        let (Some(keep), Some(state)) = (args.keep, state) else { return Ok((keeping, None)) };
        if streams {
            return Err(Failure::new(
                Exit::Usage,
                "what comes from a pipe or standard input cannot be kept",
                "Leave --keep out, or write it to a file first.",
            ));
        }
        let paths = args.paths.iter().map(std::path::absolute).collect::<Result<Vec<_>, _>>();
        let paths = paths.map_err(|error| not_kept(&error.into()))?;
        let now = SystemTime::now();
        let (keeper, found) = Keeper::find(state, &paths, now).map_err(|error| not_kept(&error))?;
        let until = crate::journal::now().saturating_add(keep.as_secs());
        let note = args.note.clone().unwrap_or_default();
        let mut notes = Notes { keeper, place: None, paths, note, until };
        let Some(found) = found else {
            return Ok((Self { notes: Some(notes), ..keeping }, None));
        };
        notes.place = Some(found.place.clone());
        notes.note = found.note;
        let keeping = Self {
            kept: Some(found.kept),
            token: Some(Token(found.token)),
            notes: Some(notes),
            ..keeping
        };
        Ok((keeping, Some(found.place)))
    }

    /// Says where the two meet.
    pub(super) fn at(&mut self, place: Place) {
        if let Some(notes) = &mut self.notes {
            notes.place = Some(place);
        }
    }

    /// Whether a lost connection is not the end.
    pub(super) fn is_repeatable(&self) -> bool {
        self.is_repeatable
    }

    /// Whether a later process can go on.
    pub(super) fn is_on_disk(&self) -> bool {
        self.notes.is_some()
    }

    /// What the transfer is called, if it was offered before.
    pub(super) fn token(&self) -> Option<Token> {
        self.token
    }

    /// The note that goes with the offer.
    pub(super) fn note<'a>(&'a self, args: &'a SendArgs) -> &'a str {
        match &self.notes {
            Some(notes) => &notes.note,
            None => args.note.as_deref().unwrap_or_default(),
        }
    }

    pub(super) fn kept(&self) -> Option<&Kept> {
        self.kept.as_ref()
    }

    /// The transfer was offered over a connection that stands: its secret is kept,
    /// and with `--keep` written down, which the receiver may know.
    pub(super) fn offered(&mut self, endpoint: &mut Endpoint, transfer: TransferId) {
        let is_again = endpoint.resumed_from().is_some();
        self.kept = match &self.kept {
            Some(kept) if is_again => renewed(kept, endpoint),
            _ => first(endpoint),
        };
        self.token = endpoint.token(transfer);
        if self.write() {
            confirm(endpoint);
        }
    }

    /// Both sides have stored it (`HS-RESUME-ONCE`).
    pub(super) fn settle(&mut self, endpoint: &Endpoint) {
        if endpoint.is_resumption_settled() {
            self.kept = self.kept.take().map(Kept::settle);
            self.write();
        }
    }

    /// How to find the receiver again.
    pub(super) fn again<M: Machine>(
        &self,
        machine: &M,
        server: Url,
        args: &SendArgs,
    ) -> Result<Again<M>, Failure> {
        let until = self.notes.as_ref().map(|notes| notes.until);
        Again::new(machine, server, Role::Responder, args.net, until)
    }

    /// The transfer is over, or nobody wants it any more.
    pub(super) fn remove(&mut self) {
        if let Some(notes) = self.notes.take()
            && let Err(error) = notes.keeper.remove()
        {
            tracing::warn!(%error, "the notes of a send were left behind");
        }
    }

    fn write(&self) -> bool {
        let (Some(notes), Some(kept), Some(token)) = (&self.notes, &self.kept, self.token) else {
            return false;
        };
        let Some(place) = notes.place.clone() else { return false };
        let sending = Sending {
            token: token.0,
            place,
            kept: kept.clone(),
            paths: notes.paths.clone(),
            note: notes.note.clone(),
            until: notes.until,
        };
        let written = notes.keeper.write(&sending);
        if let Err(error) = &written {
            tracing::warn!(%error, "the notes of this send cannot be written");
        }
        written.is_ok()
    }
}

/// The failure of a send of which notes are kept.
pub(super) fn kept_on(failure: Failure) -> Failure {
    let advice = "Run the same command again to continue.";
    Failure { exit: Exit::Interrupted, advice: advice.to_owned(), ..failure }
}

fn not_kept(error: &JournalError) -> Failure {
    Failure::new(
        Exit::Storage,
        format!("this send cannot be kept: {error}"),
        "Leave --keep out, or set PASSEL_STATE to a directory with room.",
    )
}

/// Reads a duration such as `90s`, `30m`, `24h` or `7d`.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    let refuse = || "a duration looks like 90s, 30m, 24h or 7d, up to 30d".to_owned();
    let (number, unit) = text.split_at_checked(text.len().saturating_sub(1)).ok_or_else(refuse)?;
    let unit = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 24 * 3_600,
        _ => return Err(refuse()),
    };
    let seconds = number.parse::<u64>().ok().and_then(|number| number.checked_mul(unit));
    let time = seconds.map(Duration::from_secs);
    time.filter(|time| !time.is_zero() && *time <= crate::journal::MAX_AGE).ok_or_else(refuse)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_a_number_and_a_unit() {
        let read = |text| parse_duration(text).map(|time| time.as_secs()).ok();
        assert_eq!(["90s", "30m", "24h", "7d"].map(read), [90, 1_800, 86_400, 604_800].map(Some));
        for bad in ["", "s", "5", "0s", "-1h", "1.5h", "31d", "99999999999999999999d", "1é"] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }
}
