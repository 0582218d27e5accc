//! Listens between DTLS and SCTP, where a run of T1 can be understood: which
//! datagram carries what, what is sent again, and how much is not acknowledged.
//! It is there in runs that are taken down for a person, and changes nothing.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};

use passel_proto::ids::Channel;

use crate::hash::RunHash;
use crate::plan::Side;

/// What DTLS adds to a packet at least.
const OVERHEAD: usize = 16;

thread_local! {
    static HEARD: RefCell<Option<Vec<Heard>>> = const { RefCell::new(None) };
}

/// What was heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// A datagram with this hash carries `kind`; some of it `again`.
    Carries { hash: String, kind: String, again: bool },
    /// So many bytes of a side are not acknowledged.
    Flight { side: Side, bytes: u64 },
}

/// Whoever makes DTLS on this thread from now on is listened to.
pub(super) fn begin() {
    HEARD.set(Some(Vec::new()));
}

/// What was heard since the last time.
pub(super) fn heard() -> Vec<Heard> {
    HEARD.with_borrow_mut(|heard| heard.as_mut().map(std::mem::take).unwrap_or_default())
}

/// By what a datagram is known again.
pub(super) fn hash(contents: &[u8]) -> String {
    let mut hash = RunHash::default();
    hash.bytes(contents);
    hash.hex()
}

fn tell(what: Heard) {
    HEARD.with_borrow_mut(|heard| {
        if let Some(heard) = heard {
            heard.push(what);
        }
    });
}

/// Listens to one association.
#[derive(Debug)]
pub(super) struct Tap {
    side: Side,
    /// Packets that DTLS has taken and not handed out: length, kind, again.
    sealing: VecDeque<(usize, String, bool)>,
    /// What is not acknowledged, by sequence number.
    outstanding: BTreeMap<u32, u64>,
    newest: Option<u32>,
}

impl Tap {
    /// Listens to a side, if somebody wants to hear it.
    pub(super) fn new(side: Side) -> Option<Self> {
        HEARD.with_borrow(Option::is_some).then(|| Self {
            side,
            sealing: VecDeque::new(),
            outstanding: BTreeMap::new(),
            newest: None,
        })
    }

    /// An SCTP packet goes out.
    pub(super) fn sent(&mut self, packet: &[u8]) {
        let mut kinds: Vec<String> = Vec::new();
        let (mut again, mut carries) = (false, false);
        for (kind, body) in chunks(packet) {
            let name = name(kind, body);
            if let (0, Some(sequence)) = (kind, word(body, 0)) {
                carries = true;
                let is_new = self.newest.is_none_or(|newest| is_before(newest, sequence));
                again |= !is_new;
                if is_new {
                    self.newest = Some(sequence);
                }
                let len = body.len().saturating_sub(12) as u64;
                self.outstanding.insert(sequence, len);
            }
            if !kinds.contains(&name) {
                kinds.push(name);
            }
        }
        if carries {
            self.tell_flight();
        }
        self.sealing.push_back((packet.len(), kinds.join("+"), again));
    }

    /// An SCTP packet has come in.
    pub(super) fn received(&mut self, packet: &[u8]) {
        for (kind, body) in chunks(packet) {
            let (3, Some(all_until)) = (kind, word(body, 0)) else { continue };
            let gaps = body.get(8..10).map_or(0, |two| u16::from_be_bytes([two[0], two[1]]));
            let gaps: Vec<(u32, u32)> = (0..usize::from(gaps))
                .filter_map(|nth| word(body, 12 + 4 * nth))
                .map(|both| {
                    (all_until.wrapping_add(both >> 16), all_until.wrapping_add(both & 0xffff))
                })
                .collect();
            self.outstanding.retain(|&sequence, _| {
                let in_gap = |&(first, last): &(u32, u32)| {
                    !is_before(sequence, first) && !is_before(last, sequence)
                };
                is_before(all_until, sequence) && !gaps.iter().any(in_gap)
            });
            self.tell_flight();
        }
    }

    /// DTLS hands a datagram out, with as many packets in it as have room.
    pub(super) fn packet(&mut self, datagram: &[u8]) {
        let (mut room, mut kinds, mut any) = (datagram.len(), Vec::new(), false);
        let fits = |room: usize, packet: &(usize, String, bool)| packet.0 + OVERHEAD <= room;
        while self.sealing.front().is_some_and(|packet| fits(room, packet)) {
            let Some((len, kind, again)) = self.sealing.pop_front() else { break };
            room -= len + OVERHEAD;
            any |= again;
            if !kinds.contains(&kind) {
                kinds.push(kind);
            }
        }
        if !kinds.is_empty() {
            let (hash, kind) = (hash(datagram), kinds.join("+"));
            tell(Heard::Carries { hash, kind, again: any });
        }
    }

    fn tell_flight(&self) {
        tell(Heard::Flight { side: self.side, bytes: self.outstanding.values().sum() });
    }
}

/// Whether one sequence number comes before another, which may have wrapped.
fn is_before(one: u32, other: u32) -> bool {
    other.wrapping_sub(one).wrapping_sub(1) < 1 << 31
}

fn word(bytes: &[u8], from: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(from..from + 4)?.try_into().ok()?))
}

/// The sequence numbers of the data in a packet.
pub(super) fn sequences(packet: &[u8]) -> impl Iterator<Item = u32> {
    chunks(packet).filter_map(|(kind, body)| (kind == 0).then(|| word(body, 0))?)
}

/// The chunks of a packet: type and what follows their header.
fn chunks(packet: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    let mut rest = packet.get(12..).unwrap_or_default();
    std::iter::from_fn(move || {
        let header = word(rest, 0)?;
        let length = usize::try_from(header & 0xffff).ok()?.max(4);
        let body = rest.get(4..length)?;
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((header.to_be_bytes()[0], body))
    })
}

/// The name of a chunk, for DATA with the channel.
fn name(kind: u8, body: &[u8]) -> String {
    let name = match kind {
        0 => {
            let stream =
                body.get(4..6).map_or(u16::MAX, |two| u16::from_be_bytes([two[0], two[1]]));
            let channel = Channel::ALL.into_iter().find(|one| u16::from(one.id()) == stream);
            return match channel {
                Some(channel) => format!("DATA {}", channel.name()),
                None => format!("DATA stream {stream}"),
            };
        }
        1 => "INIT",
        2 => "INIT ACK",
        3 => "SACK",
        4 => "HEARTBEAT",
        5 => "HEARTBEAT ACK",
        6 => "ABORT",
        7 => "SHUTDOWN",
        8 => "SHUTDOWN ACK",
        9 => "ERROR",
        10 => "COOKIE ECHO",
        11 => "COOKIE ACK",
        14 => "SHUTDOWN COMPLETE",
        130 => "RE-CONFIG",
        192 => "FORWARD TSN",
        _ => return format!("SCTP {kind}"),
    };
    name.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data(sequence: u32, payload: usize) -> Vec<u8> {
        let mut packet = vec![0; 12];
        packet.extend([0, 3]);
        packet.extend(u16::try_from(16 + payload).unwrap().to_be_bytes());
        packet.extend(sequence.to_be_bytes());
        packet.extend([0, 3, 0, 0, 0, 0, 0, 53]);
        packet.extend(vec![7; payload.next_multiple_of(4)]);
        packet
    }

    fn sack(all_until: u32, gap: (u16, u16)) -> Vec<u8> {
        let mut packet = vec![0; 12];
        packet.extend([3, 0, 0, 20]);
        packet.extend(all_until.to_be_bytes());
        packet.extend([0, 0, 9, 9, 0, 1, 0, 0]);
        packet.extend(gap.0.to_be_bytes());
        packet.extend(gap.1.to_be_bytes());
        packet
    }

    #[test]
    fn what_goes_out_again_and_what_is_not_acknowledged_is_heard() {
        begin();
        let mut tap = Tap::new(Side::Joiner).unwrap();
        for sequence in [u32::MAX, 0, 1, 2] {
            tap.sent(&data(sequence, 100));
            tap.packet(&[sequence.to_be_bytes()[3]; 150]);
        }
        tap.received(&sack(0, (2, 2)));
        tap.sent(&data(1, 100));
        tap.packet(&[5; 150]);
        let heard = heard();
        let flights: Vec<u64> = heard
            .iter()
            .filter_map(|one| match one {
                Heard::Flight { bytes, .. } => Some(*bytes),
                Heard::Carries { .. } => None,
            })
            .collect();
        assert_eq!(flights, [100, 200, 300, 400, 100, 100], "{heard:?}");
        let again: Vec<bool> = heard
            .iter()
            .filter_map(|one| match one {
                Heard::Carries { kind, again, .. } => {
                    assert_eq!(kind, "DATA file");
                    Some(*again)
                }
                Heard::Flight { .. } => None,
            })
            .collect();
        assert_eq!(again, [false, false, false, false, true]);
        HEARD.set(None);
        assert!(Tap::new(Side::Joiner).is_none(), "nobody wants to hear it");
    }
}
