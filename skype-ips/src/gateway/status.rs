//! What is really in force, as JSON: read back from the kernel where it can say.

use std::sync::atomic::Ordering::Relaxed;

use ipnet::IpNet;
use jiff::tz::TimeZone;
use serde_json::{Map, Value, json};
use skype_ips_common::layout::{Counter, Hook};

use super::confirm::Stage;
use super::reload::{Administration, Refusal};
use super::{Gateway, InForce, counters, lock};
use crate::kernel::{Attachment, attached, queue_statistics, queued_by_rules, rules_in_force};
use crate::telemetry;

/// Version of this document; it changes when a field changes its meaning.
const VERSION: u32 = 1;

pub(super) fn status(gateway: &Gateway) -> Value {
    let shared = gateway.shared();
    let administration = lock(&gateway.administration);
    let until = administration.bypass_until.map(telemetry::timestamp);
    let (backend, conntrack) = {
        let firewall = lock(&gateway.firewall);
        (firewall.backend().word(), firewall.uses_conntrack())
    };
    let in_force = shared.in_force();
    json!({
        "version": VERSION,
        "instance": shared.instance,
        "mode": in_force.standing.mode(),
        "policy": {
            "version": in_force.version,
            "policies": in_force.standing.set().policies().iter().map(|policy| policy.name.as_str()).collect::<Vec<_>>(),
            "open_windows": windows(&in_force),
            "not_of_the_files_because": administration.instead,
        },
        "reload": reload(&administration),
        "confirm": confirm(gateway, &administration),
        "exemptions": exemptions(&administration),
        "bypass": { "on": shared.bypass(), "until": until },
        "hooks": gateway.hooked.iter().map(|hook| json!({
            "interface": hook.link.name,
            "side": hook.side,
            "hook": hook.attachment.map_or("off", Attachment::word),
            "attached": attached(&hook.link.name),
        })).collect::<Vec<_>>(),
        "firewall": { "backend": backend, "conntrack": conntrack, "rules": rules_in_force(&shared.instance) },
        "queues": queues(gateway),
        "kernel": kernel(gateway),
        "tables": tables(gateway),
        "decisions": counters::sum(&shared.counters, |shard| &shard.decisions),
        "failures": counters::failures(&shared.counters),
    })
}

/// The windows that are open, and until when.
fn windows(in_force: &InForce) -> Vec<Value> {
    let set = in_force.standing.set();
    let now = jiff::Timestamp::now();
    let zone = set.zone.clone().unwrap_or(TimeZone::UTC);
    let mut open = Vec::new();
    for (policy, states) in set.policies().iter().zip(&in_force.standing.open().windows) {
        let windows = policy.windows.iter().enumerate().zip(states);
        for ((place, window), _) in windows.filter(|(_, is_open)| **is_open) {
            let until = window
                .next_change(now, &zone)
                .map(|at| at.to_zoned(zone.clone()));
            open.push(json!({
                "policy": policy.name,
                "window": place + 1,
                "until": until.map(|until| until.to_string()),
            }));
        }
    }
    open
}

/// How the last reload ended; `null` if there was none.
fn reload(administration: &Administration) -> Value {
    let Some(last) = &administration.last else {
        return Value::Null;
    };
    let refused = last.refused.as_ref();
    let problems = match refused {
        Some(Refusal::Problems(problems)) => json!(problems.list()),
        _ => Value::Null,
    };
    json!({
        "at": telemetry::timestamp(last.at),
        "outcome": if refused.is_some() { "refused" } else { "done" },
        "error": refused.map(ToString::to_string),
        "problems": problems,
    })
}

/// The reload that waits for its confirmation, or that was taken back; `null` if there is neither.
fn confirm(gateway: &Gateway, administration: &Administration) -> Value {
    let Some(record) = administration.kept.record() else {
        return Value::Null;
    };
    let mut value = json!({
        "tried": record.tried,
        "goes_back_to": record.confirmed,
        "reason": record.reason,
    });
    match &record.stage {
        Stage::Pending {
            deadline, max_lost, ..
        } => {
            value["state"] = json!("pending");
            value["until"] = json!(telemetry::timestamp(*deadline));
            value["lost"] = json!(gateway.lost().saturating_sub(administration.lost_before));
            value["max_lost"] = json!(max_lost);
        }
        Stage::TakenBack { at, why } => {
            value["state"] = json!("taken-back");
            value["at"] = json!(telemetry::timestamp(*at));
            value["why"] = json!(why);
        }
    }
    value
}

fn exemptions(administration: &Administration) -> Vec<Value> {
    let exemptions = administration.exemptions.iter();
    exemptions
        .map(|one| {
            json!({
                "host": shown(one.net),
                "until": telemetry::timestamp(one.until),
                "reason": one.reason,
            })
        })
        .collect()
}

/// A prefix of one host as its address.
pub(super) fn shown(net: IpNet) -> String {
    if net.prefix_len() == net.max_prefix_len() {
        net.addr().to_string()
    } else {
        net.to_string()
    }
}

/// Only what counts packets: cheap enough to be asked for after each one.
pub(super) fn packet_counters(gateway: &Gateway) -> Value {
    json!({ "version": VERSION, "queues": queues(gateway), "kernel": kernel(gateway) })
}

fn queues(gateway: &Gateway) -> Vec<Value> {
    let shared = gateway.shared();
    let kernel = queue_statistics();
    (shared.first_queue..)
        .zip(&shared.counters)
        .map(|(number, shard)| {
            let kernel = kernel
                .iter()
                .find(|queue| queue.number == number)
                .copied()
                .unwrap_or_default();
            json!({
                "number": number,
                "received": shard.received.load(Relaxed),
                "accepted": shard.accepted.load(Relaxed),
                "dropped": shard.dropped.load(Relaxed),
                "rejected": shard.rejected.load(Relaxed),
                "kernel_dropped": kernel.kernel_dropped,
                "user_dropped": kernel.user_dropped,
                "waiting": kernel.waiting,
            })
        })
        .collect()
}

fn kernel(gateway: &Gateway) -> Value {
    let programs = lock(&gateway.programs);
    let Some(programs) = programs.as_ref() else {
        return Value::Null;
    };
    let mut hooks = Map::new();
    for (hook, name) in Hook::ALL.into_iter().zip(["xdp", "ingress", "egress"]) {
        let mut counts = Map::new();
        for (counter, name) in Counter::ALL {
            counts.insert(
                name.to_owned(),
                programs
                    .counter(hook, counter)
                    .map_or(Value::Null, Value::from),
            );
        }
        hooks.insert(name.to_owned(), Value::Object(counts));
    }
    Value::Object(hooks)
}

/// How full the kernel's tables are that traffic fills.
fn tables(gateway: &Gateway) -> Value {
    let programs = lock(&gateway.programs);
    let fill = programs.as_ref().and_then(|programs| programs.fill().ok());
    let Some(fill) = fill else {
        return Value::Null;
    };
    let tables = fill.into_iter().map(|one| {
        let name = one.table.to_ascii_lowercase();
        (name, json!({ "entries": one.entries, "room": one.room }))
    });
    Value::Object(tables.collect())
}

impl Gateway {
    /// The packet counters of [`Gateway::status`] alone.
    pub fn packet_counters(&self) -> Value {
        packet_counters(self)
    }

    /// The exemptions of [`Gateway::status`] alone.
    pub fn exemptions(&self) -> Value {
        json!({ "version": VERSION, "exemptions": exemptions(&lock(&self.administration)) })
    }

    /// Packets since the start that should have been judged and were not: lost in the queues or on
    /// the way to them, let pass by full queues, passed or dropped by the gate for want of a sign of
    /// life, or failed on.
    pub(super) fn lost(&self) -> u64 {
        let shared = &self.shared;
        // Before what arrived, so that what is on its way is no loss.
        let handed = queued_by_rules(&shared.instance);
        let failures = counters::sum(&shared.counters, |shard| &shard.message_lost)
            + counters::sum(&shared.counters, |shard| &shard.internal_error);
        let numbers = shared.first_queue..shared.first_queue + shared.counters.len() as u16;
        let queues = queue_statistics();
        let queues = queues.iter().filter(|one| numbers.contains(&one.number));
        let (waiting, dropped) = queues.fold((0, 0), |(waiting, dropped), one| {
            let lost = one.kernel_dropped + one.user_dropped;
            (waiting + one.waiting, dropped + lost)
        });
        let received = counters::sum(&shared.counters, |shard| &shard.received);
        let passed_by = handed.saturating_sub(received + waiting + dropped);
        let programs = lock(&self.programs);
        let unjudged: u64 = programs.as_ref().map_or(0, |programs| {
            Hook::ALL
                .into_iter()
                .flat_map(|hook| [Counter::Unjudged, Counter::Refused].map(|one| (hook, one)))
                .filter_map(|(hook, counter)| programs.counter(hook, counter).ok())
                .sum()
        });
        failures + dropped + passed_by + unjudged
    }
}
