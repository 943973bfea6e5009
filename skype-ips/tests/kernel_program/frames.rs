//! Frames, the flow that they belong to, and what can be known of it.

use skype_ips_common::layout::{FlowKey, UDP, Verdict, kind, mapped};

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
