//! An endpoint in the plainest event loop there is: a blocking UDP socket with
//! a read time-out, a thread for each peer, files in memory. A rendezvous would
//! carry the blobs; here a channel between the two threads does.
//!
//! `cargo run --release --example blocking`

// A program of its own: it reads the clock, prints, and fails by panicking.
#![allow(clippy::disallowed_methods, clippy::print_stdout, clippy::expect_used, clippy::panic)]

use std::net::UdpSocket;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use passel_proto::connection::Event;
use passel_proto::crypto::{Entropy, Secret32};
use passel_proto::ids::Role;
use passel_proto::manifest::{Entry, EntryKind, Manifest, ManifestBuilder};
use passel_proto::path::SafePath;
use passel_proto::signal::SignalSession;
use passel_proto::storage::{StorageReply, StorageRequest};
use passel_sans_io::datagram::DatagramRef;
use passel_sans_io::endpoint::{Endpoint, EndpointConfig, EndpointEvent};
use passel_sans_io::lane::{IceCredentials, LaneConfig};

const ROUTE: &[u8] = b"an example";
const TEXT: &[u8] =
    b"All that an endpoint needs is somebody who moves bytes and tells it the time.";

fn main() {
    // In earnest: 32 bytes from the system's CSPRNG, and a link that carries them.
    let link = || Secret32::new([42; 32]);
    let (to_joiner, from_creator) = channel();
    let (to_creator, from_joiner) = channel();
    let creator = std::thread::spawn(move || {
        let mut entropy = Entropy::from_seed([1; 32]);
        let signal =
            SignalSession::creator(Some(link()), None, ROUTE, &mut entropy).expect("a link");
        Peer::new(Role::Responder, signal, &mut entropy).run(&to_joiner, &from_joiner)
    });
    let mut entropy = Entropy::from_seed([2; 32]);
    let signal = SignalSession::joiner_link(&link(), ROUTE, &mut entropy).expect("a link");
    let received = Peer::new(Role::Initiator, signal, &mut entropy).run(&to_creator, &from_creator);
    creator.join().expect("the creator ends");
    assert_eq!(received, TEXT);
    println!("received: {}", String::from_utf8_lossy(&received));
}

struct Peer {
    endpoint: Endpoint,
    socket: UdpSocket,
    role: Role,
    /// What was received, or what is read from.
    file: Vec<u8>,
}

impl Peer {
    fn new(role: Role, signal: SignalSession, entropy: &mut Entropy) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
        let credentials = IceCredentials::from_seed(&entropy.array());
        let lane = LaneConfig::new(role, 0, credentials);
        let config = EndpointConfig::new(role, signal, lane, entropy.array());
        let mut endpoint = Endpoint::new(config, Instant::now()).expect("an endpoint");
        endpoint.add_local_candidate(socket.local_addr().expect("an address"));
        endpoint.start(Instant::now());
        let file = if role == Role::Responder { TEXT.to_vec() } else { Vec::new() };
        Self { endpoint, socket, role, file }
    }

    /// The loop: drain, wait for a datagram or a time-out, take it in.
    fn run(mut self, blobs_out: &Sender<Vec<u8>>, blobs_in: &Receiver<Vec<u8>>) -> Vec<u8> {
        let mut buf = vec![0; 65_536];
        while !self.endpoint.is_done() {
            self.drain(blobs_out);
            // Blobs come at the beginning only, so a short wait at most is enough.
            let timeout =
                self.endpoint.poll_timeout().map_or(Duration::from_millis(20), |(at, _)| {
                    at.saturating_duration_since(Instant::now()).min(Duration::from_millis(20))
                });
            let timeout = timeout.max(Duration::from_millis(1)); // 0 would mean for ever
            self.socket.set_read_timeout(Some(timeout)).expect("a time-out");
            if let Ok((len, source)) = self.socket.recv_from(&mut buf) {
                let destination = self.socket.local_addr().expect("an address");
                let datagram = DatagramRef { source, destination, contents: &buf[..len] };
                self.endpoint.handle_datagram(Instant::now(), datagram);
            }
            while let Ok(blob) = blobs_in.try_recv() {
                self.endpoint.handle_signal(Instant::now(), &blob);
            }
            self.endpoint.handle_timeout(Instant::now());
        }
        self.file
    }

    fn drain(&mut self, blobs_out: &Sender<Vec<u8>>) {
        while let Some(event) = self.endpoint.poll_event() {
            self.on_event(event);
        }
        while let Some(request) = self.endpoint.poll_storage() {
            let reply = self.carry_out(request);
            self.endpoint.handle_storage(Instant::now(), reply).expect("an answer to a request");
        }
        while let Some(blob) = self.endpoint.poll_signal() {
            // A peer that is gone needs no blob.
            let _ = blobs_out.send(blob);
        }
        while let Some(datagram) = self.endpoint.poll_datagram() {
            // UDP may lose it, so an error is no worse.
            let _ = self.socket.send_to(&datagram.contents, datagram.destination);
        }
    }

    fn on_event(&mut self, event: EndpointEvent) {
        let now = Instant::now();
        match event {
            EndpointEvent::Connected { path, .. } => {
                println!("{:?}: connected to {}", self.role, path.remote);
            }
            EndpointEvent::Connection(Event::Established { .. })
                if self.role == Role::Responder =>
            {
                self.endpoint.offer(now, manifest(), "a line of text").expect("an offer");
            }
            EndpointEvent::Connection(Event::Offered { transfer }) => {
                // Here a person would look at `self.endpoint.manifest(transfer)`.
                self.endpoint.accept(now, transfer, None).expect("an offer to accept");
            }
            EndpointEvent::Connection(Event::Completed { completion, .. }) => {
                println!(
                    "{:?}: {} bytes, receipt {:02x?}…",
                    self.role,
                    completion.bytes,
                    &completion.receipt[..4]
                );
                if self.role == Role::Responder {
                    self.endpoint.close(now, None);
                }
            }
            EndpointEvent::Connection(Event::Closed { error: Some(error) }) => panic!("{error}"),
            _ => {}
        }
    }

    /// One file in memory; see `passel_proto::storage` for the contract.
    fn carry_out(&mut self, request: StorageRequest) -> StorageReply {
        let result = Ok(());
        match request {
            StorageRequest::Read { transfer, file, offset, len, mut buf, .. } => {
                let from = usize::try_from(offset).expect("a small file");
                buf.extend_from_slice(&self.file[from..from + len as usize]);
                StorageReply::Read { transfer, file, offset, buf, leaf: None, result }
            }
            StorageRequest::Write { transfer, file, offset, data, .. } => {
                let from = usize::try_from(offset).expect("a small file");
                self.file.resize(self.file.len().max(from + data.len()), 0);
                self.file[from..from + data.len()].copy_from_slice(&data);
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
            StorageRequest::Discard { transfer, .. } => {
                StorageReply::Discarded { transfer, result }
            }
        }
    }
}

fn manifest() -> Manifest {
    let mut builder = ManifestBuilder::new();
    let size = Some(TEXT.len() as u64);
    let kind = EntryKind::File { size, executable: false, mime: None, root: None };
    let path = SafePath::parse("line.txt").expect("a safe name");
    builder.push(&Entry { path, kind, modified: None }).expect("an entry");
    builder.finish().expect("a manifest")
}
