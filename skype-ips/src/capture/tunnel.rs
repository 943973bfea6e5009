//! Packets within packets: GRE (RFC 2784, 2890; with ERSPAN), IP in IP (RFC 2003, 2473, 4213), Teredo
//! (RFC 4380) and VXLAN (RFC 7348), behind MPLS labels (RFC 3032) and PPPoE (RFC 2516) too.
//!
//! Of a fragmented outer packet only the first part is looked into: nothing is put together here.

use std::net::IpAddr;

use etherparse::{IpNumber, Ipv6ExtensionSlice, LaxIpSlice, UdpSlice};
use skype_ips_common::parse::Link;

use super::Record;
use super::link::{ETHERNET_HEADER_LEN, IPV4, IPV6, vlan_tags};

const PPPOE_SESSION: u16 = 0x8864;
const MPLS: u16 = 0x8847;
const MPLS_MULTICAST: u16 = 0x8848;
/// Ethernet in GRE (RFC 1701's transparent bridging).
const BRIDGED: u16 = 0x6558;
const ERSPAN_2: u16 = 0x88be;
const ERSPAN_3: u16 = 0x22eb;

const TEREDO_PORT: u16 = 3544;
const VXLAN_PORT: u16 = 4789;
const IPV6_HEADER_LEN: usize = 40;
/// Labels that are followed; real networks stack a few.
const MAX_LABELS: usize = 8;

/// How a packet is carried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Generic Routing Encapsulation, with its key if it has one.
    Gre(Option<u32>),
    /// IPv4 or IPv6 directly in IPv4 or IPv6.
    IpInIp,
    /// IPv6 in UDP, through NATs.
    Teredo,
    /// Ethernet in UDP, with its network identifier.
    Vxlan(u32),
}

impl Kind {
    /// Its name in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Gre(_) => "gre",
            Self::IpInIp => "ip-in-ip",
            Self::Teredo => "teredo",
            Self::Vxlan(_) => "vxlan",
        }
    }
}

/// The outer packet of a tunnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outer {
    /// How it carries the inner one.
    pub kind: Kind,
    /// IP protocol number of the outer packet.
    pub protocol: u8,
    /// Who sent it.
    pub source: IpAddr,
    /// Its UDP port; 0 if the tunnel has none.
    pub source_port: u16,
    /// Whom it is sent to.
    pub destination: IpAddr,
    /// Its UDP port; 0 if the tunnel has none.
    pub destination_port: u16,
}

/// What a packet carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inner {
    /// The inner packet, with number and time of the outer one.
    pub record: Record,
    /// The outer packet; `None` if there was nothing but MPLS labels or PPPoE around it, which
    /// have no ends.
    pub outer: Option<Outer>,
}

/// The packet that a packet carries, one layer down.
pub fn inner(record: &Record) -> Option<Inner> {
    let data = record.data.as_slice();
    let (ethertype, at) = match record.link {
        Link::Ethernet => {
            let (_, at) = vlan_tags(data, ETHERNET_HEADER_LEN - 2);
            (u16_at(data, at)?, at + 2)
        }
        Link::Raw => (version(data)?, 0),
    };
    let body = data.get(at..)?;
    let (link, bytes, outer) = match ethertype {
        IPV4 | IPV6 => {
            let (outer, link, bytes) = carried(body)?;
            (link, bytes, Some(outer))
        }
        PPPOE_SESSION => (Link::Raw, pppoe(body)?, None),
        MPLS | MPLS_MULTICAST => (Link::Raw, mpls(body)?, None),
        _ => return None,
    };
    if link == Link::Raw {
        version(bytes)?;
    }
    let vlan = match (link, &outer) {
        (_, None) => record.vlan.clone(),
        (Link::Ethernet, _) => vlan_tags(bytes, ETHERNET_HEADER_LEN - 2).0,
        (Link::Raw, _) => Vec::new(),
    };
    let missing = record.wire_len.saturating_sub(data.len() as u32);
    Some(Inner {
        record: Record {
            number: record.number,
            timestamp: record.timestamp,
            link,
            vlan,
            data: bytes.to_vec(),
            wire_len: (bytes.len() as u32).saturating_add(missing),
        },
        outer,
    })
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    let bytes = bytes.get(at..at + 2)?;
    Some(u16::from_be_bytes([bytes[0], bytes[1]]))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..at + 4)?.try_into().ok()?;
    Some(u32::from_be_bytes(bytes))
}

/// The protocol number of an IP packet, by its version.
fn version(packet: &[u8]) -> Option<u16> {
    match packet.first()? >> 4 {
        4 => Some(IPV4),
        6 => Some(IPV6),
        _ => None,
    }
}

/// What an IP packet carries: nothing if it isn't a tunnel's.
fn carried(packet: &[u8]) -> Option<(Outer, Link, &[u8])> {
    let (ip, _) = LaxIpSlice::from_slice(packet).ok()?;
    let payload = ip.payload();
    if is_later_fragment(&ip) {
        return None;
    }
    let mut outer = Outer {
        kind: Kind::IpInIp,
        protocol: payload.ip_number.0,
        source: ip.source_addr(),
        source_port: 0,
        destination: ip.destination_addr(),
        destination_port: 0,
    };
    let (link, bytes) = match payload.ip_number {
        IpNumber::IPV4 | IpNumber::IPV6 => (Link::Raw, payload.payload),
        IpNumber::GRE => {
            let (key, link, bytes) = gre(payload.payload)?;
            outer.kind = Kind::Gre(key);
            (link, bytes)
        }
        IpNumber::UDP => {
            let udp = UdpSlice::from_slice_lax(payload.payload).ok()?;
            let ports = (udp.source_port(), udp.destination_port());
            (outer.source_port, outer.destination_port) = ports;
            if ports.1 == VXLAN_PORT {
                let (network, bytes) = vxlan(udp.payload())?;
                outer.kind = Kind::Vxlan(network);
                (Link::Ethernet, bytes)
            } else if ports.0 == TEREDO_PORT || ports.1 == TEREDO_PORT {
                let whole = !payload.incomplete && !payload.fragmented;
                outer.kind = Kind::Teredo;
                (Link::Raw, teredo(udp.payload(), whole)?)
            } else {
                return None;
            }
        }
        _ => return None,
    };
    Some((outer, link, bytes))
}

fn is_later_fragment(ip: &LaxIpSlice<'_>) -> bool {
    match ip {
        LaxIpSlice::Ipv4(ip) => ip.header().fragments_offset().value() > 0,
        LaxIpSlice::Ipv6(ip) => ip.extensions().clone().into_iter().any(|extension| {
            matches!(extension, Ipv6ExtensionSlice::Fragment(fragment)
                if fragment.fragment_offset().value() > 0)
        }),
    }
}

/// Version 0 with checksum, key and sequence number; no source routes.
fn gre(packet: &[u8]) -> Option<(Option<u32>, Link, &[u8])> {
    const CHECKSUM: u16 = 0x8000;
    const ROUTING: u16 = 0x4000;
    const KEY: u16 = 0x2000;
    const SEQUENCE: u16 = 0x1000;
    const VERSION: u16 = 0x0007;
    let (flags, protocol) = (u16_at(packet, 0)?, u16_at(packet, 2)?);
    if flags & (VERSION | ROUTING) != 0 {
        return None;
    }
    let mut at = 4;
    if flags & CHECKSUM != 0 {
        at += 4;
    }
    let mut key = None;
    if flags & KEY != 0 {
        key = Some(u32_at(packet, at)?);
        at += 4;
    }
    if flags & SEQUENCE != 0 {
        at += 4;
    }
    let link = match protocol {
        IPV4 | IPV6 => Link::Raw,
        BRIDGED => Link::Ethernet,
        // The first version has no header, and no sequence number either.
        ERSPAN_2 if flags & SEQUENCE == 0 => Link::Ethernet,
        ERSPAN_2 => {
            erspan_version(packet, at, 1)?;
            at += 8;
            Link::Ethernet
        }
        // Twelve bytes, and eight more if the last bit says so.
        ERSPAN_3 => {
            erspan_version(packet, at, 2)?;
            at += 12 + 8 * usize::from(packet.get(at + 11)? & 1);
            Link::Ethernet
        }
        _ => return None,
    };
    Some((key, link, packet.get(at..)?))
}

/// Whether the header says so itself: types II and III are versions 1 and 2.
fn erspan_version(packet: &[u8], at: usize, version: u8) -> Option<()> {
    (packet.get(at)? >> 4 == version).then_some(())
}

fn vxlan(payload: &[u8]) -> Option<(u32, &[u8])> {
    const HAS_NETWORK: u8 = 0x08;
    let network = u32_at(payload, 4)? >> 8;
    (payload[0] & HAS_NETWORK != 0).then_some((network, &payload[8..]))
}

/// Behind an authentication and an origin, if they are there (RFC 4380, section 5.1.1). Of a
/// `whole` datagram the IPv6 packet has to fit into it.
fn teredo(mut payload: &[u8], whole: bool) -> Option<&[u8]> {
    if payload.starts_with(&[0, 1]) {
        let (id, authentication) = (*payload.get(2)?, *payload.get(3)?);
        payload = payload.get(4 + usize::from(id) + usize::from(authentication) + 9..)?;
    }
    if payload.starts_with(&[0, 0]) {
        payload = payload.get(8..)?;
    }
    let len = IPV6_HEADER_LEN + usize::from(u16_at(payload, 4)?);
    (version(payload)? == IPV6 && (len <= payload.len() || !whole)).then_some(payload)
}

fn pppoe(payload: &[u8]) -> Option<&[u8]> {
    const SESSION_DATA: u16 = 0x1100;
    let is_ip = matches!(u16_at(payload, 6)?, 0x0021 | 0x0057);
    (u16_at(payload, 0)? == SESSION_DATA && is_ip).then(|| &payload[8..])
}

fn mpls(payload: &[u8]) -> Option<&[u8]> {
    const BOTTOM: u32 = 0x100;
    let labels = (0..MAX_LABELS).map(|index| u32_at(payload, 4 * index));
    let before = labels
        .take_while(|label| label.is_some_and(|label| label & BOTTOM == 0))
        .count();
    let bottom = u32_at(payload, 4 * before)?;
    (bottom & BOTTOM != 0).then(|| &payload[4 * (before + 1)..])
}
