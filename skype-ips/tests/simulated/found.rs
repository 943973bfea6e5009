//! What the engine finds in scenarios.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr, SocketAddrV4};
use std::time::Duration;

use ipnet::IpNet;
use skype_ips::capture::Record;
use skype_ips::engine::Settings;
use skype_ips::policy::{Config, Mode};
use skype_ips::replay::{Conversation, Driver, Report};
use skype_ips::simulator::gateway::Seen;
use skype_ips::simulator::labels::{self, Labels};
use skype_ips::simulator::net::{Header, Protocol};
use skype_ips::simulator::scenario::{GATEWAY, Scenario};
use skype_ips_common::layout::{TCP, UDP};
use skype_ips_common::parse::Link;

use crate::played::{Play, plays};

/// 2015-05-18, nanoseconds since the Unix epoch.
const START: u64 = 1_431_907_200_000_000_000;

/// Bytes that each end of a connection has sent, the first few hundred.
type Beginnings = HashMap<Key, [(SocketAddr, Vec<u8>); 2]>;

/// The replay driver on the gateway's inside interface.
pub(crate) struct Replay {
    driver: Driver,
    labels: Labels,
    beginnings: Beginnings,
    number: u64,
}

/// What it found.
pub(crate) struct Replayed {
    labels: Labels,
    report: Report,
    beginnings: Beginnings,
}

impl Replay {
    pub(crate) fn of(scenario: &Scenario) -> Self {
        let inside: Vec<IpNet> = scenario
            .inside()
            .map(|network| network.subnet.into())
            .collect();
        let settings = Settings {
            public_addresses: vec![IpAddr::V4(GATEWAY)],
            ..Settings::default()
        };
        let config = Config::default_for_replay();
        Self {
            driver: Driver::new(&config, Mode::Monitor, settings, &inside),
            labels: Labels::default(),
            beginnings: Beginnings::new(),
            number: 0,
        }
    }

    pub(crate) fn see(&mut self, now: Duration, seen: Seen<'_>) {
        self.labels.note(&seen);
        begins(seen.packet, &mut self.beginnings);
        self.number += 1;
        self.driver.packet(&Record {
            number: self.number,
            timestamp: START + now.as_nanos() as u64,
            link: Link::Raw,
            vlan: Vec::new(),
            data: seen.packet.to_vec(),
            wire_len: seen.packet.len() as u32,
        });
    }

    pub(crate) fn finish(self) -> Replayed {
        Replayed {
            labels: self.labels,
            report: self.driver.finish(),
            beginnings: self.beginnings,
        }
    }
}

/// Notes what a TCP packet carries, without regard to order: links of these scenarios seldom
/// overtake within an opening.
fn begins(packet: &[u8], beginnings: &mut Beginnings) {
    let Some(header) = Header::read(packet) else {
        return;
    };
    if header.protocol != Protocol::Tcp {
        return;
    }
    let (source, destination) = (header.source.into(), header.destination.into());
    let ends = [source, destination].map(|end| (end, Vec::new()));
    let ends = beginnings
        .entry(key(TCP, source, destination))
        .or_insert(ends);
    for (end, bytes) in ends {
        if *end == source && bytes.len() < 400 {
            bytes.extend_from_slice(&packet[packet.len() - header.payload..]);
        }
    }
}

/// Whether a conversation carries nothing to find it by, so that no detector can be blamed.
fn carries_nothing(
    label: &labels::Conversation,
    scenario: &Scenario,
    beginnings: &Beginnings,
) -> bool {
    let is_inside = |end: SocketAddrV4| {
        let mut networks = scenario.inside();
        networks.any(|network| network.subnet.contains(end.ip()))
    };
    match label.protocol {
        // What outsiders send by themselves proves nothing of the inside host.
        Protocol::Udp => !is_inside(label.client) && label.packets[1] == 0,
        Protocol::Tcp => {
            let ends = &beginnings[&label_key(label)];
            let sent = |by: SocketAddrV4| {
                let mut ends = ends.iter();
                ends.find(|(end, _)| *end == SocketAddr::V4(by))
                    .map_or(&[][..], |(_, bytes)| bytes)
            };
            let (client, server) = (sent(label.client), sent(label.server));
            let (client, server) = match label.ground.what {
                "proxy" => match inside_proxy(client, server) {
                    Some(inside) => inside,
                    // It let nothing through.
                    None => return true,
                },
                _ => (client, server),
            };
            // Keys whose padding is too short to tell it from noise, of both ends together.
            let plain = [b"\x80\x46\x01\x03", b"\x16\x03\x01\x00", b"GET "]
                .iter()
                .all(|start| !client.starts_with(*start));
            // Between two inside hosts each direction is judged by itself, as its sender's, and
            // what a proxy's client asked for is not known of the proxy's answer (see
            // docs/architecture.md, known limits).
            let by_halves = is_inside(label.client) && is_inside(label.server);
            let server = match (by_halves, label.ground.what) {
                (true, "proxy") => &[],
                _ => server,
            };
            let relations = match by_halves {
                true => relations(client).max(relations(server)),
                false => relations(client) + relations(server),
            };
            plain && !reuses(client) && !reuses(server) && relations < ENOUGH
        }
    }
}

/// Relations of padding that prove a key exchange: 32 bits.
const ENOUGH: usize = 4;

/// How many bytes behind a key are the generator's next after the one before.
fn relations(bytes: &[u8]) -> usize {
    let padding = bytes.get(48..).unwrap_or_default();
    padding
        .windows(2)
        .take_while(|pair| pair[1] == pair[0].wrapping_mul(0xcd).wrapping_add(0x71))
        .count()
}

/// Whether a legacy stream uses its keystream twice: the sums of what it covered are padding.
fn reuses(bytes: &[u8]) -> bool {
    const KNOWN: [u8; 7] = [0, 0, 0, 1, 0, 0, 0];
    if bytes.len() < 23 {
        return false;
    }
    let padding: Vec<u8> = (0..7)
        .map(|at| bytes[6 + at] ^ bytes[16 + at] ^ KNOWN[at])
        .collect();
    padding
        .windows(2)
        .all(|pair| pair[1] == pair[0].wrapping_mul(0xcd).wrapping_add(0x71))
}

/// What both ends say behind a proxy's consent; `None`: there was none.
fn inside_proxy<'a>(client: &'a [u8], server: &'a [u8]) -> Option<(&'a [u8], &'a [u8])> {
    let (asked, answered) = match client.first()? {
        4 => {
            let name = client.iter().skip(8).position(|byte| *byte == 0)? + 9;
            // 4a has a name where the address is 0.0.0.x.
            let more = match client.get(4..7)? {
                [0, 0, 0] => client.get(name..)?.iter().position(|byte| *byte == 0)? + 1,
                _ => 0,
            };
            (server.get(1) == Some(&90)).then_some((name + more, 8))?
        }
        5 => {
            let greeting = 2 + usize::from(*client.get(1)?);
            let (password, accepted) = match server.get(1)? {
                2 => {
                    let user = usize::from(*client.get(greeting + 1)?);
                    let secret = usize::from(*client.get(greeting + 2 + user)?);
                    (3 + user + secret, 2)
                }
                _ => (0, 0),
            };
            let address = |at: usize, bytes: &[u8]| match bytes.get(at)? {
                3 => Some(1 + usize::from(*bytes.get(at + 1)?)),
                _ => Some(4),
            };
            let request = greeting + password;
            let reply = 2 + accepted;
            let consent = server.get(reply + 1) == Some(&0);
            let asked = request + 6 + address(request + 3, client)?;
            consent.then_some((asked, reply + 6 + address(reply + 3, server)?))?
        }
        _ => {
            let end = |bytes: &[u8]| {
                let found = bytes.windows(4).rposition(|four| four == b"\r\n\r\n");
                found.map(|at| at + 4)
            };
            let consent = server.windows(5).any(|window| window == b" 200 ");
            consent.then_some((end(client)?, end(server)?))?
        }
    };
    Some((client.get(asked..)?, server.get(answered..)?))
}

type Key = (u8, SocketAddr, SocketAddr);

fn key(protocol: u8, a: SocketAddr, b: SocketAddr) -> Key {
    (protocol, a.min(b), a.max(b))
}

fn by_key(report: &Report) -> HashMap<Key, &Conversation> {
    let conversations = report.conversations.iter();
    conversations
        .map(|one| (key(one.protocol, one.src, one.dest), one))
        .collect()
}

fn label_key(label: &labels::Conversation) -> Key {
    let protocol = match label.protocol {
        Protocol::Tcp => TCP,
        Protocol::Udp => UDP,
    };
    let end = |end: SocketAddrV4| SocketAddr::V4(end);
    key(protocol, end(label.client), end(label.server))
}

fn told(label: &labels::Conversation) -> String {
    format!(
        "{:?} {} > {} ({}), {:?} packets, {:?} bytes",
        label.protocol, label.client, label.server, label.ground.what, label.packets, label.payload
    )
}

#[test]
fn every_skype_conversation_is_found_and_nothing_else_is_accused() {
    let mut complaints = Vec::new();
    for Play {
        scenario,
        seed,
        replayed,
        ..
    } in plays()
    {
        let found = by_key(&replayed.report);
        let mut skype = 0;
        for label in replayed.labels.conversations() {
            let conversation = found[&label_key(label)];
            let complaint = match (label.label(), &conversation.detection) {
                ("skype", None) if carries_nothing(label, scenario, &replayed.beginnings) => None,
                ("skype", None) => Some("missed".to_owned()),
                ("other", Some(detection)) => Some(format!("accused by {:?}", detection.evidence)),
                ("other", None) if conversation.ambiguous.is_some() => Some("doubted".to_owned()),
                _ => None,
            };
            skype += u64::from(label.label() == "skype");
            if let Some(complaint) = complaint {
                complaints.push(format!(
                    "{} seed {seed}: {complaint}: {}",
                    scenario.name,
                    told(label)
                ));
            }
        }
        assert!(skype > 0, "{} has no Skype in it", scenario.name);
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}
