//! How much of other traffic the kernel program sends to user space, counted by the program itself.
//!
//! `cargo xtask eval` reads the lines that begin with `queue-share`.

use std::collections::HashSet;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use skype_ips::capture::{Capture, Record};
use skype_ips::detect::knowledge::Knowledge;
use skype_ips::engine::Settings;
use skype_ips::policy::{Config, Mode, Open, parse};
use skype_ips::replay::Conversations;
use skype_ips_common::gate::Side;
use skype_ips_common::layout::{FlowKey, GateConfig, PolicyEntry};
use skype_ips_common::parse::{Fragment, Headers, Slice, headers};

use crate::captures::is_inside;
use crate::support;
use crate::twins::{CONFIG, LONGEST, Twins};
use crate::user_space::UserSpace;

/// Detection packs that a gateway may have loaded.
struct PackChoice {
    name: &'static str,
    /// What a file says to get this choice, after the built-in packs.
    file: &'static str,
    /// Most packets of other traffic that may be sent up, in percent.
    limit: f64,
}

const PACK_CHOICES: [PackChoice; 2] = [
    PackChoice {
        name: "classic",
        file: "version = 1\n[pack]\nname = \"late\"\nrevision = 1\npredicates = []\n",
        limit: 3.0,
    },
    PackChoice {
        name: "all",
        file: "version = 1\n",
        limit: 8.0,
    },
];

impl PackChoice {
    fn knowledge(&self) -> Arc<Knowledge> {
        let config = parse(Path::new(self.name), self.file).expect("a right file");
        config.knowledge
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Share {
    packets: u64,
    tagged: u64,
    flows: u64,
    flows_tagged: u64,
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            packets,
            tagged,
            flows,
            flows_tagged,
        } = self;
        write!(
            f,
            "packets={packets} tagged={tagged} flows={flows} flows-tagged={flows_tagged}"
        )
    }
}

#[test]
fn other_traffic_stays_in_the_kernel() {
    let files = captures_of_others();
    if files.is_empty() {
        return;
    }
    for choice in PACK_CHOICES {
        let Some(mut twins) = everybody_under_a_policy() else {
            return;
        };
        let knowledge = choice.knowledge();
        twins
            .programs
            .set_config(GateConfig {
                predicates: knowledge.predicates,
                dns_tails: knowledge.names.dns_tails(),
                ..CONFIG
            })
            .expect("an array takes its entry");
        let mut all = Share::default();
        for (file, zone) in files.iter().zip(0..) {
            // What the tables hold of one capture must not meet the next: each has its own zone.
            twins.zone = zone;
            let of_file = run(&mut twins, file, &knowledge);
            all.packets += of_file.packets;
            all.tagged += of_file.tagged;
            all.flows += of_file.flows;
            all.flows_tagged += of_file.flows_tagged;
        }
        println!("queue-share {} {all}", choice.name);
        let percent = 100.0 * all.tagged as f64 / all.packets as f64;
        assert!(
            percent <= choice.limit,
            "{}: {percent:.2} % of the packets were sent up, over {} %",
            choice.name,
            choice.limit
        );
    }
}

fn captures_of_others() -> Vec<PathBuf> {
    let Some(root) = support::shared_captures() else {
        return Vec::new();
    };
    let entries = std::fs::read_dir(root.join("other"));
    let mut files: Vec<_> = entries
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .collect();
    files.sort();
    if files.is_empty() {
        println!(
            "SKIPPED: no captures of other traffic in {}",
            root.display()
        );
    }
    files
}

/// Captures come from all kinds of networks: every address is under the policy.
fn everybody_under_a_policy() -> Option<Twins> {
    let config = Config::default_for_replay();
    let mut compiled = config
        .policies
        .compile(Mode::Monitor, &Open::default(), &[]);
    let everybody = PolicyEntry {
        index: config.policies.policies().len() as u16,
        ..PolicyEntry::default()
    };
    compiled.cover_rest(everybody);
    Twins::load_with(&compiled)
}

/// Runs a capture through the XDP program, with the engine in user space answering it.
fn run(twins: &mut Twins, file: &Path, knowledge: &Arc<Knowledge>) -> Share {
    let mut user_space = UserSpace::new(Settings {
        knowledge: knowledge.clone(),
        ..Settings::default()
    });
    let mut conversations = Conversations::new();
    let mut tagged_flows = HashSet::new();
    let mut share = Share::default();
    let name = file.display();
    for record in Capture::open(file).unwrap_or_else(|error| panic!("{name}: {error}")) {
        let record = record.unwrap_or_else(|error| panic!("{name}: {error}"));
        share.packets += 1;
        let slice = Slice::with_wire_len(&record.data, record.wire_len);
        let Ok(headers) = headers(&slice, record.link) else {
            continue;
        };
        let conversation = conversations.observe(record.timestamp, &headers, &record.vlan);
        let frame = frame(&record, &headers);
        let mut tagged = false;
        for &side in sides(&headers) {
            let (_, inspect) = twins.xdp(&frame, record.link, side);
            if !inspect {
                continue;
            }
            tagged = true;
            if matches!(headers.fragment, Fragment::Later(_)) {
                continue;
            }
            let outbound = side == Side::InsideIngress;
            let key = key_of(&headers, twins.zone, outbound);
            user_space.answer(twins, &record, &headers, key, outbound);
        }
        if tagged {
            share.tagged += 1;
            tagged_flows.extend(conversation);
        }
    }
    share.flows = conversations.len() as u64;
    share.flows_tagged = tagged_flows.len() as u64;
    share
}

/// Which end is inside, as replay has it: where neither is, both are taken for it.
fn sides(headers: &Headers) -> &'static [Side] {
    match (is_inside(&headers.source), is_inside(&headers.destination)) {
        (true, _) => &[Side::InsideIngress],
        (false, true) => &[Side::OutsideIngress],
        (false, false) => &[Side::InsideIngress, Side::OutsideIngress],
    }
}

/// The frame as it was on the wire: zeros stand for what the capture left out, and what no device
/// would have received in one piece is shortened, its IP header too.
fn frame(record: &Record, headers: &Headers) -> Vec<u8> {
    let mut frame = record.data.clone();
    let wire_len = record.wire_len as usize;
    if wire_len <= LONGEST {
        frame.resize(wire_len.max(frame.len()), 0);
        return frame;
    }
    frame.resize(LONGEST, 0);
    let end = headers.payload_offset + headers.payload_len;
    let start = (end - headers.ip_len) as usize;
    let len = LONGEST - start;
    let (at, len) = match frame[start] >> 4 {
        4 => (start + 2, len),
        _ => (start + 4, len - 40),
    };
    frame[at..at + 2].copy_from_slice(&(len as u16).to_be_bytes());
    frame
}

fn key_of(headers: &Headers, zone: u16, outbound: bool) -> FlowKey {
    let source = (headers.source, headers.source_port);
    let destination = (headers.destination, headers.destination_port);
    let (inside, outside) = if outbound {
        (source, destination)
    } else {
        (destination, source)
    };
    FlowKey {
        zone,
        protocol: headers.protocol,
        reserved: 0,
        inside_port: inside.1,
        outside_port: outside.1,
        inside: inside.0,
        outside: outside.0,
    }
}
