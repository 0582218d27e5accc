//! The draining of the stack: its outputs become the lane's, and its errors the
//! lane's end. What does not live here: inputs (`super`).

use str0m::crypto::dtls::ProtocolVersion;
use str0m::{Event, IceConnectionState, Output, RtcError};

use passel_proto::error::{Blame, Error, ErrorCode};
use passel_proto::ids::Role;

use super::output::{Dtls, IceState, LaneEvent, LaneOutput, Path};
use super::{Lane, Phase, is_dtls};
use crate::datagram::Datagram;

/// Datagrams that a stack may want sent at one moment. Far more than its windows
/// hold: a stack that goes on beyond this is stuck, and would never say when it is
/// to be woken.
const MAX_DATAGRAMS_AT_ONCE: u32 = 4096;

impl Lane {
    /// The next output. To be called until it says [`LaneOutput::Timeout`].
    pub fn poll(&mut self) -> LaneOutput {
        if let Some(output) = self.outputs.pop_front() {
            if let LaneOutput::Event(LaneEvent::Message { data, .. }) = &output {
                self.queued_bytes -= data.len();
            }
            return output;
        }
        self.step()
    }

    /// Drains the stack into the queue.
    pub(super) fn drain(&mut self) {
        loop {
            match self.step() {
                LaneOutput::Timeout(_) => return,
                output => {
                    if let LaneOutput::Event(LaneEvent::Message { data, .. }) = &output {
                        self.queued_bytes += data.len();
                    }
                    self.outputs.push_back(output);
                }
            }
        }
    }

    /// One output of the stack, past those that concern nobody.
    fn step(&mut self) -> LaneOutput {
        loop {
            if self.phase == Phase::Dead {
                return LaneOutput::Timeout(None);
            }
            if self.connected
                && let Some(channel) = self.opened_early.pop_front()
            {
                self.channels.opened(channel);
                return LaneOutput::Event(LaneEvent::ChannelOpen(channel));
            }
            let output = match self.rtc.poll_output() {
                Ok(Output::Transmit(transmit)) => {
                    self.at_once += 1;
                    if self.at_once > MAX_DATAGRAMS_AT_ONCE {
                        let text = "the transport is stuck and sends without an end";
                        let error = Error::local(ErrorCode::TransportFailed, text);
                        return LaneOutput::Event(self.die(error));
                    }
                    return LaneOutput::Transmit(self.sent(transmit));
                }
                Ok(Output::Event(event)) => self.translate(event),
                Ok(Output::Timeout(at)) => {
                    match self.take_early() {
                        Ok(false) => {}
                        Ok(true) => continue,
                        Err(error) => {
                            let error = self.blame(&error);
                            return LaneOutput::Event(self.die(error));
                        }
                    }
                    self.undrained = 0;
                    self.at_once = 0;
                    if self.phase == Phase::Closing || !self.rtc.is_alive() {
                        self.phase = Phase::Dead;
                        self.rtc.disconnect();
                        return LaneOutput::Event(LaneEvent::Closed);
                    }
                    return match self.channels.relieved(&mut self.rtc) {
                        Some(channel) => LaneOutput::Event(LaneEvent::Writable(channel)),
                        None => LaneOutput::Timeout(Some(at)),
                    };
                }
                Err(error) => Err(self.blame(&error)),
            };
            match output {
                Ok(Some(event)) => return LaneOutput::Event(event),
                Ok(None) => {}
                Err(error) => return LaneOutput::Event(self.die(error)),
            }
        }
    }

    fn sent(&mut self, transmit: str0m::net::Transmit) -> Datagram {
        let contents = Vec::from(transmit.contents);
        self.metrics.datagrams_out += 1;
        self.metrics.bytes_out += contents.len() as u64;
        // Checks go out on all paths, DTLS only on the one in use.
        if is_dtls(&contents) {
            let path = Path { local: transmit.source, remote: transmit.destination };
            self.metrics.path = Some(path);
        }
        Datagram { source: transmit.source, destination: transmit.destination, contents }
    }

    fn translate(&mut self, event: Event) -> Result<Option<LaneEvent>, Error> {
        Ok(match event {
            Event::IceConnectionStateChange(state) => self.ice_changed(state)?,
            Event::Connected => Some(self.dtls_is_up()?),
            Event::ChannelOpen(id, _) => {
                // TB-CHANNELS: no other channel than those agreed upon.
                let channel = self.channels.by_id(id).ok_or_else(|| {
                    Error::peer(ErrorCode::ProtocolViolation, "a channel that is not agreed upon")
                })?;
                // Without the handshake of SCTP (TB-SNAP) channels are open before
                // DTLS is, which is of no use to anybody.
                if self.connected {
                    self.channels.opened(channel);
                    Some(LaneEvent::ChannelOpen(channel))
                } else {
                    self.opened_early.push_back(channel);
                    None
                }
            }
            Event::ChannelData(message) => {
                // TB-BINARY
                if !message.binary {
                    let text = "a message that is not binary";
                    return Err(Error::peer(ErrorCode::ProtocolViolation, text));
                }
                let channel = self.channels.by_id(message.id);
                channel.map(|channel| {
                    self.metrics.message_bytes_in += message.data.len() as u64;
                    LaneEvent::Message { channel, data: message.data }
                })
            }
            Event::ChannelClose(id) => {
                let channel = self.channels.by_id(id);
                channel.map(|channel| {
                    self.channels.closed(channel);
                    LaneEvent::ChannelClosed(channel)
                })
            }
            // TB-CLOSE: also when it was the peer's close_notify.
            Event::Closed => {
                // `Closed` is handed out once the stack is drained.
                self.phase = Phase::Closing;
                None
            }
            Event::PeerStats(stats) => {
                if let Some(pair) = stats.selected_candidate_pair {
                    let measured = pair.current_round_trip_time;
                    self.metrics.round_trip = measured.or(self.metrics.round_trip);
                    self.checks.on_stats(pair.responses_received, measured);
                }
                None
            }
            _ => None,
        })
    }

    fn ice_changed(&mut self, state: IceConnectionState) -> Result<Option<LaneEvent>, Error> {
        let state = match state {
            IceConnectionState::New => IceState::New,
            IceConnectionState::Checking => IceState::Checking,
            IceConnectionState::Connected | IceConnectionState::Completed => IceState::Connected,
            IceConnectionState::Disconnected => IceState::Disconnected,
        };
        if state == IceState::Connected && self.role == Role::Initiator {
            self.start_dtls().map_err(|error| self.blame(&error))?;
        }
        let changed = self.ice != state;
        self.ice = state;
        Ok(changed.then_some(LaneEvent::IceState(state)))
    }

    /// TB-FINGERPRINT: the stack has compared the certificate already, if the
    /// peer showed one; that it did is checked here.
    fn dtls_is_up(&mut self) -> Result<LaneEvent, Error> {
        let api = self.rtc.direct_api();
        let shown = api.remote_dtls_fingerprint().map(|fingerprint| fingerprint.bytes.clone());
        let dtls = match api.dtls_protocol_version() {
            Some(ProtocolVersion::DTLS1_3) => Dtls::V1_3,
            Some(ProtocolVersion::DTLS1_2) => Dtls::V1_2,
            _ => {
                let text = "a version of DTLS that is not allowed";
                return Err(Error::peer(ErrorCode::TransportFailed, text));
            }
        };
        let (Some(fingerprint), true) =
            (self.expected, shown.as_deref() == self.expected.as_ref().map(<[u8; 32]>::as_slice))
        else {
            return Err(wrong_certificate());
        };
        let path = self.metrics.path.ok_or_else(|| {
            Error::local(ErrorCode::Internal, "DTLS is up and nothing was ever sent")
        })?;
        self.connected = true;
        Ok(LaneEvent::Connected { path, dtls, fingerprint })
    }

    /// Ends the lane with the stack's error.
    pub(super) fn fail_with(&mut self, error: &RtcError) {
        let error = self.blame(error);
        let event = self.die(error);
        self.outputs.push_back(LaneOutput::Event(event));
    }

    fn die(&mut self, error: Error) -> LaneEvent {
        self.phase = Phase::Dead;
        self.rtc.disconnect();
        LaneEvent::Failed(error)
    }

    fn blame(&self, error: &RtcError) -> Error {
        match error {
            // The stack reports a wrong certificate as an error of the SDP,
            // which is not used here for anything else.
            RtcError::RemoteSdp(_) => wrong_certificate(),
            _ if self.connected => Error::new(
                Blame::Circumstance,
                ErrorCode::TransportFailed,
                format!("the transport failed: {}", shown(error)),
            ),
            _ => Error::new(
                Blame::Peer,
                ErrorCode::TransportFailed,
                format!("the transport could not be set up: {}", shown(error)),
            ),
        }
    }
}

fn wrong_certificate() -> Error {
    Error::peer(
        ErrorCode::TransportFailed,
        "the peer's certificate is not the one of its description",
    )
}

/// The stack's text, which may quote the peer, made safe to show.
fn shown(error: &RtcError) -> String {
    error.to_string().chars().take(200).flat_map(char::escape_default).collect()
}
