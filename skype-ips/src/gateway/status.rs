//! What is really in force, as JSON: read back from the kernel where it can say.

use std::sync::atomic::Ordering::Relaxed;

use serde_json::{Map, Value, json};
use skype_ips_common::layout::{Counter, Hook};

use super::{Gateway, counters, lock};
use crate::kernel::{Attachment, attached, queue_statistics, rules_in_force};
use crate::telemetry;

/// Version of this document; it changes when a field changes its meaning.
const VERSION: u32 = 1;

pub(super) fn status(gateway: &Gateway) -> Value {
    let shared = gateway.shared();
    let until = lock(&gateway.bypass_until).map(telemetry::timestamp);
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
        },
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
        "decisions": counters::sum(&shared.counters, |shard| &shard.decisions),
        "failures": counters::failures(&shared.counters),
    })
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

impl Gateway {
    /// The packet counters of [`Gateway::status`] alone.
    pub fn packet_counters(&self) -> Value {
        packet_counters(self)
    }
}
