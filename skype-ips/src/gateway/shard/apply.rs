//! What the engine found goes to the gate's tables and into the event lines.

use skype_ips_common::layout::{
    ActionEntry, CLIENT_ROLE, EndpointKey, FlowKey, TCP, Verdict, kind,
};

use super::Shard;
use super::known::DECIDED_LIFE;
use crate::engine::{Event, Evidence, Subject};
use crate::gateway::clock;
use crate::gateway::counters::add;
use crate::gateway::gate::{Gate, lock};
use crate::kernel::{BpfError, Queue, VerdictTables as _};
use crate::policy::{Action, from_mapped};
use crate::telemetry::{self, AlertFinding, AlertPolicy, AlertRecord, AlertSkype};

/// Complaints about writes that the kernel refuses are this far apart, nanoseconds; each is counted.
const COMPLAINT: u64 = 10 * 1_000_000_000;

impl<Q: Queue> Shard<Q> {
    /// What is to be done with a flow of which this is known.
    pub(super) fn entry(&self, key: &FlowKey, verdict: &Verdict) -> ActionEntry {
        let flow = self.gate.flow(key).unwrap_or_default();
        let called = flow.called != 0;
        let in_force = self.shared.in_force();
        let compiled = in_force.standing.compiled();
        let decided = compiled.decide(key, flow.met, called, &verdict.of_flow(called));
        decided.map_or(ActionEntry::default(), |(_, entry)| entry)
    }

    fn action(&self, key: &FlowKey, verdict: &Verdict) -> Action {
        Action::from_number(self.entry(key, verdict).action)
    }

    /// Writes what the engine found to the tables, and reports it.
    pub(super) fn apply(&mut self, event: Event, now: u64) {
        match event {
            Event::Found {
                subject,
                flow,
                finding,
                session,
                evidence,
                ..
            } => {
                add(&self.counters().decisions);
                let verdict = finding.verdict_in(session);
                let scope = match subject {
                    Subject::Flow(key) => {
                        self.set_verdict(&key, verdict, now);
                        self.tell_other_half(&key, verdict, now);
                        "flow"
                    }
                    Subject::Endpoint(key) => {
                        self.know_endpoint(&key, verdict);
                        "endpoint"
                    }
                };
                let found = AlertFinding {
                    class: finding.class,
                    role: finding.role,
                    confidence: finding.confidence,
                };
                let action = self.action(&flow, &verdict);
                self.report(&flow, scope, Some(found), &evidence, action);
            }
            Event::Ambiguous { flow, evidence, .. } => {
                self.set_verdict(&flow, Verdict::AMBIGUOUS, now);
                let action = self.action(&flow, &Verdict::AMBIGUOUS);
                self.report(&flow, "flow", None, &evidence, action);
            }
            Event::Cleared(flow) => {
                let other = Verdict {
                    kind: kind::OTHER,
                    ..Verdict::default()
                };
                self.set_verdict(&flow, other, now);
            }
            Event::Listening {
                endpoint, finding, ..
            } => self.know_endpoint(&endpoint, finding.verdict()),
            Event::Unknown(flow) => {
                self.known.forget(&flow);
                self.forget_verdicts([flow]);
            }
            Event::HostsForgotten(hosts) => {
                let flows = self
                    .known
                    .forget_where(|key| hosts.contains(&(key.zone, key.inside)));
                self.forget_verdicts(flows);
            }
            Event::Forgotten(key) | Event::NotListening(key) => {
                let result = self.gate.remove_endpoint(&key);
                self.check(result);
            }
        }
    }

    /// Where the other end of a connection is inside too, it has a policy as well: what both ends said
    /// condemns either. It is a client there, whatever serves it here.
    fn tell_other_half(&mut self, key: &FlowKey, verdict: Verdict, now: u64) {
        if key.protocol != TCP {
            return;
        }
        let other = from_other_end(key);
        let met = self.gate.flow(&other).unwrap_or_default().met;
        let in_force = self.shared.in_force();
        let of_policy = in_force.standing.of(met, &other.inside).is_some();
        drop(in_force);
        if of_policy {
            let verdict = Verdict {
                role: CLIENT_ROLE,
                session: 0,
                ..verdict
            };
            self.set_verdict(&other, verdict, now);
        }
    }

    fn know_endpoint(&mut self, key: &EndpointKey, verdict: Verdict) {
        let result = self.gate.set_endpoint(key, verdict);
        self.check(result);
    }

    fn set_verdict(&mut self, key: &FlowKey, verdict: Verdict, now: u64) {
        let room = self.known.decide(key, now);
        self.write_verdict(key, verdict, room);
    }

    /// Writes to the verdict table, after the entry of the flow that makes room is gone.
    pub(super) fn write_verdict(&mut self, key: &FlowKey, verdict: Verdict, room: Option<FlowKey>) {
        self.forget_verdicts(room);
        let result = self.gate.set_verdict(key, verdict);
        self.check(result);
    }

    pub(super) fn forget_verdicts(&mut self, flows: impl IntoIterator<Item = FlowKey>) {
        for flow in flows {
            let result = self.gate.remove_verdict(&flow);
            self.check(result);
        }
    }

    fn check(&mut self, result: Result<(), BpfError>) {
        let Err(error) = result else {
            return;
        };
        add(&self.counters().table_refused);
        let now = clock::monotonic();
        if self.complained.is_none_or(|last| now - last >= COMPLAINT) {
            self.complained = Some(now);
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
        let in_force = self.shared.in_force();
        let met = self.gate.flow(flow).unwrap_or_default().met;
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
                name: in_force
                    .standing
                    .of(met, &flow.inside)
                    .map(|(_, policy)| policy.name.clone()),
                version: in_force.version.clone(),
                action,
            },
        };
        if !self.events.send(&record) {
            add(&self.counters().events_lost);
        }
    }

    /// Shows the engine the counters of the flows that it watches, and lets it look around.
    pub(super) fn tick(&mut self, now: u64) {
        let hosts = self.shared.in_force().standing.set().hosts;
        self.engine.set_host_rule(hosts, now);
        let mut found = std::mem::take(&mut self.found);
        for key in self.engine.watching() {
            if let Some(state) = self.gate.flow(&key) {
                self.engine.counters(now, &key, &state, &mut found);
            }
        }
        self.engine.tick(now, &mut found);
        for event in found.drain(..) {
            self.apply(event, now);
        }
        self.found = found;
    }

    /// Forgets what has been silent for long.
    pub(super) fn upkeep(&mut self, now: u64) {
        let gate = &self.gate;
        let last_seen = |key: &FlowKey| gate.flow(key).map(|flow| flow.last_seen);
        let gone = self.known.expire(now, last_seen);
        self.forget_verdicts(gone);
        if let Gate::User(gate) = &self.gate {
            lock(gate).tables.expire(now.saturating_sub(DECIDED_LIFE));
        }
    }
}

/// The same flow with the other end as the inside one.
fn from_other_end(key: &FlowKey) -> FlowKey {
    FlowKey {
        inside_port: key.outside_port,
        outside_port: key.inside_port,
        inside: key.outside,
        outside: key.inside,
        ..*key
    }
}
