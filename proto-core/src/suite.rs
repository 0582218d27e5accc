//! Cipher suites: which cipher seals the records of a session. Key exchange and
//! key schedule are the same in all of them. How two peers agree on one is the
//! handshake's business, and how records are sealed that of [`crate::record`].

use crate::error::Error;

/// A cipher suite (registry, `suite`).
///
/// ```
/// use passel_proto::suite::Suite;
///
/// assert_eq!(Suite::from_number(1), Some(Suite::ChaCha20Poly1305));
/// assert_eq!(Suite::Aes256Gcm.name(), "XWING_AES256GCM_SHA256");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Suite {
    /// ChaCha20-Poly1305: everybody has it, and it is fast on every processor.
    #[default]
    ChaCha20Poly1305,
    /// AES-256-GCM: several times as fast where the processor has instructions for
    /// it, and slow where it has none.
    Aes256Gcm,
}

impl Suite {
    /// All that this crate speaks.
    pub const ALL: [Self; 2] = [Self::ChaCha20Poly1305, Self::Aes256Gcm];

    /// What to offer and to choose from, the best first: AES only where the
    /// processor has instructions for it (`HS-SUITE-AES`).
    pub fn preference(processor_has_aes: bool) -> Vec<Self> {
        if processor_has_aes {
            vec![Self::Aes256Gcm, Self::ChaCha20Poly1305]
        } else {
            vec![Self::ChaCha20Poly1305]
        }
    }

    /// The registry's number.
    pub fn number(self) -> u16 {
        match self {
            Self::ChaCha20Poly1305 => 1,
            Self::Aes256Gcm => 2,
        }
    }

    /// The suite with this number, if it is spoken here.
    pub fn from_number(number: u16) -> Option<Self> {
        Self::ALL.into_iter().find(|suite| suite.number() == number)
    }

    /// The registry's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::ChaCha20Poly1305 => "XWING_CHACHA20POLY1305_SHA256",
            Self::Aes256Gcm => "XWING_AES256GCM_SHA256",
        }
    }
}

/// Refuses a list of suites that a caller must not give: one without the suite that
/// everybody has (`HS-SUITE-MUST`), or with one twice.
pub(crate) fn check(suites: &[Suite]) -> Result<(), Error> {
    let twice = suites.iter().enumerate().any(|(place, suite)| suites[..place].contains(suite));
    if twice || !suites.contains(&Suite::ChaCha20Poly1305) {
        return Err(Error::misuse("suites are named once each, and ChaCha20-Poly1305 is one"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    // HS-SUITE-MUST, HS-SUITE-AES
    #[test]
    fn the_suite_that_everybody_has_is_always_among_them() {
        for has_aes in [false, true] {
            let suites = Suite::preference(has_aes);
            assert!(check(&suites).is_ok());
            assert_eq!(suites.contains(&Suite::Aes256Gcm), has_aes);
        }
        for wrong in [&[][..], &[Suite::Aes256Gcm], &[Suite::ChaCha20Poly1305; 2]] {
            assert!(check(wrong).is_err(), "{wrong:?}");
        }
    }
}
