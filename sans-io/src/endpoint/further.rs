//! The further lanes of an endpoint (`spec/15-lanes.md`): what is known of each, from
//! the wish for it to its end. Their transports are [`Carrier`]s, which are driven here
//! or, if the caller has taken them, elsewhere. How many there shall be is decided in
//! `growth`; what goes over them, by the connection.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use passel_proto::connection::Connection;
use passel_proto::crypto::Entropy;

use crate::carrier::{Carrier, Command};
use crate::datagram::{Datagram, DatagramRef};
use crate::description::SignalMessage;
use crate::lane::{IceCredentials, LaneConfig};

/// How long a lane may hold something and deliver nothing.
const SILENCE: Duration = Duration::from_secs(5);
/// Signals kept of a lane for which the caller has no socket yet.
const MAX_EARLY_SIGNALS: usize = 64;

/// A further lane that has a socket.
pub(super) struct FurtherLane {
    /// Its transport, unless that is driven elsewhere.
    carrier: Option<Carrier>,
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
    /// When the caller is not waited for any more.
    by: Instant,
}

/// All further lanes of an endpoint.
pub(super) struct Further {
    template: LaneConfig,
    entropy: Entropy,
    connect_timeout: Duration,
    pub(super) lanes: BTreeMap<u16, FurtherLane>,
    /// Lanes for which the caller was asked for a socket.
    unbound: BTreeMap<u16, Wish>,
    /// Which lane listens at an address.
    bound: BTreeMap<SocketAddr, u16>,
    /// What transports that are driven elsewhere are to do.
    pub(super) commands: VecDeque<(u16, Command)>,
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
            bound: BTreeMap::new(),
            commands: VecDeque::new(),
        }
    }

    /// Lanes that there are or will be, but for lane 0.
    pub(super) fn count(&self) -> usize {
        self.lanes.len() + self.unbound.len()
    }

    /// Whether there is no socket yet for this lane.
    pub(super) fn is_unbound(&self, number: u16) -> bool {
        self.unbound.contains_key(&number)
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
        now: Instant,
        number: u16,
        size: usize,
        patience: Option<(Duration, Duration)>,
    ) {
        let (connect_timeout, silence) = patience.unwrap_or((self.connect_timeout, SILENCE));
        let connect_timeout = connect_timeout.min(self.connect_timeout);
        let (early, by) = (Vec::new(), now + connect_timeout);
        self.unbound.insert(number, Wish { early, size, connect_timeout, silence, by });
    }

    /// What lanes had to prove is proved: from now on this one is as patient as any.
    pub(super) fn calm(&mut self, number: u16) {
        if let Some(further) = self.lanes.get_mut(&number) {
            further.silence = SILENCE;
        }
    }

    /// Makes the lane's transport, for which the caller listens at `addresses`; `servers`
    /// are asked how it is seen from outside. `None` if there is no such wish, or the lane
    /// cannot be.
    pub(super) fn bind(
        &mut self,
        now: Instant,
        number: u16,
        (addresses, servers): (&[SocketAddr], &[SocketAddr]),
        connection: &mut Connection,
    ) -> Option<()> {
        let wish = self.unbound.remove(&number)?;
        let is_own = connection.next_lane() == Some(number);
        let credentials = IceCredentials::from_seed(&self.entropy.array());
        let mtu = wish.size..=(*self.template.mtu.end()).max(wish.size);
        let config = LaneConfig { lane: number, credentials, mtu, ..self.template.clone() };
        let (asked_first, entropy) = (wish.early.is_empty(), self.entropy.fork());
        let carrier = Carrier::new(config, (addresses, servers), asked_first, entropy, now).ok()?;
        let description = SignalMessage::Description(carrier.description()).encode().ok()?;
        if is_own {
            connection.open_lane(description).ok()?;
        } else {
            connection.send_lane_signal(number, description).ok()?;
        }
        for address in addresses {
            self.bound.insert(*address, number);
        }
        self.lanes.insert(
            number,
            FurtherLane {
                carrier: Some(carrier),
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
        for signal in wish.early {
            self.command(now, number, Command::Signal(signal));
        }
        Some(())
    }

    /// Gives away the transport of a lane, which is driven elsewhere from now on.
    pub(super) fn take_apart(&mut self, number: u16) -> Option<Carrier> {
        self.bound.retain(|_, of| *of != number);
        self.lanes.get_mut(&number)?.carrier.take()
    }

    /// Hands a command to a lane's transport, wherever that is.
    fn command(&mut self, now: Instant, number: u16, command: Command) {
        let Some(further) = self.lanes.get_mut(&number) else { return };
        match &mut further.carrier {
            Some(carrier) => {
                carrier.handle_command(now, command);
                further.is_stirred = true;
            }
            None => self.commands.push_back((number, command)),
        }
    }

    /// Hands a record to a lane.
    pub(super) fn write(&mut self, now: Instant, number: u16, record: &[u8]) {
        let Some(further) = self.lanes.get_mut(&number) else { return };
        further.written += record.len() as u64;
        further.silent_since.get_or_insert(now);
        let is_taken = further.carrier.as_mut().is_some_and(|carrier| carrier.write(now, record));
        further.is_stirred = true;
        if !is_taken {
            self.command(now, number, Command::Record(record.to_vec()));
        }
    }

    /// Takes what the peer says of a lane. `false` if that ends the lane
    /// (`LN-TRANSPORT`); a lane that is not known yet is wanted from now on, which
    /// is the second result.
    pub(super) fn signal(&mut self, now: Instant, number: u16, payload: &[u8]) -> (bool, bool) {
        let Ok(signal) = SignalMessage::decode(payload) else { return (false, false) };
        if self.lanes.contains_key(&number) {
            self.command(now, number, Command::Signal(signal));
            return (true, false);
        }
        let is_new = !self.unbound.contains_key(&number);
        if is_new {
            // Over a lane of the peer this side sends little.
            self.want(now, number, *self.template.mtu.start(), None);
        }
        let Some(wish) = self.unbound.get_mut(&number) else { return (false, false) };
        wish.early.push(signal);
        (wish.early.len() <= MAX_EARLY_SIGNALS, is_new)
    }

    /// The transport here that a datagram is for, if it is one of these. `is_mine` says
    /// whether lane 0 would take it.
    pub(super) fn lane_for(
        &mut self,
        datagram: DatagramRef<'_>,
        is_mine: impl FnOnce() -> bool,
    ) -> Option<&mut Carrier> {
        let accepts = |(_, further): &(&u16, &FurtherLane)| {
            further.carrier.as_ref().is_some_and(|carrier| carrier.accepts(datagram))
        };
        let number = match self.bound.get(&datagram.destination) {
            Some(number) => *number,
            // Several lanes may share a socket, as long as their peers do not.
            None if self.lanes.is_empty() || is_mine() => return None,
            None => *self.lanes.iter().find(accepts)?.0,
        };
        let further = self.lanes.get_mut(&number)?;
        further.is_stirred = true;
        further.carrier.as_mut()
    }

    /// When something is to be done.
    pub(super) fn timeout(&self) -> Option<Instant> {
        let of = |further: &FurtherLane| {
            let silent = further.silent_since.map(|since| since + further.silence);
            let carrier = further.carrier.as_ref().and_then(Carrier::poll_timeout);
            [carrier, further.connect_by, silent].into_iter().flatten().min()
        };
        let wishes = self.unbound.values().map(|wish| wish.by);
        self.lanes.values().filter_map(of).chain(wishes).min()
    }

    /// Does what is due, and names the lanes that are to be given up.
    pub(super) fn handle_timeout(&mut self, now: Instant) -> Vec<u16> {
        let late = self.unbound.iter().filter(|(_, wish)| wish.by <= now);
        let mut over: Vec<u16> = late.map(|(number, _)| *number).collect();
        for (number, further) in &mut self.lanes {
            if let Some(carrier) = &mut further.carrier
                && carrier.poll_timeout().is_some_and(|at| at <= now)
            {
                carrier.handle_timeout(now);
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

    /// The lanes that have to be polled here.
    pub(super) fn stirred(&mut self) -> Vec<u16> {
        let stirred = self.lanes.iter_mut().filter(|(_, further)| further.is_stirred);
        stirred
            .map(|(number, further)| {
                further.is_stirred = false;
                *number
            })
            .collect()
    }

    /// The transport of a lane, if it is driven here.
    pub(super) fn carrier(&mut self, number: u16) -> Option<&mut Carrier> {
        self.lanes.get_mut(&number)?.carrier.as_mut()
    }

    /// Ends the transport of a lane, telling its other end. Whether there was one,
    /// or a wish for one.
    pub(super) fn remove(&mut self, number: u16, out: &mut impl FnMut(Datagram)) -> bool {
        let was_wanted = self.unbound.remove(&number).is_some();
        self.bound.retain(|_, of| *of != number);
        let Some(further) = self.lanes.remove(&number) else { return was_wanted };
        let Some(mut carrier) = further.carrier else {
            self.commands.push_back((number, Command::Close));
            return true;
        };
        carrier.close();
        while carrier.poll_report().is_some() {}
        while let Some(datagram) = carrier.poll_datagram() {
            out(datagram);
        }
        true
    }
}

impl FurtherLane {
    /// Records can go over it.
    pub(super) fn came_up(&mut self) {
        self.is_up = true;
        self.connect_by = None;
    }

    /// So many bytes were delivered since the beginning: how many of them are news.
    pub(super) fn on_delivered(&mut self, now: Instant, delivered: u64) -> u64 {
        let news = delivered.saturating_sub(self.delivered);
        if news > 0 {
            self.delivered = delivered;
            self.silent_since = (self.delivered < self.written).then_some(now);
        }
        news
    }

    /// What records may go over it now, with a window of so many bytes.
    pub(super) fn room(&self, window: usize) -> usize {
        let held = usize::try_from(self.written - self.delivered).unwrap_or(usize::MAX);
        if self.is_up { window.saturating_sub(held) } else { 0 }
    }
}
