//! Whether what came through stayed within a budget.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use super::decision::Limit;
use super::strand::Strand;
use crate::policy::{Direction, MTU, Scope};
use crate::simulator::net::program::Instant;

/// What a machine under load may add to the times at which packets are seen to come out.
const SLACK: Duration = Duration::from_millis(50);

/// What has a bucket of its own: the budget, for whom, and which direction.
type Bucket = (String, (u8, Option<IpAddr>, u64), Option<bool>);

/// What came of the buckets that some strands have drawn from.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Drawn {
    /// Bytes that came through after the grace.
    pub(super) bytes: u64,
    /// From the first of them to the last.
    pub(super) time: Duration,
    /// Bytes a second of the bucket that gave most.
    pub(super) rate: f64,
    /// Bytes by which the fullest bucket was over its burst and a packet.
    pub(super) over: f64,
}

/// What came through on the account of one bucket.
struct Charged {
    /// Bytes a second.
    rate: f64,
    /// Bytes.
    burst: f64,
    /// When each packet came out, and its bytes.
    passages: Vec<(Instant, u32)>,
}

fn bucket(limit: &Limit, strand: &Strand<'_>, inbound: bool) -> Option<Bucket> {
    let budget = &limit.budget;
    // Of two inside hosts what one receives the other has sent.
    let inbound = inbound == (limit.host == IpAddr::V4(*strand.inside().ip()));
    let direction = match (budget.direction, inbound) {
        (Direction::In, false) | (Direction::Out, true) => return None,
        (Direction::Sum, _) => None,
        (_, inbound) => Some(inbound),
    };
    let flow = strand.number as u64;
    let host = Some(limit.host);
    let whose = match (budget.scope, strand.session) {
        (Scope::Session, Some(session)) => (0, host, session.into()),
        (Scope::Session | Scope::Flow, _) => (1, host, flow),
        (Scope::Host, _) => (2, host, 0),
        (Scope::Subnet, _) => (3, None, limit.subnet.into()),
        (Scope::Policy, _) => (4, None, 0),
    };
    Some((budget.name.clone(), whose, direction))
}

/// Holds what strands drew against their budgets. What came through before a strand was old enough to
/// be known doesn't count: it may have been charged elsewhere, or nowhere.
pub(super) fn drawn(
    strands: &[&Strand<'_>],
    known: impl Fn(&Strand<'_>) -> Option<Instant>,
    behind: Duration,
) -> Drawn {
    let mut packets: BTreeMap<Bucket, Charged> = BTreeMap::new();
    let mut drawn = Drawn::default();
    let mut span: Option<(Instant, Instant)> = None;
    for strand in strands {
        let Some(known) = known(strand) else {
            continue;
        };
        for passage in strand.packets.iter().filter(|one| one.at >= known) {
            let Some(out) = passage.out else {
                continue;
            };
            drawn.bytes += u64::from(passage.len);
            let (first, last) = span.get_or_insert((out, out));
            *first = out.min(*first);
            *last = out.max(*last);
            for limit in &strand.decision.budgets {
                if let Some(bucket) = bucket(limit, strand, passage.inbound) {
                    let budget = &limit.budget;
                    let charged = packets.entry(bucket).or_insert_with(|| Charged {
                        rate: budget.rate as f64 / 8.0,
                        burst: budget.burst as f64,
                        passages: Vec::new(),
                    });
                    charged.passages.push((out, passage.len));
                }
            }
        }
    }
    drawn.time = span.map_or(Duration::ZERO, |(first, last)| last - first);
    for charged in packets.into_values() {
        let Charged {
            rate,
            burst,
            mut passages,
        } = charged;
        passages.sort_unstable();
        let slack = rate * (SLACK + behind).as_secs_f64();
        let most = burst + MTU as f64 + slack;
        let bytes: u64 = passages.iter().map(|(_, len)| u64::from(*len)).sum();
        if let [(first, _), .., (last, _)] = passages[..] {
            let time = (last - first).as_secs_f64().max(1.0);
            drawn.rate = drawn.rate.max(bytes as f64 / time);
        }
        let (mut level, mut at) = (0.0, Instant::ZERO);
        for (out, len) in passages {
            level = f64::max(0.0, level - rate * (out - at).as_secs_f64()) + f64::from(len);
            at = out;
            drawn.over = drawn.over.max(level - most);
        }
    }
    drawn
}
