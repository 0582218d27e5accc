//! What was lost on the way, as far as it explains that a peer gives up: DTLS and SCTP
//! send everything again, a few times and ever later.

use crate::net::Fate;

/// How often something is sent in the time that a handshake has, or before DTLS gives up.
/// The stack's DTLS client waits for a record of its own that says its last flight came,
/// whatever else comes: a defect of its own, which takes as many losses of either.
const SENDINGS: u32 = 5;
/// No sooner is anything sent again; what is lost within is one sending.
pub(super) const APART_US: u64 = 500_000;
/// The last wait before it is given up, and some more.
const LAST_WAIT_US: u64 = 45_000_000;

/// Whether a datagram carries something of DTLS, by its first byte (RFC 7983). Through a
/// relay, the channel's header stands before it, or it goes in an indication.
pub(super) fn is_dtls(contents: &[u8]) -> bool {
    match contents {
        [0, 0x16 | 0x17, ..] | [20..=63, ..] => true,
        [0x40..=0x4f, _, _, _, inner @ ..] => is_dtls(inner),
        _ => false,
    }
}

/// Whether a line may do this to one datagram and not to the next.
fn is_chance(fate: Fate) -> bool {
    use Fate::{Corrupted, Lost, LostInBurst, Outage, QueueFull};
    matches!(fate, Lost | LostInBurst | QueueFull | Outage | Corrupted)
}

/// Sendings that were lost, in either direction: an answer that is lost is as bad.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Losses {
    sendings: u32,
    at: u64,
    /// Whether the network carries anything at all.
    is_carried: bool,
}

impl Losses {
    /// What happened to a datagram on its way.
    pub(super) fn on_fates(&mut self, now: u64, contents: &[u8], fates: &[Fate]) {
        let is_lost = fates.iter().copied().any(is_chance) && is_dtls(contents);
        if is_lost && (self.sendings == 0 || now >= self.at + APART_US) {
            (self.sendings, self.at) = (self.sendings + 1, now);
        }
    }

    /// A datagram arrives.
    pub(super) fn on_arrival(&mut self, contents: &[u8]) {
        self.is_carried |= is_dtls(contents);
    }

    /// Whether something was lost as often as it is sent, and not long ago.
    pub(super) fn explain(&self, now: u64) -> bool {
        self.is_carried && self.sendings >= SENDINGS && self.at + LAST_WAIT_US > now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECORD: &[u8] = &[0x2e, 1, 2];

    #[test]
    fn a_datagram_is_known_by_its_first_byte_also_within_a_channel() {
        for (contents, expected) in [
            (&[0, 1, 0][..], false),
            (&[1, 1], false),
            (&[0, 0x16, 0], true),
            (&[22, 254], true),
            (RECORD, true),
            (&[0x40, 0, 0, 3, 0x2e, 1, 2], true),
            (&[0x40, 0, 0, 3, 0, 1, 2], false),
            (&[0x40, 0], false),
            (&[], false),
        ] {
            assert_eq!(is_dtls(contents), expected, "{contents:?}");
        }
    }

    #[test]
    fn only_chance_on_a_path_that_carries_something_explains() {
        let explained = |fate: Fate, arrived: &[u8]| {
            let mut losses = Losses::default();
            losses.on_arrival(arrived);
            for at in 0..SENDINGS {
                losses.on_fates(u64::from(at) * APART_US, RECORD, &[Fate::Queued, fate]);
            }
            losses.explain(0)
        };
        assert!(explained(Fate::Lost, RECORD) && explained(Fate::Outage, RECORD));
        assert!(!explained(Fate::TooLong, RECORD) && !explained(Fate::Reordered, RECORD));
        assert!(!explained(Fate::Lost, &[0, 1]));
    }

    #[test]
    fn only_as_many_sendings_as_there_are_explain_that_one_gives_up() {
        let mut losses = Losses::default();
        losses.on_arrival(RECORD);
        for at in [0, 100, 700_000, 2_500_000, 5_800_000] {
            losses.on_fates(at, RECORD, &[Fate::Lost]);
            assert!(!losses.explain(at));
        }
        let last = 15_000_000;
        losses.on_fates(last, &[0, 1], &[Fate::Lost]);
        assert!(!losses.explain(last));
        losses.on_fates(last, RECORD, &[Fate::Lost]);
        assert!(losses.explain(last + LAST_WAIT_US - 1));
        assert!(!losses.explain(last + LAST_WAIT_US));
    }
}
