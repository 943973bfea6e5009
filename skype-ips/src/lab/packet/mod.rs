//! An IP packet out of a capture, as a host of the lab sends it.

mod forward;
mod rewrite;
#[cfg(test)]
mod tests;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use skype_ips_common::layout::{TCP, UDP};
use skype_ips_common::parse::Link;

use crate::capture::{Record, strip_vlan_tags};

pub(super) use forward::Unroutable;

/// Longest IP packet of the lab's links, bytes: Ethernet's.
pub(super) const MTU: usize = 1500;

const ETHERNET_HEADER_LEN: usize = 14;
const IPV6_HEADER_LEN: usize = 40;

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
