//! The life of a session as one table: state x event, the same as the spec's
//! (`RV-STATE-TABLE`), with which a test compares it. Who is told what on a
//! transition does not live here.

use crate::messages::ErrorCode;

/// Where a session stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// The creator has a token, and nobody has joined.
    Created,
    /// Both peers have a token; nobody else can join any more.
    Joined,
    /// A peer ended it, or nobody is left in it.
    Closed,
    /// Its time ran out.
    Expired,
}

impl State {
    /// Whether nothing leads out of it.
    pub fn is_over(self) -> bool {
        matches!(self, Self::Closed | Self::Expired)
    }
}

/// What can happen to a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Event {
    /// Somebody asks to join.
    Join,
    /// Somebody asks for its meeting.
    Meet,
    /// A socket presents one of its tokens.
    Attach,
    /// A member's socket brings a blob.
    Blob,
    /// A member's socket brings a close message.
    Close,
    /// A member's socket is lost, or did not come in time to a meeting; the
    /// other peer is there or can still come.
    Leave,
    /// The same, and nobody is left who could speak.
    LastLeave,
    /// The session's time is over.
    Deadline,
}

/// What the table says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The event is allowed and leads to this state.
    Go(State),
    /// Whoever caused the event gets this error; the state stays.
    Refuse(ErrorCode),
    /// The event cannot happen in this state; if it does, nothing changes.
    Ignore,
}

impl State {
    /// All states, in the spec's order.
    pub const ALL: [State; 4] = [State::Created, State::Joined, State::Closed, State::Expired];

    /// Whether the session still carries blobs.
    pub fn is_live(self) -> bool {
        matches!(self, State::Created | State::Joined)
    }
}

impl Event {
    /// All events, in the spec's order.
    pub const ALL: [Event; 8] = [
        Event::Join,
        Event::Meet,
        Event::Attach,
        Event::Blob,
        Event::Close,
        Event::Leave,
        Event::LastLeave,
        Event::Deadline,
    ];
}

/// The table.
#[expect(clippy::match_same_arms, reason = "the rows stay together, as in the spec")]
pub fn next(state: State, event: Event) -> Verdict {
    use Verdict::{Go, Ignore, Refuse};
    match (state, event) {
        (State::Created, Event::Join | Event::Meet) => Go(State::Joined),
        (State::Created, Event::Attach | Event::Blob) => Go(State::Created),
        (State::Created, Event::Leave) => Ignore,
        // RV-ONE-JOIN
        (State::Joined, Event::Join) => Refuse(ErrorCode::AlreadyJoined),
        (State::Joined, Event::Attach | Event::Blob | Event::Leave) => Go(State::Joined),
        // RV-MEETING-ANEW
        (State::Joined, Event::Meet) => Go(State::Closed),
        (State::Created | State::Joined, Event::Close | Event::LastLeave) => Go(State::Closed),
        (State::Created | State::Joined, Event::Deadline) => Go(State::Expired),
        (State::Closed, Event::Join) => Refuse(ErrorCode::Closed),
        (State::Expired, Event::Join) => Refuse(ErrorCode::Expired),
        (State::Closed | State::Expired, Event::Attach) => Refuse(ErrorCode::TokenRefused),
        (State::Closed | State::Expired, _) => Ignore,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(verdict: Verdict) -> String {
        match verdict {
            Verdict::Go(state) => format!("{state:?}"),
            Verdict::Refuse(code) => format!("`{}`", code.name()),
            Verdict::Ignore => "–".to_owned(),
        }
    }

    #[test]
    fn the_table_is_the_specs() {
        // RV-STATE-TABLE: row by row, as it stands in the spec.
        let spec = include_str!("../../../spec/09-rendezvous.md");
        let header: Vec<_> = Event::ALL.iter().map(|event| format!("{event:?}")).collect();
        assert!(spec.contains(&format!("| state | {} |", header.join(" | "))));
        for state in State::ALL {
            let row: Vec<_> = Event::ALL.iter().map(|&event| cell(next(state, event))).collect();
            let row = format!("| {state:?} | {} |", row.join(" | "));
            assert!(spec.contains(&row), "the spec lacks the row {row}");
        }
    }

    #[test]
    fn no_event_revives_an_ended_session() {
        for event in Event::ALL {
            for state in [State::Closed, State::Expired] {
                assert!(!matches!(next(state, event), Verdict::Go(_)), "{state:?} {event:?}");
            }
            assert_ne!(next(State::Joined, event), Verdict::Go(State::Created), "{event:?}");
        }
    }
}
