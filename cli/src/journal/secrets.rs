//! The secrets by which two peers know each other in a later session: two at the
//! most, the newer one first, and the one that says where they meet
//! (`HS-RESUME-KEEP`). They are wiped when dropped and shown nowhere.

use bincode::{Decode, Encode};
use passel_proto::crypto::Secret32;
use passel_proto::handshake::{Resumption, ResumptionKey};
use zeroize::Zeroize;

/// What one side keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Of the newest session.
    pub current: ResumptionKey,
    /// That by which the newest session was resumed, as long as the other side
    /// may have nothing newer.
    pub previous: Option<ResumptionKey>,
    /// Of the transfer's first session: where the two meet.
    pub meeting: Secret32,
}

impl Kept {
    /// Of a transfer's first session.
    pub fn first(session: &Resumption) -> Self {
        Self { current: session.key(), previous: None, meeting: session.meeting.clone() }
    }

    /// After a session that was resumed by the key named `from`: its own key
    /// comes first, and that one stays (`HS-RESUME-KEEP`).
    #[must_use]
    pub fn succeed(self, session: &Resumption, from: &[u8; 16]) -> Self {
        let used = [Some(self.current), self.previous].into_iter().flatten();
        let previous = used.into_iter().find(|held| held.id == *from);
        Self { current: session.key(), previous, meeting: self.meeting }
    }

    /// Where the two meet (`HS-RESUME-MEETING`).
    pub fn meeting_id(&self) -> [u8; 16] {
        self.session().meeting_id()
    }

    /// Under which their descriptions are sealed there (`HS-RESUME-MEETING`).
    pub fn meeting_link(&self) -> Secret32 {
        self.session().meeting_link()
    }

    fn session(&self) -> Resumption {
        let ResumptionKey { id, secret } = self.current.clone();
        Resumption { id, secret, meeting: self.meeting.clone() }
    }

    /// Once both sides have stored the newest (`HS-RESUME-ONCE`).
    #[must_use]
    pub fn settle(self) -> Self {
        Self { previous: None, ..self }
    }
}

/// [`Kept`] as it is stored.
#[derive(Encode, Decode)]
pub(super) struct Stored {
    current: ([u8; 16], [u8; 32]),
    previous: Option<([u8; 16], [u8; 32])>,
    meeting: [u8; 32],
}

impl Drop for Stored {
    fn drop(&mut self) {
        self.current.1.zeroize();
        if let Some(previous) = &mut self.previous {
            previous.1.zeroize();
        }
        self.meeting.zeroize();
    }
}

impl From<&Kept> for Stored {
    fn from(kept: &Kept) -> Self {
        let bare = |key: &ResumptionKey| (key.id, *key.secret.expose());
        Self {
            current: bare(&kept.current),
            previous: kept.previous.as_ref().map(bare),
            meeting: *kept.meeting.expose(),
        }
    }
}

impl From<&Stored> for Kept {
    fn from(stored: &Stored) -> Self {
        let key = |(id, secret): &([u8; 16], [u8; 32])| ResumptionKey {
            id: *id,
            secret: Secret32::new(*secret),
        };
        Self {
            current: key(&stored.current),
            previous: stored.previous.as_ref().map(key),
            meeting: Secret32::new(stored.meeting),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// What is kept of some session.
    pub(crate) fn session(byte: u8) -> Resumption {
        Resumption::derive(&Secret32::new([byte; 32]))
    }

    #[test]
    fn two_keys_are_kept_at_most_and_the_meeting_stays() {
        // HS-RESUME-KEEP, HS-RESUME-ONCE
        let [one, two, three] = [1, 2, 3].map(session);
        let second = Kept::first(&one).succeed(&two, &one.id);
        assert_eq!((&second.current, &second.previous), (&two.key(), &Some(one.key())));
        // The other side had only the older one: it was used once more.
        let third = second.clone().succeed(&three, &one.id);
        assert_eq!((&third.current, &third.previous), (&three.key(), &Some(one.key())));
        let third = second.succeed(&three, &two.id);
        assert_eq!((&third.current, &third.previous), (&three.key(), &Some(two.key())));
        let settled = third.settle();
        assert_eq!((&settled.current, &settled.previous), (&three.key(), &None));
        assert_eq!(settled.meeting, one.meeting);
    }

    #[test]
    fn they_are_stored_as_they_are_and_shown_nowhere() {
        // SC-SECRETS-HIDDEN
        let kept = Kept::first(&session(1)).succeed(&session(2), &session(1).id);
        assert_eq!(Kept::from(&Stored::from(&kept)), kept);
        let shown = format!("{kept:?}");
        assert!(shown.contains("meeting: Secret32(..)"), "{shown}");
        assert_eq!(shown.matches("secret: Secret32(..)").count(), 2, "{shown}");
    }
}
