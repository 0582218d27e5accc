//! Each decoder under one rule: it refuses bytes through the peer's fault, or it
//! accepts them and they are the only encoding of what came out. Each function
//! returns whether it accepted. Where the bytes come from does not live here.

use bincode::config::standard;
use passel_proto::codec::{self, CodecError};
use passel_proto::crypto::{Entropy, Secret32, SecretBytes};
use passel_proto::error::Blame;
use passel_proto::escape;
use passel_proto::frame::{Frame, FrameReader, FrameType, FrameWriter};
use passel_proto::handshake::{
    Auth, HandshakeConfig, TransportBinding, initiator, parse_alert, responder,
};
use passel_proto::ids::{Channel, Role};
use passel_proto::limits::{
    MAX_EXTENSION_BODY, MAX_EXTENSIONS_COUNT, MAX_HELLO, MAX_PATH, MAX_REASON_TEXT, RECORD_HEADER,
};
use passel_proto::manifest::{Entry, ManifestBuilder};
use passel_proto::path::SafePath;
use passel_proto::record::{Opener, RecordKeys, Sealer};
use passel_proto::signal::SignalSession;
use passel_proto::suite::Suite;

/// A record's plaintext as it came over `channel` (`WF-FRAME`).
pub fn frames(channel: Channel, bytes: &[u8]) -> bool {
    let mut reader = FrameReader::new(bytes, channel);
    let mut again = Vec::new();
    loop {
        match reader.next() {
            Ok(Some(frame)) => {
                assert!(frame.frame_type().channels().contains(&channel));
                FrameWriter::new(&mut again, 0).frame(&frame).expect("a frame encodes");
                if matches!(frame, Frame::Data(_)) {
                    again.extend_from_slice(reader.payload());
                }
            }
            Ok(None) => break,
            Err(error) => {
                assert_eq!(error.blame, Blame::Peer);
                return false;
            }
        }
    }
    assert_eq!(again, without_unknown(bytes), "accepted what is not canonical (WF-CANONICAL)");
    true
}

/// Leaves out the frames that a reader passes over (`WF-FRAME-UNKNOWN`).
fn without_unknown(mut bytes: &[u8]) -> Vec<u8> {
    let mut known = Vec::new();
    while !bytes.is_empty() {
        let (id, first) = codec::decode_prefix::<u16>(bytes).expect("an accepted id");
        let (length, second) = codec::decode_prefix::<u32>(&bytes[first..]).expect("a length");
        let (frame, rest) = bytes.split_at(first + second + length as usize);
        match FrameType::from_id(id) {
            Some(FrameType::Data) => {
                known.extend_from_slice(bytes);
                break;
            }
            Some(_) => known.extend_from_slice(frame),
            None => assert_eq!(id % 2, 1, "an unknown critical frame was passed over"),
        }
        bytes = rest;
    }
    known
}

/// Puts a body, valid or not, into a frame with a true length.
pub fn framed(kind: FrameType, body: &[u8], out: &mut Vec<u8>) {
    out.clear();
    codec::encode_into(&kind.id(), out).expect("a number encodes");
    codec::encode_into(&u32::try_from(body.len()).unwrap_or(u32::MAX), out).expect("a length");
    out.extend_from_slice(body);
}

/// A page of a manifest, taken for the whole of one (`MF-PAGE-EXACT`).
pub fn manifest(count: u32, bytes: &[u8]) -> bool {
    let mut builder = ManifestBuilder::new();
    let accepted = builder.push_page(bytes, count).is_ok();
    assert!(builder.len() <= count && builder.len() as usize <= bytes.len());
    if !accepted {
        return false;
    }
    let Ok(manifest) = builder.finish() else { return false };
    assert_eq!(manifest.len(), count);
    let mut again = Vec::new();
    for (_, entry) in manifest.iter() {
        assert!(path(entry.path.as_str()));
        codec::encode_into(&entry, &mut again).expect("an entry encodes");
    }
    assert_eq!(again, bytes);
    true
}

/// One entry (`MF-ENTRY-LAYOUT`).
pub fn entry(bytes: &[u8]) -> bool {
    canonical::<Entry>(bytes)
}

/// A name, and what is made of it for showing (`MF-PATH-PARSE`).
pub fn path(text: &str) -> bool {
    assert!(escape::for_terminal(text).len() <= text.len() * 6);
    assert!(escape::reason(text).len() <= MAX_REASON_TEXT);
    assert!(!escape::for_html(text).contains(['<', '>', '"', '\'', '\u{1b}', '\u{202e}']));
    let Ok(path) = SafePath::parse(text) else { return false };
    assert_eq!(path.as_str(), text);
    assert!(text.len() <= MAX_PATH && path.components().all(|part| !part.is_empty()));
    assert!(!text.contains(['\\', ':', '\0', '\u{1b}', '\u{202e}', '\u{200b}', '\u{feff}']));
    assert!(!path.components().any(|part| part.ends_with(['.', ' ']) || part == "con"));
    let system = std::path::Path::new(text);
    assert!(system.components().all(|part| matches!(part, std::path::Component::Normal(_))));
    assert!(path.collision_key().len() <= MAX_PATH * 4);
    true
}

fn canonical<T: bincode::Encode + bincode::Decode<()>>(bytes: &[u8]) -> bool {
    match codec::decode::<T>(bytes) {
        Ok(value) => {
            assert_eq!(codec::encode(&value).expect("a decoded value encodes"), bytes);
            true
        }
        Err(error) => {
            assert_ne!(error.to_string(), "");
            // What was refused only for what follows it is right without that.
            if error == CodecError::Trailing {
                let (_, used) = codec::decode_prefix::<T>(bytes).expect("a value in front");
                assert!(used < bytes.len());
            }
            false
        }
    }
}

/// The codec's own types, chosen by `kind`.
pub fn primitive(kind: usize, bytes: &[u8]) -> bool {
    match kind % 14 {
        0 => canonical::<u8>(bytes),
        1 => canonical::<u16>(bytes),
        2 => canonical::<u32>(bytes),
        3 => canonical::<u64>(bytes),
        4 => canonical::<i64>(bytes),
        5 => canonical::<bool>(bytes),
        6 => canonical::<String>(bytes),
        7 => canonical::<Vec<u8>>(bytes),
        8 => canonical::<Vec<u64>>(bytes),
        9 => canonical::<Vec<Vec<u8>>>(bytes),
        10 => canonical::<Option<u64>>(bytes),
        11 => canonical::<[u8; 32]>(bytes),
        12 => canonical::<(u32, Option<String>, bool)>(bytes),
        _ => canonical::<Vec<(u16, Option<Vec<u32>>)>>(bytes),
    }
}

pub fn binding() -> TransportBinding {
    TransportBinding { initiator: vec![1; 32], responder: vec![2; 32] }
}

pub fn auth() -> Auth {
    Auth::Psk(Secret32::new([7; 32]))
}

pub fn handshake_config() -> HandshakeConfig {
    HandshakeConfig::new(auth(), binding())
}

#[derive(bincode::Encode, bincode::Decode)]
struct HelloI {
    versions: Vec<u16>,
    suites: Vec<u16>,
    auth: u16,
    session_id: [u8; 16],
    random: [u8; 32],
    key: [u8; 1216],
    extensions: Vec<(u16, Vec<u8>)>,
}

/// A message to a responder that waits for HELLO_I. What it accepts is decoded
/// here once more, without the crate's codec.
pub fn hello_i(message: &[u8]) -> bool {
    let state = responder::ExpectHello::new(handshake_config()).expect("a configuration");
    let Ok((_, answer)) = state.handle(message, &mut Entropy::from_seed([3; 32])) else {
        return false;
    };
    assert!(message.len() <= MAX_HELLO && answer.len() <= MAX_HELLO);
    let (hello, used): (HelloI, usize) =
        bincode::decode_from_slice(&message[2..], standard()).expect("accepted, so well-formed");
    assert_eq!(used + 2, message.len());
    assert_eq!(bincode::encode_to_vec(&hello, standard()).expect("encodes"), message[2..]);
    assert!(hello.extensions.len() <= MAX_EXTENSIONS_COUNT);
    assert!(hello.extensions.iter().all(|(_, body)| body.len() <= MAX_EXTENSION_BODY));
    true
}

/// A message to an initiator that waits for HELLO_R. Only the one true answer,
/// byte for byte, can be accepted (`HS-TRANSCRIPT`).
pub fn hello_r(spoil: &mut dyn FnMut(&mut Vec<u8>)) -> bool {
    let (state, hello) =
        initiator::start(handshake_config(), &mut Entropy::from_seed([1; 32])).expect("starts");
    let waiting = responder::ExpectHello::new(handshake_config()).expect("a configuration");
    let (_, answer) = waiting.handle(&hello, &mut Entropy::from_seed([2; 32])).expect("honest");
    let mut message = answer.clone();
    spoil(&mut message);
    let accepted = state.handle(&message).is_ok();
    assert_eq!(accepted, message == answer);
    accepted
}

/// A message to a responder that waits for CONFIRM.
pub fn confirm(spoil: &mut dyn FnMut(&mut Vec<u8>)) -> bool {
    let (state, hello) =
        initiator::start(handshake_config(), &mut Entropy::from_seed([1; 32])).expect("starts");
    let waiting = responder::ExpectHello::new(handshake_config()).expect("a configuration");
    let (waiting, answer) =
        waiting.handle(&hello, &mut Entropy::from_seed([2; 32])).expect("honest");
    let (_, confirm) = state.handle(&answer).expect("honest");
    let mut message = confirm.clone();
    spoil(&mut message);
    let accepted = waiting.handle(&message).is_ok();
    assert_eq!(accepted, message == confirm);
    accepted
}

/// A message taken for an ALERT, in whatever state (`HS-ALERT`).
pub fn alert(message: &[u8]) -> bool {
    let Some(error) = parse_alert(message) else { return false };
    assert!(error.text.len() <= MAX_REASON_TEXT + 200, "{}", error.text.len());
    assert_eq!(escape::for_terminal(&error.text), error.text, "a peer's text is escaped");
    true
}

/// A channel with records that were truly sealed, under attack by others.
pub struct Sealed {
    opener: Opener,
    /// Records not opened yet, in order.
    genuine: Vec<Vec<u8>>,
    ordered: bool,
}

impl Sealed {
    pub fn new(channel: Channel, plaintexts: &[Vec<u8>]) -> Self {
        let keys = || {
            RecordKeys::derive(
                Suite::default(),
                &Secret32::new([9; 32]),
                0,
                Role::Initiator,
                0,
                channel,
            )
        };
        let mut sealer = Sealer::new(keys());
        let genuine = plaintexts.iter().map(|plaintext| {
            let mut record = vec![0; RECORD_HEADER];
            record.extend_from_slice(plaintext);
            sealer.seal(&mut record).expect("seals");
            record
        });
        let genuine = genuine.collect();
        Self { opener: Opener::new(keys()), genuine, ordered: channel.is_ordered() }
    }

    pub fn genuine(&self) -> &[Vec<u8>] {
        &self.genuine
    }

    /// A record, which opens if it is genuine, due, and new (`RL-AUTHENTIC`).
    pub fn open(&mut self, record: &mut [u8]) -> bool {
        let place = self.genuine.iter().position(|genuine| genuine == record);
        let due = place.is_some_and(|place| !self.ordered || place == 0);
        let opened = self.opener.open(record).is_ok();
        assert_eq!(opened, due);
        if let Some(place) = place.filter(|_| opened) {
            self.genuine.remove(place);
        }
        opened
    }
}

/// An invitation by link that gets `blob` first, where `genuine` is the honest
/// joiner's. One guess: whatever else comes burns it (`SG-BURN`).
pub fn signal(blob: &[u8], genuine: &[u8]) -> bool {
    let secret = Some(Secret32::new([5; 32]));
    let mut session =
        SignalSession::creator(secret, None, ROUTING_ID, &mut Entropy::from_seed([6; 32]))
            .expect("an invitation");
    let first = session.handle_blob(blob);
    assert_eq!(first.is_ok(), blob == genuine);
    if let Err(error) = &first {
        assert!(matches!(error.blame, Blame::Peer | Blame::Incompatible), "{error:?}");
        assert_eq!(session.handle_blob(genuine).as_ref(), Err(error), "a second guess");
        assert!(session.auth().is_none());
    }
    let told = std::iter::from_fn(|| session.poll_blob()).count();
    assert!(told <= 1);
    first.is_ok()
}

/// A joiner's share for an invitation by code. Unauthenticated, so that only its
/// form can be refused here; nothing is opened by it.
pub fn signal_share(blob: &[u8]) -> bool {
    let code = SecretBytes::new(b"7-seven-words".to_vec());
    let mut session =
        SignalSession::creator(None, Some(&code), ROUTING_ID, &mut Entropy::from_seed([6; 32]))
            .expect("an invitation");
    let outcome = session.handle_blob(blob);
    assert!(session.auth().is_none(), "a share proves nothing (SG-JOINER-FIRST)");
    assert!(!matches!(outcome, Ok(Some(_))));
    outcome.is_ok()
}

const ROUTING_ID: &[u8] = b"route";

/// The honest joiner's first blob: by link, and by code.
pub fn signal_samples() -> [Vec<u8>; 2] {
    let mut entropy = Entropy::from_seed([8; 32]);
    let secret = Secret32::new([5; 32]);
    let mut by_link =
        SignalSession::joiner_link(&secret, ROUTING_ID, &mut entropy).expect("a joiner");
    by_link.seal(b"a description").expect("seals");
    let code = SecretBytes::new(b"7-seven-words".to_vec());
    let mut by_code =
        SignalSession::joiner_code(&code, ROUTING_ID, &mut entropy).expect("a joiner");
    [by_link.poll_blob().expect("a blob"), by_code.poll_blob().expect("a share")]
}
