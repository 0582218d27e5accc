//! The keys of a session by lane and channel, over its epochs: at most the epoch
//! in use, the one that follows it, and the one that is going. When an epoch
//! begins and ends is decided by the connection.

use std::collections::BTreeMap;

use super::{OpenError, Opener, RecordKeys, Sealer};
use crate::crypto::Secret32;
use crate::error::{Error, ErrorCode};
use crate::ids::{Channel, Role};
use crate::suite::Suite;

/// An epoch and the secret that its keys come from.
struct Epoch {
    suite: Suite,
    number: u16,
    secret: Secret32,
}

impl Epoch {
    fn keys(&self, sender: Role, (lane, channel): (u16, Channel)) -> RecordKeys {
        RecordKeys::derive(self.suite, &self.secret, self.number, sender, lane, channel)
    }
}

/// One sealer and one opener for each channel of each lane. All secrets are wiped
/// when they are replaced.
pub struct Keyring {
    role: Role,
    newest: Epoch,
    /// The epoch before, as long as a side may still send in it: what makes keys
    /// for a lane that comes meanwhile.
    older: Option<Epoch>,
    /// Whether this side sends in the newest epoch, and not in the one before.
    switched: bool,
    channels: BTreeMap<(u16, Channel), (Sealer, Opener)>,
}

impl Keyring {
    /// The keys of epoch 0 from its traffic secret, for all channels of lane 0.
    pub fn new(role: Role, suite: Suite, secret: Secret32) -> Self {
        let newest = Epoch { suite, number: 0, secret };
        let channels = BTreeMap::new();
        let mut ring = Self { role, newest, older: None, switched: true, channels };
        for channel in Channel::ALL {
            ring.add(0, channel);
        }
        ring
    }

    /// Adds keys for a channel of a lane, in the epochs that are held. Nothing is
    /// done if it has some.
    pub fn add(&mut self, lane: u16, channel: Channel) {
        let place = (lane, channel);
        if self.channels.contains_key(&place) {
            return; // RL-NONCE-ONCE: one sealer, ever.
        }
        let first = self.older.as_ref().unwrap_or(&self.newest);
        let sending = if self.switched { &self.newest } else { first };
        let sealer = Sealer::new(sending.keys(self.role, place));
        let mut opener = Opener::new(first.keys(self.role.peer(), place));
        if self.older.is_some() {
            opener.extend(self.newest.keys(self.role.peer(), place));
        }
        self.channels.insert(place, (sealer, opener));
    }

    /// Wipes the keys of a channel of a lane. The number must never be added again
    /// (`LN-NUMBERS`): its counters would begin anew under the same keys.
    pub fn remove(&mut self, lane: u16, channel: Channel) {
        self.channels.remove(&(lane, channel));
    }

    /// The newest epoch of which records are opened.
    pub fn newest(&self) -> u16 {
        self.newest.number
    }

    /// The epoch in which records are sealed.
    pub fn sending(&self) -> u16 {
        if self.switched { self.newest.number } else { self.newest.number.saturating_sub(1) }
    }

    /// The traffic secret of the newest epoch, from which the next one's is made.
    pub fn secret(&self) -> &Secret32 {
        &self.newest.secret
    }

    /// Makes `secret` that of the next epoch: its records are opened from now on,
    /// next to those of the epoch that was the newest. Sending goes on as it was
    /// until [`switch`](Self::switch).
    ///
    /// # Errors
    ///
    /// There is no epoch behind 65535 (`RL-LAST-EPOCH`).
    pub fn extend(&mut self, secret: Secret32) -> Result<(), Error> {
        let number = self.newest.number.checked_add(1).ok_or_else(|| {
            Error::local(ErrorCode::LimitExceeded, "no further epoch is left to this connection")
        })?;
        let next = Epoch { suite: self.newest.suite, number, secret };
        self.older = Some(std::mem::replace(&mut self.newest, next));
        self.switched = false;
        for (place, (_, opener)) in &mut self.channels {
            opener.extend(self.newest.keys(self.role.peer(), *place));
        }
        Ok(())
    }

    /// Seals in the newest epoch from now on; the sending keys of the one before
    /// are wiped (`RL-UPDATE-WIPE`).
    pub fn switch(&mut self) {
        self.switched = true;
        for (place, (sealer, _)) in &mut self.channels {
            sealer.switch(self.newest.keys(self.role, *place));
        }
    }

    /// The peer has switched too: wipes the secret of the epoch before. The keys
    /// for opening what is still under way in it stay until
    /// [`forget`](Self::forget).
    pub fn settle(&mut self) {
        self.older = None;
    }

    /// Wipes the last keys of the epoch before (`RL-UPDATE-GRACE`).
    pub fn forget(&mut self) {
        self.older = None;
        for (_, opener) in self.channels.values_mut() {
            opener.forget();
        }
    }

    /// Seals a record as [`Sealer::seal`] does.
    ///
    /// # Errors
    ///
    /// Those of [`Sealer::seal`], and misuse for a channel that has no keys.
    pub fn seal(&mut self, lane: u16, channel: Channel, record: &mut Vec<u8>) -> Result<(), Error> {
        match self.channels.get_mut(&(lane, channel)) {
            Some((sealer, _)) => sealer.seal(record),
            None => Err(Error::misuse("there are no keys for this channel")),
        }
    }

    /// Opens a record as [`Opener::open`] does, and tells its epoch.
    ///
    /// # Errors
    ///
    /// Those of [`Opener::open`]; a channel without keys has no epoch.
    pub fn open<'a>(
        &mut self,
        lane: u16,
        channel: Channel,
        record: &'a mut [u8],
    ) -> Result<(u16, &'a mut [u8]), OpenError> {
        let (_, opener) = self.channels.get_mut(&(lane, channel)).ok_or(OpenError::WrongEpoch)?;
        let epoch = record.get(2..4).and_then(|bytes| <[u8; 2]>::try_from(bytes).ok());
        let plaintext = opener.open(record)?;
        Ok((u16::from_le_bytes(epoch.ok_or(OpenError::Malformed)?), plaintext))
    }
}

impl std::fmt::Debug for Keyring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keyring")
            .field("newest", &self.newest.number)
            .field("switched", &self.switched)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::RECORD_HEADER;

    impl Keyring {
        /// The same keys as if they were those of a later epoch.
        pub(crate) fn at_epoch(mut self, number: u16) -> Self {
            self.newest.number = number;
            self
        }
    }

    fn secret(byte: u8) -> Secret32 {
        Secret32::new([byte; 32])
    }

    fn pair() -> [Keyring; 2] {
        [Role::Initiator, Role::Responder]
            .map(|role| Keyring::new(role, Suite::default(), secret(1)))
    }

    fn seal(ring: &mut Keyring, lane: u16, channel: Channel) -> Vec<u8> {
        let mut record = vec![0; RECORD_HEADER];
        record.push(7);
        ring.seal(lane, channel, &mut record).unwrap();
        record
    }

    fn open(ring: &mut Keyring, channel: Channel, record: &[u8]) -> Result<u16, OpenError> {
        ring.open(0, channel, &mut record.to_vec()).map(|(epoch, _)| epoch)
    }

    // RL-UPDATE-SWITCH: the answerer opens the next epoch before it sends in it.
    #[test]
    fn what_is_opened_comes_before_what_is_sent() {
        let [mut one, mut two] = pair();
        for ring in [&mut one, &mut two] {
            ring.extend(secret(2)).unwrap();
            assert_eq!((ring.newest(), ring.sending()), (1, 0));
        }
        for channel in Channel::ALL {
            assert_eq!(open(&mut two, channel, &seal(&mut one, 0, channel)), Ok(0));
        }
        one.switch();
        for channel in Channel::ALL {
            assert_eq!(open(&mut two, channel, &seal(&mut one, 0, channel)), Ok(1));
            assert_eq!(open(&mut one, channel, &seal(&mut two, 0, channel)), Ok(0));
        }
    }

    // RL-UPDATE-WIPE, RL-UPDATE-GRACE
    #[test]
    fn keys_that_were_wiped_neither_seal_nor_open() {
        for channel in [Channel::Unreliable, Channel::File] {
            let [mut one, mut two] = pair();
            let late: Vec<_> = (0..3).map(|_| seal(&mut one, 0, channel)).collect();
            for ring in [&mut one, &mut two] {
                ring.extend(secret(2)).unwrap();
                ring.switch();
            }
            assert_eq!(open(&mut two, channel, &seal(&mut one, 0, channel)), Ok(1));
            assert_eq!(open(&mut two, channel, &late[0]), Ok(0));
            assert_eq!(open(&mut two, channel, &late[0]), Err(OpenError::Replay));
            two.settle();
            assert!(two.older.is_none(), "no secret of the old epoch is left");
            assert_eq!(open(&mut two, channel, &late[1]), Ok(0));
            two.forget();
            assert_eq!(open(&mut two, channel, &late[2]), Err(OpenError::WrongEpoch));
            assert_eq!(open(&mut two, channel, &seal(&mut one, 0, channel)), Ok(1));
        }
    }

    #[test]
    fn no_more_than_two_epochs_are_held() {
        let [mut one, mut two] = pair();
        let late: Vec<_> = (0..2).map(|_| seal(&mut one, 0, Channel::File)).collect();
        for byte in 2..4 {
            assert_eq!(open(&mut two, Channel::File, &late[usize::from(byte) - 2]), Ok(0));
            two.extend(secret(byte)).unwrap();
        }
        let late = seal(&mut one, 0, Channel::File);
        assert_eq!(open(&mut two, Channel::File, &late), Err(OpenError::WrongEpoch));
    }

    #[test]
    fn a_lane_that_comes_between_two_epochs_has_keys_of_both() {
        let [mut one, mut two] = pair();
        one.extend(secret(2)).unwrap();
        two.extend(secret(2)).unwrap();
        two.switch();
        for ring in [&mut one, &mut two] {
            ring.add(1, Channel::File);
            ring.add(1, Channel::File); // changes nothing
        }
        let mut old = seal(&mut one, 1, Channel::File);
        assert_eq!(two.open(1, Channel::File, &mut old).unwrap().0, 0);
        let mut new = seal(&mut two, 1, Channel::File);
        assert_eq!(one.open(1, Channel::File, &mut new).unwrap().0, 1);
        one.switch();
        let mut new = seal(&mut one, 1, Channel::File);
        assert_eq!(two.open(1, Channel::File, &mut new).unwrap().0, 1);
        assert!(one.seal(2, Channel::File, &mut vec![0; 20]).is_err());
        assert!(one.open(2, Channel::File, &mut [0; 40]).is_err());
    }

    // RL-LAST-EPOCH
    #[test]
    fn there_is_no_epoch_behind_the_last() {
        let mut ring =
            Keyring::new(Role::Initiator, Suite::default(), secret(1)).at_epoch(u16::MAX);
        assert_eq!(ring.extend(secret(2)).unwrap_err().code, ErrorCode::LimitExceeded);
        assert_eq!(ring.newest(), u16::MAX);
    }
}
