//! A lane against a WebRTC stack that keeps to the standards but not to this
//! protocol: what such a peer may do, and what ends the lane.

#![allow(clippy::unwrap_used, clippy::panic)] // tests

use std::time::{Duration, Instant};

use passel_proto::error::{Blame, ErrorCode};
use passel_proto::ids::{Channel, Role};
use passel_sans_io::datagram::DatagramRef;
use passel_sans_io::lane::{
    DtlsVersion, ICE_SEED, IceCredentials, Lane, LaneConfig, LaneEvent, LaneOutput,
};
use str0m::channel::{ChannelConfig, ChannelId};
use str0m::config::Fingerprint;
use str0m::net::{Protocol, Receive};
use str0m::{Candidate, IceCreds, Input, Output, Rtc, RtcConfig};

/// Runs an initiator's lane against a plain stack for ten seconds of virtual
/// time. `act` is called with the stack once `control` is open there.
fn run(act: impl Fn(&mut Rtc, ChannelId)) -> Vec<LaneEvent> {
    #[allow(clippy::disallowed_methods)] // the base of the virtual time
    let mut now = Instant::now();
    let end = now + Duration::from_secs(10);
    let (here, there) = ("192.0.2.1:1".parse().unwrap(), "192.0.2.2:2".parse().unwrap());
    let credentials = IceCredentials::from_seed(&[9; ICE_SEED]);
    let mut lane = Lane::new(LaneConfig::new(Role::Initiator, 0, credentials), now).unwrap();
    lane.add_local_candidate(here).unwrap();
    let ours = lane.local_description();

    let creds = IceCreds { ufrag: "ufragufrag".into(), pass: "p".repeat(30) };
    let mut peer = RtcConfig::new()
        .set_dtls_version(DtlsVersion::Auto)
        .set_local_ice_credentials(creds.clone())
        .build(now);
    peer.add_local_candidate(Candidate::host(there, "udp").unwrap());
    peer.add_remote_candidate(Candidate::host(here, "udp").unwrap());
    let mut api = peer.direct_api();
    let mut theirs = ours.clone();
    theirs.fingerprint = api.local_dtls_fingerprint().bytes.clone().try_into().unwrap();
    theirs.sctp_init = None;
    (theirs.ufrag, theirs.pwd) = (creds.ufrag, creds.pass);
    theirs.candidates[0].address = there;
    let bytes = ours.fingerprint.to_vec();
    api.set_remote_fingerprint(Fingerprint { hash_func: "sha-256".into(), bytes });
    api.set_remote_ice_credentials(IceCreds { ufrag: ours.ufrag, pass: ours.pwd });
    api.set_ice_controlling(false);
    api.start_dtls(false).unwrap();
    api.start_sctp(false);
    let control =
        api.create_data_channel(ChannelConfig { negotiated: Some(0), ..ChannelConfig::default() });
    lane.set_remote(theirs, now).unwrap();

    let (mut events, mut acted) = (Vec::new(), false);
    while now < end {
        lane.handle_timeout(now);
        peer.handle_input(Input::Timeout(now)).unwrap();
        loop {
            match lane.poll() {
                LaneOutput::Transmit(datagram) => {
                    let receive = Receive::new(Protocol::Udp, here, there, &datagram.contents);
                    peer.handle_input(Input::Receive(now, receive.unwrap())).unwrap();
                }
                LaneOutput::Event(event) => events.push(event),
                LaneOutput::Timeout(_) => break,
            }
        }
        if !acted && peer.channel(control).is_some() {
            acted = true;
            act(&mut peer, control);
        }
        loop {
            match peer.poll_output().unwrap() {
                Output::Transmit(t) => {
                    let (source, destination) = (there, here);
                    let contents = &t.contents;
                    lane.handle_datagram(now, DatagramRef { source, destination, contents });
                }
                Output::Event(_) => {}
                Output::Timeout(_) => break,
            }
        }
        now += Duration::from_millis(5);
    }
    assert!(acted);
    events
}

fn violation(events: &[LaneEvent]) -> bool {
    let Some(LaneEvent::Failed(error)) = events.last() else { return false };
    (error.blame, error.code) == (Blame::Peer, ErrorCode::ProtocolViolation)
}

#[test]
fn a_standard_stack_is_understood() {
    let events = run(|peer, control| {
        assert!(peer.channel(control).unwrap().write(true, b"hello").unwrap());
    });
    let message = LaneEvent::Message { channel: Channel::Control, data: b"hello".to_vec() };
    assert!(events.contains(&message));
    assert!(!events.iter().any(|e| matches!(e, LaneEvent::Failed(_))));
}

// TB-BINARY
#[test]
fn a_text_message_ends_the_lane() {
    let events = run(|peer, control| {
        assert!(peer.channel(control).unwrap().write(false, b"hello").unwrap());
    });
    assert!(violation(&events), "{events:?}");
}

// TB-CHANNELS
#[test]
fn a_channel_opened_in_band_ends_the_lane() {
    let events = run(|peer, _| {
        // The stack takes odd ids: 1 and 3 are taken here, 5 is nobody's.
        for _ in 0..3 {
            peer.direct_api().create_data_channel(ChannelConfig::default());
        }
    });
    assert!(violation(&events), "{events:?}");
}

#[test]
fn a_channel_that_the_peer_closes_is_reported() {
    let events = run(|peer, control| peer.direct_api().close_data_channel(control));
    assert!(events.contains(&LaneEvent::ChannelClosed(Channel::Control)), "{events:?}");
}
