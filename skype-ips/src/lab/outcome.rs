//! What a run of the lab found out.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use super::exchange::Fate;
use crate::telemetry::{FlowRecord, StatsRecord};

/// What became of the packets of one kind of conversation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Sent into the gateway.
    pub sent: u64,
    /// Arrived on the other side.
    pub delivered: u64,
    /// Reported dropped by the gateway.
    pub dropped: u64,
    /// Neither within two seconds.
    pub lost: u64,
    /// Of those sent, the ones after their conversation's decision.
    pub sent_after_decision: u64,
    /// Of those delivered, the ones after their conversation's decision.
    pub delivered_after_decision: u64,
}

impl Counts {
    pub(super) fn add(&mut self, fate: Fate, after_decision: bool) {
        let delivered = fate == Fate::Delivered;
        self.sent += 1;
        self.delivered += u64::from(delivered);
        self.dropped += u64::from(fate == Fate::Dropped);
        self.lost += u64::from(fate == Fate::Lost);
        self.sent_after_decision += u64::from(after_decision);
        self.delivered_after_decision += u64::from(after_decision && delivered);
    }
}

/// What became of all packets.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// Sent into the gateway.
    pub sent: u64,
    /// Arrived on the other side.
    pub delivered: u64,
    /// Reported dropped by the gateway.
    pub dropped: u64,
    /// Neither within two seconds.
    pub lost: u64,
    /// Not sent: no gateway would forward them.
    pub unroutable: u64,
    /// The same by reason.
    pub unroutable_reasons: BTreeMap<&'static str, u64>,
    /// Sent with checksums made right.
    pub repaired_checksums: u64,
    /// Sent in several segments.
    pub segmented: u64,
    /// Sent without the VLAN tags that they had.
    pub untagged: u64,
    /// Of those delivered, the ones that came after they had been given up.
    pub late: u64,
    /// Packets of conversations that are Skype.
    pub skype: Counts,
    /// All other packets.
    pub other: Counts,
}

/// The last record of a run.
#[derive(Clone, Debug, Serialize)]
pub struct LabStats {
    /// What every driver reports.
    #[serde(flatten)]
    pub record: StatsRecord,
    /// What became of the packets.
    pub lab: Totals,
    /// The daemon's status at the end; `null` without a daemon.
    pub gateway: Value,
}

/// What a run found out.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// One record per conversation, by capture and start.
    pub flows: Vec<FlowRecord>,
    /// The figures.
    pub stats: LabStats,
    /// Packets whose fate breaks the policy's promise: the first few, told one by one.
    pub unmet: Vec<String>,
    /// How many there are.
    pub unmet_count: u64,
    /// Captures that ended in mid-packet.
    pub warnings: Vec<String>,
}
