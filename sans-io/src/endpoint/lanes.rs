//! Joins the further lanes and the search for their count to the connection: the
//! frames that say what a lane's other end must know, the room that records have,
//! and what arrived.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Instant;

use passel_proto::connection::Connection;
use passel_proto::ids::{Channel, Role};
use passel_proto::limits::TRANSFER_CREDIT;

use super::growth::{Plan, Seen};
use super::{Endpoint, EndpointEvent};
use crate::carrier::{Carrier, Command, Report};
use crate::datagram::Datagram;

/// Datagrams kept for a caller that does not poll. UDP may lose the rest.
const MAX_DATAGRAMS: usize = 4096;

impl Endpoint {
    /// Answers [`EndpointEvent::LaneWanted`]: the caller listens at these addresses
    /// for this lane, on a socket that no other lane of this endpoint uses. With
    /// none, the lane is given up, as it is after some seconds without an answer; a lane
    /// that is not wanted (any more) is ignored.
    pub fn bind_lane(&mut self, now: Instant, lane: u16, addresses: &[SocketAddr]) {
        self.bind(now, lane, addresses);
        self.drive(now);
    }

    /// The same for a lane whose transport the caller drives itself, on another thread
    /// for instance. From then on what [`poll_command`](Self::poll_command) gives for this
    /// lane goes to it, and its reports to [`handle_reports`](Self::handle_reports).
    /// `None` if the lane is given up.
    pub fn bind_lane_apart(
        &mut self,
        now: Instant,
        lane: u16,
        addresses: &[SocketAddr],
    ) -> Option<Carrier> {
        self.bind(now, lane, addresses);
        let carrier = self.further.take_apart(lane);
        self.drive(now);
        carrier
    }

    fn bind(&mut self, now: Instant, lane: u16, addresses: &[SocketAddr]) {
        let Some(connection) = self.connection.as_mut().filter(|_| !self.closed) else { return };
        let servers = self.gatherer.useful_servers();
        if !self.further.is_unbound(lane) {
            return;
        }
        if self.further.bind(now, lane, (addresses, servers), connection).is_none() {
            if self.is_own(lane) {
                self.attempts.came_to_nothing(now);
            }
            self.end_lane(now, lane);
            // The caller may have a socket for it.
            self.events.push_back(EndpointEvent::LaneOver { lane });
        }
    }

    /// What the transport of a lane that is driven apart is to do.
    pub fn poll_command(&mut self) -> Option<(u16, Command)> {
        self.further.commands.pop_front()
    }

    /// Takes what the transport of a lane that is driven apart tells. It is cheaper for
    /// several at once. What comes of a lane that is over is ignored.
    pub fn handle_reports(&mut self, now: Instant, reports: impl Iterator<Item = (u16, Report)>) {
        for (lane, report) in reports {
            self.on_report(now, lane, report);
        }
        self.drive(now);
    }

    fn on_report(&mut self, now: Instant, lane: u16, report: Report) {
        let Some(further) = self.further.lanes.get_mut(&lane) else { return };
        match report {
            Report::Up => further.came_up(),
            Report::Delivered(bytes) => {
                let is_first = further.delivered == 0;
                let news = further.on_delivered(now, bytes);
                self.delivered_in_all += news;
                if is_first {
                    self.attempts.delivered();
                }
                if self.sizes.delivered(lane, bytes) {
                    self.further.calm(lane);
                }
                self.take_sample(now, lane, bytes);
            }
            Report::RoundTrip(time) => self.growth.checked(now, time),
            Report::Signal(signal) => {
                // Without it the lane has one way less to come up.
                if let (Ok(payload), Some(connection)) = (signal.encode(), &mut self.connection) {
                    let _ = connection.send_lane_signal(lane, payload);
                }
            }
            Report::Message(mut record) => {
                if let Some(connection) = &mut self.connection {
                    connection.handle_lane_message(now, lane, &mut record);
                }
            }
            Report::Over => self.end_lane(now, lane),
        }
    }

    /// How many lanes are up, lane 0 among them; and what each may have in flight, in
    /// bytes, as far as this side sends.
    pub fn lanes(&self) -> (usize, usize) {
        let further = self.further.lanes.values().filter(|further| further.is_up).count();
        (usize::from(self.lane.is_connected()) + further, self.growth.plan().window)
    }

    /// LN-SIGNAL, LN-TRANSPORT
    pub(super) fn on_lane_signal(&mut self, now: Instant, lane: u16, payload: &[u8]) {
        if !self.connection.as_ref().is_some_and(|one| one.is_lane_open(lane)) {
            return; // It was ended since the signal came.
        }
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
        // What came of a trial says something of the path, but not if there was none.
        let is_trial = self.sizes.is_trial(lane) && !self.further.is_unbound(lane);
        if self.is_own(lane) && self.further.came_to_nothing(lane) && !is_trial {
            self.attempts.came_to_nothing(now);
        }
        self.remove_lane(lane);
    }

    /// Whether this side opened the lane (`LN-NUMBERS`).
    fn is_own(&self, lane: u16) -> bool {
        (self.role == Role::Initiator) != lane.is_multiple_of(2)
    }

    /// Lets a lane's transport go.
    fn remove_lane(&mut self, lane: u16) {
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
        for lane in self.further.stirred() {
            while let Some(report) = self.further.carrier(lane).and_then(Carrier::poll_report) {
                self.on_report(now, lane, report);
            }
            while let Some(datagram) = self.further.carrier(lane).and_then(Carrier::poll_datagram) {
                keep(&mut self.datagrams, datagram);
            }
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
    pub(super) fn say_rooms(&mut self, connection: &mut Connection) {
        let mut used = self.growth.plan().lanes.saturating_sub(1);
        let window = self.growth.plan().window;
        for (number, further) in &self.further.lanes {
            let is_used = used > 0 && further.is_up;
            used -= u16::from(is_used);
            connection.handle_lane_writable(*number, further.room(window), is_used);
        }
    }

    pub(super) fn write_further(&mut self, now: Instant, lane: u16, record: &[u8]) {
        self.further.write(now, lane, record);
        if let Some(further) = self.further.lanes.get(&lane) {
            self.sample.get_or_insert((lane, further.written, now));
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
        let before = self.growth.plan();
        let up = self.further.lanes.values().filter(|further| further.is_up);
        let held = up.clone().fold(held, |held, lane| held + (lane.written - lane.delivered));
        let up = u16::try_from(up.count()).unwrap_or(u16::MAX).saturating_add(1);
        let windows = (before.window as u64).saturating_mul(u64::from(up.min(before.lanes)));
        let seen = Seen {
            delivered: self.delivered_in_all,
            is_backlogged: held.saturating_mul(2) >= windows.min(TRANSFER_CREDIT as u64 / 2),
            up,
            most,
        };
        let plan = self.growth.look(now, seen);
        self.follow(now, plan, before);
    }

    fn follow(&mut self, now: Instant, plan: Plan, before: Plan) {
        if plan.window != before.window {
            self.lane.set_window(plan.window);
        }
        if usize::from(plan.lanes) <= 1 + self.further.count() || !self.attempts.may_open(now) {
            return;
        }
        let trip = self.growth.least_trip();
        // One at a time: a lane begins, and has its number, once it has a socket.
        let next = self.connection.as_ref().and_then(Connection::next_lane);
        let next = next.filter(|lane| !self.further.is_unbound(*lane));
        if let Some(lane) = next.filter(|_| !self.sizes.holds(now, trip)) {
            let size = self.sizes.next(now, lane);
            self.further.want(now, lane, size, self.sizes.patience(lane, trip));
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
