//! Holds the crate's constants against `spec/registry.toml`, both ways: what
//! the registry lists is in the code, and what the code has is in the registry.
//! What the numbers do is tested where they are used.

#![allow(clippy::unwrap_used)] // a test that fails says so

use std::collections::BTreeMap;
use std::path::Path;

use passel_proto::crypto::Secret32;
use passel_proto::error::ErrorCode;
use passel_proto::frame::FrameType;
use passel_proto::handshake::message::{MessageType, RECORD_HANDSHAKE};
use passel_proto::handshake::{
    self, Auth, EXTENSION_LANES, EXTENSION_RESUMPTION, EXTENSION_SAS_COMMIT, ResumptionKey,
};
use passel_proto::ids::Channel;
use passel_proto::limits::{self, timers};
use passel_proto::record::RECORD_SEALED;
use passel_proto::suite::Suite;
use serde::Deserialize;

/// As much of the registry as this crate has constants for.
#[derive(Deserialize)]
struct Registry {
    version: u16,
    suite: Vec<Entry>,
    auth: Vec<Entry>,
    record: Vec<Entry>,
    handshake: Vec<Entry>,
    extension: Vec<Entry>,
    frame: Vec<FrameEntry>,
    channel: Vec<ChannelEntry>,
    error: Vec<Entry>,
    limits: BTreeMap<String, u64>,
    timers: BTreeMap<String, u64>,
}

#[derive(Deserialize)]
struct FrameEntry {
    id: u16,
    name: String,
    channel: String,
    #[serde(default)]
    also: Vec<String>,
}

#[derive(Deserialize)]
struct Entry {
    id: u16,
    name: String,
    #[serde(default)]
    text: String,
}

#[derive(Deserialize)]
struct ChannelEntry {
    id: u8,
    name: String,
    ordered: bool,
}

fn registry() -> Registry {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../spec/registry.toml");
    toml::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// Names and values of constants, with the names as they are written.
macro_rules! constants {
    ($module:ident, $value:expr, $($name:ident)*) => {
        BTreeMap::from([$((stringify!($name).to_owned(), $value($module::$name)),)*])
    };
}

/// The names of the constants that a piece of `limits.rs` declares.
fn declared(source: &str) -> Vec<&str> {
    let mut names: Vec<&str> = source
        .lines()
        .filter_map(|line| line.trim_start().strip_prefix("pub const ")?.split(':').next())
        .collect();
    names.sort_unstable();
    names
}

const LIMITS_SOURCE: &str = include_str!("../src/limits.rs");

#[test]
fn limits_are_those_of_the_registry() {
    let ours: BTreeMap<String, u64> = constants!(limits, bytes,
        MAX_RECORD RECORD_HEADER RECORD_TAG MAX_FRAME_BODY MAX_HELLO MAX_EXTENSIONS_COUNT
        MAX_EXTENSION_BODY MAX_NOTE MAX_REASON_TEXT MIN_CHUNK DEFAULT_CHUNK MAX_CHUNK
        DEFAULT_PIECE MIN_PIECE MAX_PIECES_PER_CHUNK_COUNT MAX_OPEN_BYTES MAX_CHUNK_SENDS_COUNT
        MAX_OPEN_FILES_COUNT MAX_CHUNK_RUNS_COUNT MAX_HAVE_RANGES_COUNT MAX_CLAIMED_RANGES_COUNT MAX_LEAVES_COUNT MAX_NACKED_CHUNKS_COUNT
        MAX_TRANSFERS_COUNT MAX_ACK_GAPS_COUNT MAX_ENTRIES_COUNT MAX_MANIFEST_BYTES
        MAX_MESSAGE MESSAGES_HIGH MESSAGES_LOW MESSAGES_UNRELIABLE MAX_MESSAGES_COUNT
        MAX_PATH MAX_PATH_COMPONENT
        MAX_PATH_DEPTH_COUNT MAX_MIME FILE_END_COST CONNECTION_CREDIT TRANSFER_CREDIT
        REPLAY_WINDOW_RECORDS KEY_UPDATE_BYTES KEY_UPDATE_RECORDS
        MAX_SIGNAL_BLOB MAX_LANE_SIGNAL MAX_LANES_COUNT MAX_CANDIDATES_COUNT
    );
    assert_eq!(ours, registry().limits);
    let (source, _) = LIMITS_SOURCE.split_once("pub mod timers").unwrap();
    assert_eq!(declared(source), ours.keys().collect::<Vec<_>>(), "a constant is not compared");
}

#[test]
fn timers_are_those_of_the_registry() {
    let ours: BTreeMap<String, u64> = constants!(timers, milliseconds,
        HANDSHAKE KEEP_ALIVE IDLE IDLE_LIMIT OFFER_EXPIRY SYNC_DELAY CLOSE_LINGER KEY_UPDATE
        KEY_UPDATE_LIMIT KEY_GRACE KEY_GRACE_LIMIT
    );
    assert_eq!(ours, registry().timers);
    let (_, source) = LIMITS_SOURCE.split_once("pub mod timers").unwrap();
    assert_eq!(declared(source), ours.keys().collect::<Vec<_>>(), "a constant is not compared");
}

fn bytes(value: usize) -> u64 {
    value.try_into().unwrap()
}

fn milliseconds(value: std::time::Duration) -> u64 {
    value.as_millis().try_into().unwrap()
}

#[test]
fn error_codes_are_those_of_the_registry() {
    let ours: Vec<(u16, &str)> =
        ErrorCode::ALL.iter().map(|code| (code.to_wire(), code.name())).collect();
    let registry = registry();
    let theirs: Vec<(u16, &str)> =
        registry.error.iter().map(|entry| (entry.id, entry.name.as_str())).collect();
    assert_eq!(ours, theirs);
}

#[test]
fn every_error_code_survives_the_wire() {
    for code in 0..=u16::MAX {
        assert_eq!(ErrorCode::from_wire(code).to_wire(), code);
    }
    for &code in ErrorCode::ALL {
        assert_eq!(ErrorCode::from_wire(code.to_wire()), code);
    }
}

#[test]
fn channels_are_those_of_the_registry() {
    let ours: Vec<(u8, &str, bool)> = Channel::ALL
        .iter()
        .map(|channel| (channel.id(), channel.name(), channel.is_ordered()))
        .collect();
    let registry = registry();
    let theirs: Vec<(u8, &str, bool)> = registry
        .channel
        .iter()
        .map(|entry| (entry.id, entry.name.as_str(), entry.ordered))
        .collect();
    assert_eq!(ours, theirs);
}

#[test]
fn frame_types_and_their_channels_are_those_of_the_registry() {
    let names = |kind: &FrameType| kind.channels().iter().map(|channel| channel.name().to_owned());
    let ours: Vec<(u16, &str, Vec<String>)> =
        FrameType::ALL.iter().map(|kind| (kind.id(), kind.name(), names(kind).collect())).collect();
    let registry = registry();
    let theirs: Vec<(u16, &str, Vec<String>)> = registry
        .frame
        .iter()
        .map(|entry| {
            let channels = std::iter::once(&entry.channel).chain(&entry.also).cloned().collect();
            (entry.id, entry.name.as_str(), channels)
        })
        .collect();
    assert_eq!(ours, theirs);
}

#[test]
fn suites_modes_and_messages_are_those_of_the_registry() {
    let registry = registry();
    let ids = |entries: &[Entry]| entries.iter().map(|entry| entry.id).collect::<Vec<_>>();
    let ours = Suite::ALL.map(|suite| (suite.number(), suite.name()));
    let theirs = registry.suite.iter().map(|entry| (entry.id, entry.name.as_str()));
    assert_eq!(theirs.collect::<Vec<_>>(), ours);
    for (number, suite) in ours.map(|(number, _)| number).into_iter().zip(Suite::ALL) {
        assert_eq!(Suite::from_number(number), Some(suite));
    }
    assert_eq!(registry.version, handshake::VERSIONS[0]);
    let secret = || Secret32::new([1; 32]);
    let code = Auth::Code { secret: secret(), context: [0; 32] };
    let key = ResumptionKey { id: [0; 16], secret: secret() };
    let resume = Auth::Resume { key, other: None };
    let modes = [Auth::Link(secret()), code, Auth::Sas, Auth::Psk(secret()), resume];
    let modes = modes.map(|auth| auth.mode());
    let of =
        |name: &str| registry.auth.iter().find(|entry| entry.name == name).map(|entry| entry.id);
    assert_eq!(modes.map(Some), ["LINK", "CODE", "SAS", "PSK", "RESUME"].map(of));
    // OV-REGISTRY-RESERVED: every other mode is reserved, and none of ours is.
    for entry in &registry.auth {
        let reserved = entry.text.contains("reserved");
        assert_eq!(modes.contains(&entry.id), !reserved, "{}", entry.name);
    }
    let extensions = [EXTENSION_RESUMPTION, EXTENSION_SAS_COMMIT, EXTENSION_LANES];
    assert_eq!(ids(&registry.extension), extensions);
    let others = [
        &registry.suite,
        &registry.extension,
        &registry.handshake,
        &registry.record,
        &registry.error,
    ];
    for entry in others.into_iter().flatten() {
        assert!(!entry.text.contains("reserved"), "{} is in the code", entry.name);
    }
    let ours = [MessageType::HelloI, MessageType::HelloR, MessageType::Confirm, MessageType::Alert]
        .map(|kind| u16::from(kind.to_wire()));
    assert_eq!(ids(&registry.handshake), ours);
    assert_eq!(ids(&registry.record), [RECORD_HANDSHAKE, RECORD_SEALED].map(u16::from));
}
