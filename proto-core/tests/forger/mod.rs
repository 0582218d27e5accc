//! A peer made by hand: it does the handshake through the public API, holds the
//! session's keys, and then sends whatever a test wants. What the connection at
//! the other end makes of it is in `events`, `requests` and `got`.

#![allow(dead_code, unreachable_pub)] // each test uses a part of it
#![allow(clippy::unwrap_used, clippy::panic)] // a test that fails says so

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use passel_proto::connection::{Config, Connection, Event};
use passel_proto::crypto::{Entropy, Secret32, schedule};
use passel_proto::error::ErrorCode;
use passel_proto::frame::{
    Data, FileEnd, Frame, FrameReader, FrameWriter, ManifestPage, Offer, Receipt,
};
use passel_proto::handshake::{EXTENSION_LANES, Extension, HandshakeConfig, Session, initiator};
use passel_proto::ids::{Channel, FileIndex, Role, Token, TransferId};
use passel_proto::limits::RECORD_HEADER;
use passel_proto::manifest::Manifest;
use passel_proto::record::{Opener, RecordKeys, Sealer};
use passel_proto::suite::Suite;
use passel_proto::tree::{TreeBuilder, leaf_hash};
use sha2::{Digest, Sha256};

use crate::support::{Disk, config, epoch};

/// Chunk and piece size of the forger's offers.
pub const CHUNK: usize = 16384;
pub const PIECE: usize = 4096;
/// The forger is the initiator, so its first offer has this number.
pub const OURS: TransferId = TransferId(0);

pub struct Forger {
    pub now: Instant,
    pub victim: Connection,
    pub disk: Disk,
    /// Whether storage is left unanswered.
    pub stalled: bool,
    pub manifest: Manifest,
    pub events: Vec<Event>,
    /// Frames that came from the other end, with payloads.
    pub got: Vec<(Frame, Vec<u8>)>,
    sealers: BTreeMap<Channel, Sealer>,
    openers: BTreeMap<Channel, Opener>,
    receipt_key: Secret32,
}

impl Forger {
    /// A forger whose handshake with a fresh connection is done.
    pub fn new(manifest: Manifest) -> Self {
        Self::with(config(), manifest)
    }

    /// The same, and the connection is told `config`.
    pub fn with(config: Config, manifest: Manifest) -> Self {
        let now = epoch();
        let mut entropy = Entropy::from_seed([3; 32]);
        let mut handshake = HandshakeConfig::new(config.auth.clone(), config.binding.clone());
        if config.lanes > 1 {
            let body = config.lanes.to_le_bytes().to_vec();
            handshake.extensions.push(Extension { id: EXTENSION_LANES, body });
        }
        let disk = Disk { checks: config.storage_checks_leaves, ..Disk::default() };
        let mut victim = Connection::responder(config, [4; 32], now).unwrap();
        let (expect, mut hello) = initiator::start(handshake, &mut entropy).unwrap();
        victim.handle_message(now, Channel::Control, &mut hello);
        let mut buf = Vec::new();
        victim.poll_transmit(now, &mut buf).unwrap();
        let (session, mut confirm) = expect.handle(&buf).unwrap();
        victim.handle_message(now, Channel::Control, &mut confirm);
        assert!(victim.is_established());
        let keys = |role, channel| {
            RecordKeys::derive(
                Suite::default(),
                Session::epoch_secret(&session),
                0,
                role,
                0,
                channel,
            )
        };
        Self {
            now,
            victim,
            disk,
            stalled: false,
            manifest,
            events: Vec::new(),
            got: Vec::new(),
            sealers: Channel::ALL
                .map(|channel| (channel, Sealer::new(keys(Role::Initiator, channel))))
                .into(),
            openers: Channel::ALL
                .map(|channel| (channel, Opener::new(keys(Role::Responder, channel))))
                .into(),
            receipt_key: session.receipt_key().clone(),
        }
    }

    /// The session's key for receipts.
    pub fn receipt_key(&self) -> &Secret32 {
        &self.receipt_key
    }

    /// Sends one record with any plaintext.
    pub fn raw(&mut self, channel: Channel, plaintext: &[u8]) {
        let mut record = vec![0; RECORD_HEADER];
        record.extend_from_slice(plaintext);
        self.sealers.get_mut(&channel).unwrap().seal(&mut record).unwrap();
        self.victim.handle_message(self.now, channel, &mut record);
        self.drain();
    }

    /// Sends one frame over its own channel.
    pub fn send(&mut self, frame: impl Into<Frame>) {
        let frame = frame.into();
        let mut plaintext = Vec::new();
        FrameWriter::new(&mut plaintext, 0).frame(&frame).unwrap();
        self.raw(frame.frame_type().channels()[0], &plaintext);
    }

    /// Sends one piece of the forger's own transfer.
    pub fn data(&mut self, file: u32, offset: u64, leaf: Option<[u8; 32]>, piece: &[u8]) {
        let header = Data { transfer: OURS, file: FileIndex(file), offset, leaf };
        let mut plaintext = Vec::new();
        FrameWriter::new(&mut plaintext, 0).data(&header, piece).unwrap();
        self.raw(Channel::File, &plaintext);
    }

    /// Sends all pieces of a chunk, with the leaf of `of`.
    pub fn chunk(&mut self, file: u32, chunk: u64, bytes: &[u8], of: &[u8]) {
        let pieces = bytes.chunks(PIECE);
        let last = pieces.len() - 1;
        for (place, piece) in pieces.enumerate() {
            let leaf = (place == last).then(|| leaf_hash(of));
            self.data(file, chunk * CHUNK as u64 + (place * PIECE) as u64, leaf, piece);
        }
    }

    pub fn end(&mut self, file: u32, content: &[u8]) {
        let (size, root) = (content.len() as u64, root_of(content));
        self.send(FileEnd { transfer: OURS, file: FileIndex(file), size, root });
    }

    pub fn offer_frame(&self) -> Offer {
        Offer {
            transfer: OURS,
            entries: self.manifest.len(),
            bytes: self.manifest.total_bytes(),
            digest: self.manifest.digest(),
            chunk_log2: 14,
            piece_log2: 12,
            hash: 1,
            token: Token([6; 16]),
            note: String::new(),
        }
    }

    pub fn page_frame(&self) -> ManifestPage {
        let page = self.manifest.page(0, usize::MAX).unwrap();
        ManifestPage { transfer: OURS, first: 0, count: page.count, entries: page.bytes }
    }

    /// Offers the manifest, whole.
    pub fn offer(&mut self) {
        self.send(self.offer_frame());
        self.send(self.page_frame());
    }

    /// Offers the manifest and has all of it accepted.
    pub fn accepted(&mut self) {
        self.offer();
        self.victim.accept(self.now, OURS, None).unwrap();
        self.drain();
    }

    /// Lets the other end do what it can, and takes what it sends.
    pub fn drain(&mut self) {
        loop {
            let mut busy = false;
            while let Some(event) = self.victim.poll_event() {
                self.events.push(event);
                busy = true;
            }
            while let Some(request) = self.victim.poll_storage() {
                self.disk.waiting.push_back(request);
                busy = true;
            }
            while !self.stalled
                && let Some(request) = self.disk.next()
            {
                let reply = self.disk.carry_out(request, &self.manifest);
                self.victim.handle_storage(self.now, reply).unwrap();
                busy = true;
            }
            for channel in Channel::ALL {
                self.victim.handle_writable(channel, 1 << 20);
            }
            let mut buf = Vec::new();
            while let Some(transmit) = self.victim.poll_transmit(self.now, &mut buf) {
                busy = true;
                let opener = self.openers.get_mut(&transmit.channel).unwrap();
                let mut reader = FrameReader::new(opener.open(&mut buf).unwrap(), transmit.channel);
                while let Some(frame) = reader.next().unwrap() {
                    self.got.push((frame, reader.payload().to_vec()));
                }
            }
            if !busy {
                return;
            }
        }
    }

    /// Lets time pass.
    pub fn wait(&mut self, time: Duration) {
        self.now += time;
        self.victim.handle_timeout(self.now);
        self.drain();
    }

    /// How many frames came for which `pick` is true.
    pub fn count(&self, pick: impl Fn(&Frame) -> bool) -> usize {
        self.got.iter().filter(|(frame, _)| pick(frame)).count()
    }

    /// The code of the CLOSE that the other end sent; its event must agree.
    pub fn refused(&self) -> Option<ErrorCode> {
        let told = self.got.iter().find_map(|(frame, _)| match frame {
            Frame::Close(close) => Some(ErrorCode::from_wire(close.code)),
            _ => None,
        });
        let known = self.events.iter().find_map(|event| match event {
            Event::Closed { error } => Some(error.as_ref().map(|error| error.code)),
            _ => None,
        });
        assert_eq!(told, known.flatten(), "the peer is told what the caller is told");
        told
    }

    /// Codes of the files that the other end gave up.
    pub fn failed(&self) -> Vec<(u32, ErrorCode)> {
        self.got
            .iter()
            .filter_map(|(frame, _)| match frame {
                Frame::FileFailed(failed) => {
                    Some((failed.file.0, ErrorCode::from_wire(failed.code)))
                }
                _ => None,
            })
            .collect()
    }

    /// A receipt of the forger's, made as TR-RECEIPT-MAC has it, byte by byte.
    /// Numbers must be below 251.
    pub fn receipt(&self, transfer: u8, delivered: u8, statements: [u8; 32]) -> Receipt {
        let mut message = b"passel v1 receipt".to_vec();
        message.push(0); // the initiator
        message.extend([transfer, delivered, 0, 0]);
        message.extend(statements);
        Receipt {
            transfer: TransferId(transfer.into()),
            delivered: delivered.into(),
            failed: 0,
            listed: Vec::new(),
            statements,
            mac: schedule::hmac(&self.receipt_key, &message),
        }
    }
}

/// TR-STATEMENTS, byte by byte: what is stated of files that were all sent.
pub fn statements(files: &[(u32, &[u8])]) -> [u8; 32] {
    let mut message = b"passel v1 statements".to_vec();
    for (index, content) in files {
        message.extend(index.to_le_bytes());
        message.push(1);
        message.extend((content.len() as u64).to_le_bytes());
        message.extend(root_of(content));
    }
    Sha256::digest(message).into()
}

pub fn root_of(content: &[u8]) -> [u8; 32] {
    root_in_chunks(content, CHUNK)
}

pub fn root_in_chunks(content: &[u8], chunk: usize) -> [u8; 32] {
    let mut tree = TreeBuilder::new();
    for chunk in content.chunks(chunk) {
        tree.push(leaf_hash(chunk));
    }
    tree.root()
}
