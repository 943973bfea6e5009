//! What is changed in a packet before it is sent.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use skype_ips_common::layout::{TCP, UDP};

use super::super::checksum;
use super::{IPV6_HEADER_LEN, MTU, Packet, Unroutable};

impl Packet {
    /// Makes wrong checksums of IP, TCP and UDP right; says whether any was wrong. Captures of a
    /// sending host show what offloading left to its device.
    pub(in crate::lab) fn repair_checksums(&mut self) -> bool {
        let before = self.bytes.clone();
        self.write_checksums();
        before != self.bytes
    }

    pub(super) fn write_checksums(&mut self) {
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

    pub(super) fn write_lengths(&mut self) {
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
    pub(in crate::lab) fn segments(self) -> Result<Vec<Self>, Unroutable> {
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
    pub(in crate::lab) fn into_ipv6(
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

    /// Sends it to another address and port. Of the same family, and [`Packet::ports`] has to
    /// say that there are ports.
    pub(in crate::lab) fn redirect(&mut self, address: IpAddr, port: u16) {
        match address {
            IpAddr::V4(v4) => self.bytes[16..20].copy_from_slice(&v4.octets()),
            IpAddr::V6(v6) => self.bytes[24..40].copy_from_slice(&v6.octets()),
        }
        let at = self.transport + 2;
        self.bytes[at..at + 2].copy_from_slice(&port.to_be_bytes());
        self.write_checksums();
    }

    /// A packet out of its bytes, with checksums made right.
    pub(in crate::lab) fn complete(bytes: Vec<u8>) -> Result<Self, Unroutable> {
        let len = bytes.len();
        let mut packet = Self::parse(bytes, len)?;
        packet.write_checksums();
        Ok(packet)
    }
}
