//! An IP packet out of a capture, as a host of the lab sends it.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use skype_ips_common::layout::{TCP, UDP};
use skype_ips_common::parse::Link;

use super::checksum;
use crate::capture::{Record, strip_vlan_tags};

/// Longest IP packet of the lab's links, bytes: Ethernet's.
pub(super) const MTU: usize = 1500;

const ETHERNET_HEADER_LEN: usize = 14;
const IPV6_HEADER_LEN: usize = 40;
/// IPv4 options that name the way: routers refuse them.
const SOURCE_ROUTES: [u8; 2] = [131, 137];

/// Why a packet of a capture is not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Unroutable {
    /// Neither IPv4 nor IPv6.
    NotIp,
    /// Its headers contradict themselves.
    Malformed,
    /// The capture has only its first bytes.
    CutOff,
    /// Multicast, broadcast, or an address that no host has.
    NotUnicast,
    /// A link-local end.
    LinkLocal,
    /// A router would be its last stop: TTL or hop limit of 0 or 1.
    HopLimit,
    /// It names its own way, which routers refuse.
    SourceRoute,
    /// Both ends inside or both outside.
    SameSide,
    /// Longer than the MTU, and not TCP, which alone can be cut without being changed for its
    /// receiver.
    OverMtu,
    /// A fragment, where the lab translates addresses.
    Fragment,
    /// Neither TCP nor UDP, where the lab translates addresses.
    Protocol,
    /// Inbound before the first outbound packet of its conversation, behind NAT.
    NoTranslation,
}

impl Unroutable {
    /// The word in reports.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::NotIp => "not-ip",
            Self::Malformed => "malformed",
            Self::CutOff => "cut-off",
            Self::NotUnicast => "not-unicast",
            Self::LinkLocal => "link-local",
            Self::HopLimit => "hop-limit",
            Self::SourceRoute => "source-route",
            Self::SameSide => "same-side",
            Self::OverMtu => "over-mtu",
            Self::Fragment => "fragment",
            Self::Protocol => "protocol",
            Self::NoTranslation => "no-translation",
        }
    }
}

impl fmt::Display for Unroutable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// What a NAT does to a packet on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Translated {
    /// There is none.
    No,
    /// It puts another address and port for the sender's.
    Source,
    /// It puts the inside host's address and port back.
    Back,
}

/// A whole IP packet. The header lengths have been checked, those of TCP and UDP only where
/// [`Packet::ports`] says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Packet {
    bytes: Vec<u8>,
    protocol: u8,
    /// Where the transport header starts.
    transport: usize,
    fragment: bool,
    /// Where the fragment offset is not zero there is no transport header.
    headless: bool,
    /// IPv6 with a routing header: its destination is not the one in the checksum.
    routed: bool,
}

impl Packet {
    /// The IP packet in a record, without link-layer header and tags. Says also how many VLAN
    /// tags the frame had.
    pub(super) fn from_record(record: &Record) -> Result<(Self, usize), Unroutable> {
        let mut bytes = record.data.clone();
        let mut tags = record.vlan.len();
        let mut wire_len = record.wire_len as usize;
        if record.link == Link::Ethernet {
            tags = strip_vlan_tags(&mut bytes);
            match bytes.get(12..ETHERNET_HEADER_LEN) {
                Some([0x08, 0x00] | [0x86, 0xdd]) => {}
                _ => return Err(Unroutable::NotIp),
            }
            bytes.drain(..ETHERNET_HEADER_LEN);
            wire_len = wire_len.saturating_sub(ETHERNET_HEADER_LEN + 4 * tags);
        }
        Ok((Self::parse(bytes, wire_len)?, tags))
    }

    /// Reads an IP packet, perhaps with padding behind it. `wire_len` is what was on the wire.
    fn parse(mut bytes: Vec<u8>, wire_len: usize) -> Result<Self, Unroutable> {
        let word = |at: usize| {
            let pair = bytes.get(at..at + 2).ok_or(Unroutable::CutOff)?;
            Ok(usize::from(u16::from_be_bytes([pair[0], pair[1]])))
        };
        let (len, header_len) = match bytes.first().map(|first| first >> 4) {
            // A length of zero is what offloading leaves to the device.
            Some(4) => {
                let len = match word(2)? {
                    0 => wire_len,
                    len => len,
                };
                (len, usize::from(bytes[0] & 0xf) * 4)
            }
            Some(6) => {
                let len = match word(4)? {
                    0 => wire_len,
                    len => len + IPV6_HEADER_LEN,
                };
                (len, IPV6_HEADER_LEN)
            }
            Some(_) => return Err(Unroutable::NotIp),
            None => return Err(Unroutable::CutOff),
        };
        if header_len < 20 || len < header_len || len > usize::from(u16::MAX) {
            return Err(Unroutable::Malformed);
        }
        if bytes.len() < len {
            // The IP header may also promise more than there ever was.
            return Err(if wire_len < len {
                Unroutable::Malformed
            } else {
                Unroutable::CutOff
            });
        }
        bytes.truncate(len);
        let mut packet = Self {
            protocol: bytes[9],
            bytes,
            transport: header_len,
            fragment: false,
            headless: false,
            routed: false,
        };
        if packet.is_ipv4() {
            let fragment = u16::from_be_bytes([packet.bytes[6], packet.bytes[7]]);
            packet.fragment = fragment & 0x3fff != 0;
            packet.headless = fragment & 0x1fff != 0;
        } else {
            packet.skip_extensions()?;
        }
        packet.write_lengths();
        Ok(packet)
    }

    /// Finds the transport header of an IPv6 packet.
    fn skip_extensions(&mut self) -> Result<(), Unroutable> {
        let mut next = self.bytes[6];
        let mut at = IPV6_HEADER_LEN;
        while matches!(next, 0 | 43 | 44 | 51 | 60) && !self.headless {
            let head = self.bytes.get(at..at + 8).ok_or(Unroutable::Malformed)?;
            let len = match next {
                44 => {
                    self.fragment = head[2] != 0 || head[3] & 0xf9 != 0;
                    self.headless = head[2] != 0 || head[3] & 0xf8 != 0;
                    8
                }
                51 => (usize::from(head[1]) + 2) * 4,
                _ => (usize::from(head[1]) + 1) * 8,
            };
            self.routed |= next == 43;
            next = head[0];
            at += len;
        }
        if at > self.bytes.len() {
            return Err(Unroutable::Malformed);
        }
        (self.protocol, self.transport) = (next, at);
        Ok(())
    }

    fn is_ipv4(&self) -> bool {
        self.bytes[0] >> 4 == 4
    }

    /// The packet from its IP header on.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The IP protocol number of the transport.
    pub(super) fn protocol(&self) -> u8 {
        self.protocol
    }

    /// Sender.
    pub(super) fn source(&self) -> IpAddr {
        self.address(12, 8)
    }

    /// Receiver.
    pub(super) fn destination(&self) -> IpAddr {
        self.address(16, 24)
    }

    fn address(&self, v4: usize, v6: usize) -> IpAddr {
        if self.is_ipv4() {
            let octets: [u8; 4] = self.bytes[v4..v4 + 4].try_into().expect("four bytes");
            Ipv4Addr::from(octets).into()
        } else {
            let octets: [u8; 16] = self.bytes[v6..v6 + 16].try_into().expect("sixteen bytes");
            Ipv6Addr::from(octets).into()
        }
    }

    /// Source and destination port of a TCP or UDP packet whose transport header is whole.
    pub(super) fn ports(&self) -> Option<(u16, u16)> {
        let least = match self.protocol {
            TCP => 20,
            UDP => 8,
            _ => return None,
        };
        let body = &self.bytes[self.transport..];
        if self.headless || body.len() < least {
            return None;
        }
        let word = |at: usize| u16::from_be_bytes([body[at], body[at + 1]]);
        Some((word(0), word(2)))
    }

    /// Whether it is a TCP RST.
    pub(super) fn is_reset(&self) -> bool {
        const RST: u8 = 0x04;
        self.protocol == TCP && self.ports().is_some() && self.bytes[self.transport + 13] & RST != 0
    }

    /// Whether a router would take it from one host to another.
    pub(super) fn check_forwardable(&self) -> Result<(), Unroutable> {
        let limit = if self.is_ipv4() {
            self.bytes[8]
        } else {
            self.bytes[7]
        };
        for address in [self.source(), self.destination()] {
            match address {
                IpAddr::V4(v4) if v4.is_link_local() => return Err(Unroutable::LinkLocal),
                IpAddr::V6(v6) if v6.is_unicast_link_local() => return Err(Unroutable::LinkLocal),
                address if !is_host(address) => return Err(Unroutable::NotUnicast),
                _ => {}
            }
        }
        if limit <= 1 {
            return Err(Unroutable::HopLimit);
        }
        if self.is_ipv4() && self.has_source_route() {
            return Err(Unroutable::SourceRoute);
        }
        Ok(())
    }

    fn has_source_route(&self) -> bool {
        let mut options = &self.bytes[20..self.transport];
        while let Some(kind) = options.first() {
            let len = match kind {
                0 => return false,
                1 => 1,
                kind if SOURCE_ROUTES.contains(kind) => return true,
                _ => options.get(1).map_or(0, |len| usize::from(*len)),
            };
            match options.get(len..) {
                Some(rest) if len > 0 => options = rest,
                _ => return false,
            }
        }
        false
    }

    /// Makes wrong checksums of IP, TCP and UDP right; says whether any was wrong. Captures of a
    /// sending host show what offloading left to its device.
    pub(super) fn repair_checksums(&mut self) -> bool {
        let before = self.bytes.clone();
        self.write_checksums();
        before != self.bytes
    }

    fn write_checksums(&mut self) {
        if self.is_ipv4() {
            self.bytes[10..12].fill(0);
            let sum = checksum::of(&[&self.bytes[..self.transport]]);
            self.bytes[10..12].copy_from_slice(&sum.to_be_bytes());
        }
        // A fragment's checksum covers the parts that are elsewhere.
        if self.fragment || self.routed || self.ports().is_none() {
            return;
        }
        let (at, len) = match self.protocol {
            TCP => (self.transport + 16, self.bytes.len() - self.transport),
            _ => {
                let len = usize::from(u16::from_be_bytes([
                    self.bytes[self.transport + 4],
                    self.bytes[self.transport + 5],
                ]));
                (self.transport + 6, len)
            }
        };
        let unused = self.protocol == UDP && self.is_ipv4() && self.bytes[at..at + 2] == [0, 0];
        if unused || len < 8 || len > self.bytes.len() - self.transport {
            return;
        }
        self.bytes[at..at + 2].fill(0);
        let addresses = if self.is_ipv4() { 12..20 } else { 8..40 };
        let sum = checksum::of(&[
            &self.bytes[addresses],
            &[0, self.protocol],
            &(len as u32).to_be_bytes(),
            &self.bytes[self.transport..self.transport + len],
        ]);
        // In UDP zero would say that there is none.
        let sum = if sum == 0 && self.protocol == UDP {
            0xffff
        } else {
            sum
        };
        self.bytes[at..at + 2].copy_from_slice(&sum.to_be_bytes());
    }

    fn write_lengths(&mut self) {
        let len = self.bytes.len() as u16;
        if self.is_ipv4() {
            self.bytes[2..4].copy_from_slice(&len.to_be_bytes());
        } else {
            let len = len - IPV6_HEADER_LEN as u16;
            self.bytes[4..6].copy_from_slice(&len.to_be_bytes());
        }
    }

    /// Splits a TCP packet over the MTU as a device's segmentation offload does; any other packet
    /// comes back as it is.
    ///
    /// # Errors
    /// It is over the MTU and can't be split.
    pub(super) fn segments(self) -> Result<Vec<Self>, Unroutable> {
        const FIN_PSH: u8 = 0x09;
        const CWR: u8 = 0x80;
        if self.bytes.len() <= MTU {
            return Ok(vec![self]);
        }
        let header_len = match self.ports() {
            Some(_) if self.protocol == TCP && !self.fragment => {
                self.transport + usize::from(self.bytes[self.transport + 12] >> 4) * 4
            }
            _ => return Err(Unroutable::OverMtu),
        };
        if header_len < self.transport + 20 || header_len >= MTU.min(self.bytes.len()) {
            return Err(Unroutable::Malformed);
        }
        let (head, payload) = self.bytes.split_at(header_len);
        let seq_at = self.transport + 4;
        let seq = u32::from_be_bytes(head[seq_at..seq_at + 4].try_into().expect("four bytes"));
        let id = u16::from_be_bytes([head[4], head[5]]);
        let size = MTU - header_len;
        let last = (payload.len() - 1) / size;
        let segments = payload.chunks(size).enumerate().map(|(index, part)| {
            let mut segment = Self {
                bytes: [head, part].concat(),
                ..self
            };
            let seq = seq.wrapping_add((index * size) as u32);
            segment.bytes[seq_at..seq_at + 4].copy_from_slice(&seq.to_be_bytes());
            let flags = &mut segment.bytes[self.transport + 13];
            if index != last {
                *flags &= !FIN_PSH;
            }
            if index != 0 {
                *flags &= !CWR;
            }
            if segment.is_ipv4() {
                let id = id.wrapping_add(index as u16);
                segment.bytes[4..6].copy_from_slice(&id.to_be_bytes());
            }
            segment.write_lengths();
            segment.write_checksums();
            segment
        });
        Ok(segments.collect())
    }

    /// The same as IPv6, between other addresses. Only whole TCP and UDP packets have an
    /// equivalent; an IPv6 packet stays as it is.
    pub(super) fn to_ipv6(
        self,
        address: impl Fn(Ipv4Addr) -> Ipv6Addr,
    ) -> Result<Self, Unroutable> {
        let (IpAddr::V4(source), IpAddr::V4(destination)) = (self.source(), self.destination())
        else {
            return Ok(self);
        };
        self.check_translatable()?;
        let body = &self.bytes[self.transport..];
        let class = u32::from(self.bytes[1]) << 20;
        let mut bytes = (6 << 28 | class).to_be_bytes().to_vec();
        let len = u16::try_from(body.len()).map_err(|_| Unroutable::Malformed)?;
        bytes.extend(len.to_be_bytes());
        bytes.extend([self.protocol, self.bytes[8]]);
        bytes.extend(address(source).octets());
        bytes.extend(address(destination).octets());
        bytes.extend(body);
        Self::complete(bytes)
    }

    /// Whether addresses can be translated: by the lab or by a NAT that handles ports.
    pub(super) fn check_translatable(&self) -> Result<(), Unroutable> {
        if self.fragment {
            Err(Unroutable::Fragment)
        } else if self.ports().is_none() {
            Err(Unroutable::Protocol)
        } else {
            Ok(())
        }
    }

    /// Sends it to another address and port. Of the same family, and [`Packet::ports`] has to
    /// say that there are ports.
    pub(super) fn redirect(&mut self, address: IpAddr, port: u16) {
        match address {
            IpAddr::V4(v4) => self.bytes[16..20].copy_from_slice(&v4.octets()),
            IpAddr::V6(v6) => self.bytes[24..40].copy_from_slice(&v6.octets()),
        }
        let at = self.transport + 2;
        self.bytes[at..at + 2].copy_from_slice(&port.to_be_bytes());
        self.write_checksums();
    }

    /// What forwarding leaves alone: everything but the hop count, the header's checksum, options
    /// that routers fill in, and what `translated` says.
    pub(super) fn unchanged_part(&self, translated: Translated) -> Vec<u8> {
        let mut bytes = self.bytes.clone();
        if self.is_ipv4() {
            bytes[8] = 0;
            bytes[10..12].fill(0);
            bytes[20..self.transport].fill(0);
        } else {
            bytes[7] = 0;
        }
        if translated != Translated::No && self.ports().is_some() {
            // Translators update checksums, which has two ways to say zero (RFC 1624).
            let sum = self.transport + if self.protocol == TCP { 16 } else { 6 };
            bytes[sum..sum + 2].fill(0);
        }
        if translated == Translated::Source && self.ports().is_some() {
            let source = if self.is_ipv4() { 12..16 } else { 8..24 };
            bytes[source].fill(0);
            bytes[self.transport..self.transport + 2].fill(0);
        }
        bytes
    }

    /// A packet out of its bytes, with checksums made right.
    pub(super) fn complete(bytes: Vec<u8>) -> Result<Self, Unroutable> {
        let len = bytes.len();
        let mut packet = Self::parse(bytes, len)?;
        packet.write_checksums();
        Ok(packet)
    }

    /// The IP packet in a frame that a host of the lab received; `None` if there is no whole one.
    pub(super) fn from_frame(frame: &[u8]) -> Option<Self> {
        match frame.get(12..ETHERNET_HEADER_LEN)? {
            [0x08, 0x00] | [0x86, 0xdd] => {}
            _ => return None,
        }
        let bytes = frame[ETHERNET_HEADER_LEN..].to_vec();
        let len = bytes.len();
        Self::parse(bytes, len).ok()
    }

    /// The Ethernet frame around it.
    pub(super) fn frame(&self, source: [u8; 6], destination: [u8; 6]) -> Vec<u8> {
        let ethertype: [u8; 2] = if self.is_ipv4() {
            [0x08, 0x00]
        } else {
            [0x86, 0xdd]
        };
        [&destination[..], &source, &ethertype, &self.bytes].concat()
    }
}

/// Whether a host can have this address on a network that routers reach.
fn is_host(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let first = v4.octets()[0];
            first != 0 && first != 127 && first < 224
        }
        IpAddr::V6(v6) => {
            !v6.is_multicast()
                && !v6.is_unspecified()
                && !v6.is_loopback()
                && v6.to_ipv4_mapped().is_none()
        }
    }
}
