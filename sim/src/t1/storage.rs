//! What endpoints ask of their disks in a run, when the answers come, and what must be
//! there at the end. What does not live here: what a disk does (`disk`).

use std::collections::BTreeMap;

use passel_proto::storage::{StorageReply, StorageRequest};

use super::again::Cancel;
use super::planted::Planted;
use super::{Happening, Run};
use crate::oracle::{Broken, broken};
use crate::plan::Side;

impl Run<'_> {
    /// Asks a disk for something, which it may do at once.
    pub(super) fn request(&mut self, side: Side, request: StorageRequest) -> Result<(), Broken> {
        if !self.is_served(side, &request)? {
            return Ok(());
        }
        let now = self.world.now();
        let host = &mut self.hosts[side.place()];
        let at = host.disk.done_at(now, request.transfer());
        if at == now {
            return self.answer(side, request);
        }
        self.schedule(at, Happening::Storage { side, request });
        Ok(())
    }

    pub(super) fn carry_out(&mut self, side: Side, request: StorageRequest) -> Result<(), Broken> {
        if self.hosts[side.place()].dead {
            return Ok(());
        }
        self.answer(side, request)?;
        self.drain(side)
    }

    /// Has a disk do what was asked, and tells the endpoint.
    fn answer(&mut self, side: Side, request: StorageRequest) -> Result<(), Broken> {
        let now = self.instant(side);
        let host = &mut self.hosts[side.place()];
        let (reply, named) = host.disk.carry_out(request)?;
        if let Some(place) = named {
            let size = host.disk.named(place).map_or(0, <[u8]>::len);
            self.watch.on_named(self.world.now(), side, place, size);
            self.oracle.on_named(side, place, &host.disk)?;
        }
        let again = match (&reply, self.plan.planted) {
            (Some(StorageReply::Synced { transfer, .. }), Some(Planted::ReplyTwice)) => {
                Some(StorageReply::Synced { transfer: *transfer, result: Ok(()) })
            }
            _ => None,
        };
        for reply in [reply, again].into_iter().flatten() {
            if let Err(error) = host.endpoint.handle_storage(now, reply) {
                let detail = format!("{side:?}: {error}");
                return broken("answers are to what was asked", detail);
            }
        }
        Ok(())
    }

    /// At the end of all connections, if everything is complete: every file is where it
    /// belongs, and nothing else is.
    pub(super) fn check_disks(&mut self) -> Result<(), Broken> {
        // Whoever was not told, or died, has kept what there was of it.
        let may_leave = self.hosts.each_ref().map(|host| {
            self.stories.iter().any(|story| match story.cancel {
                Cancel::Never => false,
                Cancel::Wished => true,
                Cancel::Told => self.connection > 0 || host.dead,
            })
        });
        for side in Side::BOTH {
            let host = &mut self.hosts[side.place()];
            let left = if host.dead { 0 } else { host.disk.parts_left() };
            host.disk.park();
            if left + host.disk.parts_left() > 0 && !may_leave[side.place()] {
                return broken("no part is left behind", format!("{side:?}"));
            }
            let stored: BTreeMap<_, _> = host.disk.stored().collect();
            let (mut wanted, mut missing) = (0, 0);
            for (story, transfer) in self.stories.iter().zip(&self.plan.transfers) {
                let Some(offered) = story.offered.as_ref().filter(|_| transfer.from != side) else {
                    continue;
                };
                wanted += offered.sources.len();
                for (entry, source) in offered.entries.iter().zip(&offered.sources) {
                    let named = stored.get(&(offered.token, *entry));
                    if story.cancel != Cancel::Never && named.is_none() {
                        missing += 1; // It has none of it, or a part.
                    } else if named != Some(&&source[..]) {
                        let detail = format!("{side:?} lacks some");
                        return broken("all that was accepted arrives", detail);
                    }
                }
            }
            if stored.len() + missing != wanted {
                return broken("all that was accepted arrives", format!("{side:?} has others"));
            }
        }
        Ok(())
    }
}
