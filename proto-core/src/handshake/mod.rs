//! The handshake: one round trip on `control`, after which both sides have shown
//! that they hold the same keys (`spec/04-handshake.md`). States are types that
//! are consumed, and a [`Session`] can be built from a proof of key confirmation
//! alone. Timers, the channel itself and what a session is used for live in the
//! connection.
//!
//! ```text
//! initiator::start  --HELLO_I-->  responder::ExpectHello
//! initiator::ExpectHello <--HELLO_R--  responder::ExpectConfirm
//! Session  --CONFIRM-->  Session
//! ```

pub mod initiator;
pub mod message;
pub mod responder;
mod resumption;
mod sas;
mod transcript;

use std::fmt;

pub use message::{Extension, alert, is_grease, parse_alert};
pub use resumption::{
    EXTENSION_RESUMPTION, RESUMPTION_ID, Resumption, ResumptionId, ResumptionKey,
};
pub use sas::{EXTENSION_SAS_COMMIT, SAS_BYTES, SAS_DIGITS, SAS_LIST, Sas, sas_commitment};

use crate::crypto::Secret32;
use crate::crypto::schedule::{self, Confirmed};
use crate::error::{Error, ErrorCode};
use crate::ids::Role;
use crate::limits::{MAX_EXTENSION_BODY, MAX_EXTENSIONS_COUNT};
use crate::suite::{self, Suite};

/// Protocol versions that this crate speaks, the best first. There is one, so that
/// a session of any other version cannot come about (`OV-VERSION`).
pub const VERSIONS: [u16; 1] = [1];
/// The extension of both hellos that says how many lanes a side takes (registry,
/// `extension`).
pub const EXTENSION_LANES: u16 = 0x12;
/// Most extensions that the handshake adds to those of the configuration.
const OWN_EXTENSIONS: usize = 2;
/// Longest transport binding of one side, in bytes.
pub const MAX_BINDING: usize = 64;

/// How the peers know each other: the secret that both must have. A mode that
/// the registry reserves has no variant (`OV-REGISTRY-RESERVED`).
#[derive(Clone, Debug)]
pub enum Auth {
    /// From the invitation link, through [`crate::signal`].
    Link(Secret32),
    /// From the short code, through [`crate::signal`].
    Code {
        /// The handshake's PSK out of the SPAKE2 exchange.
        secret: Secret32,
        /// The hash over that exchange (`SG-PAKE-CONTEXT`).
        context: [u8; 32],
    },
    /// None: two people compare what both sides show before anything else
    /// happens ([`Sas`]).
    Sas,
    /// The embedder's own 256-bit secret. A password is not one.
    Psk(Secret32),
    /// What was kept of an earlier session with the same peer.
    Resume {
        /// The secret that an initiator names, or the newest of a responder.
        key: ResumptionKey,
        /// A responder's other secret, as long as the peer may have only that one;
        /// an initiator names one secret, and has none here (`HS-RESUME-OFFER`).
        other: Option<ResumptionKey>,
    },
}

impl Auth {
    /// The registry's number of the mode.
    pub fn mode(&self) -> u16 {
        match self {
            Auth::Link(_) => 1,
            Auth::Code { .. } => 2,
            Auth::Sas => 3,
            Auth::Psk(_) => 4,
            Auth::Resume { .. } => 5,
        }
    }

    /// What goes into the key schedule: zeros where the peers share nothing
    /// (`HS-SAS-ZERO`).
    fn psk(&self) -> Secret32 {
        match self {
            Auth::Link(secret) | Auth::Code { secret, .. } | Auth::Psk(secret) => secret.clone(),
            Auth::Resume { key, .. } => key.secret.clone(),
            Auth::Sas => Secret32::new([0; 32]),
        }
    }

    /// Whether a mode that rests on a secret has none (`HS-PSK-ZERO`).
    fn lacks_secret(&self) -> bool {
        let other = match self {
            Auth::Sas => return false,
            Auth::Resume { other, .. } => other.as_ref(),
            _ => None,
        };
        self.psk().is_zero() || other.is_some_and(|other| other.secret.is_zero())
    }

    fn context(&self) -> &[u8] {
        match self {
            Auth::Code { context, .. } => context,
            Auth::Resume { key, .. } => &key.id,
            Auth::Link(_) | Auth::Psk(_) | Auth::Sas => &[],
        }
    }
}

/// What identifies the transport connection at its two ends, such as the DTLS
/// certificates' fingerprints (`HS-BINDING`). Each 1 to [`MAX_BINDING`] bytes,
/// and both sides must give the same two values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransportBinding {
    /// Of the initiator's end.
    pub initiator: Vec<u8>,
    /// Of the responder's end.
    pub responder: Vec<u8>,
}

/// What a side brings to the handshake.
#[derive(Clone, Debug)]
pub struct HandshakeConfig {
    /// The shared secret and how it came about.
    pub auth: Auth,
    /// The transport that the session is tied to.
    pub binding: TransportBinding,
    /// Cipher suites that this side offers, or chooses from, the best first.
    pub suites: Vec<Suite>,
    /// Extensions that this side offers, or answers with if they are offered.
    /// No id twice, none of the greasing form.
    pub extensions: Vec<Extension>,
}

impl HandshakeConfig {
    /// A configuration with the suite that everybody has, and without extensions.
    pub fn new(auth: Auth, binding: TransportBinding) -> Self {
        Self { auth, binding, suites: Suite::preference(false), extensions: Vec::new() }
    }

    fn check(&self) -> Result<(), Error> {
        suite::check(&self.suites)?;
        if self.auth.lacks_secret() {
            return Err(Error::misuse("the authentication secret is all zeros")); // HS-PSK-ZERO
        }
        let lengths = [self.binding.initiator.len(), self.binding.responder.len()];
        if lengths.iter().any(|length| !(1..=MAX_BINDING).contains(length)) {
            // HS-BINDING-LENGTH
            return Err(Error::misuse("a transport binding is 1 to 64 bytes long"));
        }
        // Places are kept for grease and for the protocol's own.
        let ids: Vec<u16> = self.extensions.iter().map(|extension| extension.id).collect();
        let fits = self.extensions.iter().all(|e| e.body.len() <= MAX_EXTENSION_BODY);
        if !fits || ids.len() + OWN_EXTENSIONS > MAX_EXTENSIONS_COUNT {
            return Err(Error::misuse("too many extensions, or one that is too long"));
        }
        if has_duplicates(&ids) || ids.iter().any(|id| is_grease(*id)) {
            return Err(Error::misuse("an extension id is used twice or reserved for grease"));
        }
        if ids.iter().any(|id| [EXTENSION_RESUMPTION, EXTENSION_SAS_COMMIT].contains(id)) {
            return Err(Error::misuse("an extension id is the protocol's own"));
        }
        Ok(())
    }
}

fn has_duplicates(ids: &[u16]) -> bool {
    let mut sorted = ids.to_vec();
    sorted.sort_unstable();
    sorted.windows(2).any(|pair| pair[0] == pair[1])
}

/// The peer's extensions out of a hello, those too that nobody here knows: they
/// are the embedder's to ignore (`HS-EXT-UNKNOWN`).
fn received(extensions: message::Extensions) -> Result<Vec<Extension>, Error> {
    let ids: Vec<u16> = extensions.0.iter().map(|extension| extension.id).collect();
    if has_duplicates(&ids) {
        // HS-EXT-ONCE
        return Err(Error::peer(ErrorCode::ProtocolViolation, "an extension came twice"));
    }
    Ok(extensions.0.into_iter().map(Extension::from).collect())
}

fn kem_refused(error: crate::crypto::kem::KemError) -> Error {
    Error::peer(ErrorCode::Malformed, error.to_string())
}

/// The other side's tag is wrong (`HS-CONFIRM-CHECK`).
fn not_confirmed() -> Error {
    Error::peer(
        ErrorCode::AuthenticationFailed,
        "key confirmation failed: another secret, another transport, or somebody in between",
    )
}

/// A confirmed session: both sides hold the same keys over the same transcript.
pub struct Session {
    role: Role,
    id: [u8; 16],
    suite: Suite,
    auth_mode: u16,
    resumed: Option<ResumptionId>,
    sas: Option<Sas>,
    extensions: Vec<Extension>,
    keys: Confirmed,
}

impl Session {
    /// Only a proof of key confirmation makes a session (`HS-CONFIRM-FIRST`).
    fn new(
        role: Role,
        id: [u8; 16],
        suite: Suite,
        auth: &Auth,
        mut extensions: Vec<Extension>,
        keys: Confirmed,
    ) -> Self {
        extensions.retain(|extension| !is_grease(extension.id));
        let resumed = match auth {
            Auth::Resume { key, .. } => Some(key.id),
            _ => None,
        };
        Self { role, id, suite, auth_mode: auth.mode(), resumed, sas: None, extensions, keys }
    }

    /// The same, with what comes of the initiator's nonce in the mode without a secret.
    fn with_nonce(self, nonce: &Secret32) -> Self {
        let sas = Some(Sas::derive(&self.keys.secrets().sas, nonce));
        Self { sas, ..self }
    }

    /// Which side of the handshake this was.
    pub fn role(&self) -> Role {
        self.role
    }

    /// The id that the initiator drew; not secret.
    pub fn id(&self) -> &[u8; 16] {
        &self.id
    }

    /// The cipher suite that was agreed on.
    pub fn suite(&self) -> Suite {
        self.suite
    }

    /// The mode of authentication (registry, `auth`).
    pub fn auth_mode(&self) -> u16 {
        self.auth_mode
    }

    /// The peer's extensions, known to this side or not, without grease.
    pub fn peer_extensions(&self) -> &[Extension] {
        &self.extensions
    }

    /// Hash over the whole handshake; not secret.
    pub fn transcript(&self) -> &[u8; 32] {
        self.keys.transcript()
    }

    /// Traffic secret of epoch 0, for [`crate::record::RecordKeys::derive`].
    pub fn epoch_secret(&self) -> &Secret32 {
        &self.keys.secrets().epoch
    }

    /// Key under which receipts are authenticated.
    pub fn receipt_key(&self) -> &Secret32 {
        &self.keys.secrets().receipt
    }

    /// The secret from which [`resumption`](Self::resumption) is derived.
    pub fn resumption_secret(&self) -> &Secret32 {
        &self.keys.secrets().resumption
    }

    /// What to keep for a later session of these two peers.
    pub fn resumption(&self) -> Resumption {
        Resumption::derive(self.resumption_secret())
    }

    /// What two people have to compare, if the peers had no secret.
    pub fn sas(&self) -> Option<&Sas> {
        self.sas.as_ref()
    }

    /// The name of the secret by which this session was resumed, if it was.
    pub fn resumed(&self) -> Option<&ResumptionId> {
        self.resumed.as_ref()
    }

    /// The secret `lane signaling`, which nothing uses yet: descriptions of further
    /// lanes go over `control`.
    pub fn lane_signaling_secret(&self) -> &Secret32 {
        &self.keys.secrets().lane_signaling
    }

    /// A secret for the embedder's own use (`HS-EXPORTER`), the same at both
    /// sides for the same `label`, which must be of 1 to 128 bytes, and the same
    /// `context` of at most 255 bytes.
    pub fn export(&self, label: &str, context: &[u8]) -> Result<Secret32, Error> {
        if !(1..=128).contains(&label.len()) || context.len() > 255 {
            return Err(Error::misuse("an exporter's label or context has a wrong length"));
        }
        let label = format!("exporter {label}");
        Ok(schedule::expand_label(&self.keys.secrets().exporter, &label, context))
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("role", &self.role)
            .field("auth_mode", &self.auth_mode)
            .finish_non_exhaustive()
    }
}
