//! The further lanes of a connection (`spec/15-lanes.md`): which there are, what
//! was sent over each, and what becomes of it when a lane ends. How a lane comes
//! to be is the transport's; what goes over it is decided in `fill`.

use std::collections::BTreeMap;
use std::time::Instant;

use super::established::{Established, Transfer};
use super::{Connection, Event, Phase};
use crate::error::{Error, ErrorCode};
use crate::frame::{LaneEnd, LaneSignal, LaneTally};
use crate::handshake::{EXTENSION_LANES, Extension, Session};
use crate::ids::{Channel, Role, TransferId};
use crate::limits::{MAX_LANE_SIGNAL, MAX_LANES_COUNT};

/// What one side sent over a lane, in credit.
#[derive(Debug, Default)]
struct Tally {
    cost: u64,
    transfers: BTreeMap<TransferId, u64>,
}

impl Tally {
    fn add(&mut self, transfer: TransferId, cost: u64) {
        self.cost = self.cost.saturating_add(cost);
        let part = self.transfers.entry(transfer).or_default();
        *part = part.saturating_add(cost);
    }
}

/// One further lane.
#[derive(Debug, Default)]
struct Lane {
    room: usize,
    /// Whether chunks may begin on it.
    begins: bool,
    sent: Tally,
    received: Tally,
    /// Whether this side said LANE_END.
    ended_here: bool,
}

/// All further lanes of a connection.
#[derive(Debug)]
pub(super) struct Lanes {
    /// How many lanes the two sides agreed on, lane 0 among them.
    most: u16,
    /// The next number for a lane of this side, and of the peer.
    next_own: u16,
    next_peer: u16,
    open: BTreeMap<u16, Lane>,
    /// Behind which lane the next record of data is due.
    turn: u16,
}

/// What a side says of the lanes that it takes, lane 0 among them (`LN-OFFER`).
pub(super) fn offer(most: u16) -> Option<Extension> {
    (most > 1).then(|| Extension { id: EXTENSION_LANES, body: most.to_le_bytes().to_vec() })
}

/// The first number of a role's own lanes (`LN-NUMBERS`).
fn first(role: Role) -> u16 {
    match role {
        Role::Initiator => 1,
        Role::Responder => 2,
    }
}

impl Lanes {
    /// `most` is what this side takes, `extensions` what the peer said.
    ///
    /// # Errors
    ///
    /// The peer's fault: not the layout of the extension.
    pub(super) fn new(role: Role, most: u16, extensions: &[Extension]) -> Result<Self, Error> {
        let said = extensions.iter().find(|extension| extension.id == EXTENSION_LANES);
        let theirs = match said.map(|extension| <[u8; 2]>::try_from(extension.body.as_slice())) {
            None => 1,
            Some(Ok(bytes)) if bytes != [0, 0] => u16::from_le_bytes(bytes),
            Some(_) => {
                let text = "the peer does not say properly how many lanes it takes";
                return Err(Error::peer(ErrorCode::Malformed, text));
            }
        };
        let mut lanes = Self::one(role);
        lanes.most = most.min(theirs);
        Ok(lanes)
    }

    /// No lane but lane 0.
    pub(super) fn one(role: Role) -> Self {
        Self {
            most: 1,
            next_own: first(role),
            next_peer: first(role.peer()),
            open: BTreeMap::new(),
            turn: 0,
        }
    }

    pub(super) fn most(&self) -> u16 {
        self.most
    }

    /// Whether what was sent over one lane may come again over another.
    pub(super) fn are_possible(&self) -> bool {
        self.most > 1
    }

    /// Lanes over which this side may send: lane 0 and those that did not end.
    pub(super) fn count(&self) -> usize {
        1 + self.open.values().filter(|lane| !lane.ended_here).count()
    }

    /// How many lanes there are of the side to which this number belongs.
    fn opened_by(&self, lane: u16) -> usize {
        self.open.keys().filter(|open| **open % 2 == lane % 2).count()
    }

    /// Whether this side may still send over the lane.
    pub(super) fn is_open(&self, lane: u16) -> bool {
        self.open.get(&lane).is_some_and(|lane| !lane.ended_here)
    }

    fn set_room(&mut self, lane: u16, room: usize, begins: bool) {
        if let Some(lane) = self.open.get_mut(&lane) {
            (lane.room, lane.begins) = (room, begins);
        }
    }

    /// Whether chunks may begin on the lane.
    pub(super) fn begins(&self, lane: u16) -> bool {
        self.open.get(&lane).is_none_or(|lane| lane.begins)
    }

    pub(super) fn room(&self, lane: u16) -> usize {
        self.open.get(&lane).map_or(0, |lane| lane.room)
    }

    /// The lane over which the last record of data went.
    pub(super) fn turn(&self) -> u16 {
        self.turn
    }

    /// The lane that comes behind another, in turn, of those over which this side
    /// may send.
    pub(super) fn behind(&self, lane: u16) -> u16 {
        let mut behind = self.open.range(lane.saturating_add(1)..);
        behind.find(|(_, lane)| !lane.ended_here).map_or(0, |(number, _)| *number)
    }

    /// A record of data was filled for the lane.
    pub(super) fn sent(&mut self, number: u16, transfer: TransferId, cost: u64) {
        self.turn = number;
        if let Some(lane) = self.open.get_mut(&number) {
            lane.sent.add(transfer, cost);
        }
    }

    /// A record was sealed for the lane.
    pub(super) fn use_room(&mut self, number: u16, bytes: usize) {
        if let Some(lane) = self.open.get_mut(&number) {
            lane.room = lane.room.saturating_sub(bytes);
        }
    }

    pub(super) fn received(&mut self, number: u16, transfer: TransferId, cost: u64) {
        if let Some(lane) = self.open.get_mut(&number) {
            lane.received.add(transfer, cost);
        }
    }

    /// Forgets the parts of transfers that are over.
    pub(super) fn retain(&mut self, is_open: impl Fn(&TransferId) -> bool) {
        for lane in self.open.values_mut() {
            lane.sent.transfers.retain(|id, _| is_open(id));
            lane.received.transfers.retain(|id, _| is_open(id));
        }
    }
}

/// What a caller does with further lanes.
impl Connection {
    /// The transport can take `room` bytes of further messages on `file` of a further
    /// lane. Replaces what was said before. Where nothing `begins`, only the chunk that
    /// was begun there goes on (`LN-CHUNK`), so that the lane falls silent.
    pub fn handle_lane_writable(&mut self, lane: u16, room: usize, begins: bool) {
        if let Phase::Established(session) = &mut self.phase {
            session.lanes.set_room(lane, room, begins);
        }
    }

    /// Takes one message of the peer that came on `file` of a further lane, as
    /// [`handle_message`](Self::handle_message) does for lane 0. What comes over a
    /// lane that is over is ignored; one that does not open ends its lane
    /// (`LN-RECORD`).
    pub fn handle_lane_message(&mut self, now: Instant, lane: u16, message: &mut [u8]) {
        if let Phase::Established(session) = &mut self.phase {
            session.handle_record(now, (lane, Channel::File), message);
        }
    }

    /// How many lanes the two sides agreed on, lane 0 among them; each side may have
    /// opened one fewer itself. 1 before the handshake is done.
    pub fn most_lanes(&self) -> u16 {
        match &self.phase {
            Phase::Established(session) => session.lanes.most(),
            _ => 1,
        }
    }

    /// The number that [`open_lane`](Self::open_lane) would give a lane now; `None` where
    /// it would refuse: there is no session, or there are as many lanes as agreed on.
    pub fn next_lane(&self) -> Option<u16> {
        match &self.phase {
            Phase::Established(session) => session.next_lane().ok(),
            _ => None,
        }
    }

    /// Begins a further lane by telling the other end's transport what it must know first,
    /// at most [`MAX_LANE_SIGNAL`] bytes, and gives the lane's number. What else is to be
    /// told follows by [`send_lane_signal`](Self::send_lane_signal); until there is
    /// [room](Self::handle_lane_writable) on it, nothing goes over it.
    ///
    /// # Errors
    ///
    /// Misuse: no session, as many lanes as agreed on, or a signal that is too long.
    pub fn open_lane(&mut self, signal: Vec<u8>) -> Result<u16, Error> {
        self.session()?.open_lane(signal)
    }

    /// Whether there is such a further lane, and this side has not ended it.
    pub fn is_lane_open(&self, lane: u16) -> bool {
        match &self.phase {
            Phase::Established(session) => session.lanes.is_open(lane),
            _ => false,
        }
    }

    /// Tells the transport at the other end something of a lane that either side
    /// began, at most [`MAX_LANE_SIGNAL`] bytes; it
    /// comes out there as [`Event::LaneSignal`], in order.
    ///
    /// # Errors
    ///
    /// Misuse: too long, or no such lane.
    pub fn send_lane_signal(&mut self, lane: u16, payload: Vec<u8>) -> Result<(), Error> {
        self.session()?.send_lane_signal(lane, payload)
    }

    /// Ends a further lane, because its transport failed or is not needed: what may
    /// be lost on it is sent over others. One that is over is left alone.
    pub fn end_lane(&mut self, now: Instant, lane: u16) {
        if let Phase::Established(session) = &mut self.phase {
            let _ = session.end_lane(lane);
            session.tidy(now);
        }
    }
}

impl Established {
    /// What both hellos said.
    pub(super) fn agree_on_lanes(&mut self, session: &Session) -> Result<(), Error> {
        self.lanes = Lanes::new(self.role, self.config.lanes, session.peer_extensions())?;
        Ok(())
    }

    /// The number of this side's next lane, if it may begin one now.
    fn next_lane(&self) -> Result<u16, Error> {
        let number = self.lanes.next_own;
        if self.is_closing() || !self.comparison.is_settled() {
            return Err(Error::misuse("the connection does not take lanes now"));
        }
        if self.lanes.opened_by(number) + 1 >= usize::from(self.lanes.most) {
            return Err(Error::misuse("there are as many lanes as the two sides agreed on"));
        }
        let is_left = number.checked_add(2).is_some();
        is_left.then_some(number).ok_or_else(|| Error::misuse("no lane number is left"))
    }

    /// Begins a lane of this side. The peer learns of it here, so that it learns of all in
    /// their order (`LN-NUMBERS`, `LN-SIGNAL`).
    pub(super) fn open_lane(&mut self, signal: Vec<u8>) -> Result<u16, Error> {
        let number = self.next_lane()?;
        if signal.len() > MAX_LANE_SIGNAL {
            return Err(Error::misuse("a signal that is too long"));
        }
        self.lanes.next_own = number.saturating_add(2);
        self.add_lane(number);
        self.send_lane_signal(number, signal)?;
        Ok(number)
    }

    fn add_lane(&mut self, number: u16) {
        self.keys.add_lane(number);
        self.lanes.open.insert(number, Lane::default());
        self.lanes_changed();
    }

    /// What is read ahead grows with the lanes that send it, and what is begun on them is
    /// shared by the transfers.
    pub(super) fn lanes_changed(&mut self) {
        let (count, transfers) = (self.lanes.count(), self.transfers.len());
        for slot in self.transfers.values_mut() {
            if let Transfer::Out(outgoing) = &mut slot.transfer {
                outgoing.set_lanes(count, transfers);
            }
        }
    }

    /// Sends what the other end's transport must know of a lane (`LN-SIGNAL`).
    pub(super) fn send_lane_signal(&mut self, lane: u16, payload: Vec<u8>) -> Result<(), Error> {
        if payload.len() > MAX_LANE_SIGNAL || !self.lanes.is_open(lane) {
            return Err(Error::misuse("a signal that is too long, or of no lane"));
        }
        if !self.is_closing() {
            self.out.control.push_back(LaneSignal { lane, payload }.into());
        }
        Ok(())
    }

    /// LN-SIGNAL, LN-NUMBERS, LN-MOST
    pub(super) fn on_lane_signal(&mut self, signal: LaneSignal) -> Result<(), Error> {
        let LaneSignal { lane, payload } = signal;
        let violation = |text: &'static str| Error::peer(ErrorCode::ProtocolViolation, text);
        let is_own = lane % 2 == self.lanes.next_own % 2;
        let next = if is_own { self.lanes.next_own } else { self.lanes.next_peer };
        if lane == next && !is_own {
            if !self.comparison.is_settled() {
                return Err(violation("a lane came before the comparison"));
            }
            if self.lanes.opened_by(lane) + 1 >= usize::from(self.lanes.most) {
                return Err(Error::peer(ErrorCode::LimitExceeded, "too many lanes"));
            }
            let next = lane.checked_add(2);
            self.lanes.next_peer = next.ok_or_else(|| violation("no lane number is left"))?;
            self.add_lane(lane);
        } else if lane >= next {
            return Err(violation("a signal names a lane that never was"));
        }
        if self.lanes.is_open(lane) {
            self.out.events.push_back(Event::LaneSignal { lane, payload });
        }
        Ok(())
    }

    /// Ends a lane from this side: what may be lost on it is sent over others
    /// (`LN-END`, `LN-AGAIN`).
    pub(super) fn end_lane(&mut self, number: u16) -> Result<(), Error> {
        let Some(lane) = self.lanes.open.get_mut(&number).filter(|lane| !lane.ended_here) else {
            return Err(Error::misuse("there is no such lane"));
        };
        lane.ended_here = true;
        lane.room = 0;
        let sent = std::mem::take(&mut lane.sent);
        let parts = sent.transfers.into_iter();
        let transfers = parts.map(|(transfer, cost)| LaneTally { transfer, cost }).collect();
        let end = LaneEnd { lane: number, cost: sent.cost, transfers };
        if !self.is_closing() {
            self.out.control.push_back(end.into());
        }
        for slot in self.transfers.values_mut() {
            if let Transfer::Out(outgoing) = &mut slot.transfer {
                outgoing.lose_lane(number, &mut self.out)?;
            }
        }
        self.lanes_changed();
        Ok(())
    }

    /// The peer sends nothing more over a lane: what did not come counts as if it
    /// had (`LN-END-COUNT`).
    pub(super) fn on_lane_end(&mut self, end: &LaneEnd) -> Result<(), Error> {
        let Some(lane) = self.lanes.open.get_mut(&end.lane) else {
            let text = "a LANE_END for a lane that is not there";
            return Err(Error::peer(ErrorCode::ProtocolViolation, text));
        };
        let received = std::mem::take(&mut lane.received);
        let less =
            || Error::peer(ErrorCode::ProtocolViolation, "a lane brought more than was sent");
        let lost = end.cost.checked_sub(received.cost).ok_or_else(less)?;
        let mut granted = self.receive_credit.receive(lost);
        for part in &end.transfers {
            let came = received.transfers.get(&part.transfer).copied().unwrap_or(0);
            let lost = part.cost.checked_sub(came).ok_or_else(less)?;
            if let Some(slot) = self.transfers.get_mut(&part.transfer)
                && let Transfer::In(incoming) = &mut slot.transfer
            {
                granted &= incoming.credit().receive(lost);
            }
        }
        if !granted {
            let text = "the peer sent more than it was granted over a lane";
            return Err(Error::peer(ErrorCode::CreditExceeded, text));
        }
        if self.lanes.is_open(end.lane) {
            self.out.events.push_back(Event::LaneEnded { lane: end.lane });
            self.end_lane(end.lane)?;
        }
        self.lanes.open.remove(&end.lane);
        self.keys.remove_lane(end.lane);
        Ok(())
    }

    /// What comes over a lane that is over, or does not open, concerns that lane
    /// alone (`LN-RECORD`). Returns whether the record is to be opened.
    pub(super) fn takes_lane(&self, lane: u16, channel: Channel) -> bool {
        lane == 0 || (channel == Channel::File && self.lanes.open.contains_key(&lane))
    }

    /// A record of a further lane did not open.
    pub(super) fn spoil_lane(&mut self, lane: u16) {
        if self.lanes.is_open(lane) {
            self.out.events.push_back(Event::LaneEnded { lane });
            // It is open, so it can end.
            let _ = self.end_lane(lane);
        }
    }
}

/// No side may say more.
const _: () = assert!(MAX_LANES_COUNT >= 2 && MAX_LANES_COUNT < u16::MAX as usize);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Blame;

    fn agreed(most: u16, body: &[u8]) -> Result<u16, Error> {
        let said = Extension { id: EXTENSION_LANES, body: body.to_vec() };
        Lanes::new(Role::Initiator, most, &[said]).map(|lanes| lanes.most())
    }

    #[test]
    fn both_have_as_many_lanes_as_the_one_that_takes_fewer() {
        // LN-OFFER
        assert_eq!(agreed(8, &32_u16.to_le_bytes()).unwrap(), 8);
        assert_eq!(agreed(32, &8_u16.to_le_bytes()).unwrap(), 8);
        assert_eq!(agreed(32, &u16::MAX.to_le_bytes()).unwrap(), 32, "more than anybody takes");
        assert_eq!(agreed(1, &8_u16.to_le_bytes()).unwrap(), 1);
        let silent = Lanes::new(Role::Initiator, 32, &[]).unwrap();
        assert_eq!(silent.most(), 1, "a peer that knows nothing of lanes");
    }

    #[test]
    fn what_is_no_number_of_lanes_is_the_peers_fault() {
        // LN-OFFER
        for body in [&[][..], &[8], &[8, 0, 0], &[0, 0]] {
            let error = agreed(8, body).unwrap_err();
            assert_eq!((error.code, error.blame), (ErrorCode::Malformed, Blame::Peer), "{body:?}");
        }
    }
}
