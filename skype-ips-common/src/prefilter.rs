//! Numbered predicates: could this payload be evidence?
//!
//! Each stands for a family of exact tests in user space and costs a few word reads. Packets that
//! none of them lets through never leave the kernel. Sources: the wire facts that the tests in
//! user space cite; here only what makes look-alikes rare.

use crate::lcg;
use crate::parse::Packet;

/// UDP: payload of type 2 (byte 2 is exactly 02, at least 18 bytes), whose bytes 3-6 are an IV.
pub const UDP_IV: u32 = 1 << 0;
/// UDP: 11 bytes of type 5 (acknowledgement) or 7 (NACK); the bits 0x70 of byte 2 are noise.
pub const UDP_ANSWER: u32 = 1 << 1;
/// UDP: resend after a NACK (type 3, byte 3 is 01, at least 23 bytes).
pub const UDP_RESEND: u32 = 1 << 2;
/// TCP opening: the head of the fake SSLv2-framed hello, 80 46 01 03.
pub const TCP_FAKE_CLIENT: u32 = 1 << 3;
/// TCP opening: the fake ServerHello, told by its unchanging "time" 401be486 at byte 11.
pub const TCP_FAKE_SERVER: u32 = 1 << 4;
/// TCP opening: a TLS record of length zero, or one of the two login heads.
pub const TCP_LOGIN: u32 = 1 << 5;
/// TCP opening of 48 to 111 bytes whose tail obeys the generator's first relation, or is too
/// short for one.
pub const TCP_KEY_EXCHANGE: u32 = 1 << 6;
/// TCP opening that obeys three relations of the legacy stream, or is too short to tell.
pub const TCP_LEGACY: u32 = 1 << 7;
/// UDP: a part of a big answer (type f, byte 6 is 02), whose bytes 7-10 are an IV.
pub const UDP_FRAGMENT: u32 = 1 << 8;
/// TCP opening: a TLS handshake record that begins with a ClientHello.
pub const TCP_CLIENT_HELLO: u32 = 1 << 9;
/// TCP opening: an HTTP request for a page.
pub const TCP_HTTP_GET: u32 = 1 << 10;
/// UDP: a request to map a port of the sender's, by NAT-PMP or PCP.
pub const UDP_PORT_MAPPING: u32 = 1 << 16;
/// UDP: a datagram from or to port 12340, that of SkypeOut's gateways.
pub const UDP_SKYPEOUT: u32 = 1 << 17;
/// Every predicate, with the word that detection packs choose it by.
pub const WORDS: [(u32, &str); 13] = [
    (UDP_IV, "udp-iv"),
    (UDP_ANSWER, "udp-answer"),
    (UDP_RESEND, "udp-resend"),
    (TCP_FAKE_CLIENT, "tcp-fake-client"),
    (TCP_FAKE_SERVER, "tcp-fake-server"),
    (TCP_LOGIN, "tcp-login"),
    (TCP_KEY_EXCHANGE, "tcp-key-exchange"),
    (TCP_LEGACY, "tcp-legacy"),
    (UDP_FRAGMENT, "udp-fragment"),
    (TCP_CLIENT_HELLO, "tcp-client-hello"),
    (TCP_HTTP_GET, "tcp-http-get"),
    (UDP_PORT_MAPPING, "udp-port-mapping"),
    (UDP_SKYPEOUT, "udp-skypeout"),
];

/// Where NAT-PMP and PCP servers listen (RFC 6886, RFC 6887).
pub const PORT_MAPPING_PORT: u16 = 5351;
/// Where SkypeOut's gateways were in 2007 (Bonfiglio et al., Tstat).
pub const SKYPEOUT_PORT: u16 = 12_340;

/// The predicates that a UDP payload satisfies.
#[inline(always)]
pub fn udp<P: Packet>(packet: &P, offset: u32, len: u32) -> u32 {
    if len < 11 {
        return 0;
    }
    let Some(word) = packet.u32(offset) else {
        return 0;
    };
    let kind = word >> 8 & 0xff;
    if len == 11 {
        return if kind & 0x8d == 0x05 { UDP_ANSWER } else { 0 };
    }
    if len >= 18 && kind == 0x02 {
        UDP_IV
    } else if len >= 16 && kind & 0x8f == 0x0f {
        match packet.u32(offset + 4) {
            Some(second) if second >> 8 & 0xff == 0x02 => UDP_FRAGMENT,
            _ => 0,
        }
    } else if len >= 23 && kind & 0x8f == 0x03 && word & 0xff == 0x01 {
        UDP_RESEND
    } else {
        0
    }
}

/// The predicates that also look at a datagram's ports.
#[inline(always)]
pub fn udp_of_port<P: Packet>(
    packet: &P,
    source_port: u16,
    destination_port: u16,
    offset: u32,
    len: u32,
) -> u32 {
    if len < 5 {
        return 0;
    }
    if source_port == SKYPEOUT_PORT || destination_port == SKYPEOUT_PORT {
        return UDP_SKYPEOUT;
    }
    if destination_port != PORT_MAPPING_PORT {
        return 0;
    }
    match packet.u16(offset) {
        // NAT-PMP, version 0: map UDP, map TCP. PCP, version 2: MAP.
        Some(0x0001 | 0x0002) if len == 12 => UDP_PORT_MAPPING,
        Some(0x0201) if len >= 60 => UDP_PORT_MAPPING,
        _ => 0,
    }
}

/// The predicates that the first payload segment of a TCP direction satisfies.
#[inline(always)]
pub fn tcp_opening<P: Packet>(packet: &P, offset: u32, len: u32) -> u32 {
    if len < 5 {
        return 0;
    }
    let Some(head) = packet.u32(offset) else {
        return 0;
    };
    if head == 0x8046_0103 {
        return TCP_FAKE_CLIENT;
    }
    if head & 0xffff_fc00 == 0x1603_0000 {
        let hello = client_hello(packet, offset, len);
        return if head == 0x1603_0100 {
            hello | record(packet, offset, len)
        } else {
            hello
        };
    }
    if head == u32::from_be_bytes(*b"GET ") {
        return TCP_HTTP_GET;
    }
    if head == 0x1703_0100 {
        return record(packet, offset, len);
    }
    let mut found = 0;
    if (48..=111).contains(&len) && key_exchange(packet, offset, len) {
        found |= TCP_KEY_EXCHANGE;
    }
    if len >= 14 && legacy(packet, offset, len) {
        found |= TCP_LEGACY;
    }
    found
}

/// A handshake record of any version up to 1.3: does a ClientHello begin in it?
#[inline(always)]
fn client_hello<P: Packet>(packet: &P, offset: u32, len: u32) -> u32 {
    if len < 6 {
        return 0;
    }
    match packet.u16(offset + 4) {
        Some(word) if word & 0xff == 0x01 => TCP_CLIENT_HELLO,
        _ => 0,
    }
}

/// A record of TLS 1.0: is it one of those that only Skype sends?
#[inline(always)]
fn record<P: Packet>(packet: &P, offset: u32, len: u32) -> u32 {
    let Some(low) = packet.u16(offset + 3) else {
        return 0;
    };
    // Byte 3 is the high byte of the record's length and zero here (it ended the head).
    if low & 0xff == 0 {
        return TCP_LOGIN;
    }
    if len < 15 {
        return 0;
    }
    let Some(body) = packet.u32(offset + 5) else {
        return 0;
    };
    if body == 0x4103_0009 || body == 0x42cd_efe7 {
        return TCP_LOGIN;
    }
    match packet.u32(offset + 11) {
        Some(0x401b_e486) => TCP_FAKE_SERVER,
        _ => 0,
    }
}

/// The padding after the 48-byte key exchange value is a run of the generator's low bytes.
#[inline(always)]
fn key_exchange<P: Packet>(packet: &P, offset: u32, len: u32) -> bool {
    if len < 50 {
        return true;
    }
    match packet.u16(offset + 48) {
        Some(pair) => lcg::next_byte((pair >> 8) as u8) == pair as u8,
        None => false,
    }
}

/// Keystream reuse makes `s[6+i] ^ s[16+i] ^ P[i]`, `P` = 00 00 00 01 .., a generator run.
#[inline(always)]
fn legacy<P: Packet>(packet: &P, offset: u32, len: u32) -> bool {
    if len < 20 {
        return true;
    }
    let (Some(first), Some(second)) = (packet.u32(offset + 6), packet.u32(offset + 16)) else {
        return false;
    };
    let [a, b, c, d] = (first ^ second ^ 0x0000_0001).to_be_bytes();
    lcg::next_byte(a) == b && lcg::next_byte(b) == c && lcg::next_byte(c) == d
}
