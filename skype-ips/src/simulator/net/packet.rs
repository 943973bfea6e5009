//! IPv4 packets of TCP and UDP, as hosts send them and translators change them.

use std::net::SocketAddrV4;

use etherparse::{NetHeaders, PacketBuilder, PacketHeaders, TransportHeader};

/// Longest packet, bytes: Ethernet's.
pub const MTU: usize = 1500;
/// Longest payload of a datagram, bytes.
pub const MAX_PAYLOAD: usize = MTU - 28;
/// Time to live that hosts begin with, which Linux and macOS do.
const TIME_TO_LIVE: u8 = 64;

/// Which of the two protocols.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

/// What the network looks at in a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The protocol.
    pub protocol: Protocol,
    /// Sender.
    pub source: SocketAddrV4,
    /// Receiver.
    pub destination: SocketAddrV4,
    /// Payload bytes.
    pub payload: usize,
    /// The first packet of a connection: SYN without ACK.
    pub opens: bool,
    /// The connection is reset.
    pub resets: bool,
}

impl Header {
    /// Reads it; `None`: neither TCP nor UDP over IPv4, or not whole.
    pub fn read(packet: &[u8]) -> Option<Self> {
        let headers = PacketHeaders::from_ip_slice(packet).ok()?;
        let Some(NetHeaders::Ipv4(ip, _)) = &headers.net else {
            return None;
        };
        let ends = |source, destination| {
            (
                SocketAddrV4::new(ip.source.into(), source),
                SocketAddrV4::new(ip.destination.into(), destination),
            )
        };
        let payload = headers.payload.slice().len();
        let (protocol, (source, destination), opens, resets) = match &headers.transport {
            Some(TransportHeader::Udp(udp)) => (
                Protocol::Udp,
                ends(udp.source_port, udp.destination_port),
                false,
                false,
            ),
            Some(TransportHeader::Tcp(tcp)) => (
                Protocol::Tcp,
                ends(tcp.source_port, tcp.destination_port),
                tcp.syn && !tcp.ack,
                tcp.rst,
            ),
            _ => return None,
        };
        Some(Self {
            protocol,
            source,
            destination,
            payload,
            opens,
            resets,
        })
    }
}

/// The payload of a datagram that [`Header::read`] took.
pub(super) fn datagram(packet: &[u8]) -> &[u8] {
    let header_len = usize::from(packet[0] & 0x0f) * 4;
    let len = usize::from(u16::from_be_bytes([
        packet[header_len + 4],
        packet[header_len + 5],
    ]));
    &packet[header_len + 8..header_len + len]
}

/// A datagram. `identification` is the IP header's.
///
/// # Panics
/// If the payload is longer than [`MAX_PAYLOAD`].
pub(super) fn udp(
    source: SocketAddrV4,
    destination: SocketAddrV4,
    identification: u16,
    payload: &[u8],
) -> Vec<u8> {
    assert!(payload.len() <= MAX_PAYLOAD, "a datagram fits the MTU");
    let builder = PacketBuilder::ipv4(
        source.ip().octets(),
        destination.ip().octets(),
        TIME_TO_LIVE,
    )
    .udp(source.port(), destination.port());
    let mut bytes = Vec::with_capacity(builder.size(payload.len()));
    builder
        .write(&mut bytes, payload)
        .expect("a vector takes everything");
    bytes[4..6].copy_from_slice(&identification.to_be_bytes());
    let checksum = header_checksum(&bytes);
    bytes[10..12].copy_from_slice(&checksum.to_be_bytes());
    bytes
}

/// Which end of a packet is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The sender.
    Source,
    /// The receiver.
    Destination,
}

/// Puts another address and port in, and makes the checksums right (RFC 1624).
pub(super) fn translate(packet: &mut [u8], end: End, to: SocketAddrV4) {
    let header_len = usize::from(packet[0] & 0x0f) * 4;
    let udp = packet[9] == 17;
    let (address_at, port_at) = match end {
        End::Source => (12, header_len),
        End::Destination => (16, header_len + 2),
    };
    let checksum_at = header_len + if udp { 6 } else { 16 };
    let address = to.ip().octets();
    let old = word(packet, checksum_at);
    let mut sum = !u32::from(old) & 0xffff;
    for (at, new) in [
        (address_at, [address[0], address[1]]),
        (address_at + 2, [address[2], address[3]]),
        (port_at, to.port().to_be_bytes()),
    ] {
        sum += !u32::from(word(packet, at)) & 0xffff;
        sum += u32::from(u16::from_be_bytes(new));
        packet[at..at + 2].copy_from_slice(&new);
    }
    // A datagram without a checksum stays without.
    if !(udp && old == 0) {
        let checksum = match !fold(sum) {
            0 if udp => 0xffff,
            checksum => checksum,
        };
        packet[checksum_at..checksum_at + 2].copy_from_slice(&checksum.to_be_bytes());
    }
    let checksum = header_checksum(packet);
    packet[10..12].copy_from_slice(&checksum.to_be_bytes());
}

/// One hop of a router: a lower time to live. Says whether any is left.
pub(crate) fn hop(packet: &mut [u8]) -> bool {
    packet[8] = packet[8].saturating_sub(1);
    let checksum = header_checksum(packet);
    packet[10..12].copy_from_slice(&checksum.to_be_bytes());
    packet[8] > 0
}

/// Where a TCP segment stands in its stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Segment {
    /// Sequence number of its first byte.
    pub(super) first: u32,
    /// Sequence number behind its last, SYN and FIN counted.
    pub(super) behind: u32,
    /// It opens the connection.
    pub(super) syn: bool,
    /// It says nothing but what has arrived.
    pub(super) bare: bool,
}

impl Segment {
    /// Reads it out of a TCP packet that is whole.
    pub(super) fn read(packet: &[u8]) -> Self {
        const FIN: u8 = 0x01;
        const SYN: u8 = 0x02;
        const ACK: u8 = 0x10;
        let tcp = &packet[usize::from(packet[0] & 0x0f) * 4..];
        let first = u32::from_be_bytes([tcp[4], tcp[5], tcp[6], tcp[7]]);
        let payload = tcp.len() - usize::from(tcp[12] >> 4) * 4;
        let flags = tcp[13];
        let counted = u32::from(flags & SYN != 0) + u32::from(flags & FIN != 0);
        Self {
            first,
            behind: first.wrapping_add(payload as u32 + counted),
            syn: flags & SYN != 0,
            bare: flags == ACK && payload == 0,
        }
    }
}

/// Puts another sequence number into a TCP packet, and makes the checksum right (RFC 1624).
pub(super) fn renumber(packet: &mut [u8], sequence: u32) {
    let header_len = usize::from(packet[0] & 0x0f) * 4;
    let checksum_at = header_len + 16;
    let mut sum = !u32::from(word(packet, checksum_at)) & 0xffff;
    for (at, new) in [
        (header_len + 4, (sequence >> 16) as u16),
        (header_len + 6, sequence as u16),
    ] {
        sum += !u32::from(word(packet, at)) & 0xffff;
        sum += u32::from(new);
        packet[at..at + 2].copy_from_slice(&new.to_be_bytes());
    }
    let checksum = !fold(sum);
    packet[checksum_at..checksum_at + 2].copy_from_slice(&checksum.to_be_bytes());
}

fn word(packet: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([packet[at], packet[at + 1]])
}

fn fold(mut sum: u32) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

/// What the IP header's checksum has to be.
fn header_checksum(packet: &[u8]) -> u16 {
    let header_len = usize::from(packet[0] & 0x0f) * 4;
    let words = (0..header_len).step_by(2).filter(|at| *at != 10);
    !fold(words.map(|at| u32::from(word(packet, at))).sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn end(text: &str) -> SocketAddrV4 {
        text.parse().expect("an address and port")
    }

    #[test]
    fn a_translated_datagram_is_the_one_that_would_have_been_sent() {
        let (inside, outside, peer) = (
            end("10.0.0.2:4000"),
            end("192.0.2.1:61001"),
            end("198.51.100.7:33033"),
        );
        for payload in [&b""[..], b"x", b"hello", &[0xff; 1472]] {
            let mut packet = udp(inside, peer, 7, payload);
            translate(&mut packet, End::Source, outside);
            assert_eq!(packet, udp(outside, peer, 7, payload));
            let mut back = udp(peer, outside, 9, payload);
            translate(&mut back, End::Destination, inside);
            assert_eq!(back, udp(peer, inside, 9, payload));
            assert_eq!(datagram(&back), payload);
        }
    }

    #[test]
    fn a_renumbered_segment_is_the_one_that_would_have_been_sent() {
        let segment = |sequence| {
            let mut bytes = Vec::new();
            PacketBuilder::ipv4([10, 0, 0, 2], [192, 0, 2, 1], TIME_TO_LIVE)
                .tcp(4000, 80, sequence, 512)
                .ack(7)
                .write(&mut bytes, &[])
                .expect("a vector takes everything");
            bytes
        };
        for (old, new) in [(1, 2), (0xffff_ffff, 5), (0x0001_0000, 0x1234_ffff)] {
            let mut packet = segment(old);
            assert!(Segment::read(&packet).bare);
            renumber(&mut packet, new);
            assert_eq!(packet, segment(new));
        }
    }

    #[test]
    fn headers_are_read() {
        let packet = udp(end("10.0.0.2:4000"), end("192.0.2.1:53"), 1, b"abc");
        let header = Header::read(&packet).expect("a datagram");
        assert_eq!(header.protocol, Protocol::Udp);
        assert_eq!(
            (header.source, header.destination, header.payload),
            (end("10.0.0.2:4000"), end("192.0.2.1:53"), 3)
        );
        assert_eq!(Header::read(&packet[..27]), None);
        assert_eq!(Header::read(&[]), None);
    }

    #[test]
    fn the_last_hop_leaves_nothing() {
        let mut packet = udp(end("10.0.0.2:1"), end("10.0.0.3:2"), 1, b"");
        let left = (1..=TIME_TO_LIVE).filter(|_| hop(&mut packet)).count();
        assert_eq!(left, usize::from(TIME_TO_LIVE) - 1);
        assert!(Header::read(&packet).is_some());
    }
}
