//! Whom the endpoints check: what the peer named, and a few addresses that it did not name
//! and checks came from (`TB-CAND-REFLEXIVE`). What does not live here: whether a path is
//! found by it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use passel_proto::limits::MAX_CANDIDATES_COUNT;
use passel_sans_io::datagram::Datagram;
use passel_sans_io::lane::{MAX_REFLEXIVE_AT_ONCE, REFLEXIVE_INTERVAL};

use super::plan::Plan;
use crate::oracle::{Broken, broken};
use crate::plan::Side;

/// Begins a check, and a question to a STUN server (RFC 8489, 5): a Binding request.
const REQUEST: [u8; 2] = [0x00, 0x01];

/// Whether a datagram is a check, or such a question.
pub(super) fn is_request(contents: &[u8]) -> bool {
    contents.starts_with(&REQUEST)
}

/// What the sockets of one run have checked.
#[derive(Debug, Default)]
pub(super) struct Checks(BTreeMap<SocketAddr, Checked>);

/// What one socket has: it is of one lane.
#[derive(Debug)]
struct Checked {
    since: u64,
    whom: BTreeSet<SocketAddr>,
}

impl Checks {
    /// A side sends a datagram.
    pub(super) fn on_datagram(
        &mut self,
        now: u64,
        side: Side,
        datagram: &Datagram,
        plan: &Plan,
    ) -> Result<(), Broken> {
        if !is_request(&datagram.contents) {
            return Ok(());
        }
        let checked = self.0.entry(datagram.source);
        let checked = checked.or_insert_with(|| Checked { since: now, whom: BTreeSet::new() });
        if !checked.whom.insert(datagram.destination) {
            return Ok(());
        }
        let known = nameable(plan, side.peer()) + plan.servers.len();
        let Some(others) = checked.whom.len().checked_sub(known + MAX_REFLEXIVE_AT_ONCE) else {
            return Ok(());
        };
        // The side's clock may be a little ahead of the world's.
        let later = u128::from(now - checked.since) / REFLEXIVE_INTERVAL.as_micros() + 1;
        if others as u128 > later {
            let (whom, from) = (checked.whom.len(), datagram.source);
            return broken("few are checked", format!("{whom} by {side:?} from {from}"));
        }
        Ok(())
    }
}

/// Addresses that a side may name for one lane.
fn nameable(plan: &Plan, side: Side) -> usize {
    if !plan.meddlings.is_empty() {
        return MAX_CANDIDATES_COUNT; // A server may tell anything.
    }
    let roamed = plan.roams.iter().filter(|roam| roam.side == side);
    let moves = roamed.clone().count() + plan.upsets.len() + 1;
    let own = plan.hosts[side.place()].addresses.len()
        + roamed.map(|roam| roam.addresses.len()).sum::<usize>();
    own * (1 + plan.servers.len() + plan.relays.len()) * moves
}
