//! X-Wing (draft-connolly-cfrg-xwing-kem): ML-KEM-768 and X25519 joined by one
//! SHA3-256 call (`HS-KEM`), from explicit seeds and randomness. Stricter than the draft in
//! one respect: values that an honest peer never sends are refused
//! (`HS-KEM-CANONICAL`, `HS-KEM-CONTRIBUTORY`). Which side sends which value is
//! the handshake's business.

use ml_kem::array::Array;
use ml_kem::kem::{Decapsulate, KeyExport};
use ml_kem::{B32, FromSeed, MlKem768, Seed, ml_kem_768};
use sha3::{Digest, Sha3_256};
use shake::{ExtendableOutput, Shake256, Update, XofReader};
use x25519_dalek::{PublicKey, StaticSecret};
use zeroize::{Zeroize, Zeroizing};

use super::secret::Secret32;

/// Length of the seed that a key pair grows from, in bytes.
pub const SEED: usize = 32;
/// Length of an encapsulation key: ML-KEM-768's 1184 bytes, then X25519's 32.
pub const ENCAPSULATION_KEY: usize = 1216;
/// Length of a ciphertext: ML-KEM-768's 1088 bytes, then X25519's 32.
pub const CIPHERTEXT: usize = 1120;
/// Length of the randomness of one encapsulation: 32 bytes for each half.
pub const RANDOMNESS: usize = 64;

const ML_KEM_KEY: usize = 1184;
const ML_KEM_CIPHERTEXT: usize = 1088;
/// The draft's label: a drawing of an X-wing in six characters of ASCII.
const LABEL: &[u8; 6] = b"\\.//^\\";

/// Why a public value was refused. Always the fault of whoever made it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KemError {
    /// Not exactly as long as the value must be (`HS-KEM-LENGTH`).
    #[error("a KEM value has the wrong length")]
    Length,
    /// An ML-KEM coefficient or X25519 coordinate that is not reduced.
    #[error("a KEM value is not in canonical form")]
    NotCanonical,
    /// An X25519 value of low order: the shared secret would be all zeros.
    #[error("an X25519 value has low order")]
    LowOrder,
}

/// An ephemeral key pair; wiped when dropped.
pub struct KeyPair {
    m: ml_kem_768::DecapsulationKey,
    x: StaticSecret,
    public: Box<[u8; ENCAPSULATION_KEY]>,
}

impl KeyPair {
    /// Grows a key pair from `seed` as the draft's `expandDecapsulationKey` does.
    pub fn from_seed(seed: &[u8; SEED]) -> Self {
        let mut reader = {
            let mut shake = Shake256::default();
            shake.update(seed);
            shake.finalize_xof()
        };
        let mut expanded = Zeroizing::new([0u8; 96]);
        reader.read(&mut expanded[..]);

        let mut seed_m = Seed::default();
        seed_m.copy_from_slice(&expanded[..64]);
        let (m, public_m) = MlKem768::from_seed(&seed_m);
        seed_m.as_mut_slice().zeroize();

        let mut seed_x = Zeroizing::new([0u8; 32]);
        seed_x.copy_from_slice(&expanded[64..]);
        let x = StaticSecret::from(*seed_x);

        let mut public = Box::new([0; ENCAPSULATION_KEY]);
        public[..ML_KEM_KEY].copy_from_slice(&public_m.to_bytes());
        public[ML_KEM_KEY..].copy_from_slice(PublicKey::from(&x).as_bytes());
        Self { m, x, public }
    }

    /// The public half, as it goes over the wire.
    pub fn encapsulation_key(&self) -> &[u8; ENCAPSULATION_KEY] {
        &self.public
    }

    /// The secret that `ciphertext` carries. ML-KEM rejects implicitly: a
    /// ciphertext that was tampered with gives another secret, not an error.
    pub fn decapsulate(&self, ciphertext: &[u8]) -> Result<Secret32, KemError> {
        let (ct_m, ct_x) = split(ciphertext, ML_KEM_CIPHERTEXT)?;
        let mut array = ml_kem_768::Ciphertext::default();
        if array.len() != ct_m.len() {
            return Err(KemError::Length);
        }
        array.copy_from_slice(ct_m);
        let shared_x = agree(&self.x, &ct_x)?;
        let mut shared_m = self.m.decapsulate(&array);
        let (_, public_x) = split(&self.public[..], ML_KEM_KEY)?;
        let secret = combine(&shared_m.0, &shared_x, &ct_x, &public_x);
        shared_m.as_mut_slice().zeroize();
        Ok(secret)
    }
}

impl std::fmt::Debug for KeyPair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("KeyPair(..)")
    }
}

/// Encapsulates to `key` with `randomness`, which must be uniform and used once:
/// the first half goes to ML-KEM, the second to X25519.
pub fn encapsulate(
    key: &[u8],
    randomness: &[u8; RANDOMNESS],
) -> Result<(Box<[u8; CIPHERTEXT]>, Secret32), KemError> {
    let (key_m, key_x) = split(key, ML_KEM_KEY)?;
    // HS-KEM-CANONICAL: the modulus check of FIPS 203 is done by `new`.
    let array = Array::try_from(key_m).map_err(|_| KemError::Length)?;
    let public_m = ml_kem_768::EncapsulationKey::new(&array).map_err(|_| KemError::NotCanonical)?;

    let mut random_m = B32::default();
    random_m.copy_from_slice(&randomness[..32]);
    let mut random_x = Zeroizing::new([0u8; 32]);
    random_x.copy_from_slice(&randomness[32..]);

    let x = StaticSecret::from(*random_x);
    let ct_x = PublicKey::from(&x).to_bytes();
    let shared_x = agree(&x, &key_x)?;
    let (ct_m, mut shared_m) = public_m.encapsulate_deterministic(&random_m);
    random_m.as_mut_slice().zeroize();

    let secret = combine(&shared_m.0, &shared_x, &ct_x, &key_x);
    shared_m.as_mut_slice().zeroize();

    let mut ciphertext = Box::new([0; CIPHERTEXT]);
    ciphertext[..ML_KEM_CIPHERTEXT].copy_from_slice(&ct_m);
    ciphertext[ML_KEM_CIPHERTEXT..].copy_from_slice(&ct_x);
    Ok((ciphertext, secret))
}

/// The draft's combiner: SHA3-256 over both secrets, the X25519 ciphertext, the
/// X25519 public key and the label. Public so that tests can show that each
/// input counts (`HS-KEM-BOTH`).
pub fn combine(
    shared_m: &[u8; 32],
    shared_x: &[u8; 32],
    ct_x: &[u8; 32],
    public_x: &[u8; 32],
) -> Secret32 {
    let mut hash = Sha3_256::new();
    for part in [shared_m, shared_x, ct_x, public_x] {
        Digest::update(&mut hash, part);
    }
    Digest::update(&mut hash, LABEL);
    Secret32::new(hash.finalize().0)
}

/// Cuts a public value into its ML-KEM part of `at` bytes and its X25519 part.
fn split(value: &[u8], at: usize) -> Result<(&[u8], [u8; 32]), KemError> {
    let (m, x) = value.split_at_checked(at).ok_or(KemError::Length)?;
    Ok((m, x.try_into().map_err(|_| KemError::Length)?))
}

/// X25519 that refuses what an honest peer never sends.
fn agree(secret: &StaticSecret, public: &[u8; 32]) -> Result<Zeroizing<[u8; 32]>, KemError> {
    if !is_reduced(public) {
        return Err(KemError::NotCanonical);
    }
    let shared = secret.diffie_hellman(&PublicKey::from(*public));
    if !shared.was_contributory() {
        return Err(KemError::LowOrder); // HS-KEM-CONTRIBUTORY
    }
    Ok(Zeroizing::new(shared.to_bytes()))
}

/// Whether a little-endian coordinate is below 2^255 - 19 (`HS-KEM-CANONICAL`).
/// Public values only, so the time it takes may depend on them.
fn is_reduced(coordinate: &[u8; 32]) -> bool {
    let mut prime = [0xff; 32];
    prime[0] = 0xed;
    prime[31] = 0x7f;
    coordinate.iter().rev().lt(prime.iter().rev())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair() -> KeyPair {
        KeyPair::from_seed(&[3; SEED])
    }

    // HS-KEM-BOTH
    #[test]
    fn each_input_of_the_combiner_changes_the_secret() {
        let base = combine(&[1; 32], &[2; 32], &[3; 32], &[4; 32]);
        assert_ne!(base, combine(&[9; 32], &[2; 32], &[3; 32], &[4; 32]));
        assert_ne!(base, combine(&[1; 32], &[9; 32], &[3; 32], &[4; 32]));
        assert_ne!(base, combine(&[1; 32], &[2; 32], &[9; 32], &[4; 32]));
        assert_ne!(base, combine(&[1; 32], &[2; 32], &[3; 32], &[9; 32]));
    }

    // HS-KEM-CONTRIBUTORY
    #[test]
    fn low_order_x25519_values_are_refused_on_both_sides() {
        // Orders 1, 2, 4 and 8 in canonical form: 0, 1, p - 1 and the two of order 8.
        let mut minus_one = [0xff; 32];
        minus_one[0] = 0xec;
        minus_one[31] = 0x7f;
        let mut one = [0; 32];
        one[0] = 1;
        let eight = [
            0xe0, 0xeb, 0x7a, 0x7c, 0x3b, 0x41, 0xb8, 0xae, 0x16, 0x56, 0xe3, 0xfa, 0xf1, 0x9f,
            0xc4, 0x6a, 0xda, 0x09, 0x8d, 0xeb, 0x9c, 0x32, 0xb1, 0xfd, 0x86, 0x62, 0x05, 0x16,
            0x5f, 0x49, 0xb8, 0x00,
        ];
        let eight_twin = [
            0x5f, 0x9c, 0x95, 0xbc, 0xa3, 0x50, 0x8c, 0x24, 0xb1, 0xd0, 0xb1, 0x55, 0x9c, 0x83,
            0xef, 0x5b, 0x04, 0x44, 0x5c, 0xc4, 0x58, 0x1c, 0x8e, 0x86, 0xd8, 0x22, 0x4e, 0xdd,
            0xd0, 0x9f, 0x11, 0x57,
        ];
        let pair = pair();
        let (good, _) = encapsulate(pair.encapsulation_key(), &[5; RANDOMNESS]).unwrap();
        for point in [[0; 32], one, minus_one, eight, eight_twin] {
            let mut key = *pair.encapsulation_key();
            key[ML_KEM_KEY..].copy_from_slice(&point);
            assert_eq!(encapsulate(&key, &[5; RANDOMNESS]).unwrap_err(), KemError::LowOrder);
            let mut ciphertext = *good;
            ciphertext[ML_KEM_CIPHERTEXT..].copy_from_slice(&point);
            assert_eq!(pair.decapsulate(&ciphertext).unwrap_err(), KemError::LowOrder);
        }
    }

    // HS-KEM-CANONICAL
    #[test]
    fn unreduced_x25519_values_are_refused_on_both_sides() {
        let pair = pair();
        let (good, _) = encapsulate(pair.encapsulation_key(), &[5; RANDOMNESS]).unwrap();
        let mut prime = [0xff; 32];
        prime[0] = 0xed;
        prime[31] = 0x7f;
        let mut nine_plus_prime = prime;
        nine_plus_prime[0] = 0xf6;
        let mut high_bit = [0; 32];
        high_bit[0] = 9;
        high_bit[31] = 0x80;
        for value in [prime, nine_plus_prime, high_bit, [0xff; 32]] {
            let mut key = *pair.encapsulation_key();
            key[ML_KEM_KEY..].copy_from_slice(&value);
            assert_eq!(encapsulate(&key, &[5; RANDOMNESS]).unwrap_err(), KemError::NotCanonical);
            let mut ciphertext = *good;
            ciphertext[ML_KEM_CIPHERTEXT..].copy_from_slice(&value);
            assert_eq!(pair.decapsulate(&ciphertext).unwrap_err(), KemError::NotCanonical);
        }
    }

    // HS-KEM-CANONICAL: twelve-bit coefficients of 3329 and above.
    #[test]
    fn an_ml_kem_key_that_fails_the_modulus_check_is_refused() {
        let pair = pair();
        for (place, low, high) in [(0, 0x01, 0x0d), (0, 0xff, 0x0f), (1149, 0x01, 0x0d)] {
            let mut key = *pair.encapsulation_key();
            key[place] = low;
            key[place + 1] = (key[place + 1] & 0xf0) | high;
            assert_eq!(encapsulate(&key, &[5; RANDOMNESS]).unwrap_err(), KemError::NotCanonical);
        }
    }

    // HS-KEM-LENGTH
    #[test]
    fn wrong_lengths_are_refused() {
        let pair = pair();
        let key = pair.encapsulation_key();
        for length in [0, 31, 32, 1183, 1184, ENCAPSULATION_KEY - 1] {
            assert_eq!(
                encapsulate(&key[..length], &[5; RANDOMNESS]).unwrap_err(),
                KemError::Length
            );
        }
        let (ciphertext, _) = encapsulate(key, &[5; RANDOMNESS]).unwrap();
        for length in [0, 32, 1088, CIPHERTEXT - 1] {
            assert_eq!(pair.decapsulate(&ciphertext[..length]).unwrap_err(), KemError::Length);
        }
        let mut long = ciphertext.to_vec();
        long.push(0);
        assert_eq!(pair.decapsulate(&long).unwrap_err(), KemError::Length);
    }

    #[test]
    fn a_ciphertext_changed_in_either_half_gives_another_secret() {
        let pair = pair();
        let (ciphertext, secret) = encapsulate(pair.encapsulation_key(), &[5; RANDOMNESS]).unwrap();
        assert_eq!(pair.decapsulate(&ciphertext[..]).unwrap(), secret);
        for place in [0, ML_KEM_CIPHERTEXT - 1, ML_KEM_CIPHERTEXT] {
            let mut changed = *ciphertext;
            changed[place] ^= 1;
            assert_ne!(pair.decapsulate(&changed).unwrap(), secret);
        }
    }
}
