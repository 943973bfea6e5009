//! Event records: one JSON object per line, with Suricata EVE's field names where EVE has one.

use std::net::IpAddr;

use serde::Serialize;

use super::passage::{Passed, PayloadHeads, ProvedEndpoint};
use super::tunnel::Tunnel;
use crate::detect::path::MediaPath;
use crate::policy::{Action, Class, Confidence, Role};

/// A time (nanoseconds since the Unix epoch) as Suricata writes it, in UTC with microseconds:
/// `2026-11-22T22:00:00.123456+0000`.
pub fn timestamp(ns: u64) -> String {
    let time = jiff::Timestamp::from_nanosecond(i128::from(ns))
        .expect("2^64 ns after 1970 is the year 2554, which jiff can say");
    time.strftime("%Y-%m-%dT%H:%M:%S%.6f+0000").to_string()
}

/// The name of an IP protocol number in `proto`.
pub const fn protocol_name(protocol: u8) -> &'static str {
    match protocol {
        skype_ips_common::layout::TCP => "TCP",
        skype_ips_common::layout::UDP => "UDP",
        _ => "IP",
    }
}

/// A conversation, at its end.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FlowRecord {
    /// Always `flow`.
    pub event_type: &'static str,
    /// Time of the conversation's last packet.
    pub timestamp: String,
    /// A number for this conversation, the same for the same input.
    pub flow_id: u64,
    /// Community ID, version 1.
    pub community_id: String,
    /// The side that sent the first packet seen.
    pub src_ip: IpAddr,
    /// Its port.
    pub src_port: u16,
    /// The other side.
    pub dest_ip: IpAddr,
    /// Its port.
    pub dest_port: u16,
    /// `TCP` or `UDP`.
    pub proto: &'static str,
    /// VLAN tags of the first packet, outermost first; absent if there are none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub vlan: Vec<u16>,
    /// The tunnel that it was in, in captures; absent if it was in none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tunnel: Option<Tunnel>,
    /// File name of the capture; absent on live traffic.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub capture: Option<String>,
    /// How much and when.
    pub flow: FlowCounters,
    /// What it was found to be.
    pub skype: FlowSkype,
    /// What the policy of its inside host did about it.
    pub policy: FlowPolicy,
    /// What the lab counted; only there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lab: Option<LabCounts>,
    /// How the payload begins; only where it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payload: Option<PayloadHeads>,
}

/// How much and when.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FlowCounters {
    /// Packets sent by `src`.
    pub pkts_toserver: u64,
    /// Packets sent by `dest`.
    pub pkts_toclient: u64,
    /// Bytes of IP packets sent by `src`.
    pub bytes_toserver: u64,
    /// Bytes of IP packets sent by `dest`.
    pub bytes_toclient: u64,
    /// Time of the first packet.
    pub start: String,
    /// Time of the last packet.
    pub end: String,
    /// Packets of both directions that the gate sent to user space; absent if there were none.
    #[serde(skip_serializing_if = "is_zero")]
    pub queued_pkts: u64,
}

const fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// What a conversation was found to be.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FlowSkype {
    /// Whether it is Skype.
    pub detected: bool,
    /// Absent unless it may be Skype's or Teams', which is not detected.
    #[serde(flatten)]
    pub ambiguous: Option<Ambiguous>,
    /// Absent if it is not.
    #[serde(flatten)]
    pub detail: Option<SkypeDetail>,
}

/// Media that Skype and Teams share, of which nothing tells whose it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Ambiguous {
    /// Always true.
    pub ambiguous: bool,
    /// Names of the tests that it rests on.
    pub evidence: Vec<&'static str>,
}

/// What kind of Skype, and why.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SkypeDetail {
    /// Kind of traffic.
    pub class: Class,
    /// What the inside host is.
    pub role: Role,
    /// How its media came about; absent if it has none or that isn't known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<MediaPath>,
    /// How sure.
    pub confidence: Confidence,
    /// Names of the tests that it rests on.
    pub evidence: Vec<&'static str>,
    /// The packet of this conversation that completed the evidence, from 1; `null` if the
    /// conversation's last packet came before the evidence.
    pub decided_at_packet: Option<u64>,
    /// True if the conversation's last packet came before the evidence, else absent.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub retrospective: bool,
    /// What came through before the decision; not in the lab, which has counts of its own.
    #[serde(flatten)]
    pub passed: Option<Passed>,
    /// The inside endpoint whose proof decided it, if one's did; not in the lab.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<ProvedEndpoint>,
}

/// What the policy did.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FlowPolicy {
    /// The policy's name; `null` where none covers the host.
    pub name: Option<String>,
    /// SHA-256 of the configuration.
    pub version: String,
    /// What was really done, mode and confidence considered.
    pub action: Action,
    /// The budget that throttled it, if any.
    pub budget: Option<String>,
    /// Packets dropped.
    pub dropped_pkts: u64,
}

/// What the lab counted of one conversation, packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LabCounts {
    /// Sent into the gateway.
    pub sent: u64,
    /// Arrived on the other side.
    pub delivered: u64,
    /// Of those sent, the ones after the conversation's decision.
    pub sent_after_decision: u64,
    /// Of those delivered, the ones after the conversation's decision.
    pub delivered_after_decision: u64,
    /// Not sent: no gateway would forward them.
    pub unroutable: u64,
    /// Reported dropped by the gateway.
    pub dropped: u64,
}

/// The last line of a run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StatsRecord {
    /// Always `stats`.
    pub event_type: &'static str,
    /// Time of the last packet.
    pub timestamp: String,
    /// The figures.
    pub stats: StatsCounters,
}

/// Totals of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct StatsCounters {
    /// Packets read.
    pub packets: u64,
    /// Their bytes on the wire.
    pub bytes: u64,
    /// Conversations.
    pub flows: u64,
    /// Conversations found to be Skype.
    pub skype_flows: u64,
    /// Conversations that may be Skype's or Teams'; absent if there are none.
    #[serde(skip_serializing_if = "is_zero")]
    pub ambiguous_flows: u64,
    /// Packets sent up to user space.
    pub queued: u64,
    /// Packets that an enforced policy dropped.
    pub dropped: u64,
    /// Packets whose headers contradict themselves or are cut off.
    pub undecodable: u64,
    /// From the first packet to the last, on the capture's clock.
    pub seconds: f64,
}

impl StatsRecord {
    /// A record of figures taken at `at` (nanoseconds since the Unix epoch).
    pub fn new(at: u64, stats: StatsCounters) -> Self {
        Self {
            event_type: "stats",
            timestamp: timestamp(at),
            stats,
        }
    }
}

/// Something was found on live traffic.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AlertRecord {
    /// Always `alert`.
    pub event_type: &'static str,
    /// When.
    pub timestamp: String,
    /// The inside host.
    pub src_ip: IpAddr,
    /// Its port.
    pub src_port: u16,
    /// The outside host.
    pub dest_ip: IpAddr,
    /// Its port.
    pub dest_port: u16,
    /// `TCP` or `UDP`.
    pub proto: &'static str,
    /// Community ID, version 1.
    pub community_id: String,
    /// What was found.
    pub skype: AlertSkype,
    /// What the policy says; counts are in the flow's own record.
    pub policy: AlertPolicy,
}

/// What was found on live traffic.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AlertSkype {
    /// False if it may as well be Teams'.
    pub detected: bool,
    /// True if it may be Skype's or Teams', else absent.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub ambiguous: bool,
    /// `flow`, or `endpoint` if it holds for all UDP of the inside address and port.
    pub scope: &'static str,
    /// What it was found to be; absent if it is ambiguous.
    #[serde(flatten)]
    pub found: Option<AlertFinding>,
    /// Names of the tests that it rests on.
    pub evidence: Vec<&'static str>,
}

/// What kind of Skype was found on live traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct AlertFinding {
    /// Kind of traffic.
    pub class: Class,
    /// What the inside host is.
    pub role: Role,
    /// How sure.
    pub confidence: Confidence,
}

/// What the policy says of a finding.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AlertPolicy {
    /// The policy's name; `null` where none covers the host.
    pub name: Option<String>,
    /// SHA-256 of the configuration.
    pub version: String,
    /// What is done, mode and confidence considered.
    pub action: Action,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_look_like_suricatas() {
        assert_eq!(
            timestamp(1_795_384_800_123_456_789),
            "2026-11-22T22:00:00.123456+0000"
        );
        assert_eq!(timestamp(0), "1970-01-01T00:00:00.000000+0000");
        assert_eq!(timestamp(u64::MAX), "2554-07-21T23:34:33.709551+0000");
    }

    #[test]
    fn an_undetected_flow_says_so_and_nothing_else() {
        let skype = FlowSkype {
            detected: false,
            ambiguous: None,
            detail: None,
        };
        let json = serde_json::to_string(&skype).expect("plain data");
        assert_eq!(json, r#"{"detected":false}"#);
    }

    #[test]
    fn what_is_ambiguous_is_not_detected_and_has_no_class() {
        let skype = FlowSkype {
            detected: false,
            ambiguous: Some(Ambiguous {
                ambiguous: true,
                evidence: vec!["stun-microsoft"],
            }),
            detail: None,
        };
        let json = serde_json::to_string(&skype).expect("plain data");
        let expected = r#"{"detected":false,"ambiguous":true,"evidence":["stun-microsoft"]}"#;
        assert_eq!(json, expected);
    }

    #[test]
    fn a_retrospective_finding_has_a_null_packet() {
        let skype = FlowSkype {
            detected: true,
            ambiguous: None,
            detail: Some(SkypeDetail {
                class: Class::Signaling,
                role: Role::Client,
                path: None,
                confidence: Confidence::Exact,
                evidence: vec!["endpoint", "udp-generator"],
                decided_at_packet: None,
                retrospective: true,
                passed: None,
                endpoint: None,
            }),
        };
        assert_eq!(
            serde_json::to_string(&skype).expect("plain data"),
            concat!(
                r#"{"detected":true,"class":"signaling","role":"client","confidence":"exact","#,
                r#""evidence":["endpoint","udp-generator"],"decided_at_packet":null,"#,
                r#""retrospective":true}"#
            )
        );
    }
}
