//! One queue, one thread, one engine: judges the packets of its own inside hosts.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use rustc_hash::FxHashMap;
use skype_ips_common::gate::{Outcome, Side, judge};
use skype_ips_common::layout::{FlowKey, INBOUND, OUTBOUND, TCP, Verdict, kind};
use skype_ips_common::mark::{Code, Field};
use skype_ips_common::parse::{Fragment, Headers, Link, Slice, headers};
use skype_ips_common::prefilter;

use super::clock;
use super::counters::{ShardCounters, add};
use super::events::Events;
use super::gate::{Gate, UserGate};
use super::shared::Shared;
use crate::engine::{Engine, Event, Evidence, Finding, Packet, Settings, Subject};
use crate::kernel::{BpfError, Queue, QueueVerdict, QueuedPacket, VerdictTables};
use crate::policy::{Action, OnFailure, from_mapped};
use crate::telemetry::{self, AlertFinding, AlertPolicy, AlertRecord, AlertSkype};

/// Signs of life are this far apart, nanoseconds.
const BEAT: u64 = 100_000_000;
/// Upkeep is this far apart, nanoseconds.
const UPKEEP: u64 = 30 * 1_000_000_000;
/// What is known of a flow silent for this long is forgotten, nanoseconds: longer than any
/// time-out of a connection that could still be alive.
const FLOW_TIMEOUT: u64 = 10 * 60 * 1_000_000_000;
/// Without a classifier a connection is let go after this many packets without evidence: openings,
/// probes and their answers lie well within.
const UNCLASSIFIED_LIMIT: u64 = 32;
/// Behind NAT the arriving direction comes unfiltered; after this many payload packets it is let go.
const TRANSLATED_LIMIT: u8 = 6;

/// A queue's thread.
pub(super) struct Shard<Q> {
    pub(super) number: u8,
    pub(super) queue: Q,
    pub(super) gate: Gate,
    pub(super) shared: Arc<Shared>,
    pub(super) events: Events,
    engine: Engine,
    /// Flows with an entry in the verdict table, and arriving packets of undecided ones so far.
    known: FxHashMap<FlowKey, Known>,
    more_request: u8,
    /// Packets that the engine was shown.
    packets: u64,
    found: Vec<Event>,
    /// Version of the gateway's outside addresses that the engine was told.
    addresses: u64,
}

#[derive(Clone, Copy, Default)]
struct Known {
    last_seen: u64,
    unfiltered: u8,
}

impl<Q: Queue> Shard<Q> {
    pub(super) fn new(
        number: u8,
        queue: Q,
        gate: Gate,
        shared: Arc<Shared>,
        events: Events,
    ) -> Self {
        let engine = Engine::new(shared.engine_settings());
        Self {
            number,
            queue,
            gate,
            shared,
            events,
            engine,
            known: FxHashMap::default(),
            more_request: 0,
            packets: 0,
            found: Vec::new(),
            addresses: 0,
        }
    }

    /// Judges packets until told to stop; returns on an error of the queue that is final.
    pub(super) fn run(mut self) -> std::io::Result<()> {
        let (mut beaten, mut upkept) = (0, clock::monotonic());
        loop {
            let now = clock::monotonic();
            if now - beaten >= BEAT {
                self.beat(now);
                beaten = now;
            }
            if now - upkept >= UPKEEP {
                self.upkeep(now);
                upkept = now;
            }
            match self.queue.receive() {
                Ok(Some(packet)) => self.handle(packet)?,
                Ok(None) if self.shared.stopping.load(Relaxed) => return Ok(()),
                Ok(None) => {}
                // The kernel has done with them as `message-lost` says; we only count.
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => {
                    add(&self.counters().message_lost);
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn counters(&self) -> &ShardCounters {
        &self.shared.counters[usize::from(self.number)]
    }

    fn beat(&mut self, now: u64) {
        self.shared.beat(self.number, now);
        if let Gate::Kernel(tables) = &mut self.gate
            && let Err(error) = tables.beat(self.number, now)
        {
            tracing::error!("{error}");
        }
    }

    fn handle(&mut self, packet: Q::Packet) -> std::io::Result<()> {
        add(&self.counters().received);
        let version = self.shared.outside_addresses.version();
        if version != self.addresses {
            let addresses = self.shared.outside_addresses.get();
            self.engine.set_own_addresses(addresses);
            self.addresses = version;
        }
        let judged = catch_unwind(AssertUnwindSafe(|| {
            self.judge(packet.payload(), packet.mark(), packet.arrived_on())
        }));
        let verdict = judged.unwrap_or_else(|_| {
            add(&self.counters().internal_error);
            // Its memory may be half-changed; what the kernel's tables know stays.
            self.engine = Engine::new(self.shared.engine_settings());
            self.addresses = 0;
            match self.shared.failure.internal_error {
                OnFailure::Open => {
                    QueueVerdict::Accept(self.shared.field.write(packet.mark(), Code::Pass))
                }
                OnFailure::Closed => QueueVerdict::Drop,
            }
        });
        let counters = self.counters();
        match verdict {
            QueueVerdict::Accept(_) => add(&counters.accepted),
            QueueVerdict::Repeat(_) | QueueVerdict::Drop => add(&counters.dropped),
        }
        match self.queue.answer(packet, verdict) {
            // The device went away, and the kernel dropped its packets itself.
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(()),
            other => other,
        }
    }

    fn judge(&mut self, bytes: &[u8], mark: u32, arrived_on: u32) -> QueueVerdict {
        let now = clock::monotonic();
        let field = self.shared.field;
        let side = if self.shared.inside.contains(&arrived_on) {
            Side::InsideIngress
        } else {
            Side::Inbound
        };
        let accept = |code| QueueVerdict::Accept(field.write(mark, code));
        let zone = self.shared.zones.get(&arrived_on).copied().unwrap_or(0);
        let (key, headers) = match &mut self.gate {
            Gate::Kernel(_) => match headers(&Slice::new(bytes), Link::Raw) {
                Ok(headers) => (key_of(&headers, side, zone), headers),
                Err(_) => return accept(Code::Pass),
            },
            Gate::User(gate) => {
                let UserGate {
                    tables,
                    config,
                    work,
                } = &mut **gate;
                let outcome = judge(
                    &Slice::new(bytes),
                    Link::Raw,
                    side,
                    zone,
                    now,
                    config,
                    tables,
                    work,
                );
                let key = *work.key();
                match outcome {
                    Outcome::Drop if self.shared.bypass() => return accept(Code::Pass),
                    Outcome::Drop => return drop_verdict(field, mark, self.shared.conntrack),
                    Outcome::Pass(Code::Inspect(_)) => (key, *work.headers()),
                    Outcome::Pass(_) => {
                        let seen = tables
                            .flow_state(&key)
                            .map_or(0, |flow| flow.packets[0] + flow.packets[1]);
                        let judged = seen >= UNCLASSIFIED_LIMIT;
                        return accept(if judged { Code::Judged } else { Code::Pass });
                    }
                }
            }
        };
        // A later fragment has the fate of the first, which the gate knows, and no evidence.
        let later = matches!(headers.fragment, Fragment::Later(_));
        let Some(payload) = bytes
            .get(headers.payload_offset as usize..)
            .filter(|_| !later)
        else {
            return accept(Code::Pass);
        };
        let payload = &payload[..payload.len().min(headers.payload_len as usize)];
        // Chosen by the connection (NAT), not by a classifier.
        let translated = side == Side::Inbound && field.read(mark) == Code::Pass;
        if translated {
            if payload.is_empty() {
                return accept(Code::Pass);
            }
            let (slice, offset, len) = (
                Slice::new(bytes),
                headers.payload_offset,
                headers.payload_len,
            );
            let awaited = self.known.contains_key(&key);
            let fits =
                prefilter::tcp_opening(&slice, offset, len) & self.shared.knowledge.predicates;
            if key.protocol == TCP && !awaited && fits == 0 {
                return accept(Code::Judged);
            }
        }
        self.packets += 1;
        let outbound = side == Side::InsideIngress;
        let direction = if outbound { OUTBOUND } else { INBOUND };
        let tcp_base = match key.protocol {
            TCP => self
                .gate
                .flow(&key)
                .and_then(|flow| flow.tcp_base(direction)),
            _ => None,
        };
        let packet = Packet {
            number: self.packets,
            now,
            key,
            outbound,
            tcp_seq: headers.tcp_seq,
            tcp_base,
            payload,
            payload_len: headers.payload_len,
        };
        let mut found = std::mem::take(&mut self.found);
        let mut answer = self.engine.packet(&packet, &mut found);
        if let (Some(finding), Some(state)) = (answer.finding, self.gate.flow(&key)) {
            let counters = (&state).into();
            let known = self.engine.traffic(&packet, finding, counters, &mut found);
            answer.finding = Some(known);
        }
        for event in found.drain(..) {
            self.apply(event, now);
        }
        self.found = found;
        if let Some(finding) = answer.finding {
            return match self.action(&key, &finding) {
                Action::Drop if !self.shared.bypass() => {
                    drop_verdict(field, mark, self.shared.conntrack)
                }
                // While bypassed nothing is recorded, so that the end of it finds the flow again.
                _ if self.shared.bypass() => accept(Code::Pass),
                _ => accept(Code::Judged),
            };
        }
        if answer.ambiguous {
            let action = self
                .shared
                .policies
                .ambiguous(&key.inside, self.shared.mode);
            if action == Some(Action::Drop) && !self.shared.bypass() {
                return drop_verdict(field, mark, self.shared.conntrack);
            }
        }
        if answer.more > 0 {
            self.more_request = self.more_request.wrapping_add(1).max(1);
            let more = Verdict {
                kind: kind::OPEN,
                more: answer.more,
                more_request: self.more_request,
                ..Verdict::default()
            };
            self.set_verdict(&key, more, now);
        }
        if translated {
            let known = self.known.entry(key).or_insert(Known {
                last_seen: now,
                unfiltered: 0,
            });
            known.unfiltered = known.unfiltered.saturating_add(1);
            if known.unfiltered >= TRANSLATED_LIMIT {
                return accept(Code::Judged);
            }
        }
        accept(Code::Inspect(self.number))
    }

    fn action(&self, key: &FlowKey, finding: &Finding) -> Action {
        let Finding {
            class,
            role,
            confidence,
        } = *finding;
        self.shared
            .policies
            .effective(&key.inside, role, class, confidence, self.shared.mode)
            .unwrap_or(Action::Allow)
    }

    /// Writes what the engine found to the tables, and reports it.
    fn apply(&mut self, event: Event, now: u64) {
        match event {
            Event::Found {
                subject,
                flow,
                finding,
                evidence,
                ..
            } => {
                add(&self.counters().decisions);
                let verdict = finding.verdict();
                let scope = match subject {
                    Subject::Flow(key) => {
                        self.set_verdict(&key, verdict, now);
                        "flow"
                    }
                    Subject::Endpoint(key) => {
                        for key in std::iter::once(key).chain(key.listener()) {
                            let result = self.gate.set_endpoint(&key, verdict);
                            self.check(result);
                        }
                        "endpoint"
                    }
                };
                let found = AlertFinding {
                    class: finding.class,
                    role: finding.role,
                    confidence: finding.confidence,
                };
                let action = self.action(&flow, &finding);
                self.report(&flow, scope, Some(found), &evidence, action);
            }
            Event::Ambiguous { flow, evidence, .. } => {
                self.set_verdict(&flow, Verdict::AMBIGUOUS, now);
                let action = self
                    .shared
                    .policies
                    .ambiguous(&flow.inside, self.shared.mode);
                let action = action.unwrap_or(Action::Allow);
                self.report(&flow, "flow", None, &evidence, action);
            }
            Event::Cleared(flow) => {
                let other = Verdict {
                    kind: kind::OTHER,
                    ..Verdict::default()
                };
                self.set_verdict(&flow, other, now);
            }
            Event::Forgotten(key) => {
                for key in std::iter::once(key).chain(key.listener()) {
                    let result = self.gate.remove_endpoint(&key);
                    self.check(result);
                }
            }
        }
    }

    fn set_verdict(&mut self, key: &FlowKey, verdict: Verdict, now: u64) {
        self.known.insert(
            *key,
            Known {
                last_seen: now,
                unfiltered: 0,
            },
        );
        let result = self.gate.set_verdict(key, verdict);
        self.check(result);
    }

    fn check(&self, result: Result<(), BpfError>) {
        if let Err(error) = result {
            add(&self.counters().table_refused);
            tracing::error!("{error}");
        }
    }

    /// Reports what was found; what is ambiguous is `None`.
    fn report(
        &self,
        flow: &FlowKey,
        scope: &'static str,
        found: Option<AlertFinding>,
        evidence: &[Evidence],
        action: Action,
    ) {
        let (source, destination) = (from_mapped(&flow.inside), from_mapped(&flow.outside));
        let record = AlertRecord {
            event_type: "alert",
            timestamp: telemetry::timestamp(clock::wall()),
            src_ip: source,
            src_port: flow.inside_port,
            dest_ip: destination,
            dest_port: flow.outside_port,
            proto: telemetry::eve::protocol_name(flow.protocol),
            community_id: telemetry::community_id::community_id(
                (source, flow.inside_port).into(),
                (destination, flow.outside_port).into(),
                flow.protocol,
            ),
            skype: AlertSkype {
                detected: found.is_some(),
                ambiguous: found.is_none(),
                scope,
                found,
                evidence: evidence.iter().map(|evidence| evidence.name).collect(),
            },
            policy: AlertPolicy {
                name: self
                    .shared
                    .policies
                    .of(&flow.inside)
                    .map(|(_, policy)| policy.name.clone()),
                version: self.shared.policy_version.clone(),
                action,
            },
        };
        if !self.events.send(&record) {
            add(&self.counters().events_lost);
        }
    }

    /// Forgets what has been silent for long.
    fn upkeep(&mut self, now: u64) {
        let mut found = std::mem::take(&mut self.found);
        self.engine.tick(now, &mut found);
        for event in found.drain(..) {
            self.apply(event, now);
        }
        self.found = found;
        let before = now.saturating_sub(FLOW_TIMEOUT);
        let mut gone = Vec::new();
        for (key, known) in &mut self.known {
            let seen = self.gate.flow(key).map(|flow| flow.last_seen);
            known.last_seen = known.last_seen.max(seen.unwrap_or(0));
            if known.last_seen < before {
                gone.push(*key);
            }
        }
        for key in gone {
            self.known.remove(&key);
            let result = self.gate.remove_verdict(&key);
            self.check(result);
        }
        if let Gate::User(gate) = &mut self.gate {
            gate.tables.expire(before);
        }
    }
}

/// With connection tracking the packet meets the chain once more, which records the code in the
/// connection before it drops: a packet dropped here couldn't carry it there.
fn drop_verdict(field: Field, mark: u32, conntrack: bool) -> QueueVerdict {
    if conntrack {
        QueueVerdict::Repeat(field.write(mark, Code::Drop))
    } else {
        QueueVerdict::Drop
    }
}

fn key_of(headers: &Headers, side: Side, zone: u16) -> FlowKey {
    let outbound = side == Side::InsideIngress;
    let (inside, inside_port, outside, outside_port) = if outbound {
        (
            headers.source,
            headers.source_port,
            headers.destination,
            headers.destination_port,
        )
    } else {
        (
            headers.destination,
            headers.destination_port,
            headers.source,
            headers.source_port,
        )
    };
    FlowKey {
        zone,
        protocol: headers.protocol,
        reserved: 0,
        inside_port,
        outside_port,
        inside,
        outside,
    }
}

/// What an engine of a gateway with `queues` shards is told: together they fit the kernel's tables.
pub(super) fn engine_settings(queues: u8) -> Settings {
    let queues = usize::from(queues.max(1));
    Settings {
        max_flows: 200_000 / queues,
        max_endpoints: 60_000 / queues,
        ..Settings::default()
    }
}

#[cfg(test)]
mod tests;
