use std::net::IpAddr;

use skype_ips_common::layout::{TCP, UDP};
use skype_ips_common::parse::Link;

use super::{MTU, Packet, Translated, Unroutable};
use crate::capture::Record;

fn ipv4(protocol: u8, destination: [u8; 4], body: &[u8]) -> Vec<u8> {
    let len = (20 + body.len() as u16).to_be_bytes();
    let mut bytes = vec![0x45, 0, len[0], len[1], 0, 7, 0, 0, 64, protocol, 0, 0];
    bytes.extend([192, 168, 1, 34]);
    bytes.extend(destination);
    bytes.extend(body);
    bytes
}

const ELSEWHERE: [u8; 4] = [203, 0, 113, 9];

fn datagram(payload: &[u8]) -> Vec<u8> {
    let len = (8 + payload.len() as u16).to_be_bytes();
    let head = [0x30, 0x39, 0xd4, 0x31, len[0], len[1], 0xff, 0xff];
    ipv4(UDP, ELSEWHERE, &[&head, payload].concat())
}

fn segment(flags: u8, payload: &[u8]) -> Vec<u8> {
    let mut head = vec![0xc0, 0, 0x01, 0xbb, 0xff, 0xff, 0xff, 0x00, 0, 0, 0, 1];
    head.extend([0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
    ipv4(TCP, ELSEWHERE, &[&head, payload].concat())
}

fn record(data: Vec<u8>, link: Link) -> Record {
    Record {
        number: 1,
        timestamp: 0,
        link,
        vlan: Vec::new(),
        wire_len: data.len() as u32,
        data,
    }
}

fn packet(bytes: Vec<u8>) -> Packet {
    let parsed = Packet::from_record(&record(bytes, Link::Raw));
    parsed.expect("a whole packet").0
}

fn complete(bytes: Vec<u8>) -> Packet {
    Packet::complete(bytes).expect("a whole packet")
}

/// The checksum of the transport over its pseudo-header; zero if it is right.
fn residue(packet: &Packet) -> u16 {
    let bytes = packet.bytes();
    let (addresses, body, protocol) = match bytes[0] >> 4 {
        4 => (&bytes[12..20], &bytes[20..], bytes[9]),
        _ => (&bytes[8..40], &bytes[40..], bytes[6]),
    };
    let len = (body.len() as u32).to_be_bytes();
    super::super::checksum::of(&[addresses, &[0, protocol], &len, body])
}

#[test]
fn padding_and_tags_of_a_frame_are_not_sent() {
    let mut frame = vec![0; 12];
    frame.extend([0x81, 0, 0, 5, 0x08, 0]);
    frame.extend(datagram(b"x"));
    frame.extend([0xee; 17]);
    let (packet, tags) = Packet::from_record(&record(frame, Link::Ethernet)).expect("whole");
    assert_eq!(packet.bytes(), datagram(b"x"));
    assert_eq!(tags, 1);
}

#[test]
fn a_packet_that_the_capture_cut_off_is_not_sent() {
    let mut cut = record(datagram(b"payload"), Link::Raw);
    cut.data.truncate(30);
    assert_eq!(Packet::from_record(&cut), Err(Unroutable::CutOff));
    cut.wire_len = 30;
    assert_eq!(Packet::from_record(&cut), Err(Unroutable::Malformed));
}

#[test]
fn no_bytes_make_the_parser_panic() {
    for first in [0x40, 0x45, 0x4f, 0x60, 0x50] {
        for len in 0..80 {
            let mut bytes = vec![0x2c; len];
            if let Some(byte) = bytes.first_mut() {
                *byte = first;
            }
            // Lengths and next headers that lead out of the packet.
            if let Ok((mut packet, _)) = Packet::from_record(&record(bytes, Link::Raw)) {
                let _ = packet.check_forwardable();
                packet.repair_checksums();
                packet.unchanged_part(Translated::Source);
                let _ = packet.segments();
            }
        }
    }
}

#[test]
fn wrong_checksums_are_made_right_and_right_ones_left_alone() {
    for bytes in [datagram(b"odd"), segment(0x18, b"even")] {
        let mut packet = packet(bytes);
        assert!(packet.repair_checksums());
        assert_eq!(residue(&packet), 0);
        assert!(!packet.repair_checksums());
    }
}

#[test]
fn a_datagram_without_a_checksum_keeps_none() {
    let mut bytes = complete(datagram(b"x")).bytes().to_vec();
    bytes[26..28].fill(0);
    let mut without = packet(bytes);
    assert!(!without.repair_checksums());
}

#[test]
fn only_what_a_router_forwards_is_forwardable() {
    let to = |destination| packet(ipv4(UDP, destination, &[0; 8])).check_forwardable();
    assert_eq!(to(ELSEWHERE), Ok(()));
    assert_eq!(to([224, 0, 0, 1]), Err(Unroutable::NotUnicast));
    assert_eq!(to([255; 4]), Err(Unroutable::NotUnicast));
    assert_eq!(to([127, 0, 0, 1]), Err(Unroutable::NotUnicast));
    assert_eq!(to([169, 254, 1, 1]), Err(Unroutable::LinkLocal));
    let mut last_hop = datagram(b"x");
    last_hop[8] = 1;
    assert_eq!(
        packet(last_hop).check_forwardable(),
        Err(Unroutable::HopLimit)
    );
    let mut routed = vec![0x47];
    routed.extend(&datagram(b"x")[1..20]);
    routed.extend([131, 7, 4, 1, 2, 3, 4, 0]);
    routed.extend([0; 8]);
    let len = (routed.len() as u16).to_be_bytes();
    routed[2..4].copy_from_slice(&len);
    assert_eq!(
        packet(routed).check_forwardable(),
        Err(Unroutable::SourceRoute)
    );
}

#[test]
fn a_long_tcp_packet_becomes_segments_that_say_the_same() {
    let payload: Vec<u8> = (0..4000_u32).map(|index| index as u8).collect();
    const SYN_LESS_FIN_PSH_CWR: u8 = 0x99;
    let segments = complete(segment(SYN_LESS_FIN_PSH_CWR, &payload))
        .segments()
        .expect("TCP");
    assert_eq!(segments.len(), 3);
    let mut joined = Vec::new();
    for (index, segment) in segments.iter().enumerate() {
        let bytes = segment.bytes();
        assert!(bytes.len() <= MTU);
        assert_eq!(residue(segment), 0);
        let seq = u32::from_be_bytes(bytes[24..28].try_into().expect("four bytes"));
        // The sequence number wraps around between the segments.
        assert_eq!(seq, 0xffff_ff00_u32.wrapping_add(joined.len() as u32));
        assert_eq!(bytes[5], 7 + index as u8);
        joined.extend_from_slice(&bytes[40..]);
    }
    assert_eq!(joined, payload);
    let flags: Vec<u8> = segments.iter().map(|segment| segment.bytes()[33]).collect();
    assert_eq!(flags, [0x90, 0x10, 0x19]);
}

#[test]
fn a_long_datagram_is_not_sent() {
    let long = complete(datagram(&[0; 1473]));
    assert_eq!(long.segments(), Err(Unroutable::OverMtu));
    assert_eq!(
        complete(datagram(&[0; 1472]))
            .segments()
            .map(|all| all.len()),
        Ok(1)
    );
}

#[test]
fn the_same_in_ipv6_has_equal_payload_and_right_checksums() {
    for bytes in [datagram(b"payload"), segment(0x18, b"payload")] {
        let packet = complete(bytes);
        let to = |address| super::super::address::in_ipv6(true, address);
        let other = packet.clone().into_ipv6(to).expect("TCP or UDP");
        assert_eq!(residue(&other), 0);
        assert_eq!(other.ports(), packet.ports());
        assert!(other.bytes().ends_with(b"payload"));
        assert_eq!(other.bytes()[7], 64, "the hop limit is the TTL");
        assert!(matches!(other.source(), IpAddr::V6(_)));
    }
}

#[test]
fn forwarding_leaves_the_unchanged_part_alone() {
    let sent = complete(datagram(b"payload"));
    let mut bytes = sent.bytes().to_vec();
    bytes[8] -= 1;
    let arrived = complete(bytes.clone());
    assert_eq!(
        arrived.unchanged_part(Translated::No),
        sent.unchanged_part(Translated::No)
    );
    bytes[12..16].copy_from_slice(&[198, 18, 0, 5]);
    bytes[20..22].copy_from_slice(&[0x99, 0x99]);
    let arrived = complete(bytes.clone());
    assert_ne!(
        arrived.unchanged_part(Translated::No),
        sent.unchanged_part(Translated::No)
    );
    let source = Translated::Source;
    assert_eq!(arrived.unchanged_part(source), sent.unchanged_part(source));
    bytes[30] ^= 1;
    assert_ne!(
        complete(bytes).unchanged_part(source),
        sent.unchanged_part(source)
    );
}

#[test]
fn a_redirected_packet_has_another_receiver_and_right_checksums() {
    let mut packet = complete(segment(0x18, b"x"));
    packet.redirect(IpAddr::from([198, 18, 0, 5]), 4242);
    assert_eq!(packet.destination(), IpAddr::from([198, 18, 0, 5]));
    assert_eq!(packet.ports(), Some((0xc000, 4242)));
    assert_eq!(residue(&packet), 0);
}
