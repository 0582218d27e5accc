//! A translator of addresses, or a stateful firewall, as a pure state machine:
//! a header, a direction and a time in; a header, or why it was dropped, out.
//! Its behaviour is that of RFC 4787, one field of the plan for each axis. What
//! does not live here: where it stands in the network (`routes`).

mod ports;
mod table;

use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

use self::ports::Ports;
use self::table::{Key, Table};
use crate::rng::Draw;

pub use self::ports::{FIRST_PORT, PortChoice};

/// How much of the remote end's address a decision depends on.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Dependence {
    /// On nothing: the same for every remote end.
    #[default]
    EndpointIndependent,
    /// On its address.
    Address,
    /// On its address and its port.
    AddressAndPort,
}

/// The remote ends that a decision holds for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Scope {
    Any,
    Host(IpAddr),
    Port(SocketAddr),
}

impl Dependence {
    /// All three, the most open first.
    pub const ALL: [Dependence; 3] =
        [Dependence::EndpointIndependent, Dependence::Address, Dependence::AddressAndPort];

    fn scope(self, remote: SocketAddr) -> Scope {
        match self {
            Dependence::EndpointIndependent => Scope::Any,
            Dependence::Address => Scope::Host(remote.ip()),
            Dependence::AddressAndPort => Scope::Port(remote),
        }
    }
}

/// A translator as data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NatPlan {
    /// Its address outside; without one it translates nothing and is a firewall.
    pub outside: Option<IpAddr>,
    /// For which remote ends one inside end keeps one outside end.
    pub mapping: Dependence,
    /// From which remote ends something is let in, once something went out.
    pub filtering: Dependence,
    /// Which port an inside end gets.
    pub ports: PortChoice,
    /// How long a session lasts after the datagram that last refreshed it.
    pub idle_us: u64,
    /// Whether what comes in refreshes a session too, not only what goes out.
    pub inbound_refresh: bool,
    /// Whether inside ends reach each other by their outside ends. They then see
    /// each other's outside ends as sources.
    pub hairpin: bool,
    /// Most sessions at once. A session is one mapping used towards what the
    /// filter tells apart.
    pub sessions: usize,
}

impl NatPlan {
    /// The kindest translator there is, at `outside`.
    pub fn open(outside: IpAddr) -> Self {
        Self {
            outside: Some(outside),
            mapping: Dependence::EndpointIndependent,
            filtering: Dependence::EndpointIndependent,
            ports: PortChoice::Preserving,
            idle_us: 300_000_000,
            inbound_refresh: true,
            hairpin: true,
            sessions: 4096,
        }
    }

    /// A firewall that lets in what answers, and only that.
    pub fn firewall() -> Self {
        Self {
            outside: None,
            filtering: Dependence::AddressAndPort,
            hairpin: false,
            ..Self::open(IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED))
        }
    }
}

/// From where a datagram comes and where it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Who sent it.
    pub source: SocketAddr,
    /// Whom it is for.
    pub destination: SocketAddr,
}

/// What becomes of a datagram from inside that is not dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passed {
    /// It leaves.
    Out(Header),
    /// It was for an outside end of this translator and goes back inside.
    Back(Header),
}

/// Why a datagram got no further.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Blocked {
    /// Nothing that is UDP passes here.
    Udp,
    /// There were as many sessions as there may be.
    TableFull,
    /// No port was free.
    NoPort,
    /// It was for an outside end that no inside end has.
    NoMapping,
    /// Nothing had gone out to where it came from.
    Filtered,
    /// It was for the translator's own outside address, from inside.
    NoHairpin,
    /// There is nobody at its destination.
    Unreachable,
}

/// A translator or firewall in a run.
#[derive(Clone, Debug)]
pub struct Nat {
    plan: NatPlan,
    table: Table,
    ports: Ports,
}

impl Nat {
    /// The translator of a plan; `purpose` names it among the others.
    pub fn new(plan: &NatPlan, seed: u64, purpose: &str) -> Self {
        let ports = Ports::new(plan.ports, Draw::new(seed, purpose));
        Self { plan: plan.clone(), table: Table::default(), ports }
    }

    /// Its plan.
    pub fn plan(&self) -> &NatPlan {
        &self.plan
    }

    /// Sessions that are kept, some of which may have run out.
    pub fn sessions(&self) -> usize {
        self.table.sessions()
    }

    /// Takes a datagram from inside at `now`, in microseconds.
    ///
    /// # Errors
    ///
    /// Why it is dropped.
    pub fn outbound(&mut self, now: u64, header: Header) -> Result<Passed, Blocked> {
        self.expire(now);
        let back = self.plan.outside == Some(header.destination.ip());
        if back && !self.plan.hairpin {
            return Err(Blocked::NoHairpin);
        }
        let source = self.open(now, header.source, header.destination)?;
        let header = Header { source, ..header };
        if back { self.inbound(now, header).map(Passed::Back) } else { Ok(Passed::Out(header)) }
    }

    /// Takes a datagram from outside at `now`, in microseconds.
    ///
    /// # Errors
    ///
    /// Why it is dropped.
    pub fn inbound(&mut self, now: u64, header: Header) -> Result<Header, Blocked> {
        self.expire(now);
        let key = self.table.at(header.destination).ok_or(Blocked::NoMapping)?;
        let scope = self.plan.filtering.scope(header.source);
        if !self.table.has_session(&key, scope) {
            return Err(Blocked::Filtered);
        }
        if self.plan.inbound_refresh {
            self.table.refresh(&key, scope, now);
        }
        Ok(Header { destination: key.inside, ..header })
    }

    /// Forgets everything, and gives every inside end another port than it had.
    pub fn rebind(&mut self) {
        self.ports.retire(self.table.outside_ports());
        self.table = Table::default();
    }

    /// Forgets everything; inside ends may get the ports again that they had.
    pub fn reboot(&mut self) {
        self.table = Table::default();
    }

    fn expire(&mut self, now: u64) {
        if let Some(oldest) = now.checked_sub(self.plan.idle_us) {
            self.table.expire(oldest);
        }
    }

    /// The outside end of `inside` towards `remote`, with a session for it.
    fn open(
        &mut self,
        now: u64,
        inside: SocketAddr,
        remote: SocketAddr,
    ) -> Result<SocketAddr, Blocked> {
        // What is not translated is the same for everybody.
        let mapping = self.plan.outside.map_or_else(Dependence::default, |_| self.plan.mapping);
        let key = Key { inside, scope: mapping.scope(remote) };
        let scope = self.plan.filtering.scope(remote);
        let full = self.table.sessions() >= self.plan.sessions;
        if full && !self.table.has_session(&key, scope) {
            return Err(Blocked::TableFull);
        }
        let outside = match (self.table.outside(&key), self.plan.outside) {
            (Some(outside), _) => outside,
            (None, None) => inside,
            (None, Some(ip)) => {
                let table = &self.table;
                let taken = |port| table.at(SocketAddr::new(ip, port)).is_some();
                let neighbour = table.neighbour(inside.ip());
                let port = self.ports.choose(inside.port(), neighbour, taken);
                SocketAddr::new(ip, port.ok_or(Blocked::NoPort)?)
            }
        };
        self.table.map(&key, outside);
        self.table.refresh(&key, scope, now);
        Ok(outside)
    }
}
