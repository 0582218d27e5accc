//! One side of a signaling session: which mode it is, what is sealed, what is
//! opened, and the one guess that a code allows (`SG-STATES`).

use std::collections::VecDeque;
use std::fmt;

use super::blob::{self, Blob, BlobError, MAX_PAYLOAD, SALT, Sealed};
use super::keys::{Direction, MODE_CODE, MODE_LINK, MODE_PSK, MODE_SAS, SignalKeys, SignalSecret};
use crate::crypto::pake::{Pake, SHARE, Side};
use crate::crypto::{Entropy, Secret32, SecretBytes};
use crate::error::{Blame, Error, ErrorCode};
use crate::handshake::Auth;

/// Most payloads that wait for a key, and most blobs that wait to be polled.
pub const MAX_QUEUED: usize = 64;
/// What takes a code's place in SPAKE2 where the peers share nothing (`SG-SAS`).
const PUBLIC_PASSWORD: &[u8] = b"passel v1 sas";
/// Longest routing id, in bytes.
const MAX_ROUTING_ID: usize = 64;

/// Seals payloads into blobs and opens those of the peer.
///
/// After each call, drain [`poll_blob`](Self::poll_blob) until it gives `None`;
/// that holds for a call that failed, too, as a last blob tells the peer. After a
/// failure of [`handle_blob`](Self::handle_blob) the session is burnt: every
/// further call fails in the same way, and a code must not be used again.
///
/// ```
/// use passel_proto::crypto::{Entropy, Secret32};
/// use passel_proto::signal::SignalSession;
///
/// # fn main() -> Result<(), passel_proto::error::Error> {
/// let mut entropy = Entropy::from_seed([1; 32]); // in earnest, from the system
/// let link = || Secret32::new([9; 32]);
/// let mut creator = SignalSession::creator(Some(link()), None, b"route", &mut entropy)?;
/// let mut joiner = SignalSession::joiner_link(&link(), b"route", &mut entropy)?;
/// joiner.seal(b"my addresses")?;
/// let blob = joiner.poll_blob().unwrap();
/// assert_eq!(creator.handle_blob(&blob)?, Some(b"my addresses".to_vec()));
/// # Ok(())
/// # }
/// ```
pub struct SignalSession {
    side: Side,
    routing_id: Vec<u8>,
    salt: [u8; SALT],
    /// The mode of this side's share, if it has one.
    share_mode: Option<u16>,
    phase: Phase,
    waiting: VecDeque<Vec<u8>>,
    out: VecDeque<Vec<u8>>,
}

enum Phase {
    /// A creator before the joiner's first blob, which says which mode it is.
    Choosing { secret: Option<SignalSecret>, pake: Option<Box<Pake>> },
    /// A joiner with a code, or with nothing, before the creator's share.
    ExpectShare(Box<Pake>),
    /// The key is there; the directions come as the salts do.
    Keyed(Box<Keyed>),
    /// Burnt, and why.
    Failed(Error),
}

struct Keyed {
    keys: SignalKeys,
    send: Option<Direction>,
    receive: Option<Direction>,
    /// A share that a creator queued for joiners with a code may still come.
    share_may_come: bool,
}

impl SignalSession {
    /// The side that made the invitation, and takes a joiner by `link`, by
    /// `code`, or by either. With a code a share is there to be polled at once.
    ///
    /// Fails for misuse only: neither of the two, an empty one, or a routing id
    /// that is empty or longer than 64 bytes.
    pub fn creator(
        link: Option<Secret32>,
        code: Option<&SecretBytes>,
        routing_id: &[u8],
        entropy: &mut Entropy,
    ) -> Result<Self, Error> {
        if link.is_none() && code.is_none() {
            return Err(Error::misuse("an invitation needs a link or a code"));
        }
        let secret = link.map(SignalSecret::Link);
        let mut session = Self::waiting(secret, routing_id, entropy)?;
        if let Some(code) = code {
            session.offer_share(code, MODE_CODE, entropy)?;
        }
        Ok(session)
    }

    /// The side that made the invitation, or waits to be met, for a peer that has
    /// the same secret. Fails for misuse only.
    pub fn creator_secret(
        secret: SignalSecret,
        routing_id: &[u8],
        entropy: &mut Entropy,
    ) -> Result<Self, Error> {
        Self::waiting(Some(secret), routing_id, entropy)
    }

    /// The side that made an invitation without a secret: everybody who knows the
    /// routing id can take it, and two people find out who did ([`Auth::Sas`]). A
    /// share is there to be polled at once. Fails for misuse only.
    pub fn creator_sas(routing_id: &[u8], entropy: &mut Entropy) -> Result<Self, Error> {
        let mut session = Self::waiting(None, routing_id, entropy)?;
        session.offer_share(&public_password(), MODE_SAS, entropy)?;
        Ok(session)
    }

    /// The side that has the link. Fails for misuse only.
    pub fn joiner_link(
        secret: &Secret32,
        routing_id: &[u8],
        entropy: &mut Entropy,
    ) -> Result<Self, Error> {
        Self::joiner_secret(&SignalSecret::Link(secret.clone()), routing_id, entropy)
    }

    /// The side that has the same secret as the creator. Fails for misuse only.
    pub fn joiner_secret(
        secret: &SignalSecret,
        routing_id: &[u8],
        entropy: &mut Entropy,
    ) -> Result<Self, Error> {
        check_secret(secret)?;
        let mut session = Self::new(Side::Joiner, routing_id, nothing(), entropy)?;
        session.have_keys(SignalKeys::from_secret(secret, routing_id), true);
        Ok(session)
    }

    /// The side that typed in the code. Its share is there to be polled at once.
    /// Fails for misuse only.
    pub fn joiner_code(
        code: &SecretBytes,
        routing_id: &[u8],
        entropy: &mut Entropy,
    ) -> Result<Self, Error> {
        let mut session = Self::new(Side::Joiner, routing_id, nothing(), entropy)?;
        session.phase = Phase::ExpectShare(session.start_pake(code, MODE_CODE, entropy)?);
        Ok(session)
    }

    /// The side that took an invitation without a secret. Its share is there to be
    /// polled at once. Fails for misuse only.
    pub fn joiner_sas(routing_id: &[u8], entropy: &mut Entropy) -> Result<Self, Error> {
        let mut session = Self::new(Side::Joiner, routing_id, nothing(), entropy)?;
        let pake = session.start_pake(&public_password(), MODE_SAS, entropy)?;
        session.phase = Phase::ExpectShare(pake);
        Ok(session)
    }

    fn waiting(
        secret: Option<SignalSecret>,
        routing_id: &[u8],
        entropy: &mut Entropy,
    ) -> Result<Self, Error> {
        if let Some(secret) = &secret {
            check_secret(secret)?;
        }
        let phase = Phase::Choosing { secret, pake: None };
        Self::new(Side::Creator, routing_id, phase, entropy)
    }

    fn offer_share(
        &mut self,
        password: &SecretBytes,
        mode: u16,
        entropy: &mut Entropy,
    ) -> Result<(), Error> {
        let started = self.start_pake(password, mode, entropy)?;
        if let Phase::Choosing { pake, .. } = &mut self.phase {
            *pake = Some(started);
        }
        Ok(())
    }

    fn new(
        side: Side,
        routing_id: &[u8],
        phase: Phase,
        entropy: &mut Entropy,
    ) -> Result<Self, Error> {
        if !(1..=MAX_ROUTING_ID).contains(&routing_id.len()) {
            return Err(Error::misuse("a routing id is 1 to 64 bytes long"));
        }
        Ok(Self {
            side,
            routing_id: routing_id.to_vec(),
            salt: entropy.array(), // SG-SALT
            share_mode: None,
            phase,
            waiting: VecDeque::new(),
            out: VecDeque::new(),
        })
    }

    fn start_pake(
        &mut self,
        code: &SecretBytes,
        mode: u16,
        entropy: &mut Entropy,
    ) -> Result<Box<Pake>, Error> {
        if code.expose().is_empty() {
            return Err(Error::misuse("a code must not be empty"));
        }
        let (pake, share) = Pake::start(self.side, code.expose(), &self.routing_id, entropy);
        self.share_mode = Some(mode);
        self.out.push_back(blob::share(mode, &share)); // SG-SHARE-FIRST
        Ok(Box::new(pake))
    }

    /// Seals `payload`, of at most [`MAX_PAYLOAD`] bytes, into a blob to be
    /// polled. Before the key is known, and at a creator before the joiner has
    /// proven to have it, the payload waits instead (`SG-JOINER-FIRST`).
    ///
    /// A payload that is too long, or one more than [`MAX_QUEUED`], is misuse and
    /// does no harm to the session.
    pub fn seal(&mut self, payload: &[u8]) -> Result<(), Error> {
        if let Phase::Failed(error) = &self.phase {
            return Err(error.clone());
        }
        if payload.len() > MAX_PAYLOAD {
            return Err(Error::misuse("a signaling payload is too long"));
        }
        if self.waiting.len() + self.out.len() >= MAX_QUEUED {
            return Err(Error::misuse("too many signaling payloads wait"));
        }
        self.waiting.push_back(payload.to_vec());
        self.flush();
        Ok(())
    }

    /// The next blob for the peer, in order.
    pub fn poll_blob(&mut self) -> Option<Vec<u8>> {
        self.out.pop_front()
    }

    /// How the handshake is to authenticate: known at a joiner once it has the
    /// key, at a creator once the joiner has proven to have it.
    pub fn auth(&self) -> Option<&Auth> {
        match (&self.phase, self.side) {
            (Phase::Keyed(keyed), Side::Joiner) => Some(keyed.keys.auth()),
            (Phase::Keyed(keyed), Side::Creator) => keyed.send.as_ref().map(|_| keyed.keys.auth()),
            _ => None,
        }
    }

    /// Takes a blob of the peer and gives the payload, if there is one in it.
    ///
    /// Every error burns the session (`SG-BURN`). `AUTHENTICATION_FAILED` means
    /// another code or link, or somebody in between; at a side that was refused
    /// by its peer it is that peer's unauthenticated word.
    pub fn handle_blob(&mut self, blob: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        if let Phase::Failed(error) = &self.phase {
            return Err(error.clone());
        }
        let result = match blob::parse(blob) {
            Ok(Blob::Refused) => {
                let error = Error::peer(
                    ErrorCode::AuthenticationFailed,
                    "the other side refused: wrong code or link, or a code that was used",
                )
                .told();
                self.end(error.clone());
                return Err(error);
            }
            Ok(Blob::Share { mode, share }) => self.accept_share(mode, share).map(|()| None),
            Ok(Blob::Sealed(sealed)) => self.accept_sealed(&sealed).map(Some),
            Err(BlobError::Version) => Err(Error::new(
                Blame::Incompatible,
                ErrorCode::UnsupportedVersion,
                "a signaling blob of another version",
            )),
            Err(BlobError::Malformed) => {
                Err(Error::peer(ErrorCode::Malformed, "a signaling blob is malformed"))
            }
        };
        result.map_err(|error| self.burn(error))
    }

    /// SG-BURN, SG-REFUSED: no second guess, and the peer is told.
    fn burn(&mut self, error: Error) -> Error {
        let mode = match &self.phase {
            Phase::Keyed(keyed) => keyed.keys.mode(),
            Phase::ExpectShare(_) => self.share_mode.unwrap_or_default(),
            Phase::Choosing { .. } | Phase::Failed(_) => 0,
        };
        self.end(error.clone());
        self.out.push_back(blob::refused(mode));
        error
    }

    fn end(&mut self, error: Error) {
        self.phase = Phase::Failed(error);
        self.waiting.clear();
        self.out.clear();
    }

    fn accept_share(&mut self, mode: u16, share: &[u8; SHARE]) -> Result<(), Error> {
        if !matches!(mode, MODE_CODE | MODE_SAS) {
            return Err(violation("a share of a mode that has none"));
        }
        match &mut self.phase {
            Phase::Keyed(keyed) if keyed.share_may_come && mode == MODE_CODE => {
                keyed.share_may_come = false; // SG-SHARE-IGNORED
                return Ok(());
            }
            Phase::Keyed(_) | Phase::Failed(_) => return Err(violation("a share that is not due")),
            Phase::Choosing { .. } | Phase::ExpectShare(_) => {}
        }
        if self.share_mode.is_some_and(|own| own != mode) {
            return Err(unsupported(of_mode(mode)));
        }
        let key = self.take_pake(mode)?.finish(share)?;
        let keys = match mode {
            MODE_SAS => SignalKeys::from_sas(&key, &self.routing_id),
            _ => SignalKeys::from_code(&key, &self.routing_id),
        };
        self.have_keys(keys, false);
        Ok(())
    }

    fn accept_sealed(&mut self, blob: &Sealed<'_>) -> Result<Vec<u8>, Error> {
        if let Phase::Choosing { secret, .. } = &mut self.phase
            && SignalSecret::is_mode(blob.mode)
        {
            let secret = secret.take().filter(|secret| secret.mode() == blob.mode);
            let secret = secret.ok_or_else(|| unsupported(of_mode(blob.mode)))?;
            self.have_keys(SignalKeys::from_secret(&secret, &self.routing_id), false);
        }
        let (side, own_salt) = (self.side, self.salt);
        let Phase::Keyed(keyed) = &mut self.phase else {
            return Err(violation("a sealed blob came before the share"));
        };
        if blob.mode != keyed.keys.mode() {
            return Err(violation("a blob of another mode"));
        }
        let joiner_salt = match side {
            Side::Joiner => &own_salt,
            Side::Creator => blob.salt,
        };
        let receive = keyed.receive.get_or_insert_with(|| {
            Direction::new(&keyed.keys, side.peer(), *blob.salt, joiner_salt)
        });
        let payload = receive.open(blob).ok_or_else(wrong_secret)?;
        keyed.share_may_come = false;
        if side == Side::Creator && keyed.send.is_none() {
            // SG-JOINER-FIRST
            keyed.send = Some(Direction::new(&keyed.keys, side, own_salt, joiner_salt));
            self.flush();
        }
        Ok(payload)
    }

    fn take_pake(&mut self, mode: u16) -> Result<Pake, Error> {
        match std::mem::replace(&mut self.phase, nothing()) {
            Phase::ExpectShare(pake) | Phase::Choosing { pake: Some(pake), .. } => Ok(*pake),
            _ => Err(unsupported(of_mode(mode))),
        }
    }

    fn have_keys(&mut self, keys: SignalKeys, share_may_come: bool) {
        let send = match self.side {
            Side::Joiner => Some(Direction::new(&keys, self.side, self.salt, &self.salt)),
            Side::Creator => None,
        };
        self.phase = Phase::Keyed(Box::new(Keyed { keys, send, receive: None, share_may_come }));
        self.flush();
    }

    fn flush(&mut self) {
        if let Phase::Keyed(keyed) = &mut self.phase
            && let Some(send) = &mut keyed.send
        {
            let mode = keyed.keys.mode();
            self.out.extend(self.waiting.drain(..).filter_map(|payload| send.seal(mode, &payload)));
        }
    }
}

impl fmt::Debug for SignalSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let phase = match &self.phase {
            Phase::Choosing { .. } => "Choosing",
            Phase::ExpectShare(_) => "ExpectShare",
            Phase::Keyed(_) => "Keyed",
            Phase::Failed(_) => "Failed",
        };
        f.debug_struct("SignalSession")
            .field("side", &self.side)
            .field("phase", &phase)
            .finish_non_exhaustive()
    }
}

/// A session that has neither secret nor share.
fn nothing() -> Phase {
    Phase::Choosing { secret: None, pake: None }
}

fn public_password() -> SecretBytes {
    SecretBytes::new(PUBLIC_PASSWORD.to_vec())
}

fn check_secret(secret: &SignalSecret) -> Result<(), Error> {
    if secret.secret().is_zero() {
        return Err(Error::misuse("the secret of an invitation is all zeros"));
    }
    Ok(())
}

/// What a joiner of this mode has, in words.
fn of_mode(mode: u16) -> &'static str {
    match mode {
        MODE_LINK => "a link",
        MODE_CODE => "a code",
        MODE_SAS => "no secret",
        MODE_PSK => "a key of its own",
        _ => "an earlier session",
    }
}

fn wrong_secret() -> Error {
    Error::peer(
        ErrorCode::AuthenticationFailed,
        "a sealed description did not open: wrong code or link, or somebody in between",
    )
}

fn violation(text: &'static str) -> Error {
    Error::peer(ErrorCode::ProtocolViolation, text)
}

/// SG-MODE
fn unsupported(what: &'static str) -> Error {
    Error::new(
        Blame::Incompatible,
        ErrorCode::UnsupportedAuth,
        format!("the other side comes with {what}, which this side does not have"),
    )
}
