//! Conversations of a capture: what travels between two ends, either way.

use std::net::SocketAddr;

use rustc_hash::FxHashMap;
use skype_ips_common::layout::FragmentKey;
use skype_ips_common::parse::{Fragment, Headers};

use super::passage::Passage;
use crate::detect::path::MediaPath;
use crate::engine::{Evidence, Finding};
use crate::policy::{Action, Decided, from_mapped};
use crate::telemetry::eve::{
    Ambiguous, FlowCounters, FlowPolicy, FlowRecord, FlowSkype, LabCounts, SkypeDetail,
    protocol_name, timestamp,
};
use crate::telemetry::passage::ProvedEndpoint;
use crate::telemetry::tunnel::Tunnel;

/// Fragment sets remembered at once; beyond that their later parts are skipped.
const MAX_FRAGMENT_SETS: usize = 65_536;

/// Index of packets from [`Conversation::src`] in two-element arrays.
pub const TO_SERVER: usize = 0;
/// Index of packets from [`Conversation::dest`] in two-element arrays.
pub const TO_CLIENT: usize = 1;

/// What a conversation was found to be, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Detection {
    /// Class, role and confidence.
    pub finding: Finding,
    /// How its media came about, if it has any and that is known; `None` in the lab.
    pub path: Option<MediaPath>,
    /// Names of the tests that it rests on.
    pub evidence: Vec<&'static str>,
    /// The packet of this conversation that completed the evidence, from 1; `None` if its last
    /// packet came before the evidence.
    pub decided_at_packet: Option<u64>,
    /// The same packet's number in the capture, from 1; `None` in the lab too.
    pub frame: Option<u64>,
    /// The proof that decided, by its index in [`super::Report::proofs`]; `None` in the lab.
    pub proof: Option<usize>,
}

/// That a conversation is Skype's or Teams', and nothing tells which.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Doubt {
    /// The inside end.
    pub inside: SocketAddr,
    /// The packet of the capture that completed the evidence, from 1; `None` in the lab.
    pub frame: Option<u64>,
    /// Why.
    pub evidence: Vec<Evidence>,
}

/// What travels between two ends, whichever sent the first packet seen. A SYN on a known pair of
/// ends begins no new one.
#[derive(Clone, Debug)]
pub struct Conversation {
    /// The end that sent the first packet.
    pub src: SocketAddr,
    /// The other end.
    pub dest: SocketAddr,
    /// IP protocol number, TCP or UDP.
    pub protocol: u8,
    /// VLAN tags of the first packet, outermost first.
    pub vlan: Vec<u16>,
    /// The tunnel around its first packet.
    pub tunnel: Option<Tunnel>,
    /// Packets, by [`TO_SERVER`] and [`TO_CLIENT`].
    pub packets: [u64; 2],
    /// Bytes of IP packets, likewise.
    pub bytes: [u64; 2],
    /// Time of the first packet, nanoseconds since the Unix epoch.
    pub start: u64,
    /// Time of the last packet, likewise.
    pub end: u64,
    /// What it was found to be.
    pub detection: Option<Detection>,
    /// That it is Skype's or Teams', where nothing tells which; then there is no detection.
    pub ambiguous: Option<Doubt>,
    /// Packets that the policy dropped.
    pub dropped: u64,
    /// The policy of its inside host and what that did.
    pub policy: Option<Done>,
    /// What the lab counted.
    pub lab: Option<LabCounts>,
    /// Packets that the gate sent to user space.
    pub queued: u64,
    /// What came through of it.
    pub passage: Passage,
    /// The inside endpoint whose proof decided it.
    pub endpoint: Option<ProvedEndpoint>,
}

/// What a policy did, and whose it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Done {
    /// The policy's name.
    pub policy: String,
    /// The strictest that it did.
    pub action: Action,
    /// Names of the budgets that were obeyed, if any.
    pub budget: Option<String>,
}

impl Done {
    /// What was decided by a policy.
    pub(super) fn of(decided: &Decided<'_>) -> Self {
        let names: Vec<_> = decided
            .budgets
            .iter()
            .map(|budget| budget.name.as_str())
            .collect();
        Self {
            policy: decided.policy.name.clone(),
            action: decided.action,
            budget: (!names.is_empty()).then(|| names.join(", ")),
        }
    }
}

impl Conversation {
    /// One that begins at `time`.
    pub(super) fn new(src: SocketAddr, dest: SocketAddr, protocol: u8, time: u64) -> Self {
        Self {
            src,
            dest,
            protocol,
            vlan: Vec::new(),
            tunnel: None,
            packets: [0; 2],
            bytes: [0; 2],
            start: time,
            end: time,
            detection: None,
            ambiguous: None,
            dropped: 0,
            policy: None,
            lab: None,
            queued: 0,
            passage: Passage::default(),
            endpoint: None,
        }
    }

    /// The strictest that its policy did.
    pub fn action(&self) -> Action {
        self.policy
            .as_ref()
            .map_or(Action::Allow, |done| done.action)
    }

    /// Packets of both directions.
    pub const fn total_packets(&self) -> u64 {
        self.packets[TO_SERVER] + self.packets[TO_CLIENT]
    }

    /// The event record of the conversation's end. `capture` is the file's name, `policy_hash`
    /// the SHA-256 of the configuration.
    pub fn record(&self, capture: &str, policy_hash: &str) -> FlowRecord {
        let done = self.policy.as_ref();
        FlowRecord {
            event_type: "flow",
            timestamp: timestamp(self.end),
            flow_id: self.flow_id(),
            community_id: self.community_id(),
            src_ip: self.src.ip(),
            src_port: self.src.port(),
            dest_ip: self.dest.ip(),
            dest_port: self.dest.port(),
            proto: protocol_name(self.protocol),
            vlan: self.vlan.clone(),
            tunnel: self.tunnel,
            capture: Some(capture.to_owned()),
            flow: FlowCounters {
                pkts_toserver: self.packets[TO_SERVER],
                pkts_toclient: self.packets[TO_CLIENT],
                bytes_toserver: self.bytes[TO_SERVER],
                bytes_toclient: self.bytes[TO_CLIENT],
                start: timestamp(self.start),
                end: timestamp(self.end),
                queued_pkts: self.queued,
            },
            skype: FlowSkype {
                detected: self.detection.is_some(),
                ambiguous: self.ambiguous.as_ref().map(|doubt| Ambiguous {
                    ambiguous: true,
                    evidence: doubt
                        .evidence
                        .iter()
                        .map(|evidence| evidence.name)
                        .collect(),
                }),
                detail: self.detection.as_ref().map(|detection| SkypeDetail {
                    class: detection.finding.class,
                    role: detection.finding.role,
                    path: detection.path,
                    confidence: detection.finding.confidence,
                    evidence: detection.evidence.clone(),
                    decided_at_packet: detection.decided_at_packet,
                    retrospective: detection.decided_at_packet.is_none(),
                    passed: self.passage.before_decision(),
                    endpoint: self.endpoint,
                }),
            },
            policy: FlowPolicy {
                name: done.map(|done| done.policy.clone()),
                version: policy_hash.to_owned(),
                action: self.action(),
                budget: done.and_then(|done| done.budget.clone()),
                dropped_pkts: self.dropped,
            },
            lab: self.lab,
            payload: None,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Ends {
    zone: u16,
    low: SocketAddr,
    high: SocketAddr,
    protocol: u8,
}

/// All conversations of a capture, in the order of their first packets.
#[derive(Clone, Debug, Default)]
pub struct Conversations {
    all: Vec<Conversation>,
    by_ends: FxHashMap<Ends, usize>,
    fragments: FxHashMap<(u16, FragmentKey), usize>,
}

impl Conversations {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Counts a packet (`time`: nanoseconds since the Unix epoch) and says to which conversation
    /// it belongs. `None` for a later fragment whose first was not seen: it has no ports.
    pub fn observe(&mut self, time: u64, headers: &Headers, vlan: &[u16]) -> Option<usize> {
        self.observe_in(0, None, time, headers, vlan)
    }

    /// The same of a packet in a tunnel. Equal ends in two zones are two conversations.
    pub(super) fn observe_in(
        &mut self,
        zone: u16,
        tunnel: Option<Tunnel>,
        time: u64,
        headers: &Headers,
        vlan: &[u16],
    ) -> Option<usize> {
        let source = from_mapped(&headers.source);
        let fragment_key = |id| {
            let key = FragmentKey {
                source: headers.source,
                destination: headers.destination,
                id,
                protocol: u32::from(headers.protocol),
            };
            (zone, key)
        };
        let index = match headers.fragment {
            Fragment::Later(id) => *self.fragments.get(&fragment_key(id))?,
            Fragment::Whole | Fragment::First(_) => {
                let src = SocketAddr::new(source, headers.source_port);
                let dest = from_mapped(&headers.destination);
                let dest = SocketAddr::new(dest, headers.destination_port);
                let ends = Ends {
                    zone,
                    low: src.min(dest),
                    high: src.max(dest),
                    protocol: headers.protocol,
                };
                *self.by_ends.entry(ends).or_insert_with(|| {
                    let first = Conversation::new(src, dest, headers.protocol, time);
                    self.all.push(Conversation {
                        vlan: vlan.to_vec(),
                        tunnel,
                        ..first
                    });
                    self.all.len() - 1
                })
            }
        };
        if let Fragment::First(id) = headers.fragment {
            if self.fragments.len() >= MAX_FRAGMENT_SETS {
                self.fragments.clear();
            }
            self.fragments.insert(fragment_key(id), index);
        }
        let conversation = &mut self.all[index];
        // Between two ports of one address the port tells the direction; fragments of such a
        // conversation can't be told and count as the sender's.
        let from_src = match headers.fragment {
            Fragment::Later(_) => conversation.src.ip() == source,
            Fragment::Whole | Fragment::First(_) => {
                conversation.src == SocketAddr::new(source, headers.source_port)
            }
        };
        let direction = if from_src { TO_SERVER } else { TO_CLIENT };
        conversation.packets[direction] += 1;
        conversation.bytes[direction] += u64::from(headers.ip_len);
        conversation.passage.packet(direction, headers);
        conversation.end = conversation.end.max(time);
        Some(index)
    }

    /// A conversation, by an index from [`Self::observe`].
    ///
    /// # Panics
    ///
    /// If the index is not from this object.
    pub fn get(&self, index: usize) -> &Conversation {
        &self.all[index]
    }

    /// A conversation to change, by an index from [`Self::observe`].
    ///
    /// # Panics
    ///
    /// If the index is not from this object.
    pub fn get_mut(&mut self, index: usize) -> &mut Conversation {
        &mut self.all[index]
    }

    /// How many there are; indexes go from 0 to one less.
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// All of them, in the order of their indexes.
    pub fn iter(&self) -> impl Iterator<Item = &Conversation> {
        self.all.iter()
    }

    /// Their indexes in the order of reports: by start, then by their ends.
    pub fn in_report_order(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.all.len()).collect();
        order.sort_by_key(|&index| {
            let one = &self.all[index];
            (one.start, one.src, one.dest, one.protocol)
        });
        order
    }
}

#[cfg(test)]
mod tests {
    use skype_ips_common::layout::{UDP, mapped};

    use super::*;

    fn headers(source: ([u8; 4], u16), destination: ([u8; 4], u16), fragment: Fragment) -> Headers {
        Headers {
            source: mapped(source.0),
            destination: mapped(destination.0),
            protocol: UDP,
            source_port: source.1,
            destination_port: destination.1,
            ip_len: 100,
            payload_offset: 28,
            payload_len: 72,
            tcp_flags: 0,
            tcp_seq: 0,
            fragment,
            ..Headers::default()
        }
    }

    const A: ([u8; 4], u16) = ([10, 0, 0, 1], 5);
    const B: ([u8; 4], u16) = ([10, 0, 0, 2], 5);

    #[test]
    fn both_directions_are_one_conversation() {
        let mut all = Conversations::new();
        assert_eq!(
            all.observe(1, &headers(B, A, Fragment::Whole), &[7]),
            Some(0)
        );
        assert_eq!(
            all.observe(2, &headers(A, B, Fragment::Whole), &[]),
            Some(0)
        );
        let one = all.get(0);
        assert_eq!(one.src, "10.0.0.2:5".parse().expect("an address"));
        assert_eq!((one.packets, one.bytes), ([1, 1], [100, 100]));
        assert_eq!((one.start, one.end, one.vlan.as_slice()), (1, 2, &[7][..]));
    }

    #[test]
    fn later_fragments_follow_the_first() {
        let mut all = Conversations::new();
        let (bare_a, bare_b) = ((A.0, 0), (B.0, 0));
        assert_eq!(
            all.observe(1, &headers(bare_a, bare_b, Fragment::Later(9)), &[]),
            None
        );
        assert_eq!(
            all.observe(2, &headers(A, B, Fragment::First(9)), &[]),
            Some(0)
        );
        assert_eq!(
            all.observe(3, &headers(bare_a, bare_b, Fragment::Later(9)), &[]),
            Some(0)
        );
        assert_eq!(
            all.observe(4, &headers(bare_b, bare_a, Fragment::Later(9)), &[]),
            None
        );
        assert_eq!(all.get(0).packets, [2, 0]);
    }

    #[test]
    fn equal_addresses_are_told_by_port() {
        let mut all = Conversations::new();
        let other = (A.0, 6);
        all.observe(1, &headers(A, other, Fragment::Whole), &[]);
        all.observe(2, &headers(other, A, Fragment::Whole), &[]);
        assert_eq!(all.get(0).packets, [1, 1]);
    }

    #[test]
    fn reports_go_by_start_then_ends() {
        let mut all = Conversations::new();
        all.observe(5, &headers(B, ([1, 1, 1, 1], 1), Fragment::Whole), &[]);
        all.observe(5, &headers(A, ([1, 1, 1, 1], 1), Fragment::Whole), &[]);
        all.observe(4, &headers(B, ([1, 1, 1, 1], 2), Fragment::Whole), &[]);
        assert_eq!(all.in_report_order(), [2, 1, 0]);
    }
}
