//! From the first bytes of a frame to addresses, ports and payload.
//!
//! Ethernet, 802.1Q and 802.1ad tags, IPv4 with options, IPv6 with extension headers, TCP, UDP and
//! fragments. Reads at most the first [`HEAD_LEN`] bytes, in units of two or four: the verifier
//! doesn't credit one-byte bounds checks at variable offsets.

use crate::layout::{Address, TCP, UDP, mapped};

/// Bytes of a frame that the gate looks at.
///
/// Ethernet with two tags (22), the longest IPv4 header or IPv6 with modest extensions (60), the
/// longest TCP header (60) and the 50 payload bytes that the pre-filter reads fit with room.
pub const HEAD_LEN: u32 = 256;

/// Read access to a frame or packet.
pub trait Packet {
    /// Length of the whole, as it came from the wire.
    fn len(&self) -> u32;
    /// Two bytes in network order; `None` beyond the end or [`HEAD_LEN`].
    fn u16(&self, offset: u32) -> Option<u16>;
    /// Four bytes in network order; `None` beyond the end or [`HEAD_LEN`].
    fn u32(&self, offset: u32) -> Option<u32>;

    /// Segments on the wire, from 1: more where offload has put several packets together.
    #[inline(always)]
    fn segments(&self) -> u32 {
        1
    }

    /// The VLAN of a tag that the device took off the frame; 0 if it took none.
    #[inline(always)]
    fn vlan(&self) -> u16 {
        0
    }

    /// Whether there are no bytes at all.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A packet in memory. `wire_len` may exceed the bytes at hand (cut-off captures, copy ranges).
#[derive(Clone, Copy, Debug)]
pub struct Slice<'a> {
    bytes: &'a [u8],
    wire_len: u32,
}

impl<'a> Slice<'a> {
    /// All of a packet.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self::with_wire_len(bytes, bytes.len() as u32)
    }

    /// The first bytes of a packet of `wire_len` bytes.
    pub fn with_wire_len(bytes: &'a [u8], wire_len: u32) -> Self {
        Self {
            bytes: &bytes[..bytes.len().min(HEAD_LEN as usize)],
            wire_len,
        }
    }
}

impl Packet for Slice<'_> {
    fn len(&self) -> u32 {
        self.wire_len
    }

    fn u16(&self, offset: u32) -> Option<u16> {
        let at = offset as usize;
        Some(u16::from_be_bytes(
            self.bytes.get(at..at + 2)?.try_into().ok()?,
        ))
    }

    fn u32(&self, offset: u32) -> Option<u32> {
        let at = offset as usize;
        Some(u32::from_be_bytes(
            self.bytes.get(at..at + 4)?.try_into().ok()?,
        ))
    }
}

/// What the first byte of a frame belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// An Ethernet header.
    Ethernet,
    /// An IP header.
    Raw,
}

/// Where in a set of fragments a packet stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fragment {
    /// Not a fragment.
    #[default]
    Whole,
    /// The first, with the transport header; the identification.
    First(u32),
    /// A later one, without ports; the identification.
    Later(u32),
}

/// TCP flag bit SYN.
pub const SYN: u16 = 0x02;
/// TCP flag bit ACK.
pub const ACK: u16 = 0x10;

/// The headers of a TCP or UDP packet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Headers {
    /// Sender.
    pub source: Address,
    /// Receiver.
    pub destination: Address,
    /// [`TCP`] or [`UDP`].
    pub protocol: u8,
    /// Port of the sender; 0 in a later fragment.
    pub source_port: u16,
    /// Port of the receiver; 0 in a later fragment.
    pub destination_port: u16,
    /// The VLAN of the outer tag, 1 to 4094; 0 without one.
    pub vlan: u16,
    /// Offset of the IP header in the frame.
    pub ip_offset: u32,
    /// Bytes of the IP packet.
    pub ip_len: u32,
    /// Offset of the payload in the frame.
    pub payload_offset: u32,
    /// Bytes of payload in this packet.
    pub payload_len: u32,
    /// TCP flags, low byte; 0 for UDP.
    pub tcp_flags: u16,
    /// TCP sequence number; 0 for UDP.
    pub tcp_seq: u32,
    /// Fragmentation.
    pub fragment: Fragment,
}

impl Headers {
    /// Bytes on the wire of IP packets in which this one goes as so many segments, each with headers
    /// of its own.
    #[inline(always)]
    pub const fn wire_bytes(&self, segments: u32) -> u32 {
        let header_len = self.payload_offset.wrapping_sub(self.ip_offset);
        let more = segments.saturating_sub(1).saturating_mul(header_len);
        self.ip_len.saturating_add(more)
    }
}

/// Why a packet has no [`Headers`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Not IP, or neither TCP nor UDP.
    Foreign,
    /// The headers contradict themselves, or are cut off or longer than [`HEAD_LEN`].
    Undecodable,
}

/// Ethertype of IPv4.
pub const IPV4: u16 = 0x0800;
/// Ethertype of IPv6.
pub const IPV6: u16 = 0x86dd;
const MAX_TAGS: u32 = 2;
/// Bits of a tag that number the VLAN (IEEE 802.1Q).
pub const VLAN_BITS: u16 = 0xfff;
const MAX_EXTENSIONS: u32 = 6;

/// Reads the headers of a frame.
pub fn headers<P: Packet>(packet: &P, link: Link) -> Result<Headers, Refusal> {
    let mut headers = Headers::default();
    read_headers(packet, link, &mut headers)?;
    Ok(headers)
}

/// Reads the headers of a frame into `headers`, which is the caller's because the kernel's stack
/// is small; its contents mean nothing after a refusal.
#[inline(always)]
pub fn read_headers<P: Packet>(
    packet: &P,
    link: Link,
    headers: &mut Headers,
) -> Result<(), Refusal> {
    let cut = Refusal::Undecodable;
    let network = network(packet, link).ok_or(cut)?;
    headers.vlan = network.vlan;
    headers.ip_offset = network.offset;
    let offset = network.offset;
    match network.ethertype {
        IPV4 => ipv4(packet, offset, headers)?,
        IPV6 => ipv6(packet, offset, headers)?,
        _ => return Err(Refusal::Foreign),
    }
    transport(packet, headers)
}

/// What lies behind the link's own headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    /// What it is, as an ethertype.
    pub ethertype: u16,
    /// Where it begins.
    pub offset: u32,
    /// As in [`Headers`].
    pub vlan: u16,
}

/// Finds what lies behind the link's own headers; `None` where the frame is cut off.
#[inline(always)]
pub fn network<P: Packet>(packet: &P, link: Link) -> Option<Network> {
    let mut found = Network {
        ethertype: 0,
        offset: 0,
        vlan: packet.vlan(),
    };
    match link {
        Link::Ethernet => {
            found.ethertype = packet.u16(12)?;
            found.offset = 14;
            let mut tags = 0;
            while tags < MAX_TAGS && matches!(found.ethertype, 0x8100 | 0x88a8 | 0x9100) {
                // A priority tag names VLAN 0: none.
                if found.vlan == 0 {
                    found.vlan = packet.u16(found.offset)? & VLAN_BITS;
                }
                found.ethertype = packet.u16(found.offset + 2)?;
                found.offset += 4;
                tags += 1;
            }
        }
        Link::Raw => {
            found.ethertype = match packet.u16(0)? >> 12 {
                4 => IPV4,
                6 => IPV6,
                _ => return None,
            };
        }
    }
    Some(found)
}

/// Reads the IPv4 header; `payload_*` then say where the transport header is.
#[inline(always)]
fn ipv4<P: Packet>(packet: &P, start: u32, headers: &mut Headers) -> Result<(), Refusal> {
    let cut = Refusal::Undecodable;
    let first = packet.u32(start).ok_or(cut)?;
    let header_len = (first >> 24 & 0xf) * 4;
    if first >> 28 != 4 || header_len < 20 {
        return Err(cut);
    }
    // A length of zero is what some offloads leave for the device to fill in.
    headers.ip_len = match first & 0xffff {
        0 => packet.len().saturating_sub(start),
        len => len,
    };
    if headers.ip_len < header_len {
        return Err(cut);
    }
    headers.payload_offset = start + header_len;
    headers.payload_len = headers.ip_len - header_len;
    let identification = packet.u32(start + 4).ok_or(cut)?;
    let id = identification >> 16;
    headers.fragment = match (identification & 0x1fff, identification & 0x2000) {
        (0, 0) => Fragment::Whole,
        (0, _) => Fragment::First(id),
        _ => Fragment::Later(id),
    };
    headers.protocol = packet.u16(start + 8).ok_or(cut)? as u8;
    headers.source = mapped(packet.u32(start + 12).ok_or(cut)?.to_be_bytes());
    headers.destination = mapped(packet.u32(start + 16).ok_or(cut)?.to_be_bytes());
    Ok(())
}

/// Reads the IPv6 header and its extensions; `payload_*` then say where the transport header is.
#[inline(always)]
fn ipv6<P: Packet>(packet: &P, start: u32, headers: &mut Headers) -> Result<(), Refusal> {
    let cut = Refusal::Undecodable;
    let second = packet.u32(start + 4).ok_or(cut)?;
    // A length of zero is a jumbogram or what an offload left: the frame says it then.
    let body_len = match second >> 16 {
        0 => packet.len().saturating_sub(start + 40),
        len => len,
    };
    address(packet, start + 8, &mut headers.source).ok_or(cut)?;
    address(packet, start + 24, &mut headers.destination).ok_or(cut)?;
    let mut next = (second >> 8) as u8;
    let mut skipped = 0;
    headers.fragment = Fragment::Whole;
    let mut extensions = 0;
    while extensions < MAX_EXTENSIONS && matches!(next, 0 | 43 | 44 | 51 | 60) {
        if matches!(headers.fragment, Fragment::Later(_)) {
            break;
        }
        let head = packet.u32(start + 40 + skipped).ok_or(cut)?;
        let len = match next {
            44 => {
                let id = packet.u32(start + 44 + skipped).ok_or(cut)?;
                headers.fragment = match (head & 0xfff8, head & 1) {
                    (0, 0) => Fragment::Whole,
                    (0, _) => Fragment::First(id),
                    _ => Fragment::Later(id),
                };
                8
            }
            51 => ((head >> 16 & 0xff) + 2) * 4,
            _ => ((head >> 16 & 0xff) + 1) * 8,
        };
        next = (head >> 24) as u8;
        skipped += len;
        extensions += 1;
        if skipped > HEAD_LEN {
            return Err(cut);
        }
    }
    if body_len < skipped {
        return Err(cut);
    }
    headers.protocol = next;
    headers.ip_len = body_len + 40;
    headers.payload_offset = start + 40 + skipped;
    headers.payload_len = body_len - skipped;
    Ok(())
}

#[inline(always)]
fn address<P: Packet>(packet: &P, offset: u32, address: &mut Address) -> Option<()> {
    let mut word = 0;
    while word < 4 {
        let bytes = packet.u32(offset + word * 4)?.to_be_bytes();
        let at = word as usize * 4;
        address[at] = bytes[0];
        address[at + 1] = bytes[1];
        address[at + 2] = bytes[2];
        address[at + 3] = bytes[3];
        word += 1;
    }
    Some(())
}

/// Reads the transport header; `payload_*` then say where the payload is.
#[inline(always)]
fn transport<P: Packet>(packet: &P, headers: &mut Headers) -> Result<(), Refusal> {
    let cut = Refusal::Undecodable;
    let offset = headers.payload_offset;
    headers.source_port = 0;
    headers.destination_port = 0;
    headers.tcp_flags = 0;
    headers.tcp_seq = 0;
    if headers.protocol != TCP && headers.protocol != UDP {
        return Err(Refusal::Foreign);
    }
    if let Fragment::Later(_) = headers.fragment {
        return Ok(());
    }
    let ports = packet.u32(offset).ok_or(cut)?;
    headers.source_port = (ports >> 16) as u16;
    headers.destination_port = ports as u16;
    let header_len = if headers.protocol == TCP {
        headers.tcp_seq = packet.u32(offset + 4).ok_or(cut)?;
        let word = packet.u16(offset + 12).ok_or(cut)?;
        headers.tcp_flags = word & 0xff;
        let header_len = u32::from(word >> 12) * 4;
        if header_len < 20 {
            return Err(cut);
        }
        header_len
    } else {
        let udp_len = u32::from(packet.u16(offset + 4).ok_or(cut)?);
        // Of a fragmented datagram the first part is shorter than the UDP header says.
        if udp_len != 0 && udp_len < headers.payload_len {
            headers.payload_len = udp_len;
        }
        8
    };
    if headers.payload_len < header_len {
        return Err(cut);
    }
    headers.payload_offset = offset + header_len;
    headers.payload_len -= header_len;
    Ok(())
}
