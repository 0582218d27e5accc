//! Cyclic redundancy checks with the processor's instructions for them, in place of the
//! crate `crc`, which has tables.
//!
//! Every SCTP packet carries a CRC-32C, and the transport's stack computes it with `crc`:
//! that was a fifteenth of all processor time of a transfer. This crate has that part of
//! its interface which the stack uses, over `crc32c` and `crc32fast`, and the workspace's
//! manifest puts it in the other's place. A build without that works all the same, and
//! takes longer. There is nothing here but the two checks of STUN (RFC 8489, section 14.7)
//! and SCTP (RFC 9260, appendix A).
//!
//! ```
//! use crc::{CRC_32_ISCSI, Crc, Table};
//!
//! const CRC: Crc<u32, Table<16>> = Crc::<u32, Table<16>>::new(&CRC_32_ISCSI);
//! assert_eq!(CRC.checksum(b"123456789"), 0xe306_9283);
//! ```

use std::marker::PhantomData;

/// How a check would be computed with tables; here it means nothing.
#[derive(Clone, Copy, Debug)]
pub struct Table<const LANES: usize>;

/// Which check, over words of type `W`. There are two.
#[derive(Clone, Copy, Debug)]
pub struct Algorithm<W> {
    check: Check,
    width: PhantomData<W>,
}

#[derive(Clone, Copy, Debug)]
enum Check {
    Iscsi,
    IsoHdlc,
}

/// CRC-32C, of SCTP.
pub const CRC_32_ISCSI: Algorithm<u32> = Algorithm { check: Check::Iscsi, width: PhantomData };
/// CRC-32, of STUN's fingerprint.
pub const CRC_32_ISO_HDLC: Algorithm<u32> = Algorithm { check: Check::IsoHdlc, width: PhantomData };

/// A check that is ready to be computed.
#[derive(Clone, Copy, Debug)]
pub struct Crc<W, I = Table<1>> {
    check: Check,
    kind: PhantomData<(W, I)>,
}

impl<I> Crc<u32, I> {
    /// The check that `algorithm` names.
    pub const fn new(algorithm: &'static Algorithm<u32>) -> Self {
        Self { check: algorithm.check, kind: PhantomData }
    }

    /// The check over `bytes`.
    pub fn checksum(&self, bytes: &[u8]) -> u32 {
        self.check.append(0, bytes)
    }

    /// A check over bytes that come one part after the other.
    pub const fn digest(&self) -> Digest<'_, u32, I> {
        Digest { crc: self, value: 0 }
    }
}

/// A check over the bytes so far.
#[derive(Clone, Debug)]
pub struct Digest<'a, W, I = Table<1>> {
    crc: &'a Crc<W, I>,
    value: u32,
}

impl<I> Digest<'_, u32, I> {
    /// Takes the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.value = self.crc.check.append(self.value, bytes);
    }

    /// The check over all bytes.
    pub const fn finalize(self) -> u32 {
        self.value
    }
}

impl Check {
    fn append(self, before: u32, bytes: &[u8]) -> u32 {
        match self {
            Self::Iscsi => crc32c::crc32c_append(before, bytes),
            Self::IsoHdlc => {
                let mut hasher = crc32fast::Hasher::new_with_initial(before);
                hasher.update(bytes);
                hasher.finalize()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The register shifted bit by bit, as both standards describe it.
    fn slowly(polynomial: u32, bytes: &[u8]) -> u32 {
        let shift = |register: u32| {
            let out = register & 1 != 0;
            (register >> 1) ^ if out { polynomial } else { 0 }
        };
        let take =
            |register: u32, byte: &u8| (0..8).fold(register ^ u32::from(*byte), |r, _| shift(r));
        !bytes.iter().fold(!0, take)
    }

    #[test]
    fn both_checks_are_those_of_their_polynomials() {
        let bytes: Vec<u8> = (0..3000_u32).map(|n| (n * n % 251) as u8).collect();
        let iscsi = Crc::<u32, Table<16>>::new(&CRC_32_ISCSI);
        let hdlc = Crc::<u32>::new(&CRC_32_ISO_HDLC);
        for length in (0..70).chain([1023, 1024, 1500, 3000]) {
            assert_eq!(iscsi.checksum(&bytes[..length]), slowly(0x82f6_3b78, &bytes[..length]));
            assert_eq!(hdlc.checksum(&bytes[..length]), slowly(0xedb8_8320, &bytes[..length]));
        }
        assert_eq!(hdlc.checksum(b"123456789"), 0xcbf4_3926);
    }

    #[test]
    fn parts_add_up_to_the_whole() {
        let bytes: Vec<u8> = (0..2000_u32).map(|n| (n % 253) as u8).collect();
        let crc = Crc::<u32, Table<16>>::new(&CRC_32_ISCSI);
        for cut in [0, 1, 8, 999, 2000] {
            let mut digest = crc.digest();
            digest.update(&bytes[..cut]);
            digest.update(&bytes[cut..]);
            assert_eq!(digest.finalize(), crc.checksum(&bytes));
        }
    }
}
