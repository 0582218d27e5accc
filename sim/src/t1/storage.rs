//! What endpoints ask of their disks in a run, and when the answers come. What does not
//! live here: what a disk does (`disk`).

use passel_proto::storage::{StorageReply, StorageRequest};

use super::disk::transfer_of;
use super::planted::Planted;
use super::{Happening, Run};
use crate::oracle::{Broken, broken};
use crate::plan::Side;

impl Run<'_> {
    /// Asks a disk for something, which it may do at once.
    pub(super) fn request(&mut self, side: Side, request: StorageRequest) -> Result<(), Broken> {
        if !self.is_served(side, &request) {
            return Ok(());
        }
        let now = self.world.now();
        let host = &mut self.hosts[side.place()];
        host.requests += 1;
        let at = host.disk.done_at(now, transfer_of(&request));
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
        host.requests -= 1;
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
}
