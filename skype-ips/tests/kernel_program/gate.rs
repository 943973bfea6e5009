//! What the program does with frames that no interface here can carry, and in states that last.

use std::net::Ipv6Addr;

use skype_ips::kernel::VerdictTables as _;
use skype_ips_common::gate::{Outcome, Side};
use skype_ips_common::layout::{GateConfig, UDP, mapped};
use skype_ips_common::mark::Code;
use skype_ips_common::parse::Link;

use crate::frames::{SKYPE, ipv4_udp, key, probe, tagged_frame};
use crate::twins::{CONFIG, Twins};

#[test]
fn vlan_and_qinq_frames_are_tagged_and_dropped_like_plain_ones() {
    let Some(mut twins) = Twins::load() else {
        return;
    };
    for tags in [&[][..], &[5], &[7, 42]] {
        let frame = tagged_frame(tags, &probe());
        assert_eq!(
            twins.xdp(&frame, Link::Ethernet, Side::InsideIngress),
            (false, true),
            "{tags:?}"
        );
        assert_eq!(
            twins.tc(&frame, Link::Ethernet, Side::InsideIngress),
            Some(Code::Inspect(1)),
            "{tags:?}"
        );
    }
    // Three tags are more than the parser follows: the packet passes, seen and not judged.
    let frame = tagged_frame(&[1, 2, 3], &probe());
    assert_eq!(
        twins.tc(&frame, Link::Ethernet, Side::InsideIngress),
        Some(Code::Pass)
    );

    twins
        .kernel
        .set_endpoint(&key().endpoint(), SKYPE)
        .expect("room");
    for tags in [&[][..], &[5], &[7, 42]] {
        let frame = tagged_frame(tags, &probe());
        assert_eq!(
            twins.xdp(&frame, Link::Ethernet, Side::InsideIngress),
            (true, false),
            "{tags:?}"
        );
        assert_eq!(
            twins.tc(&frame, Link::Ethernet, Side::InsideIngress),
            None,
            "{tags:?}"
        );
    }
}

#[test]
fn later_fragments_share_the_fate_of_the_first() {
    let Some(mut twins) = Twins::load() else {
        return;
    };
    let (first, later) = (ipv4_udp(&probe(), 0x2000), ipv4_udp(&[0xee; 40], 100));
    // A later fragment whose first was not seen passes.
    assert_eq!(
        twins.tc(&later, Link::Raw, Side::InsideIngress),
        Some(Code::Pass)
    );
    assert_eq!(
        twins.tc(&first, Link::Raw, Side::InsideIngress),
        Some(Code::Inspect(1))
    );
    assert_eq!(
        twins.tc(&later, Link::Raw, Side::InsideIngress),
        Some(Code::Inspect(1))
    );
    twins.kernel.set_verdict(&key(), SKYPE).expect("room");
    assert_eq!(twins.tc(&later, Link::Raw, Side::InsideIngress), None);
}

#[test]
fn ipv6_extension_headers_are_walked() {
    let Some(mut twins) = Twins::load() else {
        return;
    };
    let mut udp = vec![0x13, 0x88, 0x17, 0x70];
    udp.extend((8 + probe().len() as u16).to_be_bytes());
    udp.extend([0, 0]);
    udp.extend(probe());
    // Hop-by-hop and destination options of 8 bytes each, then UDP.
    let mut body = vec![60, 0, 1, 4, 0, 0, 0, 0, UDP, 0, 1, 4, 0, 0, 0, 0];
    body.extend(udp);
    let mut packet = vec![0x60, 0, 0, 0];
    packet.extend((body.len() as u16).to_be_bytes());
    packet.extend([0, 64]);
    packet.extend("fd00::1".parse::<Ipv6Addr>().expect("an address").octets());
    packet.extend(
        "2001:db8::1"
            .parse::<Ipv6Addr>()
            .expect("an address")
            .octets(),
    );
    packet.extend(body);
    assert_eq!(
        twins.tc(&packet, Link::Raw, Side::InsideIngress),
        Some(Code::Inspect(1))
    );
    assert_eq!(
        twins.memory(&packet, Link::Raw, Side::InsideIngress),
        Outcome::Pass(Code::Inspect(1))
    );
}

#[test]
fn an_old_heartbeat_ends_tagging_and_dropping_and_closed_refuses_instead() {
    let Some(mut twins) = Twins::load() else {
        return;
    };
    let frame = ipv4_udp(&probe(), 0);
    let strict = GateConfig {
        heartbeat_limit: 1_000_000,
        ..CONFIG
    };
    twins
        .programs
        .set_config(strict)
        .expect("an array takes its entry");
    assert_eq!(
        twins.tc(&frame, Link::Raw, Side::InsideIngress),
        Some(Code::Pass),
        "open passes"
    );
    let closed = GateConfig {
        flags: skype_ips_common::layout::flag::CLOSED,
        ..strict
    };
    twins
        .programs
        .set_config(closed)
        .expect("an array takes its entry");
    assert_eq!(
        twins.tc(&frame, Link::Raw, Side::InsideIngress),
        None,
        "closed drops what it would have sent up"
    );
    twins
        .kernel
        .set_endpoint(&key().endpoint(), SKYPE)
        .expect("room");
    twins
        .programs
        .set_config(strict)
        .expect("an array takes its entry");
    assert_eq!(
        twins.tc(&frame, Link::Raw, Side::InsideIngress),
        Some(Code::Pass),
        "open stops dropping"
    );
}

#[test]
fn bypass_drops_nothing_and_goes_on_watching() {
    let Some(mut twins) = Twins::load() else {
        return;
    };
    let frame = ipv4_udp(&probe(), 0);
    twins
        .kernel
        .set_endpoint(&key().endpoint(), SKYPE)
        .expect("room");
    assert_eq!(twins.tc(&frame, Link::Raw, Side::InsideIngress), None);
    let bypass = GateConfig {
        flags: skype_ips_common::layout::flag::BYPASS,
        ..CONFIG
    };
    twins
        .programs
        .set_config(bypass)
        .expect("an array takes its entry");
    assert_eq!(
        twins.tc(&frame, Link::Raw, Side::InsideIngress),
        Some(Code::Inspect(1))
    );
}

#[test]
fn packets_to_the_gateway_itself_and_to_groups_are_left_alone() {
    let Some(mut twins) = Twins::load() else {
        return;
    };
    twins
        .kernel
        .set_endpoint(&key().endpoint(), SKYPE)
        .expect("room");
    let mut group = ipv4_udp(&probe(), 0);
    group[16..20].copy_from_slice(&[239, 255, 255, 250]);
    assert_eq!(
        twins.tc(&group, Link::Raw, Side::InsideIngress),
        Some(Code::Pass)
    );
    let frame = ipv4_udp(&probe(), 0);
    assert_eq!(twins.tc(&frame, Link::Raw, Side::InsideIngress), None);
    twins
        .programs
        .set_local(&[mapped([192, 0, 2, 1])])
        .expect("room");
    assert_eq!(
        twins.tc(&frame, Link::Raw, Side::InsideIngress),
        Some(Code::Pass)
    );
    twins.programs.set_local(&[]).expect("room");
    assert_eq!(twins.tc(&frame, Link::Raw, Side::InsideIngress), None);
}
