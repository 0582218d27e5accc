//! The drain: lane to connection, connection to lane, until neither has
//! anything left to do at this moment.

use std::time::Instant;

use passel_proto::connection::{Connection, Event};
use passel_proto::ids::Channel;

use super::{Endpoint, EndpointEvent};
use crate::lane::{LaneEvent, LaneOutput};

impl Endpoint {
    /// Moves everything that can be moved now.
    pub(super) fn drive(&mut self, now: Instant) {
        self.tell_found();
        loop {
            self.drain_lane(now);
            self.drain_further(now);
            self.drain_events(now);
            if !self.send_records(now) {
                break;
            }
        }
        self.close_when_heard();
        self.hear_checks(now);
        self.pace(now);
        self.release_relays_in_time();
    }

    fn drain_lane(&mut self, now: Instant) {
        loop {
            match self.lane.poll() {
                LaneOutput::Transmit(datagram) => self.carry(now, datagram),
                LaneOutput::Timeout(at) => {
                    self.lane_timeout = at;
                    return;
                }
                LaneOutput::Event(event) => self.on_lane_event(event, now),
            }
        }
    }

    fn on_lane_event(&mut self, event: LaneEvent, now: Instant) {
        match event {
            LaneEvent::Connected { path, dtls, .. } => {
                // TB-STUN-REFRESH: the signaling carries nothing any more.
                self.gatherer.stop();
                self.relays.settle();
                self.events.push_back(EndpointEvent::Connected { path, dtls });
            }
            LaneEvent::ChannelOpen(Channel::Control) => {
                if let Err(error) = self.open_connection(now) {
                    self.fail(error);
                }
            }
            LaneEvent::Message { channel, mut data } => {
                if let Some(connection) = &mut self.connection {
                    let was_established = connection.is_established();
                    let asked = *self.asked.get_or_insert(now);
                    connection.handle_message(now, channel, &mut data);
                    if !was_established && connection.is_established() {
                        self.growth.round_trip(now, now.saturating_duration_since(asked));
                    }
                }
            }
            LaneEvent::Failed(error) => self.fail(error),
            LaneEvent::Closed => self.on_lane_closed(),
            LaneEvent::ChannelOpen(_)
            | LaneEvent::IceState(_)
            | LaneEvent::Writable(_)
            | LaneEvent::ChannelClosed(_) => {}
        }
    }

    /// The peer closed the transport: after CLOSE that is the end, before it a
    /// failure.
    fn on_lane_closed(&mut self) {
        self.close_by = None;
        self.gatherer.stop();
        if let Some(connection) = &mut self.connection {
            connection.handle_transport_closed(Some(super::lost("the peer closed the transport")));
        } else if !self.closed {
            self.closed = true;
            let error = super::lost("the peer closed the transport");
            self.events.push_back(EndpointEvent::closed(Some(error)));
        }
    }

    fn drain_events(&mut self, now: Instant) {
        while let Some(event) = self.connection.as_mut().and_then(Connection::poll_event) {
            match event {
                Event::LaneSignal { lane, payload } => {
                    self.on_lane_signal(now, lane, &payload);
                    continue;
                }
                Event::LaneEnded { lane } => {
                    self.lose_lane(now, lane);
                    continue;
                }
                Event::Closed { .. } => self.on_closed(now),
                _ => {}
            }
            self.events.push_back(EndpointEvent::Connection(event));
        }
    }

    /// An answered connectivity check says how long the path is, and that it works
    /// (`FC-IDLE-LIMIT`).
    fn hear_checks(&mut self, now: Instant) {
        if let Some(time) = self.lane.poll_round_trip() {
            self.growth.checked(now, time);
        }
        if let (Some(at), Some(connection)) = (self.lane.poll_alive(), &mut self.connection) {
            connection.handle_path_alive(at);
        }
    }

    /// Hands records to the lane while it has room. Returns whether it did.
    fn send_records(&mut self, now: Instant) -> bool {
        let mut sent = false;
        if let Some((channel, record)) = self.blocked.take() {
            if !self.write(now, channel, &record) {
                self.blocked = Some((channel, record));
                return false;
            }
            sent = true;
        }
        let Some(mut connection) = self.connection.take() else { return sent };
        for channel in Channel::ALL {
            connection.handle_writable(channel, self.lane.room(channel));
        }
        self.say_rooms(&mut connection);
        let mut record = std::mem::take(&mut self.record);
        while let Some(transmit) = connection.poll_transmit(now, &mut record) {
            if transmit.lane != 0 {
                self.write_further(now, transmit.lane, &record);
                sent = true;
                continue;
            }
            if !self.write(now, transmit.channel, &record) {
                self.blocked = Some((transmit.channel, record.clone()));
                break;
            }
            sent = true;
        }
        self.record = record;
        self.connection = Some(connection);
        sent
    }

    fn write(&mut self, now: Instant, channel: Channel, record: &[u8]) -> bool {
        // For a closed channel the lane's own event says what happened.
        let written = self.lane.write(now, channel, record).unwrap_or(true);
        if written && channel == Channel::File {
            self.written += record.len() as u64;
            self.sample.get_or_insert((0, self.written, now));
        }
        written
    }

    /// The side that said the last word waits until the other has closed the
    /// transport, or the word has been acknowledged, or `close_by`.
    fn close_when_heard(&mut self) {
        let said = self.closed && self.blocked.is_none() && self.close_by.is_some();
        if said && self.lane.buffered(Channel::Control) == 0 {
            self.close_by = None;
            self.lane.close();
        }
    }
}
