//! Further lanes of T1's endpoints: how plans have them, the sockets that they get,
//! how some of them die, and what is seen of what went over those.

use passel_proto::storage::StorageRequest;
use passel_sans_io::datagram::Datagram;
use passel_sans_io::endpoint::EndpointEvent;

use super::Run;
use super::plan::{DeadLane, Plan};
use super::planted::Planted;
use super::sometimes::Condition;
use crate::oracle::{Broken, broken};
use crate::plan::Side;
use crate::rng::Draw;

const SECOND: u64 = 1_000_000;

/// Gives some plans further lanes, files that are large enough for them, and lanes
/// that die. It draws from a stream of its own, which changes nothing else in a plan.
pub(super) fn draw(plan: &mut Plan) {
    let mut draw = Draw::new(plan.seed, "lanes of t1");
    plan.lanes = draw.pick(&[1, 1, 4, 32]);
    if plan.lanes == 1 || draw.chance(500) {
        return;
    }
    if let Some(transfer) = plan.transfers.first_mut() {
        let size = draw.between(1_000_000, 3_000_000);
        transfer.files = vec![size];
    }
    let count = draw.pick(&[0, 1, 2, 5]);
    let dead = |draw: &mut Draw| DeadLane {
        lane: draw.pick(&[1, 2, 3, 4, 5, 6]),
        at_us: draw.below(8 * SECOND),
    };
    plan.dead_lanes = (0..count).map(|_| dead(&mut draw)).collect();
}

impl Run<'_> {
    /// News of a further lane.
    pub(super) fn on_lane(&mut self, side: Side, event: &EndpointEvent) {
        let now = self.instant(side);
        match event {
            EndpointEvent::LaneWanted { lane } => self.hosts[side.place()].bind_lane(now, *lane),
            EndpointEvent::LaneOver { lane } => {
                self.hosts[side.place()].over.push(*lane);
                self.watch.befallen.lane_lost |= self.watch.in_transfer;
            }
            _ => {}
        }
    }

    /// Whether the network carries a datagram of this lane.
    pub(super) fn carries(&mut self, side: Side, datagram: &Datagram) -> bool {
        let lane = self.hosts[side.place()].lane_of(datagram.source);
        if lane > 0 && self.watch.in_transfer {
            self.watch.meet(Condition::SeveralLanes);
            let is_translated = |side: &Side| self.is_behind_translator(*side);
            if self.hosts[side.place()].endpoint.lanes().0 > 1
                && Side::BOTH.iter().all(is_translated)
            {
                self.watch.meet(Condition::LanesThroughTranslators);
            }
        }
        let now = self.world.now();
        let is_it = |dead: &DeadLane| dead.lane == lane && lane > 0 && dead.at_us <= now;
        let is_dead = !self.healed && self.plan.dead_lanes.iter().any(is_it);
        if is_dead {
            self.watch.on_dead_lane(now, lane);
        }
        !is_dead
    }

    /// Whether a side has no address of its own in the open.
    fn is_behind_translator(&self, side: Side) -> bool {
        let host = &self.stands[side.place()];
        let gateway = host.behind.and_then(|place| self.plan.gateways.get(place));
        gateway.is_some_and(|gateway| gateway.v4.is_some())
            && host.addresses.iter().all(std::net::IpAddr::is_ipv4)
    }

    /// Whether storage gets to a request. A sender that asks for a place of a file
    /// again sends a chunk again, since a lane ended; of a stream it has kept it.
    pub(super) fn is_served(
        &mut self,
        side: Side,
        request: &StorageRequest,
    ) -> Result<bool, Broken> {
        let disk = &mut self.hosts[side.place()].disk;
        if !disk.is_read_again(request) {
            return Ok(true);
        }
        if disk.is_of_stream(request) {
            return broken("a stream is read once", format!("{side:?}: {request:?}"));
        }
        self.watch.meet(Condition::ChunkAgain);
        Ok(self.plan.planted != Some(Planted::ReadOnce))
    }
}
