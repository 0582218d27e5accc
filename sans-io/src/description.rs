//! What two lanes tell each other before they can connect, and its encoding
//! (`TB-SIGNAL-LAYOUT`). Every field is checked when it is decoded, so that
//! a value of these types that came from outside is fit for use. What does not
//! live here: the sealing of these bytes, and who carries them.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use bincode::{Decode, Encode};
use passel_proto::codec;
use passel_proto::error::{Blame, Error, ErrorCode};
use passel_proto::limits::{MAX_CANDIDATES_COUNT, MAX_REASON_TEXT, MAX_RECORD, MAX_SIGNAL_BLOB};

/// Longest SCTP INIT chunk in a description, in bytes.
pub const MAX_SCTP_INIT: usize = 1_024;
/// Shortest ICE user name fragment, in characters (`TB-ICE-CREDENTIALS`).
pub const MIN_UFRAG: usize = 8;
/// Shortest ICE password, in characters (`TB-ICE-CREDENTIALS`).
pub const MIN_PWD: usize = 24;
/// Longest ICE user name fragment or password, in characters (RFC 8839).
pub const MAX_ICE_CREDENTIAL: usize = 256;
/// Highest priority of a candidate (RFC 8445, 5.1.2).
pub const MAX_PRIORITY: u32 = 0x7fff_ffff;

/// How a candidate's address was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub enum CandidateKind {
    /// An address of the peer's own interface.
    Host,
    /// What a STUN server saw.
    ServerReflexive,
    /// An address at a TURN server.
    Relayed,
}

/// One address at which a peer may be reached over UDP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct Candidate {
    /// How it was found.
    pub kind: CandidateKind,
    /// Its priority by RFC 8445, 5.1.2: 1 to [`MAX_PRIORITY`].
    pub priority: u32,
    /// The address. Scope and flow of IPv6 are not carried.
    pub address: SocketAddr,
}

/// What a peer must know of a lane before it can connect to it.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
pub struct Description {
    /// ICE user name fragment.
    pub ufrag: String,
    /// ICE password.
    pub pwd: String,
    /// SHA-256 of the certificate that DTLS will show.
    pub fingerprint: [u8; 32],
    /// The SCTP INIT chunk, if the handshake of SCTP may be skipped.
    pub sctp_init: Option<Vec<u8>>,
    /// Longest message that can be received, in bytes; at least [`MAX_RECORD`].
    pub max_message_size: u32,
    /// Addresses known so far.
    pub candidates: Vec<Candidate>,
}

impl fmt::Debug for Description {
    /// Leaves out the password, which is a secret until the lane is up.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Description")
            .field("ufrag", &self.ufrag)
            .field("sctp_init", &self.sctp_init.is_some())
            .field("max_message_size", &self.max_message_size)
            .field("candidates", &self.candidates)
            .finish_non_exhaustive()
    }
}

/// A message of the signaling, before it is sealed.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum SignalMessage {
    /// The lane's description; exactly one from each side.
    Description(Description),
    /// Addresses found later.
    Candidates(Vec<Candidate>),
    /// No more addresses will come.
    EndOfCandidates,
    /// The sender gives the lane up.
    Abort {
        /// A code of the registry's `error` table.
        code: u16,
        /// Why, for people; at most [`MAX_REASON_TEXT`] bytes.
        text: String,
    },
}

/// Whether a candidate's address may be sent to at all (`TB-CAND-ADDRESS`).
pub fn is_usable_address(address: &SocketAddr) -> bool {
    if address.port() == 0 {
        return false;
    }
    match address.ip() {
        IpAddr::V4(ip) => {
            !(ip.is_unspecified() || ip.is_multicast() || ip.is_broadcast() || ip.is_link_local())
                && ip.octets()[0] != 0
        }
        IpAddr::V6(ip) => {
            !(ip.is_unspecified()
                || ip.is_multicast()
                || ip.is_unicast_link_local()
                || ip.to_ipv4_mapped().is_some())
        }
    }
}

fn malformed(text: &'static str) -> Error {
    Error::peer(ErrorCode::Malformed, text)
}

fn too_long(text: &'static str) -> Error {
    Error::peer(ErrorCode::LimitExceeded, text)
}

/// Checks the length and the `ice-char` alphabet of RFC 8839, 5.4.
fn is_ice_credential(text: &str, shortest: usize) -> bool {
    (shortest..=MAX_ICE_CREDENTIAL).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'+' || b == b'/')
}

impl Candidate {
    /// Checks address and priority (`TB-CAND-ADDRESS`, `TB-CAND-PRIORITY`).
    pub fn check(&self) -> Result<(), Error> {
        if !is_usable_address(&self.address) {
            return Err(malformed("a candidate's address can't be sent to"));
        }
        if !(1..=MAX_PRIORITY).contains(&self.priority) {
            return Err(malformed("a candidate's priority is out of range"));
        }
        Ok(())
    }
}

fn check_candidates(candidates: &[Candidate]) -> Result<(), Error> {
    // TB-CAND-COUNT
    if candidates.len() > MAX_CANDIDATES_COUNT {
        return Err(too_long("too many candidates"));
    }
    candidates.iter().try_for_each(Candidate::check)
}

impl Description {
    /// Checks every field (`TB-DESC-CHECK`).
    pub fn check(&self) -> Result<(), Error> {
        // TB-ICE-CREDENTIALS
        if !is_ice_credential(&self.ufrag, MIN_UFRAG) || !is_ice_credential(&self.pwd, MIN_PWD) {
            return Err(malformed("the ICE credentials are not well formed"));
        }
        match &self.sctp_init {
            // TB-SNAP-BOUND
            Some(init) if init.is_empty() => return Err(malformed("an empty SCTP INIT chunk")),
            Some(init) if init.len() > MAX_SCTP_INIT => {
                return Err(too_long("the SCTP INIT chunk is too long"));
            }
            _ => {}
        }
        // TB-MESSAGE-SIZE
        if (self.max_message_size as usize) < MAX_RECORD {
            return Err(Error::new(
                Blame::Incompatible,
                ErrorCode::TransportFailed,
                "the peer can't receive messages as long as a record",
            ));
        }
        check_candidates(&self.candidates)
    }
}

impl SignalMessage {
    /// The encoding. Fails only for a value that [`Self::decode`] would refuse,
    /// which is the caller's mistake.
    pub fn encode(&self) -> Result<Vec<u8>, Error> {
        self.check().map_err(|error| Error::misuse(error.text))?;
        codec::encode(self).map_err(|_| Error::misuse("the message does not encode"))
    }

    /// Reads one message that takes up the whole of `input`.
    pub fn decode(input: &[u8]) -> Result<Self, Error> {
        // TB-SIGNAL-BOUND
        if input.len() > MAX_SIGNAL_BLOB {
            return Err(too_long("the signaling message is too long"));
        }
        let message: Self = codec::decode(input).map_err(|error| {
            Error::peer(ErrorCode::Malformed, format!("a signaling message: {error}"))
        })?;
        message.check()?;
        Ok(message)
    }

    fn check(&self) -> Result<(), Error> {
        match self {
            SignalMessage::Description(description) => description.check(),
            SignalMessage::Candidates(candidates) => check_candidates(candidates),
            SignalMessage::Abort { text, .. } if text.len() > MAX_REASON_TEXT => {
                Err(too_long("the reason is too long"))
            }
            SignalMessage::EndOfCandidates | SignalMessage::Abort { .. } => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(address: &str) -> Candidate {
        Candidate {
            kind: CandidateKind::Host,
            priority: 2_130_706_431,
            address: address.parse().unwrap(),
        }
    }

    fn description() -> Description {
        Description {
            ufrag: "abcd+/12".into(),
            pwd: "0123456789abcdefghijklmn".into(),
            fingerprint: [7; 32],
            sctp_init: Some(vec![1, 2, 3]),
            max_message_size: 65_536,
            candidates: vec![candidate("192.0.2.1:9"), candidate("[2001:db8::1]:65535")],
        }
    }

    fn refused(change: impl FnOnce(&mut Description)) -> ErrorCode {
        let mut changed = description();
        change(&mut changed);
        let bytes = codec::encode(&SignalMessage::Description(changed)).unwrap();
        SignalMessage::decode(&bytes).unwrap_err().code
    }

    // TB-SIGNAL-LAYOUT
    #[test]
    fn the_layout_is_that_of_the_spec() {
        let mut expected = vec![0];
        expected.extend([8]);
        expected.extend(b"abcd+/12");
        expected.extend([24]);
        expected.extend(b"0123456789abcdefghijklmn");
        expected.extend([7; 32]);
        expected.extend([1, 3, 1, 2, 3]);
        expected.extend([252, 0, 0, 1, 0]);
        expected.extend([2]);
        expected.extend([0, 252, 0xff, 0xff, 0xff, 0x7e, 0, 192, 0, 2, 1, 9]);
        expected.extend([0, 252, 0xff, 0xff, 0xff, 0x7e, 1]);
        expected.extend([0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 251, 0xff, 0xff]);
        let message = SignalMessage::Description(description());
        assert_eq!(message.encode().unwrap(), expected);
        assert_eq!(SignalMessage::decode(&expected).unwrap(), message);
    }

    #[test]
    fn every_message_comes_back_as_it_was_sent() {
        for message in [
            SignalMessage::Candidates(vec![candidate("198.51.100.7:4000")]),
            SignalMessage::Candidates(Vec::new()),
            SignalMessage::EndOfCandidates,
            SignalMessage::Abort { code: 0x0e, text: "no path".into() },
        ] {
            assert_eq!(SignalMessage::decode(&message.encode().unwrap()).unwrap(), message);
        }
    }

    // TB-ICE-CREDENTIALS
    #[test]
    fn bad_ice_credentials_are_refused() {
        assert_eq!(refused(|d| d.ufrag = "abcdefg".into()), ErrorCode::Malformed);
        assert_eq!(refused(|d| d.ufrag = "abcdefg:".into()), ErrorCode::Malformed);
        assert_eq!(refused(|d| d.pwd = "0123456789abcdefghijklm".into()), ErrorCode::Malformed);
        assert_eq!(refused(|d| d.pwd = "x".repeat(257)), ErrorCode::Malformed);
        assert_eq!(refused(|d| d.pwd = "ä".repeat(24)), ErrorCode::Malformed);
    }

    // TB-CAND-ADDRESS, TB-CAND-PRIORITY, TB-CAND-COUNT
    #[test]
    fn bad_candidates_are_refused() {
        for address in [
            "192.0.2.1:0",
            "0.0.0.0:1",
            "0.1.2.3:1",
            "224.0.0.1:1",
            "255.255.255.255:1",
            "169.254.1.1:1",
            "[::]:1",
            "[ff02::1]:1",
            "[fe80::1]:1",
            "[::ffff:192.0.2.1]:1",
        ] {
            assert_eq!(
                refused(|d| d.candidates = vec![candidate(address)]),
                ErrorCode::Malformed,
                "{address}"
            );
        }
        assert_eq!(refused(|d| d.candidates[0].priority = 0), ErrorCode::Malformed);
        assert_eq!(refused(|d| d.candidates[0].priority = 1 << 31), ErrorCode::Malformed);
        let many = vec![candidate("192.0.2.1:9"); MAX_CANDIDATES_COUNT + 1];
        assert_eq!(refused(|d| d.candidates = many), ErrorCode::LimitExceeded);
    }

    // TB-MESSAGE-SIZE
    #[test]
    fn a_peer_that_cannot_take_a_record_is_incompatible() {
        assert_eq!(refused(|d| d.max_message_size = 65_535), ErrorCode::TransportFailed);
    }

    // TB-SNAP-BOUND
    #[test]
    fn an_init_chunk_out_of_bounds_is_refused() {
        assert_eq!(refused(|d| d.sctp_init = Some(vec![0; 1_025])), ErrorCode::LimitExceeded);
        assert_eq!(refused(|d| d.sctp_init = Some(Vec::new())), ErrorCode::Malformed);
    }

    // TB-SIGNAL-BOUND
    #[test]
    fn unknown_trailing_and_oversized_messages_are_refused() {
        let code = |bytes: &[u8]| SignalMessage::decode(bytes).unwrap_err().code;
        assert_eq!(code(&[4]), ErrorCode::Malformed);
        assert_eq!(code(&[2, 0]), ErrorCode::Malformed);
        assert_eq!(code(&[]), ErrorCode::Malformed);
        assert_eq!(code(&vec![2; MAX_SIGNAL_BLOB + 1]), ErrorCode::LimitExceeded);
        let long = SignalMessage::Abort { code: 1, text: "x".repeat(MAX_REASON_TEXT + 1) };
        assert_eq!(code(&codec::encode(&long).unwrap()), ErrorCode::LimitExceeded);
    }

    #[test]
    fn the_password_is_not_shown() {
        assert!(!format!("{:?}", description()).contains("0123456789abcdefghijklmn"));
    }
}
