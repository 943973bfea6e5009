//! What the control side asks, answered between packets.

use rustc_hash::{FxHashMap, FxHashSet};
use skype_ips_common::gate::Tables as _;
use skype_ips_common::layout::{FlowKey, TCP, UDP, Verdict, kind};

use super::Shard;
use crate::engine::Event;
use crate::engine::view::{FlowView, HostView};
use crate::gateway::clock;
use crate::gateway::gate::Gate;
use crate::gateway::requests::{KnownFlow, Page, Part, Request, Traced, part};
use crate::hosts::endpoints::Host;
use crate::kernel::Queue;
use crate::policy::{from_mapped, to_mapped};

impl<Q: Queue> Shard<Q> {
    /// Answers what was asked. One who has gone away meanwhile is no fault.
    pub(super) fn answer_queries(&mut self) {
        while let Some(request) = self.queries.next() {
            match request {
                Request::Hosts(page, reply) => drop(reply.send(self.hosts(page))),
                Request::Flows(page, reply) => drop(reply.send(self.flows(page))),
                Request::Trace(key, reply) => drop(reply.send(self.trace(&key))),
                Request::Forget(hosts, reply) => drop(reply.send(self.forget(&hosts))),
            }
        }
    }

    fn hosts(&self, page: Page) -> Part<HostView> {
        let asked = page.host.map(|host| from_mapped(&host));
        let hosts = self.engine.hosts().into_iter();
        part(
            hosts.filter(|one| asked.is_none_or(|host| one.host == host)),
            page,
        )
    }

    fn flows(&self, page: Page) -> Part<KnownFlow> {
        let asked = page.host.map(|host| from_mapped(&host));
        let flows = self.engine.flows().into_iter();
        let flows = flows.filter(|one| {
            asked.is_none_or(|host| one.inside.ip() == host || one.outside.ip() == host)
        });
        let Part { total, list } = part(flows, page);
        Part {
            total,
            list: list.into_iter().map(|view| self.known_flow(view)).collect(),
        }
    }

    fn known_flow(&self, view: FlowView) -> KnownFlow {
        let key = FlowKey {
            zone: view.zone,
            protocol: if view.proto == "UDP" { UDP } else { TCP },
            reserved: 0,
            inside_port: view.inside.port(),
            outside_port: view.outside.port(),
            inside: to_mapped(view.inside.ip()),
            outside: to_mapped(view.outside.ip()),
        };
        let met = self.gate.flow(&key).unwrap_or_default().met;
        let verdict = Verdict {
            kind: kind::SKYPE,
            class: view.class.number(),
            role: view.role.number(),
            confidence: view.confidence.number(),
            session: view.session,
            ..Verdict::default()
        };
        let in_force = self.shared.in_force();
        let decided = in_force.standing.decide(&key, met, view.called, &verdict);
        let budgets = decided.iter().flat_map(|decided| &decided.budgets);
        KnownFlow {
            policy: decided.as_ref().map(|decided| decided.policy.name.clone()),
            action: decided.as_ref().map(|decided| decided.action),
            budgets: budgets.map(|budget| budget.name.clone()).collect(),
            view,
        }
    }

    fn trace(&self, key: &FlowKey) -> Traced {
        let (own, of_endpoint) = match &self.gate {
            Gate::Kernel(tables) => (tables.verdict(key), tables.endpoint(&key.endpoint())),
            Gate::User(gate) => {
                let mut gate = crate::gateway::gate::lock(gate);
                (
                    gate.tables.verdict(key),
                    gate.tables.endpoint(&key.endpoint()),
                )
            }
        };
        let (inside, outside) = (from_mapped(&key.inside), from_mapped(&key.outside));
        let known = self.engine.flows().into_iter().find(|one| {
            (one.zone, one.proto == "UDP") == (key.zone, key.protocol == UDP)
                && (one.inside.ip(), one.inside.port()) == (inside, key.inside_port)
                && (one.outside.ip(), one.outside.port()) == (outside, key.outside_port)
        });
        Traced {
            known: known.map(|view| self.known_flow(view)),
            state: self.gate.flow(key),
            verdict: own.or(of_endpoint),
            of_endpoint: own.is_none() && of_endpoint.is_some(),
        }
    }

    /// Forgets hosts; how many things were known of which.
    fn forget(&mut self, hosts: &FxHashSet<Host>) -> FxHashMap<Host, usize> {
        let mut found = std::mem::take(&mut self.found);
        self.engine.forget_hosts(hosts.clone(), &mut found);
        let mut known = FxHashMap::default();
        for event in &found {
            let host = match event {
                Event::Unknown(flow) => (flow.zone, flow.inside),
                Event::Forgotten(key) | Event::NotListening(key) => (key.zone, key.inside),
                _ => continue,
            };
            *known.entry(host).or_default() += 1;
        }
        let now = clock::monotonic();
        for event in found.drain(..) {
            self.apply(event, now);
        }
        self.found = found;
        known
    }
}
