//! Short words for what hosts are told and for what goes between them, so that a
//! page can be read at a glance.

use std::collections::BTreeMap;

use passel_proto::connection::Event;
use passel_proto::handshake::message::RECORD_HANDSHAKE;
use passel_proto::ids::Channel;

use super::{Recording, Sort};

/// What the bytes of a message tell without any key.
pub fn message(channel: Channel, bytes: &[u8]) -> String {
    let name = channel.name();
    match (bytes.first(), bytes.get(1)) {
        (Some(&RECORD_HANDSHAKE), Some(kind)) => match kind {
            1 => "HELLO_I".to_owned(),
            2 => "HELLO_R".to_owned(),
            3 => "CONFIRM".to_owned(),
            4 => "ALERT".to_owned(),
            _ => format!("handshake {kind}"),
        },
        _ => format!("sealed on {name}"),
    }
}

/// The two hosts connect again, and are in `state`. Transfers are other ones in each
/// connection.
pub fn connected_again(recording: &mut Recording, now: u64, nth: u32, healed: bool, state: &str) {
    let healed = if healed { ", everything has healed" } else { "" };
    recording.mark(now, None, Sort::Event, format!("connect again ({nth}){healed}"));
    let mut newest: BTreeMap<(usize, String), String> = BTreeMap::new();
    for one in &recording.states {
        newest.insert((one.host, one.of.clone()), one.name.clone());
    }
    for ((host, of), name) in newest {
        if of == "connection" {
            recording.state(now, host, &of, state);
        } else if ["offered", "active", "paused"].contains(&name.as_str()) {
            recording.state(now, host, &of, "ended");
        }
    }
}

/// What a datagram is by its first bytes (RFC 7983).
pub fn datagram(contents: &[u8]) -> String {
    let kind = contents.get(..2).map_or(0, |two| u16::from_be_bytes([two[0], two[1]]));
    let name = match contents.first() {
        Some(0..=3) => {
            let method = match (kind & 0x000f) | ((kind & 0x00e0) >> 1) {
                1 => "Binding",
                3 => "Allocate",
                4 => "Refresh",
                6 => "Send",
                7 => "Data",
                8 => "CreatePermission",
                9 => "ChannelBind",
                _ => "?",
            };
            let class = match kind & 0x0110 {
                0x0000 => "request",
                0x0010 => "indication",
                0x0100 => "answer",
                _ => "error",
            };
            return format!("STUN {method} {class}");
        }
        Some(20) => "DTLS ChangeCipherSpec",
        Some(21) => "DTLS alert",
        Some(22) => match contents.get(13) {
            Some(1) => "DTLS ClientHello",
            Some(2) => "DTLS ServerHello",
            _ => "DTLS handshake",
        },
        Some(26) => "DTLS ACK",
        Some(32..=63) => "DTLS sealed",
        Some(64..=79) => "TURN channel data",
        _ => "datagram",
    };
    name.to_owned()
}

/// Takes down what a side was told: a mark, and a state if that is another one now.
pub fn event(recording: &mut Recording, at_us: u64, host: usize, event: &Event) {
    let of = |transfer: &passel_proto::ids::TransferId| format!("transfer {}", transfer.0);
    let closed;
    let (text, state) = match event {
        Event::Established { .. } => {
            ("handshake done".to_owned(), Some(("connection".to_owned(), "established")))
        }
        Event::Offered { transfer } => {
            (format!("{} is offered", of(transfer)), Some((of(transfer), "offered")))
        }
        Event::Accepted { transfer, files, bytes } => (
            format!("{} accepted: {files} files, {bytes} bytes", of(transfer)),
            Some((of(transfer), "active")),
        ),
        Event::Paused { transfer, by_peer } => {
            let who = if *by_peer { "by the peer" } else { "here" };
            (format!("{} paused {who}", of(transfer)), Some((of(transfer), "paused")))
        }
        Event::Resumed { transfer, by_peer } => {
            let who = if *by_peer { "by the peer" } else { "here" };
            (format!("{} resumed {who}", of(transfer)), Some((of(transfer), "active")))
        }
        Event::FileDone { transfer, file } => {
            (format!("file {} of {} done", file.0, of(transfer)), None)
        }
        Event::FileFailed { transfer, file, error } => {
            (format!("file {} of {} failed: {error}", file.0, of(transfer)), None)
        }
        Event::Completed { transfer, completion } => (
            format!(
                "{} complete: {} files, {} failed, {} bytes",
                of(transfer),
                completion.delivered,
                completion.failed,
                completion.bytes
            ),
            Some((of(transfer), "complete")),
        ),
        Event::Ended { transfer, error, kept } => {
            let kept = if *kept { ", may go on" } else { "" };
            (format!("{} ended: {error}{kept}", of(transfer)), Some((of(transfer), "ended")))
        }
        Event::Closed { error: None } => {
            ("closed".to_owned(), Some(("connection".to_owned(), "closed")))
        }
        Event::Closed { error: Some(error) } => {
            closed = format!("closed: {}", error.code);
            (format!("closed: {error}"), Some(("connection".to_owned(), &closed[..])))
        }
        Event::MessagesSent { .. } => return,
        other => {
            let mut text = format!("{other:?}");
            if let Some((end, _)) = text.char_indices().nth(100) {
                text.truncate(end);
            }
            (text, None)
        }
    };
    recording.mark(at_us, Some(host), Sort::Event, text);
    if let Some((of, name)) = state {
        recording.state(at_us, host, &of, name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn datagrams_are_named_by_their_first_bytes() {
        let of = |bytes: &[u8]| datagram(bytes);
        assert_eq!(of(&[0, 1, 0, 0]), "STUN Binding request");
        assert_eq!(of(&[1, 1, 0, 0]), "STUN Binding answer");
        assert_eq!(of(&[0x01, 0x13]), "STUN Allocate error");
        assert_eq!(of(&[0, 0x16]), "STUN Send indication");
        assert_eq!(of(&[0x2f, 0, 0]), "DTLS sealed");
        let mut hello = vec![22; 13];
        hello.push(1);
        assert_eq!(of(&hello), "DTLS ClientHello");
        assert_eq!(of(&[]), "datagram");
    }

    #[test]
    fn messages_are_named_without_any_key() {
        assert_eq!(message(Channel::Control, &[0, 1, 9]), "HELLO_I");
        assert_eq!(message(Channel::File, &[1, 0, 0]), "sealed on file");
        assert_eq!(message(Channel::File, &[]), "sealed on file");
    }
}
