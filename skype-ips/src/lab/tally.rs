//! Adds up what became of the packets, and holds it against the policy's promise.

#[cfg(test)]
mod tests;

use std::path::PathBuf;

use rustc_hash::FxHashMap;
use serde_json::Value;
use skype_ips_common::layout::Met;
use skype_ips_common::parse::{Link, Slice, headers};

use super::alert::Alert;
use super::decision::{Course, Decisions, Moment, complaint};
use super::exchange::{Fate, Sent};
use super::outcome::{Counts, LabStats, Outcome, Totals};
use super::packet::{Packet, Unroutable};
use crate::capture::Record;
use crate::policy::{Action, Config, Mode, to_mapped};
use crate::replay::{Conversations, Done};
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
        let enforcing = mode.unwrap_or(config.gateway.mode) == Mode::Enforce;
        let Judged {
            conversations,
            skype,
            other,
            unmet,
            unmet_count,
        } = self.judge(alerts, enforcing);
        let flows = self.records(&conversations, config);
        let totals = &mut self.totals;
        (totals.skype, totals.other) = (skype, other);
        for kind in [skype, other] {
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
            ambiguous_flows: flows
                .iter()
                .filter(|flow| flow.skype.ambiguous.is_some())
                .count() as u64,
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

    /// Holds each packet against what the daemon had found by then.
    fn judge<'a>(&self, alerts: &'a [Alert], enforcing: bool) -> Judged<'a> {
        let decisions = Decisions::new(alerts);
        let mut judged = Judged::default();
        for (capture, conversation) in &self.unroutable {
            if let Some(conversation) = conversation {
                let of = judged.conversations.entry((*capture, *conversation));
                of.or_default().unroutable += 1;
            }
        }
        for (at, entry) in self.entries.iter().enumerate() {
            let fate = entry.sent.fate;
            let conversations = &self.captures[entry.capture].1;
            let decision = entry
                .conversation
                .and_then(|index| decisions.of(conversations.get(index)));
            // One packet is on its way at a time: the last one before an alert caused it.
            let next = self.entries.get(at + 1).map(|next| next.sent.at);
            let moment = decision.map_or(Moment::Before, |alert| {
                Moment::of(entry.sent.at, next, alert)
            });
            let after = moment == Moment::After;
            let kind = match decision.and_then(|alert| alert.finding) {
                Some(_) => &mut judged.skype,
                None => &mut judged.other,
            };
            kind.add(fate, after);
            if let Some(index) = entry.conversation {
                let of = judged.conversations.entry((entry.capture, index));
                of.or_default().add(fate, after, decision);
            }
            let promise = decision.filter(|_| enforcing);
            if let Some(complaint) = complaint(fate, moment, promise) {
                judged.unmet_count += 1;
                if judged.unmet.len() < TOLD {
                    judged.unmet.push(self.tell(entry, complaint));
                }
            }
        }
        judged
    }

    fn tell(&self, entry: &Entry, complaint: &str) -> String {
        let (file, conversations) = &self.captures[entry.capture];
        let ends = entry.conversation.map_or(String::new(), |index| {
            let conversation = conversations.get(index);
            format!(" ({} - {})", conversation.src, conversation.dest)
        });
        let (file, number) = (file.display(), entry.record);
        format!("{file}: packet {number}{ends} {complaint}")
    }

    fn records(
        &mut self,
        judged: &FxHashMap<(usize, usize), PerConversation<'_>>,
        config: &Config,
    ) -> Vec<FlowRecord> {
        let none = PerConversation::default();
        let standing = config.standing(config.gateway.mode, jiff::Timestamp::UNIX_EPOCH);
        let mut flows = Vec::new();
        for (capture, (file, conversations)) in self.captures.iter_mut().enumerate() {
            let name = file
                .file_name()
                .unwrap_or(file.as_os_str())
                .to_string_lossy()
                .into_owned();
            for index in conversations.in_report_order() {
                let conversation = conversations.get_mut(index);
                let of = judged.get(&(capture, index)).unwrap_or(&none);
                let policy = [conversation.src, conversation.dest]
                    .iter()
                    .find_map(|end| standing.of(Met::default(), &to_mapped(end.ip())));
                conversation.dropped = of.counts.dropped;
                conversation.lab = Some(of.lab());
                conversation.policy = policy.map(|(_, policy)| {
                    let course = of.course.as_ref();
                    let action = course.map_or(Action::Allow, |course| course.alert.action);
                    Done {
                        policy: policy.name.clone(),
                        action,
                        budget: None,
                    }
                });
                let course = of.course.as_ref();
                conversation.detection = course.and_then(|course| course.detection(conversation));
                conversation.ambiguous = course.and_then(Course::ambiguous);
                flows.push(conversation.record(&name, &config.hash));
            }
        }
        flows
    }
}

/// What the packets of one conversation came to.
#[derive(Default)]
struct PerConversation<'a> {
    counts: Counts,
    unroutable: u64,
    course: Option<Course<'a>>,
}

impl<'a> PerConversation<'a> {
    fn add(&mut self, fate: Fate, after: bool, decision: Option<&'a Alert>) {
        self.counts.add(fate, after);
        if let Some(alert) = decision {
            self.course.get_or_insert(Course::new(alert)).step(after);
        }
    }

    fn lab(&self) -> LabCounts {
        LabCounts {
            sent: self.counts.sent,
            delivered: self.counts.delivered,
            sent_after_decision: self.counts.sent_after_decision,
            delivered_after_decision: self.counts.delivered_after_decision,
            unroutable: self.unroutable,
            dropped: self.counts.dropped,
        }
    }
}

/// All packets, held against what was found.
#[derive(Default)]
struct Judged<'a> {
    conversations: FxHashMap<(usize, usize), PerConversation<'a>>,
    skype: Counts,
    other: Counts,
    unmet: Vec<String>,
    unmet_count: u64,
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
