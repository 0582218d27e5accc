//! The initiator's states: the hello goes out, the responder's hello comes in and
//! proves the responder, CONFIRM goes out.

use super::message::{
    self, Confirm, ConfirmSas, HelloI, HelloR, List, MessageType, WireExtension, grease,
};
use super::{
    Auth, HandshakeConfig, Session, VERSIONS, kem_refused, not_confirmed, received, resumption,
    sas, transcript,
};
use crate::crypto::kem::KeyPair;
use crate::crypto::schedule::Unconfirmed;
use crate::crypto::{Entropy, Secret32};
use crate::error::{Error, ErrorCode};
use crate::ids::Role;
use crate::suite::Suite;

/// Sent `HELLO_I`, waits for `HELLO_R`.
pub struct ExpectHello {
    config: HandshakeConfig,
    keys: KeyPair,
    /// To be revealed with CONFIRM, in the mode without a secret.
    nonce: Option<Secret32>,
    session_id: [u8; 16],
    offered_extensions: Vec<u16>,
    hello_i: Vec<u8>,
}

/// Starts a handshake: the next state, and `HELLO_I` for the peer.
///
/// Fails for a configuration against its contract only.
pub fn start(
    config: HandshakeConfig,
    entropy: &mut Entropy,
) -> Result<(ExpectHello, Vec<u8>), Error> {
    config.check()?;
    let mut seed = zeroize::Zeroizing::new([0; crate::crypto::kem::SEED]);
    entropy.fill(&mut seed[..]);
    let keys = KeyPair::from_seed(&seed);

    let mut extensions: Vec<_> = config.extensions.iter().map(WireExtension::from).collect();
    if let Auth::Resume { key, other } = &config.auth {
        // HS-RESUME-OFFER
        if other.is_some() {
            return Err(Error::misuse("an initiator resumes by one secret at a time"));
        }
        extensions.push(resumption::offer(&key.id));
    }
    // HS-SAS-COMMIT
    let nonce = match config.auth {
        Auth::Sas => Some(Secret32::new(entropy.array())),
        _ => None,
    };
    extensions.extend(nonce.as_ref().map(sas::offer));
    // HS-GREASE
    let mut body = vec![0; usize::from(entropy.array::<1>()[0] % 16)];
    entropy.fill(&mut body);
    let greased = WireExtension { id: grease(entropy), body: List(body) };
    insert(&mut extensions, greased, entropy);
    let mut versions = VERSIONS.to_vec();
    let number = grease(entropy);
    insert(&mut versions, number, entropy);
    let mut suites = config.suites.iter().map(|suite| suite.number()).collect();
    let number = grease(entropy);
    insert(&mut suites, number, entropy);

    let session_id = entropy.array();
    let offered_extensions = extensions.iter().map(|extension| extension.id).collect();
    let hello = HelloI {
        versions: List(versions),
        suites: List(suites),
        auth: config.auth.mode(),
        session_id,
        random: entropy.array(),
        encapsulation_key: *keys.encapsulation_key(),
        extensions: List(extensions),
    };
    let hello_i = message::encode(MessageType::HelloI, &hello)?;
    let state = ExpectHello {
        config,
        keys,
        nonce,
        session_id,
        offered_extensions,
        hello_i: hello_i.clone(),
    };
    Ok((state, hello_i))
}

/// Puts `item` at a random place, so that no order can be relied upon.
fn insert<T>(list: &mut Vec<T>, item: T, entropy: &mut Entropy) {
    let place = usize::from(entropy.array::<1>()[0]) % (list.len() + 1);
    list.insert(place, item);
}

impl ExpectHello {
    /// Takes the responder's hello. The responder is proven when this succeeds,
    /// and CONFIRM is to be sent before anything else.
    pub fn handle(self, message: &[u8]) -> Result<(Session, Vec<u8>), Error> {
        let hello: HelloR = message::decode(MessageType::HelloR, message)?;
        // HS-CHOICE: one of what was offered, and never grease.
        if !VERSIONS.contains(&hello.version) {
            return Err(not_offered(ErrorCode::UnsupportedVersion));
        }
        let suite = Suite::from_number(hello.suite)
            .filter(|suite| self.config.suites.contains(suite))
            .ok_or_else(|| not_offered(ErrorCode::UnsupportedSuite))?;
        if hello.auth != self.config.auth.mode() {
            return Err(not_offered(ErrorCode::UnsupportedAuth));
        }
        let extensions = received(hello.extensions)?;
        if extensions.iter().any(|extension| !self.offered_extensions.contains(&extension.id)) {
            // HS-EXT-ANSWER
            return Err(Error::peer(
                ErrorCode::ProtocolViolation,
                "an extension was answered that was not offered",
            ));
        }
        let kem = self.keys.decapsulate(&hello.ciphertext).map_err(kem_refused)?;
        let hash =
            transcript::hash(&self.config.binding, &self.config.auth, &self.hello_i, message);
        let keys = Unconfirmed::derive(&self.config.auth.psk(), &kem, hash);
        let confirm = keys.tag(Role::Initiator);
        let proof = keys.verify(Role::Responder, &hello.confirm).ok_or_else(not_confirmed)?;
        let (id, auth) = (self.session_id, &self.config.auth);
        let session = Session::new(Role::Initiator, id, suite, auth, extensions, proof);
        // HS-SAS-REVEAL: HELLO_R is fixed by now.
        if let Some(nonce) = self.nonce {
            let message = ConfirmSas { confirm, nonce: *nonce.expose() };
            let message = message::encode(MessageType::Confirm, &message)?;
            return Ok((session.with_nonce(&nonce), message));
        }
        Ok((session, message::encode(MessageType::Confirm, &Confirm { confirm })?))
    }
}

impl std::fmt::Debug for ExpectHello {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("initiator::ExpectHello(..)")
    }
}

fn not_offered(code: ErrorCode) -> Error {
    Error::peer(code, "the responder chose what was not offered")
}
