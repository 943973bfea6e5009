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
/// TCP opening of 48 to 127 bytes (111, and what may follow in the same segment) whose tail obeys
/// the generator's first relation, or a shorter one that may be random.
pub const TCP_KEY_EXCHANGE: u32 = 1 << 6;
/// TCP opening that obeys three relations of the legacy stream, or a shorter one that may be
/// random.
pub const TCP_LEGACY: u32 = 1 << 7;
/// UDP: a part of a big answer (type f, byte 6 is 02), whose bytes 7-10 are an IV.
pub const UDP_FRAGMENT: u32 = 1 << 8;
/// TCP opening: a TLS handshake record that begins with a ClientHello.
pub const TCP_CLIENT_HELLO: u32 = 1 << 9;
/// TCP opening: an HTTP request for a page.
pub const TCP_HTTP_GET: u32 = 1 << 10;
/// UDP to port 53: a question for one name (RFC 1035, section 4.1.1: no answer, a standard query)
/// that may end as names in the loaded detection packs do.
pub const UDP_DNS: u32 = 1 << 11;
/// UDP: an Initial packet of a QUIC version whose keys are public (1, 2, drafts 29 to 32), in a
/// datagram of 1200 bytes at least, as a client has to send it (RFC 9000, section 14.1).
pub const UDP_QUIC_INITIAL: u32 = 1 << 12;
/// UDP: a STUN message, told by the cookie in its header (RFC 8489, section 5) or, as Microsoft's
/// relays still speak it, in its first attribute (MS-TURN).
pub const UDP_STUN: u32 = 1 << 13;
/// TCP opening: what a client says to an HTTP proxy (CONNECT) or a SOCKS proxy.
pub const TCP_PROXY: u32 = 1 << 14;
/// UDP: a request to map a port of the sender's, by NAT-PMP or PCP.
pub const UDP_PORT_MAPPING: u32 = 1 << 16;
/// UDP: a datagram from or to port 12340, that of SkypeOut's gateways.
pub const UDP_SKYPEOUT: u32 = 1 << 17;
/// TCP opening: an HTTP POST that an inside host sends to another port than 80 and 443, as requests
/// to a router are (UPnP).
pub const TCP_UPNP: u32 = 1 << 18;
/// All that a TCP opening can satisfy.
const TCP_ALL: u32 = TCP_FAKE_CLIENT
    | TCP_FAKE_SERVER
    | TCP_LOGIN
    | TCP_KEY_EXCHANGE
    | TCP_LEGACY
    | TCP_CLIENT_HELLO
    | TCP_HTTP_GET
    | TCP_PROXY;
/// Every predicate, with the word that detection packs choose it by.
pub const WORDS: [(u32, &str); 18] = [
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
    (UDP_DNS, "udp-dns"),
    (UDP_QUIC_INITIAL, "udp-quic-initial"),
    (UDP_STUN, "udp-stun"),
    (TCP_PROXY, "tcp-proxy"),
    (UDP_PORT_MAPPING, "udp-port-mapping"),
    (UDP_SKYPEOUT, "udp-skypeout"),
    (TCP_UPNP, "tcp-upnp"),
];

/// Where NAT-PMP and PCP servers listen (RFC 6886, RFC 6887).
pub const PORT_MAPPING_PORT: u16 = 5351;
/// Where SkypeOut's gateways were in 2007 (Bonfiglio et al., Tstat).
pub const SKYPEOUT_PORT: u16 = 12_340;

/// The predicates that a UDP payload satisfies. `to` is the outside port that an inside host sends
/// it to, 0 for what it receives: of late Skype only what the host says itself counts. `tails` are
/// [`GateConfig::dns_tails`].
///
/// [`GateConfig::dns_tails`]: crate::layout::GateConfig::dns_tails
#[inline(always)]
pub fn udp<P: Packet>(packet: &P, offset: u32, len: u32, to: u16, tails: &[u64; 2]) -> u32 {
    if len < 11 {
        return 0;
    }
    let Some(word) = packet.u32(offset) else {
        return 0;
    };
    let found = classic(packet, offset, len, word);
    if to == 0 || len < 20 {
        return found;
    }
    found | late(packet, offset, len, word, to, tails)
}

/// What a host says in protocols that late Skype shares with others; 20 bytes at least.
#[inline(always)]
fn late<P: Packet>(packet: &P, offset: u32, len: u32, word: u32, to: u16, tails: &[u64; 2]) -> u32 {
    let Some(second) = packet.u32(offset + 4) else {
        return 0;
    };
    if to == 53 {
        // QR and opcode are zero; one question, no answer.
        let asks = word & 0xf800 == 0 && second == 0x0001_0000;
        return if asks && asks_for_known(packet, offset, len, tails) {
            UDP_DNS
        } else {
            0
        };
    }
    // Both bits of a long header: QUIC.
    if word >> 30 == 3 {
        let (kind, last) = (word & 0xf0ff_ffff, second >> 24);
        let known = (kind == 0xc000_0000 && last == 0x01)
            || (kind == 0xd06b_3343 && last == 0xcf)
            || (kind == 0xc0ff_0000 && (0x1d..=0x20).contains(&last));
        return if known && len >= 1200 {
            UDP_QUIC_INITIAL
        } else {
            0
        };
    }
    // STUN: two zero bits, and a length in fours without the header.
    if word >> 30 != 0 || word & 3 != 0 || (word & 0xffff) + 20 != len {
        return 0;
    }
    if second == 0x2112_a442 {
        return UDP_STUN;
    }
    if len < 28 {
        return 0;
    }
    let (Some(kind), Some(value)) = (packet.u32(offset + 20), packet.u32(offset + 24)) else {
        return 0;
    };
    if kind == 0x000f_0004 && value == 0x72c6_4bc6 {
        UDP_STUN
    } else {
        0
    }
}

/// Two numbers under 64 for the last eight bytes of a name as DNS writes it, without the root, in
/// letters of either case: which bit of each of [`GateConfig::dns_tails`] says that it is known.
///
/// [`GateConfig::dns_tails`]: crate::layout::GateConfig::dns_tails
#[inline(always)]
pub const fn dns_tail(first: u32, second: u32) -> [u32; 2] {
    const LOWER: u32 = 0x2020_2020;
    let first = (first | LOWER).wrapping_mul(0x9e37_79b1);
    let second = (second | LOWER).wrapping_mul(0x85eb_ca6b);
    let mixed = first ^ second;
    [mixed >> 26, mixed >> 20 & 63]
}

/// Longest question whose name is looked at: its end lies in the head of the packet.
const LONGEST_QUESTION: u32 = 128;

/// Whether a question's name ends as a known one may. True for questions that are long, or have more
/// behind them than the usual options: those are rare.
#[inline(always)]
fn asks_for_known<P: Packet>(packet: &P, offset: u32, len: u32, tails: &[u64; 2]) -> bool {
    if len > LONGEST_QUESTION {
        return true;
    }
    // Masks tell the verifier that these places lie in the head.
    let end = offset + len;
    let options = end.wrapping_sub(11) & 0xff;
    let (Some(records), Some(last)) = (packet.u32(offset + 8), packet.u32(options)) else {
        return true;
    };
    // Behind the name stand its root, type and class, and perhaps a record of options.
    let behind = if records == 0 {
        5
    } else if records == 1 && last >> 8 == 0x29 {
        16
    } else {
        return true;
    };
    let tail = end.wrapping_sub(behind + 8) & 0xff;
    let (Some(first), Some(second)) = (packet.u32(tail), packet.u32(tail + 4)) else {
        return true;
    };
    let [one, other] = dns_tail(first, second);
    tails[0] >> one & tails[1] >> other & 1 == 1
}

/// What classic Skype's datagrams look like.
#[inline(always)]
fn classic<P: Packet>(packet: &P, offset: u32, len: u32, word: u32) -> u32 {
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

/// The predicates that the first payload segment of a TCP direction satisfies, or may satisfy with
/// the bytes that follow.
#[inline(always)]
pub fn tcp_opening<P: Packet>(packet: &P, offset: u32, len: u32, to: u16) -> u32 {
    // Nothing can be told of so few bytes, nor of what a capture cut off.
    if len < 4 {
        return TCP_ALL;
    }
    let Some(head) = packet.u32(offset) else {
        return TCP_ALL;
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
    if head == u32::from_be_bytes(*b"POST") {
        return if to == 0 || to == 80 || to == 443 {
            0
        } else {
            TCP_UPNP
        };
    }
    if head == u32::from_be_bytes(*b"CONN") {
        return TCP_PROXY;
    }
    if head == 0x1703_0100 {
        return record(packet, offset, len);
    }
    let mut found = socks(head);
    let random = may_be_random(packet, offset, len, head);
    if (len < 50 && random) || ((50..=127).contains(&len) && key_exchange(packet, offset)) {
        found |= TCP_KEY_EXCHANGE;
    }
    if (len < 20 && random) || (len >= 20 && legacy(packet, offset)) {
        found |= TCP_LEGACY;
    }
    found
}

/// What a client of a SOCKS proxy says first: version 5 and a list of one to eight methods, the
/// first of them none, GSSAPI or a password; or version 4 and CONNECT.
#[inline(always)]
fn socks(head: u32) -> u32 {
    let greeting = (0x0501..=0x0508).contains(&(head >> 16)) && head >> 8 & 0xff <= 2;
    if greeting || head >> 16 == 0x0401 {
        TCP_PROXY
    } else {
        0
    }
}

/// Whether the first 16 bytes, as far as there are any, may be random ones. Text has no byte over
/// 7f; random bytes have none with odds of 2^-8 (8 bytes), 2^-12 (12) and 2^-16 (16). Fewer than
/// eight aren't told.
#[inline(always)]
fn may_be_random<P: Packet>(packet: &P, offset: u32, len: u32, head: u32) -> bool {
    if len < 8 {
        return true;
    }
    let Some(second) = packet.u32(offset + 4) else {
        return true;
    };
    let mut all = head | second;
    if len >= 12 {
        all |= packet.u32(offset + 8).unwrap_or(u32::MAX);
    }
    if len >= 16 {
        all |= packet.u32(offset + 12).unwrap_or(u32::MAX);
    }
    all & 0x8080_8080 != 0
}

/// A handshake record of any version up to 1.3: does a ClientHello begin in it?
#[inline(always)]
fn client_hello<P: Packet>(packet: &P, offset: u32, len: u32) -> u32 {
    if len < 6 {
        return TCP_CLIENT_HELLO;
    }
    match packet.u16(offset + 4) {
        Some(word) if word & 0xff != 0x01 => 0,
        _ => TCP_CLIENT_HELLO,
    }
}

/// A record of TLS 1.0: is it one of those that only Skype sends?
#[inline(always)]
fn record<P: Packet>(packet: &P, offset: u32, len: u32) -> u32 {
    let either = TCP_LOGIN | TCP_FAKE_SERVER;
    if len < 5 {
        return either;
    }
    let Some(low) = packet.u16(offset + 3) else {
        return either;
    };
    // Byte 3 is the high byte of the record's length and zero here (it ended the head).
    if low & 0xff == 0 {
        return TCP_LOGIN;
    }
    if len < 9 {
        return either;
    }
    match packet.u32(offset + 5) {
        Some(0x4103_0009 | 0x42cd_efe7) => return TCP_LOGIN,
        Some(0x0200_0046) | None => {}
        Some(_) => return 0,
    }
    if len < 15 {
        return TCP_FAKE_SERVER;
    }
    match packet.u32(offset + 11) {
        Some(0x401b_e486) | None => TCP_FAKE_SERVER,
        Some(_) => 0,
    }
}

/// The padding after the 48-byte key exchange value is a run of the generator's low bytes.
#[inline(always)]
fn key_exchange<P: Packet>(packet: &P, offset: u32) -> bool {
    match packet.u16(offset + 48) {
        Some(pair) => lcg::next_byte((pair >> 8) as u8) == pair as u8,
        None => true,
    }
}

/// Keystream reuse makes `s[6+i] ^ s[16+i] ^ P[i]`, `P` = 00 00 00 01 .., a generator run.
#[inline(always)]
fn legacy<P: Packet>(packet: &P, offset: u32) -> bool {
    let (Some(first), Some(second)) = (packet.u32(offset + 6), packet.u32(offset + 16)) else {
        return true;
    };
    let [a, b, c, d] = (first ^ second ^ 0x0000_0001).to_be_bytes();
    lcg::next_byte(a) == b && lcg::next_byte(b) == c && lcg::next_byte(c) == d
}
