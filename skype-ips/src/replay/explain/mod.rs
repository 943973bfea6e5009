//! What proved one conversation, for whoever wants to check it: which bytes of which packets, how
//! they add up, and what was done.
//!
//! The first pass over a capture finds the numbers of the packets that evidence cites; [`Witness`]
//! goes with the second and keeps the cited bytes alone.

mod text;
mod witness;

use std::net::{IpAddr, SocketAddr};

use serde::Serialize;
use skype_ips_common::layout::{FlowKey, Met, Verdict};

use super::Report;
use super::conversations::Conversation;
use super::proof::Proof;
use crate::detect::catalogue::meaning;
use crate::engine::Evidence;
use crate::policy::{Action, Class, Confidence, Config, Mode, Role, to_mapped};
use crate::telemetry::FlowRecord;

pub use text::{chance, odds, place};
pub use witness::{Frames, Witness};

/// A conversation's record, and the explanation.
#[derive(Clone, Debug, Serialize)]
pub struct ExplanationRecord {
    /// The record of the conversation, with `explanation` for `event_type`.
    #[serde(flatten)]
    pub flow: FlowRecord,
    /// What it rests on.
    pub explanation: Explanation,
}

/// What a conversation was judged by. Times are in seconds after the capture's first packet,
/// frames are packets of the capture, from 1.
#[derive(Clone, Debug, Serialize)]
pub struct Explanation {
    /// Its first packet.
    pub first_frame: u64,
    /// Its last packet.
    pub last_frame: u64,
    /// Time of the first.
    pub first_time: f64,
    /// Time of the last.
    pub last_time: f64,
    /// The packet that decided it; `null` if none of its own did.
    pub decided_at_frame: Option<u64>,
    /// What proved it; absent if it isn't Skype.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proof: Option<ProofTold>,
    /// Why it may be Skype's or Teams', where nothing tells which; absent otherwise.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ambiguous: Vec<EvidenceTold>,
    /// What its own packets proved besides.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub besides: Vec<ProofTold>,
    /// What the policy of the inside host says and did.
    pub policy: PolicyTold,
    /// What there was to look at.
    pub looked_at: LookedAt,
}

/// A proof.
#[derive(Clone, Debug, Serialize)]
pub struct ProofTold {
    /// The packet that completed it.
    pub frame: u64,
    /// What was proved: the kind of traffic.
    pub class: Class,
    /// What was proved: what the inside host is.
    pub role: Role,
    /// How sure.
    pub confidence: Confidence,
    /// The conversation of that packet, if it is another one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<Named>,
    /// The address and port that it holds for, if it isn't for one flow alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<End>,
    /// What it follows from, if it leans on another proof about the same host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub follows: Option<Box<ProofTold>>,
    /// The evidence.
    pub evidence: Vec<EvidenceTold>,
    /// All of it together: the odds of chance are one in 2^bits.
    pub bits: u32,
    /// The same in words.
    pub odds: String,
    /// How many bits each confidence takes.
    pub thresholds: Thresholds,
}

/// Least bits of each confidence.
#[derive(Clone, Copy, Debug, Serialize)]
#[expect(missing_docs, reason = "the words of the policy language")]
pub struct Thresholds {
    pub exact: u32,
    pub strong: u32,
    pub heuristic: u32,
}

/// An address and a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct End {
    /// The address.
    pub ip: IpAddr,
    /// The port.
    pub port: u16,
}

impl From<SocketAddr> for End {
    fn from(end: SocketAddr) -> Self {
        Self {
            ip: end.ip(),
            port: end.port(),
        }
    }
}

/// A conversation by its names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Named {
    /// Its number.
    pub flow_id: u64,
    /// Its Community ID.
    pub community_id: String,
    /// Its protocol and ends.
    pub ends: String,
}

/// A piece of evidence.
#[derive(Clone, Debug, Serialize)]
pub struct EvidenceTold {
    /// Its name.
    pub name: &'static str,
    /// What it means.
    pub meaning: &'static str,
    /// The odds of chance are one in 2^bits.
    pub bits: u32,
    /// The same in words.
    pub odds: String,
    /// The bytes that it rests on.
    pub citations: Vec<CitationTold>,
}

/// Payload bytes of a packet.
#[derive(Clone, Debug, Serialize)]
pub struct CitationTold {
    /// The packet.
    pub frame: u64,
    /// Who sent it, when, and the bytes; absent if the capture ends before it.
    #[serde(flatten)]
    pub seen: Option<Seen>,
    /// Where in the packet's payload the bytes begin.
    pub offset: u32,
    /// How many they are.
    pub length: u32,
    /// What they are.
    pub says: String,
}

/// A cited packet as the second pass met it.
#[derive(Clone, Debug, Serialize)]
pub struct Seen {
    /// When it was captured.
    pub time: f64,
    /// Who sent it.
    pub src_ip: IpAddr,
    /// Its port.
    pub src_port: u16,
    /// Whom it was sent to.
    pub dest_ip: IpAddr,
    /// Its port.
    pub dest_port: u16,
    /// The bytes in hexadecimal, as far as the capture has them.
    pub bytes: String,
}

/// What the policy says and did.
#[derive(Clone, Debug, Serialize)]
pub struct PolicyTold {
    /// The mode of the gateway.
    pub mode: Mode,
    /// The confidence from which the policy does more than alert; `null` without a policy.
    pub confidence: Option<Confidence>,
    /// What would be done in mode enforce; `null` without a policy or a finding.
    pub enforced: Option<Action>,
    /// Packets that were dropped.
    pub dropped: Frames,
    /// Packets that passed as part of known Skype, where the policy doesn't allow it.
    pub alerted: Frames,
}

/// What there was to look at.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct LookedAt {
    /// Packets of the conversation.
    pub packets: u64,
    /// Those with payload.
    pub payloads: u64,
    /// Those that the gate sent up to the engine.
    pub queued: u64,
    /// Those whose payload the capture cuts off.
    pub cut_off: u64,
    /// Those that are later parts of a fragmented packet, which nothing looks into.
    pub later_fragments: u64,
    /// TCP: whether the opening of either end is there; nothing is taken from the middle of a
    /// stream.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub opening_seen: Option<bool>,
}

/// Explains the conversation of `witness`, which went through the capture again.
pub fn explain(
    report: &Report,
    witness: &Witness,
    config: &Config,
    mode: Mode,
    capture: &str,
) -> ExplanationRecord {
    let index = witness.conversation();
    let conversation = report.conversations.get(index);
    let found = conversation.detection.as_ref();
    let mut proofs = report
        .proofs_of(index)
        .map(|proof| told(report, witness, proof, index));
    let proof = found.and_then(|_| proofs.next());
    let besides = proofs.collect();
    ExplanationRecord {
        flow: FlowRecord {
            event_type: "explanation",
            ..report.record(index, capture)
        },
        explanation: Explanation {
            first_frame: witness.first_frame(),
            last_frame: witness.last_frame(),
            first_time: witness.seconds(conversation.start),
            last_time: witness.seconds(conversation.end),
            decided_at_frame: found.and_then(|found| found.frame),
            proof,
            ambiguous: match &conversation.ambiguous {
                Some(doubt) => evidence(witness, &doubt.evidence),
                None => Vec::new(),
            },
            besides,
            policy: policy(conversation, witness, config, mode),
            looked_at: LookedAt {
                packets: conversation.total_packets(),
                queued: conversation.queued,
                opening_seen: conversation.passage.payload_heads().opening_seen,
                ..witness.looked_at()
            },
        },
    }
}

fn told(report: &Report, witness: &Witness, proof: &Proof, of: usize) -> ProofTold {
    let by = proof.conversation.filter(|by| *by != of);
    let bits = proof.evidence.iter().map(|one| one.bits).sum();
    let evidence = evidence(witness, &proof.evidence);
    ProofTold {
        frame: proof.frame,
        class: proof.finding.class,
        role: proof.finding.role,
        confidence: proof.finding.confidence,
        by: by.map(|by| named(report.conversations.get(by))),
        endpoint: proof.endpoint.map(|_| proof.inside.into()),
        follows: report
            .basis(proof)
            .map(|basis| Box::new(told(report, witness, basis, of))),
        evidence,
        bits,
        odds: odds(bits),
        thresholds: Thresholds {
            exact: Confidence::Exact.bits(),
            strong: Confidence::Strong.bits(),
            heuristic: Confidence::Heuristic.bits(),
        },
    }
}

fn evidence(witness: &Witness, evidence: &[Evidence]) -> Vec<EvidenceTold> {
    let told = evidence.iter().map(|one| EvidenceTold {
        name: one.name,
        meaning: meaning(one.name).unwrap_or_default(),
        bits: one.bits,
        odds: odds(one.bits),
        citations: one
            .cited
            .iter()
            .map(|cited| CitationTold {
                frame: cited.packet,
                seen: witness.seen(cited),
                offset: cited.offset,
                length: cited.len,
                says: cited.says.clone().into_owned(),
            })
            .collect(),
    });
    told.collect()
}

/// A conversation's names.
pub fn named(conversation: &Conversation) -> Named {
    Named {
        flow_id: conversation.flow_id(),
        community_id: conversation.community_id(),
        ends: conversation.to_string(),
    }
}

fn policy(
    conversation: &Conversation,
    witness: &Witness,
    config: &Config,
    mode: Mode,
) -> PolicyTold {
    let name = conversation.policy.as_ref().map(|done| &done.policy);
    let done = conversation.action();
    let policies = config.policies.policies();
    let policy = policies.iter().find(|policy| Some(&policy.name) == name);
    let found = conversation.detection.as_ref().map(|found| found.finding);
    let ends = [conversation.src, conversation.dest];
    let enforcing = config.standing(Mode::Enforce, jiff::Timestamp::UNIX_EPOCH);
    let verdict = match found {
        Some(found) => Some(found.verdict()),
        None => conversation.ambiguous.as_ref().map(|_| Verdict::AMBIGUOUS),
    };
    let actions = ends.iter().filter_map(|end| {
        let key = FlowKey {
            inside: to_mapped(end.ip()),
            ..FlowKey::default()
        };
        let decided = enforcing.decide(&key, Met::default(), false, &verdict?)?;
        (Some(&decided.policy.name) == name).then_some(decided.action)
    });
    let enforced = actions.max();
    PolicyTold {
        mode,
        confidence: policy.map(|policy| policy.confidence),
        enforced,
        dropped: witness.dropped().clone(),
        alerted: match done {
            Action::Allow => Frames::default(),
            _ => witness.alerted().clone(),
        },
    }
}
