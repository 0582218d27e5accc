//! What a lane is made from: its role, its ICE credentials, its windows and its
//! cryptography. What does not live here: what the peer says of itself
//! (`description`).

use std::ops::RangeInclusive;
use std::sync::Arc;

use passel_proto::ids::{Channel, Role};
use passel_proto::limits::MAX_RECORD;
use str0m::config::{CryptoProvider, DtlsCert, DtlsVersion};
use str0m::{DATAGRAM_MTU_TARGET_MAX, DATAGRAM_MTU_TARGET_MIN};
use zeroize::Zeroizing;

/// Bytes of entropy that [`IceCredentials::from_seed`] takes.
pub const ICE_SEED: usize = 30;
/// Window of the file channel when nothing else is asked for, in bytes.
pub const DEFAULT_WINDOW: usize = 64 * 1024;
/// Smallest window of the file channel, in bytes.
pub const MIN_WINDOW: usize = 16 * 1024;
/// The longest datagram that a lane can be told to make, in bytes of UDP payload
/// (`TB-DATAGRAM`).
pub const MAX_DATAGRAM: usize = DATAGRAM_MTU_TARGET_MAX;
/// Largest window of the file channel, in bytes.
pub const MAX_WINDOW: usize = 1024 * 1024;
/// Bytes that may be queued on `control`, and as many on `reliable`. It has
/// nothing to do with the file window, so that files never block control.
pub const ORDERED_WINDOW: usize = 1024 * 1024;

/// What all channels together may queue: above the sum of their windows, so
/// that the limit inside the SCTP stack is never the one that is met.
pub(super) const MAX_BUFFERED: usize = 2 * ORDERED_WINDOW + 2 * MAX_WINDOW + 4 * MAX_RECORD;

/// ICE credentials of one lane, never used for another (`TB-ICE-FRESH`).
#[derive(Clone)]
pub struct IceCredentials {
    pub(super) ufrag: String,
    pub(super) pwd: Zeroizing<String>,
}

impl IceCredentials {
    /// Credentials from `seed`, which must come from a cryptographic random
    /// number generator: 8 characters of user name fragment (48 bits) and 32
    /// of password (192 bits).
    pub fn from_seed(seed: &[u8; ICE_SEED]) -> Self {
        let (ufrag, pwd) = seed.split_at(6);
        Self { ufrag: ice_chars(ufrag), pwd: Zeroizing::new(ice_chars(pwd)) }
    }
}

/// Six bits a character, in the `ice-char` alphabet of RFC 8839.
fn ice_chars(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len() / 3 * 4);
    for group in bytes.chunks_exact(3) {
        let bits = group.iter().fold(0_usize, |bits, byte| bits << 8 | usize::from(*byte));
        for shift in [18, 12, 6, 0] {
            text.push(char::from(ALPHABET[bits >> shift & 63]));
        }
    }
    text
}

/// What a [`super::Lane`] is made from.
#[derive(Clone)]
pub struct LaneConfig {
    /// This side's role, which also decides the roles of ICE, DTLS and SCTP
    /// (`TB-ROLES`).
    pub role: Role,
    /// The lane's number within its connection: 0 carries all four channels,
    /// any other only `file` (`TB-LANES`).
    pub lane: u16,
    /// ICE credentials of this lane alone.
    pub credentials: IceCredentials,
    /// Bytes that may be queued and unacknowledged on `file`, clamped to
    /// [`MIN_WINDOW`]`..=`[`MAX_WINDOW`]. Large windows are slow: see
    /// [`DEFAULT_WINDOW`].
    pub window_bytes: usize,
    /// UDP payload that is aimed at, and the one above which a warning is
    /// traced; the first is clamped to what the stack can do.
    pub mtu: RangeInclusive<usize>,
    /// Whether to offer to skip the handshake of SCTP (`TB-SNAP`).
    pub snap: bool,
    /// DTLS versions: `Auto` offers 1.3 and takes 1.2 (`TB-DTLS-VERSION`).
    pub dtls: DtlsVersion,
    /// A certificate to show instead of a fresh one; for simulation.
    pub certificate: Option<DtlsCert>,
    /// Cryptography to use instead of the default; for simulation.
    pub crypto: Option<Arc<CryptoProvider>>,
}

impl LaneConfig {
    /// The defaults for lane number `lane`.
    pub fn new(role: Role, lane: u16, credentials: IceCredentials) -> Self {
        Self {
            role,
            lane,
            credentials,
            window_bytes: DEFAULT_WINDOW,
            mtu: 1_200..=1_280,
            snap: true,
            dtls: DtlsVersion::Auto,
            certificate: None,
            crypto: None,
        }
    }

    /// The channels that this lane carries (`TB-LANES`).
    pub fn channels(&self) -> &'static [Channel] {
        if self.lane == 0 { &Channel::ALL } else { &[Channel::File] }
    }

    pub(super) fn clamped_mtu(&self) -> RangeInclusive<usize> {
        let target = (*self.mtu.start()).clamp(DATAGRAM_MTU_TARGET_MIN, DATAGRAM_MTU_TARGET_MAX);
        target..=(*self.mtu.end()).max(target)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // TB-ICE-FRESH
    #[test]
    fn credentials_carry_all_bits_of_the_seed() {
        let mut seed = [0; ICE_SEED];
        let zero = IceCredentials::from_seed(&seed);
        assert_eq!((zero.ufrag.len(), zero.pwd.len()), (8, 32));
        for byte in 0..ICE_SEED {
            for bit in 0..8 {
                seed[byte] ^= 1 << bit;
                let other = IceCredentials::from_seed(&seed);
                assert!(other.ufrag != zero.ufrag || other.pwd != zero.pwd);
                assert_eq!(other.ufrag == zero.ufrag, byte >= 6);
                seed[byte] ^= 1 << bit;
            }
        }
    }

    // TB-LANES
    #[test]
    fn only_lane_zero_carries_all_channels() {
        let config = |lane| {
            LaneConfig::new(Role::Initiator, lane, IceCredentials::from_seed(&[0; ICE_SEED]))
        };
        assert_eq!(config(0).channels(), Channel::ALL);
        assert_eq!(config(1).channels(), [Channel::File]);
    }
}
