//! Packets of a session, and the frames that a capture holds of them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use skype_ips::capture::Record;
use skype_ips_common::parse::Link;

/// IP protocol numbers.
pub(crate) const TCP: u8 = 6;
pub(crate) const UDP: u8 = 17;

pub(crate) const FIN: u8 = 0x01;
pub(crate) const SYN: u8 = 0x02;
pub(crate) const PSH: u8 = 0x08;
pub(crate) const ACK: u8 = 0x10;

const ETHERNET: usize = 14;

/// A UDP conversation or a TCP connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Flow {
    pub(crate) protocol: u8,
    pub(crate) inside: SocketAddr,
    pub(crate) outside: SocketAddr,
}

impl Flow {
    /// The same between hosts with IPv6 addresses.
    pub(crate) fn over_ipv6(self) -> Self {
        Self {
            inside: over_ipv6(self.inside, 0xfd00),
            outside: over_ipv6(self.outside, 0x2001),
            ..self
        }
    }
}

/// The same end with an IPv6 address that begins with `prefix`.
pub(crate) fn over_ipv6(end: SocketAddr, prefix: u16) -> SocketAddr {
    match end.ip() {
        IpAddr::V4(address) => {
            let [a, b, c, d] = address.octets().map(u16::from);
            let address = Ipv6Addr::new(prefix, 0xdb8, 0, 0, 0, 1, a << 8 | b, c << 8 | d);
            SocketAddr::new(address.into(), end.port())
        }
        IpAddr::V6(_) => end,
    }
}

/// What a packet says of Skype, as the session's author knows it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Note {
    /// A state of the inside host's generator is in it, in clear: in which order it was drawn.
    pub(crate) state: Option<u32>,
    /// Its place in an exchange that only Skype makes, by number.
    pub(crate) step: Option<(u32, Step)>,
}

/// The steps of such an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Ask,
    /// Names the address under which the asker is seen.
    Answer,
    /// Repeats what a NACK asked for.
    Resend,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Body {
    Datagram(Vec<u8>),
    Segment {
        flags: u8,
        seq: u32,
        ack: u32,
        payload: Vec<u8>,
    },
}

/// A packet on its way past the gateway.
#[derive(Clone, Debug)]
pub(crate) struct Packet {
    /// Nanoseconds since the session's start.
    pub(crate) time: u64,
    pub(crate) flow: Flow,
    pub(crate) outbound: bool,
    pub(crate) body: Body,
    pub(crate) note: Note,
}

impl Packet {
    pub(crate) fn payload(&self) -> &[u8] {
        match &self.body {
            Body::Datagram(payload) | Body::Segment { payload, .. } => payload,
        }
    }

    /// Ethernet, tags, IP and transport headers, bytes.
    fn headers(&self, tags: usize) -> usize {
        let ip = if self.flow.inside.is_ipv4() { 20 } else { 40 };
        let transport = match self.body {
            Body::Datagram(_) => 8,
            Body::Segment { .. } => 20,
        };
        ETHERNET + 4 * tags + ip + transport
    }
}

/// What the path and the capture make of packets.
#[derive(Clone, Debug)]
pub(crate) struct Path {
    /// VLAN identifiers, the outer one first.
    pub(crate) vlan: Vec<u16>,
    /// Bytes kept of a frame.
    pub(crate) snap: Option<usize>,
    /// Longest IPv4 packet; longer ones come in fragments.
    pub(crate) mtu: usize,
}

impl Path {
    /// Payload bytes of a packet that the capture keeps in its first frame.
    pub(crate) fn at_hand(&self, packet: &Packet) -> usize {
        let kept = self.snap.unwrap_or(usize::MAX);
        let kept = kept.saturating_sub(packet.headers(self.vlan.len()));
        packet.payload().len().min(kept)
    }

    /// The records of a packet, `time` in nanoseconds since the Unix epoch.
    pub(crate) fn records(&self, packet: &Packet, time: u64, id: u16) -> Vec<Record> {
        let packets = self.ip_packets(packet, id).into_iter();
        packets.map(|ip| self.record(&ip, time)).collect()
    }

    fn record(&self, ip: &[u8], time: u64) -> Record {
        let mut data = vec![2; 12];
        for tag in &self.vlan {
            data.extend([0x81, 0x00]);
            data.extend(tag.to_be_bytes());
        }
        data.extend(if ip[0] >> 4 == 4 {
            [0x08, 0x00]
        } else {
            [0x86, 0xdd]
        });
        data.extend(ip);
        let wire_len = data.len() as u32;
        data.truncate(self.snap.unwrap_or(usize::MAX));
        Record {
            number: 1,
            timestamp: time,
            link: Link::Ethernet,
            vlan: self.vlan.clone(),
            data,
            wire_len,
        }
    }

    fn ip_packets(&self, packet: &Packet, id: u16) -> Vec<Vec<u8>> {
        let Flow {
            protocol,
            inside,
            outside,
        } = packet.flow;
        let (source, destination) = if packet.outbound {
            (inside, outside)
        } else {
            (outside, inside)
        };
        let body = transport(packet, source.port(), destination.port());
        match (source.ip(), destination.ip()) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                ipv4(self.mtu, (source, destination), protocol, id, &body)
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                let mut bytes = vec![0x60, 0, 0, 0];
                bytes.extend((body.len() as u16).to_be_bytes());
                bytes.extend([protocol, 64]);
                bytes.extend(source.octets());
                bytes.extend(destination.octets());
                bytes.extend(body);
                vec![bytes]
            }
            _ => panic!("addresses of one family"),
        }
    }
}

fn transport(packet: &Packet, source_port: u16, destination_port: u16) -> Vec<u8> {
    let mut bytes = source_port.to_be_bytes().to_vec();
    bytes.extend(destination_port.to_be_bytes());
    match &packet.body {
        Body::Datagram(payload) => {
            bytes.extend((8 + payload.len() as u16).to_be_bytes());
            bytes.extend([0, 0]);
        }
        Body::Segment {
            flags, seq, ack, ..
        } => {
            bytes.extend(seq.to_be_bytes());
            bytes.extend(ack.to_be_bytes());
            bytes.extend([0x50, *flags, 0xff, 0xff, 0, 0, 0, 0]);
        }
    }
    bytes.extend(packet.payload());
    bytes
}

fn ipv4(
    mtu: usize,
    (source, destination): (Ipv4Addr, Ipv4Addr),
    protocol: u8,
    id: u16,
    body: &[u8],
) -> Vec<Vec<u8>> {
    // Offsets count in units of eight bytes.
    let most = (mtu - 20) / 8 * 8;
    let parts = body.chunks(most).enumerate();
    let last = body.len().div_ceil(most) - 1;
    parts
        .map(|(index, part)| {
            let more = u16::from(index < last) << 13;
            let place = more | (index * most / 8) as u16;
            let mut bytes = vec![0x45, 0];
            bytes.extend((20 + part.len() as u16).to_be_bytes());
            bytes.extend(id.to_be_bytes());
            bytes.extend(place.to_be_bytes());
            bytes.extend([64, protocol, 0, 0]);
            bytes.extend(source.octets());
            bytes.extend(destination.octets());
            bytes.extend(part);
            bytes
        })
        .collect()
}
