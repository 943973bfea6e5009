//! Hosts and flows as the control side shows them: what the shards know, with what the policies say.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};
use serde::Serialize;
use serde_json::{Value, json};
use skype_ips_common::layout::{FlowKey, FlowState, Met, TCP, Verdict, kind};

use super::audit::Outcome;
use super::requests::{KnownFlow, Page, Part, Request, Silent, Traced, page};
use super::{Gateway, clock, lock};
use crate::engine::view::HostView;
use crate::hosts::endpoints::Host;
use crate::policy::{Asked, Class, Confidence, Explanation, Role, to_mapped};
use crate::telemetry::eve::protocol_name;
use crate::telemetry::{Who, timestamp};

/// A flow as a person names it: in either order of its ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlowName {
    /// TCP or UDP, as a number.
    pub protocol: u8,
    /// Its ends.
    pub ends: [SocketAddr; 2],
}

impl FlowName {
    fn key(&self, zone: u16, inside: usize) -> FlowKey {
        let (inside, outside) = (self.ends[inside & 1], self.ends[!inside & 1]);
        FlowKey {
            zone,
            protocol: self.protocol,
            reserved: 0,
            inside_port: inside.port(),
            outside_port: outside.port(),
            inside: to_mapped(inside.ip()),
            outside: to_mapped(outside.ip()),
        }
    }
}

impl Gateway {
    /// Inside hosts of which something is known.
    ///
    /// # Errors
    /// A shard doesn't answer.
    pub async fn hosts(&self, asked: Page) -> Result<Part<Value>, Silent> {
        let parts = self
            .requests
            .all(|reply| Request::Hosts(asked, reply))
            .await?;
        let Part { total, list } = page(parts, asked, |one| (one.zone, one.host));
        let (clock, buckets) = (Clock::now(), self.buckets());
        let in_force = self.shared.in_force();
        let shown = |host: &HostView| {
            let mut value = clock.of(host);
            let address = to_mapped(host.host);
            let policy = in_force.standing.of(Met::default(), &address);
            value["policy"] = json!(policy.map(|(_, policy)| &policy.name));
            value["budgets"] = json!(buckets.of(&in_force, &address, Met::default(), None));
            value
        };
        Ok(Part {
            total,
            list: list.iter().map(shown).collect(),
        })
    }

    /// Flows that are known to be Skype.
    ///
    /// # Errors
    /// A shard doesn't answer.
    pub async fn flows(&self, asked: Page) -> Result<Part<Value>, Silent> {
        let parts = self
            .requests
            .all(|reply| Request::Flows(asked, reply))
            .await?;
        let order = |one: &KnownFlow| {
            let view = &one.view;
            (view.zone, view.inside, view.proto, view.outside)
        };
        let Part { total, list } = page(parts, asked, order);
        let clock = Clock::now();
        Ok(Part {
            total,
            list: list.iter().map(|flow| clock.of(flow)).collect(),
        })
    }

    /// Forgets what was learned of a host; how many things that were.
    ///
    /// # Errors
    /// A shard doesn't answer.
    pub async fn forget(
        &self,
        host: IpAddr,
        reason: Option<&str>,
        who: Who,
    ) -> Result<usize, Silent> {
        let mut change = self.change("forget", who, reason);
        change.host = Some(host.to_string());
        let address = to_mapped(host);
        let hosts = self.zones().into_iter().map(|zone| (zone, address));
        let known = self.forget_hosts(hosts.collect()).await?;
        let count = known.values().sum::<usize>();
        let detail = format!("{count} things were known of it");
        self.audit(change, Outcome::Done, detail);
        Ok(count)
    }

    /// Forgets what was learned of hosts; how many things were known of which.
    pub(super) async fn forget_hosts(
        &self,
        hosts: FxHashSet<Host>,
    ) -> Result<FxHashMap<Host, usize>, Silent> {
        let hosts = Arc::new(hosts);
        let counts = self
            .requests
            .all(|reply| Request::Forget(hosts.clone(), reply))
            .await?;
        let mut known = FxHashMap::default();
        for (host, count) in counts.into_iter().flatten() {
            *known.entry(host).or_default() += count;
        }
        Ok(known)
    }

    fn zones(&self) -> Vec<u16> {
        let places = self.shared.places.values();
        let mut zones: Vec<u16> = places.map(|place| place.zone).collect();
        zones.sort_unstable();
        zones.dedup();
        zones
    }

    /// What the policies in force mean for a host where it was met, and which key says so.
    fn explanation(&self, host: IpAddr, met: Met) -> Explanation {
        let at = jiff::Timestamp::now();
        lock(&self.administration)
            .config
            .explain_at(Asked { host, met, at })
    }

    /// What exempts a host for a while, if anything does.
    fn exempted(&self, host: IpAddr) -> Value {
        let administration = lock(&self.administration);
        let mut exemptions = administration.exemptions.iter();
        let one = exemptions.find(|one| one.net.contains(&host));
        json!(one.map(|one| json!({ "until": timestamp(one.until), "reason": one.reason })))
    }

    /// What a host is and why, and what the policies say of it.
    ///
    /// # Errors
    /// A shard doesn't answer.
    pub async fn explain_host(&self, host: IpAddr) -> Result<Value, Silent> {
        let host = host.to_canonical();
        let asked = Page {
            host: Some(to_mapped(host)),
            offset: 0,
            limit: self.zones().len().max(1),
        };
        let known = self.hosts(asked).await?;
        let explanation = self.explanation(host, Met::default());
        Ok(json!({
            "host": host,
            "known": known.list,
            "exempted": self.exempted(host),
            "explanation": explanation,
            "in_words": explanation.to_string(),
        }))
    }

    /// What a flow is and why, and what is done with it; `null` if nothing is known of it.
    ///
    /// # Errors
    /// A shard doesn't answer.
    pub async fn explain_flow(&self, flow: FlowName) -> Result<Value, Silent> {
        for zone in self.zones() {
            for inside in [0, 1] {
                let key = flow.key(zone, inside);
                let answers = self
                    .requests
                    .all(|reply| Request::Trace(key, reply))
                    .await?;
                let known = |one: &Traced| {
                    u8::from(one.known.is_some()) * 2
                        + u8::from(one.state.is_some() || one.verdict.is_some())
                };
                let best = answers.into_iter().max_by_key(known);
                if let Some(traced) = best.filter(|one| known(one) > 0) {
                    return Ok(self.explain(&key, &traced));
                }
            }
        }
        Ok(Value::Null)
    }

    fn explain(&self, key: &FlowKey, traced: &Traced) -> Value {
        let state = traced.state.unwrap_or_default();
        let in_force = self.shared.in_force();
        let called = state.called != 0;
        let verdict = traced.verdict.map(|verdict| {
            if traced.of_endpoint {
                verdict.of_flow(called)
            } else {
                verdict
            }
        });
        let decided = verdict
            .as_ref()
            .filter(|verdict| matches!(verdict.kind, kind::SKYPE | kind::AMBIGUOUS))
            .and_then(|verdict| in_force.standing.decide(key, state.met, called, verdict));
        let host = crate::policy::from_mapped(&key.inside);
        let explanation = self.explanation(host, state.met);
        let restricted = key.protocol != TCP || called;
        let rules = explanation.policy.iter().flat_map(|policy| &policy.rules);
        let rules: Vec<_> = rules
            .filter(|rule| {
                verdict.is_some_and(|verdict| {
                    (rule.role.number(), rule.class.number()) == (verdict.role, verdict.class)
                }) && (rule.restriction.is_none() || restricted)
            })
            .collect();
        let clock = Clock::now();
        json!({
            "proto": protocol_name(key.protocol),
            "inside": SocketAddr::new(host, key.inside_port),
            "outside": SocketAddr::new(crate::policy::from_mapped(&key.outside), key.outside_port),
            "zone": key.zone,
            "known": traced.known.as_ref().map(|known| clock.of(known)),
            "gate": traced.state.map(|state| counted(&state, &clock)),
            "verdict": verdict.map(|verdict| said(&verdict, traced.of_endpoint)),
            "exempted": self.exempted(host),
            "policy": decided.as_ref().map(|decided| &decided.policy.name),
            "action": decided.as_ref().map(|decided| decided.action),
            "said_by": rules,
            "budgets": self.buckets().of(&in_force, &key.inside, state.met, Some(key)),
        })
    }
}

fn counted(state: &FlowState, clock: &Clock) -> Value {
    json!({
        "packets": state.packets,
        "bytes": state.bytes,
        "opened_by_outside": state.called != 0,
        "vlan": state.met.vlan,
        "seen": clock.wall(state.last_seen),
    })
}

fn said(verdict: &Verdict, of_endpoint: bool) -> Value {
    let is = match verdict.kind {
        kind::SKYPE => "skype",
        kind::AMBIGUOUS => "ambiguous",
        kind::OTHER => "other",
        _ => "open",
    };
    let skype = verdict.kind == kind::SKYPE;
    let role = Role::ALL.iter().find(|one| one.number() == verdict.role);
    let class = Class::ALL.iter().find(|one| one.number() == verdict.class);
    let confidence = Confidence::ALL.iter();
    let confidence = confidence
        .clone()
        .find(|one| one.number() == verdict.confidence);
    json!({
        "is": is,
        "scope": if of_endpoint { "endpoint" } else { "flow" },
        "role": role.filter(|_| skype),
        "class": class.filter(|_| skype),
        "confidence": confidence.filter(|_| skype),
        "session": verdict.session,
    })
}

/// The engine's clock and the wall's, read together.
struct Clock {
    monotonic: u64,
    wall: u64,
}

impl Clock {
    fn now() -> Self {
        Self {
            monotonic: clock::monotonic(),
            wall: clock::wall(),
        }
    }

    fn wall(&self, engine: u64) -> String {
        let ago = self.monotonic.saturating_sub(engine);
        timestamp(self.wall.saturating_sub(ago))
    }

    /// A view as JSON, its times as the wall's.
    fn of(&self, view: &impl Serialize) -> Value {
        let mut value = json!(view);
        self.translate(&mut value);
        value
    }

    fn translate(&self, value: &mut Value) {
        match value {
            Value::Object(fields) => {
                for (name, field) in fields {
                    match field.as_u64().filter(|_| name == "since" || name == "seen") {
                        Some(at) => *field = json!(self.wall(at)),
                        None => self.translate(field),
                    }
                }
            }
            Value::Array(items) => items.iter_mut().for_each(|item| self.translate(item)),
            _ => {}
        }
    }
}
