//! What two peers keep of a session for the next one (`HS-RESUMPTION`): a secret by
//! which they know each other, its name, and where they meet. When an older secret
//! may be forgotten is decided in the connection.

use super::message::{Extension, WireExtension};
use crate::crypto::Secret32;
use crate::crypto::schedule::{expand_label, expand_label_into};
use crate::error::{Blame, Error, ErrorCode};

/// The extension of `HELLO_I` that names the secret (registry, `extension`).
pub const EXTENSION_RESUMPTION: u16 = 0x10;
/// Length of a resumption id, in bytes.
pub const RESUMPTION_ID: usize = 16;

/// The name of a resumption secret; not secret itself.
pub type ResumptionId = [u8; RESUMPTION_ID];

/// What is kept of a session to authenticate a later one with the same peer. To
/// be stored where only its owner reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resumption {
    /// The name by which the initiator says which secret it has.
    pub id: ResumptionId,
    /// The secret, for [`Auth::Resume`](super::Auth::Resume).
    pub secret: Secret32,
    /// From which the two derive where they meet.
    pub meeting: Secret32,
}

impl Resumption {
    /// Derives all three from a session's secret `resumption` (`HS-RESUMPTION`).
    pub fn derive(resumption: &Secret32) -> Self {
        let mut id = [0; RESUMPTION_ID];
        expand_label_into(resumption, "resumption id", &[], &mut id);
        Self {
            id,
            secret: expand_label(resumption, "resumption psk", &[]),
            meeting: expand_label(resumption, "meeting", &[]),
        }
    }

    /// Name and secret alone, which is all that the handshake needs.
    pub fn key(&self) -> ResumptionKey {
        ResumptionKey { id: self.id, secret: self.secret.clone() }
    }

    /// The routing id under which the peers find each other again
    /// (`HS-RESUME-MEETING`); not secret, and not to be guessed.
    pub fn meeting_id(&self) -> [u8; 16] {
        let mut id = [0; 16];
        expand_label_into(&self.meeting, "meeting id", &[], &mut id);
        id
    }

    /// The secret under which they seal their descriptions there
    /// (`HS-RESUME-MEETING`).
    pub fn meeting_link(&self) -> Secret32 {
        expand_label(&self.meeting, "meeting link", &[])
    }
}

/// A resumption secret and its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResumptionKey {
    /// The name.
    pub id: ResumptionId,
    /// The secret.
    pub secret: Secret32,
}

/// The extension by which an initiator names its secret (`HS-RESUME-OFFER`).
pub(super) fn offer(id: &ResumptionId) -> WireExtension {
    WireExtension::from(&Extension { id: EXTENSION_RESUMPTION, body: id.to_vec() })
}

/// The key among those of this side that the initiator named (`HS-RESUME-PICK`).
pub(super) fn pick(
    key: ResumptionKey,
    other: Option<ResumptionKey>,
    extensions: &[Extension],
) -> Result<ResumptionKey, Error> {
    let named = extensions
        .iter()
        .find(|extension| extension.id == EXTENSION_RESUMPTION)
        .ok_or_else(|| Error::peer(ErrorCode::ProtocolViolation, "no resumption id was named"))?;
    let id = ResumptionId::try_from(&named.body[..])
        .map_err(|_| Error::peer(ErrorCode::Malformed, "a resumption id is 16 bytes long"))?;
    [Some(key), other].into_iter().flatten().find(|held| held.id == id).ok_or_else(|| {
        Error::new(
            Blame::Circumstance,
            ErrorCode::ResumptionUnknown,
            "the session that is to be resumed is not known here",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    // HS-RESUMPTION, HS-RESUME-MEETING
    #[test]
    fn what_is_kept_of_a_session_is_all_different_and_shown_to_nobody() {
        let one = Resumption::derive(&Secret32::new([1; 32]));
        let other = Resumption::derive(&Secret32::new([2; 32]));
        assert_ne!(one.id, other.id);
        assert_ne!(one.meeting_id(), other.meeting_id());
        let mut secrets: Vec<[u8; 32]> = [&one, &other]
            .into_iter()
            .flat_map(|kept| [kept.secret.clone(), kept.meeting.clone(), kept.meeting_link()])
            .map(|secret| *secret.expose())
            .collect();
        secrets.sort_unstable();
        secrets.dedup();
        assert_eq!(secrets.len(), 6);
        let ids = [one.id, one.meeting_id()];
        assert!(secrets.iter().all(|secret| ids.iter().all(|id| secret[..16] != id[..])));
        assert!(format!("{one:?}").contains("secret: Secret32(..), meeting: Secret32(..)"));
    }

    // HS-RESUME-OFFER, HS-RESUME-PICK
    #[test]
    fn a_responder_picks_what_is_named_and_nothing_else() {
        let key = |byte| ResumptionKey { id: [byte; 16], secret: Secret32::new([byte; 32]) };
        let pick = |extensions: &[Extension]| {
            pick(key(1), Some(key(2)), extensions).map_err(|error| error.code)
        };
        let named = |id: &[u8]| Extension { id: EXTENSION_RESUMPTION, body: id.to_vec() };
        assert_eq!(pick(&[named(&[1; 16])]), Ok(key(1)));
        assert_eq!(pick(&[named(&[2; 16])]), Ok(key(2)));
        assert_eq!(pick(&[named(&[3; 16])]), Err(ErrorCode::ResumptionUnknown));
        for length in [0, 15, 17] {
            assert_eq!(pick(&[named(&vec![1; length])]), Err(ErrorCode::Malformed));
        }
        let elsewhere = Extension { id: 7, body: vec![1; 16] };
        assert_eq!(pick(&[elsewhere]), Err(ErrorCode::ProtocolViolation));
    }
}
