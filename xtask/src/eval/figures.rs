//! How early decisions come, and what gets through before them.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::Serialize;

use super::File;
use super::corpus::Conversation;
use super::labels::Truth;
use super::replay::{Finding, Flow};

/// Datagrams of type 2 that an endpoint may send until it is proved.
const DATAGRAMS: u64 = 2;

/// The middle and the far end of some figures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Spread {
    /// How many figures there are.
    pub(super) count: u64,
    pub(super) median: u64,
    pub(super) p95: u64,
    pub(super) worst: u64,
}

impl Spread {
    /// By nearest rank: the smallest figure that so many per cent of all don't exceed.
    pub(super) fn of(mut figures: Vec<u64>) -> Self {
        figures.sort_unstable();
        let rank = |percent: usize| (figures.len() * percent).div_ceil(100).max(1) - 1;
        let at = |index: usize| figures.get(index).copied().unwrap_or(0);
        Self {
            count: figures.len() as u64,
            median: at(rank(50)),
            p95: at(rank(95)),
            worst: figures.last().copied().unwrap_or(0),
        }
    }
}

/// So many of so many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Share {
    pub(super) part: u64,
    pub(super) all: u64,
}

impl Share {
    fn add(&mut self, is_part: bool) {
        self.part += u64::from(is_part);
        self.all += 1;
    }
}

/// Of conversations labelled Skype and found: what came through before the decision. In
/// retrospect that is all of a conversation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct LetThrough {
    pub(super) packets: Spread,
    /// Of IP packets.
    pub(super) bytes: Spread,
}

impl LetThrough {
    /// Of those that `counts` says.
    fn of(found: &[&Flow], counts: impl Fn(&Flow) -> bool) -> Self {
        let spread = |figure: fn(&Finding) -> u64| {
            let chosen = found.iter().filter(|flow| counts(flow));
            Spread::of(chosen.map(|flow| figure(&flow.skype)).collect())
        };
        Self {
            packets: spread(|finding| finding.passed_pkts),
            bytes: spread(|finding| finding.passed_bytes),
        }
    }
}

/// Conversations labelled Skype whose decision came in time; missed ones did not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct InTime {
    /// UDP conversations whose endpoint was proved by its second datagram of type 2, or that were
    /// found by their own second packet.
    pub(super) udp_flows: Share,
    /// UDP endpoints proved by their second datagram of type 2.
    pub(super) udp_endpoints: Share,
    /// The same, counting what they had received too.
    pub(super) udp_endpoints_either_way: Share,
    /// TCP conversations found by the first segment with payload from the server.
    pub(super) tcp_flows: Share,
}

impl InTime {
    /// UDP and TCP together.
    pub(super) const fn flows(&self) -> Share {
        Share {
            part: self.udp_flows.part + self.tcp_flows.part,
            all: self.udp_flows.all + self.tcp_flows.all,
        }
    }
}

/// The figures of all captures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Figures {
    pub(super) in_time: InTime,
    /// All that were found.
    pub(super) let_through: LetThrough,
    /// Those found while they lasted.
    pub(super) let_through_live: LetThrough,
    pub(super) let_through_udp: LetThrough,
    pub(super) let_through_tcp: LetThrough,
}

impl Figures {
    pub(super) fn of(files: &[File]) -> Self {
        let skype = files.iter().flat_map(File::labelled_skype);
        let found: Vec<_> = skype.filter_map(found).collect();
        let of_proto = |proto| LetThrough::of(&found, move |flow| flow.ends().proto() == proto);
        Self {
            in_time: in_time(files),
            let_through: LetThrough::of(&found, |_| true),
            let_through_live: LetThrough::of(&found, |flow| !flow.skype.retrospective),
            let_through_udp: of_proto("UDP"),
            let_through_tcp: of_proto("TCP"),
        }
    }
}

fn found(conversation: &Conversation) -> Option<&Flow> {
    let flow = conversation.flow.as_ref();
    flow.filter(|flow| flow.skype.detected)
}

fn in_time(files: &[File]) -> InTime {
    let mut in_time = InTime::default();
    for file in files {
        let mut endpoints = BTreeMap::<(IpAddr, u16), (u64, u64)>::new();
        for conversation in file.labelled_skype() {
            let finding = found(conversation).map(|flow| &flow.skype);
            if conversation.ends.proto() != "UDP" {
                in_time.tcp_flows.add(finding.is_some_and(tcp_in_time));
                continue;
            }
            in_time.udp_flows.add(finding.is_some_and(udp_in_time));
            if let Some(endpoint) = finding.and_then(|finding| finding.endpoint.as_ref()) {
                // Of one proved twice (forgotten, or restarted) the slower time counts.
                let shown = (endpoint.sent, endpoint.sent + endpoint.received);
                let known = endpoints.entry((endpoint.ip, endpoint.port)).or_default();
                *known = (*known).max(shown);
            }
        }
        for (sent, either_way) in endpoints.into_values() {
            in_time.udp_endpoints.add(sent <= DATAGRAMS);
            in_time
                .udp_endpoints_either_way
                .add(either_way <= DATAGRAMS);
        }
    }
    in_time
}

fn udp_in_time(finding: &Finding) -> bool {
    match &finding.endpoint {
        // Also in retrospect: the endpoint had shown no more than this.
        Some(endpoint) => endpoint.sent <= DATAGRAMS,
        None => finding.decided_at_packet.is_some_and(|at| at <= DATAGRAMS),
    }
}

fn tcp_in_time(finding: &Finding) -> bool {
    !finding.retrospective && finding.passed_server_payloads == Some(0)
}

/// Packets of conversations that are not Skype which went to user space, by replay's gate.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct QueueShare {
    /// Of packets read, whatever their protocol, without those of Skype.
    pub(super) packets: Share,
    /// Of conversations without Skype: those of which a packet went up.
    pub(super) flows: Share,
}

/// The same by folder.
pub(super) fn queue_shares(files: &[File]) -> BTreeMap<&str, QueueShare> {
    let mut folders = BTreeMap::<_, QueueShare>::new();
    for file in files {
        let share = folders.entry(file.capture.folder.as_str()).or_default();
        share.packets.all += file.packets;
        for one in &file.conversations {
            let Some(flow) = &one.flow else {
                continue;
            };
            match one.truth {
                Truth::Other | Truth::Teams => {
                    share.packets.part += flow.flow.queued_pkts;
                    share.flows.add(flow.flow.queued_pkts > 0);
                }
                Truth::Skype | Truth::Unscored | Truth::Unlabelled => {
                    let packets = &mut share.packets.all;
                    *packets = packets.saturating_sub(flow.flow.packets());
                }
            }
        }
    }
    folders
}

#[cfg(test)]
mod tests;
