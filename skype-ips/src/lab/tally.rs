//! Adds up what became of the packets, and holds it against the policy's promise.

use std::path::PathBuf;

use rustc_hash::FxHashMap;
use serde_json::Value;
use skype_ips_common::parse::{Link, Slice, headers};

use super::alert::Alert;
use super::decision::{Course, Decisions, complaint};
use super::exchange::{Fate, Sent};
use super::outcome::{LabStats, Outcome, Totals};
use super::packet::{Packet, Unroutable};
use crate::capture::Record;
use crate::policy::{Action, Config, Mode, to_mapped};
use crate::replay::Conversations;
use crate::telemetry::{FlowRecord, LabCounts, StatsCounters, StatsRecord};

/// Broken promises that are told one by one.
const TOLD: usize = 20;

/// A packet that was sent.
#[derive(Debug)]
struct Entry {
    capture: usize,
    record: u64,
    conversation: Option<usize>,
    sent: Sent,
}

/// Everything seen so far.
#[derive(Debug, Default)]
pub(super) struct Tally {
    captures: Vec<(PathBuf, Conversations)>,
    entries: Vec<Entry>,
    totals: Totals,
    unroutable: Vec<(usize, Option<usize>)>,
    packets: u64,
    bytes: u64,
    undecodable: u64,
    first: Option<u64>,
    last: u64,
}

impl Tally {
    /// What follows comes from this file.
    pub(super) fn begin(&mut self, capture: PathBuf) {
        self.captures.push((capture, Conversations::new()));
    }

    /// The number of the packet that is sent next.
    pub(super) fn next_number(&self) -> u64 {
        self.entries.len() as u64
    }

    /// Counts a packet of the capture. `packet` is what was, or would have been, sent of it.
    /// Returns the conversation.
    fn observe(&mut self, record: &Record, packet: Option<&Packet>) -> Option<usize> {
        self.packets += 1;
        self.bytes += u64::from(record.wire_len);
        self.first.get_or_insert(record.timestamp);
        self.last = self.last.max(record.timestamp);
        let headers = match packet {
            Some(packet) => headers(&Slice::new(packet.bytes()), Link::Raw),
            None => headers(
                &Slice::with_wire_len(&record.data, record.wire_len),
                record.link,
            ),
        };
        if headers == Err(skype_ips_common::parse::Refusal::Undecodable) {
            self.undecodable += 1;
        }
        let (_, conversations) = self.captures.last_mut()?;
        conversations.observe(record.timestamp, &headers.ok()?, &record.vlan)
    }

    pub(super) fn sent(&mut self, record: &Record, prepared: &Prepared, sent: Sent) {
        let conversation = self.observe(record, Some(&prepared.packet));
        self.totals.repaired_checksums += u64::from(prepared.repaired);
        self.totals.segmented += u64::from(prepared.segments.len() > 1);
        self.totals.untagged += u64::from(prepared.tags > 0);
        let capture = self.captures.len().saturating_sub(1);
        self.entries.push(Entry {
            capture,
            record: record.number,
            conversation,
            sent,
        });
    }

    pub(super) fn unroutable(
        &mut self,
        record: &Record,
        packet: Option<&Packet>,
        reason: Unroutable,
    ) {
        let conversation = self.observe(record, packet);
        self.totals.unroutable += 1;
        *self
            .totals
            .unroutable_reasons
            .entry(reason.word())
            .or_default() += 1;
        self.unroutable
            .push((self.captures.len().saturating_sub(1), conversation));
    }

    /// How many packets of the captures are done.
    pub(super) fn so_far(&self) -> u64 {
        self.packets
    }

    /// Packets that arrived after they had been given up.
    pub(super) fn arrived_late(&mut self, numbers: &[u64]) {
        for number in numbers {
            if let Some(entry) = self.entries.get_mut(*number as usize) {
                self.totals.late += u64::from(entry.sent.fate != Fate::Delivered);
                entry.sent.fate = Fate::Delivered;
            }
        }
    }

    /// The result, with what the daemon reported.
    pub(super) fn finish(
        mut self,
        alerts: &[Alert],
        gateway: Value,
        config: &Config,
        mode: Option<Mode>,
        warnings: Vec<String>,
    ) -> Outcome {
        let decisions = Decisions::new(alerts);
        let mut unmet = Vec::new();
        let mut unmet_count = 0;
        let mut counts: FxHashMap<(usize, usize), LabCounts> = FxHashMap::default();
        for (capture, conversation) in &self.unroutable {
            if let Some(conversation) = conversation {
                counts
                    .entry((*capture, *conversation))
                    .or_default()
                    .unroutable += 1;
            }
        }
        let mut findings: FxHashMap<(usize, usize), Course<'_>> = FxHashMap::default();
        let enforcing = mode.unwrap_or(config.gateway.mode) == Mode::Enforce;
        for entry in &self.entries {
            let of = entry
                .conversation
                .map(|index| (index, self.captures[entry.capture].1.get(index)));
            let decision = of.and_then(|(_, conversation)| decisions.of(conversation));
            let after = decision.is_some_and(|alert| entry.sent.at > alert.at);
            let delivered = entry.sent.fate == Fate::Delivered;
            let kind = match decision {
                Some(_) => &mut self.totals.skype,
                None => &mut self.totals.other,
            };
            kind.sent += 1;
            kind.delivered += u64::from(delivered);
            kind.dropped += u64::from(entry.sent.fate == Fate::Dropped);
            kind.lost += u64::from(entry.sent.fate == Fate::Lost);
            kind.sent_after_decision += u64::from(after);
            kind.delivered_after_decision += u64::from(after && delivered);
            if let Some((index, _)) = of {
                let key = (entry.capture, index);
                let lab = counts.entry(key).or_default();
                lab.sent += 1;
                lab.delivered += u64::from(delivered);
                lab.dropped += u64::from(entry.sent.fate == Fate::Dropped);
                lab.sent_after_decision += u64::from(after);
                lab.delivered_after_decision += u64::from(after && delivered);
                if let Some(alert) = decision {
                    findings
                        .entry(key)
                        .or_insert(Course::new(alert))
                        .step(after);
                }
            }
            let promised = decision.filter(|_| enforcing);
            if let Some(complaint) = complaint(entry.sent.fate, after, promised) {
                unmet_count += 1;
                if unmet.len() < TOLD {
                    let (file, _) = &self.captures[entry.capture];
                    let ends = of.map_or(String::new(), |(_, conversation)| {
                        format!(" ({} - {})", conversation.src, conversation.dest)
                    });
                    unmet.push(format!(
                        "{}: packet {}{ends} {complaint}",
                        file.display(),
                        entry.record
                    ));
                }
            }
        }
        let flows = self.records(&counts, &findings, config);
        let totals = &mut self.totals;
        for kind in [totals.skype, totals.other] {
            totals.sent += kind.sent;
            totals.delivered += kind.delivered;
            totals.dropped += kind.dropped;
            totals.lost += kind.lost;
        }
        let queues = gateway["queues"].as_array().map_or(&[][..], Vec::as_slice);
        let stats = StatsCounters {
            packets: self.packets,
            bytes: self.bytes,
            flows: flows.len() as u64,
            skype_flows: flows.iter().filter(|flow| flow.skype.detected).count() as u64,
            queued: queues
                .iter()
                .filter_map(|queue| queue["received"].as_u64())
                .sum(),
            dropped: self.totals.dropped,
            undecodable: self.undecodable,
            seconds: (self.last - self.first.unwrap_or(self.last)) as f64 / 1e9,
        };
        Outcome {
            flows,
            stats: LabStats {
                record: StatsRecord::new(self.last, stats),
                lab: self.totals,
                gateway,
            },
            unmet,
            unmet_count,
            warnings,
        }
    }

    fn records(
        &mut self,
        counts: &FxHashMap<(usize, usize), LabCounts>,
        findings: &FxHashMap<(usize, usize), Course<'_>>,
        config: &Config,
    ) -> Vec<FlowRecord> {
        let mut flows = Vec::new();
        for (capture, (file, conversations)) in self.captures.iter_mut().enumerate() {
            let name = file
                .file_name()
                .unwrap_or(file.as_os_str())
                .to_string_lossy()
                .into_owned();
            for index in conversations.in_report_order() {
                let conversation = conversations.get_mut(index);
                let lab = counts.get(&(capture, index)).copied().unwrap_or_default();
                let finding = findings.get(&(capture, index));
                let policy = [conversation.src, conversation.dest]
                    .iter()
                    .find_map(|end| config.policies.of(&to_mapped(end.ip())));
                conversation.dropped = lab.dropped;
                conversation.lab = Some(lab);
                conversation.policy = policy.map(|(_, policy)| {
                    let action = finding.map_or(Action::Allow, |finding| finding.alert.action);
                    (policy.name.clone(), action)
                });
                conversation.detection = finding.map(|finding| finding.detection(conversation));
                flows.push(conversation.record(&name, &config.hash));
            }
        }
        flows
    }
}

/// A packet of a capture made ready to be sent.
#[derive(Debug)]
pub(super) struct Prepared {
    /// The whole.
    pub(super) packet: Packet,
    /// What is sent of it.
    pub(super) segments: Vec<Packet>,
    /// Whether a checksum was wrong.
    pub(super) repaired: bool,
    /// VLAN tags that it had.
    pub(super) tags: usize,
}
