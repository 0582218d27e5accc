//! What the people at both ends do: they offer what the plan has and take what is offered,
//! and one of them closes the connection once all of it is there. What does not live here:
//! what they do after a connection was lost (`again`).

use std::rc::Rc;

use passel_proto::ids::{FileIndex, TransferId};

use super::Run;
use super::again::{Cancel, Offered};
use super::disk::digests;
use super::oracle::Facts;
use super::prospect::families;
use super::sometimes::Condition;
use crate::net::reach::Servers;
use crate::oracle::{Broken, broken};
use crate::plan::Side;
use crate::readable::IN_NOTE;

impl Run<'_> {
    /// A transfer of the plan is offered, unless it was.
    pub(super) fn offer(&mut self, planned: usize) -> Result<(), Broken> {
        let transfer = &self.plan.transfers[planned];
        let side = transfer.from;
        let host = &mut self.hosts[side.place()];
        let is_gone = host.dead || self.oracle.is_closed(side);
        let story = &mut self.stories[planned];
        if is_gone || story.over || self.oracle.planned(planned).is_some() {
            return Ok(()); // In another connection, or it was in this one.
        }
        let facts = match &story.offered {
            Some(offered) => Facts::again(planned, side, offered),
            None => match Facts::new(self.plan.seed, planned, transfer) {
                Ok(facts) => facts,
                Err(_) => return broken("the plan can be run", "its manifest is refused"),
            },
        };
        let now = self.world.instant_by(host.clock);
        let (endpoint, manifest) = (&mut host.endpoint, facts.manifest.clone());
        let offered = match &story.offered {
            Some(offered) => endpoint.offer_again(now, manifest, IN_NOTE, offered.token),
            None => endpoint.offer(now, manifest, IN_NOTE),
        };
        let id = match offered {
            Ok(id) => id,
            Err(error) => return broken("an offer can be made", error.to_string()),
        };
        if let Some(token) = host.endpoint.token(id).filter(|_| story.offered.is_none()) {
            let (manifest, sources) = (facts.manifest.clone(), facts.sources.clone());
            let entries = digests(&manifest);
            story.offered = Some(Offered { token, entries, manifest, sources });
        }
        for (file, source) in (0..).zip(&facts.sources) {
            host.disk.put((id, FileIndex(file)), Rc::clone(source), transfer.streams);
        }
        self.oracle.transfers.insert(id, facts);
        self.drain(side)
    }

    /// Has the connection closed once all that was planned is completed, and all that was
    /// said is heard.
    pub(super) fn close_if_completed(&mut self) -> Result<(), Broken> {
        if self.oracle.closing || !self.all_completed() || self.has_unheard() {
            return Ok(());
        }
        self.watch.in_transfer = false;
        if !self.settled {
            return Ok(());
        }
        self.check_settled_paths()?;
        self.oracle.close(self.world.now());
        if self.hosts[0].clock != self.hosts[1].clock {
            self.watch.meet(Condition::ClocksApart);
        }
        let both = Servers { v4: true, v6: true };
        if self.plan.hosts.iter().all(|host| families(&[host]) == both) {
            self.watch.meet(Condition::BothFamilies);
        }
        if Side::BOTH.iter().all(|side| self.plan.transfers.iter().any(|one| one.from == *side)) {
            self.watch.meet(Condition::BothDirections);
        }
        let has_streams = self.plan.transfers.iter().any(|transfer| transfer.streams);
        if has_streams {
            self.watch.meet(Condition::Streams);
        }
        if self.watch.befallen.lane_lost {
            self.watch.meet(Condition::LaneLost);
            if has_streams {
                self.watch.meet(Condition::LaneLostByStream);
            }
        }
        if self.watch.befallen.upset {
            self.watch.meet(Condition::UpsetGotOver);
        }
        if self.watch.befallen.roamed {
            self.watch.meet(Condition::RoamGotOver);
        }
        if self.oracle.meddled {
            self.watch.meet(Condition::MeddlingGotOver);
        }
        let planned = self.plan.closer;
        let is_dead = self.hosts[planned.place()].dead;
        let closer = if is_dead { planned.peer() } else { planned };
        if self.hosts[closer.place()].dead {
            return Ok(());
        }
        let now = self.instant(closer);
        self.hosts[closer.place()].endpoint.close(now, None);
        self.drain(closer)
    }

    /// Whether something that was said is still to be heard: whoever closed now would cut
    /// it off.
    fn has_unheard(&self) -> bool {
        let are_there = Side::BOTH
            .iter()
            .all(|side| !self.hosts[side.place()].dead && !self.oracle.is_closed(*side));
        are_there && !self.said.is_heard()
    }

    /// Whether all that was planned is completed or has ended as somebody wished, on both
    /// sides if it was offered in this connection.
    fn all_completed(&self) -> bool {
        self.stories.iter().enumerate().all(|(planned, story)| match self.oracle.planned(planned) {
            Some(facts) => facts.is_over(),
            None => story.over,
        })
    }

    /// The receiver takes everything, at once, and says what it has of it; nothing of what it
    /// has cancelled before, of which the sender was not told.
    pub(super) fn accept(&mut self, side: Side, id: TransferId) -> Result<(), Broken> {
        let now = self.instant(side);
        let host = &mut self.hosts[side.place()];
        let manifest = host.endpoint.manifest(id).map(AsRef::as_ref);
        if manifest.is_none() && host.endpoint.progress(id).is_none() {
            return Ok(()); // The end came together with it, and is told next.
        }
        let planned = self.oracle.on_offered(side, id, manifest, host.endpoint.note(id))?;
        let token = host.endpoint.token(id);
        let offered = self.stories[planned].offered.as_ref();
        let Some(offered) = offered.filter(|offered| Some(offered.token) == token) else {
            return broken("a transfer has one token", format!("{side:?}: {token:?}"));
        };
        if self.stories[planned].cancel != Cancel::Never {
            return self.decline(side, id);
        }
        let have = host.disk.begin(id, offered.token, offered.entries.clone());
        if !have.is_empty() {
            self.watch.meet(Condition::Resumed);
            if self.healed {
                self.watch.meet(Condition::ResumedWhenHealed);
            }
        }
        match host.endpoint.accept_having(now, id, None, &have) {
            Ok(()) => Ok(()),
            Err(error) => broken("an offer can be answered", error.to_string()),
        }
    }
}
