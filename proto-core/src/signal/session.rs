//! One side of a signaling session: which mode it is, what is sealed, what is
//! opened, and the one guess that a code allows (`SG-STATES`).

use std::collections::VecDeque;
use std::fmt;

use super::blob::{self, Blob, BlobError, MAX_PAYLOAD, SALT, Sealed};
use super::keys::{Direction, MODE_CODE, MODE_LINK, SignalKeys};
use crate::crypto::pake::{Pake, SHARE, Side};
use crate::crypto::{Entropy, Secret32, SecretBytes};
use crate::error::{Blame, Error, ErrorCode};
use crate::handshake::Auth;

/// Most payloads that wait for a key, and most blobs that wait to be polled.
pub const MAX_QUEUED: usize = 64;
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
    phase: Phase,
    waiting: VecDeque<Vec<u8>>,
    out: VecDeque<Vec<u8>>,
}

enum Phase {
    /// A creator before the joiner's first blob, which says which mode it is.
    Choosing { link: Option<Secret32>, code: Option<Box<Pake>> },
    /// A joiner with a code before the creator's share.
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
        if let Some(secret) = &link {
            check_secret(secret)?;
        }
        let phase = Phase::Choosing { link, code: None };
        let mut session = Self::new(Side::Creator, routing_id, phase, entropy)?;
        if let Some(code) = code {
            let pake = session.start_pake(code, entropy)?;
            if let Phase::Choosing { code, .. } = &mut session.phase {
                *code = Some(pake);
            }
        }
        Ok(session)
    }

    /// The side that has the link. Fails for misuse only.
    pub fn joiner_link(
        secret: &Secret32,
        routing_id: &[u8],
        entropy: &mut Entropy,
    ) -> Result<Self, Error> {
        check_secret(secret)?;
        let phase = Phase::Choosing { link: None, code: None };
        let mut session = Self::new(Side::Joiner, routing_id, phase, entropy)?;
        session.have_keys(SignalKeys::from_link(secret, routing_id), true);
        Ok(session)
    }

    /// The side that typed in the code. Its share is there to be polled at once.
    /// Fails for misuse only.
    pub fn joiner_code(
        code: &SecretBytes,
        routing_id: &[u8],
        entropy: &mut Entropy,
    ) -> Result<Self, Error> {
        let phase = Phase::Choosing { link: None, code: None };
        let mut session = Self::new(Side::Joiner, routing_id, phase, entropy)?;
        session.phase = Phase::ExpectShare(session.start_pake(code, entropy)?);
        Ok(session)
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
            phase,
            waiting: VecDeque::new(),
            out: VecDeque::new(),
        })
    }

    fn start_pake(
        &mut self,
        code: &SecretBytes,
        entropy: &mut Entropy,
    ) -> Result<Box<Pake>, Error> {
        if code.expose().is_empty() {
            return Err(Error::misuse("a code must not be empty"));
        }
        let (pake, share) = Pake::start(self.side, code.expose(), &self.routing_id, entropy);
        self.out.push_back(blob::share(MODE_CODE, &share)); // SG-SHARE-FIRST
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
            Phase::ExpectShare(_) => MODE_CODE,
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
        if mode != MODE_CODE {
            return Err(violation("a share of a mode that has none"));
        }
        match &mut self.phase {
            Phase::Keyed(keyed) if keyed.share_may_come => {
                keyed.share_may_come = false; // SG-SHARE-IGNORED
                return Ok(());
            }
            Phase::Keyed(_) | Phase::Failed(_) => return Err(violation("a share that is not due")),
            Phase::Choosing { .. } | Phase::ExpectShare(_) => {}
        }
        let key = self.take_pake()?.finish(share)?;
        self.have_keys(SignalKeys::from_code(&key, &self.routing_id), false);
        Ok(())
    }

    fn accept_sealed(&mut self, blob: &Sealed<'_>) -> Result<Vec<u8>, Error> {
        if let Phase::Choosing { link, .. } = &mut self.phase
            && blob.mode == MODE_LINK
        {
            let secret = link.take().ok_or_else(|| unsupported("a link"))?;
            self.have_keys(SignalKeys::from_link(&secret, &self.routing_id), false);
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

    fn take_pake(&mut self) -> Result<Pake, Error> {
        let taken = Phase::Choosing { link: None, code: None };
        match std::mem::replace(&mut self.phase, taken) {
            Phase::ExpectShare(pake) | Phase::Choosing { code: Some(pake), .. } => Ok(*pake),
            _ => Err(unsupported("a code")),
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

fn check_secret(secret: &Secret32) -> Result<(), Error> {
    if secret.is_zero() {
        return Err(Error::misuse("the link's secret is all zeros"));
    }
    Ok(())
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
        format!("the joiner comes with {what}, which this invitation does not have"),
    )
}
