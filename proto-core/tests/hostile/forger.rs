//! A peer that holds the session's keys and keeps to nothing else: it makes the
//! handshake through the public API, seals whatever it likes, and opens what it
//! is told. What it chooses to send lives in `moves`.

use std::collections::BTreeMap;

use hmac::{Hmac, KeyInit, Mac};
use passel_proto::codec;
use passel_proto::crypto::Entropy;
use passel_proto::frame::{Frame, FrameReader, FrameWriter, Receipt};
use passel_proto::handshake::{Session, initiator, responder};
use passel_proto::ids::{Channel, Role};
use passel_proto::limits::RECORD_HEADER;
use passel_proto::record::{Opener, RecordKeys, Sealer};
use passel_proto::suite::Suite;
use sha2::Sha256;

use super::choices::Choices;
use super::decoders::handshake_config;
use super::victim::Victim;

pub struct Forger {
    role: Role,
    session: Session,
    sealers: BTreeMap<Channel, Sealer>,
    openers: BTreeMap<Channel, Opener>,
    /// Whether the victim has sent CLOSE.
    pub told_close: bool,
}

impl Forger {
    /// Makes the handshake with the victim.
    pub fn meet(victim: &mut Victim, choices: &mut Choices<'_>) -> Self {
        let role = victim.connection.role().peer();
        let mut entropy = Entropy::from_seed(choices.array());
        let session = match role {
            Role::Initiator => {
                let (state, mut hello) =
                    initiator::start(handshake_config(), &mut entropy).expect("starts");
                victim.hear(Channel::Control, &mut hello);
                let (_, answer) = victim.sent.pop().expect("an answer");
                let (session, mut confirm) = state.handle(&answer).expect("an honest answer");
                victim.hear(Channel::Control, &mut confirm);
                session
            }
            Role::Responder => {
                let state = responder::ExpectHello::new(handshake_config()).expect("waits");
                victim.writable(Channel::Control, 0);
                let (_, hello) = victim.sent.pop().expect("a hello");
                let (state, mut answer) = state.handle(&hello, &mut entropy).expect("honest");
                victim.hear(Channel::Control, &mut answer);
                let (_, confirm) = victim.sent.pop().expect("a confirmation");
                state.handle(&confirm).expect("an honest confirmation")
            }
        };
        assert!(victim.connection.is_established());
        let keys = |sender, channel| {
            RecordKeys::derive(Suite::default(), session.epoch_secret(), 0, sender, 0, channel)
        };
        let sealers = Channel::ALL.map(|channel| (channel, Sealer::new(keys(role, channel))));
        let openers =
            Channel::ALL.map(|channel| (channel, Opener::new(keys(role.peer(), channel))));
        let (sealers, openers) = (sealers.into(), openers.into());
        Self { role, session, sealers, openers, told_close: false }
    }

    /// Seals a plaintext of at least one byte, and says it to the victim.
    pub fn say(&mut self, victim: &mut Victim, channel: Channel, plaintext: &[u8]) {
        let mut record = vec![0; RECORD_HEADER];
        record.extend_from_slice(plaintext);
        let sealer = self.sealers.get_mut(&channel).expect("a sealer for each channel");
        sealer.seal(&mut record).expect("not too long");
        victim.hear(channel, &mut record);
    }

    /// Seals some frames into one record.
    pub fn say_frames(&mut self, victim: &mut Victim, channel: Channel, frames: &[Frame]) {
        let mut plaintext = Vec::new();
        for frame in frames {
            FrameWriter::new(&mut plaintext, 0).frame(frame).expect("a frame encodes");
        }
        self.say(victim, channel, &plaintext);
    }

    /// Opens all that the victim has sent. Each record must be one that an honest
    /// peer takes, and none follows a CLOSE.
    pub fn listen(&mut self, victim: &mut Victim) -> Vec<Frame> {
        let mut heard = Vec::new();
        for (channel, mut record) in std::mem::take(&mut victim.sent) {
            assert!(!self.told_close, "a record after CLOSE (FC-CLOSE)");
            let opener = self.openers.get_mut(&channel).expect("an opener for each channel");
            let plaintext = opener.open(&mut record).expect("an honest record");
            let mut reader = FrameReader::new(plaintext, channel);
            while let Some(frame) = reader.next().expect("an honest frame") {
                assert!(!self.told_close, "{frame:?} after CLOSE (FC-CLOSE)");
                self.told_close = matches!(frame, Frame::Close(_));
                heard.push(frame);
            }
        }
        heard
    }

    /// A receipt with the MAC that the victim expects (`TR-RECEIPT-MAC`).
    pub fn sign(&self, receipt: &mut Receipt) {
        let key = self.session.receipt_key();
        let mut mac = Hmac::<Sha256>::new_from_slice(key.expose()).expect("any length");
        mac.update(b"passel v1 receipt");
        mac.update(&[u8::from(self.role == Role::Responder)]);
        let body = codec::encode(receipt).expect("a receipt encodes");
        mac.update(&body[..body.len() - 32]);
        receipt.mac = mac.finalize().into_bytes().into();
    }

    /// The number of this side's first transfer (`TR-ID-PARITY`).
    pub fn first_id(&self) -> u32 {
        u32::from(self.role == Role::Responder)
    }
}
