//! Joins the further lanes and the search for their count to the connection: the
//! frames that say what a lane's other end must know, the room that records have,
//! and what arrived.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Instant;

use passel_proto::connection::Connection;
use passel_proto::ids::{Channel, Role};

use super::further::Outcome;
use super::growth::{Plan, Seen};
use super::{Endpoint, EndpointEvent};
use crate::datagram::Datagram;

/// Datagrams kept for a caller that does not poll. UDP may lose the rest.
const MAX_DATAGRAMS: usize = 4096;

impl Endpoint {
    /// Answers [`EndpointEvent::LaneWanted`]: the caller listens at these addresses
    /// for this lane, on a socket that no other lane of this endpoint uses. With
    /// none, the lane is given up.
    pub fn bind_lane(&mut self, now: Instant, lane: u16, addresses: &[SocketAddr]) {
        let window = self.growth.plan().window;
        let bound = match &mut self.connection {
            Some(connection) if !self.closed => {
                let servers = self.gatherer.useful_servers();
                self.further.bind(now, lane, (addresses, servers), window, connection)
            }
            _ => return,
        };
        if !bound {
            self.end_lane(now, lane);
        }
        self.drive(now);
    }

    /// How many lanes are up, lane 0 among them; and what each may have in flight, in
    /// bytes, as far as this side sends.
    pub fn lanes(&self) -> (usize, usize) {
        let further = self.further.lanes.values().filter(|further| further.is_up).count();
        (usize::from(self.lane.is_connected()) + further, self.growth.plan().window)
    }

    /// LN-SIGNAL, LN-TRANSPORT
    pub(super) fn on_lane_signal(&mut self, now: Instant, lane: u16, payload: &[u8]) {
        let (goes_on, is_new) = self.further.signal(now, lane, payload);
        if !goes_on {
            self.end_lane(now, lane);
        } else if is_new {
            self.events.push_back(EndpointEvent::LaneWanted { lane });
        }
    }

    /// Ends a lane that failed, for both sides (`LN-TRANSPORT`).
    pub(super) fn end_lane(&mut self, now: Instant, lane: u16) {
        self.lose_lane(now, lane);
        if let Some(connection) = &mut self.connection {
            connection.end_lane(now, lane);
        }
    }

    /// A lane is over.
    pub(super) fn lose_lane(&mut self, now: Instant, lane: u16) {
        if self.is_own(lane) && self.further.came_to_nothing(lane) && !self.sizes.is_trial(lane) {
            self.attempts.came_to_nothing(now);
        }
        self.remove_lane(lane);
    }

    /// Whether this side opened the lane (`LN-NUMBERS`).
    fn is_own(&self, lane: u16) -> bool {
        (self.role == Role::Initiator) != lane.is_multiple_of(2)
    }

    /// Lets a lane's transport go.
    pub(super) fn remove_lane(&mut self, lane: u16) {
        self.sample = self.sample.filter(|(of, ..)| *of != lane);
        self.sizes.lost(lane, self.further.size(lane));
        let datagrams = &mut self.datagrams;
        if self.further.remove(lane, &mut |datagram| keep(datagrams, datagram)) {
            self.events.push_back(EndpointEvent::LaneOver { lane });
        }
    }

    /// The connection is over, and all its further lanes with it.
    pub(super) fn close_lanes(&mut self) {
        let numbers: Vec<u16> = self.further.lanes.keys().copied().collect();
        for lane in numbers {
            self.remove_lane(lane);
        }
    }

    /// Further lanes to connection.
    pub(super) fn drain_further(&mut self, now: Instant) {
        let Some(mut connection) = self.connection.take() else { return };
        let mut over = Vec::new();
        let stirred: Vec<u16> = self.further.stirred().collect();
        for number in stirred {
            let Some(further) = self.further.lanes.get_mut(&number) else { continue };
            let before = further.delivered;
            let datagrams = &mut self.datagrams;
            let mut out = |datagram| keep(datagrams, datagram);
            if let Outcome::Over = further.drain(now, number, &mut connection, &mut out) {
                over.push(number);
            }
            let delivered = further.delivered;
            self.delivered_in_all += delivered - before;
            if before == 0 && delivered > 0 {
                self.attempts.delivered();
            }
            if let Some(time) = further.lane.poll_round_trip() {
                self.growth.checked(now, time);
            }
            if self.sizes.delivered(number, delivered) {
                self.further.calm(number);
            }
            self.take_sample(now, number, delivered);
        }
        self.connection = Some(connection);
        for number in over {
            self.end_lane(now, number);
        }
    }

    /// Whether the record that was waited for was delivered.
    fn take_sample(&mut self, now: Instant, lane: u16, delivered: u64) {
        if let Some((of, mark, at)) = self.sample
            && of == lane
            && delivered >= mark
        {
            self.growth.round_trip(now, now.saturating_duration_since(at));
            self.sample = None;
        }
    }

    /// Tells the connection what may go over which lane: over so many as are to be
    /// used.
    pub(super) fn say_rooms(&mut self, now: Instant, connection: &mut Connection) {
        let mut used = self.growth.plan().lanes.saturating_sub(1);
        for (number, further) in &mut self.further.lanes {
            let is_used = used > 0 && further.is_up;
            used -= u16::from(is_used);
            connection.handle_lane_writable(*number, further.room(now), is_used);
        }
    }

    pub(super) fn write_further(&mut self, now: Instant, lane: u16, record: &[u8]) {
        if let Some(further) = self.further.lanes.get_mut(&lane) {
            further.write(now, record);
            let written = further.written;
            self.sample.get_or_insert((lane, written, now));
        }
    }

    /// How many lanes both sides agreed on; none while their count is not sought:
    /// before anything is sent, and once the connection is over or about to be.
    pub(super) fn most_lanes(&self) -> Option<u16> {
        let connection = self.connection.as_ref()?;
        let is_sent = self.written + self.further.count() as u64 > 0;
        // LN-RELAYED
        let most = if self.lane.is_relayed() { 1 } else { connection.most_lanes() };
        (connection.is_established() && !self.closed && is_sent).then_some(most)
    }

    /// Looks at what arrived, and does what follows from it.
    pub(super) fn pace(&mut self, now: Instant) {
        let Some(most) = self.most_lanes() else { return };
        let held = self.lane.buffered(Channel::File) as u64;
        let delivered = self.written.saturating_sub(held).max(self.delivered);
        self.delivered_in_all += delivered - self.delivered;
        self.delivered = delivered;
        self.take_sample(now, 0, delivered);
        if let Some(time) = self.lane.poll_round_trip() {
            self.growth.checked(now, time);
        }
        let before = self.growth.plan();
        let up = self.further.lanes.values().filter(|further| further.is_up);
        let held = up.clone().fold(held, |held, lane| held + (lane.written - lane.delivered));
        let up = u16::try_from(up.count()).unwrap_or(u16::MAX).saturating_add(1);
        let windows = (before.window as u64).saturating_mul(u64::from(up.min(before.lanes)));
        let seen = Seen {
            delivered: self.delivered_in_all,
            is_backlogged: held.saturating_mul(2) >= windows,
            up,
            most,
        };
        let plan = self.growth.look(now, seen);
        self.follow(now, plan, before);
    }

    fn follow(&mut self, now: Instant, plan: Plan, before: Plan) {
        if plan.window != before.window {
            self.lane.set_window(plan.window);
            for further in self.further.lanes.values_mut() {
                further.lane.set_window(plan.window);
            }
        }
        while usize::from(plan.lanes) > 1 + self.further.count() && self.attempts.may_open(now) {
            let trip = self.growth.least_trip();
            if self.sizes.holds(now, trip) {
                return;
            }
            let opened = self.connection.as_mut().map(Connection::open_lane);
            let Some(Ok(lane)) = opened else { return };
            let size = self.sizes.next(now, lane);
            self.further.want(lane, size, self.sizes.patience(lane, trip));
            self.events.push_back(EndpointEvent::LaneWanted { lane });
        }
    }
}

/// Puts a datagram of any lane to those that wait for the caller.
pub(super) fn keep(datagrams: &mut VecDeque<Datagram>, datagram: Datagram) {
    if datagrams.len() < MAX_DATAGRAMS {
        datagrams.push_back(datagram);
    }
}
