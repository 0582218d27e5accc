//! A fast 64-bit digest by which two runs are compared. It is no cryptographic
//! hash: nobody attacks it, and it must cost less than what it watches.

/// Takes bytes and numbers in, in order, and gives 64 bits.
#[derive(Clone, Copy, Debug)]
pub struct RunHash(u64);

impl Default for RunHash {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl RunHash {
    /// Takes one number in.
    pub fn number(&mut self, number: u64) {
        let folded = (self.0.rotate_left(5) ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = folded ^ (folded >> 29);
    }

    /// Takes bytes in, and how many there are.
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        for part in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..part.len()].copy_from_slice(part);
            self.number(u64::from_le_bytes(word));
        }
    }

    /// The digest of these bytes alone, as it stands in lines of text.
    pub fn of(bytes: &[u8]) -> String {
        let mut hash = Self::default();
        hash.bytes(bytes);
        hash.hex()
    }

    /// The digest so far.
    pub fn sum(self) -> u64 {
        self.0
    }

    /// The digest so far, as 16 hexadecimal digits.
    pub fn hex(self) -> String {
        format!("{:016x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_and_the_borders_between_inputs_count() {
        let of = |parts: &[&[u8]]| {
            let mut hash = RunHash::default();
            for part in parts {
                hash.bytes(part);
            }
            hash.hex()
        };
        assert_eq!(of(&[b"abc", b"d"]), of(&[b"abc", b"d"]));
        assert_ne!(of(&[b"abc", b"d"]), of(&[b"ab", b"cd"]));
        assert_ne!(of(&[b"abcdefgh0"]), of(&[b"abcdefgh1"]));
    }
}
