//! What the engine finds in scenarios.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr, SocketAddrV4};

use ipnet::IpNet;
use skype_ips::capture::Record;
use skype_ips::engine::Settings;
use skype_ips::policy::{Config, Mode};
use skype_ips::replay::{Conversation, Driver, Report};
use skype_ips::simulator::labels::{self, Labels};
use skype_ips::simulator::net::Protocol;
use skype_ips::simulator::scenario::{GATEWAY, Scenario};
use skype_ips_common::layout::{TCP, UDP};
use skype_ips_common::parse::Link;

use crate::played::{for_each, played};

/// 2015-05-18, nanoseconds since the Unix epoch.
const START: u64 = 1_431_907_200_000_000_000;

/// The scenario as the replay driver sees it on the gateway's inside interface.
fn replayed(scenario: &Scenario, seed: u64) -> (Labels, Report) {
    let inside: Vec<IpNet> = scenario
        .inside()
        .map(|network| network.subnet.into())
        .collect();
    let settings = Settings {
        public_addresses: vec![IpAddr::V4(GATEWAY)],
        ..Settings::default()
    };
    let config = Config::default_for_replay();
    let mut driver = Driver::new(&config, Mode::Monitor, settings, &inside);
    let mut labels = Labels::default();
    let mut number = 0;
    played(scenario, seed, |now, seen| {
        labels.note(&seen);
        number += 1;
        driver.packet(&Record {
            number,
            timestamp: START + now.as_nanos() as u64,
            link: Link::Raw,
            vlan: Vec::new(),
            data: seen.packet.to_vec(),
            wire_len: seen.packet.len() as u32,
        });
    });
    (labels, driver.finish())
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
    let complaints = for_each(|scenario, seed| {
        let (labels, report) = replayed(scenario, seed);
        let found = by_key(&report);
        let mut complaints = Vec::new();
        for label in labels.conversations() {
            let conversation = found[&label_key(label)];
            match (label.label(), &conversation.detection) {
                ("skype", None) => complaints.push(format!("missed: {}", told(label))),
                ("other", Some(detection)) => {
                    complaints.push(format!(
                        "accused by {:?}: {}",
                        detection.evidence,
                        told(label)
                    ));
                }
                _ => {}
            }
            if label.label() == "other" && conversation.ambiguous.is_some() {
                complaints.push(format!("doubted: {}", told(label)));
            }
        }
        complaints
    });
    let count = complaints.len();
    assert_eq!(count, 0, "{}", complaints.join("\n"));
}
