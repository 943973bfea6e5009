//! From a capture's link layer to an Ethernet frame or an IP packet.

use skype_ips_common::parse::Link;

use super::error::Fault;
use super::{RawPacket, Record};

pub(super) const IPV4: u16 = 0x0800;
pub(super) const IPV6: u16 = 0x86dd;
/// Never assigned (RFC 7042, section B.1): what isn't IP and has no protocol number of its own.
const NO_ETHERTYPE: u16 = 0xffff;
pub(super) const ETHERNET_HEADER_LEN: usize = 14;
/// Tags in one frame that are followed; real networks stack two.
const MAX_TAGS: usize = 8;

/// Makes a record of what the file has.
pub(super) fn record(raw: RawPacket, number: u64) -> Result<Record, Fault> {
    let mut record = Record {
        number,
        timestamp: raw.timestamp,
        link: Link::Raw,
        vlan: Vec::new(),
        data: raw.data,
        wire_len: raw.wire_len,
    };
    match raw.link_type {
        1 => {
            record.link = Link::Ethernet;
            let (vlan, _) = vlan_tags(&record.data, ETHERNET_HEADER_LEN - 2);
            record.vlan = vlan;
        }
        // LINKTYPE_RAW is 101; 12 is the number that most systems use for it themselves.
        12 | 101 | 228 | 229 => {}
        113 => strip_cooked(&mut record, 14, 16),
        276 => strip_cooked(&mut record, 0, 20),
        0 | 108 => strip_family(&mut record),
        link_type => return Err(Fault::UnknownLinkType(link_type)),
    }
    Ok(record)
}

/// Takes the VLAN tags out of an Ethernet frame and says how many there were.
pub fn strip_vlan_tags(frame: &mut Vec<u8>) -> usize {
    let (tags, end) = vlan_tags(frame, ETHERNET_HEADER_LEN - 2);
    frame.drain(ETHERNET_HEADER_LEN - 2..end.max(ETHERNET_HEADER_LEN - 2));
    tags.len()
}

/// The identifiers of the tags from `at` on, where a protocol number stands, and the offset of
/// the protocol number behind them. A tag that is cut off counts as none.
pub(super) fn vlan_tags(bytes: &[u8], mut at: usize) -> (Vec<u16>, usize) {
    let word = |at: usize| Some(u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?));
    let mut tags = Vec::new();
    while tags.len() < MAX_TAGS
        && let Some(0x8100 | 0x88a8 | 0x9100) = word(at)
        && let (Some(tag), Some(_)) = (word(at + 2), word(at + 4))
    {
        tags.push(tag & 0xfff);
        at += 4;
    }
    (tags, at)
}

/// Linux cooked captures: a header of `len` bytes with the protocol number at `protocol`; tags
/// stand behind the header as in Ethernet.
fn strip_cooked(record: &mut Record, protocol: usize, len: usize) {
    if record.data.len() < len {
        return strip(record, record.data.len(), NO_ETHERTYPE);
    }
    let ethertype = u16::from_be_bytes([record.data[protocol], record.data[protocol + 1]]);
    // Bring the protocol number in front of what follows, as it stands before a tag's contents.
    record.data[len - 2..len].copy_from_slice(&ethertype.to_be_bytes());
    let (vlan, at) = vlan_tags(&record.data, len - 2);
    let ethertype = u16::from_be_bytes([record.data[at], record.data[at + 1]]);
    record.vlan = vlan;
    strip(record, at + 2, ethertype);
}

/// Null and loopback: an address family, in the byte order of whoever captured.
fn strip_family(record: &mut Record) {
    let family = record.data.first_chunk().map_or(0, |bytes: &[u8; 4]| {
        let (big, little) = (u32::from_be_bytes(*bytes), u32::from_le_bytes(*bytes));
        big.min(little)
    });
    let ethertype = match family {
        2 => IPV4,
        // IPv6 is 10 in Linux, 24 in NetBSD and OpenBSD, 28 in FreeBSD, 30 in macOS.
        10 | 24 | 28 | 30 => IPV6,
        _ => NO_ETHERTYPE,
    };
    let len = record.data.len().min(4);
    strip(record, len, ethertype);
}

/// Takes `len` bytes off; what then isn't IP gets an Ethernet header that says so.
fn strip(record: &mut Record, len: usize, ethertype: u16) {
    record.data.drain(..len);
    record.wire_len = record.wire_len.saturating_sub(len as u32);
    if ethertype != IPV4 && ethertype != IPV6 {
        let mut header = [0; ETHERNET_HEADER_LEN];
        header[12..].copy_from_slice(&ethertype.to_be_bytes());
        record.data.splice(..0, header);
        record.wire_len = record.wire_len.saturating_add(ETHERNET_HEADER_LEN as u32);
        record.link = Link::Ethernet;
    }
}
