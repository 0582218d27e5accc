//! Entropy as an argument: a deterministic generator over a seed that the shell
//! draws from the operating system (or that a test chooses). Nothing here reads
//! the operating system's entropy itself.

use std::fmt;

use chacha20::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};

/// A `ChaCha20` generator over a 256-bit seed. The same seed gives the same bytes,
/// so a seed must never be used for two generators outside of tests (`SC-ENTROPY`).
/// Its state is wiped when it is dropped.
pub struct Entropy {
    rng: ChaCha20Rng,
}

impl Entropy {
    /// A generator over `seed`, which must come from the operating system in
    /// production and must not be used again.
    pub fn from_seed(seed: [u8; 32]) -> Self {
        Self { rng: ChaCha20Rng::from_seed(seed) }
    }

    /// Fills `out` with the next bytes.
    pub fn fill(&mut self, out: &mut [u8]) {
        self.rng.fill_bytes(out);
    }

    /// The next `N` bytes.
    pub fn array<const N: usize>(&mut self) -> [u8; N] {
        let mut out = [0; N];
        self.fill(&mut out);
        out
    }

    /// A generator of its own, seeded with the next 32 bytes, for a part that
    /// draws at its own pace.
    #[must_use]
    pub fn fork(&mut self) -> Self {
        Self::from_seed(self.array())
    }
}

impl fmt::Debug for Entropy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Entropy(..)")
    }
}

/// The face that `spake2` 0.4 wants: the generator traits of `rand_core` 0.6.
pub(crate) struct Legacy<'a>(pub(crate) &'a mut Entropy);

impl rand_core_06::RngCore for Legacy<'_> {
    fn next_u32(&mut self) -> u32 {
        u32::from_le_bytes(self.0.array())
    }

    fn next_u64(&mut self) -> u64 {
        u64::from_le_bytes(self.0.array())
    }

    fn fill_bytes(&mut self, dest: &mut [u8]) {
        self.0.fill(dest);
    }

    fn try_fill_bytes(&mut self, dest: &mut [u8]) -> Result<(), rand_core_06::Error> {
        self.0.fill(dest);
        Ok(())
    }
}

impl rand_core_06::CryptoRng for Legacy<'_> {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_decides_all_bytes_and_another_seed_gives_others() {
        let mut one = Entropy::from_seed([1; 32]);
        let mut same = Entropy::from_seed([1; 32]);
        let mut other = Entropy::from_seed([2; 32]);
        let bytes: [u8; 100] = one.array();
        assert_eq!(bytes, same.array::<100>());
        assert_ne!(bytes, other.array::<100>());
        assert_ne!(bytes, one.array::<100>());
    }

    // SC-ENTROPY: the generator is ChaCha20, as its keystream under a key of zeros shows.
    #[test]
    fn the_bytes_are_the_keystream_of_chacha20() {
        let first: [u8; 16] = Entropy::from_seed([0; 32]).array();
        assert_eq!(first, 0x76b8_e0ad_a0f1_3d90_405d_6ae5_5386_bd28_u128.to_be_bytes());
    }

    #[test]
    fn a_fork_differs_from_its_parent() {
        let mut parent = Entropy::from_seed([1; 32]);
        let mut child = parent.fork();
        assert_ne!(parent.array::<32>(), child.array::<32>());
    }

    #[test]
    fn debug_shows_no_state() {
        assert_eq!(format!("{:?}", Entropy::from_seed([7; 32])), "Entropy(..)");
    }
}
