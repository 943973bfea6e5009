//! What a replayed capture turned out to hold.

use rustc_hash::FxHashMap;
use skype_ips_common::layout::{EndpointKey, UDP, Verdict, kind};

use super::conversations::{Conversations, Detection, Done};
use super::driver::{Driver, Keys};
use super::proof::{Leaning, Proof};
use crate::hosts::endpoints::PROVED_LIFE;
use crate::policy::{Action, Standing};
use crate::telemetry::{FlowRecord, StatsCounters};

/// The end of a replay.
#[derive(Clone, Debug)]
pub struct Report {
    /// All conversations, with what was found and done.
    pub conversations: Conversations,
    /// What was proved, the oldest first.
    pub proofs: Vec<Proof>,
    /// Totals.
    pub stats: StatsCounters,
    /// The capture's time of its newest packet, nanoseconds since the Unix epoch.
    pub end: u64,
    hash: String,
}

impl Report {
    pub(super) fn new(driver: Driver) -> Self {
        let end = driver.now();
        let Driver {
            standing,
            hash,
            mut conversations,
            keys,
            proofs,
            of_endpoints,
            mut stats,
            ..
        } = driver;
        for (index, keys) in keys.iter().enumerate() {
            let conversation = conversations.get_mut(index);
            if conversation.detection.is_none()
                && conversation.protocol == UDP
                && let Some(index) = retrospective(keys, &of_endpoints, &proofs)
            {
                let proof = &proofs[index];
                conversation.detection = Some(Detection {
                    finding: proof.finding,
                    path: None,
                    evidence: proof.names(true),
                    decided_at_packet: None,
                    frame: None,
                    proof: Some(index),
                });
                conversation.ambiguous = None;
                conversation.endpoint = proof.endpoint;
                conversation.passage.decide_in_retrospect();
            }
            let ambiguous = conversation.ambiguous.is_some();
            if conversation.policy.is_none() {
                let found = conversation.detection.as_ref();
                conversation.policy = done(keys, found, ambiguous, &standing);
            }
            stats.skype_flows += u64::from(conversation.detection.is_some());
            stats.ambiguous_flows += u64::from(ambiguous);
        }
        stats.flows = conversations.len() as u64;
        Self {
            conversations,
            proofs,
            stats,
            end,
            hash,
        }
    }

    /// The record of one conversation, by its index.
    pub(super) fn record(&self, index: usize, capture: &str) -> FlowRecord {
        self.conversations.get(index).record(capture, &self.hash)
    }

    /// The proofs that a conversation rests on, the deciding one first; then what its own packets
    /// proved besides.
    pub(super) fn proofs_of(&self, index: usize) -> impl Iterator<Item = &Proof> {
        let found = self.conversations.get(index).detection.as_ref();
        let deciding = found.and_then(|found| found.proof);
        let own = move |(place, proof): &(usize, &Proof)| {
            proof.conversation == Some(index) && Some(*place) != deciding
        };
        let besides = self.proofs.iter().enumerate().filter(own);
        let besides = besides.map(|(_, proof)| proof);
        deciding
            .and_then(|deciding| self.proofs.get(deciding))
            .into_iter()
            .chain(besides)
    }

    /// The earlier proof that one leans on: a stream whose IV follows from those of its host's
    /// datagrams is Skype because these are, and an unanswered login because of another connection
    /// of the two hosts. The newest that doesn't lean on anything itself.
    pub(super) fn basis(&self, proof: &Proof) -> Option<&Proof> {
        let leaning = proof.leaning()?;
        let hosts = |proof: &Proof| {
            let conversation = self.conversations.get(proof.conversation?);
            let (one, other) = (conversation.src.ip(), conversation.dest.ip());
            Some((one.min(other), one.max(other)))
        };
        let is_basis = |other: &&Proof| {
            let of_same = match leaning {
                Leaning::OnDatagrams => {
                    other.endpoint.is_some() && other.inside.ip() == proof.inside.ip()
                }
                Leaning::OnConnection => other.endpoint.is_none() && hosts(other) == hosts(proof),
            };
            of_same && other.frame < proof.frame && other.leaning().is_none()
        };
        self.proofs.iter().rev().find(is_basis)
    }

    /// The records of all conversations, in the order of their start.
    pub fn records<'a>(&'a self, capture: &'a str) -> impl Iterator<Item = FlowRecord> + 'a {
        let order = self.conversations.in_report_order().into_iter();
        order.map(move |index| self.record(index, capture))
    }

    /// The same, with how the payload of each begins.
    pub fn records_with_payload<'a>(
        &'a self,
        capture: &'a str,
    ) -> impl Iterator<Item = FlowRecord> + 'a {
        let order = self.conversations.in_report_order().into_iter();
        order.map(move |index| FlowRecord {
            payload: Some(self.conversations.get(index).passage.payload_heads()),
            ..self.record(index, capture)
        })
    }
}

/// A conversation is Skype if its endpoint was proved after its last packet: as long after as a
/// proof holds without a hit.
fn retrospective(
    keys: &Keys,
    of_endpoints: &FxHashMap<EndpointKey, Vec<usize>>,
    proofs: &[Proof],
) -> Option<usize> {
    let after = keys.last..=keys.last.saturating_add(PROVED_LIFE);
    let of_ends = keys
        .flows
        .iter()
        .flatten()
        .filter_map(|key| of_endpoints.get(&key.endpoint()));
    of_ends
        .flatten()
        .copied()
        .find(|index| after.contains(&proofs[*index].at))
}

/// The policy of the conversation's inside host and what it says of what was found too late; of two
/// inside hosts the stricter.
fn done(
    keys: &Keys,
    detection: Option<&Detection>,
    ambiguous: bool,
    standing: &Standing,
) -> Option<Done> {
    let verdict = match detection {
        Some(detection) => detection.finding.verdict(),
        None if ambiguous => Verdict::AMBIGUOUS,
        // Nothing is known: a verdict of which policies say nothing.
        None => Verdict::default(),
    };
    let mut strictest: Option<Done> = None;
    for key in keys.flows.iter().flatten() {
        let Some((_, policy)) = standing.of(keys.met, &key.inside) else {
            continue;
        };
        let said = (verdict.kind != kind::OPEN)
            .then(|| standing.decide(key, keys.met, keys.called, &verdict))
            .flatten();
        let done = said.as_ref().map_or_else(
            || Done {
                policy: policy.name.clone(),
                action: Action::Allow,
                budget: None,
            },
            Done::of,
        );
        if strictest
            .as_ref()
            .is_none_or(|other| done.action > other.action)
        {
            strictest = Some(done);
        }
    }
    strictest
}
