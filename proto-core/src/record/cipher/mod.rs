//! The ciphers of the suites, made ready with a key. There are two makers of them,
//! chosen when this crate is built: portable ones in Rust, and with the feature
//! `aws-lc` those of AWS-LC, which are faster. A test holds them against each other.

#[cfg(feature = "aws-lc")]
mod aws_lc;
#[cfg(any(test, not(feature = "aws-lc")))]
mod portable;

#[cfg(feature = "aws-lc")]
pub(super) use aws_lc::Cipher;
#[cfg(not(feature = "aws-lc"))]
pub(super) use portable::Cipher;

/// A record could not be sealed, or is not authentic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CipherError;

#[cfg(all(test, feature = "aws-lc"))]
mod tests {
    use super::*;
    use crate::suite::Suite;

    // RL-AUTHENTIC
    #[test]
    fn both_makers_seal_alike_and_open_what_the_other_sealed() {
        for suite in Suite::ALL {
            for length in [1, 15, 16, 17, 255, 16_384, 65_000] {
                let key = [u8::try_from(length % 251).unwrap(); 32];
                let (nonce, header) = ([3; 12], [9; 12]);
                let plaintext: Vec<u8> = (0u8..253).cycle().take(length).collect();
                let fast = Cipher::new(suite, &key);
                let plain = portable::Cipher::new(suite, &key);
                let (mut one, mut two) = (plaintext.clone(), plaintext.clone());
                let tag = fast.seal(nonce, &header, &mut one).unwrap();
                assert_eq!(plain.seal(nonce, &header, &mut two).unwrap(), tag);
                assert_eq!(one, two);
                one.extend_from_slice(&tag);
                let sealed = one.clone();
                plain.open(nonce, &header, &mut one).unwrap();
                assert_eq!(one[..length], plaintext);
                let mut again = sealed.clone();
                fast.open(nonce, &header, &mut again).unwrap();
                assert_eq!(again[..length], plaintext);
                for place in [0, length - 1, length, length + 15] {
                    let mut altered = sealed.clone();
                    altered[place] ^= 1;
                    assert_eq!(plain.open(nonce, &header, &mut altered.clone()), Err(CipherError));
                    assert_eq!(fast.open(nonce, &header, &mut altered), Err(CipherError));
                }
                let other = [8; 12];
                assert_eq!(plain.open(nonce, &other, &mut sealed.clone()), Err(CipherError));
                assert_eq!(fast.open(nonce, &other, &mut sealed.clone()), Err(CipherError));
            }
        }
    }
}
