//! One peer on a measured path: an endpoint, and storage that answers at once and
//! keeps nothing, so that any size can be sent.

use std::net::SocketAddr;
use std::time::Instant;

use passel_proto::crypto::{Entropy, Secret32};
use passel_proto::error::Error;
use passel_proto::ids::{Role, TransferId};
use passel_proto::manifest::{Entry, EntryKind, Manifest, ManifestBuilder};
use passel_proto::path::SafePath;
use passel_proto::signal::SignalSession;
use passel_proto::storage::{StorageReply, StorageRequest};
use passel_sans_io::endpoint::{Endpoint, EndpointConfig};
use passel_sans_io::lane::{DtlsVersion, IceCredentials, LaneConfig};

use super::{Mark, address};
use crate::plan::Side;
use crate::t1::crypto;

/// Where the rendezvous would keep the blobs; both peers of a pair name the same.
const ROUTE: &[u8] = b"route of the path";
/// Port of the first lane.
const PORT: u16 = 40_000;

/// Where a lane of the peer at this place listens.
pub(super) fn socket(place: usize, lane: u16) -> SocketAddr {
    SocketAddr::new(address(place), PORT + lane)
}

/// A peer in a run.
pub(super) struct Peer {
    pub(super) endpoint: Box<Endpoint>,
    pub(super) transfer: Option<TransferId>,
    /// When the endpoint wants to be woken.
    pub(super) timer: Option<u64>,
    /// Counts the timers that were set.
    pub(super) generation: u64,
}

impl Peer {
    /// The peer at this place. Who sends has invited the other, as with the
    /// program.
    pub(super) fn new(seed: u64, place: usize, lanes: u16, now: Instant) -> Result<Self, Error> {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        bytes[8..16].copy_from_slice(&(place as u64 / 2).to_le_bytes());
        let secret = Secret32::new(Entropy::from_seed(bytes).array());
        bytes[16] = 1 + u8::from(!place.is_multiple_of(2));
        let mut entropy = Entropy::from_seed(bytes);
        let (side, role) = if place.is_multiple_of(2) {
            (Side::Inviter, Role::Responder)
        } else {
            (Side::Joiner, Role::Initiator)
        };
        let signal = match side {
            Side::Inviter => SignalSession::creator(Some(secret), None, ROUTE, &mut entropy)?,
            Side::Joiner => SignalSession::joiner_link(&secret, ROUTE, &mut entropy)?,
        };
        let mut lane = LaneConfig::new(role, 0, IceCredentials::from_seed(&entropy.array()));
        lane.dtls = DtlsVersion::Dtls13;
        lane.certificate = Some(crypto::certificate(side));
        lane.crypto = Some(crypto::provider());
        let mut config = EndpointConfig::new(role, signal, lane, entropy.array());
        config.lanes = lanes;
        let mut endpoint = Box::new(Endpoint::new(config, now)?);
        endpoint.add_local_candidate(socket(place, 0));
        Ok(Self { endpoint, transfer: None, timer: None, generation: 0 })
    }
}

/// One file of this size.
pub(super) fn manifest(size: u64) -> Result<Manifest, String> {
    let path = SafePath::parse("file").map_err(|error| error.to_string())?;
    let kind = EntryKind::File { size: Some(size), executable: false, mime: None, root: None };
    let mut builder = ManifestBuilder::new();
    builder.push(&Entry { path, kind, modified: None }).map_err(|error| error.to_string())?;
    builder.finish().map_err(|error| error.to_string())
}

/// What it means that a receiver wants this.
pub(super) fn mark_of(request: &StorageRequest) -> Option<Mark> {
    match request {
        StorageRequest::Write { .. } => Some(Mark::FirstWrite),
        StorageRequest::Sync { .. } => Some(Mark::FirstDurable),
        _ => None,
    }
}

/// Answers a request as if it were done.
pub(super) fn carry_out(request: StorageRequest) -> StorageReply {
    let result = Ok(());
    match request {
        StorageRequest::Read { transfer, file, offset, len, mut buf, .. } => {
            // Not all the same, and cheap.
            let byte = offset.to_le_bytes()[2];
            buf.resize(usize::try_from(len).unwrap_or(usize::MAX), byte);
            StorageReply::Read { transfer, file, offset, buf, leaf: None, result }
        }
        StorageRequest::Write { transfer, file, offset, data, .. } => {
            StorageReply::Written { transfer, file, offset, buf: data, result }
        }
        StorageRequest::Sync { transfer, .. } => StorageReply::Synced { transfer, result },
        StorageRequest::Commit { transfer, file, .. } => {
            StorageReply::Committed { transfer, file, result }
        }
        StorageRequest::Check { transfer, file, .. } => {
            StorageReply::Checked { transfer, file, result }
        }
        StorageRequest::Release { transfer, .. } => StorageReply::Released { transfer, result },
        StorageRequest::Discard { transfer, .. } => StorageReply::Discarded { transfer, result },
    }
}
