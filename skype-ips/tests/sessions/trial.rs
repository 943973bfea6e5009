//! A mangled session through the replay driver.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};

use skype_ips::capture::Record;
use skype_ips::engine::Settings;
use skype_ips::policy::{Action, Class, Config, Mode, parse};
use skype_ips::replay::{Conversation, Driver, Report, private_networks};

use crate::enough;
use crate::mangle::Mangle;
use crate::script::{PUBLIC, SECOND, Session};
use crate::wire::{Flow, Packet, Path, UDP, over_ipv6};

/// Some time in 2015, nanoseconds since the Unix epoch.
const START: u64 = 1_432_000_000 * SECOND;

/// The one place where the driver is made.
fn driver() -> Driver {
    let settings = Settings {
        public_addresses: vec![IpAddr::V4(PUBLIC)],
        ..Settings::default()
    };
    let config = Config::default_for_replay();
    Driver::new(&config, Mode::Monitor, settings, &private_networks())
}

fn replay(packets: &[Packet], path: &Path) -> Report {
    replay_as(packets, path, |record| record)
}

/// The same of a capture that holds something else for each frame.
pub(crate) fn replay_as(
    packets: &[Packet],
    path: &Path,
    mut instead: impl FnMut(Record) -> Record,
) -> Report {
    let mut driver = driver();
    for (id, packet) in (1_u16..).zip(packets) {
        for record in path.records(packet, START + packet.time, id) {
            driver.packet(&instead(record));
        }
    }
    driver.finish()
}

/// Whether the report says that a conversation is Skype.
fn is_skype(conversation: &Conversation) -> bool {
    conversation.detection.is_some()
}

/// The packet that decided, by its place from 0, of each flow that was decided by one of its own.
pub(crate) fn decisions(packets: &[Packet]) -> HashMap<Flow, usize> {
    let mut driver = driver();
    let path = Mangle::none().path;
    let mut decisions = HashMap::new();
    for (at, packet) in packets.iter().enumerate() {
        for record in path.records(packet, START + packet.time, at as u16) {
            let step = driver.packet(&record);
            let conversation = step.conversation.expect("a whole TCP or UDP packet");
            if is_skype(driver.conversations().get(conversation)) {
                decisions.entry(packet.flow).or_insert(at);
            }
        }
    }
    decisions
}

/// Whether a session's flow is found, of which nothing is lost.
pub(crate) fn finds(session: &Session, flow: &Flow) -> bool {
    let report = replay(&session.packets, &Mangle::none().path);
    found(&report).get(&(flow.protocol, flow.inside, flow.outside)) == Some(&true)
}

/// What a flow is said to carry, and why; `None` if it isn't found.
pub(crate) fn class(
    packets: &[Packet],
    path: &Path,
    flow: &Flow,
) -> Option<(Class, Vec<&'static str>)> {
    let report = replay(packets, path);
    let ends = [(flow.inside, flow.outside), (flow.outside, flow.inside)];
    let mut all = report.conversations.iter();
    let one =
        all.find(|one| one.protocol == flow.protocol && ends.contains(&(one.src, one.dest)))?;
    let found = one.detection.clone()?;
    Some((found.finding.class, found.evidence))
}

/// What is said of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Said {
    Skype,
    Ambiguous,
    Nothing,
}

/// What is said of a session's flow in the end, of which nothing is lost.
pub(crate) fn says(session: &Session, flow: &Flow) -> Option<Said> {
    let report = replay(&session.packets, &Mangle::none().path);
    let ends = [(flow.inside, flow.outside), (flow.outside, flow.inside)];
    let mut all = report.conversations.iter();
    let one =
        all.find(|one| one.protocol == flow.protocol && ends.contains(&(one.src, one.dest)))?;
    Some(match (&one.detection, &one.ambiguous) {
        (Some(_), None) => Said::Skype,
        (None, Some(_)) => Said::Ambiguous,
        (None, None) => Said::Nothing,
        (Some(_), Some(_)) => panic!("both: {one:?}"),
    })
}

/// How many packets of a session's flow come through under a configuration.
pub(crate) fn delivered(session: &Session, flow: &Flow, configuration: &str) -> usize {
    let config = parse(std::path::Path::new("test.toml"), configuration).expect("a right file");
    let settings = Settings::default();
    let mut driver = Driver::new(&config, config.gateway.mode, settings, &private_networks());
    let path = Mangle::none().path;
    let mut delivered = 0;
    for packet in &session.packets {
        for record in path.records(packet, START + packet.time, 0) {
            let passes = driver.packet(&record).action != Action::Drop;
            delivered += usize::from(passes && packet.flow == *flow);
        }
    }
    delivered
}

/// What was found, by flow.
pub(crate) fn found(report: &Report) -> HashMap<(u8, SocketAddr, SocketAddr), bool> {
    let all = report.conversations.iter();
    all.flat_map(|one| {
        let found = is_skype(one);
        [(one.src, one.dest), (one.dest, one.src)].map(|(a, b)| ((one.protocol, a, b), found))
    })
    .collect()
}

/// The flows that should have been found and were not.
/// Says how many ends and connections there were with evidence enough.
pub(crate) fn missed(session: &Session, mangle: &Mangle) -> Result<usize, String> {
    let packets = mangle.apply(session);
    let report = replay(&packets, &mangle.path);
    let found = found(&report);
    let is_found = |flow: &Flow| {
        found
            .get(&(flow.protocol, flow.inside, flow.outside))
            .copied()
    };
    let place = |end: SocketAddr| {
        if mangle.ipv6 {
            over_ipv6(end, 0xfd00)
        } else {
            end
        }
    };
    let mut checked = 0;
    let enough = enough::endpoints(&packets, &mangle.path, !mangle.ipv6);
    for end in session.endpoints.iter().map(|end| place(*end)) {
        if !enough.contains(&end) {
            continue;
        }
        checked += 1;
        for packet in &packets {
            let flow = packet.flow;
            let of_end = flow.protocol == UDP && flow.inside == end;
            if of_end && is_found(&flow) != Some(true) {
                return Err(story(&packets, |one| one.inside == end, mangle));
            }
        }
    }
    for connection in &session.connections {
        let mut connection = *connection;
        if mangle.ipv6 {
            connection.flow = connection.flow.over_ipv6();
        }
        if enough::connection(&packets, &mangle.path, &connection) {
            checked += 1;
            if is_found(&connection.flow) != Some(true) {
                let proofs = connection.proofs;
                let story = story(&packets, |one| *one == connection.flow, mangle);
                return Err(format!("{proofs:?}\n{story}"));
            }
        }
    }
    for flow in &session.innocent {
        let flow = if mangle.ipv6 { flow.over_ipv6() } else { *flow };
        if is_found(&flow) == Some(true) {
            return Err(format!("accused: {flow:?}"));
        }
    }
    Ok(checked)
}

/// The packets of what was missed, for whoever has to find out why.
fn story(packets: &[Packet], of: impl Fn(&Flow) -> bool, mangle: &Mangle) -> String {
    use std::fmt::Write as _;
    let mut text = "not found:\n".to_owned();
    for packet in packets.iter().filter(|packet| of(&packet.flow)).take(60) {
        let (time, at_hand) = (packet.time / 1_000_000, mangle.path.at_hand(packet));
        let arrow = if packet.outbound { "->" } else { "<-" };
        let (flow, payload) = (packet.flow, packet.payload());
        let head: String = payload[..at_hand.min(28)]
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let sequence = match packet.body {
            crate::wire::Body::Segment { flags, seq, .. } => format!("flags {flags:02x} seq {seq}"),
            crate::wire::Body::Datagram(_) => String::new(),
        };
        let len = payload.len();
        writeln!(
            text,
            "{time:>6} ms {} {arrow} {} {sequence} len {len} at hand {at_hand}: {head}",
            flow.inside, flow.outside
        )
        .expect("a string takes everything");
    }
    text
}
