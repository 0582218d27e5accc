//! The responder's states: the initiator's hello comes in and is answered with
//! the choice made and a tag; CONFIRM then proves the initiator.

use super::message::{
    self, CONFIRM_TAG, Confirm, ConfirmSas, HelloI, HelloR, List, MessageType, WireExtension,
    is_grease,
};
use super::{
    Auth, Extension, HandshakeConfig, Session, VERSIONS, kem_refused, not_confirmed, received,
    resumption, sas, transcript,
};
use crate::crypto::kem::{RANDOMNESS, encapsulate};
use crate::crypto::schedule::Unconfirmed;
use crate::crypto::{Entropy, Secret32};
use crate::error::{Blame, Error, ErrorCode};
use crate::ids::Role;
use crate::suite::Suite;

/// Waits for `HELLO_I`.
#[derive(Debug)]
pub struct ExpectHello {
    config: HandshakeConfig,
}

/// Sent `HELLO_R`, waits for CONFIRM. Nothing of a session can be got out of this
/// state (`HS-CONFIRM-FIRST`).
#[derive(Debug)]
pub struct ExpectConfirm {
    keys: Unconfirmed,
    session_id: [u8; 16],
    suite: Suite,
    auth: Auth,
    /// What the initiator committed to, in the mode without a secret.
    commit: Option<[u8; 32]>,
    extensions: Vec<Extension>,
}

impl ExpectHello {
    /// A responder that waits; fails for a configuration against its contract.
    pub fn new(config: HandshakeConfig) -> Result<Self, Error> {
        config.check()?;
        Ok(Self { config })
    }

    /// Takes the initiator's hello: the next state, and `HELLO_R` for the peer.
    pub fn handle(
        mut self,
        message: &[u8],
        entropy: &mut Entropy,
    ) -> Result<(ExpectConfirm, Vec<u8>), Error> {
        let hello: HelloI = message::decode(MessageType::HelloI, message)?;
        let version = choose(&VERSIONS, &hello.versions.0, |version| *version)
            .ok_or_else(|| incompatible(ErrorCode::UnsupportedVersion))?;
        let suite = choose(&self.config.suites, &hello.suites.0, |suite| suite.number())
            .ok_or_else(|| incompatible(ErrorCode::UnsupportedSuite))?;
        let auth_mode = self.config.auth.mode();
        if hello.auth != auth_mode {
            // HS-AUTH-MODE
            return Err(incompatible(ErrorCode::UnsupportedAuth));
        }
        let extensions = received(hello.extensions)?;
        if let Auth::Resume { key, other } = self.config.auth {
            let key = resumption::pick(key, other, &extensions)?;
            self.config.auth = Auth::Resume { key, other: None };
        }
        let commit = match self.config.auth {
            Auth::Sas => Some(sas::committed(&extensions)?),
            _ => None,
        };

        let mut randomness = zeroize::Zeroizing::new([0; RANDOMNESS]);
        entropy.fill(&mut randomness[..]);
        let (ciphertext, kem) =
            encapsulate(&hello.encapsulation_key, &randomness).map_err(kem_refused)?;
        let answer = HelloR {
            version,
            suite: suite.number(),
            auth: auth_mode,
            random: entropy.array(),
            ciphertext: *ciphertext,
            extensions: List(self.answers(&extensions, entropy)),
            confirm: [0; CONFIRM_TAG],
        };
        let mut hello_r = message::encode(MessageType::HelloR, &answer)?;
        let hash = transcript::hash(&self.config.binding, &self.config.auth, message, &hello_r);
        let keys = Unconfirmed::derive(&self.config.auth.psk(), &kem, hash);
        // HS-HELLO-R-TAG: the tag takes the place of the zeros at the end.
        hello_r.truncate(hello_r.len() - CONFIRM_TAG);
        hello_r.extend_from_slice(&keys.tag(Role::Responder));
        let (session_id, auth) = (hello.session_id, self.config.auth);
        Ok((ExpectConfirm { keys, session_id, suite, auth, commit, extensions }, hello_r))
    }

    /// This side's extensions among those that were offered (`HS-EXT-ANSWER`),
    /// and an answer to one greased offer, so that initiators prove to ignore it
    /// (`HS-GREASE-ANSWER`).
    fn answers(&self, offered: &[Extension], entropy: &mut Entropy) -> Vec<WireExtension> {
        let is_offered = |own: &&Extension| offered.iter().any(|other| other.id == own.id);
        let mut answers: Vec<WireExtension> =
            self.config.extensions.iter().filter(is_offered).map(WireExtension::from).collect();
        if let Some(greased) = offered.iter().find(|extension| is_grease(extension.id)) {
            let body = entropy.array::<8>().to_vec();
            answers.push(WireExtension { id: greased.id, body: List(body) });
        }
        answers
    }
}

impl ExpectConfirm {
    /// Takes the initiator's CONFIRM: the initiator is proven when this succeeds.
    pub fn handle(self, message: &[u8]) -> Result<Session, Error> {
        let (tag, revealed) = if let Some(commit) = self.commit {
            let confirm: ConfirmSas = message::decode(MessageType::Confirm, message)?;
            (confirm.confirm, Some((commit, confirm.nonce)))
        } else {
            let confirm: Confirm = message::decode(MessageType::Confirm, message)?;
            (confirm.confirm, None)
        };
        let proof = self.keys.verify(Role::Initiator, &tag).ok_or_else(not_confirmed)?;
        let (id, extensions) = (self.session_id, self.extensions);
        let session = Session::new(Role::Responder, id, self.suite, &self.auth, extensions, proof);
        let Some((commit, nonce)) = revealed else { return Ok(session) };
        sas::check(&commit, &nonce)?;
        Ok(session.with_nonce(&Secret32::new(nonce)))
    }
}

/// The first of `ours` that was offered (`HS-CHOICE`).
fn choose<T: Copy>(ours: &[T], offered: &[u16], number: impl Fn(&T) -> u16) -> Option<T> {
    ours.iter().copied().find(|own| offered.contains(&number(own)))
}

fn incompatible(code: ErrorCode) -> Error {
    Error::new(Blame::Incompatible, code, "nothing of what the initiator offers is known here")
}
