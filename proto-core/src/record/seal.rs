//! Sealing: header, encryption in place, tag. One [`Sealer`] holds the one
//! counter of its channel, which goes on from epoch to epoch.

use super::cipher::Cipher;
use super::{MAX_RECORDS, RecordKeys, header};
use crate::error::{Error, ErrorCode};
use crate::limits::{MAX_RECORD, RECORD_HEADER, RECORD_TAG};

/// Seals the records of one direction, lane and channel, in one epoch at a time.
pub struct Sealer {
    keys: RecordKeys,
    cipher: Cipher,
    next: u64,
}

impl Sealer {
    /// A sealer whose first record has the counter 0. There must be only one for
    /// the same keys, ever (`RL-NONCE-ONCE`); that is why it can't be cloned.
    pub fn new(keys: RecordKeys) -> Self {
        let cipher = keys.cipher();
        Self { keys, cipher, next: 0 }
    }

    /// Seals under the keys of a later epoch from now on; the ones before are
    /// wiped, and the counter goes on (`RL-NONCE-ONCE`).
    pub fn switch(&mut self, keys: RecordKeys) {
        self.cipher = keys.cipher();
        self.keys = keys;
    }

    /// How many records were sealed so far, in all epochs.
    pub fn records(&self) -> u64 {
        self.next
    }

    /// Seals `record` in place. The caller has left [`RECORD_HEADER`] bytes of
    /// any content at the front and put the plaintext behind them: at least 1
    /// byte and at most `MAX_RECORD - RECORD_HEADER - RECORD_TAG`. Nothing is
    /// allocated if the vector has room for the [`RECORD_TAG`] bytes more.
    ///
    /// Fails, with `record` untouched, for a wrong length (misuse) and after
    /// `MAX_RECORDS` records.
    pub fn seal(&mut self, record: &mut Vec<u8>) -> Result<(), Error> {
        let longest = MAX_RECORD - RECORD_TAG;
        if !(RECORD_HEADER + 1..=longest).contains(&record.len()) {
            return Err(Error::misuse("a record's plaintext is empty or too long"));
        }
        if self.next >= MAX_RECORDS {
            // RL-COUNTER-LIMIT
            return Err(Error::local(
                ErrorCode::LimitExceeded,
                "no more records may be sealed on this channel",
            ));
        }
        let counter = self.next;
        self.next += 1;
        let header = header(self.keys.epoch, counter);
        let (front, plaintext) = record.split_at_mut(RECORD_HEADER);
        front.copy_from_slice(&header);
        let tag = self
            .cipher
            .seal(self.keys.nonce(counter), &header, plaintext)
            .map_err(|_| Error::local(ErrorCode::Internal, "a record could not be sealed"))?;
        record.extend_from_slice(&tag);
        Ok(())
    }
}

impl std::fmt::Debug for Sealer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sealer")
            .field("keys", &self.keys)
            .field("next", &self.next)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::Secret32;
    use crate::ids::{Channel, Role};
    use crate::suite::Suite;

    fn sealer() -> Sealer {
        let secret = Secret32::new([1; 32]);
        Sealer::new(RecordKeys::derive(
            Suite::default(),
            &secret,
            0,
            Role::Initiator,
            0,
            Channel::Control,
        ))
    }

    // RL-COUNTER-LIMIT
    #[test]
    fn no_record_is_sealed_beyond_the_last_counter() {
        let mut sealer = sealer();
        sealer.next = MAX_RECORDS - 1;
        let mut record = vec![0; RECORD_HEADER + 1];
        sealer.seal(&mut record).unwrap();
        let mut record = vec![0; RECORD_HEADER + 1];
        let error = sealer.seal(&mut record).unwrap_err();
        assert_eq!(error.code, ErrorCode::LimitExceeded);
        assert_eq!(record, vec![0; RECORD_HEADER + 1]);
        assert_eq!(sealer.records(), MAX_RECORDS);
    }

    #[test]
    fn sealing_allocates_nothing_when_there_is_room() {
        let mut record = Vec::with_capacity(MAX_RECORD);
        record.resize(MAX_RECORD - RECORD_TAG, 7);
        let before = record.as_ptr();
        sealer().seal(&mut record).unwrap();
        assert_eq!(record.as_ptr(), before);
        assert_eq!(record.len(), MAX_RECORD);
    }

    #[test]
    fn empty_and_oversized_plaintexts_are_refused() {
        for length in [0, RECORD_HEADER, MAX_RECORD - RECORD_TAG + 1] {
            let mut record = vec![0; length];
            assert!(sealer().seal(&mut record).is_err());
            assert_eq!(record.len(), length);
        }
    }
}
