//! One capture through the gate, the engine and the policy, packet by packet.

mod decisions;

use ipnet::{IpNet, Ipv6Net};
use prefix_trie::PrefixSet;
use rustc_hash::{FxHashMap, FxHashSet};
use skype_ips_common::gate::{Outcome, Side, Work, judge};
use skype_ips_common::layout::{
    ActionEntry, Address, Counter, EndpointKey, FlowKey, GateConfig, INBOUND, Met, OUTBOUND,
    PolicyEntry, Verdict, kind,
};
use skype_ips_common::mark::Code;
use skype_ips_common::parse::{Fragment, Headers, Refusal, Slice, headers};

use super::conversations::{Conversations, Done};
use super::proof::Proof;
use super::report::Report;
use super::tunnels::{Layer, MAX_LAYERS, Zones};
use crate::capture::Record;
use crate::engine::{Engine, Event, Packet, Settings, next_tick};
use crate::kernel::{MemoryTables, VerdictTables};
use crate::policy::{Action, Compiled, Config, Decided, Mode, Standing, mapped_prefix};
use crate::telemetry::StatsCounters;
use crate::telemetry::tunnel::Tunnel;

/// What the gate said of a packet, for one inside host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Judged {
    /// Where on a gateway it would have been met.
    pub side: Side,
    /// The flow, inside host first; protocol 0 where the gate didn't get that far.
    pub key: FlowKey,
    /// What the gate said, before user space had its word.
    pub outcome: Outcome,
}

/// What became of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// Its conversation; `None` if it is neither TCP nor UDP, undecodable, or a fragment without
    /// its first.
    pub conversation: Option<usize>,
    /// What the gate said, in the order in which a gateway's hooks would have asked it.
    pub judged: [Option<Judged>; 2],
    /// What was done: alert means that it passed as part of known Skype.
    pub action: Action,
    /// What became of the packets within, the outer ones first.
    pub within: [Option<Within>; MAX_LAYERS],
}

/// What became of a packet in a tunnel. A gateway judges the outer packet alone; one at the
/// tunnel's end would judge this one so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Within {
    /// Its conversation; `None` if it is neither TCP nor UDP, undecodable, or a fragment without
    /// its first.
    pub conversation: Option<usize>,
    /// What was done.
    pub action: Action,
}

/// What the report has to know about a conversation besides its packets.
#[derive(Clone, Debug, Default)]
pub(super) struct Keys {
    /// The flows as which it was judged, one per inside end.
    pub(super) flows: [Option<FlowKey>; 2],
    /// Engine time of its last packet.
    pub(super) last: u64,
    /// Where its inside hosts were met last.
    pub(super) met: Met,
    /// Whether the outside end opened it.
    pub(super) called: bool,
}

/// Replays one capture.
#[derive(Debug)]
pub struct Driver {
    pub(super) standing: Standing,
    pub(super) hash: String,
    inside: PrefixSet<Ipv6Net>,
    tables: MemoryTables,
    gate: GateConfig,
    work: Work,
    engine: Engine,
    events: Vec<Event>,
    now: u64,
    next_tick: u64,
    first: Option<u64>,
    more_request: u8,
    zones: Zones,
    /// Packets in tunnels that the gate would send up, if it met them.
    tagged_within: u64,
    pub(super) conversations: Conversations,
    pub(super) keys: Vec<Keys>,
    /// The newest conversation of each flow.
    of_flows: FxHashMap<FlowKey, usize>,
    /// All proofs, the oldest first.
    pub(super) proofs: Vec<Proof>,
    /// Those of endpoints, by their indexes.
    pub(super) of_endpoints: FxHashMap<EndpointKey, Vec<usize>>,
    /// Those of endpoints that hold.
    known: FxHashMap<EndpointKey, usize>,
    /// Flows with a verdict of their own, by endpoint, which end with what is known of that.
    own: FxHashMap<EndpointKey, FxHashSet<FlowKey>>,
    /// Datagrams shaped like type 2, sent and received by an inside endpoint that is not proved.
    type2: FxHashMap<EndpointKey, [u64; 2]>,
    pub(super) stats: StatsCounters,
}

impl Driver {
    /// A driver for one capture. Hosts in `inside` are inside; hosts that no policy of `config`
    /// covers are watched, and nothing is done to them.
    pub fn new(config: &Config, mode: Mode, settings: Settings, inside: &[IpNet]) -> Self {
        let standing = config.standing(mode, jiff::Timestamp::UNIX_EPOCH);
        let tables = MemoryTables::new(&watching_all(&standing));
        Self {
            hash: config.hash.clone(),
            inside: inside.iter().map(|net| mapped_prefix(*net)).collect(),
            gate: GateConfig {
                predicates: config.knowledge.predicates,
                dns_tails: config.knowledge.names.dns_tails(),
                queues: u32::from(config.gateway.queues.count),
                flags: tables.flags(),
                ..GateConfig::default()
            },
            standing,
            tables,
            work: Work::default(),
            engine: Engine::new(Settings {
                knowledge: config.knowledge.clone(),
                hosts: config.policies.hosts,
                ..settings
            }),
            events: Vec::new(),
            now: 0,
            next_tick: 0,
            first: None,
            more_request: 0,
            zones: Zones::default(),
            tagged_within: 0,
            conversations: Conversations::new(),
            keys: Vec::new(),
            of_flows: FxHashMap::default(),
            proofs: Vec::new(),
            of_endpoints: FxHashMap::default(),
            known: FxHashMap::default(),
            own: FxHashMap::default(),
            type2: FxHashMap::default(),
            stats: StatsCounters::default(),
        }
    }

    /// The conversations so far.
    pub fn conversations(&self) -> &Conversations {
        &self.conversations
    }

    /// Takes in the next packet.
    pub fn packet(&mut self, record: &Record) -> Step {
        // A clock never goes back; captures of several interfaces sometimes do.
        self.now = self.now.max(record.timestamp);
        self.first.get_or_insert(self.now);
        self.tick();
        self.stats.packets += 1;
        self.stats.bytes += u64::from(record.wire_len);
        let (mut step, refusal) = self.judge(record, 0, None);
        self.stats.undecodable += u64::from(refusal == Some(Refusal::Undecodable));
        let mut dropped = step.action.stops();
        for (slot, layer) in self.zones.within(record).into_iter().enumerate() {
            let Layer {
                record,
                zone,
                tunnel,
            } = layer;
            let tagged = self.tables.counter(Counter::Tagged);
            let (inner, _) = self.judge(&record, zone, tunnel);
            if tunnel.is_some() {
                self.tagged_within += self.tables.counter(Counter::Tagged) - tagged;
            }
            dropped |= inner.action.stops();
            step.within[slot] = Some(Within {
                conversation: inner.conversation,
                action: inner.action,
            });
        }
        self.stats.dropped += u64::from(dropped);
        step
    }

    /// Judges one packet of those that a captured one consists of.
    fn judge(
        &mut self,
        record: &Record,
        zone: u16,
        tunnel: Option<Tunnel>,
    ) -> (Step, Option<Refusal>) {
        let mut step = Step {
            conversation: None,
            judged: [None; 2],
            action: Action::Allow,
            within: [None; MAX_LAYERS],
        };
        let slice = Slice::with_wire_len(&record.data, record.wire_len);
        let headers = match headers(&slice, record.link) {
            Ok(headers) => headers,
            Err(refusal) => return (step, Some(refusal)),
        };
        // The link's own headers may be gone from the record; which interface it was is not known.
        let met = Met {
            interface: 0,
            vlan: record.vlan.first().copied().unwrap_or(0),
        };
        let (time, vlan) = (record.timestamp, &record.vlan);
        let conversations = &mut self.conversations;
        step.conversation = conversations.observe_in(zone, tunnel, time, &headers, vlan);
        if let Some(index) = step.conversation {
            self.keys.resize(self.conversations.len(), Keys::default());
            self.keys[index].last = self.now;
            self.keys[index].met = met;
        }
        let payload = payload(record, &headers);
        if let Some(index) = step.conversation {
            let passage = &mut self.conversations.get_mut(index).passage;
            passage.payload(&headers, payload);
        }
        let (mut stopped, mut queued) = (None, false);
        for (slot, side) in self.sides(&headers).into_iter().enumerate() {
            if stopped.is_some() {
                break;
            }
            let Some(side) = side else {
                continue;
            };
            let outcome = judge(
                &slice,
                record.link,
                side,
                zone,
                met,
                self.now,
                &self.gate,
                &mut self.tables,
                &mut self.work,
            );
            let key = *self.work.key();
            step.judged[slot] = Some(Judged { side, key, outcome });
            if key.protocol == 0 {
                continue;
            }
            if let Some(index) = step.conversation {
                self.keys[index].flows[slot].get_or_insert(key);
                self.of_flows.insert(key, index);
            }
            self.count_type2(&key, side, payload, headers.payload_len);
            self.note(&key, *self.work.entry(), step.conversation);
            stopped = match outcome {
                Outcome::Drop => Some(Action::Drop),
                Outcome::Pass(Code::Reject) => Some(Action::Reject),
                Outcome::Pass(Code::Inspect(_)) => {
                    queued = true;
                    self.inspect(record, &headers, side, key, step.conversation)
                }
                Outcome::Pass(_) => None,
            };
            let called = self
                .tables
                .flow_state(&key)
                .is_some_and(|flow| flow.called != 0);
            if let Some(index) = step.conversation {
                self.keys[index].called |= called;
            }
            self.know_endpoint(record.number, &key, called, step.conversation);
        }
        if let Some(index) = step.conversation {
            let conversation = self.conversations.get_mut(index);
            conversation.dropped += u64::from(stopped.is_some());
            conversation.queued += u64::from(queued);
            if conversation.detection.is_some() {
                step.action = Action::Alert;
            }
        }
        if let Some(action) = stopped {
            step.action = action;
        }
        (step, None)
    }

    /// Ends the replay.
    pub fn finish(mut self) -> Report {
        self.stats.seconds = self
            .first
            .map_or(0.0, |first| (self.now - first) as f64 / 1_000_000_000.0);
        self.stats.queued = self.tables.counter(Counter::Tagged) - self.tagged_within;
        Report::new(self)
    }

    /// The capture's time of the newest packet.
    pub(super) fn now(&self) -> u64 {
        self.now
    }

    fn tick(&mut self) {
        if self.now < self.next_tick {
            return;
        }
        self.next_tick = next_tick(self.next_tick, self.now);
        self.open_windows();
        for key in self.engine.watching() {
            if let Some(state) = self.tables.flow_state(&key) {
                self.engine
                    .counters(self.now, &key, state, &mut self.events);
            }
        }
        self.engine.tick(self.now, &mut self.events);
        self.take_events(0, None);
    }

    /// Windows open and close by the capture's time.
    fn open_windows(&mut self) {
        let Ok(at) = jiff::Timestamp::from_nanosecond(i128::from(self.now)) else {
            return;
        };
        let set = self.standing.set().clone();
        let open = set.open(at);
        if open != *self.standing.open() {
            self.standing = Standing::new(set, self.standing.mode(), open, Vec::new());
            self.tables.set_policy(&watching_all(&self.standing));
            self.gate.flags = self.tables.flags();
        }
    }

    /// Keeps the strictest that a policy did to a conversation.
    fn note(&mut self, key: &FlowKey, entry: ActionEntry, conversation: Option<usize>) {
        let (Some(index), action) = (conversation, Action::from_number(entry.action)) else {
            return;
        };
        let conversation = self.conversations.get_mut(index);
        if action == Action::Allow
            || conversation
                .policy
                .as_ref()
                .is_some_and(|done| done.action >= action)
        {
            return;
        }
        let met = self
            .tables
            .flow_state(key)
            .map_or_else(Met::default, |flow| flow.met);
        if let Some((_, policy)) = self.standing.of(met, &key.inside) {
            let budgets = self.standing.budgets(&entry);
            conversation.policy = Some(Done::of(&Decided {
                policy,
                action,
                budgets,
            }));
        }
    }

    /// Where a gateway between inside and outside would meet the packet. Between two inside hosts
    /// it passes two inside interfaces. Where neither is inside, both are taken for it: the
    /// capture may come from a public host or from its provider.
    fn sides(&self, headers: &Headers) -> [Option<Side>; 2] {
        match (
            self.is_inside(&headers.source),
            self.is_inside(&headers.destination),
        ) {
            (true, true) => [Some(Side::InsideIngress), Some(Side::InsideEgress)],
            (true, false) => [Some(Side::InsideIngress), None],
            (false, true) => [Some(Side::Inbound), None],
            (false, false) => [Some(Side::InsideIngress), Some(Side::Inbound)],
        }
    }

    fn is_inside(&self, host: &Address) -> bool {
        let host = Ipv6Net::from(std::net::Ipv6Addr::from(*host));
        self.inside.get_lpm(&host).is_some()
    }

    /// What user space does with a packet that the gate sent up, if that stops it.
    fn inspect(
        &mut self,
        record: &Record,
        headers: &Headers,
        side: Side,
        key: FlowKey,
        conversation: Option<usize>,
    ) -> Option<Action> {
        // What follows the first fragment has no message head and no sequence number.
        if matches!(headers.fragment, Fragment::Later(_)) {
            return None;
        }
        let outbound = side == Side::InsideIngress;
        let direction = if outbound { OUTBOUND } else { INBOUND };
        let flow = self.tables.flow_state(&key).copied();
        let packet = Packet {
            number: record.number,
            now: self.now,
            key,
            outbound,
            called: flow.is_some_and(|flow| flow.called != 0),
            tcp_seq: headers.tcp_seq,
            tcp_base: flow.and_then(|flow| flow.tcp_base(direction)),
            payload: payload(record, headers),
            payload_len: headers.payload_len,
        };
        let mut answer = self.engine.packet(&packet, &mut self.events);
        if let (Some(finding), Some(state)) = (answer.finding, self.tables.flow_state(&key)) {
            let counters = state.into();
            let known = self
                .engine
                .traffic(&packet, finding, counters, &mut self.events);
            answer.finding = Some(known);
        }
        self.take_events(record.number, conversation);
        if answer.more > 0 {
            self.more_request = self.more_request.wrapping_add(1).max(1);
            let Ok(()) = self.tables.set_verdict(
                &key,
                Verdict {
                    kind: kind::OPEN,
                    more: answer.more,
                    more_request: self.more_request,
                    ..Verdict::default()
                },
            );
        }
        let verdict = match answer.finding {
            Some(finding) => Some(finding.verdict()),
            None => answer.ambiguous.then_some(Verdict::AMBIGUOUS),
        };
        let (met, called) = flow.map_or_else(Default::default, |flow| (flow.met, flow.called != 0));
        let (_, entry) = self
            .standing
            .compiled()
            .decide(&key, met, called, &verdict?)?;
        self.note(&key, entry, conversation);
        Some(Action::from_number(entry.action)).filter(|action| action.stops())
    }
}

/// What is in force, with every other host under a policy that allows everything: it has no rows in
/// the action table.
fn watching_all(standing: &Standing) -> Compiled {
    let mut compiled = standing.compiled().clone();
    compiled.cover_rest(PolicyEntry {
        index: standing.set().policies().len() as u16,
        ..PolicyEntry::default()
    });
    compiled
}

/// The payload of a packet, as far as the capture has it; nothing of a later fragment, which has
/// no message head and no sequence number.
pub(super) fn payload<'a>(record: &'a Record, headers: &Headers) -> &'a [u8] {
    if matches!(headers.fragment, Fragment::Later(_)) {
        return &[];
    }
    let payload = record.data.get(headers.payload_offset as usize..);
    let payload = payload.unwrap_or_default();
    &payload[..payload.len().min(headers.payload_len as usize)]
}
