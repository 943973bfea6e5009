//! Which inner packets are looked at, and which of them share a world of addresses.

use std::net::IpAddr;

use rustc_hash::FxHashMap;

use crate::capture::Record;
use crate::capture::tunnel::{self, Kind, Outer};
use crate::telemetry::tunnel::Tunnel;

/// Tunnels around a packet that are looked into.
pub(super) const MAX_DEPTH: u8 = 2;
/// Packets in a packet that are looked at, with those behind MPLS labels or PPPoE alone.
pub(super) const MAX_LAYERS: usize = 4;

/// The zone of what is in no tunnel.
const OPEN: u16 = 0;
/// The zone of public IPv6 addresses in tunnels: they mean the same in each, and a Teredo client
/// reaches every peer through another one.
const PUBLIC: u16 = 1;

/// What tells a tunnel from others: the zone around it, how it carries, and its ends.
type Ends = (u16, Kind, IpAddr, IpAddr);

/// Zones by tunnel, so that hosts of one private address in two tunnels are two hosts.
#[derive(Clone, Debug, Default)]
pub(super) struct Zones {
    numbers: FxHashMap<Ends, u16>,
}

/// A packet, and the tunnels around it.
#[derive(Clone, Debug)]
pub(super) struct Layer {
    pub(super) record: Record,
    pub(super) zone: u16,
    pub(super) tunnel: Option<Tunnel>,
}

impl Zones {
    /// The packets within a packet, the outer ones first.
    pub(super) fn within(&mut self, record: &Record) -> Vec<Layer> {
        let mut layers: Vec<Layer> = Vec::new();
        while layers.len() < MAX_LAYERS {
            let above = layers.last();
            let Some(found) = tunnel::inner(above.map_or(record, |layer| &layer.record)) else {
                break;
            };
            let (mut zone, mut tunnel) =
                above.map_or((OPEN, None), |layer| (layer.zone, layer.tunnel));
            if let Some(outer) = found.outer {
                let depth = tunnel.map_or(0, |tunnel: Tunnel| tunnel.depth) + 1;
                let Some(number) = self.zone(zone, &outer, &found.record) else {
                    break;
                };
                if depth > MAX_DEPTH {
                    break;
                }
                zone = number;
                tunnel = Some(around(tunnel, &outer, depth));
            }
            layers.push(Layer {
                record: found.record,
                zone,
                tunnel,
            });
        }
        layers
    }

    /// The number of a tunnel's zone; `None` if there are no more numbers.
    fn zone(&mut self, around: u16, outer: &Outer, inner: &Record) -> Option<u16> {
        if is_public_ipv6(inner) {
            return Some(PUBLIC);
        }
        let low = outer.source.min(outer.destination);
        let high = outer.source.max(outer.destination);
        let ends = (around, outer.kind, low, high);
        if let Some(number) = self.numbers.get(&ends) {
            return Some(*number);
        }
        let number = u16::try_from(self.numbers.len())
            .ok()?
            .checked_add(PUBLIC + 1)?;
        self.numbers.insert(ends, number);
        Some(number)
    }
}

/// A packet and those within it, the outer ones first: as many as [`Zones::within`] gives, or more.
pub(super) fn layers(record: &Record) -> impl Iterator<Item = Record> {
    let within = |outer: &Record| Some(tunnel::inner(outer)?.record);
    std::iter::successors(Some(record.clone()), within).take(1 + MAX_LAYERS)
}

/// What a report says of a tunnel: the outermost one's ends.
fn around(outermost: Option<Tunnel>, outer: &Outer, depth: u8) -> Tunnel {
    let kind = outer.kind.name();
    match outermost {
        Some(outermost) => Tunnel {
            depth,
            kind,
            ..outermost
        },
        None => Tunnel {
            src_ip: outer.source,
            src_port: outer.source_port,
            dest_ip: outer.destination,
            dest_port: outer.destination_port,
            // IANA's keywords, as Suricata writes them.
            proto: match outer.protocol {
                4 => "IPv4",
                41 => "IPv6",
                47 => "GRE",
                _ => "UDP",
            },
            depth,
            kind,
        },
    }
}

/// Whether an IP packet goes from one global unicast address to another (RFC 4291: 2000::/3).
fn is_public_ipv6(packet: &Record) -> bool {
    const SOURCE: usize = 8;
    const DESTINATION: usize = 24;
    let byte = |at: usize| packet.data.get(at).copied().unwrap_or(0);
    packet.link == skype_ips_common::parse::Link::Raw
        && byte(0) >> 4 == 6
        && byte(SOURCE) >> 5 == 1
        && byte(DESTINATION) >> 5 == 1
}
