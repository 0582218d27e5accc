//! A capture of the simulated wire for the tools that read captures: pcapng with
//! one interface for each host, so that a datagram is seen where it left and where
//! it arrived, and what befell it on the way stands beside it as a comment. IP
//! and UDP headers are made here; time 0 of a run is 1970.

use std::net::{IpAddr, SocketAddr};

use super::{Packet, Recording};

/// Raw IP of either version.
const LINKTYPE_RAW: u16 = 101;
const SECTION: u32 = 0x0a0d_0d0a;
const INTERFACE: u32 = 1;
const PACKET: u32 = 6;

/// The capture of a run, as the bytes of a file.
pub fn pcapng(recording: &Recording) -> Vec<u8> {
    let mut out = Vec::new();
    let mut section = Vec::new();
    section.extend(0x1a2b_3c4d_u32.to_le_bytes());
    section.extend([1, 0, 0, 0]); // version 1.0
    section.extend((-1_i64).to_le_bytes()); // of any length
    option(&mut section, 4, b"passel-sim");
    block(&mut out, SECTION, section);
    for name in &recording.hosts {
        let mut interface = Vec::new();
        interface.extend(LINKTYPE_RAW.to_le_bytes());
        interface.extend([0, 0, 0, 0, 0, 0]); // reserved; packets of any length
        option(&mut interface, 2, name.as_bytes());
        option(&mut interface, 9, &[6]); // microseconds
        block(&mut out, INTERFACE, interface);
    }
    for packet in &recording.packets {
        packet_block(&mut out, packet);
    }
    out
}

fn packet_block(out: &mut Vec<u8>, packet: &Packet) {
    let Some(ip) = ip(packet) else { return };
    let mut body = Vec::with_capacity(ip.len() + 64);
    body.extend(number(packet.host).to_le_bytes());
    body.extend(low(packet.at_us >> 32).to_le_bytes());
    body.extend(low(packet.at_us).to_le_bytes());
    for _ in 0..2 {
        body.extend(number(ip.len()).to_le_bytes()); // captured, and on the wire
    }
    body.extend(&ip);
    pad(&mut body);
    let direction: u32 = if packet.outbound { 2 } else { 1 };
    option(&mut body, 2, &direction.to_le_bytes());
    if !packet.fates.is_empty() {
        option(&mut body, 1, packet.fates.join(", ").as_bytes());
    }
    block(out, PACKET, body);
}

fn number(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

#[expect(clippy::cast_possible_truncation, reason = "the lower half is what is asked for")]
fn low(number: u64) -> u32 {
    number as u32
}

fn pad(bytes: &mut Vec<u8>) {
    bytes.resize(bytes.len().next_multiple_of(4), 0);
}

fn option(out: &mut Vec<u8>, code: u16, value: &[u8]) {
    let value = &value[..value.len().min(usize::from(u16::MAX))];
    out.extend(code.to_le_bytes());
    out.extend(u16::try_from(value.len()).unwrap_or(u16::MAX).to_le_bytes());
    out.extend(value);
    pad(out);
}

/// Ends the options of `body`, which it must have, and writes the block.
fn block(out: &mut Vec<u8>, kind: u32, mut body: Vec<u8>) {
    body.extend([0; 4]);
    let length = number(body.len() + 12);
    out.extend(kind.to_le_bytes());
    out.extend(length.to_le_bytes());
    out.extend(body);
    out.extend(length.to_le_bytes());
}

/// The datagram as an IP packet; nothing if it is too long for one, or if its
/// addresses are of two families.
fn ip(packet: &Packet) -> Option<Vec<u8>> {
    let udp = udp(packet)?;
    let mut out = Vec::with_capacity(udp.len() + 40);
    match (packet.source.ip(), packet.destination.ip()) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            let length = u16::try_from(udp.len() + 20).ok()?;
            out.extend([0x45, 0]);
            out.extend(length.to_be_bytes());
            out.extend([0, 0, 0x40, 0, 64, 17, 0, 0]); // not to be fragmented; UDP
            out.extend(source.octets());
            out.extend(destination.octets());
            let sum = checksum(&[&out]);
            out[10..12].copy_from_slice(&sum.to_be_bytes());
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            out.extend([0x60, 0, 0, 0]);
            out.extend(u16::try_from(udp.len()).ok()?.to_be_bytes());
            out.extend([17, 64]);
            out.extend(source.octets());
            out.extend(destination.octets());
        }
        _ => return None,
    }
    out.extend(udp);
    Some(out)
}

fn udp(packet: &Packet) -> Option<Vec<u8>> {
    let Packet { source, destination, contents, .. } = packet;
    let length = u16::try_from(contents.len() + 8).ok()?;
    let mut out = Vec::with_capacity(usize::from(length));
    for port in [source.port(), destination.port(), length, 0] {
        out.extend(port.to_be_bytes());
    }
    out.extend(contents);
    let sum = match checksum(&[&pseudo_header(*source, *destination, length), &out]) {
        0 => u16::MAX, // 0 says that there is none
        sum => sum,
    };
    out[6..8].copy_from_slice(&sum.to_be_bytes());
    Some(out)
}

/// What UDP's checksum covers besides the datagram.
fn pseudo_header(source: SocketAddr, destination: SocketAddr, length: u16) -> Vec<u8> {
    let mut out = Vec::new();
    for address in [source.ip(), destination.ip()] {
        match address {
            IpAddr::V4(address) => out.extend(address.octets()),
            IpAddr::V6(address) => out.extend(address.octets()),
        }
    }
    out.extend([0, 17]);
    out.extend(length.to_be_bytes());
    out
}

/// The Internet's checksum over several parts, all but the last of even length.
fn checksum(parts: &[&[u8]]) -> u16 {
    let mut sum: u32 = 0;
    for part in parts {
        for pair in part.chunks(2) {
            sum += u32::from(pair[0]) << 8 | u32::from(pair.get(1).copied().unwrap_or(0));
        }
        sum = (sum & 0xffff) + (sum >> 16);
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_those_of_known_packets() {
        // The example of RFC 1071, and a header from a real capture.
        assert_eq!(checksum(&[&[0, 1, 0xf2, 3, 0xf4, 0xf5, 0xf6, 0xf7]]), !0xddf2);
        let header = [
            0x45, 0, 0, 0x73, 0, 0, 0x40, 0, 0x40, 0x11, 0, 0, 0xc0, 0xa8, 0, 1, 0xc0, 0xa8, 0,
            0xc7,
        ];
        assert_eq!(checksum(&[&header]), 0xb861);
    }

    #[test]
    fn what_cannot_be_a_packet_is_left_out() {
        let mut packet = Packet {
            at_us: 0,
            host: 0,
            outbound: true,
            source: "192.0.2.1:1".parse().unwrap(),
            destination: "192.0.2.2:2".parse().unwrap(),
            contents: vec![1, 2, 3],
            fates: Vec::new(),
        };
        assert_eq!(ip(&packet).unwrap().len(), 31);
        packet.contents = vec![0; 70_000];
        assert_eq!(ip(&packet), None);
        packet.contents.clear();
        packet.destination = "[2001:db8::1]:2".parse().unwrap();
        assert_eq!(ip(&packet), None);
    }
}
