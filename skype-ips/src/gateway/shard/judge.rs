//! Judging one packet: what the gate says, what came for NAT's sake alone, what the engine says, and
//! the verdict on all that.

use std::ops::ControlFlow::{self, Break, Continue};

use skype_ips_common::gate::{self, Outcome, Side, Tables as _};
use skype_ips_common::layout::{
    ActionEntry, FlowKey, GateConfig, INBOUND, Met, OUTBOUND, TCP, UDP, Verdict, flag, kind,
};
use skype_ips_common::mark::{Code, Field};
use skype_ips_common::parse::{self, Fragment, Headers, Link, Slice, headers};
use skype_ips_common::prefilter;

use super::Shard;
use crate::detect::udp::Message;
use crate::engine::{Answer, Packet};
use crate::gateway::clock;
use crate::gateway::counters::add;
use crate::gateway::gate::{Gate, UserGate, lock};
use crate::kernel::{MemoryTables, Queue, QueueVerdict, QueuedPacket, reset};
use crate::policy::Action;

/// Without a classifier a connection is let go after this many packets without evidence: openings,
/// probes and their answers lie well within.
const UNCLASSIFIED_LIMIT: u64 = 32;
/// Behind NAT the arriving direction comes unfiltered; after this many payload packets it is let go.
const TRANSLATED_LIMIT: u8 = 6;

/// A packet as it came out of the queue.
struct Queued<'a> {
    bytes: &'a [u8],
    /// Where the kernel met it.
    side: Side,
    /// Whether it goes to another inside host.
    stays_inside: bool,
    /// Packets on the wire that it stands for.
    segments: u32,
    zone: u16,
    /// Where the inside host was met.
    met: Met,
    /// The code in its mark.
    code: Code,
    /// Whether nothing is enforced for now.
    bypass: bool,
    now: u64,
}

/// A packet with evidence for the engine, perhaps.
struct Chosen<'a> {
    key: FlowKey,
    headers: Headers,
    payload: &'a [u8],
    /// Chosen by the connection (NAT), not by a classifier.
    translated: bool,
}

/// What becomes of a packet.
enum Fate {
    Accept(Code),
    /// It passes as the policy says of what is known of its flow.
    Known(Code, ActionEntry),
    Drop,
    /// Both of its ends are told.
    Reject,
}

impl<Q: Queue> Shard<Q> {
    pub(super) fn judge(&mut self, packet: &Q::Packet) -> QueueVerdict {
        let (field, mark) = (self.shared.field, packet.mark());
        let interfaces = [packet.arrived_on(), packet.leaves_through()];
        let is_inside = interfaces.map(|interface| self.shared.inside.contains(&interface));
        let [from, to] = interfaces.map(|interface| {
            let place = self.shared.places.get(&interface);
            place.copied().unwrap_or_default()
        });
        let queued = Queued {
            bytes: packet.payload(),
            side: if is_inside[0] {
                Side::InsideIngress
            } else {
                Side::Inbound
            },
            stays_inside: is_inside == [true, true],
            segments: if packet.is_super_packet() {
                segments(packet.payload(), from.mtu)
            } else {
                1
            },
            zone: from.zone,
            met: if is_inside[0] { from.met } else { to.met },
            code: field.read(mark),
            bypass: self.shared.bypass(),
            now: clock::monotonic(),
        };
        let mut fate = match self.choose(&queued) {
            Break(fate) => fate,
            Continue(chosen) => {
                let answer = self.ask_engine(&queued, &chosen);
                self.decide(&chosen, answer, queued.now)
            }
        };
        if queued.stays_inside && matches!(fate, Fate::Accept(_) | Fate::Known(..)) {
            fate = self.ask_for_receiver(&queued, to.met, fate);
        }
        match fate {
            Fate::Accept(code) => QueueVerdict::Accept(field.write(mark, code)),
            Fate::Known(code, entry) => {
                let mark = (mark & !entry.mark_mask) | (entry.mark & entry.mark_mask);
                QueueVerdict::Accept(field.write(mark, code))
            }
            Fate::Drop => drop_verdict(field, mark, self.shared.conntrack),
            Fate::Reject => {
                self.reset_receiver(queued.bytes, field.write(mark, Code::Own));
                add(&self.counters().rejected);
                // The firewall answers the sender, whose packet must still exist for that.
                QueueVerdict::Repeat(field.write(mark, Code::Reject))
            }
        }
    }

    /// Tells the receiver of a TCP packet that doesn't arrive that its connection is over.
    fn reset_receiver(&mut self, packet: &[u8], mark: u32) {
        let Some(reset) = reset::in_place_of(packet) else {
            return;
        };
        if let Err(error) = self.queue.send(&reset, mark) {
            add(&self.counters().reset_failed);
            if !std::mem::replace(&mut self.told_of_resets, true) {
                tracing::error!(
                    "a reset could not be sent: {error}; rejected packets are dropped all the same, \
                     and further failures only counted (`reset-failed` in `status`)"
                );
            }
        }
    }

    /// What of the packet the engine is to see, or the fate of one that it needn't.
    fn choose<'a>(&mut self, queued: &Queued<'a>) -> ControlFlow<Fate, Chosen<'a>> {
        let (key, headers) = self.ask_gate(queued)?;
        // A later fragment has the fate of the first, which the gate knows, and no evidence.
        let later = matches!(headers.fragment, Fragment::Later(_));
        let Some(payload) = queued
            .bytes
            .get(headers.payload_offset as usize..)
            .filter(|_| !later)
        else {
            return Break(Fate::Accept(Code::Pass));
        };
        let chosen = Chosen {
            key,
            headers,
            payload: &payload[..payload.len().min(headers.payload_len as usize)],
            translated: queued.side == Side::Inbound && queued.code == Code::Pass,
        };
        if chosen.translated {
            self.filter_translated(queued, &chosen)?;
        }
        Continue(chosen)
    }

    /// What the gate says, which the kernel's has said already by queueing the packet.
    fn ask_gate(&mut self, queued: &Queued<'_>) -> ControlFlow<Fate, (FlowKey, Headers)> {
        let mut gate = match &self.gate {
            Gate::Kernel(_) => {
                return match headers(&Slice::new(queued.bytes), Link::Raw) {
                    Ok(headers) => Continue((key_of(&headers, queued.side, queued.zone), headers)),
                    Err(_) => Break(Fate::Accept(Code::Pass)),
                };
            }
            Gate::User(gate) => lock(gate),
        };
        let outcome = gate.judge(queued, queued.side, queued.met);
        let UserGate { tables, work, .. } = &mut *gate;
        let key = *work.key();
        match outcome {
            Outcome::Drop => Break(Fate::Drop),
            Outcome::Pass(Code::Reject) => Break(Fate::Reject),
            Outcome::Pass(Code::Inspect(_)) => Continue((key, *work.headers())),
            Outcome::Pass(_) => {
                let seen = tables
                    .flow_state(&key)
                    .map_or(0, |flow| flow.packets[0] + flow.packets[1]);
                let entry = *work.entry();
                let polices = entry != ActionEntry::default() || may_be_skype(tables, &key);
                let judged = seen >= UNCLASSIFIED_LIMIT && !polices;
                let code = if judged { Code::Judged } else { Code::Pass };
                Break(Fate::Known(code, entry))
            }
        }
    }

    /// What the policy of the inside host that receives says; the kernel's gate asks it where the
    /// packet leaves.
    fn ask_for_receiver(&mut self, queued: &Queued<'_>, met: Met, fate: Fate) -> Fate {
        let Gate::User(gate) = &self.gate else {
            return fate;
        };
        let mut gate = lock(gate);
        let outcome = gate.judge(queued, Side::InsideEgress, met);
        if outcome == Outcome::Drop {
            return Fate::Drop;
        }
        let UserGate { tables, work, .. } = &mut *gate;
        match fate {
            Fate::Known(Code::Judged, entry) if may_be_skype(tables, work.key()) => {
                Fate::Known(Code::Pass, entry)
            }
            fate => fate,
        }
    }

    /// Of what no classifier chose, the engine sees what could be evidence.
    fn filter_translated(&self, queued: &Queued<'_>, chosen: &Chosen<'_>) -> ControlFlow<Fate> {
        if chosen.payload.is_empty() {
            return Break(Fate::Accept(Code::Pass));
        }
        let (slice, offset, len) = (
            Slice::new(queued.bytes),
            chosen.headers.payload_offset,
            chosen.headers.payload_len,
        );
        let awaited = self.known.contains(&chosen.key);
        let fits =
            prefilter::tcp_opening(&slice, offset, len, 0) & self.shared.knowledge.predicates;
        if chosen.key.protocol == TCP && !awaited && fits == 0 {
            return Break(Fate::Accept(Code::Judged));
        }
        Continue(())
    }

    /// What the engine says; what it found with this packet is in the tables then, and reported.
    fn ask_engine(&mut self, queued: &Queued<'_>, chosen: &Chosen<'_>) -> Answer {
        let key = chosen.key;
        self.packets += 1;
        let outbound = queued.side == Side::InsideIngress;
        let direction = if outbound { OUTBOUND } else { INBOUND };
        let tcp = (key.protocol == TCP)
            .then(|| self.gate.flow(&key))
            .flatten();
        let tcp_base = tcp.and_then(|flow| flow.tcp_base(direction));
        let packet = Packet {
            number: self.packets,
            now: queued.now,
            key,
            outbound,
            called: tcp.is_some_and(|flow| flow.called != 0),
            tcp_seq: chosen.headers.tcp_seq,
            tcp_base,
            payload: chosen.payload,
            payload_len: chosen.headers.payload_len,
        };
        let mut found = std::mem::take(&mut self.found);
        let mut answer = self.engine.packet(&packet, &mut found);
        if let Some(finding) = answer.finding
            && let Some(state) = tcp.or_else(|| self.gate.flow(&key))
        {
            let counters = (&state).into();
            let known = self.engine.traffic(&packet, finding, counters, &mut found);
            answer.finding = Some(known);
        }
        for event in found.drain(..) {
            self.apply(event, queued.now);
        }
        self.found = found;
        answer
    }

    /// What becomes of a packet of which the engine said this.
    fn decide(&mut self, chosen: &Chosen<'_>, answer: Answer, now: u64) -> Fate {
        let key = chosen.key;
        if let Some(finding) = answer.finding {
            let fate = self.fate_of(self.entry(&key, &finding.verdict()));
            return self.with_answers(chosen, fate, now);
        }
        if answer.ambiguous {
            let fate = self.fate_of(self.entry(&key, &Verdict::AMBIGUOUS));
            if matches!(fate, Fate::Drop | Fate::Reject) {
                return fate;
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
            let room = self.known.ask(&key, now);
            self.write_verdict(&key, more, room);
        }
        if chosen.translated {
            let (unfiltered, room) = self.known.unfiltered(&key, now);
            self.forget_verdicts(room);
            if unfiltered >= TRANSLATED_LIMIT {
                return Fate::Accept(Code::Judged);
            }
        }
        Fate::Accept(Code::Inspect(self.number))
    }

    /// Behind NAT what comes back is seen only while the connection is inspected. Of a known endpoint's
    /// flow that begins with messages it is, up to the first media: who asked first tells how they came about.
    fn with_answers(&mut self, chosen: &Chosen<'_>, fate: Fate, now: u64) -> Fate {
        let Fate::Known(Code::Judged, entry) = fate else {
            return fate;
        };
        let message = || Message::read(chosen.payload, chosen.headers.payload_len).is_some();
        let mut more = self.shared.conntrack && chosen.key.protocol == UDP && message();
        if more && chosen.translated {
            let (unfiltered, room) = self.known.unfiltered(&chosen.key, now);
            self.forget_verdicts(room);
            more = unfiltered < TRANSLATED_LIMIT;
        }
        let code = if more {
            Code::Inspect(self.number)
        } else {
            Code::Judged
        };
        Fate::Known(code, entry)
    }

    /// What becomes of a packet of a flow about which the policy says this.
    fn fate_of(&self, entry: ActionEntry) -> Fate {
        // While bypassed nothing is recorded, so that the end of it finds the flow again.
        if self.shared.bypass() {
            return Fate::Accept(Code::Pass);
        }
        let code = match &self.gate {
            Gate::Kernel(_) => Code::Judged,
            // Nobody else polices it.
            Gate::User(_) => Code::Pass,
        };
        match Action::from_number(entry.action) {
            Action::Drop => Fate::Drop,
            Action::Reject => Fate::Reject,
            Action::Allow | Action::Alert | Action::Throttle => Fate::Known(code, entry),
        }
    }
}

impl UserGate {
    /// Judges a packet as one that is met at `side`.
    fn judge(&mut self, queued: &Queued<'_>, side: Side, met: Met) -> Outcome {
        let bypass = if queued.bypass { flag::BYPASS } else { 0 };
        let config = GateConfig {
            flags: self.config.flags | self.tables.flags() | bypass,
            ..self.config
        };
        let packet = Segmented {
            head: Slice::new(queued.bytes),
            segments: queued.segments,
        };
        let (tables, work) = (&mut self.tables, &mut self.work);
        let (zone, now) = (queued.zone, queued.now);
        gate::judge(
            &packet,
            Link::Raw,
            side,
            zone,
            met,
            now,
            &config,
            tables,
            work,
        )
    }
}

/// A packet that may stand for several on the wire.
struct Segmented<'a> {
    head: Slice<'a>,
    segments: u32,
}

impl parse::Packet for Segmented<'_> {
    fn len(&self) -> u32 {
        self.head.len()
    }

    fn u16(&self, offset: u32) -> Option<u16> {
        self.head.u16(offset)
    }

    fn u32(&self, offset: u32) -> Option<u32> {
        self.head.u32(offset)
    }

    fn segments(&self) -> u32 {
        self.segments
    }
}

/// How many packets on the wire a super-packet stands for. The queue doesn't say, so as few as an
/// interface of this MTU can have received: senders fill their packets.
fn segments(packet: &[u8], mtu: u32) -> u32 {
    let Ok(headers) = headers(&Slice::new(packet), Link::Raw) else {
        return 1;
    };
    let room = mtu.saturating_sub(headers.payload_offset).max(1);
    headers.payload_len.div_ceil(room).max(2)
}

/// Whether the gate has to see all of a flow: policies have a say in what is or may be Skype's, and
/// another one tomorrow.
fn may_be_skype(tables: &mut MemoryTables, key: &FlowKey) -> bool {
    let known = |verdict: Option<Verdict>| {
        verdict.is_some_and(|known| matches!(known.kind, kind::SKYPE | kind::AMBIGUOUS))
    };
    known(tables.verdict(key)) || known(tables.endpoint(&key.endpoint()))
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
