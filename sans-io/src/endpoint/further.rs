//! The further lanes of an endpoint (`spec/15-lanes.md`): each one's transport,
//! from the wish for it to its end. How many there shall be is decided in
//! `growth`; what goes over them, by the connection.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use passel_proto::connection::Connection;
use passel_proto::crypto::Entropy;
use passel_proto::ids::Channel;

use crate::datagram::{Datagram, DatagramRef};
use crate::description::SignalMessage;
use crate::ice::Gatherer;
use crate::lane::{IceCredentials, IceState, Lane, LaneConfig, LaneEvent, LaneOutput};

/// How long a lane may hold something and deliver nothing.
const SILENCE: Duration = Duration::from_secs(5);
/// Signals kept of a lane for which the caller has no socket yet.
const MAX_EARLY_SIGNALS: usize = 64;

/// A further lane that has a socket.
pub(super) struct FurtherLane {
    pub(super) lane: Lane,
    /// How it is seen from outside, until it is connected.
    gatherer: Gatherer,
    timeout: Option<Instant>,
    /// A record that the lane had no room for; it goes before any other.
    pub(super) blocked: Option<Vec<u8>>,
    connect_by: Option<Instant>,
    /// Whether records can go over it.
    pub(super) is_up: bool,
    /// Bytes of records that were handed to it, and that the peer has acknowledged.
    pub(super) written: u64,
    pub(super) delivered: u64,
    /// Since when it holds something and delivers nothing.
    silent_since: Option<Instant>,
    /// How long that may be.
    silence: Duration,
    /// How large its datagrams are.
    size: usize,
    /// Whether it has to be polled.
    is_stirred: bool,
}

/// A lane that has no socket yet.
struct Wish {
    /// What was signaled of it meanwhile.
    early: Vec<SignalMessage>,
    size: usize,
    connect_timeout: Duration,
    silence: Duration,
}

/// What became of a lane while it was polled.
pub(super) enum Outcome {
    /// It goes on, as it was or now connected.
    Fine,
    /// It is over; the connection must hear of it.
    Over,
}

/// All further lanes of an endpoint.
pub(super) struct Further {
    template: LaneConfig,
    entropy: Entropy,
    connect_timeout: Duration,
    pub(super) lanes: BTreeMap<u16, FurtherLane>,
    /// Lanes for which the caller was asked for a socket.
    unbound: BTreeMap<u16, Wish>,
    /// Which lane listens at a port: by family and port.
    ports: BTreeMap<(bool, u16), u16>,
}

impl Further {
    /// `template` is the configuration of lane 0, whose credentials are not used.
    pub(super) fn new(template: LaneConfig, entropy: Entropy, connect_timeout: Duration) -> Self {
        Self {
            template,
            entropy,
            connect_timeout,
            lanes: BTreeMap::new(),
            unbound: BTreeMap::new(),
            ports: BTreeMap::new(),
        }
    }

    /// Lanes that there are or will be, but for lane 0.
    pub(super) fn count(&self) -> usize {
        self.lanes.len() + self.unbound.len()
    }

    /// Whether nothing was ever delivered over a lane that there is or was to be.
    pub(super) fn came_to_nothing(&self, number: u16) -> bool {
        let nothing = |further: &FurtherLane| further.delivered == 0;
        self.lanes.get(&number).map_or(self.unbound.contains_key(&number), nothing)
    }

    /// How large a lane's datagrams are, if it has a socket.
    pub(super) fn size(&self, number: u16) -> Option<usize> {
        self.lanes.get(&number).map(|further| further.size)
    }

    /// A lane needs a socket. `patience` is how long it may take to
    /// connect and to deliver something, if that is not as usual.
    pub(super) fn want(
        &mut self,
        number: u16,
        size: usize,
        patience: Option<(Duration, Duration)>,
    ) {
        let (connect_timeout, silence) = patience.unwrap_or((self.connect_timeout, SILENCE));
        let connect_timeout = connect_timeout.min(self.connect_timeout);
        self.unbound.insert(number, Wish { early: Vec::new(), size, connect_timeout, silence });
    }

    /// What lanes had to prove is proved: from now on this one is as patient as any.
    pub(super) fn calm(&mut self, number: u16) {
        if let Some(further) = self.lanes.get_mut(&number) {
            further.silence = SILENCE;
        }
    }

    /// Makes the lane's transport, for which the caller listens at `addresses`, with
    /// so many bytes in flight at most. `servers` are asked how it is seen from outside.
    /// `false` if there is no such wish, or the lane cannot be.
    pub(super) fn bind(
        &mut self,
        now: Instant,
        number: u16,
        (addresses, servers): (&[SocketAddr], &[SocketAddr]),
        window_bytes: usize,
        connection: &mut Connection,
    ) -> bool {
        let Some(wish) = self.unbound.remove(&number) else { return false };
        let credentials = IceCredentials::from_seed(&self.entropy.array());
        let mtu = wish.size..=(*self.template.mtu.end()).max(wish.size);
        let config =
            LaneConfig { lane: number, credentials, window_bytes, mtu, ..self.template.clone() };
        let Ok(mut lane) = Lane::new(config, now) else { return false };
        let mut is_reachable = false;
        let mut gatherer = Gatherer::new(servers, self.entropy.fork());
        for address in addresses {
            gatherer.add_base(*address);
            is_reachable |= lane.add_local_candidate(*address).is_some();
            self.ports.insert((address.is_ipv4(), address.port()), number);
        }
        gatherer.start(now);
        let description = SignalMessage::Description(lane.local_description());
        let sent =
            description.encode().and_then(|payload| connection.send_lane_signal(number, payload));
        self.lanes.insert(
            number,
            FurtherLane {
                lane,
                gatherer,
                timeout: None,
                blocked: None,
                connect_by: Some(now + wish.connect_timeout),
                is_up: false,
                written: 0,
                delivered: 0,
                silent_since: None,
                silence: wish.silence,
                size: wish.size,
                is_stirred: true,
            },
        );
        let all = wish.early.into_iter().all(|signal| self.take(now, number, signal));
        is_reachable && sent.is_ok() && all
    }

    /// Takes what the peer says of a lane. `false` if that ends the lane
    /// (`LN-TRANSPORT`); a lane that is not known yet is wanted from now on, which
    /// is the second result.
    pub(super) fn signal(&mut self, now: Instant, number: u16, payload: &[u8]) -> (bool, bool) {
        let Ok(signal) = SignalMessage::decode(payload) else { return (false, false) };
        if self.lanes.contains_key(&number) {
            let goes_on = self.take(now, number, signal);
            if let Some(further) = self.lanes.get_mut(&number) {
                // The peer has this side's description, so it answers checks, and the
                // first need not wait for the stack's pace.
                further.lane.handle_timeout(now);
            }
            return (goes_on, false);
        }
        let is_new = !self.unbound.contains_key(&number);
        if is_new {
            // Over a lane of the peer this side sends little.
            self.want(number, *self.template.mtu.start(), None);
        }
        let Some(wish) = self.unbound.get_mut(&number) else { return (false, false) };
        wish.early.push(signal);
        (wish.early.len() <= MAX_EARLY_SIGNALS, is_new)
    }

    fn take(&mut self, now: Instant, number: u16, signal: SignalMessage) -> bool {
        let Some(further) = self.lanes.get_mut(&number) else { return false };
        further.is_stirred = true;
        match signal {
            SignalMessage::Description(description) => {
                further.lane.set_remote(description, now).is_ok()
            }
            SignalMessage::Candidates(candidates) => {
                for candidate in candidates {
                    further.lane.add_remote_candidate(candidate);
                }
                true
            }
            SignalMessage::EndOfCandidates => true,
            SignalMessage::Abort { .. } => false,
        }
    }

    /// The lane that a datagram is for, if it is one of these. `is_mine` says
    /// whether lane 0 would take it.
    pub(super) fn lane_for(
        &mut self,
        datagram: DatagramRef<'_>,
        is_mine: impl FnOnce() -> bool,
    ) -> Option<&mut FurtherLane> {
        let place = (datagram.destination.is_ipv4(), datagram.destination.port());
        let number = match self.ports.get(&place) {
            Some(number) => *number,
            // Several lanes may share a socket, as long as their peers do not.
            None if self.lanes.is_empty() || is_mine() => return None,
            None => *self.lanes.iter().find(|(_, further)| further.lane.accepts(datagram))?.0,
        };
        self.lanes.get_mut(&number)
    }

    /// When something is to be done.
    pub(super) fn timeout(&self) -> Option<Instant> {
        let of = |further: &FurtherLane| {
            let silent = further.silent_since.map(|since| since + further.silence);
            let asking = further.gatherer.poll_timeout();
            [further.timeout, further.connect_by, silent, asking].into_iter().flatten().min()
        };
        self.lanes.values().filter_map(of).min()
    }

    /// Does what is due, and names the lanes that are to be given up.
    pub(super) fn handle_timeout(&mut self, now: Instant) -> Vec<u16> {
        let mut over = Vec::new();
        for (number, further) in &mut self.lanes {
            if further.gatherer.poll_timeout().is_some_and(|at| at <= now) {
                further.gatherer.handle_timeout(now);
                further.is_stirred = true;
            }
            if further.timeout.is_some_and(|at| at <= now) {
                further.lane.handle_timeout(now);
                further.is_stirred = true;
            }
            let is_late = further.connect_by.is_some_and(|by| by <= now);
            let is_silent =
                further.silent_since.is_some_and(|since| since + further.silence <= now);
            if is_late || is_silent {
                over.push(*number);
            }
        }
        over
    }

    /// The lanes that have to be polled.
    pub(super) fn stirred(&self) -> impl Iterator<Item = u16> + '_ {
        let stirred = self.lanes.iter().filter(|(_, further)| further.is_stirred);
        stirred.map(|(number, _)| *number)
    }

    /// Ends the transport of a lane, telling its other end. Whether there was one,
    /// or a wish for one.
    pub(super) fn remove(&mut self, number: u16, out: &mut impl FnMut(Datagram)) -> bool {
        let was_wanted = self.unbound.remove(&number).is_some();
        self.ports.retain(|_, of| *of != number);
        let Some(mut further) = self.lanes.remove(&number) else { return was_wanted };
        further.lane.close();
        loop {
            match further.lane.poll() {
                LaneOutput::Transmit(datagram) => out(datagram),
                LaneOutput::Timeout(_) => return true,
                LaneOutput::Event(_) => {}
            }
        }
    }
}

impl FurtherLane {
    pub(super) fn handle_datagram(&mut self, now: Instant, datagram: DatagramRef<'_>) {
        if !self.gatherer.handle_datagram(now, datagram) {
            self.lane.handle_datagram(now, datagram);
        }
        self.is_stirred = true;
    }

    /// Makes candidates of what was found, and tells the peer.
    fn tell_found(&mut self, number: u16, connection: &mut Connection) {
        while let Some(found) = self.gatherer.poll_found() {
            let Some(candidate) = self.lane.add_reflexive_candidate(found.address, found.base)
            else {
                continue;
            };
            // Without it the lane has one way less to come up.
            if let Ok(payload) = SignalMessage::Candidates(vec![candidate]).encode() {
                let _ = connection.send_lane_signal(number, payload);
            }
        }
    }

    /// Hands a record to the lane; keeps it if there is no room.
    pub(super) fn write(&mut self, now: Instant, record: &[u8]) {
        match self.lane.write(now, Channel::File, record) {
            Ok(true) => self.written += record.len() as u64,
            Ok(false) => self.blocked = Some(record.to_vec()),
            // A channel that is closed: the lane's own event says so.
            Err(_) => {}
        }
        self.is_stirred = true;
    }

    /// What records may go over it now.
    pub(super) fn room(&mut self, now: Instant) -> usize {
        if !self.is_up {
            return 0;
        }
        if let Some(record) = self.blocked.take() {
            self.write(now, &record);
        }
        if self.blocked.is_some() { 0 } else { self.lane.room(Channel::File) }
    }

    /// Polls the transport until it has nothing more to say.
    pub(super) fn drain(
        &mut self,
        now: Instant,
        number: u16,
        connection: &mut Connection,
        out: &mut impl FnMut(Datagram),
    ) -> Outcome {
        self.is_stirred = false;
        self.tell_found(number, connection);
        while let Some(datagram) = self.gatherer.poll_datagram() {
            out(datagram);
        }
        loop {
            match self.lane.poll() {
                LaneOutput::Transmit(datagram) => out(datagram),
                LaneOutput::Timeout(at) => {
                    self.timeout = at;
                    break;
                }
                LaneOutput::Event(LaneEvent::Message { mut data, .. }) => {
                    connection.handle_lane_message(now, number, &mut data);
                }
                LaneOutput::Event(LaneEvent::ChannelOpen(Channel::File)) => {
                    self.gatherer.stop(); // TB-STUN-REFRESH
                    self.is_up = true;
                    self.connect_by = None;
                }
                LaneOutput::Event(
                    LaneEvent::Failed(_)
                    | LaneEvent::Closed
                    | LaneEvent::ChannelClosed(_)
                    | LaneEvent::IceState(IceState::Disconnected),
                ) => return Outcome::Over,
                LaneOutput::Event(_) => {}
            }
        }
        let held = self.lane.buffered(Channel::File) as u64;
        let delivered = self.written.saturating_sub(held);
        if held == 0 {
            self.silent_since = None;
        } else if delivered > self.delivered || self.silent_since.is_none() {
            self.silent_since = Some(now);
        }
        self.delivered = self.delivered.max(delivered);
        Outcome::Fine
    }
}
