//! Frames, the flow that they belong to, and what can be known of it.

use std::net::Ipv6Addr;

use skype_ips_common::layout::{FlowKey, TCP, UDP, Verdict, kind, mapped};

/// An Ethernet frame with VLAN tags around a UDP datagram.
pub(crate) fn tagged_frame(tags: &[u16], payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];
    for (index, tag) in tags.iter().enumerate() {
        let ethertype: u16 = if index + 1 < tags.len() {
            0x88a8
        } else {
            0x8100
        };
        frame.extend(ethertype.to_be_bytes());
        frame.extend(tag.to_be_bytes());
    }
    frame.extend([0x08, 0x00]);
    frame.extend(ipv4_udp(payload, 0));
    frame
}

/// An IPv4 packet from 10.0.0.1:5000 to 192.0.2.1:6000.
pub(crate) fn ipv4_udp(payload: &[u8], fragment: u16) -> Vec<u8> {
    let later = fragment & 0x1fff != 0;
    let body = payload.len() + if later { 0 } else { 8 };
    let mut packet = vec![0x45, 0];
    packet.extend((20 + body as u16).to_be_bytes());
    packet.extend([0x47, 0x11]);
    packet.extend(fragment.to_be_bytes());
    packet.extend([64, UDP, 0, 0, 10, 0, 0, 1, 192, 0, 2, 1]);
    if !later {
        packet.extend([0x13, 0x88, 0x17, 0x70]);
        packet.extend((body as u16).to_be_bytes());
        packet.extend([0, 0]);
    }
    packet.extend(payload);
    packet
}

/// The inside host and port of these packets.
pub(crate) const INSIDE: ([u8; 4], u16) = ([10, 0, 0, 1], 5000);
/// The outside host and port of these packets, unless they name another.
pub(crate) const OUTSIDE: ([u8; 4], u16) = ([192, 0, 2, 1], 6000);
pub(crate) const SYN: u8 = 0x02;
pub(crate) const ACK: u8 = 0x10;

/// An IPv4 packet around a transport header and its payload.
fn ipv4(protocol: u8, source: [u8; 4], destination: [u8; 4], body: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x45, 0];
    packet.extend((20 + body.len() as u16).to_be_bytes());
    packet.extend([0x47, 0x11, 0, 0, 64, protocol, 0, 0]);
    packet.extend(source);
    packet.extend(destination);
    packet.extend(body);
    packet
}

/// A UDP packet.
pub(crate) fn udp(
    (source, source_port): ([u8; 4], u16),
    (destination, port): ([u8; 4], u16),
    payload: &[u8],
) -> Vec<u8> {
    let mut body = source_port.to_be_bytes().to_vec();
    body.extend(port.to_be_bytes());
    body.extend((8 + payload.len() as u16).to_be_bytes());
    body.extend([0, 0]);
    body.extend(payload);
    ipv4(UDP, source, destination, &body)
}

/// A UDP packet of IPv6.
pub(crate) fn udp_v6(
    (source, source_port): (Ipv6Addr, u16),
    (destination, port): (Ipv6Addr, u16),
    payload: &[u8],
) -> Vec<u8> {
    let len = (8 + payload.len() as u16).to_be_bytes();
    let mut packet = vec![0x60, 0, 0, 0, len[0], len[1], UDP, 64];
    packet.extend(source.octets());
    packet.extend(destination.octets());
    packet.extend(source_port.to_be_bytes());
    packet.extend(port.to_be_bytes());
    packet.extend(len);
    packet.extend([0, 0]);
    packet.extend(payload);
    packet
}

/// A TCP packet with these flags.
pub(crate) fn tcp(
    (source, source_port): ([u8; 4], u16),
    (destination, port): ([u8; 4], u16),
    flags: u8,
    payload: &[u8],
) -> Vec<u8> {
    let mut body = source_port.to_be_bytes().to_vec();
    body.extend(port.to_be_bytes());
    body.extend([0, 0, 0, 1, 0, 0, 0, 0, 0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
    body.extend(payload);
    ipv4(TCP, source, destination, &body)
}

pub(crate) fn probe() -> Vec<u8> {
    // The 18-byte probe of the Wireshark sample SkypeIRC.cap at 66.1 s.
    vec![
        0x15, 0xf2, 0x02, 0xe2, 0xb4, 0x59, 0xe6, 0x64, 0x4a, 0x65, 0x4d, 0x81, 0x76, 0x3a, 0xc9,
        0xdb, 0xf5, 0x36,
    ]
}

pub(crate) fn key() -> FlowKey {
    FlowKey {
        zone: 0,
        protocol: UDP,
        reserved: 0,
        inside_port: 5000,
        outside_port: 6000,
        inside: mapped([10, 0, 0, 1]),
        outside: mapped([192, 0, 2, 1]),
    }
}

pub(crate) const SKYPE: Verdict = Verdict {
    kind: kind::SKYPE,
    class: 1,
    role: 0,
    confidence: 3,
    more: 0,
    more_request: 0,
    reserved: 0,
    session: 0,
    reserved2: 0,
};
