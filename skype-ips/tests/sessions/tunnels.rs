//! Sessions in tunnels: what is found outside of one is found in it, and nothing else.

use proptest::prelude::*;
use skype_ips::capture::Record;
use skype_ips_common::parse::Link;

use crate::found::cases;
use crate::mangle::Mangle;
use crate::sessions::Kind;
use crate::trial;

/// Ethernet and IPv4 headers, as [`crate::wire::Path`] writes them.
const ETHERNET: usize = 14;

/// What may stand around a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wrap {
    Gre,
    GreWithAll,
    GreEthernet,
    Erspan1,
    Erspan2,
    Erspan3,
    In4,
    In6,
    Teredo,
    TeredoWithAll,
    Vxlan,
    Mpls,
    Pppoe,
    VxlanInGre,
    MplsInGreInVlan,
}

impl Wrap {
    const ALL: [Self; 15] = [
        Self::Gre,
        Self::GreWithAll,
        Self::GreEthernet,
        Self::Erspan1,
        Self::Erspan2,
        Self::Erspan3,
        Self::In4,
        Self::In6,
        Self::Teredo,
        Self::TeredoWithAll,
        Self::Vxlan,
        Self::Mpls,
        Self::Pppoe,
        Self::VxlanInGre,
        Self::MplsInGreInVlan,
    ];

    /// Tunnels around the packet, and how the innermost is called.
    fn depth(self) -> Option<(u8, &'static str)> {
        match self {
            Self::Mpls | Self::Pppoe => None,
            Self::In4 | Self::In6 => Some((1, "ip-in-ip")),
            Self::Teredo | Self::TeredoWithAll => Some((1, "teredo")),
            Self::Vxlan => Some((1, "vxlan")),
            Self::VxlanInGre => Some((2, "vxlan")),
            _ => Some((1, "gre")),
        }
    }

    /// The frame around a frame; `snap` bytes are kept of it.
    fn around(self, record: &Record, snap: usize) -> Record {
        let frame = record.data.as_slice();
        let packet = &frame[ETHERNET..];
        let is_4 = packet[0] >> 4 == 4;
        let (ethertype, number, ppp) = match is_4 {
            true => (0x0800_u16, 4, 0x21),
            false => (0x86dd, 41, 0x57),
        };
        let gre = |flags: u16, protocol: u16, rest: &[u8], inner: &[u8]| {
            let head = [flags.to_be_bytes(), protocol.to_be_bytes()].concat();
            ipv4(47, &[&head, rest, inner].concat())
        };
        let vxlan = |inner: &[u8]| {
            let head = [0x08, 0, 0, 0, 0x12, 0x34, 0x56, 0];
            ipv4(17, &udp(50_123, 4789, &[&head, inner].concat()))
        };
        let mpls = [&[0, 0x10, 0x00, 0x3f, 0, 0x20, 0x01, 0x3f][..], packet].concat();
        let (kind, body) = match self {
            Self::Gre => (0x0800, gre(0, ethertype, &[], packet)),
            Self::GreWithAll => (0x0800, gre(0xb000, ethertype, &[0xff; 12], packet)),
            Self::GreEthernet => (0x0800, gre(0x2000, 0x6558, &[0, 0, 1, 7], frame)),
            Self::Erspan1 => (0x0800, gre(0, 0x88be, &[], frame)),
            Self::Erspan2 => (0x0800, gre(0x1000, 0x88be, &erspan(1, 0), frame)),
            Self::Erspan3 => (0x0800, gre(0x1000, 0x22eb, &erspan(2, 12), frame)),
            Self::In4 => (0x0800, ipv4(number, packet)),
            Self::In6 => (0x86dd, ipv6(number, packet)),
            Self::Teredo => (0x0800, ipv4(17, &udp(50_000, 3544, packet))),
            Self::TeredoWithAll => {
                let authentication = [0, 1, 2, 3, 9, 9, 8, 8, 8, 1, 2, 3, 4, 5, 6, 7, 8, 0];
                let origin = [0, 0, 0x12, 0x34, 1, 2, 3, 4];
                let payload = [&authentication[..], &origin, packet].concat();
                (0x0800, ipv4(17, &udp(3544, 50_000, &payload)))
            }
            Self::Vxlan => (0x0800, vxlan(frame)),
            Self::Mpls => (0x8847, mpls),
            Self::Pppoe => {
                let len = (packet.len() as u16 + 2).to_be_bytes();
                let head = [0x11, 0, 0, 9, len[0], len[1], 0, ppp];
                (0x8864, [&head, packet].concat())
            }
            Self::VxlanInGre => (0x0800, gre(0, 0x0800, &[], &vxlan(frame))),
            Self::MplsInGreInVlan => {
                let inner = [&frame[..12], &0x8847_u16.to_be_bytes(), &mpls].concat();
                let body = gre(0, 0x6558, &[], &inner);
                (0x8100, [&[0, 5, 0x08, 0x00], body.as_slice()].concat())
            }
        };
        let mut data = [&[4; 12][..], &u16::to_be_bytes(kind), &body].concat();
        let wire_len = data.len() as u32 + record.wire_len - frame.len() as u32;
        data.truncate(snap);
        Record {
            link: Link::Ethernet,
            data,
            wire_len,
            ..record.clone()
        }
    }
}

fn ipv4(protocol: u8, body: &[u8]) -> Vec<u8> {
    let len = (20 + body.len() as u16).to_be_bytes();
    let head = [
        0x45, 0, len[0], len[1], 0, 1, 0, 0, 64, protocol, 0, 0, 192, 0, 2, 1, 203, 0, 113, 9,
    ];
    [&head, body].concat()
}

fn ipv6(protocol: u8, body: &[u8]) -> Vec<u8> {
    let len = (body.len() as u16).to_be_bytes();
    let head = [0x60, 0, 0, 0, len[0], len[1], protocol, 64];
    [&head[..], &[0x26; 16], &[0x27; 16], body].concat()
}

/// A sequence number, and the header of a version, with `more` bytes behind the common ones.
fn erspan(version: u8, more: usize) -> Vec<u8> {
    let mut bytes = vec![0, 0, 0, 9, version << 4, 5, 0, 3, 0, 0, 0, 1];
    let start = bytes.len();
    bytes.resize(start + more, 0);
    if let Some(flags) = bytes.get_mut(start + 3) {
        // A sub-header follows.
        *flags = 1;
    }
    bytes
}

fn udp(source: u16, destination: u16, body: &[u8]) -> Vec<u8> {
    let len = 8 + body.len() as u16;
    let head = [source, destination, len, 0].map(u16::to_be_bytes);
    [&head.concat(), body].concat()
}

proptest! {
    #![proptest_config(cases(300))]

    #[test]
    fn sessions_in_tunnels_are_found_as_outside_of_them(
        kind in Kind::any(),
        seed: u64,
        wrap in prop::sample::select(Wrap::ALL.to_vec()),
        ipv6: bool,
    ) {
        let teredo = matches!(wrap, Wrap::Teredo | Wrap::TeredoWithAll);
        let mangle = Mangle { ipv6: ipv6 || teredo, ..Mangle::none() };
        let packets = mangle.apply(&kind.session(seed));
        let open = trial::replay_as(&packets, &mangle.path, |record| record);
        let within = trial::replay_as(&packets, &mangle.path, |record| {
            wrap.around(&record, usize::MAX)
        });
        let found = trial::found(&open);
        // Over IPv6 a single exchange proves nothing.
        prop_assume!(found.values().any(|found| *found));
        let of_session = within.conversations.iter().filter(|one| found.contains_key(&(one.protocol, one.src, one.dest)));
        for one in of_session {
            prop_assert_eq!(one.tunnel.map(|tunnel| (tunnel.depth, tunnel.kind)), wrap.depth());
        }
        let found_within = trial::found(&within);
        for (flow, found) in &found {
            prop_assert_eq!(found_within.get(flow), Some(found), "{:?}", flow);
        }
        // The outer conversation is there, and isn't Skype.
        for (flow, found_within) in &found_within {
            prop_assert!(!found_within || found.contains_key(flow), "accused: {:?}", flow);
        }
        prop_assert_eq!(within.stats.packets, open.stats.packets);
        prop_assert_eq!(within.stats.undecodable, 0);
    }

    /// Anything may stand there, and the capture may end anywhere.
    #[test]
    fn damage_in_a_tunnel_is_survived_and_accuses_nobody(
        seed: u64,
        wrap in prop::sample::select(Wrap::ALL.to_vec()),
        inner in prop::collection::vec(any::<u8>(), 0..200),
        snap in 14..400_usize,
        spoilt in prop::collection::vec((0..120_usize, any::<u8>()), 0..6),
    ) {
        let session = Kind::Exchange.session(seed);
        let packets = Mangle::none().apply(&session);
        let report = trial::replay_as(&packets[..1], &Mangle::none().path, |record| {
            let mut frame = record;
            frame.data.truncate(ETHERNET + 1);
            frame.data.extend(&inner);
            frame.wire_len = frame.data.len() as u32;
            let mut outer = wrap.around(&frame, snap);
            for (at, byte) in &spoilt {
                if let Some(place) = outer.data.get_mut(*at) {
                    *place = *byte;
                }
            }
            outer
        });
        prop_assert!(trial::found(&report).values().all(|found| !found));
    }
}

#[test]
fn one_private_address_in_two_tunnels_is_two_hosts() {
    let packets = Mangle::none().apply(&Kind::Exchange.session(3));
    let (asked, answered) = (&packets[..1], &packets[1..]);
    let path = Mangle::none().path;
    let network = |record: Record, network: u8| {
        let mut outer = Wrap::Vxlan.around(&record, usize::MAX);
        outer.data[ETHERNET + 20 + 8 + 6] = network;
        outer
    };
    let all: Vec<_> = asked.iter().chain(answered).cloned().collect();
    let one = trial::replay_as(&all, &path, |record| network(record, 1));
    assert!(trial::found(&one).values().any(|found| *found));
    let mut turn = 0;
    let two = trial::replay_as(&all, &path, |record| {
        turn = (turn + 1) % 2;
        network(record, turn)
    });
    assert!(trial::found(&two).values().all(|found| !found));
    // Two inner ones, and the outer.
    assert_eq!(two.conversations.len(), one.conversations.len() + 1);
}

#[test]
fn a_third_tunnel_is_not_looked_into() {
    let packets = Mangle::none().apply(&Kind::Exchange.session(3));
    let depth = |times: usize| {
        let report = trial::replay_as(&packets, &Mangle::none().path, |record| {
            (0..times).fold(record, |inner, _| Wrap::In4.around(&inner, usize::MAX))
        });
        trial::found(&report).values().any(|found| *found)
    };
    assert!(depth(2));
    assert!(!depth(3));
}

#[test]
fn an_inner_packet_is_judged_as_far_as_the_capture_has_it() {
    let packets = Mangle::none().apply(&Kind::Exchange.session(3));
    let found = |snap: usize| {
        let report = trial::replay_as(&packets, &Mangle::none().path, |record| {
            Wrap::Gre.around(&record, snap)
        });
        trial::found(&report).values().any(|found| *found)
    };
    // Two IP headers, GRE, UDP, and the eleven bytes of a NACK.
    let enough = ETHERNET + 20 + 4 + 20 + 8 + 11;
    assert!(found(enough));
    assert!(!found(enough - 5));
}
