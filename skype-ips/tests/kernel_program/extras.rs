//! What policies write into packets that pass.

use skype_ips_common::gate::Side;
use skype_ips_common::layout::mapped;
use skype_ips_common::parse::Link;

use crate::frames::{INSIDE, OUTSIDE, SKYPE, key, udp};
use crate::twins::Twins;

const POLICY: &str = r#"
version = 1
[[policy]]
name = "p"
subnets = ["10.0.0.0/8"]
default = { action = "allow", dscp = 46, mark = { value = 0x20, mask = 0xf0 } }
"#;

/// The sum over the words of a header, which is all ones where its checksum is right (RFC 1071).
fn sum(header: &[u8]) -> u16 {
    let words = header
        .chunks(2)
        .map(|word| u32::from(u16::from_be_bytes([word[0], word[1]])));
    let sum = words.sum::<u32>();
    ((sum & 0xffff) + (sum >> 16)) as u16
}

/// The packet with the right checksum in its header.
fn checked(mut packet: Vec<u8>) -> Vec<u8> {
    let right = !sum(&packet[..20]);
    packet[10..12].copy_from_slice(&right.to_be_bytes());
    packet
}

#[test]
fn skype_bears_the_mark_and_the_code_point_of_its_policy() {
    let Some(mut twins) = Twins::under(POLICY) else {
        return;
    };
    twins.set_verdict(&key(), SKYPE);
    let mut frame = vec![2; 12];
    // In a VLAN, for the header is not where it always is.
    frame.extend([0x81, 0x00, 0, 5, 0x08, 0x00]);
    frame.extend(checked(udp(INSIDE, OUTSIDE, &[0x80; 40])));
    let (result, mark, out) = twins.run(&frame, Link::Ethernet, Side::InsideIngress, 0);
    assert_ne!(result, 2);
    assert_eq!(mark, 0x1000_0825);
    assert_eq!(out[19], 46 << 2);
    assert_eq!(sum(&out[18..38]), 0xffff);
    let changed = frame.iter().zip(&out).filter(|(one, other)| one != other);
    assert!(
        changed.count() <= 3,
        "more than the code point and the checksum"
    );

    let back = checked(udp(OUTSIDE, INSIDE, &[0x80; 40]));
    let (_, mark, out) = twins.run(&back, Link::Raw, Side::InsideEgress, 0);
    assert_eq!((mark, out[1]), (0x0825, 46 << 2));
    assert_eq!(sum(&out[..20]), 0xffff);
}

#[test]
fn what_is_not_skype_bears_nothing() {
    let Some(mut twins) = Twins::under(POLICY) else {
        return;
    };
    let frame = checked(udp(INSIDE, OUTSIDE, &[0x80; 40]));
    let (_, mark, out) = twins.run(&frame, Link::Raw, Side::InsideIngress, 0);
    assert_eq!((mark, out), (0x1000_0815, frame));
}

#[test]
fn ipv6_has_the_code_point_elsewhere_and_keeps_the_rest_of_the_class() {
    let file = POLICY.replace("10.0.0.0/8", "fd00::/8");
    let Some(mut twins) = Twins::under(&file) else {
        return;
    };
    let (inside, outside) = ([0xfd; 16], [0x20; 16]);
    let mut flow = key();
    (flow.inside, flow.outside) = (inside, outside);
    assert_ne!(flow.inside, mapped(INSIDE.0));
    twins.set_verdict(&flow, SKYPE);
    // Traffic class 0x03 (the two bits of congestion), flow label 0x54321.
    let mut packet = vec![0x60, 0x35, 0x43, 0x21];
    let datagram = &udp(INSIDE, OUTSIDE, &[0x80; 40])[20..];
    packet.extend((datagram.len() as u16).to_be_bytes());
    packet.extend([17, 64]);
    packet.extend(inside);
    packet.extend(outside);
    packet.extend(datagram);
    let (result, _, out) = twins.run(&packet, Link::Raw, Side::InsideIngress, 0);
    assert_ne!(result, 2);
    // 46 << 2 | 3 is 0xbb.
    assert_eq!(out[..4], [0x6b, 0xb5, 0x43, 0x21]);
    assert_eq!(out[4..], packet[4..]);
}
