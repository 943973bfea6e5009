//! What the shards count, readable while they run.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use serde_json::{Value, json};

/// One shard's counts since the start.
#[derive(Debug, Default)]
pub struct ShardCounters {
    /// Packets that came out of the queue.
    pub received: AtomicU64,
    /// Of those, the ones let pass.
    pub accepted: AtomicU64,
    /// Of those, the ones dropped.
    pub dropped: AtomicU64,
    /// Of those, the ones whose sender was to be told.
    pub rejected: AtomicU64,
    /// Resets that could not be sent to the other end of a connection.
    pub reset_failed: AtomicU64,
    /// Findings of the engine.
    pub decisions: AtomicU64,
    /// Times that the kernel said it could not hand over packets.
    pub message_lost: AtomicU64,
    /// Packets on which the daemon itself failed.
    pub internal_error: AtomicU64,
    /// Writes that a kernel table refused.
    pub table_refused: AtomicU64,
    /// Event lines given up because their reader was too slow.
    pub events_lost: AtomicU64,
}

/// Adds one.
pub(super) fn add(counter: &AtomicU64) {
    counter.fetch_add(1, Relaxed);
}

/// The sum of one count over all shards.
pub(super) fn sum(shards: &[ShardCounters], counter: impl Fn(&ShardCounters) -> &AtomicU64) -> u64 {
    shards
        .iter()
        .map(|shard| counter(shard).load(Relaxed))
        .sum()
}

/// The failures that `[failure]` speaks of, as far as user space can count them.
pub(super) fn failures(shards: &[ShardCounters]) -> Value {
    json!({
        "message-lost": sum(shards, |shard| &shard.message_lost),
        "internal-error": sum(shards, |shard| &shard.internal_error),
        "table-refused": sum(shards, |shard| &shard.table_refused),
        "reset-failed": sum(shards, |shard| &shard.reset_failed),
        "events-lost": sum(shards, |shard| &shard.events_lost),
    })
}
