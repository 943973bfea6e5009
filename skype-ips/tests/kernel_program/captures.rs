//! Every shared capture, with the engine in the loop.

use std::path::{Path, PathBuf};

use skype_ips::capture::Capture;
use skype_ips::engine::Settings;
use skype_ips::policy::from_mapped;
use skype_ips_common::gate::{Outcome, Side};
use skype_ips_common::layout::FlowState;
use skype_ips_common::mark::Code;
use skype_ips_common::parse::{Slice, headers};

use crate::support;
use crate::twins::{LONGEST, Twins};
use crate::user_space::UserSpace;

/// Whether the default policy covers the address: private IPv4, unique local IPv6.
pub(crate) fn is_inside(address: &[u8; 16]) -> bool {
    match from_mapped(address) {
        std::net::IpAddr::V4(v4) => v4.is_private(),
        std::net::IpAddr::V6(v6) => v6.segments()[0] & 0xfe00 == 0xfc00,
    }
}

fn captures() -> Vec<PathBuf> {
    let Some(root) = support::shared_captures() else {
        return Vec::new();
    };
    let mut files = Vec::new();
    for folder in ["skype", "teams", "other"] {
        let entries = std::fs::read_dir(root.join(folder))
            .into_iter()
            .flatten()
            .flatten();
        files.extend(entries.map(|entry| entry.path()));
    }
    files.sort();
    files
}

#[derive(Clone, Copy, PartialEq)]
enum Through {
    Xdp,
    Tc,
}

/// Runs a capture through both, with the engine in the loop, and returns packets and tags.
fn compare(twins: &mut Twins, file: &Path, through: Through) -> (u64, u64) {
    let mut user_space = UserSpace::new(Settings::default());
    let (mut packets, mut tags) = (0, 0);
    let name = file.display();
    for record in Capture::open(file).expect("a capture") {
        let Ok(record) = record else { break };
        let frame = &record.data[..record.data.len().min(LONGEST)];
        if frame.len() < 20 {
            continue;
        }
        let parsed = headers(&Slice::new(frame), record.link);
        let outbound = parsed.is_ok_and(|headers| is_inside(&headers.source));
        let side = if outbound {
            Side::InsideIngress
        } else {
            Side::OutsideIngress
        };
        let expected = twins.memory(frame, record.link, side);
        let key = *twins.work.key();
        packets += 1;
        let at = format!("{name}, packet {}", record.number);
        let inspect = matches!(expected, Outcome::Pass(Code::Inspect(_)));
        match through {
            Through::Xdp => {
                let found = twins.xdp(frame, record.link, side);
                assert_eq!(found, (expected == Outcome::Drop, inspect), "{at}");
            }
            Through::Tc => {
                let found = twins
                    .tc(frame, record.link, side)
                    .map_or(Outcome::Drop, Outcome::Pass);
                assert_eq!(found, expected, "{at}");
            }
        }
        if !outbound && expected != Outcome::Drop {
            // The same packet leaves through the inside interface.
            let expected = twins.memory(frame, record.link, Side::InsideEgress);
            let found = twins.tc(frame, record.link, Side::InsideEgress);
            assert_eq!(found.is_none(), expected == Outcome::Drop, "{at}, leaving");
        }
        if key.protocol != 0 {
            let states = [
                twins.kernel.flow(&key),
                twins.memory.flow_state(&key).copied(),
            ];
            let [kernel, memory] = states.map(|state| {
                state.map(|state| FlowState {
                    last_seen: 0,
                    ..state
                })
            });
            assert_eq!(kernel, memory, "{at}");
        }
        let (true, Ok(headers)) = (inspect, parsed) else {
            continue;
        };
        tags += 1;
        user_space.answer(twins, &record, &headers, key, outbound);
    }
    (packets, tags)
}

#[test]
fn xdp_and_the_gate_in_user_space_decide_alike_over_every_capture() {
    every_capture(Through::Xdp);
}

#[test]
fn tc_and_the_gate_in_user_space_decide_alike_over_every_capture() {
    every_capture(Through::Tc);
}

/// All that a policy can ask for. The budgets have room for every packet: the kernel's clock is not the
/// capture's.
const POLICY: &str = r#"
version = 1
[[budget]]
name = "wide"
rate = "1000 MB/s"
burst = "1000 MB"
[[budget]]
name = "session"
rate = "1000 MB/s"
burst = "1000 MB"
scope = "session"
direction = "sum"
[[policy]]
name = "p"
subnets = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"]
default = { throttle = ["wide", "session"] }
login = "reject"
ambiguous = "drop"
listening-port = { action = "drop", ports = [22, 135, 445, 3389, 8080] }
only-via = { proxies = ["192.0.2.1:1080"], action = "alert" }
"#;

#[test]
fn budgets_rejection_and_restrictions_decide_alike_over_every_capture() {
    let Some(mut twins) = Twins::under(POLICY) else {
        return;
    };
    over_every_capture(&mut twins, Through::Tc);
    // As many bytes passed in the kernel as in memory, of each budget and host.
    let mut kernel: Vec<_> = twins
        .programs
        .buckets()
        .map(|(key, state)| (key, state.passed))
        .collect();
    let of_memory = twins.memory.buckets();
    let mut memory: Vec<_> = of_memory.map(|(key, state)| (*key, state.passed)).collect();
    for buckets in [&mut kernel, &mut memory] {
        buckets.sort_by_key(|(key, _)| (key.budget, key.direction, key.of));
    }
    assert_eq!(kernel, memory);
    // Where there are no captures, nothing was charged.
    if !captures().is_empty() {
        assert!(kernel.len() > 20, "{} buckets", kernel.len());
    }
}

fn every_capture(through: Through) {
    let Some(mut twins) = Twins::load() else {
        return;
    };
    over_every_capture(&mut twins, through);
}

/// One set of tables for all: what an earlier capture left in them is the same on both sides.
fn over_every_capture(twins: &mut Twins, through: Through) {
    let (mut packets, mut tags) = (0, 0);
    for file in captures() {
        let (in_file, tagged) = compare(twins, &file, through);
        packets += in_file;
        tags += tagged;
    }
    println!("{packets} packets alike, {tags} of them sent up");
}
