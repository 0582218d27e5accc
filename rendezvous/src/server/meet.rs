//! Meetings: how two peers that had a session find each other again. Whoever
//! comes first creates the session that the other joins; a meeting whose session
//! is of no use any more begins anew. What sockets do then is in `socket`.

use std::net::IpAddr;
use std::time::Instant;

use super::clients::{Action as ClientAction, ClientKey};
use super::session::Side;
use super::state::{Event, State, Verdict, next};
use super::{Refusal, Server, Timer, seconds};
use crate::ids::SessionId;
use crate::messages::{ErrorCode, MeetRequest, MeetResponse, MeetRole, ServerText};

impl Server {
    /// Brings the client at `ip` to a meeting (`RV-MEET`): into the session in
    /// which the other peer waits, or else into a new one.
    pub fn meet(
        &mut self,
        now: Instant,
        ip: IpAddr,
        request: MeetRequest,
    ) -> Result<MeetResponse, Refusal> {
        self.handle_timeout(now);
        self.spend(now, ClientKey::of(ip), ClientAction::Meet)?;
        let found = self.meetings.get(&request.meeting).copied();
        let found = found.and_then(|id| Some((id, next(self.session_state(id)?, Event::Meet))));
        match found {
            Some((id, Verdict::Go(State::Joined))) => {
                if let Some(session) = self.sessions.get_mut(&id) {
                    session.state = State::Joined;
                }
                let (token, deadline) = self.seat_joiner(now, id);
                let expires_in = seconds(deadline, now);
                return Ok(MeetResponse { session: id, token, role: MeetRole::Joiner, expires_in });
            }
            // RV-MEETING-ANEW
            Some((id, Verdict::Go(state))) => {
                for conn in self.end(now, id, state) {
                    self.close(conn, Some(ServerText::error(ErrorCode::Closed)));
                }
            }
            Some(_) | None => {}
        }
        self.check_room()?;
        let (id, token, deadline) = self.begin(now, None);
        if let Some(session) = self.sessions.get_mut(&id) {
            session.meeting = Some(request.meeting);
        }
        self.meetings.insert(request.meeting, id);
        self.expect_claim(now, id, Side::Creator);
        let expires_in = seconds(deadline, now);
        Ok(MeetResponse { session: id, token, role: MeetRole::Creator, expires_in })
    }

    /// RV-JOIN-CLAIM, RV-MEETING-CLAIM: the peer may have crashed since it asked, or
    /// not have heard the answer.
    pub(super) fn expect_claim(&mut self, now: Instant, id: SessionId, side: Side) {
        let until = now + self.config.claim_timeout;
        if let Some(session) = self.sessions.get_mut(&id) {
            session.peer_mut(side).claim = Some(until);
            self.timers.insert((until, Timer::Claim(id, side)));
        }
    }
}
