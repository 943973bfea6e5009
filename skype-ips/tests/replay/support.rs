//! Frames and captures without a network.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use skype_ips::capture::Record;
use skype_ips_common::lcg;
use skype_ips_common::parse::Link;

pub(crate) const SECOND: u64 = 1_000_000_000;
/// Some time in 2015, nanoseconds since the Unix epoch.
pub(crate) const START: u64 = 1_432_000_000 * SECOND;

/// The shared captures, if they are here; says so if not.
pub(crate) fn captures() -> Option<PathBuf> {
    let beside = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/captures");
    let folder = std::env::var_os("SKYPE_IPS_CAPTURES").map_or(beside.into(), PathBuf::from);
    if folder.is_dir() {
        return Some(folder);
    }
    eprintln!(
        "SKIPPED: no captures at {} (set SKYPE_IPS_CAPTURES)",
        folder.display()
    );
    None
}

fn ip_packet(source: IpAddr, destination: IpAddr, protocol: u8, body: &[u8]) -> Vec<u8> {
    let mut packet = Vec::new();
    match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            let len = (20 + body.len()) as u16;
            packet.extend([0x45, 0]);
            packet.extend(len.to_be_bytes());
            packet.extend([0, 1, 0, 0, 64, protocol, 0, 0]);
            packet.extend(source.octets());
            packet.extend(destination.octets());
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            packet.extend([0x60, 0, 0, 0]);
            packet.extend((body.len() as u16).to_be_bytes());
            packet.extend([protocol, 64]);
            packet.extend(source.octets());
            packet.extend(destination.octets());
        }
        _ => panic!("addresses of one family"),
    }
    packet.extend(body);
    packet
}

fn address(end: &str) -> SocketAddr {
    end.parse().expect("an address and a port")
}

/// A UDP packet at `seconds` after the start.
pub(crate) fn udp(seconds: u64, source: &str, destination: &str, payload: &[u8]) -> Record {
    let (source, destination) = (address(source), address(destination));
    let mut body = source.port().to_be_bytes().to_vec();
    body.extend(destination.port().to_be_bytes());
    body.extend((8 + payload.len() as u16).to_be_bytes());
    body.extend([0, 0]);
    body.extend(payload);
    record(seconds, ip_packet(source.ip(), destination.ip(), 17, &body))
}

pub(crate) const SYN: u8 = 0x02;
pub(crate) const SYN_ACK: u8 = 0x12;
pub(crate) const ACK: u8 = 0x10;

/// A TCP packet at `seconds` after the start.
pub(crate) fn tcp(
    seconds: u64,
    source: &str,
    destination: &str,
    flags: u8,
    seq: u32,
    payload: &[u8],
) -> Record {
    let (source, destination) = (address(source), address(destination));
    let mut body = source.port().to_be_bytes().to_vec();
    body.extend(destination.port().to_be_bytes());
    body.extend(seq.to_be_bytes());
    body.extend([0, 0, 0, 0, 0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
    body.extend(payload);
    record(seconds, ip_packet(source.ip(), destination.ip(), 6, &body))
}

fn record(seconds: u64, data: Vec<u8>) -> Record {
    Record {
        number: 1,
        timestamp: START + seconds * SECOND,
        link: Link::Raw,
        vlan: Vec::new(),
        wire_len: data.len() as u32,
        data,
    }
}

/// The same in an Ethernet frame.
pub(crate) fn frame(record: &Record) -> Vec<u8> {
    let kind = match record.data[0] >> 4 {
        4 => [0x08, 0x00],
        _ => [0x86, 0xdd],
    };
    [&[2; 12][..], &kind, &record.data].concat()
}

/// Consecutive type-2 datagrams of a client whose generator is at `state`.
pub(crate) fn probes(state: u32, count: u16) -> impl Iterator<Item = Vec<u8>> {
    let mut iv = state;
    (0..count).map(move |index| {
        iv = lcg::next(iv);
        let mut payload = (0x1000 + 2 * index).to_be_bytes().to_vec();
        payload.push(2);
        payload.extend(iv.to_be_bytes());
        payload.extend(iv.rotate_left(7).to_be_bytes());
        payload.extend([0x77; 7]);
        payload
    })
}

/// The opening of a key exchange with 20 bytes of padding.
pub(crate) fn key_exchange() -> Vec<u8> {
    let padding = std::iter::successors(Some(5), |byte| Some(lcg::next_byte(*byte)));
    (100..148).chain(padding.take(20)).collect()
}
