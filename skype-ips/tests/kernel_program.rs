//! The kernel program, run by the kernel itself (`BPF_PROG_TEST_RUN`), decides as the gate does in
//! user space: packet by packet over every shared capture, and over frames that no interface here
//! can carry.
#![cfg(target_os = "linux")]

#[path = "kernel_program/ambiguous.rs"]
mod ambiguous;
#[path = "kernel_program/queue_share.rs"]
mod queue_share;
mod support;
#[path = "kernel_program/verifier.rs"]
mod verifier;
#[path = "kernel_program/watched.rs"]
mod watched;

use std::net::Ipv6Addr;
use std::path::{Path, PathBuf};

use aya::programs::{SchedClassifier, TestRun as _, TestRunOptions};
use skype_ips::capture::Capture;
use skype_ips::engine::{Engine, Event, Packet, Settings, Subject};
use skype_ips::kernel::{MemoryTables, Programs, ShardTables, VerdictTables};
use skype_ips::policy::{Compiled, Config, Mode, from_mapped};
use skype_ips_common::gate::{Outcome, Side, Work, judge};
use skype_ips_common::layout::{
    Counter, FlowKey, FlowState, GateConfig, Hook, INBOUND, Interface, OUTBOUND, UDP, Verdict,
    kind, mapped,
};
use skype_ips_common::mark::{Code, Field};
use skype_ips_common::parse::{Link, Slice, headers};

const CONFIG: GateConfig = GateConfig {
    heartbeat_limit: u64::MAX,
    mark_mask: 0xf000_0000,
    nonce: 7,
    queues: 4,
    flags: 0,
    predicates: u32::MAX,
    reserved: 0,
    dns_tails: [0x5555_5555_5555_5555; 2],
};
/// Test runs happen on the loopback interface.
const LOOPBACK: u32 = 1;
/// Longest frame that a test run takes in one piece.
const LONGEST: usize = 2048;

/// The programs in the kernel and their twin, with the same tables.
struct Twins {
    programs: Programs,
    kernel: ShardTables,
    memory: MemoryTables,
    work: Work,
    /// The zone of the interface that packets are met on.
    zone: u16,
}

impl Twins {
    /// `None`, with a word, where this machine can't.
    fn load() -> Option<Self> {
        let config = Config::default_for_replay();
        Self::load_with(&config.policies.compile(Mode::Enforce, 1))
    }

    /// The same, under policies of one's own.
    fn load_with(compiled: &Compiled) -> Option<Self> {
        let mut programs = match Programs::load() {
            Ok(programs) => programs,
            Err(error) if error.is_permission() => {
                eprintln!("SKIPPED: no right to load BPF programs here: {error}");
                return None;
            }
            Err(error) => panic!("{error}"),
        };
        programs
            .set_config(CONFIG)
            .expect("an array takes its entry");
        programs
            .set_policy(compiled)
            .expect("the tables take four prefixes");
        let mut kernel = programs.shard_tables().expect("the tables are there");
        for queue in 0..4 {
            kernel.beat(queue, 1).expect("an array takes its entry");
        }
        Some(Self {
            programs,
            kernel,
            memory: MemoryTables::new(compiled),
            work: Work::default(),
            zone: 0,
        })
    }

    fn memory(&mut self, frame: &[u8], link: Link, side: Side) -> Outcome {
        judge(
            &Slice::new(frame),
            link,
            side,
            0,
            1,
            &CONFIG,
            &mut self.memory,
            &mut self.work,
        )
    }

    fn set_side(&mut self, link: Link, side: Side) {
        let interface = Interface {
            inside: u8::from(side != Side::OutsideIngress),
            raw: u8::from(link == Link::Raw),
            zone: self.zone,
        };
        self.programs
            .set_interface(LOOPBACK, interface)
            .expect("a hash takes its entry");
    }

    /// XDP says drop by its result, and inspect by its counter (its tag travels out of sight).
    fn xdp(&mut self, frame: &[u8], link: Link, side: Side) -> (bool, bool) {
        self.set_side(link, side);
        let tagged = |twins: &Self| {
            twins
                .programs
                .counter(Hook::Xdp, Counter::Tagged)
                .expect("readable")
        };
        let before = tagged(self);
        let options = TestRunOptions {
            data_in: Some(frame),
            ..TestRunOptions::default()
        };
        let result = self
            .programs
            .xdp()
            .expect("in the object")
            .test_run(options)
            .expect("the kernel runs it");
        (result.return_value == 1, tagged(self) > before)
    }

    /// TC says drop by its result, and anything else by the mark; `None` is drop.
    fn tc(&mut self, frame: &[u8], link: Link, side: Side) -> Option<Code> {
        self.set_side(link, side);
        let hook = if side == Side::InsideEgress {
            Hook::Egress
        } else {
            Hook::Ingress
        };
        let (mut context, mut after) = ([0u8; 192], [0u8; 192]);
        // __sk_buff: mark at 8, ingress_ifindex at 36. A mark of the operator's lies below ours.
        context[8..12].copy_from_slice(&0x0000_0815_u32.to_ne_bytes());
        context[36..40].copy_from_slice(&LOOPBACK.to_ne_bytes());
        let classifier: &mut SchedClassifier =
            self.programs.classifier(hook).expect("in the object");
        let result = classifier
            .test_run(TestRunOptions {
                data_in: Some(frame),
                ctx_in: Some(&context),
                ctx_out: Some(&mut after),
                ..TestRunOptions::default()
            })
            .expect("the kernel runs it");
        let mark = u32::from_ne_bytes(after[8..12].try_into().expect("four bytes"));
        assert_eq!(
            mark & !CONFIG.mark_mask,
            0x0815,
            "the operator's bits of the mark changed"
        );
        let field = Field::new(CONFIG.mark_mask).expect("four adjacent bits");
        // TC_ACT_SHOT is 2.
        (result.return_value != 2).then(|| field.read(mark))
    }

    fn know(&mut self, event: &Event) {
        let (subject, verdict) = match event {
            Event::Found {
                subject, finding, ..
            } => (*subject, finding.verdict()),
            Event::Ambiguous { flow, .. } => (Subject::Flow(*flow), Verdict::AMBIGUOUS),
            Event::Cleared(flow) => {
                let other = Verdict {
                    kind: kind::OTHER,
                    ..Verdict::default()
                };
                (Subject::Flow(*flow), other)
            }
            Event::Forgotten(_) => return,
        };
        let subject = &subject;
        match subject {
            Subject::Flow(key) => {
                self.kernel.set_verdict(key, verdict).expect("room");
                self.memory.set_verdict(key, verdict).expect("infallible");
            }
            Subject::Endpoint(key) => {
                self.kernel.set_endpoint(key, verdict).expect("room");
                self.memory.set_endpoint(key, verdict).expect("infallible");
            }
        }
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

/// Whether the default policy covers the address: private IPv4, unique local IPv6.
fn is_inside(address: &[u8; 16]) -> bool {
    match from_mapped(address) {
        std::net::IpAddr::V4(v4) => v4.is_private(),
        std::net::IpAddr::V6(v6) => v6.segments()[0] & 0xfe00 == 0xfc00,
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Through {
    Xdp,
    Tc,
}

/// Runs a capture through both, with the engine in the loop, and returns packets and tags.
fn compare(twins: &mut Twins, file: &Path, through: Through) -> (u64, u64) {
    let mut engine = Engine::new(Settings::default());
    let mut events = Vec::new();
    let (mut packets, mut tags) = (0, 0);
    let mut request = 0u8;
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
        let payload = record
            .data
            .get(headers.payload_offset as usize..)
            .unwrap_or_default();
        let direction = if outbound { OUTBOUND } else { INBOUND };
        let flow = twins.memory.flow_state(&key);
        let packet = Packet {
            number: record.number,
            now: record.timestamp,
            key,
            outbound,
            tcp_seq: headers.tcp_seq,
            tcp_base: flow.and_then(|flow| flow.tcp_base(direction)),
            payload: &payload[..payload.len().min(headers.payload_len as usize)],
            payload_len: headers.payload_len,
        };
        let answer = engine.packet(&packet, &mut events);
        for event in events.drain(..) {
            twins.know(&event);
        }
        if answer.finding.is_none() && answer.more > 0 {
            request = request.wrapping_add(1).max(1);
            let more = Verdict {
                more: answer.more,
                more_request: request,
                ..Verdict::default()
            };
            twins.kernel.set_verdict(&key, more).expect("room");
            twins.memory.set_verdict(&key, more).expect("infallible");
        }
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

fn every_capture(through: Through) {
    // One set of tables for all: what an earlier capture left in them is the same on both sides.
    let Some(mut twins) = Twins::load() else {
        return;
    };
    let (mut packets, mut tags) = (0, 0);
    for file in captures() {
        let (in_file, tagged) = compare(&mut twins, &file, through);
        packets += in_file;
        tags += tagged;
    }
    println!("{packets} packets alike, {tags} of them sent up");
}

/// An Ethernet frame with VLAN tags around a UDP datagram.
fn tagged_frame(tags: &[u16], payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];
    for (index, tag) in tags.iter().enumerate() {
        let ethertype: u16 = if index + 1 < tags.len() {
            0x88a8
        } else {
            0x8100
        };
        frame.extend(ethertype.to_be_bytes());
        frame.extend(tag.to_be_bytes());
    }
    frame.extend([0x08, 0x00]);
    frame.extend(ipv4_udp(payload, 0));
    frame
}

/// An IPv4 packet from 10.0.0.1:5000 to 192.0.2.1:6000.
fn ipv4_udp(payload: &[u8], fragment: u16) -> Vec<u8> {
    let later = fragment & 0x1fff != 0;
    let body = payload.len() + if later { 0 } else { 8 };
    let mut packet = vec![0x45, 0];
    packet.extend((20 + body as u16).to_be_bytes());
    packet.extend([0x47, 0x11]);
    packet.extend(fragment.to_be_bytes());
    packet.extend([64, UDP, 0, 0, 10, 0, 0, 1, 192, 0, 2, 1]);
    if !later {
        packet.extend([0x13, 0x88, 0x17, 0x70]);
        packet.extend((body as u16).to_be_bytes());
        packet.extend([0, 0]);
    }
    packet.extend(payload);
    packet
}

fn probe() -> Vec<u8> {
    // The 18-byte probe of the Wireshark sample SkypeIRC.cap at 66.1 s.
    vec![
        0x15, 0xf2, 0x02, 0xe2, 0xb4, 0x59, 0xe6, 0x64, 0x4a, 0x65, 0x4d, 0x81, 0x76, 0x3a, 0xc9,
        0xdb, 0xf5, 0x36,
    ]
}

fn key() -> FlowKey {
    FlowKey {
        zone: 0,
        protocol: UDP,
        reserved: 0,
        inside_port: 5000,
        outside_port: 6000,
        inside: mapped([10, 0, 0, 1]),
        outside: mapped([192, 0, 2, 1]),
    }
}

const SKYPE: Verdict = Verdict {
    kind: kind::SKYPE,
    class: 1,
    role: 0,
    confidence: 3,
    more: 0,
    more_request: 0,
    epoch: 0,
};

#[test]
fn vlan_and_qinq_frames_are_tagged_and_dropped_like_plain_ones() {
    let Some(mut twins) = Twins::load() else {
        return;
    };
    for tags in [&[][..], &[5], &[7, 42]] {
        let frame = tagged_frame(tags, &probe());
        assert_eq!(
            twins.xdp(&frame, Link::Ethernet, Side::InsideIngress),
            (false, true),
            "{tags:?}"
        );
        assert_eq!(
            twins.tc(&frame, Link::Ethernet, Side::InsideIngress),
            Some(Code::Inspect(1)),
            "{tags:?}"
        );
    }
    // Three tags are more than the parser follows: the packet passes, seen and not judged.
    let frame = tagged_frame(&[1, 2, 3], &probe());
    assert_eq!(
        twins.tc(&frame, Link::Ethernet, Side::InsideIngress),
        Some(Code::Pass)
    );

    twins
        .kernel
        .set_endpoint(&key().endpoint(), SKYPE)
        .expect("room");
    for tags in [&[][..], &[5], &[7, 42]] {
        let frame = tagged_frame(tags, &probe());
        assert_eq!(
            twins.xdp(&frame, Link::Ethernet, Side::InsideIngress),
            (true, false),
            "{tags:?}"
        );
        assert_eq!(
            twins.tc(&frame, Link::Ethernet, Side::InsideIngress),
            None,
            "{tags:?}"
        );
    }
}

#[test]
fn later_fragments_share_the_fate_of_the_first() {
    let Some(mut twins) = Twins::load() else {
        return;
    };
    let (first, later) = (ipv4_udp(&probe(), 0x2000), ipv4_udp(&[0xee; 40], 100));
    // A later fragment whose first was not seen passes.
    assert_eq!(
        twins.tc(&later, Link::Raw, Side::InsideIngress),
        Some(Code::Pass)
    );
    assert_eq!(
        twins.tc(&first, Link::Raw, Side::InsideIngress),
        Some(Code::Inspect(1))
    );
    assert_eq!(
        twins.tc(&later, Link::Raw, Side::InsideIngress),
        Some(Code::Inspect(1))
    );
    twins.kernel.set_verdict(&key(), SKYPE).expect("room");
    assert_eq!(twins.tc(&later, Link::Raw, Side::InsideIngress), None);
}

#[test]
fn ipv6_extension_headers_are_walked() {
    let Some(mut twins) = Twins::load() else {
        return;
    };
    let mut udp = vec![0x13, 0x88, 0x17, 0x70];
    udp.extend((8 + probe().len() as u16).to_be_bytes());
    udp.extend([0, 0]);
    udp.extend(probe());
    // Hop-by-hop and destination options of 8 bytes each, then UDP.
    let mut body = vec![60, 0, 1, 4, 0, 0, 0, 0, UDP, 0, 1, 4, 0, 0, 0, 0];
    body.extend(udp);
    let mut packet = vec![0x60, 0, 0, 0];
    packet.extend((body.len() as u16).to_be_bytes());
    packet.extend([0, 64]);
    packet.extend("fd00::1".parse::<Ipv6Addr>().expect("an address").octets());
    packet.extend(
        "2001:db8::1"
            .parse::<Ipv6Addr>()
            .expect("an address")
            .octets(),
    );
    packet.extend(body);
    assert_eq!(
        twins.tc(&packet, Link::Raw, Side::InsideIngress),
        Some(Code::Inspect(1))
    );
    assert_eq!(
        twins.memory(&packet, Link::Raw, Side::InsideIngress),
        Outcome::Pass(Code::Inspect(1))
    );
}

#[test]
fn an_old_heartbeat_ends_tagging_and_dropping_and_closed_refuses_instead() {
    let Some(mut twins) = Twins::load() else {
        return;
    };
    let frame = ipv4_udp(&probe(), 0);
    let strict = GateConfig {
        heartbeat_limit: 1_000_000,
        ..CONFIG
    };
    twins
        .programs
        .set_config(strict)
        .expect("an array takes its entry");
    assert_eq!(
        twins.tc(&frame, Link::Raw, Side::InsideIngress),
        Some(Code::Pass),
        "open passes"
    );
    let closed = GateConfig {
        flags: skype_ips_common::layout::flag::CLOSED,
        ..strict
    };
    twins
        .programs
        .set_config(closed)
        .expect("an array takes its entry");
    assert_eq!(
        twins.tc(&frame, Link::Raw, Side::InsideIngress),
        None,
        "closed drops what it would have sent up"
    );
    twins
        .kernel
        .set_endpoint(&key().endpoint(), SKYPE)
        .expect("room");
    twins
        .programs
        .set_config(strict)
        .expect("an array takes its entry");
    assert_eq!(
        twins.tc(&frame, Link::Raw, Side::InsideIngress),
        Some(Code::Pass),
        "open stops dropping"
    );
}

#[test]
fn bypass_drops_nothing_and_goes_on_watching() {
    let Some(mut twins) = Twins::load() else {
        return;
    };
    let frame = ipv4_udp(&probe(), 0);
    twins
        .kernel
        .set_endpoint(&key().endpoint(), SKYPE)
        .expect("room");
    assert_eq!(twins.tc(&frame, Link::Raw, Side::InsideIngress), None);
    let bypass = GateConfig {
        flags: skype_ips_common::layout::flag::BYPASS,
        ..CONFIG
    };
    twins
        .programs
        .set_config(bypass)
        .expect("an array takes its entry");
    assert_eq!(
        twins.tc(&frame, Link::Raw, Side::InsideIngress),
        Some(Code::Inspect(1))
    );
}

#[test]
fn packets_to_the_gateway_itself_and_to_groups_are_left_alone() {
    let Some(mut twins) = Twins::load() else {
        return;
    };
    twins
        .kernel
        .set_endpoint(&key().endpoint(), SKYPE)
        .expect("room");
    let mut group = ipv4_udp(&probe(), 0);
    group[16..20].copy_from_slice(&[239, 255, 255, 250]);
    assert_eq!(
        twins.tc(&group, Link::Raw, Side::InsideIngress),
        Some(Code::Pass)
    );
    let frame = ipv4_udp(&probe(), 0);
    assert_eq!(twins.tc(&frame, Link::Raw, Side::InsideIngress), None);
    twins
        .programs
        .set_local(&[mapped([192, 0, 2, 1])])
        .expect("room");
    assert_eq!(
        twins.tc(&frame, Link::Raw, Side::InsideIngress),
        Some(Code::Pass)
    );
    twins.programs.set_local(&[]).expect("room");
    assert_eq!(twins.tc(&frame, Link::Raw, Side::InsideIngress), None);
}
