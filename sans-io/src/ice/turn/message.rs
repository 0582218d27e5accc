//! The messages of TURN (RFC 8656) that a client writes and reads: requests with
//! long-term credentials, their answers, and data on its way to and from a peer.
//! What does not live here: when any of them is sent, and what follows.

use std::net::SocketAddr;
use std::ops::Range;

use stun_types::AddressFamily;
use stun_types::attribute::{ErrorCode, Nonce, Realm, Username};
use stun_types::message::{
    IntegrityAlgorithm, IntegrityKey, LongTermKeyCredentials, Message, MessageClass, MessageType,
    MessageWrite, MessageWriteExt, MessageWriteVec, Method, StunWriteError,
};
use turn_types::attribute::{
    ChannelNumber, Data, Lifetime, RequestedAddressFamily, RequestedTransport, XorPeerAddress,
    XorRelayedAddress,
};
use turn_types::channel::ChannelData;
use turn_types::message::{ALLOCATE, CHANNEL_BIND, DATA, REFRESH, SEND};

use super::TurnServer;

/// The number of UDP among the protocols of IP.
const UDP: u8 = 17;
/// Longest realm or nonce that is taken from a server, in bytes.
const MAX_TEXT: usize = 763;

/// What a server is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ask {
    /// A relayed address of this family.
    Allocate { v4: bool },
    /// So many seconds more of it; none to release it.
    Refresh { seconds: u32 },
    /// A channel to a peer, which lets the peer in as well.
    Bind { channel: u16, peer: SocketAddr },
}

impl Ask {
    fn method(self) -> Method {
        match self {
            Ask::Allocate { .. } => ALLOCATE,
            Ask::Refresh { .. } => REFRESH,
            Ask::Bind { .. } => CHANNEL_BIND,
        }
    }
}

/// What goes with each request once the server has asked for it.
pub(super) struct Login {
    realm: Realm,
    nonce: Nonce,
    user: Username,
    key: IntegrityKey,
}

/// What a server says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// Datagrams to this address come here, for so many seconds.
    Allocated {
        relayed: SocketAddr,
        seconds: u32,
    },
    /// The allocation lasts so many seconds more.
    Refreshed {
        seconds: u32,
    },
    Bound,
    /// The request must bear credentials for this realm, with this nonce.
    Challenge {
        realm: String,
        nonce: String,
    },
    Refused {
        code: u16,
    },
}

impl Login {
    /// The answer to a challenge; none if it is not well formed.
    pub(super) fn new(server: &TurnServer, realm: &str, nonce: &str) -> Option<Self> {
        if realm.len() > MAX_TEXT || nonce.len() > MAX_TEXT {
            return None;
        }
        let (user, password) = (server.user.clone(), server.password.to_string());
        let credentials = LongTermKeyCredentials::new(user, password, realm.to_owned());
        Some(Self {
            realm: Realm::new(realm).ok()?,
            nonce: Nonce::new(nonce).ok()?,
            user: Username::new(&server.user).ok()?,
            key: credentials.make_key(IntegrityAlgorithm::Sha1),
        })
    }
}

/// A request with this transaction id, of which 96 bits count; none if it cannot
/// be written.
pub(super) fn request(id: u128, ask: Ask, login: Option<&Login>) -> Option<Vec<u8>> {
    write_request(id, ask, login).ok()
}

fn write_request(id: u128, ask: Ask, login: Option<&Login>) -> Result<Vec<u8>, StunWriteError> {
    let kind = MessageType::from_class_method(MessageClass::Request, ask.method());
    let mut message = Message::builder(kind, id.into(), MessageWriteVec::new());
    match ask {
        Ask::Allocate { v4 } => {
            message.add_attribute(&RequestedTransport::new(UDP))?;
            if !v4 {
                message.add_attribute(&RequestedAddressFamily::new(AddressFamily::IPV6))?;
            }
        }
        Ask::Refresh { seconds } => message.add_attribute(&Lifetime::new(seconds))?,
        Ask::Bind { channel, peer } => {
            message.add_attribute(&ChannelNumber::new(channel))?;
            message.add_attribute(&XorPeerAddress::new(peer, id.into()))?;
        }
    }
    if let Some(login) = login {
        message.add_attribute(&login.user)?;
        message.add_attribute(&login.realm)?;
        message.add_attribute(&login.nonce)?;
        message.add_message_integrity_with_key(&login.key, IntegrityAlgorithm::Sha1)?;
    }
    message.add_fingerprint()?;
    Ok(message.finish())
}

/// What these bytes say if they answer request `id`, which was for `ask` and bore
/// `login`.
pub(super) fn answer(contents: &[u8], id: u128, ask: Ask, login: Option<&Login>) -> Option<Answer> {
    let message = Message::from_bytes(contents).ok()?;
    if message.transaction_id() != id.into() || !message.has_method(ask.method()) {
        return None;
    }
    match message.class() {
        MessageClass::Success => {
            // TB-TURN-ANSWER
            message.validate_integrity_with_key(&login?.key).ok()?;
            let seconds = || message.attribute::<Lifetime>().ok().map(|it| it.seconds());
            Some(match ask {
                Ask::Allocate { .. } => {
                    let relayed = message.attribute::<XorRelayedAddress>().ok()?;
                    let relayed = relayed.addr(message.transaction_id());
                    Answer::Allocated { relayed, seconds: seconds()? }
                }
                Ask::Refresh { .. } => Answer::Refreshed { seconds: seconds()? },
                Ask::Bind { .. } => Answer::Bound,
            })
        }
        MessageClass::Error => {
            let code = message.attribute::<ErrorCode>().ok()?.code();
            let realm = message.attribute::<Realm>().ok();
            let nonce = message.attribute::<Nonce>().ok();
            Some(match (code, realm, nonce) {
                (ErrorCode::UNAUTHORIZED | ErrorCode::STALE_NONCE, Some(realm), Some(nonce)) => {
                    let (realm, nonce) = (realm.realm().to_owned(), nonce.nonce().to_owned());
                    Answer::Challenge { realm, nonce }
                }
                _ => Answer::Refused { code },
            })
        }
        _ => None,
    }
}

/// A Send indication: `data` for `peer`.
pub(super) fn send(id: u128, peer: SocketAddr, data: &[u8]) -> Option<Vec<u8>> {
    if data.len() > usize::from(u16::MAX) {
        return None;
    }
    let kind = MessageType::from_class_method(MessageClass::Indication, SEND);
    let mut message = Message::builder(kind, id.into(), MessageWriteVec::new());
    message.add_attribute(&XorPeerAddress::new(peer, id.into())).ok()?;
    message.add_attribute(&Data::new(data)).ok()?;
    Some(message.finish())
}

/// The same on a channel that is bound to the peer.
pub(super) fn send_on(channel: u16, data: &[u8]) -> Option<Vec<u8>> {
    let mut contents = Vec::with_capacity(4 + data.len());
    contents.extend(channel.to_be_bytes());
    contents.extend(u16::try_from(data.len()).ok()?.to_be_bytes());
    contents.extend(data);
    Some(contents)
}

/// Where data came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum From {
    Peer(SocketAddr),
    Channel(u16),
}

/// What these bytes bring from a peer, and where in them it is.
pub(super) fn data(contents: &[u8]) -> Option<(From, Range<usize>)> {
    match contents.first()? {
        0..=3 => {
            let message = Message::from_bytes(contents).ok()?;
            let of = MessageType::from_class_method(MessageClass::Indication, DATA);
            if message.get_type() != of {
                return None;
            }
            let peer = message.attribute::<XorPeerAddress>().ok()?;
            let (offset, data) = message.attribute_and_offset::<Data<'_>>().ok()?;
            let begin = offset.checked_add(4)?;
            let peer = peer.addr(message.transaction_id());
            Some((From::Peer(peer), begin..begin.checked_add(data.data().len())?))
        }
        0x40..=0x4f => {
            let (channel, len) = ChannelData::parse_header(contents).ok()?;
            let end = len.checked_add(4).filter(|end| *end <= contents.len())?;
            Some((From::Channel(channel), 4..end))
        }
        _ => None,
    }
}
