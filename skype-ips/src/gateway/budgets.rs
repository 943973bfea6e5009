//! How much of their budgets hosts have used.

use serde_json::{Value, json};
use skype_ips_common::layout::{Address, BucketKey, BucketState, FlowKey, Met, PolicyEntry, scope};

use super::{Gateway, InForce, clock, gate, lock};
use crate::policy::{Budget, Direction, HostRule, Scope, from_mapped};
use crate::telemetry::eve::protocol_name;

/// The buckets that there are at a time.
#[derive(Debug)]
pub(super) struct Buckets {
    list: Vec<(BucketKey, BucketState)>,
    now: u64,
}

impl Gateway {
    /// All buckets, read once.
    pub(super) fn buckets(&self) -> Buckets {
        let list = match (&self.user_gate, lock(&self.programs).as_ref()) {
            (Some(user), _) => {
                let user = gate::lock(user);
                let buckets = user.tables.buckets();
                buckets.map(|(key, state)| (*key, *state)).collect()
            }
            (None, Some(programs)) => programs.buckets().collect(),
            (None, None) => Vec::new(),
        };
        Buckets {
            list,
            now: clock::monotonic(),
        }
    }
}

impl Buckets {
    /// Those that a host's packets are charged to; with a flow only those of this flow.
    pub(super) fn of(
        &self,
        in_force: &InForce,
        host: &Address,
        met: Met,
        flow: Option<&FlowKey>,
    ) -> Vec<Value> {
        let standing = &in_force.standing;
        let entry = standing.of(met, host).map(|(entry, _)| entry);
        let hosts = standing.set().hosts;
        let mut found: Vec<_> = self
            .list
            .iter()
            .filter(|(key, _)| charges(key, (host, hosts), entry.as_ref(), flow))
            .filter_map(|(key, state)| {
                let budgets = &standing.set().budgets;
                let budget = budgets
                    .iter()
                    .find(|one| Budget::id_of(&one.name) == key.budget)?;
                Some((
                    &budget.name,
                    key,
                    shown(budget, (key, state), hosts, self.now),
                ))
            })
            .collect();
        found.sort_by_key(|(name, key, _)| (*name, key.direction, key.of));
        found.into_iter().map(|(_, _, value)| value).collect()
    }
}

/// Whether packets of a host, or of one of its flows, are charged to a bucket.
fn charges(
    key: &BucketKey,
    (host, hosts): (&Address, HostRule),
    entry: Option<&PolicyEntry>,
    flow: Option<&FlowKey>,
) -> bool {
    let number = u32::from(key.of.inside_port) << 16 | u32::from(key.of.outside_port);
    match key.scope {
        scope::SUBNET => entry.is_some_and(|entry| entry.subnet == number),
        scope::POLICY => entry.is_some_and(|entry| entry.name == number),
        // Of a flow the other scopes have the rest of its key.
        _ if key.of.protocol != 0 => match flow {
            Some(flow) => key.of == *flow,
            None => key.of.inside == *host,
        },
        _ => key.of.inside == hosts.of(host),
    }
}

fn shown(
    budget: &Budget,
    (key, state): (&BucketKey, &BucketState),
    hosts: HostRule,
    now: u64,
) -> Value {
    let debt = u128::from(state.full_at.saturating_sub(now));
    // Bits a second and nanoseconds.
    let used = debt * u128::from(budget.rate) / 8 / 1_000_000_000;
    let room = u128::from(budget.burst).saturating_sub(used);
    let of_flow = (key.of.protocol != 0).then(|| {
        json!({
            "proto": protocol_name(key.of.protocol),
            "inside": end(&key.of.inside, key.of.inside_port),
            "outside": end(&key.of.outside, key.of.outside_port),
        })
    });
    let of_host = of_flow.is_none() && matches!(key.scope, scope::HOST | scope::SESSION);
    let host = of_host.then(|| match hosts.network(&key.of.inside) {
        Some(network) => network.to_string(),
        None => from_mapped(&key.of.inside).to_string(),
    });
    let scope = Scope::ALL.iter().find(|one| one.number() == key.scope);
    let direction = Direction::ALL
        .iter()
        .find(|one| one.number() == key.direction);
    json!({
        "budget": budget.name,
        "scope": scope.map(|one| one.word()),
        "direction": direction.map(|one| one.word()),
        "flow": of_flow,
        "host": host,
        "rate_bits": budget.rate,
        "burst_bytes": budget.burst,
        "room_bytes": u64::try_from(room).unwrap_or(u64::MAX),
        "passed_bytes": state.passed,
        "refused_bytes": state.refused,
    })
}

fn end(address: &Address, port: u16) -> String {
    std::net::SocketAddr::new(from_mapped(address), port).to_string()
}
