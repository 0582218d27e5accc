//! A run of T1 as data: the hosts and their lines, the signaling between them,
//! what is sent, who closes, and when lines are out. How one is drawn from a
//! seed is in `draw`. All times are microseconds of virtual time.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::adversary::MeddlePlan;
use super::again::HEALED;
use super::planted::Planted;
use super::rendezvous::RendezvousPlan;
use super::wishes::{Wish, WishPlan};
use crate::net::{GatewayPlan, HostPlan, LinePlan, Outage, Upset};
use crate::plan::{PlanError, Side, is_false, is_zero};

/// Says of a saved plan that it is one of this tier.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tier {
    /// Whole endpoints over a simulated network.
    #[default]
    T1,
}

/// Files that go from one side to the other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TransferPlan {
    /// Who offers.
    pub from: Side,
    /// When; once the handshake is done if that is later.
    pub at_us: u64,
    /// The sizes of the files, in bytes.
    pub files: Vec<u64>,
    /// Whether the manifest does not tell them (`TR-STREAM`). Only where there is one
    /// connection: what a program writes is not there a second time.
    #[serde(default, skip_serializing_if = "is_false")]
    pub streams: bool,
}

/// Something that happens to a gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UpsetPlan {
    /// Place of the gateway.
    pub gateway: usize,
    /// In which connection, from 0.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub connection: u32,
    /// When, after that began.
    pub at_us: u64,
    /// What.
    pub upset: Upset,
}

/// A host that gets other addresses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RoamPlan {
    /// Whose host.
    pub side: Side,
    /// In which connection, from 0.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub connection: u32,
    /// When, after that began.
    pub at_us: u64,
    /// Its addresses from then on.
    pub addresses: Vec<IpAddr>,
    /// Its shell notices, listens there, and tells the endpoint.
    pub noticed: bool,
    /// It leaves the network where it was, and stands in the open from then on.
    #[serde(default, skip_serializing_if = "is_false")]
    pub leaves: bool,
}

/// A program that dies, and is there again when the two connect again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeathPlan {
    /// Whose.
    pub side: Side,
    /// In which connection, from 0.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub connection: u32,
    /// When, after that began.
    pub at_us: u64,
    /// Its machine loses power, so that its disk loses what was not synced.
    pub power: bool,
}

/// A TURN server, and who uses it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RelayPlan {
    /// Where it stands, in the open.
    pub host: HostPlan,
    /// The sides that were given it.
    pub users: Vec<Side>,
}

/// A lane that dies: from then on the network carries none of its datagrams.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeadLane {
    /// Its number; 0 stays alive.
    pub lane: u16,
    /// When.
    pub at_us: u64,
}

fn are_fast(disks: &[u64; 2]) -> bool {
    *disks == [0; 2]
}

fn one() -> u16 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants it so")]
fn is_one(lanes: &u16) -> bool {
    *lanes == 1
}

/// A whole run as data. Equal plans give equal runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// The tier.
    pub tier: Tier,
    /// Seeds keys, contents of files and every draw of the run.
    pub seed: u64,
    /// How long the rendezvous takes for a blob; they arrive in order.
    pub signaling_us: u64,
    /// The rendezvous as a host. Without it, blobs take no more than that time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rendezvous: Option<RendezvousPlan>,
    /// The inviter's host and the joiner's.
    pub hosts: [HostPlan; 2],
    /// Seeds what the libraries below an endpoint draw, in place of `seed`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entropy: Option<u64>,
    /// What is sent.
    pub transfers: Vec<TransferPlan>,
    /// Who closes the connection once all is done.
    pub closer: Side,
    /// When lines carry nothing.
    pub outages: Vec<Outage>,
    /// What stands between the hosts, if anything does.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gateways: Vec<GatewayPlan>,
    /// Most associations that both use side by side, 1 to 32.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub lanes: u16,
    /// The sides whose processors have instructions for AES, and that offer it
    /// therefore (`HS-SUITE-AES`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aes: Vec<Side>,
    /// Lanes that die.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dead_lanes: Vec<DeadLane>,
    /// A bug of the world itself; none but when the invariants are tested.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub planted: Option<Planted>,
    /// STUN servers, which both sides know.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub servers: Vec<HostPlan>,
    /// TURN servers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub relays: Vec<RelayPlan>,
    /// The sides that are to be reached through relays only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub relay_only: Vec<Side>,
    /// Hosts that get other addresses.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub roams: Vec<RoamPlan>,
    /// What somebody hostile does, wherever that one sits.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub meddlings: Vec<MeddlePlan>,
    /// What happens to gateways.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub upsets: Vec<UpsetPlan>,
    /// How long each side's disk takes for a request.
    #[serde(default, skip_serializing_if = "are_fast")]
    pub disks_us: [u64; 2],
    /// Programs that die.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub deaths: Vec<DeathPlan>,
    /// What people wish beside.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub wishes: Vec<WishPlan>,
    /// How often the two connect again after a connection was lost while the world is
    /// as planned. Then it heals, and all must be completed within a few connections
    /// more. Without any, a lost connection is the end of the run.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub again: u32,
}

impl Plan {
    /// Reads a plan from JSON.
    ///
    /// # Errors
    ///
    /// The text is no plan of this tier.
    pub fn parse(text: &str) -> Result<Self, PlanError> {
        Ok(serde_json::from_str(text)?)
    }

    /// The plan as JSON, over several lines.
    ///
    /// # Errors
    ///
    /// None is known; the encoder's are handed on.
    pub fn to_json(&self) -> Result<String, PlanError> {
        Ok(serde_json::to_string_pretty(self)?)
    }

    /// Bytes of all files together.
    pub fn bytes(&self) -> u64 {
        self.transfers.iter().flat_map(|transfer| &transfer.files).sum()
    }

    /// The servers of all kinds.
    pub(super) fn all_servers(&self) -> impl Iterator<Item = &HostPlan> {
        let relays = self.relays.iter().map(|relay| &relay.host);
        let rendezvous = self.rendezvous.iter().map(|rendezvous| &rendezvous.host);
        self.servers.iter().chain(relays).chain(rendezvous)
    }

    /// Both directions of all lines.
    pub(super) fn lines(&self) -> impl Iterator<Item = &LinePlan> {
        self.hosts.iter().chain(self.all_servers()).flat_map(|host| [&host.up, &host.down])
    }

    /// The virtual time by which the run must be over: generous for everything
    /// that may make it slow, and never without a bound.
    pub fn bound_us(&self) -> u64 {
        const SECOND: u64 = 1_000_000;
        let out = |outage: &Outage| outage.at_us.saturating_add(outage.for_us);
        let roamed = self.roams.iter().map(|one| one.at_us);
        let upset = self.upsets.iter().map(|one| one.at_us).chain(roamed).max().unwrap_or(0);
        let healed = self.outages.iter().map(out).max().unwrap_or(0).max(upset);
        let offered = self.transfers.iter().map(|transfer| transfer.at_us).max().unwrap_or(0);
        let slow = |line: &LinePlan| line.delay_us + line.jitter_us + line.reorder_us;
        let round_trip = self.lines().map(slow).sum::<u64>() + 1000;
        let (files, bytes) = (
            self.transfers.iter().map(|transfer| transfer.files.len() as u64).sum::<u64>(),
            self.bytes(),
        );
        let rate = self.lines().map(|line| line.rate).filter(|rate| *rate > 0).min();
        let on_wire = rate.map_or(0, |rate| (bytes + 64 * 1024).saturating_mul(8 * SECOND) / rate);
        // A lossy line may take its time for each window of 10 KB.
        let turns = (bytes / 10_000 + 8 * files + 60).saturating_mul(8 * round_trip);
        let requests = (bytes / 16_384 + 8 * files + 60) * self.disks_us.into_iter().sum::<u64>();
        let paused = |one: &WishPlan| match one.wish {
            Wish::Pause { for_us, .. } => for_us,
            _ => 0,
        };
        let paused = self.wishes.iter().map(paused).sum();
        let once = [healed, offered, paused, on_wire, turns, requests, 40 * self.signaling_us]
            .into_iter()
            .fold(300 * SECOND, u64::saturating_add);
        let connections = if self.again == 0 { 1 } else { 1 + self.again + HEALED };
        once.saturating_mul(connections.into())
    }
}
